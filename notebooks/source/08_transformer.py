# %% [markdown] id="08-the-whole-transformer"
# # 08 · The whole transformer
#
# **How do the parts make a model that loads real weights?**
#
# You have built every part: tokens, embeddings, norms, softmax, attention, positions, feed-forward layers. This notebook puts
# them together. The result is a real model: one class that *is* Qwen3 or Llama, depending on its config, with a subclass for GPT-2. It
# computes what the originals compute. In section 7 you write such a model yourself and load the course's trained weights into it.
#
# After this notebook you can
# - write a decoder as modules, from the block to the logits, and say what goes wrong when a norm or a residual connection is in the
#   wrong place;
# - load a checkpoint strictly, and know which mistakes strict loading does *not* notice;
# - find the module where your model and a reference start to differ;
# - read the residual stream between two layers, and remove a head or a layer to measure what it contributes;
# - tell the three families of transformers apart by who reads whom and by what is predicted.
#
# About 150 minutes. You need notebooks [Embeddings and norms](03_embeddings_and_norms.ipynb) to [MLP and experts](07_mlp.ipynb); nothing is downloaded. The
# course's own small trained model comes with it.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/08_transformer.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/08_transformer.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/08_transformer.ipynb).

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
import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from course_lib import checkpoint, corpus, families, model, norms
from course_lib.chapters.transformer import answers, planted_faults
from course_lib.device import default_device, seeded
from course_lib.information import kl_divergence
from course_lib.model import ModelConfig, build_model, inspection
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show

device = default_device()  # the course model runs here; small random models stay on the CPU

# %% [markdown] id="1-the-block"
# ## 1 · The block
#
# A token enters the model as a vector. From then on, layers only *add* to this vector: each layer reads it twice and adds what it
# has computed. The sequence of sums that runs from the embedding to the last layer is called the **residual stream**; below,
# "the stream" for short.
#
# $$x \leftarrow x + \operatorname{attention}(\operatorname{norm}_1(x)) \qquad
#   x \leftarrow x + \operatorname{mlp}(\operatorname{norm}_2(x))$$
#
# Attention brings in information from other tokens; the MLP processes each token on its own. Both read a *normalised copy*, so
# their inputs have a fixed size however large the stream has become. This is called **pre-norm**. The Transformer of 2017 was
# **post-norm**: it normalised the sum.

# %% id="show-figures-transformer-block-arrangements"
show(figures.transformer.block_arrangements())

# %% [markdown] id="by-hand-with-a-stream-of"
# By hand, with a stream of a single number: x = 4. The first norm divides by 2, attention multiplies by 3; the second norm
# divides by 5, the MLP multiplies by 2.
#
# Pre-norm: attention reads 4/2 = 2 and adds 6, so the stream is 10. The MLP reads 10/5 = 2 and adds 4: the stream is **14**.
#
# > **Predict.** What does a post-norm block with the same four parts return?

# %% id="x-torch-tensor-4-0"
x = torch.tensor([4.0])
parts = (lambda y: 3 * y, lambda y: y / 2, lambda y: 2 * y, lambda y: y / 5)
attention, first_norm, mlp, second_norm = parts
print("pre-norm: ", answers.decoder_block(x, attention, first_norm, mlp, second_norm).tolist())
middle = norms.post_norm_residual(x, attention, first_norm)
print("post-norm:", rounded(norms.post_norm_residual(middle, mlp, second_norm), 1))

# %% [markdown] id="build-it"
# (4 + 12) / 2 = 8, then (8 + 16) / 5 = 4.8. In the post-norm block the original x has been divided by ten. In the pre-norm
# block it is still there in full: 14 = 4 + 6 + 4. Gradients flow backward along the same path; notebook [Embeddings and norms](03_embeddings_and_norms.ipynb) shows what
# that means for deep models.
#
# ### Build it
# The two parts and their two norms are given to you as functions. x has the shape (..., C), and so has each part's result. Return
# the stream after the block; training must be able to flow through it, so gradients are checked too.


