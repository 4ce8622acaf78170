"""What lies on the learner's desk: the names that every notebook imports."""

from course_lib.study import explorers, figures
from course_lib.study.dashboard import checklist, dashboard
from course_lib.study.exercise import exercise, hint
from course_lib.study.missing import watch_for_missing_packages
from course_lib.study.plotting import show
from course_lib.study.quiz import due_quiz, mixed_quiz, quiz
from course_lib.study.reveal import reveal
from course_lib.study.shown import rounded

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

watch_for_missing_packages()
