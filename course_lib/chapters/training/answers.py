"""Answers that only the exercises of this chapter need: plain descent, and gradients of parts.

The library trains with AdamW (`train`) and lets PyTorch add up the gradients of the parts of a
batch. These functions are the same ideas with nothing around them.

Taught in:        training
Checked against:  torch.optim.SGD, one large batch
Shapes:           N examples, C features
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.training.gradients import share_of


def descend(
    weight: Float[Tensor, " C"], batches: Sequence[tuple[Tensor, Tensor]], rate: float
) -> Float[Tensor, " C"]:
    """Return the weights after one step for each batch (x, y); the model is x @ weight.

    The loss of a batch is the mean squared error of its predictions.
    """
    weight = weight.clone().requires_grad_()
    for x, y in batches:
        loss = (x @ weight - y).square().mean()
        loss.backward()
        assert weight.grad is not None
        with torch.no_grad():
            weight -= rate * weight.grad
        weight.grad = None  # or the next backward() would add to it
    return weight.detach()


def accumulated(gradients: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
    """Return the gradient of the mean over all tokens, from those of the means of the parts."""
    if len(gradients) != len(counts) or not counts:
        raise ValueError(
            "each part needs its gradient and its number of counted tokens; "
            f"got {len(gradients)} gradients and {len(counts)} counts."
        )
    total = torch.zeros_like(gradients[0])
    for gradient, count in zip(gradients, counts, strict=True):
        total = total + share_of(count, sum(counts)) * gradient
    return total
