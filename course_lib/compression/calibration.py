"""What a layer reads: statistics of its inputs on a little text.

Which weights matter depends on what they are multiplied with. Everything that the methods of this
chapter ask about inputs X (one row for each token) is gathered in one pass over calibration text.

    gram = Xᵀ X          the error of an output: |X (W − Q)ᵀ|² = tr((W − Q) XᵀX (W − Q)ᵀ)
    most = max |X|       for smoothing               mean = mean |X|    for AWQ

Taught in:        compression
Paper:            Nagel et al. 2020, arXiv:2004.10568 (errors of outputs, not of weights)
Checked against:  the inputs themselves, kept by a hook
Shapes:           N tokens, I inputs, O outputs
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.model import DecoderLM


class InputStatistics:
    """Sums over the inputs of one layer."""

    def __init__(self, inputs: int, device: torch.device | None = None) -> None:
        self.tokens = 0
        self.gram = torch.zeros(inputs, inputs, device=device)
        self.most = torch.zeros(inputs, device=device)
        self.total = torch.zeros(inputs, device=device)

    def add(self, x: Float[Tensor, "*lead I"]) -> None:
        """Count these inputs too."""
        rows = x.detach().flatten(0, -2).float()
        self.tokens += len(rows)
        self.gram += rows.T @ rows
        self.most = torch.maximum(self.most, rows.abs().amax(0))
        self.total += rows.abs().sum(0)

    @property
    def mean(self) -> Float[Tensor, " I"]:
        """The mean magnitude of each input."""
        return self.total / self.tokens

    @property
    def norm(self) -> Float[Tensor, " I"]:
        """The length of each input over all tokens."""
        return self.gram.diagonal().sqrt()


def linear_layers(model: DecoderLM) -> dict[str, nn.Linear]:
    """Return the linear layers of all blocks by name, in the order in which they are used."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name != "lm_head"
    }


@torch.no_grad()
def calibrate(model: DecoderLM, ids: Int[Tensor, "B T"]) -> dict[str, InputStatistics]:
    """Return statistics of what every linear layer of the blocks reads on this text."""
    layers = linear_layers(model)
    if not layers:
        raise ValueError(
            "calibration reads the inputs of nn.Linear layers; got a model without any in its "
            "blocks. Calibrate before the layers are replaced."
        )
    widest = max(layer.in_features for layer in layers.values())
    if ids.numel() < widest:
        raise ValueError(
            f"calibration text must have at least as many tokens as the widest layer has inputs, "
            f"{widest}; got {ids.numel()}. With fewer, some directions are never seen. Add text."
        )
    found = {n: InputStatistics(each.in_features, ids.device) for n, each in layers.items()}
    with watched(layers, lambda name, x: found[name].add(x)):
        for row in ids.split(4):
            model(row, last_only=True)
    return found


@contextmanager
def watched(layers: dict[str, nn.Linear], see: Callable[[str, Tensor], None]) -> Iterator[None]:
    """While it lasts, call `see` with the name and the input of each layer that is called."""

    def hook_for(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, given: see(name, given[0])

    handles = [layer.register_forward_pre_hook(hook_for(name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def calibration_rows(ids: Sequence[int], rows: int, length: int) -> Int[Tensor, "B T"]:
    """Return `rows` pieces of a text, spread evenly over it."""
    if len(ids) < rows * length:
        raise ValueError(
            f"{rows} rows of {length} tokens need {rows * length} tokens of text; got {len(ids)}. "
            "Add text or ask for fewer rows."
        )
    step = (len(ids) - length) // max(rows - 1, 1)
    return torch.tensor([ids[i * step : i * step + length] for i in range(rows)])


@torch.no_grad()
def output_error(
    weight: Float[Tensor, "O I"], other: Float[Tensor, "O I"], gram: Float[Tensor, "I I"]
) -> float:
    """Return the squared error of a layer's outputs as a part of their squared length."""
    wanted, gap = weight.double(), (weight - other).double()
    wide = gram.double()
    return (((gap @ wide) * gap).sum() / ((wanted @ wide) * wanted).sum()).item()
