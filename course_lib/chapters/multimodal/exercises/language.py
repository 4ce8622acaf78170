"""The exercises on the language model's side: room for pictures, and what learns."""

import torch

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import expand_example, learning_names

IGNORED = -100


def _expand(ids, labels, placeholder, count, *, label=IGNORED, extra=0):
    new_ids, new_labels = [], []
    for token, old in zip(ids, labels, strict=True):
        if token == placeholder:
            new_ids += [placeholder] * (count + extra)
            new_labels += [label] * (count + extra)
        else:
            new_ids.append(token)
            new_labels.append(old)
    return new_ids, new_labels


def _expand_by_comprehension(ids, labels, placeholder, count):
    times = [count if token == placeholder else 1 for token in ids]
    pairs = [
        (token, IGNORED if token == placeholder else label)
        for token, label, repeat in zip(ids, labels, times, strict=True)
        for _ in range(repeat)
    ]
    return [token for token, _ in pairs], [label for _, label in pairs]


def _expand_backwards(ids, labels, placeholder, count):
    ids, labels = list(ids), list(labels)
    for place in reversed(range(len(ids))):
        if ids[place] == placeholder:
            ids[place : place + 1] = [placeholder] * count
            labels[place : place + 1] = [IGNORED] * count
    return ids, labels


def _expand_by_tensor(ids, labels, placeholder, count):
    tokens, targets = torch.tensor(ids), torch.tensor(labels)
    times = torch.where(tokens == placeholder, count, 1)
    tokens, targets = tokens.repeat_interleave(times), targets.repeat_interleave(times)
    return tokens.tolist(), targets.masked_fill(tokens == placeholder, IGNORED).tolist()


EXPAND = Exercise(
    id="multimodal.expand",
    title="Room for a picture",
    minutes=8,
    difficulty=1,
    statement=(
        "`ids` and `labels` are lists of the same length, perhaps empty: a conversation and, at "
        "the place of each id, its label (-100 where nothing is trained). A picture is one id "
        "`placeholder`, with whatever label. Repeat each placeholder `count` times, where `count` "
        "is at least 1, so that every visual token has a place; all of these get the label -100. "
        "Everything else keeps its id and its label. Return the new ids and the new labels, "
        "two lists."
    ),
    solution=expand_example,
    reference=_expand,
    generator=generators.expand,
    probes=(
        Probe(
            "one picture",
            lambda: call([1, 9, 2, 3], [-100, -100, 2, 3], 9, 3),
            "Two ids are added, and two labels.",
        ),
        Probe(
            "a label on the placeholder",
            lambda: call([9, 4], [9, 4], 9, 2),
            "A placeholder is never a target, whatever its label was.",
        ),
        Probe(
            "two pictures",
            lambda: call([9, 5, 9], [-100, 5, -100], 9, 2),
            "Each is repeated.",
        ),
        Probe("a count of one", lambda: call([9, 1], [9, 1], 9, 1), "Only the label changes."),
        Probe("no picture", lambda: call([1, 2], [-100, 2], 9, 4), "Nothing changes."),
        Probe("nothing", lambda: call([], [], 9, 4), "Two empty lists."),
    ),
    misconceptions=(
        Misconception(
            "labels not lengthened",
            lambda ids, labels, placeholder, count: (
                _expand(ids, labels, placeholder, count)[0],
                list(labels),
            ),
            "Every new id needs a label, or all labels after the picture stand at the wrong place.",
        ),
        Misconception(
            "placeholders trained on",
            lambda ids, labels, placeholder, count: _expand(
                ids, labels, placeholder, count, label=placeholder
            ),
            "The model would learn to write placeholders. Their label is -100.",
        ),
        Misconception(
            "one placeholder too many",
            lambda ids, labels, placeholder, count: _expand(
                ids, labels, placeholder, count, extra=1
            ),
            "The placeholder that was there is the first of `count`; add count − 1.",
        ),
        Misconception(
            "labels shifted",
            lambda ids, labels, placeholder, count: (
                _expand(ids, labels, placeholder, count)[0],
                [*_expand(ids, labels, placeholder, count)[1][1:], IGNORED][
                    : len(_expand(ids, labels, placeholder, count)[0])
                ],
            ),
            "Labels stand at the place of their id. The shift by one happens in the loss.",
        ),
        Misconception(
            "the first picture only",
            lambda ids, labels, placeholder, count: (
                (
                    lambda at: (
                        [*ids[:at], *[placeholder] * count, *ids[at + 1 :]],
                        [*labels[:at], *[IGNORED] * count, *labels[at + 1 :]],
                    )
                )(ids.index(placeholder))
                if placeholder in ids
                else (list(ids), list(labels))
            ),
            "A conversation may hold several pictures.",
        ),
        Misconception(
            "nothing is trained",
            lambda ids, labels, placeholder, count: (lambda new: (new, [IGNORED] * len(new)))(
                _expand(ids, labels, placeholder, count)[0]
            ),
            "Only placeholders get -100. The answers keep their labels.",
        ),
    ),
    alternatives=(
        Alternative("a comprehension over pairs", _expand_by_comprehension),
        Alternative("replaced from the end", _expand_backwards),
        Alternative("repeat_interleave", _expand_by_tensor),
    ),
    hints=(
        "Walk over ids and labels together and build two new lists.",
        "For a placeholder, extend by [placeholder] * count and [-100] * count.",
    ),
)

