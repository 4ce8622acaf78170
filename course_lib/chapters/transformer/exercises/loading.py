"""Exercises on loading weights: the tied head, and tensors that do not match."""

import torch

from course_lib.chapters.transformer.exercises import generators
from course_lib.chapters.transformer.exercises.very_table import Held, VeryTable, second_table
from course_lib.checkpoint import state_dict_check
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

_TABLE, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"


def _head_by_cases(tensors, tied, table=_TABLE, head=_HEAD):
    found = {name: tensors[name] for name in tensors}
    return {**found, head: found[table]} if tied and table in found else found


def _head_where_missing(tensors, tied, table=_TABLE, head=_HEAD):
    return tensors if head in tensors else {**tensors, head: tensors[table]}


def _head_of_the_file_kept(tensors, tied, table=_TABLE, head=_HEAD):
    return {head: tensors[table], **tensors} if tied else dict(tensors)


def _written_into_the_file(tensors, tied, table=_TABLE, head=_HEAD):
    if tied:
        tensors[head] = tensors[table]
    return tensors


HEAD = Exercise(
    id="transformer.head",
    title="The head of a tied model",
    minutes=6,
    difficulty=1,
    statement=(
        "`tensors` are those of a checkpoint file, by name. Return a new dictionary with all of "
        "them; if the model is *tied*, its head is the embedding table: the same tensor, not a "
        "copy. An untied model keeps exactly what the file holds."
    ),
    solution=state_dict_check.with_head,
    reference=_head_by_cases,
    generator=lambda rng: generators.checkpoints(rng, Held),
    watch=lambda given: VeryTable(),
    probes=(
        Probe(
            "tied, no head in the file",
            lambda: call({_TABLE: uneven(5, 3), _NORM: uneven(3)}, True),
            "A common case: the file has no head, and the embedding table is the head.",
        ),
        Probe(
            "untied, with its own head",
            lambda: call(Held({_TABLE: uneven(5, 3), _HEAD: uneven(5, 3).cos()}), False),
            "A separate head must not be overwritten.",
        ),
        Probe(
            "tied, stored twice",
            lambda: call({_TABLE: uneven(4, 3), _HEAD: second_table(4, 3)}, True),
            "Some files hold the same table twice, such as that of Qwen3-0.6B. One is enough.",
        ),
        Probe(
            "untied, the head is missing",
            lambda: call({_TABLE: uneven(5, 3), _NORM: uneven(3)}, False),
            "Do not invent a head: the file is broken, and the loader must be able to notice.",
        ),
        Probe(
            "GPT-2's names",
            lambda: call({"transformer.wte.weight": uneven(5, 2)}, True, "transformer.wte.weight"),
            "The table has a different name in GPT-2.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the untied head overwritten",
            lambda tensors, tied, table=_TABLE, head=_HEAD: {**tensors, head: tensors[table]},
            "You tie every model. An untied model has learned a separate head: keep it.",
        ),
        Misconception(
            "filled in whenever it is missing",
            _head_where_missing,
            "If an untied model's head is missing, the file is broken. The config says whether to "
            "tie, not the contents of the file.",
        ),
        Misconception(
            "the head of the file kept",
            _head_of_the_file_kept,
            "Where a tied model's file holds a head as well, you keep that one. It is a second "
            "tensor, even if its numbers are the same: the head's name must map to the table.",
        ),
        Misconception(
            "left out",
            lambda tensors, tied, table=_TABLE, head=_HEAD: dict(tensors),
            "Without its head the model cannot be loaded strictly; loaded with strict=False its "
            "head would stay random.",
        ),
        Misconception(
            "transposed",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                {**tensors, head: tensors[table].T} if tied else dict(tensors)
            ),
            "nn.Linear stores its weight as (out, in) = (V, C), which is the shape of the table. "
            "It transposes when it multiplies.",
        ),
        Misconception(
            "moved instead of shared",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                {head if name == table else name: each for name, each in tensors.items()}
                if tied
                else dict(tensors)
            ),
            "The embedding still needs its table: both names refer to it.",
        ),
        Misconception(
            "a copy of the table",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                {**tensors, head: tensors[table].clone()} if tied else dict(tensors)
            ),
            "A copy has the same numbers at first; after one training step the two differ, and it "
            "takes memory twice. Store the tensor itself under the head's name.",
        ),
        Misconception(
            "the caller's dictionary returned",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                {**tensors, head: tensors[table]} if tied else tensors
            ),
            "If nothing is tied you return the caller's own dictionary, and a change to one "
            "changes both. Make a new one in either case: dict(tensors).",
        ),
        Misconception(
            "the caller's dictionary changed",
            _written_into_the_file,
            "You add an entry to the caller's dictionary, which then has one tensor too many. Make "
            "a new one: dict(tensors).",
        ),
    ),
    alternatives=(
        Alternative(
            "as the hints have it",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                (completed := dict(tensors)).update({head: tensors[table]} if tied else {})
                or completed
            ),
        ),
        Alternative(
            "two dictionaries joined",
            lambda tensors, tied, table=_TABLE, head=_HEAD: (
                tensors | ({head: tensors[table]} if tied else {})
            ),
        ),
        Alternative("name by name", _head_by_cases),
    ),
    hints=(
        "completed = dict(tensors) makes a new dictionary; the tensors in it are not copied.",
        "Only `tied` decides.",
        "completed[head] = tensors[table]",
    ),
)


