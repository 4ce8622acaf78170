"""The decoder as plain functions: one block, the whole pass, positions, and writing text.

What `decoder` does with masks, caches and optional results, here with nothing but the steps. Each
part is handed in as a function, so that the order of the steps is all that is left to get right.

    x = table[ids];   for block in blocks: x = block(x);   logits = norm(x) @ head.T

Taught in:        transformer
Paper:            Radford et al. 2019, "Language models are unsupervised multitask learners"
                  (pre-norm, and one more norm behind the last block)
Checked against:  DecoderLM, transformers' Qwen3 and its generate
Shapes:           B batch, T new tokens, S all tokens so far, C model width, V vocabulary
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.embeddings import embed, tied_logits

Part = Callable[[Tensor], Tensor]


def decoder_block(
    x: Float[Tensor, "*lead C"], attention: Part, attention_norm: Part, mlp: Part, mlp_norm: Part
) -> Float[Tensor, "*lead C"]:
    """Return the stream after one layer: two parts, each behind a norm and added to x."""
    x = x + attention(attention_norm(x))
    return x + mlp(mlp_norm(x))


def decoder_logits(
    ids: Int[Tensor, "*lead"],
    table: Float[Tensor, "V C"],
    blocks: Sequence[Part],
    last_norm: Part,
    head: Float[Tensor, "V C"] | None = None,
) -> Float[Tensor, "*lead V"]:
    """Return the scores of the next token behind each token; without `head` it is the table."""
    x = embed(ids, table)
    for block in blocks:
        x = block(x)
    return tied_logits(last_norm(x), table if head is None else head)


def token_positions(padding: Bool[Tensor, "B S"], new_tokens: int) -> Int[Tensor, "B T"]:
    """Return the positions of the last `new_tokens` tokens of each row.

    `padding` is True at real tokens, over all tokens so far, those in a cache included. The first
    real token of a row has position 0; padding before it gets 0 too, since nobody reads it.
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
    """Return the ids that follow when the likeliest token is taken each time; `stop` ends them.

    `logits_of` takes ids (1, T) and returns the logits (1, T, V) of a model. The stop token is the
    last one returned.
    """
    text: list[int] = ids.tolist()
    written: list[int] = []
    while len(written) < new_tokens and (stop is None or stop not in written[-1:]):
        logits = logits_of(torch.tensor([text + written], device=ids.device))
        written.append(int(logits[0, -1].argmax()))
    return written
