# %% [markdown] id="06-positions-and-rope"
# # 06 · Positions and RoPE
#
# **How does a model know what comes first, and what happens past the length it was trained on?**
#
# Attention compares vectors. A vector says what a token is; nothing in it says where the token stands. So the order of a
# text has to be put in by hand. There are four ways to do it that matter, and nearly every model you will meet today uses
# one of them: RoPE, which turns queries and keys like the hands of a clock.
#
# After this notebook you can
# - say what each way does, where it enters the model, and what it does behind the trained length;
# - write RoPE in both of its layouts, convert a checkpoint from one to the other, and prove what the score depends on;
# - read a `rope_parameters` entry of a config, and say which planes it slows and why;
# - tell what falls with distance under RoPE and what does not.
#
# About two hours. You need notebook [Attention](05_attention.ipynb); nothing is downloaded.

# %% id="imports"
import math

import torch

from course_lib import positions, rope
from course_lib.attention import (
    attention_weights,
    causal_mask,
    previous_token_score,
    scaled_dot_product_attention,
)
from course_lib.chapters.rope import position_toys
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

# %% [markdown] id="1-attention-sees-a-set"
# ## 1 · Attention sees a set
#
# > **Predict.** Five tokens go through attention without a mask. Then the same five in the order 3, 0, 4, 1, 2. Which
# > outputs come out the second time?

# %% id="x-torch-randn-1-5-8"
x = torch.randn(1, 5, 8, generator=seeded(0), dtype=torch.float64)
order = torch.tensor([3, 0, 4, 1, 2])
plain = scaled_dot_product_attention(x, x, x)
shuffled = scaled_dot_product_attention(x[:, order], x[:, order], x[:, order])
print("the same outputs, shuffled:", torch.allclose(shuffled, plain[:, order]))

# %% [markdown] id="the-same-ones-shuffled-along-the"
# The same ones, shuffled along. "The dog bit the man" and "the man bit the dog" are one and the same bag of words to it. A
# causal mask helps a little, since the first token then sees one token and the fifth sees five. But among the tokens that
# it may read, a query still cannot tell the last from the first.
#
# There are two places where order can be put in:
# - **into the vectors**, one position at a time: add a row that belongs to position 0, 1, 2, … (section 2);
# - **into the scores**, one pair at a time: let the score of query $i$ and key $j$ depend on $i - j$ (sections 3 and 4).

# %% [markdown] id="2-a-row-for-each-position"
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
# There is nothing to look up. Could the rows be *computed* instead? The first Transformer did so, with waves. Take $C/2$
# waves, from fast to slow, and write down the sine and the cosine of each at position $t$:
#
# $$\text{row}_t = [\sin t\omega_0,\ \cos t\omega_0,\ \sin t\omega_1,\ \cos t\omega_1,\ \dots] \qquad \omega_i = \text{base}^{-2i/C}$$
#
# Each pair is a hand on a clock, and the clocks run at different speeds. A fast clock tells neighbours apart, a slow one
# tells the beginning from the end, as seconds and hours do.
#
# Small enough for the head: width $C = 4$ and base 100. There are two waves, with the speeds 1 and $100^{-2/4} = 0.1$. The
# row of position 1 is sin 1, cos 1, sin 0.1, cos 0.1, or **0.841, 0.540, 0.100, 0.995**.

# %% id="for-t-row-in-enumerate-positions"
for t, row in enumerate(positions.sinusoidal_table(3, 4, base=100.0)):
    print(f"position {t}:", rounded(row))

# %% [markdown] id="build-it"
# ### Build it


# %% id="rope.sinusoidal"
@exercise("rope.sinusoidal")
def sinusoidal_table(length, width, base=10_000.0):
    """Return one row per position: sine and cosine of each wave, side by side."""
    ...


# %% [markdown] id="stuck-hint-in-a-new-cell"
# Stuck? `hint()` in a new cell gives a little, then a little more.

# %% id="reveal-sinusoidal"
reveal("rope.sinusoidal")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# Marian, a family of translation models, still uses this table. It writes all sines first and then all cosines. That is
# another order of the columns, and nothing more:

# %% id="theirs-mariansinusoidalpositionalembedding-64-32"
from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

theirs = MarianSinusoidalPositionalEmbedding(64, 32).create_weight()
ours = positions.sinusoidal_table(64, 32)
blocks = torch.cat((ours[:, 0::2], ours[:, 1::2]), dim=1)
print("agrees with Marian after sorting the columns:", bool((blocks - theirs).abs().max() < 1e-6))

# %% [markdown] id="what-the-waves-are-good-for"
# ### What the waves are good for
# Multiply two rows with each other. Each wave adds $\sin m\omega \sin n\omega + \cos m\omega \cos n\omega$, and by a rule from
# school that is $\cos\,(m-n)\omega$. So the similarity of two rows depends on their **distance** alone, at any place in the
# text:

# %% id="rows-positions-sinusoidal-table-200-32"
rows = positions.sinusoidal_table(200, 32).double()
for m, n in ((5, 2), (105, 102), (196, 193)):
    print(f"row {m} · row {n} = {rows[m] @ rows[n]:.4f}")

