"""The exercise on labels: which tokens of a conversation are trained on."""

import random

from course_lib import fine_tuning
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call

IGNORED = -100


def _by_search(ids, header, end):
    """Find each header in the rest of the row, then the end after it."""
    labels, place, width = [IGNORED] * len(ids), 0, len(header)
    while place + width <= len(ids):
        if list(ids[place : place + width]) != list(header):
            place += 1
            continue
        stop = place + width
        while stop < len(ids):
            labels[stop] = ids[stop]
            stop += 1
            if ids[stop - 1] == end:
                break
        place = stop
    return labels


def _from(ids, header, end):
    """Return (first, last) of each answer, the end included."""
    labels = _by_search(ids, header, end)
    marks = [label != IGNORED for label in labels]
    first = None
    for place, mark in enumerate([*marks, False]):
        if mark and first is None:
            first = place
        elif first is not None and (not mark or ids[place - 1] == end):
            yield first, place
            first = place if mark else None


def _changed(change):
    """Return a wrong answer: the right labels, with `change` applied to each answer's places."""

    def wrong(ids, header, end):
        labels = [IGNORED] * len(ids)
        for first, last in _from(ids, header, end):
            for place in change(list(range(first, last)), ids, header, end):
                labels[place] = ids[place]
        return labels

    return wrong


def _shifted(ids, header, end):
    labels = _by_search(ids, header, end)
    return [*labels[1:], IGNORED] if labels else []


def _first_only(ids, header, end):
    labels, seen = _by_search(ids, header, end), False
    for place, label in enumerate(labels):
        if seen:
            labels[place] = IGNORED
        seen = seen or (label != IGNORED and label == end)
    return labels


def _to_the_end(ids, header, end):
    labels = _by_search(ids, header, end)
    first = next((i for i, label in enumerate(labels) if label != IGNORED), len(ids))
    return [IGNORED] * first + list(ids[first:])


def _state_machine(ids, header, end):
    labels, recent, inside = [], [], False
    for token in ids:
        if inside:
            labels.append(token)
            inside = token != end
            recent = []
        else:
            labels.append(IGNORED)
            recent = [*recent, token][-len(header) :]
            inside = recent == list(header)
    return labels


def _recursive(ids, header, end):
    ids, header = list(ids), list(header)
    starts = [i for i in range(len(ids)) if ids[i : i + len(header)] == header]
    if not starts:
        return [IGNORED] * len(ids)
    begin = starts[0] + len(header)
    stop = next((i + 1 for i in range(begin, len(ids)) if ids[i] == end), len(ids))
    rest = _recursive(ids[stop:], header, end)
    return [IGNORED] * begin + ids[begin:stop] + rest


def _any_input(rng: random.Random) -> Call:
    """A row of few kinds of ids, in which a header of one to three ids occurs now and then."""
    end = 9
    header = [rng.randint(1, 4) for _ in range(rng.randint(1, 3))]
    ids: list[int] = []
    for _ in range(rng.randint(0, 4)):
        ids += [rng.randint(1, 6) for _ in range(rng.randint(0, 4))]
        if rng.random() < 0.7:
            ids += header
        ids += [rng.randint(1, 6) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.8:
            ids.append(end)
    return call(ids, header, end)


LABELS = Exercise(
    id="fine_tuning.labels",
    title="The labels of a conversation",
    minutes=12,
    difficulty=2,
    statement=(
        "`ids` is a list with the ids of a conversation. An answer begins right after the ids of "
        "`header`, in this order, and goes on to the next id `end`, which belongs to it; an answer "
        "without `end` goes on to the last id. Return a list of labels as long as `ids`: the id "
        "itself in an answer, −100 everywhere else. There may be any number of answers. `header` "
        "has at least one id and does not contain `end`."
    ),
    solution=fine_tuning.answer_labels,
    reference=_by_search,
    generator=_any_input,
    probes=(
        Probe(
            "one question, one answer",
            lambda: call([8, 1, 5, 5, 9, 8, 2, 6, 7, 9], [8, 2], 9),
            "Two ids open the answer, then come two ids of text and the end.",
        ),
        Probe(
            "two answers",
            lambda: call([8, 2, 6, 9, 8, 1, 4, 9, 8, 2, 7, 7, 9, 3], [8, 2], 9),
            "Every answer is trained on, and nothing between them.",
        ),
        Probe(
            "no answer",
            lambda: call([8, 1, 5, 9], [8, 2], 9),
            "Without an answer there is nothing to train on.",
        ),
        Probe(
            "an answer that was cut off",
            lambda: call([8, 2, 6, 7], [8, 2], 9),
            "Without an end the answer goes on to the last id.",
        ),
        Probe(
            "the ids of the header inside an answer",
            lambda: call([8, 2, 6, 8, 2, 6, 9, 4], [8, 2], 9),
            "Within an answer these ids are text.",
        ),
        Probe("no ids", lambda: call([], [8], 9), "An empty row has no labels."),
    ),
    misconceptions=(
        Misconception(
            "the header trained on",
            _changed(
                lambda places, ids, header, end: [
                    *range(places[0] - len(header), places[0]),
                    *places,
                ]
            ),
            "The header is part of the prompt: whoever runs the model writes it. Labels begin "
            "after its last id.",
        ),
        Misconception(
            "the end masked",
            _changed(lambda places, ids, header, end: [i for i in places if ids[i] != end]),
            "A model that is never trained on the end of a turn never stops. The id `end` belongs "
            "to the answer.",
        ),
        Misconception(
            "the first token of the answer lost",
            _changed(lambda places, ids, header, end: places[1:]),
            "The first token of an answer is predicted from the header, and it often decides the "
            "rest. Label it too.",
        ),
        Misconception(
            "labels shifted by one",
            _shifted,
            "Labels stand at the place of their own id. The loss shifts them against the logits, "
            "and a second shift would train the model to skip a token.",
        ),
        Misconception(
            "only the first answer",
            _first_only,
            "A conversation may hold several answers. After an `end`, look for the next header.",
        ),
        Misconception(
            "everything after the first header",
            _to_the_end,
            "The later questions are labelled too. Stop at each `end`.",
        ),
        Misconception(
            "the whole conversation",
            lambda ids, header, end: list(ids),
            "This trains the model to write questions as well. Only answers get a label.",
        ),
    ),
    alternatives=(
        Alternative("a state machine", _state_machine),
        Alternative("answer by answer, recursively", _recursive),
        Alternative(
            "answers changed by nothing", _changed(lambda places, ids, header, end: places)
        ),
    ),
    hints=(
        "Walk through the ids once, and remember one thing: are you inside an answer?",
        "Outside, an answer begins when the last `len(header)` ids, this one included, are the "
        "header. Inside, it is over once the id was `end`.",
        "Append the label first, then update the state: so `end` still gets its label, and the "
        "last id of the header does not.",
    ),
)
