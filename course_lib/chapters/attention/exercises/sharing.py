"""The exercise on query heads that share keys and values."""

import torch
import torch.nn.functional as F

from course_lib import attention
from course_lib.chapters.attention.exercises.generators import shared_heads
from course_lib.chapters.attention.exercises.weighted_mean import attended, numbers
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _per_group(q, k, v, mask=None):
    """Attend head by head in a loop; head h reads key/value head h // (H/G)."""
    share = q.shape[1] // k.shape[1]
    masks = [None] * q.shape[1]
    if mask is not None:
        masks = mask.expand(*q.shape[:3], k.shape[2]).unbind(1)
    heads = [
        attended(q[:, h], k[:, h // share], v[:, h // share], masks[h]) for h in range(q.shape[1])
    ]
    return torch.stack(heads, dim=1)


def _repeated(q, k, v, mask=None, keys="each", values="each", **changed):
    """Attention over copied heads: "each" copies every head in place, "all" the whole row."""
    share = q.shape[1] // k.shape[1]
    copy = {
        "each": lambda x: x.repeat_interleave(share, dim=1),
        "all": lambda x: x.repeat(1, share, 1, 1),
        "first": lambda x: x[:, :1],
        "mean": lambda x: x.mean(1, keepdim=True),
    }
    return attended(q, copy[keys](k), copy[values](v), mask, **changed)


def _first_queries(q, k, v, mask=None):
    return attended(q[:, : k.shape[1]], k, v, mask)


def _causal_whatever_the_mask(q, k, v, mask=None):
    causal = None if mask is None else torch.ones(q.shape[2], k.shape[2]).tril().bool()
    return _repeated(q, k, v, causal)


def _copied_as_often_as_there_are_groups(q, k, v, mask=None):
    groups = k.shape[1]
    k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    return attended(q, k, v, mask)


def _as_the_hints_say(q, k, v, mask=None):
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    return attention.scaled_dot_product_attention(q, k, v, mask)


def _mask_of_the_first_head(q, k, v, mask=None):
    return _repeated(q, k, v, mask if mask is None or mask.dim() < 4 else mask[:, :1])


def _mask_inverted(q, k, v, mask=None):
    return _repeated(q, k, v, None if mask is None else ~mask)


def _keys_and_values_cut_off(q, k, v, mask=None):
    return _repeated(q, k.detach(), v.detach(), mask)


def _overflowing(q, k, v, mask=None):
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], dim=1) for x in (k, v))
    e = (q @ k.mT / q.shape[-1] ** 0.5).exp()
    e = e if mask is None else e * mask
    return e @ v / e.sum(-1, keepdim=True)


