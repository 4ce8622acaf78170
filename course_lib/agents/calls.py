"""Tool calls as text: find them in what a model wrote, and read them.

    I will compute it.
    <tool_call>
    {"name": "calculator", "arguments": {"expression": "38*5127"}}
    </tool_call>

A block goes from one `<tool_call>` to the next `</tool_call>`. What is in it may be anything: a
model wrote it. A block that is no call is not dropped, it becomes an error that the model gets to
read, so that it can try again.

Taught in:        agents
Checked against:  the chat template, which writes calls in this layout
Shapes:           none
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]  # role, content, and calls: as in OpenAI's API

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class ToolCall:
    """A call as a model asks for it; its id says to which call a result belongs."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""

    def as_message(self) -> dict[str, Any]:
        """Return the call as OpenAI's API and the chat template have it."""
        function = {"name": self.name, "arguments": dict(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True)
class Reply:
    """What a model wrote in one turn: words, calls, and what is wrong with blocks that are none."""

    text: str
    calls: tuple[ToolCall, ...] = ()
    errors: tuple[str, ...] = ()
    tokens: int = field(default=0, compare=False)


def call_blocks(text: str) -> tuple[str, list[str | None]]:
    """Return the words outside of the blocks, and each block; None for one without an end."""
    words, blocks, rest = "", list[str | None](), text
    while OPEN in rest:
        before, _, rest = rest.partition(OPEN)
        words += before
        block, closed, rest = rest.partition(CLOSE)
        blocks.append(block if closed else None)
    return (words + rest).strip(), blocks


def read_call(block: str | None) -> ToolCall:
    """Return the call in a block; a ValueError says what is wrong with it."""
    if block is None:
        raise ValueError(f"a call must end with {CLOSE}; got none.")
    try:
        content = json.loads(block, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a call must be JSON; {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"a call must be an object; got {block.strip()[:60]}.")
    name, arguments = content.get("name"), content.get("arguments")
    if not isinstance(name, str) or not name:
        raise ValueError(f'a call must have a "name", a text; got {name!r}.')
    if not isinstance(arguments, dict):
        raise ValueError(f'a call must have "arguments", an object; got {arguments!r}.')
    return ToolCall(name, arguments)


def parse_reply(text: str, tokens: int = 0) -> Reply:
    """Return the words, the calls and the errors of what a model wrote."""
    words, blocks = call_blocks(text)
    calls, errors = list[ToolCall](), list[str]()
    for block in blocks:
        try:
            calls.append(read_call(block))
        except ValueError as error:
            errors.append(str(error))
    return Reply(words, tuple(calls), tuple(errors), tokens)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
