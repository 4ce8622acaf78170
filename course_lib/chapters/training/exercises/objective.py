"""The exercise on the objective: the mean cross-entropy of each next token."""

import math

import torch
import torch.nn.functional as F

from course_lib import softmax
from course_lib.chapters.training.exercises.generators import next_token_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.training import objective

_IDS = torch.tensor([[3, 0, 4, 1, 2], [1, 4, 4, 0, 3], [2, 1, 0, 3, 3]])
_T, _F = True, False


def _inputs(rows, counted=None, scale=1.0):
    """Return logits of five tokens over a vocabulary of six, ids, and the targets' mask."""
    given = (uneven(rows, 5, 6) * scale, _IDS[:rows].clone())
    return call(*given) if counted is None else call(*given, torch.tensor(counted))


def _by_hand(logits, ids, counted=None):
    log_p = torch.log_softmax(logits.double(), -1)
    surprises = [
        -log_p[row, t, ids[row, t + 1]]
        for row in range(len(ids))
        for t in range(ids.shape[1] - 1)
        if counted is None or counted[row, t + 1]
    ]
    return torch.stack(surprises).mean().to(logits.dtype)


def _surprises(logits, ids):
    """Return the surprise at each id but the first, without a mean."""
    flat = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return flat.view(len(ids), -1)


def _chosen(ids, counted):
    return torch.ones_like(ids, dtype=torch.bool) if counted is None else counted


def _not_shifted(logits, ids, counted=None):
    chosen = _chosen(ids, counted)
    return F.cross_entropy(logits[chosen], ids[chosen])


def _shifted_backwards(logits, ids, counted=None):
    chosen = _chosen(ids, counted)[:, :-1]
    return F.cross_entropy(logits[:, 1:][chosen], ids[:, :-1][chosen])


def _over_padding(logits, ids, counted=None):
    return (_surprises(logits, ids) * _chosen(ids, counted)[:, 1:]).mean()


def _mask_not_shifted(logits, ids, counted=None):
    return _surprises(logits, ids)[_chosen(ids, counted)[:, :-1]].mean()


def _each_sequence_first(logits, ids, counted=None):
    chosen = _chosen(ids, counted)[:, 1:]
    means = (_surprises(logits, ids) * chosen).sum(-1) / chosen.sum(-1)
    return means.mean()


def _padding_as_token_0(logits, ids, counted=None):
    targets = torch.where(_chosen(ids, counted), ids, 0)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def _summed(logits, ids, counted=None):
    return _surprises(logits, ids)[_chosen(ids, counted)[:, 1:]].sum()


def _divided_by_all_marked(logits, ids, counted=None):
    chosen = _chosen(ids, counted)
    within = chosen if counted is not None else chosen[:, 1:]
    return (_surprises(logits, ids) * chosen[:, 1:]).sum() / within.sum()


def _log_of_softmax(logits, ids, counted=None):
    surprises = -torch.softmax(logits, -1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1).log()
    return surprises[_chosen(ids, counted)[:, 1:]].mean()


def _every_target(logits, ids, counted=None):
    chosen = _chosen(ids, counted)[:, 1:]
    log_p = torch.log_softmax(logits[:, :-1][chosen], -1)
    return -log_p[:, ids[:, 1:][chosen]].mean()


def _zero_ignored(logits, ids, counted=None):
    targets = torch.where(_chosen(ids, counted), ids, 0)[:, 1:].flatten()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets, ignore_index=0)


