"""Low rank: a matrix as the product of two thin ones.

The best approximation of rank r keeps the r largest singular values; its squared error is the sum
of the squares of the others. That is best for the matrix. What is best for the outputs follows from
the singular values of the matrix times a root of XᵀX.

    W ≈ B A        B (O, r), A (r, I)        r (O + I) numbers in place of O · I

Taught in:        compression
Paper:            Eckart & Young 1936; Wang et al. 2024, arXiv:2403.07378 (SVD-LLM)
Checked against:  the discarded singular values; outputs for the inputs themselves
Shapes:           O outputs, I inputs, r rank
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression.gptq import inverse_factor


def low_rank_factors(
    weight: Float[Tensor, "O I"], rank: int, gram: Float[Tensor, "I I"] | None = None
) -> tuple[Float[Tensor, "O R"], Float[Tensor, "R I"]]:
    """Return B and A of this rank, best for the matrix, or with `gram` for the outputs."""
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(
            f"the rank is from 1 to {min(weight.shape)} for a matrix of shape "
            f"{tuple(weight.shape)}; got {rank}."
        )
    wide = weight.double()
    if gram is None:
        left, values, right = torch.linalg.svd(wide, full_matrices=False)
        back = right[:rank]
    else:
        upper = inverse_factor(gram)  # U⁻¹ U⁻ᵀ = XᵀX, so |W U⁻¹| is the length of the outputs
        left, values, right = torch.linalg.svd(
            torch.linalg.solve_triangular(upper, wide, upper=True, left=False), full_matrices=False
        )
        back = right[:rank] @ upper
    b = left[:, :rank] * values[:rank]
    return b.to(weight.dtype), back.to(weight.dtype)


def break_even_rank(outputs: int, inputs: int) -> int:
    """Return the largest rank whose two factors have fewer numbers than the matrix."""
    return (outputs * inputs - 1) // (outputs + inputs)
