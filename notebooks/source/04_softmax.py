# %% [markdown] id="04-softmax"
# # 04 · Softmax
#
# **How do scores become a distribution, and how does that go wrong in floating point?**
#
# A language model ends in one score for each token that could come next. These scores, called *logits*, are any real
# numbers. To choose a token, or to measure how surprised the model is, we need probabilities. Softmax turns scores into
# probabilities. It takes one line to write, and that line fails on the scores of real models.
#
# After this notebook you can
# - write softmax, its logarithm and its masked form so that no finite score breaks them, and say why each line is there;
# - change the temperature and predict what happens to the distribution and to its entropy;
# - derive the gradients of softmax and of the loss, and say why saturated softmax blocks gradient, yet a confidently wrong
#   prediction gets all of it;
# - compute the maximum and the sum in one pass over blocks, and merge blocks that were computed apart;
# - predict what softmax costs in bytes and FLOPs, and compute the loss of a large vocabulary in chunks.
#
# About 120 minutes. You need Python and a little PyTorch; nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/04_softmax.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/04_softmax.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/04_softmax.ipynb).

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

from course_lib import softmax
from course_lib.device import seeded
from course_lib.information import entropy
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded

# %% [markdown] id="1-from-scores-to-shares"
# ## 1 · From scores to probabilities
#
# We want a function that takes any scores $z_1 \dots z_V$ and returns probabilities $p_1 \dots p_V$: positive numbers that
# add up to 1 and keep the order, so that a larger score gets a larger probability. Dividing each score by their sum does not
# work, because scores may be negative. So make them positive first. The exponential is positive everywhere, and it grows:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# Small enough to do in your head: the scores 2, 1 and 0.1. Their exponentials are about 7.39, 2.72 and 1.11, and these add up
# to 11.21. Divide, and the probabilities are **0.659, 0.242, 0.099**.
#
# > **Predict.** Add 5 to each of the three scores: 7, 6 and 5.1. Do the probabilities change? What if you *double* each
# > score instead?

# %% id="scores-torch-tensor-2-0-1"
scores = torch.tensor([2.0, 1.0, 0.1])
exponentials = torch.exp(scores)
print("exponentials: ", rounded(exponentials, 2), "sum:", rounded(exponentials.sum(), 2))
probabilities = exponentials / exponentials.sum()
print("probabilities:", rounded(probabilities), "sum:", rounded(probabilities.sum()))
for name, changed in [("plus 5", scores + 5), ("minus 5", scores - 5), ("doubled", scores * 2)]:
    print(f"{name:8}", rounded(softmax.naive_softmax(changed)))

# %% [markdown] id="adding-the-same-number-to-all"
# Adding the same number to all scores changes nothing, because it multiplies numerator and denominator by the same factor:
#
# $$\frac{e^{z_i + c}}{\sum_j e^{z_j + c}} = \frac{e^c\, e^{z_i}}{e^c \sum_j e^{z_j}} = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# So **only differences of scores matter**. Multiplying does change the probabilities, because it stretches the differences.
# This notebook uses both facts again and again: the first to avoid overflow, the second as the temperature.

# %% [markdown] id="2-when-the-scores-are-large"
# ## 2 · When the scores are large
#
# With 2, 1 and 0.1 nothing could go wrong. Real scores can be much larger.
#
# > **Predict.** The scores are now 1000, 1001 and 1002. Only differences matter, so the answer should be that of 0, 1 and
# > 2. What does the formula return if you type it exactly as written?

# %% id="scores-torch-tensor-1000-0-1001"
scores = torch.tensor([1000.0, 1001.0, 1002.0])
print(torch.exp(scores) / torch.exp(scores).sum())
for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    largest = torch.finfo(dtype).max
    limit = math.log(largest)
    print(f"{dtype!s:15} largest number {largest:9.3g}   exp overflows above {limit:.1f}")

# %% [markdown] id="in-float16-a-score-of-12"
# We get `nan`, "not a number", three times. Each `exp` is infinite in float32, and infinity over infinity has no value. The scores
# need not even be that large: in float16 a score of 12 is already too large.
#
# The first section shows the way out: we may add any constant, so choose one that makes overflow impossible. Subtract the largest
# score, $c = -\max_j z_j$. Then the largest exponential is $e^0 = 1$, all others lie between 0 and 1, and the sum of all lies between
# 1 and $V$.
#
# By hand, for 1000, 1001, 1002: subtract 1002 and get −2, −1, 0; exponentiate and get 0.135, 0.368, 1; divide by their
# sum 1.503 and get **0.090, 0.245, 0.665**.

