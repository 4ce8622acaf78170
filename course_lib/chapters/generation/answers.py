"""Answers that only the exercises of this chapter need: filters in a row, one step of a cache.

The library applies a list of processors (`Sampling`, `next_distribution`) and writes into a
`KVCache`. Here are the same steps as functions of tensors alone.

Taught in:        generation
Checked against:  `next_distribution`, `KVCache` with the causal mask
Shapes:           B batch, V vocabulary, G key/value heads, T new tokens, N room in the caches,
                  D head width
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from course_lib.generation import apply_temperature, keep_top_k, keep_top_p


def filtered_distribution(
    logits: Float[Tensor, "B V"], temperature: float, k: int, p: float
) -> Float[Tensor, "B V"]:
    """Return the probabilities after temperature, top-k and top-p, in this order.

    Each step sees what the one before it has left. One softmax at the very end shares everything
    out among the tokens that are still there.
    """
    return keep_top_p(keep_top_k(apply_temperature(logits, temperature), k), p).softmax(-1)


def update_cache(
    keys: Float[Tensor, "B G N D"],
    values: Float[Tensor, "B G N D"],
    k: Float[Tensor, "B G T D"],
    v: Float[Tensor, "B G T D"],
    length: int,
) -> tuple[Float[Tensor, "B G N D"], Float[Tensor, "B G N D"], Bool[Tensor, "T N"]]:
    """Return caches with T new rows behind the first `length`, and what each new token may read.

    What `KVCache.append` and the causal mask do together, as a pure function on caches of fixed
    size N: the mask covers all of it, so that no shape changes from step to step.
    """
    end = length + k.shape[2]
    if not 0 <= length <= end <= keys.shape[2]:
        raise ValueError(
            f"new tokens must fit behind the first `length` of {keys.shape[2]} places; got length "
            f"{length} and {k.shape[2]} new tokens. Make caches of larger capacity."
        )
    keys, values = keys.clone(), values.clone()
    keys[:, :, length:end] = k
    values[:, :, length:end] = v
    places = torch.arange(keys.shape[2], device=keys.device)
    return keys, values, places <= places[length:end, None]
