# %% [markdown] id="03-embeddings-and-norms"
# # 03 · Embeddings and norms
#
# **How do integers become vectors that stay usable through many layers?**
#
# A tokenizer turns text into integers. A network computes with vectors, and a modern model sends each vector through dozens of
# layers, one after the other. So two things are needed before the first layer runs. Each integer must become a vector. And the
# vector must keep its size: dozens of additions and products should neither blow it up nor shrink it to nothing.
#
# After this notebook you can
# - say what an embedding table is, what a lookup costs, and what fraction of a model it is;
# - write LayerNorm and RMSNorm so that they agree with the released models, say why each detail is there, and derive the
#   gradient of RMSNorm;
# - explain why BatchNorm does not suit language models, and why the other two do;
# - convert a post-norm block to a pre-norm block, and predict what happens to the residual stream and its gradient through 64
#   layers.
#
# About 105 minutes. You need Python and a little PyTorch; nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/03_embeddings_and_norms.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/03_embeddings_and_norms.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/03_embeddings_and_norms.ipynb).

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
import time

import torch
import torch.nn.functional as F

from course_lib import embeddings, norms
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

# %% [markdown] id="1-an-id-is-a-name"
# ## 1 · An id is a name
#
# Suppose `cat` has the id 17 and `dog` the id 18. If the network were given the number 17, it would have to treat `dog` as
# almost `cat`, and the token with the id 34 as twice `cat`. But the integers mean nothing of the kind; they are only names.
#
# So each token gets a learned vector. The vectors are the rows of a table, with one row for each of the $V$ tokens of the
# vocabulary and one column for each of the $C$ features:
#
# $$\text{embed}(i) = E_i \qquad E \in \mathbb{R}^{V \times C}$$
#
# Small enough to do in your head: a table of three tokens and two features, and the text 2, 0, 2.

# %% id="table-torch-tensor-0-1-0"
table = torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
print(rounded(embeddings.embed(torch.tensor([2, 0, 2]), table)))

# %% [markdown] id="predict-the-textbook-writes-the-same"
# > **Predict.** Textbooks write the lookup as a matrix product: a *one-hot* row, which is 1 at the id and 0 elsewhere, times the
# > table. With a vocabulary of 151 936 and a width of 4 096, how many multiplications does the product need for one token, and
# > how many numbers does the lookup copy?

# %% id="vocabulary-width-151-936-4-096"
vocabulary, width = 151_936, 4_096
print(f"product: {vocabulary * width:,} multiplications, of which {width:,} are not by zero")
print(f"lookup:  {width:,} numbers copied")

# %% id="small-torch-randn-6-4-generator"
small = torch.randn(6, 4, generator=seeded(0))
show(figures.embeddings_and_norms.lookup_as_product(torch.tensor([2, 0, 4, 2]), small))

# %% [markdown] id="build-it"
# In the figure a one-hot row is yellow at its 1 and dark at its zeros. Each one selects a row of the table; a row that occurs twice
# is copied twice.
#
# ### Build it
# `ids` is an integer tensor of any shape: one text, or a batch of them. Return one vector for each id, in a new last axis: (B, T)
# ids and a (V, C) table give (B, T, C). The result has the dtype of the table, and gradients must reach the table.


# %% id="embeddings_and_norms.embed"
@exercise("embeddings_and_norms.embed")
def embed(ids, table):
    """Return the row of `table` (V, C) that belongs to each id."""
    ...


# %% [markdown] id="stuck-type-hint-in-a-new"
# Stuck? Type `hint()` in a new cell; each call gives a little more. The library's version below stays folded until you have
# passed, or have run the cell twice.

# %% id="reveal-embeddings-and-norms-embed"
reveal("embeddings_and_norms.embed")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The lookup, the one-hot product and PyTorch's own agree. And here is the gradient of a lookup:

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
# Only the rows of tokens that occurred get a gradient from this batch. A token that is rare in the training text has a row that is
# hardly trained: one price of a large vocabulary. The gradient itself is still a table of all rows, most of them zero:

# %% id="gradient-bytes-151-936-4-096"
gradient_bytes = 151_936 * 4_096 * 4
print(f"float32 gradient of Qwen3-8B's table: {gradient_bytes / 1e9:.2f} GB for any batch")
print(f"rows that 8192 different tokens touch: {8192 / 151_936:.1%}")

