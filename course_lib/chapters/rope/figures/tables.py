"""Tables of positions: the rows that are added to the embeddings, and their similarities.

A table in which near positions resemble each other has a Gram matrix, the products of all pairs of
rows, that depends on distance. The part that distance explains is measured as a share of its
variance; a shuffled table shows the share that arises by chance.

Taught in:        rope
Checked against:  a least-squares fit of one number per distance
Shapes:           T positions, C model width
"""

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.device import seeded
from course_lib.study.display.plotting import SIGNED, Margins, heatmap, new_figure, title


def similarities(table: Float[Tensor, "T C"]) -> Float[Tensor, "T T"]:
    """Return the cosine of each pair of rows."""
    rows = torch.nn.functional.normalize(table.cpu().double(), dim=-1)
    return rows @ rows.T


def share_by_distance(matrix: Float[Tensor, "T T"]) -> float:
    """Return the share of a matrix's variance, off its diagonal, that distance alone explains."""
    count = len(matrix)
    place = torch.arange(count)
    distance = (place[:, None] - place).abs()
    fitted = matrix.clone()
    for each in range(1, count):
        at = distance == each
        fitted[at] = matrix[at].mean()
    off = distance > 0
    left = (matrix - fitted)[off].square().sum()
    return 1 - (left / (matrix[off] - matrix[off].mean()).square().sum()).item()


def shuffled(table: Float[Tensor, "T C"], seed: int = 0) -> Float[Tensor, "T C"]:
    """Return the same rows in random order: the control."""
    return table[torch.randperm(len(table), generator=seeded(seed))]


def position_table(table: Float[Tensor, "T C"], name: str, seed: int = 0) -> Figure:
    """Draw a table, the similarities of its rows, and those of the same rows shuffled."""
    figure, (left, middle, right) = new_figure(
        11, 3.8, cols=3, margins=Margins(left=0.6, right=0.8, top=0.75, across=0.75, bottom=0.55)
    )
    heatmap(left, table, shades=SIGNED)
    left.set(xlabel="feature", ylabel="position")
    ordered = similarities(table)
    mixed = similarities(shuffled(table, seed))
    heatmap(middle, ordered, shades=SIGNED, limit=1)
    image = heatmap(right, mixed, shades=SIGNED, limit=1)
    scale = figure.colorbar(image, ax=right, fraction=0.05, pad=0.03)
    scale.set_label("cosine of two rows")
    scale.set_ticks([-1, 0, 1], labels=["−1", "0", "1"])
    scale.outline.set_visible(False)
    last = len(table) - 1
    for ax in (left, middle, right):
        ax.set_yticks([0, last], ["0", str(last)])
    left.set_xticks([0, table.shape[1] - 1], ["0", str(table.shape[1] - 1)])
    for ax in (middle, right):
        ax.set_xticks([0, last], ["0", str(last)])
        ax.set(xlabel="position", ylabel="position")
    title(left, f"{name.capitalize()}: {len(table)} rows of {table.shape[1]} features")
    title(middle, f"Similarity of rows: distance explains {_percent(ordered)}")
    title(right, f"The same rows, shuffled: distance explains {_percent(mixed)}")
    return figure


def _percent(matrix: Float[Tensor, "T T"]) -> str:
    share = share_by_distance(matrix)
    return f"{100 * share:.0f} %"
