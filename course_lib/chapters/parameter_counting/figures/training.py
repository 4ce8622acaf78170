"""The bytes of a training step, with and without checkpointing, and the memory of a device.

Taught in:        parameter_counting
Checked against:  course_lib.accounting
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.accounting import Device, TrainingMemory, inference_memory, training_memory
from course_lib.chapters.parameter_counting.figures.sizes import scale, written_bytes
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

PARTS = {
    "weights": OKABE_ITO.blue,
    "gradients": OKABE_ITO.sky,
    "moments": OKABE_ITO.green,
    "activations": OKABE_ITO.orange,
    "logits": OKABE_ITO.purple,
}


_WRITTEN = 0.09  # the width of a written size, in axes


def mixed_precision(
    config: ModelConfig, tokens: int, batch: int, checkpointing: bool
) -> TrainingMemory:
    """Return the bytes in bfloat16 with a float32 copy of the weights."""
    return training_memory(
        config,
        tokens,
        batch,
        weight_bytes=6,
        gradient_bytes=2,
        activation_number_bytes=2,
        checkpointing=checkpointing,
    )


def training_bytes(
    name: str, config: ModelConfig, device: Device, tokens: int = 2048, batch: int = 4
) -> Figure:
    """Draw the bytes of the weights alone and of training them; mixed precision, AdamW."""
    figure, ax = new_figure(9.5, 3.4, margins=Margins(left=1.75, right=1.5, top=0.85))
    plain, saving = (mixed_precision(config, tokens, batch, each) for each in (False, True))
    unit, letters = scale(max(plain.total, device.memory))
    running = inference_memory(config, 0).weights / unit
    ax.barh([0], [running], color=PARTS["weights"])
    ends = [running]
    for row, memory in ((1, plain), (2, saving)):
        start = 0.0
        for part, colour in PARTS.items():
            size = getattr(memory, part) / unit
            ax.barh([row], [size], left=[start], color=colour, label=part if row == 1 else None)
            start += size
        ends.append(start)
    limit = device.memory / unit
    ax.axvline(limit, color=OKABE_ITO.vermillion, lw=2)
    widest = 1.17 * max(plain.total / unit, limit)
    for row, end in enumerate(ends):
        beside = limit if end < limit < end + _WRITTEN * widest else end
        _write_size(ax, beside, row, end * unit)
    side = "left" if limit < 0.6 * widest else "right"
    ax.text(limit, -0.55, f" {device.name} ", color=OKABE_ITO.vermillion, size=9, ha=side)
    ax.set(xlim=(0, widest), ylim=(2.6, -0.75), xlabel=letters)
    ax.set_yticks([0, 1, 2], ["weights alone", "training", "with checkpointing"])
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=6)
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)
    ax.axvline(0, color=FAINT, lw=0.8)
    title(ax, _verdict(name, tokens, batch, plain.total, saving.total, device))
    return figure


def _write_size(ax: Axes, end: float, row: int, size: float) -> None:
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.0}
    ax.text(end, row, f" {written_bytes(size)}", va="center", size=9, bbox=paper, zorder=1)


def _verdict(name: str, tokens: int, batch: int, plain: int, saving: int, device: Device) -> str:
    sizes = [written_bytes(size) for size in (plain, saving)]
    step = f"{name}, {batch} × {tokens:,} tokens, on {device.name}"
    if plain <= device.memory:
        return f"{step}: {sizes[0]} fit; with checkpointing {sizes[1]}"
    if saving <= device.memory:
        return f"{step}: {sizes[0]} do not fit, {sizes[1]} with checkpointing do"
    return f"{step}: {sizes[0]} do not fit, nor do {sizes[1]} with checkpointing"
