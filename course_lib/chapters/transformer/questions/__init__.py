"""The quiz of this notebook: steps, loading, looking inside, the three families.

Taught in:        transformer
Checked against:  `course_lib.model`, `checkpoint` and `families`, which compute the numeric answers
"""

from course_lib.chapters.transformer.questions import insides, kinds, loading, steps
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    steps.STEPS,
    steps.BLOCK,
    steps.BUG_BLOCK,
    steps.LAST_NORM,
    steps.POSITION,
    steps.WORK,
    loading.TENSORS,
    loading.FILE_SIZE,
    loading.NOTICED,
    loading.EXTRA,
    loading.COLUMN,
    insides.REPORT,
    insides.LENS,
    insides.CONTRIBUTION,
    insides.SILENT_HEAD,
    kinds.MASK_SIZE,
    kinds.PREDICTIONS,
    kinds.TASKS,
    kinds.DECODER_WON,
)
