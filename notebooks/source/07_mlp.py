# %% [markdown] id="07-mlp-and-experts"
# # 07 · MLP and experts
#
# **What do the feed-forward layers do, which hold about two thirds of a block's parameters?**
#
# Attention brings a token information from other tokens. Then each token is processed alone by a *feed-forward layer* (also
# called MLP, for multi-layer perceptron): a wide matrix, a nonlinearity, a narrow matrix. No part of a model is simpler, and
# none has more parameters: about two thirds of each *block* are here. As a fraction of the whole model, embeddings included, it
# is less; you will count.
#
# After this notebook you can
# - write GELU in both of its forms, SiLU and a gated layer such as SwiGLU, and explain the advantages of each;
# - give two kinds of layer the same number of parameters before you compare them;
# - read a feed-forward layer as a memory, with keys and values;
# - write a mixture of experts, from the router to the output, keep its experts evenly loaded, and compare its parameters, FLOPs
#   and memory traffic with a dense layer's.
#
# About an hour and a half, without the sections at the end that are called *Further*: nothing else depends on them. You need
# Python and a little PyTorch; nothing is downloaded. A few cells train small models, together for less than half a minute;
# their numbers differ a little from machine to machine.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/07_mlp.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/07_mlp.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/07_mlp.ipynb).

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

import torch
import torch.nn.functional as F

from course_lib import experts, mlp
from course_lib.chapters.mlp import answers, ffn_toys
from course_lib.device import default_device, seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.study.exhibits import course_model_probes

# models are trained on this device; small examples and float64 checks stay on the CPU
device = default_device()

# %% [markdown] id="1-each-token-by-itself"
# ## 1 · Each token by itself
#
# The plain layer has two matrices, `up` (F, C) and `down` (C, F), where C is the model's width and F is usually 4 C:
#
# $$\operatorname{ffn}(x) = \operatorname{act}(x\,W_{up}^\top)\,W_{down}^\top$$
#
# The numbers between the two matrices are called **hidden units**; what a unit receives, before the activation, is its
# *pre-activation*.
#
# Small enough for mental arithmetic: x = 1, `up` has the two rows 2 and −1, `down` is the row (10, 7), and act is ReLU, which keeps
# positive numbers and sets the rest to 0. The pre-activations are 2 and −1, ReLU turns them into 2 and 0, and the output is
# 2 · 10 + 0 · 7 = **20**.
#
# > **Predict.** A sentence of five vectors goes through the layer. You change the third vector. Which outputs change?

# %% id="width-hidden-6-24"
up, down = torch.tensor([[2.0], [-1.0]]), torch.tensor([[10.0, 7.0]])
print("output:", mlp.feed_forward(torch.tensor([1.0]), up, down))

width, hidden = 6, 24
up = torch.randn(hidden, width, generator=seeded(0))
down = torch.randn(width, hidden, generator=seeded(1))
sentence = torch.randn(5, width, generator=seeded(2))
changed = sentence.clone()
changed[2] += 1.0
moved = mlp.feed_forward(changed, up, down) != mlp.feed_forward(sentence, up, down)
print("changed outputs:", moved.any(-1).tolist())

# %% [markdown] id="only-the-third-the-layer-has"
# Only the third. The layer treats every token separately; that is why it is called *position-wise*, and why all
# tokens of a batch can be multiplied in one large matrix product.
#
# > **Predict.** A block of a model is attention and feed-forward. What fraction of a block's parameters is feed-forward: a
# > third, a half, or two thirds?
#
# Count the matrices. Attention has four: queries with `heads · head_dim` rows and the output with as many columns, keys and
# values with `kv_heads · head_dim` rows. The feed-forward layers of Llama-2 and Qwen3 have three matrices (section 4 says why).
# Embedding and output head share one table of the vocabulary, or have one each. Biases, norms and GPT-2's table of positions
# are left out; the last line of the cell shows how little that is.


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
# shares keys and values among heads, they hold almost four fifths of the blocks, and two thirds of the *whole* model. Qwen3-0.6B is
# unusual: its attention is twice as wide as the model itself. And in a small model the embedding table is a large part
# of the whole.
#
# ## 2 · Why an activation is needed
#
# > **Predict.** Leave the activation out. What can two matrices in a row do that one cannot?

# %% id="x-torch-randn-4-width-generator"
x = torch.randn(4, width, generator=seeded(3))
straight = mlp.feed_forward(x, up, down, mlp.identity)
one_matrix = x @ (down @ up).mT
print("equal to one matrix:", torch.allclose(straight, one_matrix, atol=1e-4))

# %% [markdown] id="nothing-two-matrices-in-a-row"
# Nothing: the product of two matrices *is* one matrix. Only the activation between them makes the layer more than that. Sigmoid
# and tanh were used first; the simplest one in wide use is ReLU, $\max(x, 0)$. It has a corner at 0, and below 0 its slope is
# exactly 0.
#
# GELU (Hendrycks & Gimpel 2016) smooths the corner. It multiplies x by a probability: that a standard normal number is below x.
#
# $$\operatorname{gelu}(x) = x \cdot \Phi(x) = x \cdot \tfrac12\big(1 + \operatorname{erf}(x/\sqrt2)\big)$$
#
# By hand: 84.1 % of all standard normal numbers are below 1, so gelu(1) = 1 · 0.841 = **0.841**. And 15.9 % are below −1,
# so gelu(−1) = −1 · 0.159 = **−0.159**. A negative number is not cut off; a small part of it passes.
#
# ### Build it
# x is a tensor of any shape, in float32 or float64; return the same shape and type. Numbers may be as large as ±1000, and
# neither the result nor its gradient may be nan. The cell checks itself when you run it: leave the `def` line as it is and
# replace the `...`.
#
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run its cell twice.


# %% id="mlp.gelu_exact"
@exercise("mlp.gelu_exact")
def gelu_exact(x):
    """Return x times the probability that a standard normal number is below x."""
    ...


# %% id="reveal-mlp-gelu-exact"
reveal("mlp.gelu_exact")

# %% [markdown] id="when-gelu-was-new-erf-was"
# When GELU was new, erf was slow on common hardware. So it was approximated by a tanh, and GPT-2 was trained with the approximation:
#
# $$\operatorname{gelu}_{\tanh}(x) = \tfrac12 x\Big(1 + \tanh\big(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\big)\Big)$$
#
# By hand, at 1: the argument of tanh is 0.798 · 1.0447 = 0.8336, its tanh is 0.6824, and half of 1.6824 is **0.8412**. The exact
# value is 0.8413. (Shapes, types and gradients as before.)


# %% id="mlp.gelu_tanh"
@exercise("mlp.gelu_tanh")
def gelu_tanh(x):
    """Return the tanh form of GELU."""
    ...


