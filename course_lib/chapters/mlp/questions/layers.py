"""Questions on feed-forward layers: activations, dead units, gates, equal size, memory."""

import random
from typing import Any

import torch

from course_lib import mlp
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    SeveralAnswers,
    Slip,
)

ALONE = OneAnswer(
    id="mlp.alone",
    prompt="A feed-forward layer is applied to a sentence of ten vectors. You change the third "
    "vector. Which outputs change?",
    options=(
        Option(
            "The third one only.",
            True,
            "each vector is processed separately. Tokens exchange information only in attention.",
        ),
        Option(
            "The third and all later ones.",
            False,
            "that is what a causal attention layer does. A feed-forward layer ignores the order.",
        ),
        Option(
            "All ten.",
            False,
            "that would need a sum over tokens, and the layer's matrices act on features only.",
        ),
        Option(
            "None, as long as its length stays the same.",
            False,
            "the length does not matter: a different direction gives a different output.",
        ),
    ),
)

GELUS = SeveralAnswers(
    id="mlp.gelus",
    prompt="Which statements about GELU(x) = x · P(a standard normal number is below x) are true?",
    options=(
        Option(
            "It has a gradient for moderately negative x.",
            True,
            "at x = -1, for instance, its slope is about -0.08, where ReLU's is 0.",
        ),
        Option(
            "It falls below 0 for negative x.",
            True,
            "x is negative there and the probability is positive. The lowest point is about -0.17.",
        ),
        Option(
            "Its tanh form gives the same numbers up to float32 rounding.",
            False,
            "the tanh form is an approximation with an error of up to 0.0005, thousands of times "
            "the rounding of numbers of this size.",
        ),
        Option(
            "It never decreases as x grows.",
            False,
            "for large negative x it decreases, down to its minimum near x = -0.75; then it rises.",
        ),
        Option(
            "It equals x · sigmoid(x).",
            False,
            "that is SiLU, whose sigmoid rises more slowly than the normal probability does.",
        ),
    ),
)

DEAD = OneAnswer(
    id="mlp.dead",
    prompt="A hidden unit of a ReLU layer has a negative pre-activation for every token of the "
    "training text. The optimizer uses no weight decay, and the layers below are frozen. What does "
    "training do to its row of `up`?",
    options=(
        Option(
            "Nothing: its gradient is 0.",
            True,
            "ReLU's slope is 0 at every token. With weight decay the row would shrink, and layers "
            "below that are trained could change its inputs.",
        ),
        Option(
            "Increase it until the unit is active for some token.",
            False,
            "that would need a gradient through the unit, and ReLU passes none below 0.",
        ),
        Option(
            "Change it at random.",
            False,
            "a gradient of 0 changes nothing.",
        ),
        Option(
            "Change it slowly, since the slope is small.",
            False,
            "that is true of GELU or SiLU, whose slope below 0 is small. ReLU's is exactly 0.",
        ),
    ),
)


def _draw_unit(rng: random.Random) -> dict[str, Any]:
    values = [v / 2 for v in range(-6, 7) if abs(v) > 1]
    gate, up = rng.sample(values, 2)
    return {"gate": gate, "up": up}


def _silu(x: float) -> float:
    return mlp.silu(torch.tensor(x, dtype=torch.float64)).item()


UNIT = Numeric(
    id="mlp.unit",
    prompt="In a SwiGLU layer, one hidden unit has the gate pre-activation {gate} and the up "
    "value {up}. What is the unit's value before `down`?",
    draw=_draw_unit,
    answer=lambda gate, up: _silu(gate) * up,
    explain=lambda gate, up: (
        f"silu({gate}) = {gate} · sigmoid({gate}) = {_silu(gate):.4g}. Multiply by the up value: "
        f"{_silu(gate):.4g} · {up} = {_silu(gate) * up:.4g}."
    ),
    slips=(
        Slip(
            "swapped",
            lambda gate, up: gate * _silu(up),
            "You applied SiLU to up. It is applied to the gate; up stays linear.",
        ),
        Slip(
            "both activated",
            lambda gate, up: _silu(gate) * _silu(up),
            "You applied SiLU to both. It is applied to the gate only.",
        ),
        Slip(
            "after the product",
            lambda gate, up: _silu(gate * up),
            "You applied SiLU to the product. Apply it to the gate first, then multiply.",
        ),
        Slip(
            "sigmoid",
            lambda gate, up: up * _silu(gate) / gate,
            "You multiplied up by sigmoid(gate). That is GLU; SiLU(gate) is gate · sigmoid(gate).",
        ),
    ),
)

