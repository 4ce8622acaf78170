# %% [markdown] id="12-generation"
# # 12 · Generation
#
# **How do probabilities become text, and why is decoding slow?**
#
# A language model does not write text. It returns one logit (score) for every token that could come next, and that is all.
# Everything between these logits and a text is a decision: which token is taken, when to stop, what is kept in memory. In
# this notebook you make all of these decisions on the course's own model, and compare each with `transformers`.
#
# After this notebook you can
# - build every common filter of logits, top-k, top-p, min-p, the repetition penalty, and say why their order matters;
# - build a step of beam search, and say what the search optimises and what its length penalty really does;
# - write a generate loop with a KV cache, generate in a batch with padding, and say what the cache saves and what it does
#   not;
# - explain why one token at a time is slow, and build a round of speculative decoding, which speeds up a large model with a
#   small one without changing its distribution.
#
# About 150 minutes. You need notebooks [Softmax](04_softmax.ipynb), [Attention](05_attention.ipynb) and [The whole
# transformer](08_transformer.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/12_generation.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/12_generation.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/12_generation.ipynb).

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
import copy
import time

import torch

from course_lib import generation
from course_lib.device import default_device, seeded, synchronize
from course_lib.generation import GREEDY, Sampling, Stop, generate, stream, stream_text
from course_lib.model import token_positions
from course_lib.pretrained import FOLDER, course_model, course_tokenizer
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show

device = default_device()

# %% [markdown] id="the-course-model-is-small-it"
# The course model is small: it was trained for an hour on one processor core, on Python's documentation and sources. Its text
# looks right and means little. That is enough here: every decision of this notebook is the same for a model a thousand times
# larger.

# %% id="model-tokenizer-course-model-course-tokenizer"
model, tokenizer = copy.deepcopy(course_model()).to(device), course_tokenizer()
prompt = "The function returns a new"
ids = torch.tensor([tokenizer.encode(prompt)], device=device)
with torch.inference_mode():
    logits = model(ids).logits[:, -1]
print("one logit for each token of the vocabulary:", logits.shape[1] == len(tokenizer.tokens))

# %% [markdown] id="1-one-dart"
# ## 1 · Choosing a token: greedy or sampled
#
# Softmax (notebook [Softmax](04_softmax.ipynb)) turns logits into probabilities. Now one token has to be chosen. The simplest
# rule takes the most likely one. It is called **greedy** decoding.
#
# > **Predict.** Greedy takes the best token at each step. Is the result of twenty steps the most likely text of twenty tokens?

# %% tags=["nbval-ignore-output"] id="written-generate-model-ids-30"
written = generate(model, ids, 30)
print(prompt + tokenizer.decode(written[0].tolist()))

# %% [markdown] id="no-a-token-that-is-second"
# No: after a token that is only second best now, the following tokens may be much more likely. Section 7 searches for such
# texts. Notice also how the text repeats itself. Once a phrase has occurred twice, the model finds it likely to occur again,
# and greedy decoding hardly ever leaves such a loop.
#
# The other rule **samples**. Lay the probabilities side by side on a line of length 1 and pick a random point on it: each token
# is chosen as often as its probability says. The point, a number $u$ in $[0, 1)$, is the only randomness there is:
#
# $$\text{token} = \text{the first } i \text{ with } p_0 + p_1 + \dots + p_i > u$$
#
# By hand, with the probabilities 0.5, 0.25, 0, 0.25: the intervals end at 0.5, 0.75, 0.75 and 1. The number 0.6 falls into the
# second interval. The number 0.75 falls into the *fourth*: the third interval is empty, and a token of probability 0 must never
# be sampled.

# %% id="shares-torch-tensor-0-5-0"
shares = torch.tensor([[0.5, 0.25, 0.0, 0.25]]).double()
for u in (0.0, 0.49, 0.5, 0.6, 0.75, 0.99):
    token = generation.draw(shares, torch.tensor([u]).double())
    print(f"u = {u:.2f}: token {token.item()}")

# %% [markdown] id="build-it"
# ### Build it
# You get `probabilities` (B, V), a row for each text of a batch, and `uniform` (B,), one number for each row. Rounding may make
# the sum of a row slightly less than 1: the last interval that is not empty then extends to 1. Leave the `def` line as it is
# and replace the `...`. The cell checks itself when you run it.
#
# Stuck? Run `hint()` in a new cell; each call says a little more.


# %% id="generation.draw"
@exercise("generation.draw")
def draw(probabilities, uniform):
    """Return the token (B,) whose interval of the line contains each number."""
    ...


# %% id="reveal-generation-draw"
reveal("generation.draw")

# %% [markdown] id="2-the-tail-and-top-k"
# ## 2 · The tail, and top-k
#
# Why not simply sample? Because of the tail: here about two thousand tokens that are very unlikely one by one, and not unlikely
# together.
#
# > **Predict.** Take the 50 most likely next tokens of our prompt. How much probability do all the others have together: a
# > thousandth, a hundredth, or more?

# %% id="p-logits-softmax-1-0"
p = logits.softmax(-1)[0]
tail = 1 - p.topk(50).values.sum()
print(f"the tail has {tail:.2f} of the probability")
for share in (0.01, float(tail)):
    print(f"tail {share:.2f}: {1 - (1 - share) ** 50:.0%} of 50-token texts contain a tail token")

# %% [markdown] id="more-than-half-of-all-texts"
# Much more than a hundredth. Not every position is as open as this one, but even with a tail of a hundredth four texts in ten
# contain a tail token. And a text often does not recover from a bad one, since the model conditions on everything
# that was generated. So the tail is cut off. **Top-k** (Fan et al. 2018) keeps the $k$ largest logits and sets the rest to $-\infty$:
#
# $$z_i \leftarrow -\infty \quad\text{where } z_i < z_{(k)}$$
#
# where $z_{(k)}$ is the $k$-th largest. By hand: of 1, 4, 2, 3 with $k = 2$ the limit is 3, and $-\infty, 4, -\infty, 3$ is
# left. Why $-\infty$ on logits and not 0 on probabilities? Because the softmax that follows then makes the remaining
# probabilities add up to 1, without a separate step.
#
# > **Predict.** The logits are 5, 3, 1, 3, 3 and $k = 2$. How many stay?

