# %% [markdown] id="16-serving"
# # 16 · Serving
#
# **How do thousands of users share one model?**
#
# In [Generation](12_generation.ipynb) one text at a time left most of the hardware idle: every weight was fetched for a single
# token. A server has many texts to write, of any length, from people who come and go as they like. In this notebook you build
# the parts of a real engine: a cache in blocks, a memory for prompts that begin in the same way, a scheduler, drafts, masks. Then
# you run the engine that is made of them, `course_lib.serving`, under load and as a server with OpenAI's HTTP API.
#
# After this notebook you can
# - predict how many requests a server holds and how many tokens per second it gives, from Little's law, the size of the cache
#   and the roofline;
# - build a block allocator with copy on write and attention through a block table, and say what sharing blocks saves and when it
#   would be wrong;
# - build a step of a scheduler and preemption, and explain static, continuous and chunked batching, drafts and masks.
#
# About 150 minutes. You need notebooks [Attention](05_attention.ipynb), [Counting parameters](09_parameter_counting.ipynb) and
# [Generation](12_generation.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/16_serving.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/16_serving.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/16_serving.ipynb).

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

# %% id="device-default-device"
import copy
import time
from functools import partial

import torch

from course_lib import serving
from course_lib.accounting.limits import DEVICES, Device
from course_lib.accounting.models import MODELS
from course_lib.device import default_device, seeded, synchronize
from course_lib.generation import Sampling, generate, residual_distribution
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.serving import BlockManager, Engine, Request, block_hashes, generate_all
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded

device = default_device()
model = copy.deepcopy(course_model()).to(device).prepare_to_write()
tokenizer = course_tokenizer()

# %% [markdown] id="1-what-users-feel-and-what"
# ## 1 · What users feel, and what limits it
#
# Two times matter to the user of a chat: the **time to first token**, from sending the question until something appears, and the
# **time per output token** after that. An operator counts **throughput**, the tokens per second of all users together, and
# **goodput**, the requests per second that stay within the promised times.
#
# The first thing to know is how many requests are in the server at once. **Little's law** says it without any detail of the
# server: whatever the order and the distributions, as long as no queue grows for ever,
#
# $$\text{requests in the system} = \text{arrivals per second} \times \text{mean seconds in it}$$
#
# > **Predict.** Six requests arrive per second. Each needs half a second to its first token and then 199 more tokens at 20
# > tokens per second. How many are in the server at the same time?

# %% id="seconds-0-5-199-20"
seconds = 0.5 + 199 / 20
print("seconds in the server:", round(seconds, 2))
print("requests in it:", round(serving.little_concurrency(6, seconds), 1))

# %% [markdown] id="build-it"
# A server that can hold only 40 of them finishes fewer requests per second than arrive, so its queue grows for ever. To see how
# many tokens per second a device can give, look at one step of decoding, as in
# [Counting parameters](09_parameter_counting.ipynb). It generates one token for each of $B$ requests. All weights are read
# **once**, the cache of **each** request is read, and each request needs its own FLOPs:
#
# $$\text{tokens per second} \le \frac{B}{\max\left(\dfrac{W + B \cdot K}{\text{bandwidth}},\ \dfrac{B \cdot F}{\text{peak}}\right)}$$
#
# with $W$ bytes of weights for all; $K$ bytes of cache and $F$ FLOPs for each request; the bandwidth in bytes and the peak in FLOPs
# per second. Reading and computing overlap, so the slower one decides. By hand: 90 bytes of weights, 10 of cache, 10 bytes
# per second and plenty of FLOPs. One request takes 10 seconds for a token. Two take 11 seconds for two: the second one is
# nearly free.
#
# ### Build it
#
# `rate` gets the `batch`, and for each step `weight_bytes` for all requests together, `cache_bytes` and `flops` for each request;
# `bandwidth` is in bytes per second, `peak` in FLOPs per second. `cache_bytes` may be 0. Return the tokens per second of the whole
# batch, a number.