# %% [markdown] id="build-it"
# ### Build it
# Write softmax so that it works for any finite scores, along any axis `dim` of a tensor of any shape. The result has the
# shape and the dtype of `x`. The gradient is checked too.
#
# The cell checks itself when you run it: leave the `def` line as it is and replace the `...`. In this notebook `softmax` is
# the name of the library's module, so give your own functions a different name. If you overwrite it by accident, run the
# first cell again.
#
# Stuck? Type `hint()` in a new cell; each call gives a little more. The cell after the exercise holds the library's version. It
# stays folded until you have passed, or have run that cell twice.


# %% id="softmax.stable"
@exercise("softmax.stable")
def stable_softmax(x, dim=-1):
    """Return probabilities along `dim`; never overflow."""
    ...


# %% id="reveal-softmax-stable"
reveal("softmax.stable")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# Scores of up to tens of thousands, along each axis of a three-dimensional tensor, compared with PyTorch's own softmax:

# %% id="x-torch-randn-3-4-7"
x = torch.randn(3, 4, 7, generator=seeded(0)) * 1e4
for dim in range(3):
    gap = (softmax.stable_softmax(x, dim) - torch.softmax(x, dim)).abs().max().item()
    print(f"dim {dim}: largest difference < 1e-6: {gap < 1e-6}")
lost = int(softmax.naive_softmax(x).isnan().sum())
print(f"naive form: {lost} of {x.numel()} numbers are nan")

# %% [markdown] id="play-with-it"
# ### Play with it
# Where does the naive formula break? Choose the dtype and the size of the scores. Both forms really run in that dtype;
# nothing is drawn from a formula. Look at small probabilities too: the stable form replaces overflow by a harmless
# *underflow*, where a probability that is too small becomes 0.

# %% id="explorers-softmax-overflow-map-dtype-float16"
explorers.softmax.overflow_map(dtype="float16", magnitude=10)

# %% [markdown] id="3-the-logarithm-of-a-share"
# ## 3 · The logarithm of a probability
#
# Training needs $\log p$, not $p$: the loss of a language model is minus the logarithm of the probability of the token that
# came next. (Here and below, log is the natural logarithm.) That token may have a score far below the largest, and then its
# probability is tiny.
#
# > **Predict.** The scores are 0 and 200. The probability of the first is $e^{-200}$, about $10^{-87}$. What is its
# > logarithm, and what does `torch.softmax(...).log()` return?

# %% id="scores-torch-tensor-0-0-200"
scores = torch.tensor([0.0, 200.0])
print("log(softmax):", torch.softmax(scores, -1).log())
for dtype, gap in ((torch.float16, 18.0), (torch.float32, 105.0)):
    p = torch.softmax(torch.tensor([0.0, gap], dtype=dtype), -1)[0].item()
    print(f"{dtype}: the probability of a score {gap:.0f} below the largest is {p}")

# %% [markdown] id="the-true-answer-is-200-an"
# The true answer is −200, an ordinary number. We got −∞, because float32 has no number as small as $10^{-87}$ and
# rounds it to 0 *before* the logarithm. No later step can bring it back. In float16 a gap of 18 is enough.
#
# So never form the probability. The logarithm of a quotient is a difference:
#
# $$\log p_i = z_i - \log \sum_j e^{z_j} = z_i - \operatorname{logsumexp}(z)$$
#
# and the sum is made safe in the same way as before, $\operatorname{logsumexp}(z) = c + \log \sum_j e^{z_j - c}$ with
# $c = \max_j z_j$. By hand, for 0 and 200: $c = 200$ and the sum is $e^{-200} + 1$. Its logarithm rounds to 0, so logsumexp
# is 200 and the two logarithms are **−200 and 0**.

# %% [markdown] id="build-it-2"
# ### Build it
# Write the logarithm of softmax along any axis `dim`, for any finite scores. The result has the shape and the dtype of `x`
# and is always finite. The gradient is checked too.


# %% id="softmax.log"
@exercise("softmax.log")
def log_softmax(x, dim=-1):
    """Return log(softmax(x)) along `dim`, finite wherever the scores are finite."""
    ...


# %% id="reveal-softmax-log"
reveal("softmax.log")

# %% [markdown] id="the-library-splits-the-work-in"
# The library computes logsumexp in a function of its own, since it is useful by itself. Note its second line: what happens
# if a whole row is −∞?

# %% id="reveal-softmax-logsumexp"
reveal(softmax.logsumexp)

# %% id="x-torch-randn-5-9-generator"
x = torch.randn(5, 9, generator=seeded(1)) * 100
gap = (softmax.log_softmax(x) - torch.log_softmax(x, -1)).abs().max().item()
print("log_softmax agrees with torch:", gap < 1e-4)
same = torch.allclose(softmax.logsumexp(x), torch.logsumexp(x, -1))
print("logsumexp agrees with torch:  ", same)
print("a row of -inf:                ", softmax.logsumexp(torch.full((3,), -torch.inf)).item())

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Two scores with a growing gap, computed both ways in the dtype you choose and compared with float64. In float16
# the logarithm of the softmax is −∞ from a gap of about 17.5 on, and it is inaccurate well before that.

