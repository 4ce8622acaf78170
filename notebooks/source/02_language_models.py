# %% [markdown] id="02-language-models"
# # 02 · Language models
#
# **What is a language model before it is a neural network?**
#
# It is a function with one job: given the tokens so far, say how probable each next token is. Nothing in this sentence
# mentions networks. In this notebook the function is a table of counts, and everything around it is already what you
# will need for a model with billions of weights: how to define its task, how to evaluate it, and what the result means.
#
# After this notebook you can
# - write the probability of a text as a product, and say what causal, masked and prefix models see and predict;
# - build an n-gram model, see why it runs out of counts, and smooth it with add-k and Kneser-Ney;
# - compute entropy, cross-entropy and KL divergence, and turn a perplexity into bits per byte;
# - compress a text with your language model, and say how far any code can go, with noise and without.
#
# About 120 minutes. The sections called *Further*, before the recap, are folded in JupyterLab and can be skipped. Nothing is
# downloaded: the text is the documentation of your own Python. A different version of Python has slightly different documentation,
# so a few printed numbers differ from machine to machine in their last digits.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/02_language_models.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/02_language_models.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/02_language_models.ipynb).

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
import itertools
import math
import time
import zlib
from collections import Counter

import torch

from course_lib import information, ngrams
from course_lib.corpus import train_text
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes, scoreboard, scoreboard_figure
from course_lib.tokenization.byte_bpe import ByteBPE

# %% [markdown] id="1-one-question-asked-again-and"
# ## 1 · The chain rule
#
# How probable is a text? The chain rule of probability answers with a product:
#
# $$p(x_1 \dots x_L) = p(x_1)\; p(x_2 \mid x_1)\; p(x_3 \mid x_1 x_2) \cdots p(x_L \mid x_1 \dots x_{L-1})$$
#
# This is no assumption. It is the definition of conditional probability, used $L-1$ times, and it holds for every
# distribution over texts. Each factor answers the same question: *given what came before, how probable is this token next?*
# A function that answers it is a language model.
#
# A language of two letters will do. At the start, both are equally likely. After `a`, the next letter is `b` with probability
# three quarters; after `b` both are equally likely. By hand:
# $p(\text{abb}) = \frac12 \cdot \frac34 \cdot \frac12 = \frac{3}{16} =$ **0.1875**.
#
# > **Predict.** There are 16 texts of four letters. What is the sum of their sixteen probabilities?


# %% id="two-letters"
def two_letters(context):
    """Return the probabilities of a (0) and b (1) after the ids of `context`."""
    after_a = [0.25, 0.75]
    row = after_a if context and context[-1] == 0 else [0.5, 0.5]
    return torch.tensor(row, dtype=torch.float64)


factors = ngrams.log_probabilities(two_letters, [0, 1, 1]).exp()
print("factors:", rounded(factors), " product:", round(factors.prod().item(), 4))
texts = list(itertools.product([0, 1], repeat=4))
total = sum(ngrams.log_probabilities(two_letters, text).sum().exp() for text in texts)
print(f"{len(texts)} texts, together: {total:.6f}")
stops = 0.25  # probability that a text ends after any letter
print("all lengths, with an end:", round(sum(stops * (1 - stops) ** n for n in range(200)), 6))

# %% [markdown] id="they-add-up-to-1-for"
# The texts of *one* length always sum to 1. Nobody had to arrange that: each factor is a distribution, so the product is a
# distribution over texts. A model only has to get one token right at a time.
#
# Over *all* lengths the sum would be infinite: 1 for each. That is why real vocabularies contain an end-of-text token (bos and
# eos in [Tokenization](01_tokenization.ipynb)). If a text ends after each letter with probability 0.25, the texts of all lengths
# together sum to 1, as the last line shows.
#
# > **Predict.** A text has 500 tokens, each with probability 0.1. What is the product, in floating point?

# %% id="chances-torch-full-500-0-1"
chances = torch.full((500,), 0.1, dtype=torch.float64)
print("product:          ", chances.prod().item())
print("sum of logarithms:", round(chances.log().sum().item(), 3))

# %% [markdown] id="10-500-is-smaller-than-any"
# $10^{-500}$ is smaller than any float64 and becomes 0. So for long texts we do not multiply probabilities; we add their
# logarithms. `log_probabilities` returns one natural logarithm for each token. Its unit is the *nat*; a bit is
# $\ln 2 = 0.693$ nats. Here is the whole function:

# %% id="reveal-ngrams-log-probabilities"
reveal(ngrams.log_probabilities)

# %% [markdown] id="2-what-is-seen-what-is"
# ## 2 · What is visible, what is predicted
#
# "Given what came before" is one choice among several. A task is defined by two tables: **visible** says which tokens may be
# read to compute a position, and **predicted** says which positions are predicted at all.
#
# | task | visible | predicted | used by |
# |---|---|---|---|
# | causal | all earlier tokens | every token | GPT, Llama, Qwen |
# | masked | all tokens except the hidden ones | the hidden ones | BERT |
# | prefix | the whole prefix, then earlier tokens | the tokens after the prefix | UniLM, T5 as a prefix model |
#
# One rule holds for all three: a token that is predicted is never visible to itself. The tokens of a prefix are not predicted; each
# may read the whole prefix, itself included. (Inside a Transformer the output at position $t$ predicts token $t+1$, so there the
# causal table appears shifted by one row, with its diagonal visible: notebook [Attention](05_attention.ipynb).)
#
# > **Predict.** A text has six tokens. From how many tokens, on average, does a causal model predict? And a masked model
# > that hides one of the six?

# %% id="explorers-language-models-tasks"
explorers.language_models.tasks()

# %% [markdown] id="build-it"
# The causal model predicts from 0, 1, 2, 3, 4, 5 tokens, 2.5 on average. The masked one has all 5 others, which makes its
# task easier, but it learns from one prediction where the causal model has six. And it cannot *write*: when a text grows,
# the tokens after the next one do not exist yet. A causal model, at each position, uses only tokens that will exist when it
# writes. After this section everything is causal.
#
# ### Build it: the masked task
# `visible` is a bool tensor of shape (length, length): row $t$ reads, column $s$ is read. `predicted` is a bool tensor of shape
# (length,). `hidden` is a tensor of positions, in any order, maybe empty. A hidden token is invisible to every position. Return
# the pair.
#
# Stuck? Put `hint()` in a new cell. The cell after the exercise shows the course's own solution, folded until you have passed or
# have run that cell twice.


# %% id="language_models.masked"
@exercise("language_models.masked")
def masked_task(length, hidden):
    """Return (visible, predicted) when the tokens at the positions `hidden` are covered."""
    ...


