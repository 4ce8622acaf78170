"""The exercise on the cache: one step with a cache of fixed size."""

import torch

from course_lib.chapters.generation import answers
from course_lib.chapters.generation.exercises.generators import cache_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _filled(cache, new, start):
    rows = list(cache.unbind(2))
    for offset, row in enumerate(new.unbind(2)):
        if 0 <= start + offset < len(rows):
            rows[start + offset] = row
    return torch.stack(rows, dim=2)


def _step(keys, values, k, v, length, start=None, allowed=lambda place, own, length: place <= own):
    start = length if start is None else start
    mask = [
        [allowed(place, length + i, length) for place in range(keys.shape[2])]
        for i in range(k.shape[2])
    ]
    return _filled(keys, k, start), _filled(values, v, start), torch.tensor(mask)


def _overwritten(keys, values, k, v, length):
    return _step(keys, values, k, v, length, start=max(length - 1, 0))


def _gap(keys, values, k, v, length):
    return _step(keys, values, k, v, length, start=length + 1)


def _all_read(*given):
    return _step(*given, allowed=lambda place, own, length: True)


def _itself_hidden(*given):
    return _step(*given, allowed=lambda place, own, length: place < own)


def _new_see_each_other(keys, values, k, v, length):
    end = length + k.shape[2]
    return _step(keys, values, k, v, length, allowed=lambda place, own, length: place < end)


def _only_old(*given):
    return _step(*given, allowed=lambda place, own, length: place < length)


def _triangle_in_the_corner(*given):
    return _step(*given, allowed=lambda place, own, length: place <= own - length)


def _values_forgotten(keys, values, k, v, length):
    written, _, mask = _step(keys, values, k, v, length)
    return written, values, mask


def _swapped(keys, values, k, v, length):
    return _step(keys, values, v, k, length)


def _inverted(*given):
    return _step(*given, allowed=lambda place, own, length: place > own)


def _scores_to_add(*given):
    keys, values, mask = _step(*given)
    return keys, values, torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))


def _grown(keys, values, k, v, length):
    mask = _step(keys, values, k, v, length)[2][:, : length + k.shape[2]]
    longer = (torch.cat((old[:, :, :length], new), 2) for old, new in ((keys, k), (values, v)))
    return *longer, mask


def _one_ahead(*given):
    return _step(*given, allowed=lambda place, own, length: place <= own + 1)


def _zeros_and_ones(*given):
    keys, values, mask = _step(*given)
    return keys, values, mask.float()


def _only_new(keys, values, k, v, length):
    keys, values, mask = _step(keys, values, k, v, length)
    return keys, values, mask[:, length : length + k.shape[2]]


def _at_the_end(keys, values, k, v, length):
    start = keys.shape[2] - k.shape[2]
    return *_step(keys, values, k, v, length, start)[:2], _step(keys, values, k, v, length)[2]


def _upper_triangle(*given):
    return _step(*given, allowed=lambda place, own, length: place >= own)


def _in_copies(keys, values, k, v, length):
    keys, values = keys.clone(), values.clone()
    keys[:, :, length : length + k.shape[2]] = k
    values[:, :, length : length + k.shape[2]] = v
    places = torch.arange(keys.shape[2], device=keys.device)
    return keys, values, places <= places[length : length + k.shape[2]][:, None]


def _by_cat(keys, values, k, v, length):
    new, room = k.shape[2], keys.shape[2]
    keys = torch.cat((keys[:, :, :length], k, keys[:, :, length + new :]), 2)
    values = torch.cat((values[:, :, :length], v, values[:, :, length + new :]), 2)
    return keys, values, keys.new_ones(new, room).tril(length).bool()


def _by_slice_scatter(keys, values, k, v, length):
    end = length + k.shape[2]
    mask = keys.new_ones(keys.shape[2], keys.shape[2], dtype=torch.bool).tril()[length:end]
    return (
        keys.slice_scatter(k, 2, length, end),
        values.slice_scatter(v, 2, length, end),
        mask,
    )


def _row_by_row(keys, values, k, v, length):
    keys, values = keys.clone(), values.clone()
    mask = k.new_zeros(k.shape[2], keys.shape[2], dtype=torch.bool)
    for i in range(k.shape[2]):
        keys[:, :, length + i] = k[:, :, i]
        values[:, :, length + i] = v[:, :, i]
        mask[i, : length + i + 1] = True
    return keys, values, mask


def _situation(tokens, capacity, length):
    new, room = (2, 2, tokens, 3), (2, 2, capacity, 3)
    return call(uneven(*room), uneven(*room) + 10, uneven(*new) + 20, uneven(*new) + 30, length)


def _stale():
    given = _situation(tokens=2, capacity=6, length=1)
    for cache in given.args[:2]:
        cache[:, :, 1:] = torch.nan
    return given


