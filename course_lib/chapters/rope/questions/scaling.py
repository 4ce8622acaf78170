"""Questions on longer texts: wavelengths, the NTK-aware base, interpolation, decay."""

import math
import random
from typing import Any

from course_lib import rope
from course_lib.study.ask.question import Numeric, OneAnswer, Option, Slip


def _draw_plane(rng: random.Random) -> dict[str, Any]:
    head_dim = rng.choice([64, 128])
    plane = rng.choice([1, 2, 3, 4, 5, 6]) * head_dim // 16
    return {"head_dim": head_dim, "base": rng.choice([10000, 500000, 1000000]), "plane": plane}


def _wavelength(head_dim: int, base: int, plane: int) -> float:
    return 2 * math.pi / rope.rope_frequencies(head_dim, float(base))[plane].item()


WAVELENGTH = Numeric(
    id="rope.wavelength",
    prompt="A head of width {head_dim} uses RoPE with the base {base}. How many tokens does plane "
    "number {plane}, counted from 0, take for a full turn?",
    draw=_draw_plane,
    answer=_wavelength,
    explain=lambda head_dim, base, plane: (
        f"It rotates by {base}^(-2 · {plane} / {head_dim}) per token, and a full turn is 2π: "
        f"2π · {base}^({2 * plane / head_dim:g}) = {_wavelength(head_dim, base, plane):.6g}."
    ),
    unit="tokens",
    slips=(
        Slip(
            "without 2π",
            lambda head_dim, base, plane: base ** (2 * plane / head_dim),
            "This is the number of tokens for one radian. A full turn is 2π radians.",
        ),
        Slip(
            "half the exponent",
            lambda head_dim, base, plane: 2 * math.pi * base ** (plane / head_dim),
            "The exponent is 2i/D, with i counting planes: each plane has two features.",
        ),
        Slip(
            "360",
            lambda head_dim, base, plane: 360 * base ** (2 * plane / head_dim),
            "The angle is in radians; a full turn is 2π of them.",
        ),
    ),
)


def _draw_stretch(rng: random.Random) -> dict[str, Any]:
    return {
        "base": rng.choice([10000, 100000, 500000]),
        "factor": rng.choice([2, 4, 8, 16]),
        "head_dim": rng.choice([16, 32, 64]),
    }


NTK = Numeric(
    id="rope.ntk",
    prompt="A model with heads of width {head_dim} was trained with the base {base}. What base "
    "does the NTK-aware rule give for texts {factor} times as long?",
    draw=_draw_stretch,
    answer=lambda base, factor, head_dim: rope.ntk_aware_base(float(base), float(factor), head_dim),
    explain=lambda base, factor, head_dim: (
        f"The exponent is {head_dim}/{head_dim - 2} = {head_dim / (head_dim - 2):.4g}, and "
        f"{base} · {factor}^{head_dim / (head_dim - 2):.4g} = "
        f"{rope.ntk_aware_base(float(base), float(factor), head_dim):.6g}."
    ),
    slips=(
        Slip(
            "times the factor",
            lambda base, factor, head_dim: base * factor,
            "Close, but the slowest plane has the exponent (D - 2)/D, so the factor is raised to "
            "D/(D - 2).",
        ),
        Slip(
            "inverted",
            lambda base, factor, head_dim: base * factor ** ((head_dim - 2) / head_dim),
            "The exponent is inverted: to undo (D - 2)/D, raise to D/(D - 2).",
        ),
        Slip(
            "the base raised",
            lambda base, factor, head_dim: factor * base ** (head_dim / (head_dim - 2)),
            "The power belongs to the factor, not to the base.",
        ),
    ),
)


QWEN = OneAnswer(
    id="rope.qwen_base",
    prompt="Qwen3 has the base 1 000 000 where Llama 2 has 10 000. Where does it come from?",
    options=(
        Option(
            "The model was trained with it (ABF).",
            True,
            "in the last stage of pretraining, on long texts, the base was raised and the "
            "weights adapted to it. NTK-aware scaling changes the base of a finished model, by "
            "a factor that follows from the new length.",
        ),
        Option(
            "It is NTK-aware scaling for texts 100 times as long.",
            False,
            "that rule is applied without training, and 100 times the length would give a "
            "different number, 100 raised to D/(D - 2) times the base.",
        ),
        Option(
            "It is position interpolation with the factor 100.",
            False,
            "interpolation slows every plane by the same factor. A larger base leaves plane 0 "
            "at 1 radian per token.",
        ),
        Option(
            "It is the number of positions for which the model has a row.",
            False,
            "RoPE has no table and no rows. The base determines how fast planes rotate.",
        ),
    ),
)


INTERPOLATION = OneAnswer(
    id="rope.interpolation",
    prompt="Position interpolation by 4 keeps all angles of a long text within those of training. "
    "Why do models still get worse with it, even on short texts, until they are trained a "
    "little?",
    options=(
        Option(
            "Neighbouring tokens are now only a quarter of a step apart.",
            True,
            "a head that learned to read the previous token uses an angle that now belongs to "
            "four tokens back. For this reason the other scalings leave the fastest planes "
            "unchanged or nearly so.",
        ),
        Option(
            "The slow planes reach angles that were never seen.",
            False,
            "this is what interpolation prevents: no plane rotates further than in training.",
        ),
        Option(
            "Queries and keys become four times shorter.",
            False,
            "the angles are divided, not the vectors. Lengths stay the same.",
        ),
        Option(
            "Scores depend on absolute positions now.",
            False,
            "they still depend only on the distance, divided by 4.",
        ),
    ),
)


DECAY = OneAnswer(
    id="rope.decay",
    prompt="Queries and keys are sampled independently, with mean 0. What is the mean of their "
    "score under RoPE?",
    options=(
        Option(
            "0 at every distance",
            True,
            "before the rotation the mean of each product is 0, and rotating one of the two "
            "does not change that. What falls with distance is the mean score of a query with "
            "a key equal to it.",
        ),
        Option(
            "It falls with distance, from 1 to 0",
            False,
            "that would require the two to be similar at distance 0. Independent vectors are not.",
        ),
        Option(
            "It is 0 at distance 0 and grows",
            False,
            "a rotation does not change the distribution of independent pairs, so no distance "
            "is special.",
        ),
        Option(
            "It oscillates with the slowest plane",
            False,
            "each single score oscillates. The mean over independent pairs does not.",
        ),
    ),
)


WINDOW = OneAnswer(
    id="rope.window",
    prompt="A model was trained on 256 tokens. At token 1000 of a text its loss is 3.6 nats with "
    "plain RoPE, 3.2 with a scaling rule, and 3.2 with a sliding window of 256 tokens. "
    "What does the rule achieve?",
    options=(
        Option(
            "It removes the harm of the long text, and no more.",
            True,
            "the window reads nothing beyond 256 tokens and does as well, so the loss does not "
            "show that more distant tokens were used. If they were, the rule would be below "
            "the window.",
        ),
        Option(
            "It lets the model use all 1000 tokens.",
            False,
            "a model that cannot read 744 of them does as well. Compare with a window before "
            "you claim that a long text is used.",
        ),
        Option(
            "Nothing, since the window needs no rule.",
            False,
            "it gains 0.4 nats over plain RoPE. It is only no better than reading less.",
        ),
        Option(
            "It makes the text shorter for the model.",
            False,
            "all tokens are still there and can be read; their angles have been slowed.",
        ),
    ),
)
