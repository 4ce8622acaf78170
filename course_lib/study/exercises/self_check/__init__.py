"""The three coding tasks of 13 self_check: written from memory, checked as in their chapters."""

from course_lib.study.exercises.self_check.attention import ATTENTION
from course_lib.study.exercises.self_check.rope import ROPE
from course_lib.study.exercises.self_check.writing import CONTINUE

EXERCISES = (ATTENTION, ROPE, CONTINUE)
