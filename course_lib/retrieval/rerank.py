"""Late interaction: compare the words of a question with the words of a passage, one by one.

A single vector must say everything about a passage. Here each token keeps its own, and each token
of the question looks for its best partner in the passage:

    score(q, d) = mean over the tokens i of q of  max over the tokens j of d of  q_i · d_j

This is too slow for all passages and good for the best few that a faster search has found: it
*reranks* them. So does a larger encoder that has no time for all passages (`rerank_by_vectors`). A
cross-encoder, which reads question and passage together, is slower and better still.

Taught in:        retrieval
Paper:            Khattab and Zaharia 2020, arXiv:2004.12832 (ColBERT)
Checked against:  counted by hand
Shapes:           T tokens of the question, S tokens of the passage, C width
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from course_lib.retrieval.encoder import TextEncoder


def late_interaction(
    question: Float[Tensor, "T C"], passage: Float[Tensor, "S C"]
) -> Float[Tensor, ""]:
    """Return how well the tokens of the question are matched, for vectors of length 1."""
    return (question @ passage.T).amax(dim=1).mean()


def rerank_by_vectors(encoder: TextEncoder, question: str, passages: Sequence[str]) -> list[int]:
    """Return the places of the passages in the order of their cosines, the best first."""
    vectors = encoder.encode([question, *passages])
    return (vectors[1:] @ vectors[0]).argsort(descending=True, stable=True).tolist()


def rerank(encoder: TextEncoder, question: str, passages: Sequence[str]) -> list[int]:
    """Return the places of the passages in a new order, the best first."""
    asked = encoder.encode_tokens(question)
    scores = [late_interaction(asked, encoder.encode_tokens(each)).item() for each in passages]
    return sorted(range(len(passages)), key=lambda place: (-scores[place], place))
