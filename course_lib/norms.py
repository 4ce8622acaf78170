"""Normalisation: how vectors keep their size through a deep network.

Every layer adds its result to the residual stream. Without norms the sizes multiply from layer to
layer; a norm brings each vector back to a known size before the next layer reads it.

    layer_norm(x) = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias     var divides by C
    rms_norm(x)   = x / sqrt(mean(x * x) + eps) * weight
    batch_norm(x) = like layer_norm, but mean and var run over the tokens of the batch, per feature

Taught in:        embeddings_and_norms
Paper:            Ba et al. 2016, arXiv:1607.06450; Zhang & Sennrich 2019, arXiv:1910.07467;
                  Ioffe & Szegedy 2015, arXiv:1502.03167; Xiong et al. 2020, arXiv:2002.04745
Checked against:  torch.nn.functional's layer_norm, rms_norm, batch_norm; transformers' Qwen3RMSNorm
Shapes:           B batch, T tokens, C model width
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Arrangement = Literal["pre", "post", "none"]
FEW_NUMBERS = 1 << 16  # below this, what counts is the number of calls


def layer_norm(
    x: Float[Tensor, "... C"],
    weight: Float[Tensor, " C"] | None = None,
    bias: Float[Tensor, " C"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "... C"]:
    """Return each vector with mean 0 and variance 1, then scaled by `weight`, shifted by `bias`."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))  # half precision is summed in float32
    mean = wide.mean(-1, keepdim=True)
    variance = (wide - mean).square().mean(-1, keepdim=True)  # biased: divided by C
    normed = (wide - mean) * torch.rsqrt(variance + eps)
    if weight is not None:
        normed = normed * weight
    if bias is not None:
        normed = normed + bias
    return normed.to(x.dtype)


def rms_norm(
    x: Float[Tensor, "... C"], weight: Float[Tensor, " C"] | None = None, eps: float = 1e-6
) -> Float[Tensor, "... C"]:
    """Return each vector with root mean square 1, then scaled by `weight`.

    The norm is computed in float32 for any input, and the result is cast back *before* the weight
    is applied. This is the order of Qwen3 and Llama, so the result is equal to theirs bit for bit.
    """
    narrow = x.dtype != torch.float32
    wide = x.float() if narrow else x
    # For one token a call takes as long as its arithmetic, so it is worth having few of them.
    mean_square = (wide * wide).mean(-1, keepdim=True)
    normed = wide * mean_square.add_(eps).rsqrt_()
    if narrow:
        normed = normed.to(x.dtype)
    return normed if weight is None else weight * normed


class RMSNormInFewPasses(torch.autograd.Function):
    """`rms_norm` in float32 or float64, with its gradient as a formula.

        r = 1 / sqrt(mean(x * x) + eps)        n = r * x        y = n * weight
        dx = r * (weight * g - n * mean(weight * g * n))        dweight = sum over tokens of g * n

    Autograd would keep several tensors of the size of x and write a dozen; here three are written.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Float[Tensor, "*lead C"], weight: Float[Tensor, " C"], eps: float
    ) -> Float[Tensor, "*lead C"]:
        """Return y; a length is computed without a table of squares."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        r = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # (*lead, 1)
        ctx.save_for_backward(x, weight, r)
        return (x * r).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g: Float[Tensor, "*lead C"]
    ) -> tuple[Float[Tensor, "*lead C"], Float[Tensor, " C"] | None, None]:
        """Return the gradients at x and, if it is learned, at the weight."""
        x, weight, r = ctx.saved_tensors
        normed = x * r
        products = g * normed
        tokens = tuple(range(x.ndim - 1))
        dweight = None
        if ctx.needs_input_grad[1]:
            dweight = products.sum(tokens) if tokens else products.clone()
        along = products.mul_(weight).mean(-1, keepdim=True)
        dx = normed.mul_(along.neg_()).addcmul_(g, weight).mul_(r)
        return dx, dweight, None


