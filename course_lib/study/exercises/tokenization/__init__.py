"""The exercises of 01 tokenization, in the notebook's order."""

from course_lib.study.exercises.tokenization.byte_bpe import DECODE, ENCODE
from course_lib.study.exercises.tokenization.counting import COUNT_PAIRS
from course_lib.study.exercises.tokenization.expectation import EXPECTED_COUNTS
from course_lib.study.exercises.tokenization.merges import MERGE
from course_lib.study.exercises.tokenization.special import CHATML, SPLIT
from course_lib.study.exercises.tokenization.unigram import VITERBI
from course_lib.study.exercises.tokenization.wordpiece import WORDPIECE

EXERCISES = (
    COUNT_PAIRS,
    MERGE,
    ENCODE,
    DECODE,
    WORDPIECE,
    VITERBI,
    EXPECTED_COUNTS,
    SPLIT,
    CHATML,
)
