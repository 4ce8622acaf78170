"""The pictures of the softmax chapter draw the numbers that torch gives."""

import math

import pytest
import torch
from matplotlib.colors import to_rgba
from torch.nn.functional import cross_entropy

from course_lib.chapters.softmax import figures
from course_lib.chapters.softmax.figures.precision import (
    FORMS,
    LARGEST,
    OUTCOMES,
    log_errors,
    outcomes,
)
from course_lib.study.display.plotting import OKABE_ITO, figure_title, png_bytes

SCORES = torch.tensor([2.0, 1.2, 0.6, 0.0, -1.0], dtype=torch.float64)
TOKENS = (" cat", "$", "<s>", "中", "\n")
STREAM = torch.tensor([0.5, 2.0, -1.0, 3.0, 1.5, 2.5], dtype=torch.float64)


def bars(ax):
    return [patch for container in ax.containers for patch in container]


def heights(ax):
    return [bar.get_height() for bar in bars(ax)]


def colours(ax):
    return [bar.get_facecolor() for bar in bars(ax)]


def words(ax):
    return " ".join(text.get_text() for text in ax.texts)


@pytest.mark.parametrize("heat", [0.1, 0.5, 1, 10.0])
def test_the_bars_are_the_probabilities_at_that_temperature(heat):
    left, right = figures.temperature(SCORES, TOKENS, heat, 0.5).axes
    expected = torch.softmax(SCORES / heat, -1)
    assert heights(left) == pytest.approx(expected.tolist())
    assert heights(right) == pytest.approx(expected.tolist())
    tops = [bar.get_y() + bar.get_height() for bar in bars(right)]
    assert tops == pytest.approx(expected.cumsum(-1).tolist())


def test_one_draw_picks_another_token_as_the_temperature_moves():
    chosen = {}
    for heat in (0.3, 1.0, 10.0):
        figure = figures.temperature(SCORES, TOKENS, heat, 0.62)
        marked = colours(figure.axes[0])
        assert marked == colours(figure.axes[1])
        assert len(set(marked)) == 2
        (chosen[heat],) = [i for i, colour in enumerate(marked) if marked.count(colour) == 1]
    assert chosen == {0.3: 0, 1.0: 1, 10.0: 2}


def test_the_title_names_the_token_and_its_part_of_the_line():
    said = figure_title(figures.temperature(SCORES, TOKENS, 1.0, 0.62))
    p = torch.softmax(SCORES, -1)
    start, end = p[0], p[:2].sum()
    assert said == (
        f"At temperature 1 the largest p is {p[0]:.2f}; "
        f"u = 0.62 falls on $: {start:.2f} to {end:.2f}"
    )


def test_a_draw_falls_on_the_part_that_holds_it():
    halves = torch.tensor([0.25, 0.0, 0.75])
    assert [figures.drawn_token(halves, u) for u in (0, 0.2499, 0.25, 0.999)] == [0, 0, 2, 2]
    generator = torch.Generator().manual_seed(0)
    p = torch.softmax(SCORES, -1)
    draws = torch.rand(20_000, generator=generator).tolist()
    counts = torch.bincount(torch.tensor([figures.drawn_token(p, u) for u in draws]))
    assert (counts / len(draws)).tolist() == pytest.approx(p.tolist(), abs=0.015)
    rounded = torch.full((10,), 0.1, dtype=torch.float16)
    assert figures.drawn_token(rounded, 0.9999) == 9
    for outside in (1.0, -0.1):
        with pytest.raises(ValueError, match=rf"\b0 .*\b1\b.*{outside}"):
            figures.drawn_token(p, outside)


@pytest.mark.parametrize(("ties", "limit"), [(1, 0.0), (3, math.log(3)), (5, math.log(5))])
def test_the_entropy_curve_runs_between_its_two_limits(ties, limit):
    scores = SCORES.clone()
    scores[:ties] = 2.0
    (ax,) = figures.entropy_curve(scores, 1.0).axes
    curve, hot, cold, marker = ax.lines
    values = curve.get_ydata()
    assert values[0] == pytest.approx(limit, abs=1e-6)
    assert values[-1] == pytest.approx(math.log(5), abs=1e-3)
    assert (hot.get_ydata()[0], cold.get_ydata()[0]) == pytest.approx((math.log(5), limit))
    here = torch.distributions.Categorical(logits=scores).entropy().item()
    assert marker.get_ydata()[0] == pytest.approx(here)
    assert f"{math.exp(here):.2f} equally likely" in figure_title(ax.figure)
    assert f"log {ties} = {limit:.2f}" in words(ax)


