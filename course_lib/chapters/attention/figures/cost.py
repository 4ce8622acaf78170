"""What attention costs: time and memory by length, and the bytes of the cache.

Taught in:        attention
Paper:            Shazeer 2019, arXiv:1911.02150; Ainslie et al. 2023, arXiv:2305.13245
Checked against:  the numbers that were passed in, KVCache.nbytes
Shapes:           none
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from course_lib.attention import kv_cache_bytes
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

_COLOURS = (OKABE_ITO.vermillion, OKABE_ITO.blue, OKABE_ITO.green, OKABE_ITO.orange)


def growth_exponent(lengths: Sequence[int], costs: Sequence[Number]) -> float:
    """Return the power of the length with which the cost grows: the slope in a log-log plot.

    Only the longer half of the lengths counts, since overhead dominates the short ones.
    """
    points = [(math.log(n), math.log(c)) for n, c in zip(lengths, costs, strict=True)]
    points = points[len(points) // 2 - 1 :] if len(points) > 3 else points
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return slope / sum((x - mean_x) ** 2 for x, _ in points)


def cost_by_length(lengths: Sequence[int], costs: Mapping[str, Sequence[Number]]) -> Figure:
    """Draw each cost against the length on logarithmic axes, with its exponent."""
    figure, axes = new_figure(
        5.2 * len(costs), 3.5, cols=len(costs), margins=Margins(left=0.85, top=0.6, across=1.0)
    )
    for ax, (name, values) in zip(axes if len(costs) > 1 else [axes], costs.items(), strict=True):
        power = growth_exponent(lengths, values)
        guide = [values[-1] * (n / lengths[-1]) ** 2 for n in lengths]
        ax.plot(lengths, guide, color=FAINT, linestyle="--", linewidth=1.3, label="n²")
        ax.plot(lengths, values, "o", color=OKABE_ITO.blue, markersize=7, label="measured")
        ax.legend(frameon=False, fontsize=9)
        ax.set(xscale="log", yscale="log", xlabel="tokens n", ylabel=name)
        ax.minorticks_off()
        ax.set_xticks(lengths, [str(n) for n in lengths])
        title(ax, f"{name} grows as n to the power {power:.1f}")
    return figure


def cache_bytes(
    layers: int = 32, heads: int = 32, groups: int = 8, head_dim: int = 128, tokens: int = 8192
) -> Figure:
    """Draw the size of the cache for multi-head, grouped and multi-query attention by length."""
    if heads % groups:
        raise ValueError(
            f"the number of query heads must be a multiple of the key/value heads; got {heads} "
            f"and {groups}. Choose a divisor of {heads}."
        )
    kinds = {f"multi-head ({heads})": heads, f"grouped ({groups})": groups, "multi-query (1)": 1}
    figure, (left, right) = new_figure(
        10.0, 3.6, cols=2, margins=Margins(left=0.85, top=0.65, across=1.1), width_ratios=(3, 2)
    )
    ends = [0, tokens]
    sizes = {}
    for (name, count), colour in zip(kinds.items(), _COLOURS, strict=False):
        sizes[name] = kv_cache_bytes(layers, count, head_dim, tokens) / 2**30
        left.plot(ends, [0, sizes[name]], color=colour, linewidth=2.2, label=name)
    left.legend(frameon=False, fontsize=9, loc="upper left")
    left.set(xlabel="tokens in the cache", ylabel="GiB in bfloat16", xlim=(0, tokens))
    left.set_ylim(0, None)
    bars = right.bar(range(3), list(sizes.values()), color=_COLOURS[:3], width=0.7)
    right.bar_label(bars, [f"{size:.3g}" for size in sizes.values()], padding=2, fontsize=9)
    right.set_xticks(range(3), ["MHA", "GQA", "MQA"])
    right.set(ylabel=f"GiB at {tokens} tokens", ylim=(0, 1.15 * max(sizes.values())))
    per_token = kv_cache_bytes(layers, groups, head_dim, 1)
    title(
        left,
        f"With {groups} key/value heads each token takes {per_token / 1024:.0f} KiB, "
        f"and {tokens} take {per_token * tokens / 2**30:.3g} GiB",
    )
    title(right, f"{heads // groups} times smaller than multi-head")
    return figure
