"""Answers of exercises that no user of the library would call: its parts, put to one use."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from course_lib.agents import (
    Situation,
    Tool,
    ToolCall,
    argument_problems,
    call_blocks,
    dispatch,
    open_calls,
    read_call,
    trimmed,
    user_words,
)

Messages = list[tuple[str, str]]
Reply = Callable[[Messages], tuple[str, Sequence[tuple[str, Mapping[str, Any]]]]]


def calls_in(text: str) -> list[dict[str, Any] | None]:
    """Return each block of a text as a call, or None where it is no call."""
    found: list[dict[str, Any] | None] = []
    for block in call_blocks(text)[1]:
        try:
            call = read_call(block)
        except ValueError:
            found.append(None)
        else:
            found.append({"name": call.name, "arguments": dict(call.arguments)})
    return found


def named_problems(
    arguments: Mapping[str, Any], schema: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return what is wrong with each argument, as sorted pairs of its name and a kind."""
    strict = {**schema, "additionalProperties": False}
    return sorted((each.path, each.kind) for each in argument_problems(arguments, strict))


def run_loop(
    reply: Reply, tools: Mapping[str, Callable[..., str]], task: str, steps: int
) -> tuple[str, Messages]:
    """Return how a run ends, and its messages."""
    messages = [("user", task)]
    for _ in range(steps):
        text, calls = reply(list(messages))
        messages.append(("assistant", text))
        if not calls:
            return "answered", messages
        for name, arguments in calls:
            try:
                result = tools[name](**arguments)
            except Exception as error:
                known = name in tools
                result = f"error: {error}" if known else f"error: there is no tool {name}"
            messages.append(("tool", result))
    return "steps", messages


def to_do(events: list[dict[str, Any]], effects: Sequence[str]) -> list[tuple[str, str]]:
    """Return for each open call whether to run it, or that its outcome is unknown."""
    return [
        (call["id"], "unknown" if begun and call["name"] in effects else "run")
        for call, begun in open_calls(events)
    ]


def kept_places(roles: Sequence[str], sizes: Sequence[int], budget: int) -> list[int]:
    """Return the places of the messages that stay in a context of this size."""
    messages = [
        {"role": role, "content": "x" * size, "place": place}
        for place, (role, size) in enumerate(zip(roles, sizes, strict=True))
    ]
    return [message["place"] for message in trimmed(messages, budget)]


def answer_of(
    message: Any, methods: Mapping[str, Callable[[dict[str, Any]], Any]]
) -> dict[str, Any] | None:
    """Return the answer to a message, of an error only its code."""
    answer = dispatch(message, methods)
    if answer is not None and "error" in answer:
        answer["error"] = {"code": answer["error"]["code"]}
    return answer


def decide(arguments: Mapping[str, Any], task: str, untrusted: Sequence[str], effect: bool) -> str:
    """Return "allow" or "ask" for a call."""
    tool = Tool("tool", "", {}, print, effect=effect)
    call = ToolCall("tool", arguments)
    return user_words(Situation(call, tool, task, tuple(untrusted))).verdict
