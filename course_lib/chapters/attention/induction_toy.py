"""A model small enough to be trained while you wait, whose heads do what those of large ones do.

Two layers of attention and nothing else: no MLP, no bias. It reads random sequences that repeat,
and to predict the next token it must find where the present one stood before and read what came
behind. One layer cannot do that. Within two hundred steps the first layer learns to look one token
back, and the second to look for tokens whose predecessor is the present one: an induction head.

The period of the repetition must vary. If it is always 12, "read the token 11 places back" solves
the task without looking at any token; `trained("fixed")` is a model that learned just that.

Taught in:        attention
Paper:            Elhage et al. 2021, A mathematical framework for transformer circuits;
                  Olsson et al. 2022, arXiv:2209.11895
Checked against:  `train_toy`, which makes the stored weights again
Shapes:           B batch, T tokens, C width, L layers, H heads, D head width, V vocabulary
"""

import copy
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from course_lib.attention import (
    MultiHeadAttention,
    causal_mask,
    first_token_score,
    induction_score,
    previous_token_score,
    repeated_ids,
    split_heads,
)
from course_lib.norms import RMSNorm
from course_lib.rope import apply_rope, rope_angles
from course_lib.softmax import log_softmax

TOKENS = ("<s>", *string.ascii_letters, *string.digits)  # every sequence begins with <s>
LAYERS, HEADS, WIDTH = 2, 4, 64
LENGTH = 48
PERIODS = {"varying": (8, 20), "fixed": (12, 12)}
STEPS = 300
WEIGHTS = Path(__file__).parent / "data" / "induction_toy.safetensors"

Kind = Literal["varying", "fixed"]


