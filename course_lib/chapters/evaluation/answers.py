"""Answers of exercises that no user of the library would call: its parts, put to one use."""

from collections.abc import Sequence

import torch

from course_lib.evaluation import Interval, percentile_interval


def bootstrap_interval(
    values: Sequence[float | int], draws: Sequence[Sequence[int]], level: float
) -> Interval:
    """Return the mean of the values and its interval from resamples that are given as lists."""
    return percentile_interval(values, torch.tensor([list(row) for row in draws]), level)
