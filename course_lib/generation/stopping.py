"""Stopping: when a text is finished, and how much of it may be shown already.

A model never stops by itself. It generates a token that is agreed to mean the end, or a string that
does, such as the start of the next question. A stop string may end in the middle of a token and
start several tokens earlier.

Taught in:        generation
Paper:            none
Checked against:  transformers' StopStringCriteria
Shapes:           none
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Decode = Callable[[list[int]], str]
UNFINISHED = "\ufffd"  # what decoders show for bytes of an incomplete character


@dataclass(frozen=True)
class Stop:
    """The ids and strings that end a text; `decode` turns ids into the text to search in."""

    ids: tuple[int, ...] = ()
    strings: tuple[str, ...] = ()
    decode: Decode | None = None

    def __post_init__(self) -> None:
        if self.strings and self.decode is None:
            raise ValueError(
                f"stop strings are searched in text, so ids must be decoded; got {self.strings} "
                "without a decoder. Pass decode=tokenizer.decode."
            )
        if "" in self.strings:
            raise ValueError(
                f"a stop string needs at least one character; got {self.strings}. The empty one is "
                "in every text, so generation would stop at once."
            )

    def ended(self, written: Sequence[int]) -> bool:
        """Return whether the text ends with the last of the tokens written so far."""
        if written and written[-1] in self.ids:
            return True
        if not self.strings or self.decode is None:
            return False
        text = self.decode(list(written))
        return any(string in text for string in self.strings)

    def place_in(self, text: str) -> int | None:
        """Return where the first stop string in `text` begins, or None if there is none."""
        places = [text.find(string) for string in self.strings]
        found = [place for place in places if place >= 0]
        return min(found) if found else None

    def shown(self, text: str) -> str:
        """Return as much of an unfinished `text` as can be shown without having to take it back.

        The bytes of an incomplete character are held back, and an ending that may turn out to be
        the start of a stop string.
        """
        place = self.place_in(text)
        if place is not None:
            return text[:place]
        text = text.rstrip(UNFINISHED)
        held = max((_overlap(text, string) for string in self.strings), default=0)
        return text[: len(text) - held]


NEVER = Stop()


def _overlap(text: str, string: str) -> int:
    """Return the length of the longest ending of `text` that is a prefix of `string`."""
    lengths = range(min(len(text), len(string) - 1), 0, -1)
    return next((n for n in lengths if text.endswith(string[:n])), 0)