# %% id="reveal-mlp-gelu-tanh"
reveal("mlp.gelu_tanh")

# %% [markdown] id="silu-also-called-swish-asks-for"
# SiLU, also called Swish, is cheaper: it multiplies x by its sigmoid. Qwen, Llama and Mistral use it.
#
# $$\operatorname{silu}(x) = x \cdot \sigma(x) = \frac{x}{1 + e^{-x}}$$
#
# By hand, at 1: the sigmoid of 1 is 1 / (1 + 0.368) = **0.731**, and so is silu(1). In the exercise, again, numbers may be as
# large as ±1000, and the gradient may not be nan. (At −1000 the quotient above is right. Is its gradient?)

# %% id="one-torch-tensor-1-0"
one = torch.tensor(1.0)
inside = math.sqrt(2 / math.pi) * (1 + 0.044715)
print(
    f"tanh form: inside {inside:.4f}, tanh {math.tanh(inside):.4f}, result {mlp.gelu_tanh(one):.4f}"
)
print(f"exact:     {mlp.gelu_exact(one):.4f}")
print(f"silu:      {mlp.silu(one):.4f}")
print(f"exact at −1: {mlp.gelu_exact(-one):.4f}")


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
# Three formulas are called GELU: the exact one, the tanh form, and $x \cdot \sigma(1.702\,x)$. On a plot they are
# indistinguishable. Their difference from the exact form, on a logarithmic axis, shows how good each approximation is. The
# error of the tanh form is thousands of times the rounding of float32, so it is not the same function. In a config, `gelu` is
# the exact form; `gelu_new` and `gelu_pytorch_tanh` are the tanh form. Use the form that the weights were trained with: with
# the other one, logits differ in the fourth digit, and people search for the bug for days.

# %% id="show-figures-mlp-gelu-forms"
show(figures.mlp.gelu_forms())

# %% [markdown] id="play-with-it"
# ### Play with it
# The curve and its slope; below, a histogram of inputs, here samples of a standard normal distribution (negative inputs are
# red, positive ones blue). Watch the second number of the title, the fraction of inputs at which the slope is below 0.01: in
# training they pass almost no gradient back.

# %% id="explorers-mlp-activation-name-relu"
explorers.mlp.activation(name="ReLU")

# %% [markdown] id="3-what-really-arrives"
# ## 3 · The inputs of a trained layer
#
# A normal distribution is a guess. Let us look at a real network, a small one that we train here. It predicts the next byte of
# Python's documentation from the eight bytes before it, without attention: eight rows of a table are concatenated, and
# two feed-forward layers with residual connections do the rest.

# %% id="data-held-out-byte-models-lessons"
data, held_out = (part.to(device) for part in ffn_toys.lessons())
context = bytes(data.contexts[1000].tolist()), bytes([data.following[1000].item()])
print("each example:", len(context[0]), "bytes and the one that followed")
print("parameters:", sum(p.numel() for p in ffn_toys.untrained("ReLU").parameters()))

# %% tags=["nbval-ignore-output"] id="reader-byte-models-trained-relu-data"
reader = ffn_toys.train("ReLU", data, steps=500)
loss = ffn_toys.loss_on(reader, held_out)
print(f"equal probabilities: {math.log(256):.2f} nats per byte; after 500 steps: {loss:.2f}")

# %% [markdown] id="predict-at-the-start-of-training"
# > **Predict.** At the start of training about half of a ReLU's inputs are negative. And now, in the first layer and in the
# > second?

# %% tags=["nbval-ignore-output"] id="first-second-byte-models-pre-activations"
first, second = ffn_toys.pre_activations(reader, held_out)
for name, numbers in (("first", first), ("second", second)):
    print(f"{name:6} layer: {(numbers < 0).float().mean():.0%} of the pre-activations are negative")
explorers.mlp.activation({"layer 2": second, "layer 1": first}, name="ReLU")

# %% [markdown] id="in-the-second-layer-nine-of"
# In the second layer nine of ten pre-activations are negative: a unit is zero for most inputs and responds to
# something in particular. That is healthy. (Choose "layer 1" above to compare.)
#
# But what about a unit that is zero for **every** token? Below 0 the slope of ReLU is exactly 0, so no token passes a gradient
# through the unit. It is called *dead*. Its own weights get no gradient; only weight decay still shrinks them (AdamW does
# that). It can come back only if the layers below change its inputs. What kills units is a large step, which moves their
# weights so far that no token activates them any more. A unit with GELU or SiLU still has some slope there. (*Further* measures
# both.)
#
# By hand: three tokens, two units. The first unit gets 1, −2, −1, the second −1, −2, −3. The second is dead, so the fraction
# of dead units is 1 of 2, **0.5**. That the first is zero for two tokens out of three does not matter.

# %% id="seen-torch-tensor-1-0-1"
seen = torch.tensor([[1.0, -1.0], [-2.0, -2.0], [-1.0, -3.0]], requires_grad=True)
print("fraction of dead units:", mlp.dead_unit_fraction(seen.detach()))
(gradient,) = torch.autograd.grad(torch.relu(seen).sum(), seen)
print("gradient of each number:", gradient.tolist())

# %% id="a-dead-unit-in-training"
for decay in (0.0, 0.1):
    row = torch.nn.Parameter(torch.tensor([-1.0, -1.0]))  # negative for all of these inputs
    optimizer = torch.optim.AdamW([row], lr=0.1, weight_decay=decay)
    for _ in range(10):
        optimizer.zero_grad()
        torch.relu(torch.rand(8, 2, generator=seeded(0)) @ row).sum().backward()
        optimizer.step()
    print(f"weight decay {decay}: the row after ten steps", rounded(row.detach(), 2))

# %% [markdown] id="build-it-2"
# ### Build it
# The pre-activations have the shape (..., F): any number of leading axes with at least one token, and F hidden units. Return a plain
# number between 0 and 1: the fraction of units that are at most 0 for every token. Exactly 0 counts as dead.


# %% id="mlp.dead_units"
@exercise("mlp.dead_units")
def dead_unit_fraction(pre_activations):
    """Return the fraction of hidden units whose ReLU is 0 for every token."""
    ...


# %% id="reveal-mlp-dead-units"
reveal("mlp.dead_units")

