"""The course model on texts longer than it was trained on, under each scaling.

Each scaling is compared with the model without scaling, and with the same model with a sliding
window of its trained length, which never meets a longer distance than in training. A scaling that
is not below the window has not made use of more distant tokens.

Taught in:        rope
Paper:            Peng et al. 2023, arXiv:2309.00071
Checked against:  the stored losses of `long_texts`
Shapes:           P parts of a text
"""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.chapters.rope.figures.planes import COLOURS
from course_lib.chapters.rope.long_texts import (
    PARTS,
    RULES,
    STRETCHES,
    TEXTS,
    TIMES,
    WINDOW,
    against_window,
    stored_losses,
)
from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import FAINT, Margins, new_figure, title
from course_lib.study.exhibits.course_model_probes import trained_length


def long_text(factor: int = TIMES) -> Figure:
    """Draw the loss along long texts, and its difference from that with a window."""
    if factor not in STRETCHES:
        raise ValueError(f"factor must be one of {STRETCHES}; got {factor}.")
    length = trained_length()
    margins = Margins(top=0.75, across=0.9, right=1.85)
    figure, (left, right) = new_figure(12.0, 4.2, cols=2, margins=margins)
    places = ((torch.arange(PARTS) + 0.5) * length * TIMES / PARTS).tolist()
    for ax in (left, right):
        ax.axvspan(0, length, color="#e8e8e8", linewidth=0)
        ax.set(xlim=(0, length * TIMES), xticks=[length * i for i in range(TIMES + 1)])
        ax.locator_params(axis="y", nbins=4)
        ax.set_xlabel("position of the token (grey: as in training)")
    bar = stored_losses(WINDOW).mean(0).tolist()
    left.plot(places, bar, "--", color=FAINT, lw=2)
    right.axhline(0, ls="--", color=FAINT, lw=2)
    for rule in RULES:
        stretch, ink = 1 if rule == "plain" else factor, COLOURS[rule]
        left.plot(
            places, stored_losses(rule, stretch).mean(0).tolist(), "o-", color=ink, lw=2, ms=4
        )
        more = against_window(rule, stretch)
        low, high = ((more.mean + sign * 2 * more.error).tolist() for sign in (-1, 1))
        right.fill_between(places, low, high, color=ink, alpha=0.2, linewidth=0)
        right.plot(places, more.mean.tolist(), "o-", color=ink, lw=2, ms=4)
    left.set_ylabel("loss (nats)")
    right.set_ylabel("loss minus loss with a window (nats)")
    lines = {f"window of {length}": (FAINT, "--"), **{rule: (COLOURS[rule], "-") for rule in RULES}}
    colour_key(right, lines, y=0.65)
    _titles(left, right, factor)
    return figure


def _titles(left: Axes, right: Axes, factor: int) -> None:
    """State the losses of the last quarter, where the texts are longest."""
    last = {
        rule: stored_losses(rule, 1 if rule == "plain" else factor)[:, -PARTS // TIMES :].mean()
        for rule in RULES
    }
    best = min(last, key=lambda rule: last[rule])
    plain, rule = (f"{last[name]:.2f}" for name in ("plain", best))
    title(left, f"Last quarter, mean of {TEXTS} texts: plain RoPE {plain} nats, {best} {rule}")
    more = against_window(best, 1 if best == "plain" else factor, TIMES)
    mean, error = written(more.mean[-1].item(), "+.2f"), f"{more.error[-1]:.2f}"
    title(right, f"{best} against the window: {mean} (standard error {error}; bands: ± 2)")
