"""Exercises on the end of a row: its output, and joining parts."""

import torch

from course_lib import flash
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.chapters.flash_attention.exercises.update import INF, state_of, zero_for_inf
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _finish_in_double(state):
    maximum, total, mixed = (x.double() for x in state)
    divisor = torch.where(total > 0, total, 1.0)
    return (mixed / divisor[:, None]).float(), (maximum + total.log()).float()


def _finished(lse, divide=True):
    def finish(state):
        maximum, total, mixed = state
        divisor = torch.where(total > 0, total, 1.0)
        return mixed / divisor[:, None] if divide else mixed, lse(maximum, total)

    return finish


def _unguarded(state):
    maximum, total, mixed = state
    return mixed / total[:, None], maximum + total.log()


def _query_by_query(state):
    outputs, lses = torch.zeros_like(state[2]), torch.full_like(state[0], -INF)
    for i, (maximum, total, mixed) in enumerate(zip(*state, strict=True)):
        if total > 0:
            outputs[i], lses[i] = mixed / total, maximum + total.log()
    return outputs, lses


FINISH = Exercise(
    id="flash_attention.finish",
    title="Output and logsumexp of a row",
    minutes=5,
    difficulty=1,
    statement=(
        "From the state (maximum, total, mixed) after the last tile return the pair (output, lse): "
        "the attention output (t, Dv), and the logsumexp of each query's scores (t,). A query that "
        "has read nothing gets zeros and −inf."
    ),
    solution=flash.finish,
    reference=_finish_in_double,
    generator=generators.finals,
    probes=(
        Probe(
            "one query",
            lambda: call(state_of([2.0], [1.5], [[3.0, 6.0]])),
            "Divide `mixed` by the total; the logsumexp is 2 + log 1.5 = 2.405.",
        ),
        Probe(
            "three queries",
            lambda: call(state_of([0.0, -4.0, 7.0], [1.5, 2.5, 3.5], uneven(3, 2))),
            "Each query has its own total.",
        ),
        Probe(
            "scores around 1000",
            lambda: call(state_of([1000.0], [1.25], [[2.5, 5.0]])),
            "exp(1000) overflows: the logsumexp is 1000 + log 1.25.",
        ),
        Probe(
            "a query that read nothing",
            lambda: call(state_of([-INF, 1.0], [0.0, 2.0], [[0.0, 0.0], [1.0, 2.0]])),
            "Its total is 0, and 0 / 0 is nan.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the logsumexp without the maximum",
            _finished(lambda maximum, total: total.log()),
            "The total is measured from the maximum, so its logarithm is too small by exactly "
            "that. Add the maximum back, or the backward pass recomputes the wrong weights.",
        ),
        Misconception(
            "not divided by the total",
            _finished(lambda maximum, total: maximum + total.log(), divide=False),
            "`mixed` is still a sum. Divide by the total, so that the weights add up to 1.",
        ),
        Misconception(
            "exp formed on the way",
            _finished(lambda maximum, total: (maximum.exp() * total).log()),
            "log(exp(m) · l) overflows for large m. The logarithm of a product is m + log(l).",
        ),
        Misconception(
            "the sum instead of its logarithm",
            _finished(lambda maximum, total: maximum + total),
            "The second result is a logarithm: m + log(l), not m + l.",
        ),
        Misconception(
            "the logarithm subtracted",
            _finished(lambda maximum, total: maximum - total.log()),
            "log(exp(m) · l) is m + log(l): a larger total means a larger logsumexp.",
        ),
        Misconception(
            "nan for a query that read nothing",
            _unguarded,
            "Its total is 0 and 0 / 0 is nan. Divide by 1 instead, and the output stays 0.",
        ),
        Misconception(
            "a logarithm to base 2",
            _finished(lambda maximum, total: maximum + total.log2()),
            "The inverse of exp is the natural logarithm: use .log().",
        ),
        Misconception(
            "the −inf of an empty row replaced",
            lambda state: tuple(each.nan_to_num() for each in _unguarded(state)),
            "nan_to_num replaces −inf too, by the lowest finite number. A query that has read "
            "nothing keeps lse = −inf; guard only the division.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _finished(lambda maximum, total: maximum + total.log())),
        Alternative("query by query", _query_by_query),
        Alternative(
            "nan replaced afterwards",
            lambda state: (
                (state[2] / state[1][:, None]).nan_to_num(nan=0.0),
                torch.log(state[1]) + state[0],
            ),
        ),
    ),
    hints=(
        "Every weight was exp(score − maximum). What must `mixed` be divided by?",
        "logsumexp = log Σ exp(score) = log(exp(m) · l). Turn the product into a sum first.",
        "torch.where(total > 0, total, 1.0) is safe to divide by.",
    ),
)


def _join_in_double(outputs, lses):
    lse = torch.logsumexp(lses.double(), 0)
    weights = torch.exp(lses.double() - zero_for_inf(lse))
    return (weights[..., None] * outputs.double()).sum(0).float(), lse.float()


def _joined(weigh):
    def join(outputs, lses):
        return (weigh(lses)[..., None] * outputs).sum(0), torch.logsumexp(lses, 0)

    return join


def _in_raw_numbers(outputs, lses):
    sums = lses.exp()
    return (sums[..., None] * outputs).sum(0) / sums.sum(0)[..., None], sums.sum(0).log()


def _join_with(lse):
    return lambda outputs, lses: (_join_in_double(outputs, lses)[0], lse(lses))


def _pairwise(outputs, lses):
    output, lse = outputs[0], lses[0]
    for other, other_lse in zip(outputs[1:], lses[1:], strict=True):
        output, lse = _join_in_double(torch.stack([output, other]), torch.stack([lse, other_lse]))
    return output, lse


_LSES = [[0.5, 2.0, -1.0], [1.5, -2.0, -1.5]]


def _to_base_two(lses):
    largest = zero_for_inf(lses.amax(0))
    return largest + (lses - largest).exp().sum(0).log2()


JOIN = Exercise(
    id="flash_attention.join",
    title="Joining parts",
    minutes=8,
    difficulty=2,
    statement=(
        "The keys were cut into P parts, and attention was computed over each: outputs (P, t, Dv) "
        "and logsumexps (P, t). Return the pair (output, lse) over all keys. A part without a key "
        "has the lse −inf; if all have, return zeros and −inf."
    ),
    solution=flash.join_parts,
    reference=_join_in_double,
    generator=generators.parts,
    tolerance=10.0,  # a logsumexp around 1000 has steps of 6e-5 in float32
    probes=(
        Probe(
            "two parts, one query",
            lambda: call(torch.tensor([[[2.0]], [[10.0]]]), torch.tensor([[0.0], [1.0986123]])),
            "The second part has three times the weight: (1 · 2 + 3 · 10) / 4 = 8.",
        ),
        Probe(
            "two parts, three queries",
            lambda: call(uneven(2, 3, 4), torch.tensor(_LSES)),
            "Each query weighs the parts differently.",
        ),
        Probe(
            "five parts",
            lambda: call(uneven(5, 3, 2), uneven(5, 3)),
            "Any number of parts, along the first axis.",
        ),
        Probe(
            "scores around 1000",
            lambda: call(uneven(2, 3, 4), torch.tensor(_LSES) + 1000),
            "Only differences of logsumexps may be exponentiated.",
        ),
        Probe(
            "an empty part",
            lambda: call(
                torch.stack([torch.zeros(2, 2), uneven(2, 2)]),
                torch.tensor([[-INF, -INF], [0.5, -INF]]),
            ),
            "A part without keys has the logsumexp −inf and weight 0; two of them give zeros.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the mean of the parts",
            _joined(lambda lses: torch.full_like(lses, 1 / len(lses))),
            "The parts do not count equally. A part whose keys score higher has more weight: "
            "exp(its logsumexp − the joint one).",
        ),
        Misconception(
            "weights along the wrong axis",
            _joined(lambda lses: torch.softmax(lses, -1).nan_to_num()),
            "Your softmax runs over the queries. The weights of the parts of one query add up to "
            "1: take it along the first axis.",
        ),
        Misconception(
            "weighted by the logsumexp itself",
            _joined(lambda lses: lses / lses.sum(0)),
            "A logsumexp is a logarithm and may be negative. The weight of a part is its exp.",
        ),
        Misconception(
            "added up",
            _joined(torch.ones_like),
            "Each part has already been divided by its own total: now the weights add up to P.",
        ),
        Misconception(
            "exp of the logsumexp itself",
            _in_raw_numbers,
            "exp(1000) overflows. Subtract the largest logsumexp, or the joint one, before exp.",
        ),
        Misconception(
            "logsumexps added",
            _join_with(lambda lses: lses.sum(0)),
            "The sums add up, not their logarithms: log Σ exp(Lᵢ), which is a logsumexp again.",
        ),
        Misconception(
            "the largest logsumexp kept",
            _join_with(lambda lses: lses.amax(0)),
            "The maximum is only the largest term: log Σ exp(Lᵢ) is larger.",
        ),
        Misconception(
            "nan for empty parts",
            _joined(lambda lses: torch.exp(lses - torch.logsumexp(lses, 0))),
            "If all parts are empty, −inf − (−inf) is nan. Subtract 0 where the joint logsumexp is "
            "−inf.",
        ),
        Misconception(
            "a logarithm to base 2",
            _join_with(_to_base_two),
            "The inverse of exp is the natural logarithm: use .log().",
        ),
    ),
    alternatives=(
        Alternative("one part after the other", _pairwise),
        Alternative(
            "as the hints say",
            _joined(lambda lses: torch.exp(lses - zero_for_inf(torch.logsumexp(lses, 0)))),
        ),
        Alternative("by a softmax", _joined(lambda lses: torch.softmax(lses, 0).nan_to_num())),
    ),
    hints=(
        "exp(lse) of a part is the sum of all its exponentials: its total weight.",
        "The joint lse is torch.logsumexp(lses, 0). The weight of a part is exp(lses − lse).",
        "output = (weights[..., None] * outputs).sum(0). Handle the case in which lse is −inf.",
    ),
)
