"""The server, spoken to by the official client."""

import asyncio
import json
import re
import threading
import time

import httpx
import jsonschema
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from course_lib.serving import Engine

MODEL = "course-model"


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_models(client):
    assert [each.id for each in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError, match="'gpt-9'"):
        client.models.retrieve("gpt-9")


@pytest.mark.parametrize("prompt", ["import os\n", "def main():\n    "])
def test_a_completion_is_what_the_model_generates_alone(client, text_model, prompt):
    answer = client.completions.create(model=MODEL, prompt=prompt, max_tokens=20, temperature=0)
    assert answer.choices[0].text == text_model.generate(prompt, 20, temperature=0.0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 20
    assert answer.usage.prompt_tokens == len(text_model.prompt_ids(prompt))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 20


def test_a_stream_is_the_same_text_in_pieces(client):
    asked = {"model": MODEL, "prompt": "class Foo:\n", "max_tokens": 20, "temperature": 0}
    whole = client.completions.create(**asked)
    parts = list(
        client.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    texts = [part.choices[0].text for part in parts if part.choices]
    assert "".join(texts) == whole.choices[0].text
    assert len(texts) > 5
    assert parts[-1].usage.completion_tokens == 20
    assert parts[-2].choices[0].finish_reason == "length"


def test_a_seed_makes_samples_repeatable(client, text_model):
    asked = {
        "model": MODEL,
        "prompt": "import ",
        "max_tokens": 15,
        "temperature": 0.9,
        "top_p": 0.9,
    }
    first, again, other = (client.completions.create(**asked, seed=s) for s in (1, 1, 2))
    assert first.choices[0].text == again.choices[0].text != other.choices[0].text
    alone = text_model.generate("import ", 15, seed=1, temperature=0.9, top_p=0.9)
    assert first.choices[0].text == alone


def test_stop_strings_end_the_text_and_are_not_shown(client):
    asked = {"model": MODEL, "prompt": "import os\n", "max_tokens": 30, "temperature": 0}
    answer = client.completions.create(**asked, stop=["sys\n", "nothing"])
    assert answer.choices[0].text == "import "
    assert answer.choices[0].finish_reason == "stop"
    parts = client.completions.create(**asked, stop="sys\n", stream=True)
    assert "".join(part.choices[0].text for part in parts) == "import "


def test_several_choices_and_prompts(client):
    answer = client.completions.create(
        model=MODEL, prompt=["import os\n", [10, 20, 30]], n=2, max_tokens=5, seed=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.choices[0].text != answer.choices[1].text
    assert answer.usage.completion_tokens == 20


def test_logprobs(client):
    answer = client.completions.create(
        model=MODEL, prompt="import os\n", max_tokens=4, temperature=0, logprobs=2
    )
    found = answer.choices[0].logprobs
    assert "".join(found.tokens) == answer.choices[0].text
    for token, logprob, top in zip(
        found.tokens, found.token_logprobs, found.top_logprobs, strict=True
    ):
        assert top[token] == pytest.approx(logprob) == pytest.approx(max(top.values()))
        assert len(top) == 2


def test_chat(client, text_model):
    messages = [{"role": "user", "content": "import os"}]
    asked = {"model": MODEL, "messages": messages, "max_completion_tokens": 12, "temperature": 0}
    answer = client.chat.completions.create(**asked, logprobs=True, top_logprobs=1)
    expected = "".join(text_model.chat(messages, 12, temperature=0.0))
    assert answer.choices[0].message.content == expected
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].logprobs.content) == 12
    parts = list(client.chat.completions.create(**asked, stream=True))
    assert parts[0].choices[0].delta.role == "assistant"
    assert "".join(p.choices[0].delta.content or "" for p in parts) == expected


def test_the_masks_of_the_newest_schemas_are_kept(server):
    reader = server.service.reader
    first = reader._mask({"const": "first"})
    assert reader._mask({"const": "first"}) is first
    for number in range(16):
        reader._mask({"const": number})
    assert len(reader._masks) == 16
    assert reader._mask({"const": "first"}) is not first


def test_json_that_meets_a_schema(client):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "old": {"type": "boolean"}},
        "required": ["name", "old"],
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "who?"}],
        response_format=wanted,
        seed=1,
        max_tokens=60,
    )
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content), schema)


GOOD = {"model": MODEL, "prompt": "x", "max_tokens": 3}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": []}}}
BAD = [
    ({**GOOD, "prompt": "x " * 400}, 400, "context length of 256"),
    ({**GOOD, "max_tokens": 0}, 400, "max_tokens .* got 0"),
    ({**GOOD, "max_tokens": 1.5}, 400, "max_tokens .* got 1.5"),
    ({**GOOD, "max_tokens": "many"}, 400, "max_tokens .* got 'many'"),
    ({**GOOD, "model": "gpt-9"}, 404, "'gpt-9'"),
    ({**GOOD, "model": 3}, 400, "model .* got 3"),
    ({**GOOD, "temperature": -1}, 400, "temperature .* got -1"),
    ({**GOOD, "temperature": True}, 400, "temperature .* got True"),
    ({**GOOD, "top_p": 1.1}, 400, "top_p .* got 1.1"),
    ({**GOOD, "n": 99}, 400, "n .* got 99"),
    ({**GOOD, "stop": [""]}, 400, "stop"),
    ({**GOOD, "stop": ["a"] * 5}, 400, "stop"),
    ({**GOOD, "stream": "yes"}, 400, "stream .* got 'yes'"),
    ({**GOOD, "seed": 2**70}, 400, "seed"),
    ({**GOOD, "prompt": None}, 400, "prompt .* got None"),
    ({**GOOD, "prompt": []}, 400, "prompts"),
    ({**GOOD, "prompt": [5000]}, 400, "2047; got 5000"),
    ({**GOOD, "colour": 1}, 400, "'colour'"),
    ({**GOOD, "presence_penalty": 1}, 400, "presence_penalty"),
    ({**GOOD, "response_format": {"type": "xml"}}, 400, "xml"),
    ({**GOOD, "response_format": SCHEMA}, 400, "at least one choice"),
    ({**CHAT, "messages": []}, 400, "messages"),
    ({**CHAT, "messages": [{"role": "user"}]}, 400, "messages"),
    ({**CHAT, "top_logprobs": 50}, 400, "top_logprobs .* got 50"),
    ([1], 400, "JSON object"),
    ("{", 400, "must be JSON"),
    ("[" * 100_000, 400, "must be JSON"),
    ('{"temperature": NaN, "model": "course-model", "prompt": "x"}', 400, "temperature .* got nan"),
]


