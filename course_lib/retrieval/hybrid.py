"""Words and vectors together: both find candidates, and a weighted sum of their scores decides.

The weight is chosen on validation questions (`best_weight`); 0 is BM25 alone, 1 the encoder alone.

Taught in:        retrieval
Checked against:  its two parts, for weights 0 and 1
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.encoder import TextEncoder
from course_lib.retrieval.exact import ExactIndex
from course_lib.retrieval.fusion import reciprocal_rank_fusion, weighted_fusion
from course_lib.retrieval.questions import Asked, evaluate
from course_lib.retrieval.results import NOTHING, Found
from course_lib.retrieval.search import Hit, asked_words, hits, passage_index, passages

CANDIDATES = 50  # of each part
WEIGHTS = tuple(step / 10 for step in range(11))
WEIGHT = 0.4  # the best of WEIGHTS on the validation questions, for the course's own encoder


@runtime_checkable
class Weighted(Protocol):
    """What mixes the scores of two searches by a weight."""

    def pages(self, weight: float) -> Callable[[str], list[str]]:
        """Return the function that finds pages with this weight."""
        ...


class HybridSearch:
    """Search in the documentation by words and by an encoder."""

    def __init__(self, encoder: TextEncoder, weight: float = WEIGHT) -> None:
        self.encoder, self.weight = encoder, weight
        self.words: BM25Index = passage_index()
        self.vectors = ExactIndex(encoder.width)
        self.vectors.add(encoder.encode([f"{p.page} {p.text}" for p in passages()]))

    def candidates(self, question: str) -> tuple[dict[int, float], dict[int, float]]:
        """Return the scores of the passages that each part finds: by words, by vectors."""
        by_words = self.words.search([asked_words(question)], CANDIDATES)
        by_vectors = self.vectors.search(self.encoder.encode([question]), CANDIDATES)
        return _scores(by_words), _scores(by_vectors)

    def search(self, question: str, k: int = 5, weight: float | None = None) -> list[Hit]:
        """Return the best k passages, best first."""
        mixed = weighted_fusion(
            *self.candidates(question), self.weight if weight is None else weight
        )
        best = sorted(mixed, key=lambda item: (-mixed[item], item))[:k]
        return hits(best, [mixed[item] for item in best])

    def pages(self, weight: float) -> Callable[[str], list[str]]:
        """Return the function that finds pages with this weight, for `evaluate`."""
        return lambda question: [hit.page for hit in self.search(question, CANDIDATES, weight)]

    def pages_by_ranks(self, question: str) -> list[str]:
        """Return the pages that both parts find, in the order of RRF, which needs no weight."""
        rankings = [list(scores) for scores in self.candidates(question)]
        return [passages()[item].page for item in reciprocal_rank_fusion(rankings)]


def best_weight(search: Weighted, questions: Sequence[Asked]) -> float:
    """Return the weight with the highest MRR on these questions, the smallest of equals."""
    return max(WEIGHTS, key=lambda weight: evaluate(search.pages(weight), questions).mrr)


def _scores(found: Found) -> dict[int, float]:
    pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
    return {item: score for item, score in pairs if item != NOTHING}
