import random

import numpy as np
import pytest
import torch

from course_lib.study.check.global_state import GlobalState


@pytest.mark.parametrize(
    ("spoil", "named", "look"),
    [
        (lambda: torch.set_default_dtype(torch.float64), "default dtype", torch.get_default_dtype),
        (lambda: torch.set_default_device("meta"), "default device", torch.get_default_device),
        (lambda: torch.set_grad_enabled(False), "gradient mode", torch.is_grad_enabled),
        (
            lambda: torch.set_num_threads(torch.get_num_threads() + 1),
            "number of threads",
            torch.get_num_threads,
        ),
    ],
)
def test_a_changed_setting_is_named_and_put_back(spoil, named, look):
    state, before = GlobalState(), look()
    spoil()
    assert look() != before
    assert named in state.restore()
    assert look() == before
    assert GlobalState().restore() is None


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(3).tolist(),
        lambda: [torch.manual_seed(0) and torch.rand(1).item()],
        lambda: np.random.rand(3).tolist(),
        lambda: [np.random.seed(0), np.random.rand()],
        lambda: [random.random()],
        lambda: [random.seed(0), random.random()],
    ],
)
def test_random_numbers_come_again_as_if_none_had_been_drawn(draw):
    def following():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()

    state = GlobalState()
    expected = following()
    assert state.restore() is None
    draw()
    assert following() != expected
    state.restore()
    draw()
    assert state.restore() is None
    assert following() == expected
    state.restore()


def test_the_first_of_two_changes_is_named_and_both_are_put_back():
    state = GlobalState()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    assert "default dtype" in state.restore()
    assert (torch.get_default_dtype(), torch.is_grad_enabled()) == (torch.float32, True)
