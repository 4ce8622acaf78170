"""The arithmetic coder against a coder in exact fractions, which never runs out of digits."""

import itertools
import math
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.information import arithmetic, cumulative_frequencies, decode, encode, narrow
from course_lib.information.arithmetic import HALF, QUARTER, TOTAL, WHOLE
from course_lib.ngrams import AddK, KneserNey, log_probabilities, uniform

V = 4
IDS = st.lists(st.integers(0, V - 1), max_size=60)


def uneven_model(context):
    """A distribution that depends on the whole context, with one token almost certain."""
    likely = (sum(context) + len(context)) % V
    p = torch.full((V,), 0.001, dtype=torch.float64)
    p[likely] = 1 - 0.001 * (V - 1)
    return p


def impossible_model(context):
    """A model that gives three of its tokens no chance at all."""
    return torch.eye(V)[len(context) % V]


MODELS = [uniform(V), uneven_model, impossible_model]


def reference_interval(ids, model):
    """The last interval of the text in exact fractions, from the same whole frequencies."""
    low, width, context = Fraction(0), Fraction(1), []
    for token in ids:
        edges = cumulative_frequencies(model(context)).tolist()
        low += width * Fraction(edges[token], TOTAL)
        width *= Fraction(edges[token + 1] - edges[token], TOTAL)
        context.append(token)
    return low, width


def as_fraction(data):
    return Fraction(int.from_bytes(data, "big"), 256 ** len(data))


@pytest.fixture
def eighths(monkeypatch):
    """Frequencies of 3, 2 and 3 eighths: 32 bits hold every end of a short text's intervals."""
    edges = torch.tensor([0, 3, 5, 8]) * (TOTAL // 8)
    monkeypatch.setattr(arithmetic, "cumulative_frequencies", lambda p: edges)
    return uniform(3)


def test_every_short_text_is_a_number_in_its_exact_interval(eighths):
    starts = [Fraction(0), Fraction(3, 8), Fraction(5, 8), Fraction(1)]
    for length in range(7):
        for ids in itertools.product(range(3), repeat=length):
            low, width = Fraction(0), Fraction(1)
            for token in ids:
                low, width = (
                    low + width * starts[token],
                    width * (starts[token + 1] - starts[token]),
                )
            data = encode(ids, eighths)
            assert low <= as_fraction(data) < low + width
            assert decode(data, eighths, length) == list(ids)


@settings(deadline=None)
@given(st.integers(0, 2), IDS)
def test_decoding_gives_back_the_text(which, ids):
    assert decode(encode(ids, MODELS[which]), MODELS[which], len(ids)) == ids


@settings(deadline=None)
@given(st.integers(0, 2), IDS)
def test_at_most_two_bytes_more_than_the_model_needs(which, ids):
    _, width = reference_interval(ids, MODELS[which])
    ideal_bits = math.log2(width.denominator) - math.log2(width.numerator)
    assert ideal_bits - 1e-3 <= 8 * len(encode(ids, MODELS[which])) <= ideal_bits + 2 + 7 + 1e-3


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=200))
def test_bytes_survive_a_model_trained_on_other_text(data):
    for model in (
        KneserNey(b"some other text, with some other bytes", 3, 256),
        AddK(b"some other text, with some other bytes", 2, 256, 1e-6),
    ):
        assert bytes(decode(encode(data, model), model, len(data))) == data


def test_the_wrong_model_does_not_give_back_the_text():
    ids = random.Random(0).choices(range(V), k=50)
    assert decode(encode(ids, uneven_model), uniform(V), len(ids)) != ids


def test_a_long_text_costs_what_the_model_says():
    generator = random.Random(0)
    training, text = (generator.choices(b"aaaabbc ", k=3000) for _ in range(2))
    model = KneserNey(training, 2, 256)
    ideal_bytes = -log_probabilities(model, text).sum().item() / math.log(2) / 8
    assert 0 <= len(encode(text, model)) - ideal_bytes < 3


