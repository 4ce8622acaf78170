"""The exercises on preferences: Bradley-Terry and DPO."""

import random

import torch
import torch.nn.functional as F

from course_lib import fine_tuning
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _minus_log_sigmoid(x):
    """Return -log σ(x) of a float64 tensor, by logaddexp."""
    return torch.logaddexp(torch.zeros_like(x), -x)


def _bt_reference(chosen, rejected):
    return _minus_log_sigmoid(chosen.double() - rejected.double()).mean()


def _any_rewards(rng: random.Random) -> Call:
    count, scale = rng.randint(1, 6), rng.choice((1.0, 10.0, 200.0))
    return call(random_tensor(rng, count, scale=scale), random_tensor(rng, count, scale=scale))


BRADLEY_TERRY = Exercise(
    id="fine_tuning.bradley_terry",
    title="The Bradley-Terry loss",
    minutes=6,
    difficulty=1,
    statement=(
        "`chosen` and `rejected` hold the rewards of N pairs of answers. Return the mean of "
        "−log σ(chosen − rejected), as a tensor. Rewards may be hundreds apart, and the result "
        "must stay finite. The gradient is checked too."
    ),
    solution=fine_tuning.bradley_terry_loss,
    reference=_bt_reference,
    generator=_any_rewards,
    probes=(
        Probe(
            "equal rewards",
            lambda: call(torch.tensor([1.0]), torch.tensor([1.0])),
            "Without a difference both answers are equally likely: log 2.",
        ),
        Probe(
            "right and wrong pairs",
            lambda: call(torch.tensor([2.0, 0.0, 1.0]), torch.tensor([1.0, 3.0, -4.0])),
            "A pair in the wrong order costs about its difference.",
            gradient=True,
        ),
        Probe(
            "very wrong",
            lambda: call(torch.tensor([-300.0, 1.0]), torch.tensor([200.0, 0.0])),
            "σ(−500) is 0 in float32, and its logarithm −∞. The loss of this pair is 500.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "chosen and rejected exchanged",
            lambda chosen, rejected: -F.logsigmoid(rejected - chosen).mean(),
            "This teaches the model to prefer the rejected answer. The difference is chosen − "
            "rejected.",
        ),
        Misconception(
            "the sum over the pairs",
            lambda chosen, rejected: -F.logsigmoid(chosen - rejected).sum(),
            "Take the mean, so that the size of the batch does not change the step.",
        ),
        Misconception(
            "the sign forgotten",
            lambda chosen, rejected: F.logsigmoid(chosen - rejected).mean(),
            "A loss is minimised: put a minus before the log-likelihood.",
        ),
        Misconception(
            "no logarithm",
            lambda chosen, rejected: 1 - torch.sigmoid(chosen - rejected).mean(),
            "1 − σ is the probability of a wrong order. The likelihood's loss is −log σ, whose "
            "gradient does not vanish where the order is very wrong.",
        ),
        Misconception(
            "the logarithm of a rounded sigmoid",
            lambda chosen, rejected: -torch.sigmoid(chosen - rejected).log().mean(),
            "σ of a very negative number rounds to 0. Use `F.logsigmoid`, or log(1 + e⁻ˣ) in a "
            "stable form.",
        ),
        Misconception(
            "the mean before the sigmoid",
            lambda chosen, rejected: -F.logsigmoid((chosen - rejected).mean()),
            "Each pair has a probability of its own. Take the mean last.",
        ),
    ),
    alternatives=(
        Alternative(
            "logsigmoid",
            lambda chosen, rejected: -F.logsigmoid(chosen - rejected).mean(),
        ),
        Alternative(
            "softplus",
            lambda chosen, rejected: F.softplus(rejected - chosen).mean(),
        ),
        Alternative(
            "cross-entropy of two scores",
            lambda chosen, rejected: F.cross_entropy(
                torch.stack((chosen, rejected), -1),
                torch.zeros_like(chosen, dtype=torch.long),
            ),
        ),
    ),
    hints=(
        "The chance that the chosen answer wins is σ of the difference of the rewards.",
        "−log σ(x) = log(1 + e⁻ˣ); `F.softplus` and `F.logsigmoid` compute it without overflow.",
    ),
)


def _dpo_reference(chosen, rejected, reference_chosen, reference_rejected, beta):
    policy = chosen.double() - rejected.double()
    before = reference_chosen.double() - reference_rejected.double()
    return _minus_log_sigmoid(beta * (policy - before)).mean()


def _by_rewards(chosen, rejected, reference_chosen, reference_rejected, beta):
    rewards = beta * (chosen - reference_chosen), beta * (rejected - reference_rejected)
    return -F.logsigmoid(rewards[0] - rewards[1]).mean()


def _by_softplus(chosen, rejected, reference_chosen, reference_rejected, beta):
    return F.softplus(beta * ((rejected - reference_rejected) - (chosen - reference_chosen))).mean()


def _pair_by_pair(chosen, rejected, reference_chosen, reference_rejected, beta):
    losses = []
    for c, r, rc, rr in zip(chosen, rejected, reference_chosen, reference_rejected, strict=True):
        losses.append(-F.logsigmoid(beta * (c - r - rc + rr)))
    return torch.stack(losses).mean()


