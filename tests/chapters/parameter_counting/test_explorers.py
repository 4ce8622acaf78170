"""Each explorer of the chapter on counting shows the figure of its controls; so does the icicle."""

import base64
from dataclasses import replace

import anywidget
import pytest

from course_lib.accounting import DEVICES, MODELS, parameter_parts, total_parameters
from course_lib.chapters.parameter_counting import explorers, figures
from course_lib.chapters.parameter_counting.explorers import widget
from course_lib.study.display.plotting import png_bytes

SMALL, MIXTURE = MODELS["Qwen3-0.6B"], MODELS["Qwen3-30B-A3B"]
L4, H200 = DEVICES["L4"], DEVICES["H200 SXM"]


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "will_it_fit",
            {
                "name": "Qwen3-30B-A3B",
                "device": "H200 SXM",
                "dtype": "int4",
                "batch": 64,
                "context": 8192,
            },
            lambda: figures.will_it_fit("Qwen3-30B-A3B", MIXTURE, H200, "int4", 64, 8192),
        ),
        (
            "roofline",
            {"name": "Qwen3-0.6B", "device": "L4", "prompt": 64, "batch": 32, "context": 512},
            lambda: figures.roofline("Qwen3-0.6B", SMALL, L4, 64, 32, 512),
        ),
        (
            "cache_growth",
            {"name": "Qwen3-0.6B", "batch": 4, "dtype": "int8"},
            lambda: figures.cache_growth("Qwen3-0.6B", SMALL, 4, "int8"),
        ),
        (
            "training_bytes",
            {"name": "Qwen3-30B-A3B", "device": "H200 SXM", "tokens": 512, "batch": 2},
            lambda: figures.training_bytes("Qwen3-30B-A3B", MIXTURE, H200, 512, 2),
        ),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.error == ""
    assert explorer.image == png_bytes(drawn())
    explorer.close()


def test_the_icicle_sends_every_model_tied_and_untied():
    made = explorers.icicle()
    assert isinstance(made.widget, anywidget.AnyWidget)
    assert [each["name"] for each in made.widget.models] == list(MODELS)
    for each in made.widget.models:
        config = MODELS[each["name"]]
        assert each["tied"] == config.tie_word_embeddings
        for tied in (False, True):
            changed = replace(config, tie_word_embeddings=tied)
            whole, *rest = each["cells"][tied]
            assert whole[2] == total_parameters(changed)
            parts = [(cell[3], cell[2], cell[4]) for cell in rest if cell[0] == 1]
            expected = [(p.name, p.parameters, p.formula) for p in parameter_parts(changed)]
            assert parts == expected
            assert ("untied" in each["findings"][tied]) is not tied


def test_the_icicle_starts_as_the_model_is_or_as_it_is_told():
    assert explorers.icicle("Qwen3-8B").widget.tied is False
    assert explorers.icicle("Qwen3-0.6B").widget.tied is True
    told = explorers.icicle("Qwen3-8B", tied=True)
    assert told.widget.tied is True
    assert told.finding.startswith("Qwen3-8B, tied: 7.57 B parameters")


def test_the_icicle_leaves_a_picture_in_the_saved_file():
    data, metadata = explorers.icicle("Llama-3-8B")._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    drawn = figures.icicle("Llama-3-8B", MODELS["Llama-3-8B"])
    assert base64.b64decode(data["image/png"]) == png_bytes(drawn)
    assert data["text/plain"].startswith("icicle of parameters: Llama-3-8B, untied: 8.03 B")
    assert metadata["image/png"]["alt"] in data["text/plain"]


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"name.*Qwen3-0\.6B, .*'Qwen4'"):
        explorers.icicle("Qwen4")


def test_the_script_loads_nothing_and_writes_no_markup():
    script = widget.SCRIPT.read_text(encoding="utf-8")
    assert not any(word in script for word in ("import ", "fetch(", "innerHTML", "https://"))
    assert "textContent" in script
    assert script.count("http://") == 1, "the name of the SVG namespace is no address"
