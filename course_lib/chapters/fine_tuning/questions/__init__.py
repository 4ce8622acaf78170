"""The questions that close this notebook, in its order."""

from course_lib.chapters.fine_tuning.questions.adapters import (
    BOTH_ZERO,
    HALF_THE_TIME,
    MERGED_TWICE,
    NEW_ROLES,
    PREFIX_MEMORY,
    SCALE,
    TRAINED,
)
from course_lib.chapters.fine_tuning.questions.data import (
    BASE_LACKS,
    BUG_LABELS,
    END,
    FIRST_TOKEN,
    PACKED_PAIRS,
    PACKING,
    SEPARATE,
)
from course_lib.chapters.fine_tuning.questions.preferences import (
    BETA,
    BUG_REWARD,
    CHOSEN_FALLS,
    MARGIN_LOSS,
    MASK_PROMPT,
    STEPS,
    WHICH_LOSS,
)

QUESTIONS = (
    END,
    FIRST_TOKEN,
    BUG_LABELS,
    SEPARATE,
    PACKING,
    PACKED_PAIRS,
    BASE_LACKS,
    SCALE,
    BOTH_ZERO,
    TRAINED,
    HALF_THE_TIME,
    MERGED_TWICE,
    NEW_ROLES,
    PREFIX_MEMORY,
    BUG_REWARD,
    MARGIN_LOSS,
    MASK_PROMPT,
    CHOSEN_FALLS,
    BETA,
    STEPS,
    WHICH_LOSS,
)
