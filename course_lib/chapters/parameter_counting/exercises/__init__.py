"""The exercises of 09 parameter_counting, in the order of the notebook."""

from course_lib.chapters.parameter_counting.exercises.activations import ACTIVATIONS
from course_lib.chapters.parameter_counting.exercises.cache import CACHE
from course_lib.chapters.parameter_counting.exercises.layers import ATTENTION, MLP
from course_lib.chapters.parameter_counting.exercises.limits import DECODE, ROOFLINE
from course_lib.chapters.parameter_counting.exercises.mixtures import ACTIVE
from course_lib.chapters.parameter_counting.exercises.models import MODEL
from course_lib.chapters.parameter_counting.exercises.steps import STEP_BYTES
from course_lib.chapters.parameter_counting.exercises.utilisation import MFU
from course_lib.chapters.parameter_counting.exercises.work import TOKEN_FLOPS, TRAINING_FLOPS

EXERCISES = (
    ATTENTION,
    MLP,
    MODEL,
    ACTIVE,
    TOKEN_FLOPS,
    TRAINING_FLOPS,
    MFU,
    CACHE,
    ACTIVATIONS,
    ROOFLINE,
    STEP_BYTES,
    DECODE,
)
