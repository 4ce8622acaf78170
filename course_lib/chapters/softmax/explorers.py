"""The interactive figures of this chapter.

Taught in:        softmax
Checked against:  `course_lib.chapters.softmax.figures` for the same values
Shapes:           V scores, one for each token
"""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from course_lib.chapters.softmax import figures
from course_lib.study.display.explorer import Explorer, choice, log_slider, slider, step_slider
from course_lib.study.display.labels import plain, token_label
from course_lib.study.display.plotting import Number

TOKENS = (" cat", " dog", " bird", " fish", " newt")
SCORES = (2.0, 1.2, 0.6, 0.0, -1.0)
STREAM = (0.5, 2.0, -1.0, 3.0, 1.5, 2.5)


def _row(scores: Sequence[Number]) -> torch.Tensor:
    return torch.tensor(scores, dtype=torch.float64)


def temperature(
    scores: Sequence[Number] = SCORES,
    tokens: Sequence[str] = TOKENS,
    temperature: Number = 1.0,
    draw: Number = 0.62,
) -> Explorer:
    """Change the temperature with the random number fixed, and see it pick a different token."""
    row = _row(scores)

    def figure(temperature: Number, draw: Number) -> Figure:
        return figures.temperature(row, tokens, temperature, draw)

    controls = {
        "temperature": log_slider("temperature T", temperature, 0.1, 10.0),
        "draw": slider("random number u", draw, 0.0, 0.99),
    }
    return Explorer(
        figure,
        controls,
        "The same random number picks a different token as the temperature changes.",
    )


def entropy_curve(
    scores: Sequence[Number] = SCORES, temperature: Number = 1.0, tied: int = 1
) -> Explorer:
    """Move along the entropy curve, and let more scores tie for first place."""
    row = _row(scores)

    def figure(temperature: Number, tied: int) -> Figure:
        ranks = row.argsort(descending=True, stable=True)
        level = row.index_fill(0, ranks[:tied], row.max().item())
        return figures.entropy_curve(level, temperature)

    controls = {
        "temperature": log_slider("temperature T", temperature, 0.01, 100.0, steps=120),
        "tied": step_slider("tied for first", tied, 1, len(row)),
    }
    return Explorer(figure, controls, "Entropy climbs from log(tied) to log(all) with temperature.")


def overflow_map(dtype: str = "float16", magnitude: Number = 10.0) -> Explorer:
    """Choose a dtype and the size of the scores, and see which form of softmax works."""
    controls = {
        "dtype": choice("dtype", dtype, tuple(figures.precision.DTYPES)),
        "magnitude": log_slider("largest score", magnitude, 1.0, figures.precision.LARGEST, 160),
    }
    return Explorer(figures.overflow_map, controls, "Where softmax breaks, by dtype and magnitude.")


def online_steps(scores: Sequence[Number] = STREAM, step: int = 4) -> Explorer:
    """Walk over the scores once, with a running maximum and a running sum."""
    row = _row(scores)

    def figure(step: int) -> Figure:
        return figures.online_steps(row, step)

    controls = {"step": step_slider("scores seen", step, 0, len(row))}
    return Explorer(figure, controls, "Maximum and sum in one pass, step by step.")


def merge(scores: Sequence[Number] = STREAM, cut: int = 3) -> Explorer:
    """Cut the scores into two blocks anywhere, and merge the states of the two."""
    row = _row(scores)

    def figure(cut: int) -> Figure:
        return figures.merge(row, cut)

    controls = {"cut": step_slider("first block", cut, 0, len(row))}
    return Explorer(figure, controls, "Two blocks, two numbers from each, one result.")


def jacobian(
    scores: Sequence[Number] = SCORES, tokens: Sequence[str] = TOKENS, scale: Number = 1.0
) -> Explorer:
    """Scale the scores up, and see the Jacobian vanish as softmax saturates."""
    row = _row(scores)

    def figure(scale: Number) -> Figure:
        return figures.jacobian(row, tokens, scale)

    controls = {"scale": log_slider("scale of scores", scale, 0.1, 20.0)}
    return Explorer(figure, controls, "How each probability depends on each score: diag(p) − p pᵀ.")


def cross_entropy_gradient(
    scores: Sequence[Number] = SCORES,
    tokens: Sequence[str] = TOKENS,
    target: int = 2,
    scale: Number = 1.0,
) -> Explorer:
    """Choose the target token, and see that the gradient is p − onehot."""
    row = _row(scores)

    def figure(target: int, scale: Number) -> Figure:
        return figures.cross_entropy_gradient(row * scale, tokens, target)

    names = [(plain(token_label(token)), place) for place, token in enumerate(tokens)]
    controls = {
        "target": choice("target token", target, names),
        "scale": log_slider("scale of scores", scale, 0.1, 20.0),
    }
    return Explorer(figure, controls, "The gradient of cross-entropy is p − onehot(target).")


def log_softmax_error(dtype: str = "float16", gap: Number = 20.0) -> Explorer:
    """Move two scores apart, and see where the logarithm of a rounded probability fails."""
    controls = {
        "dtype": choice("dtype", dtype, tuple(figures.precision.DTYPES)),
        "gap": slider("gap", gap, 0.0, 120.0, step=0.5, pattern=".1f"),
    }
    return Explorer(figures.log_softmax_error, controls, "log(softmax) against log_softmax.")