# %% id="tied-torch-tensor-5-0-3"
tied = torch.tensor([[5.0, 3.0, 1.0, 3.0, 3.0]])
print(generation.keep_top_k(tied, 2).tolist()[0])

# %% [markdown] id="build-it-2"
# Four. Three tokens tie for second place, and nothing says which of them to prefer. A filter that kept the first would prefer
# tokens by their place in the vocabulary.
#
# ### Build it
# Each row has its own limit; what equals the limit stays; `k` may be larger than V; the dtype is kept.


# %% id="generation.top_k"
@exercise("generation.top_k")
def keep_top_k(logits, k):
    """Return the logits (B, V), all but the k largest of each row set to -inf; ties stay."""
    ...


# %% id="reveal-generation-top-k"
reveal("generation.top_k")

# %% [markdown] id="3-top-p"
# ## 3 · Top-p
#
# A fixed $k$ is too many where the model is confident, and too few where it is not. After `def join` almost nothing but a
# bracket can follow; after the bracket, a hundred names. **Top-p**, or *nucleus sampling* (Holtzman et al. 2019), keeps a fixed
# *probability* instead: the fewest tokens, most likely first, that together reach $p$.
#
# By hand, with 0.5, 0.3, 0.15, 0.05 and $p = 0.7$: the best token has 0.5, too little. With the second it is 0.8, enough.
# **The token with which the sum reaches $p$ stays**, so two are kept.
#
# > **Predict.** And with $p = 0.3$? The best token alone has 0.5, more than asked for.

# %% id="scores-torch-tensor-0-5-0"
example = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
for limit in (0.3, 0.7, 0.9, 1.0):
    left = generation.keep_top_p(example, limit).softmax(-1)[0]
    print(f"p = {limit}: {int((left > 0).sum())} kept, now with probabilities", rounded(left))

# %% [markdown] id="build-it-3"
# It stays; otherwise there would be nothing to sample from. A rule that stops *before* the sum reaches $p$ fails exactly there.
#
# ### Build it
# Sorting and adding up is the easy part. Then the decision has to be mapped back to each token's own place. At least the best
# token stays, also for a tiny `p`; the inputs have no ties; the dtype is kept.


# %% id="generation.top_p"
@exercise("generation.top_p")
def keep_top_p(logits, p):
    """Return the logits (B, V) with -inf outside the fewest tokens that reach p."""
    ...


# %% id="reveal-generation-top-p"
reveal("generation.top_p")

# %% [markdown] id="play-with-it"
# The library starts from the other end: it sorts in ascending order and drops tokens while their total is at most $1 - p$. In
# exact arithmetic that is the same. It is written this way because `transformers` does it so, and rounding then agrees as
# well.
#
# ### Play with it
# How many tokens does top-p keep after each token of a text? Type your own text. Look for places where one token is enough.

# %% tags=["nbval-ignore-output"] id="explorers-generation-nucleus"
explorers.generation.nucleus()

# %% [markdown] id="4-min-p"
# ## 4 · Min-p
#
# Top-p has a weakness of its own: in a flat distribution it has to keep part of the tail to reach its sum. **Min-p**
# (Nguyen et al. 2024) compares each token with the best one:
#
# $$\text{keep } i \quad\text{where } p_i \ge \text{min\_p} \cdot \max_j p_j$$
#
# By hand, with 0.5, 0.3, 0.15, 0.05 and min-p 0.2: the limit is 0.2 · 0.5 = 0.1, and three tokens stay.
#
# ### Build it
# Each row has its own limit, and what equals the limit stays; `min_p` is above 0 and at most 1; the dtype is kept.


# %% id="generation.min_p"
@exercise("generation.min_p")
def keep_min_p(logits, min_p):
    """Return the logits (B, V) with -inf below min_p times the largest probability."""
    ...


# %% id="reveal-generation-min-p"
reveal("generation.min_p")

# %% [markdown] id="5-the-order-of-the-steps"
# ## 5 · The order of the steps
#
# Each of these steps takes logits and returns logits, so they can be chained. But the order matters.
#
# > **Predict.** Logits 2, 1, 0.5, 0, −1, and top-p with $p = 0.8$. How many tokens are kept if the temperature 0.5 comes
# > *before* top-p, and how many if it comes after?

# %% id="row-torch-tensor-2-0-1"
row = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0]])
before = generation.keep_top_p(generation.apply_temperature(row, 0.5), 0.8)
after = generation.apply_temperature(generation.keep_top_p(row, 0.8), 0.5)
for name, left in (("temperature first", before), ("temperature last ", after)):
    print(f"{name}: {int((left > -torch.inf).sum())} kept:", rounded(left.softmax(-1)[0]))

# %% [markdown] id="build-it-9"
# A low temperature makes the best token so likely that it reaches 0.8 alone. Libraries differ here: `transformers` and this
# course apply the temperature before the filters: temperature, top-k, top-p, min-p; llama.cpp applies the temperature last by
# default. The same settings can mean something different in a different program.
#
# The library's `Sampling` holds the settings and puts the steps in order. Temperature 0 cannot be divided by; it is the usual way
# to write *greedy*, since dividing by a smaller and smaller temperature moves all probability to the largest logit. You can add
# your own steps. One that rules out every token with which the text could no longer become valid JSON makes *constrained
# decoding*, for instance.
#
# ### Build it
# Temperature, top-k, top-p, each applied to what the step before it left, and one softmax at the end. `temperature` is
# positive, `k` at most V. You may use the library's `generation.keep_top_k` and `generation.keep_top_p`.


# %% id="generation.distribution"
@exercise("generation.distribution")
def filtered_distribution(logits, temperature, k, p):
    """Return the probabilities (B, V) after temperature, then top-k, then top-p."""
    ...


# %% id="reveal-generation-distribution"
reveal("generation.distribution")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# The whole pipeline on the course model. Raise the temperature with top-p at 1, then lower top-p again. Then keep the settings
# and move only $u$: under the bars is the line of section 1, with an interval for each token that is left. The intervals are in
# the order of the vocabulary, so a small $u$ need not select a likely token. (Under *Further* at the end the filters are compared
# with those of `transformers`: they are identical to the last bit.)

