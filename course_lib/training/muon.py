"""Muon: steps whose singular values are all about 1.

AdamW divides each number of a gradient by its own size. Muon looks at a weight matrix as a whole:
its step is the orthogonal matrix nearest to the momentum, U·Vᵀ where momentum = U·S·Vᵀ. Every
direction of the matrix then moves equally far, the rare ones too. Five Newton–Schulz iterations of
three matrix products each come close enough without a singular value decomposition.

    m = μ·m + (1 - μ)·g;   u = μ·m + (1 - μ)·g
    p = p - rate·λ·p - rate · 0.2·√max(rows, columns) · newton_schulz(u)

The factor gives the step the size of one of AdamW's, so that the same rates suit both. Muon is for
the matrices between the layers' inputs and outputs; embeddings, gains and biases stay with AdamW.

Taught in:        training
Paper:            Jordan et al. 2024 (blog post); Liu et al. 2025, arXiv:2502.16982 (the factor)
Checked against:  a singular value decomposition, torch.optim.Muon
Shapes:           R rows, C columns
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.optimizer import ParamsT

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def newton_schulz(matrix: Float[Tensor, "..."], iterations: int = 5) -> Float[Tensor, "..."]:
    """Return nearly U·Vᵀ of the matrix: its singular values end between about 0.7 and 1.2."""
    if matrix.ndim != 2:
        raise ValueError(
            f"the momentum must be a matrix; got shape {tuple(matrix.shape)}. "
            "Leave embeddings, gains and biases to AdamW."
        )
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)  # no singular value is above 1
    if len(x) > x.shape[1]:
        x = x.mT
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x if x.shape == matrix.shape else x.mT


def muon_update(
    parameter: Float[Tensor, "R C"],
    gradient: Float[Tensor, "R C"],
    m: Float[Tensor, "R C"],
    rate: float,
    momentum: float = 0.95,
    weight_decay: float = 0.1,
) -> tuple[Float[Tensor, "R C"], Float[Tensor, "R C"]]:
    """Return the new parameter and the new m; m starts at zero."""
    m = momentum * m + (1 - momentum) * gradient
    direction = newton_schulz(momentum * m + (1 - momentum) * gradient)
    size = 0.2 * math.sqrt(max(parameter.shape))
    parameter = parameter - rate * weight_decay * parameter
    return parameter - rate * size * direction, m


class Muon(torch.optim.Optimizer):
    """Muon over the matrices of a model, used like `torch.optim.Muon`."""

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change every matrix that has a gradient."""
        for group in self.param_groups:
            settings = group["lr"], group["momentum"], group["weight_decay"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    m = state.get("m", torch.zeros_like(parameter))
                    new, state["m"] = muon_update(parameter, parameter.grad, m, *settings)
                    parameter.copy_(new)
