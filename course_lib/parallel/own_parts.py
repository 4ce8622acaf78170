"""The part of a batch that a rank reads: its rows, of which it has some tokens, in microbatches.

Taught in:        parallel
Checked against:  `course_lib.training.Training` on one process, step for step
Shapes:           B sequences, T tokens of a batch; b and t of a part
"""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.spread import Axes
from course_lib.training.data import Batch


class Part(NamedTuple):
    """What a rank reads of a batch, the next token of each, and whether that is a target."""

    ids: Tensor  # (b, t) each
    targets: Tensor
    counted: Tensor


def own_parts(
    batch: Batch, axes: Axes, count: int, local: SplitDecoder, device: torch.device
) -> list[Part]:
    """Return this rank's rows and tokens in `count` parts; a text's last token has no target."""
    if len(batch.ids) // axes.data_size < count:
        raise ValueError(
            "each data-parallel rank needs a sequence for each microbatch; got "
            f"{len(batch.ids)} for {axes.data_size} x {count}."
        )
    ids, counted = (tensor.tensor_split(axes.data_size)[axes.data_index] for tensor in batch)
    targets, counted = (tensor.roll(-1, 1) for tensor in (ids, counted))
    counted[:, -1] = False
    places = local.positions(ids.shape[1])
    own = [each[:, places].to(device) for each in (ids, targets, counted)]
    return [Part(*some) for some in zip(*(t.tensor_split(count) for t in own), strict=True)]
