"""MCP by hand beside the official SDK: our server with its client, our client with its server."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from course_lib.agents import (
    Agent,
    HttpChannel,
    McpClient,
    McpServer,
    RpcError,
    ScriptedBrain,
    StdioChannel,
    make_tool,
)
from course_lib.agents.mcp_channels import sse_data
from course_lib.agents.mcp_command import course_server
from course_lib.agents.mcp_http import mcp_app
from tests.agents import bad_tools

OWN = [sys.executable, "-m", "course_lib", "mcp"]
OFFICIAL = [sys.executable, str(Path(__file__).with_name("mcp_sdk_server.py"))]
REVISIONS = ["2025-06-18", "2025-11-25", "2026-07-28"]


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def own_url():
    server = uvicorn.Server(uvicorn.Config(mcp_app(course_server()), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def official_url():
    port = free_port()
    program = subprocess.Popen([*OFFICIAL, str(port)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/mcp"
    program.kill()
    program.wait()


async def asked_by_the_sdk(target, mode):
    async with Client(target, mode=mode) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        good = await client.call_tool("calculator", {"expression": "6*7"})
        bad = await client.call_tool("calculator", {"expression": "1/0"})
        wrong = await client.call_tool("calculator", {"expresion": "1"})
        return names, good, bad, wrong


def check_answers(found):
    names, good, bad, wrong = found
    assert names == ["calculator", "search"]
    assert (good.content[0].text, good.is_error) == ("42", False)
    assert bad.is_error
    assert "division by zero" in bad.content[0].text
    assert wrong.is_error
    assert "expression is missing" in wrong.content[0].text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_our_server_over_stdio_and_the_official_client(mode):
    target = stdio_client(StdioServerParameters(command=OWN[0], args=OWN[1:]))
    check_answers(asyncio.run(asked_by_the_sdk(target, mode)))


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_our_server_over_http_and_the_official_client(mode, own_url):
    check_answers(asyncio.run(asked_by_the_sdk(own_url, mode)))


def check_client(client, revision):
    assert client.revision == revision
    assert sorted(tool["name"] for tool in client.listed()) == ["add", "fail"]
    assert client.call("add", {"a": 2, "b": 40}) == "42"
    with pytest.raises(RuntimeError, match="fail"):
        client.call("fail", {"text": "lost"})
    tool = next(tool for tool in client.tools() if tool.name == "add")
    assert (tool.effect, tool.untrusted, tool.foreign) == (True, True, True)
    assert tool.parameters["required"] == ["a", "b"]
    with pytest.raises(RpcError):
        client.ask("tools/lost")


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_official_server_over_http_and_our_client(revision, official_url):
    with McpClient(HttpChannel(official_url), revision=revision, timeout=100.0) as client:
        check_client(client, revision)


@pytest.mark.parametrize("revision", ["2025-06-18", None])
def test_the_official_server_over_stdio_and_our_client(revision):
    with McpClient(StdioChannel(OFFICIAL), revision=revision, timeout=100.0) as client:
        check_client(client, revision or REVISIONS[-1])


def test_our_client_and_our_server_in_a_run(own_url):
    call = '<tool_call>{"name": "calculator", "arguments": {"expression": "38*5127"}}</tool_call>'
    with McpClient(HttpChannel(own_url)) as client:
        assert client.revision == "2026-07-28"
        run = Agent(ScriptedBrain([call, "194826."]), client.tools()).run("What is 38 * 5127?")
    assert (run.end, run.answer) == ("answered", "194826.")
    assert run.messages[2]["content"] == "194826"


def test_sessions_are_opened_in_the_revision_that_is_asked_for():
    server = McpServer([])
    for asked, given in (("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")):
        assert server.initialize({"protocolVersion": asked})["protocolVersion"] == given


def answer(server, method, **params):
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.loads(server.answer(json.dumps(message)))


def test_an_unknown_revision_is_told_what_is_known():
    meta = {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    error = answer(McpServer([]), "tools/list", _meta=meta)["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "2099-01-01"}


def test_an_unknown_tool_is_an_error_of_the_protocol():
    error = answer(course_server(), "tools/call", name="lost", arguments={})["error"]
    assert error["code"] == -32602
    assert "calculator, search" in error["message"]


def posted(url, data, **headers):
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'


def test_http_by_hand(own_url):
    assert posted(own_url, PING)[0] == 200
    assert posted(own_url, b'{"jsonrpc": "2.0", "method": "ping"}') == (202, b"")
    assert posted(own_url, b"{")[0] == 400
    assert posted(own_url, PING, Origin="http://localhost:3000")[0] == 200
    assert posted(own_url, PING, Origin="https://evil.example")[0] == 403
    assert posted(own_url, PING, Host="evil.example")[0] == 403
    assert posted(own_url, PING, **{"MCP-Protocol-Version": "2099-01-01"})[0] == 400
    wrong = posted(own_url, PING, **{"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "other"})
    assert wrong[0] == 400
    assert json.loads(wrong[1])["error"]["code"] == -32020


SERVER = """
import json, sys, time
print("noise that is no JSON", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "server/discover":
        print(json.dumps({"jsonrpc": "2.0", "id": 99, "method": "ping"}), flush=True)
        assert json.loads(sys.stdin.readline()) == {"jsonrpc": "2.0", "id": 99, "result": {}}
        result = {"supportedVersions": ["2026-07-28"], "capabilities": {}}
    elif asked["method"] == "tools/list":
        schema = {"type": "object", "properties": {}}
        result = {"tools": [{"name": "trouble", "inputSchema": schema}]}
    else:
        TROUBLE
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


def troubled(trouble, **settings):
    code = SERVER.replace("TROUBLE", trouble)
    return McpClient(StdioChannel([sys.executable, "-c", code]), **settings)


def test_a_server_that_dies_in_a_call_does_not_end_the_run():
    call = '<tool_call>{"name": "trouble", "arguments": {}}</tool_call>'
    with troubled("sys.exit(5)", timeout=60.0) as client:
        run = Agent(ScriptedBrain([call, call, "It is gone."]), client.tools()).run("go")
    assert (run.end, run.answer) == ("answered", "It is gone.")
    first, second = (e for e in run.log.events if e["event"] == "result")
    assert first["status"] == second["status"] == "error"
    assert "exit status 5" in first["text"]
    assert "ended" in second["text"]


def test_a_silent_server_is_not_waited_for():
    with troubled("time.sleep(600)", timeout=60.0) as client:
        client.timeout = 0.5
        with pytest.raises(TimeoutError, match=r"0\.5 seconds"):
            client.call("trouble", {})


def test_a_server_that_is_not_there():
    with pytest.raises(ConnectionError, match="cannot be reached"):
        McpClient(HttpChannel(f"http://127.0.0.1:{free_port()}/mcp"))
    with pytest.raises(ValueError, match="1999"):
        McpClient(HttpChannel("http://127.0.0.1:1/mcp"), revision="1999-01-01")


def test_a_tool_that_raises_is_a_result():
    server = McpServer([make_tool(bad_tools.raises)])
    found = answer(server, "tools/call", name="raises", arguments={"text": "x"})["result"]
    assert found == {"content": [{"type": "text", "text": "KeyError: 'x'"}], "isError": True}


def test_events_of_a_stream():
    lines = [b": hello\n", b"event: message\n", b"data: {\n", b"data: }\r\n", b"\n", b"data:1\n"]
    assert list(sse_data(iter(lines))) == [b"{\n}", b"1"]
