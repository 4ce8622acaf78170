# %% [markdown] id="12-generation"
# # 12 · Generation
#
# **How are probabilities turned into text, and why is decoding slow?**
#
# A language model does not write. It scores what could come next, and stops there. Everything between the scores and a
# text is a decision that somebody makes: which token is taken, when to stop, what is kept in memory. This notebook makes
# all of them, on the course's own model, and compares each with the library that most people use.
#
# After this notebook you can
# - build every common filter of scores, top-k, top-p, min-p, the repetition penalty, and say why their order matters;
# - say what beam search optimises, and what its length penalty really does;
# - write with a KV cache, alone and in a batch with padding, and say what the cache saves and what it does not;
# - explain why one token at a time is slow, and how a small model can speed up a large one without changing a word.
#
# About 120 minutes. You need notebooks [Softmax](04_softmax.ipynb), [Attention](05_attention.ipynb) and [The whole transformer](08_transformer.ipynb). Nothing is downloaded.

# %% id="imports"
import copy
import time

import torch

from course_lib import attention, generation
from course_lib.device import seeded
from course_lib.generation import GREEDY, Sampling, Stop, generate, stream, stream_text
from course_lib.model import token_positions
from course_lib.pretrained import FOLDER, course_model, course_tokenizer
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show

# %% [markdown] id="the-course-model-is-small-it"
# The course model is small: it was trained for an hour on one processor core, on Python's documentation and sources. It
# writes nonsense in good form. That is enough here, for every decision of this notebook is the same for a model a thousand times larger.

# %% id="model-tokenizer-course-model-course-tokenizer"
model, tokenizer = course_model(), course_tokenizer()
prompt = "The function returns a new"
ids = torch.tensor([tokenizer.encode(prompt)])
with torch.inference_mode():
    logits = model(ids).logits[:, -1]
print(
    "one row of scores for each token of the vocabulary:", logits.shape[1] == len(tokenizer.tokens)
)

# %% [markdown] id="1-one-dart"
# ## 1 · One dart
#
# Softmax (notebook [Softmax](04_softmax.ipynb)) makes the scores into probabilities. Now one token has to be chosen. The simplest rule takes the
# most likely one, and is called **greedy**.
#
# > **Predict.** Greedy takes the best token each time. Is the text of twenty tokens that comes out the most likely text of
# > twenty tokens?

# %% tags=["nbval-ignore-output"] id="written-generate-model-ids-30"
written = generate(model, ids, 30)
print(prompt + tokenizer.decode(written[0].tolist()))

# %% [markdown] id="no-a-token-that-is-second"
# No: a token that is second best now may open a road on which everything later is much likelier. Section 7 looks for such
# roads. And notice how the text circles. Where the model is unsure, the best token is often a safe one, safe tokens make
# the next ones safer, and a loop is the safest of all.
#
# The other rule **draws**. Lay the probabilities side by side on a line of length 1 and throw a dart at it: a token is hit
# as often as it is likely. The place of the dart, a number $u$ in $[0, 1)$, is the only randomness there is:
#
# $$\text{token} = \text{the first } i \text{ with } p_0 + p_1 + \dots + p_i > u$$
#
# By hand, with the probabilities 0.5, 0.25, 0, 0.25: the pieces end at 0.5, 0.75, 0.75 and 1. A dart at 0.6 falls into the
# second piece. A dart at 0.75 falls on the *fourth*: the third piece has no length, and a token of probability 0 must never
# be drawn. Rounding may leave the sum of all pieces a little below 1; the last piece that has a length then reaches to 1.

# %% id="shares-torch-tensor-0-5-0"
shares = torch.tensor([[0.5, 0.25, 0.0, 0.25]]).double()
for dart in (0.0, 0.49, 0.5, 0.6, 0.75, 0.99):
    token = generation.draw(shares, torch.tensor([dart]).double())
    print(f"u = {dart:.2f}: token {token.item()}")

# %% [markdown] id="build-it"
# ### Build it
# One row of probabilities and one number for each text of a batch. Leave the `def` line as it is and replace the `...`.


# %% id="generation.draw"
@exercise("generation.draw")
def draw(probabilities, uniform):
    """Return the token (B,) in whose piece of the line each number falls."""
    ...


# %% [markdown] id="hint-in-a-new-cell-helps"
# `hint()` in a new cell helps, a little at first.

# %% id="reveal-generation-draw"
reveal("generation.draw")

# %% [markdown] id="drawn-ten-thousand-times-each-token"
# Drawn ten thousand times, each token should come as often as it is likely:

# %% id="darts-torch-rand-10-000-generator"
darts = torch.rand(10_000, generator=seeded(0), dtype=torch.float64)
drawn = generation.draw(shares.expand(10_000, -1), darts)
frequencies = torch.bincount(drawn, minlength=4) / 10_000
print("probabilities:", rounded(shares[0], 2))
print("frequencies within 0.015:", bool((frequencies - shares[0]).abs().max() < 0.015))
print("impossible token drawn:", int(frequencies[2] * 10_000), "times")

