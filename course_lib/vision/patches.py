"""Patches: how a picture becomes a row of vectors, and back.

A picture is cut into squares of P x P pixels, in reading order. A patch is flattened channel by
channel, so that a matrix on patches is a convolution whose kernel and stride are both P.

    patches[n, (c, i, j)] = picture[c, P * (n // columns) + i, P * (n % columns) + j]

Taught in:        multimodal
Paper:            Dosovitskiy et al. 2021, arXiv:2010.11929
Checked against:  torch.nn.functional.unfold, torch.nn.functional.conv2d
Shapes:           B pictures, 3 channels, H x W pixels, P side of a patch, N patches
"""

from jaxtyping import Float
from torch import Tensor


def patchify(pictures: Float[Tensor, "B channels H W"], patch: int) -> Float[Tensor, "B N width"]:
    """Return the patches of each picture in reading order, each flattened channel by channel."""
    batch, channels, height, width = pictures.shape
    _check_sides(height, width, patch)
    rows, columns = height // patch, width // patch
    cut = pictures.reshape(batch, channels, rows, patch, columns, patch)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * patch**2)


def unpatchify(
    patches: Float[Tensor, "B N width"], patch: int, height: int, width: int
) -> Float[Tensor, "B channels H W"]:
    """Return the pictures whose patches these are: the inverse of `patchify`."""
    _check_sides(height, width, patch)
    batch, number, flat = patches.shape
    rows, columns = height // patch, width // patch
    if number != rows * columns:
        raise ValueError(
            f"a picture of {height} x {width} has {rows * columns} patches of {patch} x {patch}; "
            f"got {number}."
        )
    cut = patches.reshape(batch, rows, columns, flat // patch**2, patch, patch)
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(batch, flat // patch**2, height, width)


def _check_sides(height: int, width: int, patch: int) -> None:
    if patch < 1 or height % patch or width % patch:
        raise ValueError(
            f"both sides of a picture must be multiples of the patch; got {height} x {width} "
            f"pixels and patches of {patch}. Resize or pad the picture first."
        )
