"""Exercises on measures of information: entropy and divergence."""

import math

import torch

from course_lib import information
from course_lib.chapters.language_models.exercises.generators import (
    one_distribution,
    two_distributions_without_0_over_0,
)
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def double(values):
    """Return probabilities in float64, so that only the formula can be wrong."""
    return torch.tensor(values, dtype=torch.float64)


def three_rows():
    """Return three distributions over four tokens."""
    return double([[0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]])


def _by_torch(p, base=2.0):
    return torch.distributions.Categorical(probs=p).entropy() / math.log(base)


def _entropy_by_loops(p, base=2.0):
    rows = p.reshape(-1, p.shape[-1]).tolist()
    found = [sum(-each * math.log(each, base) for each in row if each > 0) for row in rows]
    return p.new_tensor(found).reshape(p.shape[:-1])


def _entropy_by_where(p, base=2.0):
    surprise = -torch.where(p > 0, p, 1.0).log() / math.log(base)
    return (p * surprise).sum(-1)


ENTROPY = Exercise(
    id="language_models.entropy",
    title="Entropy",
    minutes=6,
    difficulty=1,
    statement=(
        "Return −Σ p log p over the last axis of `p`, with logarithms to `base`: the average "
        "surprise of one sample. `p` may have any number of leading axes. A "
        "probability of 0 contributes 0."
    ),
    solution=information.entropy,
    reference=_entropy_by_loops,
    generator=one_distribution,
    probes=(
        Probe("a fair coin", lambda: call(double([0.5, 0.5])), "A fair coin is worth 1 bit."),
        Probe(
            "a biased coin",
            lambda: call(double([0.9, 0.1])),
            "The rare side is surprising, but it is rare: 0.469 bits on average.",
        ),
        Probe("in nats", lambda: call(double([0.5, 0.3, 0.2]), base=math.e), "Mind the unit."),
        Probe("in base 4", lambda: call(double([0.5, 0.3, 0.2]), base=4.0), "Mind the unit."),
        Probe(
            "a batch of rows",
            lambda: call(three_rows()),
            "Each row is a distribution of its own and has its own entropy.",
        ),
        Probe(
            "a certain outcome",
            lambda: call(double([0.0, 1.0, 0.0])),
            "log 0 is −∞, and 0 · −∞ is nan; but an outcome that never happens adds no surprise.",
        ),
        Probe(
            "almost certain",
            lambda: call(double([1 - 1e-6, 1e-6])),
            "One in a million is rare, but not 0: it counts.",
        ),
        Probe(
            "4 096 outcomes",
            lambda: call(torch.full((2**12,), 2**-12, dtype=torch.float64)),
            "Each is rare, and the entropy is still 12 bits.",
        ),
    ),
    misconceptions=(
        Misconception(
            "nan where p is 0",
            lambda p, base=2.0: -(p * p.log()).sum(-1) / math.log(base),
            "0 · log 0 is nan in floating point, while its limit is 0. torch.xlogy(p, p) gives 0 "
            "there.",
        ),
        Misconception(
            "always in nats",
            lambda p, base=2.0: _by_torch(p, math.e),
            "The natural logarithm gives nats. Divide by log(base), which is log 2 for bits.",
        ),
        Misconception(
            "always in bits",
            lambda p, base=2.0: _by_torch(p, 2.0),
            "Your result is always in bits. `base` chooses the unit: divide by log(base).",
        ),
        Misconception(
            "the sign reversed",
            lambda p, base=2.0: -_by_torch(p, base),
            "Logarithms of probabilities are negative; surprise is minus them.",
        ),
        Misconception(
            "one number for all rows",
            lambda p, base=2.0: _by_torch(p, base).sum(),
            "You return one sum over all rows. If you select with p[p > 0], the result is flat "
            "and the rows are lost: use torch.where or torch.xlogy, then .sum(-1).",
        ),
        Misconception(
            "surprises averaged without their weights",
            lambda p, base=2.0: -torch.where(p > 0, p, 1.0).log().mean(-1) / math.log(base),
            "Your average counts each outcome equally. A surprise counts as often as it happens: "
            "weight it by p.",
        ),
        Misconception(
            "always to base 10",
            lambda p, base=2.0: _by_torch(p, 10.0),
            "You always take logarithms to base 10. `base` chooses the unit: divide the "
            "natural logarithm by log(base).",
        ),
    ),
    alternatives=(
        Alternative("outcome by outcome", _entropy_by_loops),
        Alternative("in float32", lambda p, base=2.0: _entropy_by_where(p.float(), base)),
        Alternative(
            "as in the hints", lambda p, base=2.0: -torch.xlogy(p, p).sum(-1) / math.log(base)
        ),
        Alternative(
            "by torch.special.entr",
            lambda p, base=2.0: torch.special.entr(p).sum(-1) / math.log(base),
        ),
    ),
    hints=(
        "The surprise at one outcome is −log p. Entropy is its average, weighted by p.",
        "torch.xlogy(p, p) is p · log p with 0 for p = 0. Sum it along the last axis.",
        "A logarithm to any base is log(x) / log(base): divide by math.log(base).",
    ),
)


