"""Reading: a model with its KV cache.

The prompt is read in one pass (prefill): many tokens, large matrix products, the processor is busy.
After that each pass reads a single token (decode): matrix times vector, and all weights are
fetched from memory for it. Both fill the cache, so no token passes through the layers twice.

    prefill: read T tokens at once        decode: read 1 token, attend to all S so far

Prompts of different length are padded on the *left*, so that the last column holds the newest token
of every row. Padding is masked in attention, and each row counts positions from 0 at its own first
token.

Taught in:        generation
Paper:            Pope et al. 2022, arXiv:2211.05102 (prefill and decode)
Checked against:  a pass over the whole text without a cache
Shapes:           B batch, T new tokens, S all tokens so far, V vocabulary
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.attention import KVCache
from course_lib.generation.processors import NO_TOKEN
from course_lib.model import Output, token_positions


@runtime_checkable
class LanguageModel(Protocol):
    """What generation needs from a model: a cache and a forward pass."""

    def make_cache(self, batch: int, capacity: int) -> list[KVCache]:
        """Return an empty cache for each layer."""

    def __call__(
        self,
        ids: Tensor,
        padding: Tensor | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> Output:
        """Return the logits of the next token after each token of `ids`."""


def tokens_through_layers(prompt: int, new: int, *, cached: bool) -> int:
    """Return how many tokens pass through the layers while `new` tokens are generated.

    Without a cache each pass reads the whole text so far; with one, each token is read once. The
    last new token is not read at all.
    """
    return prompt + new - 1 if cached else sum(range(prompt, prompt + new))


def most_tokens_per_second(
    parameters: int, bytes_per_parameter: int, bytes_per_second: float
) -> float:
    """Return the limit that memory sets at batch 1, if every weight is fetched for each token."""
    return bytes_per_second / (parameters * bytes_per_parameter)


def left_pad(
    rows: Sequence[Sequence[int]], pad_id: int = 0
) -> tuple[Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Return rows of different length as one batch, and a mask that is True at real tokens."""
    if not rows or not all(rows):
        raise ValueError(
            "a batch needs at least one row, and a row at least one token; got lengths "
            f"{[len(row) for row in rows]}. Start an empty text with the tokenizer's BOS token."
        )
    longest = max(len(row) for row in rows)
    missing = [longest - len(row) for row in rows]
    ids = [[pad_id] * gap + list(row) for gap, row in zip(missing, rows, strict=True)]
    padding = torch.arange(longest) >= torch.tensor(missing)[:, None]
    return torch.tensor(ids), padding


def check_padding(ids: Int[Tensor, "B T"], padding: Bool[Tensor, "..."] | None) -> None:
    """Raise an error unless every row ends with a real token and is padded on its left."""
    if ids.shape[1] < 1:
        raise ValueError(
            "a model continues a text of at least one token; got none. Start with one, such as BOS."
        )
    if padding is None:
        return
    if padding.shape != ids.shape:
        raise ValueError(
            f"padding must have the shape of the ids, {tuple(ids.shape)}; got "
            f"{tuple(padding.shape)}. It is True where there is a real token."
        )
    if not padding[:, -1].all() or (padding[:, :-1] & ~padding[:, 1:]).any():
        raise ValueError(
            "padding must be on the left of each row, False then True; got "
            f"{padding.int().tolist()}. Pad with left_pad, so that every row ends with its newest "
            "token."
        )


class Reader:
    """A model, its cache, and the padding of each row of the batch."""

    def __init__(self, model: LanguageModel, batch: int, capacity: int) -> None:
        self.model = model
        self.cache = model.make_cache(batch, capacity)
        self.padding: Tensor | None = None  # (B, S); None while there is none

    @property
    def length(self) -> int:
        """The number of tokens read so far, padding included."""
        return self.cache[0].length

    def read(
        self, ids: Int[Tensor, "B T"], padding: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B V"]:
        """Read new tokens; return the logits after the last one."""
        return self._pass(ids, padding, last_only=True)[:, -1]

    def read_all(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Read new tokens; return the logits after each of them."""
        return self._pass(ids, None, last_only=False)

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` tokens."""
        for layer in self.cache:
            layer.truncate(length)
        if self.padding is not None:
            self.padding = self.padding[:, :length]

    def select_rows(self, rows: Int[Tensor, " B"]) -> None:
        """Let row i continue what row `rows[i]` has read."""
        for layer in self.cache:
            layer.select_rows(rows)
        if self.padding is not None:
            self.padding = self.padding[rows]

    def _pass(self, ids: Tensor, padding: Tensor | None, last_only: bool) -> Tensor:
        self._remember(ids, padding)
        positions = None
        if self.padding is not None:
            positions = token_positions(self.padding, ids.shape[1])
        output = self.model(ids, self.padding, self.cache, positions, last_only=last_only)
        return output.logits

    def _remember(self, ids: Tensor, padding: Tensor | None) -> None:
        if padding is None and self.padding is None:
            return
        new = torch.ones_like(ids, dtype=torch.bool) if padding is None else padding
        before = self.padding
        if before is None:
            before = torch.ones(len(ids), self.length, dtype=torch.bool, device=ids.device)
        self.padding = torch.cat((before, new), dim=1)


def without_padding(
    ids: Int[Tensor, "B T"], padding: Bool[Tensor, "B T"] | None
) -> Int[Tensor, "B T"]:
    """Return the ids with NO_TOKEN in place of padding, as processors expect."""
    return ids if padding is None else ids.masked_fill(~padding, NO_TOKEN)
