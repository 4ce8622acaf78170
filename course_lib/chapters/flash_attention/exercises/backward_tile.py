"""The exercise on the backward pass of one tile."""

import torch

from course_lib.chapters.flash_attention import answers
from course_lib.chapters.flash_attention.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _by_autograd(q, k, v, grad, output, lse, scale):
    """Differentiate a sum whose gradient at the scores is p (g · v - delta)."""
    leaves = [x.double().requires_grad_() for x in (q, k, v)]
    delta = (grad.double() * output.double()).sum(-1)
    with torch.enable_grad():
        weights = (leaves[0] @ leaves[1].T * scale - lse.double()[:, None]).exp()
        at_weights = grad.double() @ leaves[2].T - delta[:, None]
        found = torch.autograd.grad((weights * at_weights).sum(), leaves)
    return tuple(x.to(q.dtype) for x in found)


def _tile(
    weigh=lambda scores, lse: (scores - lse[:, None]).exp(),
    row_sum=lambda weights, dp, grad, output: (grad * output).sum(-1),
    weigh_ds=True,
    scale_scores=True,
    scale_ds=True,
    scaled_queries=False,
    sign=1.0,
):
    """Return the backward pass of a tile with one of its parts changed."""

    def backward(q, k, v, grad, output, lse, scale):
        scores = q @ k.T * (scale if scale_scores else 1.0)
        weights = weigh(scores, lse)
        dp = grad @ v.T
        ds = sign * (dp - row_sum(weights, dp, grad, output)[:, None])
        ds = ds * (weights if weigh_ds else 1.0) * (scale if scale_ds else 1.0)
        queries = q * scale if scaled_queries else q
        return ds @ k, ds.T @ queries, weights.T @ grad

    return backward


def _values_by_output(q, k, v, grad, output, lse, scale):
    dq, dk, _ = _tile()(q, k, v, grad, output, lse, scale)
    weights = (q @ k.T * scale - lse[:, None]).exp()
    return dq, dk, weights.T @ output


def _order_changed(q, k, v, grad, output, lse, scale):
    dq, dk, dv = _tile()(q, k, v, grad, output, lse, scale)
    return dv, dk, dq


def _pair_by_pair(q, k, v, grad, output, lse, scale):
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    for i in range(len(q)):
        for j in range(len(k)):
            weight = torch.exp(scale * (q[i] @ k[j]) - lse[i])
            ds = scale * weight * (grad[i] @ (v[j] - output[i]))
            dq[i] += ds * k[j]
            dk[j] += ds * q[i]
            dv[j] += weight * grad[i]
    return dq, dk, dv


def _as_the_hints_say(q, k, v, grad, output, lse, scale):
    p = torch.exp(q @ k.T * scale - lse[:, None])
    delta = (grad * output).sum(-1)
    ds = p * (grad @ v.T - delta[:, None]) * scale
    return ds @ k, ds.T @ q, p.T @ grad


def part_of_a_row(q, keys, values, grad, cols: slice, scale: float) -> Call:
    """Return the inputs for some of the keys, with output and logsumexp over all of them."""
    scores = q.double() @ keys.double().T * scale
    output = torch.softmax(scores, -1) @ values.double()
    lse = scores.logsumexp(-1)
    return call(q, keys[cols], values[cols], grad, output.to(q), lse.to(q), scale)


_ALL = slice(None)