# %% id="reveal-masked"
reveal("language_models.masked")

# %% [markdown] id="3-counting"
# ## 3 · Counting n-grams
#
# How could you predict the next token without any learning? Look up what followed earlier. An **n-gram** is a sequence
# of $n$ consecutive tokens. An n-gram model uses only the last $n-1$ tokens $h$, the *context*, and counts:
#
# $$p(w \mid h) = \frac{c(h\,w)}{\sum_{w'} c(h\,w')}$$
#
# By hand, in `abracadabra`: `a` is followed by `b` twice, by `c` once and by `d` once. The fifth `a`, at the end, is followed by
# nothing and does not count, so $p(\text{b} \mid \text{a}) = \frac24$. Here the tokens are bytes; the ids of a tokenizer work just
# as well.

# %% id="pairs-ngrams-count-ngrams-b-abracadabra"
pairs = ngrams.count_ngrams(b"abracadabra", 2)
after_a = {chr(gram[1]): times for gram, times in pairs.items() if gram[0] == ord("a")}
print("after a:", after_a, " so p(b | a) =", after_a["b"] / sum(after_a.values()))

# %% [markdown] id="build-it-2"
# ### Build it: count n-grams
# `ids` is a list; return a dict or `Counter` from tuples of $n$ ids to counts. For $n = 1$ the keys are tuples too. Occurrences may
# overlap. A text shorter than $n$ has none.


# %% id="language_models.count"
@exercise("language_models.count")
def count_ngrams(ids, n):
    """Return how often each run of n tokens occurs in `ids`, as a dict from tuples to counts."""
    ...


# %% id="reveal-count"
reveal("language_models.count")

# %% [markdown] id="with-n-1-the-model-knows"
# ### A real text
# The training text is Python's own documentation. One document in ten, chosen by a hash of its name, is held out, and no model
# in this notebook is trained on it. Without that rule the best model would be the one that memorized the text.
#
# With $n = 1$ the model knows which letters are frequent. With $n = 2$ it knows pairs, and so on. Longer contexts tell
# more, if they were ever seen.
#
# > **Predict.** The training text has some 300 000 bytes. What fraction of the six-byte sequences in the held-out text never
# > occurs in it: 1 %, 10 %, a third?

# %% tags=["nbval-ignore-output"] id="rows-ngrams-sparsity-train-held-out"
train, held_out = train_text().encode(), scoreboard.text().encode()
print(f"training text: {len(train):,} bytes, held-out text used here: {len(held_out):,} bytes")
rows = [ngrams.sparsity(train, held_out, n, 256) for n in range(1, 7)]
for row in rows:
    once = row.seen_once / row.seen
    print(f"n = {row.n}: {row.seen:6} seen, {once:4.0%} of them once; new: {row.new_share:6.1%}")
show(figures.language_models.sparsity_curves(rows))

# %% [markdown] id="about-a-third-of-them-on"
# About a third of them (the exact share depends on your Python). This is the dilemma of counting. A short context
# has been seen often and tells little; a long one tells much and has hardly ever been seen. Each step of $n$ multiplies the
# number of possible n-grams by 256, and no text grows that fast. Neural models avoid this by treating *similar* contexts alike.
# First, see how far counting goes.

# %% [markdown] id="4-room-for-the-unseen"
# ## 4 · Smoothing
#
# > **Predict.** A model has never seen `zq`. The held-out text contains it once, among 20 000 bytes. What is the
# > probability of the whole text?

# %% id="row-torch-tensor-3-0-1"
row = torch.tensor([3.0, 1.0, 0.0])
print("relative frequencies:", rounded(row / row.sum()))
print("a text that uses the third token once:", math.prod([0.75] * 20 + [0.0]))

# %% [markdown] id="build-it-3"
# Zero, however probable the rest is. So some probability must be reserved for what was not seen. The simplest way: pretend that
# every token has been seen $k$ more times in every context.
#
# $$p(w \mid h) = \frac{c(h\,w) + k}{c(h) + k\,V}$$
#
# Here $c(h) = \sum_{w'} c(h\,w')$ is the number of times that the context was seen with a next token, and $V$ is the size of the
# vocabulary. By hand, with counts 3, 1, 0 and $k = 1$: the total is $4 + 3 = 7$, and the probabilities are
# $\frac47, \frac27, \frac17$, or **0.571, 0.286, 0.143**.
#
# ### Build it: add-k smoothing
# `counts` is a float tensor of shape (..., V), one row for each context, with any number of leading axes. `k` is 0 or more; a
# row of zeros comes only with $k > 0$. Return a tensor of the same shape.


# %% id="language_models.add_k"
@exercise("language_models.add_k")
def add_k(counts, k):
    """Return probabilities along the last axis of `counts`, each count raised by k."""
    ...


# %% id="reveal-add-k"
reveal("language_models.add_k")

# %% [markdown] id="how-large-should-k-be-let"
# How much does $k$ matter? We measure on the held-out text, in bits per byte; less is better, and section 7 explains the
# unit. (To *choose* a $k$, take a third text, for validation: a choice made on the held-out text is a little training on it.)
#
# > **Predict.** With bytes and $n = 3$, a context has 256 possible next bytes, and a handful of them really occur. Is $k = 1$ a
# > good choice?


# %% tags=["nbval-ignore-output"] id="bits-per-byte"
def bits_per_byte(model, data):
    """Return the average surprise of the model at a byte of the data."""
    return -ngrams.log_probabilities(model, data).mean().item() / math.log(2)


print("by hand, k = 1:   ", rounded(ngrams.add_k(row, 1.0)))
print("         k = 0.01:", rounded(ngrams.add_k(row, 0.01)))
sample_of_text = held_out[:4000]
by_k = {
    k: bits_per_byte(ngrams.AddK(train, 3, 256, k), sample_of_text) for k in (1.0, 0.1, 0.01, 0.001)
}
print("bits per byte:", {k: round(bits, 2) for k, bits in by_k.items()})

