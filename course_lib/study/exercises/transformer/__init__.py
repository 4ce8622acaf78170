"""The exercises of 08 transformer, in the notebook's order."""

from course_lib.study.exercises.transformer.layouts import FUSED
from course_lib.study.exercises.transformer.loading import HEAD, MISFITS
from course_lib.study.exercises.transformer.looking import CONTRIBUTIONS, FAMILY_MASK
from course_lib.study.exercises.transformer.steps import BLOCK, FORWARD
from course_lib.study.exercises.transformer.writing import GREEDY, POSITIONS

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
