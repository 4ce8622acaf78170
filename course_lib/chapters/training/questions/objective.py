"""Questions on the objective: its shift, its first value, padding, and the first check."""

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
            "row 2 has read the ids 5, 2 and 9 and predicts the next one.",
        ),
        Option(
            "9",
            False,
            "row 2 has already read the 9. Scored there, the model would learn to repeat its "
            "input, which takes no understanding.",
        ),
        Option(
            "2",
            False,
            "that id comes before the one that row 2 read last. The shift goes in the other "
            "direction.",
        ),
        Option(
            "None, since row 2 is the last row and is cut off.",
            False,
            "the row without a target is row 3: nothing follows the last id.",
        ),
    ),
)


FIRST_LOSS = Numeric(
    id="training.first_loss",
    prompt="An untrained model with a vocabulary of {vocabulary} tokens sees its first batch. What "
    "loss do you expect, in nats?",
    draw=lambda rng: {"vocabulary": rng.choice([512, 1024, 2048, 4096, 32000, 50257, 151936])},
    answer=lambda vocabulary: expected_initial_loss(vocabulary),
    explain=lambda vocabulary: (
        f"It finds all tokens about equally likely, so each costs ln {vocabulary} = "
        f"{math.log(vocabulary):.4g} nats. A first loss far above that means that the initial "
        "logits are too large; one far below, that the model can see the answer."
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
            "That is the logarithm to base 10. Nats use the natural logarithm.",
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
    """Return the loss of a sequence with these target losses, of which the first `kept` count."""
    size = len(surprises)
    # Two tokens, of which the second is the target: its loss is s if the other leads by this much.
    lead = torch.tensor([*surprises, 1.0], dtype=torch.float64).expm1().log()
    logits = torch.stack([lead, torch.zeros_like(lead)], dim=-1)[None]
    counted = torch.arange(size + 1)[None] <= kept
    return next_token_loss(logits, torch.ones(1, size + 1, dtype=torch.long), counted).item()


PADDING = Numeric(
    id="training.padding",
    prompt="The losses of the targets of one sequence are {surprises} nats. Only the first {kept} "
    "targets are text, the others are padding. What is the loss of the sequence?",
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
            "You left the padding out of the sum, but divided by all positions. The loss would "
            "fall with each padding token that is added.",
        ),
        Slip(
            "padding included",
            lambda surprises, kept: sum(surprises) / len(surprises),
            "This mean includes padding: the model would be trained to generate it.",
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
    prompt="Before a long run you train a new model on one batch of 8 text sequences, again and "
    "again. After 500 steps its loss on that batch is still near ln V. What is the likely cause?",
    options=(
        Option(
            "Something is broken: the targets, the gradients or the step.",
            True,
            "a model with many more parameters than the batch has tokens can memorize it. If it "
            "does not, more data will not help; look for the fault on this one batch.",
        ),
        Option(
            "The batch is too small to learn a language from.",
            False,
            "that is true, but the aim here is to memorize eight sequences, and for that eight "
            "sequences are enough.",
        ),
        Option(
            "The model overfits.",
            False,
            "overfitting would show as a loss near 0 on this batch. Here that is the goal.",
        ),
        Option(
            "Weight decay holds the weights back.",
            False,
            "at typical strengths it removes a small share of each weight in 500 steps, far too "
            "little to keep the loss at its initial value.",
        ),
    ),
)
