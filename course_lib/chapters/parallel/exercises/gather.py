"""The exercise on weights that are gathered before use."""

import itertools

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


def _whole_layers(given):
    found = []
    for x, shards, shapes in given:
        x = x.double()
        for place, shape in enumerate(shapes):
            row = torch.cat([each[place].double() for _, each, _ in given])
            weight = row[: shape[0] * shape[1]].reshape(shape)
            x = torch.einsum("ni,oi->no", x, weight).clamp(min=0)
        found.append(x.to(shards[0].dtype))
    return found


def _one_line(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        x = torch.relu(x @ torch.cat(comm.all_gather(shard))[: out * into].view(out, into).T)
    return x


def _all_first(comm, x, shards, shapes):
    rows = [torch.cat(comm.all_gather(shard)) for shard in shards]
    for row, shape in zip(rows, shapes, strict=True):
        x = torch.relu(torch.nn.functional.linear(x, row[: torch.Size(shape).numel()].view(*shape)))
    return x


def _by_hand_of_reduce(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        parts = [shard if i == comm.rank else torch.zeros_like(shard) for i in range(comm.size)]
        row = comm.all_reduce(torch.cat(parts))
        x = (x @ row[: out * into].view(out, into).T).clamp(min=0)
    return x


def _no_relu_at_the_end(comm, x, shards, shapes):
    for place, (shard, (out, into)) in enumerate(zip(shards, shapes, strict=True)):
        x = x @ torch.cat(comm.all_gather(shard))[: out * into].view(out, into).T
        x = torch.relu(x) if place + 1 < len(shapes) else x
    return x


def _transposed(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        x = torch.relu(x @ torch.cat(comm.all_gather(shard))[: out * into].view(into, out))
    return x


def _own_part_only(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        parts = [shard if i == comm.rank else torch.zeros_like(shard) for i in range(comm.size)]
        x = torch.relu(x @ torch.cat(parts)[: out * into].view(out, into).T)
    return x


def _padding_in_front(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        row = torch.cat(comm.all_gather(shard))
        x = torch.relu(x @ row[len(row) - out * into :].view(out, into).T)
    return x


def _interleaved(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        row = torch.stack(comm.all_gather(shard), dim=1).flatten()
        x = torch.relu(x @ row[: out * into].view(out, into).T)
    return x


def _activations_summed(comm, x, shards, shapes):
    for shard, (out, into) in zip(shards, shapes, strict=True):
        x = torch.relu(x @ torch.cat(comm.all_gather(shard))[: out * into].view(out, into).T)
    return sum(comm.all_gather(x, [len(x)] * comm.size))


def _layers(ranks, *widths):
    def inputs():
        rng = torch.Generator().manual_seed(sum(widths))
        shapes = [(b, a) for a, b in itertools.pairwise(widths)]
        rows = []
        for out, into in shapes:
            length = -(-out * into // ranks)
            row = torch.zeros(length * ranks)
            row[: out * into] = torch.randn(out * into, generator=rng)
            rows.append(row.chunk(ranks))
        xs = [torch.randn(2, widths[0], generator=rng) for _ in range(ranks)]
        return per_rank([(xs[r], [row[r].clone() for row in rows], shapes) for r in range(ranks)])

    return inputs


GATHER = Exercise(
    id="parallel.gather",
    title="Gathered before use",
    minutes=10,
    difficulty=2,
    statement=(
        "Layers whose weights are sharded. Each rank has rows of its own, x (N, inputs), and for "
        "each "
        "layer its shard in `shards`; `shapes` has (outputs, inputs) of each. The shards of all "
        "ranks, in the order of the ranks, give the weight row by row, then zeros as padding. "
        "For each layer, gather the weight with `comm.all_gather(shard)`, a list, and compute "
        "x = relu(x @ weight.T), after the last layer too. Return x."
    ),
    solution=on_ranks(answers.gathered_layers),
    adapter=on_ranks,
    reference=of_ranks(_whole_layers),
    generator=generators.layers,
    probes=(
        Probe("one layer", _layers(2, 2, 3), "6 numbers, 3 on each rank."),
        Probe("one rank", _layers(1, 3, 2), "Nothing to gather."),
        Probe("with padding", _layers(2, 3, 3), "9 numbers, 5 on each rank: one is padding."),
        Probe("two layers", _layers(2, 4, 3, 2), "Each layer is gathered on its own."),
        Probe("three ranks", _layers(3, 2, 4, 3), "Shards of three ranks."),
        Probe("square", _layers(2, 3, 3, 3), "A weight of any shape is (outputs, inputs)."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "no relu at the end",
            _no_relu_at_the_end,
            "Every layer ends with relu, the last one too.",
        ),
        wrong_on_ranks(
            "transposed",
            _transposed,
            "The row is the weight as (outputs, inputs). Make it a matrix of that shape, then use "
            ".T.",
        ),
        wrong_on_ranks(
            "only its own part",
            _own_part_only,
            "You compute with this rank's shard and zeros. Gather the others' shards first.",
        ),
        wrong_on_ranks(
            "padding in front",
            _padding_in_front,
            "The padding is at the end: keep the first numbers.",
        ),
        wrong_on_ranks(
            "interleaved",
            _interleaved,
            "The shards stand one after another: torch.cat, not a stack along the last axis.",
        ),
        wrong_on_ranks(
            "activations summed",
            _activations_summed,
            "Each rank has rows of its own. Only weights are shared, so activations are not added.",
        ),
    ),
    alternatives=(
        right_on_ranks("one line", _one_line),
        right_on_ranks("all gathered first", _all_first),
        right_on_ranks("by all-reduce", _by_hand_of_reduce),
    ),
    hints=(
        "row = torch.cat(comm.all_gather(shard)) has all numbers of the layer, then padding.",
        "weight = row[: outputs * inputs].view(outputs, inputs).",
    ),
)
