"""Exercises on masks: the causal and the padding mask."""

import torch

from course_lib import attention
from course_lib.chapters.attention.exercises.generators import lengths_and_side, queries_and_keys
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _staircase(queries, keys=None):
    """Return the causal mask, cell by cell in plain Python."""
    keys = queries if keys is None else keys
    past = keys - queries
    return torch.tensor([[j <= i + past for j in range(keys)] for i in range(queries)])


def _both(queries, keys):
    return queries, queries if keys is None else keys


def _strict(queries, keys=None):
    queries, keys = _both(queries, keys)
    return torch.ones(queries, keys).tril(keys - queries - 1).bool()


def _future(queries, keys=None):
    return _staircase(queries, keys).flip(-1).flip(-2)


def _from_upper_left(queries, keys=None):
    return torch.ones(_both(queries, keys)).tril().bool()


def _additive(queries, keys=None):
    allowed = _staircase(queries, keys)
    return torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf)


def _keys_times_keys(queries, keys=None):
    keys = _both(queries, keys)[1]
    return torch.ones(keys, keys).tril().bool()


def _queries_times_queries(queries, keys=None):
    return _staircase(queries)


def _one_too_many_in_the_future(queries, keys=None):
    queries, keys = _both(queries, keys)
    return torch.ones(queries, keys).tril(keys - queries + 1).bool()


def _upper_triangle(queries, keys=None):
    queries, keys = _both(queries, keys)
    return torch.ones(queries, keys).triu(keys - queries).bool()


def _above_the_diagonal(queries, keys=None):
    return torch.ones(_both(queries, keys)).triu(1).bool()


def _as_the_hints_say(queries, keys=None):
    queries, keys = _both(queries, keys)
    return torch.arange(keys) <= torch.arange(keys - queries, keys)[:, None]


def _row_by_row(queries, keys=None):
    queries, keys = _both(queries, keys)
    allowed = torch.zeros(queries, keys, dtype=torch.bool)
    for i in range(queries):
        allowed[i, : keys - queries + i + 1] = True
    return allowed


