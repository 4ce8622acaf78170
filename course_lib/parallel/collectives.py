"""Collectives, made of messages between two ranks.

In a ring each rank only ever talks to its two neighbours, and all links are busy all the time. The
sum of n tensors is cut into n chunks, each of which travels once around the ring and is added to
at every stop (reduce-scatter); then the finished chunks travel around once more (all-gather).

    ring             2 (n-1) steps     2 (n-1)/n * bytes     sent by each rank
    tree             2 log2(n) steps   up to log2(n) * bytes
    halving          2 log2(n) steps   2 (n-1)/n * bytes     for n a power of two

Every rank ends with the same bits: each chunk is summed at one place, then copied.

Taught in:        parallel
Paper:            Patarasuk & Yuan 2009, doi:10.1016/j.jpdc.2008.09.002 (ring); Thakur et al. 2005,
                  doi:10.1177/1094342005051521 (tree, halving)
Checked against:  sums of all tensors at once, in float64; torch.distributed on gloo
Shapes:           any; chunks may differ in size
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.parallel.communicator import Communicator, Operation, require_chunks


def ring_reduce_scatter(
    comm: Communicator, chunks: Sequence[Tensor], op: Operation = "sum"
) -> Tensor:
    """Return the sum over the ranks of the chunk with this rank's number."""
    require_chunks(chunks, comm.size)
    n, rank = comm.size, comm.rank
    total = chunks[(rank - 1) % n].clone()
    for step in range(1, n):
        mine = chunks[(rank - 1 - step) % n]
        arrived = comm.exchange(total, (rank + 1) % n, (rank - 1) % n, like=mine)
        total = reduced(arrived, mine, op)
    return total


def ring_all_gather(comm: Communicator, x: Tensor, sizes: Sequence[int] | None = None) -> list:
    """Return the tensors of all ranks, in the order of the ranks."""
    n, rank = comm.size, comm.rank
    found = [resized(x, None if sizes is None else sizes[i]) for i in range(n)]
    found[rank] = x.clone()
    for step in range(n - 1):
        gone, coming = (rank - step) % n, (rank - step - 1) % n
        found[coming] = comm.exchange(
            found[gone], (rank + 1) % n, (rank - 1) % n, like=found[coming]
        )
    return found


def ring_all_reduce(comm: Communicator, x: Tensor, op: Operation = "sum") -> Tensor:
    """Return the sum over the ranks: a reduce-scatter, then an all-gather."""
    chunks = x.flatten().tensor_split(comm.size)
    mine = ring_reduce_scatter(comm, chunks, op)
    return torch.cat(ring_all_gather(comm, mine, [len(chunk) for chunk in chunks])).view(x.shape)


def tree_broadcast(comm: Communicator, x: Tensor, source: int = 0) -> Tensor:
    """Return the tensor of `source`: in each step, twice as many ranks have it."""
    n, place = comm.size, (comm.rank - source) % comm.size
    have, x = 1, x.clone()
    while have < n:
        if place < have and place + have < n:
            comm.send(x, (place + have + source) % n)
        elif have <= place < 2 * have:
            x = comm.recv(x, (place - have + source) % n)
        have *= 2
    return x


def tree_all_reduce(comm: Communicator, x: Tensor, op: Operation = "sum") -> Tensor:
    """Return the sum over the ranks: in pairs up to rank 0, then broadcast."""
    n, rank, apart = comm.size, comm.rank, 1
    x = x.clone()
    while apart < n:
        if rank % (2 * apart) == apart:
            comm.send(x, rank - apart)
            break
        if rank + apart < n:
            x = reduced(x, comm.recv(x, rank + apart), op)
        apart *= 2
    return tree_broadcast(comm, x)


def halving_all_reduce(comm: Communicator, x: Tensor, op: Operation = "sum") -> Tensor:
    """Return the sum over the ranks: halves with ever nearer partners, then back."""
    n = comm.size
    if n & (n - 1):
        raise ValueError(
            f"recursive halving needs a power of two of ranks; got {n}. Use ring_all_reduce."
        )
    chunks, low, high = list(x.flatten().tensor_split(n)), 0, n
    while high - low > 1:
        middle = (low + high) // 2
        mine, theirs = ((low, middle), (middle, high))
        partner = comm.rank + (high - low) // 2
        if comm.rank >= middle:
            mine, theirs, partner = theirs, mine, comm.rank - (high - low) // 2
        kept = torch.cat(chunks[slice(*mine)])
        arrived = comm.exchange(torch.cat(chunks[slice(*theirs)]), partner, partner, like=kept)
        chunks[slice(*mine)] = _cut(reduced(kept, arrived, op), chunks[slice(*mine)])
        low, high = mine
    return _doubled(comm, chunks).view(x.shape)


def _doubled(comm: Communicator, chunks: list[Tensor]) -> Tensor:
    """Gather the chunks, of which each rank has its own, with ever farther partners."""
    width = 1
    while width < comm.size:
        mine = comm.rank // width * width
        theirs = mine ^ width
        there = chunks[theirs : theirs + width]
        arrived = comm.exchange(
            torch.cat(chunks[mine : mine + width]),
            comm.rank ^ width,
            comm.rank ^ width,
            like=torch.cat(there),
        )
        chunks[theirs : theirs + width] = _cut(arrived, there)
        width *= 2
    return torch.cat(chunks)


def pairwise_all_to_all(
    comm: Communicator, chunks: Sequence[Tensor], sizes: Sequence[int] | None = None
) -> list[Tensor]:
    """Send chunk i to rank i, in steps in which everybody sends once and receives once."""
    require_chunks(chunks, comm.size)
    n, rank = comm.size, comm.rank
    found = [resized(chunks[rank], None if sizes is None else sizes[i]) for i in range(n)]
    found[rank] = chunks[rank].clone()
    for step in range(1, n):
        to, source = (rank + step) % n, (rank - step) % n
        found[source] = comm.exchange(chunks[to], to, source, like=found[source])
    return found


def reduced(a: Tensor, b: Tensor, op: Operation) -> Tensor:
    """Return the sum or the maximum of two tensors."""
    return torch.maximum(a, b) if op == "max" else a + b


def resized(x: Tensor, size: int | None) -> Tensor:
    """Return an unfilled tensor like x, of a different size along the first axis."""
    return x.new_empty(x.shape if size is None else (size, *x.shape[1:]))


def _cut(x: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    return list(x.split([len(each) for each in like]))
