"""The exercises on packing: who may read whom, and at which position."""

import random

import torch

from course_lib import fine_tuning
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _mask_by_loops(documents):
    rows, tokens = documents.shape
    mask = torch.zeros(rows, 1, tokens, tokens, dtype=torch.bool)
    for b in range(rows):
        for i in range(tokens):
            for j in range(i + 1):
                mask[b, 0, i, j] = documents[b, i].item() == documents[b, j].item()
    return mask


def _positions_by_loops(documents):
    out = torch.zeros_like(documents)
    for b, row in enumerate(documents.tolist()):
        for i in range(1, len(row)):
            out[b, i] = out[b, i - 1] + 1 if row[i] == row[i - 1] else 0
    return out


def _same(documents):
    return documents[:, None, :, None] == documents[:, None, None, :]


def _causal(documents):
    tokens = documents.shape[1]
    return torch.ones(len(documents), 1, tokens, tokens, dtype=torch.bool).tril()


def _by_blocks(documents):
    mask = torch.zeros(len(documents), 1, *[documents.shape[1]] * 2, dtype=torch.bool)
    for b, row in enumerate(documents.tolist()):
        start = 0
        for end in range(1, len(row) + 1):
            if end == len(row) or row[end] != row[start]:
                size = end - start
                mask[b, 0, start:end, start:end] = torch.ones(size, size).tril().bool()
                start = end
    return mask


def _by_places(documents):
    place = torch.arange(documents.shape[1], device=documents.device)
    return _same(documents) & (place[:, None] >= place)


def _from_one(documents):
    return _positions_by_loops(documents) + 1


def _global(documents):
    return torch.arange(documents.shape[1]).expand_as(documents).clone()


def _like_the_first_row(documents):
    return _positions_by_loops(documents[:1]).expand_as(documents).clone()


def _late(documents):
    """Start again one place too late: the first token of a document counts on."""
    out = torch.zeros_like(documents)
    for b, row in enumerate(documents.tolist()):
        for i in range(1, len(row)):
            starts = i >= 2 and row[i - 1] != row[i - 2]
            out[b, i] = 0 if starts else out[b, i - 1] + 1
    return out


def _from_the_end(documents):
    return _positions_by_loops(documents.flip(1)).flip(1)


def _by_counting(documents):
    return _mask_by_loops(documents)[:, 0].sum(-1) - 1


def _by_starts(documents):
    out = torch.zeros_like(documents)
    for b, row in enumerate(documents):
        _, lengths = torch.unique_consecutive(row, return_counts=True)
        out[b] = torch.cat([torch.arange(int(n)) for n in lengths])
    return out


