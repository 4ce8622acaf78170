"""Questions on conversations as training data: labels, packing, what a base model must know.

Taught in:        fine_tuning
Checked against:  `course_lib.fine_tuning`, from which numeric answers are computed
"""

import random

import torch

from course_lib import fine_tuning
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip

END = OneAnswer(
    id="fine_tuning.end",
    prompt="A fine-tuned model answers well, then goes on: it writes the user's next question, "
    "answers that, and never stops. What is the likeliest mistake in its training data?",
    options=(
        Option(
            "The token that ends a turn had no label.",
            True,
            "the model read the end of each answer, but was never trained to write it.",
        ),
        Option(
            "The questions had no label.",
            False,
            "that is as it should be: users write the questions.",
        ),
        Option(
            "The conversations were packed.",
            False,
            "with a mask and positions of their own, packed conversations train like single ones.",
        ),
        Option(
            "The learning rate was too low for the last token.",
            False,
            "a low rate learns everything more slowly. It does not spare the answers and leave "
            "out the end.",
        ),
    ),
)

FIRST_TOKEN = OneAnswer(
    id="fine_tuning.first_token",
    prompt="`labels` are passed to a loss that shifts them. Somebody shifts them by one in the "
    "data as well. What does the model learn?",
    options=(
        Option(
            "To predict the token after the next one.",
            True,
            "two shifts by one: the logits at t are trained towards the id at t + 2.",
        ),
        Option(
            "To copy its input.",
            False,
            "that would happen with no shift at all: the logits at t would be trained towards the "
            "id at t.",
        ),
        Option(
            "The same as before, but without the first token.",
            False,
            "every target moves, not only the first.",
        ),
        Option(
            "Nothing: the loss stays at log V.",
            False,
            "text two tokens ahead can be predicted a little, so the loss falls, to a value that "
            "is too high. That is why the mistake is hard to see.",
        ),
    ),
)

BUG_LABELS = FindTheBug(
    id="fine_tuning.bug_labels",
    prompt="This should return the labels of one question and one answer. Which line is wrong?",
    code="""
def example(prompt_ids, answer_ids, end):
    ids = prompt_ids + answer_ids + [end]
    labels = [-100] * len(ids)
    start = 1 + len(prompt_ids)
    labels[start:] = ids[start:]
    return ids, labels
""",
    line=4,
    fixed="start = len(prompt_ids)",
    why="The first token of the answer stands at `len(prompt_ids)`. With 1 + it gets no label, "
    "though it often decides how the answer goes on.",
    why_not={
        2: "the end of the turn belongs to the ids, and to the labels.",
        3: "everything is unlabelled at first; -100 is the label that the loss leaves out.",
        5: "labels stand at the place of their own id; the loss does the shift.",
    },
    shows_bug=lambda names: names["example"]([1, 2], [3], 9)[1] != [-100, -100, 3, 9],
)

SEPARATE = OneAnswer(
    id="fine_tuning.separate",
    prompt="With a subword tokenizer, prompt and answer encoded apart may differ from both encoded "
    "together. Which ids should training use?",
    options=(
        Option(
            "Those encoded apart, joined.",
            True,
            "at generation the model is given the finished tokens of the prompt, and continues "
            "from there.",
        ),
        Option(
            "Those encoded together: they are fewer.",
            False,
            "a token across the boundary cannot be generated after a prompt that has ended.",
        ),
        Option(
            "It does not matter: both decode to the same text.",
            False,
            "the model sees ids, not text. A boundary that it never saw in training is unfamiliar.",
        ),
    ),
)

PACKING = SeveralAnswers(
    id="fine_tuning.packing",
    prompt="Three conversations are packed into one row. What is needed, in a model with learned "
    "positions, so that the loss is that of the three alone?",
    options=(
        Option(
            "A mask that keeps each conversation to itself",
            True,
            "with a causal mask alone, later conversations read earlier ones.",
        ),
        Option(
            "Positions that start again at 0",
            True,
            "with learned positions this is necessary; with RoPE only distances within a "
            "conversation count, so it is harmless there.",
        ),
        Option(
            "No label for the first token of a conversation",
            True,
            "it would be predicted from the last token of the one before.",
        ),
        Option(
            "The mean of the three mean losses",
            False,
            "the mean goes over all labelled tokens. A mean of means weighs a short answer as much "
            "as a long one.",
        ),
        Option(
            "The same length for all three",
            False,
            "packing is there because lengths differ.",
        ),
    ),
)


def _draw_lengths(rng: random.Random) -> dict[str, int]:
    return {"first": rng.randint(3, 9), "second": rng.randint(10, 16)}


def _pairs(first: int, second: int) -> float:
    documents = torch.tensor([[0] * first + [1] * second])
    return float(fine_tuning.packed_mask(documents).sum())


PACKED_PAIRS = Numeric(
    id="fine_tuning.packed_pairs",
    prompt="Two conversations of {first} and {second} tokens are packed into a row. In how many "
    "(query, key) pairs may the query read the key?",
    draw=_draw_lengths,
    answer=_pairs,
    explain=lambda first, second: (
        f"n(n + 1)/2 for each: {first * (first + 1) // 2} + {second * (second + 1) // 2} = "
        f"{(first * (first + 1) + second * (second + 1)) // 2}."
    ),
    slips=(
        Slip(
            "one causal mask",
            lambda first, second: (first + second) * (first + second + 1) / 2,
            "this lets the second conversation read the first.",
        ),
        Slip(
            "without the diagonal",
            lambda first, second: (first * (first - 1) + second * (second - 1)) / 2,
            "a token may read itself.",
        ),
        Slip(
            "both directions",
            lambda first, second: first**2 + second**2,
            "within a conversation the mask is causal.",
        ),
    ),
)

BASE_LACKS = OneAnswer(
    id="fine_tuning.base_lacks",
    prompt="A small base model solves sums on the pages that it was trained on. Sixty steps of "
    "fine-tuning on conversations later it answers in the right form and nearly always wrongly. In "
    "its pages, answers followed questions at once. What is the best remedy?",
    options=(
        Option(
            "Let the base read more pages, in which something stands between the two.",
            True,
            "a skill that is tied to one layout does not move to a different one: the base must "
            "read the new distance where there is much data. A short fine-tuning teaches a form, "
            "not a skill.",
        ),
        Option(
            "A ten times higher learning rate for the fine-tuning, and ten times as many steps",
            False,
            "large steps on little data damage what the base knows.",
        ),
        Option(
            "LoRA of a higher rank",
            False,
            "even full fine-tuning, which has every rank, fails here.",
        ),
        Option(
            "Labels for the questions too",
            False,
            "the operands of a question cannot be predicted; their loss is noise.",
        ),
    ),
)
