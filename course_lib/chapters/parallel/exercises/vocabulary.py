"""The exercise on the loss of a vocabulary in pieces."""

import math

import torch
import torch.nn.functional as F

from course_lib.chapters.parallel import answers
from course_lib.chapters.parallel.exercises import generators
from course_lib.chapters.parallel.on_ranks import (
    of_ranks,
    on_ranks,
    per_rank,
    right_on_ranks,
    wrong_on_ranks,
)
from course_lib.study.check.spec import Exercise, Probe


def _whole_loss(given):
    logits = torch.cat([each[0] for each in given], dim=1).double()
    found = []
    for row, target in zip(logits, given[0][1].tolist(), strict=True):
        highest = max(row.tolist())
        total = sum(math.exp(each - highest) for each in row.tolist())
        found.append(highest + math.log(total) - row[target].item())
    loss = torch.tensor(sum(found) / len(found), dtype=given[0][0].dtype)
    return [loss] * len(given)


def _found(logits, targets, start):
    """Return the logits of the targets that are here, else 0."""
    mine = (targets >= start) & (targets < start + logits.shape[1])
    place = torch.where(mine, targets - start, torch.zeros_like(targets))
    return logits.gather(1, place[:, None])[:, 0] * mine


def _numbers(count, x):
    return torch.arange(count, device=x.device)


def _by_parts(comm, logits, targets, start):
    highest = comm.all_reduce(logits.amax(1), "max")
    total = comm.all_reduce((logits - highest[:, None]).exp().sum(1))
    return (highest + total.log() - comm.all_reduce(_found(logits, targets, start))).mean()


def _by_logsumexps(comm, logits, targets, start):
    lse = torch.stack(comm.all_gather(logits.logsumexp(1))).logsumexp(0)
    return (lse - comm.all_reduce(_found(logits, targets, start))).mean()


def _by_numbers(comm, logits, targets, start):
    columns = _numbers(logits.shape[1], logits) + start
    picked = torch.where(columns == targets[:, None], logits, torch.zeros_like(logits)).sum(1)
    highest = comm.all_reduce(logits.max(dim=1).values, "max")
    total = comm.all_reduce(torch.exp(logits - highest[:, None]).sum(dim=1))
    return torch.mean(torch.log(total) + highest - comm.all_reduce(picked))


def _gathered(comm, logits, targets, start):
    sizes = [int(n) for n in comm.all_gather(torch.tensor([logits.shape[1]]))]
    columns = torch.cat(comm.all_gather(logits.T.contiguous(), sizes))
    return F.cross_entropy(columns.T, targets)


def _own_maximum(comm, logits, targets, start):
    highest = logits.amax(1)
    total = comm.all_reduce((logits - highest[:, None]).exp().sum(1))
    return (highest + total.log() - comm.all_reduce(_found(logits, targets, start))).mean()


def _own_normaliser(comm, logits, targets, start):
    return (logits.logsumexp(1) - comm.all_reduce(_found(logits, targets, start))).mean()


def _summed_logsumexps(comm, logits, targets, start):
    lse = comm.all_reduce(logits.logsumexp(1))
    return (lse - comm.all_reduce(_found(logits, targets, start))).mean()


def _target_everywhere(comm, logits, targets, start):
    place = (targets - start).clamp(0, logits.shape[1] - 1)
    found = comm.all_reduce(logits.gather(1, place[:, None])[:, 0])
    lse = torch.stack(comm.all_gather(logits.logsumexp(1))).logsumexp(0)
    return (lse - found).mean()


def _not_shifted(comm, logits, targets, start):
    found = comm.all_reduce(_found(logits, targets, 0))
    lse = torch.stack(comm.all_gather(logits.logsumexp(1))).logsumexp(0)
    return (lse - found).mean()


def _no_maximum(comm, logits, targets, start):
    total = comm.all_reduce(logits.exp().sum(1))
    return (total.log() - comm.all_reduce(_found(logits, targets, start))).mean()


