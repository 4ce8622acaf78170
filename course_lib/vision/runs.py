"""A recipe of the models of drawings in training in a folder, and the card of the result.

Taught in:        multimodal
Checked against:  a run that was stopped and one that was not; the stored folders
"""

import platform
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from course_lib.atomic_write import write_whole_text
from course_lib.checkpoint import save_tokenizer
from course_lib.training.runs import LoggedRun, Record
from course_lib.vision.captions import drawing_tokenizer
from course_lib.vision.recipes import VisionRecipe

CARD = """\
---
license: apache-2.0
language: en
---

# {name}

{summary}

`course train --recipe {name}` makes it again. {parameters:,} parameters, stored in {dtype}.

## Training

| | |
|---|---|
{training}

The whole curve is in `training_log.jsonl`.

## Scores

Measured on new drawings, with 95 % intervals:

| | |
|---|---|
{scores}
"""


class VisionRun(LoggedRun):
    """A recipe in training in a folder."""

    def __init__(
        self, recipe: VisionRecipe, folder: Path, seed: int = 0, start: Path | None = None
    ) -> None:
        self.recipe = recipe
        training = recipe.start(seed, start)
        super().__init__(training, folder, recipe.look_every, recipe.save_every)

    def look(self) -> Record:
        """Return how good the model is now."""
        return self.recipe.look(self.training.model)

    def store(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the model, its tokenizer, its log and its card."""
        self.recipe.save(self.training.model, folder, dtype)
        save_tokenizer(drawing_tokenizer(), folder)
        shutil.copyfile(self.log, folder / "training_log.jsonl")
        write_whole_text(folder / "README.md", self.card(dtype))

    def card(self, dtype: torch.dtype) -> str:
        """Return the card as Markdown, with the model measured again."""
        model, plan, last = self.training.model, self.training.plan, self.records[-1]
        training = (
            ("steps", str(last["step"])),
            ("optimizer", f"AdamW, betas {plan.betas}, weight decay {plan.weight_decay}"),
            ("learning rate", f"{plan.warmup} steps up to {plan.peak}, cosine to {plan.final}"),
            ("seed", str(plan.seed)),
            ("last loss", str(last["loss"])),
            ("time", f"{last['seconds']:.0f} seconds on {torch.get_num_threads()} thread(s)"),
            ("machine", f"{platform.system()} {platform.machine()}, torch {torch.__version__}"),
            ("date", time.strftime("%Y-%m-%d")),
        )
        return CARD.format(
            name=self.recipe.name,
            summary=self.recipe.summary,
            parameters=sum(each.numel() for each in model.parameters()),
            dtype=str(dtype).removeprefix("torch."),
            training=_table(training),
            scores=_table(self.recipe.rates(model).items()),
        )


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"| {left} | {right} |" for left, right in rows)
