"""Whole numbers for real ones: absmax, zero point, and the error that is left.

A row of weights becomes small integers and one scale. With absmax the integers are symmetric, and
the largest weight gets the largest integer. With a zero point the range from the smallest to the
largest weight is used to the full, and 0 stays exactly 0.

    absmax       scale = max|x| / (2^(b−1) − 1)       code = round(x / scale)
    zero point   scale = (high − low) / (2^b − 1)     code = round(x / scale) + round(−low / scale)

Taught in:        compression
Paper:            Jacob et al. 2018, arXiv:1712.05877; Dettmers et al. 2022, arXiv:2208.07339
Checked against:  codes by hand, torch.fake_quantize_per_tensor_affine
Shapes:           the last axis shares a scale
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor


def require_bits(bits: int) -> None:
    """Raise an error for a number of bits that the packed formats here do not have."""
    if not 2 <= bits <= 8:
        raise ValueError(f"a code takes 2 to 8 bits; got {bits}. Common are 8, 4, 3 and 2.")


def require_finite(x: Tensor, what: str = "weights") -> None:
    """Raise an error where a number is not finite: one NaN would spoil the scale of its group."""
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"{what} must be finite to be quantised; got {int((~torch.isfinite(x)).sum())} that "
            "are NaN or infinite. Look for the layer from which they come."
        )


def largest_code(bits: int) -> int:
    """Return the largest integer of a symmetric range: 127 for 8 bits, 7 for 4."""
    require_bits(bits)
    return int(2 ** (bits - 1)) - 1


def absmax_quantise(
    x: Float[Tensor, "*lead I"], bits: int
) -> tuple[Integer[Tensor, "*lead I"], Float[Tensor, "*lead 1"]]:
    """Return symmetric codes and the scale of each row; a row of zeros has the scale 1."""
    require_finite(x)
    largest = largest_code(bits)
    scale = x.abs().amax(-1, keepdim=True) / largest
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = (x / scale).round().clamp(-largest, largest)
    return codes.to(torch.int8), scale


def zero_point_quantise(
    x: Float[Tensor, "*lead I"], bits: int
) -> tuple[Integer[Tensor, "*lead I"], Float[Tensor, "*lead 1"], Integer[Tensor, "*lead 1"]]:
    """Return codes from 0 to 2^bits − 1, the scale and the zero point of each row.

    The range always includes 0, so that a weight of 0 stays 0. A row of zeros has the scale 1.
    """
    require_bits(bits)
    require_finite(x)
    most = 2**bits - 1
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / most
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    zero = (-low / scale).round()
    codes = ((x / scale).round() + zero).clamp(0, most)
    return codes.to(torch.uint8), scale, zero.to(torch.uint8)


def dequantise(
    codes: Integer[Tensor, "*lead I"],
    scale: Float[Tensor, "*lead 1"],
    zero: Integer[Tensor, "*lead 1"] | None = None,
) -> Float[Tensor, "*lead I"]:
    """Return the numbers for which codes stand: scale · (code − zero)."""
    centred = codes.to(scale.dtype)
    return scale * (centred if zero is None else centred - zero.to(scale.dtype))


def group_round_trip(weight: Float[Tensor, "O I"], bits: int, group: int) -> Float[Tensor, "O I"]:
    """Return absmax-quantised weights as real numbers, a scale for each `group` in a row."""
    require_group(weight.shape[-1], group)
    grouped = weight.unflatten(-1, (-1, group))  # (O, I / group, group)
    return dequantise(*absmax_quantise(grouped, bits)).flatten(-2)


def require_group(width: int, group: int) -> None:
    """Raise an error where a row cannot be cut into whole groups."""
    if group < 1 or width % group:
        raise ValueError(
            f"a row is cut into whole groups, so the group must divide its width {width}; got "
            f"{group}. Take a divisor, such as {_divisor(width)}, or one scale per channel."
        )


def _divisor(width: int) -> int:
    return max(each for each in range(1, min(width, 64) + 1) if width % each == 0)


def relative_error(x: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> float:
    """Return the length of the difference, as a part of the length of x."""
    return ((x - other).norm() / x.norm()).item()
