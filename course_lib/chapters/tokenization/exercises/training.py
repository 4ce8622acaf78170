"""The exercise on training a whole byte-pair tokenizer."""

from collections import Counter
from itertools import pairwise

from course_lib.chapters.tokenization import answers
from course_lib.chapters.tokenization.exercises.changes import (
    changes_of,
    counted,
    joined_once,
)
from course_lib.chapters.tokenization.exercises.generators import small_corpus
from course_lib.chapters.tokenization.exercises.merges import joined
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _smallest_ids(counts):
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[0]


def _trained(
    words,
    num_merges,
    *,
    choose=_smallest_ids,
    join=joined,
    first_id=256,
    weight=lambda count: count,
    rarest=1,
):
    """Return the merges of a trainer in which one part may be replaced by a wrong one."""
    words = [(list(ids), weight(count)) for ids, count in words]
    merges = []
    while len(merges) < num_merges:
        counts = {pair: n for pair, n in counted(words).items() if n >= rarest}
        if not counts:
            break
        pair = choose(counts)
        words = [(join(ids, pair, first_id + len(merges)), count) for ids, count in words]
        merges.append(pair)
    return merges


def _with(**changes):
    return lambda words, num_merges: _trained(words, num_merges, **changes)


def _counted_once(words, num_merges):
    counts = counted(words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:num_merges]


def _without_an_end(words, num_merges):
    merges = []
    for rank in range(num_merges):
        counts = counted(words)
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        words = [(joined(ids, merges[-1], 256 + rank), count) for ids, count in words]
    return merges


def _by_recursion(words, num_merges, new_id=256):
    counts = counted(words)
    if num_merges == 0 or not counts:
        return []
    pair = _smallest_ids(counts)
    words = [(joined(ids, pair, new_id), count) for ids, count in words]
    return [pair, *_by_recursion(words, num_merges - 1, new_id + 1)]


def _counts_kept(words, num_merges):
    """Keep the counts, and change them word by word instead of counting anew."""
    words = [(list(ids), count) for ids, count in words]
    counts, merges = Counter(counted(words)), []
    while len(merges) < num_merges and (found := +counts):
        pair, new_id = _smallest_ids(found), 256 + len(merges)
        for place, (ids, count) in enumerate(words):
            for changed, difference in changes_of(ids, pair, new_id).items():
                counts[changed] += count * difference
            words[place] = joined(ids, pair, new_id), count
        merges.append(pair)
    return merges


def _as_hinted(words, num_merges):
    merges = []
    for k in range(num_merges):
        counts = Counter()
        for ids, count in words:
            for pair in pairwise(ids):
                counts[pair] += count
        if not counts:
            return merges
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(joined(ids, best, 256 + k), count) for ids, count in words]
        merges.append(best)
    return merges


_STALE = [([1, 2, 3], 8), ([1, 2], 2), ([2, 3], 1), ([4, 5], 5)]

