"""The backward pass of FlashAttention as kernels: one for the queries, one for keys and values.

The gradient of a query sums over the keys that it read; the gradients of a key and its value sum
over the queries that read them. So there are two loops, one along each side of the table, and each
recomputes its tiles of weights from the saved logsumexp. No two programs write to the same address,
so the result is the same in every run.

    p = exp(s - L)      dv = p.T @ do      ds = p * (do @ v.T - delta)      delta = sum(do * o)
    dq = ds @ k         dk = ds.T @ q

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135, appendix B; Dao 2023, arXiv:2307.08691
Checked against:  autograd through attention in float64, course_lib.flash.tiled
Shapes:           T query tokens, S key tokens, D head width; a program's tile is BLOCK_T queries by
                  BLOCK_S keys; `grad` is the gradient of the output
"""
# mypy: disable-error-code="no-untyped-def"

import triton.language as tl

from course_lib.flash.kernel import LN_2, jit, load_tile, row_sum, score_tile


@jit
def delta_kernel(OUT, GRAD_OUT, GRAD_LSE, DELTA, length, D: tl.constexpr, BLOCK: tl.constexpr):
    """Write sum(output * its gradient) of each row, minus the gradient of its logsumexp."""
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    out = load_tile(OUT, rows, length, D, True).to(tl.float32)
    grad = load_tile(GRAD_OUT, rows, length, D, True).to(tl.float32)
    grad_lse = tl.load(GRAD_LSE + rows, mask=rows < length, other=0.0)
    tl.store(DELTA + rows, row_sum(out * grad, 1) - grad_lse, mask=rows < length)


@jit
def query_leg(
    dq, q, grad, lse, delta, K, V, first, last, positions, scale, S,
    D: tl.constexpr, BLOCK_S: tl.constexpr,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return dq after adding the contributions of the keys from `first` to `last`."""
    for start in range(first, last, BLOCK_S):
        cols = start + tl.arange(0, BLOCK_S)
        k = load_tile(K, cols, S, D, MASKED)
        v = load_tile(V, cols, S, D, MASKED)
        scores = score_tile(q, k, positions, cols, S, CAUSAL, MASKED, PRECISION)
        weights = tl.exp2(scores * scale - lse[:, None])  # as they were in the forward pass
        grad_weights = tl.dot(grad, tl.trans(v), input_precision=PRECISION)
        grad_scores = weights * (grad_weights - delta[:, None])
        dq = tl.dot(grad_scores.to(k.dtype), k, dq, input_precision=PRECISION)
    return dq


@jit
def query_kernel(
    Q, K, V, GRAD_OUT, LSE, DELTA, DQ, scale, T, S, SHARING,
    D: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
    CAUSAL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradient of one tile of queries of one head."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    rows = tile * BLOCK_T + tl.arange(0, BLOCK_T)
    positions = S - T + rows
    K += head // SHARING * S * D
    V += head // SHARING * S * D

    open_end = S // BLOCK_S * BLOCK_S
    end = S
    if CAUSAL:
        open_end = tl.minimum(open_end, (S - T + tile * BLOCK_T + 1) // BLOCK_S * BLOCK_S)
        end = tl.minimum(S, S - T + (tile + 1) * BLOCK_T)

    q = load_tile(Q + head * T * D, rows, T, D, True)
    grad = load_tile(GRAD_OUT + head * T * D, rows, T, D, True)
    lse = tl.load(LSE + head * T + rows, mask=rows < T, other=0.0) / LN_2
    delta = tl.load(DELTA + head * T + rows, mask=rows < T, other=0.0)
    dq = tl.full([BLOCK_T, D], 0.0, tl.float32)
    dq = query_leg(
        dq, q, grad, lse, delta, K, V, 0, open_end, positions, scale, S,
        D, BLOCK_S, CAUSAL, False, PRECISION,
    )  # fmt: skip
    dq = query_leg(
        dq, q, grad, lse, delta, K, V, open_end, end, positions, scale, S,
        D, BLOCK_S, CAUSAL, True, PRECISION,
    )  # fmt: skip
    places = DQ + head * T * D + rows[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(places, (dq * scale * LN_2).to(DQ.dtype.element_ty), mask=rows[:, None] < T)


@jit
def key_leg(
    dk, dv, k, v, Q, GRAD_OUT, LSE, DELTA, first, last, cols, scale, T, S,
    D: tl.constexpr, BLOCK_T: tl.constexpr,
    CAUSAL: tl.constexpr, MASKED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return (dk, dv) after adding the contributions of the queries from `first` to `last`.

    Scores are transposed here, keys by queries. A row after the last query is all 0, and so is its
    contribution.
    """
    for start in range(first, last, BLOCK_T):
        rows = start + tl.arange(0, BLOCK_T)
        q = load_tile(Q, rows, T, D, True)
        grad = load_tile(GRAD_OUT, rows, T, D, True)
        lse = tl.load(LSE + rows, mask=rows < T, other=0.0) / LN_2
        delta = tl.load(DELTA + rows, mask=rows < T, other=0.0)
        scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)  # (BLOCK_S, BLOCK_T)
        if MASKED:
            allowed = cols[:, None] < S
            if CAUSAL:
                allowed = allowed & (cols[:, None] <= (S - T + rows)[None, :])
            scores = tl.where(allowed, scores, -float("inf"))
        weights = tl.exp2(scores * scale - lse[None, :])
        dv = tl.dot(weights.to(grad.dtype), grad, dv, input_precision=PRECISION)
        grad_weights = tl.dot(v, tl.trans(grad), input_precision=PRECISION)
        grad_scores = weights * (grad_weights - delta[None, :])
        dk = tl.dot(grad_scores.to(q.dtype), q, dk, input_precision=PRECISION)
    return dk, dv


