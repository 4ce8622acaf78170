"""Products with matrices of few bits, by a small C program that is compiled where it runs.

One token is multiplied by every matrix of a model, so generating it takes as long as reading the
weights. Half the bytes should take half the time, but PyTorch's products for 16 and 8 bits convert
numbers slower than memory delivers them, on processors without instructions for these types. The
loops in `products.c` convert them in registers, at the speed of memory.

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
from functools import cache
from pathlib import Path

import torch
from jaxtyping import BFloat16, Float32, Int8, UInt8
from torch import Tensor

SOURCE = Path(__file__).with_name("products.c")
FLAGS = ("-O3", "-march=native", "-fopenmp", "-shared", "-fPIC")
KINDS = {"bfloat16": 16, "int8": 32, "int4": 64}  # weights of a row or a group come in multiples
_POINTER, _NUMBER = ctypes.c_void_p, ctypes.c_int64


class CompiledProducts:
    """The functions of the compiled program, called with tensors. Rows of matrices are outputs."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._functions = {kind: getattr(library, f"{kind}_product") for kind in KINDS}
        for function in self._functions.values():
            function.argtypes = [*5 * [_POINTER], *4 * [_NUMBER]]

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
        x, y = x.contiguous(), x.new_empty(len(x), len(matrix))
        inputs = x.shape[1]
        group = inputs if shift is None else inputs // shift.shape[1]
        if group % KINDS[kind]:
            raise ValueError(
                f"the compiled product for {kind} takes {KINDS[kind]} numbers at once; got "
                f"{group} inputs that share a scale. Multiply with torch instead."
            )
        pointers = (None if t is None else t.data_ptr() for t in (matrix, scale, shift, x, y))
        if self._functions[kind](*pointers, len(matrix), inputs, group, len(x)):
            raise MemoryError(f"there was no memory for {len(x)} vectors of {inputs} numbers")
        return y


@cache
def compiled_products() -> CompiledProducts | None:
    """Return the compiled program, or None where it cannot be compiled; the first call takes 1 s.

    It shares the threads of PyTorch, so `torch.set_num_threads` holds for it too.
    """
    compiler = next(filter(None, map(shutil.which, ("gcc", "clang"))), None)
    if compiler is None or sys.platform == "win32":
        return None
    with tempfile.TemporaryDirectory() as folder:  # once loaded, the file is no longer needed
        program = Path(folder, "products.so")
        command = [compiler, *FLAGS, str(SOURCE), "-o", str(program)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            return CompiledProducts(ctypes.CDLL(str(program)))
        except (OSError, subprocess.SubprocessError):
            return None


def can_multiply(matrix: Tensor, x: Tensor) -> bool:
    """Whether these may be handed to a compiled program, which reads plain memory of the CPU."""
    watched = torch.is_grad_enabled() and (x.requires_grad or matrix.requires_grad)
    return (
        matrix.device.type == x.device.type == "cpu"
        and matrix.is_contiguous()
        and not watched
        and not torch.compiler.is_compiling()
    )
