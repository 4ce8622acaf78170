"""The pictures of the rope chapter draw what torch, plain formulas and the trained models give."""

import math

import pytest
import torch
from matplotlib.colors import to_hex

from course_lib.chapters.rope import figures, long_texts
from course_lib.chapters.rope.figures.distance import PAIRS, expected_for_equal, scores_at
from course_lib.chapters.rope.figures.measured import (
    FACTORS,
    GUESS,
    NAMES,
    method_losses,
    scaled_losses,
)
from course_lib.chapters.rope.figures.planes import frequencies_of, wavelengths
from course_lib.chapters.rope.figures.rotation import FARTHEST, degrees_apart, rotated, score_map
from course_lib.chapters.rope.figures.tables import shuffled
from course_lib.chapters.rope.position_toys import DISTANCES, METHODS, trained
from course_lib.chapters.rope.scalings import SCALINGS, rope_request
from course_lib.positions import sinusoidal_table
from course_lib.study.display.plotting import figure_title, png_bytes

Q = torch.tensor([1.0, 0.3, -0.5, 0.8, 0.4, 0.9, 0.6, -0.2], dtype=torch.float64)
K = torch.tensor([0.8, -0.4, 0.7, 0.5, -0.6, 0.5, -0.3, 0.9], dtype=torch.float64)


def complex_turn(x, position, base):
    """Turn halves with complex numbers: another way to the same vector."""
    half = len(x) // 2
    speed = torch.tensor([base ** (-i / half) for i in range(half)], dtype=torch.float64)
    hands = torch.complex(x[:half], x[half:]) * torch.polar(
        torch.ones(half).double(), position * speed
    )
    return torch.cat((hands.real, hands.imag))


def test_hands_are_rotated_as_complex_numbers_are():
    assert torch.allclose(rotated(Q, 12, 100.0), complex_turn(Q, 12, 100.0), atol=1e-5)


@pytest.mark.parametrize(("m", "n"), [(12, 5), (5, 12), (30, 23), (0, 0)])
def test_the_clocks_show_the_rotated_hands_and_their_score(m, n):
    figure = figures.clocks(Q, K, m, n, 100.0)
    *clocks, score_panel = figure.axes
    q, k = complex_turn(Q, m, 100.0), complex_turn(K, n, 100.0)
    for i, ax in enumerate(clocks):
        ends = [line.get_xydata()[1] for line in ax.lines if len(line.get_xydata()) == 2]
        assert ends[0] == pytest.approx(q[i::4].tolist(), abs=1e-5)
        assert ends[1] == pytest.approx(k[i::4].tolist(), abs=1e-5)
    shown = f"{(q @ k).item():.3f}".replace("-", "−")
    assert f"the score is {shown}" in figure_title(figure)
    assert "constant along each diagonal" in score_panel.get_title(loc="left").replace("\n", " ")


def test_what_stands_below_the_clocks_depends_on_the_difference_alone():
    def below(m, n):
        clocks = figures.clocks(Q, K, m, n, 100.0).axes[:-1]
        return [text.get_text() for ax in clocks for text in ax.texts if "apart" in text.get_text()]

    assert len(below(12, 5)) == 4
    assert below(12, 5) == below(30, 23)
    assert below(12, 5) != below(12, 6)


def test_the_angle_between_two_hands():
    def hand(degrees, length):
        angle = math.radians(degrees)
        return torch.tensor([length * math.cos(angle), length * math.sin(angle)])

    assert degrees_apart(hand(10, 1.0), hand(100, 3.0)) == pytest.approx(90, abs=0.1)
    assert degrees_apart(hand(0, 1.0), hand(190, 1.0)) == pytest.approx(170, abs=0.1)


def test_the_map_of_scores_is_constant_along_diagonals_and_not_across():
    scores = score_map(Q, K, 100.0)
    assert scores[20, 13] == pytest.approx(scores[27, 20].item(), abs=1e-4)
    assert scores[20, 13] != pytest.approx(scores[20, 14].item(), abs=1e-2)
    assert scores[9, 4] == pytest.approx(
        (complex_turn(Q, 9, 100.0) @ complex_turn(K, 4, 100.0)).item(), abs=1e-5
    )