# %% id="transformer.block"
@exercise("transformer.block")
def decoder_block(x, attention, attention_norm, mlp, mlp_norm):
    """Return the stream after one pre-norm layer."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run its cell twice. The library's block,
# shown after it, is the same with weights. It also passes the mask, the rotation and the cache on to attention.

# %% id="reveal-transformer-block"
reveal("transformer.block")

# %% id="reveal-model-block-forward"
reveal(model.Block.forward)

# %% [markdown] id="2-the-whole-model"
# ## 2 · The whole model
#
# Little is left: a lookup before the first block, one more norm after the last block, and a head that scores every token of the
# vocabulary. The scores are called **logits**.
#
# $$x = \text{table}[\text{ids}] \qquad x \leftarrow \operatorname{block}_l(x)\ \text{for each } l \qquad
#   \text{logits} = \operatorname{norm}(x)\,\text{head}^\top$$
#
# By hand: the table has the rows (1, 0), (0, 2) and (1, 1), and is also the head; a single block adds 1 to every number; the norm
# divides by the largest number. The id 0 becomes (1, 0), then (2, 1), then (1, ½). Its dot products with the three rows
# are 1, 1 and 1½: **token 2** is predicted.

# %% id="table-torch-tensor-1-0-0"
table = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
by_largest = lambda x: x / x.abs().amax(-1, keepdim=True)
logits = answers.decoder_logits(torch.tensor([0]), table, [lambda x: x + 1], by_largest)
print("logits:", logits.tolist())

# %% [markdown] id="build-it-2"
# ### Build it
# `ids` have any shape (...), `table` is (V, C). Each block is a function that takes the stream and returns the stream *after* it;
# its residual connections are inside. `head` is (V, C), or None in a tied model, whose head is the table. Return logits of shape
# (..., V). Gradients are checked.


# %% id="transformer.forward"
@exercise("transformer.forward")
def decoder_logits(ids, table, blocks, last_norm, head=None):
    """Return logits for the token after each token, (..., V)."""
    ...


# %% id="reveal-transformer-forward"
reveal("transformer.forward")

# %% [markdown] id="the-last-norm-is-the-line"
# The last norm is the line that people forget most often. Nothing fails without it.
#
# > **Predict.** Run the course's trained model with and without its last norm. Does the predicted token change? How confident is
# > each version?

# %% tags=["nbval-ignore-output"] id="decoder-tokenizer-course-model-course-tokenizer"
from copy import deepcopy

decoder, tokenizer = deepcopy(course_model()).to(device), course_tokenizer()
TEXT = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a"
ids = torch.tensor([tokenizer.encode(TEXT)], device=device)
stream = inspection.residual_stream(decoder, ids)[-1]
right, bare = decoder.lm_head(decoder.last_norm(stream)), decoder.lm_head(stream)
for name, logits in (("with the last norm", right), ("without it", bare)):
    top = logits.softmax(-1).amax(-1).median()
    print(f"{name:18} median probability of the predicted token: {top:.2f}")
changed = (right.argmax(-1) != bare.argmax(-1)).float().mean()
print(f"a different token is predicted at {changed:.0%} of the positions")

# %% [markdown] id="without-the-norm-the-model-is"
# Without the norm the model is certain of nearly everything: the vectors of the stream are long, so the logits are large and softmax
# saturates. At some positions a different token is predicted, because the norm's weights scale some features up and others down.
#
# ### A shape walk
# What shapes does a model compute? Here is a small config, like Qwen3's, that serves for all small models below. A hook on every
# module of the first layer, a function that PyTorch calls with the module's output, notes its shape, for 2 texts of 7 tokens. All sizes
# differ: width C = 48, 6 query heads and 2 key/value heads of width 10, F = 72, V = 101.
#
# > **Predict.** Before you run it: what are the shapes of the outputs of `q_proj`, `q_norm`, `k_proj` and `gate_proj`?

# %% id="sizes"
sizes = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 96,
}
config = ModelConfig(**sizes, tie_word_embeddings=True)

# %% id="shape-walk"
seen = []


def note(name):
    def hook(module, given, returned):
        first = returned[0] if isinstance(returned, tuple) else returned
        seen.append((name.removeprefix("model."), tuple(first.shape)))

    return hook


walked = build_model(config)
for name, part in walked.named_modules():
    if name.startswith(("model.layers.0", "model.embed", "model.norm", "lm_head")):
        part.register_forward_hook(note(name))
with torch.no_grad():
    walked(torch.zeros(2, 7, dtype=torch.long))
print(*(f"{name:36} {shape}" for name, shape in seen), sep="\n")

# %% [markdown] id="after-the-shape-walk"
# Queries are 6 · 10 = 60 wide, *not* C = 48; keys and values are 2 · 10 = 20. The QK-norms work after the split into heads,
# (B, H, T, D). The output projection returns to C. The stream is (2, 7, 48) from the embedding to the last norm; only the head
# leaves it, with V = 101 logits for each token.
#
# Here is the forward pass of the library's class. Most of it you know. New are three helpers: `config.window_of(layer)` says how far back a
# layer may read, for models with a sliding window; `_masks` combines the causal mask, the window and the padding, once for
# each kind of layer; `Output` is a named tuple of the logits and, on request, hidden states and attention weights. `positions` and
# `cache` are the subject of the next section.

# %% id="reveal-model-decoderlm-forward"
reveal(model.DecoderLM.forward)

# %% [markdown] id="3-where-does-a-token-stand"
# ## 3 · Positions with a cache and with padding
#
# The position of a token is its index in its text, counted from 0: usually `arange`. There are two complications.
#
# **A cache.** While text is generated, the earlier tokens are not passed in again; their keys and values are kept in a cache. The new
# token is alone in `ids`, and its position is *not* 0 but the number of tokens before it.
#
# **Padding.** Texts of different length share a batch: short ones are padded, on the left if text is to be generated. The first
# real token of a short text is in the middle of its row; its position is still 0.
#
# By hand: a row of two padding tokens and four real ones, all in the cache, and one new token. Four real tokens come
# before it, so its position is **4**; not 0, and not 6.

# %% id="row-torch-tensor-false-false-true"
row = torch.tensor([[False, False, True, True, True, True, True]])
print("all positions:  ", model.token_positions(row, 7).tolist())
print("of the new one: ", model.token_positions(row, 1).tolist())

# %% [markdown] id="build-it-3"
# ### Build it
# `padding` (B, S) is True at real tokens and covers all tokens so far, cached and new. All padding is on the left; a row may consist
# of padding only. Return the positions (B, T) of the last T = `new_tokens` tokens of each row, as integers. Padding tokens get
# position 0. `new_tokens` may be 0: the result then has the shape (B, 0).


# %% id="transformer.positions"
@exercise("transformer.positions")
def token_positions(padding, new_tokens):
    """Return the positions (B, T) of the last `new_tokens` of each row; padding gets 0."""
    ...


# %% id="reveal-transformer-positions"
reveal("transformer.positions")

# %% [markdown] id="predict-a-forward-pass-with-a"
# > **Predict.** A forward pass with a cache, token by token: once with the right positions, once with position 0 for every
# > new token. RoPE depends on *distances* only. Does the second give wrong logits?

# %% id="small-build-model-replace-config-vocab"
small = build_model(replace(config, vocab_size=50)).eval().requires_grad_(False)
for number, weight in enumerate(small.parameters()):
    weight += 0.2 * torch.randn(weight.shape, generator=seeded(number))
some = torch.randint(50, (1, 9), generator=seeded(1))
at_once = small(some).logits[0, -1]
for name, position in (("0, 1, 2, ...", None), ("always 0", torch.tensor([0]))):
    cache = small.make_cache(batch=1, capacity=9)
    for token in some.split(1, dim=1):
        logits = small(token, cache=cache, positions=position).logits[0, -1]
    same = torch.allclose(logits, at_once, atol=1e-4)
    print(f"positions {name:13} same logits as in one pass: {same}")

# %% [markdown] id="it-does-the-keys-in-the"
# It does. The cached keys were rotated by their own positions (in the second run: all by 0); a query rotated by 0 then has the wrong
# distance to every one of them.

# %% [markdown] id="4-the-head"
# ## 4 · The head
#
# The embedding table has one row for each token, (V, C), and turns ids into vectors. The head has one row for each token, (V, C), and
# turns vectors into logits. In a **tied** model they are one tensor (notebook [Embeddings and norms](03_embeddings_and_norms.ipynb)), so a file needs to hold it only
# once.
#
# By hand: 2048 tokens and a width of 256 are 524 288 numbers. In bfloat16 that is 1.05 MB which a file need not store twice.
#
# > **Predict.** A file has no `lm_head.weight`. Does that mean that the model is tied? And does a tied model's file always lack it?

# %% id="for-name-in-tied-untied"
from safetensors.torch import load_file

print(f"{2048 * 256:,} numbers, {2048 * 256 * 2 / 1e6:.2f} MB in bfloat16")
for name in ("tied", "untied"):
    example = build_model(replace(config, tie_word_embeddings=name == "tied"))
    same = example.lm_head.weight is example.model.embed_tokens.weight
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save_model(example, folder)
        held = load_file(Path(folder) / "model.safetensors")
    has_head = "lm_head.weight" in held
    print(f"{name:6} one tensor: {same!s:5} file: {len(held)} tensors, head among them: {has_head}")

# %% [markdown] id="head-exercise-text"
# The library leaves a tied head out of the file. Not every program does: the published file of Qwen3-0.6B, a tied model, holds the same
# table twice, in 311 tensors instead of 310 (counted in a Further section). Whether a model is tied is decided by
# `tie_word_embeddings` in config.json, not by what the file happens to contain. If the config says *untied* and the head is missing,
# the file is broken, and tying it silently would hide that.
#
# ### Build it
# `tensors` is a dictionary from names to tensors. Return a *new* dictionary; the caller's stays as it is. If the model is tied, the
# head's name maps to the table itself (the same tensor, not a copy), whether or not the file has a head. Otherwise return
# exactly what the file holds.


# %% id="transformer.head"
@exercise("transformer.head")
def with_head(tensors, tied, table="model.embed_tokens.weight", head="lm_head.weight"):
    """Return the tensors of a file; in a tied model the head is the table."""
    ...


# %% id="reveal-transformer-head"
reveal("transformer.head")

# %% [markdown] id="5-one-class-six-families"
# ## 5 · One class, six families
#
# How does Qwen3 differ from Llama? Less than the names suggest. The library's config has a field for each difference
# (only GPT-2 is a subclass, because its parts have different names and shapes; a Further section shows it):

# %% id="configs"
configs = {
    "qwen3": config,
    "qwen3_moe": replace(
        config,
        model_type="qwen3_moe",
        num_experts=6,
        num_experts_per_tok=2,
        moe_intermediate_size=20,
    ),
    "qwen2": replace(config, model_type="qwen2", head_dim=8, qk_norm=False, qkv_bias=True),
    "llama": replace(config, model_type="llama", qk_norm=False, tie_word_embeddings=False),
    "mistral": replace(config, model_type="mistral", qk_norm=False, sliding_window=5),
}
old = {"hidden_act": "gelu_new", "norm_eps": 1e-5, "head_dim": 8, "num_key_value_heads": 6}
configs["gpt2"] = replace(config, model_type="gpt2", qk_norm=False, **old)

# %% id="print-f-10-qk-norm-biases"
print(f"{'':10} QK-norm  biases  experts  window  positions")
for name, each in configs.items():
    kind = "learned" if name == "gpt2" else "RoPE"
    biases = "yes" if each.qkv_bias or name == "gpt2" else "no"
    row = (each.qk_norm, biases, each.num_experts or "no", each.sliding_window or "no", kind)
    print(f"{name:10} {row[0]!s:8} {row[1]:7} {row[2]!s:8} {row[3]!s:7} {row[4]}")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# For each family, a model of ours with random weights is written to a folder in the format of the Hugging Face hub.
# `transformers` opens the folder; it knows nothing about our code. Both get the same ids, and both generate 32 tokens, always the
# most likely one.
#
# `greedy` is the loop that you will write in section 8.


# %% id="stirred"
def perturbed(config, seed=0):
    made = build_model(config).eval().requires_grad_(False)
    for number, weight in enumerate(made.parameters(), seed):
        weight += 0.2 * torch.randn(weight.shape, generator=seeded(number))
    return made


def greedy(logits_of, ids, new_tokens):
    with torch.no_grad():
        return model.greedy_continuation(lambda text: logits_of(text).logits, ids, new_tokens)


# %% id="disable-progress-bar"
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

disable_progress_bar()
set_verbosity_error()  # no remarks about random weights
some = torch.randint(101, (2, 11), generator=seeded(2))
print("largest difference < 1e-4   same 32 tokens")
for name, each in configs.items():
    ours = perturbed(each)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save_model(ours, folder)
        theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        apart = (ours(some).logits - theirs(some).logits).abs().max()
    texts = [greedy(each, some[0], 32) for each in (ours, theirs)]
    print(f"{name:10} {(apart < 1e-4).item()!s:16} {texts[0] == texts[1]}")

# %% [markdown] id="6-weights-in-weights-out"
# ## 6 · Loading and saving weights
#
# A checkpoint is a folder with a config, `config.json`, and one or more files of named tensors, usually in the safetensors format,
# which holds numbers and no code. Here is the course's own model:

# %% tags=["nbval-ignore-output"] id="words-json-loads-folder-config-json"
from safetensors import safe_open

from course_lib.pretrained import FOLDER

keys = json.loads((FOLDER / "config.json").read_text())
for key in ("model_type", "hidden_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"):
    print(f"{key:20} {keys[key]}")
with safe_open(FOLDER / "model.safetensors", framework="pt") as file:
    names = list(file.keys())
    for name in sorted(names)[:12]:
        print(f"{name:48} {file.get_slice(name).get_shape()}")
print(f"... {len(names)} in all; a head among them: {'lm_head.weight' in names}")

# %% [markdown] id="the-names-are-the-path-to"
# Each name is the path to a parameter, and the library's modules have the names that Hugging Face's have. So loading is
# `.load_state_dict(strict=True)`: every name must be found, with the right shape, and none may be left over.
#
# > **Predict.** Someone loads a Qwen3 file into a Llama of the same size. What does not match?

# %% id="llama-qwen-build-model-configs-llama"
llama, qwen = build_model(configs["llama"]), build_model(config)
missing, extra, misshapen = checkpoint.misfits(llama.state_dict(), qwen.state_dict())
print("missing:  ", missing)
print("misshapen:", misshapen)
print("extra:    ", len(extra), "such as", extra[:2])

# %% [markdown] id="build-it-5"
# The norms of queries and keys, two in each layer. With `strict=False` they would be dropped, and the result would be a
# model that nobody has trained.
#
# Strict loading checks names and shapes, and nothing else. It cannot notice a square matrix that is transposed (GPT-2's are stored
# that way; a Further section splits one), two matrices of one shape that are exchanged, a wrong eps or a wrong base of RoPE.
# Section 9 finds such faults.
#
# ### Build it
# `slots` are a model's parameters by name, `tensors` those of a file. Return three lists of names: missing from the file (in the
# order of `slots`), extra in the file (in the order of `tensors`), and present in both with different shapes (in the order of
# `slots`). The number type does not matter: loading converts it.


# %% id="transformer.misfits"
@exercise("transformer.misfits")
def misfits(slots, tensors):
    """Return three lists of names: missing, extra, and of a different shape."""
    ...


# %% id="reveal-transformer-misfits"
reveal("transformer.misfits")

# %% [markdown] id="your-own-model"
# ## 7 · Your own model
#
# Now write the model yourself, as modules, and load the course's trained weights into it. Load strictly: then the names of your
# modules must be those of the file. For each layer n:
#
# | name in the file | what it is |
# |---|---|
# | `model.embed_tokens` | embedding (V, C) |
# | `model.layers.n.input_layernorm` | RMSNorm before attention |
# | `model.layers.n.self_attn` | attention, with `q_proj`, `k_proj`, `v_proj`, `o_proj`, `q_norm`, `k_norm` |
# | `model.layers.n.post_attention_layernorm` | RMSNorm before the MLP |
# | `model.layers.n.mlp` | gated MLP, with `gate_proj`, `up_proj`, `down_proj` |
# | `model.norm` | RMSNorm after the last block |
# | `lm_head` | head (V, C), no bias |
#
# You may use the modules of earlier chapters, imported below: `RMSNorm(width, eps)`, `GatedFFN(width, hidden)` and
# `MultiHeadAttention(width, heads, key_value_heads, head_dim, qk_norm=True, rms_norm_eps=eps)`, which is called as
# `attention(x, mask, rotate=...)` and returns a pair; the first entry is the output, (B, T, C). `rotate` is a function that rotates
# queries or keys (B, H, T, D): compute `cos, sin = rope_cos_sin(positions, head_dim, rope_parameters, max_position_embeddings)` once,
# and use `lambda x: apply_rope(x, cos, sin)`. `causal_mask(T, device=ids.device)` is the mask. All sizes are fields of `config`: `vocab_size`,
# `hidden_size`, `intermediate_size`, `num_hidden_layers`, `num_attention_heads`, `num_key_value_heads`, `head_dim`,
# `max_position_embeddings`, and besides them `norm_eps` and `rope_parameters`.

# %% id="your-modules"
from course_lib.attention import MultiHeadAttention, causal_mask
from course_lib.mlp import GatedFFN
from course_lib.norms import RMSNorm
from course_lib.rope import apply_rope, rope_cos_sin


class MyBlock(nn.Module):
    def __init__(self, config):
        super().__init__()  # then two norms, self_attn and mlp

    def forward(self, x, mask, rotate): ...  # return the stream after this layer


class MyDecoder(nn.Module):
    def __init__(self, config):
        super().__init__()  # then self.model, an nn.Module with three parts, and self.lm_head

    def forward(self, ids): ...  # return the logits (B, T, V)


# %% [markdown] id="your-own-logits"
# ### Build it
# Complete both classes, then this function: build `MyDecoder(config)`, load the tensors with `strict=True`, and return the logits
# (B, T, V) of `ids` (B, T). All tokens are real; their positions are 0, 1, 2, ... If the model is tied, `lm_head.weight` may be missing
# from `tensors`: `checkpoint.with_head` of section 4 adds it. Everything must be on the device of `ids`: the model (`.to(ids.device)`),
# the positions and the mask. The check does not compare gradients. Its last probe is the course's checkpoint.


# %% id="transformer.modules"
@exercise("transformer.modules")
def my_logits(config, tensors, ids):
    """Build MyDecoder, load `tensors` strictly, and return the logits (B, T, V)."""
    ...


# %% id="reveal-transformer-modules"
reveal("transformer.modules")

# %% [markdown] id="your-model-on-the-checkpoint"
# ### Checked against the real thing
# The modules of the solution, with the weights of the course's checkpoint, beside the library's model and `transformers`. If you
# have passed, put `my_logits` in the place of `answers.checkpoint_logits`. All three are equal up to rounding in float32. So everything
# that the rest of the course measures on its model you could measure on yours.

# %% id="your-model-and-the-others"
held = {n: t.float() for n, t in load_file(FOLDER / "model.safetensors").items()}
kind = {"dtype": torch.float32, "attn_implementation": "eager"}
theirs = AutoModelForCausalLM.from_pretrained(FOLDER, **kind).eval()
text = ids.cpu()
mine = answers.checkpoint_logits(decoder.config, held, text)
with torch.no_grad():
    others = {"the library": course_model()(text).logits, "transformers": theirs(text).logits}
for name, logits in others.items():
    apart = ((mine - logits).abs().max() / logits.abs().max()).item()
    print(f"{name:12} largest difference / largest logit < 1e-5: {apart < 1e-5}")

# %% [markdown] id="7-writing"
# ## 8 · Generating text
#
# The model scores what comes next. To generate text, take the most likely token, append it, and repeat. That is *greedy*
# decoding; notebook [Generation](12_generation.ipynb) is about better methods.
#
# By hand, with a "model" that always scores the successor highest, in a ring of five tokens: after 4, 1 comes 2, then 3, then 4,
# then 0. If 3 is the stop token, the completion is 2, 3.


# %% id="successor"
def successor(ids):
    return nn.functional.one_hot((ids + 1) % 5, 5).float()


print(model.greedy_continuation(successor, torch.tensor([4, 1]), 4))
print(model.greedy_continuation(successor, torch.tensor([4, 1]), 4, stop=3))

# %% [markdown] id="build-it-7"
# ### Build it
# `logits_of` takes ids (1, T) and returns logits (1, T, V); it has no memory, so it needs the whole text each time. `ids` is (T,).
# Return a list of at most `new_tokens` ids, without the prompt. If the stop token is generated, it is the last entry. A stop
# token in the prompt does not count, 0 is a token like any other, and `stop=None` means that nothing stops the text.


# %% id="transformer.greedy"
@exercise("transformer.greedy")
def greedy_continuation(logits_of, ids, new_tokens, stop=None):
    """Return the ids that follow if the most likely token is taken each time."""
    ...


# %% id="reveal-transformer-greedy"
reveal("transformer.greedy")

# %% [markdown] id="what-does-the-course-model-write"
# What does the course model generate? It is small and was trained on a few megabytes of Python, so it knows what Python looks like,
# not what it means. Greedy text tends to repeat itself, more so with small models.
#
# The loop passes the whole text through the model for every token. With the cache of notebook [Attention](05_attention.ipynb) only the new token goes in. The
# completion must be identical:

# %% tags=["nbval-ignore-output"] id="prompt-class-stack-n-def-init"
prompt = "class Stack:\n    def __init__(self):\n"
prompt_ids = torch.tensor(tokenizer.encode(prompt), device=device)
print(prompt + tokenizer.decode(greedy(decoder, prompt_ids, 40)))

# %% id="cache-decoder-make-cache-batch-1"
cache = decoder.make_cache(batch=1, capacity=len(prompt_ids) + 40)
new, generated = prompt_ids[None], []
with torch.no_grad():
    for _ in range(40):
        new = decoder(new, cache=cache, last_only=True).logits[:, -1].argmax(-1, keepdim=True)
        generated.append(int(new))
print("the same 40 tokens with a cache:", generated == greedy(decoder, prompt_ids, 40))
tokens_in = sum(len(prompt_ids) + step for step in range(40))
print(f"through the model: {tokens_in} tokens without a cache, {len(prompt_ids) + 39} with it")

# %% [markdown] id="8-when-the-two-do-not"
# ## 9 · Finding a fault
#
# You have implemented a model from a paper and loaded published weights; nothing raised an error, and the text is bad. Comparing
# the outputs tells you that something is wrong. Comparing the streams after each layer tells you where it *begins*, but everything
# after that looks wrong too.
#
# There is a better way: give each of your modules the input that the module of the same name received in the reference.
#
# - **isolated** error: the difference on the *reference's* input. That is the fault itself.
# - **accumulated** error: the difference when each model runs alone. That is the fault and everything before it.
#
# The fault is in a module whose isolated error is large while everything inside it is right.
#
# > **Predict.** The gate and the up matrix of the last layer's MLP are exchanged. Which modules have an accumulated error? Which have
# > an isolated error?

# %% id="found-report-gate-and-up-exchanged"
found = planted_faults.report("gate and up exchanged in layer 2")
print(f"{'':40} isolated  accumulated")
for row in found.rows:
    after_layer_1 = row.name.startswith(("model.layers.2", "model.norm", "lm_head"))
    if after_layer_1 and "_attn." not in row.name:
        isolated, accumulated = (
            "wrong" if size > found.tolerance else "right"
            for size in (row.isolated, row.accumulated)
        )
        print(f"{row.name:40} {isolated:9} {accumulated}")

# %% [markdown] id="the-norm-and-the-head-behind"
# The last norm and the head have an accumulated error and are right in isolation; so is `down_proj`. Layer 2 and its MLP are wrong in
# isolation, but only because two matrices inside them are.
#
# ### Build it
# Write the rule. `rows` is a list of (name, isolated error, accumulated error), in the order of the model. A module contains every
# module whose name continues its own *after a dot*. An error is acceptable if it is at most `tolerance`; nan is not. Return the
# names, in the order of the rows, of the modules that are wrong in isolation and contain no module that is wrong in isolation.


# %% id="transformer.faults"
@exercise("transformer.faults")
def modules_at_fault(rows, tolerance):
    """Return the names of the modules where the fault is."""
    ...


# %% id="reveal-transformer-faults"
reveal("transformer.faults")

# %% [markdown] id="to-use-it-for-your-own"
# ### A fault without a name
# Now a fault whose name you are not told. The model below has loaded its weights strictly, and it is wrong:

# %% id="a-fault-without-a-name"
suspect = planted_faults.mystery(1)  # 1 to 4
with torch.no_grad():
    apart = (
        suspect(planted_faults.IDS).logits - planted_faults.reference()(planted_faults.IDS).logits
    )
print("logits differ:", (apart.abs().max() > 0.1).item())

# %% [markdown] id="find-the-mystery"
# > **Predict.** In which of its modules would you look? Compare it yourself, in a new cell, before you go on:
# > `print(find_divergence(suspect, planted_faults.reference(), planted_faults.IDS))`, with
# > `from course_lib.chapters.transformer.layer_diff import find_divergence`.
#
# The report says *where*. *What* is wrong you find by testing hypotheses about that module. Here: all projections inside attention are
# right in isolation, so the fault is in what happens between them: mask, rotation, scale, softmax. Recompute the module with
# one of them changed, and compare:

# %% id="what-is-the-mystery"
from course_lib.chapters.transformer.layer_diff import find_divergence

for name, scale in (("as it is", suspect.blocks[1].self_attn.scale), ("1 / sqrt(D)", 10**-0.5)):
    suspect.blocks[1].self_attn.scale = scale
    report = find_divergence(suspect, planted_faults.reference(), planted_faults.IDS)
    print(f"scale {name:12} fault in: {', '.join(report.faults) or 'nowhere'}")

# %% [markdown] id="after-the-mystery"
# The scores were divided by √C instead of √D. Three more models are waiting: `planted_faults.mystery(number)` for 2, 3 and 4. `find_divergence(ours,
# theirs, ids)` works for your own model as well; `theirs` is a model from `transformers`.

# %% [markdown] id="9-looking-inside"
# ## 10 · Looking inside
#
# Blocks only add. So the stream after the last block is a *sum*: the embedding, plus the output of each attention and each MLP.

# %% id="written-inspection-stream-parts-decoder-ids"
written = inspection.stream_parts(decoder, ids)
last = inspection.residual_stream(decoder, ids)[-1]
print("parts:", len(written), "= 1 embedding + 2 for each of", len(decoder.blocks), "layers")
print("their sum is the stream:", torch.allclose(written.sum(0), last, atol=1e-2))

# %% [markdown] id="and-since-the-last-norm-and"
# Since the last norm and the head can be applied to *any* vector of width C, you can ask the model for its prediction between
# any two layers. That is the **logit lens** (nostalgebraist 2020).
#
# $$\operatorname{lens}_l = \operatorname{norm}(x_l)\,\text{head}^\top$$
#
# > **Predict.** What does the lens predict at the very bottom, from the embedding alone, in a model whose head *is* the table?

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Type any text. The left panel shows the length of the vectors, the right one what the model would predict if it ended at each layer.
# The colour is the probability of that token. Bold predictions no longer change in later layers; in the last layer all are bold.

# %% tags=["nbval-ignore-output"] id="explorers-transformer-inside-text-def-add"
explorers.transformer.inside(text="def add(a, b):\n    return a")

# %% [markdown] id="at-the-bottom-every-token-predicts"
# At the bottom every token "predicts" itself: an embedding is most similar to its own row. The layers above have to remove that and
# write something else. Common continuations often appear early, rarer ones late.
#
# Be careful with this picture. The lens applies the last layer's norm and head to middle layers. An answer that is not at the top may
# already be there in a different form.

# %% [markdown] id="what-each-head-writes"
# ### What each head adds
# One step further down: attention itself is a sum over its heads. The heads' outputs are concatenated, H·D numbers for each
# token, and the output weight (C, H·D) mixes them. A matrix times a concatenation is a sum of parts, so head h alone adds
#
# $$\text{heads}_h\; W_o[:,\; hD : (h+1)D]^\top$$
#
# By hand: two heads of width 1 have outputs 2 and 3, and the output weight has the rows (1, 10) and (100, 1000). The first head
# adds (2, 200), the second (30, 3000). Together they are (32, 3200), which is what the layer adds.

# %% id="heads-torch-tensor-2-0-3"
heads = torch.tensor([[[[2.0]], [[3.0]]]])  # (B, H, T, D)
output = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
print("each head:", inspection.head_contributions(heads, output)[:, 0, 0].tolist())

# %% [markdown] id="build-it-8"
# ### Build it
# `heads` is (B, H, T, D), the heads' outputs before they are merged; `output` is the weight of the output projection, (C, H·D).
# Return a tensor (H, B, T, C): what each head alone adds. Its sum over the first axis is what attention adds. The
# gradient is checked too.


# %% id="transformer.contributions"
@exercise("transformer.contributions")
def head_contributions(heads, output):
    """Return what each head alone adds to the stream, (H, B, T, C)."""
    ...


# %% id="reveal-transformer-contributions"
reveal("transformer.contributions")

# %% [markdown] id="take-one-away"
# ### Remove one head
# Because a head's contribution is only added, it can be left out. The rise of the loss then measures what the head contributed: on
# *these* texts, with all other heads in place (Michel et al. 2019). Here the contribution is replaced by 0. That is crude, since the
# later layers have never seen a stream without it; some authors insert its mean over many texts instead (notebook
# [Attention](05_attention.ipynb) compares the two).
#
# Two kinds of text. **Repeats**: random ids that repeat with a period of 16. From the second round on every token can be
# predicted, but only by looking back. **Text**: documentation that the model has not been trained on.
#
# > **Predict.** On which of the two does removing one head raise the loss more?

# %% tags=["nbval-ignore-output"] id="rises-what-explorers-transformer-rises-what"
rises = {what: explorers.transformer.rises(what) for what in ("repeats", "text")}
show(figures.transformer.head_effects(rises))

# %% [markdown] id="who-are-the-heads-that-are"
# On repeats: there the loss depends on a few heads, while most can be removed. On text the loss rises less, for more heads.
#
# Some losses rise by more than ln 2048 = 7.6 nats, the loss of a model that gives all its 2048 tokens the same probability. A damaged
# model is not uncertain: it predicts Python with confidence and gets random ids.

# %% [markdown] id="10-three-families"
# ## 11 · Three families
#
# Other models are made of the same parts. They differ in *who reads whom* and in *what is predicted*:
#
# | family | who reads whom | what is predicted | example |
# |---|---|---|---|
# | encoder-only | every token reads every token | tokens that were hidden | BERT |
# | encoder-decoder | source: all of the source; target: causally the target, and all of the source | the target | the Transformer of 2017, T5 |
# | decoder-only | each token reads itself and the tokens before it | every next token | GPT-2, Qwen3 |
#
# By hand: a source of 2 and a target of 1. In an encoder-decoder the source tokens read 2 · 2 pairs, the target token reads the source,
# 2, and itself, 1: **7** of 9 pairs. In a decoder-only model there are 1 + 2 + 3 = **6**.

# %% id="for-family-in-encoder-only-encoder"
for family in ("encoder-only", "encoder-decoder", "decoder-only"):
    pairs = families.family_mask(family, source=2, target=1)
    print(f"{family:16} {int(pairs.sum())} pairs {pairs.int().tolist()}")

# %% [markdown] id="build-it-9"
# ### Build it
# `family` is "encoder-only", "encoder-decoder" or "decoder-only"; `source` and `target` are lengths of at least 1. Return a
# bool tensor of shape (source + target, source + target): row i is True at the columns that token i may read. The source comes
# first.


# %% id="transformer.family_mask"
@exercise("transformer.family_mask")
def family_mask(family, source, target):
    """Return who reads whom among a source followed by a target: row i reads column j."""
    ...


# %% id="reveal-transformer-family-mask"
reveal("transformer.family_mask")

# %% [markdown] id="which-one-for-what"
# ### Which family for which task?
#
# | task | why | family |
# |---|---|---|
# | classify texts, find similar ones, tag words | nothing is generated; every token may read the whole text | encoder-only |
# | translate, summarise: one text in, another out | the source is read once, in both directions | encoder-decoder |
# | chat, code, open-ended tasks | every task is a text to be continued | decoder-only |
#
# All three can be adapted to the others' tasks. Yet nearly all large language models today are decoder-only. Two of the reasons can
# be counted.
#
# **Every token is a training example.** A decoder predicts each next token of any text. An encoder learns only where something was
# hidden, and what is hidden cannot be read: the more is hidden, the less is left to predict it from. BERT hides 15 of 100 tokens. So a
# text of 100 tokens gives a decoder 99 predictions to learn from, and BERT 15 (counted in a Further section).
#
# **Earlier results stay valid.** Add one token to a text. How many of the vectors computed before must be computed again?

# %% id="longer-torch-cat-some-1-torch"
shape = families.FamilyConfig(101, 48, 72, 2, 6)
encoder, random_decoder = families.EncoderOnly(shape).eval(), perturbed(config)
read = {
    "encoder-only": lambda t: encoder.encode(t),
    "decoder-only": lambda t: inspection.residual_stream(random_decoder, t)[-1],
}
longer = torch.cat((some[:1], torch.tensor([[7]])), dim=1)
with torch.no_grad():
    for name, run in read.items():
        changed = (run(longer)[:, :-1] - run(some[:1])).abs().amax(-1) > 1e-4  # not by rounding
        print(f"{name}: {int(changed.sum())} of {changed.numel()} vectors change")

# %% [markdown] id="in-a-decoder-none-which-is"
# In a decoder none, which is why keys and values can be cached while text is generated. A third reason is not a number: a model
# that continues texts needs no new head for a new task, only a prompt.

# %% [markdown] id="11-claims-that-are-wrong"
# ## 12 · Wrong claims
#
# > *"The text looks fine, so the weights are loaded correctly."*
#
# Double the base of RoPE, a mistake that loading cannot notice, and measure the loss on the text of section 10 (`texts` returns its
# ids, and which of the losses count):

# %% tags=["nbval-ignore-output"] id="wrong-checkpoint-load-model-folder-dtype"
wrong = checkpoint.load_model(FOLDER, dtype=torch.float32).to(device)
base = decoder.config.rope_parameters["rope_theta"]
doubled = {"rope_type": "default", "rope_theta": 2 * base}
wrong.config = replace(wrong.config, rope_parameters=doubled)
held_out, counted = (x.to(device) for x in explorers.transformer.texts("text"))
for name, each in ((f"base {base:g}", decoder), (f"base {2 * base:g}", wrong)):
    print(f"{name:11} loss on text {inspection.mean_loss(each, held_out, counted):.2f} nats")

# %% tags=["nbval-ignore-output"] id="print-first-8-greedy-tokens-agree"
texts = [tokenizer.decode(greedy(each, prompt_ids, 20)) for each in (decoder, wrong)]
print("the same text of 20 tokens:", texts[0] == texts[1])
held_out = torch.tensor(tokenizer.encode(corpus.held_out_text(20_000))[: 4 * 256], device=device)
with torch.no_grad():
    right, off = (each(held_out.view(4, 256)).logits for each in (decoder, wrong))
apart = kl_divergence(right.softmax(-1), off.softmax(-1), math.e).mean(0)  # (T,)
for first in range(0, 256, 64):
    print(f"tokens {first:3} to {first + 63:3}: {apart[first : first + 64].mean():.3f} nats apart")

# %% [markdown] id="on-a-short-text-the-loss"
# The loss changes little, and the generated text may be identical. Yet it is a different model: the two predicted distributions differ
# (their KL divergence, notebook [Language models](02_language_models.ipynb)) from the start, about twice as much after 64 tokens, where there is more to look back on, and
# then no further. Compare logits, not impressions.
#
# > *"A head that can be removed without harm does nothing."*
#
# Remove the heads of one layer one by one and add up the rises of the loss; then remove all of them at once.

# %% tags=["nbval-ignore-output"] id="ids-repeats-known-explorers-transformer-texts"
ids_repeats, known = (x.to(device) for x in explorers.transformer.texts("repeats"))
usual = inspection.mean_loss(decoder, ids_repeats, known)
for layer in range(len(decoder.blocks)):
    ablated = inspection.without_layer(decoder, layer, ("attention",))
    together = inspection.mean_loss(ablated, ids_repeats, known) - usual
    singly = rises["repeats"][layer]
    print(f"layer {layer}: one by one {rounded(singly, 2)}", end=" ")
    print(f"sum {singly.sum():.2f}, all at once {together:.2f}")

# %% [markdown] id="where-the-last-number-is-far"
# Where the last number is far above the sum, as in layer 1, the heads back each other up: each can be removed as long as the others stay.

# %% [markdown] id="checked-against-the-real-thing"
# ## Further: one block against `transformers`
#
# A layer of Qwen3 in `transformers`, and ours with its weights. The parameter names are the same, so loading is strict: every name
# must match.

# %% id="logging-getlogger-transformers-setlevel-logging"
from transformers import Qwen3Config
from transformers.models.qwen3 import modeling_qwen3 as qwen3

their_config = Qwen3Config(**sizes)
their_config._attn_implementation = "eager"
their_block, our_block = qwen3.Qwen3DecoderLayer(their_config, 0), model.Block(config, 0)
print(our_block.load_state_dict(their_block.state_dict(), strict=True))

# %% id="x-torch-randn-2-7-48"
x = torch.randn(2, 7, 48, generator=seeded(0))
places = torch.arange(7)
whole = build_model(config)
mask = torch.ones(7, 7).tril().bool()
angles = qwen3.Qwen3RotaryEmbedding(their_config)(x, places[None])
additive = torch.zeros(7, 7).masked_fill(~mask, -torch.inf)[None, None]
with torch.no_grad():
    found = our_block(x, mask, whole.rotation(places))[0]
    expected = their_block(x, position_embeddings=angles, attention_mask=additive)
expected = expected[0] if isinstance(expected, tuple) else expected
print("largest difference < 1e-5:", ((found - expected).abs().max() < 1e-5).item())

# %% [markdown] id="all-masked-text"
# ## Further: a row that may read nothing
#
# A padding token on the left has only padding before it, so under the causal mask and the padding mask it may read *nothing*. Softmax of
# a row without any allowed entry would be 0/0; the library's attention returns zeros there, and no nan reaches the real tokens:

# %% id="all-masked-row"
nine = torch.randint(50, (1, 9), generator=seeded(1))  # the text of section 3
padded = torch.cat((torch.zeros(1, 2, dtype=torch.long), nine), dim=1)
real = torch.tensor([[False] * 2 + [True] * 9])
logits = small(padded, real, positions=model.token_positions(real, 11)).logits
print("any nan:", logits.isnan().any().item())
print("real tokens as without padding:", torch.allclose(logits[0, -1], at_once, atol=1e-4))

# %% [markdown] id="build-it-4"
# ## Further: a table that is stored twice
#
# The library leaves a tied head out of the file. The published file of Qwen3-0.6B, a tied model, lists 751,632,384 parameters. Count:

# %% id="qwen3-head-stored-twice"
with torch.device("meta"):  # shapes without memory
    qwen_06b = build_model(
        ModelConfig(151_936, 1024, 3072, 28, 16, 8, 128, 40_960, tie_word_embeddings=True)
    )
tied = sum(weight.numel() for weight in qwen_06b.parameters())
print(f"tied: {tied:,} parameters in {len(list(qwen_06b.parameters()))} tensors")
print(f"with the table stored a second time, as lm_head.weight: {tied + 151_936 * 1024:,}")

# %% [markdown] id="gpt-2-alone-needs-a-file"
# ## Further: GPT-2
#
# GPT-2 is the library's one subclass, because its parts have different names and shapes: LayerNorm, a plain MLP with GELU, one matrix
# for queries, keys and values. Its block is the one that you have built.

# %% id="reveal-model-gpt2-gpt2block-forward"
reveal(model.gpt2.GPT2Block.forward)

# %% [markdown] id="a-matrix-the-other-way-round"
# ### A transposed matrix
# GPT-2 keeps queries, keys and values in *one* matrix, and its layout is the transpose of `nn.Linear`'s:
#
# $$\text{GPT-2:}\quad x\,W + b,\quad W\ (C, 3C) \qquad\qquad \texttt{nn.Linear:}\quad x\,W^\top + b,\quad W\ (\text{out}, \text{in})$$
#
# By hand, with C = 1: W = (2, 5, 7) holds the query's number, the key's and the value's. x = 3 gives 6, 15 and 21. With
# C = 1 there is nothing to transpose. From C = 2 on each third is a square matrix, whose transpose has the same shape, so a mistake
# goes unnoticed.

# %% id="separate-checkpoint-separate-fused-torch-tensor"
separate = checkpoint.separate_fused(torch.tensor([[2.0, 5.0, 7.0]]), torch.zeros(3))
for name in ("q_proj", "k_proj", "v_proj"):
    print(name, (torch.tensor([3.0]) @ separate[f"{name}.weight"].T).tolist())

# %% [markdown] id="build-it-6"
# ### Build it
# `weight` is (C, 3C), `bias` is (3C,). Return a dictionary with six entries, `{name}.weight` (C, C) in `nn.Linear`'s layout and
# `{name}.bias` (C,), for q_proj, k_proj and v_proj. The number type stays the same.


# %% id="transformer.fused"
@exercise("transformer.fused")
def separate_fused(weight, bias):
    """Return GPT-2's fused weight and bias as those of q_proj, k_proj and v_proj."""
    ...


