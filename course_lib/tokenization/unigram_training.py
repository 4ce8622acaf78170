"""Training Unigram: start with too many pieces, keep those that the corpus would miss most.

Expectation maximization takes turns. With the present probabilities, count how often each piece is
used, averaged over all segmentations of each word (expectation); then let the probabilities be
these counts, normalized (maximization). The likelihood of the corpus never falls. In between,
pieces whose loss would cost little likelihood are taken away, a quarter at a time.

    E[uses of text[begin:end]] = exp(alpha[begin] + log p(piece) + beta[end] - alpha[last])

Taught in:        tokenization
Paper:            Kudo 2018, arXiv:1804.10959, section 3.2
Checked against:  sums over all segmentations of short words
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping

from course_lib.tokenization.segmentation import LONGEST, backward, forward, lattice, viterbi


def expected_counts(
    words: Mapping[str, int], log_probs: Mapping[str, float]
) -> tuple[dict[str, float], float]:
    """Return how often each piece is used on average over all segmentations, and log p(words)."""
    counts: dict[str, float] = defaultdict(float)
    total = 0.0
    for word, count in words.items():
        arcs = lattice(word, log_probs, LONGEST)
        alpha, beta = forward(arcs), backward(arcs)
        total += count * alpha[-1]
        for end, incoming in enumerate(arcs):
            for begin, score in incoming:
                share = math.exp(alpha[begin] + score + beta[end] - alpha[-1])
                counts[word[begin:end]] += count * share
    return counts, total


def seed_pieces(words: Mapping[str, int], size: int) -> dict[str, float]:
    """Return log probabilities for all characters and the `size` best substrings to start from."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for begin in range(len(word)):
            for end in range(begin + 1, min(begin + LONGEST, len(word)) + 1):
                counts[word[begin:end]] += count
    longer = [piece for piece, count in counts.items() if len(piece) > 1 and count > 1]
    longer.sort(key=lambda piece: (-counts[piece] * len(piece), piece))
    kept = longer[:size] + [piece for piece in counts if len(piece) == 1]
    return normalize_counts({piece: float(counts[piece]) for piece in kept})


def normalize_counts(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the log probability of each piece."""
    log_total = math.log(sum(counts.values()))
    return {piece: math.log(count) - log_total for piece, count in counts.items()}


def reestimate(counts: Mapping[str, float], log_probs: Mapping[str, float]) -> dict[str, float]:
    """Return the log probabilities that fit the expected counts best.

    Pieces that are used less than half a time are dropped; single characters stay, so that every
    word of the corpus can be spelled.
    """
    used = {piece: max(counts.get(piece, 0.0), 0.5) for piece in log_probs if len(piece) == 1}
    used |= {piece: counts[piece] for piece in log_probs if counts.get(piece, 0.0) >= 0.5}
    return normalize_counts(used)


def prune(
    counts: Mapping[str, float], log_probs: Mapping[str, float], size: int
) -> dict[str, float]:
    """Return the `size` pieces, all characters among them, that the corpus would miss most.

    Without a piece, each use of it would be spelled by the next best pieces. The loss is the number
    of uses times what the log probability falls.
    """
    others = dict(log_probs)
    loss: dict[str, float] = {}
    for piece in [piece for piece in log_probs if len(piece) > 1]:
        own = others.pop(piece)
        loss[piece] = counts.get(piece, 0.0) * (
            own - sum(others[p] for p in viterbi(piece, others, LONGEST))
        )
        others[piece] = own
    room = max(size - (len(log_probs) - len(loss)), 0)
    kept = set(sorted(loss, key=lambda piece: (-loss[piece], piece))[:room])
    return {piece: score for piece, score in log_probs.items() if len(piece) == 1 or piece in kept}


def train_pieces(words: Mapping[str, int], size: int, shrink: float = 0.75) -> dict[str, float]:
    """Return at most `size` pieces with their log probabilities."""
    characters = {character for word in words for character in word}
    if size < len(characters):
        raise ValueError(
            f"the vocabulary must hold every character of the corpus, here {len(characters)}; "
            f"got room for {size}. Pass a larger vocab_size."
        )
    log_probs = seed_pieces(words, 4 * size)
    while True:
        for _ in range(2):
            counts, _ = expected_counts(words, log_probs)
            log_probs = reestimate(counts, log_probs)
        if len(log_probs) <= size:
            return log_probs
        log_probs = prune(counts, log_probs, max(size, int(shrink * len(log_probs))))
