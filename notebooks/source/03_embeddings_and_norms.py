# %% [markdown] id="03-embeddings-and-norms"
# # 03 · Embeddings and norms
#
# **How do integers become vectors that a deep network can stand?**
#
# A tokenizer turns text into integers. A network computes with vectors, and it computes many times over: a modern model
# sends each vector through dozens of layers, one after the other. Two things must be right before the first layer runs. The
# integer must become a vector, and the vector must keep a size that dozens of additions and products do not blow up or wear
# away.
#
# After this notebook you can
# - say what an embedding table is, what looking up costs, and which share of a model it is;
# - write LayerNorm and RMSNorm so that they agree with the released models, and say why each detail is there;
# - explain why padding poisons BatchNorm and leaves the other two alone;
# - turn a post-norm block into a pre-norm block, and predict what happens to stream and gradient through 64 layers.
#
# About 90 minutes. You need Python and a little PyTorch; nothing is downloaded.

# %% id="imports"
import time

import torch
import torch.nn.functional as F

from course_lib import embeddings, norms
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, quiz, reveal, rounded, show

# %% [markdown] id="1-an-id-is-a-name"
# ## 1 · An id is a name
#
# Suppose `cat` has the id 17 and `dog` the id 18. If the network were given the number 17, it would have to treat `dog` as
# almost `cat`, and the token with the id 34 as twice `cat`. The integers say nothing of the kind; they are names.
#
# So each id gets a vector of its own, and the vectors are learned. They stand in a table with one row for each of the $V$
# tokens of the vocabulary and one column for each of the $C$ features:
#
# $$\text{embed}(i) = E_i \qquad E \in \mathbb{R}^{V \times C}$$
#
# Small enough for the head: a table of three tokens and two features, and the text 2, 0, 2.

# %% id="table-torch-tensor-0-1-0"
table = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
print(rounded(embeddings.embed(torch.tensor([2, 0, 2]), table)))

# %% [markdown] id="predict-the-textbook-writes-the-same"
# > **Predict.** The textbook writes the same thing as a matrix product: a row that is 1 at the id and 0 elsewhere, times
# > the table. With a vocabulary of 151 936 and a width of 4 096, how many multiplications does the product need for one
# > token, and how many numbers does the lookup copy?

# %% id="vocabulary-width-151-936-4-096"
vocabulary, width = 151_936, 4_096
print(f"product: {vocabulary * width:,} multiplications, of which {width:,} are not by zero")
print(f"lookup:  {width:,} numbers copied")

# %% id="small-torch-randn-6-4-generator"
small = torch.randn(6, 4, generator=seeded(0))
show(figures.embeddings_and_norms.lookup_as_product(torch.tensor([2, 0, 4, 2]), small))

# %% [markdown] id="build-it"
# ### Build it
# `ids` may have any shape: one text, or a batch of them. The vectors become a new last axis.


# %% id="embeddings_and_norms.embed"
@exercise("embeddings_and_norms.embed")
def embed(ids, table):
    """Return the row of `table` (V, C) that belongs to each id."""
    ...


# %% id="reveal-embeddings-and-norms-embed"
reveal("embeddings_and_norms.embed")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The lookup, the one-hot product and PyTorch's own, and what the gradient of a lookup looks like:

# %% id="weights-torch-randn-50-8-generator"
weights = torch.randn(50, 8, generator=seeded(1)).requires_grad_()
ids = torch.tensor([[3, 7, 3, 41], [0, 7, 12, 3]])
ours = embeddings.embed(ids, weights)
print("agrees with torch:      ", torch.equal(ours, F.embedding(ids, weights)))
print("agrees with the product:", torch.equal(ours, embeddings.one_hot_embed(ids, weights)))
(gradient,) = torch.autograd.grad(ours.sum(), weights)
print("rows with a gradient:   ", gradient.abs().sum(1).nonzero().flatten().tolist())
print("row 3, used three times:", rounded(gradient[3, :3]))

# %% [markdown] id="only-the-rows-of-tokens-that"
# Only the rows of tokens that occurred learn anything from this batch. A token that is rare in the training text has a row
# that is hardly trained: that is one price of a large vocabulary.

