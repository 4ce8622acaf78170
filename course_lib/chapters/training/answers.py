"""Answers that only the exercises of this chapter need: plain descent, gradients of parts, a loop.

The library's loop, `course_lib.training.loop`, is a class that can be saved and resumed. These
functions are the same ideas with nothing around them.

Taught in:        training
Checked against:  torch.optim.SGD, one large batch, the library's loop
Shapes:           N examples, C features; B sequences, T tokens
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.training.gradients import clip_by_global_norm, share_of
from course_lib.training.objective import next_token_loss


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


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Sequence[tuple[Tensor, Tensor]]],
    rates: Sequence[float],
    limit: float,
) -> list[tuple[float, float]]:
    """Take one step for each batch and its rate, and return (loss, norm) of each step.

    A batch is a list of parts (ids, counted). The loss is the mean over all counted targets of the
    batch; the norm is that of its gradient before clipping.
    """
    report = []
    for parts, rate in zip(batches, rates, strict=True):
        optimizer.zero_grad()
        loss, total = 0.0, sum(int(counted[:, 1:].sum()) for _, counted in parts)
        for ids, counted in parts:
            share = int(counted[:, 1:].sum()) / total
            part = share * next_token_loss(model(ids).logits, ids, counted)
            part.backward()
            loss += part.item()
        norm = clip_by_global_norm(model.parameters(), limit)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        report.append((loss, norm.item()))
    return report
