"""The engine: 200 requests at random give what each gives alone, and every block is free again."""

import copy
import random

import jaxtyping
import pytest
import torch

from course_lib.device import seeded
from course_lib.generation import GREEDY, NEVER, Sampling, Stop, generate
from course_lib.model import ModelConfig, build_model
from course_lib.serving import Engine, OverloadedError, Request, generate_all

V = 61


@pytest.fixture(autouse=True)
def without_type_checks():
    """Leave out the checks of every call: here the tokens are checked, one by one."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = ModelConfig(V, 24, 40, 2, 4, 2, 6, 64)
    model = build_model(config).double().eval().requires_grad_(False)
    for weight in model.parameters():  # so that no token wins by rounding alone
        weight += 0.2 * torch.randn_like(weight)
    return model


def alone(model, request):
    """Return what a request gives without any other, by the loop of the chapter on generation."""
    generator = None if request.seed is None else seeded(request.seed)
    ids = torch.tensor([request.prompt])
    return generate(
        model,
        ids,
        request.max_new_tokens,
        request.sampling,
        stop=request.stop,
        generator=generator,
    )[0].tolist()


STARTS = [[7, 3, 9, 1] * 4, [5, 8, 2] * 3, [11]]
SAMPLINGS = [
    GREEDY,
    Sampling(),
    Sampling(temperature=0.7, top_p=0.9),
    Sampling(top_k=5, repetition_penalty=1.3),
    Sampling(temperature=0.0, repetition_penalty=1.2),
    Sampling(min_p=0.1),
]


def any_request(rng):
    prompt = [*rng.choice(STARTS), *rng.choices(range(V), k=rng.randint(1, 20))]
    stop = Stop(tuple(rng.sample(range(V), 2))) if rng.random() < 0.5 else NEVER
    return Request(
        tuple(prompt),
        rng.randint(1, 12),
        rng.choice(SAMPLINGS),
        stop,
        seed=rng.randrange(1000),
        priority=rng.choice([0, 0, 1]),
    )


def nothing_left(engine):
    assert not engine.has_work
    assert engine.blocks.free == engine.blocks.num_blocks
    assert not any(engine.blocks.references)


SETTINGS = {
    "plenty of room": {"num_blocks": 200, "block_size": 4},
    "tight": {"num_blocks": 16, "block_size": 4, "token_budget": 13, "max_running": 7},
    "drafts": {"num_blocks": 40, "block_size": 4, "draft_tokens": 3, "token_budget": 50},
    "drafts and tight": {"num_blocks": 15, "block_size": 4, "draft_tokens": 2, "token_budget": 9},
    "blocks of one token": {"num_blocks": 70, "block_size": 1, "token_budget": 30},
    "no prefixes kept": {"num_blocks": 30, "block_size": 4, "keep_prefixes": False},
    "static": {"num_blocks": 40, "block_size": 4, "policy": "static"},
    "continuous": {"num_blocks": 40, "block_size": 4, "policy": "continuous"},
    "collisions": {"num_blocks": 40, "block_size": 4, "hash_one": lambda p, t: bytes([sum(t) % 3])},
}


def serve_at_random(engine, model, wanted, rng):
    """Add, cancel and step at random, compare with each alone; return the numbers cancelled."""
    waiting, jobs, cancelled = list(wanted), [], set()
    while waiting or engine.has_work:
        for _ in range(rng.choice([0, 0, 1, 3])):
            if waiting:
                jobs.append(engine.add(waiting.pop(0)))
        if jobs and rng.random() < 0.05:
            job = rng.choice(jobs)
            if job.finish is None:
                engine.cancel(job)
                cancelled.add(job.number)
        engine.step()
        engine.blocks.check([job.table for job in engine.scheduler.running])
    for request, job in zip(wanted, jobs, strict=True):
        expected = alone(model, request)
        assert job.error is None
        if job.number in cancelled:
            assert job.new == expected[: len(job.new)]
            assert job.finish == "cancelled"
        else:
            assert job.new == expected
            stopped = request.stop.ended(expected)
            assert job.finish == ("stop" if stopped else "length")
    assert len(cancelled) < len(wanted) / 2
    nothing_left(engine)
    return cancelled


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_random_requests_give_what_each_gives_alone(settings, model):
    count = 200 if settings["num_blocks"] in (200, 16, 15) else 40
    rng = random.Random(len(settings) + settings["num_blocks"])
    engine = Engine(model, **settings)
    serve_at_random(engine, model, [any_request(rng) for _ in range(count)], rng)
    if settings["num_blocks"] in (15, 16):
        assert engine.statistics.preemptions > 10
    if settings.get("draft_tokens"):
        assert engine.statistics.accepted > 0


@pytest.mark.parametrize("draft_tokens", [0, 2])
def test_so_they_do_on_fused_weights(draft_tokens, model):
    rng, single = random.Random(0), copy.deepcopy(model).float()
    tight = {"num_blocks": 16, "block_size": 4, "token_budget": 13}
    engine = Engine(single, **tight, draft_tokens=draft_tokens, fused=True)
    assert serve_at_random(engine, single, [any_request(rng) for _ in range(40)], rng)
    assert engine.statistics.preemptions > 0
    with pytest.raises(ValueError, match="float64"):
        Engine(model, fused=True)


def test_events_report_every_token_once(model):
    engine = Engine(model, num_blocks=60, block_size=4, draft_tokens=2)
    rng = random.Random(5)
    jobs = [engine.add(any_request(rng)) for _ in range(12)]
    heard = {job.number: [] for job in jobs}
    ends = []
    for event in engine.run():
        heard[event.job.number] += event.tokens
        ends += [event.job.number] if event.finish else []
    assert all(heard[job.number] == job.new for job in jobs)
    assert sorted(ends) == [job.number for job in jobs]


def test_a_shared_prompt_is_computed_once(model):
    prompt = tuple(range(30))
    engine = Engine(model, num_blocks=60, block_size=4)
    first = engine.add(Request(prompt, 3))
    engine.run()
    before = engine.statistics.computed
    second = engine.add(Request((*prompt, 40, 41), 3))
    engine.run()
    assert (first.cached, second.cached) == (0, 28)
    assert engine.statistics.computed - before == 32 - 28 + 2


@pytest.mark.parametrize("fused", [False, True])
def test_samples_of_one_prompt_share_its_blocks_until_they_write(model, fused):
    model = copy.deepcopy(model).float() if fused else model
    prompt = tuple(range(10))  # two full blocks and a half
    engine = Engine(model, num_blocks=60, block_size=4, fused=fused)
    requests = [Request(prompt, 6, Sampling(), seed=seed) for seed in range(3)]
    parent = engine.add(requests[0])
    children = [engine.add(request, parent) for request in requests[1:]]
    engine.step()
    plan_blocks = engine.blocks.num_blocks - engine.blocks.free
    assert plan_blocks == 3
    engine.step()
    held = {block for job in (parent, *children) for block in job.table}
    assert engine.blocks.references[parent.table[0]] == 3
    assert len(held) == 2 + 3  # two shared, and a copy of the half block for each
    engine.run()
    for request, job in zip(requests, (parent, *children), strict=True):
        assert job.new == alone(model, request)
    nothing_left(engine)


def test_children_whose_parent_is_gone_compute_alone(model):
    engine = Engine(model, num_blocks=60, block_size=4, token_budget=3)
    parent = engine.add(Request(tuple(range(10)), 6))
    child = engine.add(Request(tuple(range(10)), 6), parent)
    engine.step()
    engine.cancel(parent)
    engine.run()
    assert child.new == alone(model, child.request)
    nothing_left(engine)


def test_a_long_prompt_does_not_hold_up_the_others(model):
    engine = Engine(model, num_blocks=60, block_size=4, token_budget=6)
    quick = engine.add(Request((1, 2), 20))
    engine.step()
    engine.add(Request(tuple(range(40)), 2))
    for expected in range(2, 9):
        engine.step()
        assert len(quick.new) == expected  # a token in each step


def test_the_more_important_request_is_served_first(model):
    engine = Engine(model, num_blocks=60, block_size=4, max_running=1)
    late, urgent = engine.add(Request((1, 2), 3, priority=5)), engine.add(Request((3, 4), 3))
    ended = [event.job for event in engine.run() if event.finish]
    assert ended == [urgent, late]


def test_logprobs_are_those_of_the_model(model):
    engine = Engine(model, num_blocks=60, block_size=4)
    sampling = Sampling(temperature=0.5, top_k=3)
    job = engine.add(Request((4, 5, 6), 5, sampling, seed=1, top_logprobs=2))
    engine.run()
    logs = model(torch.tensor([[4, 5, 6, *job.new]])).logits[0].log_softmax(-1)
    assert len(job.logprobs) == 5
    for place, (token, found) in enumerate(zip(job.new, job.logprobs, strict=True), start=2):
        assert found.logprob == pytest.approx(float(logs[place, token]))
        best = logs[place].topk(2)
        assert [t for t, _ in found.top] == best.indices.tolist()
        assert [p for _, p in found.top] == pytest.approx(best.values.tolist())


def test_what_can_never_be_served_raises(model):
    engine = Engine(model, num_blocks=4, block_size=4)
    with pytest.raises(ValueError, match="context length of 64"):
        engine.add(Request(tuple(range(60)), 5))
    with pytest.raises(ValueError, match="needs 5 blocks"):
        engine.add(Request(tuple(range(10)), 8))
    with pytest.raises(ValueError, match="between 0 and 60; got 61"):
        engine.add(Request((61,), 5))
    with pytest.raises(ValueError, match="at least one token"):
        Request(())
    with pytest.raises(ValueError, match="got 0"):
        Request((1,), 0)
    assert not engine.has_work


def test_a_request_that_fills_the_whole_cache_is_served(model):
    engine = Engine(model, num_blocks=4, block_size=4)
    request = Request(tuple(range(10)), 7)
    assert generate_all(engine, [request, request]) == [alone(model, request)] * 2
    nothing_left(engine)


def test_too_many_waiting_requests_are_turned_away(model):
    engine = Engine(model, num_blocks=60, block_size=4, max_waiting=2)
    for _ in range(2):
        engine.add(Request((1, 2), 3))
    with pytest.raises(OverloadedError, match="2 requests"):
        engine.add(Request((1, 2), 3))
    engine.run()
    engine.add(Request((1, 2), 3))


@pytest.mark.parametrize("settings", [{"token_budget": 0}, {"max_running": 0}, {"policy": "best"}])
def test_impossible_settings_raise(settings, model):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        Engine(model, **settings)
