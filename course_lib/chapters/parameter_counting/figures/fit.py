"""Will it fit, and how fast can it be: bytes and memory, tokens per second and batch.

Taught in:        parameter_counting
Checked against:  course_lib.accounting
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.accounting import (
    DEVICES,
    Device,
    InferenceMemory,
    inference_memory,
    model_step,
    time_bound,
)
from course_lib.chapters.parameter_counting.figures.sizes import scale, written_bytes
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

DTYPES = ("bfloat16", "int8", "int4")  # products are computed in bfloat16 for all
BATCHES = tuple(2**power for power in range(11))


def largest_batch(config: ModelConfig, context: int, dtype: str, device: Device) -> int:
    """Return how many texts of that length fit in memory with the weights; 0 if not even one."""
    one = inference_memory(config, context, 1, dtype)
    return max(0, int((device.memory - one.weights) // one.cache))


def tokens_per_second(
    config: ModelConfig, context: int, batch: int, dtype: str, device: Device
) -> float:
    """Return the limit of tokens per second of all texts, each `context` tokens long."""
    return batch / time_bound(model_step(config, 1, context - 1, batch, dtype), device)[0]


def will_it_fit(
    name: str,
    config: ModelConfig,
    device: Device,
    dtype: str = "bfloat16",
    batch: int = 1,
    context: int = 4096,
) -> Figure:
    """Draw weights and cache with the memory of devices, and the speed limit for every batch."""
    figure, (left, right) = new_figure(
        10.5, 4.0, cols=2, margins=Margins(top=0.85, bottom=0.6, across=0.9, left=0.75)
    )
    needed = inference_memory(config, context, batch, dtype)
    _bytes_and_limits(left, needed, device)
    _speeds(right, config, context, batch, dtype, device)
    fits = needed.total <= device.memory
    verdict = "fit into" if fits else "do not fit into"
    texts = "one text" if batch == 1 else f"{batch} texts"
    title(
        left,
        f"{name} in {dtype}, {texts} of {context:,}: {written_bytes(needed.weights)} and a cache "
        f"of {written_bytes(needed.cache)} {verdict} {written_bytes(device.memory)}",
    )
    return figure


def _bytes_and_limits(ax: Axes, needed: InferenceMemory, device: Device) -> None:
    enough = min((d.memory for d in DEVICES.values() if d.memory >= needed.total), default=0)
    largest = max(1.25 * needed.total, 1.15 * device.memory, 1.15 * enough)
    unit, letters = scale(largest)
    top, weights, cache = (size / unit for size in (largest, needed.weights, needed.cache))
    ax.bar([0], [weights], color=OKABE_ITO.blue, width=0.9)
    ax.bar([0], [cache], bottom=[weights], color=OKABE_ITO.orange, width=0.9)
    _limits(ax, device, unit, top)
    paper = {
        "facecolor": "white",
        "edgecolor": "none",
        "pad": 0.5,
    }  # so that no line crosses a word
    for words, middle, size, ink in (
        ("weights", weights / 2, weights, OKABE_ITO.blue),
        ("cache", weights + cache / 2, cache, "#9a6a00"),
    ):
        if size > 0.06 * top:
            ax.text(-0.52, middle, words, ha="right", va="center", color=ink, size=9, bbox=paper)
    ax.set(xlim=(-1.3, 2.6), ylim=(0, top), xticks=[], ylabel=letters)
    ax.locator_params(axis="y", nbins=5)


def _limits(ax: Axes, device: Device, unit: float, top: float) -> None:
    """Draw the memory of the device, and of others if there is space for their names."""
    named: list[float] = []
    others = sorted({each.memory for each in DEVICES.values()} - {device.memory})
    for memory in (device.memory, *others):
        size = memory / unit
        if size > top or any(abs(size - other) < 0.08 * top for other in named):
            continue
        named.append(size)
        names = " · ".join(d.name for d in DEVICES.values() if d.memory == memory)
        chosen = memory == device.memory
        ink = OKABE_ITO.vermillion if chosen else FAINT
        ax.axhline(size, color=ink, lw=2.4 if chosen else 1.0, linestyle="-" if chosen else "--")
        ax.text(0.52, size + 0.01 * top, names, color=ink, size=8.5, va="bottom")


def _speeds(
    ax: Axes, config: ModelConfig, context: int, batch: int, dtype: str, device: Device
) -> None:
    most = largest_batch(config, context, dtype, device)
    speeds = [tokens_per_second(config, context, each, dtype, device) for each in BATCHES]
    room = [each for each in BATCHES if each <= most]
    ax.plot(BATCHES, speeds, "o:", color=FAINT, ms=4, lw=1.2)
    ax.plot(room, speeds[: len(room)], "o-", color=OKABE_ITO.green, ms=5, lw=2.2)
    here = tokens_per_second(config, context, batch, dtype, device)
    top = 1e5 if max(speeds) < 1e5 else 1e6
    ink = OKABE_ITO.green if batch <= most else "white"
    ax.plot([batch], [here], "o", ms=12, color=ink, markeredgecolor="black")
    if 0 < most < BATCHES[-1]:
        ax.axvline(most, color=OKABE_ITO.vermillion, lw=2)
        side = "left" if most < 64 else "right"
        ax.text(most, 1.25, "  memory is full  ", color=OKABE_ITO.vermillion, size=8.5, ha=side)
    ax.set(xscale="log", yscale="log", xlim=(0.8, 1300), ylim=(1, top))
    ax.set(xlabel="texts at once", ylabel="tokens per second, at most")
    ax.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    ticks = ["1", "10", "100", "1 000", "10 000", "100 000", "1 million"]
    ax.set_yticks([10.0**power for power in range(7)], ticks)
    ax.set_ylim(1, top)  # ticks above it would widen the axis
    ax.minorticks_off()
    title(ax, _verdict(device, most, batch, here))


def _verdict(device: Device, most: int, batch: int, here: float) -> str:
    if most == 0:
        return f"{device.name} has no room for even one text"
    room = f"{most:,} texts" if most > 1 else "one text"
    if batch > most:
        more = f"with more memory: {here:,.0f} tokens per second"
        return f"{device.name} has room for {room}; {more}"
    each = f", {here / batch:,.0f} for each text" if batch > 1 else ""
    return f"At most {here:,.0f} tokens per second{each}; there is room for {room}"
