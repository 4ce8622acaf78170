# %% [markdown] id="06-positions-and-rope"
# # 06 · Positions and RoPE
#
# **How does a model know the order of tokens, and what happens beyond the length it was trained on?**
#
# Attention compares vectors. A vector says what a token is; nothing in it says where the token is. So information about the
# order must be added. There are five common ways to do it, and most models today use one of them: RoPE, which rotates queries
# and keys like the hands of a clock.
#
# After this notebook you can
# - say what each way does, where it enters the model, and what it does beyond the trained length;
# - write RoPE in both of its layouts, convert a checkpoint from one to the other, and prove what the score depends on;
# - read a `rope_parameters` entry of a config, and say which planes it slows and why;
# - tell what falls with distance under RoPE and what does not.
#
# About two hours, without the sections at the end that are called *Further*: nothing else depends on them. You need notebook
# [Attention](05_attention.ipynb); nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/06_rope.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/06_rope.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/06_rope.ipynb).

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

from course_lib import positions, rope
from course_lib.attention import (
    attention_weights,
    causal_mask,
    scaled_dot_product_attention,
    token_offsets,
)
from course_lib.chapters.rope import long_texts, position_toys, scalings
from course_lib.device import default_device, seeded, synchronize
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

device = default_device()  # models run here; small examples and float64 checks stay on the CPU

# %% [markdown] id="1-attention-sees-a-set"
# ## 1 · Attention sees a set
#
# > **Predict.** Five tokens go through attention without a mask. Then the same five in the order 3, 0, 4, 1, 2. What are the
# > outputs the second time?

# %% id="x-torch-randn-1-5-8"
x = torch.randn(1, 5, 8, generator=seeded(0), dtype=torch.float64)
order = torch.tensor([3, 0, 4, 1, 2])
plain = scaled_dot_product_attention(x, x, x)
shuffled = scaled_dot_product_attention(x[:, order], x[:, order], x[:, order])
print("the same outputs, shuffled:", torch.allclose(shuffled, plain[:, order]))

# %% [markdown] id="the-same-ones-shuffled-along-the"
# The same vectors, in the new order. To one layer of attention, "The dog bit the man" and "the man bit the dog" are the same
# set of words. A causal mask adds a little information, since the first token then sees one token and the fifth sees five. But
# within *one* layer a query cannot tell in which order the tokens before it came.
#
# > **Predict.** Does that still hold for a causal model of *two* layers without positions?

# %% id="two-causal-layers-see-some-order"
w_q, w_k = torch.randn(2, 8, 8, generator=seeded(20), dtype=torch.float64) / 2
earlier_shuffled = x[:, [3, 0, 2, 1, 4]]  # the last token stays last


def causal_layer(x):
    return x + scaled_dot_product_attention(x @ w_q, x @ w_k, x, causal_mask(x.shape[1]))


for layers in (1, 2):
    given, other = x, earlier_shuffled
    for _ in range(layers):
        given, other = causal_layer(given), causal_layer(other)
    change = (given - other)[:, -1].abs().max()
    print(f"layers: {layers}   the last output changes: {bool(change > 1e-9)}")

# %% [markdown] id="two-places-for-order"
# With two layers it does not hold: earlier tokens have read different sets, so their outputs carry some information about the
# order, which the second layer can read. Models without any positions do work to some degree (see *Further*). But the
# information is weak, and there are two places where it can be added directly:
# - **into the vectors**, one position at a time: add a row that belongs to position 0, 1, 2, … (section 2);
# - **into the scores**, one pair at a time: let the score of query $i$ and key $j$ depend on $i - j$ (sections 3 and 4).
#
# ## 2 · A row for each position
#
# GPT-2 keeps a table with one row for each position and adds row $t$ to the embedding of token $t$. The rows are trained
# like any other weight.
#
# > **Predict.** GPT-2's table has 1024 rows. What happens to token 1024, the 1025th?

# %% id="table-torch-randn-1024-8-generator"
table = torch.randn(1024, 8, generator=seeded(1))
try:
    positions.learned_positions(table, torch.tensor([1023, 1024]))
except ValueError as error:
    print(error)

# %% [markdown] id="there-is-nothing-to-look-up"
# There is no row for it. Could the rows be *computed* instead? The first Transformer did so, with waves. Take $C/2$ waves, from
# fast to slow, and write down the sine and the cosine of each at position $t$:
#
# $$\text{row}_t = [\sin t\omega_0,\ \cos t\omega_0,\ \sin t\omega_1,\ \cos t\omega_1,\ \dots] \qquad \omega_i = \text{base}^{-2i/C}$$
#
# Each pair is a hand on a clock, and the clocks run at different speeds. A fast clock tells neighbours apart, a slow one
# tells the beginning from the end, as seconds and hours do.
#
# A case small enough for mental arithmetic: width $C = 4$ and base 100. There are two waves, with the speeds 1 and
# $100^{-2/4} = 0.1$. The row of position 1 is sin 1, cos 1, sin 0.1, cos 0.1, or **0.841, 0.540, 0.100, 0.995**.

# %% id="for-t-row-in-enumerate-positions"
for t, row in enumerate(positions.sinusoidal_table(3, 4, base=100.0)):
    print(f"position {t}:", rounded(row))

# %% [markdown] id="build-it"
# ### Build it
# The result is (length, width), in float32 or better; `width` is even. Sine and cosine of one wave are in neighbouring columns,
# and positions count from 0.
#
# Stuck? `hint()` in a new cell gives a first hint; run it again for the next.


# %% id="rope.sinusoidal"
@exercise("rope.sinusoidal")
def sinusoidal_table(length, width, base=10_000.0):
    """Return one row per position: sine and cosine of each wave in neighbouring columns."""
    ...


# %% id="reveal-sinusoidal"
reveal("rope.sinusoidal")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# Marian, a family of translation models, still uses this table. It puts all sines first and then all cosines. Only the order
# of the columns is different:

# %% id="theirs-mariansinusoidalpositionalembedding-64-32"
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

theirs = MarianSinusoidalPositionalEmbedding(64, 32).create_weight()
ours = positions.sinusoidal_table(64, 32)
blocks = torch.cat((ours[:, 0::2], ours[:, 1::2]), dim=1)
print("agrees with Marian after sorting the columns:", bool((blocks - theirs).abs().max() < 1e-6))

# %% [markdown] id="what-the-waves-are-good-for"
# ### What the waves are good for
# Take the dot product of two rows. Each wave contributes $\sin m\omega \sin n\omega + \cos m\omega \cos n\omega$, which equals
# $\cos\,(m-n)\omega$. So the similarity of two rows depends only on their **distance**, at any place in the text:

# %% id="rows-positions-sinusoidal-table-200-32"
rows = positions.sinusoidal_table(200, 32).double()
for m, n in ((5, 2), (105, 102), (196, 193)):
    print(f"row {m} · row {n} = {rows[m] @ rows[n]:.4f}")

# %% [markdown] id="3-a-number-for-each-distance"
# ## 3 · A number for each distance
#
# Adding positions to the vectors mixes *what* with *where*. A different approach leaves the vectors alone and adds to each
# score a number that depends on the distance. T5 **learns** these numbers for each head. Each near distance has its own number; far
# distances share numbers, in buckets of growing size:

