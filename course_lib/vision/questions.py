"""Questions about a drawing, each with an answer that a program knows.

    colour   What colour is the circle?           red
    shape    What shape is the red thing?         circle
    size     What size is the red circle?         large
    place    Where is the red circle?             top left
    count    How many things are there?           three
             How many red things are there?       one
    exists   Is there a red circle?               yes

A question is asked only where its answer is unique. Each answer to "Is there?" is equally likely,
and what is not there often has a colour and a shape that are, in different things.

Taught in:        multimodal
Checked against:  answers found again from the scenes
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from course_lib.vision.captions import NUMBERS, pair_caption
from course_lib.vision.world import COLOURS, PLACES, SEEN, SHAPES, SIZES, Thing

_COLOURS = list(COLOURS)
Drawn = tuple[str, str] | None


class Question(NamedTuple):
    """A question, its answer, and what kind it is."""

    kind: str
    text: str
    answer: str


def ask(kind: str, things: Sequence[Thing], source: random.Random) -> Question | None:
    """Return a question of this kind about these things, or None where none has one answer."""
    if kind not in KINDS:
        raise ValueError(f"a kind must be one of {', '.join(KINDS)}; got {kind!r}.")
    if not things:
        raise ValueError("questions are about at least one thing; got an empty scene.")
    found = KINDS[kind](things, source)
    return None if found is None else Question(kind, *found)


def ask_any(things: Sequence[Thing], source: random.Random) -> Question:
    """Return a question of a random kind; there always is one, since things can be counted."""
    while True:
        found = ask(source.choice(list(KINDS)), things, source)
        if found is not None:
            return found


def _colour(things: Sequence[Thing], source: random.Random) -> Drawn:
    thing = _only(things, lambda thing: thing.shape, source)
    if thing is None:
        return None
    return f"What colour is the {SHAPES[thing.shape]}?", _COLOURS[thing.colour]


def _shape(things: Sequence[Thing], source: random.Random) -> Drawn:
    thing = _only(things, lambda thing: thing.colour, source)
    if thing is None:
        return None
    return f"What shape is the {_COLOURS[thing.colour]} thing?", SHAPES[thing.shape]


def _size(things: Sequence[Thing], source: random.Random) -> Drawn:
    thing = _only(things, lambda thing: thing[:2], source)
    return None if thing is None else (f"What size is the {_name(thing)}?", SIZES[thing.size])


def _place(things: Sequence[Thing], source: random.Random) -> Drawn:
    thing = _only(things, lambda thing: thing[:2], source)
    return None if thing is None else (f"Where is the {_name(thing)}?", PLACES[thing.place])


def _count(things: Sequence[Thing], source: random.Random) -> Drawn:
    if source.random() < 0.5:
        return "How many things are there?", NUMBERS[len(things)]
    colour = source.choice(things).colour if source.random() < 0.8 else source.randrange(8)
    number = sum(thing.colour == colour for thing in things)
    return f"How many {_COLOURS[colour]} things are there?", NUMBERS[number]


def _exists(things: Sequence[Thing], source: random.Random) -> Drawn:
    there = {thing[:2] for thing in things}
    if source.random() < 0.5:
        return f"Is there {pair_caption(*source.choice(sorted(there)))}?", "yes"
    mixed = {(a.colour, b.shape) for a in things for b in things} - there
    pair = source.choice(sorted(mixed) if mixed and source.random() < 0.5 else SEEN)
    return f"Is there {pair_caption(*pair)}?", "yes" if pair in there else "no"


def _only(
    things: Sequence[Thing], key: Callable[[Thing], object], source: random.Random
) -> Thing | None:
    """Return one of the things that no other thing equals in this respect."""
    keys = [key(thing) for thing in things]
    alone = [thing for thing in things if keys.count(key(thing)) == 1]
    return source.choice(alone) if alone else None


def _name(thing: Thing) -> str:
    return f"{_COLOURS[thing.colour]} {SHAPES[thing.shape]}"


KINDS: dict[str, Callable[[Sequence[Thing], random.Random], Drawn]] = {
    "colour": _colour,
    "shape": _shape,
    "size": _size,
    "place": _place,
    "count": _count,
    "exists": _exists,
}
