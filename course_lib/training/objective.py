"""What training makes small: the surprise at each next token.

Row t of the logits scores what stands at t + 1, so logits and targets are shifted against each
other by one. Some targets do not count: padding, or what nobody could know. The mean is taken over
those that do; dividing by all would pay a model for padding.

    loss = sum over counted t of -log p(ids[t + 1] | ids[..t]) / number of counted t

Taught in:        11 training
Checked against:  F.cross_entropy with ignore_index, transformers' `labels`
Shapes:           B sequences, T tokens, V vocabulary
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.softmax import cross_entropy


def next_token_loss(
    logits: Float[Tensor, "B T V"],
    ids: Int[Tensor, "B T"],
    counted: Bool[Tensor, "B T"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean surprise in nats; `counted` is True at the ids that are to be foretold.

    The first id of a sequence has nothing before it and never counts.
    """
    predictions, targets = logits[:, :-1], ids[:, 1:]
    if counted is None:
        return cross_entropy(predictions.flatten(0, 1), targets.flatten())
    chosen = counted[:, 1:]
    if not chosen.any():
        raise ValueError(
            "at least one id behind the first must count, or there is no mean; got none. "
            "Pass True in `counted` where an id is real text."
        )
    return cross_entropy(predictions[chosen], targets[chosen])


@torch.no_grad()
def expected_initial_loss(vocab_size: int) -> float:
    """Return ln V: the loss of a model that finds every token equally likely."""
    return torch.tensor(float(vocab_size)).log().item()
