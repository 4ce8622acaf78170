"""Products of vectors with a matrix, by a small C program that is compiled where it runs.

One token is multiplied by every matrix of a model, so generating it takes at least as long as
reading the weights. Half the bytes should take half the time, but PyTorch's products for 16 and 8
bits convert numbers much slower than memory delivers them, on processors without instructions for
these types. And for a few rows in float32 it computes slower than memory delivers, too. The loops
in `products.c` convert in registers, and need no other layout than that of a checkpoint.

The many vectors of a prompt are multiplied by PyTorch. Codes are unpacked for it, a part of the
matrix at a time that stays in the cache. That is not needed on processors that multiply and add
pairs of 16-bit integers in one instruction: there the loops for codes are faster than PyTorch's
product in float32, however many vectors there are.

    numbers    widened to float32 in registers    times x, summed in float32
    codes      widened to 16 bits in registers    times x in 16 bits, summed exactly within a span

It needs gcc or clang with OpenMP. Without one of them nothing is lost but time: `compiled_products`
returns None, and callers use PyTorch's own products. So they do where somebody watches PyTorch's
operations, such as `FlopCounterMode`. A profile shows each call as "course_lib::product".

Taught in:        generation
Checked against:  the same product in float64, by PyTorch
Shapes:           O outputs, I inputs, N vectors, G groups of a row
"""

import ctypes
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import BFloat16, Float, Float32, Int8, UInt8
from torch import Tensor
from torch.autograd.profiler import record_function

from course_lib.model.program_file import compiled_program
from course_lib.model.watchers import are_plain, is_profiled, is_watched, wants_gradient

SOURCE = Path(__file__).with_name("block.c")
INCLUDED = tuple(SOURCE.with_name(name) for name in ("attention.c", "products.c", "vectors.c"))
FEW_ROWS = 12  # vectors up to which this is faster than unpacking or widening the matrix
MANY_ROWS = 256  # vectors up to which int4 is multiplied as integers faster than unpacked
UNPACKED = 1 << 20  # weights that are unpacked at a time: 4 MB
POINTER = ctypes.c_void_p


class Kind(NamedTuple):
    """How a matrix is stored."""

    number: int  # its number in the program
    dtype: torch.dtype
    packed: int  # weights in an element of this type
    at_once: int  # a row or a group must be a multiple of this many weights


KINDS = {
    "float32": Kind(0, torch.float32, 1, 8),
    "bfloat16": Kind(1, torch.bfloat16, 1, 16),
    "int8": Kind(2, torch.int8, 1, 32),
    "int4": Kind(3, torch.uint8, 2, 64),
}


class Matrix(ctypes.Structure):
    """A matrix as the program reads it. It does not keep its tensors alive."""

    _fields_ = (
        *((name, POINTER) for name in ("weight", "scale", "shift")),
        *((name, ctypes.c_int64) for name in ("outputs", "inputs", "group")),
        ("kind", ctypes.c_int32),
    )


def as_matrix(
    kind: str, weight: Tensor, scale: Tensor | None = None, shift: Tensor | None = None
) -> Matrix:
    """Return a matrix for the program, which trusts what it is given; raise if it may not."""
    number, dtype, packed, at_once = KINDS[kind]
    scales = [each for each in (scale, shift) if each is not None]
    if weight.dtype != dtype or any(each.dtype != torch.float32 for each in scales):
        found = ", ".join(str(each.dtype)[6:] for each in (weight, *scales))
        raise ValueError(
            f"the compiled product for {kind} reads a matrix in {str(dtype)[6:]}, and all else in "
            f"float32; got {found}. Convert them first."
        )
    for each in (weight, *scales):
        _require_plain(each)
    outputs, inputs = weight.shape[0], weight.shape[1] * packed
    if any(each.shape[0] != outputs for each in scales):
        found = ", ".join(str(tuple(each.shape)) for each in (weight, *scales))
        raise ValueError(
            f"each row of a matrix must have a scale; got {found}. Pass the scales of this matrix."
        )
    group, left = divmod(inputs, 1 if shift is None else shift.shape[1])
    if left or group % at_once:
        raise ValueError(
            f"the compiled product for {kind} takes {at_once} numbers at once; got "
            f"{inputs if left else group} inputs that share a scale. Multiply with torch instead."
        )
    pointers = (None if each is None else each.data_ptr() for each in (weight, scale, shift))
    return Matrix(*pointers, outputs, inputs, group, number)


def _require_plain(tensor: Tensor) -> None:
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        raise ValueError(
            f"the compiled product reads contiguous tensors on a CPU; got strides "
            f"{tensor.stride()} on {tensor.device}. Call .cpu().contiguous() first."
        )


def _require_inputs(matrix: Matrix, x: Tensor) -> Tensor:
    """Return vectors as the program reads them; raise if they do not fit the matrix."""
    if x.shape[1] != matrix.inputs or x.dtype != torch.float32:
        raise ValueError(
            f"a matrix of {matrix.inputs} inputs multiplies vectors of as many numbers, all in "
            f"float32; got {tuple(x.shape)} in {str(x.dtype)[6:]}. Pass the layer's inputs."
        )
    x = x.contiguous()
    _require_plain(x)
    return x


