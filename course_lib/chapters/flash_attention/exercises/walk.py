"""The exercise on the whole forward pass, under a watch that sees every tensor."""

import numpy as np
import torch
import torch.nn.functional as F

from course_lib import flash
from course_lib.chapters.flash_attention import answers
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _exact(q, k, v, query_block, key_block):
    scores = (q.double() @ k.double().T) / q.shape[1] ** 0.5
    weights = torch.softmax(scores, -1)
    return (weights @ v.double()).to(q.dtype)


def _no_table(given):
    """Stop code that makes the table, whole or in pieces, or whole rows of it.

    Copies of the inputs are allowed, padded or in a different dtype: their memory grows only
    linearly. A table can be distinguished from them only where it is large.
    """
    q, k, v, query_block, key_block = given.args
    table, tile = len(q) * len(k), query_block * key_block
    if tile >= table:
        return flash.Watch()
    widths = (
        q.shape[1] + v.shape[1] + 2
    )  # a token's inputs, its weighted sum, a maximum and a total
    copies = (len(q) + len(k) + query_block + key_block) * widths
    room = 4 * copies + tile * (8 + widths)
    product = max(tile, query_block * (v.shape[1] + 2))
    if room >= table:
        return flash.Watch(tile=product)
    return flash.Watch(limit=table, tile=product, live=room)


def _whole_table(q, k, v, query_block, key_block):
    return torch.softmax(q @ k.T / q.shape[1] ** 0.5, -1) @ v


def _row_by_row(q, k, v, query_block, key_block):
    rows = [torch.softmax(query @ k.T / q.shape[1] ** 0.5, -1) @ v for query in q]
    return torch.stack(rows)


def _all_tiles_kept(q, k, v, query_block, key_block):
    """Make every tile of scores first, and only then take the softmax."""
    rows = []
    kept = [
        [queries @ keys.T / q.shape[1] ** 0.5 for keys in k.split(key_block)]
        for queries in q.split(query_block)
    ]
    for tiles in kept:
        largest = torch.stack([tile.amax(-1) for tile in tiles]).amax(0)
        weights = [torch.exp(tile - largest[:, None]) for tile in tiles]
        mixed = sum(w @ values for w, values in zip(weights, v.split(key_block), strict=True))
        rows.append(mixed / sum(w.sum(-1) for w in weights)[:, None])
    return torch.cat(rows)


def _in_numpy(q, k, v, query_block, key_block):
    scores = q.double().numpy() @ k.double().numpy().T / q.shape[1] ** 0.5
    return torch.from_numpy(_softmax_rows(scores) @ v.double().numpy()).to(q.dtype)


def _softmax_rows(scores):
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def _softmax_in_each_tile(q, k, v, query_block, key_block):
    rows = []
    for queries in q.split(query_block):
        rows.append(v.new_zeros(len(queries), v.shape[1]))
        for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
            rows[-1] += torch.softmax(queries @ keys.T / q.shape[1] ** 0.5, -1) @ values
    return torch.cat(rows)


