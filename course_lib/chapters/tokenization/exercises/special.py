"""Exercises on tokens that are not text: finding them in a text, framing a conversation."""

import re

from course_lib.chapters.tokenization import answers
from course_lib.chapters.tokenization.exercises.generators import conversation, text_with_names
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
        "the longest counts. No empty parts."
    ),
    solution=special.split_on_special,
    reference=_letter_by_letter,
    generator=text_with_names,
    probes=(
        Probe("no name in it", lambda: call("plain text", _NAMES), "One part, not special."),
        Probe(
            "one in the middle",
            lambda: call("one<|end|>two", _NAMES),
            "Text, a special token, text. The signs < | > are letters of the name.",
        ),
        Probe(
            "at both ends and doubled",
            lambda: call("<|end|>a<|end|><|end|>", _NAMES),
            "Between neighbours, and outside the first and last, there is no empty part.",
        ),
        Probe(
            "one name begins another",
            lambda: call("<|start|>user hi<|end|>", _NAMES),
            "Both <|start|> and <|start|>user begin here: the longer one counts.",
        ),
        Probe(
            "the longer one listed first",
            lambda: call("<s>ab<s>a<s>", ["<s>ab", "<s>a"]),
            "The order of the list says nothing, in either direction.",
        ),
        Probe(
            "overlapping names",
            lambda: call("xabcd", ["ab", "bcd"]),
            "ab begins further left than bcd. Only names that begin at one place compete.",
        ),
        Probe("almost a name", lambda: call("<|end| > <|en", _NAMES), "Not quite a name is text."),
        Probe(
            "another case",
            lambda: call("<|END|>a<|End|>", _NAMES),
            "A name in capitals is not the name.",
        ),
        Probe("no names at all", lambda: call("a<|end|>b", []), "Then everything is text."),
        Probe("an empty text", lambda: call("", _NAMES), "No parts."),
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
            "capitals or not",
            _any_case,
            "You ignore the case. A special token is one exact string; <|END|> is plain text, "
            "which a user may have written.",
        ),
        Misconception(
            "special tokens dropped",
            lambda text, special: [
                part for part in _letter_by_letter(text, special) if not part[1]
            ],
            "You return the text between the special tokens and lose them. They are tokens too.",
        ),
    ),
    alternatives=(
        Alternative("letter by letter", _letter_by_letter),
        Alternative("re.split", lambda text, special: _filled(_found(text, _longest(special)))),
        Alternative("re.finditer", _between_matches),
    ),
    hints=(
        "re.split with a group, re.split('(a|b)', text), keeps what it split at: parts at odd "
        "places are the names.",
        "Sort the names by length first, and re.escape each of them. An empty list is a case of "
        "its own.",
        "Or without re: walk through the text; at each place, which names does text.startswith "
        "find there? Take the longest.",
    ),
)


def _turn(role, content):
    return "<|im_start|>" + role + "\n" + content + "<|im_end|>" + "\n"


def _by_adding_up(messages, add_generation_prompt=False):
    text = ""
    for message in messages:
        text += _turn(message["role"], message["content"])
    if add_generation_prompt:
        text += "<|im_start|>assistant\n"
    return text


def _by_replacing(messages, add_generation_prompt=False):
    open_turn = [{"role": "assistant", "content": "\0"}] * bool(add_generation_prompt)
    text = "".join(_turn(each["role"], each["content"]) for each in [*messages, *open_turn])
    return text.replace("\0<|im_end|>\n", "")


def _by_format(messages, add_generation_prompt=False):
    turn = "<|im_start|>%s\n%s<|im_end|>\n"
    text = turn * len(messages) % tuple(m[key] for m in messages for key in ("role", "content"))
    return text + "<|im_start|>assistant\n" * bool(add_generation_prompt)


def _open_after_others(messages, add_generation_prompt=False):
    wanted = add_generation_prompt and messages[-1]["role"] != "assistant"
    return _by_adding_up(messages, wanted)


def _system_in_front(messages, add_generation_prompt=False):
    ordered = sorted(messages, key=lambda message: message["role"] != "system")
    return _by_adding_up(ordered, add_generation_prompt)


def _changed(change):
    """Return the renderer whose finished text is changed by `change`."""
    return lambda messages, add_generation_prompt=False: change(
        _by_adding_up(messages, add_generation_prompt)
    )


def _stripped(messages, add_generation_prompt=False):
    tidy = [message | {"content": message["content"].strip()} for message in messages]
    return _by_adding_up(tidy, add_generation_prompt)


def _default_system(messages, add_generation_prompt=False):
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": "You are a helpful assistant."}, *messages]
    return _by_adding_up(messages, add_generation_prompt)


