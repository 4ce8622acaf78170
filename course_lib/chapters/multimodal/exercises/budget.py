"""The exercise on the cost of a picture: tiles, patches and visual tokens."""

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import picture_tokens


def _count_tokens(height, width, tile, patch, shuffle):
    tiles = [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]
    squares = len(tiles) if len(tiles) == 1 else len(tiles) + 1
    blocks = [
        (y, x) for y in range(0, tile, patch * shuffle) for x in range(0, tile, patch * shuffle)
    ]
    return squares * len(blocks)


def _budget(height, width, tile, patch, shuffle, *, rounding=0, thumbnail=1, always=False):
    up = (height + tile - 1) // tile, (width + tile - 1) // tile
    rows, columns = up if rounding == 0 else (max(height // tile, 1), max(width // tile, 1))
    tiles = rows * columns
    extra = thumbnail if tiles > 1 or always else 0
    return (tiles + extra) * (tile // patch) ** 2 // shuffle**2


def _budget_by_ceil(height, width, tile, patch, shuffle):
    tiles = -(-height // tile) * -(-width // tile)
    return (tiles + int(tiles > 1)) * (tile // patch // shuffle) ** 2


def _budget_by_divmod(height, width, tile, patch, shuffle):
    tiles = 1
    for side in (height, width):
        full, rest = divmod(side, tile)
        tiles *= full + (rest > 0)
    side = tile // (patch * shuffle)
    return side * side * (tiles if tiles == 1 else 1 + tiles)


def _numbers(*numbers):
    return lambda: call(*numbers)


TOKENS = Exercise(
    id="multimodal.tokens",
    title="What a picture costs",
    minutes=8,
    difficulty=1,
    statement=(
        "An encoder reads squares of `tile` pixels a side, in patches of `patch` pixels a side. A "
        "picture of `height` x `width` pixels is cut into tiles; where its sides are not "
        "multiples of `tile`, the last tiles are padded. With more than one tile, a thumbnail of "
        "the whole picture is read as one more square. After the encoder, a pixel shuffle joins "
        "blocks of `shuffle` x `shuffle` patches. `tile` is a multiple of patch * shuffle; class "
        "tokens are dropped. Return the number of visual tokens, a whole number."
    ),
    solution=picture_tokens,
    reference=_count_tokens,
    generator=generators.tokens,
    probes=(
        Probe("one tile", _numbers(32, 32, 32, 8, 1), "4 x 4 patches, and no thumbnail."),
        Probe("with a shuffle", _numbers(32, 32, 32, 8, 2), "Four patches become one token."),
        Probe("two tiles", _numbers(32, 64, 32, 8, 1), "Two tiles and a thumbnail."),
        Probe("LLaVA's", _numbers(336, 336, 336, 14, 1), "24 x 24 = 576 tokens."),
        Probe("a pixel too much", _numbers(33, 32, 32, 16, 1), "One row more needs another tile."),
        Probe("smaller than a tile", _numbers(10, 20, 32, 16, 2), "It is padded to one tile."),
        Probe("a large page", _numbers(1000, 700, 336, 14, 2), "9 tiles, since 700 / 336 > 2."),
    ),
    misconceptions=(
        Misconception(
            "incomplete tiles dropped",
            lambda *sizes: _budget(*sizes, rounding=1),
            "What does not fill a tile is padded, not cut off: round up.",
        ),
        Misconception(
            "no thumbnail",
            lambda *sizes: _budget(*sizes, thumbnail=0),
            "With more than one tile there is one more square: the whole picture, made small.",
        ),
        Misconception(
            "a thumbnail of a single tile",
            lambda *sizes: _budget(*sizes, always=True),
            "A picture of one tile needs no thumbnail: the tile is the whole picture.",
        ),
        Misconception(
            "the shuffle counted once",
            lambda height, width, tile, patch, shuffle: (
                _budget(height, width, tile, patch, 1) // shuffle
            ),
            "A block of shuffle x shuffle patches becomes one token: divide by shuffle².",
        ),
        Misconception(
            "patches of a row",
            lambda height, width, tile, patch, shuffle: (
                _budget(height, width, tile, tile, 1) * (tile // (patch * shuffle))
            ),
            "A tile has patches in two directions: square the number along a side.",
        ),
        Misconception(
            "the class token kept",
            lambda height, width, tile, patch, shuffle: (
                _budget(height, width, tile, patch, shuffle) + _budget(height, width, tile, tile, 1)
            ),
            "The class token of each square is dropped; only patches become visual tokens.",
        ),
    ),
    alternatives=(
        Alternative("rounded up by addition", _budget),
        Alternative("rounded up by negation", _budget_by_ceil),
        Alternative("divmod", _budget_by_divmod),
    ),
    hints=(
        "How many tiles along each side? Round up.",
        "tiles + 1 squares where there is more than one tile.",
        "Each square gives (tile // (patch * shuffle))² tokens.",
    ),
)
