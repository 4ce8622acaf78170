"""How well a model predicts Python's documentation: bits per byte and perplexity.

The documents are those that the course's own models were not trained on. Another model may have
read them; then its score says how well it remembers. Perplexity is per token, so it compares only
models with the same tokenizer.

Taught in:        evaluation
Checked against:  `course_lib.training.text_bits_per_byte` on the same text
Shapes:           none
"""

import math
import random
from collections.abc import Sequence

import torch

from course_lib import corpus
from course_lib.evaluation.harness import Item, Task, finite, first_token_and
from course_lib.evaluation.perplexity import sliding_losses
from course_lib.evaluation.results import ItemScore, Measured
from course_lib.generation.text_model import TextModel

CHARACTERS = 2000  # of each document


def items(count: int, seed: int) -> list[Item]:
    """Return the beginnings of held-out documents, in an order that the seed decides."""
    held_out = [each for each in corpus.documentation() if corpus.is_held_out(each.name)]
    random.Random(f"documents {seed}").shuffle(held_out)
    if count > len(held_out):
        raise ValueError(f"there are {len(held_out)} held-out documents; got a limit of {count}.")
    return [Item(each.name, each.text[:CHARACTERS]) for each in held_out[:count]]


def run(model: TextModel, chosen: Sequence[Item], seed: int) -> list[ItemScore]:
    """Return the bits per byte and the nats per token of each document."""
    window = model.config.max_position_embeddings
    found = []
    for item in chosen:
        ids = first_token_and(model, item.content)
        row = torch.tensor(ids, device=model.device)
        losses = sliding_losses(model.model, row, window, window // 2).double()
        nats = finite(float(losses.sum()), item.id)
        unscored = model.tokenizer.decode(ids[:1]) if model.defaults.first_id is None else ""
        size = len(item.content.encode()) - len(unscored.encode())
        values = {
            "bits per byte": Measured(nats / math.log(2) / size, size),
            "perplexity": Measured(nats / len(losses), len(losses)),
        }
        found.append(ItemScore(item.id, values))
    return found


TASK = Task(
    name="documentation",
    version=1,
    summary="bits per byte and perplexity on held-out documentation",
    count=10,
    items=items,
    run=run,
    lower_is_better=("bits per byte", "perplexity"),
    logarithmic=("perplexity",),
)
