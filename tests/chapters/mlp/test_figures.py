"""The pictures of the chapter on feed-forward layers draw the numbers that torch gives."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgba

from course_lib.chapters.mlp import figures
from course_lib.chapters.mlp.figures import gates
from course_lib.chapters.mlp.figures.activations import CURVES, slope
from course_lib.chapters.mlp.figures.experts import room
from course_lib.experts import SparseMoE, dispatch
from course_lib.study.display.plotting import OKABE_ITO, figure_title, png_bytes

ARRIVING = torch.tensor([-6.0, -3.0, -1.0, -0.5, 0.5, 1.0, 2.0, 2.5])
CHOSEN = torch.tensor([[0, 1], [0, 2], [0, 1], [1, 0], [0, 3], [2, 0]])
LOSSES = {"ReLU": [2.0, 2.2], "GELU": [1.9, 2.1], "SwiGLU": [1.7, 1.75]}
COUNTS = {
    "one": {"feed-forward": 60, "attention": 30, "embedding and head": 10},
    "other": {"feed-forward": 60, "attention": 20, "embedding and head": 20},
}
LOADS = {"left alone": torch.tensor([0.2, 3.0, 0.5, 0.3]), "random": torch.ones(4)}


def words(ax):
    return " ".join(text.get_text() for text in ax.texts)


def lines(ax):
    return [torch.tensor(line.get_ydata(), dtype=torch.float64) for line in ax.lines]


@pytest.mark.parametrize(("name", "theirs"), [("ReLU", F.relu), ("GELU", F.gelu), ("SiLU", F.silu)])
def test_the_curve_and_its_slope_are_torchs(name, theirs):
    top, _ = figures.activation(name, ARRIVING).axes
    x = torch.tensor(top.lines[0].get_xdata(), dtype=torch.float64, requires_grad=True)
    curve, slopes = lines(top)[:2]
    y = theirs(x)
    assert torch.allclose(curve, y.detach())
    assert torch.allclose(slopes, torch.autograd.grad(y.sum(), x)[0])


def test_the_title_counts_what_is_negative_and_what_meets_no_slope():
    said = figure_title(figures.activation("ReLU", ARRIVING))
    assert said == "ReLU: 50% of the inputs are negative; at 50% the slope is below 0.01"
    smooth = figure_title(figures.activation("GELU", ARRIVING))
    assert "at 12% the slope" in smooth, "only the number at -6 does"
    assert torch.equal(slope(torch.relu, ARRIVING), (ARRIVING > 0).double())


def test_the_histogram_shows_shares_and_says_what_lies_outside():
    _, bottom = figures.activation("SiLU", ARRIVING).axes
    counts = [stairs.get_data().values for stairs in bottom.patches]
    assert sum(part.sum() for part in counts) == pytest.approx(7 / 8)
    assert counts[0].sum() == pytest.approx(3 / 8)
    assert words(bottom) == "12.5% are outside"
    assert words(figures.activation("SiLU", ARRIVING[1:]).axes[1]) == ""


def test_the_distances_of_the_other_forms_are_measured():
    left, right = figures.gelu_forms().axes
    x = torch.tensor(left.lines[0].get_xdata(), dtype=torch.float64)
    assert torch.allclose(lines(left)[0], F.gelu(x))
    sigmoid, tanh = lines(right)
    truth = (F.gelu(x, approximate="tanh") - F.gelu(x)).abs()
    assert torch.allclose(tanh, truth.clamp_min(1e-9))
    assert f"{truth.max():.5f} off (tanh) and {sigmoid.max():.3f} off" in figure_title(left.figure)


def test_the_dead_are_drawn_seed_by_seed_and_the_worst_is_named():
    found = {"ReLU": [[0.0, 0.2], [0.5, 0.7]], "GELU": [[0.0, 0.0], [0.1, 0.0]]}
    (ax,) = figures.dead_units([0.01, 0.1], found).axes
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0.1, 0.6])
    assert list(ax.lines[2].get_ydata()) == [0.5, 0.7]
    assert (
        "Up to 70% of the units of a ReLU layer are negative for every example, at a rate of 0.1"
        in figure_title(ax.figure)
    )


@pytest.mark.parametrize(
    ("gate", "theirs"), [("swiglu", F.silu), ("reglu", F.relu), ("glu", torch.sigmoid)]
)
def test_the_surface_is_the_activated_gate_times_up(gate, theirs):
    left, right, scale = figures.gate_surface(gate, -2.0).axes
    assert scale.get_ylabel() == "act(gate) · up"
    image = left.images[0]
    surface = torch.tensor(image.get_array().data)
    line = torch.linspace(-4, 4, 81, dtype=torch.float64)
    assert torch.allclose(surface, line[:, None] * theirs(line)[None, :])
    assert image.origin == "lower", "up grows upwards"
    assert image.get_extent() == [-4.0, 4.0, -4.0, 4.0]
    assert torch.allclose(lines(right)[0], -2.0 * theirs(line))
    assert left.lines[0].get_ydata()[0] == -2.0
    at_two = format(-2 * theirs(torch.tensor(2.0)).item(), ".2f").replace("-", "−")
    assert f"a gate of 2 gives {at_two}" in figure_title(left.figure)


def test_unknown_names_are_answered():
    with pytest.raises(ValueError, match=r"ReLU, GELU, SiLU.*'tanh'"):
        figures.activation("tanh", ARRIVING)
    with pytest.raises(ValueError, match=r"swiglu, .*'SwiGLU'"):
        figures.gate_surface("SwiGLU")
    assert set(CURVES) == {"ReLU", "GELU", "SiLU"}


def test_shares_of_a_model_are_stacked_to_one():
    (ax,) = figures.block_shares(COUNTS).axes
    widths = [bar.get_width() for container in ax.containers for bar in container]
    assert widths == pytest.approx([0.6, 0.3, 0.1, 0.6, 0.2, 0.2])
    assert "hold 67% to 75% of the parameters of the blocks" in figure_title(ax.figure)


def test_variants_are_dots_with_a_mean():
    (ax,) = figures.variants(LOSSES).axes
    assert [list(line.get_ydata()) for line in ax.lines] == list(LOSSES.values())
    assert words(ax) == "2.100 2.000 1.725"
    assert figure_title(ax.figure) == (
        "SwiGLU has the lowest mean, 0.375 below ReLU; seeds differ by up to 0.200"
    )


def test_gaps_are_taken_seed_by_seed():
    by_steps = {"10": LOSSES, "20": {name: [v - 1 for v in each] for name, each in LOSSES.items()}}
    by_steps["20"]["SwiGLU"] = [0.95, 1.1]
    (ax,) = figures.variants_in_time(by_steps).axes
    gelu, *_, swiglu = (line for line in ax.lines if line.get_label() in ("GELU", "SwiGLU"))
    assert list(gelu.get_ydata()) == pytest.approx([0.1, 0.1])
    assert list(swiglu.get_ydata()) == pytest.approx([0.375, 0.075])
    assert "After 20 steps GELU is 0.100 nats below ReLU" in figure_title(ax.figure)


@pytest.mark.parametrize("x", [[1.0, 0.5], [-1.0, 0.2]])
def test_the_memory_adds_up_to_the_layer(x):
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    values = torch.tensor([[1.0, 1.0], [0.5, -1.0], [-1.0, 0.3]])
    x = torch.tensor(x)
    left, right = figures.memory(x, keys, values).axes
    arrows = [torch.from_numpy(np.stack([q.U, q.V], 1)) for q in right.collections]
    output = torch.relu(x @ keys.T) @ values
    assert torch.allclose(arrows[0].sum(0).float(), output, atol=1e-6)
    assert torch.allclose(arrows[1][0].float(), output, atol=1e-6)
    matched = int((keys @ x > 0).sum())
    assert f"x matches {matched} of 3 keys" in figure_title(left.figure)
    faces = left.collections[0].get_facecolor()
    grey = [tuple(face) == to_rgba("#cccccc") for face in faces]
    assert grey == (keys @ x <= 0).tolist()


def test_loads_are_ranked_and_named():
    left, right = figures.expert_loads(LOADS).axes
    heights = [bar.get_height() for bar in left.containers[0]]
    assert heights == pytest.approx([3.0, 0.5, 0.3, 0.2])
    assert [bar.get_facecolor() for bar in left.containers[0]].count(
        to_rgba(OKABE_ITO.vermillion)
    ) == 1
    assert "left alone: from 0.20 to 3.00 × the mean load" in figure_title(left.figure)
    assert right.get_ylim() == left.get_ylim()


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.25, 3.0])
def test_the_room_is_that_of_the_layer(factor):
    block = SparseMoE(4, 4, 4, 2, capacity_factor=factor)
    assert room(CHOSEN.numel(), 4, factor) == block._capacity(CHOSEN)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_what_is_dropped_is_what_the_library_drops(factor):
    left, right = figures.capacity(CHOSEN, 4, factor).axes
    limit = math.ceil(factor * 12 / 4)
    groups = dispatch(CHOSEN, 4, limit)
    cells = left.images[0].get_array()
    assert int((cells == 3).sum()) == int(groups.dropped.sum())
    assert int((cells == 1).sum() + (cells == 2).sum()) == int(groups.counts.sum())
    assert int((cells == 0).sum()) == 4 * limit - int(groups.counts.sum())
    said = figure_title(left.figure)
    assert f"{limit} slots each: {int(groups.dropped.sum())} of 12 choices are dropped" in said
    assert "Nothing is dropped from a factor of 1.75 on" in said
    place = next(i for i, x in enumerate(right.lines[0].get_xdata()) if x == factor)
    assert right.lines[0].get_ydata()[place] == pytest.approx(int(groups.dropped.sum()) / 12)


def test_first_choices_stand_before_second_ones():
    cells = figures.capacity(CHOSEN, 4, 4.0).axes[0].images[0].get_array()
    firsts = torch.bincount(CHOSEN[:, 0], minlength=4)
    seconds = torch.bincount(CHOSEN[:, 1], minlength=4)
    for row, first, second in zip(cells, firsts, seconds, strict=True):
        assert row[: first + second].tolist() == [1] * first + [2] * second


def test_sizes_are_those_of_real_layers():
    block = SparseMoE(16, 8, 6, 2, shared_hidden=12)
    left, right = figures.expert_sizes(16, 8, 6, 2, 3, shared_hidden=12).axes
    total = 3 * sum(p.numel() for p in block.parameters())
    idle = 3 * sum(p[2:].numel() for p in block.experts.parameters())
    widths = [bar.get_width() * 1e9 for bar in left.containers[0]]
    assert widths == pytest.approx([total, total - idle])
    assert f"{(total - idle) / total:.1%} of the mixtures' parameters" in figure_title(left.figure)
    assert (right.images[0].get_array() == 1).sum() == 2
    for count, k in ((128, 8), (256, 16), (8, 8), (64, 16)):
        board = figures.expert_sizes(16, 8, count, k, 1).axes[1].images[0].get_array()
        assert (board == 1).sum() == k


def pairs():
    """Return gates and ups of 40 tokens and 30 units, in which both are large together."""
    gate = 2 * torch.sin(torch.arange(1200.0) * 1.7).view(40, 30) - 0.5
    return gate, 1.5 * gate + torch.cos(torch.arange(1200.0)).view(40, 30)


def test_products_near_zero_and_the_share_of_the_largest_are_counted():
    passed = torch.tensor([[4.0, 0.0, 0.1, -3.0], [0.0, 5.0, 0.3, 0.0]])
    rms = math.sqrt((16 + 0.01 + 9 + 25 + 0.09) / 8)
    assert 0.1 < 0.1 * rms < 0.3
    assert gates.near_zero(passed) == pytest.approx(4 / 8)
    expected = [(16 / 25.01 + 25 / 25.09) / 2, (25 / 25.01 + 1) / 2, 1, 1]
    assert gates.carried(passed).tolist() == pytest.approx(expected, abs=1e-6)
    assert gates.share_needed(passed) == 2 / 4


def test_pairs_are_counted_in_their_cell():
    shares = gates.pair_shares(
        torch.tensor([[-5.95, 5.95, 0.05, 9.0]]), torch.tensor([[-5.95, -5.95, 0.05, 0.0]])
    )
    assert shares.sum() == 0.75, "one lies outside"
    assert shares[0, 0] == shares[0, -1] == shares[30, 30] == 0.25


def test_random_pairing_keeps_the_numbers_and_breaks_the_pairs():
    gate, up = pairs()
    control = gates.paired_at_random(gate, up)
    assert control.shape == gate.shape
    assert not torch.allclose(control.sort().values, gates.products(gate, up).sort().values)
    same = gates.paired_at_random(torch.full_like(gate, 2.0), up)
    assert torch.allclose(
        same.flatten().sort().values, (F.silu(torch.tensor(2.0)) * up).flatten().sort().values
    )


def test_the_gates_of_each_layer_are_drawn():
    gate, up = pairs()
    layers = {"layer 0": (gate, up), "layer 1": (gate - 1, up)}
    left, right = figures.gates_by_layer(layers).axes
    for stairs, (one, _) in zip(left.patches, layers.values(), strict=True):
        heights, edges, _ = stairs.get_data()
        expected, _ = np.histogram(one.numpy(), edges)
        assert heights * one.numel() == pytest.approx(expected, abs=1.01)
    below = [(one < 0).double().mean().item() for one, _ in layers.values()]
    small = [gates.near_zero(F.silu(g) * u) for g, u in layers.values()]
    assert [bar.get_height() for bar in right.patches] == pytest.approx(below + small)
    said = figure_title(left.figure)
    assert f"Between {below[0]:.0%} and {below[1]:.0%} of the gates are below 0" in said
    assert f"{min(small):.0%} and {max(small):.0%} of the products" in said


def test_the_units_at_work_are_drawn_on_the_surface():
    gate, up = pairs()
    left, right, scale = figures.units_at_work("Layer 3", gate, up).axes
    assert scale.get_ylabel() == "fraction of all units"
    drawn = left.images[0].get_array()
    assert np.ma.filled(drawn, 0) == pytest.approx(gates.pair_shares(gate, up).numpy())
    trained, control = lines(right)[:2]
    passed = F.silu(gate) * up
    assert torch.allclose(trained, gates.carried(passed).double(), atol=1e-6)
    assert torch.allclose(
        control, gates.carried(gates.paired_at_random(gate, up)).double(), atol=1e-6
    )
    said = figure_title(left.figure)
    assert f"Layer 3: {gates.near_zero(passed):.0%} of the products are near 0" in said
    assert f"{gates.share_needed(passed):.0%} of the units hold 90%" in said


DRAWINGS = {
    "activation": lambda: figures.activation("GELU", ARRIVING),
    "gelu_forms": figures.gelu_forms,
    "dead_units": lambda: figures.dead_units([0.1, 1.0], {"ReLU": [[0.1, 0.2], [0.3, 0.3]]}),
    "gate_surface": figures.gate_surface,
    "gates_by_layer": lambda: figures.gates_by_layer({"one": pairs(), "other": pairs()}),
    "units_at_work": lambda: figures.units_at_work("Layer 0", *pairs()),
    "block_shares": lambda: figures.block_shares(COUNTS),
    "variants": lambda: figures.variants(LOSSES),
    "variants_in_time": lambda: figures.variants_in_time({"10": LOSSES, "20": LOSSES}),
    "memory": lambda: figures.memory(torch.tensor([1.0, 0.5]), torch.eye(2), torch.eye(2)),
    "expert_loads": lambda: figures.expert_loads(LOADS),
    "capacity": lambda: figures.capacity(CHOSEN, 4),
    "expert_sizes": lambda: figures.expert_sizes(16, 8, 6, 2, 3),
}


@pytest.mark.parametrize("name", sorted(DRAWINGS))
def test_a_picture_drawn_twice_has_the_same_bytes_and_states_its_finding(name):
    figure = DRAWINGS[name]()
    assert png_bytes(figure) == png_bytes(DRAWINGS[name]())
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    panels = panels[:1] if name == "activation" else panels  # two panels, one finding
    assert all(ax.get_title(loc="left") for ax in panels), "each panel states its finding"


def test_every_picture_is_covered_here():
    assert set(DRAWINGS) == set(figures.__all__)
