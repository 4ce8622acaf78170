"""A linear layer with weights in bfloat16 that is fast on any CPU.

Only recent processors multiply bfloat16 themselves. On others PyTorch's products take up to ten
times as long as in float32, the more rows the worse. This layer stores bfloat16, computes in
float32 and rounds the result once:

    few rows     a compiled program widens weights in registers (`compiled_products`)
    many rows    a part of the matrix is widened at a time, and multiplied by PyTorch in float32

Taught in:        generation
Checked against:  nn.Linear with the same weights, in float32 and in bfloat16
Shapes:           O outputs, I inputs
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.device import multiplies_fast
from course_lib.model.compiled_products import FEW_ROWS, KINDS, can_multiply, compiled_products

FEWEST = 2  # where nothing can be compiled: rows up to which PyTorch's own product is faster
PART = 4096  # outputs whose weights are widened at once: 16 MB at a width of 1024


class HalfLinear(nn.Linear):
    """`nn.Linear` for generation on a CPU; in float32 or on a GPU it is exactly that."""

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Multiply by the weight and add the bias."""
        weight, bias = self.weight, self.bias
        if not x.dtype == weight.dtype == torch.bfloat16 or not can_multiply(weight, x, bias):
            return super().forward(x)
        rows, program = x.reshape(-1, self.in_features), compiled_products()
        if (
            program is not None
            and len(rows) <= FEW_ROWS
            and weight.shape[1] % KINDS["bfloat16"].at_once == 0
        ):
            y = program.bfloat16(weight.detach(), rows.float())
        elif len(rows) > FEWEST:
            y = _in_parts(weight.detach(), rows.float())
        else:
            return super().forward(x)
        if bias is not None:
            y += bias.detach()
        return y.to(x.dtype).view(*x.shape[:-1], self.out_features)


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
