"""Generated inputs for the exercises of this chapter, one function for each exercise."""

import random

import torch
from torch import Tensor

from course_lib.chapters.generation.toys import counted_model
from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Call, call

_CLOSE = 1e-4  # to a boundary: too close for half precision, far for float32
_MARGIN = 1e-3  # how far a limit is from every value that is compared with it


def draw_inputs(rng: random.Random) -> Call:
    """Return probabilities that are sixteenths, with numbers on their edges and between them.

    Sometimes the last probability of every row is a little too small to make the sum 1.
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


def _logits(rng: random.Random, rows: int, vocabulary: int) -> Tensor:
    dtype = rng.choice((torch.float32, torch.float32, torch.float64))
    return random_tensor(rng, rows, vocabulary, scale=rng.choice((0.5, 2.0, 2.0)), dtype=dtype)


def _distinct_logits(rng: random.Random, rows: int, vocabulary: int) -> Tensor:
    """Return logits of which no two in a row are equal, so that there is one best order."""
    while True:
        scores = _logits(rng, rows, vocabulary)
        if vocabulary == 1 or scores.sort(-1).values.diff().min() > _MARGIN:
            return scores


def _sum_to_reach(rng: random.Random, scores: Tensor) -> float:
    """Return a p that no running sum of the rows' probabilities comes close to."""
    ends = scores.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1)[:, :-1]
    while True:
        p = rng.choice((1.0, rng.uniform(0.02, 0.99), rng.uniform(0.02, 0.99)))
        if not ends.numel() or (ends - p).abs().min() > _MARGIN:
            return p


def top_k_inputs(rng: random.Random) -> Call:
    """Return logits, often with ties, and a k that may be larger than the vocabulary."""
    scores = _logits(rng, rng.randint(1, 4), rng.randint(1, 6))
    return call(scores.round() if rng.random() < 0.3 else scores, rng.randint(1, 8))


def top_p_inputs(rng: random.Random) -> Call:
    """Return logits without ties and a p; sometimes probabilities that reach p exactly."""
    if rng.random() < 0.15:
        shares, p = rng.choice((([0.5, 0.25, 0.25], 0.5), ([0.5, 0.25, 0.125, 0.125], 0.75)))
        return call(torch.tensor([rng.sample(shares, len(shares))]).log(), p)
    scores = _distinct_logits(rng, rng.randint(1, 4), rng.randint(1, 7))
    return call(scores, _sum_to_reach(rng, scores))


def min_p_inputs(rng: random.Random) -> Call:
    """Return logits, with ties as well, and a limit between 0 and 1, sometimes 1 itself."""
    scores = _logits(rng, rng.randint(1, 4), rng.randint(1, 6))
    shares = scores.double().softmax(-1)
    ratios = shares / shares.amax(-1, keepdim=True)
    while True:
        min_p = rng.choice((1.0, rng.uniform(0.01, 0.95), rng.uniform(0.01, 0.95)))
        if min_p == 1.0 or (ratios / min_p - 1).abs().min() > _MARGIN:
            return call(scores, min_p)


def distribution_inputs(rng: random.Random) -> Call:
    """Return logits without ties, a temperature, a k within the vocabulary, and a p."""
    vocabulary = rng.randint(1, 7)
    scores = _distinct_logits(rng, rng.randint(1, 4), vocabulary).float()
    temperature, k = rng.choice((0.5, 1.0, 1.5, 3.0)), rng.randint(1, vocabulary)
    return call(scores, temperature, k, _sum_to_reach(rng, (scores / temperature).topk(k)[0]))


def penalty_inputs(rng: random.Random) -> Call:
    """Return positive and negative logits, and ids that repeat."""
    rows, vocabulary, written = rng.randint(1, 4), rng.randint(1, 12), rng.randint(1, 6)
    ids = [[rng.randrange(vocabulary) for _ in range(written)] for _ in range(rows)]
    return call(_logits(rng, rows, vocabulary), torch.tensor(ids), rng.choice((1.2, 1.5, 2.0)))


