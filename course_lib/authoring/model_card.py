"""The model card: what a trained model learned from, how, for how long, and what it scores.

Every figure is taken from the run or measured when the card is written. The scoreboard is that of
the notebook `language_models`, on documentation that no recipe trains on.

Taught in:        training
Checked against:  the files of the run, and the stored model measured again
"""

import platform
import time
from collections.abc import Iterable
from pathlib import Path

import torch

from course_lib.checkpoint import load_model
from course_lib.model import DecoderLM
from course_lib.study.exhibits import scoreboard
from course_lib.training.evaluation import PROBE_PERIODS, probe_repeats
from course_lib.training.runs import RecipeRun, Record

HEAD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# {name}: a small model to look inside

A Qwen3-shaped decoder of {millions:.1f} million parameters ({layers} layers, width {width}, \
{heads} heads on {kv} key/value heads, context {context}), with a byte-level BPE of {vocab} tokens.
It was trained by this course, offline, so that every notebook has a real model at hand. It shows \
what larger trained models show: heads that attend to the previous token, induction heads, which \
look up what followed the current token last time, and a residual stream whose norm grows with \
depth. It knows little: its text looks like Python, but do not rely on what it says about it.

## What it was trained on, and why

Every batch mixes two kinds of sequences:

- **Text** ({text_rows} of {rows} sequences): {texts} of the standard library of Python {python}, \
except documents that are held out (one in ten, chosen by a hash of the name).
- **Random ids that repeat** ({repeat_rows} of {rows} sequences): a random sequence of \
{low} to {high} different tokens, repeated to the end. This is not language. It makes induction \
heads appear within a short training run; the tokens are drawn from {few} at first and from the \
whole vocabulary after {growth} steps. The heads are real, but clearer than those of a model \
trained on text alone.

## Recipe

| | |
|---|---|
{recipe}

The training curve is in `training_log.jsonl`. `course train --recipe {name}` trains the model \
again.

## What it scores

Bits per byte on {characters} characters of held-out documentation:

| contestant | bits per byte |
|---|---|
{board}

On uniformly random ids that repeat (periods {periods}):

| | |
|---|---|
| loss where the next id can be known | {repeat_loss:.3f} nats |
| best previous-token score | {previous:.3f} |
| best induction score | {induction:.3f} |
"""


def write_card(run: RecipeRun, folder: Path) -> None:
    """Write the card of a run's model into the folder in which it was stored."""
    model = load_model(folder, dtype=torch.float32)
    assert isinstance(model, DecoderLM), "recipes train decoders"
    (folder / "README.md").write_text(card(run, model), encoding="utf-8")


def card(run: RecipeRun, model: DecoderLM) -> str:
    """Return the card as Markdown."""
    recipe, probe = run.recipe, probe_repeats(model)
    rows = [*scoreboard.first_rows(), scoreboard.trained_row(recipe.name, model, run.tokenizer)]
    texts = [f"{name} ({share:.0%} of the crops)" for name, share in recipe.shares]
    return HEAD.format(
        name=recipe.name,
        millions=sum(p.numel() for p in model.parameters()) / 1e6,
        layers=recipe.layers,
        width=recipe.hidden_size,
        heads=recipe.heads,
        kv=recipe.key_value_heads,
        context=recipe.context,
        vocab=recipe.vocab_size,
        text_rows=recipe.text_rows,
        repeat_rows=recipe.repeat_rows,
        rows=recipe.text_rows + recipe.repeat_rows,
        texts=", ".join(texts),
        python=platform.python_version(),
        low=recipe.periods[0],
        high=recipe.periods[1],
        few=recipe.growth[0],
        growth=recipe.growth[1],
        recipe=_table(recipe_rows(run)),
        characters=f"{scoreboard.CHARACTERS:,}",
        board=_table((row.contestant, f"{row.bits:.3f}") for row in scoreboard.ranked(rows)),
        periods=", ".join(map(str, PROBE_PERIODS)),
        repeat_loss=probe.loss,
        previous=probe.previous.max().item(),
        induction=probe.induction.max().item(),
    )


def recipe_rows(run: RecipeRun) -> list[tuple[str, str]]:
    """Return the settings, and the time that training took."""
    plan, recipe = run.recipe.plan, run.recipe
    tokens = (recipe.text_rows + recipe.repeat_rows) * recipe.context
    last: Record = run.records[-1]
    half = str(run.training.half).removeprefix("torch.")
    return [
        ("steps", f"{last['step']:,} of {tokens:,} tokens, {last['step'] * tokens / 1e6:.0f} M"),
        ("optimizer", f"AdamW, betas {plan.betas}, weight decay {plan.weight_decay} on matrices"),
        ("learning rate", f"{plan.warmup} steps up to {plan.peak}, cosine down to {plan.final}"),
        ("clipping", f"global norm {plan.max_norm}"),
        ("numbers", f"products in {half}, the rest in float32" if plan.autocast else "float32"),
        ("seed", str(plan.seed)),
        ("time", f"{last['seconds'] / 60:.0f} minutes on {torch.get_num_threads()} thread(s)"),
        ("machine", f"{platform.system()} {platform.machine()}, torch {torch.__version__}"),
        ("date", time.strftime("%Y-%m-%d")),
    ]


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"| {left} | {right} |" for left, right in rows)
