"""The answers that stand with the exercises, beside values worked out by hand."""

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises.generators import METHODS, TOOLS, scripted


def test_calls_in():
    good = '<tool_call>{"name": "f", "arguments": {"x": 1}, "id": 3}</tool_call>'
    assert answers.calls_in(f"{good} and <tool_call>[]</tool_call> <tool_call>") == [
        {"name": "f", "arguments": {"x": 1}},
        None,
        None,
    ]


def test_named_problems():
    schema = {"properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert answers.named_problems({"b": 1}, schema) == [("a", "missing"), ("b", "unknown")]
    assert answers.named_problems({"a": True}, schema) == [("a", "type")]


def test_run_loop():
    lines = [("look", [("echo", {"text": "a"}), ("fail", {}), ("lost", {})]), ("done", [])]
    end, messages = answers.run_loop(scripted(lines), TOOLS, "go", 2)
    assert end == "answered"
    assert messages == [
        ("user", "go"),
        ("assistant", "look (2)"),
        ("tool", "aa"),
        ("tool", "error: not now"),
        ("tool", "error: there is no tool lost"),
        ("assistant", "done (54)"),
    ]
    assert answers.run_loop(scripted(lines), TOOLS, "go", 1)[0] == "steps"


def test_to_do():
    events = [
        {"event": "reply", "calls": [{"id": "a", "name": "look"}, {"id": "b", "name": "pay"}]},
        {"event": "begun", "id": "a"},
        {"event": "begun", "id": "b"},
    ]
    assert answers.to_do(events, ["pay"]) == [("a", "run"), ("b", "unknown")]


def test_kept_places():
    roles = ["user", "assistant", "tool", "assistant"]
    assert answers.kept_places(roles, [1, 2, 3, 4], 9) == [0, 3]
    assert answers.kept_places(roles, [1, 2, 3, 4], 10) == [0, 1, 2, 3]


def test_answer_of():
    asked = {"jsonrpc": "2.0", "id": 1, "method": "sum", "params": {"a": 1}}
    assert answers.answer_of(asked, METHODS) == {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {"code": -32603},
    }


def test_decide():
    assert answers.decide({"to": "ann"}, "tell ann.", ["x"], True) == "allow"
    assert answers.decide({"to": "bob"}, "tell ann.", ["x"], True) == "ask"
