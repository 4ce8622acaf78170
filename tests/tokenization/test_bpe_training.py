import json
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from course_lib.tokenization import bpe_training, patterns


def reference_merges(text, vocab_size, pattern):
    """Return the merges of the `tokenizers` trainer as pairs of ids."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    ids = tokenizer.get_vocab()
    return [(ids[a], ids[b]) for a, b in json.loads(tokenizer.to_str())["model"]["merges"]]


def recounted_merges(words, num_merges):
    """Return the merges of a trainer that counts everything anew before each of them."""
    spelled = [
        ([bpe_training.BYTE_IDS[b] for b in word.encode()], count) for word, count in words.items()
    ]
    merges = []
    while len(merges) < num_merges:
        counts = bpe_training.count_pairs(spelled)
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        spelled = [
            (bpe_training.merge(ids, best, 256 + len(merges)), count) for ids, count in spelled
        ]
        merges.append(best)
    return merges


@pytest.mark.parametrize(
    "pattern", [patterns.GPT2_PATTERN, patterns.GPT4_PATTERN, patterns.QWEN_PATTERN]
)
def test_merges_equal_the_reference_trainer(text, pattern):
    words = bpe_training.count_words([text], pattern)
    merges = bpe_training.train_merges(words, 700)
    assert merges == reference_merges(text, 256 + 700, pattern)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("ab", max_size=30), max_size=12), st.integers(1, 40))
def test_ties_and_repeats_equal_the_reference_trainer(words, num_merges):
    text = " ".join(words)
    ours = bpe_training.train_merges(bpe_training.count_words([text]), num_merges)
    assert ours == reference_merges(text, 256 + num_merges, patterns.GPT2_PATTERN)


def test_incremental_counts_equal_recounting(corpora):
    words = bpe_training.count_words([corpora["documentation"][:10_000]])
    assert bpe_training.train_merges(words, 150) == recounted_merges(words, 150)


def test_pair_counts_follow_every_merge():
    generator = random.Random(0)
    words = [[generator.randrange(4) for _ in range(generator.randrange(1, 12))] for _ in range(40)]
    corpus = bpe_training.PairCounts((ids, place + 1) for place, ids in enumerate(words))
    for new_id in range(4, 20):
        corpus.merge(max(corpus.counts, key=corpus.counts.get), new_id)
        held = list(zip(corpus.words, corpus.weights, strict=True))
        present = {pair: count for pair, count in corpus.counts.items() if count}
        assert present == bpe_training.count_pairs(held)
        tokens = Counter(token for ids, count in held for token in ids for _ in range(count))
        assert +corpus.occurrences == tokens
        for place, ids in enumerate(corpus.words):
            assert all(place in corpus.places[pair] for pair in pairwise(ids))


def test_counting_and_merging_by_hand():
    words = [([1, 2, 3], 5), ([2, 3, 2, 3], 1), ([4], 9)]
    assert bpe_training.count_pairs(words) == {(1, 2): 5, (2, 3): 7, (3, 2): 1}
    assert bpe_training.merge([1, 2, 3, 2, 3], (2, 3), 9) == [1, 9, 9]
    assert bpe_training.merge([7, 7, 7], (7, 7), 9) == [9, 7]
    assert bpe_training.merge([7, 7, 7, 7], (7, 7), 9) == [9, 9]
    assert bpe_training.merge([], (1, 2), 9) == []
    assert bpe_training.merge([2, 1], (1, 2), 9) == [2, 1]


def test_merges_by_hand():
    # p+u 17; then pu+n 12; then h+u and u+g both 10, of which h has the smaller id; …
    words = Counter({"hug": 10, "pug": 5, "pun": 12, "bun": 4})
    h, u, g, n, p, b = (bpe_training.BYTE_IDS[byte] for byte in b"hugnpb")
    pu, hu, bu = 256, 258, 261
    expected = [(p, u), (pu, n), (h, u), (hu, g), (pu, g), (b, u), (bu, n)]
    assert bpe_training.train_merges(words, 100) == expected
    assert bpe_training.train_merges(words, 2) == expected[:2]


def test_byte_order_holds_each_byte_once_and_print_first():
    assert sorted(bpe_training.BYTE_ORDER) == list(range(256))
    assert bpe_training.BYTE_ORDER[:3] == b'!"#'
    assert bpe_training.BYTE_IDS[ord(" ")] == 220  # known from GPT-2: the token of one space


def test_no_words_give_no_merges():
    assert bpe_training.train_merges(Counter(), 10) == []
