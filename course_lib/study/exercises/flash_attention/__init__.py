"""The exercises of 10 flash_attention, in the notebook's order."""

from course_lib.study.exercises.flash_attention.ends import FINISH, JOIN
from course_lib.study.exercises.flash_attention.traffic import (
    QUERY_BLOCK,
    STANDARD_BYTES,
    TILED_BYTES,
)
from course_lib.study.exercises.flash_attention.update import UPDATE
from course_lib.study.exercises.flash_attention.walk import TILED

EXERCISES = (STANDARD_BYTES, UPDATE, FINISH, TILED, TILED_BYTES, QUERY_BLOCK, JOIN)
