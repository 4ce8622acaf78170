"""The pictures of this chapter: the walk over the tiles, traffic, the roofline, measurements.

Taught in:        flash_attention
Checked against:  counted runs, closed formulas and stored measurements
"""

from course_lib.chapters.flash_attention.figures.measured import curves, throughput
from course_lib.chapters.flash_attention.figures.tiling import (
    Animation,
    tiling,
    tiling_animation,
)
from course_lib.chapters.flash_attention.figures.traffic import fast_memory, roofline_points

__all__ = [
    "Animation",
    "curves",
    "fast_memory",
    "roofline_points",
    "throughput",
    "tiling",
    "tiling_animation",
]
