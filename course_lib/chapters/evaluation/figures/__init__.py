"""The pictures of this chapter: data in, `Figure` out.

Taught in:        evaluation
Checked against:  the library's numbers, read back from the figures
"""

from course_lib.chapters.evaluation.figures.curves import exposures, roc, z_growth
from course_lib.chapters.evaluation.figures.scores import bleu_terms, calibration, ratings

__all__ = ["bleu_terms", "calibration", "exposures", "ratings", "roc", "z_growth"]