# %% [markdown] id="what-the-rows-learn"
# ### What the rows learn
# Tokens that occur in similar contexts get similar gradients, so their rows move in similar directions. Compare rows by *cosine
# similarity*, the dot product of the two vectors after both are scaled to length 1.
#
# > **Predict.** The course's own small model was trained on Python code and its documentation. Which tokens have rows most similar
# > to those of ` True`, ` list`, ` 1` and ` can`? (Each token starts with a blank.)

# %% id="model-tokenizer-course-model-course-tokenizer"
model, tokenizer = course_model_probes.course_model(), course_model_probes.course_tokenizer()
rows = F.normalize(model.model.embed_tokens.weight.detach(), dim=-1)  # (V, C), each of length 1
for word in (" True", " list", " 1", " can"):
    (token,) = tokenizer.encode(word)
    similar = rows @ rows[token]
    nearest = similar.topk(4).indices.tolist()[1:]  # the first is the token itself
    print(f"{word!r:8}", [tokenizer.decode([i]) for i in nearest], rounded(similar[nearest], 2))

# %% [markdown] id="2-the-same-table-read-backwards"
# ## 2 · The same table as output head
#
# At its other end the model needs a score for each token of the vocabulary. It has a vector $h$ of width $C$ and compares it with
# one row for each token, by a dot product. The rows form a second table of $V \times C$ numbers, or the same one is used again:
#
# $$\text{logits} = h\,E^\top$$
#
# Sharing it is called *weight tying* (Press & Wolf 2017, arXiv:1608.05859). By hand: with the rows (1, 0), (0, 1), (3, 1) and
# $h$ = (1, 2) the scores are 1, 2 and 5.

# %% [markdown] id="build-it-2"
# ### Build it
# `hidden` has shape (..., C), with any axes before the last; `table` is (V, C). Return the scores, (..., V). Gradients must
# reach both.


# %% id="embeddings_and_norms.tied_logits"
@exercise("embeddings_and_norms.tied_logits")
def tied_logits(hidden, table):
    """Return the dot product of `hidden` (..., C) with each row of `table` (V, C)."""
    ...


# %% id="reveal-embeddings-and-norms-tied-logits"
reveal("embeddings_and_norms.tied_logits")

# %% [markdown] id="what-it-saves"
# ### What tying saves
# > **Predict.** Qwen3-0.6B and Qwen3-8B have the same vocabulary, 151 936. In which of the two is the table the larger fraction of
# > the model, and in which would you rather tie it?
#
# The totals below are the models' parameter counts; notebook [Counting parameters](09_parameter_counting.ipynb) derives each of
# them.

# %% id="models"
models = {  # vocabulary, width, parameters in all, tied
    "GPT-2": (50_257, 768, 124_439_808, True),
    "Qwen3-0.6B": (151_936, 1_024, 596_049_920, True),
    "Llama-3-8B": (128_256, 4_096, 8_030_261_248, False),
    "Qwen3-8B": (151_936, 4_096, 8_190_735_360, False),
}
shares = {name: (embeddings.embedding_share(*model), model[3]) for name, model in models.items()}
show(figures.embeddings_and_norms.table_shares(shares, compare=("Qwen3-0.6B", "Qwen3-8B")))

# %% [markdown] id="a-factor-that-comes-and-goes"
# The small models tie: a second table would add another quarter or third of their size. The large ones do not: there, two tables are
# a modest fraction, and each can specialise for its own end of the model.
#
# ### The factor √C
# The Transformer of 2017 (Vaswani et al., arXiv:1706.03762) multiplies its embeddings by $\sqrt{C}$. A tied table is
# initialised with a standard deviation of about $1/\sqrt{C}$, so that the scores at the output start near size 1. At the input
# the same rows are then small compared with the position vectors that are added to them, whose features reach 1.

# %% id="rows-torch-randn-1-000-256"
rows = torch.randn(1_000, 256, generator=seeded(2)) / 256**0.5
print(
    f"size of a feature: {rows.std():.3f}; times √256: {embeddings.scale_embedding(rows).std():.2f}"
)

# %% [markdown] id="llama-and-qwen3-leave-the-factor"
# Whether a model uses the factor is a convention that goes with its initialisation. GPT-2 adds learned positions without the
# factor; both tables start with small numbers of similar size. Gemma keeps the factor, although it adds no positions at all.
# Llama and Qwen3 leave it out. The choice has a limited effect in modern models, because each layer starts with a *norm*, which
# brings what it reads to one size:

