"""The exercises of 10 flash_attention, in the notebook's order."""

from course_lib.chapters.flash_attention.exercises.backward_tile import BACKWARD_TILE
from course_lib.chapters.flash_attention.exercises.ends import FINISH, JOIN
from course_lib.chapters.flash_attention.exercises.leg import LEG
from course_lib.chapters.flash_attention.exercises.query_block import QUERY_BLOCK
from course_lib.chapters.flash_attention.exercises.traffic import STANDARD_BYTES, TILED_BYTES
from course_lib.chapters.flash_attention.exercises.update import UPDATE
from course_lib.chapters.flash_attention.exercises.walk import TILED

EXERCISES = (
    STANDARD_BYTES,
    UPDATE,
    FINISH,
    TILED,
    TILED_BYTES,
    QUERY_BLOCK,
    BACKWARD_TILE,
    JOIN,
    LEG,
)
