# %% [markdown] id="05-attention"
# # 05 · Attention
#
# **How does a token decide what to read from the others?**
#
# So far each token was a vector by itself. But the meaning of a word depends on the words around it: *it* may be the cat or
# the mat. Attention is the only part of a Transformer in which tokens exchange information. Every other part works on each
# token separately.
#
# After this notebook you can
# - write attention with any mask, cut it into heads, let heads share their keys, and say what each line is for;
# - predict what the scale, the mask and the order of the tokens do to the result;
# - say what attention costs in operations and in bytes, with a cache and without;
# - look at the maps of a trained model, find the heads that copy, and test whether they do what they seem to do.
#
# About two hours, without the sections at the end that are called *Further*: nothing else depends on them. You need notebook
# [Softmax](04_softmax.ipynb); nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/05_attention.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/05_attention.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/05_attention.ipynb).

# %% id="setup"
# @title Set up: does nothing where the course is installed
import sys
from importlib.util import find_spec

from IPython import get_ipython

if find_spec("course_lib") is None or find_spec("ipywidgets") is None:
    print("Installing the course, which takes a minute or two.")
    get_ipython().run_line_magic("pip", "install --quiet llm-insides==0.1.0")
    if find_spec("course_lib") is None:
        raise ImportError("pip failed, as it says above. If it says nothing, restart the kernel.")
if "google.colab" in sys.modules:
    from google.colab import output

    output.enable_custom_widget_manager()

# %% id="imports"
import math
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_lib import attention, softmax
from course_lib.chapters.attention import induction_toy
from course_lib.device import default_device, seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import ablated_heads, course_model_probes

device = default_device()  # models run here; small examples and float64 checks stay on the CPU

# %% [markdown] id="1-a-mean-weighted-by-relevance"
# ## 1 · A mean, weighted by relevance
#
# Take the sentence *the cat slept, it ...* When the model reads *it*, the vector of *it* should take over some information
# from *cat*. Each token therefore has three roles, with a vector for each of them:
#
# - its **query** says what it is looking for,
# - its **key** says what it has to offer,
# - its **value** is what other tokens get when they read it.
#
# Queries and keys have the same number of features, so that they can be compared. Here are four tokens, with vectors chosen
# by hand. The features of queries and keys mean *noun, animal, verb, article*. A pronoun looks for nouns and animals, a verb
# for its subject, a noun for its article.

# %% id="tokens-the-cat-slept-it"
tokens = ["the", " cat", " slept", " it"]
# what a token looks for, what it offers, what it gives: one row for each token
queries = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 2], [2, 1, 0, 0], [2, 2, 0, 0.0]])
keys = torch.tensor([[0, 0, 0, 2], [2, 2, 0, 0], [0, 0, 2, 0], [1, 0, 0, 0.0]])
values = torch.tensor([[0, 0, 1], [2, 1, 0], [0, 2, 0], [1, 0, 1.0]])
print("products of the query of `it` with each key:", (queries[3] @ keys.T).tolist())

# %% [markdown] id="a-dot-product-is-large-where"
# A dot product is large where two vectors point the same way: 2·2 + 2·2 = **8** for *cat*, 2·1 = **2** for *it* itself, and
# 0 for the two others. These are the scores. Softmax converts them to weights, and the output is the mean of the values with
# these weights:
#
# $$\operatorname{attention}(Q, K, V) = \operatorname{softmax}\!\Big(\frac{Q K^\top}{\sqrt{D}}\Big)\, V$$
#
# The rows of $Q$, $K$ and $V$ are the queries, keys and values of all tokens. $D$ is the number of features of a query, here 4,
# so the scores are divided by 2. (Section 2 explains why.)
#
# > **Predict.** The scaled scores of *it* are 0, 4, 0 and 1. Roughly what weight does *cat* get: a half, three quarters, or
# > more than nine tenths?

# %% id="scores-queries-3-keys-t-math"
scores = queries[3] @ keys.T / math.sqrt(4)
exponentials = scores.exp()
print("exponentials:", rounded(exponentials, 2), "sum:", rounded(exponentials.sum(), 2))
weights = exponentials / exponentials.sum()
print("weights:     ", rounded(weights))
print("output:      ", rounded(weights @ values, 2), " the value of cat:", values[1].tolist())

# %% [markdown] id="play-with-it"
# The output for *it* is almost the value of *cat*, with a little of everything else mixed in.
#
# ### Play with it
# For all four tokens at once, attention is five matrices. The third shows the *mask*: a model that generates text must not
# read later tokens, so the upper right half is hidden. Switch the mask off and see which tokens *slept* reads. Change the
# divisor and watch the fourth matrix.

# %% id="explorers-attention-five-steps"
explorers.attention.five_steps()

# %% [markdown] id="2-why-the-scores-are-divided"
# ## 2 · Why the scores are divided by √D
#
# A dot product is a sum of $D$ terms. If queries and keys have independent entries with mean 0 and variance 1, each term
# has variance 1, and variances of independent terms add up:
#
# $$\operatorname{Var}(q \cdot k) = \sum_{i=1}^{D} \operatorname{Var}(q_i k_i) = D \qquad\text{so}\qquad q \cdot k \text{ has the standard deviation } \sqrt{D}$$
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

# %% [markdown] id="what-the-scale-does-to-gradients"
# Without the scale, more than half of the rows are decided by the random initial weights, before the model has learned
# anything. What does that do to learning?
#
# > **Predict.** Without the scale, are the gradients at the queries larger or smaller than with ÷ √D? Are they similar for
# > all queries?


# %% id="gradients-at-queries"
def gradients_at_queries(width, scale):
    # 20 texts of 64 tokens; upstream is the gradient that arrives at the output
    q, k, v, upstream = torch.randn(4, 20, 64, width, generator=seeded(width)).double()
    q.requires_grad_()
    output = attention.scaled_dot_product_attention(q, k, v, scale=scale)
    (gradient,) = torch.autograd.grad((output * upstream).sum(), q)
    return gradient.square().mean(-1).sqrt().flatten()  # one number for each query


for width in (16, 64, 256):
    for name, scale in [("no scale", 1.0), ("÷ √D", width**-0.5), ("÷ D", 1 / width)]:
        sizes = gradients_at_queries(width, scale)
        rms = sizes.square().mean().sqrt()
        tiny = (sizes < rms / 100).double().mean().item()
        print(f"D = {width:3}, {name:8}: rms {rms:.2f}, below rms/100: {tiny:.0%} of the queries")

