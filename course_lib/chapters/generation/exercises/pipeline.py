"""The exercise on the order of the steps from logits to probabilities."""

import torch

from course_lib import generation
from course_lib.chapters.generation import answers
from course_lib.chapters.generation.exercises.generators import distribution_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _limits(shares, k, p):
    """Return the indices of the probabilities that stay after top-k and then top-p."""
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
    return logits.new_tensor(rows)


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


def _without_temperature(logits, temperature, k, p):
    return _in_loops(logits, 1.0, k, p)


def _without_top_k(logits, temperature, k, p):
    return _in_loops(logits, temperature, logits.shape[-1], p)


def _without_top_p(logits, temperature, k, p):
    return _in_loops(logits, temperature, k, 1.0)


def _with_library(logits, temperature, k, p):
    scores = generation.keep_top_k(logits / temperature, k)
    return generation.keep_top_p(scores, p).softmax(-1)


def _row_by_row(logits, temperature, k, p):
    rows = torch.zeros_like(logits)
    for row, scores in zip(rows, logits / temperature, strict=True):
        best = scores.topk(k)
        shares = best.values.softmax(-1)
        kept = shares.cumsum(-1) - shares < p
        row[best.indices[kept]] = shares[kept] / shares[kept].sum()
    return rows


_ROW = [[2.0, 1.0, 0.5, 0.0, -1.0]]


def _overflowing(logits, temperature, k, p):
    shares = _with_library(logits, temperature, k, p)
    e = (logits / temperature).exp().masked_fill(shares == 0, 0.0)
    return e / e.sum(-1, keepdim=True)


DISTRIBUTION = Exercise(
    id="generation.distribution",
    title="The whole pipeline",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the probabilities (B, V) after temperature, then top-k, then top-p, each applied "
        "to what the step before it left. The temperature is positive, k at most V. You may use "
        "`generation.keep_top_k` and `generation.keep_top_p`."
    ),
    solution=answers.filtered_distribution,
    reference=_in_loops,
    generator=distribution_inputs,
    probes=(
        Probe(
            "nothing dropped",
            lambda: call(torch.tensor(_ROW), 1.0, 5, 1.0),
            "With all filters off this is softmax.",
        ),
        Probe(
            "two kept",
            lambda: call(torch.tensor(_ROW), 1.0, 2, 1.0),
            "Two tokens are left, with probabilities 0.731 and 0.269.",
        ),
        Probe(
            "a low temperature with top-p",
            lambda: call(torch.tensor(_ROW), 0.5, 5, 0.8),
            "At 0.5 the best token alone has 0.83 and reaches 0.8; at 1 it would not.",
        ),
        Probe(
            "a very low temperature",
            lambda: call(torch.tensor([[1.0, 1.02, 0.99]]), 0.02, 3, 1.0),
            "Any positive temperature is used as it is: divided, the logits are 50, 51 and 49.5.",
        ),
        Probe(
            "a high temperature with top-p",
            lambda: call(torch.tensor(_ROW), 3.0, 5, 0.8),
            "The distribution is flatter: more tokens are needed to reach 0.8.",
        ),
        Probe(
            "top-p after top-k",
            lambda: call(torch.tensor([[1.2, 1.0, 0.9, 0.8, 0.7, 0.6]]), 1.0, 3, 0.7),
            "Top-p sums probabilities among the three tokens that top-k has left, not among all.",
        ),
        Probe(
            "two rows",
            lambda: call(uneven(2, 7), 0.8, 4, 0.85),
            "Every row is filtered and normalised separately.",
        ),
        Probe(
            "logits far from 0",
            lambda: call(
                torch.tensor([[150.0, 149.0, 100.0], [-151.0, -150.0, -190.0]]), 1.0, 3, 0.95
            ),
            "exp(150) is infinite and exp(−150) is 0 in float32. Only differences between "
            "logits matter.",
        ),
    ),
    misconceptions=(
        Misconception(
            "logits returned",
            _scores_returned,
            "These are logits. One step is missing: softmax, which makes what is left add up to 1.",
        ),
        Misconception(
            "softmax before the last filter",
            _softmax_too_early,
            "A filter takes logits and computes their softmax itself. You passed probabilities, so "
            "softmax was applied twice. Apply one softmax, at the very end.",
        ),
        Misconception(
            "the temperature raised to 0.1",
            lambda logits, temperature, k, p: _in_loops(logits, max(temperature, 0.1), k, p),
            "You use 0.1 in place of any lower temperature. Divide by the one that you are given.",
        ),
        Misconception(
            "temperature last",
            _temperature_last,
            "You filtered first and divided by the temperature afterwards: top-p then keeps the "
            "tokens of temperature 1. Here, as in `transformers`, the "
            "temperature comes first.",
        ),
        Misconception(
            "not normalised again",
            _not_renormalised,
            "The removed tokens are still in the denominator, so the rest adds up to less than 1. "
            "Set logits to -inf and take one softmax at the end.",
        ),
        Misconception(
            "top-p before top-k",
            _top_p_first,
            "Your top-p sums probabilities over all tokens, also those that top-k removes. Each "
            "step works on what the one before it left: after top-k the probabilities are larger, "
            "and their sum reaches p earlier.",
        ),
        Misconception(
            "temperature multiplied",
            _multiplied,
            "You multiply by the temperature. Divide the logits by it.",
        ),
        Misconception(
            "no temperature",
            _without_temperature,
            "The temperature has no effect on your result. Divide the logits by it first.",
        ),
        Misconception(
            "no top-k",
            _without_top_k,
            "`k` has no effect on your result. Filter with keep_top_k before keep_top_p.",
        ),
        Misconception(
            "no top-p",
            _without_top_p,
            "`p` has no effect on your result. Filter with keep_top_p after keep_top_k.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows above about 88 (float32) and is 0 below about −104, and the "
            "probabilities become nan. Use softmax.",
        ),
    ),
    alternatives=(
        Alternative(
            "with own filters",
            lambda logits, temperature, k, p: _top_p(_top_k(logits / temperature, k), p).softmax(
                -1
            ),
        ),
        Alternative("as the hints say", _with_library),
        Alternative("row by row", _row_by_row),
    ),
    hints=(
        "Three lines on logits, and a single softmax at the very end.",
        "scores = logits / temperature, then keep_top_k(scores, k), then keep_top_p(scores, p).",
    ),
)
