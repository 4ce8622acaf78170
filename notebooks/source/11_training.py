# %% [markdown] id="11-training"
# # 11 · Training
#
# **How does a pile of text become weights?**
#
# You have built every part of a decoder. Its weights so far were random, or somebody else's. Here you make your own. Nothing
# about it is mysterious: show the model a text, ask how surprised it is at each next token, and change every weight a little
# so that it is less surprised. Most of the craft is in *how much* and *in which way*, and in noticing when it goes wrong.
#
# After this notebook you can
# - write the objective with its shift and its padding, and say what the first loss must be;
# - write AdamW, the learning-rate schedule and clipping, each identical to the library that people use;
# - compute a large batch in parts, and train in mixed precision, without changing what is learned;
# - resume a killed run bit for bit;
# - train a model while you watch, see the moment when it learns to look things up, and foretell what a larger one will
#   reach.
#
# About 120 minutes. You need Python and a little PyTorch; nothing is downloaded. One cell trains for half a minute or more;
# the numbers of such cells differ a little from machine to machine.

# %% id="imports"
import lzma
import math
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

from course_lib import corpus
from course_lib.chapters.training import answers, tiny_decoders
from course_lib.chapters.training.tiny_decoders import byte_config, byte_plan, byte_row, fresh
from course_lib.device import seeded

# %% id="imports-2"
from course_lib.pretrained import FOLDER, course_model, course_tokenizer, training_log
from course_lib.softmax import cross_entropy
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.display.live_curve import LiveCurve, steps_here
from course_lib.training import data, descent, evaluation, gradients, objective, optimizer, scaling
from course_lib.training.loop import Training
from course_lib.training.recipes import COURSE_MODEL
from course_lib.training.schedule import cosine_rate
from course_lib.training.training_state import resume_training, save_training

# %% [markdown] id="1-the-objective"
# ## 1 · The objective
#
# A decoder reads T tokens and returns T rows of logits. Row t has seen the tokens 0 … t, and it is the model's guess at
# token t + 1. So one text of T tokens holds T − 1 exercises at once, and the causal mask sees to it that no row can look up
# its answer.
#
# > **Predict.** Four tokens go in: "The cat sat down". Four rows of logits come out. How many of them can be scored, and row
# > 0 at which token?

# %% id="show-figures-training-shift-the-cat"
show(figures.training.shift(["The", " cat", " sat", " down"]))

# %% [markdown] id="the-loss-is-the-mean-surprise"
# The loss is the mean surprise over the rows that have something to be scored at:
#
# $$\ell = \frac{\sum_{t\ \text{counted}} -\log p_t(\text{id}_{t+1})}{\text{number of counted}\ t}$$
#
# Texts differ in length, and a batch is a rectangle, so short texts are filled up with *padding*. Padding is not to be
# learned. It must disappear from the sum **and** from the number that divides it.
#
# By hand: a model gives the three next tokens the probabilities ½, ¼ and ⅛, so the surprises are 0.693, 1.386 and 2.079. If
# the last one is padding, the loss is (0.693 + 1.386) / 2 = **1.040**. Divide by 3 instead, and the same model looks better:
# 0.693.

# %% id="surprises-torch-tensor-1-2-1"
surprises = -torch.tensor([1 / 2, 1 / 4, 1 / 8]).log()
print("surprises:            ", rounded(surprises))
print("mean of the first two:", rounded(surprises[:2].mean()))
print("divided by all three: ", rounded(surprises[:2].sum() / 3))
show(
    figures.training.shift(["def", " f", "(", ")", ":", "<pad>", "<pad>"], [True] * 5 + [False] * 2)
)

# %% [markdown] id="build-it"
# ### Build it
# `counted`, where it is given, is True at the ids that are to be foretold. It is shifted together with them. Chapter [Softmax](04_softmax.ipynb)'s
# `cross_entropy(logits, targets)`, for rows (N, V), is on your desk.


