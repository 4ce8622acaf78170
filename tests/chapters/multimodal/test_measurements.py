"""How much first weights matter, as it is stored and as it is measured."""

import pytest

from course_lib.chapters.multimodal import measurements


def test_the_stored_table_has_every_variant_with_every_seed():
    table = measurements.stored()
    assert list(table["right"]) == list(measurements.VARIANTS)
    assert table["steps"] == measurements.STEPS
    assert {len(scores) for scores in table["right"].values()} == {len(measurements.SEEDS)}


def test_a_variant_is_measured_by_its_own_run(monkeypatch):
    chosen = {}

    class Run(measurements.LlavaTraining):
        def __init__(self, model, plan, stage, growing):
            weight = model.language_model.model.layers[0].mlp.up_proj.weight
            chosen.update(std=weight.std().item(), seed=plan.seed)
            super().__init__(model, plan, stage, growing=growing)

    monkeypatch.setattr(measurements, "LlavaTraining", Run)
    assert 0 <= measurements.measured("as in the recipe", 3, 1, 2) <= 1
    assert chosen == {"std": pytest.approx(96**-0.5, rel=0.02), "seed": 3}
    measurements.measured("weights drawn with 0.02", 0, 1, 2)
    assert chosen["std"] == pytest.approx(0.02, rel=0.02)
    with pytest.raises(ValueError, match="'no luck'"):
        measurements.measured("no luck", 0)


def test_the_table_is_written_again(monkeypatch, tmp_path):
    monkeypatch.setattr(measurements, "FILE", tmp_path / "ingredients.json")
    monkeypatch.setattr(measurements, "measured", lambda variant, seed, steps: seed / 10)
    measurements.main(2)
    table = measurements.stored()
    assert table["steps"] == 2
    assert table["right"]["as in the recipe"] == [0.0, 0.1, 0.2]
