"""Exercises on scores against the best one, and against what was written: min-p and penalty."""

import math

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.filters import NEVER, logs, row_by_row, shares_of
from course_lib.chapters.generation.exercises.generators import min_p_inputs, penalty_inputs
from course_lib.study.check.probe_inputs import uneven
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


def _by_probabilities(logits, min_p):
    probabilities = logits.softmax(-1)
    limit = min_p * probabilities.amax(-1, keepdim=True)
    return logits.masked_fill(probabilities < limit, -torch.inf)


def _by_scores(logits, min_p):
    limit = logits.amax(-1, keepdim=True) + math.log(min_p)
    return torch.where(logits >= limit, logits, NEVER)


def _by_ratio(logits, min_p):
    ratio = (logits - logits.max(-1, keepdim=True).values).exp()
    return logits.masked_fill(~(ratio >= min_p), NEVER)


MIN_P = Exercise(
    id="generation.min_p",
    title="A share of the best",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the scores (B, V) with -inf for every token whose probability is below min_p "
        "times the largest probability of its row."
    ),
    solution=generation.keep_min_p,
    reference=row_by_row(_of_the_best),
    generator=min_p_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "by hand",
            lambda: call(logs([0.5, 0.3, 0.15, 0.05]), 0.2),
            "The limit is 0.2 · 0.5 = 0.1: the last token goes.",
        ),
        Probe(
            "an unsure row",
            lambda: call(logs([0.2, 0.16, 0.24, 0.14, 0.16, 0.1]), 0.5),
            "The limit is half of 0.24. Nobody reaches 0.5, and still most tokens stay.",
        ),
        Probe(
            "a sure and an unsure row",
            lambda: call(logs([0.9, 0.06, 0.03, 0.01], [0.4, 0.35, 0.2, 0.05]), 0.1),
            "Each row is measured by its own best token.",
        ),
        Probe(
            "negative scores",
            lambda: call(torch.tensor([[-1.0, -1.5, -6.0]]), 0.3),
            "The rule is about probabilities. Scores can be negative.",
        ),
        Probe(
            "min_p of 1",
            lambda: call(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 1.0),
            "The limit is the largest probability, and what equals it is not below it.",
        ),
    ),
    misconceptions=(
        Misconception(
            "an absolute limit",
            row_by_row(_absolute),
            "You compare with min_p itself. Where the model is unsure, no token may be that "
            "likely. The limit is min_p times the largest probability.",
        ),
        Misconception(
            "a share of the scores",
            row_by_row(_of_the_scores),
            "You took a share of the largest score. Scores have no zero point; probabilities do. "
            "Softmax first.",
        ),
        Misconception(
            "the best of all rows",
            _of_the_total,
            "Your limit comes from the surest row of the batch. Take the maximum of each row, "
            "amax(-1, keepdim=True).",
        ),
        Misconception(
            "dropped means 0",
            _zero_below,
            "A score of 0 is a score like any other: exp(0) = 1. Only -inf becomes probability 0.",
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
    ),
    alternatives=(
        Alternative("as the hints say", _by_probabilities),
        Alternative("on the scores", _by_scores),
        Alternative("relative to the best", _by_ratio),
    ),
    hints=(
        "You need the probabilities: logits.softmax(-1).",
        "The limit of a row is min_p * probabilities.amax(-1, keepdim=True).",
    ),
)


def _penalised(logits, ids, penalty):
    rows = logits.tolist()
    for row, seen in zip(rows, ids.tolist(), strict=True):
        for i in set(seen):
            row[i] = row[i] / penalty if row[i] > 0 else row[i] * penalty
    return torch.tensor(rows, dtype=logits.dtype)


def _always_divided(logits, ids, penalty):
    seen = torch.zeros_like(logits).scatter(1, ids, 1.0) > 0
    return torch.where(seen, logits / penalty, logits)


def _always_multiplied(logits, ids, penalty):
    seen = torch.zeros_like(logits).scatter(1, ids, 1.0) > 0
    return torch.where(seen, logits * penalty, logits)


def _subtracted(logits, ids, penalty):
    seen = torch.zeros_like(logits).scatter(1, ids, 1.0) > 0
    return torch.where(seen, logits - penalty, logits)


def _every_time(logits, ids, penalty):
    rows = logits.tolist()
    for row, seen in zip(rows, ids.tolist(), strict=True):
        for i in seen:
            row[i] = row[i] / penalty if row[i] > 0 else row[i] * penalty
    return torch.tensor(rows, dtype=logits.dtype)


def _all_tokens(logits, ids, penalty):
    return torch.where(logits < 0, logits * penalty, logits / penalty)


def _of_any_row(logits, ids, penalty):
    everything = ids.flatten().expand(len(ids), -1)
    return _penalised(logits, everything, penalty)


