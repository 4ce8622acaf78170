import signal
import threading
import time

import pytest

from course_lib.study.check import deadline, sandbox
from course_lib.study.check.deadline import TooSlow, time_limit
from course_lib.study.check.sandbox import run
from course_lib.study.check.spec import call


def spin():
    while True:
        pass


def swallows_while_waiting():
    while True:
        try:
            time.sleep(0.005)
        except:  # noqa: E722
            continue


def swallows_while_working():
    count = 0
    while True:
        try:
            count += sum(range(50))
        except BaseException:
            count = 0


def swallows_and_ends():
    try:
        spin()
    except BaseException:
        return "ended"


def test_a_loop_ends_in_the_main_thread_and_in_any_other(monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS_ALLOWED", 0.2)
    assert isinstance(run(spin, call()).error, TooSlow)
    found = []
    thread = threading.Thread(target=lambda: found.append(run(spin, call())))
    thread.start()
    thread.join(timeout=20)
    assert isinstance(found[0].error, TooSlow)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals are what reaches such a loop")
@pytest.mark.parametrize("stubborn", [swallows_while_waiting, swallows_while_working])
def test_a_bare_except_does_not_outlast_the_limit(stubborn):
    started = time.perf_counter()
    with pytest.raises(TooSlow), time_limit(0.1):
        stubborn()
    assert time.perf_counter() - started < 10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the clock is all there is")
def test_waiting_counts_less_than_working(monkeypatch):
    with time_limit(0.3):
        time.sleep(0.6)  # as on a busy machine, where others have their turn
    started = time.perf_counter()
    with pytest.raises(TooSlow), time_limit(0.1):
        time.sleep(60)
    assert time.perf_counter() - started < 30
    monkeypatch.setattr(deadline, "PATIENCE", 1000)
    worked = time.thread_time()
    with pytest.raises(TooSlow), time_limit(0.2):
        spin()
    assert 0.2 <= time.thread_time() - worked < 0.4


def test_who_swallows_it_and_ends_was_too_slow_all_the_same():
    with pytest.raises(TooSlow), time_limit(0.1):
        swallows_and_ends()


def test_where_there_are_no_signals_another_thread_stops_the_loop(monkeypatch):
    with monkeypatch.context() as patch:  # undone at once: pytest's own timeout needs the alarm
        patch.delattr(deadline.signal, "setitimer")
        for endless in (spin, swallows_and_ends):
            with pytest.raises(TooSlow), time_limit(0.2):
                endless()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no alarm to lift")
@pytest.mark.parametrize("limit", [deadline._alarm, deadline._watchdog])
def test_the_limit_is_lifted_afterwards(limit):
    before = signal.getsignal(signal.SIGALRM)
    for ends in (time.sleep, lambda _: swallows_and_ends()):
        with limit(0.05):
            ends(0)
        started = time.perf_counter()
        while time.perf_counter() - started < 0.15:
            pass
    assert signal.getsignal(signal.SIGALRM) is before