@pytest.mark.parametrize(("body", "status", "text"), BAD, ids=lambda value: str(value)[:60])
def test_a_bad_request_is_told_what_is_wrong(server, body, status, text):
    path = "chat/completions" if isinstance(body, dict) and "messages" in body else "completions"
    content = body if isinstance(body, str) else json.dumps(body)
    answer = httpx.post(f"{server.url}/v1/{path}", content=content)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert re.search(text, error["message"])
    assert server.settle()


def test_what_is_not_here(server):
    assert httpx.get(f"{server.url}/v2/models").status_code == 404
    assert httpx.get(f"{server.url}/v1/completions").status_code == 405
    large = httpx.post(f"{server.url}/v1/completions", content=b" " * (5 * 2**20))
    assert large.status_code == 413


def test_metrics_are_read_by_prometheus(server, client):
    client.completions.create(model=MODEL, prompt="x", max_tokens=3)
    text = httpx.get(f"{server.url}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["course_tokens_generated"].samples[0].value >= 3
    assert families["course_blocks_total"].samples[0].value == 128
    buckets = [s.value for s in families["course_first_token_seconds"].samples if "le" in s.labels]
    assert buckets == sorted(buckets)


def test_a_client_that_vanishes_frees_its_blocks(server):
    body = {"model": MODEL, "prompt": "import os\n", "max_tokens": 240, "stream": True}
    before = server.engine.statistics.finished["cancelled"]
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body) as answer:
        next(answer.iter_lines())
    deadline = time.monotonic() + 20
    while server.engine.statistics.finished["cancelled"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.settle()


def test_a_client_that_gives_up_waiting_frees_its_blocks(server):
    body = {"model": MODEL, "prompt": ["import os\n"] * 16, "max_tokens": 240}
    before = server.engine.statistics.finished["cancelled"]
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/completions", json=body, timeout=0.1)
    deadline = time.monotonic() + 20
    while server.engine.statistics.finished["cancelled"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert server.settle()


def test_many_clients_at_once_get_what_each_gets_alone(server):
    prompts = [f"def f{n}(x):\n    return " for n in range(24)]

    async def ask(client, prompt, stream):
        asked = {"model": MODEL, "prompt": prompt, "max_tokens": 12, "temperature": 0}
        if not stream:
            return (await client.completions.create(**asked)).choices[0].text
        parts = await client.completions.create(**asked, stream=True)
        return "".join([part.choices[0].text async for part in parts])

    async def ask_all():
        async with openai.AsyncOpenAI(
            base_url=f"{server.url}/v1", api_key="none", max_retries=0
        ) as client:
            alone = [await ask(client, prompt, False) for prompt in prompts]
            tasks = [ask(client, prompt, i % 2 == 0) for i, prompt in enumerate(prompts)]
            return alone, await asyncio.gather(*tasks)

    alone, together = asyncio.run(ask_all())
    assert together == alone
    assert server.settle()


def test_too_many_waiting_clients_are_told_to_come_back(make_server, text_model):
    engine = Engine(text_model.model, num_blocks=32, max_running=1, max_waiting=1)
    with make_server(engine) as server:
        body = {"model": MODEL, "prompt": "x", "max_tokens": 100}
        answers = []

        def ask():
            answers.append(httpx.post(f"{server.url}/v1/completions", json=body, timeout=60))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = sorted(answer.status_code for answer in answers)
        assert set(codes) == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert server.settle()


def test_a_key_is_asked_for(make_server, text_model):
    engine = Engine(text_model.model, num_blocks=32)
    with make_server(engine, api_key="secret") as server:
        url = f"{server.url}/v1/models"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert httpx.get(url, headers={"Authorization": "Bearer secret"}).status_code == 200


def test_stopping_lets_running_answers_finish(make_server, text_model):
    with make_server(Engine(text_model.model, num_blocks=32)) as server:
        body = {"model": MODEL, "prompt": "x", "max_tokens": 60, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.server.should_exit = True
            rest = list(lines)
    assert "data: [DONE]" in rest


def test_a_fault_in_the_model_is_an_error_and_not_the_end(make_server, text_model, monkeypatch):
    engine = Engine(text_model.model, num_blocks=32)
    run = engine.runner.run

    def failing(rows, scored):
        if any(666 in row.ids for row in rows):
            raise RuntimeError("a bad token")
        return run(rows, scored)

    monkeypatch.setattr(engine.runner, "run", failing)
    with make_server(engine) as server:
        url = f"{server.url}/v1/completions"
        answer = httpx.post(url, json={**GOOD, "prompt": [5, 666]})
        assert answer.status_code == 500
        assert "a bad token" in answer.json()["error"]["message"]
        parts = httpx.post(url, json={**GOOD, "prompt": [5, 666], "stream": True}).text
        assert "a bad token" in parts
        assert httpx.post(url, json=GOOD).status_code == 200
        assert server.settle()
