"""The objective of training: the mean cross-entropy of each next token.

Row t of the logits predicts the token at t + 1, so logits and targets are shifted against each
other by one. Some targets do not count: padding, or tokens that cannot be predicted. The mean is
taken over those that do; dividing by all would reward a model for padding.

    loss = sum over counted t of -log p(ids[t + 1] | ids[..t]) / number of counted t

Logits are the largest tensor of a training step, and autograd would pass over them a dozen times.
The gradient, derived in `softmax`, is one formula: (p - onehot(target)) / number of rows. It needs
the same p as the loss, so both are computed together, in one new tensor of that size.

Taught in:        training
Checked against:  F.cross_entropy with ignore_index, transformers' `labels`
Shapes:           B sequences, T tokens, V vocabulary
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

IGNORED = -100  # the target of a row that does not count, as in torch and transformers


class MeanCrossEntropy(torch.autograd.Function):
    """Cross-entropy with its gradient as a formula; rows whose target is `IGNORED` do not count."""

    @staticmethod
    def forward(
        ctx: Any, logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
    ) -> Float[Tensor, ""]:
        """Return the mean of -log p[target], and keep (p - onehot) / N; N rows count."""
        counted = (targets != IGNORED).unsqueeze(-1)  # (N, 1)
        places = targets.unsqueeze(-1).where(counted, 0)
        p = logits.softmax(-1)
        # log p falls as logits fall, and of the likeliest token it is never -inf by rounding.
        log_p = p.amax(-1, True).log() - (logits.amax(-1, True) - logits.gather(-1, places))
        share = counted / counted.sum().to(torch.promote_types(p.dtype, torch.float32))
        gradient = p.mul_(share).scatter_add_(-1, places, -share.to(p.dtype))
        ctx.save_for_backward(gradient)
        return -(log_p.where(counted, 0) * share).sum().to(p.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Float[Tensor, ""]) -> tuple[Float[Tensor, "N V"], None]:
        """Return the gradient, times the upstream one."""
        (gradient,) = ctx.saved_tensors
        # Usually the factor is 1. On a GPU it would take longer to look than to multiply.
        if upstream.device.type == "cpu" and upstream == 1:
            return gradient, None
        return gradient * upstream, None


def next_token_loss(
    logits: Float[Tensor, "B T V"],
    ids: Int[Tensor, "B T"],
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy in nats; `counted` is True at the prediction targets.

    The first id of a sequence has nothing before it and is never a target.
    """
    if counted is None or counted[:, 1:].all():
        # Nothing comes after the last id. To ignore its row is faster than to copy all others.
        targets = F.pad(ids[:, 1:], (0, 1), value=IGNORED)
        return MeanCrossEntropy.apply(logits.flatten(0, 1), targets.flatten())
    chosen = counted[:, 1:]
    if not chosen.any():
        raise ValueError(
            "at least one id after the first must be a target, or there is no mean; got none. "
            "Pass True in `counted` where an id is real text."
        )
    return MeanCrossEntropy.apply(logits[:, :-1][chosen], ids[:, 1:][chosen])


def expected_initial_loss(vocab_size: int) -> float:
    """Return ln V: the loss of a model that finds every token equally likely."""
    return math.log(vocab_size)
