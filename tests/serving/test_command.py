"""`course serve` as a program: it answers, and stops when it is told to."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import course_lib
from course_lib.accounting.models import MODELS
from course_lib.serving import FusedRunner, command
from course_lib.serving.command import blocks_for, engine_for


@pytest.fixture
def served():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "course_lib", "serve", "--port", str(port), "--blocks", "64"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as program:
        yield program, f"http://127.0.0.1:{port}"
        program.kill()


def answer(url, **body):
    data = json.dumps(body).encode() if body else None
    deadline = time.monotonic() + 100
    while True:
        try:
            with urllib.request.urlopen(url, data) as found:
                return json.load(found)
        except urllib.error.URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.skipif(os.name == "nt", reason="a signal there ends a program at once")
def test_it_answers_until_it_is_stopped(served):
    program, url = served
    assert answer(f"{url}/v1/models")["data"][0]["id"] == "course-model"
    asked = {"model": "course-model", "prompt": "import os\n", "max_tokens": 4}
    found = answer(f"{url}/v1/completions", **asked)
    assert found["usage"]["completion_tokens"] == 4
    program.send_signal(signal.SIGTERM)
    output, _ = program.communicate(timeout=60)
    assert f"{url}/v1" in output


def test_the_cache_is_sized_by_the_model():
    config = MODELS["Qwen3-8B"]
    per_block = 16 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2
    assert blocks_for(config, "bfloat16") == 2 * 10**9 // per_block


def test_a_small_model_is_copied_into_the_faster_layout(monkeypatch):
    model = course_lib.load(device="cpu")
    assert isinstance(engine_for(model, 4).runner, FusedRunner)
    monkeypatch.setattr(command, "COPIED", 1000)
    assert not isinstance(engine_for(model, 4).runner, FusedRunner)
    monkeypatch.undo()
    model.model.lm_head.register_forward_hook(lambda *_: None)
    assert not isinstance(engine_for(model, 4).runner, FusedRunner)
