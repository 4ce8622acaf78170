"""The recipe of the student: stopped and resumed, by the command, and its stored log."""

import json
from dataclasses import replace

import pytest
import torch

from course_lib.chapters.compression.measurements import stored_measurements, student_log
from course_lib.checkpoint import load_model
from course_lib.cli import main
from course_lib.compression import distillation_run
from course_lib.compression.distillation_run import NAME, PLAN, STUDENT, DistillationRun


@pytest.fixture(autouse=True)
def few_texts(monkeypatch):
    """Train on two short rows of a short text."""
    monkeypatch.setattr(distillation_run, "TRAINED", 20_000)
    monkeypatch.setattr(distillation_run, "HELD_OUT", 300)
    monkeypatch.setattr(distillation_run, "ROWS", 2)
    distillation_run.training_ids.cache_clear()
    yield
    distillation_run.training_ids.cache_clear()


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path):
    plan = replace(PLAN, steps=3, warmup=1)
    whole = DistillationRun(tmp_path / "whole", 1, plan)
    whole.go_on()
    DistillationRun(tmp_path / "parts", 1, plan).go_on(2)
    parts = DistillationRun(tmp_path / "parts", 1, plan)
    assert parts.training.done == 2
    parts.go_on()
    assert all(map(torch.equal, whole.model.parameters(), parts.model.parameters()))
    other = DistillationRun(tmp_path / "other", 2, plan)
    assert not torch.equal(other.model.lm_head.weight, whole.model.lm_head.weight)
    first, last = whole.records[0], whole.records[-1]
    assert last["loss"] == pytest.approx(first["divergence"], rel=0.5)  # the same kind of number
    assert last["divergence"] < first["divergence"]


def test_the_command_trains_and_stores_it(tmp_path, capsys):
    given = ["train", "--recipe", NAME, "--folder", str(tmp_path)]
    assert main([*given, "--until", "1"]) == 0
    student = load_model(tmp_path / "model")
    assert student.config.hidden_size == STUDENT.hidden_size
    lines = (tmp_path / "model" / "training_log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1]
    assert main([*given, "--start", "elsewhere"]) == 1
    assert NAME in capsys.readouterr().err


def test_the_stored_log_is_that_of_a_whole_run():
    log, measured = student_log(), stored_measurements()["distillation"]
    assert [each["step"] for each in log] == list(range(0, PLAN.steps + 1, 50))
    divergences = [each["divergence"] for each in log]
    assert divergences[-1] < divergences[0] / 2
    alone = [run["bits per byte"] for run in measured["runs"] if run["share"] == 0]
    assert log[-1]["bits per byte"] < min(alone)