# %% [markdown] id="play-with-it-2"
# Two things go wrong without the scale. The gradients grow with the width: about 3.2 instead of 0.2 at width 256, so a learning
# rate that suits one width does not suit another. And they are uneven: the Jacobian $\operatorname{diag}(p) - pp^\top$ of a
# decided row is close to 0 (notebook [Softmax](04_softmax.ipynb)), so at width 256 about 40 % of the queries get almost no
# gradient, while the undecided rows get very large ones. With ÷ √D the gradient has the same size at every width and is
# similar for all queries.
#
# Dividing by $D$ is too much. It amounts to a temperature of √D, 16 at width 256: the rows are nearly uniform, and the wider the
# head, the smaller the gradient.
#
# ### Play with it
# Left: theory (the line) and independent entries (dots). Right: the gradient that reaches the queries, root mean square. Choose
# a width and a number of keys. (The figure starts with 16 keys. The cell above used 64: where a mean is taken over more values, the
# gradient with ÷ √D is smaller.)

# %% id="explorers-attention-scale-trained-16-each"
explorers.attention.scale()

# %% [markdown] id="build-it"
# ### Build it
# The function has to meet this specification:
# - queries `q` (..., T, D), keys `k` (..., S, D), values `v` (..., S, Dv); T and S may differ, and so may D and Dv;
# - `mask`, where given, is boolean, broadcasts to (..., T, S), and is True where a query may attend;
# - a query that may attend to nothing returns zeros, not nan;
# - the result has the dtype of `q`, and gradients flow through it to `q`, `k` and `v`.
#
# You have `softmax.stable_softmax` and `softmax.masked_softmax` from notebook [Softmax](04_softmax.ipynb).
#
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run its cell twice.


# %% id="attention.scaled_dot_product"
@exercise("attention.scaled_dot_product")
def scaled_dot_product_attention(q, k, v, mask=None):
    """Return for each query the values, averaged by how well their keys match it."""
    ...


