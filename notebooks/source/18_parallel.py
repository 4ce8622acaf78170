# %% [markdown] id="18-many-devices"
# # 18 · Many devices
#
# **How does a model train on a thousand devices?**
#
# Training a model of 8 billion parameters needs 128 GB for weights, gradients and optimizer state alone (section 4 counts them),
# and one device would take decades for its trillions of tokens (section 9 divides). So the work is spread: rows of the batch,
# layers, parts of layers, experts, pieces of a text. In this notebook you meet each of these ways, build the core of most of them,
# and each time check that many ranks compute what one would have.
#
# After this notebook you can
# - build the collectives that ranks talk with, and predict their bytes and their time;
# - spread data, gradients and optimizer state over ranks, and say what each stage of ZeRO saves and costs;
# - cut a model by its layers' width, by its depth, its experts and its text, and find the mistakes that make ranks disagree or wait
#   for ever;
# - choose a layout for a model and a cluster, and predict its memory and its step time.
#
# About 160 minutes. You need notebooks [Counting parameters](09_parameter_counting.ipynb),
# [Flash attention](10_flash_attention.ipynb) and [Training](11_training.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/18_parallel.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/18_parallel.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/18_parallel.ipynb).

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
from dataclasses import replace

import torch
from torch import nn

from course_lib import parallel
from course_lib.accounting.models import MODELS
from course_lib.device import default_device, seeded, seeded_draws
from course_lib.flash import join_parts
from course_lib.model import DecoderLM, ModelConfig
from course_lib.parallel import run_ranks
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded
from course_lib.training import AdamW, next_token_loss

device = default_device()

# %% [markdown] id="1-ranks-that-talk"
# ## 1 · Ranks that talk
#
# A **rank** is one copy of the program, and also its number, counted from 0. All ranks run the same code; only this number tells
# them apart. They share no memory: one rank learns what another knows only through a message.
#
# Here ranks are threads that take turns, so that everything fits into one notebook. `run_ranks` runs a function once for each
# rank and returns all results. The function gets its **communicator**, which has the rank's number, `comm.rank`, the number of
# ranks, `comm.size`, and the calls that send and receive:


# %% id="program"
def program(comm):
    x = torch.tensor([1.0 + comm.rank])
    return comm.all_reduce(x).item(), comm.all_reduce(x, "max").item()


print(run_ranks(program, 4))

# %% [markdown] id="an-all-reduce-gives-every-rank"
# An **all-reduce** gives every rank the sum over all ranks, or the maximum. A call that all ranks make together is a
# **collective**. The others in this notebook: **reduce-scatter** (rank $i$ gets the sum of everyone's chunk $i$), **all-gather**
# (everyone gets everything), **all-to-all** (rank $i$ gets chunk $i$ of everyone), **broadcast** (everyone gets one rank's tensor).
# All ranks must make the same calls in the same order.
#
# > **Predict.** Two ranks each send a tensor to the other, and then receive. `send` returns when its message has been received.
# > What happens?


# %% id="send-first"
def send_first(comm):
    comm.send(torch.ones(2), 1 - comm.rank)
    return comm.recv(torch.ones(2), 1 - comm.rank)


def different_calls(comm):
    x = torch.ones(3)
    return comm.all_reduce(x) if comm.rank == 0 else comm.all_gather(x)


for wrong in (send_first, different_calls):
    try:
        run_ranks(wrong, 2)
    except (parallel.DeadlockError, parallel.MismatchError) as error:
        print(error)

# %% [markdown] id="on-a-real-cluster-both-programs"
# On a real cluster such programs usually hang, without a message, until a timeout ends them. These ranks notice when none of them
# can go on, and say who waits for what. One more call sends and receives at the same time: `comm.exchange(x, to, source)` sends
# `x` to rank `to` and returns what rank `source` sends. It expects a tensor of the shape of `x`; if another shape is coming, give
# a tensor of that shape as `like`.

# %% [markdown] id="2-collectives-by-hand"
# ## 2 · Collectives by hand
#
# How do n ranks add up n tensors? All could send theirs to rank 0, which then has n − 1 times the traffic of any other. In a
# **ring** every rank works all the time. Each tensor is cut into n chunks, and each chunk travels once around the ring. At every
# stop the rank adds its own numbers.
#
# By hand, with three ranks. Chunk 0 starts at rank 1, goes to rank 2, which adds, and on to rank 0, which adds: rank 0 has the sum
# of all chunks 0. At the same time chunk 1 goes from rank 2 to 0 to 1, and chunk 2 from 0 to 1 to 2. After two steps every rank has
# one finished chunk: that is a reduce-scatter. Then the finished chunks go around once more, and are copied: an all-gather.
#
# > **Predict.** Each rank has M bytes. How many does it send in both rounds together, and how does this grow with the number of
# > ranks?
#
# ### Build it
#
# First the half that adds up. On each rank, `chunks` is a list of n tensors; chunk i has the same shape on all ranks, but
# different chunks may have different shapes. Return, on rank r, the sum over the ranks of their chunks r. Each rank sends n − 1
# messages: every chunk except chunk r once, with what has been added to it so far. With one rank nothing is sent. Do not change
# the inputs, and return a tensor of their dtype. The check runs your function on simulated ranks and counts messages and bytes.
# (In its report, `comm` is the number of ranks, and every other argument is a list with an entry for each rank.)


