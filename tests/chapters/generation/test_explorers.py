"""Each explorer of the generation chapter shows the figure of its controls."""

import pytest
import torch

from course_lib.chapters.generation import explorers, figures
from course_lib.generation import beam_search, generate
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.display.plotting import png_bytes

TEXT = "return the"


def logits():
    return explorers.next_logits(TEXT)


def tokens():
    return [course_tokenizer().decode([i]) for i in course_tokenizer().encode(TEXT)]


def tree():
    ids = torch.tensor([course_tokenizer().encode(TEXT)])
    greedy = generate(course_model(), ids, 3)[0].tolist()
    return figures.beam_tree(beam_search(course_model(), ids, 3, 2), greedy, explorers.spelled())


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "pipeline",
            {"text": TEXT, "temperature": 0.5, "k": 7, "p": 0.6, "u": 0.9},
            lambda: figures.pipeline(logits()[-1], explorers.spelled(), 0.5, 7, 0.6, 0.9),
        ),
        (
            "nucleus",
            {"text": TEXT, "p": 0.5, "k": 3},
            lambda: figures.nucleus_sizes(logits(), tokens(), 0.5, 3),
        ),
        (
            "penalty",
            {"text": TEXT, "penalty": 2.0},
            lambda: figures.penalty_effect(
                logits()[-1], course_tokenizer().encode(TEXT), explorers.spelled(), 2.0
            ),
        ),
        ("cache", {"prompt": 3, "new": 5}, lambda: figures.cache_growth(3, 5)),
        ("beam_tree", {"text": TEXT, "beams": 2, "steps": 3}, tree),
        ("drafts", {"acceptance": 0.5, "cost": 0.5, "k": 2}, lambda: figures.gain(0.5, 0.5, 2)),
    ],
)
def test_moved_controls_show_their_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    before = explorer.image
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.error == ""
    assert explorer.image == png_bytes(drawn())
    assert explorer.image != before


def test_a_long_text_is_cut_and_an_empty_one_begins():
    assert len(explorers.text_ids("word " * 100)) == explorers.LONGEST
    assert len(explorers.text_ids("")) >= 1


def test_a_slider_does_not_ask_the_model_again(monkeypatch):
    explorer = explorers.pipeline(TEXT)
    monkeypatch.setattr(explorers, "course_model", lambda: pytest.fail("asked again"))
    explorer.controls["temperature"].value = 2.0
    explorer.controls["u"].value = 0.1
    assert explorer.error == ""
    explorer.close()
