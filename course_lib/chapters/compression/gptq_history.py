"""GPTQ on a small layer, column by column, for the picture that steps through it.

Taught in:        compression
Checked against:  `gptq` on the same layer
Shapes:           O outputs, I inputs
"""

from typing import NamedTuple

import torch
from torch import Tensor

from course_lib import compression
from course_lib.compression import Scheme
from course_lib.device import seeded


class GptqHistory(NamedTuple):
    """The weights after 0, 1, 2, ... columns, and the error of the outputs after each."""

    weight: Tensor
    states: list[Tensor]
    errors: list[float]
    nearest_errors: list[float]


def small_layer(outputs: int = 8, inputs: int = 16) -> tuple[Tensor, Tensor]:
    """Return a matrix, and the products XᵀX of inputs that vary together."""
    generator = seeded(5)
    weight = torch.randn(outputs, inputs, generator=generator)
    common = torch.randn(400, 3, generator=generator) @ torch.randn(3, inputs, generator=generator)
    x = common + 0.5 * torch.randn(400, inputs, generator=generator)
    return weight, x.T @ x


def gptq_history(bits: int = 3) -> GptqHistory:
    """Round a small layer column by column, with corrections and without."""
    weight, gram = small_layer()
    scheme, upper = Scheme(bits), compression.inverse_factor(gram)
    scales = compression.choose_scales(weight, scheme)
    state, plain = weight.double().clone(), weight.double().clone()
    states, errors, nearest = [weight.clone()], [0.0], [0.0]
    for column in range(weight.shape[1]):
        state[:, column + 1 :], state[:, column] = _next(state, column, scales, scheme, upper)
        plain[:, column] = _rounded(plain, column, scales, scheme)
        states.append(state.float())
        errors.append(compression.output_error(weight, state, gram))
        nearest.append(compression.output_error(weight, plain, gram))
    return GptqHistory(weight, states, errors, nearest)


def _rounded(state: Tensor, column: int, scales: compression.Scales, scheme: Scheme) -> Tensor:
    one = state[:, column : column + 1]
    return compression.decode(compression.encode(one, scales, scheme), scales, scheme)[
        :, 0
    ].double()


def _next(
    state: Tensor, column: int, scales: compression.Scales, scheme: Scheme, upper: Tensor
) -> tuple[Tensor, Tensor]:
    rounded = _rounded(state, column, scales, scheme)
    return compression.corrected(state, rounded, upper, column), rounded
