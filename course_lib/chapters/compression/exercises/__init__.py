"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.compression.exercises.absmax import ABSMAX
from course_lib.chapters.compression.exercises.distil import DISTIL
from course_lib.chapters.compression.exercises.gptq import GPTQ_STEP
from course_lib.chapters.compression.exercises.groups import GROUPS
from course_lib.chapters.compression.exercises.masks import TWO_FOUR, WANDA
from course_lib.chapters.compression.exercises.smooth import SMOOTH
from course_lib.chapters.compression.exercises.straight import STRAIGHT
from course_lib.chapters.compression.exercises.table import TABLE
from course_lib.chapters.compression.exercises.zero_point import ZERO_POINT

EXERCISES = (
    ABSMAX,
    ZERO_POINT,
    GROUPS,
    TABLE,
    SMOOTH,
    GPTQ_STEP,
    WANDA,
    TWO_FOUR,
    STRAIGHT,
    DISTIL,
)