# %% [markdown] id="4-gates"
# ## 4 · Gates
#
# Dauphin et al. 2016 introduced an idea that most models now use: one projection of x decides how much of a *second* projection
# passes.
#
# $$\operatorname{gated}(x) = \big(\operatorname{act}(x\,W_{gate}^\top) \odot (x\,W_{up}^\top)\big)\,W_{down}^\top$$
#
# The product ⊙ is elementwise. Only the gate goes through the activation; up stays linear. The activation gives the layer its name:
#
# | activation of the gate | sigmoid | ReLU | GELU | SiLU | none |
# |---|---|---|---|---|---|
# | layer | GLU | ReGLU | GEGLU | **SwiGLU** | bilinear |
#
# By hand, with ReLU: x = 1, the gates are 2 and −1, the ups 3 and 5, `down` is (10, 7). The first unit passes
# relu(2) · 3 = 6, the second is closed, relu(−1) · 5 = 0. The output is 6 · 10 = **60**.
#
# > **Predict.** Someone swaps `gate` and `up` when loading a checkpoint. Both have the shape (F, C). What happens?

# %% id="gate-up-torch-tensor-2-0"
gate, up = torch.tensor([[2.0], [-1.0]]), torch.tensor([[3.0], [5.0]])
down, x = torch.tensor([[10.0, 7.0]]), torch.tensor([1.0])
print("ReGLU: ", mlp.gated_ffn(x, gate, up, down, torch.relu).item())
print("SwiGLU:", rounded(mlp.gated_ffn(x, gate, up, down), 2)[0])
print("gate and up swapped, SwiGLU:  ", rounded(mlp.gated_ffn(x, up, gate, down), 2)[0])
print("gate and up swapped, bilinear:", mlp.gated_ffn(x, up, gate, down, mlp.identity).item())
print("in the right order, bilinear: ", mlp.gated_ffn(x, gate, up, down, mlp.identity).item())

# %% [markdown] id="build-it-3"
# No error is raised and the result is wrong, except in the bilinear layer, where gate and up are interchangeable. This is one
# of the most common mistakes in loading weights, since several libraries store the two matrices as one and disagree about which
# comes first.
#
# ### Build it
# x is (..., C) with any number of leading axes, `gate` and `up` are (F, C), `down` is (C, F), all of one type. `activation` is a
# function. Return (..., C) in the same type. Gradients flow to x and to all three matrices.


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
# line. With up held fixed you see the activation, scaled and, for a negative up, flipped. With ReLU half of the square is
# exactly 0; with SiLU a little passes even there. And unlike any plain activation the surface can be negative in one
# corner and positive in the next: it multiplies two features of x.

# %% id="explorers-mlp-gate-surface-gate-swiglu"
explorers.mlp.gate_surface(gate="swiglu", up=1.0)

# %% [markdown] id="build-it-4"
# ## 5 · A fair comparison
#
# A gated layer has three matrices, a plain one has two. At equal F it has 50 % more parameters, so it would be no surprise if
# it were better. To compare layers and not sizes, give both the same number of parameters: $3\,C F' = 2\,C F$, so
# $F' = \tfrac23 F$. With the usual $F = 4C$ that is $F' = \tfrac83 C$.
#
# By hand: C = 192. The plain layer has 768 hidden units and 2 · 192 · 768 = 294 912 parameters. Two thirds of 768 is
# **512**, and 3 · 192 · 512 = 294 912.
#
# > **Predict.** Llama-2-7B has C = 4096 and rounds up to a multiple of 256. Which F is in its config?
#
# ### Build it
# A plain layer has `expansion · width` hidden units. Return, as an integer, the smallest multiple of `multiple_of` with which a
# gated layer has at least as many parameters. All arguments are positive integers. Round only once: for width 4096 and multiple
# 1 the result is 10923, since ⅔ · 4 · 4096 = 10922.67.


# %% id="mlp.matched_width"
@exercise("mlp.matched_width")
def matched_hidden_width(width, multiple_of=1, expansion=4):
    """Return the F of a gated layer as large as a plain one of F = expansion * width."""
    ...


# %% id="reveal-mlp-matched-width"
reveal("mlp.matched_width")

# %% id="print-llama-2-7b-mlp-matched"
print("width 192:", mlp.matched_hidden_width(192), "hidden units")
print("parameters:", 2 * 192 * 768, "and", 3 * 192 * mlp.matched_hidden_width(192))
print("Llama-2-7B:", mlp.matched_hidden_width(4096, multiple_of=256))

# %% [markdown] id="two-seeds-are-too-few-to"
# That explains the strange number 11008 in its config. (Later models do not follow the rule: Qwen3-8B uses 12288, which is 3 C.)
#
# Now compare five models of equal size, with the network of section 3: two with plain layers, ReLU and GELU, and three with
# gated ones. A single run may be chance, so there are four seeds, and up to 3200 steps, trained beforehand (*Further* trains
# some of them here). Each dot is one seed: its advantage over the ReLU model with the *same* seed, on documents that neither
# has been trained on.

# %% id="for-name-in-names-1"
longer = ffn_toys.longer_runs()["losses"]
names = tuple(ffn_toys.VARIANTS)
for name in names[1:]:
    gaps = [r - v for r, v in zip(longer["3200"]["ReLU"], longer["3200"][name], strict=True)]
    print(f"{name:6} below ReLU by {sum(gaps) / 4:+.3f} nats, seeds from {min(gaps):+.3f} up")
show(figures.mlp.variants_in_time(longer))

# %% [markdown] id="read-the-dots-not-only-the"
# Look at the dots, not only the lines. At 200 steps some seeds still disagree. From 800 steps on every variant is below ReLU in
# every seed: a smooth activation helps, a gate helps, and both together help most. The lines of GEGLU and SwiGLU
# are closer than the spread of their dots, so the figure does not say which of the two is better. And from 800 to 3200 steps the
# advantage of the gated layers shrinks: part of it is that they learn *faster*.
#
# Shazeer 2020 found much the same in a T5 model, and attributed the success, for want of an explanation, to "divine
# benevolence". A small model of bytes with one learning rate for all proves nothing about large ones. But you have seen the
# effect together with its spread, at equal size, which is how such a question should be asked.
#
# ## 6 · The layer as a memory
#
# Write the plain layer as a sum over its hidden units:
#
# $$\operatorname{ffn}(x) = \sum_{i=1}^{F} \operatorname{act}(k_i \cdot x)\; v_i$$
#
# where $k_i$ is row i of `up` and $v_i$ is column i of `down`. Geva et al. 2021 read this as a memory: $k_i$ is a *key* that is
# compared with x, and the better it matches, the more of the *value* $v_i$ is added to the output. It resembles attention
# over F entries, with two differences: keys and values are weights, the same for every sentence; and there is no softmax, so
# any number of keys may match at once.
#
# By hand: x = (1, 2); the keys are (1, 1), (−1, 0), (0, 2); they match by 3, −1 and 4. With ReLU the second adds nothing. The
# values are (1, 0), (5, 5), (0, −1): the first adds (3, 0), the third (0, −4), and the sum is **(3, −4)**.

