"""Intervals: how far a measured number may be from the one that endless testing would give.

    standard error of a mean      s / √n
    Wilson, for shares            solves |p̂ − p| = z √(p (1 − p) / n) for p
    bootstrap, for anything       resample the items with replacement, compute the number again,
                                  and take the middle 95 % of what comes out

p̂ ± z √(p̂ (1 − p̂) / n) has width 0 if all answers are right, and may leave [0, 1]; Wilson's interval
does neither. The bootstrap needs no formula, but it needs independent items: sentences of one
document, or samples of one question, must be resampled together.

Taught in:        evaluation
Paper:            Wilson 1927, JASA 22; Efron 1979, Annals of Statistics 7 (bootstrap); Miller 2024,
                  arXiv:2411.00640 (error bars for language models)
Checked against:  scipy's binomial and bootstrap intervals; coverage by simulation
Shapes:           R resamples of n items
"""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from course_lib.device import seeded

Item = TypeVar("Item")
RESAMPLES = 2000


class Interval(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def check_level(level: float) -> None:
    """Raise an error unless a level is between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"a level must be between 0 and 1, such as 0.95; got {level}.")


def check_items(count: int) -> None:
    """Raise an error if there is nothing to average."""
    if count < 1:
        raise ValueError("a metric needs at least one item; got 0. Evaluate something first.")


def wilson_interval(right: int, count: int, level: float = 0.95) -> Interval:
    """Return the share of right answers with Wilson's interval."""
    check_items(count)
    check_level(level)
    if not 0 <= right <= count:
        raise ValueError(
            f"right answers must be from 0 to {count}, the number of all; got {right}."
        )
    z, share = NormalDist().inv_cdf((1 + level) / 2), right / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = share * (1 - share) / count + z * z / (4 * count * count)
    half = z * math.sqrt(spread) / (1 + z * z / count)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def percentile_interval(
    values: Sequence[float | int], draws: Int[Tensor, "R n"], level: float = 0.95
) -> Interval:
    """Return the mean with its bootstrap interval; each row of `draws` is one resample.

    The ends are quantiles of the means of the rows, interpolated linearly.
    """
    check_items(len(values))
    check_level(level)
    row = torch.tensor([float(value) for value in values], dtype=torch.float64)
    return Interval(row.mean().item(), *quantiles(row[draws.cpu()].mean(-1).tolist(), level))


def quantiles(statistics: Sequence[float], level: float) -> tuple[float, float]:
    """Return the ends of the middle part of some numbers, interpolated linearly."""
    check_items(len(statistics))
    row = torch.tensor(statistics, dtype=torch.float64)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = torch.quantile(row, ends).tolist()
    return low, high


def resamples(count: int, times: int = RESAMPLES, seed: int = 0) -> Int[Tensor, "R n"]:
    """Return for each resample the numbers of its items, drawn with replacement."""
    check_items(count)
    return torch.randint(count, (times, count), generator=seeded(seed))


def bootstrap_mean(
    values: Sequence[float | int], level: float = 0.95, times: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the mean with its bootstrap interval."""
    return percentile_interval(values, resamples(len(values), times, seed), level)


def bootstrap(
    items: Sequence[Item],
    statistic: Callable[[list[Item]], float],
    level: float = 0.95,
    times: int = 400,
    seed: int = 0,
) -> Interval:
    """Return any number computed from a list of items, with its bootstrap interval."""
    check_level(level)
    rows = resamples(len(items), times, seed).tolist()
    found = [float(statistic([items[i] for i in row])) for row in rows]
    return Interval(float(statistic(list(items))), *quantiles(found, level))


def weighted_mean(
    values: Sequence[float | int],
    weights: Sequence[float | int],
    level: float = 0.95,
    times: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return Σ weight · value / Σ weight with the bootstrap interval over the items."""
    if len(values) != len(weights) or not sum(weights) > 0 or min(weights, default=0) < 0:
        raise ValueError(
            "each value needs a weight of at least 0, and one must be positive; got "
            f"{len(values)} values and weights with sum {sum(weights)}."
        )
    pairs = torch.tensor([[float(v), float(w)] for v, w in zip(values, weights, strict=True)])
    sums = torch.stack((pairs.double().prod(-1), pairs[:, 1].double()))  # (2, n)
    again = sums[:, resamples(len(values), times, seed)].sum(-1)
    whole = sums.sum(-1)
    ratios = again[0] / again[1]
    return Interval((whole[0] / whole[1]).item(), *quantiles(ratios[again[1] > 0].tolist(), level))


def items_needed(half_width: float, share: float = 0.5, level: float = 0.95) -> int:
    """Return how many questions give a share this half width; 0.5 is the worst share."""
    check_level(level)
    if not (half_width > 0 and 0 <= share <= 1):
        raise ValueError(
            "a half width must be positive and a share from 0 to 1; got "
            f"half_width={half_width}, share={share}."
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    return math.ceil(share * (1 - share) * (z / half_width) ** 2)
