"""The pictures of this chapter with controls.

Taught in:        agents
Checked against:  the chapter's `figures` for the same values
Shapes:           none
"""

import functools
import json
from collections.abc import Sequence

from matplotlib.figure import Figure

from course_lib.agents import ATTACKS, DEFENCES, Agent, Budget, ScriptedBrain, Tool, make_tool
from course_lib.agents.event_log import Event
from course_lib.chapters.agents import figures
from course_lib.chapters.agents.answers import kept_places
from course_lib.study.display.explorer import Explorer, choice, log_slider, step_slider
from course_lib.study.display.plotting import Number

ROLES = ("system", "user", "assistant", "tool", "assistant", "tool", "tool", "assistant", "tool",
         "assistant")  # fmt: skip
SIZES = (40, 60, 40, 110, 40, 190, 90, 40, 60, 50)
EVERY = "all defences"


def _call(tool: str, /, **arguments: str) -> str:
    body = json.dumps({"name": tool, "arguments": arguments})
    return f"<tool_call>\n{body}\n</tool_call>"


SCRIPTS = {
    "an answer": [_call("look", name="the plan") + _call("send", text="agreed"), "It is sent."],
    "mistakes": [_call("find", name="the plan"), _call("look", nam="the plan"),
                 "<tool_call>{</tool_call>", _call("look", name="the plan"), "Found."],
    "going in circles": [_call("look", name="x")] * 9,
    "no model": [],
}  # fmt: skip


def _office() -> list[Tool]:
    def look(name: str) -> str:
        return f"about {name}"

    def send(text: str) -> str:
        return "sent"

    return [make_tool(look, isolated=False), make_tool(send, effect=True, isolated=False)]


@functools.cache
def scripted_events(script: str) -> tuple[Event, ...]:
    """Return the events of one of the `SCRIPTS`."""
    agent = Agent(ScriptedBrain(SCRIPTS[script]), _office(), Budget(), wait=lambda attempt: None)
    return tuple(agent.run("Look at the plan, then agree.").log.events)


def run(script: str = "an answer", events: int = 5) -> Explorer:
    """Choose what the model says, and go through the events one by one."""

    def figure(script: str, events: int) -> Figure:
        return figures.run(scripted_events(script), events)

    longest = max(len(scripted_events(each)) for each in SCRIPTS)
    controls = {
        "script": choice("the model", script, list(SCRIPTS)),
        "events": step_slider("events", events, 1, longest),
    }
    return Explorer(figure, controls, "A run, event by event.")


def context(
    budget: int = 300, roles: Sequence[str] = ROLES, sizes: Sequence[int] = SIZES
) -> Explorer:
    """Move the context's size, and see which turns leave."""

    def figure(budget: int) -> Figure:
        return figures.context(roles, sizes, kept_places(roles, sizes, budget), budget)

    head = sum(sizes[: list(roles).index("user") + 1])
    slider = step_slider("context, in tokens", budget, head, sum(sizes))
    return Explorer(figure, {"budget": slider}, "What of a conversation stays in the context.")


def attacks(defence: str = EVERY) -> Explorer:
    """Choose a defence, and see which planted attacks it stops."""

    def figure(defence: str) -> Figure:
        chosen = [each for each in DEFENCES if defence in (EVERY, each.name)]
        return figures.defended(ATTACKS, chosen)

    names = [EVERY, *(each.name for each in DEFENCES)]
    return Explorer(
        figure, {"defence": choice("defence", defence, names)}, "Attacks, and what stops them."
    )


def growth(base: Number = 1000, per_turn: Number = 300, turns: int = 20) -> Explorer:
    """Move the length of a run, and see what its turns read."""

    def figure(base: Number, per_turn: Number, turns: int) -> Figure:
        return figures.growth(round(base), round(per_turn), turns)

    controls = {
        "base": log_slider("instructions, tools, task", base, 100, 20_000, 40),
        "per_turn": log_slider("tokens of each turn", per_turn, 20, 5_000, 40),
        "turns": step_slider("turns", turns, 1, 60),
    }
    return Explorer(figure, controls, "Tokens that the turns of a run read.")
