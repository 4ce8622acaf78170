"""Formats: floats of few bits beside torch's casts, NF4 beside bitsandbytes, packed bytes."""

import warnings

import pytest
import torch

from course_lib import compression
from course_lib.compression.number_formats import format_named
from course_lib.device import seeded

CASTS = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "E4M3": torch.float8_e4m3fn,
    "E5M2": torch.float8_e5m2,
}


@pytest.mark.parametrize("name", CASTS)
def test_rounding_is_torchs_cast(name):
    x = torch.randn(4000, generator=seeded(0)) * torch.logspace(-9, 4, 4000)
    largest = format_named(name).largest
    x = x.clamp(-largest, largest)
    assert torch.equal(compression.round_to_format(x, name), x.to(CASTS[name]).float())


def test_ties_go_to_even_and_too_large_becomes_the_largest():
    x = torch.tensor([2.5, 3.5, 5.0, 100.0, -100.0, 0.25, 0.0])
    assert compression.round_to_format(x, "E2M1").tolist() == [2.0, 4.0, 4.0, 6.0, -6.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["E4M3", "E5M2"])
def test_all_numbers_of_a_format_are_torchs(name):
    codes = torch.arange(256, dtype=torch.uint8).view(CASTS[name]).double()
    finite = codes[torch.isfinite(codes) & ~torch.signbit(codes)]
    assert torch.equal(compression.format_values(name), finite.sort().values)


def test_e2m1_is_the_list_in_its_standard():
    assert compression.format_values("E2M1").tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    with pytest.raises(ValueError, match="E3M0"):
        format_named("E3M0")
    with pytest.raises(ValueError, match="float16"):
        compression.format_values("float16")


def test_the_table_follows_from_its_definition():
    made = torch.tensor(compression.normal_quantiles())
    torch.testing.assert_close(made, torch.tensor(compression.NF4_TABLE), atol=2e-4, rtol=0)


@pytest.mark.parametrize("block", [32, 64, 128])
def test_nf4_is_bit_equal_to_bitsandbytes(block):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functional = pytest.importorskip(
            "bitsandbytes.functional",
            reason="bitsandbytes is not installed: pip install llm-insides[test]",
        )
        x = torch.randn(6, 128, generator=seeded(block)) * torch.logspace(-4, 2, 6)[:, None]
        x[0, 5] = 0.0
        packed, state = functional.quantize_4bit(x, blocksize=block, quant_type="nf4")
        theirs = functional.dequantize_4bit(packed, state)
    codes, absmax = compression.nf4_quantise(x.unflatten(1, (-1, block)))
    assert torch.equal(compression.nf4_dequantise(codes, absmax).flatten(1), theirs)
    assert torch.equal(compression.pack(codes.flatten(1), 4).flatten(), packed.flatten())
    stored = compression.quantise(x, compression.Scheme(4, block, "nf4"))
    assert torch.equal(stored.dequantised(), theirs)
    assert torch.equal(stored.packed.flatten(), packed.flatten())


def test_nearest_entry_is_the_nearest():
    table = torch.tensor(compression.NF4_TABLE)
    x = torch.rand(300, generator=seeded(3)) * 2.4 - 1.2
    best = (x[:, None] - table).abs().argmin(-1)
    assert torch.equal(compression.nearest_entry(x, table).long(), best)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("count", [1, 7, 8, 24])
def test_packing_is_the_bits_one_after_another(bits, count):
    codes = torch.randint(0, 2**bits, (2, count), generator=seeded(count), dtype=torch.uint8)
    packed = compression.pack(codes, bits)
    for row, own in zip(codes.tolist(), packed.tolist(), strict=True):
        text = "".join(f"{code:0{bits}b}" for code in row)
        text += "0" * (-len(text) % 8)
        assert own == [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
    assert torch.equal(compression.unpack(packed, bits, count), codes)
    assert packed.shape[1] == compression.packed_bytes(count, bits)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="take 4 bytes; got 3"):
        compression.unpack(torch.zeros(3, dtype=torch.uint8), 4, 8)
