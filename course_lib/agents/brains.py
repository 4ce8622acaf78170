"""Brains: whatever reads a conversation and writes the next turn.

    ScriptedBrain   says what it was told to say; for tests, and for showing the loop
    ModelBrain      a model of this course (in `model_brain`)
    EndpointBrain   any server that speaks OpenAI's HTTP API, `course serve` among them

The loop knows only `reply`. So an agent can be tested without a model, and a model can be replaced
without touching the agent.

Taught in:        agents
Checked against:  `course serve`; a server that answers as OpenAI's API does
Shapes:           none
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from course_lib.agents.calls import Message, Reply, ToolCall, parse_reply
from course_lib.agents.schemas import Tool

LONGEST_ANSWER = 4 * 2**20  # bytes


@runtime_checkable
class Brain(Protocol):
    """Anything that writes the next turn of a conversation."""

    def reply(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Reply:
        """Return the next turn; any exception means that there is none."""


class ScriptedBrain:
    """Says its lines one after another; a line may be a function of the messages so far."""

    def __init__(self, lines: Iterable[str | Callable[[Sequence[Message]], str]]) -> None:
        self.lines = list(lines)

    def reply(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Reply:
        """Return the line that belongs to this place of the conversation.

        The place is counted in the messages, so that a resumed run goes on with the right line.
        """
        place = sum(message["role"] == "assistant" for message in messages)
        if place >= len(self.lines):
            raise ValueError(f"the script has {len(self.lines)} lines; got to line {place + 1}.")
        line = self.lines[place]
        return parse_reply(line if isinstance(line, str) else line(messages), 1)


class EndpointBrain:
    """A server with OpenAI's HTTP API; `in_text` for one that knows no tools."""

    def __init__(
        self,
        address: str,
        model: str,
        api_key: str | None = None,
        *,
        in_text: bool = False,
        timeout: int | float = 60.0,
        **settings: Any,
    ) -> None:
        self.url = f"{address.rstrip('/')}/chat/completions"
        self.model, self.api_key, self.in_text = model, api_key, in_text
        self.timeout, self.settings = timeout, settings

    def reply(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Reply:
        """Return the server's next turn."""
        body: dict[str, Any] = {"model": self.model, **self.settings}
        if self.in_text:
            body["messages"] = with_calls_as_text(messages)
        else:
            body["messages"] = [_for_api(message) for message in messages]
            if tools:
                body["tools"] = [tool.described() for tool in tools]
        answer = self._post(body)
        try:
            message, usage = answer["choices"][0]["message"], answer.get("usage") or {}
            tokens = int(usage.get("completion_tokens", 0))
            if self.in_text:
                return parse_reply(message["content"] or "", tokens)
            return _from_api(message, tokens)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ConnectionError(f"{self.url} gave no answer: {str(answer)[:200]}") from error

    def _post(self, body: Mapping[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.loads(answer.read(LONGEST_ANSWER))
        except urllib.error.HTTPError as error:
            text = error.read(2000).decode("utf-8", "replace")
            raise ConnectionError(f"{self.url} answered {error.code}: {text}") from error
        except (OSError, ValueError) as error:
            raise ConnectionError(f"{self.url} cannot be asked: {error}") from error


def with_calls_as_text(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages in which a call is part of the text, as models write it."""
    found = []
    for message in messages:
        text = message["content"] or ""
        for call in message.get("tool_calls") or ():
            body = {key: call["function"][key] for key in ("name", "arguments")}
            text += f"{chr(10) if text else ''}<tool_call>\n{json.dumps(body)}\n</tool_call>"
        found.append({"role": message["role"], "content": text})
    return found


def _for_api(message: Message) -> dict[str, Any]:
    """Return a message as OpenAI's API wants it, where arguments are JSON in a text."""
    copy = dict(message)
    if copy.get("tool_calls"):
        copy["tool_calls"] = [
            {**call, "function": {**call["function"],
                                  "arguments": json.dumps(call["function"]["arguments"])}}
            for call in copy["tool_calls"]
        ]  # fmt: skip
    return copy


def _from_api(message: Mapping[str, Any], tokens: int) -> Reply:
    calls, errors = list[ToolCall](), list[str]()
    for call in message.get("tool_calls") or ():
        name, written = call["function"]["name"], call["function"]["arguments"]
        try:
            arguments = json.loads(written) if isinstance(written, str) else written
        except ValueError as error:
            errors.append(f"the arguments of {name} must be JSON; {error}.")
            continue
        if isinstance(arguments, dict):
            calls.append(ToolCall(name, arguments, str(call.get("id") or "")))
        else:
            errors.append(f"the arguments of {name} must be an object; got {written!r}.")
    return Reply(message.get("content") or "", tuple(calls), tuple(errors), tokens)
