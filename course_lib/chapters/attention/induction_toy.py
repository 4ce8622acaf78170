"""A model that trains in seconds and develops the same kinds of heads as large models.

Two layers of attention with RoPE and nothing else: no MLP, no bias. It reads random sequences that
repeat. To predict the next token it must find an earlier occurrence of the present one and read the
token after it, which one layer cannot do. Within two hundred steps the first layer learns to read
the previous token, and the second to read tokens whose predecessor equals the present one: an
induction head.

The period of the repetition must vary. If it is always 12, "read the token 11 places back" solves
the task without looking at any token; `trained("fixed")` learned exactly this.

Taught in:        attention
Paper:            Elhage et al. 2021, A mathematical framework for transformer circuits;
                  Olsson et al. 2022, arXiv:2209.11895
Checked against:  `train_toy`, which makes the stored weights again
Shapes:           B batch, T tokens, C width, L layers, H heads, D head width, V vocabulary
"""

import copy
import string
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.attention import (
    causal_mask,
    head_scores,
    mean_head_outputs,
    repeated_ids,
    silence_head,
    split_heads,
)
from course_lib.device import one_thread, seeded, seeded_draws
from course_lib.rope import apply_rope, rope_angles
from course_lib.softmax import surprises
from course_lib.study.exhibits import toy_models

TOKENS = ("<s>", *string.ascii_letters, *string.digits)  # every sequence begins with <s>
LAYERS, HEADS, WIDTH = 2, 4, 64
LENGTH = 48
PERIODS = {"varying": (8, 20), "fixed": (12, 12)}
STEPS = 300
WEIGHTS = Path(__file__).parent / "data" / "induction_toy.safetensors"

Kind = Literal["varying", "fixed"]


