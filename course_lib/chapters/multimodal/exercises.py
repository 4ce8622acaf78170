"""The exercises of this chapter, in the notebook's order."""

import random

import torch

from course_lib import multimodal
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _any_input(rng: random.Random) -> Call:
    """Return a valid input. FILL: every shape, type and value that the statement allows."""
    shape = [rng.randint(1, 5) for _ in range(rng.randint(0, 3))]
    return call(random_tensor(rng, *shape), rng.choice([0.0, -1.5, 3.0, 0.25]))


SCALED = Exercise(
    id="multimodal.scaled",
    title="FILL: What the learner builds",
    minutes=5,
    difficulty=1,
    statement="Return x, of any shape, times the number `factor`. FILL: say what goes in, what "
    "comes out, and what happens at the edges.",
    solution=multimodal.scaled,
    reference=lambda x, factor: torch.mul(x, factor),
    probes=(
        Probe(
            "three numbers",
            lambda: call(torch.tensor([1.0, 2.0, 4.0]), 3.0),
            "Each number is three times as large.",
            gradient=True,
        ),
        Probe(
            "a factor of zero",
            lambda: call(torch.tensor([[1.0, -2.0], [0.5, 8.0]]), 0.0),
            "Zero times anything is zero, in the shape of x.",
        ),
        Probe(
            "a negative factor",
            lambda: call(torch.tensor([1.0, -2.0]), -0.5),
            "The sign of every number changes.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the factor added",
            lambda x, factor: x + factor,
            "FILL: Say what is wrong and what to do: multiply, `x * factor`.",
        ),
        Misconception(
            "divided by the factor",
            lambda x, factor: x / factor,
            "FILL: Say what is wrong and what to do: a factor of 2 doubles x.",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, factor: x.detach() * factor,
            "FILL: Say what is wrong and what to do: leave out `detach()`, or nothing learns.",
        ),
        Misconception(
            "the sign of the factor lost",
            lambda x, factor: x * abs(factor),
            "FILL: Say what is wrong and what to do: a negative factor changes the sign.",
        ),
    ),
    alternatives=(
        Alternative("a sum of parts", lambda x, factor: x * (factor - 1) + x),
        Alternative("by torch.mul", lambda x, factor: torch.mul(x, factor)),
        Alternative(
            "number by number",
            lambda x, factor: torch.stack([each * factor for each in x.flatten()]).reshape(x.shape),
        ),
    ),
    generator=_any_input,
    hints=(
        "FILL: A question that leads to the idea.",
        "FILL: The idea, without the line of code.",
    ),
)

EXERCISES = (SCALED,)