# %% id="training.next_token_loss"
@exercise("training.next_token_loss")
def next_token_loss(logits, ids, counted=None):
    """Return the mean surprise, in nats, at each next id that counts."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run the cell twice.

# %% id="reveal-training-next-token-loss"
reveal("training.next_token_loss")

# %% [markdown] id="checked-against-the-real-thing"
# `MeanSurprise` is chapter [Softmax](04_softmax.ipynb)'s cross-entropy with the gradient that you derived there, p − onehot, written as a formula: the
# logits are the largest tensor of a training step, and autograd would go over them a dozen times.
#
# ### Checked against the real thing
# PyTorch leaves out every target that is −100. `transformers` sets them so, and shifts inside the model.

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
# ## 2 · The first number
#
# The model of this chapter is a Qwen3 in everything but size (notebook [The whole transformer](08_transformer.ipynb)): two layers of width 64, about a hundred thousand
# parameters. Its tokens are bytes, so V is 256. `byte_config` is its configuration, and `fresh` makes it with its first, random
# weights, the same each time.
#
# > **Predict.** Fresh from the factory, it sees its first batch, of random bytes. What is its loss?


# %% id="first-loss"
def first_loss(vocabulary, scale=1.0):
    model = fresh(replace(byte_config(), vocab_size=vocabulary))
    with torch.no_grad():
        model.get_parameter("model.embed_tokens.weight").mul_(scale)
        ids = torch.randint(vocabulary, (4, 64), generator=seeded(2))
        return objective.next_token_loss(model(ids).logits, ids).item()


print(f"the first loss with a vocabulary of 256: {first_loss(256):.2f} nats")

# %% [markdown] id="it-knows-nothing-so-it-finds"
# It knows nothing, so it finds all tokens about equally likely, and each costs $\ln V$. Here ln 256 = **5.545**. That is the
# first check of every run. It costs one batch and finds many faults: too large a start, a forgotten scale, a model that can
# see the answer. Other vocabularies, and a start that is too large:

# %% id="sizes-64-256-1024-4096"
sizes = (64, 256, 1024, 4096)
losses = {
    "as the course begins": {size: first_loss(size) for size in sizes},
    "embedding ten times as large": {size: first_loss(size, 10.0) for size in sizes},
}
show(figures.training.first_losses(losses))

# %% [markdown] id="the-embedding-is-also-the-output"
# The embedding is also the output layer here (the head is *tied*), so a table ten times as large gives logits ten times as
# large: a model that is sure of itself before it has seen anything, and pays for it.

# %% [markdown] id="3-the-loop"
# ## 3 · The loop
#
# A gradient says in which direction the loss grows. Take a step the other way, ask again, go on. That is all:
#
# $$w \leftarrow w - \text{rate} \cdot \frac{\partial \ell}{\partial w}$$
#
# By hand: the model is w · x with w = 2, and for x = 3 the answer should be 1. It says 6, the squared error is 25, its slope
# in w is 2 · 5 · 3 = 30. With a rate of 0.1 the weight goes from 2 to 2 − 3 = **−1**.
#
# > **Predict.** In PyTorch `loss.backward()` puts the slope into `w.grad`. You call it for two batches in a row whose slopes
# > are 30 and 30. What is in `w.grad`?

# %% id="w-torch-tensor-2-0-requires"
w = torch.tensor([2.0], requires_grad=True)
for _ in range(2):
    (w * 3 - 1).square().sum().backward()
    print("w.grad:", w.grad.item())

# %% [markdown] id="build-it-2"
# It adds up. That is useful (section 6), and the cause of one of the oldest mistakes: somebody must empty it before the next
# batch.
#
# ### Build it
# The loop of all training, for a model so small that its loss fits on one line. `batches` is a list of pairs (x, y).


# %% id="training.descend"
@exercise("training.descend")
def descend(weight, batches, rate):
    """Return the weights after one step for each batch; the loss is mean((x @ weight - y)²)."""
    ...


# %% id="reveal-training-descend"
reveal("training.descend")

# %% [markdown] id="overfit-one-batch-first"
# ### Overfit one batch first
# Before you spend hours, spend seconds: train on *one* batch, over and over. A model with more parameters than the batch has
# tokens can learn it by heart. If it cannot, something is broken, and no amount of data will mend it.
#
# The steps are those of AdamW, which section 4 takes apart; here it is enough that each goes downhill.
#
# > **Predict.** Two loops. One scores row t at token t + 1. The other forgot the shift. Which of them gets to a lower loss?


# %% id="by-heart"
def by_heart(ids, shifted, steps=60):
    model, losses = fresh(byte_config()), []
    adamw = optimizer.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        logits = model(ids).logits
        unshifted = cross_entropy(logits.flatten(0, 1), ids.flatten())
        loss = objective.next_token_loss(logits, ids) if shifted else unshifted
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(loss.item())
    return model, losses


batch = data.random_crops(byte_row(), 4, 64, seeded(3))
right, right_losses = by_heart(batch, shifted=True)
wrong, wrong_losses = by_heart(batch, shifted=False)

# %% tags=["nbval-ignore-output"] id="curves-shifted-by-one-right-losses"
curves = {"Shifted by one": right_losses, "Not shifted": wrong_losses}
show(figures.training.one_batch(curves, objective.expected_initial_loss(256)))

# %% [markdown] id="the-one-with-the-mistake-looks"
# The one with the mistake looks better, and that is what makes it dangerous. It has learned to repeat the token that it just
# read. A loss that is too good is as suspicious as one that does not fall.
#
# Look at the first step too. The wrong one *begins* below ln V. Since the head is tied, a row's logits point a little to the
# token that it has just read, before anything is learned. The right one gains from that only where a byte stands twice in a
# row, as the spaces of an indentation do. Ask both to go on with the text that they learned
# by heart:

# %% id="with-torch-no-grad"
with torch.no_grad():
    for name, model in (("shifted", right), ("not shifted", wrong)):
        said = model(batch).logits.argmax(-1)
        next_right = (said[:, :-1] == batch[:, 1:]).float().mean().item()
        own_again = (said == batch).float().mean().item()
        print(
            f"{name:12} more than 4 of 5 next bytes right: {next_right > 0.8}, "
            f"repeats its input: {own_again > 0.8}"
        )

# %% [markdown] id="4-adamw"
# ## 4 · AdamW
#
# Plain descent has one rate for all weights. Where the loss is a long valley, steep across and flat along its floor, no rate
# fits: more than 2 / steepness, and it jumps from wall to wall, higher each time; less, and it crawls along the floor.
#
# Adam (Kingma & Ba 2015) gives each weight a step of its own size. It keeps two running means for each weight: m of the
# gradient, v of its square. m / √v is about ±1 where the gradient keeps its sign, and small where it only trembles. AdamW
# (Loshchilov & Hutter 2019) adds weight decay, in the right place:
#
# $$m = \beta_1 m + (1-\beta_1) g \qquad v = \beta_2 v + (1-\beta_2) g^2$$
# $$\hat m = \frac{m}{1-\beta_1^t} \qquad \hat v = \frac{v}{1-\beta_2^t} \qquad
# p = p - \text{rate}\cdot\lambda\, p - \text{rate}\cdot\frac{\hat m}{\sqrt{\hat v}+\epsilon}$$
#
# > **Predict.** One weight has a gradient of 0.001, another one of 1000. Both take their first step with a rate of 0.1,
# > without decay. How far does each go?

# %% id="weights-zero-torch-zeros-2-torch"
weights, zero = torch.zeros(2), torch.zeros(2)
steep = torch.tensor([0.001, 1000.0])
moved, m, v = optimizer.adamw_update(weights, steep, zero, zero, 1, rate=0.1)
print("gradients:", [round(g, 3) for g in steep.tolist()], " moved by:", rounded(moved))

# %% [markdown] id="by-hand-for-g-1000-m"
# By hand, for g = 1000: m = 0.1 · 1000 = 100 and v = 0.001 · 1 000 000 = 1000. Corrected for t = 1 they become 100 / 0.1 =
# 1000 and 1000 / 0.001 = 1 000 000, whose root is 1000. The quotient is **1**, the step 0.1. For 0.001 it comes out the
# same.
#
# Two letters are left. **λ** is the strength of the decay: with a rate of 0.1 and λ = 0.5 a weight of 2 loses 0.1 · 0.5 · 2 =
# **0.1** in a step, whatever its gradient. **ε** keeps the quotient finite where v is 0, as for a token that never came: 0 / (0 +
# ε) = 0. It stands *beside* the root. Inside, ε = 10⁻⁸ would act like √10⁻⁸ = 10⁻⁴, which is more than many gradients of a
# large model.

# %% [markdown] id="why-the-correction"
# ### Why the correction
# m and v begin at 0, so at first they are too small, and not by the same factor. Dividing by $1-\beta^t$ makes each exactly
# right if the gradient stays what it is. Set β₂ to 0.999, PyTorch's default, and to 0.95, which is usual for language
# models, and see what would happen without it.

# %% id="explorers-training-bias-correction"
explorers.training.bias_correction()

# %% [markdown] id="build-it-3"
# ### Build it
# Return three new tensors: the parameter, m and v. The m and v that you return are the running means themselves; the
# corrected ones are used in this step only.


# %% id="training.adamw"
@exercise("training.adamw")
def adamw_update(
    parameter, gradient, m, v, step, rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01
):
    """Return (parameter, m, v) after one step; `step` counts from 1."""
    ...


# %% id="reveal-training-adamw"
reveal("training.adamw")

# %% [markdown] id="the-optimizer-of-the-library-does"
# The optimizer of the library does the same in place, without making new tensors, and keeps m and v for each parameter:

# %% id="reveal-optimizer-adamw-step"
reveal(optimizer.adamw_step)

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

# %% [markdown] id="play-with-it"
# ### Play with it
# A valley a hundred times as steep across as along. Plain descent is stable only below 2 / 100. Move its rate across that
# limit. Then **turn the valley**: plain descent takes no notice, for it knows no coordinates. AdamW loses its advantage,
# because it can scale each coordinate, and the valley lies between them.

# %% id="explorers-training-valley"
explorers.training.valley()

# %% [markdown] id="who-decays"
# So AdamW is no magic. It helps with models because their tensors have gradients of very different size, each along
# coordinates of its own: embeddings of rare tokens, norms, matrices in different layers.
#
# ### Who decays
# Decay pulls weights towards zero. For matrices that keeps them from growing without need. A gain of a norm does its work at
# the size that it has. So two groups:

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
# ## 5 · How fast, when
#
# Two observations, both found by trying. A new model learns best if the rate **rises from 0** over the first steps: its
# first gradients all point to the same few facts (most tokens never occur), and v has seen too little to know how large
# gradients are. And it ends best if the rate **falls** towards the end, so that the weights settle instead of trembling.
#
# $$\text{rate}(s) = \begin{cases}\text{peak}\cdot s/\text{warmup} & s < \text{warmup}\\[2pt]
# \text{final} + (\text{peak}-\text{final})\cdot\tfrac12\big(1+\cos(\pi\,\tfrac{s-\text{warmup}}{\text{steps}-\text{warmup}})\big) & \text{after}\end{cases}$$
#
# By hand, with a peak of 2, a final rate of 0.2, 10 steps of warm-up and 110 in all: step 3 has 2 · 0.3 = **0.6**. Step 60
# is half way down, and the cosine of 90° is 0, so it has 0.2 + 1.8 · ½ = **1.1**.
#
# > **Predict.** And step 35, a quarter of the way down: above or below a straight line's 1.55?

# %% id="for-step-in-0-3-10"
for step in (0, 3, 10, 35, 60, 109, 110, 140):
    rate = cosine_rate(step, warmup=10, steps=110, peak=2.0, final=0.2)
    print(f"step {step:3}: {rate:.4f}")

# %% [markdown] id="build-it-4"
# ### Build it


# %% id="training.schedule"
@exercise("training.schedule")
def learning_rate(step, *, warmup, steps, peak=1.0, final=0.0):
    """Return the learning rate of a step, counted from 0."""
    ...


# %% id="reveal-training-schedule"
reveal("training.schedule")

# %% id="sgd-torch-optim-sgd-torch-zeros"
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
# ## 6 · Gradients, cut and added up
#
# Now and then a batch has a gradient a hundred times as long as usual. One such step can undo a thousand. *Clipping*
# shortens it: measure the length of all gradients taken as **one long vector**, and if it is above the limit, multiply all
# of them by the same number.
#
# $$\text{norm} = \sqrt{\textstyle\sum_{\text{tensors}} \lVert g\rVert^2} \qquad g \leftarrow g\cdot\min\!\big(1,\ \tfrac{\text{limit}}{\text{norm}}\big)$$
#
# By hand: two tensors with one number each, 3 and 4. Together they are 5 long. For a limit of 1 both are divided by 5: **0.6
# and 0.8**.
#
# > **Predict.** What would become of 3 and 4 if each tensor were clipped by itself, and what does that do to the direction
# > of the step?

# %% id="pair-torch-tensor-3-0-torch"
pair = [torch.tensor([3.0]), torch.tensor([4.0])]
print("by the norm of all:", [round(g.item(), 3) for g in gradients.clipped(pair, 1.0)])
print("each by itself:    ", [round(gradients.clipped([g], 1.0)[0].item(), 3) for g in pair])

# %% id="explorers-training-clipping"
explorers.training.clipping()

# %% [markdown] id="build-it-5"
# ### Build it
# A list of tensors in, a list of new tensors out.


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
# The batch that you want does not fit into memory? Compute it in parts. `backward()` adds up, so nothing else is needed, but
# for the *weights of the parts*. Each part's loss is a mean over its own tokens; the loss that you want is a mean over all.
#
# > **Predict.** One part has 1 counted token, and its gradient is 6. Another has 9, and its gradient is 1. What is the
# > gradient of the mean over all ten tokens?

# %% id="parts-torch-tensor-6-0-torch"
parts = [torch.tensor(6.0), torch.tensor(1.0)]
print("by their tokens:", round(answers.accumulated(parts, [1, 9]).item(), 3))
print("as if alike:    ", answers.accumulated(parts, [5, 5]).item())

# %% [markdown] id="build-it-6"
# One token of ten and nine of ten: 6 · 0.1 + 1 · 0.9 = **1.5**, and not 3.5, the mean of the two.
#
# ### Build it


# %% id="training.accumulate"
@exercise("training.accumulate")
def accumulated(gradients, counts):
    """Return the gradient of the mean over all counted tokens, from those of the parts' means."""
    ...


# %% id="reveal-training-accumulate"
reveal("training.accumulate")

# %% [markdown] id="the-loop-of-the-library-takes"
# The loop of the library takes the number of parts as part of its plan. Two runs, four steps: in one piece and in three
# parts.

# %% id="weights"
weights = []
for parts in (1, 3):
    training = Training(
        fresh(byte_config(16)), tiny_decoders.mixed_batches(byte_row()), byte_plan(100, parts=parts)
    )
    for _ in range(4):
        training.step()
    weights.append(torch.cat([p.detach().flatten() for p in training.model.parameters()]))
print("one piece and three parts agree within 1e-4:", torch.allclose(*weights, atol=1e-4))

# %% [markdown] id="7-mixed-precision"
# ## 7 · Mixed precision
#
# A product of matrices in bfloat16 needs half the memory traffic of float32, and chips that have units for it compute it
# many times as fast. Can we do everything in bfloat16?

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
# In bfloat16 it never leaves 1: the next number is 1.0078, and 1.001 is rounded back, a thousand times. float16 comes near 2:
# its numbers lie 0.00098 apart here, so it takes each step a little short. So *weights, m, v
# and the loss stay in float32*, and only the products are computed in bfloat16. PyTorch's `autocast` chooses, operation by
# operation:

# %% id="layer-x-torch-nn-linear-8"
layer, x = torch.nn.Linear(8, 8), torch.randn(2, 8, generator=seeded(6))
with torch.autocast("cpu", torch.bfloat16):
    y = layer(x)
    loss = F.cross_entropy(y, torch.tensor([3, 5]))
loss.backward()
print(
    "weight:",
    layer.weight.dtype,
    " product:",
    y.dtype,
    " loss:",
    loss.dtype,
    " gradient:",
    layer.weight.grad.dtype,
)

# %% [markdown] id="float16-has-more-digits-and-a"
# float16 has more digits and a smaller range. There it is the small *gradients* that get lost, and the remedy is to multiply
# the loss by a large number before `backward()` and divide the gradients by it afterwards (*loss scaling*):

# %% id="tiny-torch-tensor-2e-8"
tiny = torch.tensor(2e-8)
print("2e-8 in float16:            ", tiny.half().item())
print("scaled by 1024, then back:  ", f"{((tiny * 1024).half().float() / 1024).item():.1e}")
print("2e-8 in bfloat16, unscaled: ", f"{tiny.bfloat16().item():.1e}")

# %% [markdown] id="and-does-it-matter-three-stored"
# And does it matter? Three stored runs of one small model, equal but for the types:

# %% id="show-figures-training-precision-byte-training"
show(figures.training.precision(tiny_decoders.stored_experiments()["precision"], every=20))

# %% [markdown] id="not-much-here-a-short-run"
# Not much, here: a short run at a high rate, whose steps are longer than the gaps between the numbers of bfloat16. A long run ends
# at a small rate. Take weights of usual size and steps as long as the rate (AdamW's are), and count the weights that do not move
# at all:

# %% id="weight-torch-randn-500-generator-seeded"
weight = (torch.randn(500, generator=seeded(9)) * 0.05).bfloat16()
for rate in (5e-3, 5e-4, 5e-5):
    stuck = ((weight - rate).bfloat16() == weight).float().mean().item()
    print(f"rate {rate:.0e}: about {10 * round(10 * stuck)} % of the weights stay where they are")

# %% [markdown] id="what-it-gains-depends-on-the"
# What it gains depends on the machine. Many CPUs have no units for bfloat16, and are slower with it. Yours:

# %% tags=["nbval-ignore-output"] id="for-autocast-in-false-true"
import time

for autocast in (False, True):
    plan = byte_plan(100, autocast=autocast)
    training = Training(fresh(byte_config()), tiny_decoders.text_batches(byte_row()), plan)
    training.step()
    begin = time.perf_counter()
    for _ in range(5):
        training.step()
    took = (time.perf_counter() - begin) / 5
    print(
        f"{'bfloat16 products' if autocast else 'float32':18} {16 * 64 / took:10,.0f} tokens per second"
    )

# %% [markdown] id="8-train-one"
# ## 8 · Train one
#
# Now all of it together. First the data: one long row of tokens in a file, mapped into memory, so that a row of many
# gigabytes costs only what is read of it. The tokens here are bytes: a vocabulary of 256, and nothing to prepare.

