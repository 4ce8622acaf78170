"""The exercise on the log-probability of a whole answer."""

import random

import torch
import torch.nn.functional as F

from course_lib import fine_tuning
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call

IGNORED = -100


def _lp_reference(logits, labels):
    """Add up the log-probabilities one by one."""
    log_p = torch.log_softmax(logits.double(), -1)
    rows = []
    for b, row in enumerate(labels.tolist()):
        parts = [log_p[b, t - 1, label] for t, label in enumerate(row) if t and label != IGNORED]
        rows.append(sum(parts))
    return torch.stack(rows)


def _gathered(logits, targets):
    return torch.log_softmax(logits, -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]


def _mean(logits, labels):
    counted = labels[:, 1:] != IGNORED
    return (_gathered(logits[:, :-1], labels[:, 1:]) * counted).sum(1) / counted.sum(1)


def _not_shifted(logits, labels):
    return (_gathered(logits, labels) * (labels != IGNORED)).sum(1)


def _shifted_back(logits, labels):
    return (_gathered(logits[:, 1:], labels[:, :-1]) * (labels[:, :-1] != IGNORED)).sum(1)


def _prompt_too(logits, labels):
    return _gathered(logits[:, :-1], labels[:, 1:]).sum(1)


def _probabilities(logits, labels):
    counted = labels[:, 1:] != IGNORED
    return (_gathered(logits[:, :-1], labels[:, 1:]).exp() * counted).sum(1)


def _raw_logits(logits, labels):
    targets, counted = labels[:, 1:], labels[:, 1:] != IGNORED
    picked = logits[:, :-1].gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return (picked * counted).sum(1)


def _rounded_softmax(logits, labels):
    targets, counted = labels[:, 1:], labels[:, 1:] != IGNORED
    p = torch.softmax(logits[:, :-1], -1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return torch.where(counted, p.log(), 0.0).sum(1)


def _whole_batch(logits, labels):
    counted = labels[:, 1:] != IGNORED
    total = (_gathered(logits[:, :-1], labels[:, 1:]) * counted).sum()
    return total.expand(len(labels)) / len(labels)


def _by_cross_entropy(logits, labels):
    losses = F.cross_entropy(logits[:, :-1].mT, labels[:, 1:], reduction="none")
    return -losses.sum(1)


def _by_gather(logits, labels):
    counted = labels[:, 1:] != IGNORED
    return (_gathered(logits[:, :-1], labels[:, 1:]) * counted).sum(1)


def _any_answers(rng: random.Random) -> Call:
    batch, tokens, words = rng.randint(1, 4), rng.randint(2, 6), rng.randint(2, 5)
    rows = []
    for _ in range(batch):
        row = [rng.randrange(words) if rng.random() < 0.6 else IGNORED for _ in range(tokens)]
        row[rng.randrange(1, tokens)] = rng.randrange(words)
        rows.append(row)
    return call(random_tensor(rng, batch, tokens, words, scale=2.0), torch.tensor(rows))


LOG_PROBABILITY = Exercise(
    id="fine_tuning.log_probability",
    title="The log-probability of an answer",
    minutes=8,
    difficulty=2,
    statement=(
        "`logits` (B, T, V) are those of whole conversations, `labels` (B, T) hold the ids of the "
        "answers and −100 elsewhere. The logits at place t predict the id at place t + 1. Return "
        "the *sum* of the log-probabilities of each row's labels, of shape (B). A label in the "
        "first place has nothing before it and does not count. Every row has a label that counts. "
        "Logits may be hundreds apart. The gradient is checked too."
    ),
    solution=fine_tuning.sequence_log_probability,
    reference=_lp_reference,
    generator=_any_answers,
    tolerance=4.0,
    probes=(
        Probe(
            "one label at the end",
            lambda: call(uneven(1, 3, 4), torch.tensor([[IGNORED, IGNORED, 2]])),
            "The logits in the place before predict it.",
        ),
        Probe(
            "two rows of different length",
            lambda: call(
                uneven(2, 4, 3),
                torch.tensor([[IGNORED, 1, 0, 2], [IGNORED, IGNORED, 1, IGNORED]]),
            ),
            "Sums, not means: a longer answer is less probable.",
            tolerance=4.0,
            gradient=True,
        ),
        Probe(
            "a label in the first place",
            lambda: call(uneven(1, 3, 4), torch.tensor([[3, 1, IGNORED]])),
            "Nothing predicts the first id.",
        ),
        Probe(
            "an improbable answer",
            lambda: call(
                torch.tensor([[[0.0, 300.0, 0.0], [100.0, 0.0, -100.0], [0.0, 0.0, 0.0]]]),
                torch.tensor([[IGNORED, 0, 2]]),
            ),
            "Its log-probability is −500. The probability itself rounds to 0, and log 0 is −∞.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean over the tokens",
            _mean,
            "The probability of a sequence is a product, so its logarithm is a sum. DPO is derived "
            "for the sum; SimPO uses the mean, and so does IPO in trl.",
        ),
        Misconception(
            "the logarithm of a rounded softmax",
            _rounded_softmax,
            "An improbable token has a softmax of 0 in float32, and log 0 is −∞. Use log_softmax.",
        ),
        Misconception(
            "not shifted",
            _not_shifted,
            "The logits at place t were computed from the id at t, too. They predict the id at "
            "t + 1.",
        ),
        Misconception(
            "shifted the wrong way",
            _shifted_back,
            "The logits one place *earlier* predict a label: `logits[:, :-1]` with "
            "`labels[:, 1:]`.",
        ),
        Misconception(
            "the prompt counted as token 0",
            _prompt_too,
            "−100 is no id. After replacing it to be able to gather, leave these places out of the "
            "sum.",
        ),
        Misconception(
            "probabilities added",
            _probabilities,
            "Add log-probabilities. Probabilities of successive tokens are multiplied.",
        ),
        Misconception(
            "logits added",
            _raw_logits,
            "A logit is a score. Apply log-softmax over the vocabulary first.",
        ),
        Misconception(
            "one number for the batch",
            _whole_batch,
            "Every row has its own answer: sum along the tokens only.",
        ),
    ),
    alternatives=(
        Alternative("cross-entropy without reduction", _by_cross_entropy),
        Alternative("gather", _by_gather),
        Alternative(
            "one-hot",
            lambda logits, labels: torch.stack(
                [
                    (
                        torch.log_softmax(row[:-1], -1)
                        * F.one_hot(label[1:].clamp(min=0), row.shape[-1])
                        * (label[1:] != IGNORED)[:, None]
                    ).sum()
                    for row, label in zip(logits, labels, strict=True)
                ]
            ),
        ),
    ),
    hints=(
        "Shift first: which logits belong to which labels?",
        "−100 cannot be an index. Clamp it to 0 to gather, and drop these places afterwards.",
        "`F.cross_entropy(..., reduction='none')` leaves −100 out, and gives −log p.",
    ),
)
