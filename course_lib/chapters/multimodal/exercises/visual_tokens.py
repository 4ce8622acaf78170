"""The exercises on visual tokens: fewer of them, and in their places."""

import torch

from course_lib.chapters.multimodal.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call
from course_lib.vision import pixel_shuffle, splice


def _counted(*shape):
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


def _block_by_block(patches, side):
    rows = round(patches.shape[1] ** 0.5)
    blocks = []
    for top in range(0, rows, side):
        for left in range(0, rows, side):
            places = [(top + i) * rows + left + j for i in range(side) for j in range(side)]
            blocks.append(torch.cat([patches[:, place] for place in places], dim=-1))
    return torch.stack(blocks, dim=1)


def _by_slices(patches, side):
    rows = round(patches.shape[1] ** 0.5)
    grid = patches.unflatten(1, (rows, rows))
    parts = [grid[:, i::side, j::side] for i in range(side) for j in range(side)]
    return torch.cat(parts, dim=-1).flatten(1, 2)


def _by_permute(order):
    def shuffled(patches, side):
        batch, number, width = patches.shape
        rows = round(number**0.5)
        grid = patches.reshape(batch, rows // side, side, rows // side, side, width)
        return grid.permute(order).reshape(batch, (rows // side) ** 2, side**2 * width)

    return shuffled


def _by_index(patches, side):
    rows = round(patches.shape[1] ** 0.5)
    place = torch.arange(rows**2, device=patches.device).view(rows, rows)
    blocks = place.unfold(0, side, side).unfold(1, side, side).reshape(-1, side**2)
    return patches[:, blocks].flatten(2)


def _pixel_unshuffle(patches, side):
    rows = round(patches.shape[1] ** 0.5)
    picture = patches.mT.unflatten(2, (rows, rows))
    return torch.nn.functional.pixel_unshuffle(picture, side).flatten(2).mT


SHUFFLE = Exercise(
    id="multimodal.shuffle",
    title="Pixel shuffle",
    minutes=10,
    difficulty=2,
    statement=(
        "`patches` (B, N, C) are the patches of square pictures, in reading order; N is a square, "
        "and its root a multiple of `side`. Join each block of side x side patches into one "
        "vector: its patches one after another, in reading order. Return the blocks in reading "
        "order, (B, N / side², side² * C)."
    ),
    solution=pixel_shuffle,
    reference=_block_by_block,
    generator=generators.shuffle,
    probes=(
        Probe("one block", lambda: call(_counted(1, 4, 1), 2), "Four patches become one token."),
        Probe(
            "four blocks",
            lambda: call(_counted(1, 16, 1), 2),
            "The first block holds patches 0, 1, 4 and 5.",
        ),
        Probe(
            "two features",
            lambda: call(_counted(2, 16, 2), 2),
            "The features of a patch stay together.",
        ),
        Probe("blocks of three", lambda: call(_counted(1, 36, 2), 3), "Nine patches in a block."),
        Probe("blocks of one", lambda: call(_counted(1, 9, 2), 1), "Nothing changes."),
        Probe("training", lambda: call(_counted(1, 16, 2), 2), "Gradients pass.", gradient=True),
    ),
    misconceptions=(
        Misconception(
            "neighbours in memory joined",
            lambda patches, side: patches.reshape(patches.shape[0], -1, side**2 * patches.shape[2]),
            "You join patches of one row. A block also reaches into the rows below: split into a "
            "grid of blocks first.",
        ),
        Misconception(
            "blocks down the columns",
            _by_permute((0, 3, 1, 2, 4, 5)),
            "The blocks stand in reading order: along a row of blocks first.",
        ),
        Misconception(
            "patches of a block transposed",
            _by_permute((0, 1, 3, 4, 2, 5)),
            "Inside a block, its patches stand in reading order too.",
        ),
        Misconception(
            "features first",
            _pixel_unshuffle,
            "torch's pixel_unshuffle interleaves: for each feature, the values of all patches. "
            "Here each patch keeps its features together.",
        ),
        Misconception(
            "the patches averaged",
            lambda patches, side: (
                _block_by_block(patches, side).unflatten(2, (side**2, -1)).mean(2)
            ),
            "A mean throws away where in the block something was. Join the vectors: side² * C.",
        ),
        Misconception(
            "the first patch of each block",
            lambda patches, side: _block_by_block(patches, side)[..., : patches.shape[2]],
            "You keep one patch of each block. All of them go into the token.",
        ),
    ),
    alternatives=(
        Alternative("strided slices", _by_slices),
        Alternative("a permutation of six axes", _by_permute((0, 1, 3, 2, 4, 5))),
        Alternative("an index table", _by_index),
    ),
    hints=(
        "Give the patches their grid back, and split both sides of it: six axes in all.",
        "(B, rows/side, side, columns/side, side, C): which two axes must change places?",
        "transpose(2, 3), then a reshape to (B, (rows // side)², side² * C).",
    ),
)


def _by_loop(embedded, ids, visual, placeholder):
    rows, left = [], [token for picture in visual for token in picture]
    for text, line in zip(ids.tolist(), embedded, strict=True):
        parts = [left.pop(0) if t == placeholder else e for t, e in zip(text, line, strict=True)]
        rows.append(torch.stack(parts))
    return torch.stack(rows)


def _by_assignment(embedded, ids, visual, placeholder):
    filled = embedded.clone()
    filled[ids == placeholder] = visual.flatten(0, 1)
    return filled


def _by_gather(embedded, ids, visual, placeholder):
    chosen = ids == placeholder
    number = (chosen.flatten().cumsum(0) - 1).clamp(min=0).view(ids.shape)
    return torch.where(chosen[..., None], visual.flatten(0, 1)[number], embedded)


def _by_index_put(embedded, ids, visual, placeholder):
    places = (ids == placeholder).nonzero(as_tuple=True)
    return embedded.index_put(places, visual.reshape(-1, visual.shape[-1]))


def _added(embedded, ids, visual, placeholder):
    filled = embedded.clone()
    filled[ids == placeholder] += visual.flatten(0, 1)
    return filled


def _order_within_pictures(embedded, ids, visual, placeholder):
    return _by_assignment(embedded, ids, visual.flip(1), placeholder)


def _pictures_reversed(embedded, ids, visual, placeholder):
    return _by_assignment(embedded, ids, visual.flip(0), placeholder)


def _first_picture_everywhere(embedded, ids, visual, placeholder):
    return _by_assignment(embedded, ids, visual[:1].expand_as(visual), placeholder)


def _interleaved(embedded, ids, visual, placeholder):
    return _by_assignment(embedded, ids, visual.transpose(0, 1), placeholder)


def _splice(texts, pictures, tokens, width=3, seed=0):
    def inputs():
        rng = torch.Generator().manual_seed(seed)
        ids = torch.tensor(texts)
        embedded = torch.randn(*ids.shape, width, generator=rng)
        return call(embedded, ids, torch.randn(pictures, tokens, width, generator=rng), 9)

    return inputs


SPLICE = Exercise(
    id="multimodal.splice",
    title="Visual tokens in their places",
    minutes=10,
    difficulty=2,
    statement=(
        "`embedded` (B, T, C) are the embeddings of the texts `ids` (B, T). `visual` (P, M, C) are "
        "the M visual tokens of each of P pictures. Wherever `ids` is `placeholder`, put a visual "
        "token in place of the embedding: those of the first picture in their order, then those of "
        "the second, and so on, over the texts in their order. There are exactly P * M "
        "placeholders; a text may have none, or those of several pictures. Return (B, T, C); do "
        "not change `embedded`."
    ),
    solution=splice,
    reference=_by_loop,
    generator=generators.splice,
    probes=(
        Probe("one picture", _splice([[1, 9, 9, 2]], 1, 2), "Two visual tokens between words."),
        Probe("at the start", _splice([[9, 9, 9, 4]], 1, 3), "A picture may come first."),
        Probe("two texts", _splice([[1, 9, 9], [9, 9, 2]], 2, 2), "Each has its own picture."),
        Probe(
            "two pictures in one text",
            _splice([[9, 9, 5, 9, 9]], 2, 2),
            "The first picture stands first.",
        ),
        Probe(
            "a text without a picture",
            _splice([[1, 2, 3], [9, 9, 9], [4, 5, 6]], 1, 3),
            "Words are left as they are.",
        ),
        Probe(
            "training",
            _splice([[1, 9, 9], [9, 9, 2]], 2, 2),
            "Gradients reach the projector through the visual tokens, and the words.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "added to the placeholder",
            _added,
            "The embedding of the placeholder means nothing: replace it, do not add to it.",
        ),
        Misconception(
            "pictures in reverse",
            _pictures_reversed,
            "The first picture belongs to the first placeholders.",
        ),
        Misconception(
            "patches in reverse",
            _order_within_pictures,
            "The visual tokens of a picture keep their reading order.",
        ),
        Misconception(
            "one picture everywhere",
            _first_picture_everywhere,
            "You put the first picture into every place. Each picture has its own.",
        ),
        Misconception(
            "pictures interleaved",
            _interleaved,
            "All tokens of the first picture come first, then all of the second: "
            "visual.flatten(0, 1) is already in that order.",
        ),
        Misconception(
            "visual tokens cut off from training",
            lambda embedded, ids, visual, placeholder: _by_assignment(
                embedded, ids, visual.detach(), placeholder
            ),
            "Without a gradient through the visual tokens the projector never learns: leave out "
            "detach().",
        ),
        Misconception(
            "words scaled away",
            lambda embedded, ids, visual, placeholder: _by_assignment(
                torch.zeros_like(embedded), ids, visual, placeholder
            ),
            "The embeddings of the words stay as they are.",
        ),
    ),
    alternatives=(
        Alternative("assignment to a copy", _by_assignment),
        Alternative("numbered by a running count", _by_gather),
        Alternative("index_put", _by_index_put),
    ),
    hints=(
        "ids == placeholder is True at the places to fill, in reading order.",
        "visual.flatten(0, 1) lists the visual tokens in the order in which they are needed.",
        "Fill a clone: filled[ids == placeholder] = visual.flatten(0, 1).",
    ),
)
