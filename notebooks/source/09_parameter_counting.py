# %% [markdown] id="09-counting-parameters"
# # 09 · Counting parameters
#
# **Where do the parameters, FLOPs and bytes come from, and will it fit?**
#
# A config.json is a page of numbers. From it you can calculate, before you download or rent anything, how many parameters a
# model has, how many FLOPs a token takes, how much memory it needs, and how fast it can generate at most. This notebook does
# the multiplications, and checks each of them against something that was really built, computed or stored.
#
# After this notebook you can
# - count the parameters of any model of the Qwen3, Llama, Mistral or GPT-2 families exactly, and name the four common mistakes;
# - calculate the FLOPs of a token and of a training run, how long a run takes, and its utilisation;
# - calculate the bytes of weights, of a KV cache and of a training step, with its activations;
# - draw a roofline, say why prefill and decode have different limits, and bound the tokens per second of a model on a device
#   by the bytes that a step reads.
#
# About 130 minutes. You need Python and a little PyTorch; nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/09_parameter_counting.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/09_parameter_counting.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/09_parameter_counting.ipynb).

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
import time
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from course_lib import accounting
from course_lib.accounting import DEVICES, MODELS
from course_lib.device import default_device, seeded, synchronize
from course_lib.model import build_model
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, show
from course_lib.study.display.memory_meter import MemoryMeter

# %% [markdown] id="1-a-matrix-is-a-product"
# ## 1 · The parameters of attention
#
# A parameter is one number of a matrix (or of a vector). A matrix that maps $a$ numbers to $b$ numbers has $a \cdot b$ of them,
# so counting a model means finding its matrices. The letters are those of the whole course: C is the model width, H the number
# of query heads, G the number of key/value heads, D the width of one head, F the width of the feed-forward layer, L the
# number of layers, V the size of the vocabulary.
#
# Attention has four matrices:
#
# $$\underbrace{C \cdot HD}_{\text{queries}} + \underbrace{C \cdot GD}_{\text{keys}} + \underbrace{C \cdot GD}_{\text{values}} + \underbrace{HD \cdot C}_{\text{output}}$$
#
# Small enough to do by hand: C = 4, two query heads that share one key/value head, D = 4. Queries 4 · 8 = 32, keys 4 · 4 = 16,
# values 16, output 8 · 4 = 32, together **96**.

# %% id="print-by-the-formula-accounting-attention"
print("by the formula:", accounting.attention_parameters(4, 2, 1, 4))
shapes = [(8, 4), (4, 4), (4, 4), (4, 8)]
print("by the shapes: ", sum(rows * columns for rows, columns in shapes))

# %% [markdown] id="predict-qwen3-0-6b-has-c"
# > **Predict.** Qwen3-0.6B has C = 1024, 16 query heads, 8 key/value heads and D = 128. Is its attention larger or smaller
# > than $4\,C^2$, the formula in many textbooks?

# %% id="config-models-qwen3-0-6b"
for name in ("Qwen3-0.6B", "Qwen3-4B"):
    config = MODELS[name]
    heads = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
    counted = accounting.attention_parameters(config.hidden_size, *heads)
    width = config.num_attention_heads * config.head_dim
    print(f"{name}: C = {config.hidden_size}, all query heads together are {width} wide")
    print(f"  attention of one layer {counted:,}, 4·C² = {4 * config.hidden_size**2:,}")

# %% [markdown] id="build-it"
# Larger by half in Qwen3-0.6B, although keys and values are shared. The width of a head is a separate number in the config: 16
# heads of 128 are 2048 wide, twice the model. $4\,C^2$ counts four square matrices, as in GPT-2, where $HD = C$ and $G = H$. In
# Qwen3-4B the number is right by coincidence: no matrix is square, but $HD + GD = 2\,C$.
#
# ### Build it
# Key/value heads may be fewer than query heads, and all heads together need not be as wide as the model. There are no biases.
# The cell checks itself when you run it: leave the `def` line as it is and replace the `...`. Stuck? Run `hint()` in a new cell. The
# solution stays folded until you have passed, or have run the cell twice. (The library's function also counts what some models have
# in addition: biases, in Qwen2 for q, k and v, in GPT-2 for all, and the two small norms of Qwen3.)


# %% id="parameter_counting.attention"
@exercise("parameter_counting.attention")
def attention_parameters(hidden_size, num_attention_heads, num_key_value_heads, head_dim):
    """Return the parameters of the four matrices of one attention layer; no biases."""
    ...


# %% id="reveal-parameter-counting-attention"
reveal("parameter_counting.attention")

# %% [markdown] id="2-the-feed-forward-layer"
# ## 2 · The parameters of the feed-forward layer
#
# A plain layer has two matrices, a gated one three (notebook [MLP and experts](07_mlp.ipynb)):
#
# $$2\,C F \quad\text{plain} \qquad\qquad 3\,C F \quad\text{gated}$$
#
# By hand: C = 4, F = 5. Each matrix has 20 parameters; a plain layer has **40**, a gated one **60**.
#
# > **Predict.** In one layer of Qwen3-8B (C = 4096, F = 12288, H = 32, G = 8, D = 128), how many times larger is the
# > feed-forward layer than attention?

# %% id="print-accounting-mlp-parameters-4-5"
print(accounting.mlp_parameters(4, 5, gated=False), accounting.mlp_parameters(4, 5))
attention = accounting.attention_parameters(4096, 32, 8, 128)
mlp = accounting.mlp_parameters(4096, 12288)
print(f"attention {attention:,}   feed-forward {mlp:,}   ratio {mlp / attention}")

# %% [markdown] id="build-it-2"
# ### Build it
# Gated, the layer has three matrices; with `gated=False`, two.


# %% id="parameter_counting.mlp"
@exercise("parameter_counting.mlp")
def mlp_parameters(hidden_size, intermediate_size, gated=True):
    """Return the parameters of one feed-forward layer without biases."""
    ...


# %% id="reveal-parameter-counting-mlp"
reveal("parameter_counting.mlp")

# %% [markdown] id="3-the-whole-model"
# ## 3 · The whole model
#
# What is left: the embedding, a table of $V \cdot C$; the *output head*, a second table of the same size, unless it is *tied*,
# that is, the embedding is used for both; and norms of C numbers each, two in each layer and one at the end.
#
# $$N = \underbrace{V C}_{\text{embedding}} + L\,\big(\text{attention} + \text{MLP} + 2C\big) + C + \underbrace{V C}_{\text{output head, if untied}}$$
#
# By hand, a toy: V = 10, C = 4, one layer with the attention of 96 and the gated layer of 60, tied. The table has 40, the layer
# 96 + 60 + 8 = 164, the last norm 4: together **208**. Untied it would be 248.

