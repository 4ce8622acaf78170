"""MinHash beside datasketch and exact sets, watermarks beside the binomial distribution."""

import math
import random
from itertools import pairwise

import datasketch
import pytest
import torch
from scipy.stats import binom

from course_lib.device import seeded
from course_lib.evaluation import (
    Watermark,
    candidate_pairs,
    candidate_probability,
    hash_functions,
    jaccard,
    minhash,
    ngram_overlap,
    ngrams,
    replace_tokens,
    shingles,
    signature_similarity,
    tokens_needed,
    watermark_z,
    z_to_p,
)
from course_lib.generation import Sampling, generate
from course_lib.pretrained import course_model

NUMBERS = [random.Random(n).getrandbits(56) for n in range(400)]
A, B = set(NUMBERS[:300]), set(NUMBERS[100:])


def test_ngrams_by_hand():
    words = ["a", "b", "a", "b"]
    assert ngrams(words, 2) == {("a", "b"), ("b", "a")}
    assert ngrams(["a"], 5) == {("a",)}
    assert ngram_overlap(words, {("a", "b")}, 2) == 0.5


def test_minhash_estimates_jaccard_as_datasketch_does():
    exact = jaccard(A, B)
    functions = hash_functions(1024)
    ours = signature_similarity(minhash(A, functions), minhash(B, functions))
    theirs = [datasketch.MinHash(num_perm=1024) for _ in "ab"]
    for sketch, elements in zip(theirs, (A, B), strict=True):
        sketch.update_batch([str(each).encode() for each in elements])
    error = math.sqrt(exact * (1 - exact) / 1024)
    assert exact == 0.5
    assert ours == pytest.approx(exact, abs=3 * error)
    assert theirs[0].jaccard(theirs[1]) == pytest.approx(exact, abs=3 * error)


def test_equal_sets_and_disjoint_sets():
    functions = hash_functions(64)
    assert minhash(A, functions) == minhash(set(NUMBERS[299::-1]), functions)
    assert signature_similarity(minhash({1, 2}, functions), minhash({3, 4}, functions)) == 0


def test_bands_find_similar_documents():
    text = (
        "the quick brown fox jumps over the lazy dog and runs away from the old house by the lake"
    )
    texts = [text, text.replace("quick", "slow"), "one two three four five six seven eight nine"]
    sets = [shingles(each) for each in texts]
    signatures = [minhash(each, hash_functions(128)) for each in sets]
    assert candidate_pairs(signatures, bands=32) == {(0, 1)}
    assert jaccard(sets[0], sets[1]) > 0.5
    assert candidate_probability(0.5, 2, 2) == pytest.approx(1 - 0.75**2)


def test_z_by_hand():
    green = {0: {1}, 1: {0}}
    assert watermark_z([0, 1, 0, 1, 0], green, 0.5) == pytest.approx(1 / math.sqrt(0.5))
    assert watermark_z([0, 0], green, 0.25) == pytest.approx(-0.25 / math.sqrt(0.1875))


def test_z_follows_the_binomial_distribution():
    assert z_to_p(4.0) == pytest.approx(binom.sf(500 + 4 * math.sqrt(250), 1000, 0.5), rel=0.5)
    assert tokens_needed(0.75, 0.5, 4.0) == pytest.approx(64)


def test_green_lists_are_a_share_of_the_vocabulary_and_depend_on_the_key():
    mark = Watermark(100, fraction=0.25, key=1)
    lists = mark.green_lists([3, 4])
    assert {len(each) for each in lists.values()} == {25}
    assert lists[3] != lists[4]
    assert lists[3] != Watermark(100, fraction=0.25, key=2).green_lists([3])[3]
    logits = mark.process(torch.zeros(2, 100), torch.tensor([[9, 3], [9, 4]]))
    assert set(logits[0].nonzero().flatten().tolist()) == lists[3]
    assert set(logits.unique().tolist()) == {0.0, 2.0}


def test_a_marked_text_is_found_and_edits_hide_it():
    model = course_model()
    mark = Watermark(model.config.vocab_size, boost=3.0, key=5)
    texts = [
        generate(model, torch.tensor([[7, 8]]), 120, Sampling(more=more), generator=seeded(1))[
            0
        ].tolist()
        for more in ((), (mark.process,))
    ]
    plain, marked = map(mark.z, texts)
    assert abs(plain) < 3
    assert marked > 6
    edited = [mark.z(replace_tokens(texts[1], share, texts[0], seed=0)) for share in (0.3, 0.9)]
    assert marked > edited[0] > edited[1]
    assert Watermark(model.config.vocab_size, key=6).z(texts[1]) < 3
    assert replace_tokens(texts[1], 0.0, texts[0]) == texts[1]


def test_a_repeated_pair_counts_once():
    mark = Watermark(50, key=3)
    a = 1
    b = min(mark.green_lists([a])[a] - {a})
    text = [a, b] * 40
    lists = mark.green_lists(text)
    naive = sum(y in lists[x] for x, y in pairwise(text))
    assert naive >= 40
    assert mark.z(text) <= 2


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: minhash(set(), hash_functions(2)), "empty"),
        (lambda: jaccard(set(), set()), "empty"),
        (lambda: ngrams([], 2), "none"),
        (lambda: ngrams(["a"], 0), "n=0"),
        (lambda: signature_similarity([1], [1, 2]), "1 and 2"),
        (lambda: candidate_probability(1.5, 1, 1), "1.5"),
        (lambda: candidate_pairs([[1, 2, 3]], 2), "2 bands"),
        (lambda: watermark_z([1], {}, 0.5), "1"),
        (lambda: watermark_z([1, 1], {1: {1}}, 1.0), "1.0"),
        (lambda: Watermark(10, fraction=0.0), "0.0"),
        (lambda: tokens_needed(0.4, 0.5, 4), "0.4"),
        (lambda: replace_tokens([1, 2], 0.5, [1]), "1 for 2"),
    ],
)
def test_errors(action, message):
    with pytest.raises(ValueError, match=message):
        action()
