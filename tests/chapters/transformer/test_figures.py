"""The pictures of the chapter on whole models draw the numbers that they are given."""

import numpy as np
import pytest
import torch

from course_lib.chapters.transformer import figures
from course_lib.chapters.transformer.figures.kinds import predicted
from course_lib.chapters.transformer.figures.stream import settled, top_words
from course_lib.chapters.transformer.layer_diff import Divergence, ModuleDifference
from course_lib.families import family_mask
from course_lib.study.display.plotting import figure_title, png_bytes

SOURCE, TARGET = ("a", "b", "c"), ("x", "y")
NORMS = torch.tensor([[1.0, 2.0, 4.0], [3.0, 20.0, 5.0], [10.0, 8.0, 90.0]])
# Places from below; token 0 settles at once, token 1 at the end, token 2 strays in between.
BEST = torch.tensor([[1, 0, 2], [1, 3, 0], [1, 3, 2], [1, 2, 2]])
LOGITS = torch.nn.functional.one_hot(BEST, 4) * torch.tensor([1.0, 2.0, 3.0, 6.0])[:, None, None]
WORDS = ("<s>", " of", "$x", "\n")


def words(ax):
    return [text.get_text() for text in ax.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# --- blocks and families --------------------------------------------------------------------------


def test_only_post_norm_has_norms_on_the_stream():
    left, right = figures.block_arrangements().axes
    on_stream = []
    for ax in (left, right):
        boxes = [text for text in ax.texts if text.get_text() in ("norm", "attention", "MLP")]
        assert [box.get_text() for box in boxes].count("norm") == 2
        stream = ax.lines[0].get_xdata()[0]
        on_stream.append([b.get_text() for b in boxes if b.get_position()[0] == stream])
    assert on_stream == [[], ["norm", "norm"]]


@pytest.mark.parametrize("kind", figures.OBJECTIVES)
def test_cells_are_the_mask(kind):
    left, _ = figures.family(kind, SOURCE, TARGET).axes
    shown = left.images[0].get_array()
    assert np.array_equal(~np.ma.getmaskarray(shown), family_mask(kind, 3, 2).numpy())


def test_what_is_predicted():
    assert predicted("encoder-only", 3, 2, (1,)) == [False, True, False, False, False]
    assert predicted("encoder-decoder", 3, 2, (1,)) == [False] * 3 + [True] * 2
    assert predicted("decoder-only", 3, 2, (1,)) == [False] + [True] * 4


def test_bars_and_title_say_what_is_predicted():
    figure = figures.family("encoder-decoder", SOURCE, TARGET)
    right = figure.axes[1]
    colours = [bar.get_facecolor() for bar in right.patches]
    assert colours[:3] == [colours[0]] * 3 != colours[3:]
    assert words(right).count("is predicted") == 2
    assert ticks(figure.axes[0].yaxis) == ["a", "b", "c", "<start>", "x"], "inputs, not targets"
    said = figure_title(figure)
    assert "encoder-decoder: 18 of 25 pairs" in said
    assert "learns from 2 of 5 tokens: the target" in said


def test_a_hidden_token_is_not_shown_to_its_readers():
    left, right = figures.family("encoder-only", SOURCE, TARGET, hidden=(1,)).axes
    assert ticks(left.xaxis) == ["a", "[MASK]", "c", "x", "y"]
    assert "b" in words(right)


# --- the stream -----------------------------------------------------------------------------------


def test_norms_are_drawn_and_the_longest_named():
    figure = figures.residual_norms(NORMS, ["one", "two", " three"])
    (ax,) = figure.axes
    faint = [line[:, 1] for line in ax.collections[0].get_segments()]
    assert [list(line) for line in (*faint, *(line.get_ydata() for line in ax.lines))] == [
        [1, 3, 10],
        [2, 20, 8],
        [4, 5, 90],
        [2, 5, 10],
    ]
    assert figure_title(figure) == (
        "The stream grows 5-fold (dashed: median); the vector of ␣three ends longest (red)"
    )


def test_answers_settle_where_they_stay():
    assert settled(LOGITS) == [0, 3, 2]


def test_the_lens_shows_the_last_place_on_top():
    figure = figures.lens(LOGITS, WORDS, ["p", "q", "r"])
    ax, scale = figure.axes
    assert scale.get_ylabel() == "probability of the predicted token"
    assert ticks(ax.yaxis) == ["layer 2", "layer 1", "layer 0", "embedding"]
    drawn = np.array(words(ax)).reshape(4, 3)
    assert list(drawn[0]) == ["␣of", r"\$x", r"\$x"]
    assert list(drawn[-1]) == ["␣of", "<s>", r"\$x"]
    bold = np.array([text.get_weight() == "bold" for text in ax.texts]).reshape(4, 3)
    assert bold.tolist() == [
        [True, True, True],
        [True, False, True],
        [True, False, False],
        [True, False, False],
    ]
    shares = ax.images[0].get_array()
    assert shares[0, 0] == pytest.approx(LOGITS[3, 0].softmax(-1).max().item())
    assert "2 of 3 predictions are final (bold) before the last layer" in figure_title(figure)


def test_both_side_by_side():
    figure = figures.stream_and_lens(NORMS[:, :3], LOGITS[:3], WORDS, ["p", "q", "r"])
    left, right = figure.axes
    assert "yellow: certain" in right.get_xlabel()  # in place of a colour scale
    assert len(left.lines) == len(left.collections[0].get_segments()) == 2
    assert len(figure.axes[1].texts) == 9


def test_top_words():
    found = top_words(torch.tensor([0.0, 3.0, 1.0, 2.0]), WORDS, 2)
    assert [word for word, _ in found] == [" of", "\n"]
    assert found[0][1] == pytest.approx(torch.tensor([0.0, 3.0, 1.0, 2.0]).softmax(0)[1].item())


# --- without a part -------------------------------------------------------------------------------

RISES = torch.tensor([[0.1, 0.2, -0.3], [0.0, 2.5, 0.1]])


def test_heads_are_named_by_what_they_cost():
    figure = figures.head_effects({"repeats": RISES, "text": -RISES})
    assert np.allclose(figure.axes[0].images[0].get_array(), RISES)
    said = figure_title(figure)
    assert "On repeats: without head 1 of layer 1 the loss rises by 2.50 nats" in said
    assert "On text: without head 2 of layer 0 the loss rises by 0.30 nats" in said


def test_parts_are_side_by_side():
    parts = {"attention": torch.tensor([0.5, 3.0]), "mlp": torch.tensor([1.0, 0.25])}
    figure = figures.part_effects({"repeats": parts})
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert heights == [0.5, 3.0, 1.0, 0.25]
    assert "the attention of layer 1 costs most: +3.00" in figure_title(figure)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["attention", "MLP"]


def test_ablation_counts_from_where_it_is_told():
    whole, without = torch.tensor([9.0, 9.0, 1.0, 3.0]), torch.tensor([9.0, 9.0, 4.0, 5.0])
    figure = figures.ablation(RISES, whole, without, "repeats", "head 1 of layer 1", (1, 1), 2)
    left, right = figure.axes
    assert "goes from 2.00 to 4.50" in figure_title(figure)
    assert [list(line.get_ydata()) for line in right.lines] == [whole.tolist(), without.tolist()]
    assert left.patches[0].get_xy() == (0.5, 0.5)
    marked = figures.ablation(RISES, whole, without, "text", "layer 1", vocab_size=2048)
    assert words(marked.axes[1])[-1] == "equal probabilities: 7.6 nats"
    assert words(right) == ["the whole model", "without head 1 of layer 1"]
    assert words(left) == ["0.10", "0.20", "−0.30", "0.00", "2.50", "0.10"]
    unframed = figures.ablation(RISES, whole, without, "text", "layer 1")
    assert not unframed.axes[0].patches
    assert "goes from 5.50 to 6.75" in figure_title(unframed)


# --- faults ---------------------------------------------------------------------------------------

ROWS = (
    ModuleDifference("model", 0.5, 0.5),
    ModuleDifference("model.layers.0", 1e-7, 1e-7),
    ModuleDifference("model.layers.0.self_attn.q_proj", 0.0, 0.0),
    ModuleDifference("model.layers.1.mlp", 0.3, 0.3),
    ModuleDifference("model.layers.1.mlp.up_proj", 0.4, 0.4),
    ModuleDifference("model.norm", 0.0, 0.2),
    ModuleDifference("lm_head", 0.0, None),
)


def test_faults_are_large_and_details_that_agree_are_left_out():
    figure = figures.divergence(Divergence(ROWS[1:], 1e-5))
    (ax,) = figure.axes
    names = ["layers.0", "layers.1.mlp", "layers.1.mlp.up_proj", "norm", "lm_head"]
    assert ticks(ax.yaxis) == names
    isolated = ax.collections[0]
    assert isolated.get_sizes().tolist() == [22, 22, 90, 22, 22]
    assert isolated.get_offsets()[:, 0].tolist() == pytest.approx([1e-7, 0.3, 0.4, 1e-9, 1e-9])
    assert list(ax.lines[0].get_xdata()) == pytest.approx([1e-7, 0.3, 0.4, 0.2])
    assert ax.get_legend().get_bbox_to_anchor().x0 > ax.bbox.x1, "the legend covers no dot"
    assert figure_title(figure) == (
        "Accumulated error in 3 of 5 modules; the fault is in layers.1.mlp.up_proj"
    )


def test_agreement_is_said():
    figure = figures.divergence(Divergence(ROWS[1:3], 1e-5))
    assert figure_title(figure) == "All 2 modules agree"


def test_equal_numbers_give_equal_pictures():
    first, second = (png_bytes(figures.residual_norms(NORMS, "abc")) for _ in range(2))
    assert first == second
