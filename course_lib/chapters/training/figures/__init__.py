"""The pictures of this chapter: the objective, one step, whole runs, sweeps, scaling laws.

Taught in:        training
Checked against:  course_lib.training for the same numbers, read back from the drawn shapes
"""

from course_lib.chapters.training.figures.objective import first_losses, one_batch, shift
from course_lib.chapters.training.figures.runs import live, phase_change, precision
from course_lib.chapters.training.figures.scaling import best_size, scaling
from course_lib.chapters.training.figures.steps import bias_correction, clipping, schedule, valley
from course_lib.chapters.training.figures.sweeps import sweep

__all__ = [
    "best_size",
    "bias_correction",
    "clipping",
    "first_losses",
    "live",
    "one_batch",
    "phase_change",
    "precision",
    "scaling",
    "schedule",
    "shift",
    "sweep",
    "valley",
]