# %% id="x-keys-torch-tensor-1-0"
x, keys = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0], [-1.0, 0.0], [0.0, 2.0]])
values = torch.tensor([[1.0, 0.0], [5.0, 5.0], [0.0, -1.0]])
written = mlp.memory_contributions(x, keys, values.mT)
print("each unit adds:", written.tolist())
print("together:  ", written.sum(0).tolist())
print("the layer: ", mlp.feed_forward(x, keys, values.mT).tolist())

# %% [markdown] id="build-it-5"
# ### Build it
# x is a single vector (C,), `up` is (F, C), `down` is (C, F), all of one type; `activation` is a function. Return a matrix (F,
# C) whose rows sum to the layer's output. The gradient is checked too.


# %% id="mlp.memory"
@exercise("mlp.memory")
def memory_contributions(x, up, down, activation=torch.relu):
    """Return a matrix (F, C): what each hidden unit adds to the output for one vector x."""
    ...


# %% id="reveal-mlp-memory"
reveal("mlp.memory")

# %% [markdown] id="play-with-it-3"
# ### Play with it
# Six keys, six values, two features. Rotate x and see which keys match; on the right their values are added head to
# tail. Grey keys have a negative match and add nothing. (*Further* looks for such entries in the small model of section 3.)

# %% id="explorers-mlp-memory-direction-60"
explorers.mlp.memory(direction=60)

# %% [markdown] id="7-many-layers-of-which-few"
# ## 7 · Mixture of experts
#
# If a layer is a memory, a larger one remembers more. But each token pays for every entry, matched or not. A *mixture of
# experts* reduces the cost: instead of one wide layer there are E narrower ones, the experts, and a small *router* sends each token
# to k of them (Shazeer et al. 2017). The router is a matrix (E, C); it gives every expert a score, and
#
# $$p = \operatorname{softmax}(x\,W_r^\top), \qquad y = \sum_{e\,\in\,\text{top-}k} \frac{p_e}{\sum_{e' \in \text{top-}k} p_{e'}}\;\operatorname{expert}_e(x)$$
#
# Top-k are the k experts with the largest $p_e$. The fractions in front of the experts are the *gate weights*.
#
# By hand: scores 2, 1 and 0.1, k = 2. Softmax gives 0.659, 0.242, 0.099 (you know them from notebook
# [Softmax](04_softmax.ipynb)). The two largest are kept and divided by their sum 0.901: gate weights of **0.731 and 0.269**.
#
# > **Predict.** A second router keeps the two largest *scores* first, 2 and 1, and takes the softmax of these. What are its gate
# > weights?

# %% id="logits-torch-tensor-2-0-1"
logits = torch.tensor([[2.0, 1.0, 0.1]])
for normalise in (True, False):
    gates, chosen = experts.route(logits, 2, normalise)
    print(f"normalise={normalise!s:5} gates {rounded(gates[0])}, experts {chosen[0].tolist()}")
best = logits.topk(2).values
print("softmax of the best scores:", rounded(torch.softmax(best, -1)[0]))

# %% [markdown] id="build-it-6"
# The same as the normalised ones. What softmax divides by is common to all experts, and cancels when the kept probabilities are
# divided by their sum. So "softmax before or after top-k" makes no difference *if* the gate weights are normalised, and a large
# one if they are not: then they sum to less than 1, and the layer's output shrinks when the router is uncertain. Qwen3-MoE
# normalises (`norm_topk_prob`), Qwen2-MoE does not. The config says which; a wrong guess raises no error.
#
# ### Build it
# `logits` are (N, E), of any size (softmax must not overflow), 1 ≤ k ≤ E. Return the gate weights (N, k), in the type of the
# logits, and the numbers of the experts (N, k), best first. Gradients flow through the gate weights.


# %% id="mlp.route"
@exercise("mlp.route")
def route(logits, k, normalise=True):
    """Return (gates, chosen), both (N, k), best first, from router logits (N, E)."""
    ...


# %% id="reveal-mlp-route"
reveal("mlp.route")

# %% [markdown] id="how-do-the-experts-get-their"
# ### Build it: the whole mixture
# Now the layer, from router to output. x is (N, C), `router` (E, C); the experts are SwiGLU layers with `gate` and `up` (E, F,
# C) and `down` (E, C, F); 1 ≤ k ≤ E. Gate weights are normalised. Return (N, C). An expert should run only on the tokens that
# chose it: loop over the experts, select their tokens, and add the results. An expert that no token has chosen must not raise
# an error. You may call `experts.route` and `mlp.gated_ffn`. Gradients flow to x, the router and all experts.


# %% id="mlp.moe_forward"
@exercise("mlp.moe_forward")
def moe_forward(x, router, gate, up, down, k):
    """Return, for each token, the gated sum of its k best experts, (N, C)."""
    ...


# %% id="reveal-mlp-moe-forward"
reveal("mlp.moe_forward")

# %% [markdown] id="from-the-loop-to-the-library"
# The loop is right, and with 128 experts slow: 384 small matrix products and as many selections. The library sorts all pairs
# (token, choice) by expert instead, so that each expert finds its tokens side by side and one grouped product serves them all. The
# same sums, checked (*Further* shows the code):

# %% id="loop-and-library"
block = experts.SparseMoE(width=32, hidden=24, num_experts=8, k=2)
gate, up = block.experts.gate_up_proj.chunk(2, dim=1)
x = torch.randn(9, 32, generator=seeded(5))
loop = answers.moe_forward(x, block.gate.weight, gate, up, block.experts.down_proj, 2)
print("the loop equals the library:", torch.allclose(loop, block(x), atol=1e-6))

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# The block of Qwen3-MoE in `transformers`, and ours with its weights:

# %% id="ours-experts-sparsemoe-width-32-hidden"
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe import modeling_qwen3_moe as qwen3_moe

shape = {"hidden_size": 32, "moe_intermediate_size": 24, "num_experts": 8}
config = Qwen3MoeConfig(**shape, num_experts_per_tok=2, norm_topk_prob=True)
config._experts_implementation = "eager"  # its plain loop over experts
theirs = qwen3_moe.Qwen3MoeSparseMoeBlock(config)
for number, weight in enumerate(theirs.parameters()):
    torch.nn.init.normal_(weight, std=0.2, generator=seeded(number))

ours = experts.SparseMoE(width=32, hidden=24, num_experts=8, k=2)
print(ours.load_state_dict(theirs.state_dict(), strict=True))
x = torch.randn(2, 9, 32, generator=seeded(5))
print("largest difference < 1e-6:", ((ours(x) - theirs(x)).abs().max() < 1e-6).item())

