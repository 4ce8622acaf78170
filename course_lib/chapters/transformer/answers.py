"""Answers that only the exercises of this chapter need: a block and a pass, with nothing but steps.

What the library's `Block` and `DecoderLM` do with masks, caches and optional results. Here each
part is handed in as a function, so that the order of the steps is all that is left to get right.

    x = table[ids];   for block in blocks: x = block(x);   logits = norm(x) @ head.T

Taught in:        transformer
Paper:            Radford et al. 2019, "Language models are unsupervised multitask learners"
                  (pre-norm, and one more norm after the last block)
Checked against:  DecoderLM, transformers' Qwen3
Shapes:           C model width, V vocabulary; any dimensions before them
"""

from collections.abc import Callable, Sequence

from jaxtyping import Float, Int
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
