# %% [markdown] id="09-counting-parameters"
# # 09 · Counting parameters
#
# **Where do the parameters, FLOPs and bytes come from, and will it fit?**
#
# A config.json is a page of numbers. From it you can tell, before you download or rent anything, how many parameters a model
# has, how much it computes for a token, how much memory it needs, and how fast it can write at best. No measurement is
# needed, only multiplication. This notebook does the multiplications, and checks each of them against something that was
# really built, computed or stored.
#
# After this notebook you can
# - count the parameters of any model of the Qwen3, Llama, Mistral or GPT-2 kind exactly, and name the four usual slips;
# - tell the FLOPs of a token and of a training run, and how long a run takes;
# - tell the bytes of weights, of a KV cache and of a training step;
# - draw a roofline, say why reading a prompt and writing an answer are limited by different things, and bound the tokens
#   per second of a model on a device.
#
# About 100 minutes. You need Python and a little PyTorch; nothing is downloaded.

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
# ## 1 · A matrix is a product
#
# A parameter is one number of a matrix (or of a vector). A matrix that turns $a$ numbers into $b$ has $a \cdot b$ of them, so
# counting a model means finding its matrices. The letters are those of the whole course: C is the model's width, H the number
# of query heads, G the number of key/value heads, D the width of one head, F the width of the feed-forward layer, L the
# number of layers, V the size of the vocabulary.
#
# Attention has four matrices:
#
# $$\underbrace{C \cdot HD}_{\text{queries}} + \underbrace{C \cdot GD}_{\text{keys}} + \underbrace{C \cdot GD}_{\text{values}} + \underbrace{HD \cdot C}_{\text{output}}$$
#
# Small enough for the head: C = 4, two query heads that share one key/value head, D = 4. Queries 4 · 8 = 32, keys 4 · 4 = 16,
# values 16, output 8 · 4 = 32, together **96**.

# %% id="print-by-the-formula-accounting-attention"
print("by the formula:", accounting.attention_parameters(4, 2, 1, 4))
shapes = [(8, 4), (4, 4), (4, 4), (4, 8)]
print("by the shapes: ", sum(rows * columns for rows, columns in shapes))

# %% [markdown] id="predict-qwen3-0-6b-has-c"
# > **Predict.** Qwen3-0.6B has C = 1024, 16 query heads, 8 key/value heads and D = 128. Is its attention larger or smaller
# > than $4\,C^2$, the number that is in many textbooks?

# %% id="config-models-qwen3-0-6b"
config = MODELS["Qwen3-0.6B"]
sizes = (config.num_attention_heads, config.num_key_value_heads, config.head_dim)
print(f"attention of one layer: {accounting.attention_parameters(config.hidden_size, *sizes):,}")
print(f"4·C²:                   {4 * config.hidden_size**2:,}")
print("all heads together are", config.num_attention_heads * config.head_dim, "wide")

# %% [markdown] id="build-it"
# Larger by half, although keys and values are shared. The width of a head is a number of its own: 16 heads of 128 are 2048 wide,
# twice the model. $4\,C^2$ is right only if $HD = C$ and $G = H$.
#
# ### Build it
# The cell checks itself when you run it: leave the `def` line as it is and replace the `...`.


