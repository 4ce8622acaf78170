"""The exercises of 14 fine_tuning, in the notebook's order."""

from course_lib.chapters.fine_tuning.exercises.labels import LABELS
from course_lib.chapters.fine_tuning.exercises.log_probability import LOG_PROBABILITY
from course_lib.chapters.fine_tuning.exercises.lora import LORA, MERGED, TRAINABLE
from course_lib.chapters.fine_tuning.exercises.packing import MASK, POSITIONS
from course_lib.chapters.fine_tuning.exercises.preferences import BRADLEY_TERRY, DPO
from course_lib.chapters.fine_tuning.exercises.prefix import PREFIX

EXERCISES = (
    LABELS,
    MASK,
    POSITIONS,
    LORA,
    MERGED,
    TRAINABLE,
    PREFIX,
    BRADLEY_TERRY,
    LOG_PROBABILITY,
    DPO,
)
