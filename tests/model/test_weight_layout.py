"""A matrix stored in another way is the same matrix, and its products are not slower."""

import time

import pytest
import torch

from course_lib.device import seeded
from course_lib.model import contiguous_along_longer_axis, stored_to_multiply


def test_the_numbers_stay_and_the_strides_change():
    for rows, columns, strides in ((5, 3, (1, 5)), (3, 5, (5, 1)), (4, 4, (4, 1))):
        matrix = torch.randn(rows, columns, generator=seeded(0))
        for given in (matrix, matrix.T.contiguous().T):
            found = contiguous_along_longer_axis(given)
            assert torch.equal(found, matrix)
            assert found.stride() == strides


def test_weights_of_16_bits_keep_the_one_layout_that_is_fast_on_a_cpu():
    for dtype, strides in (
        (torch.float32, (1, 5)),
        (torch.bfloat16, (3, 1)),
        (torch.float16, (3, 1)),
    ):
        weight = torch.randn(5, 3, generator=seeded(0)).to(dtype)
        for given in (weight, weight.T.contiguous().T):
            found = stored_to_multiply(given)
            assert torch.equal(found, weight)
            assert found.stride() == strides


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_storing_a_weight_to_multiply_never_makes_products_much_slower(dtype):
    weight, x = torch.ones(1024, 256, dtype=dtype), torch.ones(1, 256, dtype=dtype)
    layouts = {"before": weight, "after": stored_to_multiply(weight)}
    best = dict.fromkeys(layouts, float("inf"))
    for _ in range(30):  # in turns, so that other work on the machine slows both
        for name, stored in layouts.items():
            begin = time.process_time_ns()
            for _ in range(20):
                torch.nn.functional.linear(x, stored)
            best[name] = min(best[name], time.process_time_ns() - begin)
    assert best["after"] < 3 * best["before"]