# %% id="distances-torch-tensor-0-1-2"
distances = torch.tensor([0, 1, 2, 5, 10, 15, 16, 20, 30, 60, 100, 112, 113, 128, 5000])
offsets = -distances[None]  # key position minus query position: negative for earlier tokens
buckets = positions.relative_position_bucket(offsets, bidirectional=False)[0]
for distance, bucket in zip(distances.tolist(), buckets.tolist(), strict=True):
    print(f"{distance} tokens back: bucket {bucket}")

# %% [markdown] id="from-128-on-everything-is-far"
# The last bucket, 31, holds all distances from 113 on. There is always a number to add, whatever the length.
#
# **ALiBi** does not learn anything. Each token of distance lowers the score by the same amount, the slope $s_h$ of the head:
#
# $$\text{score}_{ij} \leftarrow \text{score}_{ij} - s_h\,|i-j| \qquad s_h = 2^{-8h/H},\quad h = 1 \dots H$$
#
# By hand: eight heads have the slopes ½, ¼, ⅛, … 1/256. In the first, a token three places back loses 1.5, so before
# softmax its factor is $e^{-1.5} = 0.22$. In the last it loses only $3/256 = 0.012$.
#
# > **Predict.** A model has four heads instead of eight. Is its steepest slope ½ as well?

# %% id="for-heads-in-8-4-6"
for heads in (8, 4, 6):
    slopes = positions.alibi_slopes(heads).tolist()
    print(f"{heads} heads:", ", ".join(f"1/{1 / slope:.4g}" for slope in slopes))

# %% [markdown] id="with-four-heads-it-starts-at"
# With four heads it starts at ¼: the smallest slope is always 1/256, and four steps get there faster. For six heads, which is not
# a power of two, the rule takes the slopes of four heads and adds every second one of eight: ½ and ⅛.

# %% [markdown] id="build-it-2"
# ### Build it
# The result is a tensor with `num_heads` slopes, all positive. If H is not a power of two, take the slopes of the largest power
# P below it, then every second slope of 2P heads, starting with the first, until there are H.


# %% id="rope.alibi_slopes"
@exercise("rope.alibi_slopes")
def alibi_slopes(num_heads):
    """Return each head's penalty per token of distance."""
    ...


# %% id="reveal-alibi-slopes"
reveal("rope.alibi_slopes")

# %% [markdown] id="now-the-penalty-for-each-pair"
# Now the penalty for each pair of tokens, (heads, queries, keys). During generation the queries are the newest of many keys, so
# there may be more keys than queries; without `keys` the two numbers are equal. `token_offsets(queries, keys)`, imported above,
# takes this into account: for each pair it returns the position of the key minus that of the query. As its third argument pass
# `slopes.device`, so that the offsets are made where the slopes are. Nothing is masked here; a key after the query gets a penalty
# as well.


# %% id="rope.alibi_bias"
@exercise("rope.alibi_bias")
def alibi_bias(slopes, queries, keys=None):
    """Return minus slope times distance, (heads, queries, keys)."""
    ...


# %% id="reveal-alibi-bias"
reveal("rope.alibi_bias")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# BLOOM was trained with ALiBi. Its code adds slope times the position of the *key*; the query does not occur in it. So its numbers
# grow from left to right, while ours end at 0.
#
# > **Predict.** Do the two give the same weights, with a causal mask and without one?

# %% id="theirs-build-alibi-tensor-torch-ones"
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

theirs = build_alibi_tensor(torch.ones(1, 4), 8, torch.float32)
ours = positions.alibi_bias(positions.alibi_slopes(8), 4)
print("BLOOM, head 1, every query:", rounded(theirs[0, 0]))
print("ours, head 1, last query:  ", rounded(ours[0, -1]))

q, k = (torch.randn(1, 8, 4, 16, generator=seeded(seed)) for seed in (2, 3))
for name, mask in (("causal", causal_mask(4)), ("both directions", None)):
    same = torch.allclose(
        attention_weights(q, k, mask, bias=ours),
        attention_weights(q, k, mask, bias=theirs),
        atol=1e-6,
    )
    print(f"{name}: the same weights: {same}")

# %% [markdown] id="play-with-it-2"
# With a causal mask they do. In the row of query $i$ the two differ by the constant $s_h\, i$, and softmax ignores constants
# (notebook [Softmax](04_softmax.ipynb)). Without the mask they do not: for keys after the query the absolute value matters.
#
# ### Play with it
# Choose a head. With equal scores, how far back does it read? Steep heads read a handful of tokens, flat ones hundreds.

# %% id="explorers-rope-alibi"
explorers.rope.alibi()

# %% [markdown] id="4-turn-do-not-add"
# ## 4 · RoPE: rotate instead of adding
#
# RoPE makes the score depend on the distance without adding anything to it. Cut query and key into pairs of features. Each pair
# is a hand on a clock. **Rotate the hand by an angle that grows with the position**,
# counterclockwise, as angles are counted in mathematics. A query at $m$ has been rotated by $m$
# steps, a key at $n$ by $n$ steps, so the angle between the two has changed by $m - n$ steps. The dot product of two hands
# depends only on their lengths and the angle between them.
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} = \begin{pmatrix} \cos\varphi & -\sin\varphi \\ \sin\varphi & \cos\varphi \end{pmatrix} \begin{pmatrix} a \\ b \end{pmatrix} \qquad \varphi = t \cdot \text{base}^{-2i/D}$$
#
# for the token at position $t$ and plane $i = 0 \dots D/2 - 1$ of a head of width $D$. A *plane* is such a pair of features. The
# speeds are those of the sinusoidal table: fast planes for short distances, slow ones for long distances.
#
# By hand: width 4, base 100, position 3. The two planes rotate by 1 and 0.1 radians per token, so by **3 and 0.3**.
#
# > **Predict.** Two heads have the widths 64 and 128, and the same base of 10 000. Which has the slower slowest plane?

# %% id="print-width-4-base-100-position"
print("width 4, base 100, position 3:", rounded(rope.rope_angles(torch.tensor([3]), 4, 100.0)[0]))
for head_dim in (4, 64, 128):
    slowest = rope.rope_frequencies(head_dim)[-1].item()
    print(f"width {head_dim}: the slowest plane rotates by {slowest:.6f} per token")

# %% [markdown] id="build-it-3"
# The wider one, by a little: the last exponent is $-(D-2)/D$, which is closer to $-1$.
#
# ### Build it
# `positions` is a tensor of whole numbers of any shape, since in a batch each text may start at a different position. The
# result has one more axis, of length head_dim/2, and is on the device of `positions`. Compute in float32 or better: bfloat16
# cannot tell position 256 from 257.


# %% id="rope.angles"
@exercise("rope.angles")
def rope_angles(positions, head_dim, base=10_000.0):
    """Return position · base^(−2i/head_dim) for each plane i, in a new last axis."""
    ...


# %% id="reveal-angles"
reveal("rope.angles")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# A head of width 8 has four clocks. Blue is the query's hand, orange the key's. Move $m$ and $n$ apart, and the score rises
# and falls. Then move *both together*: the hands rotate, and the numbers below the clocks stay the same.

# %% id="explorers-rope-clocks"
explorers.rope.clocks()

# %% [markdown] id="build-it-4"
# ### Build it
# Now the rotation itself. Which two features form a plane? In Qwen, Llama (as Hugging Face stores it) and most others, plane
# $i$ consists of the features $i$ and $i + D/2$: cut the vector into two **halves**, and take one feature from each.
#
# By hand: (1, 2) rotated by a quarter turn, with cos 0 and sin 1, is $(1\cdot 0 - 2\cdot 1,\ 1\cdot 1 + 2\cdot 0) =$ **(−2, 1)**.
#
# `x` is (…, T, D); `cos` and `sin` are (…, T, D/2) and broadcast over the leading axes of `x`. The gradient is
# checked too.


# %% id="rope.halves"
@exercise("rope.halves")
def rotate_halves(x, cos, sin):
    """Rotate each plane (i, i + D/2) of `x` (…, T, D) by its angle; cos, sin are (…, T, D/2)."""
    ...


# %% id="reveal-halves"
reveal("rope.halves")

# %% [markdown] id="does-the-score-depend-on-m"
# ### Does the score depend only on m − n?
# Take any query and key at $m$ and $n$, and then move both by 1 000 and by 100 000 positions.
#
# > **Predict.** In float64, by how much will the score change? And what if the angles are computed in float32, as in most
# > models?

# %% id="q-k-torch-randn-1-128"
q, k = (torch.randn(1, 128, generator=seeded(seed), dtype=torch.float64) for seed in (4, 5))
speed = 10_000.0 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)


def score(m, n, dtype):
    """Return the score of q at m and k at n, with angles in this type."""
    rotated = []
    for x, t in ((q, m), (k, n)):
        angle = (torch.tensor([[t]], dtype=dtype) * speed.to(dtype)).double()
        rotated.append(rope.rotate_halves(x, angle.cos(), angle.sin()))
    return (rotated[0] @ rotated[1].T).item()


# %% id="for-dtype-in-torch-float64-torch"
for dtype in (torch.float64, torch.float32):
    near = score(17, 5, dtype)
    gaps = [abs(score(17 + far, 5 + far, dtype) - near) for far in (1_000, 100_000)]
    print(f"{dtype}: score {near:.4f}")
    print(
        "    moved by 1 000:   change below 1e-9:", gaps[0] < 1e-9, "  below 0.01:", gaps[0] < 0.01
    )
    print(
        "    moved by 100 000: change below 1e-9:", gaps[1] < 1e-9, "  below 0.5: ", gaps[1] < 0.5
    )
for dtype in (torch.float64, torch.float32, torch.bfloat16):
    print(f"{dtype}: near 100 000, numbers are {2.0**16 * torch.finfo(dtype).eps:.3g} apart")

# %% [markdown] id="checked-against-the-real-thing-3"
# In exact arithmetic it does not change at all. In floating point large angles are coarse: neighbouring float32 numbers near
# 100 000 are 0.008 radians apart, so the score changes a little: by less than 0.01 after 1 000 positions, by less than 0.5
# after 100 000. In bfloat16 they are 512 apart, and the angle would be wrong by many turns. This is why libraries compute
# angles in float32 even when the model runs in bfloat16.
#
# ### Checked against the real thing
# Queries of four heads go through the rotary code of `transformers`' Qwen3, with its base of 1 000 000 and a different start
# position for each text of the batch. The library's `apply_rope` calls `rotate_halves` for all heads: it takes the cosines and
# sines (B, T, D/2) and inserts the axis for the heads.

# %% id="config-qwen3config-head-dim-128-max"
from transformers import Qwen3Config
from transformers.models.qwen3 import modeling_qwen3 as qwen3

config = Qwen3Config(head_dim=128, max_position_embeddings=40_960)
config.rope_parameters = {"rope_type": "default", "rope_theta": 1_000_000.0}
heads = torch.randn(2, 4, 6, 128, generator=seeded(6))  # (B, H, T, D)
where = torch.arange(6) + torch.tensor([[0], [30_000]])
cos, sin = qwen3.Qwen3RotaryEmbedding(config)(heads, where)
theirs, _ = qwen3.apply_rotary_pos_emb(heads, heads, cos, sin)
angles = rope.rope_angles(where, 128, 1_000_000.0)
ours = rope.apply_rope(heads, angles.cos(), angles.sin())
print("largest difference < 1e-5:", bool((ours - theirs).abs().max() < 1e-5))

# %% [markdown] id="5-two-layouts-in-the-wild"
# ## 5 · Two layouts
#
# The paper on RoPE pairs **neighbours**: plane $i$ consists of the features $2i$ and $2i+1$. Meta's own Llama files and GPT-J
# do so too. (vLLM: `is_neox_style=True` for halves, `False` for neighbours.) For a head of width 6:
#
# | | plane 0 | plane 1 | plane 2 |
# |---|---|---|---|
# | halves | 0 and 3 | 1 and 4 | 2 and 5 |
# | neighbours | 0 and 1 | 2 and 3 | 4 and 5 |
#
# The weights do not tell which layout they were trained with, and few configs do (`rope_interleave`). You have to know.
#
# ### Build it
# Shapes are those of `rotate_halves`, and the gradient is checked too.


# %% id="rope.neighbours"
@exercise("rope.neighbours")
def rotate_neighbours(x, cos, sin):
    """Rotate each plane (2i, 2i + 1) of `x` (…, T, D) by its angle; the order of features stays."""
    ...


# %% id="reveal-neighbours"
reveal("rope.neighbours")

# %% [markdown] id="from-one-to-the-other"
# ### Convert from one to the other
# A layout is only an order of the features. The features of a query are the rows of its projection, so reorder the rows: within
# each head, row $2i$ becomes row $i$ and row $2i+1$ becomes row $D/2 + i$. If queries *and* keys are reordered alike, every dot
# product keeps its value. (Hugging Face's conversion script for Meta's Llama files calls this step *permute*. The function of
# that name in llama.cpp is the inverse: it goes from halves back to neighbours.)
#
# By hand: rows 0, 1, 2, 3, 4, 5 of a head of width 6 become **0, 2, 4, 1, 3, 5**.
#
# > **Predict.** Apply this reordering twice to a head of width 4. What is the result? And for width 6?


# %% id="rope.convert"
@exercise("rope.convert")
def neighbours_to_halves(weight, num_heads):
    """Reorder the rows of a projection (heads · D, C), or a bias, from neighbours to halves."""
    ...


# %% id="reveal-convert"
reveal("rope.convert")

# %% id="for-width-in-4-6"
for width in (4, 6):
    row = torch.arange(float(width))
    once = rope.neighbours_to_halves(row, 1)
    print(f"width {width}: once {once.int().tolist()}, twice", end=" ")
    print(rope.neighbours_to_halves(once, 1).int().tolist())

# %% [markdown] id="with-width-4-you-are-back"
# With width 4 you are back at the start, so a test with heads of width 4 cannot tell the conversion from its inverse.
#
# Now a whole projection: three heads of width 8, tokens of width 24. Rotated as neighbours, or converted and rotated as
# halves, the scores must agree.

