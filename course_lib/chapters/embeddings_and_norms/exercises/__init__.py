"""The exercises of 03 embeddings_and_norms, in the notebook's order."""

from course_lib.chapters.embeddings_and_norms.exercises.backward import RMS_NORM_BACKWARD
from course_lib.chapters.embeddings_and_norms.exercises.blocks import BATCH_STATISTICS, PRE_NORM
from course_lib.chapters.embeddings_and_norms.exercises.layer_norm import LAYER_NORM
from course_lib.chapters.embeddings_and_norms.exercises.rms_norm import RMS_NORM
from course_lib.chapters.embeddings_and_norms.exercises.tables import EMBED, TIED_LOGITS

EXERCISES = (
    EMBED,
    TIED_LOGITS,
    LAYER_NORM,
    RMS_NORM,
    RMS_NORM_BACKWARD,
    BATCH_STATISTICS,
    PRE_NORM,
)
