"""The exercise that assembles RoPE: a batch, heads, offsets, a cache, packed texts."""

import random

import torch

from course_lib import rope
from course_lib.chapters.rope import answers
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _counted(offsets, starts, first=0):
    """Count positions token by token; a new text begins at `first`."""
    rows = []
    for offset, begins in zip(offsets.tolist(), starts.tolist(), strict=True):
        position, row = offset - 1, []
        for begin in begins:
            position = first if begin else position + 1
            row.append(position)
        rows.append(row)
    return torch.tensor(rows)


def _rotated(x, positions, base, way=1, neighbours=False):
    """Rotate (B, heads, T, D) plane by plane as complex numbers, in float64."""
    half = x.shape[-1] // 2
    pairs = x.double()
    if neighbours:
        pairs = torch.stack((pairs[..., 0::2], pairs[..., 1::2]), -1)
    else:
        pairs = torch.stack((pairs[..., :half], pairs[..., half:]), -1)
    speed = base ** (-torch.arange(half).double() / half)
    angle = way * positions[:, None, :, None].double() * speed
    product = torch.view_as_complex(pairs) * torch.polar(torch.ones_like(angle), angle)
    turned = torch.view_as_real(product)
    joined = turned.flatten(-2) if neighbours else torch.cat((turned[..., 0], turned[..., 1]), -1)
    return joined.to(x.dtype)


def _step(q, k, k_cache, offsets, starts, base=10_000.0, *, positions=None, keys=True, **changed):
    """Do the step; the keyword arguments make some of the mistakes."""
    at = _counted(offsets, starts) if positions is None else positions(offsets, starts)
    new = _rotated(k, at, base, **changed) if keys else k
    return _rotated(q, at, base, **changed), torch.cat((k_cache, new), 2)


def _places(starts):
    return torch.arange(starts.shape[1], device=starts.device).expand_as(starts)


def _with_positions(positions):
    def step(*given, **named):
        return _step(*given, **named, positions=positions)

    return step


def _cache_rotated_again(q, k, k_cache, offsets, starts, base=10_000.0):
    rotated, keys = _step(q, k, k_cache, offsets, starts, base)
    cached = k_cache.shape[2]
    places = torch.arange(cached).expand(len(q), -1)
    again = _rotated(k_cache, places, base) if cached else k_cache
    return rotated, torch.cat((again, keys[:, :, cached:]), 2)


def _queries_not_rotated(q, *given, **named):
    return q, _step(q, *given, **named)[1]


def _cache_dropped(q, k, k_cache, *given, **named):
    return _step(q, k, k_cache[:, :, :0], *given, **named)


def _new_keys_first(q, k, k_cache, *given, **named):
    rotated, new = _cache_dropped(q, k, k_cache, *given, **named)
    return rotated, torch.cat((new, k_cache), 2)


def _without_a_head_axis(q, k, k_cache, offsets, starts, base=10_000.0):
    angles = rope.rope_angles(_counted(offsets, starts), q.shape[-1], base)  # (B, T, D/2)
    q, k = (rope.rotate_halves(x, angles.cos(), angles.sin()) for x in (q, k))
    return q, torch.cat((k_cache, k), 2)


def _cut_off(*given, **named):
    with torch.no_grad():
        return _step(*given, **named)


def _as_the_hints_say(q, k, k_cache, offsets, starts, base=10_000.0):
    rows = []
    for offset, begins in zip(offsets.tolist(), starts.tolist(), strict=True):
        position, row = offset - 1, []
        for begin in begins:
            position = 0 if begin else position + 1
            row.append(position)
        rows.append(row)
    angles = rope.rope_angles(torch.tensor(rows, device=q.device), q.shape[-1], base)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    q, k = (rope.rotate_halves(x, cos, sin).to(x.dtype) for x in (q, k))
    return q, torch.cat((k_cache, k), dim=2)


def _by_a_running_maximum(q, k, k_cache, offsets, starts, base=10_000.0):
    places = _places(starts)
    latest = torch.where(starts, places, -1).cummax(1).values
    at = torch.where(latest < 0, offsets[:, None] + places, places - latest)
    angles = rope.rope_angles(at, q.shape[-1], base)
    q, k = (rope.apply_rope(x, angles.cos(), angles.sin()) for x in (q, k))
    return q, torch.cat((k_cache, k), dim=2)


