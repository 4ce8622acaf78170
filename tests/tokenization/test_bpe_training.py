import json
import random
from collections import Counter
from itertools import pairwise
from typing import get_args

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers.convert_slow_tokenizer import bytes_to_unicode

from course_lib.tokenization import bpe_training, pair_counts, patterns


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


TIES = get_args(bpe_training.TieRule)
GPT2_PLACES = {byte: place for place, byte in enumerate(bytes_to_unicode())}


def joined(parts, pair):
    """Return the parts with the pair joined wherever it occurs, from left to right."""
    result, i = [], 0
    while i < len(parts):
        found = tuple(parts[i : i + 2]) == pair
        result.append(b"".join(pair) if found else parts[i])
        i += 2 if found else 1
    return result


def recounted_merges(text, num_merges, ties="smallest_ids", places=GPT2_PLACES):
    """Return the merges, as bytes, of a trainer that reads the whole text before each of them."""
    words = regex.findall(patterns.GPT2_PATTERN, text)
    pieces = [[bytes([byte]) for byte in word.encode()] for word in words]
    merges = []
    ids = {bytes([byte]): place for byte, place in places.items()}
    while len(merges) < num_merges:
        counts = Counter(pair for piece in pieces for pair in pairwise(piece))
        if not counts:
            break
        most = max(counts.values())
        tied = [pair for pair, count in counts.items() if count == most]  # as first seen
        if ties == "first_seen":
            best = tied[0]
        elif ties == "largest_bytes":
            best = max(tied)
        else:
            best = min(tied, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges.append(best)
        ids[b"".join(best)] = 256 + len(merges) - 1
        pieces = [joined(piece, best) for piece in pieces]
    return merges


def learned_merges(text, num_merges, ties="smallest_ids", order=bpe_training.GPT2_BYTE_ORDER):
    """Return the library's merges as bytes."""
    words = bpe_training.count_words([text])
    tokens, merges = [bytes([byte]) for byte in order], []
    for left, right in bpe_training.train_merges(words, num_merges, ties, order):
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
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


ORDERS = {
    "GPT-2": (bpe_training.GPT2_BYTE_ORDER, GPT2_PLACES),
    "numeric": (bpe_training.NUMERIC_BYTE_ORDER, {byte: byte for byte in range(256)}),
}


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["documentation", "code", "scripts", "emoji", "digits and signs"])
def test_merges_equal_recounting_for_every_tie_rule_and_byte_order(corpora, name, ties, order):
    text, (byte_order, places) = corpora[name][:2500], ORDERS[order]
    expected = recounted_merges(text, 120, ties, places)
    assert learned_merges(text, 120, ties, byte_order) == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text("aab\u00e9z\u00ff", max_size=12), max_size=12),
    st.integers(1, 40),
    st.sampled_from(TIES),
    st.sampled_from(sorted(ORDERS)),
)
def test_ties_and_repeats_equal_recounting(words, num_merges, ties, order):
    text, (byte_order, places) = " ".join(words), ORDERS[order]
    expected = recounted_merges(text, num_merges, ties, places)
    assert learned_merges(text, num_merges, ties, byte_order) == expected


def test_tie_rules_by_hand():
    # Each of the pairs occurs once. GPT-2 numbers letters in order and the space after them.
    assert learned_merges("xy\nab b", 3) == [(b"a", b"b"), (b"x", b"y"), (b" ", b"b")]
    assert learned_merges("ab\nxy", 1, "largest_bytes") == [(b"x", b"y")]
    assert learned_merges("xy\nab", 2, "first_seen") == [(b"x", b"y"), (b"a", b"b")]
    # "z" begins "zb", so of z+c and zb+a the second is larger, and of a+zb and a+z the first.
    assert learned_merges("zba\nzba\nzc", 2, "largest_bytes") == [(b"z", b"b"), (b"zb", b"a")]
    # In "abx" the pair b+x stands before all but a+b, whose merge leaves it in the last word alone.
    expected = [b"a|b", b" |ab", b" |c", b" c|d", b" |b", b" b|x"]
    merges = learned_merges("abx ab ab cd bx cd bx", 6, "first_seen")
    assert [b"|".join(merge) for merge in merges] == expected


def test_the_byte_order_decides_ties_by_ids():
    space_last, space_first = ORDERS["GPT-2"][0], ORDERS["numeric"][0]
    assert learned_merges("xy b", 1, order=space_last) == [(b"x", b"y")]
    assert learned_merges("xy b", 1, order=space_first) == [(b" ", b"b")]


def test_no_tie_rule_stands_in_for_another():
    text = "the cat sat on the mat; that cat ate the rat"
    assert len({str(learned_merges(text, 15, ties)) for ties in TIES}) == len(TIES)


def test_words_are_counted_between_special_tokens():
    counted = bpe_training.count_words(["ab<s>ab<s>x<s>", "<s> ab"], special_tokens=["<s>", "<s>x"])
    assert counted == {"ab": 2, " ab": 1}
    assert bpe_training.count_words(["a<s>b"], pattern=".+") == {"a<s>b": 1}


def test_pair_counts_follow_every_merge():
    generator = random.Random(0)
    words = ["".join(generator.choices("abcd", k=generator.randrange(1, 12))) for _ in range(40)]
    corpus = pair_counts.PairCounts((word, place + 1) for place, word in enumerate(words))
    for new in "efghijklmnopqrst" + "efgh":  # the last ones are in the words already
        best = max((p for p in corpus.counts if new not in p), key=corpus.counts.__getitem__)
        words = [word.replace(best, new) for word in words]
        corpus.merge(best, new)
        held = list(zip(corpus.words, corpus.weights, strict=True))
        assert corpus.words == words
        present = {tuple(map(ord, pair)): n for pair, n in corpus.counts.items() if n}
        numbered = [(list(map(ord, word)), count) for word, count in held]
        assert present == bpe_training.count_pairs(numbered)
        tokens = Counter(token for word, count in held for token in word for _ in range(count))
        assert +corpus.occurrences == tokens
        for place, word in enumerate(corpus.words):
            assert all(place in corpus.places[a + b] for a, b in pairwise(word))


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
    assert sorted(bpe_training.GPT2_BYTE_ORDER) == list(range(256))
    assert bpe_training.GPT2_BYTE_ORDER[:3] == b'!"#'
    assert bpe_training.BYTE_IDS[ord(" ")] == 220  # known from GPT-2: the token of one space


def test_no_words_give_no_merges():
    assert bpe_training.train_merges(Counter(), 10) == []
