"""The sweeps over learning rates: their schedules, their optimizers, and what is stored."""

import pytest

from course_lib.chapters.training import sweeps
from course_lib.chapters.training.tiny_decoders import byte_config, fresh
from course_lib.training.muon import Muon


def test_the_schedules_by_hand():
    assert sweeps.constant(0, 100) == pytest.approx(1 / 20)
    assert sweeps.constant(99, 100) == 1.0
    assert sweeps.wsd(9, 100) == pytest.approx(0.5)
    assert sweeps.wsd(78, 100) == 1.0
    assert sweeps.wsd(89, 100) == pytest.approx(0.55)  # 10 of the last 20 steps are left
    assert sweeps.wsd(99, 100) == pytest.approx(0.1)
    assert sweeps.warm_cosine(20)(19, 100) == pytest.approx(1.0)
    assert sweeps.warm_cosine(20)(99, 100) == pytest.approx(0.1)


def test_every_parameter_has_one_optimizer():
    model = fresh(byte_config(16))
    everything = {id(p) for p in model.parameters()}
    for muon in (False, True):
        found = sweeps.optimizers(model, muon)
        own = [id(p) for each in found for group in each.param_groups for p in group["params"]]
        assert len(own) == len(set(own))
        assert set(own) == everything
    matrices = [p for group in found[1].param_groups for p in group["params"]]
    assert isinstance(found[1], Muon)
    embedding = model.get_parameter("model.embed_tokens.weight")
    assert all(p.ndim == 2 and p is not embedding for p in matrices)


def test_a_run_is_the_same_each_time_and_follows_its_seed(monkeypatch):
    monkeypatch.setattr(sweeps, "WIDTH", 16)
    settings = {"peak": 0.01, "steps": 25, "rows": 4}
    first = sweeps.final_loss(seed=0, **settings)
    assert first == sweeps.final_loss(seed=0, **settings)
    assert first != sweeps.final_loss(seed=1, **settings)
    assert first != sweeps.final_loss(seed=0, muon=True, **settings)
    assert first < 5.0


def test_what_is_stored_is_complete():
    found = sweeps.stored_sweeps()
    assert set(found) == set(sweeps.EXPERIMENTS)
    assert len(found["rates"]) == len(sweeps.PEAKS) * len(sweeps.WARMUPS)
    assert all(len(run["losses"]) == len(sweeps.SEEDS) for runs in found.values() for run in runs)


def test_one_stored_run_is_found_again():
    stored = next(run for run in sweeps.stored_sweeps()["batches"] if run["rows"] == 64)
    pace = sweeps.warm_cosine(sweeps.warmup_for(64))
    again = sweeps.final_loss(stored["peak"], 0, pace, stored["steps"], 64)
    assert again == pytest.approx(stored["losses"][0], abs=0.1)
