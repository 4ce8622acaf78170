"""Batches: crops of a long row of tokens, and random sequences that repeat.

Text becomes one long row of token ids in a file. The file is mapped into memory, so that of a row
of many gigabytes only the crops are read. A crop starts anywhere: the model should not learn that
texts start at position zero.

Random ids that repeat are not language, but they teach one thing well: to find the previous
occurrence of a token and copy what came after it. Nothing else lowers the loss on them.

Taught in:        training
Paper:            Olsson et al. 2022, arXiv:2209.11895 (repeated random tokens)
Checked against:  crops taken by hand, periods found by comparing a sequence with itself
Shapes:           B sequences, T tokens
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from course_lib.atomic_write import write_whole
from course_lib.attention import repeated_ids

ID_TYPE = np.uint16  # two bytes a token, enough for 65 536 of them


class Batch(NamedTuple):
    """Token ids, and a mask that is True at the prediction targets."""

    ids: Int[Tensor, "B T"]
    counted: Bool[Tensor, "B T"]


def write_tokens(path: Path, documents: Iterable[Sequence[int]], separator: int) -> int:
    """Write the documents in a row, a separator before each; return the number of tokens."""
    total = 0

    def write(part: Path) -> None:
        nonlocal total
        with part.open("wb") as file:
            for ids in documents:
                row = np.asarray([separator, *ids])
                if row.min() < 0 or row.max() > np.iinfo(ID_TYPE).max:
                    raise ValueError(
                        f"ids must be from 0 to {np.iinfo(ID_TYPE).max}, since a token takes two "
                        f"bytes; got {row.min()} to {row.max()}. Use a smaller vocabulary."
                    )
                row.astype(ID_TYPE).tofile(file)
                total += len(row)

    write_whole(path, write)
    return total


def read_tokens(path: Path) -> np.ndarray:
    """Return the tokens of a file, mapped into memory rather than read."""
    return np.memmap(path, dtype=ID_TYPE, mode="r")


def random_crops(
    row: np.ndarray, count: int, length: int, generator: torch.Generator
) -> Int[Tensor, "B T"]:
    """Return `count` crops of the row, each from a random start."""
    if len(row) < length:
        raise ValueError(
            f"a crop must not be longer than the row of tokens; got {length} of {len(row)}. "
            "Use more text or a shorter context."
        )
    starts = torch.randint(len(row) - length + 1, (count,), generator=generator)
    return torch.from_numpy(
        np.stack([row[start : start + length] for start in starts.tolist()]).astype(np.int64)
    )


def repeating_batch(
    count: int,
    length: int,
    periods: tuple[int, int],
    choices: Int[Tensor, " V"],
    generator: torch.Generator,
) -> Batch:
    """Return rows in which a random text of different ids repeats; its length varies by row.

    The targets are the ids that can be predicted: those after an id that occurred before. The
    first id of the second period is not one of them, since the id before it, the last of the first
    period, occurs for the first time.
    """
    low, high = periods
    if not 1 <= low <= high <= len(choices):
        raise ValueError(
            f"periods must be two lengths from 1 to {len(choices)}, the smaller first; got "
            f"{periods}. A text must not be longer than the number of different ids."
        )
    ids = torch.empty(count, length, dtype=torch.long)
    counted = torch.zeros(count, length, dtype=torch.bool)
    for row in range(count):
        period = int(torch.randint(low, high + 1, (), generator=generator))
        ids[row] = choices[repeated_ids(len(choices), period, length, generator)[0]]
        counted[row, period + 1 :] = True
    return Batch(ids, counted)