# %% [markdown] id="2-the-same-table-read-backwards"
# ## 2 · The same table, read backwards
#
# At its other end the model needs a score for each token of the vocabulary. It has a vector $h$ of width $C$ and compares it
# with one row for each token, by a dot product. That is another table of $V \times C$ numbers, or the same one:
#
# $$\text{logits} = h\,E^\top$$
#
# Sharing it is called *weight tying* (Press & Wolf 2017, arXiv:1608.05859). By hand: with the rows (1, 0), (0, 1), (3, 1) and
# $h$ = (1, 2) the scores are 1, 2 and 5.

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="embeddings_and_norms.tied_logits"
@exercise("embeddings_and_norms.tied_logits")
def tied_logits(hidden, table):
    """Return the dot product of `hidden` (..., C) with each row of `table` (V, C)."""
    ...


# %% id="reveal-embeddings-and-norms-tied-logits"
reveal("embeddings_and_norms.tied_logits")

# %% [markdown] id="what-it-saves"
# ### What it saves
# > **Predict.** Qwen3-0.6B and Qwen3-8B have the same vocabulary, 151 936. In which of the two is the table the larger share
# > of the model, and in which would you rather tie it?
#
# The totals below are the models' parameter counts; notebook [Counting parameters](09_parameter_counting.ipynb) derives each of them.

# %% id="models"
models = {
    "GPT-2": (50_257, 768, 124_439_808, True),
    "Qwen3-0.6B": (151_936, 1_024, 596_049_920, True),
    "Llama-3-8B": (128_256, 4_096, 8_030_261_248, False),
    "Qwen3-8B": (151_936, 4_096, 8_190_735_360, False),
}
shares = {name: (embeddings.embedding_share(*model), model[3]) for name, model in models.items()}
show(figures.embeddings_and_norms.table_shares(shares))

# %% [markdown] id="a-factor-that-comes-and-goes"
# The small models tie: a second table would cost them another quarter or third of their size. The large ones do not: there
# two tables are a modest share, and a table that need not serve both ends fits each of them better.
#
# ### A factor that comes and goes
# The Transformer of 2017 (Vaswani et al., arXiv:1706.03762) multiplies its embeddings by $\sqrt{C}$. A tied table is drawn with a standard deviation of about
# $1/\sqrt{C}$, so that the scores at the output start near size 1. At the input the same rows are then small, too small
# beside the positions that are added to them, whose features reach 1.

# %% id="rows-torch-randn-1-000-256"
rows = torch.randn(1_000, 256, generator=seeded(2)) / 256**0.5
print(
    f"size of a feature: {rows.std():.3f}; times √256: {embeddings.scale_embedding(rows).std():.2f}"
)

# %% [markdown] id="llama-and-qwen3-leave-the-factor"
# Llama and Qwen3 leave the factor out: they add no positions to the embeddings (notebook [Positions and RoPE](06_rope.ipynb)), and each layer begins with a
# norm, which brings what it reads to one size. That is the subject of the rest of this notebook.

# %% [markdown] id="3-sizes-multiply"
# ## 3 · Sizes multiply
#
# A layer adds something to each vector, and what it adds grows with what it read. Give each layer a gain of only 1.2, and
# see:
#
# > **Predict.** A vector passes 64 layers, each of which makes it 1.2 times as long. How long is it at the end?

# %% id="print-f-1-2-to-the"
print(f"1.2 to the power of 64: {1.2**64:,.0f}")
print(f"0.8 to the power of 64: {0.8**64:.1e}")

# %% [markdown] id="neither-can-be-trained-the-gradient"
# Neither can be trained: the gradient passes the same factors on its way back. A *norm* ends the chain. Before a layer
# reads a vector, it brings it to a known size, whatever happened before.

# %% [markdown] id="4-layernorm"
# ## 4 · LayerNorm
#
# Take one token's vector, subtract the mean of its features, divide by their standard deviation; then let each feature have
# a learned scale and shift (Ba, Kiros & Hinton 2016, arXiv:1607.06450):
#
# $$\mu = \frac1C\sum_i x_i \qquad \sigma^2 = \frac1C\sum_i (x_i-\mu)^2 \qquad y_i = \frac{x_i-\mu}{\sqrt{\sigma^2+\epsilon}}\,w_i + b_i$$
#
# By hand, for 1, 2, 3, 6: the mean is 3; the squares of −2, −1, 0, 3 add up to 14, so the variance is 14/4 = 3.5 and its
# root 1.871. The result is **−1.069, −0.535, 0, 1.604**.
#
# Two details decide whether your numbers agree with everybody else's. The variance divides by $C$, not by $C-1$. And
# $\epsilon$ stands *inside* the root: the derivative of a root is infinite at 0, and $\epsilon$ keeps it away from there.

