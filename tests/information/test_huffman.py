import itertools
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.information import (
    average_length,
    canonical_code,
    entropy,
    huffman_code,
    read_words,
    word_lengths,
    write_words,
)

WEIGHTS = st.lists(st.integers(1, 50), min_size=2, max_size=5)
MANY_WEIGHTS = st.lists(st.integers(1, 1000), min_size=2, max_size=60)


def distribution(weights):
    return torch.tensor(weights, dtype=torch.float64) / sum(weights)


def least_average_length(weights):
    """The best of all words lengths that Kraft's inequality allows, tried one by one."""
    choices = itertools.product(range(1, len(weights)), repeat=len(weights))
    allowed = (lengths for lengths in choices if sum(Fraction(1, 2**n) for n in lengths) <= 1)
    best = min(sum(w * n for w, n in zip(weights, lengths, strict=True)) for lengths in allowed)
    return Fraction(best, sum(weights))


@settings(deadline=None)
@given(WEIGHTS)
def test_no_prefix_code_is_shorter(weights):
    p = distribution(weights)
    best = float(least_average_length(weights)) if len(weights) > 2 else 1.0
    assert average_length(huffman_code(p), p) == pytest.approx(best)


@settings(deadline=None)
@given(MANY_WEIGHTS)
def test_the_average_length_lies_within_one_bit_above_the_entropy(weights):
    p = distribution(weights)
    L, H = average_length(huffman_code(p), p), entropy(p).item()
    assert H - 1e-9 <= L < H + 1


def test_a_code_of_equal_lengths_can_miss_that_bound():
    p = distribution([1000, 1, 1, 1])
    L = average_length({symbol: f"{symbol:02b}" for symbol in range(4)}, p)
    assert entropy(p).item() + 1 < L


@settings(deadline=None)
@given(MANY_WEIGHTS)
def test_no_word_begins_another_and_none_is_wasted(weights):
    words = sorted(huffman_code(distribution(weights)).values())
    assert not any(b.startswith(a) for a, b in itertools.pairwise(words))
    assert sum(Fraction(1, 2 ** len(word)) for word in words) == 1


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=100).filter(lambda s: len(set(s)) > 1))
def test_what_is_written_is_read_back(symbols):
    code = huffman_code(torch.bincount(torch.tensor(symbols)).double() / len(symbols))
    assert read_words(write_words(symbols, code), code) == symbols


def test_a_code_worked_out_by_hand():
    # join 1/8 and 1/8, then 1/4 and 1/4, then 1/2 and 1/2: lengths 1, 2, 3, 3
    p = distribution([1, 4, 2, 1])
    assert word_lengths(p) == {0: 3, 1: 1, 2: 2, 3: 3}
    assert huffman_code(p) == {1: "0", 2: "10", 0: "110", 3: "111"}
    assert average_length(huffman_code(p), p) == 1.75 == entropy(p).item()
    assert write_words([1, 0, 2], huffman_code(p)) == "0" + "110" + "10"


def test_symbols_that_cannot_occur_get_no_word():
    p = torch.tensor([0.5, 0.0, 0.5])
    assert huffman_code(p) == {0: "0", 2: "1"}
    with pytest.raises(ValueError, match=r"symbols.* 1, "):
        write_words([0, 1], huffman_code(p))


def test_very_uneven_probabilities_make_very_long_words():
    p = torch.tensor([2.0**-n for n in range(1, 200)] + [2.0**-199], dtype=torch.float64)
    code = huffman_code(p)
    assert len(code[199]) == 199
    assert read_words(write_words([0, 199, 150], code), code) == [0, 199, 150]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_floating_type_gives_the_same_code_for_exact_probabilities(dtype):
    p = torch.tensor([0.125, 0.5, 0.25, 0.125], dtype=dtype)
    assert huffman_code(p) == {1: "0", 2: "10", 0: "110", 3: "111"}


def test_errors_say_what_no_code_can_do():
    with pytest.raises(ValueError, match=r"\b2 symbols.*\b1\b"):
        huffman_code(torch.tensor([0.0, 1.0]))
    with pytest.raises(ValueError, match=r"\bp .*sum"):
        huffman_code(torch.tensor([0.5, 0.4]))
    with pytest.raises(ValueError, match=r"\b1\b.*\b1\.5\b.*longer"):
        canonical_code({0: 1, 1: 1, 2: 1})
    with pytest.raises(ValueError, match=r"word.*'11'"):
        read_words("011", {0: "0", 1: "10", 2: "110"})