# %% [markdown] id="2-the-tail-and-top-k"
# ## 2 · The tail, and top-k
#
# Why not just draw? Because of the tail. Thousands of tokens are each very unlikely, and together they are not.
#
# > **Predict.** Take the 50 most likely next tokens of our prompt. How much probability have all the others together: a
# > thousandth, a hundredth, or more?

# %% id="p-logits-softmax-1-0"
p = logits.softmax(-1)[0]
tail = 1 - p.topk(50).values.sum()
print(f"the tail has {tail:.2f} of the probability")
for share in (0.01, float(tail)):
    print(
        f"tail {share:.2f}: 50 tokens contain one of it in {1 - (1 - share) ** 50:.0%} of all texts"
    )

# %% [markdown] id="more-than-half-of-all-texts"
# Much more than a hundredth. Not every place of a text is as open as this one, but even a tail of a hundredth would be met
# in four texts of ten. And a text does not recover, for what was written is read again. So the tail is cut off. **Top-k** (Fan et al. 2018) keeps the $k$ largest scores and sets the rest to $-\infty$:
#
# $$z_i \leftarrow -\infty \quad\text{where } z_i < z_{(k)}$$
#
# where $z_{(k)}$ is the $k$-th largest. In numbers: of 1, 4, 2, 3 with $k = 2$ the limit is 3, and $-\infty, 4, -\infty, 3$
# stays. Why $-\infty$ on scores, and not 0 on probabilities? Because the softmax that follows then shares the whole of 1
# among what is left, with no step of its own.
#
# > **Predict.** The scores are 5, 3, 1, 3, 3 and $k = 2$. How many stay?

# %% id="tied-torch-tensor-5-0-3"
tied = torch.tensor([[5.0, 3.0, 1.0, 3.0, 3.0]])
print(generation.keep_top_k(tied, 2).tolist()[0])

# %% [markdown] id="build-it-2"
# Four. Three tokens are second, nothing says which of them to prefer, and a filter that took the first would prefer tokens
# by their place in the vocabulary.
#
# ### Build it


# %% id="generation.top_k"
@exercise("generation.top_k")
def keep_top_k(logits, k):
    """Return the scores (B, V), all but the k largest of each row set to -inf; ties stay."""
    ...


# %% id="reveal-generation-top-k"
reveal("generation.top_k")

# %% [markdown] id="3-top-p"
# ## 3 · Top-p
#
# A fixed $k$ is too many where the model is sure, and too few where it is not. Behind `def join` hardly anything but a
# bracket can come, behind the bracket a hundred names. **Top-p**, or *nucleus sampling* (Holtzman et al. 2019), keeps a fixed *probability* instead: the
# fewest tokens, best first, that together reach $p$.
#
# By hand, with 0.5, 0.3, 0.15, 0.05 and $p = 0.7$: the best token has 0.5, too little. With the second it is 0.8, enough.
# **The token that crosses the line stays**, two in all.
#
# > **Predict.** And with $p = 0.3$? The best token alone has 0.5, more than asked for.

# %% id="scores-torch-tensor-0-5-0"
scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
for limit in (0.3, 0.7, 0.9, 1.0):
    left = generation.keep_top_p(scores, limit).softmax(-1)[0]
    print(f"p = {limit}: kept {int((left > 0).sum())}, shares now", rounded(left))

# %% [markdown] id="build-it-3"
# It stays, or there would be nothing to draw from. A rule that stops *before* the line is crossed fails exactly there.
#
# ### Build it
# Sorting and summing up is easy. Take care to bring the decision back to where each token stood.


# %% id="generation.top_p"
@exercise("generation.top_p")
def keep_top_p(logits, p):
    """Return the scores (B, V) with -inf outside the fewest tokens that reach p."""
    ...


# %% id="reveal-generation-top-p"
reveal("generation.top_p")

# %% [markdown] id="play-with-it"
# The library comes from the other end: it sorts upwards and drops tokens while all that is dropped weighs no more than
# $1 - p$. On paper that is the same. It is written so because `transformers` does it so, and rounding then agrees as well.
#
# ### Play with it
# Behind each token of a text, how many does top-p keep? Type your own text. Look for the places where one token is enough.

# %% tags=["nbval-ignore-output"] id="explorers-generation-nucleus"
explorers.generation.nucleus()

# %% [markdown] id="4-min-p"
# ## 4 · Min-p
#
# Top-p has a weakness of its own: in a flat distribution it has to keep a part of the tail to reach its sum. **Min-p**
# (Nguyen et al. 2024) compares each token with the best one:
#
# $$\text{keep } i \quad\text{where } p_i \ge \text{min\_p} \cdot \max_j p_j$$
#
# By hand, with 0.5, 0.3, 0.15, 0.05 and min-p 0.2: the limit is 0.2 · 0.5 = 0.1, and three tokens stay.
#
# ### Build it


# %% id="generation.min_p"
@exercise("generation.min_p")
def keep_min_p(logits, min_p):
    """Return the scores (B, V) with -inf below min_p times the largest probability."""
    ...


