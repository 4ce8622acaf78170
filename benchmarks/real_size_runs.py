"""What contestants of `real_size` and `model` do: read a prompt, or generate after a cached one.

A run can be repeated: it always begins with the same cache.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_lib.device import seeded
from course_lib.model import ModelConfig

NEW = 8  # tokens that a run generates


def text(config: ModelConfig, rows: int, tokens: int) -> Tensor:
    """Return random ids of this many tokens in each row."""
    return torch.randint(config.vocab_size, (rows, tokens), generator=seeded(rows))


def our_pass(model: Any, ids: Tensor) -> Callable[[], Tensor]:
    """Return a run that reads a prompt into an empty cache, for the logits after it."""
    cache = model.make_cache(*ids.shape)

    def run() -> Tensor:
        for layer in cache:
            layer.truncate(0)
        logits: Tensor = model(ids, cache=cache, last_only=True).logits
        return logits

    return run


def their_pass(model: Any, ids: Tensor) -> Callable[[], Tensor]:
    """Return the same for a model of transformers, with a new cache each time."""
    from transformers import DynamicCache

    return lambda: (
        model(ids, past_key_values=DynamicCache(config=model.config), logits_to_keep=1).logits
    )


def some_keys(config: Any, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
    """Return keys and values as a prompt leaves them in a cache; time does not depend on which."""
    heads = config.num_attention_heads  # all that transformers' configuration of GPT-2 tells
    shared = getattr(config, "num_key_value_heads", heads)
    shape = rows, shared, tokens, getattr(config, "head_dim", config.hidden_size // heads)
    return torch.randn(shape, generator=seeded(0)), torch.randn(shape, generator=seeded(1))


def our_decoding(model: Any, rows: int, tokens: int) -> Callable[[], Tensor]:
    """Return a run that generates `NEW` tokens after a cached prompt, for the last scores."""
    cache = model.make_cache(rows, tokens + NEW)
    keys, values = (x.to(cache[0].keys.dtype) for x in some_keys(model.config, rows, tokens))
    for layer in cache:
        layer.append(keys, values)

    def run() -> Tensor:
        chosen = torch.ones(rows, 1, dtype=torch.long)
        for _ in range(NEW):
            logits: Tensor = model(chosen, cache=cache).logits
            chosen = logits[:, -1].argmax(-1, keepdim=True)
        for layer in cache:
            layer.truncate(tokens)
        return logits

    return run


def their_decoding(model: Any, rows: int, tokens: int) -> Callable[[], Tensor]:
    """Return the same for a model of transformers."""
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    keys, values = (x.to(model.dtype) for x in some_keys(model.config, rows, tokens))
    for layer in range(model.config.num_hidden_layers):
        cache.update(keys.clone(), values.clone(), layer)  # each layer reads memory of its own

    def run() -> Tensor:
        chosen = torch.ones(rows, 1, dtype=torch.long)
        for _ in range(NEW):
            logits: Tensor = model(chosen, past_key_values=cache).logits
            chosen = logits[:, -1].argmax(-1, keepdim=True)
        cache.crop(-NEW)
        return logits

    return run
