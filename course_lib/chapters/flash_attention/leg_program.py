"""A learner's `forward_leg` as a function on tensors: a program that runs one leg and stores it.

A Triton function works on blocks and addresses inside a kernel. `on_tensors` puts it into a small
kernel that loads the blocks, calls it, and stores what it returns. The kernel is interpreted or
compiled, like those of `course_lib.flash.kernel`.

Rows of nan stand before and after the keys and values, so that reading past their ends shows.

Taught in:        flash_attention
Checked against:  attention in float64; `course_lib.flash.kernel.forward_leg`
Shapes:           t queries of a tile, S keys, D head width
"""
# mypy: disable-error-code="no-untyped-def"

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor
from triton.runtime.errors import InterpreterError

from course_lib.flash import kernel

GUARD = 1 << 18
"""How many numbers of nan stand before and after a table."""


def leg_program(
    OUT, ACC, M, TOTAL, Q, K, V, POSITIONS, first, last, scale, S,
    D: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
):  # fmt: skip
    """Load a state and a tile of queries, run LEG, and store the state after it."""
    rows = tl.arange(0, BLOCK_T)
    table = rows[:, None] * D + tl.arange(0, D)[None, :]
    acc, m, total = LEG(
        tl.load(ACC + table), tl.load(M + rows), tl.load(TOTAL + rows), tl.load(Q + table),
        K, V, first, last, tl.load(POSITIONS + rows), scale, S, D, BLOCK_S,
    )  # fmt: skip
    tl.store(OUT + table, acc)
    tl.store(OUT + BLOCK_T * D + rows, m)
    tl.store(OUT + BLOCK_T * D + BLOCK_T + rows, total)


LEG: Any = None  # stands for the function that each program gets under this name


def program_of(function: Callable[..., Any]) -> Any:
    """Return the kernel that runs this function as its leg."""
    names = {**globals(), "LEG": kernel.jit(function)}
    plain = inspect.unwrap(leg_program)
    program = FunctionType(plain.__code__, names, plain.__name__)
    program.__annotations__ = plain.__annotations__
    program.__module__ = __name__
    return kernel.jit(program)


def run_leg(
    program: Any,
    acc: Float[Tensor, "t D"],
    m: Float[Tensor, " t"],
    total: Float[Tensor, " t"],
    q: Float[Tensor, "t D"],
    K: Float[Tensor, "S D"],
    V: Float[Tensor, "S D"],
    first: int,
    last: int,
    positions: Int[Tensor, " t"],
    scale: float,
    S: int,
    D: int,
    BLOCK_S: int,
) -> tuple[Float[Tensor, "t D"], Float[Tensor, " t"], Float[Tensor, " t"]]:
    """Return (acc, m, total) after the leg, on the CPU and in float32."""
    _check_sizes((acc, q), (m, total, positions), (K, V), D)
    device = torch.device("cpu" if kernel.INTERPRETED else "cuda")
    state = [x.to(device).contiguous() for x in (acc, m, total, q)]
    keys, values = (_guarded(x.to(device)) for x in (K, V))
    out = torch.full((acc.numel() + 2 * m.numel(),), torch.nan, device=device)
    with _reductions(), _own_errors(), np.errstate(all="ignore"):
        program[(1,)](
            out, *state, keys, values, positions.to(device), first, last, scale, S,
            D=D, BLOCK_T=len(m), BLOCK_S=BLOCK_S,
        )  # fmt: skip
    found = out.cpu().split([acc.numel(), len(m), len(m)])
    return found[0].view(acc.shape), found[1], found[2]


def _check_sizes(
    tiles: tuple[Tensor, ...], rows: tuple[Tensor, ...], tables: tuple[Tensor, ...], width: int
) -> None:
    """Raise an error where the program would read or write outside of a tensor."""
    queries = len(rows[0])
    fits = all(len(each) == queries for each in rows)
    fits = fits and all(each.shape == (queries, width) for each in tiles)
    if not fits or any(each.shape[1] != width for each in tables):
        shapes = [tuple(each.shape) for each in (*tiles, *rows, *tables)]
        raise ValueError(
            f"{queries} queries of width D = {width} need (t, D) for acc and q, (t,) for m, total "
            f"and positions, (S, D) for K and V; got {shapes}. Use one t and one D."
        )


def _guarded(table: Tensor) -> Tensor:
    """Return a copy with nan before its first and after its last number."""
    inside = slice(GUARD, GUARD + table.numel())
    whole = table.new_full((table.numel() + 2 * GUARD,), torch.nan)
    whole[inside] = table.flatten()
    return whole[inside]


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raise what the function raised, not what the interpreter makes of it."""
    try:
        yield
    except InterpreterError as wrapper:
        error: BaseException = wrapper
        while isinstance(error, InterpreterError) and error.__cause__ is not None:
            error = error.__cause__
        raise error from None


@contextmanager
def _reductions() -> Iterator[None]:
    """Let the interpreter run `tl.max` and `tl.sum` as well, as the compiler does."""
    if not kernel.INTERPRETED:
        yield
        return
    with patch.object(tl, "max", kernel.row_max), patch.object(tl, "sum", kernel.row_sum):
        yield