# %% id="print-rounded-norms-layer-norm-torch"
print(rounded(norms.layer_norm(torch.tensor([1.0, 2.0, 3.0, 6.0]))))
same = torch.full((1, 4), 7.0, requires_grad=True)
for name, eps in (("eps 1e-5", 1e-5), ("eps 0", 0.0)):
    (gradient,) = torch.autograd.grad(norms.layer_norm(same, eps=eps).sum(), same)
    print(f"{name}: gradient where all features are equal:", rounded(gradient[0]))

# %% [markdown] id="build-it-3"
# ### Build it


# %% id="embeddings_and_norms.layer_norm"
@exercise("embeddings_and_norms.layer_norm")
def layer_norm(x, weight, bias, eps=1e-5):
    """Return LayerNorm of `x` along the last axis."""
    ...


# %% id="reveal-embeddings-and-norms-layer-norm"
reveal("embeddings_and_norms.layer_norm")

# %% [markdown] id="5-rmsnorm"
# ## 5 · RMSNorm
#
# Zhang & Sennrich (2019, arXiv:1910.07467) asked which part of LayerNorm is needed, and found that subtracting the mean is
# not. What is left is a division by the *root mean square*:
#
# $$y_i = \frac{x_i}{\sqrt{\frac1C\sum_j x_j^2+\epsilon}}\,w_i$$
#
# By hand, for 3 and 4: the squares 9 and 16 have the mean 12.5, its root is 3.536, and the result is **0.849, 1.131**. Llama,
# Mistral and Qwen use it, without a bias.
#
# > **Predict.** In float16 the largest number is 65 504. A vector has a feature of 400. What does its mean square become if
# > everything is computed in float16?

# %% id="x-torch-tensor-300-0-400"
x = torch.tensor([300.0, -400.0, 500.0], dtype=torch.float16)
careless = x / ((x * x).mean(-1, keepdim=True) + 1e-6).sqrt()
print("squares in float16:  ", rounded(careless))
print("squares in float32:  ", rounded(norms.rms_norm(x).float()))

# %% [markdown] id="4002-is-160-000-so-the"
# 400² is 160 000, so the square is infinite and the whole vector becomes 0, without any warning. Every implementation
# of it in a released model therefore computes the inside in float32, whatever comes in.

# %% [markdown] id="build-it-4"
# ### Build it
# Mind the order: float32 inside, cast back, then multiply by the weight. Released checkpoints were trained with it.


# %% id="embeddings_and_norms.rms_norm"
@exercise("embeddings_and_norms.rms_norm")
def rms_norm(x, weight, eps=1e-6):
    """Return RMSNorm of `x` along the last axis, in the type of `x`."""
    ...


# %% id="reveal-embeddings-and-norms-rms-norm"
reveal("embeddings_and_norms.rms_norm")

# %% [markdown] id="play-with-it"
# ### Play with it
# Stretch the vector, then move it. Both norms undo a stretch completely. Only LayerNorm undoes a move: RMSNorm lets a
# common shift of all features through, and if the shift is large, little else.

# %% id="explorers-embeddings-and-norms-norm-effects"
explorers.embeddings_and_norms.norm_effects()

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# PyTorch's functions, and the norm of Qwen3 as `transformers` has it, with a weight that is not 1 and in three types.

# %% id="reference-qwen3rmsnorm-64"
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

reference = Qwen3RMSNorm(64)
reference.weight.data = torch.rand(64, generator=seeded(3)) + 0.5
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    x = (torch.randn(5, 64, generator=seeded(4)) * 20).to(dtype)
    weight = reference.weight.detach().to(dtype)
    same = torch.equal(norms.rms_norm(x, weight), reference.to(dtype)(x))
    layer = torch.allclose(norms.layer_norm(x), F.layer_norm(x, (64,)), atol=2e-2)
    print(
        f"{dtype!s:15} RMSNorm equal to Qwen3's, bit for bit: {same}; LayerNorm as torch: {layer}"
    )

# %% [markdown] id="6-why-not-batchnorm"
# ## 6 · Why not BatchNorm?
#
# The norm that image models made famous (Ioffe & Szegedy 2015, arXiv:1502.03167) averages the other way round: for each
# *feature*, over all tokens of the batch. Text makes trouble there. Sentences have different lengths, so a batch is filled
# up with padding, and padding enters the statistics.
#
# > **Predict.** A sentence of 8 tokens is put into a batch with one of 40, so it gets 32 vectors of padding, all zero. What
# > happens to the mean of a feature that was 1?

# %% id="sentence-torch-randn-8-3-generator"
sentence = torch.randn(8, 3, generator=seeded(5)) + 1
show(figures.embeddings_and_norms.padding_poison(sentence))