# %% [markdown] id="play-with-it"
# ### Play with it
# Left the table itself, in the middle how similar its rows are, and right the same for shuffled rows, as a control: a
# shuffled table has no stripes. Choose the *learned* table. It was trained in one of the small models of
# section 9, and nobody told it that neighbours should resemble each other. Did it find stripes?

# %% id="explorers-rope-position-table"
explorers.rope.position_table()

# %% id="learned-position-models-trained-learned-table"
learned = position_toys.trained("learned").table
random = torch.randn(learned.shape, generator=seeded(18))
for name, table in (("sinusoidal", rows[:48]), ("learned", learned), ("random", random)):
    share = figures.rope.share_by_distance(figures.rope.similarities(table))
    print(f"{name:10} {100 * share:3.0f} % of the similarity of two rows is told by their distance")

# %% [markdown] id="the-sinusoidal-table-is-all-stripes"
# The sinusoidal table is all stripes, by construction. A random one has none. The learned one began as random numbers, and
# training has drawn a faint band along its diagonal: near positions have become a little alike.

# %% [markdown] id="3-a-number-for-each-distance"
# ## 3 · A number for each distance
#
# Adding positions to the vectors mixes *what* with *where*. The other way leaves the vectors alone and adds to each score a
# number that depends on the distance. T5 **learns** these numbers. Near distances get a number of their own, far ones share
# one, in buckets that grow:

# %% id="distances-torch-tensor-0-1-2"
distances = torch.tensor([0, 1, 2, 5, 10, 15, 16, 20, 30, 60, 100, 127, 128, 5000])
offsets = -distances[None]  # key position minus query position: the past is negative
buckets = positions.relative_position_bucket(offsets, bidirectional=False)[0]
for distance, bucket in zip(distances.tolist(), buckets.tolist(), strict=True):
    print(f"{distance} tokens back: bucket {bucket}")

# %% [markdown] id="from-128-on-everything-is-far"
# The last bucket holds everything that is far. There is always a number to add, whatever the length.
#
# **ALiBi** does not even learn. Each token of distance costs the same, and each head has its own price:
#
# $$\text{score}_{ij} \leftarrow \text{score}_{ij} - s_h\,|i-j| \qquad s_h = 2^{-8h/H},\quad h = 1 \dots H$$
#
# By hand: eight heads have the slopes ½, ¼, ⅛, … 1/256. In the first, a token three places back loses 1.5, so before
# softmax its factor is $e^{-1.5} = 0.22$. In the last it loses $3/256 = 0.012$, and hardly notices.
#
# > **Predict.** A model has four heads instead of eight. Is its steepest slope ½ as well?

# %% id="for-heads-in-8-4-6"
for heads in (8, 4, 6):
    slopes = positions.alibi_slopes(heads).tolist()
    print(f"{heads} heads:", ", ".join(f"1/{1 / slope:.4g}" for slope in slopes))

# %% [markdown] id="with-four-heads-it-starts-at"
# With four heads it starts at ¼: the slopes always end at 1/256, and four steps get there faster. For six heads, no power of
# two, the rule takes the slopes of four heads and fills up with every second one of eight: ½ and ⅛.

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="rope.alibi_slopes"
@exercise("rope.alibi_slopes")
def alibi_slopes(num_heads):
    """Return each head's penalty per token of distance."""
    ...


# %% id="reveal-alibi-slopes"
reveal("rope.alibi_slopes")

# %% [markdown] id="now-the-penalty-for-each-pair"
# Now the penalty for each pair of tokens. While a model writes, its queries are the newest of many keys, so there may be
# more keys than queries. `token_offsets(queries, keys)` of the last notebook counts them rightly.


# %% id="rope.alibi_bias"
@exercise("rope.alibi_bias")
def alibi_bias(slopes, queries, keys=None):
    """Return minus slope times distance, (heads, queries, keys)."""
    ...


# %% id="reveal-alibi-bias"
reveal("rope.alibi_bias")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# BLOOM was trained with ALiBi. Look at what its code adds: slope times the position of the *key*, without any query in it.

# %% id="theirs-build-alibi-tensor-torch-ones"
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

theirs = build_alibi_tensor(torch.ones(1, 4), 8, torch.float32)
ours = positions.alibi_bias(positions.alibi_slopes(8), 4)
print("BLOOM, head 1, every query:", rounded(theirs[0, 0]))
print("ours, head 1, last query:  ", rounded(ours[0, -1]))

# %% [markdown] id="predict-bloom-s-numbers-grow-where"
# > **Predict.** BLOOM's numbers grow where ours fall towards the past. Is that the same model?

# %% id="q-k-torch-randn-1-8"
q, k = (torch.randn(1, 8, 4, 16, generator=seeded(seed)) for seed in (2, 3))
for name, mask in (("causal", causal_mask(4)), ("both ways", None)):
    same = torch.allclose(
        attention_weights(q, k, mask, bias=ours),
        attention_weights(q, k, mask, bias=theirs),
        atol=1e-6,
    )
    print(f"{name}: the same weights: {same}")