# %% id="toy-replace"
sizes = {"vocab_size": 10, "hidden_size": 4, "intermediate_size": 5, "num_hidden_layers": 1}
heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
toy = replace(MODELS["Llama-3-8B"], **sizes, **heads, tie_word_embeddings=True)
for part in accounting.parameter_parts(toy):
    print(f"{part.name:11} {part.parameters:4}   {part.formula}")
untied = replace(toy, tie_word_embeddings=False)
print(
    "together   ", accounting.total_parameters(toy), " untied", accounting.total_parameters(untied)
)

# %% [markdown] id="predict-qwen3-0-6b-v-151"
# > **Predict.** Qwen3-0.6B: V = 151 936, C = 1024, tied. What fraction of its parameters is the table: a tenth, a quarter, or a
# > half?

# %% id="for-name-in-qwen3-0-6b"
for name in ("Qwen3-0.6B", "Qwen3-8B"):
    print(name)
    for part in accounting.parameter_parts(MODELS[name]):
        share = part.parameters / accounting.total_parameters(MODELS[name])
        print(f"  {part.name:11} {part.parameters:13,}  {share:6.2%}   {part.formula}")

# %% [markdown] id="build-it-3"
# A quarter in the small model; in the large one two tables of 8 % each. Norms are a ten-thousandth and less.
#
# ### Build it
# You get a config with Hugging Face's names: `config.vocab_size`, `config.hidden_size`, `config.intermediate_size`,
# `config.num_hidden_layers`, `config.num_attention_heads`, `config.num_key_value_heads`, `config.head_dim`,
# `config.tie_word_embeddings`, and `config.qk_norm`: where it is True (Qwen3), each layer has two more norms of `head_dim`
# numbers, one for queries and one for keys. All feed-forward layers are gated, and there are no biases. You may use
# `accounting.attention_parameters` and `accounting.mlp_parameters`.


# %% id="parameter_counting.model"
@exercise("parameter_counting.model")
def total_parameters(config):
    """Return the parameters of a dense, gated model without biases."""
    ...


# %% id="reveal-parameter-counting-model"
reveal("parameter_counting.model")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# A formula should be checked against a real model. On PyTorch's *meta* device a tensor has a shape and no memory, so even the
# largest model can be built in a moment. Fifteen published configurations, built with the course's code and with `transformers`: is each count exact?

# %% id="built"
from transformers import AutoConfig, AutoModelForCausalLM

from course_lib.checkpoint import config_to_json


def built(config):
    """Return the parameters of the course's model and of transformers', both really built."""
    with torch.device("meta"):
        ours = build_model(config)
        theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config_to_json(config)))
    return [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]


# %% id="for-name-config-in-models-items"
for name, config in MODELS.items():
    counted = accounting.total_parameters(config)
    tied = "tied" if config.tie_word_embeddings else "untied"
    print(f"{name:16} {counted:15,}  {tied:6}  all equal: {built(config) == [counted, counted]}")

# %% [markdown] id="4-parameters-that-are-there-and"
# ## 4 · Total and active parameters of a mixture
#
# A mixture of experts (notebook [MLP and experts](07_mlp.ipynb)) has E gated layers instead of one, and each token uses k of
# them. So there are two counts. The *total* has to be in memory. The *active* parameters are the total without the experts that a
# token does not use:
#
# $$N_{active} = N - L\,(E - k) \cdot 3\,C F_e$$
#
# By hand: two layers, E = 4 experts of 3 · 2 · 3 = 18 parameters, k = 1. In each layer 3 experts are not used, so
# 2 · 3 · 18 = **108** parameters are not active.
#
# > **Predict.** The name says Qwen3-30B-A3B: 30 billion, 3 of them active. E = 128 and k = 8, so a sixteenth of the experts
# > is active. A sixteenth of 30 would be 1.9. Where does the rest of the 3 come from?

# %% id="mixture-models-qwen3-30b-a3b"
mixture = MODELS["Qwen3-30B-A3B"]
total, active = accounting.total_parameters(mixture), accounting.active_parameters(mixture)
print(f"total {total:,}   active {active:,}")
for part in accounting.parameter_parts(mixture):
    used = part.parameters - (total - active) * (part.name == "experts")
    print(f"  {part.name:11} {part.parameters:14,} active {used:13,}")

# %% [markdown] id="build-it-10"
# Attention, the two tables and the router are used for every token. (The row `experts` includes the
# router. The active count includes the embedding, as is the
# convention, though a token uses only one row of it.)
#
# ### Build it
# Every layer of this model is a mixture: `config.num_experts`, `config.num_experts_per_tok`, `config.moe_intermediate_size`. Count
# everything except the experts that a token does not use; the router counts whole.


# %% id="parameter_counting.active"
@exercise("parameter_counting.active")
def active_parameters(config):
    """Return the parameters of a mixture without the experts that one token does not use."""
    ...


# %% id="reveal-parameter-counting-active"
reveal("parameter_counting.active")

# %% [markdown] id="5-what-a-token-costs"
# ## 5 · The FLOPs of a token
#
# A FLOP is one operation on numbers: a multiplication, or an addition. For each token, a weight is multiplied once, and the
# product is added to a sum: **two** FLOPs for each parameter. Some papers and tools count *multiply–adds* instead, which are half
# as many; before you compare two figures, find out which.
#
# One thing takes FLOPs and has no parameters: attention itself. The query is multiplied with $n$ keys, and $n$ values are
# weighted, each of width $d = HD$, in each of L layers. These are two products of $2\,n d$ FLOPs:
#
# $$\text{FLOPs per token} = 2N + 4\,L\,n\,d$$
#
# By hand: 1000 parameters, 2 layers, d = 8, n = 5: 2000 + 4 · 2 · 5 · 8 = **2320**. Here N counts the matrices that a token is
# multiplied with: the output head is among them, tied or not, and the embedding is not, since a row is looked up.
#
# > **Predict.** A projection of 4096 × 4096, one token: how many multiply–adds, how many FLOPs?

# %% id="print-by-hand-accounting-flops-per"
print("by hand:", accounting.flops_per_token(1000, 2, 8, 5))
with FlopCounterMode(display=False) as counter:
    torch.nn.Linear(4096, 4096, bias=False, device="meta")(torch.empty(1, 4096, device="meta"))
