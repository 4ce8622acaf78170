"""The exercise on min-p."""

import math

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.filters import NEVER, logs, row_by_row, shares_of
from course_lib.chapters.generation.exercises.generators import min_p_inputs
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _of_the_best(row, min_p):
    shares = shares_of(row)
    return [i for i in range(len(row)) if shares[i] >= min_p * max(shares)]


def _absolute(row, min_p):
    return [i for i, share in enumerate(shares_of(row)) if share >= min_p]


def _of_the_scores(row, min_p):
    return [i for i, z in enumerate(row) if z >= min_p * max(row)]


def _of_the_total(logits, min_p):
    shares = logits.softmax(-1)
    return logits.masked_fill(shares < min_p * shares.max(), NEVER)


def _zero_below(logits, min_p):
    shares = logits.softmax(-1)
    return logits.masked_fill(shares < min_p * shares.amax(-1, keepdim=True), 0.0)


def _above_the_limit(row, min_p):
    shares = shares_of(row)
    return [i for i in range(len(row)) if shares[i] > min_p * max(shares)]


def _probabilities_left(logits, min_p):
    shares = logits.softmax(-1)
    return shares.masked_fill(shares < min_p * shares.amax(-1, keepdim=True), NEVER)


def _minus(row, min_p):
    shares = shares_of(row)
    return [i for i in range(len(row)) if shares[i] >= max(shares) - min_p]


def _across_the_batch(logits, min_p):
    return _by_probabilities(logits.mT, min_p).mT


def _by_probabilities(logits, min_p):
    probabilities = logits.softmax(-1)
    limit = min_p * probabilities.amax(-1, keepdim=True)
    return logits.masked_fill(probabilities < limit, -torch.inf)


def _by_scores(logits, min_p):
    limit = logits.amax(-1, keepdim=True) + math.log(min_p)
    return torch.where(logits >= limit, logits, NEVER)


def _log_subtracted(logits, min_p):
    limit = logits.amax(-1, keepdim=True) - math.log(min_p)
    return logits.masked_fill(logits < limit, NEVER)


def _by_ratio(logits, min_p):
    ratio = (logits - logits.max(-1, keepdim=True).values).exp()
    return logits.masked_fill(~(ratio >= min_p), NEVER)


def _of_exponentials(logits, min_p):
    weights = logits.exp()
    return logits.masked_fill(weights < min_p * weights.amax(-1, keepdim=True), NEVER)


def _best_of_each_token(logits, min_p):
    shares = logits.softmax(-1)
    return logits.masked_fill(shares < min_p * shares.amax(0), NEVER)


MIN_P = Exercise(
    id="generation.min_p",
    title="Min-p",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the logits (B, V) with -inf for every token whose probability is below min_p "
        "times the largest probability of its row. 0 < min_p <= 1. Keep the dtype. "
        "The given logits are not changed."
    ),
    solution=generation.keep_min_p,
    reference=row_by_row(_of_the_best),
    generator=min_p_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "by hand",
            lambda: call(logs([0.5, 0.3, 0.15, 0.05]), 0.2),
            "The limit is 0.2 · 0.5 = 0.1: the last token is dropped.",
        ),
        Probe(
            "an uncertain row",
            lambda: call(logs([0.2, 0.16, 0.24, 0.14, 0.16, 0.1]), 0.5),
            "The limit is half of 0.24. No token reaches 0.5, and still most stay.",
        ),
        Probe(
            "a confident and an uncertain row",
            lambda: call(logs([0.9, 0.06, 0.03, 0.01], [0.4, 0.35, 0.2, 0.05]), 0.1),
            "Each row has its own limit, from its own best token.",
        ),
        Probe(
            "negative logits",
            lambda: call(torch.tensor([[-1.0, -1.5, -6.0]]), 0.3),
            "The rule is about probabilities. Logits can be negative.",
        ),
        Probe(
            "min_p of 1",
            lambda: call(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 1.0),
            "The limit is the largest probability, and what equals it is not below it.",
        ),
        Probe(
            "logits far from 0",
            lambda: call(torch.tensor([[120.0, 119.5, 100.0], [-200.0, -200.5, -220.0]]), 0.1),
            "exp(120) is infinite and exp(−200) is 0 in float32. Only differences between "
            "logits matter.",
        ),
    ),
    misconceptions=(
        Misconception(
            "an absolute limit",
            row_by_row(_absolute),
            "You compare with min_p itself. Where the model is uncertain, no token may be that "
            "likely. The limit is min_p times the largest probability.",
        ),
        Misconception(
            "a fraction of the largest logit",
            row_by_row(_of_the_scores),
            "You multiplied the largest logit by min_p. Softmax ignores a constant added to all "
            "logits, so a fraction of one means nothing. Take the softmax first.",
        ),
        Misconception(
            "the best of all rows",
            _of_the_total,
            "Your limit comes from the most confident row of the batch. Take the maximum of each "
            "row, amax(-1, keepdim=True).",
        ),
        Misconception(
            "dropped means 0",
            _zero_below,
            "A logit of 0 is a logit like any other: exp(0) = 1. Only -inf becomes probability 0.",
        ),
        Misconception(
            "the wrong side kept",
            row_by_row(lambda row, m: set(range(len(row))) - set(_of_the_best(row, m))),
            "You dropped the likely tokens and kept the others. Drop what is below the limit.",
        ),
        Misconception(
            "the limit itself dropped",
            row_by_row(_above_the_limit),
            "You drop what equals the limit; with min_p = 1 not even the best token stays. Drop "
            "what is below: <, not <=.",
        ),
        Misconception(
            "probabilities returned",
            _probabilities_left,
            "The right tokens are kept. But you return probabilities, and the next step expects "
            "logits: set the logits of what is dropped to -inf.",
        ),
        Misconception(
            "subtracted from the best",
            row_by_row(_minus),
            "You drop what is more than min_p below the best. The limit is a fraction of the best: "
            "min_p times the largest probability.",
        ),
        Misconception(
            "max − log(min_p)",
            _log_subtracted,
            "In logits the limit is max + log(min_p). log(min_p) is negative, so subtracting it "
            "puts the limit above the best token and drops all of them.",
        ),
        Misconception(
            "along the wrong axis",
            _across_the_batch,
            "You took softmax or the maximum over the batch. Each row is a distribution: dim=-1.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _of_exponentials,
            "exp overflows above about 88 (float32) and is 0 below about −104, where different "
            "logits become equal. Use softmax, or subtract the largest logit of the row first.",
        ),
        Misconception(
            "the best of each column",
            _best_of_each_token,
            "Your limit comes from the same token in other rows, amax(0). Take the largest "
            "probability of each row: amax(-1, keepdim=True).",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _by_probabilities),
        Alternative("on the logits", _by_scores),
        Alternative("relative to the best", _by_ratio),
    ),
    hints=(
        "You need the probabilities: logits.softmax(-1).",
        "The limit of a row is min_p * probabilities.amax(-1, keepdim=True).",
    ),
)
