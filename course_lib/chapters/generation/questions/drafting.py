"""Questions on speculative decoding."""

import random
from typing import Any

import torch

from course_lib.generation import acceptance_rate, residual_distribution
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps
from course_lib.study.ask.question_parts import Option, Slip

ROUND = OrderSteps(
    id="generation.round",
    prompt="Put the steps of one round of speculative decoding in order.",
    steps=(
        "The small model drafts k tokens, one after the other.",
        "The large model scores all k of them in a single pass.",
        "Each drafted token is kept with probability min(1, p / q), up to the first rejection.",
        "One more token is sampled: from the residual, or after the last draft if all were kept.",
        "Both caches are cut back to the kept tokens, and the next round starts after the "
        "new token.",
    ),
    explanation="The large model can score k tokens in one pass because all of them are known. How "
    "many are kept decides from which row of this pass the extra token is sampled, and the next "
    "round starts after that token.",
)


def _draw_pair(rng: random.Random) -> dict[str, Any]:
    def shares() -> list[float]:
        first, second = sorted(rng.sample(range(1, 100), 2))
        return [first / 100, (second - first) / 100, (100 - second) / 100]

    return {"p": shares(), "q": shares()}


def _accepted(p: list[float], q: list[float]) -> float:
    return acceptance_rate(*torch.tensor([p, q], dtype=torch.float64))


ACCEPTANCE = Numeric(
    id="generation.acceptance",
    prompt="Three tokens have the probabilities {p} under the large model and {q} under the draft "
    "model. What is the probability that a drafted token is kept?",
    draw=_draw_pair,
    answer=_accepted,
    explain=lambda p, q: (
        "A token is drafted with probability q and then kept with min(1, p / q), together "
        "min(p, q). Summed over the tokens: "
        f"{' + '.join(f'{min(pair):g}' for pair in zip(p, q, strict=True))} = "
        f"{_accepted(p, q):.4g}."
    ),
    slips=(
        Slip(
            "the mean of min(1, p / q)",
            lambda p, q: sum(min(1.0, a / b) for a, b in zip(p, q, strict=True)) / 3,
            "You averaged over the tokens as if each were drafted equally often. Weight by q.",
        ),
        Slip(
            "both sample the same",
            lambda p, q: sum(a * b for a, b in zip(p, q, strict=True)),
            "That is the probability that two independent samples agree. The rule keeps more.",
        ),
    ),
)


def _not_missing(names: dict[str, Any]) -> bool:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    return not torch.allclose(names["replacement"](p, q), residual_distribution(p, q))


BUG_RESIDUAL = FindTheBug(
    id="generation.bug_residual",
    prompt="After a rejection this function should return the distribution from which the "
    "replacement is sampled. Texts generated with it do not have the large model's "
    "distribution.",
    code="""
def replacement(target, draft):
    missing = target.clone()
    missing = missing.clamp(min=0)
    total = missing.sum()
    if total == 0:
        return target
    return missing / total
""",
    line=2,
    fixed="missing = target - draft",
    why="Kept drafts already provide part of each token's probability. Only the rest is missing: "
    "target minus draft, where that is positive.",
    why_not={
        3: "where the draft model proposes a token too often, nothing is missing: 0.",
        4: "the sum is needed for normalising.",
        5: "if nothing is missing there is no rejection; this only avoids 0 / 0.",
        6: "there any distribution would do; the target is one.",
        7: "the result adds up to 1.",
    },
    shows_bug=_not_missing,
)


GAIN = OneAnswer(
    id="generation.gain",
    prompt="Speculative decoding is tried with a draft model that is as large as the target and "
    "has the same weights. Every draft is kept. What is gained?",
    options=(
        Option(
            "Nothing: k drafts and one check are k + 1 passes of that size, for k + 1 tokens.",
            True,
            "the number of passes of the target falls, but each drafted token costs a pass of a "
            "model of the same size.",
        ),
        Option(
            "A factor of k + 1, since each pass of the target gives k + 1 tokens.",
            False,
            "that counts the passes of the target alone. Drafting is free only if the draft model "
            "is far smaller.",
        ),
        Option(
            "A better text, since two models agree on it.",
            False,
            "the text has the target's distribution, no better and no worse.",
        ),
        Option(
            "Half the time, since both models work at once.",
            False,
            "they alternate: the target cannot check what has not been drafted yet.",
        ),
    ),
)