@pytest.mark.parametrize(
    ("form", "dtype", "magnitude", "outcome"),
    [
        ("naive", "float16", 5.0, "right"),
        ("naive", "float16", 10.0, "right, but small p are 0"),
        ("naive", "float16", 12.0, "nan"),
        ("stable", "float16", 12.0, "right, but small p are 0"),
        ("naive", "bfloat16", 88.0, "right, but small p are 0"),
        ("naive", "bfloat16", 89.0, "nan"),
        ("naive", "float32", 89.0, "nan"),
        ("stable", "float32", 20.0, "right"),
        ("naive", "float64", 700.0, "right, but small p are 0"),
        ("naive", "float64", 710.0, "nan"),
        ("stable", "float64", 10_000.0, "right, but small p are 0"),
    ],
)
def test_outcomes_are_what_each_type_really_does(form, dtype, magnitude, outcome):
    found = outcomes(form, dtype, torch.tensor([magnitude], dtype=torch.float64))
    assert list(OUTCOMES)[found.item()] == outcome


def test_a_form_that_is_merely_off_counts_as_wrong(monkeypatch):
    monkeypatch.setitem(FORMS, "stable", lambda x: torch.softmax(x, -1) * 1.01)
    found = outcomes("stable", "float32", torch.tensor([1.0]))
    assert list(OUTCOMES)[found.item()] == "wrong"


def test_the_map_shows_the_breaking_point_of_each_type_and_no_break_of_the_stable_form():
    naive, stable = (ax.images[0].get_array() for ax in figures.overflow_map().axes)
    magnitudes = torch.logspace(0, 4, 161, dtype=torch.float64)
    for row, dtype in enumerate((torch.float16, torch.bfloat16, torch.float32, torch.float64)):
        overflows = magnitudes.to(dtype).exp().isinf()
        assert (naive[row] == 3).tolist() == overflows.tolist()
    assert set(stable.ravel().tolist()) == {0, 1}


def test_the_framed_cell_is_the_chosen_one_and_its_probabilities_are_written():
    left, right = figures.overflow_map("bfloat16", 160).axes
    frame = left.patches[0]
    assert frame.get_x() + frame.get_width() / 2 == pytest.approx(math.log10(160))
    assert frame.get_y() + frame.get_height() / 2 == 1.0, "the second row"
    told = [" ".join(words(ax).split()) for ax in (left, right)]
    assert told[0] == "scores 160 80 0 −80 −160 p nan 0 0 0 0"
    assert told[1] == "scores 160 80 0 −80 −160 p 1 1.8e−35 0 0 0"
    assert figure_title(left.figure).startswith("Naive in bfloat16, up to 160: nan; Stable in")
    for magnitude in (1, LARGEST):
        edge = figures.overflow_map("float64", magnitude).axes[0].patches[0]
        assert edge.get_x() >= 0
        assert edge.get_x() + edge.get_width() <= 4


def test_the_map_refuses_what_it_cannot_run():
    with pytest.raises(ValueError, match=r"float16, .*'float8'"):
        figures.overflow_map("float8")
    with pytest.raises(ValueError, match=r"\b1 and 10000\b.*\b0\.5\b"):
        figures.overflow_map(magnitude=0.5)
    with pytest.raises(ValueError, match="must be one of"):
        figures.log_softmax_error("int8")


@pytest.mark.parametrize("step", range(7))
def test_each_step_shows_the_state_of_its_prefix(step):
    scores_panel, table, p_panel = figures.online_steps(STREAM, step).axes
    assert heights(scores_panel) == STREAM.tolist()
    drawn = heights(p_panel)
    if step:
        assert drawn[:step] == pytest.approx(torch.softmax(STREAM[:step], -1).tolist())
        prefix = STREAM[:step]
        total = (prefix - prefix.max()).exp().sum()
        last = table.texts[-1].get_text().split()
        assert last[0] == str(step)
        assert last[2] == f"{prefix.max():.2f}"
        assert last[4] == f"{total:.3f}"
    assert drawn[step:] == [0.0] * (6 - step)
    marks = p_panel.lines[0].get_ydata()
    assert list(marks) == pytest.approx(torch.softmax(STREAM, -1).tolist())
    says_equal = "equal the direct result" in figure_title(table.figure)
    assert says_equal == (step == 6)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (0, "nothing to rescale"),
        (1, "first maximum: exp(0) = 1"),
        (2, "shrinks by 0.223"),  # exp(0.5 - 2)
        (3, "exp(score − max) = 0.050"),  # exp(-1 - 2)
        (4, "shrinks by 0.368"),  # exp(2 - 3)
    ],
)
def test_each_step_is_put_into_words(step, said):
    assert said in figure_title(figures.online_steps(STREAM, step))


def test_steps_and_cuts_outside_the_scores_are_errors():
    with pytest.raises(ValueError, match=r"\b0 and .*\b6\b.*\b7\b"):
        figures.online_steps(STREAM, 7)
    with pytest.raises(ValueError, match=r"\b0 and .*\b6\b.*-1\b"):
        figures.merge(STREAM, -1)


