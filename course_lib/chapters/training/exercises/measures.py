"""Exercises on what a model has learned: bits per byte over many texts, and scaling laws."""

import math
import statistics

import numpy as np
import torch

from course_lib.chapters.training.exercises.generators import pooled_inputs, power_law_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.training import evaluation, scaling


def _bytes(text):
    return len(text.encode())


def _by_tokens(rows, texts):
    bits = [-p / math.log(2) for row in rows for p in row.tolist()]
    return math.fsum(bits) / sum(_bytes(text) for text in texts)


def _bits(row):
    return -row.sum().item() / math.log(2)


def _per(unit):
    """Return all bits divided by a different number of units."""
    return lambda rows, texts: sum(map(_bits, rows)) / unit(rows, texts)


def _mean_of_texts(rows, texts):
    rates = [_bits(row) / _bytes(text) for row, text in zip(rows, texts, strict=True)]
    return sum(rates) / len(rates)


def _all_bytes(rows, texts):
    return sum(map(_bytes, texts))


def _weighted_by(unit):
    """Return a weighted mean of the texts' own bits per byte."""

    def mean(rows, texts):
        rates = [_bits(row) / _bytes(text) for row, text in zip(rows, texts, strict=True)]
        weights = list(map(unit, texts))
        return sum(r * w for r, w in zip(rates, weights, strict=True)) / sum(weights)

    return mean


_weighted_by_characters, _weighted_by_bytes = _weighted_by(len), _weighted_by(_bytes)


def _as_hinted(log_probabilities, texts):
    nats = -sum(row.sum() for row in log_probabilities)
    return (nats / math.log(2) / sum(len(text.encode()) for text in texts)).item()


def _in_one_tensor(log_probabilities, texts):
    return -torch.cat(log_probabilities).sum() / math.log(2) / len("".join(texts).encode())


def _scored(*texts_and_tokens):
    """Return log-probabilities for the given number of tokens of each text, and the texts."""
    texts = [text for text, _ in texts_and_tokens]
    rows = [-(1.0 + 0.5 * torch.arange(n) + 2.0 * i) for i, (_, n) in enumerate(texts_and_tokens)]
    return call(rows, texts)


