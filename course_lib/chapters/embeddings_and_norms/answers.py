"""Answers that only the exercises of this chapter need: the gradient of RMSNorm as a formula.

    r = 1 / sqrt(mean(x * x) + eps)        n = r * x        y = n * w
    dx = r * (w * g - n * mean(w * g * n))        dw = sum over tokens of g * n

Taught in:        embeddings_and_norms
Paper:            Zhang & Sennrich 2019, arXiv:1910.07467
Checked against:  torch.autograd
Shapes:           C features
"""

import torch
from jaxtyping import Float
from torch import Tensor


def rms_norm_gradient(
    x: Float[Tensor, "*lead C"],
    weight: Float[Tensor, " C"],
    gradient: Float[Tensor, "*lead C"],
    eps: float = 1e-6,
) -> tuple[Float[Tensor, "*lead C"], Float[Tensor, " C"]]:
    """Return the gradients at `x` and at `weight` from the gradient at the output of RMSNorm."""
    r = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
    normed = r * x
    weighted = weight * gradient
    dx = r * (weighted - normed * (weighted * normed).mean(-1, keepdim=True))
    return dx, (gradient * normed).reshape(-1, x.shape[-1]).sum(0)
