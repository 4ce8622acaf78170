"""The exercise on product quantisation."""

import torch

from course_lib.chapters.retrieval import answers
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _code_by_code(query, codebooks, codes):
    width = codebooks.shape[2]
    totals = []
    for code in codes.tolist():
        total = 0.0
        for m, entry in enumerate(code):
            for c in range(width):
                total += float(query[m * width + c] - codebooks[m, entry, c]) ** 2
        totals.append(total)
    return torch.tensor(totals, dtype=query.dtype)


def _decoded(codebooks, codes):
    return torch.stack([codebooks[m, codes[:, m]] for m in range(len(codebooks))], 1)


def _by_decoding(query, codebooks, codes):
    return ((_decoded(codebooks, codes).flatten(1) - query) ** 2).sum(1)


def _by_gather(query, codebooks, codes):
    parts = query.unflatten(0, (len(codebooks), -1))
    tables = torch.linalg.vector_norm(codebooks - parts[:, None], dim=2) ** 2
    return tables.T.gather(0, codes).sum(1)


def _part_by_part(query, codebooks, codes):
    total = torch.zeros(len(codes), dtype=query.dtype, device=query.device)
    for m, part in enumerate(query.chunk(len(codebooks))):
        total = total + ((codebooks[m] - part) ** 2).sum(1)[codes[:, m]]
    return total


def _first_book(query, codebooks, codes):
    return _by_decoding(query, codebooks[:1].expand_as(codebooks), codes)


def _interleaved(query, codebooks, codes):
    return _by_decoding(query.reshape(-1, len(codebooks)).T.flatten(), codebooks, codes)


def _pq_probe(M, E, width, N):
    def inputs():
        rng = torch.Generator().manual_seed(7)
        books = torch.randn(M, E, width, generator=rng)
        codes = torch.randint(E, (N, M), generator=rng)
        return call(torch.randn(M * width, generator=rng), books, codes)

    return inputs


PQ = Exercise(
    id="retrieval.pq",
    title="Distances from codes",
    minutes=10,
    difficulty=3,
    statement=(
        "`query` (D) is cut into M parts of D / M numbers in a row. `codebooks` is (M, E, D / M), "
        "E entries for each part. Row n of `codes` (N, M), whole numbers, stands for the vector "
        "that puts entry codes[n, m] of each part m together. Return the squared Euclidean "
        "distance of the query to each of the N vectors: (N)."
    ),
    solution=answers.pq_distances,
    reference=_code_by_code,
    generator=generators.pq,
    probes=(
        Probe(
            "by hand",
            lambda: call(
                torch.tensor([1.0, 4.0]),
                torch.tensor([[[1.0], [3.0]], [[4.0], [5.0]]]),
                torch.tensor([[0, 0], [1, 1]]),
            ),
            "The first code is the query itself; the second is 2 and 1 away: 4 + 1.",
        ),
        Probe("one part", _pq_probe(1, 4, 3, 5), "A codebook of whole vectors."),
        Probe("wider parts", _pq_probe(3, 4, 2, 5), "Each part has two numbers, side by side."),
        Probe("many codes", _pq_probe(2, 5, 3, 9), "More codes than entries."),
        Probe("one code", _pq_probe(4, 3, 1, 1), "Parts of one number, one code."),
    ),
    misconceptions=(
        Misconception(
            "not squared",
            lambda query, codebooks, codes: _by_decoding(query, codebooks, codes).sqrt(),
            "You took the root. Squared distances add up over the parts; the "
            "root changes no order.",
        ),
        Misconception(
            "roots added",
            lambda query, codebooks, codes: (
                (_decoded(codebooks, codes) - query.reshape(len(codebooks), -1)).norm(dim=2).sum(1)
            ),
            "The distances of parts do not add up, their squares do.",
        ),
        Misconception(
            "one codebook for all",
            _first_book,
            "You use the first codebook for every part. Part m has codebooks[m].",
        ),
        Misconception(
            "parts interleaved",
            _interleaved,
            "A part is a row of neighbours, query[:D/M] for the first, not every M-th number.",
        ),
        Misconception(
            "the mean over parts",
            lambda query, codebooks, codes: _by_decoding(query, codebooks, codes) / len(codebooks),
            "Add the parts up; their mean is M times too small.",
        ),
        Misconception(
            "dot products",
            lambda query, codebooks, codes: _decoded(codebooks, codes).flatten(1) @ query,
            "You return dot products. Squared distances were asked for.",
        ),
        Misconception(
            "the nearest entries",
            lambda query, codebooks, codes: (
                ((codebooks - query.reshape(len(codebooks), 1, -1)) ** 2)
                .sum(2)
                .amin(1)
                .sum()
                .expand(len(codes))
            ),
            "You take the nearest entry of each part, the same for all. Look up the entry that "
            "each code names.",
        ),
    ),
    alternatives=(
        Alternative("decoding", _by_decoding),
        Alternative("gather", _by_gather),
        Alternative("part by part", _part_by_part),
    ),
    hints=(
        "parts = query.reshape(M, 1, -1); tables = ((codebooks - parts) ** 2).sum(2) is (M, E).",
        "tables[torch.arange(M, device=codes.device), codes] is (N, M): add over the last axis.",
    ),
)
