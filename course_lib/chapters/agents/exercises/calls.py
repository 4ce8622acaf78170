"""The exercise on calls: find them in what a model wrote."""

import ast
import json
import re

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

GOOD = '{"name": "look", "arguments": {"city": "Oslo"}}'
OTHER = '{"name": "send", "arguments": {}}'


def _read(block):
    try:
        found = json.loads(block)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    name, arguments = found.get("name"), found.get("arguments")
    good = isinstance(name, str) and name and isinstance(arguments, dict)
    return {"name": name, "arguments": arguments} if good else None


def _by_pattern(text):
    found = re.findall(r"<tool_call>(.*?)(</tool_call>|\Z)", text, re.DOTALL)
    return [_read(block) if end else None for block, end in found]


def _by_find(text):
    calls, place = [], text.find("<tool_call>")
    while place >= 0:
        end = text.find("</tool_call>", place)
        calls.append(None if end < 0 else _read(text[place + len("<tool_call>") : end]))
        place = text.find("<tool_call>", end) if end >= 0 else -1
    return calls


def _recursive(text):
    _, opened, rest = text.partition("<tool_call>")
    if not opened:
        return []
    block, closed, rest = rest.partition("</tool_call>")
    return [_read(block) if closed else None, *_recursive(rest)]


def _by_split(text):
    calls, parts = [], text.split("</tool_call>")
    for number, part in enumerate(parts):
        _, opened, block = part.partition("<tool_call>")
        if opened:
            calls.append(_read(block) if number < len(parts) - 1 else None)
    return calls


def _greedy(text):
    found = re.findall(r"<tool_call>(.*)(</tool_call>)", text, re.DOTALL)
    unfinished = [None] * (not found and "<tool_call>" in text)
    return [_read(block) for block, _ in found] + unfinished


def _first(text):
    return _by_pattern(text)[:1]


def _dropped(text):
    return [each for each in _by_pattern(text) if each is not None]


def _all_or_nothing(text):
    found = _by_pattern(text)
    return [] if None in found else found


def _one_line(text):
    found = re.findall(r"<tool_call>(.*?)(</tool_call>|\Z)", text)
    return [_read(block) if end else None for block, end in found]


def _unclosed(text):
    found = re.findall(r"<tool_call>(.*?)(?:</tool_call>|\Z)", text, re.DOTALL)
    return [_read(block) for block in found]


def _lenient(read):
    def calls(text):
        found = re.findall(r"<tool_call>(.*?)(</tool_call>|\Z)", text, re.DOTALL)
        return [read(block) if end else None for block, end in found]

    return calls


def _no_arguments(block):
    try:
        found = json.loads(block)
        return _read(json.dumps({"arguments": {}, **found}))
    except (ValueError, TypeError):
        return None


def _text_arguments(block):
    try:
        found = json.loads(block)
        if isinstance(found["arguments"], str):
            found["arguments"] = json.loads(found["arguments"])
        return _read(json.dumps(found))
    except (ValueError, TypeError, KeyError):
        return None


def _any_json(block):
    try:
        found = json.loads(block)
        return {"name": found["name"], "arguments": found["arguments"]}
    except (ValueError, TypeError, KeyError):
        return None


def _python_literal(block):
    try:
        return _read(json.dumps(ast.literal_eval(block.strip())))
    except (ValueError, SyntaxError, TypeError):
        return None


def _not_strict(block):
    try:
        return _read(json.dumps(json.loads(block, strict=False)))
    except ValueError:
        return None


def _first_value(block):
    try:
        return _read(json.dumps(json.JSONDecoder().raw_decode(block.strip())[0]))
    except ValueError:
        return None


