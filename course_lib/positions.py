"""Positions: how attention, which sees a set, gets information about the order of tokens.

Shuffle the tokens and attention gives the same outputs, shuffled. Order has to be added: either to
the vectors, one position at a time, or to the scores, one distance at a time.

    learned      x[t] + table[t]                                       into the vectors; has an end
    sinusoidal   x[t] + [sin(t w_0), cos(t w_0), sin(t w_1), ...]      w_i = base ** (-2i / C)
    relative     score[i, j] + bias[bucket(j - i)]                     into the scores; learned
    ALiBi        score[i, j] - slope * |i - j|                         into the scores; fixed

Taught in:        rope
Paper:            Vaswani et al. 2017, arXiv:1706.03762 (sinusoidal); Raffel et al. 2019,
                  arXiv:1910.10683 (relative); Press et al. 2021, arXiv:2108.12409 (ALiBi)
Checked against:  a float64 formula, transformers' Marian, T5, BLOOM and MPT
Shapes:           T query tokens, S key tokens, H heads, C model width, P trained positions
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.attention import token_offsets
from course_lib.embeddings import Embedding


def learned_positions(
    table: Float[Tensor, "P C"], positions: Int[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens C"]:
    """Return one row of the trained table for each position; beyond its end there is none."""
    trained = table.shape[0]
    if positions.numel() and not 0 <= int(positions.min()) <= int(positions.max()) < trained:
        raise ValueError(
            f"a learned table has rows for the positions 0 to {trained - 1}; got positions from "
            f"{int(positions.min())} to {int(positions.max())}. Shorten the text, or use positions "
            "that are computed, such as sinusoidal ones or RoPE."
        )
    return table[positions]


class PositionEmbedding(Embedding):
    """`learned_positions` with a learned table, called `weight` as in checkpoints."""

    def forward(self, positions: Int[Tensor, "*tokens"]) -> Float[Tensor, "*tokens C"]:
        """Look the positions up."""
        return learned_positions(self.weight, positions)


def sinusoidal_table(
    length: int,
    width: int,
    base: float = 10_000.0,
    device: torch.device | str | None = None,
) -> Float[Tensor, "T C"]:
    """Return one row per position: pairs of sine and cosine, from fast to slow waves."""
    if width < 2 or width % 2:
        raise ValueError(
            f"width must be even, since each wave fills a sine and a cosine column; got {width}. "
            "Pass the model's hidden size, or one more than an odd width and cut the last column."
        )
    # In float64, since far positions times small steps lose digits in float32.
    position = torch.arange(length, dtype=torch.float64)
    speed = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # (C/2,)
    angle = position[:, None] * speed  # (T, C/2)
    pairs = torch.stack((angle.sin(), angle.cos()), dim=-1)  # (T, C/2, 2)
    return pairs.flatten(1).to(device=device, dtype=torch.float32)  # (T, C)


def relative_position_bucket(
    offsets: Int[Tensor, "T S"],
    num_buckets: int = 32,
    max_distance: int = 128,
    bidirectional: bool = True,
) -> Int[Tensor, "T S"]:
    """Return the bucket of each offset, key position minus query position, as T5 does.

    Near distances have a bucket each; larger ones share buckets that grow by a constant factor; all
    from `max_distance` on share the last. A model that reads in both directions has one half of the
    buckets for earlier tokens and one for later ones.
    """
    _check_buckets(num_buckets, max_distance, bidirectional)
    if bidirectional:
        num_buckets //= 2
        first = torch.where(offsets > 0, num_buckets, 0)
        distance = offsets.abs()
    else:
        first = torch.zeros_like(offsets)
        distance = (-offsets).clamp(min=0)  # later tokens are masked in any case
    exact = num_buckets // 2
    growth = (distance.clamp(min=1).float() / exact).log() / math.log(max_distance / exact)
    shared = exact + (growth * (num_buckets - exact)).long()
    return first + torch.where(distance < exact, distance, shared.clamp(max=num_buckets - 1))


def relative_position_bias(
    table: Float[Tensor, "buckets H"], buckets: Int[Tensor, "T S"]
) -> Float[Tensor, "H T S"]:
    """Return the learned number that each head adds to the score of each pair of tokens."""
    return table[buckets].permute(2, 0, 1)  # (T, S, H) -> (H, T, S)


def alibi_slopes(num_heads: int) -> Float[Tensor, " H"]:
    """Return each head's penalty per token of distance: 2 ** (-8/H), 2 ** (-16/H), ... 2 ** -8.

    If H is not a power of two, the heads beyond the largest power P below it take every second
    slope of 2P heads, which are between those already taken.
    """
    if num_heads < 1:
        raise ValueError(
            f"num_heads must be at least 1; got {num_heads}. Each head gets its own slope."
        )
    power = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * head / power) for head in range(1, power + 1)]
    between = [2 ** (-4 * head / power) for head in range(1, 2 * power + 1, 2)]
    return torch.tensor(slopes + between[: num_heads - power])


def alibi_bias(
    slopes: Float[Tensor, " H"], queries: int, keys: int | None = None
) -> Float[Tensor, "H T S"]:
    """Return the penalty of each head for each pair of tokens: minus slope times distance."""
    distance = token_offsets(queries, keys, slopes.device).abs()
    return -slopes[:, None, None] * distance


def _check_buckets(num_buckets: int, max_distance: int, bidirectional: bool) -> None:
    exact = num_buckets // 4 if bidirectional else num_buckets // 2
    if exact < 1 or max_distance <= exact:
        raise ValueError(
            "the buckets need at least one exact distance, and max_distance must lie beyond the "
            f"exact ones; got {num_buckets} buckets, {exact} exact, max_distance {max_distance}. "
            "T5 has 32 buckets and max_distance 128."
        )
