"""How the forms of a model are timed: each by what is fastest for it, against itself about 1."""

import copy

from course_lib import compression
from course_lib.chapters.compression import speeds
from course_lib.compression import KernelLinear, Scheme
from course_lib.pretrained import course_model


def test_each_form_runs_in_its_fastest_way():
    models = {"float32": copy.deepcopy(course_model()), "again": copy.deepcopy(course_model())}
    for scheme in (Scheme(8), Scheme(3)):
        models[str(scheme)] = compression.quantise_model(copy.deepcopy(course_model()), scheme)
    found = speeds.decode_speeds(models, rounds=5)
    assert [each["how"] for each in found.values()] == ["plain", "plain", "kernel", "unpacked"]
    assert any(isinstance(each, KernelLinear) for each in models["int8 channel"].modules())
    assert found["float32"]["times as fast"] == 1
    assert 0.4 < found["again"]["times as fast"] < 2.5
    assert found["int3 channel"]["times as fast"] < 0.5


def test_ratios_are_taken_within_each_round(monkeypatch):
    times = [0, 1, 1, 3, 3, 13, 13, 33, 33, 34, 34, 38]  # pairs of begin and end
    clock = map(float, times)
    monkeypatch.setattr(speeds.time, "process_time", lambda: next(clock))
    order = []
    runs = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    seconds = speeds._in_turns(runs, 2)
    lengths = dict(zip(range(6), [1, 2, 10, 20, 1, 4], strict=True))
    for name in runs:
        assert seconds[name] == [lengths[i] for i in range(2, 6) if order[i] == name]
