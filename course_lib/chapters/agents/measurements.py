"""What takes minutes to measure, and the stored results.

`python -m course_lib.chapters.agents.measurements` repeats all of it, or what is named.

    tools    held-out tasks: with tools, with tools that fail, and models without tools
    calls    held-out products: how often there is a call, the right call, the right answer
    seeds    the same two of a second run of the recipe `assistant-tools`, with another seed, which
             is trained first; and the log of that run

Taught in:        agents
Checked against:  the stored models, measured again
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from course_lib.agents.calls import parse_reply
from course_lib.agents.tool_stage import (
    TOOL_STAGE,
    Ask,
    ToolRun,
    answer_tool,
    measured_tasks,
    right_share,
    tool_answers,
)
from course_lib.agents.tool_tasks import ToolTask, share_right
from course_lib.assistant.stages import load_stage
from course_lib.model import DecoderLM
from course_lib.study.exhibits import toy_models

STORED = Path(__file__).parent / "data" / "measurements.json"
COUNT, SEEDS = 50, (1,)


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


def _calls() -> dict[str, dict[str, float]]:
    return _calls_of(load_stage(TOOL_STAGE.name))


def _calls_of(model: DecoderLM) -> dict[str, dict[str, float]]:
    tasks = measured_tasks(COUNT)
    return {name: _steps(model, each) for name, each in tasks.items() if "product" in name}


def _steps(model: DecoderLM, tasks: Sequence[ToolTask]) -> dict[str, float]:
    """Return the share of tasks with a call, with the right call, and with the right answer."""
    talks = tool_answers(model, [task.question for task in tasks])
    calls = [[(c.name, dict(c.arguments)) for c in parse_reply(str(talk[1]["content"])).calls]
             for talk in talks]  # fmt: skip
    right = [call == [task.call] for call, task in zip(calls, tasks, strict=True)]
    answers = share_right(tasks, [str(talk[-1]["content"]) for talk in talks])
    shares = {"a call": sum(map(bool, calls)) / len(tasks), "right call": sum(right) / len(tasks)}
    return {name: round(share, 4) for name, share in (shares | {"right answer": answers}).items()}


def measure_seeds(folder: Path | None = None) -> dict[str, Any]:
    """Return what other seeds say; a run that is in `folder` already is read, or resumed."""
    found = {}
    with tempfile.TemporaryDirectory() as made:
        for seed in SEEDS:
            run = ToolRun(TOOL_STAGE, (folder or Path(made)) / f"tools-{seed}", seed)
            run.go_on()
            found[str(seed)] = {
                "log": run.records,
                "tools": run.shares(COUNT),
                "calls": _calls_of(run.model),
            }
    return found


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "tools": _tools,
    "calls": _calls,
    "seeds": measure_seeds,
}


def stored_measurements() -> dict[str, Any]:
    """Return the stored results, by name."""
    return toy_models.stored_results(STORED)


if __name__ == "__main__":
    toy_models.measure_into(STORED, EXPERIMENTS, sys.argv[1:])
