"""NF4: sixteen numbers, placed where normally distributed weights are.

Weights of a trained layer look like draws from a normal distribution. NF4's numbers are its
quantiles, so that each is used about equally often, scaled to [−1, 1], with an exact 0. A block of
64 weights is divided by its largest one, and each weight becomes the index of the nearest number.

    code = argmin over k of |x / absmax − table[k]|        x ≈ absmax · table[code]

Taught in:        compression
Paper:            Dettmers et al. 2023, arXiv:2305.14314 (QLoRA)
Checked against:  bitsandbytes: quantize_4bit and dequantize_4bit, bit for bit
Shapes:           the last axis shares an absmax
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from course_lib.compression.integers import require_finite

NF4_TABLE = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
    -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The numbers of bitsandbytes, which are the paper's."""


def normal_quantiles(low: int = 8, high: int = 9, offset: float = 0.9677083) -> list[float]:
    """Return the table from its definition: quantiles of both halves, 0 once, divided by the most.

    `offset` is the probability of the last quantile; 1 would be infinitely far away.
    """
    upper = torch.linspace(offset, 0.5, high, dtype=torch.float64)[:-1]
    lower = torch.linspace(offset, 0.5, low, dtype=torch.float64)[:-1]
    positive, negative = (torch.special.ndtri(each) for each in (upper, lower))
    values = torch.cat((positive, positive.new_zeros(1), -negative)).sort().values
    return [float(each) for each in values / values.abs().max()]


def nearest_entry(
    x: Float[Tensor, "*shape"], table: Float[Tensor, " entries"]
) -> UInt8[Tensor, "*shape"]:
    """Return the index of the nearest number of an ascending table; in the middle the lower one."""
    middles = (table[1:] + table[:-1]) / 2
    return torch.bucketize(x.contiguous(), middles).to(torch.uint8)


def table_quantise(
    x: Float[Tensor, "*lead I"], table: Float[Tensor, " entries"]
) -> tuple[UInt8[Tensor, "*lead I"], Float[Tensor, "*lead 1"]]:
    """Return the nearest entry of each x / absmax, and the absmax of each row: max |x|.

    The table is ascending. A row of zeros has the absmax 0, and the entries nearest to 0.
    """
    require_finite(x)
    absmax = x.abs().amax(-1, keepdim=True)
    divisor = torch.where(absmax > 0, absmax, torch.ones_like(absmax))
    return nearest_entry(x * (1 / divisor), table.to(x.dtype)), absmax


def nf4_quantise(
    x: Float[Tensor, "*lead I"],
) -> tuple[UInt8[Tensor, "*lead I"], Float[Tensor, "*lead 1"]]:
    """Return the codes and the absmax of each row."""
    return table_quantise(x, x.new_tensor(NF4_TABLE))


def nf4_dequantise(
    codes: UInt8[Tensor, "*lead I"], absmax: Float[Tensor, "*lead 1"]
) -> Float[Tensor, "*lead I"]:
    """Return the numbers for which the codes stand."""
    return absmax * absmax.new_tensor(NF4_TABLE)[codes.long()]