# %% [markdown] id="8-keeping-all-of-them-busy"
# ## 8 · Load balancing
#
# Nothing makes the router use all experts. At the start one of them is slightly better, so it gets more tokens, so it
# learns more, so it gets still more. Some experts are never used; and if experts are on different devices, all
# others wait for the busiest one.
#
# A common remedy is a second, small loss (Fedus et al. 2021):
#
# $$\ell_{balance} = E \sum_{e=1}^{E} \underbrace{\frac{\text{choices of } e}{\text{tokens}}}_{f_e} \cdot \underbrace{\operatorname{mean}(p_e)}_{P_e}$$
#
# The first factor counts the choices, and a count has no gradient. The second has one: the loss lowers an expert's
# probability *in proportion to its load*. With k choices per token the loss is k in perfect balance, and at most
# about E.
#
# By hand: E = 4, k = 1. In balance each $f_e$ is ¼ and each $P_e$ is ¼, so the loss is 4 · 4 · ¹⁄₁₆ = **1**. If all tokens
# choose the first expert with a probability of 0.7, only $f_1 = 1$ counts: 4 · 1 · 0.7 = **2.8**.
#
# > **Predict.** Whose score does the loss *lower* if all tokens choose the first expert: only the first expert's, or others' too?

# %% id="favourite-torch-tensor-0-7-0"
favourite = torch.tensor([0.7, 0.1, 0.1, 0.1]).log().expand(8, 4)
even = torch.eye(4).repeat(2, 1) * 1e-3  # every expert is first for two tokens, by a small margin
for name, logits in (("one favourite", favourite), ("even", even)):
    print(f"{name:14}", rounded(experts.load_balancing_loss(logits, k=1)))

leaf = favourite.clone().requires_grad_()
(gradient,) = torch.autograd.grad(experts.load_balancing_loss(leaf, k=1), leaf)
print("gradient at the scores of one token:", rounded(gradient[0]))

# %% [markdown] id="build-it-7"
# A positive gradient means that the score goes down. The favourite is lowered and all others are raised, which is what softmax does
# with a gradient on one probability (notebook [Softmax](04_softmax.ipynb)).
#
# ### Build it
# `logits` are (N, E) with N ≥ 1, 1 ≤ k ≤ E. Return a scalar tensor. Choices are counted per *token*, so that perfect balance
# gives k. Gradients flow through the mean probability.


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

# %% [markdown] id="does-it-work"
# ### Does it work?
# Three mixtures of 8 experts, 2 for each token, learned to predict bytes as in section 3, for 800 steps with four seeds
# (stored). The first router has no balancing loss, the second has one, the third is a *control*: it routes at random. A load
# of 1 is the mean over all experts; the figure shows the first seed.

# %% id="measured-byte-models-stored"
measured = ffn_toys.longer_runs()
for name in ffn_toys.ROUTERS:
    busiest = [max(each) for each in measured["loads in the last layer"][name]]
    losses = measured["losses"]["800"][name]
    print(
        f"{name:11} busiest expert: {min(busiest):.2f} to {max(busiest):.2f} × the mean", end="; "
    )
    print(f"loss {min(losses):.3f} to {max(losses):.3f}")
dense = measured["losses"]["800"]["SwiGLU"]
print(f"one SwiGLU layer with equal FLOPs per token: {min(dense):.3f} to {max(dense):.3f}")
first_seed = {name: each[0] for name, each in measured["loads in the last layer"].items()}
show(figures.mlp.expert_loads({name: torch.tensor(each) for name, each in first_seed.items()}))

# %% [markdown] id="read-it-in-this-order-left"
# Line by line:
#
# - **Left alone**, some experts get several times the mean load and others almost nothing.
# - **Balanced**, the load is close to even, and the model predicts as well as before: here balance costs nothing.
# - **Random**, the load is as even as possible, and the model is far *worse*. An expert whose tokens are random
#   cannot specialise. So an even load alone says nothing about a router: compare with random routing.
# - Both learned mixtures beat the single SwiGLU layer that has the same *FLOPs per token*. They need more memory.
#
# ### Balance without a loss
# A balancing loss also pulls on the router where it disagrees with the task. Wang et al. 2024 balance without one, and
# DeepSeek-V3 uses their method: each expert has a bias that is added to its score *only to choose* the k best; the gate weights
# come from the scores alone. After each batch the bias of every expert below the mean load goes up by a fixed step, that of
# every expert above it goes down. No gradient is involved.
#
# By hand: 3 tokens with 2 choices each over 4 experts, the mean is 1.5. Loads 3, 1, 1, 1: the first bias goes down, the other three
# go up.
#
# ### Build it
# `bias` is (E,), `chosen` (N, k) integers, `rate` a positive number. Return a new tensor; the caller's bias stays as it is. An
# expert at exactly the mean load keeps its bias. Experts that were never chosen count.


# %% id="mlp.bias_step"
@exercise("mlp.bias_step")
def bias_step(bias, chosen, rate):
    """Return the routing bias after one batch."""
    ...


# %% id="reveal-mlp-bias-step"
reveal("mlp.bias_step")

# %% [markdown] id="predict-the-bias"
# > **Predict.** A router prefers its first experts: the scores of 8 experts are shifted by 2 to −2. How many steps of 0.02 does the
# > bias need to even the load?

# %% tags=["nbval-ignore-output"] id="the-bias-at-work"
scores = torch.randn(512, 8, generator=seeded(0)) + torch.linspace(2, -2, 8)
bias = torch.zeros(8)
for step in range(151):
    chosen = (scores + bias).topk(2).indices
    load = experts.expert_load(chosen, 8) * 8
    if step % 50 == 0:
        print(f"step {step:3}: loads from {load.min():.1f} to {load.max():.1f} × the mean")
    bias = answers.bias_step(bias, chosen, rate=0.02)
print("first and last bias have opposite signs:", (bias[0] < 0 < bias[7]).item())

# %% [markdown] id="9-room-for-everyone-and-an"
# About 100: the outermost experts are shifted by 2, and 100 · 0.02 = 2.
#
# ## 9 · Capacity and shared experts
#
# If experts are computed in parallel, each gets a fixed number of slots: its *capacity*, a factor times the mean load.
# If more choices fall on an expert, the last ones are **dropped**: such a choice adds nothing to the token, which
# keeps what its other experts and the residual connection give it.
#
# By hand: 32 tokens with 2 choices each make 64 choices, a mean of 8 for each of 8 experts. A factor of 1.25 makes
# **10** slots. An expert with 16 choices drops 6, while an unused one keeps 10 slots empty.

# %% id="for-name-skew-in-a-biased"
for name, skew in (("a biased router", 1.0), ("without the bias", 0.0)):
    chosen = explorers.mlp.choices(skew)
    groups = experts.dispatch(chosen, num_experts=8, capacity=10)
    queues = torch.bincount(chosen.flatten(), minlength=8).tolist()
    print(f"{name:16} queues {queues}, dropped {int(groups.dropped.sum())} of {chosen.numel()}")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# Move the capacity factor: a small one drops choices, a large one leaves slots empty, and empty slots are computed all the same.