# %% id="reveal-generation-min-p"
reveal("generation.min_p")

# %% [markdown] id="5-the-order-of-the-steps"
# ## 5 · The order of the steps
#
# Each of these takes scores and returns scores, so they can be put in a row. But not in any order.
#
# > **Predict.** Scores 2, 1, 0.5, 0, −1, and top-p with $p = 0.8$. How many tokens are kept if the temperature 0.5 comes
# > *before* top-p, and how many if it comes after?

# %% id="row-torch-tensor-2-0-1"
row = torch.tensor([[2.0, 1.0, 0.5, 0.0, -1.0]])
before = generation.keep_top_p(generation.apply_temperature(row, 0.5), 0.8)
after = generation.apply_temperature(generation.keep_top_p(row, 0.8), 0.5)
for name, left in (("temperature first", before), ("temperature last ", after)):
    print(f"{name}: kept {int((left > -torch.inf).sum())}, shares", rounded(left.softmax(-1)[0]))

# %% [markdown] id="build-it-4"
# A low temperature makes the best token so large that it reaches 0.8 alone. Libraries differ in this: `transformers` and
# this course apply the temperature first, then top-k, then top-p, then min-p; llama.cpp comes to the temperature last. A
# setting copied from one program to another may mean something else there.
#
# `Sampling` puts the steps in their row. A step of your own is any function that takes scores and the ids so far and returns
# scores; it goes into `more`. This one forbids a single token:


# %% id="without"
def without(token):
    """Return a step that never lets this token come."""
    return lambda scores, ids: scores.index_fill(1, torch.tensor([token]), -torch.inf)


best = int(logits.argmax())
other = generate(model, ids, 1, Sampling(0.0, more=(without(best),))).item()
print("greedy takes the second best instead:", other == logits[0].topk(2).indices[1].item())

# %% [markdown] id="build-it-9"
# ### Build it
# Temperature, top-k, top-p, and one softmax at the end. You may use the library's `generation.keep_top_k` and
# `generation.keep_top_p`.


# %% id="generation.distribution"
@exercise("generation.distribution")
def filtered_distribution(logits, temperature, k, p):
    """Return the probabilities (B, V) after temperature, then top-k, then top-p."""
    ...


# %% id="reveal-generation-distribution"
reveal("generation.distribution")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# The whole pipeline on the course model. Raise the temperature with top-p at 1, then lower top-p again. Hold everything and
# move $u$ alone: below the bars is the line of section 1, with a piece for each token that is left and the dart above it.
# The pieces lie in the order of the vocabulary, so that a small $u$ need not hit a likely token.

# %% tags=["nbval-ignore-output"] id="explorers-generation-pipeline-temperature-0-8"
explorers.generation.pipeline(temperature=0.8)

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The same filters from `transformers`, on a thousand rows of random scores rounded to one digit, so that ties abound. Equal
# means equal to the last bit.

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

# %% [markdown] id="6-not-again"
# ## 6 · Not again
#
# Against loops there is a blunt tool, the **repetition penalty** (Keskar et al. 2019): every token that already stands in
# the text becomes less likely. Scores are divided by a number above 1.
#
# > **Predict.** A token has been written, its score is −2, the penalty is 2. What is −2 divided by 2, and is the token now
# > less likely?
#
# −1, which is *more*. A division brings a negative score closer to 0. So negative scores are multiplied:
#
# $$z_i \leftarrow \begin{cases} z_i / \theta & z_i \ge 0\\ z_i \cdot \theta & z_i < 0\end{cases} \qquad\text{for each token } i \text{ in the text, once}$$

# %% id="row-past-torch-tensor-2-0"
row, past = torch.tensor([[2.0, -2.0, 4.0]]), torch.tensor([[0, 1, 1]])
print("before:", row.tolist()[0])
print("after: ", generation.penalise_repetition(row, past, 2.0).tolist()[0])

# %% [markdown] id="build-it-5"
# The penalty depends on where zero is, and for softmax zero means nothing: add 10 to every score and the probabilities stay,
# while the penalty now does something else. It is a tool without a theory.
#
# ### Build it


# %% id="generation.penalty"
@exercise("generation.penalty")
def penalise_repetition(logits, ids, penalty):
    """Return the scores (B, V) with every token of `ids` (B, S) made less likely, once."""
    ...


# %% id="reveal-generation-penalty"
reveal("generation.penalty")

# %% tags=["nbval-ignore-output"] id="explorers-generation-penalty"
explorers.generation.penalty()

# %% [markdown] id="greedy-text-with-and-without-it"
# Greedy text with and without it. Count how many of the tokens are different ones:

# %% id="start-torch-tensor-tokenizer-encode-for"
start = torch.tensor([tokenizer.encode("for i in range(")])
plain = generate(model, start, 40)[0].tolist()
varied = generate(model, start, 40, Sampling(0.0, repetition_penalty=1.3))[0].tolist()
print("more different tokens with the penalty:", len(set(varied)) > len(set(plain)))