def _misfits_by_loop(slots, tensors):
    missing, extra, misshapen = [], [], []
    for name, slot in slots.items():
        if name not in tensors:
            missing.append(name)
        elif list(tensors[name].shape) != list(slot.shape):
            misshapen.append(name)
    for name in tensors:
        if name not in slots:
            extra.append(name)
    return missing, extra, misshapen


def _misfits(slots, tensors, differ=lambda slot, tensor: slot.shape != tensor.shape):
    return (
        [name for name in slots if name not in tensors],
        [name for name in tensors if name not in slots],
        [name for name in slots if name in tensors and differ(slots[name], tensors[name])],
    )


def _sorted_by_name(slots, tensors):
    return tuple(map(sorted, _misfits(slots, tensors)))


def _misshapen_in_the_file_s_order(slots, tensors):
    missing, extra, misshapen = _misfits(slots, tensors)
    return missing, extra, [name for name in tensors if name in misshapen]


def _with_sets(slots, tensors):
    both = set(slots) & set(tensors)
    return (
        sorted(set(slots) - set(tensors), key=list(slots).index),
        sorted(set(tensors) - set(slots), key=list(tensors).index),
        [name for name in slots if name in both and slots[name].shape != tensors[name].shape],
    )


def _by_order(slots, tensors):
    pairs = list(zip(slots.items(), tensors.items(), strict=False))
    wrong = [mine for (mine, slot), (_, tensor) in pairs if slot.shape != tensor.shape]
    return list(slots)[len(pairs) :], list(tensors)[len(pairs) :], wrong


def _not_broadcastable(slot, tensor):
    try:
        return torch.broadcast_shapes(slot.shape, tensor.shape) != slot.shape
    except RuntimeError:
        return True


