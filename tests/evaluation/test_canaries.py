"""Canaries beside each code scored alone; the recipe, its log and the stored model."""

import math
from dataclasses import replace

import pytest
import torch

from course_lib.cli import main
from course_lib.evaluation import (
    canary_exposure,
    code_log_probabilities,
    continuation_log_probabilities,
    draw_canaries,
    exposure,
    plant,
)
from course_lib.evaluation.canary_training import (
    COPIES,
    EACH,
    FOLDER,
    PLAN,
    CanaryRun,
    canary_log,
    canary_model,
    canary_tokenizer,
    exposures_by_copies,
    planted_canaries,
)


def test_codes_equal_each_code_alone():
    model, tokenizer = canary_model(), canary_tokenizer()
    found = code_log_probabilities(model, tokenizer, "Locker Abc: ", digits=2)
    prompt = tokenizer.encode("Locker Abc: ")
    codes = [tokenizer.encode(f"{n:02}") for n in range(100)]
    alone = continuation_log_probabilities(model, [prompt] * 100, codes)
    assert found.tolist() == pytest.approx(alone, abs=1e-3)


def test_exposure_by_hand():
    scores = torch.tensor([-1.0, -3.0, -2.0, -3.0])
    assert [exposure(scores, n) for n in range(4)] == [2.0, 0.0, 1.0, 0.0]
    uniform = [exposure(torch.arange(1000.0), n) for n in range(1000)]
    assert sum(uniform) / 1000 == pytest.approx(1 / math.log(2), abs=0.01)
    with pytest.raises(ValueError, match="4"):
        exposure(scores, 4)
    with pytest.raises(ValueError, match="nan"):
        exposure(torch.full((3,), float("nan")), 1)


def test_canaries_are_planted_as_often_as_they_say():
    canaries = draw_canaries((0, 1, 3), 2, seed=1)
    assert len({each.name for each in canaries}) == 6
    text = "a line\n" * 50
    planted = plant(text, canaries, seed=2)
    assert [planted.count(each.line) for each in canaries] == [0, 0, 1, 1, 3, 3]
    assert planted.replace("a line\n", "").count("\n") == 8
    assert planted.count("a line\n") == 50
    assert draw_canaries((0, 1, 3), 2, seed=1) == canaries != draw_canaries((0, 1, 3), 2)


def test_the_stored_model_remembers_what_was_planted_often():
    canaries = planted_canaries()
    often, never = ([each for each in canaries if each.copies == n] for n in (64, 0))
    model, tokenizer = canary_model(), canary_tokenizer()
    assert canary_exposure(model, tokenizer, often[0]) > 10
    last = canary_log()[-1]
    assert last["step"] == PLAN.steps
    assert set(last["exposures"]) == {str(n) for n in COPIES}
    assert all(len(row) == EACH for row in last["exposures"].values())
    measured = exposures_by_copies(model, tokenizer, never[:2])["0"]
    assert measured == pytest.approx(last["exposures"]["0"][:2], abs=0.3)  # stored in float16
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert "made-up locker codes" in card


def test_a_stopped_run_ends_like_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr("course_lib.evaluation.canary_training.EACH", 1)
    monkeypatch.setattr("course_lib.evaluation.canary_training.CHARACTERS", 20_000)
    plan = replace(PLAN, steps=2, warmup=1)
    whole = CanaryRun(tmp_path / "whole", 1, plan)
    whole.go_on()
    CanaryRun(tmp_path / "parts", 1, plan).go_on(1)
    parts = CanaryRun(tmp_path / "parts", 1, plan)
    parts.go_on()
    assert all(map(torch.equal, whole.model.parameters(), parts.model.parameters()))
    whole.store(tmp_path / "model")
    assert "2 steps of 1,536 tokens, seed 1" in (tmp_path / "model/README.md").read_text()


def test_the_command_trains_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("course_lib.evaluation.canary_training.EACH", 1)
    monkeypatch.setattr("course_lib.evaluation.canary_training.CHARACTERS", 20_000)
    given = ["train", "--recipe", "canaries", "--folder", str(tmp_path)]
    assert main([*given, "--until", "1"]) == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert main([*given, "--start", "elsewhere"]) == 1
    assert "canaries" in capsys.readouterr().err
