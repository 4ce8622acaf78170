"""Cut a long text into chunks that overlap, and keep where each one was.

A chunk is a slice of the text, `text[start:stop]`, so that a citation can be compared with the page
letter by letter. Chunks overlap, or an answer that a cut goes through is in neither half.

    size 5, overlap 2:      words 0–4, 3–7, 6–10, ...       a new chunk every size − overlap words

Taught in:        retrieval
Checked against:  slices counted by hand; the chunks put together again
"""

import re
from typing import NamedTuple

_WORD, _BREAK = re.compile(r"\S+"), re.compile(r"\n\s*\n")


class Span(NamedTuple):
    """A part of a text: from `start` up to `stop`, which is not in it."""

    start: int
    stop: int


def windows(count: int, size: int, overlap: int) -> list[Span]:
    """Return windows of `size` that cover `count` items, the last one perhaps shorter.

    No window lies within the one before it: once the end is reached, there are no more.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(
            f"size must be at least 1 and overlap in [0, size); got {size} and {overlap}. "
            "With an overlap of the whole size the window would never move."
        )
    spans: list[Span] = []
    start = 0
    while start < count:
        spans.append(Span(start, min(start + size, count)))
        if start + size >= count:
            break
        start += size - overlap
    return spans


def word_chunks(text: str, size: int = 120, overlap: int = 30) -> list[Span]:
    """Return chunks of `size` words, wherever sentences and paragraphs end."""
    words = [match.span() for match in _WORD.finditer(text)]
    cuts = windows(len(words), size, overlap)
    return [Span(words[cut.start][0], words[cut.stop - 1][1]) for cut in cuts]


def paragraph_chunks(text: str, size: int = 120) -> list[Span]:
    """Return whole paragraphs, as many in a row as have at most `size` words together.

    A paragraph that is longer by itself is cut into words, with a quarter of overlap.
    """
    chunks: list[Span] = []
    begin, end, words = 0, 0, 0
    for start, stop in _paragraphs(text):
        count = len(text[start:stop].split())
        if words and words + count > size:
            chunks.append(Span(begin, end))
            words = 0
        if count > size:
            pieces = word_chunks(text[start:stop], size, size // 4)
            chunks += [Span(start + a, start + b) for a, b in pieces]
            continue
        begin, end, words = (begin if words else start), stop, words + count
    return [*chunks, Span(begin, end)] if words else chunks


def _paragraphs(text: str) -> list[Span]:
    """Return the paragraphs, without the white space around them."""
    edges = [0, *(place for match in _BREAK.finditer(text) for place in match.span()), len(text)]
    spans = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        part = text[start:stop]
        if part.strip():
            left = len(part) - len(part.lstrip())
            spans.append(Span(start + left, start + len(part.rstrip())))
    return spans
