"""The questions of 10 flash_attention."""

from course_lib.chapters.flash_attention.questions.backward import SCORE_GRADIENT
from course_lib.chapters.flash_attention.questions.running import (
    APPROXIMATE,
    BUG_OUTSIDE,
    BUG_RESCALE,
    JOIN,
    LOGSUMEXP,
    SAVED,
    TILE_STEP,
    TOTAL,
)
from course_lib.chapters.flash_attention.questions.traffic import (
    BOUND,
    CAUSAL_TILES,
    DECODING,
    FAST_MEMORY,
    FLOPS,
    KEYS_READ,
    TABLE,
)

QUESTIONS = (
    BOUND,
    TABLE,
    TOTAL,
    TILE_STEP,
    BUG_OUTSIDE,
    BUG_RESCALE,
    APPROXIMATE,
    FLOPS,
    LOGSUMEXP,
    SAVED,
    SCORE_GRADIENT,
    CAUSAL_TILES,
    KEYS_READ,
    FAST_MEMORY,
    DECODING,
    JOIN,
)