def test_a_certain_token_costs_next_to_nothing_and_a_sliver_28_bits():
    assert len(encode([i % V for i in range(2000)], impossible_model)) == 1
    assert len(encode([1], impossible_model)) == math.ceil((28 + 2) / 8)


def test_intervals_around_the_middle_settle_no_bit_until_the_last_token(eighths):
    ids = [1] * 200  # the middle quarter of the middle quarter ... always contains one half
    data = encode(ids, eighths)
    assert abs(as_fraction(data) - Fraction(1, 2)) <= Fraction(1, 4**200)
    assert len(data) == math.ceil((2 * 200 + 2) / 8)
    for last in (0, 1, 2):
        assert decode(encode([*ids, last], eighths), eighths, 201) == [*ids, last]


def test_one_step_worked_out_by_hand():
    assert narrow(0, 100, 5, 8, 10) == (50, 80)
    assert narrow(50, 80, 0, 5, 10) == (50, 65)
    assert narrow(50, 80, 5, 10, 10) == (65, 80)
    assert narrow(0, 10, 1, 2, 3) == (3, 6)


@settings(deadline=None)
@given(st.integers(0, HALF), st.integers(QUARTER + 1, HALF), st.data())
def test_steps_tile_the_interval_and_leave_none_empty(low, width, data):
    high = low + width
    inner = data.draw(st.lists(st.integers(1, TOTAL - 1), max_size=8, unique=True))
    edges = [0, *sorted(inner), TOTAL]
    parts = [narrow(low, high, a, b, TOTAL) for a, b in itertools.pairwise(edges)]
    assert parts[0][0] == low
    assert parts[-1][1] == high
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    assert all(start < end for start, end in parts)


def test_a_total_wider_than_the_interval_leaves_some_tokens_nothing():
    low, high = narrow(0, QUARTER, 1, 2, WHOLE)
    assert low == high


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_frequencies_follow_the_probabilities_in_every_floating_type(dtype):
    p = torch.tensor([0.5, 0.25, 0.0, 0.25], dtype=dtype)
    steps = cumulative_frequencies(p).diff()
    assert steps.sum() == TOTAL
    assert steps[2] == 1
    torch.testing.assert_close(steps / TOTAL, p.float(), atol=1e-7, rtol=0)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300).filter(any))
def test_frequencies_are_at_least_one_and_fill_the_total(weights):
    edges = cumulative_frequencies(torch.tensor(weights, dtype=torch.float64) / sum(weights))
    assert edges[0] == 0
    assert edges[-1] == TOTAL
    assert edges.diff().min() >= 1


def test_large_vocabularies_can_be_coded():
    size = 151_936
    p = torch.softmax(torch.randn(size, generator=torch.Generator().manual_seed(0)) * 5, dim=-1)
    ids = [0, size - 1, 77, int(p.argmax()), 77]
    assert decode(encode(ids, lambda context: p), lambda context: p, len(ids)) == ids


def test_the_empty_text():
    assert decode(encode([], uniform(V)), uniform(V), 0) == []


@pytest.mark.parametrize("token", [-1, V])
def test_ids_outside_the_vocabulary_are_errors(token):
    with pytest.raises(ValueError, match=rf"\b0 and 3\b.* {token}\b"):
        encode([0, token], uniform(V))


def test_a_negative_length_is_an_error():
    with pytest.raises(ValueError, match=r"negative.*-1\b"):
        decode(b"", uniform(V), -1)


def test_a_model_that_returns_no_distribution_is_an_error():
    with pytest.raises(ValueError, match=r"\bp .*sum.* 2\b"):
        encode([0], lambda context: torch.ones(2))


def test_a_vocabulary_larger_than_the_total_is_an_error(monkeypatch):
    monkeypatch.setattr("course_lib.information.arithmetic.TOTAL", 16)
    assert cumulative_frequencies(torch.ones(8) / 8).tolist() == list(range(0, 17, 2))
    with pytest.raises(ValueError, match=r"\b8 tokens.*\b9\b"):
        cumulative_frequencies(torch.ones(9) / 9)
