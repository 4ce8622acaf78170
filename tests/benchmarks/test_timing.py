"""A race ends when its medians are known, and no sooner: seconds here are counted, not measured."""

import random

import pytest

from benchmarks import timing
from benchmarks.timing import keeping, race, repeated, settled


class Clock:
    """Moves only when somebody works."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def work(self, *seconds):
        """Return a run that takes these seconds in turns."""
        order = [*seconds]

        def run():
            order.append(order.pop(0))
            self.now += order[-1]

        return run

    def race(self, contestants, **settings):
        return race(contestants, clock=lambda: self.now, **settings)


def test_what_never_varies_is_known_after_a_few_rounds(monkeypatch):
    clock = Clock(monkeypatch)
    rounds = clock.race({"a": clock.work(0.1), "b": clock.work(0.3)}, budget=100.0)
    assert len(rounds) == timing.FEW == 5
    assert rounds[0] == {"a": pytest.approx(0.1), "b": pytest.approx(0.3)}


def test_what_varies_is_run_until_the_budget_is_spent(monkeypatch):
    clock = Clock(monkeypatch)
    runs = {"a": clock.work(0.1, 0.3), "b": clock.work(0.1)}
    rounds = clock.race(runs, budget=10.0, warm=True)
    assert clock.now == pytest.approx(10.0, abs=0.4)
    assert len(rounds) > 30


def test_what_is_slow_runs_least_times(monkeypatch):
    clock = Clock(monkeypatch)
    assert len(clock.race({"a": clock.work(50.0)}, budget=1.0, least=3)) == 3
    assert clock.now == 150.0
    assert len(clock.race({"a": clock.work(1.0)}, budget=1.0, least=3)) == 3
    assert clock.now == 154.0, "and once more, which does not count"
    assert len(clock.race({"a": clock.work(1.0)}, budget=1.0, least=3, warm=True)) == 3
    assert clock.now == 157.0


def test_a_moment_of_agreement_is_looked_for_seldom(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    monkeypatch.setattr(timing, "settled", lambda rounds, _: seen.append(len(rounds)) or False)
    clock.race({"a": clock.work(0.1)}, budget=4.05, warm=True, least=3)
    assert seen == [5, 10, 20, 40]


def test_settled_looks_at_the_parts_of_each_round():
    # Both slow down together from round to round: their parts stay the same.
    together = [{"a": 1.0 * n, "b": 2.0 * n} for n in range(1, 21)]
    assert settled(together, 0.001)
    apart = [{"a": 1.0 * n, "b": 2.0} for n in range(1, 21)]
    assert not settled(apart, 0.05)


def test_more_rounds_settle_what_varies_a_little():
    noise = random.Random(1)
    rounds = [{"a": noise.uniform(0.95, 1.05), "b": 1.0} for _ in range(400)]
    assert not settled(rounds[:10], 0.002)
    assert settled(rounds, 0.002)


def test_a_kept_result_is_the_last_one_of_its_run():
    numbers = iter(range(10))
    runs, results = keeping({"a": lambda: next(numbers), "b": lambda: "text"})
    assert results == {}
    for name in ("a", "b", "a"):
        assert runs[name]() is None
    assert results == {"a": 1, "b": "text"}


def test_a_repeated_run_is_called_that_often():
    calls = []
    repeated(lambda: calls.append(1), 5)()
    assert len(calls) == 5
