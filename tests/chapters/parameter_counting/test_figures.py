"""The figures of the chapter on counting show what the library computes, in shapes and titles."""

import itertools
from dataclasses import replace

import pytest
from matplotlib.patches import Rectangle

from course_lib.accounting import (
    DEVICES,
    MODELS,
    Device,
    flops_by_part,
    inner_parts,
    kv_cache_bytes,
    model_step,
    parameter_parts,
    total_parameters,
    training_memory,
)
from course_lib.chapters.parameter_counting import figures
from course_lib.chapters.parameter_counting.figures.cache import TOKENS, crossing
from course_lib.chapters.parameter_counting.figures.fit import (
    BATCHES,
    largest_batch,
    tokens_per_second,
)
from course_lib.chapters.parameter_counting.figures.icicle import cells, retied, written_count
from course_lib.chapters.parameter_counting.figures.roof import PROMPTS
from course_lib.chapters.parameter_counting.figures.shares import CONTEXTS, half, shares
from course_lib.chapters.parameter_counting.figures.sizes import written_bytes
from course_lib.study.display.plotting import figure_title

EIGHT, SMALL, MIXTURE = MODELS["Qwen3-8B"], MODELS["Qwen3-0.6B"], MODELS["Qwen3-30B-A3B"]
H100, L4 = DEVICES["H100 SXM"], DEVICES["L4"]


