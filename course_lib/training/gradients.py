"""What happens to gradients between the backward pass and the step: scaled, added, cut.

One long gradient can undo a thousand steps. Clipping shortens it and keeps its direction, which it
can only do if all tensors are scaled by the same number: the norm is that of all of them together.

    norm = √(sum over all tensors of ‖g‖²);   g = g · min(1, limit / norm)

A batch too large for memory is computed in parts whose gradients add up. Each part's loss counts by
its share of the counted tokens, so that the sum is the gradient of the mean over all of them.

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
    """Return the number that shortens gradients of this norm to the limit, and 1 if they fit."""
    if limit <= 0:
        raise ValueError(f"the limit of the norm must be positive; got {limit}. Usual is 1.0.")
    # A little more than the norm, so that a gradient of length zero is not divided by zero.
    return (limit / (norm + 1e-6)).clamp(max=1.0)


def clipped(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Return the gradients, all shortened by the same factor to the limit."""
    factor = clip_factor(global_norm(gradients), limit)
    return [gradient * factor for gradient in gradients]


@torch.no_grad()
def clip_by_global_norm(tensors: Tensor | Iterable[Tensor], limit: float) -> Float[Tensor, ""]:
    """Shorten gradients in place to the limit, and return how long they were.

    The tensors are gradients, or parameters whose gradients are meant; those without one are
    left out. `clip_by_global_norm(model.parameters(), 1.0)` is
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
    """Return the gradient of a parameter; any other tensor is a gradient itself."""
    is_parameter = isinstance(tensor, nn.Parameter) or (tensor.is_leaf and tensor.requires_grad)
    return tensor.grad if is_parameter else tensor


def share_of(part_counted: int, all_counted: int) -> float:
    """Return by how much a part's mean loss counts in the mean over the whole batch."""
    if not 0 < part_counted <= all_counted:
        raise ValueError(
            "a part must hold at least one counted token, and no more than all parts together; "
            f"got {part_counted} of {all_counted}."
        )
    return part_counted / all_counted
