"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

DTYPES = (torch.float32, torch.float64)


def patchify(rng: random.Random) -> Call:
    """Return small pictures with any number of channels, wide and high ones."""
    patch, rows, columns = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 3)
    shape = (rng.randint(1, 2), rng.randint(1, 3), rows * patch, columns * patch)
    return call(random_tensor(rng, *shape, dtype=rng.choice(DTYPES)), patch)


def embedding(rng: random.Random) -> Call:
    """Return small pictures and the parameters that make tokens of them."""
    patch, rows, columns, width = (rng.randint(1, 3) for _ in range(4))
    channels, dtype = rng.randint(1, 3), rng.choice(DTYPES)
    shapes = (
        (rng.randint(1, 3), channels, rows * patch, columns * patch),
        (width, channels, patch, patch),
        (width,),
        (rows * columns + 1, width),
    )
    return call(*(random_tensor(rng, *shape, dtype=dtype) for shape in shapes))


def _vectors(rng: random.Random, *shape: int, scale: float | int = 1) -> torch.Tensor:
    """Return vectors none of which is zero, so that each has a direction."""
    vectors = random_tensor(rng, *shape, scale=scale)
    return vectors + scale * (vectors.abs().amax(-1, keepdim=True) == 0)


def clip_loss(rng: random.Random) -> Call:
    """Return pairs of vectors of any length, and a scale."""
    shape, dtype = (rng.randint(1, 5), rng.randint(2, 4)), rng.choice(DTYPES)
    both = (_vectors(rng, *shape, scale=rng.choice((0.1, 1, 9))).to(dtype) for _ in "pt")
    return call(*both, rng.choice((0.5, 1.0, 3.0, 14.3)))


def zero_shot(rng: random.Random) -> Call:
    """Return pictures and the prompts of some classes."""
    width, dtype = rng.randint(2, 5), rng.choice(DTYPES)
    pictures = _vectors(rng, rng.randint(1, 4), width).to(dtype)
    texts = torch.randn(
        rng.randint(1, 4), rng.randint(1, 3), width, generator=torch_generator(rng)
    ).to(dtype)  # without ties: opposite prompts would have a mean of zero
    return call(pictures, texts)


def shuffle(rng: random.Random) -> Call:
    """Return patches of a square grid that splits into blocks."""
    side = rng.randint(1, 3)
    rows = side * rng.randint(1, 3)
    shape = (rng.randint(1, 2), rows**2, rng.randint(1, 3))
    return call(random_tensor(rng, *shape, dtype=rng.choice(DTYPES)), side)


def splice(rng: random.Random) -> Call:
    """Return texts with room for some pictures, spread over them."""
    pictures, tokens, width = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 3)
    placeholder = rng.randint(5, 9)
    length = pictures * tokens + rng.randint(1, 4)
    batch = rng.randint(1, 3)
    words = [rng.choice((0, 1, 2, 3, 4, 11)) for _ in range(batch * length)]
    for place in rng.sample(range(len(words)), pictures * tokens):
        words[place] = placeholder
    ids = torch.tensor(words).view(batch, length)
    dtype = rng.choice(DTYPES)
    embedded = random_tensor(rng, batch, length, width, dtype=dtype)
    return call(
        embedded, ids, random_tensor(rng, pictures, tokens, width, dtype=dtype), placeholder
    )


def tokens(rng: random.Random) -> Call:
    """Return a picture of any size, and an encoder's tile, patch and shuffle."""
    patch, shuffle = rng.randint(1, 4), rng.randint(1, 3)
    tile = patch * shuffle * rng.randint(1, 4)
    sides = (rng.choice((tile, 2 * tile, rng.randint(1, 4 * tile))) for _ in range(2))
    return call(*sides, tile, patch, shuffle)


def expand(rng: random.Random) -> Call:
    """Return a short conversation, its labels, and how many visual tokens a picture has."""
    placeholder = rng.randint(0, 5)
    ids = [rng.choice((placeholder, rng.randint(0, 9))) for _ in range(rng.randint(0, 7))]
    labels = [rng.choice((-100, token)) for token in ids]
    return call(ids, labels, placeholder, rng.randint(1, 4))


def learning(rng: random.Random) -> Call:
    """Return some names of parameters, a few of them misleading, and a stage."""
    parts = ("vision_tower", "multi_modal_projector", "language_model")
    names = [
        ".".join([*rng.choices(parts, k=rng.choice((1, 1, 2))), rng.choice(("weight", "bias"))])
        for _ in range(rng.randint(0, 6))
    ]
    return call(names, rng.choice(("projector", "answers")))


def mrope(rng: random.Random) -> Call:
    """Return texts and pictures in turn."""

    def segment() -> int | tuple[int, int]:
        if rng.random() < 0.5:
            return rng.randint(1, 4)
        return rng.randint(1, 4), rng.randint(1, 4)

    return call([segment() for _ in range(rng.randint(0, 4))])
