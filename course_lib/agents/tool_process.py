"""The other side of `execution`: a small program that runs one tool and ends.

It reads a request from its standard input and writes one line of JSON. What the tool prints goes to
the error channel, so it cannot be mistaken for the result. It is started by its path and imports
nothing of the course, so a call costs tens of milliseconds and not the seconds of importing torch.

Taught in:        agents
Checked against:  tools that raise, hang, print without end and return what is no JSON
Shapes:           none
"""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any


def load(request: dict[str, Any]) -> Callable[..., Any]:
    """Return the function of a request: from its file, or from its own source."""
    if request["source"] is not None:
        names: dict[str, Any] = {"__name__": "tool"}
        exec(compile(request["source"], "<tool>", "exec"), names)
        found: Callable[..., Any] = names[request["name"]]
        return found
    spec = importlib.util.spec_from_file_location("tool", request["file"])
    assert spec is not None, "the file of a function is Python"
    assert spec.loader is not None, "the file of a function is Python"
    module = importlib.util.module_from_spec(spec)
    sys.modules["tool"] = module
    spec.loader.exec_module(module)
    found = getattr(module, request["name"])
    return found


def limit_memory(size: int | None) -> None:
    """Let the process use at most so many bytes of addresses, where the system can do that."""
    if size is not None and os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def answer(request: dict[str, Any]) -> dict[str, str]:
    """Return the status and the text of a call."""
    try:
        result = load(request)(**request["arguments"])
    except BaseException as error:
        return {"status": "error", "text": f"{type(error).__name__}: {error}"}
    if isinstance(result, str):
        return {"status": "ok", "text": result}
    try:
        return {"status": "ok", "text": json.dumps(result, allow_nan=False, ensure_ascii=False)}
    except (TypeError, ValueError) as error:
        return {"status": "invalid", "text": f"the tool returned no JSON; {error}."}


def main() -> None:
    """Answer one request."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    sys.path[:] = request["path"]
    limit_memory(request["memory"])
    result = answer(request)
    sys.stdout.flush()
    sys.stderr.flush()
    channel.write(json.dumps(result))
    channel.close()
    os._exit(0)  # threads that the tool has started do not keep it alive


if __name__ == "__main__":
    main()
