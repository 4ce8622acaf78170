"""Exercises on the way from scores to a token: the order of the steps, and the draw."""

import torch

from course_lib import generation
from course_lib.chapters.generation import answers
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _limits(shares, k, p):
    """Return the places of a list of shares that stay after top-k and then top-p."""
    order = sorted(range(len(shares)), key=lambda i: -shares[i])[:k]
    total = sum(shares[i] for i in order)
    stays, weight = [], 0.0
    for i in order:
        stays.append(i)
        weight += shares[i] / total
        if weight >= p:
            break
    return stays


def _in_loops(logits, temperature, k, p):
    rows = []
    for row in logits.double() / temperature:
        shares = row.softmax(0).tolist()
        stays = _limits(shares, k, p)
        total = sum(shares[i] for i in stays)
        rows.append([shares[i] / total if i in stays else 0.0 for i in range(len(shares))])
    return torch.tensor(rows, dtype=logits.dtype)


def _top_k(scores, k):
    return scores.masked_fill(scores < scores.topk(k).values[:, -1:], float("-inf"))


def _top_p(scores, p):
    ordered, order = scores.sort(-1, descending=True)
    shares = ordered.softmax(-1)
    dropped = shares.cumsum(-1) - shares >= p
    put_back = torch.zeros_like(dropped).scatter(-1, order, dropped)
    return scores.masked_fill(put_back, float("-inf"))


def _temperature_last(logits, temperature, k, p):
    return (_top_p(_top_k(logits, k), p) / temperature).softmax(-1)


def _top_p_first(logits, temperature, k, p):
    return _top_k(_top_p(logits / temperature, p), k).softmax(-1)


def _not_renormalised(logits, temperature, k, p):
    shares = (logits / temperature).softmax(-1)
    return shares.masked_fill(_in_loops(logits, temperature, k, p) == 0, 0.0)


def _multiplied(logits, temperature, k, p):
    return _in_loops(logits, 1 / temperature, k, p)


def _scores_returned(logits, temperature, k, p):
    return generation.keep_top_p(generation.keep_top_k(logits / temperature, k), p)


def _softmax_too_early(logits, temperature, k, p):
    shares = generation.keep_top_k(logits / temperature, k).softmax(-1)
    return generation.keep_top_p(shares, p).softmax(-1)


_ROW = [[2.0, 1.0, 0.5, 0.0, -1.0]]

DISTRIBUTION = Exercise(
    id="generation.distribution",
    title="The whole pipeline",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the probabilities (B, V) with which tokens are drawn after temperature, then "
        "top-k, then top-p. You may use `generation.keep_top_k` and `generation.keep_top_p`."
    ),
    solution=answers.filtered_distribution,
    reference=_in_loops,
    probes=(
        Probe(
            "nothing dropped",
            lambda: call(torch.tensor(_ROW), 1.0, 5, 1.0),
            "With everything switched off this is softmax.",
        ),
        Probe(
            "two kept",
            lambda: call(torch.tensor(_ROW), 1.0, 2, 1.0),
            "Two tokens share the whole of 1: 0.731 and 0.269.",
        ),
        Probe(
            "a low temperature with top-p",
            lambda: call(torch.tensor(_ROW), 0.5, 5, 0.8),
            "At 0.5 the best token alone has 0.83, so that it reaches 0.8; at 1 it would not.",
        ),
        Probe(
            "a high temperature with top-p",
            lambda: call(torch.tensor(_ROW), 3.0, 5, 0.8),
            "Flat shares: more tokens are needed to reach 0.8.",
        ),
        Probe(
            "top-k leaves, top-p takes",
            lambda: call(torch.tensor([[1.2, 1.0, 0.9, 0.8, 0.7, 0.6]]), 1.0, 3, 0.7),
            "Top-p measures shares among the three that top-k has left, not among all.",
        ),
        Probe(
            "two rows",
            lambda: call(uneven(2, 7), 0.8, 4, 0.85),
            "Every row is filtered and shared out by itself.",
        ),
    ),
    misconceptions=(
        Misconception(
            "scores returned",
            _scores_returned,
            "These are scores. One step is missing: softmax, which shares the whole of 1 among "
            "what is left.",
        ),
        Misconception(
            "softmax before the last filter",
            _softmax_too_early,
            "A filter takes scores, and softmaxes them itself to decide. You handed it "
            "probabilities, so that it softmaxed twice. One softmax, at the very end.",
        ),
        Misconception(
            "temperature last",
            _temperature_last,
            "You filtered first and divided by the temperature afterwards: top-p then keeps the "
            "tokens of temperature 1. Libraries apply the temperature first.",
        ),
        Misconception(
            "not shared out again",
            _not_renormalised,
            "What you removed took part in the sum, so that the rest adds up to less than 1. Set "
            "scores to -inf and take one softmax at the end.",
        ),
        Misconception(
            "top-p before top-k",
            _top_p_first,
            "Your top-p sums shares among all tokens, also those that top-k removes. Each step "
            "works on what the one before it has left: after top-k the shares are larger, and "
            "their sum reaches p earlier.",
        ),
        Misconception(
            "temperature multiplied",
            _multiplied,
            "Your knob turns the wrong way. Divide the scores by the temperature.",
        ),
    ),
    alternatives=(
        Alternative(
            "with own filters",
            lambda logits, temperature, k, p: _top_p(_top_k(logits / temperature, k), p).softmax(
                -1
            ),
        ),
    ),
    hints=(
        "Three lines on scores, and a single softmax at the very end.",
        "scores = logits / temperature, then keep_top_k(scores, k), then keep_top_p(scores, p).",
    ),
)


