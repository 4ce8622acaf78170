"""The exercise on framing a conversation as one text."""

import re

from course_lib.chapters.tokenization import answers
from course_lib.chapters.tokenization.exercises.generators import conversation
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


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


def _between_turns_only(messages, add_generation_prompt=False):
    text = _by_adding_up(messages).removesuffix("\n")
    return text + "\n<|im_start|>assistant\n" if add_generation_prompt else text


CHATML = Exercise(
    id="tokenization.chatml",
    title="A conversation as one text",
    minutes=8,
    difficulty=1,
    statement=(
        "`messages` is a list of dicts with `role` and `content`; it may be empty. Write each "
        "turn as `<|im_start|>`, the role, a line break, the content as it is, `<|im_end|>` and a "
        "line break. With `add_generation_prompt`, end with an open turn of the assistant. Return "
        "a str."
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
            "no messages yet",
            lambda: call([], add_generation_prompt=True),
            "The open turn depends on `add_generation_prompt` alone.",
        ),
        Probe(
            "system in the middle",
            lambda: call([*_conversation("", "Hi"), *_conversation("Be brief.")]),
            "The turns stay in the order in which they are given.",
        ),
        Probe(
            "spaces in the content",
            lambda: call(_conversation("", "  two\n\nlines \n")),
            "The content stays exactly as the user wrote it.",
        ),
        Probe(
            "braces, a carriage return and an accent",
            lambda: call(_conversation("", "{role} {content}\r\n100 % cafe\u0301")),
            "Whatever the content contains, it is not changed.",
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
            "Each turn ends with `<|im_end|>` and a line break. It looks redundant, but the model "
            "has seen it in every conversation, and different tokens give a different "
            "distribution.",
        ),
        Misconception(
            "a line break before the end mark",
            _changed(lambda text: text.replace("<|im_end|>", "\n<|im_end|>")),
            "You begin a new line before `<|im_end|>`. The mark follows the content directly.",
        ),
        Misconception(
            "content stripped",
            _stripped,
            "You strip the content. Spaces and line breaks are part of the message; code depends "
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
            "not open without messages",
            lambda messages, add_generation_prompt=False: _by_adding_up(
                messages, bool(messages) and add_generation_prompt
            ),
            "You open no turn if there are no messages. `add_generation_prompt` alone decides.",
        ),
        Misconception(
            "system messages in front",
            _system_in_front,
            "You move the system's messages to the front. The order of turns is part of the "
            "conversation: write the turns in the order given.",
        ),
        Misconception(
            "no line break in the open turn",
            lambda messages, add_generation_prompt=False: (
                _by_adding_up(messages) + "<|im_start|>assistant" * bool(add_generation_prompt)
            ),
            "The open turn needs the line break after `assistant` too. Without it the model has to "
            "write it first, or goes on with the name.",
        ),
        Misconception(
            "the open turn closed",
            _closed_prompt,
            "You close the turn that the model is asked to fill. It would see an answer that is "
            "already finished.",
        ),
        Misconception(
            "an invented system message",
            _default_system,
            "You add a system message where there is none. Some templates do; this one writes "
            "only the messages it is given.",
        ),
        Misconception(
            "no line break after the last turn",
            _between_turns_only,
            '"\\n".join puts a line break between turns and none after the last one. Every '
            "turn ends with `<|im_end|>` and a line break.",
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
