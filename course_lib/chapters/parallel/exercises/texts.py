"""The exercise on attention over a text in pieces."""

import math

import torch
import torch.nn.functional as F

from course_lib.chapters.parallel import answers
from course_lib.chapters.parallel.exercises import generators
from course_lib.chapters.parallel.on_ranks import (
    of_ranks,
    on_ranks,
    per_rank,
    right_on_ranks,
    wrong_on_ranks,
)
from course_lib.flash import join_parts
from course_lib.study.check.spec import Exercise, Probe


def _numbers(count, x):
    return torch.arange(count, device=x.device)


def _whole_attention(given):
    q, k, v = (torch.cat([each[i] for each in given]).double() for i in range(3))
    rows = []
    for i, query in enumerate(q):
        scores = torch.stack([(query * key).sum() for key in k[: i + 1]]) / math.sqrt(q.shape[1])
        weights = (scores - scores.max()).exp()
        rows.append((weights[:, None] * v[: i + 1]).sum(0) / weights.sum())
    return list(torch.stack(rows).to(given[0][0].dtype).chunk(len(given)))


def _scores(comm, q, k, source, causal=True):
    """Return the scores of this rank's queries and the keys of `source`, masked."""
    scores = q @ k.T / q.shape[1] ** 0.5
    if not causal:
        return scores
    mine = comm.rank * len(q) + torch.arange(len(q), device=q.device)
    theirs = source * len(k) + torch.arange(len(k), device=q.device)
    return scores.masked_fill(theirs > mine[:, None], -torch.inf)


