"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.multimodal.exercises.budget import TOKENS
from course_lib.chapters.multimodal.exercises.contrast import CLIP_LOSS, ZERO_SHOT
from course_lib.chapters.multimodal.exercises.language import EXPAND, LEARNING
from course_lib.chapters.multimodal.exercises.patches import EMBEDDING, PATCHIFY
from course_lib.chapters.multimodal.exercises.positions import MROPE
from course_lib.chapters.multimodal.exercises.visual_tokens import SHUFFLE, SPLICE

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
