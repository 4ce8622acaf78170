"""Which part of a model computes how much, as the context grows.

Taught in:        parameter_counting
Checked against:  course_lib.accounting
"""

from matplotlib.figure import Figure

from course_lib.accounting import flops_by_part
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

CONTEXTS = tuple(2**power for power in range(7, 21))
COLOURS = {
    "MLP": OKABE_ITO.sky,
    "projections": OKABE_ITO.green,
    "output head": OKABE_ITO.yellow,
    "scores": OKABE_ITO.orange,
}
LABELS = {"projections": "attention's projections", "scores": "scores and weighted values"}


def shares(config: ModelConfig, context: int) -> dict[str, float]:
    """Return the fraction of a token's FLOPs in each part."""
    found = flops_by_part(config, context)
    whole = sum(found.values())
    return {part: flops / whole for part, flops in found.items()}


def half(config: ModelConfig) -> int:
    """Return the first context at which scores take half of the FLOPs or more."""
    found = flops_by_part(config, 1)
    each = found.pop("scores")
    return -(-sum(found.values()) // each)


def flop_shares(name: str, config: ModelConfig) -> Figure:
    """Draw the shares of the parts, one above the other, over the context length."""
    figure, ax = new_figure(8.5, 3.9, margins=Margins(left=0.85, right=2.3, top=0.7))
    found = [shares(config, context) for context in CONTEXTS]
    rows = {part: [100 * each[part] for each in found] for part in COLOURS}
    labels = [LABELS.get(part, part) for part in rows]
    ax.stackplot(CONTEXTS, *rows.values(), labels=labels, colors=list(COLOURS.values()))
    longest, where = config.max_position_embeddings, half(config)
    ax.axvline(longest, color="black", lw=1, linestyle="--", label=f"context length, {longest:,}")
    ax.axhline(50, color=FAINT, lw=1, linestyle=":")
    ax.plot([where], [50], "o", color="black", ms=7)
    ax.set(xscale="log", xlim=(CONTEXTS[0], CONTEXTS[-1]), ylim=(0, 100))
    ax.set(xlabel="tokens that the new token reads", ylabel="percent of its FLOPs")
    ticks = [2**7, 2**10, 2**13, 2**16, 2**19]
    ax.set_xticks(ticks, ["128", "1 k", "8 k", "64 k", "512 k"])
    ax.minorticks_off()
    handles, names = ax.get_legend_handles_labels()
    order = [3, 2, 1, 0, 4]  # from top to bottom, as drawn
    ax.legend(
        [handles[n] for n in order], [names[n] for n in order],
        frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9,
    )  # fmt: skip
    title(ax, f"{name}: from {where:,} tokens on, scores take more FLOPs than all matrices")
    return figure
