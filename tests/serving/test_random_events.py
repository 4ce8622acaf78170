"""The scheduler and the block manager under 100 000 random events, without a model."""

import random

import jaxtyping
import pytest

from course_lib.serving import BlockManager, Job, Request, Scheduler

EVENTS = 100_000


@pytest.fixture(autouse=True)
def without_type_checks():
    """Leave out the checks of every call, which take ten times as long as what is tested."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


class Memory:
    """A cache that remembers which text each place holds, as the keys of a model would."""

    def __init__(self, blocks, size):
        self.places = [[None] * size for _ in range(blocks)]
        self.size = size

    def copy(self, pairs):
        contents = [list(self.places[source]) for source, _ in pairs]
        for content, (_, target) in zip(contents, pairs, strict=True):
            self.places[target] = content

    def write(self, job, start, count):
        """A key depends on all tokens so far, so that is what a place holds."""
        for t in range(start, start + count):
            self.places[job.table[t // self.size]][t % self.size] = hash(tuple(job.tokens[: t + 1]))

    def read(self, job, end):
        return [self.places[job.table[t // self.size]][t % self.size] for t in range(end)]


def colliding(parent, tokens):
    return bytes([(sum(tokens) + len(parent)) % 7])


def simulate(seed, events, policy, hash_one=None):
    """Let requests come, go and be served at random; check after every event."""
    rng = random.Random(seed)
    size = rng.choice([1, 2, 3, 4])
    more = {} if hash_one is None else {"hash_one": hash_one}
    blocks = BlockManager(rng.randint(12, 24), size, keep=rng.random() < 0.8, **more)
    scheduler = Scheduler(
        blocks, token_budget=rng.randint(1, 20), max_running=rng.randint(1, 6), policy=policy
    )
    memory, alive, done, number = Memory(blocks.num_blocks, size), [], 0, 0
    starts = [[rng.randrange(3) for _ in range(9)] for _ in range(3)]
    preempted = 0
    for _ in range(events):
        event = rng.random()
        if event < 0.3 and len(alive) < 12:
            prompt = [*rng.choice(starts)[: rng.randint(1, 9)], *rng.choices(range(3), k=2)]
            length = rng.randint(1, blocks.num_blocks * size - len(prompt) + 1)
            request = Request(tuple(prompt), min(length, 12), priority=rng.choice([0, 0, 1]))
            jobs = [Job(request, number)]
            if rng.random() < 0.3:
                jobs.append(Job(request, number + 1, parent=jobs[0]))
            number += len(jobs)
            for job in jobs:
                scheduler.add(job)
            alive += jobs
        elif event < 0.33 and alive:
            job = rng.choice(alive)
            job.finish = "cancelled"
            scheduler.remove(job)
            alive.remove(job)
        else:
            plan = scheduler.plan()
            assert plan.tokens <= scheduler.token_budget or policy != "chunked"
            assert not alive or plan.chunks  # something always goes on
            preempted += len(plan.preempted)
            memory.copy(plan.copies)
            for chunk in plan.chunks:
                memory.write(chunk.job, chunk.start, chunk.size)
            for chunk in plan.chunks:
                job, end = chunk.job, chunk.start + chunk.size
                # Everything that attention would read is what this very text has written.
                texts = [hash(tuple(job.tokens[: t + 1])) for t in range(end)]
                assert memory.read(job, end) == texts
                if chunk.gives_token:
                    job.append(rng.randrange(3))
                scheduler.computed(chunk, end)
                if job.finish:
                    scheduler.remove(job)
                    alive.remove(job)
                    done += 1
        blocks.check([job.table for job in scheduler.running])
        assert all(not job.table and not job.computed for job in scheduler.waiting)
        assert len(scheduler.running) <= scheduler.max_running
        assert sorted(job.number for job in alive) == sorted(
            job.number for job in scheduler.waiting + scheduler.running
        )
    for job in list(alive):
        scheduler.remove(job)
    assert blocks.free == blocks.num_blocks
    assert not any(blocks.references)
    return done, preempted


@pytest.mark.parametrize("policy", ["static", "continuous", "chunked"])
def test_random_events_break_nothing(policy):
    found = [simulate(seed, EVENTS // 60, policy) for seed in range(20)]
    finished, preempted = map(sum, zip(*found, strict=True))
    assert finished > 1000
    assert preempted > 20


def test_colliding_hashes_break_nothing():
    finished = sum(simulate(seed, 500, "chunked", colliding)[0] for seed in range(10))
    assert finished > 300
