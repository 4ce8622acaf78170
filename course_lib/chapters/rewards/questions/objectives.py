"""Questions on GRPO, its loss, and the distance to the reference."""

import random
from statistics import mean, stdev
from typing import Any

import torch

from course_lib.rewards import group_advantages
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip


def _draw_group(rng: random.Random) -> dict[str, Any]:
    size = rng.choice((4, 5, 8))
    return {"size": size, "right": rng.randint(1, size - 1)}


def _advantage(size: int, right: int) -> float:
    rewards = torch.tensor([[1.0] * right + [0.0] * (size - right)], dtype=torch.float64)
    return group_advantages(rewards, epsilon=0.0)[0, 0].item()


def _population(size: int, right: int) -> float:
    share = right / size
    return (1 - share) / (share * (1 - share)) ** 0.5


ADVANTAGE = Numeric(
    id="rewards.advantage",
    prompt="{right} of {size} answers to a prompt got reward 1, the others 0. "
    "The standard deviation divides by G − 1, and epsilon is left out. What advantage does GRPO "
    "give to one with reward 1?",
    draw=_draw_group,
    answer=_advantage,
    explain=lambda size, right: (
        f"The mean is {right / size:g}, the deviation "
        f"{stdev([1.0] * right + [0.0] * (size - right)):.4g}, so the advantage is "
        f"(1 − {mean([1.0] * right + [0.0] * (size - right)):g}) divided by it, "
        f"{_advantage(size, right):.4g}."
    ),
    slips=(
        Slip(
            "not divided",
            lambda size, right: 1 - right / size,
            "That is the distance from the mean, as Dr. GRPO uses it. GRPO divides by the "
            "deviation.",
        ),
        Slip(
            "divided by G",
            _population,
            "That deviation divides by G. Here it divides by G − 1.",
        ),
    ),
    tolerance=0.01,
)

LOSS_ZERO = OneAnswer(
    id="rewards.loss_zero",
    prompt="A GRPO run without a KL penalty, one update for each batch, prints a loss of 1e-8 at "
    "every step. What does that say?",
    options=(
        Option(
            "Nothing: with one update all ratios are 1, and the advantages of a group add up to 0.",
            True,
            "the value is 0 by construction; the gradient is not. Look at the rewards instead.",
        ),
        Option(
            "The run has converged: the gradient vanishes with the loss.",
            False,
            "a loss of 0 is not a minimum here. The gradient can be as large as ever.",
        ),
        Option(
            "The rewards are all equal, so no group teaches anything.",
            False,
            "then the gradient would be 0 as well. The loss is 0 in any case.",
        ),
        Option(
            "The learning rate is too small.",
            False,
            "the loss is computed before the step, so the rate has no influence on it.",
        ),
    ),
)

SILENT = SeveralAnswers(
    id="rewards.silent",
    prompt="After 80 steps of GRPO, 60 % of the groups give no signal. Which of these may be true?",
    options=(
        Option(
            "Most questions have become so easy that all answers are right.",
            True,
            "equal rewards, all 1, give advantages of 0.",
        ),
        Option(
            "Some questions are so hard that all answers are wrong.",
            True,
            "equal rewards, all 0, give advantages of 0 too.",
        ),
        Option(
            "Sampling more answers to a question, or choosing questions of medium difficulty, "
            "would help.",
            True,
            "both make it likelier that a group contains right and wrong answers. DAPO samples "
            "until a batch is full of such groups.",
        ),
        Option(
            "Dividing by the standard deviation amplifies these groups.",
            False,
            "0 divided by epsilon stays 0.",
        ),
    ),
)

KL_LOSS = OneAnswer(
    id="rewards.kl_loss",
    prompt="You want the gradient of KL(π‖ref) from the policy's own samples, by autograd through "
    "an estimator that is added to the loss. Which estimator gives it on average?",
    options=(
        Option(
            "k2 = d² / 2",
            True,
            "its gradient is d ∇log π, whose mean is the gradient of the KL divergence, although "
            "the value of k2 is biased.",
        ),
        Option(
            "k1 = d",
            False,
            "its gradient is ∇log π, whose mean is 0: as a loss it does nothing but add noise.",
        ),
        Option(
            "k3 = exp(−d) − 1 + d",
            False,
            "its gradient is (1 − ref/π) ∇log π, on average that of KL(ref‖π), the other "
            "direction. GRPO uses it, and it does hold the policy back.",
        ),
        Option(
            "All of them, since all estimate the same KL.",
            False,
            "an unbiased value has no unbiased gradient here: the samples depend on the policy "
            "too, and autograd does not see that.",
        ),
    ),
)


def _counts_padding(names: dict[str, Any]) -> bool:
    values = torch.tensor([[1.0, 5.0, 5.0], [2.0, 2.0, 2.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    return not torch.isclose(names["average"](values, mask), torch.tensor(1.5))


BUG_LOSS = FindTheBug(
    id="rewards.bug_loss",
    prompt="This function should average a loss over the tokens of each answer, then over the "
    "answers. Short answers hardly count.",
    code="""
import torch
def average(values, mask):
    kept = torch.where(mask, values, 0.0)
    per_answer = kept.mean(-1)
    loss = per_answer.mean()
    return loss
""",
    line=4,
    fixed="per_answer = kept.sum(-1) / mask.sum(-1)",
    why="`mean` divides by the padded length, so an answer of one token in a batch of length 30 "
    "counts a thirtieth of what it should. Divide by the number of its own tokens.",
    why_not={
        3: "padding contributes nothing to the sum.",
        5: "each answer counts the same, as in GRPO.",
    },
    shows_bug=_counts_padding,
)

STEPS = OrderSteps(
    id="rewards.steps",
    prompt="Put one step of GRPO in order.",
    steps=(
        "Draw some prompts.",
        "Sample a group of answers to each, and keep the log-probabilities of their tokens.",
        "Let the verifier give each answer a reward.",
        "Subtract the mean of the group from each reward, and divide by the deviation.",
        "With these advantages at hand, compute the answers' log-probabilities, with gradient.",
        "Clip the ratios, add the KL penalty, average over the tokens, and take a step.",
    ),
    explanation="The old log-probabilities belong to the policy that sampled; with several updates "
    "on one batch, only the last two steps are repeated, and the ratios leave 1.",
)
