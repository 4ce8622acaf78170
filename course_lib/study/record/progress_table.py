"""What has been recorded for each notebook, as lines for a terminal."""

from course_lib.study.record.evidence import chapters
from course_lib.study.record.progress import Store
from course_lib.study.record.repetition import what_to_repeat


def progress_table(results: Store) -> str:
    """Return what is done in each notebook, as lines to print, and what to repeat."""
    lines = [f"{'notebook':<28}{'exercises':>12}{'questions':>12}"]
    lines += [
        f"{each.notebook.stem:<28}{each.evidence.exercises!s:>12}{each.evidence.questions!s:>12}"
        for each in chapters(results)
    ]
    return "\n".join([*lines, "", *what_to_repeat(results).lines()])