# Then move the router's bias to 0: much less is dropped at the same capacity. This is the benefit of balance. In a queue all second
# choices come after all first ones, so they are dropped first.

# %% id="explorers-mlp-capacity-factor-1-25"
explorers.mlp.capacity(factor=1.25, skew=1.0)

# %% [markdown] id="10-what-a-mixture-weighs"
# Some features are useful for every token, and each expert would have to learn them separately. A *shared expert*
# (Dai et al. 2024) processes every token, in addition to the k that the router chooses. In Qwen2-MoE its output is multiplied by a
# sigmoid gate of its own, whose weights have the shape (1, C). Qwen3-MoE has no shared expert, and it drops nothing: at inference its
# experts take any number of tokens.
#
# ## 10 · What a mixture costs
#
# Two numbers describe the size of a mixture. *Total* parameters must be in memory. *Active* parameters are those that one token is
# multiplied with, and FLOPs grow with them:
#
# $$\text{total} = E\,C + E \cdot 3\,C F \qquad\qquad \text{active} = E\,C + k \cdot 3\,C F$$
#
# The router, $E\,C$, is in both: to find the k best, it scores all experts. By hand: C = 2, F = 3, two experts, one active. An
# expert has 3 · 2 · 3 = 18 parameters, the router 4. Total 4 + 36 = **40**, active 4 + 18 = **22**.
#
# ### Build it
# All arguments are positive integers. `shared_hidden`, if given, is the hidden width of one shared gated expert, which has an
# additional gate of shape (1, C) and counts in both numbers. Return a pair of integers (total, active). No biases anywhere.


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
print(experts.expert_parameters(width=2, hidden=3, num_experts=2, k=1))
block = experts.SparseMoE(width=2, hidden=3, num_experts=2, k=1)
print("parameters of the module:", sum(p.numel() for p in block.parameters()))

layer = experts.expert_parameters(width=2048, hidden=768, num_experts=128, k=8)
print(f"one layer:  {layer.total:14,} in memory, {layer.active:13,} active")
print(f"48 layers:  {48 * layer.total:14,} in memory, {48 * layer.active:13,} active")
print(f"a dense layer with as many FLOPs per token has 8 · 768 = {8 * 768} hidden units")

# %% [markdown] id="play-with-it-5"
# 29.0 of its 30.5 billion parameters are experts, and 1.8 of its 3.4 billion active ones; attention, embedding and head are the
# rest (the full account is in notebook [Counting parameters](09_parameter_counting.ipynb)). A token needs the FLOPs of a gated
# layer with F = 6144, which is that of Qwen3-1.7B, and can choose from sixteen times as many entries.
#
# ### FLOPs, bytes and arithmetic intensity
# Each weight that is used takes 2 FLOPs per token (a multiplication and an addition) and must be read from memory once per
# batch, 2 bytes in bfloat16. *Arithmetic intensity* is FLOPs divided by bytes. A processor that computes R FLOPs in the time in
# which it reads one byte is limited by memory below an intensity of R and by arithmetic above; for an H100, R is about 300 in
# bfloat16.
#
# For a dense layer the intensity is N, the number of tokens: every token uses every weight. In a mixture N tokens share the experts:
# each of the E experts serves N · k / E of them.
#
# > **Predict.** At which N does the dense layer reach an intensity of 300? And the mixture with 8 of 128 experts?

# %% id="intensity-dense-and-mixture"
dense_weights = 3 * 2048 * 8 * 768  # as many FLOPs per token as eight experts
print(f"{'':16}  dense layer          mixture")
print(f"{'tokens':>7} {'GFLOPs':>8}   MB  FLOPs per byte   MB  FLOPs per byte")
for tokens in (1, 16, 256, 4096, 65_536):
    used = 128 * (1 - (1 - 8 / 128) ** tokens)  # expected number of experts, evenly loaded
    moe_weights = 128 * 2048 + used * 3 * 2048 * 768  # router and used experts
    dense, moe = (2 * weights for weights in (dense_weights, moe_weights))  # bytes in bfloat16
    flops = 2 * dense_weights * tokens
    print(f"{tokens:7} {flops / 1e9:8.2f} {dense / 1e6:4.0f} {flops / dense:13.0f}", end="")
    print(f" {moe / 1e6:6.0f} {flops / moe:13.1f}")

# %% [markdown] id="measure-dense-and-mixture"
# (Bytes of weights only; the activations add to them.) The dense layer needs about 300 tokens, the mixture 16 times as many.
# With one token both read only what they use, and their intensity is the same. From about 64 tokens on the mixture reads nearly
# all experts, 16 times as many bytes for the same FLOPs. That is why mixtures are served in large batches.
#
# FLOPs are not time: at equal FLOPs a mixture is several times slower than a dense layer, since it reads more weights, its matrix
# products are smaller, and routing and sorting take time (*Further* measures it). A mixture is a large layer at a reduced price,
# not a small layer for free.
#
# ### Play with it
# Start with Qwen3-30B-A3B. Make the experts half as wide and use twice as many, 256 and 16: nothing changes
# except the router, but there are more combinations to choose from. Recent models have gone this way.

# %% id="explorers-mlp-expert-sizes-num-experts"
explorers.mlp.expert_sizes(num_experts=128, k=8, hidden=768)

# %% [markdown] id="11-claims-that-are-wrong"
# ## 11 · Wrong claims
#
# > *"We replaced ReLU by SwiGLU, with the same hidden size 4d, and the model got better. SwiGLU is the better layer."*

# %% id="c-4096"
C = 4096
plain, gated = 2 * C * 4 * C, 3 * C * 4 * C
print(f"plain {plain:,}  gated {gated:,}  ratio {gated / plain}")
print("the fair hidden size would have been", mlp.matched_hidden_width(C), "and not", 4 * C)

# %% [markdown] id="at-the-same-f-the-gated"
# At the same F the gated layer has **50 % more parameters** and FLOPs. It may well be better, and section 5
# says that it is; but this experiment cannot tell.
#
# > *"A mixture that uses 8 of its 128 experts needs 1/16 of the memory."*

# %% id="print-f-weights-in-bfloat16-48"
print(f"weights in bfloat16: {48 * layer.total * 2 / 1e9:.0f} GB,", end=" ")
print(f"of which one token uses {48 * layer.active * 2 / 1e9:.1f} GB")
for tokens in (1, 4, 16, 64, 256):
    used = 128 * (1 - (1 - 8 / 128) ** tokens)
    sample = torch.cat([torch.randperm(128, generator=seeded(t))[:8] for t in range(tokens)])
    print(
        f"{tokens:3} tokens: expected {used:5.1f} of 128 experts, sampled {sample.unique().numel()}"
    )

