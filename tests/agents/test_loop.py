"""The loop: every run ends in a clear state, and a killed run goes on where it was."""

import json
import random

import pytest

from course_lib.agents import (
    Agent,
    Budget,
    Decision,
    EventLog,
    Limits,
    Reply,
    ScriptedBrain,
    ToolCall,
    make_tool,
    read_events,
)
from tests.agents import bad_tools


def written(tool, /, **arguments):
    body = json.dumps({"name": tool, "arguments": arguments})
    return f"<tool_call>\n{body}\n</tool_call>"


class Office:
    """Tools in this process that remember their calls."""

    def __init__(self):
        self.sent, self.asked = [], []

    def tools(self):
        def look(name: str) -> str:
            """Look something up."""
            self.asked.append(name)
            return f"about {name}"

        def send(text: str) -> str:
            """Send a text."""
            self.sent.append(text)
            return "sent"

        return [make_tool(look, isolated=False), make_tool(send, effect=True, isolated=False)]


def agent(lines, tools=None, **settings):
    settings.setdefault("wait", lambda attempt: None)
    return Agent(ScriptedBrain(lines), Office().tools() if tools is None else tools, **settings)


def results(run):
    return [(e["status"], e["text"]) for e in run.log.events if e["event"] == "result"]


def test_a_run_with_two_calls_and_an_answer():
    office = Office()
    run = agent([written("look", name="x") + written("send", text="y"), "done"],
                office.tools()).run("go")  # fmt: skip
    assert (run.end, run.answer) == ("answered", "done")
    assert (office.asked, office.sent) == (["x"], ["y"])
    assert [m["role"] for m in run.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    calls = run.messages[1]["tool_calls"]
    assert [c["id"] for c in calls] == [m["tool_call_id"] for m in run.messages[2:4]]


@pytest.mark.parametrize(
    ("line", "status", "about"),
    [
        (written("find", name="x"), "unknown tool", "look, send"),
        (written("look", nam="x"), "bad arguments", "name is missing"),
        (written("look", name=3), "bad arguments", "string"),
    ],
)
def test_mistakes_of_the_model_are_texts_that_it_reads(line, status, about):
    run = agent([line, "sorry"]).run("go")
    [(found, text)] = results(run)
    assert found == status
    assert about in text
    assert text.startswith("error: ")
    assert run.end == "answered"


def test_what_is_no_call_is_a_text_too():
    run = agent(["<tool_call>{</tool_call>", "sorry"]).run("go")
    assert run.end == "answered"
    assert "JSON" in run.messages[2]["content"]
    assert run.messages[2]["role"] == "user"


@pytest.mark.parametrize(
    ("function", "arguments", "status"),
    [
        (bad_tools.raises, {"text": "x"}, "error"),
        (bad_tools.hangs, {}, "timeout"),
        (bad_tools.prints_much, {"megabytes": 10}, "too long"),
        (bad_tools.returns_a_set, {}, "invalid"),
        (bad_tools.dies, {}, "error"),
    ],
)
def test_bad_tools_do_not_stop_the_run(function, arguments, status):
    tools = [make_tool(function)]
    run = agent([written(function.__name__, **arguments), "noted"], tools,
                limits=Limits(seconds=3.0, characters=1_000)).run("go")  # fmt: skip
    assert (run.end, run.answer) == ("answered", "noted")
    [(found, text)] = results(run)
    assert found == status
    assert len(text) < 1_200


class Ids:
    """A brain that chooses the ids of its calls, and uses one twice."""

    def reply(self, messages, tools):
        turn = sum(message["role"] == "assistant" for message in messages)
        calls = (ToolCall("send", {"text": "a"}, "one"), ToolCall("send", {"text": "b"}, "one"))
        return Reply("", calls, tokens=1) if turn < 2 else Reply("done", tokens=1)


def test_two_calls_with_one_id():
    office = Office()
    run = Agent(Ids(), office.tools()).run("go")
    assert run.end == "answered"
    assert [status for status, _ in results(run)] == ["ok", "duplicate", "duplicate", "duplicate"]
    assert office.sent == ["a"]
    ids = [c["id"] for m in run.messages for c in m.get("tool_calls", ())]
    assert len(set(ids)) == len(ids) == 4


@pytest.mark.parametrize(
    ("budget", "end"),
    [
        (Budget(steps=3, repeats=9), "steps"),
        (Budget(calls=4, repeats=9), "calls"),
        (Budget(tokens=2, repeats=9), "tokens"),
        (Budget(seconds=0.0), "time"),
        (Budget(repeats=3), "repeating"),
    ],
)
def test_budgets_end_a_run(budget, end):
    lines = [written("look", name="x")] * 20
    run = agent(lines, budget=budget).run("go")
    assert (run.end, run.answer) == (end, None)
    assert run.log.events[-1]["event"] == "ended"


def test_a_turn_with_many_calls_cannot_exceed_the_budget():
    office = Office()
    run = agent([written("send", text="x") * 50], office.tools(), budget=Budget(calls=7)).run("go")
    assert (run.end, len(office.sent)) == ("calls", 7)


def test_different_results_are_progress():
    count = iter(range(100))

    def tick() -> str:
        return str(next(count))

    tool = make_tool(tick, isolated=False)
    run = agent([written("tick")] * 5 + ["done"], [tool], budget=Budget(repeats=2)).run("go")
    assert run.end == "answered"


class Failing:
    """A brain that fails some times before it answers."""

    def __init__(self, times):
        self.times = times

    def reply(self, messages, tools):
        self.times -= 1
        if self.times >= 0:
            raise ConnectionError("the server is away")
        return Reply("back", tokens=1)


def test_a_model_that_fails_is_asked_again():
    waits = []
    run = Agent(Failing(2), wait=waits.append).run("go")
    assert (run.end, run.answer, waits) == ("answered", "back", [0, 1])
    lost = Agent(Failing(3), wait=waits.append).run("go")
    assert (lost.end, lost.answer) == ("brain failed", None)
    assert "the server is away" in lost.log.events[1]["error"]


def test_policies_and_approvals():
    office, asked = Office(), []
    lines = [written("send", text="x"), "done"]

    def policy(situation):
        asked.append(situation.call.arguments["text"])
        return Decision("ask", "sending needs a yes")

    no = agent(lines, office.tools(), policy=policy).run("go")
    assert results(no) == [("refused", "error: sending needs a yes")]
    yes = agent(lines, office.tools(), policy=policy, approve=lambda call: True).run("go")
    assert results(yes) == [("ok", "sent")]
    never = agent(lines, office.tools(), policy=lambda s: Decision("deny", "no"),
                  approve=lambda call: True).run("go")  # fmt: skip
    assert results(never) == [("refused", "error: no")]
    assert office.sent == ["x"]


LINES = [
    written("look", name="a") + written("send", text="one"),
    "<tool_call>oops</tool_call>",
    written("send", text="two"),
    "done",
]


class StopError(BaseException):
    """What a killed program feels like from inside."""


class DyingLog(EventLog):
    """A log of a program that dies right after an event has been written."""

    def __init__(self, path, last):
        super().__init__(path)
        self.last = last

    def add(self, kind, **fields):
        event = super().add(kind, **fields)
        if len(self.events) >= self.last:
            raise StopError
        return event


def test_a_run_that_is_killed_at_any_event_goes_on(tmp_path):
    whole = agent(LINES).run("go")
    for last in range(1, len(whole.log.events)):
        office, path = Office(), tmp_path / f"{last}.jsonl"
        with pytest.raises(StopError):
            agent(LINES, office.tools()).run("go", DyingLog(path, last))
        before = read_events(path)
        assert before == whole.log.events[:last]
        run = agent(LINES, office.tools()).run("go", EventLog(path))
        assert (run.end, run.answer) == ("answered", "done")
        assert len(office.sent) == len(set(office.sent)) <= 2
        if before[-1]["event"] != "begun":
            assert run.log.events == whole.log.events
            assert office.sent == ["one", "two"]


def test_an_effect_of_unknown_outcome_is_not_repeated(tmp_path):
    office, path = Office(), tmp_path / "log.jsonl"
    begun = [e["event"] for e in agent(LINES).run("go").log.events].index("begun")
    with pytest.raises(StopError):
        agent(LINES[2:], office.tools()).run("go", DyingLog(path, begun + 1))
    run = agent(LINES[2:], office.tools()).run("go", EventLog(path))
    assert results(run)[0][0] == "interrupted"
    assert "may have taken effect" in results(run)[0][1]
    assert office.sent == []


def test_a_finished_run_stays_finished(tmp_path):
    path = tmp_path / "log.jsonl"
    agent(["done"]).run("go", EventLog(path))
    again = agent([]).run("go", EventLog(path))
    assert (again.end, again.answer) == ("answered", "done")
    with pytest.raises(ValueError, match="'other'"):
        agent([]).run("other", EventLog(path))


def test_the_context_is_bounded():
    seen = []

    def line(messages):
        seen.append(sum(len(str(m["content"])) for m in messages))
        return written("look", name="x" * random.Random(len(seen)).randint(20, 30))

    agent([line] * 9, context=400, budget=Budget(repeats=99)).run("go")
    assert max(seen) <= 400
    assert len(seen) == Budget().steps
