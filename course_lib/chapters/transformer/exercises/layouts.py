"""The exercise on GPT-2's matrices, which are stored transposed."""

import torch

from course_lib.chapters.transformer.exercises import generators
from course_lib.checkpoint import state_dict_check
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_NAMES = ("q_proj", "k_proj", "v_proj")


def _fused_by_hand(weight, bias):
    width, found = weight.shape[0], {}
    for number, name in enumerate(_NAMES):
        rows = [[weight[i, number * width + o].item() for i in range(width)] for o in range(width)]
        found[f"{name}.weight"] = weight.new_tensor(rows)
        found[f"{name}.bias"] = bias[number * width : (number + 1) * width]
    return found


def _separated(weights, biases, names=_NAMES):
    found = {}
    for name, weight, bias in zip(names, weights, biases, strict=True):
        found[f"{name}.weight"], found[f"{name}.bias"] = weight, bias
    return found


def _transposed(weight):
    return [part.T for part in weight.chunk(3, dim=1)]


FUSED = Exercise(
    id="transformer.fused",
    title="Split GPT-2's fused matrix",
    minutes=8,
    difficulty=3,
    statement=(
        "GPT-2 computes queries, keys and values, side by side in this order, as x @ weight + bias "
        "with weight (C, 3C). Return `{name}.weight` and `{name}.bias` for q_proj, k_proj and "
        "v_proj in the layout of `nn.Linear`, which computes x @ weight.T + bias. The "
        "dtype stays the same."
    ),
    solution=state_dict_check.separate_fused,
    reference=_fused_by_hand,
    generator=generators.fused,
    same_dtype=True,
    probes=(
        Probe(
            "a width of 1",
            lambda: call(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([4.0, 5.0, 6.0])),
            "Three numbers: one each for the query, the key and the value.",
        ),
        Probe(
            "a width of 2",
            lambda: call(uneven(2, 6), uneven(6)),
            "Each part is C columns; its transpose is a weight of nn.Linear.",
        ),
        Probe(
            "a width of 3 in bfloat16",
            lambda: call(uneven(3, 9).bfloat16(), uneven(9).cos().bfloat16()),
            "Most checkpoints are stored in half precision, and stay so.",
        ),
        Probe(
            "a width of 4 in float64",
            lambda: call(uneven(4, 12).double(), uneven(12).double().cos()),
            "All three are square, so a weight that is not transposed loads without an error.",
        ),
    ),
    misconceptions=(
        Misconception(
            "not transposed",
            lambda weight, bias: _separated(weight.chunk(3, dim=1), bias.chunk(3)),
            "These are weights for x @ W. nn.Linear transposes its weight before it multiplies, so "
            "it needs W.T. Both are square: no error is raised, and the text is nonsense.",
        ),
        Misconception(
            "reshaped instead of transposed",
            lambda weight, bias: _separated(weight.reshape(3, *[len(weight)] * 2), bias.chunk(3)),
            "reshape keeps the order of the numbers and changes only the shape. To turn columns "
            "into rows, use .T.",
        ),
        Misconception(
            "every third row of the transpose",
            lambda weight, bias: _separated(
                [weight.T[number::3] for number in range(3)],
                [bias[number::3] for number in range(3)],
            ),
            "Queries, keys and values are side by side, C columns each, not alternating.",
        ),
        Misconception(
            "keys first",
            lambda weight, bias: _separated(
                _transposed(weight), bias.chunk(3), ("k_proj", "q_proj", "v_proj")
            ),
            "The first C columns are the queries.",
        ),
        Misconception(
            "keys and values exchanged",
            lambda weight, bias: _separated(
                _transposed(weight), bias.chunk(3), ("q_proj", "v_proj", "k_proj")
            ),
            "The order is queries, keys, values.",
        ),
        Misconception(
            "the bias lost",
            lambda weight, bias: _separated(_transposed(weight), torch.zeros_like(bias).chunk(3)),
            "Your biases are all 0. Split `bias` into three parts and return those.",
        ),
        Misconception(
            "names without _proj",
            lambda weight, bias: _separated(_transposed(weight), bias.chunk(3), ("q", "k", "v")),
            "The course's model calls these layers q_proj, k_proj and v_proj. Under other names "
            "the weights are not found when they are loaded.",
        ),
        Misconception(
            "always float32",
            lambda weight, bias: _separated(
                [part.float() for part in _transposed(weight)], bias.float().chunk(3)
            ),
            "You convert to float32. A checkpoint in another dtype keeps it: only split and "
            "transpose.",
        ),
        Misconception(
            "one bias for all",
            lambda weight, bias: _separated(_transposed(weight), [bias[: len(weight)]] * 3),
            "The bias is split into three parts as well.",
        ),
    ),
    alternatives=(
        Alternative(
            "transposed first, then split into rows",
            lambda weight, bias: _separated(weight.T.chunk(3, dim=0), bias.chunk(3)),
        ),
        Alternative("as the hints have it", lambda w, b: _separated(_transposed(w), b.chunk(3))),
        Alternative("number by number", _fused_by_hand),
    ),
    hints=(
        "weight.chunk(3, dim=1) splits the columns into three parts, bias.chunk(3) the bias.",
        "Each part must be transposed: part.T.",
        "zip the three names, the three weights and the three biases.",
    ),
)
