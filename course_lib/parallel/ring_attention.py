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

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.attention import MultiHeadAttention, merge_heads, split_heads
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


class RingAttention(nn.Module):
    """The attention layer of a decoder, for texts of which this rank has the zigzag pieces."""

    q_norm: nn.Module
    k_norm: nn.Module
    o_proj: nn.Module

    def __init__(self, whole: MultiHeadAttention, comm: Communicator) -> None:
        super().__init__()
        self.comm = comm
        self.num_heads, self.num_key_value_heads = whole.num_heads, whole.num_key_value_heads
        for name, layer in whole.named_children():
            self.add_module(name, layer)

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: None = None,
        *,
        rotate: Callable[[Tensor], Tensor],
        cache: None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], None]:
        """Return causal attention over the whole text, for this rank's tokens."""
        q, k, v = (
            split_heads(getattr(self, f"{name}_proj")(x), heads)
            for name, heads in zip(
                "qkv", (self.num_heads, *2 * [self.num_key_value_heads]), strict=True
            )
        )
        q, k = rotate(self.q_norm(q)), rotate(self.k_norm(k))
        places = zigzag_positions(q.shape[2] * self.comm.size, self.comm.rank, self.comm.size)
        read = ring_attention(self.comm, q, k, v, places.to(x.device))
        return self.o_proj(merge_heads(read)), None
