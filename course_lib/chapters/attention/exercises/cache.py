"""The exercise on attention with a KV cache, as a function that changes nothing."""

import torch
import torch.nn.functional as F

from course_lib import attention
from course_lib.chapters.attention import answers
from course_lib.chapters.attention.exercises.generators import a_step
from course_lib.chapters.attention.exercises.weighted_mean import attended, numbers
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _shared(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=1)


def _filled(cache, new, start):
    """Return a copy of the cache with the new rows from `start` on, as far as there is room."""
    room = min(new.shape[2], cache.shape[2] - start)
    return torch.cat((cache[:, :, :start], new[:, :, :room], cache[:, :, start + room :]), dim=2)


def _step(q, k, v, k_cache, v_cache, position, reads=None, start=None, causal=True, scale=None):
    """Do the step; `reads`, `start`, `causal` and `scale` change how far it reads, where it writes,
    whether a new token may read a newer one, and the factor of the scores."""
    start = position if start is None else start
    end = position + q.shape[2]
    k_cache, v_cache = _filled(k_cache, k, start), _filled(v_cache, v, start)
    keys = k_cache.shape[2] if reads in (_whole_capacity, _masked_capacity) else end
    places = torch.arange(keys)
    mine = position + torch.arange(q.shape[2])[:, None]
    mask = places <= mine if causal else (places < end).expand(q.shape[2], -1)
    if reads is not None:
        mask = reads(places, mine, end)
    seen = (_shared(cache[:, :, :keys], q.shape[1]) for cache in (k_cache, v_cache))
    read = attended(q, *seen, mask, scale)
    return read, k_cache, v_cache


def _whole_capacity(places, mine, end):
    return (places >= 0).expand(len(mine), -1)


def _masked_capacity(places, mine, end):
    return places <= mine


def _past_alone(places, mine, end):
    return places < mine


def _past_alone_if_any(places, mine, end):
    return _past_alone(places, mine, end) if mine[0] else places <= mine


def _new_alone(places, mine, end):
    return (places <= mine) & (places >= mine[0])


def _upper_left(places, mine, end):
    return (places <= mine - mine[0]) & (places < end)


def _values_forgotten(q, k, v, k_cache, v_cache, position):
    read, keys, _ = _step(q, k, v, k_cache, v_cache, position)
    return read, keys, v_cache


def _appended(q, k, v, k_cache, v_cache, position):
    read, _, _ = _step(q, k, v, k_cache, v_cache, position)
    return read, torch.cat((k_cache, k), dim=2), torch.cat((v_cache, v), dim=2)


def _cut(q, k, v, k_cache, v_cache, position):
    read, keys, values = _step(q, k, v, k_cache, v_cache, position)
    end = position + k.shape[2]
    return read, keys[:, :, :end], values[:, :, :end]


def _caches_lost(q, k, v, k_cache, v_cache, position):
    return _step(q, k, v, k_cache, v_cache, position)[0], k_cache, v_cache


def _in_place(q, k, v, k_cache, v_cache, position):
    end = position + k.shape[2]
    k_cache[:, :, position:end] = k
    v_cache[:, :, position:end] = v
    return _step(q, k, v, k_cache, v_cache, position)


def _by_torch(q, k, v, k_cache, v_cache, position):
    past = slice(0, position)
    keys = torch.cat((k_cache[:, :, past], k), dim=2)
    values = torch.cat((v_cache[:, :, past], v), dim=2)
    mask = q.new_ones(q.shape[2], keys.shape[2]).tril(position).bool()
    read = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)
    return read, _filled(k_cache, k, position), _filled(v_cache, v, position)


def _cut_off(q, k, v, k_cache, v_cache, position):
    with torch.no_grad():
        return _step(q, k, v, k_cache, v_cache, position)


def _keys_detached(q, *rest):
    *caches, position = rest
    return _step(q, *(each.detach() for each in caches), position)


def _as_the_hints_say(q, k, v, k_cache, v_cache, position):
    tokens = k.shape[2]
    end = position + tokens
    k_cache, v_cache = k_cache.clone(), v_cache.clone()
    k_cache[:, :, position:end] = k
    v_cache[:, :, position:end] = v
    mask = attention.causal_mask(tokens, end, q.device)
    read = attention.grouped_query_attention(q, k_cache[:, :, :end], v_cache[:, :, :end], mask)
    return read, k_cache, v_cache


def _token_by_token(q, k, v, k_cache, v_cache, position):
    reads = []
    for t in range(q.shape[2]):
        new = slice(t, t + 1)
        k_cache = _filled(k_cache, k[:, :, new], position + t)
        v_cache = _filled(v_cache, v[:, :, new], position + t)
        keys, values = (
            _shared(cache[:, :, : position + t + 1], q.shape[1]) for cache in (k_cache, v_cache)
        )
        reads.append(attended(q[:, :, new], keys, values))
    return torch.cat(reads, dim=2), k_cache, v_cache


def _situation(heads, groups, tokens, capacity, position, batch=2):
    """Return the arguments of a step; what the caches hold from `position` on is stale."""
    new = (batch, groups, tokens, 3)
    room = (batch, groups, capacity, 3)
    return call(
        numbers(batch, heads, tokens, 3),
        numbers(*new, shift=1),
        numbers(*new, shift=2),
        numbers(*room, shift=3),
        numbers(*room, shift=4),
        position,
    )


def _later_slots_of_nan():
    given = _situation(heads=2, groups=2, tokens=2, capacity=6, position=1)
    for cache in given.args[3:5]:
        cache[:, :, 3:] = torch.nan
    return given


