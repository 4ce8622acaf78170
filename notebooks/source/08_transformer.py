# %% [markdown] id="08-the-whole-transformer"
# # 08 · The whole transformer
#
# **How do the parts make a model that loads real weights?**
#
# You have built every part: tokens, embeddings, norms, softmax, attention, positions, feed-forward layers. This notebook puts
# them together, and the result is not a sketch. It is one class that *is* Qwen3, Llama or GPT-2, depending on a page of numbers,
# and it computes what the originals compute.
#
# After this notebook you can
# - write a decoder block and a whole decoder, and say what goes wrong when a norm or a residual stands in the wrong place;
# - load a checkpoint strictly, and know which mistakes strict loading does *not* notice;
# - find the module at which your model and a reference part;
# - read the residual stream between two layers, and take a head or a layer away to see what it was good for;
# - tell the three families of transformers apart by who reads whom and by what is predicted.
#
# About 120 minutes. You need notebooks [Embeddings and norms](03_embeddings_and_norms.ipynb) to [MLP and experts](07_mlp.ipynb); nothing is downloaded. The trained model of this course, a small one, comes
# with it.

# %% id="imports"
import json
import logging
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from course_lib import checkpoint, corpus, families, model, norms
from course_lib.chapters.transformer import answers
from course_lib.device import seeded
from course_lib.information import kl_divergence
from course_lib.model import ModelConfig, build_model, inspection
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show

# %% [markdown] id="1-the-block"
# ## 1 · The block
#
# A token enters the model as a vector. From then on this vector only gets *additions*: each layer reads it twice and adds what
# it has found. What runs from the first layer to the last is called the **residual stream**.
#
# $$x \leftarrow x + \operatorname{attention}(\operatorname{norm}_1(x)) \qquad
#   x \leftarrow x + \operatorname{mlp}(\operatorname{norm}_2(x))$$
#
# Attention brings something from other tokens; the MLP works on each token alone. Both read a *normalised copy*, so that they see
# vectors of one size, however long the stream has grown. This is called **pre-norm**. The Transformer of 2017 did it the other
# way round, **post-norm**: it normalised the sum.

# %% id="show-figures-transformer-block-arrangements"
show(figures.transformer.block_arrangements())

# %% [markdown] id="by-hand-with-a-stream-of"
# By hand, with a stream of a single number: x = 4. The first norm divides by 2, attention multiplies by 3; the second norm
# divides by 5, the MLP multiplies by 2.
#
# Pre-norm: attention reads 4/2 = 2 and adds 6, so the stream is 10. The MLP reads 10/5 = 2 and adds 4: the stream is **14**.
#
# > **Predict.** And post-norm, with the same four parts?

# %% id="x-torch-tensor-4-0"
x = torch.tensor([4.0])
parts = (lambda y: 3 * y, lambda y: y / 2, lambda y: 2 * y, lambda y: y / 5)
attention, first_norm, mlp, second_norm = parts
print("pre-norm: ", answers.decoder_block(x, attention, first_norm, mlp, second_norm).tolist())
middle = norms.post_norm_residual(x, attention, first_norm)
print("post-norm:", rounded(norms.post_norm_residual(middle, mlp, second_norm), 1))

# %% [markdown] id="build-it"
# (4 + 12) / 2 = 8, then (8 + 16) / 5 = 4.8. In a post-norm block the old x has been divided by ten on its way. In a pre-norm
# block it is still there, whole: 14 = 4 + 6 + 4. Gradients run along the same path backwards, and notebook [Embeddings and norms](03_embeddings_and_norms.ipynb) has shown what that
# means for deep stacks.
#
# ### Build it
# Both parts, both norms, both residuals. The parts are handed to you as functions.