def batch_statistics(
    x: Float[Tensor, "*lead C"], mask: Bool[Tensor, "*lead"] | None = None
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Return mean and biased variance of each feature over all tokens where `mask` is True."""
    tokens = x.flatten(0, -2) if mask is None else x[mask]  # (N, C)
    if len(tokens) == 0:
        raise ValueError(
            "batch statistics need at least one token; got 0 tokens left under the mask. "
            "Pass a mask that is True at the real tokens and False at the padding."
        )
    mean = tokens.mean(0)
    return mean, (tokens - mean).square().mean(0)


def batch_norm(
    x: Float[Tensor, "*lead C"],
    weight: Float[Tensor, " C"] | None = None,
    bias: Float[Tensor, " C"] | None = None,
    mask: Bool[Tensor, "*lead"] | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "*lead C"]:
    """Return each feature with mean 0 and variance 1 over the tokens of the batch.

    Without `mask` padding counts as text, so the result for a sentence depends on the length of its
    neighbours. With `mask` (True = real token) only real tokens enter the statistics.
    """
    mean, variance = batch_statistics(x, mask)
    normed = (x - mean) * torch.rsqrt(variance + eps)
    if weight is not None:
        normed = normed * weight
    return normed if bias is None else normed + bias


def pre_norm_residual(
    x: Float[Tensor, "... C"],
    sublayer: Callable[[Tensor], Tensor],
    norm: Callable[[Tensor], Tensor],
) -> Float[Tensor, "... C"]:
    """Return the stream plus `sublayer` of the normalised stream (GPT-2, Llama, Qwen3)."""
    return x + sublayer(norm(x))


def post_norm_residual(
    x: Float[Tensor, "... C"],
    sublayer: Callable[[Tensor], Tensor],
    norm: Callable[[Tensor], Tensor],
) -> Float[Tensor, "... C"]:
    """Return the normalised sum of the stream and `sublayer` of it (Transformer of 2017, BERT)."""
    return norm(x + sublayer(x))


class StackNorms(NamedTuple):
    """Root mean squares along a stack of layers; entry 0 is the input, entry l is after layer l.

    `signal` is the residual stream, `gradient` the gradient that reaches it from the top, and
    `weight_gradient` the gradient of the weights of layer 1, 2, ... depth.
    """

    signal: Float[Tensor, " points"]
    gradient: Float[Tensor, " points"]
    weight_gradient: Float[Tensor, " depth"]


def residual_stack_norms(
    depth: int,
    arrangement: Arrangement,
    width: int = 64,
    tokens: int = 32,
    seed: int = 0,
    stacks: int = 1,
) -> StackNorms:
    """Send random data up and a random gradient down `depth` untrained layers, and measure both.

    Of several `stacks`, each with its own random numbers, the geometric means are returned.

    A layer resembles a Transformer layer before training: a token mixer that averages over all
    tokens (uniform attention), then two feed-forward matrices. All matrices preserve the size of
    their input. "pre" ends with one more norm, as real models do.
    """
    if min(depth, stacks) < 1 or arrangement not in get_args(Arrangement):
        raise ValueError(
            f"stacks need depth >= 1, an arrangement from {get_args(Arrangement)} and a number of "
            f"at least 1; got depth {depth} with {arrangement!r} and {stacks} stacks. "
            "Pass for example depth=16, arrangement='pre'."
        )
    generator = torch.Generator().manual_seed(seed)
    streams = [_gaussian(generator, stacks, tokens, width)]
    downs = []
    for _ in range(depth):
        mixer, feed_forward, down = _random_sublayers(generator, stacks, width)
        x = _residual(streams[-1], mixer, arrangement)
        streams.append(_residual(x, feed_forward, arrangement))
        downs.append(down)
    top = layer_norm(streams[-1]) if arrangement == "pre" else streams[-1]
    incoming = _gaussian(generator, stacks, tokens, width).detach()
    gradients = torch.autograd.grad(top, streams + downs, incoming)
    return StackNorms(
        _root_mean_squares(streams),
        _root_mean_squares(gradients[: depth + 1]),
        _root_mean_squares(gradients[depth + 1 :]),
    )


def _residual(x: Tensor, sublayer: Callable[[Tensor], Tensor], arrangement: Arrangement) -> Tensor:
    if arrangement == "pre":
        return pre_norm_residual(x, sublayer, layer_norm)
    if arrangement == "post":
        return post_norm_residual(x, sublayer, layer_norm)
    return x + sublayer(x)


def _random_sublayers(
    generator: torch.Generator, stacks: int, width: int
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], Tensor]:
    value = _gaussian(generator, stacks, width, width) * width**-0.5
    up = _gaussian(generator, stacks, width, 4 * width) * (2 / width) ** 0.5  # 2: relu drops half
    down = _gaussian(generator, stacks, 4 * width, width)
    scale = (4 * width) ** -0.5
    return (
        lambda x: (x @ value).mean(-2, keepdim=True),
        lambda x: torch.relu(x @ up) @ (down * scale),
        down,
    )


def _gaussian(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator).requires_grad_()


def _root_mean_squares(tensors: Sequence[Tensor]) -> Tensor:
    """Return the geometric mean over stacks of the root mean square of each tensor.

    Squares are taken in float64: without norms, 64 layers exceed the range in which float32 can be
    squared.
    """
    sizes = [t.detach().double().square().mean((-2, -1)).sqrt() for t in tensors]
    return torch.stack(sizes).log().mean(-1).exp()


class LayerNorm(nn.Module):
    """`layer_norm` with a learned weight and bias."""

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.eps = _checked_eps(eps)
        self.fused = False  # True: PyTorch's own kernel computes it
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Normalise the last axis."""
        if self.fused and x.dtype == self.weight.dtype:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        return layer_norm(x, self.weight, self.bias, self.eps)


class RMSNorm(nn.Module):
    """`rms_norm` with a learned weight."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = _checked_eps(eps)
        self.fused = False  # True: PyTorch's own kernel computes it, or a few passes do
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Normalise the last axis."""
        if self.fused and x.dtype == self.weight.dtype:
            if _few_passes_are_faster(x):
                normed: Tensor = RMSNormInFewPasses.apply(x, self.weight, self.eps)
                return normed
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return rms_norm(x, self.weight, self.eps)


def _few_passes_are_faster(x: Tensor) -> bool:
    """Whether this is for a CPU, where PyTorch computes RMSNorm in steps, and not too small."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and x.numel() >= FEW_NUMBERS
        and not torch.compiler.is_compiling()  # a compiler joins the steps itself
    )


def _checked_eps(eps: float) -> float:
    if eps < 0:
        raise ValueError(
            f"eps must not be negative, since it keeps the root away from 0; got {eps}. "
            "Pass the config's rms_norm_eps or layer_norm_eps, usually 1e-6 or 1e-5."
        )
    return eps
