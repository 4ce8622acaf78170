"""Where floating point breaks softmax: measured by running it in each type.

Nothing here is predicted from a formula. Each cell of a map, and each point of a curve, is what the
course's functions return in that type, against the same scores in float64.

Taught in:        softmax
Checked against:  torch.softmax and torch.log_softmax in float64
Shapes:           M magnitudes, each a row of V scores
"""

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib import softmax
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import (
    FAINT,
    MONOSPACED,
    OKABE_ITO,
    Margins,
    Number,
    as_array,
    new_figure,
    title,
)

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
FORMS = {"naive": softmax.naive_softmax, "stable": softmax.stable_softmax}
OUTCOMES = {  # from harmless to fatal
    "right": OKABE_ITO.sky,
    "right, but small p are 0": "#0a5c91",
    "wrong": OKABE_ITO.yellow,
    "nan": OKABE_ITO.vermillion,
}
PATTERN = (1.0, 0.5, 0.0, -0.5, -1.0)  # the scores at magnitude 1
LARGEST = 10_000.0  # every type here can still hold a score of this size


def outcomes(form: str, dtype: str, magnitudes: Float[Tensor, " M"]) -> Int[Tensor, " M"]:
    """Return the outcome for scores ±magnitude, as its index in `OUTCOMES`."""
    scores = (magnitudes.double()[:, None] * torch.tensor(PATTERN).double()).to(DTYPES[dtype])
    got = FORMS[form](scores)
    off = (got.double() - torch.softmax(scores.double(), -1)).abs().amax(-1)
    found = (got == 0).any(-1).long()
    found[off > 4 * torch.finfo(DTYPES[dtype]).eps] = 2
    found[got.isnan().any(-1)] = 3
    return found


@cache
def _measured(form: str) -> np.ndarray:
    """Return the outcome for each type (row) and magnitude (column), run once in each process."""
    magnitudes = torch.logspace(0, math.log10(LARGEST), 161, dtype=torch.float64)
    return as_array(torch.stack([outcomes(form, name, magnitudes) for name in DTYPES]))


def overflow_map(dtype: str = "float16", magnitude: Number = 10.0) -> Figure:
    """Draw what the naive and the stable form give for each type and size of the scores."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
    if not 1 <= magnitude <= LARGEST:
        raise ValueError(
            f"magnitude must be between 1 and {LARGEST:.0f}; got {magnitude}. "
            "The map ends well below 65504, the largest number of float16."
        )
    figure, (left, right) = new_figure(
        10, 3.6, cols=2, margins=Margins(left=0.8, right=0.45, bottom=1.4, top=0.65, across=0.5)
    )
    for ax, form in ((left, "naive"), (right, "stable")):
        _outcome_map(ax, form, dtype, magnitude)
    left.set_yticks(range(len(DTYPES)), list(DTYPES))
    right.set_yticks([])
    there = {int(place) for ax in (left, right) for place in ax.images[0].get_array().flat}
    x = left.get_position().x0
    for place in sorted(there):
        name, colour = list(OUTCOMES.items())[place]
        figure.text(x, 0.04, "■", color=colour, size=13)
        figure.text(x + 0.02, 0.045, name, size=9)
        x += 0.05 + 0.007 * len(name)
    return figure


def _outcome_map(ax: Axes, form: str, dtype: str, magnitude: Number) -> None:
    colours = ListedColormap(list(OUTCOMES.values()))
    norm = BoundaryNorm([-0.5, 0.5, 1.5, 2.5, 3.5], 4)
    span = (0.0, math.log10(LARGEST), len(DTYPES) - 0.5, -0.5)
    ax.imshow(
        _measured(form),
        cmap=colours,
        norm=norm,
        aspect="auto",
        extent=span,
        interpolation="nearest",
    )
    ax.hlines([0.5, 1.5, 2.5], *span[:2], "white", linewidth=2)
    row, x = list(DTYPES).index(dtype), min(max(math.log10(magnitude), 0.05), span[1] - 0.05)
    ax.add_patch(Rectangle((x - 0.05, row - 0.5), 0.1, 1, fill=False, edgecolor="black", lw=2.5))
    ax.set_xticks(range(5), ["1", "10", "100", "1 000", "10 000"])
    ax.set_xlabel("largest score")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    _chosen_cell(ax, form, dtype, magnitude)


def _chosen_cell(ax: Axes, form: str, dtype: str, magnitude: Number) -> None:
    """Write the scores of the framed cell and the probabilities that this form gives."""
    magnitudes = torch.tensor([magnitude], dtype=torch.float64)
    found = list(OUTCOMES)[int(outcomes(form, dtype, magnitudes)[0])]
    title(ax, f"{form.capitalize()} in {dtype}, up to {_plainly(magnitude)}: {found}")
    scores = (magnitude * torch.tensor(PATTERN).double()).to(DTYPES[dtype])
    for height, name, row in ((-0.44, "scores", scores), (-0.57, "p", FORMS[form](scores))):
        cells = "".join(f"{_plainly(number):>9}" for number in row.tolist())
        ax.text(0, height, f"{name:6}  {cells}", transform=ax.transAxes, size=9, family=MONOSPACED)


def _plainly(number: Number) -> str:
    """Return the number with two significant digits, or a large one without its fraction."""
    return written(number, ".0f" if abs(number) >= 100 else ".2g")


def log_softmax_error(dtype: str = "float16", gap: Number = 20.0) -> Figure:
    """Draw the error of log(softmax) and of log_softmax for the lower of two scores."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}.")
    gaps = torch.linspace(0, 120, 241, dtype=torch.float64)
    figure, axes = new_figure(
        10, 3.4, cols=2, margins=Margins(left=1.05, top=0.65, across=0.4), width_ratios=(3, 2)
    )
    _error_curves(axes[0], dtype, gaps, gap)
    _answers(axes[1], dtype, gap)
    return figure


