"""The pictures of this chapter draw what was simulated and computed."""

import pytest

from course_lib.accounting.limits import DEVICES
from course_lib.accounting.models import MODELS
from course_lib.chapters.serving import explorers, figures
from course_lib.serving import served_tokens_per_second
from course_lib.serving.simulation import Arrival, simulate
from course_lib.study.display.plotting import png_bytes

TWO = (Arrival(0.0, 3, 2), Arrival(1.0, 5, 1))


def test_each_piece_of_work_is_a_bar_in_the_lane_of_its_request():
    history = simulate(TWO, num_blocks=8, token_budget=4)
    lanes, _ = figures.lanes(history, 0.0).axes
    reading, generating = (
        [path.get_extents() for path in collection.get_paths()] for collection in lanes.collections
    )
    for bars, decoding in ((reading, False), (generating, True)):
        work = [each for each in history.work if each.decoding == decoding]
        assert [(bar.x0, bar.x1) for bar in bars] == [(w.begin, w.end) for w in work]
        assert [round((bar.y0 + bar.y1) / 2) for bar in bars] == [w.request for w in work]
    assert len(generating) == 1


def test_reading_again_after_a_preemption_is_no_generating():
    history = simulate(explorers.ARRIVALS, "continuous", num_blocks=24, token_budget=16)
    first = {number: times[0] for number, times in history.tokens.items()}
    again = [work for work in history.work if work.tokens > 1 and work.begin > first[work.request]]
    assert history.preemptions == len(again) == 1
    assert not again[0].decoding


def test_the_map_shows_who_holds_each_block():
    history = simulate(TWO, num_blocks=8, token_budget=4)
    _, blocks = figures.lanes(history, history.moments[1].begin).axes
    held = [str(holder) for holder in history.moments[1].holders if holder is not None]
    assert sorted(text.get_text() for text in blocks.texts) == sorted(held)
    assert f"{len(held)} of 8" in blocks.get_title(loc="left")


def test_the_roofline_marks_the_batch():
    config, device = MODELS["Qwen3-8B"], DEVICES["L4"]
    left, right = figures.roofline(config, device, 100, 8).axes
    rate = served_tokens_per_second(config, device, 8, 100)
    assert left.lines[1].get_xydata().tolist() == [[8, pytest.approx(rate)]]
    assert right.lines[1].get_xydata().tolist() == [[8, pytest.approx(rate / 8)]]


def test_the_explorers_follow_their_controls():
    lanes = explorers.lanes()
    lanes.controls["policy"].value = "continuous"
    history = simulate(explorers.ARRIVALS, "continuous", num_blocks=40, token_budget=16)
    assert lanes.image == png_bytes(figures.lanes(history, 8.0))
    roofline = explorers.roofline()
    roofline.controls["past"].value = 100
    expected = figures.roofline(MODELS["Qwen3-8B"], DEVICES["H100 SXM"], 100, 16)
    assert roofline.image == png_bytes(expected)
