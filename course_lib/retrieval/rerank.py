"""Reranking: a slower reader puts the first passages of a search into a better order.

A reader gives each passage a score for a question. It may compare a vector of the whole passage
with that of the question (`vector_scores`), with an encoder that is too slow to read all passages.
*Late interaction* (`token_scores`) keeps a vector for each token, and each token of the question
looks for its best partner in the passage:

    score(q, d) = mean over the tokens i of q of  max over the tokens j of d of  q_i · d_j

A cross-encoder reads question and passage together, and is slower still (`cross_encoder`).

Taught in:        retrieval
Paper:            Khattab and Zaharia 2020, arXiv:2004.12832 (ColBERT)
Checked against:  counted by hand; the search itself, for a weight of 0
Shapes:           T tokens of the question, S tokens of the passage, C width
"""

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from course_lib.retrieval.encoder import TextEncoder
from course_lib.retrieval.fusion import weighted_fusion
from course_lib.retrieval.search import Hit, search

FIRST = 20  # passages of a search that are read again

Score = Callable[[str, Sequence[str]], list[float]]  # of each passage for a question


def late_interaction(
    question: Float[Tensor, "T C"], passage: Float[Tensor, "S C"]
) -> Float[Tensor, ""]:
    """Return how well the tokens of the question are matched, for vectors of length 1."""
    return (question @ passage.T).amax(dim=1).mean()


def vector_scores(encoder: TextEncoder, question: str, passages: Sequence[str]) -> list[float]:
    """Return the cosine of the question with each passage."""
    vectors = encoder.encode([question, *passages])
    cosines: list[float] = (vectors[1:] @ vectors[0]).tolist()
    return cosines


def token_scores(encoder: TextEncoder, question: str, passages: Sequence[str]) -> list[float]:
    """Return the late interaction of the question with each passage."""
    asked = encoder.encode_tokens(question)
    return [late_interaction(asked, encoder.encode_tokens(each)).item() for each in passages]


class SecondReader:
    """Reads again what BM25 finds first, and puts it into the order of its own scores."""

    def __init__(self, score: Score) -> None:
        self.score = score
        self._read: dict[str, tuple[list[Hit], list[float]]] = {}

    def read(self, question: str) -> tuple[list[Hit], list[float]]:
        """Return what BM25 finds and the scores that it gets; each question is read once."""
        if question not in self._read:
            found = search(question, FIRST)
            scores = self.score(question, [f"{hit.page} {hit.text}" for hit in found])
            self._read[question] = found, scores
        return self._read[question]

    def pages(self, weight: float | int = 1) -> Callable[[str], list[str]]:
        """Return the function that finds pages; the order is BM25's in part, by 1 - `weight`."""

        def find(question: str) -> list[str]:
            found, scores = self.read(question)
            first = {i: hit.score for i, hit in enumerate(found)}
            mixed = weighted_fusion(first, dict(enumerate(scores)), weight)
            return [found[i].page for i in sorted(mixed, key=lambda i: (-mixed[i], i))]

        return find
