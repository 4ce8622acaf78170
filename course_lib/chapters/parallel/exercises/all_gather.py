"""The exercise on the half of a ring that copies."""

import torch

from course_lib import parallel
from course_lib.chapters.parallel.exercises import generators
from course_lib.chapters.parallel.on_ranks import (
    metered_right,
    metered_wrong,
    of_ranks,
    on_metered_ranks,
    per_rank,
)
from course_lib.study.check.spec import Exercise, Probe


def _all(given):
    n = len(given)
    tensors = [x for (x,) in given]
    return [[list(tensors), n - 1, (n - 1) * tensors[0].nbytes] for _ in range(n)]


def _around(comm, x):
    found = [x.clone()]
    for _ in range(comm.size - 1):
        right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
        found.append(comm.exchange(found[-1], right, left))
    return [found[(comm.rank - i) % comm.size] for i in range(comm.size)]


def _leftwards(comm, x):
    n, rank = comm.size, comm.rank
    found = {rank: x.clone()}
    for step in range(n - 1):
        here = (rank + step) % n
        found[(here + 1) % n] = comm.exchange(found[here], (rank - 1) % n, (rank + 1) % n)
    return [found[i] for i in range(n)]


def _to_each(comm, x):
    n, rank = comm.size, comm.rank
    found = [x.clone() for _ in range(n)]
    for step in range(1, n):
        source = (rank - step) % n
        found[source] = comm.exchange(x, (rank + step) % n, source)
    return found


def _order_of_arrival(comm, x):
    found = [x.clone()]
    for _ in range(comm.size - 1):
        right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
        found.append(comm.exchange(found[-1], right, left))
    return found


def _own_again(comm, x):
    n, rank = comm.size, comm.rank
    found = [x.clone() for _ in range(n)]
    for step in range(1, n):
        found[(rank - step) % n] = comm.exchange(x, (rank + 1) % n, (rank - 1) % n)
    return found


def _without_own(comm, x):
    found = _around(comm, x)
    return found[: comm.rank] + found[comm.rank + 1 :]


def _one_missing(comm, x):
    n, rank = comm.size, comm.rank
    found = [torch.zeros_like(x) for _ in range(n)]
    found[rank] = x.clone()
    for step in range(n - 2):
        here = (rank - step) % n
        found[(here - 1) % n] = comm.exchange(found[here], (rank + 1) % n, (rank - 1) % n)
    return found


def _all_sent(comm, x):
    n, rank = comm.size, comm.rank
    found = torch.zeros(n, *x.shape, dtype=x.dtype, device=x.device)
    found[rank] = x
    for _ in range(n - 1):
        found = found.clone()
        arrived = comm.exchange(found, (rank + 1) % n, (rank - 1) % n)
        found = torch.where(found == 0, arrived, found)
    return list(found)


def _mirrored(comm, x):
    n, rank = comm.size, comm.rank
    found = [x.clone() for _ in range(n)]
    moving = x
    for step in range(1, n):
        moving = comm.exchange(moving, (rank + 1) % n, (rank - 1) % n)
        found[(rank + step) % n] = moving
    return found


def _tensors(ranks, *shape, dtype=torch.float32):
    def inputs():
        one = torch.arange(torch.Size(shape).numel(), dtype=dtype).view(shape)
        return per_rank([(one + 10 * rank + 1,) for rank in range(ranks)])

    return inputs


ALL_GATHER = Exercise(
    id="parallel.all_gather",
    title="A ring that copies",
    minutes=8,
    difficulty=2,
    statement=(
        "Each rank has a tensor x, of the same shape and dtype on all. Return a list of all of "
        "them, "
        "in the order of the ranks, on every rank; its own is in it. `comm.exchange(y, to, "
        "source)` "
        "sends y and returns what rank `source` sends. Each rank sends n - 1 messages of the size "
        "of "
        "x. Inputs stay as they are."
    ),
    solution=on_metered_ranks(parallel.ring_all_gather),
    adapter=on_metered_ranks,
    reference=of_ranks(_all),
    generator=generators.chunk,
    probes=(
        Probe("two ranks", _tensors(2, 1), "One exchange."),
        Probe("three ranks", _tensors(3, 2), "What arrives in a step is sent on in the next."),
        Probe("four ranks", _tensors(4, 1), "Three messages for each rank."),
        Probe("one rank", _tensors(1, 2), "A list of one tensor, and no message."),
        Probe("matrices", _tensors(3, 2, 3), "Any shape."),
        Probe("in double precision", _tensors(2, 3, dtype=torch.float64), "Any dtype."),
    ),
    misconceptions=(
        metered_wrong(
            "in the order of arrival",
            _order_of_arrival,
            "Your list starts with the rank's own tensor on every rank. What arrives in step s "
            "comes from rank (r - s) % n: put it there.",
        ),
        metered_wrong(
            "the own tensor sent each time",
            _own_again,
            "Your left neighbour's tensor arrives again and again. Send on what arrived last.",
        ),
        metered_wrong(
            "the own tensor left out", _without_own, "The list has n tensors, this rank's included."
        ),
        metered_wrong(
            "one step too few",
            _one_missing,
            "n - 1 tensors have to arrive: n - 1 messages, not n - 2.",
        ),
        metered_wrong(
            "everything sent each time",
            _all_sent,
            "You send all that you have in every step, n times too many bytes. Send the newest "
            "only.",
        ),
        metered_wrong(
            "from the other side",
            _mirrored,
            "What comes from the left in step s was rank (r - s)'s, not rank (r + s)'s.",
        ),
    ),
    alternatives=(
        metered_right("around, then sorted", _around),
        metered_right("to the left", _leftwards),
        metered_right("directly to each", _to_each),
    ),
    hints=(
        "Keep a list of n places; this rank's own tensor has place r.",
        "In step s send the tensor of place (r - s) % n; the one of place (r - s - 1) % n arrives.",
    ),
)
