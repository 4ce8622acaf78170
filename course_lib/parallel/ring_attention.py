"""Ring attention: a text is cut over the ranks, and keys and values travel around.

Each rank has the queries, keys and values of its own tokens. In each of n steps it attends to one
piece of keys, while the pieces move on by one rank; the partial outputs are joined by their
logsumexps, as in flash attention. No rank ever has all keys.

Under a causal mask the rank with the last tokens has the most to do. In zigzag order each rank gets
one piece from the start and one from the end, and all have the same work.

Taught in:        parallel
Paper:            Liu et al. 2023, arXiv:2310.01889; Llama team 2024, arXiv:2407.21783 (zigzag)
Checked against:  attention over the whole text on one process, with gradients
Shapes:           B batch, H query heads, G key/value heads, T own tokens, D head width
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.flash import join_parts, tiled_attention_with_lse
from course_lib.parallel.communicator import Communicator
from course_lib.parallel.differentiable import shift, touch


def ring_attention(
    comm: Communicator,
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T D"],
    positions: Int[Tensor, " T"] | None = None,
) -> Float[Tensor, "B H T D"]:
    """Return attention of this rank's queries to the keys of all ranks.

    `positions` are those of this rank's tokens in the whole text, and make the attention causal;
    without them every token reads all. Every rank has the same number of tokens.
    """
    outputs, lses = [], []
    pieces, places = torch.cat((k, v)), positions
    for step in range(comm.size):
        keys, values = pieces.chunk(2)
        mask = None if positions is None or places is None else places <= positions[:, None]
        if mask is None or mask.any():
            output, lse = tiled_attention_with_lse(q, keys, values, mask)
            outputs.append(output)
            lses.append(lse)
        else:
            outputs[0] = touch(outputs[0], pieces)
        if step + 1 < comm.size:
            pieces = shift(comm, pieces)
            places = None if places is None else shift(comm, places)
    return join_parts(torch.stack(outputs), torch.stack(lses))[0].to(q.dtype)


def contiguous_positions(tokens: int, rank: int, ranks: int) -> Int[Tensor, " own"]:
    """Return the positions of a rank's tokens, if the text is cut in order."""
    _check_cuts(tokens, ranks)
    return torch.arange(tokens).chunk(ranks)[rank]


def zigzag_positions(tokens: int, rank: int, ranks: int) -> Int[Tensor, " own"]:
    """Return the positions of a rank's tokens: a piece from the start and one from the end."""
    _check_cuts(tokens, 2 * ranks)
    pieces = torch.arange(tokens).chunk(2 * ranks)
    return torch.cat((pieces[rank], pieces[2 * ranks - 1 - rank]))


def causal_pairs(positions: Int[Tensor, " own"]) -> int:
    """Return how many pairs of query and key these tokens' queries have: the work of a rank."""
    return int((positions + 1).sum())


def _check_cuts(tokens: int, pieces: int) -> None:
    if tokens < 1 or tokens % pieces:
        raise ValueError(
            f"the text must have a multiple of {pieces} tokens; got {tokens}. Pad it at the end."
        )
