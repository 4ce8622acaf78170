"""The roofline of a device, with prefill and decode as points on it.

Taught in:        parameter_counting
Paper:            Williams et al. 2009, "Roofline", doi:10.1145/1498765.1498785
Checked against:  course_lib.accounting
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib import accounting
from course_lib.accounting import Device, PassCost
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, new_figure, title

PROMPTS = tuple(2**power for power in range(2, 15))
BATCHES = tuple(2**power for power in range(11))
_SPAN = (0.2, 3e4)


def attained(step: PassCost, device: Device) -> float:
    """Return the FLOPs per second that a step reaches on a device at best."""
    return accounting.roofline(step.intensity, device.peak_flops, device.bandwidth)


def roofline(
    name: str,
    config: ModelConfig,
    device: Device,
    prompt: int = 2048,
    batch: int = 1,
    context: int = 2048,
) -> Figure:
    """Draw prefill of one text for all lengths, decode for all batches, and the selected ones."""
    figure, ax = new_figure(8.5, 4.3, margins=Margins(left=0.85, right=2.4, top=0.85))
    peak, bandwidth = device.peak_flops, device.bandwidth
    ridge = accounting.ridge_intensity(peak, bandwidth)
    x = np.array([_SPAN[0], ridge, _SPAN[1]])
    ax.plot(x, np.minimum(peak, x * bandwidth) / 1e12, color="black", lw=2)
    ax.axvline(ridge, color=FAINT, lw=1, linestyle=":")
    ax.text(ridge * 0.9, 0.075, f"ridge {ridge:.0f}", ha="right", color=FAINT, size=9)
    decode = [accounting.model_step(config, 1, context - 1, texts) for texts in BATCHES]
    prefill = [accounting.model_step(config, tokens) for tokens in PROMPTS]
    chosen = accounting.model_step(config, 1, context - 1, batch)
    read = accounting.model_step(config, prompt)
    names = (f"prefill, {PROMPTS[0]} to {PROMPTS[-1]:,} tokens", "decode, 1 to 1,024 texts")
    _path(ax, prefill, read, device, OKABE_ITO.blue, names[0])
    _path(ax, decode, chosen, device, OKABE_ITO.orange, names[1])
    ax.set(xscale="log", yscale="log", xlim=_SPAN, ylim=(0.05, 2000))
    ax.set(xlabel="intensity (FLOPs per byte)", ylabel="TFLOPS at most")
    ax.set_xticks([1, 10, 100, 1000, 10000], ["1", "10", "100", "1000", "10000"])
    ax.set_yticks([0.1, 1, 10, 100, 1000], ["0.1", "1", "10", "100", "1000"])
    ax.minorticks_off()
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=9)
    texts = "one text" if batch == 1 else f"{batch} texts"
    shares = [attained(step, device) / peak for step in (chosen, read)]
    title(
        ax,
        f"{name} on {device.name}: decode of {texts} uses {_share(shares[0])} of the peak at most, "
        f"prefill of {prompt:,} tokens {_share(shares[1])}",
    )
    return figure


def _path(
    ax: Axes, steps: list[PassCost], chosen: PassCost, device: Device, colour: str, label: str
) -> None:
    x = [step.intensity for step in steps]
    y = [attained(step, device) / 1e12 for step in steps]
    ax.plot(x, y, "o", color=colour, ms=4, label=label)
    at = chosen.intensity, attained(chosen, device) / 1e12
    ax.plot(*at, "o", color=colour, ms=11, markeredgecolor="black")
    phase = label.partition(",")[0]
    ax.text(at[0] * 1.25, at[1] / 1.9, phase, color="black", size=9, weight="bold")


def _share(value: float) -> str:
    return f"{value:.0%}" if value > 0.095 else f"{value:.1%}"
