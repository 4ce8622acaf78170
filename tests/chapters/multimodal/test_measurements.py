"""What each ingredient adds, as it is stored and as it is measured."""

import json

import pytest
import torch
from scipy import stats

from course_lib.chapters.multimodal import measurements
from course_lib.chapters.multimodal.measurements import RECIPE, VARIANTS, Gain, gains, measured
from course_lib.training.loop import StepReport, Training


def test_the_stored_runs_are_those_of_the_variants():
    table = measurements.stored()
    assert table["steps"] == measurements.STEPS
    seeds = {str(seed) for seed in measurements.SEEDS}
    for model, variants in VARIANTS.items():
        assert set(table["runs"][model]) == set(variants)
        for found in table["runs"][model].values():
            assert set(found) == seeds
            assert all(0 <= each["seen"] <= 1 for each in found.values())
            assert all(each["seconds"] > 1 for each in found.values())
        assert set(gains(model)) == set(variants) - {RECIPE}


def test_a_gain_compares_runs_of_the_same_seed(monkeypatch, tmp_path):
    monkeypatch.setattr(measurements, "FILE", tmp_path / "ingredients.json")
    rows = {RECIPE: (0.5, 0.6, 0.4), "better": (0.6, 0.71, 0.52), "other": (0.4, 0.7, 0.4)}
    runs = {
        name: {str(seed): {"seen": each} for seed, each in enumerate(row)}
        for name, row in rows.items()
    }
    measurements.FILE.write_text(json.dumps({"steps": {}, "runs": {"clip": runs}}))
    found = gains("clip")
    assert list(found) == ["better", "other"]
    assert found["better"].differences == pytest.approx((0.1, 0.11, 0.12))
    assert found["better"].excludes_zero
    assert not found["other"].excludes_zero


def test_the_interval_is_that_of_a_mean():
    gain = Gain((0.02, 0.05, -0.01))
    error = stats.sem(gain.differences)
    low, high = stats.t.interval(0.95, 2, loc=gain.mean, scale=error)
    assert (gain.mean - gain.half, gain.mean + gain.half) == pytest.approx((low, high), rel=1e-3)


@pytest.mark.parametrize("model", VARIANTS)
def test_a_run_says_what_it_got_right(monkeypatch, model):
    steps = []

    def step(run):  # what a step does is tested elsewhere
        steps.append(run.plan.seed)
        return StepReport(0.0, 0.0, 0.0)

    monkeypatch.setattr(Training, "step", step)
    found = measured(model, "half the steps", 3, 80, 4)
    assert steps == [3] * 40
    assert all(0 <= share <= 1 for name, share in found.items() if name != "seconds")
    with pytest.raises(ValueError, match="'no luck'"):
        measured(model, "no luck", 0)


def test_variants_of_clip_learn_from_other_batches():
    steady = VARIANTS["clip"]["drawings that never vary"].training(0, 80)
    steady.step()
    assert steady.paired.pictures[0, :, 0, 0].tolist() == pytest.approx([0.05] * 3)
    assert VARIANTS["clip"]["batches as they come"].training(0, 80).mix == ("random",)
    plan = VARIANTS["clip"]["half the steps"].training(0, 200).plan
    assert (plan.steps, plan.warmup) == (100, 15)


def test_variants_of_llava_learn_what_they_say():
    of = VARIANTS["llava"]
    usual, narrow = of[RECIPE].training(0, 80), of["first weights of 0.02"].training(0, 80)
    for run, std in ((usual, 96**-0.5), (narrow, 0.02)):
        weight = run.llava.language_model.model.layers[0].mlp.up_proj.weight
        assert weight.std().item() == pytest.approx(std, rel=0.02)
    assert usual.scenes(4, usual.generator).present.sum(-1).unique().tolist() == [1, 2]
    assert usual.captions > of["no descriptions"].training(0, 80).captions == 0


def test_drawings_that_are_kept_are_shown_again():
    run = VARIANTS["llava"][f"{measurements.POOL} drawings, encoded once"].training(0, 80)
    scenes = run.scenes(1, run.generator)
    assert (scenes.present.sum(-1) == 1).all()
    assert torch.equal(run.view(scenes, run.generator)["patches"], run.patches[run.rows])
    run.step()


def test_runs_are_stored_beside_those_of_other_seeds(monkeypatch, tmp_path):
    monkeypatch.setattr(measurements, "FILE", tmp_path / "ingredients.json")
    asked = []

    def measured(model, variant, seed, steps):
        asked.append((model, variant, seed))
        return {"seen": seed / 10}

    monkeypatch.setattr(measurements, "measured", measured)
    measurements.main((0,), {"clip": 2, "llava": 3})
    measurements.main((0, 1, 2), {"clip": 2, "llava": 3})
    assert len(asked) == len(set(asked)) == 3 * sum(map(len, VARIANTS.values()))
    table = measurements.stored()
    assert table["steps"] == {"clip": 2, "llava": 3}
    assert table["runs"]["clip"][RECIPE] == {"0": {"seen": 0.0}, "1": {"seen": 0.1},
                                             "2": {"seen": 0.2}}  # fmt: skip
