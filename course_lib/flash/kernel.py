"""FlashAttention as a kernel: the loop over the tiles as a GPU program.

A Triton kernel is a Python function that describes what *one* of many programs does; the programs
run in parallel. A program here has one tile of queries of one head and loops over the keys, like
`tiled`. Its `acc`, `m` and `total` stay on the chip; only inputs, output and one logsumexp for each
query go through slow memory.

    exp(x) = exp2(x * log2(e))           GPUs have an instruction for exp2, so scores are kept in
                                         base 2; the saved logsumexp is in base e

Scores, sums and maxima are float32 for any inputs; the weights enter the second product in the
dtype of the values. Most tiles need no mask, so the loop has two legs: first the tiles that all
queries may read in full, then those on the diagonal and the smaller last one.

With a CUDA device the kernels are compiled. Without one they run in Triton's interpreter, which
executes them with NumPy on the CPU, one program after the other: slow, but good for learning.

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691;
                  Tillet, Kung & Cox 2019, "Triton", doi:10.1145/3315508.3329973
Checked against:  attention in float64, course_lib.flash.tiled
Shapes:           T query tokens, S key tokens, D head width; a program's tile is BLOCK_T queries by
                  BLOCK_S keys; tables of (heads, tokens, D) are contiguous
"""
# mypy: disable-error-code="no-untyped-def"

import inspect
import math
import os
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction

# Decided here and not by the environment variable alone: Triton reads it only when it is first
# imported, and other libraries (transformers, torch.compile) may have done that before.
INTERPRETED = not torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1"


def jit(function: Callable) -> Any:
    """Return the undecorated function as a kernel, interpreted or compiled as decided above."""
    return (InterpretedFunction if INTERPRETED else triton.jit)(inspect.unwrap(function))


# Triton's own helpers became kernels when it was imported; build ours from the same sources.
row_max: Any = jit(tl.max.fn)
row_sum: Any = jit(tl.sum.fn)

LN_2 = tl.constexpr(math.log(2))


@jit
def load_tile(base, rows, length, D: tl.constexpr, RAGGED: tl.constexpr):
    """Return some rows of a (length, D) table; rows after its end are 0."""
    places = base + rows[:, None] * D + tl.arange(0, D)[None, :]
    if RAGGED:
        return tl.load(places, mask=rows[:, None] < length, other=0.0)
    return tl.load(places)


@jit
def score_tile(
    q, k, positions, cols, S,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return the scores of queries (rows) and keys (columns), -inf where a key is masked."""
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if MASKED:
        allowed = cols[None, :] < S
        if CAUSAL:
            allowed = allowed & (cols[None, :] <= positions[:, None])
        scores = tl.where(allowed, scores, -float("inf"))
    return scores


@jit
def forward_leg(
    acc, m, total, q, K, V, first, last, positions, scale, S,
    D: tl.constexpr, BLOCK_S: tl.constexpr,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return (acc, m, total) after the keys from `first` to `last`."""
    for start in range(first, last, BLOCK_S):
        cols = start + tl.arange(0, BLOCK_S)
        k = load_tile(K, cols, S, D, MASKED)  # (BLOCK_S, D)
        scores = score_tile(q, k, positions, cols, S, CAUSAL, MASKED, PRECISION)
        m_new = tl.maximum(m, row_max(scores, 1) * scale)
        rescale = tl.exp2(m - m_new)
        weights = tl.exp2(scores * scale - m_new[:, None])
        total = total * rescale + row_sum(weights, 1)
        v = load_tile(V, cols, S, D, MASKED)
        acc = tl.dot(weights.to(v.dtype), v, acc * rescale[:, None], input_precision=PRECISION)
        m = m_new
    return acc, m, total


@jit
def forward_kernel(
    Q, K, V, OUT, LSE, scale, T, S, SHARING,
    D: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
    CAUSAL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write output and logsumexp of one tile of queries of one head."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)  # under a causal mask the longest loop first
    head = tl.program_id(1).to(tl.int64)
    rows = tile * BLOCK_T + tl.arange(0, BLOCK_T)
    positions = S - T + rows  # the queries are the last tokens among the keys
    K += head // SHARING * S * D  # SHARING heads read the same keys
    V += head // SHARING * S * D

    open_end = S // BLOCK_S * BLOCK_S  # up to here, no score needs a mask
    end = S
    if CAUSAL:
        open_end = tl.minimum(open_end, (S - T + tile * BLOCK_T + 1) // BLOCK_S * BLOCK_S)
        end = tl.minimum(S, S - T + (tile + 1) * BLOCK_T)

    q = load_tile(Q + head * T * D, rows, T, D, True)
    acc = tl.full([BLOCK_T, D], 0.0, tl.float32)
    m = tl.full([BLOCK_T], -float("inf"), tl.float32)
    total = tl.full([BLOCK_T], 0.0, tl.float32)
    acc, m, total = forward_leg(
        acc, m, total, q, K, V, 0, open_end, positions, scale, S,
        D, BLOCK_S, CAUSAL, False, PRECISION,
    )  # fmt: skip
    acc, m, total = forward_leg(
        acc, m, total, q, K, V, open_end, end, positions, scale, S,
        D, BLOCK_S, CAUSAL, True, PRECISION,
    )  # fmt: skip
    places = OUT + head * T * D + rows[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(places, (acc / total[:, None]).to(OUT.dtype.element_ty), mask=rows[:, None] < T)
    tl.store(LSE + head * T + rows, (m + tl.log2(total)) * LN_2, mask=rows < T)
