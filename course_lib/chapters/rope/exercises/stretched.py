"""Exercises on longer texts: the NTK-aware base, and the frequencies of Llama 3."""

import math

import torch

from course_lib import rope
from course_lib.chapters.rope.exercises.generators import a_stretched_base, frequencies_and_limits
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _base_by_search(base, factor, head_dim):
    """Find the base by bisection, from what it must do to the slowest plane alone."""
    exponent = -(head_dim - 2) / head_dim
    low, high = math.log(base), math.log(base) + 2 * math.log(factor) * head_dim
    for _ in range(200):
        middle = (low + high) / 2
        slowed = math.exp((math.log(base) - middle) * -exponent)  # old speed / new speed, inverted
        low, high = (middle, high) if 1 / slowed < factor else (low, middle)
    return math.exp((low + high) / 2)


def _in_float32(base, factor, head_dim):
    return torch.tensor(base) * torch.tensor(factor) ** (head_dim / (head_dim - 2))


NTK_BASE = Exercise(
    id="rope.ntk_base",
    title="The NTK-aware base",
    minutes=6,
    difficulty=2,
    statement=(
        "Return the base with which the slowest plane, of frequency base^(−(D−2)/D), rotates "
        "`factor` times slower than with the old one."
    ),
    solution=rope.ntk_aware_base,
    reference=_base_by_search,
    generator=a_stretched_base,
    probes=(
        Probe(
            "head width 4, factor 2",
            lambda: call(100.0, 2.0, 4),
            "D/(D − 2) is 2 here: the base must grow by 2² = 4, to 400.",
        ),
        Probe(
            "no stretching",
            lambda: call(10_000.0, 1.0, 64),
            "With the factor 1 nothing changes.",
        ),
        Probe(
            "Llama's head, factor 8",
            lambda: call(10_000.0, 8.0, 128),
            "The slowest of 64 planes has the exponent −126/128.",
        ),
        Probe(
            "Qwen's base",
            lambda: call(1_000_000.0, 4.0, 128),
            "The same rule with a different base.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the base times the factor",
            lambda base, factor, head_dim: base * factor,
            "Then the slowest plane slows by factor^((D−2)/D), a little too little. Solve "
            "new^(−(D−2)/D) = base^(−(D−2)/D) / factor for the new base.",
        ),
        Misconception(
            "the exponent inverted",
            lambda base, factor, head_dim: base * factor ** ((head_dim - 2) / head_dim),
            "To undo the power (D − 2)/D, raise to its inverse, D/(D − 2).",
        ),
        Misconception(
            "divided where it should grow",
            lambda base, factor, head_dim: base / factor ** (head_dim / (head_dim - 2)),
            "A larger base means slower planes. Yours makes all planes faster.",
        ),
        Misconception(
            "missing parentheses",
            lambda base, factor, head_dim: base * factor**head_dim / (head_dim - 2),
            "In Python ** binds before /. Write factor ** (head_dim / (head_dim - 2)).",
        ),
        Misconception(
            "D/2 planes taken for D",
            lambda base, factor, head_dim: base * factor ** (head_dim / (head_dim - 1)),
            "Each plane has two features, so the last has the exponent −(D − 2)/D, not −(D − 1)/D.",
        ),
        Misconception(
            "the factor left out",
            lambda base, factor, head_dim: base ** (head_dim / (head_dim - 2)),
            "Your result does not depend on `factor`.",
        ),
        Misconception(
            "the base raised as well",
            lambda base, factor, head_dim: (base * factor) ** (head_dim / (head_dim - 2)),
            "Only the factor is raised to the power D/(D − 2). It multiplies the old base.",
        ),
        Misconception(
            "the base fixed at 10 000",
            lambda base, factor, head_dim: 10_000.0 * factor ** (head_dim / (head_dim - 2)),
            "Use the argument `base`. Qwen3 was trained with 1 000 000.",
        ),
    ),
    alternatives=(
        Alternative(
            "through logarithms",
            lambda base, factor, head_dim: math.exp(
                math.log(base) + math.log(factor) * head_dim / (head_dim - 2)
            ),
        ),
        Alternative(
            "as the hints say",
            lambda base, factor, head_dim: base * factor ** (head_dim / (head_dim - 2)),
        ),
        Alternative("as a tensor, in float32", _in_float32),
    ),
    hints=(
        "Write it as an equation: new^(−(D−2)/D) = base^(−(D−2)/D) / factor.",
        "Raise both sides to the power −D/(D−2).",
        "new = base · factor^(D/(D−2)).",
    ),
)


def _plane_by_plane(frequencies, factor, low_freq_factor, high_freq_factor, trained_length):
    out = []
    for frequency in frequencies.tolist():
        waves = trained_length * frequency / (2 * math.pi)
        if waves > high_freq_factor:
            out.append(frequency)
        elif waves < low_freq_factor:
            out.append(frequency / factor)
        else:
            share = (waves - low_freq_factor) / (high_freq_factor - low_freq_factor)
            out.append(share * frequency + (1 - share) * frequency / factor)
    return torch.tensor(out, device=frequencies.device)


def _blend(kept, *, slow=lambda frequency, factor: frequency / factor, turn=2 * math.pi):
    """Return a scaling in which `kept(waves, low, high)` is the share left alone."""

    def scaled(frequencies, factor, low_freq_factor, high_freq_factor, trained_length):
        waves = trained_length * frequencies / turn
        share = kept(waves, low_freq_factor, high_freq_factor)
        return frequencies * share + slow(frequencies, factor) * (1 - share)

    return scaled