# %% id="reveal-attention-scaled-dot-product"
reveal("attention.scaled_dot_product")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The library's function and PyTorch's own agree in float64, with a mask of each kind. (In float32 two right answers differ in
# the last digits, which would hide a small mistake.)

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
# ## 3 · Which tokens may be read
#
# A mask is a boolean table: one row for each query, one column for each key. It decides whether a model reads in both
# directions (BERT) or only backwards, so that it can generate text (GPT). (The two also differ in their training objective:
# BERT fills in hidden tokens, GPT predicts the next one.) **True means may attend**, everywhere in this course.
#
# - *causal*: the token itself and everything before it;
# - *sliding window*: the last few of these, so that the cost per token stays bounded (Mistral, Gemma);
# - *prefix*: everything in a given prefix, and causal after it;
# - *padding*: texts in a batch have unequal lengths, and the padding must not be read.
#
# During generation there are few new queries and many keys. The new queries are the *last* of the tokens, so a single new query
# may read everything.
#
# > **Predict.** In a causal mask for 5 tokens, how many of the 25 pairs are allowed? And with two new tokens after three earlier
# > ones, which of the 10?

# %% id="mask-attention-causal-mask-5"
mask = attention.causal_mask(5)
print(mask.int())
print("allowed: 5 · 6 / 2 =", int(mask.sum()), "of", mask.numel())
print(attention.causal_mask(2, 5).int())

# %% [markdown] id="play-with-it-3"
# In both tables the staircase ends in the lower right corner. (PyTorch's `is_causal=True` starts it in the upper left corner:
# with one new query and many keys, that query would read only the very first token. Section 12 shows it.)
#
# ### Play with it
# Choose a mask, and reduce the number of new tokens.

# %% id="explorers-attention-masks-kind-sliding-window"
explorers.attention.masks()

# %% [markdown] id="build-it-2"
# ### Build it
# Return a boolean table (queries, keys). The queries are the last of the keys; without `keys` the two numbers are equal.


# %% id="attention.causal_mask"
@exercise("attention.causal_mask")
def causal_mask(queries, keys=None):
    """Return a boolean table (queries, keys): each query reads itself and earlier tokens."""
    ...


# %% id="reveal-attention-causal-mask"
reveal("attention.causal_mask")

# %% [markdown] id="build-it-3"
# ### Build it
# Row b of the padding mask has `lengths[b]` real tokens, which may be 0; `side` names the side of the *padding*, "right" or
# "left". The mask must broadcast over heads and queries, so its shape is (B, 1, 1, keys). It is computed from the *lengths*,
# not from the id of the padding token, because in many vocabularies that id also marks the end of a text.


# %% id="attention.padding_mask"
@exercise("attention.padding_mask")
def padding_mask(lengths, keys, side="right"):
    """Return (B, 1, 1, keys): True at the `lengths[b]` real tokens of row b, padding on `side`."""
    ...


# %% id="reveal-attention-padding-mask"
reveal("attention.padding_mask")

# %% [markdown] id="does-it-work-the-test-is"
# The test of a padding mask is not its shape but this: **a text must give the same output with padding and without.**

# %% id="q-k-v-torch-randn-3"
q, k, v = torch.randn(3, 1, 1, 4, 8, generator=seeded(4))
alone = attention.scaled_dot_product_attention(q, k, v)
padding = torch.full((1, 1, 3, 8), 9.0)  # arbitrary numbers in three places of padding
q, k, v = (torch.cat((x, padding), dim=2) for x in (q, k, v))
mask = attention.padding_mask(torch.tensor([4]), 7)
for name, used in [("with the mask", mask), ("without", None)]:
    padded = attention.scaled_dot_product_attention(q, k, v, used)[:, :, :4]
    print(f"{name:14} same as alone: {torch.allclose(padded, alone, atol=1e-6)}")

# %% [markdown] id="4-several-heads"
# ## 4 · Several heads
#
# One softmax gives one mean. But *slept* may need its subject and its tense at the same time, from two places, and a mean of
# two vectors is neither of them. So a layer has $H$ **heads**, each with its own queries, keys and values, and their outputs
# are put side by side.
#
# Where do queries, keys and values come from? From the token's vector $x$, by three learned matrices: `q_proj`, `k_proj`,
# `v_proj`. Their results, of width $H \cdot D$, are cut into heads. A fourth matrix, `o_proj`, mixes the outputs of the heads.
# What is cut is the result of the projection, not $x$ itself.
#
# > **Predict.** `x` has 8 features and there are two heads. You change only the last four features of `x`. Whose queries
# > change: those of head 0, of head 1, or of both?

# %% id="every-head-reads-all-features"
x, w_q = torch.randn(3, 8, generator=seeded(5)), torch.randn(8, 8, generator=seeded(6))
changed = x.clone()
changed[:, 4:] += 1
before, after = (each @ w_q.T for each in (x, changed))  # (T, 8): head 0 has the first four
for head, own in enumerate((slice(0, 4), slice(4, 8))):
    print(f"queries of head {head} changed: {not torch.allclose(before[:, own], after[:, own])}")

# %% [markdown] id="cutting-into-heads-costs-nothing-but"
# Both: every head sees all features of `x`, through its own rows of the matrix.
#
# Cutting into heads needs no arithmetic, only care with the axes. The features of one token are contiguous in memory, and the
# first $D$ of them belong to the first head:
#
# (B, T, H·D) → cut the last axis → (B, T, H, D) → swap → (B, H, T, D)
#
# > **Predict.** Two tokens of width 4, [0 1 2 3] and [4 5 6 7], are cut into two heads. Which numbers does head 0 hold?
# > And what do you get from `.view(B, H, T, D)`, which has the right shape at once?

# %% id="x-torch-arange-8-reshape-1"
x = torch.arange(8).reshape(1, 2, 4)
print("cut and swapped: ", x.view(1, 2, 2, 2).transpose(1, 2).tolist()[0])
print("viewed at once:  ", x.view(1, 2, 2, 2).tolist()[0])

# %% [markdown] id="build-it-4"
# In the second line, head 0 holds all of token 0 and nothing of token 1. The shape is right and the numbers are wrong. Nothing
# raises an error, and the model even learns a little, so this mistake can go unnoticed for a long time.
#
# ### Build it
# `split_heads` cuts (B, T, H·D) into (B, H, T, D), where head h of a token is its h-th piece of neighbouring features.
# `merge_heads` is the inverse. Both keep the dtype, and the gradient of both is checked too.


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

# %% [markdown] id="5-heads-that-share-their-keys"
# ## 5 · Heads that share their keys
#
# During generation the keys and values of all earlier tokens are kept, which takes a lot of memory (section 9). So models keep
# fewer of them. In **multi-query** attention all query heads read the same keys and values (Shazeer 2019); in
# **grouped-query** attention $G$ key/value heads serve $H/G$ query heads each (Ainslie et al. 2023). With $G = H$ each query
# head has its own, which is called **multi-head** attention.
#
# > **Predict.** 6 query heads, 2 key/value heads. Which query heads read key/value head 1?

# %% id="names-torch-tensor-0-1"
names = torch.tensor([0, 1])
print("repeat_interleave:", names.repeat_interleave(3).tolist(), " neighbours share")
print("repeat:           ", names.repeat(3).tolist(), " every second head")

# %% [markdown] id="build-it-5"
# Checkpoints mean the first: heads 3, 4 and 5 read key/value head 1. The second has the same shape and is wrong.
#
# ### Build it
# `q` is (B, H, T, D); `k` and `v` are (B, G, S, D), where G divides H. The mask broadcasts to (B, H, T, S), and gradients
# must flow. Copies of keys and values are allowed here; the library avoids them (see *Further*).


# %% id="attention.grouped_query"
@exercise("attention.grouped_query")
def grouped_query_attention(q, k, v, mask=None):
    """Return attention of (B, H, T, D) over (B, G, S, D), where H/G neighbouring heads share."""
    ...


# %% id="reveal-attention-grouped-query"
reveal("attention.grouped_query")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# PyTorch's function shares keys with `enable_gqa=True`:

# %% id="q-torch-randn-2-6-5"
q = torch.randn(2, 6, 5, 8, generator=seeded(7)).double()
for groups in (6, 3, 2, 1):
    k, v = torch.randn(2, 2, groups, 7, 8, generator=seeded(groups)).double()
    mask = attention.causal_mask(5, 7)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    gap = (attention.grouped_query_attention(q, k, v, mask) - expected).abs().max().item()
    print(f"6 query heads, {groups} key/value heads: largest difference < 1e-12: {gap < 1e-12}")

# %% [markdown] id="6-the-whole-layer"
# ## 6 · The whole layer
#
# Now you have all the parts: project, split, attend, merge, project.
#
# > **Predict.** A layer has C = 10, H = 6 query heads, G = 3 key/value heads and D = 4. What are the shapes of the four weight
# > matrices?
#
# ### Build it
# Assemble the layer from its weights, which are stored as in `nn.Linear` and applied as `x @ w.T`: `w_q` (H·D, C), `w_k` and
# `w_v` (G·D, C), `w_o` (C, H·D). D and G follow from the shapes; H·D need not equal C. The mask broadcasts to (B, H, T, T),
# the dtype is kept, and gradients must flow to `x` and all weights. Use the functions of `attention` that you have built.


# %% id="attention.multi_head"
@exercise("attention.multi_head")
def multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, mask=None):
    """Return the output (B, T, C) of a self-attention layer for x (B, T, C)."""
    ...


# %% id="reveal-attention-multi-head"
reveal("attention.multi_head")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# The library has the same layer as a module, `attention.MultiHeadAttention(width, num_heads)`. The cell first prints the four
# shapes that you predicted. The module returns a pair: the output, and the weights if you ask for them with `return_weights=True`, else None. PyTorch's `nn.MultiheadAttention` keeps the three
# projections in one matrix, and its masks have the opposite meaning: **True means hidden**.

# %% id="theirs-nn-multiheadattention-24-4-bias"
small = attention.MultiHeadAttention(10, 6, num_key_value_heads=3, head_dim=4)
print("the four shapes:", [tuple(weight.shape) for weight in small.parameters()])
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

# %% [markdown] id="6-order-does-not-matter"
# ## 7 · Attention does not see the order of tokens
#
# > **Predict.** You shuffle the tokens of a text and run the layer, without a mask. What happens to the output vectors?

# %% id="order-torch-randperm-6-generator-seeded"
order = torch.randperm(6, generator=seeded(8))
plain, shuffled = ours(x)[0], ours(x[:, order])[0]
print("the same vectors, in the new order:", torch.allclose(shuffled, plain[:, order], atol=1e-6))
print("the same tensor:                   ", torch.allclose(shuffled, plain, atol=1e-6))
causal, mixed = (ours(text, attention.causal_mask(6))[0] for text in (x, x[:, order]))
print("with a causal mask, in the new order:", torch.allclose(mixed, causal[:, order], atol=1e-6))