# %% id="scaled-embeddings-scale-embedding-rows-5"
scaled = embeddings.scale_embedding(rows[:5])
gap = (norms.rms_norm(scaled, eps=0.0) - norms.rms_norm(rows[:5], eps=0.0)).abs().max().item()
print("after a norm, the factor makes a difference below 1e-5:", gap < 1e-5)

# %% [markdown] id="norms-are-the-subject-of-the"
# Norms are the subject of the rest of this notebook.

# %% [markdown] id="3-sizes-multiply"
# ## 3 · Sizes multiply
#
# First some names. A Transformer is a stack of *layers*, also called *blocks*. Each token has a vector that passes through all
# of them, the *residual stream*. A block contains *sublayers* (attention and a feed-forward network); each reads the stream and
# adds its result to it. What a sublayer adds grows with what it reads, so sizes multiply from layer to layer.
#
# > **Predict.** A vector passes through 64 layers, each of which makes it 1.2 times as long. How long is it at the end?

# %% id="print-f-1-2-to-the"
print(f"1.2 to the power of 64: {1.2**64:,.0f}")
print(f"0.8 to the power of 64: {0.8**64:.1e}")

# %% [markdown] id="neither-can-be-trained-the-gradient"
# Neither can be trained, because the gradient is multiplied by the same factors on its way back. A *norm* ends this chain. Before a
# layer reads a vector, the norm brings it to a known size, whatever happened before.

# %% [markdown] id="4-layernorm"
# ## 4 · LayerNorm
#
# Take one token's vector, subtract the mean of its features, and divide by their standard deviation. Then apply a learned scale and
# shift for each feature (Ba, Kiros & Hinton 2016, arXiv:1607.06450):
#
# $$\mu = \frac1C\sum_i x_i \qquad \sigma^2 = \frac1C\sum_i (x_i-\mu)^2 \qquad y_i = \frac{x_i-\mu}{\sqrt{\sigma^2+\epsilon}}\,w_i + b_i$$
#
# By hand, for 1, 2, 3, 6: the mean is 3; the squares of −2, −1, 0, 3 add up to 14, so the variance is 14/4 = 3.5 and its root
# is 1.871. The result is **−1.069, −0.535, 0, 1.604**.
#
# Two details decide whether your numbers agree with everybody else's. The variance divides by $C$, not by $C-1$. And $\epsilon$
# is *inside* the root: the derivative of a root is infinite at 0, and $\epsilon$ keeps the argument above 0. Look at the
# gradient of the first output where all features are equal:

# %% id="print-rounded-norms-layer-norm-torch"
print(rounded(norms.layer_norm(torch.tensor([1.0, 2.0, 3.0, 6.0]))))
x = torch.full((4,), 7.0, requires_grad=True)
centred = x - x.mean()
variance = centred.square().mean()
for name, size in (("inside", (variance + 1e-5).sqrt()), ("outside", variance.sqrt() + 1e-5)):
    (gradient,) = torch.autograd.grad((centred / size)[0], x, retain_graph=True)
    print(f"eps {name:7} the root: gradient {rounded(gradient, 0)}")

# %% [markdown] id="build-it-3"
# ### Build it
# `x` has shape (..., C), `weight` and `bias` have shape (C). Normalise along the last axis. The gradient is checked too.


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
# 400² is 160 000, so the square is infinite and the whole vector becomes 0, without any warning. bfloat16 has no such overflow: its
# largest number is about 3·10³⁸. But it keeps only 8 significant bits, and a sum of 4096 squares needs more:

# %% id="x-torch-randn-4096-generator-seeded"
x = torch.randn(4096, generator=seeded(7)).bfloat16()
total = torch.zeros((), dtype=torch.bfloat16)
for square in x * x:
    total = total + square
print(f"mean square summed in bfloat16: {(total / 4096).item():.3f}")
print(f"mean square summed in float32:  {x.float().square().mean().item():.3f}")

# %% [markdown] id="the-bfloat16-sum-stops-growing-when"
# The bfloat16 sum stops growing when a square is too small to change it. So released implementations compute the mean square in
# float32, whatever the dtype of the input.

