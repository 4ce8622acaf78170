"""The planes of RoPE: how long each needs for a turn, and which of them a scaling slows.

Taught in:        rope
Paper:            Chen et al. 2023, arXiv:2306.15595; Peng et al. 2023, arXiv:2309.00071;
                  Grattafiori et al. 2024, arXiv:2407.21783
Checked against:  transformers' ROPE_INIT_FUNCTIONS
Shapes:           D head width, half = D/2 planes
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.rope import ntk_aware_base, rope_frequencies, scaled_frequencies
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

COLOURS = {
    "plain": OKABE_ITO.black,
    "interpolation": OKABE_ITO.orange,
    "NTK-aware": OKABE_ITO.green,
    "dynamic": OKABE_ITO.sky,
    "YaRN": OKABE_ITO.blue,
    "Llama 3": OKABE_ITO.purple,
}
SCALINGS = tuple(COLOURS)


def rope_request(
    scaling: str, factor: Number, head_dim: int, base: Number, trained_length: int
) -> dict[str, Any]:
    """Return `rope_parameters`, as in a model's config, that ask for a scaling by its name here."""
    if scaling not in SCALINGS:
        raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}; got {scaling!r}.")
    plain: dict[str, Any] = {"rope_type": "default", "rope_theta": float(base)}
    if scaling == "plain" or factor == 1:
        return plain
    if scaling == "NTK-aware":
        return plain | {"rope_theta": ntk_aware_base(float(base), float(factor), head_dim)}
    kinds = {"interpolation": "linear", "dynamic": "dynamic", "YaRN": "yarn", "Llama 3": "llama3"}
    stretched = {"rope_type": kinds[scaling], "factor": float(factor)}
    original = {"original_max_position_embeddings": trained_length}
    ramp = {"low_freq_factor": 1.0, "high_freq_factor": 4.0} if scaling == "Llama 3" else {}
    return plain | stretched | original | ramp


def frequencies_of(
    scaling: str, factor: Number, head_dim: int, base: Number, trained_length: int
) -> Float[Tensor, " half"]:
    """Return the frequencies under a scaling, for a text that is `factor` times too long."""
    request = rope_request(scaling, factor, head_dim, base, trained_length)
    length = int(factor * trained_length)
    return scaled_frequencies(request, head_dim, trained_length, length)[0]


def wavelengths(frequencies: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
    """Return how many tokens each plane needs for a full turn."""
    return 2 * math.pi / frequencies


def wavelength_map(head_dim: int, base: Number, trained_length: Number) -> Figure:
    """Draw how many tokens each plane needs for a turn, against the length that was trained."""
    waves = wavelengths(rope_frequencies(head_dim, float(base)))
    turned = waves <= trained_length
    figure, ax = new_figure(8.5, 3.9, margins=Margins(top=0.6, left=1.0))
    places = torch.arange(len(waves))
    for group, ink, name in (
        (turned, OKABE_ITO.blue, "has completed a turn: every angle was seen"),
        (~turned, OKABE_ITO.vermillion, "has not: further tokens bring unseen angles"),
    ):
        ax.plot(places[group].tolist(), waves[group].tolist(), "o", color=ink, label=name, ms=5)
    ax.axhline(trained_length, color=FAINT, linestyle="--", linewidth=1.5)
    ax.text(0, trained_length * 1.35, f"trained length {trained_length:,.0f}", color=FAINT, size=9)
    ax.set(yscale="log", xlabel="plane", ylabel="tokens for one turn", ylim=(2, 2e8))
    ax.set_yticks([10, 1e3, 1e5, 1e7], ["10", "1 000", "100 000", "10 million"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    missing = int((~turned).sum())
    slowest = f"the slowest needs {waves[-1]:,.0f} tokens"
    title(ax, f"Base {base:,.0f}: {missing} of {len(waves)} planes never turn in full; {slowest}")
    return figure


def slowdown(factor: Number, head_dim: int, base: Number, trained_length: int) -> Figure:
    """Draw by how much each scaling slows each plane, for texts `factor` times as long."""
    plain = rope_frequencies(head_dim, float(base))
    figure, ax = new_figure(8.5, 4.0, margins=Margins(top=0.75, left=0.9, right=1.6))
    for scaling, ink in COLOURS.items():
        if scaling == "dynamic":
            continue  # at the full length it is the NTK-aware rule with another factor
        new = frequencies_of(scaling, factor, head_dim, base, trained_length)
        ax.plot((plain / new).tolist(), color=ink, linewidth=2.2, label=scaling)
    turns = trained_length / wavelengths(plain)
    for count, words in ((32, "32 turns"), (1, "1 turn")):
        edge = int((turns >= count).sum()) - 0.5
        if 0 < edge < len(plain) - 1:
            ax.axvline(edge, color=FAINT, linestyle=":", linewidth=1.2)
            ax.text(edge, 1.02 * factor, f" {words}", color=FAINT, size=9)
    ax.set(xlabel="plane, from fast to slow", ylabel="times slower", ylim=(0.8, 1.12 * factor))
    ax.set_yticks([1, factor], ["1", f"{factor:.3g}"])
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    alone = int((plain == frequencies_of("YaRN", factor, head_dim, base, trained_length)).sum())
    title(
        ax,
        f"For texts {factor:.3g} times as long, interpolation slows all {len(plain)} planes; "
        f"YaRN leaves {alone} alone",
    )
    return figure


def larger_base(old: Number, new: Number, factor: Number, head_dim: int) -> Figure:
    """Draw how much a larger base slows each plane, beside the NTK-aware rule for a factor."""
    plain = rope_frequencies(head_dim, float(old))
    trained = plain / rope_frequencies(head_dim, float(new))
    rule = plain / rope_frequencies(head_dim, ntk_aware_base(float(old), float(factor), head_dim))
    figure, ax = new_figure(8.5, 3.8, margins=Margins(top=0.75, left=0.9, right=0.3))
    curves: Mapping[str, tuple[Float[Tensor, " half"], str]] = {
        f"base {new:,.0f}, trained so": (trained, OKABE_ITO.vermillion),
        f"NTK-aware for {factor:.3g} times the length": (rule, COLOURS["NTK-aware"]),
    }
    for name, (values, ink) in curves.items():
        ax.plot(values.tolist(), color=ink, linewidth=2.2, label=name)
    ax.set(yscale="log", xlabel="plane, from fast to slow", ylabel="times slower", ylim=(0.8, None))
    ax.set_yticks([1, 10, 100], ["1", "10", "100"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    title(
        ax,
        f"At the slowest plane a base of {new:,.0f} is {trained[-1]:.1f} times slower than "
        f"{old:,.0f}; the rule for {factor:.3g} gives {rule[-1]:.1f}",
    )
    return figure