# %% tags=["nbval-ignore-output"] id="explorers-generation-pipeline-temperature-0-8"
explorers.generation.pipeline(temperature=0.8)

# %% [markdown] id="6-not-again"
# ## 6 · The repetition penalty
#
# A simple remedy against loops is the **repetition penalty** (Keskar et al. 2019): every token that occurs in the text so far
# becomes less likely. Its logit is divided by a number $\theta$ above 1, the penalty.
#
# > **Predict.** Two tokens occur in the text, with the logits 2 and −2; the penalty is 2. What is −2 divided by 2, and is that
# > token now less likely? What should be done with it instead?

# %% id="row-past-torch-tensor-2-0"
row, past = torch.tensor([[2.0, -2.0, 4.0]]), torch.tensor([[0, 1, 1]])
print("before:", row.tolist()[0])
print("after: ", generation.penalise_repetition(row, past, 2.0).tolist()[0])

# %% [markdown] id="build-it-5"
# −2 divided by 2 is −1, which is *more* likely: division brings a negative number closer to 0. So negative logits are multiplied:
#
# $$z_i \leftarrow \begin{cases} z_i / \theta & z_i \ge 0\\ z_i \cdot \theta & z_i < 0\end{cases} \qquad\text{for each token } i \text{ in the text, once}$$
#
# The penalty depends on where zero is, and for softmax zero means nothing: add 10 to every logit and the probabilities stay
# the same, but the penalty has a different effect. It is a heuristic. In the library the penalty comes first,
# before the temperature and the filters, so that a filter sees the penalised logits.
#
# ### Build it
# `ids` (B, S) are the tokens of each text so far. A token is penalised once, however often it occurs, and only in its own row;
# the dtype is kept.


# %% id="generation.penalty"
@exercise("generation.penalty")
def penalise_repetition(logits, ids, penalty):
    """Return the logits (B, V) with every token of `ids` (B, S) made less likely, once."""
    ...


# %% id="reveal-generation-penalty"
reveal("generation.penalty")

# %% [markdown] id="greedy-text-with-and-without-it"
# Greedy text with and without it. Count the distinct tokens:

# %% id="start-torch-tensor-tokenizer-encode-for"
start = torch.tensor([tokenizer.encode("for i in range(")], device=device)
plain = generate(model, start, 40)[0].tolist()
varied = generate(model, start, 40, Sampling(0.0, repetition_penalty=1.3))[0].tolist()
print("more distinct tokens with the penalty:", len(set(varied)) > len(set(plain)))

# %% [markdown] id="7-several-beginnings-at-once"
# ## 7 · Beam search
#
# Back to the most likely text. Trying all texts is hopeless: with a vocabulary of 2048 there are $2048^{20} \approx 10^{66}$
# texts of twenty tokens. **Beam search** keeps the $K$ best unfinished texts, the *beams*. It extends each by every token and
# keeps the $K$ best of all $K \cdot V$ extensions, and so on. With one beam this is greedy decoding.
#
# The score of a text is its log-probability: the sum of the log-probabilities of its tokens. By hand: two beams with scores −1
# and −2, and three tokens. After the first beam the tokens have log-probabilities −3, −0.5, −4; after the second −0.25, −6, −1.
# The six extensions have −4, **−1.5**, −5 and **−2.25**, −8, −3.
#
# > **Predict.** Which two extensions are kept with $K = 2$, and which three with $K = 3$?

# %% id="a-beam-step-by-hand"
scores = torch.tensor([[-1.0, -2.0]])
next_logs = torch.tensor([[[-3.0, -0.5, -4.0], [-0.25, -6.0, -1.0]]])
best_scores, parents, tokens = generation.best_extensions(scores, next_logs, 3)
for score, parent, token in zip(best_scores[0], parents[0], tokens[0], strict=True):
    print(f"beam {parent} extended by token {token}: {score:.2f}")

# %% [markdown] id="build-it-beam-step"
# With $K = 2$ the first two rows are kept, with $K = 3$ all three. Both extensions of a step with $K = 2$ may come from one
# beam; the other beam is then dropped.
#
# ### Build it
# One step for a batch: `scores` (B, K), `log_probabilities` (B, K, V). Return the `count` best extensions of each row, best
# first, as three tensors (B, count): their scores, the beam that each extends, and its token. `count` may be larger than K or
# V; it is at most K · V.


# %% id="generation.beam_step"
@exercise("generation.beam_step")
def best_extensions(scores, log_probabilities, count):
    """Return (scores, parents, tokens), each (B, count), of the best extensions, best first."""
    ...


# %% id="reveal-generation-beam-step"
reveal("generation.beam_step")

# %% [markdown] id="the-search-in-the-library"
# The library's `beam_search` repeats this step. After each one the KV cache (section 8) has to follow: beam 3 may now continue
# what beam 0 was. And texts end at different lengths. Each further token lowers log p, so a longer text would lose against a
# shorter one merely for its length. Finished texts are therefore ranked by
#
# $$\text{score} = \frac{\log p(\text{text})}{\text{length}^{\,a}}$$
#
# > **Predict.** $a$ is called the *length penalty*. Does a larger one make texts shorter or longer? The next cell searches for
# > texts of at most 16 tokens. The token `\n` ends a text (a line break with indentation is a different token and does not); a
# > text that reaches 16 tokens counts as finished.

# %% id="lengths-by-penalty"
line_break = Stop(ids=(tokenizer.encode("\n")[0],))
for a in (0.0, 1.0, 2.0):
    found = generation.beam_search(model, ids, 16, 4, length_penalty=a, stop=line_break)
    text = tokenizer.decode(found.ids[0].tolist())
    print(f"a = {a}: {found.ids.shape[1]:2} tokens {text!r}")

# %% [markdown] id="does-the-search-find-better-texts"
# By hand: one text has $\log p = -6$ and 4 tokens, a second one −9 and 9 tokens. With $a = 0$ the scores are −6 and −9: the short
# one wins. With $a = 1$ they are −1.5 and −1: the long one wins. Dividing a negative number by a larger one brings it closer to
# 0, so the "penalty" **rewards** length.
#
# Does the search find more likely texts than greedy decoding? By $\log p$ of the whole text, it should:

# %% id="greedy-generation-beam-search-model-ids"
greedy = generation.beam_search(model, ids, 12, num_beams=1, length_penalty=0.0)
wide = generation.beam_search(model, ids, 12, num_beams=6, length_penalty=0.0)
print("one beam is greedy decoding:    ", torch.equal(greedy.ids, generate(model, ids, 12)))
print("six beams are at least as likely:", bool(wide.scores >= greedy.scores))

# %% [markdown] id="a-wider-beam-is-no-promise"
# A wider beam does not guarantee this: it may drop the beam that greedy decoding would have kept. It usually finds a more
# likely text. Here is the search as a tree, with log p under each token. Dropped beams are grey, the best text is orange, the
# other beams that are left at the end are black.

# %% tags=["nbval-ignore-output"] id="explorers-generation-beam-tree"
explorers.generation.beam_tree()

# %% [markdown] id="8-read-once-write-many"
# Log p can only fall. Notice how similar the beams become: at the end they often share all their first tokens. And a likely
# text is not always a good one. The most likely continuation is often short, generic and repetitive. That is why chat models
# sample, and why beam search is used for tasks such as translation, where few answers are right.
#
# ## 8 · The KV cache
#
# So far we chose tokens. Now to the time it takes. To predict one token, the model reads the whole text; for the next token it
# reads it again. Without a cache, generating 16 tokens after a prompt of 12 sends this many tokens through every layer:
#
# > **Predict.** $12 + 13 + \dots + 27$. More or less than 200? And with a cache, if each token is read once?

# %% id="for-cached-in-false-true"
for cached in (False, True):
    count = generation.tokens_through_layers(12, 16, cached=cached)
    print(f"{'with' if cached else 'without'} a cache: {count} tokens")

# %% [markdown] id="nothing-that-was-computed-for-an"
# Nothing that was computed for an earlier token can change, since no token attends to later ones. Its keys and values are kept
# (notebook [Attention](05_attention.ipynb)), and only the newest token passes through the layers. So generation has two phases:
#
# - **prefill** reads the whole prompt in one pass: large matrix products, the processor is busy;
# - **decode** reads one token in each pass: a matrix times a vector, for every matrix of the model.

# %% id="explorers-generation-cache"
explorers.generation.cache()

# %% [markdown] id="build-it-6"
# The light blue part is not free. A new token does not *compute* old keys again, but it *reads* every one of them.
#
# ### Build it
# The caches `keys` and `values` (B, G, N, D) have room for $N$ tokens, and `length` of them are filled. The rows of T new tokens,
# `k` and `v` (B, G, T, D), come after them. A new token may attend to all earlier tokens and to itself. Where do the new rows
# go, and what is the mask (T, N)? Off-by-one errors are common here. Return copies: the inputs must not change.


# %% id="generation.cache"
@exercise("generation.cache")
def update_cache(keys, values, k, v, length):
    """Return copies of the caches with the new rows, and a mask (T, N), True = may attend."""
    ...


# %% id="reveal-generation-cache"
reveal("generation.cache")

# %% [markdown] id="build-it-the-loop"
# ### Build it: the generate loop
# Now put it together. The model keeps the books: `model.make_cache(B, capacity)` returns an empty cache for all layers, and
# `model(new_ids, cache=cache).logits` (B, tokens, V) reads new ids after those in the cache and appends them to it.
#
# Sample N tokens after each prompt of `ids` (B, T), where N is the width of `uniform` (B, N): step i takes the softmax of the
# last logits and samples with the numbers `uniform[:, i]`. Return only the new tokens, (B, N). Each token may pass through the
# layers only once; the check counts them.


# %% id="generation.loop"
@exercise("generation.loop")
def sample_tokens(model, ids, uniform):
    """Return N tokens (B, N) sampled after each prompt, with one cache for all passes."""
    ...


# %% id="reveal-generation-loop"
reveal("generation.loop")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# With or without a cache, the text must be the same. Here is greedy decoding without one, and its time beside that of
# `generate`:


# %% id="text-ids"
def without_cache(count):
    """Return `count` greedy tokens; every pass reads the whole text."""
    text = ids
    with torch.inference_mode():
        for _ in range(count):
            best = model(text, last_only=True).logits[:, -1:].argmax(-1)
            text = torch.cat((text, best), dim=1)
    return text[:, ids.shape[1] :]


print("same text as with the cache:", torch.equal(without_cache(20), generate(model, ids, 20)))


# %% tags=["nbval-ignore-output"] id="what-the-cache-gains"
def rate(run, tokens):
    """Return tokens per second, the better of two runs."""
    taken = []
    for _ in range(2):
        synchronize(device)
        start = time.perf_counter()
        run()
        synchronize(device)
        taken.append(time.perf_counter() - start)
    return tokens / min(taken)


gain = rate(lambda: generate(model, ids, 100), 1) / rate(lambda: without_cache(100), 1)
print(f"100 tokens: {gain:.1f} times as fast with the cache")

# %% [markdown] id="9-why-one-token-at-a"
# ## 9 · Why decoding is slow
#
# A decode step multiplies each weight by one number and adds. These are two operations for a weight that had to be fetched from
# memory. In that time a GPU could do hundreds of operations and a CPU dozens. So they wait, and what counts is not arithmetic but
# **bytes**:
#
# $$\text{tokens per second of one text} \le \frac{\text{memory bandwidth in bytes per second}}{\text{bytes of the weights}}$$
#
# (Not quite all weights: of an *untied* embedding table only one row is looked up, and a mixture of experts fetches only the
# experts that its tokens use. Notebook [Counting parameters](09_parameter_counting.ipynb) counts this exactly.)
#
# > **Predict.** A model of 8 billion parameters of 2 bytes each, on a laptop with a memory bandwidth of 100 GB per second. How
# > many tokens per second at most?

# %% id="for-name-rate-in-laptop-100"
for name, bandwidth in (("laptop, 100 GB/s", 100e9), ("GPU, 3000 GB/s  ", 3000e9)):
    limit = generation.most_tokens_per_second(8_000_000_000, 2, bandwidth)
    print(f"{name}: at most {limit:.1f} tokens per second")

