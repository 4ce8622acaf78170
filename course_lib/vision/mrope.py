"""M-RoPE: three positions for each token, so that a picture keeps its rows and columns.

A text token has the same number three times: its place. All patches of a picture share the first
number (time), and their second and third are row and column, counted from where the picture
begins. The text goes on after the largest number so far, so a picture of 4 x 4 patches moves the
text on by 4 places, not by 16.

    segments  3, (2, 2), 2         a text of three, a picture of 2 x 2, a text of two
    time      0 1 2  3 3 3 3  5 6
    row       0 1 2  3 3 4 4  5 6
    column    0 1 2  3 4 3 4  5 6

The planes of a head are divided among the three: some rotate by time, some by row, some by column.

Taught in:        multimodal
Paper:            Wang et al. 2024, arXiv:2409.12191
Checked against:  transformers' Qwen2VLModel.get_rope_index
Shapes:           T tokens of all segments together
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

Segment = int | tuple[int, int]  # tokens of a text, or rows and columns of a picture


def mrope_positions(segments: Sequence[Segment]) -> Int[Tensor, "3 T"]:
    """Return time, row and column of every token."""
    parts, start = [torch.zeros(3, 0, dtype=torch.long)], 0
    for segment in segments:
        if isinstance(segment, int):
            _check_size(segment, segment)
            own = torch.arange(segment).expand(3, -1)
        else:
            rows, columns = segment
            _check_size(segment, rows, columns)
            row = torch.arange(rows).repeat_interleave(columns)
            column = torch.arange(columns).repeat(rows)
            own = torch.stack((torch.zeros_like(row), row, column))
        parts.append(own + start)
        start += int(own.max()) + 1
    return torch.cat(parts, dim=1)


def _check_size(segment: Segment, *sizes: int) -> None:
    if min(sizes) < 1:
        raise ValueError(
            f"a segment has at least one token in each direction; got {segment}. Leave empty "
            "texts out."
        )
