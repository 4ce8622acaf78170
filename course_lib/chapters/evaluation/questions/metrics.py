"""Questions on metrics and their intervals.

Taught in:        evaluation
Checked against:  `course_lib.evaluation`
"""

import random
from typing import Any

from course_lib.evaluation import items_needed, rouge_l_of_words, scoring_windows
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong

NEEDED = Numeric(
    id="evaluation.needed",
    prompt="About half of the answers of a model are right. The half width of a 95 % interval is "
    "1.96 · sqrt(p(1 − p) / n). How many questions does a half width of {points} percentage points "
    "take?",
    draw=lambda rng: {"points": rng.choice([1, 2, 3, 4, 5])},
    answer=lambda points: items_needed(points / 100),
    explain=lambda points: (
        "Half of the width takes four times as many questions: "
        f"n = 0.25 · (1.96 / {points / 100})² ≈ {items_needed(points / 100)}"
    ),
    tolerance=0.02,
    slips=(
        Slip(
            "without the square",
            lambda points: 0.25 * 1.96 / (points / 100),
            "The width goes with 1 / sqrt(n), so the ratio 1.96 / width is squared.",
        ),
    ),
)

BOOTSTRAP = OneAnswer(
    "evaluation.bootstrap_unit",
    "A test has 50 documents with 20 questions about each. What is resampled for an honest "
    "bootstrap interval?",
    (
        right(
            "Documents, each with all of its questions.",
            "Questions about one document succeed and fail together. The independent unit is the "
            "document.",
        ),
        wrong(
            "The 1 000 questions, since every one of them is an item of its own.",
            "They are not independent, so the interval would be too narrow.",
        ),
        wrong(
            "The 20 questions of the longest document.",
            "All documents belong to the sample.",
        ),
        wrong(
            "The models, with the questions kept fixed.",
            "The interval is about a different choice of questions.",
        ),
    ),
)

PAIRED = OneAnswer(
    "evaluation.paired",
    "Two models answer the same 1 000 questions; their 95 % intervals overlap. What follows?",
    (
        right(
            "Nothing yet: look at the differences, question by question.",
            "Both find the same questions hard, so the difference varies less than either score.",
        ),
        wrong(
            "The models are equally good, since the same value lies in both of the intervals.",
            "Overlap of two intervals is no test of a difference.",
        ),
        wrong(
            "The difference is significant at 5 %.",
            "That cannot be seen from two separate intervals.",
        ),
        wrong(
            "The test must be repeated on different questions for each model.",
            "That throws away what pairs give.",
        ),
    ),
)


def _windows(length: int, window: int, stride: int) -> int:
    return len(scoring_windows(length, window, stride))


def _draw_windows(rng: random.Random) -> dict[str, Any]:
    window = rng.choice([256, 512, 1024])
    return {
        "window": window,
        "stride": window // rng.choice([2, 4]),
        "length": window * rng.randint(11, 29) + 100,
    }


