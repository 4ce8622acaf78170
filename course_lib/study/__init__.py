"""The classroom: the engine that displays, asks, checks and records; it contains no chapter.

A notebook imports these names; each is loaded on first use, so that one part
of the classroom can be used without loading the others.

    from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, show

    display     how things look: house style, explorers, tables, the static form for saved files
    record      what is recorded: progress, evidence, repetition, dashboard, report
    check       exercises: specification, decorator, sandbox, diagnosis, feedback, proof of the bank
    ask         questions: kinds, grading, cards, terminal, quiz
    files       the learner's copy of the notebooks: workspace, three-way merge, doctor
    teaching    what a teacher uses: a hub for a class, and a report on records that were handed in
    exhibits    what several chapters show with the course's own model
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from course_lib.study.chapter_parts import ChapterParts

if TYPE_CHECKING:
    from course_lib.study.ask.quiz import due_quiz, mixed_quiz, quiz
    from course_lib.study.check.decorator import exercise, hint
    from course_lib.study.check.reveal import reveal
    from course_lib.study.display.plotting import show
    from course_lib.study.display.short_repr import rounded
    from course_lib.study.files.workspace import shown_places
    from course_lib.study.record.dashboard import checklist, dashboard
    from course_lib.study.record.evidence import solved

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
    "shown_places",
    "solved",
]

_HOMES = {
    "checklist": "record.dashboard",
    "dashboard": "record.dashboard",
    "due_quiz": "ask.quiz",
    "exercise": "check.decorator",
    "hint": "check.decorator",
    "mixed_quiz": "ask.quiz",
    "quiz": "ask.quiz",
    "reveal": "check.reveal",
    "rounded": "display.short_repr",
    "show": "display.plotting",
    "shown_places": "files.workspace",
    "solved": "record.evidence",
}

explorers = ChapterParts("explorers")
figures = ChapterParts("figures")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


def _prepare_kernel() -> None:
    """In a notebook, leave a core to the browser and whatever else runs; elsewhere do nothing."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and hasattr(ipython.get_ipython(), "kernel"):
        from course_lib.device import leave_a_core

        leave_a_core()


_prepare_kernel()
