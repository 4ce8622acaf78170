"""The exercises of 09 parameter_counting, in the notebook's order."""

from course_lib.study.exercises.parameter_counting.layers import ATTENTION, MLP
from course_lib.study.exercises.parameter_counting.limits import DECODE, ROOFLINE
from course_lib.study.exercises.parameter_counting.mixtures import ACTIVE
from course_lib.study.exercises.parameter_counting.models import MODEL
from course_lib.study.exercises.parameter_counting.work import CACHE, TOKEN_FLOPS, TRAINING_FLOPS

EXERCISES = (
    ATTENTION,
    MLP,
    MODEL,
    ACTIVE,
    TOKEN_FLOPS,
    TRAINING_FLOPS,
    CACHE,
    ROOFLINE,
    DECODE,
)
