"""The names that notebooks imported from here before `course_lib.study` itself offered them.

A learner's edited cell with the old import keeps working; new text imports `course_lib.study`.
"""

from course_lib.study import (
    checklist,
    dashboard,
    due_quiz,
    exercise,
    explorers,
    figures,
    hint,
    mixed_quiz,
    quiz,
    reveal,
    rounded,
    show,
)

__all__ = [
    "checklist",
    "dashboard",
    "due_quiz",
    "exercise",
    "explorers",
    "figures",
    "hint",
    "mixed_quiz",
    "quiz",
    "reveal",
    "rounded",
    "show",
]