# %% [markdown] id="build-it-4"
# ### Build it
# `x` is (..., C) in float32, float16 or bfloat16, and `weight` is (C). Compute in float32, cast back to the dtype of `x`, then
# multiply by the weight. This is the order of Llama and Qwen, and their checkpoints were trained with it. (Gemma, OLMo 2 and
# gpt-oss multiply before they cast.) The gradient is checked too.


# %% id="embeddings_and_norms.rms_norm"
@exercise("embeddings_and_norms.rms_norm")
def rms_norm(x, weight, eps=1e-6):
    """Return RMSNorm of `x` along the last axis, in the dtype of `x`."""
    ...


# %% id="reveal-embeddings-and-norms-rms-norm"
reveal("embeddings_and_norms.rms_norm")

# %% [markdown] id="play-with-it"
# ### Play with it
# Scale the vector, then shift it (the dashed line is the mean of the features). Both norms undo a scale completely. Only
# LayerNorm undoes a shift: RMSNorm keeps a shift that all features share, and a large one drowns the rest.

# %% id="explorers-embeddings-and-norms-norm-effects"
explorers.embeddings_and_norms.norm_effects()

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# PyTorch's functions, and the norm of Qwen3 from `transformers`, with a weight that is not 1 and in three dtypes. For LayerNorm the
# comparison also shows that it matters where ε is: for small features, ε outside the root gives a different result.

# %% id="reference-qwen3rmsnorm-64"
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

reference = Qwen3RMSNorm(64)
reference.weight.data = torch.rand(64, generator=seeded(3)) + 0.5
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    x = (torch.randn(5, 64, generator=seeded(4)) * 20).to(dtype)
    weight = reference.weight.detach().to(dtype)
    same = torch.equal(norms.rms_norm(x, weight), reference.to(dtype)(x))
    print(f"{dtype!s:15} RMSNorm equal to Qwen3's, bit for bit: {same}")

# %% id="small-torch-randn-5-64-generator"
small = torch.randn(5, 64, generator=seeded(4)) * 1e-3
expected = F.layer_norm(small, (64,))
centred = small - small.mean(-1, keepdim=True)
outside = centred / (centred.square().mean(-1, keepdim=True).sqrt() + 1e-5)
gap = (norms.layer_norm(small) - expected).abs().max().item()
print("LayerNorm within 1e-6 of torch:", gap < 1e-6)
print(f"eps outside the root: off by up to {(outside - expected).abs().max():.1f}")

# %% [markdown] id="the-gradient-of-rmsnorm"
# ### The gradient of RMSNorm
# Write $r = 1/\sqrt{\frac1C\sum_j x_j^2 + \epsilon}$ and $\hat x = r\,x$, so that $y_i = \hat x_i w_i$. Let $g_i$ be the
# gradient of the loss at $y_i$. Three steps:
#
# 1. $r$ depends on every feature: $\dfrac{\partial r}{\partial x_j} = -\tfrac12\, r^3 \cdot \dfrac{2 x_j}{C} = -\dfrac{r^3 x_j}{C}$.
# 2. Feature $j$ acts on its own output, and on all outputs through $r$:
#    $\;dx_j = r\,w_j g_j + \sum_i g_i w_i x_i \dfrac{\partial r}{\partial x_j}$.
# 3. Insert step 1 and write $r x_i = \hat x_i$:
#
# $$dx_j = r\,\Big(w_j g_j - \hat x_j \cdot \frac1C \sum_i w_i g_i \hat x_i\Big) \qquad\qquad dw_i = \sum_{\text{tokens}} g_i \hat x_i$$
#
# By hand, for $x = (3, 4)$, $w = (1, 1)$, $g = (1, 0)$, ε = 0: $r = 0.283$, $\hat x = (0.849, 1.131)$, and the mean of
# $w g \hat x$ is 0.424. So $dx = 0.283 \cdot (1 - 0.849 \cdot 0.424,\; 0 - 1.131 \cdot 0.424) =$ **(0.181, −0.136)**. It is
# perpendicular to $x$: making the vector longer changes nothing, so the gradient has no part along it.
#
# ### Build it
# `x` and `gradient` have shape (..., C), and may be a single vector; `weight` has shape (C); all in float32 or float64. Return
# the pair (dx, dweight): dx with the shape of `x`, dweight of shape (C), summed over all tokens.


# %% id="embeddings_and_norms.rms_norm_backward"
@exercise("embeddings_and_norms.rms_norm_backward")
def rms_norm_backward(x, weight, gradient, eps=1e-6):
    """Return the gradients (dx, dweight) of RMSNorm from the gradient of its output."""
    ...