# %% id="parallel.reduce_scatter"
@exercise("parallel.reduce_scatter")
def ring_reduce_scatter(comm, chunks):
    """Return the sum over the ranks of the chunk with this rank's number."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The course's version:

# %% id="reveal-parallel-reduce-scatter"
reveal("parallel.reduce_scatter")

# %% [markdown] id="now-the-half-that-copies-each"
# Now the half that copies. Each rank has one tensor `x`, of one shape and dtype everywhere. Return, on every rank, the list of the
# tensors of all ranks, in the order of the ranks, its own included. Each rank sends n − 1 messages, each of the size of `x`.


# %% id="parallel.all_gather"
@exercise("parallel.all_gather")
def ring_all_gather(comm, x):
    """Return the tensors of all ranks, in the order of the ranks."""
    ...


# %% id="reveal-parallel-all-gather"
reveal("parallel.all_gather")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
#
# The library's ring is compared with sums in float64, and what each rank really sent, as (messages, bytes), with the formula. For
# a tensor of $M$ bytes each rank sends
#
# $$2 \cdot \frac{n-1}{n} \cdot M \text{ bytes in } 2 (n-1) \text{ steps.}$$

# %% id="given-torch-randn-8-24-generator"
given = torch.randn(8, 24, generator=seeded(0))


def ring(comm):
    total = parallel.ring_all_reduce(comm, given[comm.rank].to(device))
    return total.cpu(), comm.meter.messages, comm.meter.bytes


for n in (2, 4, 8):
    found = run_ranks(ring, n)
    exact = given[:n].double().sum(0)
    close = all((total - exact).abs().max() < 1e-5 for total, _, _ in found)
    formula = parallel.collective_traffic("all-reduce", 24 * 4, n)
    print(n, "ranks: right", close, "| sent", found[0][1:], "| formula", tuple(formula))

# %% [markdown] id="more-ranks-hardly-send-more-bytes"
# With more ranks, each sends hardly more bytes: never more than $2M$. Only the number of steps grows. The usual model of the time
# of a collective has two numbers: $\alpha$, the latency of a step in seconds, and $\beta$, the seconds per byte:
#
# $$\text{time} = \text{steps} \cdot \alpha + \text{bytes} \cdot \beta$$
#
# A **tree** needs only $2 \log_2 n$ steps, but sends the whole tensor in each. Recursive **halving** swaps halves, quarters and so
# on with ever nearer partners: few steps and few bytes. The number of ranks must be a power of two, and distant ranks need fast
# links too. Here are all three with 64 ranks, 10 microseconds per step and 50 GB per second:

# %% id="for-size-in-1e3-1e6-1e9"
kinds = {"ring": "all-reduce", "tree": "tree", "halving": "halving"}
for size in (1e3, 1e6, 1e9):
    seconds = {
        name: parallel.collective_traffic(kind, size, 64).seconds(10e-6, 50e9)
        for name, kind in kinds.items()
    }
    print(f"{size:13,.0f} bytes:", {kind: f"{1e3 * s:.3f} ms" for kind, s in seconds.items()})

# %% [markdown] id="play-with-it"
# With few bytes the number of steps decides, and the ring is slowest; with many bytes it is the tree.
#
# ### Play with it
#
# Go through the steps. Each box is a chunk, filled as far as its sum is complete; the number in it says how many ranks have been
# added. After n − 1 steps each rank has one full box.

# %% id="explorers-parallel-ring"
explorers.parallel.ring()

# %% [markdown] id="3-the-batch-in-pieces"
# ## 3 · The batch in pieces
#
# In **data parallelism** each rank has the whole model and computes its own rows of the batch. The gradient of a sum is the sum of
# the gradients, so an all-reduce is all that it takes. Afterwards every rank takes the same step, and the models stay equal.
#
# > **Predict.** Two ranks have rows of a batch. Rank 0's rows have 1 target with loss 1.0, rank 1's have 4 targets with loss 4.0
# > each. Each rank computes its mean, and the two are averaged. Is this the mean loss of the batch?

# %% id="losses-torch-tensor-1-0-torch"
losses = [torch.tensor([1.0]), torch.tensor([4.0, 4.0, 4.0, 4.0])]
print("mean of the means:", torch.stack([each.mean() for each in losses]).mean().item())
print("mean of the batch:", rounded(torch.cat(losses).mean()))

# %% [markdown] id="build-it"
# It would be with equal numbers of targets. In general each rank is weighted by its share of the targets:
#
# $$g = \sum_r \frac{t_r}{\sum_s t_s}\, g_r$$
#
# with $t_r$ targets on rank $r$ and $g_r$ the gradient of its mean loss.
#
# ### Build it
#
# `gradients` is a list of tensors on each rank, of the same shapes on all; `targets` is a whole number that may differ between
# ranks. It may be 0 on some (then their gradients have no weight), but not on all. Return the gradients of the mean over all
# targets of all ranks, a list in the same order. `comm.all_reduce(x)` takes a tensor and returns the sum over the ranks.


# %% id="parallel.average"
@exercise("parallel.average")
def average(comm, gradients, targets):
    """Return the gradients of the mean over the targets of all ranks."""
    ...


# %% id="reveal-parallel-average"
reveal("parallel.average")

# %% [markdown] id="checked-against-the-real-thing-2"
# One all-reduce for each tensor would be slow: a model has hundreds, many of them small, and each costs latency. So gradients
# travel in **buckets**, many tensors in one all-reduce. And there is no need to wait: the last layer's gradients are known first,
# and can be sent while the backward pass goes on. The library's `DataParallel` does both, with a hook on every parameter. It also
# copies rank 0's weights to all ranks, and handles parameters that are tied, frozen, or used on some ranks only.
#
# ### Checked against the real thing
#
# A small model (64 tokens, width 32, two blocks) on one process, and on three ranks with 2, 2 and 1 of five rows. Only rank 0 has
# the right weights at the start. `own_share` is the fraction $t_r / \sum_s t_s$ from above.

# %% id="config-modelconfig-64-32-48-2"
config = ModelConfig(64, 32, 48, 2, 4, 4, 8, 64, tie_word_embeddings=True)
with seeded_draws(0):
    model = DecoderLM(config).to(device)
ids = torch.randint(64, (5, 12), generator=seeded(1)).to(device)
next_token_loss(model(ids).logits, ids).backward()
wanted = {name: p.grad for name, p in model.named_parameters()}


# %% id="share-of"
def share_of(comm):
    rows = ids.tensor_split(comm.size)[comm.rank]
    return rows, parallel.own_share(comm, rows[:, 1:].numel())


def data_parallel(comm):
    mine = copy.deepcopy(model) if comm.rank == 0 else DecoderLM(config).to(device)
    mine.zero_grad()
    engine = parallel.DataParallel(mine, comm, bucket_bytes=20_000)
    rows, share = share_of(comm)
    engine.backward(next_token_loss(mine(rows).logits, rows), share)
    gap = max((p.grad - wanted[name]).abs().max() for name, p in mine.named_parameters())
    return bool(gap < 1e-6), len(engine.buckets)


print("equal to one process, and buckets:", run_ranks(data_parallel, 3))

# %% [markdown] id="when-a-batch-is-computed-in"
# When a batch is computed in several parts, gradients accumulate on each rank, and the sum over the ranks is needed only after
# the last part (all others call `engine.backward(loss, share, last=False)`). Clipping comes after it: the norm is that of the
# summed gradient.

# %% [markdown] id="4-the-model-in-pieces"
# ## 4 · The model in pieces
#
# So far every rank keeps the same weights, gradients and optimizer state. With Adam in mixed precision that is 2 + 2 + 12 bytes for
# each parameter (weight and gradient in bfloat16; master weight and two moments in float32), n times over. **ZeRO** cuts them into
# n **shards**, one for each rank, in three stages:
#
# | | sharded | bytes per parameter | traffic of a step |
# |---|---|---|---|
# | data parallel | nothing | 16 | 2 P |
# | ZeRO-1 | optimizer state | 4 + 12/n | 2 P |
# | ZeRO-2 | and gradients | 2 + 14/n | 2 P |
# | ZeRO-3 (FSDP) | and parameters | 16/n | 3 P |
#
# (P is the number of parameters. Traffic is what each rank sends, in numbers; all of it times (n − 1)/n.) The first two stages
# cost no extra traffic: an all-reduce is a reduce-scatter and an all-gather anyway. Between the two, each rank updates only its own
# shard, with the moments of that shard.
#
# ### Build it
#
# A step of SGD with momentum, where the momentum is sharded. `parameters` (P,) is one row, the same on all ranks; `gradient`
# (P,) is the rank's own; `rate` and `beta` are numbers. The row is padded with zeros at the end to n·S numbers, where S is P/n
# rounded up. Rank r's shard has the places r·S to (r + 1)·S − 1; `momentum` (S,) is that of its shard. With g the **mean** of
# the gradients over the ranks, `m = beta * m + g` and `p = p - rate * m`. Return the pair (all new parameters (P,), this rank's
# new momentum (S,)).
#
# `comm.reduce_scatter(chunks)` takes a list of n tensors and returns the sum of chunk r; `comm.all_gather(x)` returns the list of
# all ranks' tensors. Do not change the inputs. There may be more ranks than numbers. Make the padding where the parameters are
# (`parameters.new_zeros(k)` makes k zeros there), so that the function also runs on a GPU.


# %% id="parallel.shard"
@exercise("parallel.shard")
def sharded_step(comm, parameters, gradient, momentum, rate, beta):
    """Return the new parameters and this rank's new momentum."""
    ...