class ToyModel(toy_models.AttentionOnlyModel):
    """Two layers of attention with RoPE on a residual stream."""

    def __init__(self) -> None:
        super().__init__(len(TOKENS), WIDTH, LAYERS, HEADS)

    def forward(
        self, ids: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B L H T T"]]:
        """Return the logits, and the attention weights of all heads."""
        rotate = _rotation(ids.shape[1], ids.device)
        logits, weights = self.run_layers(self.embed(ids), rotate=rotate, return_weights=True)
        return logits, torch.stack(weights, dim=1)

    def without_head(
        self, layer: int, head: int, baseline: Float[Tensor, " D"] | None = None
    ) -> "ToyModel":
        """Return a copy in which a constant, zero or `baseline`, replaces what this head reads."""
        if not 0 <= layer < LAYERS:
            raise ValueError(
                f"layer must lie in 0 .. {LAYERS - 1}, counted from the first; got {layer}. "
                f"This model has {LAYERS}."
            )
        ablated = copy.deepcopy(self)
        silence_head(ablated.layers()[layer][1].o_proj, head, HEADS, baseline)
        return ablated

    def head_means(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L H D"]:
        """Return what each head reads, averaged over all tokens of some texts."""
        outputs = [attention.o_proj for _, attention in self.layers()]
        return mean_head_outputs(outputs, HEADS, lambda: self(ids))


def _rotation(tokens: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    angles = rope_angles(torch.arange(tokens, device=device), WIDTH // HEADS)
    cos, sin = angles.cos(), angles.sin()
    return lambda x: apply_rope(x, cos, sin)


class Sequences(NamedTuple):
    """Token ids, and True at the tokens whose successor can be known: those that have occurred."""

    ids: Int[Tensor, "B T"]
    repeated: Bool[Tensor, "B T"]

    def to(self, device: torch.device | str) -> "Sequences":
        """Return the same sequences on a device."""
        return Sequences(self.ids.to(device), self.repeated.to(device))


def repeated_sequences(
    batch: int, periods: tuple[int, int], generator: torch.Generator, tokens: int = LENGTH
) -> Sequences:
    """Return <s> and then a random text, repeated; its length is sampled for each sequence.

    They are drawn on the CPU, so that they are the same everywhere.
    """
    low, high = periods
    if not 1 <= low <= high < len(TOKENS):
        raise ValueError(
            f"periods must be two lengths from 1 to {len(TOKENS) - 1}, the smaller first; got "
            f"{periods}. A text of that length holds no token twice."
        )
    ids = torch.zeros(batch, tokens, dtype=torch.long)
    repeated = torch.zeros(batch, tokens, dtype=torch.bool)
    for row in range(batch):
        period = int(torch.randint(low, high + 1, (), generator=generator))
        ids[row, 1:] = 1 + repeated_ids(len(TOKENS) - 1, period, tokens - 1, generator)[0]
        repeated[row, 1 + period :] = True
    return Sequences(ids, repeated)


def repeat_loss(model: ToyModel, sequences: Sequences) -> float:
    """Return the mean loss where the text repeats, so that the next token can be known."""
    with torch.no_grad():
        return _surprises(model, sequences.ids)[sequences.repeated[:, :-1]].mean().item()


def _surprises(model: ToyModel, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B last"]:
    """Return -log p of each token after the first, given those before it."""
    return surprises(model(ids)[0][:, :-1], ids[:, 1:])


def queries_and_keys(
    model: ToyModel, ids: Int[Tensor, "B T"]
) -> tuple[Float[Tensor, "L B H T D"], Float[Tensor, "L B H T D"]]:
    """Return the queries and keys of all heads as they are multiplied, after their rotation."""
    rotate = _rotation(ids.shape[1], ids.device)
    mask = causal_mask(ids.shape[1], device=ids.device)
    queries, keys = [], []
    with torch.no_grad():
        x = model.embed(ids)
        for norm, attention in model.layers():
            normed = norm(x)
            queries.append(rotate(split_heads(attention.q_proj(normed), HEADS)))
            keys.append(rotate(split_heads(attention.k_proj(normed), HEADS)))
            x = x + attention(normed, mask, rotate=rotate)[0]
    return torch.stack(queries), torch.stack(keys)


class History(NamedTuple):
    """Measurements during training; the scores are those of the best head."""

    steps: list[int]
    loss: list[float]
    previous: list[float]
    induction: list[float]


def train_toy(
    steps: int = STEPS,
    kind: Kind = "varying",
    seed: int = 0,
    every: int = 10,
    device: torch.device | str = "cpu",
) -> tuple[ToyModel, History]:
    """Train a toy from scratch and score its heads every few steps; about ten seconds."""
    generator = seeded(seed)
    with seeded_draws(seed):
        model = ToyModel().to(device)
    training = toy_models.RepeatTraining(model, steps)
    probe = repeated_sequences(8, PERIODS[kind], seeded(seed + 1)).to(device)
    history = History([], [], [], [])
    with one_thread():
        for step in range(steps + 1):
            if step % every == 0 or step == steps:
                _note(history, step, model, probe)
            if step < steps:
                batch = repeated_sequences(32, PERIODS[kind], generator).to(device)
                training.step(_surprises(model, batch.ids), batch.repeated[:, :-1])
    return model, history


def _note(history: History, step: int, model: ToyModel, probe: Sequences) -> None:
    with torch.no_grad():
        scores = head_scores(model(probe.ids)[1], probe.ids)
    history.steps.append(step)
    history.loss.append(repeat_loss(model, probe))
    history.previous.append(scores["previous token"].max().item())
    history.induction.append(scores["induction"].max().item())


@cache
def trained(kind: Kind = "varying") -> ToyModel:
    """Return the stored model: `train_toy(kind=kind)`, rounded to float16."""
    return toy_models.stored_model(WEIGHTS, kind, ToyModel)


def store_weights(path: Path = WEIGHTS) -> None:
    """Train both kinds and write their weights in float16."""
    kinds: tuple[Kind, ...] = ("varying", "fixed")
    toy_models.store_weights(path, {kind: train_toy(kind=kind)[0] for kind in kinds})