def _in_hadamard_form(q, k, k_cache, offsets, starts, base=10_000.0):
    half = q.shape[-1] // 2
    speed = base ** (-torch.arange(half, device=q.device).float() / half)
    angle = _counted(offsets, starts)[:, None, :, None] * torch.cat((speed, speed))
    cos, sin = angle.cos(), angle.sin()

    def rotate(x):
        return (x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin).to(x.dtype)

    return rotate(q), torch.cat((k_cache, rotate(k)), dim=2)


def _situation(sizes, offsets, starts, base=100.0):
    batch, heads, groups, cached, width = sizes
    tokens = len(starts[0])
    return call(
        uneven(batch, heads, tokens, width),
        uneven(batch, groups, tokens, width) + 0.5,
        uneven(batch, groups, cached, width) - 0.5,
        torch.tensor(offsets),
        torch.tensor(starts).bool(),
        base,
    )


def a_batch(rng: random.Random) -> Call:
    """Rows with their own offsets, in some of which new texts begin."""
    batch, heads, groups, tokens = (rng.randint(1, 3) for _ in range(4))
    cached, width = rng.randint(0, 4), 2 * rng.randint(1, 4)
    q, k, k_cache = (
        random_tensor(rng, batch, count, length, width)
        for count, length in ((heads, tokens), (groups, tokens), (groups, cached))
    )
    offsets = torch.tensor([rng.randint(0, 40) for _ in range(batch)])
    starts = torch.tensor([[rng.random() < 0.3 for _ in range(tokens)] for _ in range(batch)])
    if rng.random() < 0.4:
        return call(q, k, k_cache, offsets, starts)
    return call(q, k, k_cache, offsets, starts, base=rng.choice((100.0, 1e6)))


def _in_bfloat16(situation):
    q, k, k_cache, *places = situation.args
    return call(*(each.bfloat16() for each in (q, k, k_cache)), *places, **situation.kwargs)


