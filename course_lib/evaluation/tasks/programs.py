"""Small functions of Python, written by the model and run in a sandbox: pass@1 and pass@5.

Taught in:        evaluation
Paper:            Chen et al. 2021, arXiv:2107.03374
Checked against:  programs written by hand, right and wrong
Shapes:           none
"""

from collections.abc import Sequence

from course_lib.evaluation.harness import Item, Task
from course_lib.evaluation.results import ItemScore, Measured
from course_lib.evaluation.sandbox import passes
from course_lib.generation.text_model import TextModel
from course_lib.rewards.voting import pass_at_k

SAMPLES, NEW_TOKENS = 5, 24
STOPS = ("\n\n", "\ndef ", "\nclass ", "\n#", "\n@")
PROGRAMS = {
    "length": ("def length(items):\n    return len(", "assert length([4, 5, 6]) == 3"),
    "is_empty": ("def is_empty(self):\n    return not ", "assert is_empty([])\n"
                 "assert not is_empty([1])"),
    "absolute": ("def absolute(value):\n    return abs(", "assert absolute(-3) == 3"),
    "same": ("def same(value):\n    return ", "assert same(7) == 7"),
    "as_text": ("def as_text(value):\n    return str(", "assert as_text(12) == '12'"),
    "is_none": ("def is_none(value):\n    return value is ", "assert is_none(None)\n"
                "assert not is_none(0)"),
    "first": ("def first(items):\n    return items[", "assert first([7, 8, 9]) == 7"),
    "joined": ("def joined(parts):\n    return ''.join(", "assert joined(['a', 'b']) == 'ab'"),
    "is_text": ("def is_text(value):\n    return isinstance(value, ",
                "assert is_text('a') and not is_text(1)"),
    "add": ("def add(a, b):\n    return a", "assert add(2, 5) == 7"),
}  # fmt: skip


def items(count: int, seed: int) -> list[Item]:
    """Return the first functions of the list, each with its beginning and its tests."""
    if count > len(PROGRAMS):
        raise ValueError(f"there are {len(PROGRAMS)} programs; got a limit of {count}.")
    return [Item(name, PROGRAMS[name]) for name in list(PROGRAMS)[:count]]


def run(model: TextModel, chosen: Sequence[Item], seed: int) -> list[ItemScore]:
    """Return pass@1 and pass@5 of each function, from five samples."""
    found = []
    for item in chosen:
        start, tests = item.content
        ends = model.generate([start] * SAMPLES, NEW_TOKENS, stop=STOPS, seed=seed, temperature=0.8)
        right = [passes(f"{start}{end}\n", tests) for end in ends]
        values = {f"pass@{k}": Measured(pass_at_k(SAMPLES, sum(right), k)) for k in (1, SAMPLES)}
        found.append(ItemScore(item.id, values, ends[right.index(True) if any(right) else 0]))
    return found


TASK = Task(
    name="programs",
    version=1,
    summary="small Python functions, completed five times and tested in a sandbox",
    count=len(PROGRAMS),
    items=items,
    run=run,
)