CAUSAL = Exercise(
    id="attention.causal_mask",
    title="The causal mask",
    minutes=6,
    difficulty=1,
    statement=(
        "Return a boolean table (queries, keys), True where the query may read the key: itself "
        "and everything before it. The queries are the last of the keys; without `keys` the "
        "two numbers are equal."
    ),
    solution=attention.causal_mask,
    reference=_staircase,
    generator=queries_and_keys,
    same_dtype=True,
    probes=(
        Probe(
            "three tokens",
            lambda: call(3),
            "Each token reads itself and what came before: a staircase with a full last row.",
        ),
        Probe("one token", lambda: call(1), "A token may always read itself."),
        Probe(
            "the newest of five",
            lambda: call(1, 5),
            "One new query after four cached tokens: it is the last, so it may read all five.",
        ),
        Probe(
            "the newest two of five",
            lambda: call(2, 5),
            "The first of two new tokens may not read the second; both read the three before them.",
        ),
        Probe(
            "the newest two of 1500",
            lambda: call(2, 1500),
            "A text may be of any length: a table that is made in advance ends somewhere.",
        ),
    ),
    misconceptions=(
        Misconception(
            "itself left out",
            _strict,
            "In your table no token may read itself, and the first one may read nothing at "
            "all. The diagonal is allowed.",
        ),
        Misconception(
            "the future allowed",
            _future,
            "In your table tokens read what comes after them. Row i is the query; it may read "
            "the columns j up to i.",
        ),
        Misconception(
            "the mask inverted",
            lambda queries, keys=None: ~_staircase(queries, keys),
            'In this course True means "may attend". You marked what is forbidden.',
        ),
        Misconception(
            "the staircase starts in the upper left corner",
            _from_upper_left,
            "With fewer queries than keys, the queries are the *newest* tokens. Your first "
            "query reads only the first key, as if it were the oldest token. Shift the "
            "staircase by keys − queries, so that it ends in the lower right corner.",
        ),
        Misconception(
            "numbers in place of booleans",
            _additive,
            "This is the additive form, 0 and −inf, which is added to the scores. Here a mask "
            "is boolean; `additive_mask` converts it to the additive form.",
        ),
        Misconception(
            "zeros and ones",
            lambda queries, keys=None: _staircase(queries, keys).float(),
            "Many libraries would add a mask of floats to the scores, as +1 and +0. Return "
            "booleans: `.bool()`, or a comparison.",
        ),
        Misconception(
            "a square over all keys",
            _keys_times_keys,
            "There must be one row for each query; you return one for each key.",
        ),
        Misconception(
            "the keys forgotten",
            _queries_times_queries,
            "There must be one column for each key, cached ones included; you ignore `keys`.",
        ),
        Misconception(
            "one token of the future",
            _one_too_many_in_the_future,
            "Your queries read one token after themselves: the one that they must predict. "
            "Stop at the query's own position: `<=`, or tril(keys − queries).",
        ),
        Misconception(
            "the upper triangle",
            _upper_triangle,
            "`triu` keeps the diagonal and what is above it: the query and later tokens. "
            "Earlier tokens are below: `tril`.",
        ),
        Misconception(
            "the upper triangle, without the diagonal",
            _above_the_diagonal,
            "`triu(1)` marks what is hidden, for a mask in which True means hidden. Here True "
            'means "may attend", and with earlier keys the diagonal is shifted by keys − '
            "queries.",
        ),
        Misconception(
            "the table transposed",
            lambda queries, keys=None: _staircase(queries, keys).T,
            "Your table is (keys, queries). Queries are the rows and keys the columns, as in the "
            "scores q @ k.T.",
        ),
    ),
    alternatives=(
        Alternative(
            "by tril",
            lambda queries, keys=None: torch.ones(_both(queries, keys), dtype=torch.bool).tril(
                _both(queries, keys)[1] - queries
            ),
        ),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "Compare positions: query i may read key j where position j <= position i.",
        "torch.arange(keys) are the positions of the keys. The queries have the last of them: "
        "torch.arange(keys - queries, keys).",
        "key_positions <= query_positions[:, None] is the whole table.",
    ),
)


def _cell_by_cell(lengths, keys, side="right"):
    rows = []
    for length in lengths.tolist():
        padding = [False] * (keys - length)
        rows.append([True] * length + padding if side == "right" else padding + [True] * length)
    return torch.tensor(rows)[:, None, None, :]


def _over_queries(lengths, keys, side="right"):
    return _cell_by_cell(lengths, keys, side).transpose(-2, -1)


def _square(lengths, keys, side="right"):
    mask = _cell_by_cell(lengths, keys, side)
    return mask & mask.transpose(-2, -1)


def _one_too_many(lengths, keys, side="right"):
    return _cell_by_cell((lengths + 1).clamp(max=keys), keys, side)


def _one_too_few(lengths, keys, side="right"):
    return _cell_by_cell((lengths - 1).clamp(min=0), keys, side)


def _sliced_from_the_end(lengths, keys, side="right"):
    mask = torch.zeros(len(lengths), 1, 1, keys, dtype=torch.bool)
    for b, length in enumerate(lengths.tolist()):
        mask[b, ..., slice(length) if side == "right" else slice(-length, None)] = True
    return mask


def _by_slices(lengths, keys, side="right"):
    mask = lengths.new_zeros(len(lengths), 1, 1, keys, dtype=torch.bool)
    for b, length in enumerate(lengths.tolist()):
        mask[b, ..., slice(length) if side == "right" else slice(keys - length, None)] = True
    return mask


def _padding_as_the_hints_say(lengths, keys, side="right"):
    place = torch.arange(keys, device=lengths.device)
    table = (place if side == "right" else place.flip(0)) < lengths[:, None]
    return table[:, None, None, :]


