"""The exercise on the counts that one merge changes."""

from collections import Counter
from itertools import pairwise

from course_lib.chapters.tokenization import answers
from course_lib.chapters.tokenization.exercises.generators import word_and_merge
from course_lib.chapters.tokenization.exercises.merges import joined
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def counted(words):
    """Count the pairs of neighbours in words, each with its count."""
    counts = {}
    for ids, count in words:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + count
    return counts


def joined_once(ids, pair, new_id):
    """Replace the first occurrence of the pair."""
    for place in range(len(ids) - 1):
        if (ids[place], ids[place + 1]) == pair:
            return [*ids[:place], new_id, *ids[place + 2 :]]
    return ids


def changes_of(ids, pair, new_id):
    """Compare the counts before and after the merge."""
    before, after = counted([(ids, 1)]), counted([(joined(ids, pair, new_id), 1)])
    found = {each: after.get(each, 0) - before.get(each, 0) for each in {*before, *after}}
    return {each: difference for each, difference in found.items() if difference}


def _beside_each_occurrence(ids, pair, new_id):
    """Find the merged places, and look only at the pairs that overlap them."""
    starts, place = [], 0
    while place < len(ids) - 1:
        found = (ids[place], ids[place + 1]) == pair
        starts += [place] if found else []
        place += 2 if found else 1
    touched = {i for start in starts for i in (start - 1, start, start + 1)}
    changes = Counter()
    changes.subtract((ids[i], ids[i + 1]) for i in touched if 0 <= i < len(ids) - 1)
    for start in starts:
        left = new_id if start - 2 in starts else ids[start - 1] if start else None
        if left is not None:
            changes[left, new_id] += 1
        if start + 2 < len(ids) and start + 2 not in starts:
            changes[new_id, ids[start + 2]] += 1
    return {each: difference for each, difference in changes.items() if difference}


def _added_up(ids, pair, new_id):
    changes = {}
    for sign, word in ((-1, ids), (1, joined(ids, pair, new_id))):
        for each in pairwise(word):
            changes[each] = changes.get(each, 0) + sign
            if changes[each] == 0:
                del changes[each]
    return changes


def _changes_as_hinted(ids, pair, new_id):
    changes = Counter(pairwise(joined(ids, pair, new_id)))
    changes.subtract(Counter(pairwise(ids)))
    return {each: changes[each] for each in changes if changes[each] != 0}


def _neighbours_forgotten(ids, pair, new_id):
    merged = joined(ids, pair, new_id).count(new_id)
    return {pair: -merged} if merged else {}


def _only_what_disappears(ids, pair, new_id):
    return {each: n for each, n in changes_of(ids, pair, new_id).items() if n < 0}


def _only_what_appears(ids, pair, new_id):
    return {each: n for each, n in changes_of(ids, pair, new_id).items() if n > 0}


def _zeros_kept(ids, pair, new_id):
    changes = Counter(pairwise(joined(ids, pair, new_id)))
    changes.subtract(Counter(pairwise(ids)))
    return dict(changes)


def _reversed(ids, pair, new_id):
    return {each: -n for each, n in changes_of(ids, pair, new_id).items()}


def _counts_afterwards(ids, pair, new_id):
    return counted([(joined(ids, pair, new_id), 1)])


def _first_occurrence_only(ids, pair, new_id):
    before, after = Counter(pairwise(ids)), Counter(pairwise(joined_once(ids, pair, new_id)))
    after.subtract(before)
    return {each: n for each, n in after.items() if n}


COUNT_CHANGES = Exercise(
    id="tokenization.count_changes",
    title="What one merge changes in the counts",
    minutes=10,
    difficulty=2,
    statement=(
        "`pair` is merged into `new_id` everywhere in the word `ids`, from left to right. Return a "
        "dict from each pair of neighbours whose number in this word changes to the change: "
        "negative for pairs that disappear, positive for pairs that appear. Pairs whose number "
        "stays the same are left out. `ids` must not change."
    ),
    solution=answers.count_changes,
    reference=changes_of,
    generator=word_and_merge,
    probes=(
        Probe(
            "in the middle",
            lambda: call([5, 1, 2, 6], (1, 2), 256),
            "(5, 1), (1, 2) and (2, 6) disappear; (5, 256) and (256, 6) appear.",
        ),
        Probe(
            "at both ends",
            lambda: call([1, 2, 7, 1, 2], (1, 2), 256),
            "At the ends of the word the new token has one neighbour only.",
        ),
        Probe(
            "the whole word",
            lambda: call([1, 2], (1, 2), 256),
            "One pair disappears and none appears.",
        ),
        Probe(
            "two occurrences side by side",
            lambda: call([1, 2, 1, 2, 3], (1, 2), 256),
            "The pair (2, 1) between them disappears, and (256, 256) appears once.",
        ),
        Probe(
            "a run",
            lambda: call([4, 4, 4, 4, 4], (4, 4), 256),
            "Four pairs (4, 4) become (256, 256) and (256, 4).",
        ),
        Probe(
            "pairs that stay",
            lambda: call([8, 9, 1, 2, 8, 9], (1, 2), 256),
            "(8, 9) occurs twice before and after, so it is not in the result.",
        ),
        Probe("not in the word", lambda: call([2, 1, 3], (1, 2), 256), "Nothing changes: {}."),
        Probe("an empty word", lambda: call([], (1, 2), 256), "Nothing changes: {}."),
    ),
    misconceptions=(
        Misconception(
            "only the pair itself",
            _neighbours_forgotten,
            "The merged pair disappears, but so do the pairs that overlap it: the left neighbour "
            "with the first half, and the second half with the right neighbour. The new token "
            "forms pairs with both.",
        ),
        Misconception(
            "nothing that appears",
            _only_what_disappears,
            "You list what disappears. The new token also forms pairs with its neighbours, and "
            "those must be counted, or they could never be merged.",
        ),
        Misconception(
            "nothing that disappears",
            _only_what_appears,
            "You list what appears. The old pairs must lose their counts, or training would choose "
            "pairs that no longer exist. Note that `Counter - Counter` drops all results that are "
            "not positive; counter.subtract(...) keeps them.",
        ),
        Misconception(
            "zeros kept",
            _zeros_kept,
            "Pairs whose number does not change are in your result with 0. Leave them out: most "
            "pairs of a long word do not change.",
        ),
        Misconception(
            "signs exchanged",
            _reversed,
            "You return before minus after. A change is after minus before.",
        ),
        Misconception(
            "the counts after the merge",
            _counts_afterwards,
            "You return the counts after the merge. Subtract the counts before it.",
        ),
        Misconception(
            "only the first occurrence",
            _first_occurrence_only,
            "The pair may occur several times in the word, and every occurrence is merged.",
        ),
    ),
    alternatives=(
        Alternative("beside each occurrence", _beside_each_occurrence),
        Alternative("added up in a dict", _added_up),
        Alternative("as in the hints", _changes_as_hinted),
    ),
    hints=(
        "Count the pairs of the word before and after the merge.",
        "Counter(pairwise(after)) is a Counter; its method `subtract` may give negative numbers.",
        "Leave out the zeros: {each: n for each, n in changes.items() if n != 0}.",
    ),
)
