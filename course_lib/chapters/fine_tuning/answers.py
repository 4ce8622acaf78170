"""Answers that only an exercise needs.

Taught in:        fine_tuning
Checked against:  attention over the same keys and values, query by query
Shapes:           B batch, H heads, T tokens, P prefix, D head width
"""

from jaxtyping import Float
from torch import Tensor

from course_lib.attention import causal_mask, grouped_query_attention
from course_lib.fine_tuning import with_prefix


def prefixed_attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H T D"],
    v: Float[Tensor, "B H T D"],
    prefix_k: Float[Tensor, "H P D"],
    prefix_v: Float[Tensor, "H P D"],
) -> Float[Tensor, "B H T D"]:
    """Return causal attention in which every query may also read the whole prefix."""
    keys, values = with_prefix(prefix_k, k), with_prefix(prefix_v, v)
    mask = causal_mask(q.shape[2], keys.shape[2], device=q.device)
    return grouped_query_attention(q, keys, values, mask)
