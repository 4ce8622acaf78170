"""Exercises on learning merges: count the pairs of neighbours, and join one pair everywhere."""

from collections import Counter
from itertools import pairwise

from course_lib.study.exercise import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import bpe_training


def _counted_by_hand(words):
    found = {}
    for ids, count in words:
        for place in range(len(ids) - 1):
            pair = (ids[place], ids[place + 1])
            found[pair] = found.get(pair, 0) + count
    return found


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


COUNT_PAIRS = Exercise(
    id="tokenization.count_pairs",
    title="Counting pairs of neighbours",
    minutes=6,
    difficulty=1,
    statement=(
        "`words` is a list of (ids, count): a word as a list of token ids, and how often the "
        "corpus holds it. Return a dict or Counter from each pair (left, right) of neighbours to "
        "how often it occurs in the whole corpus."
    ),
    solution=bpe_training.count_pairs,
    reference=_counted_by_hand,
    probes=(
        Probe(
            "one word", lambda: call([([5, 3, 8], 1)]), "Three tokens hold two pairs: they overlap."
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
            "Four 7s hold three pairs of neighbours, although a merge could join only two of them.",
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
            "pairs forgets that: add up over the places.",
        ),
        Misconception(
            "pairs that do not overlap",
            _side_by_side,
            "You step by two and see only every other pair. Each token but the last begins a pair.",
        ),
        Misconception(
            "pairs across words",
            _across_words,
            "You joined the words into one row, so the end of one and the beginning of the next "
            "became neighbours. Words are cut apart before counting so that this cannot happen.",
        ),
        Misconception(
            "the order ignored",
            _order_ignored,
            "You sort the two tokens of a pair. A merge joins left to right: `th` is not `ht`.",
        ),
        Misconception(
            "runs counted as a merge would take them",
            _runs_not_overlapping,
            "In a run such as 7 7 7 you leave out the pair that a merge could not join as well. "
            "Counting looks at all neighbours; only merging must not overlap.",
        ),
    ),
    alternatives=(Alternative("with a plain dict", _counted_by_hand),),
    hints=(
        "Two loops: over the words, and inside over the places of a word.",
        "zip(ids, ids[1:]) gives the pairs of neighbours; a tuple can be a key of a dict.",
        "counts[pair] += count, with counts = Counter().",
    ),
)


def _by_places(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids):
        if list(ids[place : place + 2]) == list(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


def _first_only(ids, pair, new_id):
    for place in range(len(ids) - 1):
        if (ids[place], ids[place + 1]) == tuple(pair):
            return [*ids[:place], new_id, *ids[place + 2 :]]
    return list(ids)


def _right_half_kept(ids, pair, new_id):
    after = [*ids[1:], None]
    return [
        new_id if (left, right) == tuple(pair) else left
        for left, right in zip(ids, after, strict=True)
    ]


def _from_the_right(ids, pair, new_id):
    return _by_places(list(ids)[::-1], pair[::-1], new_id)[::-1]


def _in_either_order(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids):
        if sorted(ids[place : place + 2]) == sorted(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


def _in_place(ids, pair, new_id):
    ids[:] = _by_places(ids, pair, new_id)
    return ids


def _last_token_lost(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids) - 1:
        if (ids[place], ids[place + 1]) == tuple(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


MERGE = Exercise(
    id="tokenization.merge",
    title="Applying one merge",
    minutes=7,
    difficulty=2,
    statement=(
        "Return a new list in which every occurrence of `pair`, found from left to right, is "
        "replaced by `new_id`. Occurrences must not overlap, and `ids` must stay as it is."
    ),
    solution=bpe_training.merge,
    reference=_by_places,
    probes=(
        Probe("in the middle", lambda: call([5, 1, 2, 6], (1, 2), 9), "Two tokens become one."),
        Probe(
            "at the very end", lambda: call([6, 5, 1, 2], (1, 2), 9), "The last pair counts too."
        ),
        Probe(
            "several times",
            lambda: call([1, 2, 7, 1, 2, 1, 2], (1, 2), 9),
            "All occurrences are replaced, not only the first.",
        ),
        Probe(
            "the last token stands alone",
            lambda: call([1, 2, 8], (1, 2), 9),
            "A token that has no right neighbour any more is kept.",
        ),
        Probe(
            "the other way round",
            lambda: call([2, 1, 3, 2, 1, 2], (1, 2), 9),
            "Only left followed by right is the pair.",
        ),
        Probe(
            "three in a row",
            lambda: call([4, 4, 4], (4, 4), 9),
            "From the left: the first two become one, and the third is left over.",
        ),
        Probe("nothing to merge", lambda: call([3, 1, 3, 2], (1, 2), 9), "The list as it was."),
        Probe("an empty word", lambda: call([], (1, 2), 9), "Nothing in, nothing out."),
    ),
    misconceptions=(
        Misconception(
            "only the first occurrence",
            _first_only,
            "You stop after one replacement. A merge is applied everywhere in the word.",
        ),
        Misconception(
            "the right half kept",
            _right_half_kept,
            "You write the new token in place of the left half and then go on to the right half, "
            "which the new token already contains. Step over both.",
        ),
        Misconception(
            "from the right",
            _from_the_right,
            "In a run of three your merge joins the last two. Every BPE library goes from left to "
            "right, and other ids would come out otherwise.",
        ),
        Misconception(
            "either order",
            _in_either_order,
            "You also replace right followed by left. The new token stands for one sequence of "
            "bytes, so decoding would return other text.",
        ),
        Misconception(
            "the input changed",
            _in_place,
            "You changed the list that you were given. Whoever passed it may still need it: build "
            "a new one.",
        ),
        Misconception(
            "the last token lost",
            _last_token_lost,
            "Your loop ends before the last token, since it looks one ahead. If the last token is "
            "not part of a pair, append it.",
        ),
    ),
    alternatives=(Alternative("with an index", _by_places),),
    hints=(
        "Walk with an index that moves by two after a merge and by one otherwise: a `while` loop.",
        "Mind the end: at the last token there is no right neighbour to look at.",
        "ids[i:i + 2] == list(pair) is False at the end instead of raising an error.",
    ),
)