# %% id="folder-path-tempfile-mkdtemp"
folder = Path(tempfile.mkdtemp())
documents = [list(document.text.encode()) for document in corpus.documentation()[:3]]
total = data.write_tokens(folder / "bytes.tokens", documents, separator=0)
row = data.read_tokens(folder / "bytes.tokens")
print("two bytes for each token:", (folder / "bytes.tokens").stat().st_size == 2 * total)
crops = data.random_crops(row, 2, 24, seeded(7))
print("crops:", tuple(crops.shape), crops.dtype)

# %% [markdown] id="a-crop-begins-anywhere-text-alone"
# A crop begins anywhere. Text alone would do. But we want to watch a particular ability appear, so two thirds of each batch
# are *random bytes that repeat*. No one can know a random byte the first time. The second time one can, by looking up what
# came after it before: that is what an induction head does (notebook [Attention](05_attention.ipynb)). Only the repetition counts in the loss.

# %% id="repeats-data-repeated-ids-2-16"
repeats = data.repeating_batch(2, 16, (4, 6), torch.arange(256), seeded(8))
for ids, known in zip(*repeats, strict=True):
    print(" ".join(f"{i:3}" for i in ids.tolist()))
    print(" ".join("  ^" if k else "   " for k in known.tolist()))

# %% [markdown] id="predict-which-falls-first-the-loss"
# > **Predict.** Which falls first: the loss on text, or the loss on repeats? And how: slowly, or all at once?
#
# A Qwen3-shaped model of about a hundred thousand parameters, two layers. On a quiet machine it takes less than a minute. You can
# interrupt it (the square ■ above) and keep what is there. In this stored copy it was stopped early; run the cell to see it
# live. Below it is the picture that a whole run leaves. Both losses are of bytes that the model was not trained on.

# %% tags=["nbval-ignore-output"] id="steps-steps-here-patient-600-hurried"
steps = steps_here(patient=900, hurried=30)
training = Training(fresh(byte_config()), tiny_decoders.mixed_batches(byte_row()), byte_plan(steps))
bar = tqdm(total=steps, unit="step", file=sys.stdout)
with LiveCurve(lambda looks: figures.training.live(looks, steps)) as curve:
    for record in tiny_decoders.watched(training, steps, every=10):
        bar.update(record["step"] - bar.n)
        curve(record)
bar.close()

# %% id="show-figures-training-live-byte-training"
show(figures.training.live(tiny_decoders.stored_experiments()["live"], 900))

# %% [markdown] id="text-first-and-little-by-little"
# Text first, and little by little: which bytes are common, which follow which. On the repeats hardly anything happens for five
# hundred steps. Then the loss falls within a hundred or two, and in the same steps the score of the best induction head rises.

# %% [markdown] id="one-step-in-the-library"
# One step, in the library:

# %% id="reveal-training-step"
reveal(Training.step)

# %% [markdown] id="the-same-run-longer-and-stored"
# And this is the long run that made the course's own model, as it was logged. Walk along it. The repeats are drawn from all its
# 2048 tokens, so at first they become *worse* than ln 2048 = 7.6: what text teaches about likely tokens is wrong for random
# ones. Early on a head looks one token back, which helps with text, and gives it up again. For the repeats that alone is of no
# use. Then such a head and one in a later layer, which looks for what the first one left, come up *together*: each makes the
# other's gradient larger, and the loss falls off a cliff (Olsson et al. 2022 call it a phase change).
#
# The cliff of your own run, above, is less steep, but it is the same one: both scores rise while the loss falls.

# %% tags=["nbval-ignore-output"] id="explorers-training-phase-change"
explorers.training.phase_change()

# %% [markdown] id="9-stop-and-go-on-exactly"
# ## 9 · Stop, and go on exactly
#
# Runs get killed. To go on as if nothing had happened, *everything that decides what comes next* must be in the file.
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
    second.done = resume_training(path, **parts)  # what is forgotten goes to the spare
    for _ in range(3):
        second.step()
    pairs = zip(second.model.parameters(), whole.model.parameters(), strict=True)
    return all(torch.equal(p, q) for p, q in pairs)


print("everything resumed:     ", goes_on())
print("without m and v:        ", goes_on("optimizer"))
print("without the generator:  ", goes_on("generator"))

# %% [markdown] id="10-what-was-learned-in-bits"
# The last two are the ones that nobody notices: the curve goes on with a small bump, or none. Without the generator the run
# sees its first batches again.
#
# ## 10 · What was learned, in bits per byte
#
# A loss in nats per token cannot be compared between tokenizers. Bits per byte can (notebook [Language models](02_language_models.ipynb)). For many texts together:
# add up all bits, add up all bytes, and divide once.
#
# By hand: a text of 6 bytes cost 3 bits, one of 2 bytes cost 8. Together 11 / 8 = **1.375** bits per byte. The mean of 0.5
# and 4 would be 2.25: the short text would count as much as the long one.


