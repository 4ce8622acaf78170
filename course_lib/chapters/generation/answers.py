"""Answers that only the exercises need: filters in a row, a step of a cache, a plain loop.

The library applies a list of processors (`Sampling`, `next_distribution`), writes into a `KVCache`
and generates with `stream`. Here are the same steps as short functions.

Taught in:        generation
Checked against:  `next_distribution`, `KVCache` with the causal mask, a loop without a cache
Shapes:           B batch, V vocabulary, G key/value heads, T tokens read, N capacity of the
                  caches, or number of new tokens; D head width
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.generation import (
    LanguageModel,
    apply_temperature,
    draw,
    keep_top_k,
    keep_top_p,
)


def filtered_distribution(
    logits: Float[Tensor, "B V"], temperature: float, k: int, p: float
) -> Float[Tensor, "B V"]:
    """Return the probabilities after temperature, top-k and top-p, in this order.

    Each step sees what the one before it kept. One softmax at the very end distributes the
    probability over the tokens that are left.
    """
    return keep_top_p(keep_top_k(apply_temperature(logits, temperature), k), p).softmax(-1)


def update_cache(
    keys: Float[Tensor, "B G N D"],
    values: Float[Tensor, "B G N D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T D"],
    length: int,
) -> tuple[Float[Tensor, "B G N D"], Float[Tensor, "B G N D"], Bool[Tensor, "T N"]]:
    """Return caches with T new rows after the first `length`, and what each new token may read.

    What `KVCache.append` and the causal mask do together, as a pure function on caches of fixed
    size N: the mask covers all of it, so that no shape changes from step to step.
    """
    end = length + k.shape[2]
    if not 0 <= length <= end <= keys.shape[2]:
        raise ValueError(
            f"new tokens must fit after the first `length` of {keys.shape[2]} places; got length "
            f"{length} and {k.shape[2]} new tokens. Make caches of larger capacity."
        )
    keys, values = keys.clone(), values.clone()
    keys[:, :, length:end] = k
    values[:, :, length:end] = v
    places = torch.arange(keys.shape[2], device=keys.device)
    return keys, values, places <= places[length:end, None]


def sample_tokens(
    model: LanguageModel, ids: Int[Tensor, "B T"], uniform: Float[Tensor, "B N"]
) -> Int[Tensor, "B N"]:
    """Return N tokens sampled after each row of `ids`; step i uses the numbers `uniform[:, i]`.

    The loop of `stream` without stop strings, padding and processors: one cache for all passes,
    the prompt in the first pass, one token in each of the others.
    """
    new_tokens = uniform.shape[1]
    cache = model.make_cache(ids.shape[0], ids.shape[1] + new_tokens)
    unread, found = ids, []
    for step in range(new_tokens):
        logits = model(unread, cache=cache).logits[:, -1]  # (B, V)
        token = draw(logits.softmax(-1), uniform[:, step])
        found.append(token)
        unread = token[:, None]
    return torch.stack(found, dim=1)
