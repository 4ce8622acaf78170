"""The exercise on RMSNorm."""

import torch
import torch.nn.functional as F

from course_lib import norms
from course_lib.chapters.embeddings_and_norms.exercises.generators import rms_norm_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_EPS = 0.1  # large on purpose: a misplaced eps changes the result


def _gain(width):
    return 1.0 + torch.arange(width) / 2


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
        "Return x / √(mean(x²) + eps) along the last axis, computed in float32 for any dtype of x. "
        "Cast it back to the dtype of x, then multiply by `weight`. The gradient is checked too."
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
            "float32 inside, then the cast, then the weight: in a different order the last bit "
            "differs. Llama and Qwen were trained with this order.",
            tolerance=0.05,
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean subtracted",
            lambda x, weight, eps=1e-6: (
                F.layer_norm(x.float(), x.shape[-1:], None, None, eps).to(x.dtype) * weight
            ),
            "That is LayerNorm without a bias. RMSNorm does not subtract the mean; it divides by "
            "the root of the mean square.",
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
            "In float16 the square of 400 is infinite, and everything becomes 0. Compute the mean "
            "of the squares in float32.",
        ),
        Misconception(
            "the weight before the cast",
            lambda x, weight, eps=1e-6: F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(
                x.dtype
            ),
            "You multiply by `weight` in float32 and cast afterwards, as Gemma does. Llama and "
            "Qwen cast first: (x.float() * ...).to(x.dtype) * weight. In half precision the last "
            "bit differs. PyTorch's F.rms_norm with a weight has your order.",
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
            "the root treated as a constant",
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
            "Multiply the normalised vector by `weight`.",
        ),
        Misconception(
            "returned in float32",
            lambda x, weight, eps=1e-6: F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps),
            "The values are right. Cast back: the next layer expects the dtype of the input.",
        ),
    ),
    alternatives=(
        Alternative("divided by the root", _rms_by_root),
        Alternative("by torch, the weight separately", _rms_by_torch_in_float32),
        Alternative("by the length of each vector", _rms_by_length),
        Alternative("as the hints say", _rms_as_hinted),
    ),
    hints=(
        "x.float().pow(2).mean(-1, keepdim=True) is the mean square of each vector.",
        "Multiply by torch.rsqrt(mean_square + eps): that is 1 over the root.",
        "Cast the product back with .to(x.dtype), then multiply by `weight`.",
    ),
)
