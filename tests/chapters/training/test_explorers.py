"""The explorers of the chapter on training: what their controls start from and lead to."""

import pytest

from course_lib.chapters.training import explorers, figures, tiny_decoders
from course_lib.study.display.plotting import figure_title
from course_lib.training.scaling import ScalingLaw

RECORDS = [
    {"step": i, "loss": 3.0, "repeat loss": loss, "previous": 0.5, "induction": 0.1 * i}
    for i, loss in enumerate([5.0, 5.0, 1.0, 0.5])
]


def test_the_final_rate_is_a_share_of_the_peak():
    explorer = explorers.schedule(step=1000)
    explorer.controls["final"].value = 0.5
    assert "a rate of 0.001, 50% of the peak" in explorer.finding
    explorer.close()


def test_turning_the_valley_takes_the_advantage_away():
    explorer = explorers.valley()
    assert "AdamW ends lower" in explorer.first_finding
    explorer.controls["degrees"].value = 45
    assert "plain descent ends lower" in explorer.finding
    explorer.close()


def test_a_run_of_ones_own_can_be_walked_along():
    explorer = explorers.phase_change(RECORDS)
    assert explorer.first_values == {"look": 2}
    assert explorer.first_finding == figure_title(figures.phase_change(RECORDS, 2))
    explorer.controls["look"].value = 3
    assert "Step 3: 0.50 nats" in explorer.finding
    explorer.close()


def test_the_law_is_fitted_without_the_largest_run(monkeypatch):
    law = ScalingLaw(floor=1.0, a=20.0, alpha=0.4, b=50.0, beta=0.3)
    runs = [
        {"parameters": n, "tokens": d, "loss": law.loss(n, d)}
        for n in (1e4, 5e4, 2e5)
        for d in (1e5, 4e5, 2e6)
    ]
    outlier = {"parameters": 1e6, "tokens": 1e6, "loss": 9.0}
    monkeypatch.setattr(explorers, "stored_experiments", lambda: {"scaling": [*runs, outlier]})
    assert explorers.fitted_law().floor == pytest.approx(1.0, abs=0.02)


def test_what_is_stored_is_what_the_pictures_need():
    found = tiny_decoders.stored_experiments()
    assert set(found) == set(tiny_decoders.EXPERIMENTS)
    assert len(found["scaling"]) == len(tiny_decoders.WIDTHS) * len(tiny_decoders.LENGTHS)
    assert len({len(losses) for losses in found["precision"].values()}) == 1
    assert found["live"][-1]["induction"] > 2 * found["live"][0]["induction"]