# %% [markdown] id="attention-is-a-mean-over-a"
# Attention is a mean over a *set*. No score contains a position, so to one layer without a mask *dog bites man* and *man bites
# dog* are the same text: each word comes out with the same vector in both. This is called permutation **equivariance**: if the
# input is shuffled, the output is shuffled in the same way. The causal mask breaks it, since early tokens see fewer tokens,
# but it says nothing about distance. Information about positions must be added: notebook
# [Positions and RoPE](06_rope.ipynb).
#
# ## 8 · What it costs
#
# Each of $n$ queries is multiplied with each of $n$ keys, which takes $D$ multiply-adds; then each weight is multiplied with a
# value, which takes $D$ more. One multiply-add is two operations: $4 n^2 D$ for a head. And the table of weights has $n^2$
# entries.
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

# %% [markdown] id="twice-the-text-four-times-the"
# Counted, not estimated: for twice the text, the table of weights costs four times as many operations and bytes. (Measured times
# agree: see *Further*.) But a whole layer has its four projections too, and they grow only linearly.
#
# > **Predict.** A layer of width 1024 reads 1024 tokens, then 2048. By what factor do its operations grow: 2, less than 3, or
# > 4?


# %% id="a-layer-of-twice-the-length"
def layer_operations(n, width=1024):
    with FlopCounterMode(display=False) as counter:
        layer = attention.MultiHeadAttention(width, 16).to("meta")
        layer(torch.empty(1, n, width, device="meta"))
    return counter.get_total_flops()


for n in (1024, 2048, 16384, 32768):
    tables = 4 * n * n * 1024 / layer_operations(n)
    growth = layer_operations(2 * n) / layer_operations(n)
    print(f"n = {n:5}: {tables:.0%} of the operations are q·k and weights·v;", end=" ")
    print(f"twice the text costs {growth:.2f} times as much")

# %% [markdown] id="where-the-square-matters"
# At a length equal to the width, the part that grows as n² is one third, and doubling the text costs 2.67 times as much. It
# dominates only for texts much longer than the model is wide. That is where sliding windows help, and FlashAttention
# (notebook [FlashAttention](10_flash_attention.ipynb)), which avoids the n² memory but not the n² operations.
#
# ## 9 · The cache
#
# A model generates one token at a time. Token 1000 reads the keys and values of the 999 tokens before it. Those have not
# changed: no token reads later tokens, so nothing generated later can alter them. They can be computed once and kept.
#
# > **Predict.** A layer generates 64 tokens, one by one. How many times as many operations does it need if it recomputes
# > everything for each new token?

# %% id="layer-attention-multiheadattention-128-4"
layer = attention.MultiHeadAttention(128, 4).to(device)
text = torch.randn(1, 64, 128, generator=seeded(9)).to(device)
masks = [attention.causal_mask(t + 1, device=device) for t in range(64)]
with torch.no_grad(), FlopCounterMode(display=False) as recomputed:
    without = [layer(text[:, : t + 1], masks[t])[0][:, -1:] for t in range(64)]
cache = attention.KVCache(1, 4, capacity=64, head_dim=32, device=device)
with torch.no_grad(), FlopCounterMode(display=False) as kept:
    cached = [layer(text[:, t : t + 1], cache=cache)[0] for t in range(64)]
same = torch.allclose(torch.cat(without, 1), torch.cat(cached, 1), atol=1e-5)
print("the same output:", same)
times = recomputed.get_total_flops() / kept.get_total_flops()
print(f"without the cache {times:.0f} times as many operations")
print(f"memory in use between steps: with the cache {cache.nbytes} bytes, without 0 bytes")

# %% [markdown] id="build-it-6"
# The outputs are the same, for a fraction of the work. The price is memory: a cache does not save memory, as is often said, it
# costs memory. Note that the cached layer got no mask: the single new query may read everything in the cache.
#
# ### Build it
# Write one step as a pure function. It receives caches (B, G, N, D) with room for N tokens, of which the first `position` are
# filled; slots from `position` on are stale and must not be read. It returns the output and *copies* of the caches with the T
# new keys and values written at `position`; the caches passed in stay unchanged. H query heads share the G key/value heads as
# in section 5. T is usually 1, but a prompt is processed with a larger T: then the new tokens must not read later ones.
# Gradients must flow. `attention.causal_mask(queries, keys, device)` makes the mask on the device of the inputs.


# %% id="attention.cached_step"
@exercise("attention.cached_step")
def cached_attention(q, k, v, k_cache, v_cache, position):
    """Return (output, k_cache, v_cache) after T new tokens at `position`."""
    ...


# %% id="reveal-attention-cached-step"
reveal("attention.cached_step")

# %% [markdown] id="what-it-costs-in-memory"
# In practice a cache is not copied at each step: that would read and write all of it for the sake of one token. The library's
# `KVCache` allocates its memory once and writes into it.
#
# ### What it costs in memory
# Each layer stores, for each token and each key/value head, a key and a value of $D$ numbers:
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
# ## 10 · A small model whose heads you can watch
#
# What do heads learn? Here is a task that needs only attention: 8 to 20 random letters, all different, are repeated again and
# again. (There are 62 letters: the ten digits count too.) Each text begins with the token `<s>`.
#
# > **Predict.** From which letter on can a perfect reader predict the text? Careful: it does not know the period.
#
# The cell prints such a text, and measures a small model that was trained on this task beforehand.

# %% id="the-first-letter-of-the-second-round"
model = induction_toy.trained().to(device)
example = induction_toy.repeated_sequences(1, (12, 12), seeded(10)).to(device)
written = [induction_toy.TOKENS[i] for i in example.ids[0].tolist()]
print(" ".join(written[:30]))

varying = induction_toy.PERIODS["varying"]
held_out = induction_toy.repeated_sequences(16, varying, seeded(11)).to(device)
with torch.no_grad():
    losses = softmax.surprises(model(held_out.ids)[0][:, :-1], held_out.ids[:, 1:])
known = held_out.repeated[:, :-1]  # the current letter has occurred before
first = held_out.repeated[:, 1:] & ~known  # the next letter is the first of the second round
print("trained model, first letter of the second round:", rounded(losses[first].mean(), 2), "nats")
print("all letters after it:                           ", rounded(losses[known].mean(), 2), "nats")

