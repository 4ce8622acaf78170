"""Each explorer of the attention chapter shows the figure of its controls; lines carry the maps."""

import base64

import anywidget
import numpy as np
import pytest
import torch

from course_lib.attention import causal_mask
from course_lib.chapters.attention import explorers, figures
from course_lib.chapters.attention.explorers import widget as lines_module
from course_lib.study.display.plotting import png_bytes
from course_lib.study.exhibits import ablated_heads, course_model_probes

TEXT = ("<s>", " a", "$", "中", "a")


def weights(layers=2, heads=3):
    scores = torch.sin(torch.arange(layers * heads * 25) * 1.3).reshape(layers, heads, 5, 5)
    return torch.softmax(scores.masked_fill(~causal_mask(5), -torch.inf), -1)


MAKERS = {
    "five_steps": explorers.five_steps,
    "masks": explorers.masks,
    "scale": explorers.scale,
    "maps": lambda: explorers.maps(weights(), TEXT),
    "cache_bytes": explorers.cache_bytes,
}


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "masks",
            {"kind": "prefix", "queries": 3},
            lambda: figures.mask_and_weights("prefix", 3, 3),
        ),
        ("scale", {"width": 16, "keys": 4}, lambda: figures.scale_experiment((), 16, 4)),
        ("maps", {"layer": 1, "head": 2}, lambda: figures.attention_maps(weights(), TEXT, 1, 2)),
        (
            "cache_bytes",
            {"layers": 4, "groups": 2, "head_dim": 64, "tokens": 2048},
            lambda: figures.cache_bytes(4, 32, 2, 64, 2048),
        ),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = MAKERS[name]()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.image == png_bytes(drawn())
    explorer.close()


def test_a_text_that_is_typed_is_read_by_the_course_model():
    explorer = explorers.reading(layer=0, head=1)
    explorer.controls["text"].value = "for a in range(3): print(a)"
    tokens, weights = course_model_probes.read("for a in range(3): print(a)")
    assert explorer.image == png_bytes(figures.attention_maps(weights, tokens, 0, 1))
    before = explorer.image
    explorer.controls["text"].value = ""
    assert "a map needs two tokens" in explorer.error
    assert explorer.image == before
    explorer.close()


def test_reading_begins_with_the_head_that_copies_best():
    table = course_model_probes.head_scores_on("repeats")["induction"]
    best = explorers.best_head("induction")
    assert table[best] == table.max()
    first = explorers.reading()
    assert (first.first_values["layer"], first.first_values["head"]) == best
    first.close()


@pytest.mark.parametrize("kind", course_model_probes.KINDS)
def test_missed_heads_are_measured_on_the_chosen_text(kind):
    explorer = explorers.missed_heads()
    moves = {"on": kind, "ablation": "mean", "layer": 0, "head": 2}
    for control, value in moves.items():
        explorer.controls[control].value = value
    rises = ablated_heads.rises(kind, "mean")
    scores = course_model_probes.head_scores_on(kind)
    assert explorer.image == png_bytes(figures.missed_heads(rises, scores, kind, 0, 2))
    explorer.close()


def test_the_steps_can_be_those_of_other_numbers():
    q, k, v = torch.eye(3), 2 * torch.eye(3), torch.ones(3, 2)
    explorer = explorers.five_steps(q, k, v, ["x", "y", "z"], mask="none", divided_by="D")
    drawn = figures.five_steps(q, k, v, ["x", "y", "z"], None, "D")
    assert explorer.image == png_bytes(drawn)
    explorer.close()


def test_lines_send_every_weight_as_one_byte():
    maps = weights()
    made = explorers.lines(maps, TEXT, layer=1, head=2, query=3)
    assert isinstance(made.widget, anywidget.AnyWidget)
    sent = np.frombuffer(made.widget.weights, dtype=np.uint8).reshape(made.widget.shape)
    assert sent / 255 == pytest.approx(maps.numpy(), abs=0.5 / 255 + 1e-6)
    assert made.widget.tokens == ["<s>", "␣a", "$", "\\u4e2d", "a"]
    assert (made.widget.layer, made.widget.head, made.widget.query) == (1, 2, 3)


def test_lines_leave_a_picture_in_the_saved_file():
    maps = weights()
    data, metadata = explorers.lines(maps, TEXT, 1, 2)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    drawn = figures.attention_lines(maps[1, 2], TEXT, 4, "Head 1.2")
    assert base64.b64decode(data["image/png"]) == png_bytes(drawn)
    assert data["text/plain"].startswith("attention lines: Head 1.2: a reads mostly")
    assert metadata["image/png"]["alt"] in data["text/plain"]


def test_lines_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\b2 tokens.*\b5 keys"):
        explorers.lines(weights(), TEXT[:2])
    with pytest.raises(ValueError, match=r"2 layers.*3 heads.*layer 0, head 3\b"):
        explorers.lines(weights(), TEXT, head=3)


def test_the_script_loads_nothing_and_writes_no_markup():
    script = lines_module.SCRIPT.read_text(encoding="utf-8")
    assert not any(word in script for word in ("import ", "fetch(", "innerHTML", "https://"))
    assert "textContent" in script
    assert script.count("http://") == 1, "the name of the SVG namespace is no address"
