"""The questions that close this notebook.

Taught in:        compression
Checked against:  `course_lib.compression`, from which the numeric answers are computed
"""

from typing import Any

import torch

from course_lib import compression
from course_lib.compression import Scheme
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    OrderSteps,
    PredictOutput,
    SeveralAnswers,
)
from course_lib.study.ask.question_parts import Mistake, Slip, right, wrong

BITS = Numeric(
    id="compression.bits",
    prompt="Codes have {bits} bits, and every {group} weights share a scale of 16 bits. How many "
    "bits does a weight take?",
    draw=lambda rng: {"bits": rng.choice([2, 3, 4]), "group": rng.choice([16, 32, 64, 128])},
    answer=lambda bits, group: Scheme(bits, group).bits_per_weight(1, 1024),
    explain=lambda bits, group: f"{bits} + 16 / {group} = {bits + 16 / group}.",
    tolerance=0.004,
    slips=(
        Slip("without scales", lambda bits, group: bits, "The scales are stored, too."),
        Slip(
            "a scale for each weight",
            lambda bits, group: bits + 16,
            "One scale serves the whole group.",
        ),
    ),
)

SCALE = Numeric(
    id="compression.scale",
    prompt="A row has the largest magnitude {size}. Its codes are symmetric, of {bits} bits. What "
    "is its scale?",
    draw=lambda rng: {"size": rng.randint(2, 40), "bits": rng.choice([3, 4, 8])},
    answer=lambda size, bits: float(
        compression.absmax_quantise(torch.tensor([[float(size)]]), bits)[1]
    ),
    explain=lambda size, bits: f"{size} / (2^{bits - 1} − 1) = {size / (2 ** (bits - 1) - 1):.4g}.",
    tolerance=0.004,
    slips=(
        Slip(
            "one code too many",
            lambda size, bits: size / 2 ** (bits - 1),
            "The largest code is 2^(bits − 1) − 1, one less.",
        ),
        Slip(
            "codes without a sign",
            lambda size, bits: size / (2**bits - 1),
            "Half of the codes are for negative numbers.",
        ),
    ),
)

OUTLIER = OneAnswer(
    "compression.outlier",
    "The largest weight of a row becomes ten times larger. The row has one absmax scale and codes "
    "of 8 bits. What happens to the errors of the other weights?",
    (
        right(
            "They grow about tenfold.",
            "The scale follows from the largest weight, and errors are up to half a scale.",
        ),
        wrong(
            "They stay as they were, since each weight is rounded by itself.",
            "Each is rounded to a multiple of the same scale, which has grown.",
        ),
        wrong(
            "They become smaller, since the outlier takes most of the error of the row.",
            "The outlier itself has hardly any error: its code is the largest one.",
        ),
        wrong(
            "They grow about threefold, by the root of ten.",
            "A scale is proportional to the largest weight, not to its root.",
        ),
    ),
)

ZERO = OneAnswer(
    "compression.zero",
    "Why is the range of a zero-point format always extended to include 0?",
    (
        right(
            "So that 0 is kept exactly.",
            "Padding, pruning and ReLU make many zeros; an error in all of them would add up.",
        ),
        wrong(
            "So that the scale is positive, which it would not be for numbers of one sign.",
            "high − low is positive for any two different numbers.",
        ),
        wrong(
            "So that positive and negative numbers get equally many codes.",
            "That is what absmax does; a zero point gives them what they need.",
        ),
    ),
)

NF4 = OneAnswer(
    "compression.nf4",
    "What are NF4's sixteen numbers?",
    (
        right(
            "Quantiles of a normal distribution, scaled to −1 … 1.",
            "They are meant to be used about equally often by normally distributed weights.",
        ),
        wrong(
            "Floating-point numbers with two bits of exponent and one of mantissa, divided by 6.",
            "That describes FP4, which is also called E2M1.",
        ),
        wrong(
            "The sixteen cluster centres of the layer's own weights.",
            "This describes k-means; each layer would have to store a table.",
        ),
    ),
)

GPTQ = SeveralAnswers(
    "compression.gptq_facts",
    "What is true of GPTQ, compared with rounding to the nearest code?",
    (
        right("The error of the outputs becomes smaller.", "That is what it minimises."),
        right(
            "The error of the weights becomes larger.",
            "Later columns are moved away from where they were.",
        ),
        wrong(
            "It needs the gradient of the training loss.",
            "It needs products of inputs, from forward passes alone.",
        ),
        wrong("The weights take more bits.", "Codes and scales have the same sizes as before."),
        right(
            "Where inputs have nothing in common, it is the same.",
            "Then the inverse of XᵀX is diagonal, and no column can make good for another.",
        ),
    ),
)

STEPS = OrderSteps(
    id="compression.gptq_order",
    prompt="Put the steps of GPTQ for one layer in order.",
    steps=(
        "Sum up XᵀX over the calibration text.",
        "Add a little to its diagonal, invert it, and take a triangular factor of the inverse.",
        "Round the next column to the nearest codes.",
        "Divide the error of that column by the diagonal element of the factor.",
        "Subtract its share of the error from every later column.",
    ),
    explanation="The last three steps are repeated for each column. The factor comes first, since "
    "all corrections are read off it.",
)