def _divergence_by_torch(p, q, base=2.0):
    parts = torch.nn.functional.kl_div(q.log(), p, reduction="none")
    return parts.sum(-1) / math.log(base)


def _divergence_by_loops(p, q, base=2.0):
    def one(a, b):
        if a == 0:
            return 0.0
        return a * math.log(a / b, base) if b > 0 else math.inf

    rows = [each.reshape(-1, p.shape[-1]).tolist() for each in (p, q)]
    found = [sum(map(one, *pair)) for pair in zip(*rows, strict=True)]
    return p.new_tensor(found).reshape(p.shape[:-1])


def _ratios(p, q, base=2.0):
    ratio = torch.where(p > 0, p / q, 1.0)
    return torch.where(p > 0, p * ratio.log(), 0.0).sum(-1) / math.log(base)


def _divergence_as_hinted(p, q, base=2.0):
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(-1) / math.log(base)


def _both_ways(p, q, base=2.0):
    return (_divergence_by_loops(p, q, base) + _divergence_by_loops(q, p, base)) / 2


def _absolute(p, q, base=2.0):
    apart = (torch.where(p > 0, p, 1.0) / torch.where(p > 0, q, 1.0)).log().abs()
    return (p * apart).nan_to_num(nan=0.0).sum(-1) / math.log(base)


