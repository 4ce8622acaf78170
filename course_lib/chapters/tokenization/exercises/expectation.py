"""The exercise on expectation: how often each piece is used, over all segmentations."""

import math

import torch

from course_lib.chapters.tokenization.exercises.generators import words_and_pieces
from course_lib.chapters.tokenization.exercises.unigram import logs, segmentations
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import unigram_training

_FEW = logs(a=0.5, b=0.4, ab=0.1)


def _shares_of(text, log_probs):
    """Return each segmentation with its share of the text's probability."""
    ways = segmentations(text, log_probs)
    total = math.fsum(math.exp(score) for _, score in ways)
    return [(pieces, math.exp(score) / total) for pieces, score in ways], total


def _averaged(words, log_probs, share, total=None):
    """Return counts weighted by `share`, and log p of the words unless `total` is given."""
    counts, sum_of_logs = {}, 0.0
    for word, count in words.items():
        ways, mass = _shares_of(word, log_probs)
        sum_of_logs += count * math.log(mass) if total is None else total(count, mass, ways)
        for pieces, part in ways:
            for piece in pieces:
                counts[piece] = counts.get(piece, 0.0) + count * share(part, mass, ways)
    return counts, sum_of_logs


def _over_all_ways(words, log_probs):
    return _averaged(words, log_probs, lambda part, mass, ways: part)


def _best_way_only(words, log_probs):
    return _averaged(
        words,
        log_probs,
        lambda part, mass, ways: float(part == max(each for _, each in ways)),
        lambda count, mass, ways: count * math.log(mass * max(each for _, each in ways)),
    )


def _best_way_full_sum(words, log_probs):
    return _best_way_only(words, log_probs)[0], _over_all_ways(words, log_probs)[1]


def _best_way_sum_only(words, log_probs):
    return _over_all_ways(words, log_probs)[0], _best_way_only(words, log_probs)[1]


def _forwards_and_backwards(words, log_probs):
    """Sum over the ways to each position and from it on, instead of listing them."""
    counts, total = dict.fromkeys(log_probs, 0), 0.0
    for word, count in words.items():
        size = len(word)
        spans = [(b, e) for b in range(size) for e in range(b + 1, size + 1)]
        arcs = [(b, e, math.exp(log_probs[word[b:e]])) for b, e in spans if word[b:e] in log_probs]
        forwards, backwards = [1.0] + [0.0] * size, [0.0] * size + [1.0]
        for begin, end, share in sorted(arcs, key=lambda arc: arc[1]):
            forwards[end] += forwards[begin] * share
        for begin, end, share in sorted(arcs, key=lambda arc: -arc[0]):
            backwards[begin] += share * backwards[end]
        for begin, end, share in arcs:
            used = forwards[begin] * share * backwards[end] / forwards[-1]
            counts[word[begin:end]] += count * used
        total += count * math.log(forwards[-1])
    return counts, total


def _by_the_gradient(words, log_probs):
    """The expected count of a piece is the slope of log p along its logarithm."""
    names = list(log_probs)
    leaves = torch.tensor([log_probs[name] for name in names], requires_grad=True)
    of = dict(zip(names, leaves, strict=True))
    total = torch.zeros(())
    for word, count in words.items():
        to = [torch.zeros(())]
        for end in range(1, len(word) + 1):
            pieces = [(begin, word[begin:end]) for begin in range(end)]
            ways = [to[begin] + of[piece] for begin, piece in pieces if piece in of]
            to.append(torch.stack(ways).logsumexp(0))
        total = total + count * to[-1]
    (slopes,) = torch.autograd.grad(total, leaves)
    return dict(zip(names, slopes.tolist(), strict=True)), total.item()


def _as_hinted(words, log_probs):
    def ways(rest):
        if not rest:
            return [[]]
        ends = [end for end in range(1, len(rest) + 1) if rest[:end] in log_probs]
        return [[rest[:end], *more] for end in ends for more in ways(rest[end:])]

    counts, total = {}, 0.0
    for word, count in words.items():
        scores = [(math.exp(sum(log_probs[p] for p in way)), way) for way in ways(word)]
        mass = sum(score for score, _ in scores)
        total += count * math.log(mass)
        for score, way in scores:
            for piece in way:
                counts[piece] = counts.get(piece, 0) + count * score / mass
    return counts, total


