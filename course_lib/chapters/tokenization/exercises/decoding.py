"""The exercise on decoding: any ids, any bytes."""

import codecs

from course_lib.chapters.tokenization.exercises.generators import ids_and_tokens
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import byte_bpe

_SPLIT_GLYPHS = {
    0: b"a",
    1: b" b",
    2: b"\xe4\xb8",
    3: b"\xad",
    4: b"\xf0\x9f",
    5: b"\xa7\xa9",
    6: b"c",
}


def _by_a_decoder(ids, tokens):
    reader = codecs.getincrementaldecoder("utf-8")(errors="replace")
    return "".join([*(reader.decode(tokens[i]) for i in ids), reader.decode(b"", final=True)])


def _strict_first(ids, tokens):
    try:
        return _joined(ids, tokens).decode("utf-8")
    except UnicodeDecodeError:
        return "".join(tokens[i].decode("utf-8", "replace") for i in ids)


def _by_adding_up(ids, tokens):
    data = bytearray()
    for i in ids:
        data += tokens[i]
    return codecs.decode(bytes(data), "utf-8", "replace")


def _joined(ids, tokens):
    return b"".join(tokens[i] for i in ids)


DECODE = Exercise(
    id="tokenization.decode",
    title="Decoding any sequence of tokens",
    minutes=5,
    difficulty=2,
    statement=(
        "`tokens` is a dict from an id to the bytes of its token, and contains every id in `ids`. "
        "Return the text of `ids`, a str. Their bytes may not be valid UTF-8, even when joined: "
        "never raise an error, but let invalid bytes become the replacement character �."
    ),
    solution=byte_bpe.decode,
    reference=_by_a_decoder,
    generator=ids_and_tokens,
    probes=(
        Probe(
            "plain letters",
            lambda: call([0, 1, 6], _SPLIT_GLYPHS),
            "Spaces are part of the tokens.",
        ),
        Probe(
            "one character in two tokens",
            lambda: call([0, 2, 3, 6], _SPLIT_GLYPHS),
            "Two bytes of 中 are in one token and the third is in the next.",
        ),
        Probe(
            "an emoji in two tokens",
            lambda: call([4, 5], _SPLIT_GLYPHS),
            "🧩 has four bytes, two in each token.",
        ),
        Probe(
            "a character that is cut off",
            lambda: call([0, 4], _SPLIT_GLYPHS),
            "A model may stop in the middle of a character. Show that something is missing.",
        ),
        Probe(
            "the second half alone",
            lambda: call([0, 5, 6], _SPLIT_GLYPHS),
            "Bytes that continue a character which never began: one � for each.",
        ),
        Probe(
            "a whole character and half of one",
            lambda: call([2, 3, 1, 4], _SPLIT_GLYPHS),
            "中 is complete over two tokens; only the end is broken.",
        ),
        Probe("nothing", lambda: call([], _SPLIT_GLYPHS), "No ids, no text."),
        Probe(
            "a byte order mark",
            lambda: call([0, 1], {0: b"\xef\xbb\xbf", 1: b"a"}),
            "The character U+FEFF at the beginning is a character like any other.",
        ),
        Probe(
            "an accent in its own token",
            lambda: call([0, 1, 2], {0: b"e", 1: "\u0301".encode(), 2: b"\r\n"}),
            "e and a combining accent are two characters and stay two; so do the carriage return "
            "and the line feed.",
        ),
    ),
    misconceptions=(
        Misconception(
            "each token decoded alone",
            lambda ids, tokens: "".join(tokens[i].decode("utf-8", "replace") for i in ids),
            "A token may hold half a character, and half a character is not UTF-8. Join the bytes "
            "of all tokens first, then decode once.",
        ),
        Misconception(
            "each token alone where something is broken",
            _strict_first,
            "When the whole is not UTF-8 you decode token by token, and then characters that are "
            "complete over two tokens break as well. Decode the whole once, with errors replaced.",
        ),
        Misconception(
            "each token decoded alone, and an error",
            lambda ids, tokens: "".join(tokens[i].decode("utf-8") for i in ids),
            "A token may hold half a character, on which decode raises. Join the bytes of all "
            "tokens first, decode once, and let errors be replaced.",
        ),
        Misconception(
            "an error for broken bytes",
            lambda ids, tokens: _joined(ids, tokens).decode("utf-8"),
            "Without `errors` Python raises UnicodeDecodeError. A model can produce tokens in any "
            'order, so decoding must survive invalid bytes: errors="replace".',
        ),
        Misconception(
            "broken bytes left out",
            lambda ids, tokens: _joined(ids, tokens).decode("utf-8", "ignore"),
            'errors="ignore" silently drops what it cannot read, and text that was wrong looks '
            'right. "replace" leaves a visible mark.',
        ),
        Misconception(
            "one byte, one character",
            lambda ids, tokens: _joined(ids, tokens).decode("latin-1"),
            "Latin-1 reads each byte as a character of its own. The bytes are UTF-8, in which most "
            "characters have two to four bytes.",
        ),
        Misconception(
            "the byte order mark dropped",
            lambda ids, tokens: _joined(ids, tokens).decode("utf-8-sig", "replace"),
            "The codec utf-8-sig drops U+FEFF at the beginning, so encoding and decoding would not "
            'give the same text. Use "utf-8".',
        ),
        Misconception(
            "spaces between tokens",
            lambda ids, tokens: b" ".join(tokens[i] for i in ids).decode("utf-8", "replace"),
            "The spaces of the text are inside the tokens already. Join with nothing in between.",
        ),
        Misconception(
            "still bytes",
            _joined,
            "You return bytes. The text of bytes is bytes.decode(...).",
        ),
    ),
    alternatives=(
        Alternative("by str", lambda ids, tokens: str(_joined(ids, tokens), "utf-8", "replace")),
        Alternative("token by token, by a decoder that waits", _by_a_decoder),
        Alternative("with +=", _by_adding_up),
    ),
    hints=(
        'b"".join(...) joins bytes as "".join(...) joins strings.',
        "First join all bytes, then decode once: a character may be spread over tokens.",
        'bytes.decode("utf-8", errors="replace").',
    ),
)
