"""The exercise on the repetition penalty."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import penalty_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _penalised(logits, ids, penalty):
    rows = logits.tolist()
    for row, seen in zip(rows, ids.tolist(), strict=True):
        for i in set(seen):
            row[i] = row[i] / penalty if row[i] > 0 else row[i] * penalty
    return logits.new_tensor(rows)


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
    return logits.new_tensor(rows)


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
    title="The repetition penalty",
    minutes=8,
    difficulty=2,
    statement=(
        "Return the logits (B, V) with every token that occurs in its row of `ids` (B, S) made "
        "less likely, once: positive logits divided by `penalty`, negative ones multiplied by it. "
        "`penalty` is above 1. Keep the dtype."
    ),
    solution=generation.penalise_repetition,
    reference=_penalised,
    generator=penalty_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "positive logits",
            lambda: call(torch.tensor([[4.0, 2.0, 1.0]]), torch.tensor([[1]]), 2.0),
            "Token 1 occurs in the text: its 2 becomes 1, the others stay.",
        ),
        Probe(
            "a negative logit",
            lambda: call(torch.tensor([[4.0, -2.0, 1.0]]), torch.tensor([[1]]), 2.0),
            "−2 divided by 2 is −1, which is larger: that would be a reward.",
        ),
        Probe(
            "three occurrences",
            lambda: call(torch.tensor([[4.0, -2.0, 8.0]]), torch.tensor([[2, 0, 2, 2]]), 2.0),
            "What counts is whether a token has occurred, not how often.",
        ),
        Probe(
            "both signs in one row",
            lambda: call(torch.tensor([[4.0, -2.0, 1.0]]), torch.tensor([[0, 1]]), 2.0),
            "4 is divided, −2 is multiplied: the sign of each logit decides.",
        ),
        Probe(
            "two texts",
            lambda: call(uneven(2, 5), torch.tensor([[0, 1, 1], [4, 3, 0]]), 1.3),
            "Each row is penalised for its own tokens.",
        ),
        Probe(
            "a large id",
            lambda: call(uneven(1, 5001), torch.tensor([[5000, 3]]), 1.5),
            "A vocabulary has tens of thousands of tokens.",
        ),
    ),
    misconceptions=(
        Misconception(
            "negative logits rewarded",
            _always_divided,
            "Dividing a negative logit brings it closer to 0 and makes the token more likely. "
            "Multiply where the logit is negative.",
        ),
        Misconception(
            "always multiplied",
            _always_multiplied,
            "Multiplying a positive logit by more than 1 makes the token more likely. Divide it.",
        ),
        Misconception(
            "subtracted",
            _subtracted,
            "Subtracting is a different method, the presence penalty. This one divides or "
            "multiplies.",
        ),
        Misconception(
            "once for each occurrence",
            _every_time,
            "You penalise a token as often as it occurs (a frequency penalty does so, by "
            "subtracting). This one is applied once. Collect the ids in a set, or mark "
            "them in a table of booleans.",
        ),
        Misconception(
            "every token penalised",
            _all_tokens,
            "You changed all logits. Only tokens that occur in `ids` are penalised.",
        ),
        Misconception(
            "the batch taken together",
            _of_any_row,
            "You penalise a row for the tokens of a different row. Each row has its own ids.",
        ),
        Misconception(
            "one sign for a whole row",
            _by_the_sum,
            "The sign of one logit decides for its whole row. Decide for each logit separately: "
            "torch.where(logits < 0, logits * penalty, logits / penalty).",
        ),
        Misconception(
            "one sign for all logits",
            _all_or_nothing,
            "You divide only if all logits are positive, and multiply otherwise. Decide for each "
            "logit separately, with torch.where instead of if.",
        ),
        Misconception(
            "the signs exchanged",
            lambda logits, ids, penalty: _penalised(logits, ids, 1 / penalty),
            "You multiply positive logits and divide negative ones, which makes each token more "
            "likely. Divide positive ones, multiply negative ones.",
        ),
        Misconception(
            "only the last token",
            lambda logits, ids, penalty: _penalised(logits, ids[:, -1:], penalty),
            "You penalise only the last token. All tokens of the row count.",
        ),
    ),
    alternatives=(
        Alternative("by gather and scatter", _gathered),
        Alternative("as the hints say", _marked),
        Alternative("token by token", _one_by_one),
    ),
    hints=(
        "Mark what has been seen: zeros of shape (B, V), scatter ones along dim 1 at ids.",
        "torch.where(logits < 0, logits * penalty, logits / penalty) lowers every logit.",
        "torch.where(seen, penalised, logits).",
    ),
)
