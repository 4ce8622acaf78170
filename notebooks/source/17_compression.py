# %% [markdown] id="17-compression"
# # 17 · Compression
#
# **How small can a model be, and what is lost?**
#
# Generating a token means reading every weight once. Fewer bits per weight are fewer bytes to read, and a model that fits where
# it did not fit before. In this notebook you build the ways to get there: integers with scales, tables of numbers, rounding that
# knows what a layer reads, pruning, training through rounding, and a small model that learns from a large one. Everything is
# measured on the course's own model in bits per byte of text that it has never seen.
#
# After this notebook you can
# - quantise weights by absmax, with a zero point, in groups and by a table, and count the bits with their scales;
# - explain outliers, SmoothQuant, GPTQ's column step and AWQ, and say what each of them measures;
# - prune by Wanda and two of four, train through rounding, distil, and judge what is faster and what is only smaller.
#
# About 160 minutes. You need notebooks [The whole transformer](08_transformer.ipynb),
# [Training](11_training.ipynb) and [Generation](12_generation.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/17_compression.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/17_compression.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/17_compression.ipynb).

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

import torch

import course_lib
from course_lib import compression
from course_lib.chapters.compression import figures
from course_lib.chapters.compression import measurements as stored
from course_lib.compression import Scheme
from course_lib.device import default_device, seeded, synchronize
from course_lib.pretrained import course_model, course_tokenizer
from course_lib.study import exercise, explorers, hint, quiz, reveal, show

device = default_device()
model = copy.deepcopy(course_model()).to(device).use_kernels()
measured = stored.stored_measurements()
weight = model.get_parameter("model.layers.1.mlp.up_proj.weight").detach()  # (640, 256)

# %% [markdown] id="1-numbers-with-few-bits"
# ## 1 · Numbers with few bits
#
# A floating-point number has a sign, an exponent and a mantissa. Fewer bits mean fewer numbers: bfloat16 keeps float32's range and
# gives up precision, FP8 gives up both. `E4M3` means 4 bits of exponent and 3 of mantissa. Integers are evenly spaced instead.
#
# > **Predict.** FP4 (`E2M1`) has 4 bits. How many different numbers can it hold, and is 2.5 one of them?

# %% id="print-not-negative-compression-format-values"
print("not negative:", compression.format_values("E2M1").tolist())
for name in ("float16", "bfloat16", "E4M3", "E5M2"):
    rounded_pi = compression.round_to_format(torch.tensor(3.14159265), name)
    print(
        f"{name:9} π is {rounded_pi.item():<9.6g} largest {compression.FORMATS[name].largest:.3g}"
    )
x = torch.randn(10_000, generator=seeded(0))
for name, kind in (("E4M3", torch.float8_e4m3fn), ("bfloat16", torch.bfloat16)):
    ours, cast = compression.round_to_format(x, name), x.to(kind).float()
    print(f"{name:9} our rounding is torch's cast:", torch.equal(ours, cast))

# %% [markdown] id="two-4-bit-halves-of-a"
# FP4 has 15 numbers: the eight above, seven negative ones, and a second code for 0. 2.5 lies between 2 and 3. (That float16 and
# bfloat16 agree on π is chance: float16 has eight times as many numbers there.) Our function follows from the definition of a
# format; rounding of this kind is what a processor does when it casts.
#
# Below, each format is scaled so that its largest number is 1. The numbers of FP4, FP8 and NF4 (section 3) are densest around 0,
# where most weights are. Move the number.

# %% id="explorers-compression-formats"
explorers.compression.formats()

# %% [markdown] id="2-integers-and-a-scale"
# ## 2 · Integers and a scale
#
# Weights are small real numbers, integers are not. So each row of a matrix gets a **scale**: a weight is an integer times the
# scale. With **absmax** the scale is chosen so that the largest magnitude gets the largest integer:
#
# $$\text{scale} = \frac{\max_j |x_j|}{2^{b-1} - 1} \qquad c_j = \operatorname{round}(x_j / \text{scale}) \qquad x_j \approx c_j \cdot \text{scale}$$
#
# By hand, with 4 bits: the row (7, −3, 1.2) has the scale 7 / 7 = 1 and the codes 7, −3, 1. The error of a weight is at most half a
# scale, so **the largest weight of a row decides the error of all others**.
#
# ### Build it
#
# `x` has any number of axes; the last one is a row, (..., I). `bits` is from 2 to 8. Return `codes`, in the shape of `x`, and
# `scale`, (..., 1), as a pair. A code is x / scale rounded as `torch.round` does (halves go to the even neighbour). A row of
# zeros has the scale 1.
#
# Stuck? Put `hint()` in a new cell. The course's own function is below each exercise.


# %% id="compression.absmax"
@exercise("compression.absmax")
def absmax_quantise(x, bits):
    """Return the codes of each row, and its scale."""
    ...


# %% id="reveal-compression-absmax"
reveal("compression.absmax")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
#
# Torch has the round trip as one function, meant for training. It multiplies by 1 / scale instead of dividing, so numbers that
# are almost exactly between two codes may go the other way. The error in the last line is the length of the difference (the root
# of its sum of squares), divided by the length of the original:

# %% id="codes-scale-compression-absmax-quantise-weight"
codes, scale = compression.absmax_quantise(weight, 8)
ours = compression.dequantise(codes, scale)
theirs = torch.stack([
    torch.fake_quantize_per_tensor_affine(row, s.item(), 0, -127, 127)
    for row, s in zip(weight, scale, strict=True)
])  # fmt: skip
share = ((ours - theirs).abs() > 1e-6).double().mean().item()
print("weights that differ, less than one in a thousand:", share < 1e-3)
print(f"error of the whole matrix: {compression.relative_error(weight, ours):.2%}")

# %% [markdown] id="a-zero-point"
# ### A zero point
#
# Absmax spends half of its codes on negative numbers. What is never negative, such as the output of a ReLU, uses half of them. A
# **zero point** moves the range: codes from 0 to $2^b - 1$, and the code `zero` stands for 0. It is important that 0 is exactly
# a code, since padding, ReLU and pruning make many zeros.
#
# $$\text{scale} = \frac{\text{high} - \text{low}}{2^b - 1} \qquad \text{zero} = \operatorname{round}(-\text{low} / \text{scale}) \qquad c = \operatorname{round}(x / \text{scale}) + \text{zero}$$
#
# By hand, with 2 bits: (−1, 0, 2) has low −1 and high 2, the scale 3 / 3 = 1, the zero point 1, and the codes 0, 1, 3.
#
# ### Build it
#
# `x` is (..., I) again. `low` is the smallest number of a row **or 0**, whichever is smaller; `high` is the largest **or 0**,
# whichever is larger. The scale is 1 for a row of zeros. Codes are clamped to 0 … 2^bits − 1, and rounding is `torch.round`'s.
# Return codes (..., I), scales (..., 1) and zero points (..., 1).


