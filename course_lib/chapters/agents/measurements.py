"""What takes minutes to measure, and the stored results.

`python -m course_lib.chapters.agents.measurements` repeats all of it, or what is named.

    tools    held-out tasks: with tools, with tools that fail, and models without tools

Taught in:        agents
Checked against:  the stored models, measured again
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from course_lib.agents.tool_stage import Ask, answer_tool, measured_tasks, right_share
from course_lib.assistant.stages import load_stage
from course_lib.study.exhibits import toy_models

STORED = Path(__file__).parent / "data" / "measurements.json"
COUNT = 50


def broken(name: str, arguments: dict[str, Any]) -> str:
    """Answer as a tool that is out of order."""
    return "error: out of order."


ROWS: dict[str, tuple[str, Ask]] = {
    "assistant-tools": ("assistant-tools", answer_tool),
    "assistant-tools, tools out of order": ("assistant-tools", broken),
    "assistant-grpo, no tools": ("assistant-grpo", answer_tool),
}


def _tools() -> dict[str, dict[str, float]]:
    found = {}
    for row, (stage, ask) in ROWS.items():
        model, tasks = load_stage(stage), measured_tasks(COUNT)
        found[row] = {name: round(right_share(model, each, ask), 4) for name, each in tasks.items()}
    return found


EXPERIMENTS: dict[str, Callable[[], Any]] = {"tools": _tools}


def stored_measurements() -> dict[str, Any]:
    """Return the stored results, by name."""
    return toy_models.stored_results(STORED)


def main(names: Sequence[str]) -> None:
    """Measure what is named, or everything, and store it beside the rest."""
    for name in names or list(EXPERIMENTS):
        with toy_models.one_thread():
            new = {name: EXPERIMENTS[name]()}
        others = stored_measurements() if STORED.is_file() else {}
        toy_models.store_results(STORED, others | new)


if __name__ == "__main__":
    main(sys.argv[1:])
