"""Six small models that differ only in how positions are encoded.

All learn the same task: continue a random text that repeats. After the first period each next token
is known: it is the one that followed last time. Finding it takes two steps of attention, one that
reads the previous token and one that finds the earlier occurrence. The first needs positions, and
the task can be set at any distance.

    none         a causal mask, nothing else
    learned      a trained row per position, added to the embedding
    sinusoidal   a computed row per position, added to the embedding
    relative     a trained number per head and bucket of distance, added to the scores
    alibi        minus slope times distance, added to the scores
    rope         queries and keys rotated

`train` makes a model; `trained` reads a stored one, which `store_weights` made.

Taught in:        rope
Paper:            Olsson et al. 2022, arXiv:2209.11895 (the task and its two steps)
Checked against:  the loss of a uniform guess, and training again
Shapes:           B batch, T tokens, C model width, V vocabulary
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.attention import repeated_ids, token_offsets
from course_lib.device import seeded, seeded_draws
from course_lib.positions import (
    alibi_bias,
    alibi_slopes,
    learned_positions,
    relative_position_bias,
    relative_position_bucket,
    sinusoidal_table,
)
from course_lib.rope import Layout, apply_rope, rope_cos_sin
from course_lib.softmax import surprises
from course_lib.study.exhibits import toy_models

METHODS = ("none", "learned", "sinusoidal", "relative", "alibi", "rope")
VOCABULARY, WIDTH, LAYERS, HEADS, HEAD_DIM = 128, 64, 2, 4, 32
TRAINED_LENGTH, SHORTEST, LONGEST = 48, 8, 20  # tokens of a text; its period
BASE = 100.0  # some planes complete a turn within 48 tokens and some do not, as in large models
PLAIN: Mapping[str, Any] = {"rope_type": "default", "rope_theta": BASE}
STEPS = 800
DISTANCES = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128)
WEIGHTS = Path(__file__).parent / "data" / "position_toys.safetensors"


class PositionModel(toy_models.AttentionOnlyModel):
    """Two layers of attention on a residual stream, with one of six ways to encode positions."""

    def __init__(self, method: str) -> None:
        super().__init__(VOCABULARY, WIDTH, LAYERS, HEADS, HEAD_DIM)
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
        self.method = method
        if method == "learned":
            self.table = nn.Parameter(torch.randn(TRAINED_LENGTH, WIDTH))
        if method == "relative":
            self.table = nn.Parameter(torch.zeros(32, HEADS))

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        rope: Mapping[str, Any] = PLAIN,
        layout: Layout = "halves",
    ) -> Float[Tensor, "B T V"]:
        """Return the logits; the other arguments change what `rope` does, for experiments."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        x = self.embed(ids) + self._vectors(positions)
        bias, rotate = self._bias(positions), self._rotation(positions, rope, layout)
        return self.run_layers(x, bias=bias, rotate=rotate)[0]

    def _vectors(self, positions: Int[Tensor, " T"]) -> Tensor | float:
        """Return what is added to the embeddings."""
        if self.method == "learned":
            return learned_positions(self.table, positions)
        if self.method == "sinusoidal":
            return sinusoidal_table(len(positions), WIDTH, device=positions.device)
        return 0.0

    def _bias(self, positions: Int[Tensor, " T"]) -> Float[Tensor, "H T T"] | None:
        """Return what is added to the scores."""
        if self.method == "alibi":
            return alibi_bias(alibi_slopes(HEADS).to(positions.device), len(positions))
        if self.method != "relative":
            return None
        offsets = token_offsets(len(positions), device=positions.device)
        buckets = relative_position_bucket(offsets, 32, TRAINED_LENGTH, bidirectional=False)
        return relative_position_bias(self.table, buckets)

    def _rotation(
        self, positions: Int[Tensor, " T"], rope: Mapping[str, Any], layout: Layout
    ) -> Callable[[Tensor], Tensor] | None:
        """Return the function that rotates queries and keys."""
        if self.method != "rope":
            return None
        cos, sin = rope_cos_sin(positions, HEAD_DIM, rope, TRAINED_LENGTH)
        return lambda x: apply_rope(x, cos, sin, layout)


def repeated_texts(
    periods: Sequence[int], tokens: int, generator: torch.Generator, pool: int = VOCABULARY
) -> Int[Tensor, "B T"]:
    """Return one repeated random text per period; no token occurs twice within a period."""
    if not periods:
        raise ValueError("each text needs a period; got none. Pass at least one number.")
    return torch.cat([repeated_ids(pool, period, tokens, generator) for period in periods])


def loss_at_distance(model: PositionModel, distance: int, **changes: Any) -> float:
    """Return the mean loss, in nats, at some 200 tokens that must be copied from this distance."""
    texts = min(8, max(2, 200 // distance))  # the longer they are, the fewer are needed
    ids = repeated_texts([distance] * texts, 2 * distance + 1, seeded(5))
    ids = ids.to(model.embed.weight.device)
    with torch.no_grad():
        surprise = surprises(model(ids[:, :-1], **changes), ids[:, 1:])
    return surprise[:, distance:].mean().item()


def train(method: str, steps: int = STEPS, seed: int = 0) -> tuple[PositionModel, list[float]]:
    """Train one model from scratch and return it with its loss at every step; a minute or two."""
    with seeded_draws(seed):
        model = PositionModel(method)
    training = toy_models.RepeatTraining(model, steps)
    generator, losses = seeded(seed), []
    for step in range(steps):
        # The circuit forms on 64 tokens; the others join once it is there.
        pool = round(64 + (VOCABULARY - 64) * min(1.0, max(0.0, 4 * step / steps - 2)))
        periods = torch.randint(SHORTEST, LONGEST + 1, (32,), generator=generator)
        ids = repeated_texts(periods.tolist(), TRAINED_LENGTH + 1, generator, pool)
        surprise = surprises(model(ids[:, :-1]), ids[:, 1:])
        known = torch.arange(TRAINED_LENGTH) >= periods[:, None]
        training.step(surprise, known)
        losses.append(surprise[known].mean().item())
    return model, losses


@cache
def trained(method: str) -> PositionModel:
    """Return the stored model: `train(method)`, rounded to float16."""
    model = toy_models.stored_model(WEIGHTS, method, lambda: PositionModel(method))
    for _, attention in model.layers():
        attention.fused = True  # explorers wait for the losses
    return model


def store_weights(path: Path = WEIGHTS, methods: Sequence[str] = METHODS) -> None:
    """Train every model again and write the weights in float16."""
    toy_models.store_weights(path, {method: train(method)[0] for method in methods})
