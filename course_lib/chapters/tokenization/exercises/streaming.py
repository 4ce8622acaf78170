"""The exercise on decoding while a model writes: show characters once they are complete."""

import codecs

from course_lib.chapters.tokenization import answers
from course_lib.chapters.tokenization.exercises.generators import streamed_tokens
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

# All beginnings of characters that need more bytes: 64 neighbouring code points share them.
_POINTS = [p for p in range(0x80, 0x110000, 64) if not 0xD800 <= p < 0xE000]
_UNFINISHED = {
    encoded[:size] for encoded in (chr(p).encode() for p in _POINTS) for size in range(1, 4)
} - {chr(p).encode() for p in _POINTS}


def _held(data):
    """Return how many bytes at the end belong to a character that is not complete yet."""
    return next((n for n in (3, 2, 1) if n <= len(data) and data[-n:] in _UNFINISHED), 0)


def _from_the_start(tokens):
    """Decode everything so far after each token, and show what was not shown before."""
    data, text, shown = b"", "", []
    for token in tokens:
        data += token
        complete = data[: len(data) - _held(data)].decode("utf-8", "replace")
        shown.append(complete[len(text) :])
        text = complete
    return [*shown, data.decode("utf-8", "replace")[len(text) :]]


def _by_the_error(tokens):
    """Decode strictly; the error says whether bytes are wrong or only missing."""
    shown, held = [], b""
    for token in tokens:
        held, text = held + token, ""
        while held:
            try:
                text, held = text + held.decode("utf-8"), b""
            except UnicodeDecodeError as error:
                text, held = text + held[: error.start].decode("utf-8"), held[error.start :]
                if error.reason == "unexpected end of data":
                    break
                text, held = text + "\ufffd", held[error.end - error.start :]
        shown.append(text)
    return [*shown, held.decode("utf-8", "replace")]


def _as_hinted(tokens):
    held, shown = b"", []
    for token in tokens:
        held += token
        keep = _held(held)
        shown.append(held[: len(held) - keep].decode("utf-8", errors="replace"))
        held = held[len(held) - keep :]
    shown.append(held.decode("utf-8", errors="replace"))
    return shown


def _by_a_stateful_decoder(tokens):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return [decoder.decode(token, final=False) for token in tokens] + [decoder.decode(b"", True)]


def _each_alone(tokens):
    return [*(token.decode("utf-8", "replace") for token in tokens), ""]


def _all_at_the_end(tokens):
    return ["" for _ in tokens] + [b"".join(tokens).decode("utf-8", "replace")]


def _rest_dropped(tokens):
    return [*_from_the_start(tokens)[:-1], ""]


def _without_the_rest(tokens):
    return _from_the_start(tokens)[:-1]


def _text_so_far(tokens):
    shown = _from_the_start(tokens)
    return ["".join(shown[: place + 1]) for place in range(len(shown))]


def _waits_for_any_mark(tokens):
    """Hold everything back while the text ends with the replacement character."""
    held, shown = b"", []
    for token in tokens:
        held += token
        text = held.decode("utf-8", "replace")
        shown.append("" if text.endswith("\ufffd") else text)
        held = held if text.endswith("\ufffd") else b""
    return [*shown, held.decode("utf-8", "replace")]


def _broken_ignored(tokens):
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    return [*(decoder.decode(token) for token in tokens), decoder.decode(b"", final=True)]


def _whole_tokens_held(tokens):
    """Show a token only once the bytes held so far end with a complete character."""
    held, shown = b"", []
    for token in tokens:
        held += token
        shown.append("" if _held(held) else held.decode("utf-8", "replace"))
        held = held if _held(held) else b""
    return [*shown, held.decode("utf-8", "replace")]


_EMOJI = "🧩".encode()

