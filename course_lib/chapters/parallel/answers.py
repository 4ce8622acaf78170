"""Answers of exercises that no user of the library would call: its parts, put to one use."""

from collections.abc import Sequence

import torch
from torch import Tensor

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.costs import zero_memory
from course_lib.parallel.ring_attention import contiguous_positions, ring_attention
from course_lib.parallel.shards import gather_row, own_shard, reduce_to_shard
from course_lib.parallel.tensor_parallel import vocab_parallel_losses


def sharded_step(
    comm: Communicator,
    parameters: Tensor,
    gradient: Tensor,
    momentum: Tensor,
    rate: float | int,
    beta: float | int,
) -> tuple[Tensor, Tensor]:
    """Return the parameters and the own momentum after a step of SGD with sharded momentum."""
    momentum = beta * momentum + reduce_to_shard(comm, [gradient]) / comm.size
    shard = own_shard([parameters], comm) - rate * momentum
    return gather_row(comm, shard)[: len(parameters)], momentum


def gathered_layers(
    comm: Communicator,
    x: Tensor,
    shards: Sequence[Tensor],
    shapes: Sequence[tuple[int, int]],
) -> Tensor:
    """Return what layers with sharded weights make of x, one whole weight at a time."""
    for shard, (outputs, inputs) in zip(shards, shapes, strict=True):
        row = gather_row(comm, shard)
        x = torch.relu(x @ row[: outputs * inputs].view(outputs, inputs).T)
    return x


def parallel_mlp(
    comm: Communicator,
    x: Tensor,
    up: Tensor,
    up_bias: Tensor,
    down: Tensor,
    down_bias: Tensor,
) -> Tensor:
    """Return a feed-forward layer of which each rank has some hidden units."""
    hidden = torch.relu(x @ up.T + up_bias)
    return comm.all_reduce(hidden @ down.T) + down_bias


def vocab_loss(comm: Communicator, logits: Tensor, targets: Tensor, start: int) -> Tensor:
    """Return the mean cross-entropy from logits of which each rank has some columns."""
    return vocab_parallel_losses(comm, logits, targets, start).mean()


def causal_ring(comm: Communicator, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return causal attention of one head over a text that is cut in order."""
    positions = contiguous_positions(comm.size * len(q), comm.rank, comm.size).to(q.device)
    heads = (each[None, None] for each in (q, k, v))
    return ring_attention(comm, *heads, positions=positions)[0, 0]


def least_stage(
    parameters: int, devices: int, memory: int | float, activations: int | float
) -> int | None:
    """Return the smallest ZeRO stage that fits into the memory of each device, or None."""
    for stage in range(4):
        if zero_memory(parameters, devices, stage).total + activations <= memory:
            return stage
    return None
