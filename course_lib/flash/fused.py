"""One function for all kernels: which tiles to use, what to check, what to save for backward.

Taught in:        flash_attention
Paper:            Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691
Checked against:  attention in float64, F.scaled_dot_product_attention
Shapes:           B batch, H query heads, G key/value heads, T query tokens, S key tokens,
                  D head width
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from course_lib.flash.kernel import INTERPRETED, forward_kernel
from course_lib.flash.kernel_backward import delta_kernel, key_kernel, query_kernel
from course_lib.flash.online_attention import LOG2_E

HEAD_WIDTHS = (16, 32, 64, 128, 256)
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class Launch(NamedTuple):
    """How a kernel is launched: its tile, its warps of 32 threads, its loads in flight."""

    block_t: int
    block_s: int
    warps: int
    stages: int

    def settings(self) -> dict[str, int]:
        """Return the keyword arguments of a launch."""
        tile = {"BLOCK_T": self.block_t, "BLOCK_S": self.block_s}
        return tile if INTERPRETED else tile | {"num_warps": self.warps, "num_stages": self.stages}


def forward_launch(head_dim: int, dtype: torch.dtype) -> Launch:
    """Return the tiles of the forward kernel: as large as registers and shared memory allow."""
    if dtype == torch.float32:
        return Launch(64, 32, 4, 2) if head_dim <= 128 else Launch(32, 16, 4, 2)
    if head_dim <= 64:
        return Launch(128, 64, 4, 4)
    return Launch(128, 64, 8, 3) if head_dim <= 128 else Launch(64, 32, 8, 2)


def backward_launch(head_dim: int, dtype: torch.dtype) -> tuple[Launch, Launch]:
    """Return the tiles of the two backward kernels: one for queries, one for keys."""
    if dtype == torch.float32:
        both = Launch(32, 32, 4, 1) if head_dim <= 128 else Launch(16, 16, 4, 1)
        return both, both
    if head_dim <= 64:
        return Launch(128, 64, 8, 3), Launch(64, 128, 8, 3)
    if head_dim <= 128:
        return Launch(64, 64, 4, 2), Launch(64, 64, 4, 2)
    return Launch(32, 32, 4, 1), Launch(32, 32, 4, 1)


def fused_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S D"],
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "B H T D"]:
    """Return attention by the Triton kernels; with `causal`, queries are the last of the keys."""
    return fused_attention_with_lse(q, k, v, causal=causal, scale=scale)[0]


def fused_attention_with_lse(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B G S D"],
    v: Float[Tensor, "B G S D"],
    *,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B H T"]]:
    """Return attention by the Triton kernels, and the logsumexp of each query's scores."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    _check(q, k, v, causal, scale)
    given = q.dtype
    if INTERPRETED and given == torch.bfloat16:
        # The interpreter stores bfloat16 as integers of the same bits, and multiplies the integers.
        q, k, v = q.float(), k.float(), v.float()
    output, lse = _FusedAttention.apply(q, k, v, causal, scale)
    return output.to(given), lse


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float
    ) -> tuple[Tensor, Tensor]:
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        output, lse = torch.empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
        cut = forward_launch(q.shape[3], q.dtype)
        grid = (_tiles(q.shape[2], cut.block_t), q.shape[0] * q.shape[1])
        forward_kernel[grid](
            q, k, v, output, lse, *_sizes(q, k, scale), **_fixed(q, causal), **cut.settings()
        )
        ctx.save_for_backward(q, k, v, output, lse)
        ctx.causal, ctx.scale = causal, scale
        return output, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor, grad_lse: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, output, lse = ctx.saved_tensors
        grad_output, grad_lse = grad_output.contiguous(), grad_lse.contiguous()
        delta = torch.empty_like(lse)
        rows, width = lse.numel(), q.shape[3]
        delta_kernel[(_tiles(rows, 64),)](
            output, grad_output, grad_lse, delta, rows, D=width, BLOCK=64
        )
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        saved = (q, k, v, grad_output, lse, delta)
        sizes, fixed = _sizes(q, k, ctx.scale), _fixed(q, ctx.causal)
        for_queries, for_keys = backward_launch(width, q.dtype)
        query_kernel[(_tiles(q.shape[2], for_queries.block_t), q.shape[0] * q.shape[1])](
            *saved, dq, *sizes, **fixed, **for_queries.settings()
        )
        key_kernel[(_tiles(k.shape[2], for_keys.block_s), k.shape[0] * k.shape[1])](
            *saved, dk, dv, *sizes, **fixed, **for_keys.settings()
        )
        return dq, dk, dv, None, None


def _tiles(tokens: int, block: int) -> int:
    return -(-tokens // block)


def _sizes(q: Tensor, k: Tensor, scale: float) -> tuple[float, int, int, int]:
    """Return the numbers that every kernel takes; the scale brings scores to base 2."""
    return scale * LOG2_E, q.shape[2], k.shape[2], q.shape[1] // k.shape[1]


def _fixed(q: Tensor, causal: bool) -> dict[str, Any]:
    """Return the compile-time arguments; "ieee" keeps full precision in float32 products."""
    return {"D": q.shape[3], "CAUSAL": causal, "PRECISION": "ieee"}


def _check(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> None:
    if q.shape[3] not in HEAD_WIDTHS:
        raise ValueError(
            f"the head width must be one of {HEAD_WIDTHS}, since a kernel's tiles are powers of "
            f"two; got {q.shape[3]}. Use tiled_attention, or pad the width with zeros."
        )
    if q.dtype not in DTYPES or not q.dtype == k.dtype == v.dtype:
        raise ValueError(
            "q, k and v must all be float16, bfloat16 or float32; got "
            f"{q.dtype}, {k.dtype} and {v.dtype}. For float64 use tiled_attention."
        )
    if k.shape[1] < 1 or q.shape[1] % k.shape[1]:
        raise ValueError(
            "the number of query heads must be a multiple of the number of key/value heads; "
            f"got {q.shape[1]} and {k.shape[1]}. Each key/value head serves equally many query "
            "heads."
        )
    if k.shape[2] < 1 or (causal and q.shape[2] > k.shape[2]):
        raise ValueError(
            "there must be a key, and under a causal mask as many keys as queries; got "
            f"{q.shape[2]} queries and {k.shape[2]} keys. As keys, count cached and new tokens."
        )
    if not scale > 0:
        raise ValueError(
            f"scale must be positive, since the maximum is taken before scaling; got {scale}. "
            "For a negative scale use -q."
        )
    if not (INTERPRETED or q.is_cuda):
        raise ValueError(
            f"the kernels were compiled for CUDA; got tensors on {q.device}. Move them with "
            '.to("cuda"), or use tiled_attention on the CPU.'
        )
