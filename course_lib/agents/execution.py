"""Run a tool in a process of its own, for at most so long, with at most so much output.

A tool may hang, print without end, crash, or return something that is not JSON. None of it may
harm the agent: whatever happens, the model gets a short text and the loop goes on.

    status      what happened
    ok          the function returned; the text is its result
    error       it raised an error, or its process died
    timeout     it was stopped after `seconds`
    too long    it was stopped after `characters` of output
    invalid     what it returned cannot be written as JSON

A process of its own is a fence against accidents, not a sandbox: it may still read files and use
the network. For code that you do not trust use a container or a virtual machine.

Taught in:        agents
Checked against:  tools that raise, hang, print without end and return what is no JSON
Shapes:           none
"""

import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from course_lib.agents.schemas import Tool

PROGRAM = Path(__file__).with_name("tool_process.py")
KEPT = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TZ")  # no keys, no tokens
GRACE = 1.0  # seconds for the channels of a process that was stopped


@dataclass(frozen=True)
class Limits:
    """How much one call may use."""

    seconds: int | float = 10
    characters: int = 10_000
    memory: int | None = None  # bytes of addresses; where the system can limit them


@dataclass(frozen=True)
class ToolResult:
    """What came out of a call."""

    status: str
    text: str
    seconds: float = 0.0

    @property
    def seen(self) -> str:
        """The text that the model reads."""
        return self.text if self.status == "ok" else f"error: {self.text}"


DEFAULT_LIMITS = Limits()


def run_tool(
    tool: Tool, arguments: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS
) -> ToolResult:
    """Return what a tool answers to arguments that have been validated."""
    began = time.perf_counter()
    call = _in_process if tool.isolated else _here
    status, text = call(tool.function, arguments, limits)
    if len(text) > limits.characters:
        text = f"{text[: limits.characters]} ... (cut after {limits.characters} characters)"
    return ToolResult(status, text, time.perf_counter() - began)


def _here(
    function: Callable[..., Any], arguments: Mapping[str, Any], limits: Limits
) -> tuple[str, str]:
    """Run a function of our own, which needs what is in this process; it cannot be stopped."""
    try:
        result = function(**arguments)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    try:
        return "ok", result if isinstance(result, str) else json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        return "invalid", f"the tool returned no JSON; {error}."


def _in_process(
    function: Callable[..., Any], arguments: Mapping[str, Any], limits: Limits
) -> tuple[str, str]:
    request = {**_place(function), "arguments": dict(arguments), "memory": limits.memory}
    data = json.dumps(request).encode()
    with tempfile.TemporaryDirectory() as folder:
        process = _start(folder)
        reader = _Output(process, limits.characters)
        status = reader.finish(data, limits.seconds)
    if status is not None:
        return status
    try:
        answer = json.loads(reader.text)
        return answer["status"], answer["text"]
    except (ValueError, KeyError, TypeError):
        return "error", f"the process of the tool died with exit status {process.returncode}."


def _place(function: Callable[..., Any]) -> dict[str, Any]:
    """Return where another process finds a function: in its file, or its own source."""
    if "<locals>" in function.__qualname__ or "." in function.__qualname__:
        raise ValueError(
            f"a tool in a process of its own must be a function of a module or of a cell; got "
            f"{function.__qualname__}. Define it at the top, or make the tool with isolated=False."
        )
    module = function.__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    own = module in ("__main__", "__mp_main__") or file is None
    source = textwrap.dedent(inspect.getsource(function)) if own else None
    return {"name": function.__name__, "file": file, "source": source, "path": sys.path}


def _start(folder: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={name: os.environ[name] for name in KEPT if name in os.environ},
        start_new_session=True,
    )


class _Output:
    """Reads both channels of a process, and stops it if they carry too much."""

    def __init__(self, process: "subprocess.Popen[bytes]", most: int) -> None:
        self.process, self.most = process, most
        self.too_long = False
        self.parts: dict[str, bytes] = {"result": b"", "printed": b""}
        self.threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in (("result", process.stdout), ("printed", process.stderr))
        ]
        for thread in self.threads:
            thread.start()

    @property
    def text(self) -> str:
        return self.parts["result"].decode("utf-8", "replace")

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        most = 4 * self.most + 1000  # bytes of a character, and the frame around the result
        while data := os.read(pipe.fileno(), 65_536):
            self.parts[name] += data
            if len(self.parts[name]) > most:
                self.too_long = True
                _stop(self.process)
                return

    def finish(self, data: bytes, seconds: int | float) -> tuple[str, str] | None:
        """Send the request and wait; return why the process was stopped, or None."""
        pipe = self.process.stdin
        assert pipe is not None, "the process was started with a pipe"
        try:
            pipe.write(data)
            pipe.close()
        except OSError:  # it has died; its exit status says more
            pass
        late = False
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            late = True
        _stop(self.process)  # and whatever it has started
        self.process.wait()
        for thread in self.threads:
            thread.join(GRACE)
        self._close()
        if self.too_long:
            return "too long", f"stopped after more than {self.most} characters of output."
        return ("timeout", f"stopped after {seconds:g} seconds.") if late else None

    def _close(self) -> None:
        for thread, pipe in zip(
            self.threads, (self.process.stdout, self.process.stderr), strict=True
        ):
            if pipe is not None and not thread.is_alive():
                pipe.close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass
