"""Exercises on the loss that follows softmax, and on its gradient."""

import torch
import torch.nn.functional as F

from course_lib import softmax
from course_lib.chapters.softmax.exercises.generators import (
    logits_with_targets,
    scores_with_targets,
)
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_TARGETS = [2, 0, 3]


def _three_rows():
    return call(uneven(3, 4), torch.tensor(_TARGETS))


def _unlikely_target():
    return call(torch.tensor([[0.0, 200.0], [1000.0, 0.0]]), torch.tensor([0, 0]))


def _every_target_in_every_row(logits, targets):
    return -torch.log_softmax(logits, -1)[:, targets].mean()


def _as_the_hints_say(logits, targets):
    log_p = softmax.log_softmax(logits)
    return -log_p[torch.arange(len(targets)), targets].mean()


def _row_by_row(logits, targets):
    rows = zip(logits, targets.tolist(), strict=True)
    return sum(row.logsumexp(0) - row[target] for row, target in rows) / len(targets)


CROSS_ENTROPY = Exercise(
    id="softmax.cross_entropy",
    title="The loss of a language model",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the mean over the rows of −log p[target], in nats, from logits (N, V) and one "
        "target id for each row. Gradients must flow through it."
    ),
    solution=softmax.cross_entropy,
    reference=lambda logits, targets: F.cross_entropy(logits.double(), targets).to(logits.dtype),
    generator=logits_with_targets,
    probes=(
        Probe(
            "one row, uniform",
            lambda: call(torch.zeros(1, 4), torch.tensor([1])),
            "Four equal scores: the surprise is log 4 = 1.386, whatever the target.",
        ),
        Probe(
            "one row",
            lambda: call(torch.tensor([[2.0, 1.0, 0.1]]), torch.tensor([1])),
            "The surprise at the second of three scores, 1.417.",
        ),
        Probe(
            "three rows",
            _three_rows,
            "The mean over the rows, each with its own target.",
            gradient=True,
        ),
        Probe(
            "scores around −1000",
            lambda: call(torch.tensor([[-1000.0, -1002.0], [1000.0, 998.0]]), torch.tensor([1, 0])),
            "Each row is measured from its own maximum, not from that of the whole batch.",
        ),
        Probe(
            "a very unlikely target",
            _unlikely_target,
            "A score 200 below the largest costs 200 nats. It is not infinite.",
        ),
    ),
    misconceptions=(
        Misconception(
            "summed over the rows",
            lambda logits, targets: F.cross_entropy(logits, targets, reduction="sum"),
            "A sum grows with the batch, and so does its gradient. Take the mean.",
        ),
        Misconception(
            "the sign reversed",
            lambda logits, targets: -F.cross_entropy(logits, targets),
            "A loss falls as the model improves: it is minus the log-probability.",
        ),
        Misconception(
            "the log of a softmax",
            lambda logits, targets: F.nll_loss(torch.softmax(logits, -1).log(), targets),
            "An unlikely target's probability rounds to 0 and its log to −inf. Use log-softmax.",
        ),
        Misconception(
            "softmax twice",
            lambda logits, targets: F.cross_entropy(torch.softmax(logits, -1), targets),
            "You converted logits to probabilities and then treated those as logits. The model "
            "still learns, slowly, which makes this mistake hard to notice.",
        ),
        Misconception(
            "the probability without its logarithm",
            lambda logits, targets: F.nll_loss(torch.softmax(logits, -1), targets),
            "Minus the mean probability is not a surprise: a confident mistake would cost only 0.",
        ),
        Misconception(
            "in bits",
            lambda logits, targets: F.cross_entropy(logits, targets) / torch.tensor(2.0).log(),
            "This is the same quantity to base 2. Training losses are quoted in nats.",
        ),
        Misconception(
            "the logit itself",
            lambda logits, targets: F.nll_loss(logits, targets),
            "Minus the target's raw score ignores the other scores: raising all of them would "
            "lower the loss without improving the prediction. Normalise with log-softmax first.",
        ),
        Misconception(
            "every target in every row",
            _every_target_in_every_row,
            "log_p[:, targets] is a table of N × N numbers: in each row, the targets of all rows. "
            "Pick one number from each row: log_p[torch.arange(N), targets].",
        ),
        Misconception(
            "the gradient cut off",
            lambda logits, targets: F.cross_entropy(logits.detach(), targets),
            "The loss is right, but no gradient flows from it, so nothing can learn. Return the "
            "tensor itself, without .item(), detach() or torch.no_grad().",
        ),
        Misconception(
            "to base 10",
            lambda logits, targets: F.cross_entropy(logits, targets) / torch.tensor(10.0).log(),
            "This is the same quantity to base 10. Training losses are quoted in nats.",
        ),
        Misconception(
            "softmax over the rows",
            lambda logits, targets: F.nll_loss(torch.log_softmax(logits, 0), targets),
            "You normalise along dim=0, over the rows. Each row is a prediction of its own: "
            "normalise over the V scores of the row, dim=-1.",
        ),
        Misconception(
            "a small number added before the logarithm",
            lambda logits, targets: F.nll_loss((torch.softmax(logits, -1) + 1e-9).log(), targets),
            "The small number limits the loss: no target costs more than about 20.7 nats, however "
            "unlikely. Use log-softmax, which needs no such correction.",
        ),
    ),
    alternatives=(
        Alternative("by torch", F.cross_entropy),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "You wrote log_softmax in section 3; the library's version is softmax.log_softmax.",
        "log_p[torch.arange(N), targets] picks one number from each row.",
        "Minus the mean of what you picked.",
    ),
)


