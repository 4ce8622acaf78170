"""Each explorer of the rope chapter shows the figure of its controls, at both ends of each."""

import pytest
import torch

from course_lib.chapters.rope import explorers, figures
from course_lib.chapters.rope.position_toys import trained
from course_lib.positions import sinusoidal_table
from course_lib.study.display.plotting import png_bytes

QUERY, KEY = (torch.tensor(x, dtype=torch.float64) for x in (explorers.QUERY, explorers.KEY))


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
        ("clocks", {"m": 3, "n": 9}, lambda: figures.clocks(QUERY, KEY, 3, 9, 100.0)),
        ("clocks", {"both": 10}, lambda: figures.clocks(QUERY, KEY, 22, 15, 100.0)),
        ("clocks", {"both": 39}, lambda: figures.clocks(QUERY, KEY, 39, 32, 100.0)),
        ("rotation_or_not", {"angle": 1.0}, lambda: figures.rotation_or_not(1.0)),
        (
            "position_table",
            {"table": "learned", "seed": 2},
            lambda: figures.position_table(trained("learned").table, "learned", 2),
        ),
        (
            "position_table",
            {"seed": 3},
            lambda: figures.position_table(sinusoidal_table(48, 64), "sinusoidal", 3),
        ),
        ("alibi", {"num_heads": 4, "head": 2}, lambda: figures.alibi(4, 2)),
        ("alibi", {"num_heads": 2, "head": 9}, lambda: figures.alibi(2, 2)),
        (
            "wavelengths",
            {"base": 100.0, "trained_length": 32.0},
            lambda: figures.wavelength_map(128, 100.0, 32.0),
        ),
        (
            "slowdown",
            {"factor": 2.0, "base": 1000.0},
            lambda: figures.slowdown(2.0, 128, 1000.0, 4096),
        ),
        ("context_extension", {"factor": 8}, lambda: figures.context_extension(8)),
        ("long_text", {"factor": 2}, lambda: figures.long_text(2)),
        ("method_comparison", {"distance": 8}, lambda: figures.method_comparison(8)),
        ("decay", {"head_dim": 16, "base": 10.0}, lambda: figures.decay(16, 10.0)),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.image == png_bytes(drawn())
    explorer.close()