# %% id="explorers-softmax-log-softmax-error-dtype"
explorers.softmax.log_softmax_error(dtype="float16", gap=15)

# %% [markdown] id="4-entries-that-must-not-count"
# ## 4 · Masked entries
#
# In attention a token may look at some tokens and not at others. A masked token must get a probability of exactly 0, and the
# rest must add up to 1. In this course a mask is **True where a token may attend**.
#
# > **Predict.** Scores 2, 1 and 0.1; the second is masked. Which of these is right: set its *score* to 0, set its
# > *probability* to 0, or set its score to −∞?

# %% id="scores-torch-tensor-2-0-1-2"
scores = torch.tensor([2.0, 1.0, 0.1])
mask = torch.tensor([True, False, True])
attempts = {
    "score to 0": torch.softmax(scores * mask, -1),
    "probability to 0": torch.softmax(scores, -1) * mask,
    "score to -inf": torch.softmax(scores.masked_fill(~mask, -torch.inf), -1),
}
for name, p in attempts.items():
    print(f"{name:17}", rounded(p), "sum", rounded(p.sum()))

# %% [markdown] id="a-score-of-0-is-an"
# A score of 0 is an ordinary score, with $e^0 = 1$. Setting the probability to 0 afterwards leaves the others too small. Only
# −∞ works: $e^{-\infty} = 0$, before the sum is taken.
#
# One case is left. A row in which *everything* is masked occurs in practice, for example for a padding token. Its maximum is
# −∞, and −∞ − (−∞) is `nan`. One `nan` spreads through every later layer.
#
# > **Predict.** Many programs use the most negative finite number instead of −∞, to avoid this `nan`. What do the
# > probabilities of a fully masked row become then?

# %% id="hidden-torch-full-1-3-torch"
nothing = torch.zeros(1, 3, dtype=torch.bool)
zeros = torch.zeros(1, 3)
lowest = torch.finfo(torch.float32).min
print("softmax, -inf:      ", torch.softmax(zeros.masked_fill(~nothing, -torch.inf), -1))
print("softmax, finfo.min: ", rounded(torch.softmax(zeros.masked_fill(~nothing, lowest), -1)))
print("masked_softmax:     ", softmax.masked_softmax(zeros, nothing))
values = torch.ones(1, 3, 4)
out = F.scaled_dot_product_attention(values, values, values, attn_mask=nothing)
print("torch's attention over nothing:", out.unique().tolist())

# %% [markdown] id="build-it-3"
# With a finite number the masked row becomes uniform: it reads exactly the tokens that it must not read. In this course a row
# that may attend to nothing gets all zeros. PyTorch's fused attention follows the same rule: its output for such a row is 0.
#
# ### Build it
# `mask` is boolean and may have fewer or shorter axes than `x`: it broadcasts. The result has the shape and the dtype of
# `x`. A row with nothing allowed is all zeros. Scores are finite, but may be large or far below zero. The
# gradient is checked too and must not be nan.


# %% id="softmax.masked"
@exercise("softmax.masked")
def masked_softmax(x, mask, dim=-1):
    """Return probabilities over the entries where `mask` is True; zeros for a row with none."""
    ...


# %% id="reveal-softmax-masked"
reveal("softmax.masked")

# %% [markdown] id="5-temperature"
# ## 5 · Temperature
#
# Multiplying all scores stretches their differences. Written as a division by a *temperature* $T$, this is the setting that
# every chat model offers:
#
# $$p_i(T) = \frac{e^{z_i/T}}{\sum_j e^{z_j/T}}$$
#
# - $T \to 0$: differences grow without bound, and the largest score gets everything (argmax);
# - $T = 1$: softmax as it was trained;
# - $T \to \infty$: all differences vanish, and every token gets $1/V$ (uniform).
#
# > **Predict.** Scores 2, 1 and 0, temperature 0.5. That is the softmax of 4, 2 and 0. The first probability at $T = 1$ is
# > 0.665. Is it above or below 0.8 now?

# %% id="scores-torch-tensor-2-0-1-3"
scores = torch.tensor([2.0, 1.0, 0.0])
for temperature in (0.0, 0.1, 0.5, 1.0, 2.0, 10.0, math.inf):
    p = softmax.softmax_with_temperature(scores, temperature)
    print(f"T = {temperature:<4}", rounded(p), f"entropy {entropy(p, math.e):.3f} nats")

# %% [markdown] id="build-it-4"
# ### Build it
# For any finite temperature above 0, along any axis `dim`. The library also handles the two limits, 0 and ∞; you may leave
# them out. The gradient is checked too.