# %% id="reveal-embeddings-and-norms-rms-norm-2"
reveal("embeddings_and_norms.rms_norm_backward")

# %% [markdown] id="a-kernel-for-this-reads-x"
# A kernel for this reads $x$ and $g$ once and writes $dx$ once. Autograd on the formula written step by step reads and writes
# several tables of that size. That is why norms are usually *fused*: one kernel computes all steps while the vector is in fast
# memory.

# %% [markdown] id="6-why-not-batchnorm"
# ## 6 · Why not BatchNorm?
#
# The norm that image models made famous (Ioffe & Szegedy 2015, arXiv:1502.03167) averages along the other axis: for each *feature*,
# over all tokens of the batch. For language models this has three problems.
#
# - **Other texts and padding take part.** Sentences have different lengths, so shorter ones in a batch are padded, and the padding
#   enters the statistics. (Packing texts without padding, as pretraining does, avoids the padding but not the other texts.)
# - **The future takes part.** The statistics of a token contain the tokens after it, which a language model must not see.
# - **Generation has a batch of one token.** Its variance is 0, so a model would need statistics stored in training.
#
# > **Predict.** A sentence of 8 tokens must be as long as its neighbour of 40, so it gets 32 vectors of padding, all zero. The mean
# > of one feature over the 8 tokens was 1. What is it over the 40?

# %% id="sentence-torch-randn-8-3-generator"
sentence = torch.randn(8, 3, generator=seeded(5)) + 1
show(figures.embeddings_and_norms.padding_poison(sentence))

# %% [markdown] id="the-same-sentence-the-same-weights"
# The same sentence and the same weights give a different result, only because a neighbour was longer. And a change at the end
# of a text changes its beginning:

# %% id="changed-sentence-clone"
changed = sentence.clone()
changed[-1] += 10.0  # only the last token
for name, norm in (("BatchNorm", norms.batch_norm), ("LayerNorm", norms.layer_norm)):
    first = (norm(changed) - norm(sentence))[0].abs().max().item()
    print(f"{name}: the first token changes: {first > 1e-6}")

# %% [markdown] id="layernorm-and-rmsnorm-compute-each-token"
# LayerNorm and RMSNorm compute each token from its own features only, so none of this can happen. Where batch statistics are needed
# anyway, a mask must keep the padding out.

# %% [markdown] id="build-it-5"
# ### Build it
# `x` is (B, T, C) and `mask` is (B, T), True at real tokens; at least one is True. Return the pair (mean, variance), each of
# shape (C), over the real tokens of all texts. The variance divides by the number of real tokens. Padding may hold anything,
# including nan and inf. The gradient is checked too.


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
# ## 7 · Where to put the norm
#
# A block adds the result of its sublayer $f$ to the residual stream. The Transformer of 2017 normalised *after* the addition:
#
# $$\text{post-norm:}\quad x \leftarrow \operatorname{norm}\big(x + f(x)\big) \qquad\qquad \text{pre-norm:}\quad x \leftarrow x + f\big(\operatorname{norm}(x)\big)$$
#
# The difference looks small. But in pre-norm the stream itself is never rescaled: from the last layer to the first there is a
# path of plain additions, and along *that* path the gradient is unchanged (Xiong et al. 2020, arXiv:2002.04745). The paths
# through the sublayers add to it, so the whole gradient is not constant, as you will see.
#
# > **Predict.** The sublayer's last matrix is 0, as some recipes initialise it. What does each kind of block return for the
# > vector (3, 4), with RMSNorm?

# %% id="stream-torch-tensor-3-0-4"
stream = torch.tensor([3.0, 4.0])
print("post-norm:", rounded(norms.post_norm_residual(stream, torch.zeros_like, norms.rms_norm)))
print("pre-norm: ", rounded(norms.pre_norm_residual(stream, torch.zeros_like, norms.rms_norm)))

# %% [markdown] id="build-it-6"
# ### Build it
# `x` is the stream, (..., C); `sublayer` and `norm` are functions from such a tensor to one of the same shape. The gradient is
# checked along the stream and through the sublayer.


# %% id="embeddings_and_norms.pre_norm"
@exercise("embeddings_and_norms.pre_norm")
def pre_norm_residual(x, sublayer, norm):
    """Return the pre-norm form of norm(x + sublayer(x))."""
    ...