# %% id="compression.zero_point"
@exercise("compression.zero_point")
def zero_point_quantise(x, bits):
    """Return the codes, the scale and the zero point of each row."""
    ...


# %% id="reveal-compression-zero-point"
reveal("compression.zero_point")

# %% id="positive-torch-rand-1-4096-generator"
positive = torch.rand(1, 4096, generator=seeded(1)) + 0.5  # from 0.5 to 1.5
symmetric = compression.dequantise(*compression.absmax_quantise(positive, 4))
shifted = compression.dequantise(*compression.zero_point_quantise(positive, 4))
print(f"absmax:     error {compression.relative_error(positive, symmetric):.2%}")
print(f"zero point: error {compression.relative_error(positive, shifted):.2%}")

# %% [markdown] id="one-outlier-and-groups"
# ### One outlier, and groups
#
# > **Predict.** One weight of 163 840 becomes fifty times as large as the largest other one. All share one 8-bit scale. How
# > many times larger does the error of the *others* become?
#
# `Scheme(bits, group)` says how a matrix is stored. `group` says which weights share a scale: the whole `"tensor"`, a
# `"channel"` (a row, as above), or a number of neighbours in a row.

# %% id="outlier-weight-clone"
outlier = weight.clone()
outlier[0, 0] = 50 * weight.abs().max()
others = torch.ones_like(weight, dtype=torch.bool)
others[0, 0] = False
for group in ("tensor", "channel", 64):
    scheme = Scheme(8, group)
    before, after = (
        compression.relative_error(w[others], compression.quantise(w, scheme).dequantised()[others])
        for w in (weight, outlier)
    )
    print(
        f"{group!s:8} error {before:.2%}, with the outlier {after:.2%}: {after / before:.1f} times"
    )

# %% [markdown] id="build-it"
# With one scale the others are hit by nearly the full factor of fifty. With a scale for each row, only one row of 640 is. A
# scale that is shared by few weights limits the damage. That is the idea of **groups**: 64 neighbours of a row, or 32, share a
# scale. Scales are stored too, so the price is
#
# $$\text{bits per weight} = b + \frac{\text{bits of a scale}}{\text{group}}$$
#
# By hand: 4-bit codes and a 16-bit scale for each 64 weights are 4 + 16/64 = 4.25 bits per weight; for each 32, 4.5. A zero
# point takes another 8 bits.
#
# ### Build it
#
# Cut each row of `weight` (O, I) into groups of `group` neighbours; `group` divides I. Quantise each group by absmax to `bits`
# bits, and return the weights (O, I) that the codes stand for: code · scale. A group of zeros stays zero.


# %% id="compression.groups"
@exercise("compression.groups")
def group_round_trip(weight, bits, group):
    """Return the weights after quantising each group by absmax."""
    ...


# %% id="reveal-compression-groups"
reveal("compression.groups")

# %% [markdown] id="play-with-it"
# ### Play with it
#
# On the left is a row of the course model with 256 weights, and the row after rounding. On the right is how many bits the
# **whole model** needs for a byte of text if all its linear layers are rounded like this; grey lines are the other group sizes,
# and the top one is one scale for each matrix. (Stored, on 4 000 characters of held-out text. Other cells use more or less text,
# so compare a number only with the float32 number next to it.) Find the number of bits below which the group size matters.

# %% id="explorers-compression-groups"
explorers.compression.groups()

# %% [markdown] id="3-a-table-instead-of-steps"
# ## 3 · A table instead of steps
#
# Weights are not spread evenly: most are near 0. **NF4** has sixteen numbers at the quantiles of a normal distribution, chosen
# so that each is used about equally often. A block of 64 weights is divided by its largest magnitude; what is stored is the
# index of the nearest number.
#
# By hand, with the table (−1, −0.3, 0, 0.2, 1): the row (10, −4, 1.9) has the absmax 10. Divided, it is (1, −0.4, 0.19). The
# nearest entries are 1, −0.3 and 0.2: the indices 4, 1, 3.
#
# ### Build it
#
# `x` is (..., I); `table` holds ascending numbers from −1 to 1. Divide each row by its absmax, the largest magnitude. Return the
# **index** of the nearest entry for each number, in the shape of `x`, and the absmax (..., 1). A row of zeros has the absmax 0
# and the index of the entry nearest to 0. No number is exactly in the middle between two entries.


# %% id="compression.table"
@exercise("compression.table")
def table_quantise(x, table):
    """Return the index of the nearest entry for each number, and the absmax of each row."""
    ...


# %% id="reveal-compression-table"
reveal("compression.table")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
#
# bitsandbytes is the library from which NF4 comes. It is not needed here: `pip install bitsandbytes gguf "llm-insides[export]"`,
# then `python -m course_lib.chapters.compression.measurements references`, repeats this stored comparison. (The other rows come
# later.)

# %% id="for-row-in-measured-references"
for row in measured["references"]:
    print(f"{row['what']:32} {row['package']:13} {row['numbers']:7} numbers, equal: {row['equal']}")
blocks = weight.unflatten(1, (-1, 64))
codes, absmax = compression.nf4_quantise(blocks)
print("codes in use:", codes.unique().numel(), "- most and least often, in percent:",
      [round(100 * n / codes.numel(), 1) for n in (codes.flatten().bincount().max().item(),
                                                   codes.flatten().bincount().min().item())])  # fmt: skip
for scheme in (Scheme(4, 64, "nf4"), Scheme(4, 64)):
    error = compression.relative_error(weight, compression.quantise(weight, scheme).dequantised())
    print(f"{scheme!s:14} {scheme.bits_per_weight(640, 256):.2f} bits, error {error:.2%}")

# %% [markdown] id="4-a-whole-model-in-few"
# Equally often would be 6.25 %. A block is divided by its largest weight, not by its standard deviation, and this moves most
# weights towards the middle of the table; so the entries near 0 are used most. NF4 takes 4.5 bits, since its absmax is stored in
# 32 bits.
#
# ## 4 · A whole model in few bits
#
# Memory is counted in bytes, so two 4-bit codes share one, and eight 3-bit codes share three. Packed codes have no sign: 8 is
# added to 4-bit codes, and the first code of a pair is in the high half of its byte. `QuantisedLinear` keeps the packed codes
# and the scales as buffers, and unpacks them in each forward pass. Norms stay as they are, and so does the embedding, unless it
# is asked for.
#
# > **Predict.** 32 bits are 7.5 times 4.25. How many times smaller does the model become with all layers of its blocks packed?

# %% id="packed-compression-quantise-model-copy-deepcopy"
packed = compression.quantise_model(copy.deepcopy(model), Scheme(4, 64))
both = compression.quantise_model(copy.deepcopy(model), Scheme(4, 64), embedding=True)
layer = packed.get_submodule("model.layers.1.mlp.up_proj")
print(layer, "- bytes:", layer.stored.nbytes, "- bits per weight:", layer.stored.bits_per_weight)
print("first codes:", layer.stored.codes[0, :4].tolist(), "first byte:", layer.packed[0, 0].item())
for name, each in (("float32", model), ("blocks", packed), ("blocks and embedding", both)):
    print(f"{name:20} {compression.model_bytes(each) / 1e6:5.2f} MB, "
          f"{stored.bits(each, 2000):.2f} bits per byte of a little text")  # fmt: skip

# %% [markdown] id="4-25-bits-are-7-5"
# Only 3.7 times. What is left is the embedding: 2 048 rows that are a sixth of this model's weights, and serve as its head as well.
# In the last line it is packed, too.
#
# `save_quantised` writes safetensors with the packed tensors, and a block in config.json that says what they mean.
# `course_lib.load` reads it back, and so `course serve FOLDER` and `course chat FOLDER` take it as well:

# %% id="with-tempfile-temporarydirectory-as-folder"
import tempfile

from course_lib.compression.files import save_quantised

with tempfile.TemporaryDirectory() as folder:
    save_quantised(both, folder, course_tokenizer())
    again = course_lib.load(folder, device=device)
print(type(again.model.lm_head).__name__)
print(repr(again.generate("import os\nimport", 6)))

# %% [markdown] id="5-outliers-in-what-layers-read"
# ## 5 · Outliers in what layers read
#
# So far only weights were integers. Hardware multiplies integers faster only if **both** sides are, so the inputs are rounded
# too, with one scale for each token. In large models a few features of the residual stream are a hundred times larger than the
# rest (LLM.int8 found them from 6.7 billion parameters on). Every token has them, so every token's scale is too coarse for all
# other features.
#
# The course model is too small for that. We can plant an outlier: multiply one feature of each norm's output by 200, and divide the
# weights that read it by 200. The function stays the **same**, up to rounding in float32.

# %% id="ids-compression-calibration-rows-stored-training"
ids = compression.calibration_rows(stored.training_ids(), 8, 128).to(device)
planted = compression.plant_outlier(copy.deepcopy(model), feature=7, factor=200)
gap = (planted(ids[:1]).logits - model(ids[:1]).logits).abs().max()
print("the same logits:", bool(gap < 1e-2))
statistics = compression.calibrate(planted, ids)
most = statistics["model.layers.0.mlp.up_proj"].most
print(f"largest input {most.max():.0f}, median of the features {most.median():.1f}")

# %% [markdown] id="build-it-2"
# **SmoothQuant** moves range from the inputs to the weights, feature by feature. Where inputs are divided by $s_j$ and column j
# of the weights is multiplied by it, the product stays what it was:
#
# $$s_j = \frac{a_j^{\alpha}}{w_j^{1 - \alpha}} \qquad a_j = \max_n |x_{nj}| \qquad w_j = \max_o |w_{oj}|$$
#
# With α = 1/2 both sides end up with the same largest magnitude, $\sqrt{a_j w_j}$. By hand: inputs up to 16, weights up to 1: s =
# 4, then both go up to 4. In a model the division costs nothing, since the norm before the layer has a weight for each feature.
#
# ### Build it
#
# `x` (N, I) are inputs, `weight` (O, I) weights, `alpha` is from 0 to 1. Compute s for each feature, and 1 where $a_j$ or $w_j$
# is 0. Return the smoothed inputs `x / s` and the smoothed weights `weight · s`, as a pair.


# %% id="compression.smooth"
@exercise("compression.smooth")
def smoothed(x, weight, alpha):
    """Return inputs and weights with the same product and closer ranges."""
    ...


# %% id="reveal-compression-smooth"
reveal("compression.smooth")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
#
# Eight bits for weights and inputs, in three models: the course model, the one with the outlier, and that one smoothed.

# %% id="smooth-compression-smooth-model-copy-deepcopy"
smooth = compression.smooth_model(copy.deepcopy(planted), statistics)
for name, each in (("as it is", model), ("with outlier", planted), ("smoothed", smooth)):
    eight = compression.quantise_model(copy.deepcopy(each), Scheme(8), activation_bits=8)
    print(f"{name:12} float32 {stored.bits(each, 2000):.2f}, 8 bits on both sides "
          f"{stored.bits(eight, 2000):.2f} bits per byte")  # fmt: skip

# %% [markdown] id="6-rounding-that-knows-what-a"
# ## 6 · Rounding that knows what a layer reads
#
# The nearest code is best for each weight. But what counts is not the weights, it is the **output** of the layer. For inputs X
# (N, I), weights W (O, I) and rounded weights Q the squared error is
#
# $$\lVert X (W - Q)^\top \rVert^2 = \operatorname{tr}\left((W - Q)\, X^\top X\, (W - Q)^\top\right)$$
#
# and all that has to be known about the inputs is the small matrix $X^\top X$. It is summed up in one pass over a little text, the
# **calibration**.
#
# > **Predict.** Two inputs of a layer are always equal. Weight 1 has been rounded down by 0.1. What should happen to weight 2?
#
# ### GPTQ's column step
#
# Weight 2 should go **up** by 0.1. In general: fix column 0 at its rounded values q and choose the other columns so that the
# error is smallest. Set the derivative to 0; the solution needs one row of $H = (X^\top X)^{-1}$:
#
# $$W_{:,j} \leftarrow W_{:,j} - \frac{w_0 - q}{H_{00}} \, H_{0j} \qquad j = 1, 2, \dots$$
#
# Then round column 1, correct the rest, and so on. By hand: for two equal inputs (with a little noise) $X^\top X$ is about
# ((2, 1.9), (1.9, 2)), and $H_{01} / H_{00} = -0.95$: weight 2 takes over 95 % of what weight 1 has lost.
#
# ### Build it
#
# Column 0 of `weight` (O, I) has been replaced by `rounded` (O). `gram` (I, I) is $X^\top X$, positive definite. Return the
# **other** columns (O, I − 1), corrected by the formula above.


# %% id="compression.gptq_step"
@exercise("compression.gptq_step")
def column_step(weight, rounded, gram):
    """Return the columns after the first, corrected for its rounding."""
    ...


# %% id="reveal-compression-gptq-step"
reveal("compression.gptq_step")

