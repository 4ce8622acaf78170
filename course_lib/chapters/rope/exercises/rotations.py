"""Exercises on rotating pairs of features: the layout of halves, and that of neighbours."""

import torch

from course_lib import rope
from course_lib.chapters.rope.exercises.generators import features_and_angles
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _turned_in_loops(x, cos, sin, places):
    """Rotate each plane with plain Python; `places(i, half)` names the two features of plane i."""
    out = x.clone()
    half = x.shape[-1] // 2
    cos, sin = (part.expand(*x.shape[:-1], half) for part in (cos, sin))
    for i in range(half):
        first, second = places(i, half)
        a, b = x[..., first].double(), x[..., second].double()
        c, s = cos[..., i].double(), sin[..., i].double()
        out[..., first] = (a * c - b * s).to(x.dtype)
        out[..., second] = (a * s + b * c).to(x.dtype)
    return out


def _halves(x, cos, sin):
    return _turned_in_loops(x, cos, sin, lambda i, half: (i, i + half))


def _neighbours(x, cos, sin):
    return _turned_in_loops(x, cos, sin, lambda i, half: (2 * i, 2 * i + 1))


def _from_halves(x):
    half = x.shape[-1] // 2
    return x[..., :half], x[..., half:]


def _from_neighbours(x):
    return x[..., 0::2], x[..., 1::2]


def _to_halves(a, b):
    return torch.cat((a, b), -1)


def _to_neighbours(a, b):
    return torch.stack((a, b), -1).flatten(-2)


def _right(a, b, cos, sin):
    return a * cos - b * sin, a * sin + b * cos


def _other_way(a, b, cos, sin):
    return a * cos + b * sin, b * cos - a * sin


def _minus_twice(a, b, cos, sin):
    return a * cos - b * sin, b * cos - a * sin


def _minus_never(a, b, cos, sin):
    return a * cos + b * sin, b * cos + a * sin


def _half_done(a, b, cos, sin):
    a = a * cos - b * sin
    return a, a * sin + b * cos


def _exchanged(a, b, cos, sin):
    return _right(a, b, sin, cos)


def _with(read, turn, write):
    def rotate(x, cos, sin):
        return write(*turn(*read(x), cos, sin))

    return rotate


def _tables_of_the_other_layout(read, write, spread):
    """Rotate pairs of one layout by cosines that were spread for the other layout."""

    def rotate(x, cos, sin):
        a, b = read(x)
        return x * spread(cos) + write(-b, a) * spread(sin)

    return rotate


def _by_matrices(read, write):
    """Rotate each plane by its own 2 x 2 matrix."""

    def rotate(x, cos, sin):
        rows = torch.stack((torch.stack((cos, -sin), -1), torch.stack((sin, cos), -1)), -2)
        turned = rows @ torch.stack(read(x), -1).unsqueeze(-1)
        return write(turned[..., 0, 0], turned[..., 1, 0])

    return rotate


def _doubled(part):
    return torch.cat((part, part), -1)


def _repeated(part):
    return part.repeat_interleave(2, -1)


def _turn(*angles):
    angle = torch.tensor(angles)
    return angle.cos(), angle.sin()


_QUARTER = 1.5707963267948966
_HEADS = uneven(3, 5)  # angles for three tokens and five planes

_PROBES = (
    Probe(
        "angle 0",
        lambda: call(uneven(1, 4), *_turn([0.0, 0.0])),
        "At the angle 0 nothing changes, and the order of features stays the same.",
    ),
    Probe(
        "one plane, a quarter turn",
        lambda: call(torch.tensor([[1.0, 2.0]]), *_turn([_QUARTER])),
        "(1, 2) becomes (−2, 1): a counterclockwise rotation, which keeps the length.",
    ),
    Probe(
        "one plane, any angle",
        lambda: call(torch.tensor([[1.0, 2.0]]), *_turn([0.7])),
        "Each new feature depends on both old ones.",
    ),
    Probe(
        "two planes, only the second rotates",
        lambda: call(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), *_turn([0.0, _QUARTER])),
        "The two features that change together show the layout.",
    ),
    Probe(
        "three tokens, five planes",
        lambda: call(uneven(3, 10), _HEADS.cos(), _HEADS.sin()),
        "Each token has its own angles, one for each plane.",
        gradient=True,
    ),
    Probe(
        "a batch with heads",
        lambda: call(uneven(2, 4, 3, 10), _HEADS.cos(), _HEADS.sin()),
        "All heads of all texts are rotated by the same angles.",
    ),
)

_MATRIX = (
    Misconception(
        "minus in both rows",
        _minus_twice,
        "Your matrix is [[cos, −sin], [−sin, cos]]. It is not a rotation: it changes lengths, "
        "and its determinant is cos² − sin². The second row is (sin, cos).",
    ),
    Misconception(
        "minus in no row",
        _minus_never,
        "Your matrix is [[cos, sin], [sin, cos]], which changes lengths. The first row is "
        "(cos, −sin): a · cos − b · sin.",
    ),
    Misconception(
        "rotated in the opposite direction",
        _other_way,
        "You rotate clockwise. That is consistent in itself, but checkpoints and caches use "
        "the opposite direction: the first feature becomes a · cos − b · sin.",
    ),
    Misconception(
        "the new first feature used for the second",
        _half_done,
        "You overwrote the first feature and then used the new value for the second. Both need "
        "the old values: compute both, then join them.",
    ),
    Misconception(
        "cosine and sine swapped",
        _exchanged,
        "At the angle 0, where the cosine is 1, nothing may change: a · cos − b · sin.",
    ),
)


