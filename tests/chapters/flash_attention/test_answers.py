"""Tiled attention in its shortest form, beside attention over all scores at once."""

import pytest
import torch

from course_lib.attention import scaled_dot_product_attention
from course_lib.chapters.flash_attention.answers import attend_in_blocks
from course_lib.device import seeded


@pytest.mark.parametrize("blocks", [(1, 1), (4, 3), (20, 30)], ids=str)
def test_the_short_form_is_attention(blocks):
    q, k, v = (
        torch.randn(n, d, generator=seeded(n)).double() for n, d in ((9, 4), (13, 4), (13, 2))
    )
    expected = scaled_dot_product_attention(q, k, v)
    assert (attend_in_blocks(q, k, v, *blocks) - expected).abs().max() < 1e-14
