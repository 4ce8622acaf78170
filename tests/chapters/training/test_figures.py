"""The pictures of the chapter on training draw the numbers of the library."""

import math

import pytest
import torch
from matplotlib.colors import to_rgba

from course_lib.chapters.training import figures
from course_lib.chapters.training.figures.runs import cliff, column
from course_lib.chapters.training.figures.steps import moves
from course_lib.study.display.plotting import MASKED, OKABE_ITO, figure_title
from course_lib.training.scaling import ScalingLaw

LAW = ScalingLaw(floor=1.0, a=20.0, alpha=0.4, b=50.0, beta=0.3)
RUNS = [
    {"parameters": n, "tokens": d, "loss": LAW.loss(n, d) + 0.01}
    for n in (10_000, 50_000)
    for d in (100_000, 400_000, 900_000)
]
FALL = [6.0, 6.2, 6.1, 5.9, 1.4, 0.3, 0.2]
RECORDS = [
    {
        "step": 10 * i,
        "loss": None if i == 0 else 7.0 - i,
        "text loss": 5.5 - i / 2,
        "repeat loss": loss,
        "previous": i / 10,
        "induction": (6.5 - loss) / 7,
    }
    for i, loss in enumerate(FALL)
]


def words(ax):
    return [text.get_text() for text in ax.texts]


def lines(ax):
    return [list(line.get_ydata()) for line in ax.lines]


def test_each_row_stands_above_the_token_after_it():
    (ax,) = figures.shift(["a", " b", "c"]).axes
    assert words(ax) == ["a", "␣b", "", "row 0", "␣b", "c", "", "row 1", "c", "nothing", "row 2"]
    assert "3 tokens give 3 rows of logits; 2 of them have a target" in figure_title(ax.figure)


def test_padding_is_grey_and_not_counted():
    figure = figures.shift(["a", "b", "c", "d"], [True, True, False, False])
    targets = [patch for patch in figure.axes[0].patches if patch.get_y() < 0]
    grey = [patch.get_facecolor() == to_rgba(MASKED) for patch in targets]
    assert grey == [False, True, True, False]
    assert "4 rows of logits; 1 of them" in figure_title(figure)
    with pytest.raises(ValueError, match=r"\b1 marks.*\b2 tokens"):
        figures.shift(["a", "b"], [True])


def test_first_losses_are_measured_against_ln_v():
    found = {"right": {4: math.log(4) + 0.03, 16: math.log(16)}, "large": {4: 5.0, 16: 6.0}}
    (ax,) = figures.first_losses(found).axes
    expected, right, large = lines(ax)
    assert expected == pytest.approx([math.log(4), math.log(16)])
    assert right[1] == math.log(16)
    assert large == [5.0, 6.0]
    assert "within 0.03 nats of ln V" in figure_title(ax.figure)


def test_one_batch_says_where_the_first_curve_ends():
    (ax,) = figures.one_batch({"Right": [5.0, 2.0, 0.1], "Wrong": [5.0, 5.0, 5.0]}, 5.5).axes
    assert lines(ax)[1:] == [[5.0, 2.0, 0.1], [5.0, 5.0, 5.0]]
    assert figure_title(ax.figure) == "Right: from 5.00 to 0.10 nats in 3 steps"


@pytest.mark.parametrize(
    ("step", "rate", "said"),
    [(50, 1e-3, "warming up: a rate of 0.001, 50%"), (100, 2e-3, "100% of"), (1000, 2e-4, "10%")],
)
def test_the_schedule_marks_its_step(step, rate, said):
    (ax,) = figures.schedule(step).axes
    curve, mark = ax.lines
    assert list(mark.get_ydata()) == pytest.approx([rate])
    assert curve.get_ydata()[step] == pytest.approx(rate)
    assert said in figure_title(ax.figure)


def test_plain_descent_takes_no_notice_of_the_turn_and_adamw_does():
    losses = {}
    for degrees in (0.0, 45.0):
        _, right = figures.valley(degrees).axes
        losses[degrees] = lines(right)
    plain, adamw = (torch.tensor([losses[d][i] for d in (0.0, 45.0)]) for i in (0, 1))
    torch.testing.assert_close(plain[0], plain[1], rtol=1e-4, atol=1e-6)
    assert adamw[1, -1] > 3 * adamw[0, -1]
    assert "AdamW ends lower" in figure_title(figures.valley(0.0))
    assert "plain descent ends lower" in figure_title(figures.valley(45.0))


def test_above_the_limit_the_title_says_so_and_the_loss_climbs():
    figure = figures.valley(sgd_rate=0.022)
    assert "Plain rate above 2/100 = 0.02" in figure_title(figure)
    plain = lines(figure.axes[1])[0]
    assert plain[-1] > plain[0]


def test_moves_with_and_without_correction_by_hand():
    plain, right = (moves(0.9, 0.999, 2, corrected) for corrected in (False, True))
    assert plain.tolist() == pytest.approx([0.1 / math.sqrt(0.001), 0.19 / math.sqrt(0.001999)])
    assert right.tolist() == pytest.approx([1.0, 1.0], abs=1e-6)
    said = figure_title(figures.bias_correction(0.9, 0.95))
    assert "m is 0.1 of the true mean, v 0.05; Uncorrected, step 1 is 0.45 times" in said