# %% id="reveal-parallel-shard"
reveal("parallel.shard")

# %% [markdown] id="build-it-2"
# ZeRO-3 shards the parameters as well. A layer's weight is gathered just before it is used and freed right after; the backward
# pass gathers it once more, hence 3 P.
#
# ### Build it
#
# The forward pass. On each rank `x` (N, inputs) holds its own rows of the batch; `shards` has, for each layer, this rank's shard of
# the weight, and `shapes` the weight's shape (outputs, inputs). The shards, in the order of the ranks, give the weight row by row,
# followed by zeros as padding. For each layer gather the weight with `comm.all_gather` and compute `x = relu(x @ weight.T)`, with
# relu after the last layer too. Return `x`. Only if each weight is freed before the next is gathered does this save memory; the
# check looks at the result alone.


# %% id="parallel.gather"
@exercise("parallel.gather")
def gathered_layers(comm, x, shards, shapes):
    """Return the output of the layers for this rank's rows."""
    ...


# %% id="reveal-parallel-gather"
reveal("parallel.gather")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
#
# The library's `FullyShard` works on any module: hooks gather the parameters of a block before it runs and give their memory back
# afterwards. The cell records how many bytes of whole parameters there are while each block runs. (`prefetch=False` lets every
# block wait for its own gather; `clip` returns the norm of the gradient, and with a limit of 1e9 it shortens nothing.)


# %% id="fully-sharded"
def fully_sharded(comm):
    mine, seen = copy.deepcopy(model), []
    mine.zero_grad()
    sharded = parallel.FullyShard(mine, comm, list(mine.blocks), prefetch=False)
    for block in mine.blocks:
        block.register_forward_pre_hook(lambda *_: seen.append(sharded.gathered_bytes()))
    rows, share = share_of(comm)
    sharded.backward(next_token_loss(mine(rows).logits, rows), share)
    kept = sum(p.nbytes for p in sharded.shards)
    return kept, max(seen), sharded.gathered_bytes(), rounded(sharded.clip(1e9), 4)


# %% id="norm-torch-stack-g-norm-for"
norm = torch.stack([g.norm() for g in wanted.values()]).norm()
print("whole model:", sum(p.nbytes for p in model.parameters()), "bytes; norm", rounded(norm, 4))
for kept, most, left, norm in run_ranks(fully_sharded, 4):
    print(f"keeps {kept}, whole while computing at most {most}, afterwards {left}; norm {norm}")

# %% [markdown] id="play-with-it-2"
# This model has only two blocks, and the embedding and the last norm stay gathered while either of them runs; so at most a little
# more than half of it is whole at a time. The norm of the gradient is the same as on one process. Each rank has a piece of the
# gradient: squares add up over the ranks, norms do not. If you forget this sum, nothing fails; training just goes differently.
#
# While a rank waits for a gather, it computes nothing. So with `prefetch`, the default, the gather of the next block is started
# before a block computes, and at most two blocks are whole at a time. `comm.meter.events` says what a rank starts and awaits: first
# the parameters outside all blocks, then the blocks, each in two parts, matrices and the rest:


# %% id="gathered-ahead"
def gathered_ahead(comm):
    mine, events = copy.deepcopy(model), comm.meter.events
    parallel.FullyShard(mine, comm, list(mine.blocks))
    for n, block in enumerate(mine.blocks):
        block.register_forward_pre_hook(lambda *_, n=n: events.append(f"COMPUTE BLOCK {n}"))
    mine(share_of(comm)[0])
    return events


print(*run_ranks(gathered_ahead, 4)[0], sep="\n")

