"""The engine in a thread: callers come, go, and stop it at any time."""

import random
import threading

import pytest
import torch

from course_lib.model import ModelConfig, build_model
from course_lib.serving import Engine, Request, generate_all
from course_lib.serving.worker import StoppedError, Worker


@pytest.fixture
def engine():
    torch.manual_seed(0)
    model = build_model(ModelConfig(61, 24, 40, 2, 4, 2, 6, 64)).double().eval()
    return Engine(model.requires_grad_(False), num_blocks=40, block_size=4)


class Heard:
    """Collects the events of some jobs until all have ended."""

    def __init__(self, count):
        self.events, self.left, self.done = [], count, threading.Event()

    def __call__(self, event):
        self.events.append(event)
        self.left -= event.finish is not None
        if not self.left:
            self.done.set()


def test_requests_from_many_threads_give_what_each_gives_alone(engine):
    requests = [Request((n, n + 1), 8) for n in range(20)]
    expected = generate_all(engine, requests)
    worker, found = Worker(engine).start(), {}

    def ask(number):
        heard = Heard(1)
        (job,) = worker.submit([requests[number]], heard).result()
        if random.random() < 0.2:
            worker.cancel([job])
            return
        assert heard.done.wait(30)
        found[number] = [token for event in heard.events for token in event.tokens]

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker.stop()
    assert found
    assert all(found[number] == expected[number] for number in found)
    assert engine.blocks.free == 40


def test_all_requests_of_a_call_or_none(engine):
    worker = Worker(engine).start()
    submitted = worker.submit([Request((1,), 3), Request((99,), 3)], Heard(2))
    with pytest.raises(ValueError, match="99"):
        submitted.result()
    worker.stop()
    assert not engine.has_work


def test_stopping_ends_what_is_running(engine):
    worker, heard = Worker(engine).start(), Heard(1)
    worker.submit([Request((1,), 60)], heard).result()
    worker.stop()
    assert heard.done.is_set()
    assert heard.events[-1].finish in ("error", "length")
    with pytest.raises(StoppedError):
        worker.call(lambda engine: None)
    worker.cancel([])  # nothing to do any more
    assert engine.blocks.free == 40


def test_a_fault_of_the_engine_itself_leaves_nobody_waiting(engine, monkeypatch):
    monkeypatch.setattr(engine.scheduler, "plan", lambda: 1 / 0)
    worker, heard = Worker(engine).start(), Heard(2)
    jobs = worker.submit([Request((1,), 5), Request((2,), 5)], heard).result()
    assert heard.done.wait(10)
    assert all("ZeroDivisionError" in job.error for job in jobs)
    worker.stop()
    assert engine.blocks.free == 40


def test_a_listener_that_fails_ends_its_own_request_only(engine):
    def broken(event):
        raise RuntimeError("the loop is closed")

    worker, heard = Worker(engine).start(), Heard(1)
    (gone,) = worker.submit([Request((1,), 50)], broken).result()
    worker.submit([Request((2,), 5)], heard).result()
    assert heard.done.wait(10)
    worker.stop()
    assert gone.finish == "cancelled"
    assert heard.events[-1].finish == "length"
