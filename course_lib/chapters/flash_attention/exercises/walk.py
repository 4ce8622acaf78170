"""The exercise on the whole walk, under the watch that sees every tensor that is made."""

import torch

from course_lib import flash
from course_lib.chapters.flash_attention import answers
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _exact(q, k, v, query_block, key_block):
    scores = (q.double() @ k.double().T) / q.shape[1] ** 0.5
    weights = torch.softmax(scores, -1)
    return (weights @ v.double()).to(q.dtype)


def _no_table(given):
    """Stop what makes the table, or whole rows of it, where a tile is smaller than that."""
    q, k, v, query_block, key_block = given.args
    table, tile = len(q) * len(k), query_block * key_block
    if tile >= table:
        return flash.Watch()
    return flash.Watch(limit=table, tile=max(tile, query_block * v.shape[1]))


def _whole_table(q, k, v, query_block, key_block):
    return torch.softmax(q @ k.T / q.shape[1] ** 0.5, -1) @ v


def _row_by_row(q, k, v, query_block, key_block):
    rows = [torch.softmax(query @ k.T / q.shape[1] ** 0.5, -1) @ v for query in q]
    return torch.stack(rows)


def _softmax_in_each_tile(q, k, v, query_block, key_block):
    rows = []
    for queries in q.split(query_block):
        rows.append(torch.zeros(len(queries), v.shape[1]))
        for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
            rows[-1] += torch.softmax(queries @ keys.T / q.shape[1] ** 0.5, -1) @ values
    return torch.cat(rows)


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
        torch.full((len(tile),), maximum),
        torch.zeros(len(tile)),
        torch.zeros(len(tile), width),
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
    """Walk over the keys in the outer loop, as the first FlashAttention did."""
    states = [_start(tile, v.shape[1], -torch.inf) for tile in q.split(query_block)]
    for keys, values in zip(k.split(key_block), v.split(key_block), strict=True):
        for i, tile in enumerate(q.split(query_block)):
            scores = tile @ keys.T / q.shape[1] ** 0.5
            states[i] = _step(states[i], scores, values, False, True)
    return torch.cat([mixed / total[:, None] for _, total, mixed in states])


TILED = Exercise(
    id="flash_attention.tiled",
    title="The whole walk, without a table",
    minutes=20,
    difficulty=3,
    statement=(
        "Return attention of one head without a mask, q (T, D), k (S, D), v (S, Dv), from tiles of "
        "at most query_block by key_block scores, divided by √D. No tensor of T·S numbers may be "
        "made on the way, nor a whole row of scores: a watch looks at every operation. Use "
        "flash.empty_state, flash.attend_scores and flash.finish, or your own."
    ),
    solution=answers.attend_in_blocks,
    reference=_exact,
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
            "Each tile of queries begins with an empty state.",
        ),
        Probe(
            "ragged tails",
            lambda: call(uneven(21, 2), uneven(34, 2) * 0.8, uneven(34, 3), 8, 8),
            "21 is no multiple of 8, nor is 34: the last tiles are smaller.",
        ),
        Probe(
            "negative scores only",
            lambda: call(uneven(16, 2).abs() + 9, -uneven(24, 2).abs() - 9, uneven(24, 3), 4, 8),
            "The maximum starts at −inf, not at 0.",
        ),
        Probe(
            "large scores",
            lambda: call(uneven(12, 3) * 30, uneven(20, 3) * 30, uneven(20, 4), 5, 6),
            "No exponential may overflow.",
            tolerance=100.0,
        ),
    ),
    misconceptions=(
        Misconception(
            "the whole table at once",
            _whole_table,
            "The numbers are right, but q @ k.T is the T × S table that must not exist. Take a few "
            "queries and a few keys at a time, and keep the running state between the tiles.",
        ),
        Misconception(
            "whole rows of scores",
            _row_by_row,
            "You make no table, but all scores of a query at once, so that fast memory must hold a "
            "row as long as the text. Cut the keys into blocks too, and keep the running state.",
        ),
        Misconception(
            "a softmax in each tile",
            _softmax_in_each_tile,
            "Each tile is divided by a total of its own, so that the weights add up to the number "
            "of tiles. Keep maximum, total and mixture, and divide once, after the last tile.",
        ),
        Misconception(
            "the maximum starts at 0",
            _walk(start=0.0),
            "Where all scores are far below 0, exp(score − 0) is so small that digits are lost, or "
            "that nothing is left. Start the maximum at −inf.",
        ),
        Misconception(
            "the tail left out",
            _walk(drop=True),
            "Keys behind the last full tile are never read. The last tile is smaller: a slice may "
            "reach beyond the end, and range(0, S, block) includes its start.",
        ),
        Misconception(
            "the tail filled up and not masked",
            _walk(pad=True),
            "Keys of zeros have the score 0, not −inf, and take part in the softmax. Mask them, or "
            "let the last tile be smaller.",
        ),
        Misconception(
            "divided by the total at each step",
            _walk(divide=True),
            "After the first tile your mixture is an average and no longer a sum; the next tile is "
            "added in other units. Divide once, after the last tile.",
        ),
        Misconception(
            "no rescaling between tiles",
            _walk(rescale=False),
            "When a tile brings a larger score, what was kept must shrink by exp(old − new).",
        ),
        Misconception(
            "the state not begun anew",
            _walk(carry=True),
            "The second tile of queries goes on with the state of the first. Begin each tile of "
            "queries with an empty one.",
        ),
        Misconception(
            "the scale forgotten",
            _walk(scale=False),
            "Scores are divided by √D, as in the chapter `attention`.",
        ),
    ),
    alternatives=(
        Alternative("without the library", _walk()),
        Alternative("keys in the outer loop", _keys_outside),
    ),
    hints=(
        "Two loops: over tiles of queries, and inside over tiles of keys. q.split(query_block) "
        "cuts along the first axis; the last piece may be smaller.",
        "Before the inner loop: state = flash.empty_state(queries, v.shape[1]). Inside: "
        "state = flash.attend_scores(state, queries @ keys.T / D ** 0.5, values).",
        "After the inner loop keep flash.finish(state)[0]; at the end torch.cat the pieces.",
    ),
)
