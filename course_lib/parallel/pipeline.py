"""A pipeline that runs: stages on ranks, activations and their gradients as messages.

Sends never wait here, only receives do, so every order whose needs form no cycle ends. With NCCL
the messages between two ranks wait for each other in the order of the calls. So gradients have a
group of their own (`back`): each group then has messages in one direction only.

Taught in:        parallel
Paper:            Huang et al. 2018, arXiv:1811.06965; Narayanan et al. 2021, arXiv:2104.04473
Checked against:  one process on the whole batch; torch's Schedule1F1B on gloo
Shapes:           a microbatch of activations as the first stage gives it, for all stages
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.schedules import Work

Stage = Callable[[Tensor], Tensor]
LossOf = Callable[[Tensor, int], Tensor]  # the last stage's output, and the microbatch's number


class StageRun:
    """One batch through this rank's stage."""

    def __init__(
        self, comm: Communicator, stage: Stage, like: Sequence[Tensor], back: Communicator
    ) -> None:
        self.comm, self.stage, self.like, self.back = comm, stage, like, back
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}  # input and output, until the backward
        self.most_kept = 0
        self.total = 0.0

    @property
    def _is_first(self) -> bool:
        return self.comm.rank == 0

    @property
    def _is_last(self) -> bool:
        return self.comm.rank == self.comm.size - 1

    def forward(self, number: int, given: Tensor) -> None:
        """Run a microbatch; `given` is the input of the first stage."""
        if not self._is_first:
            given = self.comm.recv(self.like[number], self.comm.rank - 1).requires_grad_()
        output = self.stage(given)
        self.kept[number] = given, output
        self.most_kept = max(self.most_kept, len(self.kept))
        if not self._is_last:
            self.comm.post(output.detach(), self.comm.rank + 1)

    def backward(self, number: int, loss_of: LossOf) -> None:
        """Run the backward pass of a microbatch, and send the gradient of its input on."""
        given, output = self.kept.pop(number)
        if self._is_last:
            loss = loss_of(output, number)
            self.total += loss.item()
            loss.backward()
        else:
            output.backward(self.back.recv(self.like[number], self.comm.rank + 1))
        if not self._is_first:
            assert given.grad is not None
            self.back.post(given.grad, self.comm.rank - 1)


def run_pipeline(
    comm: Communicator,
    stage: Stage,
    inputs: Sequence[Tensor],
    loss_of: LossOf,
    order: Sequence[Work],
    like: Tensor | Sequence[Tensor],
    back: Communicator | None = None,
) -> StageRun:
    """Run the microbatches through this rank's stage, in this order; gradients pile up in it.

    `inputs` are read by the first stage only. `loss_of` gives the last stage's loss of a
    microbatch, weighted so that the sum is the loss of the batch. `like` has the shape of what
    stages exchange, or there is one for each microbatch. `back` has the same ranks as `comm`, and
    carries the gradients.
    """
    shapes = [like] * len(inputs) if isinstance(like, Tensor) else like
    run = StageRun(comm, stage, shapes, comm if back is None else back)
    for kind, number in order:
        if kind == "F":
            run.forward(number, inputs[number])
        else:
            run.backward(number, loss_of)
    run.comm.finish_posts()
    run.back.finish_posts()
    return run


def cut_into_stages(layers: Sequence[nn.Module], stages: int) -> list[nn.Sequential]:
    """Return the layers in stages of as equal a number as possible, larger ones first."""
    if not 1 <= stages <= len(layers):
        raise ValueError(
            f"{len(layers)} layers can be cut into 1 to {len(layers)} stages; got {stages}."
        )
    cuts = torch.arange(len(layers)).tensor_split(stages)
    return [nn.Sequential(*(layers[int(i)] for i in cut)) for cut in cuts]