# %% [markdown] id="play-with-it-2"
# Under a causal mask it is. In the row of query $i$ the two differ by the constant $s_h\, i$, and softmax does not see
# constants (notebook [Softmax](04_softmax.ipynb)). Without the mask they part: there the absolute value matters.
#
# ### Play with it
# Choose a head. With equal scores, how far back does it read? Steep heads see a handful of tokens, flat ones hundreds.

# %% id="explorers-rope-alibi"
explorers.rope.alibi()

# %% [markdown] id="4-turn-do-not-add"
# ## 4 · Turn, do not add
#
# RoPE puts the distance into the score without adding anything to it. Cut query and key into pairs of features. Each pair
# is a hand on a clock. **Turn the hand by an angle that grows with the position.** A query at $m$ has been turned by $m$
# steps, a key at $n$ by $n$ steps, and the angle between the two has changed by $m - n$ steps. A dot product of two hands
# sees their lengths and the angle between them, and nothing else.
#
# $$\begin{pmatrix} a' \\ b' \end{pmatrix} = \begin{pmatrix} \cos\varphi & -\sin\varphi \\ \sin\varphi & \cos\varphi \end{pmatrix} \begin{pmatrix} a \\ b \end{pmatrix} \qquad \varphi = t \cdot \text{base}^{-2i/D}$$
#
# for the token at position $t$ and plane $i = 0 \dots D/2 - 1$ of a head of width $D$. The speeds are those of the
# sinusoidal table: fast planes for neighbours, slow ones for long ways.
#
# By hand: width 4, base 100, position 3. The two planes turn by 1 and 0.1 per token, so by **3 and 0.3**.
#
# > **Predict.** Two heads have the widths 64 and 128, and the same base of 10 000. Which has the slower slowest plane?

# %% id="print-width-4-base-100-position"
print("width 4, base 100, position 3:", rounded(rope.rope_angles(torch.tensor([3]), 4, 100.0)[0]))
for head_dim in (4, 64, 128):
    slowest = rope.rope_frequencies(head_dim)[-1].item()
    print(f"width {head_dim}: the slowest plane turns by {slowest:.6f} per token")

# %% [markdown] id="build-it-3"
# The wider one, by a little: the last exponent is $-(D-2)/D$, which comes closer to $-1$.
#
# ### Build it
# Positions may have any shape: a batch in which each text starts elsewhere has a matrix of them.


# %% id="rope.angles"
@exercise("rope.angles")
def rope_angles(positions, head_dim, base=10_000.0):
    """Return position · base^(−2i/head_dim) for each plane i, in a new last axis."""
    ...


# %% id="reveal-angles"
reveal("rope.angles")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# A head of width 8 has four clocks. Blue is the query's hand, red the key's. Move $m$ and $n$ apart, and the score goes up
# and down. Then move *both together*: the hands race around, and what is written below each clock stays as it is.

# %% id="explorers-rope-clocks"
explorers.rope.clocks()

# %% [markdown] id="build-it-4"
# ### Build it
# Now the turn itself. Which two features make a plane? In Qwen, Llama (as Hugging Face stores it) and most others, plane
# $i$ is made of the features $i$ and $i + D/2$: cut the vector into two **halves**, and take one feature from each.
#
# By hand: (1, 2) turned by a quarter, with cos 0 and sin 1, is $(1\cdot 0 - 2\cdot 1,\ 1\cdot 1 + 2\cdot 0) =$ **(−2, 1)**.


# %% id="rope.halves"
@exercise("rope.halves")
def rotate_halves(x, cos, sin):
    """Turn each plane (i, i + D/2) of `x` (…, T, D) by its angle; cos and sin are (…, T, D/2)."""
    ...


# %% id="reveal-halves"
reveal("rope.halves")

# %% [markdown] id="does-the-score-depend-on-m"
# ### Does the score depend on m − n only?
# Take any query and key, put them at $m$ and $n$, and then move both on by 1 000 and by 100 000 positions.
#
# > **Predict.** In float64, by how much will the score change? And what if the angles are computed in float32, as in most
# > models?

# %% id="q-k-torch-randn-1-128"
q, k = (torch.randn(1, 128, generator=seeded(seed), dtype=torch.float64) for seed in (4, 5))
speed = 10_000.0 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)


def score(m, n, dtype):
    """Return the score of q at m and k at n, with angles in this type."""
    turned = []
    for x, t in ((q, m), (k, n)):
        angle = (torch.tensor([[t]], dtype=dtype) * speed.to(dtype)).double()
        turned.append(rope.rotate_halves(x, angle.cos(), angle.sin()))
    return (turned[0] @ turned[1].T).item()


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

# %% [markdown] id="in-exact-arithmetic-it-does-not"
# In exact arithmetic it does not change at all. In floating point large angles are coarse, and the score feels it. How far
# apart are neighbouring numbers at 100 000?

# %% id="for-dtype-in-torch-float64-torch-2"
for dtype in (torch.float64, torch.float32, torch.bfloat16):
    print(f"{dtype!s:15} {2.0**16 * torch.finfo(dtype).eps:.2g} radians")

