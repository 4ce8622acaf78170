"""The exercise on memory: one step of a cache of fixed size."""

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


def _old_alone(*given):
    return _step(*given, allowed=lambda place, own, length: place < length)


def _triangle_in_the_corner(*given):
    return _step(*given, allowed=lambda place, own, length: place <= own - length)


def _values_forgotten(keys, values, k, v, length):
    written, _, mask = _step(keys, values, k, v, length)
    return written, values, mask


def _swapped(keys, values, k, v, length):
    return _step(keys, values, v, k, length)


def _turned_round(*given):
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


def _new_alone(keys, values, k, v, length):
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
    places = torch.arange(keys.shape[2])
    return keys, values, places <= places[length : length + k.shape[2]][:, None]


def _by_cat(keys, values, k, v, length):
    new, room = k.shape[2], keys.shape[2]
    keys = torch.cat((keys[:, :, :length], k, keys[:, :, length + new :]), 2)
    values = torch.cat((values[:, :, :length], v, values[:, :, length + new :]), 2)
    return keys, values, torch.ones(new, room).tril(length).bool()


def _by_slice_scatter(keys, values, k, v, length):
    end = length + k.shape[2]
    mask = torch.ones(keys.shape[2], keys.shape[2], dtype=torch.bool).tril()[length:end]
    return (
        keys.slice_scatter(k, 2, length, end),
        values.slice_scatter(v, 2, length, end),
        mask,
    )


def _row_by_row(keys, values, k, v, length):
    keys, values = keys.clone(), values.clone()
    mask = torch.zeros(k.shape[2], keys.shape[2], dtype=torch.bool)
    for i in range(k.shape[2]):
        keys[:, :, length + i] = k[:, :, i]
        values[:, :, length + i] = v[:, :, i]
        mask[i, : length + i + 1] = True
    return keys, values, mask


def _situation(tokens, capacity, length):
    new, room = (2, 2, tokens, 3), (2, 2, capacity, 3)
    return call(uneven(*room), uneven(*room) + 10, uneven(*new) + 20, uneven(*new) + 30, length)


CACHE = Exercise(
    id="generation.cache",
    title="Where the new row goes",
    minutes=9,
    difficulty=2,
    statement=(
        "`keys` and `values` (B, G, N, D) have room for N tokens, of which `length` are written; T "
        "new ones, `k` and `v` (B, G, T, D), come behind them. Return (keys, values, mask): copies "
        "with the new rows in, and a mask (T, N), True where a new token may read."
    ),
    solution=answers.update_cache,
    reference=_step,
    generator=cache_inputs,
    probes=(
        Probe(
            "the first token",
            lambda: _situation(tokens=1, capacity=3, length=0),
            "An empty cache: the token goes to place 0 and reads itself alone.",
        ),
        Probe(
            "one more",
            lambda: _situation(tokens=1, capacity=5, length=2),
            "Two are written, at 0 and 1. The third goes to place 2 and reads 0, 1 and 2.",
        ),
        Probe(
            "the last free place",
            lambda: _situation(tokens=1, capacity=4, length=3),
            "Now the cache is full, and all of it is read.",
        ),
        Probe(
            "three at once",
            lambda: _situation(tokens=3, capacity=7, length=2),
            "Among the new tokens, too, none reads a later one.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the last one overwritten",
            _overwritten,
            "You wrote to length − 1, where the newest old token stands. Places are counted from "
            "0, so the first free one is `length` itself.",
        ),
        Misconception(
            "a gap left",
            _gap,
            "You wrote to length + 1, and left a place that holds rubbish and will be read.",
        ),
        Misconception(
            "unwritten places read",
            _all_read,
            "Your mask allows the whole cache. What is not written yet holds zeros or old numbers, "
            "and softmax gives them a share.",
        ),
        Misconception(
            "itself left out",
            _itself_hidden,
            "A token reads itself as well: place <= own place, not <.",
        ),
        Misconception(
            "new tokens read ahead",
            _new_see_each_other,
            "All new tokens may read all new tokens. Each may read up to itself.",
        ),
        Misconception(
            "the old ones alone",
            _old_alone,
            "Your tokens read what was written before this step, but neither each other nor "
            "themselves.",
        ),
        Misconception(
            "the mask turned round",
            _turned_round,
            "Your mask is True where a token must not read. In this course True means: may read.",
        ),
        Misconception(
            "numbers in place of a mask",
            _scores_to_add,
            "You return what would be added to the scores, 0 and −inf. Asked for is the mask: True "
            "and False.",
        ),
        Misconception(
            "grown, not filled",
            _grown,
            "You glued the new rows on and returned what is written. The cache has its room from "
            "the start, N places: write into it, and let the mask hide the rest.",
        ),
        Misconception(
            "the triangle in the wrong corner",
            _triangle_in_the_corner,
            "Token i of the new ones stands at place length + i, not i. Your mask is that of an "
            "empty cache.",
        ),
        Misconception(
            "values forgotten",
            _values_forgotten,
            "The keys are written, the values are not: tokens are found and read as nonsense.",
        ),
        Misconception(
            "keys and values swapped",
            _swapped,
            "You wrote the new keys into the values and the other way round.",
        ),
        Misconception(
            "one place too many",
            _one_ahead,
            "Each token also reads the place after its own: the next token, or one that is not "
            "written yet. Token i stands at place length + i, and that is the last that it reads.",
        ),
        Misconception(
            "0 and 1 in place of a mask",
            _zeros_and_ones,
            "These are numbers. A mask holds True and False: compare, or end with .bool().",
        ),
        Misconception(
            "a mask over the new tokens alone",
            _new_alone,
            "Your mask is (T, T). The new tokens also read the old ones: it is (T, N), over the "
            "cache.",
        ),
        Misconception(
            "written at the end",
            _at_the_end,
            "You wrote to the last places of the cache. The new rows follow the `length` written "
            "ones.",
        ),
        Misconception(
            "the upper triangle",
            _upper_triangle,
            "Your tokens read themselves and what comes later. They read what came before: tril, "
            "<=.",
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
        "places = torch.arange(N); the new tokens stand at places[length : length + T]; each reads "
        "places <= its own: compare with [:, None].",
    ),
)