def _walk(probabilities, uniform):
    found = []
    for row, u in zip(probabilities.tolist(), uniform.tolist(), strict=True):
        place, end = 0, row[0]
        while end <= u:
            place += 1
            end += row[place]
        found.append(place)
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


def _one_dart_for_all(probabilities, uniform):
    return _walk(probabilities, uniform[:1].expand(len(uniform)))


_SHARES = [0.5, 0.25, 0.0, 0.125, 0.125]


def _darts(*darts, row=_SHARES):
    rows = torch.tensor([row] * len(darts), dtype=torch.float64)
    return call(rows, torch.tensor(darts, dtype=torch.float64))


DRAW = Exercise(
    id="generation.draw",
    title="Throw a dart",
    minutes=6,
    difficulty=2,
    statement=(
        "The shares of each row of `probabilities` (B, V) lie side by side on a line from 0 to 1. "
        "Return for each row the token whose piece holds uniform[b], in [0, 1). A piece holds its "
        "left end and not its right one."
    ),
    solution=generation.draw,
    reference=_walk,
    probes=(
        Probe(
            "inside a piece", lambda: _darts(0.1, 0.6, 0.8, 0.95), "The running sums are the ends."
        ),
        Probe(
            "on the edge",
            lambda: _darts(0.5, 0.875),
            "0.5 is where the first piece ends and the second begins: it belongs to the second.",
        ),
        Probe(
            "an empty piece",
            lambda: _darts(0.75, 0.74),
            "A token of probability 0 has a piece without length, and is never drawn.",
        ),
        Probe("a dart at 0", lambda: _darts(0.0, row=[0.0, 0.25, 0.75]), "Not the impossible one."),
        Probe(
            "not in order of likelihood",
            lambda: _darts(0.05, 0.3, 0.99, row=[0.125, 0.625, 0.25]),
            "The pieces lie in the order of the vocabulary.",
        ),
    ),
    misconceptions=(
        Misconception(
            "one place too early",
            _before_the_piece,
            "Count the pieces that end at or before the dart: that is the index of the one that "
            "holds it. You are one before it.",
        ),
        Misconception(
            "the right end counted in",
            _boundary_below,
            "At a boundary you stay in the piece that ends there, so that a dart at 0 hits a token "
            "of probability 0. Count the ends with <= u.",
        ),
        Misconception(
            "the first that is more likely than u",
            _first_more_likely,
            "You compare single probabilities with the dart. Add them up: what counts is where a "
            "piece ends.",
        ),
        Misconception(
            "sorted first",
            _from_the_best,
            "The frequencies are right, but the rule is another: the pieces lie in the order of "
            "the vocabulary. Leave them there.",
        ),
        Misconception(
            "the likeliest token",
            lambda probabilities, uniform: probabilities.argmax(-1),
            "That is greedy decoding: the dart plays no part. Find the piece on which it falls.",
        ),
        Misconception(
            "one dart for all rows",
            _one_dart_for_all,
            "You used the first number for every row. Each row has its own: uniform[:, None].",
        ),
    ),
    alternatives=(
        Alternative(
            "by searchsorted",
            lambda probabilities, uniform: torch.searchsorted(
                probabilities.cumsum(-1), uniform[:, None], right=True
            )[:, 0],
        ),
    ),
    hints=(
        "probabilities.cumsum(-1) is where each piece ends.",
        "How many pieces end at or before the dart? (ends <= uniform[:, None]).sum(-1).",
    ),
)
