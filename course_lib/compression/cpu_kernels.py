"""Packed layers that a kernel of torch multiplies without unpacking them first, on a CPU.

Torch has two: codes of 8 bits with a scale for each row, and codes of 4 bits in groups. They read
inputs in bfloat16, and convert a few weights at a time in registers. The codes and scales are those
of the packed layer; only their order in memory changes.

    int8   y = scale · Σ code · x
    int4   y = Σ over groups (scale · (code − 8) + shift) · x        shift = scale · (8 − zero)

Taught in:        compression
Checked against:  the packed layers, unpacked
Shapes:           O outputs, I inputs
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.compression.layers import QuantisedLinear, quantised_layers, replace_layer
from course_lib.compression.tensors import QuantisedTensor
from course_lib.model import DecoderLM

GROUPS = (32, 64, 128, 256)  # that torch's int4 kernel has
PACKED_ROWS = 16  # the int4 kernel takes rows by sixteens
ROWS = 8192  # reordered at once, to need little memory


class KernelLinear(nn.Module):
    """A packed linear layer that is multiplied by one of torch's kernels."""

    codes: Tensor
    scale: Tensor
    input_scale: Tensor | None

    def __init__(self, layer: QuantisedLinear) -> None:
        super().__init__()
        stored = layer.stored
        _require_kernel(stored)
        self.scheme, self.inputs, self.bias = stored.scheme, stored.inputs, layer.bias
        self.register_buffer("input_scale", layer.input_scale)
        codes, scale = _int8(stored) if stored.scheme.bits == 8 else _int4(stored)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)

    @property
    def nbytes(self) -> int:
        """The bytes that are read for a product."""
        return self.codes.nbytes + self.scale.nbytes

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Multiply by the packed weights, in bfloat16."""
        if self.input_scale is not None:
            x = x / self.input_scale.to(x.dtype)
        rows, scale = x.reshape(-1, self.inputs).bfloat16(), self.scale.bfloat16()
        if self.scheme.bits == 8:
            y = torch._weight_int8pack_mm(rows, self.codes, scale)
        else:
            group = self.scheme.group_width(self.inputs)
            y = torch._weight_int4pack_mm_for_cpu(rows, self.codes, group, scale)
        y = y.to(x.dtype).view(*x.shape[:-1], -1)
        return y if self.bias is None else y + self.bias


def use_cpu_kernels(model: DecoderLM) -> DecoderLM:
    """Give each packed linear layer of a model a kernel, in place, and return the model."""
    layers = [(n, each) for n, each in quantised_layers(model) if isinstance(each, QuantisedLinear)]
    if not layers:
        raise ValueError("kernels are for packed layers; got a model without. Quantise it first.")
    for name, layer in layers:
        replace_layer(model, name, KernelLinear(layer))
    return model


def _int8(stored: QuantisedTensor) -> tuple[Tensor, Tensor]:
    """Return signed codes, and a scale for each row."""
    return (stored.codes.to(torch.int16) - 128).to(torch.int8), stored.scales.scale[:, 0]


def _int4(stored: QuantisedTensor) -> tuple[Tensor, Tensor]:
    """Return codes in the kernel's order, and a scale and a shift for each group and row."""
    scale, zero = stored.scales
    parts = [
        torch._convert_weight_to_int4pack_for_cpu(codes.int(), 1)
        for codes in stored.codes.split(ROWS)
    ]
    shift = torch.zeros_like(scale) if zero is None else scale * (8 - zero.to(scale.dtype))
    return torch.cat(parts), torch.stack((scale.T, shift.T), dim=-1).contiguous()


def _require_kernel(stored: QuantisedTensor) -> None:
    scheme = stored.scheme
    eight = scheme.bits == 8 and scheme.kind == "absmax" and scheme.group == "channel"
    four = scheme.bits == 4 and scheme.kind != "nf4" and scheme.group in GROUPS
    if not eight and not (four and stored.shape[0] % PACKED_ROWS == 0):
        raise ValueError(
            "torch's CPU kernels take int8 with a scale for each channel, or int4 in groups of "
            f"{', '.join(map(str, GROUPS))} with outputs that {PACKED_ROWS} divides; got {scheme} "
            f"with {stored.shape[0]} outputs. Unpack it instead, as QuantisedLinear does."
        )
    if stored.packed.device.type != "cpu":
        raise ValueError(
            f"these kernels run on a CPU; got weights on {stored.packed.device}. Move them first."
        )
