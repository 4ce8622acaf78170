"""The exercise on integers with a zero point."""

import torch

from course_lib import compression
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _row_by_row(x, bits):
    most = 2**bits - 1
    codes, scales, zeros = [], [], []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        low, high = min(0.0, *row), max(0.0, *row)
        scale = (high - low) / most or 1.0
        zero = round(-low / scale)
        codes.append([min(most, max(0, round(each / scale) + zero)) for each in row])
        scales.append([scale])
        zeros.append([zero])
    lead = (*x.shape[:-1], 1)
    scale = torch.tensor(scales, dtype=x.dtype).view(lead)
    return torch.tensor(codes).view(x.shape), scale, torch.tensor(zeros).view(lead)


def _with(x, bits, *, low=None, high=None, levels=None, zero_of=torch.round, sign=1, clamp=True):
    """Return codes, scale and zero point; a keyword changes one part of the right formula."""
    levels = 2**bits - 1 if levels is None else levels
    low = x.amin(-1, keepdim=True).clamp(max=0) if low is None else low
    high = x.amax(-1, keepdim=True).clamp(min=0) if high is None else high
    scale = (high - low) / levels
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = zero_of(-low / scale)
    codes = (x / scale).round() + sign * zero
    return codes.clamp(0, 2**bits - 1) if clamp else codes, scale, zero


def _whole(x, bits):
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    one = torch.ones_like(x[..., :1])
    return _with(x, bits, low=low * one, high=high * one)


def _as_hinted(x, bits):
    low = torch.clamp(x.amin(dim=-1, keepdim=True), max=0)
    high = torch.clamp(x.amax(dim=-1, keepdim=True), min=0)
    scale = (high - low) / (2**bits - 1)
    scale[scale == 0] = 1
    zero = torch.round(-low / scale)
    return (torch.round(x / scale) + zero).clamp(0, 2**bits - 1), scale, zero


def _with_a_zero_beside(x, bits):
    wide = torch.cat((x, torch.zeros_like(x[..., :1])), dim=-1)
    low, high = wide.aminmax(dim=-1, keepdim=True)
    return _with(x, bits, low=low, high=high)


def _by_relu(x, bits):
    high, low = x.relu().amax(-1, keepdim=True), (-x).relu().amax(-1, keepdim=True)
    scale = (high + low) / (2**bits - 1)
    scale = scale + (scale == 0)
    zero = (low / scale).round()
    return ((x / scale).round() + zero).clamp(0, 2**bits - 1).long(), scale, zero.long()


ZERO_POINT = Exercise(
    id="compression.zero_point",
    title="A zero point",
    minutes=10,
    difficulty=2,
    statement=(
        "Quantise each row (the last axis) of `x` (..., I) to codes from 0 to 2^bits − 1. `low` is "
        "the smallest number of the row or 0, whichever is smaller; `high` the largest or 0, "
        "whichever is larger. scale = (high − low) / (2^bits − 1), or 1 for a row of zeros; zero = "
        "round(−low / scale); code = round(x / scale) + zero, clamped to 0 … 2^bits − 1. Rounding "
        "is torch.round's. Return codes (..., I), scales (..., 1) and zero points (..., 1)."
    ),
    solution=compression.zero_point_quantise,
    reference=_row_by_row,
    generator=generators.zero_point,
    probes=(
        Probe(
            "two bits",
            lambda: call(torch.tensor([[-1.0, 0.0, 2.0]]), 2),
            "The range is 3 wide and has 4 codes: the scale is 1, the zero point 1.",
        ),
        Probe(
            "another range",
            lambda: call(torch.tensor([[-2.0, 13.0, 4.2]]), 4),
            "15 wide, 15 steps: the scale is 1, and −2 has the code 0.",
        ),
        Probe(
            "only positive numbers",
            lambda: call(torch.tensor([[5.0, 10.0, 15.0]]), 4),
            "The range begins at 0, so that 0 has a code: 5, 10, 15.",
        ),
        Probe(
            "only negative numbers",
            lambda: call(torch.tensor([[-3.0, -6.0]]), 2),
            "The range ends at 0: −6 has the code 0, and the zero point is 3.",
        ),
        Probe(
            "a zero point between two codes",
            lambda: call(torch.tensor([[-1.2, 1.8, 0.0, 0.9]]), 2),
            "−low / scale = 1.2 is rounded to 1, so that 0 has a code of its own.",
        ),
        Probe(
            "several rows",
            lambda: call(torch.tensor([[[0.0, 3.0], [-30.0, 0.0]]]), 2),
            "Each row has its own range.",
        ),
        Probe("zeros", lambda: call(torch.zeros(1, 3), 8), "The scale is 1, everything else 0."),
        Probe(
            "tiny numbers",
            lambda: call(torch.tensor([[-1e-7, 0.0, 2e-7]]), 2),
            "The scale is 1e-7: only a row of zeros has the scale 1.",
        ),
        Probe(
            "halves that meet",
            lambda: call(torch.tensor([[-3.5, 11.5]]), 4),
            "12 + 4 = 16 is beyond the last code 15: clamp.",
        ),
    ),
    misconceptions=(
        Misconception(
            "0 left out of the range",
            lambda x, bits: _with(
                x, bits, low=x.amin(-1, keepdim=True), high=x.amax(-1, keepdim=True)
            ),
            "If all numbers are positive, the range begins at the smallest, and 0 has no code. "
            "Extend the range to 0.",
        ),
        Misconception(
            "a zero point that is not whole",
            lambda x, bits: _with(x, bits, zero_of=lambda zero: zero),
            "The zero point is a code: round it, or 0 does not stay 0.",
        ),
        Misconception(
            "2^bits steps",
            lambda x, bits: _with(x, bits, levels=2**bits),
            "2^bits codes have 2^bits − 1 steps between them.",
        ),
        Misconception(
            "symmetric",
            lambda x, bits: _with(
                x, bits, low=-x.abs().amax(-1, keepdim=True), high=x.abs().amax(-1, keepdim=True)
            ),
            "You make the range symmetric. Then a row of positive numbers uses half of the codes.",
        ),
        Misconception(
            "the zero point subtracted",
            lambda x, bits: _with(x, bits, sign=-1),
            "The smallest number, low, must get the code 0: round(low / scale) + zero.",
        ),
        Misconception(
            "one range for all rows",
            _whole,
            "You take low and high of the whole tensor. Each row has its own.",
        ),
        Misconception(
            "not clamped",
            lambda x, bits: _with(x, bits, clamp=False),
            "Two roundings can add up: −3.5 … 11.5 with 4 bits leads to the code 16. Clamp.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("with a zero beside each row", _with_a_zero_beside),
        Alternative("by relu", _by_relu),
    ),
    hints=(
        "low = x.amin(dim=-1, keepdim=True), clamped to at most 0; high likewise to at least 0.",
        "scale = (high − low) / (2**bits − 1), 1 where it is 0; zero = torch.round(−low / scale).",
        "(torch.round(x / scale) + zero).clamp(0, 2**bits − 1).",
    ),
)
