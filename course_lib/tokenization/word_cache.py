"""Words seen before need not be encoded again.

Running text repeats itself: of 90 000 words, some 6 000 differ. A dictionary that computes what it
lacks turns encoding into look-ups. It is emptied when full, and leaves out words so long that they
will hardly come again, so its memory is bounded.

Taught in:        tokenization
"""

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

CACHED_WORDS = 1 << 16
CACHED_CHARACTERS = 32


class WordCache(dict[str, list[Found]]):
    """A dictionary from words to lists, such as their ids; what it does not hold it computes."""

    def __init__(self, compute: Callable[[str], list[Found]]) -> None:
        super().__init__()
        self.compute = compute

    def __missing__(self, word: str) -> list[Found]:
        found = self.compute(word)
        if len(word) <= CACHED_CHARACTERS:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = found
        return found