def _moved(comm, x):
    return comm.exchange(x, (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size)


def _with_sums(comm, q, k, v):
    top = torch.full_like(q[:, 0], -torch.inf)
    total, mixed = torch.zeros_like(top), torch.zeros_like(v)
    for step in range(comm.size):
        scores = _scores(comm, q, k, (comm.rank - step) % comm.size)
        new = torch.maximum(top, scores.amax(1))
        weights, shrink = (scores - new[:, None]).exp(), (top - new).exp()
        total = total * shrink + weights.sum(1)
        mixed = mixed * shrink[:, None] + weights @ v
        top, k, v = new, _moved(comm, k), _moved(comm, v)
    return mixed / total[:, None]


def _with_joins(comm, q, k, v):
    outputs, lses = [], []
    for step in range(comm.size):
        source = (comm.rank - step) % comm.size
        if source <= comm.rank:
            scores = _scores(comm, q, k, source)
            outputs.append(scores.softmax(1) @ v)
            lses.append(scores.logsumexp(1))
        k, v = _moved(comm, k), _moved(comm, v)
    return join_parts(torch.stack(outputs), torch.stack(lses))[0]


def _all_keys(comm, q, k, v):
    keys, values = torch.cat(comm.all_gather(k)), torch.cat(comm.all_gather(v))
    mine = comm.rank * len(q) + _numbers(len(q), q)
    allowed = _numbers(len(keys), q) <= mine[:, None]
    return F.scaled_dot_product_attention(q[None], keys[None], values[None], allowed)[0]


def _not_causal(comm, q, k, v):
    keys, values = torch.cat(comm.all_gather(k)), torch.cat(comm.all_gather(v))
    return (q @ keys.T / q.shape[1] ** 0.5).softmax(1) @ values


def _own_only(comm, q, k, v):
    return _scores(comm, q, k, comm.rank).softmax(1) @ v


def _mask_of_own(comm, q, k, v):
    keys, values = torch.cat(comm.all_gather(k)), torch.cat(comm.all_gather(v))
    mask = torch.arange(len(k), device=q.device) <= torch.arange(len(q), device=q.device)[:, None]
    scores = q @ keys.T / q.shape[1] ** 0.5
    return scores.masked_fill(~mask.repeat(1, comm.size), -torch.inf).softmax(1) @ values


def _whole_pieces(comm, q, k, v):
    seen = (comm.rank + 1) * len(k)
    keys, values = torch.cat(comm.all_gather(k))[:seen], torch.cat(comm.all_gather(v))[:seen]
    return (q @ keys.T / q.shape[1] ** 0.5).softmax(1) @ values


def _averaged(comm, q, k, v):
    outputs = []
    for step in range(comm.size):
        source = (comm.rank - step) % comm.size
        if source <= comm.rank:
            outputs.append(_scores(comm, q, k, source).softmax(1) @ v)
        k, v = _moved(comm, k), _moved(comm, v)
    return torch.stack(outputs).mean(0)


def _not_scaled(comm, q, k, v):
    return _with_sums(comm, q * q.shape[1] ** 0.5, k, v)


def _zero_scores(comm, q, k, v):
    keys, values = torch.cat(comm.all_gather(k)), torch.cat(comm.all_gather(v))
    mine = comm.rank * len(q) + torch.arange(len(q), device=q.device)
    hidden = torch.arange(len(keys), device=q.device) > mine[:, None]
    return (q @ keys.T / q.shape[1] ** 0.5).masked_fill(hidden, 0.0).softmax(1) @ values


def _text(ranks, tokens, width=3, scale=1.0):
    def inputs():
        rng = torch.Generator().manual_seed(10 * ranks + tokens)
        return per_rank(
            [
                tuple(scale * torch.randn(tokens, width, generator=rng) for _ in range(3))
                for _ in range(ranks)
            ]
        )

    return inputs


RING = Exercise(
    id="parallel.ring",
    title="Attention in a ring",
    minutes=20,
    difficulty=3,
    statement=(
        "A text is cut in order: rank r has the tokens r·T to (r + 1)·T − 1, with their queries "
        "q, keys k and values v, each (T, D), T the same on all ranks. Return causal attention "
        "(T, D) of this rank's queries over the whole text: token i reads the tokens up to i, "
        "itself included, with softmax(q·k / sqrt(D)). `comm.exchange(x, to, source)` sends x "
        "to rank `to` and returns what rank `source` sends; `join_parts(outputs, lses)` joins "
        "outputs (P, T, D) over P parts of the keys by their logsumexps (P, T) and returns "
        "both. Inputs stay as they are."
    ),
    solution=on_ranks(answers.causal_ring),
    adapter=on_ranks,
    reference=of_ranks(_whole_attention),
    generator=generators.ring,
    probes=(
        Probe("one rank", _text(1, 4), "Causal attention, with nobody else."),
        Probe("two ranks, a token each", _text(2, 1), "The first token reads itself only."),
        Probe("two ranks", _text(2, 3), "The second rank reads all of the first one's keys."),
        Probe("three ranks", _text(3, 2), "Keys pass through every rank."),
        Probe("large scores", _text(2, 2, scale=8.0), "Parts have very different maxima."),
        Probe("wide", _text(2, 2, width=6), "The scale is 1 / sqrt(D)."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "not causal", _not_causal, "Every token reads the whole text. Mask later tokens."
        ),
        wrong_on_ranks(
            "only its own keys",
            _own_only,
            "A rank's tokens read the ranks before it too. Pass keys and values around.",
        ),
        wrong_on_ranks(
            "the same mask for all pieces",
            _mask_of_own,
            "The triangle is right for the rank's own piece only. Compare positions in the whole "
            "text: those of rank s begin at s · T.",
        ),
        wrong_on_ranks(
            "own piece not masked",
            _whole_pieces,
            "You leave out later ranks, but inside the rank's own piece later tokens are read too.",
        ),
        wrong_on_ranks(
            "outputs averaged",
            _averaged,
            "Parts are weighted by their sums of exponentials. Join them by their logsumexps.",
        ),
        wrong_on_ranks("not scaled", _not_scaled, "Divide the scores by sqrt(D)."),
        wrong_on_ranks(
            "masked scores set to zero",
            _zero_scores,
            "exp(0) = 1, so a masked score of 0 still gets weight. Set it to -inf.",
        ),
    ),
    alternatives=(
        right_on_ranks("running sums", _with_sums),
        right_on_ranks("joined by logsumexps", _with_joins),
        right_on_ranks("all keys gathered", _all_keys),
    ),
    hints=(
        "In step s = 0, 1, ... the keys here are those of rank (r - s) % n. Later ranks' keys "
        "are not read.",
        "For a part: scores, masked by positions; scores.softmax(1) @ v and scores.logsumexp(1).",
        "k = comm.exchange(k, (r + 1) % n, (r - 1) % n), the same for v, in every step on all "
        "ranks.",
    ),
)
