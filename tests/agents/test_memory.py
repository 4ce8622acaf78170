"""Memory: what is kept fits, is as much as possible, and never tears a call from its result."""

import itertools
import random

import pytest

from course_lib.agents import compacted, trimmed
from course_lib.agents.memory import groups, message_text

TASK = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "the task"}]


def call(number):
    function = {"name": "f", "arguments": {"n": number}}
    return {"id": f"c{number}", "type": "function", "function": function}


def talk(rng, turns):
    messages = list(TASK)
    for number in range(turns):
        kinds = rng.randint(0, 2)
        message = {"role": "assistant", "content": "x" * rng.randint(0, 9)}
        if kinds:
            message["tool_calls"] = [call(10 * number + i) for i in range(kinds)]
        messages.append(message)
        messages += [
            {"role": "tool", "tool_call_id": f"c{10 * number + i}", "content": "y" * i}
            for i in range(kinds)
        ]
    return messages


def size(messages):
    return sum(len(message_text(message)) for message in messages)


def test_beside_every_number_of_turns():
    rng = random.Random(0)
    for _ in range(100):
        messages, budget = talk(rng, rng.randint(0, 5)), rng.randint(15, 600)
        head, turns = groups(messages)
        endings = ([*head, *itertools.chain(*turns[i:])] for i in range(len(turns) + 1))
        best = next(kept for kept in endings if size(kept) <= budget)
        assert trimmed(messages, budget) == best


def test_calls_and_results_stay_together():
    rng = random.Random(1)
    for _ in range(100):
        kept = trimmed(talk(rng, 5), rng.randint(15, 600))
        asked = [c["id"] for m in kept for c in m.get("tool_calls", ())]
        answered = [m["tool_call_id"] for m in kept if m["role"] == "tool"]
        assert asked == answered


def test_the_task_must_fit():
    with pytest.raises(ValueError, match=r"context of 10.*15"):
        trimmed(TASK, 10)


def test_the_oldest_turns_become_a_summary():
    messages = talk(random.Random(2), 5)
    short = compacted(messages, size(messages) - 1, lambda old: f"{len(old)} messages")
    assert short[:2] == TASK
    assert short[2]["role"] == "user"
    assert "messages" in short[2]["content"]
    assert short[3:] == messages[-len(short[3:]) :]
    assert size(short) < size(messages)
    assert compacted(messages, size(messages), lambda old: "never") == messages
    with pytest.raises(ValueError, match="context of 20"):
        compacted(messages, 20, lambda old: "a very long summary")
