"""JSON-RPC 2.0: requests, notifications and errors.

    {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}     a request wants an answer
    {"jsonrpc": "2.0", "id": 7, "result": {"tools": []}}                  its answer has the same id
    {"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "…"}}
    {"jsonrpc": "2.0", "method": "notifications/cancelled"}               no id: never answered

A method of a notification may fail or not exist; nobody is told. An answer that nobody waits for
would be taken for the answer to something else.

Taught in:        agents
Paper:            JSON-RPC 2.0 specification, jsonrpc.org
Checked against:  the official MCP SDK, in both directions
Shapes:           none
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603

Method = Callable[[dict[str, Any]], Any]
Answer = dict[str, Any]


class RpcError(Exception):
    """An error with a code, as it goes over the wire."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(f"{message} (code {code})")
        self.code, self.message, self.data = code, message, data


def error_answer(number: Any, code: int, message: str, data: Any = None) -> Answer:
    """Return the answer that says what is wrong."""
    error = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def dispatch(message: Any, methods: Mapping[str, Method]) -> Answer | None:
    """Return the answer to a message; None if it wants none."""
    if not isinstance(message, dict):
        return error_answer(None, INVALID_REQUEST, f"a message is an object; got {message!r}.")
    number, method, params = message.get("id"), message.get("method"), message.get("params", {})
    known, wants_answer = number if is_id(number) else None, "id" in message
    if message.get("jsonrpc") != "2.0":
        return error_answer(known, INVALID_REQUEST, 'a message has "jsonrpc": "2.0".')
    if "method" not in message and ("result" in message or "error" in message):
        return None  # an answer to something that we asked
    if not isinstance(method, str) or (wants_answer and not is_id(number)):
        return error_answer(known, INVALID_REQUEST, "a method is a text, an id a text or a number.")
    try:
        if method not in methods:
            raise RpcError(METHOD_NOT_FOUND, f"there is no method {method!r} here.")
        if not isinstance(params, dict):
            raise RpcError(INVALID_PARAMS, f"params is an object; got {params!r}.")
        answer = {"jsonrpc": "2.0", "id": number, "result": methods[method](params)}
    except RpcError as error:
        answer = error_answer(number, error.code, error.message, error.data)
    except Exception as error:
        answer = error_answer(number, INTERNAL_ERROR, f"{type(error).__name__}: {error}")
    return answer if wants_answer else None


def dispatch_text(text: str | bytes, methods: Mapping[str, Method]) -> str | None:
    """Return the answer to a message that has yet to be parsed, as a line of JSON."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        return json.dumps(error_answer(None, PARSE_ERROR, f"a message is JSON; {error}."))
    answer = dispatch(message, methods)
    return None if answer is None else json.dumps(answer)


def is_id(value: Any) -> bool:
    """Return whether a value may identify a request: a text or a whole number."""
    return isinstance(value, str | int) and not isinstance(value, bool)
