"""The exercise on scaled dot-product attention: scores, scale, mask, softmax, weighted mean."""

import torch
import torch.nn.functional as F

from course_lib import attention, softmax
from course_lib.chapters.attention.exercises.generators import queries_keys_values
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def numbers(*shape, shift=0):
    """Return numbers of that shape between -3 and 3, which depend on `shift`."""
    count = int(torch.tensor(shape).prod())
    return (3 * torch.sin(torch.arange(count) * 1.7 + 0.3 + shift)).reshape(shape)


def attended(q, k, v, mask=None, scale=None, pooled=-1):
    """Attention in float64 with PyTorch alone; `scale` and `pooled` make some of the mistakes."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = torch.einsum("...td,...sd->...ts", q.double(), k.double()) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, pooled).nan_to_num(0.0)  # nan: a row with nothing allowed
    return (weights @ v.double()).to(q.dtype)


def _scores(q, k):
    return q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5


def _query_by_query(q, k, v, mask=None):
    rows = []
    if mask is not None:
        mask = mask.expand(*q.shape[:-1], k.shape[-2])
    for t in range(q.shape[-2]):
        allowed = None if mask is None else mask[..., t : t + 1, :]
        rows.append(attended(q[..., t : t + 1, :], k, v, allowed))
    return torch.cat(rows, dim=-2)


def _masked_afterwards(q, k, v, mask=None):
    weights = torch.softmax(_scores(q, k), -1)
    return (weights if mask is None else weights * mask) @ v


def _masked_by_zero(q, k, v, mask=None):
    scores = _scores(q, k)
    return torch.softmax(scores if mask is None else scores * mask, -1) @ v


def _masked_by_a_large_number(q, k, v, mask=None):
    scores = _scores(q, k)
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -1e9), -1) @ v


def _masked_by_minus_infinity(q, k, v, mask=None):
    scores = _scores(q, k)
    return torch.softmax(scores if mask is None else scores.masked_fill(~mask, -torch.inf), -1) @ v


def _inverted(q, k, v, mask=None):
    return attended(q, k, v, None if mask is None else ~mask)


def _keys_as_they_are(q, k, v, mask=None):
    scores = q @ k / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0) @ v


def _weights_alone(q, k, v, mask=None):
    scores = _scores(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0)


def _scores_without_softmax(q, k, v, mask=None):
    scores = _scores(q, k)
    return (scores if mask is None else scores * mask) @ v


def _overflowing(q, k, v, mask=None):
    e = _scores(q, k).exp()
    e = e if mask is None else e * mask
    total = e.sum(-1, keepdim=True)
    return e / total.masked_fill(total == 0, 1.0) @ v


def _mixed_keys(q, k, v, mask=None):
    return attended(q, k, k, mask)


def _mask_added(q, k, v, mask=None):
    scores = _scores(q, k)
    return torch.softmax(scores if mask is None else scores + mask, -1) @ v


def _mask_only_if_any(q, k, v, mask=None):
    return attended(q, k, v, mask if mask is not None and mask.any() else None)


def _masked_by_ten_thousand(q, k, v, mask=None):
    scores = _scores(q, k)
    if mask is None:
        return torch.softmax(scores, -1) @ v
    return torch.softmax(scores.masked_fill(~mask, -1e4), -1) * mask @ v


def _weights_cut_off(q, k, v, mask=None):
    return attended(q.detach(), k.detach(), v, mask)


def _cut_off(q, k, v, mask=None):
    return attended(q.detach(), k.detach(), v.detach(), mask)


def _in_float32(q, k, v, mask=None):
    return attended(q.float(), k.float(), v.float(), mask)


def _as_the_hints_say(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if mask is None:
        return softmax.stable_softmax(scores) @ v
    return softmax.masked_softmax(scores, mask) @ v


def _over_queries_unguarded(q, k, v, mask=None):
    scores = _scores(q, k)
    scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, -2) @ v


SCALED_DOT_PRODUCT = Exercise(
    id="attention.scaled_dot_product",
    title="Scaled dot-product attention",
    minutes=10,
    difficulty=2,
    statement=(
        "Return, for each query, the values averaged with the weights softmax(q · k / √D). "
        "`q` is (..., T, D), `k` is (..., S, D), `v` is (..., S, Dv). `mask`, where given, "
        "broadcasts to (..., T, S) and is True where a query may attend; a query with nothing to "
        "attend to returns zeros. "
        "The result has the dtype of `q`, and gradients must flow through it."
    ),
    solution=attention.scaled_dot_product_attention,
    reference=attended,
    same_dtype=True,
    generator=queries_keys_values,
    probes=(
        Probe(
            "one query, one feature",
            lambda: call(
                torch.tensor([[2.0]]),
                torch.tensor([[1.0], [0.0]]),
                torch.tensor([[10.0], [20.0]]),
            ),
            "With one feature √D is 1: the weights are softmax of 2 and 0.",
        ),
        Probe(
            "one query, four features",
            lambda: call(numbers(1, 4), numbers(3, 4, shift=1), numbers(3, 2, shift=2)),
            "The scores are divided by √4 = 2 before softmax.",
        ),
        Probe(
            "five queries, four keys of width four",
            lambda: call(numbers(5, 4), numbers(4, 4, shift=1), numbers(4, 3, shift=2)),
            "Score (t, s) is the product of query t with key s, and each row of weights sums to 1.",
        ),
        Probe(
            "a batch of heads",
            lambda: call(
                numbers(2, 3, 5, 4), numbers(2, 3, 6, 4, shift=1), numbers(2, 3, 6, 7, shift=2)
            ),
            "There may be any number of leading axes; only the last two take part.",
        ),
        Probe(
            "some keys hidden",
            lambda: call(
                numbers(3, 4),
                numbers(4, 4, shift=1),
                numbers(4, 2, shift=2),
                torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]]).bool(),
            ),
            "A hidden key gets the weight 0, and the weights of the others add up to 1.",
        ),
        Probe(
            "a query that may read nothing",
            lambda: call(
                numbers(2, 4),
                numbers(4, 4, shift=1),
                numbers(4, 3, shift=2),
                torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0]]).bool(),
            ),
            "A query for which every key is hidden returns zeros, not nan.",
        ),
        Probe(
            "nothing to read at all",
            lambda: call(
                numbers(2, 4),
                numbers(3, 4, shift=1),
                numbers(3, 2, shift=2),
                torch.zeros(2, 3, dtype=torch.bool),
            ),
            "A mask without any True is a mask: every query returns zeros.",
        ),
        Probe(
            "scores far below zero",
            lambda: call(
                torch.tensor([[100.0, 0.0]]),
                torch.tensor([[-300.0, 0.0], [-300.01, 0.0], [0.0, 1.0]]),
                torch.tensor([[1.0], [3.0], [50.0]]),
                torch.tensor([[True, True, False]]),
            ),
            "A hidden key gets nothing, even where the other scores are near -21 000.",
            tolerance=30.0,  # the scores are rounded to 0.002
        ),
        Probe(
            "large scores",
            lambda: call(20 * numbers(2, 4), 20 * numbers(3, 4, shift=1), numbers(3, 2, shift=2)),
            "Use a stable softmax: scores of a thousand overflow exp.",
        ),
        Probe(
            "different keys for each query",
            lambda: call(
                numbers(3, 4),
                numbers(4, 4, shift=1),
                numbers(4, 2, shift=2),
                torch.tensor([[1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 1, 1]]).bool(),
            ),
            "Each query may read different keys. Gradients must flow to queries, keys and values.",
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "no scale",
            lambda q, k, v, mask=None: attended(q, k, v, mask, scale=1.0),
            "The scores are not divided by √D. A dot product over D features has the variance "
            "D: without the scale most rows are decided before training, and gradients grow "
            "with the width and are very uneven.",
        ),
        Misconception(
            "divided by D",
            lambda q, k, v, mask=None: attended(q, k, v, mask, scale=1 / q.shape[-1]),
            "You divide by D. The *variance* of the scores is D, so their standard deviation "
            "is √D: dividing by D makes them too small, and the weights are nearly uniform.",
        ),
        Misconception(
            "scaled by the number of keys",
            lambda q, k, v, mask=None: attended(q, k, v, mask, scale=k.shape[-2] ** -0.5),
            "You divide by the square root of the number of keys. A dot product grows with the "
            "number of features: `q.shape[-1]`.",
        ),
        Misconception(
            "multiplied by √D",
            lambda q, k, v, mask=None: attended(q, k, v, mask, scale=q.shape[-1] ** 0.5),
            "You multiply by √D, which makes large scores even larger. Divide.",
        ),
        Misconception(
            "softmax over the queries",
            lambda q, k, v, mask=None: attended(q, k, v, mask, pooled=-2),
            "Your columns sum to 1, not your rows. The weights of each query sum to 1 over the "
            "keys: dim=-1.",
        ),
        Misconception(
            "keys not transposed",
            _keys_as_they_are,
            "`q @ k` runs only where there are as many keys as features, and then it sums over "
            "the keys. Use k.transpose(-2, -1), so that the sum runs over features.",
        ),
        Misconception(
            "masked after softmax",
            _masked_afterwards,
            "The hidden keys took part in the sum, so the remaining weights do not add up to "
            "1. Hide them before softmax.",
        ),
        Misconception(
            "hidden scores set to zero",
            _masked_by_zero,
            "A score of 0 is an ordinary score: exp(0) = 1. A hidden score must be −inf.",
        ),
        Misconception(
            "the mask inverted",
            _inverted,
            'In this course True means "may attend", as in F.scaled_dot_product_attention. '
            "(nn.MultiheadAttention means the opposite.)",
        ),
        Misconception(
            "the mask ignored",
            lambda q, k, v, mask=None: attended(q, k, v),
            "`mask` has no effect on your result. Hide the scores where it is False.",
        ),
        Misconception(
            "nan for an empty row",
            _masked_by_minus_infinity,
            "When every key is hidden, the whole row is −inf, and its softmax is nan. "
            "softmax.masked_softmax returns zeros there.",
        ),
        Misconception(
            "uniform over nothing",
            _masked_by_a_large_number,
            "With a large negative number in place of −inf, a query that may read nothing gets "
            "uniform weights over exactly the keys that the mask hides.",
        ),
        Misconception(
            "a mask without any True ignored",
            _mask_only_if_any,
            "You use the mask only if it has a True somewhere. A mask that hides everything must "
            "give zeros. Test with `if mask is not None`.",
        ),
        Misconception(
            "a hidden score not low enough",
            _masked_by_ten_thousand,
            "A hidden score of −10 000 is not the lowest: where the scores that count are lower "
            "still, softmax gives all of the weight to hidden keys. Use −inf, or "
            "softmax.masked_softmax.",
        ),
        Misconception(
            "the weights returned",
            _weights_alone,
            "These are the weights. The last step is still missing: multiply them by the values.",
        ),
        Misconception(
            "no softmax",
            _scores_without_softmax,
            "You average the values with raw scores, which may be negative and do not sum to 1.",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows for large scores, as in the notebook `softmax`. Use "
            "softmax.stable_softmax or softmax.masked_softmax.",
        ),
        Misconception(
            "keys averaged in place of values",
            _mixed_keys,
            "You average the keys. Keys decide which tokens are read; what is read are the values.",
        ),
        Misconception(
            "scaled by the width of the values",
            lambda q, k, v, mask=None: attended(q, k, v, mask, scale=v.shape[-1] ** -0.5),
            "You divide by the square root of the values' width. A score sums over the "
            "features of query and key: divide by the square root of `q.shape[-1]`.",
        ),
        Misconception(
            "the mask added",
            _mask_added,
            "A boolean mask added to the scores adds 1 where it is True and hides nothing. Use "
            "scores.masked_fill(~mask, -torch.inf).",
        ),
        Misconception(
            "the gradient through the weights cut off",
            _weights_cut_off,
            "The result is right, but queries and keys get no gradient and would never learn "
            "which tokens to read. Leave out detach() and torch.no_grad().",
        ),
        Misconception(
            "the gradient cut off",
            _cut_off,
            "The result is right, but no gradient flows through it, so nothing before it can "
            "learn. Leave out detach() and torch.no_grad().",
        ),
        Misconception(
            "always in float32",
            _in_float32,
            "Your result is float32 whatever comes in. Keep the dtype of the inputs: no .float(), "
            "or go back with .to(q.dtype).",
        ),
        Misconception(
            "softmax over the queries, nan for a hidden key",
            _over_queries_unguarded,
            "Your columns sum to 1, not your rows, and a key that no query may read gives nan. The "
            "weights of each query sum to 1 over the keys: dim=-1.",
        ),
    ),
    alternatives=(
        Alternative("query by query", _query_by_query),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative(
            "scaled beforehand",
            lambda q, k, v, mask=None: attended(q * q.shape[-1] ** -0.5, k, v, mask, scale=1.0),
        ),
        Alternative(
            "by torch",
            lambda q, k, v, mask=None: F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask
            ).nan_to_num(0.0),
        ),
    ),
    hints=(
        "Five steps: scores = q @ k.transpose(-2, -1), divide by √D, mask, softmax, @ v.",
        "D is q.shape[-1]. Softmax runs along the keys, the last axis of the scores.",
        "softmax.masked_softmax(scores, mask) masks and normalises, and returns zeros for an "
        "empty row. Without a mask, softmax.stable_softmax(scores).",
    ),
)