def _autograd(logits, targets):
    leaf = logits.double().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(leaf, targets), leaf)
    return gradient.to(logits.dtype)


def _one_hot(logits, targets):
    return F.one_hot(targets, logits.shape[-1]).to(logits.dtype)


def _by_probability(logits, targets):
    p = torch.softmax(logits, -1)
    return -_one_hot(logits, targets) / p / len(targets)


def _naive(logits, targets):
    e = logits.exp()
    return (e / e.sum(-1, keepdim=True) - _one_hot(logits, targets)) / len(targets)


def _divided_by_the_width(logits, targets):
    return (torch.softmax(logits, -1) - _one_hot(logits, targets)) / logits.shape[-1]


def _every_target_column(logits, targets):
    p = torch.softmax(logits, -1)
    p[:, targets] -= 1.0
    return p / len(targets)


def _by_one_hot(logits, targets):
    return (torch.softmax(logits, -1) - _one_hot(logits, targets)) / len(targets)


def _entry_by_entry(logits, targets):
    p = torch.softmax(logits, -1)
    for row, target in enumerate(targets.tolist()):
        p[row, target] -= 1
    return p / len(targets)


GRADIENT = Exercise(
    id="softmax.gradient",
    title="The gradient of the loss",
    minutes=6,
    difficulty=2,
    statement=(
        "Return the gradient of the mean cross-entropy with respect to the logits (N, V), as a "
        "formula, without autograd."
    ),
    solution=softmax.cross_entropy_gradient,
    reference=_autograd,
    generator=scores_with_targets,
    probes=(
        Probe(
            "one row",
            lambda: call(torch.tensor([[2.0, 1.0, 0.1]]), torch.tensor([1])),
            "Each entry is its probability, and the target's is less by 1.",
        ),
        Probe("three rows", _three_rows, "The loss is a mean over the rows."),
        Probe("large scores", _unlikely_target, "The probabilities must be the stable ones."),
    ),
    misconceptions=(
        Misconception(
            "not divided by the number of rows",
            lambda logits, targets: torch.softmax(logits, -1) - _one_hot(logits, targets),
            "This is the gradient of the sum. The loss is the mean over N rows: divide by N.",
        ),
        Misconception(
            "the sign reversed",
            lambda logits, targets: -_autograd(logits, targets),
            "A gradient-descent step with your gradient makes the target less likely.",
        ),
        Misconception(
            "the target forgotten",
            lambda logits, targets: torch.softmax(logits, -1) / len(targets),
            "p is the gradient of logsumexp alone. The term −z[target] adds −1 at the target.",
        ),
        Misconception(
            "with respect to the probability",
            _by_probability,
            "−1/p is the derivative with respect to the probability. The chain rule through "
            "softmax gives p − onehot, which stays finite when p is 0.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _naive,
            "exp overflows for large scores, and the gradient becomes nan. Use the stable softmax.",
        ),
        Misconception(
            "divided by the size of the vocabulary",
            _divided_by_the_width,
            "The loss is a mean over the N rows, not over the V scores: divide by len(targets).",
        ),
        Misconception(
            "every target in every row",
            _every_target_column,
            "p[:, targets] holds the columns of all targets, in every row. Subtract 1 at one "
            "position in each row: p[torch.arange(N), targets] -= 1.",
        ),
    ),
    alternatives=(
        Alternative("by a one-hot table", _by_one_hot),
        Alternative("entry by entry", _entry_by_entry),
        Alternative("by autograd, which gives the same", _autograd),
    ),
    hints=(
        "The loss of one row is logsumexp(z) − z[target]. What is the derivative of each part?",
        "The derivative of logsumexp is softmax. Subtract 1 at the target.",
        "Divide by the number of rows: the loss is their mean.",
    ),
)