# %% [markdown] id="the-same-sentence-the-same-weights"
# The same sentence, the same weights, and other results, only because a neighbour was longer. LayerNorm and RMSNorm look at
# one token at a time and cannot be touched by this. Where batch statistics are wanted all the same, a mask must keep the
# padding out.

# %% [markdown] id="build-it-5"
# ### Build it


# %% id="embeddings_and_norms.batch_statistics"
@exercise("embeddings_and_norms.batch_statistics")
def batch_statistics(x, mask):
    """Return (mean, variance) of each feature over the tokens where `mask` (B, T) is True."""
    ...


# %% id="reveal-embeddings-and-norms-batch-statistics"
reveal("embeddings_and_norms.batch_statistics")

# %% id="batch-torch-zeros-2-40-3"
batch = torch.zeros(2, 40, 3)
batch[0, :8], batch[1] = sentence, torch.randn(40, 3, generator=seeded(6))
mask = torch.ones(2, 40, dtype=torch.bool)
mask[0, 8:] = False
longer = torch.cat([batch, torch.zeros(2, 60, 3)], dim=1)  # 60 more tokens of padding
longer_mask = torch.cat([mask, torch.zeros(2, 60, dtype=torch.bool)], dim=1)
before, after = norms.batch_norm(batch)[0, 0], norms.batch_norm(longer)[0, 0]
print("first token without a mask:", rounded(before, 2), "→", rounded(after, 2))
before = norms.batch_norm(batch, mask=mask)[0, 0]
after = norms.batch_norm(longer, mask=longer_mask)[0, 0]
print("first token with a mask:   ", rounded(before, 2), "→", rounded(after, 2))

# %% [markdown] id="7-where-the-norm-stands"
# ## 7 · Where the norm stands
#
# A block adds what its sublayer found to the stream. The Transformer of 2017 normalised *after* the addition:
#
# $$\text{post-norm:}\quad x \leftarrow \operatorname{norm}\big(x + f(x)\big) \qquad\qquad \text{pre-norm:}\quad x \leftarrow x + f\big(\operatorname{norm}(x)\big)$$
#
# It looks like a matter of taste. But in pre-norm the stream itself is never touched: from the last layer to the first
# there is a path of plain additions, and the gradient walks along it unchanged (Xiong et al. 2020, arXiv:2002.04745).
#
# > **Predict.** The sublayer's last matrix is 0, as some recipes initialise it. What does each kind of block return for the
# > vector (3, 4), with RMSNorm?

# %% id="stream-torch-tensor-3-0-4"
stream = torch.tensor([3.0, 4.0])
print("post-norm:", rounded(norms.post_norm_residual(stream, torch.zeros_like, norms.rms_norm)))
print("pre-norm: ", rounded(norms.pre_norm_residual(stream, torch.zeros_like, norms.rms_norm)))

# %% [markdown] id="build-it-6"
# ### Build it


# %% id="embeddings_and_norms.pre_norm"
@exercise("embeddings_and_norms.pre_norm")
def pre_norm_residual(x, sublayer, norm):
    """Return the pre-norm form of norm(x + sublayer(x))."""
    ...


# %% id="reveal-embeddings-and-norms-pre-norm"
reveal("embeddings_and_norms.pre_norm")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Sixty-four layers with random weights, before any training: on the left the size of the stream behind each layer, on the
# right the gradient that arrives there from the top. Choose the depth.

# %% id="explorers-embeddings-and-norms-sizes-through"
explorers.embeddings_and_norms.sizes_through_depth(depth=32)

# %% [markdown] id="three-things-to-see-without-a"
# Three things to see:
#
# - **Without a norm** the stream grows by the same factor in each layer, and so does the gradient on its way down. At 64
#   layers both have left the range in which anything can be learned.
# - **Post-norm** holds the stream at size 1 by force. The gradient must pass every one of these norms, and the last layers
#   get more of it than the first: the deeper the stack, the less arrives at the bottom, as the numbers below show. Such
#   models are trained with a careful warm-up of the learning rate.
# - **Pre-norm** lets the stream grow slowly, since every layer adds about as much as the one before. Each new layer is then
#   a smaller *part* of the stream: late layers of a very deep model change little. And the stream must be normalised once
#   more before the head reads it, which is why Llama and Qwen3 have a last `norm` behind their blocks.