@pytest.mark.parametrize("cut", range(7))
def test_two_blocks_merge_to_the_same_result_wherever_the_cut_is(cut):
    left, right = figures.merge(STREAM, cut).axes
    assert "exact probabilities" in figure_title(left.figure)
    assert len(set(colours(left))) == (1 if cut in (0, 6) else 2)
    total = (STREAM - 3.0).exp().sum()
    assert f"max 3.00   sum {total:.3f}" in words(right)
    first = STREAM[:cut]
    if cut:
        shrunk = (first - 3.0).exp().sum()
        assert f"× {(first.max() - 3.0).exp():.3f} = {shrunk:.3f}" in words(right)


def test_the_merge_shows_what_plain_addition_would_give():
    text = words(figures.merge(STREAM, 3).axes[1])
    plain = (STREAM[:3] - 2.0).exp().sum() + (STREAM[3:] - 3.0).exp().sum()
    right = (STREAM - 3.0).exp().sum()
    assert f"would be {plain:.3f}: {plain / right:.2f} times too large" in text
    assert "would be the same here" in words(figures.merge(STREAM, 6).axes[1])


@pytest.mark.parametrize("scale", [0.5, 1, 20.0])
def test_the_jacobian_is_that_of_autograd(scale):
    left, right = figures.jacobian(SCORES, TOKENS, scale).axes
    scaled = SCORES * scale
    expected = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, -1), scaled)
    assert torch.allclose(torch.tensor(right.images[0].get_array().data), expected)
    assert heights(left) == pytest.approx(torch.softmax(scaled, -1).tolist())
    norm = format(expected.norm().item(), ".2g").replace("-", "−")
    assert f"The Jacobian has norm {norm}" in figure_title(left.figure)
    assert ("at scale 1" in figure_title(left.figure)) == (scale != 1)
    assert (right.images[0].norm.vmin, right.images[0].norm.vmax) == (-0.25, 0.25)


@pytest.mark.parametrize("target", [0, 4])
def test_the_gradient_is_that_of_autograd(target):
    left, right = figures.cross_entropy_gradient(SCORES, TOKENS, target).axes
    row = SCORES.clone().requires_grad_()
    loss = cross_entropy(row[None], torch.tensor([target]))
    loss.backward()
    assert heights(right) == pytest.approx(row.grad.tolist())
    assert f"the loss is {loss:.2f} nats" in figure_title(left.figure)
    orange = [i for i, colour in enumerate(colours(right)) if colour != colours(right)[target - 1]]
    assert orange == [target]


def test_a_target_outside_the_vocabulary_is_an_error():
    with pytest.raises(ValueError, match=r"\b0 to 4\b.*\b5\b"):
        figures.cross_entropy_gradient(SCORES, TOKENS, 5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_log_errors_are_measured_against_float64(dtype):
    gaps = torch.tensor([0.0, 3.0, 120.0], dtype=torch.float64)
    two_steps, one_step = log_errors(dtype, gaps)
    eps = torch.finfo(getattr(torch, dtype)).eps
    assert (one_step <= 121 * eps).all()
    assert two_steps[2].isinf() == (dtype in ("float16", "bfloat16", "float32"))


def test_the_error_curve_finds_where_the_two_step_form_breaks():
    ax, answers = figures.log_softmax_error("float16", 20).axes
    assert "log(softmax) is −∞ from a gap of 17.5" in figure_title(ax.figure)
    broken, sound = (line.get_ydata() for line in ax.lines[:2])
    assert broken[-1] == 3.0, "the line of infinity"
    assert max(sound) < -2
    assert words(answers).split("  ")[0].endswith("exact −20.0000")
    assert "log(softmax(x)) −∞" in words(answers)
    assert "is finite up to 120" in figure_title(figures.log_softmax_error("float64", 20))


DRAWINGS = {
    "temperature": lambda: figures.temperature(SCORES, TOKENS, 1.0, 0.5),
    "entropy_curve": lambda: figures.entropy_curve(SCORES),
    "overflow_map": figures.overflow_map,
    "online_steps": lambda: figures.online_steps(STREAM, 3),
    "merge": lambda: figures.merge(STREAM, 2),
    "jacobian": lambda: figures.jacobian(SCORES, TOKENS),
    "cross_entropy_gradient": lambda: figures.cross_entropy_gradient(SCORES, TOKENS, 1),
    "log_softmax_error": figures.log_softmax_error,
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_picture_drawn_twice_has_the_same_bytes_and_labelled_axes(name):
    figure = DRAWINGS[name]()
    assert png_bytes(figure) == png_bytes(DRAWINGS[name]())
    for ax in figure.axes:
        assert ax.get_title(loc="left"), "each panel states its finding"
        assert ax.get_ylabel() or not ax.axison or ax.images, "each axis is named"


def test_every_picture_is_covered_here():
    assert set(DRAWINGS) == set(figures.__all__) - {"drawn_token"}


def test_bars_use_the_palette():
    figure = figures.temperature(SCORES, TOKENS, 1.0, 0.0)
    assert colours(figure.axes[0])[0] == to_rgba(OKABE_ITO.orange)
    assert colours(figure.axes[0])[1] == to_rgba(OKABE_ITO.blue)