# %% id="reveal-embeddings-and-norms-pre-norm"
reveal("embeddings_and_norms.pre_norm")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Stacks of layers with random weights, before any training, with post-norm and with pre-norm; each line is the mean of twelve
# stacks, since single ones scatter. Left: the size of the stream after each layer. Middle: the gradient that reaches the stream
# there from the top of the stack. Right: both for a stack without norms. Choose the depth.

# %% id="explorers-embeddings-and-norms-sizes-through"
explorers.embeddings_and_norms.sizes_through_depth(depth=32)

# %% [markdown] id="three-things-to-see-without-a"
# Three things to see:
#
# - **Without norms** the stream grows by the same factor in each layer, and so does the gradient on its way down. At 64 layers both are
#   far outside the range in which anything can be learned.
# - **Post-norm** resets the stream to size 1 after every block. The gradient passes through all of these norms, and the first layers get
#   less of it than the last: the deeper the stack, the less reaches the bottom. Such models need a careful warm-up of the learning rate.
# - **Pre-norm** lets the stream grow slowly, since every layer adds about as much as the one before. The gradient grows slowly too, about
#   5 times over 32 layers. Each new layer is a smaller *part* of the stream, so late layers of a very deep model change little. And the
#   stream must be normalised once more before the output head reads it: Llama and Qwen3 have a last `norm` after their blocks.
#
# The same stacks in numbers. The gradient at the bottom is given as a multiple of that at the top, and the last number is the
# size of the gradient of the first layer's weights:

# %% id="for-depth-in-4-16-64"
for depth in (4, 16, 64):
    sizes = {
        name: figures.embeddings_and_norms.stack_sizes(depth, name) for name in ("post", "pre")
    }
    print(f"depth {depth}:")
    for name, found in sizes.items():
        reaching = found.gradient[0] / found.gradient[-1]
        print(
            f"  {name:4}  stream at the top {found.signal[-1]:5.1f}   gradient at the bottom ×"
            f" {reaching:.2f}   of the first weights {found.weight_gradient[0]:.2f}"
        )

# %% [markdown] id="8-claims-that-are-wrong"
# ## 8 · Claims that are wrong
#
# > *"RMSNorm halves the cost of LayerNorm, since it computes one statistic instead of two."*
#
# Count what has to move. Both read $C$ numbers and write $C$ numbers, and a norm usually waits for memory: about 4 FLOPs per number
# against 8 bytes moved in float32. A fused kernel reads the vector once in either case. Measure it:

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
# The result depends on the machine, and above all on whether a *fused* kernel exists. Where PyTorch has one for LayerNorm and
# none for RMSNorm, as on many CPUs, RMSNorm is the *slower* of the two. Written step by step, as in the last two bars, it is
# clearly faster, since it makes fewer passes over memory. So: RMSNorm needs fewer steps, and whether that saves time depends on
# the kernel. It is used because it works as well and is simpler.
#
# > *"With w = σ and b = μ, LayerNorm becomes the identity, so it cannot hurt."*

# %% id="first-second-torch-tensor-1-0"
first, second = torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.tensor([5.0, 5.0, 1.0, 9.0])
sigma, mu = first.std(correction=0).expand(4), first.mean().expand(4)
print("the vector whose σ and μ were taken:", rounded(norms.layer_norm(first, sigma, mu)))
print(
    "a different vector:                ",
    rounded(second),
    "→",
    rounded(norms.layer_norm(second, sigma, mu)),
)

# %% [markdown] id="and-are-computed-anew-for-each"
# μ and σ are computed for each vector separately, while w and b are fixed. The identity holds for one input only. LayerNorm
# removes the mean and the length of each vector, and no later layer can recover them from its output.

# %% [markdown] id="recap"
# ## Recap
#
# 1. An id is a name. The embedding table gives each token a learned row; a lookup copies a row, and only rows that occurred get a gradient.
# 2. The output head compares with one row for each token. Tied, it is the same table: a large saving for small models.
# 3. LayerNorm subtracts the mean and divides by the standard deviation (biased variance, ε inside the root). RMSNorm divides
#    by the root mean square. Both use one vector only, and compute in float32.
# 4. BatchNorm averages over tokens, so padding, other texts and the future change the result.
# 5. Pre-norm never rescales the stream: gradients reach the first layer, the stream grows slowly, and one last norm comes
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
