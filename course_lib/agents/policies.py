"""Policies: may this call run? Asked for each call, after its arguments have been checked.

    allow   run it          ask   a person decides          deny   the model reads why not

A model reads its orders and other people's texts in one stream, and cannot tell them apart. So no
policy here asks the model. `allow_list` looks at the call alone; `user_words` also looks at where
the values come from: after a stranger's text has been read, a call with an effect runs only if each
of its values stands in the user's own words. Whatever a stranger writes, in whatever language or
encoding, it cannot put words into the task.

Taught in:        agents
Paper:            Debenedetti et al. 2025, arXiv:2503.18813 (CaMeL: values carry their origin)
Checked against:  the planted attacks of `attacks`
Shapes:           none
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from course_lib.agents.calls import ToolCall
from course_lib.agents.schemas import Tool

AROUND = ".,;:!?\"'()<>[]"


@dataclass(frozen=True)
class Decision:
    """What a policy says, and why."""

    verdict: Literal["allow", "ask", "deny"]
    reason: str = ""


@dataclass(frozen=True)
class Situation:
    """A call, the task in the user's words, and all that strangers have written so far."""

    call: ToolCall
    tool: Tool
    task: str
    untrusted: tuple[str, ...] = ()


Policy = Callable[[Situation], Decision]
ALLOW = Decision("allow")


def ALLOW_ALL(situation: Situation) -> Decision:  # noqa: N802
    """Allow everything: what an agent without a policy does."""
    return ALLOW


def allow_list(allowed: Mapping[str, Callable[[Mapping[str, Any]], bool]]) -> Policy:
    """Return the policy that runs a tool with an effect only with arguments that pass its test."""

    def decide(situation: Situation) -> Decision:
        call, tool = situation.call, situation.tool
        if not tool.effect or (call.name in allowed and allowed[call.name](call.arguments)):
            return ALLOW
        return Decision("deny", f"{call.name} is not allowed with {dict(call.arguments)}.")

    return decide


def user_words(situation: Situation) -> Decision:
    """Allow an effect after untrusted text only with values that the user has written."""
    if not situation.tool.effect or not situation.untrusted:
        return ALLOW
    foreign = [
        value for value in leaves(situation.call.arguments)
        if not stands_in(value, situation.task)
    ]  # fmt: skip
    if not foreign:
        return ALLOW
    return Decision("ask", f"{foreign[0]!r} does not come from the user. A person must approve it.")


def both(*policies: Policy) -> Policy:
    """Return the policy that takes the strictest decision of several."""
    order = ("allow", "ask", "deny")

    def decide(situation: Situation) -> Decision:
        decisions = [policy(situation) for policy in policies]
        return max(decisions, key=lambda each: order.index(each.verdict), default=ALLOW)

    return decide


def leaves(value: Any) -> Iterator[str]:
    """Yield the texts, numbers and truth values inside of arguments, as texts."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    elif value is not None:
        yield str(value)


def words(text: str) -> list[str]:
    """Return the words of a text without the punctuation around them."""
    return [word for each in text.split() if (word := each.strip(AROUND))]


def stands_in(value: str, text: str) -> bool:
    """Return whether the words of a value stand in a text one after another, as whole words."""
    wanted, there = words(value), words(text)
    return _contains(there, wanted)


def _contains(there: Sequence[str], wanted: Sequence[str]) -> bool:
    starts = range(len(there) - len(wanted) + 1)
    return any(list(there[start : start + len(wanted)]) == list(wanted) for start in starts)
