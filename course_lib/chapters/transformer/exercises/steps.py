"""Exercises on the order of the steps: one block, and the whole pass."""

from functools import reduce

import torch
import torch.nn.functional as F

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


def count_up(x):
    """Stand in for a block: add 1 to every feature."""
    return x + 1.0


def turn_over(x):
    """Stand in for a block: the features in the opposite order, twice as large."""
    return 2.0 * x.flip(-1)


def _logits_by_loop(ids, table, blocks, last_norm, head=None):
    x = torch.stack([table[i] for i in ids.flatten().tolist()]).reshape(*ids.shape, -1)
    for block in blocks:
        x = block(x.clone())
    return F.linear(last_norm(x), table if head is None else head)


def _pass(ids, table, blocks, last_norm, head=None, between=lambda x: x, step=None):
    """Compute the pass with one of its steps replaced."""
    x = table[ids]
    for block in blocks:
        x = between(block(x) if step is None else step(x, block))
    return last_norm(x) @ (table if head is None else head).T


def _blocks_side_by_side(ids, table, blocks, last_norm, head=None):
    x = table[ids]
    written = [block(x) - x for block in blocks]
    return last_norm(sum(written, x)) @ (table if head is None else head).T


FORWARD = Exercise(
    id="transformer.forward",
    title="The whole model",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the scores of the next token behind each token: look up, run the blocks in their "
        "order, normalise once more, multiply by the head (V, C). Without a head the table is it. "
        "A block returns the stream after it."
    ),
    solution=answers.decoder_logits,
    reference=_logits_by_loop,
    generator=generators.passes,
    probes=(
        Probe(
            "no blocks at all",
            lambda: call(torch.tensor([2, 0]), uneven(5, 3), [], to_half_size),
            "Lookup, norm and head alone: the scores compare an embedding with all embeddings.",
        ),
        Probe(
            "one block",
            lambda: call(torch.tensor([1, 4, 1]), uneven(5, 3), [count_up], to_one_size),
            "A block returns the stream after it; the residual is inside.",
        ),
        Probe(
            "four blocks whose order matters",
            lambda: call(
                torch.tensor([3, 2]),
                uneven(5, 3),
                [count_up, turn_over, count_up, count_up],
                to_half_size,
            ),
            "Each block reads what the block before it has left.",
        ),
        Probe(
            "a head of its own",
            lambda: call(
                torch.tensor([0, 1]), uneven(5, 3), [turn_over], to_one_size, uneven(5, 3).cos()
            ),
            "An untied model scores with a matrix of its own.",
            gradient=True,
        ),
        Probe(
            "a batch",
            lambda: call(
                torch.tensor([[4, 0, 2], [1, 1, 3]]), uneven(5, 4), [count_up], to_half_size
            ),
            "Every token of every text gets a row of scores, (B, T, V).",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "the last norm forgotten",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, lambda x: x, head
            ),
            "Behind the last block the stream has any size. One more norm stands before the head.",
        ),
        Misconception(
            "a norm behind every block",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head, between=last_norm
            ),
            "The blocks have their own norms inside. This one stands behind the last block only.",
        ),
        Misconception(
            "the table although there is a head",
            lambda ids, table, blocks, last_norm, head=None: _pass(ids, table, blocks, last_norm),
            "An untied model has a head of its own. Use the table only where head is None.",
        ),
        Misconception(
            "all blocks read the embedding",
            _blocks_side_by_side,
            "Each block got the embedding. Hand every block what the one before it has returned.",
        ),
        Misconception(
            "the blocks from the last to the first",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks[::-1], last_norm, head
            ),
            "The first block of the list reads the embedding, the last one stands before the norm.",
        ),
        Misconception(
            "the norm before the blocks",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, last_norm(table), blocks, lambda x: x, head if head is not None else table
            ),
            "You normalise the embedding. Each block normalises what it reads; this norm stands "
            "behind the last block, where nobody else does it.",
        ),
        Misconception(
            "the residual added twice",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head, step=lambda x, block: x + block(x)
            ),
            "A block returns the stream after it, its residual is inside. x = block(x) is enough.",
        ),
        Misconception(
            "probabilities instead of scores",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            ).softmax(-1),
            "Scores are wanted, before any softmax: the loss and the sampler take it from there.",
        ),
        Misconception(
            "the last token alone",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            )[..., -1, :],
            "Every token gets scores: in training each of them is a question with an answer.",
        ),
        Misconception(
            "the gradient cut off",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            ).detach(),
            "The scores are right, but no loss made of them could train the model. Leave out "
            "detach() and torch.no_grad(): who only wants to write sets that outside.",
        ),
        Misconception(
            "the looked-up vectors cut off from the table",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table.detach(), blocks, last_norm, table if head is None else head
            ),
            "The table would learn through the head at most, never as an embedding. table[ids] "
            "carries a gradient back to the rows that were looked up; leave out detach().",
        ),
    ),
    alternatives=(
        Alternative(
            "with torch's own lookup",
            lambda ids, table, blocks, last_norm, head=None: (
                reduce(lambda x, step: step(x), (*blocks, last_norm), F.embedding(ids, table))
                @ (table if head is None else head).mT
            ),
        ),
        Alternative("as the hints have it", _pass),
        Alternative("token by token", _logits_by_loop),
    ),
    hints=(
        "table[ids] has a vector for each token.",
        "A for loop over the blocks: x = block(x).",
        "last_norm(x) @ table.T, or @ head.T where there is a head.",
    ),
)
