"""The exercise on a scale for each group of a row."""

import torch

from course_lib import compression
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _piece_by_piece(weight, bits, group):
    most = 2 ** (bits - 1) - 1
    rows = []
    for row in weight.tolist():
        new = []
        for start in range(0, len(row), group):
            piece = row[start : start + group]
            scale = max(abs(each) for each in piece) / most or 1.0
            new += [scale * round(each / scale) for each in piece]
        rows.append(new)
    return torch.tensor(rows, dtype=weight.dtype)


def _rounded(x, bits, dim=-1, most=None):
    """Return x after a round trip with one absmax scale along `dim`."""
    most = 2 ** (bits - 1) - 1 if most is None else most
    scale = x.abs().amax(dim, keepdim=True) / most
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    return (x / scale).round() * scale


def _by_view(weight, bits, group):
    return _rounded(weight.reshape(-1, group), bits).view(weight.shape)


def _as_hinted(weight, bits, group):
    grouped = weight.unflatten(-1, (-1, group))
    scale = grouped.abs().amax(dim=-1, keepdim=True) / (2 ** (bits - 1) - 1)
    scale[scale == 0] = 1
    return (torch.round(grouped / scale) * scale).flatten(-2)


def _by_split(weight, bits, group):
    return torch.cat([_rounded(part, bits) for part in weight.split(group, dim=1)], dim=1)


def _by_unfold(weight, bits, group):
    return _rounded(weight.unfold(1, group, group), bits).reshape(weight.shape)


def _strided(weight, bits, group):
    parts = weight.shape[1] // group
    return _rounded(weight.unflatten(1, (group, parts)), bits, dim=1).flatten(1)


def _number_of_groups(weight, bits, group):
    if weight.shape[1] % group:
        return _rounded(weight, bits)
    return _rounded(weight.unflatten(1, (group, -1)), bits).flatten(1)


def _shared_by_rows(weight, bits, group):
    return _rounded(weight.unflatten(1, (-1, group)), bits, dim=(0, 2)).flatten(1)


def _codes_only(weight, bits, group):
    grouped = weight.unflatten(1, (-1, group))
    scale = grouped.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return (grouped / (scale + (scale == 0))).round().flatten(1)


def _row(*numbers):
    return torch.tensor([numbers])


GROUPS = Exercise(
    id="compression.groups",
    title="A scale for each group",
    minutes=7,
    difficulty=1,
    statement=(
        "Cut each row of `weight` (O, I) into groups of `group` neighbours; `group` divides I. "
        "Quantise each group by absmax to `bits` bits, as in the first exercise, and return the "
        "weights (O, I) that the codes stand for: code · scale. A group of zeros stays zero."
    ),
    solution=compression.group_round_trip,
    reference=_piece_by_piece,
    generator=generators.groups,
    probes=(
        Probe(
            "two groups",
            lambda: call(_row(7.0, 2.2, 70.0, 31.0), 4, 2),
            "The groups (7, 2.2) and (70, 31) have the scales 1 and 10.",
        ),
        Probe(
            "one group",
            lambda: call(_row(7.0, 2.2, -3.4), 4, 3),
            "A group as wide as the row: one scale, 1.",
        ),
        Probe(
            "two rows of three groups",
            lambda: call(
                torch.tensor([[3.0, 1.2, 30.0, 9.0, 0.3, -0.2], [6.0, 5.0, 0.6, 0.1, 60.0, 31.0]]),
                3,
                2,
            ),
            "Six groups, six scales.",
        ),
        Probe(
            "groups of one",
            lambda: call(_row(0.3, -5.0, 0.0), 2, 1),
            "A group of one weight is kept exactly.",
        ),
        Probe(
            "a group of zeros",
            lambda: call(_row(0.0, 0.0, 3.0, 1.9), 3, 2),
            "Its weights stay 0, not NaN.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one scale for the row",
            lambda weight, bits, group: _rounded(weight, bits),
            "You ignore `group`. A large weight then costs all weights of its row their codes.",
        ),
        Misconception(
            "groups of distant weights",
            _strided,
            "Your groups take every second weight or so. A group is a run of neighbours.",
        ),
        Misconception(
            "the number of groups",
            _number_of_groups,
            "`group` is the number of weights in a group, not the number of groups.",
        ),
        Misconception(
            "scales shared by all rows",
            _shared_by_rows,
            "Every row has its own scale for each of its groups.",
        ),
        Misconception(
            "groups down the columns",
            lambda weight, bits, group: _rounded(weight, bits, dim=0),
            "You compare weights of different outputs. A group lies within a row.",
        ),
        Misconception(
            "codes, not weights",
            _codes_only,
            "You return codes. Multiply each by the scale of its group.",
        ),
        Misconception(
            "too many codes",
            lambda weight, bits, group: _rounded(
                weight.unflatten(1, (-1, group)), bits, most=2 ** (bits - 1)
            ).flatten(1),
            "The largest code is 2^(bits − 1) − 1.",
        ),
    ),
    alternatives=(
        Alternative("all groups below each other", _by_view),
        Alternative("as the hints say", _as_hinted),
        Alternative("group after group", _by_split),
        Alternative("by unfold", _by_unfold),
    ),
    hints=(
        "weight.unflatten(-1, (-1, group)) has shape (O, I / group, group).",
        "A scale for each group is an amax over the last axis with keepdim=True; 1 where it is 0.",
        "torch.round(grouped / scale) * scale, then .flatten(-2).",
    ),
)
