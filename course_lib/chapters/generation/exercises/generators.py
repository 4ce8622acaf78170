"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch
from torch import Tensor

from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_MARGIN = 1e-3  # how far a limit is from every value that is compared with it


def draw_inputs(rng: random.Random) -> Call:
    """Return shares that are sixteenths, with numbers on their edges and between them.

    Now and then the last share of every row is a little short of what would make the sum 1.
    """
    rows, vocabulary = rng.randint(1, 5), rng.randint(1, 6)
    dtype = rng.choice((torch.float32, torch.float64))
    pieces = torch.zeros(rows, vocabulary, dtype=dtype)
    for row in pieces:
        for _ in range(16):
            row[min(rng.randrange(vocabulary), rng.randrange(vocabulary))] += 1 / 16
    places = [rng.randrange(32) / 32 for _ in range(rows)]
    if rng.random() < 0.25:
        for row in pieces:
            row[row.nonzero()[-1]] -= 2**-20
        places = [rng.choice((1 - 2**-21, (rng.randrange(16) + 0.5) / 16)) for _ in range(rows)]
    return call(pieces, torch.tensor(places, dtype=dtype))


def _scores(rng: random.Random, rows: int, vocabulary: int) -> Tensor:
    dtype = rng.choice((torch.float32, torch.float32, torch.float64))
    return random_tensor(rng, rows, vocabulary, scale=rng.choice((0.5, 2.0, 2.0)), dtype=dtype)


def _distinct_scores(rng: random.Random, rows: int, vocabulary: int) -> Tensor:
    """Return scores of which no two in a row are equal, so that there is one best order."""
    while True:
        scores = _scores(rng, rows, vocabulary)
        if vocabulary == 1 or scores.sort(-1).values.diff().min() > _MARGIN:
            return scores


def _share_to_reach(rng: random.Random, scores: Tensor) -> float:
    """Return a p that no running sum of the rows' shares meets, but for rounding."""
    ends = scores.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1)[:, :-1]
    while True:
        p = rng.choice((1.0, rng.uniform(0.02, 0.99), rng.uniform(0.02, 0.99)))
        if not ends.numel() or (ends - p).abs().min() > _MARGIN:
            return p


def top_k_inputs(rng: random.Random) -> Call:
    """Return scores, often with ties, and a k that may be larger than the vocabulary."""
    scores = _scores(rng, rng.randint(1, 4), rng.randint(1, 6))
    return call(scores.round() if rng.random() < 0.3 else scores, rng.randint(1, 8))


def top_p_inputs(rng: random.Random) -> Call:
    """Return scores without ties and a p; now and then shares that reach p exactly."""
    if rng.random() < 0.15:
        shares, p = rng.choice((([0.5, 0.25, 0.25], 0.5), ([0.5, 0.25, 0.125, 0.125], 0.75)))
        return call(torch.tensor([rng.sample(shares, len(shares))]).log(), p)
    scores = _distinct_scores(rng, rng.randint(1, 4), rng.randint(1, 7))
    return call(scores, _share_to_reach(rng, scores))


def min_p_inputs(rng: random.Random) -> Call:
    """Return scores, with ties as well, and a limit between 0 and 1, now and then 1 itself."""
    scores = _scores(rng, rng.randint(1, 4), rng.randint(1, 6))
    shares = scores.double().softmax(-1)
    ratios = shares / shares.amax(-1, keepdim=True)
    while True:
        min_p = rng.choice((1.0, rng.uniform(0.01, 0.95), rng.uniform(0.01, 0.95)))
        if min_p == 1.0 or (ratios / min_p - 1).abs().min() > _MARGIN:
            return call(scores, min_p)


def distribution_inputs(rng: random.Random) -> Call:
    """Return scores without ties, a temperature, a k within the vocabulary, and a p."""
    vocabulary = rng.randint(1, 7)
    scores = _distinct_scores(rng, rng.randint(1, 4), vocabulary).float()
    temperature, k = rng.choice((0.5, 1.0, 1.5, 3.0)), rng.randint(1, vocabulary)
    return call(scores, temperature, k, _share_to_reach(rng, (scores / temperature).topk(k)[0]))


def penalty_inputs(rng: random.Random) -> Call:
    """Return scores of both signs, and ids that repeat."""
    rows, vocabulary, written = rng.randint(1, 4), rng.randint(1, 12), rng.randint(1, 6)
    ids = [[rng.randrange(vocabulary) for _ in range(written)] for _ in range(rows)]
    return call(_scores(rng, rows, vocabulary), torch.tensor(ids), rng.choice((1.2, 1.5, 2.0)))


def cache_inputs(rng: random.Random) -> Call:
    """Return caches, empty or filled in part, and one or more tokens that fit in."""
    batch, groups, width = (rng.randint(1, 3) for _ in range(3))
    room = rng.randint(1, 6)
    length = rng.choice((0, rng.randrange(room)))
    new = rng.randint(1, room - length)
    old, added = (batch, groups, room, width), (batch, groups, new, width)
    return call(*(random_tensor(rng, *shape) for shape in (old, old, added, added)), length)


def accept_inputs(rng: random.Random) -> Call:
    """Return drafts of which some are kept for sure, some by chance, and some never."""
    target, draft, uniform = [], [], []
    for _ in range(rng.randint(1, 6)):
        q = rng.uniform(0.05, 1.0)
        p = rng.choice((0.0, q, rng.uniform(0.0, 1.0), rng.uniform(0.5 * q, q)))
        u = rng.random()
        while abs(u - p / q) < _MARGIN:
            u = rng.random()
        target.append(p)
        draft.append(q)
        uniform.append(u)
    dtype = rng.choice((torch.float32, torch.float64))
    return call(*(torch.tensor(each, dtype=dtype) for each in (target, draft, uniform)))


def residual_inputs(rng: random.Random) -> Call:
    """Return two distributions: far apart, with zeros, or the same."""
    generator, vocabulary = torch_generator(rng), rng.randint(1, 7)
    dtype = rng.choice((torch.float32, torch.float64))
    while True:
        rows = torch.rand(2, vocabulary, generator=generator, dtype=torch.float64)
        rows = rows * (torch.rand(2, vocabulary, generator=generator) < 0.8)
        rows[:, rng.randrange(vocabulary)] += 0.2
        target, draft = (rows / rows.sum(-1, keepdim=True)).to(dtype)
        if vocabulary == 1 or rng.random() < 0.15:
            return call(target, target.clone())
        if (target - draft).abs().sum() > 0.1:
            return call(target, draft)
