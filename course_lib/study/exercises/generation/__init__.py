"""The exercises of 12 generation, in the notebook's order."""

from course_lib.study.exercises.generation.cache import CACHE, POSITIONS
from course_lib.study.exercises.generation.drafts import ACCEPT, RESIDUAL
from course_lib.study.exercises.generation.drawing import DISTRIBUTION, DRAW
from course_lib.study.exercises.generation.filters import TOP_K, TOP_P
from course_lib.study.exercises.generation.shares import MIN_P, PENALTY

EXERCISES = (
    DRAW,
    TOP_K,
    TOP_P,
    MIN_P,
    DISTRIBUTION,
    PENALTY,
    CACHE,
    POSITIONS,
    ACCEPT,
    RESIDUAL,
)
