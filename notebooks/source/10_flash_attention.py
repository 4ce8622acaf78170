# %% [markdown] id="10-flashattention"
# # 10 · FlashAttention
#
# **How can exact attention run without ever writing the n × n matrix?**
#
# Attention compares every token with every other. Written down, the scores of a long text form a table that is larger than
# the model. Writing and reading this table, not the arithmetic, is what makes attention slow. In this notebook you compute
# the same result without the table: in tiles, with the running maximum and total of notebook [Softmax](04_softmax.ipynb). You
# check every allocation to prove it, count every byte that it saves, read a kernel, a program for the GPU, from top to bottom, and
# write its inner loop yourself.
#
# After this notebook you can
# - say why attention is bound by memory traffic, and compute the bytes that the standard and the tiled method move;
# - write the tiled forward pass, with smaller last tiles, say which tiles a mask skips, and show that no table was made;
# - derive the backward pass, write it for one tile, and say why one saved number for each query is enough;
# - join parts of a row that were computed separately, as flash-decoding does;
# - read a Triton kernel for all of this, write its inner loop, and choose its tiles for a given fast memory.
#
# About 130 minutes. You need notebooks [Softmax](04_softmax.ipynb) and [Attention](05_attention.ipynb); nothing is downloaded.
# A GPU is useful but not needed.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/10_flash_attention.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/10_flash_attention.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/10_flash_attention.ipynb).

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

import torch
import torch.nn.functional as F

from course_lib import attention, flash
from course_lib.accounting import DEVICES, ridge_intensity
from course_lib.device import default_device, seeded, synchronize
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits.stored_benchmarks import stored_benchmark, taken_on

device = default_device()  # timings run here; small examples and float64 checks stay on the CPU

# %% [markdown] id="1-two-memories"
# ## 1 · Two memories
#
# A GPU has two kinds of memory. The large one, of tens of gigabytes, holds all tensors. It is called HBM (high-bandwidth
# memory): fast for its size, but many times slower than the small one. The small one (SRAM: registers and shared memory)
# has a few hundred KiB per processor. Arithmetic works only on numbers that have been loaded into the small memory. So a step
# has two costs, FLOPs and bytes, and takes as long as the slower of the two.
#
# How many FLOPs must a device do for each byte so that it does not wait for its memory? Divide its two speeds (notebook
# [Counting parameters](09_parameter_counting.ipynb)):

# %% id="for-device-in-devices-values"
for gpu in DEVICES.values():
    ridge = ridge_intensity(gpu.peak_flops, gpu.bandwidth)
    print(f"{gpu.name:15} {ridge:4.0f} FLOPs for each byte")

# %% [markdown] id="now-take-attention-as-notebook-05"
# Now take attention as in notebook [Attention](05_attention.ipynb), in three steps, for one head with $T$ queries, $S$ keys
# and width $D$:
#
# 1. read $q$ and $k$, write the scores $s = q k^\top / \sqrt D$, a table of $T \times S$ numbers;
# 2. read the scores, write the weights $p = \operatorname{softmax}(s)$, a table of the same size;
# 3. read the weights and $v$, write the output $p\,v$.
#
# > **Predict.** A text of 32 768 tokens, 32 heads, two bytes for each number. How much memory does the table of scores of
# > *one layer* take: 64 MB, 2 GB or 64 GB?

# %% id="n-heads-width-32-768-32"
n, heads, width = 32_768, 32, 128
table = 2 * n * n * heads
print(
    f"table: {table / 2**30:.0f} GiB;  q, k, v and output together: {4 * 2 * n * width * heads / 2**30:.0f} GiB"
)
h100 = DEVICES["H100 SXM"]
print(f"an H100 holds {h100.memory / 2**30:.0f} GiB")
seconds = heads * flash.standard_bytes(n, n, width, 2) / h100.bandwidth
flops = 4 * heads * n * n * width
print(
    f"moving it all takes {1e3 * seconds:.0f} ms, computing it {1e3 * flops / h100.peak_flops:.0f} ms"
)

# %% [markdown] id="the-table-takes-most-of-the"
# The table takes most of the device's memory, for one layer of one text. And the device would spend several times longer on
# moving it than on the two matrix products. Attention does few FLOPs for each byte moved: $4 n^2 D$ FLOPs on about $4 n^2$
# numbers are $D$ FLOPs per number, $D/2$ per bfloat16 byte. At $D = 128$ that is 64, against the 295 that an H100 needs, and it
# does not depend on the length of the text.

# %% [markdown] id="build-it"
# ### Build it
# Count the bytes that the three steps move for one head. `queries` is $T$, `keys` is $S$, and all of $q$, $k$, $v$ and the
# output have width `head_dim`. By hand, for 4 queries, 4 keys and width 2: $q$, $k$, $v$ and the output have 8 numbers each; the
# table has 16 and is moved four times. $4 \cdot 8 + 4 \cdot 16 = 96$ numbers, **384 bytes** in float32.