# %% id="reveal-transformer-fused"
reveal("transformer.fused")

# %% [markdown] id="the-attention-of-a-random-gpt"
# The attention of a random GPT-2, computed by the attention module of notebook [Attention](05_attention.ipynb): once with the thirds transposed, once
# without. Both load, and one is wrong.

# %% id="gpt2-stirred-configs-gpt2"
gpt2 = perturbed(configs["gpt2"])
fused = gpt2.blocks[0].attn
separate = checkpoint.separate_fused(fused.c_attn.weight, fused.c_attn.bias)
separate |= {"o_proj.weight": fused.c_proj.weight.T, "o_proj.bias": fused.c_proj.bias}
careless = {name: t.T if t.dim() == 2 else t for name, t in separate.items()}
x = torch.randn(1, 5, 48, generator=seeded(3))
wanted = fused(x, mask[:5, :5])[0]
for name, weights in (("transposed", separate), ("not transposed", careless)):
    plain = MultiHeadAttention(48, 6, qkv_bias=True, output_bias=True)
    print(f"{name:14} {plain.load_state_dict(weights)}", end=" ")
    print("equal to GPT-2:", torch.allclose(plain(x, mask[:5, :5])[0], wanted, atol=1e-4))

# %% [markdown] id="padding-with-gpt2"
# > *"Padding is masked, so its place cannot matter."*
#
# With learned positions it does. A random GPT-2, a text of 4 tokens, three padding tokens before it:

# %% id="alone-gpt2-some-1-4-logits"
alone = gpt2(some[:1, :4]).logits
padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), some[:1, :4]), dim=1)
real = torch.tensor([[False] * 3 + [True] * 4])
from_first = model.token_positions(real, 7)
for name, positions in (("0 to 6", None), ("from the first real token", from_first)):
    logits = gpt2(padded, real, positions=positions).logits[:, 3:]
    print(f"positions {name}: as without padding:", torch.allclose(logits, alone, atol=1e-4))

# %% [markdown] id="the-library-refuses-a-folder-that"
# ## Further: more on loading
#
# If a folder does not match its config, the library raises an error before anything is loaded, and says why. Let us break one: the
# config promises a wider MLP than the file holds.

# %% id="with-tempfile-temporarydirectory-as-folder"
with tempfile.TemporaryDirectory() as folder:
    checkpoint.save_model(qwen, folder)
    path = Path(folder) / "config.json"
    path.write_text(path.read_text().replace('"intermediate_size": 72', '"intermediate_size": 80'))
    try:
        checkpoint.load_model(folder)
    except ValueError as error:
        for part in str(error).replace(folder, "FOLDER").split("; ")[:3]:
            print(part)

# %% [markdown] id="there-and-back"
# ### A round trip
# We write the course model, `transformers` reads it and writes it again, and we read that. Every bit must survive.

