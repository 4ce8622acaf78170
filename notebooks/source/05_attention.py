# %% [markdown] id="05-attention"
# # 05 · Attention
#
# **How does a token decide what to read from the others?**
#
# So far each token was a vector by itself. But a word means what it means because of the others: *it* is the cat, or the
# mat. Attention is the one place in a Transformer where tokens meet. Everything else works on each token alone.
#
# After this notebook you can
# - write attention with any mask, cut it into heads, let heads share their keys, and say what each line is for;
# - predict what the scale, the mask and the order of the tokens do to the result;
# - say what attention costs in operations and in bytes, with a cache and without;
# - look at the maps of a trained model, find the heads that copy, and test whether they do what they seem to do.
#
# About 120 minutes. You need notebook [Softmax](04_softmax.ipynb); nothing is downloaded.

# %% id="imports"
import math
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib import attention, softmax
from course_lib.chapters.attention import induction_toy
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

# %% [markdown] id="1-a-mean-weighted-by-relevance"
# ## 1 · A mean, weighted by relevance
#
# Take the sentence *the cat slept, it ...* When the model reads *it*, the vector of *it* should take something over from
# *cat*. So each token plays three parts, and has a vector for each of them:
#
# - its **query** says what it is looking for,
# - its **key** says what it has to offer,
# - its **value** is what others get when they read it.
#
# Queries and keys live in the same space, so that they can be compared. Here are four tokens, by hand. The features of
# queries and keys mean *noun, animal, verb, article*. A pronoun looks for nouns and animals; a verb for its subject; a noun
# for its article.

# %% id="tokens-the-cat-slept-it"
tokens = ["the", " cat", " slept", " it"]
# what I look for, what I am, what I give: a row for each token
queries = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 2], [2, 1, 0, 0], [2, 2, 0, 0.0]])
keys = torch.tensor([[0, 0, 0, 2], [2, 2, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0.0]])
values = torch.tensor([[0, 0, 1], [2, 1, 0], [0, 2, 0], [1, 0, 1.0]])
print("it asks each token:", (queries[3] @ keys.T).tolist())

# %% [markdown] id="a-dot-product-is-large-where"
# A dot product is large where two vectors point the same way: 2·2 + 2·2 = **8** for *cat*, 2·1 = **2** for *it* itself, and
# 0 for the two others. These are the scores. Softmax makes weights of them, and the output is the mean of the values with
# these weights:
#
# $$\operatorname{attention}(Q, K, V) = \operatorname{softmax}\!\Big(\frac{Q K^\top}{\sqrt{D}}\Big)\, V$$
#
# $D$ is the number of features, here 4, so the scores are divided by 2. (Why, is the next section.)
#
# > **Predict.** The scores of *it* are now 0, 4, 0 and 1. Roughly which weight does *cat* get: a half, three quarters, or
# > more than nine tenths?

# %% id="scores-queries-3-keys-t-math"
scores = queries[3] @ keys.T / math.sqrt(4)
exponentials = scores.exp()
print("exponentials:", rounded(exponentials, 2), "sum:", rounded(exponentials.sum(), 2))
weights = exponentials / exponentials.sum()
print("weights:     ", rounded(weights))
print("output:      ", rounded(weights @ values, 2), " the value of cat:", values[1].tolist())

# %% [markdown] id="play-with-it"
# What *it* has read is almost the value of *cat*, with a little of everything else mixed in.
#
# ### Play with it
# All four tokens at once are five matrices. The third one is a *mask*: a model that writes must not read what comes later,
# so the upper right half is hidden. Switch it off, and see what *slept* does. Change the divisor, and watch the fourth
# matrix.

# %% id="explorers-attention-five-steps"
explorers.attention.five_steps()

# %% [markdown] id="2-why-the-scores-are-divided"
# ## 2 · Why the scores are divided by √D
#
# A dot product is a sum of $D$ terms. If queries and keys have independent entries with mean 0 and variance 1, each term
# has variance 1, and variances of independent terms add up:
#
# $$\operatorname{Var}(q \cdot k) = \sum_{i=1}^{D} \operatorname{Var}(q_i k_i) = D \qquad\text{so}\qquad q \cdot k \text{ spreads by } \sqrt{D}$$
#
# > **Predict.** A head has 64 features. How large is a typical score before the division? And what does softmax do with 16
# > scores of that size?

# %% id="q-k-torch-randn-2-400"
q, k = torch.randn(2, 400, 64, generator=seeded(0), dtype=torch.float64)
products = q @ k.T
print(f"spread of q·k at D = 64: between 7.5 and 8.5: {7.5 < products.std().item() < 8.5}")
for name, scale in [("no scale", 1.0), ("divided by √D", 1 / 8), ("divided by D", 1 / 64)]:
    rows = softmax.stable_softmax(products[:, :16] * scale)
    sure = (rows.amax(-1) > 0.9).double().mean().item()
    print(f"{name:14} rows in which one of 16 keys gets over 0.9: {round(sure, 1)}")

# %% [markdown] id="play-with-it-2"
# Without the scale most rows are all but decided before the model has learned anything. In notebook [Softmax](04_softmax.ipynb) you saw what that
# means: the Jacobian $\operatorname{diag}(p) - pp^\top$ of a decided row is close to 0, and hardly anything comes back. With
# the division the scores spread by 1 whatever the width, and softmax stays in the range where it learns.
#
# ### Play with it
# Left: theory (the line), independent entries (dots) and a model that was trained (triangles; you will meet it in section
# 9). Right: how much softmax passes back. Both are measured. Note the triangles: **the theory is about the beginning.**
# Training makes queries and keys depend on each other, and their products larger than √D.

