"""The questions that close this notebook: parameters, FLOPs, bytes, and what they allow.

Taught in:        parameter_counting
Checked against:  `course_lib.accounting`, which computes every numeric answer
"""

from course_lib.chapters.parameter_counting.questions import limits, parameters, work
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    parameters.ATTENTION,
    parameters.MODEL,
    parameters.UNTIED,
    parameters.WHAT_COUNTS,
    parameters.BUG_COUNT,
    parameters.MORE_EXPERTS,
    work.TOKEN,
    work.DAYS,
    work.WEIGHTS,
    work.CACHE,
    work.TRAINING_STATE,
    work.CHECKPOINTING,
    limits.WAITING,
    limits.DECODE,
    limits.LARGER_BATCH,
    limits.RIDGE,
    limits.FITS,
    limits.STEPS,
    limits.BUG_DECODE,
)
