"""Training through rounding: the forward pass rounds, the backward pass pretends that it did not.

The gradient of rounding is 0 almost everywhere, so nothing could be learned through it. The
straight-through estimator uses the gradient of the identity instead: full-precision weights are
trained, and the loss is that of their rounded copies.

    forward   y = scale · clamp(round(w / scale), −largest, largest)
    backward  dw = dy where the weight was not clamped, 0 where it was

Taught in:        compression
Paper:            Bengio et al. 2013, arXiv:1308.3432; Esser et al. 2019, arXiv:1902.08153
Checked against:  torch.fake_quantize_per_tensor_affine, its gradient included
Shapes:           O outputs, I inputs
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from course_lib.compression.calibration import linear_layers
from course_lib.compression.integers import largest_code, require_group
from course_lib.compression.tensors import Scheme
from course_lib.model import DecoderLM


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, largest: int) -> Tensor:
        codes = (x / scale).round()
        ctx.save_for_backward(codes.abs() <= largest)
        return codes.clamp(-largest, largest) * scale

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (inside,) = ctx.saved_tensors
        return upstream * inside, None, None


def straight_through(
    x: Float[Tensor, "*lead I"], scale: Float[Tensor, "..."], bits: int
) -> Float[Tensor, "*lead I"]:
    """Return x rounded to multiples of `scale`, clamped to the largest code of `bits` bits.

    The gradient passes to x as if nothing had been rounded, except where x was clamped.
    """
    rounded: Tensor = _StraightThrough.apply(x, scale, largest_code(bits))
    return rounded


class RoundedWeight(nn.Module):
    """A parametrisation: the layer's weight is the rounded copy of the one that is trained."""

    def __init__(self, bits: int, group: int) -> None:
        super().__init__()
        self.bits, self.group = bits, group

    def forward(self, weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
        """Round each group with the scale that it has now."""
        grouped = weight.unflatten(1, (-1, self.group))
        scale = grouped.detach().abs().amax(-1, keepdim=True) / largest_code(self.bits)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        return straight_through(grouped, scale, self.bits).flatten(1)


def train_rounded(model: DecoderLM, scheme: Scheme) -> DecoderLM:
    """Let every linear layer of the blocks compute with rounded weights, and stay trainable."""
    if scheme.kind != "absmax" or scheme.group == "tensor":
        raise ValueError(
            f"training through rounding is for absmax codes by channel or group; got {scheme}."
        )
    for layer in linear_layers(model).values():
        width = scheme.group_width(layer.in_features)
        require_group(layer.in_features, width)
        parametrize.register_parametrization(layer, "weight", RoundedWeight(scheme.bits, width))
    return model


def keep_rounded(model: DecoderLM) -> DecoderLM:
    """End the training: the rounded weights become the weights."""
    for layer in linear_layers(model).values():
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model
