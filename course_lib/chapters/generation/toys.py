"""A tiny model that counts the tokens that pass through its layers.

A loop that generates text is right only if it reads each token once. The ids alone cannot show
that: a loop without a cache finds the same ones. So the model counts.

Taught in:        generation
Checked against:  `tokens_through_layers`
Shapes:           B batch, T tokens, N new tokens, V vocabulary
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from torch import Tensor

from course_lib.attention import KVCache
from course_lib.device import seeded, seeded_draws
from course_lib.model import DecoderLM, ModelConfig, Output
from course_lib.study.check.spec import Call

KEPT = 8192
"""How many passes are kept: more than one exercise needs, and a few megabytes."""


class ReadAgainError(ValueError):
    """More tokens passed through the layers than the prompt and the new tokens together."""


class CountedModel:
    """A language model that counts the tokens of all its passes; a copy of it is the same model.

    What a pass over the same ids after the same cache returned and wrote is kept, since the checks
    of an exercise repeat their passes thousands of times.
    """

    def __init__(self, model: DecoderLM) -> None:
        self.model = model
        self.tokens = 0
        self._passes: dict[Any, tuple[Tensor, list[tuple[Tensor, Tensor]]]] = {}

    def make_cache(self, batch: int, capacity: int) -> list[KVCache]:
        """Return an empty cache for each layer."""
        return self.model.make_cache(batch, capacity)

    def __call__(
        self,
        ids: Tensor,
        padding: Tensor | None = None,
        cache: Sequence[KVCache] | None = None,
        positions: Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> Output:
        """Run the model on `ids`, after what the cache holds."""
        self.tokens += ids.numel()
        if padding is not None or positions is not None or ids.device.type != "cpu":
            return self.model(ids, padding, cache, positions, last_only=last_only)
        return Output(self._logits(ids, cache or (), last_only))

    def _logits(self, ids: Tensor, cache: Sequence[KVCache], last_only: bool) -> Tensor:
        held = [part for layer in cache for part in (layer.keys, layer.values)]
        key = last_only, *((x.dtype, x.shape, x.numpy().tobytes()) for x in (ids, *held))
        if key not in self._passes:
            before = [layer.length for layer in cache]
            logits = self.model(ids, cache=cache or None, last_only=last_only).logits
            written = [
                (layer.keys[:, :, start:].clone(), layer.values[:, :, start:].clone())
                for layer, start in zip(cache, before, strict=True)
            ]
            if len(self._passes) == KEPT:
                self._passes.clear()
            self._passes[key] = logits.clone(), written
            return logits
        logits, written = self._passes[key]
        for layer, (keys, values) in zip(cache, written, strict=True):
            layer.append(keys, values)
        return logits.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> "CountedModel":
        return self

    def __repr__(self) -> str:
        config = self.model.config
        return f"a model of {config.num_hidden_layers} layers, vocabulary {config.vocab_size}"


@lru_cache(maxsize=8)
def counted_model(seed: int = 0, vocabulary: int = 7) -> CountedModel:
    """Return a random model in float64 whose next token depends clearly on what came before."""
    with seeded_draws(seed):
        model = DecoderLM(ModelConfig(vocabulary, 8, 12, 2, 2, 1, 4, 64))
    model = model.double().requires_grad_(False).eval()
    generator = seeded(seed)
    for parameter in model.parameters():
        parameter.normal_(std=0.7, generator=generator)
    return CountedModel(model)


@contextmanager
def each_token_once(given: Call) -> Iterator[None]:
    """Raise an error if a call passes more tokens through the model than it must.

    The last new token need not be read; reading it too is no mistake.
    """
    model, ids, uniform = given.args
    before, most = model.tokens, ids.numel() + uniform.numel()
    yield
    read = model.tokens - before
    if read > most:
        raise ReadAgainError(
            f"{read} tokens passed through the layers; the prompt and the new tokens are {most}. "
            "Keep one cache for all passes, and give each pass only what it has not read yet."
        )
