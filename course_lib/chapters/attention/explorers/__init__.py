"""The interactive figures of this chapter.

Taught in:        attention
Checked against:  `course_lib.chapters.attention.figures` for the same values
Shapes:           L layers, H heads, T query tokens, S key tokens, D head width
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.attention import causal_mask
from course_lib.chapters.attention import figures
from course_lib.chapters.attention.explorers.widget import AttentionLines
from course_lib.chapters.attention.figures.scale import WIDTHS
from course_lib.study.display.explorer import Explorer, choice, step_slider, text_field
from course_lib.study.exhibits import ablated_heads, course_model_probes

__all__ = [
    "AttentionLines",
    "cache_bytes",
    "five_steps",
    "lines",
    "maps",
    "masks",
    "missed_heads",
    "reading",
    "scale",
]

TOKENS = ("the", " cat", " slept", " it")
QUERIES = ((0, 0, 0, 1), (0, 0, 0, 2), (2, 1, 0, 0), (2, 2, 0, 0))
KEYS = ((0, 0, 0, 2), (2, 2, 0, 0), (0, 0, 2, 0), (1, 0, 0, 0))
VALUES = ((0, 0, 1), (2, 1, 0), (0, 2, 0), (1, 0, 1))
SENTENCE = "def area(width, height):\n    return width * height\n\ndef area("


def five_steps(
    q: Float[Tensor, "T D"] | None = None,
    k: Float[Tensor, "S D"] | None = None,
    v: Float[Tensor, "S Dv"] | None = None,
    tokens: Sequence[str] = TOKENS,
    mask: str = "causal",
    divided_by: str = "√D",
) -> Explorer:
    """Choose the mask and the divisor, and see their effect on the five matrices."""
    q, k, v = (
        torch.tensor(default, dtype=torch.float32) if given is None else given
        for given, default in ((q, QUERIES), (k, KEYS), (v, VALUES))
    )

    def figure(mask: str, divided_by: str) -> Figure:
        allowed = causal_mask(len(q), len(k)) if mask == "causal" else None
        return figures.five_steps(q, k, v, tokens, allowed, divided_by)

    controls = {
        "mask": choice("mask", mask, ("causal", "none")),
        "divided_by": choice("divided by", divided_by, tuple(figures.DIVISORS)),
    }
    return Explorer(figure, controls, "Attention in five matrices.")


def masks(kind: str = "sliding window", size: int = 3, queries: int = 8) -> Explorer:
    """Choose a mask, its size, and how many of eight tokens are new, and see the weights."""

    def figure(kind: str, size: int, queries: int) -> Figure:
        return figures.mask_and_weights(kind, size, queries, 8)

    controls = {
        "kind": choice("mask", kind, tuple(figures.MASKS)),
        "size": step_slider("window, prefix, pad", size, 1, 8),
        "queries": step_slider("new tokens", queries, 1, 8),
    }
    return Explorer(
        figure, controls, "Which query may read which key, and the weights that result."
    )


def scale(trained: Sequence[tuple[int, float]] = (), width: int = 64, keys: int = 16) -> Explorer:
    """Choose a head width and a number of keys: the spread of q·k and the gradient."""

    def figure(width: int, keys: int) -> Figure:
        return figures.scale_experiment(trained, width, keys)

    controls = {
        "width": choice("head width D", width, WIDTHS),
        "keys": choice("keys", keys, (4, 16, 64)),
    }
    return Explorer(
        figure, controls, "The spread of q·k, and the gradient that reaches the queries."
    )


def maps(
    weights: Float[Tensor, "L H T S"], tokens: Sequence[str], layer: int = 0, head: int = 0
) -> Explorer:
    """Choose a head of any model, and see its map large beside the mosaic of all heads."""

    def figure(layer: int, head: int) -> Figure:
        return figures.attention_maps(weights, tokens, layer, head)

    controls = {
        "layer": choice("layer", layer, tuple(range(weights.shape[0]))),
        "head": choice("head", head, tuple(range(weights.shape[1]))),
    }
    return Explorer(figure, controls, "All heads of a model, and one of them enlarged.")


def lines(
    weights: Float[Tensor, "L H T S"],
    tokens: Sequence[str],
    layer: int = 0,
    head: int = 0,
    query: int | None = None,
) -> AttentionLines:
    """Click a head, then point at a token: lines lead to what it reads."""
    return AttentionLines(weights, tokens, layer, head, query)


def cache_bytes(
    layers: int = 32, heads: int = 32, groups: int = 8, head_dim: int = 128, tokens: int = 8192
) -> Explorer:
    """Choose a model and a length, and see the size of its cache for each kind of attention."""
    divisors = tuple(n for n in range(1, heads + 1) if heads % n == 0)

    def figure(layers: int, groups: int, head_dim: int, tokens: int) -> Figure:
        return figures.cache_bytes(layers, heads, groups, head_dim, tokens)

    controls = {
        "layers": step_slider("layers", layers, 1, 96),
        "groups": choice("key/value heads", groups, divisors),
        "head_dim": choice("head width", head_dim, (64, 80, 96, 128, 256)),
        "tokens": choice("tokens", tokens, tuple(2**n for n in range(10, 18))),
    }
    return Explorer(figure, controls, "The bytes of a KV cache in bfloat16, for one text.")


@lru_cache(maxsize=16)
def read(text: str) -> course_model_probes.Reading:
    """Return the maps of the course model for a text; a change of head asks for them again."""
    return course_model_probes.read(text)


def reading(text: str = SENTENCE, layer: int | None = None, head: int | None = None) -> Explorer:
    """Type a text and choose a head of the course model; the best induction head comes first."""
    best = best_head("induction")

    def figure(text: str, layer: int, head: int) -> Figure:
        tokens, weights = read(text)
        return figures.attention_maps(weights, tokens, layer, head)

    layers, heads = course_model_probes.head_scores_on()["induction"].shape
    controls = {
        "text": text_field("text", text),
        "layer": choice("layer", best[0] if layer is None else layer, tuple(range(layers))),
        "head": choice("head", best[1] if head is None else head, tuple(range(heads))),
    }
    said = f"The course model reads the first {course_model_probes.LONGEST} tokens of a text."
    return Explorer(figure, controls, said)


def best_head(kind: str, on: str = "repeats") -> tuple[int, int]:
    """Return layer and head of the course model with the largest score of a kind."""
    table = course_model_probes.head_scores_on(on)[kind]
    layer, head = divmod(int(table.argmax()), table.shape[1])
    return layer, head


def missed_heads(
    on: str = "repeats",
    ablation: str = "zero",
    layer: int | None = None,
    head: int | None = None,
) -> Explorer:
    """Choose texts, a head of the course model and an ablation, and see the increase in loss."""
    best = best_head("induction")

    def figure(on: str, ablation: str, layer: int, head: int) -> Figure:
        rises = ablated_heads.rises(on, ablation)
        scores = course_model_probes.head_scores_on(on)
        return figures.missed_heads(rises, scores, on, layer, head)

    layers, heads = course_model_probes.head_scores_on()["induction"].shape
    controls = {
        "on": choice("measured on", on, course_model_probes.KINDS),
        "ablation": choice("ablation", ablation, ablated_heads.ABLATIONS),
        "layer": choice("layer", best[0] if layer is None else layer, tuple(range(layers))),
        "head": choice("head", best[1] if head is None else head, tuple(range(heads))),
    }
    return Explorer(figure, controls, "What each head reads, and the loss without it.")
