"""The noisy channel: its capacity, and simulated codes below and above it.

Taught in:        language_models
Paper:            Shannon 1948; Hamming 1950
Checked against:  `course_lib.information.channel`, the binomial distribution
Shapes:           k message bits sent as n channel bits
"""

import math
from functools import cache

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.device import seeded
from course_lib.information import (
    ErrorRates,
    LinearCode,
    capacity,
    entropy,
    error_rates,
    hamming_code,
    random_code,
    repetition_code,
)
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    Number,
    new_figure,
    probability_axis,
    title,
)

BELOW = tuple((k, 4 * k) for k in (1, 2, 4, 6, 8, 10))
ABOVE = tuple((k, k * 4 // 3) for k in (3, 6, 9))
FLOOR = 1e-3  # rarer errors are drawn at this height


def capacity_curve(flip: Number) -> Figure:
    """Draw the capacity against the probability of a flip, and the rates of two codes."""
    flips = torch.linspace(0, 1, 101, dtype=torch.float64).tolist()
    here = capacity(float(flip))
    figure, ax = new_figure(7.5, 3.6, margins=Margins(top=0.5))
    ax.plot(flips, [capacity(each) for each in flips], color=OKABE_ITO.blue, linewidth=2.2)
    ax.plot([flip], [here], "o", color=OKABE_ITO.vermillion, markersize=9, clip_on=False)
    for code, name in ((repetition_code(3), "three times"), (hamming_code(), "Hamming (7, 4)")):
        ax.axhline(code.rate, color=FAINT, linestyle=":", linewidth=1.2)
        ax.text(0.5, code.rate + 0.015, f"{name}: rate {code.rate:.2f}", size=9, ha="center")
    probability_axis(ax, "message bits per bit sent")
    ax.set(xlabel="probability that a bit is flipped", xlim=(0, 1))
    title(ax, f"With {flip:.0%} of the bits flipped, a bit sent carries {here:.3f} bits of message")
    return figure


@cache
def _codes() -> dict[str, LinearCode]:
    named = {"sent once": repetition_code(1)}
    named |= {f"{times} times": repetition_code(times) for times in (3, 5, 7)}
    named["Hamming"] = hamming_code()
    return named


@cache
def _random_code(k: int, n: int) -> LinearCode:
    return random_code(k, n, seeded(k + 100 * n))


@cache
def measured(code: LinearCode, flip: Number, blocks: int) -> ErrorRates:
    """Return the error rates of a code over `blocks` blocks, the same each time."""
    return error_rates(code, float(flip), blocks, seeded(blocks))


def code_errors(flip: Number, blocks: int = 400) -> Figure:
    """Draw the error rates of codes against their rates, and against the block length."""
    if not 0 < flip < 0.5:
        raise ValueError(
            f"flip must lie between 0 and 0.5, both excluded; got {flip}. A line that flips more "
            "than half of the bits should be inverted first."
        )
    limit = capacity(float(flip))
    figure, (left, right) = new_figure(
        10.5, 4.0, cols=2, margins=Margins(left=0.95, across=0.9, top=0.7)
    )
    _map(left, flip, blocks, limit)
    _lengths(right, flip, blocks, limit)
    return figure


def _map(ax: Axes, flip: Number, blocks: int, limit: float) -> None:
    # R (1 - H(e)) = C solved for the rate R, for errors e up to those of a code without parities
    wrong = torch.logspace(math.log10(FLOOR), math.log10(flip), 20, dtype=torch.float64)
    rates = limit / (1 - entropy(torch.stack([wrong, 1 - wrong], -1)))
    heights = [_height(share) for share in wrong.tolist()]
    ax.fill_between(rates.tolist(), heights, _height(0.0), color="#f3d3c2", linewidth=0)
    ax.axvline(limit, color=OKABE_ITO.vermillion, linestyle="--", linewidth=1.4)
    k, n = BELOW[-1]
    shown = {**_codes(), f"random {k} of {n}": _random_code(k, n)}
    labels: list[tuple[float, float]] = []
    for name, code in shown.items():
        height = _height(measured(code, flip, blocks * k // code.k).bit)  # as many bits each
        ax.plot([code.rate], [height], "o", color=OKABE_ITO.blue, markersize=7)
        across, above = min(code.rate + 0.02, 0.93), height + 0.06
        while any(abs(x - across) < 0.3 and abs(y - above) < 0.18 for x, y in labels):
            above -= 0.06
        labels.append((across, above))
        ax.text(across, above, name, size=9)
    ax.set(ylim=(_height(0.0) - 0.05, 0), xlim=(0, 1.15))
    ax.set_yticks([-3, -2, -1], ["≤ 0.1%", "1%", "10%"])
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set(xlabel="rate", ylabel="message bits wrong")
    title(ax, f"Capacity {limit:.3f}; no code can be in the coloured region")


def _height(share: float) -> float:
    return math.log10(max(share, FLOOR))


def _lengths(ax: Axes, flip: Number, blocks: int, limit: float) -> None:
    ends = []
    for sizes, colour, align in ((BELOW, "#00795a", "right"), (ABOVE, "#9c4f7d", "left")):
        wrong = [measured(_random_code(k, n), flip, blocks).block for k, n in sizes]
        rate = sizes[-1][0] / sizes[-1][1]
        side = "below" if rate < limit else "above"
        name = f"rate {rate:.2f}, {side} capacity"
        ax.plot([n for _, n in sizes], wrong, "o-", color=colour)
        ax.text(sizes[-1][1] - 1, wrong[-1] + 0.06, name, color=colour, size=9, ha=align)
        ends.append(f"{wrong[0]:.0%} → {wrong[-1]:.0%} at rate {rate:.2f}")
    probability_axis(ax, "blocks wrong")
    ax.set(xlabel="bits in a block", xlim=(0, 42))
    ax.set_xticks([0, 20, 40])
    title(ax, f"Longer blocks: {', '.join(ends)}")
