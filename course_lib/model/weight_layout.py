"""How a matrix is stored: the same numbers, laid out for a product with one vector.

Such a product takes as long as reading the matrix from memory. Memory is faster if adjacent numbers
are read in sequence. One axis of a matrix is always contiguous: the longer one is the best choice.

Numbers of 16 bits on a CPU are an exception. PyTorch has fast products for them only if each output
reads a row in sequence; with any other layout they take about ten times as long.

Taught in:        generation
Paper:            none
Checked against:  the matrix itself, which is equal in every number
Shapes:           whatever the matrix has
"""

import torch
from jaxtyping import Shaped
from torch import Tensor


def contiguous_along_longer_axis(
    matrix: Shaped[Tensor, "rows columns"],
) -> Shaped[Tensor, "rows columns"]:
    """Return the same matrix, stored so that neighbours along its longer axis are adjacent.

    Only its strides differ. A square matrix is stored row by row.
    """
    rows, columns = matrix.shape
    return matrix.T.contiguous().T if rows > columns else matrix.contiguous()


def stored_to_multiply(weight: Shaped[Tensor, "out in"]) -> Shaped[Tensor, "out in"]:
    """Return the same weight, stored as products with few rows read it fastest."""
    if weight.device.type == "cpu" and weight.dtype in (torch.bfloat16, torch.float16):
        return weight.contiguous()
    return contiguous_along_longer_axis(weight)
