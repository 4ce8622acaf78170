"""Exercises on the two norms: LayerNorm and RMSNorm."""

import torch
import torch.nn.functional as F

from course_lib import norms
from course_lib.chapters.embeddings_and_norms.exercises.generators import (
    layer_norm_inputs,
    rms_norm_inputs,
)
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_EPS = 0.1  # large on purpose: a misplaced eps shows


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
        "The variance is small beside the squared mean: subtract the mean before you square.",
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
        "Gradients flow."
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
            "You add eps to the standard deviation. It belongs to the variance: √(var + eps).",
        ),
        Misconception(
            "statistics over the wrong axis",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(
                x, weight, bias, eps, dim=-2 if x.dim() > 1 else -1
            ),
            "Your mean runs over tokens. A token must not depend on its neighbours here: use the "
            "last axis, the features.",
        ),
        Misconception(
            "statistics along the first axis",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(x, weight, bias, eps, dim=0),
            "Your mean runs along axis 0, over the texts of the batch or the tokens of one text. "
            "LayerNorm treats each token by itself: use the last axis, -1.",
        ),
        Misconception(
            "eps ignored",
            lambda x, weight, bias, eps=1e-5: F.layer_norm(x, x.shape[-1:], weight, bias),
            "You do not use the eps that is given. Models differ in it: add it to the variance.",
        ),
        Misconception(
            "keepdim forgotten",
            _keepdim_forgotten,
            "Without keepdim=True the axis of the features disappears, and the mean lines up with "
            "the wrong axis or with none. Keep it with length 1.",
        ),
        Misconception(
            "mean and variance taken for constants",
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
            "The normalised vector is still to be multiplied by `weight` and moved by `bias`.",
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
            "On paper it is the variance. In float32 two large numbers that are nearly equal "
            "leave few digits when subtracted. Take the mean of (x − mean)².",
        ),
        Misconception(
            "the mean not subtracted",
            _not_centred,
            "You divide x itself by the standard deviation. Subtract the mean first: (x − "
            "mean) / √(variance + eps).",
        ),
        Misconception(
            "bias before weight",
            _bias_first,
            "You add the bias and then multiply both by the weight. Multiply first: · weight,"
            " then + bias.",
        ),
    ),
    alternatives=(
        Alternative("vector by vector", _vector_by_vector),
        Alternative(
            "by torch.var",
            lambda x, weight, bias, eps=1e-5: _layer_norm_with(x, weight, bias, eps),
        ),
        Alternative("as in the hints", _layer_norm_as_hinted),
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


def _rms_by_torch(x, weight, eps=1e-6):
    wide = F.rms_norm(x.double(), x.shape[-1:], None, eps)
    return wide.to(x.dtype) * weight


def _rms_by_root(x, weight, eps=1e-6, root=lambda size: size):
    wide = x.float()
    size = root((wide.square().mean(-1, keepdim=True) + eps).sqrt())
    return (wide / size).to(x.dtype) * weight


def _rms_by_torch_in_float32(x, weight, eps=1e-6):
    return F.rms_norm(x.float(), x.shape[-1:], eps=eps).type_as(x).mul(weight)


def _rms_by_length(x, weight, eps=1e-6):
    wide = x.to(torch.float32)
    mean_square = torch.einsum("...c,...c->...", wide, wide)[..., None] / x.shape[-1]
    return weight * (wide * (mean_square + eps) ** -0.5).to(x.dtype)


def _rms_of_everything(x, weight, eps=1e-6):
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean() + eps)).to(x.dtype) * weight


def _rms_as_hinted(x, weight, eps=1e-6):
    mean_square = x.float().pow(2).mean(-1, keepdim=True)
    return (x.float() * torch.rsqrt(mean_square + eps)).to(x.dtype) * weight


