"""Stored measurements are found by name, and say what they were taken on."""

import json

from course_lib.study import measured

ROWS = {
    "date": "2026-01-02",
    "machine": "x86_64",
    "threads": 1,
    "gpu": None,
    "versions": {"torch": "2.9", "numpy": "2.0"},
    "rows": [{"tokens": 512}],
}


def test_what_is_stored_is_returned(tmp_path, monkeypatch):
    monkeypatch.setattr(measured, "FOLDER", tmp_path)
    assert measured.stored("speed") is None
    (tmp_path / "measured_speed.json").write_text(json.dumps(ROWS), encoding="utf-8")
    assert measured.stored("speed") == ROWS


def test_says_what_it_was_taken_on():
    assert measured.taken_on(ROWS) == "x86_64, 1 thread(s); torch 2.9; 2026-01-02"
    on_gpu = ROWS | {"gpu": "Some GPU", "versions": {"torch": "2.9", "triton": "3.5"}}
    assert measured.taken_on(on_gpu) == "Some GPU; torch 2.9, triton 3.5; 2026-01-02"
