"""A linear layer for generation on a CPU: few rows are multiplied by a compiled program.

PyTorch's product of a single row is fast in float32 if the weights are stored for it, and needs a
second copy of them while they are rearranged. In bfloat16 only recent processors multiply at all;
on others PyTorch's products take up to ten times as long as in float32, the more rows the worse.
This layer leaves weights as they are stored, computes in float32 and rounds the result once:

    few rows     a compiled program (`compiled_products`)
    many rows    PyTorch's product; where bfloat16 is slow, a part of the matrix is widened at a
                 time, and multiplied in float32

Taught in:        generation
Checked against:  nn.Linear with the same weights, in float32 and in bfloat16
Shapes:           O outputs, I inputs
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.device import multiplies_fast
from course_lib.model.compiled_products import (
    FEW_ROWS,
    KINDS,
    Matrix,
    as_matrix,
    can_multiply,
    compiled_products,
)
from course_lib.model.weight_layout import stored_to_multiply

FEWEST = 2  # where nothing can be compiled: rows up to which PyTorch's own product is faster
PART = 4096  # outputs whose weights are widened at once: 16 MB at a width of 1024
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}


class CPULinear(nn.Linear):
    """`nn.Linear` for generation on a CPU; for training or on a GPU it is exactly that."""

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Multiply by the weight and add the bias."""
        return cpu_linear(x, self.weight, self.bias)

    def compiled_matrix(self) -> Matrix | None:
        """Return the weight as the compiled program reads it, or None if it cannot."""
        return compiled_matrix(self.weight)


def cpu_linear(
    x: Float[Tensor, "*lead I"], weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None
) -> Float[Tensor, "*lead O"]:
    """Return what `F.linear` returns, up to rounding, and faster where few rows are generated."""
    if x.dtype != weight.dtype or x.dtype not in NAMES or not can_multiply(weight, x, bias):
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    matrix = compiled_matrix(weight) if len(rows) <= FEW_ROWS else None
    program = None if matrix is None else compiled_products()
    if matrix is not None and program is not None:
        y = program.multiply(matrix, rows.float())
    elif needs_widening(weight) and len(rows) > FEWEST:
        y = _in_parts(weight.detach(), rows.float())
    else:
        return F.linear(x, weight, bias)
    if bias is not None:
        y += bias.detach()
    return y.to(x.dtype).view(*x.shape[:-1], len(weight))


def compiled_matrix(weight: Float[Tensor, "O I"]) -> Matrix | None:
    """Return a weight as the compiled program reads it, or None if it cannot."""
    weight = weight.detach()
    fits = weight.is_contiguous() and can_be_compiled(weight)
    return as_matrix(NAMES[weight.dtype], weight) if fits else None


def can_be_compiled(weight: Tensor) -> bool:
    """Whether the compiled program has products for such a weight, once it is contiguous."""
    kind = NAMES.get(weight.dtype)
    return (
        kind is not None
        and weight.device.type == "cpu"
        and weight.shape[1] % KINDS[kind].at_once == 0
        and compiled_products() is not None
    )


def stored_for_few_rows(weight: Float[Tensor, "O I"]) -> Float[Tensor, "O I"]:
    """Return the same weight, stored as `cpu_linear` multiplies it fastest by few rows."""
    return weight.contiguous() if can_be_compiled(weight) else stored_to_multiply(weight)


def _in_parts(weight: Tensor, rows: Tensor) -> Tensor:
    parts = [F.linear(rows, part.float()) for part in weight.split(PART)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def needs_widening(weight: Tensor) -> bool:
    """Whether this weight is in bfloat16 on a processor that multiplies it slowly."""
    return (
        weight.dtype == torch.bfloat16
        and weight.device.type == "cpu"
        and not multiplies_fast(torch.bfloat16)
    )
