"""The pictures of chapter 11: the objective, one step, a whole run, and laws of scaling.

Taught in:        11 training
Checked against:  course_lib.training for the same numbers, read back from the drawn shapes
"""

from course_lib.study.figures.training.objective import first_losses, one_batch, shift
from course_lib.study.figures.training.runs import live, phase_change, precision
from course_lib.study.figures.training.scaling import best_size, scaling
from course_lib.study.figures.training.steps import bias_correction, clipping, schedule, valley

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
    "valley",
]
