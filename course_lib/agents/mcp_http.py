"""The MCP server over streamable HTTP: one address, a POST for each message.

The answer to a request is JSON; a notification is answered with status 202 and nothing. A page in
a browser can also send requests to a server on this machine: the header `Origin` gives it away, and
such requests are rejected unless they come from this machine itself (DNS rebinding).

Taught in:        agents
Paper:            Model Context Protocol, modelcontextprotocol.io
Checked against:  the client of the official SDK, in both revisions
Shapes:           none
"""

import json
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from course_lib.agents.json_rpc import INVALID_REQUEST, error_answer
from course_lib.agents.mcp_server import McpServer
from course_lib.agents.mcp_versions import (
    HANDSHAKE,
    HEADER_METHOD,
    HEADER_MISMATCH,
    HEADER_VERSION,
    MODERN,
    UNSUPPORTED_VERSION,
    revision_of,
)

LOCAL = ("localhost", "127.0.0.1", "::1")
LONGEST = 4 * 2**20  # bytes of a message
STATUS = {-32700: 400, INVALID_REQUEST: 400, -32602: 400, HEADER_MISMATCH: 400,
          UNSUPPORTED_VERSION: 400, -32601: 404}  # fmt: skip


def mcp_app(server: McpServer, path: str = "/mcp") -> Starlette:
    """Return the application that answers for a server under a path."""

    async def post(request: Request) -> Response:
        if not _is_local(request):
            return _rejected(403, INVALID_REQUEST, "only this machine may ask.")
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                return _rejected(413, INVALID_REQUEST, f"a message has at most {LONGEST} bytes.")
        wrong = _wrong_headers(request, body)
        if wrong is not None:
            return wrong
        answer = await run_in_threadpool(server.answer, body)
        if answer is None:
            return Response(status_code=202)
        content = json.loads(answer)
        code = content.get("error", {}).get("code")
        modern = request.headers.get(HEADER_VERSION) in MODERN
        status = STATUS.get(code, 200) if modern or content["id"] is None else 200
        return JSONResponse(content, status)

    return Starlette(routes=[Route(path, post, methods=["POST"])])


def _is_local(request: Request) -> bool:
    """Return whether a request was made for this machine, and by no page from elsewhere."""
    origin = request.headers.get("origin")
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    return host in LOCAL and (origin is None or urlsplit(origin).hostname in LOCAL)


def _wrong_headers(request: Request, body: bytes) -> Response | None:
    """Return what is wrong with headers that repeat a part of the message; None if nothing."""
    version = request.headers.get(HEADER_VERSION)
    if version is not None and version not in (*HANDSHAKE, *MODERN):
        text = f"there is no revision {version!r} here; there are {', '.join(MODERN)}."
        data = {"supported": [*MODERN], "requested": version}
        return _rejected(400, UNSUPPORTED_VERSION, text, _id(body), data)
    if version not in MODERN:
        return None
    message = _parsed(body)
    if "id" not in message:
        return None
    params = message.get("params")
    own = revision_of(params) if isinstance(params, dict) else None
    if own != version or request.headers.get(HEADER_METHOD) != message.get("method"):
        text = "the headers must say the same revision and method as the message."
        return _rejected(400, HEADER_MISMATCH, text, message["id"])
    return None


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _id(body: bytes) -> Any:
    return _parsed(body).get("id")


def _rejected(
    status: int, code: int, message: str, number: Any = None, data: Any = None
) -> Response:
    return JSONResponse(error_answer(number, code, message, data), status)
