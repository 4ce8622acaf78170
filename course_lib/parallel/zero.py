"""ZeRO: data parallelism in which what every rank had n times is kept once.

    stage 1   the optimizer's moments are sharded           traffic: 2 P, as in data parallelism
    stage 2   gradients too: each is reduced to its owner as soon as it is known        2 P
    stage 3   parameters too: gathered before use, freed after it      3 P, see `full_shard`

Here are the first two. A step reduces the gradients to shards, updates the own shard, and gathers
the new parameters: a reduce-scatter and an all-gather, which together move what an all-reduce does.

Taught in:        parallel
Paper:            Rajbhandari et al. 2020, arXiv:1910.02054
Checked against:  one process with AdamW; torch's ZeroRedundancyOptimizer on gloo
Shapes:           P parameters of a group; a shard holds P / n, rounded up
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.data_parallel import grouped_by_size
from course_lib.parallel.shards import (
    cut_row,
    gather_row,
    global_shard_norm,
    own_shard,
    reduce_to_shard,
)
from course_lib.training.gradients import clip_factor

MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


class Piece:
    """Some parameters of one group, and this rank's shard of them, which the optimizer updates."""

    def __init__(self, parameters: list[nn.Parameter], comm: Communicator) -> None:
        self.parameters, self.comm = parameters, comm
        self.shapes = [p.shape for p in parameters]
        self.shard = nn.Parameter(own_shard(parameters, comm))
        self.ready = 0

    def reduce(self) -> None:
        """Reduce the gradients to the shard, and free them."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        arrived = reduce_to_shard(self.comm, grads)
        self.shard.grad = arrived if self.shard.grad is None else self.shard.grad + arrived
        for p in self.parameters:
            p.grad = None
        self.ready = 0

    @torch.no_grad()
    def gather(self) -> None:
        """Fill the parameters with what all ranks have made of their shards."""
        row = gather_row(self.comm, self.shard.detach())
        for p, new in zip(self.parameters, cut_row(row, self.parameters), strict=True):
            p.copy_(new)


class ShardedOptimizer:
    """An optimizer of which each rank keeps the moments of its own shards only.

        optimizer = ShardedOptimizer(decay_groups(model, 0.1), comm, AdamW, stage=2)
        optimizer.backward(loss, share)      # sums over the ranks, like DataParallel
        norm = optimizer.step(max_norm=1.0)

    In stage 1 the gradients are kept whole until the step; in stage 2 each piece of `piece_bytes`
    is reduced during the backward pass, and its gradients are freed. Accumulating parts of a batch
    adds one reduction for each part in stage 2. A group may have a `comm` of its own, if only some
    ranks have its parameters, such as experts.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        comm: Communicator,
        make: MakeOptimizer,
        stage: int = 1,
        piece_bytes: int | float = 25_000_000,
    ) -> None:
        if stage not in (1, 2):
            raise ValueError(f"stage must be 1 or 2; got {stage}. For stage 3, use FullyShard.")
        self.comm, self.stage = comm, stage
        self.pieces: list[Piece] = []
        shards = []
        for given in groups:
            group = dict(given)
            own = group.pop("comm", comm)
            trained = [p for p in reversed(list(group["params"])) if p.requires_grad]
            found = [Piece(some, own) for some in grouped_by_size(trained, piece_bytes)]
            shards.append(group | {"params": [piece.shard for piece in found]})
            self.pieces += found
        self.optimizer = make([group for group in shards if group["params"]])
        if stage == 2:
            for piece in self.pieces:
                for p in piece.parameters:
                    p.register_post_accumulate_grad_hook(lambda p, piece=piece: self._note(piece))

    def backward(self, loss: Tensor, share: float | None = None) -> None:
        """Compute the gradients of share * loss; without `share`, each rank counts 1/n."""
        (loss * (1 / self.comm.size if share is None else share)).backward()
        if self.stage == 2:
            for piece in self.pieces:
                if piece.ready:  # some of its parameters were not used
                    piece.reduce()

    def step(self, max_norm: float | None = None) -> Tensor:
        """Reduce, clip, update the own shards, gather; return the norm before clipping."""
        self.reduce()
        grads = [p.grad for piece in self.pieces if (p := piece.shard).grad is not None]
        norm = global_shard_norm(self.comm, grads)
        if max_norm is not None:
            for grad in grads:
                grad.mul_(clip_factor(norm, max_norm))
        self.update()
        return norm

    def reduce(self) -> None:
        """Reduce what the backward pass has not: the first half of a step."""
        for piece in self.pieces:
            if self.stage == 1 or piece.shard.grad is None:
                piece.reduce()

    def update(self) -> None:
        """Update the own shards, and gather all: the second half of a step."""
        self.optimizer.step()
        for piece in self.pieces:
            piece.shard.grad = None
            piece.gather()

    def _note(self, piece: Piece) -> None:
        piece.ready += 1
        if piece.ready == len(piece.parameters):
            piece.reduce()
