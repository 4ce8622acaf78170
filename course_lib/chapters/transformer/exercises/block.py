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


def bend(x):
    """Stand in for an MLP: bend every feature."""
    return torch.relu(x) - 0.3


def write_nothing(x):
    """Stand in for a part that adds nothing."""
    return torch.zeros_like(x)


def to_one_size(x):
    """Stand in for the first norm: every vector gets the mean square 1."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True))


def to_half_size(x):
    """Stand in for the second norm, whose weight is another one."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True)) / 2


def _block_in_words(x, attention, attention_norm, mlp, mlp_norm):
    middle = torch.add(attention(attention_norm(x.clone())), x)
    return torch.add(mlp(mlp_norm(middle.clone())), middle)


_PARTS = (read_the_one_before, to_one_size, bend, to_half_size)

BLOCK = Exercise(
    id="transformer.block",
    title="The decoder block",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the stream after one pre-norm layer: attention, then the MLP. Each reads a "
        "normalised copy, through its own norm, and adds to the stream."
        " Gradients must flow through it."
    ),
    solution=answers.decoder_block,
    reference=_block_in_words,
    generator=generators.blocks,
    probes=(
        Probe(
            "parts that write nothing",
            lambda: call(uneven(3, 4), write_nothing, to_one_size, write_nothing, to_half_size),
            "If neither part writes, the stream passes through unchanged.",
        ),
        Probe(
            "attention alone",
            lambda: call(uneven(3, 4), read_the_one_before, to_one_size, write_nothing, torch.neg),
            "Attention reads through its own norm, and is added to the stream.",
        ),
        Probe(
            "the MLP alone",
            lambda: call(uneven(3, 4), write_nothing, to_one_size, bend, to_half_size),
            "The MLP reads through its own norm, and is added to the stream.",
        ),
        Probe(
            "both",
            lambda: call(uneven(2, 3, 5), *_PARTS),
            "The MLP comes second: it reads a stream into which attention has written.",
            gradient=True,
        ),
        Probe(
            "a large stream",
            lambda: call(100 * uneven(3, 4), *_PARTS),
            "However long the vectors have grown, the parts see them in one size.",
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
            "Here the MLP does not see what attention brought. A few models do that on purpose "
            "(GPT-J), to run both at once; Qwen, Llama and GPT-2 go one after the other.",
        ),
        Misconception(
            "what attention wrote is lost",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                x + mlp(mlp_norm(x + attention(attention_norm(x))))
            ),
            "The MLP reads the right thing, but its result is added to the old x. Add it to the "
            "stream that attention has written into.",
        ),
        Misconception(
            "the MLP reads without a norm",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(y))(
                x + attention(attention_norm(x))
            ),
            "Both parts have a norm of their own in front: mlp(mlp_norm(x)).",
        ),
        Misconception(
            "attention reads without a norm",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(mlp_norm(y)))(
                x + attention(x)
            ),
            "Both parts have a norm of their own in front: attention(attention_norm(x)).",
        ),
        Misconception(
            "the norms exchanged",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + mlp(attention_norm(y))
            )(x + attention(mlp_norm(x))),
            "Each part has the norm that was trained with it: attention_norm stands before "
            "attention, mlp_norm before the MLP.",
        ),
        Misconception(
            "the MLP first",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + attention(attention_norm(y))
            )(x + mlp(mlp_norm(x))),
            "Attention comes first. The MLP then works on what attention has brought.",
        ),
        Misconception(
            "one norm for both",
            lambda x, attention, attention_norm, mlp, mlp_norm: (
                lambda y: y + mlp(attention_norm(y))
            )(x + attention(attention_norm(x))),
            "The MLP's norm has weights of its own. Use mlp_norm for it.",
        ),
        Misconception(
            "the norm behind each part",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp_norm(mlp(y)))(
                x + attention_norm(attention(x))
            ),
            "You normalise what a part has written. Normalise what it reads.",
        ),
        Misconception(
            "attention replaces the stream",
            lambda x, attention, attention_norm, mlp, mlp_norm: (lambda y: y + mlp(mlp_norm(y)))(
                attention(attention_norm(x))
            ),
            "The MLP adds, but attention has replaced the stream. It must be added as well: "
            "x + attention(...).",
        ),
        Misconception(
            "the MLP replaces the stream",
            lambda x, attention, attention_norm, mlp, mlp_norm: mlp(
                mlp_norm(x + attention(attention_norm(x)))
            ),
            "Attention adds, but the MLP has replaced the stream. There is a residual around each "
            "of the two.",
        ),
        Misconception(
            "nothing is added",
            lambda x, attention, attention_norm, mlp, mlp_norm: mlp(
                mlp_norm(attention(attention_norm(x)))
            ),
            "Each part replaces the stream. It must be added: x + attention(...).",
        ),
        Misconception(
            "the gradient cut off",
            lambda x, attention, attention_norm, mlp, mlp_norm: _block_in_words(
                x.detach(), attention, attention_norm, mlp, mlp_norm
            ),
            "The values are right, but nothing below this layer could learn. Compute with x "
            "itself: no detach(), no torch.no_grad().",
        ),
        Misconception(
            "the parts read a detached copy",
            lambda x, attention, attention_norm, mlp, mlp_norm: _block_in_words(
                x,
                lambda y: attention(y.detach()),
                attention_norm,
                lambda y: mlp(y.detach()),
                mlp_norm,
            ),
            "The stream keeps its gradient, the two parts lose theirs. A normalised copy is the "
            "norm of x; it needs no detach().",
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
        Alternative("on copies, with torch.add", _block_in_words),
    ),
    hints=(
        "Two lines of the same form, one for each part.",
        "The first: x = x + attention(attention_norm(x)).",
        "The second reads the new x: return x + mlp(mlp_norm(x)).",
    ),
)
