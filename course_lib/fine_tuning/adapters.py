"""Bottleneck adapters: a small network after each layer's output, added to it.

    adapter(y) = y + up(act(down(y)))        down (m, C), up (C, m), up starts at zero

Unlike LoRA's change it cannot be merged: between its two matrices is a nonlinearity. It costs time
at every token.

Taught in:        fine_tuning
Paper:            Houlsby et al. 2019, arXiv:1902.00751
Checked against:  the formula, written out
Shapes:           C model width, m width of the bottleneck
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.device import seeded
from course_lib.mlp import gelu_exact
from course_lib.model import DecoderLM


class Adapted(nn.Module):
    """A layer with a bottleneck after it; at first it returns what the layer returns."""

    def __init__(
        self, layer: nn.Module, width: int, bottleneck: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(width, bottleneck)
        self.up = nn.Linear(bottleneck, width)
        nn.init.normal_(self.down.weight, std=0.02, generator=generator)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply the layer, and add what the bottleneck makes of its output."""
        y: Tensor = self.layer(x)
        added: Tensor = self.up(gelu_exact(self.down(y)))
        return y + added


def inject_adapters(model: DecoderLM, bottleneck: int, seed: int = 0) -> DecoderLM:
    """Freeze the model and put a bottleneck after the feed-forward part of every block."""
    if bottleneck < 1:
        raise ValueError(f"a bottleneck must be at least 1 wide; got {bottleneck}.")
    model.requires_grad_(False)
    generator, weight = seeded(seed), model.lm_head.weight
    for block in model.blocks:
        layer = block.get_submodule("mlp")
        adapted = Adapted(layer, model.config.hidden_size, bottleneck, generator)
        block.mlp = adapted.to(weight.device, weight.dtype)
    return model
