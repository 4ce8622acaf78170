"""The interactive figures of this chapter.

The tokenizers are trained when a figure first needs them, in a few seconds, on the documentation of
the running Python. A different Python version has slightly different text, so different merges.

Taught in:        tokenization
Checked against:  the figures of `course_lib.chapters.tokenization.figures` for the same values
"""

import math
from collections.abc import Mapping
from functools import cache

from matplotlib.figure import Figure

from course_lib import corpus
from course_lib.chapters.tokenization import figures
from course_lib.chapters.tokenization.figures.lattice import LONGEST
from course_lib.chapters.tokenization.figures.merging import LONGEST as MOST_BYTES
from course_lib.study.display.explorer import Explorer, choice, step_slider, text_field
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.tokenization.cost import Length, length, truncate
from course_lib.tokenization.huggingface import Tokenizer
from course_lib.tokenization.patterns import GPT4_PATTERN, QWEN_PATTERN
from course_lib.tokenization.unigram import Unigram
from course_lib.tokenization.wordpiece import WordPiece

TYPED = (
    "Tokenizers don't see letters, and 12345 isn't one number to them. "
    "Naïve, 字, 👩\u200d💻: bytes at first!"
)
SIZES = (256, 512, 1024, 2048, 4096)
SAME_SENTENCE = ("English", "German", "Chinese", "Arabic", "Hindi")

# Probabilities of pieces for which every greedy rule fails somewhere; the sum need not be 1.
SHARES = {
    "h": 0.03, "u": 0.06, "g": 0.05, "s": 0.08, "i": 0.06, "n": 0.07, "e": 0.06,
    "hu": 0.01, "ug": 0.09, "hug": 0.04, "gs": 0.03, "in": 0.09, "ing": 0.08, "gi": 0.01,
    "ugg": 0.004, "gin": 0.01, "hugg": 0.001, "inge": 0.002, "ngs": 0.002,
}  # fmt: skip
PIECES = {piece: math.log(share) for piece, share in SHARES.items()}


@cache
def tokenizers() -> dict[str, Tokenizer]:
    """Return the tokenizers to choose from, by name."""
    text, short = [corpus.train_text(100_000)], [corpus.train_text(40_000)]
    return {
        "bytes alone": ByteBPE.train(["a"], 256),
        "BPE 1024, GPT-2 pattern": ByteBPE.train(text, 1024),
        "BPE 1024, GPT-4 pattern": ByteBPE.train(text, 1024, pattern=GPT4_PATTERN),
        "BPE 1024, Qwen pattern": ByteBPE.train(text, 1024, pattern=QWEN_PATTERN),
        "BPE 4096, GPT-2 pattern": largest(),
        "WordPiece 1024": WordPiece.train(text, 1024),
        "Unigram 800": Unigram.train(short, 800),
    }


def _byte_level() -> list[str]:
    return [name for name, each in tokenizers().items() if isinstance(each, ByteBPE)]


@cache
def largest() -> ByteBPE:
    """Return the largest tokenizer; the smaller ones are its first merges."""
    return ByteBPE.train([corpus.train_text()], SIZES[-1])


@cache
def lengths() -> dict[str, list[Length]]:
    """Return the length of some texts in tokens, for each vocabulary size."""
    texts = {
        "documentation": corpus.held_out_text(),
        "code": corpus.held_out_text(30_000, "sources"),
        **{name: corpus.SAMPLES[name] for name in ("German", "Chinese", "Hindi", "emoji")},
    }
    small = [truncate(largest(), size) for size in SIZES]
    return {name: [length(each.encode, text) for each in small] for name, text in texts.items()}


def two_tokenizers(
    text: str = TYPED,
    left: str = "BPE 1024, GPT-2 pattern",
    right: str = "BPE 1024, Qwen pattern",
    byte_level_only: bool = False,
) -> Explorer:
    """Type a text and compare the tokens of two tokenizers."""

    def figure(text: str, left: str, right: str) -> Figure:
        named = tokenizers()
        return figures.two_tokenizers(text, (left, named[left]), (right, named[right]))

    names = _byte_level() if byte_level_only else list(tokenizers())
    controls = {
        "text": text_field("your text", text),
        "left": choice("left", left, names),
        "right": choice("right", right, names),
    }
    return Explorer(
        figure, controls, "One text, two tokenizers: token, id, and merge rank or log p."
    )


def merge_tree(
    word: str = " tokenization", step: int = MOST_BYTES, tokenizer: ByteBPE | None = None
) -> Explorer:
    """Type a word and watch its merges, the lowest rank first."""

    def figure(word: str, step: int) -> Figure:
        return figures.merge_tree(tokenizer or largest(), word, step)

    controls = {
        "word": text_field("your word", word),
        "step": step_slider("merges done", step, 0, MOST_BYTES),
    }
    return Explorer(
        figure, controls, "A word in bytes, and the merges that join them, in order of rank."
    )


def viterbi_lattice(
    text: str = "hugging", end: int = LONGEST, pieces: Mapping[str, float] = PIECES
) -> Explorer:
    """Move along a word and see the best path to each position."""

    def figure(text: str, end: int) -> Figure:
        return figures.viterbi_lattice(text, pieces, end)

    controls = {
        "text": text_field("your word", text),
        "end": step_slider("position", end, 1, LONGEST),
    }
    return Explorer(
        figure, controls, "Each arc is a piece with its log p; the thick path is the best."
    )


def compression(text: str = "documentation", size: int = 1024) -> Explorer:
    """Choose a text and a vocabulary size, and see how much the last doubling saved."""

    def figure(text: str, size: int) -> Figure:
        return figures.compression(SIZES, lengths(), text, size)

    controls = {
        "text": choice("text", text, tuple(lengths())),
        "size": choice("vocabulary size", size, SIZES),
    }
    return Explorer(figure, controls, "Bytes of text per token against vocabulary size.")


def fertility(tokenizer: str = "BPE 4096, GPT-2 pattern") -> Explorer:
    """Choose a tokenizer and see what the same sentence costs in several languages."""

    def figure(tokenizer: str) -> Figure:
        encode = tokenizers()[tokenizer].encode
        measured = {name: length(encode, text) for name, text in corpus.SAMPLES.items()}
        return figures.fertility(measured, SAME_SENTENCE, "English")

    controls = {"tokenizer": choice("tokenizer", tokenizer, _byte_level())}
    return Explorer(figure, controls, "One sentence in several languages, counted in tokens.")
