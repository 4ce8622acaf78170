"""The exercise on the advantages of a group."""

import torch

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import group_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_statistics(rewards, epsilon=1e-4):
    rows = []
    for row in rewards.double().tolist():
        mean = sum(row) / len(row)
        deviation = (sum((r - mean) ** 2 for r in row) / (len(row) - 1)) ** 0.5
        rows.append([(r - mean) / (deviation + epsilon) for r in row])
    return torch.tensor(rows, dtype=rewards.dtype)


def _scaled(rewards, scale):
    return (rewards - rewards.mean(-1, keepdim=True)) / scale


def _batch_norm(rewards, epsilon=1e-4):
    return (rewards - rewards.mean()) / (rewards.std(-1, keepdim=True) + epsilon)


def _batch_deviation(rewards, epsilon=1e-4):
    return _scaled(rewards, rewards.std() + epsilon)


def _as_hinted(rewards, epsilon=1e-4):
    mean, deviation = rewards.mean(1, keepdim=True), rewards.std(1, keepdim=True)
    return (rewards - mean) / (deviation + epsilon)


def _by_std_mean(rewards, epsilon=1e-4):
    deviation, mean = torch.std_mean(rewards, dim=-1, keepdim=True)
    return (rewards - mean) / (deviation + epsilon)


def _by_hand(rewards, epsilon=1e-4):
    centred = rewards - rewards.sum(-1, keepdim=True) / rewards.shape[-1]
    variance = (centred**2).sum(-1, keepdim=True) / (rewards.shape[-1] - 1)
    return centred / (variance.sqrt() + epsilon)


GROUP_ADVANTAGES = Exercise(
    id="rewards.group_advantages",
    title="Advantages within a group",
    minutes=5,
    difficulty=1,
    statement=(
        "`rewards` (P, G) holds the rewards of G answers to each of P prompts. Return the "
        "advantages of GRPO, (P, G): each reward minus the mean of its group, divided by the "
        "group's standard deviation plus `epsilon`. The standard deviation divides by G − 1, as "
        "in trl. A group of equal rewards gets zeros."
    ),
    solution=rewards.group_advantages,
    reference=_by_statistics,
    generator=group_inputs,
    tolerance=4.0,
    probes=(
        Probe(
            "one right of four",
            lambda: call(torch.tensor([[1.0, 0.0, 0.0, 0.0]])),
            "The mean is 0.25 and the deviation 0.5, so the advantages are 1.5 and −0.5.",
        ),
        Probe(
            "two groups",
            lambda: call(torch.tensor([[1.0, 0.0, 0.5], [8.0, 7.0, 7.5]])),
            "An easy and a hard prompt: each group is compared with itself only.",
        ),
        Probe(
            "groups of different spread",
            lambda: call(torch.tensor([[1.0, 0.0, 1.0, 0.0], [9.0, 1.0, 1.0, 1.0]])),
            "Each group is divided by its own deviation.",
        ),
        Probe(
            "a large epsilon",
            lambda: call(torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.5, 0.5]]), 0.5),
            "epsilon is added to the standard deviation.",
        ),
        Probe(
            "equal rewards",
            lambda: call(torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]])),
            "0 / (0 + epsilon) is 0. Without epsilon it is nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean of the whole batch",
            _batch_norm,
            "You subtract the mean over all prompts, so every answer to an easy prompt looks good. "
            "Use the mean of each row.",
        ),
        Misconception(
            "the deviation of the whole batch",
            _batch_deviation,
            "You divide by the deviation over all prompts. Take that of each row: "
            "std(-1, keepdim=True).",
        ),
        Misconception(
            "divided by G",
            lambda rewards, epsilon=1e-4: _scaled(
                rewards, rewards.std(-1, keepdim=True, correction=0) + epsilon
            ),
            "Your deviation divides by G. Here it divides by G − 1, which is torch's default.",
        ),
        Misconception(
            "no epsilon",
            lambda rewards, epsilon=1e-4: _scaled(rewards, rewards.std(-1, keepdim=True)),
            "A group of equal rewards has deviation 0, and 0 / 0 is nan. Add epsilon.",
        ),
        Misconception(
            "not scaled",
            lambda rewards, epsilon=1e-4: _scaled(rewards, 1.0),
            "These are the advantages of Dr. GRPO. GRPO divides by the deviation as well.",
        ),
        Misconception(
            "divided by the variance",
            lambda rewards, epsilon=1e-4: _scaled(rewards, rewards.var(-1, keepdim=True) + epsilon),
            "You divide by the variance. Its square root is the standard deviation.",
        ),
        Misconception(
            "epsilon under the root",
            lambda rewards, epsilon=1e-4: _scaled(
                rewards, (rewards.var(-1, keepdim=True) + epsilon).sqrt()
            ),
            "epsilon is added to the standard deviation, not to the variance.",
        ),
        Misconception(
            "along the wrong axis",
            lambda rewards, epsilon=1e-4: (
                (rewards - rewards.mean(0)) / (rewards.std(0, correction=0) + epsilon)
            ),
            "You compare the i-th answers of different prompts. A group is a row: dim = -1.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by std_mean", _by_std_mean),
        Alternative("by hand", _by_hand),
    ),
    hints=(
        "A group is a row: rewards.mean(-1, keepdim=True) is its mean.",
        "rewards.std(-1, keepdim=True) divides by G − 1 already.",
        "Add epsilon to the standard deviation before you divide.",
    ),
)