# %% [markdown] id="7-several-beginnings-at-once"
# ## 7 · Several beginnings at once
#
# Back to the likeliest text. To try all of them is hopeless: with a vocabulary of 2 048, twenty tokens make
# $2048^{20} \approx 10^{66}$ texts. **Beam search** keeps the $K$ best beginnings, extends each by every token, keeps the
# $K$ best of all extensions, and so on. One beam is greedy decoding.
#
# The score of a text is its log-probability, a sum of negative numbers: the longer, the lower. A text that has ended would
# lose against one that ended earlier. So finished texts are compared by
#
# $$\text{score} = \frac{\log p(\text{text})}{\text{length}^{\,a}}$$
#
# > **Predict.** $a$ is called *length penalty*. Does a larger one make texts shorter or longer?
#
# By hand: one text has $\log p = -6$ and 4 tokens, another $-9$ and 9 tokens. With $a = 0$ the scores are −6 and −9: the short
# one wins. With $a = 1$ they are −1.5 and −1: the long one wins. Dividing a negative number by more brings it closer to 0,
# so that the "penalty" **rewards** length.

# %% id="for-a-in-0-0-1"
for a in (0.0, 1.0, 2.0):
    short, long = -6 / 4**a, -9 / 9**a
    print(
        f"a = {a}: short {short:6.2f}, long {long:6.2f}, wins: {'long' if long > short else 'short'}"
    )

# %% [markdown] id="does-the-search-find-better-texts"
# Does the search find better texts than greedy decoding? By $\log p$ of the whole text, it should:

# %% id="greedy-generation-beam-search-model-ids"
greedy = generation.beam_search(model, ids, 12, num_beams=1, length_penalty=0.0)
wide = generation.beam_search(model, ids, 12, num_beams=6, length_penalty=0.0)
print("one beam is greedy decoding:    ", torch.equal(greedy.ids, generate(model, ids, 12)))
print("six beams are at least as likely:", bool(wide.scores >= greedy.scores))

# %% [markdown] id="a-wider-beam-is-no-promise"
# A wider beam is no promise, though. It may give up the beginning that greedy decoding would have kept; it only usually
# finds more. Look at the search as a tree. What led to no survivor is grey; the best text is marked.

# %% tags=["nbval-ignore-output"] id="explorers-generation-beam-tree"
explorers.generation.beam_tree()

# %% [markdown] id="8-read-once-write-many"
# The numbers are $\log p$ of the text so far, and they only fall. Notice how early the beams become alike: at the end often
# all of them share the first tokens. And a likely text is not a good one. The likeliest continuation of almost anything is
# short, safe and repetitive, which is why chat models draw, and beams are left to translation, where one answer is right.
#
# ## 8 · Read once, write many
#
# So much for choosing. Now for the time it takes. To write one token the model reads the text, all of it. The next token
# again. Without a memory, writing 16 tokens behind a prompt of 12 sends this many tokens through every layer:
#
# > **Predict.** $12 + 13 + \dots + 27$. More or less than 200?

# %% id="for-cached-in-false-true"
for cached in (False, True):
    count = generation.tokens_through_layers(12, 16, cached=cached)
    print(f"{'with' if cached else 'without'} a cache: {count} tokens")

# %% [markdown] id="nothing-that-was-computed-for-an"
# Nothing that was computed for an old token can have changed, since no token reads what comes after it. Its keys and values
# are kept (notebook [Attention](05_attention.ipynb)), and only the newest token passes through the layers. So writing has two phases:
#
# - **prefill** reads the whole prompt in one pass: large matrix products, the processor is busy;
# - **decode** reads one token in each pass: a matrix times a vector, for every matrix of the model.

# %% id="explorers-generation-cache"
explorers.generation.cache()

# %% [markdown] id="build-it-6"
# The light part is not free. A new token does not *compute* old keys again, but it *reads* every one of them.
#
# ### Build it
# The caches have room for $N$ tokens. `length` of them are written. Where does the new row go, and what may it read? Slips
# by one are made here.


# %% id="generation.cache"
@exercise("generation.cache")
def update_cache(keys, values, k, v, length):
    """Return copies of the caches with the new rows in, and the mask (T, N) of what may be read."""
    ...


# %% id="reveal-generation-cache"
reveal("generation.cache")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# With a cache or without one, the text must be the same. Here is greedy decoding that remembers nothing:

# %% id="text-ids"
text = ids
with torch.inference_mode():
    for _ in range(20):
        best = model(text).logits[:, -1:].argmax(-1)
        text = torch.cat((text, best), dim=1)
print(
    "same text as with the cache:", torch.equal(text[:, ids.shape[1] :], generate(model, ids, 20))
)

# %% [markdown] id="the-library-s-reader-is-a"
# The library's `Reader` is a model together with its caches. It is all that separates the two phases:

# %% id="reader-generation-reader-model-batch-1" tags=["nbval-ignore-output"]
reader = generation.Reader(model, batch=1, capacity=ids.shape[1] + 2)
with torch.inference_mode():
    after_prompt = reader.read(ids)  # prefill
    print("prefill has read", reader.length, "tokens")
    reader.read(after_prompt.argmax(-1, keepdim=True))  # decode
