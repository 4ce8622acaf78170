"""All ways to cut a word into pieces, as a lattice: the best, the sum, a random one.

A word of n letters has 2 ** (n - 1) segmentations, but they share their parts. Positions between
the letters are the nodes of a lattice and pieces are its arcs. One pass from left to right finds
the best path (Viterbi); the same pass with sums instead of maxima finds the probability of all
paths together.

    best[end]  = max over arcs (begin → end) of    best[begin] + log p(piece)
    alpha[end] = log sum over arcs of  exp(        alpha[begin] + log p(piece))

Taught in:        tokenization
Paper:            Kudo 2018, arXiv:1804.10959
Checked against:  every segmentation of short words, written out; `tokenizers` (Unigram)
"""

import math
import random
from collections.abc import Iterable, Mapping

LONGEST = 16  # characters in a piece that training makes, as in SentencePiece
UNKNOWN = -50.0  # log probability of a character that no piece covers

Lattice = list[list[tuple[int, float]]]


def lattice(
    text: str,
    log_probs: Mapping[str, float],
    longest: int | None = None,
    unknown: float = UNKNOWN,
) -> Lattice:
    """Return, for each position, the pieces that end there as (where it begins, log p).

    A single character that is no piece is let through as unknown. `longest` is the length of the
    longest piece; to look for it in a large vocabulary takes time at each call.
    """
    if longest is None:
        longest = max(map(len, log_probs), default=1)
    arcs: Lattice = [[]]
    find = log_probs.get
    for end in range(1, len(text) + 1):
        begins = range(max(0, end - longest), end)
        arcs.append([(b, score) for b in begins if (score := find(text[b:end])) is not None])
        if text[end - 1] not in log_probs:
            arcs[-1].append((end - 1, unknown))
    return arcs


def viterbi(
    text: str,
    log_probs: Mapping[str, float],
    longest: int | None = None,
    unknown: float = UNKNOWN,
) -> list[str]:
    """Return the most probable segmentation; between equals, the longer last piece."""
    best, begins = [0.0], [0]
    for arcs in lattice(text, log_probs, longest, unknown)[1:]:
        paths = [best[begin] + score for begin, score in arcs]
        best.append(max(paths))
        begins.append(arcs[paths.index(best[-1])][0])
    pieces: list[str] = []
    end = len(text)
    while end:
        pieces.append(text[begins[end] : end])
        end = begins[end]
    return pieces[::-1]


def log_sum(values: Iterable[float]) -> float:
    """Return log(exp(a) + exp(b) + …) without overflow."""
    values = list(values)
    largest = max(values)
    if len(values) == 1:
        return largest
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def forward(arcs: Lattice) -> list[float]:
    """Return for each position the log probability of all ways from the start to it."""
    alpha = [0.0]
    for incoming in arcs[1:]:
        alpha.append(log_sum(alpha[begin] + score for begin, score in incoming))
    return alpha


def backward(arcs: Lattice) -> list[float]:
    """Return for each position the log probability of all ways from it to the end."""
    ways: list[list[float]] = [[] for _ in arcs]
    ways[-1] = [0.0]
    beta = [0.0] * len(arcs)
    for end in range(len(arcs) - 1, -1, -1):
        beta[end] = log_sum(ways[end])
        for begin, score in arcs[end]:
            ways[begin].append(score + beta[end])
    return beta


def sample_segmentation(
    text: str,
    log_probs: Mapping[str, float],
    generator: random.Random,
    temperature: float = 1.0,
    longest: int | None = None,
) -> list[str]:
    """Draw a segmentation with probability proportional to p ** (1 / temperature).

    Forward filtering, backward sampling: from the end, choose the last piece by the probability of
    all ways that lead to where it begins, then the piece before it.
    """
    if not temperature > 0:
        raise ValueError(
            f"temperature must be positive; got {temperature}. "
            "Use a small one such as 0.1 to stay near the best segmentation, or call viterbi."
        )
    arcs = [
        [(begin, score / temperature) for begin, score in incoming]
        for incoming in lattice(text, log_probs, longest)
    ]
    alpha = forward(arcs)
    pieces: list[str] = []
    end = len(text)
    while end:
        weights = [math.exp(alpha[begin] + score - alpha[end]) for begin, score in arcs[end]]
        begin = generator.choices([begin for begin, _ in arcs[end]], weights)[0]
        pieces.append(text[begin:end])
        end = begin
    return pieces[::-1]
