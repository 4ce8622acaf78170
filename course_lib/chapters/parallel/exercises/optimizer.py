"""The exercise on a sharded optimizer."""

import torch

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


def _unsharded(given):
    n, numbers = len(given), len(given[0][0])
    length = -(-numbers // n)
    parameters, _, _, rate, beta = given[0]
    mean = sum(g.double() for _, g, *_ in given) / n
    momentum = torch.cat([m.double() for _, _, m, *_ in given])
    momentum = beta * momentum + torch.cat((mean, mean.new_zeros(length * n - numbers)))
    new = (parameters.double() - rate * momentum[:numbers]).to(parameters.dtype)
    return [(new, m.to(parameters.dtype)) for m in momentum.chunk(n)]


def _padded(x, n):
    length = -(-len(x) // n)
    return torch.cat((x, x.new_zeros(length * n - len(x))))


def _by_all_reduce(comm, parameters, gradient, momentum, rate, beta):
    mean = comm.all_reduce(gradient) / comm.size
    row, grads = _padded(parameters, comm.size), _padded(mean, comm.size)
    own = slice(comm.rank * len(momentum), (comm.rank + 1) * len(momentum))
    momentum = beta * momentum + grads[own]
    whole = torch.cat(comm.all_gather(row[own] - rate * momentum))
    return whole[: len(parameters)], momentum


def _changes_gathered(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size)) / comm.size
    momentum = momentum * beta + own
    change = torch.cat(comm.all_gather(momentum * rate))[: len(parameters)]
    return parameters - change, momentum


def _by_split(comm, parameters, gradient, momentum, rate, beta):
    n = comm.size
    pieces = _padded(gradient / n, n).split(len(momentum))
    momentum = comm.reduce_scatter(pieces).add(momentum, alpha=beta)
    new = _padded(parameters, n).split(len(momentum))[comm.rank] - rate * momentum
    return torch.cat(comm.all_gather(new))[: len(parameters)], momentum


def _sum_of_gradients(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size))
    momentum = momentum * beta + own
    change = torch.cat(comm.all_gather(momentum * rate))[: len(parameters)]
    return parameters - change, momentum


def _own_gradient(comm, parameters, gradient, momentum, rate, beta):
    own = _padded(gradient, comm.size).chunk(comm.size)[comm.rank]
    momentum = momentum * beta + own
    change = torch.cat(comm.all_gather(momentum * rate))[: len(parameters)]
    return parameters - change, momentum


def _not_gathered(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size)) / comm.size
    momentum = momentum * beta + own
    row = _padded(parameters, comm.size)
    start = comm.rank * len(momentum)
    row[start : start + len(momentum)] -= rate * momentum
    return row[: len(parameters)], momentum


def _old_momentum(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size)) / comm.size
    change = torch.cat(comm.all_gather(momentum * rate))[: len(parameters)]
    return parameters - change, momentum * beta + own


def _no_momentum(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size)) / comm.size
    change = torch.cat(comm.all_gather(own * rate))[: len(parameters)]
    return parameters - change, own


def _upwards(comm, parameters, gradient, momentum, rate, beta):
    own = comm.reduce_scatter(_padded(gradient, comm.size).chunk(comm.size)) / comm.size
    momentum = momentum * beta + own
    change = torch.cat(comm.all_gather(momentum * rate))[: len(parameters)]
    return parameters + change, momentum


def _step(ranks, numbers, rate=0.5, beta=0.5, momentum=1.0):
    def inputs():
        length = -(-numbers // ranks)
        parameters = torch.arange(1.0, numbers + 1)
        return per_rank(
            [
                (
                    parameters,
                    torch.arange(numbers) * (rank + 1.0) + 2,
                    torch.full((length,), momentum * (rank + 1)),
                    rate,
                    beta,
                )
                for rank in range(ranks)
            ]
        )

    return inputs


SHARD = Exercise(
    id="parallel.shard",
    title="A sharded optimizer",
    minutes=15,
    difficulty=3,
    statement=(
        "A step of SGD with momentum, whose momentum is sharded over n ranks. `parameters` (P,) is "
        "the same on all ranks; `gradient` (P,) is the rank's own; `momentum` (S,) is its "
        "shard, with S = P / n rounded up: rank r has the places r·S to (r + 1)·S − 1 of the row, "
        "which is padded with zeros at the end to n·S. The gradient g of the step is the mean "
        "over the ranks, m = beta·m + g, p = p − rate·m. Return (new parameters (P,), this "
        "rank's new momentum (S,)). "
        "`comm.reduce_scatter(list of n chunks)` returns the sum of chunk r; `comm.all_gather(x)` "
        "the list of all ranks' tensors. Inputs stay as they are."
    ),
    solution=on_ranks(answers.sharded_step),
    adapter=on_ranks,
    reference=of_ranks(_unsharded),
    generator=generators.sharded,
    probes=(
        Probe("two ranks, even", _step(2, 4), "Each rank updates two numbers."),
        Probe("one rank", _step(1, 3), "The step of one process."),
        Probe("three ranks, uneven", _step(3, 7), "7 numbers, 3 for each, 2 are padding."),
        Probe("more ranks than numbers", _step(3, 2), "The last rank has only padding."),
        Probe("no momentum", _step(2, 4, beta=0.0), "With beta = 0 the old momentum is forgotten."),
        Probe("a first step", _step(2, 5, momentum=0.0), "All momenta are 0."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "the sum of the gradients",
            _sum_of_gradients,
            "reduce_scatter adds up. Divide by the number of ranks for the mean.",
        ),
        wrong_on_ranks(
            "its own gradient",
            _own_gradient,
            "You update the shard with the rank's own gradient. Reduce-scatter it first.",
        ),
        wrong_on_ranks(
            "not gathered",
            _not_gathered,
            "Each rank has changed its shard only, and models differ from now on. Gather the "
            "shards.",
        ),
        wrong_on_ranks(
            "the old momentum",
            _old_momentum,
            "You step along the old momentum. Update it first, then use the new one.",
        ),
        wrong_on_ranks(
            "momentum forgotten", _no_momentum, "m = beta · m + g: the old momentum counts too."
        ),
        wrong_on_ranks("uphill", _upwards, "The step goes against the gradient: p − rate · m."),
    ),
    alternatives=(
        right_on_ranks("all-reduce, then cut", _by_all_reduce),
        right_on_ranks("changes gathered", _changes_gathered),
        right_on_ranks("by split", _by_split),
    ),
    hints=(
        "Pad a row with torch.cat((x, x.new_zeros(n * S - len(x)))); .chunk(n) cuts it.",
        "g = comm.reduce_scatter(padded gradient, in chunks) / n; then this rank's part of the "
        "parameters.",
        "torch.cat(comm.all_gather(this rank's new parameters))[:P].",
    ),
)
