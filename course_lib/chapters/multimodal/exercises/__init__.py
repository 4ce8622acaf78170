"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.multimodal.exercises.contrast import CLIP_LOSS, ZERO_SHOT
from course_lib.chapters.multimodal.exercises.language import EXPAND, LEARNING, MROPE
from course_lib.chapters.multimodal.exercises.patches import EMBEDDING, PATCHIFY
from course_lib.chapters.multimodal.exercises.visual_tokens import SHUFFLE, SPLICE, TOKENS

EXERCISES = (
    PATCHIFY,
    EMBEDDING,
    CLIP_LOSS,
    ZERO_SHOT,
    SHUFFLE,
    SPLICE,
    EXPAND,
    LEARNING,
    TOKENS,
    MROPE,
)
