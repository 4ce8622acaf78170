"""The exercises of this chapter, in the order of the notebook."""

from course_lib.chapters.serving.exercises.allocator import WRITE
from course_lib.chapters.serving.exercises.attention import READ
from course_lib.chapters.serving.exercises.drafts import DRAFT
from course_lib.chapters.serving.exercises.masks import ALLOWED
from course_lib.chapters.serving.exercises.memory import BLOCKS, REQUESTS
from course_lib.chapters.serving.exercises.preemption import PREEMPTED
from course_lib.chapters.serving.exercises.prefixes import REUSABLE
from course_lib.chapters.serving.exercises.speed import RATE
from course_lib.chapters.serving.exercises.steps import SHARES

EXERCISES = (
    RATE,
    BLOCKS,
    REQUESTS,
    WRITE,
    READ,
    REUSABLE,
    SHARES,
    PREEMPTED,
    DRAFT,
    ALLOWED,
)
