"""Exercises on ALiBi: one slope per head, and the penalty on each pair of tokens."""

import math

import torch

from course_lib import attention
from course_lib import positions as library
from course_lib.chapters.rope.exercises.generators import a_number_of_heads, slopes_and_lengths
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _geometric(count, start=None):
    """Return `count` numbers, each the first times the one before."""
    first = 2.0 ** (-8 / count) if start is None else start
    return [first ** (head + 1) for head in range(count)]


def _slopes(num_heads):
    power = 1
    while 2 * power <= num_heads:
        power *= 2
    extra = _geometric(2 * power)[0::2][: num_heads - power]
    return torch.tensor(_geometric(power) + extra)


def _from_zero(num_heads):
    right = _slopes(num_heads)
    power = 2 ** int(math.log2(num_heads))
    return right * torch.tensor(
        [2 ** (8 / power)] * power + [2 ** (4 / power)] * (num_heads - power)
    )


def _without_a_step_between(num_heads):
    power = 2 ** int(math.log2(num_heads))
    extra = _geometric(2 * power)[: num_heads - power]
    return torch.tensor(_geometric(power) + extra)


def _as_the_hints_say(num_heads):
    power = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * h / power) for h in range(1, power + 1)]
    new = [2 ** (-4 * h / power) for h in range(1, 2 * power + 1, 2)]
    return torch.tensor(slopes + new[: num_heads - power])


def _recursive(num_heads):
    power = 1 << (num_heads.bit_length() - 1)
    if power == num_heads:
        return 2.0 ** (-8.0 * torch.arange(1, num_heads + 1) / num_heads)
    return torch.cat((_recursive(power), _recursive(2 * power)[::2][: num_heads - power]))


def _by_repeated_products(num_heads):
    power = 1 << (num_heads.bit_length() - 1)
    between = torch.full((2 * power,), 2 ** (-4 / power)).cumprod(0)
    return torch.cat((between[1::2], between[0::2]))[:num_heads]


def _next_power(num_heads):
    power = 1
    while power < num_heads:
        power *= 2
    return torch.tensor(_geometric(power)[:num_heads])


ALIBI_SLOPES = Exercise(
    id="rope.alibi_slopes",
    title="One slope per head",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the slopes of `num_heads` heads as a tensor: 2^(−8/H), 2^(−16/H), … 2^(−8). If "
        "H is not a power of two, take the slopes of the largest power of two P below it, then "
        "every second slope of 2P heads, starting with the first, until there are H."
    ),
    solution=library.alibi_slopes,
    reference=_slopes,
    generator=a_number_of_heads,
    probes=(
        Probe("8 heads", lambda: call(8), "For eight heads the slopes are ½, ¼, ⅛, … 1/256."),
        Probe(
            "4 heads", lambda: call(4), "Fewer heads, larger steps: the last slope is 2⁻⁸ again."
        ),
        Probe("1 head", lambda: call(1), "A single head has the slope 2⁻⁸."),
        Probe(
            "6 heads", lambda: call(6), "Four slopes as for 4 heads, and ½ and ⅛ from those for 8."
        ),
        Probe(
            "12 heads", lambda: call(12), "Eight slopes as for 8 heads, and four of those for 16."
        ),
    ),
    misconceptions=(
        Misconception(
            "counting heads from 0",
            _from_zero,
            "Head 0 has the slope 2^(−8/H), not 2⁰ = 1. Count heads from 1 in the exponent.",
        ),
        Misconception(
            "one formula for every number of heads",
            lambda num_heads: torch.tensor(_geometric(num_heads)),
            "This is right for powers of two. For other numbers, such as BLOOM's 112 heads, "
            "take the slopes of the power of two P below, then add slopes of 2P heads.",
        ),
        Misconception(
            "½, ¼, ⅛ for every number of heads",
            lambda num_heads: torch.tensor(_geometric(num_heads, start=0.5)),
            "½, ¼, ⅛, … are the slopes of eight heads. With a power of two H the ratio is "
            "2^(−8/H), so that the last slope is 2⁻⁸.",
        ),
        Misconception(
            "filled up with neighbours",
            _without_a_step_between,
            "Every second slope of 2P heads is among those of P already. Take the remaining "
            "ones: the first, third, fifth, …",
        ),
        Misconception(
            "slopes below zero",
            lambda num_heads: -_slopes(num_heads),
            "Slopes are positive here; the minus sign is part of the bias, −slope · distance.",
        ),
        Misconception(
            "evenly spaced slopes",
            lambda num_heads: torch.linspace(1, 0, num_heads + 1)[:-1],
            "The slopes form a geometric series: each is the previous one times the same factor.",
        ),
        Misconception(
            "the power of two above",
            _next_power,
            "You take the first H slopes of the next larger power of two. Take all slopes of "
            "the power of two *below* H, then add more.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("recursive", _recursive),
        Alternative("by repeated products, in float32", _by_repeated_products),
    ),
    hints=(
        "For a power of two: [2 ** (-8 * h / H) for h in 1 … H].",
        "The largest power of two up to H: 2 ** int(math.log2(H)).",
        "The slopes of 2P heads are 2 ** (-4 * h / P); those with odd h are new.",
    ),
)


