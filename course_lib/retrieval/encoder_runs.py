"""A run of the recipe `documentation-encoder` in a folder, measured and stored like other runs.

    held-out functions      the first paragraph of a docstring must find the function's code, with
                            the name hidden; none of these files was trained on
    stored questions        "how do I ...?" must find a page of the documentation

Taught in:        retrieval
Checked against:  a run without interruption; transformers' BertModel on the stored folder
"""

from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly
from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.encoder import TextEncoder
from course_lib.retrieval.encoder_data import (
    documented_functions,
    summary,
    train_vocabulary,
    training_pairs,
    without_name,
)
from course_lib.retrieval.encoder_training import (
    PLAN,
    ROWS,
    VOCABULARY,
    ContrastiveTraining,
    PairBatches,
    encoder_config,
)
from course_lib.retrieval.pair_runs import PairRun
from course_lib.training.loop import Plan

NAME = "documentation-encoder"
ABOUT = """\
A text encoder of {millions:.1f} million parameters in the layout of BERT, with {layers} layers: \
it averages the embeddings of pieces and places. It was trained by this course, offline, on \
{pairs:,} pairs from the standard library of Python {python} (docstring and code, name and page, \
sentence and paragraph); documents that are held out, one in ten, are not among them."""
SCORES = """\
Docstring to code on {count} functions of held-out files, the function's name hidden:

| | MRR |
|---|---|
| BM25 | {bm25:.3f} |
| this encoder | {own:.3f} |
"""


class CodeTask(NamedTuple):
    """Summaries of held-out functions, and the code that each must find."""

    questions: list[str]
    passages: list[str]


def held_out_task(limit: int | None = None) -> CodeTask:
    """Return the first functions of held-out files, or all."""
    functions = list(documented_functions(held_out=True))[:limit]
    return CodeTask([summary(f.docstring) for f in functions], list(map(without_name, functions)))


def encoder_mrr(encoder: TextEncoder, task: CodeTask) -> float:
    """Return the mean reciprocal rank of an encoder."""
    scores = encoder.encode(task.questions) @ encoder.encode(task.passages).T
    ranks = (scores > scores.diagonal()[:, None]).sum(dim=1) + 1
    return float((1 / ranks).mean())


def bm25_mrr(task: CodeTask) -> float:
    """Return the mean reciprocal rank of BM25."""
    index = BM25Index()
    index.add(task.passages)
    scores = [index.scores(question) for question in task.questions]
    return fmean(1 / (1 + int((each > each[i]).sum())) for i, each in enumerate(scores))


class EncoderRun(PairRun):
    """The recipe in training in a folder."""

    about, scores = ABOUT, SCORES

    def __init__(self, folder: Path, plan: Plan = PLAN, layers: int = 0) -> None:
        pairs = training_pairs(plan.seed)
        texts = [text for pair in pairs for text in (pair.question, pair.passage)]
        self.tokenizer = train_vocabulary(texts, VOCABULARY)
        self.pairs, self.task = len(pairs), held_out_task()
        with seeded_draws(plan.seed):
            model = EncoderOnly(encoder_config(self.tokenizer.vocab_size, layers), head=False)
        batches = PairBatches(pairs, self.tokenizer)
        training = ContrastiveTraining(model, batches, plan)
        super().__init__(training, folder, look_every=100, save_every=100)

    @property
    def encoder(self) -> TextEncoder:
        """The encoder as it is now."""
        assert isinstance(self.training.model, EncoderOnly)
        return TextEncoder(self.training.model, self.tokenizer)

    def mrr(self) -> float:
        """Return the mean reciprocal rank of the encoder as it is now."""
        return encoder_mrr(self.encoder, self.task)

    def card_facts(self) -> dict[str, Any]:
        """Return what the card of this recipe alone says."""
        return {
            "name": NAME,
            "task": "feature-extraction",
            "batch": f"{ROWS} questions, passages and hard negatives",
            "count": len(self.task.questions),
            "bm25": bm25_mrr(self.task),
        }