# %% [markdown] id="checked-against-the-real-thing-3"
# In bfloat16 an angle of 100 000 would be wrong by many turns. This is why libraries compute angles in float32 even where
# the model runs in bfloat16.
#
# ### Checked against the real thing
# Queries of four heads through the rotary code of `transformers`' Qwen3, with its base of 1 000 000 and positions that start
# elsewhere in each text of the batch:

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

# %% [markdown] id="its-code-looks-different-it-repeats"
# Its code looks different. It repeats the cosines for both halves and writes the turn as two products, feature by feature,
# which is known as the Hadamard form:
#
# $$x' = x \odot \cos + \operatorname{rotate\_half}(x) \odot \sin \qquad \operatorname{rotate\_half}([a, b]) = [-b, a]$$
#
# Write out both halves and you find $a\cos - b\sin$ and $b\cos + a\sin$, the same thing.

# %% id="a-b-heads-chunk-2-dim"
a, b = heads.chunk(2, dim=-1)
cos, sin = (torch.cat((part, part), -1)[:, None] for part in (angles.cos(), angles.sin()))
hadamard = heads * cos + torch.cat((-b, a), -1) * sin
print("Hadamard form agrees:", torch.allclose(hadamard, ours, atol=1e-6))

# %% [markdown] id="5-two-layouts-in-the-wild"
# ## 5 · Two layouts in the wild
#
# The paper on RoPE pairs **neighbours**: plane $i$ is made of the features $2i$ and $2i+1$. Meta's own Llama files and GPT-J
# do so too. For a head of width 6:
#
# | | plane 0 | plane 1 | plane 2 |
# |---|---|---|---|
# | halves | 0 and 3 | 1 and 4 | 2 and 5 |
# | neighbours | 0 and 1 | 2 and 3 | 4 and 5 |
#
# Nothing in a checkpoint says which one it was trained with. You have to know.


# %% id="rope.neighbours"
@exercise("rope.neighbours")
def rotate_neighbours(x, cos, sin):
    """Turn each plane (2i, 2i + 1) of `x` (…, T, D) by its angle; features keep their places."""
    ...


# %% id="reveal-neighbours"
reveal("rope.neighbours")

# %% [markdown] id="checked-against-the-real-thing-4"
# ### Checked against the real thing
# Neighbours have a charm of their own. Read each pair as one complex number $a + b\,\mathrm{i}$, and the turn is a single
# product: $(a + b\,\mathrm{i}) \cdot e^{\mathrm{i}\varphi}$. Meta's Llama code is written so.

# %% id="x-torch-randn-3-5-8"
x = torch.randn(3, 5, 8, generator=seeded(7), dtype=torch.float64)
angles = rope.rope_angles(torch.arange(5), 8).double()
as_complex = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
product = torch.view_as_real(as_complex * torch.polar(torch.ones_like(angles), angles)).flatten(-2)
ours = rope.rotate_neighbours(x, angles.cos(), angles.sin())
print("the complex product agrees:", torch.allclose(product, ours))

# %% [markdown] id="from-one-to-the-other"
# ### From one to the other
# A layout is only a name for the features. The features of a query are the rows of its projection, so sort the rows: within
# each head, row $2i$ goes to place $i$ and row $2i+1$ to place $D/2 + i$. If queries *and* keys are sorted alike, every dot
# product keeps its value.
#
# By hand: rows 0, 1, 2, 3, 4, 5 of a head of width 6 become **0, 2, 4, 1, 3, 5**.
#
# > **Predict.** Apply the same sorting to a head of width 4 twice. What comes out? And for width 6?


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
# With width 4 you are back where you began, so a test with heads of width 4 cannot tell the way there from the way back.
#
# Now a whole projection, three heads of width 8, tokens of width 24. Turned as neighbours, or converted and turned as
# halves: the scores must agree.

# %% id="tokens-torch-randn-1-5-24"
tokens = torch.randn(1, 5, 24, generator=seeded(8), dtype=torch.float64)
w_q, w_k = (torch.randn(24, 24, generator=seeded(s), dtype=torch.float64) for s in (9, 10))


def scores(w_q, w_k, layout):
    """Return the scores of all heads after RoPE in this layout."""
    q, k = ((tokens @ w.T).view(1, 5, 3, 8).transpose(1, 2) for w in (w_q, w_k))
    q, k = (rope.apply_rope(part, angles.cos(), angles.sin(), layout) for part in (q, k))
    return q @ k.transpose(-2, -1)


wanted = scores(w_q, w_k, "neighbours")
converted = [rope.neighbours_to_halves(w, num_heads=3) for w in (w_q, w_k)]
print("converted, turned as halves:", torch.allclose(scores(*converted, "halves"), wanted))
print("not converted:              ", torch.allclose(scores(w_q, w_k, "halves"), wanted))

# %% [markdown] id="mix-them-and-see-who-notices"
# ### Mix them, and see who notices
# One of the small models of section 9 was trained with halves. It copies repeating texts. Here it runs on one such text,
# once as trained and once with neighbours turned. Nothing raises an error; shapes and lengths are all right.
#
# > **Predict.** For which of the first tokens are the model's predictions still what they were?