class ToyModel(nn.Module):
    """Two layers of attention with RoPE on a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(TOKENS), WIDTH)
        self.norms = nn.ModuleList(RMSNorm(WIDTH) for _ in range(LAYERS))
        self.attentions = nn.ModuleList(MultiHeadAttention(WIDTH, HEADS) for _ in range(LAYERS))
        self.final_norm = RMSNorm(WIDTH)
        self.unembed = nn.Linear(WIDTH, len(TOKENS), bias=False)

    def forward(
        self, ids: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B L H T T"]]:
        """Return the logits, and the attention weights of all heads."""
        x, weights = self.embed(ids), []
        rotate, mask = _rotation(ids.shape[1]), causal_mask(ids.shape[1])
        for norm, attention in self.layers():
            read, read_weights = attention(norm(x), mask, rotate=rotate, return_weights=True)
            x = x + read
            weights.append(read_weights)
        return self.unembed(self.final_norm(x)), torch.stack(weights, dim=1)

    def layers(self) -> list[tuple[RMSNorm, MultiHeadAttention]]:
        """Return the norm and the attention of each layer, from below."""
        pairs = zip(self.norms, self.attentions, strict=True)
        return cast(list[tuple[RMSNorm, MultiHeadAttention]], list(pairs))


def _rotation(tokens: int) -> Callable[[Tensor], Tensor]:
    angles = rope_angles(torch.arange(tokens), WIDTH // HEADS)
    cos, sin = angles.cos(), angles.sin()
    return lambda x: apply_rope(x, cos, sin)


class Sequences(NamedTuple):
    """Token ids, and True at the tokens whose successor can be known: those that came before."""

    ids: Int[Tensor, "B T"]
    repeated: Bool[Tensor, "B T"]


def repeated_sequences(
    batch: int, periods: tuple[int, int], generator: torch.Generator, tokens: int = LENGTH
) -> Sequences:
    """Return <s> and then a random text, over and over; its length is drawn for each sequence."""
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


def surprises(model: ToyModel, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B last"]:
    """Return -log p of each next token, in nats: one number fewer than there are tokens."""
    log_p = log_softmax(model(ids)[0][:, :-1])
    return -log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)


def repeat_loss(model: ToyModel, sequences: Sequences) -> float:
    """Return the mean surprise where the text repeats, so that the next token can be known."""
    with torch.no_grad():
        return surprises(model, sequences.ids)[sequences.repeated[:, :-1]].mean().item()


def head_scores(model: ToyModel, sequences: Sequences) -> dict[str, Float[Tensor, "L H"]]:
    """Return for each head the three scores, averaged over the sequences."""
    with torch.no_grad():
        weights = model(sequences.ids)[1]  # (B, L, H, T, T)
    induction = [
        induction_score(maps, ids) for maps, ids in zip(weights, sequences.ids, strict=True)
    ]
    return {
        "previous token": previous_token_score(weights).mean(0),
        "induction": torch.stack(induction).mean(0),
        "first token": first_token_score(weights).mean(0),
    }


def without_head(model: ToyModel, layer: int, head: int) -> ToyModel:
    """Return a copy in which nothing that this head reads reaches the residual stream."""
    if not (0 <= layer < LAYERS and 0 <= head < HEADS):
        raise ValueError(
            f"layer must be below {LAYERS} and head below {HEADS}; got layer {layer}, head {head}. "
            "Both are counted from 0."
        )
    ablated = copy.deepcopy(model)
    width = WIDTH // HEADS
    with torch.no_grad():
        ablated.layers()[layer][1].o_proj.weight[:, head * width : (head + 1) * width] = 0.0
    return ablated


def queries_and_keys(
    model: ToyModel, ids: Int[Tensor, "B T"]
) -> tuple[Float[Tensor, "L B H T D"], Float[Tensor, "L B H T D"]]:
    """Return the queries and keys of all heads as they are compared, after their rotation."""
    rotate, mask = _rotation(ids.shape[1]), causal_mask(ids.shape[1])
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
    """What was measured while the model learned; the scores are those of the best head."""

    steps: list[int]
    loss: list[float]
    previous: list[float]
    induction: list[float]


def train_toy(
    steps: int = STEPS, kind: Kind = "varying", seed: int = 0, every: int = 10
) -> tuple[ToyModel, History]:
    """Train a toy from scratch and watch its heads every few steps; ten seconds or so."""
    generator = torch.Generator().manual_seed(seed)
    model = _fresh_model(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.98), weight_decay=0.01)
    probe = repeated_sequences(8, PERIODS[kind], torch.Generator().manual_seed(seed + 1))
    history = History([], [], [], [])
    with _one_thread():
        for step in range(steps + 1):
            if step % every == 0 or step == steps:
                _note(history, step, model, probe)
            if step < steps:
                optimizer.param_groups[0]["lr"] = 5e-3 * _pace(step, steps)
                _learn(model, optimizer, repeated_sequences(32, PERIODS[kind], generator))
    return model, history


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one core: products this small wait longer for a second one than it helps."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fresh_model(seed: int) -> ToyModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ToyModel()


def _pace(step: int, steps: int) -> float:
    """Warm up over 20 steps, go on, and slow down to nothing over the last 40 percent."""
    return min(1.0, (step + 1) / 20, (steps - step) / (0.4 * steps))


def _learn(model: ToyModel, optimizer: torch.optim.Optimizer, sequences: Sequences) -> None:
    surprise = surprises(model, sequences.ids)
    known = sequences.repeated[:, :-1]
    # What comes first cannot be known. A small share of it in the loss teaches to have no opinion.
    loss = surprise[known].mean() + 0.3 * surprise[~known].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _note(history: History, step: int, model: ToyModel, probe: Sequences) -> None:
    scores = head_scores(model, probe)
    history.steps.append(step)
    history.loss.append(repeat_loss(model, probe))
    history.previous.append(scores["previous token"].max().item())
    history.induction.append(scores["induction"].max().item())


@cache
def trained(kind: Kind = "varying") -> ToyModel:
    """Return the stored model: `train_toy(kind=kind)`, rounded to float16."""
    stored = load_file(WEIGHTS)
    model = _fresh_model(0)
    prefix = f"{kind}."
    own = {n.removeprefix(prefix): w.float() for n, w in stored.items() if n.startswith(prefix)}
    model.load_state_dict(own)
    return model.requires_grad_(False)


def store_weights(path: Path = WEIGHTS) -> None:
    """Train both kinds and write their weights in float16."""
    kinds: tuple[Kind, ...] = ("varying", "fixed")
    save_file(
        {
            f"{kind}.{name}": weight.detach().half().contiguous()
            for kind in kinds
            for name, weight in train_toy(kind=kind)[0].state_dict().items()
        },
        path,
    )
