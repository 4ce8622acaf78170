"""The exercise on the maximum and the sum in one pass."""

import torch

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import scores_in_a_row
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _state_in_double(x):
    wide = x.double()
    largest = wide.amax(-1)
    shift = largest.nan_to_num(neginf=0.0).unsqueeze(-1)
    return largest.to(x.dtype), (wide - shift).exp().sum(-1).to(x.dtype)


def _running(x, rescale, start=-torch.inf):
    """Run the one-pass loop with a different rule for rescaling the old sum."""
    maximum = torch.full_like(x[..., 0], start)
    total = torch.zeros_like(maximum)
    for score in x.unbind(-1):
        larger = torch.maximum(maximum, score)
        shift = larger.nan_to_num(neginf=0.0)
        total = total * rescale(maximum, shift) + (score - shift).exp()
        maximum = larger
    return maximum, total


def _keep(old, new):
    return torch.ones_like(new)


def _proper(old, new):
    return (old - new).exp()


def _upside_down(old, new):
    return (new - old.nan_to_num(neginf=0.0)).exp()


def _upside_down_unless_empty(old, new):
    return torch.where(old == -torch.inf, 0.0, _upside_down(old, new))


def _without_guard(x):
    maximum = torch.full_like(x[..., 0], -torch.inf)
    total = torch.zeros_like(maximum)
    for score in x.unbind(-1):
        larger = torch.maximum(maximum, score)
        total = total * (maximum - larger).exp() + (score - larger).exp()
        maximum = larger
    return maximum, total


def _unshifted(x):
    return x.amax(-1), x.exp().sum(-1)


def _from_a_large_number(x):
    return _running(x, _proper, start=-1e9)


def _cut_at_ten_thousand(x):
    return _running(x.clamp(min=-1e4), _proper)


def _by_torch(x):
    maximum = x.amax(-1)
    shift = torch.where(maximum.isfinite(), maximum, 0.0)
    return maximum, (torch.logsumexp(x, -1) - shift).exp()


def _as_the_hints_say(x):
    maximum = torch.full_like(x[..., 0], -torch.inf)
    total = torch.zeros_like(maximum)
    for score in x.unbind(-1):
        larger = torch.maximum(maximum, score)
        shift = torch.where(larger == -torch.inf, 0.0, larger)
        total = total * torch.exp(maximum - shift) + torch.exp(score - shift)
        maximum = larger
    return maximum, total