def rectangles(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("name", ["Qwen3-8B", "Qwen3-0.6B", "Qwen3-30B-A3B", "GPT-2"])
def test_the_widths_of_the_icicle_are_the_parameters(name):
    config = MODELS[name]
    (ax,) = figures.icicle(name, config).axes
    drawn = sorted((r.get_y(), r.get_x(), r.get_width() * 1e9) for r in rectangles(ax))
    inner = inner_parts(config)
    expected = [total_parameters(config)]
    expected += [part.parameters for part in parameter_parts(config)]
    parts = [part.name for part in parameter_parts(config)]
    expected += [each.parameters for part in parts for each in inner.get(part, ())]
    assert [width for *_, width in drawn] == pytest.approx(expected)


def test_what_lies_below_a_part_fills_it_exactly():
    found = cells(EIGHT)
    for part in (cell for cell in found if cell.level == 1 and cell.name in ("attention", "MLP")):
        end = part.start + part.parameters
        inside = [c for c in found if c.level == 2 and part.start <= c.start < end]
        assert inside[0].start == part.start
        assert inside[-1].start + inside[-1].parameters == end
    assert sum(cell.parameters for cell in found if cell.level == 1) == total_parameters(EIGHT)


def test_tying_removes_the_head():
    assert figure_title(figures.icicle("Qwen3-8B", EIGHT)) == (
        "Qwen3-8B, untied: 8.19 B parameters; MLP 66%, attention 18%, embedding 8%"
    )
    tied = retied(EIGHT, True)
    assert "tied: 7.57 B" in figure_title(figures.icicle("Qwen3-8B", tied))
    assert "output head" not in [cell.name for cell in cells(tied)]
    assert retied(tied, False) == EIGHT


def test_counts_as_one_says_them():
    assert [written_count(n) for n in (999, 4096, 622_329_856, 8_190_735_360)] == [
        "999", "4.1 k", "622 M", "8.19 B"
    ]  # fmt: skip


def test_the_crossing_is_the_first_length_at_which_the_cache_is_larger():
    for batch in (1, 16):
        length = crossing(EIGHT, batch)
        weights = 2 * total_parameters(EIGHT)
        assert kv_cache_bytes(36, 8, 128, length, batch) > weights
        assert kv_cache_bytes(36, 8, 128, length - 1, batch) <= weights
    assert crossing(EIGHT, 16, "int4") < crossing(EIGHT, 16) / 3.9


def test_the_cache_is_drawn_for_the_batch_for_one_and_without_sharing():
    (ax,) = figures.cache_growth("Qwen3-8B", EIGHT, 16).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    for label, batch, heads in (
        ("16 texts", 16, 8),
        ("one text", 1, 8),
        ("16 texts, no heads", 16, 32),
    ):
        values = next(value for name, value in reversed(drawn.items()) if name.startswith(label))
        expected = [kv_cache_bytes(36, heads, 128, n, batch) / 1e9 for n in TOKENS]
        assert values == pytest.approx(expected)
    assert drawn["weights, bfloat16"][0] == pytest.approx(16.38147072)
    assert figure_title(ax.figure) == (
        "Qwen3-8B, 16 texts: from 6,944 tokens on the cache is larger than the weights"
    )


def test_a_crossing_beyond_the_longest_text_is_called_so():
    said = figure_title(figures.cache_growth("Llama-2-7B", MODELS["Llama-2-7B"], 1))
    assert said.endswith("beyond its context length of 4,096")
    (ax,) = figures.cache_growth("Llama-2-7B", MODELS["Llama-2-7B"], 1).axes
    assert not any("shared" in line.get_label() for line in ax.lines), "nothing is shared"


def test_every_point_lies_under_the_roof_where_its_intensity_says():
    (ax,) = figures.roofline("Qwen3-8B", EIGHT, H100, 64, 16, 4096).axes
    series = {line.get_label().partition(",")[0]: line for line in ax.lines}
    for label, steps in (
        ("prefill", [model_step(EIGHT, n) for n in PROMPTS]),
        ("decode", [model_step(EIGHT, 1, 4095, n) for n in BATCHES]),
    ):
        assert list(series[label].get_xdata()) == pytest.approx([s.intensity for s in steps])
        roof = [min(989e12, s.intensity * 3.35e12) / 1e12 for s in steps]
        assert list(series[label].get_ydata()) == pytest.approx(roof)
    chosen = [line for line in ax.lines if line.get_markersize() == 11]
    assert [line.get_xdata()[0] for line in chosen] == pytest.approx(
        [model_step(EIGHT, 64).intensity, model_step(EIGHT, 1, 4095, 16).intensity]
    )


def test_the_roofline_says_how_much_of_the_peak_is_used():
    said = figure_title(figures.roofline("Qwen3-8B", EIGHT, H100))
    share = model_step(EIGHT, 1, 2047).intensity * 3.35e12 / 989e12
    assert f"decode of one text uses {share:.1%} of the peak at most" in said
    assert said.endswith("prefill of 2,048 tokens 100%")


def test_bytes_are_stacked_under_the_memory_of_the_devices():
    left, right = figures.will_it_fit("Qwen3-8B", EIGHT, L4, "bfloat16", 1, 4096).axes
    weights, cache = rectangles(left)
    assert weights.get_height() == pytest.approx(16.38147072)
    assert cache.get_height() == pytest.approx(4096 * 147456 / 1e9)
    assert cache.get_y() == weights.get_height()
    assert [line.get_ydata()[0] for line in left.lines] == [24.0]
    speeds = right.lines[0].get_ydata()
    assert list(speeds) == pytest.approx(
        [tokens_per_second(EIGHT, 4096, n, "bfloat16", L4) for n in BATCHES]
    )
    room = right.lines[1].get_xdata()
    assert list(room) == [n for n in BATCHES if n <= 12]
    assert right.lines[3].get_xdata()[0] == 12 == largest_batch(EIGHT, 4096, "bfloat16", L4)


def test_names_of_devices_do_not_cover_each_other():
    for batch, drawn in ((1, [24.0]), (1024, [0.024])):
        left, _ = figures.will_it_fit("Qwen3-8B", EIGHT, L4, "bfloat16", batch, 131072).axes
        assert [line.get_ydata()[0] for line in left.lines][:1] == pytest.approx(drawn)
        heights = sorted(line.get_ydata()[0] for line in left.lines)
        gaps = [b - a for a, b in itertools.pairwise(heights)]
        assert all(gap >= 0.08 * left.get_ylim()[1] for gap in gaps)
    assert left.get_ylabel() == "TB"


def test_the_smallest_device_that_has_room_is_in_the_figure():
    left, _ = figures.will_it_fit("Qwen3-8B", EIGHT, L4, "bfloat16", 16, 8192).axes
    assert [line.get_ydata()[0] for line in left.lines] == [24.0, 80.0]
    assert left.get_ylim()[1] > 80.0


def test_a_size_is_not_written_over_the_limit_of_the_device():
    rtx = DEVICES["RTX 4090"]
    ax = figures.training_bytes("Qwen3-0.6B", MODELS["Qwen3-0.6B"], rtx, 2048, 4).axes[0]
    written = [text for text in ax.texts if "21.8" in text.get_text()]
    assert [text.get_position()[0] for text in written] == [24.0], "beside the line, not on it"


def test_narrow_tables_of_a_mixture_have_names():
    names = [text.get_text() for text in figures.icicle("x", MIXTURE).axes[0].texts]
    assert "embedding" in names
    assert "output head" in names


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 GB"), (18.9e6, "0.0189 GB"), (999.6e9, "1,000 GB"), (25.8e12, "25.8 TB"),
     (53.5e15, "53.5 PB")],
)  # fmt: skip
def test_bytes_as_one_says_them(size, said):
    assert written_bytes(size).replace("\u00a0", " ") == said


