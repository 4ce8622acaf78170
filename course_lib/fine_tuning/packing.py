"""Conversations of different length in one batch: padded, or packed one after another.

Padding computes on tokens that mean nothing. Packing fills a row with several conversations, none
of which may then read another: each has a mask of its own along the diagonal, counts its positions
from 0, and its first id is nobody's target.

    row        a a a a b b b c c        mask (True = may attend), for the b's:
    documents  0 0 0 0 1 1 1 2 2            a a a a b b b c c
    positions  0 1 2 3 0 1 2 0 1        b   . . . . 1 . . . .
                                        b   . . . . 1 1 . . .
                                        b   . . . . 1 1 1 . .

Taught in:        fine_tuning
Paper:            Krell et al. 2021, arXiv:2107.02027
Checked against:  the same conversations, each alone
Shapes:           B rows, T tokens, V vocabulary
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.attention import causal_mask, sliding_window_mask
from course_lib.fine_tuning.labels import IGNORED, Example
from course_lib.model import DecoderLM
from course_lib.training.data import Batch

PADDING = -1  # the document of a place that holds no token


class Packed(NamedTuple):
    """Rows that hold several conversations each."""

    ids: Int[Tensor, "B T"]
    labels: Int[Tensor, "B T"]
    documents: Int[Tensor, "B T"]  # the number of the conversation in its row, or PADDING


def pad_examples(examples: Sequence[Example], pad_id: int = 0) -> Batch:
    """Return one example a row, padded on the right; targets are the ids with a label.

    A causal model needs no mask for padding on the right: no real token comes after it.
    """
    _require(examples)
    length = max(len(each.ids) for each in examples)
    ids = [each.ids + [pad_id] * (length - len(each.ids)) for each in examples]
    labels = [each.labels + [IGNORED] * (length - len(each.labels)) for each in examples]
    return Batch(torch.tensor(ids), torch.tensor(labels) != IGNORED)


def assign_rows(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return which examples go into each row: the longest first, each into the first that fits."""
    if lengths and max(lengths) > capacity:
        raise ValueError(
            f"an example must fit into a row of {capacity} tokens; got one of {max(lengths)}. "
            "Take longer rows, or leave it out."
        )
    rows: list[list[int]] = []
    room: list[int] = []
    for example in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = (row for row, left in enumerate(room) if left >= lengths[example])
        row = next(fitting, len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(example)
        room[row] -= lengths[example]
    return rows


def pack_examples(examples: Sequence[Example], capacity: int, pad_id: int = 0) -> Packed:
    """Return rows of at most `capacity` tokens that hold all examples."""
    _require(examples)
    rows = assign_rows([len(each.ids) for each in examples], capacity)
    width = max(sum(len(examples[i].ids) for i in row) for row in rows)
    packed = Packed(
        torch.full((len(rows), width), pad_id),
        torch.full((len(rows), width), IGNORED),
        torch.full((len(rows), width), PADDING),
    )
    for row, members in enumerate(rows):
        start = 0
        for document, i in enumerate(members):
            end = start + len(examples[i].ids)
            packed.ids[row, start:end] = torch.tensor(examples[i].ids)
            packed.labels[row, start + 1 : end] = torch.tensor(examples[i].labels[1:])
            packed.documents[row, start:end] = document
            start = end
    return packed


def packed_positions(documents: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Return the position of each token in its own document, counted from 0."""
    place = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    starts = torch.ones_like(documents, dtype=torch.bool)
    starts[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return place - place.masked_fill(~starts, 0).cummax(1).values


def packed_mask(documents: Int[Tensor, "B T"]) -> Bool[Tensor, "B 1 T T"]:
    """Let each token read itself and what came before in its own document."""
    same = documents[:, :, None] == documents[:, None, :]  # (B, T, T)
    return (same & causal_mask(documents.shape[1], device=documents.device))[:, None]


def packed_logits(
    model: DecoderLM, ids: Int[Tensor, "B T"], documents: Int[Tensor, "B T"]
) -> Float[Tensor, "B T V"]:
    """Return the logits of rows in which no document reads another."""
    positions, mask = packed_positions(documents), packed_mask(documents)
    x, rotate = model.embed(ids, positions), model.rotation(positions)
    for layer, block in enumerate(model.blocks):
        window = model.config.window_of(layer)
        near = None
        if window is not None:
            near = sliding_window_mask(ids.shape[1], window=window, device=ids.device)
        x, _ = block(x, mask if near is None else mask & near, rotate)
    logits: Tensor = model.lm_head(model.last_norm(x))
    return logits


def _require(examples: Sequence[Example]) -> None:
    if not examples:
        raise ValueError("a batch needs at least one example; got none.")