SMOOTH = Numeric(
    id="compression.smoothing",
    prompt="A feature goes up to {a} in the inputs, and up to {w} in the weights. SmoothQuant with "
    "alpha = 1/2 divides the inputs by s. What is s?",
    draw=lambda rng: {"a": rng.choice([36, 49, 64, 81, 121]), "w": rng.choice([0.09, 0.16, 0.04])},
    answer=lambda a, w: float(
        compression.smoothing_scales(torch.tensor([float(a)]), torch.tensor([w]), 0.5)
    ),
    explain=lambda a, w: f"√{a} / √{w} = {a**0.5 / w**0.5:g}.",
    slips=(
        Slip("without roots", lambda a, w: a / w, "Each has the exponent 1/2."),
        Slip(
            "multiplied",
            lambda a, w: (a * w) ** 0.5,
            "That is the common range afterwards. s is the ratio of the roots.",
        ),
        Slip("the root of the inputs alone", lambda a, w: a**0.5, "Divide by the weights' root."),
    ),
)

FASTER = SeveralAnswers(
    "compression.faster",
    "Which of these make decoding at batch 1 faster, given the usual hardware and kernels?",
    (
        right(
            "4-bit weights and a kernel that unpacks in registers.",
            "Fewer bytes are read, and reading is most of the time.",
        ),
        wrong(
            "4-bit weights that are unpacked to memory and then multiplied.",
            "The unpacked matrix is written and read on top of everything else.",
        ),
        wrong(
            "Half of the weights zero, at any places.",
            "A dense product reads and multiplies zeros like all other numbers.",
        ),
        right(
            "A student with half of the layers.",
            "Half of the bytes and half of the operations are gone, without a special kernel.",
        ),
    ),
)


def _two_four_bytes(rows: int, columns: int, bits: int) -> int:
    kept = rows * columns // 2
    return compression.packed_bytes(kept, bits) + compression.packed_bytes(kept, 2)


TWO_FOUR = Numeric(
    id="compression.two_four_bytes",
    prompt="A matrix of {rows} × {columns} weights is stored in the pattern 2:4: of every four "
    "weights two, with {bits} bits each, and for each of these 2 bits that say where it was. How "
    "many bytes are that?",
    draw=lambda rng: {
        "rows": rng.choice([64, 96, 128]),
        "columns": rng.choice([256, 512]),
        "bits": rng.choice([4, 8, 16]),
    },
    answer=_two_four_bytes,
    explain=lambda rows, columns, bits: (
        f"{rows} · {columns} / 2 = {rows * columns // 2} weights stay, with {bits} + 2 bits each: "
        f"{_two_four_bytes(rows, columns, bits)} bytes."
    ),
    unit="bytes",
    slips=(
        Slip(
            "without places",
            lambda rows, columns, bits: rows * columns * bits / 16,
            "Where the two were in their four is stored, too: 2 bits for each.",
        ),
        Slip(
            "all weights",
            lambda rows, columns, bits: rows * columns * (bits + 2) / 8,
            "Only two of every four are stored.",
        ),
    ),
)

STRAIGHT = OneAnswer(
    "compression.through",
    "Why is the straight-through estimator needed in quantisation-aware training?",
    (
        right(
            "The gradient of rounding is 0 almost everywhere.",
            "So nothing would reach the weights; the estimator uses that of the identity.",
        ),
        wrong(
            "Integers would overflow in the backward pass.",
            "The backward pass is computed with real numbers.",
        ),
        wrong(
            "The weights must stay integers while they are trained, and a step would change that.",
            "What is trained are real weights. Only their rounded copies are used forwards.",
        ),
    ),
)

WARM = OneAnswer(
    "compression.temperature",
    "Why is the loss of distillation multiplied by T²?",
    (
        right(
            "So that gradients keep their size at a high temperature.",
            "Without it gradients shrink as 1 / T².",
        ),
        wrong(
            "So that the divergence is measured in bits and not in nats.",
            "The unit does not depend on the temperature.",
        ),
        wrong(
            "So that a student with fewer parameters learns more slowly than its teacher did.",
            "It has nothing to do with the size of the student.",
        ),
    ),
)

PACKED = PredictOutput(
    id="compression.packed",
    prompt="Two codes of 4 bits share a byte, the first one in its high half.",
    code="""
codes = [1, 2, 15, 0]
packed = [16 * a + b for a, b in zip(codes[::2], codes[1::2])]
print(packed)
""",
    why="1 · 16 + 2 = 18, and 15 · 16 + 0 = 240: four codes in two bytes.",
    mistakes=(
        Mistake("[33, 15]", "That has the first code in the low half."),
        Mistake("[1, 2, 15, 0]", "These are the codes, a byte each."),
    ),
)


def _loses_zero(names: dict[str, Any]) -> bool:
    scale, zero = names["zero_point"](5.0, 15.0, 2)
    return bool(scale * (round(0 / scale) + zero - zero) != 0.0 or zero < 0)


BUG = FindTheBug(
    id="compression.bug_range",
    prompt="Numbers between 5 and 15 get a zero point that does not fit into an unsigned byte.",
    code="""
def zero_point(low, high, bits):
    low, high = min(low, high), max(low, high)
    scale = (high - low) / (2**bits - 1)
    zero = round(-low / scale)
    return scale, zero
""",
    line=2,
    fixed="low, high = min(low, 0.0), max(high, 0.0)",
    why="The range must be extended to 0. Otherwise the zero point is −1 or less, and 0 has no "
    "code.",
    why_not={
        3: "2^bits codes have 2^bits − 1 steps between them.",
        4: "This is the code of 0, rounded because it must be a code.",
    },
    shows_bug=_loses_zero,
)

QUESTIONS = (
    BITS,
    SCALE,
    OUTLIER,
    ZERO,
    NF4,
    GPTQ,
    STEPS,
    SMOOTH,
    FASTER,
    TWO_FOUR,
    STRAIGHT,
    WARM,
    PACKED,
    BUG,
)
