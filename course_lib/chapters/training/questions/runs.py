"""Questions on runs: resuming, number types, the phase change, and scaling laws."""

import math
import random
from typing import Any

from course_lib.study.ask.question import Numeric, OneAnswer, Option, SeveralAnswers, Slip
from course_lib.training.scaling import ScalingLaw, fit_power_law

RESUME = SeveralAnswers(
    id="training.resume",
    prompt="A run is killed and resumed from a file. What must the file contain, besides the "
    "weights, so that the next weights are bit for bit those of a run without interruption?",
    options=(
        Option(
            "AdamW's m and v for each parameter.",
            True,
            "the next step is computed from them. With zeros in their place it would be different.",
        ),
        Option(
            "The number of steps done.",
            True,
            "the schedule and the bias correction depend on it.",
        ),
        Option(
            "The state of the random generator, or the position in the data.",
            True,
            "the next batch depends on it. Started from the seed again, the run would see its "
            "first batches once more.",
        ),
        Option(
            "The gradients of the last step.",
            False,
            "they have been used, and are cleared before the next step.",
        ),
        Option(
            "The losses so far.",
            False,
            "they are worth keeping for the loss curve, but no step depends on them.",
        ),
    ),
)


BFLOAT16 = OneAnswer(
    id="training.bfloat16",
    prompt="A weight of 1.0 should increase by 0.001. bfloat16 has 8 bits of precision: the next "
    "number above 1 is 1.0078. What happens if the weight itself is stored in bfloat16?",
    options=(
        Option(
            "It stays at 1.0, every time.",
            True,
            "1.001 rounds to 1.0. Small steps are lost one by one, however many there are. Mixed "
            "precision keeps the weights in float32 and rounds only for the products.",
        ),
        Option(
            "It becomes 1.001 with a small error.",
            False,
            "the neighbors of 1.0 are 0.9961 and 1.0078; the number nearest to 1.001 is 1.",
        ),
        Option(
            "It becomes 1.0078.",
            False,
            "rounding goes to the nearest number, and 1.0 is much nearer.",
        ),
        Option(
            "It overflows.",
            False,
            "bfloat16 has the range of float32. It lacks precision.",
        ),
    ),
)


CLIFF = OneAnswer(
    id="training.cliff",
    prompt="A small model is trained on text and on random ids that repeat. For a long time the "
    "loss on the repeats hardly moves, while the loss on text falls. Then the loss on the repeats "
    "drops to a fraction within a few hundred steps. What happened?",
    options=(
        Option(
            "Heads in two layers learned to work together.",
            True,
            "neither helps the repeats alone: one must attend to the previous token, the other "
            "must use what the first one wrote. Once both do so a little, each makes the other's "
            "gradient larger.",
        ),
        Option(
            "The model memorized the repeated sequences.",
            False,
            "they are drawn anew for each batch, so there is nothing to memorize.",
        ),
        Option(
            "The learning rate was lowered at that moment.",
            False,
            "the schedule is smooth and has no jump at that step.",
        ),
        Option(
            "The embeddings of the last rare tokens had finally been trained.",
            False,
            "that happens gradually. And a model with one layer of attention would not show the "
            "drop even with all embeddings trained.",
        ),
    ),
)


def _draw_exponent(rng: random.Random) -> dict[str, Any]:
    times, true = rng.choice([4, 10, 16, 100]), rng.choice([0.22, 0.27, 0.31, 0.38, 0.46])
    first = rng.choice([1.6, 2.4, 3.2])
    return {"times": times, "first": first, "second": round(first * times**-true, 3)}


def _exponent(times: int, first: float, second: float) -> float:
    return fit_power_law([1.0, float(times)], [first, second]).exponent


EXPONENT = Numeric(
    id="training.exponent",
    prompt="The part of the loss that falls with the number of parameters is {first} nats for one "
    "model, and {second} nats for a model with {times} times as many parameters. It follows "
    "A · N^(−α). What is α?",
    draw=_draw_exponent,
    answer=_exponent,
    explain=lambda times, first, second: (
        f"{times}^α = {first} / {second} = {first / second:.4g}, so α = ln {first / second:.4g} / "
        f"ln {times} = {_exponent(times, first, second):.4g}."
    ),
    slips=(
        Slip(
            "slope on plain axes",
            lambda times, first, second: (first - second) / (times - 1),
            "That is the slope between the two points on plain axes. A power is a straight line "
            "through the logarithms.",
        ),
        Slip(
            "only the loss as a logarithm",
            lambda times, first, second: math.log(first / second) / (times - 1),
            "You took the logarithm of the losses only. Take the logarithm of the sizes too.",
        ),
        Slip(
            "upside down",
            lambda times, first, second: math.log(times) / math.log(first / second),
            "That is 1/α. Divide the logarithm of the losses by that of the sizes.",
        ),
    ),
)


def _draw_budget(rng: random.Random) -> dict[str, Any]:
    return {"parameters": rng.choice([3, 6, 7]), "times": rng.choice([5, 10, 20])}


BUDGET = Numeric(
    id="training.budget",
    prompt="A family of models follows the law E + A·N^(−α) + B·D^(−β) with α = β. For a certain "
    "training budget in FLOPs, {parameters} million parameters are best. The budget becomes "
    "{times} times as large. How many million parameters are best now?",
    draw=_draw_budget,
    answer=lambda parameters, times: parameters * _growth(times),
    explain=lambda parameters, times: (
        "Training costs 6 · N · D, and the best N grows as the budget to the power β / (α + β), "
        f"here ½. So N and D each grow by √{times} = {_growth(times):.4g}: "
        f"{parameters * _growth(times):.4g} million."
    ),
    unit="million",
    slips=(
        Slip(
            "all into parameters",
            lambda parameters, times: parameters * times,
            "You put the whole budget into parameters. More parameters need more text as well.",
        ),
        Slip(
            "all into text",
            lambda parameters, times: parameters,
            "You put the whole budget into text. Both terms of the law should shrink.",
        ),
    ),
)


def _growth(times: int) -> float:
    """Return the factor by which the best size grows with the budget, for equal exponents."""
    law = ScalingLaw(floor=1.0, a=400.0, alpha=0.34, b=400.0, beta=0.34)
    return law.best_size(1e18 * times) / law.best_size(1e18)
