"""`course check`: how a learner's exercises stand, and two checks for authors."""

from collections.abc import Sequence
from pathlib import Path

from course_lib import SYLLABUS, Notebook, find_notebook


def check_own(names: Sequence[str] = ()) -> int:
    """Run the named notebooks of a learner, or all; return 1 if an exercise is wrong, else 0."""
    wrong = [name for name in names or [each.slug for each in SYLLABUS] if _is_wrong(name)]
    return int(bool(wrong))


def check_on(device: str, names: Sequence[str] = ()) -> int:
    """Replay the stored notebooks on a device; return 1 if outputs differ, else 0."""
    from course_lib.authoring.device_replay import replay_on

    return int(replay_on(device, names) > 0)


def check_bank() -> int:
    """Prove that each exercise accepts right answers and names wrong ones; return 0 if so."""
    from course_lib.study.chapter_parts import all_exercises
    from course_lib.study.check.bank_proof import bank_report

    table, problems = bank_report(all_exercises())
    print(table)
    print("\n".join(["", *problems] if problems else ["", "Every claim holds."]))
    return int(bool(problems))


def _is_wrong(name: str) -> bool:
    """Run a learner's notebook, tell how its exercises stand, and return whether one is wrong."""
    from course_lib.study.chapter_parts import find_exercise
    from course_lib.study.outcomes import Outcome

    notebook = find_notebook(name.partition(".")[0])
    exercise = find_exercise(name).id if "." in name else None
    copy = _own_copy(notebook)
    print(f"{notebook.stem}: running your copy", flush=True)
    from course_lib.authoring.replay import exercise_outcomes  # takes a second, so words come first

    outcomes = exercise_outcomes(copy)
    if exercise is not None and exercise not in outcomes:
        raise ValueError(f"Your copy of {notebook.stem} has no cell with {exercise!r} any more.")
    shown = {each: it for each, it in outcomes.items() if exercise in (None, each)}
    for each, outcome in shown.items():
        print(f"  {each:<36} {outcome}")
    return any(it not in (Outcome.PASSED, Outcome.NOT_ATTEMPTED) for it in shown.values())


def _own_copy(notebook: Notebook) -> Path:
    from course_lib.study.files.workspace import workspace_path

    path = workspace_path() / f"{notebook.stem}.ipynb"
    if not path.exists():
        raise ValueError(f"You have no copy of {notebook.stem} yet; `course lab` makes it.")
    return path
