"""The exercise on codes that are places in a table, as in NF4."""

import torch

from course_lib import compression
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

SMALL = (-1.0, -0.3, 0.0, 0.2, 1.0)


def _row_by_row(x, table):
    entries, codes, sizes = table.tolist(), [], []
    for row in x.reshape(-1, x.shape[-1]).tolist():
        size = max(abs(each) for each in row)
        divided = [each / size if size else 0.0 for each in row]
        nearest = [
            min(range(len(entries)), key=lambda k, e=each: abs(entries[k] - e)) for each in divided
        ]
        codes.append(nearest)
        sizes.append([size])
    absmax = torch.tensor(sizes, dtype=x.dtype).view(*x.shape[:-1], 1)
    return torch.tensor(codes).view(x.shape), absmax


def _sizes(x):
    return x.abs().amax(-1, keepdim=True)


def _nearest(x, table):
    return (x.unsqueeze(-1) - table).abs().argmin(-1)


def _divided(x, size):
    return x / torch.where(size == 0, torch.ones_like(size), size)


def _as_hinted(x, table):
    absmax = x.abs().amax(dim=-1, keepdim=True)
    scaled = x / absmax.clamp(min=1e-30)
    return (scaled.unsqueeze(-1) - table).abs().argmin(dim=-1), absmax


def _by_middles(x, table):
    middles = (table[1:] + table[:-1]) / 2
    return torch.searchsorted(middles, _divided(x, _sizes(x)).contiguous()), _sizes(x)


def _by_counting(x, table):
    middles = (table[1:] + table[:-1]) / 2
    return (_divided(x, _sizes(x)).unsqueeze(-1) > middles).sum(-1), _sizes(x)


def _even_steps(x, table):
    top = len(table) - 1
    return ((_divided(x, _sizes(x)) + 1) / 2 * top).round().long(), _sizes(x)


def _entry_below(x, table):
    places = torch.searchsorted(table, _divided(x, _sizes(x)).contiguous(), right=True) - 1
    return places.clamp(min=0), _sizes(x)


def _table():
    return torch.tensor(SMALL)


TABLE = Exercise(
    id="compression.table",
    title="Look it up in a table",
    minutes=9,
    difficulty=2,
    statement=(
        "`table` holds ascending numbers from −1 to 1. Divide each row (the last axis) of `x` "
        "(..., I) by its largest magnitude, its absmax, and find for each number the nearest entry "
        "of the table. Return the indices of the entries, in the shape of `x`, and the absmax of "
        "each row, (..., 1). A row of zeros has the absmax 0 and the indices of the entry nearest "
        "to 0. No number is exactly in the middle between two entries."
    ),
    solution=compression.table_quantise,
    reference=_row_by_row,
    generator=generators.table,
    probes=(
        Probe(
            "already divided",
            lambda: call(torch.tensor([[1.0, -0.9, 0.05, 0.14]]), _table()),
            "The absmax is 1; the nearest entries are 1, −1, 0 and 0.2.",
        ),
        Probe(
            "divided by the absmax",
            lambda: call(torch.tensor([[10.0, -4.0, 1.9]]), _table()),
            "−4 / 10 is nearest to −0.3.",
        ),
        Probe(
            "the largest is negative",
            lambda: call(torch.tensor([[-10.0, 4.0, 7.0]]), _table()),
            "The absmax is 10, so −10 becomes −1.",
        ),
        Probe(
            "several rows",
            lambda: call(torch.tensor([[[2.0, 0.5]], [[-40.0, 13.0]]]), _table()),
            "Each row is divided by its own absmax.",
        ),
        Probe(
            "a row of zeros",
            lambda: call(torch.tensor([[0.0, 0.0], [3.0, -1.0]]), _table()),
            "0 / 0 is NaN: the row gets the entry 0.",
        ),
        Probe(
            "NF4's table",
            lambda: call(
                torch.tensor([[0.7, -0.6, 0.33, 0.1, -0.02, 0.2]]),
                torch.tensor(compression.NF4_TABLE),
            ),
            "Sixteen entries, close to each other near 0.",
        ),
    ),
    misconceptions=(
        Misconception(
            "not divided",
            lambda x, table: (_nearest(x, table), _sizes(x)),
            "The table reaches from −1 to 1. Divide each row by its absmax first.",
        ),
        Misconception(
            "divided by the largest, not the largest magnitude",
            lambda x, table: (
                _nearest(_divided(x, x.amax(-1, keepdim=True)), table),
                x.amax(-1, keepdim=True),
            ),
            "If the largest magnitude is that of a negative number, amax misses it.",
        ),
        Misconception(
            "even steps",
            _even_steps,
            "You assume that the entries are evenly spaced. NF4's are not: that is the point.",
        ),
        Misconception(
            "the entry below",
            _entry_below,
            "You take the last entry that is not larger. The next one may be nearer: compare with "
            "the middles between entries.",
        ),
        Misconception(
            "one absmax for all rows",
            lambda x, table: (
                _nearest(x / x.abs().max(), table),
                x.abs().max().expand(*x.shape[:-1], 1),
            ),
            "Each row has an absmax of its own.",
        ),
        Misconception(
            "entries, not indices",
            lambda x, table: (table[_nearest(_divided(x, _sizes(x)), table)], _sizes(x)),
            "You return the entries themselves. What is stored is their index, 4 bits for NF4.",
        ),
        Misconception(
            "divided by the length",
            lambda x, table: (
                _nearest(_divided(x, x.norm(dim=-1, keepdim=True)), table),
                x.norm(dim=-1, keepdim=True),
            ),
            "You divide by the root of the sum of squares. Then nothing comes near ±1.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by the middles", _by_middles),
        Alternative("by counting middles", _by_counting),
    ),
    hints=(
        "absmax = x.abs().amax(dim=-1, keepdim=True); keep the divisor away from 0.",
        "(scaled.unsqueeze(-1) - table).abs() has the distance to every entry.",
        "argmin over the last axis is the index.",
    ),
)
