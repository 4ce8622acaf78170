"""Bytes written as characters, as byte-level tokenizers write them into JSON.

JSON holds text, and a token may be any bytes. So each byte is written as a character: itself where
it prints, else one from U+0100 upwards. That is why a space shows as `Ġ` in such files.

    b" the"  ↔  "Ġthe"

Taught in:        tokenization
Checked against:  `transformers`' `bytes_to_unicode`
"""

import codecs
from collections.abc import Collection
from itertools import accumulate, pairwise

from course_lib.tokenization.bpe_training import BYTE_IDS

_FIRST_UNPRINTABLE = 188  # from this place in GPT2_BYTE_ORDER on, bytes borrow a character
BYTE_CHARACTERS = {
    byte: chr(byte) if place < _FIRST_UNPRINTABLE else chr(256 + place - _FIRST_UNPRINTABLE)
    for byte, place in BYTE_IDS.items()
}
_TABLE = codecs.charmap_build("".join(BYTE_CHARACTERS[byte] for byte in range(256)))


def bytes_to_characters(token: bytes) -> str:
    """Return the token as `tokenizer.json` writes it."""
    return "".join(BYTE_CHARACTERS[byte] for byte in token)


def characters_to_bytes(written: str) -> bytes:
    """Return the bytes of a token that `tokenizer.json` writes as these characters."""
    try:
        return codecs.charmap_encode(written, "strict", _TABLE)[0]
    except UnicodeEncodeError:
        known = BYTE_CHARACTERS.values()
        strange = next(character for character in written if character not in known)
        raise ValueError(
            "a byte-level token in a tokenizer's file must be written in the byte alphabet, one "
            f"character for each byte; got {strange!r} in {written!r:.80}, which stands for no "
            "byte. Is the vocabulary that of a SentencePiece model?"
        ) from None


def many_to_bytes(written: Collection[str]) -> list[bytes]:
    """Return the bytes of many tokens; all their characters are looked up at once."""
    import numpy as np  # a tokenizer without a large file can do without

    table = np.full(1 + max(map(ord, BYTE_CHARACTERS.values())) + 1, -1, np.int16)
    for byte, character in BYTE_CHARACTERS.items():
        table[ord(character)] = byte
    codes = np.frombuffer("".join(written).encode("utf-32-le", "surrogatepass"), np.uint32)
    found = table[np.minimum(codes, len(table) - 1)]
    if (found < 0).any():
        return list(map(characters_to_bytes, written))  # raises
    spelled = found.astype(np.uint8).tobytes()
    return [spelled[begin:end] for begin, end in pairwise(accumulate(map(len, written), initial=0))]