# %% [markdown] id="play-with-it-zero"
# ### Play with it
#
# Memory of one device, without activations. Find a model size that needs ZeRO-3 on 8 devices, and the number of devices that a
# model of 70 billion parameters needs at least.

# %% id="explorers-parallel-memory"
explorers.parallel.memory()

# %% [markdown] id="5-a-layer-in-pieces"
# ## 5 · A layer in pieces
#
# Data parallelism needs at least one row for each rank, and every rank computes whole layers. **Tensor parallelism** cuts the
# layers themselves. Take the feed-forward layer
#
# $$y = \mathrm{relu}(x A^\top + a)\, B^\top + b$$
#
# and give each rank some of the hidden units: rows of $A$ and entries of $a$, and the matching columns of $B$. A hidden unit needs
# nothing from the others, so each rank computes everything up to relu alone (a **column-parallel** layer: the rank has columns of
# $A^\top$). The second product is a sum over hidden units, and each rank computes a part of it (a **row-parallel** layer: the rank
# has rows of $B^\top$). So a pair of matrices needs one all-reduce.
#
# > **Predict.** Every one of 4 ranks adds the bias $b$ to its part, and then the parts are summed. What comes out?
#
# ### Build it
#
# `x` (N, C) and `down_bias` (C,), which is $b$, are the same on all ranks; `up` (F, C), `up_bias` (F,) and `down` (C, F) are this
# rank's parts of $A$, $a$ and $B$, and F may differ between ranks. Return y (N, C), whole, on every rank.


# %% id="parallel.mlp"
@exercise("parallel.mlp")
def parallel_mlp(comm, x, up, up_bias, down, down_bias):
    """Return the layer's output, the same on every rank."""
    ...


# %% id="reveal-parallel-mlp"
reveal("parallel.mlp")

# %% [markdown] id="build-it-3"
# (Added on every rank before the sum, the bias is counted four times. Nothing fails, and training goes on, only differently.)
#
# Attention is cut in the same way, by heads: queries, keys and values are column-parallel, the output projection is row-parallel.
# In the backward pass the two swap roles: the input of a column-parallel layer was used by all ranks, so its gradient is summed.
# Embedding and output head are cut by tokens of the vocabulary. Then each rank has the logits $z_j$ of its own ids $j$ only, and
# the loss of a target $t$ can be computed without putting all logits together ($j \in r$: id $j$ is on rank $r$):
#
# $$-\log p_t = m + \log \sum_r \sum_{j \in r} e^{z_j - m} - z_t, \qquad m = \max_r \max_{j \in r} z_j$$
#
# ### Build it
#
# `logits` (N, V) are those of this rank's ids, which are `start` to `start` + V − 1; V may differ between ranks. `targets` (N,)
# are ids of the whole vocabulary, the same on all ranks; each is on exactly one rank. Return the mean cross-entropy over the N
# tokens, a tensor of shape (), on every rank. `comm.all_reduce(x, "max")` returns the maximum over the ranks. Logits may be in
# the hundreds, so $e^z$ alone overflows.


# %% id="parallel.loss"
@exercise("parallel.loss")
def vocab_loss(comm, logits, targets, start):
    """Return the mean cross-entropy of the targets."""
    ...


# %% id="reveal-parallel-loss"
reveal("parallel.loss")

# %% [markdown] id="checked-against-the-real-thing-4"
# ### Checked against the real thing
#
# The whole decoder on 2 and 4 ranks: its loss, one of its gradients and the parameters that a rank has. With `sequence=True` norms
# and the residual stream are cut by tokens too (**sequence parallelism**: each all-reduce becomes a reduce-scatter and an
# all-gather, and no rank keeps all activations).


# %% id="tensor-parallel"
def tensor_parallel(comm, sequence):
    part = parallel.SplitDecoder(model, comm, sequence)
    loss = part.loss(ids)
    loss.backward()
    up = part.model.blocks[0].mlp.up_proj.weight
    whole = wanted["model.layers.0.mlp.up_proj.weight"].chunk(comm.size)[comm.rank]
    own = sum(p.numel() for p in part.parameters())
    return rounded(loss, 4), bool((up.grad - whole).abs().max() < 1e-6), own


# %% id="print-one-process-rounded-next-token"
print("one process:", rounded(next_token_loss(model(ids).logits, ids), 4),
      sum(p.numel() for p in model.parameters()), "parameters")  # fmt: skip
for n, sequence in ((2, False), (4, False), (4, True)):
    found = run_ranks(lambda comm, s=sequence: tensor_parallel(comm, s), n)
    print(n, "ranks, sequence parallel:", sequence, "| loss, gradient right, parameters:", found[0])

# %% [markdown] id="tensor-parallelism-sends-activations-in-every"
# Tensor parallelism sends activations in every layer: two all-reduces forward and two backward, each of the whole residual stream.
# Counted, as what one more layer adds (the norms of queries and keys add a few bytes):


# %% id="bytes-of-loss"
def bytes_of_loss(comm, whole):
    part = parallel.SplitDecoder(whole, comm)
    before = comm.meter.bytes
    part.loss(ids).backward()
    return comm.meter.bytes - before


# %% id="deeper-decoderlm-replace-config-num-hidden"
deeper = DecoderLM(replace(config, num_hidden_layers=3)).to(device)
two, three = (run_ranks(lambda comm, m=m: bytes_of_loss(comm, m), 4)[0] for m in (model, deeper))
stream = ids.numel() * config.hidden_size * 4  # bytes
formula = 4 * parallel.collective_traffic("all-reduce", stream, 4).bytes
print(f"one more layer sends {three - two:,} bytes, four all-reduces of the stream {formula:,.0f}")

# %% [markdown] id="everybody-waits-for-these-messages-which"
# Everybody waits for these messages, which is why tensor parallelism stays inside one machine, where links are fastest. The number
# of heads must be a multiple of the number of ranks:

# %% id="try"
try:
    run_ranks(lambda comm: parallel.SplitDecoder(model, comm), 3)
except ValueError as error:
    print(error, error.__notes__)

