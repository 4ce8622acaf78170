"""Counting the words of a corpus, in this process or in several at once.

Counts of parts of a corpus add up to the counts of the whole, provided that no word is cut in two
(`patterns.chunks_between_words`). So each process counts a portion of the text and sends its counts
back. They are added in the order of the text: a word keeps the place at which it was first seen.

    portions  P0 P1 P2 P3 …   →   processes A B A B …   →   P0 + P1 + P2 + P3 + …

Portions are read as they are needed and only a few are waiting at a time, so a corpus may be larger
than memory. Processes are started once the text is long enough to be worth it.

Taught in:        tokenization
Checked against:  counting the whole text at once
"""

import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice

from course_lib.tokenization.patterns import compile_pattern, pre_split

PORTION = 1 << 19  # characters, counted in a twentieth of a second


def count_chunks(chunks: Iterable[str], pattern: str) -> Counter[str]:
    """Return how often each pre-split word occurs in the chunks."""
    compiled = compile_pattern(pattern)
    words: Counter[str] = Counter()
    for chunk in chunks:
        words.update(pre_split(chunk, compiled))
    return words


def count_in_processes(chunks: Iterable[str], pattern: str, processes: int) -> Counter[str]:
    """Return the same, counted by this many processes where there are two portions or more."""
    portions = portions_of(chunks)
    first = list(islice(portions, 2))
    if processes == 1 or len(first) < 2:
        return count_chunks(chain.from_iterable(chain(first, portions)), pattern)
    words: Counter[str] = Counter()
    waiting: deque[Future[Counter[str]]] = deque()
    pool = ProcessPoolExecutor(processes, initializer=_leave_interrupts_to_the_parent)
    try:
        for portion in chain(first, portions):
            waiting.append(pool.submit(count_chunks, portion, pattern))
            if len(waiting) > 2 * processes:
                words.update(waiting.popleft().result())
        while waiting:
            words.update(waiting.popleft().result())
    except BrokenProcessPool:
        raise RuntimeError(
            f"each of the {processes} processes must live until the words are counted; one died. "
            "If this is a script, put what it does under `if __name__ == '__main__':`; if memory "
            "ran out, pass fewer processes. With processes=1 all is counted in this process."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
    return words


def portions_of(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield the chunks in lists of `PORTION` characters or a little more."""
    portion: list[str] = []
    size = 0
    for chunk in chunks:
        portion.append(chunk)
        size += len(chunk)
        if size >= PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _leave_interrupts_to_the_parent() -> None:
    """Ignore Ctrl-C, which a terminal sends to every process; the parent ends its children."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
