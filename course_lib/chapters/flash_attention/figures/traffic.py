"""Bytes against the size of fast memory, and attention under the roofline of a device.

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135; Williams et al. 2009,
                  doi:10.1145/1498765.1498785
Checked against:  the closed formulas of course_lib.flash.traffic
Shapes:           n tokens that attend to each other, D head width, one head
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.accounting import DEVICES, ridge_intensity, roofline
from course_lib.flash import fast_bytes, largest_query_block, standard_bytes, tiled_bytes
from course_lib.study.display.log_axis import powers_of_ten
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

KEY_BLOCK = 16
BYTES = 2  # bfloat16


def fast_memory(kib: Number, head_dim: int = 64, n: int = 8192) -> Figure:
    """Draw how the table is cut for a fast memory of that size, and how much is moved."""
    capacity = int(kib * 1024)
    least = fast_bytes(1, KEY_BLOCK, head_dim, BYTES) / 1024
    if kib < least:
        raise ValueError(
            f"one query and {KEY_BLOCK} keys of width {head_dim} take {least:.1f} KiB; got {kib}."
        )
    block = min(largest_query_block(capacity, head_dim, KEY_BLOCK, BYTES), n)
    margins = Margins(left=0.65, top=0.65, across=0.95)
    figure, (left, right) = new_figure(10, 3.6, cols=2, margins=margins, width_ratios=(2, 3))
    _cut(left, block, n)
    _traffic_curve(right, capacity, head_dim, n)
    return figure


def _cut(ax: Axes, block: int, n: int) -> None:
    ax.set(xlim=(0, n), ylim=(n, 0), xticks=[], yticks=[], xlabel="key", ylabel="query")
    ax.spines[:].set_visible(True)
    edges = np.arange(0, n, block)
    ax.hlines(edges, 0, n, OKABE_ITO.blue, linewidth=0.8 if len(edges) < 200 else 0.2)
    ax.add_patch(Rectangle((0, 0), n, min(block, n), color=OKABE_ITO.orange, alpha=0.7))
    times = len(edges)
    said = (
        f"Tiles of {block} queries: all keys are read {times} {'time' if times == 1 else 'times'}"
    )
    title(ax, said)


def _traffic_curve(ax: Axes, capacity: int, head_dim: int, n: int) -> None:
    least = fast_bytes(1, KEY_BLOCK, head_dim, BYTES)
    sizes = [int(each) for each in np.geomspace(least, 2**20, 60)]
    moved = [_moved(size, head_dim, n) / 2**20 for size in sizes]
    standard = standard_bytes(n, n, head_dim, BYTES) / 2**20
    here = _moved(capacity, head_dim, n) / 2**20
    ax.loglog([size / 1024 for size in sizes], moved, color=OKABE_ITO.blue, linewidth=2.2)
    ax.axhline(standard, color=OKABE_ITO.vermillion, linestyle="--")
    ax.text(1000, standard * 1.12, "standard", color=OKABE_ITO.vermillion, ha="right", size=9)
    ax.plot(capacity / 1024, here, "o", color=OKABE_ITO.orange, markersize=9)
    powers_of_ten(ax.xaxis, ax.yaxis)
    ax.set_xticks([4, 16, 64, 256, 1024], ["4", "16", "64", "256", "1024"])
    ax.set(xlabel="fast memory, KiB", ylabel="MiB moved for one head")
    ratio = standard / here
    less = f"{ratio:.1f} times fewer" if ratio >= 1 else f"{1 / ratio:.1f} times more"
    title(ax, f"{capacity / 1024:.0f} KiB, D = {head_dim}: {less} bytes than the standard method")


def _moved(capacity: int, head_dim: int, n: int) -> int:
    block = min(largest_query_block(capacity, head_dim, KEY_BLOCK, BYTES), n)
    return tiled_bytes(n, n, head_dim, block, bytes_per_number=BYTES)


def intensities(n: int, head_dim: int, kib: Number) -> dict[str, float]:
    """Return the FLOPs of the two products for each byte that each method moves."""
    flops = 4 * n * n * head_dim
    return {
        "standard": flops / standard_bytes(n, n, head_dim, BYTES),
        "tiled": flops / _moved(int(kib * 1024), head_dim, n),
    }


def roofline_points(
    device: str = "H100 SXM", n: int = 8192, head_dim: int = 128, kib: Number = 128
) -> Figure:
    """Draw both methods under the roofline of a device: the limit that their traffic sets."""
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {device!r}.")
    chosen = DEVICES[device]
    figure, ax = new_figure(8, 3.9, margins=Margins(left=0.85, top=0.65))
    ridge = ridge_intensity(chosen.peak_flops, chosen.bandwidth)
    x = np.geomspace(1, 10_000, 200)
    roof = [roofline(float(each), chosen.peak_flops, chosen.bandwidth) / 1e12 for each in x]
    ax.loglog(x, roof, color="black", linewidth=2)
    ax.plot([ridge, ridge], [1, chosen.peak_flops / 1e12], color=FAINT, linestyle=":")
    ax.text(ridge * 1.08, 2.2, f"ridge: {ridge:.0f}", color=FAINT, size=9)
    reached = {}
    for (name, intensity), colour in zip(
        intensities(n, head_dim, kib).items(), (OKABE_ITO.vermillion, OKABE_ITO.blue), strict=True
    ):
        reached[name] = roofline(intensity, chosen.peak_flops, chosen.bandwidth) / 1e12
        ax.plot(intensity, reached[name], "o", color=colour, markersize=10)
        said = f"{name}: {intensity:.0f} FLOPs per byte"
        if name == "standard":  # above the slope, and below the roof right of the dotted ridge
            ax.text(intensity * 0.85, reached[name] * 1.4, said, color=colour, size=9, ha="right")
        else:
            ax.text(max(intensity, ridge) * 1.15, reached[name] * 0.5, said, color=colour, size=9)
    ax.set(xlabel="FLOPs for each byte moved", ylabel="TFLOP/s at most", ylim=(1, 2500))
    powers_of_ten(ax.xaxis, ax.yaxis)
    title(
        ax,
        f"{device}, n = {n}, D = {head_dim}: traffic limits the standard method to "
        f"{reached['standard']:.0f} TFLOP/s, the tiled one to {reached['tiled']:.0f}",
    )
    return figure