# %% id="copier-position-models-trained-rope"
copier = position_toys.trained("rope")
text = position_toys.repeated_texts([12], 40, seeded(11))
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
print(f"a guess among {position_toys.VOCABULARY} tokens: {math.log(position_toys.VOCABULARY):.1f}")

# %% [markdown] id="the-first-token-is-right-at"
# The first token is right: at position 0 nothing is turned. The first few look fine, since there is little to read yet. Then
# the model is lost. A wrong layout does not crash; it looks like a bad model. If a checkpoint you have converted writes well
# for a word or two and then falls apart, suspect the layout first.

# %% [markdown] id="6-values-are-not-turned"
# ## 6 · Values are not turned
#
# Queries and keys meet in a product, and only the *difference* of their turns is left. A value meets nobody: it is read,
# added to others and passed on. Turn it, and the turn stays in the output.
#
# > **Predict.** Twelve tokens go through attention with RoPE, once at the positions 0 … 11 and once at 100 … 111. Do the
# > outputs agree? And if the values are turned as well?

# %% id="q-k-v"
q, k, v = (
    torch.randn(1, 2, 12, 16, generator=seeded(s), dtype=torch.float64) for s in range(12, 15)
)


def outputs(start, turn_values):
    """Return attention's outputs for tokens that begin at position `start`."""
    angle = (torch.arange(12) + start).double()[:, None] * 100.0 ** (-torch.arange(8) / 8)
    turned = [rope.apply_rope(part, angle.cos(), angle.sin()) for part in (q, k, v)]
    return scaled_dot_product_attention(*turned[:2], turned[2] if turn_values else v)


for turn_values in (False, True):
    same = torch.allclose(outputs(0, turn_values), outputs(100, turn_values))
    print(f"values turned: {turn_values!s:5}  the same outputs at another place: {same}")

# %% [markdown] id="7-what-falls-with-distance-and"
# ## 7 · What falls with distance, and what does not
#
# It is often said that RoPE "makes scores decay with distance". Let us measure. Take many queries and keys that have
# nothing to do with each other, and many pairs in which the key *equals* the query.
#
# > **Predict.** Which of the two means falls with distance?

# %% id="explorers-rope-decay"
explorers.rope.decay()

# %% [markdown] id="for-a-query-that-equals-its"
# For a query that equals its key each plane adds $2\cos(\text{distance}\cdot\omega_i)$ on average, and these cosines fall out
# of step. For independent pairs the mean is 0 at every distance, and the spread is the same everywhere: a turned random
# vector is as random as before.
#
# A trained model is neither. It can learn a query whose best key lies five tokens back: choose a key, turn it *back* by
# five steps, and take that as the query. At a distance of five the position turns it forward again.

# %% id="key-torch-randn-1-64-generator"
key = torch.randn(1, 64, generator=seeded(16), dtype=torch.float64)
steps = rope.rope_angles(torch.arange(12), 64, 100.0).double()
back = steps[5:6]
query = rope.rotate_halves(key, back.cos(), -back.sin())  # turned back by five steps
at_distance = rope.rotate_halves(query.expand(12, -1), steps.cos(), steps.sin()) @ key[0]
for distance in (0, 1, 3, 5, 7, 11):
    print(f"{distance:2} tokens back: {at_distance[distance] / 8:5.1f}")
print("largest at distance", int(at_distance.argmax()))

# %% [markdown] id="the-score-rises-up-to-distance"
# The score is largest at distance 5, not at 0. RoPE lets a head prefer any distance that it likes. What is built in is no decay, but
# the means to see distance.

# %% [markdown] id="8-past-the-trained-length"
# ## 8 · Past the trained length
#
# Every angle can be computed, at any position. But has the model ever seen it? A plane that has gone round many times
# during training has seen all of its angles. A slow plane may have covered a small part of its circle; from there on, each
# further token brings an angle that no weight was trained for. How long does plane $i$ need for one turn?
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
# All remedies have one thought in common: if texts become $s$ times as long, slow the planes down, so that none turns
# further than in training. They differ in *which* planes.
#
# - **Position interpolation** (`linear` in configs): all planes, by $s$. Position 4 is where position 1 was.
# - **NTK-aware**: a larger base. The slowest plane by $s$, the fastest not at all, and the others in between.
# - **Dynamic**: NTK-aware, with an $s$ that grows with the text. Short texts are left alone.
# - **YaRN**: planes that turn often in training not at all; planes that do not complete a turn by $s$; a ramp between. And the
#   scores are made a little sharper.
# - **Llama 3**: the same thought with a ramp of its own.
#
# The NTK-aware base follows from its one demand. The slowest plane has the frequency $\text{base}^{-(D-2)/D}$, and that is to
# become $s$ times smaller:
#
# $$\text{base}'^{-\frac{D-2}{D}} = \text{base}^{-\frac{D-2}{D}} / s \quad\Longrightarrow\quad \text{base}' = \text{base} \cdot s^{\frac{D}{D-2}}$$
#
# By hand: $D = 4$, base 100, $s = 2$. The exponent is 4/2 = 2, so the new base is $100 \cdot 2^2 =$ **400**.