# %% [markdown] id="checked-against-the-real-thing-4"
# The library computes it for all columns from one Cholesky factor (`course_lib/compression/gptq.py`), since inverting a matrix
# for each column would take too long.
#
# ### Checked against the real thing
#
# The definition by brute force: after each column, least squares for all columns that are left, from the inputs themselves.

# %% id="generator-seeded-3"
generator = seeded(3)
inputs = torch.randn(300, 10, generator=generator) @ torch.randn(10, 10, generator=generator)
small, scheme = torch.randn(4, 10, generator=generator), Scheme(3)
scales = compression.choose_scales(small, scheme)
left, target = small.double().clone(), inputs.double() @ small.double().T
for j in range(10):
    codes = compression.encode(left[:, j : j + 1], scales, scheme)
    left[:, j] = compression.decode(codes, scales, scheme)[:, 0]
    if j < 9:
        missing = target - inputs[:, : j + 1].double() @ left[:, : j + 1].T
        left[:, j + 1 :] = torch.linalg.lstsq(inputs[:, j + 1 :].double(), missing).solution.T
found = compression.gptq(small, inputs.T @ inputs, scheme, damping=0.0).dequantised()
print("largest difference below 1e-5:", bool((found - left).abs().max() < 1e-5))

# %% [markdown] id="play-with-it-2"
# ### Play with it
#
# A layer of 8 outputs and 16 inputs. To the left of the black line columns are rounded. In the middle, see how the columns to
# the right change although they are not rounded yet. On the right, the error of the outputs grows more slowly than that of plain
# rounding.

# %% id="explorers-compression-gptq"
explorers.compression.gptq()

# %% [markdown] id="awq"
# ### AWQ
#
# **AWQ** corrects nothing. It multiplies columns with large inputs by $s_j > 1$ before rounding and divides the inputs by it:
# their error becomes smaller, that of the others hardly larger. The scales are $(\text{mean}|x_j|)^\alpha$, and α is found by
# trying a grid. The errors printed here are squared, as in the formula above, and divided by the squared length of the outputs:

# %% id="statistics-compression-calibrate-model-ids"
statistics = compression.calibrate(model, ids)
name = "model.layers.0.self_attn.o_proj"
own, matrix = statistics[name], model.get_parameter(f"{name}.weight").detach()
search = compression.awq_search(matrix, own.mean, own.gram, Scheme(3))
print("best α:", search.alpha)
plain = compression.quantise(matrix, Scheme(3)).dequantised()
corrected = compression.gptq(matrix, own.gram, Scheme(3)).dequantised()
errors = [compression.output_error(matrix, plain, own.gram), min(search.errors),
          compression.output_error(matrix, corrected, own.gram)]  # fmt: skip
for method, error in zip(("nearest", "AWQ", "GPTQ"), errors, strict=True):
    print(f"{method:8} error of the outputs {error:.2%}")

# %% [markdown] id="all-methods-on-the-course-model"
# ### All methods on the course model
#
# The methods calibrate on 64 pieces of training text, and are measured on 10 000 characters of documentation that the model has
# never read. `bits` counts the bits per weight, scales included; the number in brackets is the difference from float32. `speed`
# says how many times as fast as float32 a token is generated, measured in turns: by one of torch's kernels where there is one,
# or unpacked first (section 12). It depends on the scheme, not on how its codes were found. (All of it takes minutes, so it is
# stored: `python -m course_lib.chapters.compression.measurements methods speeds` repeats it.)

# %% id="for-row-in-measured-methods-rows"
print(f"{'scheme':28} {'method':8} {'bits':>5}   {'bits per byte':14}  speed")
for row in measured["methods"]["rows"]:
    speed = measured["speeds"][row["name"]]
    if "pruned" not in row["name"]:
        print(f"{row['name']:28} {row['method']:8} {row['bits per weight']:5.2f}   "
              f"{row['bits per byte']:.3f} ({row['more']:+.3f})  "
              f"{speed['times as fast']:5.2f}, {speed['how']}")  # fmt: skip

# %% [markdown] id="eight-bits-lose-nothing-at-four"
# Eight bits lose nothing. At four bits, groups of 64 gain about as much as GPTQ does. Three bits tell the methods apart: GPTQ
# halves the loss. AWQ gains little here, and nothing in 4-bit groups, since a small model has hardly any features that are
# always large. Two bits need another idea (section 9).
#
# NF4 had the smaller error of the weights in section 3, and yet it loses more here than int4 in groups of 64. The error of the
# weights does not tell what is lost, and on one text of this length differences of a few thousandths mean little.
#
# A method is on the **front** if no other one is as small, as good and as fast at once, and better in one of the three. Size and
# quality are the axes, and the area of a dot is its speed. (A loss below 0.0003 is drawn at 0.0003. The dots at 9 and 12 bits are
# pruned models, section 8: their zeros are multiplied like all other numbers, so they are as fast as float32 and no faster.)

# %% id="show-figures-pareto-measured-methods-rows"
show(figures.pareto(measured["methods"]["rows"], measured["speeds"]))

# %% [markdown] id="which-layers-hurt-most"
# ### Which layers hurt most
#
# Not all layers are equally sensitive. Each bar is the course model with **one** layer rounded to two bits:

# %% id="show-figures-layer-bars-measured-layers"
show(figures.layer_bars(measured["layers"]))

# %% [markdown] id="7-the-cache-in-few-bits"
# Recipes for large models therefore give some layers more bits ("mixed precision"): typically the first and last blocks,
# value and down projections, and the head.
#
# ## 7 · The cache in few bits
#
# With long texts and many users the KV cache is larger than the model ([Serving](16_serving.ipynb)). Each key and value of a
# head is a row; it gets a scale of its own and is rounded when it is written. Later tokens read the rounded ones. Here the model
# reads 200 tokens of held-out text through such caches; eight bits change nothing that can be seen, and two are too few:

# %% id="text-ids-torch-tensor-stored-held"
from course_lib.generation import Reader, generate

text_ids = torch.tensor([stored.held_out_ids(200)], device=device)
for bits in (None, 8, 4, 2):
    each = copy.deepcopy(model)
    if bits is not None:
        compression.use_quantised_cache(each, bits)
    cache = each.make_cache(1, 256)
    logits = Reader(each, 1, 256).read_all(text_ids)
    surprise = torch.nn.functional.cross_entropy(logits[0, :-1], text_ids[0, 1:])
    size = cache[0].nbytes / model.make_cache(1, 256)[0].nbytes
    print(f"{bits or 32:2} bits: {size:4.0%} of the memory, {surprise:.2f} nats per token")

