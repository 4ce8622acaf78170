"""Brains: a server with OpenAI's API, `course serve`, and servers that misbehave."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jaxtyping
import pytest
import uvicorn

import course_lib
from course_lib.agents import Agent, EndpointBrain, calculator, make_tool, with_calls_as_text
from course_lib.assistant import stage_folder
from course_lib.serving.command import engine_for
from course_lib.serving.server import Service

TOOL = make_tool(calculator, isolated=False)


@contextmanager
def answering(*answers):
    """Serve these answers one after another; yield the address and what was asked."""
    asked, left = [], list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.headers.get("Authorization"), json.loads(body)))
            status, content = left.pop(0)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def message(content=None, *calls):
    tool_calls = [
        {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, name, arguments in calls
    ]
    said = {"role": "assistant", "content": content, "tool_calls": tool_calls or None}
    return 200, {"choices": [{"message": said}], "usage": {"completion_tokens": 5}}


def test_calls_and_results_go_both_ways():
    first = message(None, ("abc", "calculator", '{"expression": "6*7"}'))
    with answering(first, message("42.")) as (address, asked):
        brain = EndpointBrain(address, "some-model", "key", temperature=0)
        run = Agent(brain, [TOOL]).run("6*7?")
    assert (run.end, run.answer) == ("answered", "42.")
    assert [key for key, _ in asked] == ["Bearer key"] * 2
    assert asked[0][1]["tools"] == [TOOL.described()]
    assert asked[0][1]["temperature"] == 0
    sent = asked[1][1]["messages"]
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"expression": "6*7"}'
    assert sent[2] == {"role": "tool", "tool_call_id": "abc", "content": "42"}
    assert [e["tokens"] for e in run.log.events if e["event"] == "reply"] == [5, 5]


@pytest.mark.parametrize("arguments", ["{", "[1]", "3"])
def test_arguments_that_are_no_object_are_read_by_the_model(arguments):
    with answering(message(None, ("a", "calculator", arguments)), message("sorry")) as (url, _):
        run = Agent(EndpointBrain(url, "m"), [TOOL]).run("?")
    assert run.end == "answered"
    assert "calculator" in run.messages[2]["content"]


@pytest.mark.parametrize(
    "answer", [(500, {"error": "down"}), (200, b"{"), (200, []), (200, {"choices": []})]
)
def test_a_server_that_fails_ends_the_run_clearly(answer):
    with answering(answer, answer, answer) as (url, asked):
        run = Agent(EndpointBrain(url, "m"), [TOOL], wait=lambda attempt: None).run("?")
    assert (run.end, run.answer, len(asked)) == ("brain failed", None, 3)
    assert "ConnectionError" in run.log.events[1]["error"]


def test_a_server_that_is_not_there():
    brain = EndpointBrain("http://127.0.0.1:1/v1", "m", timeout=2.0)
    with pytest.raises(ConnectionError, match="cannot be asked"):
        brain.reply([{"role": "user", "content": "?"}], [])


def test_calls_become_text():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    found = with_calls_as_text([{"role": "assistant", "content": "Well.", "tool_calls": [call]}])
    body = '{"name": "f", "arguments": {"x": 1}}'
    assert found == [{"role": "assistant", "content": f"Well.\n<tool_call>\n{body}\n</tool_call>"}]


@pytest.fixture
def unchecked():
    """Let the server's threads run without checks of shapes, which are per thread."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_course_serve_as_a_brain(unchecked):
    model = course_lib.load(stage_folder("assistant-tools"), device="cpu")
    service = Service(model, engine_for(model, num_blocks=64), "assistant-tools")
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    brain = EndpointBrain(address, "assistant-tools", in_text=True, temperature=0, max_tokens=110)
    run = Agent(brain, [TOOL]).run("What is 38 times 57?")
    server.should_exit = True
    thread.join()
    assert run.end == "answered"
    [call] = [c["function"] for m in run.messages for c in m.get("tool_calls", ())][:1]
    assert call["name"] == "calculator"
