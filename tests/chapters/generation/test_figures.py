"""The pictures of the generation chapter draw what the library computes."""

import io

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image

from course_lib.attention import KVCache, kv_cache_bytes
from course_lib.chapters.generation import figures
from course_lib.chapters.generation.figures.choosing import SHOWN
from course_lib.device import seeded
from course_lib.generation import (
    Beams,
    BeamStep,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    residual_distribution,
    speed_up,
    tokens_through_layers,
)
from course_lib.study.display.plotting import OKABE_ITO, figure_title, png_bytes

LOGITS = torch.randn(30, generator=seeded(0)).double() * 2
WORDS = [f" w{i}" for i in range(28)] + ["$", "<s>"]


def widths(ax):
    return [bar.get_width() for bar in ax.patches]


def heights(ax):
    return [bar.get_height() for bar in ax.patches]


def test_the_pipeline_shows_each_step_of_the_best_tokens():
    figure = figures.pipeline(LOGITS, WORDS, 0.7, 6, 0.8, 0.95)
    warm = LOGITS[None] / 0.7
    few = keep_top_k(warm, 6)
    steps = [LOGITS[None], warm, few, keep_top_p(few, 0.8)]
    order = LOGITS.argsort(descending=True)[:SHOWN]
    drawn = widths(figure.axes[0])
    for place, scores in enumerate(steps):
        shares, bars = scores.softmax(-1)[0], drawn[place * (SHOWN + 1) :][: SHOWN + 1]
        assert bars[:SHOWN] == pytest.approx(shares[order].tolist())
        assert bars[SHOWN] == pytest.approx(1 - shares[order].sum().item(), abs=1e-9)
    assert len(drawn) == 4 * (SHOWN + 1)
    kept = [int((scores > -torch.inf).sum()) for scores in steps]
    assert f"Of 30 tokens top-k keeps 6 and top-p {kept[3]}" in figure_title(figure)
    assert "u = 0.95" in figure_title(figure)


def test_the_pipeline_marks_the_token_that_the_number_selects():
    for u in (0.0, 0.999):
        steps, line = figures.pipeline(LOGITS, WORDS, 1.0, 3, 1.0, u).axes
        shares = keep_top_k(LOGITS[None], 3).softmax(-1)[0]
        place = int((shares.cumsum(0) <= u).sum())
        order = LOGITS.argsort(descending=True)[:SHOWN].tolist()
        marked = [bar.get_facecolor() == to_rgba(OKABE_ITO.orange) for bar in steps.patches]
        assert not any(marked[: -SHOWN - 1]), "only the last step chooses"
        assert marked[-SHOWN - 1 :] == [i == place for i in order] + [False]
        hit = line.collections[0].get_facecolor().tolist().index(list(to_rgba(OKABE_ITO.orange)))
        piece = line.collections[0].get_paths()[hit].get_extents()
        assert piece.x0 <= u <= piece.x1
        assert piece.width == pytest.approx(shares[place].item(), abs=1e-6)
        assert line.lines[0].get_xdata()[0] == u


def test_nucleus_sizes():
    rows = torch.randn(5, 30, generator=seeded(1)) * torch.tensor([[0.1], [1], [2], [4], [9]])
    figure = figures.nucleus_sizes(rows, ["a", " b", "c", "$", "\n"], 0.9, 4)
    kept = (keep_top_p(rows.double(), 0.9) > -torch.inf).sum(-1).tolist()
    assert heights(figure.axes[0]) == kept
    assert f"keeps {min(kept)} to {max(kept)} tokens; top-k keeps 4" in figure_title(figure)


def test_the_penalty_stands_beside_the_score_before():
    best = LOGITS.argsort(descending=True).tolist()
    ids = [best[0], best[0], best[7], best[20], best[29], best[25]]
    places = [*best[:6], best[7], best[20], best[25], best[29]]
    figure = figures.penalty_effect(LOGITS, ids, WORDS, 2.0)
    after = penalise_repetition(LOGITS[None], torch.tensor([ids]), 2.0)[0]
    shown = heights(figure.axes[0])
    assert shown[:SHOWN] == pytest.approx(LOGITS[places].tolist())
    assert shown[SHOWN:] == pytest.approx(after[places].tolist())
    assert min(shown[:SHOWN]) < 0, "the rule for negative logits is seen"
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert [label.endswith(" ×") for label in labels] == [place in ids for place in places]
    assert WORDS[int(after.argmax())].strip() in figure_title(figure)


@pytest.mark.parametrize(("prompt", "new"), [(3, 4), (1, 1), (5, 2)])
def test_passes_with_and_without_a_cache(prompt, new):
    for cached in (False, True):
        states = figures.cache_states(prompt, new, cached)
        count = int((states == 2).sum())
        assert count == tokens_through_layers(prompt, new, cached=cached)
    cache = KVCache(1, 1, prompt + new, 2)
    for step, row in enumerate(figures.cache_states(prompt, new, True).tolist()):
        new_rows = prompt if step == 0 else 1
        assert row.count(1) == cache.length
        assert row.count(2) == new_rows
        cache.append(*torch.zeros(2, 1, 1, new_rows, 2).unbind(0))
    figure = figures.cache_growth(prompt, new)
    assert f"through the layers with a cache: {prompt + new - 1}" in figure_title(figure)