CALLS = Exercise(
    id="agents.calls",
    title="The calls in a text",
    minutes=12,
    difficulty=2,
    statement=(
        "A block goes from <tool_call> to the next </tool_call>; between the tags may be "
        "anything. Return a list with one entry for each block, in order: the dict "
        "{'name': ..., 'arguments': ...} if what is between the tags is a JSON object whose name "
        "is a non-empty string and whose arguments are a JSON object (other keys are left out), "
        "else None. A last block without a closing tag also gives None."
    ),
    solution=answers.calls_in,
    reference=_by_pattern,
    generator=generators.calls,
    probes=(
        Probe(
            "one call", lambda: call(f"I look. <tool_call>\n{GOOD}\n</tool_call>"), "Words around."
        ),
        Probe("no call", lambda: call('{"name": "look", "arguments": {}}'), "No tags, no call."),
        Probe(
            "two calls",
            lambda: call(f"<tool_call>{GOOD}</tool_call> and <tool_call>{OTHER}</tool_call>"),
            "Each block ends at the next closing tag.",
        ),
        Probe(
            "a bad one among good ones",
            lambda: call(
                f"<tool_call>{OTHER}</tool_call><tool_call>{{</tool_call>"
                f"<tool_call>{GOOD}</tool_call>"
            ),
            "The bad one is None, in its place; the others count.",
        ),
        Probe("no end", lambda: call(f"<tool_call>{GOOD}"), "The model was cut off."),
        Probe("no end, and more", lambda: call(f"<tool_call>{GOOD}."), "Cut off a little later."),
        Probe(
            "over several lines",
            lambda: call('<tool_call>\n{"name":\n"f",\n"arguments": {}}</tool_call>'),
            "JSON may have line breaks.",
        ),
        Probe(
            "not quite calls",
            lambda: call(
                '<tool_call>{"name": "f"}</tool_call><tool_call>[]</tool_call>'
                '<tool_call>{"name": "f", "arguments": "{}"}</tool_call>'
                '<tool_call>{"name": 3, "arguments": {}}</tool_call>'
                '<tool_call>{"name": "", "arguments": {}}</tool_call>'
            ),
            "A name is a non-empty string, and arguments are an object.",
        ),
        Probe(
            "JSON, not Python",
            lambda: call(
                '<tool_call>{"name": "f", "arguments": {"x": true, "y": null}}</tool_call>'
                "<tool_call>{'name': 'f', 'arguments': {}}</tool_call>"
            ),
            "true and null are JSON, single quotes are not.",
        ),
        Probe(
            "something after the object",
            lambda: call(f"<tool_call>{OTHER} {OTHER}</tool_call>"),
            "Two objects are no JSON object.",
        ),
        Probe(
            "a line break in a string",
            lambda: call('<tool_call>{"name": "f", "arguments": {"x": "a\nb"}}</tool_call>'),
            "In a JSON string a line break is written \\n; as it is here, this is no JSON.",
        ),
        Probe(
            "more keys",
            lambda: call('<tool_call>{"name": "f", "arguments": {}, "id": 3}</tool_call>'),
            "Only the name and the arguments are returned.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one block from the first tag to the last",
            _greedy,
            "`.*` takes as much as it can, so two calls become one block. Use `.*?`, or search for "
            "the next closing tag.",
        ),
        Misconception("only the first", _first, "A model may call several tools in one turn."),
        Misconception(
            "bad blocks dropped",
            _dropped,
            "A block that is not a call must not vanish: the model should be told, so return None.",
        ),
        Misconception(
            "one bad block spoils all",
            _all_or_nothing,
            "Catch the error for each block on its own; the other calls are good.",
        ),
        Misconception(
            "one line only",
            _one_line,
            "`.` does not match a line break without re.DOTALL, and JSON may have several lines.",
        ),
        Misconception(
            "an open block accepted",
            _unclosed,
            "Without the closing tag the text was cut off. What looks whole may not be.",
        ),
        Misconception(
            "arguments made up",
            _lenient(_no_arguments),
            "Missing arguments are not {}: such a block is not a call.",
        ),
        Misconception(
            "arguments unpacked",
            _lenient(_text_arguments),
            "The arguments must be an object here, not a string that holds JSON.",
        ),
        Misconception(
            "read as Python",
            _lenient(_python_literal),
            "A block holds JSON: `true` and `null` belong to it, single quotes do not. Use "
            "json.loads.",
        ),
        Misconception(
            "line breaks in strings accepted",
            _lenient(_not_strict),
            "strict=False accepts strings with line breaks, which are not JSON.",
        ),
        Misconception(
            "what follows overlooked",
            _lenient(_first_value),
            "You stop after the first value. All that is between the tags must be one JSON object.",
        ),
        Misconception(
            "whatever is in it",
            _lenient(_any_json),
            "You return the two values without looking at their types. A model may write anything.",
        ),
    ),
    alternatives=(
        Alternative("str.find", _by_find),
        Alternative("partition", _recursive),
        Alternative("split", _by_split),
    ),
    hints=(
        "re.findall(r'<tool_call>(.*?)(</tool_call>|\\Z)', text, re.DOTALL) gives each block with "
        "its closing tag, or '' for a block without one.",
        "json.loads raises a ValueError if the block is not JSON. If it is, check the types.",
    ),
)
