"""The exercises of 05 attention, in the notebook's order."""

from course_lib.study.exercises.attention.cache import CACHED_STEP
from course_lib.study.exercises.attention.heads import MERGE, SPLIT
from course_lib.study.exercises.attention.induction import INDUCTION
from course_lib.study.exercises.attention.masks import CAUSAL, PADDING
from course_lib.study.exercises.attention.sharing import GROUPED
from course_lib.study.exercises.attention.weighted_mean import SCALED_DOT_PRODUCT

EXERCISES = (
    SCALED_DOT_PRODUCT,
    CAUSAL,
    PADDING,
    SPLIT,
    MERGE,
    GROUPED,
    CACHED_STEP,
    INDUCTION,
)
