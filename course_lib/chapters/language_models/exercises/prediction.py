"""Exercises on what a model is charged: cross-entropy, perplexity, bits per byte."""

import math

import torch
import torch.nn.functional as F

from course_lib import information
from course_lib.chapters.language_models.exercises.generators import (
    perplexity_and_sizes,
    two_distributions,
)
from course_lib.chapters.language_models.exercises.information import double, three_rows
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _surprise_by_loops(p, q, base=2.0):
    rows = [each.reshape(-1, p.shape[-1]).tolist() for each in (p, q)]
    found = [
        sum(
            -a * (math.log(b, base) if b > 0 else -math.inf)
            for a, b in zip(*pair, strict=True)
            if a
        )
        for pair in zip(*rows, strict=True)
    ]
    return p.new_tensor(found).reshape(p.shape[:-1])


def _as_hinted(p, q, base=2.0):
    return -torch.xlogy(p, q).sum(-1) / math.log(base)


CROSS_ENTROPY = Exercise(
    id="language_models.cross_entropy",
    title="The surprise of a model",
    minutes=5,
    difficulty=2,
    statement=(
        "Outcomes are sampled from p and predicted by q. Return the average surprise −Σ p log q "
        "over the last axis, with logarithms to `base`. Where p is 0 nothing is added."
    ),
    solution=information.cross_entropy,
    reference=_surprise_by_loops,
    generator=two_distributions,
    probes=(
        Probe(
            "a biased coin, predicted to be fair",
            lambda: call(double([0.75, 0.25]), double([0.5, 0.5])),
            "A model that predicts a fair coin pays 1 bit for each toss of any coin.",
        ),
        Probe(
            "three outcomes",
            lambda: call(double([0.5, 0.3, 0.2]), double([0.2, 0.2, 0.6])),
            "p gives the weights, the model gives the surprises.",
        ),
        Probe(
            "in nats",
            lambda: call(double([0.5, 0.3, 0.2]), double([0.3, 0.6, 0.1]), base=math.e),
            "`base` sets the unit.",
        ),
        Probe(
            "a batch of rows",
            lambda: call(three_rows(), three_rows().flip(0)),
            "Each pair of rows has its own cross-entropy.",
        ),
        Probe(
            "impossible under both",
            lambda: call(double([0.5, 0.5, 0.0]), double([0.25, 0.75, 0.0])),
            "0 · log 0 is nan in floating point; here it must be 0.",
        ),
        Probe(
            "the model rules out what happens",
            lambda: call(double([0.5, 0.5]), double([1.0, 0.0])),
            "An impossible outcome that happens is an infinite surprise.",
        ),
        Probe(
            "ruled out, in nats",
            lambda: call(double([0.25, 0.75]), double([0.0, 1.0]), base=math.e),
            "Infinite in any unit: the largest float is not infinite.",
        ),
        Probe(
            "almost certain",
            lambda: call(double([1 - 1e-6, 1e-6]), double([1 - 1e-12, 1e-12])),
            "One in a million is rare, but not 0: it counts.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the arguments swapped",
            lambda p, q, base=2.0: _surprise_by_loops(q, p, base),
            "You weight by the model's q and take the surprise of p. Outcomes occur with the "
            "probabilities p, and their surprise is −log q: −Σ p log q.",
        ),
        Misconception(
            "the entropy of p",
            lambda p, q, base=2.0: _surprise_by_loops(p, p, base),
            "q is not used. This is the loss of a perfect model.",
        ),
        Misconception(
            "the entropy of q",
            lambda p, q, base=2.0: _surprise_by_loops(q, q, base),
            "p is not used. This is the surprise that the model expects, not the one it gets.",
        ),
        Misconception(
            "the divergence",
            lambda p, q, base=2.0: _surprise_by_loops(p, q, base) - _surprise_by_loops(p, p, base),
            "You subtracted the entropy of p: that is KL(p, q), the next exercise. The loss of a "
            "model contains the entropy.",
        ),
        Misconception(
            "nan where both are 0",
            lambda p, q, base=2.0: -(p * q.log()).sum(-1) / math.log(base),
            "0 · log 0 is nan in floating point. torch.xlogy(p, q) gives 0 there.",
        ),
        Misconception(
            "a huge number for infinity",
            lambda p, q, base=2.0: -torch.nan_to_num(p * q.log()).sum(-1) / math.log(base),
            "nan_to_num turns nan into 0, and −∞ into the lowest float as well. An outcome that "
            "happens although the model rules it out costs infinitely many bits: use "
            "torch.xlogy(p, q).",
        ),
        Misconception(
            "probabilities taken for scores",
            lambda p, q, base=2.0: -(p * q.log_softmax(-1)).sum(-1) / math.log(base),
            "F.cross_entropy and log_softmax expect scores and normalise them; q is a "
            "distribution already. Take its logarithm directly.",
        ),
        Misconception(
            "probabilities taken for scores, and rows averaged",
            lambda p, q, base=2.0: F.cross_entropy(q, p) / math.log(base),
            "F.cross_entropy expects scores, takes their softmax, and averages over the rows. q is "
            "a distribution already, and each row has a result: −Σ p log q over the last axis.",
        ),
        Misconception(
            "one number for all rows",
            lambda p, q, base=2.0: _surprise_by_loops(p, q, base).sum(),
            "You summed over the rows too. Sum along the last axis only: .sum(-1).",
        ),
        Misconception(
            "always in nats",
            lambda p, q, base=2.0: _surprise_by_loops(p, q, math.e),
            "The natural logarithm gives nats. Divide by log(base), which is log 2 for bits.",
        ),
        Misconception(
            "the sign reversed",
            lambda p, q, base=2.0: -_surprise_by_loops(p, q, base),
            "A logarithm of a probability is negative; surprise is minus it.",
        ),
        Misconception(
            "always to base 10",
            lambda p, q, base=2.0: _surprise_by_loops(p, q, 10.0),
            "You always take logarithms to base 10. `base` chooses the unit: divide the "
            "natural logarithm by log(base).",
        ),
    ),
    alternatives=(
        Alternative("outcome by outcome", _surprise_by_loops),
        Alternative("in float32", lambda p, q, base=2.0: _as_hinted(p.float(), q.float(), base)),
        Alternative("as in the hints", _as_hinted),
        Alternative(
            "zeros left out",
            lambda p, q, base=2.0: -torch.where(p > 0, p * q.log(), 0.0).sum(-1) / math.log(base),
        ),
    ),
    hints=(
        "It is entropy with a different distribution inside the logarithm.",
        "torch.xlogy(p, q) is p · log q with 0 where p is 0; sum it and change the sign.",
        "Divide by math.log(base).",
    ),
)


