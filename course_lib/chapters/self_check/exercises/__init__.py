"""The three coding tasks of 13 self_check: written from memory, checked as in their chapters."""

from course_lib.chapters.self_check.exercises.attention import ATTENTION
from course_lib.chapters.self_check.exercises.rope import ROPE
from course_lib.chapters.self_check.exercises.writing import CONTINUE

EXERCISES = (ATTENTION, ROPE, CONTINUE)