print(
    f"4096 x 4096: {4096**2 / 1e6:.1f} M multiply-adds, {counter.get_total_flops() / 1e6:.1f} MFLOPs"
)

# %% [markdown] id="build-it-5"
# PyTorch's own counter agrees with the factor 2.
#
# ### Build it
# `parameters` is N, `attention_width` is d, and the token attends to `context` tokens, itself included.


# %% id="parameter_counting.flops_per_token"
@exercise("parameter_counting.flops_per_token")
def flops_per_token(parameters, num_hidden_layers, attention_width, context):
    """Return the forward FLOPs of one token that reads `context` tokens."""
    ...


# %% id="reveal-parameter-counting-flops-per-token"
reveal("parameter_counting.flops_per_token")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# Four families shrunk to a size that runs quickly, each with its own features: a Qwen3, a Llama, a GPT-2 and a mixture. They
# really run, and `torch.utils.flop_counter` counts every matrix product.
# Three texts of 17 tokens: forward, then backward.

# %% id="shape-vocab-size-311-num-hidden"
shape = {"vocab_size": 311, "num_hidden_layers": 3, "intermediate_size": 160, "hidden_size": 72}
heads = {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 12}
small = {name: replace(MODELS[name], **shape, **heads) for name in ("Qwen3-0.6B", "Llama-3-8B")}
small["GPT-2"] = replace(
    MODELS["GPT-2"], **shape, num_attention_heads=6, num_key_value_heads=6, head_dim=12
)
few = {"num_experts": 7, "num_experts_per_tok": 2, "moe_intermediate_size": 39}
small["Qwen3-30B-A3B"] = replace(mixture, **shape, **heads, **few)
ids = torch.randint(311, (3, 17), generator=seeded(0))

# %% id="for-name-config-in-small-items"
for name, config in small.items():
    model = build_model(config)
    with FlopCounterMode(display=False) as forward:
        logits = model(ids).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    predicted, counted = accounting.forward_flops(config, 17, batch=3), forward.get_total_flops()
    ratio = backward.get_total_flops() / counted
    print(
        f"{name:14} predicted {predicted:11,}  counted {counted:11,}  backward {ratio:.2f} times as many"
    )

# %% [markdown] id="equal-and-the-backward-pass-takes"
# Equal, and the backward pass takes exactly twice as many FLOPs as the forward pass. (The library's `forward_flops` counts a
# whole text. It includes the pairs of tokens that the causal mask hides, because the plain code computes them.)
#
# > **Predict.** From which text length on does attention take more FLOPs than all matrices: a thousand tokens, ten thousand, a
# > million?

# %% id="for-name-in-qwen3-0-6b-2"
for name in ("Qwen3-0.6B", "Qwen3-8B", "Llama-3-70B"):
    config = MODELS[name]
    width = config.num_attention_heads * config.head_dim
    even = accounting.matmul_parameters(config) / (2 * config.num_hidden_layers * width)
    at_4096 = accounting.forward_flops(config, 1, past=4095) / (
        2 * accounting.matmul_parameters(config)
    )
    print(
        f"{name:12} as much at {even:6,.0f} tokens; at 4,096 tokens attention adds {at_4096 - 1:.0%}"
    )

# %% [markdown] id="2n-4-l-n-d-at"
# $2N = 4 L n d$ at $n = N / (2 L d)$. For short texts "2 N" is a good rule; for long ones it misses the larger part. The small
# model gets there first, since N shrinks faster than L · d.
#
# ### Which part computes how much?
# The same numbers by part: attention's four *projections*, its *scores* (q with the keys, and the weights with the values), the MLP
# and the output head. Only the scores grow with the context. By hand, with the toy of section 3 and a context of 3: the projections
# take 2 · 96 = 192 FLOPs, the scores 4 · 3 · 8 = 96, the MLP 2 · 60 = 120, the output head 2 · 40 = 80; together **488**.
#
# > **Predict.** Qwen3-8B, a context of 1024 tokens. Which part takes most: projections, scores, or the MLP? And at 65 536?

# %% id="flops-by-part"
by_part = accounting.flops_by_part(toy, 3)
print("toy:", by_part, "together", sum(by_part.values()))
for name in ("Qwen3-0.6B", "Qwen3-8B"):
    for context in (1024, 8192, 65536):
        found = accounting.flops_by_part(MODELS[name], context)
        whole = sum(found.values())
        row = (f"{part} {flops / whole:4.0%}" for part, flops in found.items())
        print(f"{name:10} {context:6,} tokens:", ", ".join(row))

# %% id="explorers-parameter-counting-flop-shares"
explorers.parameter_counting.flop_shares("Qwen3-8B")

# %% [markdown] id="after-the-shares"
# In Qwen3-8B the MLP takes most at 1024 tokens, and scores are a few per cent; at 65 536 tokens the scores take more than all matrices
# together. In the small model the output head is a fifth of the FLOPs at 1024 tokens, since its vocabulary is as large as that of the
# large model. (FLOPs are not time: notebook [FlashAttention](10_flash_attention.ipynb) counts the bytes of the scores.)

# %% [markdown] id="6-what-training-costs"
# ## 6 · The FLOPs of training
#
# Forward takes 2 FLOPs for each parameter and token. Backward has two products where forward has one: from the gradient of the
# output it computes the gradient of the *input* and that of the *weight*. That is 4 more:
#
# $$\text{training FLOPs} \approx 6\,N \cdot \text{tokens}$$
#
# By hand: GPT-3 has 175 billion parameters and was trained on 300 billion tokens: $6 \cdot 1.75 \cdot 10^{11} \cdot 3 \cdot 10^{11} =$
# **3.15 · 10²³**. Brown et al. 2020 give 3.14 · 10²³.

# %% id="print-f-gpt-3-accounting-training"
print(f"GPT-3: {accounting.training_flops(175 * 10**9, 300 * 10**9):.3g} FLOPs")

# %% [markdown] id="build-it-6"
# ### Build it
# Forward and backward, without attention's own products.


# %% id="parameter_counting.training_flops"
@exercise("parameter_counting.training_flops")
def training_flops(parameters, tokens):
    """Return the FLOPs of one training run, forward and backward."""
    ...


# %% id="reveal-parameter-counting-training-flops"
reveal("parameter_counting.training_flops")