# %% [markdown] id="6-the-depth-in-pieces"
# ## 6 · The depth in pieces
#
# In a **pipeline** each rank has some of the layers, a **stage**. Activations go from stage to stage, gradients come back. If the
# batch went through whole, only one stage at a time would work, so it is cut into m **microbatches**. At the start and at the end
# some of the p stages are still idle: this **bubble** is
#
# $$\frac{p-1}{m+p-1}$$
#
# of the time. **GPipe** runs all forward passes first, then all backward passes, and keeps m microbatches of activations. **1F1B**
# takes as long and keeps at most p: each stage goes backward as soon as it can.
#
# By hand, with stages 0 and 1 and two microbatches, where F0 is the forward and B0 the backward pass of microbatch 0: stage 1 does
# F0 B0 F1 B1. Stage 0 does F0, then F1 while stage 1 has microbatch 0, and only then B0: F0 F1 B0 B1.
#
# ### Build it
#
# Return the order of one stage under 1F1B, a list of pairs `("F", i)` and `("B", i)`. `stage` counts from 0 to `stages` − 1;
# `microbatches` is at least 1. First come `stages` − 1 − `stage` forward passes, or all if there are fewer. Then, as long as
# there are forward passes left, one forward and one backward in turn. Then the backward passes that are left. Both kinds are
# numbered from 0 up.


# %% id="parallel.order"
@exercise("parallel.order")
def one_f_one_b(stage, stages, microbatches):
    """Return the order of a stage's passes, a list of pairs."""
    ...


# %% id="reveal-parallel-order"
reveal("parallel.order")

# %% [markdown] id="play-with-it-3"
# ### Play with it
#
# Change the schedule: the time stays the same, but the number of microbatches that stage 0 must keep does not. Then change the
# number of microbatches.

# %% id="explorers-parallel-pipeline"
explorers.parallel.pipeline()

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing
#
# Five layers in three stages, four microbatches, both schedules; one process on the whole batch is the reference.

# %% id="with-seeded-draws-2"
with seeded_draws(2):
    layers = [nn.Sequential(nn.Linear(6, 6), nn.Tanh()).to(device) for _ in range(5)]
x, y = (torch.randn(8, 6, generator=seeded(n)).to(device) for n in (3, 4))
whole = nn.Sequential(*copy.deepcopy(layers))
(whole(x) - y).square().mean().backward()
gradients = [p.grad for p in whole.parameters()]


# %% id="pipelined"
def pipelined(comm, schedule):
    stage = parallel.cut_into_stages(copy.deepcopy(layers), comm.size)[comm.rank]
    order = parallel.ORDERS[schedule](comm.rank, comm.size, 4)
    targets = y.chunk(4)
    run = parallel.run_pipeline(
        comm, stage, x.chunk(4), lambda out, i: (out - targets[i]).square().mean() / 4, order, x[:2]
    )
    return [p.grad for p in stage.parameters()], run.most_kept


# %% id="for-schedule-in-parallel-orders"
for schedule in parallel.ORDERS:
    stages = run_ranks(lambda comm, s=schedule: pipelined(comm, s), 3)
    found = [gradient for grads, _ in stages for gradient in grads]
    gap = max((a - b).abs().max() for a, b in zip(found, gradients, strict=True))
    most = [kept for _, kept in stages]
    print(schedule, "right:", bool(gap < 1e-6), "| microbatches kept:", most)

# %% [markdown] id="a-schedule-is-easy-to-get"
# A schedule is easy to get wrong. If the first stage goes backward before it has sent the next microbatch, and the last one
# runs its forward passes first, each waits for the other:

# %% id="eager-patient-f-0-b-0"
eager, patient = [("F", 0), ("B", 0), ("F", 1), ("B", 1)], [("F", 0), ("F", 1), ("B", 0), ("B", 1)]
try:
    parallel.timeline([eager, patient])
except parallel.DeadlockError as error:
    print(error)

# %% [markdown] id="7-texts-and-experts-in-pieces"
# ## 7 · Texts and experts in pieces
#
# The activations of a text of a million tokens do not fit into one device, even at batch size 1. **Context parallelism** cuts it
# over the ranks. Everything in a block works on single tokens, except attention: a query needs the keys of all tokens before it.
# In **ring attention** keys and values travel around the ring, while every rank attends to the piece it has. From [Flash
# attention](10_flash_attention.ipynb) you know how to put parts together: `join_parts(outputs, lses)` takes the outputs (P, T, D)
# over P parts of the keys and their logsumexps (P, T), and returns output and logsumexp over all keys.
#
# ### Build it
#
# Rank r has tokens r·T to (r + 1)·T − 1, and their `q`, `k` and `v`, each (T, D); T is the same on all ranks. Return causal
# attention (T, D) of this rank's queries over the whole text: token i reads the tokens up to i, itself included, and scores are
# q·k / √D. Do not change the inputs. If keys and values move on to rank r + 1 after each step, then in step s = 0, 1, ... rank r
# has those of rank (r − s) mod n.


# %% id="parallel.ring"
@exercise("parallel.ring")
def ring_attention(comm, q, k, v):
    """Return causal attention of this rank's queries over the whole text."""
    ...


# %% id="reveal-parallel-ring"
reveal("parallel.ring")

# %% [markdown] id="with-a-causal-mask-and-pieces"
# With a causal mask and pieces in order, the last rank has by far the most pairs of query and key, and the others wait for it. So
# real systems cut the text into 2n pieces and give each rank one from the start and one from the end (**zigzag**). For a text of 64
# tokens on 4 ranks:

# %% id="for-cut-in-parallel-contiguous-positions"
for cut in (parallel.contiguous_positions, parallel.zigzag_positions):
    pairs = [parallel.causal_pairs(cut(64, rank, 4)) for rank in range(4)]
    print(cut.__name__, "pairs on each rank:", pairs)

# %% [markdown] id="the-library-s-version-takes-any"
# The library's version takes any cut, any number of heads, and has a backward pass, in which the gradients of keys and values
# travel around the ring in the opposite direction:

# %% id="q-k-v-torch-randn-1"
q, k, v = (torch.randn(1, 4, 16, 8, generator=seeded(n)).to(device) for n in (5, 6, 7))
exact = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


