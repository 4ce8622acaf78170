"""GPTQ: round one column after another, and let the columns that follow correct the error.

Rounding each weight to its nearest code is best for the weights, and not for what the layer puts
out. If inputs j and k are usually large together, an error in column j can be made good in column
k. Given that a column has been rounded, the best change of all later columns has a closed form:

    error = (w_j − q_j) / U_jj        W[:, j+1:] −= error · U[j, j+1:]        Uᵀ U = (XᵀX)⁻¹

where U is upper triangular: its row j is, up to a factor, the first row of the inverse of XᵀX
restricted to the columns from j on.

Taught in:        compression
Paper:            Frantar et al. 2022, arXiv:2210.17323; Hassibi & Stork 1993 (brain surgeon)
Checked against:  the definition: after each column, least squares for all later ones
Shapes:           O outputs, I inputs
"""

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.compression.integers import require_finite
from course_lib.compression.packing import pack
from course_lib.compression.tensors import (
    QuantisedTensor,
    Scales,
    Scheme,
    choose_scales,
    decode,
    encode,
)


def inverse_factor(gram: Float[Tensor, "I I"], damping: float = 0.01) -> Float[Tensor, "I I"]:
    """Return the upper triangular U with Uᵀ U = (gram + damping · mean diagonal)⁻¹, in float64.

    The damping keeps the inverse finite where inputs hardly vary.
    """
    require_finite(gram, "the products of inputs")
    wide = gram.double()
    mean = wide.diagonal().mean()
    damped = wide + damping * mean * torch.eye(len(wide), dtype=wide.dtype, device=wide.device)
    factor, info = torch.linalg.cholesky_ex(damped)
    if int(info):
        raise ValueError(
            f"XᵀX must be positive definite; got one that is not, with damping {damping}. Use more "
            "calibration text, or a larger damping."
        )
    return torch.linalg.cholesky(torch.cholesky_inverse(factor), upper=True)


def corrected(
    weight: Float[Tensor, "O I"],
    rounded: Float[Tensor, " O"],
    upper: Float[Tensor, "I I"],
    column: int,
) -> Float[Tensor, "O J"]:
    """Return the columns after `column`, corrected for the error that rounding it has made."""
    error = (weight[:, column] - rounded) / upper[column, column]
    return weight[:, column + 1 :] - error[:, None] * upper[column, column + 1 :]


@torch.no_grad()
def gptq(
    weight: Float[Tensor, "O I"],
    gram: Float[Tensor, "I I"],
    scheme: Scheme,
    damping: float = 0.01,
) -> QuantisedTensor:
    """Return a matrix in few bits whose outputs, for such inputs, are close to the original's.

    The scales of a group are chosen when its first column is reached, from the corrected weights.
    """
    require_finite(weight)
    work, upper = weight.double().clone(), inverse_factor(gram, damping)
    inputs = work.shape[1]
    width = scheme.group_width(inputs)
    shared = choose_scales(work, scheme)
    codes = torch.empty(work.shape, dtype=torch.uint8, device=work.device)
    groups: list[Scales] = []
    for column in range(inputs):
        if column % width == 0:
            own = Scheme(scheme.bits, "channel", scheme.kind)
            part = work[:, column : column + width]
            groups.append(shared if scheme.group == "tensor" else choose_scales(part, own))
        one = work[:, column : column + 1]
        codes[:, column : column + 1] = encode(one, groups[-1], scheme)
        rounded = decode(codes[:, column : column + 1], groups[-1], scheme)[:, 0].double()
        work[:, column + 1 :] = corrected(work, rounded, upper, column)
        work[:, column] = rounded
    return QuantisedTensor(pack(codes, scheme.bits), _together(groups), inputs, scheme)


def _together(groups: list[Scales]) -> Scales:
    """Return the scales of all groups side by side."""
    zeros = [each.zero for each in groups if each.zero is not None]
    scale = torch.cat([each.scale for each in groups], dim=1)
    return Scales(scale, torch.cat(zeros, dim=1) if zeros else None)
