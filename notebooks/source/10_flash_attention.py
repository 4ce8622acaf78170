# %% [markdown] id="10-flashattention"
# # 10 · FlashAttention
#
# **How can exact attention run without ever writing the n × n matrix?**
#
# Attention compares every token with every other. Written down, the scores of a long text are a table that is larger than
# the model, and it is the writing and reading of this table, not the arithmetic, that makes attention slow. In this notebook
# you compute the same result without the table: in tiles, with the running maximum and sum of notebook [Softmax](04_softmax.ipynb). You watch
# every allocation to prove it, count every byte that it saves, and end in a kernel, a program for the GPU, that you can read from top to bottom.
#
# After this notebook you can
# - say why attention is bound by memory traffic, and compute the bytes that the standard and the tiled method move;
# - write the tiled forward pass, with ragged tails and skipped tiles, and show that no table was made;
# - explain how the backward pass gets by with one saved number for each query;
# - join parts of a row that were computed apart, as flash-decoding does;
# - read a Triton kernel for all of this, and choose its tiles for a given fast memory.
#
# About 100 minutes. You need notebooks [Softmax](04_softmax.ipynb) and [Attention](05_attention.ipynb); nothing is downloaded. A GPU is welcome and not needed.

# %% id="imports"
import math

import torch
import torch.nn.functional as F

from course_lib import attention, flash
from course_lib.accounting import DEVICES, ridge_intensity
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits.stored_benchmarks import stored_benchmark, taken_on

# %% [markdown] id="1-two-memories"
# ## 1 · Two memories
#
# A GPU has two kinds of memory. The large one, of tens of gigabytes, is slow; it is called HBM (high-bandwidth memory, slow all the same), and all tensors live there.
# The small one sits beside each processor, holds about as much as a picture on a web page, and is many times faster (SRAM: registers
# and shared memory). Arithmetic happens only on what has been fetched into the small one. So a step has two costs,
# FLOPs and bytes, and takes as long as the slower of the two.
#
# How many FLOPs must a device do for each byte, if it is not to wait for its memory? Divide its two speeds (notebook [Counting parameters](09_parameter_counting.ipynb)):

# %% id="for-device-in-devices-values"
for device in DEVICES.values():
    ridge = ridge_intensity(device.peak_flops, device.bandwidth)
    print(f"{device.name:11} {ridge:4.0f} FLOPs for each byte")

# %% [markdown] id="now-take-attention-as-notebook-05"
# Now take attention as notebook [Attention](05_attention.ipynb) wrote it, in three steps, for one head with $T$ queries, $S$ keys and width $D$:
#
# 1. read $q$ and $k$, write the scores $s = q k^\top / \sqrt D$, a table of $T \times S$ numbers;
# 2. read the scores, write the weights $p = \operatorname{softmax}(s)$, another such table;
# 3. read the weights and $v$, write the output $p\,v$.
#
# > **Predict.** A text of 32 768 tokens, 32 heads, two bytes for each number. How much memory does the table of scores of *one layer*
# > take: 64 MB, 2 GB or 64 GB?

# %% id="n-heads-width-32-768-32"
n, heads, width = 32_768, 32, 128
table = 2 * n * n * heads
print(
    f"table: {table / 2**30:.0f} GiB;  q, k, v and output together: {4 * 2 * n * width * heads / 2**30:.0f} GiB"
)
device = DEVICES["H100 SXM"]
print(f"an H100 holds {device.memory / 2**30:.0f} GiB")
seconds = heads * flash.standard_bytes(n, n, width, 2) / device.bandwidth
flops = 4 * heads * n * n * width
print(
    f"moving it all takes {1e3 * seconds:.0f} ms, computing it {1e3 * flops / device.peak_flops:.0f} ms"
)

# %% [markdown] id="the-table-takes-most-of-the"
# The table takes most of the device, for one layer of one text. And the device would spend several times longer on moving it
# than on the two matrix products. Per byte moved, attention does few FLOPs: about $4 n^2 D$ FLOPs on $4 n^2$ numbers is $D$ for each
# number, whatever the length of the text.

# %% [markdown] id="build-it"
# ### Build it
# Count the bytes that the three steps move for one head. By hand, for 4 queries, 4 keys and width 2: $q$, $k$, $v$ and the
# output have 8 numbers each, the table 16, and it passes four times. $4 \cdot 8 + 4 \cdot 16 = 96$ numbers, **384 bytes** in float32.


