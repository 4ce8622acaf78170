"""Greedy matching of token vectors, the idea of BERTScore.

    precision   each token of the candidate takes its most similar token of the reference; mean
    recall      each token of the reference takes its most similar token of the candidate; mean
    F1          2 P R / (P + R)

Similarity is the cosine. Nothing is aligned: several tokens may take the same one, and the order
plays no part beyond what the vectors themselves know of it.

Taught in:        evaluation
Paper:            Zhang et al. 2019, arXiv:1904.09675 (BERTScore)
Checked against:  bert-score, with the same encoder
Shapes:           A candidate tokens, B reference tokens, D width
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Match(NamedTuple):
    """Precision, recall and F1 of a greedy match."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def cosines(a: Float[Tensor, "A D"], b: Float[Tensor, "B D"]) -> Float[Tensor, "A B"]:
    """Return the cosine of every vector of `a` with every vector of `b`."""
    return torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T


def greedy_match(candidate: Float[Tensor, "A D"], reference: Float[Tensor, "B D"]) -> Match:
    """Return precision, recall and F1 of the best cosines."""
    if not len(candidate) or not len(reference):
        raise ValueError(
            f"both texts need at least one token vector; got {len(candidate)} and {len(reference)}."
        )
    similar = cosines(candidate, reference)
    precision, recall = similar.amax(1).mean(), similar.amax(0).mean()
    return Match(precision, recall, 2 * precision * recall / (precision + recall))
