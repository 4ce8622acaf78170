"""What the course's own model does inside: its heads and its gates.

Several notebooks teach the parts of a model before a later one puts them together. Here the parts
of a trained one can be looked at already: which token attends to which, what is lost without a
head, which numbers meet in a feed-forward layer, and what a different rotation does to texts that
are too long. There are two kinds of text: `repeats`, random ids that repeat, where looking back
helps and nothing else does, and `text`, held-out source code of Python. Everything is computed
on the default device, and returned on the CPU.

    rise of a head = loss without it - loss with it

Taught in:        attention, rope, mlp
Paper:            Olsson et al. 2022, arXiv:2209.11895; Michel et al. 2019, arXiv:1905.10650
Checked against:  the model's own forward pass, weights set to zero by hand
Shapes:           L layers, H heads, B texts, T tokens, F hidden width, N = B T tokens
"""

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib import corpus
from course_lib.attention import head_scores, repeated_ids
from course_lib.device import default_device, one_thread, seeded
from course_lib.model import DecoderLM
from course_lib.model.inspection import (
    attention_maps,
    loss_without_each_head,
    mean_loss,
    part_of,
    without_head,
)
from course_lib.pretrained import course_model, course_tokenizer

KINDS = ("repeats", "text")
PERIODS, ROWS, TOKENS = (12, 20, 31), 2, 64  # rows of each period
LONGEST = 32  # tokens of a map: more labels cannot be read
HELD_OUT_TEXTS = 4


class Reading(NamedTuple):
    """A text as the model reads it: its tokens, and who reads whom in each head."""

    tokens: list[str]
    weights: Float[Tensor, "L H T T"]


def read(text: str) -> Reading:
    """Return the maps of the course model for the beginning of a text, `LONGEST` tokens of it."""
    words = course_tokenizer()
    ids = words.encode_ordinary(text)[:LONGEST]
    if len(ids) < 2:
        raise ValueError(
            f"a map needs two tokens, so that one can read the other; got {len(ids)}. "
            "Type a longer text."
        )
    model = model_on_device()
    maps = attention_maps(model, torch.tensor([ids], device=default_device())).cpu()
    return Reading([words.decode([number]) for number in ids], maps[:, 0])


@cache
def model_on_device() -> DecoderLM:
    """Return the course model on the default device; the one that all share stays on the CPU."""
    if default_device().type == "cpu":
        return course_model()
    return copy.deepcopy(course_model()).to(default_device())


class SampleTexts(NamedTuple):
    """Texts as ids, and which of their losses count: on repeats, those that can be known."""

    ids: Int[Tensor, "B T"]
    counted: Bool[Tensor, "B last"]


@cache
def sample_texts(kind: str) -> SampleTexts:
    """Return the texts of a kind, `repeats` or `text`."""
    _check_kind(kind)
    if kind == "text":
        ids = torch.cat([row.view(-1, TOKENS)[::5] for row in _held_out(6 * TOKENS)])
        return SampleTexts(ids, torch.ones(len(ids), TOKENS - 1, dtype=torch.bool))
    vocabulary = course_model().config.vocab_size
    generator = seeded(0)
    rows = [repeated_ids(vocabulary, period, TOKENS, generator, ROWS) for period in PERIODS]
    places = torch.arange(TOKENS - 1)
    counted = [(places >= period).expand(ROWS, -1) for period in PERIODS]
    return SampleTexts(torch.cat(rows), torch.cat(counted))


def texts_on_device(kind: str) -> SampleTexts:
    """Return the texts of a kind beside `model_on_device`."""
    return SampleTexts(*(part.to(default_device()) for part in sample_texts(kind)))


@cache
def _held_out(tokens: int) -> tuple[Int[Tensor, "one T"], ...]:
    """Return `tokens` tokens from the middle of each of some held-out source files."""
    long = [
        document.text
        for document in corpus.library_sources()
        if corpus.is_held_out(document.name) and len(document.text) > 12 * tokens
    ]
    chosen = long[:: max(1, len(long) // HELD_OUT_TEXTS)][:HELD_OUT_TEXTS]
    encode = course_tokenizer().encode_ordinary
    middles = [encode(text[len(text) // 3 :][: 12 * tokens])[:tokens] for text in chosen]
    return tuple(torch.tensor([ids]) for ids in middles if len(ids) == tokens)


@cache
def head_scores_on(kind: str = "repeats") -> dict[str, Float[Tensor, "L H"]]:
    """Return how much each head reads the places that give its kind a name."""
    ids = texts_on_device(kind).ids
    maps = attention_maps(model_on_device(), ids)  # (L, B, H, T, T)
    itself = maps[..., 1:, 1:].diagonal(dim1=-2, dim2=-1).mean((1, -1))
    scores = {**head_scores(maps.transpose(0, 1), ids), "itself": itself}
    return {name: score.cpu() for name, score in scores.items()}


@cache
def rises(kind: str = "repeats") -> Float[Tensor, "L H"]:
    """Return the rise of the loss, in nats, without each head."""
    with one_thread():
        losses = loss_without_each_head(model_on_device(), *texts_on_device(kind))
    return losses.cpu() - loss(kind)


def loss(kind: str, silent: Sequence[Sequence[int]] = ()) -> float:
    """Return the mean loss in nats, with the heads (layer, head) of `silent` switched off."""
    model = model_on_device()
    for layer, head in silent:
        model = without_head(model, layer, head)
    with one_thread():
        return mean_loss(model, *texts_on_device(kind)).item()


class HiddenUnits(NamedTuple):
    """The two numbers that are multiplied in each hidden unit of a gated layer."""

    gate: Float[Tensor, "N F"]
    up: Float[Tensor, "N F"]


@cache
def hidden_units(kind: str = "text") -> tuple[HiddenUnits, ...]:
    """Return the inputs of the hidden units of each layer, for every token of a kind of text."""
    model = model_on_device()
    layers = [part_of(model, layer, "mlp") for layer in range(len(model.blocks))]
    found: list[HiddenUnits] = []

    def keep(layer: Any, given: tuple[Tensor, ...]) -> None:
        x = given[0].flatten(0, 1)  # (N, C)
        found.append(HiddenUnits(layer.gate_proj(x).cpu(), layer.up_proj(x).cpu()))

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_pre_hook(keep).remove)
        model(texts_on_device(kind).ids)
    return tuple(found)


def changed(**settings: Any) -> DecoderLM:
    """Return the course model with other settings in its config, on the same weights.

    Meant for `rope_parameters` and `sliding_window`, which no weight depends on.
    """
    model = copy.copy(course_model())
    model.config = replace(model.config, **settings)
    return model


def trained_length() -> int:
    """Return how many tokens the texts had that the model was trained on."""
    return course_model().config.max_position_embeddings


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"the kind of text must be one of {', '.join(KINDS)}; got {kind!r}.")
