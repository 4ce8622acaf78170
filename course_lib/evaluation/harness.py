"""The harness: a task, a model, and a result that can be repeated and compared.

    task = find_task("sums")
    result = evaluate(course_lib.load("folder"), task, "folder")
    print(result.report())
    result.save(Path("result.json"))

A task is one file in `course_lib/evaluation/tasks`. It makes its items from a seed, and turns a
model and items into scores, item by item; everything else is here. A result keeps the score and the
answer of every item, hashes of the items and of the weights, the seed and the versions: what is
needed to run it again, and to compare two models on the same items.

Taught in:        evaluation
Checked against:  scores computed without the harness; a result that was read back
Shapes:           none
"""

import hashlib
import importlib
import math
import pkgutil
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from course_lib.evaluation import tasks
from course_lib.evaluation.results import ItemScore, Result
from course_lib.generation.text_model import TextModel
from course_lib.model import DecoderLM
from course_lib.tokenization.chat import Message


class Item(NamedTuple):
    """One question: its name, and whatever the task needs to ask and to judge it."""

    id: str
    content: Any


@dataclass(frozen=True)
class Task:
    """How items are made and scored; a new task changes its version when either changes."""

    name: str
    version: int
    summary: str
    count: int  # items, unless a limit says otherwise
    items: Callable[[int, int], list[Item]]  # from the number of items and the seed
    run: Callable[[TextModel, Sequence[Item], int], list[ItemScore]]
    lower_is_better: tuple[str, ...] = ()
    logarithmic: tuple[str, ...] = field(default=())  # metrics that are exp of the mean


def task_names() -> list[str]:
    """Return the names of the tasks that there are."""
    return sorted(each.name for each in pkgutil.iter_modules(tasks.__path__))


def find_task(name: str) -> Task:
    """Return the task of this name."""
    if name not in task_names():
        raise ValueError(f"a task must be one of {', '.join(task_names())}; got {name!r}.")
    task = importlib.import_module(f"{tasks.__name__}.{name}").TASK
    assert isinstance(task, Task), "every file of tasks has a TASK"
    return task


def evaluate(
    model: TextModel, task: Task, source: str, limit: int | None = None, seed: int = 0
) -> Result:
    """Return the scores of a model on a task; `source` is where the model comes from."""
    count = task.count if limit is None else limit
    if count < 1:
        raise ValueError(f"a task needs at least one item; got a limit of {limit}.")
    items, began = task.items(count, seed), time.perf_counter()
    scores = task.run(model, items, seed)
    return Result(
        task=task.name,
        version=task.version,
        items_sha256=digest_of_items(items),
        source=source,
        weights_sha256=digest_of_weights(model.model),
        dtype=str(model.model.lm_head.weight.dtype),
        device=str(model.device),
        seed=seed,
        limit=count,
        python=platform.python_version(),
        torch=str(torch.__version__),
        date=time.strftime("%Y-%m-%d"),
        seconds=round(time.perf_counter() - began, 1),
        lower_is_better=task.lower_is_better,
        logarithmic=task.logarithmic,
        scores=tuple(scores),
    )


def digest_of_items(items: Sequence[Item]) -> str:
    """Return the hash of the items, which says whether two results are about the same ones."""
    return hashlib.sha256(repr([tuple(each) for each in items]).encode()).hexdigest()


def digest_of_weights(model: DecoderLM) -> str:
    """Return the hash of all weights, wherever they are."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def replies(
    model: TextModel,
    conversations: Sequence[Sequence[Message]],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """Return a model's answers; one without a chat template continues the last message."""
    if model.chat_template is None:
        prompts = [str(messages[-1]["content"]) for messages in conversations]
    else:
        rows = [model.chat_ids(messages) for messages in conversations]
        prompts = [model.tokenizer.decode(row) for row in rows]
        if [model.prompt_ids(prompt) for prompt in prompts] != rows:  # not to be read back
            chats = (
                model.chat(each, max_new_tokens, seed=seed, temperature=temperature)
                for each in conversations
            )
            return ["".join(pieces) for pieces in chats]
    return model.generate(prompts, max_new_tokens, seed=seed, temperature=temperature)


def first_token_and(model: TextModel, text: str) -> list[int]:
    """Return the ids of a text after the checkpoint's first token, if it has one."""
    first = model.defaults.first_id
    ids = model.tokenizer.encode(text)
    return ids if first is None else [first, *ids]


def finite(value: float, name: str) -> float:
    """Return a score, or raise an error if it is not a number."""
    if not math.isfinite(value):
        raise ValueError(f"the score of {name} must be a finite number; got {value}.")
    return value
