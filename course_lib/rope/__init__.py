"""Rotary position embedding, RoPE: positions as angles.

Three small files, in the order of the notebook: `rotation` (angles, the two layouts and the
conversion between them), `scaling` (slower planes for longer texts), `parameters` (what
a checkpoint's config asks for).

Taught in:        rope
"""

from course_lib.rope.parameters import rope_cos_sin, scaled_frequencies
from course_lib.rope.rotation import (
    Layout,
    apply_rope,
    halves_to_neighbours,
    neighbours_to_halves,
    rope_angles,
    rope_frequencies,
    rotate_halves,
    rotate_neighbours,
    turn_to_positions,
)
from course_lib.rope.scaling import (
    dynamic_ntk_base,
    interpolated_frequencies,
    llama3_frequencies,
    longrope_attention_factor,
    longrope_frequencies,
    ntk_aware_base,
    proportional_frequencies,
    yarn_attention_factor,
    yarn_frequencies,
)

__all__ = [
    "Layout",
    "apply_rope",
    "dynamic_ntk_base",
    "halves_to_neighbours",
    "interpolated_frequencies",
    "llama3_frequencies",
    "longrope_attention_factor",
    "longrope_frequencies",
    "neighbours_to_halves",
    "ntk_aware_base",
    "proportional_frequencies",
    "rope_angles",
    "rope_cos_sin",
    "rope_frequencies",
    "rotate_halves",
    "rotate_neighbours",
    "scaled_frequencies",
    "turn_to_positions",
    "yarn_attention_factor",
    "yarn_frequencies",
]
