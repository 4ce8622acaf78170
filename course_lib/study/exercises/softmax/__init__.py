"""The exercises of 04 softmax, in the notebook's order."""

from course_lib.study.exercises.softmax.loss import CROSS_ENTROPY, GRADIENT
from course_lib.study.exercises.softmax.online import MERGE, ONLINE
from course_lib.study.exercises.softmax.rows import LOG, MASKED, STABLE, TEMPERATURE

EXERCISES = (STABLE, LOG, MASKED, TEMPERATURE, CROSS_ENTROPY, GRADIENT, ONLINE, MERGE)
