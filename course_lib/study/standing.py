"""Where the learner stands: what has been recorded, counted for each notebook of the course."""

from course_lib.study.bank import questions, slugs
from course_lib.study.declaration import all_exercises
from course_lib.study.progress import Summary, store, summary


def standing() -> dict[str, Summary]:
    """Return for each notebook how many of its exercises and questions are done."""
    asked = [each.id for slug in slugs() for each in questions(slug)]
    return summary(store(), [each.id for each in all_exercises()], asked)


def solved() -> dict[str, tuple[int, int]]:
    """Return for each notebook its exercises as (passed, known)."""
    return {slug: (row.exercises_passed, row.exercises_known) for slug, row in standing().items()}
