"""The exercise on counting the pairs of neighbours in a corpus."""

from collections import Counter
from itertools import pairwise

from course_lib.chapters.tokenization.exercises.generators import counted_words
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import bpe_training


def _counted_by_hand(words):
    found = {}
    for ids, count in words:
        for place in range(len(ids) - 1):
            pair = (ids[place], ids[place + 1])
            found[pair] = found.get(pair, 0) + count
    return found


def _added_counters(words):
    found = Counter()
    for ids, count in words:
        found.update({pair: times * count for pair, times in Counter(pairwise(ids)).items()})
    return found


def _as_hinted(words):
    counts = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] += count
    return counts


def _unweighted(words):
    return Counter(pair for ids, _ in words for pair in pairwise(ids))


def _once_in_each_word(words):
    found = Counter()
    for ids, count in words:
        for pair in set(pairwise(ids)):
            found[pair] += count
    return found


def _side_by_side(words):
    found = Counter()
    for ids, count in words:
        for pair in zip(ids[::2], ids[1::2], strict=False):
            found[pair] += count
    return found


def _across_words(words):
    joined = [token for ids, count in words for token in list(ids) * count]
    return Counter(pairwise(joined))


def _order_ignored(words):
    found = Counter()
    for ids, count in words:
        for pair in pairwise(ids):
            found[tuple(sorted(pair))] += count
    return found


def _runs_not_overlapping(words):
    found = Counter()
    for ids, count in words:
        taken = None
        for place, pair in enumerate(pairwise(ids)):
            if pair[0] == pair[1] and taken == place - 1:
                taken = None
                continue
            found[pair] += count
            taken = place if pair[0] == pair[1] else None
    return found


def _last_pair_missing(words):
    found = Counter()
    for ids, count in words:
        for pair in pairwise(ids[:-1]):
            found[pair] += count
    return found


COUNT_PAIRS = Exercise(
    id="tokenization.count_pairs",
    title="Counting pairs of neighbours",
    minutes=6,
    difficulty=1,
    statement=(
        "`words` is a list of (ids, count): a word as a list of token ids, and how often the "
        "corpus contains it. Return a dict or Counter from each pair (left, right) of neighbours "
        "to how often it occurs in the whole corpus. "
        "The words are not changed."
    ),
    solution=bpe_training.count_pairs,
    reference=_counted_by_hand,
    generator=counted_words,
    probes=(
        Probe(
            "one word",
            lambda: call([([5, 3, 8], 1)]),
            "Three tokens form two pairs, which overlap.",
        ),
        Probe(
            "one word, seen often",
            lambda: call([([5, 3], 7)]),
            "The word is listed once and occurs seven times, and so does its pair.",
        ),
        Probe(
            "two words",
            lambda: call([([1, 2, 3], 2), ([4, 1, 2], 3)]),
            "Counts of the same pair add up over words; no pair reaches from one word to the next.",
        ),
        Probe(
            "a pair twice in one word",
            lambda: call([([1, 2, 9, 1, 2], 4)]),
            "The pair (1, 2) occurs twice in each of the four.",
        ),
        Probe("both orders", lambda: call([([1, 2, 1], 5)]), "(1, 2) and (2, 1) are two pairs."),
        Probe(
            "one token repeated",
            lambda: call([([7, 7, 7, 7], 1)]),
            "Four 7s contain three pairs of neighbours, although a merge could join only two of "
            "them.",
        ),
        Probe(
            "billions of occurrences",
            lambda: call([([1, 2], 2**24 + 1), ([3, 1, 2], 2**31)]),
            "Counts of a large corpus are exact: no float32, no 32-bit integer.",
        ),
        Probe(
            "a word of one token", lambda: call([([6], 9)]), "There is no neighbour, so no pair."
        ),
    ),
    misconceptions=(
        Misconception(
            "the count of the word ignored",
            _unweighted,
            "You count each listed word once. It stands for `count` occurrences: add `count`, not "
            "1. This is what makes training fast, since a frequent word is looked at only once.",
        ),
        Misconception(
            "each pair once in each word",
            _once_in_each_word,
            "A pair may occur several times in one word, and each occurrence counts. A set of the "
            "pairs loses that: count at every position.",
        ),
        Misconception(
            "pairs that do not overlap",
            _side_by_side,
            "You step by two and see only every other pair. Each token but the last begins a pair.",
        ),
        Misconception(
            "pairs across words",
            _across_words,
            "You joined the words into one sequence, so the end of one and the beginning of the "
            "next became neighbours. Words are cut apart before counting so that this cannot "
            "happen.",
        ),
        Misconception(
            "counts overwritten, not added",
            lambda words: {pair: count for ids, count in words for pair in pairwise(ids)},
            "You overwrite the earlier count. The same pair comes again "
            "in other words and in the same word: add to what you have, counts[pair] += count.",
        ),
        Misconception(
            "the order ignored",
            _order_ignored,
            "You sort the two tokens of a pair. A merge joins left to right: `th` is not `ht`.",
        ),
        Misconception(
            "runs counted without overlap",
            _runs_not_overlapping,
            "In a run such as 7 7 7 you leave out the second pair, because a merge could not join "
            "it as well. Counting looks at all neighbours; only merging must not overlap.",
        ),
        Misconception(
            "the last pair of a word missing",
            _last_pair_missing,
            "range(len(ids) − 2) stops one position too early: n tokens contain n − 1 pairs.",
        ),
    ),
    alternatives=(
        Alternative("with a plain dict", _counted_by_hand),
        Alternative("one Counter for each word", _added_counters),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "Two loops: over the words, and inside over the positions of a word.",
        "zip(ids, ids[1:]) gives the pairs of neighbours; a tuple can be a key of a dict.",
        "counts[pair] += count, with counts = Counter().",
    ),
)