def test_what_a_step_fetches():
    figure = figures.bytes_per_step(1_000_000, 2, 3, 8, 10_000, 2)
    each = kv_cache_bytes(2, 3, 8, 1, bytes_per_number=2)
    assert f"at {2_000_000 / each:,.0f} tokens" in figure_title(figure)
    areas = figure.axes[0].collections
    assert areas[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(2.0)  # MB of weights
    top = areas[1].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx((2_000_000 + 10_000 * each) / 1e6)


def small_search():
    """Return a search with two beams, three steps, by hand."""

    def step(parents, tokens, scores):
        return BeamStep(torch.tensor([parents]), torch.tensor([tokens]), torch.tensor([scores]))

    steps = (
        step([0, 0], [4, 5], [-1.0, -2.0]),
        step([1, 0], [6, 7], [-2.5, -3.0]),
        step([0, 0], [8, 9], [-2.75, -4.0]),
    )
    return Beams(torch.tensor([[5, 6, 8]]), torch.tensor([-2.75]), steps)


def test_a_beam_tree_leads_back_to_the_prompt():
    found = small_search()
    assert [[token for _, token in path] for path in figures.beam_paths(found)] == [
        [5, 6, 8],
        [5, 6, 9],
    ]
    figure = figures.beam_tree(found, [4, 7, 8], WORDS)
    assert "is not the greedy one; 2 of 6 nodes were dropped" in figure_title(figure)
    assert "is the greedy one" in figure_title(figures.beam_tree(found, [5, 6, 8], WORDS))
    marked = [
        text.get_text().split("\n")[0]
        for text in figure.axes[0].texts
        if text.get_color() == OKABE_ITO.vermillion
    ]
    assert marked == ["␣w5", "␣w6", "␣w8"]


def test_kept_rejected_and_drawn_instead():
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.1, 0.3, 0.6]).double()
    figure = figures.kept_and_missing(p, q, ["a", "b", "c"])
    kept, rejected, again, missing = (
        [bar.get_height() for bar in container] for container in figure.axes[0].containers
    )
    left = [a + b for a, b in zip(kept, rejected, strict=True)]
    right = [a + b for a, b in zip(again, missing, strict=True)]
    assert left == pytest.approx(q.tolist())
    assert right == pytest.approx(p.tolist())
    expected = residual_distribution(p, q) * float(sum(rejected))
    assert missing == pytest.approx(expected.tolist())
    assert "kept with probability 0.60" in figure_title(figure)


def test_gain_and_loss():
    figure = figures.gain(0.7, 0.2, 4)
    line = figure.axes[0].lines[1]
    assert line.get_ydata().tolist() == pytest.approx(
        [speed_up(0.7, k, 0.2) for k in line.get_xdata().tolist()]
    )
    assert "2.77 tokens a pass, speed-up 1.54; best is k = 3" in figure_title(figure)
    assert "slower" in figure_title(figures.gain(0.1, 0.9, 5))


def picture(figure):
    """Return the figure as it is shown, as RGB pixels."""
    with Image.open(io.BytesIO(png_bytes(figure))) as image:
        return np.asarray(image.convert("RGB"))


def area(image, ax, colour):
    """Return the share of the axes that is of exactly this colour."""
    height, width, _ = image.shape
    box = ax.get_position()
    top, bottom = round((1 - box.y1) * height), round((1 - box.y0) * height)
    inside = image[top:bottom, round(box.x0 * width) : round(box.x1 * width)]
    return (inside == [round(255 * part) for part in to_rgb(colour)]).all(-1).mean()


def test_each_token_has_its_area_in_the_picture_of_the_cache():
    figure = figures.cache_growth(4, 3)
    image, places = picture(figure), 3 * (4 + 3 - 1)
    for ax, computed, read in zip(figure.axes, (4 + 5 + 6, 4 + 1 + 1), (0, 4 + 5), strict=True):
        for colour, count in ((OKABE_ITO.vermillion, computed), (OKABE_ITO.sky, read)):
            # lines and the frame hide a little
            assert area(image, ax, colour) == pytest.approx(count / places, abs=0.03)


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: figures.pipeline(LOGITS, WORDS, 2.0, 30, 1.0, 0.2),
         lambda: figures.pipeline(LOGITS, WORDS, 2.0, 30, 1.0, 0.9)),
        (lambda: figures.beam_tree(small_search(), [4, 7, 8], WORDS),
         lambda: figures.beam_tree(small_search(), [5, 6, 8], WORDS)),
    ],
    ids=["pipeline", "beam tree"],
)  # fmt: skip
def test_a_picture_is_the_same_again_and_another_one_for_another_input(make, other):
    image = picture(make())
    assert np.array_equal(image, picture(make()))
    assert not np.array_equal(image, picture(other()))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 50, "words and marks, not an empty page"
