import threading
import time

import pytest
import torch

from course_lib.study import sandbox
from course_lib.study.sandbox import TooSlow, call, run, time_limit


def spin():
    while True:
        pass


def test_a_loop_ends_in_the_main_thread_and_in_any_other(monkeypatch):
    monkeypatch.setattr(sandbox, "SECONDS_ALLOWED", 0.2)
    assert isinstance(run(spin, call()).error, TooSlow)
    found = []
    thread = threading.Thread(target=lambda: found.append(run(spin, call())))
    thread.start()
    thread.join(timeout=20)
    assert isinstance(found[0].error, TooSlow)


def test_where_there_are_no_signals_another_thread_stops_the_loop(monkeypatch):
    monkeypatch.delattr(sandbox.signal, "setitimer")
    with pytest.raises(TooSlow), time_limit(0.2):
        spin()


def test_the_limit_is_lifted_afterwards():
    with time_limit(0.1):
        pass
    time.sleep(0.2)


def test_arguments_are_copies_and_changes_are_named():
    given = call([torch.zeros(2)], flags={"a": 1})

    def changes(tensors, flags):
        flags["b"] = 2

    assert run(changes, given).side_effect == "changed its input in place"
    assert given.kwargs == {"flags": {"a": 1}}
    assert run(lambda tensors, flags: tensors, given).side_effect is None


def test_nan_in_an_argument_is_no_change():
    assert run(lambda x: x, call(torch.tensor([torch.nan]))).side_effect is None
    assert run(lambda x: x, call(float("nan"))).side_effect is None


def test_warnings_settings_are_put_back():
    import warnings

    before = list(warnings.filters)
    run(lambda: warnings.simplefilter("ignore"), call())
    assert list(warnings.filters) == before
