"""The exercise that assembles a layer: project, split, attend, merge, project."""

import random

import torch
import torch.nn.functional as F

from course_lib import attention
from course_lib.chapters.attention import answers
from course_lib.chapters.attention.exercises.weighted_mean import attended, numbers
from course_lib.study.check.generated import random_tensor, torch_generator
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _layer(x, w_q, w_k, w_v, w_o, num_heads, mask=None, **changed):
    """Compute the layer head by head; `changed` makes some of the mistakes."""
    width = w_q.shape[0] // num_heads
    share = w_q.shape[0] // w_k.shape[0]
    share_of = changed.get("share_of", lambda head, groups: head // share)
    masks = [None] * num_heads
    if mask is not None:
        masks = mask.expand(x.shape[0], num_heads, x.shape[1], x.shape[1]).unbind(1)
    written = 0
    for head in range(num_heads):
        own = slice(head * width, (head + 1) * width)
        group = share_of(head, w_k.shape[0] // width)
        shared = slice(group * width, (group + 1) * width)
        q, k, v = (x @ w.T for w in (w_q[own], w_k[shared], w_v[shared]))
        read = attended(q, k, v, masks[head], scale=changed.get("scale"))
        written = written + read @ w_o[:, own].T
    return written


def _heads_of(x, weight, width):
    return (x @ weight.T).unflatten(-1, (-1, width)).transpose(1, 2)


def _read(x, w_q, w_k, w_v, num_heads, mask=None):
    """Return what the heads read, (B, H, T, D)."""
    width = w_q.shape[0] // num_heads
    q, k, v = (_heads_of(x, w, width) for w in (w_q, w_k, w_v))
    share = num_heads // k.shape[1]
    return attended(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), mask)


def _split_before_projecting(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    columns = torch.arange(x.shape[-1]) * num_heads // x.shape[-1]  # the head of each feature
    rows = torch.arange(w_q.shape[0]) // (w_q.shape[0] // num_heads)
    share = w_q.shape[0] // w_k.shape[0]
    own = (rows[:, None] == columns).to(x.dtype)
    kept = (rows[: w_k.shape[0], None] == columns // share).to(x.dtype)
    return _layer(x, w_q * own, w_k * kept, w_v * kept, w_o, num_heads, mask)


def _viewed_at_once(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    batch, tokens = x.shape[:2]
    width = w_q.shape[0] // num_heads
    q, k, v = ((x @ w.T).reshape(batch, -1, tokens, width) for w in (w_q, w_k, w_v))
    share = num_heads // k.shape[1]
    read = attended(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), mask)
    return read.reshape(batch, tokens, -1) @ w_o.T


def _merged_without_transpose(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    read = _read(x, w_q, w_k, w_v, num_heads, mask)
    return read.reshape(*x.shape[:2], -1) @ w_o.T


def _without_output(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    return _read(x, w_q, w_k, w_v, num_heads, mask).transpose(1, 2).flatten(2)


def _not_transposed(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    return _layer(x, w_q.T, w_k.T, w_v.T, w_o.T, num_heads, mask)


def _inverted(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    return _layer(x, w_q, w_k, w_v, w_o, num_heads, mask if mask is None else ~mask)


def _mask_of_the_first_head(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    mask = mask if mask is None or mask.dim() < 4 else mask[:, :1]
    return _layer(x, w_q, w_k, w_v, w_o, num_heads, mask)


def _cut_off(*given):
    with torch.no_grad():
        return _layer(*given)


def _as_the_hints_say(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    width = w_q.shape[0] // num_heads
    q = attention.split_heads(x @ w_q.T, num_heads)
    k = attention.split_heads(x @ w_k.T, w_k.shape[0] // width)
    v = attention.split_heads(x @ w_v.T, w_v.shape[0] // width)
    return attention.merge_heads(attention.grouped_query_attention(q, k, v, mask)) @ w_o.T


def _by_torch(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    width = w_q.shape[0] // num_heads
    q, k, v = (_heads_of(x, w, width) for w in (w_q, w_k, w_v))
    read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    return read.nan_to_num(0.0).transpose(1, 2).flatten(2) @ w_o.T


def _one_matrix_for_all(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    """Project once with the three matrices stacked, as `nn.MultiheadAttention` does."""
    sizes = [w.shape[0] for w in (w_q, w_k, w_v)]
    width = w_q.shape[0] // num_heads
    parts = F.linear(x, torch.cat((w_q, w_k, w_v))).split(sizes, dim=-1)
    q, k, v = (part.unflatten(-1, (-1, width)).transpose(1, 2) for part in parts)
    share = num_heads // k.shape[1]
    read = attended(q, k.repeat_interleave(share, 1), v.repeat_interleave(share, 1), mask)
    return torch.einsum("bhtd,chd->btc", read, w_o.unflatten(1, (num_heads, width)))


def _situation(heads, groups, width, model_width, tokens, batch=2, mask=None):
    sizes = (heads * width, groups * width, groups * width)
    weights = [numbers(n, model_width, shift=i + 1) / 3 for i, n in enumerate(sizes)]
    x = numbers(batch, tokens, model_width) / 2
    return call(x, *weights, numbers(model_width, heads * width, shift=4) / 3, heads, mask)


def a_layer(rng: random.Random) -> Call:
    """A layer of any sizes, often with a mask over pairs or over the keys of each text."""
    groups, share, width = rng.randint(1, 3), rng.randint(1, 3), rng.randint(1, 3)
    batch, tokens, model_width = rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 5)
    heads = groups * share
    sizes = (heads * width, groups * width, groups * width)
    dtype = rng.choice((torch.float32, torch.float32, torch.float64))
    weights = [random_tensor(rng, n, model_width, dtype=dtype) for n in sizes]
    x = random_tensor(rng, batch, tokens, model_width, dtype=dtype)
    w_o = random_tensor(rng, model_width, heads * width, dtype=dtype)
    if rng.random() < 0.3:
        return call(x, *weights, w_o, heads)
    pairs = (tokens, tokens)
    shape = rng.choice((pairs, (batch, 1, 1, tokens), (batch, 1, *pairs), (batch, heads, *pairs)))
    return call(x, *weights, w_o, heads, torch.rand(shape, generator=torch_generator(rng)) < 0.6)


MULTI_HEAD = Exercise(
    id="attention.multi_head",
    title="The whole layer",
    minutes=15,
    difficulty=3,
    statement=(
        "Return the output (B, T, C) of a self-attention layer for `x` (B, T, C). The weights are "
        "stored as in `nn.Linear`, so each is applied as x @ w.T: `w_q` is (H·D, C), `w_k` and "
        "`w_v` are (G·D, C), `w_o` is (C, H·D). `num_heads` is H, and G divides H; D and G follow "
        "from the shapes, and H·D need not equal C. `mask` is True where a query may attend and "
        "broadcasts to (B, H, T, T); a query that may attend to nothing reads zeros. Keep the "
        "dtype; gradients must flow to `x` and to all four weights."
    ),
    solution=answers.multi_head_attention,
    reference=_layer,
    generator=a_layer,
    tolerance=4.0,  # as many products as in a probe below
    same_dtype=True,
    probes=(
        Probe(
            "one head",
            lambda: _situation(heads=1, groups=1, width=2, model_width=3, tokens=4),
            "With one head there is nothing to split: project, attend, project.",
        ),
        Probe(
            "two heads",
            lambda: _situation(heads=2, groups=2, width=3, model_width=6, tokens=4),
            "Each head reads all C features of `x`; what is split is the result of the projection.",
        ),
        Probe(
            "wider than the model",
            lambda: _situation(heads=3, groups=3, width=2, model_width=4, tokens=5),
            "H·D is 6 and C is 4. The head width comes from w_q, not from C.",
            tolerance=4.0,  # four matrix products in float32 follow one another
        ),
        Probe(
            "four query heads, two key/value heads",
            lambda: _situation(heads=4, groups=2, width=2, model_width=5, tokens=3),
            "Neighbouring query heads share a key/value head.",
        ),
        Probe(
            "causal, with gradients",
            lambda: _situation(
                heads=2,
                groups=1,
                width=3,
                model_width=4,
                tokens=3,
                mask=torch.ones(3, 3).tril().bool(),
            ),
            "The mask is the same for all heads.",
            gradient=True,
        ),
        Probe(
            "a batch with padding",
            lambda: _situation(
                heads=2,
                groups=2,
                width=2,
                model_width=3,
                tokens=4,
                mask=(torch.arange(4) < torch.tensor([[4], [2]]))[:, None, None],
            ),
            "A padding mask (B, 1, 1, T) differs from text to text.",
        ),
        Probe(
            "a mask for each head",
            lambda: _situation(
                heads=4,
                groups=2,
                width=2,
                model_width=5,
                tokens=3,
                mask=numbers(2, 4, 3, 3, shift=3) < 1,
            ),
            "The mask broadcasts to (B, H, T, T): each head may have its own.",
            tolerance=4.0,
        ),
    ),
    misconceptions=(
        Misconception(
            "split before the projections",
            _split_before_projecting,
            "Each of your heads sees only its own piece of `x`. Project first: every head reads "
            "all C features through its own rows of w_q, w_k and w_v. Then split the result.",
        ),
        Misconception(
            "viewed without a transpose",
            _viewed_at_once,
            "`view(B, H, T, D)` puts several tokens of one head where several heads of one token "
            "belong. Use view(B, T, H, D) and then transpose(1, 2).",
        ),
        Misconception(
            "merged without a transpose",
            _merged_without_transpose,
            "You reshape (B, H, T, D) to (B, T, H·D) directly, which mixes tokens. Transpose heads "
            "and tokens first, or call attention.merge_heads.",
        ),
        Misconception(
            "no output projection",
            _without_output,
            "These are the heads' outputs side by side. `w_o` still has to mix them and bring them "
            "back to the model width: @ w_o.T.",
        ),
        Misconception(
            "weights not transposed",
            _not_transposed,
            "A weight of nn.Linear is stored as (outputs, inputs), so it is applied as x @ w.T. "
            "Without the transpose it runs only where the matrix is square.",
        ),
        Misconception(
            "scaled by the model width",
            lambda x, *given: _layer(x, *given, scale=x.shape[-1] ** -0.5),
            "You divide the scores by √C. One score sums over the D features of one head: divide "
            "by √D.",
        ),
        Misconception(
            "key/value heads in the wrong order",
            lambda *given: _layer(*given, share_of=lambda head, groups: head % groups),
            "Your query heads read the key/value heads 0, 1, 0, 1. Neighbours share: 0, 0, 1, 1, "
            "as repeat_interleave arranges them.",
        ),
        Misconception(
            "all query heads read the first key/value head",
            lambda *given: _layer(*given, share_of=lambda head, groups: 0),
            "There are G key/value heads, and each serves H/G query heads. You use only the first.",
        ),
        Misconception(
            "values projected with w_k",
            lambda x, w_q, w_k, w_v, w_o, num_heads, mask=None: _layer(
                x, w_q, w_k, w_k, w_o, num_heads, mask
            ),
            "Your values are the keys. They have their own projection, `w_v`.",
        ),
        Misconception(
            "the mask ignored",
            lambda x, w_q, w_k, w_v, w_o, num_heads, mask=None: _layer(
                x, w_q, w_k, w_v, w_o, num_heads
            ),
            "`mask` has no effect on your result. Pass it on to the attention function.",
        ),
        Misconception(
            "the residual connection added",
            lambda x, *given: x + _layer(x, *given),
            "You return x plus the output. The residual connection belongs to the block around "
            "this layer.",
        ),
        Misconception(
            "the gradient cut off",
            _cut_off,
            "The result is right, but no gradient flows through it, so neither `x` nor the weights "
            "would learn. Leave out detach() and torch.no_grad().",
        ),
        Misconception(
            "no scale",
            lambda *given: _layer(*given, scale=1.0),
            "Divide the scores by √D, or the softmax becomes too sharp as the heads get wider.",
        ),
        Misconception(
            "the mask of the first head for all",
            _mask_of_the_first_head,
            "Every head uses the mask of head 0. `mask` broadcasts to (B, H, T, T), so it may have "
            "one table for each head: pass all of it on.",
        ),
        Misconception(
            "the mask inverted",
            _inverted,
            "True means that a query may attend. Hide where the mask is False.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_the_hints_say),
        Alternative("by torch", _by_torch),
        Alternative("one matrix for queries, keys and values", _one_matrix_for_all),
    ),
    hints=(
        "Five moves: project `x` three times, split into heads, attend, merge, project with w_o.",
        "D = w_q.shape[0] // num_heads and G = w_k.shape[0] // D. "
        "attention.split_heads(x @ w_k.T, G) are the keys (B, G, T, D).",
        "attention.grouped_query_attention(q, k, v, mask) attends; attention.merge_heads(...) @ "
        "w_o.T brings the result back to (B, T, C).",
    ),
)
