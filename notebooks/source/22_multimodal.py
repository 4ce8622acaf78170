# %% [markdown] id="22-multimodal"
# # 22 · Multimodal
#
# **How does a language model see?**
#
# A language model reads vectors. Nothing says that they must come from words. In this notebook you cut pictures into patches,
# teach two encoders which caption belongs to which picture, and then put the patches among the words of a decoder like the one
# of [Transformer](08_transformer.ipynb). The pictures are drawn by code, so that every answer can be checked, and some pairs of
# a colour and a shape are never shown in training: what a model says about them, it has not memorised.
#
# After this notebook you can
# - build a vision transformer's tokens from a picture, and CLIP's loss and its classes made of words;
# - join a vision encoder and a language model as LLaVA does: projector, pixel shuffle, splicing, labels, stages;
# - say what a picture costs in tokens, where its tokens stand, and test whether a model looks at it at all.
#
# About 150 minutes. You need notebooks [Attention](05_attention.ipynb), [Transformer](08_transformer.ipynb) and
# [Fine-tuning](14_fine_tuning.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/22_multimodal.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/22_multimodal.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/22_multimodal.ipynb).

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
import math
import random

import torch
import torch.nn.functional as F

from course_lib import vision
from course_lib.chapters.multimodal import figures, measurements
from course_lib.device import default_device, seeded, seeded_draws
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded, show
from course_lib.vision import Thing, draw, random_scenes, scenes_of
from course_lib.vision.captions import caption_ids, drawing_tokenizer, list_caption, pair_caption
from course_lib.vision.stored import stored_clip, stored_llava, stored_log
from course_lib.vision.world import NEVER, SEEN

device = default_device()
clip = stored_clip(device)
llava = stored_llava(device=device)

# %% [markdown] id="1-a-world-of-drawings"
# ## 1 · A world of drawings
#
# A drawing has 32 x 32 pixels and up to four things, at most one in each quarter. A thing has one of eight colours, one of six
# shapes and one of two sizes. Captions and questions come from a grammar, and every answer is known.
#
# Of the 48 pairs of a colour and a shape, 8 are never shown in training, although each of these colours and shapes is.

# %% id="scenes-random-scenes-12-seeded-4"
scenes = random_scenes(12, seeded(4))
captions = [list_caption(scenes.things(row)) for row in range(12)]
print(captions[1])
print("never shown:", ", ".join(pair_caption(*pair) for pair in NEVER))
show(figures.drawings(draw(scenes, seeded(4)), captions))

# %% [markdown] id="2-a-picture-as-a-row"
# ## 2 · A picture as a row of tokens
#
# A transformer reads a row of vectors. A **vision transformer** (ViT) turns a picture into such a row in the simplest way: it cuts
# the picture into squares, called **patches**, flattens each, and multiplies it by a matrix. A square of 8 x 8 pixels in three
# colours has 192 numbers.
#
# > **Predict.** How many patches of 8 x 8 does a picture of 32 x 32 have? One of 64 x 64? How many pairs of them does attention
# > compare?

