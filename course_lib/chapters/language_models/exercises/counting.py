"""Exercises on counting n-grams and on smoothing the counts."""

from collections import Counter
from fractions import Fraction

import torch

from course_lib import ngrams
from course_lib.chapters.language_models.exercises.generators import counts_and_k, ids_and_n
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _windows(ids, n, starts):
    return Counter(tuple(ids[start : start + n]) for start in starts)


def _counted_by_hand(ids, n):
    found = {}
    for start in range(len(ids) - n + 1):
        gram = tuple(ids[start + offset] for offset in range(n))
        found[gram] = found.get(gram, 0) + 1
    return found


COUNT = Exercise(
    id="language_models.count",
    title="Counting n-grams",
    minutes=5,
    difficulty=1,
    statement=(
        "Return how often each run of n tokens occurs in the list `ids`: a dict or Counter from a "
        "tuple of n ids to its count."
    ),
    solution=ngrams.count_ngrams,
    reference=_counted_by_hand,
    generator=ids_and_n,
    probes=(
        Probe("single tokens", lambda: call([5, 3, 5, 5], 1), "With n = 1, keys are tuples too."),
        Probe("pairs", lambda: call([1, 2, 1, 2, 3], 2), "Each token but the last begins a pair."),
        Probe("triples", lambda: call([1, 2, 1, 2, 1, 4], 3), "Runs overlap, all but one token."),
        Probe("one token repeated", lambda: call([7, 7, 7, 7], 2), "Four 7s contain three pairs."),
        Probe("both orders", lambda: call([1, 2, 2, 1], 2), "1 2 and 2 1 are different pairs."),
        Probe("a text that is too short", lambda: call([4], 2), "It contains no run of two."),
    ),
    misconceptions=(
        Misconception(
            "runs that do not overlap",
            lambda ids, n: _windows(ids, n, range(0, len(ids) - n + 1, n)),
            "You step forward by n and miss the runs that begin in between: step by 1.",
        ),
        Misconception(
            "the last run forgotten",
            lambda ids, n: _windows(ids, n, range(len(ids) - n)),
            "A text of T tokens contains T − n + 1 runs. `range` leaves out its end: "
            "range(len(ids) - n + 1).",
        ),
        Misconception(
            "runs cut off at the end",
            lambda ids, n: _windows(ids, n, range(len(ids))),
            "Starting at every token, the last runs are shorter than n. Stop n − 1 tokens earlier.",
        ),
        Misconception(
            "each counted once",
            lambda ids, n: dict.fromkeys(_counted_by_hand(ids, n), 1),
            "You record that a run occurs, not how often. Add 1 each time it occurs.",
        ),
        Misconception(
            "the order ignored",
            lambda ids, n: Counter(
                tuple(sorted(ids[start : start + n])) for start in range(len(ids) - n + 1)
            ),
            "You sort the tokens of a run. The order matters: 1 2 is not 2 1.",
        ),
        Misconception(
            "runs joined into strings",
            lambda ids, n: {
                " ".join(map(str, gram)): count for gram, count in _counted_by_hand(ids, n).items()
            },
            "Your keys are strings. A key is the tuple of n ids: tuple(ids[start:start + n]).",
        ),
        Misconception(
            "shares instead of counts",
            lambda ids, n: {
                gram: count / (len(ids) - n + 1) for gram, count in _counted_by_hand(ids, n).items()
            },
            "You divide by the number of runs. Return the counts themselves; probabilities are "
            "computed from them later.",
        ),
        Misconception(
            "single tokens without their tuple",
            lambda ids, n: Counter(ids) if n == 1 else _counted_by_hand(ids, n),
            "For n = 1 your keys are bare ids. Use tuples for every n: (5,) is a run of one.",
        ),
    ),
    alternatives=(
        Alternative("slices", lambda ids, n: _windows(ids, n, range(len(ids) - n + 1))),
        Alternative("with a plain dict", _counted_by_hand),
        Alternative(
            "shifted lists side by side",
            lambda ids, n: Counter(zip(*(ids[start:] for start in range(n)), strict=False)),
        ),
    ),
    hints=(
        "Which starts are possible? The first is 0; the last leaves room for n tokens.",
        "tuple(ids[start:start + n]) can be a key of a dict; a list cannot.",
        "A Counter counts whatever it is given: Counter(... for start in range(...)).",
    ),
)