MISFITS = Exercise(
    id="transformer.misfits",
    title="Load a state dict, or say why not",
    minutes=8,
    difficulty=2,
    statement=(
        "`slots` are the parameters of a model by name, `tensors` those of a file. Return three "
        "lists of names: missing from the file, extra in the file (in the order of `tensors`), and "
        "with a different shape. The first and the last are in the order of `slots`. If all three "
        "are empty, the file can be loaded."
    ),
    solution=state_dict_check.misfits,
    reference=_misfits_by_loop,
    generator=generators.state_dicts,
    probes=(
        Probe(
            "a file that fits",
            lambda: call({"a": uneven(2, 3), "b": uneven(2)}, {"a": uneven(2, 3), "b": uneven(2)}),
            "Nothing is wrong: three empty lists.",
        ),
        Probe(
            "in a different order",
            lambda: call({"a": uneven(2, 3), "b": uneven(2)}, {"b": uneven(2), "a": uneven(2, 3)}),
            "Names matter, not the order.",
        ),
        Probe(
            "one missing, one too many",
            lambda: call(
                {"a": uneven(2), "b": uneven(3), "d": uneven(4)},
                {"a": uneven(2), "c": uneven(3), "d": uneven(4)},
            ),
            "A name that is almost right is missing on one side and extra on the other.",
        ),
        Probe(
            "transposed",
            lambda: call({"a": uneven(2, 3), "b": uneven(4)}, {"a": uneven(3, 2), "b": uneven(4)}),
            "The same number of elements in a different shape is a different matrix.",
        ),
        Probe(
            "one number for many",
            lambda: call({"a": uneven(3), "b": uneven(2, 2)}, {"a": uneven(1), "b": uneven(2, 2)}),
            "A shape that could be broadcast is still a different shape.",
        ),
        Probe(
            "two of each",
            lambda: call(
                {"a": uneven(1), "b": uneven(2), "c": uneven(3), "d": uneven(2, 5)},
                {"c": uneven(4), "d": uneven(2, 4), "e": uneven(1), "f": uneven(1)},
            ),
            "Every mismatch is listed, in the order of its dictionary.",
        ),
        Probe(
            "names that are not sorted",
            lambda: call(
                {"d": uneven(2), "b": uneven(3), "a": uneven(2), "c": uneven(4)},
                {"f": uneven(2), "c": uneven(3), "e": uneven(2), "a": uneven(5)},
            ),
            "Missing and misshapen names are in the order of the slots, extra ones in that of the "
            "file.",
        ),
        Probe(
            "in a different number type",
            lambda: call({"a": uneven(2, 3)}, {"a": uneven(2, 3).bfloat16()}),
            "A file in bfloat16 matches: only the shape counts, and loading converts the numbers.",
        ),
    ),
    misconceptions=(
        Misconception(
            "matched by their order",
            _by_order,
            "You match the first slot with the first tensor. A file may hold its tensors in any "
            "order; match them by name.",
        ),
        Misconception(
            "numbers of elements compared",
            lambda slots, tensors: _misfits(slots, tensors, lambda a, b: a.numel() != b.numel()),
            "You compare how many numbers there are. A transposed matrix has as many: compare "
            ".shape.",
        ),
        Misconception(
            "broadcasting allowed",
            lambda slots, tensors: _misfits(slots, tensors, _not_broadcastable),
            "A single number would be copied into every element. A weight must have exactly the "
            "slot's shape.",
        ),
        Misconception(
            "the type compared as well",
            lambda slots, tensors: _misfits(
                slots, tensors, lambda a, b: (a.shape, a.dtype) != (b.shape, b.dtype)
            ),
            "A tensor of the right shape in a different type can be loaded: copying converts it. "
            "Compare the shapes alone.",
        ),
        Misconception(
            "sorted by name",
            _sorted_by_name,
            "Your lists are sorted by name. Keep the order of the dictionaries, which is that of "
            "the model: go through them once, instead of taking sets.",
        ),
        Misconception(
            "misshapen in the order of the file",
            _misshapen_in_the_file_s_order,
            "You list different shapes in the order of the file. Go through `slots`.",
        ),
        Misconception(
            "extra tensors ignored",
            lambda slots, tensors: (lambda found: (found[0], [], found[2]))(
                _misfits(slots, tensors)
            ),
            "A tensor that is left over indicates a different architecture: a bias or a norm that "
            "this model does not have. It would be dropped silently.",
        ),
        Misconception(
            "missing and extra exchanged",
            lambda slots, tensors: (lambda found: (found[1], found[0], found[2]))(
                _misfits(slots, tensors)
            ),
            "Missing means: the model has it, the file does not.",
        ),
        Misconception(
            "missing tensors listed as misshapen too",
            lambda slots, tensors: (
                *_misfits(slots, tensors)[:2],
                [n for n in slots if n not in tensors or slots[n].shape != tensors[n].shape],
            ),
            "Only a tensor that is there can have a wrong shape.",
        ),
    ),
    alternatives=(
        Alternative(
            "with sets, in the order of the dictionaries",
            _with_sets,
        ),
        Alternative("as the hints have it", _misfits),
        Alternative("in one loop each", _misfits_by_loop),
    ),
    hints=(
        "`name in tensors` is True if the dictionary has that key.",
        "[name for name in slots if name not in tensors] is the first list.",
        "The third has the names that are in both, with slots[name].shape != tensors[name].shape.",
    ),
)
