"""The questions that close this notebook: how scores become a distribution, and what goes wrong.

Taught in:        softmax
Checked against:  `course_lib.softmax`, from which every numeric answer is computed
"""

from course_lib.chapters.softmax.questions import distribution, online, precision
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    distribution.SHIFT,
    precision.OVERFLOW,
    precision.HARMLESS,
    precision.FLOAT16,
    precision.BFLOAT16,
    precision.BUG_MAXIMUM,
    precision.MASKED_ROW,
    distribution.TEMPERATURE,
    distribution.COLD,
    distribution.SATURATED,
    distribution.GRADIENT,
    online.ONLINE_STEPS,
    online.MERGE,
    online.ASSOCIATIVE,
    online.BUG_ONLINE,
    online.LOGITS_MEMORY,
)
