"""Exercises on the embedding table: ids to vectors, and hidden states to scores."""

import torch
import torch.nn.functional as F

from course_lib import embeddings
from course_lib.chapters.embeddings_and_norms.exercises.generators import (
    hidden_and_table,
    ids_and_table,
)
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _row_by_row(ids, table):
    rows = [table[i].clone() for i in ids.flatten().tolist()]
    width = table.shape[1]
    picked = torch.stack(rows) if rows else table.new_zeros(0, width)
    return picked.reshape(*ids.shape, width)


def _by_recursion(ids, table):
    if ids.dim() == 0:
        return table[int(ids)]
    return torch.stack([_by_recursion(each, table) for each in ids])


def _columns(ids, table):
    return table.T[ids.clamp(max=table.shape[1] - 1)]


def _ids_as_numbers(ids, table):
    return ids[..., None].float() * table.mean(0)


EMBED = Exercise(
    id="embeddings_and_norms.embed",
    title="Look up embeddings",
    minutes=3,
    difficulty=1,
    statement=(
        "Return the row of `table` (V, C) that belongs to each id; `ids` may have one or "
        "more axes; the vectors form a new last axis. Gradients must reach the table."
    ),
    solution=embeddings.embed,
    reference=_row_by_row,
    generator=ids_and_table,
    probes=(
        Probe(
            "three ids",
            lambda: call(torch.tensor([2, 0, 4]), uneven(5, 3)),
            "One row for each id, in the order of the ids.",
        ),
        Probe(
            "the same id twice",
            lambda: call(torch.tensor([1, 3, 1]), uneven(5, 3)),
            "An id has one row, wherever it is in the text.",
        ),
        Probe(
            "a batch of texts",
            lambda: call(torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1]]), uneven(5, 3)),
            "The vectors become a new last axis: (2, 4) ids give (2, 4, 3).",
            gradient=True,
        ),
        Probe(
            "half precision",
            lambda: call(torch.tensor([4]), uneven(5, 3).half()),
            "A lookup copies numbers; it must not change their dtype.",
        ),
        Probe(
            "fewer tokens than features",
            lambda: call(torch.tensor([2, 0]), uneven(3, 5)),
            "The first axis of the table counts the tokens, the second the features.",
        ),
        Probe(
            "a large id",
            lambda: call(torch.tensor([5000, 7]), uneven(5001, 2)),
            "A vocabulary has tens of thousands of tokens.",
        ),
    ),
    same_dtype=True,
    misconceptions=(
        Misconception(
            "columns instead of rows",
            _columns,
            "The table has one row for each token, (V, C). You took columns, which hold one "
            "feature of all tokens.",
        ),
        Misconception(
            "the id used as a number",
            _ids_as_numbers,
            "You multiplied by the id, as if token 4 were twice token 2. An id is a name; it "
            "picks a row.",
        ),
        Misconception(
            "the batch flattened away",
            lambda ids, table: table[ids.flatten()],
            "The rows are right, but the texts of the batch are joined into one. Keep the shape of "
            "`ids` before the last axis.",
        ),
        Misconception(
            "the gradient cut off",
            lambda ids, table: table.detach()[ids],
            "The rows are right, but no gradient reaches the table, so it would never be learned. "
            "Index `table` itself, without detach(), .data, no_grad() or lists.",
        ),
        Misconception(
            "everything in float32",
            lambda ids, table: F.one_hot(ids, len(table)).float() @ table.float(),
            "The values are right, but the result should have the dtype of the table. (And the "
            "one-hot product costs V times as much as a lookup.)",
        ),
        Misconception(
            "columns picked by table[:, ids]",
            lambda ids, table: table[:, ids],
            "The ids index the second axis here, which counts features. Tokens are the rows: "
            "table[ids].",
        ),
        Misconception(
            "scaled by the root of the width",
            lambda ids, table: table[ids] * table.shape[1] ** 0.5,
            "Some models, such as the Transformer of 2017 and Gemma, multiply by √C afterwards. "
            "A lookup returns the rows as they are.",
        ),
        Misconception(
            "ids counted from 1",
            lambda ids, table: table[ids - 1],
            "Ids start at 0: id 0 is the first row. With ids − 1 it would be the last.",
        ),
    ),
    alternatives=(
        Alternative("by indexing", lambda ids, table: table[ids]),
        Alternative("by torch", F.embedding),
        Alternative(
            "by index_select",
            lambda ids, table: table.index_select(0, ids.reshape(-1)).reshape(*ids.shape, -1),
        ),
        Alternative("text by text", lambda ids, table: torch.stack([table[text] for text in ids])),
        Alternative("by recursion", _by_recursion),
        Alternative(
            "by a one-hot product",
            lambda ids, table: F.one_hot(ids, len(table)).to(table.dtype) @ table,
        ),
    ),
    hints=(
        "A tensor can be indexed with a tensor of integers.",
        "table[ids] picks a row for each id and keeps the shape of `ids` before the last axis.",
    ),
)


