"""The exercise on activation patching: one vector of the stream copied from a different run."""

import torch

from course_lib.chapters.transformer import answers
from course_lib.chapters.transformer.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _read_before(x):
    return x + 0.5 * x.roll(1, dims=-2)


def _square(x):
    return x + 0.3 * x.square().clamp(max=4.0)


def _reverse(x):
    return x + 0.7 * x.flip(-1)


def _by_recursion(x, blocks, clean, place, position):
    if place == 0:
        one = torch.arange(x.shape[1], device=x.device)[:, None] == position
        x = torch.where(one, clean[0], x)
    if not blocks:
        return x
    return _by_recursion(blocks[0](x.clone()), blocks[1:], clean[1:], place - 1, position)


def _patched(x, blocks, clean, place, position, change=None, when=None):
    """Run the blocks, with the change at its place replaced by a different one."""
    for number, block in enumerate([*blocks, None]):
        if number == place if when is None else when(number):
            x = x.clone()
            if change is None:
                x[:, position] = clean[number][:, position]
            else:
                x = change(x, number)
        x = x if block is None else block(x)
    return x


def _in_two_halves(x, blocks, clean, place, position):
    for block in blocks[:place]:
        x = block(x)
    x = torch.cat((x[:, :position], clean[place][:, position, None], x[:, position + 1 :]), dim=1)
    for block in blocks[place:]:
        x = block(x)
    return x


def _one_place_late(x, blocks, clean, place, position):
    last = min(place + 1, len(blocks))
    return _patched(x, blocks, clean, last, position)


def _the_other_run(x, blocks, clean, place, position):
    streams = [x]
    for block in blocks:
        streams.append(block(streams[-1]))
    return _patched(clean[0], blocks, torch.stack(streams), place, position)


def _in_place(x, blocks, clean, place, position):
    if place == 0:
        x[:, position] = clean[0][:, position]
        place = -1
    return _patched(x, blocks, clean, place, position)


def _streams(blocks, x):
    found = [x]
    for block in blocks:
        found.append(block(found[-1]))
    return torch.stack(found)


def _runs(place, position, blocks=(_read_before, _square, _reverse), shape=(2, 4, 3)):
    clean = _streams(blocks, uneven(*shape).cos())
    return call(uneven(*shape) / 2, list(blocks), clean, place, position)


PATCH = Exercise(
    id="transformer.patch",
    title="Activation patching",
    minutes=10,
    difficulty=2,
    statement=(
        "`x` (B, T, C) is the stream of a corrupted run before the first of L blocks; each block "
        "returns the stream after it. `clean` (L + 1, B, T, C) is the stream of a clean run before "
        "each block and after the last. Return the corrupted run's stream after the last block, "
        "with the vector at `position` replaced by the clean one at `place`: 0 is before the first "
        "block, L after the last. x stays as it is."
    ),
    solution=answers.patched_stream,
    reference=_by_recursion,
    generator=generators.patches,
    probes=(
        Probe("before the first block", lambda: _runs(0, 2), "All blocks run on a patched stream."),
        Probe("between two blocks", lambda: _runs(2, 1), "Earlier blocks run unpatched."),
        Probe("after the last block", lambda: _runs(3, 0), "There are L + 1 places for L blocks."),
        Probe(
            "a single token",
            lambda: _runs(1, 0, shape=(1, 1, 3)),
            "If every token is patched, the clean stream continues.",
        ),
        Probe("no blocks", lambda: _runs(0, 1, blocks=()), "The only place is 0."),
    ),
    misconceptions=(
        Misconception(
            "one place too late",
            _one_place_late,
            "Place 0 is *before* the first block. Patch, then apply the block of that number.",
        ),
        Misconception(
            "all positions patched",
            lambda x, blocks, clean, place, position: _patched(
                x, blocks, clean, place, position, change=lambda y, n: clean[n].clone()
            ),
            "This replaces the whole stream, so the result is the clean run's. Replace the vector "
            "at `position` only.",
        ),
        Misconception(
            "patched at every later place too",
            lambda x, blocks, clean, place, position: _patched(
                x, blocks, clean, place, position, when=lambda n: n >= place
            ),
            "Patch once. Afterwards the vector may change as the blocks make it.",
        ),
        Misconception(
            "the clean vector added",
            lambda x, blocks, clean, place, position: _patched(
                x,
                blocks,
                clean,
                place,
                position,
                change=lambda y, n: y.index_add(
                    1, torch.tensor([position]), clean[n][:, position, None]
                ),
            ),
            "Replace the corrupted vector; do not add to it.",
        ),
        Misconception(
            "the corrupted vector copied into the clean run",
            _the_other_run,
            "You run the clean input and patch a corrupted vector into it. That is a useful "
            "experiment too; here the corrupted run is repaired.",
        ),
        Misconception(
            "the vector taken from the end of the clean run",
            lambda x, blocks, clean, place, position: _patched(
                x, blocks, clean[-1].expand_as(clean), place, position
            ),
            "Take the vector from the same place of the clean run: clean[place].",
        ),
        Misconception(
            "the first text's vector for all",
            lambda x, blocks, clean, place, position: _patched(
                x, blocks, clean[:, :1].expand_as(clean), place, position
            ),
            "Each text of the batch has its own clean vector: clean[place][:, position].",
        ),
        Misconception(
            "the caller's stream changed",
            _in_place,
            "x[:, position] = ... changes the caller's tensor. Clone it first.",
        ),
    ),
    alternatives=(
        Alternative("as the hints have it", _patched),
        Alternative("recursively", _by_recursion),
        Alternative("the blocks before, the patch, the blocks after", _in_two_halves),
    ),
    hints=(
        "There are len(blocks) + 1 places: `for number in range(len(blocks) + 1)`.",
        "At number == place: x = x.clone(), then x[:, position] = clean[place][:, position].",
        "After that, if number < len(blocks): x = blocks[number](x).",
    ),
)
