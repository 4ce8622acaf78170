"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.transformer.exercises.block import BLOCK
from course_lib.chapters.transformer.exercises.diagnosing import FAULTS
from course_lib.chapters.transformer.exercises.forward import FORWARD
from course_lib.chapters.transformer.exercises.layouts import FUSED
from course_lib.chapters.transformer.exercises.loading import HEAD, MISFITS
from course_lib.chapters.transformer.exercises.looking import CONTRIBUTIONS, FAMILY_MASK
from course_lib.chapters.transformer.exercises.modules import MODULES
from course_lib.chapters.transformer.exercises.patching import PATCH
from course_lib.chapters.transformer.exercises.positions import POSITIONS
from course_lib.chapters.transformer.exercises.writing import GREEDY

EXERCISES = (
    BLOCK,
    FORWARD,
    POSITIONS,
    HEAD,
    MISFITS,
    FUSED,
    MODULES,
    GREEDY,
    FAULTS,
    CONTRIBUTIONS,
    FAMILY_MASK,
    PATCH,
)