# %% id="transformer.block"
@exercise("transformer.block")
def decoder_block(x, attention, attention_norm, mlp, mlp_norm):
    """Return the stream after one pre-norm layer."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The solution stays folded until you have passed, or have run the cell twice.

# %% id="reveal-transformer-block"
reveal("transformer.block")

# %% [markdown] id="the-block-of-the-library-is"
# The block of the library is this with weights: it hands the mask, the rotation and the cache through to attention.

# %% id="reveal-model-block-forward"
reveal(model.Block.forward)

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# A layer of Qwen3 in `transformers`, and ours with its weights. The names are the same, so loading is strict.

# %% id="logging-getlogger-transformers-setlevel-logging"
from transformers import Qwen3Config
from transformers.models.qwen3 import modeling_qwen3 as qwen3

logging.getLogger("transformers").setLevel(logging.ERROR)  # no remarks about random weights

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
their_config = Qwen3Config(**sizes)
their_config._attn_implementation = "eager"
theirs, ours = qwen3.Qwen3DecoderLayer(their_config, 0), model.Block(config, 0)
print(ours.load_state_dict(theirs.state_dict(), strict=True))

# %% id="x-torch-randn-2-7-48"
x = torch.randn(2, 7, 48, generator=seeded(0))
places = torch.arange(7)
whole = build_model(config)
mask = torch.ones(7, 7).tril().bool()
angles = qwen3.Qwen3RotaryEmbedding(their_config)(x, places[None])
additive = torch.zeros(7, 7).masked_fill(~mask, -torch.inf)[None, None]
with torch.no_grad():
    found = ours(x, mask, whole.rotation(places))[0]
    expected = theirs(x, position_embeddings=angles, attention_mask=additive)
expected = expected[0] if isinstance(expected, tuple) else expected
print("largest difference < 1e-5:", ((found - expected).abs().max() < 1e-5).item())

# %% [markdown] id="2-the-whole-model"
# ## 2 · The whole model
#
# What is left is little: a lookup in front, one more norm behind the last block, and a head that scores every token of the
# vocabulary.
#
# $$x = \text{table}[\text{ids}] \qquad x \leftarrow \operatorname{block}_l(x)\ \text{for each } l \qquad
#   \text{logits} = \operatorname{norm}(x)\,\text{head}^\top$$
#
# By hand: a table with the rows (1, 0), (0, 2) and (1, 1), which is the head too; a single block that adds 1 to everything; a norm
# that divides by the largest number. The id 0 becomes (1, 0), then (2, 1), then (1, ½). Its dot products with the three rows
# are 1, 1 and 1½: **token 2** comes next.

# %% id="table-torch-tensor-1-0-0"
table = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
by_largest = lambda x: x / x.abs().amax(-1, keepdim=True)
scores = answers.decoder_logits(torch.tensor([0]), table, [lambda x: x + 1], by_largest)
print("scores:", scores.tolist())

# %% [markdown] id="build-it-2"
# ### Build it


# %% id="transformer.forward"
@exercise("transformer.forward")
def decoder_logits(ids, table, blocks, last_norm, head=None):
    """Return the scores of the next token behind each token."""
    ...


# %% id="reveal-transformer-forward"
reveal("transformer.forward")

# %% [markdown] id="the-last-norm-is-the-line"
# The last norm is the line that is forgotten most. Nothing fails without it.
#
# > **Predict.** The course's trained model, once with and once without its last norm. Does another token win? And how sure is
# > each of the two?

# %% tags=["nbval-ignore-output"] id="decoder-tokenizer-course-model-course-tokenizer"
decoder, tokenizer = course_model(), course_tokenizer()
TEXT = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a"
ids = torch.tensor([tokenizer.encode(TEXT)])
stream = inspection.residual_stream(decoder, ids)[-1]
right, bare = decoder.lm_head(decoder.last_norm(stream)), decoder.lm_head(stream)
for name, logits in (("with the last norm", right), ("without it", bare)):
    surest = logits.softmax(-1).amax(-1).median()
    print(f"{name:18} the winner has a probability of {surest:.2f} (median)")
print(f"another winner at {(right.argmax(-1) != bare.argmax(-1)).float().mean():.0%} of the tokens")

# %% [markdown] id="without-the-norm-the-model-is"
# Without the norm the model is certain of nearly everything: the stream is long, so the scores are large, and softmax saturates.
# And at some places another token wins, since the norm's weights stretch some features and shrink others.
#
# Here is the class of the library. Read it slowly; you know every line. The rest of the file makes masks, positions and caches.

# %% id="reveal-model-decoderlm-forward"
reveal(model.DecoderLM.forward)

# %% [markdown] id="3-where-does-a-token-stand"
# ## 3 · Where does a token stand?
#
# Positions look like `arange`, and mostly are. Two things spoil it.
#
# **A cache.** When text is written, the earlier tokens are not passed in again; their keys and values wait in a cache. The new
# token is alone in `ids`, and its position is *not* 0 but the number of tokens before it.
#
# **Padding.** Texts of different length share a batch by padding the short ones, on the left when text is to be written. The
# short text begins in the middle of its row, and there at position 0.
#
# By hand: a row of two padding tokens and four real ones, all in the cache, and one new token. Four real tokens stand
# before it, so its position is **4**; not 0, and not 6.

# %% id="row-torch-tensor-false-false-true"
row = torch.tensor([[False, False, True, True, True, True, True]])
print("all positions:  ", model.token_positions(row, 7).tolist())
print("of the new one: ", model.token_positions(row, 1).tolist())

# %% [markdown] id="build-it-3"
# ### Build it


# %% id="transformer.positions"
@exercise("transformer.positions")
def token_positions(padding, new_tokens):
    """Return the positions (B, T) of the last `new_tokens` of each row; padding gets 0."""
    ...


# %% id="reveal-transformer-positions"
reveal("transformer.positions")

# %% [markdown] id="predict-a-forward-pass-with-a"
# > **Predict.** A forward pass with a cache, token by token, once with right positions and once with position 0 for every
# > new token. RoPE sees *distances* only. Does the second go wrong too?

# %% id="small-build-model-replace-config-vocab"
small = build_model(replace(config, vocab_size=50)).eval().requires_grad_(False)
for number, weight in enumerate(small.parameters()):
    weight += 0.2 * torch.randn(weight.shape, generator=seeded(number))
some = torch.randint(50, (1, 9), generator=seeded(1))
at_once = small(some).logits[0, -1]
for name, position in (("counted on", None), ("always 0", torch.tensor([0]))):
    cache = small.make_cache(batch=1, capacity=9)
    for token in some.split(1, dim=1):
        logits = small(token, cache=cache, positions=position).logits[0, -1]
    print(f"{name:10} equals the pass at once:", torch.allclose(logits, at_once, atol=1e-4))

# %% [markdown] id="it-does-the-keys-in-the"
# It does. The keys in the cache were turned by their own positions; a query that is turned by 0 has the wrong distance to
# all of them.

# %% [markdown] id="4-the-head"
# ## 4 · The head
#
# The table has one row for each token, (V, C), and turns ids into vectors. The head has one row for each token, (V, C), and turns
# vectors into scores. In a **tied** model they are one tensor (notebook [Embeddings and norms](03_embeddings_and_norms.ipynb)), so a file holds it once and leaves the head out.
#
# By hand: 2048 tokens and a width of 256 are 524 288 numbers. In bfloat16 that is 1.05 MB which a tied model does not store
# twice.

# %% id="v-c-2048-256"
V, C = 2048, 256
print(f"{V * C:,} numbers, {V * C * 2 / 1e6:.2f} MB in bfloat16")
for name in ("tied", "untied"):
    example = build_model(replace(config, tie_word_embeddings=name == "tied"))
    same = example.lm_head.weight is example.model.embed_tokens.weight
    print(
        f"{name:6} one tensor: {same!s:5} parameters: {sum(p.numel() for p in example.parameters())}"
    )

# %% [markdown] id="predict-a-file-has-no-lm"
# > **Predict.** A file has no `lm_head.weight`. Is its model tied?

# %% id="for-name-in-tied-untied"
from safetensors.torch import load_file

for name in ("tied", "untied"):
    example = build_model(replace(config, tie_word_embeddings=name == "tied"))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save_model(example, folder)
        held = load_file(Path(folder) / "model.safetensors")
    print(
        f"{name:6} the file holds {len(held)} tensors, lm_head.weight: {'lm_head.weight' in held}"
    )

# %% [markdown] id="build-it-4"
# Usually it is. But whether a model is tied is decided by `tie_word_embeddings` in config.json. If that says *no* and the head is
# missing, the file is broken, and tying it silently would hide that.
#
# ### Build it


# %% id="transformer.head"
@exercise("transformer.head")
def with_head(tensors, tied, table="model.embed_tokens.weight", head="lm_head.weight"):
    """Return the tensors of a file with a head among them, where the model is tied."""
    ...


# %% id="reveal-transformer-head"
reveal("transformer.head")

# %% [markdown] id="5-one-class-six-families"
# ## 5 · One class, six families
#
# What distinguishes Qwen3 from Llama? Less than their names suggest. The library's config has a field for each difference:

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

# %% [markdown] id="gpt-2-alone-needs-a-file"
# GPT-2 alone needs a file of its own, since its parts have other names and shapes: LayerNorm, a plain MLP with GELU, one matrix
# for queries, keys and values. Its block is the one that you have built.

# %% id="reveal-model-gpt2-gpt2block-forward"
reveal(model.gpt2.GPT2Block.forward)

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# For each family: a model of ours with random weights is written to a folder, in the layout of the Hugging Face hub.
# `transformers` opens the folder and knows nothing of us. Both get the same ids, and both write 32 tokens, always the likeliest.
#
# `greedy` is the loop that you will write in section 7.


# %% id="stirred"
def stirred(config, seed=0):
    made = build_model(config).eval().requires_grad_(False)
    for number, weight in enumerate(made.parameters(), seed):
        weight += 0.2 * torch.randn(weight.shape, generator=seeded(number))
    return made


def greedy(logits_of, ids, new_tokens):
    with torch.no_grad():
        return model.greedy_continuation(lambda text: logits_of(text).logits, ids, new_tokens)


# %% id="disable-progress-bar"
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
some = torch.randint(101, (2, 11), generator=seeded(2))
print("largest difference < 1e-5   same 32 tokens")
for name, each in configs.items():
    ours = stirred(each)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save_model(ours, folder)
        theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        apart = (ours(some).logits - theirs(some).logits).abs().max()
    texts = [greedy(each, some[0], 32) for each in (ours, theirs)]
    print(f"{name:10} {(apart < 1e-5).item()!s:16} {texts[0] == texts[1]}")

# %% [markdown] id="6-weights-in-weights-out"
# ## 6 · Weights in, weights out
#
# A checkpoint is a folder with a page of words and numbers, `config.json`, and a bag of named tensors. Here is the one of the
# course's own model:

# %% tags=["nbval-ignore-output"] id="words-json-loads-folder-config-json"
from course_lib.pretrained import FOLDER

words = json.loads((FOLDER / "config.json").read_text())
for word in ("model_type", "hidden_size", "num_hidden_layers", "num_key_value_heads", "vocab_size"):
    print(f"{word:20} {words[word]}")

# %% tags=["nbval-ignore-output"] id="with-safe-open-folder-model-safetensors"
from safetensors import safe_open

with safe_open(FOLDER / "model.safetensors", framework="pt") as file:
    names = list(file.keys())
    for name in sorted(names)[:12]:
        print(f"{name:48} {file.get_slice(name).get_shape()}")
print(f"... {len(names)} in all; a head among them: {'lm_head.weight' in names}")

# %% [markdown] id="the-names-are-the-path-to"
# The names are the path to each parameter, and the library's modules have the names that Hugging Face's have. So loading is
# `load_state_dict(strict=True)`: every name must find its place, in its shape.
#
# > **Predict.** Somebody loads a Qwen3 file into a Llama of the same size. What does not fit?

# %% id="llama-qwen-build-model-configs-llama"
llama, qwen = build_model(configs["llama"]), build_model(config)
missing, extra, misshapen = checkpoint.misfits(llama.state_dict(), qwen.state_dict())
print("missing:  ", missing)
print("misshapen:", misshapen)
print("extra:    ", len(extra), "such as", extra[:2])

# %% [markdown] id="build-it-5"
# The norms of queries and keys, two in each layer. With `strict=False` they would be dropped, and the model would compute
# something that nobody has trained.
#
# ### Build it


# %% id="transformer.misfits"
@exercise("transformer.misfits")
def misfits(slots, tensors):
    """Return three lists of names: missing in the file, extra in it, of another shape."""
    ...


# %% id="reveal-transformer-misfits"
reveal("transformer.misfits")

# %% [markdown] id="the-library-refuses-a-folder-that"
# The library refuses a folder that does not fit, before anything is loaded, and says why. Let us break one: the config
# promises a wider MLP than the file holds.

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

# %% [markdown] id="a-matrix-the-other-way-round"
# ### A matrix the other way round
# Names and shapes do not protect you from everything. GPT-2 keeps queries, keys and values in *one* matrix, and it multiplies
# from the other side:
#
# $$\text{GPT-2:}\quad x\,W + b,\quad W\ (C, 3C) \qquad\qquad \texttt{nn.Linear:}\quad x\,W^\top + b,\quad W\ (\text{out}, \text{in})$$
#
# By hand, with C = 1: W = (2, 5, 7) holds the query's number, the key's and the value's. x = 3 gives 6, 15 and 21. With
# C = 1 there is nothing to turn; from C = 2 on each third is a square, and a square fits both ways round.

# %% id="separate-checkpoint-separate-fused-torch-tensor"
separate = checkpoint.separate_fused(torch.tensor([[2.0, 5.0, 7.0]]), torch.zeros(3))
for name in ("q_proj", "k_proj", "v_proj"):
    print(name, (torch.tensor([3.0]) @ separate[f"{name}.weight"].T).tolist())

# %% [markdown] id="build-it-6"
# ### Build it


# %% id="transformer.fused"
@exercise("transformer.fused")
def separate_fused(weight, bias):
    """Return GPT-2's fused weight and bias as those of q_proj, k_proj and v_proj."""
    ...


