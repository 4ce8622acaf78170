"""Softmax: scores become a probability distribution, in floating point.

A model ends in scores that may be any real numbers. Softmax turns them into probabilities: the
larger the score, the larger the probability. The textbook formula overflows for scores that real
models produce, so each function here uses a form that does not.

    softmax(z)[i] = exp(z[i] - c) / sum_j exp(z[j] - c)        for any c; we take c = max(z)

Taught in:        softmax
Paper:            Milakov & Gimelshein 2018, arXiv:1805.02867 (the online form)
Checked against:  torch.softmax, torch.logsumexp, F.cross_entropy, torch.autograd
Shapes:           N rows of V scores; every `dim` may be any axis of any tensor
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def naive_softmax(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Return softmax exactly as the formula says; it is here to show how that overflows."""
    numerator = x.exp()
    return numerator / numerator.sum(dim, keepdim=True)


def stable_softmax(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Return probabilities along `dim`; no finite score can overflow."""
    shifted = x - x.amax(dim, keepdim=True)  # the largest exponential is now exp(0) = 1
    numerator = shifted.exp()
    return numerator / numerator.sum(dim, keepdim=True)


def logsumexp(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*reduced"]:
    """Return log(sum(exp(x))) along `dim`, without that axis."""
    largest = x.amax(dim, keepdim=True)
    # A row of only -inf has no finite maximum to subtract: subtract nothing, and get log(0) = -inf.
    shift = torch.where(largest.isfinite(), largest, 0.0)
    # The difference is a new tensor, so `exp_` can change it in place: one table less in memory.
    return ((x - shift).exp_().sum(dim, keepdim=True).log() + shift).squeeze(dim)


def log_softmax(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    """Return the logarithm of softmax, without ever forming a probability that could be 0."""
    return x - logsumexp(x, dim).unsqueeze(dim)


def masked_softmax(
    x: Float[Tensor, "*shape"], mask: Bool[Tensor, "..."], dim: int = -1
) -> Float[Tensor, "*shape"]:
    """Return softmax over the entries where `mask` is True; a row with none is all zeros.

    Libraries disagree about that row: adding -inf to the scores gives 0/0 = nan, and one nan
    spreads through every later layer. A row that may attend to nothing gets all zeros.
    """
    scores = x.masked_fill(~mask, -torch.inf)
    # Any shift gives the same weights, so it needs no gradient. `scores` is a new tensor, so it can
    # be changed in place: tables of T x S numbers dominate the memory of attention.
    largest = scores.detach().amax(dim, keepdim=True)
    numerator = scores.sub_(torch.where(largest.isfinite(), largest, 0.0)).exp_()
    total = numerator.sum(dim, keepdim=True)
    return numerator / torch.where(total > 0, total, 1.0)


def softmax_with_temperature(
    x: Float[Tensor, "*shape"], temperature: float, dim: int = -1
) -> Float[Tensor, "*shape"]:
    """Return softmax(x / temperature): argmax as it goes to 0, uniform as it goes to infinity.

    Both limits may be passed. At 0, scores that tie for the largest get equal probabilities.
    """
    if not temperature >= 0:
        raise ValueError(
            f"temperature must be zero or more; got {temperature}. "
            "Use 0 for the largest score only, 1 to leave the scores as they are."
        )
    shifted = x - x.amax(dim, keepdim=True)
    if temperature == 0:
        winners = (shifted == 0).to(x.dtype)
        return winners / winners.sum(dim, keepdim=True)
    return stable_softmax(shifted / temperature, dim)


def softmax_backward(
    p: Float[Tensor, "*shape"], gradient: Float[Tensor, "*shape"], dim: int = -1
) -> Float[Tensor, "*shape"]:
    """Return d L / d z from d L / d p, where p = softmax(z): the Jacobian's product, without it."""
    return p * (gradient - (p * gradient).sum(dim, keepdim=True))


def softmax_jacobian(p: Float[Tensor, "*rows V"]) -> Float[Tensor, "*rows V V"]:
    """Return d p[i] / d z[j] = p[i] * (1 if i == j else 0) - p[i] * p[j]."""
    return torch.diag_embed(p) - p.unsqueeze(-1) * p.unsqueeze(-2)


def cross_entropy(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Return the mean of -log p[target] over the rows, in nats."""
    log_p = log_softmax(logits, dim=-1)  # (N, V)
    return -log_p.gather(-1, targets.unsqueeze(-1)).mean()


def surprises(
    logits: Float[Tensor, "*rows V"], targets: Int[Tensor, "*rows"]
) -> Float[Tensor, "*rows"]:
    """Return -log p of each target, in nats; `cross_entropy` is the mean of these."""
    return -log_softmax(logits, dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def cross_entropy_gradient(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]
) -> Float[Tensor, "N V"]:
    """Return d cross_entropy / d logits = (p - onehot(target)) / N."""
    gradient = stable_softmax(logits, dim=-1)
    rows = torch.arange(len(targets), device=logits.device)
    gradient[rows, targets] -= 1.0
    return gradient / len(targets)


class SoftmaxState(NamedTuple):
    """What softmax needs to know about the scores seen so far: two numbers for each row."""

    maximum: Tensor
    total: Tensor  # sum of exp(score - maximum)


def merge_states(a: SoftmaxState, b: SoftmaxState) -> SoftmaxState:
    """Return the state of both blocks of scores together; the order does not matter."""
    maximum = torch.maximum(a.maximum, b.maximum)
    # For two empty blocks -inf - -inf is nan; their totals are 0, so any finite shift will do.
    shift = torch.where(maximum.isfinite(), maximum, 0.0)
    total = a.total * (a.maximum - shift).exp() + b.total * (b.maximum - shift).exp()
    return SoftmaxState(maximum, total)


def online_state(x: Float[Tensor, "*rows V"]) -> SoftmaxState:
    """Return the state of the scores along the last axis, reading each of them once."""
    state = SoftmaxState(torch.full_like(x[..., 0], -torch.inf), torch.zeros_like(x[..., 0]))
    for score in x.unbind(-1):
        state = merge_states(state, SoftmaxState(score, torch.ones_like(score)))
    return state


def softmax_from_state(
    x: Float[Tensor, "*rows V"], state: SoftmaxState
) -> Float[Tensor, "*rows V"]:
    """Return the probabilities of scores `x`, given the state of their whole row."""
    return (x - state.maximum.unsqueeze(-1)).exp() / state.total.unsqueeze(-1)


def logits_bytes(tokens: int, vocabulary: int, bytes_per_number: int = 4) -> int:
    """Return the memory of one score for each token of a batch and each token of the vocabulary."""
    return tokens * vocabulary * bytes_per_number


def chunked_cross_entropy(
    hidden: Float[Tensor, "N C"],
    table: Float[Tensor, "V C"],
    targets: Int[Tensor, " N"],
    chunk: int,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of logits `hidden @ table.T`, never making all N x V of them.

    Autograd would keep every chunk for the backward pass: use this to evaluate.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1 token; got {chunk}. Try 8192.")
    state = SoftmaxState(hidden.new_full((len(hidden),), -torch.inf), hidden.new_zeros(len(hidden)))
    for rows in table.split(chunk):
        logits = hidden @ rows.T  # (N, chunk)
        largest = logits.amax(-1)
        total = (logits - largest.unsqueeze(-1)).exp_().sum(-1)
        state = merge_states(state, SoftmaxState(largest, total))
    at_target = (hidden * table[targets]).sum(-1)
    return (state.maximum + state.total.log() - at_target).mean()
