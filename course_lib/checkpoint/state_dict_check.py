"""Do these tensors match that model? Names and shapes, a tied head, and transposed matrices.

A state dict is a dictionary from names to tensors. It matches if every parameter of the model has a
tensor of its name and shape, and no tensor is left over. The file of a tied model may omit the
head, and GPT-2's file stores its matrices transposed.

    head = table if tied, else the file's own
    Conv1D:  y = x @ W + b,  W (in, out)          nn.Linear:  y = x @ W.T + b,  W (out, in)

Taught in:        transformer
Checked against:  torch's own load_state_dict, transformers' Conv1D
Shapes:           C model width, V vocabulary
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Misfits(NamedTuple):
    """Mismatches between tensors and a model's parameters; all empty if they match."""

    missing: list[str]  # the model has it, the file does not
    extra: list[str]  # the file has it, the model does not
    misshapen: list[str]  # both have it, in different shapes


def misfits(slots: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> Misfits:
    """Return the names for which `tensors` cannot be loaded into `slots`, in their order there."""
    return Misfits(
        [name for name in slots if name not in tensors],
        [name for name in tensors if name not in slots],
        [name for name in slots if name in tensors and tensors[name].shape != slots[name].shape],
    )


def with_head(
    tensors: Mapping[str, Tensor],
    tied: bool,
    table: str = "model.embed_tokens.weight",
    head: str = "lm_head.weight",
) -> dict[str, Tensor]:
    """Return the tensors of a file; in a tied model the head is the embedding table.

    An untied model whose file has no head is left as it is, for `misfits` to report.
    """
    completed = dict(tensors)
    if tied and table in tensors:
        if head in tensors and not torch.equal(tensors[head], tensors[table]):
            raise ValueError(
                f"a tied head is the embedding; got {head} and {table} that differ. Write "
                "tie_word_embeddings=false into config.json to use both."
            )
        completed[head] = tensors[table]
    return completed


def separate_fused(
    weight: Float[Tensor, "C fused"], bias: Float[Tensor, " offsets"]
) -> dict[str, Tensor]:
    """Return GPT-2's fused matrix of queries, keys and values as three in nn.Linear's layout."""
    width = weight.shape[0]
    if weight.shape[1] != 3 * width or bias.shape != (3 * width,):
        raise ValueError(
            "GPT-2 stores queries, keys and values as one weight (C, 3 C) with a bias (3 C); got "
            f"{tuple(weight.shape)} and {tuple(bias.shape)}. A (3 C, C) one is already transposed."
        )
    separate: dict[str, Tensor] = {}
    names = ("q_proj", "k_proj", "v_proj")
    for name, columns, offsets in zip(names, weight.chunk(3, dim=1), bias.chunk(3), strict=True):
        separate[f"{name}.weight"] = columns.T.contiguous()
        separate[f"{name}.bias"] = offsets
    return separate
