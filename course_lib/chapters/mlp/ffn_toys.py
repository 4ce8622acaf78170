"""Small models of text that differ only in their feed-forward layers.

A model predicts the next byte from the last eight. It has no attention: eight rows are looked up
and concatenated, and two feed-forward layers with residual connections do the rest. So differences
between such models are differences between their layers, and one trains in a second.

    x = table[bytes], flattened;   x = x + layer(rms_norm(x)), twice;   logits = head(rms_norm(x))

`train` trains a model in the notebook. `longer_runs` reads the losses of longer runs with several
seeds, which `python -m course_lib.chapters.mlp.ffn_toys` makes in some minutes.

Taught in:        mlp
Checked against:  the entropy of single bytes; training again, from the same seed
Shapes:           N examples, T bytes of context, C model width, F hidden width, E experts
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib import corpus
from course_lib.device import one_thread, seeded, seeded_draws
from course_lib.experts import (
    Routing,
    SparseMoE,
    dispatch,
    expert_load,
    load_balancing_loss,
    route,
)
from course_lib.mlp import (
    GatedFFN,
    activation_named,
    dead_unit_fraction,
    feed_forward,
)
from course_lib.norms import RMSNorm
from course_lib.softmax import cross_entropy
from course_lib.study.exhibits import toy_models

CONTEXT, BYTE_WIDTH, LAYERS = 8, 8, 2
WIDTH = CONTEXT * BYTE_WIDTH
HIDDEN = 4 * WIDTH
GATED_HIDDEN = 2 * HIDDEN // 3  # at most as many parameters as the plain layer
NUM_EXPERTS, CHOICES = 8, 2
EXPERT_HIDDEN = GATED_HIDDEN // CHOICES + 1  # two need as many FLOPs as one gated layer
BATCH, RATE, BALANCE = 128, 6e-3, 0.02
VARIANTS: Mapping[str, tuple[bool, str]] = {  # whether gated, and the activation
    "ReLU": (False, "relu"),
    "GELU": (False, "gelu"),
    "ReGLU": (True, "relu"),
    "GEGLU": (True, "gelu"),
    "SwiGLU": (True, "silu"),
}
ROUTERS = ("left alone", "balanced", "random")
STEPS, SEEDS = (200, 800, 3200), (0, 1, 2, 3)
STORED = Path(__file__).parent / "data" / "ffn_toys.json"


class Examples(NamedTuple):
    """Contexts of bytes, and the byte that follows each of them."""

    contexts: Int[Tensor, "N T"]
    following: Int[Tensor, " N"]

    def to(self, device: torch.device | str) -> "Examples":
        """Return the same examples on a device."""
        return Examples(self.contexts.to(device), self.following.to(device))


def examples(text: str) -> Examples:
    """Return every run of eight bytes of a text, with the byte after it."""
    stream = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long()
    windows = stream.unfold(0, CONTEXT + 1, 1)
    return Examples(windows[:, :-1], windows[:, -1])


@cache
def lessons() -> tuple[Examples, Examples]:
    """Return the training examples, and examples from held-out documents."""
    return examples(corpus.train_text(200_000)), examples(corpus.held_out_text(10_000))


class PlainFFN(nn.Module):
    """`feed_forward` with learned weights and no biases, since gated layers have none."""

    def __init__(self, width: int, hidden: int, hidden_act: str) -> None:
        super().__init__()
        self.activation = activation_named(hidden_act)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Float[Tensor, "*lead C"]) -> Float[Tensor, "*lead C"]:
        """Apply the layer to each vector."""
        return feed_forward(x, self.up_proj.weight, self.down_proj.weight, self.activation)


class RandomMoE(SparseMoE):
    """A mixture that routes at random: evenly loaded, and independent of the token."""

    def routed(self, x: Float[Tensor, "*lead C"]) -> tuple[Float[Tensor, "*lead C"], Routing]:
        """Send each vector to random experts, with random gate weights."""
        tokens = x.flatten(0, -2)
        logits = torch.randn(len(tokens), self.gate.out_features).to(x.device)
        gates, chosen = route(logits, self.k)
        groups = dispatch(chosen, self.gate.out_features)
        y = self.experts(tokens, gates, groups)
        return y.view(x.shape), Routing(logits, gates, chosen, groups.dropped)


class Passage(NamedTuple):
    """The logits of a batch, and what the layers received and routed."""

    logits: Float[Tensor, "N 256"]
    given: list[Tensor]  # the input of each layer, (N, C)
    routings: list[Routing]  # the routing of each layer that has a router


class ByteModel(nn.Module):
    """Predicts the next byte from the last eight, by feed-forward layers alone."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.table = nn.Embedding(256, BYTE_WIDTH)
        self.norms = nn.ModuleList(RMSNorm(WIDTH) for _ in layers)
        self.layers = nn.ModuleList(layers)
        self.last_norm = RMSNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 256, bias=False)

    def forward(self, contexts: Int[Tensor, "N T"]) -> Float[Tensor, "N 256"]:
        """Return logits for the next byte."""
        return self.passage(contexts).logits

    def passage(self, contexts: Int[Tensor, "N T"]) -> Passage:
        """Do what `forward` does, and also return the inputs and routings of the layers."""
        x, given, routings = self.table(contexts).flatten(1), [], []
        for norm, layer in zip(self.norms, self.layers, strict=True):
            given.append(norm(x))
            if isinstance(layer, SparseMoE):
                y, routing = layer.routed(given[-1])
                routings.append(routing)
            else:
                y = layer(given[-1])
            x = x + y
        return Passage(self.head(self.last_norm(x)), given, routings)