def test_clipping_keeps_the_direction_only_with_one_factor():
    (ax,) = figures.clipping(3.0, 4.0, 1.0).axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        "no longer than the limit",
        "not clipped: 5.00 long",
        "each tensor separately: 1.41 long",
        "by the norm of all: 1.00 long",
    ]
    angle = math.degrees(math.atan2(4, 3)) - 45
    assert f"rotates the step by {angle:.0f}°" in figure_title(ax.figure)
    assert "nothing changes" in figure_title(figures.clipping(0.3, 0.4, 1.0))


def test_a_live_curve_leaves_room_for_what_is_to_come():
    left, right = figures.live(RECORDS[:3], 60).axes
    assert left.get_xlim() == (0, 60)
    assert lines(left) == [[5.5, 5.0, 4.5], FALL[:3]]
    said = "Step 20 of 60: text 4.50 nats, repeats 6.10; The best induction head scores 0.06"
    assert figure_title(left.figure) == said
    assert lines(right)[1] == [r["induction"] for r in RECORDS[:3]]
    assert "Nothing measured yet" in figure_title(figures.live([], 60))


def test_the_cliff_is_found_where_the_loss_falls():
    before, after = cliff(RECORDS)
    assert (before["step"], after["step"]) == (30, 40)
    assert column(RECORDS, "loss")[0][0] == 10, "what was not measured is left out"
    with pytest.raises(ValueError, match="got 1 with"):
        cliff(RECORDS[:1])


def test_the_phase_change_is_shaded_and_a_look_is_marked():
    whole = figure_title(figures.phase_change(RECORDS))
    assert whole.startswith("From step 30 to 40 the loss falls from 5.9 to 1.4; In the same steps")
    left, _ = figures.phase_change(RECORDS, 1).axes
    assert lines(left)[0] == FALL
    (shade,) = left.patches
    assert (shade.get_x(), shade.get_width()) == (30, 10)
    assert list(left.lines[1].get_xdata()) == [10, 10]
    assert "Step 10: 6.20 nats" in figure_title(left.figure)


def test_precision_measures_from_the_first_type():
    curves = {"float32": [3.0, 2.0], "mixed": [3.1, 2.01], "all": [3.2, 2.5]}
    _, right = figures.precision(curves, every=20).axes
    assert lines(right)[2] == pytest.approx([0.2, 0.5])
    said = figure_title(right.figure)
    assert said == "all ends 0.500 nats above float32; The others end within 0.010"


def test_runs_stand_beside_the_lines_of_the_law():
    beyond = {"parameters": 200_000, "tokens": 2_000_000, "loss": 2.0}
    left, right = figures.scaling(RUNS, LAW, beyond).axes
    assert [line for line in lines(left) if len(line) == 3] == [
        [run["loss"] for run in RUNS[:3]],
        [run["loss"] for run in RUNS[3:]],
    ]
    told = LAW.loss(200_000, 2_000_000)
    said = figure_title(left.figure)
    assert "6 runs; the law is off by at most 0.01" in said
    assert f"{told:.2f} predicted, 2.00 measured" in said
    assert list(right.lines[-1].get_xdata()) == [200_000]


def test_the_best_size_is_the_lowest_point_of_its_curve():
    (ax,) = figures.best_size(LAW, 6e12).axes
    curve, best = ax.lines  # without runs, nothing of it was measured
    assert best.get_ydata()[0] == pytest.approx(min(curve.get_ydata()), rel=1e-3)
    assert best.get_xdata()[0] == pytest.approx(LAW.best_size(6e12))
    assert best.get_color() == OKABE_ITO.vermillion
    n = LAW.best_size(6e12)
    assert f"{n / 1e3:.3g} k parameters" in figure_title(ax.figure)


def test_the_best_size_shows_which_part_was_measured():
    (ax,) = figures.best_size(LAW, 6e10, RUNS).axes
    known = ax.lines[1].get_xdata()
    assert known.min() >= 6e10 / 6 / 900_000, (
        "below, the text would be longer than any that was read"
    )
    assert known.max() <= 50_000
    assert len(known) > 10
    (ax,) = figures.best_size(LAW, 6e13, RUNS).axes
    assert len(ax.lines) == 2, "a budget far above all runs"


def test_a_sweep_draws_means_and_the_range_of_the_seeds():
    runs = [
        {"peak": peak, "kind": kind, "losses": losses}
        for kind, peak, losses in (
            ("a", 0.1, [3.0, 2.0, 2.5]),
            ("a", 0.2, [1.0, 1.5, 1.1]),
            ("b", 0.1, [0.5, 0.6, 0.7]),
        )
    ]
    (ax,) = figures.sweep(runs, "kind", "kind").axes
    bars = ax.containers
    assert list(bars[0].lines[0].get_ydata()) == pytest.approx([2.5, 1.2])
    low, high = (cap.get_ydata() for cap in bars[0].lines[1])
    assert list(low) == pytest.approx([2.0, 1.0])
    assert list(high) == pytest.approx([3.0, 1.5])
    assert "a: 1.20 at 0.2; b: 0.60 at 0.1" in figure_title(ax.figure)
