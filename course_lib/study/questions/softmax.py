"""The questions that close notebook 04: how scores become a distribution, and how that goes wrong.

Taught in:        04 softmax
Checked against:  `course_lib.softmax`, from which every numeric answer is computed
"""

import math
import random
from typing import Any

import torch

from course_lib import softmax
from course_lib.study.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    Question,
    SeveralAnswers,
    Slip,
)


def _float64(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# Shift invariance

SHIFT = OneAnswer(
    id="softmax.shift",
    prompt="You add 100 to every score in a row. In exact arithmetic, what happens to its softmax?",
    options=(
        Option(
            "It stays the same.",
            True,
            "every exponential grows by the same factor e^100, above and below the fraction line, "
            "and cancels. Only differences between scores matter.",
        ),
        Option(
            "It moves towards the largest score.",
            False,
            "that is what multiplying the scores does. Adding changes no difference between them.",
        ),
        Option(
            "It moves towards uniform.",
            False,
            "that would need smaller differences between the scores; adding leaves them as they "
            "were.",
        ),
        Option(
            "Every probability is multiplied by e^100.",
            False,
            "the numerators are, but so is their sum. The probabilities still add up to 1.",
        ),
    ),
)

OVERFLOW = OneAnswer(
    id="softmax.overflow",
    prompt="`x = torch.tensor([1000.0, 1001.0])`, in float32. What does "
    "`torch.exp(x) / torch.exp(x).sum()` return?",
    options=(
        Option(
            "[nan, nan]",
            True,
            "both exponentials exceed the largest float32 and become inf, so does their sum, and "
            "inf / inf is not a number.",
        ),
        Option(
            "[0.269, 0.731]",
            False,
            "these are the exact probabilities, which the formula reaches only after the largest "
            "score was subtracted.",
        ),
        Option(
            "[0, 1]",
            False,
            "the larger score does not win: its exponential overflows just as the other one does.",
        ),
        Option(
            "[inf, inf]",
            False,
            "the numerators are inf, but each is still divided by a sum that is inf as well.",
        ),
    ),
)

HARMLESS = SeveralAnswers(
    id="softmax.after_the_shift",
    prompt="A row of finite float32 scores has its maximum subtracted before `exp`. What holds "
    "from then on?",
    options=(
        Option(
            "No exponential can overflow.",
            True,
            "the largest exponent is 0, so no exponential exceeds 1.",
        ),
        Option(
            "The sum in the denominator is at least 1.",
            True,
            "the maximum itself contributes e^0 = 1 and nothing else is negative, so nothing is "
            "ever divided by 0.",
        ),
        Option(
            "Some probabilities may come out as exactly 0.",
            True,
            "a score about 104 below the maximum or further underflows to 0. The true value is "
            "too small to matter in a sum.",
        ),
        Option(
            "Taking `log` of the result is safe.",
            False,
            "a probability that underflowed to 0 has the logarithm -inf. Log-softmax subtracts "
            "logsumexp from the scores instead and never forms that probability.",
        ),
        Option(
            "Every probability differs from the one without the subtraction.",
            False,
            "where the plain formula does not overflow, both agree up to rounding: the "
            "subtraction cancels.",
        ),
    ),
)


# Temperature


def _draw_temperature(rng: random.Random) -> dict[str, Any]:
    scores = rng.sample([0.5 * k for k in range(-2, 7)], 3)
    return {"scores": scores, "temperature": rng.choice([0.4, 0.5, 1.5, 2.0, 2.5, 3.0])}


def _share(scores: list[float], temperature: float) -> float:
    return softmax.softmax_with_temperature(_float64(scores), temperature)[0].item()


def _explain_temperature(scores: list[float], temperature: float) -> str:
    divided = [score / temperature for score in scores]
    powers = [math.exp(score) for score in divided]
    listed = ", ".join(f"{score:.4g}" for score in divided)
    summed = " + ".join(f"{power:.4g}" for power in powers)
    share = _share(scores, temperature)
    return (
        f"Divide by the temperature: {listed}. Exponentiate: {summed} = {sum(powers):.4g}. "
        f"The first share is {powers[0]:.4g} / {sum(powers):.4g} = {share:.4g}."
    )


TEMPERATURE = Numeric(
    id="softmax.temperature",
    prompt="The scores are {scores} and the temperature is {temperature}. Which probability does "
    "the first of them get?",
    draw=_draw_temperature,
    answer=_share,
    explain=_explain_temperature,
    slips=(
        Slip(
            "multiplied",
            lambda scores, temperature: _share(scores, 1 / temperature),
            "You multiplied the scores by the temperature. They are divided by it, so a high "
            "temperature brings them closer together.",
        ),
        Slip(
            "left out",
            lambda scores, temperature: _share(scores, 1.0),
            "This is the share at temperature 1: the temperature was left out.",
        ),
        Slip(
            "divided afterwards",
            lambda scores, temperature: _share(scores, 1.0) / temperature,
            "You divided the probability by the temperature. It belongs to the scores, before "
            "`exp`; otherwise the shares no longer add up to 1.",
        ),
    ),
)

COLD = OneAnswer(
    id="softmax.cold",
    prompt="The scores are [3, 3, 1]. Towards what does the distribution go as the temperature "
    "falls to 0?",
    options=(
        Option(
            "[0.5, 0.5, 0]",
            True,
            "the two largest scores are equal at every temperature, so they share; the distance "
            "to the third grows without bound.",
        ),
        Option(
            "[1, 0, 0]",
            False,
            "nothing prefers the first over the second: equal scores have equal shares at every "
            "temperature. An `argmax` picks one, softmax does not.",
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


# Floating point


def _draw_sum(rng: random.Random) -> dict[str, Any]:
    return {"count": rng.choice([2, 4, 8, 16, 32, 64, 128, 256, 512])}


def _largest_equal_score(count: int) -> float:
    """Bisect for the largest score at which `count` equal ones have a sum that float16 holds."""
    log_limit = math.log(torch.finfo(torch.float16).max)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        sum_in_logs = softmax.logsumexp(torch.full((count,), middle, dtype=torch.float64)).item()
        low, high = (middle, high) if sum_in_logs <= log_limit else (low, middle)
    return low


LARGEST = torch.finfo(torch.float16).max

FLOAT16 = Numeric(
    id="softmax.float16",
    prompt="A row in float16 holds {count} scores that are all equal to x. Softmax is computed as "
    "the formula stands, without subtracting the maximum. Up to which x does the sum of the "
    "exponentials stay at or below the largest float16 number, 65504?",
    draw=_draw_sum,
    answer=_largest_equal_score,
    explain=lambda count: (
        f"The sum is {count} · e^x. It reaches 65504 at x = ln(65504 / {count}) = "
        f"{math.log(LARGEST):.4g} - {math.log(count):.4g} = {math.log(LARGEST / count):.4g}."
    ),
    slips=(
        Slip(
            "one exponential",
            lambda count: math.log(LARGEST),
            "This is where one exponential reaches the limit. Their sum reaches it earlier.",
        ),
        Slip(
            "base 10",
            lambda count: math.log10(LARGEST / count),
            "You took the logarithm to base 10. `exp` has the base e, so take the natural one.",
        ),
        Slip(
            "base 2",
            lambda count: math.log2(LARGEST / count),
            "You took the logarithm to base 2. `exp` has the base e, so take the natural one.",
        ),
        Slip(
            "divided afterwards",
            lambda count: math.log(LARGEST) / count,
            "You divided the logarithm by the number of scores. The limit is divided, before the "
            "logarithm is taken: 65504 / n.",
        ),
    ),
)

BFLOAT16 = OneAnswer(
    id="softmax.bfloat16",
    prompt="`exp` overflows float16 above a score of about 11. Where does it overflow in bfloat16, "
    "which has 16 bits as well?",
    options=(
        Option(
            "At about 89, as in float32.",
            True,
            "bfloat16 keeps the 8 exponent bits of float32 and with them its range; it pays with "
            "digits, of which it has only two to three.",
        ),
        Option(
            "At about 11 as well.",
            False,
            "the number of bits does not decide this, but how many of them are exponent: 5 in "
            "float16, 8 in bfloat16.",
        ),
        Option(
            "At about 710, as in float64.",
            False,
            "float64 has 11 exponent bits, bfloat16 has 8.",
        ),
        Option(
            "Nowhere: it saturates at the largest number.",
            False,
            "like the other floating-point types here it has an infinity, and `exp(100)` is inf "
            "in it.",
        ),
    ),
)

MASKED_ROW = OneAnswer(
    id="softmax.masked_row",
    prompt="Every score in a row is masked, that is, set to `-inf`. What does `torch.softmax` "
    "return for this row?",
    options=(
        Option(
            "nan everywhere",
            True,
            "the maximum is -inf, and -inf - (-inf) is not a number. `masked_softmax` returns "
            "zeros for such a row, on purpose.",
        ),
        Option(
            "0 everywhere",
            False,
            "that is what one would like, and what `masked_softmax` does. The plain formula "
            "computes -inf - (-inf) on the way.",
        ),
        Option(
            "the same probability everywhere",
            False,
            "equal finite scores would give that, also very low ones such as -10000. With -inf "
            "nothing is left to compare.",
        ),
        Option(
            "It raises an error.",
            False,
            "floating-point operations on infinities raise nothing in PyTorch; they return nan and "
            "go on, which is why it is found so late.",
        ),
    ),
)

# Gradients


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
            "The size is right, the sign is not: raising the logit of the right token lowers the "
            "loss.",
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
            "This is p (1 - p), the derivative of the probability. The loss is its logarithm, "
            "which divides that by p and turns the sign.",
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
            "adding a constant to all scores changes nothing, and that is the direction in which "
            "a row sum looks.",
        ),
        Option(
            "Its largest entry is near 1, in the corner of the winner.",
            False,
            "that entry is p (1 - p), about 0.0001 here. It is never more than 0.25, which it "
            "reaches at p = 0.5.",
        ),
        Option(
            "A cross-entropy loss on such a row could not learn from a wrong winner either.",
            False,
            "its gradient is p - onehot, close to -1 for the right token, because the logarithm "
            "divides by the small p. This is about softmax without it.",
        ),
    ),
)

# One pass over the scores


def _draw_blocks(rng: random.Random) -> dict[str, Any]:
    m_a = rng.randint(-3, 6)
    m_b = m_a + rng.choice([-2, -1, 1, 2])
    total_a, total_b = (rng.randint(10, 60) / 10 for _ in range(2))
    return {"m_a": m_a, "total_a": total_a, "m_b": m_b, "total_b": total_b}


def _merged_total(m_a: int, total_a: float, m_b: int, total_b: float) -> float:
    maxima, totals = _float64([m_a, m_b]), _float64([total_a, total_b])
    states = [softmax.SoftmaxState(maxima[k], totals[k]) for k in range(2)]
    return softmax.merge_states(*states).total.item()


def _explain_merge(m_a: int, total_a: float, m_b: int, total_b: float) -> str:
    top = max(m_a, m_b)
    return (
        f"The common maximum is {top}. Each sum is rescaled to it: "
        f"{total_a} · e^({m_a - top}) + {total_b} · e^({m_b - top}) = "
        f"{total_a * math.exp(m_a - top):.4g} + {total_b * math.exp(m_b - top):.4g} = "
        f"{_merged_total(m_a, total_a, m_b, total_b):.4g}."
    )


MERGE = Numeric(
    id="softmax.merge",
    prompt="Block A of a row has the maximum {m_a} and the sum {total_a}; block B has the maximum "
    "{m_b} and the sum {total_b}. Each sum is that of exp(score - maximum of its own block). What "
    "is the sum of both blocks together, relative to their common maximum?",
    draw=_draw_blocks,
    answer=_merged_total,
    explain=_explain_merge,
    slips=(
        Slip(
            "not rescaled",
            lambda m_a, total_a, m_b, total_b: total_a + total_b,
            "You added the two sums as they are, but they are relative to different maxima.",
        ),
        Slip(
            "both rescaled by the difference",
            lambda m_a, total_a, m_b, total_b: (total_a + total_b) * math.exp(-abs(m_a - m_b)),
            "You rescaled both sums. The block that holds the common maximum keeps its own.",
        ),
        Slip(
            "wrong block",
            lambda m_a, total_a, m_b, total_b: (
                total_a * math.exp(m_b - max(m_a, m_b)) + total_b * math.exp(m_a - max(m_a, m_b))
            ),
            "You rescaled the wrong block: the one with the smaller maximum shrinks.",
        ),
        Slip(
            "wrong direction",
            lambda m_a, total_a, m_b, total_b: (
                total_a * math.exp(max(m_a, m_b) - m_a) + total_b * math.exp(max(m_a, m_b) - m_b)
            ),
            "The exponent has the wrong sign: a sum shrinks when the maximum it refers to grows.",
        ),
    ),
)

ONLINE_STEPS = OrderSteps(
    id="softmax.online_step",
    prompt="The online softmax holds a running maximum m and a running sum, and the next score "
    "arrives. It keeps no second copy of m. Put its steps in order.",
    steps=(
        "Compute the new maximum from m and the score, under another name.",
        "Multiply the sum by e^(m - new maximum).",
        "Add e^(score - new maximum) to the rescaled sum.",
        "Overwrite m with the new maximum, ready for the next score.",
    ),
    explanation="The old sum is relative to the old maximum, so both maxima must be known while it "
    "is rescaled. The new score is added once the sum is relative to the new maximum; added "
    "before, it would be rescaled as well. m is overwritten last.",
)

ASSOCIATIVE = OneAnswer(
    id="softmax.associative",
    prompt="Merging two states (maximum, sum) is associative. What does that allow?",
    options=(
        Option(
            "A row can be cut into blocks that are worked on in any grouping, also in parallel.",
            True,
            "whichever neighbours are merged first, the state of the whole row is the same up to "
            "rounding. FlashAttention rests on this.",
        ),
        Option(
            "Rounding errors cancel, so the result is exact.",
            False,
            "associativity holds in exact arithmetic; in floating point, different groupings may "
            "differ in the last digits.",
        ),
        Option(
            "The maximum is no longer needed.",
            False,
            "without it the sums could not be brought to a common scale, and they would overflow.",
        ),
        Option(
            "The probabilities are known before the last score has been read.",
            False,
            "each probability is divided by the sum of the whole row. What can be kept until then "
            "is the state.",
        ),
    ),
)

# Bugs


def _stable_along_rows(names: dict[str, Any]) -> bool:
    x = torch.tensor([[1.0, 2.0, 3.0], [200.0, 0.0, -200.0]])
    return not torch.allclose(names["softmax"](x), torch.softmax(x, -1), equal_nan=True)


BUG_MAXIMUM = FindTheBug(
    id="softmax.bug_maximum",
    prompt="This function should return the softmax of each row of a matrix, for any finite "
    "float32 scores. With some matrices whole rows come out as nan.",
    code="""
import torch

def softmax(x):
    largest = x.max()
    shifted = x - largest
    numerator = torch.exp(shifted)
    total = numerator.sum(dim=-1, keepdim=True)
    return numerator / total
""",
    line=4,
    fixed="largest = x.amax(dim=-1, keepdim=True)",
    why="This is the maximum of the whole matrix. A row that lies far below it underflows "
    "to zeros altogether, and 0 / 0 is nan. Each row needs its own maximum.",
    why_not={
        5: "subtracting is right; what is subtracted is not.",
        6: "the exponents are all 0 or less here, so nothing overflows.",
        7: "the sum runs along each row and keeps the axis, as it should.",
        8: "each row is divided by its own sum. The 0 / 0 arises here, but its cause is further "
        "up.",
    },
    shows_bug=lambda names: (
        bool(names["softmax"](torch.tensor([[0.0, 1.0], [500.0, 501.0]])).isnan().any())
        or _stable_along_rows(names)
    ),
)


def _online_is_wrong(names: dict[str, Any]) -> bool:
    scores = [0.5, 2.0, -1.0, 3.0]
    expected = softmax.online_state(_float64(scores))
    maximum, total = names["online"](scores)
    return maximum != expected.maximum.item() or not math.isclose(total, expected.total.item())


BUG_ONLINE = FindTheBug(
    id="softmax.bug_online",
    prompt="This function should return the maximum of the scores and the sum of "
    "`exp(score - maximum)`, in one pass. The sum is wrong for most inputs.",
    code="""
import math

def online(scores):
    maximum, total = -math.inf, 0.0
    for score in scores:
        larger = max(maximum, score)
        total = total + math.exp(score - larger)
        maximum = larger
    return maximum, total
""",
    line=7,
    fixed="total = total * math.exp(maximum - larger) + math.exp(score - larger)",
    why="When the maximum grows, the sum so far still refers to the old one. It must be "
    "multiplied by e^(old - new) before the new term is added. The code is right only if the "
    "first score is the largest.",
    why_not={
        4: "no score was seen, so the maximum is -inf and the sum is empty.",
        6: "the new maximum is kept apart, since the old one is still needed.",
        8: "the old maximum is overwritten after its last use.",
        9: "both numbers are what was asked for, once the sum is right.",
    },
    shows_bug=_online_is_wrong,
)

QUESTIONS: tuple[Question, ...] = (
    SHIFT,
    OVERFLOW,
    HARMLESS,
    FLOAT16,
    BFLOAT16,
    BUG_MAXIMUM,
    MASKED_ROW,
    TEMPERATURE,
    COLD,
    SATURATED,
    GRADIENT,
    ONLINE_STEPS,
    MERGE,
    ASSOCIATIVE,
    BUG_ONLINE,
)
