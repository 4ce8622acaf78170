"""The exercise on encoding with a byte-level BPE tokenizer: by the rank of the merges."""

from itertools import pairwise

from course_lib.chapters.tokenization.exercises.generators import word_and_ranks
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import byte_bpe

# A merge table as it is learned: pair -> (rank, new id). Letters are their places: a 0, b 1, c 2 …
_LADDER = {(0, 1): (0, 10), (10, 2): (1, 11), (11, 3): (2, 12), (1, 2): (3, 13)}  # ab abc abcd bc
_INNER_FIRST = {(1, 2): (0, 10), (0, 1): (1, 11), (11, 2): (2, 12), (10, 3): (3, 13)}
_RENUMBERED = {(1, 2): (0, 77), (0, 1): (1, 30), (77, 3): (2, 12)}  # ids say nothing about rank
_LISTED_LATE_FIRST = {(0, 1): (1, 30), (1, 2): (0, 77), (77, 3): (2, 12)}
_LONG_AND_LATE = {(2, 3): (0, 10), (0, 1): (1, 11), (1, 2): (2, 12), (0, 12): (3, 13)}  # abc last
_FAR_DOWN = {(0, 1): (49_000, 10), (1, 2): (5000, 11)}  # as in a vocabulary of 50 000
_RUN = {(0, 0): (0, 10), (10, 10): (1, 11)}


def _rank_after_rank(ids, merges):
    """Apply the merges one after another, each to the whole word: the training, replayed."""
    tokens = list(ids)
    for pair in sorted(merges, key=lambda pair: merges[pair][0]):
        place = 0
        while place < len(tokens) - 1:
            if (tokens[place], tokens[place + 1]) == pair:
                tokens[place : place + 2] = [merges[pair][1]]
            place += 1
    return tokens


def _choosing(better):
    """Return the encoder that always merges the pair that `better` prefers (the smallest key)."""

    def encode(ids, merges):
        tokens = list(ids)
        while True:
            found = [(i, p) for i, p in enumerate(pairwise(tokens)) if p in merges]
            if not found:
                return tokens
            place, pair = min(found, key=lambda each: better(each[0], *merges[each[1]]))
            tokens[place : place + 2] = [merges[pair][1]]

    return encode


def _spelled(merges):
    spelled = {}
    for left, right in sorted(merges, key=lambda pair: merges[pair][0]):
        parts = (spelled.get(left, (left,)), spelled.get(right, (right,)))
        spelled[merges[left, right][1]] = parts[0] + parts[1]
    return spelled


def _longest_match(ids, merges):
    numbers = {letters: i for i, letters in _spelled(merges).items()}
    tokens, start = [], 0
    while start < len(ids):
        for end in range(len(ids), start, -1):
            piece = tuple(ids[start:end])
            if len(piece) == 1 or piece in numbers:
                tokens.append(numbers.get(piece, piece[0]))
                start = end
                break
    return tokens


def _in_listed_order(ids, merges):
    places = {pair: place for place, pair in enumerate(merges)}
    renumbered = {pair: (places[pair], merges[pair][1]) for pair in merges}
    return _choosing(lambda place, rank, _: (rank, place))(ids, renumbered)


def _as_hinted(ids, merges):
    tokens = list(ids)
    while True:
        pairs = enumerate(pairwise(tokens))
        known = [(merges[pair][0], i, merges[pair][1]) for i, pair in pairs if pair in merges]
        if not known:
            return tokens
        _, i, new_id = min(known)
        tokens[i : i + 2] = [new_id]


def _by_recursion(ids, merges):
    known = [pair for pair in pairwise(ids) if pair in merges]
    if not known:
        return list(ids)
    first = min(known, key=lambda pair: merges[pair][0])
    i = list(pairwise(ids)).index(first)
    return _by_recursion([*ids[:i], merges[first][1], *ids[i + 2 :]], merges)


def _one_merge(ids, merges):
    tokens = list(ids)
    found = [(merges[p][0], i, p) for i, p in enumerate(pairwise(tokens)) if p in merges]
    if found:
        _, place, pair = min(found)
        tokens[place : place + 2] = [merges[pair][1]]
    return tokens


def _one_pass(ids, merges):
    tokens, place = list(ids), 0
    while place < len(tokens) - 1:
        pair = tokens[place], tokens[place + 1]
        if pair in merges:
            tokens[place : place + 2] = [merges[pair][1]]
        place += 1
    return tokens