ONLINE = Exercise(
    id="softmax.online",
    title="Maximum and sum in one pass",
    minutes=10,
    difficulty=3,
    statement=(
        "Walk over the last axis of `x` once. Return the pair (maximum, total): the largest score, "
        "and the sum of exp(score − maximum), each without the last axis. A score may be −inf; "
        "where all are, the pair is (−inf, 0)."
    ),
    solution=softmax.online_state,
    reference=_state_in_double,
    generator=scores_in_a_row,
    probes=(
        Probe(
            "one score",
            lambda: call(torch.tensor([3.0])),
            "After one score the maximum is that score and the total is exp(0) = 1.",
        ),
        Probe(
            "falling scores",
            lambda: call(torch.tensor([2.0, 1.0, 0.0])),
            "The maximum never changes after the first, so nothing needs rescaling.",
        ),
        Probe(
            "rising scores",
            lambda: call(torch.tensor([0.0, 1.0, 2.0])),
            "Each new maximum makes the old sum too large, by exp(new − old).",
        ),
        Probe(
            "negative scores",
            lambda: call(torch.tensor([-5.0, -3.0, -4.0])),
            "The maximum may be negative; it cannot start at 0.",
        ),
        Probe("rows", lambda: call(uneven(2, 3, 4)), "One state for each row."),
        Probe(
            "scores around 1000",
            lambda: call(torch.tensor([1000.0, 1002.0, 1001.0])),
            "Nothing is exponentiated before the maximum is subtracted.",
        ),
        Probe(
            "scores around −1000",
            lambda: call(torch.tensor([-1000.0, -1002.0, -1001.0])),
            "A finite score is never too low to count: only −inf stands for no score.",
        ),
        Probe(
            "the first scores are −inf",
            lambda: call(torch.tensor([-torch.inf, -torch.inf, 1.0, 0.0])),
            "Many rows start with masked scores, and −inf − (−inf) is nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the running sum not rescaled",
            lambda x: _running(x, _keep),
            "The sum so far is measured from the old maximum. When the maximum grows, multiply "
            "the sum by exp(old − new) before you add to it.",
        ),
        Misconception(
            "rescaled upside down",
            lambda x: _running(x, _upside_down),
            "You multiply by exp(new − old), which makes the old sum larger. A larger maximum "
            "makes each old term smaller: exp(old − new).",
        ),
        Misconception(
            "the maximum starts at 0",
            lambda x: _running(x, _proper, start=0.0),
            "With only negative scores your maximum stays 0, which is not one of them. Start at "
            "−inf.",
        ),
        Misconception(
            "the old sum discarded",
            lambda x: _running(x, lambda old, new: (old == new).float()),
            "At each new maximum you start again. The earlier scores still count, but less: "
            "multiply their sum by exp(old − new).",
        ),
        Misconception(
            "the logarithm of the whole sum returned",
            lambda x: (x.amax(-1), torch.logsumexp(x, -1)),
            "Your second number is logsumexp, maximum + log(total). Return the total itself, the "
            "sum of exp(score − maximum).",
        ),
        Misconception(
            "over the first axis",
            lambda x: _running(x.movedim(0, -1), _proper),
            "You walk over the first axis. The scores of one row are along the last axis: loop "
            "over x.unbind(-1).",
        ),
        Misconception(
            "the last axis kept",
            lambda x: tuple(each.unsqueeze(-1) for each in _running(x, _proper)),
            "Your results still have a last axis, of length 1. Start from tensors of the shape "
            "x.shape[:-1], or use squeeze(-1) at the end.",
        ),
        Misconception(
            "rescaled upside down, with old scores of −inf guarded",
            lambda x: _running(x, _upside_down_unless_empty),
            "You multiply by exp(new − old), which makes the old sum larger. A larger maximum "
            "makes each old term smaller: exp(old − new).",
        ),
        Misconception(
            "exponentials not shifted",
            _unshifted,
            "You sum exp(score) itself. It overflows, and the total is defined differently: "
            "measure each term from the maximum.",
        ),
        Misconception(
            "nan for scores of −inf",
            _without_guard,
            "While every score so far is −inf, old − new is −inf − (−inf) = nan. Subtract 0 "
            "instead as long as the maximum is not finite.",
        ),
        Misconception(
            "the maximum starts at a large negative number",
            _from_a_large_number,
            "In a row of only −inf your maximum stays at that number, which is not one of the "
            "scores. Start at −inf, and guard the difference −inf − (−inf).",
        ),
        Misconception(
            "−inf replaced by a finite number",
            _cut_at_ten_thousand,
            "A masked score then counts like an ordinary one, and scores below your number are "
            "changed. Leave the scores as they are and guard the difference −inf − (−inf).",
        ),
    ),
    alternatives=(
        Alternative("in two passes", _state_in_double),
        Alternative("guarded loop", lambda x: _running(x, _proper)),
        Alternative("by torch", _by_torch),
        Alternative("as the hints say", _as_the_hints_say),
    ),
    hints=(
        "Keep two tensors, maximum (starts at −inf) and total (starts at 0), and loop over "
        "x.unbind(-1).",
        "larger = torch.maximum(maximum, score). The old total is measured from the old maximum: "
        "multiply it by exp(maximum − larger).",
        "Then add exp(score − larger). Guard the case in which `larger` is still −inf.",
    ),
)