# %% id="training.bits_per_byte"
@exercise("training.bits_per_byte")
def pooled_bits_per_byte(log_probabilities, texts):
    """Return the bits for one byte of all texts; the log-probabilities of their tokens are natural."""
    ...


# %% id="reveal-training-bits-per-byte"
reveal("training.bits_per_byte")

# %% [markdown] id="the-course-s-own-model-beside"
# The course's own model beside a compressor that has read the training documentation. The text is held out; neither has seen
# it. (Quite fair it is not: the model has read the library's sources too, and brings its weights along.) The model reads the text in windows that overlap by half, so that no token is scored with little before it.

# %% id="model-tokenizer-course-model-course-tokenizer"
model, tokenizer = course_model(), course_tokenizer()
text = corpus.held_out_text(1500)
ids = tokenizer.encode_ordinary(text)
separator = tokenizer.special_tokens["<|endoftext|>"]
scores = evaluation.token_log_probabilities(model, ids, separator)
bits = evaluation.pooled_bits_per_byte([scores], [text])
before = corpus.train_text().encode()
packed = (
    8
    * (len(lzma.compress(before + text.encode())) - len(lzma.compress(before)))
    / len(text.encode())
)
print("fewer bits than lzma after the training text:", bits < packed)
print("a byte needs less than a third of its 8 bits: ", bits < 8 / 3)

# %% [markdown] id="how-it-was-trained"
# ### How it was trained
# The recipe is one object, and one command trains it from scratch: `course train --recipe course-model`. A smaller one,
# `--recipe quick`, takes some minutes, and both can be killed and go on. It has two layers, the fewest that can look up, and
# its progress bar lets you watch the cliff: about half-way the loss on repeats falls while the induction score rises. What came
# of the long one stands in the *model card*, a page that
# should lie beside every trained model: from what it learned and why, how, on which machine and for how long, and what it
# scores beside simpler things.

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

# %% id="card-folder-readme-md-read-text"
card = (FOLDER / "README.md").read_text(encoding="utf-8")
print(card[card.index("## What it was trained on") :])

# %% [markdown] id="two-numbers-for-one-model-1"
# The scores hold for the text that the card names: bits per byte compare only what was measured on the same text. The last two
# lines ask whether its heads look things up.

# %% [markdown] id="its-log-is-stored-beside-it"
# Its log is stored beside it; you walked along it in section 8. What it shows, in two comparisons:

# %% id="looks-training-log"
looks = training_log()
before, after = figures.training.runs.cliff(looks)
print("induction rises in the same steps:", after["induction"] > before["induction"] + 0.3)
print(
    "text is learned all the while:    ",
    looks[-1]["bits per byte"] < before["bits per byte"] < looks[0]["bits per byte"],
)

# %% [markdown] id="11-what-would-a-larger-one"
# ## 11 · What would a larger one reach?
#
# Two things limit a model: too few parameters N, and too little text D. Each makes a part of the loss that falls as a power,
# and a power is a straight line where both axes are logarithmic (Kaplan et al. 2020; Hoffmann et al. 2022):
#
# $$\ell(N, D) = E + A\,N^{-\alpha} + B\,D^{-\beta}$$
#
# E is what remains with a model and a text without end: the randomness of language itself.
#
# > **Predict.** A term is 8 for one million parameters, 4 for ten million. What will it be for a hundred million?

# %% id="per-ten-4-8"
per_ten = 4 / 8
print(
    "for a hundred million:",
    4 * per_ten,
    "  exponent:",
    round(-math.log(per_ten) / math.log(10), 3),
)

# %% [markdown] id="build-it-7"
# Each factor of ten halves it, and 10^−0.301 = ½.
#
# ### Build it


# %% id="training.power_law"
@exercise("training.power_law")
def fit_power_law(sizes, losses):
    """Return (factor, exponent) of the line through log(size) and log(loss)."""
    ...


# %% id="reveal-training-power-law"
reveal("training.power_law")

# %% id="print-by-hand-rounded-torch-tensor"
print("by hand:", rounded(torch.tensor(scaling.fit_power_law([1.0, 10.0, 100.0], [8.0, 4.0, 2.0]))))

# %% [markdown] id="now-measure-the-smallest-of-the"
# Now measure. The smallest of the course's runs fits into a cell: ten thousand parameters, 128 thousand bytes of text. The
# others are stored: four sizes, four lengths, a rate schedule of its own for each. The largest of the sixteen is kept from
# the fit, to see whether the law foretells it. (`python -m course_lib.chapters.training.tiny_decoders scaling` makes all again.)