print("one decoding step later:", reader.length, "tokens")

# %% [markdown] id="9-why-one-token-at-a"
# ## 9 · Why one token at a time is slow
#
# A decoding step multiplies each weight with one number and adds. That is two operations for a weight that had to come all
# the way from memory. Today's processors do hundreds of operations in that time. So they wait, and what counts is not
# arithmetic but **bytes**:
#
# $$\text{tokens per second} \le \frac{\text{bytes that memory delivers per second}}{\text{bytes of the weights}}$$
#
# > **Predict.** A model of 8 billion parameters in 2 bytes each, on a laptop whose memory delivers 100 GB per second. How
# > many tokens per second at most?

# %% id="for-name-rate-in-laptop-100"
for name, rate in (("laptop, 100 GB/s", 100e9), ("GPU, 3000 GB/s  ", 3000e9)):
    limit = generation.most_tokens_per_second(8_000_000_000, 2, rate)
    print(f"{name}: at most {limit:.1f} tokens per second")

# %% [markdown] id="to-these-come-the-keys-and"
# To these come the keys and values of the text so far. For a model of the shape of Qwen3-8B (36 layers, 8 key/value heads
# of 128) they are little at first and as much as the weights in a very long text:

# %% id="show-figures-generation-bytes-per-step"
show(figures.generation.bytes_per_step(8_000_000_000, 36, 8, 128, 131_072, 2))

# %% [markdown] id="two-ways-out-follow-from-the"
# Two ways out follow from the picture. Let several texts share each weight that was fetched: a **batch**. Or let one text
# use it for several tokens at once: section 12.
#
# On this machine, tokens per second, in the two phases. These numbers are yours and will differ:


# %% tags=["nbval-ignore-output"] id="rate"
def rate(run, tokens):
    """Return tokens per second, the better of two."""
    taken = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return tokens / min(taken)


long_prompt = ids.repeat(1, 30)[:, :150]
prefill = rate(lambda: generation.Reader(model, 1, 150).read(long_prompt), 150)
decode = rate(lambda: generate(model, ids, 20), 20)
print(f"prefill {prefill:8.0f} tokens per second\ndecode  {decode:8.0f} tokens per second")

# %% [markdown] id="10-several-texts-at-once"
# ## 10 · Several texts at once
#
# Prompts of one batch have different lengths. They stand on the **right**, with padding on the left: then the last column is
# the newest token of every row, and new tokens go behind it in one place for all.
#
# Two things must not notice the padding. Attention: a mask hides it (notebook [Attention](05_attention.ipynb)). And positions: a row that begins with
# three padded places must still count its first word as 0.

# %% id="rows-tokenizer-encode-text-for-text" tags=["nbval-ignore-output"]
rows = [tokenizer.encode(text) for text in ("import", "def join(path, name):", "The result")]
batch, padding = generation.left_pad(rows, pad_id=0)
print("padding (1 = real token):")
for flags, places in zip(padding.int(), token_positions(padding, batch.shape[1]), strict=True):
    print("  ", flags.tolist(), " positions", places.tolist())

# %% [markdown] id="build-it-7"
# > **Predict.** The next token comes. It stands in the same column for all rows. At which positions?

# %% id="grown-torch-nn-functional-pad-padding"
grown = torch.nn.functional.pad(padding, (0, 1), value=True)
print("the next token of each row:", token_positions(grown, 1).flatten().tolist())

# %% [markdown] id="build-it-10"
# At as many different ones as the prompts have lengths: each row goes on counting its own words. `token_positions` is the
# function that you built in notebook [The whole transformer](08_transformer.ipynb), section 3.

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# In a batch each row must get the text that it gets alone:

# %% id="together-generate-model-batch-15-padding" tags=["nbval-ignore-output"]
together = generate(model, batch, 15, padding=padding)
for row, text in zip(rows, together, strict=True):
    alone = generate(model, torch.tensor([row]), 15)[0]
    print(f"{len(row)} tokens of prompt, same as alone:", torch.equal(alone, text))
blind = generate(model, batch, 15)
print("with padding read as text, all the same:", torch.equal(blind, together))

# %% [markdown] id="11-stopping-and-streaming"
# ## 11 · Stopping and streaming
#
# A model never stops by itself. Either it writes an id that was agreed to mean the end, or a *string* appears that we wait
# for. A string may begin in the middle of one token and end in the middle of another, so the joined text is searched, not
# the tokens.
#
# A stream shows tokens as they come. It can take nothing back, so it holds back two things: bytes that are not a whole
# character yet (notebook [Tokenization](01_tokenization.ipynb)), and an ending that may become the stop string.
#
# > **Predict.** The stop string is `:\n`, and the text so far ends with `:`. May the colon be shown?

# %% id="stop-stop-strings-n-decode-tokenizer"
stop = Stop(strings=(":\n",), decode=tokenizer.decode)
for text in ("if x", "if x:", "if x: y", "if x:\n    y"):
    print(f"{text!r:16} shown: {stop.shown(text)!r}")

