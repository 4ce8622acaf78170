"""Questions on one step: the loop, AdamW, the schedule, clipping and accumulation."""

import math
import random
from typing import Any

import torch

from course_lib.study.ask.question import (
    FindTheBug,
    Mistake,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    PredictOutput,
    Slip,
)
from course_lib.training.gradients import clipped
from course_lib.training.optimizer import adamw_update
from course_lib.training.schedule import cosine_rate

LOOP = OrderSteps(
    id="training.loop",
    prompt="Put one step of training in order. Gradients are cleared at its beginning.",
    steps=(
        "Draw a batch and clear all gradients.",
        "Run the model and compute the loss.",
        "Run backward, which computes the gradients.",
        "Measure the norm of all gradients, and clip them if it is above the limit.",
        "Let the optimizer change the weights.",
    ),
    explanation="Clipping comes between backward and the step: before backward there is nothing to "
    "clip, and after the step it is too late. Clearing may come at the beginning or after the "
    "step, but never between backward and the step.",
)


ADDED_UP = PredictOutput(
    id="training.added_up",
    prompt="What does this print?",
    code="""
import torch

w = torch.tensor(2.0, requires_grad=True)
for _ in range(3):
    (3 * w).backward()
print(w.grad.item())
""",
    why="The derivative of 3w is 3, and each backward() adds it to what is already in w.grad: 3, "
    "6, 9. A training loop has to clear it.",
    mistakes=(
        Mistake("3.0", "Each backward() adds its gradient to the one that is there."),
        Mistake("6.0", "The value of w plays no part: the derivative of 3w is 3, three times."),
        Mistake("18.0", "What adds up is the derivative, 3, and not the loss, 6."),
    ),
)


def _draw_first_step(rng: random.Random) -> dict[str, Any]:
    return {
        "weight": rng.choice([0.5, 1.0, 2.0, -1.0]),
        "gradient": rng.choice([-1, 1]) * rng.choice([0.002, 0.02, 5.0, 40.0]),
        "rate": rng.choice([0.01, 0.05, 0.1]),
    }


def _first_step(weight: float, gradient: float, rate: float) -> float:
    w, g = (torch.tensor([x], dtype=torch.float64) for x in (weight, gradient))
    zero = torch.zeros(1, dtype=torch.float64)
    return adamw_update(w, g, zero, zero, 1, rate, weight_decay=0.0)[0].item()


FIRST_STEP = Numeric(
    id="training.first_step",
    prompt="A weight of {weight} has the gradient {gradient}. AdamW takes its first step with a "
    "learning rate of {rate}, betas (0.9, 0.999), a tiny epsilon and no weight decay. What is the "
    "weight after it?",
    draw=_draw_first_step,
    answer=_first_step,
    tolerance=0.001,
    explain=lambda weight, gradient, rate: (
        "After one step the corrected m is g and the corrected v is g², so m / √v is the sign of "
        f"the gradient. The weight moves by the learning rate: "
        f"{weight} {'−' if gradient > 0 else '+'} {rate} = "
        f"{_first_step(weight, gradient, rate):.4g}."
    ),
    slips=(
        Slip(
            "plain descent",
            lambda weight, gradient, rate: weight - rate * gradient,
            "That is a step of plain gradient descent. AdamW divides the gradient by its size.",
        ),
        Slip(
            "no correction",
            lambda weight, gradient, rate: (
                weight - math.copysign(rate * 0.1 / math.sqrt(0.001), gradient)
            ),
            "You used m = 0.1 g and v = 0.001 g² without correction. The bias correction turns "
            "them into g and g².",
        ),
        Slip(
            "uphill",
            lambda weight, gradient, rate: weight + math.copysign(rate, gradient),
            "The size of the step is right, but it must go against the gradient.",
        ),
    ),
)


DECOUPLED = OneAnswer(
    id="training.decoupled",
    prompt="Two weights are equal. For a long time the gradient of the first has been a hundred "
    "times as large as that of the second, both with alternating sign. How does weight decay act "
    "on them?",
    options=(
        Option(
            "In AdamW both shrink equally; with an L2 term in the gradient the first shrinks a "
            "hundred times less.",
            True,
            "AdamW subtracts rate · λ · weight from both. An L2 term is divided by √v together "
            "with the gradient, and √v of the first is a hundred times as large.",
        ),
        Option(
            "In AdamW the first shrinks a hundred times less; with an L2 term in the gradient "
            "both shrink equally.",
            False,
            "it is the reverse: decoupled means that the decay does not depend on v.",
        ),
        Option(
            "Both shrink equally in both cases.",
            False,
            "that holds for plain gradient descent, where L2 and decay are the same. Adam divides.",
        ),
        Option(
            "The first shrinks a hundred times more in both cases.",
            False,
            "a larger gradient never strengthens the decay; in an L2 term it weakens it, through "
            "√v.",
        ),
    ),
)


