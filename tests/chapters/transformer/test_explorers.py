"""Each explorer of the chapter on whole models shows the figure of its controls."""

import ipywidgets
import pytest
import torch

from course_lib.chapters.transformer import explorers, figures
from course_lib.chapters.transformer.planted_faults import report
from course_lib.model.inspection import (
    logit_lens,
    mean_loss,
    residual_norms,
    token_losses,
    without_head,
    without_layer,
)
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study.display.plotting import png_bytes


def shown(explorer):
    """Return the bytes of the picture in the notebook."""
    (picture,) = (part for part in explorer.widget.children if isinstance(part, ipywidgets.Image))
    return picture.value


def inside_of(text):
    """Draw the figure for a text of at most twelve tokens."""
    ids = torch.tensor([course_tokenizer().encode(text)])
    vocabulary = explorers.spelled(course_tokenizer())
    tokens = [vocabulary[number] for number in ids[0].tolist()]
    norms, logits = residual_norms(course_model(), ids), logit_lens(course_model(), ids)
    return figures.stream_and_lens(norms[:, 0], logits[:, 0], vocabulary, tokens)


def without(what, poorer, missing, first):
    ids, _ = explorers.texts(what)
    losses = [token_losses(model, ids).mean(0) for model in (course_model(), poorer)]
    return figures.ablation(
        explorers.rises(what), *losses, what, missing, first_counted=first, vocab_size=2048
    )


@pytest.mark.parametrize(
    ("make", "moves", "drawn"),
    [
        (explorers.inside, {"text": "if x:"}, lambda: inside_of("if x:")),
        (
            explorers.ablate,
            {"what": "text", "part": "mlp", "layer": 1},
            lambda: without(
                "text", without_layer(course_model(), 1, ("mlp",)), "the MLP of layer 1", 0
            ),
        ),
        (
            explorers.ablate,
            {"part": "the whole layer", "layer": 1},
            lambda: without("repeats", without_layer(course_model(), 1), "layer 1", 16),
        ),
        (
            explorers.families,
            {"kind": "encoder-only", "source": 2, "target": 3},
            lambda: figures.family(
                "encoder-only", ("le", " petit"), ("the", " small", " cat"), hidden=(2,)
            ),
        ),
        (
            explorers.fault,
            {"kind": "last norm forgotten"},
            lambda: figures.divergence(report("last norm forgotten")),
        ),
    ],
)
def test_moving_controls_draws_the_figure_of_these_values(make, moves, drawn):
    explorer = make()
    for name, value in moves.items():
        explorer.controls[name].value = value
    assert explorer.error == ""
    assert shown(explorer) == png_bytes(drawn())
    explorer.close()


def test_a_long_text_shows_its_end():
    explorer = explorers.inside("x = 1\n" * 30 + "the last words")
    assert explorer.error == ""
    explorer.controls["text"].value = ""  # an empty text still has something to show
    assert explorer.error == ""
    explorer.close()


def test_rises_are_measured_where_the_text_can_be_known():
    ids, counted = explorers.texts("repeats")
    assert not counted[:, : explorers.PERIOD].any()
    assert counted[:, explorers.PERIOD :].all()
    assert torch.equal(ids[:, : explorers.PERIOD], ids[:, explorers.PERIOD : 2 * explorers.PERIOD])
    rise = mean_loss(without_head(course_model(), 1, 0), ids, counted)
    rise = rise - mean_loss(course_model(), ids, counted)
    torch.testing.assert_close(explorers.rises("repeats")[1, 0], rise)


def test_vocabulary_is_spelled():
    tokenizer = course_tokenizer()
    spelled = explorers.spelled(tokenizer)
    assert len(spelled) == tokenizer.vocab_size
    assert "".join(spelled[number] for number in tokenizer.encode("def f(x):")) == "def f(x):"


def test_a_head_is_removed_without_reading_what_comes_before_its_layer(monkeypatch):
    explorers.losses_without.cache_clear()
    explorers.stream("repeats")
    read = []
    block = type(course_model().blocks[0])
    forward = block.forward
    monkeypatch.setattr(block, "forward", lambda *a, **k: read.append(1) or forward(*a, **k))
    found = explorers.losses_without("repeats", "one head", 2, 1)
    assert len(read) == len(course_model().blocks) - 2
    assert explorers.losses_without("repeats", "one head", 2, 1) is found
    assert len(read) == len(course_model().blocks) - 2, "known already"
    ids, _ = explorers.texts("repeats")
    wanted = token_losses(without_head(course_model(), 2, 1), ids).mean(0)
    torch.testing.assert_close(found, wanted)


def test_a_text_passes_through_the_model_once(monkeypatch):
    passes = []
    forward = type(course_model()).forward
    monkeypatch.setattr(
        type(course_model()), "forward", lambda *a, **k: passes.append(1) or forward(*a, **k)
    )
    explorer = explorers.inside("x = 1")
    explorer.controls["text"].value = "y = 2"
    assert explorer.error == ""
    assert len(passes) == 2, "one for each text"
    explorer.close()
