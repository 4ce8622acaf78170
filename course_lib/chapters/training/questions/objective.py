"""Questions on the objective: its shift, its first value, what counts, and the first check."""

import math
import random
from typing import Any

import torch

from course_lib.study.ask.question import Numeric, OneAnswer, Option, Slip
from course_lib.training.objective import expected_initial_loss, next_token_loss

SHIFT = OneAnswer(
    id="training.shift",
    prompt="A decoder is trained on the ids [5, 2, 9, 4]. It returns logits of shape (1, 4, V). "
    "Against which id is row 2 of the logits scored (rows are counted from 0)?",
    options=(
        Option(
            "4",
            True,
            "row 2 has read the ids 5, 2 and 9 and is the guess at what follows them.",
        ),
        Option(
            "9",
            False,
            "row 2 has read the 9 already. Scored there, the model would learn to repeat its "
            "input, which it can do without understanding anything.",
        ),
        Option(
            "2",
            False,
            "that id stands before the one that row 2 belongs to. The shift is in the other "
            "direction.",
        ),
        Option(
            "None, since row 2 is the last that is cut off.",
            False,
            "the row that has no target is row 3: nothing follows the last id.",
        ),
    ),
)


FIRST_LOSS = Numeric(
    id="training.first_loss",
    prompt="A fresh model with a vocabulary of {vocabulary} tokens is shown its first batch. Which "
    "loss do you expect, in nats?",
    draw=lambda rng: {"vocabulary": rng.choice([512, 1024, 2048, 4096, 32000, 50257, 151936])},
    answer=lambda vocabulary: expected_initial_loss(vocabulary),
    explain=lambda vocabulary: (
        f"It finds all tokens about equally likely, so each costs ln {vocabulary} = "
        f"{math.log(vocabulary):.4g} nats. A first loss far above means that its first logits are "
        "too large; one far below, that it sees the answer."
    ),
    unit="nats",
    slips=(
        Slip(
            "bits",
            lambda vocabulary: math.log2(vocabulary),
            "That is the loss in bits. Training losses are quoted in nats.",
        ),
        Slip(
            "base 10",
            lambda vocabulary: math.log10(vocabulary),
            "That is the logarithm to base 10. Nats take the natural one.",
        ),
        Slip(
            "share",
            lambda vocabulary: 1 / vocabulary,
            "That is the probability of each token. The loss is minus its logarithm.",
        ),
    ),
)


def _draw_padding(rng: random.Random) -> dict[str, Any]:
    kept = rng.randint(2, 4)
    surprises = [rng.choice([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0]) for _ in range(kept + 3)]
    return {"surprises": surprises, "kept": kept}


def _padded_loss(surprises: list[float], kept: int) -> float:
    """Return the loss of a sequence with these surprises, of which the first `kept` count."""
    size = len(surprises)
    # Two tokens, the second of them right: its surprise is s where the other leads by this much.
    lead = torch.tensor([*surprises, 1.0], dtype=torch.float64).expm1().log()
    logits = torch.stack([lead, torch.zeros_like(lead)], dim=-1)[None]
    counted = torch.arange(size + 1)[None] <= kept
    return next_token_loss(logits, torch.ones(1, size + 1, dtype=torch.long), counted).item()


PADDING = Numeric(
    id="training.padding",
    prompt="The surprises at the targets of one sequence are {surprises} nats. Only the first "
    "{kept} targets are text, the others are padding. What is the loss?",
    draw=_draw_padding,
    answer=_padded_loss,
    explain=lambda surprises, kept: (
        f"Padding is left out of the sum and of the count: {sum(surprises[:kept]):.4g} nats over "
        f"{kept} targets, {_padded_loss(surprises, kept):.4g}."
    ),
    unit="nats",
    slips=(
        Slip(
            "divided by all",
            lambda surprises, kept: sum(surprises[:kept]) / len(surprises),
            "You left the padding out of the sum, but divided by all places. The loss would fall "
            "with each padding token that is added.",
        ),
        Slip(
            "padding included",
            lambda surprises, kept: sum(surprises) / len(surprises),
            "This is the mean over padding too: the model would be taught to write it.",
        ),
        Slip(
            "summed",
            lambda surprises, kept: sum(surprises[:kept]),
            "This is the sum over the targets that count. The loss is their mean.",
        ),
    ),
)


OVERFIT = OneAnswer(
    id="training.overfit",
    prompt="Before a long run you train a new model on one batch of 8 sequences of text, again and "
    "again. After 500 steps its loss on that batch still stands near ln V. What is likely?",
    options=(
        Option(
            "Something is broken: the targets, the gradients or the step.",
            True,
            "a model with many more parameters than the batch has tokens can learn it by heart. "
            "If it does not, no amount of data will help; look for the fault on this one batch.",
        ),
        Option(
            "The batch is too small to learn a language from.",
            False,
            "it is, but nobody asks for a language here. Learning eight sequences by heart needs "
            "no more than eight sequences.",
        ),
        Option(
            "The model overfits.",
            False,
            "overfitting would show as a loss near 0 on this batch. Here that is the aim.",
        ),
        Option(
            "Weight decay holds the weights back.",
            False,
            "at usual strengths it takes a small share of each weight in 500 steps, far too "
            "little to keep the loss at its first value.",
        ),
    ),
)
