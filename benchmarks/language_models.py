"""Language models by counting, measured: bits per byte beside general-purpose compressors.

    python -m benchmarks.language_models            reads back all that was coded
    python -m benchmarks.language_models --claims   reads back its first eighth

Everything is measured on held-out documentation, text that nobody was trained on. "model bits per
byte" is what the model says its surprise is; "coded bytes" is what the arithmetic coder really
wrote, after reading it back and comparing. The compressors learn too, from what they have read in
the same stream: their size "with the training text" is that of training and held-out text together,
less that of the training text alone. "alone" is the held-out text by itself. Times are processor
time, which a busy machine disturbs less than the clock.
"""

import bz2
import lzma
import math
import zlib
from collections.abc import Callable

from benchmarks.record import claims_alone, progress, record
from benchmarks.timing import timed
from course_lib.corpus import held_out_text, train_text
from course_lib.information import bits_per_byte, decode, encode
from course_lib.ngrams import AddK, KneserNey, NextToken, log_probabilities, uniform

BYTES = 256

MODELS: dict[str, Callable[[bytes], NextToken]] = {
    "uniform": lambda train: uniform(BYTES),
    "unigram, add 0.01": lambda train: AddK(train, 1, BYTES, 0.01),
    "bigram, add 0.01": lambda train: AddK(train, 2, BYTES, 0.01),
    "trigram, add 0.01": lambda train: AddK(train, 3, BYTES, 0.01),
    **{
        f"Kneser-Ney of order {order}": lambda train, order=order: KneserNey(train, order, BYTES)
        for order in (2, 3, 4, 5, 6, 8)
    },
}

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": lambda data: bz2.compress(data, 9),
    "lzma": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


def model_row(name: str, train: bytes, test: bytes) -> dict:
    """Return what one model needs for the held-out text, by its own word and as written."""
    progress(name)
    model, training = timed(lambda: MODELS[name](train))
    nats, scoring = timed(lambda: -log_probabilities(model, test).sum().item())
    data, coding = timed(lambda: encode(test, model))
    back = len(test) // 8 if claims_alone() else len(test)
    if bytes(decode(data, model, back)) != test[:back]:
        raise RuntimeError(f"{name}: decoding did not give back the text")
    return {
        "contestant": name,
        "model bits per byte": round(bits_per_byte(nats / len(test), len(test), len(test)), 4),
        "bits per byte": round(8 * len(data) / len(test), 4),
        "coded bytes": len(data),
        "bytes over the ideal": round(len(data) - nats / math.log(2) / 8, 1),
        "CPU seconds to train": round(training, 2),
        "CPU µs per byte to score": round(1e6 * scoring / len(test), 1),
        "CPU µs per byte to encode": round(1e6 * coding / len(test), 1),
    }


def compressor_rows(name: str, train: bytes, test: bytes) -> list[dict]:
    """Return what one compressor needs for the held-out text, alone and after the training text."""
    compress = COMPRESSORS[name]
    sizes = {
        "alone": len(compress(test)),
        "with the training text": len(compress(train + test)) - len(compress(train)),
    }
    return [
        {
            "contestant": f"{name}, {way}",
            "bits per byte": round(8 * size / len(test), 4),
            "coded bytes": size,
        }
        for way, size in sizes.items()
    ]


def main() -> None:
    train, test = train_text().encode(), held_out_text().encode()
    rows: list[dict] = [
        {"contestant": "the text itself", "train bytes": len(train), "coded bytes": len(test)}
    ]
    rows += [model_row(name, train, test) for name in MODELS]
    progress("compressors")
    rows += [row for name in COMPRESSORS for row in compressor_rows(name, train, test)]
    record("language_models", rows)


if __name__ == "__main__":
    main()