# %% id="for-side-in-32-64"
for side in (32, 64):
    patches = (side // 8) ** 2
    print(f"{side} x {side}: {patches} patches, {patches**2} pairs")

# %% [markdown] id="build-it"
# Twice the side, four times the tokens, sixteen times the pairs. By hand, for one channel of 4 x 4 pixels with the numbers 0
# to 15 and patches of 2 x 2: the first patch is 0, 1, 4, 5, the second 2, 3, 6, 7.
#
# ### Build it
#
# `pictures` are (B, channels, H, W); H and W are multiples of `patch`, and need not be equal. Cut each into squares of
# patch x patch pixels, in reading order: from left to right, then from top to bottom. Flatten each square channel by channel, and
# each channel row by row. Return (B, number of patches, channels · patch²).


# %% id="multimodal.patchify"
@exercise("multimodal.patchify")
def patchify(pictures, patch):
    """Return the patches of each picture, flattened: (B, N, channels * patch²)."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The course's own:

# %% id="reveal-multimodal-patchify"
reveal("multimodal.patchify")

# %% [markdown] id="build-it-2"
# A matrix on flattened patches is a **convolution** whose kernel and stride are both the side of a patch; that is how checkpoints
# store it. Two things are added. A **class token** is a learned vector before the patches. It stands for no place, and in
# attention it can read all of them; what it holds at the end describes the whole picture. And each token gets a learned
# **position**, since otherwise attention could not tell left from right.
#
# $$x_0 = [\,c;\ W p_1;\ \dots;\ W p_N\,] + E_{\text{positions}}$$
#
# Here $c$ is the class token, $p_n$ the n-th flattened patch, $W$ the matrix (C, channels · P²), and $E_{\text{positions}}$ the
# table of positions (N + 1, C); C is the width of the encoder and P the side of a patch.
#
# ### Build it
#
# `pictures` are (B, channels, H, W), `kernel` is (C, channels, P, P): one filter for each feature of the encoder, of the size of
# a patch. Multiply each patch of P x P pixels, in reading order, by each filter, number by number, and sum: C numbers for each
# patch. Put `class_token` (C,) before the patches of each picture, and add `positions` (number of patches + 1, C), whose first
# row belongs to the class token. Return (B, number of patches + 1, C).


# %% id="multimodal.embedding"
@exercise("multimodal.embedding")
def embedding(pictures, kernel, class_token, positions):
    """Return the tokens of each picture: (B, N + 1, C)."""
    ...


# %% id="reveal-multimodal-embedding"
reveal("multimodal.embedding")

# %% [markdown] id="checked-against-the-real-thing"
# What follows are the blocks that you know, attention and a feed-forward part, but without a causal mask, since a patch may read
# the patches after it. (CLIP also normalises the tokens once before the first block.)
#
# ### Checked against the real thing
#
# The convolution of PyTorch, and the whole CLIP model of `transformers` (its two encoders are the subject of section 3) with the
# weights of the course's own model, loaded from its folder.

# %% id="pictures-draw-random-scenes-5-seeded"
from transformers import CLIPModel
from transformers.utils.logging import disable_progress_bar

from course_lib.vision.stored import stored_folder

disable_progress_bar()

pictures = draw(random_scenes(5, seeded(0)), seeded(0))
kernel = clip.vision_model.embeddings.patch_embedding.weight.detach().cpu()
by_patches = vision.patchify(pictures, 8) @ kernel.flatten(1).T
by_convolution = F.conv2d(pictures, kernel, stride=8).flatten(2).transpose(1, 2)
print("a convolution:", torch.allclose(by_patches, by_convolution, atol=1e-5))

theirs = CLIPModel.from_pretrained(stored_folder("drawing-clip"), dtype=torch.float32).eval()
ids = caption_ids(captions[:4])
with torch.no_grad():
    expected = theirs(input_ids=ids, pixel_values=pictures).logits_per_image
    ours = clip(pictures.to(device), ids.to(device)).cpu()
print("logits of CLIP, largest difference below 1e-3:", bool((ours - expected).abs().max() < 1e-3))

# %% [markdown] id="play-with-it"
# ### Play with it
#
# Change the thing, or paint on the picture, and see its patches. The panel on the right shows where the class token of the trained
# encoder looks, in its last layer, as a mean over its heads. The trained encoder always reads patches of 8 x 8, whichever size you
# cut on the left.

# %% id="explorers-multimodal-patches"
explorers.multimodal.patches()

# %% [markdown] id="3-which-caption-belongs-to-which"
# ## 3 · Which caption belongs to which picture?
#
# How does the encoder learn what matters in a picture? **CLIP** needs no labels, only pairs of a picture and a caption. Two
# encoders give a vector for each; both are scaled to length 1, so that their dot product is a cosine. In a batch of B pairs, each
# picture must find its own caption among B, and each caption its own picture:
#
# $$\text{logits}_{ij} = s \cdot \cos(\text{picture}_i, \text{text}_j), \qquad
# L = \tfrac12\big(\text{CE over rows} + \text{CE over columns}\big)$$
#
# CE is the cross-entropy, and the right answers are on the diagonal. The scale $s$ is needed because a cosine is at most 1:
#
# > **Predict.** A picture fits its own caption perfectly (cosine 1), and 39 others not at all (cosine 0). With $s = 1$, how
# > probable is the right caption? With $s = 14.3$?

# %% id="for-scale-in-1-0-1"
for scale in (1.0, 1 / 0.07, 100.0):
    share = math.exp(scale) / (math.exp(scale) + 39)
    print(f"scale {scale:5.1f}: {share:.3f}")

# %% [markdown] id="build-it-3"
# With a scale of 1, even perfect vectors have a large loss. CLIP starts at $1/0.07 \approx 14.29$, learns the logarithm of the
# scale, and clips the scale at 100. By hand, for two pairs whose vectors are all the same: nothing tells them apart, and the
# loss is $\log 2 \approx 0.693$.
#
# ### Build it
#
# Row i of `pictures` (B, E) and row i of `texts` (B, E) belong together; no row is zero. Bring each row to length 1. The logits are
# `scale`, a positive number, times the dot product of each picture with each text. Return the mean of two losses, a tensor of
# one number: the cross-entropy that names each picture's text among all texts, and the cross-entropy that names each text's
# picture among all pictures, each a mean over B. The gradient is checked too.


# %% id="multimodal.clip_loss"
@exercise("multimodal.clip_loss")
def clip_loss(pictures, texts, scale):
    """Return the mean of both cross-entropies, a tensor of one number."""
    ...


# %% id="reveal-multimodal-clip-loss"
reveal("multimodal.clip_loss")

# %% [markdown] id="the-other-captions-of-the-batch"
# The other captions of the batch are what the encoders learn from, and they must differ in the right respects. If colour alone
# tells the pictures of a batch apart, shape is never learned. If two red circles are in one batch, each is taken as wrong for
# the other's caption. So the course's batches are composed (`course_lib/vision/pairing.py`): half of them hold every seen pair
# exactly once, so that each picture has rivals of its own colour and rivals of its own shape.
#
# **SigLIP** asks a different question: not which of B, but yes or no for each of the B² pairs. No softmax has to see the whole
# batch, which helps when it is spread over many devices.
#
# $$L = \frac1B \sum_{i,j} \log\!\big(1 + e^{-z_{ij} (s \cos_{ij} + b)}\big), \qquad z_{ij} = 1 \text{ if } i = j, \text{ else } -1$$
#
# Nearly all pairs are wrong ones. The learned bias $b$ starts at −10, with $s = 10$, so that at first "no" is the answer to all,
# except for a pair with cosine 1: its logit is 0, and its loss log 2.

# %% id="x-y-torch-randn-4-8"
x, y = (torch.randn(40, 64, generator=seeded(seed)) for seed in (0, 1))
print("CLIP, vectors at random:", rounded(vision.clip_loss(x, y, 10.0), 2))
print("CLIP, each equal to its partner:", rounded(vision.clip_loss(x, x, 10.0), 2))
print("SigLIP, vectors at random:", rounded(vision.siglip_loss(x, y, 10.0, -10.0), 2))
print("SigLIP, each equal to its partner:", rounded(vision.siglip_loss(x, x, 10.0, -10.0), 2))

# %% [markdown] id="train-it"
# ### Train it
#
# Some steps of the recipe, live, and then the whole run as it is stored. `course train --recipe drawing-clip` repeats it.

# %% id="plan-plan-steps-40-warmup-10"
from course_lib.training.loop import Plan
from course_lib.vision.clip_training import ClipTraining, fresh_clip

plan = Plan(steps=40, warmup=10, peak=1.5e-3, betas=(0.9, 0.98))
run = ClipTraining(fresh_clip(0).to(device), plan, mix=("pairs",))
losses = [run.step().loss for _ in range(plan.steps)]
print("40 captions, by chance:", rounded(torch.tensor(math.log(40)), 2))
print("the loss has fallen:", sum(losses[-5:]) / 5 < math.log(40) - 0.5)

# %% id="measured-seen-pairs-never-seen-pairs"
measured = ("seen pairs", "never-seen pairs")
show(figures.curves({"CLIP, among 48 pairs": stored_log("drawing-clip")}, measured))

# %% [markdown] id="4-classes-made-of-words"
# ## 4 · Classes made of words
#
# Nobody told this model what classes there are. To classify, write each class as a caption and take the one that is nearest to
# the picture: **zero-shot** classification. A single prompt says the class in one way only; the mean of several prompts works
# better in practice.
#
# ### Build it
#
# `pictures` (B, E) are vectors of pictures, `texts` (K, P, E) those of P prompts for each of K classes; none is zero. A class's
# vector is the mean of its prompts, each brought to length 1 first. Return the cosine of each picture with each class's vector,
# (B, K). The largest in a row names the class.


# %% id="multimodal.zero_shot"
@exercise("multimodal.zero_shot")
def zero_shot(pictures, texts):
    """Return the cosine of each picture with each class: (B, K)."""
    ...


# %% id="reveal-multimodal-zero-shot"
reveal("multimodal.zero_shot")

# %% [markdown] id="how-good-is-it-all-48"
# How good is it? All 48 pairs are classes, the never-seen ones too, so chance is 1 in 48, about 2 %.
#
# > **Predict.** The model has seen red circles and blue squares. It has never seen a red square. Will it call one by its name?

# %% id="for-name-pairs-each-in-seen"
from course_lib.vision.evaluation import answer_rates, rate, zero_shot_pairs

for name, pairs, each in (("seen", SEEN, 10), ("never seen", NEVER, 50)):
    result = zero_shot_pairs(clip, pairs, each)
    print(f"pairs {name}: {result.pair}, colour {result.colour}, shape {result.shape}")

# %% [markdown] id="play-with-it-2"
# In brackets is the 95 % interval, the true rates that 400 pictures leave plausible. The model composes: it has not just learned
# 40 pairs, but colours and shapes.
#
# ### Play with it
#
# Six pictures and six captions. Choose two colours that are close, such as red and orange: which cosines come closer?

# %% id="explorers-multimodal-similarity"
explorers.multimodal.similarity()

# %% [markdown] id="5-from-patches-to-words"
# ## 5 · From patches to words
#
# CLIP compares; it cannot answer. **LLaVA** gives the patches to a language model. The encoder's stream for each patch, taken
# before its last block, goes through a small **projector** to the width of the language model, and is read there like the
# embeddings of words. One patch, one token.
#
# Each token costs compute. **Pixel shuffle** joins a block of neighbouring patches into one wider token: for 2 x 2, four patches
# become one token of four times the width. The language model reads a quarter of the tokens, and nothing is thrown away. (PyTorch
# calls this direction `pixel_unshuffle`, and orders the numbers in a token differently.)
#
# By hand, for a grid of 4 x 4 patches numbered 0 to 15: the first token holds patches 0, 1, 4 and 5, the second 2, 3, 6 and 7.
#
# ### Build it
#
# `patches` (B, N, C) are the patches of square pictures, in reading order; N is a square, and its root a multiple of `side`. Join
# each block of side x side patches into one vector: its patches one after another, in reading order. Return the blocks in reading
# order, (B, N / side², side² · C).


# %% id="multimodal.shuffle"
@exercise("multimodal.shuffle")
def pixel_shuffle(patches, side):
    """Return one token for each block of patches: (B, N / side², side² * C)."""
    ...


# %% id="reveal-multimodal-shuffle"
reveal("multimodal.shuffle")

# %% [markdown] id="build-it-4"
# In the text, a picture is one **placeholder**, `<image>`. It is first repeated, once for each visual token; then the embeddings
# of the placeholders are replaced.
#
# ### Build it
#
# First the room. `ids` and `labels` are lists of the same length, perhaps empty: a conversation and, at the place of each id, its
# label (−100 where nothing is trained). A picture is one id `placeholder`, with whatever label. Repeat each placeholder `count`
# times, where `count` is at least 1, so that every visual token has a place; all of these get the label −100. Everything else keeps
# its id and its label. Return the new ids and the new labels, two lists.


# %% id="multimodal.expand"
@exercise("multimodal.expand")
def expand(ids, labels, placeholder, count):
    """Return the new ids and the new labels, two lists."""
    ...


# %% id="reveal-multimodal-expand"
reveal("multimodal.expand")

# %% [markdown] id="then-the-visual-tokens-take-their"
# Then the visual tokens take their places. `embedded` (B, T, C) are the embeddings of the texts `ids` (B, T). `visual` (P, M, C)
# are the M visual tokens of each of P pictures. Wherever `ids` is `placeholder`, put a visual token in place of the embedding:
# those of the first picture in their order, then those of the second, and so on, over the texts in their order. There are
# exactly P · M placeholders; a text may have none, or those of several pictures. Return (B, T, C); do not change `embedded`.


# %% id="multimodal.splice"
@exercise("multimodal.splice")
def splice(embedded, ids, visual, placeholder):
    """Return the embeddings with the visual tokens in their places: (B, T, C)."""
    ...


# %% id="reveal-multimodal-splice"
reveal("multimodal.splice")

# %% [markdown] id="a-count-that-does-not-match"
# A count that does not match is an error, and a good one to have: with too few placeholders, part of a picture would be lost
# without a word.

# %% id="try"
try:
    vision.splice(torch.zeros(1, 3, 2), torch.tensor([[7, 9, 9]]), torch.zeros(1, 4, 2), 9)
except ValueError as error:
    print(error)

# %% [markdown] id="a-conversation-about-a-drawing-as"
# A conversation about a drawing, as ids. Where a label is not −100, the model is trained.

# %% id="example-conversation-example-turn-what-colour"
from course_lib.vision.conversations import Turn, conversation_example

tokenizer = drawing_tokenizer()
example = conversation_example([Turn("What colour is the circle?", "red")], visual_tokens=4)
for token, label in zip(example.ids, example.labels, strict=True):
    print(f"{tokenizer.decode([token])!r}{'' if label == -100 else ' (trained)'}", end=" ")

# %% [markdown] id="two-stages"
# ### Two stages
#
# Three parts meet: an encoder that knows pictures, a language model that knows words, and a projector that knows nothing. LLaVA
# trains in two stages. First only the projector, on captions: it learns to say in the language of embeddings what the encoder
# sees. Then projector and language model together, on questions and answers. The encoder stays frozen. (Later models of the
# family add a last stage in which all parts learn.)
#
# ### Build it
#
# `names` are the names of parameters, in a list. Each belongs to the part that it begins with: `vision_tower.`,
# `multi_modal_projector.` or `language_model.`; what comes later in a name does not matter. In the stage `"projector"` only the
# projector learns, in the stage `"answers"` the projector and the language model do. Return the names that learn, in their order.


# %% id="multimodal.learning"
@exercise("multimodal.learning")
def learning(names, stage):
    """Return the names of the parameters that learn in this stage."""
    ...


# %% id="reveal-multimodal-learning"
reveal("multimodal.learning")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
#
# A small model of `transformers` with random weights, saved, and loaded by the course's own classes:

# %% id="sizes-hidden-size-24-intermediate-size"
import tempfile

from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, Qwen3Config

from course_lib.vision.files import load_llava

# %% id="sizes-hidden-size-24-intermediate-size-2"
sizes = {"hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 4}
seen = CLIPVisionConfig(**sizes, num_hidden_layers=3, image_size=16, patch_size=4)
said = Qwen3Config(**sizes, vocab_size=60, num_hidden_layers=2, num_key_value_heads=2, head_dim=8)
config = LlavaConfig(vision_config=seen, text_config=said, image_token_index=50)
with seeded_draws(0):
    theirs = LlavaForConditionalGeneration(config).eval()
with tempfile.TemporaryDirectory() as folder:
    theirs.save_pretrained(folder)
    ours = load_llava(folder)
chat, picture = torch.tensor([[3, *[50] * 16, 8, 9]]), torch.rand(1, 3, 16, 16, generator=seeded(0))
with torch.no_grad():
    gap = ours(chat, picture).logits - theirs(input_ids=chat, pixel_values=picture).logits
print("largest difference below 1e-4:", bool(gap.abs().max() < 1e-4))

# %% [markdown] id="6-does-it-look"
# ## 6 · Does it look?
#
# The course's own model has four visual tokens for each picture, one for each quarter, and a small language model, which was first
# trained on the same conversations *without* pictures. That is the first baseline: many questions can be guessed. The questions
# are of six kinds: which colour, shape, size or place a thing has, how many things there are (`count`), and whether there is one of
# a certain colour and shape (`exists`). The stored runs, measured on at most 64 questions of each kind, so that a single point of a
# curve may be off by more than ten percentage points; the left panel begins where the words and the projector have been trained:

# %% id="kinds-all-colour-shape-place-count"
count = sum(each.numel() for each in llava.language_model.parameters())
print(f"parameters of the language model: {count:,}")
kinds = ("all", "colour", "shape", "size", "place", "count", "exists")
logs = {"with pictures": stored_log("drawing-llava"), "words alone": stored_log("drawing-words")}
show(figures.curves(logs, kinds))
captions_only = stored_log("drawing-projector")
print(f"stage one: {captions_only[0]['all']:.0%} before, {captions_only[-1]['all']:.0%} after")

# %% [markdown] id="stage-one-hardly-helps"
# Stage one does hardly anything here. It works for a language model that can already look things up in what it is given, as a large
# one can: the projector then only has to learn its language. This one has only ever read questions without a picture. It never
# looks at visual tokens, and as long as it is frozen, no projector can make it.

# %% [markdown] id="predict-questions-have-six-kinds-for"
# > **Predict.** For which of the six kinds is guessing easiest? What will the trained model score if it is shown a
# > grey field, or the picture of a different question?

# %% id="words-stored-llava-drawing-words-device"
words = stored_llava("drawing-words", device)
results = {
    "words alone": answer_rates(words, 200, pictures="none"),
    "its picture": answer_rates(llava, 200),
    "a grey picture": answer_rates(llava, 200, pictures="blank"),
    "another picture": answer_rates(llava, 200, pictures="other"),
}
for name, found in results.items():
    print(f"{name:16}", found.all)

# %% id="for-kind-in-results-its-picture"
print(f"{'':8}", "  ".join(results))
for kind in results["its picture"].kinds:
    shares = [f"{each.kinds[kind].share:{len(name)}.0%}" for name, each in results.items()]
    print(f"{kind:8}", "  ".join(shares))
print("pairs never seen:", answer_rates(llava, 200, NEVER).all)

# %% [markdown] id="play-with-it-3"
# A model that guesses without looking would score about the same in the last three columns. This is the test to run on every model
# that is said to see, and kind by kind, since a mean can hide that some kinds are guessed. For which kinds does the 95 % interval
# with its own picture lie above all three others? That is a strict test: two intervals may overlap although the rates differ.
#
# About pairs that were never shown it answers clearly fewer questions. CLIP named most of them; but the language model has to
# compose what it learned about colours with what it learned about shapes, too.

# %% id="for-kind-found-in-results-its"
for kind, found in results["its picture"].kinds.items():
    others = [each.kinds[kind] for name, each in results.items() if name != "its picture"]
    best = max(others, key=lambda other: other.interval[1])
    above = found.interval[0] > best.interval[1]
    print(f"{kind:8} {found}, at most {best} without it:", "it looks" if above else "not shown")

# %% [markdown] id="this-is-an-honest-picture-of"
# It did not learn to look gradually. In the left panel above, `exists` stays for a thousand steps where guessing leaves it, and
# then rises. To answer about one of several things, attention must find the thing that the question names, and until it does,
# nothing is gained. (This is one run; with another seed a kind may rise earlier or later.) Some kinds have not got there. With
# one thing in the picture nothing has to be found, with several it has:

# %% id="asked-kind-things"
from course_lib.vision.conversations import drawn_questions
from course_lib.vision.evaluation import answers_right


def answered(kind, things):
    """Return how many questions of a kind are answered; `things` are the fewest and the most."""
    scenes = random_scenes(200, seeded(6), things, SEEN, alike=0.25)
    rows, questions = drawn_questions(scenes, kind, random.Random(6))
    drawn = draw(scenes.rows(torch.tensor(rows)), seeded(6)).to(device)
    return rate(answers_right(llava, questions, drawn))


for kind in ("shape", "size", "colour", "place"):
    print(f"{kind:6} one thing {answered(kind, (1, 1))}, two to four {answered(kind, (2, 4))}")

# %% [markdown] id="is-it-in-the-tokens"
# Is it missing in the visual tokens? A **linear probe**, a linear classifier fitted to vectors, tests what can be read from the
# tokens of things: as the encoder makes them, and as the projector hands them on. Here are the fractions read right.

# %% id="probe-scenes-random-scenes-1200-seeded"
probe_scenes = random_scenes(4000, seeded(5))
there = probe_scenes.present
with torch.no_grad():
    seen = llava.patches(draw(probe_scenes, seeded(5)).to(device))
    tokens_of = {
        "encoder": vision.pixel_shuffle(seen, 2),
        "projector": llava.multi_modal_projector(seen),
    }
facts = {name: getattr(probe_scenes, name) for name in ("shape", "size", "colour")}
facts["place"] = torch.arange(4).expand_as(there)


def probe(visual, given):
    """Return how often a linear classifier reads a fact in the visual token of a thing."""
    inputs, half = F.pad(visual.cpu()[there], (0, 1), value=1.0), int(there.sum()) // 2
    weights = torch.linalg.lstsq(inputs[:half], F.one_hot(given[there][:half]).float()).solution
    return rate((inputs[half:] @ weights).argmax(1) == given[there][half:])


# %% id="for-name-given-in-facts-items"
for name, given in facts.items():
    read = [f"{part} {probe(visual, given).share:.1f}" for part, visual in tokens_of.items()]
    print(f"{name:6}", ", ".join(read))

# %% [markdown] id="what-an-ingredient-adds"
# The encoder knows where each thing is, and the projector throws much of that away: it was trained to keep what the language model
# uses, and this one does not yet use the place of one thing among several. The colour does get through. But a question about it
# names the thing by its shape ("the circle"), and even from the encoder's tokens the shape is read less well than the rest.
#
# ### What does an ingredient add?
#
# The recipes have many ingredients; which of them matter? To say that takes runs with and without each, and several of both.
# Here is how it is done, for the recipe of CLIP. Whole runs would take hours, so these are short, 200 steps instead of 2000.
# Each variant differs from the recipe in one respect, and has the same three seeds:
#
# | variant | what is different |
# |---|---|
# | batches as they come | 40 random pairs each, instead of the composed batches of section 3 (no **hard negatives**) |
# | no groups that differ in shape | without the batches whose captions name only the shape, in groups with one drawing of each shape |
# | drawings that never vary | a large red circle at the top left always looks the same (no **augmentation**) |
# | half the steps | the schedule is shortened with them |
#
# > **Predict.** Which of these changes do harm, which do good, and which neither?

# %% id="table-measurements-stored"
recipe = measurements.stored()["runs"]["clip"][measurements.RECIPE].values()
for measure in ("seen", "never seen"):
    right = [run[measure] for run in recipe]
    print(f"the recipe, pairs {measure}:", ", ".join(f"{share:.0%}" for share in right))
panels = {f"pairs {name}": measurements.gains("clip", name) for name in ("seen", "never seen")}
show(figures.gains(panels))

# %% [markdown] id="each-dot-is-the-difference"
# Each dot is the difference that a variant makes with one seed. The square is the mean of the three, and the line its 95 %
# interval. For three values that takes Student's distribution: 4.3 standard errors to each side, instead of 2.
#
# Every interval contains 0. The first two lines show why: after so few steps, the recipe's own runs lie that far apart. Three short
# runs show large effects only. In two things all seeds agree, and more of them would have to confirm it: with half the steps,
# fewer of the seen pairs are named; and batches as they come do *better*. Is section 3 wrong? A random batch of 40 has rivals of
# every colour and shape as well, and all of its captions name pairs, which is what this test asks for. The recipe's batches also
# ask for lists, sizes and places, which LLaVA needs later; that costs steps. Drawings that never vary do no harm that three runs
# could show: 200 steps may be too few to learn pictures by heart. What helps a short run need not help a long one.
#
# Now the same for LLaVA's second stage, with 150 steps instead of 2600, drawings of at most two things, and no first stage:
#
# | variant | what is different |
# |---|---|
# | no descriptions | only questions are asked; the recipe asks for a description a quarter of the time |
# | 512 drawings, encoded once | the encoder's features are kept instead of computed for new drawings in each step |
# | first weights of 0.02 | the language model starts with narrower weights than 1/√96, about 0.10 |
# | half the steps | the schedule is shortened with them |

# %% id="for-measure-in-seen-never-seen"
recipe = measurements.stored()["runs"]["llava"][measurements.RECIPE].values()
for measure in ("seen", "never seen"):
    right = [run[measure] for run in recipe]
    print(f"answers about pairs {measure}:", ", ".join(f"{share:.0%}" for share in right))
about = {f"answers about pairs {name}": name for name in ("seen", "never seen")}
show(figures.gains({title: measurements.gains("llava", name) for title, name in about.items()}))

# %% [markdown] id="play-with-it-5"
# Here the seeds agree much better, and two intervals leave out 0. Half the steps cost more than a tenth of the answers: this stage is
# far from its end. And a run this short is better off *without* descriptions, most clearly about pairs it has never seen: a step
# spent on a description is a step less for questions. Keeping 512 drawings does no harm in 150 steps, though it repeats each of them
# several times. Narrow first weights seem to do harm, but one seed of three makes that interval wide. Be careful with such lists:
# of twenty 95 % intervals, one misses the truth on average, and two pictures like these show sixteen.
# (`python -m course_lib.chapters.multimodal.measurements` repeats all of these runs.)
#
# ### Play with it
#
# Ask about a drawing, and see what each layer reads of its quarters at the place where the answer begins, as a mean over heads. Is
# the quarter that is read most the one that the question names? Often it is not, and the answer may still be right: attention is
# no proof of what was used.

# %% id="explorers-multimodal-looks"
explorers.multimodal.looks()

# %% [markdown] id="7-what-a-picture-costs"
# ## 7 · What a picture costs
#
# A fixed encoder reads squares of one size. A larger picture is shrunk, and small print is lost; or it is cut into **tiles**, each
# encoded alone, with a thumbnail of the whole so that the model knows how they fit together. Every token is read by the language
# model, and stays in its KV cache.
#
# By hand: LLaVA-1.5 reads 336 x 336 pixels in patches of 14, which is $24^2 = 576$ tokens. A page of 672 x 672 is four tiles and a
# thumbnail: 2 880 tokens.
#
# ### Build it
#
# An encoder reads squares of `tile` pixels a side, in patches of `patch` pixels a side. A picture of `height` x `width` pixels
# is cut into tiles; where its sides are not multiples of `tile`, the last tiles are padded. With more than one tile, a thumbnail
# of the whole picture is read as one more square. After the encoder, a pixel shuffle joins blocks of `shuffle` x `shuffle`
# patches. `tile` is a multiple of patch · shuffle; class tokens are dropped. Return the number of visual tokens, a whole number.


# %% id="multimodal.tokens"
@exercise("multimodal.tokens")
def tokens(height, width, tile, patch, shuffle):
    """Return the number of visual tokens of a picture."""
    ...


# %% id="reveal-multimodal-tokens"
reveal("multimodal.tokens")

# %% [markdown] id="play-with-it-4"
# ### Play with it
#
# Move the side of the picture over a multiple of the tile, and see the jump. (The side of a tile is rounded down to a multiple of
# two patches, so that both tiled lines can be drawn.)

# %% id="explorers-multimodal-budget"
explorers.multimodal.budget()

# %% [markdown] id="8-positions-in-three-directions"
# ## 8 · Positions in three directions
#
# Spliced visual tokens get positions like words: 0, 1, 2, … in reading order. Then the patch just below is a whole row away, and
# a picture of 576 tokens moves the text on by 576 places. **M-RoPE** (Qwen2-VL) gives each token three positions instead: time,
# row and column. [RoPE](06_rope.ipynb) rotates some planes of each head by each of them. On text all three are equal, and it is
# ordinary RoPE.
#
# By hand, a text of two words (w), a picture of 2 x 2 patches (p), and a text of one word:
#
# | | w | w | p | p | p | p | w |
# |---|---|---|---|---|---|---|---|
# | time | 0 | 1 | 2 | 2 | 2 | 2 | 4 |
# | row | 0 | 1 | 2 | 2 | 3 | 3 | 4 |
# | column | 0 | 1 | 2 | 3 | 2 | 3 | 4 |
#
# ### Build it
#
# A sequence is given as a list of segments, perhaps empty: a whole number n for a text of n tokens, or a pair (rows, columns)
# for a picture with that many visual tokens, in reading order; all at least 1. Each segment begins at a number s, which is 0 for
# the first one. Token i of a text has the position s + i three times. The token of a picture in row r and column c has the
# positions s, s + r and s + c. The next segment begins at the largest position so far plus one. Return a tensor of whole numbers
# (3, T): time, row, column.


# %% id="multimodal.mrope"
@exercise("multimodal.mrope")
def mrope(segments):
    """Return time, row and column of every token: (3, T)."""
    ...


# %% id="reveal-multimodal-mrope"
reveal("multimodal.mrope")

# %% [markdown] id="how-far-does-a-picture-of"
# How far does a picture of 24 x 24 visual tokens move the text on?

# %% id="positions-vision-mrope-positions-5-24"
positions = vision.mrope_positions([5, (24, 24), 1])
print("tokens before the last word:", positions.shape[1] - 1)
print("its position with M-RoPE:", positions[:, -1].tolist())

# %% [markdown] id="9-what-it-costs"
# ## 9 · What it costs
#
# Reading a token costs about two FLOPs for each parameter of the model that reads it. Take a language model of 8 billion parameters
# with a cache of 128 KiB for each token, and a vision encoder of 300 million parameters.
#
# > **Predict.** Which of the two costs more for one picture, and how many times as much?

# %% id="per-token-cache-2-8e9-128"
per_token, cache = 2 * 8e9, 128 * 1024
for name, side, shuffle in (("336 px", 336, 1), ("672 px", 672, 1), ("672 px, shuffled", 672, 2)):
    visual = vision.picture_tokens(side, side, 336, 14, shuffle)
    patches = vision.picture_tokens(side, side, 336, 14)
    encoder = 2 * 300e6 * patches
    print(f"{name:17} {visual:5} tokens, encoder {encoder / 1e12:.1f} TFLOPs,",
          f"language model {visual * per_token / 1e12:4.1f}, cache {visual * cache / 2**20:.0f} MiB")  # fmt: skip

# %% [markdown] id="10-wrong-claims-refuted"
# The encoder is the cheap part. Its tokens are read by the large model, and every token of an answer reads their keys again.
#
# ## 10 · Wrong claims, refuted
#
# **"CLIP's scale starts at 1."** It starts at $1/0.07$, and the parameter is its logarithm, 2.66:

# %% id="fresh-fresh-clip-0-logit-scale"
fresh = fresh_clip(0).logit_scale
print("parameter:", rounded(fresh.detach(), 2), "scale:", rounded(fresh.detach().exp(), 2))
print("after training:", rounded(clip.logit_scale.detach().exp(), 0))

# %% [markdown] id="to-freeze-the-language-model-run"
# **"To freeze the language model, run it under `no_grad`."** Then no gradient comes back *through* it either, and the projector
# before it learns nothing. Freezing means that the parameters take no gradient, while the graph goes on:

# %% id="with-seeded-draws-0"
with seeded_draws(0):
    projector, model = torch.nn.Linear(3, 3), torch.nn.Linear(3, 1)
model.requires_grad_(False)
model(projector(torch.ones(1, 3))).sum().backward()
print("frozen: the projector has a gradient:", projector.weight.grad is not None)
with torch.no_grad():
    output = model(projector(torch.ones(1, 3))).sum()
print("under no_grad: there is a graph to go back through:", output.requires_grad)

# %% [markdown] id="the-loss-falls-so-it-looks"
# **"The loss falls, so it looks at the picture."** The loss of the model without any picture fell as well, since it learned what is
# usually asked and answered. Only the same questions with the wrong picture tell:

# %% id="first-last-stored-log-drawing-words"
first, last = stored_log("drawing-words")[1], stored_log("drawing-words")[-1]
print("loss without pictures:", round(first["loss"], 2), "then", round(last["loss"], 2))
looks = results["its picture"].all.interval[0] > results["another picture"].all.interval[1]
print("the intervals with the right and a wrong picture are apart:", looks)

# %% [markdown] id="clip-understands-word-order-two-things"
# **"CLIP understands word order."** Two things, and a caption that swaps their colours. A bag of words is the same; the picture
# is not:

# %% id="source-torch-generator-manual-seed-1"
source = seeded(1)
right = []
while len(right) < 200:
    i, j = torch.randint(len(SEEN), (2,), generator=source).tolist()
    (c, s), (d, t) = SEEN[i], SEEN[j]
    if c == d or s == t:
        continue
    drawn = draw(scenes_of([[Thing(c, s, 1, 0), Thing(d, t, 1, 1)]]), source)
    said = [list_caption([Thing(a, s, 1, 0), Thing(b, t, 1, 1)]) for a, b in ((c, d), (d, c))]
    with torch.no_grad():
        logits = clip(drawn.to(device), caption_ids(said).to(device))[0]
    right.append(bool(logits[0] > logits[1]))
print("the right caption is preferred to the swapped one:", rate(right))

# %% [markdown] id="recap"
# Chance is 50 %, and it lies within the interval. Captions that swap colours hardly ever stood in one batch in training, so nothing
# made the model tell them apart; compare with its nearly perfect colours. Binding a colour to its shape must be asked for by the
# batches, like everything else in contrastive training.
#
# ## Recap
#
# 1. A picture is a row of patches: a matrix turns each into a token, and a class token reads them all.
# 2. CLIP learns from the rivals in its batch, and only what they differ in. The scale starts at 14.3. Classes are captions.
# 3. LLaVA: patches, projector, splice. Each visual token needs one placeholder, and none is a target.
# 4. Freezing takes gradients from parameters, not from the graph. Stage one trains the projector, stage two the language model too.
# 5. Compare with the words alone, a grey picture and a wrong one, with intervals; count tokens before you raise the resolution.
#
# ### Test yourself

# %% id="quiz-multimodal"
quiz("multimodal")

# %% [markdown] id="further-sound-as-patches"
# ## Further: sound as patches
#
# A **spectrogram** says how much of each frequency a sound holds at each moment. It is a picture, and the same encoder reads its
# patches. Three tones of 220, 440 and 330 Hz; with 2000 samples a second in windows of 126, a step along the frequency axis is
# 2000 / 126, about 16 Hz, and a frame begins every 32 samples, 16 ms. (This encoder reads squares in three channels, so the cell
# after the figure drops the top eight frequencies and repeats the one channel.)

# %% id="samples-vision-tone-220-0-440"
samples = vision.tone([220.0, 440.0, 330.0], seconds=1.0, rate=2000)
levels = vision.spectrogram(samples, window=126, hop=32)[:, :56]
theirs = torch.stft(samples, 126, 32, window=torch.hann_window(126), center=False,
                    return_complex=True).abs()[:, :56]  # fmt: skip
print("the same as torch.stft:", torch.allclose(levels, (theirs**2 + 1e-6).log(), atol=1e-3))
show(figures.sound(levels, 8))

# %% id="with-seeded-draws-0-2"
with seeded_draws(0):
    encoder = vision.VisionModel(vision.VisionConfig(32, 64, 2, 4, image_size=56, patch_size=8))
square = levels[:56].expand(1, 3, 56, 56)
print("tokens of the sound:", tuple(encoder(square).hidden[-1].shape))

# %% [markdown] id="further-cross-attention-instead-of-splicing"
# Speech models differ in their patches (strips of a few frames, over all frequencies) more than in their encoder. From there on, a
# projector and placeholders do for sound what they do for pictures.
#
# ## Further: cross-attention instead of splicing
#
# Flamingo and Llama 3.2 leave the text as it is. Layers between the blocks let each word read the visual tokens by
# **cross-attention**: queries from the text, keys and values from the picture. The text does not get longer, and its cache holds
# no visual tokens; the price is new layers. What they add is multiplied by a gate, tanh of a number that starts at 0, so that
# the language model is at first unchanged.

# %% id="with-seeded-draws-0-3"
from course_lib.attention import MultiHeadAttention

with seeded_draws(0):
    cross = MultiHeadAttention(24, 4)
text, visual = torch.randn(1, 7, 24), torch.randn(1, 576, 24)
gate = torch.zeros(1)
read, weights = cross(text, context=visual, return_weights=True)
print("weights of 7 words on 576 visual tokens:", tuple(weights.shape))
print("at first the text is unchanged:", torch.equal(text + gate.tanh() * read, text))

# %% [markdown] id="papers"
# ### Papers
# - Dosovitskiy et al. 2021, *An image is worth 16x16 words*, arXiv:2010.11929.
# - Radford et al. 2021, *Learning transferable visual models from natural language supervision*, arXiv:2103.00020 (CLIP).
# - Zhai, Mustafa, Kolesnikov & Beyer 2023, *Sigmoid loss for language image pre-training*, arXiv:2303.15343 (SigLIP).
# - Yuksekgonul et al. 2023, *When and why vision-language models behave like bags-of-words*, arXiv:2210.01936.
# - Liu, Li, Wu & Lee 2023, *Visual instruction tuning*, arXiv:2304.08485, and *Improved baselines*, arXiv:2310.03744 (LLaVA).
# - Laurençon et al. 2024, *Building and better understanding vision-language models*, arXiv:2408.12637 (pixel shuffle).
# - Wang et al. 2024, *Qwen2-VL*, arXiv:2409.12191 (M-RoPE).
# - Alayrac et al. 2022, *Flamingo*, arXiv:2204.14198 (cross-attention).
# - Gong, Chung & Glass 2021, *AST: audio spectrogram transformer*, arXiv:2104.01778.
# - Wilson 1927, *Probable inference, the law of succession, and statistical inference*, doi:10.1080/01621459.1927.10502953.
#
# **Next:** the self-check of the notebooks that you have read, and a question of your own.