BITS_PER_BYTE = Exercise(
    id="language_models.bits_per_byte",
    title="From perplexity to bits per byte",
    minutes=5,
    difficulty=2,
    statement=(
        "A model reports its `perplexity` per token on a text of `tokens` tokens that has "
        "`byte_count` bytes. Return the bits that it spends on one byte. "
        "A perplexity is at least 1, and so are both counts."
    ),
    solution=information.bits_per_byte_from_perplexity,
    reference=lambda perplexity, tokens, byte_count: math.log2(perplexity) * tokens / byte_count,
    generator=perplexity_and_sizes,
    probes=(
        Probe(
            "uniform over bytes",
            lambda: call(256.0, 10, 10),
            "As puzzled as by 256 equally likely bytes: 8 bits each.",
        ),
        Probe(
            "tokens of four bytes",
            lambda: call(16.0, 100, 400),
            "4 bits for a token of 4 bytes are 1 bit per byte.",
        ),
        Probe("always certain", lambda: call(1.0, 7, 20), "A perplexity of 1 costs nothing."),
        Probe(
            "tokens of a language model",
            lambda: call(20.5, 1000, 4300),
            "The same text has fewer tokens than bytes.",
        ),
        Probe(
            "more tokens than bytes",
            lambda: call(1.7, 300, 100),
            "If somebody predicts bit by bit, a byte has several predictions.",
        ),
    ),
    misconceptions=(
        Misconception(
            "in nats",
            lambda perplexity, tokens, byte_count: math.log(perplexity) * tokens / byte_count,
            "The natural logarithm gives nats per byte. Bits need log2.",
        ),
        Misconception(
            "tokens and bytes exchanged",
            lambda perplexity, tokens, byte_count: math.log2(perplexity) * byte_count / tokens,
            "The text costs bits-per-token times tokens. Divide that by bytes.",
        ),
        Misconception(
            "per token",
            lambda perplexity, tokens, byte_count: math.log2(perplexity),
            "These are bits per token. A tokenizer with longer tokens has more of them, for the "
            "same text: multiply by tokens / bytes.",
        ),
        Misconception(
            "without the logarithm",
            lambda perplexity, tokens, byte_count: perplexity * tokens / byte_count,
            "Perplexity is a number of choices; bits are its logarithm.",
        ),
        Misconception(
            "the logarithm taken last",
            lambda perplexity, tokens, byte_count: math.log2(perplexity * tokens / byte_count),
            "Surprises add up over tokens, perplexities do not. Take log2 of the perplexity "
            "first, then multiply by tokens and divide by bytes.",
        ),
        Misconception(
            "a logarithm to base 10",
            lambda perplexity, tokens, byte_count: math.log10(perplexity) * tokens / byte_count,
            "Bits are logarithms to base 2: math.log2.",
        ),
    ),
    alternatives=(
        Alternative(
            "the whole text first",
            lambda perplexity, tokens, byte_count: (
                sum([math.log2(perplexity)] * tokens) / byte_count
            ),
        ),
        Alternative(
            "by torch, in float32",
            lambda perplexity, tokens, byte_count: (
                torch.tensor(float(perplexity)).log2().item() / (byte_count / tokens)
            ),
        ),
        Alternative(
            "through nats",
            lambda perplexity, tokens, byte_count: (
                math.log(perplexity) / math.log(2) * tokens / byte_count
            ),
        ),
    ),
    hints=(
        "Perplexity is 2 to the power of bits per token. Invert that.",
        "How many bits does the whole text cost? How many does a byte?",
        "math.log2(perplexity) * tokens / byte_count.",
    ),
)
