import pytest
import torch

from course_lib.chapters.embeddings_and_norms import figures
from course_lib.norms import residual_stack_norms
from course_lib.study.display.plotting import figure_title, png_bytes

TABLE = torch.arange(12.0).reshape(4, 3) - 5


def bars(ax):
    return [round(patch.get_height(), 3) for patch in ax.patches]


def test_lookup_draws_the_rows_of_the_ids():
    figure = figures.lookup_as_product(torch.tensor([3, 0]), TABLE)
    chosen, table, product = (ax.images[0].get_array() for ax in figure.axes)
    assert chosen.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert table.tolist() == TABLE.tolist()
    assert product.tolist() == TABLE[[3, 0]].tolist()
    assert figure_title(figure).endswith("= rows 3, 0")


def test_the_title_compares_two_models():
    shares = {"other": (0.5, True), "small": (0.31, True), "large": (0.15, False)}
    figure = figures.table_shares(shares, compare=("small", "large"))
    assert figure_title(figure) == "The tables are 31 % of small and 15 % of large"
    assert [patch.get_width() for patch in figure.axes[0].patches] == pytest.approx([50, 31, 15])


def test_both_norms_undo_a_stretch_and_only_one_a_move():
    x = torch.tensor([1.0, -2.0, 0.5])
    plain, stretched, moved = (
        [bars(ax) for ax in figures.norm_effects(x, *change).axes]
        for change in ((1.0, 0.0), (5.0, 0.0), (1.0, 2.0))
    )
    assert plain[1:] == stretched[1:]
    assert plain[0] != stretched[0]
    assert plain[1] == moved[1]
    assert plain[2] != moved[2]


def test_padding_pulls_the_mean_towards_zero_and_a_mask_holds_it():
    sentence = torch.tensor([[1.0], [3.0]])
    figure = figures.padding_poison(sentence, longest=4)
    counted, masked = figure.axes[0].lines
    assert counted.get_ydata().tolist() == pytest.approx([2.0, 4 / 3, 1.0])
    assert set(masked.get_ydata()) == {2.0}
    assert "from 2.00 to 1.00 by padding alone" in figure_title(figure).replace("\n", " ")


def test_sizes_are_the_mean_of_measured_stacks():
    figure = figures.sizes_through_depth(4)
    left, middle, right = figure.axes
    drawn = dict(zip(figures.ARRANGEMENTS, (*left.lines, right.lines[0]), strict=True))
    assert len(middle.lines) == 2, "the stack without norms would hide the others"
    assert (left.get_yscale(), right.get_yscale()) == ("linear", "log")
    for name in figures.ARRANGEMENTS:
        expected = residual_stack_norms(4, name, 32, 16, stacks=12).signal
        assert list(drawn[name].get_ydata()) == pytest.approx(expected.tolist())
    assert "After 4 layers" in figure_title(figure)


def test_costs_are_multiples_of_the_first():
    figure = figures.cost_bars([("one", 1.0), ("two", 2.5)])
    assert figure_title(figure) == "two takes 2.50 times as long as one"
    assert [patch.get_width() for patch in figure.axes[0].patches] == [1.0, 2.5]


def test_equal_numbers_give_equal_bytes():
    assert len({png_bytes(figures.norm_effects(torch.ones(3))) for _ in range(2)}) == 1
