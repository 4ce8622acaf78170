"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.mlp.exercises.activations import GELU_EXACT, GELU_TANH, SILU
from course_lib.chapters.mlp.exercises.balancing import BALANCING
from course_lib.chapters.mlp.exercises.dead_units import DEAD
from course_lib.chapters.mlp.exercises.layers import GATED, MEMORY
from course_lib.chapters.mlp.exercises.matched_width import MATCHED
from course_lib.chapters.mlp.exercises.mixture import BIAS_STEP, MOE_FORWARD
from course_lib.chapters.mlp.exercises.routing import PARAMETERS, ROUTE

EXERCISES = (
    GELU_EXACT,
    GELU_TANH,
    SILU,
    DEAD,
    GATED,
    MATCHED,
    MEMORY,
    ROUTE,
    MOE_FORWARD,
    BALANCING,
    BIAS_STEP,
    PARAMETERS,
)
