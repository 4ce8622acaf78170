"""Attention once more, from memory: the exercise of the chapter `attention` with fewer hints."""

from dataclasses import replace

from course_lib.study.chapter_parts import find_exercise

ATTENTION = replace(
    find_exercise("attention.scaled_dot_product"),
    id="self_check.attention",
    title="Attention with a mask, from memory",
    minutes=8,
    hints=(
        "Five steps: scores, scale, mask, softmax, mean. Section 1 of the notebook `attention` has "
        "each of them.",
        "Scores are (…, T, S). Hide before softmax, and think of a row that may read nothing.",
    ),
)
