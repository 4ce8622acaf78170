"""The exercise on greedy matching of token vectors."""

import math

import torch

from course_lib import evaluation
from course_lib.chapters.evaluation.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _one_by_one(candidate, reference):
    def cosine(u, v):
        dot = sum(a * b for a, b in zip(u, v, strict=True))
        return dot / (math.hypot(*u) * math.hypot(*v))

    a, b = candidate.double().tolist(), reference.double().tolist()
    precision = sum(max(cosine(u, v) for v in b) for u in a) / len(a)
    recall = sum(max(cosine(u, v) for u in a) for v in b) / len(b)
    found = [precision, recall, 2 * precision * recall / (precision + recall)]
    return tuple(torch.tensor(each, dtype=candidate.dtype) for each in found)


def _normal(x):
    return x / x.norm(dim=-1, keepdim=True)


def _table(a, b):
    return _normal(a) @ _normal(b).T


def _result(precision, recall):
    return precision, recall, 2 * precision * recall / (precision + recall)


def _as_hinted(candidate, reference):
    table = _table(candidate, reference)
    return _result(table.max(dim=1).values.mean(), table.max(dim=0).values.mean())


def _with_torch(candidate, reference):
    table = torch.nn.functional.cosine_similarity(candidate[:, None], reference[None], dim=-1)
    return _result(table.amax(1).mean(), table.amax(0).mean())


def _by_einsum(candidate, reference):
    dots = torch.einsum("ad,bd->ab", candidate, reference)
    lengths = torch.outer(candidate.norm(dim=1), reference.norm(dim=1))
    table = dots / lengths
    precision, recall = table.amax(1).mean(), table.amax(0).mean()
    return precision, recall, 2 / (1 / precision + 1 / recall)


def _cut(candidate, reference, change):
    table = change(_table(candidate, reference))
    return _result(table.amax(1).mean(), table.amax(0).mean())


def _dots(candidate, reference):
    table = candidate @ reference.T
    return _result(table.amax(1).mean(), table.amax(0).mean())


def _swapped(candidate, reference):
    table = _table(candidate, reference)
    return _result(table.amax(0).mean(), table.amax(1).mean())


def _all_pairs(candidate, reference):
    table = _table(candidate, reference)
    return _result(table.mean(), table.mean())


def _mean_vectors(candidate, reference):
    cosine = torch.nn.functional.cosine_similarity(candidate.mean(0), reference.mean(0), dim=0)
    return _result(cosine, cosine)


def _arithmetic(candidate, reference):
    precision, recall, _ = _as_hinted(candidate, reference)
    return precision, recall, (precision + recall) / 2


def _in_order(candidate, reference):
    shared = min(len(candidate), len(reference))
    diagonal = _table(candidate, reference).diagonal()[:shared]
    return _result(diagonal.sum() / len(candidate), diagonal.sum() / len(reference))


def _normalised_once(candidate, reference):
    table = candidate @ _normal(reference).T
    return _result(table.amax(1).mean(), table.amax(0).mean())


def _vectors(a, b, width):
    return lambda: call(uneven(a, width).abs() + 0.5, uneven(b, width).abs() + 0.25)


GREEDY = Exercise(
    id="evaluation.greedy_match",
    title="Greedy matching of token vectors",
    minutes=8,
    difficulty=2,
    statement=(
        "`candidate` is (A, D) and `reference` is (B, D), A and B at least 1: a vector for each "
        "token, none of them zero. The similarity of two tokens is their cosine. Precision is the "
        "mean, over the candidate's tokens, of the highest similarity to any token of the "
        "reference; recall is the mean over the reference's tokens of the highest similarity to "
        "any of the candidate's. Return (precision, recall, F1), F1 = 2 P R / (P + R); P + R is "
        "never 0 here."
    ),
    solution=evaluation.greedy_match,
    reference=_one_by_one,
    generator=generators.greedy,
    probes=(
        Probe(
            "equal",
            lambda: call(torch.eye(3), torch.eye(3)),
            "Each token finds itself: all three are 1.",
        ),
        Probe(
            "different lengths",
            lambda: call(torch.tensor([[2.0, 0.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]])),
            "Precision 1, recall 1/2: one token of the reference finds nothing.",
        ),
        Probe(
            "in reverse",
            lambda: call(torch.eye(3), torch.eye(3).flip(0)),
            "Order plays no part: all three are 1.",
        ),
        Probe("long vectors", _vectors(2, 3, 4), "The length of a vector plays no part."),
        Probe(
            "opposite directions",
            lambda: call(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 1.0], [-2.0, -1.0]])),
            "A cosine may be negative, and so may the best one be.",
        ),
        Probe("more candidates", _vectors(5, 2, 3), "Each side is averaged over its own tokens."),
    ),
    misconceptions=(
        Misconception(
            "products, not cosines",
            _dots,
            "Long vectors win. Divide each vector by its length first.",
        ),
        Misconception(
            "only one side normalised",
            _normalised_once,
            "You divide only the reference's vectors by their lengths. Both sides need it.",
        ),
        Misconception(
            "precision and recall swapped",
            _swapped,
            "Precision is about the candidate's tokens: for each row of the (A, B) table, the "
            "largest entry.",
        ),
        Misconception(
            "negative cosines cut off",
            lambda candidate, reference: _cut(candidate, reference, torch.relu),
            "The best cosine of a token may be negative. Take it as it is.",
        ),
        Misconception(
            "the magnitude of the cosine",
            lambda candidate, reference: _cut(candidate, reference, torch.abs),
            "Opposite vectors are as different as can be. Keep the sign.",
        ),
        Misconception(
            "all pairs averaged",
            _all_pairs,
            "Each token takes its best partner: a maximum along one axis, then the mean.",
        ),
        Misconception(
            "one vector for each text",
            _mean_vectors,
            "You compare mean vectors. Here each token is matched on its own.",
        ),
        Misconception(
            "the arithmetic mean",
            _arithmetic,
            "F1 is the harmonic mean, 2 P R / (P + R).",
        ),
        Misconception(
            "token by token in order",
            _in_order,
            "You match the tokens by their places. Any token of the other text may be the best.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("with cosine_similarity", _with_torch),
        Alternative("with einsum", _by_einsum),
    ),
    hints=(
        "Divide each vector by its length: x / x.norm(dim=-1, keepdim=True). Then one matrix "
        "product gives the table of cosines, (A, B).",
        "Precision: table.max(dim=1).values.mean(); recall: the same along dim 0.",
    ),
)