# %% id="runs-beyond-byte-training-stored-scaling"
*runs, largest = tiny_decoders.stored_experiments()["scaling"]
again = tiny_decoders.held_out_loss(tiny_decoders.train_bytes(runs[0]["width"], 125))
print("the cell finds what is stored, within 0.1 nats:", abs(again - runs[0]["loss"]) < 0.1)
columns = [[float(run[name]) for run in runs] for name in ("parameters", "tokens", "loss")]
law = scaling.fit_scaling_law(*columns)
print(f"E = {law.floor:.1f}   exponent of N: {law.alpha:.2f}   exponent of D: {law.beta:.2f}")
show(figures.training.scaling(runs, law, largest))

# %% [markdown] id="three-unknown-numbers-are-found-by"
# Three unknown numbers are found by least squares for each pair of exponents on a grid; the best pair wins. Fifteen small
# runs make a rough law, and you see how rough: one seed each, and rates that were not tuned for every size, leave points
# beside their lines. And E comes out as 0, which no text can have. All our runs are so far above the floor that they say nothing
# about it. Large laboratories do the same with hundreds of runs, to choose what to train for months.
#
# Training costs about 6 FLOPs for each parameter and token (notebook [Counting parameters](09_parameter_counting.ipynb)), so a budget C buys N · D = C / 6. Which N is best?
#
# > **Predict.** Our runs read at most ten times as many tokens as the largest model has parameters. For a given budget, would
# > you rather have had a smaller model and more text, or the other way round?

# %% id="explorers-training-best-size"
explorers.training.best_size()

# %% [markdown] id="a-smaller-model-and-more-text"
# A smaller model and more text: the best point lies left of the thick part, where our runs were. So here the law speaks of what
# nobody has measured. That is what such laws are made for, and why the last step is always to train the one that they chose.

# %% [markdown] id="12-claims-that-are-wrong"
# ## 12 · Claims that are wrong
#
# > *"Weight decay is L2 regularisation: add λ·w to the gradient."*
#
# For plain descent it is. Two equal weights, one with large gradients and one with small ones; their gradients change sign,
# so only the decay moves them for good:

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
# AdamW pulls both alike. As a part of the gradient, the pull is divided by √v: the weight with large gradients hardly feels
# it, and the other is crushed.
#
# > *"Gradient accumulation: average the losses of the micro-batches, and you have the large batch."*
#
# Only if all of them have the same number of counted tokens. With padding, or where only answers count, they do not.
# Training code in wide use had this mistake until 2024.

# %% id="surprise-counts-torch-tensor-4-0"
surprise, counts = torch.tensor([4.0, 1.0]), torch.tensor([2, 98])  # mean of each part, its tokens
print("mean of the means:  ", surprise.mean().item())
print("mean over all tokens:", round((surprise * counts).sum().item() / counts.sum().item(), 2))

# %% [markdown] id="adamw-divides-by-the-size-of"
# > *"AdamW divides by the size of the gradient anyway, so clipping is pointless."*
#
# A single long gradient stays in v for about 1 / (1 − β₂) steps, and as long as it is there it makes every step short.
# Clipping keeps it out. A hundred ordinary steps, one gradient of 1000, and then sixty ordinary ones:

# %% id="for-name-limit-in-not-clipped"
for name, limit in (("not clipped", math.inf), ("clipped to 1", 1.0)):
    w, m, v = torch.zeros(1), torch.zeros(1), torch.zeros(1)
    for step in range(1, 162):
        g = torch.tensor([1000.0 if step == 101 else 1.0]).clamp(max=limit)
        last = w
        w, m, v = optimizer.adamw_update(w, g, m, v, step, 0.01, weight_decay=0.0)
    print(f"{name:13} sixty steps later a step is {(last - w).item() / 0.01:.2f} of the rate")

# %% [markdown] id="recap"
# ## Recap
#
# 1. Row t is scored at token t + 1; padding leaves the sum and the count. The first loss is ln V, and one batch can be
#    learned by heart. If not, stop and look.
# 2. AdamW moves each weight by about the rate, whatever its gradient's size. Correct both means, put ε beside the root, and
#    let decay pull at the weight itself.
# 3. Warm up, then follow a cosine. Clip by the norm of all tensors together. Parts of a batch count by their tokens.
# 4. Products in bfloat16, weights and means in float32. A resumed run needs weights, m and v, the step and the generator.
# 5. An ability can appear all at once, where two parts need each other. The loss over many sizes follows powers, which say
#    how to spend a budget.
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
#   compute-optimal large language models*, arXiv:2203.15556.
#
# **Next:** [Generation](12_generation.ipynb), where probabilities are turned into text.
