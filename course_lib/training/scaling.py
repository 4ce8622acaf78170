"""Scaling laws: how the loss falls with parameters and tokens, and what a fitted law predicts.

A model may have too few parameters, and too little text. The law has a term for each that falls as
a power, above a floor that no model of the family can reach. A power is a straight line where both
axes are logarithmic.

    loss(N, D) = E + A · N^-α + B · D^-β;      training costs about C = 6 · N · D

For given α and β the other three are found by least squares; α and β are searched on a grid.

Taught in:        training
Paper:            Kaplan et al. 2020, arXiv:2001.08361; Hoffmann et al. 2022, arXiv:2203.15556
Checked against:  laws whose numbers are known, numpy.polyfit, the best size by search
Shapes:           R runs, G pairs of exponents
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Number = int | float
EXPONENTS = torch.arange(0.04, 1.5, 0.02, dtype=torch.float64)


class PowerLaw(NamedTuple):
    """loss = factor · size^-exponent."""

    factor: float
    exponent: float


def fit_power_law(sizes: Sequence[Number], losses: Sequence[Number]) -> PowerLaw:
    """Return the power law of the least-squares line through the logarithms."""
    if len(sizes) != len(losses) or len(set(sizes)) < 2 or min(*sizes, *losses) <= 0:
        raise ValueError(
            "a power law needs two different sizes or more, a loss for each, all positive; "
            f"got {len(sizes)} sizes and {len(losses)} losses."
        )
    x = torch.tensor(sizes, dtype=torch.float64).log()
    y = torch.tensor(losses, dtype=torch.float64).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
    return PowerLaw((y.mean() - slope * x.mean()).exp().item(), -slope.item())


@dataclass(frozen=True)
class ScalingLaw:
    """loss = floor + a · parameters^-alpha + b · tokens^-beta."""

    floor: float
    a: float
    alpha: float
    b: float
    beta: float

    def loss(self, parameters: Number, tokens: Number) -> float:
        """Return the loss that the law predicts."""
        return self.floor + self.a * parameters**-self.alpha + self.b * tokens**-self.beta

    def best_size(self, flops: Number) -> float:
        """Return the number of parameters with the lowest loss for a budget 6 · N · D = flops."""
        if flops <= 0:
            raise ValueError(f"a budget must be positive; got {flops} FLOPs.")
        ratio = (self.alpha * self.a) / (self.beta * self.b)
        power = 1 / (self.alpha + self.beta)
        return ratio**power * (flops / 6) ** (self.beta * power)


def fit_scaling_law(
    parameters: Sequence[Number], tokens: Sequence[Number], losses: Sequence[Number]
) -> ScalingLaw:
    """Return the law with the smallest squared error on these runs."""
    if not 5 <= len(losses) == len(parameters) == len(tokens):
        raise ValueError(
            "five unknowns need five runs or more, each with parameters, tokens and loss; "
            f"got {len(parameters)}, {len(tokens)} and {len(losses)}."
        )
    n = torch.tensor(parameters, dtype=torch.float64)
    d = torch.tensor(tokens, dtype=torch.float64)
    y = torch.tensor(losses, dtype=torch.float64)
    pairs = torch.cartesian_prod(EXPONENTS, EXPONENTS)  # (G, 2)
    terms = _terms(n, d, pairs)  # (G, R, 3)
    found = torch.linalg.lstsq(terms, y.expand(len(pairs), -1)[..., None]).solution  # (G, 3, 1)
    errors = ((terms @ found).squeeze(-1) - y).square().sum(-1)
    # A term that rises with size, or a floor below zero, is not allowed.
    errors = errors.masked_fill((found.squeeze(-1) < 0).any(-1), math.inf)
    if not errors.isfinite().any():
        raise ValueError(
            "the losses must fall with parameters and with tokens; these do not, for any "
            "exponents. Add runs that differ more in size and in length."
        )
    best = int(errors.argmin())
    floor, a, b = found[best].squeeze(-1).tolist()
    alpha, beta = pairs[best].tolist()
    middle_n, middle_d = n.log().mean().exp().item(), d.log().mean().exp().item()
    return ScalingLaw(floor, a * middle_n**alpha, alpha, b * middle_d**beta, beta)


def _terms(
    n: Float[Tensor, " R"], d: Float[Tensor, " R"], pairs: Float[Tensor, "G 2"]
) -> Float[Tensor, "G R 3"]:
    """Return 1, N^-α and D^-β of each run, with sizes divided by their geometric mean."""
    alpha, beta = pairs[:, :1], pairs[:, 1:]
    powers = [
        (-exponent * (size.log() - size.log().mean())).exp()
        for size, exponent in ((n, alpha), (d, beta))
    ]
    return torch.stack([torch.ones_like(powers[0]), *powers], dim=-1)