# %% id="rope.ntk_base"
@exercise("rope.ntk_base")
def ntk_aware_base(base, factor, head_dim):
    """Return the base with which the slowest plane turns `factor` times slower."""
    ...


# %% id="reveal-ntk-base"
reveal("rope.ntk_base")

# %% [markdown] id="qwen3-s-base-is-not-this"
# ### Qwen3's base is not this
# Qwen3 has a base of 1 000 000, and it is tempting to read that as "NTK-aware scaling of 10 000". It is a base the model was
# *trained* with: its pretraining ended on texts of 32 768 tokens with this base, and the weights adapted to it. That is 8 times
# the length of Llama 2's texts, and the rule for 8 times gives another number:

# %% id="for-factor-in-4-8-100"
for factor in (4, 8, 100):
    print(
        f"10 000, for texts {factor} times as long: {rope.ntk_aware_base(1e4, float(factor), 128):,.0f}"
    )
slower = rope.rope_frequencies(128, 1e4)[-1] / rope.rope_frequencies(128, 1e6)[-1]
print(f"the slowest plane of base 1 000 000 is {slower:.1f} times slower than that of 10 000")
print(f"that is the rule for texts of {4096 * slower:,.0f} tokens instead of Llama 2's 4,096")

# %% id="show-figures-rope-larger-base-10"
show(figures.rope.larger_base(10_000, 1_000_000, 4, 128))

# %% [markdown] id="build-it-llama-3-s-rule"
# The weights of Qwen3 have learned with these slow planes. Put the base 1 000 000 into a model that was trained with
# 10 000, and you change every plane behind the first under its feet.
#
# ### Build it: Llama 3's rule
# Count how often each plane turns within the trained length. From 4 turns on (`high_freq_factor`) leave it alone, up to 1
# turn (`low_freq_factor`) divide its frequency by the factor, and between blend the two, linearly in the number of turns.
#
# By hand: factor 8, a plane with 2.5 turns. That is half way from 1 to 4, so half of it stays and half is divided by 8:
# $0.5 + 0.5/8 =$ **0.5625** of the old frequency.


# %% id="rope.llama3"
@exercise("rope.llama3")
def llama3_frequencies(frequencies, factor, low_freq_factor, high_freq_factor, trained_length):
    """Return the frequencies, slowed by `factor` where a plane turns too seldom."""
    ...


# %% id="reveal-llama3"
reveal("rope.llama3")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# By how much does each rule slow each plane? Change the factor and the base.

# %% id="explorers-rope-slowdown"
explorers.rope.slowdown()

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing
# A config says all of this in its `rope_parameters`. `transformers` keeps one function for each `rope_type`; here are all of
# them beside ours, frequencies and attention factor:

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

# %% [markdown] id="measured"
# ### Measured
# Enough of angles: what does a *model* make of them? The small RoPE model was trained on texts of 48 tokens that repeat
# every 8 to 20 tokens, with the base 100: as in Llama 2, some of its planes turn in full within that length and some do not.

# %% id="print-turns-of-each-plane-in"
print("turns of each plane in 48 tokens:")
turns = position_toys.TRAINED_LENGTH * rope.rope_frequencies(32, 100.0) / (2 * math.pi)
print(rounded(turns, 1))

# %% [markdown] id="it-must-now-copy-from-distances"
# It must now copy from distances up to 128, in texts of twice that length, under each rule and **without any further
# training**. Plain RoPE is black. "4 times" means texts of 192 tokens, so a distance of 96.
#
# > **Predict.** Which rule is the worst at *short* distances, and why?

# %% id="explorers-rope-context-extension"
explorers.rope.context_extension()

# %% [markdown] id="plain-rope-is-good-where-it"
# - **Plain** RoPE is good where it was trained and falls off a cliff behind.
# - **Interpolation** is bad everywhere, even at 8 tokens. The cell after the next shows why.
# - **NTK-aware, YaRN and Llama 3** spare the fast planes and carry the skill further, at a price for short texts.
# - **Dynamic** pays nothing on short texts, for it leaves them alone. That is its point.
#
# The numbers, for texts stretched four times:

# %% id="for-scaling-in-plain-interpolation-ntk"
for scaling in ("plain", "interpolation", "NTK-aware", "dynamic", "YaRN", "Llama 3"):
    request = figures.rope.rope_request(scaling, 4, 32, 100.0, 48)
    losses = [position_toys.loss_at_distance(copier, d, rope=request) for d in (8, 16, 32, 64)]
    print(f"{scaling:13}", "  ".join(f"{loss:4.1f}" for loss in losses), " at 8, 16, 32, 64 tokens")

# %% [markdown] id="why-does-interpolation-hurt-where-nothing"
# Why does interpolation hurt where nothing was too long? Look into the first layer. Some heads there read the token before
# the present one, and they find it by its angle, one step of the fast planes. How much of their weight still goes there?

