"""The pictures of this chapter draw what happened and what was counted."""

import pytest

from course_lib.agents import ATTACKS, DEFENCES, tokens_read
from course_lib.agents.attacks import attacked
from course_lib.chapters.agents import explorers, figures
from course_lib.study.display.plotting import png_bytes


def test_each_event_is_a_dot_in_the_lane_of_its_actor():
    events = explorers.scripted_events("an answer")
    (ax,) = figures.run(events, len(events)).axes
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    lanes = [figures.LANE_OF[event["event"]] for event in events]
    assert [(int(d.get_xdata()[0]), int(d.get_ydata()[0])) for d in dots] == [
        (lane, place) for place, lane in enumerate(lanes)
    ]
    assert "2 turns, 2 results" in ax.get_title(loc="left")
    (ax,) = figures.run(events, 3).axes
    assert "1 call without a result" in ax.get_title(loc="left")


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("an answer", "answered"),
        ("mistakes", "answered"),
        ("going in circles", "repeating"),
        ("no model", "brain failed"),
    ],
)
def test_the_scripts_end_as_they_should(script, end):
    assert explorers.scripted_events(script)[-1]["state"] == end


def test_the_context_shows_what_stays():
    (ax,) = figures.context(["user", "assistant", "tool"], [2, 3, 4], [0], 5).axes
    assert [bar.get_width() for bar in ax.patches] == [2, 3, 4]
    assert "1 of 3 messages stay: 2 of 5 tokens" in ax.get_title(loc="left")


def test_the_curves_are_those_of_the_records():
    records = [{"step": 0, "loss": None, "sum 3x3": 0.0, "place": 0.1},
               {"step": 9, "loss": 1.0, "sum 3x3": 0.6, "place": 0.2}]  # fmt: skip
    (ax,) = figures.learning(records).axes
    assert [line.get_ydata().tolist() for line in ax.lines] == [[0.0, 0.6], [0.1, 0.2]] or [
        list(line.get_ydata()) for line in ax.lines
    ] == [[0.0, 0.6], [0.1, 0.2]]
    assert "step 9" in ax.get_title(loc="left")
    assert "no sum" in figures.learning(records[:1]).axes[0].get_title(loc="left")


def test_the_attacks_are_coloured_by_what_happens():
    (ax,) = figures.defended(ATTACKS[:3], DEFENCES[:2]).axes
    texts = [text.get_text() for text in ax.texts]
    assert texts == [
        "fails" if attacked(attack, defence) else "stops"
        for defence in DEFENCES[:2]
        for attack in ATTACKS[:3]
    ]


def test_growth():
    (ax,) = figures.growth(10, 2, 5).axes
    assert list(ax.lines[0].get_ydata()) == [tokens_read(10, 2, n) for n in range(1, 6)]
    assert list(ax.lines[1].get_ydata()) == [10, 12, 14, 16, 18]


def test_the_explorers_follow_their_controls():
    run = explorers.run()
    run.controls["events"].value = 3
    assert run.image == png_bytes(figures.run(explorers.scripted_events("an answer"), 3))
    growth = explorers.growth()
    growth.controls["turns"].value = 4
    assert growth.image == png_bytes(figures.growth(1000, 300, 4))
    context = explorers.context()
    context.controls["budget"].value = sum(explorers.SIZES)
    everything = list(range(len(explorers.ROLES)))
    total = sum(explorers.SIZES)
    drawn = figures.context(explorers.ROLES, explorers.SIZES, everything, total)
    assert context.image == png_bytes(drawn)
    attacks = explorers.attacks()
    attacks.controls["defence"].value = "filter"
    chosen = [each for each in DEFENCES if each.name == "filter"]
    assert attacks.image == png_bytes(figures.defended(ATTACKS, chosen))
