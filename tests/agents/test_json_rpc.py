"""JSON-RPC: requests are answered, notifications never, and errors have the right codes."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.agents import RpcError, dispatch, dispatch_text


def fail(params):
    raise RpcError(-32000, "no", {"why": 1})


METHODS = {"add": lambda params: params["a"] + params["b"], "fail": fail}


def message(**fields):
    return {"jsonrpc": "2.0", **fields}


def test_a_request_is_answered_with_its_id():
    asked = message(id="x", method="add", params={"a": 2, "b": 40})
    assert dispatch(asked, METHODS) == message(id="x", result=42)
    assert dispatch({**asked, "id": 0}, METHODS)["id"] == 0


@pytest.mark.parametrize(
    ("asked", "code", "number"),
    [
        ([], -32600, None),
        ("add", -32600, None),
        ({"id": 1, "method": "add"}, -32600, 1),
        (message(id=1, method=3), -32600, 1),
        (message(id=None, method="add"), -32600, None),
        (message(id=True, method="add"), -32600, None),
        (message(id=1.5, method="add"), -32600, None),
        (message(id=1, method="sub"), -32601, 1),
        (message(id=1, method="add", params=[1, 2]), -32602, 1),
        (message(id=1, method="add"), -32603, 1),
        (message(id=1, method="fail"), -32000, 1),
    ],
)
def test_errors(asked, code, number):
    answer = dispatch(asked, METHODS)
    assert (answer["error"]["code"], answer["id"]) == (code, number)
    assert "result" not in answer


@pytest.mark.parametrize("method", ["add", "sub", "fail"])
def test_notifications_are_never_answered(method):
    assert dispatch(message(method=method), METHODS) is None


def test_answers_are_not_answered():
    assert dispatch(message(id=1, result={}), METHODS) is None
    assert dispatch(message(id=1, error={"code": 1, "message": ""}), METHODS) is None


def test_texts():
    assert json.loads(dispatch_text("{", METHODS))["error"]["code"] == -32700
    assert json.loads(dispatch_text(b"\xff", METHODS))["error"]["code"] == -32700
    assert json.loads(dispatch_text("[" * 100_000, METHODS))["error"]["code"] == -32700
    assert dispatch_text('{"jsonrpc": "2.0", "method": "add"}', METHODS) is None


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params"]), inner)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_nothing_raises(asked):
    answer = dispatch(asked, METHODS)
    assert answer is None or answer["jsonrpc"] == "2.0"
