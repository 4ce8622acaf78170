"""The exercise on the z-score of a watermark."""

import math
from itertools import pairwise

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _place_by_place(tokens, green, fraction):
    seen, hits = [], 0
    for i in range(1, len(tokens)):
        pair = [tokens[i - 1], tokens[i]]
        if pair not in seen:
            seen.append(pair)
            hits += tokens[i] in green[tokens[i - 1]]
    deviation = (len(seen) * fraction * (1 - fraction)) ** 0.5
    return (hits - len(seen) * fraction) / deviation


def _z(hits, count, fraction):
    return (hits - fraction * count) / math.sqrt(count * fraction * (1 - fraction))


def _as_hinted(tokens, green, fraction):
    pairs = set(pairwise(tokens))
    hits = sum(b in green[a] for a, b in pairs)
    return _z(hits, len(pairs), fraction)


def _with_dict(tokens, green, fraction):
    found = {pair: pair[1] in green[pair[0]] for pair in pairwise(tokens)}
    return _z(sum(found.values()), len(found), fraction)


def _from_share(tokens, green, fraction):
    found = {(a, b) for a, b in pairwise(tokens)}
    share = sum(1 for a, b in found if b in green[a]) / len(found)
    return (share - fraction) * math.sqrt(len(found) / (fraction * (1 - fraction)))


def _repeated(tokens, green, fraction):
    pairs = list(pairwise(tokens))
    return _z(sum(b in green[a] for a, b in pairs), len(pairs), fraction)


def _tokens_counted(tokens, green, fraction):
    pairs = set(pairwise(tokens))
    return _z(sum(b in green[a] for a, b in pairs), len(pairs) + 1, fraction)


def _backwards(tokens, green, fraction):
    pairs = set(pairwise(tokens))
    return _z(sum(a in green[b] for a, b in pairs), len(pairs), fraction)


def _own_list(tokens, green, fraction):
    pairs = set(pairwise(tokens))
    return _z(sum(b in green[b] for a, b in pairs), len(pairs), fraction)


def _changed(scale):
    """Return the z-score with something else to divide by."""

    def z(tokens, green, fraction):
        pairs = set(pairwise(tokens))
        hits = sum(b in green[a] for a, b in pairs)
        return (hits - fraction * len(pairs)) / scale(len(pairs), fraction)

    return z


def _half_expected(tokens, green, fraction):
    pairs = set(pairwise(tokens))
    hits = sum(b in green[a] for a, b in pairs)
    return (hits - len(pairs) / 2) / math.sqrt(len(pairs) / 4)


GREEN = {0: {1, 2}, 1: {0, 3}, 2: {0, 1}, 3: {2, 3}}

WATERMARK = Exercise(
    id="evaluation.watermark",
    title="The z-score of a watermark",
    minutes=8,
    difficulty=2,
    statement=(
        "`tokens` is a list of at least two ids. `green[t]` is the set of ids that are green "
        "directly after the id t; `fraction` is γ, the share of ids that are green by chance. Look "
        "at each pair of neighbours (previous, next) of the text, equal pairs once: T different "
        "pairs, of which g have a green `next`. Return z = (g − γT) / sqrt(T γ (1 − γ))."
    ),
    solution=evaluation.watermark_z,
    reference=_place_by_place,
    generator=generators.watermark,
    probes=(
        Probe("one pair, green", lambda: call([0, 1], GREEN, 0.5), "(1 − 0.5) / 0.5 = 1."),
        Probe("one pair, not green", lambda: call([0, 3], GREEN, 0.5), "z is −1."),
        Probe("four pairs", lambda: call([0, 1, 3, 2, 0], GREEN, 0.5), "All are green: z is 2."),
        Probe(
            "a pair repeated",
            lambda: call([0, 2, 0, 2, 0, 2, 3], GREEN, 0.5),
            "Only three pairs are different: (0, 2), (2, 0) and (2, 3).",
        ),
        Probe(
            "fewer green tokens",
            lambda: call([0, 1, 2, 3, 3], GREEN, 0.25),
            "With γ = 0.25 a green token is rarer by chance, and counts for more.",
        ),
        Probe(
            "green in one direction",
            lambda: call([3, 2, 1, 0], {0: {1}, 1: {0}, 2: {1}, 3: {0}}, 0.5),
            "The list belongs to the token before.",
        ),
    ),
    misconceptions=(
        Misconception(
            "repeated pairs counted",
            _repeated,
            "A text that repeats itself would look watermarked. Count equal pairs once.",
        ),
        Misconception(
            "the first token counted",
            _tokens_counted,
            "The first token has none before it, so it is in no pair: T is the number of pairs.",
        ),
        Misconception(
            "the list of the next token",
            _backwards,
            "The green list is decided by the token *before*: is `next` in green[previous]?",
        ),
        Misconception(
            "a token's own list",
            _own_list,
            "You look each token up in its own list. Use the list of the token before it.",
        ),
        Misconception(
            "without the square root",
            _changed(lambda count, fraction: count * fraction * (1 - fraction)),
            "Divide by the standard deviation, which is the square root of T γ (1 − γ).",
        ),
        Misconception(
            "1 − γ forgotten",
            _changed(lambda count, fraction: math.sqrt(count * fraction)),
            "The variance of a count is T γ (1 − γ).",
        ),
        Misconception(
            "half expected",
            _half_expected,
            "You expect half of the pairs to be green. By chance a share of γ is.",
        ),
        Misconception(
            "a share, not a z-score",
            _changed(lambda count, fraction: count),
            "That is how far the green share is above γ. Divide by sqrt(T γ (1 − γ)), so that long "
            "texts count for more.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("with a dict", _with_dict),
        Alternative("from the share", _from_share),
    ),
    hints=(
        "set(zip(tokens, tokens[1:])) are the different pairs.",
        "A pair (a, b) is green if b is in green[a].",
        "T is the number of different pairs; math.sqrt(T * γ * (1 − γ)) is what to divide by.",
    ),
)
