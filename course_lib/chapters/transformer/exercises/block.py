"""The exercise on one block: the order of its steps."""

from functools import reduce

import torch

from course_lib.chapters.transformer import answers
from course_lib.chapters.transformer.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def read_the_one_before(x):
    """Stand in for attention: each token reads the token before it."""
    return x.roll(1, dims=-2) * 0.5


def nonlinear(x):
    """Stand in for an MLP: a nonlinear function of every feature."""
    return torch.relu(x) - 0.3


def add_nothing(x):
    """Stand in for a part that adds nothing."""
    return torch.zeros_like(x)


def to_unit_size(x):
    """Stand in for the first norm: every vector gets a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True))


def to_half_size(x):
    """Stand in for the second norm, which has a different weight."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True)) / 2


def _block_on_copies(x, attention, attention_norm, mlp, mlp_norm):
    middle = torch.add(attention(attention_norm(x.clone())), x)
    return torch.add(mlp(mlp_norm(middle.clone())), middle)


_PARTS = (read_the_one_before, to_unit_size, nonlinear, to_half_size)

BLOCK = Exercise(
    id="transformer.block",
    title="The decoder block",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the stream after one pre-norm layer: attention, then the MLP. Each reads a copy "
        "normalised by its own norm, and its result is added to the stream. "
        "Gradients must flow through it."
    ),
    solution=answers.decoder_block,
    reference=_block_on_copies,
    generator=generators.blocks,
    probes=(
        Probe(
            "parts that add nothing",
            lambda: call(uneven(3, 4), add_nothing, to_unit_size, add_nothing, to_half_size),
            "If neither part adds anything, the stream passes through unchanged.",
        ),
        Probe(
            "attention alone",
            lambda: call(uneven(3, 4), read_the_one_before, to_unit_size, add_nothing, torch.neg),
            "Attention reads through its own norm, and its result is added to the stream.",
        ),
        Probe(
            "the MLP alone",
            lambda: call(uneven(3, 4), add_nothing, to_unit_size, nonlinear, to_half_size),
            "The MLP reads through its own norm, and its result is added to the stream.",
        ),
        Probe(
            "both",
            lambda: call(uneven(2, 3, 5), *_PARTS),
            "The MLP comes second: it reads the stream that attention has added to.",
            gradient=True,
        ),
        Probe(
            "a large stream",
            lambda: call(100 * uneven(3, 4), *_PARTS),
            "However long the vectors are, the parts read them normalised.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the norm after instead of before",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: mlp_norm(y + mlp(y)))(
                attention_norm(x + attention(x))
            ),
            "This is the block of 2017: the sum is normalised, so the stream itself is rescaled in "
            "every layer. In a pre-norm block only what a part reads is normalised.",
        ),
        Misconception(
            "the residual taken from the normalised input",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: mlp_norm(y) + mlp(mlp_norm(y))
            )(attention_norm(x) + attention(attention_norm(x))),
            "You add to the normalised copy. Keep x itself: x + attention(attention_norm(x)).",
        ),
        Misconception(
            "both parts read the same stream",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                x + attention(attention_norm(x)) + mlp(mlp_norm(x))
            ),
            "Here the MLP does not see what attention has added. A few models do that on purpose "
            "(GPT-J), to compute both in parallel; Qwen, Llama and GPT-2 compute them in sequence.",
        ),
        Misconception(
            "what attention added is lost",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                x + mlp(mlp_norm(x + attention(attention_norm(x))))
            ),
            "The MLP reads the right input, but its result is added to the old x. Add it to the "
            "stream that attention has added to.",
        ),
        Misconception(
            "the MLP reads without a norm",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(y))(
                x + attention(attention_norm(x))
            ),
            "Each part reads through its own norm: mlp(mlp_norm(x)).",
        ),
        Misconception(
            "attention reads without a norm",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(mlp_norm(y)))(
                x + attention(x)
            ),
            "Each part reads through its own norm: attention(attention_norm(x)).",
        ),
        Misconception(
            "the norms exchanged",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + mlp(attention_norm(y))
            )(x + attention(mlp_norm(x))),
            "Each part has the norm that was trained with it: attention_norm comes before "
            "attention, mlp_norm before the MLP.",
        ),
        Misconception(
            "the MLP first",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + attention(attention_norm(y))
            )(x + mlp(mlp_norm(x))),
            "Attention comes first. The MLP then reads what attention has added.",
        ),
        Misconception(
            "one norm for both",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + mlp(attention_norm(y))
            )(x + attention(attention_norm(x))),
            "The MLP's norm has its own weights. Use mlp_norm for it.",
        ),
        Misconception(
            "the norm after each part",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp_norm(mlp(y)))(
                x + attention_norm(attention(x))
            ),
            "You normalise the output of each part. Normalise its input.",
        ),
        Misconception(
            "attention replaces the stream",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(mlp_norm(y)))(
                attention(attention_norm(x))
            ),
            "The MLP's result is added, but attention's replaces the stream. Add it too: "
            "x + attention(...).",
        ),
        Misconception(
            "the MLP replaces the stream",
            lambda x, attention, attention_norm, mlp, mlp_norm: mlp(
                mlp_norm(x + attention(attention_norm(x)))
            ),
            "Attention's result is added, but the MLP's replaces the stream. There is a residual "
            "connection around each of the two.",
        ),
        Misconception(
            "nothing is added",
            lambda x, attention, attention_norm, mlp, mlp_norm: mlp(
                mlp_norm(attention(attention_norm(x)))
            ),
            "Each part replaces the stream. Add its result instead: x + attention(...).",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, attention, attention_norm, mlp, mlp_norm: _block_on_copies(
                x.detach(), attention, attention_norm, mlp, mlp_norm
            ),
            "The values are right, but nothing before this layer could be trained. Compute with x "
            "itself: no detach(), no torch.no_grad().",
        ),
        Misconception(
            "the parts read a detached copy",
            lambda x, attention, attention_norm, mlp, mlp_norm: _block_on_copies(
                x,
                lambda y: attention(y.detach()),
                attention_norm,
                lambda y: mlp(y.detach()),
                mlp_norm,
            ),
            "The stream keeps its gradient, but none flows through the two parts. The normalised "
            "copy is mlp_norm(x); it needs no detach().",
        ),
    ),
    alternatives=(
        Alternative(
            "as the hints have it",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(mlp_norm(y)))(
                x + attention(attention_norm(x))
            ),
        ),
        Alternative(
            "in a loop over both parts",
            lambda x, attention, attention_norm, mlp, mlp_norm: reduce(
                lambda y, part: y + part[1](part[0](y)),
                ((attention_norm, attention), (mlp_norm, mlp)),
                x,
            ),
        ),
        Alternative("on copies, with torch.add", _block_on_copies),
    ),
    hints=(
        "Two lines of the same form, one for each part.",
        "The first: x = x + attention(attention_norm(x)).",
        "The second reads the new x: return x + mlp(mlp_norm(x)).",
    ),
)
