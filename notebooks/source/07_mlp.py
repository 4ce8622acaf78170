# %% [markdown] id="07-mlp-and-experts"
# # 07 · MLP and experts
#
# **What does the other two thirds of the model do?**
#
# Attention brings a token what it needs from the others. Then each token is alone with what it got, and a *feed-forward
# layer* (also called MLP, for multi-layer perceptron) works on it: widen, bend, narrow. No part of a model is simpler, and no
# part is larger.
#
# After this notebook you can
# - write GELU in both of its forms, SiLU and a gated layer such as SwiGLU, and say what each choice is good for;
# - give two kinds of layer the same number of parameters before you compare them;
# - read a feed-forward layer as a memory, with keys and values;
# - write the router of a mixture of experts and the loss that keeps its experts busy, and count what a mixture holds in
#   memory against what works for one token.
#
# About 90 minutes. You need Python and a little PyTorch; nothing is downloaded. Some cells train small models, for a few seconds;
# their numbers differ a little from machine to machine.

# %% id="imports"
import math

import torch
import torch.nn.functional as F

from course_lib import experts, mlp
from course_lib.chapters.mlp import ffn_toys
from course_lib.device import seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

# %% [markdown] id="1-each-token-by-itself"
# ## 1 · Each token by itself
#
# The plain layer has two matrices, `up` (F, C) and `down` (C, F), where C is the model's width and F is usually 4 C:
#
# $$\operatorname{ffn}(x) = \operatorname{act}(x\,W_{up}^\top)\,W_{down}^\top$$
#
# Small enough for the head: x = 1, `up` has the two rows 2 and −1, `down` is the row (10, 7), and act is ReLU, which keeps
# what is positive and makes the rest 0. The hidden units get 2 and −1, ReLU makes 2 and 0 of them, and the output is
# 2 · 10 + 0 · 7 = **20**.

# %% id="up-down-torch-tensor-2-0"
up, down = torch.tensor([[2.0], [-1.0]]), torch.tensor([[10.0, 7.0]])
print("output:", mlp.feed_forward(torch.tensor([1.0]), up, down))

# %% [markdown] id="predict-a-sentence-of-five-vectors"
# > **Predict.** A sentence of five vectors goes through the layer. You change the third vector. Which outputs change?

# %% id="width-hidden-6-24"
width, hidden = 6, 24
up = torch.randn(hidden, width, generator=seeded(0))
down = torch.randn(width, hidden, generator=seeded(1))
sentence = torch.randn(5, width, generator=seeded(2))
changed = sentence.clone()
changed[2] += 1.0
moved = mlp.feed_forward(changed, up, down) != mlp.feed_forward(sentence, up, down)
print("changed outputs:", moved.any(-1).tolist())

# %% [markdown] id="only-the-third-the-layer-has"
# Only the third. The layer has no idea that there are other tokens; that is why it is called *position-wise*, and why all
# tokens of a batch can go through it as one large product.
#
# > **Predict.** A block of a model is attention and feed-forward. Which share of a block's parameters is feed-forward: a
# > third, a half, or two thirds?
#
# Count the matrices. Attention has four: queries and output with `heads · head_dim` rows, keys and values with
# `kv_heads · head_dim`. Biases, norms and GPT-2's table of positions are left out; the last line of the cell says how little that
# is.


# %% id="parts"
def parts(width, hidden, layers, heads, kv_heads, head_dim, vocabulary, matrices, tables):
    attention = 2 * width * heads * head_dim + 2 * width * kv_heads * head_dim
    return {
        "feed-forward": layers * matrices * width * hidden,
        "attention": layers * attention,
        "embedding and head": tables * vocabulary * width,
    }


counts = {
    "GPT-2": parts(768, 3072, 12, 12, 12, 64, 50257, matrices=2, tables=1),
    "Llama-2-7B": parts(4096, 11008, 32, 32, 32, 128, 32000, matrices=3, tables=2),
    "Qwen3-0.6B": parts(1024, 3072, 28, 16, 8, 128, 151936, matrices=3, tables=1),
    "Qwen3-8B": parts(4096, 12288, 36, 32, 8, 128, 151936, matrices=3, tables=2),
}
show(figures.mlp.block_shares(counts))
print(f"GPT-2: {sum(counts['GPT-2'].values()) / 124_439_808:.1%} of its 124,439,808 parameters")

# %% [markdown] id="in-gpt-2-and-llama-2"
# In GPT-2 and Llama-2 the feed-forward layers hold two thirds of the blocks, about 8 C² against 4 C². In Qwen3-8B, whose attention
# shares keys and values among heads, they hold almost four fifths of them, and two thirds of the *whole* model. Qwen3-0.6B is
# unusual: its attention is twice as wide as the model itself. And in a small model the embedding table takes a large piece
# of the whole.

# %% [markdown] id="2-why-it-must-bend"
# ## 2 · Why it must bend
#
# > **Predict.** Leave the activation out. What can two matrices in a row do that one cannot?

# %% id="x-torch-randn-4-width-generator"
x = torch.randn(4, width, generator=seeded(3))
straight = mlp.feed_forward(x, up, down, mlp.identity)
one_matrix = x @ (down @ up).mT
print("equal to one matrix:", torch.allclose(straight, one_matrix, atol=1e-4))

# %% [markdown] id="nothing-two-matrices-in-a-row"
# Nothing: two matrices in a row *are* one matrix. All that makes the layer more than that is the activation between them.
# The oldest in use is ReLU, $\max(x, 0)$. It has a corner at 0, and below it no slope at all.
#
# GELU (Hendrycks & Gimpel 2016) smooths the corner. It lets a *share* of x through, and the share is a probability: that of
# a standard normal number being below x.
#
# $$\operatorname{gelu}(x) = x \cdot \Phi(x) = x \cdot \tfrac12\big(1 + \operatorname{erf}(x/\sqrt2)\big)$$
#
# By hand: 84.1 % of all standard normal numbers are below 1, so gelu(1) = 1 · 0.841 = **0.841**. And 15.9 % are below −1,
# so gelu(−1) = −1 · 0.159 = **−0.159**. A negative number is not cut off; a little of it passes.