# %% [markdown] id="ask-the-shorter-context"
# $k = 1$ is the worst of the four: it needs about 0.4 bits more than the best. It adds 256 invented counts to each context, which
# outweigh the real ones. But a small $k$ is no solution either. It treats all unseen tokens alike, as if `e` and `\x07` were
# equally likely after a new context.
#
# ### Use the shorter context
# Take a fixed *discount* $D$, between 0 and 1, from every count that is not zero, and let the shorter context $h'$, which is
# $h$ without its oldest token, say how to spread the mass that was taken:
#
# $$p(w \mid h) = \frac{\max(c(h\,w) - D,\, 0) + D \cdot \text{types}(h) \cdot p(w \mid h')}{c(h)}$$
#
# Here types(h) is the number of different tokens seen after $h$, each of which lost one $D$. This is absolute discounting (Ney,
# Essen and Kneser 1994), in the interpolated form of Chen and Goodman (1998). By hand: the counts 3, 1, 0, 0 with $D = 0.5$
# keep 2.5 and 0.5. Two types lost 0.5 each, so a mass of 1 is spread. If the shorter context gives all four the same probability,
# each gets 0.25: 2.75, 0.75, 0.25, 0.25 over a total of 4, or **0.6875, 0.1875, 0.0625, 0.0625**.
#
# ### Build it: one level of discounting
# `counts` and `lower` are float tensors of shape (V,). `lower` is a distribution, and at least one count is above 0. Seen and unseen
# tokens alike get their part of the discounted mass.


# %% id="language_models.kneser_ney"
@exercise("language_models.kneser_ney")
def discounted(counts, lower, discount):
    """Return the distribution of one context, backed by `lower`, that of the shorter one."""
    ...


# %% id="reveal-kneser-ney"
reveal("language_models.kneser_ney")

# %% id="counts-torch-tensor-3-0-1"
counts = torch.tensor([3.0, 1.0, 0.0, 0.0], dtype=torch.float64)
alike = torch.full((4,), 0.25, dtype=torch.float64)
print(rounded(ngrams.discounted(counts, alike, 0.5), 4))

# %% [markdown] id="how-many-contexts-not-how-often"
# ### How many contexts, not how often
# Kneser and Ney (1995) improved the shorter contexts. Look at this text of words: *san francisco is far . in san francisco a cup is
# big . san francisco has the cup . my cup*. The words `francisco` and `cup` occur three times each.
#
# > **Predict.** The model meets a new context, `green`. Which word should be more probable next, `francisco` or `cup`?
#
# `francisco` occurs only after `san`, whereas `cup` follows many words. What matters in a *new* context is in how many contexts a
# word has been seen:
#
# $$p_\text{cont}(w) = \frac{\text{number of different tokens before } w}{\text{the same number, summed over all tokens}}$$

# %% id="story-san-francisco-is-far-in"
story = "san francisco is far . in san francisco a cup is big . san francisco has the cup . my cup"
words = story.split()
names = sorted(set(words))
ids = [names.index(word) for word in words]
times, contexts = ngrams.count_ngrams(ids, 1), ngrams.continuation_counts(ids, 1)
for word in ("francisco", "cup"):
    gram = (names.index(word),)
    print(f"{word:10} occurs {times[gram]} times; different words before it: {contexts[gram]}")
    print(f"{'':10} continuation probability {contexts[gram]} / {contexts.total()}")

# %% [markdown] id="build-it-4"
# ### Build it: continuation counts
# The numerator, for n-grams of any length $n$. Return a dict or `Counter` from tuples of $n$ ids to the number of different tokens
# that occur directly before. An occurrence at the very beginning of `ids` has no token before it.


# %% id="language_models.continuation"
@exercise("language_models.continuation")
def continuation_counts(ids, n):
    """Return for each run of n tokens how many different tokens occur right before it."""
    ...


# %% id="reveal-continuation"
reveal("language_models.continuation")

# %% [markdown] id="the-whole-model-is-a-chain"
# The whole model is a chain of such levels: plain counts at the top, continuation counts below, the uniform distribution
# at the bottom. A context that was never seen at one level gets the distribution of the next shorter one as it is. So no token has
# probability zero, and every context has a distribution.
#
# One number is still missing, $D$. The library estimates one discount for each level, from the number $n_1$ of n-grams counted
# once and the number $n_2$ counted twice: $D = n_1 / (n_1 + 2 n_2)$ (Ney, Essen and Kneser 1994). With that you could rebuild the
# 5-gram model from your own functions. In every context, seen or not, its probabilities must sum to 1. And at equal $n$, Kneser-Ney
# should beat add-k with the best $k$.

# %% id="reveal-ngrams-kneserney-distribution"
reveal(ngrams.KneserNey._distribution)

# %% tags=["nbval-ignore-output"] id="kneser-ney-n-ngrams-kneserney-train"
kneser_ney = {n: ngrams.KneserNey(train, n, 256) for n in range(1, 6)}
sums = [
    kneser_ney[n](context).sum().item() for n in (1, 3, 5) for context in (b"", b"the ", b"\0~\0~")
]
print("largest distance of a sum from 1 below 1e-9:", max(abs(total - 1) for total in sums) < 1e-9)
times = list(ngrams.continuation_counts(train, 1).values())
ones, twos = times.count(1), times.count(2)
print("discount by hand for n = 1:", round(ones / (ones + 2 * twos), 3))
print("the library's for n = 1 to 5:", rounded(torch.tensor(kneser_ney[5].discounts)))
by_order = {n: bits_per_byte(model, sample_of_text) for n, model in kneser_ney.items()}
print("bits per byte:", {n: round(bits, 2) for n, bits in by_order.items()})
print("beats the best add-k at n = 3:", by_order[3] < min(by_k.values()))

# %% [markdown] id="play-with-it"
# ### Play with it
# A language model can also write: sample a token from its distribution, append it, and repeat. Let each $n$ write, from random
# letters to something that looks like documentation from a distance. A low temperature makes the model repeat itself; a high
# one makes it more random. (Shannon did this in 1948, by opening books at random pages.)

# %% tags=["nbval-ignore-output"] id="explorers-language-models-sampled-text-kneser"
for n, model in kneser_ney.items():
    text = ngrams.sample(model, 150, seeded(3))
    print(f"n = {n}:", figures.language_models.shown_text(bytes(text)))
explorers.language_models.sampled_text(kneser_ney, order=5)

# %% [markdown] id="5-surprise"
# ## 5 · Surprise and entropy
#
# How good is a model? It is good if the tokens that come do not surprise it. The surprise of an outcome with probability $p$
# should be 0 if it is certain, grow as $p$ falls, and *add up* over independent events, whose probabilities multiply.
# Only the logarithm does that:
#
# $$I(x) = -\log_2 p(x) \quad\text{in bits}$$
#
# A toss of a fair coin has 1 bit, and a letter out of 256 equally likely ones has 8. The average surprise is the **entropy**:
#
# $$H(p) = -\sum_x p(x) \log_2 p(x)$$
#
# > **Predict.** A coin shows heads in nine of ten tosses. Is its entropy above or below 1 bit?
#
# By hand: heads has a surprise of $-\log_2 0.9 = 0.152$ bits, tails of $-\log_2 0.1 = 3.322$. On average
# $0.9 \cdot 0.152 + 0.1 \cdot 3.322 =$ **0.469** bits.

