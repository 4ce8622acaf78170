"""Questions on the router: the order of its steps, and its gate weights."""

import random
from typing import Any

import torch

from course_lib import experts
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    Slip,
)

STEPS = OrderSteps(
    id="mlp.moe_steps",
    prompt="A mixture of experts as in Qwen3 gets a batch of vectors. What is the order of the "
    "steps?",
    steps=(
        "Multiply each vector by the router's matrix: one logit for each expert.",
        "Take softmax over the experts.",
        "Keep the k largest probabilities of each token, divided by their sum: its gate weights.",
        "Run each expert on the tokens that chose it.",
        "Sum each token's k results, weighted by its gate weights.",
    ),
    explanation="The choice comes before the experts run: that is what saves the FLOPs of the "
    "other experts. Softmax comes before the choice, since Qwen3 takes it over all experts.",
)


def _draw_logits(rng: random.Random) -> dict[str, Any]:
    return {"logits": rng.sample([0.5 * v for v in range(-4, 7)], 4)}


def _gate(logits: list[float], normalise: bool = True) -> float:
    row = torch.tensor([logits], dtype=torch.float64)
    return experts.route(row, 2, normalise)[0][0, 1].item()


def _explain_gate(logits: list[float]) -> str:
    best, second = sorted(logits, reverse=True)[:2]
    return (
        f"The two largest logits are {best} and {second}. Their gates have the ratio e^{best} to "
        f"e^{second}, so the second gate is 1 / (1 + e^({best} - {second})) = {_gate(logits):.4g}. "
        "The other two experts cancel."
    )


GATE = Numeric(
    id="mlp.gate",
    prompt="A router gives the logits {logits} to four experts, of which the two best are kept "
    "and their gates normalised. How large is the gate of the second best?",
    draw=_draw_logits,
    answer=_gate,
    explain=_explain_gate,
    slips=(
        Slip(
            "not normalised",
            lambda logits: _gate(logits, normalise=False),
            "This is its probability among all four. The kept ones are divided by their sum.",
        ),
        Slip(
            "the best",
            lambda logits: 1 - _gate(logits),
            "This is the gate of the best expert; the second gets the rest.",
        ),
        Slip(
            "softmax twice",
            lambda logits: torch.softmax(
                torch.softmax(torch.tensor(logits, dtype=torch.float64), 0).topk(2).values, 0
            )[1].item(),
            "You took the softmax of probabilities. Divide them by their sum instead.",
        ),
    ),
)

ORDER = OneAnswer(
    id="mlp.softmax_order",
    prompt="Two routers use the same logits. One takes softmax over all experts, keeps the k "
    "largest and divides them by their sum. The other keeps the k largest logits and takes "
    "softmax over those. How do their gates differ?",
    options=(
        Option(
            "Not at all.",
            True,
            "the sum over all experts is a common divisor and cancels when the kept ones are "
            "divided by their sum. Without that division the two would differ.",
        ),
        Option(
            "The second router's gates are smaller.",
            False,
            "both sets of gates sum to 1, so one cannot be smaller overall.",
        ),
        Option(
            "They may choose different experts.",
            False,
            "softmax keeps the order of the logits, so the k largest are the same ones.",
        ),
        Option(
            "The first router's gates are more even.",
            False,
            "the ratio of two gates is the exponential of the difference of their logits, in both.",
        ),
    ),
)


def _route_is_wrong(names: dict[str, Any]) -> bool:
    logits = torch.tensor([[2.0, 1.0, 0.1, -1.0], [0.0, 3.0, 1.0, 1.5]])
    gates = names["route"](logits, 2)[0]
    return gates.shape != (2, 2) or not torch.allclose(gates, experts.route(logits, 2)[0])


BUG_ROUTE = FindTheBug(
    id="mlp.bug_route",
    prompt="This router should give each token k gates that sum to 1. In a batch of several "
    "tokens they do not.",
    code="""
import torch

def route(logits, k):
    p = torch.softmax(logits, dim=-1)
    gates, chosen = p.topk(k, dim=-1)
    total = gates.sum()
    gates = gates / total
    return gates, chosen
""",
    line=6,
    fixed="total = gates.sum(dim=-1, keepdim=True)",
    why="This is the sum over all tokens. With one token it is right, with N tokens each gate "
    "is too small by a factor of about N. Sum over the k gates of each token.",
    why_not={
        4: "softmax runs over the experts, token by token.",
        5: "the k largest probabilities of each token, and the experts they belong to.",
        7: "dividing by a total is right; the total is not.",
        8: "both are returned, the gates and the choices.",
    },
    shows_bug=_route_is_wrong,
)
