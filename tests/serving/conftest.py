"""A server of the course's model in a thread, for the tests that speak HTTP."""

import threading
import time

import jaxtyping
import pytest
import uvicorn

import course_lib
from course_lib.serving.command import engine_for
from course_lib.serving.server import Service
from course_lib.tokenization.chat_template import ChatTemplate

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


class Running:
    """A server that listens on a free port of this machine."""

    def __init__(self, service):
        self.service = service
        config = uvicorn.Config(service.app, port=0, log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)

    def __enter__(self):
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()

    @property
    def engine(self):
        return self.service.worker._engine

    def settle(self):
        """Wait until nothing is running, and return whether every block is free."""
        deadline = time.monotonic() + 20
        while self.engine.has_work and time.monotonic() < deadline:
            time.sleep(0.02)
        blocks = self.engine.blocks
        return blocks.free == blocks.num_blocks and not any(blocks.references)


@pytest.fixture(scope="module")
def text_model():
    model = course_lib.load(device="cpu")
    model.chat_template = ChatTemplate(TEMPLATE, {})
    return model


@pytest.fixture(scope="module")
def server(text_model):
    jaxtyping.config.update("jaxtyping_disable", True)
    with Running(Service(text_model, engine_for(text_model, 128), "course-model")) as running:
        yield running
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def make_server(text_model):
    """Return a function that makes a server with another engine."""

    def make(engine, **settings):
        return Running(Service(text_model, engine, "course-model", **settings))

    return make
