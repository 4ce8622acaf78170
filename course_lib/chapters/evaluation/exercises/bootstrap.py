"""The exercise on the bootstrap interval of a mean."""

import numpy as np
import torch

from course_lib.chapters.evaluation import answers
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _mean(values):
    return sum(values) / len(values)


def _quantile(ordered, q):
    """Return the quantile at place q · (R − 1), interpolated."""
    place = q * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _means(values, draws):
    return sorted(_mean([values[i] for i in row]) for row in draws)


def _ends(ordered, level):
    return [_quantile(ordered, (1 - level) / 2), _quantile(ordered, (1 + level) / 2)]


def _by_hand(values, draws, level):
    return (float(_mean(values)), *_ends(_means(values, draws), level))


def _with_numpy(values, draws, level):
    row = np.asarray(values, dtype=float)
    low, high = np.quantile(row[np.asarray(draws)].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return row.mean(), low, high


def _with_torch(values, draws, level):
    row = torch.tensor(values, dtype=torch.float64)
    means = row[torch.tensor(draws)].mean(dim=1)
    ends = [means.quantile((1 - level) / 2).item(), means.quantile((1 + level) / 2).item()]
    return [row.mean().item(), *ends]


def _by_percentile(values, draws, level):
    means = [np.mean([values[i] for i in row]) for row in draws]
    cut = 100 * (1 - level) / 2
    return np.mean(values), np.percentile(means, cut), np.percentile(means, 100 - cut)


def _normal(values, draws, level):
    half = 1.96 * np.std(_means(values, draws))
    return _mean(values), _mean(values) - half, _mean(values) + half


def _not_interpolated(values, draws, level):
    ordered = _means(values, draws)
    ends = [ordered[int(q * len(ordered))] for q in ((1 - level) / 2, (1 + level) / 2)]
    return (float(_mean(values)), *ends)


BOOTSTRAP = Exercise(
    id="evaluation.bootstrap",
    title="A bootstrap interval",
    minutes=8,
    difficulty=2,
    statement=(
        "`values` is a list of at least one number, one for each item. Each row of `draws` is a "
        "resample: a list of item numbers, as long as `values`. Compute the mean of the values in "
        "each row. Return three numbers: the mean of `values`, and the quantiles (1 − level) / 2 "
        "and (1 + level) / 2 of the rows' means. Of R sorted means, the quantile q is at place "
        "q · (R − 1), interpolated linearly between its neighbours."
    ),
    solution=answers.bootstrap_interval,
    reference=_by_hand,
    generator=generators.bootstrap,
    probes=(
        Probe(
            "all means equal",
            lambda: call([3.0, 3.0], [[0, 1], [1, 1]], 0.9),
            "Every resample has the mean 3.",
        ),
        Probe(
            "five resamples",
            lambda: call([0, 4], [[0, 0], [0, 1], [1, 1], [0, 1], [1, 1]], 0.5),
            "The sorted means are 0, 2, 2, 4, 4: the quantiles 0.25 and 0.75 are 2 and 4.",
        ),
        Probe(
            "between two means",
            lambda: call([0, 1, 5], [[0, 0, 0], [1, 1, 1], [2, 2, 2], [0, 1, 2]], 0.8),
            "Places 0.3 and 2.7 of the sorted means are interpolated.",
        ),
        Probe(
            "resamples that miss the mean",
            lambda: call([0, 0, 9], [[2, 2, 1], [2, 2, 2], [2, 2, 0]], 0.9),
            "The first number is the mean of the values, 3, not the mean of the resamples.",
        ),
        Probe(
            "right and wrong",
            lambda: call([1, 0, 1, 1], [[0, 1, 2, 3], [1, 1, 2, 3], [0, 0, 2, 3]] * 4, 0.95),
            "Shares are means of zeros and ones.",
        ),
        Probe("one resample", lambda: call([1, 2], [[0, 0]], 0.95), "Both ends are its mean."),
    ),
    misconceptions=(
        Misconception(
            "from smallest to largest",
            lambda values, draws, level: (
                float(_mean(values)),
                _means(values, draws)[0],
                _means(values, draws)[-1],
            ),
            "You return the extremes. Cut off (1 − level) / 2 on each side.",
        ),
        Misconception(
            "all of the tail on each side",
            lambda values, draws, level: (
                float(_mean(values)),
                _quantile(_means(values, draws), 1 - level),
                _quantile(_means(values, draws), level),
            ),
            "You cut off 1 − level on each side, twice as much as you should. Cut off half of it "
            "on each side.",
        ),
        Misconception(
            "quantiles of the values",
            lambda values, draws, level: (float(_mean(values)), *_ends(sorted(values), level)),
            "The items vary much more than their mean does. Take quantiles of the resamples' "
            "means.",
        ),
        Misconception(
            "the mean of the means",
            lambda values, draws, level: (
                _mean(_means(values, draws)),
                *_ends(_means(values, draws), level),
            ),
            "The measured number is the mean of the values themselves. The resamples only say how "
            "far it may be off.",
        ),
        Misconception(
            "a normal interval",
            _normal,
            "Mean ± 1.96 standard deviations is a different interval: it is symmetric and always "
            "has 95 %. Take quantiles.",
        ),
        Misconception(
            "means of the item numbers",
            lambda values, draws, level: (
                float(_mean(values)),
                *_ends(sorted(map(_mean, draws)), level),
            ),
            "The rows hold numbers of items. Look up their values first.",
        ),
        Misconception(
            "not interpolated",
            _not_interpolated,
            "You take the mean at a whole place. The place q · (R − 1) lies between two means; "
            "interpolate.",
        ),
    ),
    alternatives=(
        Alternative("with NumPy", _with_numpy),
        Alternative("with torch", _with_torch),
        Alternative("by percentiles, as the hints say", _by_percentile),
    ),
    hints=(
        "First one mean for each row: the mean of values[i] for i in the row.",
        "np.percentile(means, cut) interpolates as the statement says; cut is a percentage.",
        "The lower cut is 100 · (1 − level) / 2, the upper one 100 minus that.",
    ),
)
