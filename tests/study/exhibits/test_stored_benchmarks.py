"""Stored measurements are found by name, and say what they were taken on."""

import json

import pytest

from course_lib.study.exhibits import stored_benchmarks
from course_lib.study.exhibits.stored_benchmarks import stored_benchmark, taken_on

ROWS = {
    "date": "2026-01-02",
    "machine": "x86_64",
    "threads": 1,
    "gpu": None,
    "versions": {"torch": "2.9", "numpy": "2.0"},
    "rows": [{"tokens": 512}],
}


def test_what_is_stored_is_returned(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_benchmarks, "data_folder", lambda slug: tmp_path / slug)
    (tmp_path / "softmax").mkdir()
    assert stored_benchmark("softmax", "speed") is None
    (tmp_path / "softmax" / "measured_speed.json").write_text(json.dumps(ROWS), encoding="utf-8")
    assert stored_benchmark("softmax", "speed") == ROWS


def test_an_unknown_chapter_gets_a_remedy():
    with pytest.raises(ValueError, match=r"'flash_atention'.*'flash_attention'"):
        stored_benchmark("flash_atention", "cpu")


def test_says_what_it_was_taken_on():
    assert taken_on(ROWS) == "x86_64, 1 thread(s); torch 2.9; 2026-01-02"
    on_gpu = ROWS | {"gpu": "Some GPU", "versions": {"torch": "2.9", "triton": "3.5"}}
    assert taken_on(on_gpu) == "Some GPU; torch 2.9, triton 3.5; 2026-01-02"
