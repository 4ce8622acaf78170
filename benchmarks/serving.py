"""Serving, measured: many requests beside transformers' generate_batch and static batches.

    python -m benchmarks.serving             on the course model and on a random Qwen3 of 100 M
    python -m benchmarks.serving --clients   besides, 64 streaming clients for a minute over HTTP
    python -m benchmarks.serving --claims    "together" alone, without static batches

"together" hands all requests over at once; every contestant has the same prompts and writes the
same number of greedy tokens for each: "same texts" counts how many agree with transformers'.
"arriving" lets requests come at random, a given number per second, and measures what users feel.
"prefix" counts the prompt tokens that pass through the model with a shared start. "overhead" is the
part of a step that is not the model's pass. All run on as many threads as PyTorch is given.
"""

import asyncio
import copy
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

from benchmarks.generation import as_transformers, with_opinions
from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import keeping, median, race, ratio
from course_lib.generation import generate, left_pad
from course_lib.model import DecoderLM, ModelConfig
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.serving import Engine, Job, Request, generate_all
from course_lib.serving.scheduler import Policy

THEIRS = "transformers, generate_batch"
BLOCK, BLOCKS, BUDGET, ROWS = 16, 512, 256, 16
HUNDRED = ModelConfig(
    vocab_size=2048, hidden_size=768, intermediate_size=2304, num_hidden_layers=14,
    num_attention_heads=12, num_key_value_heads=4, head_dim=64, max_position_embeddings=512,
    tie_word_embeddings=True,
)  # fmt: skip
Texts = list[list[int]]


def requests_of(count: int, seed: int = 0) -> list[Request]:
    """Return requests of random lengths, with prompts of the course's own texts."""
    rng, words = random.Random(seed), course_tokenizer().encode("def run(self, x):\n" * 12)
    found = []
    for number in range(count):
        prompt = [number % 2000, *words[: rng.randint(8, 96)]]
        found.append(Request(tuple(prompt), rng.choice([16, 32, 64, 96])))
    return found


def engine_of(model: DecoderLM, policy: Policy = "chunked", **settings: Any) -> Engine:
    return Engine(
        model, num_blocks=BLOCKS, block_size=BLOCK, token_budget=BUDGET, policy=policy,
        max_running=ROWS, **settings,
    )  # fmt: skip


def padded_batches(model: DecoderLM, requests: list[Request]) -> Texts:
    """Return the texts of static, padded batches: a row that has ended waits for the longest."""
    texts: Texts = []
    for begin in range(0, len(requests), ROWS):
        some = requests[begin : begin + ROWS]
        ids, padding = left_pad([request.prompt for request in some])
        longest = max(request.max_new_tokens for request in some)
        written = generate(model, ids, longest, padding=padding).tolist()
        texts += [row[: r.max_new_tokens] for row, r in zip(written, some, strict=True)]
    return texts


def their_batches(theirs: Any, requests: list[Request]) -> Texts:
    """Return transformers' texts: what generate_batch does, with a length for each request."""
    config = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0)
    sizes = ContinuousBatchingConfig(
        num_blocks=BLOCKS, page_size=BLOCK, max_batch_tokens=BUDGET, max_requests_per_batch=ROWS
    )
    found: dict[str, list[int]] = {}
    settings = {"generation_config": config, "continuous_batching_config": sizes}
    with theirs.continuous_batching_context_manager(**settings, block=True, timeout=5) as manager:
        names = [
            manager.add_request(list(request.prompt), max_new_tokens=request.max_new_tokens)
            for request in requests
        ]
        while len(found) < len(requests):
            result = manager.get_result(timeout=1)
            if result is not None and result.is_finished():
                found[result.request_id] = list(result.generated_tokens)
            elif result is None and not manager.is_running():
                raise RuntimeError("transformers' generation thread has ended")
    return [found[name] for name in names]


def together_rows(
    name: str, model: DecoderLM, count: int, budget: float, batches: bool
) -> list[dict[str, Any]]:
    """Return a row for each contestant that gets all requests at once.

    `batches` adds static ones, for which a large model needs minutes; what they waste is the same.
    """
    progress("together", name, f"{count} requests")
    requests, theirs = requests_of(count), as_transformers(model)
    runs: dict[str, Callable[[], Texts]] = {
        THEIRS: lambda: their_batches(theirs, requests),
        "ours, fused": lambda: generate_all(engine_of(model, fused=True), requests),
        "ours, chunked": lambda: generate_all(engine_of(model), requests),
    }
    if batches:
        runs["ours, static"] = lambda: generate_all(engine_of(model, "static"), requests)
        runs["ours, padded batches"] = lambda: padded_batches(model, requests)
    keepers, texts = keeping(runs)
    rounds = race(keepers, budget, least=2)
    tokens = sum(request.max_new_tokens for request in requests)
    return [
        {
            "measured": "together",
            "model": name,
            "contestant": each,
            "requests": count,
            "tokens per second": round(tokens / median(rounds, each)),
            **ratio("times theirs", rounds, THEIRS, each),
            "same texts": sum(a == b for a, b in zip(texts[each], texts[THEIRS], strict=True)),
        }
        for each in runs
    ]


