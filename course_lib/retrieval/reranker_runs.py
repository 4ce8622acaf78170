"""A run of the recipe `documentation-reranker` in a folder, measured and stored like other runs.

    held-out functions      BM25 finds ten pieces of code for the first paragraph of a docstring,
                            the names hidden; the right one should come first in the new order

Taught in:        retrieval
Checked against:  a run without interruption; transformers' BertForSequenceClassification on the
                  stored folder
"""

from pathlib import Path
from statistics import fmean
from typing import Any

from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.cross_encoder import CrossEncoder, Reranker
from course_lib.retrieval.encoder import course_encoder
from course_lib.retrieval.encoder_data import training_pairs
from course_lib.retrieval.encoder_runs import CodeTask, held_out_task
from course_lib.retrieval.metrics import reciprocal_rank
from course_lib.retrieval.pair_runs import PairRun
from course_lib.retrieval.reranker_training import (
    GROUP,
    PLAN,
    QUESTIONS,
    GroupBatches,
    GroupTraining,
    fresh_model,
)
from course_lib.training.loop import Plan

NAME = "documentation-reranker"
CANDIDATES, ASKED = 10, 100  # pieces of code that BM25 finds; held-out functions
ABOUT = """\
A cross-encoder of {millions:.1f} million parameters in the layout of BERT, with {layers} layers \
and one label: how well a passage fits a question. It was trained by this course, offline, on \
{pairs:,} pairs from the standard library of Python {python}, each beside passages that BM25 finds \
for the same question; documents that are held out, one in ten, are not among them. Its embeddings \
began as the principal components of those of the course's encoder."""
SCORES = """\
Docstring to code on {count} functions of held-out files, the function's name hidden, among the \
first {candidates} of BM25:

| | MRR |
|---|---|
| BM25 | {bm25:.3f} |
| this cross-encoder | {own:.3f} |
"""


class Candidates:
    """What BM25 finds for the first held-out functions, in its order."""

    def __init__(self, task: CodeTask) -> None:
        self.task = task
        index = BM25Index()
        index.add(task.passages)
        found = index.search(task.questions[:ASKED], CANDIDATES).ids.tolist()
        self.rankings = [[place for place in row if place >= 0] for row in found]

    def mrr(self, reranker: Reranker | None = None) -> float:
        """Return the mean reciprocal rank of BM25's order, or of a reranker's."""
        orders = self.rankings
        if reranker is not None:
            pairs = zip(self.task.questions, self.rankings, strict=False)
            orders = [self._reranked(reranker, *pair) for pair in pairs]
        return fmean(reciprocal_rank(order, {i}) for i, order in enumerate(orders))

    def _reranked(self, reranker: Reranker, question: str, places: list[int]) -> list[int]:
        order = reranker.rerank(question, [self.task.passages[place] for place in places])
        return [places[i] for i in order]


class RerankerRun(PairRun):
    """The recipe in training in a folder."""

    about, scores = ABOUT, SCORES

    def __init__(self, folder: Path, plan: Plan = PLAN) -> None:
        pairs, self.tokenizer = training_pairs(plan.seed), course_encoder().tokenizer
        self.pairs, self.candidates = len(pairs), Candidates(held_out_task())
        model = fresh_model(course_encoder(), plan.seed)
        training = GroupTraining(model, GroupBatches(pairs, self.tokenizer), plan)
        super().__init__(training, folder, look_every=100, save_every=50)

    @property
    def reranker(self) -> Reranker:
        """The cross-encoder as it is now."""
        assert isinstance(self.training.model, CrossEncoder)
        return Reranker(self.training.model, self.tokenizer)

    def mrr(self) -> float:
        """Return the mean reciprocal rank of the cross-encoder as it is now."""
        return self.candidates.mrr(self.reranker)

    def card_facts(self) -> dict[str, Any]:
        """Return what the card of this recipe alone says."""
        return {
            "name": NAME,
            "task": "text-ranking",
            "batch": f"{QUESTIONS} questions with {GROUP} passages",
            "count": len(self.candidates.rankings),
            "candidates": CANDIDATES,
            "bm25": self.candidates.mrr(),
        }