def _add_k_in_fractions(counts, k):
    size, rows = counts.shape[-1], counts.reshape(-1, counts.shape[-1]).tolist()
    exact = Fraction(k)
    smoothed = [
        [float((Fraction(each) + exact) / (Fraction(sum(row)) + size * exact)) for each in row]
        for row in rows
    ]
    return counts.new_tensor(smoothed).reshape(counts.shape)


def _add_k_by_loops(counts, k):
    smoothed = torch.empty_like(counts)
    size = counts.shape[-1]
    for row, out in zip(counts.reshape(-1, size), smoothed.view(-1, size), strict=True):
        for token in range(size):
            out[token] = (row[token] + k) / (row.sum() + k * size)
    return smoothed


def _unseen_raised(counts, k):
    raised = torch.where(counts == 0, k, counts)
    return raised / raised.sum(-1, keepdim=True)


ADD_K = Exercise(
    id="language_models.add_k",
    title="An n-gram probability with smoothing",
    minutes=6,
    difficulty=2,
    statement=(
        "The last axis of `counts` says how often each token of the vocabulary followed a context. "
        "Return the probabilities of the next token as if each had been seen k more times. "
        "`counts` may have any number of leading axes, and is not changed."
    ),
    solution=ngrams.add_k,
    reference=_add_k_in_fractions,
    generator=counts_and_k,
    probes=(
        Probe(
            "three tokens, k = 1",
            lambda: call(torch.tensor([3.0, 1.0, 0.0]), 1.0),
            "(3 + 1) / (4 + 3) for the first, and 1/7 for the one that was never seen.",
        ),
        Probe(
            "no smoothing",
            lambda: call(torch.tensor([3.0, 1.0, 0.0, 4.0]), 0.0),
            "With k = 0 these are the plain relative frequencies.",
        ),
        Probe(
            "a small k",
            lambda: call(torch.tensor([10.0, 5.0, 0.0, 1.0, 0.0]), 0.25),
            "The total grows by k for each of the five tokens.",
        ),
        Probe(
            "a context that was never seen",
            lambda: call(torch.zeros(4), 0.5),
            "Without any counts all tokens are equally likely.",
        ),
        Probe(
            "two contexts",
            lambda: call(torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 6.0]]), 0.5),
            "Each context has its own total.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the total unchanged",
            lambda counts, k: (counts + k) / counts.sum(-1, keepdim=True),
            "You raised every count but divide by the old total, so the shares add up to more than "
            "1. The total grows by k for each token of the vocabulary.",
        ),
        Misconception(
            "k added to the total once",
            lambda counts, k: (counts + k) / (counts.sum(-1, keepdim=True) + k),
            "Each of the V counts grew by k, so their total grew by k · V, not by k.",
        ),
        Misconception(
            "V added to the total",
            lambda counts, k: (counts + k) / (counts.sum(-1, keepdim=True) + counts.shape[-1]),
            "c + 1 over total + V is the rule for k = 1. For any other k the total grows by k · V.",
        ),
        Misconception(
            "only the unseen raised",
            _unseen_raised,
            "You raised only the zeros. Add k to all counts: otherwise a token seen once may get "
            "less than one that was never seen.",
        ),
        Misconception(
            "one total for all contexts",
            lambda counts, k: (counts + k) / (counts + k).sum(),
            "You divide by the total over all contexts. Sum along the last axis, keepdim=True.",
        ),
        Misconception(
            "written for one context only",
            lambda counts, k: (counts + k) / (counts.sum() + k * len(counts)),
            "For a table of contexts, sum() adds up all rows and len() counts the rows. Use "
            "sum(-1, keepdim=True) and shape[-1].",
        ),
        Misconception(
            "not smoothed",
            lambda counts, k: counts / counts.sum(-1, keepdim=True),
            "k is not used. A single unseen token then makes a whole text impossible.",
        ),
    ),
    alternatives=(
        Alternative("row by row", _add_k_by_loops),
        Alternative(
            "as in the hints", lambda counts, k: (counts + k) / (counts + k).sum(-1, keepdim=True)
        ),
        Alternative(
            "total by formula",
            lambda counts, k: (counts + k) / (counts.sum(-1, keepdim=True) + k * counts.shape[-1]),
        ),
    ),
    hints=(
        "Add k to every count first. Then divide each by the sum of its row.",
        "raised.sum(-1, keepdim=True) is the total of each row, k · V included.",
    ),
)
