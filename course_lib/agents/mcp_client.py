"""An MCP client by hand: the tools of any server, as tools of the loop.

    with McpClient(StdioChannel(["python", "-m", "course_lib", "mcp"])) as client:
        print(client.call("calculator", {"expression": "2**10"}))
        agent = Agent(brain, client.tools())

It asks for the newest revision first, and opens a session if the server does not know that. What a
server returns was written by somebody else: its tools count as untrusted, and a tool has effects
unless the server says that it only reads. Even that is only the server's word.

Taught in:        agents
Paper:            Model Context Protocol, modelcontextprotocol.io
Checked against:  servers of the official SDK, in both revisions, over stdio and HTTP
Shapes:           none
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from course_lib.agents.json_rpc import RpcError
from course_lib.agents.mcp_channels import Channel, HttpChannel
from course_lib.agents.mcp_versions import (
    HANDSHAKE,
    META_ABILITIES,
    META_CLIENT,
    META_VERSION,
    MODERN,
)
from course_lib.agents.schemas import Tool

ABOUT = {"name": "course", "version": "1"}
MOST_PAGES = 100


class McpClient:
    """A connection to one server."""

    def __init__(
        self, channel: Channel, *, timeout: int | float = 30.0, revision: str | None = None
    ) -> None:
        """Connect; `revision` is one of those known, or None for the newest that both know."""
        if revision is not None and revision not in (*HANDSHAKE, *MODERN):
            known = ", ".join((*HANDSHAKE, *MODERN))
            raise ValueError(f"a revision must be one of {known}; got {revision!r}.")
        self.channel, self.timeout, self.number = channel, timeout, 0
        self.modern: str | None = None
        self.server: dict[str, Any] = {}
        try:
            self._connect(revision)
        except BaseException:
            channel.close()
            raise

    def _connect(self, revision: str | None) -> None:
        if revision is None or revision in MODERN:
            self.modern = MODERN[-1]
            try:
                self.server = self.ask("server/discover")
                if self.modern in self.server.get("supportedVersions", ()):
                    return
            except RpcError:
                if revision is not None:
                    raise
            self.modern = None
        asked = revision if revision in HANDSHAKE else HANDSHAKE[-1]
        opening = {"protocolVersion": asked, "capabilities": {}, "clientInfo": ABOUT}
        self.server = self.ask("initialize", opening)
        version = self.server.get("protocolVersion")
        if version not in HANDSHAKE:
            raise ConnectionError(f"the server speaks the revision {version!r}, unknown here.")
        if isinstance(self.channel, HttpChannel):
            self.channel.version = version
        self.tell("notifications/initialized")

    @property
    def revision(self) -> str:
        """The revision that both sides speak."""
        return self.modern or str(self.server["protocolVersion"])

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of a request; an RpcError if the server answers with one."""
        self.number += 1
        content = dict(params or {})
        if self.modern is not None:
            content["_meta"] = {META_VERSION: self.modern, META_ABILITIES: {}, META_CLIENT: ABOUT}
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": content}
        answer = self.channel.ask(message, self.timeout) or {}
        if isinstance(error := answer.get("error"), dict):
            raise RpcError(error.get("code", 0), str(error.get("message")), error.get("data"))
        if not isinstance(result := answer.get("result"), dict):
            raise ConnectionError(f"the server gave no result to {method!r}; got {answer!r}.")
        return result

    def tell(self, method: str) -> None:
        """Send a notification."""
        self.channel.ask({"jsonrpc": "2.0", "method": method}, self.timeout)

    def listed(self) -> list[dict[str, Any]]:
        """Return the descriptions of all tools, page by page."""
        found, page = list[dict[str, Any]](), dict[str, Any]()
        for _ in range(MOST_PAGES):
            result = self.ask("tools/list", page)
            found += result["tools"]
            if not result.get("nextCursor"):
                break
            page = {"cursor": result["nextCursor"]}
        return found

    def call(self, name: str, arguments: Mapping[str, Any]) -> str:
        """Return the text of a tool's result; a RuntimeError if the tool has failed."""
        result = self.ask("tools/call", {"name": name, "arguments": dict(arguments)})
        parts = [part for part in result.get("content", ()) if part.get("type") == "text"]
        text = "\n".join(part["text"] for part in parts)
        if result.get("isError"):
            raise RuntimeError(text)
        return text

    def tools(self) -> list[Tool]:
        """Return the server's tools, as the loop takes them."""
        return [
            Tool(
                each["name"],
                each.get("description") or "",
                each["inputSchema"],
                self._caller(each["name"]),
                effect=not (each.get("annotations") or {}).get("readOnlyHint", False),
                untrusted=True,
                isolated=False,
                foreign=True,
            )
            for each in self.listed()
        ]

    def _caller(self, name: str) -> Callable[..., str]:
        return lambda **arguments: self.call(name, arguments)

    def close(self) -> None:
        """Leave the server."""
        self.channel.close()

    def __enter__(self) -> "McpClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
