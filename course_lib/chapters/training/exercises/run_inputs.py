"""Inputs of the exercise on the training loop: a tiny model, an optimizer, batches in parts."""

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from course_lib.study.check.spec import Call, call

VOCABULARY, WIDTH = 7, 4


@dataclass
class Output:
    """What the model returns: an object with the logits, as models of `transformers` do."""

    logits: torch.Tensor


class TinyModel(nn.Module):
    """A model with an embedding, one hidden layer and a head; each row reads its own token only."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(torch.randn(VOCABULARY, WIDTH, generator=draws))
        self.layer = nn.Parameter(torch.randn(WIDTH, WIDTH, generator=draws) * 0.7)
        self.bias = nn.Parameter(torch.randn(WIDTH, generator=draws) * 0.3)
        self.head = nn.Parameter(torch.randn(WIDTH, VOCABULARY, generator=draws))

    def forward(self, ids: torch.Tensor) -> Output:
        """Return the logits of the token after each id."""
        return Output(torch.tanh(self.table[ids] @ self.layer + self.bias) @ self.head)


def _part(rng: random.Random, rows: int, length: int, padded: float) -> tuple[Any, Any]:
    """Return ids and what counts; the first id may be marked, and one later id always counts."""
    ids = torch.tensor([[rng.randrange(VOCABULARY) for _ in range(length)] for _ in range(rows)])
    counted = torch.tensor([[rng.random() >= padded for _ in range(length)] for _ in range(rows)])
    counted[rng.randrange(rows), rng.randrange(1, length)] = True
    return ids, counted


def given_run(
    sizes: list[list[tuple[int, int]]],
    rates: list[float],
    limit: float,
    padded: float = 0.0,
    momentum: float = 0.0,
    seed: int = 0,
) -> Call:
    """Return a model, an optimizer, batches of parts (rows, length), their rates and the limit."""
    rng = random.Random(seed)
    model = TinyModel(seed)
    groups = [
        {"params": [model.table, model.layer, model.head], "weight_decay": 0.1},
        {"params": [model.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=3.0, momentum=momentum)
    batches = [[_part(rng, *size, padded) for size in parts] for parts in sizes]
    return call(model, optimizer, batches, rates, limit)


def training_inputs(rng: random.Random) -> Call:
    """Return one to four batches of one to three parts, padded or not, and any limit."""
    steps = rng.randint(1, 4)
    sizes = [
        [(rng.randint(1, 3), rng.randint(2, 5)) for _ in range(rng.randint(1, 3))]
        for _ in range(steps)
    ]
    return given_run(
        sizes,
        [rng.choice((0.0, 0.05, 0.2, 0.5)) for _ in range(steps)],
        rng.choice((0.1, 0.5, 100.0)),
        rng.choice((0.0, 0.5)),
        rng.choice((0.0, 0.9)),
        rng.randrange(10**6),
    )