def _unweighted(words, log_probs):
    return _over_all_ways(dict.fromkeys(words, 1), log_probs)


def _once_per_way(words, log_probs):
    counts, total = {}, 0.0
    for word, count in words.items():
        ways, mass = _shares_of(word, log_probs)
        total += count * math.log(mass)
        for pieces, part in ways:
            for piece in set(pieces):
                counts[piece] = counts.get(piece, 0.0) + count * part
    return counts, total


EXPECTED_COUNTS = Exercise(
    id="tokenization.expected_counts",
    title="How often is each piece used?",
    minutes=12,
    difficulty=3,
    statement=(
        "`words` is a dict from a word to its count, `log_probs` one from a piece to the logarithm "
        "of its probability. Return a pair: a dict from each piece to how often it is used, "
        "averaged over all segmentations of each word in proportion to their probability; and the "
        "sum over the corpus of log p(word), where p(word) is that of all its segmentations "
        "together. The words are short: you may list all segmentations."
    ),
    solution=unigram_training.expected_counts,
    reference=_over_all_ways,
    generator=words_and_pieces,
    probes=(
        Probe(
            "one segmentation",
            lambda: call({"ba": 1}, _FEW),
            "b a is the only segmentation: each piece is used once, and p = 0.2.",
        ),
        Probe(
            "two segmentations",
            lambda: call({"ab": 1}, _FEW),
            "a b has 0.2 and ab has 0.1, so a third of the use goes to ab.",
        ),
        Probe("a frequent word", lambda: call({"ab": 12}, _FEW), "Everything is multiplied by 12."),
        Probe(
            "a piece twice in one segmentation",
            lambda: call({"aab": 1}, _FEW),
            "In a a b the piece a is used twice.",
        ),
        Probe(
            "two words",
            lambda: call({"abab": 3, "b": 2}, _FEW),
            "Uses add up over words, and so do the logarithms.",
        ),
        Probe(
            "a combining accent",
            lambda: call({"e\u0301": 2}, {"e": -0.7, "\u0301": -1.4, "\u00e9": -0.1}),
            "e and its combining accent are two characters. Do not change the words first.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the best segmentation only",
            _best_way_only,
            "You count the best segmentation only. Expectation counts every segmentation, each in "
            "proportion to its probability; otherwise a piece that is second best everywhere would "
            "seem useless.",
        ),
        Misconception(
            "the counts along the best segmentation",
            _best_way_full_sum,
            "Your sum of logarithms is right, but you count the pieces of the best segmentation "
            "only. Count every one, each weighted by its share of the word's probability.",
        ),
        Misconception(
            "the sum along the best segmentation",
            _best_way_sum_only,
            "Your counts are right, but log p(word) is that of the best segmentation alone. "
            "p(word) is the sum over all segmentations: take the logarithm of that total.",
        ),
        Misconception(
            "all segmentations count the same",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, mass, ways: 1 / len(ways)
            ),
            "You weight all segmentations equally. Weight each by its probability, divided by "
            "that of all segmentations of the word.",
        ),
        Misconception(
            "not divided by the total",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, mass, ways: part * mass
            ),
            "You weight by the probability itself, so a rare word counts for next to nothing. The "
            "word *did* occur: the weights of its segmentations must add up to 1.",
        ),
        Misconception(
            "the count of the word ignored",
            _unweighted,
            "A word that occurs twelve times uses its pieces twelve times: multiply by its count.",
        ),
        Misconception(
            "each piece once for each segmentation",
            _once_per_way,
            "A piece that occurs twice in a segmentation is used twice there.",
        ),
        Misconception(
            "probability instead of its logarithm",
            lambda words, log_probs: _averaged(
                words,
                log_probs,
                lambda part, mass, ways: part,
                lambda count, mass, ways: count * mass,
            ),
            "Words are independent, so their probabilities multiply and the logarithms add: "
            "count · log p(word).",
        ),
    ),
    alternatives=(
        Alternative("forwards and backwards", _forwards_and_backwards),
        Alternative("by the gradient of log p, in float32", _by_the_gradient),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "A function that calls itself lists all segmentations: choose the first piece, then cut "
        "the rest.",
        "The weight of a segmentation is exp(its sum) / (the total of exp over all of them).",
        "counts[piece] += count * weight for each piece in it; total += count * log(that total).",
    ),
)