# %% id="reveal-transformer-fused"
reveal("transformer.fused")

# %% [markdown] id="the-attention-of-a-random-gpt"
# The attention of a random GPT-2, computed by the attention that you built in notebook [Attention](05_attention.ipynb). Once with the thirds turned over, once
# without: both load, and one is wrong.

# %% id="gpt2-stirred-configs-gpt2"
from course_lib.attention import MultiHeadAttention

gpt2 = stirred(configs["gpt2"])
fused = gpt2.blocks[0].attn
separate = checkpoint.separate_fused(fused.c_attn.weight, fused.c_attn.bias)
separate |= {"o_proj.weight": fused.c_proj.weight.T, "o_proj.bias": fused.c_proj.bias}
careless = {name: t.T if t.dim() == 2 else t for name, t in separate.items()}
x = torch.randn(1, 5, 48, generator=seeded(3))
for name, weights in (("turned over", separate), ("as they lie", careless)):
    plain = MultiHeadAttention(48, 6, qkv_bias=True, output_bias=True)
    print(f"{name}: {plain.load_state_dict(weights)}", end=" ")
    print(
        "equal to GPT-2:",
        torch.allclose(plain(x, mask[:5, :5])[0], fused(x, mask[:5, :5])[0], atol=1e-4),
    )