def _by_cumulative_maximum(documents):
    place = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    first = torch.ones_like(documents, dtype=torch.bool)
    first[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return place - torch.where(first, place, 0).cummax(1).values


def _any_documents(rng: random.Random) -> Call:
    """Rows of runs, some with padding (−1) at the end."""
    tokens = rng.randint(1, 7)
    rows = []
    for _ in range(rng.randint(1, 3)):
        row: list[int] = []
        document = 0
        while len(row) < tokens:
            row += [document] * rng.randint(1, 4)
            document += 1
        row = row[:tokens]
        padding = rng.randint(0, tokens - 1) if rng.random() < 0.4 else 0
        rows.append(row[: tokens - padding] + [-1] * padding)
    return call(torch.tensor(rows))


PROBES = (
    Probe(
        "one document",
        lambda: call(torch.tensor([[0, 0, 0]])),
        "With a single document nothing changes: causal, counted from 0.",
    ),
    Probe(
        "two documents of different length",
        lambda: call(torch.tensor([[0, 0, 1, 1, 1]])),
        "The second document must not notice the first.",
    ),
    Probe(
        "rows that are cut differently",
        lambda: call(torch.tensor([[0, 0, 0, 1], [0, 1, 1, 2]])),
        "Every row has its own documents.",
    ),
    Probe(
        "documents of one token",
        lambda: call(torch.tensor([[0, 1, 2]])),
        "Each token is alone.",
    ),
    Probe(
        "padding at the end",
        lambda: call(torch.tensor([[0, 0, -1, -1, -1]])),
        "Padding counts as a document of its own, number −1.",
    ),
)

MASK = Exercise(
    id="fine_tuning.packed_mask",
    title="The mask of packed rows",
    minutes=8,
    difficulty=2,
    statement=(
        "`documents` (B, T) holds the number of the document to which each token belongs; equal "
        "numbers stand next to each other, and padding, -1, counts as one more document. "
        "Return a boolean mask of shape (B, 1, T, T), True where "
        "the query (third axis) may attend to the key (last axis): same document, and not later."
    ),
    solution=fine_tuning.packed_mask,
    reference=_mask_by_loops,
    generator=_any_documents,
    probes=PROBES,
    misconceptions=(
        Misconception(
            "attention across documents",
            _causal,
            "A causal mask alone lets the second document read the first. Compare the numbers of "
            "the documents too.",
        ),
        Misconception(
            "documents without order",
            _same,
            "Within a document a token may not read what comes later. Combine with a causal mask.",
        ),
        Misconception(
            "queries and keys exchanged",
            lambda documents: _mask_by_loops(documents).mT.contiguous(),
            "The query is the third axis and the key the last one; a query reads earlier keys.",
        ),
        Misconception(
            "the mask inverted",
            lambda documents: ~_mask_by_loops(documents),
            "In this course True means “may attend”.",
        ),
        Misconception(
            "earlier documents readable",
            lambda documents: (
                (documents[:, None, :, None] >= documents[:, None, None, :]) & _causal(documents)
            ),
            "`>=` lets a document read those before it. The numbers must be equal.",
        ),
        Misconception(
            "itself forbidden",
            lambda documents: _same(documents) & _causal(documents).tril(-1),
            "A token may read itself: keep the diagonal.",
        ),
    ),
    alternatives=(
        Alternative("blocks on the diagonal", _by_blocks),
        Alternative("equal numbers, earlier places", _by_places),
        Alternative("cut to a triangle", lambda documents: _same(documents).tril()),
    ),
    hints=(
        "Two conditions must hold: same document, and key not later than query.",
        "Compare `documents` with itself, once along a new last axis and once along a new axis "
        "before it: that gives (B, T, T).",
        "`.tril()` keeps the part on and below the diagonal; an axis for the heads is missing.",
    ),
)

POSITIONS = Exercise(
    id="fine_tuning.packed_positions",
    title="Positions that start again",
    minutes=10,
    difficulty=2,
    statement=(
        "`documents` (B, T) as before. Return the position of each token within its own document, "
        "counted from 0, as integers of the same shape. Equal numbers stand next to each other, "
        "and padding, -1, counts as one more document."
    ),
    solution=fine_tuning.packed_positions,
    reference=_positions_by_loops,
    generator=_any_documents,
    probes=PROBES,
    misconceptions=(
        Misconception(
            "counted through the row",
            _global,
            "The second document would start at a position that it never has alone. Start again "
            "at 0.",
        ),
        Misconception(
            "counted from one",
            _from_one,
            "Positions count from 0, as they do in a row with a single document.",
        ),
        Misconception(
            "the first row's cuts for all rows",
            _like_the_first_row,
            "Each row is packed differently. Compute the starts for every row.",
        ),
        Misconception(
            "one place too late",
            _late,
            "A document starts where its number differs from the one *before* it; that token gets "
            "position 0.",
        ),
        Misconception(
            "counted backwards",
            _from_the_end,
            "Position 0 belongs to the first token of a document, not to the last.",
        ),
    ),
    alternatives=(
        Alternative("the number of readable tokens, minus one", _by_counting),
        Alternative("run by run", _by_starts),
        Alternative("place minus start", _by_cumulative_maximum),
    ),
    hints=(
        "What is the difference between a token's place in the row and its position?",
        "Subtract the place where its document starts. A start is a place whose number differs "
        "from the one before.",
        "Write the place at starts and 0 elsewhere; `cummax` carries the latest start along.",
    ),
)
