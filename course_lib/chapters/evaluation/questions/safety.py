"""Questions on judges, contamination, filters, refusals, memory and watermarks.

Taught in:        evaluation
Checked against:  `course_lib.evaluation`
"""

import math

import torch

from course_lib.evaluation import exposure, precision_at_rate, tokens_needed
from course_lib.study.ask.question import Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong

JUDGE = OneAnswer(
    "evaluation.judge",
    "A judge that always names the first answer compares your model, shown first, with another. "
    "What do you see, and what would you see in both orders?",
    (
        right(
            "A win rate of 100 %; in both orders 50 %, with a consistency of 0 %.",
            "Swapping the answers swaps every verdict, so each pair is a tie.",
        ),
        wrong(
            "A win rate of 50 %, and the same in both orders, since the bias cancels by itself.",
            "In one order nothing cancels.",
        ),
        wrong("A win rate of 100 % in both cases.", "Then the other model is first."),
        wrong("Nothing: such a judge would be noticed.", "In one order it looks very decided."),
    ),
)

ELO = OneAnswer(
    "evaluation.elo",
    "The same games are fed to Elo and to Bradley–Terry, in a different order. What changes?",
    (
        right("Elo's ratings only.", "Elo moves after each game; Bradley–Terry sees only counts."),
        wrong(
            "Both, since each of them is updated game by game, with a step that shrinks.",
            "Bradley–Terry maximises the likelihood of all games together.",
        ),
        wrong("Neither.", "Elo's last games count most."),
        wrong("Bradley–Terry's ratings only.", "It depends on the counts alone."),
    ),
)

MINHASH = OneAnswer(
    "evaluation.minhash_error",
    "Two documents have a Jaccard similarity of 0.5. What is the standard deviation of its "
    "estimate from 400 minima?",
    (
        right(
            "2.5 points: sqrt(0.5 · 0.5 / 400).",
            "Each minimum is equal with probability 0.5: a share of 400 coins.",
        ),
        wrong("0, since minima are exact.", "The minima are exact, but functions are drawn."),
        wrong(
            "It depends on the length of both documents, and cannot be said without them.",
            "It depends on the similarity and the number of functions only.",
        ),
        wrong("0.125 points: 0.5 / 400.", "The error goes with one over the root of 400."),
    ),
)

BASE_RATE = Numeric(
    id="evaluation.base_rate",
    prompt="A filter flags {recall} % of the harmful requests and {alarms} % of the harmless ones. "
    "One request in {one_in} is harmful. What fraction of the flagged is harmful (0 to 1)?",
    draw=lambda rng: {
        "recall": rng.choice([91, 94, 97]),
        "alarms": rng.choice([2, 3, 4]),
        "one_in": rng.choice([200, 300, 700]),
    },
    answer=lambda recall, alarms, one_in: precision_at_rate(recall / 100, alarms / 100, 1 / one_in),
    explain=lambda recall, alarms, one_in: (
        f"Of {one_in} requests, {recall / 100:g} harmful ones are flagged on average, and "
        f"{alarms / 100 * (one_in - 1):.2f} harmless ones: "
        f"{recall / (recall + alarms * (one_in - 1)):.5f}"
    ),
    tolerance=0.02,
    slips=(
        Slip(
            "balanced classes",
            lambda recall, alarms, one_in: recall / (recall + alarms),
            "That would be the precision if half of the requests were harmful.",
        ),
    ),
)

REFUSAL = SeveralAnswers(
    "evaluation.refusal",
    "Which of these would reveal that a model's refusals were learned from the form of the "
    "training examples?",
    (
        right(
            "Asking the same in an order that never occurred in training.",
            "In the notebook no such question is declined.",
        ),
        right(
            "Harmless questions that share words with the forbidden ones.",
            "If they are declined, it is the words that decide.",
        ),
        wrong(
            "More questions of the kind used in training, to make the interval of the rate narrow.",
            "They repeat the form, however many there are.",
        ),
        wrong("A lower training loss.", "It says how well the examples are fitted."),
    ),
)


def _exposure(digits: int, rank: int) -> float:
    return exposure(torch.arange(10**digits, 0, -1).float(), rank - 1)


EXPOSURE = Numeric(
    id="evaluation.exposure_value",
    prompt="A code has {digits} digits. The model ranks the true one {rank} among all codes. What "
    "is its exposure, in bits?",
    draw=lambda rng: {"digits": rng.randint(2, 4), "rank": rng.choice([1, 2, 4, 8, 16])},
    answer=_exposure,
    explain=lambda digits, rank: (
        f"log2(10^{digits}) − log2({rank}) = {digits * math.log2(10):.2f} − {math.log2(rank):g} = "
        f"{_exposure(digits, rank):.3f}"
    ),
    slips=(
        Slip(
            "decimal digits",
            lambda digits, rank: digits - math.log10(rank),
            "Bits are logarithms to the base 2.",
        ),
    ),
)

COPIES = OneAnswer(
    "evaluation.copies",
    "Which of these lowers the exposure of a secret most, at no cost in quality?",
    (
        right("Removing duplicates of the text.", "Exposure grows with the number of copies."),
        wrong(
            "Training longer with a lower learning rate, until the held-out loss has converged.",
            "More passes over the text are more copies.",
        ),
        wrong("A larger model.", "Larger models remember more, not less."),
        wrong("Greedy decoding.", "It gives out exactly what is likeliest."),
    ),
)

WATERMARK = Numeric(
    id="evaluation.watermark_length",
    prompt="With γ = 0.5, {share} % of the pairs of a marked text are green. How many different "
    "pairs does it take, on average, until z reaches 4?",
    draw=lambda rng: {"share": rng.choice([60, 65, 70, 75, 80, 90])},
    answer=lambda share: tokens_needed(share / 100, 0.5, 4.0),
    explain=lambda share: (
        f"z = (p − γ) · sqrt(T / 0.25) with p = {share / 100}: "
        f"T = 0.25 · (4 / {share / 100 - 0.5:.2f})² = {tokens_needed(share / 100, 0.5, 4.0):.2f}"
    ),
    slips=(
        Slip(
            "without the square",
            lambda share: 0.25 * 4 / (share / 100 - 0.5),
            "z grows with the square root of T.",
        ),
    ),
)

REPEAT = OrderSteps(
    "evaluation.repeat",
    "You want to say that model A is better than model B, so that others can check it.",
    (
        "Fix the items, the prompt and the normalisation, and hash them.",
        "Run both models on the same items, with the seed kept.",
        "Store every answer and score, with versions and hashes of the weights.",
        "Take the difference item by item, with its interval.",
        "Report difference, interval and number of items.",
    ),
    "What is decided after the results have been seen is no test any more.",
)

SAFETY = (
    JUDGE,
    ELO,
    MINHASH,
    BASE_RATE,
    REFUSAL,
    EXPOSURE,
    COPIES,
    WATERMARK,
    REPEAT,
)
