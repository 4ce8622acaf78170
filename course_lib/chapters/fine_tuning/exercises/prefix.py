"""The exercise on prefix tuning: keys and values before all others."""

import math
import random

import torch

from course_lib.chapters.fine_tuning import answers
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _query_by_query(q, k, v, prefix_k, prefix_v):
    """Attend with one query at a time, in float64."""
    out = torch.zeros_like(q, dtype=torch.float64)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for t in range(q.shape[2]):
                keys = torch.cat((prefix_k[h], k[b, h, : t + 1])).double()
                values = torch.cat((prefix_v[h], v[b, h, : t + 1])).double()
                p = torch.softmax(keys @ q[b, h, t].double() / math.sqrt(q.shape[-1]), 0)
                out[b, h, t] = p @ values
    return out


def _joined(prefix, x, last=False):
    wide = prefix.expand(len(x), -1, -1, -1)
    return torch.cat((x, wide) if last else (wide, x), dim=2)


def _attend(q, k, v, mask, scale=None):
    scores = q @ k.mT / (math.sqrt(q.shape[-1]) if scale is None else scale)
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), -1) @ v


def _mask(q, prefix):
    place = torch.arange(prefix + q.shape[2], device=q.device)
    return place <= place[prefix:, None]


def _upper_left(q, k, v, prefix_k, prefix_v):
    tokens, total = q.shape[2], q.shape[2] + prefix_k.shape[1]
    mask = torch.ones(tokens, total).tril().bool()
    return _attend(q, _joined(prefix_k, k), _joined(prefix_v, v), mask)


def _no_mask(q, k, v, prefix_k, prefix_v):
    keys = _joined(prefix_k, k)
    mask = torch.ones(q.shape[2], keys.shape[2], dtype=torch.bool)
    return _attend(q, keys, _joined(prefix_v, v), mask)


def _without_prefix(q, k, v, prefix_k, prefix_v):
    return _attend(q, k, v, _mask(q, 0))


def _values_before_keys(q, k, v, prefix_k, prefix_v):
    mask = _mask(q, prefix_k.shape[1])
    return _attend(q, _joined(prefix_v, k), _joined(prefix_k, v), mask)


def _added(q, k, v, prefix_k, prefix_v):
    """Attend to the prefix apart, and add the two results."""
    everything = torch.ones(q.shape[2], prefix_k.shape[1], dtype=torch.bool)
    wide = [part.expand(len(q), -1, -1, -1) for part in (prefix_k, prefix_v)]
    return _without_prefix(q, k, v, prefix_k, prefix_v) + _attend(q, *wide, everything)


def _unscaled(q, k, v, prefix_k, prefix_v):
    mask = _mask(q, prefix_k.shape[1])
    return _attend(q, _joined(prefix_k, k), _joined(prefix_v, v), mask, scale=1.0)


def _no_gradient(q, k, v, prefix_k, prefix_v):
    return _as_the_hints_say(q, k, v, prefix_k.detach(), prefix_v.detach())


def _as_the_hints_say(q, k, v, prefix_k, prefix_v):
    mask = _mask(q, prefix_k.shape[1])
    return _attend(q, _joined(prefix_k, k), _joined(prefix_v, v), mask)


def _by_torch(q, k, v, prefix_k, prefix_v):
    mask = _mask(q, prefix_k.shape[1])
    return torch.nn.functional.scaled_dot_product_attention(
        q, _joined(prefix_k, k), _joined(prefix_v, v), attn_mask=mask
    )


def _token_by_token(q, k, v, prefix_k, prefix_v):
    rows = []
    for t in range(q.shape[2]):
        keys, values = _joined(prefix_k, k[:, :, : t + 1]), _joined(prefix_v, v[:, :, : t + 1])
        scores = q[:, :, t : t + 1] @ keys.mT / math.sqrt(q.shape[-1])
        rows.append(scores.softmax(-1) @ values)
    return torch.cat(rows, 2)


def _any_input(rng: random.Random) -> Call:
    batch, heads, tokens, prefix, width = (rng.randint(1, 4) for _ in range(5))
    new = [random_tensor(rng, batch, heads, tokens, width) for _ in range(3)]
    return call(*new, *(random_tensor(rng, heads, prefix, width) for _ in range(2)))


def _given(batch, heads, tokens, prefix, width):
    row = uneven(3, batch, heads, tokens, width)
    before = uneven(2, heads, prefix, width) / 2
    return call(*row, *before)


PREFIX = Exercise(
    id="fine_tuning.prefix",
    title="A prefix in the cache",
    minutes=10,
    difficulty=2,
    statement=(
        "`q`, `k` and `v` (B, H, T, D) belong to the tokens of a text. `prefix_k` and `prefix_v` "
        "(H, P, D) stand before the keys and values of every row. Return attention (B, H, T, D): "
        "a token reads the whole prefix, itself, and the tokens before it. Scores are divided by "
        "√D. The gradient is checked too: the prefix is what is trained."
    ),
    solution=answers.prefixed_attention,
    reference=_query_by_query,
    generator=_any_input,
    tolerance=4.0,
    probes=(
        Probe(
            "one token, a prefix of one",
            lambda: _given(1, 1, 1, 1, 2),
            "The token chooses between the prefix and itself.",
        ),
        Probe(
            "three tokens, a prefix of two",
            lambda: _given(1, 1, 3, 2, 4),
            "Everyone reads the prefix; later tokens stay hidden.",
            tolerance=4.0,
        ),
        Probe(
            "a batch with heads",
            lambda: _given(2, 3, 4, 5, 2),
            "Every row has the same prefix, every head its own part of it.",
            tolerance=4.0,
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "the staircase in the upper left corner",
            _upper_left,
            "The first token must read the whole prefix and itself. The staircase of the mask ends "
            "in the lower right corner: its first row has P + 1 Trues.",
        ),
        Misconception(
            "no mask",
            _no_mask,
            "The tokens of the text still may not read later ones. Only the prefix is open to all.",
        ),
        Misconception(
            "the prefix left out",
            _without_prefix,
            "Put the prefix before the keys and the values of the text.",
        ),
        Misconception(
            "keys and values exchanged",
            _values_before_keys,
            "`prefix_k` goes before the keys, `prefix_v` before the values.",
        ),
        Misconception(
            "two softmaxes",
            _added,
            "Prefix and text share one softmax: a token divides its attention between them. Join "
            "keys and values first.",
        ),
        Misconception(
            "not divided by √D", _unscaled, "Divide the scores by √D, as attention always does."
        ),
        Misconception(
            "no gradient to the prefix",
            _no_gradient,
            "The prefix is all that is trained. A cache made for generation detaches what is "
            "written into it; here the gradient must flow.",
        ),
    ),
    alternatives=(
        Alternative("step by step", _as_the_hints_say),
        Alternative("torch's own attention", _by_torch),
        Alternative("token by token, as in generation", _token_by_token),
    ),
    hints=(
        "To the text, the prefix is a cache: keys and values that were there before it.",
        "`prefix_k.expand(B, -1, -1, -1)` has a row for each text; join it to `k` along axis 2.",
        "The mask has T rows and P + T columns: row t is True in the first P + t + 1.",
    ),
)