# %% id="tokens-torch-randn-1-5-24"
tokens = torch.randn(1, 5, 24, generator=seeded(8), dtype=torch.float64)
angles = rope.rope_angles(torch.arange(5), 8).double()
w_q, w_k = (torch.randn(24, 24, generator=seeded(s), dtype=torch.float64) for s in (9, 10))


def scores(w_q, w_k, layout):
    """Return the scores of all heads after RoPE in this layout."""
    q, k = ((tokens @ w.T).view(1, 5, 3, 8).transpose(1, 2) for w in (w_q, w_k))
    q, k = (rope.apply_rope(part, angles.cos(), angles.sin(), layout) for part in (q, k))
    return q @ k.transpose(-2, -1)


wanted = scores(w_q, w_k, "neighbours")
converted = [rope.neighbours_to_halves(w, num_heads=3) for w in (w_q, w_k)]
print("converted, rotated as halves:", torch.allclose(scores(*converted, "halves"), wanted))
print("not converted:               ", torch.allclose(scores(w_q, w_k, "halves"), wanted))

# %% [markdown] id="mix-them-and-see-who-notices"
# ### The wrong layout
# A small model of two layers was trained, with halves, to continue a repeating text by copying (it is one of six that are
# compared under *Further*). Here it reads such a text, once as trained and once with neighbours rotated. Nothing raises an
# error; shapes and vector lengths are all right.
#
# > **Predict.** For which of the first tokens are the model's predictions unchanged?

# %% id="copier-position-models-trained-rope"
copier = position_toys.trained("rope").to(device)
text = position_toys.repeated_texts([12], 40, seeded(11)).to(device)
with torch.no_grad():
    right, mixed = (
        copier(text, layout=layout).softmax(-1)[0] for layout in ("halves", "neighbours")
    )
apart = (right - mixed).abs().sum(-1) / 2  # the share of probability that has moved
for t in (0, 1, 2, 5, 15, 30):
    print(f"token {t}: {100 * apart[t]:.0f} % of the probability has moved")

# %% id="for-layout-in-halves-neighbours"
for layout in ("halves", "neighbours"):
    loss = position_toys.loss_at_distance(copier, 16, layout=layout)
    print(f"{layout}: loss {loss:.1f} nats where the next token can be known")
print(
    f"a uniform guess among {position_toys.VOCABULARY} tokens: {math.log(position_toys.VOCABULARY):.1f}"
)

# %% [markdown] id="the-first-token-is-right-at"
# The first prediction is unchanged: at position 0 nothing is rotated. The next few change little: until the text repeats, after
# 12 tokens, there is nothing to copy, and both versions guess. After that the predictions are wrong. The wrong layout does not
# crash; it looks like a bad model. If a converted checkpoint generates a few good words and then falls apart, check the layout
# first.
#
# ## 6 · Values are not rotated
#
# Queries and keys are multiplied with each other, and only the *difference* of their rotations remains. Values are averaged
# and passed on. If a value is rotated, the rotation remains in the output.
#
# > **Predict.** Twelve tokens go through attention with RoPE, once at the positions 0 … 11 and once at 100 … 111. Do the
# > outputs agree? And if the values are rotated as well?

# %% id="q-k-v"
q, k, v = (
    torch.randn(1, 2, 12, 16, generator=seeded(s), dtype=torch.float64) for s in range(12, 15)
)


def outputs(start, rotate_values):
    """Return attention's outputs for tokens that begin at position `start`."""
    angle = (torch.arange(12) + start).double()[:, None] * 100.0 ** (-torch.arange(8) / 8)
    rotated = [rope.apply_rope(part, angle.cos(), angle.sin()) for part in (q, k, v)]
    return scaled_dot_product_attention(*rotated[:2], rotated[2] if rotate_values else v)


for rotate_values in (False, True):
    same = torch.allclose(outputs(0, rotate_values), outputs(100, rotate_values))
    print(f"values rotated: {rotate_values!s:5}  same outputs at other positions: {same}")

# %% [markdown] id="7-a-batch-with-a-cache"
# ## 7 · RoPE in a batch with a cache
#
# In a model, RoPE has to handle four things at once, and each is a common source of bugs:
# - **heads**: angles are (B, T, D/2), queries (B, H, T, D). All heads use the same angles, so an axis must be inserted;
# - **offsets**: during generation, row b of a batch continues at its own position;
# - **the cache**: keys are rotated once, when they are new, and stored rotated. A key's position never changes;
# - **packing**: for training, several short texts are packed into one row, and positions restart at 0 with each text.
#
# > **Predict.** Two texts are packed into one row, without a restart of positions and with a mask that keeps them apart. Does
# > the second text get different outputs than alone?
#
# It does not, in exact arithmetic, since scores depend only on distances. But large positions cost precision, and a trained
# table (section 2) would run out of rows, so positions are restarted all the same.
#
# ### Build it
# `q` (B, H, T, D) and `k` (B, G, T, D) are new and not rotated; `k_cache` (B, G, S, D) is rotated already. Row b continues at
# `offsets[b]`; where `starts` (B, T) is True, a new text begins at position 0. Use halves. Return the rotated queries, and the
# cached keys followed by the rotated new keys, (B, G, S + T, D). Keep the dtype; gradients must flow to `q` and `k`.


# %% id="rope.batch_with_cache"
@exercise("rope.batch_with_cache")
def rope_with_cache(q, k, k_cache, offsets, starts, base=10_000.0):
    """Return (rotated queries, all keys) for T new tokens of each row."""
    ...


# %% id="reveal-batch-with-cache"
reveal("rope.batch_with_cache")

# %% [markdown] id="8-what-rope-costs"
# ## 8 · What RoPE costs
#
# A plane takes four multiplications and two additions: 3 operations per feature. Each feature is read once and written once.
# Compare that with the projection that makes the queries.
#
# > **Predict.** 1024 tokens of width 1024, 16 heads of width 64. What fraction of the projection's operations does the rotation
# > need? And what fraction of its time?

# %% id="the-operations-and-bytes-of-rope"
tokens_read, heads_read, head_dim = 1024, 16, 64
width = heads_read * head_dim
numbers = tokens_read * width
projection = 2 * numbers * width, 4 * (2 * numbers + width * width)  # operations, float32 bytes
rotation = 3 * numbers, 4 * (2 * numbers + tokens_read * head_dim)  # cosines and sines too
for name, (operations, moved) in (("projection", projection), ("rotation", rotation)):
    print(f"{name:10} {operations / 1e6:7.1f} M operations, {moved / 2**20:4.1f} MiB,", end=" ")
    print(f"{operations / moved:5.1f} operations per byte")
print(f"the rotation has {rotation[0] / projection[0]:.2%} of the operations")
passes = 4 * (0.5 + 0.5) + 2 * (1 + 0.5) + (1 + 1)  # products; difference and sum; cat
print(f"its seven steps read and write {passes / 2:.1f} times as many features as a copy")


# %% id="seconds"
def seconds(function):
    """Return the shortest of ten times, on one thread where this is a CPU."""
    times, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(10):
        start = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return min(times)


