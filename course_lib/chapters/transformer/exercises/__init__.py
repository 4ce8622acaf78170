"""The exercises of 08 transformer, in the notebook's order."""

from course_lib.chapters.transformer.exercises.block import BLOCK
from course_lib.chapters.transformer.exercises.forward import FORWARD
from course_lib.chapters.transformer.exercises.layouts import FUSED
from course_lib.chapters.transformer.exercises.loading import HEAD, MISFITS
from course_lib.chapters.transformer.exercises.looking import CONTRIBUTIONS, FAMILY_MASK
from course_lib.chapters.transformer.exercises.positions import POSITIONS
from course_lib.chapters.transformer.exercises.writing import GREEDY

EXERCISES = (
    BLOCK,
    FORWARD,
    POSITIONS,
    HEAD,
    MISFITS,
    FUSED,
    GREEDY,
    CONTRIBUTIONS,
    FAMILY_MASK,
)
