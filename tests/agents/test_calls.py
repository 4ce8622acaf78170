"""Calls in a text: those that the template writes are found, and nothing stops the reader."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.agents import call_blocks, parse_reply
from course_lib.tokenization.chat import render_chatml

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=6), st.dictionaries(st.text(max_size=4), JSON)),
        max_size=3,
    )
)
def test_what_the_template_writes_is_read(calls):
    message = {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"name": name, "arguments": arguments} for name, arguments in calls],
    }
    text = render_chatml([{"role": "user", "content": "?"}, message])
    turn = text.split("<|im_start|>assistant\n")[1].split("<|im_end|>")[0]
    if any("tool_call>" in json.dumps(each) or "<|im" in json.dumps(each) for each in calls):
        return
    reply = parse_reply(turn)
    assert [(call.name, call.arguments) for call in reply.calls] == calls
    assert (reply.text, reply.errors) == ("I look.", ())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet='<tol_ca>/{}"name:123, ', max_size=60))
def test_no_text_stops_the_reader(text):
    reply = parse_reply(text)
    blocks = call_blocks(text)[1]
    assert len(reply.calls) + len(reply.errors) == len(blocks)


@pytest.mark.parametrize(
    ("block", "about"),
    [
        ("{", "JSON"),
        ("[1]", "object"),
        ('{"name": "f"}', "arguments"),
        ('{"name": "", "arguments": {}}', "name"),
        ('{"name": 3, "arguments": {}}', "name"),
        ('{"name": "f", "arguments": "{}"}', "arguments"),
        ('{"name": "f", "arguments": {"x": NaN}}', "NaN"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_errors_say_what_is_wrong(block, about):
    reply = parse_reply(f"<tool_call>{block}</tool_call>")
    assert reply.calls == ()
    assert about in reply.errors[0]


def test_a_block_without_an_end_is_an_error():
    reply = parse_reply('Well. <tool_call>{"name": "f", "arguments": {}}')
    assert (reply.text, reply.calls) == ("Well.", ())
    assert "</tool_call>" in reply.errors[0]
