"""What both sides of the Model Context Protocol agree on: revisions, names and headers.

Until the revision of 2025-11-25 a client opens a session with `initialize` and everything after it
belongs to this session. Since 2026-07-28 there is no session: each request carries its revision and
the client's abilities in `_meta`, and `server/discover` says what a server offers.

Taught in:        agents
Paper:            Model Context Protocol, revisions 2024-11-05 to 2026-07-28,
                  modelcontextprotocol.io
Checked against:  the official SDK
Shapes:           none
"""

from collections.abc import Mapping
from typing import Any

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
SPACE = "io.modelcontextprotocol/"
META_VERSION, META_ABILITIES = f"{SPACE}protocolVersion", f"{SPACE}clientCapabilities"
META_CLIENT, META_SERVER = f"{SPACE}clientInfo", f"{SPACE}serverInfo"
HEADER_VERSION, HEADER_METHOD, HEADER_NAME = "MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"
HEADER_SESSION = "Mcp-Session-Id"
HEADER_MISMATCH, UNSUPPORTED_VERSION = -32020, -32022


def revision_of(params: Mapping[str, Any]) -> str | None:
    """Return the revision that a request carries with it, or None if it belongs to a session."""
    meta = params.get("_meta")
    found = meta.get(META_VERSION) if isinstance(meta, Mapping) else None
    return found if isinstance(found, str) else None