# %% [markdown] id="how-can-attention-do-it-to"
# The first letter of the second round comes as a surprise, since the period is unknown; from then on every letter can be
# predicted.
#
# How can attention do it? To predict what follows the second *A*, find the first *A* and read the token **after** it. But a
# head compares queries with keys, and the key of the token after *A* contains nothing about *A*. So two layers work together:
#
# 1. a **previous-token head** in layer 0 writes into each token which token came before it;
# 2. an **induction head** in layer 1 lets the query at *A* match keys that are preceded by *A*, and reads those tokens.
#
# Section 7 says that attention does not see the order of tokens, so how can a head look back by one? This model rotates its
# queries and keys by their positions, with the method of notebook [Positions and RoPE](06_rope.ipynb), so scores depend on the
# distance.
#
# > **Predict.** Two layers of four heads, 40 000 parameters, trained from scratch. Will these two kinds of head appear one
# > after the other, or at the same time? Gradually, or abruptly?

# %% id="learned-history-toy-heads-train-toy"
learned, history = induction_toy.train_toy(steps=250, device=device)  # some seconds
print(sum(weight.numel() for weight in learned.parameters()), "parameters")
print("loss before about log 63:", abs(history.loss[0] - math.log(63)) < 0.5)
print("loss after below 0.5:    ", history.loss[-1] < 0.5)
for step in (120, 200):  # measured every 10 steps
    both = history.previous[step // 10], history.induction[step // 10]
    print(f"both kinds of head found by step {step}: {min(both) > 0.3};", end=" ")
    print(f"loss below 3: {history.loss[step // 10] < 3}")

# %% tags=["nbval-ignore-output"] id="show-figures-attention-learning-history"
show(figures.attention.learning(history))

# %% [markdown] id="play-with-it-4"
# For about 120 steps the loss falls slowly, to about 3.5 nats, and neither kind of head is visible. Then, within some 60
# steps, the loss drops almost to zero and both kinds appear; the induction score rises slightly ahead of the previous-token
# score. Each needs the other to be useful. In large models the same sudden drop is seen in the loss (Olsson et al. 2022).
#
# The model that you have just trained may differ a little from machine to machine. So the notebook uses the stored one, trained in
# the same way for 300 steps, and your figures match the text. `induction_toy.train_toy()` makes it again.
#
# ### Play with it
# Head 1.2 is head 2 of layer 1, both counted from 0. Click a head on the left (or move there with the arrow keys), and point at
# a token in the left column: the lines lead to the tokens that it reads. In the small maps a row is a token that reads, a column a token that is read. Look for three
# patterns: the line just below the diagonal (previous token), lines further down (induction), and the left edge.

# %% id="weights-model-example-ids-1-0"
weights = model(example.ids)[1][0][:, :, :30, :30]  # (layers, heads, T, T)
explorers.attention.lines(weights, written[:30], layer=1, head=2)

# %% [markdown] id="one-number-for-a-pattern"
# ### One number for a pattern
# Nobody can look at the maps of a thousand heads. So each pattern becomes a score: the attention on the keys in question,
# averaged over the queries that have such a key. For the previous token that is the mean of the diagonal below the main
# one. For induction, the keys are those *after* earlier occurrences of the same token.
#
# By hand, for A B A: only the last token has occurred before. After the first A comes B, so B is the one key that
# counts. If the last row of weights is [0.2, 0.7, 0.1], the score is **0.7**.

# %% id="row-torch-tensor-1-0-0"
row = torch.tensor([[1.0, 0.0, 0.0], [0.3, 0.7, 0.0], [0.2, 0.7, 0.1]])
print(attention.induction_targets(torch.tensor([5, 8, 5])).int())
print("score:", rounded(attention.induction_score(row, torch.tensor([5, 8, 5]))))

# %% [markdown] id="build-it-7"
# ### Build it
# `weights` is (..., T, T), `ids` is (T,), and the result has the leading axes: one score for each head. If a token has
# occurred several times, the weights on all its followers are added. Queries whose token is new do not count.


# %% id="attention.induction_score"
@exercise("attention.induction_score")
def induction_score(weights, ids):
    """Return, for each head of (..., T, T), its mean attention to what followed earlier copies."""
    ...


# %% id="reveal-attention-induction-score"
reveal("attention.induction_score")

# %% id="scores-toy-heads-head-scores-model"
sample = induction_toy.repeated_sequences(8, varying, seeded(1)).to(device)
scores = attention.head_scores(model(sample.ids)[1], sample.ids)
show(figures.attention.scores_of_heads(scores))

# %% [markdown] id="does-the-head-matter"
# The layers have divided the work: layer 0 looks back by one, layer 1 copies. (The third table, the weight on the first token,
# is explained under *Further*.)
#
# ### Does the model need the head?
# A map shows what a head *reads*, not whether the model uses it. To find out, **ablate** the head: replace its output by a
# constant, and measure the loss. Two constants are common:
#
# - *zero ablation* replaces the output by zeros;
# - *mean ablation* replaces it by its mean over many texts and tokens. What the head writes everywhere is kept, and only
#   what differs between tokens is lost.
#
# > **Predict.** A head always writes the same vector, whatever the text. Later layers have learned to expect it. What does
# > zero ablation say about this head, and what does mean ablation say?
#
# ### Build it
# `read` (B, H, T, D) is what the heads read, before the output projection `w_o` (C, H·D). Return what the layer writes,
# (B, T, C), with one head replaced by its mean over all texts and tokens, or by zeros for kind="zero". `read` itself stays
# unchanged, and so does the dtype.


# %% id="attention.ablated_output"
@exercise("attention.ablated_output")
def ablated_output(read, w_o, head, kind="mean"):
    """Return what a layer writes (B, T, C) when a constant replaces what one head reads."""
    ...


# %% id="reveal-attention-ablated-output"
reveal("attention.ablated_output")

# %% [markdown] id="predict-the-ablations"
# Your earlier prediction: zero ablation makes the head look necessary, since the loss rises. Mean ablation puts the same vector
# back, so nothing changes: the head carries no information about the text.
#
# > **Predict.** Layer 1 has four induction heads. By how much does the loss rise without one of them? Without one of the
# > previous-token heads in layer 0?

# %% id="held-out-toy-heads-repeated-sequences"
before, means = induction_toy.repeat_loss(model, held_out), model.head_means(held_out.ids)


def loss_without(*heads, kind):
    ablated = model
    for layer, head in heads:
        baseline = means[layer, head] if kind == "mean" else None
        ablated = ablated.without_head(layer, head, baseline)
    return induction_toy.repeat_loss(ablated, held_out)


groups = {f"{layer}.{head}": [(layer, head)] for layer in range(2) for head in range(4)}
groups |= {"0.1, 0.2": [(0, 1), (0, 2)], "layer 1": [(1, head) for head in range(4)]}
losses = {
    kind: {name: loss_without(*heads, kind=kind) for name, heads in groups.items()}
    for kind in ("zero", "mean")
}
show(figures.attention.ablation(losses, before, math.log(63)))

# %% [markdown] id="no-induction-head-is-missed-the"
# Without any one induction head the loss hardly rises: the three others do the same. Of the previous-token heads, removing 0.1
# costs 0.6 nats and removing 0.2 costs 0.1 nats or less, yet removing both costs 2 nats. So a small effect of one ablation
# does not mean that the head does nothing.
#
# Without layer 1 the model has only the present and the previous token, which say nothing about the next letter. It should do
# as well as a uniform guess over 63 tokens:

# %% id="silent-model"
print(f"uniform guess, log 63:          {math.log(63):.2f} nats")
for kind in ("mean", "zero"):
    print(f"without layer 1, {kind} ablation: {losses[kind]['layer 1']:.2f} nats")

# %% [markdown] id="10-a-model-that-has-read"
# With mean ablation it does. With zeros it does worse than a uniform guess: the later parts of the model have never seen a
# zero there, and give confident, wrong answers. Zero is not a neutral value.
#
# ## 11 · A model that has read text
#
# The toy has seen only random letters. Does a model that is trained on text develop the same kinds of heads?
#
# The course has a model of its own, trained on Python's documentation and sources: four layers of four heads, in which
# two query heads share each key/value head. You will build such a model in notebook [The whole transformer](08_transformer.ipynb)
# and train one in notebook [Training](11_training.ipynb); here you only look at its maps. A part of its training data was the
# task of section 10, random tokens that repeat.
#
# > **Predict.** In the toy, layer 0 looked back by one and layer 1 copied. This model has more layers. Which of the two kinds
# > will be in the earlier layer, or does it not matter?
#
# ### Play with it
# Type a text: code, a sentence, a word three times. Its tokens are pieces of words, as in notebook
# [Tokenization](01_tokenization.ipynb). The figure starts with the head that copies best; look at the others, too. The line
# break in the first text is shown as ↵.

# %% id="explorers-attention-reading"
explorers.attention.reading()

# %% [markdown] id="look-at-the-last-row-of"
# Look at the last row of the large map. A head that copies finds the earlier `(` and reads what came after it:

# %% id="tokens-weights-trained-model-read-explorers"
tokens, weights = course_model_probes.read(explorers.attention.SENTENCE)
layer, head = explorers.attention.best_head("induction")
read = tokens[weights[layer, head, -1].argmax()]
print(f"the text ends with {tokens[-1]!r}, and head {layer}.{head} reads mostly {read!r}")

# %% [markdown] id="one-text-proves-little-so-here"
# One text proves little. So here are the scores of all heads, on random tokens that repeat. The fourth table shows one more
# kind, a head in which each token reads *itself*: it transforms each token separately.

# %% id="found"
course_scores = course_model_probes.head_scores_on("repeats")
found = {}
for kind in ("previous token", "induction"):
    for name, table in (("toy", scores[kind]), ("course model", course_scores[kind])):
        found[name, kind] = divmod(int(table.argmax()), table.shape[1])[0]
        print(f"{name:12} best {kind} head: {table.max():.2f}, in layer {found[name, kind]}")
for name in ("toy", "course model"):
    earlier = found[name, "previous token"] < found[name, "induction"]
    print(f"{name:12} looks back by one in an earlier layer than it copies: {earlier}")
show(figures.attention.scores_of_heads(course_scores))

# %% [markdown] id="11-claims-that-are-wrong"
# The same two kinds, in the same order, for the same reason: the induction head needs what the previous-token head has written.
# Which of these heads the model needs depends on the text and on the kind of ablation (see *Further*).
#
# ## 12 · Claims that are wrong
#
# > *"Attention is symmetric: what i gives to j, j gives to i, since a dot product does not depend on the order."*

# %% id="mine-queries-keys-t-math-sqrt"
mine = queries @ keys.T / math.sqrt(4)
print("query of slept, key of cat:", mine[2, 1].item(), end="   ")
print("query of cat, key of slept:", mine[1, 2].item())
print("scores symmetric: ", torch.equal(mine, mine.T))
same_projection = keys @ keys.T
print("if q were k, scores:", torch.equal(same_projection, same_projection.T), end=", ")
even_then = softmax.stable_softmax(same_projection)
print("weights:", torch.allclose(even_then, even_then.T))

# %% [markdown] id="the-verb-asks-for-its-subject"
# The verb looks for its subject; the subject does not look for a verb. Query and key come from two different projections. And
# even with a single projection for both, each row is divided by its own sum, so the *weights* would still not be symmetric.
#
# > *"`is_causal=True` is the right flag for a step with a cache."*

# %% id="q-k-torch-zeros-1-1"
q, k = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 5, 4)
v = torch.arange(5.0).reshape(1, 1, 5, 1)  # the value of token j is j
print("is_causal=True reads:", F.scaled_dot_product_attention(q, k, v, is_causal=True).item())
ours = attention.grouped_query_attention(q, k, v, attention.causal_mask(1, 5))
print("the new token should:", ours.item())

