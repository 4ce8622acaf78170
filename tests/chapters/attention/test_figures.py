"""The pictures of the attention chapter draw the numbers that torch gives."""

import time

import numpy as np
import pytest
import torch

from course_lib.attention import KVCache, causal_mask, kv_cache_bytes
from course_lib.chapters.attention import figures
from course_lib.chapters.attention.explorers import KEYS, QUERIES, TOKENS, VALUES
from course_lib.chapters.attention.figures.cost import growth_exponent
from course_lib.chapters.attention.figures.scale import WIDTHS
from course_lib.chapters.attention.induction_toy import History
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import figure_title, png_bytes

Q, K, V = (torch.tensor(rows, dtype=torch.float32) for rows in (QUERIES, KEYS, VALUES))
TEXT = ("<s>", "a", "$", "中", "a", "$")


def shown(ax):
    """Return the numbers of a heat map, nan where it is grey."""
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan)


def maps(layers=2, heads=3, tokens=6):
    scores = torch.sin(torch.arange(layers * heads * tokens * tokens) * 1.3)
    scores = scores.reshape(layers, heads, tokens, tokens)
    return torch.softmax(scores.masked_fill(~causal_mask(tokens), -torch.inf), -1)


def test_the_five_matrices_are_the_steps_of_torch():
    figure = figures.five_steps(Q, K, V, TOKENS, causal_mask(4))
    products = (Q @ K.T).numpy()
    assert shown(figure.axes[0]) == pytest.approx(products)
    assert shown(figure.axes[1]) == pytest.approx(products / 2)
    hidden = np.triu(np.ones((4, 4), dtype=bool), 1)
    assert (np.isnan(shown(figure.axes[2])) == hidden).all()
    scores = torch.from_numpy(np.where(hidden, -np.inf, products / 2))
    weights = torch.softmax(scores, -1)
    drawn = np.nan_to_num(shown(figure.axes[3]))
    assert drawn == pytest.approx(weights.numpy(), abs=1e-6)
    read = torch.nn.functional.scaled_dot_product_attention(
        Q[None], K[None], V[None], is_causal=True
    )
    assert shown(figure.axes[4]) == pytest.approx(read[0].numpy(), abs=1e-5)
    assert figure_title(figure) == (
        "␣it reads mostly ␣cat, with the weight 0.92; 6 of 16 scores are masked"
    )


def test_the_divisor_and_the_newest_queries_reach_the_picture():
    whole = figures.five_steps(Q[2:], K, V, TOKENS, divided_by="D")
    assert shown(whole.axes[1]) == pytest.approx((Q[2:] @ K.T / 4).numpy())
    rows = [text.get_text() for text in whole.axes[0].get_yticklabels()]
    assert rows == ["␣slept", "␣it"]
    with pytest.raises(ValueError, match=r"√D, D, 1.*'√T'"):
        figures.five_steps(Q, K, V, TOKENS, divided_by="√T")


@pytest.mark.parametrize(
    ("kind", "size", "queries", "expected"),
    [
        ("everything", 3, 2, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        ("causal", 3, 2, [[1, 1, 1, 0], [1, 1, 1, 1]]),
        ("sliding window", 2, 2, [[0, 1, 1, 0], [0, 0, 1, 1]]),
        ("prefix", 3, 4, [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]),
        ("causal + padding on the left", 3, 2, [[0, 0, 0, 0], [0, 0, 0, 1]]),
    ],
)
def test_each_mask_is_drawn_as_it_is(kind, size, queries, expected):
    left, right = figures.mask_and_weights(kind, size, queries, 4).axes
    allowed = np.array(expected)
    assert (np.nan_to_num(shown(left)) == allowed).all()
    weights = np.nan_to_num(shown(right))
    assert weights.sum(-1) == pytest.approx(allowed.max(-1), abs=1e-6)
    assert (weights[allowed == 0] == 0).all()
    said = figure_title(left.figure)
    assert f"{allowed.sum()} of {allowed.size} pairs" in said
    assert ("1 row reads nothing" in said) == (not allowed.any(-1).all())


def test_products_spread_as_theory_says_and_dependent_ones_do_not():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 500, 25, generator=generator).double()
    assert figures.product_spread(3 * q, k / 7) == pytest.approx(5, rel=0.05)
    alike = q[:, :1].expand(-1, 25)
    assert figures.product_spread(alike, alike) == pytest.approx(25, rel=0.1)


