"""Exercises on softmax with a mask, and with a temperature."""

import torch

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import (
    scores_with_mask,
    scores_with_temperature,
)
from course_lib.chapters.softmax.exercises.rows import AXIS, SMALL
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _masked_in_double(x, mask, dim=-1):
    scores = x.double().masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim).nan_to_num(0.0).to(x.dtype)  # nan: nothing is allowed


def _uniform_over_nothing(x, mask, dim=-1):
    return torch.softmax(x.masked_fill(~mask, -1e9), dim)


def _minus_a_hundred(x, mask, dim=-1):
    return torch.softmax(x.masked_fill(~mask, -100.0), dim) * mask


def _renormalised(x, mask, dim=-1):
    p = torch.softmax(x, dim) * mask
    return p / (p.sum(dim, keepdim=True) + 1e-9)


def _overflowing(x, mask, dim=-1):
    e = x.exp() * mask
    total = e.sum(dim, keepdim=True)
    return e / total.masked_fill(total == 0, 1.0)


def _by_torch(x, mask, dim=-1):
    p = torch.softmax(x.masked_fill(~mask, -torch.inf), dim)
    return torch.where(mask, p, 0.0)


def _as_the_hints_say(x, mask, dim=-1):
    scores = x.masked_fill(~mask, -torch.inf)
    largest = scores.amax(dim, keepdim=True)
    e = (scores - torch.where(largest.isfinite(), largest, 0.0)).exp()
    total = e.sum(dim, keepdim=True)
    return e / torch.where(total == 0, 1.0, total)


def _row_by_row(x, mask, dim=-1):
    rows = x.movedim(dim, -1)
    allowed = mask.expand(x.shape).movedim(dim, -1).reshape(-1, rows.shape[-1])
    flat = rows.reshape(allowed.shape)
    out = torch.zeros_like(flat)
    for i, here in enumerate(allowed):
        if here.any():
            out[i, here] = torch.softmax(flat[i, here], -1)
    return out.reshape(rows.shape).movedim(-1, dim)


def _with_inverted(mask_of_rows):
    mask = torch.tensor(mask_of_rows)
    return call(uneven(*mask.shape), mask)


MASKED = Exercise(
    id="softmax.masked",
    title="Softmax with a mask",
    minutes=8,
    difficulty=2,
    statement=(
        "Return probabilities over the entries where `mask` is True, zero elsewhere. "
        "A row in which nothing is allowed is all zeros. The result keeps the dtype of `x`. "
        "Gradients must flow through it and must not be nan."
    ),
    solution=softmax.masked_softmax,
    reference=_masked_in_double,
    same_dtype=True,
    generator=scores_with_mask,
    probes=(
        Probe(
            "everything allowed",
            lambda: _with_inverted([[True, True, True]]),
            "With nothing masked this is softmax.",
        ),
        Probe(
            "one entry masked",
            lambda: _with_inverted([[True, False, True], [True, True, False]]),
            "A masked entry gets 0, and the others add up to 1.",
        ),
        Probe(
            "along dim 0",
            lambda: call(uneven(3, 2), torch.tensor([[True], [False], [True]]), dim=0),
            "The mask broadcasts, and the sum runs along `dim`.",
        ),
        Probe(
            "scores around −20 000",
            lambda: call(
                torch.tensor([-20_000.0, 0.0, -20_001.0]), torch.tensor([True, False, True])
            ),
            "The allowed scores may be lower than any number you put in for the masked one, "
            "except −inf.",
        ),
        Probe(
            "in float64",
            lambda: call(uneven(2, 3).double(), torch.tensor([[True, True, False]])),
            "The result keeps the dtype of `x`.",
        ),
        Probe(
            "a row with nothing allowed",
            lambda: _with_inverted([[True, True, False], [False, False, False]]),
            "−inf minus −inf is nan. A row with nothing allowed is all zeros.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "the mask inverted",
            lambda x, mask, dim=-1: _masked_in_double(x, ~mask, dim),
            'In this course True means "may attend", as in F.scaled_dot_product_attention.',
        ),
        Misconception(
            "masked scores set to zero",
            lambda x, mask, dim=-1: torch.softmax(x * mask, dim),
            "A score of 0 does not mean no weight: exp(0) = 1. A masked score must be −inf.",
        ),
        Misconception(
            "masked after softmax",
            lambda x, mask, dim=-1: torch.softmax(x, dim) * mask,
            "The masked entries are part of the sum, so what is left does not add up to 1. Mask "
            "the scores, before softmax.",
        ),
        Misconception(
            "nan for an empty row",
            lambda x, mask, dim=-1: torch.softmax(x.masked_fill(~mask, -torch.inf), dim),
            "With everything masked, the maximum is −inf and the row becomes 0/0. Handle such a "
            "row separately: subtract 0 and divide by 1.",
        ),
        Misconception(
            "uniform over nothing",
            _uniform_over_nothing,
            "With a large negative number in place of −inf, a row in which everything is masked "
            "becomes uniform: it reads exactly what it must not read.",
        ),
        Misconception(
            "−100 in place of −inf",
            _minus_a_hundred,
            "Ordinary scores may be below −100 too, and then the masked ones win. Only −inf is "
            "below every score.",
        ),
        Misconception(
            "softmax of everything, renormalised",
            _renormalised,
            "If a masked score is far above the others, their probabilities are 0 and cannot be "
            "renormalised. Mask the scores first, then take softmax.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows above about 88 (float32). Subtract the largest score that is allowed, "
            "then take exp.",
        ),
    ),
    alternatives=(
        Alternative("by torch", _by_torch),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "x.masked_fill(~mask, -torch.inf) masks an entry: exp(−inf) is 0.",
        "In an empty row the maximum is −inf. Subtract 0 there instead (torch.where).",
        "In an empty row the sum is 0. Divide by 1 there instead.",
    ),
)


