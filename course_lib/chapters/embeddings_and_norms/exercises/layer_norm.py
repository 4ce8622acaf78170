"""The exercise on LayerNorm."""

import torch
import torch.nn.functional as F

from course_lib import norms
from course_lib.chapters.embeddings_and_norms.exercises.generators import layer_norm_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_EPS = 0.1  # large on purpose: a misplaced eps changes the result


def _gain(width):
    return 1.0 + torch.arange(width) / 2


def _in_float64(x, weight, bias, eps=1e-5):
    wide = x.double()
    result = F.layer_norm(wide, wide.shape[-1:], weight.double(), bias.double(), eps)
    return result.to(x.dtype)


def _layer_norm_with(x, weight, bias, eps, unbiased=False, eps_outside=False, dim=-1):
    mean = x.mean(dim, keepdim=True)
    variance = x.var(dim, keepdim=True, correction=1 if unbiased else 0)
    size = variance.sqrt() + eps if eps_outside else (variance + eps).sqrt()
    return (x - mean) / size * weight + bias


def _keepdim_forgotten(x, weight, bias, eps=1e-5):
    return (x - x.mean(-1)) / (x.var(-1, correction=0) + eps).sqrt() * weight + bias


def _constant_statistics(x, weight, bias, eps=1e-5):
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, correction=0)
    return (x - mean.detach()) * torch.rsqrt(variance.detach() + eps) * weight + bias


def _vector_by_vector(x, weight, bias, eps=1e-5):
    rows = []
    for vector in x.reshape(-1, x.shape[-1]):
        mean = sum(vector) / len(vector)
        variance = sum((each - mean) ** 2 for each in vector) / len(vector)
        rows.append((vector - mean) / (variance + eps) ** 0.5)
    return torch.stack(rows).reshape(x.shape) * weight + bias