GROUPED = Exercise(
    id="attention.grouped_query",
    title="Heads that share their keys",
    minutes=10,
    difficulty=3,
    statement=(
        "Return attention of `q` (B, H, T, D) over `k` and `v` (B, G, S, D), where G divides "
        "H: the first H/G query heads read key/value head 0, the next H/G read head 1, and so "
        "on. `mask`, where given, broadcasts to (B, H, T, S) and is True where a query may "
        "attend. Gradients must flow through the result."
    ),
    solution=attention.grouped_query_attention,
    reference=_per_group,
    generator=shared_heads,
    probes=(
        Probe(
            "as many key heads as query heads",
            lambda: call(numbers(1, 2, 3, 4), numbers(1, 2, 5, 4, shift=1), numbers(1, 2, 5, 4)),
            "With G = H this is multi-head attention.",
        ),
        Probe(
            "one key head",
            lambda: call(numbers(2, 3, 4, 2), numbers(2, 1, 5, 2, shift=1), numbers(2, 1, 5, 2)),
            "With G = 1 all query heads read the same keys: multi-query attention.",
        ),
        Probe(
            "six query heads, two key heads",
            lambda: call(numbers(2, 6, 4, 3), numbers(2, 2, 5, 3, shift=1), numbers(2, 2, 5, 3)),
            "Query heads 0, 1, 2 share key head 0; heads 3, 4, 5 share key head 1.",
        ),
        Probe(
            "with a causal mask",
            lambda: call(
                numbers(1, 4, 3, 2),
                numbers(1, 2, 3, 2, shift=1),
                numbers(1, 2, 3, 2, shift=2),
                torch.ones(3, 3).tril().bool(),
            ),
            "The mask is the same for every head.",
            gradient=True,
        ),
        Probe(
            "a mask for each head",
            lambda: call(
                numbers(2, 4, 3, 2),
                numbers(2, 2, 5, 2, shift=1),
                numbers(2, 2, 5, 2, shift=2),
                numbers(2, 4, 3, 5, shift=3) < 1,
            ),
            "The mask broadcasts to (B, H, T, S): heads that share keys may read different ones.",
        ),
        Probe(
            "large scores",
            lambda: call(
                20 * numbers(1, 4, 3, 2),
                20 * numbers(1, 2, 3, 2, shift=1),
                numbers(1, 2, 3, 2, shift=2),
            ),
            "Use a stable softmax: scores of a thousand overflow exp.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the whole row of heads repeated",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, keys="all", values="all"),
            "`repeat` orders the heads as 0, 1, 0, 1, 0, 1, so neighbouring query heads read "
            "different keys. Checkpoints use 0, 0, 0, 1, 1, 1: repeat_interleave. The shape is "
            "the same either way.",
        ),
        Misconception(
            "keys and values in different order",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, values="all"),
            "Your keys are grouped as 0, 0, 0, 1, 1, 1 and your values as 0, 1, 0, 1, 0, 1. "
            "Such a head computes its weights from the keys of one head and reads the values "
            "of a different one.",
        ),
        Misconception(
            "only the first key head",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, keys="first", values="first"),
            "All your query heads read key/value head 0; the others are never used.",
        ),
        Misconception(
            "key heads averaged",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, keys="mean", values="mean"),
            "Averaging is how a checkpoint is *converted* to fewer key/value heads. A model "
            "with G of them uses each one unchanged.",
        ),
        Misconception(
            "query heads dropped",
            _first_queries,
            "You keep only G query heads. All H of them attend.",
        ),
        Misconception(
            "no scale",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, scale=1.0),
            "The scores are divided by √D here too, with D the width of one head.",
        ),
        Misconception(
            "scaled by the whole width",
            lambda q, k, v, mask=None: _repeated(
                q, k, v, mask, scale=(q.shape[1] * q.shape[3]) ** -0.5
            ),
            "You divide by √(H · D), the model width. One score sums over the D features of one "
            "head.",
        ),
        Misconception(
            "softmax over the queries",
            lambda q, k, v, mask=None: _repeated(q, k, v, mask, pooled=-2),
            "The weights of each query sum to 1 over the keys: dim=-1.",
        ),
        Misconception(
            "the mask ignored",
            lambda q, k, v, mask=None: _repeated(q, k, v),
            "`mask` has no effect on your result.",
        ),
        Misconception(
            "causal whatever the mask",
            _causal_whatever_the_mask,
            "You hide later tokens whatever `mask` says. It may be any table, such as a "
            "padding mask. Pass it on unchanged, not as is_causal=True.",
        ),
        Misconception(
            "the mask of the first head for all",
            _mask_of_the_first_head,
            "Every head uses the mask of head 0. `mask` broadcasts to (B, H, T, S), so it may have "
            "one table for each query head: pass all of it on.",
        ),
        Misconception(
            "copied G times",
            _copied_as_often_as_there_are_groups,
            "Each key/value head serves H/G query heads, so H/G copies of each are needed, not G.",
        ),
        Misconception(
            "the gradient cut off",
            lambda q, k, v, mask=None: _repeated(q.detach(), k.detach(), v.detach(), mask),
            "The result is right, but no gradient flows through it, so nothing before it can "
            "learn. Leave out detach() and torch.no_grad().",
        ),
        Misconception(
            "the mask inverted",
            _mask_inverted,
            'In this course True means "may attend", as in F.scaled_dot_product_attention.',
        ),
        Misconception(
            "the gradient of keys and values cut off",
            _keys_and_values_cut_off,
            "The result is right, but keys and values get no gradient. Copy the heads without "
            "detach() or torch.no_grad().",
        ),
        Misconception(
            "nothing subtracted before exp",
            _overflowing,
            "exp overflows for large scores, as in the notebook `softmax`. Use "
            "softmax.stable_softmax or softmax.masked_softmax, or the library's attention.",
        ),
    ),
    alternatives=(
        Alternative("by copies", _repeated),
        Alternative("as the hints say", _as_the_hints_say),
        Alternative(
            "by torch",
            lambda q, k, v, mask=None: F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, enable_gqa=True
            ),
        ),
    ),
    hints=(
        "The simple way: copy each key/value head H/G times, then attend as before. In which "
        "order?",
        "k.repeat_interleave(H // G, dim=1) gives 0, 0, 0, 1, 1, 1.",
        "Without copies: view q as (B, G, H/G, T, D) and k as (B, G, 1, S, D), and broadcast. "
        "The library goes one step further: it stacks the H/G heads along the token axis, as "
        "if they were more tokens.",
    ),
)
