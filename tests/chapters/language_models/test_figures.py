"""The pictures of this chapter draw the numbers that independent computations give."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from matplotlib.colors import to_rgb

from course_lib.chapters.language_models import figures
from course_lib.chapters.language_models.figures.arithmetic import (
    WHOLE,
    coder_steps,
    settled_bits,
    shortest_number,
)
from course_lib.chapters.language_models.figures.channel import BELOW, FLOOR
from course_lib.chapters.language_models.figures.huffman import nodes
from course_lib.chapters.language_models.figures.tasks import ONLY_VISIBLE, SEEN, UNSEEN
from course_lib.information import average_length, huffman_code, least_bit_error
from course_lib.ngrams import Sparsity, uniform
from course_lib.study.display.plotting import figure_title, png_bytes

TOKENS = ("the", " cat", "$", "<s>", "\n")
P = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
Q = torch.tensor([0.25, 0.25, 0.25, 0.25], dtype=torch.float64)
NAMES = ("a", "b", "c", "d")
ROWS = [Sparsity(1, 256, 100, 3, 0.0), Sparsity(2, 65536, 2500, 500, 0.01)]


def words(ax):
    return " ".join(text.get_text() for text in ax.texts)


def bars(ax):
    return [patch for container in ax.containers for patch in container]


def cells(figure):
    return torch.tensor(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize(("prefix", "hidden"), [(0, 0), (2, 3), (5, 4)])
def test_the_tables_show_who_may_read_whom(prefix, hidden):
    drawn = cells(figures.tasks(TOKENS, prefix, hidden))
    length = len(TOKENS)
    rules = (
        (lambda t, s: s < t, lambda t: True),
        (lambda t, s: s != hidden, lambda t: t == hidden),
        (lambda t, s: s < t or max(s, t) < prefix, lambda t: t >= prefix),
    )
    for place, (sees, asked) in enumerate(rules):
        for t, s in itertools.product(range(length), repeat=2):
            colour = UNSEEN if not sees(t, s) else SEEN if asked(t) else ONLY_VISIBLE
            found = drawn[t, place * (length + 1) + s]
            assert found.tolist() == pytest.approx(to_rgb(colour), abs=1e-6)


def test_the_tasks_are_counted_in_words():
    said = figure_title(figures.tasks(TOKENS, 2, 3))
    assert said == (
        "Predicted: causal 5 of 5 tokens from 2 each; masked (<s>) 1 of 5 tokens from 4 each; "
        "prefix 3 of 5 tokens from 3 each"
    )
    assert "prefix no token" in figure_title(figures.tasks(TOKENS, 5, 3))


def test_the_curves_of_sparsity_are_the_rows():
    left, right = figures.sparsity_curves(ROWS).axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[256, 65536], [100, 2500]]
    once, new = (line.get_ydata().tolist() for line in right.lines)
    assert once == pytest.approx([0.03, 0.2])
    assert new == [0.0, 0.01]
    assert figure_title(left.figure) == (
        "One possible 2-gram in 26.2 was seen; 1% of the 2-grams of a new text were never counted"
    )
    large = [Sparsity(6, 256**6, 84_000, 1, 0.3)]
    assert "One possible 6-gram in 3.4 · 10⁹" in figure_title(figures.sparsity_curves(large))


def test_a_sampled_text_is_written_out_with_the_likeliest_bytes():
    p = torch.full((256,), 0.5 / 254, dtype=torch.float64)
    p[[101, 32]] = torch.tensor([0.3, 0.2], dtype=torch.float64)
    left, right = figures.sampled_text(b"a$b\n\xff" * 3, p, 1, 0.5).axes
    assert left.texts[0].get_text() == "a\\$b↵·" * 3
    assert [label.get_text() for label in right.get_xticklabels()][:2] == ["e", "␣"]
    assert bars(right)[0].get_height() == pytest.approx(0.3)
    said = figure_title(left.figure)
    assert "n = 1: each byte is sampled given nothing" in said
    assert "at temperature 0.5" in said
    open_choice = figure_title(figures.sampled_text(b"x", uniform(256)([]), 3, 1.0))
    assert "sampled given the last 2 bytes" in open_choice
    assert "Perplexity of the next byte: 256" in open_choice
    assert "temperature" not in open_choice


@pytest.mark.parametrize("heads", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_coin_lies_on_the_curve_of_entropy(heads):
    left, right = figures.coin(heads).axes
    expected = torch.distributions.Bernoulli(torch.tensor(heads)).entropy().item() / math.log(2)
    assert left.lines[1].get_ydata()[0] == pytest.approx(expected, abs=1e-5)
    assert max(left.lines[0].get_ydata()) == pytest.approx(1.0)
    shown = [bar.get_height() for bar in bars(right)]
    surprises = [-math.log2(share) if share else math.inf for share in (heads, 1 - heads)]
    assert shown == pytest.approx([min(8, each) for each in surprises])
    assert f"worth {expected:.3f} bits" in figure_title(left.figure)


def test_a_coin_has_a_probability():
    with pytest.raises(ValueError, match=r"\b0 to 1\b.*\b1\.5\b"):
        figures.coin(1.5)


def test_the_parts_of_the_entropy_add_up_to_it():
    left, right = figures.distribution(P, NAMES).axes
    assert [bar.get_height() for bar in bars(left)] == P.tolist()
    widths = [bar.get_width() for bar in bars(right)]
    assert widths == pytest.approx([0.5, 0.5, 0.375, 0.375])
    assert "Entropy 1.750 bits: perplexity 3.36" in figure_title(left.figure)
    with_zero = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    assert "Entropy 1.000 bits" in figure_title(figures.distribution(with_zero, NAMES[:3]))


def test_the_price_of_a_wrong_model_is_what_torch_says():
    right = figures.divergence(P, Q, NAMES).axes[1]
    price = torch.nn.functional.kl_div(Q.log(), P, reduction="sum").item() / math.log(2)
    backwards = torch.nn.functional.kl_div(P.log(), Q, reduction="sum").item() / math.log(2)
    assert [bar.get_width() for bar in bars(right)] == pytest.approx([1.75, price, 2.0, backwards])
    said = figure_title(right.figure)
    assert "pays 2.000 bits: 1.750 unavoidable, 0.250 for being wrong" in said
    assert "a costs most: it happens 50%, expected 25%" in said
    assert "expects what happens" in figure_title(figures.divergence(P, P, NAMES))


def test_surprise_is_drawn_in_bits_for_each_byte():
    nats = torch.tensor([-math.log(2), -math.log(8)], dtype=torch.float64)
    figure = figures.surprise("ab", {"one": nats, "two": 2 * nats})
    drawn = figure.axes[0].images[0].get_array().data
    assert drawn.tolist() == [pytest.approx([1.0, 3.0]), pytest.approx([2.0, 6.0])]
    spaced = figures.surprise("ab", {"n = 1": nats}).axes[0]
    assert [label.get_text() for label in spaced.get_yticklabels()] == ["n = 1"]
    assert figure_title(spaced.figure) == "Bits per byte: 2.00 with n = 1"
    assert figure_title(figure) == "Bits per byte: 2.00 with one, 4.00 with two"


def test_the_tree_spells_the_words():
    left, right = figures.huffman_tree(P, NAMES).axes
    found = nodes(huffman_code(P), P)
    assert found[""][1] == pytest.approx(1.0)
    assert {word: share for word, (_, share) in found.items() if len(word) == 2} == {
        "10": 0.25,
        "11": 0.25,
    }
    for word in ("0", "10", "110", "111"):
        assert f" {word}" in words(right)
    assert "H = 1.750 ≤ L = 1.750 < H + 1: 0.000 bits wasted" in figure_title(left.figure)
    assert "All words have the same length" in figure_title(figures.huffman_tree(Q, NAMES))


def test_the_waste_in_the_title_is_that_of_the_code():
    uneven = torch.tensor([0.9, 0.1], dtype=torch.float64)
    spent = average_length(huffman_code(uneven), uneven)
    assert spent == 1.0
    assert "0.531 bits wasted" in figure_title(figures.huffman_tree(uneven, NAMES[:2]))


@pytest.mark.parametrize("ids", [[0, 1, 2, 0], [2, 2], [1]])
def test_the_interval_is_as_wide_as_the_text_is_probable(ids):
    shares = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    model = lambda context: torch.tensor([0.5, 0.25, 0.25])  # noqa: E731
    low, width = Fraction(0), Fraction(1)
    for token, step in zip(ids, coder_steps(ids, model), strict=True):
        low += width * sum(shares[:token], Fraction(0))
        width *= shares[token]
        # Every token keeps a sliver, so the shares are exact to about one part in a hundred million
        assert step.new_low / WHOLE == pytest.approx(float(low), abs=1e-7)
        assert (step.new_high - step.new_low) / WHOLE == pytest.approx(float(width), abs=1e-7)


def test_bits_are_settled_when_the_whole_interval_agrees():
    eighth = WHOLE // 8
    assert settled_bits(5 * eighth, 6 * eighth) == "101"
    assert settled_bits(3 * eighth, 5 * eighth) == ""
    assert shortest_number(5 * eighth, 6 * eighth) == "101"
    assert shortest_number(3 * eighth, 5 * eighth) == "1"
    assert shortest_number(0, eighth) == "0"
    with pytest.raises(ValueError, match=r"one number.*\b7 to 7\b"):
        shortest_number(7, 7)


def test_each_step_of_the_coder_is_listed():
    model = lambda context: torch.tensor([0.5, 0.25, 0.25])  # noqa: E731
    figure = figures.arithmetic_steps([1, 0], model, "abc", 2)
    assert figure_title(figure) == "After “ba”: the interval is 0.125 wide, worth 3.00 bits"
    assert "shortest number inside: 0.1, digits after the point: 1" in words(figure.axes[0])
    before = figures.arithmetic_steps([1, 0], model, "abc", 0)
    assert "After nothing: the interval is 1 wide, worth 0.00 bits" in figure_title(before)
    assert "settled binary digits: none yet" in words(before.axes[0])
    assert "shortest" not in words(before.axes[0])
    with pytest.raises(ValueError, match=r"\b0 and .*\b2\b.*\b3\b"):
        figures.arithmetic_steps([1, 0], model, "abc", 3)


def test_the_capacity_is_one_minus_the_entropy_of_a_flip():
    (ax,) = figures.capacity_curve(0.1).axes
    entropy = torch.distributions.Bernoulli(torch.tensor(0.1)).entropy().item() / math.log(2)
    assert ax.lines[1].get_ydata()[0] == pytest.approx(1 - entropy, abs=1e-5)
    assert "a bit sent carries 0.531 bits" in figure_title(ax.figure)
    assert min(ax.lines[0].get_ydata()) == pytest.approx(0.0, abs=1e-9)


def test_the_points_are_the_measured_error_rates():
    left, right = figures.code_errors(0.1, blocks=500).axes
    points = {round(line.get_xdata()[0], 3): line.get_ydata()[0] for line in left.lines[1:]}
    thrice = 10 ** points[round(1 / 3, 3)]
    assert thrice == pytest.approx(0.028, abs=0.02)
    assert 10 ** points[1.0] == pytest.approx(0.1, abs=0.04)
    below, above = (line.get_ydata() for line in right.lines)
    assert below[-1] < below[0]
    assert above[-1] > above[0]
    assert "rate 0.25, below capacity" in words(right)
    assert "rate 0.75, above capacity" in words(right)
    assert len(below) == len(BELOW)
    assert all(point >= math.log10(FLOOR) for point in points.values())


def test_a_noisier_line_has_less_capacity_and_puts_both_rates_above_it():
    right = figures.code_errors(0.3, blocks=100).axes[1]
    assert "rate 0.25, above capacity" in words(right)


def test_the_coloured_region_begins_at_the_capacity():
    region = figures.code_errors(0.1, blocks=50).axes[0].collections[0].get_paths()[0].vertices
    entropy = torch.distributions.Bernoulli(torch.tensor(0.1)).entropy().item() / math.log(2)
    raised = region[region[:, 1] > math.log10(FLOOR) + 1e-9]
    assert raised[:, 0].min() == pytest.approx(1 - entropy, abs=0.02)
    assert raised[:, 0].max() == pytest.approx(1.0)
    assert 10 ** raised[:, 1].max() == pytest.approx(0.1)  # at rate 1 every flip is an error
    for rate, height in raised:
        assert 10**height == pytest.approx(least_bit_error(rate, 0.1), rel=1e-6)


@pytest.mark.parametrize("flip", [0, 0.5, 0.7])
def test_lines_that_say_nothing_or_the_opposite_are_errors(flip):
    with pytest.raises(ValueError, match=rf"\b0 and 0\.5\b.*{flip}"):
        figures.code_errors(flip)


DRAWINGS = {
    "arithmetic_steps": lambda: figures.arithmetic_steps([0, 1], uniform(2), "ab", 1),
    "capacity_curve": lambda: figures.capacity_curve(0.1),
    "code_errors": lambda: figures.code_errors(0.1, blocks=50),
    "coin": lambda: figures.coin(0.7),
    "distribution": lambda: figures.distribution(P, NAMES),
    "divergence": lambda: figures.divergence(P, Q, NAMES),
    "huffman_tree": lambda: figures.huffman_tree(P, NAMES),
    "sampled_text": lambda: figures.sampled_text(b"text", uniform(256)([]), 2, 1.0),
    "sparsity_curves": lambda: figures.sparsity_curves(ROWS),
    "surprise": lambda: figures.surprise("ab", {"one": torch.tensor([-1.0, -2.0])}),
    "tasks": lambda: figures.tasks(TOKENS, 2, 3),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_picture_drawn_twice_has_the_same_bytes_and_says_what_it_finds(name):
    figure = DRAWINGS[name]()
    assert png_bytes(figure) == png_bytes(DRAWINGS[name]())
    assert figure_title(figure) != "untitled"


def test_every_picture_is_covered_here():
    assert set(DRAWINGS) == set(figures.__all__) - {"shown_text"}


@pytest.mark.parametrize("flip", [0.05, 0.1, 0.25, 0.4])
def test_the_names_of_codes_do_not_overlap(flip):
    places = [text.get_position() for text in figures.code_errors(flip, blocks=50).axes[0].texts]
    assert len(places) == 6
    for i, (x, y) in enumerate(places):
        for a, b in places[:i]:
            assert abs(x - a) >= 0.3 or abs(y - b) >= 0.18
