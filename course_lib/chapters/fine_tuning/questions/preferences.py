"""Questions on reward models and DPO.

Taught in:        fine_tuning
Checked against:  `course_lib.fine_tuning`, from which numeric answers are computed
"""

import math
from collections.abc import Callable

import torch

from course_lib import fine_tuning
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Option, Slip

BUG_REWARD = FindTheBug(
    id="fine_tuning.bug_reward",
    prompt="A reward model has read a batch that is padded on the right: `hidden` (B, T, C) are "
    "its last hidden states, `real` (B, T) is True at real tokens, `score` is the linear head.",
    code="""
import torch

def rewards(hidden, score, real):
    rows = torch.arange(len(hidden))
    last = hidden[rows, -1]
    return score(last).squeeze(-1)
""",
    line=5,
    fixed="last = hidden[rows, real.sum(1) - 1]",
    why="For every row but the longest, the last column is padding. Read the hidden state of each "
    "row's last real token.",
    why_not={
        4: "one index for each row is what is needed to pick a place in each row.",
        6: "one number for each row: the last axis of size 1 is dropped.",
    },
    shows_bug=lambda names: _reads_padding(names["rewards"]),
)


def _reads_padding(rewards: Callable[..., torch.Tensor]) -> bool:
    hidden = torch.arange(6.0).reshape(2, 3, 1)
    real = torch.tensor([[True, True, True], [True, False, False]])
    return rewards(hidden, lambda x: x, real).tolist() != [2.0, 3.0]


MARGIN_LOSS = Numeric(
    id="fine_tuning.margin_loss",
    prompt="DPO with β = {beta}: compared with the reference, the chosen answer of a pair has "
    "gained {gained} nats and the rejected one has lost {lost}. What is the loss of this pair?",
    draw=lambda rng: {
        "beta": rng.choice((0.1, 0.2)),
        "gained": rng.randint(1, 5),
        "lost": rng.randint(6, 12),
    },
    answer=lambda beta, gained, lost: _pair_loss(beta, gained, lost),
    explain=lambda beta, gained, lost: (
        f"The margin is {gained} + {lost}, and log(1 + exp(-{beta} * {gained + lost})) = "
        f"{math.log1p(math.exp(-beta * (gained + lost))):.4f}."
    ),
    slips=(
        Slip(
            "the loss of the rejected answer subtracted",
            lambda beta, gained, lost: math.log1p(math.exp(-beta * (gained - lost))),
            "a loss of the rejected answer makes the margin larger: gained minus (minus lost).",
        ),
        Slip(
            "without β",
            lambda beta, gained, lost: math.log1p(math.exp(-(gained + lost))),
            "the margin is multiplied by β.",
        ),
        Slip(
            "the chosen answer alone",
            lambda beta, gained, lost: math.log1p(math.exp(-beta * gained)),
            "the margin is the difference between both gains.",
        ),
    ),
)


def _pair_loss(beta: float, gained: int, lost: int) -> float:
    zero = torch.zeros(1, dtype=torch.float64)
    chosen, rejected = zero + gained, zero - lost
    return fine_tuning.dpo_loss(chosen, rejected, zero, zero, beta).item()


MASK_PROMPT = OneAnswer(
    id="fine_tuning.mask_prompt",
    prompt="Somebody forgets to mask the prompt in DPO: the log-probabilities of the prompt are "
    "summed with those of the answers. What changes in the loss?",
    options=(
        Option(
            "Nothing: both answers have the same prompt, and it cancels.",
            True,
            "the prompt adds the same number to the chosen and to the rejected log-probability, of "
            "the policy and of the reference.",
        ),
        Option(
            "The model learns to write prompts.",
            False,
            "what cancels in the loss has no gradient either.",
        ),
        Option(
            "The loss grows with the length of the prompt, which dominates it.",
            False,
            "the prompt's log-probabilities appear twice with opposite signs.",
        ),
        Option(
            "β becomes smaller in effect.",
            False,
            "the margin stays exactly what it was. With means over tokens (IPO, SimPO) the prompt "
            "would matter.",
        ),
    ),
)

CHOSEN_FALLS = OneAnswer(
    id="fine_tuning.chosen_falls",
    prompt="During DPO the log-probability of the chosen answers falls from −6 to −7, and the "
    "pair accuracy rises to 0.9. Which statement is right?",
    options=(
        Option(
            "This is usual: the loss rewards the difference, and the rejected answers fell more.",
            True,
            "nothing in the loss asks for a higher probability of the chosen answer itself.",
        ),
        Option(
            "There must be a bug, since DPO raises the probability of the chosen answer above "
            "its start.",
            False,
            "it raises it relative to the rejected one. Both may fall.",
        ),
        Option(
            "The loss has chosen and rejected exchanged.",
            False,
            "then the loss would push the pair accuracy below one half.",
        ),
        Option(
            "The reference was trained too.",
            False,
            "the numbers here are the policy's own, whatever the reference does.",
        ),
    ),
)

BETA = OneAnswer(
    id="fine_tuning.beta",
    prompt="What does a larger β do in DPO?",
    options=(
        Option(
            "A pair is satisfied with a smaller margin, so the policy stays nearer the reference.",
            True,
            "the pull of a pair is βσ(−β · margin): it starts stronger and ends much earlier.",
        ),
        Option(
            "The policy moves further from the reference.",
            False,
            "β is the strength of the KL penalty from which the loss is derived.",
        ),
        Option(
            "Only the learning rate changes in effect.",
            False,
            "at margin 0 it does. But β also decides at which margin the pull ends.",
        ),
        Option(
            "The reference counts less.",
            False,
            "it counts more: β multiplies the gain over it.",
        ),
    ),
)

STEPS = OrderSteps(
    id="fine_tuning.derivation",
    prompt="Put the steps of DPO's derivation in order.",
    steps=(
        "Maximise the reward minus β times the KL divergence from the reference.",
        "Solve: π*(y | x) = π_ref(y | x) exp(r(x, y) / β) / Z(x).",
        "Solve for the reward: r = β log(π* / π_ref) + β log Z(x).",
        "Insert it into Bradley-Terry; Z(x) cancels in the difference.",
        "Minimise the resulting loss in the policy itself.",
    ),
    explanation="Z(x), the sum over all answers, could never be computed. It cancels because both "
    "answers belong to one prompt.",
)

WHICH_LOSS = SeveralAnswers(
    id="fine_tuning.which_loss",
    prompt="Which statements about the relatives of DPO are right?",
    options=(
        Option(
            "SimPO needs no reference model.",
            True,
            "it compares mean log-probabilities of the policy, with a margin γ.",
        ),
        Option(
            "IPO stops pulling at a finite margin, and pulls back beyond it.",
            True,
            "its loss is a square around 1 / 2β.",
        ),
        Option(
            "KTO needs no pairs.",
            True,
            "single answers, each marked good or bad, are enough.",
        ),
        Option(
            "IPO is derived for the sum of log-probabilities, and every library uses it so.",
            False,
            "trl divides by the number of tokens, as its comment says that the authors do.",
        ),
        Option(
            "All of them need a reward model.",
            False,
            "none does: that is what they have in common.",
        ),
    ),
)
