"""Each explorer of the chapter on feed-forward layers shows the figure of its controls."""

import ipywidgets
import pytest
import torch

from course_lib.chapters.mlp import explorers, figures
from course_lib.study.display.plotting import png_bytes
from course_lib.study.exhibits import course_model_probes


def shown(explorer):
    """Return the bytes of the picture in the notebook."""
    (picture,) = (part for part in explorer.widget.children if isinstance(part, ipywidgets.Image))
    return picture.value


SAMPLES = {"one": torch.linspace(-1, 1, 9), "other": torch.linspace(-9, 1, 9)}


@pytest.mark.parametrize(
    ("make", "moves", "drawn"),
    [
        (
            lambda: explorers.activation(SAMPLES),
            {"name": "SiLU", "source": "other"},
            lambda: figures.activation("SiLU", SAMPLES["other"]),
        ),
        (
            explorers.gate_surface,
            {"gate": "reglu", "up": -1.5},
            lambda: figures.gate_surface("reglu", -1.5),
        ),
        (
            explorers.units_at_work,
            {"layer": 1, "on": "repeats"},
            lambda: figures.units_at_work(
                "Layer 1", *course_model_probes.hidden_units("repeats")[1]
            ),
        ),
        (
            explorers.memory,
            {"direction": 90.0, "length": 0.5},
            lambda: figures.memory(torch.tensor([0.0, 0.5]), explorers.KEYS, explorers.VALUES),
        ),
        (
            explorers.capacity,
            {"factor": 2.0, "skew": 0.5},
            lambda: figures.capacity(explorers.choices(0.5), 8, 2.0),
        ),
        (
            explorers.expert_sizes,
            {"num_experts": 8, "k": 16},
            lambda: figures.expert_sizes(2048, 768, 8, 8, 48),
        ),
    ],
)
def test_moving_controls_draws_the_figure_of_these_values(make, moves, drawn):
    explorer = make()
    for name, value in moves.items():
        explorer.controls[name].value = value
    assert explorer.error == ""
    assert shown(explorer) == png_bytes(drawn())
    explorer.close()


def test_a_stronger_bias_makes_queues_less_even():
    longest = [
        torch.bincount(explorers.choices(skew).flatten(), minlength=8).max().item()
        for skew in (0.0, 1.0, 3.0)
    ]
    assert longest == sorted(set(longest))
    assert explorers.choices(0.0).shape == (explorers.TOKENS, explorers.CHOICES)
