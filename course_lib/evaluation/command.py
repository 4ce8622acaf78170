"""`course evaluate`: score a checkpoint on a task, and compare it with another one.

    course evaluate FOLDER --task sums                        the metrics with their intervals
    course evaluate FOLDER --task sums --against FOLDER       the difference, item by item
    course evaluate FOLDER --task sums --output result.json   where the result is kept
    course evaluate --repeat result.json                      the same again; are the scores equal?

Taught in:        evaluation
Checked against:  the harness, called from Python
Shapes:           none
"""

from pathlib import Path

import course_lib
from course_lib.evaluation.harness import evaluate, find_task, task_names
from course_lib.evaluation.results import Result
from course_lib.generation.text_model import TextModel

OWN = "the course's own model"


def evaluate_command(
    source: str | None,
    task: str | None,
    against: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    output: str | None = None,
    repeat: str | None = None,
) -> int:
    """Run what the command line asks for; return the exit status."""
    if repeat is not None:
        return _repeat(Path(repeat))
    if task is None:
        lines = (f"  {name:<16} {find_task(name).summary}" for name in task_names())
        print("\n".join(["Choose a task with --task NAME:", *lines]))
        return 1
    result = _run(source, task, limit, seed)
    print(result.report())
    if output is not None:
        result.save(Path(output))
        print(f"The result, with every answer, is in {output}.")
    if against is not None:
        other = _run(against, task, limit, seed)
        print(other.report())
        print(comparison_text(result, other))
    return 0


def comparison_text(first: Result, second: Result) -> str:
    """Return what can be said about the difference of two models, a line for each metric."""
    lines = ["Difference, first minus second, on the same items:"]
    for name, (gap, test) in first.compared(second).items():
        line = f"  {name:<28} {gap}"
        if test is not None:
            only = f"only one right: {test.only_first} and {test.only_second}"
            line += f"   {only}, McNemar p = {test.p:.2g}"
        elif name in first.logarithmic:
            line += "   (of the logarithms)"
        lines.append(line)
    return "\n".join(lines)


def _run(source: str | None, task: str, limit: int | None, seed: int) -> Result:
    found = find_task(task)
    return evaluate(_loaded(source), found, source or OWN, limit, seed)


def _loaded(source: str | None) -> TextModel:
    return course_lib.load(None if source == OWN else source)


def _repeat(path: Path) -> int:
    """Run what a stored result describes; return 0 if every score is the same."""
    before = Result.read(path)
    after = evaluate(_loaded(before.source), find_task(before.task), before.source, before.limit,
                     before.seed)  # fmt: skip
    print(after.report())
    for name in ("version", "items_sha256", "weights_sha256", "dtype", "device", "torch"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            print(f"Different from {path}: {name} was {old}, and is {new}.")
    pairs = zip(before.scores, after.scores, strict=True)
    changed = [old.id for old, new in pairs if old.values != new.values]
    print(f"Different scores: {len(changed)} of {len(after.scores)} items {changed[:5] or ''}")
    return int(bool(changed))
