"""A run of the recipe `documentation-reranker` in a folder, measured and stored like other runs.

    held-out functions      BM25 finds ten pieces of code for the first paragraph of a docstring,
                            the names hidden; the right one should come first in the new order

Taught in:        retrieval
Checked against:  a run without interruption; transformers' BertForSequenceClassification on the
                  stored folder
"""

import json
import platform
import shutil
from pathlib import Path
from statistics import fmean

import torch
from safetensors.torch import save_file

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint import save_tokenizer
from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.cross_encoder import PARTS, CrossEncoder, Reranker
from course_lib.retrieval.encoder import course_encoder
from course_lib.retrieval.encoder_data import training_pairs
from course_lib.retrieval.encoder_runs import CodeTask, bert_config, bert_tensors, held_out_task
from course_lib.retrieval.metrics import reciprocal_rank
from course_lib.retrieval.reranker_training import (
    GROUP,
    PLAN,
    QUESTIONS,
    GroupBatches,
    GroupTraining,
    fresh_model,
)
from course_lib.training.loop import Plan
from course_lib.training.runs import LoggedRun, Record

NAME = "documentation-reranker"
CANDIDATES, ASKED = 10, 100  # pieces of code that BM25 finds; held-out functions
CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-ranking
---

# {name}

A cross-encoder of {millions:.1f} million parameters in the layout of BERT, with {layers} layers \
and one label: how well a passage fits a question. It was trained by this course, offline, on \
{pairs:,} pairs from the standard library of Python {python}, each beside passages that BM25 finds \
for the same question; documents that are held out, one in ten, are not among them. Its embeddings \
began as the principal components of those of the course's encoder. It is small: use a larger \
model where one is at hand. `course train --recipe {name}` makes it again.

## Training

| | |
|---|---|
| steps | {steps} of {plan.steps}; each has {questions} questions with {group} passages |
| optimizer | AdamW, betas {plan.betas}, weight decay {plan.weight_decay} on matrices |
| learning rate | {plan.warmup} steps up to {plan.peak}, cosine down to {plan.final} |
| seed | {plan.seed} |
| time | {seconds:.0f} seconds on {threads} thread(s), shared with other programs |
| machine | {machine}, torch {torch} |
| date | {date} |

The whole curve is in `training_log.jsonl`.

## Scores

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


class RerankerRun(LoggedRun):
    """The recipe in training in a folder."""

    shown = ("mrr",)

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

    def look(self) -> Record:
        """Return the mean reciprocal rank on held-out functions."""
        return {"mrr": round(self.candidates.mrr(self.reranker), 4)}

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the cross-encoder as `transformers` loads it, with its log and its card."""
        save_reranker(self.reranker, folder, dtype)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self.card())

    def card(self) -> str:
        """Return the model card as Markdown."""
        model = self.reranker.model
        return CARD.format(
            name=NAME,
            millions=sum(p.numel() for p in model.parameters()) / 1e6,
            layers=model.config.num_hidden_layers,
            pairs=self.pairs,
            python=platform.python_version(),
            questions=QUESTIONS,
            group=GROUP,
            count=len(self.candidates.rankings),
            candidates=CANDIDATES,
            bm25=self.candidates.mrr(),
            own=self.records[-1]["mrr"],
            **self.facts(),
        )


def save_reranker(
    reranker: Reranker, folder: str | Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write a cross-encoder's files as BertForSequenceClassification reads them."""
    folder, model = Path(folder), reranker.model
    folder.mkdir(parents=True, exist_ok=True)
    tensors = bert_tensors(model.encoder)
    for ours, theirs in PARTS.items():
        for kind, part in getattr(model, ours).named_parameters():
            tensors[f"{theirs}.{kind}"] = part.detach()
    stored = {name: part.to("cpu", dtype).contiguous() for name, part in tensors.items()}
    write_whole(
        folder / "model.safetensors", lambda path: save_file(stored, path, {"format": "pt"})
    )
    save_tokenizer(reranker.tokenizer, folder)
    config = bert_config(model.config) | {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "fits"},
        "label2id": {"fits": 0},
    }
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    write_whole_text(folder / "config.json", text)
