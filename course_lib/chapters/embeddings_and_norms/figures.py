"""The figures of this chapter: tables of vectors, the effects of norms, sizes through depth.

Taught in:        embeddings_and_norms
Checked against:  course_lib.embeddings and course_lib.norms for the same numbers
Shapes:           T tokens, V vocabulary, C model width
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.embeddings import one_hot
from course_lib.norms import (
    StackNorms,
    batch_statistics,
    layer_norm,
    residual_stack_norms,
    rms_norm,
)
from course_lib.study.display.colour_key import colour_key
from course_lib.study.display.labels import written
from course_lib.study.display.log_axis import powers_of_ten
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    SIGNED,
    WEIGHTS,
    Margins,
    Number,
    heatmap,
    new_figure,
    title,
)

ARRANGEMENTS = {
    "post": ("post-norm", OKABE_ITO.blue, "o"),
    "pre": ("pre-norm", OKABE_ITO.green, "s"),
    "none": ("no norm", OKABE_ITO.vermillion, "^"),
}


def lookup_as_product(ids: Int[Tensor, " T"], table: Float[Tensor, "V C"]) -> Figure:
    """Draw one-hot rows, the table, and their product: the rows of the ids."""
    chosen = one_hot(ids, table.shape[0])
    vectors = chosen @ table.float()
    ratios = [table.shape[0], table.shape[1], table.shape[1]]
    figure, (left, middle, right) = new_figure(9.0, 3.2, cols=3, width_ratios=ratios)
    names = [str(i) for i in ids.tolist()]
    limit = float(table.abs().max())
    heatmap(left, chosen, names, [str(i) for i in range(table.shape[0])], shades=WEIGHTS)
    title(left, "One row for each id")
    left.set(xlabel="place in the vocabulary", ylabel="id")
    heatmap(middle, table, [str(i) for i in range(table.shape[0])], shades=SIGNED, limit=limit)
    title(middle, "× the table")
    middle.set(xlabel="feature")
    heatmap(right, vectors, names, shades=SIGNED, limit=limit)
    title(right, f"= rows {', '.join(names)}")
    right.set(xlabel="feature")
    return figure


def table_shares(shares: Mapping[str, tuple[float, bool]], compare: tuple[str, str]) -> Figure:
    """Draw what percentage of each model its tables are; the title compares two of the models."""
    names = list(shares)
    figure, ax = new_figure(8.0, 0.9 + 0.42 * len(names))
    for place, name in enumerate(names):
        share, tied = shares[name]
        colour = OKABE_ITO.green if tied else OKABE_ITO.orange
        ax.barh(place, 100 * share, color=colour)
        words = "one table" if tied else "two tables"
        ax.text(100 * share + 0.8, place, f"{100 * share:.1f} %, {words}", va="center", fontsize=9)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(xlabel="embedding and head, % of all parameters", xlim=(0, 100))
    found = (f"{100 * shares[name][0]:.0f} % of {name}" for name in compare)
    title(ax, f"The tables are {' and '.join(found)}")
    return figure


def norm_effects(x: Float[Tensor, " C"], factor: Number = 1.0, shift: Number = 0.0) -> Figure:
    """Draw a scaled and shifted vector, and the results of LayerNorm and RMSNorm."""
    moved = x.double() * factor + shift
    panels = (
        (f"x × {factor:g} + {shift:g}", moved, OKABE_ITO.black),
        ("LayerNorm", layer_norm(moved, eps=1e-12), OKABE_ITO.blue),
        ("RMSNorm", rms_norm(moved, eps=1e-12), OKABE_ITO.green),
    )
    figure, axes = new_figure(9.6, 3.1, cols=3, margins=Margins(top=0.85, across=0.55))
    for ax, (name, values, colour) in zip(axes, panels, strict=True):
        ax.bar(range(len(values)), values.tolist(), color=colour)
        ax.axhline(0.0, color=FAINT, linewidth=0.8)
        ax.axhline(values.mean().item(), color=OKABE_ITO.vermillion, linestyle="--")
        ax.set(xlabel="feature")
        size = values.square().mean().sqrt().item()
        mean = written(round(values.mean().item(), 2) + 0.0, ".2f")
        title(ax, f"{name}: mean {mean}, root mean square {written(size, '.2f')}")
    for ax in axes[1:]:
        ax.set_ylim(-3, 3)
    axes[0].set_ylabel("value")
    return figure


def padding_poison(sentence: Float[Tensor, "T C"], longest: int = 40, feature: int = 0) -> Figure:
    """Draw how BatchNorm's statistics of one feature change as its batch is padded further."""
    lengths = list(range(len(sentence), longest + 1))
    padded = [batch_statistics(_pad(sentence, length)) for length in lengths]
    true_mean, true_variance = batch_statistics(sentence)
    figure, (left, right) = new_figure(9.0, 3.3, cols=2)
    pairs = (
        (left, "mean", true_mean[feature], [mean[feature].item() for mean, _ in padded]),
        (right, "variance", true_variance[feature], [var[feature].item() for _, var in padded]),
    )
    for ax, name, truth, found in pairs:
        ax.plot(lengths, found, color=OKABE_ITO.vermillion, label="padding counted")
        ax.axhline(truth.item(), color=OKABE_ITO.green, linestyle="--", label="with a mask")
        ax.set(xlabel="length after padding", ylabel=f"{name} of feature {feature}")
        title(
            ax,
            f"The {name} goes from {written(truth.item(), '.2f')} "
            f"to {written(found[-1], '.2f')} by padding alone",
        )
    left.legend(frameon=False)
    return figure