PROJECTOR, LANGUAGE, VISION = "multi_modal_projector.", "language_model.", "vision_tower."


def _learning(names, stage):
    parts = {"projector": [PROJECTOR], "answers": [PROJECTOR, LANGUAGE]}[stage]
    return [name for name in names if any(name[: len(part)] == part for part in parts)]


def _by_first_word(names, stage):
    wanted = {"multi_modal_projector"} | ({"language_model"} if stage == "answers" else set())
    return [name for name in names if name.split(".")[0] in wanted]


def _by_exclusion(names, stage):
    frozen = (VISION,) if stage == "answers" else (VISION, LANGUAGE)
    return [name for name in names if not name.startswith(frozen)]


def _by_filter(names, stage):
    prefixes = (PROJECTOR, LANGUAGE) if stage == "answers" else (PROJECTOR,)
    return list(filter(lambda name: name.startswith(prefixes), names))


_NAMES = [
    "vision_tower.embeddings.class_embedding",
    "vision_tower.encoder.layers.0.mlp.fc1.weight",
    "multi_modal_projector.linear_1.weight",
    "language_model.model.embed_tokens.weight",
    "multi_modal_projector.linear_2.bias",
    "language_model.lm_head.weight",
]
_TRAPS = [
    "vision_tower.language_model.weight",
    "language_model.multi_modal_projector.weight",
    "multi_modal_projector.vision_tower.weight",
]

LEARNING = Exercise(
    id="multimodal.learning",
    title="What learns in each stage",
    minutes=8,
    difficulty=1,
    statement=(
        "`names` are the names of parameters, in a list. Each belongs to the part that it begins "
        "with: `vision_tower.`, `multi_modal_projector.` or `language_model.`; what comes later in "
        'a name does not matter. In the stage "projector" only the projector learns, in the stage '
        '"answers" the projector and the language model do. Return the names that learn, in their '
        "order."
    ),
    solution=learning_names,
    reference=_learning,
    generator=generators.learning,
    probes=(
        Probe("stage one", lambda: call(_NAMES, "projector"), "Two of six learn."),
        Probe("stage two", lambda: call(_NAMES, "answers"), "The encoder stays frozen."),
        Probe("nothing", lambda: call([], "answers"), "An empty list."),
        Probe("misleading names", lambda: call(_TRAPS, "projector"), "The beginning decides."),
        Probe("misleading names, stage two", lambda: call(_TRAPS, "answers"), "Again."),
        Probe(
            "only the encoder",
            lambda: call(_NAMES[:2], "projector"),
            "Nothing of it ever learns.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the encoder learns too",
            lambda names, stage: list(names) if stage == "answers" else _learning(names, stage),
            "In LLaVA the vision encoder stays frozen in both stages.",
        ),
        Misconception(
            "only the language model in stage two",
            lambda names, stage: (
                [name for name in names if name.startswith(LANGUAGE)]
                if stage == "answers"
                else _learning(names, stage)
            ),
            "The projector goes on learning in stage two.",
        ),
        Misconception(
            "the stages swapped",
            lambda names, stage: _learning(
                names, "answers" if stage == "projector" else "projector"
            ),
            "First the projector alone, on captions; then both, on answers.",
        ),
        Misconception(
            "found anywhere in the name",
            lambda names, stage: [
                name
                for name in names
                if PROJECTOR in name or (stage == "answers" and LANGUAGE in name)
            ],
            "Only the beginning of a name says to which part it belongs: use startswith.",
        ),
        Misconception(
            "the frozen ones returned",
            lambda names, stage: [name for name in names if name not in _learning(names, stage)],
            "Return the names that learn, not those that stay frozen.",
        ),
    ),
    alternatives=(
        Alternative("by the first part", _by_first_word),
        Alternative("all but the frozen", _by_exclusion),
        Alternative("a filter", _by_filter),
    ),
    hints=(
        "Which prefixes learn in each stage? Write them down first.",
        "str.startswith takes a tuple of prefixes.",
    ),
)
