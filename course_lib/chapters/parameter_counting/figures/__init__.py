"""The figures of this chapter: where parameters are, what fits, and how fast it can be.

Taught in:        parameter_counting
Checked against:  course_lib.accounting, read back from the figures
"""

from course_lib.chapters.parameter_counting.figures.cache import cache_growth
from course_lib.chapters.parameter_counting.figures.fit import will_it_fit
from course_lib.chapters.parameter_counting.figures.icicle import icicle
from course_lib.chapters.parameter_counting.figures.roof import roofline
from course_lib.chapters.parameter_counting.figures.shares import flop_shares
from course_lib.chapters.parameter_counting.figures.training import training_bytes

__all__ = ["cache_growth", "flop_shares", "icicle", "roofline", "training_bytes", "will_it_fit"]