TRAIN_BPE = Exercise(
    id="tokenization.train_bpe",
    title="Training a byte-pair tokenizer",
    minutes=15,
    difficulty=2,
    statement=(
        "`words` is a list of (ids, count): a word as a list of byte ids below 256, and how often "
        "the corpus contains it. Repeat up to `num_merges` times: count the pairs of neighbours, "
        "choose the most frequent pair, of several equally frequent ones the smallest tuple, and "
        "replace it in every word. Merge number k, counted from 0, creates the id 256 + k. Stop "
        "early when there is no pair left. Return the list of merged pairs in order; `words` must "
        "not change."
    ),
    solution=answers.train_bpe,
    reference=_trained,
    generator=small_corpus,
    probes=(
        Probe(
            "one merge",
            lambda: call([([1, 2, 3], 4), ([3, 1, 2], 1), ([3, 1], 2)], 1),
            "(1, 2) occurs 5 times, (2, 3) 4 times, (3, 1) 3 times.",
        ),
        Probe(
            "a merge of a merge",
            lambda: call([([1, 2, 3], 5), ([1, 2], 1)], 2),
            "After the first merge the word is 256 3, so the second merge is (256, 3).",
        ),
        Probe(
            "one frequent word",
            lambda: call([([1, 2], 1), ([7, 1, 2], 1), ([3, 4], 5)], 1),
            "(3, 4) is in one word that occurs five times; (1, 2) is in two words that occur once.",
        ),
        Probe(
            "a tie",
            lambda: call([([9, 8], 2), ([3, 7], 2), ([3, 4], 2)], 1),
            "Three pairs occur twice. (3, 4) is the smallest tuple.",
        ),
        Probe(
            "a count that a merge has changed",
            lambda: call(_STALE, 3),
            "(2, 3) occurs 9 times at first, but only once after (1, 2) has been merged.",
        ),
        Probe(
            "one token repeated",
            lambda: call([([7] * 5, 2), ([1, 2], 3)], 3),
            "7 7 7 7 7 has four pairs and becomes 256 256 7.",
        ),
        Probe(
            "the pair twice in a word",
            lambda: call([([1, 2, 9, 1, 2], 3), ([1, 9], 5)], 3),
            "Both occurrences are replaced, so no (1, 2) is left.",
        ),
        Probe(
            "fewer pairs than merges",
            lambda: call([([1, 2], 1), ([5], 3)], 4),
            "After one merge every word is a single token: return what was learned.",
        ),
        Probe(
            "two frequent pairs, one occurrence apart",
            lambda: call([([1, 2], 2**24), ([3, 4], 2**24 + 1)], 1),
            "16,777,217 is more than 16,777,216, though float32 cannot tell them apart.",
        ),
        Probe("no merges requested", lambda: call([([1, 2], 1)], 0), "An empty list."),
    ),
    misconceptions=(
        Misconception(
            "the first of equally frequent pairs",
            _with(choose=lambda counts: max(counts, key=lambda pair: counts[pair])),
            "Of several equally frequent pairs you take the one that was counted first. The "
            "statement asks for the smallest tuple: min(counts, key=lambda pair: (-counts[pair], "
            "pair)).",
        ),
        Misconception(
            "the largest of equally frequent pairs",
            _with(choose=lambda counts: max(counts, key=lambda pair: (counts[pair], pair))),
            "Of several equally frequent pairs you take the largest tuple: `max` over (count, "
            "pair) does that. Negate the count and use `min`.",
        ),
        Misconception(
            "pairs counted only once, at the start",
            _counted_once,
            "You count once and return the most frequent pairs of the original words. A merge "
            "creates new pairs and removes others: count again after each merge.",
        ),
        Misconception(
            "words never changed",
            _with(join=lambda ids, pair, new_id: ids),
            "You find the same pair every time, because the words keep it. Replace the pair in "
            "every word and go on with the result.",
        ),
        Misconception(
            "only the first occurrence in a word replaced",
            _with(join=joined_once),
            "A word may contain the pair several times. Replace every occurrence, from left to "
            "right.",
        ),
        Misconception(
            "word counts ignored",
            _with(weight=lambda count: 1),
            "You count each listed word once. It stands for `count` occurrences in the corpus, so "
            "each of its pairs counts `count` times.",
        ),
        Misconception(
            "new ids from 257",
            _with(first_id=257),
            "Your new ids are one too large. Merge number 0 creates the id 256.",
        ),
        Misconception(
            "new ids from 0",
            _with(first_id=0),
            "Your new ids begin at 0, which is the id of a byte already. The 256 bytes have the "
            "ids 0 to 255, so merge number k creates 256 + k.",
        ),
        Misconception(
            "an error when no pair is left",
            _without_an_end,
            "When every word is a single token there is no pair, and min() or max() of an empty "
            "dict raises. Stop before that and return the merges so far.",
        ),
        Misconception(
            "pairs that occur once are never merged",
            _with(rarest=2),
            "You stop at pairs that occur once. Some trainers do that; here the only reason to "
            "stop early is that there is no pair at all.",
        ),
    ),
    alternatives=(
        Alternative("from scratch", _trained),
        Alternative("by recursion", _by_recursion),
        Alternative("with counts that are kept up to date", _counts_kept),
        Alternative("as in the hints", _as_hinted),
    ),
    hints=(
        "A loop over `range(num_merges)` with three steps: count, choose, replace. You have "
        "written the first and the last already; call your functions or the library's.",
        "min(counts, key=lambda pair: (-counts[pair], pair)) is the most frequent pair, and among "
        "equals the smallest. If `counts` is empty, stop.",
        "words = [(merge(ids, best, 256 + k), count) for ids, count in words] makes a new list.",
    ),
)