def _pad(sentence: Tensor, length: int) -> Tensor:
    return torch.cat([sentence, sentence.new_zeros(length - len(sentence), sentence.shape[1])])


@lru_cache(maxsize=64)
def stack_sizes(depth: int, arrangement: str) -> StackNorms:
    """Return sizes along a stack, the geometric mean of twelve random stacks; cached."""
    return residual_stack_norms(depth, arrangement, 32, 16, stacks=12)  # type: ignore[arg-type]


def sizes_through_depth(depth: int = 32) -> Figure:
    """Draw the size of the stream and of the gradient at each layer of an untrained stack.

    The stack without norms has its own panel, since its sizes would hide those of the others.
    """
    margins = Margins(top=0.85, left=0.95, across=0.95)
    figure, (left, middle, right) = new_figure(12.0, 3.7, cols=3, margins=margins)
    layers, every = range(depth + 1), max(1, depth // 8)
    for arrangement in ("post", "pre"):
        _, colour, marker = ARRANGEMENTS[arrangement]
        sizes = stack_sizes(depth, arrangement)
        style = {"color": colour, "marker": marker, "markevery": every}
        left.plot(layers, sizes.signal.tolist(), **style)
        middle.plot(layers, sizes.gradient.tolist(), **style)
    without = stack_sizes(depth, "none")
    ink = ARRANGEMENTS["none"][1]
    right.plot(layers, without.signal.tolist(), color=ink)
    right.plot(layers, without.gradient.tolist(), color=ink, linestyle="--")
    _label_sizes(left, middle, right)
    title(left, _signal_finding(depth))
    title(middle, _gradient_finding(depth))
    title(right, f"Without norms the stream grows to {without.signal[-1]:.1e}")
    return figure


def _label_sizes(left: Axes, middle: Axes, right: Axes) -> None:
    left.set(ylabel="size of the stream (root mean square)", ylim=(0, None))
    middle.set(ylabel="gradient at the stream", ylim=(0, None))
    right.set(ylabel="stream and gradient, logarithmic", yscale="log")
    right.set_ylim(top=max(12, right.get_ylim()[1]))  # two powers of ten at least
    powers_of_ten(right.yaxis)
    key = {ARRANGEMENTS[each][0]: (ARRANGEMENTS[each][1], "-") for each in ("post", "pre")}
    ink = ARRANGEMENTS["none"][1]
    colour_key(left, key, x=0.04)
    colour_key(middle, key, x=0.04)
    colour_key(right, {"stream": (ink, "-"), "gradient": (ink, "--")}, x=0.5)
    for ax in (left, middle, right):
        ax.set_xlabel("layer")
        ax.locator_params(axis="x", nbins=5)
    for ax in (left, middle):
        ax.locator_params(axis="y", nbins=5)


def _signal_finding(depth: int) -> str:
    post, pre = (stack_sizes(depth, name).signal[-1].item() for name in ("post", "pre"))
    return f"After {depth} layers the stream has size {post:.2g} (post), {pre:.2g} (pre)"


def _gradient_finding(depth: int) -> str:
    post, pre = (
        (sizes.gradient[0] / sizes.gradient[-1]).item()
        for sizes in (stack_sizes(depth, name) for name in ("post", "pre"))
    )
    return f"From top to bottom the gradient changes ×{post:.2g} (post), ×{pre:.2g} (pre)"


def cost_bars(ratios: Sequence[tuple[str, float]]) -> Figure:
    """Draw measured times as multiples of the first one."""
    figure, ax = new_figure(8.0, 0.9 + 0.42 * len(ratios))
    for place, (_, ratio) in enumerate(ratios):
        ax.barh(place, ratio, color=OKABE_ITO.blue if place else OKABE_ITO.orange)
        ax.text(ratio, place, f" {ratio:.2f}", va="center", fontsize=9)
    _rows(ax, [name for name, _ in ratios])
    ax.set(
        xlabel=f"time, as a multiple of {ratios[0][0]}", xlim=(0, 1.15 * max(r for _, r in ratios))
    )
    title(ax, f"{ratios[1][0]} takes {ratios[1][1]:.2f} times as long as {ratios[0][0]}")
    return figure


def _rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
