"""The exercises of 04 softmax, in the notebook's order."""

from course_lib.chapters.softmax.exercises.backward import BACKWARD
from course_lib.chapters.softmax.exercises.chunked import CHUNKED
from course_lib.chapters.softmax.exercises.loss import CROSS_ENTROPY, GRADIENT
from course_lib.chapters.softmax.exercises.masked import MASKED, TEMPERATURE
from course_lib.chapters.softmax.exercises.merge import MERGE
from course_lib.chapters.softmax.exercises.online import ONLINE
from course_lib.chapters.softmax.exercises.rows import LOG, STABLE

EXERCISES = (
    STABLE,
    LOG,
    MASKED,
    TEMPERATURE,
    BACKWARD,
    CROSS_ENTROPY,
    GRADIENT,
    ONLINE,
    MERGE,
    CHUNKED,
)