def _matrix_mistakes(read, write):
    return tuple(
        Misconception(each.name, _with(read, each.function, write), each.explanation)
        for each in _MATRIX
    )


HALVES = Exercise(
    id="rope.halves",
    title="Rotate the halves",
    minutes=7,
    difficulty=2,
    statement=(
        "`x` is (…, T, D), `cos` and `sin` are (…, T, D/2) and broadcast over the leading "
        "axes. Plane i consists of the features i and i + D/2. Return x with each plane "
        "rotated by its angle. "
        "Gradients must flow through it."
    ),
    solution=rope.rotate_halves,
    reference=_halves,
    generator=features_and_angles,
    probes=_PROBES,
    misconceptions=(
        *_matrix_mistakes(_from_halves, _to_halves),
        Misconception(
            "neighbours paired",
            _with(_from_neighbours, _right, _to_neighbours),
            "You pair the features 2i and 2i + 1: the other layout. In Qwen's, plane i "
            "consists of the features i and i + D/2: x.chunk(2, dim=-1).",
        ),
        Misconception(
            "halves joined along the first axis",
            _with(_from_halves, _right, lambda a, b: torch.cat((a, b))),
            "torch.cat joins along the first axis by default. The features are the last axis: "
            "dim=-1.",
        ),
        Misconception(
            "even and odd features put into halves",
            _with(_from_neighbours, _right, _to_halves),
            "You read neighbours and write halves, so the order of features changes even at "
            "the angle 0. Read and write in the same layout.",
        ),
        Misconception(
            "cosines spread for the other layout",
            _tables_of_the_other_layout(_from_halves, _to_halves, _repeated),
            "You repeat each cosine twice in a row, as neighbours need it. In halves, the feature "
            "i + D/2 has the angle of feature i: torch.cat((cos, cos), -1).",
        ),
    ),
    alternatives=(
        Alternative(
            "as transformers writes it",
            _tables_of_the_other_layout(_from_halves, _to_halves, _doubled),
        ),
        Alternative("as the hints say", _with(_from_halves, _right, _to_halves)),
        Alternative("by matrices", _by_matrices(_from_halves, _to_halves)),
    ),
    hints=(
        "a, b = x.chunk(2, dim=-1) are the first and second features of all planes.",
        "A rotated plane is (a · cos − b · sin, a · sin + b · cos).",
        "torch.cat((…, …), dim=-1) joins the halves.",
    ),
)


def _complex_product(x, cos, sin):
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.complex(cos, sin)).flatten(-2)


NEIGHBOURS = Exercise(
    id="rope.neighbours",
    title="Rotate the neighbours",
    minutes=6,
    difficulty=2,
    statement=(
        "The same in the other layout: plane i consists of the features 2i and 2i + 1. `x` is "
        "(…, T, D), `cos` and `sin` are (…, T, D/2). Return x with each plane rotated by its "
        "angle, and the features in their original order. "
        "Gradients must flow through it."
    ),
    solution=rope.rotate_neighbours,
    reference=_neighbours,
    generator=features_and_angles,
    probes=_PROBES,
    misconceptions=(
        *_matrix_mistakes(_from_neighbours, _to_neighbours),
        Misconception(
            "halves paired",
            _with(_from_halves, _right, _to_halves),
            "You pair the features i and i + D/2: the layout of the previous exercise. Here "
            "neighbours form a plane: x[..., 0::2] and x[..., 1::2].",
        ),
        Misconception(
            "rotated evens and odds concatenated",
            _with(_from_neighbours, _right, _to_halves),
            "You rotated the right pairs, and then put all first features before all second "
            "ones. That is neither layout: even at the angle 0 the order of features changes. "
            "Interleave them again: torch.stack((…, …), dim=-1).flatten(-2).",
        ),
        Misconception(
            "cosines spread for the other layout",
            _tables_of_the_other_layout(_from_neighbours, _to_neighbours, _doubled),
            "You repeat the whole row of cosines, as halves need it. Here each cosine belongs "
            "to two neighbouring features: cos.repeat_interleave(2, dim=-1).",
        ),
        Misconception(
            "the two features of a plane swapped",
            _with(_from_neighbours, _right, lambda a, b: _to_neighbours(b, a)),
            "Within each plane you write the second feature first. At the angle 0 nothing may "
            "change.",
        ),
    ),
    alternatives=(
        Alternative("as a complex product", _complex_product),
        Alternative(
            "with repeated cosines",
            _tables_of_the_other_layout(_from_neighbours, _to_neighbours, _repeated),
        ),
        Alternative("as the hints say", _with(_from_neighbours, _right, _to_neighbours)),
        Alternative("by matrices", _by_matrices(_from_neighbours, _to_neighbours)),
    ),
    hints=(
        "a, b = x[..., 0::2], x[..., 1::2] are the first and second features of all planes.",
        "Rotate as before: (a · cos − b · sin, a · sin + b · cos).",
        "torch.stack((…, …), dim=-1) makes pairs (…, D/2, 2); .flatten(-2) puts them in a row.",
    ),
)