# %% id="with-tempfile-temporarydirectory-as-first-tempfi"
original = course_model()
with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
    checkpoint.save_model(original, first)
    read_there = AutoModelForCausalLM.from_pretrained(first, attn_implementation="eager").eval()
    read_there.save_pretrained(second)
    again = checkpoint.load_model(second)
    tensors = again.state_dict()
    kept = [torch.equal(t, tensors[name]) for name, t in original.state_dict().items()]
print(f"all tensors equal bit for bit: {all(kept)}")
texts = [greedy(each, ids[0].cpu(), 32) for each in (original, read_there, again)]
print("the same 32 tokens:", texts[0] == texts[1] == texts[2])

# %% [markdown] id="with-a-network-the-same-line"
# With internet access `load_model` also loads published checkpoints. On your own machine, try
#
# ```python
# qwen = checkpoint.load_model("Qwen/Qwen3-0.6B", dtype=torch.bfloat16, download=True)
# qwen_tokenizer = checkpoint.load_tokenizer("Qwen/Qwen3-0.6B", download=True)
# ```
#
# and give it the prompt of section 8. Without `download=True` nothing here uses the network.

# %% [markdown] id="further-memory-while-loading"
# ### Memory while loading
# A model that is built with random weights and then loaded needs memory for both. On torch's `meta` device modules have shapes and no
# memory; `.load_state_dict(assign=True)` then makes the file's tensors the parameters, without a copy. Large checkpoints are
# split into several files (shards); `model.safetensors.index.json` says which tensor is in which file, so that one file at a time
# can be read.

