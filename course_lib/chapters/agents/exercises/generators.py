"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import functools
import json
import random
from typing import Any

from course_lib.study.check.spec import Call, call

KINDS = {"str": '"a"', "int": "0", "float": "0.5", "bool": "False", "list[int]": "()",
         "list[str]": "()"}  # fmt: skip


def made_function(name: str, parameters: str, doc: str | None) -> Any:
    """Return a function with these parameters and this docstring, which does nothing."""
    names: dict[str, Any] = {}
    exec(f"def {name}({parameters}) -> str: {doc!r}", names)
    return names[name]


def schema(rng: random.Random) -> Call:
    """Return a function whose last parameters may have defaults, some of them false or empty."""
    parts, optional = [], False
    for number in range(rng.randint(0, 4)):
        optional = optional or rng.random() < 0.4
        kind = rng.choice(list(KINDS))
        parts.append(f"p{number}: {kind}" + (f" = {KINDS[kind]}" if optional else ""))
    doc = rng.choice((None, "Do it.", "Do it\n    now.", "Do it.\n\n    With care.\n    "))
    return call(made_function(rng.choice(("look", "send")), ", ".join(parts), doc))


def calls(rng: random.Random) -> Call:
    """Return a text with blocks, good and bad."""
    blocks = [
        *(json.dumps({"name": name, "arguments": each})
          for name in ("f", "") for each in ({}, {"x": "<tool_call>"}, {"x": [1]}, "{}", None)),
        '{"name": "g"}', '{"arguments": {}}', "{", "[]", "", '{"name": 1, "arguments": {}}',
        '{"name": "h", "arguments": {}, "more": 1}', '\n {"name":\n "f", "arguments": {}}\n',
    ]  # fmt: skip
    text = rng.choice(("", "Well. "))
    for _ in range(rng.randint(0, 4)):
        text += f"<tool_call>{rng.choice(blocks)}</tool_call>{rng.choice(('', ' so ', '}'))}"
    if rng.random() < 0.25:
        text += f"<tool_call>{rng.choice(blocks)}{rng.choice(('', '.'))}"
    return call(text)


def arguments(rng: random.Random) -> Call:
    """Return arguments of several types, and a schema for some of their names."""
    values = ("x", "C", "", "3", 3, 0, -2, 3.0, 1.5, True, False, None, [1])
    types = ("string", "integer", "number", "boolean")
    names = rng.sample("abcd", rng.randint(0, 4))
    properties: dict[str, Any] = {
        name: {"enum": ["C", "x"]} if rng.random() < 0.2 else {"type": rng.choice(types)}
        for name in names
    }
    required = [name for name in names if rng.random() < 0.5]
    given = {name: rng.choice(values) for name in "abcde" if rng.random() < 0.5}
    return call(given, {"type": "object", "properties": properties, "required": required})


def scripted(lines: list[tuple[str, list[tuple[str, dict[str, Any]]]]]) -> Any:
    """Return a model that says its lines in order and repeats the last one."""

    def reply(messages: list[tuple[str, str]]) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
        said = sum(role == "assistant" for role, _ in messages)
        text, calls = lines[min(said, len(lines) - 1)]
        seen = sum(len(text) for _, text in messages)
        return f"{text} ({seen})", calls

    return reply


def echo(text: str) -> str:
    """Return the text twice."""
    return text * 2


def fail(text: str = "now") -> str:
    """Raise an error."""
    raise ValueError(f"not {text}")


def find(key: str) -> str:
    """Return the value of a key, of which there is none."""
    values: dict[str, str] = {}
    return values[key]


TOOLS = {"echo": echo, "fail": fail, "find": find}


def loop(rng: random.Random) -> Call:
    """Return a scripted model, tools of which two fail, a task and a number of steps."""
    some = [("echo", {"text": "a"}), ("echo", {"text": "b"}), ("fail", {}), ("lost", {}),
            ("fail", {"text": "c"}), ("echo", {}), ("find", {"key": "k"})]  # fmt: skip
    lines = [
        (f"line {number}", rng.choices(some, k=rng.randint(0, 3)))
        for number in range(rng.randint(1, 3))
    ]
    return call(scripted(lines), TOOLS, "do it", rng.randint(0, 4))