# %% [markdown] id="there-and-back"
# ### There and back
# The course model, written to a folder by us, read by `transformers`, written by `transformers`, read by us. Every bit must come
# back.

# %% id="with-tempfile-temporarydirectory-as-first-tempfi"
with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
    checkpoint.save_model(decoder, first)
    theirs = AutoModelForCausalLM.from_pretrained(first, attn_implementation="eager").eval()
    theirs.save_pretrained(second)
    again = checkpoint.load_model(second)
    kept = {
        name: torch.equal(t, again.state_dict()[name]) for name, t in decoder.state_dict().items()
    }
print(f"all tensors equal bit for bit: {all(kept.values())}")
texts = [greedy(each, ids[0], 32) for each in (decoder, theirs, again)]
print("the same 32 tokens:", texts[0] == texts[1] == texts[2])

# %% [markdown] id="with-a-network-the-same-line"
# With a network the same line opens the real ones. On a machine of your own, try
#
# ```python
# qwen = checkpoint.load_model("Qwen/Qwen3-0.6B", dtype=torch.bfloat16, download=True)
# words = checkpoint.load_tokenizer("Qwen/Qwen3-0.6B", download=True)
# ```
#
# and give it the text of the next section. Without `download=True` nothing here ever asks the network.

# %% [markdown] id="7-writing"
# ## 7 · Writing
#
# The model scores what comes next. To write, take the likeliest token, put it behind the text, and ask again. That is the
# *greedy* loop; notebook [Generation](12_generation.ipynb) is about better ones.
#
# By hand, with a "model" that always scores the successor highest, in a ring of five tokens: behind 4, 1 comes 2, then 3, then 4,
# then 0. If 3 is the stop token, the text is 2, 3.


# %% id="successor"
def successor(ids):
    return nn.functional.one_hot((ids + 1) % 5, 5).float()


print(model.greedy_continuation(successor, torch.tensor([4, 1]), 4))
print(model.greedy_continuation(successor, torch.tensor([4, 1]), 4, stop=3))

# %% [markdown] id="build-it-7"
# ### Build it


