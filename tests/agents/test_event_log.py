"""The event log: what is in it survives, and damage is noticed."""

import json

import pytest

from course_lib.agents import EventLog, open_calls, read_events

CALLS = [{"id": "a", "name": "f", "arguments": {}}, {"id": "b", "name": "g", "arguments": {}}]


def test_events_survive(tmp_path):
    path = tmp_path / "runs" / "log.jsonl"
    log = EventLog(path)
    log.add("started", task="é")
    log.add("ended", state="answered", answer=None)
    assert EventLog(path).events == log.events == read_events(path)
    assert [json.loads(line)["event"] for line in path.read_text("utf-8").splitlines()] == [
        "started",
        "ended",
    ]


def test_a_line_without_an_end_was_never_written(tmp_path):
    path = tmp_path / "log.jsonl"
    EventLog(path).add("started", task="x")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "rep')
    log = EventLog(path)
    assert [event["event"] for event in log.events] == ["started"]
    log.add("reply", text="", calls=[], errors=[], tokens=0)
    assert [event["event"] for event in read_events(path)] == ["started", "reply"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "started"}\nnonsense\n{"event": "ended"}\n')
    with pytest.raises(ValueError, match="line 2"):
        EventLog(path)


def test_later_changes_do_not_reach_the_log():
    log, arguments = EventLog(), {"x": 1}
    log.add("reply", calls=[{"id": "a", "arguments": arguments}])
    arguments["x"] = 2
    assert log.events[0]["calls"][0]["arguments"] == {"x": 1}


def test_open_calls():
    events = [{"event": "reply", "calls": CALLS}]
    assert open_calls(events) == [(CALLS[0], False), (CALLS[1], False)]
    events.append({"event": "begun", "id": "a"})
    assert open_calls(events) == [(CALLS[0], True), (CALLS[1], False)]
    events.append({"event": "result", "id": "a"})
    assert open_calls(events) == [(CALLS[1], False)]
    events.append({"event": "reply", "calls": []})
    assert open_calls(events) == []
