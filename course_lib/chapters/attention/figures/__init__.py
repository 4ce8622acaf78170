"""The pictures of this chapter: steps, masks, scale, maps of heads, learning, cost.

Taught in:        attention
Checked against:  the numbers read back from the drawn shapes
"""

from course_lib.chapters.attention.figures.cost import cache_bytes, cost_by_length
from course_lib.chapters.attention.figures.learning import ablation, learning, scores_of_heads
from course_lib.chapters.attention.figures.maps import (
    attention_lines,
    attention_maps,
    kind_of_head,
    mosaic_image,
)
from course_lib.chapters.attention.figures.masks import MASKS, mask_and_weights
from course_lib.chapters.attention.figures.missed import missed_heads
from course_lib.chapters.attention.figures.scale import (
    product_spread,
    query_gradients,
    scale_experiment,
)
from course_lib.chapters.attention.figures.steps import DIVISORS, five_steps

__all__ = [
    "DIVISORS",
    "MASKS",
    "ablation",
    "attention_lines",
    "attention_maps",
    "cache_bytes",
    "cost_by_length",
    "five_steps",
    "kind_of_head",
    "learning",
    "mask_and_weights",
    "missed_heads",
    "mosaic_image",
    "product_spread",
    "query_gradients",
    "scale_experiment",
    "scores_of_heads",
]
