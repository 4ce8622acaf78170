"""Three ways to set the task of a language model: what is visible, and what is predicted.

    causal   predict every token from those before it       GPT, Llama, Qwen
    masked   predict hidden tokens from all the others      BERT
    prefix   read a prefix in both directions, continue     T5 as a prefix model, UniLM

The table of what is visible is about predictions: row t tells which tokens may be read to compute
position t, and a token that is to be predicted never sees itself. In a Transformer the output at
position t predicts token t + 1, so there the same table appears shifted by one row.

Taught in:        language_models
Paper:            Devlin et al. 2018, arXiv:1810.04805; Raffel et al. 2019, arXiv:1910.10683
Checked against:  tables written out by hand
Shapes:           T tokens of one text
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Task(NamedTuple):
    """What may be seen and what must be predicted, for one text of T tokens."""

    visible: Bool[Tensor, "T T"]
    """Row t, column s: may token s be read to compute position t?"""
    predicted: Bool[Tensor, " T"]
    """Must the token at position t be predicted?"""


def causal_task(length: int) -> Task:
    """Return causal language modelling: predict every token from those before it."""
    earlier = torch.ones(length, length, dtype=torch.bool).tril(-1)
    return Task(earlier, torch.ones(length, dtype=torch.bool))


def masked_task(length: int, hidden: Int[Tensor, " hidden"]) -> Task:
    """Return masked language modelling: predict hidden tokens from all others, on both sides."""
    if not bool(((hidden >= 0) & (hidden < length)).all()):
        raise ValueError(
            f"hidden positions must lie between 0 and {length - 1}; got {hidden.tolist()}. "
            f"Count the {length} tokens of the text from 0."
        )
    predicted = torch.zeros(length, dtype=torch.bool, device=hidden.device)
    predicted[hidden] = True
    return Task((~predicted).expand(length, length).clone(), predicted)


def prefix_task(length: int, prefix: int) -> Task:
    """Return prefix language modelling: read the prefix in both directions, then continue."""
    if not 0 <= prefix <= length:
        raise ValueError(
            f"the prefix is part of the text and has 0 to {length} tokens; got {prefix}. "
            "Pass how many tokens are given at the beginning."
        )
    visible, predicted = causal_task(length)
    visible[:prefix, :prefix] = True
    predicted[:prefix] = False
    return Task(visible, predicted)
