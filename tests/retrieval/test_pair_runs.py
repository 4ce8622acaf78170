"""Runs on pairs: what they store, and the cards of the stored models."""

import re
from dataclasses import replace

import pytest
import torch

from course_lib.retrieval import cross_encoder, encoder, encoder_runs, reranker_runs
from course_lib.retrieval.encoder_data import Pair
from course_lib.retrieval.encoder_runs import CodeTask, EncoderRun
from course_lib.retrieval.reranker_runs import RerankerRun

TASK = CodeTask(["apple", "pear"], ["apple apple", "pear pear", "apple pear"])
PAIRS = [Pair(f"word{i} of it", f"the text about word{i} and more", f"{i}") for i in range(12)]


def forms(card):
    """Return the lines of a card without their numbers, and without the machine."""
    lines = re.sub(r"\d[\d,.]*(e-\d+)?", "0", card).splitlines()
    return [line for line in lines if not line.startswith("| machine")]


@pytest.mark.parametrize(
    ("module", "run", "load", "stored"),
    [
        (encoder_runs, EncoderRun, encoder.load_encoder, encoder.OWN_FOLDER),
        (reranker_runs, RerankerRun, cross_encoder.load_reranker, cross_encoder.OWN_FOLDER),
    ],
)
def test_a_run_is_stored_with_its_log_and_its_card(
    module, run, load, stored, monkeypatch, tmp_path
):
    monkeypatch.setattr(module, "training_pairs", lambda seed: PAIRS)
    monkeypatch.setattr(module, "held_out_task", lambda: TASK)
    trained = run(tmp_path / "run", replace(module.PLAN, steps=2, warmup=1))
    trained.go_on()
    trained.store(tmp_path / "model")
    weights = load(tmp_path / "model").model.state_dict()
    for name, weight in trained.training.model.state_dict().items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-2, atol=1e-3)
    assert (tmp_path / "model" / "training_log.jsonl").read_text() == trained.log.read_text()
    card = (tmp_path / "model" / "README.md").read_text()
    assert f" {trained.records[-1]['mrr']:.3f} |" in card.splitlines()[-1]
    assert "| BM25 | 1.000 |" in card
    assert "| steps | 2 of 2; each has 12 " in card or module is encoder_runs
    assert forms(card) == forms((stored / "README.md").read_text(encoding="utf-8"))
