"""A run of the recipe `documentation-encoder` in a folder, measured and stored like other runs.

    held-out functions      the first paragraph of a docstring must find the function's code, with
                            the name hidden; none of these files was trained on
    stored questions        "how do I ...?" must find a page of the documentation

Taught in:        retrieval
Checked against:  a run without interruption; transformers' BertModel on the stored folder
"""

import json
import platform
import shutil
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from course_lib.atomic_write import write_whole, write_whole_text
from course_lib.checkpoint import bert_name, save_tokenizer
from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly, FamilyConfig
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
from course_lib.training.loop import Plan
from course_lib.training.runs import LoggedRun, Record

NAME = "documentation-encoder"
CARD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: feature-extraction
---

# {name}

A text encoder of {millions:.1f} million parameters in the layout of BERT, with {layers} layers: \
it averages the embeddings of pieces and places. It was trained by this course, offline, on \
{pairs:,} pairs from the standard library of Python {python} (docstring and code, name and page, \
sentence and paragraph); documents that are held out, one in ten, are not among them. It is small: \
use a larger model where one is at hand. `course train --recipe {name}` makes it again.

## Training

| | |
|---|---|
| steps | {steps} of {plan.steps}; each has {rows} questions, passages and hard negatives |
| optimizer | AdamW, betas {plan.betas}, weight decay {plan.weight_decay} on matrices |
| learning rate | {plan.warmup} steps up to {plan.peak}, cosine down to {plan.final} |
| seed | {plan.seed} |
| time | {seconds:.0f} seconds on {threads} thread(s), shared with other programs |
| machine | {machine}, torch {torch} |
| date | {date} |

The whole curve is in `training_log.jsonl`.

## Scores

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


class EncoderRun(LoggedRun):
    """The recipe in training in a folder."""

    shown = ("mrr",)

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

    def look(self) -> Record:
        """Return the mean reciprocal rank on held-out functions."""
        return {"mrr": round(encoder_mrr(self.encoder, self.task), 4)}

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the encoder as `transformers.BertModel` loads it, with its log and its card."""
        save_encoder(self.encoder, folder, dtype)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self.card())

    def card(self) -> str:
        """Return the model card as Markdown."""
        model = self.encoder.model
        return CARD.format(
            name=NAME,
            millions=sum(p.numel() for p in model.parameters()) / 1e6,
            layers=model.config.num_hidden_layers,
            pairs=self.pairs,
            python=platform.python_version(),
            rows=ROWS,
            count=len(self.task.questions),
            bm25=bm25_mrr(self.task),
            own=self.records[-1]["mrr"],
            **self.facts(),
        )


def save_encoder(
    encoder: TextEncoder, folder: str | Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write an encoder's config.json, model.safetensors and tokenizer in the layout of BERT."""
    folder, model = Path(folder), encoder.model
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name.removeprefix("bert."): part.to("cpu", dtype).contiguous()
        for name, part in bert_tensors(model).items()
    }
    metadata = {"format": "pt"}
    write_whole(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata))
    save_tokenizer(encoder.tokenizer, folder)
    text = json.dumps(bert_config(model.config), indent=2, sort_keys=True) + "\n"
    write_whole_text(folder / "config.json", text)


def bert_tensors(model: EncoderOnly) -> dict[str, Tensor]:
    """Return the weights of an encoder under the names and in the layout of BERT's files."""
    return {
        bert_name(name): part.T if ".mlp." in name and part.ndim == 2 else part
        for name, part in model.state_dict().items()
    }


def bert_config(config: FamilyConfig) -> dict[str, object]:
    """Return the content of config.json."""
    return {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "max_position_embeddings": config.max_position_embeddings,
        "type_vocab_size": config.type_vocab_size,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": config.hidden_act,
    }