BACKWARD_TILE = Exercise(
    id="flash_attention.backward_tile",
    title="The backward pass of one tile",
    minutes=18,
    difficulty=3,
    statement=(
        "For queries q (t, D), the keys k (s, D) and values v (s, Dv) of one tile, the gradient of "
        "the output grad (t, Dv), and output (t, Dv) and lse (t) over all keys, return what this "
        "tile adds to the gradients: (dq, dk, dv). Scores are q @ k.T * scale, without a mask."
    ),
    solution=answers.backward_of_tile,
    reference=_by_autograd,
    generator=generators.backward_tiles,
    tolerance=4.0,  # grad · v and the row sum nearly cancel now and then
    probes=(
        Probe(
            "one query, two keys",
            lambda: part_of_a_row(
                torch.tensor([[1.0]]),
                torch.tensor([[0.0], [1.0986123]]),
                torch.tensor([[4.0], [8.0]]),
                torch.tensor([[1.0]]),
                _ALL,
                1.0,
            ),
            "Weights ¼ and ¾, output 7, ds = (−0.75, 0.75), dv = (¼, ¾).",
        ),
        Probe(
            "one tile holds the whole row",
            lambda: part_of_a_row(
                uneven(3, 2), uneven(5, 2).cos(), uneven(5, 4), uneven(3, 4).sin(), _ALL, 0.5
            ),
            "With all keys in the tile these are the whole gradients of attention.",
        ),
        Probe(
            "a tile in the middle of a row",
            lambda: part_of_a_row(
                uneven(3, 2), uneven(9, 2).cos(), uneven(9, 4), uneven(3, 4).sin(), slice(3, 7), 0.7
            ),
            "The weights of a tile do not add up to 1, so the row sum must come from the output.",
        ),
        Probe(
            "large scores",
            lambda: part_of_a_row(
                uneven(2, 3) * 20,
                uneven(6, 3) * 20,
                uneven(6, 2),
                uneven(2, 2).sin(),
                slice(0, 4),
                1.0,
            ),
            "exp(score) overflows; exp(score − lse) is at most 1.",
            tolerance=100.0,
        ),
    ),
    misconceptions=(
        Misconception(
            "a softmax over the tile",
            _tile(weigh=lambda scores, lse: torch.softmax(scores, -1)),
            "The weights of a tile do not add up to 1: other keys of the row hold the rest. Use "
            "the saved logsumexp, exp(score − lse).",
        ),
        Misconception(
            "the row sum over this tile alone",
            _tile(row_sum=lambda weights, dp, grad, output: (weights * dp).sum(-1)),
            "The sum in softmax's gradient runs over the whole row. It equals grad · output: "
            "(grad * output).sum(-1).",
        ),
        Misconception(
            "the row sum not subtracted",
            _tile(row_sum=lambda weights, dp, grad, output: torch.zeros(len(dp))),
            "Raising one score lowers the other weights of the row. Subtract "
            "(grad * output).sum(-1) from each grad · v.",
        ),
        Misconception(
            "ds not multiplied by the weights",
            _tile(weigh_ds=False),
            "ds = p · (grad · v − δ): the gradient at a score is proportional to its weight.",
        ),
        Misconception(
            "the scale missing in dq and dk",
            _tile(scale_ds=False),
            "The score is q · k times the scale, so the gradients at q and k contain the scale.",
        ),
        Misconception(
            "the scale missing in the scores",
            _tile(scale_scores=False),
            "The logsumexp was computed from scaled scores. Recompute the same: q @ k.T * scale.",
        ),
        Misconception(
            "the scale applied twice in dk",
            _tile(scaled_queries=True),
            "ds contains the scale already, so dk = dsᵀ q takes the queries without it.",
        ),
        Misconception(
            "the logsumexp not subtracted",
            _tile(weigh=lambda scores, lse: scores.exp()),
            "exp(score) is not a weight, and it overflows. The weight is exp(score − lse).",
        ),
        Misconception(
            "dv from the output",
            _values_by_output,
            "dv = pᵀ grad: what flows back to a value is the gradient of the output.",
        ),
        Misconception(
            "the order of the results",
            _order_changed,
            "Return (dq, dk, dv), in this order.",
        ),
        Misconception(
            "ds with the wrong sign",
            _tile(sign=-1.0),
            "dq and dk have the wrong sign, because you subtract grad · v from δ. The row sum is "
            "what is subtracted: ds = p · (grad · v − δ).",
        ),
    ),
    alternatives=(
        Alternative("pair by pair", _pair_by_pair),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("by autograd", _by_autograd),
    ),
    hints=(
        "First the weights: p = exp(q @ k.T * scale − lse[:, None]). Then dv = p.T @ grad.",
        "delta = (grad * output).sum(-1), and ds = p * (grad @ v.T − delta[:, None]).",
        "Multiply ds by the scale. Then dq = ds @ k and dk = ds.T @ q.",
    ),
)