NAMES = OneAnswer(
    id="mlp.names",
    prompt="`(gelu(x @ gate.T) * (x @ up.T)) @ down.T`: what is this layer called?",
    options=(
        Option("GEGLU", True, "the gate's activation gives the name: GELU gives GEGLU."),
        Option("SwiGLU", False, "Swi stands for Swish, an older name of SiLU. Here it is GELU."),
        Option("GLU", False, "the first of the family has a sigmoid on its gate, not GELU."),
        Option(
            "A plain layer with GELU",
            False,
            "a plain layer has two matrices and does not multiply two projections of x.",
        ),
    ),
)


def _draw_width(rng: random.Random) -> dict[str, Any]:
    return {"width": rng.choice(range(640, 8193, 128)), "multiple": rng.choice([64, 128, 256])}


MATCHED = Numeric(
    id="mlp.matched",
    prompt="A model of width {width} replaces its plain feed-forward layer with F = 4 · {width} by "
    "SwiGLU with the same number of parameters. Which F does it take, rounded up to a multiple of "
    "{multiple}?",
    draw=_draw_width,
    answer=lambda width, multiple: mlp.matched_hidden_width(width, multiple),
    explain=lambda width, multiple: (
        f"2 · 4 · {width} / 3 = {8 * width / 3:.1f}, and the next multiple of {multiple} is "
        f"{mlp.matched_hidden_width(width, multiple)}."
    ),
    slips=(
        Slip(
            "unchanged",
            lambda width, multiple: 4 * width,
            "With F = 4C the gated layer has 50 % more parameters: three matrices.",
        ),
        Slip(
            "halved",
            lambda width, multiple: 2 * width,
            "You halved F, as if the gated layer had four matrices. It has three.",
        ),
        Slip(
            "upward",
            lambda width, multiple: 6 * width,
            "You multiplied by 3/2. More matrices must be narrower: multiply by 2/3.",
        ),
    ),
)

MEMORY = SeveralAnswers(
    id="mlp.memory",
    prompt="As a memory, a plain feed-forward layer has the rows of `up` as keys and the columns "
    "of `down` as values. Which statements are true?",
    options=(
        Option(
            "Its output is a sum with one term for each hidden unit.",
            True,
            "term i is the activated match of key i times value i.",
        ),
        Option(
            "Several keys may match at once, and each adds its value.",
            True,
            "each match goes through the activation separately; they do not compete.",
        ),
        Option(
            "The matches sum to 1, as attention weights do.",
            False,
            "there is no softmax: the matches may all be 0, and they may all be large.",
        ),
        Option(
            "Keys and values come from the tokens of the sentence.",
            False,
            "that is attention. Here they are weights, the same for every sentence.",
        ),
    ),
)


def _gated_is_wrong(names: dict[str, Any]) -> bool:
    grid = torch.linspace(-2, 2, 24, dtype=torch.float64).sin()
    x, gate, up = grid[:8].view(2, 4), grid.view(6, 4), grid.flip(0).view(6, 4) * 2
    down = grid.view(4, 6)
    return not torch.allclose(names["swiglu"](x, gate, up, down), mlp.gated_ffn(x, gate, up, down))


BUG_GATED = FindTheBug(
    id="mlp.bug_gated",
    prompt="This SwiGLU layer loads a checkpoint's weights without an error, and the model "
    "generates nonsense.",
    code="""
import torch.nn.functional as F

def swiglu(x, gate, up, down):
    gated = F.linear(x, gate)
    linear = F.linear(x, up)
    hidden = gated * F.silu(linear)
    return F.linear(hidden, down)
""",
    line=6,
    fixed="hidden = F.silu(gated) * linear",
    why="SiLU is applied to the wrong projection. The gate is activated and up stays linear; the "
    "shapes are the same either way, so no error is raised.",
    why_not={
        4: "the gate's projection is right; the activation should follow further down.",
        5: "up is linear in x, as it should be.",
        7: "the product is projected to the width of the model.",
    },
    shows_bug=_gated_is_wrong,
)
