import math
import random
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from course_lib.tokenization import segmentation

PIECES = st.dictionaries(
    st.text("ab", min_size=1, max_size=4), st.floats(-8, -0.1), min_size=1, max_size=8
)


def all_segmentations(text):
    """Yield every way to cut the text."""
    if not text:
        yield []
    for end in range(1, len(text) + 1):
        for rest in all_segmentations(text[end:]):
            yield [text[:end], *rest]


def scored(text, log_probs):
    """Return (segmentation, log probability) of all that consist of pieces or unknown letters."""
    scores = dict(log_probs)
    for letter in text:
        scores.setdefault(letter, segmentation.UNKNOWN)
    return [
        (pieces, sum(scores[piece] for piece in pieces))
        for pieces in all_segmentations(text)
        if all(piece in scores for piece in pieces)
    ]


@settings(deadline=None)
@given(st.text("ab", min_size=1, max_size=9), PIECES)
def test_viterbi_finds_the_best_of_all(text, log_probs):
    found = segmentation.viterbi(text, log_probs)
    ways = {tuple(pieces): score for pieces, score in scored(text, log_probs)}
    assert "".join(found) == text
    assert ways[tuple(found)] == pytest.approx(max(ways.values()))


@settings(deadline=None)
@given(st.text("ab", min_size=1, max_size=9), PIECES)
def test_forward_and_backward_sum_over_all(text, log_probs):
    arcs = segmentation.lattice(text, log_probs)
    alpha, beta = segmentation.forward(arcs), segmentation.backward(arcs)
    total = math.log(sum(math.exp(score) for _, score in scored(text, log_probs)))
    assert alpha[-1] == pytest.approx(total)
    assert beta[0] == pytest.approx(total)
    middle = len(text) // 2
    through = [
        score
        for pieces, score in scored(text, log_probs)
        if middle in {sum(map(len, pieces[:n])) for n in range(len(pieces) + 1)}
    ]
    assert alpha[middle] + beta[middle] == pytest.approx(
        math.log(sum(math.exp(score) for score in through))
    )


@settings(max_examples=20, deadline=None)
@given(st.text("ab", min_size=2, max_size=5), PIECES, st.sampled_from([0.5, 1.0, 3.0]))
def test_samples_are_as_frequent_as_they_are_probable(text, log_probs, temperature):
    ways = scored(text, log_probs)
    assume(len(ways) > 1)
    weights = {tuple(pieces): math.exp(score / temperature) for pieces, score in ways}
    generator = random.Random(0)
    draws = 1000
    counts = Counter(
        tuple(segmentation.sample_segmentation(text, log_probs, generator, temperature))
        for _ in range(draws)
    )
    for pieces, weight in weights.items():
        p = weight / sum(weights.values())
        spread = math.sqrt(draws * p * (1 - p))
        assert abs(counts[pieces] - draws * p) < 5 * spread + 3


def test_segmentation_by_hand():
    log_probs = {
        p: math.log(q) for p, q in {"h": 0.1, "u": 0.1, "g": 0.1, "hu": 0.3, "ug": 0.4}.items()
    }
    # h·ug = 0.04, hu·g = 0.03, h·u·g = 0.001
    assert segmentation.viterbi("hug", log_probs) == ["h", "ug"]
    arcs = segmentation.lattice("hug", log_probs)
    assert [[begin for begin, _ in incoming] for incoming in arcs] == [[], [0], [0, 1], [1, 2]]
    assert math.exp(segmentation.forward(arcs)[-1]) == pytest.approx(0.071)
    assert segmentation.viterbi("", log_probs) == []
    assert segmentation.viterbi("h☃g", log_probs) == ["h", "☃", "g"]


def test_the_longest_piece_and_ties():
    assert segmentation.viterbi("aaa", {"a": -1.0, "aaa": -1.0}, longest=2) == ["a", "a", "a"]
    assert segmentation.viterbi("aaa", {"a": -1.0, "aaa": -1.0}, longest=3) == ["aaa"]
    assert segmentation.viterbi("a" * 40, {"a": -1.0, "a" * 40: -9.0}) == ["a" * 40]
    assert segmentation.viterbi("aaa", {"a": -1.0, "aa": -1.0}) == ["a", "aa"]
    assert segmentation.viterbi("aa", {"a": -1.0, "aa": -2.0}) == ["aa"]


def test_extreme_lengths_and_probabilities():
    text = "ab" * 5000
    log_probs = {"a": -700.0, "b": -0.001, "ab": -650.0}
    assert segmentation.viterbi(text, log_probs) == ["ab"] * 5000
    total = segmentation.forward(segmentation.lattice(text, log_probs))[-1]
    assert math.isfinite(total)
    assert total == pytest.approx(5000 * -650.0)
    near = segmentation.sample_segmentation(
        "abab", {"a": -1.0, "b": -1.0, "ab": -1.9}, random.Random(0), 1e-3
    )
    assert near == ["ab", "ab"]


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_errors_name_rule_value_and_remedy(temperature):
    with pytest.raises(ValueError, match=r"temperature must be positive; got .*\. Use a small one"):
        segmentation.sample_segmentation("ab", {"a": -1.0}, random.Random(0), temperature)
