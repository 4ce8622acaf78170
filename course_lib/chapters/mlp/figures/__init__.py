"""The figures of this chapter: activations, gates, a layer as memory, experts and their size.

Taught in:        mlp
Checked against:  course_lib.mlp, course_lib.experts and torch.nn.functional for the same numbers
"""

from course_lib.chapters.mlp.figures.activations import (
    activation,
    dead_units,
    gate_surface,
    gelu_forms,
)
from course_lib.chapters.mlp.figures.experts import capacity, expert_loads, expert_sizes
from course_lib.chapters.mlp.figures.gates import gates_by_layer, units_at_work
from course_lib.chapters.mlp.figures.layers import (
    block_shares,
    memory,
    variants,
    variants_in_time,
)

__all__ = [
    "activation",
    "block_shares",
    "capacity",
    "dead_units",
    "expert_loads",
    "expert_sizes",
    "gate_surface",
    "gates_by_layer",
    "gelu_forms",
    "memory",
    "units_at_work",
    "variants",
    "variants_in_time",
]