def _mean_of_tiles(q, k, v, query_block, key_block):
    tiles = -(-len(k) // key_block)
    return _softmax_in_each_tile(q, k, v, query_block, key_block) / tiles


def _full_tiles_alone(q, k, v, query_block, key_block):
    """Read and write full tiles only; the rows that are left stay zeros."""
    rows, keys = (len(x) // n * n for x, n in ((q, query_block), (k, key_block)))
    out = q.new_zeros(len(q), v.shape[1])
    if rows and keys:
        out[:rows] = _walk()(q[:rows], k[:keys], v[:keys], query_block, key_block)
    return out


def _walk(
    start=-torch.inf, scale=True, divide=False, drop=False, pad=False, carry=False, rescale=True
):
    """Return the whole method with one of its parts changed."""

    def attend(q, k, v, query_block, key_block):
        q = q * q.shape[1] ** -0.5 if scale else q
        if pad:
            missing = -len(k) % key_block
            k, v = (torch.cat([x, x.new_zeros(missing, x.shape[1])]) for x in (k, v))
        last = len(k) // key_block * key_block if drop and len(k) >= key_block else len(k)
        rows, state = [], None
        for i in range(0, len(q), query_block):
            tile = q[i : i + query_block]
            if state is None or not carry or len(state[0]) != len(tile):
                state = _start(tile, v.shape[1], start)
            for j in range(0, last, key_block):
                keys, values = k[j : min(j + key_block, last)], v[j : min(j + key_block, last)]
                state = _step(state, tile @ keys.T, values, divide, rescale)
            rows.append(state[2] if divide else state[2] / state[1][:, None])
        return torch.cat(rows)

    return attend


def _start(tile, width, maximum):
    return (
        tile.new_full((len(tile),), maximum),
        tile.new_zeros(len(tile)),
        tile.new_zeros(len(tile), width),
    )


def _step(state, scores, values, divide, rescale):
    maximum, total, mixed = state
    new = torch.maximum(maximum, scores.amax(-1))
    r = torch.exp(maximum - new) if rescale else torch.ones_like(new)
    weights = torch.exp(scores - new[:, None])
    total = total * r + weights.sum(-1)
    mixed = mixed * r[:, None] + weights @ values
    return new, total, mixed / total[:, None] if divide else mixed


def _keys_outside(q, k, v, query_block, key_block):
    """Loop over the keys outside, as the first FlashAttention did."""
    states = [_start(tile, v.shape[1], -torch.inf) for tile in q.split(query_block)]
    for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
        for i, tile in enumerate(q.split(query_block)):
            scores = tile @ keys.T / q.shape[1] ** 0.5
            states[i] = _step(states[i], scores, values, False, True)
    return torch.cat([mixed / total[:, None] for _, total, mixed in states])


def _padded(q, k, v, query_block, key_block):
    """Pad the keys to full tiles, and mask the padding."""
    end = len(k)
    k, v = (F.pad(x, (0, 0, 0, -end % key_block)) for x in (k, v))
    rows = []
    for queries in q.split(query_block):
        state = flash.empty_state(queries, v.shape[1])
        for j in range(0, len(k), key_block):
            scores = queries @ k[j : j + key_block].T / q.shape[1] ** 0.5
            scores[:, max(0, end - j) :] = -torch.inf
            state = flash.attend_scores(state, scores, v[j : j + key_block])
        rows.append(flash.finish(state)[0])
    return torch.cat(rows)


def _by_the_hints(q, k, v, query_block, key_block):
    rows = []
    for queries in q.split(query_block):
        state = flash.empty_state(queries, v.shape[1])
        for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
            state = flash.attend_scores(state, queries @ keys.T / q.shape[1] ** 0.5, values)
        rows.append(flash.finish(state)[0])
    return torch.cat(rows)


def _tiles_in_numpy(q, k, v, query_block, key_block):
    """Loop in NumPy, tile by tile, in float64."""
    dtype = q.dtype
    q, k, v = (x.double().numpy() for x in (q, k, v))
    rows = np.zeros((len(q), v.shape[1]))
    for i in range(0, len(q), query_block):
        tile = q[i : i + query_block] / q.shape[1] ** 0.5
        maximum, total, mixed = -np.inf, 0.0, 0.0
        for j in range(0, len(k), key_block):
            scores = tile @ k[j : j + key_block].T
            larger = np.maximum(maximum, scores.max(1, keepdims=True))
            weights, r = np.exp(scores - larger), np.exp(maximum - larger)
            total = total * r + weights.sum(1, keepdims=True)
            mixed = mixed * r + weights @ v[j : j + key_block]
            maximum = larger
        rows[i : i + query_block] = mixed / total
    return torch.from_numpy(rows).to(dtype)


TILED = Exercise(
    id="flash_attention.tiled",
    title="Attention without a table",
    minutes=20,
    difficulty=3,
    statement=(
        "Return attention of one head without a mask, q (T, D), k (S, D), v (S, Dv), from tiles of "
        "at most query_block by key_block scores, divided by √D, with the dtype and device of q. "
        "No tensor of T·S numbers may be made, nor a matrix product larger than a tile, nor may "
        "all tiles be kept: a watch checks every operation, and the memory. Use "
        "flash.empty_state, flash.attend_scores and flash.finish, or your own."
    ),
    solution=answers.attend_in_blocks,
    reference=_exact,
    generator=generators.walks,
    same_dtype=True,
    watch=_no_table,
    probes=(
        Probe(
            "one tile holds all",
            lambda: call(uneven(3, 2), uneven(4, 2) * 0.7, uneven(4, 3), 3, 4),
            "With a single tile this is softmax(q kᵀ / √D) v.",
        ),
        Probe(
            "several tiles of keys",
            lambda: call(uneven(3, 2), uneven(32, 2) + 1, uneven(32, 5), 3, 8),
            "The state is carried from tile to tile, rescaled where the maximum grows.",
        ),
        Probe(
            "several tiles of queries",
            lambda: call(uneven(32, 2), uneven(18, 2), uneven(18, 5), 8, 18),
            "Each tile of queries starts with an empty state.",
        ),
        Probe(
            "smaller last tiles",
            lambda: call(uneven(21, 2), uneven(34, 2) * 0.8, uneven(34, 3), 8, 8),
            "Neither 21 nor 34 is a multiple of 8: the last tiles are smaller.",
        ),
        Probe(
            "negative scores only",
            lambda: call(uneven(16, 2).abs() + 9, -uneven(24, 2).abs() - 9, uneven(24, 3), 4, 8),
            "The maximum starts at −inf, not at 0.",
            tolerance=4.0,  # scores around −200 have steps of 2e-5 in float32
        ),
        Probe(
            "large scores",
            lambda: call(uneven(12, 3) * 30, uneven(20, 3) * 30, uneven(20, 4), 5, 6),
            "No exponential may overflow.",
            tolerance=100.0,
        ),
        Probe(
            "few queries and many keys in a tile",
            lambda: call(uneven(12, 2) / 2, uneven(24, 2) * 0.7, uneven(24, 9), 2, 6),
            "A tile has at most query_block queries and key_block keys, not the reverse.",
        ),
        Probe(
            "a long text",
            lambda: call(uneven(160, 2) / 2, uneven(320, 2) / 3, uneven(320, 3) + 2, 20, 40),
            "The table would have 51,200 numbers; inputs, output and one tile are far fewer.",
        ),
        Probe(
            "float64",
            lambda: call(
                *(x.double() for x in (uneven(12, 2), uneven(18, 2), uneven(18, 3))), 5, 6
            ),
            "The result has the dtype of q: the running state must have it as well.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the whole table at once",
            _whole_table,
            "The numbers are right, but the T × S table of scores was made, by q @ k.T or inside a "
            "fused function. Take a few queries and a few keys at a time, and keep the running "
            "state between the tiles.",
        ),
        Misconception(
            "whole rows of scores",
            _row_by_row,
            "You make no table, but all scores of a query at once, so that fast memory must hold a "
            "row as long as the text. Cut the keys into blocks too, and keep the running state.",
        ),
        Misconception(
            "all tiles kept",
            _all_tiles_kept,
            "If all tiles are kept, they are the table in pieces. After the update discard the "
            "tile: keep the maximum, the total and the weighted sum, and no scores.",
        ),
        Misconception(
            "the whole table in NumPy",
            _in_numpy,
            "The table exists, only outside PyTorch. Take a few queries and a few "
            "keys at a time, and keep the running state between the tiles.",
        ),
        Misconception(
            "query_block and key_block swapped",
            lambda q, k, v, query_block, key_block: _walk()(q, k, v, key_block, query_block),
            "You cut the queries by key_block and the keys by query_block. The result is the same, "
            "but the tile is not the one that was chosen to fit into fast memory.",
        ),
        Misconception(
            "a softmax in each tile",
            _softmax_in_each_tile,
            "Each tile is divided by its own total, so the weights add up to the number of tiles. "
            "Keep maximum, total and weighted sum, and divide once, after the last tile.",
        ),
        Misconception(
            "the maximum starts at 0",
            _walk(start=0.0),
            "Where all scores are far below 0, exp(score − 0) loses precision or underflows to 0. "
            "Start the maximum at −inf.",
        ),
        Misconception(
            "the last tile left out",
            _walk(drop=True),
            "Keys after the last full tile are never read. The last tile is smaller: a slice may "
            "reach past the end, and range(0, S, block) includes its start.",
        ),
        Misconception(
            "the last tile padded and not masked",
            _walk(pad=True),
            "Padding keys of zeros have the score 0, not −inf, so they get weight in the softmax. "
            "Mask them, or let the last tile be smaller.",
        ),
        Misconception(
            "divided by the total at each step",
            _walk(divide=True),
            "After the first tile your weighted sum is an average, and the next tile adds a sum to "
            "it. Divide once, after the last tile.",
        ),
        Misconception(
            "no rescaling between tiles",
            _walk(rescale=False),
            "When a tile brings a larger score, the sums so far must shrink by exp(old − new).",
        ),
        Misconception(
            "the state not reset",
            _walk(carry=True),
            "The second tile of queries continues with the state of the first. Start each tile of "
            "queries with an empty state.",
        ),
        Misconception(
            "the scale forgotten",
            _walk(scale=False),
            "Scores are divided by √D, as in the chapter `attention`.",
        ),
        Misconception(
            "the mean of the tiles' outputs",
            _mean_of_tiles,
            "Each tile has its own softmax, and you average the results. A tile with larger scores "
            "must count more: keep maximum, total and weighted sum, and divide once at the end.",
        ),
        Misconception(
            "full tiles only",
            _full_tiles_alone,
            "T // query_block and S // key_block round down, so the last queries get no output and "
            "the last keys are never read. Use range(0, T, query_block): the last tile is smaller.",
        ),
    ),
    alternatives=(
        Alternative("without the library", _walk()),
        Alternative("keys in the outer loop", _keys_outside),
        Alternative("as the hints say", _by_the_hints),
        Alternative("keys padded and masked", _padded),
        Alternative(
            "in float64",
            lambda q, k, v, query_block, key_block: _walk()(
                q.double(), k.double(), v.double(), query_block, key_block
            ).to(q.dtype),
        ),
        Alternative("tile by tile in NumPy", _tiles_in_numpy),
    ),
    hints=(
        "Two loops: over tiles of queries, and inside over tiles of keys. q.split(query_block) "
        "cuts along the first axis; the last piece may be smaller.",
        "Before the inner loop: state = flash.empty_state(queries, v.shape[1]). Inside: "
        "state = flash.attend_scores(state, queries @ keys.T / D ** 0.5, values).",
        "After the inner loop keep flash.finish(state)[0]; at the end torch.cat the pieces.",
    ),
)