def autograd_at_queries(width, scale, texts=64, queries=8, keys=16):
    generator = torch.Generator().manual_seed(width)
    q = torch.randn(texts, queries, width, generator=generator).double().requires_grad_()
    k = torch.randn(texts, keys, width, generator=generator).double()
    v = torch.randn(texts, keys, width, generator=generator).double()
    read = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale)
    upstream = torch.randn(read.shape, generator=generator).double()
    (gradient,) = torch.autograd.grad((read * upstream).sum(), q)
    return gradient.square().mean().sqrt().item()


def test_only_the_root_keeps_the_gradient_the_same_at_every_width():
    bare, root, full = (figures.query_gradients(rule) for rule in ("no scale", "÷ √D", "÷ D"))
    assert bare[0] == root[0] == full[0], "at width 1 the three are one"
    assert bare[-1] > 4 * bare[0]
    assert max(root[1:]) < 1.15 * min(root[1:]), "from width 2 on"
    assert full[-1] < root[-1] / 20
    for power, found in (0.0, bare), (0.5, root), (1.0, full):
        at_64 = autograd_at_queries(64, 64**-power)
        assert found[WIDTHS.index(64)] == pytest.approx(at_64, rel=0.15)


def test_the_scale_picture_marks_its_width_and_shows_trained_heads():
    left, right = figures.scale_experiment([(16, 6.1), (16, 4.4)], width=256).axes
    theory, independent, trained, marker = left.lines
    assert list(theory.get_ydata()) == [width**0.5 for width in WIDTHS]
    assert list(independent.get_ydata()) == pytest.approx(list(theory.get_ydata()), rel=0.05)
    assert list(trained.get_ydata()) == [6.1, 4.4]
    assert marker.get_xdata()[0] == 256
    assert "√256 = 16.0" in figure_title(left.figure)
    assert list(right.lines[0].get_ydata()) == list(figures.query_gradients("no scale"))
    with pytest.raises(ValueError, match=r"width.*\b1, 2, .*\b3\b"):
        figures.scale_experiment(width=3)


def test_the_mosaic_holds_every_map_in_its_place():
    weights = maps()
    image = figures.mosaic_image(weights)
    assert image.shape == (2 * 7 - 1, 3 * 7 - 1)
    for layer in range(2):
        for head in range(3):
            part = image[layer * 7 : layer * 7 + 6, head * 7 : head * 7 + 6]
            assert part == pytest.approx(weights[layer, head].double().numpy())
    assert np.isnan(image[6]).all()
    assert np.isnan(image[:, 6]).all()


