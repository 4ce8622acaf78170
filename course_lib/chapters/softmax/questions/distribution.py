"""Questions on what softmax is: shifts, temperature, Jacobian, gradient of cross-entropy."""

import math
import random
from typing import Any

import torch

from course_lib import softmax
from course_lib.study.ask.question import (
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)


def _float64(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


SHIFT = OneAnswer(
    id="softmax.shift",
    prompt="You add 100 to every score in a row. In exact arithmetic, what happens to its softmax?",
    options=(
        Option(
            "It stays the same.",
            True,
            "every exponential grows by the same factor e^100, in the numerator and in the "
            "denominator, and the factor cancels. Only differences between scores matter.",
        ),
        Option(
            "It moves towards the largest score.",
            False,
            "that is what multiplying the scores does. Adding changes no difference between them.",
        ),
        Option(
            "It moves towards uniform.",
            False,
            "that would need smaller differences between the scores; adding leaves them unchanged.",
        ),
        Option(
            "Every probability is multiplied by e^100.",
            False,
            "the numerators are, but so is their sum. The probabilities still add up to 1.",
        ),
    ),
)


def _draw_temperature(rng: random.Random) -> dict[str, Any]:
    scores = rng.sample([0.5 * k for k in range(-2, 7)], 3)
    return {"scores": scores, "temperature": rng.choice([0.4, 0.5, 1.5, 2.0, 2.5, 3.0])}


def _first_probability(scores: list[float], temperature: float) -> float:
    return softmax.softmax_with_temperature(_float64(scores), temperature)[0].item()


def _explain_temperature(scores: list[float], temperature: float) -> str:
    divided = [score / temperature for score in scores]
    powers = [math.exp(score) for score in divided]
    listed = ", ".join(f"{score:.4g}" for score in divided)
    summed = " + ".join(f"{power:.4g}" for power in powers)
    p = _first_probability(scores, temperature)
    return (
        f"Divide by the temperature: {listed}. Exponentiate: {summed} = {sum(powers):.4g}. "
        f"The first probability is {powers[0]:.4g} / {sum(powers):.4g} = {p:.4g}."
    )


TEMPERATURE = Numeric(
    id="softmax.temperature",
    prompt="The scores are {scores} and the temperature is {temperature}. What is the "
    "probability of the first one?",
    draw=_draw_temperature,
    answer=_first_probability,
    explain=_explain_temperature,
    slips=(
        Slip(
            "multiplied",
            lambda scores, temperature: _first_probability(scores, 1 / temperature),
            "You multiplied the scores by the temperature. They are divided by it, so a high "
            "temperature brings them closer together.",
        ),
        Slip(
            "left out",
            lambda scores, temperature: _first_probability(scores, 1.0),
            "This is the probability at temperature 1: the temperature was left out.",
        ),
        Slip(
            "divided afterwards",
            lambda scores, temperature: _first_probability(scores, 1.0) / temperature,
            "You divided the probability by the temperature. Divide the scores, before `exp`; "
            "otherwise the probabilities no longer add up to 1.",
        ),
    ),
)


COLD = OneAnswer(
    id="softmax.cold",
    prompt="The scores are [3, 3, 1]. What does the distribution approach as the temperature "
    "falls to 0?",
    options=(
        Option(
            "[0.5, 0.5, 0]",
            True,
            "the two largest scores are equal at every temperature, so each gets half; the "
            "distance to the third grows without bound.",
        ),
        Option(
            "[1, 0, 0]",
            False,
            "equal scores have equal probabilities at every temperature. An `argmax` picks one of "
            "them, softmax does not.",
        ),
        Option(
            "[1/3, 1/3, 1/3]",
            False,
            "that is the limit of a high temperature, where all differences vanish.",
        ),
        Option(
            "[3/7, 3/7, 1/7]",
            False,
            "these are the scores divided by their sum. Softmax compares exponentials, not scores.",
        ),
    ),
)


SATURATED = SeveralAnswers(
    id="softmax.saturated",
    prompt="A row of attention weights is [0.9999, 0.0001, 0, 0] after rounding. Which of these "
    "follow from the Jacobian `diag(p) - p pᵀ`?",
    options=(
        Option(
            "Hardly any gradient reaches the scores of this row.",
            True,
            "every entry is a product of two probabilities or p (1 - p), and in each of them one "
            "factor is close to 0.",
        ),
        Option(
            "Each row of the Jacobian sums to 0.",
            True,
            "a row sum is the effect of raising all scores alike, and adding a constant to all "
            "scores changes nothing.",
        ),
        Option(
            "Its largest entry is near 1, at the probability of 0.9999.",
            False,
            "that entry is p (1 - p), about 0.0001 here. It is never more than 0.25, which it "
            "reaches at p = 0.5.",
        ),
        Option(
            "A cross-entropy loss on such a row could not learn if the target is the second.",
            False,
            "its gradient is p - onehot, close to -1 for the right token: the logarithm divides by "
            "the small p. Only a loss without the logarithm is stuck.",
        ),
    ),
)


def _draw_gradient(rng: random.Random) -> dict[str, Any]:
    scores = rng.sample([0.5 * k for k in range(-2, 7)], 3)
    return {"scores": scores, "target": rng.randrange(3)}


def _target_gradient(scores: list[float], target: int) -> float:
    logits = _float64(scores).unsqueeze(0)
    return softmax.cross_entropy_gradient(logits, torch.tensor([target]))[0, target].item()


def _probability(scores: list[float], target: int) -> float:
    return softmax.stable_softmax(_float64(scores))[target].item()


GRADIENT = Numeric(
    id="softmax.gradient",
    prompt="The logits are {scores} and the right token is number {target}, counted from 0. What "
    "is the derivative of the cross-entropy with respect to the logit of the right token?",
    draw=_draw_gradient,
    answer=_target_gradient,
    explain=lambda scores, target: (
        f"The gradient is p - onehot. The right token has p = {_probability(scores, target):.4g}, "
        f"so its entry is {_probability(scores, target):.4g} - 1 = "
        f"{_target_gradient(scores, target):.4g}: negative, since a higher logit lowers the loss."
    ),
    slips=(
        Slip(
            "sign",
            lambda scores, target: -_target_gradient(scores, target),
            "The absolute value is right, the sign is not: raising the logit of the right token "
            "lowers the loss.",
        ),
        Slip(
            "probability",
            _probability,
            "This is the probability itself, the entry of a wrong token. For the right one, 1 is "
            "subtracted.",
        ),
        Slip(
            "Jacobian",
            lambda scores, target: softmax.softmax_jacobian(
                softmax.stable_softmax(_float64(scores))
            )[target, target].item(),
            "This is p (1 - p), the derivative of the probability. The loss is minus its "
            "logarithm, which divides by p and reverses the sign.",
        ),
    ),
)
