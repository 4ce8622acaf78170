"""Measures of information: how surprising an outcome, a distribution, a model is.

A language model is judged by how little the next token surprises it. Surprise is the logarithm of
one over a probability; every figure of merit of this course is an average of it in some unit.

    self-information   I(x)     = -log p(x)
    entropy            H(p)     = -sum p log p
    cross-entropy      H(p, q)  = -sum p log q  = H(p) + KL(p, q)
    divergence         KL(p, q) =  sum p log (p / q)
    perplexity                  = exp(nats per token)
    bits per byte               = nats per token / ln 2 * tokens / bytes

The base of the logarithm is the unit: 2 gives bits, e gives nats. 0 log 0 counts as 0, its limit.
Half precision is computed in float32; float32 and float64 are kept, so that the functions also run
on devices without float64.

Taught in:        language_models
Paper:            Shannon 1948, "A Mathematical Theory of Communication"
Checked against:  torch.distributions, values worked out by hand
Shapes:           V outcomes; any number of batch dimensions before them
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def self_information(p: Float[Tensor, "*shape"], base: float = 2.0) -> Float[Tensor, "*shape"]:
    """Return -log p: the surprise at an outcome of probability p, infinite where p is 0."""
    p = _at_least_float32(p)
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(
            f"a probability must lie between 0 and 1; got values from {p.min().item():.4g} to "
            f"{p.max().item():.4g}. Pass probabilities, not counts, logits or log-probabilities."
        )
    return 0.0 - torch.log(p) / _unit(base)  # 0.0 - x rather than -x: certainty gives 0, not -0


def entropy(p: Float[Tensor, "*batch V"], base: float = 2.0) -> Float[Tensor, "*batch"]:
    """Return -sum p log p over the last dimension: the average surprise of drawing from p."""
    p = check_distribution(p, "p")
    return 0.0 - torch.xlogy(p, p).sum(-1) / _unit(base)


def cross_entropy(
    p: Float[Tensor, "*batch V"], q: Float[Tensor, "*batch V"], base: float = 2.0
) -> Float[Tensor, "*batch"]:
    """Return -sum p log q: the average surprise when p draws the outcomes and q predicts them.

    It is infinite where q rules out something that p lets happen.
    """
    p, q = check_distribution(p, "p"), check_distribution(q, "q")
    return 0.0 - torch.xlogy(p, q).sum(-1) / _unit(base)


def kl_divergence(
    p: Float[Tensor, "*batch V"], q: Float[Tensor, "*batch V"], base: float = 2.0
) -> Float[Tensor, "*batch"]:
    """Return sum p log (p / q): the surprise that q causes beyond the unavoidable entropy of p."""
    p, q = check_distribution(p, "p"), check_distribution(q, "q")
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1) / _unit(base)


def perplexity(nats_per_token: float) -> float:
    """Return exp(nats per token): the number of equally likely tokens that would puzzle as much."""
    if not nats_per_token >= 0:
        raise ValueError(
            f"nats_per_token is an average of -log p and cannot be negative; got {nats_per_token}. "
            "Pass the loss, not the mean log-probability."
        )
    return math.exp(nats_per_token) if nats_per_token < 709 else math.inf


def bits_per_byte(nats_per_token: float, tokens: int, byte_count: int) -> float:
    """Return the bits that a model spends on one byte of text: comparable across tokenizers.

    `tokens` counts the predictions that were scored, `byte_count` the bytes of text they cover.
    """
    for name, value in (("tokens", tokens), ("byte_count", byte_count)):
        if value < 1:
            raise ValueError(
                f"{name} must be at least 1; got {value}. Pass the length of the text that was "
                "scored, in tokens and in bytes of UTF-8."
            )
    return nats_per_token / math.log(2) * tokens / byte_count


def bits_per_byte_from_perplexity(perplexity: float, tokens: int, byte_count: int) -> float:
    """Return bits per byte for a model whose perplexity per token is given."""
    if not perplexity >= 1:
        raise ValueError(
            f"a perplexity is at least 1, that of a model which is always certain and right; got "
            f"{perplexity}. Pass exp(nats per token), not the loss itself."
        )
    return bits_per_byte(math.log(perplexity), tokens, byte_count)


def _unit(base: float) -> float:
    """Return the size of the unit of information in nats."""
    if not base > 1:
        raise ValueError(
            f"the base of a logarithm of information must be above 1; got {base}. "
            "Use 2.0 for bits, math.e for nats."
        )
    return math.log(base)


def _at_least_float32(p: Tensor) -> Tensor:
    return p.float() if p.dtype.itemsize < 4 else p


def check_distribution(p: Tensor, name: str) -> Tensor:
    """Return p in at least float32 once it is known to be non-negative and to sum to one."""
    tolerance = 1e-2 if p.dtype.itemsize < 4 else 1e-4
    p = _at_least_float32(p)
    if bool((p < 0).any()):
        raise ValueError(
            f"{name} must not be negative anywhere; got {p.min().item():.4g}. "
            "Pass probabilities, not logits or log-probabilities."
        )
    total = p.sum(-1)
    if not bool(((total - 1).abs() <= tolerance).all()):
        worst = total.flatten()[(total - 1).abs().flatten().argmax()].item()
        raise ValueError(
            f"{name} must sum to one over its last dimension; got a sum of {worst:.4g}. "
            f"Divide by the sum, or take the softmax of the scores."
        )
    return p
