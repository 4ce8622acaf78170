"""A conversation: message after message, none of which is read twice.

Each turn passes the whole conversation to the model again, with one more answer and question. The
keys and values of its first part are still cached, so only what is new is read.

    read before:   a b c d e            asked now:   a b c d f g
    kept:          a b c d              read:                f g

Taught in:        generation
Checked against:  the same conversation, read again in full at every turn
Shapes:           B = 1, T new tokens
"""

from collections.abc import Generator, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.device import seeded
from course_lib.generation.cached_reader import LanguageModel
from course_lib.generation.processors import Sampling
from course_lib.generation.text_model import ANSWER_TOKENS, TextModel
from course_lib.model import Output
from course_lib.tokenization.chat import Message

Pieces = Generator[str, None, None]


class RememberingModel:
    """A language model that keeps its cache from text to text and reads only what is new."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.cache: list[KVCache] = []
        self.read: list[int] = []  # the ids whose keys and values are in the cache

    def make_cache(self, batch: int, capacity: int) -> list[KVCache]:
        """Return the cache of the last text, with room for this one, to be filled from the start.

        What it holds stays in memory; the first pass finds out how much of it can be used.
        """
        if batch != 1:
            raise ValueError(
                f"a conversation is one row; got a batch of {batch}. Use the model itself."
            )
        if not self.cache or self.cache[0].capacity < capacity:
            held, self.cache = self.cache, self.model.make_cache(1, 2 * capacity)
            for old, new in zip(held, self.cache, strict=False):  # there is none at first
                old.length = len(self.read)
                new.append(old.keys, old.values)
        for layer in self.cache:
            layer.truncate(0)
        return self.cache

    def __call__(
        self,
        ids: Tensor,
        padding: Tensor | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> Output:
        """Return the logits after the last token; a text is read from its first new token on."""
        layers, given = self.cache if cache is None else cache, ids[0].tolist()
        if layers[0].length == 0:
            known = min(_common(self.read, given), len(given) - 1)  # the last one gives the logits
            for layer in layers:
                layer.length = known
            self.read, given, ids = given[:known], given[known:], ids[:, known:]
        output = self.model(ids, padding, layers, positions, last_only=last_only)
        self.read += given  # only after the pass, which may be interrupted
        return output


class Conversation:
    """The messages so far, and the cache of them."""

    def __init__(self, model: TextModel, sampling: Sampling, seed: int | None = None) -> None:
        self.model = model
        self.sampling = sampling
        self.generator: torch.Generator | None = None if seed is None else seeded(seed)
        # A key that was rotated for a shorter text must not be read again.
        keeps = not model.rotation_moves
        self.reader: LanguageModel = RememberingModel(model.model) if keeps else model.model
        self.messages: list[Message] = []

    def say(self, text: str, max_new_tokens: int = ANSWER_TOKENS) -> Pieces:
        """Yield the answer in pieces; what was generated of it is remembered."""
        asked = [*self.messages, {"role": "user", "content": text}]
        answer: list[str] = []
        try:
            for piece in self._pieces(self.model.chat_ids(asked), max_new_tokens):
                answer.append(piece)
                yield piece
        finally:
            if answer:
                self.messages = [*asked, {"role": "assistant", "content": "".join(answer)}]

    def continue_text(self, text: str, max_new_tokens: int = ANSWER_TOKENS) -> Pieces:
        """Yield what a base model generates after a text; it is not remembered."""
        return self._pieces(self.model.prompt_ids(text), max_new_tokens)

    def reset(self) -> None:
        """Forget all messages."""
        self.messages = []

    def _pieces(self, ids: list[int], max_new_tokens: int) -> Pieces:
        count = self.model.room(ids, max_new_tokens)
        yield from self.model.pieces(
            ids, count, self.sampling, generator=self.generator, reader=self.reader
        )


def _common(before: Sequence[int], now: Sequence[int]) -> int:
    """Return the length of the common prefix."""
    pairs = zip(before, now, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
