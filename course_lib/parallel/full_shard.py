"""ZeRO-3, or fully sharded data parallelism: a rank holds whole parameters only while it uses them.

The model is cut into units, usually its blocks. Before a unit runs, its parameters are gathered
from all ranks; after it they are freed. The backward pass gathers them again, reduces the gradients
to their owners, and frees both.

    traffic of a step = gather + gather again + reduce-scatter = 3 P (n-1)/n, against 2 P (n-1)/n

Nobody should wait for that. So before a unit computes, the gather of the one after it is started,
in the backward pass of the one before it; and gradients travel while the next unit computes. At any
time a rank has its shards, at most two units in full, and the gradients of at most two.

Freeing is real: the memory under the parameters is given back, and a freed parameter is an empty
tensor. Parameters outside all units (embedding, last norm, head) form a last
unit, which stays gathered from the forward to the end of the backward pass.

Taught in:        parallel
Paper:            Rajbhandari et al. 2020, arXiv:1910.02054; Zhao et al. 2023, arXiv:2304.11277
Checked against:  one process; torch's fully_shard on gloo; the memory of the storages themselves
Shapes:           P parameters of a unit; a shard holds P / n, rounded up
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from course_lib.parallel.communicator import Communicator
from course_lib.parallel.data_parallel import broadcast_parameters
from course_lib.parallel.sharded_layer import Layer, Unit
from course_lib.parallel.shards import global_shard_norm
from course_lib.training.gradients import clip_factor


class FullyShard:
    """A module whose parameters are sharded over the ranks, unit by unit.

        sharded = FullyShard(model, comm, units=list(model.blocks))
        optimizer = AdamW(sharded.shards, lr=1e-3)
        sharded.backward(loss, share)
        norm = sharded.clip(1.0)
        optimizer.step(); optimizer.zero_grad()

    The module itself is called as before. All its parameters are trained. `units` are in the order
    in which they run; in another one the results are the same, and some gathers are for nothing.
    Without `prefetch` every communication is awaited at once.
    """

    def __init__(
        self,
        module: nn.Module,
        comm: Communicator,
        units: Sequence[nn.Module],
        prefetch: bool = True,
    ) -> None:
        self.module, self.comm, self.prefetch = module, comm, prefetch
        broadcast_parameters(comm, module)
        _check_units(module, units)
        inside = {id(p) for unit in units for p in unit.parameters()}
        self.layers = [Layer(list(unit.parameters()), comm) for unit in units]
        self.root = Layer([p for p in module.parameters() if id(p) not in inside], comm)
        self.in_backward = False
        self._ahead: Layer | None = None  # its gather was started before it is needed
        self._reducing: Layer | None = None  # its gradients are on their way
        for number, part in enumerate(units):
            self._watch(part, number)
        module.register_forward_pre_hook(self._before_all)

    @property
    def shards(self) -> list[nn.Parameter]:
        """What the optimizer of this rank updates."""
        return [unit.shard for unit in self.all_units()]

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return two groups for the optimizer: matrices, which decay, and the rest."""
        units = self.all_units()
        return [
            {"params": [u.shard for u in units if u.decays], "weight_decay": weight_decay},
            {"params": [u.shard for u in units if not u.decays], "weight_decay": 0.0},
        ]

    def backward(self, loss: Tensor, share: float | None = None) -> None:
        """Compute the gradients of share * loss on the shards; without `share`, 1/n each."""
        self.in_backward = True
        try:
            self._fetch(len(self.layers) - 1)
            (loss * (1 / self.comm.size if share is None else share)).backward()
            for layer in (*self.layers, self.root):
                if layer.is_whole:  # the root, and units not used in full
                    self._reduce(layer)
            self._drop()
            self._finish_reducing()
        finally:
            self.in_backward = False

    def clip(self, max_norm: float) -> Tensor:
        """Shorten the gradients of all ranks together to `max_norm`; return their norm before."""
        grads = [shard.grad for shard in self.shards if shard.grad is not None]
        norm = global_shard_norm(self.comm, grads)
        for grad in grads:
            grad.mul_(clip_factor(norm, max_norm))
        return norm

    def gathered_bytes(self) -> int:
        """Return the bytes of whole parameters that are in memory now, or arriving."""
        return sum(unit.held_bytes for unit in self.all_units())

    def whole_parameters(self) -> dict[str, Tensor]:
        """Return a copy of the state dict, gathered on every rank."""
        for unit in self.all_units():
            unit.gather()
        whole = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
        for unit in self.all_units():
            unit.free()
        return whole

    def all_units(self) -> list[Unit]:
        """Return the rows of parameters in a fixed order."""
        return [unit for layer in (*self.layers, self.root) for unit in layer.units]

    def _before_all(self, *_: Any) -> None:
        self.root.gather()
        self._fetch(0)

    def _watch(self, part: nn.Module, number: int) -> None:
        """Have the whole parameters before the part runs, forward or backward; free them after."""
        layer = self.layers[number]

        def after_forward(*_: Any) -> None:
            if not self.in_backward:  # where it may be recomputed, and is needed once more
                layer.free()

        def gradient_known(_: Tensor) -> None:
            if layer.note_gradient():
                self._reduce(layer)

        part.register_forward_pre_hook(lambda *_: self._use(number))
        part.register_forward_hook(after_forward)
        part.register_full_backward_pre_hook(lambda *_: self._use(number))
        for p in part.parameters():
            p.register_post_accumulate_grad_hook(gradient_known)

    def _use(self, number: int) -> None:
        """Wait for the parameters of a layer, and start to fetch those of the next one."""
        layer = self.layers[number]
        if layer.is_whole:
            return
        if self._ahead is not layer:
            self._drop()
        layer.gather()
        self._ahead = None
        self._fetch(number - 1 if self.in_backward else number + 1)

    def _fetch(self, number: int) -> None:
        """Let the parameters of a layer set out, if there is one with this number."""
        if not self.prefetch or not 0 <= number < len(self.layers):
            return
        layer = self.layers[number]
        if layer is not self._ahead and not layer.is_whole:
            self._drop()
            self._ahead = layer
            layer.start_gather()

    def _drop(self) -> None:
        """Free what was fetched ahead and not used, so that no more than two layers are whole."""
        if self._ahead is not None:
            self._ahead.free()
            self._ahead = None

    def _reduce(self, layer: Layer) -> None:
        """Let the gradients of a layer set out, after those of the one before have arrived."""
        self._finish_reducing()
        layer.start_reduce()
        self._reducing = layer
        if not self.prefetch:
            self._finish_reducing()

    def _finish_reducing(self) -> None:
        if self._reducing is not None:
            self._reducing.finish_reduce()
            self._reducing = None


def _check_units(module: nn.Module, units: Sequence[nn.Module]) -> None:
    """Raise `ValueError` unless units are disjoint and all parameters are trained."""
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    if frozen:
        raise ValueError(
            f"all parameters of a sharded module are trained; got {frozen[0]!r} frozen. Shard the "
            "trained parts only."
        )
    seen: set[int] = set()
    for unit in units:
        mine = {id(p) for p in unit.parameters()}
        if mine & seen:
            raise ValueError(
                f"a parameter belongs to one unit; got a {type(unit).__name__} that shares one "
                "with an earlier unit. Put both into one unit, or leave the shared one to the root."
            )
        seen |= mine
