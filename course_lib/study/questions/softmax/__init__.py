"""The questions that close notebook 04: how scores become a distribution, and how that goes wrong.

Taught in:        04 softmax
Checked against:  `course_lib.softmax`, from which every numeric answer is computed
"""

from course_lib.study.question import Question
from course_lib.study.questions.softmax import distribution, online, precision

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
