"""Pruning: weights that are set to zero, by size, by effect, or two of every four.

The smallest weights are not those that matter least: a small weight on a large input can matter
more than a large one on a small input (Wanda). SparseGPT also corrects the weights that stay, with
GPTQ's column step. Hardware multiplies faster only for patterns, such as two zeros in every four.

    magnitude  |w|             Wanda  |w_oj| · |x_j|₂             SparseGPT  (w_oj / U_jj)²

Taught in:        compression
Paper:            Sun et al. 2023, arXiv:2306.11695 (Wanda); Frantar & Alistarh 2023,
                  arXiv:2301.00774; Mishra et al. 2021, arXiv:2104.08378 (2:4)
Checked against:  sorting by hand; least squares for the weights that stay
Shapes:           O outputs, I inputs; True where a weight stays
"""

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from course_lib.compression.gptq import corrected, inverse_factor
from course_lib.compression.integers import require_finite


def kept_mask(scores: Float[Tensor, "O I"], sparsity: float) -> Bool[Tensor, "O I"]:
    """Return True for all but the floor(sparsity · I) lowest scores of each row.

    Of equal scores, the one further left goes first.
    """
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is the part that goes, from 0 to below 1; got {sparsity}.")
    require_finite(scores, "scores")
    count = int(sparsity * scores.shape[1])
    lowest = scores.argsort(dim=1, stable=True)[:, :count]
    return torch.ones_like(scores, dtype=torch.bool).scatter(1, lowest, False)


def magnitude_mask(weight: Float[Tensor, "O I"], sparsity: float) -> Bool[Tensor, "O I"]:
    """Return True for the largest weights of each row."""
    return kept_mask(weight.abs(), sparsity)


def wanda_mask(
    weight: Float[Tensor, "O I"], input_norm: Float[Tensor, " I"], sparsity: float
) -> Bool[Tensor, "O I"]:
    """Return True for the weights of each row with the largest product with their input."""
    return kept_mask(weight.abs() * input_norm, sparsity)


def two_four_mask(scores: Float[Tensor, "O I"]) -> Bool[Tensor, "O I"]:
    """Return True for the two highest scores in every four neighbours of a row.

    Of equal scores, the one further left stays.
    """
    if scores.shape[1] % 4:
        raise ValueError(
            f"2:4 takes whole fours of neighbours, so 4 must divide the width; got "
            f"{scores.shape[1]}. Leave such a layer dense."
        )
    fours = scores.unflatten(1, (-1, 4))
    best = fours.argsort(dim=-1, descending=True, stable=True)[..., :2]
    return torch.zeros_like(fours, dtype=torch.bool).scatter(-1, best, True).flatten(1)


@torch.no_grad()
def sparsegpt(
    weight: Float[Tensor, "O I"],
    gram: Float[Tensor, "I I"],
    sparsity: float | None = 0.5,
    damping: float = 0.01,
    block: int = 64,
) -> Float[Tensor, "O I"]:
    """Return pruned weights, those that stay corrected; `sparsity` None is 2:4.

    What goes is chosen block by block, from weights that have been corrected so far.
    """
    work, upper = weight.double().clone(), inverse_factor(gram, damping)
    inputs = work.shape[1]
    width = 4 if sparsity is None else min(block, inputs)
    kept = torch.ones_like(work, dtype=torch.bool)
    for column in range(inputs):
        if column % width == 0:
            part = slice(column, min(column + width, inputs))
            scores = (work[:, part] / upper.diagonal()[part]) ** 2
            kept[:, part] = (
                two_four_mask(scores) if sparsity is None else kept_mask(scores, sparsity)
            )
        left = work[:, column] * kept[:, column]
        work[:, column + 1 :] = corrected(work, left, upper, column)
        work[:, column] = left
    return work.to(weight.dtype)


def compress_two_four(
    weight: Float[Tensor, "O I"], mask: Bool[Tensor, "O I"]
) -> tuple[Float[Tensor, "O half"], UInt8[Tensor, "O half"]]:
    """Return the two weights of each four that stay, and the place of each among the four.

    A place takes 2 bits, so 16-bit weights take (16 + 2) / 2 = 9 bits each in the mean.
    """
    fours = mask.unflatten(1, (-1, 4))
    if bool((fours.sum(-1) != 2).any()):
        raise ValueError("two of every four weights must stay; got more or fewer in some.")
    places = fours.to(torch.uint8).argsort(dim=-1, descending=True, stable=True)[..., :2]
    values = weight.unflatten(1, (-1, 4)).gather(-1, places)
    return values.flatten(1), places.flatten(1).to(torch.uint8)


def expand_two_four(
    values: Float[Tensor, "O half"], places: UInt8[Tensor, "O half"]
) -> Float[Tensor, "O I"]:
    """Return the matrix with its zeros back in place."""
    pairs, where = values.unflatten(1, (-1, 2)), places.long().unflatten(1, (-1, 2))
    fours = values.new_zeros(*pairs.shape[:-1], 4)
    return fours.scatter(-1, where, pairs).flatten(1)
