"""The exercises of 06 rope, in the notebook's order."""

from course_lib.chapters.rope.exercises.batches import BATCH
from course_lib.chapters.rope.exercises.biases import ALIBI_BIAS, ALIBI_SLOPES
from course_lib.chapters.rope.exercises.layouts import CONVERT
from course_lib.chapters.rope.exercises.rotations import HALVES, NEIGHBOURS
from course_lib.chapters.rope.exercises.stretched import LLAMA3, NTK_BASE
from course_lib.chapters.rope.exercises.waves import ANGLES, SINUSOIDAL

EXERCISES = (
    SINUSOIDAL,
    ALIBI_SLOPES,
    ALIBI_BIAS,
    ANGLES,
    HALVES,
    NEIGHBOURS,
    CONVERT,
    BATCH,
    NTK_BASE,
    LLAMA3,
)