def _bias(slopes, queries, keys=None):
    keys = queries if keys is None else keys
    rows = [
        [
            [-slope * abs(key - (keys - queries + query)) for key in range(keys)]
            for query in range(queries)
        ]
        for slope in slopes.tolist()
    ]
    return torch.tensor(rows)


def _offsets(queries, keys=None, aligned="end"):
    keys = queries if keys is None else keys
    start = keys - queries if aligned == "end" else 0
    return torch.arange(keys) - torch.arange(start, start + queries)[:, None]


def _with(form, aligned="end"):
    """Return a bias of the given form, a function of slope (H, 1, 1) and offset (T, S)."""

    def bias(slopes, queries, keys=None):
        return form(slopes[:, None, None], _offsets(queries, keys, aligned).to(slopes))

    return bias


def _bias_as_the_hints_say(slopes, queries, keys=None):
    distance = attention.token_offsets(queries, keys, slopes.device).abs()
    return -slopes[:, None, None] * distance


def _filled_cell_by_cell(slopes, queries, keys=None):
    keys = queries if keys is None else keys
    out = slopes.new_zeros(len(slopes), queries, keys)
    for i in range(queries):
        for j in range(keys):
            out[:, i, j] = -slopes * abs(keys - queries + i - j)
    return out


ALIBI_BIAS = Exercise(
    id="rope.alibi_bias",
    title="A penalty for distance",
    minutes=7,
    difficulty=2,
    statement=(
        "Return the bias (heads, queries, keys): −slope · |distance| for each head and pair of "
        "tokens, masked or not. The queries are the last tokens among the keys; without `keys` "
        "the two numbers are equal."
    ),
    solution=library.alibi_bias,
    reference=_bias,
    generator=slopes_and_lengths,
    probes=(
        Probe(
            "one head, three tokens",
            lambda: call(torch.tensor([0.5]), 3),
            "The diagonal is 0, since a token has distance 0 from itself. Next to it is −0.5.",
        ),
        Probe(
            "two heads",
            lambda: call(torch.tensor([0.5, 0.25]), 4),
            "Each head has its own table, scaled by its own slope.",
        ),
        Probe(
            "with a cache",
            lambda: call(torch.tensor([0.5, 0.25, 0.125]), 2, 5),
            "Two new tokens of five: the queries have the positions 3 and 4.",
        ),
        Probe(
            "1500 keys",
            lambda: call(torch.tensor([0.5]), 2, 1500),
            "No length is the largest: compute the table, rather than cut it from one of fixed "
            "size.",
        ),
    ),
    misconceptions=(
        Misconception(
            "no absolute value",
            _with(lambda slope, offset: slope * offset),
            "This is right for earlier tokens, but later tokens get a bonus instead of a "
            "penalty. With a causal mask that has no effect; in a model that reads in both "
            "directions it is wrong. Take the absolute value of the distance.",
        ),
        Misconception(
            "the wrong sign",
            _with(lambda slope, offset: slope * offset.abs()),
            "This rewards distance: the most distant tokens would get the largest weights.",
        ),
        Misconception(
            "the future masked as well",
            _with(
                lambda slope, offset: (-slope * offset.abs()).masked_fill(offset > 0, -torch.inf)
            ),
            "The mask is a separate argument of attention. Return only the penalties here.",
        ),
        Misconception(
            "queries at the start of the keys",
            _with(lambda slope, offset: -slope * offset.abs(), aligned="start"),
            "During generation with a cache the queries are the newest tokens: the last query "
            "has the position of the last key. Add keys − queries to the positions of the "
            "queries.",
        ),
        Misconception(
            "no absolute value, and queries at the start",
            _with(lambda slope, offset: slope * offset, aligned="start"),
            "Two mistakes. Later tokens get a bonus: take the absolute value. And with a cache "
            "the queries are the newest tokens: add keys − queries to their positions.",
        ),
        Misconception(
            "squared distance",
            _with(lambda slope, offset: -slope * offset**2),
            "ALiBi is linear: each additional token of distance costs the same.",
        ),
        Misconception(
            "one slope for all heads",
            lambda slopes, queries, keys=None: _bias(
                slopes.mean().expand(len(slopes)), queries, keys
            ),
            "Each head has its own slope: steep ones read nearby tokens, flat ones distant "
            "tokens too.",
        ),
    ),
    alternatives=(
        Alternative("by broadcasting", _with(lambda slope, offset: -slope * offset.abs())),
        Alternative("as the hints say", _bias_as_the_hints_say),
        Alternative("cell by cell", _filled_cell_by_cell),
    ),
    hints=(
        "course_lib.attention.token_offsets(queries, keys, slopes.device) is key position minus "
        "query position.",
        "Its absolute value is the distance, with the shape (queries, keys).",
        "-slopes[:, None, None] * distance broadcasts over the heads.",
    ),
)
