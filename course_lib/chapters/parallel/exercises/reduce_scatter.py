"""The exercise on the half of a ring that adds up."""

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


def _sums(given):
    n = len(given)
    found = []
    for rank in range(n):
        total = torch.stack([chunks[rank].double() for (chunks,) in given]).sum(0)
        sent = sum(chunk.nbytes for i, chunk in enumerate(given[0][0]) if i != rank)
        found.append([total.to(given[0][0][0].dtype), n - 1, sent])
    return found


def _to_the_left(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[(rank + 1) % n].clone()
    for step in range(2, n + 1):
        mine = chunks[(rank + step) % n]
        total = mine + comm.exchange(total, (rank - 1) % n, (rank + 1) % n, like=mine)
    return total


def _directly(comm, chunks):
    total = chunks[comm.rank].clone()
    for step in range(1, comm.size):
        to, source = (comm.rank + step) % comm.size, (comm.rank - step) % comm.size
        total = total + comm.exchange(chunks[to], to, source, like=total)
    return total


def _sent_then_received(comm, chunks):
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    order = [(comm.rank - 1 - step) % comm.size for step in range(comm.size)]
    total = chunks[order[0]].clone()
    for index in order[1:]:
        comm.post(total, right)
        total = chunks[index] + comm.recv(chunks[index], left)
    return total


def _gathered(comm, chunks):
    n, rank = comm.size, comm.rank
    total = [chunk.clone() for chunk in chunks]
    moving = total
    for _ in range(n - 1):
        moving = [comm.exchange(c, (rank + 1) % n, (rank - 1) % n) for c in moving]
        total = [a + b for a, b in zip(total, moving, strict=True)]
    return total[rank]


def _started_with_own(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[rank].clone()
    for step in range(1, n):
        mine = chunks[(rank - step) % n]
        total = mine + comm.exchange(total, (rank + 1) % n, (rank - 1) % n, like=mine)
    return total


def _stopped_early(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[(rank - 1) % n].clone()
    for step in range(1, n - 1):
        mine = chunks[(rank - 1 - step) % n]
        total = mine + comm.exchange(total, (rank + 1) % n, (rank - 1) % n, like=mine)
    return total


def _never_added(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[(rank - 1) % n].clone()
    for step in range(1, n):
        mine = chunks[(rank - 1 - step) % n]
        total = comm.exchange(total, (rank + 1) % n, (rank - 1) % n, like=mine)
    return total


def _own_chunks_sent(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[rank].clone()
    for step in range(1, n):
        gone, coming = chunks[(rank - step) % n], chunks[(rank - step - 1) % n]
        total = chunks[rank] + comm.exchange(gone, (rank + 1) % n, (rank - 1) % n, like=coming)
    return total


def _averaged(comm, chunks):
    n, rank = comm.size, comm.rank
    total = chunks[(rank - 1) % n].clone()
    for step in range(1, n):
        mine = chunks[(rank - 1 - step) % n]
        total = mine + comm.exchange(total, (rank + 1) % n, (rank - 1) % n, like=mine)
    return total / n


def _numbers(ranks, *sizes, dtype=torch.float32):
    def inputs():
        given = []
        for rank in range(ranks):
            values = [torch.arange(size) + 10.0 * rank + 100 * i for i, size in enumerate(sizes)]
            given.append(([each.to(dtype) for each in values],))
        return per_rank(given)

    return inputs


REDUCE_SCATTER = Exercise(
    id="parallel.reduce_scatter",
    title="A ring that adds up",
    minutes=15,
    difficulty=3,
    statement=(
        "Each of n ranks has a list `chunks` of n tensors; chunk i has the same shape on all "
        "ranks. "
        "Return, on rank r, the sum over the ranks of their chunks r. Use `comm.rank`, `comm.size` "
        "and `comm.exchange(x, to, source, like)`, which sends x to rank `to` and returns what "
        "rank "
        "`source` sends, a tensor of the shape of `like`. Each rank sends n - 1 messages: every "
        "chunk except chunk r once, with what has been added to it so far. Inputs stay as they are."
    ),
    solution=on_metered_ranks(parallel.ring_reduce_scatter),
    adapter=on_metered_ranks,
    reference=of_ranks(_sums),
    generator=generators.chunks,
    probes=(
        Probe("two ranks", _numbers(2, 1, 1), "One exchange: rank 0 gets both chunks 0."),
        Probe("three ranks", _numbers(3, 2, 2, 2), "Two steps; each chunk passes every rank."),
        Probe("four ranks", _numbers(4, 1, 1, 1, 1), "Three steps, three messages."),
        Probe("one rank", _numbers(1, 3), "Nothing to send: its own chunk is the sum."),
        Probe("uneven chunks", _numbers(3, 1, 3, 2), "Chunk i has its own shape on all ranks."),
        Probe(
            "in double precision",
            _numbers(2, 2, 2, dtype=torch.float64),
            "Bytes are counted, so the dtype stays.",
        ),
    ),
    misconceptions=(
        metered_wrong(
            "everything sent around",
            _gathered,
            "The sums are right, but each rank sends all chunks in every step, n times too many "
            "bytes. Send one chunk per step: the one that is being added up.",
        ),
        metered_wrong(
            "the neighbour's chunk",
            _started_with_own,
            "Rank r ends with the sum of chunks r + 1. Start one earlier: the first chunk that "
            "rank "
            "r sends is (r - 1) % n, and after n - 1 steps chunk r arrives.",
        ),
        metered_wrong(
            "one step too few",
            _stopped_early,
            "A chunk must pass all n ranks, which takes n - 1 messages.",
        ),
        metered_wrong(
            "passed on without adding",
            _never_added,
            "Add this rank's own chunk to what arrives before you send it on.",
        ),
        metered_wrong(
            "only own chunks sent",
            _own_chunks_sent,
            "You send your own chunks, not the sum so far. Send on what you have added up.",
        ),
        metered_wrong(
            "averaged", _averaged, "The sum is wanted. Dividing by n is left to the caller."
        ),
    ),
    alternatives=(
        metered_right("to the left", _to_the_left),
        metered_right("directly to the owner", _directly),
        metered_right("post, then receive", _sent_then_received),
    ),
    hints=(
        "Follow chunk 0 with three ranks: it starts at rank 1, goes to rank 2, and ends at rank 0.",
        "So rank r starts with total = chunks[(r - 1) % n], and in step s = 1 ... n - 1 receives "
        "the "
        "sum so far of chunk (r - 1 - s) % n.",
        "total = mine + comm.exchange(total, (r + 1) % n, (r - 1) % n, like=mine) with "
        "mine = chunks[(r - 1 - s) % n].",
    ),
)