# %% tags=["nbval-ignore-output"] id="the-time-of-rope"
x, weight = (torch.randn(rows, width).to(device) for rows in (tokens_read, width))
q = torch.randn(1, heads_read, tokens_read, head_dim).to(device)
angles = rope.rope_angles(torch.arange(tokens_read, device=device), head_dim)
cos, sin = angles.cos(), angles.sin()
rotating = seconds(lambda: rope.apply_rope(q, cos, sin))
print(f"{rotating / seconds(lambda: x @ weight.T):.0%} of the time of the projection")
print(f"{rotating / seconds(q.clone):.0f} times the time of a copy")

# %% [markdown] id="rope-is-memory-bound"
# RoPE is **memory-bound**: with less than one operation per byte, its time is that of moving the queries and keys, and it moves
# them several times. Each step of the formula (four products, a difference, a sum, and `cat`) is a separate pass over memory.
# Measured, the formula takes longer than 4.5 copies, but far less than the projection before it. Two consequences:
# - cosines and sines are computed once per forward pass and shared by all layers and heads; they are small;
# - fast implementations *fuse* the rotation with a neighbouring step, such as the projection, QK-norm or the write into the
#   cache, so that the features are not moved an extra time.
#
# ## 9 · What falls with distance, and what does not
#
# It is often said that RoPE "makes scores decay with distance". Measure it: take many independent queries and keys, and many
# pairs in which the key *equals* the query.
#
# > **Predict.** Which of the two means falls with distance?

# %% id="explorers-rope-decay"
explorers.rope.decay()

# %% [markdown] id="for-a-query-that-equals-its"
# For a query that equals its key each plane adds $2\cos(\text{distance}\cdot\omega_i)$ on average, before the division by √D,
# and these cosines get out of phase. (The bands are one standard deviation on each side.) For independent pairs the mean is 0
# at every distance, and the spread is the same everywhere: a rotated random vector is as random as before.
#
# A trained model is neither. It can learn a query whose best key is five tokens back: take a key, rotate it *back* by
# five steps, and use that as the query. At a distance of five, RoPE rotates it forward again.

# %% id="key-torch-randn-1-64-generator"
key = torch.randn(1, 64, generator=seeded(16), dtype=torch.float64)
steps = rope.rope_angles(torch.arange(12), 64, 100.0).double()
back = steps[5:6]
query = rope.rotate_halves(key, back.cos(), -back.sin())  # rotated back by five steps
at_distance = rope.rotate_halves(query.expand(12, -1), steps.cos(), steps.sin()) @ key[0]
for distance in (0, 1, 3, 5, 7, 11):
    print(f"{distance:2} tokens back: {at_distance[distance] / math.sqrt(64):5.1f}")
print("largest at distance", int(at_distance.argmax()))

# %% [markdown] id="the-score-rises-up-to-distance"
# The score is largest at distance 5, not at 0. RoPE lets a head prefer any distance. It has no built-in decay; it makes
# distance visible.
#
# ## 10 · Beyond the trained length
#
# Every angle can be computed, at any position. Scores depend only on distances, so what is new in a longer text are the
# *distances*: a query and a key further apart than ever in training. In a plane that completes many turns within the trained
# length, all angles between query and key have been seen. A slow plane may have covered a small part of its circle; beyond it,
# each larger distance brings an angle that no weight was trained for. How many tokens does plane $i$ take for one turn?
#
# $$\lambda_i = 2\pi \cdot \text{base}^{2i/D}$$
#
# > **Predict.** Llama 2 has heads of width 128, the base 10 000, and was trained on 4 096 tokens. How many of its 64 planes
# > never complete a turn?

# %% id="for-name-base-length-in-llama"
for name, base, length in (("Llama 2", 10_000.0, 4_096), ("Qwen3", 1_000_000.0, 32_768)):
    turns = length * rope.rope_frequencies(128, base) / (2 * math.pi)
    print(
        f"{name}: {int((turns < 1).sum())} of 64 planes make less than one turn in {length} tokens"
    )

# %% id="explorers-rope-wavelengths"
explorers.rope.wavelengths()

# %% [markdown] id="slow-them-down"
# ### Slow them down
# All remedies slow planes down when texts become $s$ times as long. They differ in *which* planes:
#
# - **Position interpolation** (`linear` in configs): all planes, by $s$. With $s = 4$, position 4 gets the angles
#   that position 1 had.
# - **NTK-aware**: a larger base. The slowest plane by $s$, the fastest not at all, and the others in between.
# - **Dynamic**: NTK-aware, with an $s$ that grows with the text. Short texts are unchanged. With a KV cache this has a catch:
#   keys that were cached earlier were rotated with a smaller base than the new queries.
# - **YaRN**: planes with more than 32 turns in training not at all; planes with less than 1 turn by $s$; a ramp between. In
#   addition it multiplies cosine and sine by an **attention factor**, $0.1 \ln s + 1$, which makes the weights sharper.
# - **Llama 3**: the same idea, with a ramp from 4 turns to 1 and without an attention factor.
#
# > **Predict.** Llama 2 with $s = 4$, at a distance of 4 · 4 096 tokens. Under which of these rules does no plane rotate further
# > than in training?

# %% id="which-planes-rotate-further"
plain, trained = rope.rope_frequencies(128, 10_000.0), 4096
never = trained * plain < 2 * math.pi  # planes that never complete a turn in training
for scaling in ("interpolation", "NTK-aware", "YaRN", "Llama 3"):
    request = scalings.rope_request(scaling, 4, 128, 10_000.0, trained)
    slowed, _ = rope.scaled_frequencies(request, 128, trained, 4 * trained)
    further = 4 * slowed > 1.0001 * plain  # with room for rounding
    print(
        f"{scaling:13} {int(further.sum()):2} of 64 planes rotate further than in training;",
        end=" ",
    )
    print(f"of the {int(never.sum())} that never completed a turn: {int((further & never).sum())}")

# %% [markdown] id="the-ntk-aware-base"
# Only under interpolation. YaRN and Llama 3 let fast planes rotate further, where all angles are known, and keep the planes
# that never completed a turn within what they have seen. The NTK-aware rule does so only for the very slowest plane: the 17
# others of this group still reach unseen angles.
#
# The NTK-aware base follows from one condition. The slowest plane has the frequency $\text{base}^{-(D-2)/D}$, and it should
# become $s$ times smaller:
#
# $$\text{base}'^{-\frac{D-2}{D}} = \text{base}^{-\frac{D-2}{D}} / s \quad\Longrightarrow\quad \text{base}' = \text{base} \cdot s^{\frac{D}{D-2}}$$
#
# By hand: $D = 4$, base 100, $s = 2$. The exponent is 4/2 = 2, so the new base is $100 \cdot 2^2 =$ **400**.


# %% id="rope.ntk_base"
@exercise("rope.ntk_base")
def ntk_aware_base(base, factor, head_dim):
    """Return the base with which the slowest plane rotates `factor` times slower."""
    ...


# %% id="reveal-ntk-base"
reveal("rope.ntk_base")

# %% [markdown] id="qwen3-s-base-is-not-this"
# ### Qwen3's base: ABF
# Qwen3 has a base of 1 000 000, and it is tempting to read that as "NTK-aware scaling of 10 000". It is a base that the model
# was *trained* with: pretraining began with the base 10 000 on texts of 4 096 tokens; then the base was raised to 1 000 000
# and training continued on texts of 32 768 tokens. This is called **ABF**, adjusted base frequency (Xiong et al. 2023). The
# NTK-aware rule for the same stretch, 8 times, gives a different number:

