"""The exercise on scoring trained heads: the induction score."""

import torch

from course_lib import attention
from course_lib.chapters.attention.exercises.generators import weights_and_ids
from course_lib.chapters.attention.exercises.weighted_mean import numbers
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _followers(ids):
    """Return, query by query, the places that followed earlier occurrences of the same id."""
    return [[j for j in range(1, t + 1) if ids[j - 1] == ids[t]] for t in range(len(ids))]


def _mean_at(weights, places):
    """Return the weight on each query's places, averaged over the queries that have any."""
    rows = [weights[..., t, own].sum(-1) for t, own in enumerate(places) if own]
    return torch.stack(rows).mean(0)


def _induction(weights, ids):
    return _mean_at(weights, _followers(ids.tolist()))


def _same_token(weights, ids):
    ids = ids.tolist()
    return _mean_at(weights, [[j for j in range(t) if ids[j] == ids[t]] for t in range(len(ids))])


def _two_to_the_right(weights, ids):
    places = _followers(ids.tolist())
    return _mean_at(weights, [[j + 1 for j in own if j < t] for t, own in enumerate(places)])


def _latest_only(weights, ids):
    return _mean_at(weights, [own[-1:] for own in _followers(ids.tolist())])


def _sum_over_queries(weights, ids):
    places = _followers(ids.tolist())
    return _induction(weights, ids) * sum(bool(own) for own in places)


def _mean_over_all(weights, ids):
    return _sum_over_queries(weights, ids) / len(ids)


def _mean_over_places(weights, ids):
    places = _followers(ids.tolist())
    return _sum_over_queries(weights, ids) / sum(len(own) for own in places)


def _turned(weights, ids):
    return _induction(weights.transpose(-2, -1), ids)


def _never_itself(weights, ids):
    repeated = [[j for j in own if j < t] for t, own in enumerate(_followers(ids.tolist()))]
    counted = sum(bool(own) for own in _followers(ids.tolist()))
    rows = [weights[..., t, own].sum(-1) for t, own in enumerate(repeated)]
    return torch.stack(rows).sum(0) / counted


def _as_the_hints_say(weights, ids):
    earlier = (ids[:, None] == ids).tril(-1)
    marked = torch.zeros_like(earlier)
    marked[:, 1:] = earlier[:, :-1]
    return (weights * marked).sum(-1)[..., marked.any(-1)].mean(-1)


def _query_by_query(weights, ids):
    total, counted = torch.zeros(weights.shape[:-2]), 0
    for t in range(len(ids)):
        places = [j + 1 for j in range(t) if ids[j] == ids[t]]
        if places:
            total = total + sum(weights[..., t, place] for place in places)
            counted += 1
    return total / counted


def _rolled(weights, ids):
    marked = (ids[:, None] == ids).tril(-1).roll(1, dims=1)
    repeated = marked.any(-1)
    on_places = torch.einsum("...ts,ts->...t", weights, marked.to(weights.dtype))
    return (on_places * repeated).sum(-1) / repeated.sum()


def _mean_over_own_keys(weights, ids):
    places = _followers(ids.tolist())
    rows = [weights[..., t, own].mean(-1) for t, own in enumerate(places) if own]
    return torch.stack(rows).mean(0)


def _shifted_down(weights, ids):
    earlier = (ids[:, None] == ids).tril(-1)
    marked = torch.zeros_like(earlier)
    marked[1:] = earlier[:-1]
    return (weights * marked).sum(-1)[..., marked.any(-1)].mean(-1)


INDUCTION = Exercise(
    id="attention.induction_score",
    title="Find the heads that copy",
    minutes=10,
    difficulty=3,
    statement=(
        "For each head, return the weight that a repeated token gives to the tokens that "
        "*followed* its earlier occurrences, averaged over the queries whose id has occurred "
        "before. If there are several such keys, their weights are added. `weights` is (..., "
        "T, T), `ids` is (T,); the result has the leading axes of `weights`. "
        "Some id occurs at least twice. In A A, the token after the first A is the query itself, "
        "and it counts."
    ),
    solution=attention.induction_score,
    reference=_induction,
    generator=weights_and_ids,
    probes=(
        Probe(
            "A B A",
            lambda: call(
                torch.tensor([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.7, 0.1]]),
                torch.tensor([5, 8, 5]),
            ),
            "Only the last token has occurred before; the token after the earlier A is B.",
        ),
        Probe(
            "two heads over A B C A B",
            lambda: call(
                torch.softmax(numbers(2, 5, 5), -1) * torch.ones(5, 5).tril(),
                torch.tensor([3, 1, 4, 3, 1]),
            ),
            "Two queries count, the second A and the second B; each head gets a number.",
        ),
        Probe(
            "layers and heads, an id three times",
            lambda: call(
                torch.softmax(numbers(2, 3, 6, 6), -1) * torch.ones(6, 6).tril(),
                torch.tensor([7, 2, 7, 9, 7, 2]),
            ),
            "The third 7 has two earlier occurrences, so the weights on two keys are added.",
        ),
        Probe(
            "the same id twice in a row",
            lambda: call(
                torch.tensor([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.5, 0.3]]),
                torch.tensor([5, 5, 8]),
            ),
            "The token after the first 5 is the second 5 itself, so its weight on itself counts.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the earlier occurrence itself",
            _same_token,
            "You score attention to the same token. An induction head reads the token *after* "
            "it: what came next last time may come next now.",
        ),
        Misconception(
            "two tokens later",
            _two_to_the_right,
            "You mark the second token after the earlier occurrence. Mark the first one.",
        ),
        Misconception(
            "the latest occurrence only",
            _latest_only,
            "An id may have occurred several times. The weights on all its followers are added.",
        ),
        Misconception(
            "summed over the queries",
            _sum_over_queries,
            "A sum grows with the length of the text. Take the mean over the queries that count.",
        ),
        Misconception(
            "averaged over all queries",
            _mean_over_all,
            "Queries whose id is new have no such key and lower your mean. Average only over "
            "the repeated ones.",
        ),
        Misconception(
            "averaged over marked cells",
            _mean_over_places,
            "You divide by the number of marked cells. A query with two marked keys counts "
            "once, with both weights added.",
        ),
        Misconception(
            "queries and keys swapped",
            _turned,
            "You read columns as queries. Row t of the weights belongs to query t.",
        ),
        Misconception(
            "one number for all heads",
            lambda weights, ids: _induction(weights, ids).mean(),
            "You averaged over heads too. Return one score for each head: keep the leading axes.",
        ),
        Misconception(
            "its own position left out",
            _never_itself,
            "Where the same id occurs twice in a row, the token after the first is the query "
            "itself, and that key counts as well.",
        ),
        Misconception(
            "averaged over the keys of a query",
            _mean_over_own_keys,
            "If a query has two such keys, add their weights. Only the queries are averaged.",
        ),
        Misconception(
            "shifted down, not right",
            _shifted_down,
            "You shifted the marks to the next query. The token that followed is the next *key*: "
            "shift them one column to the right.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("query by query", _query_by_query),
        Alternative("rolled by one column", _rolled),
    ),
    hints=(
        "For query t, an earlier position j with ids[j] == ids[t] makes the key j + 1 count.",
        "same = ids[:, None] == ids; earlier = same.tril(-1). Shift it one column to the right.",
        "(weights * marked).sum(-1) is one number for each query; average over the rows with "
        "at least one mark.",
    ),
)