# %% id="flash_attention.standard_bytes"
@exercise("flash_attention.standard_bytes")
def standard_bytes(queries, keys, head_dim, bytes_per_number=4):
    """Return the bytes that the standard method moves for one head."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Type `hint()` in a new cell. The library's version below stays folded until you have passed, or have run the cell twice.

# %% id="reveal-flash-attention-standard-bytes"
reveal("flash_attention.standard_bytes")

# %% [markdown] id="2-what-must-be-remembered"
# ## 2 · The running state
#
# If the table must not be written, each tile of it has to be used immediately and then discarded. What must we keep? Notebook
# [Softmax](04_softmax.ipynb) answered this for softmax alone: a **maximum** $m$ and a **total** $\ell$ of the keys read so far.
# Attention needs one thing more, the **weighted sum of values** $a$, measured from the same maximum. The library calls it
# `mixed`:
#
# $$m = \max_j s_j \qquad \ell = \sum_j e^{s_j - m} \qquad a = \sum_j e^{s_j - m}\, v_j$$
#
# At the end the output is $a / \ell$. When a tile brings scores $s_j$ with a larger maximum, both sums so far are too large by
# the same factor, and one multiplication corrects them:
#
# $$m' = \max(m, \max_j s_j) \qquad \ell' = e^{m-m'} \ell + \sum_j e^{s_j-m'} \qquad a' = e^{m-m'} a + \sum_j e^{s_j-m'}\, v_j$$
#
# By hand. So far one key was read, with score 0 and value 6: $m = 0$, $\ell = 1$, $a = 6$. A tile brings two keys with scores
# $\ln 2$ and $\ln 4$ and values 3 and 9. The new maximum is $\ln 4$, and $e^{m - m'} = \tfrac14$. So
# $\ell' = \tfrac14 + \tfrac24 + 1 =$ **1.75** and $a' = \tfrac64 + \tfrac24 \cdot 3 + 9 =$ **12**. The output is
# $12 / 1.75 = 6.857$. Directly: weights 1, 2, 4 out of 7, and $(6 + 2 \cdot 3 + 4 \cdot 9)/7 = 48/7$, the same.

# %% id="state-flash-attentionstate-torch-tensor-0"
state = flash.AttentionState(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[6.0]]))
scores = torch.tensor([[math.log(2), math.log(4)]])
state = flash.attend_scores(state, scores, torch.tensor([[3.0], [9.0]]))
print(
    f"maximum {state.maximum.item():.3f}  total {state.total.item():.3f}  weighted sum {state.mixed.item():.3f}"
)
print(f"output {(state.mixed / state.total[:, None]).item():.3f}")

# %% [markdown] id="predict-the-next-tile-brings-one"
# > **Predict.** The next tile brings one key with the score $-50$ and the value 1000. Which of the three numbers change
# > noticeably?

# %% id="state-flash-attend-scores-state-torch"
state = flash.attend_scores(state, torch.tensor([[-50.0]]), torch.tensor([[1000.0]]))
print(
    f"maximum {state.maximum.item():.3f}  total {state.total.item():.3f}  weighted sum {state.mixed.item():.3f}"
)

# %% [markdown] id="none-its-weight-is-e-50"
# None. Its weight is $e^{-50 - 1.39}$, so small that even its large value makes no difference. A key far below the maximum adds
# nothing and rescales nothing.
#
# Before the first key the state is empty. `flash.empty_state(queries, value_dim)` returns it: one maximum of −∞ and one total of 0
# for each query, and a row of `value_dim` zeros.

# %% id="empty-flash-empty-state-torch-zeros"
empty = flash.empty_state(torch.zeros(2, 4), value_dim=3)  # 2 queries of width 4, values of width 3
for name, part in empty._asdict().items():
    print(f"{name:8} shape {tuple(part.shape)}: {part.tolist()}")

# %% [markdown] id="build-it-2"
# ### Build it
# Update the state with one tile, for $t$ queries at once. `state` is the triple (maximum, total, mixed) with the shapes (t,),
# (t,) and (t, Dv); `scores` is (t, s) and `v` is (s, Dv). Return the new triple. The scores of keys that are masked are −∞. A query
# for which every key so far is masked keeps the empty state, without `nan`.


# %% id="flash_attention.update"
@exercise("flash_attention.update")
def attend_scores(state, scores, v):
    """Return (maximum, total, mixed) after a tile of scores (t, s) and values (s, Dv)."""
    ...


# %% id="reveal-flash-attention-update"
reveal("flash_attention.update")

# %% [markdown] id="note-where-the-sum-stands-sum"
# Note that $\sum_j e^{s_j - m'} v_j$ is the matrix product of weights and values: each value is multiplied by *its own* weight.
#
# After the last tile comes the only division. Together with the output we keep one number that the backward pass needs, the
# **logsumexp** of the row, $L = \log \sum_j e^{s_j} = m + \log \ell$.
#
# ### Build it
# Return the pair (output, logsumexp) from the final state. A query that could read nothing gets zeros and −∞.


# %% id="flash_attention.finish"
@exercise("flash_attention.finish")
def finish(state):
    """Return (output, lse) from (maximum, total, mixed): shapes (t, Dv) and (t,)."""
    ...


# %% id="reveal-flash-attention-finish"
reveal("flash_attention.finish")

# %% [markdown] id="3-the-walk-over-the-tiles"
# ## 3 · The loop over the tiles
#
# Now the whole method. Cut the queries into blocks and the keys into blocks. Load one block of queries into fast memory, with an
# empty state. Load the blocks of keys and values one after the other and update the state with each. Divide at the end and
# write the output. Then go on to the next block of queries.
#
# The figure shows such a run, which counts its bytes. The left table is only an outline: no more of it exists at any time than
# the orange tile. Fast memory holds one tile of each tensor. On the right the standard method does the same work.

# %% id="explorers-flash-attention-tiling-step-8"
explorers.flash_attention.tiling(step=8)

# %% [markdown] id="the-same-under-a-causal-mask"
# The same under a causal mask, as an animation that also plays in a saved file. Tiles above the diagonal are skipped; section 4
# explains how.

# %% id="figures-flash-attention-tiling-animation-explore"
figures.flash_attention.tiling_animation(*explorers.flash_attention.counted_runs("causal"))

# %% [markdown] id="how-to-prove-a-negative"
# ### How to prove that no table was made
# It is easy to claim that no table was made. The course has a watch for it: it intercepts every PyTorch operation, sees every
# tensor that is returned, and records the largest. With a limit it stops the operation that reaches it.

# %% id="n-512"
n = 512
q, k, v = torch.randn(3, 1, 1, n, 16, generator=seeded(0)).to(device)
with flash.Watch() as standard:
    attention.scaled_dot_product_attention(q, k, v)
with flash.Watch() as tiled:
    flash.tiled_attention(q, k, v, query_block=64, key_block=64)
print(f"standard: the largest tensor has {standard.largest} numbers = {n} x {n}")
print(f"tiled:    the largest tensor has {tiled.largest} numbers, made by {tiled.operation}")

# %% [markdown] id="predict-the-text-becomes-twice-as"
# > **Predict.** The text becomes twice as long, with the same tiles. By what factor does each of the two numbers grow?

# %% id="longer-torch-randn-3-1-1"
longer = torch.randn(3, 1, 1, 2 * n, 16, generator=seeded(1)).to(device)
with flash.Watch() as standard_longer:
    attention.scaled_dot_product_attention(*longer)
with flash.Watch() as tiled_longer:
    flash.tiled_attention(*longer, query_block=64, key_block=64)
print(f"standard: x {standard_longer.largest / standard.largest:.0f}")
print(
    f"tiled:    x {tiled_longer.largest / tiled.largest:.0f}, {tiled_longer.shape}: {tiled_longer.operation}"
)

# %% [markdown] id="the-table-grows-with-the-square"
# The table grows with the square of the length. The tiled form makes nothing larger than its output, which `new_empty` sets aside, and
# its tiles, so its memory grows in proportion to the length.

# %% [markdown] id="build-it-3"
# ### Build it
# Now assemble it: attention for one head, without a mask, with scores divided by $\sqrt D$. `q` is (T, D), `k` is (S, D) and `v` is
# (S, Dv); return (T, Dv) with the dtype and device of `q`. T and S need not be multiples of the blocks. Use the pieces that you built, or
# the library's (`flash.empty_state`, `flash.attend_scores`, `flash.finish`).
#
# The check runs your function under the watch. A tensor of T·S numbers fails, and so does a matrix product larger than a tile, a
# list of all tiles, or a fused attention function.


# %% id="flash_attention.tiled"
@exercise("flash_attention.tiled")
def attend_in_blocks(q, k, v, query_block, key_block):
    """Return softmax(q @ k.T / sqrt(D)) @ v from tiles; q is (T, D), k (S, D), v (S, Dv)."""
    ...


# %% id="reveal-flash-attention-tiled"
reveal("flash_attention.tiled")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The library's full version takes batches, heads, shared keys (GQA), masks and any lengths. Compared with PyTorch's own, for
# lengths that are not multiples of the blocks (on the CPU, since not every GPU computes in float64):

# %% id="q-torch-randn-2-8-1000"
q = torch.randn(2, 8, 1000, 64, generator=seeded(2), dtype=torch.float64)
k, v = torch.randn(2, 2, 2, 1017, 64, generator=seeded(3), dtype=torch.float64)
ours = flash.tiled_attention(q, k, v, query_block=96, key_block=128)
theirs = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
print("largest difference < 1e-14:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="4-tiles-that-are-never-visited"
# ## 4 · Skipping tiles
#
# Under a causal mask, a token reads only itself and what came before. A tile above the diagonal allows nothing, so it is skipped:
# it is not loaded, not computed, not masked. Tiles below the diagonal allow everything and need no mask at all. Only tiles *on*
# the diagonal compare positions one by one. For this the mask must be a **rule** on positions; a boolean table would be as large
# as the one that we avoid.
#
# > **Predict.** 4096 tokens in tiles of 256 by 256: 16 by 16 tiles. How many are visited under a causal mask, and how many of
# > them need a mask?

# %% id="tiling-flash-tiling-4096-4096-256"
tiling = flash.Tiling(4096, 4096, 256, 256, flash.CAUSAL)
visited = [(rows, cols) for rows in tiling.query_tiles() for cols in tiling.key_tiles(rows)]
masked = [pair for pair in visited if tiling.allowed(*pair) is not None]
print(f"{len(visited)} of {16 * 16} tiles visited, {len(masked)} of them with a mask")

# %% [markdown] id="16-cdot-17-2-136-a"
# $16 \cdot 17 / 2 = 136$: a little more than half, and closer to half the longer the text. The other masks of notebook
# [Attention](05_attention.ipynb) are rules too. A tile is visited unless its first key comes after its last query, or its last key
# before the window of its first query; a tile with keys of a prefix is always visited. A sliding window leaves a band of tiles, so the
# number of tiles grows only in proportion to the length:

# %% id="for-name-reach-in"
for name, reach in {
    "causal": flash.CAUSAL,
    "window of 512": flash.Reach(window=512),
    "prefix of 1024": flash.Reach(causal=True, prefix=1024),
}.items():
    tiling = flash.Tiling(4096, 4096, 256, 256, reach)
    count = sum(len(list(tiling.key_tiles(rows))) for rows in tiling.query_tiles())
    print(f"{name:14} {count:3} of 256 tiles")

# %% id="q-k-v-torch-randn-3"
q, k, v = torch.randn(3, 1, 2, 300, 32, generator=seeded(4), dtype=torch.float64)
for reach, mask in (
    (flash.CAUSAL, attention.causal_mask(300)),
    (flash.Reach(window=40), attention.sliding_window_mask(300, window=40)),
    (flash.Reach(causal=True, prefix=70), attention.prefix_mask(300, prefix=70)),
):
    ours = flash.tiled_attention(q, k, v, reach=reach, query_block=64, key_block=64)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    print("agrees with a table of booleans:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="5-counting-bytes"
# ## 5 · Counting bytes
#
# Queries are loaded once. Keys and values are loaded again for **each block of queries**, since they do not all fit into fast
# memory. With blocks of $B$ queries and $b$ bytes for each number, the tiled method moves
#
# $$b \left( 2\,T D \;+\; \left\lceil\frac{T}{B}\right\rceil \cdot 2\,S D \right) + 4\,T \quad\text{bytes:}$$
#
# queries and output once, keys and values once for each block, and one logsumexp for each query, which is float32 (4 bytes) even if
# the inputs are bfloat16. By hand, for 4 queries and keys of width 2 in float32, in blocks of 2:
# $4 \cdot (16 + 2 \cdot 16) + 16 =$ **208 bytes** instead of 384.
#
# ### Build it
# The same count as a function, for one head without a mask. The number of queries need not be a multiple of `query_block`.


# %% id="flash_attention.tiled_bytes"
@exercise("flash_attention.tiled_bytes")
def tiled_bytes(queries, keys, head_dim, query_block, bytes_per_number=4):
    """Return the bytes that the tiled method moves for one head, without a mask."""
    ...


# %% id="reveal-flash-attention-tiled-bytes"
reveal("flash_attention.tiled_bytes")

# %% [markdown] id="a-formula-is-a-claim-so"
# (The library's function can also count under a causal mask; hence its other two arguments.) Is the formula right? Run the real
# loop on a memory object that counts every tile that is loaded or written:

# %% id="q-k-v-torch-randn-3-2"
q, k, v = torch.randn(3, 96, 16, generator=seeded(5))
for block in (8, 32, 96):
    run = flash.metered_tiled_attention(q, k, v, query_block=block, key_block=16)
    formula = flash.tiled_bytes(96, 96, 16, block)
    print(
        f"blocks of {block:2}: counted {run.bytes_moved:6}, formula {formula:6}, equal: {run.bytes_moved == formula}"
    )
run = flash.metered_standard_attention(q, k, v, query_block=32)
formula = flash.standard_bytes(96, 96, 16)
print(
    f"standard:     counted {run.bytes_moved:6}, formula {formula:6}, equal: {run.bytes_moved == formula}"
)

# %% [markdown] id="the-larger-the-block-of-queries"
# The larger the block of queries, the fewer bytes. Its size is limited by fast memory. The counted run has a capacity and raises an
# error when the tiles exceed it:

# %% id="try"
try:
    flash.metered_tiled_attention(q, k, v, query_block=96, key_block=16, capacity=16 * 1024)
except ValueError as too_large:
    print(too_large)

# %% [markdown] id="build-it-4"
# ### Build it
# What is the largest number of queries in a block? Fast memory must hold the queries and their weighted sums (`head_dim` numbers
# each), the keys and values of one tile, the scores of the tile, and a maximum and a total for each query. By hand: 208 bytes are 52
# numbers. Width 2, 3 keys in a tile: keys and values take 12. Each query takes $2 + 2 + 3 + 2 = 9$. Of the remaining 40, **4**
# queries fit.


# %% id="flash_attention.query_block"
@exercise("flash_attention.query_block")
def largest_query_block(capacity, head_dim, key_block, bytes_per_number=4):
    """Return the largest number of queries whose tiles fit into `capacity` bytes."""
    ...


# %% id="reveal-flash-attention-query-block"
reveal("flash_attention.query_block")

# %% [markdown] id="play-with-it"
# ### Play with it
# Change the size of fast memory, for 8192 tokens in bfloat16 and tiles of 16 keys. The left panel shows how the queries are cut into
# blocks (the 16-key cuts are too fine to draw), the right one how much is moved. On logarithmic axes the
# curve is close to a straight line above 16 KiB: twice the memory, half the bytes. Below, the keys and values of a tile leave little
# room for queries, and the curve bends up. With a *very* small memory, tiling moves more than the standard method.

# %% id="explorers-flash-attention-fast-memory-kib"
explorers.flash_attention.fast_memory(kib=128)

# %% [markdown] id="6-backward-without-the-table"
# ## 6 · Backward without the table
#
# The gradient needs the weights, and the table of weights was never stored. So compute each tile of it a second time. With the
# saved logsumexp this needs no maximum and no sum:
#
# $$p_{ij} = e^{s_{ij} - L_i}$$
#
# Let $g_i$ be the gradient of the loss at the output $o_i = \sum_j p_{ij} v_j$. Three steps of the chain rule give the rest:
#
# 1. Value $v_j$ enters each output with the weight $p_{ij}$, so $dv_j = \sum_i p_{ij}\, g_i$.
# 2. The gradient at the weight $p_{ij}$ is $g_i \cdot v_j$. Through softmax (notebook [Softmax](04_softmax.ipynb), section 6) it
#    becomes $ds_{ij} = p_{ij} \big(g_i \cdot v_j - \delta_i\big)$ with $\delta_i = \sum_k p_{ik}\, (g_i \cdot v_k)$.
# 3. The score is $s_{ij} = q_i \cdot k_j / \sqrt D$, so $dq_i = \sum_j ds_{ij}\, k_j / \sqrt D$ and
#    $dk_j = \sum_i ds_{ij}\, q_i / \sqrt D$.
#
# Only $\delta_i$ sums over the whole row. But $\sum_k p_{ik}\, (g_i \cdot v_k) = g_i \cdot \sum_k p_{ik} v_k = g_i \cdot o_i$,
# which the output gives us before the loop starts.
#
# By hand: one query, two keys with weights ¼ and ¾ and values 4 and 8, so $o = 7$. With $g = 1$: $dv =$ (**¼, ¾**), $\delta = 7$, and
# $ds = (¼ \cdot (4 - 7),\; ¾ \cdot (8 - 7)) =$ (**−0.75, 0.75**).
#
# > **Predict.** What must be kept from the forward pass, for $n$ tokens of one head: numbers in proportion to $n$, or to $n^2$?

# %% id="scores-torch-tensor-1-0-3"
scores = torch.tensor([0.0, math.log(3)], requires_grad=True)
values = torch.tensor([4.0, 8.0], requires_grad=True)
output = torch.softmax(scores, -1) @ values
ds, dv = torch.autograd.grad(output, (scores, values))
print("weights from the logsumexp:", rounded((scores - scores.logsumexp(-1)).exp().detach()))
print("output", rounded(output.detach()), " dv", rounded(dv), " ds", rounded(ds))

# %% [markdown] id="in-proportion-to-n-q-k"
# These are the numbers found by hand. What must be kept grows in proportion to $n$: $q$, $k$, $v$, the output, and one logsumexp for
# each query.
#
# ### Build it
# Write the backward pass for one tile. `q` (t, D) are some queries, `k` (s, D) and `v` (s, Dv) some of the keys and values. For the same
# queries, `grad` (t, Dv) is the gradient of the output, `output` (t, Dv) the output and `lse` (t,) the logsumexp, both over **all** keys.
# Scores are `q @ k.T * scale`, without a mask. Return the contributions of this tile, (dq, dk, dv), with the shapes of q, k and v.


# %% id="flash_attention.backward_tile"
@exercise("flash_attention.backward_tile")
def backward_tile(q, k, v, grad, output, lse, scale):
    """Return what one tile adds to the gradients of q, k and v."""
    ...


# %% id="reveal-flash-attention-backward-tile"
reveal("flash_attention.backward_tile")

# %% [markdown] id="the-whole-backward-pass-is-a"
# The whole backward pass is a double loop that adds up these contributions. The watch sees the backward pass too:

# %% id="n-400"
n = 400
q, k, v = (
    torch.randn(1, 1, n, 16, generator=seeded(i)).double().requires_grad_() for i in range(3)
)
with flash.Watch(limit=n * n) as watch:
    output = flash.tiled_attention(q, k, v, reach=flash.CAUSAL, query_block=64, key_block=64)
    ours = torch.autograd.grad(output.sin().sum(), (q, k, v))
print(f"largest tensor, forward and backward: {watch.largest} numbers; the table has {n * n}")
expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
theirs = torch.autograd.grad(expected.sin().sum(), (q, k, v))
print(
    "gradients agree:",
    all((a - b).abs().max().item() < 1e-13 for a, b in zip(ours, theirs, strict=True)),
)

# %% [markdown] id="the-library-s-version-also-handles"
# The library's version also handles masks, shared keys and the gradient of the logsumexp. Its inner loop is the function that you wrote:

# %% id="reveal-flash-backward-tiles"
reveal(flash.backward_tiles)

# %% [markdown] id="7-parts-that-are-joined"
# ## 7 · Joining parts
#
# While a model generates, there is one query and a long past. One query is one block: a single worker would loop over all the keys
# while the rest of the device is idle. So cut the *keys* into parts, let a different worker read each part, and join the results. A
# part needs to return only its output and its logsumexp, since $e^{L}$ is the total weight of the part:
#
# $$L = \log \sum_i e^{L_i} \qquad o = \sum_i e^{L_i - L}\, o_i$$
#
# By hand: two parts with outputs 2 and 10 and logsumexps 0 and $\ln 3$. The weights are 1 and 3, the output is
# $(1 \cdot 2 + 3 \cdot 10)/4 =$ **8**, the logsumexp $\ln 4 = 1.386$.

# %% id="output-lse-flash-join-parts"
output, lse = flash.join_parts(
    torch.tensor([[[2.0]], [[10.0]]]), torch.tensor([[0.0], [math.log(3)]])
)
print(f"output {output.item():.3f}  logsumexp {lse.item():.3f}")

# %% [markdown] id="build-it-5"
# ### Build it
# `outputs` has shape (P, t, Dv) and `lses` (P, t), for P parts. Return the pair (output, lse) with the shapes (t, Dv) and (t,). A part in
# which a query could read nothing has the logsumexp −∞; if all parts are like that, return zeros and −∞.


# %% id="flash_attention.join"
@exercise("flash_attention.join")
def join_parts(outputs, lses):
    """Return (output, lse) over all keys from parts: outputs (P, t, Dv), lses (P, t)."""
    ...


# %% id="reveal-flash-attention-join"
reveal("flash_attention.join")

# %% [markdown] id="predict-a-query-reads-10-000"
# > **Predict.** A query reads 10 000 keys in 7 parts that were computed separately. How far is the joined result from the direct one?

# %% id="q-torch-randn-1-8-1"
q = torch.randn(1, 8, 1, 64, generator=seeded(6), dtype=torch.float64)
k, v = torch.randn(2, 1, 2, 10_000, 64, generator=seeded(7), dtype=torch.float64)
ours = flash.split_attention(q, k, v, parts=7)
theirs = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
print("largest difference < 1e-14:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="the-mean-of-the-parts-which"
# It may seem natural to take the mean of the parts' outputs. But the parts do not hold equal weight:

# %% id="pieces-zip-k-tensor-split-7"
pieces = zip(k.tensor_split(7, dim=2), v.tensor_split(7, dim=2), strict=True)
outputs = torch.stack([flash.tiled_attention(q, *piece) for piece in pieces])
error = (outputs.mean(0) - theirs).norm() / theirs.norm()
print(f"the plain mean is off by {100 * error.item():.0f} % of the output's size")

# %% [markdown] id="8-the-kernel"
# ## 8 · The kernel
#
# In PyTorch, each operation reads its inputs from slow memory and writes its result there. So the loops above save memory on a GPU
# but no time. The tiles stay in fast memory only if the whole loop is *one* program. Triton is a language for such programs. You
# write a function in Python syntax that describes what one program does; it is compiled for the GPU, and thousands of copies run in
# parallel, each on its own block of queries.
#
# Without a GPU the same code runs in Triton's interpreter, which executes the programs with NumPy, one after the other. Where
# Triton is not available at all, the next cells print a message, and everything else still works.

# %% tags=["nbval-ignore-output"] id="trouble-flash-kernel-trouble"
trouble = flash.kernel_trouble()
if trouble is None:
    import triton.language as tl

    from course_lib.flash import fused, kernel
print(trouble or f"Triton runs; kernels are {'interpreted' if fused.INTERPRETED else 'compiled'}")

# %% [markdown] id="a-first-kernel"
# ### A first kernel
# Here is a complete one: the maximum of each row of a table. It shows the five things that every Triton kernel uses.
#
# - **Programs.** `@kernel.jit` makes a kernel of the function, compiled or interpreted. `row_maxima[(T,)](...)` starts T programs. Each
#   asks `tl.program_id(0)` for its own number and works on that row.
# - **Pointers.** `X` is not a tensor but the address of its first number. `X + row * S + cols` is a block of addresses.
# - **Blocks.** `tl.arange(0, BLOCK)` is a vector, and arithmetic applies to the whole block, as in NumPy. Its length is a power of two.
# - **Masked loads.** The row has S numbers and the block more. `mask` says which addresses to read, `other` what to use elsewhere.
# - **Compile-time constants.** Arguments marked `tl.constexpr` are known when the kernel is compiled, so a branch on one costs nothing
#   at run time. The shape of a block must be such a constant.

# %% tags=["nbval-ignore-output"] id="if-trouble-is-none-2"
if trouble is None:

    @kernel.jit
    def row_maxima(X, OUT, S, BLOCK: tl.constexpr):
        row = tl.program_id(0)
        cols = tl.arange(0, BLOCK)
        x = tl.load(X + row * S + cols, mask=cols < S, other=-float("inf"))
        tl.store(OUT + row, kernel.row_max(x, 0))

    x = torch.randn(3, 5, generator=seeded(12)).to("cpu" if fused.INTERPRETED else "cuda")
    maxima = torch.empty(3, device=x.device)
    row_maxima[(3,)](x, maxima, 5, BLOCK=8)
    print("agrees with torch:", torch.equal(maxima, x.amax(-1)))

# %% [markdown] id="two-functions-are-the-heart-of"
# ### The inner loop of FlashAttention
# One program has one tile of queries of one head. Its inner loop goes over the keys: your exercise of section 2, inside the loop of
# section 3. Now you write it in Triton. These are the pieces that you need:
#
# | in Triton | what it does |
# |---|---|
# | `start + tl.arange(0, BLOCK_S)` | the numbers of the keys in a tile, `cols` |
# | `kernel.load_tile(K, cols, S, D, True)` | a masked load: the rows `cols` of a table (S, D); rows from S on are zeros |
# | `tl.dot(a, b, input_precision="ieee")` | the matrix product of two tiles, summed in float32; both must have the same dtype |
# | `tl.trans(k)` | the transposed tile |
# | `tl.where(allowed, scores, -float("inf"))` | scores where `allowed` is true, −∞ elsewhere |
# | `kernel.row_max(x, 1)`, `kernel.row_sum(x, 1)` | the maximum and the sum of each row |
# | `tl.maximum(a, b)`, `tl.exp2(x)`, `x.to(v.dtype)` | the larger of two, $2^x$, a conversion |
#
# (`ieee` keeps full precision in float32, where a GPU would otherwise round the factors.)
#
# GPUs have an instruction for $2^x$, so exponents have base 2: $e^{s} = 2^{s \log_2 e}$. The argument `scale` is
# $\log_2 e / \sqrt D$. A score $q \cdot k$ times `scale` is the exponent, and the maximum $m$ is the largest *exponent*. By hand,
# for D = 64: `scale` is $1.4427 / 8 = 0.1803$. A product $q \cdot k = 16$ has the exponent 2.885, and $2^{2.885} = 7.389 = e^{16/8}$.

# %% [markdown] id="build-it-the-leg"
# ### Build it
# `acc` (BLOCK_T, D), `m` and `total` (BLOCK_T,) are the weighted sum, the maximum and the total so far, `q` (BLOCK_T, D) the queries,
# and `positions` (BLOCK_T,) their positions. `K` and `V` are the addresses of two tables of S rows and D columns. Go from key `first` to
# `last` in steps of `BLOCK_S`; the last tile may reach past S. (Such a stretch of keys is called a leg here; a kernel may go through
# several, one after the other.) A query may read the keys up to its own position, itself included.
# Return (acc, m, total). Every query can read a key of the first tile, so −∞ − (−∞) cannot occur. Sums are float32 for any
# inputs; before the second product the weights are converted to the dtype of the values.
#
# The check puts your function into a small kernel. It is interpreted on a CPU and compiled on an NVIDIA GPU. Memory outside the
# tables is filled with nan. Where Triton is not installed, the check says so and skips the exercise.


# %% id="flash_attention.leg"
@exercise("flash_attention.leg")
def forward_leg(acc, m, total, q, K, V, first, last, positions, scale, S, D, BLOCK_S):
    """Return (acc, m, total) after the keys from `first` to `last`, in Triton."""
    ...


# %% id="reveal-flash-attention-leg"
reveal("flash_attention.leg")

# %% [markdown] id="the-librarys-leg"
# The library's own `forward_leg` does the same, with two refinements. Tiles without a mask are compiled separately from those with
# one (`MASKED`), so most tiles compare no positions. And `tl.dot` takes the rescaled `acc` as a third argument, to which it adds.

# %% tags=["nbval-ignore-output"] id="trouble-or-reveal-kernel-forward-leg"
trouble or reveal(kernel.forward_leg.fn)

# %% [markdown] id="forward-kernel-is-one-program-which"
# `forward_kernel` is one program: it determines its block of queries and how far to go without and with a mask, runs the two loops,
# and writes the result.

# %% tags=["nbval-ignore-output"] id="trouble-or-reveal-kernel-forward-kernel"
trouble or reveal(kernel.forward_kernel.fn)

# %% [markdown] id="predict-acc-m-and-total-are"
# > **Predict.** `acc`, `m` and `total` are never stored to memory inside the loop. Where are they kept? And to which tensors
# > does a program write at all?
#
# Run it, forward and backward, for lengths that are not multiples of a tile, with shared keys and a causal mask:

# %% tags=["nbval-ignore-output"] id="if-trouble-is-none"
if trouble is None:
    where = "cpu" if fused.INTERPRETED else "cuda"
    q = torch.randn(1, 4, 100, 64, generator=seeded(8)).to(where).requires_grad_()
    k, v = (
        torch.randn(1, 2, 130, 64, generator=seeded(i)).to(where).requires_grad_() for i in (9, 10)
    )
    ours = fused.fused_attention(q, k, v, causal=True)
    theirs = flash.tiled_attention(*(x.double() for x in (q, k, v)), reach=flash.CAUSAL)
    print("output agrees:   ", (ours - theirs).abs().max().item() < 1e-5)
    gradients = [torch.autograd.grad(x.sum(), (q, k, v)) for x in (ours, theirs)]
    pairs = zip(*gradients, strict=True)
    print("gradients agree: ", all((a - b).abs().max().item() < 1e-4 for a, b in pairs))

# %% [markdown] id="the-backward-kernels-course-lib-flash"
# `acc`, `m` and `total` are in the registers of the processor: the fast memory of section 1. A program writes its rows of `OUT` and of `LSE`,
# nothing else.
#
# There are two backward kernels (`course_lib/flash/kernel_backward.py`). One loops over the keys for each block of queries and
# computes $dq$; the other loops over the queries for each block of keys and computes $dk$ and $dv$. So no two programs write to the
# same address.
#
# The interpreter stores bfloat16 numbers as 16-bit integers, and its matrix product multiplies these integers, so its results are
# wrong for bfloat16. Compiled kernels do not have this problem. The library therefore converts bfloat16 to float32 before it calls the
# interpreter.

# %% [markdown] id="9-measured"
# ## 9 · Measured
#
# What does tiling cost and save in practice? First our tiled form against the standard one and PyTorch's own fused attention, here
# and now, on your device, for one length:

# %% tags=["nbval-ignore-output"] id="q-k-v-torch-randn-3-3"
import time

q, k, v = torch.randn(3, 1, 2, 2048, 64).to(device)
for name, attend in {
    "standard": attention.scaled_dot_product_attention,
    "tiled": flash.tiled_attention,
    "torch": F.scaled_dot_product_attention,
}.items():
    attend(q, k, v)  # the first call sets memory aside
    synchronize(device)
    start = time.perf_counter()
    attend(q, k, v)
    synchronize(device)
    print(f"{name:9} {1e3 * (time.perf_counter() - start):6.1f} ms")

# %% [markdown] id="then-from-a-longer-measurement-that"
# On a CPU the tiled form is usually faster than the standard one, although it is a Python loop: a tile of scores stays in the
# processor's cache, while the table has to go to main memory and back. On a GPU, at this length, it is much slower: each operation of the
# loop is a kernel of its own, too small to keep the device busy. There tiling pays only inside one kernel.
#
# Next, a longer measurement on a CPU that is stored with the course. Both axes are logarithmic, so the slope is the power of $n$: time
# grows with the square for all, memory with the square only for the standard method.

# %% tags=["nbval-ignore-output"] id="measured-stored-flash-attention-cpu"
measured = stored_benchmark("flash_attention", "cpu")
if measured is None:
    print("No CPU measurement is stored; `python -m benchmarks.flash_attention` makes one.")
else:
    print(taken_on(measured))
    show(figures.flash_attention.curves([row for row in measured["rows"] if row.get("heads") == 1]))

# %% [markdown] id="and-on-a-gpu-in-tflop"
# On a GPU, in TFLOP/s, compared with every backend of PyTorch's attention and with FlexAttention, PyTorch's compiler for attention
# with a mask that you write as a function:

# %% tags=["nbval-ignore-output"] id="measured-stored-flash-attention-gpu"
measured = stored_benchmark("flash_attention", "gpu")
if measured is None:
    print("No GPU measurement is stored yet; on a machine with one, run")
    print("  python -m benchmarks.flash_attention_gpu")
else:
    print(taken_on(measured))
    rows = [row for row in measured["rows"] if "contestant" in row]
    for direction in ("forward", "forward and backward"):
        show(figures.flash_attention.throughput(rows, 128, True, direction))

# %% [markdown] id="10-claims-that-are-wrong"
# ## 10 · Claims that are wrong
#
# > *"The accumulator is updated by acc ← e^(m−m′) · acc + (Σ e^(s−m′)) · v."*
#
# This formula can be found in notes and posts, with the sum outside the product. Then every value of the tile would get the same
# weight.

# %% id="scores-torch-tensor-2-0-0"
scores = torch.tensor([[2.0, 0.0]])
v = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
weights = (scores - scores.max()).exp()
claimed = weights.sum(-1, keepdim=True) * v.sum(0) / weights.sum(-1, keepdim=True)
print("claimed: ", rounded(claimed))
print("computed:", rounded(torch.softmax(scores, -1) @ v))

# %% [markdown] id="the-claim-gives-both-features-the"
# The claim gives both features the full weight 1, as if each of the two tokens had all the attention. Its outputs are not averages of the
# values.
#
# > *"FlashAttention reduces FLOPs."*
#
# PyTorch can count the FLOPs of the matrix products that are executed:

# %% id="n-width-256-32"
from torch.utils.flop_counter import FlopCounterMode

n, width = 256, 32
given = [
    torch.randn(1, 1, n, width, generator=seeded(i)).to(device).requires_grad_() for i in range(3)
]
for name, attend in (
    ("standard", attention.scaled_dot_product_attention),
    ("tiled", lambda *x: flash.tiled_attention(*x, query_block=64, key_block=64)),
):
    with FlopCounterMode(display=False) as counted:
        output = attend(*given)
        forward = counted.get_total_flops()
        output.sum().backward()
    both, unit = counted.get_total_flops(), 2 * n * n * width
    print(f"{name:9} products of n x n x D: forward {forward / unit:.0f}, both {both / unit:.0f}")

# %% [markdown] id="the-same-forward-and-more-with"
# The same in the forward pass, and **more** with the backward pass: 7 products instead of 6, since the scores are computed twice. (The
# rescaling comes on top; it is not a matrix product and not counted here.) It is faster because it moves fewer bytes.
#
# > *"It is approximate."*

# %% id="q-k-v-torch-randn-3-4"
q, k, v = torch.randn(3, 1, 1, 50, 64, generator=seeded(11), dtype=torch.float64)
exact = attention.scaled_dot_product_attention(q, k, v)
for block in (1, 7, 50):
    ours = flash.tiled_attention(q, k, v, query_block=block, key_block=block)
    gap = (ours - exact).abs().max().item()
    print(f"blocks of {block:2}: largest difference in float64 < 1e-14: {gap < 1e-14}")

# %% [markdown] id="rescaling-is-an-identity-the-sums"
# Rescaling is an identity. The sums are the same, added in a different order, and the difference is the rounding of float64. Methods
# that drop keys are approximate; FlashAttention drops none.

# %% [markdown] id="key-tiles-returns-the-tiles-that"
# ## Further: which tiles are visited
#
# The library's `key_tiles` returns the tiles of section 4 that are visited. It calls `_touched`, which compares only the first and
# last positions of the tile: a tile is visited if its first key is not after the last query, and its last key is not before the window
# of the first query. Keys of the prefix, which every query may read, are always visited.

# %% id="reveal-flash-tiling-key-tiles"
reveal(flash.Tiling.key_tiles)

# %% id="reveal-flash-tiling-touched"
reveal(flash.Tiling._touched)

# %% [markdown] id="under-the-roofline"
# ## Further: under the roofline
#
# Fewer bytes for the same FLOPs: the point moves to the right, towards the ridge where arithmetic becomes the limit. Fast memory holds
# 128 KiB here, the numbers are bfloat16, and the tiles have 16 keys. Choose a
# short text, or a device with little bandwidth, and see how much is left to gain.

# %% id="explorers-flash-attention-roofline-points"
explorers.flash_attention.roofline_points()

# %% [markdown] id="this-counts-every-fetch-from-slow"
# For a head width of 128 the tiled point stays left of the ridge of an H100, because this count takes every load of keys from slow memory.
# Real devices have a cache in between, which serves many of the repeated loads, so in practice the point lies further to the right. The
# cache does not help the standard method: its table is too large.

# %% [markdown] id="the-theorem-by-a-fit"
# ## Further: the theorem, by a fit
#
# Fast memory of $M$ numbers holds blocks of about $M/D$ queries. So all keys are read $n D/M$ times, which makes
# $\Theta(n^2 D^2 / M)$ numbers, against $\Theta(nD + n^2)$ of the standard method (Dao et al. 2022, Theorem 2; Θ leaves out constant
# factors, and $M$ lies between $D$ and $nD$). Do the counts agree with the three exponents? The key tiles have $D/8$ keys.


# %% id="moved"
def moved(n, width, capacity):
    block = flash.largest_query_block(capacity, width, width // 8)
    return flash.tiled_bytes(n, n, width, block)


def slope(sizes, counts):
    return math.log(counts[-1] / counts[0]) / math.log(sizes[-1] / sizes[0])


n, width, capacity = [2**14, 2**17], [32, 128], [2**17, 2**19]
print("exponent of n:", round(slope(n, [moved(x, 64, 2**17) for x in n]), 1))
print("exponent of D:", round(slope(width, [moved(2**17, x, 2**18) for x in width]), 1))
print("exponent of M:", round(slope(capacity, [moved(2**17, 64, x) for x in capacity]), 1))

# %% [markdown] id="recap"
# ## Recap
#
# 1. Attention in three steps moves the table of scores four times through slow memory, with few FLOPs for each byte. That is what
#    makes it slow.
# 2. For each query, keep a maximum, a total and a weighted sum of values. Both sums are measured from the maximum and shrink by
#    $e^{m-m'}$ when it grows; the only division comes last.
# 3. Keys are loaded once for each block of queries, so a larger fast memory means fewer bytes: twice the memory, about half of them.
# 4. The backward pass keeps one logsumexp for each query and recomputes each tile of weights: more FLOPs, less traffic, the exact
#    gradient. The row sum that softmax needs is $g_i \cdot o_i$.
# 5. Parts of a row are joined by their logsumexps, in any order; tiles that a mask forbids are skipped.
#
# ### Test yourself

# %% id="quiz-flash-attention"
quiz("flash_attention")

# %% [markdown] id="papers"
# ### Papers
# - Dao, Fu, Ermon, Rudra & Ré 2022, *FlashAttention: Fast and memory-efficient exact attention with IO-awareness*, arXiv:2205.14135.
# - Dao 2023, *FlashAttention-2: Faster attention with better parallelism and work partitioning*, arXiv:2307.08691.
# - Rabe & Staats 2021, *Self-attention does not need O(n²) memory*, arXiv:2112.05682.
# - Milakov & Gimelshein 2018, *Online normalizer calculation for softmax*, arXiv:1805.02867.
# - Tillet, Kung & Cox 2019, *Triton: An intermediate language and compiler for tiled neural network computations*,
#   doi:10.1145/3315508.3329973.
# - Shah et al. 2024, *FlashAttention-3*, arXiv:2407.08608, on using the newest hardware fully.
#
# **Next:** [Training](11_training.ipynb), where text becomes weights.