# %% id="for-scaling-in-plain-interpolation-ntk-2"
for scaling in ("plain", "interpolation", "NTK-aware", "YaRN"):
    request = figures.rope.rope_request(scaling, 4, 32, 100.0, 48)
    cos, sin = rope.rope_cos_sin(torch.arange(40), 32, request, 48)
    _, weights = copier.attentions[0](
        copier.norms[0](copier.embed(text)),
        causal_mask(40),
        rotate=lambda x, cos=cos, sin=sin: rope.apply_rope(x, cos, sin),
        return_weights=True,
    )
    print(
        f"{scaling:13} on the token before, by head:", rounded(previous_token_score(weights)[0], 2)
    )

# %% [markdown] id="one-small-model-on-one-task"
# Interpolation makes one step four times smaller: the angle of "one back" now belongs to "four back". These heads have lost
# their neighbour. Chen et al. 2023 train for some hundreds of steps with the new angles, and the model finds it again.
#
# One small model on one task: take the *kinds* of curves from it, not the numbers.

# %% [markdown] id="a-model-that-has-read-text"
# ### A model that has read text
# Copying is a hard test: one lost neighbour, and all is lost. What about text? The course has a model of its own (you will build
# it in notebook [The whole transformer](08_transformer.ipynb)). It was trained on texts of 256 tokens, with the base 10 000, so it has planes of both kinds:

# %% id="config-trained-model-course-model-config"
config = course_model_probes.course_model().config
base = config.rope_parameters["rope_theta"]
turns = config.max_position_embeddings * rope.rope_frequencies(config.head_dim, base) / math.tau
print(f"trained on texts of {config.max_position_embeddings} tokens, with the base {base:,.0f}")
print(f"{int((turns >= 1).sum())} of its {len(turns)} planes turn in full within them")

# %% [markdown] id="it-now-reads-source-files-that"
# It now reads source files that were held out, four times as long, under each rule and without further training. One more line is
# drawn, as a bar to measure against: the same model with a **window** of its trained length (notebook [Attention](05_attention.ipynb)). It reads no further
# back than in training, so every distance that it meets is one that it knows. A rule that stays above this line has carried the
# model no further than forgetting does.
#
# > **Predict.** Copying broke down behind the trained length. Will the loss on text jump as well, or creep up?

# %% tags=["nbval-ignore-output"] id="explorers-rope-long-text"
explorers.rope.long_text()

# %% [markdown] id="the-left-picture-has-the-loss"
# The left picture has the loss itself; part of its ups and downs are easy and hard places of the texts. The right one takes
# them out: it shows how much more each rule costs than the window, at the same tokens. The means of each quarter, in
# nats (they depend a little on your version of Python, whose sources are the text):

# %% tags=["nbval-ignore-output"] id="for-name-curve-in-figures-rope"
for name, curve in figures.rope.stretches(4).items():
    quarters = curve.view(4, -1).mean(-1)
    print(f"{name:13}", rounded(quarters, 2))

# %% [markdown] id="plain-rope-and-the-window-are"
# - **Plain** RoPE and the window are the same model as long as the text fits. Behind that plain RoPE gets worse, the more the
#   longer the text. But it creeps: most tokens of a text can be foretold from near ones, at distances that were trained.
# - **Interpolation** costs much everywhere, short texts included. It moves every neighbour.
# - **NTK-aware** and **YaRN** cost little inside the trained length, and both help behind it. NTK-aware gives out before the
#   length it was asked for, since it slows only the slowest plane by the full factor; YaRN so slows every plane that never
#   turned in full, and holds out longer.
# - Is any rule clearly *below* the window? That alone would mean that the model makes use of what lies further back. Without
#   training on long texts these rules keep a long text from doing harm; for a use of it, models are trained on.
#
# Stretch for 2 times in place of 4: the price of short texts falls, and the rules give out sooner.

# %% [markdown] id="9-all-of-them-on-one"
# ## 9 · All of them on one page
#
# Six models, alike in everything but the way they are told positions: two layers of attention, four heads, trained for the
# same 800 steps on the same texts. `reveal` shows the training; it takes a minute or two for each, and the results are stored
# with the course.

# %% id="reveal-position-models-train"
reveal(position_toys.train)

# %% [markdown] id="predict-which-of-the-six-can"
# > **Predict.** Which of the six can copy at all? And which of these still can at 64 tokens, a distance that none of them
# > has met?

# %% id="explorers-rope-method-comparison"
explorers.rope.method_comparison(distance=16)

# %% id="for-method-in-position-models-methods"
for method in position_toys.METHODS:
    model = position_toys.trained(method)
    reachable = [16, 64] if method != "learned" else [16]
    losses = [position_toys.loss_at_distance(model, d) for d in reachable]
    print(f"{method:11}", "  ".join(f"{loss:.1f}" for loss in losses), "at 16 and 64 tokens back")
print(f"a guess     {math.log(position_toys.VOCABULARY):.1f}")
one_back = math.exp(-positions.alibi_slopes(4)[0].item())
print(f"ALiBi, steepest of four heads: one token back counts {one_back:.2f} times the token itself")

