"""The exercise on merging two blocks of scores."""

import torch

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import two_states
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _pair(maximum, total):
    return softmax.SoftmaxState(torch.tensor(maximum), torch.tensor(total))


def _merge_in_double(a, b):
    logs = [torch.log(part[1].double()) + part[0].double() for part in (a, b)]
    largest = torch.maximum(a[0], b[0])
    together = torch.logaddexp(*logs) - largest.double().nan_to_num(neginf=0.0)
    return largest, together.exp().to(largest.dtype)


def _only_second_rescaled(a, b):
    larger = torch.maximum(a[0], b[0])
    return larger, a[1] + b[1] * (b[0] - larger.nan_to_num(neginf=0.0)).exp()


def _merge_upside_down(a, b):
    larger = torch.maximum(a[0], b[0])
    finite = larger.nan_to_num(neginf=0.0)
    parts = [m.nan_to_num(neginf=0.0) for m in (a[0], b[0])]
    return larger, a[1] * (finite - parts[0]).exp() + b[1] * (finite - parts[1]).exp()


def _merge_without_guard(a, b):
    larger = torch.maximum(a[0], b[0])
    return larger, a[1] * (a[0] - larger).exp() + b[1] * (b[0] - larger).exp()


def _merge_unshifted(a, b):
    total = a[1] * a[0].exp() + b[1] * b[0].exp()
    larger = torch.maximum(a[0], b[0])
    return larger, total / larger.exp()


def _merge_as_the_hints_say(a, b):
    larger = torch.maximum(a.maximum, b.maximum)
    shift = torch.where(larger == -torch.inf, 0.0, larger)
    return larger, a.total * (a.maximum - shift).exp() + b.total * (b.maximum - shift).exp()


def _merge_by_the_gap(a, b):
    """Only the smaller one shrinks, by exp(-gap)."""
    gap = (a[0] - b[0]).nan_to_num(0.0, torch.inf, -torch.inf)  # nan: both are empty
    total = torch.where(gap >= 0, a[1] + b[1] * (-gap).exp(), b[1] + a[1] * gap.exp())
    total = torch.where(a[1] == 0, b[1], torch.where(b[1] == 0, a[1], total))
    return torch.maximum(a[0], b[0]), total


MERGE = Exercise(
    id="softmax.merge",
    title="Merging two blocks",
    minutes=7,
    difficulty=2,
    statement=(
        "Two blocks of scores are summarised as pairs (maximum, total). Return the pair of both "
        "blocks together, as if they had been one. An empty block has the pair (−inf, 0)."
    ),
    solution=softmax.merge_states,
    reference=_merge_in_double,
    generator=two_states,
    probes=(
        Probe(
            "equal maxima",
            lambda: call(_pair([2.0], [1.5]), _pair([2.0], [1.25])),
            "With one common maximum the totals add.",
        ),
        Probe(
            "the second maximum is larger",
            lambda: call(_pair([1.0], [1.5]), _pair([3.0], [1.2])),
            "The first total is measured from a lower maximum and must shrink.",
        ),
        Probe(
            "the first maximum is larger",
            lambda: call(_pair([3.0], [1.2]), _pair([1.0], [1.5])),
            "The second total is measured from a lower maximum and must shrink.",
        ),
        Probe(
            "several rows, each with its own larger block",
            lambda: call(
                _pair([0.0, 4.0, -2.0], [1.1, 1.7, 2.5]), _pair([1.0, 1.0, -2.5], [2.0] * 3)
            ),
            "Each row has its own maximum.",
        ),
        Probe(
            "maxima around 1000",
            lambda: call(_pair([1000.0], [1.5]), _pair([998.0], [1.5])),
            "exp(1000) overflows; only differences of maxima are safe.",
        ),
        Probe(
            "maxima around −20 000",
            lambda: call(_pair([-20_000.0], [1.5]), _pair([-20_002.0], [1.5])),
            "A finite maximum is never too low to count: only −inf stands for an empty block.",
        ),
        Probe(
            "two empty blocks",
            lambda: call(_pair([-torch.inf], [0.0]), _pair([-torch.inf], [0.0])),
            "Two empty blocks give an empty block: (−inf, 0), not nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "totals added without a common maximum",
            lambda a, b: (torch.maximum(a[0], b[0]), a[1] + b[1]),
            "The two totals are in different units: each is measured from its own maximum. Bring "
            "both to the larger one, with exp(own − larger), and then add.",
        ),
        Misconception(
            "only the second block rescaled",
            _only_second_rescaled,
            "Either block may have the lower maximum. Rescale both; for the larger one the factor "
            "is 1.",
        ),
        Misconception(
            "rescaled upside down",
            _merge_upside_down,
            "exp(larger − own) makes a total grow. Measured from a larger maximum every term is "
            "smaller: exp(own − larger).",
        ),
        Misconception(
            "maxima added",
            lambda a, b: (a[0] + b[0], a[1] + b[1]),
            "The largest score of both blocks is the larger of the two maxima, not their sum.",
        ),
        Misconception(
            "exponentials not shifted",
            _merge_unshifted,
            "You use exp(maximum), which overflows. Use differences of maxima only.",
        ),
        Misconception(
            "nan for two empty blocks",
            _merge_without_guard,
            "−inf − (−inf) is nan. While the larger maximum is −inf, subtract 0 instead.",
        ),
    ),
    alternatives=(
        Alternative("through logaddexp", _merge_in_double),
        Alternative("as the hints say", _merge_as_the_hints_say),
        Alternative("by the gap between the maxima", _merge_by_the_gap),
    ),
    hints=(
        "The maximum of everything is the larger of the two maxima.",
        "A total measured from its own maximum becomes total · exp(own − larger) when it is "
        "measured from the larger one.",
        "Guard the case in which both maxima are −inf.",
    ),
)