# %% id="flash_attention.standard_bytes"
@exercise("flash_attention.standard_bytes")
def standard_bytes(queries, keys, head_dim, bytes_per_number=4):
    """Return the bytes that the standard method moves for one head."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run the cell twice.

# %% id="reveal-flash-attention-standard-bytes"
reveal("flash_attention.standard_bytes")

# %% [markdown] id="2-what-must-be-remembered"
# ## 2 · What must be remembered
#
# If the table must not be written, each of its tiles has to be used up on the spot and forgotten. What must be
# remembered of it? Notebook [Softmax](04_softmax.ipynb) answered this for softmax alone: a **maximum** $m$ and a **total** $\ell$, both of the keys read so far.
# For attention one thing more is carried along, the mixture of values, measured from the same maximum:
#
# $$m = \max_j s_j \qquad \ell = \sum_j e^{s_j - m} \qquad a = \sum_j e^{s_j - m}\, v_j$$
#
# At the end the output is $a / \ell$. When a tile brings scores $s_j$ with a larger maximum, everything that was summed up is too large by
# the same factor, and one multiplication mends it:
#
# $$m' = \max(m, \max_j s_j) \qquad \ell' = e^{m-m'} \ell + \sum_j e^{s_j-m'} \qquad a' = e^{m-m'} a + \sum_j e^{s_j-m'}\, v_j$$
#
# By hand. So far one key was read, with score 0 and value 6: $m = 0$, $\ell = 1$, $a = 6$. A tile brings two keys with
# scores $\ln 2$ and $\ln 4$ and values 3 and 9. The new maximum is $\ln 4$, and $e^{m - m'} = \tfrac14$. So $\ell' = \tfrac14 + \tfrac24 + 1 =$ **1.75** and
# $a' = \tfrac64 + \tfrac24 \cdot 3 + 9 =$ **12**. The output is $12 / 1.75 = 6.857$. Directly: weights 1, 2, 4 of 7, and $(6 + 2 \cdot 3 + 4 \cdot 9)/7 = 48/7$, the same.

# %% id="state-flash-attentionstate-torch-tensor-0"
state = flash.AttentionState(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor([[6.0]]))
scores = torch.tensor([[math.log(2), math.log(4)]])
state = flash.attend_scores(state, scores, torch.tensor([[3.0], [9.0]]))
print(
    f"maximum {state.maximum.item():.3f}  total {state.total.item():.3f}  mixture {state.mixed.item():.3f}"
)
print(f"output {(state.mixed / state.total[:, None]).item():.3f}")

# %% [markdown] id="predict-the-next-tile-brings-one"
# > **Predict.** The next tile brings one key with the score $-50$. Which of the three numbers change noticeably?

# %% id="state-flash-attend-scores-state-torch"
state = flash.attend_scores(state, torch.tensor([[-50.0]]), torch.tensor([[1000.0]]))
print(
    f"maximum {state.maximum.item():.3f}  total {state.total.item():.3f}  mixture {state.mixed.item():.3f}"
)

# %% [markdown] id="none-its-weight-is-e-50"
# None. Its weight is $e^{-50 - 1.39}$, even its large value does not show. A key far below the maximum so far adds nothing, and
# shrinks nothing.

# %% [markdown] id="build-it-2"
# ### Build it
# One tile more, for $t$ queries at once. The scores of a key that may not be read are −∞; one of the probes has a
# query that may read nothing yet.


# %% id="flash_attention.update"
@exercise("flash_attention.update")
def attend_scores(state, scores, v):
    """Return (maximum, total, mixed) after a tile of scores (t, s) and values (s, Dv)."""
    ...


# %% id="reveal-flash-attention-update"
reveal("flash_attention.update")

# %% [markdown] id="note-where-the-sum-stands-sum"
# Note where the sum stands: $\sum_j e^{s_j - m'} v_j$ is a matrix product of weights and values, with each value under *its own* weight.
#
# At the end of the row comes the only division. With it a number is kept that the backward pass will want, the
# **logsumexp** of the row, $L = \log \sum_j e^{s_j} = m + \log \ell$:


# %% id="flash_attention.finish"
@exercise("flash_attention.finish")
def finish(state):
    """Return (output, lse) from (maximum, total, mixed): shapes (t, Dv) and (t,)."""
    ...


# %% id="reveal-flash-attention-finish"
reveal("flash_attention.finish")

# %% [markdown] id="3-the-walk-over-the-tiles"
# ## 3 · The walk over the tiles
#
# Now the whole method. Cut the queries into blocks and the keys into blocks. Take a block of queries into fast memory with an
# empty state, let the blocks of keys and values pass by one after the other, update the state with each, divide at the end,
# write the output. Then the next block of queries.
#
# Here is such a walk, recorded by a run that counts its bytes. The left table is only an outline: no more of it exists at any
# time than the orange tile. Fast memory holds one tile of each kind. On the right the standard method does the same work.

# %% id="explorers-flash-attention-tiling-step-8"
explorers.flash_attention.tiling(step=8)

# %% [markdown] id="the-same-under-a-causal-mask"
# The same under a causal mask, as a film that also runs in a saved file. Tiles above the diagonal are left out; more on that in section 4.

# %% id="figures-flash-attention-tiling-animation-explore"
figures.flash_attention.tiling_animation(*explorers.flash_attention.counted_runs("causal"))

# %% [markdown] id="how-to-prove-a-negative"
# ### How to prove a negative
# That no table was made is easily claimed. The course has a watch for it: it stands between PyTorch and its
# kernels, sees every tensor that any operation returns, and remembers the largest. With a limit it stops the
# operation that reaches it.

# %% id="n-512"
n = 512
q, k, v = torch.randn(3, 1, 1, n, 16, generator=seeded(0))
with flash.Watch() as standard:
    attention.scaled_dot_product_attention(q, k, v)
with flash.Watch() as tiled:
    flash.tiled_attention(q, k, v, query_block=64, key_block=64)
print(f"standard: the largest tensor has {standard.largest} numbers = {n} x {n}")
print(f"tiled:    the largest tensor has {tiled.largest} numbers, made by {tiled.operation}")

# %% [markdown] id="predict-the-text-becomes-twice-as"
# > **Predict.** The text becomes twice as long, with the same tiles. By which factor does either number grow?

# %% id="longer-torch-randn-3-1-1"
longer = torch.randn(3, 1, 1, 2 * n, 16, generator=seeded(1))
with flash.Watch() as standard_longer:
    attention.scaled_dot_product_attention(*longer)
with flash.Watch() as tiled_longer:
    flash.tiled_attention(*longer, query_block=64, key_block=64)
print(f"standard: x {standard_longer.largest / standard.largest:.0f}")
print(
    f"tiled:    x {tiled_longer.largest / tiled.largest:.0f}, {tiled_longer.shape}: {tiled_longer.operation}"
)

# %% [markdown] id="the-table-grows-with-the-square"
# The table grows with the square. The tiled form makes nothing larger than its output and its tiles; its memory grows with the
# length, not with its square.

# %% [markdown] id="build-it-3"
# ### Build it
# The whole walk for one head, without a mask. Use the pieces you have built, or the library's (`flash.empty_state`,
# `flash.attend_scores`, `flash.finish`). The check runs your function under the watch: softmax attention under another name is
# caught, whole rows of scores are, and so is a fused function. Lengths need not be multiples of the blocks.


# %% id="flash_attention.tiled"
@exercise("flash_attention.tiled")
def attend_in_blocks(q, k, v, query_block, key_block):
    """Return softmax(q @ k.T / sqrt(D)) @ v from tiles; q is (T, D), k (S, D), v (S, Dv)."""
    ...


# %% id="reveal-flash-attention-tiled"
reveal("flash_attention.tiled")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The library's full version takes batches, heads, shared keys (GQA), masks and any lengths. Next to PyTorch's own, with lengths
# that fit no block:

# %% id="q-torch-randn-2-8-1000"
q = torch.randn(2, 8, 1000, 64, generator=seeded(2), dtype=torch.float64)
k, v = torch.randn(2, 2, 2, 1017, 64, generator=seeded(3), dtype=torch.float64)
ours = flash.tiled_attention(q, k, v, query_block=100, key_block=128)
theirs = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
print("largest difference < 1e-14:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="4-tiles-that-are-never-visited"
# ## 4 · Tiles that are never visited
#
# Under a causal mask, a token reads only what came before. A tile above the diagonal allows nothing, so it is skipped:
# not masked, not computed, not fetched. Tiles below the diagonal allow everything and need no mask at all. Only those *on* the diagonal
# look at positions one by one. For this the mask must be a **rule** on positions; a table of yes and no would be as large as
# the one we are avoiding.
#
# > **Predict.** 4096 tokens in tiles of 256 by 256: 16 by 16 tiles. How many are visited under a causal mask, and how many of them need a mask?

# %% id="tiling-flash-tiling-4096-4096-256"
tiling = flash.Tiling(4096, 4096, 256, 256, flash.CAUSAL)
visited = [(rows, cols) for rows in tiling.query_tiles() for cols in tiling.key_tiles(rows)]
masked = [pair for pair in visited if tiling.allowed(*pair) is not None]
print(f"{len(visited)} of {16 * 16} tiles visited, {len(masked)} of them with a mask")

# %% [markdown] id="16-cdot-17-2-136-a"
# $16 \cdot 17 / 2 = 136$: a little more than half, and the part above one half shrinks as the text grows. The other masks of notebook [Attention](05_attention.ipynb) are
# rules too. A sliding window leaves a band of tiles, whatever the length:

# %% id="for-name-reach-in"
for name, reach in {
    "causal": flash.CAUSAL,
    "window of 512": flash.Reach(window=512),
    "prefix of 1024": flash.Reach(causal=True, prefix=1024),
}.items():
    tiling = flash.Tiling(4096, 4096, 256, 256, reach)
    count = sum(len(list(tiling.key_tiles(rows))) for rows in tiling.query_tiles())
    print(f"{name:14} {count:3} of 256 tiles")

# %% id="reveal-flash-tiling-key-tiles"
reveal(flash.Tiling.key_tiles)

# %% id="q-k-v-torch-randn-3"
q, k, v = torch.randn(3, 1, 2, 300, 32, generator=seeded(4), dtype=torch.float64)
for reach, mask in (
    (flash.CAUSAL, attention.causal_mask(300)),
    (flash.Reach(window=40), attention.sliding_window_mask(300, window=40)),
    (flash.Reach(causal=True, prefix=70), attention.prefix_mask(300, prefix=70)),
):
    ours = flash.tiled_attention(q, k, v, reach=reach, query_block=64, key_block=64)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    print("as with the table of the mask:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="5-counting-bytes"
# ## 5 · Counting bytes
#
# Queries are fetched once. Keys and values are fetched again for **each block of queries**, since they do not all fit into fast memory. So
# with blocks of $B$ queries the tiled method moves
#
# $$2\,T D \;+\; \left\lceil\frac{T}{B}\right\rceil \cdot 2\,S D \;+\; T \quad\text{numbers:}$$
#
# queries and output, keys and values once for each block, and one logsumexp for each query. By hand, for 4 queries and keys of width 2 in
# blocks of 2: $16 + 2 \cdot 16 + 4 = 52$ numbers, **208 bytes** instead of 384.


# %% id="flash_attention.tiled_bytes"
@exercise("flash_attention.tiled_bytes")
def tiled_bytes(
    queries, keys, head_dim, query_block, key_block=1, causal=False, bytes_per_number=4
):
    """Return the bytes that the tiled method moves for one head, without a mask."""
    ...


# %% id="reveal-flash-attention-tiled-bytes"
reveal("flash_attention.tiled_bytes")

# %% [markdown] id="a-formula-is-a-claim-so"
# A formula is a claim. So run the real loop on memory that counts every tile that is fetched or written:

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
# The larger the block of queries, the fewer bytes. What stops you from making it as large as you like is the size of fast
# memory: the counted run has a capacity, and complains.

# %% id="try"
try:
    flash.metered_tiled_attention(q, k, v, query_block=96, key_block=16, capacity=16 * 1024)
except ValueError as too_large:
    print(too_large)

# %% [markdown] id="build-it-4"
# ### Build it
# How many queries may a block have, at most? Fast memory must hold the queries and their mixture, keys and values of one tile, the
# scores of the tile, and a maximum and a total for each query. By hand: 208 bytes are 52 numbers. Width 2, 3 keys to a tile: keys
# and values take 12. Each query takes $2 + 2 + 3 + 2 = 9$. Of the remaining 40, **4** queries fit.


# %% id="flash_attention.query_block"
@exercise("flash_attention.query_block")
def largest_query_block(capacity, head_dim, key_block, bytes_per_number=4):
    """Return the largest number of queries whose tiles fit into `capacity` bytes."""
    ...


# %% id="reveal-flash-attention-query-block"
reveal("flash_attention.query_block")

# %% [markdown] id="play-with-it"
# ### Play with it
# Change the size of fast memory. On the left, how the table is cut; on the right, what is moved. On logarithmic axes the curve falls as a straight
# line: twice the memory, half the bytes. With a *very* small one, tiling would move more than the standard method.

# %% id="explorers-flash-attention-fast-memory-kib"
explorers.flash_attention.fast_memory(kib=128)

# %% [markdown] id="the-theorem-by-a-fit"
# ### The theorem, by a fit
# Fast memory of $M$ numbers holds blocks of about $M/D$ queries. So all keys are read $n D/M$ times, which makes $\Theta(n^2 D^2 / M)$, against
# $\Theta(nD + n^2)$ of the standard method (Dao et al. 2022, Theorem 2; Θ leaves out constant factors, and $M$ lies between $D$ and
# $nD$, so that fast memory holds a row but not all keys). Let the counts confirm the three exponents. The size of key tiles is kept at $D/8$.


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

# %% [markdown] id="under-the-roofline"
# ### Under the roofline
# Fewer bytes for the same FLOPs: the point moves to the right, towards the flat part of the roof, where arithmetic is the limit and not the
# memory. Choose a short text, or a device with little bandwidth, and see what remains to be gained.

# %% id="explorers-flash-attention-roofline-points"
explorers.flash_attention.roofline_points()

# %% [markdown] id="this-counts-every-fetch-from-slow"
# This counts every fetch from slow memory. Real devices have a cache in between, which serves many of the repeated reads of keys, so the
# tiled point lies further to the right in practice. It does not help the standard method: its table is too large for the cache.

# %% [markdown] id="6-backward-without-the-table"
# ## 6 · Backward without the table
#
# The gradient needs the weights again, the table that was never kept. The way out is to compute each tile of it a second time. From
# the saved logsumexp, without looking for a maximum or a sum:
#
# $$p_{ij} = e^{s_{ij} - L_i}$$
#
# Then, tile by tile, with $g$ the gradient of the output $o$ (softmax's Jacobian from notebook [Softmax](04_softmax.ipynb), applied to each row):
#
# $$dv = p^\top g \qquad ds_{ij} = p_{ij}\,\big(g_i \cdot v_j - \delta_i\big) \qquad \delta_i = g_i \cdot o_i \qquad dq = ds\,k \qquad dk = ds^\top q$$
#
# (and $dq$, $dk$ times the scale $1/\sqrt D$). The row sum $\delta_i = \sum_j p_{ij}\, g_i \cdot v_j$ would need the whole row, but it equals $g_i \cdot o_i$, since $o_i = \sum_j p_{ij} v_j$.
#
# > **Predict.** What must be kept from the forward pass, for $n$ tokens of one head: numbers in proportion to $n$, or to $n^2$?

# %% id="scores-torch-tensor-1-0-3"
scores = torch.tensor([[1.0, 3.0, 2.0]])
lse = torch.logsumexp(scores, -1, keepdim=True)
print("from the logsumexp:", rounded((scores - lse).exp()))
print("from softmax:      ", rounded(torch.softmax(scores, -1)))

# %% [markdown] id="in-proportion-to-n-q-k"
# In proportion to $n$: $q$, $k$, $v$, the output, and one logsumexp for each query. The watch also sees the backward pass:

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

# %% id="reveal-flash-backward-tiles"
reveal(flash.backward_tiles)

# %% [markdown] id="7-parts-that-are-joined"
# ## 7 · Parts that are joined
#
# While a model writes, there is one query and a long past. One query is one block: a single worker would walk over all the keys while the rest
# of the device stands idle. So cut the *keys* into parts, let each part be read by another worker, and join what they
# found. A part needs to hand over only its output and its logsumexp, since $e^{L}$ is the weight that it stands for:
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


# %% id="flash_attention.join"
@exercise("flash_attention.join")
def join_parts(outputs, lses):
    """Return (output, lse) over all keys from parts: outputs (P, t, Dv), lses (P, t)."""
    ...


# %% id="reveal-flash-attention-join"
reveal("flash_attention.join")

# %% [markdown] id="predict-a-query-reads-10-000"
# > **Predict.** A query reads 10 000 keys in 7 parts that were computed apart. How far is the joined result from the direct one?

# %% id="q-torch-randn-1-8-1"
q = torch.randn(1, 8, 1, 64, generator=seeded(6), dtype=torch.float64)
k, v = torch.randn(2, 1, 2, 10_000, 64, generator=seeded(7), dtype=torch.float64)
ours = flash.split_attention(q, k, v, parts=7)
theirs = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
print("largest difference < 1e-14:", (ours - theirs).abs().max().item() < 1e-14)

# %% [markdown] id="the-mean-of-the-parts-which"
# The mean of the parts, which looks so natural, is another thing:

# %% id="pieces-zip-k-tensor-split-7"
pieces = zip(k.tensor_split(7, dim=2), v.tensor_split(7, dim=2), strict=True)
outputs = [flash.tiled_attention(q, *piece) for piece in pieces]
print("the plain mean is off by", rounded((torch.stack(outputs).mean(0) - theirs).abs().max()))

# %% [markdown] id="8-the-kernel"
# ## 8 · The kernel
#
# On a GPU, PyTorch's operations each go through slow memory, so the loops above save memory there but little time. The tiles stay
# in fast memory only if the whole walk is *one* program. In Triton you write what one such program does, in Python; thousands of
# them run side by side, each with its own block of queries.
#
# Without a GPU the same code runs in Triton's interpreter, which executes the programs with NumPy, one after the other. Where
# Triton does not exist at all, the next cells say so and everything else goes on.

# %% tags=["nbval-ignore-output"] id="trouble-flash-kernel-trouble"
trouble = flash.kernel_trouble()
if trouble is None:
    from course_lib.flash import fused, kernel
print(
    trouble or f"Triton is here; kernels are {'interpreted' if fused.INTERPRETED else 'compiled'}"
)

# %% [markdown] id="two-functions-are-the-heart-of"
# Two functions are the heart of it. `forward_leg` is your exercise of section 2 and the inner loop of section 3. It differs in
# three details: exponentials have the base 2 (GPUs have an instruction for that), the scale is multiplied in where it is needed,
# and tiles without a mask are compiled apart from those with one.

# %% tags=["nbval-ignore-output"] id="trouble-or-reveal-kernel-forward-leg"
trouble or reveal(kernel.forward_leg.fn)

# %% [markdown] id="forward-kernel-is-one-program-which"
# `forward_kernel` is one program: which block is mine, how far must I walk without and with a mask, what do I write at the end.

# %% tags=["nbval-ignore-output"] id="trouble-or-reveal-kernel-forward-kernel"
trouble or reveal(kernel.forward_kernel.fn)

# %% [markdown] id="predict-acc-m-and-total-are"
# > **Predict.** `acc`, `m` and `total` are never stored to memory inside the loop. Where do they live? And which two addresses does a
# > program write to at all?
#
# Run it, forward and backward, on a length that fits no tile, with shared keys and a causal mask:

# %% tags=["nbval-ignore-output"] id="if-trouble-is-none"
if trouble is None:
    device = "cpu" if fused.INTERPRETED else "cuda"
    q = torch.randn(1, 4, 100, 64, generator=seeded(8)).to(device).requires_grad_()
    k, v = (
        torch.randn(1, 2, 130, 64, generator=seeded(i)).to(device).requires_grad_() for i in (9, 10)
    )
    ours = fused.fused_attention(q, k, v, causal=True)
    theirs = flash.tiled_attention(*(x.double() for x in (q, k, v)), reach=flash.CAUSAL)
    print("output agrees:   ", (ours - theirs).abs().max().item() < 1e-5)
    gradients = [torch.autograd.grad(x.sum(), (q, k, v)) for x in (ours, theirs)]
    pairs = zip(*gradients, strict=True)
    print("gradients agree: ", all((a - b).abs().max().item() < 1e-4 for a, b in pairs))

# %% [markdown] id="the-backward-kernels-course-lib-flash"
# The three are registers of the processor: the fast memory of section 1. A program writes its rows of `OUT` and of `LSE`, nothing
# else.
#
# The backward kernels (`course_lib/flash/kernel_backward.py`) are two: one walks over the keys for each block of queries and makes
# $dq$, the other walks over the queries for each block of keys and makes $dk$ and $dv$. So no two programs write to the same place.
#
# A word on bfloat16. The interpreter keeps such numbers as their bits, in 16-bit integers, and its matrix product multiplies these integers:
# the results are wildly wrong. A compiled kernel has no such trouble. The library therefore widens bfloat16 to float32 before it
# hands it to the interpreter.

# %% [markdown] id="9-measured"
# ## 9 · Measured
#
# What does the walk cost and save in earnest? On the CPU, our tiled form against the standard one and PyTorch's own fused
# attention. First here and now, on your machine, for one length:

# %% tags=["nbval-ignore-output"] id="q-k-v-torch-randn-3-3"
import time

q, k, v = torch.randn(3, 1, 2, 2048, 64)
for name, attend in {
    "standard": attention.scaled_dot_product_attention,
    "tiled": flash.tiled_attention,
    "torch": F.scaled_dot_product_attention,
}.items():
    attend(q, k, v)  # the first call sets memory aside
    start = time.perf_counter()
    attend(q, k, v)
    print(f"{name:9} {1e3 * (time.perf_counter() - start):6.1f} ms")

# %% [markdown] id="then-from-a-longer-measurement-that"
# Then from a longer measurement that is stored with the course. Both axes are logarithmic, so the slope is the power of $n$: time
# grows with the square for all, memory with the square only for the standard method.

# %% tags=["nbval-ignore-output"] id="measured-stored-flash-attention-cpu"
measured = stored_benchmark("flash_attention", "cpu")
if measured is None:
    print("No CPU measurement is stored yet; `python -m benchmarks.flash_attention` takes one.")
else:
    print(taken_on(measured))
    show(figures.flash_attention.curves([row for row in measured["rows"] if row.get("heads") == 1]))

# %% [markdown] id="and-on-a-gpu-in-tflop"
# And on a GPU, in TFLOP/s, beside every backend of PyTorch's attention and FlexAttention:

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
# So it stands in notes and posts, with the sum outside the product. Then every value of the tile would get the same weight.

# %% id="scores-torch-tensor-2-0-0"
scores = torch.tensor([[2.0, 0.0]])
v = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
weights = (scores - scores.max()).exp()
claimed = weights.sum(-1, keepdim=True) * v.sum(0) / weights.sum(-1, keepdim=True)
print("claimed: ", rounded(claimed))
print("computed:", rounded(torch.softmax(scores, -1) @ v))

# %% [markdown] id="the-claim-gives-both-features-the"
# The claim gives both features the full weight 1, as if either token had all the attention. Its outputs are no averages of the values at all.
#
# > *"FlashAttention reduces FLOPs."*
#
# PyTorch can count the FLOPs of the matrix products that really run:

# %% id="n-width-256-32"
from torch.utils.flop_counter import FlopCounterMode

n, width = 256, 32
given = [torch.randn(1, 1, n, width, generator=seeded(i)).requires_grad_() for i in range(3)]
for name, attend in (
    ("standard", attention.scaled_dot_product_attention),
    ("tiled", lambda *x: flash.tiled_attention(*x, query_block=64, key_block=64)),
):
    with FlopCounterMode(display=False) as counted:
        output = attend(*given)
        forward = counted.get_total_flops()
        output.sum().backward()
    unit = 2 * n * n * width
    print(
        f"{name:9} forward {forward / unit:.0f}, with backward {counted.get_total_flops() / unit:.0f} products of n x n x D"
    )

# %% [markdown] id="the-same-forward-and-more-with"
# The same forward, and **more** with the backward pass: 7 products instead of 6, since the scores are computed twice. (The rescaling comes on top; it is no
# matrix product and not counted here.) It is faster because it moves less.
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
# Rescaling is an identity. The sums are the same, added in another order, and the difference is the rounding of float64. Methods that drop keys are
# approximate; this is none of them.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Attention in three steps moves the table of scores four times through slow memory, with few FLOPs for each byte. That is what makes it
#    slow.
# 2. A query needs to remember a maximum, a total and a mixture of values. All are measured from the maximum, and all shrink by
#    $e^{m-m'}$ when it grows; the one division comes last.
# 3. Keys are fetched once for each block of queries, so a larger fast memory means fewer bytes: $\Theta(n^2 D^2/M)$.
# 4. The backward pass keeps one logsumexp for each query and computes each tile of weights anew: more FLOPs, less traffic, the exact gradient.
# 5. Parts of a row are joined by their logsumexps, in any order; tiles that a mask forbids are never visited.
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
# - Shah et al. 2024, *FlashAttention-3*, arXiv:2407.08608, on what the newest devices ask for.
#
# **Next:** [Training](11_training.ipynb), where a pile of text becomes weights.