# %% id="model-toy-heads-trained"
model = induction_toy.trained()
sample = induction_toy.repeated_sequences(8, induction_toy.PERIODS["varying"], seeded(1))
head_queries, head_keys = induction_toy.queries_and_keys(model, sample.ids)  # (L, B, H, T, D) each
spread = [
    figures.attention.product_spread(head_queries[layer, :, head], head_keys[layer, :, head])
    for layer in range(induction_toy.LAYERS)
    for head in range(induction_toy.HEADS)
]
print("trained heads of width 16:", [round(each, 1) for each in spread], "√16 = 4")

# %% id="explorers-attention-scale-trained-16-each"
explorers.attention.scale(trained=[(16, each) for each in spread])

# %% [markdown] id="build-it"
# ### Build it
# Queries `q` (..., T, D), keys `k` (..., S, D), values `v` (..., S, Dv); there need not be as many keys as queries. `mask`
# is True where a query may attend. You have `softmax.stable_softmax` and `softmax.masked_softmax` from notebook [Softmax](04_softmax.ipynb).


# %% id="attention.scaled_dot_product"
@exercise("attention.scaled_dot_product")
def scaled_dot_product_attention(q, k, v, mask=None):
    """Return for each query the values, averaged by how well their keys answer it."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run its cell twice.

# %% id="reveal-attention-scaled-dot-product"
reveal("attention.scaled_dot_product")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# In float64, next to PyTorch's own, for a mask of each kind. (In float32 two right answers differ in the last digits, which
# would hide a small mistake.)

# %% id="q-torch-randn-2-3-5"
q = torch.randn(2, 3, 5, 8, generator=seeded(2)).double()
k, v = torch.randn(2, 2, 3, 7, 8, generator=seeded(3)).double()
kinds = {
    "no mask": None,
    "causal": attention.causal_mask(5, 7),
    "window of 3": attention.sliding_window_mask(5, 7, window=3),
    "padding": attention.padding_mask(torch.tensor([7, 4]), 7),
}
for name, mask in kinds.items():
    ours = attention.scaled_dot_product_attention(q, k, v, mask)
    gap = (ours - F.scaled_dot_product_attention(q, k, v, attn_mask=mask)).abs().max().item()
    print(f"{name:12} largest difference < 1e-12: {gap < 1e-12}")

# %% [markdown] id="3-who-may-read-whom"
# ## 3 · Who may read whom
#
# A mask is a table of yes and no: one row for each query, one column for each key. It is the only difference between a model
# that reads in both directions (BERT) and one that writes (GPT). **True means may attend**, everywhere in this course.
#
# - *causal*: itself and what came before;
# - *sliding window*: the last few of these, so that cost stays bounded (Mistral, Gemma);
# - *prefix*: everything in a given beginning, and causally behind it;
# - *padding*: texts in a batch have unequal lengths, and nobody reads the filling.
#
# > **Predict.** In a causal mask for 5 tokens, how many of the 25 pairs are allowed?

# %% id="mask-attention-causal-mask-5"
mask = attention.causal_mask(5)
print(mask.int())
print("allowed:", int(mask.sum()), "of", mask.numel(), "= 5 · 6 / 2")

# %% [markdown] id="while-a-model-writes-there-is"
# While a model writes, there is one new query and many keys. The query is the *last* of the tokens, so it may read all of
# them. With two new tokens behind three old ones:

# %% id="print-attention-causal-mask-2-5"
print(attention.causal_mask(2, 5).int())

# %% [markdown] id="play-with-it-3"
# The staircase ends in the lower right corner. (PyTorch's `is_causal=True` begins it in the upper left one: with one new query
# and many keys, that query would read only the very first token. Section 12 shows it.)
#
# ### Play with it
# Choose a mask, and let only the last few tokens be new.

# %% id="explorers-attention-masks-kind-sliding-window"
explorers.attention.masks()

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="attention.causal_mask"
@exercise("attention.causal_mask")
def causal_mask(queries, keys=None):
    """Return a boolean table (queries, keys): each query reads itself and what came before."""
    ...


# %% id="reveal-attention-causal-mask"
reveal("attention.causal_mask")

# %% [markdown] id="the-library-s-version-counts-offsets"
# The library's version counts *offsets*, the position of the key minus that of the query, because the sliding window needs
# them too:

# %% id="reveal-attention-token-offsets"
reveal(attention.token_offsets)

# %% [markdown] id="build-it-3"
# ### Build it
# The padding mask must broadcast over heads and queries: its shape is (B, 1, 1, S). It asks for the *lengths*, not for the
# id of the padding token, since in many vocabularies that id is also the end of a text.


# %% id="attention.padding_mask"
@exercise("attention.padding_mask")
def padding_mask(lengths, keys, side="right"):
    """Return (B, 1, 1, keys): True at the `lengths[b]` real tokens of row b, padding on `side`."""
    ...


# %% id="reveal-attention-padding-mask"
reveal("attention.padding_mask")

# %% [markdown] id="does-it-work-the-test-is"
# Does it work? The test is not the shape, it is this: **a text must come out the same, with padding and without.**

# %% id="q-k-v-torch-randn-3"
q, k, v = torch.randn(3, 1, 1, 4, 8, generator=seeded(4))
alone = attention.scaled_dot_product_attention(q, k, v)
rubbish = torch.full((1, 1, 3, 8), 9.0)  # what stands in three places of padding
q, k, v = (torch.cat((x, rubbish), dim=2) for x in (q, k, v))
mask = attention.padding_mask(torch.tensor([4]), 7)
for name, used in [("with the mask", mask), ("without", None)]:
    padded = attention.scaled_dot_product_attention(q, k, v, used)[:, :, :4]
    print(f"{name:14} same as alone: {torch.allclose(padded, alone, atol=1e-6)}")

# %% [markdown] id="many-libraries-pass-masks-as-numbers"
# Many libraries pass masks as numbers that are *added* to the scores: 0 where allowed, −∞ where not. One is made from the
# other, and a query that may read nothing shows why this course prefers booleans:

# %% id="mask-torch-tensor-true-true-false"
mask = torch.tensor([[True, True], [False, False]])
added = attention.additive_mask(mask)
print(added)
print("by addition:", torch.softmax(torch.zeros(2, 2) + added, -1).tolist())
print("by masking: ", attention.scores_to_weights(torch.zeros(2, 2), mask).tolist())

# %% [markdown] id="4-several-heads"
# ## 4 · Several heads
#
# One softmax makes one mean. But *slept* may want its subject and its tense at the same time, from two places, and a mean of
# two things is neither. So the vector is cut into $H$ pieces, each piece attends by itself, and the results are put side
# by side again. Each such piece is a **head**.
#
# Where do queries, keys and values come from? From the token's vector, by three matrices that are learned: `q_proj`,
# `k_proj`, `v_proj`. A fourth, `o_proj`, mixes what the heads have read. Their cost is easy to count: a matrix of 4096 × 4096
# needs one multiplication and one addition for each entry.

# %% id="linear-nn-linear-4096-4096-bias"
linear = nn.Linear(4096, 4096, bias=False, device="meta")  # "meta": shapes only, no numbers
print(f"{linear.weight.numel() / 1e6:.1f} M multiply-adds per token")
with FlopCounterMode(display=False) as counter:
    linear(torch.empty(1, 4096, device="meta"))
print(f"{counter.get_total_flops() / 1e6:.1f} MFLOPs: each multiply-add counts as two operations")

# %% [markdown] id="cutting-into-heads-costs-nothing-but"
# Cutting into heads costs nothing but attention to detail. The features of one token lie next to each other, and the first
# $D$ of them belong to the first head:
#
# (B, T, H·D) → cut the last axis → (B, T, H, D) → swap → (B, H, T, D)
#
# > **Predict.** Two tokens of width 4, [0 1 2 3] and [4 5 6 7], are cut into two heads. Which numbers does head 0 hold?
# > And what do you get from `view(B, H, T, D)`, which has the right shape at once?

# %% id="x-torch-arange-8-reshape-1"
x = torch.arange(8).reshape(1, 2, 4)
print("cut and swapped: ", x.view(1, 2, 2, 2).transpose(1, 2).tolist()[0])
print("viewed at once:  ", x.view(1, 2, 2, 2).tolist()[0])

# %% [markdown] id="build-it-4"
# In the second line, head 0 holds all of token 0 and nothing of token 1. The shape is right and the meaning is lost. Nothing
# raises, and the model even learns a little: this is one of the most expensive lines one can get wrong.
#
# ### Build it


# %% id="attention.split_heads"
@exercise("attention.split_heads")
def split_heads(x, num_heads):
    """Return (B, H, T, D) from (B, T, H * D)."""
    ...


# %% id="reveal-attention-split-heads"
reveal("attention.split_heads")


# %% id="attention.merge_heads"
@exercise("attention.merge_heads")
def merge_heads(x):
    """Return (B, T, H * D) from (B, H, T, D): the inverse of splitting."""
    ...


# %% id="reveal-attention-merge-heads"
reveal("attention.merge_heads")

# %% [markdown] id="with-these-the-whole-layer-is"
# With these the whole layer is a few lines. Read its `forward`; every option in it has a place in this notebook, except
# `rotate`, which is notebook [Positions and RoPE](06_rope.ipynb).

# %% id="reveal-attention-multiheadattention-forward"
reveal(attention.MultiHeadAttention.forward)

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# `nn.MultiheadAttention` keeps the three projections in one matrix, and its masks say the opposite: **True means hidden**.

# %% id="theirs-nn-multiheadattention-24-4-bias"
theirs = nn.MultiheadAttention(24, 4, bias=False, batch_first=True)
ours = attention.MultiHeadAttention(24, 4)
with torch.no_grad():
    parts = (ours.q_proj, ours.k_proj, ours.v_proj)
    for part, weight in zip(parts, theirs.in_proj_weight.chunk(3), strict=True):
        part.weight.copy_(weight)
    ours.o_proj.weight.copy_(theirs.out_proj.weight)
x, mask = torch.randn(2, 6, 24, generator=seeded(5)), attention.causal_mask(6)
expected, expected_weights = theirs(x, x, x, attn_mask=~mask, average_attn_weights=False)
output, weights = ours(x, mask, return_weights=True)
print("outputs agree:", torch.allclose(output, expected, atol=1e-6))
print("weights agree:", torch.allclose(weights, expected_weights, atol=1e-6), tuple(weights.shape))

# %% [markdown] id="two-variations"
# ### Two variations
# **Cross-attention**: queries from one text, keys and values from another, as in translation, or when a model looks at a
# picture. Nothing changes but where the keys come from, and the table of weights is no longer square.
#
# **QK-norm** (Qwen3, Gemma 3): an RMSNorm over each head's queries and keys, before they meet. However long the vectors
# grow during training, a score can then not exceed √D times the learned weights.

# %% id="context-torch-randn-2-9-24"
context = torch.randn(2, 9, 24, generator=seeded(6))
print("cross-attention:", tuple(ours(x, context=context, return_weights=True)[1].shape))
normed = attention.MultiHeadAttention(24, 4, qk_norm=True)
normed.load_state_dict(ours.state_dict(), strict=False)
for name, layer in [("plain", ours), ("QK-norm", normed)]:
    small, large = (layer(x * size, return_weights=True)[1] for size in (1, 100))
    same = torch.allclose(small, large, atol=1e-3)
    print(f"{name:8} same weights for vectors 100 times longer: {same}")

# %% [markdown] id="5-heads-that-share-their-keys"
# ## 5 · Heads that share their keys
#
# Section 8 will show that a model that writes spends its memory on keys and values. So fewer of them are kept. In
# **multi-query** attention all query heads read the same keys and values (Shazeer 2019); in **grouped-query** attention $G$
# key/value heads serve $H/G$ query heads each (Ainslie et al. 2023). $G = H$ is what you have built so far.
#
# > **Predict.** 6 query heads, 2 key/value heads. Which query heads read key/value head 1?

# %% id="names-torch-tensor-0-1"
names = torch.tensor([0, 1])
print("repeat_interleave:", names.repeat_interleave(3).tolist(), " neighbours share")
print("repeat:           ", names.repeat(3).tolist(), " every second one")

# %% [markdown] id="build-it-5"
# Checkpoints mean the first: heads 3, 4 and 5 read key/value head 1. The second has the same shape and is wrong.
#
# ### Build it
# `k` and `v` have G heads, `q` has H. Copies are allowed here; the library does without, and its trick is worth reading.


# %% id="attention.grouped_query"
@exercise("attention.grouped_query")
def grouped_query_attention(q, k, v, mask=None):
    """Return attention of (B, H, T, D) over (B, G, S, D), where H/G neighbouring heads share."""
    ...


# %% id="reveal-attention-grouped-query"
reveal("attention.grouped_query")

# %% id="reveal-attention-stack-group"
reveal(attention.stack_group)

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing

# %% id="q-torch-randn-2-6-5"
q = torch.randn(2, 6, 5, 8, generator=seeded(7)).double()
for groups in (6, 3, 2, 1):
    k, v = torch.randn(2, 2, groups, 7, 8, generator=seeded(groups)).double()
    mask = attention.causal_mask(5, 7)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    gap = (attention.grouped_query_attention(q, k, v, mask) - expected).abs().max().item()
    print(f"6 query heads, {groups} key/value heads: largest difference < 1e-12: {gap < 1e-12}")

# %% [markdown] id="6-order-does-not-matter"
# ## 6 · Order does not matter
#
# > **Predict.** You shuffle the tokens of a text and run the layer, without a mask. What happens to the output vectors?

# %% id="order-torch-randperm-6-generator-seeded"
order = torch.randperm(6, generator=seeded(8))
plain, shuffled = ours(x)[0], ours(x[:, order])[0]
print("the same vectors, shuffled alike:", torch.allclose(shuffled, plain[:, order], atol=1e-6))
print("the same tensor:                 ", torch.allclose(shuffled, plain, atol=1e-6))
causal, mixed = (ours(text, attention.causal_mask(6))[0] for text in (x, x[:, order]))
print("with a causal mask, alike:       ", torch.allclose(mixed, causal[:, order], atol=1e-6))

# %% [markdown] id="attention-is-a-mean-over-a"
# Attention is a mean over a *set*. No score contains a position, so *dog bites man* and *man bites dog* are one text to it:
# each word comes out with the same vector in both. This is called permutation **equivariance**: shuffle what goes in, and
# what comes out is shuffled. The causal mask breaks it, since early tokens see less, but says nothing of distance. Where
# tokens stand must come from elsewhere: notebook [Positions and RoPE](06_rope.ipynb).

# %% [markdown] id="7-what-it-costs"
# ## 7 · What it costs
#
# Each of $n$ queries meets each of $n$ keys, with $D$ multiply-adds, and then each weight meets a value with $D$ more. One
# multiply-add is two operations: $4 n^2 D$ for a head. And the table of weights has $n^2$ entries.
#
# > **Predict.** You double the length of the text. What happens to the operations, and to the memory for the weights?


# %% id="operations"
def operations(n, width=64):
    with FlopCounterMode(display=False) as counter:
        x = torch.empty(n, width, device="meta")
        attention.scaled_dot_product_attention(x, x, x)
    return counter.get_total_flops()


for n in (1024, 2048, 4096):
    print(
        f"n = {n}: {operations(n) / 1e6:7.1f} MFLOPs, 4·n²·D = {4 * n * n * 64 / 1e6:7.1f}",
        end=", ",
    )
    print(f"{4 * n * n / 2**20:5.1f} MiB of float32 weights, for each head")

# %% [markdown] id="counted-not-estimated-four-times-each"
# Counted, not estimated: four times, each time. Does the clock agree? Here it runs on your machine, and the exponent is
# fitted to the longer half of the lengths. The tables are set aside beforehand, so that arithmetic is timed and not the
# fetching of memory. Expect something near 2; a little less where a short text pays mostly for starting.


# %% tags=["nbval-ignore-output"] id="seconds"
def seconds(n):
    q, k, v = torch.randn(3, n, 32, generator=seeded(0))
    scores, weights, times = torch.empty(n, n), torch.empty(n, n), []
    for _ in range(15):
        start = time.process_time()
        torch.matmul(q / math.sqrt(32), k.T, out=scores)
        torch.softmax(scores, dim=-1, out=weights) @ v
        times.append(time.process_time() - start)
    return min(times)


lengths = [128, 256, 512, 1024, 2048]
measured = [1000 * seconds(n) for n in lengths]
weights_in_mib = [4 * n * n / 2**20 for n in lengths]
costs = {"CPU time (ms)": measured, "MiB of weights": weights_in_mib}
show(figures.attention.cost_by_length(lengths, costs))

# %% [markdown] id="twice-the-text-four-times-the"
# Twice the text, four times the price. That is the reason for sliding windows, for the cache of the next section, and for
# FlashAttention (notebook [FlashAttention](10_flash_attention.ipynb)), which removes the memory but not the operations.

# %% [markdown] id="8-the-cache"
# ## 8 · The cache
#
# A model writes one token at a time. Token 1000 reads the keys and values of the 999 before it. Those have not changed: no
# token reads what comes after it, so nothing that is written later can alter them. Compute them once, and keep them.
#
# > **Predict.** A layer reads a text of 64 tokens, written one by one. How many times as many operations does it need if it
# > starts afresh for each new token?

# %% id="layer-attention-multiheadattention-128-4"
layer = attention.MultiHeadAttention(128, 4)
text = torch.randn(1, 64, 128, generator=seeded(9))
with torch.no_grad(), FlopCounterMode(display=False) as afresh:
    without = [layer(text[:, : t + 1], attention.causal_mask(t + 1))[0][:, -1:] for t in range(64)]
cache = attention.KVCache(1, 4, capacity=64, head_dim=32)
with torch.no_grad(), FlopCounterMode(display=False) as kept:
    cached = [layer(text[:, t : t + 1], cache=cache)[0] for t in range(64)]
same = torch.allclose(torch.cat(without, 1), torch.cat(cached, 1), atol=1e-5)
print("the same output:", same)
print(
    f"operations saved: {afresh.get_total_flops() / kept.get_total_flops():.0f} times fewer with the cache"
)

# %% [markdown] id="build-it-6"
# The same numbers come out, at a small part of the work. Note that the cached layer got no mask: the one new query may read
# everything there is.
#
# ### Build it
# One step, as a function that changes nothing: it gets the caches with room for N tokens, returns copies with the new keys
# and values in, and the output. What lies in the caches from `position` on is old rubbish; nobody may read it. T is
# usually 1, but a prompt is read with a larger T: then no new token may read a newer one.


# %% id="attention.cached_step"
@exercise("attention.cached_step")
def cached_attention(q, k, v, k_cache, v_cache, position):
    """Return (output, k_cache, v_cache) after T new tokens at `position`."""
    ...


# %% id="reveal-attention-cached-step"
reveal("attention.cached_step")

# %% [markdown] id="a-cache-in-use-is-not"
# A cache in use is not copied at each step: that would cost more than it saves. The library's `KVCache` sets its memory aside
# once and writes into it.

# %% id="reveal-attention-kvcache-append"
reveal(attention.KVCache.append)

# %% [markdown] id="what-it-costs-in-memory"
# ### What it costs in memory
# For each token, each layer and each key/value head: a key and a value, of $D$ numbers each.
#
# $$\text{bytes per token} = 2 \cdot \text{layers} \cdot G \cdot D \cdot \text{bytes per number}$$
#
# By hand, for 32 layers with 32 heads of width 128 in bfloat16 (the shape of Llama 2 7B): 2 · 32 · 32 · 128 · 2 = **524 288
# bytes**, half a mebibyte for every token. With 8 key/value heads in place of 32 (the shape of Llama 3 8B), a quarter.

# %% id="for-name-groups-in-multi-head"
for name, groups in [("multi-head, G = 32", 32), ("grouped, G = 8", 8), ("multi-query, G = 1", 1)]:
    per_token = attention.kv_cache_bytes(32, groups, 128, tokens=1)
    at_8k = attention.kv_cache_bytes(32, groups, 128, tokens=8192) / 2**30
    print(f"{name:20} {per_token:7} bytes per token, {at_8k:5.3f} GiB at 8192 tokens")
small = attention.KVCache(1, 8, capacity=100, head_dim=128, dtype=torch.bfloat16)
print("a real cache agrees:", small.nbytes == attention.kv_cache_bytes(1, 8, 128, tokens=100))

# %% id="explorers-attention-cache-bytes"
explorers.attention.cache_bytes()

# %% [markdown] id="9-a-model-whose-heads-you"
# ## 9 · A model whose heads you can watch
#
# What do heads learn? Here is a task that needs attention and nothing else: a random text of 8 to 20 letters, again and
# again. Whoever has understood that it repeats can foretell every letter from the second round on.

# %% id="example-toy-heads-repeated-sequences-1"
example = induction_toy.repeated_sequences(1, (12, 12), seeded(10))
written = [induction_toy.TOKENS[i] for i in example.ids[0].tolist()]
print(" ".join(written[:30]))

# %% [markdown] id="how-can-attention-do-it-to"
# How can attention do it? To foretell what follows the second *A*, look for the first *A* and read what came **behind**
# it. But a head compares keys with queries, and the key of the token behind *A* knows nothing of *A*. So two layers work
# together:
#
# 1. a **previous-token head** in layer 0 tells each token what stood before it;
# 2. an **induction head** in layer 1 looks for "before me stood what you are now", and reads that token.
#
# > **Predict.** Two layers of four heads, 40 000 parameters, trained from nothing. Will these two kinds of head appear one
# > after the other, or at the same time? Slowly, or at once?

# %% id="learned-history-toy-heads-train-toy"
learned, history = induction_toy.train_toy(steps=250)  # about ten seconds
print(sum(weight.numel() for weight in learned.parameters()), "parameters")
print("loss before about log 63:", abs(history.loss[0] - math.log(63)) < 0.5)
print("loss after below 0.5:    ", history.loss[-1] < 0.5)
print("induction head found:    ", history.induction[-1] > 0.5)

# %% tags=["nbval-ignore-output"] id="show-figures-attention-learning-history"
show(figures.attention.learning(history))

# %% [markdown] id="play-with-it-4"
# For a while nothing happens; then both kinds appear together, and the loss falls with them. Neither is of use without the
# other. In large models the same bump is seen in the loss (Olsson et al. 2022).
#
# You have just trained it, so your model differs a little from mine. From here on the notebook uses one that was trained in
# the same way, for 300 steps, and is stored with the course, so that your pictures are those of the text.
# `induction_toy.train_toy()` makes it again.
#
# ### Play with it
# Click a head on the left (or move there with the arrow keys), and point at a token in the left column: the lines lead to
# what it reads.

# %% id="weights-model-example-ids-1-0"
weights = model(example.ids)[1][0][:, :, :30, :30]  # (layers, heads, T, T)
explorers.attention.lines(weights, written[:30], layer=1, head=2)

# %% [markdown] id="the-same-as-maps-a-row"
# The same as maps. A row is a token that reads, a column a token that is read. Look for three patterns: the line just below
# the diagonal (previous token), the lines further down (induction), and the left edge.

# %% id="explorers-attention-maps-weights-written-30"
explorers.attention.maps(weights, written[:30], layer=0, head=1)

# %% [markdown] id="one-number-for-a-pattern"
# ### One number for a pattern
# Looking does not scale to a thousand heads. So each pattern becomes a score: the attention on the places in question,
# averaged over the queries that have such a place. For the previous token that is the mean of the diagonal below the main
# one. For induction, the places are those *behind* earlier occurrences of the same token.
#
# By hand, for A B A: only the last token has occurred before. Behind the first A stands B, so B is the one place that
# counts. If the last row of weights is [0.2, 0.7, 0.1], the score is **0.7**.

# %% id="row-torch-tensor-1-0-0"
row = torch.tensor([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.7, 0.1]])
print(attention.induction_targets(torch.tensor([5, 8, 5])).int())
print("score:", rounded(attention.induction_score(row, torch.tensor([5, 8, 5]))))

# %% [markdown] id="build-it-7"
# ### Build it


# %% id="attention.induction_score"
@exercise("attention.induction_score")
def induction_score(weights, ids):
    """Return, for each head of (..., T, T), its mean attention to what followed earlier copies."""
    ...


# %% id="reveal-attention-induction-score"
reveal("attention.induction_score")

# %% id="scores-toy-heads-head-scores-model"
scores = attention.head_scores(model(sample.ids)[1], sample.ids)
show(figures.attention.scores_of_heads(scores))

# %% [markdown] id="where-a-head-rests"
# The division of labour is complete: layer 0 looks back by one, layer 1 copies. And the third table?
#
# ### Where a head rests
# Softmax must give its unit of attention to *something*. What does an induction head read when nothing has repeated yet?

# %% id="with-torch-no-grad"
with torch.no_grad():
    all_weights = model(sample.ids)[1]  # (B, L, H, T, T)
to_first = all_weights[:, 1, :, :, 0].transpose(0, 1)  # (H, B, T): layer 1, weight on <s>
print("before the repetition:", rounded(to_first[:, ~sample.repeated].mean(-1), 2))
print("in the repetition:    ", rounded(to_first[:, sample.repeated].mean(-1), 2))

# %% [markdown] id="does-the-head-matter"
# It rests on the first token, `<s>`, which says nothing, and so reading it changes nothing. Such an **attention sink** appears
# in nearly every large model (Xiao et al. 2023). A model whose cache drops the oldest tokens drops the sink as well, and breaks
# down; keeping the first few tokens mends it.
#
# ### Does the head matter?
# A map shows what a head *reads*, not whether anybody needs it. So switch it off, and measure the loss.
#
# > **Predict.** Layer 1 has four induction heads. By how much does the loss rise without one of them? Without one of the
# > previous-token heads in layer 0?

# %% id="held-out-toy-heads-repeated-sequences"
held_out = induction_toy.repeated_sequences(16, induction_toy.PERIODS["varying"], seeded(11))
before = induction_toy.repeat_loss(model, held_out)
losses = {
    f"{layer}.{head}": induction_toy.repeat_loss(model.without_head(layer, head), held_out)
    for layer in range(induction_toy.LAYERS)
    for head in range(induction_toy.HEADS)
}
both = model.without_head(0, 1).without_head(0, 2)
losses["0.1 and 0.2"] = induction_toy.repeat_loss(both, held_out)
show(figures.attention.ablation(losses, before))

# %% [markdown] id="no-induction-head-is-missed-the"
# Hardly any induction head is missed: the three others do the same. Of the previous-token heads 0.1 is missed and 0.2 is not,
# and yet without both of them the model is lost. So a small effect of one ablation does not mean that the head does nothing.
# Now all of layer 1:

# %% id="silent-model"
silent = model
for head in range(induction_toy.HEADS):
    silent = silent.without_head(1, head)
print(f"loss without layer 1: {induction_toy.repeat_loss(silent, held_out):.1f} nats")
print(f"for one who knows nothing: log 63 = {math.log(63):.1f} nats")

# %% [markdown] id="10-a-model-that-has-read"
# ## 10 · A model that has read text
#
# The toy has seen nothing but random letters. Does a model that reads text grow the same kinds of heads?
#
# The course has a model of its own, trained by the course on Python's documentation and sources. It has every part of this
# notebook: heads that share their keys, QK-norm, a cache. You will build such a model in notebook [The whole transformer](08_transformer.ipynb) and train one in notebook
# 11; here you only look at its maps. A part of its training was the task of section 9, random tokens that repeat.

# %% id="config-trained-model-course-model-config"
config = course_model_probes.course_model().config
print(config.num_hidden_layers, "layers of", config.num_attention_heads, "heads,", end=" ")
print("with", config.num_key_value_heads, "key/value heads in each layer")
print(config.vocab_size, "tokens in the vocabulary, heads of width", config.head_dim)

# %% [markdown] id="play-with-it-5"
# > **Predict.** In the toy, layer 0 looked back by one and layer 1 copied. This model has more layers. Which of the two kinds
# > will stand in the earlier layer, or does it not matter?
#
# ### Play with it
# Type a text: code, a sentence, a word three times. Its tokens are pieces of words, as in notebook [Tokenization](01_tokenization.ipynb). The picture begins with
# the head that copies best; go through the others, too. The line break in the first text shows as ↵.

# %% id="explorers-attention-reading"
explorers.attention.reading()

# %% [markdown] id="look-at-the-last-row-of"
# Look at the last row of the large map. A head that copies has met this `(` before, and reads what stood behind it:

# %% id="tokens-weights-trained-model-read-explorers"
tokens, weights = course_model_probes.read(explorers.attention.SENTENCE)
layer, head = explorers.attention.best_head("induction")
read = tokens[weights[layer, head, -1].argmax()]
print(f"the text ends with {tokens[-1]!r}, and head {layer}.{head} reads mostly {read!r}")

# %% [markdown] id="one-text-proves-little-so-here"
# One text proves little. So here are the scores of all heads, on random tokens that repeat. The fourth table asks for a kind that
# you may not think of, a head that reads *itself*: for it attention is no reading at all, it works on each token alone.

# %% id="course-scores-trained-model-head-scores"
course_scores = course_model_probes.head_scores_on("repeats")
show(figures.attention.scores_of_heads(course_scores))

# %% id="found"
found = {}
for kind in ("previous token", "induction"):
    for name, table in (("toy", scores[kind]), ("course model", course_scores[kind])):
        found[name, kind] = divmod(int(table.argmax()), table.shape[1])[0]
        print(f"{name:12} best {kind} head: {table.max():.2f}, in layer {found[name, kind]}")
for name in ("toy", "course model"):
    earlier = found[name, "previous token"] < found[name, "induction"]
    print(f"{name:12} looks back by one in an earlier layer than it copies: {earlier}")

# %% [markdown] id="the-same-two-kinds-and-in"
# The same two kinds, and in the same order, for the same reason: the one prepares what the other looks for.
#
# The toy rested on `<s>`, with which all its texts began. The course model has read pieces that begin anywhere, so its first token
# was never the same. The third table tells how much it rests there nevertheless.
#
# On real text, held-out source code, the same heads (the numbers depend a little on your version of Python, whose sources are
# the text):

# %% tags=["nbval-ignore-output"] id="text-scores-trained-model-head-scores"
text_scores = course_model_probes.head_scores_on("text")
show(figures.attention.scores_of_heads(text_scores))

# %% [markdown] id="which-heads-are-needed"
# A text seldom repeats itself word for word, and a head that copies has other things to look for, so these scores are lower.
#
# ### Which heads are needed?
# > **Predict.** Silence the best copying head. What happens to the loss on repeats, and what to the loss on text?
#
# ### Play with it
# Left, the rise of the loss without each head. Right, the same rises against what the head reads: far right stands who has a
# habit, far up who is missed. Choose *text*, and other heads.

# %% id="explorers-attention-missed-heads"
explorers.attention.missed_heads()

# %% [markdown] id="two-questions-two-answers-some-heads"
# Two questions, two answers. Some heads have a clear habit and are hardly missed, since others do the same. And some are missed
# badly that neither look back by one nor copy. As with the toy, ask for groups:

# %% id="groups"
groups = {}
for kind in ("previous token", "induction"):
    groups[f"all {kind} heads"] = (course_scores[kind] > 0.5).nonzero().tolist()
losses = {name: course_model_probes.loss("repeats", group) for name, group in groups.items()}
show(figures.attention.ablation(losses, course_model_probes.loss("repeats")))
nothing = math.log(config.vocab_size)
for name, group in groups.items():
    print(f"{name}: {len(group)}; without them the loss is above 0.8 log V:", end=" ")
    print(losses[name] > 0.8 * nothing)

# %% tags=["nbval-ignore-output"] id="before-trained-model-loss-text"
before = course_model_probes.loss("text")
for name, group in groups.items():
    rise = course_model_probes.loss("text", group) - before
    print(f"on text: {before:.2f} nats; without {name} {rise:+.2f}")

# %% [markdown] id="on-repeats-the-model-is-lost"
# On repeats the model is lost without either group: it does about as well as one who knows nothing, log V, or worse. On text the
# same loss costs far less, for most of a text can be foretold without copying. What a head is good for depends on what is read.

# %% [markdown] id="10-the-maps-of-any-model"
# ## 11 · The maps of any model
#
# The pictures take any weights of shape (layers, heads, T, S), with tokens as strings. Every `transformers` model returns them
# if it is asked to. Two things to know: it must be loaded with `attn_implementation="eager"`, since the fast kernels never form
# the table; and `attentions` is a tuple, one tensor for each layer.
#
# Here a GPT-2 of 12 layers and 12 heads with random weights, so that nothing is downloaded. With a network, put
# `GPT2LMHeadModel.from_pretrained("gpt2", attn_implementation="eager")` in its place, and its tokenizer's tokens.

# %% id="shape-n-layer-12-n-head"
from transformers import GPT2Config, GPT2LMHeadModel

shape = {"n_layer": 12, "n_head": 12, "n_embd": 96, "vocab_size": 64, "n_positions": 32}
config = GPT2Config(**shape, bos_token_id=0, eos_token_id=0, attn_implementation="eager")
gpt2 = GPT2LMHeadModel(config).eval()
with torch.no_grad():
    output = gpt2(example.ids[:, :24], output_attentions=True)
their_weights = torch.stack(output.attentions, dim=1)[0]
print(tuple(their_weights.shape))
print("rows sum to 1:", torch.allclose(their_weights.sum(-1), torch.ones(())))

# %% id="explorers-attention-maps-their-weights-written"
explorers.attention.maps(their_weights, written[:24], layer=5, head=5)

# %% [markdown] id="an-untrained-model-has-no-habits"
# An untrained model has no habits: every head reads everything before it almost evenly.

# %% [markdown] id="11-claims-that-are-wrong"
# ## 12 · Claims that are wrong
#
# > *"Attention is symmetric: what i gives to j, j gives to i, since a dot product does not depend on the order."*

# %% id="mine-queries-keys-t-math-sqrt"
mine = queries @ keys.T / math.sqrt(4)
print("slept asks cat:", mine[2, 1].item(), "  cat asks slept:", mine[1, 2].item())
print("scores symmetric: ", torch.equal(mine, mine.T))
same_projection = keys @ keys.T
print("if q were k, scores:", torch.equal(same_projection, same_projection.T), end=", ")
even_then = softmax.stable_softmax(same_projection)
print("weights:", torch.allclose(even_then, even_then.T))

# %% [markdown] id="the-verb-asks-for-its-subject"
# The verb asks for its subject; the subject does not ask for a verb. Two projections make two different questions. And even
# with one projection for both, each row is divided by its own sum, so the *weights* would still not be symmetric.
#
# > *"Dividing by D in place of √D is only another temperature; at initialisation it is harmless."*


# %% id="gradient-at-queries"
def gradient_at_queries(width, scale):
    q, k, v, upstream = torch.randn(4, 64, width, generator=seeded(width)).double()
    q.requires_grad_()
    output = attention.scaled_dot_product_attention(q, k, v, scale=scale)
    (gradient,) = torch.autograd.grad((output * upstream).sum(), q)
    return gradient.square().mean().sqrt().item()


for width in (16, 64, 256):
    root, full = (gradient_at_queries(width, width**-power) for power in (0.5, 1.0))
    print(f"D = {width:3}: with √D between 0.1 and 0.3: {0.1 < root < 0.3}", end=", ")
    print(
        f"with D less by more than √D = {math.sqrt(width):.0f} times: {root / full > math.sqrt(width)}"
    )

# %% [markdown] id="it-is-another-temperature-d-and"
# It is another temperature, √D, and that is the harm: at width 256 softmax runs at temperature 16, and every token reads
# evenly. What comes back to the queries is more than 16 times less, since it is divided by the same number as the scores.
# With √D the gradient is about the same at every width.
#
# > *"The KV cache saves memory."*

# %% id="tokens-written-layers-of-model-64"
tokens_written, layers_of_model = 64, 1
held = attention.kv_cache_bytes(layers_of_model, 4, 32, tokens_written, bytes_per_number=4)
print(f"memory that stays occupied: with the cache {held} bytes, without 0 bytes")
print(f"operations: with the cache {kept.get_total_flops() / 1e6:.0f} M,", end=" ")
print(f"without {afresh.get_total_flops() / 1e6:.0f} M")

# %% [markdown] id="it-costs-memory-and-saves-operations"
# It *costs* memory and saves operations. That is why so much has been invented to make it smaller: grouped queries, sliding
# windows, fewer bits.
#
# > *"`is_causal=True` is the right flag for a step with a cache."*

# %% id="q-k-torch-zeros-1-1"
q, k = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 5, 4)
v = torch.arange(5.0).reshape(1, 1, 5, 1)  # the value of token j is j
print("is_causal=True reads:", F.scaled_dot_product_attention(q, k, v, is_causal=True).item())
ours = attention.grouped_query_attention(q, k, v, attention.causal_mask(1, 5))
print("the new token should:", ours.item())

# %% [markdown] id="all-scores-are-equal-so-the"
# All scores are equal, so the right answer is the mean of 0, 1, 2, 3 and 4. The flag puts the triangle in the upper left
# corner, and the newest token reads the oldest alone.
#
# > *"A head with an induction score near 1 has learned to copy."*
#
# Train the same model on texts whose period is always 12, and see:

# %% id="shortcut-toy-heads-trained-fixed"
shortcut = induction_toy.trained("fixed")
for period in (12, 16):
    texts = induction_toy.repeated_sequences(16, (period, period), seeded(12))
    score = attention.head_scores(shortcut(texts.ids)[1], texts.ids)["induction"].max().item()
    losses = [induction_toy.repeat_loss(each, texts) for each in (shortcut, model)]
    print(
        f"period {period}: trained on 12 alone {losses[0]:5.2f} nats, score {score:.2f};", end=" "
    )
    print(f"trained on many {losses[1]:.2f} nats")

# %% [markdown] id="on-its-own-period-the-score"
# On its own period the score is near 1. On another it is worth nothing, and the loss is far worse than that of knowing
# nothing: the head has learned "11 places back" and never looks at a token. A score describes what a head reads *on the text
# you gave it*. To say what it does, change the text.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Queries meet keys, softmax makes weights, values are averaged. Keys say whom to read, values what is read.
# 2. Scores are divided by √D because that is how much a product of D features spreads. Masks come before softmax; True =
#    may attend; the queries are the last of the keys.
# 3. Heads are pieces of the width: cut the last axis, *then* swap. With grouped queries neighbouring heads share their keys.
# 4. Operations and weights grow as n². A cache saves the operations of the past and pays 2 · layers · G · D numbers a token.
# 5. Without positions attention sees a set. Trained heads have habits, and to know what one is good for, switch it off.
#
# ### Test yourself

# %% id="quiz-attention"
quiz("attention")

# %% [markdown] id="papers"
# ### Papers
# - Vaswani et al. 2017, *Attention is all you need*, arXiv:1706.03762.
# - Shazeer 2019, *Fast Transformer decoding: one write-head is all you need*, arXiv:1911.02150.
# - Ainslie et al. 2023, *GQA*, arXiv:2305.13245.
# - Henry et al. 2020, *Query-key normalization for Transformers*, arXiv:2010.04245.
# - Beltagy, Peters & Cohan 2020, *Longformer*, arXiv:2004.05150, on sliding windows.
# - Olsson et al. 2022, *In-context learning and induction heads*, arXiv:2209.11895.
# - Michel, Levy & Neubig 2019, *Are sixteen heads really better than one?*, arXiv:1905.10650.
# - Xiao et al. 2023, *Efficient streaming language models with attention sinks*, arXiv:2309.17453.
#
# **Next:** [Positions and RoPE](06_rope.ipynb), where tokens learn where they stand.
