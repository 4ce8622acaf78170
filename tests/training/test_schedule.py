"""The schedule next to transformers' cosine, and at its corners."""

import pytest
import torch

from course_lib.training.schedule import cosine_rate


def test_every_step_is_that_of_transformers():
    from transformers import get_cosine_with_min_lr_schedule_with_warmup as their_schedule

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = their_schedule(optimizer, num_warmup_steps=7, num_training_steps=50, min_lr=0.05)
    for step in range(50):
        ours = cosine_rate(step, warmup=7, steps=50, peak=0.3, final=0.05)
        assert ours == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()


def test_without_a_floor_it_is_the_plain_cosine_of_transformers():
    from transformers import get_cosine_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, 3, 20)
    for step in range(20):
        ours = cosine_rate(step, warmup=3, steps=20)
        assert ours == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (5, 1.0), (10, 2.0), (30, 1.2), (50, 0.4), (500, 0.4)]
)
def test_corners_by_hand(step, expected):
    assert cosine_rate(step, warmup=10, steps=50, peak=2.0, final=0.4) == pytest.approx(expected)


def test_no_warm_up_begins_at_the_peak():
    assert cosine_rate(0, warmup=0, steps=4, peak=0.7) == 0.7


@pytest.mark.parametrize("warmup", [-1, 8, 9])
def test_a_warm_up_longer_than_the_run_is_an_error(warmup):
    with pytest.raises(ValueError, match="must end before the last step"):
        cosine_rate(0, warmup=warmup, steps=8)