def test_long_maps_keep_their_largest_weights():
    weights = torch.zeros(1, 1, 90, 90)
    weights[0, 0, 41, 7] = 0.9
    image = figures.mosaic_image(weights)
    assert image.shape == (30, 30)
    assert image[41 // 3, 7 // 3] == pytest.approx(0.9)


def test_the_chosen_head_is_framed_and_drawn_large():
    weights = maps()
    left, right, bar = figures.attention_maps(weights, TEXT, layer=1, head=2).axes
    (frame,) = left.patches
    image = left.images[0].get_array()
    tall, wide = image.shape[0] / 2, image.shape[1] / 3
    assert (frame.get_x(), frame.get_y()) == pytest.approx((2 * wide - 0.5, tall - 0.5))
    expected = weights[1, 2].masked_fill(~causal_mask(6), torch.nan).numpy()
    assert shown(right) == pytest.approx(expected, nan_ok=True)
    assert bar.get_ylabel() == "weight (grey: masked)"
    labels = [each.get_text() for each in right.get_xticklabels()]
    assert labels == [token_label(token) for token in TEXT]
    assert labels[0] == "<s>"
    with pytest.raises(ValueError, match=r"\b2 tokens.*\b6 keys"):
        figures.attention_maps(weights, TEXT[:2])
    with pytest.raises(ValueError, match=r"2 layers.*3 heads.*layer 2, head 0\b"):
        figures.attention_maps(weights, TEXT, layer=2)


@pytest.mark.parametrize(
    ("marked", "said"),
    [
        ({(t, t - 1) for t in range(1, 6)}, "the token before"),
        ({(t, 0) for t in range(1, 6)}, "the first token"),
        ({(t, t) for t in range(1, 6)}, "itself"),
        ({(1, 0), (2, 0), (3, 0), (4, 2), (5, 3)}, "what followed last time"),
    ],
)
def test_a_head_is_named_for_what_it_reads(marked, said):
    weights = torch.zeros(6, 6)
    weights[0, 0] = 1
    for place in marked:
        weights[place] = 1
    kind, share = figures.kind_of_head(weights, TEXT)
    assert (kind, share) == (said, pytest.approx(1))


def test_an_even_head_has_no_clear_pattern():
    even = causal_mask(30).float()
    even = (even / even.sum(-1, keepdim=True)).view(1, 1, 30, 30)
    said = figure_title(figures.attention_maps(even, [str(i) for i in range(30)]))
    assert "no clear pattern" in said


def test_a_twelve_by_twelve_mosaic_is_drawn_in_time():
    weights, tokens = maps(12, 12, 24), [str(i) for i in range(24)]
    png_bytes(figures.attention_maps(weights, tokens))
    spent = []
    for _ in range(3):
        start = time.process_time()
        png_bytes(figures.attention_maps(weights, tokens, layer=3))
        spent.append(time.process_time() - start)
    assert min(spent) < 0.6, "0.2 s where it was written; a grid of 144 axes takes seconds"


def test_lines_are_as_thick_as_the_weights():
    weights = maps()[0, 0]
    (ax,) = figures.attention_lines(weights, TEXT, query=2).axes
    assert len(ax.lines) == 3, "nothing leads to the future"
    for line, place in zip(ax.lines, range(3), strict=True):
        assert list(line.get_ydata()) == [2, place]
        assert line.get_linewidth() == pytest.approx(0.5 + 5 * weights[2, place].item())
    best = int(weights[2].argmax())
    assert f"with {weights[2, best]:.2f}" in figure_title(ax.figure)
    with pytest.raises(ValueError, match=r"\b0 to 5\b.*\b6\b"):
        figures.attention_lines(weights, TEXT, query=6)
    with pytest.raises(ValueError, match=r"\b64 tokens.*\b65\b"):
        figures.attention_lines(torch.zeros(65, 65), ["a"] * 65, query=0)


def test_learning_names_the_step_at_which_induction_appears():
    history = History([0, 10, 20], [4.2, 3.0, 0.1], [0.1, 0.2, 0.6], [0.1, 0.4, 0.9])
    figure = figures.learning(history)
    loss, scores = figure.axes
    assert list(loss.lines[0].get_ydata()) == history.loss
    assert [list(line.get_ydata()) for line in scores.lines] == [
        history.previous,
        history.induction,
    ]
    assert figure_title(figure) == (
        "The loss falls from 4.2 to 0.10 nats; An induction head has formed by step 20"
    )
    early = figures.learning(History([0], [4.2], [0.1], [0.1]))
    assert "No induction head has formed yet" in figure_title(early)


def test_scores_and_ablations_show_what_is_passed():
    tables = {"previous token": torch.tensor([[0.1, 0.7], [0.2, 0.3]])}
    (ax,) = figures.scores_of_heads(tables).axes
    assert shown(ax) == pytest.approx(tables["previous token"].numpy())
    assert figure_title(ax.figure) == "previous token: highest in 0.1"
    losses = {"zero": {"0.0": 0.5, "both": 2}, "mean": {"0.0": 0.4, "both": 1.5}}
    (ax,) = figures.ablation(losses, before=0.25, uniform=4.1).axes
    assert [bar.get_height() for bar in ax.patches] == [0.5, 2.0, 0.4, 1.5]
    assert [line.get_ydata()[0] for line in ax.lines] == [4.1, 0.25]
    assert "1.50 without both (mean ablation), 0.25 with all heads" in figure_title(ax.figure)


SCORES = {
    "previous token": torch.tensor([[0.9, 0.1], [0.2, 0.0]]),
    "induction": torch.tensor([[0.0, 0.2], [0.6, 0.1]]),
}
RISES = torch.tensor([[0.5, 0.01], [1.25, -0.02]])


def test_missed_heads_stand_where_their_score_and_their_rise_put_them():
    left, right = figures.missed_heads(RISES, SCORES, "repeats", 0, 0).axes
    assert shown(left) == pytest.approx(RISES.numpy())
    (frame,) = left.patches
    assert (frame.get_x(), frame.get_y()) == (-0.5, -0.5)
    points = {
        line.get_label(): sorted(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in right.lines
        if not line.get_label().startswith("_")
    }
    assert set(points) == {"previous token", "induction", "no clear pattern"}
    assert points["previous token"] == [pytest.approx((0.9, 0.5))]
    assert points["induction"] == [pytest.approx((0.6, 1.25))]
    assert points["no clear pattern"] == [
        pytest.approx((0.1, -0.02)),
        pytest.approx((0.2, 0.01)),
    ]
    assert figure_title(left.figure) == (
        "On repeats, the loss rises most without head 1.0: +1.25 nats; "
        "Head 0.0, previous token 0.90: without it +0.50 nats"
    )
    with pytest.raises(ValueError, match=r"2 layers.*2 heads.*layer 0, head 2\b"):
        figures.missed_heads(RISES, SCORES, "text", 0, 2)


def test_the_chosen_head_is_circled():
    left, right = figures.missed_heads(RISES, SCORES, "text", 1, 1).axes
    ring = right.lines[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == pytest.approx((0.1, -0.02))
    assert "without it −0.02 nats" in figure_title(left.figure)


def test_long_tokens_have_room_below_the_map():
    weights = maps(1, 1, 3)
    bottoms = [
        figures.attention_maps(weights, [token, "b", "c"]).axes[1].get_position().y0
        for token in ("a", "a long token")
    ]
    assert bottoms[1] > bottoms[0] + 0.1


def test_the_exponent_is_that_of_the_longer_half():
    lengths = [64, 128, 256, 512, 1024]
    assert growth_exponent(lengths, [n**3 for n in lengths]) == pytest.approx(3)
    assert growth_exponent(lengths, [9**9, *(n * n for n in lengths[1:])]) == pytest.approx(2)
    figure = figures.cost_by_length(lengths, {"time": [n * n for n in lengths]})
    assert figure_title(figure) == "time grows as n to the power 2.0"


def test_the_bytes_drawn_are_those_of_real_caches():
    bars = figures.cache_bytes(layers=3, heads=8, groups=2, head_dim=16, tokens=1024).axes[1]
    expected = [
        3 * KVCache(1, count, 1024, 16, dtype=torch.bfloat16).nbytes / 2**30 for count in (8, 2, 1)
    ]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx(expected)
    assert expected[0] == kv_cache_bytes(3, 8, 16, 1024) / 2**30
    assert "4 times smaller" in figure_title(bars.figure)
    with pytest.raises(ValueError, match=r"\b8 and 3\b.*divisor of 8\b"):
        figures.cache_bytes(heads=8, groups=3)
