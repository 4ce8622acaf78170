"""Maps of trained heads: all of them as one image, one of them large, one token's lines.

They take the weights of any model, (layers, heads, T, S), with the tokens as strings: those of
`course_lib`, or of a `transformers` model that was run with `output_attentions=True`.

Taught in:        attention
Paper:            Clark et al. 2019, arXiv:1906.04341
Checked against:  pixels and lines read back from the drawn figure
Shapes:           L layers, H heads, T query tokens, S key tokens
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from course_lib.attention import first_token_score, induction_targets, previous_token_score
from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    WEIGHTS,
    Margins,
    as_array,
    heatmap,
    new_figure,
    title,
)

_CELL = 40  # pixels: a longer map is shrunk in the mosaic, keeping the largest weight of each block
_CLEAR = 0.25  # below this weight on every kind of place, a head has no clear pattern
_LONGEST = 64  # tokens: more lines than that cannot be told apart


def kind_of_head(weights: Float[Tensor, "T S"], tokens: Sequence[str]) -> tuple[str, float]:
    """Return what a head mostly reads, in words, and how much of its attention that takes."""
    if weights.shape[0] != weights.shape[1] or len(tokens) < 2:
        return "one key", weights.max().item()
    number = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    followers = induction_targets(torch.tensor([number[token] for token in tokens]))
    repeated = followers.any(-1)
    found = {
        "the token before": previous_token_score(weights).item(),
        "the first token": first_token_score(weights).item(),
        "itself": weights.diagonal()[1:].mean().item(),
    }
    if repeated.any():
        followed = (weights.cpu() * followers).sum(-1)[repeated].mean().item()
        found["what followed last time"] = followed
    return max(found.items(), key=lambda item: item[1])


def mosaic_image(weights: Float[Tensor, "L H T S"]) -> np.ndarray:
    """Return all maps side by side as one array, a row for each layer, with gaps of nan."""
    maps = _shrunk(as_array(weights))
    layers, heads, rows, cols = maps.shape
    gap = max(1, round(max(rows, cols) / 14))
    wide = np.full((layers, heads, rows + gap, cols + gap), np.nan)
    wide[:, :, :rows, :cols] = maps
    whole = wide.transpose(0, 2, 1, 3).reshape(layers * (rows + gap), heads * (cols + gap))
    return whole[:-gap, :-gap]


def _shrunk(maps: np.ndarray) -> np.ndarray:
    layers, heads, rows, cols = maps.shape
    by = -(-max(rows, cols) // _CELL)
    padded = np.zeros((layers, heads, -(-rows // by) * by, -(-cols // by) * by))
    padded[:, :, :rows, :cols] = maps
    blocks = padded.reshape(layers, heads, padded.shape[2] // by, by, padded.shape[3] // by, by)
    smaller: np.ndarray = blocks.max(axis=(3, 5))
    return smaller


def attention_maps(
    weights: Float[Tensor, "L H T S"], tokens: Sequence[str], layer: int = 0, head: int = 0
) -> Figure:
    """Draw all heads as one mosaic with one framed, and that one large beside it."""
    _check(weights, tokens, layer, head)
    kind, share = kind_of_head(weights[layer, head], tokens)
    layers, heads = weights.shape[:2]
    longest = 0.085 * max(len(token_label(token)) for token in tokens)  # inches of the labels
    margins = Margins(
        left=0.6, right=0.85, bottom=max(0.6, 0.45 + longest), top=0.65, across=0.7 + longest
    )
    figure, (left, right) = new_figure(11.5, 5.0, cols=2, margins=margins)
    _mosaic(left, weights, layer, head)
    readers = list(tokens)[len(tokens) - weights.shape[2] :]
    read = (weights > 0).any(0).any(0)  # a cell that no head reads is hidden by the mask
    image = heatmap(right, weights[layer, head], readers, tokens, mask=read)
    bar = figure.colorbar(image, ax=right, fraction=0.04, pad=0.02)
    bar.set_label("weight (grey: masked)")
    bar.set_ticks([0, 0.5, 1], labels=["0", "0.5", "1"])
    bar.outline.set_visible(False)
    right.tick_params(labelsize=7 if len(tokens) > 24 else 9)
    right.set(xlabel="key (the token that is read)", ylabel="query (the token that reads)")
    title(left, f"All {layers * heads} heads (the framed one is enlarged)")
    title(right, f"Layer {layer}, head {head} {_pattern(kind, share)}")
    return figure


def _pattern(kind: str, share: float) -> str:
    if share < _CLEAR:
        return f"has no clear pattern (at most {share:.2f} on any kind of place)"
    return f"reads mostly {kind} ({share:.2f})"


def _mosaic(ax: Axes, weights: Float[Tensor, "L H T S"], layer: int, head: int) -> None:
    layers, heads = weights.shape[:2]
    image = mosaic_image(weights)
    image[image == 0] = np.nan  # hidden by the mask
    tall, wide = (side / count for side, count in zip(image.shape, (layers, heads), strict=True))
    cmap = WEIGHTS.cmap.with_extremes(bad="white")
    ax.imshow(image, cmap=cmap, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_yticks([(i + 0.5) * tall - 0.5 for i in range(layers)], [str(i) for i in range(layers)])
    ax.set_xticks([(i + 0.5) * wide - 0.5 for i in range(heads)], [str(i) for i in range(heads)])
    ax.set(xlabel="head", ylabel="layer")
    corner = (head * wide - 0.5, layer * tall - 0.5)
    frame = Rectangle(
        corner, wide, tall, fill=False, edgecolor=OKABE_ITO.vermillion, linewidth=2.5, clip_on=False
    )
    ax.add_patch(frame)


def attention_lines(
    weights: Float[Tensor, "T S"], tokens: Sequence[str], query: int, name: str = "This head"
) -> Figure:
    """Draw the tokens twice, and from one of them lines to what it reads, as thick as it reads."""
    if not 0 <= query < len(weights):
        raise ValueError(
            f"query must be a row of the map, 0 to {len(weights) - 1}; got {query}. "
            "Queries are counted from 0."
        )
    if len(tokens) > _LONGEST:
        raise ValueError(
            f"lines are drawn for at most {_LONGEST} tokens; got {len(tokens)}. "
            "Draw a part of the text, weights[..., :64, :64]."
        )
    readers = list(tokens)[len(tokens) - len(weights) :]
    offset = len(tokens) - len(weights)
    figure, ax = new_figure(5.5, max(2.0, 0.22 * len(tokens) + 0.7), margins=Margins(0.1, 0.1, 0.1))
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(len(tokens) - 0.5, -0.5))
    for place, token in enumerate(tokens):
        ax.text(0.66, place, token_label(token), va="center", size=9)
    for place, token in enumerate(readers):
        chosen = place == query
        ax.text(
            0.34,
            place + offset,
            token_label(token),
            va="center",
            ha="right",
            size=9,
            color="black" if chosen else FAINT,
            weight="bold" if chosen else "normal",
        )
    for place, weight in enumerate(weights[query].tolist()):
        if weight > 0.004:
            ax.plot(
                (0.36, 0.64),
                (query + offset, place),
                color=OKABE_ITO.blue,
                alpha=min(1.0, 0.1 + weight),
                linewidth=0.5 + 5 * weight,
                solid_capstyle="round",
            )
    best = int(weights[query].argmax())
    read = f"{token_label(tokens[best])} with {weights[query, best]:.2f}"
    title(ax, f"{name}: {token_label(readers[query])} reads mostly {read}")
    return figure


def _check(weights: Tensor, tokens: Sequence[str], layer: int, head: int) -> None:
    layers, heads, _, keys = weights.shape
    if len(tokens) != keys:
        raise ValueError(
            f"each key needs one token; got {len(tokens)} tokens for {keys} keys. "
            "Pass the tokens of the text that was read, special ones included."
        )
    if not (0 <= layer < layers and 0 <= head < heads):
        raise ValueError(
            f"there are {layers} layers of {heads} heads, counted from 0; got layer {layer}, head "
            f"{head}. Choose within them."
        )
