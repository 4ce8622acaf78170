"""Exercises on the feed-forward layer: with a gate, and as a memory."""

import torch
import torch.nn.functional as F

from course_lib import mlp
from course_lib.chapters.mlp.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _layer(tokens, width, hidden, **more):
    """Make inputs for a gated layer whose matrices are all different."""
    matrices = uneven(2 * hidden + width, max(width, hidden)).roll(1, 0) / 2
    gate, up = matrices[:hidden, :width], matrices[hidden : 2 * hidden, :width]
    return call(uneven(*tokens, width), gate, up, matrices[2 * hidden :, :hidden], **more)


def _in_double(x, gate, up, down, activation=F.silu):
    wide = activation(F.linear(x.double(), gate.double())) * F.linear(x.double(), up.double())
    return F.linear(wide, down.double()).to(x.dtype)


def _down_reshaped(x, gate, up, down, activation=F.silu):
    return (activation(x @ gate.mT) * (x @ up.mT)) @ down.reshape(down.shape[::-1])


GATED = Exercise(
    id="mlp.gated_ffn",
    title="A gated layer: SwiGLU",
    minutes=7,
    difficulty=2,
    statement=(
        "`gate` and `up` are (F, C), `down` is (C, F), x is (..., C). Return (..., C): the gated "
        "layer applied to each vector of x, the activated gate times up, multiplied by down."
    ),
    solution=mlp.gated_ffn,
    reference=_in_double,
    generator=generators.gated_layers,
    probes=(
        Probe(
            "one feature, by hand",
            lambda: call(
                torch.tensor([1.0]),
                torch.tensor([[2.0], [-1.0]]),
                torch.tensor([[3.0], [5.0]]),
                torch.tensor([[10.0, 7.0]]),
                F.relu,
            ),
            "relu(2) · 3 · 10 = 60; the second gate, relu(−1), is closed.",
        ),
        Probe("one token", lambda: _layer((), 4, 6), "SwiGLU: the activation is SiLU."),
        Probe(
            "a batch of sentences",
            lambda: _layer((2, 3), 4, 6),
            "Each vector separately.",
            gradient=True,
        ),
        Probe(
            "as wide as the model",
            lambda: _layer((2,), 3, 3),
            "Square matrices hide a missing transpose.",
        ),
        Probe(
            "a different activation",
            lambda: _layer((5,), 4, 6, activation=F.gelu),
            "With GELU on the gate the layer is GEGLU.",
        ),
    ),
    misconceptions=(
        Misconception(
            "gate and up swapped",
            lambda x, gate, up, down, activation=F.silu: _in_double(x, up, gate, down, activation),
            "The activation applies to the gate; up stays linear. With a checkpoint's weights the "
            "two are not interchangeable.",
        ),
        Misconception(
            "both projections activated",
            lambda x, gate, up, down, activation=F.silu: (
                (activation(x @ gate.mT) * activation(x @ up.mT)) @ down.mT
            ),
            "up stays linear: activate the gate only.",
        ),
        Misconception(
            "activated after the product",
            lambda x, gate, up, down, activation=F.silu: (
                activation((x @ gate.mT) * (x @ up.mT)) @ down.mT
            ),
            "Activate the gate before it multiplies, not the product.",
        ),
        Misconception(
            "added instead of multiplied",
            lambda x, gate, up, down, activation=F.silu: (
                (activation(x @ gate.mT) + x @ up.mT) @ down.mT
            ),
            "A gate scales the other projection: multiply elementwise.",
        ),
        Misconception(
            "no gate at all",
            lambda x, gate, up, down, activation=F.silu: activation(x @ up.mT) @ down.mT,
            "This is the plain layer. Multiply by a second projection of x.",
        ),
        Misconception(
            "always SiLU",
            lambda x, gate, up, down, activation=F.silu: _in_double(x, gate, up, down),
            "The activation is an argument. With SiLU the layer is SwiGLU, with GELU it is GEGLU.",
        ),
        Misconception(
            "a sigmoid for a gate",
            lambda x, gate, up, down, activation=F.silu: _in_double(
                x, gate, up, down, torch.sigmoid
            ),
            "A sigmoid gives GLU, the first gated layer. Use `activation`.",
        ),
        Misconception(
            "weights not transposed",
            lambda x, gate, up, down, activation=F.silu: (activation(x @ gate) * (x @ up)) @ down,
            "Weights are stored (out, in). Multiply x by the transpose: x @ gate.mT.",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, gate, up, down, activation=F.silu: _in_double(
                x.detach(), gate.detach(), up.detach(), down.detach(), activation
            ),
            "The values are right, but neither the weights nor earlier layers could be trained. "
            "Compute with the tensors themselves: no detach(), no torch.no_grad().",
        ),
        Misconception(
            "the residual added",
            lambda x, gate, up, down, activation=F.silu: (
                x + _in_double(x, gate, up, down, activation)
            ),
            "Return what the layer computes. The block adds it to the stream.",
        ),
        Misconception(
            "down reshaped, not transposed",
            _down_reshaped,
            "reshape keeps the numbers in memory order, so it mixes the rows. The transpose is "
            "down.mT.",
        ),
    ),
    alternatives=(
        Alternative("by F.linear", _in_double),
        Alternative(
            "gate and up in one product",
            lambda x, gate, up, down, activation=F.silu: (
                lambda g, u: (activation(g) * u) @ down.mT
            )(*(x @ torch.cat([gate, up]).mT).chunk(2, -1)),
        ),
        Alternative(
            "as the hints have it",
            lambda x, gate, up, down, activation=F.silu: (
                (activation(x @ gate.mT) * (x @ up.mT)) @ down.mT
            ),
        ),
    ),
    hints=(
        "x @ gate.mT has the shape (..., F). So has x @ up.mT.",
        "activation(x @ gate.mT) * (x @ up.mT) multiplies elementwise.",
        "Then @ down.mT brings it back to (..., C).",
    ),
)