# %% id="coin-torch-tensor-0-9-0"
coin = torch.tensor([0.9, 0.1], dtype=torch.float64)
print("surprise:", rounded(information.self_information(coin)))
print("average: ", rounded(information.entropy(coin)))

# %% [markdown] id="build-it-5"
# ### Build it: entropy
# `p` is a tensor of shape (..., V) whose rows are distributions. Return shape (...), in units given by `base`.
# An outcome with probability 0 adds nothing: $0 \log 0$ counts as 0, not nan.


# %% id="language_models.entropy"
@exercise("language_models.entropy")
def entropy(p, base=2.0):
    """Return the average surprise of drawing from p (..., V), in units of `base`."""
    ...


# %% id="reveal-entropy"
reveal("language_models.entropy")

# %% id="p-torch-softmax-torch-randn-4"
p = torch.softmax(torch.randn(4, 9, generator=seeded(0), dtype=torch.float64) * 2, -1)
in_nats = torch.distributions.Categorical(probs=p).entropy()
print("agrees with torch:", torch.allclose(information.entropy(p, base=math.e), in_nats))
certain = torch.tensor([0.0, 1.0, 0.0])
print("a certain outcome:", information.entropy(certain).item())
print("256 alike:        ", information.entropy(torch.full((256,), 1 / 256)).item(), "bits")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Bias the coin. The rare side becomes ever more surprising, but also ever rarer; the average goes to 0. Below it are four outcomes
# with weights that you choose. Can you make the entropy exactly 1 bit? What is the largest possible value?

# %% id="explorers-language-models-coin"
explorers.language_models.coin()

# %% id="explorers-language-models-distribution"
explorers.language_models.distribution()

# %% [markdown] id="6-the-surprise-of-a-model"
# ## 6 · Cross-entropy and KL divergence
#
# Outcomes are sampled from $p$; the model believes in $q$. Its surprise is $-\log q$, weighted by $p$. This is the
# **cross-entropy**, and what it costs beyond the entropy is the **KL divergence**:
#
# $$H(p, q) = -\sum p \log q \qquad \mathrm{KL}(p, q) = \sum p \log \frac pq \qquad H(p, q) = H(p) + \mathrm{KL}(p, q)$$
#
# By hand: the coin has $p = (\frac34, \frac14)$, and the model thinks that it is fair. Each toss costs the model 1 bit. The entropy
# is 0.811 bits, so the price of being wrong is **0.189** bits.
#
# > **Predict.** Now exchange the roles: the coin is fair, and the model believes in $(\frac34, \frac14)$. Is the price the same?

# %% id="fair-bent-torch-tensor-0-5"
fair, biased = torch.tensor([0.5, 0.5]).double(), torch.tensor([0.75, 0.25]).double()
for name, p, q in (
    ("biased coin, predicted to be fair", biased, fair),
    ("fair coin, predicted to be biased", fair, biased),
):
    paid, price = information.cross_entropy(p, q), information.kl_divergence(p, q)
    print(f"{name}: pays {paid:.3f} = {information.entropy(p):.3f} + {price:.3f}")

# %% [markdown] id="build-it-6"
# It is not: 0.189 against 0.208. The divergence is not symmetric. It can even be infinite in one direction only, when the
# model rules out something that happens.
#
# ### Build it: cross-entropy and KL divergence
# `p` and `q` are tensors of shape (..., V) whose rows are distributions, not scores. Return shape (...), in units given by `base`.
# Where `p` is 0 nothing is added, even if `q` is 0 too. Where `q` is 0 and `p` is not, the result is infinite.


# %% id="language_models.cross_entropy"
@exercise("language_models.cross_entropy")
def cross_entropy(p, q, base=2.0):
    """Return the average surprise when p draws the outcomes and q predicts them."""
    ...


# %% id="reveal-cross-entropy"
reveal("language_models.cross_entropy")


# %% id="language_models.kl"
@exercise("language_models.kl")
def kl_divergence(p, q, base=2.0):
    """Return the surprise that q causes beyond the entropy of p."""
    ...


# %% id="reveal-kl"
reveal("language_models.kl")

# %% id="p-torch-softmax-torch-randn-5"
p = torch.softmax(torch.randn(5, 7, generator=seeded(1), dtype=torch.float64), -1)
q = torch.softmax(torch.randn(5, 7, generator=seeded(2), dtype=torch.float64), -1)
by_torch = torch.nn.functional.kl_div(q.log(), p, reduction="none").sum(-1) / math.log(2)
print("KL agrees with torch:", torch.allclose(information.kl_divergence(p, q), by_torch))
print("never below 0:       ", bool((information.kl_divergence(p, q) >= 0).all()))

# %% [markdown] id="play-with-it-3"
# Note the order of arguments in `torch.nn.functional.kl_div`: the model comes first there, as a logarithm.
#
# ### Play with it
# Make the model overconfident (left end of the first control), too flat (right end), or wrong about which outcome is which. With
# the second control at 0 and the first at 1 it is right, and pays nothing beyond the entropy. The lower bar exchanges the roles
# of the two distributions: the price differs.

# %% id="explorers-language-models-divergence"
explorers.language_models.divergence()

# %% [markdown] id="on-a-real-text"
# ### On a real text
# We do not know the $p$ of real text. But we have samples from it: the held-out text. The average of $-\log_2 q$ over
# its bytes estimates the cross-entropy, and this is the *loss* of every language model. Training can
# lower it without knowing $H(p)$, since $H(p)$ does not depend on the model.
#
# Which bytes are surprising? They are bright in the next figure.

# %% tags=["nbval-ignore-output"] id="sentence-the-function-returns-the-name"
sentence = "The function returns the name of the module."
chosen = {f"n = {n}": kneser_ney[n] for n in (1, 3, 5)}
scores = {
    name: ngrams.log_probabilities(model, sentence.encode()) for name, model in chosen.items()
}
starts = [place for place in range(1, len(sentence)) if sentence[place - 1] == " "]
inside = [place for place in range(1, len(sentence)) if place not in starts]
bits = -scores["n = 5"] / math.log(2)
print(f"n = 5, first bytes of words: {bits[starts].mean():.1f} bits")
print(f"n = 5, other bytes:          {bits[inside].mean():.1f} bits")
show(figures.language_models.surprise(sentence, scores))

# %% [markdown] id="with-n-5-most-of-a"
# With $n = 5$ most bytes of a word cost almost nothing once it has begun. The bits are spent at its beginning, where several words
# are possible.

