"""Questions on the chain rule, the three tasks, counting and smoothing."""

import math
import random
from typing import Any

import torch

from course_lib import ngrams
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)

CHAIN_RULE = OneAnswer(
    id="language_models.chain_rule",
    prompt="The chain rule writes p(x₁ … x_L) as a product of p(next token | all tokens before "
    "it). What does it assume about the text?",
    options=(
        Option(
            "Nothing: it holds for every distribution over texts.",
            True,
            "it only applies the definition of conditional probability again and again. Models "
            "differ in how well they estimate the factors.",
        ),
        Option(
            "That a token depends only on the few tokens before it.",
            False,
            "that is what an n-gram model assumes in addition. The factors of the chain rule are "
            "given all tokens before.",
        ),
        Option(
            "That the text was written from left to right.",
            False,
            "any order of the tokens gives a product with the same value. Left to right is a "
            "convenience.",
        ),
        Option(
            "That tokens are independent of each other.",
            False,
            "then each factor would be p(token) without a condition, which is the unigram model.",
        ),
    ),
)

TASKS = SeveralAnswers(
    id="language_models.tasks",
    prompt="A text has 10 tokens. Which of these statements about what is predicted are true?",
    options=(
        Option(
            "The causal task predicts all 10 tokens in one pass.",
            True,
            "each token is predicted from those before it, the first one from nothing.",
        ),
        Option(
            "The masked task with 2 hidden tokens predicts 2 tokens in one pass.",
            True,
            "the 8 others are visible, and predicting a visible token would be copying.",
        ),
        Option(
            "The prefix task with a prefix of 4 predicts 10 tokens in one pass.",
            False,
            "the 4 tokens of the prefix read each other and are given; 6 are predicted.",
        ),
        Option(
            "In the masked task, the second hidden token may read the first.",
            False,
            "both are hidden in the one text that the model reads, so neither sees the other.",
        ),
    ),
)


def _draw_counts(rng: random.Random) -> dict[str, Any]:
    total = rng.choice([4, 5, 8, 10, 20])
    return {
        "count": rng.randint(1, total - 1),
        "total": total,
        "size": rng.choice([10, 20, 50, 100]),
        "k": rng.choice([0.1, 0.25, 0.5, 2.0]),
    }


def _smoothed(count: int, total: int, size: int, k: float) -> float:
    row = torch.zeros(size, dtype=torch.float64)
    row[:2] = torch.tensor([count, total - count])
    return ngrams.add_k(row, k)[0].item()


ADD_K = Numeric(
    id="language_models.add_k_share",
    prompt="A context was seen {total} times, and {count} of these times the token `the` "
    "followed. The vocabulary has {size} tokens. What probability does add-k smoothing with k = "
    "{k} give to `the` in this context?",
    draw=_draw_counts,
    answer=_smoothed,
    explain=lambda count, total, size, k: (
        f"({count} + {k}) / ({total} + {k} · {size}) = {count + k:.4g} / {total + k * size:.4g} = "
        f"{_smoothed(count, total, size, k):.4g}: the total grows by k for each token."
    ),
    slips=(
        Slip(
            "not smoothed",
            lambda count, total, size, k: count / total,
            "This is the plain relative frequency. Smoothing adds k to the count, and k for every "
            "token of the vocabulary to the total.",
        ),
        Slip(
            "k once",
            lambda count, total, size, k: (count + k) / (total + k),
            "You added k to the total once. Each token of the vocabulary got k, so the total grew "
            "by k times the size of the vocabulary.",
        ),
        Slip(
            "V",
            lambda count, total, size, k: (count + k) / (total + size),
            "You added the size of the vocabulary to the total, which is right for k = 1 only.",
        ),
    ),
)

CONTINUATION = OneAnswer(
    id="language_models.continuation_why",
    prompt="In a text `Francisco` occurs 50 times, always after `San`; `cup` occurs 20 times after "
    "15 different words. Both were never seen after `green`. Which of them does a bigram model "
    "with Kneser-Ney smoothing find more probable after `green`?",
    options=(
        Option(
            "`cup`, since it follows many different words.",
            True,
            "the lower order counts in how many contexts a word occurs: 15 against 1. A word that "
            "follows many words may well follow a new one.",
        ),
        Option(
            "`Francisco`, since it is more frequent.",
            False,
            "that is the answer of plain unigram counts. They do not show that `Francisco` needs "
            "`San`.",
        ),
        Option(
            "Both are equally probable, since neither was seen after `green`.",
            False,
            "the bigram counts are equal, both 0. Then the distribution of the shorter context "
            "decides, and there they differ.",
        ),
        Option(
            "It cannot be decided without the discount D.",
            False,
            "D decides how much probability unseen words get together. How it is divided among "
            "them depends on the numbers of contexts.",
        ),
    ),
)


def _not_a_distribution(names: dict[str, Any]) -> bool:
    shares = names["add_k"]({"a": 3, "b": 1}, ["a", "b", "c"], 0.5)
    return not math.isclose(sum(shares.values()), 1.0)


BUG_SMOOTHING = FindTheBug(
    id="language_models.bug_smoothing",
    prompt="This function should return add-k probabilities for each token of a vocabulary, given "
    "how often each token was counted after a context. They do not add up to 1.",
    code="""
def add_k(counts, vocabulary, k):
    total = sum(counts.values())
    total = total + k * len(counts)
    shares = {}
    for token in vocabulary:
        count = counts.get(token, 0)
        shares[token] = (count + k) / total
    return shares
""",
    line=3,
    fixed="total = total + k * len(vocabulary)",
    why="`counts` contains only the tokens that were seen. Every token of the vocabulary gets k, "
    "unseen ones too, so the total grows by k times the size of the vocabulary.",
    why_not={
        2: "the total number of times that the context was seen.",
        4: "the dict for the result.",
        5: "every token of the vocabulary gets a share, also those never seen.",
        6: "a token that was never counted has the count 0.",
        7: "the raised count over the total is right; the total is not.",
        8: "all shares are returned.",
    },
    shows_bug=_not_a_distribution,
)