# %% [markdown] id="the-same-in-a-paged-cache"
# The paged cache of [Serving](16_serving.ipynb) takes the same rows. Its blocks are handed out and shared as before; only what is
# in them changes: `make_pool=quantised_pool(8)` gives an engine pools of packed codes, written and gathered through the tables.
# With the same bytes, more requests fit:

# %% id="engines-none-compression-quantised-pool"
from course_lib.serving import Engine, Request, empty_pool, generate_all

prompts = list(map(course_tokenizer().encode, ("import os\nimport", "def main(", "for i in")))
for bits in (32, 8, 4):
    make_pool = empty_pool if bits == 32 else compression.quantised_pool(bits)
    engine = Engine(model, num_blocks=64, make_pool=make_pool)
    texts = generate_all(engine, [Request(tuple(prompt), 12) for prompt in prompts])
    cached = copy.deepcopy(model)
    if bits < 32:
        compression.use_quantised_cache(cached, bits)
    rows = [torch.tensor([prompt], device=device) for prompt in prompts]
    equal = texts == [generate(cached, row, 12)[0].tolist() for row in rows]
    size = engine.runner.nbytes / (64 * 16)
    print(f"{bits:2} bits: {size:5.0f} bytes per token, all blocks free again:", end=" ")
    print(f"{engine.blocks.free == 64}, tokens as in the contiguous cache: {equal}")

# %% [markdown] id="8-fewer-weights"
# `course serve --cache-bits 8` (or 4) starts the server of [Serving](16_serving.ipynb) with such pools; `course chat` has the
# option too.
#
# ## 8 · Fewer weights
#
# Instead of fewer bits, some weights can get none: they become zero. The smallest ones, obviously? A small weight on a large input
# contributes more than a large weight on a small input. **Wanda** scores a weight by both:
#
# $$\text{score}_{oj} = |w_{oj}| \cdot \lVert x_j \rVert_2 \qquad \lVert x_j \rVert_2 = \sqrt{\textstyle\sum_n x_{nj}^2}$$
#
# By hand: weights (0.1, 1) and features of length 5 and 0.14: the scores are 0.5 and 0.14, so the *smaller* weight stays.
#
# ### Build it
#
# `weight` is (O, I), `x` (N, I) are the inputs of N tokens, `sparsity` is from 0 to below 1. In each **row** the int(sparsity ·
# I) lowest scores go; of equal ones, the one further left goes first. Return booleans (O, I), True for what stays.


# %% id="compression.wanda"
@exercise("compression.wanda")
def wanda_mask(weight, x, sparsity):
    """Return which weights stay."""
    ...


# %% id="reveal-compression-wanda"
reveal("compression.wanda")

# %% [markdown] id="two-of-every-four"
# ### Two of every four
#
# Zeros at random places save no time: the hardware would have to look for them. Nvidia's sparse tensor cores take one pattern,
# **2:4**: in every four neighbours of a row, two are zero. What is stored are the two others, and 2 bits each for their places.
# In 16 bits that is (16 + 2) · 2 / 4 = 9 bits per weight.
#
# ### Build it
#
# Return booleans in the shape of `scores` (O, I), True for the two highest scores in every four neighbours of a row. 4 divides I.
# Scores may be negative; of equal ones, the one further left stays.


# %% id="compression.two_four"
@exercise("compression.two_four")
def two_four_mask(scores):
    """Return which two of every four stay."""
    ...


# %% id="reveal-compression-two-four"
reveal("compression.two_four")

# %% id="mask-compression-two-four-mask-weight"
mask = compression.two_four_mask(weight.abs())
values, places = compression.compress_two_four(weight, mask)
bits = 16 * values.numel() + 8 * compression.pack(places, 2).numel()
print("zeros:", f"{(~mask).float().mean():.0%}", "- bits per weight:", bits / weight.numel())
print("back again:", torch.equal(compression.expand_two_four(values, places), weight * mask))

# %% [markdown] id="sparsegpt-does-for-pruning-what-gptq"
# **SparseGPT** does for pruning what GPTQ does for rounding: the columns that follow make up for what is removed. On the course
# model:

# %% id="for-row-in-measured-methods-rows-2"
for row in measured["methods"]["rows"]:
    if "pruned" in row["name"]:
        print(
            f"{row['name']:12} {row['method']:10} {row['bits per byte']:.3f} ({row['more']:+.3f})"
        )

# %% [markdown] id="low-rank"
# Removing half of the weights costs more than removing seven eighths of the bits of float32 (int4, section 6). And
# 2:4, which hardware can use, costs two to three times as much as 50 % at free choice.
#
# ### Low rank
#
# A third way: two thin matrices for one, by the singular values. It pays only below the rank where both together have fewer
# numbers:

