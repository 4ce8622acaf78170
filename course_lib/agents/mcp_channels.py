"""How an MCP client reaches a server: a process that it starts, or an address.

Each channel has one method, `ask`: send a message, and return the answer with its id, or None for a
notification. Whatever else comes meanwhile is a notification, which is skipped, or a question of
the server, which is answered.

A server that dies ends the wait with a ConnectionError, a silent one with a TimeoutError. Nothing
waits for ever.

Taught in:        agents
Paper:            Model Context Protocol, modelcontextprotocol.io
Checked against:  servers of the official SDK; servers that die and that are silent
Shapes:           none
"""

import json
import queue
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Protocol, runtime_checkable

from course_lib.agents.json_rpc import Method, dispatch
from course_lib.agents.mcp_versions import (
    HEADER_METHOD,
    HEADER_NAME,
    HEADER_SESSION,
    HEADER_VERSION,
    revision_of,
)

Message = dict[str, Any]
ANSWERS: Mapping[str, Method] = {"ping": lambda params: {}}  # what a server may ask of us
GRACE = 2.0  # seconds for a server to end by itself
LONGEST = 16 * 2**20  # bytes of an answer


@runtime_checkable
class Channel(Protocol):
    """A way to a server."""

    def ask(self, message: Message, timeout: int | float) -> Message | None:
        """Send a message; return its answer, or None for a notification."""

    def close(self) -> None:
        """Leave the server."""


class StdioChannel:
    """A server as a process of ours: a message is a line."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=None if env is None else dict(env),
        )  # fmt: skip
        self.lines: queue.Queue[bytes | None] = queue.Queue()
        assert self.process.stdout is not None, "the process was started with pipes"
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()

    def _read(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self.lines.put(line)
        self.lines.put(None)

    def _send(self, message: Message) -> None:
        pipe = self.process.stdin
        assert pipe is not None, "the process was started with pipes"
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
            pipe.flush()
        except (OSError, ValueError) as error:
            raise ConnectionError(f"the server has ended; {error}.") from error

    def ask(self, message: Message, timeout: int | float) -> Message | None:
        """Send a message; return its answer, or None for a notification."""
        self._send(message)
        while "id" in message:
            try:
                line = self.lines.get(timeout=timeout)
            except queue.Empty:
                raise TimeoutError(f"the server has not answered in {timeout:g} seconds.") from None
            if line is None:
                self.lines.put(None)  # whoever asks next learns it, too
                self.process.wait()
                raise ConnectionError(
                    f"the server ended with exit status {self.process.returncode}."
                )
            found = _parsed(line)
            if "method" in found:
                own = dispatch(found, ANSWERS)
                if own is not None:
                    self._send(own)
            elif found.get("id") == message["id"]:
                return found
        return None

    def close(self) -> None:
        """Close the channel, which asks the server to end; stop it if it does not."""
        if self.process.stdin is not None:
            with suppress(OSError):  # what was buffered for a server that has died
                self.process.stdin.close()
        try:
            self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(GRACE)
        if self.process.stdout is not None and not self.reader.is_alive():
            self.process.stdout.close()


class HttpChannel:
    """A server at an address: a message is a POST."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url, self.headers = url, dict(headers or {})
        self.session: str | None = None
        self.version: str | None = None  # of the session, once it is known

    def ask(self, message: Message, timeout: int | float) -> Message | None:
        """Send a message; return its answer, or None for a notification."""
        data, headers = json.dumps(message).encode(), self._headers(message)
        request = urllib.request.Request(self.url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                self.session = answer.headers.get(HEADER_SESSION, self.session)
                return self._found(answer, message)
        except urllib.error.HTTPError as error:
            with error:
                found = _parsed(error.read(LONGEST))
            if "error" in found:
                return found
            raise ConnectionError(f"{self.url} answered with status {error.code}.") from error
        except TimeoutError:
            raise
        except (OSError, ValueError) as error:
            raise ConnectionError(f"{self.url} cannot be reached; {error}.") from error

    def _headers(self, message: Message) -> dict[str, str]:
        params = message.get("params", {})
        version = revision_of(params) or self.version
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            **self.headers,
        }
        if version is not None:
            headers[HEADER_VERSION] = version
        if revision_of(params) is not None:
            headers[HEADER_METHOD] = message["method"]
            if message["method"] == "tools/call":
                headers[HEADER_NAME] = params["name"]
        if self.session is not None:
            headers[HEADER_SESSION] = self.session
        return headers

    def _found(self, answer: Any, message: Message) -> Message | None:
        if "id" not in message:
            return None
        if answer.headers.get_content_type() != "text/event-stream":
            return _parsed(answer.read(LONGEST))
        for found in map(_parsed, sse_data(answer)):
            if found.get("id") == message["id"] and "method" not in found:
                return found
        raise ConnectionError(f"{self.url} ended the stream without an answer.")

    def close(self) -> None:
        """Leave the server; nothing is open between two messages."""


def sse_data(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the data of each server-sent event, its lines joined."""
    data: list[bytes] = []
    for line in lines:
        text = line.rstrip(b"\r\n")
        if text.startswith(b"data:"):
            data.append(text[5:].removeprefix(b" "))
        elif not text and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def _parsed(data: bytes) -> Message:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}  # noise of a server that prints
    return found if isinstance(found, dict) else {}