# %% [markdown] id="7-perplexity-and-bits-per-byte"
# ## 7 · Perplexity and bits per byte
#
# The loss is usually given in nats per token. Its exponential is the **perplexity**. A perplexity of 8 means: as uncertain as
# among 8 equally likely tokens.
#
# > **Predict.** Model A predicts bytes with perplexity 4. Model B predicts pieces of four bytes with perplexity 64, on the
# > same text. Which one is better?
#
# A perplexity is per token, and a token may be a byte or a word. Bits *per byte* do not depend on how the text was cut:
#
# $$\text{bits per byte} = \log_2(\text{perplexity}) \cdot \frac{\text{tokens}}{\text{bytes}}$$
#
# By hand: A needs $\log_2 4 = 2$ bits for a byte. B needs $\log_2 64 = 6$ bits for four bytes, **1.5** for one. B is better.

# %% id="for-name-perplexity-tokens-in-a"
for name, perplexity, tokens in (("A", 4.0, 400), ("B", 64.0, 100)):
    print(name, information.bits_per_byte_from_perplexity(perplexity, tokens, byte_count=400))

# %% [markdown] id="build-it-bits-per-byte"
# ### Build it: bits per byte
# `perplexity` is a float of at least 1, `tokens` and `byte_count` are the sizes of the same text. Return a float.


# %% id="language_models.bits_per_byte"
@exercise("language_models.bits_per_byte")
def bits_per_byte_from_perplexity(perplexity, tokens, byte_count):
    """Return the bits for one byte, of a model that has this perplexity per token."""
    ...


# %% id="reveal-bits-per-byte"
reveal("language_models.bits_per_byte")

# %% [markdown] id="on-a-real-text-2"
# ### On a real text
# The same kind of model, a Kneser-Ney trigram, once over bytes and once over the tokens of a byte-pair tokenizer with 1024
# entries (notebook [Tokenization](01_tokenization.ipynb)).

# %% tags=["nbval-ignore-output"] id="tokenizer-bytebpe-train-train-text-1024"
tokenizer = ByteBPE.train([train_text()], 1024)
train_ids, ids = tokenizer.encode(train_text()), tokenizer.encode(scoreboard.text())
token_model = ngrams.KneserNey(train_ids, 3, tokenizer.vocab_size)
token_scores = ngrams.log_probabilities(token_model, ids)
byte_scores = ngrams.log_probabilities(kneser_ney[3], held_out)
for name, scored in (("bytes", byte_scores), ("tokens", token_scores)):
    perplexity = information.perplexity(-scored.mean().item())
    bits = information.bits_per_byte_from_perplexity(perplexity, len(scored), len(held_out))
    print(f"{name:6}: perplexity {perplexity:6.2f} over {len(scored)}, {bits:.2f} bits per byte")

# %% [markdown] id="the-model-over-tokens-has-the"
# The model over tokens has the *higher* perplexity and is the better model: its context of two tokens is longer than one of two
# bytes. Before you compare two perplexities, check that the tokens are the same.

# %% [markdown] id="8-bits-are-real-huffman"
# ## 8 · Codes: Huffman
#
# So far a bit was a unit of surprise. Shannon's discovery is that it is also a unit of *length*. With a code that knows $p$, long
# texts can be written with $H(p)$ binary digits per symbol on average, as closely as you like, and no code can do with fewer.
#
# Give frequent symbols short words and rare ones long words, such that no word is the beginning of a different one; then the words
# need no separators. Huffman (1952): join the two least probable symbols into one, and repeat until one is left. Its average length
# per symbol $L$ satisfies
#
# $$H(p) \le L < H(p) + 1$$
#
# By hand: the probabilities ½, ¼, ⅛, ⅛. The two of ⅛ join to ¼; that joins the other ¼; that joins ½. The words are 0, 10, 110,
# 111, and $L = \frac12 + \frac24 + \frac38 + \frac38 =$ **1.75**. The entropy is 1.75 too: nothing is wasted, since every
# probability is a power of ½.

# %% id="p-torch-tensor-0-5-0"
p = torch.tensor([0.5, 0.25, 0.125, 0.125])
code = information.huffman_code(p)
print(code, " L =", information.average_length(code, p), " H =", information.entropy(p).item())
message = information.write_words([0, 2, 1, 0, 3], code)
print(message, "->", information.read_words(message, code))

# %% id="explorers-language-models-huffman"
explorers.language_models.huffman()

# %% [markdown] id="predict-one-symbol-has-probability-0"
# > **Predict.** One symbol has probability 0.95, the other 0.05. The entropy is 0.286 bits. How many bits does a Huffman code
# > spend per symbol? And if it codes *blocks* of four symbols, how many per symbol?

# %% id="pair-torch-tensor-0-95-0"
pair = torch.tensor([0.95, 0.05], dtype=torch.float64)
print(f"entropy {information.entropy(pair):.3f}")
for size in (1, 2, 4, 8):
    blocks = torch.tensor(
        [math.prod(each) for each in itertools.product(pair.tolist(), repeat=size)]
    )
    blocks = blocks.double() / blocks.double().sum()
    spent = information.average_length(information.huffman_code(blocks), blocks) / size
    print(f"blocks of {size}: {len(blocks):3} words, {spent:.3f} bits per symbol")

# %% [markdown] id="9-the-arithmetic-coder"
# ## 9 · The arithmetic coder
#
# A word has at least one bit, so coding single symbols wastes most of it. In a block the waste is less than 1 bit for all its
# symbols together. But for blocks of 8 bytes a code would need $256^8$ words. Is there a way to treat the whole text as one block?
#
# There is. A text becomes one number between 0 and 1. Start with the whole interval. Each token owns a part of it, as wide as its
# probability; the next token of the text selects its part, and the rest is dropped:
#
# $$\text{low}' = \text{low} + \text{width} \cdot P(\text{tokens below}) \qquad
# \text{high}' = \text{low} + \text{width} \cdot P(\text{tokens below and this one})$$
#
# After the whole text the interval is as wide as the *probability of the text*, the product from section 1. To specify a number
# inside an interval of width $w$ takes about $-\log_2 w$ binary digits. That is the sum of all surprises, to within 2 bits for
# the *whole text*.
#
# By hand: the tokens a, b, c have probabilities ½, ¼, ¼. For the text `ba`: b owns [0.5, 0.75). Within it, a owns the lower
# half: **[0.5, 0.625)**. The surprise is $2 + 1 = 3$ bits, and three binary digits are enough: 0.100 begins all numbers in
# [0.5, 0.625). (Here 0.1 would do if the decoder fills up with zeros; in general allow two extra bits.)
#
# A computer does this with integers. The parts are given by frequencies that add up to `total`.

