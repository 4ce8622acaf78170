"""The pictures of this chapter draw what the library computes."""

import pytest
import torch

from course_lib.chapters.fine_tuning import explorers, figures
from course_lib.chapters.fine_tuning.lora_runs import all_runs, base_runs, stored_runs
from course_lib.fine_tuning import dpo_loss, packed_mask
from course_lib.study.display.plotting import figure_title, png_bytes


def test_the_mask_is_drawn_as_it_is():
    documents = torch.tensor([0, 0, 1, 1, 1])
    figure = figures.mask_of_documents(documents)
    drawn = torch.tensor(figure.axes[0].images[0].get_array().tolist())
    assert torch.equal(drawn.bool(), packed_mask(documents[None])[0, 0])
    assert "9 of 25" in figure_title(figure)


@pytest.mark.parametrize(("beta", "margin"), [(0.1, 0.0), (1.0, -5.0), (0.01, 40.0)])
def test_the_loss_and_its_slope(beta, margin):
    figure = figures.preference_loss(beta, margin)
    (ax,) = figure.axes
    curve, point = ax.lines[0].get_xydata(), ax.lines[2].get_xydata()[0]
    zero = torch.zeros(1, dtype=torch.float64)
    for x, y in (*curve[::40], point):
        expected = dpo_loss(torch.tensor([x]), zero, zero, zero, beta).item()
        assert y == pytest.approx(expected)
    slope = beta * torch.sigmoid(torch.tensor(-beta * margin)).item()
    assert f"{slope:.4f}" in figure_title(figure)


def test_ranks_are_bars_beside_full_fine_tuning():
    records = stored_runs()
    figure = figures.ranks(records, 4)
    left, right = figure.axes
    lora = [each for each in records if each["rank"]]
    assert [bar.get_height() for bar in left.patches] == [each["loss"] for each in lora]
    assert [bar.get_height() for bar in right.patches] == [each["trained"] for each in lora]


def test_what_the_stored_runs_show():
    by_rank = {each["rank"]: each for each in stored_runs()}
    without = next(each for each in all_runs() if not each["rows"])
    assert by_rank[None]["loss"] < by_rank[1]["loss"]
    assert by_rank[16]["loss"] < by_rank[1]["loss"]
    assert without["loss"] > by_rank[without["rank"]]["loss"]
    assert by_rank[4]["trained"] < by_rank[None]["trained"] / 10


def test_a_base_of_one_layout_is_lost_in_a_chat():
    right = {"arithmetic-base": [], "arithmetic-pages": []}
    for each in base_runs():
        right[each["base"]].append(each["exact of thinking"])
    assert {len(each) for each in right.values()} == {3}
    assert min(right["arithmetic-base"]) > 0.7
    assert max(right["arithmetic-pages"]) < 0.3


def test_stage_curves_draw_the_log():
    log = [
        {"step": 0, "sampled": 0.1, "thinking": 0.2, "direct": 0.3, "chatter": 0.4},
        {"step": 9, "sampled": 0.5, "thinking": 0.6, "direct": 0.2, "chatter": 0.1},
    ]
    figure = figures.stage_curve(log, "A stage")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.2, 0.6]
    assert "exact 10% before, 50% after" in figure_title(figure)


def test_explorers_follow_their_controls():
    explorer = explorers.preference_loss()
    explorer.controls["margin"].value = 10.0
    assert explorer.image == png_bytes(figures.preference_loss(0.1, 10.0))
    explorer = explorers.ranks(4)
    explorer.controls["rank"].value = 16
    assert explorer.image == png_bytes(figures.ranks(stored_runs(), 16))
