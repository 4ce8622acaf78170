"""Questions on softmax in floating point: overflow, underflow, types, a row without scores."""

import math
import random
from typing import Any

import torch

from course_lib import softmax
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
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
            "these are the exact probabilities. The formula gives them only if the largest score "
            "is subtracted first.",
        ),
        Option(
            "[0, 1]",
            False,
            "both exponentials overflow, so the larger score has no advantage: inf / inf is nan.",
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
    prompt="A row of finite float32 scores has its maximum subtracted before `exp`. Which of "
    "these are then true?",
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
            "the exponential of a score more than about 104 below the maximum underflows to 0. "
            "The true value is too small to matter in a sum.",
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


LARGEST = torch.finfo(torch.float16).max


def _draw_sum(rng: random.Random) -> dict[str, Any]:
    return {"count": rng.choice([2, 4, 8, 16, 32, 64, 128, 256, 512])}


def _largest_equal_score(count: int) -> float:
    """Solve x + logsumexp(count zeros) = log(largest): equal scores only shift logsumexp."""
    return math.log(LARGEST) - softmax.logsumexp(torch.zeros(count, dtype=torch.float64)).item()


FLOAT16 = Numeric(
    id="softmax.float16",
    prompt="A row in float16 holds {count} scores that are all equal to x. Softmax is computed by "
    "the plain formula, without subtracting the maximum. What is the largest x for which the sum "
    "of the exponentials does not exceed the largest float16 number, 65504?",
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
            "This is where a single exponential reaches the limit. The sum reaches it earlier.",
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
            "bfloat16 has 8 exponent bits like float32, and so the same range. The price is "
            "precision: only two to three significant digits.",
        ),
        Option(
            "At about 11 as well.",
            False,
            "the range depends on the number of exponent bits: 5 in float16, 8 in bfloat16.",
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
            "that is what `masked_softmax` returns. `torch.softmax` subtracts the maximum and so "
            "computes -inf - (-inf).",
        ),
        Option(
            "the same probability everywhere",
            False,
            "equal finite scores would give that, even very low ones such as -10000. With -inf, "
            "their differences are nan.",
        ),
        Option(
            "It raises an error.",
            False,
            "PyTorch raises no error for operations on infinities; they return nan, which is often "
            "noticed only much later.",
        ),
    ),
)


def _rows_are_wrong(names: dict[str, Any]) -> bool:
    x = torch.tensor([[0.0, 1.0], [500.0, 501.0]])
    return not torch.allclose(names["softmax"](x), softmax.stable_softmax(x))


BUG_MAXIMUM = FindTheBug(
    id="softmax.bug_maximum",
    prompt="This function should return the softmax of each row of a matrix, for any finite "
    "float32 scores. For some matrices, whole rows of the result are nan.",
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
    why="This is the maximum of the whole matrix. In a row far below it every exponential "
    "underflows to 0, and 0 / 0 is nan. Each row needs its own maximum.",
    why_not={
        5: "subtracting a maximum is right, but it is the wrong maximum.",
        6: "the exponents are all 0 or less here, so nothing overflows.",
        7: "the sum runs along each row and keeps the axis, as it should.",
        8: "each row is divided by its own sum. The 0 / 0 occurs here, but its cause is in an "
        "earlier line.",
    },
    shows_bug=_rows_are_wrong,
)
