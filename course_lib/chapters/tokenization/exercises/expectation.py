"""The exercise on expectation: how often each piece is used, over all segmentations."""

import math

from course_lib.chapters.tokenization.exercises.unigram import logs, segmentations
from course_lib.study.check.spec import Exercise, Misconception, Probe, call
from course_lib.tokenization import unigram_training

_FEW = logs(a=0.5, b=0.4, ab=0.1)


def _shares_of(text, log_probs):
    """Return each segmentation with its share of the text's probability."""
    ways = segmentations(text, log_probs)
    total = math.fsum(math.exp(score) for _, score in ways)
    return [(pieces, math.exp(score) / total) for pieces, score in ways], total


def _averaged(words, log_probs, share, total=None):
    """Return counts weighted by `share`, and log p of the words unless another total is given."""
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
    probes=(
        Probe(
            "one way only",
            lambda: call({"ba": 1}, _FEW),
            "b a is the only segmentation: each piece is used once, and p = 0.2.",
        ),
        Probe(
            "two ways",
            lambda: call({"ab": 1}, _FEW),
            "a b has 0.2 and ab has 0.1, so a third of the use goes to ab.",
        ),
        Probe("a frequent word", lambda: call({"ab": 12}, _FEW), "Twelve times as much of all."),
        Probe(
            "a piece twice in one way",
            lambda: call({"aab": 1}, _FEW),
            "In a a b the piece a is used twice.",
        ),
        Probe(
            "two words",
            lambda: call({"abab": 3, "b": 2}, _FEW),
            "Uses add up over words, and so do the logarithms.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the best segmentation only",
            _best_way_only,
            "You count along the best way. Expectation counts every way, each in proportion to its "
            "probability; else a piece that is second best everywhere would seem useless.",
        ),
        Misconception(
            "all ways count the same",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, mass, ways: 1 / len(ways)
            ),
            "You weigh all segmentations alike. Weigh each by its probability, divided by that of "
            "all segmentations of the word.",
        ),
        Misconception(
            "not divided by the total",
            lambda words, log_probs: _averaged(
                words, log_probs, lambda part, mass, ways: part * mass
            ),
            "You weigh by the probability itself, so a rare word counts for next to nothing. The "
            "word *did* occur: the weights of its segmentations must add up to 1.",
        ),
        Misconception(
            "the count of the word ignored",
            _unweighted,
            "A word that occurs twelve times uses its pieces twelve times: multiply by its count.",
        ),
        Misconception(
            "each piece once for each way",
            _once_per_way,
            "A piece that stands twice in a segmentation is used twice there.",
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
    hints=(
        "A function that calls itself lists all segmentations: choose the first piece, then cut "
        "the rest.",
        "The weight of a segmentation is exp(its sum) / (the total of exp over all of them).",
        "counts[piece] += count * weight for each piece in it; total += count * log(that total).",
    ),
)