RMS_NORM = Exercise(
    id="embeddings_and_norms.rms_norm",
    title="RMSNorm",
    minutes=6,
    difficulty=2,
    statement=(
        "Return x / √(mean(x²) + eps) along the last axis, computed in float32 whatever the type "
        "of x. Cast it back to the type of x, then multiply by `weight`. Gradients flow."
    ),
    solution=norms.rms_norm,
    reference=_rms_by_torch,
    generator=rms_norm_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "two numbers",
            lambda: call(torch.tensor([3.0, 4.0]), torch.ones(2), eps=1e-12),
            "Mean square 12.5, root 3.536: the result is 0.849, 1.131.",
        ),
        Probe(
            "rows of a matrix",
            lambda: call(uneven(2, 5) + 1, torch.ones(5)),
            "Nothing is subtracted: a vector with a mean keeps it.",
        ),
        Probe(
            "weight",
            lambda: call(uneven(2, 3, 5), _gain(5)),
            "Each feature has its own scale.",
            gradient=True,
        ),
        Probe(
            "a large eps",
            lambda: call(uneven(2, 5) / 10, torch.ones(5), eps=_EPS),
            "eps is added to the mean square, inside the root.",
        ),
        Probe(
            "float16 with large features",
            lambda: call(torch.tensor([300.0, -400.0, 500.0]).half(), torch.ones(3).half()),
            "400² is more than float16 can hold, 65 504. The squares are summed in float32.",
        ),
        Probe(
            "bfloat16 with a weight",
            lambda: call(uneven(2, 5).bfloat16(), (1 + uneven(5) / 8).bfloat16()),
            "float32 inside, then the cast, then the weight: in another order the last bit "
            "differs, and released checkpoints were trained with this one.",
            tolerance=0.05,
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean subtracted",
            lambda x, weight, eps=1e-6: (
                F.layer_norm(x.float(), x.shape[-1:], None, None, eps).to(x.dtype) * weight
            ),
            "That is LayerNorm without a bias. RMSNorm leaves the mean where it is, and divides "
            "by the root of the mean square.",
        ),
        Misconception(
            "the sum of squares, not their mean",
            lambda x, weight, eps=1e-6: (
                (x.float() / (x.float().pow(2).sum(-1, keepdim=True) + eps).sqrt()).to(x.dtype)
                * weight
            ),
            "Your vectors have length 1. RMSNorm makes each *feature* of size about 1, so the "
            "length is √C: use the mean of the squares.",
        ),
        Misconception(
            "eps outside the root",
            lambda x, weight, eps=1e-6: (
                (x.float() / (x.float().pow(2).mean(-1, keepdim=True).sqrt() + eps)).to(x.dtype)
                * weight
            ),
            "Add eps to the mean square, before the root.",
        ),
        Misconception(
            "squares in half precision",
            lambda x, weight, eps=1e-6: x / ((x * x).mean(-1, keepdim=True) + eps).sqrt() * weight,
            "In float16 the square of 400 is infinite, and everything becomes 0. Go to float32 "
            "for the mean of the squares, as every implementation does.",
        ),
        Misconception(
            "the weight before the cast",
            lambda x, weight, eps=1e-6: F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(
                x.dtype
            ),
            "You multiply by `weight` in float32 and cast afterwards. Released models cast first: "
            "(x.float() * ...).to(x.dtype) * weight. In half precision the last bit differs. "
            "PyTorch's F.rms_norm with a weight has your order.",
        ),
        Misconception(
            "statistics over everything",
            _rms_of_everything,
            "One mean square for the whole tensor mixes all tokens of all texts. Each vector has "
            "its own: mean(-1, keepdim=True).",
        ),
        Misconception(
            "eps ignored",
            lambda x, weight, eps=1e-6: _rms_by_torch(x, weight),
            "You do not use the eps that is given. Models differ in it: add it to the mean square.",
        ),
        Misconception(
            "the root taken for a constant",
            lambda x, weight, eps=1e-6: _rms_by_root(x, weight, eps, torch.Tensor.detach),
            "The values are right, but the gradient treats the root as a constant. It depends on "
            "x: leave it in the graph, without detach() or no_grad().",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, weight, eps=1e-6: _rms_by_torch(x, weight, eps).detach(),
            "The values are right, but no gradient flows back. Compute without detach(), no_grad() "
            "and .data.",
        ),
        Misconception(
            "weight forgotten",
            lambda x, weight, eps=1e-6: _rms_by_torch(x, torch.ones_like(weight), eps),
            "The normalised vector is still to be multiplied by `weight`.",
        ),
        Misconception(
            "returned in float32",
            lambda x, weight, eps=1e-6: F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps),
            "The values are right. Cast back: the next layer expects the type that came in.",
        ),
    ),
    alternatives=(
        Alternative("divided by the root", _rms_by_root),
        Alternative("by torch, the weight by itself", _rms_by_torch_in_float32),
        Alternative("by the length of each vector", _rms_by_length),
        Alternative("as in the hints", _rms_as_hinted),
    ),
    hints=(
        "x.float().pow(2).mean(-1, keepdim=True) is the mean square of each vector.",
        "Multiply by torch.rsqrt(mean_square + eps): that is 1 over the root.",
        "Cast the product back with .to(x.dtype), then multiply by `weight`.",
    ),
)
