"""Attention: how a token decides what to read from the others.

Five small files, in the order of the notebook: `masks` (which token may read which),
`scaled_dot_product` (the weighted mean, and its grouped form), `cache` (keys and values kept during
generation), `multi_head` (the layer with its projections), `heads` (scores and ablation of heads).

Taught in:        attention
"""

from course_lib.attention.cache import (
    KVCache,
    attention_step,
    kv_cache_bytes,
)
from course_lib.attention.heads import (
    first_token_score,
    head_scores,
    induction_score,
    induction_targets,
    mean_head_outputs,
    previous_token_score,
    repeated_ids,
    silence_head,
)
from course_lib.attention.masks import (
    additive_mask,
    causal_mask,
    combine_masks,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
    token_offsets,
)
from course_lib.attention.multi_head import MultiHeadAttention, merge_heads, split_heads
from course_lib.attention.scaled_dot_product import (
    attention_weights,
    grouped_query_attention,
    mix_values,
    scaled_dot_product_attention,
    scores_to_weights,
    stack_group,
    torch_attention,
)

__all__ = [
    "KVCache",
    "MultiHeadAttention",
    "additive_mask",
    "attention_step",
    "attention_weights",
    "causal_mask",
    "combine_masks",
    "first_token_score",
    "grouped_query_attention",
    "head_scores",
    "induction_score",
    "induction_targets",
    "kv_cache_bytes",
    "mean_head_outputs",
    "merge_heads",
    "mix_values",
    "padding_mask",
    "prefix_mask",
    "previous_token_score",
    "repeated_ids",
    "scaled_dot_product_attention",
    "scores_to_weights",
    "silence_head",
    "sliding_window_mask",
    "split_heads",
    "stack_group",
    "token_offsets",
    "torch_attention",
]