def _closed_prompt(messages, add_generation_prompt=False):
    text = _by_adding_up(messages)
    return text + "<|im_start|>assistant\n<|im_end|>\n" if add_generation_prompt else text


def _conversation(*contents):
    roles = ("system", "user", "assistant", "user", "assistant")
    return [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False) if c]


CHATML = Exercise(
    id="tokenization.chatml",
    title="A conversation as one text",
    minutes=8,
    difficulty=1,
    statement=(
        "`messages` is a list of dicts with `role` and `content`. Write each turn as "
        "`<|im_start|>`, the role, a line break, the content as it is, `<|im_end|>` and a line "
        "break. With `add_generation_prompt`, end with an open turn of the assistant. Return a str."
    ),
    solution=answers.render_chatml,
    reference=_by_adding_up,
    generator=conversation,
    probes=(
        Probe("one question", lambda: call(_conversation("", "Hi")), "One turn, closed."),
        Probe(
            "the assistant's turn is open",
            lambda: call(_conversation("", "Hi"), add_generation_prompt=True),
            "The model goes on where the text ends: after the line break that follows its role.",
        ),
        Probe(
            "system first",
            lambda: call(_conversation("Be brief.", "Hi"), True),
            "The system's message is a turn like any other.",
        ),
        Probe(
            "several turns",
            lambda: call(_conversation("Be brief.", "Hi", "Hello", "2 + 2?", "4")),
            "In the order given; the last turn is closed as well.",
        ),
        Probe(
            "open after the assistant",
            lambda: call(_conversation("", "Hi", "Hello"), add_generation_prompt=True),
            "`add_generation_prompt` opens a turn, whoever spoke last.",
        ),
        Probe(
            "system in the middle",
            lambda: call([*_conversation("", "Hi"), *_conversation("Be brief.")]),
            "The turns stay in the order in which they are given.",
        ),
        Probe(
            "blanks in the content",
            lambda: call(_conversation("", "  two\n\nlines \n")),
            "What the user wrote is not tidied up.",
        ),
    ),
    misconceptions=(
        Misconception(
            "no line break after the role",
            _changed(lambda text: re.sub(r"(<\|im_start\|>\w+)\n", r"\1", text)),
            "The role and the content run together. The line break is what tells the model where "
            "the name ends.",
        ),
        Misconception(
            "no line break between turns",
            _changed(lambda text: text.replace("<|im_end|>\n", "<|im_end|>")),
            "Each turn ends with `<|im_end|>` and a line break. It seems idle, but the model has "
            "seen it in every conversation, and other tokens mean another distribution.",
        ),
        Misconception(
            "a line break before the end mark",
            _changed(lambda text: text.replace("<|im_end|>", "\n<|im_end|>")),
            "You begin a new line before `<|im_end|>`. The content is followed by the mark at "
            "once.",
        ),
        Misconception(
            "content tidied up",
            _stripped,
            "You strip the content. Blanks and line breaks belong to what was said; code depends "
            "on them.",
        ),
        Misconception(
            "always open",
            lambda messages, add_generation_prompt=False: _by_adding_up(messages, True),
            "The open turn belongs there only when an answer is wanted. In training, the "
            "conversation is complete.",
        ),
        Misconception(
            "never open",
            lambda messages, add_generation_prompt=False: _by_adding_up(messages),
            "With `add_generation_prompt` the text must end with `<|im_start|>assistant` and a "
            "line break. Without it the model may well continue the user's turn.",
        ),
        Misconception(
            "not open after the assistant",
            _open_after_others,
            "You open no turn if the assistant spoke last. `add_generation_prompt` alone decides: "
            "the caller knows whether another answer is wanted.",
        ),
        Misconception(
            "system messages in front",
            _system_in_front,
            "You move the system's messages to the front. Where a turn stands is part of the "
            "conversation: write the turns in the order given.",
        ),
        Misconception(
            "the open turn closed",
            _closed_prompt,
            "You close the turn that the model is asked to fill. It would see that the answer is "
            "over already.",
        ),
        Misconception(
            "a system message of your own",
            _default_system,
            "You add a system message where there is none. Some templates do; this one says only "
            "what it was given.",
        ),
    ),
    alternatives=(
        Alternative("with +=", _by_adding_up),
        Alternative("a turn that is opened again", _by_replacing),
        Alternative("by one format string", _by_format),
    ),
    hints=(
        'One turn is an f-string: f"<|im_start|>{role}\\n{content}<|im_end|>\\n".',
        'Join the turns with "".join(...), or add them up.',
        "The open turn has a role and a line break, no content and no end mark.",
    ),
)
