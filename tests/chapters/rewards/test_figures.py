"""The pictures of the rewards chapter draw what the library computes, and explorers follow."""

import pytest
import torch

from course_lib.assistant.stages import stage_log
from course_lib.chapters.rewards import explorers, figures
from course_lib.rewards import (
    best_of_n_accuracy,
    clipped_objective,
    group_advantages,
    leave_one_out_advantages,
    majority_accuracy,
)
from course_lib.study.display.plotting import figure_title, png_bytes

REWARDS = [1.0, 0.0, 0.5, 0.0]


def record(step, right):
    answer = {"question": "Add 1 and 2.", "text": f"so {step}.", "right": right}
    keys = ("sampled", "greedy", "thinking", "chatter", "reward")
    return {"step": step, "answers": [answer] * 3, **dict.fromkeys(keys, step / 20)}


RECORDS = [record(0, False), record(10, False), record(20, True)]


def heights(ax):
    return [bar.get_height() for bar in ax.patches]


@pytest.mark.parametrize(("ratio", "advantage"), [(1.5, 1.0), (0.5, 1.0), (0.5, -1.0)])
def test_the_clip_is_drawn_as_it_is_computed(ratio, advantage):
    figure = figures.clip(ratio, advantage, 0.2, 0.3)
    (ax,) = figure.axes
    x, y = (torch.tensor(each) for each in ax.lines[2].get_data())
    expected = clipped_objective(x, torch.full_like(x, advantage), 0.2, 0.3)
    torch.testing.assert_close(y, expected)
    stopped = (ratio, advantage) in ((1.5, 1.0), (0.5, -1.0))
    assert ("has stopped" in figure_title(figure)) is stopped


@pytest.mark.parametrize("method", figures.METHODS)
def test_a_group_shows_rewards_and_advantages(method):
    left, right = figures.group(REWARDS, method).axes
    assert heights(left) == REWARDS
    given = torch.tensor([REWARDS], dtype=torch.float64)
    expected = {
        "GRPO": group_advantages(given),
        "Dr. GRPO": group_advantages(given, scale=False),
        "RLOO": leave_one_out_advantages(given),
    }[method]
    assert heights(right) == pytest.approx(expected[0].tolist())


def test_a_silent_group_is_named():
    assert "nothing is learned" in figures.group([1.0] * 4, "GRPO").axes[1].get_title(loc="left")


def test_compute_draws_the_exact_accuracies():
    (ax,) = figures.compute(0.35, 0.45, 0.9, 0.2).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines[:3]}
    assert lines["pass@n"][3] == pytest.approx(1 - 0.65**4)
    assert lines["majority vote"][5] == pytest.approx(majority_accuracy((0.35, 0.45, 0.2), 8))
    assert lines["best of n"][5] == pytest.approx(best_of_n_accuracy(0.35, 8, 0.9, 0.2))


def test_scaling_names_the_ends():
    measured = {
        "before": {"pass@n": [0.2, 0.9], "majority vote": [0.2, 0.7]},
        "after": {"pass@n": [0.9, 1.0], "majority vote": [0.9, 0.95]},
    }
    first, second = figures.scaling((1, 8), measured).axes
    assert "20% with one sample, 70%" in first.get_title(loc="left").replace("\n", " ")
    assert list(second.lines[1].get_ydata()) == [0.9, 0.95]


def test_a_run_marks_its_step_and_shows_its_answers():
    figure = figures.training_run(RECORDS, 2)
    curves, page = figure.axes
    assert list(curves.lines[0].get_ydata()) == [0.0, 0.5, 1.0]
    assert curves.lines[3].get_xdata()[0] == 20
    texts = [text.get_text() for text in page.texts]
    assert texts == ["Add 1 and 2.", "✓ so 20."] * 3
    assert "✗ so 10." in [
        text.get_text() for text in figures.training_run(RECORDS, 1).axes[1].texts
    ]


def test_seeds_and_hacking_tell_their_ends():
    assert "3 seeds end between 0.50 and 1.00" in figure_title(
        figures.seeds([RECORDS, RECORDS[:2], RECORDS], "sampled", "exact")
    )
    title = figure_title(figures.hacking(RECORDS))
    assert "from 0.00 to 1.00" in title
    assert "0% to 100%" in title


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "clip",
            {"ratio": 0.5, "advantage": -1.0, "low": 0.1, "high": 0.3},
            lambda: figures.clip(0.5, -1.0, 0.1, 0.3),
        ),
        (
            "group",
            {"method": "RLOO", "answer8": 0.5},
            lambda: figures.group([*explorers.REWARDS[:-1], 0.5], "RLOO"),
        ),
        (
            "compute",
            {"right": 0.6, "rival": 0.3, "accepts_right": 0.5, "accepts_wrong": 0.5},
            lambda: figures.compute(0.6, 0.3, 0.5, 0.5),
        ),
        (
            "training_run",
            {"look": 2},
            lambda: figures.training_run(stage_log("assistant-grpo"), 2),
        ),
    ],
)
def test_moved_controls_show_their_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    before = explorer.image
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.error == ""
    assert explorer.image == png_bytes(drawn())
    assert explorer.image != before