# %% id="low-high-total-0-1024-4"
low, high, total = 0, 1024, 4
for token, (below, up_to) in (("b", (2, 3)), ("a", (0, 2))):
    low, high = information.narrow(low, high, below, up_to, total)
    print(f"after {token}: [{low}, {high}) of 1024, that is [{low / 1024}, {high / 1024})")

# %% [markdown] id="build-it-7"
# ### Build it: one step of the coder
# All five arguments are integers. Return the new (low, high), both rounded down, so that neighbouring parts neither overlap nor
# leave a gap. The products have up to 60 bits, and the decoder must find exactly the same integers, so use no floats.


# %% id="language_models.narrow"
@exercise("language_models.narrow")
def narrow(low, high, cumulative_low, cumulative_high, total):
    """Return the part of [low, high) that belongs to [cumulative_low, cumulative_high) of total."""
    ...


# %% id="reveal-narrow"
reveal("language_models.narrow")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# `banana`, letter by letter: move *letters encoded* to 0 and up again. Each column is the remaining interval, magnified. Then
# choose a better model: it leaves a wider interval, so fewer digits are needed.

# %% id="explorers-language-models-arithmetic"
explorers.language_models.arithmetic()

# %% [markdown] id="the-whole-text-really-coded"
# > **Predict.** With "what follows each letter" the interval at the end is worth 2.35 bits. But surely `banana` cannot be
# > written in three bits?
#
# Not for a receiver who knows nothing. But this receiver has the same model, and that model was
# counted on `banana`. What the model knows need not be sent. This is why a model is tested on text that it has never seen.
#
# ### Encode a whole text
# The course's coder works with 32-bit integers: whenever the interval is inside one half, that bit is sent and the half is
# doubled. It takes any function that predicts the next token, as in section 1.
#
# Prediction *is* compression: a model that predicts better compresses better, bit for bit, and the size of the file is the loss of
# the model on that text. It is also a fair comparison, since a compressed file does not depend on tokens or units. One thing is
# not counted: the receiver needs the model as well, so its size matters when one text is sent once.

# %% id="reveal-information-encode"
reveal(information.encode)

# %% tags=["nbval-ignore-output"] id="coded-information-encode-sample-of-text"
coded = information.encode(sample_of_text, kneser_ney[5])
decoded = bytes(information.decode(coded, kneser_ney[5], len(sample_of_text)))
surprise_in_bytes = by_order[5] * len(sample_of_text) / 8
print("decoded without an error:", decoded == sample_of_text)
print(f"text {len(sample_of_text)} bytes, surprise {surprise_in_bytes:.1f} bytes")
print(f"coded {len(coded)} bytes; zlib: {len(zlib.compress(sample_of_text, 9))} bytes")

# %% [markdown] id="10-a-noisy-line"
# ## 10 · A noisy channel
#
# We have removed what is redundant. To send the rest over a channel that flips bits, redundancy must be added again, of the right
# kind. The *binary symmetric channel* flips each bit with probability $f$. The **rate** of a code is the number of message bits for
# each bit sent. The simplest code sends each bit three times, rate ⅓, and takes the majority: a bit is lost only if two or three
# copies are flipped.
#
# By hand, for $f = 0.1$: $3 \cdot 0.01 \cdot 0.9 + 0.001 =$ **0.028**. Better than 0.1, but at a third of the speed. Must the
# rate go to zero if the errors are to go to zero? Until 1948 that was the common belief. Shannon found a limit that
# is *not* zero, the **capacity**:
#
# $$C = 1 - H(f)$$
#
# At any rate below $C$, long codes make errors as rare as you like; even codes chosen *at random* do. Above it, no code does: the
# longer the blocks, the more of them are lost. (*Further: codes for a noisy channel* simulates both.)
#
# > **Predict.** One bit in ten is flipped. Is the capacity nearer to 0.9 or to 0.5?

# %% id="for-flip-in-0-0-0"
for flip in (0.0, 0.01, 0.1, 0.25, 0.5):
    print(f"f = {flip:<4}: capacity {information.capacity(flip):.3f}")
print("three times, f = 0.1:", round(3 * 0.1**2 * 0.9 + 0.1**3, 3), "of the bits are wrong")

# %% [markdown] id="only-0-531-it-is-not"
# Only 0.531. Nine of ten bits arrive unchanged, but the receiver does not know which. At $f = 0.5$ the bits received are independent
# of the bits sent. Compression and error correction are complementary: the first removes the redundancy that a model can predict,
# the second adds redundancy that a decoder can use.

# %% [markdown] id="10-a-trained-bigram"
# ## 11 · The same table, trained
#
# Counting is one way to fill the table of a bigram model. Neural language models are trained instead: start from any numbers
# and lower the loss, step by step. (*Adam*, below, decides how far each number moves in a step; notebook
# [Training](11_training.ipynb) explains it.) Do both for the same table. $W$ has a row of 256 scores, *logits*, for each
# previous byte. Softmax turns a row into probabilities: exponentials, divided by their sum (notebook
# [Softmax](04_softmax.ipynb)). The loss is the cross-entropy over all pairs of neighbours in the training text.
#
# The smallest possible loss is known: it is reached by the relative frequencies, which section 3 computed by counting.
#
# > **Predict.** $W$ starts with zeros. How many bits per byte is the loss before training? How close does it come to
# > that of the counts in 200 steps?

# %% id="trained-bigram"
read = torch.tensor(list(train))
pairs = torch.zeros(256, 256)
pairs.index_put_((read[:-1], read[1:]), torch.ones(len(read) - 1), accumulate=True)
W = torch.zeros(256, 256, requires_grad=True)
optimizer, losses = torch.optim.Adam([W], lr=0.1), []
for _ in range(200):
    loss = -(pairs * torch.log_softmax(W, -1)).sum() / pairs.sum()  # nats per byte
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item() / math.log(2))

# %% id="trained-against-counted"
frequencies = ngrams.add_k(pairs + 1e-9, 0)  # no row is empty
counted = -torch.xlogy(pairs, frequencies).sum().item() / pairs.sum().item() / math.log(2)
print(f"before training: {losses[0]:.2f} bits")
print("after 200 steps within 0.02 bits of the counts:", 0 <= losses[-1] - counted < 0.02)
difference = (torch.softmax(W, -1) - frequencies)[ord("q")].abs().max().item()
print("the row of q agrees to 0.01:", difference < 0.01)

# %% [markdown] id="what-training-buys"
# Training ends where counting begins: for a full table, counts *are* the minimum of the loss. So why train? Because a table for
# longer contexts cannot exist. A network computes the row from the context with a fixed number of weights, and contexts that look
# alike get similar rows. There are no counts for that, but there is a loss. Compare the sizes:

# %% tags=["nbval-ignore-output"] id="table-sizes"
entries = sum(len(row) for table in kneser_ney[5].tables for row in table.followers.values())
print(
    f"full bigram table: {256**2 * 4 / 1e6:.2f} MB; full 5-gram table: {256**5 * 4 / 1e12:.1f} TB"
)
print(
    f"counts that the 5-gram model really stores, all levels: about {entries / 1000:.0f} thousand"
)
started = time.perf_counter()
ngrams.log_probabilities(kneser_ney[5], held_out[4000:5000])
per_byte = (time.perf_counter() - started) / 1000  # seconds
print(f"time for each predicted byte: about {1000 * per_byte:.2f} ms in Python")

# %% [markdown] id="11-the-scoreboard"
# ## 12 · The scoreboard
#
# From here to the end of the course, models are compared on one text: the beginning of the held-out documentation, in bits
# per byte. Here are the first rows. "After training" means that the compressor has read the training text first, as our models
# have.
#
# > **Predict.** Which is better: a Kneser-Ney model with a context of four bytes, or bz2, a general compressor without any language
# > model?

# %% tags=["nbval-ignore-output"] id="board"
board = [
    *scoreboard.first_rows(),
    scoreboard.model_row("Kneser-Ney trigram of tokens", token_scores),
]
print(scoreboard.table(board))
show(scoreboard_figure.bars(board))

# %% [markdown] id="read-it-with-care-bz2-sorts"
# Every larger $n$ beats the smaller ones, and a text that is really coded has the length that the surprise promised, to 0.01
# bits. The 5-gram beats every compressor that reads the text alone, but neither lzma nor bz2 after training. (How far can such
# numbers be trusted? See *Further: how sure is a difference?*)
#
# bz2 sorts *all* contexts of the text, of any length, and after training it finds long passages that
# documentation repeats; a context of four bytes cannot see those. So what our models lack is this: they need longer
# contexts, and they need to treat *similar* contexts alike. That is what the rest of the course builds.
#
# Each later notebook with a model adds its row to this table. One such row is ready: the course carries a small transformer
# that was trained on this documentation, and on the source files of Python and their docstrings (notebook
# [Training](11_training.ipynb)). Its context is up to 256 tokens. Those sources are about 27 times as long as the text of the
# counting models; *Further: is the comparison fair?* looks at what that does.
#
# > **Predict.** How many bits does it need for a byte? The best row so far is that of bz2 after training.

# %% tags=["nbval-ignore-output"] id="board-with-the-course-model"
trained = scoreboard.course_model_row()
best = min(board, key=lambda row: row.bits)
board.append(trained)
print(f"{trained.contestant}: {trained.bits:.2f} bits per byte")
print(f"the best before it, {best.contestant}: {best.bits:.2f}")
show(scoreboard_figure.bars(board))

# %% [markdown] id="12-claims-that-are-wrong"
# ## 13 · Claims that are wrong
#
# > *"The model with the lower perplexity is the better model."*
#
# Take one model, and count its predictions in two ways: byte by byte, or in pairs of bytes, each pair with the product of its
# two probabilities. It is the same model; every text keeps its probability.
#
# > *"KL divergence is the distance between two distributions."*
#
# A distance is the same in both directions. Try a model that hedges on a sure thing, and one that is certain about an open thing.

# %% id="scores-ngrams-log-probabilities-kneser-ney"
scores = ngrams.log_probabilities(kneser_ney[3], sample_of_text)
pairs = scores.reshape(-1, 2).sum(-1)
singly, paired = (information.perplexity(-each.mean().item()) for each in (scores, pairs))
print("perplexity of pairs is the square of that of bytes:", math.isclose(paired, singly**2))
both = [
    information.bits_per_byte_from_perplexity(perplexity, len(each), len(sample_of_text))
    for perplexity, each in ((singly, scores), (paired, pairs))
]
print("bits per byte are equal:", math.isclose(*both))
certain, even = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
print("KL(certain, even):", information.kl_divergence(certain, even).item())
print("KL(even, certain):", information.kl_divergence(even, certain).item())

# %% [markdown] id="a-distance-is-the-same-in"
# The same model has two perplexities and one number of bits per byte. And one direction of the divergence costs 1 bit, the other is
# infinite: hedging on a sure thing costs 1 bit; certainty about an open one costs infinitely many.

# %% [markdown] id="the-prefix-task-is-the-causal"
# ## Further: the prefix task
#
# The prefix task is the causal one with an open square in its corner. A question is given, say, and its answer is to be
# written. Each token of the question may read the whole question, *itself included*, since the model is not asked to predict
# it. Later tokens are predicted from all tokens before them.
#
# ### Build it: the prefix task
# A prefix of 0 is the causal task, and the prefix may be the whole text. Return bool tensors, as in section 2.


# %% id="language_models.prefix"
@exercise("language_models.prefix")
def prefix_task(length, prefix):
    """Return (visible, predicted) when the first `prefix` tokens are given."""
    ...


# %% id="reveal-prefix"
reveal("language_models.prefix")

# %% id="causal-prefix-ngrams-causal-task-6"
causal, prefix = ngrams.causal_task(6), ngrams.prefix_task(6, 0)
print("a prefix of 0 is causal:", torch.equal(causal.visible, prefix.visible))
masked = ngrams.masked_task(6, torch.tensor([2, 4]))
seen_by_itself = [task.visible.diagonal()[task.predicted].any().item() for task in (causal, masked)]
print("a predicted token sees itself:", seen_by_itself)

# %% [markdown] id="how-sure-is-a-difference"
# ## Further: how sure is a difference?
#
# The trigram of tokens has about 2.30 bits and the 5-gram of bytes about 2.34, on one text of 20 000 bytes. Cut the text into 20
# blocks, take the difference in each, and compare the average with its standard error, the standard deviation divided by
# $\sqrt{20}$. An average of less than two standard errors may be chance.

# %% tags=["nbval-ignore-output"] id="difference-with-error"
starts = torch.tensor([0, *(len(tokenizer.tokens[i]) for i in ids)]).cumsum(0)[:-1]
by_tokens = torch.zeros(len(held_out), dtype=torch.float64)
by_tokens[starts] = token_scores  # the bits of a token, at its first byte
by_bytes = ngrams.log_probabilities(kneser_ney[5], held_out)
blocks = (by_tokens - by_bytes)[:20_000].reshape(20, -1).mean(-1) / math.log(2)
error = blocks.std() / math.sqrt(20)
print(f"tokens are better by {blocks.mean():.3f} ± {error:.3f} bits per byte")
print(f"blocks in which bytes are better: {int((blocks < 0).sum())} of 20")