# %% tags=["nbval-ignore-output"] id="pieces-stream-text-model-tokenizer-def"
pieces = stream_text(model, tokenizer, "def get", 30, Sampling(0.7, top_p=0.9),
                     stop_strings=("\n\n",), generator=seeded(2))  # fmt: skip
print("def get", end="")
for piece in pieces:
    print(piece, end="")

# %% [markdown] id="underneath-lies-stream-which-yields-ids"
# Underneath lies `stream`, which yields ids. `generate` only collects them, so the two cannot differ:

# %% id="settings-sampling-0-9-top-k"
settings = Sampling(0.9, top_k=50)
parts = stream(model, ids, 20, settings, generator=seeded(3))
whole = generate(model, ids, 20, settings, generator=seeded(3))
print("same ids:", torch.equal(torch.stack(list(parts), dim=1), whole))

# %% id="reveal-generation-stream"
reveal(generation.stream)

# %% [markdown] id="12-a-small-model-guesses-the"
# ## 12 · A small model guesses, the large one checks
#
# A pass over one token fetches all the weights. A pass over five fetches them once, too. So let a small, fast model write
# five tokens, and let the large one read all five at once: it says for each place what *it* would have written. This is
# **speculative decoding** (Leviathan et al. 2022, Chen et al. 2023).
#
# Greedy is easy: keep the drafts that agree, up to the first that does not. But when we draw, "agree" is a matter of
# probability. The draft model proposes token $x$ with probability $q(x)$, the large model would with $p(x)$. Keep it with
# probability
#
# $$\min\!\left(1, \frac{p(x)}{q(x)}\right)$$
#
# By hand: $q = 0.4$ and $p = 0.2$. The draft proposes the token twice as often as it should, so half of the proposals are
# kept: 0.4 · 0.5 = 0.2, as it should be. With $q = 0.2$ and $p = 0.4$ all are kept, and that is still too little: 0.2. What
# is missing comes from the rejected cases.
#
# > **Predict.** If the rule were turned round, $q/p$: which tokens would be kept too often?


# %% id="generation.accept"
@exercise("generation.accept")
def accepted_count(target, draft, uniform):
    """Return how many drafts are kept before the first rejection; all arguments are (k,)."""
    ...


# %% id="reveal-generation-accept"
reveal("generation.accept")

# %% [markdown] id="when-a-draft-is-rejected-another"
# Turned round, the rule would always keep what the draft proposes too often, and reject what it proposes too rarely: it
# makes the difference between the models larger.
#
# When a draft is rejected, another token is drawn in its place, from what the draft model proposes too rarely:
#
# $$p'(x) = \frac{\max(0,\; p(x) - q(x))}{\sum_y \max(0,\; p(y) - q(y))}$$

# %% id="p-torch-tensor-0-4-0"
p = torch.tensor([0.4, 0.3, 0.2, 0.1]).double()
q = torch.tensor([0.1, 0.2, 0.1, 0.6]).double()
print("kept in all:      ", rounded(torch.minimum(p, q)), "sum", rounded(torch.minimum(p, q).sum()))
print("drawn if rejected:", rounded(generation.residual_distribution(p, q)))

# %% id="show-figures-generation-kept-and-missing"
show(figures.generation.kept_and_missing(p, q, [" cat", " dog", " bird", " fish"]))

# %% [markdown] id="build-it-8"
# Blue and green together are exactly the large model's distribution. The proof is one line: a token is written with
# probability $\min(p, q)$ as a kept draft, and with $(1 - \sum \min(p, q)) \cdot p'$ as a replacement; the factor is the
# denominator of $p'$, and $\min(p, q) + \max(0, p - q) = p$.
#
# ### Build it


# %% id="generation.residual"
@exercise("generation.residual")
def residual_distribution(target, draft):
    """Return the distribution (V,) from which the replacement of a rejected draft is drawn."""
    ...


# %% id="reveal-generation-residual"
reveal("generation.residual")

# %% [markdown] id="checked-against-the-real-thing-4"
# ### Checked against the real thing
# Three thousand rounds with these two distributions. What is written should have the frequencies of $p$, although every token
# was proposed by $q$:

# %% id="darts-torch-rand-3000-3-generator"
darts = torch.rand(3000, 3, generator=seeded(4), dtype=torch.float64)
drafted = generation.draw(q.expand(3000, -1), darts[:, 0].contiguous())
target, draft = torch.stack((p, p)), q[None]
first = torch.stack(
    [generation.verify(drafted[i : i + 1], target, draft, darts[i, 1:])[0] for i in range(3000)]
)
frequencies = torch.bincount(first, minlength=4) / 3000
print("within 0.03 of p:", bool((frequencies - p).abs().max() < 0.03))
print("within 0.03 of q:", bool((frequencies - q).abs().max() < 0.03))

