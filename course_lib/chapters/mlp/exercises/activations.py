"""Exercises on activations: both forms of GELU, and SiLU."""

import math

import torch
import torch.nn.functional as F

from course_lib import mlp
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_ROOT_TWO_PI = math.sqrt(2 / math.pi)


def _quick(x):
    return x * torch.sigmoid(1.702 * x)


def _plain_probes(at_one):
    return (
        Probe(
            "0, 1 and −1",
            lambda: call(torch.tensor([0.0, 1.0, -1.0])),
            f"At 0 the result is 0, at 1 it is {at_one}, at −1 it is 1 less than that.",
        ),
        Probe(
            "from −3 to 3",
            lambda: call(torch.linspace(-3, 3, 13)),
            "Between its two straight ends the curve is smooth, with a minimum below 0.",
            gradient=True,
        ),
        Probe(
            "a matrix in float64",
            lambda: call(uneven(3, 4).double()),
            "Each number is computed separately, in its own type.",
        ),
        Probe(
            "large numbers",
            lambda: call(torch.tensor([-1000.0, -90.0, 90.0, 1000.0])),
            "For large negative x the result is 0 and so is the gradient; for large positive x the "
            "result is x and the gradient is 1. Neither is ever nan.",
            gradient=True,
        ),
    )


def _cut_off(function):
    return Misconception(
        "the gradient cut off",
        lambda x: function(x.detach()),
        "The values are right, but nothing before this activation could be trained. Compute with "
        "x itself: no detach(), no torch.no_grad(), no .item() and no NumPy.",
    )


def _factor_cut(factor):
    return Misconception(
        "the factor detached",
        lambda x: x * factor(x.detach()),
        "The values are right, but the gradient is not: it flows only through x, not through the "
        "S-shaped factor that multiplies it. Compute both from x itself.",
    )


_OTHERS = {
    "relu": Misconception(
        "ReLU",
        torch.relu,
        "You cut off at 0. This curve is smooth: slightly negative numbers still pass in part.",
    ),
    "silu": Misconception(
        "SiLU",
        lambda x: x * torch.sigmoid(x),
        "x · sigmoid(x) is SiLU. GELU multiplies x by a different S-shaped curve, the probability "
        "that a standard normal number is below x.",
    ),
    "quick": Misconception(
        "sigmoid(1.702 x) taken for GELU",
        _quick,
        "x · sigmoid(1.702 x) is a third formula, a rough approximation that some older models "
        "used. Its error is as large as 0.02.",
    ),
}

GELU_EXACT = Exercise(
    id="mlp.gelu_exact",
    title="GELU, as it is defined",
    minutes=5,
    difficulty=1,
    statement=(
        "Return x times the probability that a standard normal number is below x, for each "
        "number of a tensor, in its type. You may use `torch.erf`."
    ),
    solution=mlp.gelu_exact,
    reference=lambda x: F.gelu(x.double()).to(x.dtype),
    same_dtype=True,
    generator=generators.numbers,
    probes=_plain_probes("0.8413"),
    misconceptions=(
        Misconception(
            "√2 forgotten",
            lambda x: 0.5 * x * (1 + torch.erf(x)),
            "erf belongs to a normal distribution of variance ½. For the standard one, divide by "
            "√2 inside: erf(x / √2).",
        ),
        Misconception(
            "½ forgotten",
            lambda x: x * (1 + torch.erf(x / math.sqrt(2))),
            "1 + erf runs from 0 to 2, and a probability from 0 to 1. Multiply by ½.",
        ),
        Misconception(
            "the probability alone",
            lambda x: 0.5 * (1 + torch.erf(x / math.sqrt(2))),
            "This is only the factor. Multiply it by x.",
        ),
        Misconception(
            "the density instead of the probability",
            lambda x: x * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi),
            "You multiply by the density, which goes to 0 on both sides. Use the area under it, up "
            "to x.",
        ),
        Misconception(
            "the tanh form taken for exact",
            lambda x: F.gelu(x, approximate="tanh"),
            "The tanh form is an approximation. Its error is up to 0.0005, far more than rounding.",
        ),
        _OTHERS["quick"],
        _OTHERS["silu"],
        _OTHERS["relu"],
        _cut_off(F.gelu),
        Misconception(
            "divided by 2, not by √2",
            lambda x: 0.5 * x * (1 + torch.erf(x / 2)),
            "The argument of erf is x / √2: the standard normal distribution has variance 1, but "
            "erf is defined for variance ½.",
        ),
        _factor_cut(torch.special.ndtr),
    ),
    alternatives=(
        Alternative("by torch's own", F.gelu),
        Alternative("as the hint has it", lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))),
        Alternative("through erfc", lambda x: 0.5 * x * torch.erfc(-x / math.sqrt(2))),
        Alternative("by torch's normal", lambda x: x * torch.special.ndtr(x)),
    ),
    hints=(
        "The probability that a standard normal number is below x is ½ (1 + erf(x / √2)).",
        "torch.erf works on a tensor; math.sqrt(2) is a number.",
        "0.5 * x * (1 + torch.erf(x / math.sqrt(2)))",
    ),
)


def _tanh_form(x, scale=_ROOT_TWO_PI, constant=0.044715, power=3):
    return 0.5 * x * (1 + torch.tanh(scale * (x + constant * x**power)))