def test_positions_off_the_map_are_errors():
    with pytest.raises(ValueError, match=rf"\b0 to {FARTHEST - 1}\b.*m = {FARTHEST}\b.*n = 0\b"):
        figures.clocks(Q, K, FARTHEST, 0)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.3])
def test_the_right_matrix_keeps_lengths_and_the_mistaken_one_does_not(angle):
    right = figures.plane_matrix("a rotation", angle)
    wrong = figures.plane_matrix("minus in both rows", angle)
    assert torch.allclose(right @ right.T, torch.eye(2).double())
    assert torch.linalg.det(right) == pytest.approx(1)
    assert torch.linalg.det(wrong) == pytest.approx(math.cos(2 * angle))
    said = figure_title(figures.rotation_or_not(angle))
    assert said.count("every length stays 1") == (2 if angle == 0 else 1)
    if angle:
        longest = math.cos(angle) + math.sin(angle)
        assert f"to {longest:.2f}" in said


def test_distance_tells_all_of_a_sinusoidal_table_and_nothing_of_a_shuffled_one():
    table = sinusoidal_table(48, 32)
    ordered = figures.similarities(table)
    assert figures.share_by_distance(ordered) == pytest.approx(1, abs=1e-6)
    assert figures.share_by_distance(figures.similarities(shuffled(table))) < 0.1
    by_hand = sum(math.cos(5 * 10_000 ** (-i / 16)) for i in range(16)) / 16
    assert ordered[20, 15] == pytest.approx(by_hand, abs=1e-6)


def test_the_share_is_that_of_a_least_squares_fit():
    matrix = torch.randn(12, 12, generator=torch.Generator().manual_seed(0)).double()
    matrix = matrix + matrix.T
    place = torch.arange(12)
    off = place[:, None] != place
    distance = (place[:, None] - place).abs()[off]
    design = torch.nn.functional.one_hot(distance - 1, 11).double()
    values = matrix[off]
    left = values - design @ torch.linalg.lstsq(design, values[:, None]).solution[:, 0]
    share = 1 - (left.square().sum() / (values - values.mean()).square().sum()).item()
    assert figures.share_by_distance(matrix) == pytest.approx(share)


def test_a_shuffled_table_has_the_same_rows():
    table = torch.arange(12.0).reshape(6, 2)
    mixed = shuffled(table, 1)
    assert sorted(mixed.tolist()) == table.tolist()
    assert not torch.equal(mixed, table)


def test_the_position_table_is_drawn_as_it_is():
    table = sinusoidal_table(20, 8)
    left, middle, right, scale = figures.position_table(table, "sinusoidal").axes
    assert torch.allclose(torch.tensor(left.images[0].get_array().data).float(), table)
    assert torch.allclose(
        torch.tensor(middle.images[0].get_array().data), figures.similarities(table)
    )
    assert scale.get_ylabel() == "cosine of two rows"
    assert "distance explains 100 %" in middle.get_title(loc="left").replace("\n", " ")
    assert right.images[0].get_array()[3, 3] == pytest.approx(1)


@pytest.mark.parametrize(("slope", "share"), [(0.5, 0.9), (0.01, 0.9), (2.0, 0.5)])
def test_the_reach_is_the_number_of_tokens_that_hold_the_share(slope, share):
    weights = torch.softmax(-slope * torch.arange(20_000).double(), 0).cumsum(0)
    count = figures.reach(slope, share)
    assert weights[count - 1] >= share - 1e-9
    assert count == 1 or weights[count - 2] < share