def _ramp(waves, low, high):
    return ((waves - low) / (high - low)).clamp(0, 1)


def _unclamped(waves, low, high):
    return (waves - low) / (high - low)


def _over_wavelength(waves, low, high):
    return ((1 / low - 1 / waves) / (1 / low - 1 / high)).clamp(0, 1)


def _planes(head_dim, base):
    return base ** (-torch.arange(0, head_dim, 2).float() / head_dim)


def _by_cases(frequencies, factor, low_freq_factor, high_freq_factor, trained_length):
    wavelength = 2 * math.pi / frequencies
    share = (trained_length / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor)
    blended = (1 - share) * frequencies / factor + share * frequencies
    slow = wavelength > trained_length / low_freq_factor
    fast = wavelength < trained_length / high_freq_factor
    return torch.where(slow, frequencies / factor, torch.where(fast, frequencies, blended))


LLAMA3 = Exercise(
    id="rope.llama3",
    title="Slow the slow planes",
    minutes=10,
    difficulty=3,
    statement=(
        "Count the turns, with their fractions, that each plane makes within `trained_length`. "
        "From `high_freq_factor` turns on, leave its frequency unchanged; up to "
        "`low_freq_factor`, divide it by `factor`; between, blend the two frequencies linearly "
        "in the number of turns. `frequencies` is (planes,), in radians per token, and so is "
        "the result. "
        "The given tensor is not changed."
    ),
    solution=rope.llama3_frequencies,
    reference=_plane_by_plane,
    generator=frequencies_and_limits,
    probes=(
        Probe(
            "fast planes only",
            lambda: call(torch.tensor([1.0, 0.8]), 8.0, 1.0, 4.0, 100),
            "They make more than 4 turns within 100 tokens: nothing changes.",
        ),
        Probe(
            "slow planes only",
            lambda: call(torch.tensor([0.05, 0.01]), 8.0, 1.0, 4.0, 100),
            "They do not complete one turn within 100 tokens: divided by 8.",
        ),
        Probe(
            "one plane between",
            lambda: call(torch.tensor([2.5 * 2 * math.pi / 100]), 8.0, 1.0, 4.0, 100),
            "2.5 turns are half way between 1 and 4: the mean of both frequencies.",
        ),
        Probe(
            "a head of ten planes",
            lambda: call(_planes(20, 10_000.0), 8.0, 1.0, 4.0, 512),
            "Fast, blended and slow planes together.",
        ),
        Probe(
            "Llama 3.1",
            lambda: call(_planes(128, 500_000.0), 8.0, 1.0, 4.0, 8192),
            "The numbers of a real config.",
        ),
    ),
    misconceptions=(
        Misconception(
            "every plane slowed",
            _blend(lambda waves, low, high: torch.zeros_like(waves)),
            "This is position interpolation. Fast planes tell neighbours apart: leave them "
            "unchanged.",
        ),
        Misconception(
            "fast planes slowed",
            _blend(lambda waves, low, high: 1 - _ramp(waves, low, high)),
            "You divide the fast planes and leave the slow ones unchanged. Unseen angles "
            "appear in the slow ones.",
        ),
        Misconception(
            "a step instead of a ramp",
            _blend(lambda waves, low, high: (waves >= (low + high) / 2).float()),
            "Between the two limits the frequencies are blended, so that neighbouring planes "
            "do not differ abruptly.",
        ),
        Misconception(
            "turns counted without 2π",
            _blend(_ramp, turn=1.0),
            "length · frequency is an angle in radians. Divide by 2π to count turns.",
        ),
        Misconception(
            "the blend linear in the wavelength",
            _blend(_over_wavelength),
            "Your ramp is linear in 1/turns. The blend is linear in the number of turns.",
        ),
        Misconception(
            "multiplied by the factor",
            _blend(_ramp, slow=lambda frequency, factor: frequency * factor),
            "Slower means a smaller frequency: divide by the factor.",
        ),
        Misconception(
            "the limits 1 and 4 hard-coded",
            _blend(lambda waves, low, high: _ramp(waves, 1.0, 4.0)),
            "These are Llama's numbers. Use `low_freq_factor` and `high_freq_factor`.",
        ),
        Misconception(
            "the ramp not clamped",
            _blend(_unclamped),
            "Below the lower limit your share is negative, and above the upper one it exceeds "
            "1. Clamp it: .clamp(0, 1).",
        ),
        Misconception(
            "no ramp between the limits",
            _blend(lambda waves, low, high: (waves >= high).float()),
            "You slow down every plane below the upper limit by the full factor. Between the two "
            "limits, blend the frequencies.",
        ),
        Misconception(
            "whole turns only",
            _blend(lambda waves, low, high: _ramp(waves.floor(), low, high)),
            "You drop the fraction of a turn: 2.5 turns must count as 2.5, not as 2.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _blend(_ramp)),
        Alternative("by cases, as transformers writes it", _by_cases),
        Alternative("plane by plane", _plane_by_plane),
    ),
    hints=(
        "turns = trained_length * frequencies / (2 * math.pi).",
        "kept = ((turns - low) / (high - low)).clamp(0, 1) is 1 for fast planes, 0 for slow ones.",
        "frequencies * kept + frequencies / factor * (1 - kept).",
    ),
)
