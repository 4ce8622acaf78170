"""The scoreboard of the course: how many bits each model needs for a byte of the same text.

Bits per byte compare models whatever their tokens are, and compare them with any compressor. The
text is the beginning of the held-out documentation of the running Python. Another version of Python
has slightly other text, so no row is stored: the first rows are measured when they are asked for,
in a few seconds, and each later notebook adds the rows of its own models.

    rows = (*scoreboard.first_rows(), scoreboard.model_row("my model", nats))
    print(scoreboard.table(rows))

A compressor may have read the training text too. Its row "after training" is what the held-out text
adds to the compressed size of the training text: as near to a trained model as it can come.

Taught in:        language_models, and every notebook that adds a row
Checked against:  sizes of compressed texts, log-probabilities summed by hand
Shapes:           T tokens, as many as the tokenizer makes of the text
"""

import bz2
import functools
import lzma
import zlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from course_lib.corpus import held_out_text, train_text
from course_lib.information import bits_per_byte, decode, encode
from course_lib.model import DecoderLM
from course_lib.ngrams import AddK, KneserNey, NextToken, log_probabilities, uniform
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.tokenization.byte_bpe import ByteBPE
from course_lib.training.evaluation import token_log_probabilities
from course_lib.training.recipes import SEPARATOR

CHARACTERS = 20_000
"""How much held-out text every contestant is measured on."""

BYTES = 256

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9),
}


class Kind(StrEnum):
    """Where a number of bits comes from."""

    MODEL = "model"  # the model's own surprise
    CODED = "coded"  # bytes that were really written, by an arithmetic coder and that model
    COMPRESSOR = "compressor"


class ScoreboardRow(NamedTuple):
    """One contestant and the bits that it needs for one byte of the text."""

    contestant: str
    bits: float
    kind: Kind


@functools.cache
def text() -> str:
    """Return the text on which everybody is measured."""
    return held_out_text(CHARACTERS)


def model_row(contestant: str, log_probabilities: Float[Tensor, " T"]) -> ScoreboardRow:
    """Return the row of a model, from the log-probability in nats of each token of the text.

    Every token must be scored, including the first, or the model skips part of the text.
    """
    nats_per_token = -log_probabilities.mean().item()
    size = len(text().encode())
    return ScoreboardRow(
        contestant, bits_per_byte(nats_per_token, len(log_probabilities), size), Kind.MODEL
    )


def token_scores(model: DecoderLM, tokenizer: ByteBPE) -> Float[Tensor, " T"]:
    """Return the log-probability in nats of each token of the text, read in the model's windows."""
    ids, separator = tokenizer.encode_ordinary(text()), tokenizer.special_tokens[SEPARATOR]
    return token_log_probabilities(model, ids, separator)


def trained_row(contestant: str, model: DecoderLM, tokenizer: ByteBPE) -> ScoreboardRow:
    """Return the row of a trained model."""
    return model_row(contestant, token_scores(model, tokenizer))


def course_model_row() -> ScoreboardRow:
    """Return the row of the course's own model."""
    return trained_row("the course model", course_model(), course_tokenizer())


def counting_models() -> dict[str, NextToken]:
    """Return the models that predict by counts of bytes, counted on the training text."""
    train = train_text().encode()
    return {
        "uniform": uniform(BYTES),
        "unigram": AddK(train, 1, BYTES, 0.01),
        "bigram": AddK(train, 2, BYTES, 0.01),
        "Kneser-Ney trigram": KneserNey(train, 3, BYTES),
        "Kneser-Ney 5-gram": KneserNey(train, 5, BYTES),
    }


@functools.cache
def first_rows() -> tuple[ScoreboardRow, ...]:
    """Return the rows with which the scoreboard begins: models by counting, and compressors."""
    data = text().encode()
    models = counting_models()
    rows = [model_row(name, log_probabilities(model, data)) for name, model in models.items()]
    rows.append(coded_row("Kneser-Ney trigram", models["Kneser-Ney trigram"]))
    for name in COMPRESSORS:
        rows += compressor_rows(name)
    return tuple(rows)


def coded_row(contestant: str, model: NextToken) -> ScoreboardRow:
    """Return the row of the bytes that an arithmetic coder writes when a model of bytes drives it.

    The bytes are decoded again: what cannot be read back would not count.
    """
    data = text().encode()
    written = encode(data, model)
    if bytes(decode(written, model, len(data))) != data:
        raise RuntimeError(f"the text that was encoded with {contestant} did not come back")
    return ScoreboardRow(f"{contestant}, really coded", 8 * len(written) / len(data), Kind.CODED)


def compressor_rows(name: str) -> tuple[ScoreboardRow, ScoreboardRow]:
    """Return what a general compressor needs, by itself and after it has read the training text."""
    compress, data, train = COMPRESSORS[name], text().encode(), train_text().encode()
    alone = len(compress(data))
    after = len(compress(train + data)) - len(compress(train))
    return (
        ScoreboardRow(f"{name}, alone", 8 * alone / len(data), Kind.COMPRESSOR),
        ScoreboardRow(f"{name}, after training", 8 * after / len(data), Kind.COMPRESSOR),
    )


def ranked(rows: Iterable[ScoreboardRow]) -> list[ScoreboardRow]:
    """Return the rows from the most bits to the fewest."""
    return sorted(rows, key=lambda row: -row.bits)


def table(rows: Iterable[ScoreboardRow]) -> str:
    """Return the rows as text, the best last."""
    ordered = ranked(rows)
    width = max(len(row.contestant) for row in ordered)
    lines = [f"{'contestant':{width}}  bits per byte  share of the size"]
    lines += [
        f"{row.contestant:{width}}  {row.bits:13.2f}  {row.bits / 8:17.0%}" for row in ordered
    ]
    return "\n".join(lines)
