"""Exercises on softmax under a mask, and with a temperature."""

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


def _shared_out_again(x, mask, dim=-1):
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
    title="Softmax under a mask",
    minutes=8,
    difficulty=2,
    statement=(
        "Return probabilities over the entries where `mask` is True, zero elsewhere. "
        "A row in which nothing is allowed is all zeros."
        " Gradients must flow through it; none is nan."
    ),
    solution=softmax.masked_softmax,
    reference=_masked_in_double,
    same_dtype=True,
    generator=scores_with_mask,
    probes=(
        Probe(
            "everything allowed",
            lambda: _with_inverted([[True, True, True]]),
            "With nothing hidden this is softmax.",
        ),
        Probe(
            "one entry hidden",
            lambda: _with_inverted([[True, False, True], [True, True, False]]),
            "A hidden entry gets 0, and the others share the whole of 1.",
        ),
        Probe(
            "along dim 0",
            lambda: call(uneven(3, 2), torch.tensor([[True], [False], [True]]), dim=0),
            "The mask broadcasts, and the sum runs along `dim`.",
        ),
        Probe(
            "a row with nothing allowed",
            lambda: _with_inverted([[True, True, False], [False, False, False]]),
            "−inf minus −inf is nan. A row that may look at nothing takes nothing.",
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
            "hidden scores set to zero",
            lambda x, mask, dim=-1: torch.softmax(x * mask, dim),
            'A score of 0 is not "no weight": exp(0) = 1. A hidden score must be −inf.',
        ),
        Misconception(
            "masked after softmax",
            lambda x, mask, dim=-1: torch.softmax(x, dim) * mask,
            "The hidden entries took part in the sum, so what is left does not add up to 1. Mask "
            "the scores, before softmax.",
        ),
        Misconception(
            "nan for an empty row",
            lambda x, mask, dim=-1: torch.softmax(x.masked_fill(~mask, -torch.inf), dim),
            "With everything hidden, the maximum is −inf and the row becomes 0/0. Treat that row "
            "by itself.",
        ),
        Misconception(
            "uniform over nothing",
            _uniform_over_nothing,
            "With a large negative number in place of −inf, a row in which everything is hidden "
            "becomes uniform: it reads exactly what it must not.",
        ),
        Misconception(
            "−100 in place of −inf",
            _minus_a_hundred,
            "Scores may lie below −100 themselves, and then the hidden ones win. Only −inf is "
            "below everything.",
        ),
        Misconception(
            "softmax of everything, shared out again",
            _shared_out_again,
            "A hidden score far above the others leaves them probabilities of 0, and nothing can "
            "be shared out again. Hide the scores first, then take softmax.",
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
        "x.masked_fill(~mask, -torch.inf) hides an entry: exp(−inf) is 0.",
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


def _shares_to_a_power(x, temperature, dim=-1):
    p = torch.softmax(x, dim) ** (1 / temperature)
    return p / p.sum(dim, keepdim=True)


def _scores_shifted_first(x, temperature, dim=-1):
    e = ((x - x.amax(dim, keepdim=True)) / temperature).exp()
    return e / e.sum(dim, keepdim=True)


TEMPERATURE = Exercise(
    id="softmax.temperature",
    title="A knob on softmax",
    minutes=4,
    difficulty=1,
    statement=(
        "Return softmax(x / temperature) along `dim`, for any temperature above 0."
        " Gradients must flow through it."
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
            "Below 1 the largest score gains: 0.867, 0.117, 0.016.",
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
            "large scores, temperature 4",
            lambda: call(torch.tensor([300.0, 296.0]), 4.0),
            "What must not overflow or vanish is the exponential of the divided scores.",
        ),
    ),
    misconceptions=(
        Misconception(
            "multiplied instead of divided",
            lambda x, temperature, dim=-1: torch.softmax(x * temperature, dim),
            "Your knob turns the wrong way: raising the temperature must flatten. Divide by it.",
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
            _shares_to_a_power,
            "On paper this is the same. In floating point a small probability has become 0, and "
            "no power brings it back. Divide the scores, before softmax.",
        ),
        Misconception(
            "dim ignored",
            lambda x, temperature, dim=-1: torch.softmax(x / temperature, -1),
            "You always normalise along the last axis. Pass `dim` on.",
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
        "Divide the scores, then do what you did before.",
        "The shift must be the largest of the divided scores.",
    ),
)
