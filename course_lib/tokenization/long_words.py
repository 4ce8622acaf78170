"""Merging inside one long word, such as a text without spaces, in time for what a merge changes.

Most words are so short that writing them anew for each merge is the fastest way. A word of 100 000
letters would be written anew thousands of times. So its tokens are linked, each with the one before
and the one after it, and for each pair the places where it stands are known.

Taught in:        tokenization
Checked against:  the `tokenizers` trainer, merge by merge
"""

from collections import Counter, defaultdict
from operator import add

LONG = 256  # tokens


class LongWord:
    """A word whose tokens, a character each, are linked."""

    def __init__(self, word: str) -> None:
        self.tokens = [*word, ""]  # a merge leaves "" where its right token was
        self.after = list(range(1, len(self.tokens) + 1))
        self.before = list(range(-1, len(word)))
        self.places: dict[str, list[int]] = defaultdict(list)
        for place, pair in enumerate(map(add, word, word[1:])):
            self.places[pair].append(place)

    def word(self) -> str:
        """Return the tokens."""
        return "".join(self.tokens)

    def merge(self, pair: str, new: str) -> tuple[Counter[str], int]:
        """Apply one merge; return by how much pairs became more or fewer, and how often it did."""
        tokens, after, before = self.tokens, self.after, self.before
        changes: Counter[str] = Counter()
        joined = 0
        for left in sorted(self.places.pop(pair, ())):
            right = after[left]
            if tokens[left] + tokens[right] != pair:
                continue  # another merge has taken one of the two
            start, end = before[left], after[right]
            for old in (tokens[start] + pair[0], pair[1] + tokens[end]):
                changes[old] -= 1
            tokens[left], tokens[right] = new, ""
            after[left], before[end] = end, left
            for place, arisen in ((start, tokens[start] + new), (left, new + tokens[end])):
                changes[arisen] += 1
                self.places[arisen].append(place)
            joined += 1
        changes[pair] -= joined
        return Counter({key: n for key, n in changes.items() if n and len(key) == 2}), joined
