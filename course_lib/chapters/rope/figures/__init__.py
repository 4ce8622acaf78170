"""The figures of this chapter: tables, biases, clocks, planes, and measurements of models.

Taught in:        rope
Checked against:  the course's own functions and trained models, read back from the drawn shapes
"""

from course_lib.chapters.rope.figures.biases import alibi, reach
from course_lib.chapters.rope.figures.distance import decay
from course_lib.chapters.rope.figures.longer import long_text
from course_lib.chapters.rope.figures.measured import context_extension, method_comparison
from course_lib.chapters.rope.figures.planes import slowdown, wavelength_map
from course_lib.chapters.rope.figures.rotation import clocks, plane_matrix, rotation_or_not
from course_lib.chapters.rope.figures.tables import position_table, share_by_distance, similarities

__all__ = [
    "alibi",
    "clocks",
    "context_extension",
    "decay",
    "long_text",
    "method_comparison",
    "plane_matrix",
    "position_table",
    "reach",
    "rotation_or_not",
    "share_by_distance",
    "similarities",
    "slowdown",
    "wavelength_map",
]