def _one_by_one(hidden, table):
    columns = [(hidden * row).sum(-1) for row in table]
    return torch.stack(columns, dim=-1)


TIED_LOGITS = Exercise(
    id="embeddings_and_norms.tied_logits",
    title="Scores from the same table",
    minutes=4,
    difficulty=1,
    statement=(
        "Return one score for each token of the vocabulary: the dot product of `hidden` (..., C) "
        "with the token's row of `table` (V, C). Gradients must reach both."
    ),
    solution=embeddings.tied_logits,
    reference=_one_by_one,
    generator=hidden_and_table,
    probes=(
        Probe(
            "one vector",
            lambda: call(
                torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
            ),
            "By hand: the scores are 1, 2 and 5.",
        ),
        Probe(
            "several tokens", lambda: call(uneven(4, 3), uneven(5, 3)), "One row of scores each."
        ),
        Probe(
            "a batch",
            lambda: call(uneven(2, 4, 3), uneven(5, 3)),
            "Axes before the last stay as they are.",
            gradient=True,
        ),
        Probe(
            "as many tokens as features",
            lambda: call(uneven(2, 3), uneven(3, 3) + torch.arange(3.0)),
            "With a square table a missing transpose raises no error, but the result is wrong.",
        ),
        Probe(
            "a large vocabulary",
            lambda: call(torch.tensor([[0.5, -2.0]]), uneven(5001, 2)),
            "A vocabulary has tens of thousands of tokens, each with a score.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the table not transposed",
            lambda hidden, table: hidden @ table,
            "hidden is (..., C) and the table (V, C). The sum must run over C: hidden @ table.T.",
        ),
        Misconception(
            "the gradient cut off",
            lambda hidden, table: (hidden @ table.T).detach(),
            "The scores are right, but no gradient flows back from them: nothing could be learned. "
            "Compute without detach(), no_grad() and .data.",
        ),
        Misconception(
            "the table detached",
            lambda hidden, table: hidden @ table.detach().T,
            "The scores are right, but no gradient reaches the table. A tied table is trained from "
            "both ends: use `table` as it is, without detach() or .data.",
        ),
        Misconception(
            "divided by the root of the width",
            lambda hidden, table: hidden @ table.T / table.shape[1] ** 0.5,
            "That scale belongs to attention scores. The head's scores are plain dot products.",
        ),
        Misconception(
            "cosine similarity",
            lambda hidden, table: F.normalize(hidden, dim=-1) @ F.normalize(table, dim=-1).T,
            "You normalised both sides. In a language model the lengths matter: a longer hidden "
            "state gives more confident scores, and frequent tokens may have longer rows.",
        ),
        Misconception(
            "softmax applied",
            lambda hidden, table: (hidden @ table.T).softmax(-1),
            "These are probabilities. The head returns scores; softmax comes later, in the loss "
            "or the sampler.",
        ),
        Misconception(
            "the scores transposed",
            lambda hidden, table: table @ hidden.mT if hidden.dim() > 1 else table @ hidden,
            "Your scores are (V, T). The vocabulary is the last axis: hidden @ table.T.",
        ),
    ),
    alternatives=(
        Alternative("by torch", F.linear),
        Alternative(
            "by einsum", lambda hidden, table: torch.einsum("...c,vc->...v", hidden, table)
        ),
        Alternative("row by row", _one_by_one),
        Alternative(
            "by broadcasting", lambda hidden, table: (hidden[..., None, :] * table).sum(-1)
        ),
        Alternative("as the hints say", lambda hidden, table: hidden @ table.T),
    ),
    hints=(
        "A dot product with every row at once is one matrix product.",
        "(..., C) times (C, V) gives (..., V): the table must be transposed.",
    ),
)
