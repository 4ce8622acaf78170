"""Each explorer of the tokenization chapter shows the figure of its controls."""

import pytest

from course_lib import corpus
from course_lib.chapters.tokenization import explorers, figures
from course_lib.study.display.plotting import png_bytes
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.cost import length


def measured(name):
    encode = explorers.tokenizers()[name].encode
    return {language: length(encode, text) for language, text in corpus.SAMPLES.items()}


@pytest.mark.parametrize(
    ("name", "moves", "drawn"),
    [
        (
            "two_tokenizers",
            {"text": "naïve", "left": "Unigram 800", "right": "WordPiece 1024"},
            lambda: figures.two_tokenizers(
                "naïve",
                ("Unigram 800", explorers.tokenizers()["Unigram 800"]),
                ("WordPiece 1024", explorers.tokenizers()["WordPiece 1024"]),
            ),
        ),
        (
            "merge_tree",
            {"word": " they", "step": 2},
            lambda: figures.merge_tree(explorers.largest(), " they", 2),
        ),
        (
            "viterbi_lattice",
            {"text": "hugs", "end": 3},
            lambda: figures.viterbi_lattice("hugs", explorers.PIECES, 3),
        ),
        (
            "compression",
            {"text": "code", "size": 512},
            lambda: figures.compression(explorers.SIZES, explorers.lengths(), "code", 512),
        ),
        (
            "fertility",
            {"tokenizer": "BPE 1024, Qwen pattern"},
            lambda: figures.fertility(
                measured("BPE 1024, Qwen pattern"), explorers.SAME_SENTENCE, "English"
            ),
        ),
    ],
)
def test_the_controls_reach_the_figure(name, moves, drawn):
    explorer = getattr(explorers, name)()
    for control, value in moves.items():
        explorer.controls[control].value = value
    assert explorer.image == png_bytes(drawn())
    explorer.close()


def test_a_tokenizer_of_ones_own_can_be_drawn():
    own = ByteBPE.train(["tin tint mint"], 260)
    explorer = explorers.merge_tree("tint", tokenizer=own)
    assert explorer.image == png_bytes(figures.merge_tree(own, "tint"))
    explorer.controls["word"].value = ""
    assert "1 to 24 bytes" in explorer.error
    explorer.close()


def test_sizes_grow_and_so_does_what_a_token_covers():
    rows = explorers.lengths()
    for name in ("documentation", "code"):
        covered = [each.bytes_per_token for each in rows[name]]
        assert covered == sorted(covered)
        assert covered[0] == 1.0