class CompiledProducts:
    """The functions of the compiled program, called with tensors. Rows of matrices are outputs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.blocks = library.blocks  # see compiled_block
        self.blocks.argtypes = (*4 * (POINTER,), ctypes.c_int64, ctypes.c_int)
        self._product = library.product
        self._product.argtypes = (POINTER, POINTER, POINTER, ctypes.c_int64, ctypes.c_int)
        self._unpack = library.unpack
        self._unpack.argtypes = (POINTER, ctypes.c_int64, ctypes.c_int64, POINTER, ctypes.c_int)
        self._adds_pairs = bool(library.adds_pairs())

    def float32(
        self, weight: Float32[Tensor, "O I"], x: Float32[Tensor, "N I"]
    ) -> Float32[Tensor, "N O"]:
        """Return the products of the vectors with a matrix in float32."""
        return self.multiply(as_matrix("float32", weight), x)

    def bfloat16(
        self, weight: BFloat16[Tensor, "O I"], x: Float32[Tensor, "N I"]
    ) -> Float32[Tensor, "N O"]:
        """Return the products of the vectors with a matrix in bfloat16."""
        return self.multiply(as_matrix("bfloat16", weight), x)

    def int8(
        self,
        codes: Int8[Tensor, "O I"],
        scale: Float32[Tensor, " O"],
        x: Float32[Tensor, "N I"],
    ) -> Float32[Tensor, "N O"]:
        """Return the products with a matrix of signed codes, each row times its scale."""
        return self.multiply(as_matrix("int8", codes, scale), x)

    def int4(
        self,
        packed: UInt8[Tensor, "O bytes"],
        scale: Float32[Tensor, "O G"],
        shift: Float32[Tensor, "O G"],
        x: Float32[Tensor, "N I"],
    ) -> Float32[Tensor, "N O"]:
        """Return the products with a matrix of scale · code + shift, two codes in each byte."""
        return self.multiply(as_matrix("int4", packed, scale, shift), x)

    def multiply(self, matrix: Matrix, x: Float[Tensor, "N I"]) -> Float32[Tensor, "N O"]:
        """Return the products of the vectors with a matrix whose tensors are alive."""
        x = _require_inputs(matrix, x)
        if not x.numel():
            return x.new_zeros(len(x), matrix.outputs)
        y = x.new_empty(len(x), matrix.outputs)
        given = ctypes.byref(matrix), x.data_ptr(), y.data_ptr(), len(x), torch.get_num_threads()
        with record_function("course_lib::product") if is_profiled() else nullcontext():
            failed = self._product(*given)
        if failed:
            raise MemoryError(f"there was no memory for {len(x)} vectors of {x.shape[1]} numbers")
        return y

    def multiply_codes(self, matrix: Matrix, x: Float[Tensor, "N I"]) -> Float32[Tensor, "N O"]:
        """Return the products of any number of vectors with a matrix of int8 or int4."""
        fits = self._adds_pairs and (matrix.kind == KINDS["int8"].number or len(x) <= MANY_ROWS)
        if fits or len(x) <= FEW_ROWS:
            return self.multiply(matrix, x)
        return self.multiply_unpacked(matrix, x)

    def multiply_unpacked(self, matrix: Matrix, x: Float[Tensor, "N I"]) -> Float32[Tensor, "N O"]:
        """Return the products of many vectors with a matrix of codes, by PyTorch in float32.

        A part of the matrix is unpacked at a time, and multiplied while it is in the cache: for 512
        vectors, unpacking takes less than a twentieth of the time of the product.
        """
        if matrix.kind not in (KINDS["int8"].number, KINDS["int4"].number):
            raise ValueError(
                "only a matrix of int8 or int4 is unpacked for many vectors; got one of "
                f"{list(KINDS)[matrix.kind]}. Multiply with torch instead."
            )
        x = _require_inputs(matrix, x)
        parts = max(1, round(matrix.outputs * matrix.inputs / UNPACKED))
        at_once = max(1, -(-matrix.outputs // parts))
        part, y = x.new_empty(at_once, matrix.inputs), x.new_empty(len(x), matrix.outputs)
        for begin in range(0, matrix.outputs, at_once):
            end, threads = min(begin + at_once, matrix.outputs), torch.get_num_threads()
            self._unpack(ctypes.byref(matrix), begin, end, part.data_ptr(), threads)
            torch.mm(x, part[: end - begin].T, out=y[:, begin:end])
        return y


@cache
def compiled_products() -> CompiledProducts | None:
    """Return the compiled program, or None where it cannot be compiled; that takes 3 s, but once.

    It uses as many threads as PyTorch, so `torch.set_num_threads` holds for it too.
    """
    library = compiled_program(SOURCE, INCLUDED)
    return None if library is None else CompiledProducts(library)


def can_multiply(matrix: Tensor, x: Tensor, bias: Tensor | None = None) -> bool:
    """Whether these may be handed to a compiled program, which reads plain memory of the CPU.

    Where a gradient is wanted they may not, not even that of a bias that is added to the product.
    """
    if is_watched():
        return False
    read = (matrix, x) if bias is None else (matrix, x, bias)
    return (
        matrix.device.type == x.device.type == "cpu"
        and matrix.is_contiguous()
        and are_plain(read)
        and not wants_gradient(read)
    )
