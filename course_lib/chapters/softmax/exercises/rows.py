"""Exercises on softmax over whole rows: stable, and its logarithm."""

import torch

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import scores_far_below, some_scores
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

SMALL = [2.0, 1.0, 0.1]


def _in_double(x, dim=-1):
    return torch.softmax(x.double(), dim).to(x.dtype)


def _maximum_of_everything(x, dim=-1):
    e = (x - x.max()).exp()
    return e / e.sum(dim, keepdim=True)


def _sum_of_everything(x, dim=-1):
    e = (x - x.amax(dim, keepdim=True)).exp()
    return e / e.sum()


def _no_axis_at_all(x, dim=-1):
    e = (x - x.max()).exp()
    return e / e.sum()


def _keepdim_forgotten(x, dim=-1):
    e = (x - x.amax(dim)).exp()
    return e / e.sum(dim)


def _first_subtracted(x, dim=-1):
    e = (x - x.select(dim, 0).unsqueeze(dim)).exp()
    return e / e.sum(dim, keepdim=True)


def _score_by_score(x, dim=-1):
    scores = x.unbind(dim)
    largest = scores[0]
    for score in scores[1:]:
        largest = torch.maximum(largest, score)
    e = [(score - largest).exp() for score in scores]
    return torch.stack([each / sum(e) for each in e], dim)


def _mean_subtracted(x, dim=-1):
    e = (x - x.mean(dim, keepdim=True)).exp()
    return e / e.sum(dim, keepdim=True)


AXIS = "The sum must run along `dim` and along nothing else."

STABLE = Exercise(
    id="softmax.stable",
    title="A stable softmax",
    minutes=6,
    difficulty=1,
    statement=(
        "Return probabilities along `dim`, for a tensor of any shape and any finite scores. "
        "The result keeps the dtype of `x`. Gradients must flow through it."
    ),
    solution=softmax.stable_softmax,
    reference=_in_double,
    same_dtype=True,
    generator=some_scores,
    probes=(
        Probe("three small scores", lambda: call(torch.tensor(SMALL)), "The plain formula."),
        Probe(
            "rows of a matrix",
            lambda: call(uneven(2, 3)),
            "Each row is normalised separately.",
        ),
        Probe("columns of a matrix", lambda: call(uneven(2, 3), dim=0), AXIS),
        Probe("square, along dim 0", lambda: call(uneven(3, 3), dim=0), AXIS, gradient=True),
        Probe("the middle axis of three", lambda: call(uneven(2, 3, 4), dim=1), AXIS),
        Probe(
            "scores around 1000",
            lambda: call(torch.tensor([1000.0, 1001.0, 1002.0])),
            "exp(1000) is infinite in float32, and infinity over infinity is nan.",
        ),
        Probe(
            "scores around -1000",
            lambda: call(torch.tensor([-1000.0, -1001.0, -1002.0])),
            "exp(-1000) is 0 in float32, and 0 over 0 is nan.",
        ),
        Probe(
            "one row far below the other",
            lambda: call(torch.tensor([[500.0, 499.0], [-500.0, -501.0]])),
            "A shift that suits one row makes the other underflow: each row needs its own.",
        ),
        Probe(
            "scores far apart within a row",
            lambda: call(torch.tensor([[400.0, 0.0, -400.0], [0.0, 400.0, -400.0]])),
            "Only shifting by the largest score bounds every exponential by 1.",
        ),
        Probe(
            "half precision",
            lambda: call(torch.tensor([12.0, 11.0, -3.0], dtype=torch.float16)),
            "The largest float16 is 65504, so exp(12) overflows; the result keeps its dtype.",
        ),
    ),
    misconceptions=(
        Misconception(
            "nothing subtracted before exp",
            lambda x, dim=-1: x.exp() / x.exp().sum(dim, keepdim=True),
            "The formula is right on paper. In float32, exp overflows above about 88. Subtract "
            "the largest score of each row first: the result is the same.",
        ),
        Misconception(
            "dim ignored",
            lambda x, dim=-1: torch.softmax(x, -1),
            "You always normalise along the last axis. Use `dim` in the maximum and in the sum.",
        ),
        Misconception(
            "the maximum of everything",
            _maximum_of_everything,
            "You subtract the largest score of the whole tensor. A row far below it underflows "
            "to 0/0. Take the maximum along `dim`, with keepdim=True.",
        ),
        Misconception(
            "the sum of everything",
            _sum_of_everything,
            "You divide by the sum over the whole tensor, so that all rows together add up to 1. "
            "Sum along `dim`, with keepdim=True.",
        ),
        Misconception(
            "no axis at all",
            _no_axis_at_all,
            "Maximum and sum run over the whole tensor, so a matrix becomes one distribution. Give "
            "both of them `dim`, and keepdim=True.",
        ),
        Misconception(
            "keepdim forgotten",
            _keepdim_forgotten,
            "Without keepdim=True the axis disappears, and broadcasting aligns the result with "
            "the wrong axis, or fails. Keep the axis, with length 1.",
        ),
        Misconception(
            "the mean subtracted",
            _mean_subtracted,
            "Any shift is right on paper, but only the largest score makes every exponent zero "
            "or negative. If you subtract the mean, a score far above it still overflows.",
        ),
        Misconception(
            "the first score subtracted",
            _first_subtracted,
            "The first score of a row may be the smallest, and then exp of a later one overflows. "
            "Subtract the largest along `dim`.",
        ),
        Misconception(
            "divided by the largest",
            lambda x, dim=-1: (x - x.amax(dim, keepdim=True)).exp(),
            "Your exponentials are safe, but they do not sum to 1 yet: divide by their sum.",
        ),
    ),
    alternatives=(
        Alternative("by torch.softmax", lambda x, dim=-1: torch.softmax(x, dim)),
        Alternative(
            "through logsumexp", lambda x, dim=-1: (x - x.logsumexp(dim, keepdim=True)).exp()
        ),
        Alternative("score by score", _score_by_score),
    ),
    hints=(
        "Adding the same number to every score of a row changes nothing. Which number makes the "
        "largest exponent 0?",
        "x.amax(dim, keepdim=True) is the largest score along `dim`, shaped so that it subtracts.",
        "Shift, then e = shifted.exp(), then e / e.sum(dim, keepdim=True).",
    ),
)