def _summed(comm, logits, targets, start):
    lse = torch.stack(comm.all_gather(logits.logsumexp(1))).logsumexp(0)
    return (lse - comm.all_reduce(_found(logits, targets, start))).sum()


def _logits(*sizes, targets=(0, 3), scale=1.0):
    def inputs():
        rng = torch.Generator().manual_seed(sum(sizes))
        whole = scale * torch.randn(len(targets), sum(sizes), generator=rng)
        pieces = whole.split(sizes, dim=1)
        return per_rank(
            [
                (piece.clone(), torch.tensor(targets), sum(sizes[:rank]))
                for rank, piece in enumerate(pieces)
            ]
        )

    return inputs


LOSS = Exercise(
    id="parallel.loss",
    title="The loss of a vocabulary in pieces",
    minutes=15,
    difficulty=3,
    statement=(
        "Each rank has the logits (N, V) of its own ids, which are start to start + V − 1; V may "
        "differ between ranks. `targets` (N,) are ids of the whole vocabulary, the same on all "
        "ranks. "
        "Return the mean cross-entropy over the N tokens, a tensor of shape (), the same on "
        'every rank. `comm.all_reduce(x)` is the sum over the ranks, `comm.all_reduce(x, "max")` '
        "the maximum. Logits may be in the hundreds."
    ),
    solution=on_ranks(answers.vocab_loss),
    adapter=on_ranks,
    reference=of_ranks(_whole_loss),
    generator=generators.loss,
    probes=(
        Probe("two ranks", _logits(2, 2), "Each rank has one of the targets."),
        Probe("one rank", _logits(4), "Cross-entropy as usual."),
        Probe(
            "both targets on one rank", _logits(3, 3, targets=(4, 5)), "Rank 0 has none of them."
        ),
        Probe("uneven", _logits(1, 4, 2, targets=(0, 2, 6)), "Pieces of three sizes."),
        Probe("large logits", _logits(3, 2, scale=200.0, targets=(1, 4)), "exp(200) is too large."),
        Probe("one token", _logits(2, 3, targets=(2,)), "The first id of the second rank."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "its own maximum",
            _own_maximum,
            "Each rank subtracts its own maximum, so the sums have different scales and cannot be "
            "added. Take the maximum over the ranks first.",
        ),
        wrong_on_ranks(
            "its own normaliser",
            _own_normaliser,
            "The sum of exponentials runs over the whole vocabulary, not over this rank's part.",
        ),
        wrong_on_ranks(
            "logsumexps added",
            _summed_logsumexps,
            "Sums of exponentials add up; their logarithms do not.",
        ),
        wrong_on_ranks(
            "a target on every rank",
            _target_everywhere,
            "A rank that does not have the target must contribute 0, not some other logit.",
        ),
        wrong_on_ranks(
            "the start forgotten",
            _not_shifted,
            "Column 0 of this rank is id `start`. Subtract start from the target.",
        ),
        wrong_on_ranks(
            "no maximum at all",
            _no_maximum,
            "exp of a large logit is infinite. Subtract the maximum of all ranks first.",
        ),
        wrong_on_ranks("summed over tokens", _summed, "The mean over the tokens is wanted."),
    ),
    alternatives=(
        right_on_ranks("three reductions", _by_parts),
        right_on_ranks("by logsumexps", _by_logsumexps),
        right_on_ranks("by numbers of columns", _by_numbers),
        right_on_ranks("all logits gathered", _gathered),
    ),
    hints=(
        'highest = comm.all_reduce(logits.amax(1), "max"); then sums of exp(logits - highest).',
        "mine = (targets >= start) & (targets < start + V) says which targets are here; the others "
        "contribute 0 to the sum over the ranks.",
        "The loss of a token is highest + log(total) - target's logit.",
    ),
)
