"""Gradients between the backward pass and the step: clipping and accumulation.

A gradient is now and then a hundred times as long as usual. Clipping shortens it and keeps its
direction, so all tensors are scaled by the same number: the norm is that of all of them together.

    norm = √(sum over all tensors of ‖g‖²);   g = g · min(1, limit / norm)

A batch too large for memory is computed in parts whose gradients add up. The loss of each part
is weighted by its share of the targets, so that the sum is the gradient of the mean over all.

Taught in:        training
Paper:            Pascanu et al. 2013, arXiv:1211.5063
Checked against:  torch.nn.utils.clip_grad_norm_, one large batch
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


def global_norm(gradients: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Return the length of all gradients taken as one long vector."""
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    if not norms:
        raise ValueError("there must be gradients; got none. Call backward() first.")
    return torch.linalg.vector_norm(torch.stack(norms))


def clip_factor(norm: Float[Tensor, ""], limit: float) -> Float[Tensor, ""]:
    """Return the factor that scales gradients of this norm to the limit, at most 1."""
    if limit <= 0:
        raise ValueError(f"the limit of the norm must be positive; got {limit}. Typical is 1.0.")
    # The small number avoids a division by zero for a gradient of length zero.
    return (limit / (norm + 1e-6)).clamp(max=1.0)


def clipped(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Return the gradients, all shortened by the same factor to the limit."""
    factor = clip_factor(global_norm(gradients), limit)
    return [gradient * factor for gradient in gradients]


@torch.no_grad()
def clip_by_global_norm(tensors: Tensor | Iterable[Tensor], limit: float) -> Float[Tensor, ""]:
    """Clip gradients in place to the limit, and return their norm before.

    The tensors are gradients, or parameters whose gradients are clipped; parameters without one
    are skipped. `clip_by_global_norm(model.parameters(), 1.0)` is
    `torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)`.
    """
    given = [tensors] if isinstance(tensors, Tensor) else tensors
    gradients = [g for g in map(_gradient, given) if g is not None]
    norm = global_norm(gradients)
    factor = clip_factor(norm, limit)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


def _gradient(tensor: Tensor) -> Tensor | None:
    """Return the gradient of a parameter; any other tensor is itself a gradient."""
    is_parameter = isinstance(tensor, nn.Parameter) or (tensor.is_leaf and tensor.requires_grad)
    return tensor.grad if is_parameter else tensor


def share_of(part_counted: int, all_counted: int) -> float:
    """Return the weight of a part's mean loss in the mean over the whole batch."""
    if not 0 < part_counted <= all_counted:
        raise ValueError(
            "a part must have at least one target, and no more than all parts together; "
            f"got {part_counted} of {all_counted}."
        )
    return part_counted / all_counted
