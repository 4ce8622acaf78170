"""Packed layers that a kernel multiplies without unpacking them first, on a CPU.

A kernel converts a few weights at a time in registers, so only the packed weights are read from
memory. Where there is a C compiler, the kernels are those of `compiled_products`, which read inputs
in float32; they take groups of 64 and more. Otherwise they are torch's: codes of 8 bits with a
scale for each row, and codes of 4 bits in groups, for inputs in bfloat16. The codes and scales are
those of the packed layer; only their order in memory changes, for torch's int4.

    int8   y = scale · Σ code · x
    int4   y = Σ over groups (scale · code + shift) · x           shift = −scale · zero

Taught in:        compression
Checked against:  the packed layers, unpacked
Shapes:           O outputs, I inputs, N rows of inputs
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from course_lib.compression.layers import (
    QuantisedLinear,
    prepared_inputs,
    quantised_layers,
    replace_layer,
)
from course_lib.compression.packing import unpack
from course_lib.compression.tensors import QuantisedTensor
from course_lib.model import DecoderLM
from course_lib.model.compiled_products import (
    KINDS,
    Matrix,
    as_matrix,
    can_multiply,
    compiled_products,
)

GROUPS = (32, 64, 128, 256)  # that torch's int4 kernel has
PACKED_ROWS = 16  # torch's int4 kernel takes rows by sixteens
ROWS = 8192  # reordered or unpacked at once, to need little memory


class KernelLinear(nn.Module):
    """A packed linear layer that is multiplied by a kernel: a compiled one, or one of torch's."""

    codes: Tensor
    scale: Tensor
    shift: Tensor | None
    input_scale: Tensor | None

    def __init__(self, layer: QuantisedLinear, compiled: bool = True) -> None:
        super().__init__()
        stored = layer.stored
        _require_kernel(stored)
        self.scheme, self.inputs, self.bias = stored.scheme, stored.inputs, layer.bias
        self.register_buffer("input_scale", layer.input_scale)
        self.activation_bits = layer.activation_bits
        eight = stored.scheme.bits == 8
        left = self.scheme.group_width(self.inputs) % KINDS["int8" if eight else "int4"].at_once
        self.compiled = compiled and left == 0 and compiled_products() is not None
        order = (_signed if eight else _packed) if self.compiled else _int8 if eight else _int4
        for name, tensor in zip(("codes", "scale", "shift"), order(stored), strict=True):
            self.register_buffer(name, tensor)

    @property
    def nbytes(self) -> int:
        """The bytes that are read for a product."""
        shift = 0 if self.shift is None else self.shift.nbytes
        return self.codes.nbytes + self.scale.nbytes + shift

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        """Multiply by the packed weights."""
        x = prepared_inputs(x, self.input_scale, self.activation_bits)
        rows = x.reshape(-1, self.inputs)
        y = self._compiled(rows.float()) if self.compiled else self._by_torch(rows.bfloat16())
        y = y.to(x.dtype).view(*x.shape[:-1], y.shape[-1])
        return y if self.bias is None else y + self.bias

    def _compiled(self, rows: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        program = compiled_products() if can_multiply(self.codes, rows) else None
        if program is None:
            return self._unpacked(rows)
        return program.multiply_codes(self._matrix(), rows)

    def compiled_matrix(self) -> Matrix | None:
        """Return the weight as the compiled program reads it, or None if that is not all."""
        altered = self.input_scale is not None or self.activation_bits is not None
        on_cpu = self.codes.device.type == "cpu"
        return None if altered or not self.compiled or not on_cpu else self._matrix()

    def _matrix(self) -> Matrix:
        kind = "int8" if self.shift is None else "int4"
        return as_matrix(kind, self.codes, self.scale, self.shift)

    def _unpacked(self, rows: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        """Return the products by torch alone, for autograd, torch.compile and other devices."""
        products = []
        for begin in range(0, len(self.codes), ROWS):
            codes, scale = (each[begin : begin + ROWS] for each in (self.codes, self.scale))
            if self.shift is None:
                weight = codes.float() * scale[:, None]
            else:
                groups = unpack(codes, 4, self.inputs).float().unflatten(-1, (scale.shape[1], -1))
                weight = groups * scale[..., None] + self.shift[begin : begin + ROWS, :, None]
            products.append(rows @ weight.flatten(1).T)
        return torch.cat(products, dim=-1)

    def _by_torch(self, rows: Float[Tensor, "N I"]) -> Float[Tensor, "N O"]:
        scale = self.scale.bfloat16()
        if self.scheme.bits == 8:
            return torch._weight_int8pack_mm(rows, self.codes, scale)
        group = self.scheme.group_width(self.inputs)
        return torch._weight_int4pack_mm_for_cpu(rows, self.codes, group, scale)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "KernelLinear":
        def moved(tensor: Tensor) -> Tensor:
            new = fn(tensor)
            kept = tensor is self.scale or tensor is self.shift
            return tensor.to(new.device) if kept else new  # scales keep their number type

        super()._apply(moved, recurse)
        return self


def use_cpu_kernels(model: DecoderLM, compiled: bool = True) -> DecoderLM:
    """Give each packed linear layer of a model a kernel, in place, and return the model.

    Blocks with compiled kernels are computed in one call where that is possible.
    With `compiled=False` it is torch's, even where another one can be compiled.
    """
    layers = [(n, each) for n, each in quantised_layers(model) if isinstance(each, QuantisedLinear)]
    if not layers:
        raise ValueError("kernels are for packed layers; got a model without. Quantise it first.")
    for name, layer in layers:
        replace_layer(model, name, KernelLinear(layer, compiled))
    return model.use_compiled_blocks(compiled)


Order = tuple[Tensor, Tensor, Tensor | None]  # codes, scales and shifts as a kernel reads them


def _signed(stored: QuantisedTensor) -> Order:
    """Return signed codes, and a scale for each row in float32."""
    codes, scale, _ = _int8(stored)
    return codes, scale.float().contiguous(), None


def _packed(stored: QuantisedTensor) -> Order:
    """Return the codes as they are packed, and a scale and a shift for each group in float32."""
    scale, zero = stored.scales
    wide = scale.float().contiguous()
    return stored.packed.contiguous(), wide, -wide * (8 if zero is None else zero.float())


def _int8(stored: QuantisedTensor) -> Order:
    """Return signed codes, and a scale for each row."""
    return (stored.codes.to(torch.int16) - 128).to(torch.int8), stored.scales.scale[:, 0], None


def _int4(stored: QuantisedTensor) -> Order:
    """Return codes in the order of torch's kernel, and a scale and a shift for each group and row.

    It computes scale · (code − 8) + shift.
    """
    scale, zero = stored.scales
    parts = [
        torch._convert_weight_to_int4pack_for_cpu(codes.int(), 1)
        for codes in stored.codes.split(ROWS)
    ]
    shift = torch.zeros_like(scale) if zero is None else scale * (8 - zero.to(scale.dtype))
    return torch.cat(parts), torch.stack((scale.T, shift.T), dim=-1).contiguous(), None


def _require_kernel(stored: QuantisedTensor) -> None:
    scheme = stored.scheme
    eight = scheme.bits == 8 and scheme.kind == "absmax" and scheme.group == "channel"
    four = scheme.bits == 4 and scheme.kind != "nf4" and scheme.group in GROUPS
    if not eight and not (four and stored.shape[0] % PACKED_ROWS == 0):
        raise ValueError(
            "kernels for a CPU take int8 with a scale for each channel, or int4 in groups of "
            f"{', '.join(map(str, GROUPS))} with outputs that {PACKED_ROWS} divides; got {scheme} "
            f"with {stored.shape[0]} outputs. Unpack it instead, as QuantisedLinear does."
        )
    if stored.packed.device.type != "cpu":
        raise ValueError(
            f"these kernels run on a CPU; got weights on {stored.packed.device}. Move them first."
        )