def test_the_bias_and_the_weights_of_a_head_are_drawn():
    left, middle, right = figures.alibi(8, 3, tokens=16).axes
    drawn = left.images[0].get_array()
    assert drawn[10, 4] == pytest.approx(-6 / 8)
    assert drawn.mask[4, 10], "the future is grey"
    expected = torch.softmax(-torch.arange(15, -1, -1) / 8, 0)
    assert list(middle.lines[-1].get_ydata()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert len(right.patches) == 8
    with pytest.raises(ValueError, match=r"\b1 and .*\b4\b.*\b5\b"):
        figures.alibi(4, 5)


def test_the_wavelengths_are_counted_against_the_trained_length():
    (ax,) = figures.wavelength_map(128, 10_000, 4096).axes
    waves = [2 * math.pi * 10_000 ** (2 * i / 128) for i in range(64)]
    short = [wave for wave in waves if wave <= 4096]
    assert list(ax.lines[0].get_ydata()) == pytest.approx(short, rel=1e-4)
    assert f"{64 - len(short)} of 64 planes" in figure_title(ax.figure)
    assert len(ax.lines[1].get_ydata()) == 64 - len(short)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_no_scaling_makes_a_plane_faster_or_more_than_the_factor_slower(scaling):
    plain = frequencies_of("plain", 4, 128, 10_000.0, 4096)
    slower = plain / frequencies_of(scaling, 4, 128, 10_000.0, 4096)
    assert slower.min() > 1 - 1e-5
    limit = 13 if scaling == "dynamic" else 4  # dynamic takes its factor times the stretch
    assert slower.max() < limit + 1e-3
    unchanged = frequencies_of(scaling, 1, 128, 10_000.0, 4096)
    assert torch.equal(plain, unchanged)


def test_an_unknown_scaling_is_an_error():
    with pytest.raises(ValueError, match=r"plain, .*'magic'"):
        rope_request("magic", 4, 128, 1e4, 4096)


def test_the_slowdown_is_the_ratio_of_frequencies():
    (ax,) = figures.slowdown(4, 128, 10_000, 4096).axes
    curves = {
        line.get_label(): line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 64
    }
    assert set(curves) == set(SCALINGS) - {"dynamic"}
    assert list(curves["interpolation"]) == pytest.approx([4.0] * 64)
    assert curves["NTK-aware"][-1] == pytest.approx(4, rel=1e-4)
    assert curves["NTK-aware"][0] == pytest.approx(1)
    assert "YaRN leaves" in figure_title(ax.figure)
    alone = sum(value == 1 for value in curves["YaRN"])
    assert f"YaRN leaves {alone} unchanged" in figure_title(ax.figure)


def test_wavelengths_are_full_turns():
    assert wavelengths(torch.tensor([1.0, 0.5])).tolist() == pytest.approx([math.tau, 2 * math.tau])


def test_equal_pairs_fall_as_the_cosines_say_and_independent_ones_stay():
    generator = torch.Generator().manual_seed(3)
    q, k = (torch.randn(4000, 32, generator=generator) for _ in range(2))
    distances = torch.tensor([0, 1, 7, 60])
    exact = [
        2 * sum(math.cos(d * 100 ** (-i / 16)) for i in range(16)) / 32**0.5
        for d in distances.tolist()
    ]
    assert expected_for_equal(32, distances, 100.0).tolist() == pytest.approx(exact, abs=1e-4)
    assert scores_at(q, q, distances, 100.0).mean(0).tolist() == pytest.approx(exact, abs=0.1)
    apart = scores_at(q, k, distances, 100.0)
    assert apart.mean(0).abs().max() < 0.06
    assert apart.std(0).tolist() == pytest.approx([1.0] * 4, abs=0.05)


def test_the_decay_picture_states_what_it_measured():
    figure = figures.decay(64, 10_000.0)
    apart, alike = (ax.lines[0].get_ydata() for ax in figure.axes)
    assert f"within {max(map(abs, apart)):.2f} of 0" in figure_title(figure)
    assert max(map(abs, apart)) < 4 / PAIRS**0.5
    assert f"falls from {alike[0]:.1f} to {alike[-1]:.1f}" in figure_title(figure)
    assert alike[0] == pytest.approx(8, abs=0.3)


def test_context_extension_draws_the_measured_losses():
    (ax,) = figures.context_extension(4).axes
    curves = {line.get_label(): line.get_ydata() for line in ax.lines if line.get_label()[0] != "_"}
    assert set(curves) == set(SCALINGS)
    for scaling, losses in curves.items():
        assert tuple(losses) == scaled_losses(scaling, 1 if scaling == "plain" else 4)
    at_64 = {name: row[DISTANCES.index(64)] for name, row in curves.items() if name != "plain"}
    best = min(at_64, key=at_64.get)
    assert f"{best} stretched 4 times {at_64[best]:.1f}" in figure_title(ax.figure)
    with pytest.raises(ValueError, match=r"factor.*one of"):
        figures.context_extension(3)


def test_what_the_chapter_says_of_the_scalings_is_what_was_measured():
    near, far = DISTANCES.index(16), DISTANCES.index(64)
    plain = scaled_losses("plain", 1)
    assert plain[near] < 1 < GUESS < plain[far]
    four = {name: scaled_losses(name, 4) for name in SCALINGS if name != "plain"}
    assert max(four, key=lambda name: four[name][near]) == "interpolation"
    assert four["interpolation"][near] > 4
    for name in ("NTK-aware", "YaRN", "Llama 3", "dynamic"):
        assert four[name][far] < plain[far] - 2
    assert four["dynamic"][near] == pytest.approx(plain[near], abs=1e-5)
    assert four["YaRN"][near] > plain[near] + 1, "short texts pay"
    assert FACTORS[0] == 1


def test_method_comparison_draws_the_measured_losses():
    left, right = figures.method_comparison(64).axes
    curves = {
        line.get_label(): line.get_ydata() for line in right.lines if line.get_label()[0] != "_"
    }
    assert set(curves) == set(NAMES.values())
    for method in METHODS:
        assert list(curves[NAMES[method]]) == pytest.approx(method_losses(method), nan_ok=True)
    bars = [patch.get_width() for patch in left.patches]
    place = DISTANCES.index(64)
    drawn = [0 if math.isnan(row) else row for row in (method_losses(m)[place] for m in METHODS)]
    assert bars == pytest.approx(drawn)
    assert any("beyond the table" in text.get_text() for text in left.texts)
    with pytest.raises(ValueError, match=r"distance.*one of.*\b5\b"):
        figures.method_comparison(5)


@pytest.mark.parametrize("factor", long_texts.STRETCHES)
def test_long_text_draws_the_stored_losses(factor):
    left, right = figures.long_text(factor).axes
    window = long_texts.stored_losses("window")
    assert list(left.lines[0].get_ydata()) == pytest.approx(window.mean(0).tolist())
    named = [text.get_text() for text in right.texts]
    assert named == ["window of 256", *long_texts.RULES]
    assert list(right.lines[0].get_ydata()) == [0, 0]
    colours = [to_hex(colour) for colour in right.collections[-1].get_colors()]
    assert colours == [to_hex(line.get_color()) for line in right.lines]
    for rule, line in zip(long_texts.RULES, right.lines[1:], strict=True):
        curve = line.get_ydata()
        losses = long_texts.stored_losses(rule, 1 if rule == "plain" else factor)
        assert list(curve) == pytest.approx((losses - window).mean(0).tolist(), abs=1e-9), rule
    assert "bands: ± 2" in figure_title(right.figure)
    with pytest.raises(ValueError, match=r"factor.*\(2, 4\).*\b3\b"):
        figures.long_text(3)


DRAWINGS = {
    "long_text": lambda: figures.long_text(4),
    "clocks": lambda: figures.clocks(Q, K, 3, 1),
    "rotation_or_not": lambda: figures.rotation_or_not(0.5),
    "position_table": lambda: figures.position_table(trained("learned").table, "learned"),
    "alibi": lambda: figures.alibi(8, 2),
    "wavelength_map": lambda: figures.wavelength_map(64, 10_000, 2048),
    "slowdown": lambda: figures.slowdown(8, 64, 10_000, 2048),
    "decay": lambda: figures.decay(32, 100.0),
    "context_extension": lambda: figures.context_extension(2),
    "method_comparison": lambda: figures.method_comparison(16),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_picture_drawn_twice_has_the_same_bytes_and_says_something(name):
    figure = DRAWINGS[name]()
    assert png_bytes(figure) == png_bytes(DRAWINGS[name]())
    assert figure_title(figure) != "untitled"
    for ax in figure.axes:
        if ax.get_label() != "<colorbar>":
            assert ax.get_title(loc="left"), "each panel states its finding"


def test_every_picture_is_covered_here():
    numbers = {
        "plane_matrix",
        "reach",
        "share_by_distance",
        "similarities",
    }
    assert set(DRAWINGS) == set(figures.__all__) - numbers
