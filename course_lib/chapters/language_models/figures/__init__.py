"""The pictures of this chapter: tasks, counts, surprise, codes, a noisy line.

Taught in:        language_models
Checked against:  `course_lib.ngrams` and `course_lib.information`, read back from what is drawn
"""

from course_lib.chapters.language_models.figures.arithmetic import arithmetic_steps
from course_lib.chapters.language_models.figures.channel import capacity_curve, code_errors
from course_lib.chapters.language_models.figures.counting import (
    sampled_text,
    shown_text,
    sparsity_curves,
)
from course_lib.chapters.language_models.figures.entropy import coin, distribution
from course_lib.chapters.language_models.figures.huffman import huffman_tree
from course_lib.chapters.language_models.figures.prediction import divergence, surprise
from course_lib.chapters.language_models.figures.tasks import tasks

__all__ = [
    "arithmetic_steps",
    "capacity_curve",
    "code_errors",
    "coin",
    "distribution",
    "divergence",
    "huffman_tree",
    "sampled_text",
    "shown_text",
    "sparsity_curves",
    "surprise",
    "tasks",
]