# %% id="transformer.greedy"
@exercise("transformer.greedy")
def greedy_continuation(logits_of, ids, new_tokens, stop=None):
    """Return the ids that follow when the likeliest token is taken each time."""
    ...


# %% id="reveal-transformer-greedy"
reveal("transformer.greedy")

# %% [markdown] id="what-does-the-course-model-write"
# What does the course model write? It is small and has read a few megabytes of Python, so it knows how Python looks and not what it
# means. Greedy text likes to run in circles, the more so the smaller the model.

# %% tags=["nbval-ignore-output"] id="prompt-class-stack-n-def-init"
prompt = "class Stack:\n    def __init__(self):\n"
prompt_ids = torch.tensor(tokenizer.encode(prompt))
print(prompt + tokenizer.decode(greedy(decoder, prompt_ids, 40)))

# %% [markdown] id="the-loop-passes-the-whole-text"
# The loop passes the whole text through the model for every token. With the cache of notebook [Attention](05_attention.ipynb) only the new one goes in, and the
# text must be the same to the token:

# %% id="cache-decoder-make-cache-batch-1"
cache = decoder.make_cache(batch=1, capacity=len(prompt_ids) + 40)
new, written = prompt_ids[None], []
with torch.no_grad():
    for _ in range(40):
        new = decoder(new, cache=cache, last_only=True).logits[:, -1].argmax(-1, keepdim=True)
        written.append(int(new))
print("the same 40 tokens with a cache:", written == greedy(decoder, prompt_ids, 40))
tokens_in = sum(len(prompt_ids) + step for step in range(40))
print(f"through the model: {tokens_in} tokens without a cache, {len(prompt_ids) + 39} with it")

# %% [markdown] id="8-when-the-two-do-not"
# ## 8 · When the two do not agree
#
# You have written a model after a paper, loaded real weights, nothing complained, and the text is bad. Somewhere there is a
# slip. Comparing the outputs tells you that there is one; comparing the streams after each layer tells you where it *begins*,
# but everything behind it looks wrong too.
#
# There is a better way: give each of your modules the very input that its namesake in the reference got.
#
# - **own**: how far a module is off on the *reference's* input. That is the fault itself.
# - **so far**: how far it is off when both models run by themselves. That is the fault and all that came before.
#
# A module that is off by itself, while everything inside it is right, is where to look.
#
# > **Predict.** The gate and the up matrix of the last layer's MLP are exchanged. Which modules are off so far? Which are off by
# > themselves?

# %% id="found-report-gate-and-up-exchanged"
from course_lib.chapters.transformer.planted_faults import FAULTS, report

found = report("gate and up exchanged in layer 2")
print(f"{'':40} own    so far")
for row in found.rows:
    if (
        row.name.startswith(("model.layers.2", "model.norm", "lm_head"))
        and "_attn." not in row.name
    ):
        own, so_far = (
            "" if size is None else "off" if size > found.tolerance else "right"
            for size in (row.isolated, row.accumulated)
        )
        print(f"{row.name:40} {own:6} {so_far}")

# %% [markdown] id="the-norm-and-the-head-behind"
# The norm and the head after it are off so far, and right by themselves; so is `down_proj`. Layer 2 and its MLP are off by
# themselves, but only because of the two matrices inside: those are what the report names. Do the same for every
# fault in the list, each of which people have really made:

# %% id="for-fault-in-faults"
for fault in FAULTS:
    found = ", ".join(report(fault).faults).replace("model.", "") or "nowhere"
    print(f"{fault:51} -> {found}")

# %% [markdown] id="play-with-it"
# ### Play with it
# Choose a fault. Filled dots are *own*, rings are *so far*; the dotted line is what counts as equal. Watch the rings: they move to
# the right at the fault and stay there.

# %% id="explorers-transformer-fault-kind-residual-from"
explorers.transformer.fault(kind="residual from the normalised input in layer 1")

# %% [markdown] id="to-use-it-for-your-own"
# To use it for your own model: `find_divergence(ours, theirs, ids)` from `course_lib.chapters.transformer.layer_diff`, where `theirs` is a
# model of `transformers`.

# %% [markdown] id="9-looking-inside"
# ## 9 · Looking inside
#
# Blocks only add. So the stream behind the last block is a *sum*: the embedding, and what each attention and each MLP has
# written.

# %% id="written-inspection-stream-parts-decoder-ids"
written = inspection.stream_parts(decoder, ids)
last = inspection.residual_stream(decoder, ids)[-1]
print("parts:", len(written), "= 1 embedding + 2 for each of", len(decoder.blocks), "layers")
print("their sum is the stream:", torch.allclose(written.sum(0), last, atol=1e-2))

# %% [markdown] id="and-since-the-last-norm-and"
# And since the last norm and the head can be applied to *any* vector of that size, you can ask the model for its answer between
# any two layers. That is the **logit lens** (nostalgebraist 2020).
#
# $$\operatorname{lens}_l = \operatorname{norm}(x_l)\,\text{head}^\top$$
#
# > **Predict.** What does the lens say at the very bottom, about a bare embedding, in a model whose head *is* the table?

# %% id="reveal-inspection-logit-lens"
reveal(inspection.logit_lens)

# %% [markdown] id="play-with-it-2"
# ### Play with it
# Type any text. On the left is how long the vectors are; on the right what the model would answer if it ended at each layer. Bold
# is what stays until the end; in the last layer that is everything.