# %% id="serving.rate"
@exercise("serving.rate")
def rate(batch, weight_bytes, cache_bytes, flops, bandwidth, peak):
    """Return the tokens per second of a batch, all requests together."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The course's own:

# %% id="reveal-serving-rate"
reveal("serving.rate")

# %% [markdown] id="play-with-it"
# ### Play with it
#
# A model of 8 billion parameters. Move the number of requests: on the left the total grows, on the right each request gets
# slower. Then make their texts longer. With long texts the caches outweigh the weights, and a larger batch no longer helps.
# (The picture does not ask whether the caches fit; section 2 does.)

# %% id="explorers-serving-roofline"
explorers.serving.roofline()

# %% [markdown] id="2-the-cache-in-blocks"
# ## 2 · The cache in blocks
#
# Memory for keys and values decides how many requests fit. The simplest server reserves room for the longest possible text for
# each request, since nobody knows how long the answer will be. Most of it stays empty.
#
# > **Predict.** Requests have between 20 and 400 tokens, the context length is 2 048. What fraction of the cache holds nothing?

# %% id="lengths-torch-randint-20-400-200"
lengths = torch.randint(20, 400, (200,), generator=seeded(0)).tolist()
whole = serving.unused_fraction(lengths, reserved=2048)
blocks = serving.unused_fraction(lengths, reserved=None, block_size=16)
print(f"unused if 2048 places are reserved: {whole:.0%}, in blocks of 16: {blocks:.0%}")

# %% [markdown] id="build-it-2"
# **PagedAttention** borrows paging from operating systems. The cache is cut into **blocks** of 16 tokens or so. A request has a
# **table**, the list of its blocks, and takes another block when the last one is full. At most one block per request is
# incomplete, and blocks need not be neighbours, so any free block is as good as any other.
#
# By hand, with blocks of 4: a text of 4 tokens has one block, the fifth token takes the second.
#
# ### Build it
#
# First the blocks of one request: how many blocks of `block_size` places hold `tokens` tokens, as a whole number. `tokens` may be
# 0 (no block); `block_size` is at least 1.


# %% id="serving.blocks"
@exercise("serving.blocks")
def blocks_needed(tokens, block_size):
    """Return how many blocks of block_size places hold this many tokens."""
    ...


# %% id="reveal-serving-blocks"
reveal("serving.blocks")

# %% [markdown] id="then-how-many-requests-a-cache"
# Then how many requests a cache holds. It has `cache_bytes` bytes; a block holds `block_size` tokens of `bytes_per_token` bytes
# each, and bytes that do not make up a whole block are not used. Every request has `tokens` tokens and whole blocks of its own. All
# arguments are whole numbers; `cache_bytes` may be 0, the others are at least 1. The answer may be 0.


# %% id="serving.requests"
@exercise("serving.requests")
def requests_that_fit(cache_bytes, bytes_per_token, tokens, block_size):
    """Return how many requests of this many tokens fit at the same time."""
    ...


# %% id="reveal-serving-requests"
reveal("serving.requests")

# %% [markdown] id="shared-blocks-and-copy-on-write"
# ### Shared blocks, and copy on write
#
# A block may belong to several tables. The manager counts how many, and a block is free when its count is 0. Several samples
# of one prompt share its blocks. The last one is not full: whoever writes into it first takes a copy, so that the others keep what
# they have. This is **copy on write**.

# %% id="manager-blockmanager-num-blocks-8-block"
manager = BlockManager(num_blocks=8, block_size=4)
first = []
manager.extend(first, 6)  # a prompt of six tokens: a full block and a half
second = manager.share(first)
print("two tables:", first, second, "held by", [manager.references[b] for b in first])
copies = manager.make_writable(second, 6, 7)  # the second one wants to write token 6
print("copied, from and to:", copies)
print("afterwards:", first, second, "held by", [manager.references[b] for b in first])
manager.release(first), manager.release(second)
print("all free again:", manager.free == 8)

# %% [markdown] id="build-the-allocator"
# ### Build it
#
# The allocator, for one more token. `tables` is a list with the table of each request, which is a list of block numbers in the
# order of its text; a block may be in several tables, at the same place in each. Request number `who` has `length` tokens in the
# cache, which fill its blocks in order (`tables[who]` has just the blocks that they need), and writes one more. The blocks of the
# cache are numbered from 0 to `num_blocks - 1`; a block that is in no table is free. Return the tables afterwards, as a new list of
# lists:
#
# - If all blocks of the request are full, or it has none, it takes one more.
# - If the token goes into a block that is in another table too, a free block takes its place in the writer's table, and only there.
# - Otherwise nothing changes.
#
# Take the free block with the lowest number. If a block is needed and none is free, nothing changes.


# %% id="serving.write"
@exercise("serving.write")
def write_one_token(tables, who, length, num_blocks, block_size):
    """Return the tables after request `who` has written one more token."""
    ...


# %% id="reveal-serving-write"
reveal("serving.write")

# %% [markdown] id="3-attention-through-a-block-table"
# ## 3 · Attention through a block table
#
# The keys of a request are now scattered. Token $t$ is in block `table[t // size]`, at place `t % size`. To attend, gather the
# blocks in the order of the table; what comes out is the text in its order, and attention is what it always was. Two things are
# easy to forget. The last block has places after the newest token, with whatever the last owner left there. And the position of
# a token, which RoPE needs, is its place in the *text*, not in the memory.
#
# ### Build it
#
# One query per head reads the text of its request. `q` is (heads, D); `keys` and `values` are the whole cache, (blocks, size,
# heads, D), with as many heads as `q`. `table` is a list of block numbers; `length` (at least 1) is the number of tokens in the
# cache, the newest included. The table may have more places than tokens, even whole blocks. Scores are q·k / √D, softmax runs
# over the `length` tokens, each head over its own keys. Scores may be in the hundreds. Return (heads, D).


# %% id="serving.read"
@exercise("serving.read")
def read(q, keys, values, table, length):
    """Return what the newest token reads (heads, D) through the table."""
    ...


# %% id="reveal-serving-read"
reveal("serving.read")

# %% [markdown] id="checked-against-the-real-thing"
# The library's function gathers whole batches of tables (`course_lib/serving/paged_attention.py`). For one request,
# `keys[table].flatten(0, 1)[:length]` does it.
#
# ### Checked against the real thing
#
# The library's runner computes the tokens of several requests in one pass: linear layers see one long row of tokens, and only
# attention looks at the tables. Two texts, in blocks that are mixed up on purpose, beside the model on each text alone. A
# `Row` is the new tokens, the place of the first one, and the table; `scored` asks for the logits of the last token only.

# %% id="texts-import-os-nimport-def-main"
texts = ["import os\nimport", "def main(argv):\n    return"]
rows = [tokenizer.encode(text) for text in texts]
tables = [[5, 0, 7, 3], [2, 6, 1, 4]]
runner = serving.PagedRunner(model, num_blocks=8, block_size=4)
parts = [serving.Row(ids, 0, table) for ids, table in zip(rows, tables, strict=True)]
together = runner.run(parts, scored=[1, 1])
with torch.inference_mode():
    for ids, logits in zip(rows, together, strict=True):
        alone = model(torch.tensor([ids], device=device)).logits[0, -1:]
        print("largest difference below 1e-3:", bool((logits - alone).abs().max() < 1e-3))

# %% [markdown] id="4-prompts-that-begin-in-the"
# ## 4 · Prompts that begin in the same way
#
# Most chats begin with the same system prompt, and every turn of a chat begins with all turns before it. Their keys have been
# computed before. A **prefix cache** keeps full blocks after their request has ended, until the memory is needed, and finds them
# again by a hash.
#
# > **Predict.** Two prompts are different in their first block and equal in the second. May the second block be used for both?

# %% id="ids-torch-tensor-tokenizer-encode-f"
ids = [torch.tensor([tokenizer.encode(f"{start} = 1\nprint(x)")], device=device) for start in "xy"]
with torch.inference_mode():
    hidden = [model(each, return_hidden=True).hidden_states for each in ids]
same = ids[0][0] == ids[1][0]
for layers in (0, 1, 4):  # 0 are the embeddings, 4 are all layers of this model
    gap = (hidden[0][layers] - hidden[1][layers])[0, same].abs().max()
    print(f"after {layers} layers: the stream of the equal tokens is the same: {bool(gap < 1e-4)}")

# %% [markdown] id="no-only-the-embeddings-are-equal"
# No. Only the embeddings are equal. After the first layer every token has read what came before, and its keys show it. So a
# block is the same only if the *whole* text up to it is. The hash of a block therefore includes the hash of the block before:
#
# $$h_i = H(h_{i-1},\ \text{tokens of block } i)$$

# %% id="a-b-block-hashes-1-2"
a, b = block_hashes([1, 2, 3, 4, 7, 8], 2), block_hashes([9, 9, 3, 4, 7, 8], 2)
print("equal hashes:", [x == y for x, y in zip(a, b, strict=True)])

# %% [markdown] id="build-it-3"
# ### Build it
#
# What a prompt can reuse. One more thing is easy to miss: if the whole prompt is in the cache, nothing is left to compute, and
# then there are no logits for the next token. The last token always passes through the model.
#
# `prompt` is a list of at least one id, `earlier` a list of such lists, perhaps empty. The cache keeps all full blocks of all of
# them. Return how many tokens at the start of `prompt` need not be computed: a multiple of `block_size`, in full blocks that an
# earlier prompt has at the same place after exactly the same tokens. A block that contains the last token of `prompt` never counts.


# %% id="serving.reusable"
@exercise("serving.reusable")
def reusable(prompt, earlier, block_size):
    """Return how many tokens of the prompt are found in the cache."""
    ...


# %% id="reveal-serving-reusable"
reveal("serving.reusable")

# %% [markdown] id="checked-against-the-real-thing-2"
# The hashes are chained in `course_lib/serving/prefix_hashes.py`.
#
# ### Checked against the real thing
#
# Twenty questions after one system prompt, with and without the prefix cache. The answers are the same; what passes through the
# model is not. (One chat after another, `max_running=1`, so that each finds what the earlier ones left.)

# %% id="system-tokenizer-encode-answer-with-a"
system = tokenizer.encode("# Answer with a line of Python, without a comment.\n" * 8)
questions = [tokenizer.encode(f"x{n} = {n} + {n * n}\n") for n in range(20)]
chats = [Request((*system, *question), 4) for question in questions]
answers = {}
for keep in (False, True):
    engine = Engine(model, num_blocks=512, keep_prefixes=keep, max_running=1, token_budget=512)
    answers[keep] = generate_all(engine, chats)
    print(f"keeping prefixes: {keep}, tokens through the model: {engine.statistics.computed}")
print("the same answers:", answers[True] == answers[False])

# %% [markdown] id="a-hash-may-collide-two-different"
# A hash may collide: two different blocks with one hash. A wrong block would make a wrong answer, without any error. So a hash
# only finds a candidate here, and its tokens and its predecessor are compared too. With a hash that is always the same (the
# second block then has the same hash as the first, so it is not remembered: a collision costs time, and never a wrong answer):

# %% id="colliding-blockmanager-8-2-hash-one"
colliding = BlockManager(8, 2, hash_one=lambda parent, tokens: b"always this one")
table = []
colliding.extend(table, 4)
colliding.remember(table, [1, 2, 3, 4])
print("found for another prompt:", colliding.match([3, 4, 1, 2, 5]))
print("found for the same one:", colliding.match([1, 2, 3, 4, 5]) == table[:1])

# %% [markdown] id="5-the-scheduler"
# ## 5 · The scheduler
#
# Who takes part in the next step? There are three answers.
#
# - **Static batching** starts a batch and waits until its last request has ended.
# - **Continuous batching** lets requests join and leave between steps. A new prompt is read in one step.
# - **Chunked prefill** adds a **token budget**: those who are generating come first, one token each, and prompts share what is
#   left, in pieces if need be.
#
# > **Predict.** A prompt of 70 tokens arrives while two others are generating, and a step takes 1 second plus 0.1 for each
# > token. How long do the others wait for their next token, if the prompt is read in one step?
#
# The next cell runs six requests through the scheduler: at 0 s prompts of 8 and 6 tokens that want 24 and 6 more, at 3 s the long
# prompt of 70 (5 more), at 4, 9 and 10 s short ones (5, 12 and 4; 10, 8 and 12 more). The budget is 16 tokens. The table shows the
# tokens per second, the longest wait for a first token, and the longest pause between two tokens of one request.

# %% id="print-policy-tokens-s-first-token"
from course_lib.chapters.serving.explorers import ARRIVALS
from course_lib.serving.simulation import simulate

print("policy      tokens/s   first token   longest pause")
for policy in ("static", "continuous", "chunked"):
    history = simulate(ARRIVALS, policy)
    wait = max(history.first_token(n) for n in range(len(ARRIVALS)))
    pause = max(history.longest_pause(n) for n in range(len(ARRIVALS)))
    print(f"{policy:10} {history.tokens_per_second():7.1f} {wait:12.1f} {pause:14.1f}")

# %% [markdown] id="build-it-4"
# Static batching makes new requests wait a long time. Continuous batching starts them with the next step, and everybody else pauses
# while the long prompt is read: $1 + 0.1 \cdot 72 = 8.2$ seconds for its 70 tokens and the other two. With chunks the pauses are
# short. They have a price: the long prompt, and whoever comes after it, waits longer for a first token. A larger budget shifts
# the balance.
#
# ### Build it
#
# The heart of the scheduler: how many tokens each running request gets in a step. `pending` is a list, in order of service: for
# each running request the tokens that have not passed through the model. 1 means that it is generating (a prompt with one token
# left counts as that); more is a prompt. `budget` is at least 1. First the generating requests get their token, in order; what is
# left goes to the prompts, in order, each as much as it needs or as is left. Return a list as long as `pending`, with 0 for those
# who wait. `pending` may be empty.


# %% id="serving.shares"
@exercise("serving.shares")
def shares(pending, budget):
    """Return how many tokens of each request this step computes."""
    ...


# %% id="reveal-serving-shares"
reveal("serving.shares")

# %% [markdown] id="play-with-it-2"
# The library's scheduler does the same, and takes the blocks for it. The whole of it can be read in a few minutes:
# `course_lib/serving/scheduler.py`.
#
# ### Play with it
#
# Requests as lanes (a tick marks an arrival), and on the right the blocks that they hold at the moment of the grey line,
# numbered by request. Compare the policies. Then change the budget (only `chunked` has one), and take blocks away: requests have
# to wait for room. With 24 blocks and the policy `continuous`, one of them even loses its blocks and reads its text again.

# %% id="explorers-serving-lanes"
explorers.serving.lanes()

# %% [markdown] id="when-the-blocks-run-out"
# ### When the blocks run out
#
# Blocks are taken when they are needed, so the server may accept more requests than it can finish at once. When a
# request needs a block and none is left, the running request that is last in order loses its blocks and waits again (**preemption
# by recomputation**); if that is the request itself, it keeps its blocks and pauses. The text of a preempted request is kept; keys
# and values follow from it. As long as every request fits into the cache alone, the first in order can always go on, so everything
# ends after finitely many steps.

# %% [markdown] id="build-preemption"
# ### Build it
#
# Who goes on? The running requests are in order of service, and all are generating. Request $i$ holds `held[i]` blocks, at least 1,
# none of them shared. `needs[i]` is 1 if its next token needs one more block, and 0 if its last block still has a place. `free`
# blocks are free. Serve the requests in order:
#
# - One that needs no block runs. One that needs a block takes a free one, and runs.
# - If none is free, the last request that still has its blocks loses all of them, and they are free. It is preempted, and not
#   served in this step. Repeat this until the request can take a block.
# - If the last one is the request itself, it keeps its blocks and pauses.
#
# By hand: `held` is `[3, 2, 1]`, `needs` is `[1, 1, 0]`, and nothing is free. The third one loses its block to the first. For the
# second nobody is left to take from, so it pauses. Return a list with `'runs'`, `'pauses'` or `'preempted'` for each request. The
# lists may be empty.


# %% id="serving.preempted"
@exercise("serving.preempted")
def preempted(held, needs, free):
    """Return what becomes of each running request in this step."""
    ...


# %% id="reveal-serving-preempted"
reveal("serving.preempted")

# %% [markdown] id="few-blocks-same-texts"
# In the engine, few blocks cost time but never change a text:

# %% id="prompts-import-os-n-def-main"
prompts = ["import os\n", "def main(argv):\n    ", "class Stack:\n    ", "for line in open("]
wanted = [Request(tuple(tokenizer.encode(text)), 40) for text in prompts]
plenty, tight = (
    Engine(model, num_blocks=64, block_size=4),
    Engine(model, num_blocks=14, block_size=4),
)
texts = generate_all(plenty, wanted)
print("the same texts with few blocks:", generate_all(tight, wanted) == texts)
print("preempted:", plenty.statistics.preemptions, "and", tight.statistics.preemptions, "times")
print("all blocks free again:", tight.blocks.free == 14)

# %% [markdown] id="6-everything-together"
# ## 6 · Everything together
#
# The engine plans a step, runs the model once, samples for each request with its own settings and its own random numbers, and
# reports. What a request gives must not depend on who shares its steps. That is the test of an engine, token for
# token (up to rounding, see section 11):

# %% id="settings-sampling-temperature-0-0-sampling"
settings = [Sampling(temperature=0.0), Sampling(), Sampling(temperature=0.7, top_p=0.9)]
mixed = [
    Request(tuple(tokenizer.encode(text)), 24, setting, seed=number)
    for number, (text, setting) in enumerate((t, s) for t in prompts for s in settings)
]
together = generate_all(Engine(model, num_blocks=40, token_budget=32), mixed)
equal = []
for request, tokens in zip(mixed, together, strict=True):
    ids = torch.tensor([request.prompt], device=device)
    drawn = generate(model, ids, 24, request.sampling, generator=seeded(request.seed))
    equal.append(drawn[0].tolist() == tokens)
print("texts:", len(equal), "the same as alone:", sum(equal))

# %% [markdown] id="7-drafts-from-the-text-itself"
# ## 7 · Drafts from the text itself
#
# In [Generation](12_generation.ipynb) a small model drafted. Code and forms repeat themselves so often that the text so far can
# do it: find the last place where the newest tokens occurred before, and guess what followed there. The model then checks the
# guess in one pass.
#
# Such a guess is a distribution with all its probability on one token: $q(\text{guess}) = 1$, so with $p$, the
# model's distribution, the probability $\min(1, p/q)$ of keeping it is $p(\text{guess})$. Keeping it with that probability, and
# sampling from the rest otherwise, is the same as sampling from $p$ and checking whether the sample is the guess. So the engine
# samples exactly as before, with the same random number, and goes on while the guesses agree. The text does not change at all. This
# is known as **prompt lookup** (Saxena 2023).
#
# ### Build it
# Find the last place before the end of `tokens`, a list of ids, where its last `n` tokens occur; the two places may overlap.
# Return what follows there, at most `count` tokens, as a list; fewer if the text ends before. It is empty if there is no such
# place, if the text is shorter than `n`, or if `count` is 0.


# %% id="serving.draft"
@exercise("serving.draft")
def draft(tokens, count, n):
    """Return at most count tokens that followed when the last n occurred before."""
    ...


# %% id="reveal-serving-draft"
reveal("serving.draft")

# %% [markdown] id="before-the-drafting-engine"
# The search itself is in `course_lib/serving/drafting.py`. The engine tries the last 3 tokens first, then 2, then 1, and guesses at
# most `draft_tokens`.

# %% id="for-tokens-in-0-4"
for tokens in (0, 4):
    engine = Engine(model, num_blocks=64, draft_tokens=tokens)
    drafted = generate_all(engine, wanted)
    stats = engine.statistics
    print(f"drafts of {tokens}: {stats.steps} steps, {stats.accepted} guesses kept of {stats.drafted},",
          "the same texts:", drafted == texts)  # fmt: skip

# %% [markdown] id="8-output-with-a-form"
# ## 8 · Structured output
#
# A program that reads the answer wants JSON, with certain fields. Asking politely helps; a mask makes it certain. A grammar
# says which characters may come next. A token is allowed if the grammar can follow all its characters, and everything else gets
# $-\infty$ before sampling.
#
# For a fixed form the grammar is an automaton: states, and for each state the characters that lead on. A number: after a minus
# sign there must be a digit, so the token `-1` is allowed at the start and `-.` is not.
#
# ### Build it
# `moves` is a dict: in state s, the character c leads to `moves[s, c]`; without that entry, c may not come. `tokens` is a list of
# texts of any length; each is tried from `state` on its own. Return a list of booleans, True for a token whose characters are all
# allowed, one after another. The empty token is allowed. From some states nothing may come.


# %% id="serving.allowed"
@exercise("serving.allowed")
def allowed(tokens, state, moves):
    """Return for each token whether it may come next."""
    ...


# %% id="reveal-serving-allowed"
reveal("serving.allowed")

# %% [markdown] id="json-nests-and-no-finite-list"
# (`TokenTree` and `JsonMask` in `course_lib/serving/json_mask.py` walk all tokens at once, since many begin with the same
# characters.) JSON nests, and no finite list of states can count open brackets. The library keeps a stack of what is still to
# come (`json_grammar.py`), and makes the rules from a JSON Schema. The course model knows nothing about people. It can still
# fill in the form:

# %% id="schema"
schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 8},
        "langs": {"type": "array", "items": {"enum": ["python", "c"]}, "maxItems": 2},
        "active": {"type": "boolean"},
    },
    "required": ["name", "langs", "active"],
}

# %% id="mask-serving-jsonmask-serving-schema-grammar"
import json

mask = serving.JsonMask(serving.schema_grammar(schema), serving.TokenTree.of(tokenizer))
form = Request(tuple(tokenizer.encode("person = ")), 60, Sampling(), seed=1, json=mask)
[filled] = generate_all(Engine(model, num_blocks=32), [form])
found = json.loads(tokenizer.decode(filled))
print("fields:", list(found))
print("their types:", [type(value).__name__ for value in found.values()])

# %% [markdown] id="9-the-server"
# ## 9 · The server
#
# `course serve` gives the engine OpenAI's HTTP API, so that any client of that API can talk to it; `course serve FOLDER`
# takes a checkpoint of yours. The engine works in a thread of its own; another one talks to the clients. A client that leaves
# frees its blocks, overload is answered with status 429, and a bad request with 400 and a text that names the field. Here it
# runs inside the notebook, and serves the small assistant that was rewarded for right sums in [Rewards](15_rewards.ipynb):

# %% id="loaded-course-lib-load-device-device"
import threading
import urllib.request

import uvicorn

import course_lib
from course_lib.assistant import stage_folder
from course_lib.serving.command import engine_for
from course_lib.serving.server import Service

loaded = course_lib.load(str(stage_folder("assistant-grpo")), device=device)
service = Service(loaded, engine_for(loaded, num_blocks=128), "assistant")
server = uvicorn.Server(uvicorn.Config(service.app, port=0, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.05)
address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


# %% id="ask"
def ask(path, **fields):
    """Send JSON to the server, and return its status and its answer."""
    data = json.dumps({"model": "assistant", **fields}).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


question = [{"role": "user", "content": "What is 417 + 386?"}]
status, answer = ask("/v1/chat/completions", messages=question, temperature=0)
print(status, answer["choices"][0]["message"], answer["usage"]["completion_tokens"], "tokens")
status, answer = ask("/v1/chat/completions", messages=question, temperature=-1)
print(status, answer["error"]["message"])

# %% [markdown] id="the-official-client-works-too-openai"
# The official client works too: `openai.OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")`. The page at `/` shows
# requests, blocks and steps as they happen, and `/metrics` is for Prometheus, a program that collects such numbers. In the next
# cell some of the free blocks are *kept*: they still hold keys of this chat, in case another prompt begins in the same way.

# %% id="metrics-urllib-request-urlopen-address-metrics"
metrics = urllib.request.urlopen(address + "/metrics").read().decode()
for line in metrics.splitlines():
    if line.startswith(("course_blocks", "course_requests_finished_total{", "course_steps")):
        print(line)
server.should_exit = True
thread.join()

# %% [markdown] id="10-what-it-costs"
# ## 10 · What it costs
#
# Predict before you measure. The formula of section 1 needs two numbers of this machine: how fast it multiplies, and how fast it
# reads. Both are measured here, roughly, with one matrix product and one long sum. (Each prompt has 4
# tokens and gets 33 more, so about 20 are in the cache on average.)


# %% id="seconds-of"
def seconds_of(action, repeat=5):
    """Return the shortest time of several runs."""
    times = []
    for _ in range(repeat):
        synchronize(device)
        begin = time.perf_counter()
        action()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times)


square, long = torch.randn(768, 768, device=device), torch.randn(2**24, device=device)
peak = 2 * 768**3 / seconds_of(lambda: square @ square)
bandwidth = long.nbytes / seconds_of(lambda: long.sum())
this_machine = Device("this machine", peak, bandwidth, 0)

# %% tags=["nbval-ignore-output"] id="print-f-peak-1e9-0f-gflops"
print(f"{peak / 1e9:.0f} GFLOPS, {bandwidth / 1e9:.0f} GB per second")
for batch in (1, 4, 16):
    requests = [Request((5, 6, 7, n), 33) for n in range(batch)]
    limit = serving.served_tokens_per_second(model.config, this_machine, batch, 20, "float32")
    measured = []
    for fused in (False, True):
        engine = Engine(model, num_blocks=256, fused=fused)
        spent = seconds_of(partial(generate_all, engine, requests), repeat=2)
        measured.append(f"{33 * batch / spent:6.0f}")
    print(f"{batch:2} requests: at most {limit:6.0f} tokens/s, measured", ", fused".join(measured))

# %% [markdown] id="the-limit-is-never-reached-for"
# The limit is never reached. For a model this small a step has many short operations, and starting them takes longer than what
# they compute. That is why the measured number grows with the batch even where the formula says that arithmetic is the limit.
# `fused=True` copies the weights into the layout of [Generation](12_generation.ipynb)'s `FusedDecoder`, which has fewer
# operations; `course serve` does so for small models. In a large model this overhead is a small part of a step, and the measured
# number comes closer to the limit.
#
# Planning costs something too. It is Python code that touches no tensor:

# %% tags=["nbval-ignore-output"] id="engine-engine-model-num-blocks-256"
engine = Engine(model, num_blocks=256)
for n in range(16):
    engine.add(Request((5, 6, 7, n), 60))
for _ in range(4):
    engine.step()
planning = seconds_of(lambda: engine.scheduler.plan())
step = seconds_of(engine.step)
print(f"planning takes {planning / step:.1%} of a step of 16 requests")

# %% [markdown] id="11-wrong-claims-refuted"
# ## 11 · Wrong claims, refuted
#
# **"Greedy decoding is deterministic."** The rule is; the numbers are not. Floating-point sums depend on their order, and the
# order depends on how many rows a product has. Where the logits of two tokens are nearly equal, that can decide. The engine's
# own tests compare texts in float64 for this reason.

# %% tags=["nbval-ignore-output"] id="ids-torch-randint-2048-64-24"
ids = torch.randint(2048, (64, 1), generator=seeded(0)).to(device)
with torch.inference_mode():
    many = model(ids).logits
    alone = torch.cat([model(row).logits for row in ids.split(1)])
differ = sum(not torch.equal(a, b) for a, b in zip(many, alone, strict=True))
print(f"logits that differ in some bit: {differ} of 64; most by {(many - alone).abs().max():.0e}")

# %% [markdown] id="a-larger-batch-is-always-better"
# **"A larger batch is always better."** For the operator's total, up to a point. A user who is being served
# gets each token later, although a user who is waiting may start sooner; and the caches must fit:

# %% id="card-config-devices-h100-sxm-models"
card, config = DEVICES["H100 SXM"], MODELS["Qwen3-8B"]
for batch in (1, 64, 512):
    total = serving.served_tokens_per_second(config, card, batch, 4096)
    print(f"{batch:4} requests: {total:7,.0f} tokens/s in all, {total / batch:5.0f} for each")
per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 2
print(
    "requests of 4096 tokens that fit into 60 GB:",
    serving.most_requests(60 * 10**9, per_token, 4096),
)

# %% [markdown] id="after-a-rejected-draft-simply-sample"
# **"After a rejected draft, simply sample from the model again."** Then what was kept as a draft is counted twice. The exact law
# of both rules, for three tokens:

# %% id="p-q-torch-tensor-0-5"
p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.1, 0.1, 0.8])
kept = torch.minimum(p, q)
again = kept + (1 - kept.sum()) * p
right = kept + (1 - kept.sum()) * residual_distribution(p, q)
print("sampled again:", rounded(again, 2), "distance from p:", rounded((again - p).abs().sum(), 2))
print(
    "from the residual:", rounded(right, 2), "distance from p:", rounded((right - p).abs().sum(), 2)
)

# %% [markdown] id="recap"
# ## Recap
#
# 1. Requests in the server = arrivals per second × seconds in it. Of the bytes and FLOPs of a step, a batch shares only the
#    reading of the weights.
# 2. A cache in blocks wastes less than a block per request; tables may share blocks as long as nobody writes into a shared one.
# 3. A block may be reused only after exactly the same text, and the last token of a prompt always passes through the model.
# 4. Requests join and leave between steps; those who generate come first, prompts fill the budget in chunks; whoever loses
#    blocks is computed again from its text.
# 5. Drafts and masks change how fast and in which form a text is written. What a request gives does not depend on the others,
#    up to rounding.
#
# ### Test yourself

# %% id="quiz-serving"
quiz("serving")

# %% [markdown] id="further-two-machines-and-memory-elsewhere"
# ## Further: two machines, and memory elsewhere
#
# Reading prompts needs arithmetic, generating needs bandwidth. Large services run the two on **separate machines** and send the
# keys over a network (DistServe, Splitwise); then no prompt disturbs anybody. Instead of computing a preempted request again, its
# blocks can be **swapped** to the CPU's memory. Which is faster follows from the roofline: recomputing 1 000 tokens of an 8-billion
# model takes about $2 \cdot 8 \cdot 10^9 \cdot 1000$ FLOPs, fetching them back moves their bytes over the bus.

# %% id="flops-moved-2-8e9-1000-1000"
flops, moved = 2 * 8e9 * 1000, 1000 * per_token
print(f"computed again: {1000 * flops / card.peak_flops:.0f} ms,",
      f"fetched at 50 GB per second: {1000 * moved / 50e9:.0f} ms")  # fmt: skip

# %% [markdown] id="papers"
# ### Papers
# - Little 1961, *A proof for the queuing formula L = λW*, doi:10.1287/opre.9.3.383.
# - Yu, Jeong, Kim, Kim & Chun 2022, *Orca: a distributed serving system for transformer-based generative models*, OSDI.
# - Kwon et al. 2023, *Efficient memory management for large language model serving with PagedAttention*, arXiv:2309.06180.
# - Zheng et al. 2023, *SGLang*, arXiv:2312.07104 (reuse of prefixes).
# - Agrawal et al. 2024, *Taming throughput-latency tradeoff in LLM inference with Sarathi-Serve*, arXiv:2403.02310 (chunks).
# - Zhong et al. 2024, *DistServe*, arXiv:2401.09670, and Patel et al. 2023, *Splitwise*, arXiv:2311.18677.
# - Willard & Louf 2023, *Efficient guided generation for large language models*, arXiv:2307.09702.
# - Leviathan, Kalman & Matias 2022, arXiv:2211.17192 (speculative decoding); Saxena 2023, *Prompt lookup decoding* (code on
#   GitHub).
#
# **Next:** fewer bits for each weight, which shorten every step that waits for memory.