def _any_pairs(rng: random.Random) -> Call:
    count = rng.randint(1, 5)
    scale = rng.choice((1.0, 5.0, 300.0))
    parts = [random_tensor(rng, count, scale=scale) for _ in range(4)]
    return call(*parts, beta=rng.choice((0.05, 0.1, 0.5, 1.0)))


def _pairs(*rows, beta):
    return call(*torch.tensor(rows).unbind(1), beta=beta)


DPO = Exercise(
    id="fine_tuning.dpo",
    title="The DPO loss",
    minutes=8,
    difficulty=2,
    statement=(
        "Four rows of log-probabilities, one number for each of N pairs: those that the policy "
        "gives the chosen and the rejected answer, and those of the reference. Return the mean of "
        "−log σ(β · margin), where the margin is how much more the chosen answer has gained over "
        "the reference than the rejected one. Margins may be hundreds. The gradient with respect "
        "to the policy's log-probabilities is checked too."
    ),
    solution=fine_tuning.dpo_loss,
    reference=_dpo_reference,
    generator=_any_pairs,
    tolerance=4.0,
    probes=(
        Probe(
            "the policy is the reference",
            lambda: _pairs((-3.0, -8.0, -3.0, -8.0), beta=0.1),
            "At the start every margin is 0 and the loss is log 2, whatever the answers.",
        ),
        Probe(
            "three pairs",
            lambda: _pairs(
                (-3.0, -8.0, -4.0, -7.0),
                (-6.0, -2.0, -5.5, -9.0),
                (-1.0, -1.5, -2.0, -0.5),
                beta=0.3,
            ),
            "Each answer is compared with itself under the reference.",
            gradient=True,
            constants=(2, 3),
        ),
        Probe(
            "a margin of −1000",
            lambda: _pairs((-900.0, -100.0, -200.0, -400.0), beta=1.0),
            "log σ must not be computed from a σ that rounds to 0.",
            gradient=True,
            constants=(2, 3),
        ),
    ),
    misconceptions=(
        Misconception(
            "the reference forgotten",
            lambda c, r, rc, rr, beta: -F.logsigmoid(beta * (c - r)).mean(),
            "Without the reference nothing keeps the policy near it, and answers that were likely "
            "before count as preferred. Subtract the reference's log-probabilities.",
        ),
        Misconception(
            "chosen and rejected exchanged",
            lambda c, r, rc, rr, beta: -F.logsigmoid(-beta * ((c - rc) - (r - rr))).mean(),
            "This prefers the rejected answers. The margin is the gain of the chosen answer minus "
            "that of the rejected one.",
        ),
        Misconception(
            "β outside the sigmoid",
            lambda c, r, rc, rr, beta: -beta * F.logsigmoid((c - rc) - (r - rr)).mean(),
            "β multiplies the margin, inside the sigmoid: it says how much a nat of margin counts.",
        ),
        Misconception(
            "divided by β",
            lambda c, r, rc, rr, beta: -F.logsigmoid(((c - rc) - (r - rr)) / beta).mean(),
            "The implied reward is β · log(π / π_ref): multiply.",
        ),
        Misconception(
            "the reference added",
            lambda c, r, rc, rr, beta: -F.logsigmoid(beta * ((c + rc) - (r + rr))).mean(),
            "A gain over the reference is a difference of log-probabilities.",
        ),
        Misconception(
            "the sum over the pairs",
            lambda c, r, rc, rr, beta: -F.logsigmoid(beta * ((c - rc) - (r - rr))).sum(),
            "Take the mean over the pairs.",
        ),
        Misconception(
            "the logarithm of a rounded sigmoid",
            lambda c, r, rc, rr, beta: -torch.sigmoid(beta * ((c - rc) - (r - rr))).log().mean(),
            "A margin of −1000 gives σ = 0 and a loss of ∞. Use `F.logsigmoid`.",
        ),
        Misconception(
            "no gradient",
            lambda c, r, rc, rr, beta: (
                -F.logsigmoid(beta * ((c.detach() - rc) - (r.detach() - rr))).mean()
            ),
            "The policy's log-probabilities are what is trained: do not detach them.",
        ),
    ),
    alternatives=(
        Alternative(
            "implied rewards",
            lambda c, r, rc, rr, beta: _by_rewards(c, r, rc, rr, beta),
        ),
        Alternative(
            "the reference detached",
            lambda c, r, rc, rr, beta: _by_rewards(c, r, rc.detach(), rr.detach(), beta),
        ),
        Alternative("softplus", lambda c, r, rc, rr, beta: _by_softplus(c, r, rc, rr, beta)),
        Alternative("pair by pair", lambda c, r, rc, rr, beta: _pair_by_pair(c, r, rc, rr, beta)),
    ),
    hints=(
        "Which reward does an answer have by this policy? β times its gain over the reference.",
        "The loss is that of Bradley and Terry, for these two rewards.",
        "gain = log π − log π_ref for each of the two; margin = gain of chosen − gain of rejected.",
    ),
)