def _layer_norm_as_hinted(x, weight, bias, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


_LAYER_NORM_PROBES = (
    Probe(
        "four numbers, eps almost 0",
        lambda: call(torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.ones(4), torch.zeros(4), eps=1e-12),
        "Mean 3, variance 3.5: subtract and divide by 1.871.",
    ),
    Probe(
        "rows of a matrix",
        lambda: call(uneven(2, 5), torch.ones(5), torch.zeros(5)),
        "Each token has its own mean and variance, over its features.",
    ),
    Probe(
        "a batch",
        lambda: call(uneven(2, 3, 5), torch.ones(5), torch.zeros(5)),
        "Only the last axis is normalised.",
    ),
    Probe(
        "weight and bias",
        lambda: call(uneven(2, 5), _gain(5), torch.arange(5.0)),
        "After normalising, each feature has its own learned scale and shift.",
        gradient=True,
    ),
    Probe(
        "a large eps",
        lambda: call(uneven(2, 5) / 10, torch.ones(5), torch.zeros(5), eps=_EPS),
        "eps is added to the variance, inside the root.",
    ),
    Probe(
        "all features equal",
        lambda: call(torch.full((2, 5), 7.0), torch.ones(5), torch.zeros(5)),
        "The variance is 0: eps keeps the division from being 0/0.",
    ),
    Probe(
        "features around 1000",
        lambda: call(1000 + (256 * uneven(3, 4)).round() / 256, torch.ones(4), torch.zeros(4)),
        "The variance is far below the squared mean: subtract the mean before you square.",
    ),
)


def _difference_of_squares(x, weight, bias, eps=1e-5):
    mean = x.mean(-1, keepdim=True)
    variance = (x.square().mean(-1, keepdim=True) - mean.square()).clamp(min=0)
    return (x - mean) / (variance + eps).sqrt() * weight + bias


def _not_centred(x, weight, bias, eps=1e-5):
    return x / (x.var(-1, keepdim=True, correction=0) + eps).sqrt() * weight + bias


def _bias_first(x, weight, bias, eps=1e-5):
    return (F.layer_norm(x, x.shape[-1:], eps=eps) + bias) * weight


LAYER_NORM = Exercise(
    id="embeddings_and_norms.layer_norm",
    title="LayerNorm",
    minutes=7,
    difficulty=2,
    statement=(
        "Return each vector along the last axis with mean 0 and variance 1, times `weight`, plus "
        "`bias`. The variance divides by the number of features; eps is added to it. "
        "The gradient is checked too."
    ),
    solution=norms.layer_norm,
    reference=_in_float64,
    generator=layer_norm_inputs,
    probes=_LAYER_NORM_PROBES,
    misconceptions=(
        Misconception(
            "the unbiased variance",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(x, weight, bias, eps, unbiased=True),
            "torch.var divides by n − 1 unless told otherwise. LayerNorm divides by n: "
            "x.var(-1, correction=0), or the mean of the squares.",
        ),
        Misconception(
            "eps outside the root",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(
                x, weight, bias, eps, eps_outside=True
            ),
            "You add eps to the standard deviation. Add it to the variance: √(var + eps).",
        ),
        Misconception(
            "statistics over the wrong axis",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(
                x, weight, bias, eps, dim=-2 if x.dim() > 1 else -1
            ),
            "Your mean runs over tokens. In LayerNorm a token does not depend on its neighbours: "
            "use the last axis, the features.",
        ),
        Misconception(
            "statistics along the first axis",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(x, weight, bias, eps, dim=0),
            "Your mean runs along axis 0, over the texts of the batch or the tokens of one text. "
            "LayerNorm treats each token separately: use the last axis, -1.",
        ),
        Misconception(
            "eps ignored",
            lambda x, weight, bias, eps=1e-5: F.layer_norm(x, x.shape[-1:], weight, bias),
            "You do not use the eps that is given. Models differ in it: add it to the variance.",
        ),
        Misconception(
            "keepdim forgotten",
            _keepdim_forgotten,
            "Without keepdim=True the last axis disappears, and broadcasting aligns the mean with "
            "the wrong axis, or fails. Keep the axis, with length 1.",
        ),
        Misconception(
            "mean and variance treated as constants",
            _constant_statistics,
            "The values are right, but the gradient treats mean and variance as constants. They "
            "depend on x: leave them in the graph, without detach() or no_grad().",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, weight, bias, eps=1e-5: F.layer_norm(
                x, x.shape[-1:], weight, bias, eps
            ).detach(),
            "The values are right, but no gradient flows back. Compute without detach(), no_grad() "
            "and .data.",
        ),
        Misconception(
            "statistics over everything",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(
                x, weight, bias, eps, dim=tuple(range(x.dim()))
            ),
            "One mean for the whole tensor mixes all tokens of all texts. Each vector has its own.",
        ),
        Misconception(
            "weight and bias forgotten",
            lambda x, weight, bias, eps=1e-5: F.layer_norm(x, x.shape[-1:], eps=eps),
            "Multiply the normalised vector by `weight` and add `bias`.",
        ),
        Misconception(
            "divided by the variance",
            lambda x, weight, bias, eps=1e-5: (
                (x - x.mean(-1, keepdim=True))
                / (x.var(-1, keepdim=True, correction=0) + eps)
                * weight
                + bias
            ),
            "The variance is a square. Divide by its root, the standard deviation.",
        ),
        Misconception(
            "mean of squares minus squared mean",
            _difference_of_squares,
            "On paper it is the variance. In float32, the difference of two large, nearly equal "
            "numbers has few correct digits. Take the mean of (x − mean)².",
        ),
        Misconception(
            "the mean not subtracted",
            _not_centred,
            "You divide x itself by the standard deviation. Subtract the mean first: "
            "(x − mean) / √(variance + eps).",
        ),
        Misconception(
            "bias before weight",
            _bias_first,
            "You add the bias and then multiply the sum by the weight. Multiply first, then add "
            "the bias.",
        ),
    ),
    alternatives=(
        Alternative("vector by vector", _vector_by_vector),
        Alternative(
            "by torch.var",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(x, weight, bias, eps),
        ),
        Alternative("as the hints say", _layer_norm_as_hinted),
        Alternative(
            "by torch",
            lambda x, weight, bias, eps=1e-5: F.layer_norm(x, x.shape[-1:], weight, bias, eps),
        ),
    ),
    hints=(
        "mean = x.mean(-1, keepdim=True). The variance is the mean of (x − mean)².",
        "Divide x − mean by (variance + eps).sqrt().",
        "Then `* weight + bias`: both have one number for each feature.",
    ),
)
