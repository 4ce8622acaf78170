"""Stored questions about Python, each with the pages of its documentation that answer it.

They were written by hand, without looking at what any search finds. A page that answers counts 2,
one that only helps counts 1. The questions stand in `questions.txt`; the running Python may lack
some pages, and a question whose answers are all missing is left out.

Half of the questions are for choosing settings (`validation`), the rest for judging (`test`).

Taught in:        retrieval
Checked against:  the pages that they name
"""

import functools
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from course_lib.retrieval.metrics import ndcg_at, recall_at, reciprocal_rank
from course_lib.retrieval.pages import documentation_pages

FILE = Path(__file__).with_name("questions.txt")
PARTS = ("validation", "test")


class Asked(NamedTuple):
    """A question, and how well each page answers it: 2 or 1; all others do not."""

    text: str
    gains: dict[Hashable, int]

    @property
    def answers(self) -> set[Hashable]:
        """The pages that answer the question, not those that only help."""
        return {page for page, gain in self.gains.items() if gain == 2}


class Quality(NamedTuple):
    """How good a search is, as means over questions."""

    recall: float
    mrr: float
    ndcg: float


@functools.cache
def stored_questions(part: str) -> tuple[Asked, ...]:
    """Return the questions of a part, `validation` or `test`."""
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}; got {part!r}.")
    lines = FILE.read_text(encoding="utf-8").splitlines()
    known = {page.name for page in documentation_pages()}
    asked = [_parsed(line, known) for line in lines if not line.startswith("#")]
    return tuple(each for each in asked[PARTS.index(part) :: 2] if each.answers)


def _parsed(line: str, known: set[str]) -> Asked:
    text, _, pages = line.partition(" | ")
    gains = {name.lstrip("*"): 1 if name.startswith("*") else 2 for name in pages.split()}
    return Asked(text, {name: gain for name, gain in gains.items() if name in known})


def qualities(
    find: Callable[[str], Sequence[str]], questions: Sequence[Asked], k: int = 10
) -> list[Quality]:
    """Return how good `find` is on each question; it returns the pages, best first."""
    rankings = [list(dict.fromkeys(find(each.text))) for each in questions]
    return [
        Quality(
            recall_at(ranking, each.answers, k),
            reciprocal_rank(ranking, each.answers),
            ndcg_at(ranking, each.gains, k),
        )
        for ranking, each in zip(rankings, questions, strict=True)
    ]


def evaluate(
    find: Callable[[str], Sequence[str]], questions: Sequence[Asked], k: int = 10
) -> Quality:
    """Return how good `find` is on average; it returns the pages for a question, best first."""
    if not questions:
        raise ValueError("a mean over questions needs at least one; got none. Pass some.")
    return Quality(*map(fmean, zip(*qualities(find, questions, k), strict=True)))
