"""The pictures of this chapter: requests over time, the cache, a batch on the roofline.

Taught in:        serving
Checked against:  the simulated steps and the formulas that they are drawn from
Shapes:           none
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, StrMethodFormatter

from course_lib.accounting.limits import Device
from course_lib.model import ModelConfig
from course_lib.serving import served_tokens_per_second
from course_lib.serving.simulation import History, Work
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

COLUMNS = 8  # of the map of blocks
HUES = (OKABE_ITO.green, OKABE_ITO.sky, OKABE_ITO.vermillion, OKABE_ITO.purple)
FREE = "#e6e6e6"


def lanes(history: History, time: Number) -> Figure:
    """Draw each request as a lane over time, and the blocks of the cache at one moment."""
    margins = Margins(left=0.6, right=0.15, bottom=0.5, top=0.6, across=0.3)
    figure, (left, right) = new_figure(10, 3.8, cols=2, margins=margins, width_ratios=[3, 1])
    for decoding, colour in ((False, OKABE_ITO.orange), (True, OKABE_ITO.blue)):
        bars = [_bar(work) for work in history.work if work.decoding == decoding]
        left.add_collection(
            PolyCollection(bars, facecolors=colour, edgecolors="white", linewidths=0.4)
        )
    for number, each in enumerate(history.arrivals):
        left.plot(each.time, number, "k|", markersize=12)
    left.axvline(time, color=FAINT, linewidth=1)
    left.set(xlabel="time, in seconds", ylabel="request", xlim=(0, history.end))
    left.set_yticks(range(len(history.arrivals)))
    left.set_ylim(len(history.arrivals) - 0.4, -0.6)
    shown = [Patch(color=OKABE_ITO.orange), Patch(color=OKABE_ITO.blue)]
    below = {"loc": "upper right", "bbox_to_anchor": (1.0, -0.07), "ncols": 2, "frameon": False}
    left.legend(shown, ["reads its text", "generates"], fontsize=8, **below)
    title(left, _finding(history))
    _blocks(right, _holders(history, time))
    return figure


def _finding(history: History) -> str:
    pause = max(history.longest_pause(number) for number in history.tokens)
    first = max(history.first_token(number) for number in history.tokens)
    lost = f"; {history.preemptions} lost its blocks" if history.preemptions else ""
    return (
        f"{history.tokens_per_second():.1f} tokens per second; first token after at most "
        f"{first:.0f}\N{NO-BREAK SPACE}s, then pauses of at most "
        f"{pause:.1f}\N{NO-BREAK SPACE}s{lost}"
    )


def _bar(work: Work) -> list[tuple[float, float]]:
    low, high = work.request - 0.35, work.request + 0.35
    return [(work.begin, low), (work.end, low), (work.end, high), (work.begin, high)]


def _holders(history: History, time: Number) -> Sequence[int | None]:
    """Return who holds each block at a time; nobody before the first step."""
    found: Sequence[int | None] = [None] * len(history.moments[0].holders)
    for moment in history.moments:
        if moment.begin <= time:
            found = moment.holders
    return found


def _blocks(ax: Axes, holders: Sequence[int | None]) -> None:
    """Draw each block as a square in the colour of the request that holds it."""
    rows = -(-len(holders) // COLUMNS)
    colours = [FREE if holder is None else HUES[holder % len(HUES)] for holder in holders]
    squares = [
        [(x, y), (x + 0.9, y), (x + 0.9, y + 0.9), (x, y + 0.9)]
        for x, y in ((block % COLUMNS, block // COLUMNS) for block in range(len(holders)))
    ]
    ax.add_collection(PolyCollection(squares, facecolors=colours))
    for block, holder in enumerate(holders):
        if holder is not None:
            place = (block % COLUMNS + 0.45, block // COLUMNS + 0.45)
            ax.text(*place, str(holder), ha="center", va="center", fontsize=8)
    ax.set(xlim=(-0.1, COLUMNS), ylim=(rows, -0.1), xticks=[], yticks=[])
    held = sum(holder is not None for holder in holders)
    title(ax, f"{held} of {len(holders)} blocks held, by request")


def roofline(config: ModelConfig, device: Device, past: int, batch: int) -> Figure:
    """Draw tokens per second against the batch, in all and for each request."""
    margins = Margins(left=0.95, right=0.15, bottom=0.5, top=0.6, across=1.05)
    figure, (left, right) = new_figure(9, 3.4, cols=2, margins=margins)
    batches = [2**power for power in range(11)]
    rates = [served_tokens_per_second(config, device, each, past) for each in batches]
    mine = served_tokens_per_second(config, device, batch, past)
    left.plot(batches, rates, color=OKABE_ITO.blue)
    left.plot(batch, mine, "o", color=OKABE_ITO.vermillion)
    each = [rate / size for rate, size in zip(rates, batches, strict=True)]
    right.plot(batches, each, color=OKABE_ITO.blue)
    right.plot(batch, mine / batch, "o", color=OKABE_ITO.vermillion)
    for ax in (left, right):
        ax.set(xscale="log", yscale="log", xlabel="requests in the batch (logarithmic)")
        ax.set_xticks(batches[::2], [str(size) for size in batches[::2]])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        ax.minorticks_off()
    left.set_ylabel("tokens per second,\nall together (logarithmic)")
    right.set_ylabel("tokens per second,\neach (logarithmic)")
    title(left, f"{batch} requests on {device.name}: at most {_rate(mine)} tokens per second")
    title(right, f"each of them gets at most {_rate(mine / batch)}")
    return figure


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
