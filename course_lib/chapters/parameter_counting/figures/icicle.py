"""The icicle of parameters: the model, its parts, and their matrices, all on one linear scale.

Taught in:        parameter_counting
Checked against:  course_lib.accounting
"""

from dataclasses import replace
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.accounting import inner_parts, parameter_parts, total_parameters
from course_lib.model import ModelConfig
from course_lib.study.display.plotting import OKABE_ITO, Margins, new_figure, readable_on, title

COLOURS = {
    "embedding": OKABE_ITO.orange,
    "positions": OKABE_ITO.yellow,
    "attention": OKABE_ITO.blue,
    "MLP": OKABE_ITO.green,
    "experts": OKABE_ITO.green,
    "norms": "#777777",
    "output head": OKABE_ITO.vermillion,
}
_WHOLE = "#dddddd"
LEVELS = ("model", "parts", "matrices")


class Cell(NamedTuple):
    """One rectangle: its level, start and width (both in parameters), name and formula."""

    level: int
    start: int
    parameters: int
    name: str
    formula: str
    colour: str


def retied(config: ModelConfig, tied: bool) -> ModelConfig:
    """Return the configuration with its output head tied to the embedding, or not."""
    return replace(config, tie_word_embeddings=tied)


def cells(config: ModelConfig) -> tuple[Cell, ...]:
    """Return all rectangles of the icicle of a model."""
    inner, start = inner_parts(config), 0
    found = [Cell(0, 0, total_parameters(config), "all parameters", "the sum of all parts", _WHOLE)]
    for part in parameter_parts(config):
        colour = COLOURS[part.name]
        found.append(Cell(1, start, part.parameters, part.name, part.formula, colour))
        inside = start
        for number, each in enumerate(inner.get(part.name, ())):
            shade = _lighter(colour, 0.25 + 0.2 * (number % 2))
            found.append(Cell(2, inside, each.parameters, each.name, each.formula, shade))
            inside += each.parameters
        start += part.parameters
    return tuple(found)


def _lighter(colour: str, share: float) -> str:
    """Return the colour mixed with white."""
    mixed = [int(colour[i : i + 2], 16) * (1 - share) + 255 * share for i in (1, 3, 5)]
    return "#" + "".join(f"{round(each):02x}" for each in mixed)


def written_count(parameters: int) -> str:
    """Return a number of parameters with three digits: 8.19 B, 622 M, 74 k."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= size:
            return f"{parameters / size:.3g} {letter}"
    return str(parameters)


def icicle(name: str, config: ModelConfig) -> Figure:
    """Draw the parameters of a model; the width of every rectangle is its fraction of them."""
    figure, ax = new_figure(10, 3.4, margins=Margins(left=0.8, right=0.2, bottom=0.6, top=0.65))
    total = total_parameters(config)
    for cell in cells(config):
        _rectangle(ax, cell, total)
    ax.set(xlim=(0, total / 1e9), ylim=(3, 0), xlabel="parameters (billions)")
    ax.set_yticks([0.5, 1.5, 2.5], LEVELS)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=6)
    title(ax, finding(name, config))
    return figure


def _rectangle(ax: Axes, cell: Cell, total: int) -> None:
    where = (cell.start / 1e9, cell.level)
    edge = 1.0 if cell.parameters > 0.01 * total else 0.2  # a wide edge would hide a thin cell
    ax.add_patch(Rectangle(where, cell.parameters / 1e9, 0.96, facecolor=cell.colour,
                           edgecolor="white", linewidth=edge))  # fmt: skip
    share, ink = cell.parameters / total, readable_on(cell.colour)
    centre = (cell.start + cell.parameters / 2) / 1e9
    long = f"{cell.name}\n{written_count(cell.parameters)} · {share:.0%}"
    if share > 0.105:
        ax.text(centre, cell.level + 0.48, long, ha="center", va="center", size=9, color=ink)
    elif share > 0.018:
        ax.text(
            centre,
            cell.level + 0.48,
            cell.name,
            ha="center",
            va="center",
            size=8,
            color=ink,
            rotation=0 if share > 0.075 else 90,
        )
    elif cell.name in ("embedding", "output head") and share > 0.004:  # no matrices below: room
        ax.text(centre, 2.48, cell.name, ha="center", va="center", size=8, rotation=90)


def finding(name: str, config: ModelConfig) -> str:
    """Return the title of an icicle: the total, and the three largest parts."""
    total = total_parameters(config)
    largest = sorted(parameter_parts(config), key=lambda part: -part.parameters)[:3]
    shares = ", ".join(f"{part.name} {part.parameters / total:.0%}" for part in largest)
    head = "tied" if config.tie_word_embeddings else "untied"
    return f"{name}, {head}: {written_count(total)} parameters; {shares}"