WINDOWS = Numeric(
    id="evaluation.windows_count",
    prompt="A text of {length} tokens is scored in windows of {window} tokens; each later window "
    "scores {stride} new ones. How many windows are read?",
    draw=_draw_windows,
    answer=_windows,
    explain=lambda length, window, stride: (
        f"One, and ({length} − {window}) / {stride}, rounded up, later ones: "
        f"{_windows(length, window, stride)}."
    ),
    tolerance=0.001,
    slips=(
        Slip(
            "no overlap",
            lambda length, window, stride: -(-length // window),
            "Later windows bring only `stride` new tokens.",
        ),
    ),
)

TOKENIZERS = OneAnswer(
    "evaluation.tokenizers",
    "Model A has perplexity 9 with tokens of 4 bytes on average, model B has 30 with tokens of 8 "
    "bytes. Which one predicts the text better?",
    (
        right(
            "B: log2 30 / 8 = 0.61 bits per byte against log2 9 / 4 = 0.79.",
            "Divide the bits of a token by the bytes that it covers.",
        ),
        wrong("A, since its perplexity is lower.", "Perplexity is per token, and tokens differ."),
        wrong(
            "Neither: models with different tokenizers cannot be compared by anything at all.",
            "Both predict the same bytes, so bits per byte compare them.",
        ),
        wrong("A: 9 / 4 is less than 30 / 8.", "Take the logarithm first: bits, not choices."),
    ),
)

NORMALISATION = SeveralAnswers(
    "evaluation.normalisation",
    "Answers are scored by their log-likelihood after the question. What is true?",
    (
        right(
            "The plain sum favours short answers.",
            "Every further token has a probability below 1.",
        ),
        right(
            "Subtracting the prior helps against answers that are likely after any question.",
            "What is left is how much the question raised them.",
        ),
        wrong(
            "Dividing by the bytes makes no difference if all answers have equally many tokens.",
            "Answers with equally many tokens may have different numbers of bytes.",
        ),
        wrong(
            "The model's accuracy is the same under each normalisation.",
            "In the notebook it goes from a little better than chance to good.",
        ),
    ),
)

BLEU_SHORT = OneAnswer(
    "evaluation.bleu_short",
    "A system gives, for each of 1 000 sentences, a perfect translation of three words. What is "
    "the corpus BLEU without smoothing?",
    (
        right("0", "Three words have no 4-gram: p4 has nothing to count, and the product is 0."),
        wrong(
            "100, since every hypothesis equals its reference.",
            "That holds only from four words on.",
        ),
        wrong(
            "75, since three of four orders are perfect.",
            "The mean is geometric, so one zero decides.",
        ),
        wrong("It cannot be computed.", "Without any 4-gram it is defined as 0."),
    ),
)

ROUGE = Numeric(
    id="evaluation.rouge_hand",
    prompt="The reference has {reference} words. The candidate is its first {kept} words and then "
    "{extra} words that are not in it. What is ROUGE-L, the F1, from 0 to 1?",
    draw=lambda rng: {
        "reference": rng.randint(8, 14),
        "kept": rng.randint(3, 8),
        "extra": rng.randint(1, 6),
    },
    answer=lambda reference, kept, extra: rouge_l_of_words(
        [f"w{i}" for i in range(kept)] + ["x"] * extra, [f"w{i}" for i in range(reference)]
    ),
    explain=lambda reference, kept, extra: (
        f"L = {kept}, so F1 = 2 · {kept} / ({kept + extra} + {reference}) = "
        f"{2 * kept / (kept + extra + reference):.4f}"
    ),
    slips=(
        Slip(
            "recall",
            lambda reference, kept, extra: kept / reference,
            "That is the recall; F1 includes the precision.",
        ),
    ),
)

MEANING = OneAnswer(
    "evaluation.meaning",
    "A candidate is the reference with one `not` added. What do greedy matches of token vectors "
    "say?",
    (
        right(
            "Nearly 1: every other token finds itself.",
            "Recall is about 1, and one of many tokens lowers the precision a little.",
        ),
        wrong(
            "Nearly 0, because contextual vectors know that the sentence now says the opposite.",
            "The vectors move a little; the tokens are still the same ones.",
        ),
        wrong("Less than for a good paraphrase.", "In the notebook the paraphrase scores lower."),
        wrong("Exactly 1.", "The added token has a worse partner, and the others move a bit."),
    ),
)


def _counts_twice(scope: dict[str, Any]) -> bool:
    found: float = scope["ece"]([0.5, 1.0, 1.0], [0, 1, 1], 2)
    return abs(found - 0.5 / 3) > 1e-9


ECE_BUG = FindTheBug(
    id="evaluation.bug_ece",
    prompt="Three predictions, one in the lower bin, two in the upper one. The result should be "
    "0.5 / 3; it is larger.",
    code="""
def ece(confidences, right, bins):
    total = 0.0
    for b in range(bins):
        pairs = zip(confidences, right)
        inside = [(c, r) for c, r in pairs if b < c * bins <= b + 1]
        if inside:
            gap = sum(r - c for c, r in inside) / len(inside)
            total += abs(gap) / bins
    return total
""",
    line=8,
    fixed="            total += abs(gap) * len(inside) / len(right)",
    why="A bin's weight is its share of the items, not one over the number of bins.",
    why_not={
        2: "A sum over bins starts at 0.",
        3: "Every bin is visited once.",
        4: "Each confidence stands beside its result.",
        6: "A bin without items has no mean, and adds nothing.",
        9: "The sum is the result: its weights add up to 1 once they are right.",
        5: "The bins are as the notebook has them; only a confidence of exactly 0 would get lost.",
        7: "The mean of r − c is the accuracy minus the mean confidence.",
    },
    shows_bug=_counts_twice,
)

METRICS = (
    NEEDED,
    BOOTSTRAP,
    PAIRED,
    WINDOWS,
    TOKENIZERS,
    NORMALISATION,
    BLEU_SHORT,
    ROUGE,
    MEANING,
    ECE_BUG,
)
