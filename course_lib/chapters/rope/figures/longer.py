"""The course's own model on texts longer than it was trained on, under each scaling.

A token far into a text is read by the same weights as one near its beginning; only the angles are
new. Two lines say what a scaling is worth: the model as it is, and the same model with a window of
its trained length, which reads no further back than training did. A scaling that stays above the
second line has carried the model no further than forgetting does.

Taught in:        rope
Paper:            Peng et al. 2023, arXiv:2309.00071
Checked against:  `course_model_probes.losses_along`
Shapes:           T tokens
"""

from collections.abc import Mapping
from functools import cache

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.rope.figures.planes import COLOURS, rope_request
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import FAINT, Margins, Number, new_figure, title
from course_lib.study.exhibits.course_model_probes import (
    TIMES,
    course_model,
    losses_along,
    trained_length,
)

RULES = ("plain", "interpolation", "NTK-aware", "YaRN")
WINDOW = "a window"
STRETCHES = (2, TIMES)
STEPS = 4 * TIMES  # points of a curve, each the mean of a quarter of the trained length


@cache
def losses(rule: str, factor: Number = 1) -> Float[Tensor, " T"]:
    """Return the loss at each token of long texts under a scaling, or with a window."""
    if rule == WINDOW:
        return losses_along(window=trained_length())
    config = course_model().config
    base = config.rope_parameters["rope_theta"]
    return losses_along(
        rope_request(rule, factor, config.head_dim, base, config.max_position_embeddings)
    )


def stretches(factor: Number) -> dict[str, Float[Tensor, " T"]]:
    """Return the losses of everything that is drawn for a factor, by name."""
    if factor not in STRETCHES:
        raise ValueError(f"factor must be one of {STRETCHES}; got {factor}.")
    found = {rule: losses(rule, 1 if rule == "plain" else factor) for rule in RULES}
    return found | {WINDOW: losses(WINDOW)}


def long_text(factor: int = TIMES) -> Figure:
    """Draw the loss along a text, inside the trained length and behind it, and against a window."""
    found = stretches(factor)
    length = trained_length()
    margins = Margins(top=0.75, across=0.9, right=1.85)
    figure, (left, right) = new_figure(12.0, 4.2, cols=2, margins=margins)
    places = ((torch.arange(STEPS) + 0.5) * length * TIMES / STEPS).tolist()
    bar = _means(found[WINDOW])
    for ax, lower in ((left, torch.zeros(STEPS)), (right, bar)):
        ax.axvspan(0, length, color="#e8e8e8", linewidth=0)
        for rule in RULES:
            heights = (_means(found[rule]) - lower).tolist()
            ax.plot(places, heights, "o-", color=COLOURS[rule], lw=2, ms=4, label=rule)
        label = f"a window of {length}"
        ax.plot(places, (bar - lower).tolist(), "--", color=FAINT, lw=2, label=label)
        ax.set(xlim=(0, length * TIMES), xticks=[length * i for i in range(TIMES + 1)])
        ax.set_xlabel("position of the token (grey: as in training)")
    left.set_ylabel("loss (nats)")
    right.set_ylabel("more than with a window (nats)")
    right.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    _say(left, right, found, factor)
    return figure


def _means(curve: Float[Tensor, " T"]) -> Float[Tensor, " steps"]:
    return curve.view(STEPS, -1).mean(-1)


def _say(left: Axes, right: Axes, found: Mapping[str, Float[Tensor, " T"]], factor: Number) -> None:
    """Write what is found in the last quarter, where the texts are longest."""
    end = {name: curve[-len(curve) // TIMES :].mean().item() for name, curve in found.items()}
    stretched = {rule: end[rule] for rule in RULES if rule != "plain"}
    best = min(stretched, key=lambda rule: stretched[rule])
    title(
        left,
        f"In the last quarter plain RoPE has a loss of {end['plain']:.2f}, {best} for {factor} "
        f"times the length {end[best]:.2f}",
    )
    more = {rule: written(end[rule] - end[WINDOW], "+.2f") for rule in ("plain", best)}
    title(
        right,
        f"Against reading no further than trained: {more['plain']} for plain RoPE, {more[best]} "
        f"for {best}",
    )