BATCH = Exercise(
    id="rope.batch_with_cache",
    title="RoPE in a batch with a cache",
    minutes=15,
    difficulty=3,
    statement=(
        "T new tokens of each row of a batch arrive: `q` (B, H, T, D) and `k` (B, G, T, D), not "
        "rotated yet. `k_cache` (B, G, S, D) holds the keys of earlier tokens, already rotated. "
        "Row b continues its text at position `offsets[b]`, and each further token is one position "
        "later. Where `starts` (B, T) is True, a new text begins in the same row (packing), and "
        "positions restart at 0. Rotate in the layout of halves, with the same positions for all "
        "heads, and return (rotated queries, keys), where keys (B, G, S + T, D) are the cached "
        "ones followed by the rotated new ones. Keep the dtype; gradients must flow to `q` and `k`."
    ),
    solution=answers.rope_with_cache,
    reference=_step,
    generator=a_batch,
    same_dtype=True,
    probes=(
        Probe(
            "one row, no cache",
            lambda: _situation((1, 2, 1, 0, 4), [0], [[0, 0, 0]]),
            "A text from its beginning: positions 0, 1, 2 for all heads.",
        ),
        Probe(
            "one row continues",
            lambda: _situation((1, 2, 1, 3, 4), [3], [[0, 0]]),
            "Three tokens are cached, so the new ones have the positions 3 and 4. The cached keys "
            "stay as they are.",
        ),
        Probe(
            "two rows, two heads, different offsets",
            lambda: _situation((2, 2, 2, 4, 6), [4, 1], [[0, 0, 0], [0, 0, 0]]),
            "Each row has its own positions. With as many rows as heads, angles without a head "
            "axis broadcast to the wrong axis without an error.",
        ),
        Probe(
            "a text begins in a packed row",
            lambda: _situation((1, 3, 1, 2, 4), [7], [[0, 0, 1, 0, 0]]),
            "Positions 7, 8, then 0, 1, 2.",
        ),
        Probe(
            "in bfloat16",
            lambda: _in_bfloat16(_situation((1, 2, 1, 3, 4), [3], [[0, 0]])),
            "Rotate in float32 if you like, but return the dtype of `q` and `k`.",
            tolerance=8.0,
        ),
        Probe(
            "three rows, packed, with gradients",
            lambda: _situation(
                (3, 4, 2, 2, 4), [5, 0, 9], [[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
            ),
            "Several texts may begin in one row.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "offsets ignored",
            _with_positions(lambda offsets, starts: _counted(0 * offsets, starts)),
            "Your rows all begin at position 0. Row b continues at `offsets[b]`.",
        ),
        Misconception(
            "the offset of the first row for all",
            _with_positions(lambda o, starts: _counted(o[:1].expand(len(o)), starts)),
            "All your rows continue where row 0 does. Each row has its own offset: the positions "
            "are a matrix (B, T).",
        ),
        Misconception(
            "no restart in a packed row",
            _with_positions(lambda offsets, starts: _counted(offsets, torch.zeros_like(starts))),
            "`starts` has no effect on your result. Where it is True, positions restart at 0.",
        ),
        Misconception(
            "only the first token of a text at 0",
            _with_positions(
                lambda o, starts: (o[:, None] + _places(starts)).masked_fill(starts, 0)
            ),
            "You set the position to 0 where a text begins, but the tokens after it go on from the "
            "old text. They have the positions 1, 2, ...",
        ),
        Misconception(
            "new texts begin at 1",
            _with_positions(lambda offsets, starts: _counted(offsets, starts, first=1)),
            "The first token of a new text has position 0.",
        ),
        Misconception(
            "offsets too large by one",
            _with_positions(lambda offsets, starts: _counted(offsets + 1, starts)),
            "`offsets[b]` is the position of the first new token itself.",
        ),
        Misconception(
            "no head axis",
            _without_a_head_axis,
            "Your angles (B, T, D/2) meet queries (B, H, T, D), so the batch lines up with the "
            "heads. This raises an error, or goes wrong silently where B = H. Insert an axis: "
            "cos[:, None].",
        ),
        Misconception(
            "cached keys rotated again",
            _cache_rotated_again,
            "Keys in the cache have been rotated when they were new. Rotate only the new ones.",
        ),
        Misconception(
            "new keys not rotated",
            lambda *given, **named: _step(*given, **named, keys=False),
            "Your new keys go into the cache unrotated. Later steps would use them like that.",
        ),
        Misconception(
            "queries not rotated",
            _queries_not_rotated,
            "Queries and keys are both rotated; only then do scores depend on the distance.",
        ),
        Misconception(
            "rotated in the opposite direction",
            lambda *given, **named: _step(*given, **named, way=-1),
            "The angle has the wrong sign: the first feature becomes a · cos − b · sin.",
        ),
        Misconception(
            "the layout of neighbours",
            lambda *given, **named: _step(*given, **named, neighbours=True),
            "You pair the features 2i and 2i + 1. Here plane i is the features i and i + D/2.",
        ),
        Misconception(
            "only the new keys",
            _cache_dropped,
            "You return the new keys alone. The cached ones come first: torch.cat(..., dim=2).",
        ),
        Misconception(
            "new keys before the cache",
            _new_keys_first,
            "The cached keys are older and come first.",
        ),
        Misconception(
            "the gradient cut off",
            _cut_off,
            "The result is right, but no gradient flows to `q` and `k`. Leave out detach() and "
            "torch.no_grad().",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("by a running maximum", _by_a_running_maximum),
        Alternative("in Hadamard form", _in_hadamard_form),
    ),
    hints=(
        "First the positions, a tensor (B, T). A loop over rows and tokens is fine: start at "
        "offsets[b], add 1 for each token, and go to 0 where starts[b, t] is True.",
        "rope.rope_angles(positions, D, base) is (B, T, D/2). cos[:, None] inserts an axis for "
        "the heads.",
        "rope.rotate_halves(x, cos, sin).to(x.dtype) rotates q and k; then torch.cat((k_cache, k), "
        "dim=2).",
    ),
)
