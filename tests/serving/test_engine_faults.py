"""What goes wrong in one request does not touch the others, and no block is lost."""

import pytest
import torch

from course_lib.generation import GREEDY, Sampling
from course_lib.model import ModelConfig, build_model
from course_lib.serving import Engine, Request, generate_all


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model(ModelConfig(61, 24, 40, 2, 4, 2, 6, 64)).double().eval()
    for weight in model.parameters():
        weight.requires_grad_(False).add_(0.2 * torch.randn_like(weight))
    return model


REQUESTS = [Request((n, n + 1, n + 2), 9) for n in range(8)]


@pytest.fixture
def engine(model):
    return Engine(model, num_blocks=30, block_size=4, draft_tokens=1)


@pytest.fixture
def expected(engine):
    return generate_all(engine, REQUESTS)


def all_free(engine):
    assert engine.blocks.free == engine.blocks.num_blocks
    assert not any(engine.blocks.references)
    engine.blocks.check([])


def test_an_exception_of_the_model_ends_the_request_that_causes_it(engine, expected, monkeypatch):
    run = engine.runner.run

    def poisoned(rows, scored):
        if any(row.start == 5 and 4 in row.ids for row in rows):
            raise RuntimeError("out of memory")
        if any(5 in row.ids and row.start == 0 for row in rows):
            raise RuntimeError("illegal token")
        return run(rows, scored)

    monkeypatch.setattr(engine.runner, "run", poisoned)
    jobs = [engine.add(request) for request in REQUESTS]
    engine.run()
    ill = [job for job in jobs if 5 in job.request.prompt]
    assert ill
    for job, text in zip(jobs, expected, strict=True):
        if job in ill:
            assert job.finish == "error"
            assert job.error == "RuntimeError: illegal token"
        elif job.error is None:
            assert job.new == text
    assert sum(job.error is None for job in jobs) >= 4
    all_free(engine)


def test_a_fault_that_passes_costs_nobody_anything(engine, expected, monkeypatch):
    run, calls = engine.runner.run, []

    def flaky(rows, scored):
        calls.append(len(rows))
        if len(rows) > 1:
            raise RuntimeError("a hiccup")
        return run(rows, scored)

    monkeypatch.setattr(engine.runner, "run", flaky)
    assert generate_all(engine, REQUESTS) == expected
    assert max(calls) > 1
    all_free(engine)


def test_a_processor_that_fails_ends_its_own_request(engine, expected):
    def broken(logits, ids):
        if ids.shape[1] > 6:
            raise ZeroDivisionError("my own mistake")
        return logits

    bad = engine.add(Request((1, 2), 9, Sampling(temperature=0.0, more=(broken,))))
    assert generate_all(engine, REQUESTS) == expected
    assert bad.finish == "error"
    assert "ZeroDivisionError: my own mistake" in bad.error
    assert len(bad.new) == 5
    all_free(engine)


@pytest.mark.parametrize("steps", range(12))
def test_a_client_that_leaves_frees_its_blocks(engine, expected, steps):
    jobs = [engine.add(request) for request in REQUESTS]
    leaving = engine.add(Request(tuple(range(40)), 20))
    for _ in range(steps):
        engine.step()
    engine.cancel(leaving)
    assert leaving.table == []
    engine.run()
    engine.cancel(leaving)  # again: nothing happens
    assert [job.new for job in jobs] == expected
    assert leaving.finish == "cancelled"
    all_free(engine)


def test_a_full_cache_serves_everybody_in_the_end(model, expected):
    small = Engine(model, num_blocks=3, block_size=4, token_budget=5)
    assert generate_all(small, REQUESTS) == expected
    assert small.statistics.preemptions > 0
    all_free(small)


def test_a_failed_request_is_reported(engine, monkeypatch):
    def failing(rows, scored):
        raise RuntimeError("no device")

    monkeypatch.setattr(engine.runner, "run", failing)
    with pytest.raises(RuntimeError, match="no device"):
        generate_all(engine, [Request((1,), 3, GREEDY)])
    all_free(engine)