BITS_PER_BYTE = Exercise(
    id="training.bits_per_byte",
    title="Bits per byte of many texts",
    minutes=6,
    difficulty=2,
    statement=(
        "`log_probabilities` is a list with one tensor per text: the natural log-probabilities of "
        "its tokens. Return how many bits the model needs per byte (UTF-8) of all `texts` "
        "together, as a plain number."
    ),
    solution=evaluation.pooled_bits_per_byte,
    reference=_by_tokens,
    generator=pooled_inputs,
    probes=(
        Probe(
            "one text",
            lambda: _scored(("hello world", 3)),
            "Minus the sum of the log-probabilities, in bits, divided by eleven bytes.",
        ),
        Probe(
            "beyond ASCII",
            lambda: _scored(("naïve 字", 4)),
            "The text has 7 characters and 10 bytes. Tokenizers split it differently, but its "
            "bytes are always the same.",
        ),
        Probe(
            "a long and a short text",
            lambda: _scored(("a longer text than the other", 6), ("ab", 1)),
            "Add up the bits, add up the bytes, and then divide.",
        ),
        Probe(
            "a combining accent",
            lambda: _scored(("e\u0301\r\n", 2)),
            "Count the bytes of the text as it is: e and its combining accent take three, the "
            "line break takes two.",
        ),
    ),
    misconceptions=(
        Misconception(
            "left in nats",
            lambda rows, texts: _by_tokens(rows, texts) * math.log(2),
            "A natural logarithm is in nats. One bit is ln 2 nats: divide by math.log(2).",
        ),
        Misconception(
            "multiplied by ln 2",
            lambda rows, texts: _by_tokens(rows, texts) * math.log(2) ** 2,
            "A bit is smaller than a nat, so there are more bits than nats: divide by ln 2.",
        ),
        Misconception(
            "per token",
            _per(lambda rows, texts: sum(len(row) for row in rows)),
            "Bits per token depend on the size of the tokens. A model with longer tokens would "
            "look worse for that reason alone. Divide by the bytes of the texts.",
        ),
        Misconception(
            "per character",
            _per(lambda rows, texts: sum(map(len, texts))),
            "len(text) counts characters; ï is one character and two bytes. Use "
            "len(text.encode()).",
        ),
        Misconception(
            "per text",
            _per(lambda rows, texts: len(texts)),
            "This is the mean cost of a text. Divide by the bytes of all texts.",
        ),
        Misconception(
            "the mean of the texts' numbers",
            _mean_of_texts,
            "In a mean of ratios a text of two bytes weighs as much as a book. Divide the sum of "
            "the bits by the sum of the bytes.",
        ),
        Misconception(
            "the wrong sign",
            lambda rows, texts: -_by_tokens(rows, texts),
            "Log-probabilities are negative; the number of bits is positive.",
        ),
        Misconception(
            "weighted by characters",
            _weighted_by_characters,
            "The value of each text is per byte, so its weight is its number of bytes, not of "
            "characters. Simpler: divide the sum of all bits by the sum of all bytes.",
        ),
        Misconception(
            "the mean over the tokens",
            lambda rows, texts: _by_tokens([row.mean(0, True) for row in rows], texts),
            "A mean over tokens loses their number. Add up the log-probabilities of each text.",
        ),
        Misconception(
            "to base 10",
            lambda rows, texts: _by_tokens(rows, texts) * math.log10(2),
            "Bits are logarithms to base 2. To convert natural logarithms, divide by "
            "math.log(2), not by math.log(10).",
        ),
        Misconception(
            "bytes of UTF-16",
            _per(lambda rows, texts: sum(len(text.encode("utf-16")) for text in texts)),
            "UTF-16 spends at least two bytes on each character, and two more on the byte order "
            "mark. Count the bytes of UTF-8.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("all rows in one tensor", _in_one_tensor),
        Alternative("a mean weighted by bytes", _weighted_by_bytes),
    ),
    hints=(
        "All nats: -sum(row.sum() for row in log_probabilities). Divide by math.log(2) for bits.",
        "All bytes: sum(len(text.encode()) for text in texts). Return a float (.item()).",
    ),
)


def _by_polyfit(sizes, losses):
    slope, height = np.polyfit(np.log(sizes), np.log(losses), 1)
    return math.exp(height), -float(slope)


def _fitted(x=np.log, y=np.log, factor=math.exp, exponent=lambda slope: -slope):
    """Return a fit in which one part is replaced."""

    def fit(sizes, losses):
        slope, height = np.polyfit(x(sizes), y(losses), 1)
        return factor(height), float(exponent(slope))

    return fit


def _ends(sizes, losses):
    exponent = -math.log(losses[-1] / losses[0]) / math.log(sizes[-1] / sizes[0])
    return losses[0] * sizes[0] ** exponent, exponent


def _other_way(sizes, losses):
    slope, height = np.polyfit(np.log(losses), np.log(sizes), 1)
    return math.exp(-height / slope), -1 / float(slope)


def _through_the_origin(sizes, losses):
    x, y = np.log(sizes), np.log(losses)
    return 1.0, -float(x @ y / (x @ x))


def _by_sums(sizes, losses):
    x, y = (torch.tensor(each, dtype=torch.float32).log() for each in (sizes, losses))
    across = ((x - x.mean()) * (y - y.mean())).sum()
    slope = across / ((x - x.mean()) ** 2).sum()
    return (y.mean() - slope * x.mean()).exp(), -slope


def _by_lstsq(sizes, losses):
    x, y = np.log(sizes), np.log(losses)
    height, slope = np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0]
    return np.exp(height), -slope


