"""The quiz of this notebook: positions, rotations, layouts, longer texts.

Taught in:        rope
Checked against:  `course_lib.positions` and `course_lib.rope`, which compute every numeric answer
"""

from course_lib.chapters.rope.questions import positions, rotation, scaling
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    positions.BLIND,
    positions.BEYOND,
    positions.SLOPE,
    positions.SYMMETRIC,
    rotation.SHIFTED,
    rotation.SCORE,
    rotation.PROPERTIES,
    rotation.VALUES,
    rotation.ORDER,
    rotation.BUG_MATRIX,
    rotation.BUG_LAYOUT,
    rotation.MIXED,
    scaling.WAVELENGTH,
    scaling.NTK,
    scaling.QWEN,
    scaling.INTERPOLATION,
    scaling.WINDOW,
    scaling.DECAY,
)
