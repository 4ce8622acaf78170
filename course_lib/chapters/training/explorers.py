"""The interactive figures of this chapter.

Taught in:        training
Checked against:  the pictures of `course_lib.chapters.training.figures` for the same values
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from course_lib.chapters.training import figures
from course_lib.chapters.training.tiny_decoders import stored_experiments
from course_lib.pretrained import training_log
from course_lib.study.display.explorer import Explorer, log_slider, slider, step_slider
from course_lib.study.display.plotting import Number
from course_lib.training.scaling import ScalingLaw, fit_scaling_law

STEPS = 1000


def schedule(step: int = 300, warmup: int = 100) -> Explorer:
    """Step through a run, and change the length of the warm-up."""

    def figure(step: int, warmup: int, final: Number) -> Figure:
        return figures.schedule(step, warmup, STEPS, 2e-3, 2e-3 * final)

    controls = {
        "step": step_slider("step", step, 0, STEPS),
        "warmup": step_slider("warm-up", warmup, 0, 400),
        "final": slider("final / peak", 0.1, 0.0, 1.0, step=0.05),
    }
    return Explorer(figure, controls, "The learning rate of each step: warm-up and half a cosine.")


def valley(degrees: Number = 0.0, sgd_rate: Number = 0.018) -> Explorer:
    """Rotate the valley, and look for a rate at which each method reaches the bottom."""
    controls = {
        "degrees": slider("rotated by (°)", degrees, 0.0, 45.0, step=1.0, pattern=".0f"),
        "sgd_rate": slider("plain rate", sgd_rate, 0.002, 0.024, step=0.001, pattern=".3f"),
        "adamw_rate": slider("AdamW's rate", 0.25, 0.05, 1.0, step=0.05),
        "steps": step_slider("steps", 40, 1, 100),
    }
    return Explorer(
        figures.valley,
        controls,
        "Plain descent and AdamW in a valley that is steep across and flat along.",
    )


def bias_correction(beta1: Number = 0.9, beta2: Number = 0.999) -> Explorer:
    """Choose the decay of the running means."""
    controls = {
        "beta1": slider("β₁", beta1, 0.0, 0.99),
        "beta2": slider("β₂", beta2, 0.9, 0.999, step=0.001, pattern=".3f"),
    }
    return Explorer(
        figures.bias_correction,
        controls,
        "Running means that start at zero, and the steps that they give.",
    )


def clipping(first: Number = 4.0, second: Number = 1.0, limit: Number = 1.0) -> Explorer:
    """Change a gradient of two tensors, and clip it in two ways."""
    controls = {
        "first": slider("first tensor", first, 0.0, 5.0, step=0.1, pattern=".1f"),
        "second": slider("second tensor", second, 0.0, 3.0, step=0.1, pattern=".1f"),
        "limit": slider("limit", limit, 0.2, 3.0, step=0.1, pattern=".1f"),
    }
    return Explorer(figures.clipping, controls, "Clipping by the global norm keeps the direction.")


def phase_change(records: Sequence[Mapping[str, Any]] | None = None) -> Explorer:
    """Step through the log of a run, by default that of the course's own model."""
    looks = list(training_log() if records is None else records)

    def figure(look: int) -> Figure:
        return figures.phase_change(looks, look)

    controls = {
        "look": step_slider("record", looks.index(figures.runs.cliff(looks)[1]), 0, len(looks) - 1)
    }
    return Explorer(
        figure, controls, "The loss on repeats drops as two heads begin to work together."
    )


def fitted_law() -> ScalingLaw:
    """Return the law fitted to all stored runs but the last, which is the largest."""
    runs = stored_experiments()["scaling"][:-1]
    columns = [[float(run[name]) for run in runs] for name in ("parameters", "tokens", "loss")]
    return fit_scaling_law(*columns)


def best_size(law: ScalingLaw | None = None, flops: Number = 1e11) -> Explorer:
    """Choose a budget, and see the best number of parameters and tokens."""
    chosen = law or fitted_law()

    def figure(flops: Number) -> Figure:
        return figures.best_size(chosen, flops, stored_experiments()["scaling"])

    controls = {"flops": log_slider("FLOPs", flops, 1e10, 1e13)}
    return Explorer(figure, controls, "One budget: a larger model, or more text?")
