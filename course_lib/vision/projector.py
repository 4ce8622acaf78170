"""The projector: from the width of the vision encoder to that of the language model.

Pixel shuffle first puts neighbouring patches side by side in one vector: a block of S x S patches
becomes one token of S² times the width. The language model then reads fewer tokens, and nothing
is thrown away.

    pixel_shuffle   (B, N, C) -> (B, N / S², S² C)
    projector       linear_2(gelu(linear_1(x)))

Taught in:        multimodal
Paper:            Liu et al. 2023, arXiv:2310.03744 (two layers); Shi et al. 2016,
                  arXiv:1609.05158 (pixel shuffle, in the other direction); Laurençon et al. 2024,
                  arXiv:2408.12637 (before a projector)
Checked against:  transformers' LLaVA projector and Idefics3's pixel shuffle
Shapes:           B pictures, N patches, C width
"""

import math

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def pixel_shuffle(patches: Float[Tensor, "B N C"], side: int) -> Float[Tensor, "B M wide"]:
    """Return one token for each block of side x side patches, in reading order.

    A token holds the patches of its block one after another, these in reading order too.
    """
    batch, number, width = patches.shape
    rows = math.isqrt(number)
    if rows**2 != number or side < 1 or rows % side:
        raise ValueError(
            "the patches must be a square grid whose side is a multiple of the block's; got "
            f"{number} patches and blocks of {side} x {side}. Leave the class token out."
        )
    grid = patches.reshape(batch, rows // side, side, rows // side, side, width)
    return grid.transpose(2, 3).reshape(batch, (rows // side) ** 2, side**2 * width)


class Projector(nn.Module):
    """Two layers with a GELU, named as in LLaVA; with `shuffle` above 1, a pixel shuffle before."""

    def __init__(self, width: int, text_width: int, shuffle: int = 1) -> None:
        super().__init__()
        self.shuffle = shuffle
        self.linear_1 = nn.Linear(width * shuffle**2, text_width)
        self.linear_2 = nn.Linear(text_width, text_width)

    def forward(self, patches: Float[Tensor, "B N C"]) -> Float[Tensor, "B M text_width"]:
        """Return the visual tokens of each picture."""
        projected: Tensor = self.linear_2(
            F.gelu(self.linear_1(pixel_shuffle(patches, self.shuffle)))
        )
        return projected