# %% [markdown] id="how-long-does-that-take-no"
# How long does that take? No run reaches the peak of its machines. The fraction of the peak that the model's own FLOPs use is
# called *model FLOPs utilisation*, MFU (Chowdhery et al. 2022):
#
# $$\text{MFU} = \frac{\text{tokens per second} \cdot (6\,N + 12\,L\,n\,d)}{\text{peak FLOPs per second}}$$
#
# Count 6 N for each token, plus 12 L n d for attention, which matters in long texts. What a machine computes a second time to
# save memory does not count. Values around 40 % are good.
#
# Which N? That of section 5: the matrices that a token is multiplied with, without the embedding. Many papers take all parameters
# instead; for Qwen3-8B that is 8 % more.
#
# > **Predict.** Qwen3-8B on 36 trillion tokens (Qwen team 2025), on 1024 H100 at an MFU of 40 %: days, weeks or months?

# %% id="flops-accounting-training-flops-accounting-total"
config = MODELS["Qwen3-8B"]
met, all_of_them = accounting.matmul_parameters(config), accounting.total_parameters(config)
print(
    f"{met / 1e9:.2f} billion are multiplied with; all parameters are {all_of_them / met - 1:.0%} more"
)
flops = accounting.training_flops(met, 36 * 10**12)
peak = DEVICES["H100 SXM"].peak_flops
print(f"{flops:.3g} FLOPs: {flops / (1024 * peak * 0.4) / 86400:.0f} days")
tokens_per_second = 8000 * 1024
mfu = accounting.model_flops_utilisation(tokens_per_second, 6 * met, 1024 * peak)
print(f"8,000 tokens per second on each GPU would be an MFU of {mfu:.0%}")

# %% [markdown] id="build-it-mfu"
# Weeks: about seven. The last line left attention out.
#
# ### Build it
# Now with attention: three times the 4 L n d of a forward pass. `parameters` is N, `attention_width` is d; `tokens_per_second` and
# `peak_flops` are those of all GPUs together. Return a fraction between 0 and 1.


# %% id="parameter_counting.mfu"
@exercise("parameter_counting.mfu")
def training_utilisation(
    parameters, num_hidden_layers, attention_width, context, tokens_per_second, peak_flops
):
    """Return the MFU of a training run on texts of `context` tokens."""
    ...


# %% id="reveal-parameter-counting-mfu"
reveal("parameter_counting.mfu")

# %% [markdown] id="7-what-a-model-weighs"
# ## 7 · The bytes of weights and of a KV cache
#
# The bytes of the weights are parameters times the bytes of one number: 4 in float32, 2 in bfloat16, 1 in int8, half a byte in
# int4. A *byte* is eight *bits*: a "4-bit" model takes half a byte for each parameter, not four.
#
# By hand: 8.19 billion parameters in bfloat16 are **16.4 GB**. A GB is 10⁹ bytes in this notebook. (A GiB is 2³⁰ bytes, 7 % more.
# A board of "80 GB" holds a few per cent more than 80 · 10⁹ bytes, and drivers use some of it, so 10⁹ is the safe assumption.)

# %% id="for-dtype-in-float32-bfloat16-int8"
for dtype in ("float32", "bfloat16", "int8", "int4"):
    weights = accounting.inference_memory(MODELS["Qwen3-8B"], 0, dtype=dtype).weights
    print(f"Qwen3-8B in {dtype:8} {weights / 1e9:5.1f} GB = {weights / 2**30:5.1f} GiB")

# %% [markdown] id="besides-its-weights-a-model-that"
# Besides its weights, a model that generates keeps the keys and values of every token so far, the *KV cache* (notebook [Attention](05_attention.ipynb)):
#
# $$\text{cache} = 2 \cdot L \cdot G \cdot D \cdot \text{bytes} \cdot \text{tokens} \cdot \text{batch}$$
#
# By hand, Qwen3-8B: 2 · 36 · 8 · 128 = 73 728 numbers for each token, in bfloat16 **147 456 bytes**. A text of 4096 tokens takes
# 0.6 GB. H is not in the formula: queries are not kept. The batch is: all texts share the weights, but each has its own cache.
#
# > **Predict.** Sixteen texts at once. From which length on is the cache larger than the model?

# %% id="print-one-token-accounting-kv-cache"
print("one token:", accounting.kv_cache_bytes(36, 8, 128, tokens=1), "bytes")
for batch in (1, 16):
    cache = accounting.kv_cache_bytes(36, 8, 128, 4096, batch)
    print(f"{batch:2} texts of 4096 tokens: {cache / 1e9:.1f} GB")
weights = accounting.inference_memory(MODELS["Qwen3-8B"], 0).weights
print(f"the cache of 16 texts is as large as the model at {weights * 4096 / cache:,.0f} tokens")

# %% [markdown] id="build-it-7"
# ### Build it
# `batch` texts of `tokens` tokens each, in all layers; `bytes_per_number` is the size of one number.