PADDING = Exercise(
    id="attention.padding_mask",
    title="Texts of unequal length",
    minutes=6,
    difficulty=2,
    statement=(
        "Return a boolean mask of shape (B, 1, 1, keys): row b has `lengths[b]` real tokens, with "
        "the padding to their right, or to their left for side='left'. True where there is a token."
    ),
    solution=attention.padding_mask,
    reference=_cell_by_cell,
    generator=lengths_and_side,
    same_dtype=True,
    probes=(
        Probe(
            "one text, half full",
            lambda: call(torch.tensor([2]), 5),
            "Two tokens, then three places of padding.",
        ),
        Probe(
            "three texts",
            lambda: call(torch.tensor([3, 1, 4]), 4),
            "Each text has its own length; the longest has no padding.",
        ),
        Probe(
            "padding on the left",
            lambda: call(torch.tensor([3, 1]), 4, side="left"),
            "For generation, padding goes on the left, so that the last place holds a token.",
        ),
        Probe(
            "an empty text",
            lambda: call(torch.tensor([0, 2]), 3),
            "An empty text may fill up a batch: none of its places may be read.",
        ),
        Probe(
            "a long text",
            lambda: call(torch.tensor([1400, 3]), 1500, side="left"),
            "A text may be of any length.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the mask inverted",
            lambda lengths, keys, side="right": ~_cell_by_cell(lengths, keys, side),
            'You marked the padding. In this course True means "may attend".',
        ),
        Misconception(
            "the side ignored",
            lambda lengths, keys, side="right": _cell_by_cell(lengths, keys),
            "Your tokens are always on the left, with the padding to their right. For "
            "side='left' the padding comes first.",
        ),
        Misconception(
            "the sides swapped",
            lambda lengths, keys, side="right": _cell_by_cell(
                lengths, keys, "left" if side == "right" else "right"
            ),
            "`side` is the side of the *padding*, not of the tokens.",
        ),
        Misconception(
            "one table for the whole batch",
            lambda lengths, keys, side="right": _cell_by_cell(lengths, keys, side)[:, 0, 0],
            "Your table is (B, keys). Scores are (B, H, T, keys), and broadcasting lines up "
            "axes from the right: B would line up with the queries. Insert two axes of size 1.",
        ),
        Misconception(
            "queries masked in place of keys",
            _over_queries,
            "You mask padding as queries: it reads nothing, but all other queries still read "
            "it. Hide it as keys, along the last axis.",
        ),
        Misconception(
            "a square for each text",
            _square,
            "You hide padding as key and as query. Then a padding query may read nothing, "
            "which gives nan in many libraries. The output of padding queries is never used, "
            "so hide only the keys.",
        ),
        Misconception(
            "one place too many",
            _one_too_many,
            "The first place of padding is read. Places are counted from 0, so those *below* "
            "the length are tokens: `<`, not `<=`.",
        ),
        Misconception(
            "one place too few",
            _one_too_few,
            "The last token is hidden. Places are counted from 0, so places 0 to length − 1 "
            "are tokens.",
        ),
        Misconception(
            "the slice from −0",
            _sliced_from_the_end,
            "For an empty text, `-length:` is `-0:`, which selects the whole row. Start at "
            "keys − length.",
        ),
    ),
    alternatives=(
        Alternative(
            "by sorting places",
            lambda lengths, keys, side="right": (
                lengths.view(-1, 1, 1, 1).gt(torch.arange(keys, device=lengths.device))
                if side == "right"
                else torch.arange(-keys, 0, device=lengths.device) >= -lengths.view(-1, 1, 1, 1)
            ),
        ),
        Alternative("by slices", _by_slices),
        Alternative("as the hints say", _padding_as_the_hints_say),
    ),
    hints=(
        "place = torch.arange(keys, device=lengths.device) are the places 0, 1, ... Which of them "
        "hold a token?",
        "place < lengths[:, None] has one row for each text. For padding on the left, count "
        "the places from the other end.",
        "Two axes of size 1 let it broadcast over heads and queries: table[:, None, None, :].",
    ),
)