# %% [markdown] id="to-these-come-the-keys-and"
# The keys and values of the text so far are fetched as well. For a model of the shape of Qwen3-8B (36 layers, 8 key/value heads
# of 128) they are few bytes at first, and as many as the weights in a very long text:

# %% id="show-figures-generation-bytes-per-step"
show(figures.generation.bytes_per_step(8_000_000_000, 36, 8, 128, 131_072, 2))

# %% [markdown] id="two-ways-out-follow-from-the"
# Two remedies follow. Several texts can share each weight that was fetched: a **batch** (section 10). Or one text can use it
# for several tokens at once: **speculative decoding** (section 12). A batch raises the tokens per second of all texts together,
# the *throughput*; the time that one user waits for a token, the *latency*, stays the same or grows.
#
# Tokens per second on this machine, in the two phases. Your numbers will differ:

# %% tags=["nbval-ignore-output"] id="rate"
long_prompt = ids.repeat(1, 30)[:, :150]
prefill = rate(lambda: generation.Reader(model, 1, 150).read(long_prompt), 150)
decode = rate(lambda: generate(model, ids, 20), 20)
print(f"prefill {prefill:8.0f} tokens per second\ndecode  {decode:8.0f} tokens per second")

# %% [markdown] id="10-several-texts-at-once"
# ## 10 · Batches and padding
#
# The prompts of a batch have different lengths. Shorter ones are padded on the **left**. Then the last column holds the newest
# token of every row, and new tokens are appended in one column for all.
#
# Padding must have no effect on two things. On attention: a mask hides it (notebook [Attention](05_attention.ipynb)). And on
# positions: a row that starts with three padded places must still count its first real token as 0.

# %% id="rows-tokenizer-encode-text-for-text" tags=["nbval-ignore-output"]
rows = [tokenizer.encode(text) for text in ("import", "def join(path, name):", "The result")]
batch, padding = (part.to(device) for part in generation.left_pad(rows, pad_id=0))
print("padding mask (1 = real token):")
for flags, places in zip(padding.int(), token_positions(padding, batch.shape[1]), strict=True):
    print("  ", flags.tolist(), " positions", places.tolist())

# %% [markdown] id="build-it-7"
# > **Predict.** The next token is appended in the same column for all rows. Which position does it have in each row?

# %% id="grown-torch-nn-functional-pad-padding"
grown = torch.nn.functional.pad(padding, (0, 1), value=True)
print("the next token of each row:", token_positions(grown, 1).flatten().tolist())

# %% [markdown] id="build-it-10"
# Three different positions: each row counts its own tokens. `token_positions` is the function that you wrote in notebook [The
# whole transformer](08_transformer.ipynb), section 3.
#
# ### Checked against the real thing
# In a batch each row must get the text that it gets alone:

# %% id="together-generate-model-batch-15-padding" tags=["nbval-ignore-output"]
together = generate(model, batch, 15, padding=padding)
for row, text in zip(rows, together, strict=True):
    alone = generate(model, torch.tensor([row], device=device), 15)[0]
    print(f"{len(row)} tokens of prompt, same as alone:", torch.equal(alone, text))
unmasked = generate(model, batch, 15)
print("without the mask, the same texts as with it:", torch.equal(unmasked, together))

# %% [markdown] id="11-stopping-and-streaming"
# ## 11 · Stopping and streaming
#
# A model never stops by itself. Either it generates an id that is agreed to mean the end, or a *stop string* appears in the
# text. A stop string may start in the middle of one token and end in the middle of a later one, so the decoded text is
# searched, not the tokens.
#
# A stream shows text as it is generated and can take nothing back. So it holds two things back: the bytes of an incomplete
# character (notebook [Tokenization](01_tokenization.ipynb)), and an ending that may become the stop string.
#
# > **Predict.** The stop string is `:\n`, and the text so far ends with `:`. May the colon be shown?

# %% id="stop-stop-strings-n-decode-tokenizer"
stop = Stop(strings=(":\n",), decode=tokenizer.decode)
for text in ("if x", "if x:", "if x: y", "if x:\n    y"):
    print(f"{text!r:16} shown: {stop.shown(text)!r}")

# %% [markdown] id="the-stream"
# Not yet: it is shown once a character other than a line break follows. A stream from the course model:

# %% tags=["nbval-ignore-output"] id="pieces-stream-text-model-tokenizer-def"
pieces = stream_text(model, tokenizer, "def get", 30, Sampling(0.7, top_p=0.9),
                     stop_strings=("\n\n",), generator=seeded(2))  # fmt: skip
print("def get", end="")
for piece in pieces:
    print(piece, end="")

# %% [markdown] id="12-a-small-model-guesses-the"
# ## 12 · Speculative decoding
#
# A pass over one token fetches all the weights. A pass over five tokens fetches them once, too. So let a small, fast *draft
# model* generate five tokens, and let the large model, the *target*, read the newest token of the text and all five
# drafts in one pass: that gives its own distribution for the place of each draft, and one for the place after them (Leviathan
# et al. 2022, Chen et al. 2023).
#
# For greedy decoding, keep the drafted tokens that agree with the target's choice, up to the first that does not. With sampling
# the rule is about probabilities. The draft model proposes token $x$ with probability $q(x)$; the target would choose it with
# $p(x)$. Keep it with probability
#
# $$\min\!\left(1, \frac{p(x)}{q(x)}\right)$$
#
# By hand: $q = 0.4$ and $p = 0.2$. The token is proposed twice as often as it should be, so half of the proposals are kept:
# 0.4 · 0.5 = 0.2, as it should be. With $q = 0.2$ and $p = 0.4$ all are kept, and that is still too few: 0.2. The rest comes
# from the rejected cases.
#
# > **Predict.** If the rule were $q/p$: which tokens would be kept too often?
#
# ### Build it
# For each of k drafted tokens you get p (`target`), q (`draft`) and a random number in [0, 1) (`uniform`), all (k,). Token i is
# kept if its number is below p / q, and nothing is kept after the first rejection. Return how many are kept.


# %% id="generation.accept"
@exercise("generation.accept")
def accepted_count(target, draft, uniform):
    """Return how many drafts are kept before the first rejection; all arguments are (k,)."""
    ...


