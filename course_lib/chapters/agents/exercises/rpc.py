"""The exercise on JSON-RPC: which messages are answered, and how."""

from collections.abc import Iterator
from contextlib import contextmanager

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.chapters.agents.exercises.generators import CALLED, METHODS
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


class NotCalledError(AssertionError):
    """A notification had no effect."""


@contextmanager
def _notified(given: Call) -> Iterator[None]:
    """Raise an error if a notification's method could be called, and was not."""
    message, methods = given.args
    CALLED.clear()
    yield
    if isinstance(message, dict) and _valid(message) and "id" not in message:
        params = message.get("params", {})
        if message["method"] in methods and isinstance(params, dict) and not CALLED:
            raise NotCalledError(
                f"the method {message['method']!r} was not called. A notification has no answer, "
                "but it has an effect: call its method, then return None."
            )


SUM = {"jsonrpc": "2.0", "id": 7, "method": "sum", "params": {"a": 1, "b": 2}}


def _good_id(value):
    return type(value) in (int, str)


def _error(number, code):
    return {"jsonrpc": "2.0", "id": number, "error": {"code": code}}


def _valid(message):
    return (
        message.get("jsonrpc") == "2.0"
        and isinstance(message.get("method"), str)
        and ("id" not in message or _good_id(message["id"]))
    )


def _outcome(message, methods, names=("result",)):
    params = message.get("params", {})
    if message["method"] not in methods:
        return {"error": {"code": -32601}}
    if not isinstance(params, dict):
        return {"error": {"code": -32602}}
    try:
        return {"result": methods[message["method"]](params)}
    except Exception:
        return {"error": {"code": -32603}}


def _by_steps(message, methods):
    if not isinstance(message, dict):
        return _error(None, -32600)
    if not _valid(message):
        number = message.get("id")
        return _error(number if _good_id(number) else None, -32600)
    outcome = _outcome(message, methods)
    return {"jsonrpc": "2.0", "id": message["id"], **outcome} if "id" in message else None


def _early(message, methods):
    number = message.get("id") if isinstance(message, dict) else None
    number = number if _good_id(number) else None
    if not isinstance(message, dict) or not _valid(message):
        return _error(number, -32600)
    if "id" not in message:
        _outcome(message, methods)
        return None
    method, params = methods.get(message["method"]), message.get("params", {})
    if method is None:
        return _error(number, -32601)
    if not isinstance(params, dict):
        return _error(number, -32602)
    try:
        return {"jsonrpc": "2.0", "id": number, "result": method(params)}
    except Exception:
        return _error(number, -32603)


def _by_cases(message, methods):
    match message:
        case {"jsonrpc": "2.0", "method": str(), "id": number} if _good_id(number):
            return {"jsonrpc": "2.0", "id": number, **_outcome(message, methods)}
        case {"jsonrpc": "2.0", "method": str(), **rest} if "id" not in rest:
            return _outcome(message, methods) and None
        case {"id": number} if _good_id(number):
            return _error(number, -32600)
    return _error(None, -32600)


class _Wrong(Exception):  # noqa: N818
    pass


def _raised(message, methods):
    number = None
    try:
        if not isinstance(message, dict):
            raise _Wrong(-32600)
        number = message["id"] if _good_id(message.get("id")) else None
        if not _valid(message):
            raise _Wrong(-32600)
        outcome = _outcome(message, methods)
    except _Wrong as wrong:
        return _error(number, wrong.args[0])
    return {"jsonrpc": "2.0", "id": number, **outcome} if "id" in message else None


def _always(message, methods):
    found = _by_steps(message, methods)
    if found is None:
        return {"jsonrpc": "2.0", "id": None, **_outcome(message, methods)}
    return found


def _errors_always(message, methods):
    found = _by_steps(message, methods)
    if found is None and "error" in _outcome(message, methods):
        return {"jsonrpc": "2.0", "id": None, **_outcome(message, methods)}
    return found


def _truthy_id(message, methods):
    found = _by_steps(message, methods)
    return found if found is None or found["id"] or "error" in found else None


def _recoded(change):
    def answer(message, methods):
        found = _by_steps(message, methods)
        if found is not None and "error" in found:
            code = found["error"]["code"]
            found["error"]["code"] = change.get(code, code)
        return found

    return answer


def _not_called(message, methods):
    if isinstance(message, dict) and "id" not in message and _valid(message):
        return None
    return _by_steps(message, methods)


def _empty_params(message, methods):
    if isinstance(message, dict):
        message = {**message, "params": message.get("params") or {}}
    return _by_steps(message, methods)


def _params_first(message, methods):
    found = _by_steps(message, methods)
    if found and found.get("error") == {"code": -32601}:
        listed = not isinstance(message.get("params", {}), dict)
        found["error"] = {"code": -32602 if listed else -32601}
    return found


def _no_result(message, methods):
    found = _by_steps(message, methods)
    return None if found and found.get("result", 0) is None else found


def _any_id(message, methods):
    if isinstance(message, dict) and "id" in message and not _good_id(message["id"]):
        return {**_by_steps({**message, "id": 0}, methods), "id": message["id"]}
    return _by_steps(message, methods)


def _version_ignored(message, methods):
    if isinstance(message, dict):
        return _by_steps({**message, "jsonrpc": "2.0"}, methods)
    return _by_steps(message, methods)


def _id_lost(message, methods):
    found = _by_steps(message, methods)
    return {**found, "id": None} if found and "error" in found else found