def _after_softmax(x, temperature, dim=-1):
    p = torch.softmax(x, dim) / temperature
    return p / p.sum(dim, keepdim=True)


def _undivided_maximum(x, temperature, dim=-1):
    e = (x / temperature - x.amax(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


def _not_normalised(x, temperature, dim=-1):
    return torch.softmax(x, dim) / temperature


def _to_a_power(x, temperature, dim=-1):
    p = torch.softmax(x, dim) ** (1 / temperature)
    return p / p.sum(dim, keepdim=True)


def _scores_shifted_first(x, temperature, dim=-1):
    e = ((x - x.amax(dim, keepdim=True)) / temperature).exp()
    return e / e.sum(dim, keepdim=True)


TEMPERATURE = Exercise(
    id="softmax.temperature",
    title="Softmax with a temperature",
    minutes=4,
    difficulty=1,
    statement=(
        "Return softmax(x / temperature) along `dim`, for any temperature above 0. "
        "Gradients must flow through it."
    ),
    solution=softmax.softmax_with_temperature,
    reference=lambda x, temperature, dim=-1: torch.softmax(x.double() / temperature, dim).to(
        x.dtype
    ),
    generator=scores_with_temperature,
    probes=(
        Probe(
            "temperature 1",
            lambda: call(torch.tensor(SMALL), 1.0),
            "At 1 nothing changes: this is softmax.",
        ),
        Probe(
            "temperature 0.5",
            lambda: call(torch.tensor([2.0, 1.0, 0.0]), 0.5),
            "Below 1 the largest score gets more: 0.867, 0.117, 0.016.",
        ),
        Probe(
            "temperature 4",
            lambda: call(torch.tensor([2.0, 1.0, 0.0]), 4.0),
            "Above 1 the distribution becomes flatter.",
        ),
        Probe(
            "columns of a matrix",
            lambda: call(uneven(2, 3), 0.7, dim=0),
            AXIS,
            gradient=True,
        ),
        Probe(
            "temperature 0.01",
            lambda: call(torch.tensor([5.0, 4.99, 1.0]), 0.01),
            "A low temperature makes small scores large: 5 becomes 500.",
        ),
        Probe(
            "temperature 0.000001",
            lambda: call(torch.tensor([0.0, 1e-6, 2e-6]), 1e-6),
            "Any temperature above 0 is used as it is: divided, the scores are 0, 1 and 2.",
        ),
        Probe(
            "temperature 1000",
            lambda: call(torch.tensor([0.0, 1000.0, 2000.0]), 1000.0),
            "Any finite temperature is used as it is: divided, the scores are 0, 1 and 2.",
        ),
        Probe(
            "large scores, temperature 4",
            lambda: call(torch.tensor([300.0, 296.0]), 4.0),
            "Overflow and underflow depend on the divided scores, so shift those.",
        ),
    ),
    misconceptions=(
        Misconception(
            "multiplied instead of divided",
            lambda x, temperature, dim=-1: torch.softmax(x * temperature, dim),
            "Your temperature works in the wrong direction: a higher one must make the "
            "distribution flatter. Divide by it.",
        ),
        Misconception(
            "applied to the probabilities",
            _after_softmax,
            "Dividing probabilities by a constant and normalising again changes nothing. The "
            "temperature divides the scores, before exp.",
        ),
        Misconception(
            "probabilities divided, not normalised",
            _not_normalised,
            "Your result does not add up to 1. The temperature divides the scores, before softmax.",
        ),
        Misconception(
            "nothing subtracted before exp",
            lambda x, temperature, dim=-1: softmax.naive_softmax(x / temperature, dim),
            "At a low temperature x / temperature is large, and exp overflows: shift first.",
        ),
        Misconception(
            "the maximum of the undivided scores",
            _undivided_maximum,
            "You subtract max(x), but what you exponentiate is x / temperature. Divide first.",
        ),
        Misconception(
            "probabilities to the power 1/temperature",
            _to_a_power,
            "On paper this is the same. In floating point a small probability has become 0, and "
            "stays 0 in any power. Divide the scores, before softmax.",
        ),
        Misconception(
            "a small number added to the temperature",
            lambda x, temperature, dim=-1: torch.softmax(x / (temperature + 1e-6), dim),
            "You add a small number before you divide. The temperature is above 0, so nothing is "
            "divided by 0, and a small one would be changed.",
        ),
        Misconception(
            "the temperature raised to 0.01",
            lambda x, temperature, dim=-1: torch.softmax(x / max(temperature, 0.01), dim),
            "You use 0.01 in place of any lower temperature. Divide by the one that you are given.",
        ),
        Misconception(
            "dim ignored",
            lambda x, temperature, dim=-1: torch.softmax(x / temperature, -1),
            "You always normalise along the last axis. Use `dim`.",
        ),
    ),
    alternatives=(
        Alternative("by torch", lambda x, temperature, dim=-1: torch.softmax(x / temperature, dim)),
        Alternative("shifted, then divided", _scores_shifted_first),
        Alternative(
            "as the hints say",
            lambda x, temperature, dim=-1: softmax.stable_softmax(x / temperature, dim),
        ),
    ),
    hints=(
        "Divide the scores, then apply the stable softmax.",
        "The shift must be the largest of the divided scores.",
    ),
)
