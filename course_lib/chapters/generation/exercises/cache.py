"""Exercises on memory: positions under left padding, and one step of a cache."""

import torch

from course_lib import generation
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _counted(padding, tokens):
    rows = []
    for row in padding.tolist():
        places, seen = [], 0
        for real in row:
            places.append(max(seen if real else seen - 1, 0))
            seen += real
        rows.append(places[len(row) - tokens :])
    return torch.tensor(rows)


def _padding_counted(padding, tokens):
    size = padding.shape[1]
    return torch.arange(size - tokens, size).expand(len(padding), -1).clone()


def _from_one(padding, tokens):
    return padding.long().cumsum(-1)[:, padding.shape[1] - tokens :]


def _restarted(padding, tokens):
    new = padding[:, padding.shape[1] - tokens :].long()
    return (new.cumsum(-1) - 1).clamp(min=0)


def _first_ones(padding, tokens):
    return (padding.long().cumsum(-1) - 1).clamp(min=0)[:, :tokens]


def _negative_left(padding, tokens):
    return (padding.long().cumsum(-1) - 1)[:, padding.shape[1] - tokens :]


def _counted_back(padding, tokens):
    last = padding.long().sum(-1, keepdim=True) - 1
    return last - torch.arange(tokens - 1, -1, -1)


def _padding_at_one(padding, tokens):
    places = (padding.long().cumsum(-1) - 1).masked_fill(~padding, 1)
    return places[:, padding.shape[1] - tokens :]


def _pads(*rows):
    return torch.tensor(rows, dtype=torch.bool)


POSITIONS = Exercise(
    id="generation.positions",
    title="Who stands where",
    minutes=6,
    difficulty=2,
    statement=(
        "`padding` (B, S) is True at real tokens, which stand on the right. Return the positions "
        "of the newest `tokens` columns, (B, tokens): every row counts its own real tokens from 0. "
        "A padded place gets 0."
    ),
    solution=generation.token_positions,
    reference=_counted,
    probes=(
        Probe("no padding", lambda: call(_pads([1, 1, 1]), 3), "0, 1, 2."),
        Probe(
            "two rows, the whole prompt",
            lambda: call(_pads([1, 1, 1, 1], [0, 0, 1, 1]), 4),
            "The second row begins to count at its first real token.",
        ),
        Probe(
            "one new token",
            lambda: call(_pads([1, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]), 1),
            "The cache holds 4 columns, but the rows have 4, 1 and 3 tokens before the new one.",
        ),
        Probe(
            "two new tokens",
            lambda: call(_pads([0, 0, 1, 1, 1], [0, 1, 1, 1, 1]), 2),
            "The newest columns are the last ones.",
        ),
    ),
    misconceptions=(
        Misconception(
            "padding counted",
            _padding_counted,
            "You number the columns. A padded row is then told that its first word stands far into "
            "the text. Sum up the real tokens: padding.cumsum(-1).",
        ),
        Misconception(
            "counted from 1",
            _from_one,
            "The running sum counts a token itself, so that the first gets 1. Subtract 1.",
        ),
        Misconception(
            "begun anew at the new tokens",
            _restarted,
            "You counted the new columns alone, so that every step begins at 0 again. Count over "
            "all S columns, then take the last ones.",
        ),
        Misconception(
            "the oldest columns",
            _first_ones,
            "You returned the first columns. The new tokens are the last ones.",
        ),
        Misconception(
            "padding before the beginning",
            _negative_left,
            "A padded place gets −1, and a table of positions has no row −1. Clamp at 0.",
        ),
        Misconception(
            "counted backwards into the padding",
            _counted_back,
            "Counting back from the newest token is right for the text. In front of it you get "
            "−1, −2 and so on, which are no positions. Clamp at 0.",
        ),
        Misconception(
            "padding at position 1",
            _padding_at_one,
            "The real tokens stand where they should. transformers gives padding a 1, as you do, "
            "and nobody reads it; asked for is 0 here.",
        ),
    ),
    alternatives=(Alternative("by a loop", _counted),),
    hints=(
        "padding.long().cumsum(-1) counts the real tokens up to each column.",
        "Subtract 1, clamp at 0, and take the last `tokens` columns: [:, S - tokens:].",
    ),
)


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
    solution=generation.update_cache,
    reference=_step,
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
    ),
    hints=(
        "Copy first: keys = keys.clone(). The new rows go to length … length + T − 1.",
        "keys[:, :, length : length + T] = k, and the same for the values.",
        "places = torch.arange(N); the new tokens stand at places[length : length + T]; each reads "
        "places <= its own: compare with [:, None].",
    ),
)
