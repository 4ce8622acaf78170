"""Tokens that a base model has never read: a first guess for their rows, and training them alone.

The rows of role tokens are random after pre-training, or worse: every step lowered the logits of
tokens that never came. A copy of a row that the model knows is a far better start.

Taught in:        fine_tuning
Checked against:  rows compared one by one
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from course_lib.model import DecoderLM


@torch.no_grad()
def copy_rows(model: DecoderLM, sources: Mapping[int, int]) -> None:
    """Give each token id the embedding, and the row of the head, of its source."""
    size = model.config.vocab_size
    if wrong := [i for pair in sources.items() for i in pair if not 0 <= i < size]:
        raise ValueError(f"token ids must be from 0 to {size - 1}; got {wrong[0]}.")
    tables = {id(table): table for table in (embedding(model), model.lm_head.weight)}
    for table in tables.values():  # one if they are tied
        rows = table[list(sources.values())].clone()
        table[list(sources)] = rows


def train_rows_only(table: nn.Parameter, rows: Collection[int]) -> RemovableHandle:
    """Let only these rows of the table get a gradient; the rest stay as they are.

    Weight decay would still shrink the other rows: give the table a group without it.
    """
    table.requires_grad_(True)
    chosen = torch.zeros(len(table), 1, dtype=table.dtype, device=table.device)
    chosen[list(rows)] = 1.0

    def keep(gradient: Tensor) -> Tensor:
        return gradient * chosen

    return table.register_hook(keep)


def embedding(model: DecoderLM) -> nn.Parameter:
    """Return the table of embeddings."""
    return model.model.embed_tokens.weight
