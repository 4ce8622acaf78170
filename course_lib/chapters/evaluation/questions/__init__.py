"""The questions that close this notebook.

Taught in:        evaluation
Checked against:  `course_lib.evaluation`, from which the numeric answers are computed
"""

from course_lib.chapters.evaluation.questions.metrics import METRICS
from course_lib.chapters.evaluation.questions.safety import SAFETY

QUESTIONS = (*METRICS, *SAFETY)