def cache_inputs(rng: random.Random) -> Call:
    """Return caches, empty or partly filled, and one or more tokens that fit in."""
    batch, groups, width = (rng.randint(1, 3) for _ in range(3))
    room = rng.randint(1, 6)
    length = rng.choice((0, rng.randrange(room)))
    new = rng.randint(1, room - length)
    old, added = (batch, groups, room, width), (batch, groups, new, width)
    return call(*(random_tensor(rng, *shape) for shape in (old, old, added, added)), length)


def accept_inputs(rng: random.Random) -> Call:
    """Return drafts of which some are always kept, some by chance, and some never."""
    target, draft, uniform = [], [], []
    for _ in range(rng.randint(1, 6)):
        q = rng.uniform(0.05, 1.0)
        p = rng.choice((0.0, q, rng.uniform(0.0, 1.0), rng.uniform(0.5 * q, q)))
        u = rng.random()
        if 0.01 < p < 0.99 * q and rng.random() < 0.5:
            u = p / q + rng.choice((-2, 2)) * _CLOSE
        while abs(u - p / q) < _CLOSE:
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


def loop_inputs(rng: random.Random) -> Call:
    """Return a tiny model, prompts of equal length, and the random numbers of some steps."""
    rows, prompt, new = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 5)
    ids = [[rng.randrange(7) for _ in range(prompt)] for _ in range(rows)]
    uniform = [[rng.random() for _ in range(new)] for _ in range(rows)]
    numbers = torch.tensor(uniform, dtype=torch.float64)
    return call(counted_model(rng.randrange(3)), torch.tensor(ids), numbers)


def beam_inputs(rng: random.Random) -> Call:
    """Return a search whose extensions all have different scores, and how many to keep."""
    batch, beams, vocabulary = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 5)
    generator, dtype = torch_generator(rng), rng.choice((torch.float32, torch.float64))
    while True:
        logits = torch.randn(batch, beams, vocabulary, generator=generator, dtype=torch.float64)
        logs = (2 * logits).log_softmax(-1)
        scores = -3 * torch.rand(batch, beams, generator=generator, dtype=torch.float64)
        scores += rng.choice((0, 0, -250, -900))  # as after a long text
        gaps = (scores[:, :, None] + logs).flatten(1).sort(-1).values.diff()
        if not gaps.numel() or gaps.min() > _MARGIN:
            count = rng.choice((beams, rng.randint(1, beams * vocabulary)))
            return call(scores.to(dtype), logs.to(dtype), min(count, beams * vocabulary))


def _distribution(rng: random.Random, vocabulary: int) -> Tensor:
    """Return probabilities in hundredths, some of them 0."""
    cuts = sorted(rng.randrange(101) for _ in range(vocabulary - 1))
    ends = torch.tensor([0, *cuts, 100], dtype=torch.float64)
    return ends.diff() / 100


def round_inputs(rng: random.Random) -> Call:
    """Return drafts, both models' distributions, and numbers that are on no boundary."""
    drafts, vocabulary = rng.randint(1, 4), rng.randint(2, 5)
    draft = [_distribution(rng, vocabulary) for _ in range(drafts)]
    target = [_distribution(rng, vocabulary) for _ in range(drafts + 1)]
    for i in range(drafts):
        if rng.random() < 0.4:
            target[i] = draft[i].clone()
    drafted = [rng.choices(range(vocabulary), weights=row.tolist())[0] for row in draft]
    uniform = []
    for i, token in enumerate(drafted):
        p, q = float(target[i][token]), float(draft[i][token])
        uniform.append(rng.random())
        if 0 < p < q and rng.random() < 0.5:
            uniform[-1] = p / q + rng.choice((-2, 2)) * _CLOSE
        while abs(uniform[-1] * q - p) < _CLOSE * q:
            uniform[-1] = rng.random()
    numbers = torch.tensor([*uniform, rng.random()], dtype=torch.float64)
    return call(torch.tensor(drafted), torch.stack(target), torch.stack(draft), numbers)
