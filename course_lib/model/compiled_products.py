"""Products with matrices of few bits, by a small C program that is compiled where it runs.

One token is multiplied by every matrix of a model, so generating it takes at least as long as
reading the weights. Half the bytes should take half the time, but PyTorch's products for 16 and 8
bits convert numbers much slower than memory delivers them, on processors without instructions for
these types. The loops in `products.c` convert them in registers, several times as fast.

    weights as stored  ->  widened to float32 in registers  ->  times x, summed in float32

It needs gcc or clang with OpenMP. Without one of them nothing is lost but time: `compiled_products`
returns None, and callers use PyTorch's own products.

Taught in:        generation
Checked against:  the same product in float32, by PyTorch
Shapes:           O outputs, I inputs, N vectors, G groups of a row
"""

import ctypes
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import BFloat16, Float32, Int8, UInt8
from torch import Tensor

SOURCE = Path(__file__).with_name("products.c")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
FEW_ROWS = 12  # vectors up to which this is faster than widening the matrix once for all of them
_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64


class Kind(NamedTuple):
    """How a matrix is stored."""

    dtype: torch.dtype
    packed: int  # weights in an element of this type
    at_once: int  # a row or a group must be a multiple of this many weights


KINDS = {
    "bfloat16": Kind(torch.bfloat16, 1, 16),
    "int8": Kind(torch.int8, 1, 32),
    "int4": Kind(torch.uint8, 2, 64),
}


class CompiledProducts:
    """The functions of the compiled program, called with tensors. Rows of matrices are outputs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._functions = {kind: getattr(library, f"{kind}_product") for kind in KINDS}
        for function in self._functions.values():
            function.argtypes = [*5 * [_POINTER], *4 * [_NUMBER], ctypes.c_int]

    def bfloat16(
        self, weight: BFloat16[Tensor, "O I"], x: Float32[Tensor, "N I"]
    ) -> Float32[Tensor, "N O"]:
        """Return the products of the vectors with a matrix in bfloat16."""
        return self._product("bfloat16", weight, None, None, x)

    def int8(
        self,
        codes: Int8[Tensor, "O I"],
        scale: Float32[Tensor, " O"],
        x: Float32[Tensor, "N I"],
    ) -> Float32[Tensor, "N O"]:
        """Return the products with a matrix of signed codes, each row times its scale."""
        return self._product("int8", codes, scale, None, x)

    def int4(
        self,
        packed: UInt8[Tensor, "O bytes"],
        scale: Float32[Tensor, "O G"],
        shift: Float32[Tensor, "O G"],
        x: Float32[Tensor, "N I"],
    ) -> Float32[Tensor, "N O"]:
        """Return the products with a matrix of scale · code + shift, two codes in each byte."""
        return self._product("int4", packed, scale, shift, x)

    def _product(
        self, kind: str, matrix: Tensor, scale: Tensor | None, shift: Tensor | None, x: Tensor
    ) -> Tensor:
        scales = [each for each in (scale, shift) if each is not None]
        _require_fit(kind, matrix, scales, x)
        if not x.numel():
            return x.new_zeros(len(x), len(matrix))
        x, y = x.contiguous(), x.new_empty(len(x), len(matrix))
        inputs, groups = x.shape[1], 1 if shift is None else shift.shape[1]
        group, left = divmod(inputs, groups)
        if left or group % KINDS[kind].at_once:
            raise ValueError(
                f"the compiled product for {kind} takes {KINDS[kind].at_once} numbers at once; got "
                f"{inputs / groups:g} inputs that share a scale. Multiply with torch instead."
            )
        pointers = (None if t is None else t.data_ptr() for t in (matrix, scale, shift, x, y))
        sizes = (len(matrix), inputs, group, len(x), torch.get_num_threads())
        if self._functions[kind](*pointers, *sizes):
            raise MemoryError(f"there was no memory for {len(x)} vectors of {inputs} numbers")
        return y


def _require_fit(kind: str, matrix: Tensor, scales: Sequence[Tensor], x: Tensor) -> None:
    """Raise if the program, which trusts its arguments, would misread these tensors."""
    dtype, packed, _ = KINDS[kind]
    if matrix.dtype != dtype or any(each.dtype != torch.float32 for each in (x, *scales)):
        found = ", ".join(str(each.dtype)[6:] for each in (matrix, x, *scales))
        raise ValueError(
            f"the compiled product for {kind} reads a matrix in {str(dtype)[6:]}, and all else in "
            f"float32; got {found}. Convert them first."
        )
    rows_fit = all(each.shape[0] == matrix.shape[0] for each in scales)
    if matrix.shape[1] * packed != x.shape[1] or not rows_fit:
        found = ", ".join(str(tuple(each.shape)) for each in (matrix, x, *scales))
        raise ValueError(
            "a matrix must have as many inputs as the vectors, and its rows a scale each; got "
            f"{found}. Pass vectors and scales of this matrix."
        )
    for each in (matrix, x, *scales):
        if each.device.type != "cpu" or not (each is x or each.is_contiguous()):
            raise ValueError(
                f"the compiled product reads contiguous tensors on a CPU; got strides "
                f"{each.stride()} on {each.device}. Call .cpu().contiguous() first."
            )


@cache
def compiled_products() -> CompiledProducts | None:
    """Return the compiled program, or None where it cannot be compiled; the first call takes 1 s.

    It uses as many threads as PyTorch, so `torch.set_num_threads` holds for it too.
    """
    if sys.platform == "win32" or sys.byteorder != "little":
        return None
    programs = map(_compiled_by, filter(None, map(shutil.which, ("gcc", "clang"))))
    return next(filter(None, programs), None)


def _compiled_by(compiler: str) -> CompiledProducts | None:
    try:
        with tempfile.TemporaryDirectory() as folder:  # once loaded, the file is no longer needed
            program = Path(folder, "products.so")
            command = [compiler, *FLAGS, str(SOURCE), "-o", str(program)]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            return CompiledProducts(ctypes.CDLL(str(program)))
    except (OSError, subprocess.SubprocessError):
        return None


def can_multiply(matrix: Tensor, x: Tensor, bias: Tensor | None = None) -> bool:
    """Whether these may be handed to a compiled program, which reads plain memory of the CPU.

    Where a gradient is wanted they may not, not even that of a bias that is added to the product.
    """
    read = (matrix, x) if bias is None else (matrix, x, bias)
    return (
        matrix.device.type == x.device.type == "cpu"
        and matrix.is_contiguous()
        and not (torch.is_grad_enabled() and any(each.requires_grad for each in read))
        and not torch.compiler.is_compiling()
    )