# %% id="reveal-generation-accept"
reveal("generation.accept")

# %% [markdown] id="when-a-draft-is-rejected-another"
# With $q/p$, tokens that the draft model proposes too often would always be kept, and those that it proposes too rarely would
# sometimes be rejected: the difference between the models would grow.
#
# When a draft is rejected, a replacement is sampled from what the draft model proposes too rarely, the **residual
# distribution**:
#
# $$p'(x) = \frac{\max(0,\; p(x) - q(x))}{\sum_y \max(0,\; p(y) - q(y))}$$

# %% id="p-torch-tensor-0-4-0"
p = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
q = torch.tensor([0.1, 0.2, 0.1, 0.6]).double()
print("kept drafts:  ", rounded(torch.minimum(p, q)), "sum", rounded(torch.minimum(p, q).sum()))
print("residual:     ", rounded(generation.residual_distribution(p, q)))

# %% id="show-figures-generation-kept-and-missing"
show(figures.generation.kept_and_missing(p, q, [" cat", " dog", " bird", " fish"]))

# %% [markdown] id="build-it-8"
# In the right-hand bars, blue and green together are exactly the large model's distribution. The proof is one line: a token
# appears with probability $\min(p, q)$ as a kept draft, and with $(1 - \sum \min(p, q)) \cdot p'$ as a replacement; the factor
# is the denominator of $p'$, and $\min(p, q) + \max(0, p - q) = p$.
#
# ### Build it
# `target` and `draft` are two distributions (V,). If they are equal nothing is ever rejected; return `target` then.


# %% id="generation.residual"
@exercise("generation.residual")
def residual_distribution(target, draft):
    """Return the distribution (V,) from which the replacement of a rejected draft is sampled."""
    ...


# %% id="reveal-generation-residual"
reveal("generation.residual")

# %% [markdown] id="build-it-a-round"
# ### Build it: a round
# Now a whole round. The draft model proposed the k tokens `drafted` (k,), each sampled from its row of `draft` (k, V). One pass
# of the target gave `target` (k + 1, V): row i is its distribution for the place of draft i, row k the one after all drafts.
# `uniform` holds k + 1 numbers: one for each draft, and a last one for the token that ends the round. This is a replacement
# for the first rejected draft, or, if all k are kept, a sample from row k: a token for free. Return the new tokens as
# a tensor (n,), with n between 1 and k + 1. You may use `generation.accepted_count`,
# `generation.residual_distribution` and `generation.draw`.


# %% id="generation.speculative_round"
@exercise("generation.speculative_round")
def speculative_round(drafted, target, draft, uniform):
    """Return the tokens of this round: the kept drafts and one more."""
    ...


# %% id="reveal-generation-speculative-round"
reveal("generation.speculative_round")

# %% [markdown] id="checked-against-the-real-thing-4"
# After a round both models have read drafts that were not kept, so their caches are cut back to the text that was. The next round
# starts there. The library does this in `speculative_generate`.
#
# ### Checked against the real thing
# Three thousand rounds with the two distributions of the figure. The first new token should have the frequencies of $p$,
# although every draft was sampled from $q$:

# %% id="darts-torch-rand-3000-3-generator"
uniform = torch.rand(3000, 3, generator=seeded(4), dtype=torch.float64)
drafted = generation.draw(q.expand(3000, -1), uniform[:, 0].contiguous())
target, draft = torch.stack((p, p)), q[None]
first = torch.stack(
    [generation.verify(drafted[i : i + 1], target, draft, uniform[i, 1:])[0] for i in range(3000)]
)
frequencies = torch.bincount(first, minlength=4) / 3000
print("within 0.03 of p:", bool((frequencies - p).abs().max() < 0.03))
print("within 0.03 of q:", bool((frequencies - q).abs().max() < 0.03))

# %% [markdown] id="is-it-worth-it"
# ### Is it worth it?
# If each draft that is tested is kept with probability $a$, a round of $k$ drafts gives $1 + a + a^2 + \dots + a^k$ tokens on
# average. It costs one pass of the large model and $k$ of the small one.
#
# > **Predict.** Drafts are kept 7 times in 10 and cost a fifth of a pass each. Is $k = 12$ better than $k = 3$?

# %% id="explorers-generation-drafts"
explorers.generation.drafts()

# %% [markdown] id="our-model-has-no-small-sister"
# No: with $k = 12$ the drafts cost more than they gain; $k = 3$ is best. A long draft is rarely kept to its end.
#
# There is no smaller version of our model. Its own first two layers can serve as a draft model: they cost about half as much,
# and were never trained to predict on their own. The text must not change:

# %% id="small-generation-first-layers-model-2"
small = generation.first_layers(model, 2)
speculated = generation.speculative_generate(model, small, ids, 24, draft_tokens=3)
print("the text is that of the large model:", torch.equal(speculated.ids, generate(model, ids, 24)))
print("fewer passes than tokens:", speculated.passes < 24)

# %% [markdown] id="14-claims-that-are-wrong"
# Fewer passes. But with a draft that costs half a pass no speed-up can be expected; it is measured under *Further*. In practice
# the draft model is ten times smaller or more, and was trained on similar text.
#
# ## 13 · Claims that are wrong
#
# > *"Greedy decoding gives the most likely text."*
#
# Not even for two tokens. Take two possible first tokens, with the probabilities 0.6 and 0.4. After the first one both second
# tokens have 0.5; after the other they have 0.9 and 0.1:

# %% id="table-torch-tensor-0-6-0"
table = torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1]])  # first token; second after 0; after 1
greedy_text = table[0].max() * table[1].max()
best_text = max(table[0, 0] * table[1].max(), table[0, 1] * table[2].max())
print(f"greedy: 0.6 · 0.5 = {greedy_text:.2f}, best: 0.4 · 0.9 = {best_text:.2f}")

# %% [markdown] id="zeroed-claim"
# > *"Setting probabilities to 0 after softmax is as good as setting logits to −∞ before."*

