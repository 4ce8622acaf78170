"""A matrix stored along its longer axis is the same matrix, whatever its layout was before."""

import torch

from course_lib.device import seeded
from course_lib.model import contiguous_along_longer_axis


def test_the_numbers_stay_and_the_strides_change():
    for rows, columns, strides in ((5, 3, (1, 5)), (3, 5, (5, 1)), (4, 4, (4, 1))):
        matrix = torch.randn(rows, columns, generator=seeded(0))
        for given in (matrix, matrix.T.contiguous().T):
            found = contiguous_along_longer_axis(given)
            assert torch.equal(found, matrix)
            assert found.stride() == strides
