"""The figures of this chapter: the clip, a group, samples against compute, runs that learn.

Taught in:        rewards
Checked against:  the library's own functions, read back from the figures
"""

from course_lib.chapters.rewards.figures.learning import hacking, seeds, training_run
from course_lib.chapters.rewards.figures.objective import METHODS, clip, group
from course_lib.chapters.rewards.figures.samples import compute, scaling

__all__ = ["METHODS", "clip", "compute", "group", "hacking", "scaling", "seeds", "training_run"]
