"""The exercises of 12 generation, in the order of the notebook."""

from course_lib.chapters.generation.exercises.beams import BEAM_STEP
from course_lib.chapters.generation.exercises.cache import CACHE
from course_lib.chapters.generation.exercises.drafts import ACCEPT
from course_lib.chapters.generation.exercises.drawing import DRAW
from course_lib.chapters.generation.exercises.filters import TOP_K
from course_lib.chapters.generation.exercises.loop import LOOP
from course_lib.chapters.generation.exercises.nucleus import TOP_P
from course_lib.chapters.generation.exercises.penalty import PENALTY
from course_lib.chapters.generation.exercises.pipeline import DISTRIBUTION
from course_lib.chapters.generation.exercises.residuals import RESIDUAL
from course_lib.chapters.generation.exercises.rounds import ROUND
from course_lib.chapters.generation.exercises.shares import MIN_P

EXERCISES = (
    DRAW,
    TOP_K,
    TOP_P,
    MIN_P,
    DISTRIBUTION,
    PENALTY,
    BEAM_STEP,
    CACHE,
    LOOP,
    ACCEPT,
    RESIDUAL,
    ROUND,
)