CACHED_STEP = Exercise(
    id="attention.cached_step",
    title="One step with a cache",
    minutes=12,
    difficulty=3,
    statement=(
        "T new tokens (usually one) have the positions `position`, `position` + 1, ... Write "
        "their keys and values (B, G, T, D) into copies of the caches (B, G, N, D), let each "
        "new query of `q` (B, H, T, D) attend to everything up to its own position, and return "
        "(output, k_cache, v_cache). Heads share keys as in grouped_query_attention. The "
        "caches that are passed in stay unchanged, slots after the new tokens must not be "
        "read, since they may hold anything, nan too, and gradients must flow."
    ),
    solution=answers.cached_attention,
    reference=_step,
    generator=a_step,
    probes=(
        Probe(
            "the first token",
            lambda: _situation(heads=2, groups=2, tokens=1, capacity=4, position=0),
            "There are no earlier tokens: the token reads only itself, and its output is its "
            "own value.",
        ),
        Probe(
            "the third token",
            lambda: _situation(heads=2, groups=2, tokens=1, capacity=5, position=2),
            "It reads the two before it and itself, not the slots that are still unwritten.",
        ),
        Probe(
            "the last free place",
            lambda: _situation(heads=2, groups=2, tokens=1, capacity=3, position=2),
            "Afterwards the cache is full, and all of it is read.",
        ),
        Probe(
            "shared key heads",
            lambda: _situation(heads=4, groups=2, tokens=1, capacity=5, position=3),
            "The caches hold G key/value heads, each for H/G query heads.",
        ),
        Probe(
            "three new tokens at once",
            lambda: _situation(heads=2, groups=1, tokens=3, capacity=7, position=2),
            "No new token reads a later one.",
            gradient=True,
        ),
        Probe(
            "later slots that hold nan",
            _later_slots_of_nan,
            "A weight of 0 does not hide nan: 0 · nan is nan. Cut the caches at position + T.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the unwritten places read",
            lambda *given: _step(*given, reads=_whole_capacity),
            "You attend to the whole cache. Slots that are not written yet hold zeros or stale "
            "numbers, and even a key of zeros gets a weight: exp(0) = 1. Read up to position + "
            "T.",
        ),
        Misconception(
            "itself left out",
            lambda *given: _step(*given, reads=_past_alone),
            "The new token reads earlier tokens but not itself. Write first, then read up to "
            "and including its own position.",
        ),
        Misconception(
            "the past forgotten",
            lambda *given: _step(*given, reads=_new_alone),
            "Only the new tokens are read. They must read the cached ones too.",
        ),
        Misconception(
            "no mask among the new tokens",
            lambda *given: _step(*given, causal=False),
            "With one new token nothing is hidden. With several, the first must not read the "
            "second: use causal_mask(T, position + T).",
        ),
        Misconception(
            "the staircase starts in the upper left corner",
            lambda *given: _step(*given, reads=_upper_left),
            "Your new tokens are masked as if they were the first tokens of the text. They are "
            "the last: causal_mask(T, position + T) ends in the lower right corner.",
        ),
        Misconception(
            "written one place too late",
            lambda *given: _step(
                *given, start=min(given[5] + 1, given[3].shape[2]), reads=lambda p, m, e: p <= m
            ),
            "Positions are counted from 0: the first new token goes to slot `position` itself.",
        ),
        Misconception(
            "always written at the start",
            lambda *given: _step(*given, start=0),
            "You overwrite the oldest tokens. Write to the slots from `position` on.",
        ),
        Misconception(
            "the values forgotten",
            _values_forgotten,
            "Your cache of values did not change. The next step would read stale values here.",
        ),
        Misconception(
            "the caches unchanged",
            _caches_lost,
            "The output is right, but you return the caches without the new tokens, so the "
            "next step cannot read them. Return the copies that contain them.",
        ),
        Misconception(
            "appended after the last slot",
            _appended,
            "The caches already have room; appending makes them longer at every step. Write "
            "into the slots from `position` on.",
        ),
        Misconception(
            "cut to what is used",
            _cut,
            "You return only the part in use. The next step needs the free slots after it.",
        ),
        Misconception(
            "written in place",
            _in_place,
            "Here the caches that are passed in must not change: k_cache.clone() first. (In "
            "practice a cache *is* written in place, as the library's KVCache does.)",
        ),
        Misconception(
            "the gradient cut off",
            _cut_off,
            "All three are right, but no gradient flows through them. A caller who only "
            "generates can use torch.no_grad() around the call; inside the function, leave it "
            "out.",
        ),
        Misconception(
            "later slots masked, but still multiplied",
            lambda *given: _step(*given, reads=_masked_capacity),
            "Your weights of later slots are 0, but 0 · nan is nan, so what such a slot holds "
            "still reaches the output. Cut keys and values at position + T before you attend.",
        ),
        Misconception(
            "the scores not divided by √D",
            lambda *given: _step(*given, scale=1.0),
            "Divide the scores by the square root of the head width, as in every attention.",
        ),
        Misconception(
            "the keys and values detached",
            _keys_detached,
            "All three are right, but no gradient reaches k, v and the caches. Copy with clone() "
            "and leave detach() out.",
        ),
        Misconception(
            "itself left out, except in an empty cache",
            lambda *given: _step(*given, reads=_past_alone_if_any),
            "After cached tokens, your new token reads those before it but not itself. The "
            "diagonal starts at column `position`: tril(position), not tril(position − 1).",
        ),
    ),
    alternatives=(
        Alternative("by torch", _by_torch),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("token by token", _token_by_token),
    ),
    hints=(
        "Three steps: copy and write, attend, return all three.",
        "k_cache = k_cache.clone(); k_cache[:, :, position:end] = k, with end = position + T.",
        "attention.grouped_query_attention(q, k_cache[:, :, :end], v_cache[:, :, :end], mask) "
        "with mask = attention.causal_mask(T, end, q.device) gives the output.",
    ),
)
