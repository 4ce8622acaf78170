"""Memory: what of a long conversation the model gets to read.

A context is finite. When it is full, the oldest turns go first, under three rules: the system's
message and the task stay; a call and its results stay or go together, since a result without its
call means nothing and most APIs reject it; and the newest turns are whole.

What goes can be *compacted*: replaced by a summary. A summary is cheap and loses details; a note
that the agent writes into a file with a tool keeps them.

Taught in:        agents
Paper:            Packer et al. 2023, arXiv:2310.08560 (a memory in levels)
Checked against:  all subsets of turns, tried one by one
Shapes:           none
"""

import json
from collections.abc import Callable, Sequence

from course_lib.agents.calls import Message

Size = Callable[[str], int]  # of a text, such as the number of its tokens


def message_text(message: Message) -> str:
    """Return all that a model reads of a message: its content and its calls."""
    calls = message.get("tool_calls")
    return (message["content"] or "") + (json.dumps(calls) if calls else "")


def groups(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """Return what always stays, and the turns after it: a reply with its results is one."""
    head: list[Message] = []
    turns: list[list[Message]] = []
    for message in messages:
        if not turns and message["role"] in ("system", "user") and not _has_task(head):
            head.append(message)
        elif message["role"] == "tool" and turns:
            turns[-1].append(message)
        else:
            turns.append([message])
    return head, turns


def trimmed(messages: Sequence[Message], budget: int, size: Size = len) -> list[Message]:
    """Return the head and as many of the newest turns as fit into the budget."""
    head, turns = groups(messages)
    room = budget - _size(head, size)
    if room < 0:
        raise ValueError(
            f"the system's message and the task must fit into the context of {budget}; they take "
            f"{budget - room}. Shorten them, or take a model with a longer context."
        )
    kept: list[Message] = []
    for turn in reversed(turns):
        room -= _size(turn, size)
        if room < 0:
            break
        kept = [*turn, *kept]
    return [*head, *kept]


def compacted(
    messages: Sequence[Message],
    budget: int,
    summarise: Callable[[Sequence[Message]], str],
    size: Size = len,
) -> list[Message]:
    """Return the messages, the oldest turns replaced by a summary if they do not fit.

    The summary is the first turn after the task. It was written by a model that has read untrusted
    text, and is as trustworthy as that text.
    """
    head, turns = groups(messages)
    if _size(messages, size) <= budget:
        return list(messages)
    for first in range(1, len(turns) + 1):
        old = [message for turn in turns[:first] for message in turn]
        note = {"role": "user", "content": f"What happened before: {summarise(old)}"}
        rest = [message for turn in turns[first:] for message in turn]
        found = [*head, note, *rest]
        if _size(found, size) <= budget:
            return found
    raise ValueError(
        f"the task and a summary must fit into the context of {budget}; got "
        f"{_size([*head, note] if turns else head, size)}. Write shorter summaries."
    )


def _has_task(head: Sequence[Message]) -> bool:
    return any(message["role"] == "user" for message in head)


def _size(messages: Sequence[Message], size: Size) -> int:
    return sum(size(message_text(message)) for message in messages)
