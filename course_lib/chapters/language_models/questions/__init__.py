"""The questions that close this notebook: prediction, counting, information, codes.

Taught in:        language_models
Checked against:  `course_lib.ngrams` and `course_lib.information`, which compute every answer
"""

from course_lib.chapters.language_models.questions import codes, counting, information
from course_lib.study.ask.question import Question

QUESTIONS: tuple[Question, ...] = (
    counting.CHAIN_RULE,
    counting.TASKS,
    counting.ADD_K,
    counting.CONTINUATION,
    counting.BUG_SMOOTHING,
    information.COIN,
    information.CROSS_ENTROPY,
    information.KL,
    information.BITS_PER_BYTE,
    codes.HUFFMAN,
    codes.CODER_STEPS,
    codes.INTERVAL,
    codes.CAPACITY,
    codes.ABOVE_CAPACITY,
    codes.BUG_ENCODER,
)
