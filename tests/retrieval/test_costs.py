"""What an index costs is what it has."""

import pytest
import torch

from course_lib.retrieval import PQIndex
from course_lib.retrieval.costs import code_bytes, compared_in_cells, vector_bytes


def test_bytes_are_those_of_the_tensors():
    data = torch.randn(300, 8)
    index = PQIndex(8, 4, 16)
    index.add(data)
    assert vector_bytes(300, 8) == data.nbytes
    assert code_bytes(300, 4) == index.codes.nbytes


def test_cells_by_hand():
    assert compared_in_cells(1000, 10, 3) == 300
    with pytest.raises(ValueError, match="11"):
        compared_in_cells(1000, 10, 11)
