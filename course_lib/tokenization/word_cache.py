"""Words seen before need not be encoded again.

Running text repeats itself: of 90 000 words, some 6 000 differ. A dictionary that computes what it
lacks turns encoding into look-ups. It is emptied when full, and leaves out words so long that they
will hardly come again, so its memory is bounded.

Taught in:        tokenization
"""

from collections.abc import Callable

CACHED_WORDS = 1 << 16
CACHED_CHARACTERS = 32


class WordCache(dict[str, list[int]]):
    """A dictionary from words to their ids that asks `encode_word` for a word it does not hold."""

    def __init__(self, encode_word: Callable[[str], list[int]]) -> None:
        super().__init__()
        self.encode_word = encode_word

    def __missing__(self, word: str) -> list[int]:
        ids = self.encode_word(word)
        if len(word) <= CACHED_CHARACTERS:
            if len(self) >= CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids
