# %% [markdown] id="11-training"
# # 11 · Training
#
# **How does text become weights?**
#
# You have built every part of a decoder. So far its weights were random, or trained by somebody else. Here you train your own.
# The idea is simple: show the model a text, measure how badly it predicted each next token, and change every weight a little in
# the direction that reduces this loss. Most of the craft lies in *how much* to change, and in noticing when something is wrong.
#
# After this notebook you can
# - write the objective with its shift and its padding, and say what the first loss must be;
# - write AdamW, the learning-rate schedule and clipping, each identical to the library that people use;
# - assemble a training loop that computes a large batch in parts, and train in mixed precision without changing what is
#   learned;
# - resume a killed run bit for bit;
# - train a model while you watch, see the moment when it learns to look things up, and predict what a larger one will reach.
#
# About 150 minutes. You need Python and a little PyTorch; nothing is downloaded. One cell trains for some minutes if you let it;
# its numbers differ slightly from machine to machine.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/11_training.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/11_training.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/11_training.ipynb).

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
import itertools
import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from course_lib.device import default_device, seeded, synchronize

device = default_device()

# %% id="imports-3"
from course_lib import corpus
from course_lib.accounting import DEVICES, ridge_intensity
from course_lib.chapters.training import answers, sweeps, tiny_decoders
from course_lib.chapters.training.tiny_decoders import byte_config, byte_plan, byte_row, fresh
from course_lib.pretrained import FOLDER, course_model, course_tokenizer, training_log
from course_lib.softmax import cross_entropy
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.display.live_curve import LiveCurve, steps_here

# %% id="imports-2"
from course_lib.training import (
    data,
    descent,
    evaluation,
    gradients,
    muon,
    objective,
    optimizer,
    scaling,
)
from course_lib.training.loop import Training
from course_lib.training.recipes import COURSE_MODEL
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training, save_training

# %% [markdown] id="1-the-objective"
# ## 1 · The objective
#
# A decoder reads T tokens and returns T rows of logits. Row t has seen the tokens 0 … t and predicts token t + 1. So one text
# of T tokens holds T − 1 predictions, and the causal mask makes sure that no row can read its own answer.
#
# > **Predict.** Four tokens go in: "The cat sat down". Four rows of logits come out. How many of them have a target, and which
# > token is the target of row 0?

# %% id="show-figures-training-shift-the-cat"
show(figures.training.shift(["The", " cat", " sat", " down"]))

# %% [markdown] id="the-loss-is-the-mean-surprise"
# The loss is the mean *cross-entropy*: the negative log-probability of each target (its surprise, in the words of notebook
# [Language models](02_language_models.ipynb)), averaged over all targets.
#
# $$\ell = \frac{\sum_{t} -\log p_t(\text{id}_{t+1})}{\text{number of}\ t} \qquad\text{over all } t \text{ whose target, } \text{id}_{t+1}\text{, counts}$$
#
# Texts differ in length, and a batch is a rectangle, so short texts are filled with *padding*. The model should not learn to
# predict padding. It must be left out of the sum **and** out of the number that divides it.
#
# By hand: a model gives three targets the probabilities ½, ¼ and ⅛, so their losses are 0.693, 1.386 and 2.079 nats. If the
# last one is padding, the loss is (0.693 + 1.386) / 2 = **1.040**. Divide by 3 instead, and the same model looks better:
# 0.693.

# %% id="surprises-torch-tensor-1-2-1"
surprises = -torch.tensor([1 / 2, 1 / 4, 1 / 8]).log()
print("loss of each target:  ", rounded(surprises))
print("mean of the first two:", rounded(surprises[:2].mean()))
print("divided by all three: ", rounded(surprises[:2].sum() / 3))
show(
    figures.training.shift(["def", " f", "(", ")", ":", "<pad>", "<pad>"], [True] * 5 + [False] * 2)
)

# %% [markdown] id="build-it"
# ### Build it
# `logits` is (B, T, V), `ids` is (B, T). `counted`, if given, is (B, T) and True at the prediction targets; it is shifted
# together with the ids, so the first id of a row is never a target. At least one target is marked. Return one mean over all
# targets of the batch, a tensor without axes. The gradient is checked as well as the value. You may use
# `cross_entropy(logits, targets)` of notebook [Softmax](04_softmax.ipynb), for logits (N, V) and targets (N,).
#
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run the cell twice.


# %% id="training.next_token_loss"
@exercise("training.next_token_loss")
def next_token_loss(logits, ids, counted=None):
    """Return the mean cross-entropy in nats over the prediction targets."""
    ...


# %% id="reveal-training-next-token-loss"
reveal("training.next_token_loss")

# %% [markdown] id="checked-against-torch"
# ### Checked against the real thing
# PyTorch ignores every target that is −100. `transformers` marks padding that way, and shifts inside the model.

# %% id="logits-ids"
logits, ids = (
    torch.randn(2, 6, 11, generator=seeded(0)),
    torch.randint(11, (2, 6), generator=seeded(1)),
)
counted = torch.tensor([[True] * 6, [True, True, True, False, False, False]])
labels = ids.masked_fill(~counted, -100)
theirs = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
print("agrees with torch:", torch.allclose(objective.next_token_loss(logits, ids, counted), theirs))

# %% [markdown] id="2-the-first-number"
# ## 2 · The first loss
#
# The model of this chapter is a Qwen3 in everything but size (notebook [The whole transformer](08_transformer.ipynb)): two layers
# of width 64, about a hundred thousand parameters. Its tokens are bytes, so V is 256. `byte_config` is its configuration, and
# `fresh` returns it with random initial weights, the same each time.
#
# > **Predict.** Before any training, the model sees a batch of random bytes. What is its loss?


# %% id="first-loss"
def first_loss(vocabulary, scale=1.0):
    model = fresh(replace(byte_config(), vocab_size=vocabulary)).to(device)
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight").mul_(scale)
        ids = torch.randint(vocabulary, (4, 64), generator=seeded(2)).to(device)
        return objective.next_token_loss(model(ids).logits, ids).item()


print(f"the first loss with a vocabulary of 256: {first_loss(256):.2f} nats")

# %% [markdown] id="it-knows-nothing-so-it-finds"
# An untrained model finds all tokens about equally likely, so each costs $\ln V$. Here ln 256 = **5.545**. Check this number
# first in every run. It takes one batch and reveals many faults: initial weights that are too large, a missing scale, a model
# that can see the answer. Here are other vocabulary sizes, and initial weights that are too large (why they give 12.8 nats is
# explained under *Further* at the end):

# %% id="sizes-64-256-1024-4096"
sizes = (64, 256, 1024, 4096)
losses = {
    "usual initial weights": {size: first_loss(size) for size in sizes},
    "embedding ten times as large": {size: first_loss(size, 10.0) for size in sizes},
}
show(figures.training.first_losses(losses))

# %% [markdown] id="3-the-loop"
# ## 3 · The loop
#
# The gradient points in the direction in which the loss grows fastest. Take a step in the opposite direction, compute the
# gradient again, and repeat:
#
# $$w \leftarrow w - \text{rate} \cdot \frac{\partial \ell}{\partial w}$$
#
# By hand: the model is w · x with w = 2, and for x = 3 the answer should be 1. It predicts 6, the squared error is 25, and its
# derivative with respect to w is 2 · 5 · 3 = 30. With a learning rate of 0.1 the weight goes from 2 to 2 − 3 = **−1**.
#
# > **Predict.** In PyTorch `loss.backward()` puts the gradient into `w.grad`. You call it for two batches in a row, and the
# > gradient of each is 30. What is in `w.grad`?

# %% id="w-torch-tensor-2-0-requires"
w = torch.tensor([2.0], requires_grad=True)
for _ in range(2):
    (w * 3 - 1).square().sum().backward()
    print("w.grad:", w.grad.item())

# %% [markdown] id="build-it-2"
# It adds up. That is useful (section 6), and the cause of one of the oldest mistakes: the gradient has to be cleared before the
# next batch.
#
# ### Build it
# Write the loop for a model so small that its loss fits on one line. `weight` is (C,); `batches` is a list of pairs (x, y) of
# shapes (N, C) and (N,), and N may differ between batches. Leave the given weight unchanged.


