"""LoRA: train two thin matrices beside a frozen one, then add their product to it.

Fine-tuning changes a weight by a matrix that is close to one of low rank. LoRA learns this change
as a product of two factors. B starts at zero, so that the model starts as it was; A must not, or
neither would ever get a gradient.

    y = x Wᵀ + s · (x Aᵀ) Bᵀ      A (r, in), B (out, r), s = α / r, or α / √r if rank-stabilised
    merged: W + s · B A           the same function, at no cost

Taught in:        fine_tuning
Paper:            Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732 (√r)
Checked against:  peft: outputs, gradients, merged weights, files in both directions
Shapes:           r rank, weights (out, in)
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.device import seeded

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class LoRAConfig:
    """The size of the change, how strongly it counts, and which layers get one."""

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ALL_LINEAR  # last parts of the layers' names
    rank_stabilised: bool = False

    def __post_init__(self) -> None:
        lora_scale(self.alpha, self.rank)  # raises an error for a rank that is not possible
        if not self.targets:
            raise ValueError("at least one kind of layer must be adapted; got no targets.")

    @property
    def scale(self) -> float:
        """The factor before the product."""
        return lora_scale(self.alpha, self.rank, self.rank_stabilised)


def lora_scale(alpha: float, rank: int, rank_stabilised: bool = False) -> float:
    """Return α / r, or α / √r; so a change of rank does not change the size of the update much."""
    if rank < 1:
        raise ValueError(f"the rank must be at least 1; got {rank}. Typical are 4 to 64.")
    return alpha / math.sqrt(rank) if rank_stabilised else alpha / rank


def lora_forward(
    x: Float[Tensor, "*lead I"],
    weight: Float[Tensor, "O I"],
    a: Float[Tensor, "R I"],
    b: Float[Tensor, "O R"],
    alpha: float,
) -> Float[Tensor, "*lead O"]:
    """Return the output of the frozen weight plus the change times α / r, without forming B A."""
    return x @ weight.mT + lora_scale(alpha, len(a)) * ((x @ a.mT) @ b.mT)


def merged_weight(
    weight: Float[Tensor, "O I"],
    a: Float[Tensor, "R I"],
    b: Float[Tensor, "O R"],
    alpha: float,
) -> Float[Tensor, "O I"]:
    """Return the one matrix that does the same: W + (α / r) B A."""
    return weight + lora_scale(alpha, len(a)) * (b @ a)


def lora_parameters(shapes: Iterable[tuple[int, int]], rank: int) -> int:
    """Return how many numbers LoRA trains beside weights of these shapes (out, in)."""
    lora_scale(1.0, rank)  # raises an error for a rank that is not possible
    return sum(rank * (outputs + inputs) for outputs, inputs in shapes)


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable change of low rank, named as in peft."""

    def __init__(self, base: nn.Linear, config: LoRAConfig, generator: torch.Generator) -> None:
        super().__init__()
        outputs, inputs = base.weight.shape
        self.base_layer, self.merged = base, False
        self.set_scale(config)
        first = torch.empty(config.rank, inputs)
        nn.init.kaiming_uniform_(first, a=math.sqrt(5), generator=generator)
        self.lora_A = nn.Parameter(first.to(base.weight))
        self.lora_B = nn.Parameter(base.weight.new_zeros(outputs, config.rank))

    def set_scale(self, config: LoRAConfig) -> None:
        """Let the change count as this config says."""
        self.alpha = config.scale * config.rank  # that α / r is the scale, rank-stabilised or not

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Apply the frozen layer and, unless it is merged into it, the change."""
        y: Tensor = self.base_layer(x)
        if self.merged:
            return y
        scale = lora_scale(self.alpha, len(self.lora_A))
        return y + scale * ((x @ self.lora_A.mT) @ self.lora_B.mT)

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to the frozen weight, once."""
        if self.merged:
            raise ValueError(
                "a change may be merged once, since a second time would add it twice; got a layer "
                "that is merged already. Un-merge it first."
            )
        weight = self.base_layer.weight
        weight.copy_(merged_weight(weight, self.lora_A, self.lora_B, self.alpha))
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the change out of the frozen weight again, up to rounding."""
        if not self.merged:
            raise ValueError("only a change that is merged can be taken out; got one that is not.")
        weight = self.base_layer.weight
        weight.copy_(merged_weight(weight, self.lora_A, self.lora_B, -self.alpha))
        self.merged = False


def inject_lora(model: nn.Module, config: LoRAConfig, seed: int = 0) -> nn.Module:
    """Freeze the model and give every target layer a change; the model computes what it did."""
    if any(True for _ in lora_layers(model)):
        raise ValueError(
            "a layer can have one change; got a model that has LoRA layers already. Fold them, or "
            "load the other adapter's tensors into them."
        )
    wanted = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in config.targets
    ]
    if not wanted:
        raise ValueError(
            f"at least one linear layer must be named like a target; got {config.targets}, and "
            "none is. Print the names with model.named_modules()."
        )
    model.requires_grad_(False)
    generator = seeded(seed)
    for name in wanted:
        parent, _, own = name.rpartition(".")
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        setattr(model.get_submodule(parent), own, LoRALinear(layer, config, generator))
    return model


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Yield the name of each layer with a change, and the layer."""
    for name, module in model.named_modules():
        if isinstance(module, LoRALinear):
            yield name, module


def merge_lora(model: nn.Module) -> None:
    """Merge every change into its weight: the model is then as fast as it was."""
    for _, layer in lora_layers(model):
        layer.merge()


def unmerge_lora(model: nn.Module) -> None:
    """Take every change out of its weight."""
    for _, layer in lora_layers(model):
        layer.unmerge()


def fold_lora(model: nn.Module) -> nn.Module:
    """Merge what is not merged, and put plain layers back: a model like any other."""
    for name, layer in list(lora_layers(model)):
        if not layer.merged:
            layer.merge()
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, layer.base_layer)
    return model


def trainable_parameters(model: nn.Module) -> int:
    """Return how many numbers the optimizer changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
