"""The questions that close this notebook: how probabilities become text, and what that costs.

Taught in:        generation
Checked against:  `course_lib.generation`, from which numeric answers and repairs are computed
"""

from course_lib.chapters.generation.questions import choosing, drafting, writing
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    choosing.GREEDY,
    choosing.TIES,
    choosing.NUCLEUS,
    choosing.ORDER,
    choosing.MIN_P,
    choosing.BUG_PENALTY,
    choosing.LENGTH,
    writing.RECOMPUTED,
    writing.SAVED,
    writing.BANDWIDTH,
    writing.LEFT,
    writing.STOP_STRING,
    drafting.ROUND,
    drafting.ACCEPTANCE,
    drafting.BUG_RESIDUAL,
    drafting.GAIN,
)