def untrained(name: str) -> ByteModel:
    """Return a model with the layers of one of `VARIANTS`, or a mixture with one of `ROUTERS`."""
    if name in VARIANTS:
        gated, hidden_act = VARIANTS[name]
        make, hidden = (GatedFFN, GATED_HIDDEN) if gated else (PlainFFN, HIDDEN)
        return ByteModel([make(WIDTH, hidden, hidden_act) for _ in range(LAYERS)])
    if name not in ROUTERS:
        known = ", ".join((*VARIANTS, *ROUTERS))
        raise ValueError(f"name must be one of {known}; got {name!r}. Choose one of these.")
    mixture = RandomMoE if name == "random" else SparseMoE
    layers = [mixture(WIDTH, EXPERT_HIDDEN, NUM_EXPERTS, CHOICES) for _ in range(LAYERS)]
    for layer in layers:
        for (
            matrices
        ) in layer.experts.parameters():  # initialised like nn.Linear, for a fair comparison
            bound = matrices.shape[-1] ** -0.5
            nn.init.uniform_(matrices, -bound, bound)
    return ByteModel([*layers])


def train(name: str, data: Examples, steps: int, seed: int = 0, rate: float = RATE) -> ByteModel:
    """Return a model after this number of steps, on the device of the data.

    The same seed gives the same model, up to rounding: what is drawn is drawn on the CPU.
    """
    device = data.following.device
    with seeded_draws(seed):
        model = untrained(name).to(device)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
        )
        draws = seeded(seed)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
            batch = torch.randint(len(data.following), (BATCH,), generator=draws).to(device)
            _step(model, optimizer, Examples(*(part[batch] for part in data)), name == "balanced")
    return model


def _step(model: ByteModel, optimizer: Any, batch: Examples, balance: bool) -> None:
    passage = model.passage(batch.contexts)
    loss = cross_entropy(passage.logits, batch.following)
    if balance:
        for routing in passage.routings:
            loss = loss + BALANCE * load_balancing_loss(routing.logits, CHOICES)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def loss_on(model: ByteModel, data: Examples) -> float:
    """Return the mean cross-entropy of the next byte, in nats."""
    return cross_entropy(model(data.contexts), data.following).item()


@torch.no_grad()
def pre_activations(model: ByteModel, data: Examples) -> list[Tensor]:
    """Return the pre-activations of each layer, (N, F)."""
    inputs = model.passage(data.contexts).given
    found = []
    for layer, x in zip(model.layers, inputs, strict=True):
        weights = dict(layer.named_parameters())
        into = "gate_proj.weight" if "gate_proj.weight" in weights else "up_proj.weight"
        found.append(x @ weights[into].mT)
    return found


def dead_fractions(model: ByteModel, data: Examples) -> list[float]:
    """Return the fraction of each layer's units that are at most 0 for every example."""
    return [dead_unit_fraction(numbers) for numbers in pre_activations(model, data)]


@torch.no_grad()
def loads(model: ByteModel, data: Examples) -> Float[Tensor, "layers E"]:
    """Return each expert's load as a multiple of the mean, layer by layer."""
    routings = model.passage(data.contexts).routings
    return torch.stack([expert_load(r.chosen, NUM_EXPERTS) * NUM_EXPERTS for r in routings])


def losses(
    names: tuple[str, ...],
    steps: int,
    seeds: tuple[int, ...],
    device: torch.device | str = "cpu",
) -> dict[str, list[float]]:
    """Return the held-out loss of each kind of model, one for each seed."""
    data, held_out = (part.to(device) for part in lessons())
    return {
        name: [loss_on(train(name, data, steps, seed), held_out) for seed in seeds]
        for name in names
    }


def longer_runs() -> dict[str, Any]:
    """Return the stored results of the longer runs: losses by steps and name, loads by router."""
    return toy_models.stored_results(STORED)


def _measured() -> dict[str, Any]:
    """Train everything that `longer_runs` reports."""
    data, held_out = lessons()
    by_steps: dict[str, dict[str, list[float]]] = {}
    busiest: dict[str, list[list[float]]] = {name: [] for name in ROUTERS}
    for steps in STEPS:
        names = (*VARIANTS, *(ROUTERS if steps < STEPS[-1] else ()))
        by_steps[str(steps)] = {name: [] for name in names}
        for name in names:
            for seed in SEEDS:
                model = train(name, data, steps, seed)
                by_steps[str(steps)][name].append(round(loss_on(model, held_out), 4))
                if name in ROUTERS and steps == STEPS[1]:
                    shares = loads(model, held_out).tolist()
                    busiest[name].append([round(load, 3) for load in shares[-1]])
            print(steps, name, by_steps[str(steps)][name], flush=True)
    return {"losses": by_steps, "loads in the last layer": busiest}


if __name__ == "__main__":
    with one_thread():
        toy_models.store_results(STORED, _measured())