# %% id="softmax.temperature"
@exercise("softmax.temperature")
def softmax_with_temperature(x, temperature, dim=-1):
    """Return softmax(x / temperature) along `dim`."""
    ...


# %% id="reveal-softmax-temperature"
reveal("softmax.temperature")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# To *sample* a token, take one random number $u$ between 0 and 1 and walk along the cumulative probabilities until they
# exceed $u$. Hold $u$ fixed and change the temperature: the same random number picks a different token, because the
# cumulative probabilities move.

# %% id="explorers-softmax-temperature"
explorers.softmax.temperature()

# %% [markdown] id="how-undecided-the-distribution-is-in"
# Entropy measures in one number how undecided the distribution is. As the temperature grows from 0, entropy climbs from the
# logarithm of the number of scores that tie for first place to $\log V$. Let two or three scores tie, and see where the curve
# starts:

# %% id="explorers-softmax-entropy-curve"
explorers.softmax.entropy_curve()

# %% [markdown] id="6-what-softmax-passes-back"
# ## 6 · The gradient of softmax
#
# Training moves the scores. How much does probability $i$ change when score $j$ moves a little? Write $S = \sum_k e^{z_k}$,
# so that $p_i = e^{z_i} / S$ and $\partial S / \partial z_j = e^{z_j}$. The quotient rule, with $\delta_{ij}$ equal to 1 where
# $i = j$ and 0 elsewhere, gives
#
# $$\frac{\partial p_i}{\partial z_j} = \frac{\delta_{ij}\, e^{z_i} S - e^{z_i} e^{z_j}}{S^2}
# = \delta_{ij}\, p_i - p_i\, p_j = p_i\,(\delta_{ij} - p_j)$$
#
# As a matrix this is the Jacobian $J = \operatorname{diag}(p) - p\,p^\top$. For two equal scores the probabilities are ½ and
# ½. Then $J$ has ½ · ½ = **0.25** on its diagonal and **−0.25** off it: what one probability gains the other loses. Each row
# adds up to 0, since the probabilities always add up to 1.
#
# > **Predict.** The scores are 0 and 10, so one probability is almost 1. How large is the largest entry of $J$?

# %% id="print-softmax-softmax-jacobian-torch-tensor"
print(softmax.softmax_jacobian(torch.tensor([0.5, 0.5])))
scores = torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=torch.float64)
by_autograd = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, -1), scores)
ours = softmax.softmax_jacobian(softmax.stable_softmax(scores))
print("agrees with autograd:", torch.allclose(ours, by_autograd))
print("rows add up to zero: ", torch.allclose(ours.sum(-1), torch.zeros(4, dtype=torch.float64)))
for gap in (0.0, 2.0, 5.0, 10.0, 20.0):
    p = softmax.stable_softmax(torch.tensor([0.0, gap], dtype=torch.float64))
    largest = softmax.softmax_jacobian(p).max()
    print(f"gap {gap:4.1f}: largest probability {p.max():.6f}, largest entry of J {largest:.2e}")

# %% [markdown] id="when-one-share-is-close-to"
# When one probability is close to 1, every entry of $J$ is close to 0: the row is **saturated**, and almost no gradient passes
# through it. This is one reason why attention divides its scores by $\sqrt{D}$, where $D$ is the width of a head (notebook
# [Attention](05_attention.ipynb)). Change the scale of the scores and watch the whole matrix fade:

# %% id="explorers-softmax-jacobian"
explorers.softmax.jacobian()

# %% [markdown] id="backward-without-the-matrix"
# ### Backward without the matrix
# For a vocabulary of 50 257 tokens, $J$ has 2.5 billion entries for each row. Nobody builds it. The backward pass receives
# $g_i = \partial L / \partial p_i$ from the next layer, and the chain rule sums over all probabilities:
#
# $$\frac{\partial L}{\partial z_j} = \sum_i g_i\, p_i\,(\delta_{ij} - p_j) = p_j \Big(g_j - \sum_i p_i\, g_i\Big)$$
#
# One dot product for each row, then a subtraction and a multiplication. In words: the gradient at a score is positive where its
# $g_j$ is above the weighted mean of all $g_i$, and negative where it is below.
#
# By hand: $p = (½, ½)$ and $g = (1, 0)$. The weighted mean is ½, so the gradient is ½ · (1 − ½) = **0.25** and ½ · (0 − ½) = **−0.25**, the first column of the matrix above.

# %% id="p-torch-tensor-0-5-0"
p = torch.tensor([0.5, 0.5])
print("by hand:      ", softmax.softmax_backward(p, torch.tensor([1.0, 0.0])))
print("same for all: ", softmax.softmax_backward(p, torch.tensor([3.0, 3.0])))