GELU_TANH = Exercise(
    id="mlp.gelu_tanh",
    title="GELU, as GPT-2 computes it",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the tanh form of GELU for each number: ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))."
    ),
    solution=mlp.gelu_tanh,
    reference=lambda x: F.gelu(x.double(), approximate="tanh").to(x.dtype),
    same_dtype=True,
    generator=generators.numbers,
    probes=_plain_probes("0.8412"),
    misconceptions=(
        Misconception(
            "the constant ten times too large",
            lambda x: _tanh_form(x, constant=0.44715),
            "The constant is 0.044715, with a zero after the point.",
        ),
        Misconception(
            "2/π without its root",
            lambda x: _tanh_form(x, scale=2 / math.pi),
            "The factor is √(2/π) = 0.7979: it gives tanh the slope that the probability has at 0.",
        ),
        Misconception(
            "√(2/π) forgotten",
            lambda x: _tanh_form(x, scale=1.0),
            "Multiply the argument of tanh by √(2/π) = 0.7979.",
        ),
        Misconception(
            "the cube outside the parentheses",
            lambda x: 0.5 * x * (1 + torch.tanh(_ROOT_TWO_PI * x + 0.044715 * x**3)),
            "√(2/π) multiplies the cubic term as well: put both terms in one pair of parentheses.",
        ),
        Misconception(
            "a square for the cube",
            lambda x: _tanh_form(x, power=2),
            "An even power would shift both sides in the same direction. The term is x³.",
        ),
        Misconception(
            "the exact form",
            F.gelu,
            "This is the exact GELU. Weights that were trained with the tanh form need the tanh "
            "form; the two differ by up to 0.0005.",
        ),
        _OTHERS["quick"],
        _OTHERS["silu"],
        _OTHERS["relu"],
        _cut_off(_tanh_form),
        _factor_cut(
            lambda x: 0.5 * (1 + torch.tanh(_ROOT_TWO_PI * (x + 0.044715 * x**3))),
        ),
        Misconception(
            "√2 / π for √(2/π)",
            lambda x: _tanh_form(x, scale=math.sqrt(2) / math.pi),
            "The root covers the whole fraction: math.sqrt(2 / math.pi) = 0.7979, not 0.4502.",
        ),
        Misconception(
            "½ forgotten",
            lambda x: 2 * _tanh_form(x),
            "1 + tanh runs from 0 to 2, and the factor from 0 to 1. Multiply by ½.",
        ),
    ),
    alternatives=(
        Alternative("by torch's own", lambda x: F.gelu(x, approximate="tanh")),
        Alternative("as the statement has it", _tanh_form),
        Alternative(
            "through a sigmoid",
            lambda x: x * torch.sigmoid(2 * _ROOT_TWO_PI * (x + 0.044715 * x**3)),
        ),
    ),
    hints=(
        "Write the inner sum first: x + 0.044715 * x**3.",
        "Multiply it by math.sqrt(2 / math.pi), and take torch.tanh.",
        "½ (1 + tanh) runs from 0 to 1; multiply it by x.",
    ),
)

SILU = Exercise(
    id="mlp.silu",
    title="SiLU",
    minutes=3,
    difficulty=1,
    statement=(
        "Return x times its sigmoid, for each number of a tensor, however large. The gradient must "
        "be right as well, and never nan."
    ),
    solution=mlp.silu,
    reference=lambda x: F.silu(x.double()).to(x.dtype),
    same_dtype=True,
    generator=generators.numbers,
    probes=_plain_probes("0.7311"),
    misconceptions=(
        Misconception(
            "the sigmoid alone",
            torch.sigmoid,
            "This is only the factor. Multiply it by x.",
        ),
        Misconception(
            "a wrong sign in the sigmoid",
            lambda x: x * torch.sigmoid(-x),
            "1 / (1 + exp(x)) falls as x grows. The sigmoid is 1 / (1 + exp(−x)).",
        ),
        Misconception(
            "nan for large x",
            lambda x: x * torch.exp(x) / (1 + torch.exp(x)),
            "exp(x) is infinite above about 88, and infinity over infinity is nan. Use exp(−x), "
            "or torch.sigmoid.",
        ),
        Misconception(
            "nan in the gradient of large negative x",
            lambda x: x / (1 + torch.exp(-x)),
            "The values are right. But exp(1000) is infinite, and the gradient of the quotient is "
            "infinity over infinity, nan: one such number ruins a training step. torch.sigmoid "
            "computes the same factor safely.",
        ),
        Misconception(
            "tanh in place of the sigmoid",
            lambda x: x * torch.tanh(x),
            "tanh runs from −1 to 1, so a negative x comes out positive. The sigmoid runs from 0 "
            "to 1.",
        ),
        Misconception(
            "negative inputs cut off",
            lambda x: torch.relu(x) * torch.sigmoid(x),
            "SiLU is negative below 0, and has a gradient for negative inputs.",
        ),
        Misconception(
            "sigmoid(1.702 x)",
            _quick,
            "The factor 1.702 makes the curve resemble GELU. SiLU has none.",
        ),
        Misconception(
            "GELU",
            F.gelu,
            "GELU multiplies by a probability of the normal distribution. SiLU multiplies by the "
            "sigmoid.",
        ),
        _cut_off(F.silu),
        _factor_cut(torch.sigmoid),
        Misconception(
            "softmax for the sigmoid",
            lambda x: x * torch.softmax(x, -1),
            "softmax makes the numbers of a row compete. The sigmoid looks at each number alone: "
            "torch.sigmoid.",
        ),
    ),
    alternatives=(
        Alternative("by torch's own", F.silu),
        Alternative("as the hint has it", lambda x: x * torch.sigmoid(x)),
        Alternative("through tanh", lambda x: x * (1 + torch.tanh(x / 2)) / 2),
    ),
    hints=(
        "The sigmoid is 1 / (1 + exp(−x)). torch.sigmoid computes it, and its gradient, safely.",
        "x * torch.sigmoid(x)",
    ),
)
