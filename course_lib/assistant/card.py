"""The model card of a stage: what it is, how it was trained, and what it scores.

Taught in:        fine_tuning
Checked against:  the stored model, measured again
"""

import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from course_lib.assistant.arithmetic import WAYS
from course_lib.assistant.evaluation import Score
from course_lib.training.loop import Training

HEAD = """\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---

# {name}

{summary}

It is a Qwen3-shaped decoder of {thousands:,.0f} thousand parameters ({layers} layers, width \
{width}, {heads} heads on {kv} key/value heads) that reads single bytes. {ability} \
`course train --recipe {name}` makes it again.

## Training

{recipe}

The whole curve is in `training_log.jsonl`.

## Scores

{scores}
"""
ADDS = "It adds two numbers of three digits and does nothing else."


def card(
    name: str,
    summary: str,
    training: Training,
    records: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Score],
) -> str:
    """Return the card of a stage that adds, as Markdown."""
    both = scores["sampled"], scores["greedy"]
    said = (
        f"On {both[0].count} questions whose operands no training text contains (a hash of the "
        "pair decides):\n\n" + table(("", "sampled", "greedy"), _score_rows(both))
    )
    return card_page(name, summary, ADDS, training, records, said)


def card_page(
    name: str,
    summary: str,
    ability: str,
    training: Training,
    records: Sequence[Mapping[str, Any]],
    scores: str,
) -> str:
    """Return a card as Markdown: what the model can do, how it was trained, what it scores."""
    config: Any = training.model.config
    return HEAD.format(
        name=name,
        summary=summary,
        ability=ability,
        thousands=sum(p.numel() for p in training.model.parameters()) / 1000,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv=config.num_key_value_heads,
        recipe=table(("", ""), _recipe_rows(training, records[-1])),
        scores=scores,
    )


def _recipe_rows(training: Training, last: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    plan = training.plan
    return [
        ("steps", str(last["step"])),
        ("optimizer", f"AdamW, betas {plan.betas}, weight decay {plan.weight_decay} on matrices"),
        ("learning rate", f"{plan.warmup} steps up to {plan.peak}, cosine down to {plan.final}"),
        ("seed", str(plan.seed)),
        ("last loss", str(last["loss"])),
        ("time", f"{last['seconds']:.0f} seconds on {torch.get_num_threads()} thread(s)"),
        ("machine", f"{platform.system()} {platform.machine()}, torch {torch.__version__}"),
        ("date", time.strftime("%Y-%m-%d")),
    ]


def _score_rows(both: Sequence[Score]) -> Iterable[tuple[str, ...]]:
    yield ("exact", *(f"{each.exact:.3f}" for each in both))
    for way in (*WAYS, "other"):
        yield (f"{way}, share", *(f"{each.shares[way]:.3f}" for each in both))
        yield (f"{way}, exact", *(f"{each.exact_of[way]:.3f}" for each in both))


def table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table as Markdown."""
    first, *others = (f"| {' | '.join(row)} |" for row in (head, *rows))
    return "\n".join((first.replace("  ", " "), "|" + "---|" * len(head), *others))