# %% [markdown] id="build-it-8"
# ### Build it
# `p` are the probabilities that the forward pass returned, and `gradient` has the same shape. Return the gradient at the
# scores, in the dtype of `p`, along any axis `dim`, without the $V \times V$ matrix. Some probabilities may be exactly 0.


# %% id="softmax.backward"
@exercise("softmax.backward")
def softmax_backward(p, gradient, dim=-1):
    """Return the gradient at the scores from the gradient at the probabilities `p`."""
    ...


# %% id="reveal-softmax-backward"
reveal("softmax.backward")

# %% [markdown] id="7-the-loss"
# ## 7 · The loss
#
# A language model is trained to be less surprised by the token that came next. The surprise at a token with probability $p$
# is $-\log p$, and the mean over many tokens is the *cross-entropy* $L$. From the scores, without forming a probability:
#
# $$L = \frac1N \sum_n \Big(\operatorname{logsumexp}(z^{(n)}) - z^{(n)}_{t_n}\Big)$$
#
# Here $z^{(n)}$ are the scores of row $n$ and $t_n$ is its target, the token that came next.
#
# By hand: the scores 2, 1 and 0.1 again, and the target is the second token. Its probability was 0.2424, and −log 0.2424 =
# **1.417** nats. (A *nat* is the unit of surprise for natural logarithms, as a bit is for base 2.)
#
# > **Predict.** A model with a vocabulary of 50 257 tokens that knows nothing gives every token the same score. What is
# > its loss?

# %% id="row-torch-tensor-2-0-1"
row = torch.tensor([[2.0, 1.0, 0.1]])
print("by hand:", rounded(softmax.cross_entropy(row, torch.tensor([1]))))
ignorant = softmax.cross_entropy(torch.zeros(1, 50257), torch.tensor([42]))
print("knows nothing, V = 50257:", rounded(ignorant))
print("log(50257) =", round(math.log(50257), 3))

# %% [markdown] id="this-is-worth-remembering-the-first"
# This is worth remembering: the first loss that a training run prints should be close to $\log V$. If it is not, something
# is wrong before training has begun.

# %% [markdown] id="build-it-5"
# ### Build it
# `logits` has shape (N, V) and `targets` holds N token ids. Return the mean over the rows, in nats, as a tensor. A target may
# have a probability that rounds to 0. The gradient of your result is checked too.


# %% id="softmax.cross_entropy"
@exercise("softmax.cross_entropy")
def cross_entropy(logits, targets):
    """Return the mean of -log p[target] over the rows of `logits` (N, V), in nats."""
    ...


# %% id="reveal-softmax-cross-entropy"
reveal("softmax.cross_entropy")

# %% [markdown] id="what-the-loss-tells-each-score"
# ### The gradient of the loss
# For one row, $L = \log S - z_t$ with $S = \sum_k e^{z_k}$. The first term has the derivative
# $\frac{1}{S} \frac{\partial S}{\partial z_i} = \frac{e^{z_i}}{S} = p_i$: the gradient of logsumexp is softmax. The second
# contributes −1 at the target and 0 elsewhere. So
#
# $$\frac{\partial L}{\partial z_i} = p_i - \mathbb{1}[i = t]$$
#
# A gradient step lowers every score in proportion to its probability and then, in the same unit, raises the target's score
# by 1. Nothing is divided by a probability, so the gradient never explodes, even where $p_t$ is 0. If the target is already certain,
# $p_t = 1$, the gradient is 0. The loss is a mean over $N$ rows, so each row's gradient is divided by $N$.
#
# Compare this with section 6. There a saturated row passed on almost no gradient. Here the logarithm cancels that effect: a
# model that is confident and wrong gets a gradient of almost −1 at the target. Raise the scale below, with a target that does
# not have the largest score.

# %% id="explorers-softmax-cross-entropy-gradient"
explorers.softmax.cross_entropy_gradient()

# %% [markdown] id="build-it-9"
# ### Build it
# `logits` (N, V) and `targets` (N) as before. Return the gradient of the mean loss, of shape (N, V), by the formula and
# without autograd. Scores may be large.


# %% id="softmax.gradient"
@exercise("softmax.gradient")
def cross_entropy_gradient(logits, targets):
    """Return the gradient of the mean cross-entropy with respect to the logits (N, V)."""
    ...


# %% id="reveal-softmax-gradient"
reveal("softmax.gradient")

# %% id="logits-torch-randn-6-11-generator"
logits = (torch.randn(6, 11, generator=seeded(2)) * 3).double().requires_grad_()
targets = torch.randint(11, (6,), generator=seeded(3))
expected = F.cross_entropy(logits, targets)
(by_autograd,) = torch.autograd.grad(expected, logits)
loss = softmax.cross_entropy(logits, targets)
gradient = softmax.cross_entropy_gradient(logits, targets)
print("loss agrees with torch:       ", torch.allclose(loss, expected))
print("gradient agrees with autograd:", torch.allclose(gradient, by_autograd))