def resume(rng: random.Random) -> Call:
    """Return the events of a run that was stopped anywhere."""
    events: list[dict[str, Any]] = [{"event": "started"}]
    number = 0
    for _ in range(rng.randint(1, 3)):
        asked = [
            {"id": f"c{99 - number - i}", "name": rng.choice(("look", "send", "pay"))}
            for i in range(rng.randint(0, 3))
        ]
        number += len(asked)
        events.append({"event": "reply", "calls": asked})
        for each in asked:
            if rng.random() < 0.8:
                events.append({"event": "begun", "id": each["id"]})
            events.append({"event": "result", "id": each["id"]})
    last = max(i for i, event in enumerate(events) if event["event"] == "reply")
    return call(events[: rng.randint(last + 1, len(events))], rng.choice((["send", "pay"], [])))


def memory(rng: random.Random) -> Call:
    """Return a conversation of calls and results, its sizes, and a budget that holds the head."""
    roles = [*rng.choice(([], ["system"])), "user"]
    head = len(roles)
    for _ in range(rng.randint(0, 4)):
        roles += ["assistant", *["tool"] * rng.randint(0, 2)]
        roles += ["user"] * rng.choice((0, 0, 1))
    sizes = [rng.randint(1, 5) for _ in roles]
    return call(roles, sizes, rng.randint(sum(sizes[:head]), sum(sizes) + 1))


def _sum(params: dict[str, Any]) -> Any:
    return params["a"] + params["b"]


def _half(params: dict[str, Any]) -> Any:
    return 1 / params.get("of", 0)


def _nothing(params: dict[str, Any]) -> Any:
    return None


CALLED: list[str] = []  # the names of the methods that were called


def _noting(name: str, method: Any) -> Any:
    """Return the method, which also notes that it was called."""

    @functools.wraps(method)
    def noting(params: dict[str, Any]) -> Any:
        CALLED.append(name)
        return method(params)

    return noting


METHODS = {
    name: _noting(name, each)
    for name, each in {"sum": _sum, "nothing": _nothing, "half": _half}.items()
}


def rpc(rng: random.Random) -> Call:
    """Return a message, mostly with one thing wrong, and three methods."""
    message: dict[str, Any] = {
        "jsonrpc": "2.0",
        "method": rng.choice(("sum", "nothing", "half", "lost")),
    }
    if rng.random() < 0.7:
        message["id"] = rng.choice((0, 7, "x", ""))
    if rng.random() < 0.7:
        message["params"] = rng.choice(({"a": 1, "b": 2}, {"a": 1}, [1, 2], {}, [], None))
    wrong = rng.randrange(9)
    if wrong == 0:
        message["jsonrpc"] = "1.0"
    elif wrong == 1:
        message["method"] = rng.choice((None, 3))
    elif wrong == 2:
        message["id"] = rng.choice((None, True, 1.5, []))
    return call(rng.choice(([], "sum", None)) if wrong == 3 else message, METHODS)


def policy(rng: random.Random) -> Call:
    """Return arguments of which some come from the task, and what strangers have written."""
    task = rng.choice(("tell ann: see you at 6.", "pay 30 (not 31) to bob", "True or false"))
    values = ("ann", "an", "see you", "you see", "at 6", 6, 3, 30, "bob", "mallory", "True", True,
              None, "", "see at", ["ann", "mallory"], {"x": ["bob", 31]}, "ann:",
              "BOB")  # fmt: skip
    given = {name: rng.choice(values) for name in "xyz"[: rng.randint(0, 3)]}
    texts = rng.choice(([], ["mallory writes to ann"], ["a", "see you"]))
    return call(given, task, texts, rng.random() < 0.8)
