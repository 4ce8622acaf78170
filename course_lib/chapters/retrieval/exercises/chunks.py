"""The exercise on windows that overlap."""

from course_lib import retrieval
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_counting(count, size, overlap):
    chunks = []
    number = 0
    while count > 0 and (number == 0 or chunks[-1][1] < count):
        start = number * (size - overlap)
        chunks.append((start, start + size if start + size < count else count))
        number += 1
    return chunks


def _by_range(count, size, overlap):
    last = max(count - overlap, min(count, 1))
    return [(s, min(s + size, count)) for s in range(0, last, size - overlap)]


def _by_recursion(count, size, overlap, start=0):
    if count == 0:
        return []
    if start + size >= count:
        return [(start, count)]
    return [(start, start + size), *_by_recursion(count, size, overlap, start + size - overlap)]


def _by_words(count, size, overlap):
    chunks, words = [], list(range(count))
    while words:
        chunks.append((words[0], words[:size][-1] + 1))
        words = words[size - overlap :] if len(words) > size else []
    return chunks


def _by_step(count, size, step):
    return [(s, min(s + size, count)) for s in range(0, count, max(step, 1))]


def _past_the_end(count, size, overlap):
    return [(start, start + size) for start, _ in _by_counting(count, size, overlap)]


def _whole_only(count, size, overlap):
    return [(a, b) for a, b in _by_counting(count, size, overlap) if b - a == size]


def _longer(count, size, overlap):
    return [(start, min(start + size + overlap, count)) for start, _ in _by_step(count, size, size)]


def _inclusive(count, size, overlap):
    return [(a, b - 1) for a, b in _by_counting(count, size, overlap)]


def _something(count, size, overlap):
    return _by_counting(count, size, overlap) or [(0, 0)]


CHUNKS = Exercise(
    id="retrieval.chunks",
    title="Chunks that overlap",
    minutes=7,
    difficulty=1,
    statement=(
        "Cut `count` words into chunks of `size`; each begins size − overlap words after the one "
        "before. Return a list of pairs (start, stop), stop not included. The last chunk ends "
        "with the text and may be shorter; once a chunk has reached the end, there are no more. "
        "No words, no chunk. 0 ≤ overlap < size."
    ),
    solution=retrieval.windows,
    reference=_by_counting,
    generator=generators.chunks,
    probes=(
        Probe("without overlap", lambda: call(6, 3, 0), "Two whole chunks."),
        Probe("with overlap", lambda: call(8, 5, 2), "0–5 and 3–8: two words are in both."),
        Probe("a short end", lambda: call(10, 4, 1), "The last chunk ends with the text."),
        Probe("nothing", lambda: call(0, 4, 1), "No words, no chunk."),
        Probe("a short text", lambda: call(2, 5, 3), "One chunk, shorter than size."),
        Probe("exactly one", lambda: call(5, 5, 4), "The first chunk reaches the end."),
        Probe("much overlap", lambda: call(6, 4, 3), "Each begins one word later: three chunks."),
    ),
    misconceptions=(
        Misconception(
            "a chunk within the last one",
            lambda count, size, overlap: _by_step(count, size, size - overlap),
            "After a chunk that ends with the text you begin another, which holds nothing new. "
            "Stop as soon as start + size reaches count.",
        ),
        Misconception(
            "overlap forgotten",
            lambda count, size, overlap: _by_step(count, size, size),
            "The next chunk begins size − overlap words later, not size words later.",
        ),
        Misconception(
            "overlap as the step",
            lambda count, size, overlap: _by_step(count, size, overlap),
            "You move on by `overlap` words. That many words are shared; move by size − overlap.",
        ),
        Misconception(
            "past the end",
            _past_the_end,
            "The last chunk goes past the end of the text. Its stop is at most count: "
            "min(stop, count).",
        ),
        Misconception(
            "whole chunks only",
            _whole_only,
            "You drop the last words, since they do not fill a chunk. A shorter chunk keeps them.",
        ),
        Misconception(
            "overlap added to the size",
            _longer,
            "Your chunks have size + overlap words. A chunk has `size` words, overlap included.",
        ),
        Misconception(
            "stop included",
            _inclusive,
            "stop is the first word that is not in the chunk, as in words[start:stop].",
        ),
        Misconception(
            "a chunk of nothing", _something, "Without words there is no chunk: an empty list."
        ),
    ),
    alternatives=(
        Alternative("a range", _by_range),
        Alternative("recursion", _by_recursion),
        Alternative("a list of words", _by_words),
    ),
    hints=(
        "Begin with start = 0 and add (start, min(start + size, count)) while start < count.",
        "If start + size >= count, stop; otherwise go on at start + size − overlap.",
    ),
)
