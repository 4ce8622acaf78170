"""The order of a matrix in memory: the same numbers, laid out for a product with one vector.

Such a product is over as soon as the matrix has been fetched. Memory gives long runs faster than
short ones, and one axis of a matrix is always its longest run.

Taught in:        generation
Paper:            none
Checked against:  the matrix itself, which is equal in every number
Shapes:           whatever the matrix has
"""

from jaxtyping import Shaped
from torch import Tensor


def in_long_runs(matrix: Shaped[Tensor, "rows columns"]) -> Shaped[Tensor, "rows columns"]:
    """Return the same matrix, in which neighbours along the longer axis are neighbours in memory.

    Only its strides tell the difference. A square matrix stays row by row.
    """
    rows, columns = matrix.shape
    return matrix.T.contiguous().T if rows > columns else matrix.contiguous()