def arriving_rows(name: str, model: DecoderLM, count: int) -> list[dict[str, Any]]:
    """Return what users feel at several loads, by the policy of the scheduler."""
    begin = time.perf_counter()
    generate_all(engine_of(model), requests_of(count))
    most = count / (time.perf_counter() - begin)  # requests per second, at best
    return [
        arriving_row(name, model, policy, share, share * most, count)
        for share in (0.3, 0.6, 0.9)
        for policy in ("static", "continuous", "chunked")
    ]


def arriving_row(
    name: str, model: DecoderLM, policy: Policy, share: float, rate: float, count: int
) -> dict[str, Any]:
    progress("arriving", name, policy, f"load {share}")
    rng, engine, jobs = random.Random(1), engine_of(model, policy), list[Job]()
    times = [0.0]
    for _ in range(count - 1):
        times.append(times[-1] + rng.expovariate(rate))
    coming, begin = list(zip(times, requests_of(count), strict=True)), time.monotonic()
    while coming or engine.has_work:
        now = time.monotonic() - begin
        while coming and coming[0][0] <= now:
            jobs.append(engine.add(coming.pop(0)[1]))
        if not engine.step() and coming and not engine.has_work:
            time.sleep(max(0.0, coming[0][0] - (time.monotonic() - begin)))
    firsts = [float(job.first_token or 0) - job.arrived for job in jobs]
    each = [(float(j.finished or 0) - float(j.first_token or 0)) / (len(j.new) - 1) for j in jobs]
    return {
        "measured": "arriving",
        "model": name,
        "policy": policy,
        "load": share,
        **_spread("first token ms", firsts),
        **_spread("ms per token", each),
    }


def _spread(label: str, seconds: list[float]) -> dict[str, float]:
    p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
    return {
        f"{label}, median": round(1000 * statistics.median(seconds), 1),
        f"{label}, p99": round(1000 * p99, 1),
    }


def prefix_row(name: str, model: DecoderLM) -> dict[str, Any]:
    """Return how many tokens of prompts pass through the model with and without known prefixes."""
    start = course_tokenizer().encode("# Answer briefly, in plain words.\n" * 12)[:128]
    chats = [Request((*start, *range(n, n + 16)), 8) for n in range(32)]
    counts = {}
    for keep in (False, True):
        engine = engine_of(model, keep_prefixes=keep)
        generate_all(engine, chats[:1])  # the first one finds nothing
        before = engine.statistics.computed
        generate_all(engine, chats[1:])
        counts[keep] = engine.statistics.computed - before - 31 * 7  # but for decoding
    return {
        "measured": "prefix",
        "model": name,
        "without": counts[False],
        "with": counts[True],
        "times less": round(counts[False] / counts[True], 2),
    }


def overhead_row(name: str, model: DecoderLM) -> dict[str, Any]:
    """Return how much of a full step is not the pass of the model."""
    engine, inside = engine_of(model), [0.0]
    run = engine.runner.run

    def timed(*given: Any) -> Any:
        begin = time.process_time()
        found = run(*given)
        inside[0] += time.process_time() - begin
        return found

    engine.runner.run = timed  # type: ignore[method-assign]
    begin = time.process_time()
    generate_all(engine, requests_of(32))
    whole = time.process_time() - begin
    return {"measured": "overhead", "model": name, "share": round(1 - inside[0] / whole, 4)}


def clients_row(clients: int = 64, seconds: float = 60.0) -> dict[str, Any]:
    """Return what `clients` streaming clients get over HTTP, one answer after the other."""
    import openai
    import uvicorn

    import course_lib
    from course_lib.serving.command import engine_for
    from course_lib.serving.server import Service

    model = course_lib.load(device="cpu")
    service = Service(model, engine_for(model), "course-model")
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    end, answers, lost = time.monotonic() + seconds, [0], [0]

    async def chat(client: openai.AsyncOpenAI, number: int) -> None:
        while time.monotonic() < end:
            parts = await client.completions.create(
                model="course-model", prompt=f"x{number} = ", max_tokens=32, temperature=0,
                stream=True, stream_options={"include_usage": True},
            )  # fmt: skip
            whole = [part async for part in parts]
            good = whole[-1].usage is not None and whole[-1].usage.completion_tokens == 32
            answers[0], lost[0] = answers[0] + good, lost[0] + (not good)

    async def all_clients() -> None:
        url = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            await asyncio.gather(*(chat(client, number) for number in range(clients)))

    asyncio.run(all_clients())
    server.should_exit = True
    thread.join()
    return {
        "measured": "clients",
        "clients": clients,
        "answers": answers[0],
        "lost": lost[0],
        "tokens per second": round(32 * answers[0] / seconds),
    }


def main() -> None:
    course = copy.deepcopy(course_model()).prepare_to_write()
    large = with_opinions(HUNDRED).prepare_to_write()
    rows = [
        *together_rows("course model", course, 48, 20.0, batches=not claims_alone()),
        *together_rows("random 100 M", large, 8, 25.0, batches=False),
    ]
    if not claims_alone():
        rows += [
            *arriving_rows("course model", course, 48),
            prefix_row("course model", course),
            overhead_row("course model", course),
            overhead_row("random 100 M", large),
        ]
    if "--clients" in sys.argv[1:]:
        rows.append(clients_row())
    record("serving", rows)


if __name__ == "__main__":
    main()
