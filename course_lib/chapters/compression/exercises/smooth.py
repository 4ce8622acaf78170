"""The exercise on moving range from inputs to weights."""

import torch

from course_lib.chapters.compression import answers
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _feature_by_feature(x, weight, alpha):
    columns, rows = x.T.tolist(), weight.T.tolist()
    new_x, new_w = [], []
    for column, row in zip(columns, rows, strict=True):
        a, w = max(map(abs, column)), max(map(abs, row))
        s = a**alpha / w ** (1 - alpha) if a and w else 1.0
        new_x.append([each / s for each in column])
        new_w.append([each * s for each in row])
    return torch.tensor(new_x).T, torch.tensor(new_w).T


def _with(x, weight, a, w, alpha, beta):
    s = a**alpha / w**beta
    s = torch.where((a > 0) & (w > 0), s, torch.ones_like(s))
    return x / s, weight * s


def _sizes(x, weight):
    return x.abs().amax(0), weight.abs().amax(0)


def _unguarded(x, weight, alpha):
    a, w = _sizes(x, weight)
    s = a**alpha / w ** (1 - alpha)
    return x / s, weight * s


def _powers(x, weight, alpha, beta):
    return _with(x, weight, *_sizes(x, weight), alpha, beta)


def _plain(x, weight, alpha):
    return _powers(x, weight, alpha, 1 - alpha)


def _as_hinted(x, weight, alpha):
    a, w = x.abs().amax(dim=0), weight.abs().amax(dim=0)
    s = a**alpha / w ** (1 - alpha)
    s[(a == 0) | (w == 0)] = 1
    return x / s, weight * s


def _by_logarithms(x, weight, alpha):
    a, w = _sizes(x, weight)
    s = (alpha * a.log() - (1 - alpha) * w.log()).exp()
    s = torch.where((a > 0) & (w > 0), s, torch.ones_like(s))
    return x / s, weight * s


def _by_diagonals(x, weight, alpha):
    a, w = _sizes(x, weight)
    dead = (a == 0) | (w == 0)
    s = (a**alpha * w ** (alpha - 1)).masked_fill(dead, 1)
    return x @ torch.diag(1 / s), weight @ torch.diag(s)


SMOOTH = Exercise(
    id="compression.smooth",
    title="Smooth the inputs",
    minutes=9,
    difficulty=2,
    statement=(
        "`x` (N, I) are the inputs of a linear layer, `weight` (O, I) its weights. For feature j, "
        "s_j = a_j^alpha / w_j^(1 − alpha), where a_j is the largest magnitude of the feature in "
        "`x` and w_j that of column j of `weight`; alpha is from 0 to 1. Where a_j or w_j is 0, "
        "s_j is 1. Return the inputs divided by s and the weights times s, so that their product "
        "stays the same, as a pair."
    ),
    solution=answers.smoothed,
    reference=_feature_by_feature,
    generator=generators.smooth,
    probes=(
        Probe(
            "one feature",
            lambda: call(torch.tensor([[16.0], [-4.0]]), torch.tensor([[1.0], [0.5]]), 0.5),
            "s = √16 / √1 = 4: inputs of 4 and −1, weights of 4 and 2.",
        ),
        Probe(
            "an outlier",
            lambda: call(
                torch.tensor([[100.0, 1.0], [-50.0, 0.5]]), torch.tensor([[0.04, 4.0]]), 0.5
            ),
            "Each feature has its own s: 50 and 0.5.",
        ),
        Probe(
            "all of it moved",
            lambda: call(torch.tensor([[8.0, 2.0]]), torch.tensor([[3.0, 5.0], [1.0, 1.0]]), 1.0),
            "With alpha = 1 every input has the largest magnitude 1.",
        ),
        Probe(
            "nothing of the inputs",
            lambda: call(torch.tensor([[8.0, 2.0]]), torch.tensor([[4.0, 5.0], [1.0, 1.0]]), 0.0),
            "With alpha = 0 every column of the weights has the largest magnitude 1.",
        ),
        Probe(
            "a silent feature",
            lambda: call(torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 12.0]]), 0.5),
            "A feature that is always 0 has s = 1, not 0.",
        ),
        Probe(
            "weights that are all 0",
            lambda: call(torch.tensor([[5.0, 3.0]]), torch.tensor([[0.0, 12.0]]), 0.25),
            "A column of zeros has s = 1, not infinity.",
        ),
        Probe("more of everything", lambda: call(uneven(3, 4), uneven(5, 4) / 7, 0.75), "N, O, I."),
    ),
    misconceptions=(
        Misconception(
            "zeros divided",
            _unguarded,
            "Where a feature or a column is all 0, the formula gives s = 0 or infinity, and the "
            "results are NaN. Use s = 1 there.",
        ),
        Misconception(
            "exponents exchanged",
            lambda x, weight, alpha: _powers(x, weight, 1 - alpha, alpha),
            "alpha is how much of the inputs' range moves: a^alpha / w^(1 − alpha).",
        ),
        Misconception(
            "moved the wrong way",
            lambda x, weight, alpha: (
                x * (x / _plain(x, weight, alpha)[0]).nan_to_num(1.0).abs().amax(0),
                weight / (x / _plain(x, weight, alpha)[0]).nan_to_num(1.0).abs().amax(0),
            ),
            "You multiply the inputs and divide the weights, so the outlier becomes larger still.",
        ),
        Misconception(
            "only the inputs changed",
            lambda x, weight, alpha: (_plain(x, weight, alpha)[0], weight.clone()),
            "The weights must be multiplied by s, or the layer computes something else.",
        ),
        Misconception(
            "means, not maxima",
            lambda x, weight, alpha: _with(
                x, weight, x.abs().mean(0), weight.abs().mean(0), alpha, 1 - alpha
            ),
            "The scale of a row of integers follows from the largest number: take the maximum.",
        ),
        Misconception(
            "the weights' range ignored",
            lambda x, weight, alpha: _powers(x, weight, alpha, 0),
            "You divide by a^alpha alone. Divide by w^(1 − alpha) too.",
        ),
        Misconception(
            "always the square root",
            lambda x, weight, alpha: _powers(x, weight, 0.5, 0.5),
            "You use 1/2 for both exponents. alpha is an argument.",
        ),
        Misconception(
            "magnitudes forgotten",
            lambda x, weight, alpha: _with(
                x,
                weight,
                x.amax(0).clamp(min=0),
                weight.abs().amax(0),
                alpha,
                1 - alpha,
            ),
            "The largest number is not the largest magnitude: take x.abs() first.",
        ),
        Misconception(
            "one s for all features",
            lambda x, weight, alpha: _with(
                x, weight, x.abs().amax(), weight.abs().amax(), alpha, 1 - alpha
            ),
            "You take the maximum over everything. Each feature has its own s.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by logarithms", _by_logarithms),
        Alternative("by diagonal matrices", _by_diagonals),
    ),
    hints=(
        "a = x.abs().amax(dim=0) and w = weight.abs().amax(dim=0): a number for each feature.",
        "s = a**alpha / w**(1 − alpha), and 1 where a or w is 0.",
        "x / s and weight * s: broadcasting takes s along the last axis of both.",
    ),
)
