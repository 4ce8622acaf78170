"""The exercise on attention through a block table."""

import math

import torch

from course_lib.chapters.serving import answers
from course_lib.chapters.serving.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _token_by_token(q, keys, values, table, length):
    heads, width = q.shape
    size = keys.shape[1]
    rows = []
    for head in range(heads):
        weights, total, mixed = [], 0.0, [0.0] * width
        for token in range(length):
            key = keys[table[token // size], token % size, head]
            score = sum(a * b for a, b in zip(q[head].tolist(), key.tolist(), strict=True))
            weights.append(score / math.sqrt(width))
        largest = max(weights)
        for token, score in enumerate(weights):
            weight = math.exp(score - largest)
            total += weight
            value = values[table[token // size], token % size, head].tolist()
            mixed = [m + weight * v for m, v in zip(mixed, value, strict=True)]
        rows.append([m / total for m in mixed])
    return torch.tensor(rows, dtype=q.dtype)


def _attend(q, k, v, scale=None):
    """Return attention of q (H, D) over k and v (S, H, D)."""
    scale = q.shape[1] ** -0.5 if scale is None else scale
    scores = torch.einsum("hd,shd->hs", q, k) * scale
    return torch.einsum("hs,shd->hd", scores.softmax(-1), v)


def _gathered(pool, table):
    return pool[torch.tensor(table)].flatten(0, 1)


def _cut(q, keys, values, table, length):
    return _attend(q, _gathered(keys, table)[:length], _gathered(values, table)[:length])


def _masked(q, keys, values, table, length):
    k, v = _gathered(keys, table), _gathered(values, table)
    scores = torch.einsum("hd,shd->hs", q, k) / math.sqrt(q.shape[1])
    scores = scores.masked_fill(torch.arange(len(k), device=q.device) >= length, -torch.inf)
    return torch.einsum("hs,shd->hd", scores.softmax(-1), v)


def _by_slots(q, keys, values, table, length):
    size = keys.shape[1]
    slots = [table[t // size] * size + t % size for t in range(length)]
    return _attend(q, keys.flatten(0, 1)[slots], values.flatten(0, 1)[slots])


def _kernel(q, keys, values, table, length):
    k, v = (_gathered(pool, table)[:length].transpose(0, 1) for pool in (keys, values))
    return torch.nn.functional.scaled_dot_product_attention(q[:, None], k, v)[:, 0]


def _swapped(q, keys, values, table, length):
    size = keys.shape[1]
    slots = [table[t % len(table)] * size + t // len(table) for t in range(length)]
    return _attend(q, keys.flatten(0, 1)[slots], values.flatten(0, 1)[slots])


def _all_places(q, keys, values, table, length):
    return _attend(q, _gathered(keys, table), _gathered(values, table))


def _without_newest(q, keys, values, table, length):
    return _cut(q, keys, values, table, max(length - 1, 1))


def _zeroed(q, keys, values, table, length):
    k, v = _gathered(keys, table).clone(), _gathered(values, table).clone()
    k[length:], v[length:] = 0, 0
    return _attend(q, k, v)


def _without_maximum(q, keys, values, table, length):
    k, v = _gathered(keys, table)[:length], _gathered(values, table)[:length]
    weights = torch.einsum("hd,shd->hs", q, k).div(q.shape[1] ** 0.5).exp()
    return torch.einsum("hs,shd->hd", weights / weights.sum(-1, keepdim=True), v)


def _probe(length, table, scale=1.0):
    def inputs():
        rng = torch.Generator().manual_seed(0)
        q = scale * torch.randn(2, 3, generator=rng)
        keys, values = (torch.randn(5, 4, 2, 3, generator=rng) for _ in range(2))
        return call(q, keys, values, table, length)

    return inputs


READ = Exercise(
    id="serving.read",
    title="Attention through a block table",
    minutes=12,
    difficulty=2,
    statement=(
        "A request has `length` tokens in the cache. Token t is in block table[t // size] of "
        "`keys` and `values`, at place t % size. Return what its newest token reads: "
        "attention of the queries q (heads, D) over these tokens, with softmax(q·k / sqrt(D)), "
        "each head over its own; scores may be in the hundreds. "
        "`keys` and `values` are (blocks, size, heads, D). The table may have more places than "
        "tokens; what is in the others belongs to nobody. The result is (heads, D)."
    ),
    solution=answers.read_blocks,
    reference=_token_by_token,
    generator=generators.read,
    probes=(
        Probe("one full block", _probe(4, [0]), "Four tokens, in the pool's first block."),
        Probe("somewhere else", _probe(4, [3]), "The same, but the block is number 3."),
        Probe("in reverse", _probe(8, [4, 1]), "The first tokens are in block 4."),
        Probe("half a block", _probe(6, [2, 0]), "The two places after it are not its own."),
        Probe("the first token", _probe(1, [3]), "It reads only itself: its own value."),
        Probe("a block in reserve", _probe(5, [1, 4, 2]), "The last block of the table is unused."),
        Probe(
            "scores in the hundreds",
            _probe(7, [0, 3], scale=300.0),
            "exp of such a score overflows; softmax subtracts the largest first.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the table ignored",
            lambda q, keys, values, table, length: _cut(
                q, keys, values, list(range(len(table))), length
            ),
            "You read the first blocks of the pool, whoever they belong to. Take the blocks of the "
            "table, in its order.",
        ),
        Misconception(
            "all places read",
            _all_places,
            "The places after the newest token hold what others left there. Read `length` tokens "
            "only: cut, or mask the scores with -inf.",
        ),
        Misconception(
            "the newest token left out",
            _without_newest,
            "A token reads itself too: `length` tokens, not length − 1.",
        ),
        Misconception(
            "not scaled",
            lambda q, keys, values, table, length: _attend(
                q, _gathered(keys, table)[:length], _gathered(values, table)[:length], 1.0
            ),
            "Divide the scores by sqrt(D), the root of the head width.",
        ),
        Misconception(
            "block and place swapped",
            _swapped,
            "t // size is the number of the block in the table, t % size the place in it.",
        ),
        Misconception(
            "unused places set to zero",
            _zeroed,
            "A score of 0 is not no score: exp(0) = 1. Leave these places out, or use -inf.",
        ),
        Misconception(
            "the table sorted",
            lambda q, keys, values, table, length: _cut(q, keys, values, sorted(table), length),
            "The order of the table is the order of the text, not that of the memory.",
        ),
        Misconception(
            "exp without the maximum subtracted",
            _without_maximum,
            "exp of a large score is infinite, and ∞ / ∞ is nan. Use softmax.",
        ),
        Misconception(
            "values not looked up",
            lambda q, keys, values, table, length: _attend(
                q, _gathered(keys, table)[:length], values.flatten(0, 1)[:length]
            ),
            "Keys come through the table, values do not. Both are read through one table.",
        ),
    ),
    alternatives=(
        Alternative("gathered and cut", _cut),
        Alternative("gathered and masked", _masked),
        Alternative("place by place", _by_slots),
        Alternative("PyTorch's kernel", _kernel),
    ),
    hints=(
        "keys[torch.tensor(table)] are the blocks in the order of the text: (blocks, size, H, D).",
        "Flatten the first two axes and keep the first `length` rows; the same for the values.",
        "Scores: torch.einsum('hd,shd->hs', q, k) / math.sqrt(D); then softmax over s, and "
        "torch.einsum('hs,shd->hd', weights, v).",
    ),
)
