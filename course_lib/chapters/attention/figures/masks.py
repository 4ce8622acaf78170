"""Which token may attend to which, and the weights that result.

Taught in:        attention
Checked against:  masks written cell by cell
Shapes:           T query tokens, S key tokens
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.attention import (
    causal_mask,
    padding_mask,
    prefix_mask,
    scores_to_weights,
    sliding_window_mask,
)
from course_lib.study.display.plotting import Margins, heatmap, new_figure, title


def _everything(queries: int, keys: int, size: int) -> Bool[Tensor, "T S"]:
    return torch.ones(queries, keys, dtype=torch.bool)


def _causal(queries: int, keys: int, size: int) -> Bool[Tensor, "T S"]:
    return causal_mask(queries, keys)


def _sliding(queries: int, keys: int, size: int) -> Bool[Tensor, "T S"]:
    return sliding_window_mask(queries, keys, window=max(size, 1))


def _prefix(queries: int, keys: int, size: int) -> Bool[Tensor, "T S"]:
    return prefix_mask(queries, keys, prefix=min(size, keys))


def _padded(queries: int, keys: int, size: int) -> Bool[Tensor, "T S"]:
    real = torch.tensor([keys - min(size, keys)])
    return causal_mask(queries, keys) & padding_mask(real, keys, side="left")[0, 0]


MASKS: dict[str, Callable[[int, int, int], Bool[Tensor, "T S"]]] = {
    "everything": _everything,
    "causal": _causal,
    "sliding window": _sliding,
    "prefix": _prefix,
    "causal + padding on the left": _padded,
}


def mask_and_weights(
    kind: str = "causal", size: int = 3, queries: int = 8, keys: int = 8
) -> Figure:
    """Draw a mask, and the weights of fixed random scores under it.

    `size` is the window, the prefix or the number of padding places. The queries are the last of
    the keys.
    """
    if kind not in MASKS:
        raise ValueError(f"kind must be one of {', '.join(MASKS)}; got {kind!r}.")
    mask = MASKS[kind](queries, keys, size)
    scores = 3 * torch.sin(torch.arange(keys * keys) * 1.7).reshape(keys, keys)[keys - queries :]
    weights = scores_to_weights(scores, mask)
    names = [str(place) for place in range(keys)]
    figure, (left, right) = new_figure(
        9.0, 3.9, cols=2, margins=Margins(left=0.6, bottom=0.55, top=0.65, across=0.7)
    )
    heatmap(left, mask.float(), names[keys - queries :], names, mask=mask)
    heatmap(right, weights, names[keys - queries :], names, mask=mask)
    for ax in (left, right):
        ax.set(xlabel="key position", ylabel="query position")
    share = mask.float().mean().item()
    title(left, f"{kind}: {int(mask.sum())} of {mask.numel()} pairs allowed ({share:.0%}, yellow)")
    empty = int((~mask.any(-1)).sum())
    rows = "1 row reads" if empty == 1 else f"{empty} rows read"
    title(
        right,
        f"{rows} nothing: zeros"
        if empty
        else "each row of weights adds up to 1 (blue: 0, yellow: 1)",
    )
    return figure
