"""One spelling for letters that Unicode can spell in two ways.

"é" is one code point, or an "e" followed by a combining accent. Both look the same and mean the
same, but their bytes differ, and so would their tokens. NFC composes what can be composed. Qwen's
tokenizer does this first, and pays with exact reversibility: what you decode is the composed text.

Letters that Unicode has added since `tokenizers` made its tables are left as they are, as there.

Taught in:        tokenization
Checked against:  `tokenizers.normalizers.NFC` and the other three
"""

import unicodedata
from collections.abc import Iterable, Iterator

from course_lib.tokenization.unicode_tables import LATER_IN_NORMAL_FORMS


def normalize(text: str, form: str | None) -> str:
    """Return the text in the Unicode normal form, or unchanged where `form` is None."""
    if form is None or text.isascii():
        return text
    parts = LATER_IN_NORMAL_FORMS.split(text)  # such letters, at odd places, join with no other
    parts[::2] = [unicodedata.normalize(form, part) for part in parts[::2]]  # type: ignore[arg-type]
    return "".join(parts)


def check_form(form: str | None) -> None:
    """Raise unless `form` names a Unicode normal form or is None."""
    if form not in (None, "NFC", "NFD", "NFKC", "NFKD"):
        raise ValueError(
            f"normalization must be NFC, NFD, NFKC, NFKD or None; got {form!r}. "
            "Use NFC for Qwen's tokenizer and None for GPT-2's."
        )


def stream_normalize(chunks: Iterable[str], form: str | None) -> Iterator[str]:
    """Yield the normalized text of the joined chunks.

    An accent may come at the start of the next chunk, so text is handed on only up to a character
    that never joins with what stands before it.
    """
    if form is None:
        yield from chunks
        return
    waiting: list[str] = []
    for chunk in chunks:
        cut = _last_start(chunk)
        waiting.append(chunk[:cut])
        if cut or _starts(chunk):
            yield normalize("".join(waiting), form)
            waiting = []
        waiting.append(chunk[cut:])
    yield normalize("".join(waiting), form)


def _last_start(text: str) -> int:
    """Return the last position at which the text may be cut in two, 0 if there is no other."""
    return next((i for i in range(len(text) - 1, 0, -1) if _starts(text[i])), 0)


def _starts(text: str) -> bool:
    """Say whether the first character never joins with the one before.

    Combining characters begin at U+0300; ideographs and Hangul syllables never combine backwards.
    """
    first = text[:1]
    return "" < first < "\u0300" or "\u3400" <= first <= "\u9fff" or "\uac00" <= first <= "\ud7a3"