def _by_ignore_index(logits, ids, counted=None):
    labels = torch.where(_chosen(ids, counted), ids, -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def _as_hinted(logits, ids, counted=None):
    predictions, targets = logits[:, :-1], ids[:, 1:]
    if counted is None:
        return softmax.cross_entropy(predictions.flatten(0, 1), targets.flatten())
    chosen = counted[:, 1:]
    return softmax.cross_entropy(predictions[chosen], targets[chosen])


def _token_by_token(logits, ids, counted=None):
    total, number = torch.zeros(()), 0
    for row in range(ids.shape[0]):
        for t in range(1, ids.shape[1]):
            if counted is None or counted[row, t]:
                before = logits[row, t - 1]
                total = total + before.logsumexp(-1) - before[ids[row, t]]
                number += 1
    return total / number


def _weighted_mean(logits, ids, counted=None):
    weight = _chosen(ids, counted)[:, 1:].float()
    return (_surprises(logits, ids) * weight).sum() / weight.sum()


def _mask_inverted(logits, ids, counted=None):
    chosen = _chosen(ids, counted)
    return _surprises(logits, ids)[(chosen if counted is None else ~chosen)[:, 1:]].mean()


NEXT_TOKEN_LOSS = Exercise(
    id="training.next_token_loss",
    title="The objective, shifted by one",
    minutes=9,
    difficulty=2,
    statement=(
        "Return the mean cross-entropy of the next token in nats, from logits (B, T, V) and ids "
        "(B, T). `counted` (B, T), if given, is True at the prediction targets; the first id of a "
        "row is never one. The gradient is checked too."
    ),
    solution=objective.next_token_loss,
    reference=_by_hand,
    generator=next_token_inputs,
    probes=(
        Probe(
            "one sequence",
            lambda: _inputs(1),
            "Row t of the logits predicts the id at t + 1; five ids give four predictions.",
        ),
        Probe(
            "three sequences",
            lambda: _inputs(3),
            "The mean over all predictions of the batch.",
            gradient=True,
        ),
        Probe(
            "padding at the end",
            lambda: _inputs(2, [[_T, _T, _T, _T, _T], [_T, _T, _F, _F, _F]]),
            "Padding is neither summed nor counted: the mean is over the targets that are left.",
            gradient=True,
        ),
        Probe(
            "only the answer counts",
            lambda: _inputs(2, [[_F, _F, _F, _T, _T], [_F, _F, _T, _T, _F]]),
            "`counted` marks ids, not rows of logits: it is shifted together with the ids.",
        ),
        Probe(
            "large logits",
            lambda: _inputs(2, scale=1000.0),
            "A loss of hundreds of nats is finite.",
        ),
    ),
    misconceptions=(
        Misconception(
            "targets not shifted",
            _not_shifted,
            "Row t of the logits has read the id at t, so scoring it there asks the model to "
            "repeat its input. Score row t at the id at t + 1: logits[:, :-1] against ids[:, 1:].",
        ),
        Misconception(
            "shifted the wrong way",
            _shifted_backwards,
            "You score each row at the id *before* its own, which the model has read. The target "
            "is the id after it: logits[:, :-1] against ids[:, 1:].",
        ),
        Misconception(
            "mean over padding",
            _over_padding,
            "You set the loss of padding to 0 and then divide by all positions. The more padding a "
            "batch has, the smaller its loss and its gradients. Divide by the number of targets.",
        ),
        Misconception(
            "padding counted as text",
            lambda logits, ids, counted=None: _by_hand(logits, ids),
            "Your result does not depend on `counted`: a model would learn to generate padding.",
        ),
        Misconception(
            "the mask not shifted",
            _mask_not_shifted,
            "`counted` marks ids that are targets. Row t predicts the id at t + 1: take "
            "counted[:, 1:], as you take ids[:, 1:].",
        ),
        Misconception(
            "each sequence averaged first",
            _each_sequence_first,
            "In a mean of means a token of a short text weighs more than one of a long text. Take "
            "one mean over all targets of the batch.",
        ),
        Misconception(
            "divided by everything marked",
            _divided_by_all_marked,
            "You divide by counted.sum(). The first id of a row may be marked but is never a "
            "target: count what is left after the shift, counted[:, 1:].",
        ),
        Misconception(
            "softmax before cross-entropy",
            lambda logits, ids, counted=None: _by_hand(torch.softmax(logits, -1), ids, counted),
            "cross_entropy takes logits and applies softmax itself; given probabilities, it "
            "computes the softmax of a softmax. Pass the logits unchanged.",
        ),
        Misconception(
            "the logarithm of a softmax",
            _log_of_softmax,
            "A probability that is rounded to 0 has the logarithm −inf. Use log_softmax or "
            "cross_entropy, which never compute the probability.",
        ),
        Misconception(
            "padding as token 0",
            _padding_as_token_0,
            "Replaced by 0, the padding is a target like any other, namely token 0. Leave these "
            "positions out (F.cross_entropy ignores the target -100).",
        ),
        Misconception(
            "summed instead of averaged",
            _summed,
            "A sum grows with the batch, and so do its gradients. Take the mean.",
        ),
        Misconception(
            "the gradient cut off",
            lambda logits, ids, counted=None: _by_hand(logits.detach(), ids, counted),
            "The value is right, but no gradient flows from it back to the logits, so the model "
            "would not learn. Return the tensor itself, without .item(), detach() or no_grad().",
        ),
        Misconception(
            "the wrong sign",
            lambda logits, ids, counted=None: -_by_hand(logits, ids, counted),
            "Log-probabilities are negative, and the loss is minus their mean. With your sign "
            "training would make the right tokens less likely.",
        ),
        Misconception(
            "every target for every row",
            _every_target,
            "log_p[:, targets] takes from each row the columns of all targets. Pair rows and "
            "targets: log_p[torch.arange(len(targets)), targets], or gather.",
        ),
        Misconception(
            "token 0 left out",
            _zero_ignored,
            "ignore_index=0 also ignores the positions where token 0 is a real target. Mark "
            "padding with a number that is no token id, such as -100.",
        ),
        Misconception(
            "in bits",
            lambda logits, ids, counted=None: _by_hand(logits, ids, counted) / math.log(2),
            "This is the loss in bits. Training losses are in nats: do not divide by ln 2.",
        ),
        Misconception(
            "to base 10",
            lambda logits, ids, counted=None: _by_hand(logits, ids, counted) / math.log(10),
            "These are logarithms to base 10. Training losses are in nats: leave the natural "
            "logarithm as it is.",
        ),
        Misconception(
            "the mask inverted",
            _mask_inverted,
            "True marks what counts. You average over the rest: leave out the `~`.",
        ),
    ),
    alternatives=(
        Alternative("by ignore_index", _by_ignore_index),
        Alternative("as the hints say", _as_hinted),
        Alternative("token by token", _token_by_token),
        Alternative("a weighted mean", _weighted_mean),
    ),
    hints=(
        "Which row of the logits predicts ids[:, 1]? Row 0. So logits[:, :-1] goes with ids[:, "
        "1:].",
        "cross_entropy(logits, targets) takes rows (N, V) and ids (N,). predictions.flatten(0, 1) "
        "and targets.flatten() have these shapes.",
        "chosen = counted[:, 1:] is a mask over the targets; use predictions[chosen] and "
        "targets[chosen].",
    ),
)
