"""The loop: ask the model, run its calls, show it the results, until it answers.

    while the budget lasts:
        reply = brain.reply(messages, tools)
        no calls? that is the answer
        for each call: known? valid? allowed? run it; the result goes to the model

Nothing that a model writes may stop the loop: an unknown tool, wrong arguments, a call that is no
JSON become texts that the model reads. Whatever happens is in the event log before the next thing
happens, so a run can be resumed, and it always ends in one of these states:

    answered        the model wrote a turn without calls
    steps, calls, tokens, time      that part of the budget is spent
    repeating       the model made the same calls with the same results again and again
    brain failed    the model could not be asked, even after retries

Taught in:        agents
Paper:            Yao et al. 2022, arXiv:2210.03629 (ReAct)
Checked against:  scripted runs, and runs that were killed at every event
Shapes:           none
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from course_lib.agents.arguments import argument_problems
from course_lib.agents.brains import Brain
from course_lib.agents.calls import Message, Reply, ToolCall
from course_lib.agents.event_log import EventLog, open_calls
from course_lib.agents.execution import DEFAULT_LIMITS, Limits, ToolResult, run_tool
from course_lib.agents.memory import Size, trimmed
from course_lib.agents.policies import ALLOW_ALL, Policy, Situation
from course_lib.agents.schemas import Tool

End = Literal["answered", "steps", "calls", "tokens", "time", "repeating", "brain failed"]
UNKNOWN_OUTCOME = (
    "the program was stopped while this call ran; it may have taken effect. Look before you call "
    "it again."
)


@dataclass(frozen=True)
class Budget:
    """How much one run may use."""

    steps: int = 10  # turns of the model
    calls: int = 30
    tokens: int = 20_000  # written by the model
    seconds: int | float = 300
    retries: int = 2  # of a model that fails
    repeats: int = 3  # turns with the same calls and the same results


@dataclass(frozen=True)
class Run:
    """How a run has ended."""

    end: End
    answer: str | None
    log: EventLog
    messages: list[Message]


@dataclass
class Agent:
    """A brain, its tools, and the rules under which it works."""

    brain: Brain
    tools: Sequence[Tool] = ()
    budget: Budget = field(default_factory=Budget)
    limits: Limits = DEFAULT_LIMITS
    policy: Policy = ALLOW_ALL
    approve: Callable[[ToolCall], bool] = lambda call: False  # who is asked when a policy asks
    system: str | None = None
    context: int | None = None  # the most that the model gets to read, measured by `size`
    size: Size = len
    wait: Callable[[int], None] = lambda attempt: time.sleep(min(0.2 * 2**attempt, 10.0))

    def run(self, task: str, log: EventLog | None = None) -> Run:
        """Work on a task; a log with events of the same task is resumed where it ends."""
        log = EventLog() if log is None else log
        if not log.events:
            log.add("started", task=task)
        elif log.events[0] != {"event": "started", "task": task}:
            raise ValueError(
                f"a log belongs to one task; got {task!r} for a log that began with "
                f"{log.events[0]}. Take a new log."
            )
        return _Work(self, task, log).go_on()


class _Work:
    """One run: the log, and the conversation that it describes."""

    def __init__(self, agent: Agent, task: str, log: EventLog) -> None:
        self.agent, self.task, self.log = agent, task, log
        self.tools = {tool.name: tool for tool in agent.tools}
        self.began = time.monotonic()

    def go_on(self) -> Run:
        """Go on until the run ends, and return how."""
        while not self._ended() and not self._answered():
            for call, begun in open_calls(self.log.events):
                if self._spent() in ("calls", "time"):
                    break
                self._finish(ToolCall(call["name"], call["arguments"], call["id"]), begun)
            end = self._spent()
            if end is not None:
                self.log.add("ended", state=end, answer=None)
                break
            self._turn()
        last = self.log.events[-1]
        return Run(last["state"], last["answer"], self.log, self.messages())

    def _ended(self) -> bool:
        return self.log.events[-1]["event"] == "ended"

    def _answered(self) -> bool:
        """End the run if the last turn of the model is an answer."""
        last = self.log.events[-1]
        found = last["event"] == "reply" and not last["calls"] and not last["errors"]
        if found:
            self.log.add("ended", state="answered", answer=last["text"])
        return found

    def _of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.log.events if event["event"] == kind]

    def _spent(self) -> End | None:
        """Return which part of the budget is spent."""
        budget, replies = self.agent.budget, self._of("reply")
        if time.monotonic() - self.began >= budget.seconds:
            return "time"
        if len(self._of("result")) >= budget.calls:
            return "calls"
        if len(replies) >= budget.steps:
            return "steps"
        if sum(reply["tokens"] for reply in replies) >= budget.tokens:
            return "tokens"
        turns = list(_turns(self.log.events))[-budget.repeats :]
        same = len(turns) == budget.repeats and all(turn and turn == turns[0] for turn in turns)
        return "repeating" if same else None

    def _turn(self) -> None:
        """Ask the model for a turn, and write it into the log."""
        reply = self._asked()
        if reply is None:
            self.log.add("ended", state="brain failed", answer=None)
            return
        calls = self._with_ids(reply.calls)
        self.log.add("reply", text=reply.text, calls=calls, errors=list(reply.errors),
                     tokens=reply.tokens)  # fmt: skip

    def _asked(self) -> Reply | None:
        for attempt in range(self.agent.budget.retries + 1):
            try:
                return self.agent.brain.reply(self.messages(), self.agent.tools)
            except Exception as error:  # the brain may be anything, and the log must go on
                self.log.add("failed", error=f"{type(error).__name__}: {error}")
                if attempt < self.agent.budget.retries:
                    self.agent.wait(attempt)
        return None

    def _with_ids(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """Return calls with an id each; an id that was used before is marked, and replaced."""
        used = {call["id"] for reply in self._of("reply") for call in reply["calls"]}
        found = []
        for call in calls:
            number = len(used) + 1
            while (fresh := f"call_{number}") in used:
                number += 1
            twice = call.id in used
            own = fresh if twice or not call.id else call.id
            used.add(own)
            found.append({"id": own, "name": call.name, "arguments": dict(call.arguments),
                          **({"duplicate_of": call.id} if twice else {})})  # fmt: skip
        return found

    def _finish(self, call: ToolCall, begun: bool) -> None:
        """Bring a call to its result, and write it into the log."""
        result = self._refusal(call)
        if result is None and begun and self.tools[call.name].effect:
            result = ToolResult("interrupted", UNKNOWN_OUTCOME)
        if result is None:
            self.log.add("begun", id=call.id)
            result = run_tool(self.tools[call.name], call.arguments, self.agent.limits)
        self.log.add("result", id=call.id, status=result.status, text=result.seen)

    def _refusal(self, call: ToolCall) -> ToolResult | None:
        """Return why a call is not run, or None."""
        written = next(c for r in self._of("reply") for c in r["calls"] if c["id"] == call.id)
        if "duplicate_of" in written:
            return ToolResult("duplicate", f"the id {written['duplicate_of']!r} was used before.")
        tool = self.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return ToolResult("unknown tool", f"there is no tool {call.name!r}; there are: {known}")
        problems = argument_problems(call.arguments, tool.parameters)
        if problems:
            return ToolResult("bad arguments", " ".join(each.message for each in problems))
        decision = self.agent.policy(self._situation(call, tool))
        if decision.verdict == "ask" and self.agent.approve(call):
            return None
        return None if decision.verdict == "allow" else ToolResult("refused", decision.reason)

    def _situation(self, call: ToolCall, tool: Tool) -> Situation:
        """Return what a policy may know: the user's own words, and what strangers have written."""
        names = {c["id"]: c["name"] for reply in self._of("reply") for c in reply["calls"]}
        read = [
            event["text"]
            for event in self._of("result")
            if (found := self.tools.get(names[event["id"]])) is None or found.untrusted
        ]
        read += [each.description for each in self.agent.tools if each.foreign]
        return Situation(call, tool, self.task, tuple(read))

    def messages(self) -> list[Message]:
        """Return the conversation so far, as much of it as fits into the context."""
        found = list(_conversation(self.agent.system, self.task, self.log.events))
        if self.agent.context is None:
            return found
        return trimmed(found, self.agent.context, self.agent.size)


def _conversation(
    system: str | None, task: str, events: Sequence[Mapping[str, Any]]
) -> Iterator[Message]:
    """Yield the messages that a log describes."""
    if system is not None:
        yield {"role": "system", "content": system}
    yield {"role": "user", "content": task}
    for event in events:
        if event["event"] == "reply":
            calls = [ToolCall(c["name"], c["arguments"], c["id"]) for c in event["calls"]]
            message: dict[str, Any] = {"role": "assistant", "content": event["text"]}
            if calls:
                message["tool_calls"] = [call.as_message() for call in calls]
            yield message
            if event["errors"]:
                yield {"role": "user", "content": f"error: {' '.join(event['errors'])}"}
        elif event["event"] == "result":
            yield {"role": "tool", "tool_call_id": event["id"], "content": event["text"]}


def _turns(events: Sequence[Mapping[str, Any]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the calls of each turn with their results; two equal turns have made no progress."""
    results = {event["id"]: event["text"] for event in events if event["event"] == "result"}
    for event in events:
        if event["event"] == "reply":
            calls = event["calls"]
            yield [
                *((call["name"], call["arguments"], results.get(call["id"])) for call in calls),
                *((error,) for error in event["errors"]),
            ]