def _log_unshifted(x, dim=-1):
    return x - x.exp().sum(dim, keepdim=True).log()


def _shift_lost(x, dim=-1):
    largest = x.amax(dim, keepdim=True)
    return x - (x - largest).exp().sum(dim, keepdim=True).log()


def _log_subtracted(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    return shifted + shifted.exp().sum(dim, keepdim=True).log()


def _as_the_hints_say(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def _pair_by_pair(x, dim=-1):
    first, *rest = x.unbind(dim)
    total = first
    for score in rest:
        total = torch.logaddexp(total, score)
    return x - total.unsqueeze(dim)


def _constant_logsumexp(x, dim=-1):
    return x - x.logsumexp(dim, keepdim=True).detach()


def _sum_to_base_two(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log2()


def _shifted_by_the_mean(x, dim=-1):
    shifted = x - x.mean(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


LOG = Exercise(
    id="softmax.log",
    title="The logarithm of softmax",
    minutes=6,
    difficulty=2,
    statement=(
        "Return log(softmax(x)) along `dim`, finite wherever the scores are finite. "
        "Gradients must flow through it."
    ),
    solution=softmax.log_softmax,
    reference=lambda x, dim=-1: torch.log_softmax(x.double(), dim).to(x.dtype),
    same_dtype=True,
    generator=scores_far_below,
    probes=(
        Probe(
            "three small scores", lambda: call(torch.tensor(SMALL)), "The formula: z − log Σ eᶻ."
        ),
        Probe("columns of a matrix", lambda: call(uneven(2, 3), dim=0), AXIS, gradient=True),
        Probe(
            "two scores 200 apart",
            lambda: call(torch.tensor([0.0, 200.0])),
            "The smaller probability is e⁻²⁰⁰, which float32 rounds to 0; its logarithm is −200.",
        ),
        Probe(
            "scores around 1000",
            lambda: call(torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0]])),
            "The sum of exponentials overflows or vanishes unless the scores are shifted.",
            tolerance=4.0,  # float32 has steps of 6e-5 there
        ),
        Probe(
            "two scores 150 apart",
            lambda: call(torch.tensor([150.0, 0.0])),
            "exp(150) is infinite in float32: shift the scores before exp.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the log of a softmax",
            lambda x, dim=-1: torch.softmax(x, dim).log(),
            "A probability below about 1e-45 is 0 in float32 and its logarithm −inf: the score "
            "itself was fine. Never form the probability: log p = z − logsumexp(z).",
        ),
        Misconception(
            "nothing subtracted before exp",
            _log_unshifted,
            "log Σ exp(z) overflows for large z. Shift by the largest score, and add it back "
            "outside the logarithm.",
        ),
        Misconception(
            "the shift not added back",
            _shift_lost,
            "log Σ exp(z − c) is smaller than log Σ exp(z) by c. Add c back, or subtract c "
            "from z as well.",
        ),
        Misconception(
            "the sign reversed",
            lambda x, dim=-1: -torch.log_softmax(x, dim),
            "This is −log p, the surprise. The logarithm of a probability is never positive.",
        ),
        Misconception(
            "in bits",
            lambda x, dim=-1: torch.log_softmax(x, dim) / torch.log(torch.tensor(2.0)),
            "You took logarithms to base 2. Losses in deep learning use the natural logarithm.",
        ),
        Misconception(
            "the log of a softmax in float64",
            lambda x, dim=-1: torch.softmax(x.double(), dim).log().to(x.dtype),
            "Higher precision only moves the limit: above a gap of about 745 the probability is 0 "
            "in float64 too. Never form the probability: log p = z − logsumexp(z).",
        ),
        Misconception(
            "the logarithm of the sum added",
            _log_subtracted,
            "log(a / b) is log a *minus* log b: subtract the logarithm of the sum.",
        ),
        Misconception(
            "dim ignored",
            lambda x, dim=-1: torch.log_softmax(x, -1),
            "You always normalise along the last axis. Use `dim`.",
        ),
        Misconception(
            "the gradient of the sum cut off",
            _constant_logsumexp,
            "The values are right, but the gradient treats the logarithm of the sum as a constant. "
            "It depends on every score: leave out detach() and no_grad().",
        ),
        Misconception(
            "the logarithm of the sum to base 2",
            _sum_to_base_two,
            "The inverse of exp is the natural logarithm: use .log().",
        ),
        Misconception(
            "to base 10",
            lambda x, dim=-1: torch.log_softmax(x, dim) / torch.log(torch.tensor(10.0)),
            "You took logarithms to base 10. Losses in deep learning use the natural logarithm.",
        ),
        Misconception(
            "a small number added before the logarithm",
            lambda x, dim=-1: (torch.softmax(x, dim) + 1e-9).log(),
            "The small number is a floor: no result is below its logarithm, about −20.7. Do not "
            "compute the probability first: log p = z − logsumexp(z).",
        ),
        Misconception(
            "the mean subtracted",
            _shifted_by_the_mean,
            "On paper any shift is right, but only the largest score makes every exponent zero or "
            "negative. With the mean, a score far above it still overflows.",
        ),
    ),
    alternatives=(
        Alternative("by torch", lambda x, dim=-1: torch.log_softmax(x, dim)),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("pair by pair", _pair_by_pair),
    ),
    hints=(
        "log(a / b) = log a − log b. What is log of exp(z)?",
        "log Σ exp(z) = c + log Σ exp(z − c). Choose c as in the stable softmax.",
        "shifted = x − maximum, then shifted − shifted.exp().sum(dim, keepdim=True).log().",
    ),
)