def _gathered(logits, ids, penalty):
    own = logits.gather(1, ids)
    return logits.scatter(1, ids, torch.where(own < 0, own * penalty, own / penalty))


def _by_the_sum(logits, ids, penalty):
    seen = torch.zeros_like(logits).scatter(1, ids, 1.0) > 0
    positive = logits.where(seen, torch.zeros_like(logits)).sum(-1, keepdim=True) > 0
    return torch.where(seen, torch.where(positive, logits / penalty, logits * penalty), logits)


def _all_or_nothing(logits, ids, penalty):
    own = logits.gather(1, ids)
    return logits.scatter(1, ids, own / penalty if (own >= 0).all() else own * penalty)


def _marked(logits, ids, penalty):
    seen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, ids, True)
    penalised = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(seen, penalised, logits)


def _one_by_one(logits, ids, penalty):
    new = logits.clone()
    for row, written in enumerate(ids):
        for token in written.unique():
            z = logits[row, token]
            new[row, token] = z / penalty if z > 0 else z * penalty
    return new


PENALTY = Exercise(
    id="generation.penalty",
    title="Not again",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the scores (B, V) in which every token that stands in its row of `ids` (B, S) has "
        "become less likely: positive scores divided by `penalty`, negative ones multiplied by it."
    ),
    solution=generation.penalise_repetition,
    reference=_penalised,
    generator=penalty_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "positive scores",
            lambda: call(torch.tensor([[4.0, 2.0, 1.0]]), torch.tensor([[1]]), 2.0),
            "Token 1 has been written: its 2 becomes 1, the others stay.",
        ),
        Probe(
            "a negative score",
            lambda: call(torch.tensor([[4.0, -2.0, 1.0]]), torch.tensor([[1]]), 2.0),
            "−2 divided by 2 is −1, which is larger: that would be a reward.",
        ),
        Probe(
            "written three times",
            lambda: call(torch.tensor([[4.0, -2.0, 8.0]]), torch.tensor([[2, 0, 2, 2]]), 2.0),
            "The penalty asks whether a token has occurred, not how often.",
        ),
        Probe(
            "both signs in one row",
            lambda: call(torch.tensor([[4.0, -2.0, 1.0]]), torch.tensor([[0, 1]]), 2.0),
            "4 is divided, −2 is multiplied: each score by its own sign.",
        ),
        Probe(
            "two texts",
            lambda: call(uneven(2, 5), torch.tensor([[0, 1, 1], [4, 3, 0]]), 1.3),
            "Each row is penalised for what it has written itself.",
        ),
    ),
    misconceptions=(
        Misconception(
            "negative scores rewarded",
            _always_divided,
            "Dividing a negative score brings it closer to 0, and makes the token more likely. "
            "Multiply where the score is negative.",
        ),
        Misconception(
            "always multiplied",
            _always_multiplied,
            "Multiplying a positive score by more than 1 makes the token more likely. Divide it.",
        ),
        Misconception(
            "subtracted",
            _subtracted,
            "That is another penalty (presence penalty). This one divides or multiplies.",
        ),
        Misconception(
            "once for each occurrence",
            _every_time,
            "You penalise a token as often as it occurs. That is a frequency penalty; this one is "
            "applied once. Collect the ids in a set, or mark them in a table of booleans.",
        ),
        Misconception(
            "every token penalised",
            _all_tokens,
            "You changed all scores. Only tokens that stand in `ids` are penalised.",
        ),
        Misconception(
            "the batch taken together",
            _of_any_row,
            "You penalise a row for what another row has written. Each row has its own ids.",
        ),
        Misconception(
            "one sign for a whole row",
            _by_the_sum,
            "One sign decides for all scores of a row. Ask each score by itself: torch.where("
            "scores < 0, scores * penalty, scores / penalty).",
        ),
        Misconception(
            "one sign for all scores",
            _all_or_nothing,
            "You divide only if all scores are positive, and multiply otherwise. Ask each score by "
            "itself, with torch.where instead of if.",
        ),
        Misconception(
            "the signs exchanged",
            lambda logits, ids, penalty: _penalised(logits, ids, 1 / penalty),
            "You multiply positive scores and divide negative ones, which makes each token more "
            "likely. It is the other way round.",
        ),
    ),
    alternatives=(
        Alternative("by gather and scatter", _gathered),
        Alternative("as the hints say", _marked),
        Alternative("token by token", _one_by_one),
    ),
    hints=(
        "Mark what has been seen: zeros of shape (B, V), scatter ones along dim 1 at ids.",
        "torch.where(logits < 0, logits * penalty, logits / penalty) pushes every score down.",
        "torch.where(seen, penalised, logits).",
    ),
)
