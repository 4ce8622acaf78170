"""The exercises of 06 rope, in the notebook's order."""

from course_lib.study.exercises.rope.biases import ALIBI_BIAS, ALIBI_SLOPES
from course_lib.study.exercises.rope.layouts import CONVERT
from course_lib.study.exercises.rope.rotations import HALVES, NEIGHBOURS
from course_lib.study.exercises.rope.stretched import LLAMA3, NTK_BASE
from course_lib.study.exercises.rope.waves import ANGLES, SINUSOIDAL

EXERCISES = (
    SINUSOIDAL,
    ALIBI_SLOPES,
    ALIBI_BIAS,
    ANGLES,
    HALVES,
    NEIGHBOURS,
    CONVERT,
    NTK_BASE,
    LLAMA3,
)
