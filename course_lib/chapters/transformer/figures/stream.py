"""The residual stream: the length of its vectors, and the predictions of the logit lens.

Taught in:        transformer
Paper:            nostalgebraist 2020, "interpreting GPT: the logit lens"
Checked against:  lines, colours and words read back from the drawn figure
Shapes:           P places of the stream, T tokens, V vocabulary
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from course_lib.study.display.labels import token_label
from course_lib.study.display.plotting import (
    FAINT,
    OKABE_ITO,
    Margins,
    heatmap,
    new_figure,
    readable_on,
    title,
)


def places(count: int) -> list[str]:
    """Return the names of the places of a stream, from the embedding up."""
    return ["embedding", *(f"layer {layer}" for layer in range(count - 1))]


def residual_norms(norms: Float[Tensor, "P T"], tokens: Sequence[str]) -> Figure:
    """Draw the length of each token's vector at each place."""
    figure, ax = new_figure(6, 3.8)
    _norms(ax, norms, tokens)
    return figure


def lens(
    logits: Float[Tensor, "P T V"], vocabulary: Sequence[str], tokens: Sequence[str]
) -> Figure:
    """Draw the prediction at each place of the stream, the last place on top."""
    figure, ax = new_figure(0.9 * len(tokens) + 1.8, 0.42 * len(logits) + 1.6)
    image = _lens(ax, logits, vocabulary, tokens)
    bar = figure.colorbar(image, ax=ax, fraction=0.03, pad=0.01)
    bar.set_label("probability of the predicted token")
    return figure


def stream_and_lens(
    norms: Float[Tensor, "P T"],
    logits: Float[Tensor, "P T V"],
    vocabulary: Sequence[str],
    tokens: Sequence[str],
) -> Figure:
    """Draw the lengths and the logit lens side by side."""
    margins = Margins(left=0.85, right=0.2, bottom=0.85, top=0.75, across=1.15)
    figure, (left, right) = new_figure(13, 4.4, cols=2, margins=margins, width_ratios=(3, 8))
    _norms(left, norms, tokens)
    _lens(right, logits, vocabulary, tokens)
    right.set_xlabel("token that is read; in each cell: the predicted next token, yellow: certain")
    return figure


def _norms(ax: Axes, norms: Float[Tensor, "P T"], tokens: Sequence[str]) -> None:
    longest = int(norms[-1].argmax())
    others = [list(enumerate(norms[:, i].tolist())) for i in range(len(tokens)) if i != longest]
    ax.add_collection(LineCollection(others, colors=OKABE_ITO.sky, linewidths=1, alpha=0.7))
    ax.plot(norms[:, longest].tolist(), color=OKABE_ITO.vermillion, lw=2)
    middle = norms.median(dim=1).values
    ax.plot(middle.tolist(), color="black", lw=2, linestyle="--")
    ax.set(yscale="log", xlabel="layers so far", ylabel="length of the vector")
    ax.set_xticks(range(len(norms)))
    ax.minorticks_off()
    _plain_ticks(ax, norms.min().item(), norms.max().item())
    grown = (middle[-1] / middle[0]).item()
    title(
        ax,
        f"The stream grows {grown:.3g}-fold (dashed: median); the vector of "
        f"{token_label(tokens[longest])} ends longest (red)",
    )


def _plain_ticks(ax: Axes, low: float, high: float) -> None:
    """Label 1, 3, 10, 30 ... as plain numbers within the range."""
    marks = [base * 10.0**power for power in range(-3, 5) for base in (1, 3)]
    inside = [mark for mark in marks if 0.8 * low <= mark <= 1.2 * high] or [low, high]
    ax.set_yticks(inside, [f"{mark:.3g}" for mark in inside])


def settled(logits: Float[Tensor, "P T V"]) -> list[int]:
    """Return for each token the first place from which the final prediction stays at the top."""
    best = logits.argmax(-1)  # (P, T)
    agrees = (best == best[-1]).int()
    stays = agrees.flip(0).cumprod(0).sum(0)  # how many places, counted from the end
    return (len(logits) - stays).tolist()


def _lens(
    ax: Axes, logits: Float[Tensor, "P T V"], vocabulary: Sequence[str], tokens: Sequence[str]
) -> AxesImage:
    share, best = logits.softmax(-1).max(-1)
    share, best = share.flip(0), best.flip(0)  # the last place on top
    first = settled(logits)
    image = heatmap(ax, share, (), tokens)
    ax.set_yticks(range(len(logits)), places(len(logits))[::-1])
    colours = image.to_rgba(share.numpy())
    for row in range(share.shape[0]):
        for column in range(share.shape[1]):
            right = share.shape[0] - 1 - row >= first[column]
            ax.text(
                column,
                row,
                token_label(vocabulary[int(best[row, column])], 8),
                ha="center",
                va="center",
                size=8,
                weight="bold" if right else "normal",
                color=readable_on(colours[row, column]),
            )
    ax.tick_params(axis="x", labelrotation=45, labelsize=8)
    ax.set_xlabel("token that is read; in each cell: the predicted next token")
    ax.xaxis.label.set_color(FAINT)
    early = sum(place < len(logits) - 1 for place in first)
    title(ax, f"{early} of {len(first)} predictions are final (bold) before the last layer")
    return image


def top_words(
    logits: Float[Tensor, " V"], vocabulary: Sequence[str], count: int = 5
) -> list[tuple[str, float]]:
    """Return the most likely tokens and their probabilities."""
    share, best = torch.softmax(logits, -1).topk(count)
    return [
        (vocabulary[number], probability)
        for number, probability in zip(best.tolist(), share.tolist(), strict=True)
    ]
