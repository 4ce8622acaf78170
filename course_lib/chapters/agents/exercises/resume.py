"""The exercise on resuming: what is left to do after a crash?"""

from course_lib.chapters.agents import answers
from course_lib.chapters.agents.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

ASKED = {
    "event": "reply",
    "calls": [{"id": "a", "name": "look"}, {"id": "b", "name": "send"}, {"id": "c", "name": "pay"}],
}
BOTH = ["send", "pay"]


def _ids(events, kind):
    return {event["id"] for event in events if event["event"] == kind}


def _last_calls(events):
    return next(event["calls"] for event in reversed(events) if event["event"] == "reply")


def _by_sets(events, effects):
    begun, done = _ids(events, "begun"), _ids(events, "result")
    return [
        (each["id"], "unknown" if each["id"] in begun and each["name"] in effects else "run")
        for each in _last_calls(events)
        if each["id"] not in done
    ]


def _by_state(events, effects):
    state, names = {}, {}
    for event in events:
        if event["event"] == "reply":
            names = {each["id"]: each["name"] for each in event["calls"]}
            state = dict.fromkeys(names, "run")
        elif event["event"] == "begun" and names[event["id"]] in effects:
            state[event["id"]] = "unknown"
        elif event["event"] == "result":
            del state[event["id"]]
    return list(state.items())


def _backwards(events, effects):
    begun, done = set(), set()
    for event in reversed(events):
        if event["event"] == "reply":
            open_ones = [each for each in event["calls"] if each["id"] not in done]
            risky = [each["id"] in begun and each["name"] in effects for each in open_ones]
            return [
                (each["id"], ("run", "unknown")[risk])
                for each, risk in zip(open_ones, risky, strict=True)
            ]
        {"begun": begun, "result": done}.get(event["event"], set()).add(event.get("id"))
    return []


def _all_again(events, effects):
    return [(each["id"], "run") for each in _last_calls(events)]


def _run_open(events, effects):
    return [(name, "run") for name, _ in _by_sets(events, effects)]


def _begun_is_done(events, effects):
    begun = _ids(events, "begun")
    return [pair for pair in _by_sets(events, effects) if pair[0] not in begun]


def _begun_is_unknown(events, effects):
    begun = _ids(events, "begun")
    return [(n, "unknown" if n in begun else "run") for n, _ in _by_sets(events, effects)]


def _effects_unknown(events, effects):
    names = {each["id"]: each["name"] for each in _last_calls(events)}
    return [(n, "unknown" if names[n] in effects else "run") for n, _ in _by_sets(events, effects)]


def _others_unknown(events, effects):
    begun, done = _ids(events, "begun"), _ids(events, "result")
    return [
        (each["id"], "unknown" if each["id"] in begun and each["name"] not in effects else "run")
        for each in _last_calls(events)
        if each["id"] not in done
    ]


def _first_reply(events, effects):
    first = next(i for i, event in enumerate(events) if event["event"] == "reply")
    others = [e for i, e in enumerate(events) if e["event"] != "reply" or i == first]
    return _by_sets(others, effects)


def _one(events, effects):
    return _by_sets(events, effects)[:1]


RESUME = Exercise(
    id="agents.resume",
    title="What is left after a crash",
    minutes=12,
    difficulty=2,
    statement=(
        "`events` is a log, a list of dicts, each with 'event'. A 'reply' has 'calls', a list of "
        "dicts with 'id' and 'name'. A 'begun' and a 'result' have the 'id' of a call; 'begun' "
        "was written before it ran, 'result' after it. There is at least one reply; no id is used "
        "twice; only calls of the last reply can be without a result. `effects` lists the tools "
        "that change something. Return for each call of the last reply without a result, in order, "
        "a pair (id, what to do): 'unknown' if it has begun and its tool is in effects, else 'run'."
    ),
    solution=answers.to_do,
    reference=_by_sets,
    generator=generators.resume,
    probes=(
        Probe("nothing has begun", lambda: call([ASKED], BOTH), "All three are to be run."),
        Probe(
            "the first is done",
            lambda: call(
                [ASKED, {"event": "begun", "id": "a"}, {"event": "result", "id": "a"}], BOTH
            ),
            "What has a result is not run again.",
        ),
        Probe(
            "a reading call has begun",
            lambda: call([ASKED, {"event": "begun", "id": "a"}], BOTH),
            "Looking twice does no harm: run it again.",
        ),
        Probe(
            "a sending call has begun",
            lambda: call(
                [ASKED, {"event": "result", "id": "a"}, {"event": "begun", "id": "b"}], BOTH
            ),
            "Perhaps it was sent, perhaps not. It is not run again.",
        ),
        Probe(
            "no effects",
            lambda: call([ASKED, {"event": "begun", "id": "b"}], []),
            "Then everything may be run again.",
        ),
        Probe(
            "all done",
            lambda: call([ASKED, *({"event": "result", "id": each} for each in "abc")], BOTH),
            "Nothing is left: [].",
        ),
        Probe(
            "an earlier reply",
            lambda: call(
                [
                    {"event": "started"},
                    {"event": "reply", "calls": [{"id": "x", "name": "pay"}]},
                    {"event": "begun", "id": "x"},
                    {"event": "result", "id": "x"},
                    ASKED,
                    {"event": "begun", "id": "c"},
                ],
                BOTH,
            ),
            "Only the last reply can have open calls.",
        ),
        Probe(
            "ids that are not sorted",
            lambda: call(
                [
                    {
                        "event": "reply",
                        "calls": [{"id": "q", "name": "look"}, {"id": "d", "name": "send"}],
                    },
                    {"event": "begun", "id": "d"},
                ],
                BOTH,
            ),
            "The order is that of the calls, not that of their ids.",
        ),
        Probe(
            "a reply without calls",
            lambda: call([ASKED, {"event": "reply", "calls": []}], BOTH),
            "The last reply asks for nothing.",
        ),
    ),
    misconceptions=(
        Misconception(
            "everything again",
            _all_again,
            "Calls with a result have been run. Running them again repeats what they did.",
        ),
        Misconception(
            "open calls run blindly",
            _run_open,
            "A call that has begun may have sent its mail before the crash. If its tool has "
            "effects, say 'unknown'.",
        ),
        Misconception(
            "begun taken for done",
            _begun_is_done,
            "A call that has begun has no result yet, and the model waits for one.",
        ),
        Misconception(
            "everything begun is unknown",
            _begun_is_unknown,
            "A tool that only reads can be run again without harm.",
        ),
        Misconception(
            "every effect is unknown",
            _effects_unknown,
            "A call that has not begun has certainly had no effect. Run it.",
        ),
        Misconception(
            "the wrong tools unknown",
            _others_unknown,
            "`effects` lists the tools that must not be repeated, not those that may be.",
        ),
        Misconception(
            "sorted by id",
            lambda events, effects: sorted(_by_sets(events, effects)),
            "Keep the order in which the model made the calls.",
        ),
        Misconception("the first reply", _first_reply, "Look at the last reply of the log."),
        Misconception(
            "only one call", _one, "Every call without a result needs an entry, not only the first."
        ),
    ),
    alternatives=(
        Alternative("a state for each call", _by_state),
        Alternative("from the end", _backwards),
        Alternative("sets", _by_sets),
    ),
    hints=(
        "Collect the ids of all 'begun' and of all 'result' events in two sets.",
        "Go through the calls of the last reply; skip those with a result.",
    ),
)
