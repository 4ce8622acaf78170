"""GGUF's blocks beside the gguf package: the same bytes, and the same numbers from them."""

import numpy as np
import pytest
import torch

from course_lib import compression
from course_lib.device import seeded


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_blocks_are_those_of_the_gguf_package(kind):
    gguf = pytest.importorskip(
        "gguf", reason="gguf is not installed: pip install llm-insides[test]"
    )
    x = torch.randn(5, 96, generator=seeded(0)) * torch.logspace(-3, 2, 5)[:, None]
    x[1, 32:64] = 0.0
    x[2, :32] = torch.arange(32) / 2 - 3  # many ties
    ours = compression.gguf_quantise(x, kind)
    theirs = gguf.quants.quantize(x.numpy(), gguf.GGMLQuantizationType[kind])
    assert np.array_equal(ours.numpy(), theirs)
    back = gguf.quants.dequantize(theirs, gguf.GGMLQuantizationType[kind])
    assert np.array_equal(compression.gguf_dequantise(ours, kind).numpy(), back)


def test_a_block_by_hand():
    x = torch.zeros(32)
    x[0], x[16] = -8.0, 4.0  # the largest has a negative sign: scale 1
    block = compression.gguf_quantise(x, "Q4_0")
    assert block[:2].view(torch.float16).item() == 1.0
    assert (int(block[2]) & 15, int(block[2]) >> 4) == (0, 12)
    assert torch.equal(compression.gguf_dequantise(block, "Q4_0"), x)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="Q5_1"):
        compression.gguf_quantise(torch.zeros(32), "Q5_1")
    with pytest.raises(ValueError, match="got 33"):
        compression.gguf_quantise(torch.zeros(33), "Q8_0")
    with pytest.raises(ValueError, match="34 bytes; got rows of 35"):
        compression.gguf_dequantise(torch.zeros(35, dtype=torch.uint8), "Q8_0")
