"""The figures of this chapter with controls.

Taught in:        mlp
Checked against:  the pictures of `course_lib.chapters.mlp.figures` for the same values
Shapes:           N tokens, E experts, k choices
"""

import math
from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.mlp import figures
from course_lib.chapters.mlp.figures.activations import CURVES, TITLES
from course_lib.experts import route
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.plotting import Number
from course_lib.study.exhibits import course_model_probes

KEYS = torch.tensor([[math.cos(a), math.sin(a)] for a in (0.3, 1.2, 2.2, 3.4, 4.4, 5.5)])
VALUES = torch.tensor([[1.5, 0.2], [-0.3, 1.4], [1.0, 1.0], [-1.2, 0.6], [0.4, -1.6], [-0.8, -0.9]])
TOKENS, EXPERTS, CHOICES = 32, 8, 2


def activation(arriving: Mapping[str, Tensor] | None = None, name: str = "ReLU") -> Explorer:
    """Choose an activation and its inputs; by default, standard normal numbers."""
    if arriving is None:
        places = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
        arriving = {"a standard normal": torch.special.ndtri(places)}
    samples = dict(arriving)

    def figure(name: str, source: str) -> Figure:
        return figures.activation(name, samples[source])

    controls = {
        "name": choice("activation", name, tuple(CURVES)),
        "source": choice("inputs", next(iter(samples)), tuple(samples)),
    }
    return Explorer(figure, controls, "An activation, its slope, and its inputs.")


def gate_surface(gate: str = "swiglu", up: Number = 1.0) -> Explorer:
    """Choose a gated layer and a value of up, and see the product."""
    controls = {
        "gate": choice("layer", gate, [(shown, name) for name, shown in TITLES.items()]),
        "up": slider("up", up, -4.0, 4.0, step=0.1, pattern=".1f"),
    }
    return Explorer(figures.gate_surface, controls, "One hidden unit: the activated gate times up.")


def units_at_work(layer: int = 0, on: str = "text") -> Explorer:
    """Choose a layer of the course model and its text: gate and up of the hidden units."""

    def figure(layer: int, on: str) -> Figure:
        return figures.units_at_work(f"Layer {layer}", *course_model_probes.hidden_units(on)[layer])

    layers = len(course_model_probes.hidden_units(on))
    controls = {
        "layer": choice("layer", layer, tuple(range(layers))),
        "on": choice("reading", on, course_model_probes.KINDS[::-1]),
    }
    return Explorer(figure, controls, "Gate and up of each hidden unit of the course model.")


def memory(direction: Number = 60.0, length: Number = 1.0) -> Explorer:
    """Rotate x, and see which keys it matches and what their values add."""

    def figure(direction: Number, length: Number) -> Figure:
        angle = math.radians(direction)
        x = length * torch.tensor([math.cos(angle), math.sin(angle)])
        return figures.memory(x, KEYS, VALUES)

    controls = {
        "direction": slider("direction of x (°)", direction, 0.0, 360.0, step=5.0, pattern=".0f"),
        "length": slider("length of x", length, 0.2, 1.5, step=0.1, pattern=".1f"),
    }
    return Explorer(figure, controls, "A feed-forward layer as a memory of six entries.")


def choices(skew: Number, tokens: int = TOKENS) -> Tensor:
    """Return the choices of each token; the scores of the experts are shifted by up to `skew`."""
    noise = torch.sin(torch.arange(tokens * EXPERTS, dtype=torch.float64) ** 2 * 1.7)
    favour = torch.linspace(1, -1, EXPERTS, dtype=torch.float64)
    return route(2 * noise.view(tokens, EXPERTS) + skew * favour, CHOICES)[1]


def capacity(factor: Number = 1.25, skew: Number = 1.0) -> Explorer:
    """Move the capacity and the router's bias: choices are dropped, or slots stay empty."""

    def figure(factor: Number, skew: Number) -> Figure:
        return figures.capacity(choices(skew), EXPERTS, factor)

    controls = {
        "factor": slider("capacity factor", factor, 0.5, 4.0, step=0.25),
        "skew": slider("router's bias", skew, 0.0, 3.0, step=0.1, pattern=".1f"),
    }
    return Explorer(
        figure, controls, "More capacity means fewer dropped choices and more empty slots."
    )


def expert_sizes(num_experts: int = 128, k: int = 8, hidden: int = 768) -> Explorer:
    """Change the mixtures of Qwen3-30B-A3B: number of experts, active experts, their width."""

    def figure(num_experts: int, k: int, hidden: Number) -> Figure:
        return figures.expert_sizes(2048, round(hidden), num_experts, min(k, num_experts), 48)

    controls = {
        "num_experts": choice("experts", num_experts, (8, 16, 32, 64, 128, 256)),
        "k": step_slider("active", k, 1, 16),
        "hidden": log_slider("width of each", hidden, 96, 6144),
    }
    return Explorer(figure, controls, "Total and active parameters: 48 layers of width 2048.")
