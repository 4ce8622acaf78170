# %% [markdown] id="04-softmax"
# # 04 · Softmax
#
# **How do scores become a distribution, and how does that go wrong in floating point?**
#
# A language model ends in one score for each token that could come next. Scores are any real numbers; to choose a token,
# or to measure how surprised the model is, we need probabilities. Softmax makes the one into the other. It takes one line
# to write, and that line fails on the scores of real models.
#
# After this notebook you can
# - write softmax, its logarithm and its masked form so that no finite score breaks them, and say why each line is there;
# - turn the temperature knob and predict what happens to the distribution and to its entropy;
# - derive what the loss tells each score, and why a saturated row learns nothing while a wrong prediction does;
# - compute softmax in one pass over blocks that never meet, which is the seed of FlashAttention.
#
# About 90 minutes. You need Python and a little PyTorch; nothing is downloaded.

# %% id="imports"
import math

import torch
import torch.nn.functional as F

from course_lib import softmax
from course_lib.device import seeded
from course_lib.information import entropy
from course_lib.study import exercise, explorers, quiz, reveal, rounded

# %% [markdown] id="1-from-scores-to-shares"
# ## 1 · From scores to shares
#
# We want a function that takes any scores $z_1 \dots z_V$ and returns shares $p_1 \dots p_V$ that are positive, add up to
# 1, and keep the order: a larger score gets a larger share. Dividing each score by their sum will not do, for scores may
# be negative. So make them positive first. The exponential is positive everywhere and grows:
#
# $$p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# Small enough for the head: the scores 2, 1 and 0.1. Their exponentials are about 7.39, 2.72 and 1.11, and these add up
# to 11.21. Divide, and the shares are **0.659, 0.242, 0.099**.

# %% id="scores-torch-tensor-2-0-1"
scores = torch.tensor([2.0, 1.0, 0.1])
exponentials = torch.exp(scores)
print("exponentials:", rounded(exponentials, 2), "sum:", rounded(exponentials.sum(), 2))
shares = exponentials / exponentials.sum()
print("shares:      ", rounded(shares), "sum:", rounded(shares.sum()))

# %% [markdown] id="predict-add-5-to-each-of"
# > **Predict.** Add 5 to each of the three scores: 7, 6 and 5.1. Do the shares change? And if you *double* each
# > score instead?

# %% id="for-name-changed-in-plus-5"
for name, changed in [("plus 5", scores + 5), ("minus 5", scores - 5), ("doubled", scores * 2)]:
    print(f"{name:8}", rounded(softmax.naive_softmax(changed)))

# %% [markdown] id="adding-the-same-number-to-all"
# Adding the same number to all scores changes nothing: it multiplies numerator and denominator alike.
#
# $$\frac{e^{z_i + c}}{\sum_j e^{z_j + c}} = \frac{e^c\, e^{z_i}}{e^c \sum_j e^{z_j}} = \frac{e^{z_i}}{\sum_j e^{z_j}}$$
#
# So **only differences of scores matter**. Multiplying does change the shares: it stretches the differences. Both facts
# will be used again and again in this notebook, the first for safety, the second as a knob.

# %% [markdown] id="2-when-the-scores-are-large"
# ## 2 · When the scores are large
#
# With 2, 1 and 0.1 nothing could go wrong. Real scores are not so polite.
#
# > **Predict.** The scores are now 1000, 1001 and 1002. Only differences matter, so the answer should be that of 0, 1 and
# > 2. What will the formula, typed exactly as it stands, return?

# %% id="scores-torch-tensor-1000-0-1001"
scores = torch.tensor([1000.0, 1001.0, 1002.0])
print(torch.exp(scores) / torch.exp(scores).sum())

# %% [markdown] id="three-times-nan-not-a-number"
# Three times `nan`, "not a number". Each `exp` is infinite in float32, and infinity over infinity has no value. It takes
# less than you might think:

# %% id="for-dtype-in-torch-float64-torch"
for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
    largest = torch.finfo(dtype).max
    limit = math.log(largest)
    print(f"{dtype!s:15} largest number {largest:9.3g}   exp overflows above {limit:.1f}")

# %% [markdown] id="in-float16-a-score-of-12"
# In float16 a score of 12 is already too much. The way out is in the first section: we may add any constant, so choose
# one that makes overflow impossible. Subtract the largest score, $c = -\max_j z_j$. Then the largest exponent is
# $e^0 = 1$, all others lie between 0 and 1, and their sum lies between 1 and $V$.
#
# By hand, for 1000, 1001, 1002: subtract 1002 and get −2, −1, 0; exponentiate and get 0.135, 0.368, 1; divide by their
# sum 1.503 and get **0.090, 0.245, 0.665**.

# %% [markdown] id="build-it"
# ### Build it
# Write softmax so that it survives any finite scores. It must work along any axis `dim`, for a tensor of any shape. The
# cell checks itself when you run it: leave the `def` line as it is and replace the `...`. In this notebook `softmax` is the
# library's module, so give a function of your own another name; running the first cell again brings the module back.


# %% id="softmax.stable"
@exercise("softmax.stable")
def stable_softmax(x, dim=-1):
    """Return probabilities along `dim`; never overflow."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell: it gives a little, then a little more. Done, or curious? Here is the course's own. It
# stays folded until you have passed, or have run the cell twice.

# %% id="reveal-softmax-stable"
reveal("softmax.stable")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# Scores of up to tens of thousands, along each axis of a three-dimensional tensor, next to PyTorch's own softmax:

# %% id="x-torch-randn-3-4-7"
x = torch.randn(3, 4, 7, generator=seeded(0)) * 1e4
for dim in range(3):
    gap = (softmax.stable_softmax(x, dim) - torch.softmax(x, dim)).abs().max().item()
    print(f"dim {dim}: largest difference < 1e-6: {gap < 1e-6}")
lost = int(softmax.naive_softmax(x).isnan().sum())
print(f"naive form, numbers that are nan: {lost} of {x.numel()}")

# %% [markdown] id="play-with-it"
# ### Play with it
# Where does the naive formula break? Choose the type and move the size of the scores. Both forms really run in that type,
# nothing is drawn from a formula. Watch the bottom end too: the stable form trades overflow for a harmless *underflow*,
# where a share that is too small becomes 0.

# %% id="explorers-softmax-overflow-map-dtype-float16"
explorers.softmax.overflow_map(dtype="float16", magnitude=10)

# %% [markdown] id="3-the-logarithm-of-a-share"
# ## 3 · The logarithm of a share
#
# Training needs $\log p$, not $p$: the loss of a language model is minus the logarithm of the share of the token that
# came. That token may have had a score far below the largest, and then its share is tiny.
#
# > **Predict.** The scores are 0 and 200. The share of the first is $e^{-200}$, about $10^{-87}$. What is its logarithm,
# > and what does `torch.softmax(...).log()` return?

# %% id="scores-torch-tensor-0-0-200"
scores = torch.tensor([0.0, 200.0])
print("log(softmax):", torch.softmax(scores, -1).log())
for dtype, gap in ((torch.float16, 18.0), (torch.float32, 105.0)):
    share = torch.softmax(torch.tensor([0.0, gap], dtype=dtype), -1)[0].item()
    print(f"{dtype}: the share of a score {gap:.0f} below the largest is {share}")

# %% [markdown] id="the-true-answer-is-200-an"
# The true answer is −200, an unremarkable number. We got −∞, because float32 has no number as small as $10^{-87}$ and
# rounds it to 0 *before* the logarithm. Nothing that comes later can bring it back. In float16 a gap of 18 is enough.
#
# So never form the share. The logarithm of a quotient is a difference:
#
# $$\log p_i = z_i - \log \sum_j e^{z_j} = z_i - \operatorname{logsumexp}(z)$$
#
# and the sum is made safe in the same way as before, $\operatorname{logsumexp}(z) = c + \log \sum_j e^{z_j - c}$ with
# $c = \max_j z_j$. By hand, for 0 and 200: $c = 200$, the sum is $e^{-200} + 1$, its logarithm is 0 to any precision we
# have, so logsumexp is 200 and the two logarithms are **−200 and 0**.

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="softmax.log"
@exercise("softmax.log")
def log_softmax(x, dim=-1):
    """Return log(softmax(x)) along `dim`, finite wherever the scores are finite."""
    ...


# %% id="reveal-softmax-log"
reveal("softmax.log")

# %% [markdown] id="the-library-splits-the-work-in"
# The library splits the work in two, since logsumexp is useful by itself. Note its second line: what if a whole row is
# −∞?

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
# Two scores with a growing gap, computed both ways in the type you choose, against float64. In float16 the detour through
# the share is lost at a gap of 17 or so, and it has become inaccurate well before.

# %% id="explorers-softmax-log-softmax-error-dtype"
explorers.softmax.log_softmax_error(dtype="float16", gap=15)

# %% [markdown] id="4-entries-that-must-not-count"
# ## 4 · Entries that must not count
#
# In attention a token may look at some tokens and not at others. The hidden ones must get a share of exactly 0, and the
# rest must add up to 1 again. In this course a mask is **True where a token may attend**.
#
# > **Predict.** Scores 2, 1 and 0.1; the second is hidden. Which of these is right: set its *score* to 0, set its *share*
# > to 0, or set its score to −∞?

# %% id="scores-torch-tensor-2-0-1-2"
scores = torch.tensor([2.0, 1.0, 0.1])
mask = torch.tensor([True, False, True])
attempts = {
    "score to 0": torch.softmax(scores * mask, -1),
    "share to 0": torch.softmax(scores, -1) * mask,
    "score to -inf": torch.softmax(scores.masked_fill(~mask, -torch.inf), -1),
}
for name, p in attempts.items():
    print(f"{name:14}", rounded(p), "sum", rounded(p.sum()))

# %% [markdown] id="a-score-of-0-is-an"
# A score of 0 is an ordinary score, with $e^0 = 1$. A share set to 0 afterwards leaves the others too small. Only −∞ works:
# $e^{-\infty} = 0$, before the sum is taken.
#
# One case is left. A row in which *everything* is hidden occurs in practice, for a padding token for instance. Then the
# maximum is −∞, and −∞ − (−∞) is `nan`. One `nan` in one row spreads through every later layer. The course defines that a
# row that may look at nothing takes nothing: all zeros.

# %% id="hidden-torch-full-1-3-torch"
hidden = torch.full((1, 3), -torch.inf)
print("torch:", torch.softmax(hidden, -1))
print("ours: ", softmax.masked_softmax(torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool)))

# %% [markdown] id="build-it-3"
# ### Build it


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
# Multiplying all scores stretches their differences. Written as a division by a *temperature* $T$, this is the knob on
# every chat model:
#
# $$p_i(T) = \frac{e^{z_i/T}}{\sum_j e^{z_j/T}}$$
#
# - $T \to 0$: differences grow without bound, the largest score takes everything (argmax);
# - $T = 1$: softmax as it was trained;
# - $T \to \infty$: all differences vanish, everyone gets $1/V$ (uniform).
#
# > **Predict.** Scores 2, 1 and 0, temperature 0.5. That is softmax of 4, 2 and 0. The first share at $T = 1$ is 0.665.
# > Is it above or below 0.8 now?

# %% id="scores-torch-tensor-2-0-1-3"
scores = torch.tensor([2.0, 1.0, 0.0])
for temperature in (0.0, 0.1, 0.5, 1.0, 2.0, 10.0, math.inf):
    p = softmax.softmax_with_temperature(scores, temperature)
    print(f"T = {temperature:<4}", rounded(p), f"entropy {entropy(p, math.e):.3f} nats")

# %% [markdown] id="build-it-4"
# ### Build it
# For a temperature above 0. The two ends are limits that the library handles and that you may leave out.


# %% id="softmax.temperature"
@exercise("softmax.temperature")
def softmax_with_temperature(x, temperature, dim=-1):
    """Return softmax(x / temperature) along `dim`."""
    ...


# %% id="reveal-softmax-temperature"
reveal("softmax.temperature")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# To *draw* a token, take one random number $u$ between 0 and 1 and walk along the cumulative shares until they pass $u$.
# Hold $u$ fixed and move the temperature: the same random number picks another token, because the steps under it move.

# %% id="explorers-softmax-temperature"
explorers.softmax.temperature()

# %% [markdown] id="how-undecided-the-distribution-is-in"
# How undecided the distribution is, in one number, is its entropy. It climbs from the logarithm of the number of scores
# that tie for the first place to $\log V$. Let two or three scores tie, and see where the curve begins:

# %% id="explorers-softmax-entropy-curve"
explorers.softmax.entropy_curve()

# %% [markdown] id="6-what-softmax-passes-back"
# ## 6 · What softmax passes back
#
# Training moves the scores. How much does share $i$ change when score $j$ moves a little? Differentiate:
#
# $$\frac{\partial p_i}{\partial z_j} = p_i\,(\delta_{ij} - p_j) \qquad\text{or, as a matrix,}\qquad J = \operatorname{diag}(p) - p\,p^\top$$
#
# Two scores that are equal have shares ½ and ½. Then $J$ has ½ · ½ = **0.25** on its diagonal and **−0.25** beside it: what
# one share wins the other loses. Each row adds up to 0, since the shares always add up to 1.

# %% id="print-softmax-softmax-jacobian-torch-tensor"
print(softmax.softmax_jacobian(torch.tensor([0.5, 0.5])))
scores = torch.tensor([1.0, -0.5, 0.3, 2.0], dtype=torch.float64)
by_autograd = torch.autograd.functional.jacobian(lambda z: torch.softmax(z, -1), scores)
ours = softmax.softmax_jacobian(softmax.stable_softmax(scores))
print("agrees with autograd:", torch.allclose(ours, by_autograd))
print("rows add up to zero: ", torch.allclose(ours.sum(-1), torch.zeros(4, dtype=torch.float64)))

# %% [markdown] id="predict-the-scores-are-0-and"
# > **Predict.** The scores are 0 and 10, so one share is almost 1. How large is the largest entry of $J$?

# %% id="for-gap-in-0-0-2"
for gap in (0.0, 2.0, 5.0, 10.0, 20.0):
    p = softmax.stable_softmax(torch.tensor([0.0, gap], dtype=torch.float64))
    largest = softmax.softmax_jacobian(p).max()
    print(f"gap {gap:4.1f}: largest share {p.max():.6f}, largest entry of J {largest:.2e}")

# %% [markdown] id="when-one-share-is-close-to"
# When one share is close to 1, every entry of $J$ is close to 0: the row is **saturated** and passes almost nothing back.
# This is why attention divides its scores by $\sqrt{d}$ (notebook [Attention](05_attention.ipynb)): without it, many rows are saturated before training
# has begun. Move the scale of the scores and watch the whole matrix fade:

# %% id="explorers-softmax-jacobian"
explorers.softmax.jacobian()

# %% [markdown] id="7-the-loss"
# ## 7 · The loss
#
# A language model is trained to be less surprised at the token that came. The surprise at a token with share $p$ is
# $-\log p$, and the mean over many tokens is the *cross-entropy*. From the scores, without forming a share:
#
# $$\ell = \frac1N \sum_n \Big(\operatorname{logsumexp}(z^{(n)}) - z^{(n)}_{t_n}\Big)$$
#
# By hand: the scores 2, 1 and 0.1 again, and the second token came. Its share was 0.2424, and −log 0.2424 = **1.417** nats.
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


# %% id="softmax.cross_entropy"
@exercise("softmax.cross_entropy")
def cross_entropy(logits, targets):
    """Return the mean of -log p[target] over the rows of `logits` (N, V), in nats."""
    ...


# %% id="reveal-softmax-cross-entropy"
reveal("softmax.cross_entropy")

# %% [markdown] id="what-the-loss-tells-each-score"
# ### What the loss tells each score
# The gradient of $\operatorname{logsumexp}(z)$ is softmax itself, and the target's score is subtracted. So for each row
#
# $$\frac{\partial \ell}{\partial z_i} = p_i - \mathbb{1}[i = t]$$
#
# Every score is pushed down by the share it took, and the target's is pushed up by 1. Nothing is divided by a share: the
# gradient never explodes, even where $p_t$ is 0. And a target that is already certain, $p_t = 1$, gets no push at all. The
# loss is a mean over $N$ rows, so each row's gradient is divided by $N$.
#
# Compare this with section 6. There a saturated row passed almost nothing back. Here the logarithm undoes that: a model that
# is certain and wrong gets the full push of 1. Turn the scale up below, with a target that does not lead.

# %% id="explorers-softmax-cross-entropy-gradient"
explorers.softmax.cross_entropy_gradient()


# %% id="softmax.gradient"
@exercise("softmax.gradient")
def cross_entropy_gradient(logits, targets):
    """Return the gradient of the mean cross-entropy with respect to the logits (N, V)."""
    ...


# %% id="reveal-softmax-gradient"
reveal("softmax.gradient")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing

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
# ## 8 · One pass
#
# The stable softmax reads its scores three times: for the maximum, for the sum, for the division. When the scores are
# large and memory is slow, reading is what costs. Can the maximum and the sum be had together, in *one* pass that never
# looks back?
#
# The trouble is that the sum is measured from the maximum, and the maximum is not known until the end. So keep both, for
# what was seen so far. When a new score $z$ raises the maximum from $m$ to $m'$, every term that was summed is too large
# by the same factor, and one multiplication mends them all (Milakov & Gimelshein 2018, arXiv:1805.02867):
#
# $$m' = \max(m, z) \qquad \ell' = \ell \cdot e^{m - m'} + e^{z - m'}$$
#
# By hand, for the scores 1, 3, 2. After 1: $m = 1$, $\ell = 1$. After 3 the maximum grows by 2, so
# $\ell = 1 \cdot e^{-2} + 1 = 1.135$. After 2 it stays, so $\ell = 1.135 + e^{-1} =$ **1.503**. That is the sum we had in
# section 2, as it should be: 1, 3, 2 are 1000, 1002, 1001 moved down by 999.

# %% id="for-seen-in-1-2-3"
for seen in (1, 2, 3):
    state = softmax.online_state(torch.tensor([1.0, 3.0, 2.0])[:seen])
    print(f"after {seen}: maximum {state.maximum:.0f}, total {state.total:.3f}")

# %% id="explorers-softmax-online-steps"
explorers.softmax.online_steps()

# %% [markdown] id="build-it-6"
# ### Build it
# Walk over the last axis once. `x.unbind(-1)` gives the scores one by one. Begin with a maximum of −∞ and a total of 0. One
# of the probes starts with scores of −∞, as a masked row does.


# %% id="softmax.online"
@exercise("softmax.online")
def online_state(x):
    """Return (maximum, total) of the scores along the last axis, in one pass."""
    ...


# %% [markdown] id="the-library-s-version-is-short"
# The library's version is short because it leans on the function of the next section: a new score is a block of one.

# %% id="reveal-softmax-online"
reveal("softmax.online")

# %% [markdown] id="9-two-blocks-that-never-meet"
# ## 9 · Two blocks that never meet
#
# Cut the scores in two. Somebody summed up the first block as $(m_a, \ell_a)$, somebody else the second as
# $(m_b, \ell_b)$; neither saw the other's scores. Two numbers from each are enough:
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
# `a` and `b` are pairs; take them apart with `maximum, total = a`.


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
# But for rounding, the merge does not care in which order, or in which groups, the blocks come. It is *associative* and *commutative*, with
# the empty block (−∞, 0) as its zero. So a row of any length can be cut anywhere, given to as many workers as there are,
# and put together in any order.
#
# > **Predict.** 1000 scores are cut into ten blocks, summed up apart, and merged in a shuffled order. How far from the
# > direct softmax will the result be?

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
# FlashAttention (notebook [FlashAttention](10_flash_attention.ipynb)) is this merge with one thing more carried along, the weighted sum of the values. It reads
# the scores in blocks that fit into fast memory and never writes the whole row of weights anywhere.

# %% [markdown] id="10-claims-that-are-wrong"
# ## 10 · Claims that are wrong
#
# Softmax by hand invites slips, and they are copied. Two that circulate in notes and posts:
#
# > *"With a temperature of 0.5, softmax([2, 1, 0]) becomes [0.84, 0.11, 0.04]."*

# %% id="claimed-torch-tensor-0-84-0"
claimed = torch.tensor([0.84, 0.11, 0.04])
computed = softmax.softmax_with_temperature(torch.tensor([2.0, 1.0, 0.0]), 0.5)
print("claimed: ", rounded(claimed), "sum", rounded(claimed.sum(), 2))
print("computed:", rounded(computed), "sum", rounded(computed.sum(), 2))
ratios = claimed[0] / claimed[1], computed[0] / computed[1]
print(f"ratio of the first two: claimed {ratios[0]:.2f}, computed {ratios[1]:.2f} = e²")

# %% [markdown] id="you-can-catch-this-without-a"
# You can catch this without a computer. The claimed shares do not add up to 1. And at $T = 0.5$ the first two scores are 2
# apart, so their shares must stand in the ratio $e^2 \approx 7.39$.
#
# > *"softmax([2.1, −0.5, 1.3, 0.8]) = [0.42, 0.03, 0.29, 0.26]."*

# %% id="scores-torch-tensor-2-1-0"
scores = torch.tensor([2.1, -0.5, 1.3, 0.8])
claimed = torch.tensor([0.42, 0.03, 0.29, 0.26])
computed = softmax.stable_softmax(scores)
print("claimed: ", rounded(claimed))
print("computed:", rounded(computed))
implied = claimed.log() - claimed.log()[0] + scores[0]
print("scores that would give the claim:", rounded(implied, 2))

# %% [markdown] id="this-one-adds-up-to-1"
# This one adds up to 1, and still it is wrong. Take logarithms of the claimed shares and you get back the scores that would
# have made them, up to a constant. They are not the scores we started from. Shares and differences of scores determine
# each other, so every claim about softmax can be checked from either side.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Softmax is exponentials divided by their sum. Only *differences* of scores matter.
# 2. Subtract the largest score of each row before `exp`, and nothing overflows. For log p, use z − logsumexp(z) and never
#    form p. For a hidden entry, use −∞ before softmax, and mind the row with nothing left.
# 3. Temperature divides the scores: 0 is argmax, ∞ is uniform, and entropy climbs in between.
# 4. The gradient of the loss at the scores is p − onehot. Through softmax it is diag(p) − ppᵀ, which vanishes where one
#    share is close to 1.
# 5. Maximum and sum can be kept in one pass, and two blocks merge into one, in any order.
#
# ### Test yourself

# %% id="quiz-softmax"
quiz("softmax")

# %% [markdown] id="papers"
# ### Papers
# - Milakov & Gimelshein 2018, *Online normalizer calculation for softmax*, arXiv:1805.02867.
# - Dao, Fu, Ermon, Rudra & Ré 2022, *FlashAttention*, arXiv:2205.14135, where the merge of section 9 becomes a kernel.
# - Hinton, Vinyals & Dean 2015, *Distilling the knowledge in a neural network*, arXiv:1503.02531, on temperature.
#
# **Next:** [Attention](05_attention.ipynb), where each token uses softmax to decide what to read from the others.