# %% id="parameter_counting.kv_cache"
@exercise("parameter_counting.kv_cache")
def kv_cache_bytes(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    """Return the bytes of the keys and values of a batch of texts, in all layers."""
    ...


# %% id="reveal-parameter-counting-kv-cache"
reveal("parameter_counting.kv_cache")

# %% [markdown] id="play-with-it-2"
# ### Play with it
# The line of the cache rises, that of the weights does not. Where they cross, the cache is as large as the model. The dotted line
# is the same model if every query head had its own keys and values: this is what grouped-query attention saves. Try Llama-2-7B,
# which shares nothing, and GPT-2.

# %% id="explorers-parameter-counting-cache-growth-qwen3"
explorers.parameter_counting.cache_growth("Qwen3-8B", batch=16)

# %% [markdown] id="8-what-training-weighs"
# ## 8 · The bytes of training
#
# A training step in mixed precision with AdamW keeps, for each parameter,
#
# - the **weight** in bfloat16, 2 bytes;
# - its **gradient** in bfloat16, 2 bytes;
# - a **copy of the weight** in float32, 4 bytes, because small updates are lost in bfloat16's 8 bits of precision;
# - the optimizer's two **moments** in float32, 4 + 4 bytes.
#
# That is 2 + 2 + 4 + 4 + 4 = **16 bytes** for each parameter, eight times the bfloat16 weights alone. Then there are the
# **activations**: the tensors of the forward pass that the backward pass needs. They grow with the batch and the length.
#
# > **Predict.** Qwen3-8B takes 16.4 GB in bfloat16. Can it be trained with AdamW on a GPU of 80 GB?

# %% id="mixed-weight-bytes-6-gradient-bytes"
mixed = {"weight_bytes": 6, "gradient_bytes": 2, "activation_number_bytes": 2}
needed = accounting.training_memory(MODELS["Qwen3-8B"], tokens=2048, batch=1, **mixed)
for name, size in needed._asdict().items():
    print(f"{name:12} {size / 1e9:6.1f} GB")
print(f"together     {needed.total / 1e9:6.1f} GB")

# %% [markdown] id="no-131-gb-before-the-first"
# No: 131 GB without any activations. (*weights* includes the float32 copy. *logits* are the logits of all tokens, (T, V), four
# times: logits, log-probabilities, and a gradient of each.) Several GPUs have to share it, or fewer parameters have to be trained.
#
# ### Where the activations come from
# Autograd keeps every tensor that a gradient needs. A matrix product keeps its input, for the gradient of its weight. A product of
# two activations keeps both factors. Softmax keeps its result. Through one block of the course's model, that is for each token
#
# | part | what is kept | numbers |
# |---|---|---|
# | two norms | input, normalised input, output (the input of the next matrices) | $2 \cdot 3\,C$ |
# | attention | q, k, v, and the output of the heads (the input of the output matrix) | $2\,(H + G)\,D$ |
# | softmax | exponentials and weights, a row of T numbers for each query head | $2\,H\,T$ |
# | feed-forward | gate, its sigmoid, SiLU(gate), up, their product | $5\,F$ |
#
# $$\text{activations of a block} = \text{batch} \cdot T \cdot \big(6\,C + 2\,(H + G)\,D + 2\,H\,T + 5\,F\big)\ \text{numbers}$$
#
# By hand: one text of T = 2 tokens, C = 4, H = 2, G = 1, D = 4, F = 5. For each token 24 + 24 + 8 + 25 = 81 numbers, for both
# **162**. QK-norm keeps its inputs and normalised inputs too, $2\,(H + G)\,D$ more.
#
# > **Predict.** Qwen3-8B at T = 2048: which row of the table is the largest?

# %% id="activations-by-part"
C, F, H, G, D, L, T = 4096, 12288, 32, 8, 128, 36, 2048
each = {"norms": 6 * C, "attention": 2 * 2 * (H + G) * D, "softmax": 2 * H * T, "MLP": 5 * F}
for name, numbers in each.items():
    print(f"{name:10} {2 * L * T * numbers / 1e9:5.1f} GB in bfloat16")
found = accounting.activation_bytes(MODELS["Qwen3-8B"], T, batch=1, bytes_per_number=2)
print(
    f"together within 1 % of the library's count: {abs(2 * L * T * sum(each.values()) / found - 1) < 0.01}"
)

# %% [markdown] id="build-it-activations"
# The softmax, with more than half of the bytes, and its row is the only one that grows with T for each token, so with T² for a
# text. FlashAttention (notebook [FlashAttention](10_flash_attention.ipynb)) keeps no such table. Korthikanti et al. 2022 do the same
# count for a GPT block.
#
# ### Build it
# The numbers (not bytes) of one block without QK-norm, for `batch` texts of `tokens` tokens. Leave out the single numbers that
# norms and softmax keep for each row.


# %% id="parameter_counting.activations"
@exercise("parameter_counting.activations")
def block_activations(
    batch,
    tokens,
    hidden_size,
    intermediate_size,
    num_attention_heads,
    num_key_value_heads,
    head_dim,
):
    """Return how many numbers one gated block keeps for the backward pass."""
    ...


# %% id="reveal-parameter-counting-activations"
reveal("parameter_counting.activations")

# %% [markdown] id="checked-against-the-real-thing-4"
# *Activation checkpointing* (Chen et al. 2016) trades activations for FLOPs: only the input of each block is kept, and in the
# backward pass the block is run again. The price is a second forward pass, 8 N instead of 6 N.
#
# ### Checked against the real thing
# One training step on this machine: forward, loss, backward, with AdamW's moments in place. The meter adds up the bytes of all
# tensors that exist at the same time, and reports the maximum.


# %% id="learn"
def learn(model, ids):
    logits = model(ids).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()


def held(model, optimizer):
    moments = [t for p in model.parameters() for t in optimizer.state[p].values() if t.ndim]
    return [t for p in model.parameters() for t in (p, p.grad)] + moments


# %% id="ids-torch-randint-311-3-64"
ids = torch.randint(311, (3, 64), generator=seeded(1))
for name, config in small.items():
    model = build_model(config)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    learn(model, ids)
    optimizer.step()
    with MemoryMeter(held(model, optimizer)) as meter:
        learn(model, ids)
    predicted = accounting.training_memory(config, tokens=64, batch=3).total
    print(
        f"{name:14} predicted {predicted / 1e6:5.2f} MB; within 2 % of the measured peak:", end=" "
    )
    print(abs(meter.peak / predicted - 1) < 0.02)

# %% [markdown] id="9-two-speeds"
# ## 9 · The roofline
#
# A device has two speeds: how many FLOPs it computes per second, and how many bytes it fetches from memory per second. The
# figures below are from NVIDIA's data sheets of the A100 (SXM, 80 GB), H100 (SXM), H200 and L4, and for the RTX 4090 from its
# paper *NVIDIA Ada GPU Architecture*. They are for dense bfloat16 matrices; several of these sheets print twice as many,
# "with sparsity", which no ordinary model uses. (TFLOPS, with a capital S, are 10¹² FLOPs per *second*; TFLOPs are a number of them.)

# %% id="for-device-in-devices-values"
for device in DEVICES.values():
    ridge = accounting.ridge_intensity(device.peak_flops, device.bandwidth)
    print(
        f"{device.name:15} {device.peak_flops / 1e12:5.0f} TFLOPS  {device.bandwidth / 1e12:5.2f} TB/s",
        end="",
    )
    print(f"  {device.memory / 1e9:4.0f} GB  {ridge:4.0f} FLOPs per byte")

# %% [markdown] id="read-the-last-column-again-while"
# Read the last column again: while one *byte* arrives, an H100 computes 295 operations. Work with fewer FLOPs for each byte that
# it fetches waits for memory. FLOPs per byte is called the *arithmetic intensity* of the work, and the device's own ratio its
# *ridge* (Williams et al. 2009):
#
# $$\text{attainable FLOPs per second} = \min(\text{peak},\ \text{intensity} \cdot \text{bandwidth})$$
#
# By hand: a device with a peak of 100 and a bandwidth of 10. Work with an intensity of 5 reaches 5 · 10 = **50**, half of the
# peak. Work with an intensity of 20 could be fed at 200, but only **100** can be computed. The ridge is at 10.
#
# > **Predict.** Decoding one token in bfloat16: each weight is two bytes, fetched for one multiplication and one addition. What is
# > the intensity? And for a prompt of 2048 tokens, where each weight that arrives is used 2048 times?
#
# *Prefill* is the pass over a whole prompt; *decode* is a pass for one new token, with the keys and values of the earlier ones in the
# cache. `accounting.model_step` counts the FLOPs of one pass as in section 5, and the bytes that it reads; section 10 derives it.

# %% id="config-models-qwen3-8b"
config = MODELS["Qwen3-8B"]
steps = {
    "prefill, 2048 tokens": accounting.model_step(config, tokens=2048),
    "decode, 1 text": accounting.model_step(config, tokens=1, past=2047),
    "decode, 32 texts": accounting.model_step(config, tokens=1, past=2047, batch=32),
}
for name, step in steps.items():
    least, limit = accounting.time_bound(step, DEVICES["H100 SXM"])
    print(f"{name:21} {step.flops / 1e12:6.3f} TFLOPs {step.bytes_moved / 1e9:5.1f} GB", end="  ")
    print(f"intensity {step.intensity:6.0f}: at least {least * 1e3:5.1f} ms, limited by {limit}")

# %% [markdown] id="build-it-8"
# The same model, the same weights. Prefill of 2048 tokens (with logits for the last position only) has an intensity of two
# thousand and is limited by arithmetic. Decode of one text has an intensity of one and is limited by memory: the tensor cores of
# an H100, its units for matrix products, are idle more than 99 % of the time. A batch of 32 helps, because all texts share the
# weights that arrive, but each adds its own cache.
#
# ### Build it
# The device computes and moves bytes at the same time. The intensity may be below 1.


# %% id="parameter_counting.roofline"
@exercise("parameter_counting.roofline")
def roofline(intensity, peak_flops, bandwidth):
    """Return the FLOPs per second that can be reached at this intensity."""
    ...


# %% id="reveal-parameter-counting-roofline"
reveal("parameter_counting.roofline")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# Both axes are logarithmic: on the slope memory is the limit, under the flat roof arithmetic. Move the prompt to the left until
# prefill is on the slope. Then add texts to decode. With short texts (512 tokens) it climbs far. With long ones it stops early,
# for any batch: the caches grow with the batch, and each text reads its own cache.

# %% id="explorers-parameter-counting-roofline-qwen3-8b"
explorers.parameter_counting.roofline("Qwen3-8B", device="H100 SXM")

# %% [markdown] id="10-how-fast-can-it-write"
# ## 10 · The speed limit of decoding
#
# Decode waits for memory, so its speed limit is a division. A step reads the weights once for the whole batch, and all caches; it
# gives every text one token:
#
# $$\text{tokens per second} \le \frac{\text{batch} \cdot \text{bandwidth}}{\text{bytes of weights read} + \text{bytes of all caches}}$$
#
# By hand: 16 GB of weights, no cache, 2 TB per second: 2000 / 16 = **125** tokens per second. FLOPs are not in this formula. Half
# the bytes, twice the speed: this is why models are quantised even where they would fit.
#
# Which weights does a step read? Of an untied embedding table only one row for each text, since it is looked up. And of a mixture
# only the experts that some token of the batch uses. One token uses k of E experts and misses a given one with probability
# $1 - k/E$; $B$ tokens all miss it with probability $(1 - k/E)^B$, if routing is even. So on average they use
#
# $$E\,\Big(1 - \big(1 - \tfrac{k}{E}\big)^{B}\Big)$$
#
# > **Predict.** E = 128 and k = 8, as in Qwen3-30B-A3B. How many experts do 16 tokens use: 16, 80, or 128?

# %% id="experts-used"
generator = seeded(2)
for batch in (1, 4, 16, 64):
    formula = 128 * (1 - (1 - 8 / 128) ** batch)
    picks = torch.rand(300, batch, 128, generator=generator).topk(8).indices.flatten(1)
    used = sum(len(set(row.tolist())) for row in picks) / 300
    print(
        f"{batch:2} tokens use {formula:5.1f} experts; random routing agrees: {abs(used - formula) < 1}"
    )

# %% [markdown] id="build-it-step-bytes"
# ### Build it
# The bytes that one decode step of a *dense* model reads, for `batch` texts of `context` tokens: all weights once, except that of
# an untied embedding table each text reads one row; and all caches. A tied table is read whole, since it is the output head.
# You may use `accounting.total_parameters` and `accounting.kv_cache_bytes`.


# %% id="parameter_counting.step_bytes"
@exercise("parameter_counting.step_bytes")
def decode_step_bytes(config, context, batch=1, bytes_per_number=2):
    """Return the bytes of weights and caches that one decode step reads."""
    ...


# %% id="reveal-parameter-counting-step-bytes"
reveal("parameter_counting.step_bytes")

# %% [markdown] id="the-limit-on-devices"
# The library's `parameters_read` counts the weights that a step reads, for mixtures too (its source is in a Further section). Bandwidth
# divided by the bytes of weights and cache, for Qwen3-8B with one text of 2048 tokens. (The cache stays in bfloat16, whatever the type of
# the weights.)

# %% id="print-accounting-decode-tokens-per-second"
print("by hand:", accounting.decode_tokens_per_second(16e9, 0, 2e12))
config = MODELS["Qwen3-8B"]
for dtype in ("bfloat16", "int8", "int4"):
    read = accounting.parameters_read(config, 1) * accounting.bytes_per_number(dtype)
    cache = accounting.inference_memory(config, 2048, 1, dtype).cache
    rates = [
        accounting.decode_tokens_per_second(read, cache, DEVICES[name].bandwidth)
        for name in ("L4", "RTX 4090", "H100 SXM")
    ]
    print(f"{dtype:8}", *(f"{rate:6.0f}" for rate in rates), "  on L4, RTX 4090, H100")
times = accounting.total_parameters(mixture) / accounting.parameters_read(mixture, 1)
print(f"Qwen3-30B-A3B has {times:.1f} times the weights that a step for one text reads")

# %% [markdown] id="build-it-9"
# For a mixture the difference is large: a bound from *all* its weights would be too low by about that factor.
#
# ### Build it
# `weight_bytes` are the bytes of the weights that a step reads, `cache_bytes` those of all caches of the batch together.


# %% id="parameter_counting.decode"
@exercise("parameter_counting.decode")
def decode_tokens_per_second(weight_bytes, cache_bytes, bandwidth, batch=1):
    """Return the most tokens per second of all texts together."""
    ...


# %% id="reveal-parameter-counting-decode"
reveal("parameter_counting.decode")

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing
# This machine has a memory bandwidth too. Measure it with a matrix of a quarter of a GB times a vector, which reads every number
# once. Then run a model whose weights are larger than any processor cache. Your numbers will differ from the stored ones.
#
# > **Predict.** How close will the model come to its bound: a tenth of it, a half, nearly all?


# %% id="seconds"
def seconds(work, device, repeats=5):
    """Return the shortest of several times, the least disturbed one."""
    times = []
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


# %% tags=["nbval-ignore-output"] id="device-default-device"
device = default_device()
large, vector = torch.ones(8192, 8192, device=device), torch.ones(8192, device=device)
bandwidth = large.nbytes / seconds(lambda: large @ vector, device)
config = replace(MODELS["Qwen3-0.6B"], num_hidden_layers=6, vocab_size=8192)
model = build_model(config).to(device)
with torch.no_grad():
    token = torch.zeros(1, 1, dtype=torch.long, device=device)
    measured = 1 / seconds(lambda: model(token, cache=model.make_cache(1, 8)), device)
weights = accounting.inference_memory(config, 0, dtype="float32").weights
bound = accounting.decode_tokens_per_second(weights, 0, bandwidth)
print(f"{device}: {bandwidth / 1e9:.0f} GB/s; weights {weights / 1e9:.2f} GB")
print(
    f"at most {bound:.0f} tokens per second, measured {measured:.0f}: {measured / bound:.0%} of the bound"
)

# %% [markdown] id="play-with-it-5"
# On an idle machine it is typically half of the bound or more: one division predicts the order of magnitude. (A little more than 100 % is possible: the
# bandwidth is itself a measurement, and no program reaches all of it.) What is missing is the time to start many small operations.
# On a fast GPU, where a model as small as this one is read in a moment, the fraction is lower.
#
# ### Play with it
# Everything together. Left: bytes, and the memory of the devices. Right: the speed limit for every batch; grey points do not fit.
# Find the smallest device for Qwen3-8B with 16 texts of 8192 tokens. What does int4 change? Then take Qwen3-30B-A3B and compare
# its speed for one text, and for 64, with that of Qwen3-4B.

# %% id="explorers-parameter-counting-will-it-fit"
explorers.parameter_counting.will_it_fit("Qwen3-8B", device="L4")

# %% [markdown] id="11-claims-that-are-wrong"
# ## 11 · Claims that are wrong
#
# > *"The output head of Qwen3-8B costs nothing, since it is the embedding."*

# %% id="tied-accounting-total-parameters-replace-config"
config = MODELS["Qwen3-8B"]
tied = accounting.total_parameters(replace(config, tie_word_embeddings=True))
print(f"its output head has {accounting.total_parameters(config) - tied:,} parameters of its own")
print("tied:", [name for name, each in MODELS.items() if each.tie_word_embeddings])

# %% [markdown] id="small-models-tie-their-head-larger"
# In Qwen3 and Llama 3 the small models are tied and the large ones are not. It is not a rule of size: GPT-2 is tied in every size, and
# Gemma 2 ties its output head even at 27 billion parameters. Read `tie_word_embeddings` in the config.
#
# > *"The width of a head is hidden_size / num_attention_heads."*

# %% id="for-name-each-in-models-items"
for name, each in MODELS.items():
    if each.hidden_size != each.num_attention_heads * each.head_dim:
        quotient = each.hidden_size / each.num_attention_heads
        wrong = accounting.total_parameters(replace(each, head_dim=int(quotient)))
        gap = wrong / accounting.total_parameters(each) - 1
        print(
            f"{name:16} quotient {quotient:3.0f}, head_dim {each.head_dim}: with the quotient the count is off by {gap:+.1%}"
        )

# %% [markdown] id="five-of-the-fifteen-have-heads"
# Five of the fifteen have wider heads. `head_dim` is a separate field of the config: read it.
#
# > *"A mixture with 3 billion active parameters generates as fast as a dense model of 3 billion."*

# %% id="h100-devices-h100-sxm"
h100 = DEVICES["H100 SXM"]
for batch in (1, 4, 64):
    line = f"{batch:2} texts:"
    for name in ("Qwen3-30B-A3B", "Qwen3-4B"):
        step = accounting.model_step(MODELS[name], 1, past=2047, batch=batch)
        rate = batch / accounting.time_bound(step, h100)[0]
        line += f"  {name} reads {step.bytes_moved / 1e9:4.1f} GB, at most {rate:5,.0f} tokens per second"
    print(line)

# %% [markdown] id="for-a-single-text-yes-it"
# For a single text, yes: it reads only the active experts, and beats even the dense model of 4 billion. But the other texts of a
# batch use other experts. With 64 of them nearly all experts are read in each step, and the dense model is more than twice as
# fast. The mixture still needs as few FLOPs, which matters in training and for long prompts; but decode is not limited by FLOPs.
#
# > *"FLOPs tell how long it takes."*

# %% id="config-models-qwen3-8b-3"
config = MODELS["Qwen3-8B"]
one, many = (accounting.model_step(config, 1, past=511, batch=batch) for batch in (1, 32))
times = [accounting.time_bound(step, h100)[0] for step in (one, many)]
print(
    f"32 texts instead of one: {many.flops / one.flops:.0f} times the FLOPs, {times[1] / times[0]:.1f} times the time"
)

# %% [markdown] id="the-library-adds-up-its-parts"
# ## Further: the parts in the library
#
# The library adds up its parts; each of them has its formula.

# %% id="reveal-accounting-parameter-parts"
reveal(accounting.parameter_parts)

# %% [markdown] id="play-with-it"
# The parameters as areas; all widths are on one linear scale. Point at a part to read its formula, choose a different model, tie and
# untie the output head.

# %% id="explorers-parameter-counting-icicle-qwen3-8b"
explorers.parameter_counting.icicle("Qwen3-8B")

# %% [markdown] id="build-it-4"
# A mixture is nearly all experts:

# %% id="show-figures-parameter-counting-icicle-qwen3"
show(figures.parameter_counting.icicle("Qwen3-30B-A3B", mixture))

# %% id="for-name-in-qwen3-30b-a3b"
for name in ("Qwen3-30B-A3B", "Qwen3-235B-A22B"):
    total, active = (
        accounting.total_parameters(MODELS[name]),
        accounting.active_parameters(MODELS[name]),
    )
    print(f"{name:16} active {active:14,}: {active / total:.1%} of all")

# %% [markdown] id="checked-against-the-real-thing-3"
# ## Further: weights and cache, measured
#
# A small model on this machine, in two number types, with a cache for three texts of 500 tokens. Predicted bytes, and the sizes of
# the real tensors:

# %% id="config-replace-small-qwen3-0-6b"
config = replace(small["Qwen3-0.6B"], vocab_size=8192, hidden_size=256, intermediate_size=768)
for dtype in ("float32", "bfloat16"):
    model = build_model(config).to(getattr(torch, dtype))
    predicted = accounting.inference_memory(config, tokens=500, batch=3, dtype=dtype)
    weights = sum(p.nbytes for p in model.parameters())
    cache = sum(layer.nbytes for layer in model.make_cache(batch=3, capacity=500))
    print(
        f"{dtype:8} weights {predicted.weights:10,.0f} predicted, {weights:10,} measured", end="; "
    )
    print(f"cache {predicted.cache:9,} predicted, {cache:9,} measured")

# %% [markdown] id="checkpointing-counted"
# ## Further: what checkpointing saves
#
# The activations of Qwen3-0.6B, with and without the activation checkpointing of section 8:

# %% id="for-tokens-in-1024-2048-4096"
for tokens in (1024, 2048, 4096):
    plain, saving = (
        accounting.activation_bytes(MODELS["Qwen3-0.6B"], tokens, 1, 2, checkpointing=each)
        for each in (False, True)
    )
    print(f"{tokens} tokens: {plain / 1e9:5.1f} GB, with checkpointing {saving / 1e9:4.2f} GB")

# %% [markdown] id="play-with-it-3"
# ## Further: what fits in training?
#
# What fits where? The figure counts the course's own model, whose attention keeps its tables. Change the model and the length:
# which part becomes the largest?

# %% id="explorers-parameter-counting-training-bytes-qwen"
explorers.parameter_counting.training_bytes("Qwen3-0.6B", device="RTX 4090")

# %% [markdown] id="the-library-s-step"
# ## Further: the cost of a step in the library
#
# The library's `model_step`, used in section 9, counts the same for prefill and for mixtures:

# %% id="reveal-accounting-parameters-read"
reveal(accounting.model_step)
reveal(accounting.parameters_read)

# %% [markdown] id="claim-intermediate-size"
# ## Further: more claims that are wrong
#
# > *"Qwen3-8B has an intermediate size of 14336."*

# %% id="config-models-qwen3-8b-2"
config = MODELS["Qwen3-8B"]
claimed = replace(config, intermediate_size=14336)
print(f"with 14336: {accounting.total_parameters(claimed) / 1e9:.2f} B parameters")
print(
    f"with {config.intermediate_size}: {accounting.total_parameters(config) / 1e9:.2f} B parameters"
)
print([name for name, each in MODELS.items() if each.intermediate_size == 14336])

# %% [markdown] id="it-would-be-a-9-billion"
# It would be a 9-billion model. 14336 is the width of Llama-3-8B and Mistral-7B, from which the number was probably copied. Counting
# finds the error.
#
# > *"A decoder has 12 L C² parameters, not counting its tables."*

# %% id="for-name-in-gpt-2-llama"
for name in ("GPT-2", "Llama-2-7B", "Qwen3-0.6B", "Qwen3-32B", "Llama-3.2-1B"):
    each = MODELS[name]
    rule = 12 * each.num_hidden_layers * each.hidden_size**2
    right = accounting.parameters_without_embeddings(each)
    print(
        f"{name:13} rule {rule / 1e9:6.3f} B, counted {right / 1e9:6.3f} B: {rule / right - 1:+.1%}"
    )

# %% [markdown] id="the-rule-is-gpt-2-s"
# The rule is GPT-2's: four matrices C × C for attention, two C × 4C for the feed-forward layer. It happens to fit Llama-2-7B, whose
# gated layer was sized to match (notebook [MLP and experts](07_mlp.ipynb)). For models with wide heads or wide layers it is far off.
#
# > *"Grouped-query attention makes models smaller."*

# %% id="unshared-replace-config-num-key-value"
config = MODELS["Qwen3-8B"]
unshared = replace(config, num_key_value_heads=config.num_attention_heads)
sizes = [accounting.inference_memory(each, 8192, 16) for each in (config, unshared)]
print(f"parameters: {sizes[1].weights / sizes[0].weights - 1:+.1%} without sharing")
print(f"cache:      {sizes[1].cache / sizes[0].cache:.0f} times as large without sharing")

# %% [markdown] id="a-little-as-a-side-effect"
# Slightly, as a side effect. What shrinks is the cache.

# %% [markdown] id="recap"
# ## Recap
#
# 1. Parameters are products of sizes from the config. Watch four things: key/value heads, biases that are not there, an output
#    head that may be tied, and the width of a head.
# 2. A token takes 2 FLOPs for each parameter that it is multiplied with, and 4 L n d for attention. Training takes three times
#    that, 6 N + 12 L n d. A mixture is stored whole and computes with a part.
# 3. Weights are parameters times bytes. The cache is 2 L G D times bytes, tokens *and* batch. AdamW in mixed precision takes 16
#    bytes for each parameter, and activations come on top: for each token 6 C + 2 (H + G) D + 2 H T + 5 F numbers in a block.
# 4. Intensity is FLOPs per byte. Prefill is limited by arithmetic, decode by memory.
# 5. Tokens per second ≤ batch · bandwidth / (weights read + caches). The texts of a batch share the weights; each reads its own
#    cache.
#
# ### Test yourself

# %% id="quiz-parameter-counting"
quiz("parameter_counting")

# %% [markdown] id="papers"
# ### Papers
# - Kaplan et al. 2020, *Scaling laws for neural language models*, arXiv:2001.08361, for 2 N and 6 N.
# - Brown et al. 2020, *Language models are few-shot learners*, arXiv:2005.14165, whose appendix counts the FLOPs of GPT-3.
# - Chowdhery et al. 2022, *PaLM*, arXiv:2204.02311, for model FLOPs utilisation.
# - Korthikanti et al. 2022, *Reducing activation recomputation in large Transformer models*, arXiv:2205.05198.
# - Chen et al. 2016, *Training deep nets with sublinear memory cost*, arXiv:1604.06174, for checkpointing.
# - Williams, Waterman & Patterson 2009, *Roofline*, doi:10.1145/1498765.1498785.
# - Pope et al. 2022, *Efficiently scaling Transformer inference*, arXiv:2211.05102, on prefill, decode and batches.
# - Qwen team 2025, *Qwen3 technical report*, arXiv:2505.09388.
#
# **Next:** [FlashAttention](10_flash_attention.ipynb), where the bytes of attention itself are counted, and then avoided.
