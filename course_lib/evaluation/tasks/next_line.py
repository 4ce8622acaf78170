"""Which line comes next in a text of Python's documentation? Multiple choice by log-likelihood.

The context is some lines of a held-out document; the answers are the line that follows and three
lines of other held-out documents. Chance is 25 %. Nothing is generated: the likeliest answer
counts, under each of three normalisations.

Taught in:        evaluation
Checked against:  answers scored one at a time
Shapes:           none
"""

import random
from collections.abc import Sequence

from course_lib import corpus
from course_lib.evaluation.choices import NORMALISATIONS, picked, score_choices
from course_lib.evaluation.harness import Item, Task
from course_lib.evaluation.results import ItemScore, Measured
from course_lib.generation.text_model import TextModel

LINES, ANSWERS = 4, 4


def items(count: int, seed: int) -> list[Item]:
    """Return contexts, each with its answers and the number of the right one."""
    held_out = [each for each in corpus.documentation() if corpus.is_held_out(each.name)]
    texts = [[line for line in each.text.splitlines() if len(line) > 30] for each in held_out]
    texts = [lines for lines in texts if len(lines) > LINES]
    source, found = random.Random(f"next lines {seed}"), dict[str, Item]()
    while len(found) < count:
        lines = source.choice(texts)
        place = source.randrange(LINES, len(lines))
        others = source.sample([each for each in texts if each is not lines], ANSWERS - 1)
        answers = [source.choice(each) for each in others]
        right = source.randrange(ANSWERS)
        answers.insert(right, lines[place])
        context = "\n".join(lines[place - LINES : place]) + "\n"
        if len(set(answers)) == ANSWERS:
            found[context] = Item(f"{len(found)}", (context, tuple(answers), right))
    return list(found.values())


def run(model: TextModel, chosen: Sequence[Item], seed: int) -> list[ItemScore]:
    """Return for each item whether the right answer is picked, under each normalisation."""
    found = []
    for item in chosen:
        context, answers, right = item.content
        scored = score_choices(model.model, model.tokenizer, context, answers)
        picks = {name: picked(scored, name) for name in NORMALISATIONS}
        values = {name: Measured(float(pick == right)) for name, pick in picks.items()}
        found.append(ItemScore(item.id, values, str(picks["sum"])))
    return found


TASK = Task(
    name="next_line",
    version=1,
    summary="which of four lines comes next, by log-likelihood under three normalisations",
    count=60,
    items=items,
    run=run,
)
