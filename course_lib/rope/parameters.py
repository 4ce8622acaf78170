"""From the `rope_parameters` of a config to the cosines and sines of a text.

A checkpoint only works with the frequencies it was trained with, and its config says which: a base,
perhaps a kind of scaling with its numbers, perhaps a part of the head that is not rotated.

    {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, ...}

Taught in:        rope
Paper:            those of the scalings, in `scaling`
Checked against:  transformers' ROPE_INIT_FUNCTIONS and its rotary modules
Shapes:           T tokens, half = D/2 planes
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.rope.rotation import rope_frequencies
from course_lib.rope.scaling import (
    dynamic_ntk_base,
    interpolated_frequencies,
    llama3_frequencies,
    longrope_attention_factor,
    longrope_frequencies,
    proportional_frequencies,
    yarn_attention_factor,
    yarn_frequencies,
)


@dataclass(frozen=True)
class _Request:
    """What a config asks for, with the frequencies it would have without scaling."""

    parameters: Mapping[str, Any]
    plain: Tensor
    base: float
    max_length: int
    length: int

    def number(self, name: str, default: float | None = None) -> float:
        return _number(self.parameters, name, default)

    @property
    def trained_length(self) -> int:
        return int(self.number("original_max_position_embeddings", float(self.max_length)))

    @property
    def stretch(self) -> float:
        return self.number("factor", self.max_length / self.trained_length)


def rope_cos_sin(
    positions: Int[Tensor, "*batch T"],
    head_dim: int,
    rope_parameters: Mapping[str, Any],
    max_position_embeddings: int,
) -> tuple[Float[Tensor, "*batch T half"], Float[Tensor, "*batch T half"]]:
    """Return the cosines and sines that rotate tokens at `positions`, in float32.

    They serve all layers of a model. The attention factor of the scaling is multiplied in.
    """
    depends_on_length = rope_parameters.get("rope_type") in ("dynamic", "longrope")
    length = int(positions.max()) + 1 if depends_on_length else None
    frequencies, attention_factor = scaled_frequencies(
        rope_parameters, head_dim, max_position_embeddings, length, positions.device
    )
    angles = positions.float()[..., None] * frequencies
    return angles.cos() * attention_factor, angles.sin() * attention_factor


def scaled_frequencies(
    rope_parameters: Mapping[str, Any],
    head_dim: int,
    max_position_embeddings: int,
    length: int | None = None,
    device: torch.device | str | None = None,
) -> tuple[Float[Tensor, " half"], float]:
    """Return frequencies and attention factor as `rope_parameters` of a config ask for them.

    `length` is that of the text; `dynamic` and `longrope` stretch further for a longer one.
    """
    kind = rope_parameters.get("rope_type", "default")
    if kind not in _KINDS:
        raise ValueError(
            f"rope_type must be one of {sorted(_KINDS)}; got {kind!r}. Take it from the config."
        )
    base = _number(rope_parameters, "rope_theta")
    turned = 1.0 if kind == "proportional" else rope_parameters.get("partial_rotary_factor", 1.0)
    plain = rope_frequencies(int(head_dim * turned), base, device)
    request = _Request(rope_parameters, plain, base, max_position_embeddings, length or 0)
    return _KINDS[kind](request)


def _number(parameters: Mapping[str, Any], name: str, default: float | None = None) -> float:
    return float(_value(parameters, name, default))


def _value(parameters: Mapping[str, Any], name: str, default: float | None = None) -> Any:
    value = parameters.get(name)
    value = default if value is None else value
    if value is None:
        raise ValueError(
            f"rope_parameters need {name!r} here; got only {sorted(parameters)}. "
            "Copy rope_parameters whole from the model's config."
        )
    return value


def _default(r: _Request) -> tuple[Tensor, float]:
    return r.plain, 1.0


def _linear(r: _Request) -> tuple[Tensor, float]:
    return interpolated_frequencies(r.plain, r.number("factor")), 1.0


def _dynamic(r: _Request) -> tuple[Tensor, float]:
    rotary = 2 * len(r.plain)
    base = dynamic_ntk_base(r.base, r.number("factor"), rotary, r.length, r.max_length)
    return rope_frequencies(rotary, base, r.plain.device), 1.0


def _yarn(r: _Request) -> tuple[Tensor, float]:
    frequencies = yarn_frequencies(
        r.plain,
        r.base,
        r.stretch,
        r.trained_length,
        r.number("beta_fast", 32.0),
        r.number("beta_slow", 1.0),
        r.parameters.get("truncate", True),
    )
    usual = yarn_attention_factor(
        r.stretch, r.number("mscale", 0.0), r.number("mscale_all_dim", 0.0)
    )
    return frequencies, r.number("attention_factor", usual)


def _llama3(r: _Request) -> tuple[Tensor, float]:
    low, high = r.number("low_freq_factor"), r.number("high_freq_factor")
    return llama3_frequencies(r.plain, r.number("factor"), low, high, r.trained_length), 1.0


def _longrope(r: _Request) -> tuple[Tensor, float]:
    which = "long_factor" if r.length > r.trained_length else "short_factor"
    usual = longrope_attention_factor(r.stretch, r.trained_length)
    factors = _value(r.parameters, which)
    return longrope_frequencies(r.plain, factors), r.number("attention_factor", usual)


def _proportional(r: _Request) -> tuple[Tensor, float]:
    proportion, factor = r.number("partial_rotary_factor", 1.0), r.number("factor", 1.0)
    return proportional_frequencies(r.plain, proportion, factor), 1.0


_KINDS: dict[str, Callable[[_Request], tuple[Tensor, float]]] = {
    "default": _default,
    "linear": _linear,
    "dynamic": _dynamic,
    "yarn": _yarn,
    "llama3": _llama3,
    "longrope": _longrope,
    "proportional": _proportional,
}
