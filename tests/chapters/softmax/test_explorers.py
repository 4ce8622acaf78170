"""Each explorer of the softmax chapter shows the figure of its controls, at both ends of each."""

import pytest
import torch

from course_lib.chapters.softmax import explorers, figures
from course_lib.study.display.plotting import png_bytes

SCORES = torch.tensor(explorers.SCORES, dtype=torch.float64)
STREAM = torch.tensor(explorers.STREAM, dtype=torch.float64)


def ends(control):
    """Return the extreme values of a control."""
    if hasattr(control, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return values[0], values[-1]
    if hasattr(control, "base"):
        return control.base**control.min, control.base**control.max
    return control.min, control.max


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "temperature",
            {"temperature": 0.5, "draw": 0.9},
            lambda: figures.temperature(SCORES, explorers.TOKENS, 0.5, 0.9),
        ),
        (
            "entropy_curve",
            {"temperature": 2.0, "tied": 2},
            lambda: figures.entropy_curve(torch.tensor([2.0, 2.0, 0.6, 0, -1]).double(), 2.0),
        ),
        (
            "overflow_map",
            {"dtype": "float32", "magnitude": 100.0},
            lambda: figures.overflow_map("float32", 100.0),
        ),
        ("online_steps", {"step": 2}, lambda: figures.online_steps(STREAM, 2)),
        ("merge", {"cut": 1}, lambda: figures.merge(STREAM, 1)),
        (
            "jacobian",
            {"scale": 5.0},
            lambda: figures.jacobian(SCORES, explorers.TOKENS, 5.0),
        ),
        (
            "cross_entropy_gradient",
            {"target": 4, "scale": 2.0},
            lambda: figures.cross_entropy_gradient(SCORES * 2, explorers.TOKENS, 4),
        ),
        (
            "log_softmax_error",
            {"dtype": "float32", "gap": 50.0},
            lambda: figures.log_softmax_error("float32", 50.0),
        ),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.image == png_bytes(drawn())
    explorer.close()


def test_starting_values_can_be_chosen():
    explorer = explorers.overflow_map(dtype="bfloat16", magnitude=100)
    assert explorer.values() == {"dtype": "bfloat16", "magnitude": 100.0}
    assert "starts at dtype='bfloat16', magnitude=100.0" in str(explorer._repr_mimebundle_()[0])
    explorer.close()
    with pytest.raises(ValueError, match="one token"):
        explorers.temperature(scores=[1, 2], tokens=["only one"])


def test_tied_scores_are_raised_in_the_order_of_their_size():
    explorer = explorers.entropy_curve(scores=[0, 3, 1, 2], tied=2)
    alike = figures.entropy_curve(torch.tensor([0.0, 3, 1, 3]).double(), 1.0)
    assert explorer.image == png_bytes(alike)
    explorer.close()