# %% [markdown] id="all-scores-are-equal-so-the"
# All scores are equal, so the right answer is the mean of 0, 1, 2, 3 and 4. The flag starts the triangle in the upper left
# corner, and the newest token reads only the oldest.
#
# > *"A head with an induction score near 1 has learned to copy."*
#
# Train the same model on texts whose period is always 12, and see:

# %% id="shortcut-toy-heads-trained-fixed"
shortcut = induction_toy.trained("fixed").to(device)
for period in (12, 16):
    texts = induction_toy.repeated_sequences(16, (period, period), seeded(12)).to(device)
    score = attention.head_scores(shortcut(texts.ids)[1], texts.ids)["induction"].max().item()
    losses = [induction_toy.repeat_loss(each, texts) for each in (shortcut, model)]
    print(f"period {period}: trained only on 12 {losses[0]:5.2f} nats, score {score:.2f};", end=" ")
    print(f"trained on many {losses[1]:.2f} nats")

# %% [markdown] id="on-its-own-period-the-score"
# On texts of period 12 its score is near 1. On texts of period 16 its loss is far worse than that of a uniform guess: the head
# has learned "11 places back" and does not look at the tokens. A score describes what a head reads *on the text
# that was used*. To find out what it does, change the text.

# %% [markdown] id="the-library-s-version-counts-offsets"
# ## Further: how the library does it
#
# **Masks.** The library computes *offsets* first, the position of the key minus that of the query, because the sliding window
# needs them too:

# %% id="reveal-attention-token-offsets"
reveal(attention.token_offsets)

# %% [markdown] id="how-the-library-avoids-copies"
# **Shared keys.** The library splits attention into two functions, since some callers need the weights: `attention_weights`
# computes scores and softmax, `mix_values` the weighted mean. Both avoid copying keys with the same trick: the H/G query heads
# that share a key are stacked along the token axis.

# %% id="reveal-attention-stack-group"
reveal(attention.stack_group)

# %% [markdown] id="with-these-the-whole-layer-is"
# **The layer.** Here is the module's `forward`. Its options are explained in this notebook, except `bias` and `rotate`, which belong
# to notebook [Positions and RoPE](06_rope.ipynb).

# %% id="reveal-attention-multiheadattention-forward"
reveal(attention.MultiHeadAttention.forward)

# %% [markdown] id="a-cache-in-use-is-not"
# **The cache.** Keys and values of new tokens are written into memory that was allocated once. What is returned are views of
# it, not copies:

# %% id="reveal-attention-kvcache-append"
reveal(attention.KVCache.append)

# %% [markdown] id="further-the-scale-in-a-trained-model"
# ## Further: the scale in a trained model
#
# The theory of section 2 describes a model before training. Here are the heads of the toy of section 10, which have 16 features.
# Do their products spread by √16 = 4, if the entries are scaled to variance 1 as in the theory? And if they spread more, is it
# because the features of a query, or of a key, have come to depend on each other? Shuffling each feature over the tokens breaks
# every such dependence, and keeps the size of each feature.

# %% id="model-toy-heads-trained"
head_queries, head_keys = induction_toy.queries_and_keys(model, sample.ids)  # (L, B, H, T, D)


def shuffled(x):  # (..., T, D): each feature in its own random order over the tokens
    order = torch.rand(x.shape, generator=seeded(0)).argsort(-2).to(x.device)
    return x.gather(-2, order)


spread, without_dependence = [], []
for layer, head in [(layer, head) for layer in range(2) for head in range(4)]:
    q, k = (x[layer, :, head].flatten(0, 1) for x in (head_queries, head_keys))
    spread.append(figures.attention.product_spread(q, k))
    without_dependence.append(figures.attention.product_spread(shuffled(q), shuffled(k)))
print("trained heads of width 16:", [round(each, 1) for each in spread], "√16 = 4")
print("each feature shuffled:    ", [round(each, 1) for each in without_dependence])
show(figures.attention.scale_experiment([(16, each) for each in spread], width=16))

# %% [markdown] id="trained-heads-have-unequal-features"
# The products spread more than √16. The reason is not dependence: after shuffling, the spread is almost the same. The
# features have become unequal, most of all in layer 0, and a few large ones dominate the sum.

# %% [markdown] id="counted-not-estimated-four-times-each"
# ## Further: measured times
#
# Section 8 counted operations. Do measured times agree? This cell runs on the CPU (a GPU would need much longer texts to be busy)
# and fits the exponent to the longer half of the lengths. Memory for the tables is allocated beforehand, so that only arithmetic is
# timed. Expect an exponent near 2. (Overhead, a large part of the time for short texts, lowers it; tables too large for the
# processor's cache raise it.)


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

# %% [markdown] id="the-same-two-kinds-and-in"
# ## Further: which heads a model of text needs
#
# The scores of section 11 were measured on random tokens that repeat. Here are the same heads on real text, held-out source code (the
# numbers depend a little on your version of Python, whose sources are the text):

# %% tags=["nbval-ignore-output"] id="text-scores-trained-model-head-scores"
text_scores = course_model_probes.head_scores_on("text")
show(figures.attention.scores_of_heads(text_scores))

# %% [markdown] id="which-heads-are-needed"
# On text the induction scores are lower, since text seldom repeats itself word for word and these heads have other things to
# read. But some previous-token scores are *higher*: heads 3.0 and 3.1 rise from less than 0.2 to more than 0.5. A score
# depends on the text.
#
# ### Which heads are needed?
# > **Predict.** Ablate the best copying head. What happens to the loss on repeats, and what to the loss on text?
#
# ### Play with it
# Left, the increase in loss without each head. Right, the same increase against the head's largest score: heads with a clear
# pattern are on the right, heads that the model needs are high up. Choose *text*, other heads, and *mean* ablation. Which head
# changes most?

# %% id="explorers-attention-missed-heads"
explorers.attention.missed_heads()

# %% [markdown] id="two-questions-two-answers-some-heads"
# Without the best copying head, 1.3, the loss on repeats rises by more than 1 nat, and on text by about a tenth of a nat.
#
# Zero ablation says that head 0.1 is vital for repeats: the loss rises by more than 3 nats. With its mean in place of its
# output nothing happens. Head 0.2 is vital either way.

# %% id="zero-and-mean-ablation-differ"
for layer, head in [(0, 1), (0, 2)]:
    rise = {kind: ablated_heads.rises("repeats", kind)[layer, head] for kind in ("zero", "mean")}
    print(f"head {layer}.{head}: zero ablation {rise['zero']:+.1f} nats,", end=" ")
    print(f"mean ablation {rise['mean']:+.1f} nats")
text, repeats = (ablated_heads.rises(on, "zero")[1, 3] for on in ("text", "repeats"))
print(f"head 1.3: zero ablation {repeats:+.1f} nats on repeats, below 0.2 on text: {text < 0.2}")

# %% [markdown] id="why-zeroing-misleads"
# So zeroing misled us: the model needs the constant that head 0.1 writes, not what it reads. Other heads have a clear pattern
# and their removal costs little, since other heads do the same. As with the toy, ablate groups:

