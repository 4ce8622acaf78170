"""The exercises of 01 tokenization, in the notebook's order."""

from course_lib.chapters.tokenization.exercises.byte_bpe import ENCODE
from course_lib.chapters.tokenization.exercises.changes import COUNT_CHANGES
from course_lib.chapters.tokenization.exercises.conversation import CHATML
from course_lib.chapters.tokenization.exercises.counting import COUNT_PAIRS
from course_lib.chapters.tokenization.exercises.decoding import DECODE
from course_lib.chapters.tokenization.exercises.expectation import EXPECTED_COUNTS
from course_lib.chapters.tokenization.exercises.merges import MERGE
from course_lib.chapters.tokenization.exercises.special import SPLIT
from course_lib.chapters.tokenization.exercises.streaming import STREAM_DECODE
from course_lib.chapters.tokenization.exercises.training import TRAIN_BPE
from course_lib.chapters.tokenization.exercises.unigram import VITERBI
from course_lib.chapters.tokenization.exercises.wordpiece import WORDPIECE

EXERCISES = (
    COUNT_PAIRS,
    MERGE,
    TRAIN_BPE,
    ENCODE,
    DECODE,
    STREAM_DECODE,
    WORDPIECE,
    VITERBI,
    SPLIT,
    CHATML,
    COUNT_CHANGES,
    EXPECTED_COUNTS,
)
