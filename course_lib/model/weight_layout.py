"""How a matrix is stored: the same numbers, laid out for a product with one vector.

Such a product takes as long as it takes to fetch the matrix. Memory is faster where neighbours are
read one after the other, and one axis of a matrix is always stored that way: best the longer one.

Taught in:        generation
Paper:            none
Checked against:  the matrix itself, which is equal in every number
Shapes:           whatever the matrix has
"""

from jaxtyping import Shaped
from torch import Tensor


def contiguous_along_longer_axis(
    matrix: Shaped[Tensor, "rows columns"],
) -> Shaped[Tensor, "rows columns"]:
    """Return the same matrix, stored so that neighbours along its longer axis are adjacent.

    Only its strides tell the difference. A square matrix is stored row by row.
    """
    rows, columns = matrix.shape
    return matrix.T.contiguous().T if rows > columns else matrix.contiguous()
