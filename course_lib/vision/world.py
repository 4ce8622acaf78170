"""A world of drawings: up to four things, one in each quarter of a small picture.

A thing has a colour, a shape and a size. Eight pairs of a colour and a shape are never shown in
training, although each of these colours and shapes is. A model that recognises them later has
learned colours and shapes, and not a list of pairs.

Pictures are drawn from coordinates: each shape is a distance to its edge, positive inside, and a
pixel's coverage is that distance plus one half, between 0 and 1. Thousands are drawn in a second,
so no picture is ever used twice.

Taught in:        multimodal
Checked against:  areas of the shapes by formula; pictures drawn pixel by pixel
Shapes:           B scenes, 4 places in reading order, 3 channels, 32 x 32 pixels
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

COLOURS = {
    "red": (0.9, 0.15, 0.15),
    "green": (0.15, 0.7, 0.2),
    "blue": (0.2, 0.35, 0.95),
    "yellow": (0.95, 0.85, 0.1),
    "purple": (0.6, 0.2, 0.75),
    "orange": (0.95, 0.5, 0.1),
    "cyan": (0.1, 0.8, 0.85),
    "white": (0.95, 0.95, 0.95),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
SIZES = ("small", "large")
PLACES = ("top left", "top right", "bottom left", "bottom right")
RADII = ((4.0, 4.8), (6.2, 7.0))  # in pixels, of a small and a large thing
IMAGE_SIZE, CELL = 32, 16
NEVER = ((0, 1), (1, 2), (2, 0), (3, 4), (4, 3), (5, 5), (6, 1), (7, 2))  # colour, shape
ALL_PAIRS = [(colour, shape) for colour in range(len(COLOURS)) for shape in range(len(SHAPES))]
SEEN = tuple(pair for pair in ALL_PAIRS if pair not in NEVER)


@dataclass(frozen=True)
class Scenes:
    """What is where in each of a batch of pictures; where nothing is, the other numbers are 0."""

    present: Bool[Tensor, "B 4"]
    colour: Int[Tensor, "B 4"]
    shape: Int[Tensor, "B 4"]
    size: Int[Tensor, "B 4"]

    def __len__(self) -> int:
        return len(self.present)

    def things(self, row: int) -> list["Thing"]:
        """Return what is in one picture, in reading order."""
        fields = zip(*(each[row].tolist() for each in self._fields()), strict=True)
        return [
            Thing(colour, shape, size, place)
            for place, (there, colour, shape, size) in enumerate(fields)
            if there
        ]

    def rows(self, chosen: Int[Tensor, " N"] | slice) -> "Scenes":
        """Return some of the scenes."""
        return Scenes(*(field[chosen] for field in self._fields()))

    def _fields(self) -> tuple[Tensor, ...]:
        return self.present, self.colour, self.shape, self.size


class Thing(NamedTuple):
    """One thing in a picture, by its numbers."""

    colour: int
    shape: int
    size: int
    place: int


def scenes_of(pictures: Sequence[Sequence[Thing]]) -> Scenes:
    """Return scenes from lists of things, at most one thing for each place."""
    fields = torch.zeros(4, len(pictures), 4, dtype=torch.long)
    for row, things in enumerate(pictures):
        for thing in things:
            _check_thing(thing)
            if fields[0, row, thing.place]:
                raise ValueError(f"a place holds one thing; got two at {PLACES[thing.place]!r}.")
            values = torch.tensor((1, thing.colour, thing.shape, thing.size))
            fields[:, row, thing.place] = values
    return Scenes(fields[0].bool(), *fields[1:])


def _check_thing(thing: Thing) -> None:
    kinds = zip(thing._fields, thing, (COLOURS, SHAPES, SIZES, PLACES), strict=True)
    for name, number, known in kinds:
        if not 0 <= number < len(known):
            raise ValueError(
                f"the {name} of a thing is a number from 0 to {len(known) - 1}; got {number}. "
                f"They stand for {', '.join(known)}."
            )


def random_scenes(
    count: int,
    generator: torch.Generator,
    things: tuple[int, int] = (1, 4),
    pairs: Sequence[tuple[int, int]] = SEEN,
    alike: float = 0.0,
) -> Scenes:
    """Return scenes with a random number of things, of random sizes at random places.

    `things` is the smallest and the largest number of things. Colour and shape come from `pairs`,
    each equally likely. With probability `alike` a thing takes the colour and shape of the first
    place, so that there are several of a kind to count.
    """
    if not 1 <= things[0] <= things[1] <= len(PLACES):
        raise ValueError(f"a scene holds 1 to {len(PLACES)} things; got things={things}.")
    number = torch.randint(things[0], things[1] + 1, (count, 1), generator=generator)
    order = torch.rand(count, len(PLACES), generator=generator).argsort(-1).argsort(-1)
    present = order < number
    pair = torch.randint(len(pairs), (count, len(PLACES)), generator=generator)
    same = torch.rand(count, len(PLACES), generator=generator) < alike
    pair = torch.where(same, pair[:, :1], pair)
    colour, shape = torch.tensor(list(pairs))[pair].unbind(-1)
    size = torch.randint(len(SIZES), (count, len(PLACES)), generator=generator)
    return Scenes(present, *(field * present for field in (colour, shape, size)))


def draw(
    scenes: Scenes, generator: torch.Generator, steady: bool = False
) -> Float[Tensor, "B 3 size size"]:
    """Return the pictures, with values from 0 to 1.

    Radius, position within a quarter, brightness and background vary a little, and there is noise;
    with `steady` nothing varies, for pictures to look at.
    """
    count = len(scenes)
    vary = torch.rand(count, 4, 4, generator=generator) * (0.0 if steady else 1.0)
    low, high = torch.tensor(RADII)[scenes.size].unbind(-1)  # (B, 4) each
    radius = (low + high) / 2 + (high - low) * (vary[..., 0] - 0.5) * (not steady)
    room = (CELL / 2 - radius).clamp(max=2.5)
    offsets = (vary[..., 1:3] - 0.5) * 2 * room[..., None] * (not steady)
    cover = coverage(scenes.shape, radius, offsets) * scenes.present[..., None, None]
    bright = 1 - 0.2 * vary[..., 3]
    paint = torch.tensor(list(COLOURS.values()))[scenes.colour] * bright[..., None]
    ground = 0.05 + 0.12 * torch.rand(count, 1, 1, 1, 1, generator=generator) * (not steady)
    cells = ground + cover[:, :, None] * (paint[..., None, None] - ground)  # (B, 4, 3, 16, 16)
    rows = [torch.cat((cells[:, i], cells[:, i + 1]), -1) for i in (0, 2)]
    picture = torch.cat(rows, -2)
    if steady:
        return picture
    noise = torch.randn(picture.shape, generator=generator)
    return (picture + 0.02 * noise).clamp(0, 1)


def coverage(
    shape: Int[Tensor, "B 4"], radius: Float[Tensor, "B 4"], offsets: Float[Tensor, "B 4 2"]
) -> Float[Tensor, "B 4 cell cell"]:
    """Return how much of each pixel of its quarter a shape covers, from 0 to 1."""
    middle = torch.arange(CELL, device=radius.device) - (CELL - 1) / 2
    x = middle - offsets[..., 0, None, None]  # (B, 4, 1, 16)
    y = middle[:, None] - offsets[..., 1, None, None]  # (B, 4, 16, 1)
    inside = inside_distances(x, y, radius[..., None, None])
    index = shape[..., None, None, None].expand(*shape.shape, 1, CELL, CELL)
    return (inside.gather(2, index).squeeze(2) + 0.5).clamp(0, 1)


def inside_distances(
    x: Float[Tensor, "B 4 1 cell"], y: Float[Tensor, "B 4 cell 1"], r: Float[Tensor, "B 4 1 1"]
) -> Float[Tensor, "B 4 kinds cell cell"]:
    """Return how far inside each of the six shapes a point lies, negative outside."""
    far = (x * x + y * y).sqrt()
    ax, ay = x.abs().expand_as(far), y.abs().expand_as(far)
    arm = 0.34 * r
    upright, lying = torch.minimum(arm - ax, r - ay), torch.minimum(r - ax, arm - ay)
    # An equilateral triangle with its point up: below two slanted edges, and above the base.
    slanted = 0.5 * r + 0.5 * (y - 0.1 * r) - 0.866 * ax
    shapes = (
        r - far,  # circle
        0.86 * r - torch.maximum(ax, ay),  # square
        torch.minimum(slanted, 0.75 * r - y),  # triangle
        torch.maximum(upright, lying),  # cross
        torch.minimum(r - far, far - 0.55 * r),  # ring
        (1.05 * r - ax - ay) * 0.7071,  # diamond
    )
    return torch.stack(shapes, dim=2)
