"""AWQ: give more of the codes to the weights whose inputs are large.

A column that is multiplied by s before rounding, and whose input is divided by s, has its error
divided by about s. The scale of the row must not grow much with it, so only columns with large
inputs get a large s. One exponent α for all columns of a layer is found by trying.

    s_j = mean|x_j|^α / √(max · min of all)        Q(W · s) · (x / s)       α from a grid, 0 … 1

Taught in:        compression
Paper:            Lin et al. 2023, arXiv:2306.00978
Checked against:  the outputs for every α of the grid, computed from the inputs themselves
Shapes:           O outputs, I inputs
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression.calibration import output_error
from course_lib.compression.tensors import Scheme, quantise

GRID = tuple(step / 20 for step in range(21))


class Search(NamedTuple):
    """What was found: the exponent, its scales, and the error of the outputs for each exponent."""

    alpha: float
    scales: Float[Tensor, " I"]
    errors: tuple[float, ...]


def awq_scales(mean: Float[Tensor, " I"], alpha: float) -> Float[Tensor, " I"]:
    """Return the factor of each column, around 1; an input that is always 0 counts as tiny."""
    positive = mean.clamp(min=1e-4 * mean.max().clamp(min=1e-12)) ** alpha
    return positive / (positive.max() * positive.min()).sqrt()


@torch.no_grad()
def awq_search(
    weight: Float[Tensor, "O I"],
    mean: Float[Tensor, " I"],
    gram: Float[Tensor, "I I"],
    scheme: Scheme,
    grid: tuple[float, ...] = GRID,
) -> Search:
    """Return the exponent of the grid with the smallest error of the outputs."""
    candidates = [awq_scales(mean, alpha) for alpha in grid]
    errors = [
        output_error(weight, quantise(weight * s, scheme).dequantised() / s, gram)
        for s in candidates
    ]
    best = min(range(len(grid)), key=errors.__getitem__)
    return Search(grid[best], candidates[best], tuple(errors))