# %% id="meta-and-assign"
with torch.device("meta"):
    empty = build_model(decoder.config)
print("weights without memory:", all(weight.is_meta for weight in empty.parameters()))
tensors = checkpoint.with_head(load_file(FOLDER / "model.safetensors"), tied=True)
empty.load_state_dict(tensors, strict=True, assign=True)
table = empty.model.embed_tokens.weight
print(
    "the file's own tensors, not copies:", table.data_ptr() == tensors["lm_head.weight"].data_ptr()
)

# %% [markdown] id="faults-listed"
# ## Further: planted faults
#
# The report of section 9 applies the rule that you wrote there. Here it is for a list of faults, each of them a mistake that people
# have really made:

# %% id="for-fault-in-faults"
for fault in planted_faults.FAULTS:
    found = ", ".join(planted_faults.report(fault).faults).replace("model.", "") or "nowhere"
    print(f"{fault:55} -> {found}")

# %% [markdown] id="play-with-it"
# ### Play with it
# Choose a fault. Filled dots are isolated errors, rings are accumulated errors; the dotted line is the tolerance. Watch the rings:
# they move to the right at the fault and stay there. (A layer is listed before the modules inside it, so those that run before the
# fault still have rings on the left.)

# %% id="explorers-transformer-fault-kind-residual-from"
explorers.transformer.fault(kind="residual from the normalised input in layer 1")