def _one_by_one(x, up, down, activation=torch.relu):
    rows = [activation((key * x).sum()) * value for key, value in zip(up, down.T, strict=True)]
    return torch.stack(rows)


MEMORY = Exercise(
    id="mlp.memory",
    title="What each unit adds",
    minutes=6,
    difficulty=2,
    statement=(
        "For one vector x (C,), `up` (F, C) and `down` (C, F): return a matrix (F, C) whose row i "
        "is what hidden unit i adds to the output of the plain layer. "
        "Gradients must flow through it."
    ),
    solution=mlp.memory_contributions,
    reference=_one_by_one,
    generator=generators.memories,
    probes=(
        Probe(
            "two units, by hand",
            lambda: call(
                torch.tensor([1.0, 2.0]),
                torch.tensor([[1.0, 1.0], [-1.0, 0.0], [0.0, 2.0]]),
                torch.tensor([[1.0, 5.0, 0.0], [0.0, 5.0, -1.0]]),
            ),
            "The keys match by 3, −1 and 4; a negative match adds nothing.",
        ),
        Probe(
            "four features, six units",
            lambda: call(uneven(4), uneven(6, 4), uneven(4, 6).roll(1, 1)),
            "Row i is the match of key i times value i, which is column i of down.",
            gradient=True,
        ),
        Probe(
            "as wide as the model",
            lambda: call(uneven(3), uneven(3, 3), uneven(3, 3).roll(1, 0)),
            "Square matrices hide rows taken for columns.",
        ),
        Probe(
            "GELU",
            lambda: call(uneven(4), uneven(6, 4) / 4, uneven(4, 6).roll(1, 1), F.gelu),
            "With GELU a slightly negative match still adds a little.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the sum of all",
            lambda x, up, down, activation=torch.relu: activation(up @ x) @ down.mT,
            "This is the layer's output. Keep the units separate, one row each.",
        ),
        Misconception(
            "keys used as values",
            lambda x, up, down, activation=torch.relu: activation(up @ x)[:, None] * up,
            "Rows of `up` are the keys that are compared with x. What is added is the value, a "
            "column of `down`.",
        ),
        Misconception(
            "a softmax over the keys",
            lambda x, up, down, activation=torch.relu: torch.softmax(up @ x, 0)[:, None] * down.mT,
            "In attention the weights of all keys sum to 1. Here each match goes through the "
            "activation separately.",
        ),
        Misconception(
            "no activation",
            lambda x, up, down, activation=torch.relu: (up @ x)[:, None] * down.mT,
            "Without the activation, a key with a negative match would subtract its value.",
        ),
        Misconception(
            "activated after the value",
            lambda x, up, down, activation=torch.relu: activation((up @ x)[:, None] * down.mT),
            "The activation is applied to the match. Values may be negative.",
        ),
        Misconception(
            "one row for each feature",
            lambda x, up, down, activation=torch.relu: activation(up @ x) * down,
            "These are the same numbers as (C, F). Rows must be units: transpose.",
        ),
        Misconception(
            "down reshaped, not transposed",
            lambda x, up, down, activation=torch.relu: (
                activation(up @ x)[:, None] * down.reshape(up.shape)
            ),
            "reshape keeps the numbers in memory order, so it mixes the rows. The transpose is "
            "down.mT.",
        ),
    ),
    alternatives=(
        Alternative(
            "with einsum",
            lambda x, up, down, activation=torch.relu: torch.einsum(
                "f,cf->fc", activation(up @ x), down
            ),
        ),
        Alternative("unit by unit", _one_by_one),
        Alternative(
            "as the hints have it",
            lambda x, up, down, activation=torch.relu: activation(up @ x)[:, None] * down.mT,
        ),
    ),
    hints=(
        "match = activation(up @ x) has one number for each unit, (F,).",
        "The value of unit i is down[:, i], so down.mT has the values as rows.",
        "match[:, None] * down.mT",
    ),
)