# %% tags=["nbval-ignore-output"] id="explorers-transformer-inside-text-def-add"
explorers.transformer.inside(text="def add(a, b):\n    return a")

# %% [markdown] id="at-the-bottom-every-token-predicts"
# At the bottom every token "predicts" itself: an embedding is most similar to its own row. The layers above have to push that
# away and write something else. Common continuations are often there early; rarer ones show up late.
#
# Be careful with this picture. The lens reads middle layers with the last layer's eyes. An answer that is not at the top may be
# there in another form.

# %% [markdown] id="what-each-head-writes"
# ### What each head writes
# One step further down: attention itself is a sum over its heads. The heads' results lie side by side, H·D numbers for each
# token, and the output weight (C, H·D) mixes them. A matrix times numbers side by side is a sum of parts, so head h alone
# writes
#
# $$\text{heads}_h\; W_o[:,\; hD : (h+1)D]^\top$$
#
# By hand: two heads of width 1 have read 2 and 3, and the output weight has the rows (1, 10) and (100, 1000). The first head
# writes (2, 200), the second (30, 3000). Together they are (32, 3200), which is what the layer adds.

# %% id="heads-torch-tensor-2-0-3"
heads = torch.tensor([[[[2.0]], [[3.0]]]])  # (B, H, T, D)
output = torch.tensor([[1.0, 10.0], [100.0, 1000.0]])
print("each head:", inspection.head_contributions(heads, output)[:, 0, 0].tolist())

# %% [markdown] id="build-it-8"
# ### Build it


# %% id="transformer.contributions"
@exercise("transformer.contributions")
def head_contributions(heads, output):
    """Return what each head alone adds to the stream, (H, B, T, C)."""
    ...


# %% id="reveal-transformer-contributions"
reveal("transformer.contributions")

# %% [markdown] id="take-one-away"
# ### Take one away
# Because a head's part is only added, it can be left out. What the loss does then says what the head was good for: on *these*
# texts, with all others in place (Michel et al. 2019). Here its part becomes 0. That is a rough way, since the layers behind it have
# never met a stream without this part; some put its mean over many texts there instead.
#
# Two kinds of text. **Repeats**: random ids, over and over, with a period of 16. From the second round on every token can be
# known, but only by looking back. **Text**: documentation that the model has not been trained on.
#
# > **Predict.** On which of the two will single heads be missed more?

# %% tags=["nbval-ignore-output"] id="rises-what-explorers-transformer-rises-what"
rises = {what: explorers.transformer.rises(what) for what in ("repeats", "text")}
show(figures.transformer.head_effects(rises))


# %% [markdown] id="who-are-the-heads-that-are"
# On repeats: there everything hangs on a few heads, while most could go. On text the loss rises less, by more heads.
#
# Some of these numbers are larger than ln 2048 = 7.6 nats, the loss of a model that gives all its 2048 tokens the same probability.
# A model that has lost the thread does not shrug. It expects Python, is sure of it, and gets random ids.
#
# Who are the heads that are missed on repeats? Notebook [Attention](05_attention.ipynb) has given names to two kinds: the *previous-token* head looks one token
# back, and the *induction* head looks for what followed last time.

# %% tags=["nbval-ignore-output"] id="repeats-explorers-transformer-texts-repeats-0"
from course_lib.attention import induction_score, previous_token_score

repeats = explorers.transformer.texts("repeats")[0]
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
# Find both in the picture above. Repeating takes one of each, in this order: the first moves "what came before me" up one token, the
# second searches for it. A head of layer 0 that is missed on both kinds of text does something that every layer behind it builds on.
# Where the loss rises only a little without one of them, other heads of its layer do the same work; the last
# section comes back to that.
#
# Single heads are one view; whole parts are another. How much is the attention of each layer missed, and how much its MLP?


# %% tags=["nbval-ignore-output"] id="without-part"
def without_part(what, part):
    ids, counted = explorers.transformer.texts(what)
    whole = inspection.mean_loss(decoder, ids, counted)
    layers = range(len(decoder.blocks))
    poorer = [inspection.without_layer(decoder, layer, (part,)) for layer in layers]
    return torch.stack([inspection.mean_loss(each, ids, counted) for each in poorer]) - whole


effects = {w: {p: without_part(w, p) for p in inspection.PARTS} for w in ("repeats", "text")}
show(figures.transformer.part_effects(effects))

# %% [markdown] id="play-with-it-3"
# Repeats live on attention: take a layer's attention away and they may be lost altogether, since finding the earlier
# occurrence takes at least two layers in a row (notebook [Attention](05_attention.ipynb)). Text is hurt less: much of it can be guessed without looking back
# far.
#
# ### Play with it
# Take away a head, the attention or the MLP of a layer, or a whole layer. On the right is the loss along the text. On repeats the
# first round is grey: nothing can be known there. The dotted line is the loss of a model that gives all tokens the same probability.

# %% tags=["nbval-ignore-output"] id="explorers-transformer-ablate-what-repeats-part"
layer, head = divmod(int(rises["repeats"].argmax()), decoder.config.num_attention_heads)
explorers.transformer.ablate(what="repeats", part="one head", layer=layer, head=head)