# %% [markdown] id="is-it-worth-it"
# ### Is it worth it?
# If each draft is kept with probability $a$, a round of $k$ drafts writes $1 + a + a^2 + \dots + a^k$ tokens on average. It
# costs one pass of the large model and $k$ of the small one.
#
# > **Predict.** Drafts are kept 7 times in 10 and cost a fifth of a pass each. Is $k = 12$ better than $k = 3$?

# %% id="explorers-generation-drafts"
explorers.generation.drafts()

# %% [markdown] id="our-model-has-no-small-sister"
# No: with $k = 12$ the drafts cost more than they bring, and $k = 3$ is the best. A long draft is rarely kept to its end.
#
# Our model has no small sister. Its own first two layers can serve as a draft: they cost half as much and were never trained
# to speak for themselves. The text must not change. Whether time is won is another question, and the answer is honest:

# %% id="small-generation-first-layers-model-2"
small = generation.first_layers(model, 2)
found = generation.speculative_generate(model, small, ids, 24, draft_tokens=3)
print("the text is that of the large model:", torch.equal(found.ids, generate(model, ids, 24)))
print("fewer passes than tokens:", found.passes < 24)

# %% tags=["nbval-ignore-output"] id="print-f-found-passes-passes-for"
print(f"{found.passes} passes for 24 tokens; {found.acceptance:.0%} of the drafts were kept")
print(f"by the formula {generation.speed_up(found.acceptance, 3, 0.5):.2f} times as fast")
alone = rate(lambda: generate(model, ids, 24), 24)
drafting = rate(lambda: generation.speculative_generate(model, small, ids, 24, draft_tokens=3), 24)
print(f"measured {drafting / alone:.2f} times as fast")

# %% [markdown] id="13-side-by-side-with-the"
# With a draft that costs half a pass nobody should expect a gain. Real pairs differ by a factor of ten and more in size, and
# were trained on the same text.
#
# ## 13 · Side by side with the library people use
#
# The course model is an ordinary checkpoint, so `transformers` loads the same files.

# %% id="transformers-logging-set-verbosity-error"
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
other = transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
print("the same vocabulary:", other.config.vocab_size == model.config.vocab_size)


# %% id="their-text"
def their_text(**settings):
    """Return what transformers writes behind the prompt."""
    settings = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, **settings}
    mask = torch.ones_like(ids)
    return other.generate(ids, attention_mask=mask, max_new_tokens=25, **settings)[
        :, ids.shape[1] :
    ]


print("greedy: ", torch.equal(generate(model, ids, 25), their_text()))
penalised = generate(model, ids, 25, Sampling(0.0, repetition_penalty=1.3))
print("penalty:", torch.equal(penalised, their_text(repetition_penalty=1.3)))
beams = generation.beam_search(model, ids, 25, num_beams=4).ids
print("4 beams:", torch.equal(beams, their_text(num_beams=4)))

# %% [markdown] id="drawn-texts-cannot-be-equal-since"
# Drawn texts cannot be equal, since each library throws its darts in its own way. Their *frequencies* must be, as far as
# chance allows. How far is that? Draw a thousand first tokens with each, and add up (found − expected)² / expected over the
# tokens that can come. From this sum the **chi-squared test** computes how often honest draws would be off by as much or
# more. Below one in a thousand we should not believe that the distribution is the expected one:

# %% id="settings-sampling-0-9-top-k-2"
settings = Sampling(0.9, top_k=8, top_p=0.9)
expected = generation.next_distribution(logits, ids, settings)[0].double()
ours = generation.choose(logits.expand(1000, -1), ids.expand(1000, -1), settings, seeded(5))
with torch.random.fork_rng():
    torch.manual_seed(5)
    drawn = other.generate(ids.expand(1000, -1), attention_mask=torch.ones(1000, ids.shape[1]).long(),
                           max_new_tokens=1, do_sample=True, temperature=0.9, top_k=8, top_p=0.9,
                           pad_token_id=0, eos_token_id=None)[:, -1]  # fmt: skip


# %% id="by-chance"
def by_chance(tokens, expected):
    """Return how often a thousand honest draws would be at least as far from expected."""
    counts, possible = torch.bincount(tokens, minlength=len(expected)), expected > 0
    if counts[~possible].any():
        return 0.0
    wanted = 1000 * expected[possible]
    off = ((counts[possible] - wanted) ** 2 / wanted).sum()
    return torch.special.gammaincc((possible.sum() - 1) / 2, off / 2).item()


warmer = generation.next_distribution(logits, ids, Sampling(1.0, top_k=8))[0].double()
for name, tokens in (("ours  ", ours), ("theirs", drawn)):
    print(f"{name} fit the distribution:", by_chance(tokens, expected) > 0.001)
print("ours fit that of temperature 1, without top-p:", by_chance(ours, warmer) > 0.001)

