"""The pictures of this chapter with controls.

Taught in:        multimodal
Checked against:  the chapter's `figures` for the same values
"""

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.chapters.multimodal import figures
from course_lib.chapters.multimodal.pad import Pad, painted
from course_lib.device import seeded
from course_lib.study.display.explorer import Explorer, choice, step_slider
from course_lib.vision import Clip, Llava, Thing, draw, picture_tokens, scenes_of
from course_lib.vision.captions import caption_ids, pair_caption
from course_lib.vision.looking import answer_and_looks, class_attention
from course_lib.vision.stored import stored_clip, stored_llava
from course_lib.vision.world import COLOURS, PLACES, SHAPES, SIZES

_SIDES = tuple(range(32, 1345))
_SCENE = (Thing(0, 0, 1, 0), Thing(2, 1, 0, 1), Thing(3, 4, 1, 3))
QUESTIONS = (
    "What colour is the circle?",
    "What shape is the blue thing?",
    "Where is the yellow ring?",
    "What size is the blue square?",
    "How many things are there?",
    "Is there a red square?",
)


@cache
def _clip() -> Clip:
    return stored_clip()


@cache
def _llava() -> Llava:
    return stored_llava()


def _drawn(*things: Thing) -> Tensor:
    return draw(scenes_of([things]), seeded(0), steady=True)


def patches(
    colour: str = "red", shape: str = "circle", size: str = "large", place: str = "top left"
) -> Explorer:
    """Change the drawing or paint on it, and see its patches and where the class token looks."""

    def figure(colour: str, shape: str, size: str, place: str, patch: int, paint: str) -> Figure:
        thing = Thing(
            list(COLOURS).index(colour), SHAPES.index(shape), SIZES.index(size), PLACES.index(place)
        )
        picture = painted(_drawn(thing)[0], paint)
        return figures.patches(picture, patch, class_attention(_clip(), picture[None])[0])

    controls = {
        "colour": choice("colour", colour, list(COLOURS)),
        "shape": choice("shape", shape, SHAPES),
        "size": choice("size", size, SIZES),
        "place": choice("place", place, PLACES),
        "patch": choice("patch", 8, (4, 8, 16)),
        "paint": Pad(),
    }
    return Explorer(figure, controls, "A picture, its patches, and the class token's attention.")


def similarity(first: str = "red", second: str = "blue") -> Explorer:
    """Choose two colours, and compare six pictures with six captions."""

    def figure(first: str, second: str) -> Figure:
        colours = [list(COLOURS).index(each) for each in (first, second)]
        pairs = [(colour, shape) for colour in colours for shape in (0, 1, 4)]
        pictures = draw(
            scenes_of([[Thing(*pair, 1, number % 4)] for number, pair in enumerate(pairs)]),
            seeded(0),
            steady=True,
        )
        captions = [pair_caption(*pair) for pair in pairs]
        with torch.no_grad():
            vectors = _clip().picture_vectors(pictures)
            cosines = vectors @ _clip().text_vectors(caption_ids(captions)).T
        return figures.similarity(cosines, pictures, captions)

    controls = {
        "first": choice("first colour", first, list(COLOURS)),
        "second": choice("second colour", second, list(COLOURS)),
    }
    return Explorer(figure, controls, "The cosine of each picture with each caption.")


def looks(question: str = QUESTIONS[0]) -> Explorer:
    """Ask the model about a drawing, and see which quarters it read before it answered."""

    def figure(question: str, colour: str) -> Figure:
        scene = (_SCENE[0]._replace(colour=list(COLOURS).index(colour)), *_SCENE[1:])
        picture = _drawn(*scene)
        answer, weights = answer_and_looks(_llava(), picture, question)
        return figures.looks(picture[0], weights, question, answer)

    controls = {
        "question": choice("question", question, QUESTIONS),
        "colour": choice("the circle is", "red", list(COLOURS)),
    }
    return Explorer(figure, controls, "What each layer reads of the picture before it answers.")


def budget(side: int = 672, tile: int = 336, patch: int = 14) -> Explorer:
    """Move the resolution, and compare tiles, pixel shuffle and one long row of patches."""

    def figure(side: int, tile: int, patch: int) -> Figure:
        tile = tile // (2 * patch) * 2 * patch
        ways = {
            "tiles": lambda s: picture_tokens(s, s, tile, patch),
            "tiles and pixel shuffle": lambda s: picture_tokens(s, s, tile, patch, 2),
            "one tile, shrunk": lambda s: picture_tokens(tile, tile, tile, patch),
        }
        lines = {name: [way(s) for s in _SIDES] for name, way in ways.items()}
        return figures.budget(_SIDES, lines, side, {name: way(side) for name, way in ways.items()})

    controls = {
        "side": step_slider("side of the picture", side, 32, 1344),
        "tile": step_slider("side of a tile", tile, 56, 560),
        "patch": choice("patch", patch, (8, 14, 16)),
    }
    return Explorer(figure, controls, "Visual tokens against resolution.")
