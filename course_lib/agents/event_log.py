"""The event log: one line of JSON for everything that happens, written before the agent goes on.

    started  the task                      reply    what the model wrote, its calls, its errors
    begun    a call is about to run        result   what came out of it
    failed   the model could not be asked  ended    in which state, with which answer

A line is on the disk before the next thing happens. So whatever kills the program, the log says how
far it got: a call that has begun and has no result may have taken effect, or not.

Taught in:        agents
Checked against:  programs that were killed in the middle of a call
Shapes:           none
"""

import json
import os
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class EventLog:
    """Events in memory and, with a path, in a file that survives the program."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.events: list[Event] = []
        if self.path is not None and self.path.exists():
            self.events = read_events(self.path)
            _cut_unfinished(self.path)

    def add(self, kind: str, **fields: Any) -> Event:
        """Add an event; it is on the disk when this returns."""
        event = {"event": kind, **fields}
        line = json.dumps(event, ensure_ascii=False)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        self.events.append(json.loads(line))  # what a later program will read, not an alias
        return event


def read_events(path: Path) -> list[Event]:
    """Return the events of a file; a last line that is incomplete was never finished."""
    events = []
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        try:
            events.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"line {len(events) + 1} of {path} is no event; got {line[:60]!r}. Only the last "
                "line of a log can be damaged by a crash; this one was changed."
            ) from error
    return events


def _cut_unfinished(path: Path) -> None:
    """Remove a last line without an end, so that the next event starts a line of its own."""
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)


def open_calls(events: list[Event]) -> list[tuple[dict[str, Any], bool]]:
    """Return the calls of the last reply that have no result, each with whether it has begun."""
    calls: list[dict[str, Any]] = []
    begun, done = set[str](), set[str]()
    for event in events:
        if event["event"] == "reply":
            calls, begun, done = event["calls"], set(), set()
        elif event["event"] == "begun":
            begun.add(event["id"])
        elif event["event"] == "result":
            done.add(event["id"])
    return [(call, call["id"] in begun) for call in calls if call["id"] not in done]
