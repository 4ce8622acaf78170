"""The planes of RoPE: how long each takes for a full turn, and which of them a scaling slows.

Taught in:        rope
Paper:            Chen et al. 2023, arXiv:2306.15595; Peng et al. 2023, arXiv:2309.00071;
                  Grattafiori et al. 2024, arXiv:2407.21783
Checked against:  transformers' ROPE_INIT_FUNCTIONS
Shapes:           D head width, half = D/2 planes
"""

import math

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.rope.scalings import rope_request
from course_lib.rope import rope_frequencies, scaled_frequencies
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

COLOURS = {
    "plain": OKABE_ITO.black,
    "interpolation": OKABE_ITO.orange,
    "NTK-aware": OKABE_ITO.green,
    "dynamic": OKABE_ITO.sky,
    "YaRN": OKABE_ITO.blue,
    "Llama 3": OKABE_ITO.purple,
}


def frequencies_of(
    scaling: str, factor: Number, head_dim: int, base: Number, trained_length: int
) -> Float[Tensor, " half"]:
    """Return the frequencies under a scaling, for a text of `factor` trained lengths."""
    request = rope_request(scaling, factor, head_dim, base, trained_length)
    length = int(factor * trained_length)
    return scaled_frequencies(request, head_dim, trained_length, length)[0]


def wavelengths(frequencies: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
    """Return the number of tokens each plane takes for a full turn."""
    return 2 * math.pi / frequencies


def wavelength_map(head_dim: int, base: Number, trained_length: Number) -> Figure:
    """Draw how many tokens each plane takes for a full turn, against the trained length."""
    waves = wavelengths(rope_frequencies(head_dim, float(base)))
    turned = waves <= trained_length
    figure, ax = new_figure(8.5, 3.9, margins=Margins(top=0.6, left=1.0))
    places = torch.arange(len(waves))
    for group, ink, name in (
        (turned, OKABE_ITO.blue, "completes a turn: every angle was seen"),
        (~turned, OKABE_ITO.vermillion, "does not: larger distances bring unseen angles"),
    ):
        ax.plot(places[group].tolist(), waves[group].tolist(), "o", color=ink, label=name, ms=5)
    ax.axhline(trained_length, color=FAINT, linestyle="--", linewidth=1.5)
    ax.text(0, trained_length * 1.35, f"trained length {trained_length:,.0f}", color=FAINT, size=9)
    ax.set(yscale="log", xlabel="plane", ylabel="tokens for a full turn", ylim=(2, 2e8))
    ax.set_yticks([10, 1e3, 1e5, 1e7], ["10", "1 000", "100 000", "10 million"])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9, loc="upper left")
    missing = int((~turned).sum())
    slowest = f"the slowest takes {waves[-1]:,.0f} tokens"
    title(
        ax, f"Base {base:,.0f}: {missing} of {len(waves)} planes never complete a turn; {slowest}"
    )
    return figure


def slowdown(factor: Number, head_dim: int, base: Number, trained_length: int) -> Figure:
    """Draw the factor by which each scaling slows each plane, for texts `factor` times as long."""
    plain = rope_frequencies(head_dim, float(base))
    figure, ax = new_figure(8.5, 4.0, margins=Margins(top=0.75, left=0.9, right=1.6))
    for scaling, ink in COLOURS.items():
        if scaling == "dynamic":
            continue  # the NTK-aware rule with a factor that depends on the present length
        new = frequencies_of(scaling, factor, head_dim, base, trained_length)
        style = {"ls": "--", "zorder": 3} if scaling == "plain" else {}  # on top of the others
        ax.plot((plain / new).tolist(), color=ink, linewidth=2.2, label=scaling, **style)
    turns = trained_length / wavelengths(plain)
    for count, words, height in ((32, "32 turns", 0.65), (1, "1 turn", 0.3)):
        edge = int((turns >= count).sum()) - 0.5
        if 0 < edge < len(plain) - 1:
            ax.axvline(edge, color=FAINT, linestyle=":", linewidth=1.2)
            said, place = f"{words}\nin training", 1 + height * (factor - 1)
            ax.text(edge + 0.3, place, said, color=FAINT, size=9, va="top")
    ax.set(
        xlabel="plane, from fast to slow", ylabel="slowed by this factor", ylim=(0.8, 1.12 * factor)
    )
    ax.set_yticks([1, factor], ["1", f"{factor:.3g}"])
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    alone = int((plain == frequencies_of("YaRN", factor, head_dim, base, trained_length)).sum())
    title(
        ax,
        f"For texts {factor:.3g} times as long, interpolation slows all {len(plain)} planes; "
        f"YaRN leaves {alone} unchanged",
    )
    return figure