# %% id="training.descend"
@exercise("training.descend")
def descend(weight, batches, rate):
    """Return the weights after one step for each batch; the loss is mean((x @ weight - y)²)."""
    ...


# %% id="reveal-training-descend"
reveal("training.descend")

# %% [markdown] id="overfit-one-batch-first"
# ### Overfit one batch first
# Before you spend hours, spend seconds: train on *one* batch, again and again. A model with more parameters than the batch has
# tokens can memorize it. If it cannot, something is broken, and more data will not help.
#
# The steps are those of AdamW, which section 4 explains; here it is enough that each reduces the loss.
#
# > **Predict.** Two loops. One scores row t at token t + 1. The other forgot the shift. Which one reaches a lower loss?


# %% id="by-heart"
def by_heart(ids, shifted, steps=60):
    model, losses = fresh(byte_config()).to(device), []
    adamw = optimizer.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        logits = model(ids).logits
        if shifted:
            loss = objective.next_token_loss(logits, ids)
        else:
            loss = cross_entropy(logits.flatten(0, 1), ids.flatten())
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(loss.item())
    return model, losses


batch = data.random_crops(byte_row(), 4, 64, seeded(3)).to(device)

# %% tags=["nbval-ignore-output"] id="curves-shifted-by-one-right-losses"
right, right_losses = by_heart(batch, shifted=True)
wrong, wrong_losses = by_heart(batch, shifted=False)
curves = {"Shifted by one": right_losses, "Not shifted": wrong_losses}
show(figures.training.one_batch(curves, objective.expected_initial_loss(256)))

# %% [markdown] id="the-one-with-the-mistake-looks"
# The loop with the mistake looks better, which makes the mistake dangerous. That model has learned to repeat the token that it
# just read. A loss that is too good is as suspicious as one that does not fall.
#
# Look at the first step too. The wrong loop *starts* below ln V. The embedding is also the output layer here (the head is
# *tied*), and a hidden state still resembles the embedding of the token that was just read. So that token gets a somewhat larger
# logit before anything is learned. The correct loop gains from that only where a byte occurs twice in a row, as the spaces of an
# indentation do. Ask both models to continue the text that they memorized:

# %% id="with-torch-no-grad"
with torch.no_grad():
    for name, model in (("shifted", right), ("not shifted", wrong)):
        predicted = model(batch).logits.argmax(-1)
        next_right = (predicted[:, :-1] == batch[:, 1:]).float().mean().item()
        own_again = (predicted == batch).float().mean().item()
        print(
            f"{name:12} more than 4 of 5 next bytes right: {next_right > 0.8}, "
            f"repeats its input: {own_again > 0.8}"
        )

# %% [markdown] id="4-adamw"
# ## 4 · AdamW
#
# Plain gradient descent has one learning rate for all weights. Where the loss is a long valley, steep across and flat along its
# floor, no rate suits both directions: above 2 / steepness the steps jump from wall to wall, higher each time; below it, they
# crawl along the floor. AdamW combines three ideas. Take them one at a time.
#
# **Momentum** replaces the gradient g by a running mean of it. Across the valley the gradients change sign and cancel; along
# the floor they agree and persist.
#
# $$m = \beta_1 m + (1-\beta_1) g, \qquad p = p - \text{rate}\cdot m$$
#
# **RMSProp** divides the gradient by its typical size, the root of a running mean of its square. Steep and flat coordinates then
# move equally far.
#
# $$v = \beta_2 v + (1-\beta_2) g^2, \qquad p = p - \text{rate}\cdot\frac{g}{\sqrt v+\epsilon}$$
#
# **Adam** (Kingma & Ba 2015) does both: it divides m by √v. The quotient is about ±1 where the gradient keeps its sign, and
# small where the sign keeps changing.
#
# > **Predict.** In a valley a hundred times as steep across as along, each method gets the best of twenty rates and 40
# > steps. By what factor does momentum lower the loss, compared with plain descent: about 2, 20 or 200?

# %% id="four-rules"
hessian, start = descent.valley(100.0, 1.0), torch.tensor([-4.0, 0.6], dtype=torch.float64)


def lowest(move):
    """Return the lowest loss that 40 steps reach with any of twenty rates."""
    found = []
    for rate in [0.005 * 1.3**k for k in range(20)]:
        p, m, v = start, torch.zeros_like(start), torch.zeros_like(start)
        for _ in range(40):
            g = hessian @ p
            m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
            p = p - rate * move(g, m, v)
        found.append(descent.height(p, hessian).item())
    return min(found)


# %% id="four-rules-run"
for name, move in {
    "plain descent": lambda g, m, v: g,
    "momentum": lambda g, m, v: m,
    "RMSProp": lambda g, m, v: g / v.sqrt(),
    "both: Adam without correction": lambda g, m, v: m / v.sqrt(),
}.items():
    print(f"{name:30} loss {lowest(move):.2f}")

# %% [markdown] id="adamw-whole"
# Momentum lowers the loss about 25 times. In this valley dividing by √v helps even more, since the steep and the flat direction
# are exactly the two coordinates.
#
# AdamW (Loshchilov & Hutter 2019) adds two things: a *correction*, because both means start at 0 and are too small at first,
# and *weight decay*, which shrinks the weights themselves instead of changing the gradient. Together, for step t = 1, 2, …:
#
# $$m = \beta_1 m + (1-\beta_1) g \qquad v = \beta_2 v + (1-\beta_2) g^2$$
# $$\hat m = \frac{m}{1-\beta_1^t} \qquad \hat v = \frac{v}{1-\beta_2^t} \qquad
# p = p - \text{rate}\cdot\lambda\, p - \text{rate}\cdot\frac{\hat m}{\sqrt{\hat v}+\epsilon}$$
#
# > **Predict.** One weight has a gradient of 0.001, another a gradient of 1000. Both take their first step with a rate of 0.1,
# > without decay. How far does each move?

# %% id="weights-zero-torch-zeros-2-torch"
weights, zero = torch.zeros(2), torch.zeros(2)
steep = torch.tensor([0.001, 1000.0])
moved, m, v = optimizer.adamw_update(weights, steep, zero, zero, 1, rate=0.1)
print("gradients:", [round(g, 3) for g in steep.tolist()], " moved by:", rounded(moved))

# %% [markdown] id="by-hand-for-g-1000-m"
# By hand, for g = 1000: m = 0.1 · 1000 = 100 and v = 0.001 · 1 000 000 = 1000. Corrected for t = 1 they become 100 / 0.1 =
# 1000 and 1000 / 0.001 = 1 000 000, whose root is 1000. The quotient is **1**, the step 0.1. For 0.001 the result is the same.
#
# Two letters are left. **λ** is the strength of the decay: with a rate of 0.1 and λ = 0.5 a weight of 2 loses 0.1 · 0.5 · 2 =
# **0.1** in a step, whatever its gradient. **ε** keeps the quotient finite where v is 0, as for a token that never occurred:
# 0 / (0 + ε) = 0. It is added *after* the root. Inside the root, ε = 10⁻⁸ would act like √10⁻⁸ = 10⁻⁴, which is larger than
# many gradients of a large model.
#
# ### Why the correction
# m and v start at 0, so at first they are too small, and not by the same factor. Dividing by $1-\beta^t$ makes each exactly
# right if the gradient stays constant. Set β₂ to 0.999, PyTorch's default, and to 0.95, which is common for language models,
# and see what would happen without the correction.

# %% id="explorers-training-bias-correction"
explorers.training.bias_correction()

# %% [markdown] id="build-it-3"
# ### Build it
# All four tensors have the same shape, which may be any. Return three new tensors: the parameter, m and v. The m and v that you
# return are the running means without the correction; the corrected ones are used in this step only. `step` counts from 1.
# Whether a parameter decays is decided by the caller, through `weight_decay`.


# %% id="training.adamw"
@exercise("training.adamw")
def adamw_update(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    """Return (parameter, m, v) after one step; `step` counts from 1."""
    ...


# %% id="reveal-training-adamw"
reveal("training.adamw")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# Fifty steps beside `torch.optim.AdamW`, two groups of parameters, one of which decays:

# %% id="start-torch-randn-5-7-generator"
start = [torch.randn(5, 7, generator=seeded(4)), torch.randn(7, generator=seeded(5))]
ours, theirs = ([torch.nn.Parameter(t.clone()) for t in start] for _ in range(2))
mine = optimizer.AdamW([{"params": ours[:1], "weight_decay": 0.3}, {"params": ours[1:]}], lr=0.01)
torchs = torch.optim.AdamW(
    [{"params": theirs[:1], "weight_decay": 0.3}, {"params": theirs[1:]}], lr=0.01
)
for step in range(50):
    for p, q in zip(ours, theirs, strict=True):
        p.grad = torch.randn(p.shape, generator=seeded(100 + step)) * 10.0 ** (step % 3)
        q.grad = p.grad.clone()
    mine.step()
    torchs.step()
gap = max((p - q).abs().max().item() for p, q in zip(ours, theirs, strict=True))
print("largest difference after 50 steps < 1e-6:", gap < 1e-6)

# %% [markdown] id="who-decays-2"
# In models AdamW helps because tensors have gradients of very different size, each along coordinates of its own: embeddings of
# rare tokens, norms, matrices in different layers.
#
# ### Which parameters decay
# Decay pulls weights towards zero, which keeps matrices from growing without need. Norm gains should not be pulled to zero:
# that would only switch features off. So there are two groups:

# %% id="model-fresh-byte-config"
model = fresh(byte_config())
groups = optimizer.decay_groups(model, weight_decay=0.1)
names = {id(p): name.removesuffix(".weight") for name, p in model.named_parameters()}
for group in groups:
    last = [names[id(p)].split(".")[-1] for p in group["params"]]
    print(
        f"decay {group['weight_decay']}: {sum(p.numel() for p in group['params'])} numbers in",
        sorted(set(last)),
    )

# %% [markdown] id="5-how-fast-when"
# ## 5 · The learning rate
#
# No other setting matters as much. Here is what it does to our model, at half its width: 150 steps, seven *peak* rates (the highest
# rate of a run), three seeds each. A point is the mean of the three, and its bar reaches from the best seed to the worst. (The runs are stored;
# `python -m course_lib.chapters.training.sweeps` repeats all sweeps of this notebook.)
#
# > **Predict.** The best rate is somewhere in the middle. Which is worse, a rate eight times too low or eight times too high?

# %% id="rate-sweep"
rates = sweeps.stored_sweeps()["rates"]
mean = {r["peak"]: sum(r["losses"]) / 3 for r in rates if r["warmup"] == 0}
best = min(mean, key=mean.get)
for peak in (best / 8, best, best * 8):
    print(f"peak {peak:.3f}: {mean[peak]:.2f} nats, {mean[peak] - mean[best]:.2f} above the best")
show(figures.training.sweep(rates, "warmup", "steps of warm-up"))

# %% [markdown] id="rate-sweep-read"
# Too low is worse here: the model does not get far in 150 steps. At a rate that is far too high plain descent
# would diverge. With AdamW's bounded steps and clipping (section 6) training only gets worse.
#
# The two curves differ in *warm-up*: the rate rises from 0 over the first 20 steps. The reasons usually given are that v rests
# on few gradients at first, and that the first gradients all point to the same few facts (most tokens never occur). Large
# models become unstable early, and nearly all of them are warmed up. In this small model it does not change the best result by
# more than the seeds differ, and at low rates it costs steps. The best peak is twice as high with it, but its bar overlaps that of
# the next lower one.
#
# At the end of a run the rate **falls**, so that the weights settle instead of moving back and forth. The usual shape is half a
# cosine:
#
# $$\text{rate}(s) = \begin{cases}\text{peak}\cdot s/\text{warmup} & s < \text{warmup}\\[2pt]
# \text{final} + (\text{peak}-\text{final})\cdot\tfrac12\big(1+\cos(\pi\,\tfrac{s-\text{warmup}}{\text{steps}-\text{warmup}})\big) & \text{after}\end{cases}$$
#
# By hand, with a peak of 2, a final rate of 0.2, 10 steps of warm-up and 110 in all: step 3 has 2 · 0.3 = **0.6**. Step 60
# is halfway down, and the cosine of 90° is 0, so it has 0.2 + 1.8 · ½ = **1.1**.
#
# > **Predict.** And step 35, a quarter of the way down: above or below a straight line's 1.55?

# %% id="for-step-in-0-3-10"
for step in (0, 3, 10, 35, 60, 109, 110, 140):
    rate = cosine_rate(step, warmup=10, steps=110, peak=2.0, final=0.2)
    print(f"step {step:3}: {rate:.4f}")

# %% [markdown] id="build-it-4"
# ### Build it
# `step` counts from 0 and may lie beyond `steps`, where the rate stays at `final`. `warmup` may be 0. Return a plain number.


# %% id="training.schedule"
@exercise("training.schedule")
def learning_rate(step, *, warmup, steps, peak=1.0, final=0.0):
    """Return the learning rate of a step, counted from 0."""
    ...


# %% id="reveal-training-schedule"
reveal("training.schedule")

# %% id="sgd-torch-optim-sgd-torch-zeros"
import logging

logging.getLogger("bitsandbytes").setLevel("ERROR")  # transformers loads it where it is installed
from transformers import get_cosine_with_min_lr_schedule_with_warmup as their_schedule

sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
rate_of = their_schedule(sgd, 10, 110, min_lr=0.2).lr_lambdas[0]
gaps = [
    abs(2.0 * rate_of(s) - cosine_rate(s, warmup=10, steps=110, peak=2.0, final=0.2))
    for s in range(111)
]
print("agrees with transformers at all 111 steps:", max(gaps) < 1e-12)
explorers.training.schedule()

# %% [markdown] id="6-gradients-cut-and-added-up"
# ## 6 · Clipping and accumulating gradients
#
# Now and then a batch has a gradient a hundred times as long as usual, a *spike*. With plain descent the step would be a hundred
# times as long too. *Clipping* prevents that: measure the length of all gradients taken as **one long vector**, and if it exceeds
# the limit, multiply all of them by the same number.
#
# $$\text{norm} = \sqrt{\textstyle\sum_{\text{tensors}} \lVert g\rVert^2} \qquad g \leftarrow g\cdot\min\!\big(1,\ \tfrac{\text{limit}}{\text{norm}}\big)$$
#
# By hand: two tensors with one number each, 3 and 4. Together they have length 5. For a limit of 1 both are divided by 5: **0.6
# and 0.8**.
#
# > **Predict.** What would happen to 3 and 4 if each tensor were clipped by its own norm, and what does that do to the direction
# > of the step?

# %% id="pair-torch-tensor-3-0-torch"
pair = [torch.tensor([3.0]), torch.tensor([4.0])]
print("by the norm of all:", [round(g.item(), 3) for g in gradients.clipped(pair, 1.0)])
print("each by itself:    ", [round(gradients.clipped([g], 1.0)[0].item(), 3) for g in pair])

# %% [markdown] id="build-it-5"
# ### Build it
# `gradients` is a list of tensors of any shapes. Return a list of new tensors and leave the given ones unchanged. Gradients
# within the limit stay as they are, and a norm of 0 must not cause a division by zero.


# %% id="training.clip"
@exercise("training.clip")
def clipped(gradients, limit):
    """Return the gradients, shortened together to the limit if they are longer."""
    ...


# %% id="reveal-training-clip"
reveal("training.clip")

# %% id="parameters-torch-nn-parameter-torch-zeros"
parameters = [torch.nn.Parameter(torch.zeros(size)) for size in ((4, 6), (6,), (3, 2))]
for p in parameters:
    p.grad = torch.randn(p.shape, generator=seeded(p.numel())) * 3
before = [p.grad.clone() for p in parameters]
theirs = torch.nn.utils.clip_grad_norm_(parameters, 1.5)
shorter = gradients.clipped(before, 1.5)
print("norm agrees:     ", torch.allclose(gradients.global_norm(before), theirs))
print(
    "gradients agree: ",
    all(torch.allclose(a, p.grad) for a, p in zip(shorter, parameters, strict=True)),
)

# %% [markdown] id="a-large-batch-in-parts"
# ### A large batch in parts
# The batch that you want does not fit into memory? Compute it in parts (*micro-batches*) and accumulate their gradients.
# `.backward()` adds them up, so only the *weights of the parts* need care. The loss of each part is a mean over its own targets;
# the loss that you want is a mean over all.
#
# > **Predict.** One part has 1 target, and its gradient is 6. Another has 9, and its gradient is 1. What is the gradient of the
# > mean over all ten targets?

# %% id="parts-torch-tensor-6-0-torch"
parts = [torch.tensor(6.0), torch.tensor(1.0)]
print("weighted by targets:", round(answers.accumulated(parts, [1, 9]).item(), 3))
print("weighted equally:   ", answers.accumulated(parts, [5, 5]).item())

# %% [markdown] id="build-it-6"
# One target of ten and nine of ten: 6 · 0.1 + 1 · 0.9 = **1.5**, and not 3.5, the mean of the two. The mean of the parts' means
# is right only if all parts have the same number of targets. With padding, or where only answers count, they do not. Widely used
# training code had this mistake until 2024.
#
# ### Build it
# `gradients` is a list of tensors of one shape, `counts` the number of targets of each part, all positive.


# %% id="training.accumulate"
@exercise("training.accumulate")
def accumulated(gradients, counts):
    """Return the gradient of the mean over all targets, from those of the parts' means."""
    ...


# %% id="reveal-training-accumulate"
reveal("training.accumulate")

# %% [markdown] id="the-loop-of-the-library-takes"
# ### Build the whole loop
# Now put the pieces together. A step of training is always the same six lines: clear the gradients, run forward and backward for
# each part, clip, set the learning rate, let the optimizer take its step, report.
#
# - `batches` is a list; a batch is a list of parts (ids, counted), each (B, T). `model(ids).logits` is (B, T, V).
# - `rates` holds one learning rate per batch, for every group in `optimizer.param_groups`.
# - The loss of a batch is the mean over **all** its targets; the norm is measured **before** clipping.
# - The model and the optimizer are changed in place. Return a list with (loss, norm) of each step, as plain numbers.
#
# You may use `objective.next_token_loss(logits, ids, counted)` and `gradients.clip_by_global_norm(tensors, limit)`, which clips
# in place and returns the norm before. The check looks at the losses of several steps in a row, so it notices a wrong step at the
# next loss.


# %% id="training.train"
@exercise("training.train")
def train(model, optimizer, batches, rates, limit):
    """Take one step for each batch and its rate, and return (loss, norm) of each step."""
    ...


# %% id="reveal-training-train"
reveal("training.train")

# %% [markdown] id="one-step-in-the-library"
# The library's loop is a class, `Training`, which also draws the batches and can be saved and resumed. One step of it:

# %% id="reveal-training-step"
reveal(Training.step)

# %% [markdown] id="7-mixed-precision"
# ## 7 · Mixed precision
#
# A matrix product in bfloat16 moves half the bytes of float32, and chips with units for it compute it many times as fast: the
# data sheet of an H100 lists 989 TFLOPS for bfloat16 and 67 for plain float32. Can we do everything in bfloat16?

# %% id="for-dtype-in-torch-float32-torch"
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    info = torch.finfo(dtype)
    print(
        f"{dtype!s:15} largest {info.max:8.2g}   smallest normal {info.tiny:8.2g}   next after 1: 1 + {info.eps:.2g}"
    )

# %% [markdown] id="predict-a-weight-is-1-a"
# > **Predict.** A weight is 1. A thousand steps add 0.001 each. Where does it end, in each type?

# %% id="for-dtype-in-torch-float32-torch-2"
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    weight, step = torch.tensor(1.0, dtype=dtype), torch.tensor(0.001, dtype=dtype)
    for _ in range(1000):
        weight = weight + step
    print(f"{dtype!s:15} {weight.item():.3f}")

# %% [markdown] id="in-bfloat16-it-never-leaves-1"
# In bfloat16 it never leaves 1: the next number is 1.0078, so 1.001 is rounded back to 1, a thousand times. float16 comes near
# 2: its numbers are 0.00098 apart here, so each step is rounded down a little. So *weights, m, v and the loss stay in float32*,
# and only the matrix products are computed in bfloat16. PyTorch's `autocast` chooses, operation by operation:

# %% id="layer-x-torch-nn-linear-8"
layer, x = torch.nn.Linear(8, 8).to(device), torch.randn(2, 8, generator=seeded(6)).to(device)
with torch.autocast(device.type, torch.bfloat16):
    y = layer(x)
    loss = F.cross_entropy(y, torch.tensor([3, 5], device=device))
loss.backward()
print("weight:", layer.weight.dtype, " product:", y.dtype)
print("loss:  ", loss.dtype, " gradient:", layer.weight.grad.dtype)

# %% [markdown] id="cost-of-a-step"
# ## 8 · What a step costs
#
# A step computes three things: the forward pass, the backward pass and the optimizer's update. For N parameters in matrices and
# D tokens in the batch:
#
# | | FLOPs | reads and writes of weight-sized tensors | FLOPs per byte (float32) |
# |---|---|---|---|
# | forward | 2 N D | weights: 4 N bytes | D / 2 |
# | backward | 4 N D | weights and gradients: 8 N bytes | D / 2 |
# | AdamW | about 15 N | reads w, g, m, v, writes w, m, v: 28 N bytes | about ½ |
#
# Backward costs twice as much as forward, because each product of the forward pass needs two: one for the gradient of its input,
# one for that of its weight. Hence the rule of thumb of 6 FLOPs per parameter and token. (Activations, which are left out here,
# grow with D; notebook [Counting parameters](09_parameter_counting.ipynb) counts them.)
#
# > **Predict.** A GPU needs some 300 FLOPs per byte to be busy. Which parts of a step can use its arithmetic, and does the
# > optimizer take a larger share of a step with a small batch or with a large one?

# %% id="count-the-flops"
model = fresh(byte_config(256))  # stays on the CPU, where it is measured below
batch, flops = data.random_crops(byte_row(), 16, 64, seeded(3)), []
with FlopCounterMode(display=False) as counter:
    loss = objective.next_token_loss(model(batch).logits, batch)
flops.append(counter.get_total_flops())
with FlopCounterMode(display=False) as counter:
    loss.backward()
flops.append(counter.get_total_flops())
matrices = sum(p.numel() for p in model.parameters() if p.ndim == 2)
print(f"backward costs {flops[1] / flops[0]:.1f} times as much as forward")
print(f"6 N D is {6 * matrices * batch.numel() / sum(flops):.0%} of what was counted")

# %% id="state-bytes"
adamw = optimizer.AdamW(model.parameters())
adamw.step()
p = model.get_parameter("model.embed_tokens.weight")
tensors = [p, p.grad, adamw.state[p]["exp_avg"], adamw.state[p]["exp_avg_sq"]]
print("bytes per parameter for w, g, m, v:", sum(t.element_size() for t in tensors))
h100 = DEVICES["H100 SXM"]
print(f"an H100 is busy from {ridge_intensity(h100.peak_flops, h100.bandwidth):.0f} FLOPs per byte")

# %% [markdown] id="measure-the-parts"
# (The rest of the FLOPs is attention.) So the matrix products need a batch of several hundred tokens or more, and AdamW is
# limited by memory at any size. Measured with a batch of 32 tokens and one of 1024, on the CPU: a model this small does not keep a
# GPU busy, so there the time would be that of starting its many small operations.


# %% tags=["nbval-ignore-output"] id="measure-step-parts"
def seconds_of_parts(rows, length, repeats=3):
    """Return the time of forward, backward, clipping and AdamW, the shortest of some steps."""
    ids, found = data.random_crops(byte_row(), rows, length, seeded(3)), []
    for _ in range(repeats):
        adamw.zero_grad()
        moments = [time.perf_counter()]
        loss = objective.next_token_loss(model(ids).logits, ids)
        for part in (loss.backward, lambda: gradients.clip_by_global_norm(model.parameters(), 1.0)):
            moments.append(time.perf_counter())
            part()
        moments.append(time.perf_counter())
        adamw.step()
        moments.append(time.perf_counter())
        found.append([b - a for a, b in itertools.pairwise(moments)])
    return [min(times) for times in zip(*found, strict=True)]


# %% tags=["nbval-ignore-output"] id="measure-step-shares"
measured = {"32 tokens": seconds_of_parts(1, 32), "1024 tokens": seconds_of_parts(16, 64)}
for name, times in measured.items():
    shares = ", ".join(
        f"{part} {t / sum(times):.0%}"
        for part, t in zip(("forward", "backward", "clipping", "AdamW"), times, strict=True)
    )
    print(f"{name:12} {1000 * sum(times):5.0f} ms: {shares}")

# %% id="optimizer-share"
small, large = (times[-1] / sum(times) for times in measured.values())
print("AdamW takes a larger share of the small batch:", small > large)
print(
    "forward and backward take most of the large one:",
    sum(measured["1024 tokens"][:2]) > 0.5 * sum(measured["1024 tokens"]),
)

# %% [markdown] id="8-train-one"
# The optimizer's time does not depend on the batch, so large batches share it among more tokens. (With several devices the
# gradients, 4 N bytes, also have to be exchanged in every step, and large batches share that time too.) That is one reason for
# large batches; a sweep under *Further* shows what they cost in return.
#
# ## 9 · Train one
#
# Now all of it together. First the data: one long row of tokens in a file, mapped into memory, so that of a file of many
# gigabytes only what is used is read. Documents follow one another with a separator between them. This *packing* avoids
# padding: a crop may contain parts of several documents, and every token is a target. The tokens here are bytes: a vocabulary
# of 256, and nothing to prepare.

# %% id="folder-path-tempfile-mkdtemp"
folder = Path(tempfile.mkdtemp())
documents = [list(document.text.encode()) for document in corpus.documentation()[:3]]
total = data.write_tokens(folder / "bytes.tokens", documents, separator=0)
row = data.read_tokens(folder / "bytes.tokens")
print("two bytes for each token:", (folder / "bytes.tokens").stat().st_size == 2 * total)
crops = data.random_crops(row, 2, 24, seeded(7))
print("crops:", tuple(crops.shape), crops.dtype)

# %% [markdown] id="a-crop-begins-anywhere-text-alone"
# A crop starts anywhere in the row. Text alone would do. But we want to watch one ability appear, so two thirds of each batch
# are *random bytes that repeat*. Nobody can predict a random byte the first time. The second time it can be looked up: find the
# previous occurrence of the current byte, and read what came after it. That is what an induction head does (notebook
# [Attention](05_attention.ipynb)). The mark `^` shows the targets of the loss. They start one byte after the first repeated byte.
# That byte cannot be looked up: the byte before it, the last of the first period, occurs for the first time.

# %% id="repeats-data-repeated-ids-2-16"
repeats = data.repeating_batch(2, 16, (4, 6), torch.arange(256), seeded(8))
for ids, known in zip(*repeats, strict=True):
    print(" ".join(f"{i:3}" for i in ids.tolist()))
    print(" ".join("  ^" if k else "   " for k in known.tolist()))

# %% [markdown] id="predict-which-falls-first-the-loss"
# > **Predict.** Which falls first: the loss on text, or the loss on repeats? And how: gradually, or all at once?
#
# A Qwen3-shaped model of about a hundred thousand parameters, two layers. On two quiet cores the whole run takes one to four
# minutes. You can interrupt it (the square ■ above) and keep what is there. In this stored copy it was stopped early; run the
# cell to see it live. Below it is the figure of a whole run. Both losses are measured on bytes that the model was not trained on.

# %% tags=["nbval-ignore-output"] id="steps-steps-here-patient-600-hurried"
steps = steps_here(patient=900, hurried=30)
tiny = fresh(byte_config()).to(device)
training = Training(tiny, tiny_decoders.mixed_batches(byte_row()), byte_plan(steps))
bar = tqdm(total=steps, unit="step", file=sys.stdout)
with LiveCurve(lambda looks: figures.training.live(looks, steps)) as curve:
    for record in tiny_decoders.watched(training, steps, every=10):
        bar.update(record["step"] - bar.n)
        curve(record)
bar.close()

# %% id="show-figures-training-live-byte-training"
show(figures.training.live(tiny_decoders.stored_experiments()["live"], 900))

# %% [markdown] id="text-first-and-little-by-little"
# The loss on text falls first, and gradually: which bytes are common, which follow which. The loss on repeats hardly moves for
# some time. Then most of it goes within about a hundred steps, and in the same steps the score of the best induction head rises:

# %% id="live-facts"
looks = tiny_decoders.stored_experiments()["live"]
before, after = figures.training.runs.cliff(looks)
print(
    f"repeats: {before['repeat loss']:.1f} nats at step {before['step']}, "
    f"{after['repeat loss']:.1f} at step {after['step']}, {looks[-1]['repeat loss']:.2f} at the end"
)
print(
    f"induction: {before['induction']:.2f} at step {before['step']}, {after['induction']:.2f} at step {after['step']}"
)

# %% [markdown] id="9-stop-and-go-on-exactly"
# Why so suddenly? A head that attends to the previous token is of no use for the repeats alone, and neither is one that could use
# what the first one writes. Once both exist a little, in two layers, each makes the other's gradient larger, and the loss drops
# sharply. Olsson et al. (2022) call it a phase change. The course's own model went through the same drop; its log is under
# *Further*.
#
# ## 10 · Stop, and resume exactly
#
# Runs get killed. To resume as if nothing had happened, *everything that determines the next step* must be in the file. (This
# section computes on the CPU, where every operation gives the same bits each time. On a GPU some operations add in a varying
# order, unless PyTorch is told to be deterministic.)
#
# > **Predict.** The weights, of course. What else? Name three things.


# %% id="begun"
def begun():
    return Training(fresh(byte_config(16)), tiny_decoders.mixed_batches(byte_row()), byte_plan(100))


whole, first = begun(), begun()
for _ in range(6):
    whole.step()
for _ in range(3):
    first.step()
path = folder / "state.pt"  # the file is replaced as a whole: a kill leaves the old one intact
save_training(path, first.model, first.optimizer, first.done, first.generator)
print("in the file:", list(torch.load(path)))
print("for each parameter:", list(first.optimizer.state_dict()["state"][0]))


# %% id="goes-on"
def goes_on(forget=None):
    """Resume as a new process would, take three steps, and return whether all bits agree."""
    second, spare = begun(), begun()
    parts = {
        name: getattr(spare if name == forget else second, name)
        for name in ("model", "optimizer", "generator")
    }
    second.done = resume_training(path, **parts)  # what is forgotten is loaded into the spare
    for _ in range(3):
        second.step()
    pairs = zip(second.model.parameters(), whole.model.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


print("everything resumed:     ", goes_on())
print("without m and v:        ", goes_on("optimizer"))
print("without the generator:  ", goes_on("generator"))

# %% [markdown] id="11-what-would-a-larger-one"
# Forgetting the moments or the generator goes unnoticed: the curve continues with a small bump, or none. Without the generator
# the run sees its first batches again.
#
# ## 11 · What would a larger model reach?
#
# Two things limit a model: too few parameters N, and too little text D. Each contributes a term to the loss that falls as a
# power, and a power is a straight line where both axes are logarithmic (Kaplan et al. 2020; Hoffmann et al. 2022):
#
# $$\ell(N, D) = E + A\,N^{-\alpha} + B\,D^{-\beta}$$
#
# E is what would remain with infinitely many parameters and tokens: the randomness of language itself.
#
# > **Predict.** A term is 8 for one million parameters, 4 for ten million. What will it be for a hundred million?

# %% id="per-ten-4-8"
factor, exponent = scaling.fit_power_law([1.0, 10.0], [8.0, 4.0])  # in millions
print(f"for a hundred million: {factor * 100**-exponent:.1f}   exponent: {exponent:.3f}")

# %% [markdown] id="build-it-7"
# Each factor of ten halves it, and 10^−0.301 = ½.
#
# ### Build it
# Sizes and losses are lists of positive numbers in any order. Fit the least-squares line to their logarithms, and return factor
# and exponent of loss = factor · size^(−exponent).


# %% id="training.power_law"
@exercise("training.power_law")
def fit_power_law(sizes, losses):
    """Return (factor, exponent) of the line through log(size) and log(loss)."""
    ...


# %% id="reveal-training-power-law"
reveal("training.power_law")

# %% [markdown] id="now-measure-the-smallest-of-the"
# Now measure: four model sizes, four lengths of training, each with a schedule of its own length. These sixteen runs take some
# minutes and are stored (`python -m course_lib.chapters.training.tiny_decoders scaling` repeats them). The largest is left out
# of the fit, to test whether the law predicts it.

# %% id="runs-beyond-byte-training-stored-scaling"
*runs, largest = tiny_decoders.stored_experiments()["scaling"]
columns = [[float(run[name]) for run in runs] for name in ("parameters", "tokens", "loss")]
law = scaling.fit_scaling_law(*columns)
print(f"E = {law.floor:.1f}   exponent of N: {law.alpha:.2f}   exponent of D: {law.beta:.2f}")
show(figures.training.scaling(runs, law, largest))

# %% [markdown] id="three-unknown-numbers-are-found-by"
# E, A and B are found by least squares for each pair of exponents on a grid; the best pair wins. (On the left a color is a
# model size, on the right a length of training.) Fifteen small runs make a rough law, and you can see how rough. There is one
# seed each, and the rates were not tuned for every size: with the most text the model of 63 thousand parameters even beats
# that of 107 thousand, the star. And E comes out as 0, which is impossible for text. All our runs are so far above the floor
# that they say nothing about it. Large laboratories do the same with hundreds of runs, to decide what to train for months.
#
# **How to spend a budget.** Training costs about 6 FLOPs per parameter and token, so a budget of C FLOPs buys N · D = C / 6. Put
# D = C / 6N into the law and set the derivative with respect to N to zero:
#
# $$\alpha A N^{-\alpha} = \beta B D^{-\beta} \quad\Rightarrow\quad N \propto C^{\,\beta/(\alpha+\beta)},\qquad
# D \propto C^{\,\alpha/(\alpha+\beta)}$$
#
# With equal exponents both grow as √C: a hundred times the budget buys ten times the parameters and ten times the text. Then the
# ratio of tokens to parameters is a constant. Hoffmann et al. trained 400 models and found about **20 tokens per parameter**, the
# number that everybody quotes. Their data, fitted once more by Besiroglu et al. (2024), give:

# %% id="tokens-per-parameter"
published = scaling.ScalingLaw(floor=1.8172, a=482.01, alpha=0.3478, b=2085.43, beta=0.3658)
for flops in (1e19, 1e21, 1e23, 1e25):
    best = published.best_size(flops)
    print(
        f"{flops:.0e} FLOPs: {best / 1e9:6.2f} billion parameters, "
        f"{flops / 6 / best**2:.0f} tokens per parameter"
    )
parameters = sum(p.numel() for p in course_model().parameters())
tokens = (
    COURSE_MODEL.plan.steps
    * COURSE_MODEL.context
    * (COURSE_MODEL.text_rows + COURSE_MODEL.repeat_rows)
)
print(f"the course's own model: {tokens / parameters:.0f} tokens per parameter")

# %% [markdown] id="beyond-twenty"
# Twenty is the best ratio for the *training* budget. A model that many people will use is trained on far more, since a smaller
# model is cheaper to run: Llama 3 8B read 15 trillion tokens, nearly 1900 per parameter. (What our own law asks for, and why not
# to believe it, is under *Further*.)
#
# ## 12 · Claims that are wrong
#
# > *"Weight decay is L2 regularization: add λ·w to the gradient."*
#
# For plain descent it is. Take two equal weights, one with large gradients and one with small ones. Their gradients alternate in
# sign, so only the decay moves them permanently:

# %% id="for-name-in-gradient-in-decay"
for name, in_gradient in (("decay as AdamW does it", False), ("λ·w put into the gradient", True)):
    w, m, v = torch.ones(2), torch.zeros(2), torch.zeros(2)
    for step in range(1, 501):
        g = torch.tensor([100.0, 0.1]) * (-1) ** step
        g = g + 0.1 * w if in_gradient else g
        w, m, v = optimizer.adamw_update(
            w, g, m, v, step, 0.01, weight_decay=0.0 if in_gradient else 0.1
        )
    print(f"{name:26} weights after 500 steps: {rounded(w, 2)}")

# %% [markdown] id="adamw-pulls-both-alike-as-a"
# AdamW shrinks both by the same factor. As a part of the gradient, the decay is divided by √v: the weight with large gradients
# hardly changes, and the other is driven to zero.
#
# > *"AdamW divides by the size of the gradient anyway, so clipping is pointless."*
#
# A spike cannot make a long step, that is true. It does harm in two other ways. Its direction stays in m for about ten steps, so
# it undoes some ordinary steps. And its square stays in v, where it shortens all steps that follow. Five hundred
# ordinary gradients of 1, then one of −1000, and ordinary ones again:


# %% id="for-name-limit-in-not-clipped"
def spike(beta2, steps):
    """Return the steps undone by a spike and the number of short steps: clipped, not clipped."""
    w, m, v, moves = torch.zeros(2), torch.zeros(2), torch.zeros(2), []
    for step in range(1, steps + 1):
        g = torch.tensor([-1.0, -1000.0]) if step == 501 else torch.ones(2)
        last = w
        w, m, v = optimizer.adamw_update(w, g, m, v, step, 0.01, (0.9, beta2), weight_decay=0.0)
        moves.append((last - w) / 0.01)
    moves = torch.stack(moves)
    return rounded((-moves).clamp(min=0).sum(0), 0), (moves < 0.5).sum(0).tolist()


print("(clipped to 1, not clipped)")
for beta2, steps in ((0.95, 1000), (0.98, 1000), (0.999, 6500)):
    undone, short = spike(beta2, steps)
    print(f"β₂ {beta2}: steps undone {undone}, later steps of less than half the length {short}")

# %% [markdown] id="spike-read"
# One spike undoes 5 to 19 steps, not thousands. The longer price is in v: with β₂ = 0.999 it takes thousands of steps until a
# step has half its length again, with 0.95 some two hundred. Clipping keeps the spike out of both means. When you see a spike in
# a run, look at its batch first (a broken document?), then lower the peak rate or β₂.

# %% [markdown] id="further-inside-the-loss"
# ## Further: inside the loss
#
# ### The gradient as a formula
# The library's version of the loss computes the cross-entropy with a class of its own. Autograd would pass over the logits a dozen
# times, and they are the largest tensor of a training step. So `MeanCrossEntropy` has the gradient that you derived in notebook
# [Softmax](04_softmax.ipynb), p − onehot, written as a formula:

# %% id="reveal-mean-cross-entropy"
reveal(objective.MeanCrossEntropy)

# %% [markdown] id="the-embedding-is-also-the-output"
# ### Why large initial weights start at 12.8 nats
# In the figure of section 2 the orange points stay at the same height whatever V is. The reason is that the embedding is also
# the output layer here (the head is *tied*). A hidden state still points along the embedding of the token that was just read,
# and with a table ten times as large that token gets a huge logit. Each row is certain that its own token comes again:

# %% id="own-token-repeats"
model = fresh(byte_config()).to(device)
ids = torch.randint(256, (4, 64), generator=seeded(2)).to(device)
with torch.no_grad():
    model.get_parameter("model.embed_tokens.weight").mul_(10.0)
    logits = model(ids).logits
own = logits.gather(-1, ids[..., None])
print(
    f"logit of the token just read: {own.mean():.1f}, typical size of a logit: {logits.std():.1f}"
)
print("the most likely next token is the one just read:", (logits.argmax(-1) == ids).all().item())

# %% [markdown] id="wrong-and-certain"
# It is right once in V times and otherwise loses about 12.8 nats, the gap between that logit and the others. Notebook
# [Softmax](04_softmax.ipynb) showed the same thing: being certain and wrong is expensive.

# %% [markdown] id="the-optimizer-of-the-library-does"
# ## Further: AdamW in place, and in a rotated valley
#
# The library's optimizer computes the update of section 4 in place, with one new tensor instead of many, and keeps m and v for
# each parameter:

# %% id="reveal-optimizer-adamw-step"
reveal(optimizer.adamw_step)

# %% [markdown] id="play-with-it"
# ### Play with it
# A valley a hundred times as steep across as along. Plain descent is stable only below 2 / 100. Move its rate across that
# limit. Then **rotate the valley**. Plain descent behaves the same, since it knows no coordinates. AdamW rescales coordinates
# separately, and the rotated valley runs diagonally to them. At 45° and the rate shown it loses. Before you conclude anything,
# move *its* rate to 0.5, or the number of steps to 100.

# %% id="explorers-training-valley"
explorers.training.valley()

# %% [markdown] id="who-decays"
# The loss of each method at 45°, for the rates and steps of the sliders:

# %% id="rotated-valley"
rotated, diagonal = descent.valley(100.0, 1.0, 45.0), torch.tensor([-4.0, 0.6]).double()
diagonal = torch.tensor([[1.0, -1.0], [1.0, 1.0]]).double() @ diagonal / math.sqrt(2)
for steps in (40, 100):
    ends = {"plain, rate 0.018": descent.sgd_path(rotated, diagonal, 0.018, steps)[-1]}
    for rate in (0.25, 0.5):
        path = descent.adamw_path(rotated, diagonal, rate, steps, (0.9, 0.98))
        ends[f"AdamW, rate {rate}"] = path[-1]
    found = {name: round(descent.height(end, rotated).item(), 2) for name, end in ends.items()}
    print(f"after {steps:3} steps:", found)

# %% [markdown] id="rotated-valley-read"
# Rotated, AdamW needs more steps or a higher rate, and then it wins again: momentum does not depend on the coordinates. A single
# comparison at one rate says little about two optimizers.

# %% [markdown] id="further-clipping"
# ## Further: clipping, and a batch in parts
#
# A gradient of two tensors with one number each. Move both numbers and the limit. When does clipping each tensor separately
# rotate the step most, and when not at all?

# %% id="explorers-training-clipping"
explorers.training.clipping()

# %% [markdown] id="parts-agree"
# Separate clipping keeps the direction only if it shortens both tensors by the same factor: if they are equally long, or within
# the limit.
#
# The number of parts is a setting of a run's plan. Two runs, four steps: with the batch in one piece and in three parts.

# %% id="weights"
weights = []
for parts in (1, 3):
    training = Training(
        fresh(byte_config(16)).to(device),
        tiny_decoders.mixed_batches(byte_row()),
        byte_plan(100, parts=parts),
    )
    for _ in range(4):
        training.step()
    weights.append(torch.cat([p.detach().flatten() for p in training.model.parameters()]))
print("one piece and three parts agree within 1e-4:", torch.allclose(*weights, atol=1e-4))

# %% [markdown] id="further-number-types"
# ## Further: number types in real runs
#
# Does it matter which numbers are stored in bfloat16? Three stored runs of one small model that differ only in this:

# %% id="show-figures-training-precision-byte-training"
show(figures.training.precision(tiny_decoders.stored_experiments()["precision"], every=20))

# %% [markdown] id="not-much-here-a-short-run"
# Not much here: this is a short run at a high rate, whose steps are longer than the gaps between the numbers of bfloat16. A long
# run ends at a small rate. Take weights of typical size and steps as long as the rate (AdamW's are), and count the weights that
# do not change at all:

# %% id="weight-torch-randn-500-generator-seeded"
weight = (torch.randn(500, generator=seeded(9)) * 0.05).bfloat16()
for rate in (5e-3, 5e-4, 5e-5):
    stuck = ((weight - rate).bfloat16() == weight).float().mean().item()
    print(f"rate {rate:.0e}: about {10 * round(10 * stuck)} % of the weights stay where they are")

# %% [markdown] id="what-it-gains-depends-on-the"
# What you gain in speed depends on the machine. GPUs with tensor cores gain most, on models that are large enough. Many CPUs have
# no units for bfloat16 and are slower with it. Yours:

# %% tags=["nbval-ignore-output"] id="for-autocast-in-false-true"
for autocast in (False, True):
    plan = byte_plan(100, autocast=autocast)
    tiny = fresh(byte_config()).to(device)
    training = Training(tiny, tiny_decoders.text_batches(byte_row()), plan)
    training.step()
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(3):
        training.step()
    synchronize(device)
    took = (time.perf_counter() - begin) / 3
    name = "bfloat16 products" if autocast else "float32"
    print(f"{name:18} {16 * 64 / took:10,.0f} tokens per second")

# %% [markdown] id="float16-has-more-digits-and-a"
# **float16 and loss scaling.** float16 has more digits than bfloat16 and a smaller range. There the small *gradients* are
# lost. The remedy is to multiply the loss by a large number before `.backward()` and divide the gradients by it afterwards:

# %% id="tiny-torch-tensor-2e-8"
tiny = torch.tensor(2e-8)
print("2e-8 in float16:            ", tiny.half().item())
print("scaled by 1024, then back:  ", f"{((tiny * 1024).half().float() / 1024).item():.1e}")
print("2e-8 in bfloat16, unscaled: ", f"{tiny.bfloat16().item():.1e}")

# %% [markdown] id="10-what-was-learned-in-bits"
# ## Further: the course's own model
#
# ### What was learned, in bits per byte
# A loss in nats per token cannot be compared between tokenizers. Bits per byte can (notebook
# [Language models](02_language_models.ipynb)). For several texts: add up all bits, add up all bytes, and divide once.
#
# By hand: a text of 6 bytes cost 3 bits, one of 2 bytes cost 8. Together 11 / 8 = **1.375** bits per byte. The mean of 0.5
# and 4 would be 2.25: the short text would count as much as the long one.
#
# ### Build it
# `log_probabilities` is a list with one tensor per text, the natural log-probabilities of its tokens; `texts` are the strings.
# Count bytes in UTF-8, and return a plain number.


# %% id="training.bits_per_byte"
@exercise("training.bits_per_byte")
def pooled_bits_per_byte(log_probabilities, texts):
    """Return the bits per byte of all texts together, from the log-probabilities of their tokens."""
    ...


# %% id="reveal-training-bits-per-byte"
reveal("training.bits_per_byte")

# %% [markdown] id="the-course-s-own-model-beside"
# The course's own model beside a compressor that has read the training documentation. The text is held out; neither has seen
# it. (The comparison is not quite fair: the model has read the library's sources too, and its weights are not counted.) The model
# reads the text in windows that overlap by half, so that no token is scored with little context.

# %% id="model-tokenizer-course-model-course-tokenizer"
import lzma

model, tokenizer = copy.deepcopy(course_model()).to(device), course_tokenizer()
text = corpus.held_out_text(1500)
ids = tokenizer.encode_ordinary(text)
separator = tokenizer.special_tokens["<|endoftext|>"]
scores = evaluation.token_log_probabilities(model, ids, separator).cpu()
bits = evaluation.pooled_bits_per_byte([scores], [text])
before = corpus.train_text().encode()
added = len(lzma.compress(before + text.encode())) - len(lzma.compress(before))
packed = 8 * added / len(text.encode())
print("fewer bits than lzma after the training text:", bits < packed)
print("a byte needs less than a third of its 8 bits: ", bits < 8 / 3)

# %% [markdown] id="how-it-was-trained"
# ### How it was trained
# The recipe is one object, and one command trains the model from scratch: `course train --recipe course-model`. A smaller one,
# `--recipe quick`, takes some minutes; both can be killed and resumed. The progress bar lets you watch the drop of section 9: the loss
# on repeats falls while the induction score rises. (In the run that is stored, a third of the way: see its log below.)

# %% id="plan-course-model-plan"
plan = COURSE_MODEL.plan
print(
    f"{COURSE_MODEL.layers} layers of width {COURSE_MODEL.hidden_size}, vocabulary {COURSE_MODEL.vocab_size}"
)
print(
    f"a batch: {COURSE_MODEL.text_rows} crops of text, {COURSE_MODEL.repeat_rows} repeats, {COURSE_MODEL.context} tokens each"
)
print(
    f"rate up to {plan.peak} in {plan.warmup} steps, then down to {plan.final}; decay {plan.weight_decay}, clipped to {plan.max_norm}"
)
print("text:", dict(COURSE_MODEL.shares))

# %% [markdown] id="model-card"
# The *model card* describes the run. Every trained model should come with such a page: what it was trained on and why, how, on
# which machine and for how long, and how it scores beside simpler models. Bits per byte can only be compared on the same text,
# the one that the card names. Its last two lines measure whether the model's heads look things up.

# %% id="card-folder-readme-md-read-text"
card = (FOLDER / "README.md").read_text(encoding="utf-8")
print(card[card.index("## What it was trained on") :])

# %% [markdown] id="the-same-run-longer-and-stored"
# ### Its log
# Walk along it. At first the repeats become *worse* than ln 2048 = 7.6, the loss of a uniform guess. Two things push in that
# direction: text teaches which tokens are common, which is wrong for random ones; and this run had a curriculum, in which the
# repeats used 64 different tokens at first and all 2048 only from step 2500 on. The log cannot tell the two apart.
#
# Early on a head attends to the previous token, which helps with text, and gives it up again. Later such a head and one in a
# later layer, which uses what the first one wrote, appear *together*. The shaded steps are those of the drop.

# %% tags=["nbval-ignore-output"] id="explorers-training-phase-change"
explorers.training.phase_change()

# %% id="looks-training-log"
looks = training_log()
before, after = figures.training.runs.cliff(looks)
print("induction rises in the same steps:", after["induction"] > before["induction"] + 0.3)
print(
    "the loss on text falls throughout: ",
    looks[-1]["bits per byte"] < before["bits per byte"] < looks[0]["bits per byte"],
)

# %% [markdown] id="curriculum-read"
# ### Did its curriculum help?
# The hope was that a few tokens, met often, are easier to tell apart. The live run of section 9, with all 256 bytes from the
# start and with 32 of them growing to 256 by step 300:

# %% id="curriculum"
for run in tiny_decoders.stored_experiments()["curriculum"]:
    kind = "32 bytes at first" if run["growth"] else "all bytes at once"
    print(
        f"seed {run['seed']}, {kind}: repeat loss {run['repeat loss']:.2f}, induction {run['induction']:.2f}"
    )

# %% [markdown] id="further-end"
# For all three seeds the curriculum does harm, and one of them does not reach the drop within 900 steps. These runs do not show
# why, and nobody has trained the course's own model, with its 2048 tokens, without its curriculum.

# %% [markdown] id="further-our-law"
# ## Further: the best size by our own law
#
# > **Predict.** Our own law rests on bytes, on models of ten to a hundred thousand parameters, and on at most ten times as many
# > bytes as the largest has parameters. Will it ask for more than 20 bytes per parameter, or fewer?

# %% id="explorers-training-best-size"
explorers.training.best_size()

# %% [markdown] id="a-smaller-model-and-more-text"
# Hundreds of bytes per parameter: the best point lies left of the thick part, where our runs were. Do not believe it. With β as
# small as ours, and only fifteen untuned runs, the law is extrapolated to models smaller than any that we trained. What to take
# from it is the method: fit, pick the best size, and then train *that* model, because only a measurement can confirm a law.

# %% [markdown] id="further"
# ## Further: schedules, Muon, batch size
#
# Three comparisons, each over several peak rates and three seeds, all on our small model. A difference smaller than the bars is
# no difference.
#
# **Warm-up, stable, decay (WSD).** A cosine must know the number of steps in advance. WSD (Hu et al. 2024) stays at the peak and
# falls only over the last part, here a fifth. A run can then be continued from the stable part for as long as you like.
#
# > **Predict.** How much is the fall at the end worth, compared with a constant rate?

# %% id="schedule-sweep"
show(figures.training.sweep(sweeps.stored_sweeps()["schedules"], "schedule", "schedule"))

# %% [markdown] id="muon-text"
# The fall at the end is worth a few hundredths of a nat, and falling too early costs more than that: in this run of 300 steps the
# best constant rate even beats the best cosine, since every step at a low rate makes less progress. WSD is best here. Hu et al.
# (2024) report that in long runs it is as good as a cosine of the right length.
#
# **Muon** (Jordan et al. 2024) treats a weight matrix as a whole. Its step is the momentum with all singular values set to about
# 1, so that every direction of the matrix moves equally far. Five iterations of three matrix products each come close enough:

# %% id="muon-check"
m = torch.randn(24, 40, generator=seeded(3)) @ torch.diag(torch.logspace(0, -2, 40))
step = muon.newton_schulz(m)
print("singular values of the momentum:", rounded(torch.linalg.svdvals(m)[[0, -1]], 2))
values = torch.linalg.svdvals(step)
print("of the step: all between 0.6 and 1.3:", bool((values > 0.6).all() and (values < 1.3).all()))
stored = sweeps.stored_sweeps()
both = [{"optimizer": "AdamW", **run} for run in stored["rates"] if run["warmup"] == 20]
both += [{"optimizer": "Muon", **run} for run in stored["muon"]]
show(figures.training.sweep(both, "optimizer", "optimizer"))

# %% [markdown] id="batch-text"
# Muon ends about 0.3 nats lower, at rates at which AdamW no longer improves. (Its best rate is the highest that was tried.) It
# also needs only one moment instead of two, and pays with matrix products in every step, whose cost does not depend on the
# batch. Do not generalize from 150 steps of a tiny model: whether a new optimizer wins at scale, with both rates tuned, has to
# be measured at scale.
#
# **Batch size.** The same 154 thousand tokens, in batches of 4, 16 or 64 rows, which makes 600, 150 or 37 steps.
#
# > **Predict.** Which batch size reaches the lowest loss for the same tokens, and which needs the highest rate?

# %% id="batch-sweep"
show(figures.training.sweep(sweeps.stored_sweeps()["batches"], "rows", "rows per batch"))

# %% [markdown] id="curriculum-text"
# For the same tokens the smallest batch wins clearly: it takes sixteen times as many steps as the largest. Large batches give a
# less noisy gradient, but here the number of steps counts more. They pay off in *time*, because a device processes a large batch
# more efficiently (section 8) and many devices can share it. The largest batch needs a higher rate (0.016) than the smallest
# (0.008), but by no means one sixteen times as high; the curve of 16 rows is flat within its bars.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Row t is scored at token t + 1; padding leaves the sum and the count. The first loss is ln V, and a model can memorize one
#    batch. If not, stop and look.
# 2. AdamW moves each weight by about the learning rate, whatever the size of its gradient. Correct both means, add ε after the
#    root, and let decay act on the weight itself.
# 3. Tune the peak rate first; warm up, then follow a cosine. Clip by the norm of all tensors together. Parts of a batch count by
#    their targets.
# 4. Products in bfloat16, weights and moments in float32: 16 bytes per parameter, 6 FLOPs per parameter and token. A resumed run
#    needs weights, m and v, the step and the generator.
# 5. An ability can appear all at once, where two parts need each other. The loss falls as a power of size and data; about 20
#    tokens per parameter make the best use of a training budget.
#
# ### Test yourself

# %% id="quiz-training"
quiz("training")

# %% [markdown] id="papers"
# ### Papers
# - Kingma & Ba 2015, *Adam: a method for stochastic optimization*, arXiv:1412.6980.
# - Loshchilov & Hutter 2019, *Decoupled weight decay regularization*, arXiv:1711.05101; 2017, *SGDR*, arXiv:1608.03983, on
#   the cosine.
# - Pascanu, Mikolov & Bengio 2013, *On the difficulty of training recurrent neural networks*, arXiv:1211.5063, on clipping.
# - Micikevicius et al. 2018, *Mixed precision training*, arXiv:1710.03740.
# - Olsson et al. 2022, *In-context learning and induction heads*, arXiv:2209.11895, on the phase change.
# - Kaplan et al. 2020, *Scaling laws for neural language models*, arXiv:2001.08361; Hoffmann et al. 2022, *Training
#   compute-optimal large language models*, arXiv:2203.15556; Besiroglu et al. 2024, *Chinchilla scaling: a replication attempt*,
#   arXiv:2404.10102.
# - Hu et al. 2024, *MiniCPM*, arXiv:2404.06395, on WSD; Jordan et al. 2024, *Muon: an optimizer for hidden layers in neural
#   networks* (blog post); Liu et al. 2025, *Muon is scalable for LLM training*, arXiv:2502.16982.
#
# **Next:** [Generation](12_generation.ipynb), where probabilities become text.
