"""The meter counts what lives, once, and forgets what is freed."""

import torch

from course_lib.study.display.memory_meter import MemoryMeter

KILO = 256  # float32 numbers in a kilobyte


def test_it_counts_what_is_made_and_forgets_what_is_freed():
    with MemoryMeter() as meter:
        a = torch.zeros(KILO)
        b = a + 1
        assert meter.live == meter.peak == 2048
        del a
        assert meter.live == 1024
        c = b * 2
        assert (meter.live, meter.peak) == (2048, 2048)
        d = b + c
        assert meter.peak == 3072
    del b, c, d
    assert meter.live == 0
    assert meter.peak == 3072


def test_views_take_nothing_and_the_middle_of_a_sum_counts():
    with MemoryMeter() as meter:
        a = torch.zeros(KILO)
        half = a[:128].view(2, 64)
        assert meter.peak == 1024
        b = (a + 1) * 2
        assert meter.peak == 3072, "a + 1 lives while it is doubled"
        assert meter.live == 2048
    assert half.numel() + b.numel() == 128 + KILO


def test_what_was_there_before_counts_only_if_it_is_named():
    weight = torch.zeros(KILO, requires_grad=True)
    for held, size in (([], 0), ([weight], 1024), ([weight, weight[:7]], 1024)):
        with MemoryMeter(held) as meter:
            pass
        assert meter.peak == size


def test_backward_is_seen_too():
    weight = torch.ones(KILO, requires_grad=True)
    with MemoryMeter([weight]) as meter:
        (weight * 3).sum().backward()
    assert meter.live == 2048, "the weight and its gradient"
    assert weight.grad is not None
