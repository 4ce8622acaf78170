"""The figures of this chapter: blocks, families, faults, the stream, and ablated models.

Taught in:        transformer
Checked against:  course_lib.model, course_lib.families and the chapter's `layer_diff`
"""

from course_lib.chapters.transformer.figures.blocks import block_arrangements
from course_lib.chapters.transformer.figures.faults import divergence
from course_lib.chapters.transformer.figures.kinds import OBJECTIVES, family
from course_lib.chapters.transformer.figures.stream import lens, residual_norms, stream_and_lens
from course_lib.chapters.transformer.figures.without import (
    ablation,
    head_effects,
    part_effects,
    spoken,
)

__all__ = [
    "OBJECTIVES",
    "ablation",
    "block_arrangements",
    "divergence",
    "family",
    "head_effects",
    "lens",
    "part_effects",
    "residual_norms",
    "spoken",
    "stream_and_lens",
]