# %% [markdown] id="read-it-with-care-it-is"
# Read it with care: it is *one* small task, 800 steps, one seed.
#
# - **No positions** is better than a guess among 128, since it sees which tokens the text is made of. What it cannot find is
#   "the token before".
# - **Relative** numbers and **RoPE** learn the task: "one back" is something a head can say directly.
# - **ALiBi** says "near", not "one back". The nearest token is the token itself, and even the steepest of four heads favours
#   it over the one before by a little only. Two layers of attention could not make much of that.
# - The **tables** are added to the token, so a layer must first learn to take the two apart. After 800 steps they are on their
#   way, no further. Behind the trained length the learned one has an end, and the sinusoidal one becomes worse than a guess.
# - Far beyond its training the relative bias degrades gently: all far distances share a bucket. RoPE falls off its cliff,
#   which is why section 8 exists.

# %% [markdown] id="10-claims-that-are-wrong"
# ## 10 · Claims that are wrong
#
# > *"RoPE multiplies each pair by the rotation matrix [[cos θ, −sin θ], [−sin θ, cos θ]]."*
#
# A rotation keeps every length, and its determinant is 1. Turn (1, 0) and (0, 1), and then (1, 1):

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
# The claimed matrix keeps (1, 0) and (0, 1), so a quick test with these two passes. It shrinks (1, 1) from 1.414 to 0.563. And
# worse, the score no longer depends on the distance alone:

# %% id="q-k-torch-tensor-1-0"
q, k = torch.tensor([1.0, 2.0]).double(), torch.tensor([0.5, 1.0]).double()
for name in ("a rotation", "minus in both rows"):
    found = []
    for m, n in ((5, 3), (6, 4), (25, 23)):
        at_m, at_n = (figures.rope.plane_matrix(name, float(t)) for t in (m, n))
        found.append(torch.dot(at_m @ q, at_n @ k))
    print(f"{name:18} scores at m − n = 2:", rounded(torch.stack(found)))

# %% [markdown] id="move-the-slider-and-see-the"
# Move the slider, and see the circle become an ellipse:

# %% id="explorers-rope-rotation-or-not"
explorers.rope.rotation_or_not()

# %% [markdown] id="for-the-interleaved-layout-rotate-the"
# > *"For the interleaved layout, rotate the even and the odd features and concatenate them:*
# > `torch.cat((x_even * cos - x_odd * sin, x_even * sin + x_odd * cos), dim=-1)`*."*


# %% id="claimed"
def claimed(x, cos, sin):
    """Turn neighbours and put all first features before all second ones."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat((even * cos - odd * sin, even * sin + odd * cos), dim=-1)


x = torch.arange(6.0)[None]
angle = torch.zeros(1, 3)  # position 0: nothing may move
for name, rotate in (("neighbours", rope.rotate_neighbours), ("claimed", claimed)):
    print(f"{name:11}", rotate(x, angle.cos(), angle.sin())[0].tolist())

# %% [markdown] id="at-position-0-a-rotation-does"
# At position 0 a rotation does nothing, and yet the features have changed places. What makes this mistake last is that the
# *scores* survive it, as long as queries and keys are both treated so:

# %% id="x-torch-randn-5-8-generator"
x = torch.randn(5, 8, generator=seeded(17), dtype=torch.float64)
angles = rope.rope_angles(torch.arange(5), 8).double()
neighbours = rope.rotate_neighbours(x, angles.cos(), angles.sin())
turned = claimed(x, angles.cos(), angles.sin())
print("the same scores:", torch.allclose(neighbours @ neighbours.T, turned @ turned.T))
print("the same features:", torch.allclose(neighbours, turned))

# %% [markdown] id="so-the-model-works-until-its"
# So the model works, until its keys meet others: a cache filled by another implementation, a kernel that turns in place, a
# test that compares the turned keys themselves. It is neither layout, and it should not be called one.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Attention sees a set. Order is put into the vectors (learned or sinusoidal rows) or into the scores (relative biases,
#    ALiBi, RoPE).
# 2. RoPE turns each pair of features of queries and keys by position · base^(−2i/D). Scores then depend on m − n only.
#    Values are not turned.
# 3. Two layouts pair the features, halves and neighbours. They differ by an order of rows within each head; mixing them
#    raises no error and ruins the model.
# 4. Nothing in RoPE makes scores decay by itself: independent pairs have mean 0 at every distance, equal ones fall.
# 5. Behind the trained length slow planes meet unseen angles. Interpolation slows all planes, NTK-aware, YaRN and Llama 3
#    spare the fast ones. A larger base that a model was trained with is none of these.
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
# - Xiong et al. 2023, *Effective long-context scaling of foundation models*, arXiv:2309.16039: training on with a larger base.
# - Qwen Team 2025, *Qwen3 technical report*, arXiv:2505.09388.
# - Grattafiori et al. 2024, *The Llama 3 herd of models*, arXiv:2407.21783.
# - Olsson et al. 2022, *In-context learning and induction heads*, arXiv:2209.11895: the task of the small models.
#
# **Next:** [MLP and experts](07_mlp.ipynb), the other two thirds of the model.
