"""FlashAttention: exact attention that never writes the table of all scores.

Files in the order in which the notebook reads them: `online_attention` (the running state of a
query), `tiles` (which parts of the table are visited), `tiled` (forward and backward), `watch`
(proof that no table was made), `traffic` (every byte that is moved), and for GPUs `kernel`,
`kernel_backward` and `fused`. These three need Triton, which is not available on every platform,
and must be imported explicitly; `kernel_trouble` tells whether that works.

Taught in:        flash_attention
"""

from course_lib.flash.available import kernel_trouble
from course_lib.flash.online_attention import (
    AttentionState,
    attend_scores,
    empty_state,
    finish,
    join_parts,
)
from course_lib.flash.tiled import (
    backward_tiles,
    forward_tiles,
    split_attention,
    tiled_attention,
    tiled_attention_with_lse,
)
from course_lib.flash.tiles import CAUSAL, FULL, Reach, Tiling
from course_lib.flash.traffic import (
    MeteredMemory,
    fast_bytes,
    largest_query_block,
    metered_standard_attention,
    metered_tiled_attention,
    standard_bytes,
    tiled_bytes,
)
from course_lib.flash.watch import OutsideTorchError, TableError, Watch

__all__ = [
    "CAUSAL",
    "FULL",
    "AttentionState",
    "MeteredMemory",
    "OutsideTorchError",
    "Reach",
    "TableError",
    "Tiling",
    "Watch",
    "attend_scores",
    "backward_tiles",
    "empty_state",
    "fast_bytes",
    "finish",
    "forward_tiles",
    "join_parts",
    "kernel_trouble",
    "largest_query_block",
    "metered_standard_attention",
    "metered_tiled_attention",
    "split_attention",
    "standard_bytes",
    "tiled_attention",
    "tiled_attention_with_lse",
    "tiled_bytes",
]