@jit
def key_kernel(
    Q, K, V, GRAD_OUT, LSE, DELTA, DK, DV, scale, T, S, SHARING,
    D: tl.constexpr, BLOCK_T: tl.constexpr, BLOCK_S: tl.constexpr,
    CAUSAL: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Write the gradients of one tile of keys and values, from all queries of its head."""
    head = tl.program_id(1).to(tl.int64)
    start = tl.program_id(0) * BLOCK_S
    cols = start + tl.arange(0, BLOCK_S)
    k = load_tile(K + head * S * D, cols, S, D, True)
    v = load_tile(V + head * S * D, cols, S, D, True)

    first = 0  # the first query that may read any of these keys
    open_start = 0  # the first from which on all queries may read all of them
    if CAUSAL:
        first = tl.maximum(0, start - (S - T)) // BLOCK_T * BLOCK_T
        open_start = tl.maximum(0, start + BLOCK_S - 1 - (S - T))
        open_start = (open_start + BLOCK_T - 1) // BLOCK_T * BLOCK_T
    open_start = tl.where(start + BLOCK_S > S, T, tl.minimum(open_start, T))

    dk = tl.full([BLOCK_S, D], 0.0, tl.float32)
    dv = tl.full([BLOCK_S, D], 0.0, tl.float32)
    for reader in range(head * SHARING, (head + 1) * SHARING):  # the heads that read these keys
        q, grad = Q + reader * T * D, GRAD_OUT + reader * T * D
        lse, delta = LSE + reader * T, DELTA + reader * T
        dk, dv = key_leg(
            dk, dv, k, v, q, grad, lse, delta, first, open_start, cols, scale, T, S,
            D, BLOCK_T, CAUSAL, True, PRECISION,
        )  # fmt: skip
        dk, dv = key_leg(
            dk, dv, k, v, q, grad, lse, delta, open_start, T, cols, scale, T, S,
            D, BLOCK_T, CAUSAL, False, PRECISION,
        )  # fmt: skip
    places = head * S * D + cols[:, None] * D + tl.arange(0, D)[None, :]
    inside = cols[:, None] < S
    tl.store(DK + places, (dk * scale * LN_2).to(DK.dtype.element_ty), mask=inside)
    tl.store(DV + places, dv.to(DV.dtype.element_ty), mask=inside)
