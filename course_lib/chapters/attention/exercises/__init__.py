"""The exercises of 05 attention, in the notebook's order."""

from course_lib.chapters.attention.exercises.ablation import ABLATION
from course_lib.chapters.attention.exercises.cache import CACHED_STEP
from course_lib.chapters.attention.exercises.heads import MERGE, SPLIT
from course_lib.chapters.attention.exercises.induction import INDUCTION
from course_lib.chapters.attention.exercises.layer import MULTI_HEAD
from course_lib.chapters.attention.exercises.masks import CAUSAL, PADDING
from course_lib.chapters.attention.exercises.sharing import GROUPED
from course_lib.chapters.attention.exercises.weighted_mean import SCALED_DOT_PRODUCT

EXERCISES = (
    SCALED_DOT_PRODUCT,
    CAUSAL,
    PADDING,
    SPLIT,
    MERGE,
    GROUPED,
    MULTI_HEAD,
    CACHED_STEP,
    INDUCTION,
    ABLATION,
)
