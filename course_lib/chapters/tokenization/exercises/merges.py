"""The exercise on merging one pair everywhere in a word."""

from itertools import pairwise

from course_lib.chapters.tokenization.exercises.generators import word_and_merge
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import bpe_training


def joined(ids, pair, new_id):
    """Replace every occurrence of the pair."""
    merged, place = [], 0
    while place < len(ids):
        if list(ids[place : place + 2]) == list(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


def _looking_back(ids, pair, new_id):
    """Append token after token; where the last two are the pair and neither is new, join them."""
    merged, joined = [], True
    for token in ids:
        joined = not joined and bool(merged) and (merged[-1], token) == tuple(pair)
        if joined:
            merged[-1] = new_id
        else:
            merged.append(token)
    return merged


def _in_a_copy(ids, pair, new_id):
    merged, place = ids.copy(), 0
    while place + 1 < len(merged):
        if merged[place] == pair[0] and merged[place + 1] == pair[1]:
            merged[place : place + 2] = [new_id]
        place += 1
    return merged


def _in_the_text(ids, pair, new_id):
    text = " ".join(str(each) for each in ids)
    return [int(part) for part in text.replace(f"{pair[0]} {pair[1]}", str(new_id)).split()]


def _one_step_each(ids, pair, new_id):
    return [new_id if each == tuple(pair) else each[0] for each in pairwise(ids)]


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
    return joined(list(ids)[::-1], pair[::-1], new_id)[::-1]


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
    ids[:] = joined(ids, pair, new_id)
    return ids


def _one_too_far(ids, pair, new_id):
    merged, place = [], 0
    while place < len(ids):
        if (ids[place], ids[place + 1]) == tuple(pair):
            merged.append(new_id)
            place += 2
        else:
            merged.append(ids[place])
            place += 1
    return merged


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
        "replaced by `new_id`. Occurrences must not overlap, and `ids` must not change."
    ),
    solution=bpe_training.merge,
    reference=joined,
    generator=word_and_merge,
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
            "A last token without a right neighbour is kept.",
        ),
        Probe(
            "the reverse order",
            lambda: call([2, 1, 3, 2, 1, 2], (1, 2), 9),
            "Only left followed by right is the pair.",
        ),
        Probe(
            "three in a row",
            lambda: call([4, 4, 4], (4, 4), 9),
            "From the left: the first two become one, and the third is left over.",
        ),
        Probe(
            "ids of two digits",
            lambda: call([11, 21, 2], (1, 2), 9),
            "11 ends and 21 begins with digits of the pair; the ids themselves are different.",
        ),
        Probe(
            "nothing to merge",
            lambda: call([3, 1, 3, 2], (1, 2), 9),
            "The list comes back unchanged.",
        ),
        Probe("an empty word", lambda: call([], (1, 2), 9), "An empty word stays empty."),
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
            "the right half kept, the last token lost",
            _one_step_each,
            "You step by one after a merge too, so the right half is written again, and your loop "
            "ends before the last token. Step by two after a merge, and append what is left.",
        ),
        Misconception(
            "replaced in a text",
            _in_the_text,
            "You write the ids as text and replace there, where the pair 1 2 is also found in "
            "11 21. Compare the numbers themselves: ids[i] and ids[i + 1].",
        ),
        Misconception(
            "from the right",
            _from_the_right,
            "In a run of three your merge joins the last two. Every BPE library goes from left to "
            "right; from the right, the ids would be different.",
        ),
        Misconception(
            "either order",
            _in_either_order,
            "You also replace right followed by left. The new token stands for one sequence of "
            "bytes, so decoding would return different text.",
        ),
        Misconception(
            "the input changed",
            _in_place,
            "You changed the list that you were given. The caller may still need it: build a new "
            "one.",
        ),
        Misconception(
            "one place too far",
            _one_too_far,
            "You look at ids[i + 1] for the last token too, where nothing follows. Check first "
            "that there is a neighbour, or compare the slice ids[i:i + 2].",
        ),
        Misconception(
            "the last token lost",
            _last_token_lost,
            "Your loop ends before the last token, since it looks one ahead. If the last token is "
            "not part of a pair, append it.",
        ),
    ),
    alternatives=(
        Alternative("with an index", joined),
        Alternative("with an iterator", _looking_back),
        Alternative("in a copy", _in_a_copy),
    ),
    hints=(
        "Walk with an index that moves by two after a merge and by one otherwise: a `while` loop.",
        "Be careful at the end: the last token has no right neighbour.",
        "ids[i:i + 2] == list(pair) is False at the end instead of raising an error.",
    ),
)