CACHE = Exercise(
    id="generation.cache",
    title="Write into a cache",
    minutes=9,
    difficulty=2,
    statement=(
        "`keys` and `values` (B, G, N, D) have room for N tokens, of which `length` are filled; T "
        "new ones, `k` and `v` (B, G, T, D), come after them. Return (keys, values, mask): copies "
        "that contain the new rows, and a boolean mask (T, N), True where a new token may attend: "
        "to all filled places up to and including its own. Free places may hold anything, nan too. "
        "Do not change the inputs."
    ),
    solution=answers.update_cache,
    reference=_step,
    generator=cache_inputs,
    probes=(
        Probe(
            "the first token",
            lambda: _situation(tokens=1, capacity=3, length=0),
            "An empty cache: the token goes to place 0 and attends only to itself.",
        ),
        Probe(
            "one more",
            lambda: _situation(tokens=1, capacity=5, length=2),
            "Two places are filled, 0 and 1. The third token goes to place 2 and attends to 0, 1 "
            "and 2.",
        ),
        Probe(
            "the last free place",
            lambda: _situation(tokens=1, capacity=4, length=3),
            "Now the cache is full, and the token attends to all of it.",
        ),
        Probe(
            "three at once",
            lambda: _situation(tokens=3, capacity=7, length=2),
            "Among the new tokens, too, none attends to a later one.",
        ),
        Probe(
            "free places that hold nan",
            _stale,
            "What a free place holds is replaced, not multiplied by 0 or added to.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the last token overwritten",
            _overwritten,
            "You wrote to length − 1, the place of the newest cached token. Places are counted "
            "from 0, so the first free one is `length` itself.",
        ),
        Misconception(
            "a gap left",
            _gap,
            "You wrote to length + 1 and left an unfilled place that will be attended to.",
        ),
        Misconception(
            "unfilled places attended to",
            _all_read,
            "Your mask allows the whole cache. Unfilled places hold zeros or old numbers, and "
            "softmax gives them weight.",
        ),
        Misconception(
            "itself left out",
            _itself_hidden,
            "A token attends to itself as well: place <= own place, not <.",
        ),
        Misconception(
            "new tokens attend to later ones",
            _new_see_each_other,
            "Each new token attends to all new tokens. It may attend only up to itself.",
        ),
        Misconception(
            "only the cached tokens",
            _only_old,
            "Your tokens attend to what was cached before this step, but neither to each other "
            "nor to themselves.",
        ),
        Misconception(
            "the mask inverted",
            _inverted,
            "Your mask is True where a token must not attend. In this course True means: may "
            "attend.",
        ),
        Misconception(
            "an additive mask",
            _scores_to_add,
            "You return what would be added to the attention scores, 0 and −inf. Return a boolean "
            "mask: True and False.",
        ),
        Misconception(
            "appended, not filled",
            _grown,
            "You concatenated the new rows to the filled part. The cache keeps its N places: write "
            "into it, and let the mask hide the rest.",
        ),
        Misconception(
            "the triangle in the wrong corner",
            _triangle_in_the_corner,
            "New token i is at place length + i, not i. Your mask is that of an empty cache.",
        ),
        Misconception(
            "values forgotten",
            _values_forgotten,
            "You wrote the keys but not the values: attention finds a token and reads the wrong "
            "value.",
        ),
        Misconception(
            "keys and values swapped",
            _swapped,
            "You wrote the new keys into the values and the new values into the keys.",
        ),
        Misconception(
            "one place too many",
            _one_ahead,
            "Each token also attends to the place after its own: the next token, or an unfilled "
            "one. Token i is at place length + i, the last that it attends to.",
        ),
        Misconception(
            "0 and 1 instead of a mask",
            _zeros_and_ones,
            "These are numbers. A mask holds True and False: compare, or end with .bool().",
        ),
        Misconception(
            "a mask over the new tokens only",
            _only_new,
            "Your mask is (T, T). The new tokens also attend to the cached ones: it is (T, N).",
        ),
        Misconception(
            "written at the end",
            _at_the_end,
            "You wrote to the last places of the cache. The new rows follow the `length` filled "
            "ones.",
        ),
        Misconception(
            "the upper triangle",
            _upper_triangle,
            "Your tokens attend to themselves and to later ones. They attend to earlier ones: "
            "tril, or <=.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _in_copies),
        Alternative("by torch.cat and tril", _by_cat),
        Alternative("by slice_scatter", _by_slice_scatter),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "Copy first: keys = keys.clone(). The new rows go to length … length + T − 1.",
        "keys[:, :, length : length + T] = k, and the same for the values.",
        "places = torch.arange(N, device=keys.device); the new tokens are at "
        "places[length : length + T]; each attends to places <= its own: compare with [:, None].",
    ),
)