def log_errors(dtype: str, gaps: Float[Tensor, " M"]) -> Float[Tensor, "2 M"]:
    """Return |error| of log(softmax) and of log_softmax of the scores [gap, 0], at the zero."""
    scores = torch.stack([gaps, torch.zeros_like(gaps)], -1).to(DTYPES[dtype])
    true = torch.log_softmax(scores.double(), -1)[:, 1]
    in_two = softmax.stable_softmax(scores).log()[:, 1].double()
    in_one = softmax.log_softmax(scores)[:, 1].double()
    return (torch.stack([in_two, in_one]) - true).abs()


def _error_curves(ax: Axes, dtype: str, gaps: Float[Tensor, " M"], gap: Number) -> None:
    errors = log_errors(dtype, gaps)
    lowest, infinite = -18.0, 3.0  # powers of ten
    names = ("log(softmax(x))", "log_softmax(x)")
    for name, row, colour in zip(
        names, errors, (OKABE_ITO.vermillion, OKABE_ITO.blue), strict=True
    ):
        ax.plot(
            gaps.tolist(),
            row.log10().clamp(lowest, infinite).tolist(),
            color=colour,
            linewidth=2,
            label=name,
        )
    ax.axvline(gap, color=FAINT, linestyle=":", linewidth=1.5)
    ax.set(ylim=(lowest - 0.5, infinite + 0.8), xlim=(0, 120))
    ax.set_yticks([lowest, -12, -6, 0, infinite], ["≤ 1e−18", "1e−12", "1e−6", "1", "∞"])
    ax.set(xlabel="gap between the two scores", ylabel="error (nats)")
    broken = gaps[errors[0].isinf()]
    ax.legend(frameon=False, fontsize=9, loc="center")
    where = f"is −∞ from a gap of {broken[0]:.1f}" if len(broken) else "is finite up to 120"
    title(ax, f"{dtype}: log(softmax) {where}; log_softmax errs by at most {errors[1].max():.1g}")


def _answers(ax: Axes, dtype: str, gap: Number) -> None:
    scores = torch.tensor([gap, 0.0], dtype=torch.float64).to(DTYPES[dtype])
    ax.set_axis_off()
    answers = (
        ("log(softmax(x))", softmax.stable_softmax(scores).log()[1].item(), OKABE_ITO.vermillion),
        ("log_softmax(x)", softmax.log_softmax(scores)[1].item(), OKABE_ITO.blue),
        ("exact", torch.log_softmax(scores.double(), -1)[1].item(), "black"),
    )
    for height, (name, value, ink) in zip((0.75, 0.5, 0.25), answers, strict=True):
        said = written(value, ".4f").replace("inf", "∞")
        ax.text(0.0, height, name, color=ink, transform=ax.transAxes, va="center")
        ax.text(0.6, height, said, color=ink, transform=ax.transAxes, va="center")
    title(ax, f"For the scores {gap:.3g} and 0, the log-probability of the 0:")