def _by_statistics(sizes, losses):
    line = statistics.linear_regression(*(list(map(math.log, each)) for each in (sizes, losses)))
    return math.exp(line.intercept), -line.slope


POWER_LAW = Exercise(
    id="training.power_law",
    title="Fit a power law",
    minutes=7,
    difficulty=2,
    statement=(
        "Return (factor, exponent) of the law loss = factor · size^(−exponent), fitted as the "
        "least-squares line through log(size) and log(loss). `sizes` and `losses` are lists of "
        "positive numbers, in any order."
    ),
    solution=scaling.fit_power_law,
    reference=_by_polyfit,
    generator=power_law_inputs,
    tolerance=8.0,  # sums in float32, of sizes that are far from 1, are right too
    probes=(
        Probe(
            "a perfect law",
            lambda: call([1.0, 10.0, 100.0], [8.0, 4.0, 2.0]),
            "Ten times the size halves the loss: 8 · size^(−0.301).",
        ),
        Probe(
            "two runs",
            lambda: call([1000.0, 8000.0], [4.0, 2.0]),
            "Eight times the size halves the loss: the exponent is a third.",
        ),
        Probe(
            "noisy runs",
            lambda: call([1e4, 3e4, 1e5, 1e6], [3.2, 2.9, 2.2, 1.8]),
            "All runs count, not only the first and the last.",
        ),
        Probe(
            "losses that rise with the size",
            lambda: call([10.0, 1000.0, 100.0], [2.0, 8.0, 4.0]),
            "The loss doubles each time, so the exponent is −0.301. Do not drop its sign.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the slope itself",
            _fitted(exponent=lambda slope: slope),
            "The slope is negative, since the loss falls. The law already has a minus sign, so the "
            "exponent is minus the slope.",
        ),
        Misconception(
            "the logarithm of the factor",
            _fitted(factor=lambda height: height),
            "The intercept of the line is log(factor). Return its exp.",
        ),
        Misconception(
            "the pair exchanged",
            lambda sizes, losses: _by_polyfit(sizes, losses)[::-1],
            "Both numbers are correct, but the factor comes first, then the exponent.",
        ),
        Misconception(
            "logarithms of two bases",
            _fitted(x=np.log10, y=np.log10),
            "A line through logarithms to base 10 has the intercept log10(factor): the factor is "
            "10 to that power, not exp of it.",
        ),
        Misconception(
            "only the loss as a logarithm",
            _fitted(x=np.asarray),
            "That is an exponential law, a straight line over the size itself. A power is straight "
            "where both axes are logarithmic.",
        ),
        Misconception(
            "only the ends",
            _ends,
            "Your line passes through the first and the last run only. The others count too.",
        ),
        Misconception(
            "a line through the origin",
            _through_the_origin,
            "Your line has no intercept, which fixes the factor at 1. Subtract the means of both "
            "logarithms before you compute the slope; the intercept is ȳ − slope · x̄.",
        ),
        Misconception(
            "the exponent never negative",
            _fitted(exponent=abs),
            "You take the absolute value of the slope. It is right while the loss falls. Where "
            "the loss rises with the size, the exponent is negative: return minus the slope.",
        ),
        Misconception(
            "size fitted to loss",
            _other_way,
            "You fitted log(size) as a function of log(loss). Minimize the squared errors of "
            "log(loss).",
        ),
    ),
    alternatives=(
        Alternative("as the hints say, in float32", _by_sums),
        Alternative("by least squares", _by_lstsq),
        Alternative("by the statistics module", _by_statistics),
    ),
    hints=(
        "log(loss) = log(factor) − exponent · log(size): a straight line.",
        "Slope of the least-squares line: Σ (x − x̄)(y − ȳ) / Σ (x − x̄)², with x and y the "
        "logarithms.",
        "exponent = −slope; factor = exp(ȳ − slope · x̄).",
    ),
)