# %% id="p-torch-tensor-0-5-0"
p = torch.tensor([0.5, 0.3, 0.15, 0.05])
zeroed = p * (p >= 0.3)
print("zeroed after softmax:", rounded(zeroed, 2), "sum", rounded(zeroed.sum(), 2))
u = torch.tensor([0.9]).double()
careless = int((zeroed.double().cumsum(0) <= u).sum())
print("u = 0.9 selects token", careless, "of 4 tokens numbered 0 to 3")

# %% [markdown] id="zeroed-read"
# What is left does not add up to 1, and a number above the sum selects a token that does not exist. `torch.multinomial`
# normalises silently; your own loop does not, nor does a comparison of two distributions as in section 12.

# %% [markdown] id="further-transformers"
# ## Further: compared with `transformers`
#
# ### The filters
# The same filters on a thousand rows of random logits rounded to one digit, so that there are many ties. "Identical" means equal
# to the last bit.

# %% id="many-torch-randn-1000-50-generator"
from transformers.generation import logits_process as theirs

many = (torch.randn(1000, 50, generator=seeded(1)) * 2).round(decimals=1)
none = torch.zeros(1000, 1, dtype=torch.long)
pairs = {
    "top-k 5": (generation.keep_top_k(many, 5), theirs.TopKLogitsWarper(5)),
    "top-p 0.9": (generation.keep_top_p(many, 0.9), theirs.TopPLogitsWarper(0.9)),
    "min-p 0.1": (generation.keep_min_p(many, 0.1), theirs.MinPLogitsWarper(0.1)),
}
for name, (ours, their) in pairs.items():
    print(f"{name:10} identical:", torch.equal(ours, their(none, many)))

# %% [markdown] id="13-side-by-side-with-the"
# ### Whole texts
# The course model is an ordinary checkpoint, so `transformers` loads the same files.

# %% id="transformers-logging-set-verbosity-error"
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
other = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
other = other.eval().to(device)
print("the same vocabulary:", other.config.vocab_size == model.config.vocab_size)


# %% id="their-text"
def their_text(**settings):
    """Return what transformers generates after the prompt."""
    settings = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, **settings}
    mask = torch.ones_like(ids)
    found = other.generate(ids, attention_mask=mask, max_new_tokens=25, **settings)
    return found[:, ids.shape[1] :]


print("greedy: ", torch.equal(generate(model, ids, 25), their_text()))
penalised = generate(model, ids, 25, Sampling(0.0, repetition_penalty=1.3))
print("penalty:", torch.equal(penalised, their_text(repetition_penalty=1.3)))
beams = generation.beam_search(model, ids, 25, num_beams=4).ids
print("4 beams:", torch.equal(beams, their_text(num_beams=4)))

# %% [markdown] id="sampled-texts-and-speed"
# Sampled texts cannot be equal, since each library uses its random numbers differently. Their distributions must be.
#
# ### Ties
# > *"Temperature 0 is the same as a very small top-p: both take the best token."*

# %% id="ties-of-greedy-and-top-p"
equal = torch.tensor([[1.0, 1.0, 0.0]])
print("greedy takes token", generation.choose(equal, none[:1], GREEDY).item())
kept = generation.keep_top_p(equal, 1e-6)[0] > -torch.inf
print("a tiny top-p keeps token", kept.nonzero().flatten().tolist())
theirs_kept = theirs.TopPLogitsWarper(1e-6)(none[:1], equal)[0] > -torch.inf
print("transformers the same as ours:", torch.equal(kept, theirs_kept))

# %% [markdown] id="about-ties"
# Only if there is no tie. Of two equally likely tokens `argmax` takes the first, and top-p keeps whichever its sort puts last.
# Section 2 let all ties through; top-p does not, neither here nor in `transformers`. With real logits exact ties are rare, but
# in bfloat16, with its eight bits of precision, they do occur.

# %% [markdown] id="further-loop"
# ## Further: the library's loop
#
# The library's `Reader` is a model together with its cache; `read` returns the logits after the last new token. Prefill and
# decode are the same call:

# %% id="reader-generation-reader-model-batch-1" tags=["nbval-ignore-output"]
reader = generation.Reader(model, batch=1, capacity=ids.shape[1] + 2)
with torch.inference_mode():
    after_prompt = reader.read(ids)  # prefill
    print("prefill has read", reader.length, "tokens")
    reader.read(after_prompt.argmax(-1, keepdim=True))  # decode
print("one decode step later:", reader.length, "tokens")

# %% [markdown] id="underneath-lies-stream-which-yields-ids"
# `stream_text` is built on `stream`, which yields ids. `generate` collects the same ids, so the two cannot differ:

# %% id="settings-sampling-0-9-top-k"
settings = Sampling(0.9, top_k=50)
parts = stream(model, ids, 20, settings, generator=seeded(3))
whole = generate(model, ids, 20, settings, generator=seeded(3))
print("same ids:", torch.equal(torch.stack(list(parts), dim=1), whole))

# %% [markdown] id="the-library-s-stream"
# Compare it with your loop of section 8. What is added: padding, processors, stopping, and `yield`.

# %% id="reveal-generation-stream"
reveal(generation.stream)

# %% [markdown] id="further-own-step"
# ### Your own step
# A step is any function that takes logits and the ids so far and returns logits. It goes into `more` of `Sampling` and
# runs after the repetition penalty and before the temperature. This one rules out a single token:


# %% id="without"
def without(token):
    """Return a step that rules out one token."""
    return lambda logits, ids: logits.index_fill(
        1, torch.tensor([token], device=device), -torch.inf
    )


best = int(logits.argmax())
instead = generate(model, ids, 1, Sampling(0.0, more=(without(best),))).item()
print("greedy takes the second best instead:", instead == logits[0].topk(2).indices[1].item())

# %% [markdown] id="further-sampling"
# ## Further: sampling and the penalty, measured
#
# Over ten thousand samples each token should occur as often as its probability says:

# %% id="darts-torch-rand-10-000-generator"
uniform = torch.rand(10_000, generator=seeded(0), dtype=torch.float64)
sampled = generation.draw(shares.expand(10_000, -1), uniform)
frequencies = torch.bincount(sampled, minlength=4) / 10_000
print("probabilities:", rounded(shares[0], 2))
print("frequencies within 0.015:", bool((frequencies - shares[0]).abs().max() < 0.015))
print("impossible token sampled:", int(frequencies[2] * 10_000), "times")

