"""The exercise on WordPiece: greedy longest match, all or nothing."""

from course_lib.chapters.tokenization.exercises.generators import word_and_vocabulary
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import wordpiece

_PIECES = ["un", "u", "##want", "##ed", "##e", "##d", "##w", "want", "ed", "e", "##a", "##an"]
_TRAP = ["in", "int", "##to", "##o", "##t", "i", "##n"]  # "inta": int, then no way on


def _prefixed(text, start):
    return text if start == 0 else "##" + text


def _by_removal(word, vocabulary, unknown="[UNK]"):
    """Cut letters off the end until a piece is left that the vocabulary knows."""
    rest, pieces = word, []
    while rest:
        piece = rest
        while piece and _prefixed(piece, len(pieces)) not in vocabulary:
            piece = piece[:-1]
        if not piece:
            return [unknown]
        pieces.append(_prefixed(piece, len(pieces)))
        rest = rest[len(piece) :]
    return pieces


def _greedy(word, vocabulary, unknown, ends=None, prefix="##", stuck=None):
    """Walk through the word; `ends` orders the candidates, `stuck` says what to do without one."""
    pieces, start = [], 0
    while start < len(word):
        mark = prefix if start else ""
        found = [
            end
            for end in (ends or _longest_first)(start, len(word))
            if mark + word[start:end] in vocabulary
        ]
        if found:
            pieces.append(mark + word[start : found[0]])
            start = found[0]
        elif stuck is None:
            return [unknown]
        else:
            more, start = stuck(word, start)
            pieces += more
    return pieces


def _longest_first(start, length):
    return range(length, start, -1)


def _shortest_first(start, length):
    return range(start + 1, length + 1)


def _unmarked(word, vocabulary, unknown="[UNK]"):
    return _greedy(word, [piece.removeprefix("##") for piece in vocabulary], unknown, prefix="")


def _marks_dropped(word, vocabulary, unknown="[UNK]"):
    return [piece.removeprefix("##") for piece in _by_removal(word, vocabulary, unknown)]


def _never_marked(word, vocabulary, unknown="[UNK]"):
    return _greedy(word, vocabulary, unknown, prefix="")


def _part_unknown(word, vocabulary, unknown="[UNK]"):
    return _greedy(word, vocabulary, unknown, stuck=lambda text, start: ([unknown], len(text)))


def _character_skipped(word, vocabulary, unknown="[UNK]"):
    return _greedy(word, vocabulary, unknown, stuck=lambda text, start: ([], start + 1))


def _character_unknown(word, vocabulary, unknown="[UNK]"):
    return _greedy(word, vocabulary, unknown, stuck=lambda text, start: ([unknown], start + 1))


def _unmarked_if_need_be(word, vocabulary, unknown="[UNK]"):
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            names = [_prefixed(word[start:end], start), word[start:end]]
            known = [name for name in names if name in vocabulary]
            if known:
                pieces.append(known[0])
                start = end
                break
        else:
            return [unknown]
    return pieces


def _as_hinted(word, vocabulary, unknown="[UNK]"):
    pieces, start = [], 0
    while start < len(word):
        end = len(word)
        while end > start and ("##" if start > 0 else "") + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return [unknown]
        pieces.append(("##" if start > 0 else "") + word[start:end])
        start = end
    return pieces


def _by_recursion(word, vocabulary, unknown="[UNK]", mark=""):
    if not word:
        return []
    fits = [p for p in vocabulary if p.startswith(mark) and word.startswith(p[len(mark) :])]
    fits = [p for p in fits if len(p) > len(mark)]
    if not fits:
        return [unknown]
    piece = max(fits, key=len)
    rest = _by_recursion(word[len(piece) - len(mark) :], vocabulary, unknown, "##")
    return [unknown] if unknown in rest else [piece, *rest]


def _with_second_thoughts(word, vocabulary, unknown="[UNK]"):
    def ways(start):
        if start == len(word):
            return []
        for end in range(len(word), start, -1):
            piece = _prefixed(word[start:end], start)
            rest = ways(end) if piece in vocabulary else None
            if rest is not None:
                return [piece, *rest]
        return None

    found = ways(0)
    return [unknown] if found is None else found