KL = Exercise(
    id="language_models.kl",
    title="The price of a wrong model",
    minutes=6,
    difficulty=2,
    statement=(
        "Return KL(p, q) = Σ p log(p / q) over the last axis, with logarithms to `base`: the "
        "surprise that the model q causes beyond the entropy of p. Where p is 0 nothing is added."
    ),
    solution=information.kl_divergence,
    reference=_divergence_by_loops,
    generator=two_distributions_without_0_over_0,
    probes=(
        Probe(
            "a biased coin, predicted to be fair",
            lambda: call(double([0.75, 0.25]), double([0.5, 0.5])),
            "The model pays 1 bit; 0.811 bits are unavoidable, so it pays 0.189 too many.",
        ),
        Probe(
            "the model is right",
            lambda: call(double([0.5, 0.3, 0.2]), double([0.5, 0.3, 0.2])),
            "A correct model pays nothing extra: 0.",
        ),
        Probe(
            "in nats",
            lambda: call(double([0.5, 0.3, 0.2]), double([0.2, 0.2, 0.6]), base=math.e),
            "The order of the arguments matters, and `base` sets the unit.",
        ),
        Probe(
            "a batch of rows",
            lambda: call(three_rows(), three_rows().flip(0)),
            "Each pair of rows has its own divergence.",
        ),
        Probe(
            "an outcome that never happens",
            lambda: call(double([0.5, 0.5, 0.0]), double([0.25, 0.25, 0.5])),
            "Where p is 0 nothing is added, whatever the model predicts there.",
        ),
        Probe(
            "the model rules out what happens",
            lambda: call(double([0.5, 0.5]), double([1.0, 0.0])),
            "The divergence is infinite if the model gives probability 0 to something that "
            "happens.",
        ),
        Probe(
            "almost certain",
            lambda: call(double([1 - 1e-6, 1e-6]), double([1 - 1e-12, 1e-12])),
            "One in a million is rare, but not 0: it counts.",
        ),
        Probe(
            "nearly equal",
            lambda: call(double([0.5009, 0.2991, 0.2]), double([0.5, 0.3, 0.2])),
            "A small difference gives a small divergence, but not 0.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the arguments swapped",
            lambda p, q, base=2.0: _divergence_by_loops(q, p, base),
            "You average over q. Outcomes are sampled from p; q is only the model. The divergence "
            "is not symmetric.",
        ),
        Misconception(
            "the cross-entropy",
            lambda p, q, base=2.0: -torch.xlogy(p, q).sum(-1) / math.log(base),
            "This is the whole surprise, −Σ p log q. Subtract the part that no model can avoid, "
            "the entropy of p.",
        ),
        Misconception(
            "the difference of the entropies",
            lambda p, q, base=2.0: _entropy_by_loops(q, base) - _entropy_by_loops(p, base),
            "H(q) − H(p) averages the surprise of q over q. The outcomes are sampled from p: "
            "cross-entropy minus entropy.",
        ),
        Misconception(
            "nan where p is 0",
            lambda p, q, base=2.0: (p * (p / q).log()).sum(-1) / math.log(base),
            "0 · log(0 / q) is nan in floating point and 0 in the formula. torch.xlogy(p, p) and "
            "torch.xlogy(p, q) give 0 there.",
        ),
        Misconception(
            "always in nats",
            lambda p, q, base=2.0: _divergence_by_torch(p, q, math.e),
            "torch's kl_div and log use nats. Divide by log(base).",
        ),
        Misconception(
            "the sign reversed",
            lambda p, q, base=2.0: -_divergence_by_loops(p, q, base),
            "Σ p log(q / p) is never positive. A divergence is 0 or more: p is the numerator of "
            "the fraction.",
        ),
        Misconception(
            "one number for all rows",
            lambda p, q, base=2.0: _divergence_by_loops(p, q, base).sum(),
            "You return one sum over all rows. If you select with p[p > 0], the result is flat "
            "and the rows are lost: use torch.where or torch.xlogy, then .sum(-1).",
        ),
        Misconception(
            "each term without its sign",
            _absolute,
            "You took absolute values. Some terms are negative, where the model predicts more "
            "than happens; only their sum cannot be.",
        ),
        Misconception(
            "both directions averaged",
            _both_ways,
            "You made it symmetric. Outcomes are sampled from p and predicted by q, so only one "
            "direction counts.",
        ),
        Misconception(
            "always to base 10",
            lambda p, q, base=2.0: _divergence_by_loops(p, q, 10.0),
            "You always take logarithms to base 10. `base` chooses the unit: divide the "
            "natural logarithm by log(base).",
        ),
    ),
    alternatives=(
        Alternative("by torch's kl_div", _divergence_by_torch),
        Alternative("outcome by outcome", _divergence_by_loops),
        Alternative("in float32", lambda p, q, base=2.0: _ratios(p.float(), q.float(), base)),
        Alternative("as in the hints", _divergence_as_hinted),
    ),
    hints=(
        "It is cross-entropy minus entropy: Σ p log p − Σ p log q.",
        "torch.xlogy(p, p) − torch.xlogy(p, q), summed along the last axis.",
        "Divide by math.log(base) for the unit.",
    ),
)