# %% [markdown] id="10-three-families"
# ## 10 · Three families
#
# The same parts make other models too. What distinguishes them is *who reads whom* and *what is predicted*:
#
# | family | who reads whom | what is predicted | known by |
# |---|---|---|---|
# | encoder-only | everybody reads everybody | tokens that were hidden | BERT |
# | encoder-decoder | the source itself, both ways; the target causally, and all of the source | the target | the Transformer of 2017, T5 |
# | decoder-only | everybody reads what came before | every next token | GPT-2, Qwen3 |
#
# By hand: a source of 2 and a target of 1. In an encoder-decoder the source reads 2 · 2 pairs, the target token reads the source,
# 2, and itself, 1: **7** of 9 pairs. In a decoder-only model they are 1 + 2 + 3 = **6**.

# %% id="for-family-in-encoder-only-encoder"
for family in ("encoder-only", "encoder-decoder", "decoder-only"):
    pairs = families.family_mask(family, source=2, target=1)
    print(f"{family:16} {int(pairs.sum())} pairs {pairs.int().tolist()}")

# %% [markdown] id="build-it-9"
# ### Build it


# %% id="transformer.family_mask"
@exercise("transformer.family_mask")
def family_mask(family, source, target):
    """Return who reads whom among a source and, behind it, a target: row reads column."""
    ...


# %% id="reveal-transformer-family-mask"
reveal("transformer.family_mask")

# %% [markdown] id="play-with-it-4"
# ### Play with it

# %% id="explorers-transformer-families-kind-encoder-deco"
explorers.transformer.families(kind="encoder-decoder", source=4, target=4)

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# A mask is a claim about a model. Test it on models: change one token, and see whose output moves.


# %% id="moved"
def moved(run, text):
    before, columns = run(text), []
    for place in range(text.shape[1]):
        changed = text.clone()
        changed[0, place] = 99
        columns.append((run(changed) - before).abs().amax(-1)[0] > 1e-6)
    return torch.stack(columns, dim=1)


# %% id="shape-families-familyconfig-101-48-72"
shape = families.FamilyConfig(101, 48, 72, 2, 6)
encoder, both = families.EncoderOnly(shape).eval(), families.EncoderDecoder(shape).eval()
random_decoder, text = stirred(config), torch.arange(5)[None]
read = {
    "encoder-only": lambda t: encoder.encode(t),
    "decoder-only": lambda t: inspection.residual_stream(random_decoder, t)[-1],
}
with torch.no_grad():
    for family, run in read.items():
        expected = families.family_mask(family, 2, 3)
        print(f"{family:16} reads as its mask says:", torch.equal(moved(run, text), expected))
    target_rows = moved(lambda t: both(t[:, :2], t[:, 2:]), text)
    expected = families.family_mask("encoder-decoder", 2, 3)[2:]
    print("encoder-decoder  reads as its mask says:", torch.equal(target_rows, expected))

# %% [markdown] id="and-the-encoder-itself-is-bert"
# And the encoder itself is BERT, number for number. Its parts have other names in `transformers`; the library's `bert_name`
# translates them.

# %% id="words"
from transformers import BertConfig, BertForMaskedLM

words = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
}
bert = BertForMaskedLM(BertConfig(**words, attn_implementation="eager")).eval()

# %% id="given-bert-state-dict"
given = bert.state_dict()
renamed = {}
for name, slot in encoder.state_dict().items():
    theirs_name = checkpoint.bert_name(name)
    turned = slot.shape != given[theirs_name].shape  # InOutLinear multiplies from the other side
    renamed[name] = given[theirs_name].T if turned else given[theirs_name]
print(encoder.load_state_dict(renamed, strict=True))
with torch.no_grad():
    apart = (encoder(text) - bert(text).logits).abs().max()
print("largest difference < 1e-5:", (apart < 1e-5).item())

# %% [markdown] id="which-one-for-what"
# ### Which one for what?
#
# | task | why | family |
# |---|---|---|
# | sort texts, find similar ones, mark words | nothing is written; every token may know the whole text | encoder-only |
# | translate, summarise: one text in, another out | the source is read once, in both directions | encoder-decoder |
# | chat, code, anything new | every task is a text that goes on | decoder-only |
#
# All three can be bent to the others' tasks. Yet nearly all large models today are decoder-only. Two reasons can be counted.
#
# **Every token is a lesson.** A decoder predicts each next token of any text. An encoder learns only where something was
# hidden, and what is hidden cannot be read: hide more, and there is less to learn it from. BERT hides 15 of 100 tokens.

# %% tags=["nbval-ignore-output"] id="ids-of-text-torch-randint-5"
ids_of_text = torch.randint(5, 101, (50, 100), generator=seeded(4))
hidden = families.hide_tokens(ids_of_text, mask_id=4, vocab_size=101, generator=seeded(5))
print("tokens:                 ", ids_of_text.numel())
print("decoder-only predicts:  ", ids_of_text[:, 1:].numel())
print("encoder-only predicts:  ", int(hidden.chosen.sum()))

# %% [markdown] id="what-has-been-read-stays-read"
# **What has been read stays read.** Add one token to a text. How many of the vectors that were there must be computed again?

# %% id="longer-torch-cat-some-1-torch"
longer = torch.cat((some[:1], torch.tensor([[7]])), dim=1)
with torch.no_grad():
    for name, run in read.items():
        changed = (run(longer)[:, :-1] - run(some[:1])).abs().amax(-1) > 1e-4  # not by rounding
        print(f"{name}: {int(changed.sum())} of {changed.numel()} vectors change")