# %% id="for-depth-in-4-16-64"
for depth in (4, 16, 64):
    sizes = {name: norms.residual_stack_norms(depth, name) for name in ("post", "pre", "none")}
    ends = ", ".join(f"{name} {found.signal[-1]:.1e}" for name, found in sizes.items())
    print(f"depth {depth:2}: size of the stream at the top: {ends}")
    left = [f"{name} {sizes[name].weight_gradient[0]:.2f}" for name in ("post", "pre")]
    print(f"          gradient of the first layer's weights: {', '.join(left)}")

# %% [markdown] id="8-claims-that-are-wrong"
# ## 8 · Claims that are wrong
#
# > *"RMSNorm halves the cost of LayerNorm, since it computes one statistic instead of two."*
#
# Count what has to move. Both read $C$ numbers and write $C$ numbers, and on every modern machine that is what a norm
# waits for; the arithmetic in between is nearly free. A fused kernel reads the vector once for either. Measure it:

# %% tags=["nbval-ignore-output"] id="x-weight-bias-torch-randn-512"
x, weight, bias = torch.randn(512, 1024), torch.ones(1024), torch.zeros(1024)
contestants = {
    "F.layer_norm": lambda: F.layer_norm(x, (1024,), weight, bias),
    "F.rms_norm": lambda: F.rms_norm(x, (1024,), weight),
    "our layer_norm": lambda: norms.layer_norm(x, weight, bias),
    "our rms_norm": lambda: norms.rms_norm(x, weight),
}
best = dict.fromkeys(contestants, float("inf"))
for _ in range(60):
    for name, run in contestants.items():
        start = time.perf_counter()
        run()
        best[name] = min(best[name], time.perf_counter() - start)
ratios = [(name, seconds / best["F.layer_norm"]) for name, seconds in best.items()]
show(figures.embeddings_and_norms.cost_bars(ratios))

# %% [markdown] id="what-you-see-depends-on-the"
# What you see depends on the machine, and above all on whether a *fused* kernel exists. Where PyTorch has one for LayerNorm
# and none for RMSNorm, as on many CPUs, RMSNorm is the *slower* of the two. Written out step by step, as in the last two
# bars, it wins clearly, since it makes fewer passes over memory. So the honest sentence is: RMSNorm needs fewer steps, and
# what that saves is a question of the kernel. It is used because it is as good and has less to it.
#
# > *"With w = σ and b = μ, LayerNorm becomes the identity, so it cannot hurt."*

# %% id="first-second-torch-tensor-1-0"
first, second = torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.tensor([5.0, 5.0, 1.0, 9.0])
sigma, mu = first.std(correction=0).expand(4), first.mean().expand(4)
print("the vector whose σ and μ were taken:", rounded(norms.layer_norm(first, sigma, mu)))
print("any other vector:", rounded(second), "→", rounded(norms.layer_norm(second, sigma, mu)))

# %% [markdown] id="and-are-computed-anew-for-each"
# μ and σ are computed anew for each vector, while w and b are fixed. The identity holds for one input only. What LayerNorm
# removes, the mean and the length of each vector, is gone for good; the network has to live without it.

# %% [markdown] id="recap"
# ## Recap
#
# 1. An id is a name. The embedding table gives each name a row; looking up copies a row, and only rows that occurred learn.
# 2. The output head compares with one row for each token. Tied, it is the same table: a large saving for small models.
# 3. LayerNorm subtracts the mean and divides by the standard deviation (biased variance, ε inside the root). RMSNorm divides
#    by the root mean square. Both look at one vector only, and compute inside in float32.
# 4. BatchNorm averages over tokens, so padding changes results unless a mask keeps it out.
# 5. Pre-norm leaves the stream untouched: gradients reach the first layer, the stream grows slowly, and one last norm stands
#    before the head.
#
# ### Test yourself

# %% id="quiz-embeddings-and-norms"
quiz("embeddings_and_norms")

# %% [markdown] id="papers"
# ### Papers
# - Press & Wolf 2017, *Using the output embedding to improve language models*, arXiv:1608.05859.
# - Ba, Kiros & Hinton 2016, *Layer normalization*, arXiv:1607.06450.
# - Zhang & Sennrich 2019, *Root mean square layer normalization*, arXiv:1910.07467.
# - Ioffe & Szegedy 2015, *Batch normalization*, arXiv:1502.03167.
# - Vaswani et al. 2017, *Attention is all you need*, arXiv:1706.03762.
# - Xiong et al. 2020, *On layer normalization in the Transformer architecture*, arXiv:2002.04745.
#
# **Next:** [Softmax](04_softmax.ipynb), which turns the scores of section 2 into probabilities.