# %% id="config-trained-model-course-model-config"
config = course_model_probes.course_model().config
print(config.num_hidden_layers, "layers of", config.num_attention_heads, "heads,", end=" ")
print("with", config.num_key_value_heads, "key/value heads in each layer")
print(config.vocab_size, "tokens in the vocabulary, heads of width", config.head_dim)

# %% id="groups"
uniform = math.log(config.vocab_size)
groups = {
    f"{len(found)} {kind} head{'s' * (len(found) > 1)}": found
    for kind in ("previous token", "induction")
    if (found := (course_scores[kind] > 0.5).nonzero().tolist())
}
losses = {
    kind: {name: ablated_heads.loss("repeats", group, kind) for name, group in groups.items()}
    for kind in ("zero", "mean")
}
show(figures.attention.ablation(losses, ablated_heads.loss("repeats"), uniform))

# %% tags=["nbval-ignore-output"] id="before-trained-model-loss-text"
before = ablated_heads.loss("text")
for name, group in groups.items():
    rise = ablated_heads.loss("text", group, "mean") - before
    print(f"on text: {before:.2f} nats; without {name} {rise:+.2f}")

# %% [markdown] id="on-repeats-the-model-is-lost"
# On repeats, without the one previous-token head or the two induction heads, the loss is 12 to 16 nats, far above the 7.6 nats
# of a uniform guess (log V): the model is confidently wrong. On text the same ablations cost less than 1 nat, since most of a
# text can be predicted without copying. What a head is needed for depends on the text.
#
# Maps of other models can be drawn in the same way. A `transformers` model returns its weights with `output_attentions=True`
# if it was loaded with `attn_implementation="eager"`, since the fast kernels never form the table; `attentions` is a tuple with
# one tensor per layer, and `explorers.attention.maps(torch.stack(output.attentions, dim=1)[0], tokens)` draws them.

# %% [markdown] id="further-masks-sinks-variations"
# ## Further: sinks, additive masks, two variations
#
# ### Attention sinks
# The weights of a row must add up to 1. What does an induction head read when nothing has repeated yet?

# %% id="with-torch-no-grad"
with torch.no_grad():
    all_weights = model(sample.ids)[1]  # (B, L, H, T, T)
to_first = all_weights[:, 1, :, :, 0].transpose(0, 1)  # (H, B, T): layer 1, weight on <s>
print("before the repetition:", rounded(to_first[:, ~sample.repeated].mean(-1), 2))
print("in the repetition:    ", rounded(to_first[:, sample.repeated].mean(-1), 2))

# %% [markdown] id="where-a-head-rests"
# It reads mostly the first token, `<s>`. Such an **attention sink** appears in nearly every large model (Xiao et al. 2023).
# Does reading `<s>` write nothing? Compute what a head writes when it reads only one token:

# %% id="what-is-written-from-the-sink"
_, layer_1 = model.layers()[1]
seen = []
hook = layer_1.v_proj.register_forward_hook(lambda module, given, value: seen.append(value))
with torch.no_grad():
    model(sample.ids)
    hook.remove()
    output = layer_1.o_proj.weight.unflatten(1, (4, 16))  # (C, H, D)
    values = attention.split_heads(seen[0], 4)  # (B, H, T, D)
    written = torch.einsum("bhtd,chd->bhtc", values, output).norm(dim=-1).mean(0)  # (H, T)
print("norm of what each head writes from <s>:", rounded(written[:, 0], 0))
print("from other tokens, on average:         ", rounded(written[:, 1:].mean(-1), 0))

# %% [markdown] id="a-constant-not-nothing"
# Far from nothing: a vector that is longer than those from other tokens. But it is always the *same* vector, so it carries no
# information about the text, and the rest of the model has adapted to it. (This is also why zero ablation can mislead.) A
# cache that drops the oldest tokens drops the sink as well, and the model breaks down; keeping the first few tokens avoids
# this.

# %% [markdown] id="many-libraries-pass-masks-as-numbers"
# ### Additive masks
# Many libraries pass masks as numbers that are *added* to the scores: 0 where allowed, −∞ where not. A boolean mask is easily
# converted. A query that may read nothing shows why this course prefers booleans:

# %% id="mask-torch-tensor-true-true-false"
mask = torch.tensor([[True, True], [False, False]])
added = attention.additive_mask(mask)
print(added)
print("by addition:", torch.softmax(torch.zeros(2, 2) + added, -1).tolist())
print("by masking: ", attention.scores_to_weights(torch.zeros(2, 2), mask).tolist())

# %% [markdown] id="two-variations"
# ### Cross-attention and QK-norm
# **Cross-attention**: queries come from one text, keys and values from another, as in translation, or when a model looks at a
# picture. Only the source of the keys and values changes, and the table of weights is no longer square.
#
# **QK-norm** (Qwen3, Gemma 3): an RMSNorm over each head's queries and keys before they are multiplied. However long the
# vectors grow during training, a score then cannot exceed √D times the largest product of their
# learned weights.

# %% id="context-torch-randn-2-9-24"
x, context = torch.randn(2, 6, 24, generator=seeded(5)), torch.randn(2, 9, 24, generator=seeded(6))
plain = attention.MultiHeadAttention(24, 4)
print("cross-attention:", tuple(plain(x, context=context, return_weights=True)[1].shape))
normed = attention.MultiHeadAttention(24, 4, qk_norm=True)
normed.load_state_dict(plain.state_dict(), strict=False)
for name, layer in [("plain", plain), ("QK-norm", normed)]:
    small, large = (layer(x * size, return_weights=True)[1] for size in (1, 100))
    same = torch.allclose(small, large, atol=1e-3)
    print(f"{name:8} same weights for vectors 100 times longer: {same}")

# %% [markdown] id="recap"
# ## Recap
#
# 1. Queries are compared with keys, softmax converts scores to weights, values are averaged. Keys decide whom to read, values
#    what is read.
# 2. Scores are divided by √D because that is the standard deviation of a product over D features. Masks come before softmax;
#    True = may attend; the queries are the last of the keys.
# 3. Every head sees the whole vector: project first, cut the last axis into heads, *then* swap. With grouped queries,
#    neighbouring heads share their keys.
# 4. The table of weights grows as n², the projections as n. A cache saves recomputing the past and stores 2 · layers · G · D
#    numbers per token.
# 5. Without positions attention sees a set. Trained heads show patterns; to find out whether the model needs a head, ablate
#    it, with its mean rather than with zeros.
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
# **Next:** [Positions and RoPE](06_rope.ipynb), where tokens learn where they are.
