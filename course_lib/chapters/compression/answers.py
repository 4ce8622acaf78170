"""Answers of exercises that no user of the library would call: its parts, put to one use."""

import torch
from torch import Tensor

from course_lib import compression


def smoothed(x: Tensor, weight: Tensor, alpha: float | int) -> tuple[Tensor, Tensor]:
    """Return inputs (N, I) and weights (O, I) with the same product and closer ranges."""
    most = x.abs().amax(0), weight.abs().amax(0)
    scales = compression.smoothing_scales(*most, alpha)
    return x / scales, weight * scales


def wanda_from_inputs(weight: Tensor, x: Tensor, sparsity: float | int) -> Tensor:
    """Return which weights stay, given the inputs (N, I) themselves."""
    return compression.wanda_mask(weight, x.norm(dim=0), float(sparsity))


def round_through(x: Tensor, scale: float | int, bits: int) -> Tensor:
    """Return x rounded to multiples of a number, with a gradient that passes through."""
    return compression.straight_through(x, torch.full_like(x[..., :1], scale), bits)


def column_step(weight: Tensor, rounded: Tensor, gram: Tensor) -> Tensor:
    """Return the best columns 1, 2, ... of a matrix (O, I) whose column 0 must be `rounded`.

    Best means: the outputs change as little as possible, for inputs X with XᵀX = `gram`.
    """
    upper = compression.inverse_factor(gram, damping=0.0).to(weight.dtype)
    return compression.corrected(weight, rounded, upper, 0)
