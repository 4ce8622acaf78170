"""Pre-splitting: cut text into words, so that no token ever crosses from one word into the next.

Without it, BPE would learn tokens such as "of the" or "dog." and spend its vocabulary on accidents
of punctuation. Each pattern is a list of alternatives, tried from left to right: contractions,
letters with the character before them, digits, other visible characters, white space. The patterns
differ in how many digits they keep together (GPT-2 all, GPT-4 three, Qwen one) and in what may
stand in front of letters (GPT-2 a space, the others any one character).

    "it's 2024!"   GPT-2  it 's ␣2024 !      GPT-4  it 's ␣ 202 4 !      Qwen  it 's ␣ 2 0 2 4 !

A pattern usually keeps every letter: what it matches and what it leaves out are words alike. The
`Split` of a `tokenizer.json` can also drop either, or join both with their neighbours, and several
can follow one another: each cuts the words of the one before.

Taught in:        tokenization
Paper:            Radford et al. 2019 (GPT-2), section 2.2
Checked against:  `tokenizers.pre_tokenizers.Split`, `tiktoken`
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby
from operator import itemgetter

import regex

from course_lib.tokenization.unicode_tables import as_known
from course_lib.tokenization.word_cache import WordCache

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = GPT4_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")
KNOWN_PATTERNS = (GPT2_PATTERN, GPT4_PATTERN, QWEN_PATTERN)

# A long text is cut into chunks of this many characters or a little more.
CHUNK_CHARACTERS = 1 << 14
_BETWEEN_WORDS = regex.compile(r"(?<=\S) ")

# Text gathered before it is split, when it arrives in many small chunks.
STREAM_CHARACTERS = 1 << 16


def compile_pattern(pattern: str) -> regex.Pattern:
    """Return the compiled pre-splitting pattern."""
    try:
        return regex.compile(pattern)
    except regex.error as error:
        raise ValueError(
            f"pattern must be a regular expression that `regex` understands; got {pattern!r}, "
            f"which fails with: {error}. Try one of the patterns of tokenization/patterns.py."
        ) from None


def pre_split(text: str, pattern: regex.Pattern) -> list[str]:
    """Return the words of the text; joined, they are the text again.

    Where the pattern matches nothing, the gap between two matches is a word too.
    """
    known = as_known(text)
    words = pattern.findall(text) if known == text and not pattern.groups else []
    if sum(map(len, words)) == len(text):
        return [word for word in words if word] if "" in words else words
    return [text[begin:end] for begin, end, _ in spans_of(text, pattern) if end > begin]


def chunks_between_words(text: str, pattern: str) -> Iterator[str]:
    """Yield a long text in chunks whose words, one after another, are the words of the text.

    The text is cut before a space that follows a visible character. There every word of the known
    patterns ends, whatever comes next, and none of them looks back. A text whose pattern is
    another one stays whole.
    """
    begin = 0
    while pattern in KNOWN_PATTERNS and len(text) - begin > CHUNK_CHARACTERS:
        found = _BETWEEN_WORDS.search(text, begin + CHUNK_CHARACTERS)
        if not found:
            break
        yield text[begin : found.start()]
        begin = found.start()
    yield text[begin:] if begin else text


def spans_of(text: str, pattern: regex.Pattern) -> list[tuple[int, int, bool]]:
    """Return the matches and the gaps between them as (begin, end, whether it is a match)."""
    spans: list[tuple[int, int, bool]] = []
    last = 0
    for match in pattern.finditer(as_known(text)):
        begin, end = match.span()
        if begin == end == last and spans:  # nothing, right after a match
            continue
        spans += [(last, begin, False)] if begin > last else []
        spans.append((begin, end, True))
        last = end
    return [*spans, (last, len(text), False)] if last < len(text) else spans


@dataclass(frozen=True)
class Split:
    """A step that cuts text by a pattern; `behavior` says what becomes of the matches."""

    pattern: str
    behavior: str = "Isolated"
    invert: bool = False  # the gaps are treated as matches, and the matches as gaps

    def __post_init__(self) -> None:
        if self.behavior not in BEHAVIORS:
            raise ValueError(
                f"behavior must be one of {', '.join(BEHAVIORS)}; got {self.behavior!r}. "
                "Use Isolated to keep matches and gaps as words."
            )

    def words(self, text: str, compiled: regex.Pattern) -> list[str]:
        """Return the words of the text."""
        if self.behavior == "Isolated":
            return pre_split(text, compiled)
        spans = [(b, e, is_match != self.invert) for b, e, is_match in spans_of(text, compiled)]
        if self.behavior == "Removed":
            spans = [span for span in spans if not span[2]]
        elif self.behavior == "Contiguous":
            spans = [_joined(list(group)) for _, group in groupby(spans, itemgetter(2))]
        elif self.behavior == "MergedWithPrevious":
            spans = _attached(spans)
        else:
            mirrored = [(-end, -begin, is_match) for begin, end, is_match in reversed(spans)]
            spans = [(-end, -begin, joined) for begin, end, joined in reversed(_attached(mirrored))]
        return [text[begin:end] for begin, end, _ in spans if end > begin]


BEHAVIORS = ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous")


def _joined(spans: Sequence[tuple[int, int, bool]]) -> tuple[int, int, bool]:
    return spans[0][0], spans[-1][1], spans[0][2]


def _attached(spans: Iterable[tuple[int, int, bool]]) -> list[tuple[int, int, bool]]:
    """Return the spans, each match joined to the gap before it; later matches in a row are not."""
    attached: list[tuple[int, int, bool]] = []
    after_match = False
    for begin, end, is_match in spans:
        if is_match and not after_match and attached:
            attached[-1] = attached[-1][0], end, True
        else:
            attached.append((begin, end, is_match))
        after_match = is_match
    return attached


class PreSplitter:
    """Cuts text into words by one pattern, or by several steps, one after the other."""

    def __init__(self, pattern: str | Sequence[Split]) -> None:
        steps = [Split(pattern)] if isinstance(pattern, str) else pattern
        self.steps = [(step, compile_pattern(step.pattern)) for step in steps]
        # After the first step the words are short, and most have been seen before.
        self._words = [WordCache(partial(step.words, compiled=each)) for step, each in self.steps]

    def __call__(self, text: str) -> list[str]:
        """Return the words of the text."""
        words = [text] if text else []
        for words_of in self._words:
            words = list(chain.from_iterable(map(words_of.__getitem__, words)))
        return words

    def stream(self, chunks: Iterable[str]) -> Iterator[str]:
        """Yield the words of the joined chunks, which other patterns than these must see whole."""
        if len(self.steps) == 1 and self.steps[0][0] in map(Split, KNOWN_PATTERNS):
            yield from stream_pre_split(chunks, self.steps[0][1])
        else:
            yield from self("".join(chunks))


def stream_pre_split(chunks: Iterable[str], pattern: regex.Pattern) -> Iterator[str]:
    """Yield the words of the joined chunks, holding only a few of them in memory.

    Where the text so far ends, the pattern cannot know what follows: " the" may become " there",
    and white space looks one character ahead. With the three patterns above at most the last two
    words can still change ("'" and "r" become "'re"), so two are held back until more text arrives.
    """
    waiting: list[str] = []
    size, needed = 0, STREAM_CHARACTERS
    for chunk in chunks:
        waiting.append(chunk)
        size += len(chunk)
        if size >= needed:
            *words, before_last, last = ["", "", *pre_split("".join(waiting), pattern)]
            yield from filter(None, words)
            waiting = [before_last + last]
            size = len(waiting[0])
            needed = max(STREAM_CHARACTERS, 2 * size)  # a word of any length is seen log times
    yield from pre_split("".join(waiting), pattern)
