"""The pictures of this chapter: tables, biases, clocks, planes, and what trained models do.

Taught in:        rope
Checked against:  the course's own functions and trained models, read back from the drawn shapes
"""

from course_lib.chapters.rope.figures.biases import alibi, reach
from course_lib.chapters.rope.figures.distance import decay
from course_lib.chapters.rope.figures.longer import long_text, stretches
from course_lib.chapters.rope.figures.measured import context_extension, method_comparison
from course_lib.chapters.rope.figures.planes import (
    larger_base,
    rope_request,
    slowdown,
    wavelength_map,
)
from course_lib.chapters.rope.figures.tables import position_table, share_by_distance, similarities
from course_lib.chapters.rope.figures.turning import clocks, plane_matrix, rotation_or_not

__all__ = [
    "alibi",
    "clocks",
    "context_extension",
    "decay",
    "larger_base",
    "long_text",
    "method_comparison",
    "plane_matrix",
    "position_table",
    "reach",
    "rope_request",
    "rotation_or_not",
    "share_by_distance",
    "similarities",
    "slowdown",
    "stretches",
    "wavelength_map",
]
