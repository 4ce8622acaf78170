"""Search in the documentation of the running Python: `search("how do I ...", k)`.

    search("wrap a long line of text", 3)      three passages, each with its page and place

A passage is a slice of a page, `find_page(hit.page).text[hit.start:hit.stop]`, and the page's name
is the one by which `help` knows it, so that every result can be looked up.

Taught in:        retrieval
Checked against:  the pages themselves
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from course_lib.retrieval.bm25 import BM25Index
from course_lib.retrieval.chunking import paragraph_chunks
from course_lib.retrieval.pages import documentation_pages
from course_lib.retrieval.results import NOTHING

CHUNK = 150  # words of a passage at most
ASKING = (
    *("how", "do", "i", "can", "you", "what", "is", "are", "the", "a", "an"),
    *("in", "of", "to", "does", "which", "my"),
)  # what every question says


class Passage(NamedTuple):
    """A part of a page: its text is `page.text[start:stop]`."""

    page: str
    start: int
    stop: int
    text: str


class Hit(NamedTuple):
    """A passage that was found, with its score; higher is better."""

    page: str
    text: str
    score: float
    start: int
    stop: int


@functools.cache
def passages() -> tuple[Passage, ...]:
    """Return the passages of all pages, in the order of the pages."""
    return tuple(
        Passage(page.name, start, stop, page.text[start:stop])
        for page in documentation_pages()
        for start, stop in paragraph_chunks(page.text, CHUNK)
    )


@functools.cache
def passage_index() -> BM25Index:
    """Return a BM25 index of the passages, each with the words of its page's name."""
    index = BM25Index(k1=1.2, b=0.6)
    index.add([f"{passage.page} {passage.text}" for passage in passages()])
    return index


def asked_words(question: str) -> str:
    """Return a question without the words that every question has, if any others are left."""
    kept = [word for word in question.split() if word.lower().strip("?.,") not in ASKING]
    return " ".join(kept) or question


def search(question: str, k: int = 5) -> list[Hit]:
    """Return the best k passages of the documentation for a question, best first."""
    if not question.strip():
        raise ValueError(f"a question needs at least one word; got {question!r}. Ask something.")
    found = passage_index().search([asked_words(question)], k)
    return hits(found.ids[0].tolist(), found.scores[0].tolist())


def hits(ids: Sequence[int], scores: Sequence[float]) -> list[Hit]:
    """Return passages by their numbers, with their scores; -1 is none."""
    known = passages()
    return [
        Hit(p.page, p.text, score, p.start, p.stop)
        for p, score in ((known[i], s) for i, s in zip(ids, scores, strict=True) if i != NOTHING)
    ]
