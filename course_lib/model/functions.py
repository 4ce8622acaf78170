"""Two functions around a forward pass: the positions of its tokens, and greedy decoding.

Both work with any model: positions depend on the padding alone, and `greedy_continuation` takes the
forward pass as a function from ids to logits.

Taught in:        transformer
Checked against:  a loop in plain Python, transformers' generate
Shapes:           B batch, T new tokens, S all tokens so far, V vocabulary
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor


def token_positions(padding: Bool[Tensor, "B S"], new_tokens: int) -> Int[Tensor, "B T"]:
    """Return the positions of the last `new_tokens` tokens of each row.

    `padding` is True at real tokens and covers all tokens so far, including those in a cache. The
    first real token of a row has position 0; padding before it gets 0 too, since it is masked.
    """
    if not 0 <= new_tokens <= padding.shape[1]:
        raise ValueError(
            f"the new tokens are the last of all {padding.shape[1]} tokens so far; got "
            f"{new_tokens} new ones. Let `padding` cover the cached tokens and the new ones."
        )
    positions = (padding.cumsum(-1) - 1).clamp(min=0)
    return positions[:, padding.shape[1] - new_tokens :]


def greedy_continuation(
    logits_of: Callable[[Tensor], Tensor],
    ids: Int[Tensor, " T"],
    new_tokens: int,
    stop: int | None = None,
) -> list[int]:
    """Return the ids that follow if the most likely token is taken each time; `stop` ends them.

    `logits_of` takes ids (1, T) and returns the logits (1, T, V) of a model. The stop token is the
    last one returned.
    """
    text: list[int] = ids.tolist()
    generated: list[int] = []
    while len(generated) < new_tokens and (stop is None or stop not in generated[-1:]):
        logits = logits_of(torch.tensor([text + generated], device=ids.device))
        generated.append(int(logits[0, -1].argmax()))
    return generated