# %% [markdown] id="and-the-time-at-this-size"
# The last line shows that the test can fail. And the time? At this size, most of it goes into starting many small operations,
# and the rest into fetching matrices. Three steps save more and more of both, and none changes a word:
#
# - `prepare_to_write` leaves the model as you read it. PyTorch's kernels do a norm or an attention in one operation instead of
#   many, and each matrix is turned round in memory so that its longer side runs through it, which is fetched faster.
# - `FusedDecoder` holds the same weights in another arrangement: one matrix for queries, keys and values, one for gate and up,
#   norm weights multiplied in beforehand, and features ordered so that a rotation is one complex product (notebook [Positions and RoPE](06_rope.ipynb)).
# - `CompiledDecoder` lets `torch.compile` make a single program of a whole step. That takes a minute before the first token, so
#   it is not tried here.

# %% id="fused-generation-fuseddecoder-model"
prepared = copy.deepcopy(model).prepare_to_write()
fused = generation.FusedDecoder(model)
for other_way in (prepared, fused):
    print("the same text:", torch.equal(generate(other_way, ids, 40), generate(model, ids, 40)))

# %% tags=["nbval-ignore-output"] id="contestants"
contestants = {
    "transformers, generate": lambda: their_text(),
    "ours, as you read it": lambda: generate(model, ids, 25),
    "ours, prepared": lambda: generate(prepared, ids, 25),
    "ours, fused": lambda: generate(fused, ids, 25),
}
rates = {name: rate(run, 25) for name, run in contestants.items()}
for name, found in rates.items():
    print(
        f"{name:26} {found:7.0f} tokens per second, {found / rates['transformers, generate']:.1f} times theirs"
    )

# %% [markdown] id="14-claims-that-are-wrong"
# ## 14 · Claims that are wrong
#
# > *"A KV cache makes the cost of a token independent of the length of the text."*


# %% id="keys-read"
def keys_read(length):
    """Return how many keys one decoding step reads, in one layer and head."""
    cache = attention.KVCache(1, 1, length + 1, 4)
    cache.append(torch.zeros(1, 1, length, 4), torch.zeros(1, 1, length, 4))
    keys, _ = cache.append(torch.ones(1, 1, 1, 4), torch.ones(1, 1, 1, 4))
    return keys.shape[2]


for length in (10, 100, 1000):
    print(f"after {length:4} tokens a step reads {keys_read(length):4} keys")

# %% [markdown] id="what-no-longer-grows-is-the"
# What no longer grows is the number of tokens that pass through the layers. The keys that are *read* grow by one each step.
#
# > *"Temperature 0 is the same as a very small top-p: both take the best token."* That one is true. This one is not:
# > *"Greedy decoding gives the most likely text."*

# %% id="table-torch-tensor-0-6-0"
table = torch.tensor([[0.6, 0.4], [0.5, 0.5], [0.9, 0.1]])  # first token; second after 0; after 1
greedy_text = table[0].max() * table[1].max()
best_text = max(table[0, 0] * table[1].max(), table[0, 1] * table[2].max())
print(f"greedy: 0.6 · 0.5 = {greedy_text:.2f}, best: 0.4 · 0.9 = {best_text:.2f}")

# %% [markdown] id="setting-probabilities-to-0-after-softmax"
# > *"Setting probabilities to 0 after softmax is as good as setting scores to −∞ before."*

# %% id="p-torch-tensor-0-5-0"
p = torch.tensor([0.5, 0.3, 0.15, 0.05])
zeroed = p * (p >= 0.3)
print("zeroed after softmax:", rounded(zeroed, 2), "sum", rounded(zeroed.sum(), 2))
dart = torch.tensor([0.9]).double()
careless = int((zeroed.double().cumsum(0) <= dart).sum())
print("a dart at 0.9 falls on token", careless, "of 4 tokens numbered 0 to 3: behind the end")

# %% [markdown] id="recap"
# What is left does not add up to 1, and a dart may fall where nothing is. `torch.multinomial` shares out silently; your own
# loop, or a comparison of two distributions as in section 12, does not.
#
# ## Recap
#
# 1. Every filter takes scores and returns scores, with $-\infty$ for what must not come. One softmax at the end shares the
#    rest out. Temperature comes first, and it changes what top-p keeps.
# 2. Top-k keeps ties, top-p keeps the token that crosses the line, min-p measures by the best token, the repetition penalty
#    multiplies negative scores.
# 3. Beam search looks for a likely text, which is not always a good one; its length penalty rewards length.
# 4. With a cache each token passes through the layers once. What makes decoding slow is that every weight is fetched for every
#    token; batches and drafts share the fetching.
# 5. A draft is kept with $\min(1, p/q)$ and replaced from $\max(0, p - q)$: the text has the large model's distribution, whatever
#    the draft model is.
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
# - Wu et al. 2016, *Google's neural machine translation system*, arXiv:1609.08144 (beam search; its length
#   penalty has a slightly other form).
# - Pope et al. 2022, *Efficiently scaling transformer inference*, arXiv:2211.05102 (prefill and decode).
# - Leviathan, Kalman & Matias 2022, arXiv:2211.17192, and Chen et al. 2023, arXiv:2302.01318 (speculative decoding).
#
# **Next:** [Self-check](13_self_check.ipynb), where you find out what has stayed.
