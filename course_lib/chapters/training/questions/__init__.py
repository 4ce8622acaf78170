"""The questions that close this notebook: how text becomes weights.

Taught in:        training
Checked against:  `course_lib.training`, from which every numeric answer is computed
"""

from course_lib.chapters.training.questions import objective, runs, steps
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    objective.SHIFT,
    objective.FIRST_LOSS,
    objective.PADDING,
    objective.OVERFIT,
    steps.LOOP,
    steps.ADDED_UP,
    steps.FIRST_STEP,
    steps.DECOUPLED,
    steps.RATE,
    steps.CLIP,
    steps.BUG_ACCUMULATE,
    runs.RESUME,
    runs.BFLOAT16,
    runs.CLIFF,
    runs.EXPONENT,
    runs.BUDGET,
)