STREAM_DECODE = Exercise(
    id="tokenization.stream_decode",
    title="Decoding while the model writes",
    minutes=15,
    difficulty=3,
    statement=(
        "`tokens` is a list of bytes, one entry for each token that a model produced, in order. "
        "Return a list of strings, one longer than `tokens`. String i is the new text that a chat "
        "window can show once token i has arrived: every character that is complete by then and "
        "was not shown before. The bytes of a character that later bytes may still complete are "
        "held back. Bytes that can no longer become a character are shown as � at once, as "
        'decode("utf-8", errors="replace") does. The last string is the rest: "", or � if the '
        "text ends within a character."
    ),
    solution=answers.stream_decode,
    reference=_from_the_start,
    generator=streamed_tokens,
    probes=(
        Probe("plain text", lambda: call([b"The", b" cat"]), "Each token is shown at once."),
        Probe(
            "a character in two tokens",
            lambda: call([b"a", _EMOJI[:2], _EMOJI[2:], b"!"]),
            "After the first half there is nothing new to show; after the second, the emoji.",
        ),
        Probe(
            "a byte at a time",
            lambda: call([bytes([byte]) for byte in "é字🧩".encode()]),
            "Characters of two, three and four bytes each appear with their last byte.",
        ),
        Probe(
            "letters before an unfinished character",
            lambda: call([b"ab" + _EMOJI[:1], _EMOJI[1:] + b"c"]),
            "The complete letters are shown at once; only the first byte of the emoji is held.",
        ),
        Probe(
            "cut off at the end",
            lambda: call([b"a", _EMOJI[:3]]),
            "The model stopped within a character: the last string is �.",
        ),
        Probe(
            "a byte that belongs to no character",
            lambda: call([b"a", b"\xff", b"b"]),
            "No later byte can complete 0xFF, so � is shown at once.",
        ),
        Probe(
            "a character that is never completed",
            lambda: call([_EMOJI[:2], b"x", b"y"]),
            "x cannot continue the emoji: show � and x together.",
        ),
        Probe(
            "a real replacement character",
            lambda: call(["\ufffd".encode(), b"!"]),
            "� is a character too, with three bytes of its own. It is complete: show it.",
        ),
        Probe("no tokens", lambda: call([]), "One empty string, the rest."),
    ),
    misconceptions=(
        Misconception(
            "each token decoded alone",
            _each_alone,
            "A token may end within a character. Keep the bytes of the unfinished character and "
            "put them before those of the next token.",
        ),
        Misconception(
            "nothing shown before the end",
            _all_at_the_end,
            "You decode everything at the end. The text is right, but the user waits for all of "
            "it: show what is complete after each token.",
        ),
        Misconception(
            "the rest dropped",
            _rest_dropped,
            "When the text ends within a character, the bytes that you hold back are lost. The "
            "last string shows them as �.",
        ),
        Misconception(
            "no string for the rest",
            _without_the_rest,
            "The list has one string for each token and one more, for what is held back at the "
            "end. It is usually empty.",
        ),
        Misconception(
            "all of the text each time",
            _text_so_far,
            "You return the whole text so far after each token. Return only what is new, or the "
            "window would show everything again and again.",
        ),
        Misconception(
            "waits whenever the text ends with �",
            _waits_for_any_mark,
            "You take a � at the end as a sign that bytes are missing, and hold everything back. "
            "It may be a broken byte that nothing can complete, or a real �; and letters before "
            "it are complete.",
        ),
        Misconception(
            "whole tokens held back",
            _whole_tokens_held,
            "When a token ends within a character you hold the whole token back. Hold back only "
            "the bytes of that character; the ones before it are complete.",
        ),
        Misconception(
            "broken bytes left out",
            _broken_ignored,
            'You drop bytes that form no character. errors="replace" shows � in their place, so '
            "that nobody takes the text for complete.",
        ),
    ),
    alternatives=(
        Alternative("everything so far, each time", _from_the_start),
        Alternative("guided by the error", _by_the_error),
        Alternative("as in the hints", _as_hinted),
        Alternative("a decoder that keeps its state", _by_a_stateful_decoder),
    ),
    hints=(
        "Keep a variable for the bytes that wait: add each token to it, decode the part that is "
        "complete, keep the rest. At most three bytes ever wait.",
        "Which bytes wait? The first byte of a character says how many follow: 0xC2 to 0xDF one, "
        "0xE0 to 0xEF two, 0xF0 to 0xF4 three. Python can also tell you: a strict decode raises "
        'UnicodeDecodeError, whose .reason is "unexpected end of data" if bytes are missing.',
        'Python has a decoder that does all of it: codecs.getincrementaldecoder("utf-8")'
        '(errors="replace"), with .decode(token) for each token and .decode(b"", final=True).',
    ),
)
