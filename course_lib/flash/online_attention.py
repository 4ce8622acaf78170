"""The running state of attention over blocks of keys: a maximum, a sum, a sum of values.

A query needs nothing else about the keys it has read, however many. From the state its output can
be computed at any time, and outputs over different keys can be joined.

    update   m' = max(m, max_j s_j)         r = exp(m - m')         p_j = exp(s_j - m')
             l' = r * l + sum_j p_j         a' = r * a + sum_j p_j * v_j
    finish   output = a / l                 L = m + log(l)
    join     L = log(sum_i exp(L_i))        output = sum_i exp(L_i - L) * output_i

Each value v_j is *inside* the sum, times its own weight. The division by l comes at the end.

Taught in:        flash_attention
Paper:            Milakov & Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135;
                  Dao et al. 2023, "Flash-Decoding" (the join of parts)
Checked against:  softmax over all scores at once, in float64
Shapes:           t queries, s keys of one tile, Dv width of a value, P parts
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.softmax import logsumexp, masked_softmax

LOG2_E = math.log2(math.e)  # exp(x) = exp2(LOG2_E * x)
LN_2 = math.log(2)


class AttentionState(NamedTuple):
    """What is kept for each query about the keys it has read."""

    maximum: Tensor
    total: Tensor  # sum of exp(score - maximum)
    mixed: Tensor  # sum of exp(score - maximum) * value


def empty_state(queries: Float[Tensor, "*heads t D"], value_dim: int) -> AttentionState:
    """Return the state before the first key."""
    maximum = queries.new_full(queries.shape[:-1], -torch.inf)
    mixed = queries.new_zeros(*queries.shape[:-1], value_dim)
    return AttentionState(maximum, torch.zeros_like(maximum), mixed)


def attend_scores(
    state: AttentionState, scores: Float[Tensor, "*heads t s"], v: Float[Tensor, "*heads s Dv"]
) -> AttentionState:
    """Return the state after one more tile; the score of a masked key is -inf."""
    maximum = torch.maximum(state.maximum, scores.amax(-1))
    shift = finite_or_zero(maximum)  # nothing read yet: -inf - (-inf) is nan
    rescale = (state.maximum - shift).exp()  # 1 where the maximum stays, less where it grows
    weights = (scores - shift[..., None]).exp_()
    total = state.total * rescale + weights.sum(-1)
    mixed = state.mixed * rescale[..., None] + weights @ v
    return AttentionState(maximum, total, mixed)


def attend_scores_(
    state: AttentionState, scores: Float[Tensor, "B *heads t s"], v: Float[Tensor, "B *heads s Dv"]
) -> AttentionState:
    """Do in place what `attend_scores` computes, for scores that were multiplied by `LOG2_E`.

    The maximum is multiplied as well. Then exp2 replaces exp, which takes a CPU more than twice as
    long: next to the two products it is the most expensive step. The scores become weights.
    """
    maximum = torch.maximum(state.maximum, scores.amax(-1))
    shift = maximum.clamp(min=torch.finfo(maximum.dtype).min)  # for a row that has read nothing
    rescale = (state.maximum - shift).exp2_()
    weights = scores.sub_(shift.unsqueeze(-1)).exp2_()
    state.total.mul_(rescale).add_(weights.sum(-1))
    state.mixed.mul_(rescale.unsqueeze(-1))
    mixed, weights, v = (x.flatten(0, -3) for x in (state.mixed, weights, v))
    torch.baddbmm(mixed, weights, v, out=mixed)
    return AttentionState(maximum, state.total, state.mixed)


def finish(state: AttentionState) -> tuple[Float[Tensor, "*heads t Dv"], Float[Tensor, "*heads t"]]:
    """Return the output and the logsumexp of the scores; zeros and -inf if no key was read."""
    read = state.total > 0
    output = state.mixed / torch.where(read, state.total, 1.0)[..., None]
    return output, state.maximum + state.total.log()


def join_parts(
    outputs: Float[Tensor, "P *heads t Dv"], lses: Float[Tensor, "P *heads t"]
) -> tuple[Float[Tensor, "*heads t Dv"], Float[Tensor, "*heads t"]]:
    """Return output and logsumexp over all keys from those over P parts of them.

    The parts may be computed in parallel, by different workers (split-K, flash-decoding).
    """
    weights = masked_softmax(lses, lses > -torch.inf, dim=0)  # (P, *heads, t); a part may be empty
    return (weights[..., None] * outputs).sum(0), logsumexp(lses, dim=0)


def finite_or_zero(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return x with 0 in place of -inf: a shift that is safe for scores of -inf."""
    return torch.where(x == -torch.inf, 0.0, x)