# %% id="x-torch-tensor-3-0-1"
x = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0])
print("x:   ", x.tolist())
print("relu:", torch.relu(x).tolist())
print("gelu:", rounded(mlp.gelu_exact(x)))

# %% [markdown] id="build-it"
# ### Build it
# The cell checks itself when you run it: leave the `def` line as it is and replace the `...`.


# %% id="mlp.gelu_exact"
@exercise("mlp.gelu_exact")
def gelu_exact(x):
    """Return x times the probability that a standard normal number is below x."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you
# have passed, or have run the cell twice.

# %% id="reveal-mlp-gelu-exact"
reveal("mlp.gelu_exact")

# %% [markdown] id="when-gelu-was-new-erf-was"
# When GELU was new, erf was slow on the hardware of the day. So it was fitted by a tanh, and GPT-2 was trained with the fit:
#
# $$\operatorname{gelu}_{\tanh}(x) = \tfrac12 x\Big(1 + \tanh\big(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\big)\Big)$$
#
# By hand, at 1: the inside is 0.798 · 1.0447 = 0.8336, its tanh is 0.6824, and half of 1.6824 is **0.8412**. The exact value
# is 0.8413.


# %% id="mlp.gelu_tanh"
@exercise("mlp.gelu_tanh")
def gelu_tanh(x):
    """Return the tanh form of GELU."""
    ...


# %% id="reveal-mlp-gelu-tanh"
reveal("mlp.gelu_tanh")

# %% [markdown] id="silu-also-called-swish-asks-for"
# SiLU, also called Swish, asks for less: the share is the sigmoid. Qwen, Llama and Mistral use it.
#
# $$\operatorname{silu}(x) = x \cdot \sigma(x) = \frac{x}{1 + e^{-x}}$$
#
# By hand, at 1: the sigmoid of 1 is 1 / (1 + 0.368) = **0.731**, and so is silu(1).

# %% id="one-torch-tensor-1-0"
one = torch.tensor(1.0)
inside = math.sqrt(2 / math.pi) * (1 + 0.044715)
print(
    f"tanh form: inside {inside:.4f}, tanh {math.tanh(inside):.4f}, result {mlp.gelu_tanh(one):.4f}"
)
print(f"exact:     {mlp.gelu_exact(one):.4f}")
print(f"silu:      {mlp.silu(one):.4f}")


# %% id="mlp.silu"
@exercise("mlp.silu")
def silu(x):
    """Return x times its sigmoid."""
    ...


# %% id="reveal-mlp-silu"
reveal("mlp.silu")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing

# %% id="x-torch-linspace-12-12-2401"
x = torch.linspace(-12, 12, 2401, dtype=torch.float64)
pairs = {
    "gelu_exact": (mlp.gelu_exact(x), F.gelu(x)),
    "gelu_tanh ": (mlp.gelu_tanh(x), F.gelu(x, approximate="tanh")),
    "silu      ": (mlp.silu(x), F.silu(x)),
}
for name, (ours, theirs) in pairs.items():
    print(name, "largest difference < 1e-14:", ((ours - theirs).abs().max() < 1e-14).item())

# %% [markdown] id="three-formulas-go-by-the-name"
# Three formulas go by the name of GELU: the exact one, the tanh form, and $x \cdot \sigma(1.702\,x)$. On a plot they are one
# curve. Their distance, on a logarithmic axis, shows how much of a fit each of the others is:

# %% id="show-figures-mlp-gelu-forms"
show(figures.mlp.gelu_forms())

# %% [markdown] id="play-with-it"
# ### Play with it
# The curve and its slope. Underneath, a stand-in for real inputs: numbers of a standard bell curve. Watch the second number
# of the title, the share of inputs that meet a slope below 0.01: they pass next to nothing back in training.

# %% id="explorers-mlp-activation-name-relu"
explorers.mlp.activation(name="ReLU")

# %% [markdown] id="3-what-really-arrives"
# ## 3 · What really arrives
#
# A bell curve is a guess. Let us look at a real network, a small one that we train here and now. It guesses the next byte of
# Python's documentation from the eight bytes before, without any attention: eight rows of a table are laid side by side, and
# two feed-forward layers with residual connections do everything else.

# %% id="data-held-out-byte-models-lessons"
data, held_out = ffn_toys.lessons()
context = bytes(data.contexts[1000].tolist()), bytes([data.following[1000].item()])
print("each example:", len(context[0]), "bytes and the one that followed")
print("parameters:", sum(p.numel() for p in ffn_toys.untrained("ReLU").parameters()))

# %% tags=["nbval-ignore-output"] id="reader-byte-models-trained-relu-data"
reader = ffn_toys.train("ReLU", data, steps=500)
surprise = ffn_toys.loss_on(reader, held_out)
print(f"knows nothing: {math.log(256):.2f} nats per byte; after 500 steps: {surprise:.2f}")

# %% [markdown] id="predict-at-the-start-of-training"
# > **Predict.** At the start of training about half of the numbers that arrive at a ReLU are negative. And now, in the first
# > layer and in the second?

# %% tags=["nbval-ignore-output"] id="first-second-byte-models-pre-activations"
first, second = ffn_toys.pre_activations(reader, held_out)
for name, numbers in (("first", first), ("second", second)):
    print(f"{name:6} layer: {(numbers < 0).double().mean():.0%} of what arrives is negative")
explorers.mlp.activation({"layer 2": second, "layer 1": first}, name="ReLU")

# %% [markdown] id="in-the-second-layer-nine-of"
# In the second layer nine of ten numbers are negative: its units have learned to be *silent* most of the time, and to fire for
# something in particular. That is healthy. (Choose "layer 1" above to compare.)
#
# But what about a unit that is silent for **every** token? Below 0 the slope of ReLU is exactly 0, so no token passes a gradient
# through the unit, and nothing ever tells it to change. It is *dead*.
#
# By hand: three tokens, two units. The first unit gets 1, −2, −1, the second −1, −2, −3. The second is dead, so the share is
# 1 of 2, **0.5**. That the first is silent for two tokens out of three does not matter.

# %% id="seen-torch-tensor-1-0-1"
seen = torch.tensor([[1.0, -1.0], [-2.0, -2.0], [-1.0, -3.0]], requires_grad=True)
print("share of dead units:", mlp.dead_unit_fraction(seen.detach()))
(gradient,) = torch.autograd.grad(torch.relu(seen).sum(), seen)
print("gradient of each number:", gradient.tolist())

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="mlp.dead_units"
@exercise("mlp.dead_units")
def dead_unit_fraction(pre_activations):
    """Return the share of hidden units whose ReLU is 0 for every token."""
    ...


# %% id="reveal-mlp-dead-units"
reveal("mlp.dead_units")

# %% [markdown] id="what-kills-units-a-step-that"
# What kills units? A step that is too large can throw a unit to where no token reaches it, and it stays there. Train the same
# model at three learning rates, with ReLU and with GELU, and count the units of the last layer that are negative for each of
# the ten thousand held-out examples. Dots are seeds:


# %% tags=["nbval-ignore-output"] id="dead"
def dead(name, rate, seed):
    model = ffn_toys.train(name, data, 100, seed, rate)
    return ffn_toys.dead_fractions(model, held_out)[1]


rates, found = (0.003, 0.01, 0.03), {}
for name in ("ReLU", "GELU"):
    found[name] = [[dead(name, rate, seed) for seed in (0, 1)] for rate in rates]
show(figures.mlp.dead_units(rates, found))

# %% [markdown] id="with-relu-a-good-part-of"
# With ReLU a good part of the layer dies within a hundred steps once the rate is high. A GELU unit on the negative side still
# has some slope, so it can come back. Mind what this does *not* show: a model with dead units may still reach a good loss,
# for the others do the work. Dead units are wasted parameters, not a broken model.

# %% [markdown] id="4-gates"
# ## 4 · Gates
#
# Dauphin et al. 2016 had an idea that took over: let one projection of x decide how much of *another* passes.
#
# $$\operatorname{gated}(x) = \big(\operatorname{act}(x\,W_{gate}^\top) \odot (x\,W_{up}^\top)\big)\,W_{down}^\top$$
#
# The product ⊙ is number by number. Only the gate is bent; up stays linear. The activation gives the layer its name:
#
# | activation of the gate | sigmoid | ReLU | GELU | SiLU | none |
# |---|---|---|---|---|---|
# | layer | GLU | ReGLU | GEGLU | **SwiGLU** | bilinear |
#
# By hand, with ReLU: x = 1, the gates are 2 and −1, the ups 3 and 5, `down` is (10, 7). The first unit passes
# relu(2) · 3 = 6, the second is shut, relu(−1) · 5 = 0. The output is 6 · 10 = **60**.

# %% id="gate-up-torch-tensor-2-0"
gate, up = torch.tensor([[2.0], [-1.0]]), torch.tensor([[3.0], [5.0]])
down, x = torch.tensor([[10.0, 7.0]]), torch.tensor([1.0])
print("ReGLU: ", mlp.gated_ffn(x, gate, up, down, torch.relu).item())
print("SwiGLU:", rounded(mlp.gated_ffn(x, gate, up, down), 2)[0])

# %% [markdown] id="predict-someone-swaps-gate-and-up"
# > **Predict.** Someone swaps `gate` and `up` when loading a checkpoint. Both have the shape (F, C). What happens?

# %% id="print-gate-and-up-swapped-swiglu"
print("gate and up swapped, SwiGLU:  ", rounded(mlp.gated_ffn(x, up, gate, down), 2)[0])
print("gate and up swapped, bilinear:", mlp.gated_ffn(x, up, gate, down, mlp.identity).item())
print("as it should be, bilinear:    ", mlp.gated_ffn(x, gate, up, down, mlp.identity).item())

# %% [markdown] id="build-it-3"
# Nothing complains and the result is wrong, except in the bilinear layer, where both halves play the same part. This is one
# of the most common slips in loading weights, since several libraries store the two matrices as one and disagree about which
# comes first.
#
# ### Build it


# %% id="mlp.gated_ffn"
@exercise("mlp.gated_ffn")
def gated_ffn(x, gate, up, down, activation=F.silu):
    """Return each vector through a gated layer; weights are stored (out, in)."""
    ...


# %% id="reveal-mlp-gated-ffn"
reveal("mlp.gated_ffn")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# The layer of Qwen3 in `transformers`, and ours with its weights. The names in the file are the same, so loading is strict:

# %% id="theirs-qwen3mlp-qwen3config-hidden-size-32"
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP

theirs = Qwen3MLP(Qwen3Config(hidden_size=32, intermediate_size=88, hidden_act="silu"))
ours = mlp.GatedFFN(32, 88)
print(ours.load_state_dict(theirs.state_dict(), strict=True))
x = torch.randn(2, 7, 32, generator=seeded(4))
print("largest difference < 1e-6:", ((ours(x) - theirs(x)).abs().max() < 1e-6).item())

# %% [markdown] id="play-with-it-2"
# ### Play with it
# One hidden unit of a gated layer is a *surface*: two numbers go in, one comes out. Choose the layer, and move the dashed
# line. With up held fixed you see the activation, scaled and, for a negative up, turned over. With ReLU half of the square is
# exactly 0; with SiLU a little passes even there. And unlike any plain activation the surface can be negative in one
# corner and positive in the next: it multiplies two features of x.

# %% id="explorers-mlp-gate-surface-gate-swiglu"
explorers.mlp.gate_surface(gate="swiglu", up=1.0)

# %% [markdown] id="what-arrives-at-a-real-gate"
# ### What arrives at a real gate
# The surface says what can happen. What does happen? The course has a model of its own, with SwiGLU layers, trained on Python's
# documentation and sources (you will build it in notebook [The whole transformer](08_transformer.ipynb)). Here it reads some held-out source code, and we listen at all of
# its hidden units. What is printed depends a little on your version of Python, whose sources are the text.
#
# > **Predict.** In section 3, ReLU units learned to be silent most of the time. SiLU is never quite shut. Will the numbers that
# > arrive at its gates be mostly negative all the same?

# %% tags=["nbval-ignore-output"] id="heard-trained-model-hidden-units-text"
heard = course_model_probes.hidden_units("text")
print(
    len(heard[0].gate), "tokens,", heard[0].gate.shape[1], "units in each of", len(heard), "layers"
)
show(figures.mlp.gates_by_layer({f"layer {i}": tuple(each) for i, each in enumerate(heard)}))

# %% [markdown] id="mostly-negative-in-every-layer-a"
# Mostly negative, in every layer. A shut gate passes next to nothing, and a product is also small where *up* is. "Near 0" means
# here: below a tenth of the layer's typical product (its root mean square). None of them is exactly 0, though, and that is the
# difference to ReLU:

# %% tags=["nbval-ignore-output"] id="for-number-gate-up-in-enumerate"
for number, (gate, up) in enumerate(heard):
    products = mlp.silu(gate) * up
    print(f"layer {number}: products of exactly 0: {(products == 0).double().mean():.1%};", end=" ")
    print(f"units whose gate never opens on this text: {mlp.dead_unit_fraction(gate):.1%}")

# %% [markdown] id="play-with-it-6"
# ### Play with it
# Left, the surface from above: white lines join equal products, and it is bright where many units stand. Right, the units of each
# token in order of size: how many of them write most of what the token gets? The dashed line is a control, the same gates and
# ups paired by lot.

# %% tags=["nbval-ignore-output"] id="explorers-mlp-units-at-work"
explorers.mlp.units_at_work()

# %% [markdown] id="a-small-part-of-the-units"
# A small part of the units does nearly all of the work for a token. The control shows where that comes from. As far as the dashed
# line goes along, it is the shape of the two clouds, a few open gates among many shut ones; the gap that is left is what gate
# and up know of each other. Choose *repeats*, random tokens that mean nothing, and see the same layers do something else. In large
# models with ReLU the silent part is larger still, and its work can be skipped (Li et al. 2022).

# %% [markdown] id="5-a-fair-comparison"
# ## 5 · A fair comparison
#
# A gated layer has three matrices, a plain one has two. At equal F it is half as large again, and no wonder if it is better.
# To compare layers and not sizes, give both the same number of parameters: $3\,C F' = 2\,C F$, so $F' = \tfrac23 F$. With the
# usual $F = 4C$ that is $F' = \tfrac83 C$.
#
# By hand: C = 192. The plain layer has 768 hidden units and 2 · 192 · 768 = 294 912 parameters. Two thirds of 768 is
# **512**, and 3 · 192 · 512 = 294 912.

# %% id="print-width-192-mlp-matched-hidden"
print("width 192:", mlp.matched_hidden_width(192), "hidden units")
print("parameters:", 2 * 192 * 768, "and", 3 * 192 * mlp.matched_hidden_width(192))

# %% [markdown] id="build-it-4"
# > **Predict.** Llama-2-7B has C = 4096 and rounds up to a multiple of 256. Which F does its config give?
#
# ### Build it


# %% id="mlp.matched_width"
@exercise("mlp.matched_width")
def matched_hidden_width(width, multiple_of=1, expansion=4):
    """Return the F of a gated layer as large as a plain one of F = expansion * width."""
    ...


# %% id="reveal-mlp-matched-width"
reveal("mlp.matched_width")

# %% id="print-llama-2-7b-mlp-matched"
print("Llama-2-7B:", mlp.matched_hidden_width(4096, multiple_of=256))

# %% [markdown] id="that-is-the-odd-number-11008"
# That is the odd number 11008 in its config. (Later models are free with the rule: Qwen3-8B takes 12288, which is 3 C.)
#
# Now compare. Five models of equal size, two seeds each, 150 steps: a *short* training. Each dot is one model, its height the
# surprise at bytes of documents that it has never seen.

# %% tags=["nbval-ignore-output"] id="names-tuple-byte-models-variants"
names = tuple(ffn_toys.VARIANTS)
sizes = [sum(p.numel() for p in ffn_toys.untrained(name).parameters()) for name in names]
print("parameters:", dict(zip(names, sizes, strict=True)))
show(figures.mlp.variants(ffn_toys.losses(names, steps=150, seeds=(0, 1))))

# %% [markdown] id="two-seeds-are-too-few-to"
# Two seeds are too few to believe, and a hundred and fifty steps are a beginning. So here is the same with four seeds and up to
# 3200 steps, trained beforehand by `python -m course_lib.chapters.mlp.ffn_toys` (some minutes). Each dot is one seed, measured
# from the ReLU model with the *same* seed:

# %% id="longer-byte-models-stored-losses"
longer = ffn_toys.longer_runs()["losses"]
show(figures.mlp.variants_in_time(longer))

# %% id="for-name-in-names-1"
for name in names[1:]:
    gaps = [r - v for r, v in zip(longer["3200"]["ReLU"], longer["3200"][name], strict=True)]
    print(f"{name:6} below ReLU by {sum(gaps) / 4:+.3f} nats, seeds from {min(gaps):+.3f} up")

# %% [markdown] id="read-the-dots-not-only-the"
# Read the dots, not only the lines. At 200 steps some seeds still disagree. From 800 steps on every variant is below ReLU in
# every seed: bending smoothly helps, a gate helps, and both together help most. Between GEGLU and SwiGLU the lines
# are closer than the dots are spread, so no winner can be named. And from 800 to 3200 steps the gap shrinks: a part of the
# advantage is that gated layers learn *faster*.
#
# Shazeer 2020 found much the same in a T5 model, and closed by attributing the success, for want of an explanation, to "divine
# benevolence". A small model of bytes with one learning rate for all proves nothing about large ones. But you have seen the
# effect together with its spread, at equal size, which is how to ask.

# %% [markdown] id="6-the-layer-as-a-memory"
# ## 6 · The layer as a memory
#
# Write the plain layer as a sum over its hidden units:
#
# $$\operatorname{ffn}(x) = \sum_{i=1}^{F} \operatorname{act}(k_i \cdot x)\; v_i$$
#
# where $k_i$ is row i of `up` and $v_i$ is column i of `down`. Geva et al. 2021 read this as a memory: $k_i$ is a *key* that is
# compared with x, and the better it matches, the more of the *value* $v_i$ is written into the stream. It looks like attention
# over F entries, with two differences: keys and values are weights, the same for every sentence; and there is no softmax, so
# that any number of keys may match at once.
#
# By hand: x = (1, 2); the keys are (1, 1), (−1, 0), (0, 2); they match by 3, −1 and 4. With ReLU the second writes nothing. The
# values are (1, 0), (5, 5), (0, −1): the first writes (3, 0), the third (0, −4), and together they make **(3, −4)**.

# %% id="x-keys-torch-tensor-1-0"
x, keys = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0], [-1.0, 0.0], [0.0, 2.0]])
values = torch.tensor([[1.0, 0.0], [5.0, 5.0], [0.0, -1.0]])
written = mlp.memory_contributions(x, keys, values.mT)
print("each unit writes:", written.tolist())
print("together:  ", written.sum(0).tolist())
print("the layer: ", mlp.feed_forward(x, keys, values.mT).tolist())

# %% [markdown] id="build-it-5"
# ### Build it


# %% id="mlp.memory"
@exercise("mlp.memory")
def memory_contributions(x, up, down, activation=torch.relu):
    """Return a matrix (F, C): what each hidden unit adds to the output for one vector x."""
    ...


# %% id="reveal-mlp-memory"
reveal("mlp.memory")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# Six keys, six values, two features. Turn x and see keys light up and go out; on the right their values are added head to
# tail. Grey keys point away from x and write nothing.

# %% id="explorers-mlp-memory-direction-60"
explorers.mlp.memory(direction=60)

# %% [markdown] id="does-the-little-model-of-section"
# Does the little model of section 3 hold such entries? Take the units of its last layer that fire for few of the ten thousand
# held-out examples. What a *key* stands for can be seen from the contexts that wake it most. What the *value* says can be
# asked of the output head: which next bytes does it raise?

# %% tags=["nbval-ignore-output"] id="fires-second-0-double-mean-0"
fires = (second > 0).double().mean(0)
rare = [unit for unit in fires.argsort().tolist() if fires[unit] > 0.004][:6]
values = reader.layers[1].down_proj.weight  # (C, F)
raised = (reader.head.weight * reader.last_norm.weight) @ values  # (256, F)
for unit in rare:
    order = second[:, unit].argsort(descending=True)[:200].tolist()
    woken = dict.fromkeys(bytes(held_out.contexts[i].tolist()) for i in order)
    says = bytes(raised[:, unit].topk(3).indices.tolist())
    print(f"unit {unit:3} fires {fires[unit]:.1%}, raises {says}, woken by", *list(woken)[:4])

# %% [markdown] id="look-along-each-row-the-contexts"
# Look along each row. The contexts that wake a unit often end alike, or have the same letter at one of the eight places: the keys
# of this model can be read. Its values are harder to read, since each of them only nudges, together with those of all other
# units that fire. In large models many keys cannot be put into words either, and one meaning is spread over many units. The
# memory is a *view* of the layer. The view is exact; what is stored in it has to be found out each time.

# %% [markdown] id="7-many-layers-of-which-few"
# ## 7 · Many layers, of which few run
#
# If a layer is a memory, a larger one remembers more. But each token pays for every entry, matched or not. A *mixture of
# experts* cuts the bill: instead of one wide layer there are E narrower ones, the experts, and a small *router* sends each token
# to k of them (Shazeer et al. 2017). The router is a matrix (E, C); it gives every expert a score, and
#
# $$p = \operatorname{softmax}(x\,W_r^\top), \qquad y = \sum_{e\,\in\,\text{top-}k} \frac{p_e}{\sum_{e' \in \text{top-}k} p_{e'}}\;\operatorname{expert}_e(x)$$
#
# By hand: scores 2, 1 and 0.1, k = 2. Softmax gives 0.659, 0.242, 0.099 (you know them from notebook [Softmax](04_softmax.ipynb)). The two best are
# kept and divided by their sum 0.901: gates of **0.731 and 0.269**.

# %% id="logits-torch-tensor-2-0-1"
logits = torch.tensor([[2.0, 1.0, 0.1]])
for normalise in (True, False):
    gates, chosen = experts.route(logits, 2, normalise)
    print(f"normalise={normalise!s:5} gates {rounded(gates[0])}, experts {chosen[0].tolist()}")

# %% [markdown] id="predict-another-router-keeps-the-two"
# > **Predict.** Another router keeps the two best *scores* first, 2 and 1, and takes softmax of these. What are its gates?

# %% id="best-logits-topk-2-values"
best = logits.topk(2).values
print("softmax of the best scores:", rounded(torch.softmax(best, -1)[0]))

# %% [markdown] id="build-it-6"
# The same. What softmax divides by is common to all experts, and cancels when the kept shares are divided by their sum. So
# "softmax before or after top-k" makes no difference *if* the gates are normalised, and a large one if they are not: then the
# gates sum to less than 1, and the layer's output shrinks with the router's doubt. Qwen3-MoE normalises
# (`norm_topk_prob`), Qwen2-MoE does not. A config tells you; guessing it wrong raises no error.
#
# ### Build it


# %% id="mlp.route"
@exercise("mlp.route")
def route(logits, k, normalise=True):
    """Return (gates, chosen), both (N, k), best first, from router logits (N, E)."""
    ...


# %% id="reveal-mlp-route"
reveal("mlp.route")

# %% [markdown] id="how-do-the-experts-get-their"
# How do the experts get their tokens? A loop over tokens would be slow, and running every expert on every token would waste what
# was saved. The library sorts all pairs (token, choice) by expert, so that each expert finds its tokens side by side and runs
# once. (What `capacity` does is the subject of section 9.)

# %% id="reveal-experts-dispatch"
reveal(experts.dispatch)

# %% id="reveal-experts-run-experts"
reveal(experts.run_experts)

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# The block of Qwen3-MoE in `transformers`, and ours with its weights:

# %% id="shape-hidden-size-32-moe-intermediate"
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3_moe

shape = {"hidden_size": 32, "moe_intermediate_size": 24, "num_experts": 8}
config = Qwen3MoeConfig(**shape, num_experts_per_tok=2, norm_topk_prob=True)
config._experts_implementation = "eager"  # its plain loop over experts
theirs = qwen3_moe.Qwen3MoeSparseMoeBlock(config)
for number, weight in enumerate(theirs.parameters()):
    torch.nn.init.normal_(weight, std=0.2, generator=seeded(number))

# %% id="ours-experts-sparsemoe-width-32-hidden"
ours = experts.SparseMoE(width=32, hidden=24, num_experts=8, k=2)
print(ours.load_state_dict(theirs.state_dict(), strict=True))
x = torch.randn(2, 9, 32, generator=seeded(5))
print("largest difference < 1e-6:", ((ours(x) - theirs(x)).abs().max() < 1e-6).item())

# %% [markdown] id="8-keeping-all-of-them-busy"
# ## 8 · Keeping all of them busy
#
# Nothing tells the router to use all experts. At the start one of them is a little better, so it gets more tokens, so it
# learns more, so it gets still more. Some experts never wake up; and where experts sit on different machines, the busiest one
# keeps all others waiting.
#
# The usual remedy is a second loss, small beside the first (Fedus et al. 2021):
#
# $$\ell_{balance} = E \sum_{e=1}^{E} \underbrace{\frac{\text{choices of } e}{\text{tokens}}}_{f_e} \cdot \underbrace{\operatorname{mean}(p_e)}_{P_e}$$
#
# The first factor counts where tokens really went, and a count has no gradient. The second has one: the loss pushes an expert's
# probability down *in proportion to how busy it is*. With k choices per token the loss is k in perfect balance, and at most
# about E.
#
# By hand: E = 4, k = 1. In balance each $f_e$ is ¼ and each $P_e$ is ¼, so the loss is 4 · 4 · ¹⁄₁₆ = **1**. If all tokens
# choose the first expert with a probability of 0.7, only $f_1 = 1$ counts: 4 · 1 · 0.7 = **2.8**.

# %% id="favourite-torch-tensor-0-7-0"
favourite = torch.tensor([0.7, 0.1, 0.1, 0.1]).log().expand(8, 4)
even = torch.eye(4).repeat(2, 1) * 1e-3  # every expert is the favourite of two tokens, by a hair
for name, logits in (("one favourite", favourite), ("even", even)):
    print(f"{name:14}", rounded(experts.load_balancing_loss(logits, k=1)))

# %% [markdown] id="predict-which-experts-does-the-loss"
# > **Predict.** Which experts does the loss push *down* when all tokens choose the first: the first only, or also the others?

# %% id="leaf-favourite-clone-requires-grad"
leaf = favourite.clone().requires_grad_()
(gradient,) = torch.autograd.grad(experts.load_balancing_loss(leaf, k=1), leaf)
print("gradient at the scores of one token:", rounded(gradient[0]))

# %% [markdown] id="build-it-7"
# A positive gradient means "down". The favourite is pushed down and all others up, which is what softmax does with a push on one
# share (notebook [Softmax](04_softmax.ipynb)).
#
# ### Build it


# %% id="mlp.balancing"
@exercise("mlp.balancing")
def load_balancing_loss(logits, k):
    """Return E * sum over experts of (choices per token) * (mean probability)."""
    ...


# %% id="reveal-mlp-balancing"
reveal("mlp.balancing")

# %% id="logits-torch-randn-20-6-generator"
logits = torch.randn(20, 6, generator=seeded(6))
theirs = qwen3_moe.load_balancing_loss_func((logits,), num_experts=6, top_k=2)
ours = experts.load_balancing_loss(logits, k=2)
print("agrees with transformers:", torch.allclose(ours, theirs))

# %% [markdown] id="the-library-s-version-also-takes"
# The library's version also takes a `mask`. Padding tokens are all alike, so they all choose the same experts, and if they
# count, the loss sees an imbalance that is not there:

# %% id="real-torch-eye-6-repeat-4"
real = torch.eye(6).repeat(4, 1)  # 24 tokens, spread evenly over 6 experts
padded = torch.cat([real, torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(40, 6)])
mask = torch.arange(64) < 24
print("padding counted:", rounded(experts.load_balancing_loss(padded, k=1)))
print("with a mask:    ", rounded(experts.load_balancing_loss(padded, k=1, mask=mask)))

# %% [markdown] id="does-it-work"
# ### Does it work?
# Three mixtures of 8 experts, 2 for each token, learn to guess bytes as before. The first router is left alone, the second gets the
# balancing loss, the third is a *control*: it draws lots. A load of 1 is a fair share.

# %% tags=["nbval-ignore-output"] id="mixtures-name-byte-models-trained-name"
mixtures = {name: ffn_toys.train(name, data, steps=200) for name in ffn_toys.ROUTERS}
loads = {name: ffn_toys.loads(model, held_out)[1] for name, model in mixtures.items()}
show(figures.mlp.expert_loads(loads))
for name, model in mixtures.items():
    print(f"{name:11} held-out loss {ffn_toys.loss_on(model, held_out):.3f} nats per byte")

# %% [markdown] id="one-run-may-be-luck-four"
# One run may be luck. Four seeds and 800 steps, stored:

# %% id="measured-byte-models-stored"
measured = ffn_toys.longer_runs()
for name in ffn_toys.ROUTERS:
    busiest = [max(loads) for loads in measured["loads in the last layer"][name]]
    losses = measured["losses"]["800"][name]
    print(
        f"{name:11} busiest expert: {min(busiest):.2f} to {max(busiest):.2f} fair shares;", end=" "
    )
    print(f"loss {min(losses):.3f} to {max(losses):.3f}")
dense = measured["losses"]["800"]["SwiGLU"]
print(f"one SwiGLU layer with as much work per token: {min(dense):.3f} to {max(dense):.3f}")

# %% [markdown] id="read-it-in-this-order-left"
# Read it in this order:
#
# - **Left alone**, some experts do several times their share and others next to nothing.
# - **With the loss**, the load is close to even, and the model predicts as well as before: balance was free here.
# - **Drawn by lot**, the load is as even as can be, and the model is far *worse*. An expert that cannot know which tokens it will
#   get cannot become an expert in anything. So an even load alone says nothing about a router: compare with lots.
# - Both learned mixtures beat the plain SwiGLU layer with which they share the *work per token*. They paid in memory.

# %% [markdown] id="9-room-for-everyone-and-an"
# ## 9 · Room for everyone, and an expert for all
#
# Where experts are computed in parallel, each gets a fixed number of places: its *capacity*, a factor times its fair share of
# the choices. When an expert's queue is longer, the last ones are **dropped**: that choice adds nothing to the token, which
# goes on with what its other experts and the residual connection give it.
#
# By hand: 32 tokens with 2 choices each make 64 choices, a fair share of 8 for each of 8 experts. A factor of 1.25 makes
# **10** places. An expert that 16 pairs chose drops 6, while an idle one keeps 10 places empty.

# %% id="for-name-skew-in-a-biased"
for name, skew in (("a biased router", 1.0), ("without the bias", 0.0)):
    chosen = explorers.mlp.choices(skew)
    groups = experts.dispatch(chosen, num_experts=8, capacity=10)
    queues = torch.bincount(chosen.flatten(), minlength=8).tolist()
    print(f"{name:16} queues {queues}, dropped {int(groups.dropped.sum())} of {chosen.numel()}")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# Move the capacity factor: a small one drops choices, a large one leaves places empty, and empty places are computed all the same.
# Then move the router's bias to 0: much less is dropped with the same room. This is what balance buys. In a queue all second
# choices stand behind all first ones, so they are dropped first.

# %% id="explorers-mlp-capacity-factor-1-25"
explorers.mlp.capacity(factor=1.25, skew=1.0)

# %% [markdown] id="some-things-are-needed-by-every"
# Some things are needed by every token, and each expert would have to learn them anew. A *shared expert* (Dai et al. 2024) takes
# every token, besides the k that the router chooses. In Qwen2-MoE it stands behind a gate of its own:

# %% id="block-experts-sparsemoe-width-32-hidden"
block = experts.SparseMoE(width=32, hidden=24, num_experts=8, k=2, shared_hidden=48)
x = torch.randn(5, 32, generator=seeded(7))
with torch.no_grad():
    shared = torch.sigmoid(block.shared_expert_gate(x)) * block.shared_expert(x)
    whole = block(x)
    block.shared_expert = None
    print("output = routed + shared:", torch.allclose(whole, block(x) + shared, atol=1e-6))

# %% [markdown] id="qwen3-moe-has-no-shared-expert"
# Qwen3-MoE has no shared expert, and it drops nothing: at inference its experts take queues of any length.

# %% [markdown] id="10-what-a-mixture-weighs"
# ## 10 · What a mixture weighs
#
# Two numbers describe a mixture. *Total* parameters have to be in memory. *Active* parameters are those that one token
# multiplies with, and the work grows with them:
#
# $$\text{total} = E\,C + E \cdot 3\,C F \qquad\qquad \text{active} = E\,C + k \cdot 3\,C F$$
#
# The router, $E\,C$, is in both: to find the k best, it has to score all. By hand: C = 2, F = 3, two experts, one active. An
# expert has 3 · 2 · 3 = 18 parameters, the router 4. Total 4 + 36 = **40**, active 4 + 18 = **22**.

# %% id="print-experts-expert-parameters-width-2"
print(experts.expert_parameters(width=2, hidden=3, num_experts=2, k=1))
block = experts.SparseMoE(width=2, hidden=3, num_experts=2, k=1)
print("parameters of the module:", sum(p.numel() for p in block.parameters()))

# %% [markdown] id="build-it-8"
# ### Build it


# %% id="mlp.expert_parameters"
@exercise("mlp.expert_parameters")
def expert_parameters(width, hidden, num_experts, k, shared_hidden=None):
    """Return (total, active) parameters of one mixture of gated experts."""
    ...


# %% id="reveal-mlp-expert-parameters"
reveal("mlp.expert_parameters")

# %% [markdown] id="predict-qwen3-30b-a3b-has-48"
# > **Predict.** Qwen3-30B-A3B has 48 layers of 128 experts, 8 active, model width 2048, expert width 768. The name promises 30
# > billion parameters, 3 billion of them active. How many of each are in its mixtures?

# %% id="layer-experts-expert-parameters-width-2048"
layer = experts.expert_parameters(width=2048, hidden=768, num_experts=128, k=8)
print(f"one layer:  {layer.total:14,} in memory, {layer.active:13,} at work")
print(f"48 layers:  {48 * layer.total:14,} in memory, {48 * layer.active:13,} at work")
print(f"wide enough to match: one layer with 8 · 768 = {8 * 768} hidden units")

# %% [markdown] id="play-with-it-5"
# 29.0 of its 30.5 billion parameters are experts, and 1.8 of its 3.4 billion active ones; attention, embedding and head are the
# rest (the whole account is in notebook [Counting parameters](09_parameter_counting.ipynb)). One token does the work of a gated layer 6144 wide, which is the layer of Qwen3-1.7B,
# and draws on sixteen times as many entries.
#
# ### Play with it
# Begin with Qwen3-30B-A3B. Make the experts half as wide and take twice as many of each kind, 256 and 16: nothing changes
# except the router, but the choice is finer. This is the way that recent models have gone.

# %% id="explorers-mlp-expert-sizes-num-experts"
explorers.mlp.expert_sizes(num_experts=128, k=8, hidden=768)

# %% [markdown] id="11-claims-that-are-wrong"
# ## 11 · Claims that are wrong
#
# > *"We replaced ReLU by SwiGLU, with the same hidden size 4d, and the model got better. SwiGLU is the better layer."*

# %% id="c-4096"
C = 4096
plain, gated = 2 * C * 4 * C, 3 * C * 4 * C
print(f"plain {plain:,}  gated {gated:,}  ratio {gated / plain}")
print("the fair hidden size would have been", mlp.matched_hidden_width(C), "and not", 4 * C)

# %% [markdown] id="at-the-same-f-the-gated"
# At the same F the gated layer has **half as many parameters again**, and half as much work again. It may well be better, and section 5
# says that it is; but this experiment cannot tell.
#
# > *"GELU is 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))."*

# %% id="x-torch-linspace-6-6-120"
x = torch.linspace(-6, 6, 120_001, dtype=torch.float64)
gap = (mlp.gelu_exact(x) - mlp.gelu_tanh(x)).abs()
print(f"largest difference {gap.max():.6f}, at |x| = {abs(x[gap.argmax()]):.2f}")
print(f"in roundings of float32 at 1: {gap.max() / torch.finfo(torch.float32).eps:,.0f}")
half = mlp.gelu_exact(x.bfloat16()) != mlp.gelu_tanh(x.bfloat16())
print("some results differ even in bfloat16:", half.any().item())

# %% [markdown] id="that-is-the-fit-and-it"
# That is the *fit*, and it is thousands of roundings away. In a config, `gelu` is the exact form, `gelu_new` and
# `gelu_pytorch_tanh` are the fit. Weights want the form they were trained with. With the other one, a comparison of logits fails
# at the fourth digit, and people look for the bug for days.
#
# > *"Attention is what makes a Transformer; the feed-forward layers are about a third of it."*

# %% id="for-model-count-in-counts-items"
for model, count in counts.items():
    of_blocks = count["feed-forward"] / (count["feed-forward"] + count["attention"])
    of_all = count["feed-forward"] / sum(count.values())
    print(f"{model:11} feed-forward: {of_blocks:.0%} of the blocks, {of_all:.0%} of the model")
print(f"Qwen3-30B-A3B: {48 * layer.total / 30_532_122_624:.0%} of the model")

# %% [markdown] id="it-is-the-other-way-round"
# It is the other way round. Feed-forward layers are about two thirds of the blocks, between 60 % and 78 % here, and of a mixture
# nearly everything. As a share of the *whole* they look smaller in small models, where the embedding table is large.
#
# > *"A mixture that uses 8 of its 128 experts needs 1/16 of the memory."*

# %% id="print-f-weights-in-bfloat16-48"
print(f"weights in bfloat16: {48 * layer.total * 2 / 1e9:.0f} GB,", end=" ")
print(f"of which one token touches {48 * layer.active * 2 / 1e9:.1f} GB")
for tokens in (1, 4, 16, 64, 256):
    used = 128 * (1 - (1 - 8 / 128) ** tokens)
    lots = torch.cat([torch.randperm(128, generator=seeded(t))[:8] for t in range(tokens)])
    print(f"{tokens:3} tokens: expected {used:5.1f} of 128 experts, drawn {lots.unique().numel()}")

# %% [markdown] id="a-mixture-saves-work-not-room"
# A mixture saves *work*, not room: the next token may choose any expert, so all of them must be there. Nor does it save reading
# for long. One token reads 8 experts, but a batch of 64 that is spread evenly reads nearly all of them. That is why mixtures pay
# for a service with many users, who share the reading, and for those who have much memory and little to compute with.
#
# > *"All experts are equally busy, so the router works."*
#
# You have seen the refutation in section 8: lots are perfectly even.

# %% id="lots-sum-measured-losses-800-random"
lots = sum(measured["losses"]["800"]["random"]) / 4
learned = sum(measured["losses"]["800"]["balanced"]) / 4
print(f"four seeds, 800 steps: lots {lots:.2f}, learned and balanced {learned:.2f} nats per byte")

# %% [markdown] id="recap"
# ## Recap
#
# 1. A feed-forward layer works on each token alone: widen, bend, narrow. It holds two thirds of a block and more.
# 2. GELU is x · Φ(x); its tanh form is a fit. SiLU is x · σ(x). ReLU has no slope below 0, so that units can die.
# 3. A gated layer multiplies: act(gate) ⊙ up. SwiGLU is the one with SiLU. It has three matrices, so compare at
#    F = 8/3 · C.
# 4. Row i of `up` is a key, column i of `down` its value. A mixture of experts keeps many such memories and asks k of them:
#    softmax, top-k, normalise.
# 5. The balancing loss E · Σ f · P evens the load. Total parameters need memory, active ones need work: 8 of 128 experts save
#    work, not room.
#
# ### Test yourself

# %% id="quiz-mlp"
quiz("mlp")

# %% [markdown] id="papers"
# ### Papers
# - Hendrycks & Gimpel 2016, *Gaussian error linear units*, arXiv:1606.08415.
# - Dauphin, Fan, Auli & Grangier 2016, *Language modeling with gated convolutional networks*, arXiv:1612.08083.
# - Shazeer 2020, *GLU variants improve Transformer*, arXiv:2002.05202.
# - Geva, Schuster, Berant & Levy 2021, *Transformer feed-forward layers are key-value memories*, arXiv:2012.14913.
# - Li et al. 2022, *The lazy neuron phenomenon*, arXiv:2210.06313, on how few units fire.
# - Shazeer et al. 2017, *Outrageously large neural networks: the sparsely-gated mixture-of-experts layer*, arXiv:1701.06538.
# - Fedus, Zoph & Shazeer 2021, *Switch Transformers*, arXiv:2101.03961, for the balancing loss and capacity.
# - Dai et al. 2024, *DeepSeekMoE*, arXiv:2401.06066, for shared experts and many narrow ones.
#
# **Next:** [The whole transformer](08_transformer.ipynb), where attention, norms and feed-forward layers become a model that loads real weights.
