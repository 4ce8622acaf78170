"""What the runs on pairs from Python's documentation share: what is stored, and the model card.

    FOLDER/model.safetensors, config.json, ...      the model, as the classes of BERT read it
    FOLDER/training_log.jsonl, README.md            what was measured, and the card

Taught in:        retrieval
Checked against:  the files of a short run
"""

import platform
import shutil
from pathlib import Path
from typing import Any

import torch

from course_lib.atomic_write import write_whole_text
from course_lib.families import EncoderOnly
from course_lib.retrieval.bert_files import save_bert
from course_lib.retrieval.cross_encoder import CrossEncoder
from course_lib.tokenization.wordpiece import WordPiece
from course_lib.training.runs import LoggedRun, Record

HEAD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: {task}
---

# {name}

"""
TRAINING = """\
 It is small: use a larger model where one is at hand. `course train --recipe {name}` makes it \
again.

## Training

| | |
|---|---|
| steps | {steps} of {plan.steps}; each has {batch} |
| optimizer | AdamW, betas {plan.betas}, weight decay {plan.weight_decay} on matrices |
| learning rate | {plan.warmup} steps up to {plan.peak}, cosine down to {plan.final} |
| seed | {plan.seed} |
| time | {seconds:.0f} seconds on {threads} thread(s), shared with other programs |
| machine | {machine}, torch {torch} |
| date | {date} |

The whole curve is in `training_log.jsonl`.

## Scores

"""


class PairRun(LoggedRun):
    """A recipe that learns from pairs, in training in a folder.

    A subclass sets `pairs` and `tokenizer`, measures the mean reciprocal rank on held-out functions
    (`mrr`), and has the texts of its card: `about` and `scores`, filled in with `card_facts`.
    """

    shown = ("mrr",)
    about: str
    scores: str
    pairs: int
    tokenizer: WordPiece

    def mrr(self) -> float:
        """Return the mean reciprocal rank of the model as it is now."""
        raise NotImplementedError

    def card_facts(self) -> dict[str, Any]:
        """Return what the card of this recipe alone says; `name`, `task` and `batch` are needed."""
        raise NotImplementedError

    def look(self) -> Record:
        """Return the mean reciprocal rank on held-out functions."""
        return {"mrr": round(self.mrr(), 4)}

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the model as `transformers` loads it, with its log and its card."""
        model = self.training.model
        assert isinstance(model, EncoderOnly | CrossEncoder)
        save_bert(model, self.tokenizer, folder, dtype)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self.card())

    def card(self) -> str:
        """Return the model card as Markdown."""
        model: Any = self.training.model
        return (HEAD + self.about + TRAINING + self.scores).format(
            millions=sum(p.numel() for p in model.parameters()) / 1e6,
            layers=model.config.num_hidden_layers,
            pairs=self.pairs,
            python=platform.python_version(),
            own=self.records[-1]["mrr"],
            **self.facts(),
            **self.card_facts(),
        )