def test_the_largest_batch_fits_and_one_more_does_not():
    for config, dtype in ((EIGHT, "bfloat16"), (SMALL, "int4"), (MIXTURE, "int8")):
        most = largest_batch(config, 4096, dtype, H100)
        assert figures_total(config, 4096, most, dtype) <= 80e9
        assert figures_total(config, 4096, most + 1, dtype) > 80e9
    assert largest_batch(MODELS["Llama-3-70B"], 512, "bfloat16", H100) == 0


def figures_total(config, context, batch, dtype):
    cache = kv_cache_bytes(
        config.num_hidden_layers, config.num_key_value_heads, config.head_dim, context, batch
    )
    return total_parameters(config) * {"bfloat16": 2, "int8": 1, "int4": 0.5}[dtype] + cache


@pytest.mark.parametrize(
    ("name", "device", "batch", "ending"),
    [
        ("Qwen3-8B", "H100 SXM", 1, "tokens per second; there is room for 105 texts"),
        ("Qwen3-8B", "L4", 16, "L4 has room for 12 texts; with more memory: 194 tokens per second"),
        ("Llama-3-70B", "H100 SXM", 1, "H100 SXM has no room for even one text"),
        ("Qwen3-8B", "H100 SXM", 64, "for each text; there is room for 105 texts"),
    ],
)
def test_the_verdict_says_what_is_possible(name, device, batch, ending):
    figure = figures.will_it_fit(name, MODELS[name], DEVICES[device], batch=batch)
    said = figure_title(figure)
    assert said.endswith(ending)
    assert ("do not fit into" in said) == (device == "L4" or name == "Llama-3-70B")


def test_faster_memory_and_more_memory_are_told_apart():
    slow = Device("slow", 1e15, 1e11, 1e12)
    fast = replace_device(slow, bandwidth=2e11)
    a, b = (tokens_per_second(SMALL, 512, 1, "bfloat16", each) for each in (slow, fast))
    assert b == pytest.approx(2 * a)
    computing = replace_device(slow, peak_flops=1e9)
    assert tokens_per_second(SMALL, 512, 1, "bfloat16", computing) < a / 100


def replace_device(device, **changes):
    return device._replace(**changes)


def test_training_is_stacked_part_by_part():
    (ax,) = figures.training_bytes("Qwen3-0.6B", SMALL, DEVICES["RTX 4090"], 2048, 4).axes
    running, *bars = rectangles(ax)
    assert running.get_width() == pytest.approx(1.19209984)
    for row, checkpointing in ((1, False), (2, True)):
        memory = training_memory(
            SMALL, 2048, 4, weight_bytes=6, gradient_bytes=2, activation_number_bytes=2,
            checkpointing=checkpointing,
        )  # fmt: skip
        drawn = [bar for bar in bars if round(bar.get_y() + 0.4) == row]
        assert [bar.get_width() for bar in drawn] == pytest.approx([n / 1e9 for n in memory])
        assert drawn[-1].get_x() + drawn[-1].get_width() == pytest.approx(memory.total / 1e9)


@pytest.mark.parametrize(
    ("name", "device", "ending"),
    [
        ("Qwen3-0.6B", "RTX 4090", "GB do not fit, 21.8 GB with checkpointing do"),
        ("Qwen3-0.6B", "H200 SXM", "GB fit; with checkpointing 21.8 GB"),
        ("Qwen3-8B", "L4", "282 GB do not fit, nor do 148 GB with checkpointing"),
    ],
)
def test_the_verdict_on_training(name, device, ending):
    figure = figures.training_bytes(name, MODELS[name], DEVICES[device])
    assert figure_title(figure).endswith(ending)


def test_a_larger_head_makes_a_wider_picture_of_the_whole():
    untied = replace(SMALL, tie_word_embeddings=False)
    widths = [figures.icicle("x", each).axes[0].get_xlim()[1] for each in (SMALL, untied)]
    assert widths == pytest.approx([0.59604992, 0.59604992 + 151936 * 1024 / 1e9])


@pytest.mark.parametrize("name", ["Qwen3-8B", "Qwen3-0.6B", "Qwen3-30B-A3B", "GPT-2"])
def test_the_shares_fill_the_figure_and_cross_where_it_says(name):
    config = MODELS[name]
    figure = figures.flop_shares(name, config)
    (ax,) = figure.axes
    (scores,) = (each for each in ax.collections if "scores" in each.get_label())
    points = scores.get_paths()[0].vertices
    assert points[:, 1].max() == pytest.approx(100)
    for context in CONTEXTS:
        lowest = min(y for x, y in points if x == context)
        assert 100 - lowest == pytest.approx(100 * shares(config, context)["scores"])
    where = half(config)
    assert f"{where:,} tokens" in figure_title(figure)
    found = flops_by_part(config, where)
    assert 2 * found["scores"] >= sum(found.values())
    before = flops_by_part(config, where - 1)
    assert 2 * before["scores"] < sum(before.values())
