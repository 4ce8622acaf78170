"""The exercise on the loop: ask the model, run its calls, show it the results."""

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.chapters.agents.exercises.generators import TOOLS, scripted
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _outcome(tools, name, arguments):
    try:
        return tools[name](**arguments) if name in tools else f"error: there is no tool {name}"
    except Exception as error:
        return f"error: {error}"


def _recursive(reply, tools, task, steps, before=()):
    messages = [*before] or [("user", task)]
    if steps == 0:
        return "steps", messages
    text, calls = reply([*messages])
    messages.append(("assistant", text))
    if not calls:
        return "answered", messages
    messages += [("tool", _outcome(tools, *each)) for each in calls]
    return _recursive(reply, tools, task, steps - 1, messages)


def _counted(reply, tools, task, steps):
    messages, asked = [("user", task)], 0
    while asked < steps:
        text, calls = reply(messages[:])
        asked += 1
        messages += [("assistant", text)]
        if len(calls) == 0:
            return "answered", messages
        for name, arguments in calls:
            messages += [("tool", _outcome(tools, name, arguments))]
    return "steps", messages


def _flagged(reply, tools, task, steps):
    messages, end = [("user", task)], "steps"
    for _ in range(steps):
        text, calls = reply(list(messages))
        messages.append(("assistant", text))
        messages.extend(("tool", _outcome(tools, *each)) for each in calls)
        if not calls:
            end = "answered"
            break
    return end, messages


def _with(outcome=_outcome, most=None, more=0, answer=True, shown=True, before=False, stop=False):
    def run(reply, tools, task, steps):
        messages = [("user", task)]
        for _ in range(steps + more):
            text, calls = reply(
                list(messages) if shown else [m for m in messages if m[0] != "tool"]
            )
            said = [("assistant", text)] if calls or answer else []
            if not calls:
                return "answered", messages + said
            results = [("tool", outcome(tools, *each)) for each in calls[:most]]
            messages += [*results, *said] if before else [*said, *results]
            if stop and any(text.startswith("error") for _, text in results):
                return "steps", messages
        return "steps", messages

    return run


def _unknown_raises(tools, name, arguments):
    function = tools[name]
    return _outcome({name: function}, name, arguments)


def _any_key_error(tools, name, arguments):
    try:
        return tools[name](**arguments)
    except KeyError:
        return f"error: there is no tool {name}"
    except Exception as error:
        return f"error: {error}"


def _errors_raise(tools, name, arguments):
    return tools[name](**arguments) if name in tools else _outcome(tools, name, arguments)


def _silent(tools, name, arguments):
    found = _outcome(tools, name, arguments)
    return "" if found.startswith("error") else found


LOOP = Exercise(
    id="agents.loop",
    title="The loop",
    minutes=15,
    difficulty=3,
    statement=(
        "`reply(messages)` returns (text, calls); calls is a list of (name, arguments). `tools` "
        "maps names to functions that return strings. `messages` is a list of pairs (role, text) "
        "and begins as [('user', task)]. In each step ask for a reply and append "
        "('assistant', text). Without calls, return ('answered', messages). Otherwise append "
        "('tool', result) for each call in order: what the function returns for **arguments; "
        "'error: there is no tool NAME', with the name for NAME, if it is unknown; "
        "f'error: {error}' if it raises the exception `error`. After `steps` steps without an "
        "answer return ('steps', messages); steps may be 0."
    ),
    solution=answers.run_loop,
    reference=_recursive,
    generator=generators.loop,
    probes=(
        Probe(
            "an answer at once",
            lambda: call(scripted([("42", [])]), TOOLS, "6*7?", 3),
            "No calls: the text is the answer.",
        ),
        Probe(
            "one call",
            lambda: call(
                scripted([("look", [("echo", {"text": "a"})]), ("done", [])]), TOOLS, "go", 3
            ),
            "The model has read the result: its text counts the characters it has seen.",
        ),
        Probe(
            "two calls in a turn",
            lambda: call(
                scripted(
                    [
                        ("both", [("echo", {"text": "a"}), ("echo", {"text": "bc"})]),
                        ("done", []),
                    ]
                ),
                TOOLS,
                "go",
                2,
            ),
            "Both are run, in order.",
        ),
        Probe(
            "an unknown tool",
            lambda: call(scripted([("x", [("lost", {})]), ("sorry", [])]), TOOLS, "go", 2),
            "The model reads that there is no such tool, and goes on.",
        ),
        Probe(
            "a tool that raises",
            lambda: call(
                scripted([("x", [("fail", {}), ("echo", {"text": "b"})]), ("done", [])]),
                TOOLS,
                "go",
                4,
            ),
            "The error is a result, and the next call is run.",
        ),
        Probe(
            "a tool that raises a KeyError",
            lambda: call(scripted([("x", [("find", {"key": "k"})]), ("done", [])]), TOOLS, "go", 2),
            "There is such a tool; it is the key that it does not find.",
        ),
        Probe(
            "wrong arguments",
            lambda: call(scripted([("x", [("echo", {})]), ("done", [])]), {}, "go", 2),
            "Here echo is unknown, too: tools is empty.",
        ),
        Probe(
            "no end",
            lambda: call(scripted([("again", [("echo", {"text": "a"})])]), TOOLS, "go", 3),
            "After three steps the run ends, its last results included.",
        ),
        Probe(
            "no steps",
            lambda: call(scripted([("x", [])]), TOOLS, "go", 0),
            "The model is not asked.",
        ),
    ),
    misconceptions=(
        Misconception(
            "an unknown tool ends the run",
            _with(outcome=_unknown_raises),
            "tools[name] raises a KeyError for a name that the model made up. Tell the model.",
        ),
        Misconception(
            "an error ends the run",
            _with(outcome=_errors_raise),
            "An exception of a tool is a result. Catch it and let the model read it.",
        ),
        Misconception(
            "every KeyError is an unknown tool",
            _with(outcome=_any_key_error),
            "A tool may raise a KeyError itself. Check `name in tools` before the call.",
        ),
        Misconception(
            "errors not shown",
            _with(outcome=_silent),
            "The model gets an empty result and cannot know that something went wrong.",
        ),
        Misconception(
            "only the first call",
            _with(most=1),
            "A turn may have several calls. Each one needs its result.",
        ),
        Misconception(
            "one step too many",
            _with(more=1),
            "You ask `steps` + 1 times. There are at most `steps` replies.",
        ),
        Misconception(
            "the answer not kept",
            _with(answer=False),
            "The last reply belongs to the messages, too: append it before you return.",
        ),
        Misconception(
            "results not shown",
            _with(shown=False),
            "The model must get all messages, the results of its tools among them.",
        ),
        Misconception(
            "results before the call",
            _with(before=True),
            "First the turn in which the model asked, then the results.",
        ),
        Misconception(
            "the first error is the end",
            _with(stop=True),
            "Go on after an error: the model may try something else.",
        ),
    ),
    alternatives=(
        Alternative("recursive", _recursive),
        Alternative("a counter", _counted),
        Alternative("a flag", _flagged),
    ),
    hints=(
        "for _ in range(steps): text, calls = reply(list(messages)); append the text; then look "
        "whether there are calls.",
        "Put try / except Exception as error around the call of one tool, not around the loop.",
    ),
)
