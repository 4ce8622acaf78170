"""The exercise on symmetric integers with one scale for each row."""

import torch

from course_lib import compression
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _with(x, divisor, codes_of, size=None, zeros=1.0):
    """Return codes and scales by the given parts of a formula."""
    size = x.abs().amax(-1, keepdim=True) if size is None else size
    scale = size / divisor
    scale = torch.where(scale == 0, torch.full_like(scale, zeros), scale)
    return codes_of(x / scale), scale


def _row_by_row(x, bits):
    most = 2 ** (bits - 1) - 1
    codes, scales = [], []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        size = max(abs(each) for each in row) / most or 1.0
        codes.append([min(most, max(-most, round(each / size))) for each in row])
        scales.append([size])
    scale = torch.tensor(scales, dtype=x.dtype).view(*x.shape[:-1], 1)
    return torch.tensor(codes).view(x.shape), scale


def _plain(x, bits):
    return _with(x, 2 ** (bits - 1) - 1, torch.round)


def _as_hinted(x, bits):
    most = 2 ** (bits - 1) - 1
    scale = x.abs().amax(dim=-1, keepdim=True) / most
    scale[scale == 0] = 1
    return torch.round(x / scale).to(torch.int8), scale


def _by_norm(x, bits):
    size = torch.linalg.vector_norm(x, ord=float("inf"), dim=-1, keepdim=True)
    scale = (size / (2 ** (bits - 1) - 1)).masked_fill(size == 0, 1)
    return (x / scale).round().long(), scale


def _by_extremes(x, bits):
    size = torch.maximum(x.amax(-1), -x.amin(-1)).unsqueeze(-1)
    return _with(x, 2 ** (bits - 1) - 1, torch.round, size)


def _half_up(scaled):
    return (scaled + 0.5).floor()


ABSMAX = Exercise(
    id="compression.absmax",
    title="Integers and a scale",
    minutes=8,
    difficulty=1,
    statement=(
        "Quantise each row (the last axis) of `x` (..., I) to symmetric integers of `bits` bits, "
        "2 to 8. The scale of a row is its largest magnitude divided by 2^(bits − 1) − 1; a row "
        "of zeros has the scale 1. A code is x / scale, rounded as torch.round does. Return the "
        "codes, in the shape of `x`, and the scales (..., 1), as a pair."
    ),
    solution=compression.absmax_quantise,
    reference=_row_by_row,
    generator=generators.absmax,
    probes=(
        Probe(
            "a row of four bits",
            lambda: call(torch.tensor([[7.0, -3.0, 1.2]]), 4),
            "7 / 7 = 1: the scale is 1, and the codes are 7, −3 and 1.",
        ),
        Probe(
            "the largest is negative",
            lambda: call(torch.tensor([[0.44, -1.4, 0.66]]), 4),
            "The largest magnitude counts: 1.4.",
        ),
        Probe(
            "several rows",
            lambda: call(torch.tensor([[0.12, 0.2], [5.2, 10.0], [-300.0, 0.0]]), 8),
            "Every row has a scale of its own.",
        ),
        Probe(
            "a half",
            lambda: call(torch.tensor([[7.0, 2.5, 3.5, -2.5]]), 4),
            "torch.round takes halves to the even neighbour: 2, 4, −2.",
        ),
        Probe(
            "three axes", lambda: call(uneven(2, 3, 4).round() * 2, 3), "The last axis is a row."
        ),
        Probe(
            "a row of zeros",
            lambda: call(torch.tensor([[0.0, 0.0], [1.0, 127.0]]), 8),
            "Zeros have the codes 0 and the scale 1, not NaN.",
        ),
        Probe(
            "a row of tiny numbers",
            lambda: call(torch.tensor([[7e-7, -3e-7, 1.2e-7]]), 4),
            "The scale is 1e-7: only a row of zeros has the scale 1.",
        ),
    ),
    misconceptions=(
        Misconception(
            "divided by 2^(bits − 1)",
            lambda x, bits: _with(x, 2 ** (bits - 1), torch.round),
            "With 8 bits the largest weight would become 128, which no signed byte can hold. "
            "Divide by 2^(bits − 1) − 1.",
        ),
        Misconception(
            "all patterns for one side",
            lambda x, bits: _with(x, 2**bits - 1, torch.round),
            "2^bits − 1 is the largest code without a sign. Half of the codes are negative.",
        ),
        Misconception(
            "one scale for all rows",
            lambda x, bits: (
                _with(x, 2 ** (bits - 1) - 1, torch.round, x.abs().amax())[0],
                (x.abs().amax() / (2 ** (bits - 1) - 1)).expand(*x.shape[:-1], 1),
            ),
            "You take the largest magnitude of the whole tensor. Each row has its own.",
        ),
        Misconception(
            "the largest, not the largest magnitude",
            lambda x, bits: _with(x, 2 ** (bits - 1) - 1, torch.round, x.amax(-1, keepdim=True)),
            "A row may have its largest magnitude at a negative number: take x.abs() first.",
        ),
        Misconception(
            "cut off, not rounded",
            lambda x, bits: _with(x, 2 ** (bits - 1) - 1, torch.trunc),
            "Converting to integers cuts the fraction off, which doubles the error. Round first.",
        ),
        Misconception(
            "halves up",
            lambda x, bits: _with(x, 2 ** (bits - 1) - 1, _half_up),
            "floor(x + 0.5) takes every half upwards. Use torch.round.",
        ),
        Misconception(
            "tiny numbers taken for zeros",
            lambda x, bits: _with(
                x,
                2 ** (bits - 1) - 1,
                torch.round,
                (x.abs() * (x.abs().amax(-1, keepdim=True) > 1e-5)).amax(-1, keepdim=True),
            ),
            "A threshold such as 1e-5 gives a row of small numbers the scale 1, and all its codes "
            "become 0. Compare with 0 itself.",
        ),
        Misconception(
            "a scale of zero",
            lambda x, bits: _with(x, 2 ** (bits - 1) - 1, torch.round, zeros=0.0),
            "A row of zeros has the scale 0 then, and 0 / 0 is NaN. Use 1 for it.",
        ),
        Misconception(
            "the inverse scale",
            lambda x, bits: (_plain(x, bits)[0], 1 / _plain(x, bits)[1]),
            "Codes times the scale must give x again: return the scale that you divided by.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by a norm", _by_norm),
        Alternative("by both extremes", _by_extremes),
    ),
    hints=(
        "The largest code is 2 ** (bits - 1) - 1.",
        "scale = x.abs().amax(dim=-1, keepdim=True) / largest, and scale[scale == 0] = 1.",
        "Codes are torch.round(x / scale).",
    ),
)
