"""Exercises on norms and on where a block puts them."""

import torch
import torch.nn.functional as F

from course_lib import norms
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
)

LAYER_NORM = Exercise(
    id="embeddings_and_norms.layer_norm",
    title="LayerNorm",
    minutes=7,
    difficulty=2,
    statement=(
        "Return each vector along the last axis with mean 0 and variance 1, times `weight`, plus "
        "`bias`. The variance divides by the number of features; eps is added to it."
    ),
    solution=norms.layer_norm,
    reference=_in_float64,
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
    ),
    alternatives=(
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


RMS_NORM = Exercise(
    id="embeddings_and_norms.rms_norm",
    title="RMSNorm",
    minutes=6,
    difficulty=2,
    statement=(
        "Return x / √(mean(x²) + eps) along the last axis, times `weight`. Compute the mean in "
        "float32 whatever the type of x, and return the type of x."
    ),
    solution=norms.rms_norm,
    reference=_rms_by_torch,
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
        Probe("weight", lambda: call(uneven(2, 3, 5), _gain(5)), "Each feature has its own scale."),
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
        Alternative(
            "weight applied before the cast",
            lambda x, weight, eps=1e-6: F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(
                x.dtype
            ),
        ),
    ),
    hints=(
        "x.float().pow(2).mean(-1, keepdim=True) is the mean square of each vector.",
        "Multiply by torch.rsqrt(mean_square + eps): that is 1 over the root.",
        "Cast the product back with .to(x.dtype), then multiply by `weight`.",
    ),
)


def _statistics_by_loop(x, mask):
    rows = [
        vector.double()
        for vector, real in zip(x.flatten(0, -2), mask.flatten(), strict=True)
        if real
    ]
    mean = sum(rows) / len(rows)
    variance = sum((row - mean) ** 2 for row in rows) / len(rows)
    return mean.to(x.dtype), variance.to(x.dtype)


def _padded():
    x = uneven(2, 4, 3)
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    x[~mask] = 0.0
    return call(x, mask)


def _zeros_counted(x, mask):
    shown = (x * mask[..., None]).flatten(0, -2)
    return shown.mean(0), shown.var(0, correction=0)


BATCH_STATISTICS = Exercise(
    id="embeddings_and_norms.batch_statistics",
    title="Statistics that padding does not poison",
    minutes=6,
    difficulty=2,
    statement=(
        "Return the pair (mean, variance) of each feature of x (B, T, C) over all tokens where "
        "`mask` (B, T) is True. The variance divides by the number of those tokens."
    ),
    solution=norms.batch_statistics,
    reference=_statistics_by_loop,
    probes=(
        Probe(
            "no padding",
            lambda: call(uneven(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)),
            "With every token real these are the plain statistics over batch and time.",
        ),
        Probe("padding of zeros", _padded, "Padding is not text: it must not move the mean."),
        Probe(
            "padding of rubbish",
            lambda: call(uneven(2, 4, 3), _padded().args[1]),
            "Padding may hold anything; only the mask says what is text.",
        ),
        Probe(
            "a single token",
            lambda: call(uneven(1, 2, 3), torch.tensor([[True, False]])),
            "One token has no spread: its variance is 0.",
        ),
    ),
    misconceptions=(
        Misconception(
            "padding counted",
            lambda x, mask: (x.flatten(0, -2).mean(0), x.flatten(0, -2).var(0, correction=0)),
            "You average over padding as well, so a sentence's result depends on how long its "
            "neighbours are. Select the real tokens first: x[mask].",
        ),
        Misconception(
            "padding counted as zeros",
            _zeros_counted,
            "Setting padding to 0 still counts it: zeros pull the mean towards 0 and shrink or "
            "stretch the variance. Leave those tokens out.",
        ),
        Misconception(
            "statistics of each token",
            lambda x, mask: (x[mask].mean(-1), x[mask].var(-1, correction=0)),
            "You average over features, which is what LayerNorm does. Batch statistics run over "
            "tokens, one result for each feature.",
        ),
        Misconception(
            "the unbiased variance",
            lambda x, mask: (x[mask].mean(0), x[mask].var(0, correction=1).nan_to_num()),
            "You divide by n − 1. Normalisation divides by n.",
        ),
    ),
    hints=(
        "x[mask] has one row for each real token.",
        "Its mean over dim 0 has one number for each feature; so has its variance.",
    ),
)


def _double(x):
    return 2.0 * x + 1.0


def _scaled(x):
    return F.rms_norm(x, x.shape[-1:])


def _halves(x):
    return x.flip(-1) * 0.5


PRE_NORM = Exercise(
    id="embeddings_and_norms.pre_norm",
    title="From post-norm to pre-norm",
    minutes=4,
    difficulty=2,
    statement=(
        "The Transformer of 2017 computes norm(x + sublayer(x)). Return what modern models compute "
        "instead: the sublayer reads a normalised copy, and the stream itself stays untouched."
    ),
    solution=norms.pre_norm_residual,
    reference=lambda x, sublayer, norm: torch.add(sublayer(norm(x.clone())), x),
    probes=(
        Probe(
            "a sublayer that returns nothing",
            lambda: call(uneven(2, 5), torch.zeros_like, _scaled),
            "If the sublayer adds 0, the stream must pass through unchanged.",
        ),
        Probe(
            "a sublayer that doubles",
            lambda: call(uneven(2, 5), _double, _scaled),
            "The sublayer reads the normalised stream, not the stream.",
        ),
        Probe(
            "a large stream",
            lambda: call(uneven(2, 3, 5) * 100, _halves, _scaled),
            "However large the stream has grown, the sublayer sees vectors of one size.",
        ),
    ),
    misconceptions=(
        Misconception(
            "post-norm",
            lambda x, sublayer, norm: norm(x + sublayer(x)),
            "This is the arrangement of 2017: every layer rescales the stream, so that no path "
            "leads from the loss to the first layer without passing all norms.",
        ),
        Misconception(
            "the residual from the normalised copy",
            lambda x, sublayer, norm: norm(x) + sublayer(norm(x)),
            "What you add to is the normalised copy. The stream itself, x, must pass by untouched.",
        ),
        Misconception(
            "the result normalised",
            lambda x, sublayer, norm: x + norm(sublayer(x)),
            "The norm stands behind the sublayer. Pre-norm means that it stands before: the "
            "sublayer reads norm(x).",
        ),
        Misconception(
            "the residual forgotten",
            lambda x, sublayer, norm: sublayer(norm(x)),
            "Without `x +` every layer replaces the stream instead of adding to it.",
        ),
    ),
    hints=(
        "Which of the two x in norm(x + sublayer(x)) should be normalised, and which not?",
        "Only the sublayer's input is normalised.",
    ),
)
