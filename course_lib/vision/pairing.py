"""Batches of pictures and captions for CLIP, made so that a caption fits only its own picture.

CLIP's loss takes every other caption of the batch as wrong. Two red circles in one batch would
teach that one of them is not a red circle. And what all pictures of a batch share teaches nothing:
if colour alone tells them apart, shape is never learned. So most batches here are composed:

    pairs   every seen pair once: each picture has rivals of its colour and of its shape
    full    eight versions of each of five pairs: only size and place tell them apart
    list    several things each, all named
    shape   groups of six, one of each shape, said without their colours
    colour  groups of eight, one of each colour, said without their shapes
    random  pairs drawn at random, as they come

Taught in:        multimodal
Paper:            Radford et al. 2021, arXiv:2103.00020
Checked against:  captions compared with the scenes of the other pictures
Shapes:           B pictures and captions, in groups of n that are told apart
"""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.vision.captions import (
    OPENINGS,
    caption_ids,
    colour_caption,
    full_caption,
    list_caption,
    pair_caption,
    shape_caption,
)
from course_lib.vision.world import (
    COLOURS,
    PLACES,
    SEEN,
    SHAPES,
    SIZES,
    Scenes,
    Thing,
    draw,
    random_scenes,
    scenes_of,
)


class Pairing(NamedTuple):
    """Scenes and a caption for each; within a group of this many, each caption fits one picture."""

    scenes: Scenes
    captions: list[str]
    group: int


class PairedBatch(NamedTuple):
    """Pictures and the ids of their captions, in groups."""

    pictures: Float[Tensor, "B 3 H W"]
    ids: Int[Tensor, "B T"]
    group: int


def pairing(kind: str, source: random.Random, generator: torch.Generator) -> Pairing:
    """Return the scenes and captions of a batch of this kind."""
    if kind not in PAIRINGS:
        raise ValueError(f"a kind of batch must be one of {', '.join(PAIRINGS)}; got {kind!r}.")
    return PAIRINGS[kind](source, generator)


def paired_batch(kind: str, generator: torch.Generator, steady: bool = False) -> PairedBatch:
    """Return the pictures of a batch, and its captions as ids, each with a random opening.

    With `steady`, pictures of the same things are all alike.
    """
    source = random.Random(int(torch.randint(2**62, (), generator=generator)))
    made = pairing(kind, source, generator)
    texts = [source.choice(OPENINGS) + caption for caption in made.captions]
    pictures = draw(made.scenes, generator, steady)
    return PairedBatch(pictures, caption_ids(texts), made.group)


def single(pairs: Sequence[tuple[int, int]], source: random.Random) -> list[Thing]:
    """Return a thing of each pair, of a random size at a random place."""
    return [Thing(c, s, source.randrange(len(SIZES)), source.randrange(4)) for c, s in pairs]


def _named(things: Sequence[Thing], name: Callable[[Thing], str], group: int) -> Pairing:
    return Pairing(scenes_of([[each] for each in things]), [name(each) for each in things], group)


def _pair_name(thing: Thing) -> str:
    return pair_caption(thing.colour, thing.shape)


def _pairs(source: random.Random, generator: torch.Generator) -> Pairing:
    return _named(single(SEEN, source), _pair_name, len(SEEN))


def _random(source: random.Random, generator: torch.Generator) -> Pairing:
    drawn = [source.choice(SEEN) for _ in SEEN]
    return _named(single(drawn, source), _pair_name, len(SEEN))


def _full(source: random.Random, generator: torch.Generator) -> Pairing:
    things = [
        Thing(*pair, size, place)
        for pair in source.sample(SEEN, 5)
        for size in range(len(SIZES))
        for place in range(len(PLACES))
    ]
    return _named(things, full_caption, len(things))


def _list(source: random.Random, generator: torch.Generator) -> Pairing:
    scenes = random_scenes(len(SEEN), generator, (2, 4))
    captions = [list_caption(scenes.things(row)) for row in range(len(scenes))]
    return Pairing(scenes, captions, len(captions))


def _shape(source: random.Random, generator: torch.Generator) -> Pairing:
    of = [[pair for pair in SEEN if pair[1] == shape] for shape in range(len(SHAPES))]
    drawn = [source.choice(pairs) for _ in range(7) for pairs in of]
    return _named(single(drawn, source), lambda thing: shape_caption(thing.shape), len(SHAPES))


def _colour(source: random.Random, generator: torch.Generator) -> Pairing:
    of = [[pair for pair in SEEN if pair[0] == colour] for colour in range(len(COLOURS))]
    drawn = [source.choice(pairs) for _ in range(5) for pairs in of]
    return _named(single(drawn, source), lambda thing: colour_caption(thing.colour), len(COLOURS))


PAIRINGS: dict[str, Callable[[random.Random, torch.Generator], Pairing]] = {
    "pairs": _pairs,
    "full": _full,
    "list": _list,
    "shape": _shape,
    "colour": _colour,
    "random": _random,
}
