"""The exercise on sampling: from probabilities and a random number to a token."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import draw_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _walk(probabilities, uniform):
    found = []
    for row, u in zip(probabilities.tolist(), uniform.tolist(), strict=True):
        end, token = 0.0, 0
        for place, share in enumerate(row):
            end += share
            token = place if share else token
            if u < end:
                break
        found.append(token)
    return torch.tensor(found)


def _before_the_piece(probabilities, uniform):
    return (_walk(probabilities, uniform) - 1).clamp(min=0)


def _boundary_below(probabilities, uniform):
    return (probabilities.cumsum(-1) < uniform[:, None]).sum(-1)


def _first_more_likely(probabilities, uniform):
    return (probabilities > uniform[:, None]).long().argmax(-1)


def _from_the_best(probabilities, uniform):
    ordered, order = probabilities.sort(-1, descending=True)
    place = (ordered.cumsum(-1) <= uniform[:, None]).sum(-1, keepdim=True)
    return order.gather(1, place)[:, 0]


def _one_number_for_all(probabilities, uniform):
    return _walk(probabilities, uniform[:1].expand(len(uniform)))


def _count_of_ends(probabilities, uniform):
    return (probabilities.cumsum(-1) <= uniform[:, None]).sum(-1)


def _clamped_count(probabilities, uniform):
    return _count_of_ends(probabilities, uniform).clamp(max=probabilities.shape[1] - 1)


def _without_the_last_end(probabilities, uniform):
    ends = probabilities.cumsum(-1)
    return (ends.masked_fill(ends >= ends[:, -1:], 2.0) <= uniform[:, None]).sum(-1)


def _by_searchsorted(probabilities, uniform):
    ends = probabilities.cumsum(-1)
    ends = torch.where(ends == ends[:, -1:], 1.0, ends)
    return torch.searchsorted(ends, uniform[:, None], right=True)[:, 0]


def _by_a_loop(probabilities, uniform):
    tokens = []
    for row, u in zip(probabilities, uniform, strict=True):
        possible = row.nonzero()[:, 0].tolist()
        ends = row.cumsum(0)
        tokens.append(next((i for i in possible if ends[i] > u), possible[-1]))
    return torch.tensor(tokens, device=probabilities.device)


def _at_most_the_last(probabilities, uniform):
    places = torch.arange(probabilities.shape[-1], device=probabilities.device)
    last = torch.where(probabilities > 0, places, 0).amax(-1)
    return torch.minimum(_count_of_ends(probabilities, uniform), last)


_SHARES = [0.5, 0.25, 0.0, 0.125, 0.125]


def _numbers(*numbers, row=_SHARES):
    rows = torch.tensor([row] * len(numbers), dtype=torch.float64)
    return call(rows, torch.tensor(numbers, dtype=torch.float64))


DRAW = Exercise(
    id="generation.draw",
    title="Sample a token",
    minutes=6,
    difficulty=2,
    statement=(
        "Lay the probabilities of each row of `probabilities` (B, V) side by side on a line from 0 "
        "to 1, in the order of the vocabulary. Return for each row the token (B,) whose interval "
        "contains uniform[b], a number in [0, 1). An interval contains its left end, not its right "
        "one. If rounding leaves a sum below 1, the last interval that is not empty extends to 1. "
        "Tokens are integers."
    ),
    same_dtype=True,
    solution=generation.draw,
    reference=_walk,
    generator=draw_inputs,
    probes=(
        Probe(
            "inside an interval",
            lambda: _numbers(0.1, 0.6, 0.8, 0.95),
            "The running sums are where the intervals end.",
        ),
        Probe(
            "on the edge",
            lambda: _numbers(0.5, 0.875),
            "0.5 is where the first interval ends and the second starts: it belongs to the second.",
        ),
        Probe(
            "an empty interval",
            lambda: _numbers(0.75, 0.74),
            "A token of probability 0 has an interval of length 0 and is never sampled.",
        ),
        Probe(
            "the number 0",
            lambda: _numbers(0.0, row=[0.0, 0.25, 0.75]),
            "Token 0 has probability 0, so 0 falls into the interval of token 1.",
        ),
        Probe(
            "not in order of likelihood",
            lambda: _numbers(0.05, 0.3, 0.99, row=[0.125, 0.625, 0.25]),
            "The intervals are in the order of the vocabulary.",
        ),
        Probe(
            "a sum below 1",
            lambda: _numbers(0.995, 0.9, row=[0.25, 0.5, 0.24, 0.0]),
            "The sum is 0.99. Numbers above it belong to token 2, the last with an interval: "
            "token 3 has probability 0, and there is no token 4.",
        ),
        Probe(
            "many small probabilities",
            lambda: _numbers(0.25, 0.7001, 0.99999, row=[2**-12] * 2**12),
            "4 096 tokens of equal probability: each has its interval, however small.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one token too early",
            _before_the_piece,
            "Count the intervals that end at or before the number: that is the index of the token. "
            "You return one less.",
        ),
        Misconception(
            "the right end included",
            _boundary_below,
            "At a boundary you stay in the interval that ends there, so the number 0 can select a "
            "token of probability 0. Count the ends with <= u.",
        ),
        Misconception(
            "the first that is more likely than u",
            _first_more_likely,
            "You compare single probabilities with the number. Add them up: what counts is where "
            "an interval ends.",
        ),
        Misconception(
            "sorted first",
            _from_the_best,
            "The frequencies are right, but the intervals are in the order of the vocabulary. Do "
            "not sort.",
        ),
        Misconception(
            "the likeliest token",
            lambda probabilities, uniform: probabilities.argmax(-1),
            "That is greedy decoding: the number has no effect. Find the interval that contains "
            "it.",
        ),
        Misconception(
            "one number for all rows",
            _one_number_for_all,
            "You used the first number for every row. Each row has its own: uniform[:, None].",
        ),
        Misconception(
            "beyond the last token",
            _count_of_ends,
            "If rounding leaves the sum of a row below 1, a number can lie beyond all ends, and "
            "you return V, which is no token. Let the last interval that is not empty extend to 1.",
        ),
        Misconception(
            "an impossible last token",
            _clamped_count,
            "You clamp at V − 1, but that token may have probability 0. A number beyond all ends "
            "belongs to the last token with a probability above 0.",
        ),
        Misconception(
            "token 0 beyond the ends",
            lambda probabilities, uniform: (
                (probabilities.cumsum(-1) > uniform[:, None]).long().argmax(-1)
            ),
            "If rounding leaves the sum of a row below 1, no end may be above the number, and "
            "argmax of all False is 0. Return the last token with a probability above 0.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _without_the_last_end),
        Alternative("by searchsorted", _by_searchsorted),
        Alternative("a loop", _by_a_loop),
        Alternative("at most the last possible token", _at_most_the_last),
    ),
    hints=(
        "probabilities.cumsum(-1) is where each interval ends.",
        "How many intervals end at or before the number? (ends <= uniform[:, None]).sum(-1).",
        "The last interval extends to 1, even where rounding leaves ends[:, -1:] below it: "
        "ends.masked_fill(ends >= ends[:, -1:], 2.0) before you compare.",
    ),
)
