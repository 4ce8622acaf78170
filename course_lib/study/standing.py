"""Where the learner stands: what has been recorded, counted for each notebook of the course."""

from course_lib import SYLLABUS
from course_lib.study.bank import questions, slugs
from course_lib.study.declaration import all_exercises
from course_lib.study.progress import Summary, store, summary
from course_lib.study.repetition import what_to_repeat


def standing() -> dict[str, Summary]:
    """Return for each notebook how many of its exercises and questions are done."""
    asked = [each.id for slug in slugs() for each in questions(slug)]
    return summary(store(), [each.id for each in all_exercises()], asked)


def solved() -> dict[str, tuple[int, int]]:
    """Return for each notebook its exercises as (passed, known)."""
    return {slug: (row.exercises_passed, row.exercises_known) for slug, row in standing().items()}


def standing_table() -> str:
    """Return what is done in each notebook, as lines to print, and what to repeat."""
    done = standing()
    lines = [f"{'notebook':<28}{'exercises':>12}{'questions':>12}"]
    for notebook in SYLLABUS:
        row = done.get(notebook.slug)
        if row is not None:
            exercises = f"{row.exercises_passed} of {row.exercises_known}"
            questions = f"{row.questions_right} of {row.questions_known}"
            lines.append(f"{notebook.stem:<28}{exercises:>12}{questions:>12}")
    return "\n".join([*lines, "", *what_to_repeat(store()).lines()])
