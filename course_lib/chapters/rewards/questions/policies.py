"""Questions on policy gradients, the clip and advantages."""

import random
from typing import Any

import torch

from course_lib.rewards import clipped_objective, exact_gradient, gae
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, PredictOutput
from course_lib.study.ask.question_parts import Mistake, Option, Slip


def _draw_bandit(rng: random.Random) -> dict[str, Any]:
    p = rng.choice((0.1, 0.2, 0.25, 0.4))
    return {"p": p, "r": rng.choice((2, 3, 5)), "other": rng.choice((0, 1))}


def _slope(p: float, r: int, other: int) -> float:
    logits = torch.tensor([p, 1 - p], dtype=torch.float64).log()
    return exact_gradient(logits, torch.tensor([r, other], dtype=torch.float64))[0].item()


EXACT = Numeric(
    id="rewards.exact",
    prompt="A softmax policy chooses between two actions. The first has probability {p} and reward "
    "{r}, the second reward {other}. What is the derivative of the expected reward with respect to "
    "the first logit?",
    draw=_draw_bandit,
    answer=_slope,
    explain=lambda p, r, other: (
        f"E[r] = {p} · {r} + {1 - p:g} · {other} = {p * r + (1 - p) * other:g}, and the derivative "
        f"is p (r − E[r]) = {p} · ({r} − {p * r + (1 - p) * other:g}) = {_slope(p, r, other):.4g}."
    ),
    slips=(
        Slip(
            "the mean not subtracted",
            lambda p, r, other: p * r,
            "That is p · r. Raising one logit lowers the other probability, so E[r] is subtracted.",
        ),
        Slip(
            "the other reward forgotten",
            lambda p, r, other: r * (1 - p),
            "That is the gradient of one sample, r (1 − p). Its mean over both actions is asked.",
        ),
    ),
)

BASELINE = OneAnswer(
    id="rewards.baseline",
    prompt="All rewards lie between 9 and 10. You subtract 9.5 from each before computing the "
    "policy gradient. What changes?",
    options=(
        Option(
            "Only the variance, which becomes much smaller.",
            True,
            "E[b ∇log p] = b ∇Σp = 0 for any constant b, so the mean stays. Without the baseline "
            "every action is pushed up hard, and only averaging over many samples shows which one "
            "deserves it.",
        ),
        Option(
            "The gradient becomes smaller, so learning becomes slower.",
            False,
            "single estimates become smaller, but their mean, the gradient, is the same.",
        ),
        Option(
            "Half of the actions now become less likely, which biases the gradient.",
            False,
            "each estimate moves differently, but the mean over all actions does not change.",
        ),
        Option(
            "Nothing, since only differences of rewards matter.",
            False,
            "that holds for the mean of the estimate, not for a single one.",
        ),
    ),
)


def _draw_ratio(rng: random.Random) -> dict[str, Any]:
    return {
        "ratio": rng.choice((0.5, 0.7, 1.4, 1.6)),
        "a": rng.choice((-3.5, -1.7, 1.7, 3.5)),
    }


def _clipped(ratio: float, a: float) -> float:
    pair = torch.tensor([ratio], dtype=torch.float64), torch.tensor([a], dtype=torch.float64)
    return clipped_objective(*pair).item()


CLIPPED = Numeric(
    id="rewards.clipped",
    prompt="A token has the importance ratio {ratio} and the advantage {a}. What is PPO's "
    "objective for it with the limits 0.8 and 1.2?",
    draw=_draw_ratio,
    answer=_clipped,
    explain=lambda ratio, a: (
        f"The two products are {ratio} · ({a}) = {ratio * a:g} and "
        f"{min(max(ratio, 0.8), 1.2)} · ({a}) = {min(max(ratio, 0.8), 1.2) * a:g}. The lower one "
        f"counts: {_clipped(ratio, a):g}."
    ),
    slips=(
        Slip(
            "the higher of the two",
            lambda ratio, a: max(ratio * a, min(max(ratio, 0.8), 1.2) * a),
            "The objective is the lower of the two products.",
        ),
    ),
)


def _keeps_too_much(names: dict[str, Any]) -> bool:
    rewards, values = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.5, 3.0]])
    mask = torch.tensor([[True, True, False]])
    ours = names["advantages"](rewards, values, mask, 1.0, 0.9)
    return not torch.allclose(ours, gae(rewards, values, mask, 1.0, 0.9))


BUG_GAE = FindTheBug(
    id="rewards.bug_gae",
    prompt="This function should return the advantages of answers that are padded on the right. "
    "Answers shorter than the batch get wrong ones.",
    code="""
import torch
def advantages(rewards, values, mask, gamma, lam):
    out = torch.zeros_like(rewards)
    a = torch.zeros_like(rewards[:, 0])
    later = torch.zeros_like(a)
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * later - values[:, t]
        a = torch.where(mask[:, t], delta + gamma * lam * a, 0.0)
        later = values[:, t]
        out[:, t] = a
    return out
""",
    line=9,
    fixed="later = torch.where(mask[:, t], values[:, t], 0.0)",
    why="The value of a padding token must not be read by the last real token: nothing follows "
    "the end of an answer, so its next value is 0.",
    why_not={
        3: "padding keeps an advantage of 0.",
        4: "after the last column no advantage follows.",
        5: "after the last column no value follows.",
        6: "an advantage needs the next one, so the loop runs from the end.",
        7: "this is δ[t], as long as `later` is right.",
        8: "at padding the advantage is set to 0.",
        10: "each column is stored as it is computed.",
    },
    shows_bug=_keeps_too_much,
)

PRINTS_GROUP = PredictOutput(
    id="rewards.prints_group",
    prompt="Two prompts, four answers each.",
    code="""
import torch
from course_lib.rewards import group_advantages
easy_and_hard = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
a = group_advantages(easy_and_hard)
print([round(x, 1) for x in a[:, -1].tolist()])
""",
    why="In the first group the last answer is the only wrong one, in the second the only right "
    "one. The mean is 0.75 and 0.25, the deviation 0.5 in both: −1.5 and 1.5.",
    mistakes=(
        Mistake(
            "[-1.0, 1.0]",
            "The rewards differ from the mean by 0.75, and the deviation is 0.5.",
        ),
        Mistake("[0.0, 1.0]", "Advantages are measured from the mean of the group, not from zero."),
    ),
)
