"""Merging inside one long word, such as a text without spaces, in time for what a merge changes.

Most words are so short that writing them anew for each merge is the fastest way. A word of 100 000
letters would be written anew thousands of times. So its tokens are linked, each with the one before
and the one after it, and for each pair the places where it stands are known.

Taught in:        tokenization
Checked against:  the `tokenizers` trainer, merge by merge
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

Pair = tuple[int, int]
LONG = 256  # tokens


class LongWord:
    """A word whose tokens are linked."""

    def __init__(self, ids: Sequence[int]) -> None:
        self.tokens = [*ids, -1]  # a merge leaves -1 where its right token was
        self.after = list(range(1, len(self.tokens) + 1))
        self.before = list(range(-1, len(ids)))
        self.places: dict[Pair, list[int]] = defaultdict(list)
        for place, pair in enumerate(pairwise(ids)):
            self.places[pair].append(place)

    def ids(self) -> list[int]:
        """Return the tokens."""
        return [token for token in self.tokens if token >= 0]

    def merge(self, pair: Pair, new_id: int) -> tuple[Counter[Pair], int]:
        """Apply one merge; return by how much pairs became more or fewer, and how often it did."""
        tokens, after, before = self.tokens, self.after, self.before
        changes: Counter[Pair] = Counter()
        joined = 0
        for left in sorted(self.places.pop(pair, ())):
            right = after[left]
            if (tokens[left], tokens[right]) != pair:
                continue  # another merge has taken one of the two
            start, end = before[left], after[right]
            for old in ((tokens[start], pair[0]), (pair[1], tokens[end])):
                changes[old] -= 1
            tokens[left], tokens[right] = new_id, -1
            after[left], before[end] = end, left
            for place, new in ((start, (tokens[start], new_id)), (left, (new_id, tokens[end]))):
                changes[new] += 1
                self.places[new].append(place)
            joined += 1
        changes[pair] -= joined
        return Counter({key: n for key, n in changes.items() if n and -1 not in key}), joined
