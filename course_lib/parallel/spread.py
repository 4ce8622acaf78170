"""How one training is spread over ranks: what `--parallel` says, and who talks with whom.

    dp=2,zero=2       two ranks with half of each batch, and half of the optimizer's state
    dp=2,tp=2         two groups of two ranks that share each layer
    tp=2,sequence=1   two ranks that share each layer, and the tokens between layers
    pp=2,schedule=gpipe,microbatches=4        two stages of a pipeline
    cp=2              two ranks with half of each text
    dp=4,ep=2         four ranks with a quarter of each batch; two of them share the experts
    dp=2,recompute=1  two ranks that keep the inputs of layers only, and compute the rest again
    dp=2,loss_scale=65536      two ranks that multiply the loss by a number, this one to start with

Ranks are numbered with tensor parallelism innermost, then texts, experts, data and stages. Ranks
with different rows or different pieces of text, but the same parameters, add their gradients.

Taught in:        parallel
Checked against:  groups written out by hand
Shapes:           none
"""

from dataclasses import dataclass, fields
from typing import Any

from course_lib.model import ModelConfig
from course_lib.parallel.communicator import Communicator, groups_along
from course_lib.parallel.schedules import ORDERS

LARGEST_SCALE = 2**32
SCHEDULES = {name.lower(): name for name in ORDERS}


@dataclass(frozen=True)
class Parallelism:
    """How a training is spread; the number of ranks is dp x tp x pp x cp."""

    dp: int = 1
    tp: int = 1
    zero: int = 0
    pp: int = 1
    cp: int = 1
    ep: int = 1
    sequence: int = 0  # 1: tensor-parallel ranks cut norms and residual stream by tokens
    microbatches: int = 0  # 0: one, or in a pipeline twice the number of stages
    recompute: int = 0  # 1: the backward pass computes each layer again, from its input
    loss_scale: int = 0  # the first scale of the loss, for products in float16; 0: bfloat16
    schedule: str = "1f1b"

    @classmethod
    def parsed(cls, text: str) -> "Parallelism":
        """Return what `dp=2,tp=2` says."""
        found: dict[str, Any] = {}
        numbers = [each.name for each in fields(cls) if each.name != "schedule"]
        for part in text.split(","):
            name, _, value = part.partition("=")
            if name == "schedule" and value.lower() in SCHEDULES:
                found[name] = value.lower()
            elif name in numbers and value.isdecimal():
                found[name] = int(value)
            else:
                raise ValueError(
                    f"--parallel takes {'=N, '.join(numbers)}=N and schedule="
                    f"{' or '.join(SCHEDULES)}, with commas between; got {part!r}."
                )
        return cls(**found)

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("dp", "tp", "pp", "cp", "ep")}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be at least 1; got {size}. Leave it out for 1.")
        if self.zero not in (0, 1, 2, 3):
            raise ValueError(f"zero must be 0 to 3; got {self.zero}.")
        if self.sequence not in (0, 1) or (self.sequence and self.tp == 1):
            raise ValueError(
                "sequence is 0, or 1 where tensor-parallel ranks share the tokens between layers; "
                f"got sequence={self.sequence} and tp={self.tp}."
            )
        if self.recompute not in (0, 1):
            raise ValueError(
                "recompute is 0, or 1 to compute layers again in the backward pass; got "
                f"{self.recompute}."
            )
        if not 0 <= self.loss_scale <= LARGEST_SCALE:
            raise ValueError(
                f"loss_scale is 0 for none, or at most {LARGEST_SCALE}; got {self.loss_scale}. "
                "65536 is usual."
            )
        self._check_zero()

    def _check_zero(self) -> None:
        if self.zero > 1 and self.pp > 1:
            raise ValueError(
                "a pipeline takes zero=0 or 1, since more would travel for each microbatch; got "
                f"zero={self.zero} and pp={self.pp}."
            )
        if self.zero == 3 and self.ep > 1:
            raise ValueError(
                f"experts on different ranks take zero=0 to 2; got zero=3 and ep={self.ep}."
            )
        if self.dp % self.ep:
            raise ValueError(
                f"dp must be a multiple of ep, since experts are shared by data-parallel ranks; "
                f"got dp={self.dp} and ep={self.ep}."
            )

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return self.dp * self.tp * self.pp * self.cp

    @property
    def parts(self) -> int:
        """How many microbatches a rank's rows are cut into."""
        return self.microbatches or (1 if self.pp == 1 else 2 * self.pp)

    def check(self, config: ModelConfig) -> None:
        """Raise `ValueError` unless a model of this shape can be spread like this."""
        if self.ep > 1 and not config.num_experts:
            raise ValueError(
                f"ep is for models with experts, and this one has none; got ep={self.ep}. Leave it "
                "out."
            )
        if self.ep > 1 and config.num_experts % self.ep:
            raise ValueError(
                f"num_experts must be a multiple of ep; got {config.num_experts} and {self.ep}."
            )
        if self.cp > 1 and config.sliding_window is not None:
            raise ValueError(
                "ring attention has no sliding window; got a model with one of "
                f"{config.sliding_window} tokens and cp={self.cp}. Use cp=1."
            )


class Axes:
    """This rank's groups, by the direction in which work is cut.

    `tp` shares layers, `ring` texts, `experts` experts. `stages` sends activations on along the
    pipeline, `back` their gradients, apart from each other, so that neither waits for the other.
    `data` adds gradients; those of experts are added by `replicas`, which have the same ones.
    """

    def __init__(self, comm: Communicator, spread: Parallelism) -> None:
        if spread.ranks != comm.size:
            raise ValueError(
                f"dp x tp x pp x cp must be the number of ranks, {comm.size}; got {spread.dp} x "
                f"{spread.tp} x {spread.pp} x {spread.cp} = {spread.ranks}. Start as many ranks, "
                "or change a size."
            )
        sizes = {
            "pp": spread.pp,
            "replica": spread.dp // spread.ep,
            "ep": spread.ep,
            "cp": spread.cp,
            "tp": spread.tp,
        }

        def along(*names: str) -> Communicator:
            return comm.split(groups_along(sizes, *names))

        self.world = comm
        self.tp, self.ring, self.experts = along("tp"), along("cp"), along("ep")
        self.stages, self.back = along("pp"), along("pp")
        self.data, self.replicas = along("replica", "ep", "cp"), along("replica", "cp")
        self.data_index = self.data.rank // spread.cp  # which rows of the batch
        self.data_size = spread.dp

    @property
    def is_last_stage(self) -> bool:
        """Whether this rank computes logits and the loss."""
        return self.stages.rank + 1 == self.stages.size
