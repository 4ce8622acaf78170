"""Gradients: the Jacobian of softmax, and the gradient of cross-entropy.

Taught in:        softmax
Checked against:  torch.autograd
Shapes:           V scores, one for each token
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib import softmax
from course_lib.study.display.labels import token_label, written
from course_lib.study.display.plotting import (
    OKABE_ITO,
    SIGNED,
    Margins,
    Number,
    heatmap,
    new_figure,
    probability_axis,
    title,
    token_bars,
)


def jacobian(scores: Float[Tensor, " V"], tokens: Sequence[str], scale: Number = 1.0) -> Figure:
    """Draw how each probability depends on each score, for the scores times `scale`."""
    p = softmax.stable_softmax(scores.double() * scale)
    matrix = softmax.softmax_jacobian(p)
    norm = torch.linalg.matrix_norm(matrix).item()
    at_one = torch.linalg.matrix_norm(
        softmax.softmax_jacobian(softmax.stable_softmax(scores.double()))
    ).item()
    figure, (left, right) = new_figure(9.5, 3.8, cols=2, margins=Margins(top=0.65, across=1.0))
    token_bars(left, p, tokens, numbers=".2f")
    probability_axis(left)
    title(
        left, f"Scores × {scale:.3g}: {token_label(tokens[int(p.argmax())])} has p = {p.max():.3f}"
    )
    heatmap(right, matrix, tokens, tokens, shades=SIGNED, limit=0.25, numbers=".3f")
    right.set(ylabel="probability that changes", xlabel="score that is raised")
    said = f"The Jacobian has norm {written(norm, '.2g')}"
    title(right, said if scale == 1 else f"{said}; at scale 1 it is {written(at_one, '.2g')}")
    return figure


def cross_entropy_gradient(
    logits: Float[Tensor, " V"], tokens: Sequence[str], target: int
) -> Figure:
    """Draw the probabilities, and the gradient of the loss when `target` is the next token."""
    if not 0 <= target < len(logits):
        raise ValueError(
            f"target must be the number of a token, 0 to {len(logits) - 1}; got {target}. "
            "Count from 0 in the order of the logits."
        )
    row, goal = logits.double()[None], torch.tensor([target], device=logits.device)
    p = softmax.stable_softmax(row)[0]
    gradient = softmax.cross_entropy_gradient(row, goal)[0]
    loss = softmax.cross_entropy(row, goal).item()
    colours = [OKABE_ITO.orange if i == target else OKABE_ITO.blue for i in range(len(p))]
    figure, (left, right) = new_figure(9.5, 3.4, cols=2, margins=Margins(bottom=0.35, top=0.65))
    token_bars(left, p, tokens, colours, numbers=".3f")
    probability_axis(left)
    came = token_label(tokens[target])
    title(left, f"{came} has probability {p[target]:.3f}: the loss is {loss:.2f} nats")
    token_bars(right, gradient, tokens, colours, numbers="+.3f")
    right.axhline(0, color="black", linewidth=0.8)
    right.set(ylim=(-1.15, 1.15), ylabel="gradient of the loss", yticks=(-1, 0, 1))
    title(
        right,
        f"Descent raises {came} by {-gradient[target]:.3f} and lowers the others by their p",
    )
    return figure
