"""An MCP server by hand: tools for any client, over stdio.

A client starts the server as a process. Messages are lines of JSON on its standard input and
output; anything else on the standard output would break the protocol, which is why tools run in
processes of their own and warnings go to the error channel.

    initialize, notifications/initialized   until 2025-11-25: a session begins
    server/discover                         since 2026-07-28: no session, `_meta` in each request
    ping, tools/list, tools/call            what the server is for

A tool that fails is a *result* with isError, which the model reads. An unknown method is an *error*
of the protocol, which the program reads.

Taught in:        agents
Paper:            Model Context Protocol, modelcontextprotocol.io
Checked against:  the client of the official SDK, in both revisions, over stdio and HTTP
Shapes:           none
"""

import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

from course_lib.agents.arguments import argument_problems
from course_lib.agents.execution import DEFAULT_LIMITS, Limits, ToolResult, run_tool
from course_lib.agents.json_rpc import INVALID_PARAMS, Method, RpcError, dispatch_text
from course_lib.agents.mcp_versions import (
    HANDSHAKE,
    META_SERVER,
    MODERN,
    UNSUPPORTED_VERSION,
    revision_of,
)
from course_lib.agents.schemas import Tool

FRESH = {"ttlMs": 60_000, "cacheScope": "public"}  # how long a list may be kept, and by whom


class McpServer:
    """Tools under a name, and the methods with which clients reach them."""

    def __init__(
        self,
        tools: Sequence[Tool],
        name: str = "course",
        version: str = "1",
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.about, self.limits = {"name": name, "version": version}, limits
        self.methods: dict[str, Method] = {
            "initialize": self.initialize,
            "notifications/initialized": lambda params: None,
            "notifications/cancelled": lambda params: None,
            "ping": lambda params: {},
            "server/discover": self._of_its_revision(self.discover),
            "tools/list": self._of_its_revision(self.list_tools),
            "tools/call": self._of_its_revision(self.call_tool),
        }

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        """Open a session in the client's revision, or in the newest that has sessions."""
        asked = params.get("protocolVersion")
        version = asked if asked in HANDSHAKE else HANDSHAKE[-1]
        abilities = {"tools": {"listChanged": False}}
        return {"protocolVersion": version, "capabilities": abilities, "serverInfo": self.about}

    def discover(self, params: dict[str, Any]) -> dict[str, Any]:
        """Say which revisions and what kinds of things are offered."""
        return {"supportedVersions": [*MODERN], "capabilities": {"tools": {}}, **FRESH}

    def list_tools(self, params: dict[str, Any]) -> dict[str, Any]:
        """Describe the tools."""
        return {"tools": [_listed(tool) for tool in self.tools.values()], **FRESH}

    def call_tool(self, params: dict[str, Any]) -> dict[str, Any]:
        """Run a tool; what goes wrong in it is a result, too."""
        name, arguments = params.get("name"), params.get("arguments", {})
        if name not in self.tools or not isinstance(arguments, dict):
            raise RpcError(
                INVALID_PARAMS,
                f"tools/call needs the name of a tool ({', '.join(self.tools)}) and arguments, "
                f"an object; got {name!r} and {arguments!r}.",
            )
        tool = self.tools[name]
        problems = argument_problems(arguments, tool.parameters)
        if problems:
            text = " ".join(problem.message for problem in problems)
            result = ToolResult("bad arguments", text)
        else:
            result = run_tool(tool, arguments, self.limits)
        content = [{"type": "text", "text": result.text}]
        return {"content": content, "isError": result.status != "ok"}

    def _of_its_revision(self, method: Method) -> Method:
        """Return a method that answers in the revision of the request."""

        def answered(params: dict[str, Any]) -> dict[str, Any]:
            revision = revision_of(params)
            if revision is None:
                result = method(params)
                return {key: value for key, value in result.items() if key not in FRESH}
            if revision not in MODERN:
                data = {"supported": [*MODERN], "requested": revision}
                raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)
            mark = {"resultType": "complete", "_meta": {META_SERVER: self.about}}
            return {**method(params), **mark}

        return answered

    def answer(self, text: str | bytes) -> str | None:
        """Return the answer to one message as a line; None if it wants none."""
        return dispatch_text(text, self.methods)

    def serve(self, lines: Iterator[bytes], output: IO[bytes]) -> None:
        """Answer one message a line, until there are no more."""
        for line in lines:
            if line.strip() and (answer := self.answer(line)) is not None:
                output.write(answer.encode() + b"\n")
                output.flush()

    def serve_stdio(self) -> None:
        """Answer the client that has started this process, until it closes the channel."""
        self.serve(iter(sys.stdin.buffer), sys.stdout.buffer)


def _listed(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": dict(tool.parameters),
        "annotations": {"readOnlyHint": not tool.effect},
    }