# %% [markdown] id="in-a-decoder-none-which-is"
# In a decoder none, which is why keys and values can be kept while text is written. The third reason is no number: a model
# that continues texts needs no new head for a new task; it is asked.

# %% [markdown] id="11-claims-that-are-wrong"
# ## 11 · Claims that are wrong
#
# > *"The text is fine, so the weights are loaded right."*
#
# Double the base of RoPE, a slip that no loading notices, and measure:

# %% tags=["nbval-ignore-output"] id="wrong-checkpoint-load-model-folder-dtype"
wrong = checkpoint.load_model(FOLDER, dtype=torch.float32)
base = decoder.config.rope_parameters["rope_theta"]
doubled = {"rope_type": "default", "rope_theta": 2 * base}
wrong.config = replace(wrong.config, rope_parameters=doubled)
held_out, counted = explorers.transformer.texts("text")
for name, each in ((f"base {base:g}", decoder), (f"base {2 * base:g}", wrong)):
    print(f"{name:11} loss on text {inspection.mean_loss(each, held_out, counted):.2f} nats")

# %% tags=["nbval-ignore-output"] id="print-first-8-greedy-tokens-agree"
texts = [tokenizer.decode(greedy(each, prompt_ids, 20)) for each in (decoder, wrong)]
print("the same text of 20 tokens:", texts[0] == texts[1])
ids_of_text = tokenizer.encode(corpus.held_out_text(20_000))[: 4 * 256]
with torch.no_grad():
    right, off = (each(torch.tensor(ids_of_text).view(4, 256)).logits for each in (decoder, wrong))
apart = kl_divergence(right.softmax(-1), off.softmax(-1), math.e).mean(0)  # (T,)
for first in range(0, 256, 64):
    print(f"tokens {first:3} to {first + 63:3}: {apart[first : first + 64].mean():.3f} nats apart")

# %% [markdown] id="on-a-short-text-the-loss"
# On a short text the loss moves by little, and what is written may be the same to the token. Yet it is another model: the two
# distributions (their KL divergence, notebook [Language models](02_language_models.ipynb)) are apart from the start, and further apart where there is more to look back on.
# Compare logits, not impressions.
#
# > *"Padding is masked, so it cannot matter where it stands."*
#
# With learned positions it does. A random GPT-2, a text of 4
# tokens, three padding tokens in front of it:

# %% id="alone-gpt2-some-1-4-logits"
alone = gpt2(some[:1, :4]).logits
padded = torch.cat((torch.zeros(1, 3, dtype=torch.long), some[:1, :4]), dim=1)
real = torch.tensor([[False] * 3 + [True] * 4])
counted_from_0 = model.token_positions(real, 7)
for name, positions in (("0 to 6", None), ("from the first real token", counted_from_0)):
    logits = gpt2(padded, real, positions=positions).logits[:, 3:]
    print(f"positions {name}: as without padding:", torch.allclose(logits, alone, atol=1e-4))

# %% [markdown] id="tying-the-head-makes-the-model"
# > *"Tying the head makes the model cheaper to run."*
#
# It makes it *smaller*. The multiplication with the head is the same:

# %% id="for-tied-in-true-false"
from torch.utils.flop_counter import FlopCounterMode

for tied in (True, False):
    example = build_model(replace(config, tie_word_embeddings=tied))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        example(some)
    numbers = sum(weight.numel() for weight in example.parameters())
    print(f"tied {tied!s:5} parameters {numbers:6}  FLOPs {counter.get_total_flops()}")

# %% [markdown] id="a-head-that-can-be-taken"
# > *"A head that can be taken away without harm does nothing."*
#
# Take the heads of one layer away one by one and add up what that
# costs; then take all of them at once.

# %% tags=["nbval-ignore-output"] id="ids-repeats-known-explorers-transformer-texts"
ids_repeats, known = explorers.transformer.texts("repeats")
usual = inspection.mean_loss(decoder, ids_repeats, known)
for layer in range(len(decoder.blocks)):
    poorer = inspection.without_layer(decoder, layer, ("attention",))
    together = inspection.mean_loss(poorer, ids_repeats, known) - usual
    singly = rises["repeats"][layer]
    print(
        f"layer {layer}: singly {rounded(singly, 2)}, sum {singly.sum():.2f}, at once {together:.2f}"
    )

# %% [markdown] id="where-the-last-number-is-far"
# Where the last number is far above the sum, the heads stand in for each other: each can go as long as the others stay.

# %% [markdown] id="12-recap"
# ## Recap
#
# 1. A block adds twice: `x + attention(norm(x))`, then `x + mlp(norm(x))`. The stream itself is never normalised, until once at
#    the end.
# 2. One class is six families; what distinguishes them are a few fields of a config.
# 3. Strict loading checks names and shapes. It cannot see a turned square, exchanged matrices, an eps or a base.
# 4. To find a fault, give each module the reference's input. What is off by itself is at fault; what is off so far only suffers.
# 5. The stream is a sum. So it can be read early, and a head or a layer can be left out of it.
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
# - Elhage et al. 2021, *A mathematical framework for transformer circuits*
# - Qwen team 2025, *Qwen3 technical report*, arXiv:2505.09388
#
# **Next:** [Counting parameters](09_parameter_counting.ipynb). The model is built. What does it weigh, what does it cost, and will it fit?