ENCODE = Exercise(
    id="tokenization.encode_by_rank",
    title="Encoding a word by merge rank",
    minutes=12,
    difficulty=3,
    statement=(
        "`merges` is a dict from a pair of ids to (rank, new id). Merge the neighbours of lowest "
        "rank, the leftmost of them if it occurs more than once, and repeat until no neighbours "
        "are in `merges`. Return the ids that remain, as a new list."
    ),
    solution=byte_bpe.encode_by_rank,
    reference=_rank_after_rank,
    generator=word_and_ranks,
    probes=(
        Probe("one merge", lambda: call([5, 0, 1], _LADDER), "One pair is known, and is merged."),
        Probe(
            "a ladder of merges",
            lambda: call([0, 1, 2, 3], _LADDER),
            "Each merge makes the next one possible: go on until nothing is left to merge.",
        ),
        Probe(
            "the pair of lower rank is further right",
            lambda: call([0, 1, 2], _INNER_FIRST),
            "(1, 2) was learned before (0, 1), so it is merged first although it comes later.",
        ),
        Probe(
            "ids that are not in the order of ranks",
            lambda: call([0, 1, 2, 3], _RENUMBERED),
            "What counts is the rank, the first number, not the id of the new token.",
        ),
        Probe(
            "a dict in a different order",
            lambda: call([0, 1, 2, 3], _LISTED_LATE_FIRST),
            "A dict may list its pairs in any order; the rank is the first number of the value.",
        ),
        Probe(
            "a long token that is never reached",
            lambda: call([0, 1, 2, 3], _LONG_AND_LATE),
            "There is a token for abc, but c and d were joined before it could be made: ab cd.",
        ),
        Probe(
            "a run of five",
            lambda: call([0, 0, 0, 0, 0], _RUN),
            "Equal pairs are merged from the left, so the last 0 is left over.",
        ),
        Probe(
            "the same merge in two places",
            lambda: call([1, 2, 9, 1, 2, 0], _INNER_FIRST),
            "Both occurrences are merged before anything of a higher rank.",
        ),
        Probe(
            "ranks of 5000 and 49 000",
            lambda: call([0, 1, 2, 0, 1], _FAR_DOWN),
            "A large vocabulary has tens of thousands of merges. No rank is too high.",
        ),
        Probe(
            "nothing to merge", lambda: call([3, 2, 1, 0], _LADDER), "The ids come back unchanged."
        ),
        Probe("an empty word", lambda: call([], _LADDER), "An empty word has no tokens."),
    ),
    misconceptions=(
        Misconception(
            "leftmost pair first",
            _choosing(lambda place, rank, new_id: place),
            "You take the first pair that is known. Encoding must replay the training: among all "
            "neighbours in the word, the pair that was learned first is merged first.",
        ),
        Misconception(
            "in one pass from the left",
            _one_pass,
            "You walk over the word once. A merge may make a new pair to the left of it, or one of "
            "lower rank may stand further right: look at all neighbours again after each merge.",
        ),
        Misconception(
            "highest rank first",
            _choosing(lambda place, rank, new_id: (-rank, place)),
            "Rank 0 was learned first and is merged first. You take the largest rank: use `min`.",
        ),
        Misconception(
            "ordered by the new id",
            _choosing(lambda place, rank, new_id: (new_id, place)),
            "You compare ids of new tokens. They often grow with the rank, but need not: a "
            "vocabulary may be numbered in any order. Compare merges[pair][0].",
        ),
        Misconception(
            "in the order of the dict",
            _in_listed_order,
            "You use the position of a pair in the dict as its rank. A dict that was loaded from a "
            "file may be in any order: compare merges[pair][0].",
        ),
        Misconception(
            "the rightmost of equal pairs",
            _choosing(lambda place, rank, new_id: (rank, -place)),
            "Among equal ranks you merge the last one. Training replaced from left to right.",
        ),
        Misconception(
            "longest match",
            _longest_match,
            "You look for the longest token that begins here, as WordPiece does. BPE does not look "
            "at length: an early merge can make a longer token impossible.",
        ),
        Misconception(
            "rank 0 taken for no merge",
            lambda ids, merges: _rank_after_rank(ids, {p: v for p, v in merges.items() if v[0]}),
            "The pair that was learned first has rank 0, and 0 counts as False in a condition. "
            "Ask `pair in merges`, or compare with None.",
        ),
        Misconception(
            "only one merge",
            _one_merge,
            "You merge once. Repeat until no neighbours in the word are in `merges`.",
        ),
    ),
    alternatives=(
        Alternative("the training replayed", _rank_after_rank),
        Alternative("best pair again and again", _choosing(lambda place, rank, _: (rank, place))),
        Alternative("as in the hints", _as_hinted),
        Alternative("by recursion", _by_recursion),
    ),
    hints=(
        "Repeat: list the pairs of neighbours that are in `merges`; if there are none, you are "
        "done.",
        "Of those, choose the one with the smallest (rank, place): `min` compares tuples in order.",
        "tokens[i:i + 2] = [new_id] replaces two items of a list by one. Work on list(ids).",
    ),
)
