"""The one exercise of 00 start_here: small enough to be about the exercises themselves."""

import random
import unicodedata
from itertools import chain

from course_lib.chapters.start_here import bigram_tour as tour
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call

# One to four bytes each, the last and first of each length, and invisible characters.
_CHARACTERS = " \t\nAz09~\0\x7f\x80é\u00a0\u0301߿ࠀ中\u200b\ufeff\uffff𐀀🙂\U0010ffff"


def _any_text(rng: random.Random) -> Call:
    return call("".join(rng.choices(_CHARACTERS, k=rng.randrange(7))))


def _by_hand(text):
    """Write out the four ranges of UTF-8, so that nothing is shared with `str.encode`."""
    ids = []
    for point in map(ord, text):
        if point < 0x80:
            ids.append(point)
        elif point < 0x800:
            ids += [0xC0 | point >> 6, 0x80 | point & 0x3F]
        elif point < 0x10000:
            ids += [0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F]
        else:
            ids += [0xF0 | point >> 18, 0x80 | point >> 12 & 0x3F]
            ids += [0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F]
    return ids


def _composed(text):
    return list(unicodedata.normalize("NFC", text).encode("utf-8"))


TEXT_TO_IDS = Exercise(
    id="start_here.text_to_ids",
    title="Text becomes integers",
    minutes=2,
    difficulty=1,
    statement="Return the bytes of the text's UTF-8 form as a list of integers.",
    solution=tour.text_to_ids,
    reference=_by_hand,
    generator=_any_text,
    probes=(
        Probe("plain letters", lambda: call("Hi!"), "H, i and ! are one byte each: 72, 105, 33."),
        Probe("no text", lambda: call(""), "No characters, no bytes: an empty list."),
        Probe("an accent", lambda: call("é"), "é is one character and two bytes, 195 and 169."),
        Probe("Chinese", lambda: call("你好"), "These characters take three bytes each."),
        Probe("an emoji", lambda: call("a🙂"), "🙂 takes four bytes."),
        Probe("spaces at the ends", lambda: call(" a\n"), "Spaces and line breaks are bytes too."),
        Probe(
            "a combining accent",
            lambda: call("e\u0301"),
            "e and a combining accent are two characters: 1 and 2 bytes. Do not change the text.",
        ),
        Probe(
            "a line break of two characters",
            lambda: call("a\r\nb"),
            "A carriage return is a byte too.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one integer for each character",
            lambda text: [ord(each) for each in text],
            "ord gives the character's number in Unicode, which goes up to 1 114 111. Bytes end "
            'at 255, and one character may need several: text.encode("utf-8").',
        ),
        Misconception(
            "characters that are not ASCII dropped",
            lambda text: list(text.encode("ascii", errors="ignore")),
            "Everything outside ASCII is lost. UTF-8 has bytes for every character.",
        ),
        Misconception(
            "bytes, not a list",
            lambda text: text.encode("utf-8"),
            "The bytes are right. Convert them to a list of integers: list(...).",
        ),
        Misconception(
            "a different encoding",
            lambda text: list(text.encode("utf-16-le")),
            "UTF-16 spends at least two bytes on each character. Models are trained on UTF-8.",
        ),
        Misconception(
            "spaces at the ends stripped",
            lambda text: list(text.strip().encode("utf-8")),
            "A space or a line break at the beginning or the end is part of the text. Encode the "
            "text as it is, without strip().",
        ),
        Misconception(
            "a list for each character",
            lambda text: [list(each.encode("utf-8")) for each in text],
            "You return one list for each character. The bytes of all characters belong in one "
            "list: encode the whole text at once.",
        ),
        Misconception(
            "a byte order mark in front",
            lambda text: list(text.encode("utf-8-sig")),
            "utf-8-sig writes three bytes in front, 239, 187 and 191, the byte order mark. "
            'Use "utf-8", which writes the text alone.',
        ),
        Misconception(
            "UTF-16 with a byte order mark",
            lambda text: list(text.encode("utf-16")),
            "UTF-16 spends at least two bytes on each character, and starts with two more, the "
            "byte order mark. Models are trained on UTF-8.",
        ),
        Misconception(
            "question marks for what Latin-1 lacks",
            lambda text: list(text.encode("latin-1", errors="replace")),
            "Latin-1 has 256 characters, and all others become question marks. UTF-8 has "
            "bytes for every character.",
        ),
        Misconception(
            "question marks for what ASCII lacks",
            lambda text: list(text.encode("ascii", errors="replace")),
            "ASCII has 128 characters, and all others become question marks. UTF-8 has bytes "
            "for every character.",
        ),
        Misconception(
            "accents composed first",
            _composed,
            "You join a letter and its accent into one character. Decoding the ids must give back "
            "the same text: encode it unchanged.",
        ),
    ),
    alternatives=(
        Alternative("by the constructor", lambda text: list(bytes(text, "utf-8"))),
        Alternative("bit by bit", _by_hand),
        Alternative(
            "one character at a time",
            lambda text: list(chain.from_iterable(each.encode() for each in text)),
        ),
        Alternative("as in the hints", lambda text: [*text.encode("utf-8")]),
    ),
    hints=(
        'A string has a method for it: try "Hi!".encode("utf-8") in a new cell.',
        "A bytes object is a sequence of integers; list() makes a list of it.",
    ),
)

EXERCISES = (TEXT_TO_IDS,)