# %% [markdown] id="the-course-model-has-read-more"
# ## Further: is the comparison fair?
#
# Not quite, in two ways. The transformer has read the sources too, which are about 27 times as long as the text of the counting
# models. By its recipe it went between three and four times through the sources, and 13 to 14 times through the documentation.
# And no document of the test is in its training text, but sentences are: about 14 % of the test text, in runs of 50 characters
# or more, also stands in its training files, most of it in the source of the debugger, whose docstrings repeat its
# documentation. Let us count:


# %% tags=["nbval-ignore-output"] id="how-much-more"
def also_in(files, text, run=50):
    """Return for each character of the text whether it is in a run that the files contain too."""
    runs = {text[i : i + run] for i in range(len(text) - run + 1)}
    found = {part for i in range(len(files) - run + 1) if (part := files[i : i + run]) in runs}
    marked = [False] * len(text)
    for i in range(len(text) - run + 1):
        if text[i : i + run] in found:
            marked[i : i + run] = [True] * run
    return marked


sources = train_text(source="sources")
print(f"the sources are {len(sources) / len(train_text()):.1f} times as long as the documentation")
marked = also_in(train_text() + sources, scoreboard.text())
print(f"in the training files: {sum(marked) / len(marked):.0%} of the test text")

# %% tags=["nbval-ignore-output"] id="in-the-training-files-and-elsewhere"
model, tokenizer = course_model_probes.course_model(), course_model_probes.course_tokenizer()
scores = scoreboard.token_scores(model, tokenizer)
ids = tokenizer.encode_ordinary(scoreboard.text())
sizes = torch.tensor([len(tokenizer.tokens[i]) for i in ids])
pairs = zip(marked, scoreboard.text(), strict=True)
per_byte = torch.tensor([mark for mark, character in pairs for _ in character.encode()])
known = per_byte[sizes.cumsum(0) - sizes]  # by the first byte of each token
for name, chosen in (("in these passages", known), ("elsewhere", ~known)):
    bits = -scores[chosen].sum() / sizes[chosen].sum() / math.log(2)
    print(f"{name:17}: {bits:.2f} bits per byte")

# %% [markdown] id="without-the-passages"
# The model needs fewer bits in these passages, but they are a small part of the text: even elsewhere it is far ahead of every
# other row. And more text would not help a 5-gram with what happened six bytes ago.

# %% [markdown] id="simulated"
# ## Further: codes for a noisy channel
#
# First the capacity for every $f$. What is it at $f = 1$? Move the control. (The Hamming code in the figure sends 4 message
# bits with 3 *parities*, sums of message bits modulo 2, and corrects any single flip.)
#
# Then a simulation. Random messages are sent with several codes and decoded to the nearest code word. On the left each code is a
# point: its rate and its errors. On the right are codes whose parities are chosen *at random*, with longer and longer blocks: at a
# rate below capacity the errors die out, above it they take over. Increase $f$ until the green line rises too. (Decoding compares
# the received block with all $2^k$ code words, which is why the blocks stay short. Codes in real use have structure that makes
# decoding fast.)

# %% id="explorers-language-models-capacity"
explorers.language_models.capacity()

# %% tags=["nbval-ignore-output"] id="explorers-language-models-code-errors"
explorers.language_models.code_errors()


# %% id="blocks-wrong"
def blocks_wrong(k, n, flip=0.1):
    """Return the share of 2000 blocks that a random code loses on this line."""
    code = information.random_code(k, n, seeded(k + 100 * n))
    return information.error_rates(code, flip, 2000, seeded(0)).block


print(f"capacity {information.capacity(0.1):.3f}")
print("rate 0.25, blocks of 8 and 40, errors fall:", blocks_wrong(2, 8) > 2 * blocks_wrong(10, 40))
print("rate 0.75, blocks of 4 and 12, errors grow:", blocks_wrong(3, 4) < blocks_wrong(9, 12))

# %% [markdown] id="claim-repetition"
# > *"Sending everything three times is the best that one can do at a third of the speed."*

# %% id="flip-0-1"
flip = 0.1
thrice = information.error_rates(information.repetition_code(3), flip, 20_000, seeded(1)).bit
mixed = information.error_rates(
    information.random_code(12, 36, seeded(5)), flip, 1000, seeded(1)
).bit
print("three times: about 2.8 % of the bits are wrong:", abs(thrice - 0.028) < 0.005)
print("a random code of the same rate has less than half as many errors:", mixed < thrice / 2)

# %% [markdown] id="same-line-same-rate-the-random"
# Same channel, same rate. The random code spreads each message bit over the whole block, so that a few unlucky flips do not
# destroy any single bit. Longer blocks would do better still.

# %% [markdown] id="recap"
# ## Recap
#
# 1. A language model answers one question: how probable is each next token? The chain rule turns the answers into the
#    probability of any text. Causal, masked and prefix models differ in what is visible and what is predicted.
# 2. Counts run out: the longer the n-grams, the more of those in a new text were never seen. Kneser-Ney takes a discount
#    from each count and lets the shorter context spread it, counting contexts instead of occurrences.
# 3. Cross-entropy = entropy + KL: the unavoidable surprise, and the price of being wrong. Bits per byte make models
#    comparable whatever their tokens are; perplexities do not.
# 4. Surprise is length. Huffman comes within 1 bit per symbol of the entropy, the arithmetic coder within a few bits per
#    *text*, with any language model.
# 5. Trained by gradient descent, a bigram table reaches the loss of the counts. Networks are trained because tables for longer
#    contexts cannot exist.
#
# ### Test yourself

# %% id="quiz-language-models"
quiz("language_models")

# %% [markdown] id="papers"
# ### Papers
# - Shannon 1948, *A Mathematical Theory of Communication*: entropy, coding, capacity, and text from n-grams.
# - Ney, Essen & Kneser 1994, *On structuring probabilistic dependences in stochastic language modelling*: discounting.
# - Kneser & Ney 1995, *Improved backing-off for m-gram language modeling*.
# - Chen & Goodman 1998, *An empirical study of smoothing techniques for language modeling*, TR-10-98, Harvard.
# - Huffman 1952; Witten, Neal & Cleary 1987, *Arithmetic coding for data compression*.
# - Devlin et al. 2018, *BERT*, arXiv:1810.04805; Raffel et al. 2019, *T5*, arXiv:1910.10683, on masked and prefix tasks.
# - Delétang et al. 2023, *Language modeling is compression*, arXiv:2309.10668.
#
# **Next:** [Embeddings and norms](03_embeddings_and_norms.ipynb), where each token gets a learned vector, and similar tokens get
# similar ones.
