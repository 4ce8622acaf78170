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
import torch

import course_lib
from course_lib import cli, compression
from course_lib.accounting.models import MODELS
from course_lib.generation import GREEDY
from course_lib.serving import FusedRunner, Request, command, generate_all
from course_lib.serving.command import blocks_for, engine_for


@pytest.fixture
def served():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    program = [sys.executable, "-m", "course_lib", "serve", "--port", str(port), "--blocks", "64"]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as running:
        yield running, f"http://127.0.0.1:{port}"
        running.kill()


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
    assert blocks_for(config, torch.bfloat16) == 2 * 10**9 // per_block


@pytest.mark.parametrize("bits", ["8", "4"])
def test_the_cache_is_kept_in_few_bits(bits, monkeypatch, capsys):
    services = []
    monkeypatch.setattr(command, "serve", lambda service, host, port: services.append(service))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    assert cli.main(["serve", "--cache-bits", bits, "--blocks", "32"]) == 0
    runner = services[0].worker._engine.runner
    model = course_lib.load(device="cpu")
    request = Request(tuple(model.tokenizer.encode("import os\n")), 9, GREEDY)
    [found] = generate_all(services[0].worker._engine, [request])
    compression.use_quantised_cache(model.model, int(bits))
    assert model.tokenizer.decode(found) == model.generate("import os\n", 9)
    assert runner.nbytes == sum(each.nbytes for each in model.model.make_cache(1, 32 * 16))
    assert "512 tokens" in capsys.readouterr().out


def test_more_tokens_fit_into_the_same_bytes_in_few_bits():
    config = MODELS["Qwen3-8B"]
    rows = 16 * 2 * config.num_hidden_layers * config.num_key_value_heads
    eight = compression.quantised_pool(8)
    assert blocks_for(config, torch.bfloat16, eight) == 2 * 10**9 // (rows * (128 + 2))


@pytest.mark.parametrize("name", ["serve", "chat"])
def test_other_widths_are_refused(name, capsys):
    with pytest.raises(SystemExit):
        cli.main([name, "--cache-bits", "5"])
    assert "5 (choose from 8, 4)" in capsys.readouterr().err


def test_a_small_model_is_copied_into_the_faster_layout(monkeypatch):
    model = course_lib.load(device="cpu")
    assert isinstance(engine_for(model, 4).runner, FusedRunner)
    monkeypatch.setattr(command, "COPIED", 1000)
    assert not isinstance(engine_for(model, 4).runner, FusedRunner)
    monkeypatch.undo()
    model.model.lm_head.register_forward_hook(lambda *_: None)
    assert not isinstance(engine_for(model, 4).runner, FusedRunner)
