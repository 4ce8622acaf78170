"""Judges: a model that says which of two answers is better, and what to check before believing it.

A judge may prefer whatever is shown first. So each pair is shown in both orders. A verdict counts
only if it names the same answer both times; where the place decides, it is a tie.

    consistency       share of the pairs with the same winner in both orders
    first share       share of all verdicts for the place "first": 0.5 without a bias
    win rate          of answer A, with ½ for each inconsistent pair

Agreement with people is corrected for chance by Cohen's κ = (agreement − chance) / (1 − chance).

Taught in:        evaluation
Paper:            Zheng et al. 2023, arXiv:2306.05685; Wang et al. 2023, arXiv:2305.17926
                  (position bias); Cohen 1960
Checked against:  scikit-learn (κ); verdicts of judges with a known bias
Shapes:           none
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from course_lib.evaluation.choices import score_choices
from course_lib.evaluation.intervals import Interval, check_items, wilson_interval
from course_lib.model import DecoderLM
from course_lib.tokenization.huggingface import Tokenizer

Judge = Callable[[str, str, str], int]  # question, first and second answer; returns 0 or 1
FORM = "Question: {question}\nA: {first}\nB: {second}\nThe better answer is"


class JudgeReport(NamedTuple):
    """What both orders of all pairs say about a judge, and about the answers."""

    consistent: Interval
    first: Interval
    win_rate: float


def judge_report(forward: Sequence[int], swapped: Sequence[int]) -> JudgeReport:
    """Return the report of a judge from which place won, in the order (A, B) and in (B, A)."""
    if len(forward) != len(swapped) or not set(forward) | set(swapped) <= {0, 1}:
        raise ValueError("verdicts are 0 (the first) or 1 (the second), for both orders of a pair.")
    check_items(len(forward))
    pairs = list(zip(forward, swapped, strict=True))
    wins = sum(((a == 0) + (b == 1)) / 2 for a, b in pairs)
    return JudgeReport(
        wilson_interval(sum(a != b for a, b in pairs), len(pairs)),
        wilson_interval(sum((a == 0) + (b == 0) for a, b in pairs), 2 * len(pairs)),
        wins / len(pairs),
    )


def judge_pairs(judge: Judge, pairs: Sequence[tuple[str, str, str]]) -> JudgeReport:
    """Return the report on (question, A, B), each shown to the judge in both orders."""
    forward = [judge(question, a, b) for question, a, b in pairs]
    swapped = [judge(question, b, a) for question, a, b in pairs]
    return judge_report(forward, swapped)


def likelihood_judge(model: DecoderLM, tokenizer: Tokenizer) -> Judge:
    """Return a judge: which of the letters A and B does the model find likelier?"""

    def judge(question: str, first: str, second: str) -> int:
        context = FORM.format(question=question, first=first, second=second)
        a, b = score_choices(model, tokenizer, context, (" A", " B"))
        return int(b.total > a.total)

    return judge


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return the agreement of two judges beyond chance: 1 full, 0 what chance gives."""
    if len(first) != len(second):
        raise ValueError(f"both must judge the same items; got {len(first)} and {len(second)}.")
    check_items(len(first))
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / len(first)
    one, two = Counter(first), Counter(second)
    chance = sum(one[kind] * two[kind] for kind in one) / len(first) ** 2
    if chance == 1:
        raise ValueError("both gave one and the same verdict to all items, so κ is not defined.")
    return (agreed - chance) / (1 - chance)
