"""Longer texts than a model was trained on: slower rotations.

Beyond its trained length a model meets distances, and so angles, that it has never seen. Every
remedy slows planes down; they differ in which ones. Fast planes tell neighbours apart and have
completed many turns, so all their angles have been seen; slow planes have never completed a turn,
and it is there that unseen angles appear.

    larger base (ABF)     all planes but the first, slower planes most       (needs training)
    linear                every plane by the same factor
    NTK-aware             base * factor ** (D / (D - 2)): the slowest plane by factor, the first not
    dynamic               NTK-aware, with a factor that grows with the text
    YaRN                  slow planes by factor, fast ones not, a ramp between; sharper scores
    Llama 3               the same idea with a ramp in the number of turns
    LongRoPE              a factor per plane, found by search
    proportional          a part of the planes; the others do not rotate

Taught in:        rope
Paper:            Chen et al. 2023, arXiv:2306.15595 (linear); Peng et al. 2023, arXiv:2309.00071
                  (NTK-aware, YaRN); Grattafiori et al. 2024, arXiv:2407.21783 (Llama 3); Ding et
                  al. 2024, arXiv:2402.13753 (LongRoPE)
Checked against:  every entry of transformers' ROPE_INIT_FUNCTIONS
Shapes:           D head width, half = D/2 planes
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def interpolated_frequencies(
    frequencies: Float[Tensor, " half"], factor: float
) -> Float[Tensor, " half"]:
    """Return every plane slowed by `factor`: position interpolation, `linear` in configs."""
    return frequencies / _checked_factor(factor)


def ntk_aware_base(base: float, factor: float, head_dim: int) -> float:
    """Return the base with which the slowest plane rotates `factor` times slower, the fastest not.

    The slowest plane has the frequency base ** (-(D - 2) / D); solve for the new base.
    """
    if head_dim <= 2:
        raise ValueError(
            f"head_dim must be more than 2 for a slowest plane to exist; got {head_dim}. "
            "A single plane has the frequency 1 for every base."
        )
    return base * _checked_factor(factor) ** (head_dim / (head_dim - 2))


def dynamic_ntk_base(
    base: float, factor: float, head_dim: int, length: int, trained_length: int
) -> float:
    """Return the NTK-aware base for a text of `length`: unchanged up to the trained length."""
    stretch = factor * max(length, trained_length) / trained_length - (factor - 1)
    return ntk_aware_base(base, stretch, head_dim)


def yarn_frequencies(
    frequencies: Float[Tensor, " half"],
    base: float,
    factor: float,
    trained_length: int,
    beta_fast: float = 32.0,
    beta_slow: float = 1.0,
    truncate: bool = True,
) -> Float[Tensor, " half"]:
    """Return planes slowed by `factor` unless they make many turns within the trained length.

    More than `beta_fast` turns: unchanged. Fewer than `beta_slow`: slowed. Between: a ramp.
    """
    head_dim = 2 * len(frequencies)

    def plane_with(turns: float) -> float:
        """Return the (fractional) plane that makes this number of turns in the trained length."""
        return head_dim * math.log(trained_length / (turns * 2 * math.pi)) / (2 * math.log(base))

    first, last = plane_with(beta_fast), plane_with(beta_slow)
    if truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_dim - 1)
    width = last - first or 0.001  # a ramp of no width is a step
    plane = torch.arange(len(frequencies), device=frequencies.device)
    slowed = ((plane - first) / width).clamp(0, 1)  # 0: unchanged, 1: slowed by the full factor
    return frequencies * (1 - slowed) + interpolated_frequencies(frequencies, factor) * slowed


def yarn_attention_factor(
    factor: float, mscale: float | None = None, mscale_all_dim: float | None = None
) -> float:
    """Return the number that multiplies cosine and sine, so that long texts get sharper weights."""

    def strength(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    if mscale and mscale_all_dim:
        return strength(mscale) / strength(mscale_all_dim)
    return strength(1.0)


def llama3_frequencies(
    frequencies: Float[Tensor, " half"],
    factor: float,
    low_freq_factor: float,
    high_freq_factor: float,
    trained_length: int,
) -> Float[Tensor, " half"]:
    """Return planes slowed by `factor` unless their wavelength is short relative to trained_length.

    More than `high_freq_factor` waves fit: unchanged. Fewer than `low_freq_factor`: slowed.
    """
    if not low_freq_factor < high_freq_factor:
        raise ValueError(
            "low_freq_factor must be less than high_freq_factor, since the ramp runs between them; "
            f"got {low_freq_factor} and {high_freq_factor}. Llama 3.1 has 1 and 4."
        )
    waves = trained_length * frequencies / (2 * math.pi)
    kept = ((waves - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1)
    return frequencies * kept + interpolated_frequencies(frequencies, factor) * (1 - kept)


def longrope_frequencies(
    frequencies: Float[Tensor, " half"], factors: Sequence[float]
) -> Float[Tensor, " half"]:
    """Return each plane slowed by its own factor."""
    if len(factors) != len(frequencies):
        raise ValueError(
            f"LongRoPE needs one factor for each of the {len(frequencies)} planes; got "
            f"{len(factors)}. Take short_factor or long_factor from the model's own config."
        )
    return frequencies / torch.tensor(factors, device=frequencies.device)


def longrope_attention_factor(factor: float, trained_length: int) -> float:
    """Return the number that multiplies cosine and sine in LongRoPE."""
    return math.sqrt(1 + math.log(factor) / math.log(trained_length)) if factor > 1 else 1.0


def proportional_frequencies(
    frequencies: Float[Tensor, " half"], proportion: float, factor: float = 1.0
) -> Float[Tensor, " half"]:
    """Return the first part of the planes, slowed by `factor`; the others get frequency 0."""
    turning = int(proportion * len(frequencies))
    plane = torch.arange(len(frequencies), device=frequencies.device)
    return interpolated_frequencies(frequencies, factor) * (plane < turning)


def _checked_factor(factor: float) -> float:
    if factor < 1:
        raise ValueError(
            f"factor is new length / trained length, so at least 1; got {factor}. "
            "Pass new length / trained length."
        )
    return factor
