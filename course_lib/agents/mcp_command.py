"""`course mcp`: the course's tools for any MCP client.

Taught in:        agents
Checked against:  a server in a process of its own, asked by the official SDK
Shapes:           none
"""

from importlib.metadata import PackageNotFoundError, version

from course_lib.agents.documentation_search import search_tool
from course_lib.agents.mcp_server import McpServer
from course_lib.agents.schemas import make_tool
from course_lib.agents.standard_tools import calculator


def course_server() -> McpServer:
    """Return the server that offers a calculator and a search of Python's documentation."""
    try:
        own = version("llm-insides")
    except PackageNotFoundError:
        own = "0"
    return McpServer([make_tool(calculator), search_tool()], "course", own)


def start(port: int | None = None, host: str = "127.0.0.1") -> int:
    """Serve over stdio, or at a port over HTTP, until the client or Ctrl-C ends it."""
    if port is None:
        course_server().serve_stdio()
        return 0
    import uvicorn

    from course_lib.agents.mcp_http import mcp_app

    print(f"MCP is served at http://{host}:{port}/mcp. Ctrl-C stops it.", flush=True)
    uvicorn.run(mcp_app(course_server()), host=host, port=port, log_level="warning")
    return 0
