"""Special tokens: integers that mean something other than text.

A model must see where a document ends or whose turn it is. Such marks have ids that no text
can produce. Two rules keep them apart from text. Where two names begin at the same place the
longer one counts, or `<|im_start|>user` could never win against `<|im_start|>`. And text that
merely spells the name of a special token is text, unless the caller says otherwise: a
server that turns `<|im_end|>` in a user's message into the special token lets the user write the
system prompt.

    "a<|b|>c"  with "<|b|>" allowed   a · <|b|> · c         (the middle is one id)
    "a<|b|>c"  with nothing allowed   a<|b|>c               (ordinary characters)

Some tokenizers let a special token take the white space beside it too: `<mask>` of RoBERTa and
XLM-R on its left, the roles of Phi-3 on their right.

Taught in:        tokenization
Checked against:  `tokenizers` added tokens, `tiktoken`'s `allowed_special`
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sized
from functools import lru_cache
from typing import Any, NamedTuple

from course_lib.tokenization.unicode_tables import WHITE_SPACE


class Reach(NamedTuple):
    """On which sides a special token takes the white space beside it."""

    left: bool = False
    right: bool = False


def check_special(names: Iterable[str], kind: str = "special token") -> None:
    """Raise if a special token, or another kind of name, is empty or listed twice."""
    counts = Counter(iter(names))  # a mapping is its names here
    if "" in counts:
        raise ValueError(f"a {kind} needs at least one character; got ''. Remove it from the list.")
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"each {kind} may be listed once, since it has one id; got {twice[0]!r} "
            f"{counts[twice[0]]} times. Remove the repetition."
        )


def check_own_ids(tokens: Sized, vocabulary: Mapping[Any, int], special: Mapping[Any, int]) -> None:
    """Raise if two tokens share an id; `tokens` are all of them by their ids."""
    if len(tokens) == len(vocabulary) + len(special):
        return
    named = {**vocabulary, **special}
    counts = Counter(named.values())
    if shared := [token for token, i in named.items() if counts[i] > 1]:
        first, second = [token for token in shared if named[token] == named[shared[0]]][:2]
        raise ValueError(
            f"each token must have an id of its own; got id {named[first]} for both {first!r} and "
            f"{second!r}. Renumber one of them."
        )


def utf8_bytes(text: str) -> bytes:
    """Return the text in UTF-8; a lone surrogate, which it cannot spell, raises an error."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 20) : error.start + 20]
        raise ValueError(
            f"text must consist of characters that UTF-8 can spell; got a lone surrogate in "
            f"{around!r}. Decode the file with errors='replace', or use encode_bytes of ByteBPE."
        ) from None


def choose_allowed(special: Mapping[str, int], allowed: Collection[str] | str) -> list[str]:
    """Return the names that may turn into special tokens; "all" allows every one."""
    if allowed == "all":
        return list(special)
    names = [allowed] if isinstance(allowed, str) else list(allowed)
    if unknown := [name for name in names if name not in special]:
        raise ValueError(
            f"allowed_special may name special tokens of this tokenizer only; got {unknown[0]!r}. "
            f"Choose from {sorted(special)}, or pass 'all'."
        )
    return names


def split_on_special(text: str, special: Collection[str]) -> list[tuple[str, bool]]:
    """Return the parts of the text in order, each with whether it is a special token.

    Names are found from left to right; where several begin at one place the longest wins.
    """
    parts, end = [], 0
    for match in _finder(tuple(special)).finditer(text) if special else ():
        parts += [(text[end : match.start()], False), (match.group(), True)]
        end = match.end()
    parts.append((text[end:], False))
    return [(part, is_special) for part, is_special in parts if part]


def encode_with_special(
    text: str,
    special: Mapping[str, int],
    allowed: Collection[str] | str,
    encode_ordinary: Callable[[str], list[int]],
    encode_after_special: Callable[[str], list[int]] | None = None,
    reaches: Mapping[str, Reach] | None = None,
) -> list[int]:
    """Return the ids of the text, where allowed special tokens stand for themselves.

    Text after a special token is encoded as text at the start, or by a function of its own.
    """
    ids: list[int] = []
    parts = split_on_special(text, choose_allowed(special, allowed))
    if reaches:
        parts = _joined(without_reached(parts, reaches))
    for number, (part, is_special) in enumerate(parts):
        encode = encode_after_special if number and encode_after_special else encode_ordinary
        ids += [special[part]] if is_special else encode(part)
    return ids


def without_reached(
    parts: Iterable[tuple[str, bool]], reaches: Mapping[str, Reach]
) -> Iterator[tuple[str, bool]]:
    """Yield the parts without the white space that special tokens take; text may come in pieces."""
    held, taking = "", False  # white space before the next part; whether a token takes what follows
    for part, is_special in parts:
        if not is_special:
            text = held + (part.lstrip(WHITE_SPACE) if taking else part)
            kept = text.rstrip(WHITE_SPACE)
            held, taking = text[len(kept) :], taking and not text
            if kept:
                yield kept, False
            continue
        left, right = reaches.get(part, Reach())
        if held and not left:
            yield held, False
        yield part, True
        held, taking = "", right
    if held:
        yield held, False


def _joined(parts: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Return the parts with adjacent pieces of text as one."""
    found: list[tuple[str, bool]] = []
    for part, is_special in parts:
        if found and not is_special and not found[-1][1]:
            part = found.pop()[0] + part
        found.append((part, is_special))
    return found


def stream_split(chunks: Iterable[str], special: Collection[str]) -> Iterator[tuple[str, bool]]:
    """Yield the parts of the joined chunks; a long stretch of text comes in several parts."""
    longest = max(map(len, special), default=1)
    buffer = ""
    for chunk in chunks:
        buffer += chunk
        safe = len(buffer) - longest + 1  # a name that begins before here is complete
        end = 0
        for match in _finder(tuple(special)).finditer(buffer) if special else ():
            if match.start() >= safe:
                break
            yield from ((buffer[end : match.start()], False), (match.group(), True))
            end = match.end()
        yield buffer[end : max(end, safe)], False
        buffer = buffer[max(end, safe) :]
    yield from split_on_special(buffer, special)


@lru_cache(64)  # a short text is split in less time than hundreds of names are sorted
def _finder(special: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))))
