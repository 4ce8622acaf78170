"""The exercises of 02 language models, in the notebook's order."""

from course_lib.chapters.language_models.exercises.coding import NARROW
from course_lib.chapters.language_models.exercises.counting import ADD_K, COUNT
from course_lib.chapters.language_models.exercises.information import ENTROPY, KL
from course_lib.chapters.language_models.exercises.kneser_ney import CONTINUATION, DISCOUNTED
from course_lib.chapters.language_models.exercises.prediction import BITS_PER_BYTE, CROSS_ENTROPY
from course_lib.chapters.language_models.exercises.tasks import MASKED, PREFIX

EXERCISES = (
    MASKED,
    COUNT,
    ADD_K,
    DISCOUNTED,
    CONTINUATION,
    ENTROPY,
    CROSS_ENTROPY,
    KL,
    BITS_PER_BYTE,
    NARROW,
    PREFIX,
)