# %% [markdown] id="a-mixture-saves-work-not-room"
# A mixture saves *FLOPs*, not memory: the next token may choose any expert, so all of them must be loaded. Nor does it save memory
# traffic for long. One token reads 8 experts, but a batch of 64 that is spread evenly reads nearly all of them. That is why mixtures
# suit services with many users, whose tokens share the reading, and machines with much memory and weak compute.
#
# > *"All experts are equally busy, so the router works."*
#
# Section 8 refutes it: random routing is perfectly even.

# %% id="lots-sum-measured-losses-800-random"
at_random = sum(measured["losses"]["800"]["random"]) / 4
learned = sum(measured["losses"]["800"]["balanced"]) / 4
print(
    f"four seeds, 800 steps: random {at_random:.2f}, learned and balanced {learned:.2f} nats per byte"
)

# %% [markdown] id="what-kills-units-a-step-that"
# ## Further: what kills units
#
# A large step can move a unit's weights so far that no token activates it any more, and it stays there. Train the model of section 3
# at three learning rates, with ReLU and with GELU, and count the units of the last layer that are negative for each of the ten
# thousand held-out examples. A ReLU unit of this kind is dead; a GELU unit is not, since its slope is not 0. Dots are seeds:


# %% tags=["nbval-ignore-output"] id="dead"
def dead(name, rate, seed):
    model = ffn_toys.train(name, data, 100, seed, rate)
    return ffn_toys.dead_fractions(model, held_out)[1]


rates, found = (0.003, 0.01, 0.03), {}
for name in ("ReLU", "GELU"):
    found[name] = [[dead(name, rate, seed) for seed in (0, 1)] for rate in rates]
show(figures.mlp.dead_units(rates, found))

# %% [markdown] id="with-relu-a-good-part-of"
# With ReLU a considerable part of the layer dies within a hundred steps once the rate is high. A GELU unit on the negative side
# still has some slope, so it can come back. Mind what this does *not* show: a model with dead units may still reach a good
# loss, because the other units are enough. Dead units are wasted parameters, not a broken model.

# %% [markdown] id="what-arrives-at-a-real-gate"
# ## Further: the gates of a trained model
#
# The surface shows what is possible. What happens in practice? The course has its own model, with SwiGLU layers, trained on
# Python's documentation and sources (you will build it in notebook [The whole transformer](08_transformer.ipynb)). Here it
# reads some held-out source code, and we record all of its hidden units. The printed numbers depend a little on your version of
# Python, whose sources are the text.
#
# > **Predict.** In section 3, ReLU units were zero for most inputs. SiLU is never exactly zero. Will the inputs of its gates
# > be mostly negative all the same?

# %% tags=["nbval-ignore-output"] id="heard-trained-model-hidden-units-text"
heard = course_model_probes.hidden_units("text")
print(
    len(heard[0].gate), "tokens,", heard[0].gate.shape[1], "units in each of", len(heard), "layers"
)
show(figures.mlp.gates_by_layer({f"layer {i}": tuple(each) for i, each in enumerate(heard)}))

# %% [markdown] id="mostly-negative-in-every-layer-a"
# Mostly negative, in every layer. A closed gate passes almost nothing, and a product is also small if *up* is. "Near 0" means
# here: below a tenth of the layer's typical product (its root mean square). In contrast to ReLU none of them is exactly 0:

# %% tags=["nbval-ignore-output"] id="for-number-gate-up-in-enumerate"
exact = max((mlp.silu(gate) * up == 0).float().mean().item() for gate, up in heard)
never = max(mlp.dead_unit_fraction(gate) for gate, _ in heard)
print(f"products of exactly 0, in any layer: at most {exact:.1%}")
print(f"units whose gate is negative for every token, in any layer: at most {never:.1%}")

# %% [markdown] id="play-with-it-6"
# ### Play with it
# Left, the surface from above: the colour shows how many units have this pair of gate and up; between the inner white lines a
# product is "near 0". Right, the units of each token in order of size: how many of them account for most of the sum of squared
# products? The dashed line is a control, the same gates and ups paired at random.

# %% tags=["nbval-ignore-output"] id="explorers-mlp-units-at-work"
explorers.mlp.units_at_work()

# %% [markdown] id="a-small-part-of-the-units"
# A small fraction of the units accounts for nearly all of a token's sum of squares. The control shows why. Where the curves
# agree, the two distributions explain it, a few open gates among many closed ones; the gap shows that gate and up depend on
# each other. Choose *repeats*, random tokens without meaning, and see the same layers behave differently. In large models with
# ReLU an even larger part is zero, and its work can be skipped (Li et al. 2022).
#
# What a unit adds to the stream is its product times its column of `down`. Do the columns change the picture?

# %% tags=["nbval-ignore-output"] id="units-with-their-columns"
from course_lib.chapters.mlp.figures.gates import share_needed

blocks = course_model_probes.course_model().blocks
for number, (gate, up) in enumerate(heard):
    products = mlp.silu(gate) * up
    columns = blocks[number].mlp.down_proj.weight.norm(dim=0)  # (F,)
    alone, added = share_needed(products), share_needed(products * columns)
    print(f"layer {number}: 90 % from {alone:.1%} of the units; times their columns {added:.1%}")

# %% [markdown] id="after-the-columns"
# Hardly: the columns of a layer have similar lengths.

# %% [markdown] id="that-is-the-odd-number-11008"
# ## Further: train the five layers yourself
#
# Five models of equal size, two seeds each, 150 steps: a *short* training. Each dot is one model, its height the loss on documents
# that it has not been trained on. Two seeds and 150 steps are too few to be convincing; compare with the figure of section 5, which
# `python -m course_lib.chapters.mlp.ffn_toys` makes in some minutes.

# %% tags=["nbval-ignore-output"] id="names-tuple-byte-models-variants"
sizes = [sum(p.numel() for p in ffn_toys.untrained(name).parameters()) for name in names]
print("parameters:", dict(zip(names, sizes, strict=True)))
show(figures.mlp.variants(ffn_toys.losses(names, steps=150, seeds=(0, 1), device=device)))

# %% [markdown] id="does-the-little-model-of-section"
# ## Further: entries of a trained memory
#
# Does the small model of section 3 hold such entries? Take the units of its last layer that are active for few of the ten thousand
# held-out examples. What a *key* responds to can be seen from the contexts that activate it most. What the *value* predicts can be
# read with the output head: which next bytes does it make more likely?

