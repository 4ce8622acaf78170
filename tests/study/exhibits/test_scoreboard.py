"""Every contestant of the scoreboard is measured on the same text, first byte included."""

import bz2
import lzma
import math
import zlib

import pytest
import torch

from course_lib.corpus import held_out_text, train_text
from course_lib.study.display.plotting import figure_title, png_bytes
from course_lib.study.exhibits import scoreboard
from course_lib.study.exhibits import scoreboard_figure as figures
from course_lib.study.exhibits.scoreboard import Kind, ScoreboardRow


@pytest.fixture
def short(monkeypatch):
    """Measure on a short text: a hundred words with letters of two bytes."""
    said = "für und wider " * 30
    monkeypatch.setattr(scoreboard, "text", lambda: said)
    return said


ROWS = [
    ScoreboardRow("a", 2.5, Kind.MODEL),
    ScoreboardRow("b", 8.0, Kind.COMPRESSOR),
    ScoreboardRow("c", 2.25, Kind.CODED),
]


def test_the_text_is_the_beginning_of_what_is_held_out():
    assert len(scoreboard.text()) == scoreboard.CHARACTERS
    assert held_out_text().startswith(scoreboard.text())


def test_a_model_is_charged_for_bytes_whatever_its_tokens_are(short):
    size = len(short.encode())
    assert size > len(short), "letters of two bytes must count twice"
    for tokens in (size, 7):
        nats = torch.full((tokens,), -math.log(2) * 3 * size / tokens, dtype=torch.float64)
        row = scoreboard.model_row("three bits", nats)
        assert row.bits == pytest.approx(3.0)
        assert row.kind is Kind.MODEL


def test_compressors_are_charged_for_what_they_write(short):
    data, train = short.encode(), train_text().encode()
    by_hand = {
        "zlib": lambda text: len(zlib.compress(text, 9)),
        "bz2": lambda text: len(bz2.compress(text, 9)),
        "lzma": lambda text: len(lzma.compress(text, preset=9)),
    }
    for name in scoreboard.COMPRESSORS:
        alone, after = scoreboard.compressor_rows(name)
        assert alone.bits == pytest.approx(8 * by_hand[name](data) / len(data))
        grown = by_hand[name](train + data) - by_hand[name](train)
        assert after.bits == pytest.approx(8 * grown / len(data))
        assert (alone.contestant, after.contestant) == (f"{name}, alone", f"{name}, after training")


def test_what_is_coded_was_written_and_can_be_read_back(short, monkeypatch):
    uniform = scoreboard.uniform(256)
    row = scoreboard.coded_row("uniform", uniform)
    size = len(short.encode())
    assert 8 * size <= row.bits * size <= 8 * (size + 2)
    assert row.kind is Kind.CODED
    monkeypatch.setattr(scoreboard, "decode", lambda data, model, length: [0] * length)
    with pytest.raises(RuntimeError, match=r"uniform.*back"):
        scoreboard.coded_row("uniform", uniform)


def test_the_first_rows_are_in_the_order_that_counting_predicts(monkeypatch):
    beginning = scoreboard.text()[:4000]  # enough for the order, and a fifth of the work
    monkeypatch.setattr(scoreboard, "text", lambda: beginning)
    rows = {row.contestant: row for row in scoreboard.first_rows.__wrapped__()}
    ladder = ["uniform", "unigram", "bigram", "Kneser-Ney trigram", "Kneser-Ney 5-gram"]
    bits = [rows[name].bits for name in ladder]
    assert bits[0] == pytest.approx(8.0)
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] > 1.5, "a model of five bytes that is better has seen the text"
    coded = rows["Kneser-Ney trigram, really coded"].bits
    assert coded == pytest.approx(rows["Kneser-Ney trigram"].bits, abs=0.01)
    assert len(rows) == len(ladder) + 1 + 2 * len(scoreboard.COMPRESSORS)


def test_the_table_puts_the_best_last():
    lines = scoreboard.table(ROWS).splitlines()
    assert [line.split()[0] for line in lines] == ["contestant", "b", "a", "c"]
    assert lines[1].split() == ["b", "8.00", "100%"]
    assert lines[3].split() == ["c", "2.25", "28%"]


def test_the_picture_shows_each_row_in_the_colour_of_its_kind():
    figure = figures.bars(ROWS)
    (ax,) = figure.axes
    drawn = {
        round(bar.get_y() + bar.get_height() / 2): (bar.get_width(), container.get_label())
        for container in ax.containers
        for bar in container
    }
    assert drawn == {
        0: (8.0, figures.MEANING[Kind.COMPRESSOR]),
        1: (2.5, figures.MEANING[Kind.MODEL]),
        2: (2.25, figures.MEANING[Kind.CODED]),
    }
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a", "c"]
    assert figure_title(figure) == "The best so far is c: 2.25 of 8 bits"
    assert png_bytes(figure) == png_bytes(figures.bars(ROWS))


def test_an_empty_scoreboard_is_an_error():
    with pytest.raises(ValueError, match=r"one row.*none"):
        figures.bars([])


def test_a_trained_model_is_charged_for_every_byte(short, tiny):
    from course_lib.tokenization.byte_bpe import ByteBPE

    tokenizer = ByteBPE.train([short], 270, special_tokens=("<|endoftext|>",))
    model = tiny("qwen3", vocab_size=tokenizer.vocab_size)
    ids = tokenizer.encode_ordinary(short)
    row = torch.tensor([tokenizer.special_tokens["<|endoftext|>"], *ids])
    assert len(ids) < model.config.max_position_embeddings
    with torch.no_grad():
        p = model(row[None, :-1]).logits[0].softmax(-1)
    bits = -p.gather(-1, row[1:, None]).log2().sum().item() / len(short.encode())
    assert scoreboard.trained_row("tiny", model, tokenizer).bits == pytest.approx(bits, rel=1e-4)
