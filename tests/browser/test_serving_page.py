"""The page of `course serve`, in a real browser: it shows what the engine does, as it does it."""

import json
import threading
import time
import urllib.request

import pytest
import uvicorn

import course_lib
from course_lib.serving.command import engine_for
from course_lib.serving.server import Service


@pytest.fixture(scope="module")
def address():
    model = course_lib.load(device="cpu")
    service = Service(model, engine_for(model, 64), "course-model")
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def ask(address, **fields):
    data = json.dumps({"model": "course-model", "prompt": "import os\n", **fields}).encode()
    with urllib.request.urlopen(f"{address}/v1/completions", data) as answer:
        return json.load(answer)


def colours(page):
    """Return how many pixels of the map of blocks have each colour."""
    return page.evaluate(
        """() => {
            const element = document.getElementById("blocks");
            const data = element.getContext("2d").getImageData(0, 0, element.width, 120).data;
            const found = {};
            for (let i = 0; i < data.length; i += 4) {
                const name = `${data[i]},${data[i + 1]},${data[i + 2]}`;
                found[name] = (found[name] || 0) + 1;
            }
            return found;
        }"""
    )


def test_the_page_shows_requests_and_blocks_and_asks_nobody_else(page, address):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_function("document.getElementById('free').textContent === '64'")
    assert "0,114,178" not in colours(page)
    answers = []
    clients = [
        threading.Thread(target=lambda n=n: answers.append(ask(address, max_tokens=200, seed=n)))
        for n in range(4)
    ]
    for client in clients:
        client.start()
    page.wait_for_function("document.querySelectorAll('#requests tr').length > 0")
    assert colours(page).get("0,114,178", 0) > 0
    for client in clients:
        client.join()
    page.wait_for_function("document.querySelectorAll('#requests tr').length === 0")
    page.wait_for_function("document.getElementById('running').textContent === '0'")
    total = sum(answer["usage"]["completion_tokens"] for answer in answers)
    assert page.locator("#state").text_content() == f"{total} tokens generated so far"
    assert all(url.startswith(address) for url in asked)