def zigzag(comm):
    places = parallel.zigzag_positions(16, comm.rank, comm.size).to(device)
    own = [each[:, :, places] for each in (q, k, v)]
    read = parallel.ring_attention(comm, *own, positions=places)
    return bool((read - exact[:, :, places]).abs().max() < 1e-5)


print("ring attention equals attention:", run_ranks(zigzag, 4))

# %% [markdown] id="expert-parallelism-gives-each-rank-some"
# **Expert parallelism** gives each rank some experts of a mixture of experts. A token goes to the ranks of its experts by an
# all-to-all, and the results come back by another one:

# %% id="with-seeded-draws-8"
from course_lib.experts import SparseMoE

with seeded_draws(8):
    mixture = SparseMoE(16, 12, num_experts=8, k=2).to(device)
tokens = torch.randn(24, 16, generator=seeded(9)).to(device)


def expert_parallel(comm):
    own = parallel.ExpertParallel(copy.deepcopy(mixture), comm)
    rows = own(tokens.chunk(comm.size)[comm.rank])
    gap = (rows - mixture(tokens).chunk(comm.size)[comm.rank]).abs().max()
    return bool(gap < 1e-5), len(own.down_proj)


print("right, and experts on the rank:", run_ranks(expert_parallel, 4))

# %% [markdown] id="8-less-memory-shorter-numbers"
# ## 8 · Less memory, shorter numbers
#
# **Activation checkpointing** keeps only the input of a block, and computes the rest again in the backward pass. A forward pass
# takes one unit of FLOPs, a backward pass two; with the second forward pass it is 4 in place of 3, a third more. What it saves:

# %% id="large-models-qwen3-8b"
from course_lib.parallel.layout import numbers_per_token

large = MODELS["Qwen3-8B"]
print(f"a layer of Qwen3-8B keeps {numbers_per_token(large):,} numbers for each token;",
      f"its input alone is {large.hidden_size:,}")  # fmt: skip

# %% [markdown] id="one-thing-must-be-restored-for"
# One thing must be restored for the second pass. Guess which, and see what happens without it:

# %% id="with-seeded-draws-10"
with seeded_draws(10):
    block = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 1))
rows = torch.randn(4, 8, generator=seeded(11), requires_grad=True)


def first_gradient(run):
    block.zero_grad()
    with seeded_draws(12):
        run(rows).sum().backward()
    return block[0].weight.grad.clone()


# %% id="kept-first-gradient-block"
kept = first_gradient(block)
for restore in (True, False):
    again = first_gradient(lambda x, r=restore: parallel.recompute(block, x, restore_random=r))
    print("random state restored:", restore, "| the same gradient:", torch.equal(kept, again))

# %% [markdown] id="with-another-dropout-mask-the-gradient"
# With another dropout mask the gradient belongs to a different function, and nothing warns you.
#
# **Half precision.** The smallest positive number of float16 is 6·10⁻⁸, and many gradients are smaller. A **loss scaler**
# multiplies the loss, and so all gradients, by a large number, and divides the gradients by it before the step. If a scaled
# gradient is infinite, the step is skipped and the scale halved. On several ranks this has to be decided together: one rank that
# skips alone has different weights from then on.

# %% id="small-torch-tensor-3e-8-1e"
small = torch.tensor([1e-9, 1e-8, 1e-6, 1e-3])
for dtype in (torch.float16, torch.bfloat16):
    plain = small.to(dtype).float()
    scaled = (small * 2.0**16).to(dtype).float() / 2.0**16
    lost = [int((each == 0).sum()) for each in (plain, scaled)]
    print(f"{dtype!s:15} rounded to 0: {lost[0]} of {len(small)}, with a scaler {lost[1]}")

# %% [markdown] id="the-order-of-the-steps-matters"
# The order of the steps matters: unscale, then clip, then step. If scaled gradients are clipped to norm 1, even small ones are
# shortened:

# %% id="scale-gradient-2-0-16-torch"
scale, gradient = 2.0**16, torch.tensor([0.3, 0.4])  # its norm is 0.5: nothing to clip
clipped_first = gradient * scale * (1 / (gradient * scale).norm()).clamp(max=1) / scale
print("unscaled, then clipped:", rounded(gradient.norm()))
print("clipped, then unscaled:", rounded(clipped_first.norm(), 6))

# %% [markdown] id="9-planning-a-cluster"
# ## 9 · Planning a cluster
#
# How long would one device train a model of 8 billion parameters on 15 trillion tokens, at 6 FLOPs for each parameter and token?

# %% id="h100-parallel-cluster-device"
h100 = parallel.Cluster().device
years = 6 * 8e9 * 15e12 / (0.55 * h100.peak_flops) / (365 * 86400)
print(f"one H100 at 55 % of its peak takes {years:.0f} years")

# %% [markdown] id="build-it-4"
# So there will be many devices. Which combination suits which model? The rules of thumb: tensor parallelism inside a machine, a
# pipeline between machines if the model still does not fit, and data parallelism for the rest, with the lowest stage of ZeRO that
# fits.
#
# ### Build it
#
# Which stage is that? A model of `parameters` parameters is trained on `devices` devices with `memory` bytes each. A parameter
# takes 2 bytes, its gradient 2, its optimizer state 12, sharded as in the table of section 4. In every stage, each device also
# needs `activations` bytes, which are not sharded. Return the smallest stage, 0 to 3, whose bytes are at most `memory`, or
# `None` if none fits. Do not round: fractions of bytes count.


# %% id="parallel.stage"
@exercise("parallel.stage")
def least_stage(parameters, devices, memory, activations):
    """Return the smallest ZeRO stage that fits, or None."""
    ...


# %% id="reveal-parallel-stage"
reveal("parallel.stage")

# %% [markdown] id="the-library-s-planner-goes-through"
# The library's planner goes through many layouts: the number of devices for data (dp), tensor (tp, with sequence parallelism,
# sp), pipeline (pp) and expert parallelism (ep), the stage of ZeRO, the sequences in a microbatch, with and without
# recomputation. It predicts memory and step time for each, from the formulas of this notebook and the FLOPs of [Counting
# parameters](09_parameter_counting.ipynb). (`course_lib/parallel/layout.py` lists its assumptions; the main one is that matrix
# products reach 55 % of the peak. The test `tests/parallel/test_measured_memory.py` compares the memory with what processes
# allocate, in twelve layouts: they agree within 5 %.) The fastest that fit come first; of layouts that are equally fast, the one
# with less memory. Here for 64 H100, and a batch of 512 sequences of 4,096 tokens:

# %% id="best-parallel-plan-models-qwen3-8b"
best = parallel.plan(MODELS["Qwen3-8B"], parallel.Cluster(devices=64), parallel.Batch(512, 4096))
for each in best[:3]:
    print(f"{each.layout}: {each.memory.total / 1e9:.0f} GB, {each.time.total:.2f} s per step,",
          f"{each.utilisation:.0%} of the peak")  # fmt: skip

# %% [markdown] id="play-with-it-4"
# ### Play with it
#
# Four models on 8 to 4,096 H100, always with 4,096 sequences of 4,096 tokens in a step. A bar is the time of a step: computing,
# the pipeline's bubble, and the messages of each kind of parallelism. On few devices memory decides, on many the network and the
# bubble do. From which number on is it no longer worth adding devices?

# %% id="explorers-parallel-planner"
explorers.parallel.planner()

# %% [markdown] id="checked-against-the-real-thing-6"
# ### Checked against the real thing
#
# Throughputs that were published, and what the planner says about the same layouts: Llama 3 405B (H100; Llama team 2024, table 4)
# and GPT models on A100 (Narayanan et al. 2021, table 1, which counts recomputation as work). The efficiency of 55 % was chosen to
# suit these rows. Some settings are assumed because the tables do not give them, such as the size of a microbatch
# (`course_lib/chapters/parallel/published.py` has them all); the rest is computed.

# %% id="for-row-in-published"
from course_lib.chapters.parallel.published import PUBLISHED, predicted_share

for row in PUBLISHED:
    share = predicted_share(row)
    print(f"{row.name:24} published {row.share:.1%}, predicted {share:.1%},",
          f"error {share / row.share - 1:+.0%}")  # fmt: skip

# %% [markdown] id="and-a-prediction-without-a-published"
# And a prediction with nothing to compare it with: Llama 3 70B on 512 H100, with 512 sequences of 8,192 tokens in a step, about 4
# million tokens.

# %% id="large-parallel-plan-models-llama-3"
cluster, batch = parallel.Cluster(devices=512), parallel.Batch(512, 8192)
best = parallel.plan(MODELS["Llama-3-70B"], cluster, batch)[0]
print(best.layout, f"| {best.time.total:.1f} s per step, {best.utilisation:.0%} of the peak,",
      f"{best.memory.total / 1e9:.0f} GB")  # fmt: skip
days = 15e12 / (512 * 8192) * best.time.total / 86400
print(f"15 trillion tokens would take {days:,.0f} days")

# %% [markdown] id="10-real-processes"
# ## 10 · Real processes
#
# Nothing in these programs depends on the ranks being threads. `run_processes` runs the same functions in processes that are
# connected by PyTorch's own torch.distributed (here with its CPU backend, gloo). Where processes cannot be forked, or a GPU is in
# use, this cell stays with threads:

# %% id="run-somewhere-run-processes-if-can"
from course_lib.parallel.processes import can_fork, run_processes

run_somewhere = run_processes if can_fork() else run_ranks
print("sums:", run_somewhere(program, 2))
print("equal to one process, and buckets:", run_somewhere(data_parallel, 2))

# %% [markdown] id="for-a-training-of-your-own"
# For your own training run, the launcher `torchrun` starts the ranks, on one machine or many:
#
#     torchrun --nproc-per-node 2 -m course_lib train --recipe quick --parallel dp=2,zero=1
#
# It is the recipe of [Training](11_training.ipynb), on two processes. What `--parallel` takes, with commas between:
#
# | | |
# |---|---|
# | `dp=N` | N ranks (or groups of ranks) with rows of the batch |
# | `tp=N` | layers in N pieces; with `sequence=1` also the tokens between them |
# | `pp=N` | N stages of a pipeline, with `schedule=1f1b` or `gpipe` |
# | `cp=N` | texts in N pieces, with ring attention |
# | `ep=N` | experts on N of the `dp` ranks, for models that have some |
# | `zero=1` to `3` | the stage of ZeRO; 0 or 1 in a pipeline |
# | `microbatches=N` | the parts in which a rank computes its rows |
# | `recompute=1` | of each layer only the input is kept; the backward pass computes the rest again |
# | `loss_scale=N` | losses are scaled, by N at first; products in 16 bits are then in float16 |
#
# The number of ranks is dp · tp · pp · cp. Most of these may be combined; what may not raises an error that says why. Every rank
# writes its part of a checkpoint; a later run may have more or fewer ranks or a different layout, and a run of one process can be
# continued by many. If a rank dies, the others end, and the message names it. If ranks make different calls, they compute with
# wrong numbers or wait until the time limit; with `TORCH_DISTRIBUTED_DEBUG=DETAIL` in the environment PyTorch compares the calls
# first, and names them.

# %% [markdown] id="11-what-it-costs"
# ## 11 · What it costs
#
# The bytes that a rank sends in one step of the small model, counted by `comm.meter`, beside the formulas of section 4. Numbers are
# float32 here, so each of the P numbers is 4 bytes; what is sent also contains a little padding.


# %% id="bytes-of-step"
def bytes_of_step(comm, stage):
    mine = copy.deepcopy(model)
    mine.zero_grad()
    rows, share = share_of(comm)
    if stage == 3:
        engine = parallel.FullyShard(mine, comm, list(mine.blocks))
    elif stage:
        engine = parallel.ShardedOptimizer([{"params": [*mine.parameters()]}], comm, AdamW, stage)
    else:
        engine = parallel.DataParallel(mine, comm)
    before = comm.meter.bytes
    engine.backward(next_token_loss(mine(rows).logits, rows), share)
    if stage in (1, 2):
        engine.step()
    return comm.meter.bytes - before


# %% id="p-sum-p-numel-for-p"
P = sum(p.numel() for p in model.parameters())
for stage in range(4):
    sent = run_ranks(lambda comm, s=stage: bytes_of_step(comm, s), 4)[0]
    formula = parallel.zero_traffic(P, 4, stage, number_bytes=4)
    print(f"stage {stage}: sent {sent:,}, formula {formula:,.0f}, ratio {sent / formula:.3f}")