# %% [markdown] id="the-figure-of-the-penalty"
# The repetition penalty on real logits: the largest ones after a text that repeats itself, and the lowest of the tokens of
# that text. All tokens of the text are marked ×. From which penalty on is the best token a different one? Watch the full stop:
# its logit is negative, so it moves *away* from zero.

# %% tags=["nbval-ignore-output"] id="explorers-generation-penalty"
explorers.generation.penalty()

# %% [markdown] id="which-acceptance"
# ## Further: the speed-up of drafting, measured
#
# Is drafting with the first two layers faster? The formula needs $a$, the fraction of *tested* drafts that were kept. Drafts
# after a rejection were never tested. Counting them as rejected gives a smaller number, and a prediction that is too low:

# %% tags=["nbval-ignore-output"] id="print-f-found-passes-passes-for"
print(f"{24 / speculated.passes:.2f} tokens in each of {speculated.passes} passes")
for name, a in (
    ("tested ", speculated.acceptance),
    ("drafted", speculated.accepted / speculated.drafted),
):
    print(
        f"a = kept / {name} = {a:.2f}: {generation.tokens_per_pass(a, 3):.2f} tokens per pass,",
        end=" ",
    )
    print(f"speed-up {generation.speed_up(a, 3, 0.5):.2f}")
alone = rate(lambda: generate(model, ids, 24), 24)
drafting = rate(lambda: generation.speculative_generate(model, small, ids, 24, draft_tokens=3), 24)
print(f"measured speed-up {drafting / alone:.2f}")

# %% [markdown] id="after-the-speed-up"
# Only the fraction of the tested drafts predicts the tokens per pass. The speed-up is below 1: half a pass for each draft is too
# much. The measured speed-up may be lower still: a round also takes time that the formula leaves out, for random numbers,
# comparisons and cutting back the caches, and a pass over four tokens may take longer than a pass over one.

# %% [markdown] id="and-the-time-at-this-size"
# ## Further: faster decoding of the same text
#
# For a model of this size, most of the time goes into starting many small operations, and the rest into fetching matrices. The
# library has three ways to save time:
#
# - `prepare_to_write` keeps the model as you know it, but uses PyTorch's fused kernels for norms and attention. Where there is a C
#   compiler, a small program that is compiled the first time (`course_lib/model/block.c` and `products.c`) computes all blocks
#   for a new token in one call, from the weights as they are stored, in float32 or bfloat16. Layers that have hooks or were
#   replaced are still called, and so are all layers while somebody counts or profiles PyTorch's operations.
# - `FusedDecoder` rearranges a copy of the weights: one matrix for queries, keys and values, one for gate and up, norm weights
#   multiplied in beforehand, and features ordered so that a rotation is one complex product (notebook [Positions and
#   RoPE](06_rope.ipynb)). The copy lies in memory that the processor reads faster, where the system offers it (*huge pages*).
#   There are no layers that could be altered, so before each call of the same program there is nothing to check.
# - `CompiledDecoder` lets `torch.compile` make a single program of a whole step, where the course's own program cannot compute
#   it: on a GPU, or for many rows. Compiling takes about a minute, so it is not tried here.

# %% id="fused-generation-fuseddecoder-model"
prepared = copy.deepcopy(model).prepare_to_write()
fused = generation.FusedDecoder(model)
for faster in (prepared, fused):
    print("the same text:", torch.equal(generate(faster, ids, 40), generate(model, ids, 40)))

# %% tags=["nbval-ignore-output"] id="contestants"
contestants = {
    "transformers, generate": lambda: their_text(),
    "ours, as you know it": lambda: generate(model, ids, 25),
    "ours, prepared": lambda: generate(prepared, ids, 25),
    "ours, fused": lambda: generate(fused, ids, 25),
}
rates = {name: rate(run, 25) for name, run in contestants.items()}
for name, found in rates.items():
    times = found / rates["transformers, generate"]
    print(f"{name:24} {found:6.0f} tokens per second, {times:.1f} times as many as theirs")

# %% [markdown] id="after-the-contestants"
# At this size most of the gain comes from starting fewer operations: for Python, all blocks are a single one. What is left to do
# between two tokens is what `FusedDecoder` shortens. Without a C compiler, `prepare_to_write` alone gains little here, and
# `FusedDecoder` still starts fewer operations than the model.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Every filter takes logits and returns logits, with $-\infty$ for what is ruled out; one softmax at the end makes the rest
#    add up to 1. Temperature comes before the filters, and it changes what top-p keeps.
# 2. Top-k keeps ties; top-p keeps the token with which the sum reaches p; min-p compares with the best token; the repetition
#    penalty multiplies negative logits.
# 3. Beam search looks for a likely text, which is not always a good one. Its length penalty rewards length.
# 4. With a cache each token passes through the layers once. Decoding is slow because every weight is fetched for every token;
#    batches and drafts share the fetching.
# 5. A draft is kept with probability $\min(1, p/q)$ and replaced from $\max(0, p - q)$: the text has the large model's
#    distribution, whatever the draft model is.
#
# ### Test yourself

# %% id="quiz-generation"
quiz("generation")

# %% [markdown] id="papers"
# ### Papers
# - Fan, Lewis & Dauphin 2018, *Hierarchical neural story generation*, arXiv:1805.04833 (top-k).
# - Holtzman, Buys, Du, Forbes & Choi 2019, *The curious case of neural text degeneration*, arXiv:1904.09751 (top-p).
# - Nguyen et al. 2024, *Turning up the heat: min-p sampling*, arXiv:2407.01082.
# - Keskar et al. 2019, *CTRL*, arXiv:1909.05858 (the repetition penalty).
# - Wu et al. 2016, *Google's neural machine translation system*, arXiv:1609.08144 (beam search, with a slightly different
#   length penalty).
# - Pope et al. 2022, *Efficiently scaling transformer inference*, arXiv:2211.05102 (prefill and decode).
# - Leviathan, Kalman & Matias 2022, arXiv:2211.17192, and Chen et al. 2023, arXiv:2302.01318 (speculative decoding).
#
# **Next:** [Self-check](13_self_check.ipynb), where you find out what you remember.
