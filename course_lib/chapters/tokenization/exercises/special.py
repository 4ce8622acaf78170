"""The exercise on special tokens: finding them in a text."""

import re

from course_lib.chapters.tokenization.exercises.generators import text_with_names
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.tokenization import special

_NAMES = ["<|end|>", "<|start|>", "<|start|>user"]


def _letter_by_letter(text, special):
    parts, plain, place = [], "", 0
    while place < len(text):
        here = [name for name in special if text.startswith(name, place)]
        if not here:
            plain += text[place]
            place += 1
            continue
        name = max(here, key=len)
        parts += [(plain, False)] if plain else []
        parts.append((name, True))
        plain = ""
        place += len(name)
    return parts + ([(plain, False)] if plain else [])


def _found(text, names, escape=re.escape):
    """Return the parts that an alternation of the names finds, the empty ones among them."""
    if not names:
        return [(text, False)]
    pieces = re.split("(" + "|".join(map(escape, names)) + ")", text)
    return [(piece or "", place % 2 == 1) for place, piece in enumerate(pieces)]


def _filled(parts):
    return [(part, is_special) for part, is_special in parts if part]


def _longest(names):
    return sorted(names, key=len, reverse=True)


def _name_after_name(text, special):
    """Cut at the longest name everywhere, then at the next: an early short name may lose."""
    parts = [(text, False)]
    for name in _longest(special):
        cut = []
        for part, is_special in parts:
            cut += [(part, True)] if is_special else _found(part, [name])
        parts = _filled(cut)
    return parts


def _between_matches(text, special):
    pattern = "|".join(map(re.escape, _longest(special))) or "(?!)"
    parts, done = [], 0
    for match in re.finditer(pattern, text):
        parts += [(text[done : match.start()], False), (match.group(), True)]
        done = match.end()
    return _filled([*parts, (text[done:], False)])


def _any_case(text, special):
    if not special:
        return _filled([(text, False)])
    pattern = "(?i)(" + "|".join(map(re.escape, _longest(special))) + ")"
    return _filled([(part, i % 2 == 1) for i, part in enumerate(re.split(pattern, text))])


def _first_only(text, special):
    match = re.search("|".join(map(re.escape, _longest(special))), text) if special else None
    if match is None:
        return _filled([(text, False)])
    cut = [(text[: match.start()], False), (match.group(), True), (text[match.end() :], False)]
    return _filled(cut)


SPLIT = Exercise(
    id="tokenization.split_on_special",
    title="Cutting a text at its special tokens",
    minutes=10,
    difficulty=2,
    statement=(
        "`special` is a list of names. Return the parts of `text` in order, as a list of (part, "
        "is_special). Names are found from left to right; where several begin at the same place "
        "the longest wins. Leave out empty parts."
    ),
    solution=special.split_on_special,
    reference=_letter_by_letter,
    generator=text_with_names,
    probes=(
        Probe("no name in it", lambda: call("plain text", _NAMES), "One part, not special."),
        Probe(
            "one in the middle",
            lambda: call("one<|end|>two", _NAMES),
            "Text, a special token, text. The characters < | > are part of the name.",
        ),
        Probe(
            "at both ends and doubled",
            lambda: call("<|end|>a<|end|><|end|>", _NAMES),
            "Between neighbours, and outside the first and last, there is no empty part.",
        ),
        Probe(
            "one name begins another",
            lambda: call("<|start|>user hi<|end|>", _NAMES),
            "Both <|start|> and <|start|>user begin here: the longer one wins.",
        ),
        Probe(
            "the longer one listed first",
            lambda: call("<s>ab<s>a<s>", ["<s>ab", "<s>a"]),
            "The order of the list does not matter.",
        ),
        Probe(
            "overlapping names",
            lambda: call("xabcd", ["ab", "bcd"]),
            "ab begins further left than bcd. Only names that begin at one place compete.",
        ),
        Probe("almost a name", lambda: call("<|end| > <|en", _NAMES), "Not quite a name is text."),
        Probe(
            "a different case",
            lambda: call("<|END|>a<|End|>", _NAMES),
            "A name in capitals is a different string.",
        ),
        Probe("no names at all", lambda: call("a<|end|>b", []), "Everything is text."),
        Probe("an empty text", lambda: call("", _NAMES), "No parts."),
        Probe(
            "line breaks and an accent",
            lambda: call("e\u0301\r\n<|end|>\r\n", _NAMES),
            "The text between names is not changed.",
        ),
    ),
    misconceptions=(
        Misconception(
            "in the order of the list",
            lambda text, special: _filled(_found(text, special)),
            "A regular expression takes the first alternative that fits, not the longest. Sort the "
            "names by length, the longest first.",
        ),
        Misconception(
            "the shortest first",
            lambda text, special: _filled(_found(text, _longest(special)[::-1])),
            "With the shorter names first, a longer one that begins in the same way is never "
            "found.",
        ),
        Misconception(
            "names as patterns",
            lambda text, special: _filled(_found(text, _longest(special), escape=str)),
            "In a regular expression | means *or*, so <|end|> also matches a lone <. Escape each "
            "name with re.escape.",
        ),
        Misconception(
            "empty parts kept",
            lambda text, special: _found(text, _longest(special)),
            "re.split returns empty strings at the ends and between neighbours. Leave them out.",
        ),
        Misconception(
            "one name after the other",
            _name_after_name,
            "You cut the whole text at the longest name first. A shorter name that begins further "
            "left must win over it: look for all names at once, from left to right.",
        ),
        Misconception(
            "only the first",
            _first_only,
            "You stop after the first special token. Go on with the rest of the text.",
        ),
        Misconception(
            "upper and lower case treated alike",
            _any_case,
            "You ignore upper and lower case. A special token is one exact string; <|END|> is "
            "plain text, which a user may have written.",
        ),
        Misconception(
            "special tokens left out",
            lambda text, special: [
                part for part in _letter_by_letter(text, special) if not part[1]
            ],
            "You return the text between the special tokens and lose them. They are tokens too.",
        ),
    ),
    alternatives=(
        Alternative("character by character", _letter_by_letter),
        Alternative("re.split", lambda text, special: _filled(_found(text, _longest(special)))),
        Alternative("re.finditer", _between_matches),
    ),
    hints=(
        "re.split with a group, re.split('(a|b)', text), keeps the separators: the parts at odd "
        "indices are the names.",
        "Sort the names by length first, and re.escape each of them. Treat an empty list "
        "separately.",
        "Or without re: walk through the text; at each place, which names does text.startswith "
        "find there? Take the longest.",
    ),
)
