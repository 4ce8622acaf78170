"""The exercise on top-k, and helpers for all exercises on filters."""

import torch

from course_lib import generation
from course_lib.chapters.generation.exercises.generators import top_k_inputs
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call

NEVER = float("-inf")


def row_by_row(rule):
    """Return a filter that keeps the places of a row (a list of logits) that `rule` returns."""

    def kept(logits, *settings):
        rows = []
        for row in logits.tolist():
            stays = rule(row, *settings)
            rows.append([z if i in stays else NEVER for i, z in enumerate(row)])
        return logits.new_tensor(rows)

    return kept


def best_first(row):
    """Return the places of a row, those of the largest logits first."""
    return sorted(range(len(row)), key=lambda i: -row[i])


def shares_of(row):
    """Return the softmax of a list of logits, as a list."""
    return torch.tensor(row, dtype=torch.float64).softmax(0).tolist()


def logs(*rows):
    """Return logits that have these probabilities."""
    return torch.tensor(rows).log()


def _k_with_ties(row, k):
    limit = sorted(row, reverse=True)[min(k, len(row)) - 1]
    return [i for i, z in enumerate(row) if z >= limit]


def _k_places(logits, k):
    best = logits.topk(min(k, logits.shape[-1]))
    return torch.full_like(logits, NEVER).scatter(1, best.indices, best.values)


def _keep_the_smallest(row, k):
    return sorted(range(len(row)), key=lambda i: row[i])[:k]


def _limit_excluded(row, k):
    stays = _k_with_ties(row, k)
    limit = min(row[i] for i in stays)
    return [i for i in stays if row[i] > limit]


def _limit_of_everything(logits, k):
    limit = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return logits.masked_fill(logits < limit, NEVER)


def _zeros_for_dropped(logits, k):
    limit = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < limit, 0.0)


def _very_low(logits, k):
    limit = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < limit, -1e9)


def _k_unbounded(logits, k):
    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], NEVER)


def _k_different(row, k):
    values = sorted(set(row), reverse=True)
    return [i for i, z in enumerate(row) if z >= values[min(k, len(values)) - 1]]


def _by_topk(logits, k):
    limit = logits.topk(min(k, logits.shape[-1])).values[:, -1:]
    return logits.masked_fill(logits < limit, -torch.inf)


def _by_kthvalue(logits, k):
    limit = logits.kthvalue(max(logits.shape[-1] - k + 1, 1), keepdim=True).values
    return torch.where(logits >= limit, logits, NEVER)


def _by_counting(logits, k):
    larger = (logits[:, None, :] > logits[:, :, None]).sum(-1)
    return logits.masked_fill(larger >= k, NEVER)


TOP_K = Exercise(
    id="generation.top_k",
    title="Top-k",
    minutes=6,
    difficulty=1,
    statement=(
        "Return the logits (B, V) with all but the k largest of each row set to -inf. Whatever "
        "equals the k-th largest stays too. k may be larger than V. Keep the dtype."
    ),
    solution=generation.keep_top_k,
    reference=row_by_row(_k_with_ties),
    generator=top_k_inputs,
    same_dtype=True,
    probes=(
        Probe(
            "one row, two to keep",
            lambda: call(torch.tensor([[1.0, 4.0, 2.0, 3.0]]), 2),
            "The two largest logits stay where they are, the others become -inf.",
        ),
        Probe(
            "rows of different size",
            lambda: call(torch.tensor([[9.0, 8.0, 7.0], [1.0, 3.0, 2.0]]), 2),
            "Each row has its own limit.",
        ),
        Probe(
            "a tie for the last place",
            lambda: call(torch.tensor([[5.0, 3.0, 1.0, 3.0, 3.0]]), 2),
            "Three tokens tie for second place. Nothing says which to prefer, so all stay.",
        ),
        Probe(
            "a tie for the first place",
            lambda: call(torch.tensor([[5.0, 1.0, 5.0, 3.0]]), 2),
            "The second largest logit is 5 again: equal logits count one by one.",
        ),
        Probe(
            "negative logits",
            lambda: call(-uneven(3, 5).abs() - 1, 2),
            "A dropped logit must be below every kept one, and 0 is not.",
        ),
        Probe(
            "k larger than the vocabulary",
            lambda: call(uneven(2, 3), 7),
            "There are only V tokens to keep: take min(k, V).",
        ),
        Probe(
            "a large vocabulary",
            lambda: call(uneven(1, 5001), 2000),
            "A vocabulary has tens of thousands of tokens, and k may be large too.",
        ),
    ),
    misconceptions=(
        Misconception(
            "ties broken by place",
            _k_places,
            "You keep exactly k tokens: of equal ones, those whose indices topk happens to return. "
            "The index means nothing. Compare with the k-th largest logit instead.",
        ),
        Misconception(
            "the k-th itself dropped",
            row_by_row(_limit_excluded),
            "You drop what equals the limit, so fewer than k stay. Drop only what is smaller.",
        ),
        Misconception(
            "the smallest kept",
            row_by_row(_keep_the_smallest),
            "You sorted in ascending order and kept the first: the worst tokens. Keep the largest.",
        ),
        Misconception(
            "one limit for all rows",
            _limit_of_everything,
            "You took the k largest of the whole batch. Each row is a separate text: use topk "
            "along the last axis, and keep that axis for the comparison.",
        ),
        Misconception(
            "dropped means 0",
            _zeros_for_dropped,
            "A logit of 0 is a logit like any other: exp(0) = 1. Only -inf becomes probability 0.",
        ),
        Misconception(
            "a very low logit instead of -inf",
            _very_low,
            "After softmax it is the same, but a later step may scale -1e9, compare it, or "
            "overflow in float16. Only -inf rules the token out at every step.",
        ),
        Misconception(
            "k larger than V",
            _k_unbounded,
            "topk raises an error if k is larger than V. Use min(k, V).",
        ),
        Misconception(
            "the k largest values",
            row_by_row(_k_different),
            "You counted equal logits as one. The two largest of 5, 5 and 3 are both fives, so the "
            "limit is 5: count repetitions, as topk does.",
        ),
        Misconception(
            "only the values",
            lambda logits, k: logits.topk(min(k, logits.shape[-1])).values,
            "You return the k largest logits without their places. The result has the shape of "
            "the input, with -inf wherever a token is dropped.",
        ),
    ),
    alternatives=(
        Alternative("by sorting", row_by_row(_k_with_ties)),
        Alternative("as the hints say", _by_topk),
        Alternative("by kthvalue", _by_kthvalue),
        Alternative("by counting", _by_counting),
    ),
    hints=(
        "Find the k-th largest logit of each row; everything below it is dropped.",
        "logits.topk(k).values is in descending order; its last column is the limit: [:, -1:].",
        "logits.masked_fill(logits < limit, -torch.inf). Take min(k, logits.shape[-1]) for k.",
    ),
)
