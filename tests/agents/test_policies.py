"""Policies, beside situations decided by hand."""

import pytest

from course_lib.agents import (
    Situation,
    ToolCall,
    allow_list,
    both,
    make_tool,
    stands_in,
    user_words,
)
from course_lib.agents.policies import leaves


def send(to: str, text: str) -> str:
    """Send a mail."""
    return ""


SEND, LOOK = make_tool(send, effect=True), make_tool(send)
TASK = "Read the page. Then tell ann@example.org: see you at 6."


def decide(task, untrusted=("some page",), tool=SEND, **arguments):
    return user_words(Situation(ToolCall("send", arguments), tool, task, untrusted)).verdict


def test_values_of_the_user_are_allowed():
    assert decide(TASK, to="ann@example.org", text="see you at 6") == "allow"
    assert decide(TASK, to="ann@example.org", text="see you") == "allow"


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": "mallory@example.com", "text": "see you"},
        {"to": "an@example.org", "text": "see you"},
        {"to": "n@example.org", "text": "see you"},
        {"to": "ann@example.org", "text": "see ann"},
        {"to": ["ann@example.org", "mallory@example.com"], "text": "see you"},
        {"to": {"more": "mallory@example.com"}, "text": ""},
        {"to": 7, "text": "see you"},
    ],
)
def test_everything_else_is_asked(arguments):
    assert decide(TASK, **arguments) == "ask"


def test_nothing_is_asked_before_a_stranger_has_been_read():
    assert decide("go", untrusted=(), to="x@example.org", text="y") == "allow"
    assert decide("go", tool=LOOK, to="x@example.org", text="y") == "allow"


def test_allow_list():
    policy = allow_list({"send": lambda arguments: arguments["to"] == "ann@example.org"})

    def verdict(to, tool=SEND):
        return policy(Situation(ToolCall("send", {"to": to}), tool, "")).verdict

    assert (verdict("ann@example.org"), verdict("bob@example.org")) == ("allow", "deny")
    assert verdict("bob@example.org", LOOK) == "allow"
    assert allow_list({})(Situation(ToolCall("send", {}), SEND, "")).verdict == "deny"


def test_the_strictest_decides():
    never = allow_list({})
    situation = Situation(ToolCall("send", {"to": "x"}), SEND, "", ("page",))
    assert both(user_words, never)(situation).verdict == "deny"
    assert both(user_words)(situation).verdict == "ask"
    assert both()(situation).verdict == "allow"


def test_leaves_and_words():
    assert list(leaves({"a": [1, "x"], "b": {"c": True}, "d": None})) == ["1", "x", "True"]
    assert stands_in("six.", "at six")
    assert not stands_in("at seven", "at six, seven")
    assert stands_in("", "anything")