WORDPIECE = Exercise(
    id="tokenization.wordpiece",
    title="WordPiece: greedy longest match",
    minutes=10,
    difficulty=2,
    statement=(
        "Take the longest piece in `vocabulary` that begins the word, then the longest that "
        "continues it, written with `##` in front, and so on to the end. If no piece fits at some "
        "point, the answer for the whole word is `[unknown]`, a list of one. Return a list of "
        "pieces."
    ),
    solution=wordpiece.wordpiece_encode,
    reference=_by_removal,
    generator=word_and_vocabulary,
    probes=(
        Probe("one piece", lambda: call("want", _PIECES), "The whole word is in the vocabulary."),
        Probe("three pieces", lambda: call("unwanted", _PIECES), "un, then ##want, then ##ed."),
        Probe(
            "a piece of twelve letters",
            lambda: call(
                "unconventionally", ["un", "##convent", "##ional", "##conventional", "##ly"]
            ),
            "##conventional is the longest that fits: a piece may be as long as the word.",
        ),
        Probe(
            "continued only",
            lambda: call("wanted", _PIECES),
            "A piece inside the word needs its ##: both `ed` and `##ed` are there.",
        ),
        Probe(
            "known without its mark only",
            lambda: call("unwant", ["un", "want", "##ed"]),
            "After un only ##want would do, and there is none: the word is unknown.",
        ),
        Probe(
            "greedy runs into a wall",
            lambda: call("into", _TRAP),
            "int is the longest start, and then ##o fits. in + ##to is never considered.",
        ),
        Probe(
            "no backtracking",
            lambda: call("intto", ["in", "int", "##tto", "##x"]),
            "int is the longest start, and nothing continues from there: the word is unknown, "
            "although in + ##tto would spell it.",
        ),
        Probe(
            "an unknown end",
            lambda: call("unwanted☃", _PIECES),
            "One character that no piece holds makes the whole word unknown.",
        ),
        Probe(
            "a piece that may only continue",
            lambda: call("anun", [*_PIECES, "##un"]),
            "There is `##an`, but nothing that may begin with a: the word is unknown.",
        ),
        Probe(
            "a different name",
            lambda: call("☃", _PIECES, unknown="<unk>"),
            "`unknown` gives the name.",
        ),
        Probe(
            "a capital letter",
            lambda: call("Unwanted", ["un", "##wanted", "U", "##nwanted"]),
            "U and u are different letters. Whether a text is lowercased is decided before.",
        ),
        Probe(
            "a combining accent",
            lambda: call("e\u0301a", ["\u00e9", "e", "##\u0301a"]),
            "e and its combining accent are two characters. Do not change the word first.",
        ),
    ),
    misconceptions=(
        Misconception(
            "shortest match",
            lambda word, vocabulary, unknown="[UNK]": _greedy(
                word, vocabulary, unknown, _shortest_first
            ),
            "You take the first piece that fits, starting with one letter. Start with the whole "
            "rest of the word and make it shorter.",
        ),
        Misconception(
            "what fits, with or without ##",
            _unmarked,
            "You compare letters only. A piece with ## may only continue a word, one without may "
            "only begin it: they are different tokens with different ids.",
        ),
        Misconception(
            "`##` never added",
            _never_marked,
            "Inside the word you look for pieces without `##`. From the second piece on, put `##` "
            "in front before you look it up.",
        ),
        Misconception(
            "without ## where there is none with it",
            _unmarked_if_need_be,
            "Inside the word you fall back on a piece without ##. Such a piece may only begin a "
            "word: if none with ## fits, the word is unknown.",
        ),
        Misconception(
            "`##` removed",
            _marks_dropped,
            "You found the right pieces and returned them without `##`. The mark is part of the "
            "name under which the id is found.",
        ),
        Misconception(
            "only the rest unknown",
            _part_unknown,
            "You keep the pieces found so far and mark the rest. WordPiece gives up the whole "
            "word: the answer is one unknown token and nothing else.",
        ),
        Misconception(
            "unknown characters skipped",
            _character_skipped,
            "You drop characters that no piece holds. Text would be lost silently.",
        ),
        Misconception(
            "each unknown character marked",
            _character_unknown,
            "You go on after a character that no piece holds. The whole word becomes one unknown.",
        ),
        Misconception(
            "the word lowercased",
            lambda word, vocabulary, unknown="[UNK]": _by_removal(
                word.lower(), vocabulary, unknown
            ),
            "You lowercase the word. Some of BERT's tokenizers do so before they cut a text into "
            "words; this step takes the word as it is.",
        ),
        Misconception(
            "backtracking",
            _with_second_thoughts,
            "When you are stuck you go back and try a shorter piece. WordPiece never does: where "
            "the greedy choice fails, the word is unknown.",
        ),
    ),
    alternatives=(
        Alternative("letters cut off the end", _by_removal),
        Alternative("as in the hints", _as_hinted),
        Alternative("by recursion, from the list of pieces", _by_recursion),
    ),
    hints=(
        "Two loops: `start` moves through the word; for each start, `end` comes down from "
        "len(word).",
        'The name to look up is word[start:end], with "##" in front of it if start > 0.',
        "If no end works, return [unknown] at once. Else append the piece and let start = end.",
    ),
)