# %% tags=["nbval-ignore-output"] id="fires-second-0-double-mean-0"
active = (second > 0).float().mean(0)
rare = [unit for unit in active.argsort().tolist() if active[unit] > 0.004][:6]
values = reader.layers[1].down_proj.weight  # (C, F)
raised = (reader.head.weight * reader.last_norm.weight) @ values  # (256, F)
for unit in rare:
    order = second[:, unit].argsort(descending=True)[:200].tolist()
    contexts = dict.fromkeys(bytes(held_out.contexts[i].tolist()) for i in order)
    raises = bytes(raised[:, unit].topk(3).indices.tolist())
    print(f"unit {unit:3} active {active[unit]:.1%}, raises {raises}, after", *list(contexts)[:4])

# %% [markdown] id="look-along-each-row-the-contexts"
# Look along each row. The contexts of some units end alike, or have the same letter at one of the eight positions; those of
# others have nothing in common that one could see. So some keys of this model can be read. Its values are harder to read, since
# each of them shifts the prediction only a little, together with those of all other active units. In large models, too, many
# keys cannot be put into words, and one meaning is spread over many units. The memory is a *view* of the layer. The view is
# exact; what is stored in it has to be found out each time.

# %% [markdown] id="how-dispatch-reads"
# ## Further: how the library runs experts
#
# The library sorts all pairs (token, choice) by expert. `order` lists the sorted pairs, `counts` says how many each expert has,
# `place` leads back. With a `capacity` (section 9) an expert drops its last pairs.

# %% id="reveal-experts-dispatch"
reveal(experts.dispatch)

# %% id="reveal-experts-run-experts"
reveal(experts.run_experts)

# %% [markdown] id="the-library-s-version-also-takes"
# ## Further: padding, and a shared expert
#
# The library's balancing loss also takes a `mask`. Padding tokens are all alike, so they all choose the same experts; if they
# are counted, the loss sees an imbalance that does not exist:

# %% id="real-torch-eye-6-repeat-4"
real = torch.eye(6).repeat(4, 1)  # 24 tokens, spread evenly over 6 experts
padded = torch.cat([real, torch.tensor([[1.0, 0, 0, 0, 0, 0]]).expand(40, 6)])
mask = torch.arange(64) < 24
print("padding counted:", rounded(experts.load_balancing_loss(padded, k=1)))
print("with a mask:    ", rounded(experts.load_balancing_loss(padded, k=1, mask=mask)))

# %% [markdown] id="some-things-are-needed-by-every"
# The shared expert of section 9, as in Qwen2-MoE: what it adds, times its gate, is the difference between the layer with it and
# without it.

# %% id="block-experts-sparsemoe-width-32-hidden"
block = experts.SparseMoE(width=32, hidden=24, num_experts=8, k=2, shared_hidden=48)
x = torch.randn(5, 32, generator=seeded(7))
with torch.no_grad():
    shared = torch.sigmoid(block.shared_expert_gate(x)) * block.shared_expert(x)
    whole = block(x)
    block.shared_expert = None
    print("output = routed + shared:", torch.allclose(whole, block(x) + shared, atol=1e-6))

# %% [markdown] id="further-dense-and-mixture-timed"
# ## Further: dense and mixture, timed
#
# Three layers on the CPU (layers as small as these would leave a GPU idle): a mixture of 32 experts with 4 active, a dense
# layer with the same FLOPs per token, and a dense layer with all of the mixture's parameters.

# %% id="time-dense-and-mixture"
import time


def best_time(layer, x, runs=7):
    times = []
    for _ in range(runs + 1):  # the first call is a warm-up
        start = time.perf_counter()
        layer(x)
        times.append(time.perf_counter() - start)
    return min(times[1:])


sparse = experts.SparseMoE(width=256, hidden=128, num_experts=32, k=4).requires_grad_(False)
same_flops, all_parameters = (mlp.GatedFFN(256, n * 128).requires_grad_(False) for n in (4, 32))

# %% tags=["nbval-ignore-output"] id="ratios-dense-and-mixture"
for tokens in (1, 16, 256):
    x = torch.randn(tokens, 256, generator=seeded(tokens))
    mixture, small, large = (best_time(each, x) for each in (sparse, same_flops, all_parameters))
    print(
        f"{tokens:3} tokens: the mixture takes {mixture / small:4.1f} × the time of equal FLOPs",
        end=" ",
    )
    print(f"and {mixture / large:4.2f} × that of equal parameters")

# %% [markdown] id="after-the-timing"
# At equal FLOPs the mixture is slower, mostly by a factor of several. With many tokens it is clearly faster than the dense
# layer that holds as many parameters; with few, routing takes up most of the advantage.

# %% [markdown] id="further-mixtures-at-scale"
# ## Further: mixtures at scale
#
# **Router z-loss.** Large router logits make softmax saturate and are rounded coarsely in bfloat16. Zoph et al. 2022 add a
# small multiple of $\operatorname{mean}\big((\log \sum_e e^{z_e})^2\big)$ to the loss, which keeps the logits small:

# %% id="router-z-loss"
z = torch.tensor([[2.0, 1.0, 0.1]])
for factor in (1, 10):
    penalty = torch.logsumexp(factor * z, -1).square().mean()
    print(
        f"logits × {factor:2}: largest gate {torch.softmax(factor * z, -1).max():.2f}, z-loss {penalty:.1f}"
    )

# %% [markdown] id="expert-parallelism"
# **Expert parallelism.** Experts that do not fit on one device are spread over several. Each token's vector is sent to the
# devices of its k experts and the results are sent back: two *all-to-all* exchanges per layer, of N · k · C numbers each. Their
# cost, and waiting for the device with the busiest experts, is why balance and capacity matter in practice.

# %% [markdown] id="recap"
# ## Recap
#
# 1. A feed-forward layer processes each token alone: widen, activate, narrow. It holds about two thirds of a block's parameters.
# 2. GELU is x · Φ(x); its tanh form is an approximation. SiLU is x · σ(x). ReLU has slope 0 below 0, so units can die.
# 3. A gated layer multiplies: act(gate) ⊙ up. SwiGLU is the one with SiLU. It has three matrices, so compare at
#    F = 8/3 · C.
# 4. Row i of `up` is a key, column i of `down` its value. A mixture of experts has many such memories and uses k of them for each
#    token: softmax, top-k, normalise.
# 5. The balancing loss E · Σ f · P, or a bias on the scores, evens the load. Total parameters need memory, active ones need FLOPs: 8 of
#    128 experts save FLOPs, not memory.
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
# - Zoph et al. 2022, *ST-MoE*, arXiv:2202.08906, for the router z-loss.
# - Dai et al. 2024, *DeepSeekMoE*, arXiv:2401.06066, for shared experts and many narrow ones.
# - Wang et al. 2024, *Auxiliary-loss-free load balancing strategy for mixture-of-experts*, arXiv:2408.15664.
#
# **Next:** [The whole transformer](08_transformer.ipynb), where attention, norms and feed-forward layers become a model that
# loads real weights.
