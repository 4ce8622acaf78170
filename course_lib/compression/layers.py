"""Layers whose weights stay packed in memory, and are unpacked where they are used.

A quantised layer keeps codes and scales as buffers. A forward pass turns them into real weights,
multiplies, and forgets them again. That saves memory, not time: fast kernels unpack in registers,
while a product is computed.

    y = dequantised(W) · (x / s)        s: one number for each input, 1 where nothing was scaled

Taught in:        compression
Paper:            Dettmers et al. 2022, arXiv:2208.07339
Checked against:  nn.Linear and Embedding with the dequantised weights
Shapes:           O outputs, I inputs, V vocabulary, C model width
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.compression.integers import absmax_quantise, dequantise
from course_lib.compression.tensors import QuantisedTensor, Scales
from course_lib.embeddings import require_known_ids


class Quantised(nn.Module):
    """Buffers with the packed weights of a layer; a change of number type leaves them alone."""

    packed: Tensor
    scale: Tensor
    zero: Tensor | None

    def __init__(self, stored: QuantisedTensor, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.scheme, self.inputs, self.dtype = stored.scheme, stored.inputs, dtype
        self.register_buffer("packed", stored.packed)
        self.register_buffer("scale", stored.scales.scale)
        self.register_buffer("zero", stored.scales.zero)

    @property
    def stored(self) -> QuantisedTensor:
        """The packed weights as one object."""
        return QuantisedTensor(self.packed, Scales(self.scale, self.zero), self.inputs, self.scheme)

    @property
    def weight(self) -> Float[Tensor, "O I"]:
        """The weights for which the codes stand, unpacked anew at each use."""
        return self.stored.dequantised().to(self.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Quantised":
        self.dtype = fn(self.scale.new_empty(0, dtype=self.dtype)).dtype

        def moved(tensor: Tensor) -> Tensor:
            new = fn(tensor)
            if isinstance(tensor, nn.Parameter) or not tensor.is_floating_point():
                return new
            return tensor.to(new.device)  # scales keep their number type

        super()._apply(moved, recurse)
        return self

    def extra_repr(self) -> str:
        """Return what `print` shows of the layer."""
        return f"{self.inputs} → {len(self.packed)}, {self.scheme}"


class QuantisedLinear(Quantised):
    """A linear layer with packed weights, and on request with quantised inputs too.

    `input_scale` divides the inputs (AWQ); `activation_bits` rounds each token's inputs to integers
    with a scale of its own.
    """

    input_scale: Tensor | None

    def __init__(
        self,
        stored: QuantisedTensor,
        bias: Tensor | None = None,
        input_scale: Float[Tensor, " I"] | None = None,
        activation_bits: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(stored, dtype)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self.register_buffer("input_scale", input_scale)
        self.activation_bits = activation_bits

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Unpack the weights and apply them."""
        x = prepared_inputs(x, self.input_scale, self.activation_bits)
        return F.linear(x, self.weight, self.bias)


class QuantisedEmbedding(Quantised):
    """An embedding table with packed rows; only the rows that are looked up are unpacked."""

    def forward(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead C"]:
        """Return the rows of these ids."""
        require_known_ids(ids, len(self.packed))
        rows = self.stored.rows(ids.flatten())
        return rows.view(*ids.shape, -1).to(self.dtype)


def prepared_inputs(
    x: Float[Tensor, "*lead I"], scale: Float[Tensor, " I"] | None, bits: int | None
) -> Float[Tensor, "*lead I"]:
    """Return inputs as a packed layer reads them: divided by its scales, and rounded if asked."""
    if scale is not None:
        x = x / scale.to(x.dtype)
    return x if bits is None else dequantise(*absmax_quantise(x, bits))


def quantised_layers(model: nn.Module) -> Iterator[tuple[str, Quantised]]:
    """Yield the name of each quantised layer, and the layer."""
    for name, module in model.named_modules():
        if isinstance(module, Quantised):
            yield name, module


def replace_layer(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer in the place of the one with this name."""
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)


def model_bytes(model: nn.Module) -> int:
    """Return the bytes of all weights in memory; what two layers share counts once."""
    tensors = [*model.parameters(), *model.buffers()]
    storages = {(t.device, t.untyped_storage().data_ptr()): t.nbytes for t in tensors}
    return sum(storages.values())