# %% id="gram-statistics-model-layers-1-mlp"
gram = statistics["model.layers.1.mlp.up_proj"].gram
rank = compression.break_even_rank(*weight.shape)
print("rank at which nothing is saved:", rank, "of", min(weight.shape))
for part in (rank // 2, rank):
    for name, more in (("matrix", None), ("outputs", gram)):
        b, a = compression.low_rank_factors(weight, part, more)
        error = compression.output_error(
            weight, b @ a, statistics["model.layers.1.mlp.up_proj"].gram
        )
        print(f"rank {part:3}, best for the {name:7}: error of the outputs {error:.1%}")
for bits in (4, 3):
    coded = compression.quantise(weight, Scheme(bits, 64)).dequantised()
    print(f"{bits} bits, groups of 64: {compression.output_error(weight, coded, gram):.1%}")

# %% [markdown] id="9-training-through-rounding"
# Half of the break-even rank is half of the bytes, and its error is larger than that of four-bit codes, which take about an
# eighth. A trained matrix uses most of its directions. (Its *change* in fine-tuning does not: that is why LoRA works.)
#
# ## 9 · Training through rounding
#
# At two bits no rounding of a finished model is good. The model can learn to live with it: round in the forward pass, and train the
# full-precision weights themselves. But rounding is a staircase, whose gradient is 0 almost everywhere.
#
# The **straight-through estimator** pretends: in the backward pass, rounding is the identity. Where a weight was clamped, moving it
# changes nothing, and there the gradient is 0.
#
# $$y = s \cdot \operatorname{clamp}(\operatorname{round}(x / s), -m, m) \qquad \frac{\partial y}{\partial x} := \begin{cases} 1 & |\operatorname{round}(x / s)| \le m \\ 0 & \text{otherwise} \end{cases}$$
#
# By hand, with s = 0.5 and 3 bits (m = 3): 0.6 becomes 0.5 with the gradient 1; 9 becomes 1.5 with the gradient 0; 1.6 is 3.2
# steps, rounded to 3, so the gradient is 1.
#
# ### Build it
#
# `x` has any shape, `scale` is a positive number, m = 2^(bits − 1) − 1. Return y as above. The gradient is checked too: the
# check takes that of the sum of all results, weighted by 1, 2, 3, …


# %% id="compression.straight"
@exercise("compression.straight")
def straight_through(x, scale, bits):
    """Return x rounded, with a gradient that passes through."""
    ...


# %% id="reveal-compression-straight"
reveal("compression.straight")

# %% [markdown] id="checked-against-the-real-thing-5"
# ### Checked against the real thing

# %% id="x-torch-linspace-3-3-41"
x = torch.linspace(-3, 3, 41, requires_grad=True)
y = compression.straight_through(x, torch.tensor(0.5), 3)
(ours,) = torch.autograd.grad(y.sum(), x)
other = torch.fake_quantize_per_tensor_affine(x, 0.5, 0, -3, 3)
(theirs,) = torch.autograd.grad(other.sum(), x)
print("results equal:", torch.equal(y, other), "- gradients equal:", torch.equal(ours, theirs))

# %% [markdown] id="eighty-steps-of-eight-short-texts"
# Eighty steps of eight short texts, with all block weights at **two bits**, three values each (−1, 0, 1 times the scale of their
# group). The last line is the control: as many steps without rounding. These few short texts alone make the finished model a little
# worse, so that line is the one to compare with:

# %% id="rounding-measured-rounding"
rounding = measured["rounding"]
two_bits = next(r for r in measured["methods"]["rows"] if r["name"] == "int2 group 64")
print(f"float32, before training:       {measured['methods']['rows'][0]['bits per byte']:.2f}")
print(f"{rounding['scheme']}, nearest:         {two_bits['bits per byte']:.2f} bits per byte")
trained = [run["bits per byte"] for run in rounding["runs"]]
print("after training, three seeds:   ", *(f"{each:.2f}" for each in trained))
print(f"as many steps without rounding: {rounding['not rounded']:.2f}")

# %% [markdown] id="10-a-small-model-learns-from"
# ## 10 · A small model learns from a large one
#
# **Distillation** trains a smaller model, the student, on what a larger one says. A text tells which token came next. A teacher
# also tells which others could have come, and how likely they are. That is more to learn from each token.
#
# $$\text{loss} = T^2 \cdot \operatorname{mean}\ \mathrm{KL}\left(\operatorname{softmax}(\text{teacher} / T)\ \middle\|\ \operatorname{softmax}(\text{student} / T)\right)$$
#
# A temperature T > 1 makes unlikely tokens count more. The gradient of a student's logit is $T (q - p)$ for each token: $T^2$ times
# $\frac{1}{T}(q - p)$. For large T, $q - p$ itself shrinks as 1 / T, so the steps keep their size.
#
# The order matters. **Forward** KL(teacher ‖ student) is large where the student rules out what the teacher finds possible; the
# **reverse** one is large where the student invents what the teacher rules out.
#
# ### Build it
#
# `student` and `teacher` are logits (..., V) of the same shape, `temperature` is positive. Return $T^2$ times the mean over
# **all positions** of the forward KL divergence of the softened distributions, a tensor of one number, in nats. No gradient
# flows into the teacher. The gradient is checked too.


# %% id="compression.distil"
@exercise("compression.distil")
def distillation_loss(student, teacher, temperature):
    """Return T² times the mean divergence of the softened distributions."""
    ...


# %% id="reveal-compression-distil"
reveal("compression.distil")

# %% [markdown] id="checked-against-the-real-thing-6"
# ### Checked against the real thing
#
# The gradient by hand, and torch's divergence:

# %% id="student-torch-randn-4-9-generator"
student = torch.randn(4, 9, generator=seeded(1), requires_grad=True)
teacher = torch.randn(4, 9, generator=seeded(2))
loss = compression.distillation_loss(student, teacher, 3.0)
(gradient,) = torch.autograd.grad(loss, student)
by_hand = 3.0 * ((student / 3).softmax(-1) - (teacher / 3).softmax(-1)) / 4
print("gradient:", torch.allclose(gradient, by_hand, atol=1e-6))
torch_loss = 9 * torch.nn.functional.kl_div(
    (student / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="batchmean"
)
print("loss:", torch.allclose(loss, torch_loss))

# %% [markdown] id="a-student-with-a-fifth-of"
# A student with a fifth of the weights, 110 short steps, three seeds; from text alone, and from the course model as its teacher:

# %% id="distilled-measured-distillation"
distilled = measured["distillation"]
whole = sum(p.numel() for p in model.parameters())
print(f"the student has {distilled['parameters'] / whole:.0%} of the teacher's weights")
seconds = {s: [r["seconds"] for r in distilled["runs"] if r["share"] == s] for s in (0.0, 1.0)}
ratio = sum(seconds[1.0]) / sum(seconds[0.0])
print("the same steps with a teacher take longer, by a factor of", round(ratio, 1))
show(figures.student_runs(distilled["runs"], distilled["teacher"]))

# %% [markdown] id="the-same-student-as-a-recipe"
# `course train --recipe distilled-student` trains such a student for longer, in a folder, and goes on where it stopped. This is the
# log of one run, with the mean divergence from the teacher (KL, in nats per token) on held-out text:

# %% id="for-record-in-stored-student-log"
for record in stored.student_log():
    print(f"step {record['step']:3}: {record['bits per byte']:.2f} bits per byte, "
          f"divergence {record['divergence']:.2f}")  # fmt: skip

# %% [markdown] id="11-to-other-programs"
# The comparison in the picture is at equal **steps**. A teacher must read every batch too, which costs time; where that matters,
# what it says is stored once and used many times.
#
# ## 11 · To other programs
#
# Two formats matter outside of PyTorch. **GGUF** is what llama.cpp reads. Its blocks of 32 weights hold a float16 scale and the
# codes side by side: `Q8_0` in 34 bytes, `Q4_0` in 18. In `Q4_0` a weight is (code − 8) · scale, and the scale has a sign, so
# that the weight of the largest magnitude always gets the code 0. Code j is in the low half of its byte and code j + 16 in the
# high half: below, the scale is the bytes 0 and 60 (1 in float16), and 192 holds the codes 0 and 12:

# %% id="block-torch-zeros-32"
block = torch.zeros(32)
block[0], block[16] = -8.0, 4.0
stored_bytes = compression.gguf_quantise(block, "Q4_0")
print("bytes:", stored_bytes.tolist())
print("back again:", torch.equal(compression.gguf_dequantise(stored_bytes, "Q4_0"), block))
for kind in ("Q8_0", "Q4_0"):
    there = compression.gguf_dequantise(compression.gguf_quantise(weight, kind), kind)
    error = compression.relative_error(weight, there)
    print(f"{kind}: {8 * {'Q8_0': 34, 'Q4_0': 18}[kind] / 32} bits per weight, error {error:.2%}")

# %% [markdown] id="12-what-it-costs-and-what"
# **ONNX** describes a model as a graph of plain operations, without any Python. `course_lib/compression/onnx_graph.py` writes
# the decoder node by node, with the cache as inputs and outputs: the kinds of operations in it are few. If onnx is installed,
# its function `export_onnx` writes the file; with onnxruntime, its class `OnnxDecoder` runs it. The stored comparisons of
# section 3 show that both formats agree with the packages that define them: bytes with `gguf`, logits with `onnxruntime`.
#
# ## 12 · What it costs, and what is faster
#
# Decoding reads every weight once per token, so at best a quarter of the bytes takes a quarter of the time. Whether it does
# depends on a kernel that unpacks **while** it multiplies. Ours unpacks first, writes the matrix to memory, and then multiplies:


# %% id="seconds-of"
def seconds_of(action, repeat=7):
    """Return the shortest time of several runs."""
    times = []
    for _ in range(repeat):
        synchronize(device)
        begin = time.perf_counter()
        action()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times)


token = torch.randn(1, 2048, device=device)
large = torch.nn.Linear(2048, 2048, bias=False, device=device).requires_grad_(False)
small = compression.QuantisedLinear(compression.quantise(large.weight, Scheme(4, 64)))

# %% tags=["nbval-ignore-output"] id="base-unpacked-seconds-of-lambda-large"
base, unpacked = seconds_of(lambda: large(token)), seconds_of(lambda: small(token))
print(f"float32: {large.weight.nbytes / base / 1e9:.0f} GB of weights per second")
print(f"packed, unpacked, multiplied: {unpacked / base:.1f} times as long")

# %% [markdown] id="kernels-for-cpus-do-it"
# Kernels for CPUs do it at once. Torch has a few, which take inputs in bfloat16. Where there is a C compiler, the library
# compiles its own, `course_lib/model/products.c`: it loads sixteen words of 16 bits at a time, with four codes of 4 bits in each,
# and shifts them into place in registers. The inputs become integers of 16 bits there, since processors multiply and add pairs of
# these in one instruction. Both read the same codes:

# %% tags=["nbval-ignore-output"] id="for-compiled-in-false-true"
same_codes = compression.QuantisedLinear(compression.quantise(large.weight.cpu(), Scheme(4, 64)))
for compiled in (False, True):
    kernel = compression.KernelLinear(same_codes, compiled)
    seconds = seconds_of(lambda kernel=kernel: kernel(token.cpu()))
    name = "compiled here" if kernel.compiled else "torch's kernel"
    print(f"{name}: {kernel.nbytes / seconds / 1e9:.1f} GB of packed weights per second")

# %% [markdown] id="torch-has-a-few-kernels-for"
# `compression.use_cpu_kernels` gives a kernel to every layer of a packed model: a compiled one where it can be compiled, torch's
# with `compiled=False`. `benchmarks/compression.py` measures one token through one layer, for several matrices in turn, so that
# none of them stays in the processor's cache. `speed` and `bytes` are relative to float32 in the same rounds; errors are
# measured too, since a kernel that reads the codes in the wrong order is fast and wrong. In each round plain reading of memory
# is timed as well, and `bandwidth` is the fraction of its speed that a product reaches:

# %% id="speed-stored-benchmark-compression-cpu"
from course_lib.study.exhibits.stored_benchmarks import stored_benchmark, taken_on

speed = stored_benchmark("compression", "cpu")
print(taken_on(speed))
print(f"{'shape':12} {'product':42} {'speed':>5} {'bytes':>5} {'bandwidth':>9} {'error':>5}")
for row in (row for row in speed["rows"] if row["measured"] == "one layer"):
    print(f"{row['shape']:12} {row['contestant']:42} {row['times as fast']:5.2f} "
          f"{row['bytes']:5.2f} {row['of the bandwidth']:9.0%} {row['error']:5.3f}")  # fmt: skip

# %% [markdown] id="a-whole-decode-step"
# ### A whole token
#
# > **Predict.** A model of 0.6 billion weights generates a token. Its int4 form reads a seventh of the bytes. How many times as
# > fast is it?
#
# The same for whole models: a token after 16 others, everything included. The weights of the two larger shapes are random, since
# speed does not depend on what they are. `GB/s` says how fast the weights are read, and `memory` how fast plain reading was in the
# same rounds:

# %% id="for-row-in-speed-rows-decode"
print(f"{'shape':12} {'weights':30} {'ms':>6} {'speed':>5} {'bytes':>5} {'GB/s':>5} {'memory':>6}")
for row in (row for row in speed["rows"] if row["measured"] == "decode step"):
    print(f"{row['shape']:12} {row['contestant']:30} {row['milliseconds']:6.1f} "
          f"{row['times as fast']:5.2f} {row['bytes']:5.2f} {row['GB per second']:5.1f} "
          f"{row['memory read, GB per second']:6.0f}")  # fmt: skip

# %% [markdown] id="other-programs-on-the-same-model"
# In the course model torch's kernels for codes gain nothing: it is so small that hundreds of short operations around products take
# the time, and fewer bytes make none of them shorter. The rows named *compiled* compute all blocks in one call
# (`course_lib/model/block.c`). That leaves little around the products, so fewer bytes help even here.
#
# In the largest model nearly all the time goes into reading weights, so bytes count: float32, bfloat16 and compiled int8 read about
# as many GB per second, and with half the bytes a token takes half the time. Yet int4, with a seventh of the bytes, is hardly
# faster than int8: it reads far fewer GB per second. There **arithmetic** is the limit, since each code has to be unpacked and
# multiplied however few bits it has. `memory` is more than any of them reaches: it adds up one long list of numbers in huge pages,
# while a model's weights lie in ordinary ones.
#
# ### Other programs on the same model
#
# `transformers` loads models in few bits through other packages. `benchmarks/quantised_peers.py` does that with the course
# model, in an environment of its own. All round the blocks' layers only and compute in bfloat16. `speed` is relative to the same
# package's bfloat16:

# %% id="peers-stored-benchmark-compression-peers"
print(f"{'package':15} {'version':7} {'scheme':30} {'MB':>4} {'bits per byte':>13} {'ms':>5} speed")
for row in stored_benchmark("compression", "peers")["rows"]:
    print(f"{row['package']:15} {row['version']:7} {row['scheme']:30} {row['megabytes']:4.2f} "
          f"{row['bits per byte']:13.3f} {row['milliseconds']:5.1f} "
          f"{row['times as fast as bfloat16']:5.2f}")  # fmt: skip

# %% [markdown] id="13-wrong-claims-refuted"
# With the same number of bits all agree about the quality, within a few thousandths. The other packages are all slower than
# their own bfloat16 in this table: they are made for GPUs first, and in layers this small the way to a kernel takes longer than
# the product. In the form that runs on a CPU, torchao keeps each 4-bit code in a byte, so its file is as large as with 8 bits.
# That a format is small says nothing about its speed.
#
# Back to the layers: the bytes shrink two to seven times and the time mostly less, since starting a kernel, converting numbers
# and summing them take time too. With float32 inputs torch's int8 kernel is *slower* than the plain product, and "unpack, then
# multiply" is slower in any case. In the largest shape the quickest one rounds the **inputs** too (fbgemm): it multiplies
# integers by integers, so no weight is converted, and pays with a larger error. On a GPU, kernels made for this can come close
# to four times for 4-bit weights against 16-bit ones (Marlin, see Papers).
#
# ## 13 · Wrong claims, refuted
#
# **"GPTQ keeps the weights closer."** It moves them further away, and the outputs closer (both errors squared):

# %% id="own-matrix-statistics-model-layers-0"
own, matrix = statistics["model.layers.0.mlp.up_proj"], model.get_parameter(
    "model.layers.0.mlp.up_proj.weight"
).detach()  # fmt: skip
for name, result in (
    ("nearest", compression.quantise(matrix, Scheme(3)).dequantised()),
    ("GPTQ", compression.gptq(matrix, own.gram, Scheme(3)).dequantised()),
):
    print(f"{name:8} error of the weights {compression.relative_error(matrix, result) ** 2:.2%}, "
          f"of the outputs {compression.output_error(matrix, result, own.gram):.2%}")  # fmt: skip

# %% [markdown] id="4-bits-are-4-bits-scales"
# **"4 bits are 4 bits."** Scales and zero points are stored too:

# %% id="for-scheme-in"
for scheme in (
    Scheme(4),
    Scheme(4, 128),
    Scheme(4, 32),
    Scheme(4, 32, "zero point"),
    Scheme(4, 64, "nf4"),
):
    print(f"{scheme!s:26} {scheme.bits_per_weight(640, 256):.2f} bits per weight")

# %% [markdown] id="one-int8-scale-is-enough-for"
# **"One int8 scale is enough for a matrix."** One outlier costs all others their precision; section 2 showed how much. Here it
# is in bits per byte. One row of each up projection is multiplied by 100 and the column of the down projection that reads it is
# divided by 100, so the function is the same, and each up projection has a large row:

# %% id="broken-copy-deepcopy-model"
broken = copy.deepcopy(model)
with torch.no_grad():
    for block in broken.blocks:
        block.mlp.up_proj.weight[3] *= 100
        block.mlp.down_proj.weight[:, 3] /= 100
for group in ("tensor", "channel"):
    each = compression.quantise_model(copy.deepcopy(broken), Scheme(8, group))
    loss = stored.bits(each, 2000) - stored.bits(broken, 2000)
    print(f"one scale for each {group}: {abs(loss):.2f} bits per byte of difference")

# %% [markdown] id="with-half-of-the-weights-pruned"
# **"With half of the weights pruned a model is twice as fast."** The product multiplies zeros like all
# other numbers, so it takes as long, up to the noise of the clock:

# %% tags=["nbval-ignore-output"] id="zeros-copy-deepcopy-large"
zeros = copy.deepcopy(large)
zeros.weight.data *= compression.magnitude_mask(zeros.weight, 0.5)
print("half are zero:", f"{(zeros.weight == 0).float().mean():.0%}")
seconds_of(lambda: large(token), 50)  # warm up
pruned, dense = (seconds_of(lambda each=each: each(token), 50) for each in (zeros, large))
print(f"{pruned / dense:.2f} times as long")

# %% [markdown] id="recap"
# ## Recap
#
# 1. A weight becomes a small integer or an index, and a scale. The largest weight decides the error of all that share its scale, so
#    groups help, and cost bits.
# 2. Eight bits cost nothing, four nearly nothing; below that it matters how one rounds.
# 3. What counts is the output. SmoothQuant moves range from inputs to weights, AWQ protects columns with large inputs, GPTQ lets
#    later columns correct earlier ones.
# 4. Two bits need training through rounding. Zeros save time only in patterns that hardware knows. A student learns more from a
#    teacher's distribution than from the text alone.
# 5. Fewer bytes are certain; less time takes a kernel that unpacks while it multiplies. Measure both, and the errors.
#
# ### Test yourself

# %% id="quiz-compression"
quiz("compression")

# %% [markdown] id="further-the-table-from-its-definition"
# ## Further: the table from its definition
#
# NF4's numbers are quantiles of the normal distribution: eight for positive numbers, seven for negative ones, and 0, divided by the
# largest. Compare with the stored table:

# %% id="made-torch-tensor-compression-normal-quantiles"
made = torch.tensor(compression.normal_quantiles())
gap = (made - torch.tensor(compression.NF4_TABLE)).abs().max()
print("largest difference below 0.001:", bool(gap < 1e-3))

# %% [markdown] id="papers"
# ### Papers
# - Jacob et al. 2018, *Quantization and training of neural networks for efficient integer-arithmetic-only inference*,
#   arXiv:1712.05877.
# - Micikevicius et al. 2022, *FP8 formats for deep learning*, arXiv:2209.05433.
# - Dettmers et al. 2022, *LLM.int8()*, arXiv:2208.07339; Dettmers et al. 2023, *QLoRA*, arXiv:2305.14314 (NF4).
# - Xiao et al. 2022, *SmoothQuant*, arXiv:2211.10438. Frantar et al. 2022, *GPTQ*, arXiv:2210.17323. Lin et al. 2023, *AWQ*,
#   arXiv:2306.00978.
# - Liu et al. 2024, *KIVI*, arXiv:2402.02750 (the cache).
# - Sun et al. 2023, *Wanda*, arXiv:2306.11695. Frantar & Alistarh 2023, *SparseGPT*, arXiv:2301.00774. Mishra et al. 2021,
#   arXiv:2104.08378 (2:4).
# - Frantar et al. 2024, *MARLIN*, arXiv:2408.11743 (a 4-bit kernel for GPUs).
# - Bengio et al. 2013, arXiv:1308.3432 (straight-through). Hinton et al. 2015, arXiv:1503.02531 (distillation).
#
# **Next:** one model on many devices.
