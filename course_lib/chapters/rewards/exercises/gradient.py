"""The exercise on the policy gradient: from samples to an estimate."""

import torch

from course_lib import rewards
from course_lib.chapters.rewards.exercises.generators import gradient_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_sums(logits, actions, advantages):
    p = torch.softmax(logits.double(), -1).tolist()
    gradient = [0.0] * len(p)
    for action, advantage in zip(actions.tolist(), advantages.tolist(), strict=True):
        for v, share in enumerate(p):
            gradient[v] += advantage * ((v == action) - share) / len(actions)
    return torch.tensor(gradient, dtype=logits.dtype)


def _score(logits, actions):
    return torch.eye(len(logits), dtype=logits.dtype)[actions] - logits.softmax(-1)


def _without_probabilities(logits, actions, advantages):
    onehot = torch.eye(len(logits), dtype=logits.dtype)[actions]
    return (advantages[:, None] * onehot).mean(0)


def _of_the_probability(logits, actions, advantages):
    chosen = logits.softmax(-1)[actions]
    return ((advantages * chosen)[:, None] * _score(logits, actions)).mean(0)


def _own_baseline(logits, actions, advantages):
    return _by_sums(logits, actions, advantages - advantages.mean())


def _raw_logits(logits, actions, advantages):
    onehot = torch.eye(len(logits), dtype=logits.dtype)[actions]
    return (advantages[:, None] * (onehot - logits)).mean(0)


def _by_autograd(logits, actions, advantages):
    leaf = logits.detach().clone().requires_grad_()
    chosen = leaf.log_softmax(-1)[actions]
    return torch.autograd.grad((advantages.detach() * chosen).mean(), leaf)[0]


def _as_hinted(logits, actions, advantages):
    onehot = torch.nn.functional.one_hot(actions, len(logits))
    scores = onehot - torch.softmax(logits, -1)
    return (advantages[:, None] * scores).mean(0)


def _by_counting(logits, actions, advantages):
    weights = torch.zeros_like(logits).index_add(0, actions, advantages)
    return (weights - advantages.sum() * logits.softmax(-1)) / len(actions)


POLICY_GRADIENT = Exercise(
    id="rewards.policy_gradient",
    title="The policy gradient from samples",
    minutes=8,
    difficulty=2,
    statement=(
        "`logits` (V) are those of a softmax policy, `actions` (N) what it chose, `advantages` (N) "
        "what each choice was worth. Return the estimate of the gradient of the expected reward "
        "with respect to the logits, shape (V): the mean over the samples of the advantage times "
        "the gradient of log p(action). It points uphill. Do not change the advantages."
    ),
    solution=rewards.policy_gradient,
    reference=_by_sums,
    generator=gradient_inputs,
    probes=(
        Probe(
            "one sample, two equal actions",
            lambda: call(torch.zeros(2), torch.tensor([0]), torch.tensor([1.0])),
            "p is 0.5 and 0.5, so the gradient of log p is (0.5, −0.5).",
        ),
        Probe(
            "an advantage of 2",
            lambda: call(torch.zeros(3), torch.tensor([1]), torch.tensor([2.0])),
            "The advantage multiplies the gradient.",
        ),
        Probe(
            "unequal probabilities",
            lambda: call(torch.tensor([2.0, 0.0, 1.0]), torch.tensor([1]), torch.tensor([1.0])),
            "Every logit moves: the chosen one up by 1 − p, the others down by p.",
        ),
        Probe(
            "equal advantages",
            lambda: call(torch.tensor([1.0, 0.0]), torch.tensor([0, 1, 1]), torch.ones(3)),
            "Equal advantages still give a gradient: no action is drawn just as often as p says.",
        ),
        Probe(
            "several samples",
            lambda: call(uneven(4), torch.tensor([3, 0, 3, 1, 3]), uneven(5)),
            "The estimate is the mean over the samples.",
        ),
        Probe(
            "large logits",
            lambda: call(
                torch.tensor([800.0, 799.0, -50.0]), torch.tensor([1, 2]), torch.tensor([1.0, 0.5])
            ),
            "exp(800) overflows: use softmax, not exp.",
        ),
    ),
    misconceptions=(
        Misconception(
            "downhill",
            lambda *given: -_by_sums(*given),
            "This is the gradient of the loss. The gradient of the expected reward has the "
            "opposite sign: onehot − p, not p − onehot.",
        ),
        Misconception(
            "the other actions stay",
            _without_probabilities,
            "The gradient of log p is onehot(action) − p. Without − p, no logit ever goes down.",
        ),
        Misconception(
            "the gradient of p",
            _of_the_probability,
            "You multiply by p(action) as well, which gives the gradient of p. The samples "
            "already come with probability p, so p would count twice.",
        ),
        Misconception(
            "a sum in place of the mean",
            lambda logits, actions, advantages: (
                _by_sums(logits, actions, advantages) * len(actions)
            ),
            "Your estimate grows with the number of samples. Take the mean.",
        ),
        Misconception(
            "the logits in place of p",
            _raw_logits,
            "onehot − p needs the probabilities. You subtract the logits.",
        ),
        Misconception(
            "a baseline subtracted",
            _own_baseline,
            "You subtract the mean of the advantages. Baselines are useful, but here the "
            "advantages are used as they are given.",
        ),
    ),
    alternatives=(
        Alternative("by autograd", _by_autograd),
        Alternative("as the hints say", _as_hinted),
        Alternative("by counting", _by_counting),
        Alternative("by sums", _by_sums),
    ),
    hints=(
        "The gradient of log p(a) with respect to the logits is onehot(a) − p.",
        "torch.nn.functional.one_hot(actions, len(logits)) − softmax(logits) is (N, V).",
        "Multiply each row by its advantage, advantages[:, None], and take the mean over dim 0.",
    ),
)