# %% id="parameter_counting.attention"
@exercise("parameter_counting.attention")
def attention_parameters(hidden_size, num_attention_heads, num_key_value_heads, head_dim):
    """Return the parameters of the four matrices of one attention layer; no biases."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run the cell twice.
# It also counts what some models have besides: biases (Qwen2 for q, k and v, GPT-2 for all) and the two small norms of Qwen3.

# %% id="reveal-parameter-counting-attention"
reveal("parameter_counting.attention")

# %% [markdown] id="2-the-feed-forward-layer"
# ## 2 · The feed-forward layer
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
# What is left: the embedding, a table of $V \cdot C$; the head, another table of the same size, unless it is *tied* and the
# embedding is used twice; and norms, two in each layer and one at the end, of C numbers each.
#
# $$N = \underbrace{V C}_{\text{embedding}} + L\,\big(\text{attention} + \text{MLP} + 2C\big) + C + \underbrace{V C}_{\text{head, if untied}}$$
#
# By hand, a toy: V = 10, C = 4, one layer with the attention of 96 and the gated layer of 60, tied. The table has 40, the layer
# 96 + 60 + 8 = 164, the last norm 4: together **208**. Untied it would be 248.

# %% id="toy-replace"
sizes = {"vocab_size": 10, "hidden_size": 4, "intermediate_size": 5, "num_hidden_layers": 1}
heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4}
toy = replace(MODELS["Llama-3-8B"], **sizes, **heads, tie_word_embeddings=True)
for part in accounting.parameter_parts(toy):
    print(f"{part.name:10} {part.parameters:4}   {part.formula}")
untied = replace(toy, tie_word_embeddings=False)
print(
    "together  ", accounting.total_parameters(toy), " untied", accounting.total_parameters(untied)
)

# %% [markdown] id="predict-qwen3-0-6b-v-151"
# > **Predict.** Qwen3-0.6B: V = 151 936, C = 1024, tied. Which share of its parameters is the table: a tenth, a quarter, or a
# > half?

# %% id="for-name-in-qwen3-0-6b"
for name in ("Qwen3-0.6B", "Qwen3-8B"):
    print(name)
    for part in accounting.parameter_parts(MODELS[name]):
        share = part.parameters / accounting.total_parameters(MODELS[name])
        print(f"  {part.name:10} {part.parameters:13,}  {share:6.2%}   {part.formula}")

# %% [markdown] id="build-it-3"
# A quarter in the small model, and twice 8 % in the large one. Norms are a ten-thousandth and less. Now you.
#
# ### Build it
# You get a config with Hugging Face's names: `config.vocab_size`, `config.hidden_size`, `config.intermediate_size`,
# `config.num_hidden_layers`, `config.num_attention_heads`, `config.num_key_value_heads`, `config.head_dim`,
# `config.tie_word_embeddings`, and `config.qk_norm`: where it is set (Qwen3), each layer has two more norms of `head_dim`
# numbers, one for queries and one for keys. You may use `accounting.attention_parameters` and `accounting.mlp_parameters`.


# %% id="parameter_counting.model"
@exercise("parameter_counting.model")
def total_parameters(config):
    """Return the parameters of a dense, gated model without biases."""
    ...


# %% [markdown] id="the-library-adds-up-its-parts"
# The library adds up its parts; each of them knows its formula.

# %% id="reveal-parameter-counting-model"
reveal("parameter_counting.model")

# %% id="reveal-accounting-parameter-parts"
reveal(accounting.parameter_parts)

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# A formula is worth nothing until something was built. On PyTorch's *meta* device a tensor has a shape and no memory, so even
# the largest model can be built in a moment. Fifteen published configurations; the model of this course, and that of
# `transformers`:

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

# %% [markdown] id="play-with-it"
# Every one to the last parameter.
#
# ### Play with it
# The same as areas. All widths are linear: what looks small is small. Point at a part to read its formula, choose another model,
# tie and untie the head.

# %% id="explorers-parameter-counting-icicle-qwen3-8b"
explorers.parameter_counting.icicle("Qwen3-8B")

# %% [markdown] id="4-parameters-that-are-there-and"
# ## 4 · Parameters that are there, and parameters that work
#
# A mixture of experts (notebook [MLP and experts](07_mlp.ipynb)) has E gated layers in place of one, and each token uses k of them. So there are two counts.
# The *total* has to be in memory. The *active* parameters are the total without the experts that a token does not use:
#
# $$N_{active} = N - L\,(E - k) \cdot 3\,C F_e$$
#
# By hand: two layers, E = 4 experts of 3 · 2 · 3 = 18 parameters, k = 1. In each layer 3 experts are idle, so
# 2 · 3 · 18 = **108** parameters do not work.
#
# > **Predict.** The name says Qwen3-30B-A3B: 30 billion, 3 of them active. E = 128 and k = 8, so a sixteenth of the experts
# > works. A sixteenth of 30 would be 1.9. Where does the rest of the 3 come from?

# %% id="mixture-models-qwen3-30b-a3b"
mixture = MODELS["Qwen3-30B-A3B"]
total, active = accounting.total_parameters(mixture), accounting.active_parameters(mixture)
print(f"total {total:,}   active {active:,}")
for part in accounting.parameter_parts(mixture):
    works = part.parameters - (total - active) * (part.name == "experts")
    print(f"  {part.name:10} {part.parameters:14,} of which work {works:13,}")

# %% [markdown] id="build-it-4"
# Attention, the two tables and the router work for every token. (The active count includes the embedding, as is usual, though
# of that a token uses one row.) As an icicle, the mixture is nearly all experts:

# %% id="show-figures-parameter-counting-icicle-qwen3"
show(figures.parameter_counting.icicle("Qwen3-30B-A3B", mixture))

# %% [markdown] id="build-it-10"
# ### Build it


# %% id="parameter_counting.active"
@exercise("parameter_counting.active")
def active_parameters(config):
    """Return the parameters of a mixture without the experts that one token does not use."""
    ...


# %% id="reveal-parameter-counting-active"
reveal("parameter_counting.active")

# %% id="for-name-in-qwen3-30b-a3b"
for name in ("Qwen3-30B-A3B", "Qwen3-235B-A22B"):
    total, active = (
        accounting.total_parameters(MODELS[name]),
        accounting.active_parameters(MODELS[name]),
    )
    print(f"{name:16} active {active:14,}: {active / total:.1%} of all")

# %% [markdown] id="5-what-a-token-costs"
# ## 5 · What a token costs
#
# A FLOP is one operation on numbers: a multiplication, or an addition. A weight meets a token once. It is multiplied, and the
# product is added to a sum: **two** FLOPs for each parameter. Some papers and tools count *multiply–adds* instead, which are half as
# many; before you compare two figures, find out which.
#
# One thing costs and has no parameters: attention itself. The query meets $n$ keys, and $n$ values are weighted, each of width
# $d = HD$, in each of L layers. That is two products of $2\,n d$ FLOPs:
#
# $$\text{FLOPs per token} = 2N + 4\,L\,n\,d$$
#
# By hand: 1000 parameters, 2 layers, d = 8, n = 5: 2000 + 4 · 2 · 5 · 8 = **2320**. N counts the matrices that a token is multiplied
# with: the head is among them, tied or not, and the embedding is not, since a row is looked up and not multiplied.
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


# %% id="parameter_counting.flops_per_token"
@exercise("parameter_counting.flops_per_token")
def flops_per_token(parameters, num_hidden_layers, attention_width, context):
    """Return the forward FLOPs of one token that reads `context` tokens."""
    ...


# %% id="reveal-parameter-counting-flops-per-token"
reveal("parameter_counting.flops_per_token")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# Four families shrunk to a size that runs in no time, each with its own switches: a Qwen3, a Llama, a GPT-2 and a mixture. They
# really run, while `torch.utils.flop_counter` watches every matrix product.
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
# Equal, and the backward pass takes exactly twice as much as the forward pass. (The library's `forward_flops` counts a whole
# text: every token pays for all of the pairs, also for those that the mask forbids, because the plain code computes them.)
#
# > **Predict.** From which length of text on does attention cost more than all matrices: a thousand tokens, ten thousand, a
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
# $2N = 4 L n d$ at $n = N / (2 L d)$. For short texts "2 N" is a good rule; for long ones it forgets the larger half. The small
# model suffers first, since N shrinks faster than its attention.

# %% [markdown] id="6-what-training-costs"
# ## 6 · What training costs
#
# Forward costs 2 FLOPs for each parameter and token. Backward has two products where forward has one: from the gradient of the
# output it computes the gradient of the *input* and that of the *weight*. That is 4 more:
#
# $$\text{training FLOPs} \approx 6\,N \cdot \text{tokens}$$
#
# By hand: GPT-3 has 175 billion parameters and saw 300 billion tokens: $6 \cdot 1.75 \cdot 10^{11} \cdot 3 \cdot 10^{11} =$
# **3.15 · 10²³**. Brown et al. 2020 give 3.14 · 10²³.

# %% id="print-f-gpt-3-accounting-training"
print(f"GPT-3: {accounting.training_flops(175 * 10**9, 300 * 10**9):.3g} FLOPs")

# %% [markdown] id="build-it-6"
# ### Build it


# %% id="parameter_counting.training_flops"
@exercise("parameter_counting.training_flops")
def training_flops(parameters, tokens):
    """Return the FLOPs of one training run, forward and backward."""
    ...


# %% id="reveal-parameter-counting-training-flops"
reveal("parameter_counting.training_flops")

# %% [markdown] id="how-long-does-that-take-no"
# How long does that take? No run reaches the peak of its machines. The share that it does reach, counting only what the model itself
# asks for, is called *model FLOPs utilisation*, MFU (Chowdhery et al. 2022). That is 6 N for each token, and for long texts three
# times attention's 4 L n d; what a machine computes a second time to save memory does not count. Values around 40 % are good.
#
# Which N? That of section 5: the matrices that a token meets, without the embedding. Many papers take all parameters instead; for
# Qwen3-8B that is 8 % more.
#
# > **Predict.** Qwen3-8B on 36 trillion tokens (Qwen team 2025), on 1024 H100 at an MFU of 40 %: days, weeks or months?

# %% id="flops-accounting-training-flops-accounting-total"
config = MODELS["Qwen3-8B"]
met, all_of_them = accounting.matmul_parameters(config), accounting.total_parameters(config)
print(f"{met / 1e9:.2f} billion are multiplied with; all are {all_of_them / met - 1:.0%} more")
flops = accounting.training_flops(met, 36 * 10**12)
peak = DEVICES["H100 SXM"].peak_flops
print(f"{flops:.3g} FLOPs: {flops / (1024 * peak * 0.4) / 86400:.0f} days")
tokens_per_second = 8000 * 1024
mfu = accounting.model_flops_utilisation(tokens_per_second, 6 * met, 1024 * peak)
print(f"8,000 tokens per second on each machine would be an MFU of {mfu:.0%}")

# %% [markdown] id="7-what-a-model-weighs"
# ## 7 · What a model weighs
#
# Bytes are parameters times the bytes of one number: 4 in float32, 2 in bfloat16, 1 in int8, half a byte in int4. A *byte* is
# eight *bits*: a "4-bit" model takes half a byte for each parameter, and not four.
#
# By hand: 8.19 billion parameters in bfloat16 are **16.4 GB**. A GB is 10⁹ bytes in this notebook. (A GiB is 2³⁰ bytes, 7 % more.
# Memory chips are made in powers of two, so that a board of "80 GB" holds a few per cent more than 80 · 10⁹ bytes; drivers take
# some of it. Taking it as 10⁹ is on the safe side.)

# %% id="for-dtype-in-float32-bfloat16-int8"
for dtype in ("float32", "bfloat16", "int8", "int4"):
    weights = accounting.inference_memory(MODELS["Qwen3-8B"], 0, dtype=dtype).weights
    print(f"Qwen3-8B in {dtype:8} {weights / 1e9:5.1f} GB = {weights / 2**30:5.1f} GiB")

# %% [markdown] id="besides-its-weights-a-model-that"
# Besides its weights a model that writes keeps the keys and values of every token so far, the *KV cache* (notebook [Attention](05_attention.ipynb)):
#
# $$\text{cache} = 2 \cdot L \cdot G \cdot D \cdot \text{bytes} \cdot \text{tokens} \cdot \text{batch}$$
#
# By hand, Qwen3-8B: 2 · 36 · 8 · 128 = 73 728 numbers for each token, in bfloat16 **147 456 bytes**. A text of 4096 tokens takes
# 0.6 GB. Note what is not in the formula, H: queries are not kept. And note what is, the batch: weights are shared by all texts,
# a cache is not.
#
# > **Predict.** Sixteen texts at once. From which length on is the cache larger than the model?

# %% id="print-one-token-accounting-kv-cache"
print("one token:", accounting.kv_cache_bytes(36, 8, 128, tokens=1), "bytes")
for batch in (1, 16):
    cache = accounting.kv_cache_bytes(36, 8, 128, 4096, batch)
    print(f"{batch:2} texts of 4096 tokens: {cache / 1e9:.1f} GB")
weights = accounting.inference_memory(MODELS["Qwen3-8B"], 0).weights
print(f"16 texts weigh as much as the model at {weights * 4096 / cache:,.0f} tokens")

# %% [markdown] id="build-it-7"
# ### Build it


# %% id="parameter_counting.kv_cache"
@exercise("parameter_counting.kv_cache")
def kv_cache_bytes(
    num_hidden_layers, num_key_value_heads, head_dim, tokens, batch=1, bytes_per_number=2
):
    """Return the bytes of the keys and values of a batch of texts, in all layers."""
    ...


# %% id="reveal-parameter-counting-kv-cache"
reveal("parameter_counting.kv_cache")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# A small model on this machine, in two number types, with a cache for three texts of 500 tokens. Predicted bytes, and what the
# tensors say of themselves:

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

# %% [markdown] id="play-with-it-2"
# ### Play with it
# The line of the cache climbs, that of the weights does not. Where they cross, the texts weigh more than the model. The dotted line
# is the same model if every query head had keys and values of its own: this is what grouped heads are for. Try Llama-2-7B, which
# shares nothing, and GPT-2.

# %% id="explorers-parameter-counting-cache-growth-qwen3"
explorers.parameter_counting.cache_growth("Qwen3-8B", batch=16)

# %% [markdown] id="8-what-training-weighs"
# ## 8 · What training weighs
#
# A training step keeps more beside the weights:
#
# - a **gradient** for each parameter;
# - two **moments** for each parameter, if the optimizer is Adam or AdamW, in float32;
# - a float32 **copy** of the weights, if these are in bfloat16, because small steps vanish in 8 bits of precision;
# - the **activations**: what the forward pass computed and the backward pass will need.
#
# The first three are a matter of the number of parameters: 2 + 2 + 4 + 4 + 4 = **16 bytes** for each, eight times the bfloat16
# weights alone.
#
# > **Predict.** Qwen3-8B takes 16.4 GB in bfloat16. Can it be trained with AdamW on a GPU of 80 GB?

# %% id="mixed-weight-bytes-6-gradient-bytes"
mixed = {"weight_bytes": 6, "gradient_bytes": 2, "activation_number_bytes": 2}
needed = accounting.training_memory(MODELS["Qwen3-8B"], tokens=2048, batch=1, **mixed)
for name, size in needed._asdict().items():
    print(f"{name:12} {size / 1e9:6.1f} GB")
print(f"together     {needed.total / 1e9:6.1f} GB")

# %% [markdown] id="no-131-gb-before-the-first"
# No: 131 GB before the first activation. (*weights* includes the float32 copy. *logits* are the scores of all tokens, (T, V), four
# times: themselves, their logarithms of probabilities, and a gradient of each.) Several machines have to share it, or fewer
# parameters have to be trained.
#
# Activations grow with the text: with tokens × layers × widths, and the scores of attention even with tokens² (FlashAttention,
# notebook [FlashAttention](10_flash_attention.ipynb), does away with that part). *Checkpointing* (Chen et al. 2016) trades them for work: only the input of each block is
# kept, and when its turn comes in the backward pass, the block is run again. The price is a second forward pass, 8 N in place of
# 6 N.

# %% id="for-tokens-in-1024-2048-4096"
for tokens in (1024, 2048, 4096):
    plain, saving = (
        accounting.activation_bytes(MODELS["Qwen3-0.6B"], tokens, 1, 2, checkpointing=each)
        for each in (False, True)
    )
    print(f"{tokens} tokens: {plain / 1e9:5.1f} GB, with checkpointing {saving / 1e9:4.2f} GB")

# %% [markdown] id="checked-against-the-real-thing-4"
# ### Checked against the real thing
# One step of training on this machine: forward, loss, backward, with AdamW's moments in place. The meter adds up the bytes of
# every tensor while it lives and remembers the most.


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

# %% [markdown] id="play-with-it-3"
# ### Play with it
# What fits where? The picture counts the course's own model, whose attention keeps its scores. Change the model and the length,
# and watch which colour takes over.

# %% id="explorers-parameter-counting-training-bytes-qwen"
explorers.parameter_counting.training_bytes("Qwen3-0.6B", device="RTX 4090")

# %% [markdown] id="9-two-speeds"
# ## 9 · Two speeds
#
# A device has two speeds: how many FLOPs it computes in a second, and how many bytes it fetches from memory in a second. The
# figures below are from NVIDIA's data sheets of the A100 (SXM, 80 GB), H100 (SXM), H200 and L4, and for the RTX 4090 from its
# paper *NVIDIA Ada GPU Architecture*. They are for bfloat16 matrices without zeros; several of these sheets print twice as many,
# "with sparsity", which no ordinary model uses.

# %% id="for-device-in-devices-values"
for device in DEVICES.values():
    ridge = accounting.ridge_intensity(device.peak_flops, device.bandwidth)
    print(
        f"{device.name:15} {device.peak_flops / 1e12:5.0f} TFLOPS  {device.bandwidth / 1e12:5.2f} TB/s",
        end="",
    )
    print(f"  {device.memory / 1e9:4.0f} GB  {ridge:4.0f} FLOPs in the time of one byte")

# %% [markdown] id="read-the-last-column-again-while"
# Read the last column again: while one *byte* arrives, an H100 computes 295 operations. Work that does fewer FLOPs for each
# byte that it fetches waits for the memory. FLOPs for each byte is called the *intensity* of the work, and the device's own
# ratio its *ridge* (Williams et al. 2009):
#
# $$\text{attainable FLOPs per second} = \min(\text{peak},\ \text{intensity} \cdot \text{bandwidth})$$
#
# By hand: a device with a peak of 100 and a bandwidth of 10. Work with an intensity of 5 reaches 5 · 10 = **50**, and the arithmetic
# is idle half of the time. Work with an intensity of 20 could be fed at 200, but only **100** can be computed. The ridge is at 10.
#
# > **Predict.** Writing one token in bfloat16: each weight is two bytes, fetched for one multiplication and one addition. What is
# > the intensity? And reading a prompt of 2048 tokens, where each weight that arrives is used 2048 times?

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
# The same model, the same weights. Reading 2048 tokens (*prefill*; only what follows the last one is scored) has an intensity
# of two thousand and is limited by arithmetic. Writing one (*decode*) has an intensity of one and is limited by memory: the
# tensor cores of an H100, its units for products of matrices, are idle more than 99 % of the time. A batch of 32 helps, because
# all texts share the weights that arrive, but each brings a cache of its own.
#
# ### Build it


# %% id="parameter_counting.roofline"
@exercise("parameter_counting.roofline")
def roofline(intensity, peak_flops, bandwidth):
    """Return the FLOPs per second that can be reached at this intensity."""
    ...


# %% id="reveal-parameter-counting-roofline"
reveal("parameter_counting.roofline")

# %% [markdown] id="play-with-it-4"
# ### Play with it
# Both axes are logarithmic: on the slope memory decides, under the roof arithmetic. Move the prompt to the left until prefill
# leaves the roof. Then add texts to decode. With short texts (512 tokens) it climbs far; with long ones it is stuck, however
# many there are: the caches grow with the batch, and a cache has no one to share with.

# %% id="explorers-parameter-counting-roofline-qwen3-8b"
explorers.parameter_counting.roofline("Qwen3-8B", device="H100 SXM")

# %% [markdown] id="10-how-fast-can-it-write"
# ## 10 · How fast can it write?
#
# Since decode waits for memory, its speed limit is a division. A step reads all weights, once for the whole batch, and all caches;
# it gives every text one token:
#
# $$\text{tokens per second} \le \frac{\text{batch} \cdot \text{bandwidth}}{\text{bytes of weights} + \text{bytes of all caches}}$$
#
# By hand: 16 GB of weights, no cache, 2 TB per second: 2000 / 16 = **125** tokens per second. Nothing in this formula is about
# arithmetic. Half the bytes, twice the speed: this is why models are quantised even where they would fit.

# %% id="print-accounting-decode-tokens-per-second"
print(accounting.decode_tokens_per_second(16e9, 0, 2e12))
config = MODELS["Qwen3-8B"]
for dtype in ("bfloat16", "int8", "int4"):
    needed = accounting.inference_memory(config, 2048, 1, dtype)
    rates = [
        accounting.decode_tokens_per_second(*needed, DEVICES[name].bandwidth)
        for name in ("L4", "RTX 4090", "H100 SXM")
    ]
    print(f"{dtype:8}", *(f"{rate:6.0f}" for rate in rates), "  on L4, RTX 4090, H100")

# %% [markdown] id="build-it-9"
# ### Build it


# %% id="parameter_counting.decode"
@exercise("parameter_counting.decode")
def decode_tokens_per_second(weight_bytes, cache_bytes, bandwidth, batch=1):
    """Return the most tokens per second of all texts together."""
    ...


# %% id="reveal-parameter-counting-decode"
reveal("parameter_counting.decode")

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing
# This machine has a bandwidth as well. Measure it with a matrix of a quarter of a GB times a vector, which reads every number once.
# Then let a model write whose weights are larger than any cache of a processor. Your numbers will differ from the stored ones.
#
# > **Predict.** How near will the model come to its bound: a tenth of it, a half, nearly all?


# %% id="seconds"
def seconds(work, device, repeats=5):
    """Return the shortest of several times, which is the least disturbed one."""
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
# More than half of it in the stored run, though no arithmetic was counted: one division gives the size of what happens. (A little
# more than 100 % can come out as well: the bandwidth is itself a measurement, and nothing reaches all of it.) What is missing is
# the time that many small operations take to start. On a fast GPU, where bytes take hardly any time, a model as small as this one
# stays further below.
#
# ### Play with it
# Now all of it together. Left: bytes, and the memory of the devices. Right: the speed limit for every number of texts; grey points
# do not fit any more. Find the smallest device for Qwen3-8B with 16 texts of 8192 tokens. What does int4 change? Then take
# Qwen3-30B-A3B and compare its speed for one text, and for 64, with that of Qwen3-4B.

# %% id="explorers-parameter-counting-will-it-fit"
explorers.parameter_counting.will_it_fit("Qwen3-8B", device="L4")

# %% [markdown] id="11-claims-that-are-wrong"
# ## 11 · Claims that are wrong
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
# It would be a 9-billion model. 14336 is the width of Llama-3-8B and Mistral-7B, from which such diagrams are copied. Count, and
# the copy gives itself away.
#
# > *"The head of Qwen3-8B costs nothing, since it is the embedding."*

# %% id="tied-accounting-total-parameters-replace-config"
tied = accounting.total_parameters(replace(config, tie_word_embeddings=True))
print(f"its head has {accounting.total_parameters(config) - tied:,} parameters of its own")
print("tied:", [name for name, each in MODELS.items() if each.tie_word_embeddings])

# %% [markdown] id="small-models-tie-their-head-larger"
# Small models tie their head, larger ones do not; within one family both occur.
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
# > *"The width of a head is hidden_size / num_attention_heads."*

# %% id="for-name-each-in-models-items"
for name, each in MODELS.items():
    if each.hidden_size != each.num_attention_heads * each.head_dim:
        quotient = each.hidden_size / each.num_attention_heads
        wrong = accounting.total_parameters(replace(each, head_dim=int(quotient)))
        gap = wrong / accounting.total_parameters(each) - 1
        print(
            f"{name:16} quotient {quotient:3.0f}, head_dim {each.head_dim}: the count would be off by {gap:+.1%}"
        )

# %% [markdown] id="five-of-the-fifteen-have-heads"
# Five of the fifteen have heads that are wider than that. `head_dim` is a field of its own in the config: read it.
#
# > *"Grouped-query attention makes models smaller."*

# %% id="unshared-replace-config-num-key-value"
unshared = replace(config, num_key_value_heads=config.num_attention_heads)
sizes = [accounting.inference_memory(each, 8192, 16) for each in (config, unshared)]
print(f"parameters: {sizes[1].weights / sizes[0].weights - 1:+.1%} without sharing")
print(f"cache:      {sizes[1].cache / sizes[0].cache:.0f} times as large without sharing")

# %% [markdown] id="a-little-as-a-side-effect"
# A little, as a side effect. What shrinks is the cache.
#
# > *"A mixture with 3 billion active parameters writes as fast as a dense model of 3 billion."*

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
# For a single text, yes: it reads the active experts only, and beats even the dense model of 4 billion. But other texts of a batch
# choose other experts. With 64 of them nearly all experts are read in each step, and the dense model is more than twice as fast. In
# FLOPs the mixture is as cheap as ever, which is what counts in training and for long prompts; but decode is not limited by FLOPs.
#
# > *"FLOPs tell how long it takes."*

# %% id="config-models-qwen3-8b-3"
config = MODELS["Qwen3-8B"]
one, many = (accounting.model_step(config, 1, past=511, batch=batch) for batch in (1, 32))
times = [accounting.time_bound(step, h100)[0] for step in (one, many)]
print(
    f"32 texts instead of one: {many.flops / one.flops:.0f} times the FLOPs, {times[1] / times[0]:.1f} times the time"
)

# %% [markdown] id="recap"
# ## Recap
#
# 1. Parameters are products of sizes from the config. Watch four things: key/value heads, biases that are not there, a head that
#    may be tied, and the head's width.
# 2. A token costs 2 FLOPs for each parameter that it meets, and 4 L n d for attention. Training costs 6 N for each token. A
#    mixture is stored whole and computes with a part.
# 3. Weights are parameters times bytes. The cache is 2 L G D times bytes, tokens *and* batch. AdamW in mixed precision takes 16
#    bytes for each parameter, and activations come on top.
# 4. Intensity is FLOPs for each byte. Prefill is under the roof, limited by arithmetic; decode on the slope, limited by memory.
# 5. Tokens per second ≤ batch · bandwidth / (weights + caches). Batches share weights, and nobody shares a cache.
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