# %% [markdown] id="8-one-pass"
# ## 8 · Maximum and sum in one pass
#
# The stable softmax reads its scores three times: for the maximum, for the sum, for the division. When the scores are
# many and memory is slow, reading is what costs. Can we find the maximum and the sum together, reading each score *once*?
#
# The difficulty is that the sum is measured from the maximum, and the maximum is not known until the end. So keep both for
# the scores seen so far. When a new score $z$ raises the maximum from $m$ to $m'$, every term in the sum is too large
# by the same factor, and one multiplication corrects them all (Milakov & Gimelshein 2018, arXiv:1805.02867):
#
# $$m' = \max(m, z) \qquad \ell' = \ell \cdot e^{m - m'} + e^{z - m'}$$
#
# We call $\ell$ the *total*. By hand, for the scores 1, 3, 2. After 1: $m = 1$, $\ell = 1$. After 3 the maximum grows by 2,
# so $\ell = 1 \cdot e^{-2} + 1 = 1.135$. After 2 it stays, so $\ell = 1.135 + e^{-1} =$ **1.503**. That is the sum from
# section 2, as it should be: 1, 3, 2 are 1000, 1002, 1001 minus 999.

# %% id="for-seen-in-1-2-3"
for seen in (1, 2, 3):
    state = softmax.online_state(torch.tensor([1.0, 3.0, 2.0])[:seen])
    print(f"after {seen}: maximum {state.maximum:.0f}, total {state.total:.3f}")

# %% id="explorers-softmax-online-steps"
explorers.softmax.online_steps()

# %% [markdown] id="build-it-6"
# ### Build it
# Walk over the last axis of `x` once; `x` may have any number of axes. `x.unbind(-1)` gives the scores one by one. Start with
# a maximum of −∞ and a total of 0. Scores may be −∞, as in a masked row; where all of them are, return (−∞, 0).


# %% id="softmax.online"
@exercise("softmax.online")
def online_state(x):
    """Return (maximum, total) of the scores along the last axis, in one pass."""
    ...


# %% id="reveal-softmax-online"
reveal("softmax.online")

# %% [markdown] id="predict-a-thousand-equal-scores-every"
# The library's version is short because it calls the function of the next section: a new score is a block of length one.
#
# > **Predict.** A thousand equal scores: every term is $e^0 = 1$, so the total is 1000. What does the loop return in bfloat16,
# > which keeps 8 significant bits?

# %% id="equal-torch-zeros-1000"
equal = torch.zeros(1000)
for dtype in (torch.float32, torch.bfloat16):
    print(f"{dtype!s:15} total {softmax.online_state(equal.to(dtype)).total.item():.0f}")
print("torch.sum, bfloat16:", equal.bfloat16().exp().sum().item())

# %% [markdown] id="the-sum-stops-at-256-in"
# The sum stops at 256: in bfloat16, 256 + 1 rounds back to 256. bfloat16 has the *range* for softmax but not the *precision*
# for its sum. PyTorch adds in float32 and rounds once at the end, and so does every serious kernel.

# %% [markdown] id="9-two-blocks-that-never-meet"
# ## 9 · Merging two blocks
#
# Cut the scores in two. One worker summarised the first block as $(m_a, \ell_a)$, another worker the second as
# $(m_b, \ell_b)$; neither saw the other's scores. These two numbers from each are enough:
#
# $$m = \max(m_a, m_b) \qquad \ell = \ell_a\, e^{m_a - m} + \ell_b\, e^{m_b - m}$$
#
# By hand: the blocks (1, 1.5) and (3, 1.2). The larger maximum is 3. The first total shrinks to $1.5 \cdot e^{-2} = 0.203$,
# the second stays, and together they are **(3, 1.403)**.

# %% id="merged-softmax-merge-states"
merged = softmax.merge_states(
    softmax.SoftmaxState(torch.tensor(1.0), torch.tensor(1.5)),
    softmax.SoftmaxState(torch.tensor(3.0), torch.tensor(1.2)),
)
print(f"maximum {merged.maximum:.0f}, total {merged.total:.3f}")

# %% [markdown] id="build-it-7"
# ### Build it
# `a` and `b` are pairs of tensors of the same shape, one entry for each row; unpack them with `maximum, total = a`. Return a
# pair. An empty block has the pair (−∞, 0), and two empty blocks give an empty block.


# %% id="softmax.merge"
@exercise("softmax.merge")
def merge_states(a, b):
    """Return the pair (maximum, total) of two blocks of scores together."""
    ...


# %% id="reveal-softmax-merge"
reveal("softmax.merge")

# %% id="explorers-softmax-merge"
explorers.softmax.merge()

