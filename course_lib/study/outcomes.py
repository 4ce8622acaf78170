"""The outcomes of an exercise: one vocabulary for feedback, for the record and for replays."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of checking a function."""

    PASSED = "passed"
    NOT_ATTEMPTED = "not attempted"
    RAISED = "your code raised"
    NOT_YET = "not yet"
    NOTICE = "notice"
