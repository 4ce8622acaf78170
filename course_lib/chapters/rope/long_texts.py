"""The course model on texts longer than it was trained on: stored losses of an experiment.

Each text is read once by the model as it is, once with a sliding window of its trained length, and
once under each scaling and stretch. A text's difficulty changes along the way, so rules are
compared on the same tokens: the difference from the window, text by text, has a mean and a standard
error over the texts.

The texts are held-out sources of Python, which differ from version to version, and a measurement
takes minutes; so the results are stored. `store` makes them again.

Taught in:        rope
Paper:            Peng et al. 2023, arXiv:2309.00071
Checked against:  `token_losses` of the model, one text measured again
Shapes:           N texts, P parts of a text, T tokens
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib import corpus
from course_lib.chapters.rope.scalings import rope_request
from course_lib.softmax import surprises
from course_lib.study.exhibits import toy_models
from course_lib.study.exhibits.course_model_probes import (
    changed,
    course_model,
    course_tokenizer,
    trained_length,
)

RULES = ("plain", "interpolation", "NTK-aware", "YaRN")
WINDOW = "window"
STRETCHES = (2, 4)
TIMES = 4  # the texts are this multiple of the trained length
TEXTS, PARTS = 16, 16
RESULTS = Path(__file__).parent / "data" / "long_texts.json"


class Difference(NamedTuple):
    """A mean over texts and its standard error, for each part of a text."""

    mean: Float[Tensor, " P"]
    error: Float[Tensor, " P"]


@cache
def stored_losses(rule: str, factor: int = 1) -> Float[Tensor, "N P"]:
    """Return the mean loss in each part of each text, as it was measured."""
    results = toy_models.stored_results(RESULTS)
    if _name(rule, factor) not in results:
        raise ValueError(
            f"measured were {', '.join(results)}; got {_name(rule, factor)!r}. Choose one of them."
        )
    return torch.tensor(results[_name(rule, factor)], dtype=torch.float64)


def against_window(rule: str, factor: int = 1, parts: int = PARTS) -> Difference:
    """Return how much higher the loss is than with a window, compared text by text."""
    difference = stored_losses(rule, factor) - stored_losses(WINDOW)  # (N, P)
    joined = difference.unflatten(1, (parts, -1)).mean(-1)
    return Difference(joined.mean(0), joined.std(0) / len(joined) ** 0.5)


def _name(rule: str, factor: int) -> str:
    return rule if rule in ("plain", WINDOW) else f"{rule} x{factor}"


def settings(rule: str, factor: int = 1) -> Mapping[str, Any]:
    """Return the changes to the model's config that make a rule."""
    if rule == WINDOW:
        return {"sliding_window": trained_length()}
    config = course_model().config
    base = config.rope_parameters["rope_theta"]
    request = rope_request(rule, factor, config.head_dim, base, config.max_position_embeddings)
    return {"rope_parameters": request}


@cache
def texts(count: int = TEXTS) -> Int[Tensor, "N T"]:
    """Return held-out texts, TIMES trained lengths and one token each."""
    tokens = TIMES * trained_length() + 1
    encode = course_tokenizer().encode_ordinary
    found: list[list[int]] = []
    for document in corpus.library_sources():
        if len(found) < count and corpus.is_held_out(document.name):
            middle = document.text[len(document.text) // 3 :][: 12 * tokens]
            ids = encode(middle)[:tokens]
            if len(ids) == tokens:
                found.append(ids)
    return torch.tensor(found)


def measure(rule: str, factor: int, ids: Int[Tensor, "N T"]) -> Float[Tensor, "N P"]:
    """Return the mean loss in each part of each text under a rule."""
    model, losses = changed(**settings(rule, factor)), []
    for row in ids:
        with torch.no_grad():
            logits = model(row[None]).logits[:, :-1]
        losses.append(surprises(logits, row[None, 1:]))
    return torch.cat(losses).unflatten(1, (PARTS, -1)).mean(-1)


def store(path: Path = RESULTS) -> None:
    """Measure every rule and stretch, and store the losses; some minutes."""
    runs = [("plain", 1), (WINDOW, 1)]
    runs += [(rule, factor) for rule in RULES if rule != "plain" for factor in STRETCHES]
    results = {}
    for rule, factor in runs:
        losses = measure(rule, factor, texts()).tolist()
        results[_name(rule, factor)] = [[round(loss, 4) for loss in row] for row in losses]
    toy_models.store_results(path, results)
