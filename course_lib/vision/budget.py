"""How many visual tokens a picture costs: resolution, tiles, pixel shuffle.

A fixed encoder reads squares of one size. A larger picture is cut into tiles of that size, each
encoded alone, often with a thumbnail of the whole beside them. Halving the patch, or doubling both
sides, costs four times the tokens, and attention sixteen times the scores.

    tokens = (tiles + thumbnail) * (tile / patch / shuffle)²

Taught in:        multimodal
Paper:            Liu et al. 2024, *LLaVA-NeXT* (tiles and a thumbnail)
Checked against:  tokens counted one by one
"""


def tile_grid(height: int, width: int, tile: int) -> tuple[int, int]:
    """Return how many rows and columns of tiles cover a picture; the last ones may be padded."""
    if min(height, width, tile) < 1:
        raise ValueError(
            f"picture and tile have at least one pixel a side; got {height} x {width}, {tile}."
        )
    return -(-height // tile), -(-width // tile)


def picture_tokens(height: int, width: int, tile: int, patch: int, shuffle: int = 1) -> int:
    """Return the number of visual tokens; with more than one tile, a thumbnail is added."""
    if patch < 1 or shuffle < 1 or tile % (patch * shuffle):
        raise ValueError(
            "the side of a tile must be a multiple of patch times shuffle; got a tile of "
            f"{tile}, patches of {patch} and shuffle {shuffle}."
        )
    rows, columns = tile_grid(height, width, tile)
    squares = rows * columns + (rows * columns > 1)
    return squares * (tile // (patch * shuffle)) ** 2
