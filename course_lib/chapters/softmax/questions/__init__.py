"""The questions that close notebook 04: how scores become a distribution, and how that goes wrong.

Taught in:        04 softmax
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
)
