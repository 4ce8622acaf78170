"""The exercise on the forward pass: from ids to logits for the next token."""

from functools import reduce

import torch
import torch.nn.functional as F

from course_lib.chapters.transformer import answers
from course_lib.chapters.transformer.exercises import generators
from course_lib.chapters.transformer.exercises.block import to_half_size, to_unit_size
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def count_up(x):
    """Stand in for a block: add 1 to every feature."""
    return x + 1.0


def reverse(x):
    """Stand in for a block: the features in reverse order, doubled."""
    return 2.0 * x.flip(-1)


def _logits_by_loop(ids, table, blocks, last_norm, head=None):
    x = torch.stack([table[i] for i in ids.flatten().tolist()]).reshape(*ids.shape, -1)
    for block in blocks:
        x = block(x.clone())
    return F.linear(last_norm(x), table if head is None else head)


def _pass(ids, table, blocks, last_norm, head=None, between=lambda x: x, step=None):
    """Compute the forward pass with one of its steps replaced."""
    x = table[ids]
    for block in blocks:
        x = between(block(x) if step is None else step(x, block))
    return last_norm(x) @ (table if head is None else head).T


def _blocks_side_by_side(ids, table, blocks, last_norm, head=None):
    x = table[ids]
    written = [block(x) - x for block in blocks]
    return last_norm(sum(written, x)) @ (table if head is None else head).T


def _norm_in_the_loop(ids, table, blocks, last_norm, head=None):
    return _pass(ids, table, blocks, lambda x: x, head, between=last_norm)


FORWARD = Exercise(
    id="transformer.forward",
    title="The whole model",
    minutes=8,
    difficulty=2,
    statement=(
        "Return logits for the token after each token: look up the ids, apply the blocks in their "
        "order, normalise once more, multiply by the head (V, C). If head is None, the table is "
        "the head. A block takes the stream and returns the stream after it. "
        "Gradients must flow through it."
    ),
    solution=answers.decoder_logits,
    reference=_logits_by_loop,
    generator=generators.passes,
    probes=(
        Probe(
            "no blocks at all",
            lambda: call(torch.tensor([2, 0]), uneven(5, 3), [], to_half_size),
            "Lookup, norm and head alone: the logits compare an embedding with all embeddings.",
        ),
        Probe(
            "one block",
            lambda: call(torch.tensor([1, 4, 1]), uneven(5, 3), [count_up], to_unit_size),
            "A block returns the stream after it; its residual connections are inside.",
        ),
        Probe(
            "four blocks whose order matters",
            lambda: call(
                torch.tensor([3, 2]),
                uneven(5, 3),
                [count_up, reverse, count_up, count_up],
                to_half_size,
            ),
            "Each block reads what the block before it returned.",
        ),
        Probe(
            "a norm that does more",
            lambda: call(torch.tensor([1, 0]), uneven(5, 3), [reverse], lambda x: x / 2 + 1),
            "`last_norm` is applied exactly once.",
        ),
        Probe(
            "an untied head",
            lambda: call(
                torch.tensor([0, 1]), uneven(5, 3), [reverse], to_unit_size, uneven(5, 3).cos()
            ),
            "An untied model has a separate matrix for its head.",
            gradient=True,
        ),
        Probe(
            "a batch",
            lambda: call(
                torch.tensor([[4, 0, 2], [1, 1, 3]]), uneven(5, 4), [count_up], to_half_size
            ),
            "Every token of every text gets a row of logits, (B, T, V).",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "the last norm forgotten",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, lambda x: x, head
            ),
            "After the last block the stream can have any size. Apply last_norm before the head.",
        ),
        Misconception(
            "a norm after every block",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head, between=last_norm
            ),
            "The blocks have their own norms inside. This one comes after the last block only.",
        ),
        Misconception(
            "the last norm twice",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, lambda x: last_norm(last_norm(x)), head
            ),
            "You apply last_norm twice. Most norms change little the second time, so this is hard "
            "to notice; it is not what the model was trained with.",
        ),
        Misconception(
            "the table although there is a head",
            lambda ids, table, blocks, last_norm, head=None: _pass(ids, table, blocks, last_norm),
            "An untied model has its own head. Use the table only if head is None.",
        ),
        Misconception(
            "all blocks read the embedding",
            _blocks_side_by_side,
            "Every block reads the embedding here. Pass each block what the previous one returned.",
        ),
        Misconception(
            "the blocks from the last to the first",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks[::-1], last_norm, head
            ),
            "The first block of the list reads the embedding, the last one comes before the norm.",
        ),
        Misconception(
            "the norm before the blocks",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, last_norm(table), blocks, lambda x: x, head if head is not None else table
            ),
            "You normalise the embedding. Each block normalises its own input; this norm comes "
            "after the last block, where nothing else normalises.",
        ),
        Misconception(
            "the residual added twice",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head, step=lambda x, block: x + block(x)
            ),
            "A block returns the stream after it, with the residual added. x = block(x) is enough.",
        ),
        Misconception(
            "probabilities instead of logits",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            ).softmax(-1),
            "Return logits, before any softmax: the loss and the sampler apply it.",
        ),
        Misconception(
            "the last token only",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            )[..., -1, :],
            "Every token gets logits: in training each of them is a prediction.",
        ),
        Misconception(
            "the gradient cut off",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table, blocks, last_norm, head
            ).detach(),
            "The logits are right, but no loss computed from them could train the model. Leave out "
            "detach() and torch.no_grad(): a caller that only generates text sets no_grad itself.",
        ),
        Misconception(
            "the looked-up vectors cut off from the table",
            lambda ids, table, blocks, last_norm, head=None: _pass(
                ids, table.detach(), blocks, last_norm, table if head is None else head
            ),
            "The table would be trained through the head at most, never as an embedding. "
            "table[ids] passes a gradient to the rows that were looked up; leave out detach().",
        ),
        Misconception(
            "the last norm after every block",
            _norm_in_the_loop,
            "You normalise inside the loop, after every block. The blocks have their own "
            "norms; apply the last norm once, after the loop.",
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
        "last_norm(x) @ table.T, or @ head.T if there is a head.",
    ),
)