def _draw_rate(rng: random.Random) -> dict[str, Any]:
    warmup = rng.choice([50, 100, 200])
    steps = warmup + 1000
    peak, final = rng.choice([(0.001, 0.0001), (0.002, 0.0002), (0.004, 0.0004)])
    step = warmup + rng.choice([300, 350, 400, 600, 700, 800])
    return {"step": step, "warmup": warmup, "steps": steps, "peak": peak, "final": final}


def _without_final(step: int, warmup: int, steps: int, peak: float, final: float) -> float:
    return cosine_rate(step, warmup=warmup, steps=steps, peak=peak)


def _explain_rate(step: int, warmup: int, steps: int, peak: float, final: float) -> str:
    progress = (step - warmup) / (steps - warmup)
    share = (1 + math.cos(math.pi * progress)) / 2
    rate = cosine_rate(step, warmup=warmup, steps=steps, peak=peak, final=final)
    return (
        f"{step - warmup} of {steps - warmup} steps after the warm-up are done, a share of "
        f"{progress:.2f}. The cosine leaves (1 + cos(π · {progress:.2f})) / 2 = {share:.4f} of the "
        f"span: {final:g} + {peak - final:g} · {share:.4f} = {rate:.4g}."
    )


RATE = Numeric(
    id="training.rate",
    prompt="The learning rate warms up over {warmup} steps to {peak:g}, then follows a cosine down "
    "to {final:g} at step {steps}. What is it at step {step}?",
    draw=_draw_rate,
    answer=lambda step, warmup, steps, peak, final: cosine_rate(
        step, warmup=warmup, steps=steps, peak=peak, final=final
    ),
    explain=_explain_rate,
    slips=(
        Slip(
            "a straight line",
            lambda step, warmup, steps, peak, final: (
                peak - (peak - final) * (step - warmup) / (steps - warmup)
            ),
            "You used a straight line. The cosine is above it at first, and below it later.",
        ),
        Slip(
            "to zero",
            _without_final,
            "Your cosine falls to 0. It ends at the final rate.",
        ),
    ),
)


def _draw_clip(rng: random.Random) -> dict[str, Any]:
    a, b = rng.choice([(3, 4), (5, 12), (8, 6), (15, 8)])
    return {"first": a, "second": b, "limit": rng.choice([0.5, 1.0, 2.0])}


CLIP = Numeric(
    id="training.clip",
    prompt="A model has two tensors whose gradients have the norms {first} and {second}. They are "
    "clipped by their global norm to {limit}. What is the norm of the first gradient afterwards?",
    draw=_draw_clip,
    answer=lambda first, second, limit: (
        clipped([torch.tensor([first]).double(), torch.tensor([second]).double()], limit)[0]
        .norm()
        .item()
    ),
    explain=lambda first, second, limit: (
        f"Together they have length √({first}² + {second}²) = {math.hypot(first, second):g}. Both "
        f"are multiplied by {limit:g} / {math.hypot(first, second):g}, and the norm of the "
        f"first becomes {first * limit / math.hypot(first, second):.4g}."
    ),
    slips=(
        Slip(
            "by itself",
            lambda first, second, limit: limit,
            "You clipped the first tensor separately. Both get one factor, from the global norm.",
        ),
        Slip(
            "lengths added",
            lambda first, second, limit: first * limit / (first + second),
            "You added the two norms. Add their squares, and take the root of the sum.",
        ),
        Slip(
            "no root",
            lambda first, second, limit: first * limit / (first**2 + second**2),
            "You divided by the sum of the squares. Take its root first.",
        ),
    ),
)


def _accumulates_wrongly(names: dict[str, Any]) -> bool:
    weight = torch.zeros(2, requires_grad=True)
    rows = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0], [2.0, 2.0]])
    names["gradient_of"](weight, rows.split(1), lambda w, x: ((x @ w - 1) ** 2).mean())
    expected = (2 * (rows @ torch.zeros(2) - 1)[:, None] * rows).mean(0)
    assert weight.grad is not None
    return not torch.allclose(weight.grad, expected)


BUG_ACCUMULATE = FindTheBug(
    id="training.bug_accumulate",
    prompt="This should leave in `weight.grad` the gradient of the mean loss over a batch given in "
    "parts of equal size. With plain gradient descent, training behaves as if the learning rate "
    "were too high, and more so with more parts.",
    code="""
def gradient_of(weight, parts, mean_loss):
    weight.grad = None
    for part in parts:
        mean_loss(weight, part).backward()
""",
    line=4,
    fixed="(mean_loss(weight, part) / len(parts)).backward()",
    why="backward() adds up the gradients of all parts, so four parts give four times the mean. "
    "Divide each loss by the number of parts (or, if parts differ in size, multiply it by the "
    "part's share of the targets).",
    why_not={
        1: "everything that is needed is passed in.",
        2: "the gradient is cleared once per step. Inside the loop that would be wrong.",
        3: "every part is used once.",
    },
    shows_bug=_accumulates_wrongly,
)
