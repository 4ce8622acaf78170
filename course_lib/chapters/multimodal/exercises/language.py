"""The exercises on the language model's side: examples, stages, positions in three directions."""

import torch

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import expand_example, learning_names, mrope_positions

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
        "`ids` and `labels` are lists of the same length, perhaps empty: a conversation and, at the "
        "place of each id, its label (-100 where nothing is trained). A picture is one id "
        "`placeholder`, with whatever label. Repeat each placeholder `count` times, where `count` "
        "is at least 1, so that "
        "every visual token has a place; all of these get the label -100. Everything else keeps its "
        "id and its label. Return the new ids and the new labels, two lists."
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
                (lambda at: (
                    [*ids[:at], *[placeholder] * count, *ids[at + 1 :]],
                    [*labels[:at], *[IGNORED] * count, *labels[at + 1 :]],
                ))(ids.index(placeholder))
                if placeholder in ids
                else (list(ids), list(labels))
            ),
            "A conversation may hold several pictures.",
        ),
        Misconception(
            "nothing is trained",
            lambda ids, labels, placeholder, count: (
                (lambda new: (new, [IGNORED] * len(new)))(
                    _expand(ids, labels, placeholder, count)[0]
                )
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
            "Asked are the names that learn.",
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


def _token_by_token(segments):
    triples, start = [], 0
    for segment in segments:
        if isinstance(segment, int):
            own = [(i, i, i) for i in range(segment)]
        else:
            own = [(0, row, column) for row in range(segment[0]) for column in range(segment[1])]
        triples += [tuple(start + number for number in triple) for triple in own]
        start = max(max(triple) for triple in triples) + 1
    return torch.tensor(triples).reshape(-1, 3).T if triples else torch.zeros(3, 0).long()


def _mrope(segments, *, next_start=None, time=False, swap=False, origin=True, text=3, column=0):
    """Return positions by the rule, or by a rule that differs in one respect."""
    parts, start, tokens = [torch.zeros(3, 0, dtype=torch.long)], 0, 0
    for segment in segments:
        if isinstance(segment, int):
            line = torch.arange(start, start + segment)
            own = torch.stack([line if i < text else torch.zeros_like(line) for i in range(3)])
            end, count = start + segment, segment
        else:
            rows, columns = segment
            row, col = (
                each.flatten()
                for each in torch.meshgrid(
                    torch.arange(rows), torch.arange(columns), indexing="ij"
                )
            )
            row, col = (col, row) if swap else (row, col)
            first = torch.arange(rows * columns) if time else torch.zeros_like(row)
            shift = start if origin else 0
            own = torch.stack((first + start, row + shift, col + shift))
            count = rows * columns
            end = start + (max(rows, columns) if next_start is None else next_start(segment))
        parts.append(own)
        start, tokens = end, tokens + count
    return torch.cat(parts, dim=1)


def _by_indices(segments):
    parts, start = [], 0
    for segment in segments:
        shape = (1, *segment) if not isinstance(segment, int) else None
        if shape is None:
            own = torch.arange(segment)[None].repeat(3, 1)
        else:
            own = torch.cartesian_prod(*(torch.arange(size) for size in shape)).T
        parts.append(own + start)
        start = start + int(own.max()) + 1
    return torch.cat(parts, dim=1) if parts else torch.zeros(3, 0, dtype=torch.long)


def _by_lists(segments):
    rows, start = ([], [], []), 0
    for segment in segments:
        height, width = (1, segment) if isinstance(segment, int) else segment
        for y in range(height):
            for x in range(width):
                triple = (x, x, x) if isinstance(segment, int) else (0, y, x)
                for row, number in zip(rows, triple, strict=True):
                    row.append(start + number)
        start += max(height, width)
    return torch.tensor(rows, dtype=torch.long)


MROPE = Exercise(
    id="multimodal.mrope",
    title="Positions in three directions",
    minutes=12,
    difficulty=3,
    statement=(
        "A sequence is given as a list of segments, perhaps empty: a whole number n for a text of n "
        "tokens, or a pair (rows, columns) for a picture with that many visual tokens, in reading "
        "order; all at least 1. Each segment begins at a number s, which is 0 for the first one. "
        "Token i of a text has the position s + i three times. The token of a picture in row r and "
        "column c has the positions s, s + r and s + c. The next segment begins at the largest "
        "position so far plus one. Return whole numbers (3, T): time, row, column."
    ),
    solution=mrope_positions,
    reference=_token_by_token,
    generator=generators.mrope,
    probes=(
        Probe("a text", lambda: call([4]), "Three times 0, 1, 2, 3: ordinary RoPE."),
        Probe("a picture", lambda: call([(2, 3)]), "Time stands still, rows and columns do not."),
        Probe("a picture in a text", lambda: call([2, (2, 2), 2]), "The text goes on at 4."),
        Probe("a wide picture", lambda: call([(1, 5), 1]), "The text goes on after column 4."),
        Probe("a high picture", lambda: call([1, (4, 1), 1]), "The text goes on after row 3."),
        Probe("two pictures", lambda: call([(2, 2), (3, 2), 2]), "Each begins after the other."),
        Probe("nothing", lambda: call([]), "No tokens: (3, 0)."),
    ),
    misconceptions=(
        Misconception(
            "the text goes on after all tokens",
            lambda segments: _mrope(segments, next_start=lambda s: s[0] * s[1]),
            "A picture of rows x columns moves the text on by the larger of both, not by their "
            "product: that is what keeps positions small.",
        ),
        Misconception(
            "the text goes on after the rows",
            lambda segments: _mrope(segments, next_start=lambda s: s[0]),
            "The next segment begins after the largest position, be it a row or a column.",
        ),
        Misconception(
            "the text goes on after one",
            lambda segments: _mrope(segments, next_start=lambda s: 1),
            "Time stands still within a picture, but the text begins after its rows and columns.",
        ),
        Misconception(
            "time runs within a picture",
            lambda segments: _mrope(segments, time=True),
            "All tokens of a picture have the same time: they are seen at once.",
        ),
        Misconception(
            "rows and columns swapped",
            lambda segments: _mrope(segments, swap=True),
            "The second number is the row, the third the column.",
        ),
        Misconception(
            "rows and columns from zero",
            lambda segments: _mrope(segments, origin=False),
            "Rows and columns count from the position where the picture begins.",
        ),
        Misconception(
            "text has time only",
            lambda segments: _mrope(segments, text=1),
            "A text token has its position three times; then M-RoPE is ordinary RoPE on text.",
        ),
    ),
    alternatives=(
        Alternative("meshgrid", _mrope),
        Alternative("cartesian products", _by_indices),
        Alternative("three lists", _by_lists),
    ),
    hints=(
        "Keep one number, the start of the next segment, and handle each segment alone.",
        "Text: torch.arange(n) three times. Picture: zeros, rows repeated, columns repeated.",
        "After each segment, start += the largest of its own numbers + 1.",
    ),
)