RPC = Exercise(
    id="agents.rpc",
    title="Answers in JSON-RPC",
    minutes=15,
    difficulty=3,
    statement=(
        "`message` is parsed JSON; `methods` maps names to functions that take one dict. Return "
        "the answer as a dict, or None. A message is valid if it is a dict with jsonrpc '2.0', a "
        "method that is a string, and, if it has an id, a string or an integer (not a bool) as "
        "id. An answer has jsonrpc ('2.0'), id (that of the message) and either result or error, "
        "here {'code': ...}. Codes: -32600 the message is not valid; -32601 unknown method; "
        "-32602 params is not a dict (without params, it is {}); -32603 the method raised an "
        "exception; the first that is true counts. The answer to a message that is not valid has "
        "its id if that is a string or an integer, else None. A valid message without an id is a "
        "notification: call its method, if that is possible, and return None, whatever happens."
    ),
    solution=answers.answer_of,
    watch=_notified,
    reference=_by_steps,
    generator=generators.rpc,
    probes=(
        Probe("a request", lambda: call(SUM, METHODS), "1 + 2, with the id of the request."),
        Probe("an id of 0", lambda: call({**SUM, "id": 0}, METHODS), "0 is an id like any other."),
        Probe(
            "a notification",
            lambda: call({k: v for k, v in SUM.items() if k != "id"}, METHODS),
            "No id: no answer.",
        ),
        Probe(
            "a notification of an unknown method",
            lambda: call({"jsonrpc": "2.0", "method": "lost"}, METHODS),
            "Not even an error is answered.",
        ),
        Probe("an unknown method", lambda: call({**SUM, "method": "lost"}, METHODS), "-32601."),
        Probe(
            "an unknown method with a list",
            lambda: call({**SUM, "method": "lost", "params": [1, 2]}, METHODS),
            "The first code that is true counts: -32601.",
        ),
        Probe("a method that raises", lambda: call({**SUM, "params": {}}, METHODS), "-32603."),
        Probe("params in a list", lambda: call({**SUM, "params": [1, 2]}, METHODS), "-32602."),
        Probe(
            "a method that divides by 0",
            lambda: call({**SUM, "method": "half", "params": {}}, METHODS),
            "-32603, whatever the exception.",
        ),
        Probe("params that are null", lambda: call({**SUM, "params": None}, METHODS), "-32602."),
        Probe(
            "no params and no result",
            lambda: call({"jsonrpc": "2.0", "id": "x", "method": "nothing"}, METHODS),
            "The result None is a result.",
        ),
        Probe(
            "no object", lambda: call([SUM], METHODS), "A list is not a message; the id is None."
        ),
        Probe("an old version", lambda: call({**SUM, "jsonrpc": "1.0"}, METHODS), "-32600, id 7."),
        Probe(
            "an id that is none", lambda: call({**SUM, "id": None}, METHODS), "null is not an id."
        ),
        Probe(
            "a bool as id",
            lambda: call({**SUM, "id": True}, METHODS),
            "A bool is not an integer here.",
        ),
        Probe(
            "a method that is not a string", lambda: call({**SUM, "method": 3}, METHODS), "-32600."
        ),
        Probe(
            "not valid and without id",
            lambda: call({"jsonrpc": "2.0", "method": 3}, METHODS),
            "Only a valid message can be a notification.",
        ),
    ),
    misconceptions=(
        Misconception(
            "notifications answered",
            _always,
            "A message without id is a notification: nobody waits for an answer. Return None.",
        ),
        Misconception(
            "errors of notifications answered",
            _errors_always,
            "Even if a notification fails or its method is unknown, it is not answered.",
        ),
        Misconception(
            "notifications not called",
            _not_called,
            "You return None before the method is called. A notification has no answer, but it has "
            "an effect.",
        ),
        Misconception(
            "empty params are none",
            _empty_params,
            "`message.get('params') or {}` also replaces null and []. Both are there and are not a "
            "dict: -32602.",
        ),
        Misconception(
            "an id of 0 is none",
            _truthy_id,
            "0 and '' are ids. Check `'id' in message`, not whether the id is truthy.",
        ),
        Misconception(
            "an unknown method is not valid",
            _recoded({-32601: -32600}),
            "The message is valid; only the method is unknown: -32601.",
        ),
        Misconception(
            "params looked at first",
            _params_first,
            "Where the method is unknown, nobody can say what its params should be: -32601 comes "
            "before -32602.",
        ),
        Misconception(
            "every failure is internal",
            _recoded({-32601: -32603, -32602: -32603}),
            "A client can act on the code: -32601 unknown method, -32602 wrong params.",
        ),
        Misconception(
            "errors of a method blamed on params",
            _recoded({-32603: -32602}),
            "The params are a dict, so they are well formed. What the method raises is -32603.",
        ),
        Misconception(
            "None is no result",
            _no_result,
            "A request is always answered. If the method returns None, the result is null.",
        ),
        Misconception(
            "any id goes",
            _any_id,
            "An id is a string or an integer; null, true and lists make a message invalid.",
        ),
        Misconception(
            "the version not checked", _version_ignored, "jsonrpc must be the string '2.0'."
        ),
        Misconception(
            "errors without id",
            _id_lost,
            "The client finds its request by the id, even if the request failed.",
        ),
    ),
    alternatives=(
        Alternative("early returns", _early),
        Alternative("pattern matching", _by_cases),
        Alternative("exceptions", _raised),
    ),
    hints=(
        "First decide whether the message is valid. isinstance(True, int) is true, so exclude "
        "bool.",
        "Then compute a result or an error code, and only at the end ask whether 'id' is in the "
        "message.",
    ),
)