# %% [markdown] id="and-time-four-ranks-that-take"
# Stage 3 sends a little less than 3 P: the embedding, a tenth of this tiny model, is used first and last, so it stays in memory
# from the forward to the backward pass and is gathered only once. In stage 0 each bucket also says which parameters were used.
#
# And time? Four ranks that take turns on one machine are slower than one, not faster: here they prove that the result is right.

# %% tags=["nbval-ignore-output"] id="begin-time-perf-counter"
begin = time.perf_counter()
for _ in range(5):
    next_token_loss(model(ids).logits, ids).backward()
alone = time.perf_counter() - begin
begin = time.perf_counter()
for _ in range(5):
    run_ranks(data_parallel, 4)
print(f"four simulated ranks take {(time.perf_counter() - begin) / alone:.0f} times as long as one")

# %% [markdown] id="12-wrong-claims-refuted"
# ## 12 · Wrong claims, refuted
#
# **"The mean of the ranks' losses is the batch's loss."** Only with equal numbers of targets; section 3 had 2.5 against 3.4.
#
# **"ZeRO-3 is free."** It moves half as much again, and with several microbatches it gathers the parameters again in each.
# With one microbatch:

# %% id="for-stage-in-1-3"
for stage in (1, 3):
    gigabytes = parallel.zero_traffic(8e9, 64, stage) / 1e9
    print(f"8 billion parameters, 64 ranks, stage {stage}: each sends {gigabytes:.1f} GB per step")

# %% [markdown] id="bfloat16-needs-a-loss-scaler-section"
# **"bfloat16 needs a loss scaler."** In section 8 nothing was rounded to 0 in it: it has the exponents of float32, and so the same
# smallest normal number.

# %% id="for-dtype-in-torch-float16-torch"
for dtype in (torch.float16, torch.bfloat16, torch.float32):
    print(f"{dtype!s:15} smallest normal number {torch.finfo(dtype).tiny:.1e}")

# %% [markdown] id="gloo-cannot-reduce-scatter-it-can"
# **"gloo cannot reduce-scatter."** It can. This cell tries it where processes can be forked, and elsewhere on simulated ranks:


# %% id="scattered"
def scattered(comm):
    chunks = list(torch.arange(4.0).add(comm.rank).chunk(comm.size))
    return comm.reduce_scatter(chunks).tolist()


print(run_somewhere(scattered, 2))

# %% [markdown] id="with-a-synchronized-seed-dropout-may"
# **"With a synchronized seed, dropout may use the same mask on every rank."** Then rows that have the same place on their ranks get
# the same mask, and the noise no longer averages out over the ranks:

# %% id="x-torch-ones-1000-64"
x = torch.ones(1000, 64)


def dropped(comm, own_seed):
    torch.manual_seed(comm.rank if own_seed else 0)
    return nn.functional.dropout(x, 0.5).mean(1)


for own_seed in (False, True):
    mean = torch.stack(run_ranks(lambda comm, o=own_seed: dropped(comm, o), 4)).mean(0)
    print("own seeds:", own_seed, "| spread of the mean over 4 ranks:", rounded(mean.std(), 2))

# %% [markdown] id="recap"
# ## Recap
#
# 1. A ring all-reduce is a reduce-scatter and an all-gather: 2 (n − 1)/n · M bytes for each rank, 2 (n − 1) steps.
# 2. Gradients add up, weighted by targets. ZeRO-1 and 2 shard what data parallelism keeps n times, for the same traffic; ZeRO-3
#    shards the parameters too, for half as much traffic again.
# 3. Column then row: one all-reduce for a pair of matrices. Biases, norms and maxima are where ranks go wrong.
# 4. A stage of a pipeline is idle (p − 1)/(m + p − 1) of the time; 1F1B keeps at most p microbatches. Keys and values of long
#    texts travel in a ring, tokens travel to their experts.
# 5. Tensor parallelism inside a machine, pipelines between machines, data parallelism for the rest; and always check that many
#    ranks compute what one would have.
#
# ### Test yourself

# %% id="quiz-parallel"
quiz("parallel")

# %% [markdown] id="further-combining-axes"
# ## Further: combining axes
#
# `parallel.mesh(comm, dp=2, tp=2)` arranges ranks in a grid and gives each rank a communicator along every axis. The last axis is
# the innermost, so that tensor-parallel ranks are neighbours. Printed are (rank, size) on each axis:


# %% id="grid"
def grid(comm):
    axes = parallel.mesh(comm, dp=2, tp=2)
    return {name: (axis.rank, axis.size) for name, axis in axes.items()}


for rank, place in enumerate(run_ranks(grid, 4)):
    print("rank", rank, place)

# %% [markdown] id="papers"
# ### Papers
# - Patarasuk & Yuan 2009, *Bandwidth optimal all-reduce algorithms for clusters of workstations*, doi:10.1016/j.jpdc.2008.09.002.
# - Li et al. 2020, *PyTorch Distributed: experiences on accelerating data parallel training*, arXiv:2006.15704.
# - Rajbhandari et al. 2020, *ZeRO*, arXiv:1910.02054; Zhao et al. 2023, *PyTorch FSDP*, arXiv:2304.11277.
# - Shoeybi et al. 2019, *Megatron-LM*, arXiv:1909.08053; Korthikanti et al. 2022, arXiv:2205.05198 (sequence parallelism).
# - Huang et al. 2018, *GPipe*, arXiv:1811.06965; Narayanan et al. 2021, arXiv:2104.04473 (1F1B, and combining everything).
# - Liu et al. 2023, *Ring attention with blockwise transformers*, arXiv:2310.01889.
# - Lepikhin et al. 2020, *GShard*, arXiv:2006.16668 (experts); Chen et al. 2016, arXiv:1604.06174 (checkpointing).
# - Micikevicius et al. 2018, *Mixed precision training*, arXiv:1710.03740.
# - Llama team 2024, *The Llama 3 herd of models*, arXiv:2407.21783 (a training run on 16,384 devices).
#
# **Next:** models that look things up instead of knowing them.