# %% [markdown] id="why-this-matters"
# ### Why this matters
# Apart from rounding, order and grouping do not matter: the merge is *commutative* and *associative*, and the empty block
# (−∞, 0) is its neutral element. So a row of any length can be cut anywhere, given to any number of workers, and put together in
# any order.
#
# > **Predict.** 1000 scores are cut into ten blocks, summarised separately, and merged in a shuffled order. How far from the
# > direct softmax is the result?

# %% id="x-torch-randn-1000-generator-seeded"
x = torch.randn(1000, generator=seeded(4), dtype=torch.float64) * 50
blocks = [softmax.online_state(block) for block in x.split(100)]
together = softmax.SoftmaxState(
    torch.tensor(-math.inf, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
)
for index in torch.randperm(10, generator=seeded(5)).tolist():
    together = softmax.merge_states(together, blocks[index])
gap = (softmax.softmax_from_state(x, together) - torch.softmax(x, -1)).abs().max().item()
print("largest difference < 1e-14:", gap < 1e-14)

# %% [markdown] id="flashattention-notebook-10-is-this-merge"
# FlashAttention (notebook [FlashAttention](10_flash_attention.ipynb)) is this merge with one more thing carried along: the
# weighted sum of the values. It reads the scores in blocks that fit into fast memory and never stores a whole row of weights.

# %% [markdown] id="10-what-softmax-costs"
# ## 10 · What softmax costs
#
# A processor does arithmetic, and it moves numbers between memory and its registers. Which of the two takes longer is decided
# by the *arithmetic intensity*, the number of FLOPs (floating-point operations) for each byte moved. Softmax does about five
# operations for each score: a comparison, a subtraction, an exponential, an addition, a division.
#
# > **Predict.** The library's `stable_softmax` consists of separate PyTorch operations. How many times, in all, is the whole table of
# > scores read or written?

# %% id="passes-tables-read-tables-written"
passes = {  # (tables read, tables written)
    "five operations": (5, 3),  # amax, subtract, exp, sum, divide; three of them write a table
    "one kernel, three passes": (3, 1),
    "one kernel, online": (2, 1),
}
for name, (read, written) in passes.items():
    moved = 4 * (read + written)  # bytes for each float32 score
    print(f"{name:25} {read} tables read, {written} written: {5 / moved:.2f} FLOPs per byte")

# %% [markdown] id="even-the-best-form-does-less"
# Even the best form does less than one FLOP for each byte. An H100 can do about 20 float32 operations in the time in which it
# moves one byte, so softmax waits for memory on any such device, and fewer passes mean less time. Now measure: one table
# of 13 MB, each form as a multiple of a plain copy (one read, one write).


# %% tags=["nbval-ignore-output"] id="milliseconds"
def milliseconds(run):
    times = []
    for _ in range(6):  # the first call also allocates memory
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


table = torch.randn(64, 50257, generator=seeded(6))
kept = torch.empty_like(table)
copy = milliseconds(lambda: kept.copy_(table))
print(f"copy: {8 * table.numel() / copy / 1e6:.1f} GB/s")
print(f"five operations: {milliseconds(lambda: softmax.stable_softmax(table)) / copy:.1f} copies")
print(f"torch.softmax:   {milliseconds(lambda: torch.softmax(table, -1)) / copy:.1f} copies")

# %% [markdown] id="the-loss-of-a-large-vocabulary"
# The single kernel is faster with the same arithmetic. How much faster depends on the machine: on a CPU the exponential takes a
# good part of both times, and the five operations also ask for new memory three times. On a GPU the count of bytes decides.
#
# ### The loss of a large vocabulary
# The largest softmax of a language model is the last one.
#
# > **Predict.** A batch of 8192 tokens, a vocabulary of 151 936 (Qwen3), float32: how much memory do the logits take?

# %% id="for-name-vocabulary-in-gpt-2"
for name, vocabulary in (("GPT-2", 50_257), ("Qwen3", 151_936)):
    size = softmax.logits_bytes(8192, vocabulary) / 1e9
    print(f"{name:6} {size:.2f} GB of logits, and as much for their gradient")

# %% [markdown] id="build-it-10"
# Those logits are hidden states (N, C) times the output table (V, C). They need not exist all at once: the loss needs only
# the maximum, the total and the target's score, and these can be merged from blocks of the vocabulary. For each chunk of rows
# of the table, compute its logits $(N \times \text{chunk})$, merge their state into the running one, and throw them away. At the
# end, logsumexp is $m + \log \ell$.
#
# ### Build it
# `hidden` is (N, C), `table` is (V, C), `targets` holds N ids, and the logits are `hidden @ table.T`. V need not be a multiple of
# `chunk`. Return the mean loss in nats. No tensor of N·V numbers may be made, and not all chunks may be kept: the check looks
# at the size of every tensor. Gradients are not checked.


# %% id="softmax.chunked_loss"
@exercise("softmax.chunked_loss")
def chunked_cross_entropy(hidden, table, targets, chunk):
    """Return the mean cross-entropy of the logits `hidden @ table.T`, `chunk` tokens at a time."""
    ...


# %% id="reveal-softmax-chunked-loss"
reveal("softmax.chunked_loss")

# %% id="hidden-torch-randn-32-16-generator"
hidden = torch.randn(32, 16, generator=seeded(7), dtype=torch.float64)
table = torch.randn(1000, 16, generator=seeded(8), dtype=torch.float64)
targets = torch.randint(1000, (32,), generator=seeded(9))
expected = F.cross_entropy(hidden @ table.T, targets)
for chunk in (1, 300, 1000):
    ours = softmax.chunked_cross_entropy(hidden, table, targets, chunk)
    print(f"chunks of {chunk:4}: agrees with torch: {torch.allclose(ours, expected)}")

# %% [markdown] id="the-same-merge-lets-several-gpus"
# The same merge lets several GPUs each hold a part of the vocabulary and exchange two numbers for each token, together with the
# target's score. In training, the chunks are computed a second time in the backward pass: the gradient $p - \text{onehot}$
# needs only the final maximum and total.

# %% [markdown] id="10-claims-that-are-wrong"
# ## 11 · Claims that are wrong
#
# > *"With a temperature of 0.5, softmax([2, 1, 0]) becomes [0.84, 0.11, 0.04]."*

# %% id="claimed-torch-tensor-0-84-0"
claimed = torch.tensor([0.84, 0.11, 0.04])
computed = softmax.softmax_with_temperature(torch.tensor([2.0, 1.0, 0.0]), 0.5)
for name, p in (("claimed: ", claimed), ("computed:", computed)):
    print(name, rounded(p), "sum", rounded(p.sum(), 2), end="; ")
    print(f"ratio of the first two {p[0] / p[1]:.2f}, of the last two {p[1] / p[2]:.2f}")
print(f"the largest ratio that rounds to 0.11 and 0.04: {0.115 / 0.035:.2f}, e² = {math.e**2:.2f}")

# %% [markdown] id="you-can-catch-this-without-a"
# You can catch this without a computer. That the claimed probabilities add up to 0.99 proves nothing, since three rounded numbers
# may do so. But at $T = 0.5$ neighbouring scores are 2 apart, so each probability must be $e^2 \approx 7.39$ times the next one. The
# last two are not, and no rounding explains it.
#
# > *"Cross-entropy compares probabilities, so apply softmax before `F.cross_entropy`."*

# %% id="scores-torch-tensor-2-1-0"
logits = torch.zeros(1, 50257)
logits[0, 42] = 100.0  # certain, and right
target = torch.tensor([42])
print("from logits:       ", rounded(F.cross_entropy(logits, target)))
print("from probabilities:", rounded(F.cross_entropy(torch.softmax(logits, -1), target)))
print("knows nothing:     ", rounded(F.cross_entropy(torch.zeros(1, 50257), target)))

# %% [markdown] id="this-one-adds-up-to-1"
# `F.cross_entropy` takes logits and applies softmax itself. Probabilities differ by at most 1, so a second softmax can hardly
# tell them apart: even a model that is certain and right is left with a loss of $\log(V - 1 + e) - 1$. Training still runs,
# slowly, which is why this mistake is hard to notice.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Softmax divides exponentials by their sum. Only *differences* of scores matter.
# 2. Subtract the largest score of each row before `exp`, and nothing overflows. For log p, use z − logsumexp(z) and never
#    form p. For a masked entry, use −∞ before softmax, and handle the row in which everything is masked.
# 3. Temperature divides the scores: 0 is argmax, ∞ is uniform, and entropy grows in between.
# 4. The gradient of the loss at the scores is p − onehot. Through softmax alone it is p(g − Σpg), which vanishes where one
#    probability is close to 1.
# 5. Maximum and sum can be found in one pass, and two blocks merge into one, in any order. Softmax is limited by memory:
#    fewer passes, and logits that are never stored, are what makes it fast.
#
# ### Test yourself

# %% id="quiz-softmax"
quiz("softmax")

# %% [markdown] id="papers"
# ### Papers
# - Milakov & Gimelshein 2018, *Online normalizer calculation for softmax*, arXiv:1805.02867.
# - Dao, Fu, Ermon, Rudra & Ré 2022, *FlashAttention*, arXiv:2205.14135, where the merge of section 9 becomes a kernel.
# - Wijmans et al. 2024, *Cut your losses in large-vocabulary language models*, arXiv:2411.09009, on the loss without logits.
# - Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, arXiv:1503.02531, on temperature.
#
# **Next:** [Attention](05_attention.ipynb), where each token uses softmax to decide what to read from the others.
