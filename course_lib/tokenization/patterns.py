"""Pre-splitting: cut text into words, so that no token ever crosses from one word into the next.

Without it, BPE would learn tokens such as "of the" or "dog." and spend its vocabulary on accidents
of punctuation. Each pattern is a list of alternatives, tried from left to right: contractions,
letters with the character before them, digits, other visible characters, white space. The patterns
differ in how many digits they keep together (GPT-2 all, GPT-4 three, Qwen one) and in what may
stand in front of letters (GPT-2 a space, the others any one character).

    "it's 2024!"   GPT-2  it 's ␣2024 !      GPT-4  it 's ␣ 202 4 !      Qwen  it 's ␣ 2 0 2 4 !

Taught in:        tokenization
Paper:            Radford et al. 2019 (GPT-2), section 2.2
Checked against:  `tokenizers.pre_tokenizers.Split`, `tiktoken`
"""

from collections.abc import Iterable, Iterator

import regex

GPT2_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_PATTERN = GPT4_PATTERN.replace(r"\p{N}{1,3}", r"\p{N}")

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
    words = pattern.findall(text) if not pattern.groups else []
    if sum(map(len, words)) == len(text):
        return [word for word in words if word] if "" in words else words
    words, end = [], 0
    for match in pattern.finditer(text):
        words += [text[end : match.start()], match.group()]
        end = match.end()
    return [word for word in [*words, text[end:]] if word]


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
