"""The exercise on the three estimators of a KL divergence."""

import torch

from course_lib.chapters.rewards import answers
from course_lib.chapters.rewards.exercises.generators import kl_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _in_double(policy, reference):
    d = policy.double() - reference.double()
    return tuple(each.to(policy.dtype) for each in (d, d * d / 2, torch.exp(-d) - 1 + d))


def _reversed(policy, reference):
    return _in_double(reference, policy)


def _no_half(policy, reference):
    d, half, last = _in_double(policy, reference)
    return d, 2 * half, last


def _other_direction_in_k3(policy, reference):
    d, half, _ = _in_double(policy, reference)
    return d, half, d.exp() - 1 - d


def _without_the_correction(policy, reference):
    d, half, _ = _in_double(policy, reference)
    return d, half, (-d).exp() - 1


def _ratio_for_k1(policy, reference):
    d, half, last = _in_double(policy, reference)
    return d.exp(), half, last


def _weighted_again(policy, reference):
    return tuple(policy.exp() * each for each in _in_double(policy, reference))


def _absolute(policy, reference):
    d, half, last = _in_double(policy, reference)
    return d.abs(), half, last


def _as_hinted(policy, reference):
    d = policy - reference
    return d, d**2 / 2, (-d).exp() - 1 + d


def _by_the_ratio(policy, reference):
    ratio = (reference - policy).exp()
    return -(reference - policy), (policy - reference).square() * 0.5, ratio - 1 - ratio.log()


def _by_expm1(policy, reference):
    d = policy - reference.detach()
    return d, 0.5 * d.square(), torch.expm1(-d) + d


def _detached(policy, reference):
    return _in_double(policy.detach(), reference)


def _tokens(policy, reference):
    return call(torch.tensor(policy), torch.tensor(reference))


KL = Exercise(
    id="rewards.kl",
    title="Three estimators of the KL divergence",
    minutes=6,
    difficulty=2,
    statement=(
        "`policy` and `reference` hold log-probabilities of the same sampled tokens, of any shape. "
        "With d = log π − log ref, return the tuple (k1, k2, k3), each of that shape: "
        "d, d² / 2, and exp(−d) − 1 + d. The gradient with respect to `policy` is checked too."
    ),
    solution=answers.kl_estimates,
    reference=_in_double,
    generator=kl_inputs,
    tolerance=4.0,
    probes=(
        Probe(
            "equal models",
            lambda: _tokens([-1.0, -2.0], [-1.0, -2.0]),
            "Where both models agree, all three are 0.",
        ),
        Probe(
            "the policy likes the token more",
            lambda: _tokens([-0.5], [-1.5]),
            "d = 1: k1 = 1, k2 = 0.5, k3 = exp(−1) = 0.368.",
        ),
        Probe(
            "the policy likes the token less",
            lambda: _tokens([-2.0], [-1.0]),
            "d = −1: k1 is −1, k2 and k3 stay positive. k3 = exp(1) − 2 = 0.718.",
        ),
        Probe(
            "a batch",
            lambda: call(-uneven(2, 3).abs(), -uneven(3, 2).mT.contiguous().abs()),
            "Each token is estimated on its own.",
            gradient=True,
            constants=(1,),
        ),
    ),
    misconceptions=(
        Misconception(
            "the models exchanged",
            _reversed,
            "The tokens were sampled from the policy, so d is log π − log ref. With the two "
            "exchanged, k1 has the mean −KL.",
        ),
        Misconception(
            "k2 without the half", _no_half, "k2 is d² / 2, the first term of a series of the KL."
        ),
        Misconception(
            "exp(d) in k3",
            _other_direction_in_k3,
            "k3 uses ref / π = exp(−d), whose mean under π is 1. exp(d) − 1 − d estimates "
            "the other direction, KL(ref‖π), from samples of the reference.",
        ),
        Misconception(
            "k3 without + d",
            _without_the_correction,
            "exp(−d) − 1 has mean 0: it only reduces the variance. Add it to d.",
        ),
        Misconception(
            "a ratio for k1", _ratio_for_k1, "k1 is the difference of the logarithms, without exp."
        ),
        Misconception(
            "weighted by π",
            _weighted_again,
            "The samples already occur with probability π. Weighting by it counts it twice.",
        ),
        Misconception(
            "no gradient",
            _detached,
            "A penalty that is cut off from the policy changes nothing in training. Detach at most "
            "the reference.",
        ),
        Misconception(
            "the absolute value",
            _absolute,
            "k1 may be negative. Only then is its mean the KL divergence.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by the ratio", _by_the_ratio),
        Alternative("by expm1", _by_expm1),
    ),
    hints=(
        "Compute d = policy - reference once.",
        "Return the tuple (d, d**2 / 2, (-d).exp() - 1 + d).",
    ),
)
