"""The objective of training: the mean cross-entropy of each next token.

Row t of the logits predicts the token at t + 1, so logits and targets are shifted against each
other by one. Some targets do not count: padding, or tokens that cannot be predicted. The mean is
taken over those that do; dividing by all would reward a model for padding.

    loss = sum over counted t of -log p(ids[t + 1] | ids[..t]) / number of counted t

Logits are the largest tensor of a training step, and autograd would pass over them a dozen times.
The gradient, derived in `softmax`, is one formula: (p - onehot(target)) / number of rows.

Taught in:        training
Checked against:  F.cross_entropy with ignore_index, transformers' `labels`
Shapes:           B sequences, T tokens, V vocabulary
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.softmax import logsumexp


class MeanCrossEntropy(torch.autograd.Function):
    """Cross-entropy with its gradient as a formula."""

    @staticmethod
    def forward(
        ctx: Any, logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
    ) -> Float[Tensor, ""]:
        """Return the mean of -log p[target]."""
        total = logsumexp(logits)
        ctx.save_for_backward(logits, total, targets)
        return (total - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)).mean()

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, ""]) -> tuple[Float[Tensor, "N V"], None]:
        """Return (p - onehot) / N, times the upstream gradient."""
        logits, total, targets = ctx.saved_tensors
        gradient = (logits - total.unsqueeze(-1)).exp_()
        gradient[torch.arange(len(targets), device=targets.device), targets] -= 1.0
        return gradient.mul_(upstream / len(targets)), None


def next_token_loss(
    logits: Float[Tensor, "B T V"],
    ids: Int[Tensor, "B T"],
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy in nats; `counted` is True at the prediction targets.

    The first id of a sequence has nothing before it and is never a target.
    """
    predictions, targets = logits[:, :-1], ids[:, 1:]
    if counted is None or counted[:, 1:].all():
        return MeanCrossEntropy.apply(predictions.flatten(0, 1), targets.flatten())
    chosen = counted[:, 1:]
    if not chosen.any():
        raise ValueError(
            "at least one id after the first must be a target, or there is no mean; got none. "
            "Pass True in `counted` where an id is real text."
        )
    return MeanCrossEntropy.apply(predictions[chosen], targets[chosen])


def expected_initial_loss(vocab_size: int) -> float:
    """Return ln V: the loss of a model that finds every token equally likely."""
    return math.log(vocab_size)
