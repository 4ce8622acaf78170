"""The figures of this chapter: choosing a token, the cache, beam search, speculative decoding.

Taught in:        generation
Checked against:  the library's own functions, read back from the figures
"""

from course_lib.chapters.generation.figures.choosing import nucleus_sizes, penalty_effect, pipeline
from course_lib.chapters.generation.figures.drafting import (
    gain,
    kept_and_missing,
)
from course_lib.chapters.generation.figures.memory import bytes_per_step, cache_growth, cache_states
from course_lib.chapters.generation.figures.searching import beam_paths, beam_tree

__all__ = [
    "beam_paths",
    "beam_tree",
    "bytes_per_step",
    "cache_growth",
    "cache_states",
    "gain",
    "kept_and_missing",
    "nucleus_sizes",
    "penalty_effect",
    "pipeline",
]