# %% [markdown] id="direct-logit-attribution"
# ## Further: the terms of a logit
#
# The stream is a sum (section 10). The last norm divides the whole sum by one number and multiplies each feature by a weight; the
# head is a dot product. So the logit of a token is a sum as well, with one term for each part (**direct logit attribution**). For the
# token predicted at the end of the text:

# %% tags=["nbval-ignore-output"] id="logit-by-part"
final = decoder.model.norm
with torch.no_grad():
    logits = decoder(ids).logits[0, -1]
    best = int(logits.argmax())
    size = (last[0, -1].square().mean() + final.eps).sqrt()
    terms = written[:, 0, -1] @ (final.weight * decoder.lm_head.weight[best] / size)
names = [f"{part} {layer}" for layer in range(4) for part in inspection.PARTS]
for name, term in zip(["embedding", *names], terms.tolist(), strict=True):
    print(f"{name:12} {term:+6.2f}")
print(f"sum {terms.sum():.2f}, logit of {tokenizer.decode([best])!r} {logits[best]:.2f}")

# %% [markdown] id="after-logit-by-part"
# The last MLP contributes most, the embedding and layer 0 almost nothing *directly*: what they add is read by later layers.
#
# The library's logit lens of section 10:

# %% id="reveal-inspection-logit-lens"
reveal(inspection.logit_lens)

# %% [markdown] id="whole-parts"
# ## Further: which heads and which parts matter
#
# Which heads matter on repeats? Notebook [Attention](05_attention.ipynb) has given names to two kinds: the *previous-token* head reads the token
# before, and the *induction* head searches for what followed last time.

# %% tags=["nbval-ignore-output"] id="repeats-explorers-transformer-texts-repeats-0"
from course_lib.attention import induction_score, previous_token_score

repeats = explorers.transformer.texts("repeats")[0].to(device)
maps = inspection.attention_maps(decoder, repeats)  # (L, B, H, T, T)
induction = [induction_score(maps[:, b], ids) for b, ids in enumerate(repeats)]
kinds = {
    "previous-token": previous_token_score(maps).mean(1),
    "induction": torch.stack(induction).mean(0),
}
for name, score in kinds.items():
    layer, head = divmod(int(score.argmax()), score.shape[1])
    rise = rises["repeats"][layer, head]
    print(f"best {name} head: layer {layer}, head {head}, score {score.max():.2f};", end=" ")
    print(f"without it the loss rises by {rise:.2f}")

# %% [markdown] id="find-both-in-the-picture-above"
# Find both in the figure of section 10. Repeating takes one of each, in this order: the first copies "what came before me" into each token,
# the second searches for it. A head of layer 0 that matters on both kinds of text computes something that the later layers rely on.
# Where the loss rises only a little without one of these heads, other heads of its layer do the same work; the section on wrong
# claims comes back to that.
#
# Next, whole parts. How much does the loss rise without the attention of each layer, and without its MLP?


# %% tags=["nbval-ignore-output"] id="without-part"
def without_part(what, part):
    ids, counted = (x.to(device) for x in explorers.transformer.texts(what))
    whole = inspection.mean_loss(decoder, ids, counted)
    layers = range(len(decoder.blocks))
    ablated = [inspection.without_layer(decoder, layer, (part,)) for layer in layers]
    losses = torch.stack([inspection.mean_loss(each, ids, counted) for each in ablated])
    return (losses - whole).cpu()


effects = {w: {p: without_part(w, p) for p in inspection.PARTS} for w in ("repeats", "text")}
show(figures.transformer.part_effects(effects))

# %% [markdown] id="play-with-it-3"
# On repeats two attentions are essential, those of layers 0 and 1, because finding the earlier occurrence takes two layers in a row
# (notebook [Attention](05_attention.ipynb)); the other two hardly matter, and of the MLPs only that of layer 2 does. On text every
# part matters. To see how far these numbers can be trusted,
# measure the same on more text, with the standard error over texts:

# %% tags=["nbval-ignore-output"] id="parts-with-errors"
more = torch.tensor(tokenizer.encode(corpus.held_out_text(30_000))[: 32 * 96], device=device)
more = more.view(32, 96)
whole = inspection.token_losses(decoder, more)
for layer in range(len(decoder.blocks)):
    for part in inspection.PARTS:
        ablated = inspection.without_layer(decoder, layer, (part,))
        rise = (inspection.token_losses(ablated, more) - whole).mean(1)  # one number for each text
        error = rise.std() / len(rise) ** 0.5
        print(f"layer {layer} without {part:9} {rise.mean():+.2f} ± {error:.2f} nats")
print(f"whole model {whole.mean():.2f} nats, equal probabilities {math.log(2048):.2f}")

# %% [markdown] id="parts-with-errors-text"
# Without the attention of layer 0 the loss on text is worse than with equal probabilities. That does not say how much a token has to
# look back: it says that all later layers depend on what this one adds, so that the stream is no longer one that they can read.
# Removing a part measures what *this* model relies on. The attentions of layers 1 to 3 each cost a few tenths of a nat, well outside
# the error.

# %% [markdown] id="play-with-ablation"
# ### Play with it
# Remove a head, the attention or the MLP of a layer, or a whole layer. The right panel shows the loss along the text. On repeats the
# first round is grey: nothing can be predicted there. The dotted line is the loss of a model that gives all tokens the same
# probability.

# %% tags=["nbval-ignore-output"] id="explorers-transformer-ablate-what-repeats-part"
layer, head = divmod(int(rises["repeats"].argmax()), decoder.config.num_attention_heads)
explorers.transformer.ablate(what="repeats", part="one head", layer=layer, head=head)

# %% [markdown] id="play-with-it-4"
# ## Further: the three families checked
#
# Choose a family and the lengths of source and target: who reads whom, and what is predicted?

# %% id="explorers-transformer-families-kind-encoder-deco"
explorers.transformer.families(kind="encoder-decoder", source=4, target=4)

# %% [markdown] id="checked-against-the-real-thing-3"
# A mask is a claim about a model. Test it on models: change one token, and see which outputs change.


# %% id="moved"
def moved(run, text):
    before, columns = run(text), []
    for place in range(text.shape[1]):
        changed = text.clone()
        changed[0, place] = 99
        columns.append((run(changed) - before).abs().amax(-1)[0] > 1e-6)
    return torch.stack(columns, dim=1)


# %% id="shape-families-familyconfig-101-48-72"
both, text = families.EncoderDecoder(shape).eval(), torch.arange(5)[None]
with torch.no_grad():
    for family, run in read.items():
        expected = families.family_mask(family, 2, 3)
        print(f"{family:16} reads as its mask says:", torch.equal(moved(run, text), expected))
    target_rows = moved(lambda t: both(t[:, :2], t[:, 2:]), text)
    expected = families.family_mask("encoder-decoder", 2, 3)[2:]
    print("encoder-decoder  reads as its mask says:", torch.equal(target_rows, expected))

# %% [markdown] id="and-the-encoder-itself-is-bert"
# And the encoder itself is BERT, with equal outputs. Its parts have different names in `transformers`; the library's `bert_name`
# translates them.

# %% id="words"
from transformers import BertConfig, BertForMaskedLM

bert_config = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
}
bert = BertForMaskedLM(BertConfig(**bert_config, attn_implementation="eager")).eval()