# %% id="for-factor-in-4-8-100"
for factor in (4, 8, 100):
    print(
        f"10 000, for texts {factor} times as long: {rope.ntk_aware_base(1e4, float(factor), 128):,.0f}"
    )
slower = rope.rope_frequencies(128, 1e4)[-1] / rope.rope_frequencies(128, 1e6)[-1]
print(f"the slowest plane of base 1 000 000 is {slower:.1f} times slower than that of 10 000")
print(f"that is the rule for texts of {4096 * slower:,.0f} tokens instead of Llama 2's 4,096")

# %% [markdown] id="build-it-llama-3-s-rule"
# So ABF and NTK-aware scaling both enlarge the base, but ABF by much more, and with further training. Without that training a
# base of 1 000 000 in a model trained with 10 000 changes every plane but the first, and the model gets worse.
#
# ### Build it: Llama 3's rule
# Count the turns that each plane makes within the trained length. From 4 turns on (`high_freq_factor`) leave it unchanged, up
# to 1 turn (`low_freq_factor`) divide its frequency by the factor, and between blend the two, linearly in the number of turns.
# `frequencies` is (planes,), in radians per token, and so is the result.
#
# By hand: factor 8, a plane with 2.5 turns. That is half way from 1 to 4, so half of it stays and half is divided by 8:
# $0.5 + 0.5/8 =$ **0.5625** of the old frequency.


# %% id="rope.llama3"
@exercise("rope.llama3")
def llama3_frequencies(frequencies, factor, low_freq_factor, high_freq_factor, trained_length):
    """Return the frequencies, slowed by `factor` for planes with few turns in training."""
    ...


# %% id="reveal-llama3"
reveal("rope.llama3")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# By what factor does each rule slow each plane? Change the stretch and the base. (Dynamic is not drawn: for a given length it
# is the NTK-aware rule with a different factor.)

# %% id="explorers-rope-slowdown"
explorers.rope.slowdown()

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing
# A config describes all of this in its `rope_parameters`. `transformers` has one function for each `rope_type`. Two more types
# exist: `longrope` has a separate factor for each plane, found by search, one list for short and one for long texts;
# `proportional` rotates only a part of the planes. Here are all of them beside ours, frequencies and attention factor:

# %% id="original-original-max-position-embeddings-4096"
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

original = {"original_max_position_embeddings": 4096}
requests = {
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, **original},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **original},
    "longrope": {"short_factor": [1.0] * 64, "long_factor": [2.0] * 64, "factor": 4.0, **original},
    "proportional": {"partial_rotary_factor": 0.25},
}
print("types without a case here:", sorted(set(ROPE_INIT_FUNCTIONS) - set(requests)))

# %% id="for-kind-request-in-requests-items"
for kind, request in requests.items():
    parameters = {"rope_type": kind, "rope_theta": 500_000.0, **request}
    config = LlamaConfig(head_dim=128, max_position_embeddings=16_384)
    config.rope_parameters = parameters
    theirs, their_factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=20_000)
    ours, our_factor = rope.scaled_frequencies(parameters, 128, 16_384, length=20_000)
    same = torch.allclose(ours, theirs) and math.isclose(our_factor, their_factor)
    print(f"{kind:12} agrees: {same}   attention factor {our_factor:.3f}")

# %% [markdown] id="a-model-that-has-read-text"
# ### Measured: a model that has read text
# What does a *model* make of these rules, without any further training? The course model (you will build it in notebook
# [The whole transformer](08_transformer.ipynb)) was trained on texts of 256 tokens, with the base 10 000. It reads 16 held-out
# source files of four times that length under each rule. (The losses are stored, since measuring takes minutes.)
#
# One more model serves as a baseline: the same model with a **sliding window** of its trained length (notebook
# [Attention](05_attention.ipynb)). It never meets a distance that was not trained. A rule that is not below this baseline has made
# no use of more distant tokens.
#
# > **Predict.** Beyond the trained length plain RoPE meets unseen distances. Will the loss on text jump there, or rise slowly?

# %% id="explorers-rope-long-text"
explorers.rope.long_text()

# %% [markdown] id="the-left-picture-has-the-loss"
# The left figure shows the mean loss; part of its ups and downs are easy and hard places of the texts. The right figure removes
# them: it shows the difference from the window on the same tokens, averaged over the texts. The bands are two standard errors
# wide on each side. The next cell prints the same differences by quarters of the text, each ± *one* standard error:

# %% id="for-name-curve-in-figures-rope"
for rule in long_texts.RULES:
    mean, error = long_texts.against_window(rule, 1 if rule == "plain" else 4, parts=4)
    cells = [f"{m:+.2f} ± {e:.2f}" for m, e in zip(mean.tolist(), error.tolist(), strict=True)]
    print(f"{rule:13}", "   ".join(cells))

# %% [markdown] id="plain-rope-and-the-window-are"
# - **Plain** RoPE and the window are the same model as long as the text fits. Beyond that, plain RoPE gets worse the longer the
#   text becomes. But it rises slowly: most tokens of a text can be predicted from near ones, at distances that were trained.
# - **Interpolation** costs about 2 nats everywhere, short texts included. It makes one step four times smaller: the angle that
#   used to mean "one back" now belongs to "four back", and heads that read the previous token no longer find it (measured under
#   *Further*).
# - **NTK-aware** costs little inside the trained length. It is close to the window in the second quarter; at the end, at the
#   length it was asked for, it is no better than plain RoPE.
# - **YaRN** costs 0.09 ± 0.02 nats inside the trained length and stays close to the window in all quarters.
# - No rule is *below* the window by more than its standard error, and only that would show that the model makes use of more
#   distant tokens. Without further training these rules limit the harm of a long text; to benefit from long text, models need
#   training on it.
#
# Stretch by 2 instead of 4: the cost inside falls, and YaRN fails before the end of the text.
#
# ## 11 · Claims that are wrong
#
# > *"RoPE multiplies each pair by the rotation matrix [[cos θ, −sin θ], [−sin θ, cos θ]]."*
#
# A rotation keeps every length, and its determinant is 1. Multiply (1, 0) and (0, 1), and then (1, 1):

# %% id="angle-torch-tensor-0-5"
angle = torch.tensor(0.5)
c, s = angle.cos(), angle.sin()
for name, matrix in (
    ("rotation", torch.stack([torch.stack([c, -s]), torch.stack([s, c])])),
    ("claimed ", torch.stack([torch.stack([c, -s]), torch.stack([-s, c])])),
):
    lengths = [(matrix @ torch.tensor(v)).norm() for v in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0])]
    print(name, "lengths", rounded(torch.stack(lengths)), "determinant", rounded(matrix.det()))

# %% [markdown] id="the-claimed-matrix-keeps-1-0"
# The claimed matrix keeps the lengths of (1, 0) and (0, 1), so a quick test with these two passes. It shrinks (1, 1) from 1.414
# to 0.563. And worse, the score no longer depends only on the distance.
# Move the slider, and see the circle become an ellipse:

# %% id="q-k-torch-tensor-1-0"
q, k = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, 1.0]).double()
for name in ("a rotation", "minus in both rows"):
    found = []
    for m, n in ((5, 3), (6, 4), (25, 23)):
        at_m, at_n = (figures.rope.plane_matrix(name, float(t)) for t in (m, n))
        found.append(torch.dot(at_m @ q, at_n @ k))
    print(f"{name:18} scores at m − n = 2:", rounded(torch.stack(found)))
explorers.rope.rotation_or_not()

# %% [markdown] id="for-the-interleaved-layout-rotate-the"
# > *"For the interleaved layout, rotate the even and the odd features and concatenate them:*
# > `torch.cat((x_even * cos - x_odd * sin, x_even * sin + x_odd * cos), dim=-1)`*."*


# %% id="claimed"
def claimed(x, cos, sin):
    """Rotate neighbours, and put all first features before all second ones."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), dim=-1)


x = torch.arange(6.0)[None]
angle = torch.zeros(1, 3)  # position 0: nothing may change
for name, rotate in (("neighbours", rope.rotate_neighbours), ("claimed", claimed)):
    print(f"{name:11}", rotate(x, angle.cos(), angle.sin())[0].tolist())

x = torch.randn(5, 8, generator=seeded(17), dtype=torch.float64)
angles = rope.rope_angles(torch.arange(5), 8).double()
neighbours = rope.rotate_neighbours(x, angles.cos(), angles.sin())
concatenated = claimed(x, angles.cos(), angles.sin())
print("the same scores:", torch.allclose(neighbours @ neighbours.T, concatenated @ concatenated.T))
print("the same features:", torch.allclose(neighbours, concatenated))

# %% [markdown] id="so-the-model-works-until-its"
# At position 0 a rotation does nothing, and yet the features are in a different order. The mistake is hard to notice because the
# *scores* do not change, as long as queries and keys are treated alike. So the model works, until its keys are used by other code:
# a cache filled by a different implementation, a kernel that rotates in place, a test that compares the rotated keys themselves. It
# is neither of the two layouts.

# %% [markdown] id="play-with-it"
# ## Further: a table of positions has stripes
#
# On the left is the table itself, in the middle the similarity of its rows, and on the right the same for shuffled rows, as a
# control: a shuffled table has no stripes. Choose the *learned* table. It was trained in one of six small models (see the next
# section), and nothing in its training asked for neighbours to be similar. Did it develop stripes?

# %% id="explorers-rope-position-table"
explorers.rope.position_table()

# %% id="learned-position-models-trained-learned-table"
learned = position_toys.trained("learned").table
random = torch.randn(learned.shape, generator=seeded(18))
for name, table in (("sinusoidal", rows[:48]), ("learned", learned), ("random", random)):
    share = figures.rope.share_by_distance(figures.rope.similarities(table))
    print(f"{name:10} distance explains {100 * share:3.0f} % of the variance in similarity")

# %% [markdown] id="the-sinusoidal-table-is-all-stripes"
# In the sinusoidal table distance explains everything, by construction; in a random one almost nothing. The learned table
# started as random numbers, and training has produced a faint band along its diagonal: rows of near positions have become
# somewhat similar.

# %% [markdown] id="9-all-of-them-on-one"
# ## Further: all methods compared
#
# Six models that differ only in how positions are encoded: two layers of attention, four heads, trained for the same 800
# steps on the same texts, which repeat. Each must go on copying. `reveal` shows the training; it takes a minute or two for each
# model, and the weights are stored with the course.

# %% id="reveal-position-models-train"
reveal(position_toys.train)

# %% [markdown] id="predict-which-of-the-six-can"
# > **Predict.** Which of the six can copy at all? And which of these still can at 64 tokens, a distance that none of them
# > was trained on?

# %% id="explorers-rope-method-comparison"
explorers.rope.method_comparison(distance=16)

# %% id="for-method-in-position-models-methods"
for method in position_toys.METHODS:
    model = position_toys.trained(method).to(device)
    reachable = [16, 64] if method != "learned" else [16]
    losses = [position_toys.loss_at_distance(model, d) for d in reachable]
    print(f"{method:11}", "  ".join(f"{loss:.1f}" for loss in losses), "at 16 and 64 tokens back")
print(f"uniform     {math.log(position_toys.VOCABULARY):.1f}")
one_back = math.exp(-positions.alibi_slopes(4)[0].item())
print(f"ALiBi, steepest of four heads: one token back counts {one_back:.2f} times the token itself")

# %% [markdown] id="read-it-with-care-it-is"
# Interpret this with care: it is *one* small task, 800 steps, one seed.
#
# - **No positions** is better than a uniform guess among 128, since it sees which tokens the text contains. What it cannot
#   find is the previous token.
# - **Relative** biases and **RoPE** learn the task: a head can express "one back" directly.
# - **ALiBi** can express "near", but not "one back". The nearest token is the token itself, and even the steepest of four
#   heads prefers it only slightly to the one before.
# - The **tables** are added to the token, so a layer must first learn to separate the two. After 800 steps they have made some
#   progress. Beyond the trained length the learned table has no rows, and the sinusoidal one is worse than a uniform guess.
# - At long distances the relative bias degrades gradually: all far distances share a bucket (in this model from 45 tokens
#   on, so that the last bucket was trained). At 64 tokens neither of the two can copy. RoPE fails abruptly, which is why
#   section 10 exists.

# %% [markdown] id="its-code-looks-different-it-repeats"
# ## Further: the rotation in other code
#
# The code of `transformers` looks different from yours. It repeats the cosines for both halves and writes the rotation as two
# element-wise products, known as the Hadamard form:
#
# $$x' = x \odot \cos + \operatorname{rotate\_half}(x) \odot \sin \qquad \operatorname{rotate\_half}([a, b]) = [-b, a]$$
#
# Write out both halves and you find $a\cos - b\sin$ and $b\cos + a\sin$, the same numbers.

# %% id="a-b-heads-chunk-2-dim"
angles = rope.rope_angles(where, 128, 1_000_000.0)
a, b = heads.chunk(2, dim=-1)
cos, sin = (torch.cat((part, part), -1)[:, None] for part in (angles.cos(), angles.sin()))
rotated = rope.apply_rope(heads, angles.cos(), angles.sin())
hadamard = heads * cos + torch.cat((-b, a), -1) * sin
print("Hadamard form agrees:", torch.allclose(hadamard, rotated, atol=1e-6))

# %% [markdown] id="checked-against-the-real-thing-4"
# Neighbours have an elegant form. Read each pair as one complex number $a + b\,\mathrm{i}$, and the rotation is a single
# product: $(a + b\,\mathrm{i}) \cdot e^{\mathrm{i}\varphi}$. Meta's Llama code is written this way.

# %% id="x-torch-randn-3-5-8"
x = torch.randn(3, 5, 8, generator=seeded(7), dtype=torch.float64)
angles = rope.rope_angles(torch.arange(5), 8).double()
as_complex = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
product = torch.view_as_real(as_complex * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
ours = rope.rotate_neighbours(x, angles.cos(), angles.sin())
print("the complex product agrees:", torch.allclose(product, ours))

# %% [markdown] id="measured"
# ## Further: scaling and a model that copies
#
# What do the rules of section 10 do to a model that copies? The small model of section 5 was trained on texts of 48 tokens that
# repeat every 8 to 20 tokens, with the base 100. As in Llama 2, some of its planes complete a turn within that length and some do
# not:

# %% id="print-turns-of-each-plane-in"
print("turns of each plane in 48 tokens:")
turns = position_toys.TRAINED_LENGTH * rope.rope_frequencies(32, 100.0) / (2 * math.pi)
print(rounded(turns, 1))

# %% [markdown] id="it-must-now-copy-from-distances"
# Now it has to copy from distances up to 128, in texts of twice that length, under each rule and **without any further
# training**. Plain RoPE is black (up to 24 tokens its curve is hidden under that of *dynamic*). "4 times" means texts of 192
# tokens, so a distance of 96.
#
# > **Predict.** Which rule is the worst at *short* distances, and why?

# %% id="explorers-rope-context-extension"
explorers.rope.context_extension()

# %% [markdown] id="plain-rope-is-good-where-it"
# - **Plain** RoPE is good at trained lengths and fails abruptly beyond them.
# - **Interpolation** is bad everywhere, even at 8 tokens. The next cell shows why.
# - **NTK-aware, YaRN and Llama 3** change the fast planes little or not at all. They work at longer distances
#   than plain RoPE does, and at 8 and 12 tokens they cost 1 to 2.5 nats, although the previous token is still found (next cell).
# - **Dynamic** costs nothing on short texts, which it leaves unchanged. That is its purpose.
# - At 96 tokens, the distance asked for, no rule works: every loss is above 3.5 nats.
#
# This is one small model with one seed: the *shapes* of the curves are meaningful, small differences are not.
#
# Why does interpolation hurt at distances that were trained? Some heads of the first layer read the previous token, which they
# find by its angle, one step of the fast planes. How much of their weight still goes there?

# %% id="for-scaling-in-plain-interpolation-ntk-2"
from course_lib.attention import previous_token_score

for scaling in ("plain", "interpolation", "NTK-aware", "YaRN"):
    request = scalings.rope_request(scaling, 4, 32, 100.0, 48)
    cos, sin = rope.rope_cos_sin(torch.arange(40, device=device), 32, request, 48)
    _, weights = copier.attentions[0](
        copier.norms[0](copier.embed(text)),
        causal_mask(40, device=device),
        rotate=lambda x, cos=cos, sin=sin: rope.apply_rope(x, cos, sin),
        return_weights=True,
    )
    print(
        f"{scaling:13} on the previous token, by head:",
        rounded(previous_token_score(weights)[0], 2),
    )

# %% [markdown] id="one-small-model-on-one-task"
# Interpolation makes one step four times smaller: the angle that used to mean "one back" now belongs to "four back". These
# heads no longer find the previous token. Chen et al. 2023 train with the new angles for up to 1000 steps, after which the
# loss is low again.

# %% [markdown] id="how-the-text-was-measured"
# Copying is a hard test: a head that misses the previous token fails completely. So the course model of section 10 is harmed less.
# It too has planes of both kinds. `reveal` shows how its losses were measured:

# %% id="config-trained-model-course-model-config"
config = course_model_probes.course_model().config
base = config.rope_parameters["rope_theta"]
turns = config.max_position_embeddings * rope.rope_frequencies(config.head_dim, base) / math.tau
print(f"trained on texts of {config.max_position_embeddings} tokens, with the base {base:,.0f}")
print(f"{int((turns >= 1).sum())} of its {len(turns)} planes complete a turn within them")

# %% id="reveal-long-texts-measure"
reveal(long_texts.measure)

# %% [markdown] id="further-variants"
# ## Further: partial rotary, no positions, several axes
#
# **Partial rotary.** Some models rotate only a part of each head (`partial_rotary_factor`; GPT-NeoX, Phi). The remaining
# features compare content independently of distance. `apply_rope` does so when it gets fewer planes than D/2:

# %% id="partial-rotary"
heads = torch.randn(1, 2, 5, 16, generator=seeded(21))
angles = rope.rope_angles(torch.arange(5), 8)  # four planes: the first 8 of 16 features
partly = rope.apply_rope(heads, angles.cos(), angles.sin())
print("first 8 features changed:  ", not torch.allclose(partly[..., :8], heads[..., :8]))
print("other features unchanged:  ", torch.equal(partly[..., 8:], heads[..., 8:]))

# %% [markdown] id="further-nope-and-others"
# **No positions (NoPE).** A causal model without any positions can learn some order (section 1). Some recent models leave RoPE out
# of every fourth layer or so and keep it in the others (Llama 4, SmolLM3, Command A). Layers
# without it have no unseen angles at long distances. In Llama 4 and Command A the layers with RoPE also read only locally; in
# SmolLM3 they read everything.
#
# **MLA** (DeepSeek) compresses keys, and a rotation cannot pass through the compression; so each head gets a few extra
# features that carry RoPE, and the compressed ones carry none ("decoupled RoPE").
#
# **M-RoPE** (Qwen-VL) gives tokens of pictures and videos three positions, time, row and column, and assigns each plane to one
# of them.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Attention sees a set. Order is added to the vectors (learned or sinusoidal rows) or to the scores (relative biases, ALiBi,
#    RoPE).
# 2. RoPE rotates each pair of features of queries and keys by position · base^(−2i/D). Scores then depend only on m − n. Values
#    are not rotated. In a cache, keys are stored rotated.
# 3. Two layouts pair the features, halves and neighbours. They differ in the order of rows within each head; mixing them
#    raises no error and ruins the model.
# 4. Nothing in RoPE makes scores decay by itself: independent pairs have mean 0 at every distance; for equal ones it falls.
# 5. Beyond the trained length slow planes meet unseen angles. Interpolation slows all planes; NTK-aware, YaRN and Llama 3
#    spare the fast ones; ABF enlarges the base and trains on.
#
# ### Test yourself

# %% id="quiz-rope"
quiz("rope")

# %% [markdown] id="papers"
# ### Papers
# - Vaswani et al. 2017, *Attention is all you need*, arXiv:1706.03762: the sinusoidal table.
# - Raffel et al. 2019, *Exploring the limits of transfer learning with a unified text-to-text transformer*,
#   arXiv:1910.10683: relative buckets.
# - Press, Smith & Lewis 2021, *Train short, test long*, arXiv:2108.12409: ALiBi.
# - Su et al. 2021, *RoFormer*, arXiv:2104.09864: RoPE.
# - Chen et al. 2023, *Extending context window of large language models via positional interpolation*, arXiv:2306.15595.
# - Peng et al. 2023, *YaRN*, arXiv:2309.00071, also on the NTK-aware base.
# - Xiong et al. 2023, *Effective long-context scaling of foundation models*, arXiv:2309.16039: ABF.
# - Kazemnejad et al. 2023, *The impact of positional encoding on length generalization in Transformers*, arXiv:2305.19466: NoPE.
# - Qwen Team 2025, *Qwen3 technical report*, arXiv:2505.09388.
# - Grattafiori et al. 2024, *The Llama 3 herd of models*, arXiv:2407.21783.
# - Olsson et al. 2022, *In-context learning and induction heads*, arXiv:2209.11895: the task of the small models.
#
# **Next:** [MLP and experts](07_mlp.ipynb), the other two thirds of every block.