# %% id="given-bert-state-dict"
given = bert.state_dict()
renamed = {}
for name, slot in encoder.state_dict().items():
    theirs_name = checkpoint.bert_name(name)
    transposed = slot.shape != given[theirs_name].shape  # InOutLinear stores (in, out)
    renamed[name] = given[theirs_name].T if transposed else given[theirs_name]
print(encoder.load_state_dict(renamed, strict=True))
with torch.no_grad():
    apart = (encoder(text) - bert(text).logits).abs().max()
print("largest difference < 1e-5:", (apart < 1e-5).item())

# %% [markdown] id="predictions-counted"
# How many predictions does each learn from, on 50 texts of 100 tokens?

# %% tags=["nbval-ignore-output"] id="ids-of-text-torch-randint-5"
ids_of_text = torch.randint(5, 101, (50, 100), generator=seeded(4))
hidden = families.hide_tokens(ids_of_text, mask_id=4, vocab_size=101, generator=seeded(5))
print("tokens:                 ", ids_of_text.numel())
print("decoder-only predicts:  ", ids_of_text[:, 1:].numel())
print("encoder-only predicts:  ", int(hidden.chosen.sum()))

# %% [markdown] id="tying-the-head-makes-the-model"
# ## Further: a tied head takes as many FLOPs
#
# > *"Tying the head makes the model cheaper to run."*
#
# It makes it *smaller*. The multiplication by the head is the same:

# %% id="for-tied-in-true-false"
from torch.utils.flop_counter import FlopCounterMode

for tied in (True, False):
    example = build_model(replace(config, tie_word_embeddings=tied))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        example(some)
    numbers = sum(weight.numel() for weight in example.parameters())
    print(f"tied {tied!s:5} parameters {numbers:6}  FLOPs {counter.get_total_flops()}")

# %% [markdown] id="further-initialisation"
# ## Further: initialisation
#
# A new model starts from random weights. The library draws every matrix from a normal distribution with standard deviation 0.02; norms
# start at 1. A model that knows nothing should give every token about the same probability: a loss of ln V.
#
# > **Predict.** The same model with a standard deviation of 0.2. Is its loss also near ln V?

# %% tags=["nbval-ignore-output"] id="initialisation"
random_ids = torch.randint(2048, (4, 32), generator=seeded(0)).to(device)
print(f"ln V = {math.log(2048):.2f} nats")
for std in (0.02, 0.2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = build_model(decoder.config)
        fresh.initialise(std)
    fresh = fresh.to(device)
    grown = inspection.residual_norms(fresh, random_ids).mean((1, 2))
    loss = inspection.mean_loss(fresh, random_ids)
    print(f"std {std}: loss {loss:.1f} nats, stream grows {grown[-1] / grown[0]:.0f}-fold")

# %% [markdown] id="after-initialisation"
# No: large random logits are confidently wrong, and training first has to undo them. The norm before each part fixes the size of
# what it *reads*; the size of what it *adds* grows with its matrices, and the stream with it. GPT-2 and many later models also divide
# the initial weights of the two output projections (`o_proj`, `down_proj`) by √(2 · layers), so that the stream does not grow with
# depth.

# %% [markdown] id="further-activation-patching"
# ## Further: activation patching
#
# Removing a part shows that it matters. *Activation patching* shows which information it carries. Run the model on two inputs that
# differ in one token, and copy one vector of the stream from the first run into the second. If that restores the first run's
# prediction, the vector carried the difference.
#
# By hand: three tokens of width 1, two blocks. The first adds the sum of all tokens to each, the second doubles. The clean input
# 1, 2, 3 becomes 7, 8, 9 and then 14, 16, 18. The corrupted input 1, 0, 3 becomes 5, 4, 7 and then 10, 8, 14. Copy the clean
# second token before the first block: all three are restored. Copy it between the blocks: 5, **8**, 7 becomes 10, 16, 14, and the
# other two stay wrong, since they have already read it.
#
# ### Build it
# `x` (B, T, C) is the stream of the corrupted run before the first block, `blocks` a list of L functions from stream to stream,
# `clean` (L + 1, B, T, C) the stream of the clean run before each block and after the last. Replace the vector at `position`
# (0 ≤ position < T) at `place` (0 is before the first block, L after the last) for all B texts, and return the stream after
# all blocks, (B, T, C). L may be 0. The caller's x stays as it is.


# %% id="transformer.patch"
@exercise("transformer.patch")
def patched_stream(x, blocks, clean, place, position):
    """Return the corrupted run's last stream, with one vector copied from the clean run."""
    ...


# %% id="reveal-transformer-patch"
reveal("transformer.patch")

# %% [markdown] id="patching-the-course-model"
# ### Where does the course model keep the answer?
# The clean input: random ids with a period of 16, cut off after position 23. The next token is known from the first round: it is the one
# at position 8. The corrupted input has a different token at position 8. The logit difference between the two candidates is high
# on the clean input and low on the corrupted one; 0 means "as corrupted", 1 "as clean". A hook on each block replaces the vector.
#
# > **Predict.** The clean vector is copied into position 8, or into position 23, before each layer and before the last norm. In
# > which layer does the information move from one to the other?

# %% tags=["nbval-ignore-output"] id="patching-inputs"
clean = explorers.transformer.texts("repeats")[0][:1, :24].to(device)
corrupted = clean.clone()
corrupted[0, 8] = (clean[0, 8] + 500) % 2048
candidates = [int(clean[0, 8]), int(corrupted[0, 8])]
clean_stream = inspection.residual_stream(decoder, clean)


def preference(ids):
    with torch.no_grad():
        first, second = decoder(ids).logits[0, -1, candidates]
    return (first - second).item()


high, low = preference(clean), preference(corrupted)
print(f"logit difference: clean {high:+.1f}, corrupted {low:+.1f}")


# %% tags=["nbval-ignore-output"] id="patching"
def patched(place, position):
    def copy_clean(module, given):
        x = given[0].clone()
        x[0, position] = clean_stream[place, 0, position]
        return (x, *given[1:])

    hook = [*decoder.blocks, decoder.model.norm][place].register_forward_pre_hook(copy_clean)
    try:
        return (preference(corrupted) - low) / (high - low)
    finally:
        hook.remove()


for place, name in enumerate(("layer 0", "layer 1", "layer 2", "layer 3", "the norm")):
    row = [f"{position}: {patched(place, position):5.2f}" for position in (7, 8, 9, 23)]
    print(f"before {name:8}  position", "   ".join(row))

# %% [markdown] id="after-patching"
# Before layers 0 and 1 the answer is at position 8, in the token itself; before layer 2 all of it is at position 23, where
# it is needed. So layer 1 moves it, which is where the best induction head is. (Wang et al. 2022 analyse a whole circuit
# of GPT-2 in this way.)

# %% [markdown] id="12-recap"
# ## Recap
#
# 1. A block adds twice: *x + attention(norm(x))*, then *x + mlp(norm(x))*. The stream itself is normalised only once, after the last
#    block.
# 2. One class, with a subclass for GPT-2, covers six families; they differ in a few fields of the config.
# 3. Strict loading checks names and shapes. It cannot notice a transposed square matrix, two exchanged matrices, a wrong eps or a
#    wrong base.
# 4. To find a fault, give each module the reference's input. A large isolated error is a fault; an accumulated error alone is a
#    consequence.
# 5. The stream is a sum. So it can be read early, and the contribution of a head or a layer can be removed or replaced.
#
# ### Test yourself

# %% id="quiz-transformer"
quiz("transformer")

# %% [markdown] id="papers"
# ### Papers
# - Vaswani et al. 2017, *Attention is all you need*, arXiv:1706.03762
# - Devlin et al. 2018, *BERT*, arXiv:1810.04805
# - Raffel et al. 2019, *Exploring the limits of transfer learning with a unified text-to-text transformer*, arXiv:1910.10683
# - Radford et al. 2019, *Language models are unsupervised multitask learners* (GPT-2)
# - Xiong et al. 2020, *On layer normalization in the transformer architecture*, arXiv:2002.04745
# - Michel, Levy & Neubig 2019, *Are sixteen heads really better than one?*, arXiv:1905.10650
# - nostalgebraist 2020, *interpreting GPT: the logit lens*
# - Wang et al. 2022, *Interpretability in the wild: a circuit for indirect object identification in GPT-2 small*, arXiv:2211.00593
# - Elhage et al. 2021, *A mathematical framework for transformer circuits*
# - Qwen team 2025, *Qwen3 technical report*, arXiv:2505.09388
#
# **Next:** [Counting parameters](09_parameter_counting.ipynb). The model is built. How large is it, what does it cost, and will it fit?
