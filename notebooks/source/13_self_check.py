# %% [markdown] id="13-self-check"
# # 13 · Self-check
#
# **Have I understood it?**
#
# You have worked through tokens, attention, positions, whole models, their cost, training and generation. This notebook adds
# little. It asks: forty-six questions on all of that, three functions to write from memory, three things to design. It also
# shows what is recorded of your work, and brings back what you are about to forget.
#
# After this notebook you can
# - say from memory why the parts of a model are as they are, and what argues against the alternatives;
# - compute what a model costs, and predict what a few lines of code print;
# - find the one wrong line in short code, and put the steps of a process in order;
# - write attention, RoPE and text generation without looking them up;
# - design a model or a service for a purpose, and judge your own design.
#
# About 120 minutes, better in several sittings. Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/13_self_check.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/13_self_check.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/13_self_check.ipynb).

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
from course_lib.study import (
    checklist,
    dashboard,
    due_quiz,
    exercise,
    explorers,
    figures,
    hint,
    mixed_quiz,
    quiz,
    reveal,
    rounded,
    show,
)

# %% [markdown] id="1-where-you-stand"
# ## 1 · Where you stand
#
# Each exercise that you ran and each question that you answered was recorded on this machine, and nowhere else. The next cell
# draws the record. The blue bars are exercises that passed, the orange ones questions that you answered correctly *the last
# time*. On the right each square is one ability; its green part is the share of its exercises that passed and its questions that
# are correct. In a saved copy you see an empty record.

# %% tags=["nbval-ignore-output"] id="dashboard"
dashboard()

# %% [markdown] id="the-same-by-ability-in-words"
# The same by ability, in words. An ability is *shown* when all of its exercises have passed and all of its questions are
# correct, and *begun* when some are. The table counts only what you have shown here, not what you may know besides.

# %% tags=["nbval-ignore-output"] id="checklist"
checklist()

# %% [markdown] id="outside-the-notebooks-course-progress-prints"
# Outside the notebooks, `course progress` prints the short form, and `course progress --report record.html` writes all of it
# into one file that works offline, to keep or to show to somebody.

# %% [markdown] id="2-why-questions-come-back"
# ## 2 · Why questions come back
#
# What you knew on Monday may be gone on Friday, unless you were asked on Wednesday. The best time for a question is shortly before
# you would have forgotten the answer. Nobody knows that moment, but it can be estimated. The course uses FSRS, a scheduler fitted
# to the histories of many learners (Ye, Su and Cao 2022). For each question it keeps two numbers: how *difficult* the question is
# for you, and how *stable* your memory of it is, in days. With stability $S$ the probability of remembering after $t$ days falls
# from 1 as
#
# $$R(t) = \left(1 + f \cdot \frac{t}{S}\right)^{-d}$$
#
# where $d$ is a constant, fitted like all of FSRS, and $f$ is chosen so that $R(S) = 0.9$: the stability is the time after which
# you still remember with a probability of 90 %.
#
# At that time the question is due. Each correct answer increases $S$, more so if you had nearly forgotten. A wrong answer
# makes it small again.
#
# > **Predict.** You answer a question correctly each time it is due. The first wait is two days. How long is the fourth?

# %% id="show-figures-self-check-forgetting-true"
show(figures.self_check.forgetting([True, True, True, True]))

# %% [markdown] id="a-handful-of-answers-carries-a"
# 163 days: with the waits before, four correct answers cover more than half a year. Now the same with one wrong answer:
#
# > **Predict.** The fourth answer is wrong. Is everything lost that the first three built up?

# %% id="show-figures-self-check-forgetting-true-2"
show(figures.self_check.forgetting([True, True, True, False, True, True]))

# %% [markdown] id="not-everything-as-the-waits-in"
# Not everything. Compare the waits, in days, with those of a new question:

# %% id="new-figures-self-check-reviews-false"
new = figures.self_check.reviews([False, True, True])
old = figures.self_check.reviews([True, True, True, False, True, True])
print("a new question, first answer wrong:", [round(each.wait) for each in new])
print("a known one, after its mistake:    ", [round(each.wait) for each in old[3:]])

# %% [markdown] id="play-with-it"
# After a mistake, old knowledge still earns a longer wait than a new question. But the long wait that it had reached is gone and
# must be built up again.
#
# ### Play with it
# Choose which answer is wrong, or 0 for none. Then answer late: the longer you let a question wait, the likelier you are to fail, and
# the more stability you gain if you do not. After a failure the next wait is short, however late the answer was.

# %% id="explorers-self-check-forgetting-wrong-4"
explorers.self_check.forgetting(wrong=2, late=5)

# %% [markdown] id="two-cells-to-come-back-to"
# Two cells to come back to. The first asks what is due now, starting with the question that you are most likely to have
# forgotten. The second draws ten questions from as many notebooks as possible, and prefers those that you have not seen.
# Questions with numbers have different numbers each time. In a terminal, `course review` does what the first cell does.

# %% tags=["nbval-ignore-output"] id="due-quiz"
due_quiz()

# %% tags=["nbval-ignore-output"] id="mixed-quiz"
mixed_quiz()

# %% [markdown] id="3-the-questions"
# ## 3 · The questions
#
# Five quizzes, in the order of the course. In *what does this print* you type the output (spaces do not matter); in *one line is
# wrong* you choose the line. Tab, arrow keys and Space are enough for everything. Try to say the reason aloud before you press
# Check: an answer without a reason is half an answer.
#
# ### Text and tokens

# %% id="quiz-self-check-text-and-tokens"
quiz("self_check", "text and tokens")

# %% [markdown] id="attention-and-positions"
# ### Attention and positions

# %% id="quiz-self-check-attention-and-positions"
quiz("self_check", "attention and positions")

# %% [markdown] id="norms-mlps-and-blocks"
# ### Norms, MLPs and blocks

# %% id="quiz-self-check-norms-mlps-and-blocks"
quiz("self_check", "norms, MLPs and blocks")

# %% [markdown] id="models-and-their-cost"
# ### Models and their cost

# %% id="quiz-self-check-models-and-their"
quiz("self_check", "models and their cost")

# %% [markdown] id="training-and-writing"
# ### Training and generation

# %% id="quiz-self-check-training-and-writing"
quiz("self_check", "training and generation")

# %% [markdown] id="4-three-things-to-write"
# ## 4 · Three things to write
#
# You have written the first two before, in pieces. Now write them whole, without looking back. The first `hint()` of each names
# the notebook that teaches it. Some imports first:

# %% id="imports-2"
import math

import torch

from course_lib.attention import causal_mask, scaled_dot_product_attention
from course_lib.chapters.self_check import with_transformers
from course_lib.device import seeded
from course_lib.model.functions import greedy_continuation
from course_lib.pretrained import FOLDER, course_model, course_tokenizer
from course_lib.rope import turn_to_positions

# %% [markdown] id="attention-with-a-mask"
# ### Attention with a mask
#
# Compare a query with every key, hide what it may not read, and average the values. Small enough to do by hand: one query 2 with
# one feature, the keys 1 and 0, the values 10 and 20. The scores are 2 and 0, softmax gives 0.881 and 0.119, and the mean is
# **11.19**.
#
# `q` is (…, T, D), `k` (…, S, D), `v` (…, S, Dv), with any number of leading axes. `mask`, if given, is True where a query may
# attend, and broadcasts to (…, T, S). The result has the dtype of `q`. The gradient is checked too.

# %% id="q-k-v-torch-tensor-2"
q, k, v = torch.tensor([[2.0]]), torch.tensor([[1.0], [0.0]]), torch.tensor([[10.0], [20.0]])
print("mean:", rounded(scaled_dot_product_attention(q, k, v), 2))
hidden = torch.tensor([[False, True]])
print("with the first key hidden:", rounded(scaled_dot_product_attention(q, k, v, hidden), 2))

# %% [markdown] id="predict-and-if-both-keys-are"
# > **Predict.** And if both keys are hidden? People give three answers: the mean of both values, `nan`, and zero. Your function
# > should return the one that does no harm in later layers.


# %% id="self_check.attention"
@exercise("self_check.attention")
def attention(q, k, v, mask=None):
    """Return softmax(q · k / √D) v; `mask` is True where a query may attend."""
    ...


# %% id="reveal-self-check-attention"
reveal("self_check.attention")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing

# %% id="x-torch-randn-2-3-6"
x = torch.randn(2, 3, 6, 8, generator=seeded(0))
mask = causal_mask(6, 6)
ours = scaled_dot_product_attention(x, x, x, mask)
theirs = torch.nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)
print("agrees with torch:", torch.allclose(ours, theirs, atol=1e-6))
nothing = scaled_dot_product_attention(q, k, v, torch.tensor([[False, False]]))
print("nothing to read:", rounded(nothing))

# %% [markdown] id="rope-whole"
# Zeros. The mean of both values would contain what must not be read, and a single `nan` spreads to every number that it is
# combined with. Zeros add nothing to the residual stream.
#
# ### RoPE, whole
#
# The smallest case: a head of two features, a token at position 1. Its only plane rotates by 1 radian per token, so (1, 0)
# becomes (cos 1, sin 1) = **(0.540, 0.841)**.
#
# Write the rest from memory: how fast each plane rotates, and how a pair of features changes. Use the layout of Qwen3, in which a
# plane consists of features from the two *halves* of the head. `x` is (…, T, D) with even D, `positions` (T) are integers, and
# the result has the shape and dtype of `x`. The gradient is checked too.

# %% id="turned-turn-to-positions-torch-tensor"
rotated = turn_to_positions(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
print("rotated:", rounded(rotated))
print("by hand:", [round(math.cos(1), 3), round(math.sin(1), 3)])

# %% [markdown] id="predict-a-query-and-a-key"
# > **Predict.** A query and a key are rotated to the positions 7 and 3, then to 1007 and 1003. Do their scores differ?


# %% id="self_check.rope"
@exercise("self_check.rope")
def rotate(x, positions, base=10_000.0):
    """Return x (…, T, D) with each plane rotated according to the positions (T)."""
    ...


# %% id="reveal-self-check-rope"
reveal("self_check.rope")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing

# %% id="x-positions-torch-randn-2-3"
from transformers import Qwen3Config
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding, apply_rotary_pos_emb

x, positions = torch.randn(2, 3, 5, 8, generator=seeded(1)), torch.tensor([0, 1, 4, 5, 90])
cos, sin = Qwen3RotaryEmbedding(Qwen3Config(head_dim=8))(x, positions[None])
base = Qwen3Config().rope_parameters["rope_theta"]
theirs, _ = apply_rotary_pos_emb(x, x, cos, sin)
print(
    "agrees with Qwen3:", torch.allclose(turn_to_positions(x, positions, base), theirs, atol=1e-5)
)
q, k = torch.randn(2, 1, 8, generator=seeded(2))
for shift in (0, 1000):
    places = torch.tensor([7 + shift]), torch.tensor([3 + shift])
    score = turn_to_positions(q, places[0]) @ turn_to_positions(k, places[1]).mT
    print(f"query at {7 + shift}, key at {3 + shift}: score {score.item():.2f}")

# %% [markdown] id="text-generation-with-transformers"
# The scores are the same: only the distance matters, 4 tokens in both cases.
#
# ### Text generation with `transformers`
#
# Most programs that generate text consist of a few calls. You have built everything that these calls do; here you use them, with
# the course's own model, which is stored in a folder with the layout of the Hugging Face hub. With a network connection, a name
# such as `Qwen/Qwen3-0.6B` would work as well.

# %% id="model-tokenizer-with-transformers-load-folder"
model, tokenizer = with_transformers.load(FOLDER)
print("the model:", type(model).__name__)
print("short rows are padded with", tokenizer.pad_token)

# %% [markdown] id="a-batch-is-a-matrix-of"
# A batch is a matrix of ids, and texts have different lengths, so short rows are padded. On which side?
#
# > **Predict.** `generate` appends the next token after the *last column*. What does a model generate after a row that ends in
# > padding?

# %% id="texts-import-if-the-file-does"
texts = ["import", "If the file does not exist, an exception is raised and"]
for side in ("right", "left"):
    rows = tokenizer(texts, padding=True, padding_side=side).attention_mask
    print(f"padded on the {side}: each row ends in text:", all(row[-1] == 1 for row in rows))

# %% [markdown] id="build-it"
# With padding on the right the short row ends in padding, and what the model generates after it is not a continuation of the text.
# So decoder-only models are padded on the left. The attention mask is passed along, so that padding is not read and positions count
# from the first real token.
#
# ### Build it
# Three calls: the tokenizer, `generate`, and back to text. `texts` is a list of strings of any lengths. Always take the most likely
# token, at most `new_tokens` of them, fewer where the model ends the text. Return a list with the new text of each row, without the
# prompt and without special tokens.


# %% id="self_check.continue_texts"
@exercise("self_check.continue_texts")
def continue_texts(model, tokenizer, texts, new_tokens):
    """Return a list with the greedy continuation of each text."""
    ...


# %% id="reveal-self-check-continue-texts"
reveal("self_check.continue_texts")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against your own
# This time the reference is your own work: the model class of notebook [The whole transformer](08_transformer.ipynb), with the same
# weights, in a plain loop.

# %% id="ours-reader-course-model-course-tokenizer"
ours, reader = course_model(), course_tokenizer()
written = with_transformers.continue_texts(model, tokenizer, texts, 12)
for text, theirs in zip(texts, written, strict=True):
    ids = torch.tensor(reader.encode_ordinary(text))
    with torch.no_grad():
        own = greedy_continuation(lambda given: ours(given).logits, ids, 12)
    print("the same text from both:", reader.decode(own) == theirs)

# %% [markdown] id="and-what-does-it-write-it"
# And what does it generate? It is a small model of Python's own documentation:

# %% tags=["nbval-ignore-output"] id="for-text-theirs-in-zip-texts"
for text, theirs in zip(texts, written, strict=True):
    print(repr(text), "→", repr(theirs))

# %% [markdown] id="5-three-things-to-design"
# ## 5 · Three things to design
#
# There is no answer key for these. Write half a page for each, as you would for a colleague, with numbers where you can compute them
# (notebook [Counting parameters](09_parameter_counting.ipynb) has the functions). Then press Compare: a model answer and a list of
# criteria appear. Tick what your text really contains. The result is recorded as your own judgment, and counted separately. Your
# text is not stored.
#
# A few ideas that you need here have not come up before (notebook [Serving](16_serving.ipynb) builds the first two):
#
# - **Continuous batching.** Texts of a batch end at different times. A server lets a new request take the free row at once,
#   instead of waiting until the whole batch is done. **Prefix caching**: requests that start with the same tokens, such as a long
#   system prompt, share the keys and values of that beginning.
# - **Long documents.** RoPE scaling alone does not teach a model to use distant text. Training ends with a stage on long
#   documents. To test the result, hide facts at every depth of a long context and ask for them, alone and combined.
# - **Distillation.** A small model is trained to match the probabilities of a large one.
# - **Images.** A *vision encoder*, itself a transformer, cuts an image into square patches and returns a vector for each. A
#   *projector*, a small MLP, maps these vectors to the width of the language model's embeddings. They then take the place of
#   tokens in the sequence, between two special tokens; the blocks do not change. First the projector alone is trained, with the
#   rest frozen, since the large gradients of a random projector would spoil good weights; then more parts. Patches have no id,
#   so the loss is taken on the tokens of the answer.

# %% id="quiz-self-check-design"
quiz("self_check", "design")

# %% [markdown] id="6-claims-that-are-wrong"
# ## 6 · Claims that are wrong
#
# > *"The side of the padding is a matter of taste, since the mask hides it."*
#
# The mask hides padding from attention. It does not change the column from which the next token is predicted.

# %% id="short-tokenizer-import-return-tensors-pt"
short = tokenizer(["import"], return_tensors="pt")
padded = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
with torch.no_grad():
    alone = model(**short).logits[0, -1]
    last_column = model(**padded).logits[0, -1]
    last_real = model(**padded).logits[0, int(padded.attention_mask[0].sum()) - 1]
print("at the last real token, as alone:", torch.allclose(alone, last_real, atol=1e-3))
print("at the last column, as alone:    ", torch.allclose(alone, last_column, atol=1e-3))

# %% [markdown] id="generate-is-a-black-box-that"
# > *"With `do_sample=False`, `generate` is exactly the greedy loop."*
#
# Only if the checkpoint's *generation config* changes nothing. It may contain a repetition penalty, forbidden tokens or a minimum
# length, and these apply to greedy decoding too. The course's model has none, so section 4 agreed token by token. With a penalty:

# %% id="greedy-with-a-penalty"
model.generation_config.repetition_penalty = 1.3
penalized = with_transformers.continue_texts(model, tokenizer, texts, 12)
model.generation_config.repetition_penalty = None
again = with_transformers.continue_texts(model, tokenizer, texts, 12)
print("with a penalty in the config, the same text:", penalized == written)
print("without it again, the same text:            ", again == written)

# %% [markdown] id="three-times-today"
# > *"I answered it correctly three times today, so I know it."*
#
# What counts is the time between the answers. Three correct answers within an hour, or three on the days when the question was
# due:

# %% id="wait-after"
from datetime import UTC, datetime, timedelta

from course_lib.study.record import schedule


def wait_after(moments):
    """Return the days until a question is due after correct answers at these moments."""
    state = None
    for at in moments:
        state = schedule.after(state, schedule.rating(True), at)
    return (schedule.due(state) - moments[-1]).days


first = datetime(2026, 1, 1, tzinfo=UTC)
print("three times in an hour:", wait_after([first + timedelta(minutes=20 * k) for k in range(3)]))
print("three times when due:  ", wait_after([first + timedelta(days=day) for day in (0, 2, 13)]))

# %% [markdown] id="recap"
# ## Recap
#
# - A model consists of few parts. You have built each, and can say what it is for and what it costs.
# - The record is evidence, not a grade: it contains what you have shown.
# - A question is asked again shortly before you would have forgotten the answer; correct answers make the waits longer.
# - In a batch, pad on the left, pass the mask, and cut off the prompt by its length in tokens.
# - A design is a list of decisions, each with the number from which it follows and the test that could refute it.
#
# ## Papers
#
# - J. Ye, J. Su, Y. Cao: *A stochastic shortest path algorithm for optimizing spaced repetition scheduling*. KDD 2022,
#   doi:10.1145/3534678.3539081.
# - N. Cepeda et al.: *Distributed practice in verbal recall tasks: a review and quantitative synthesis*. Psychological Bulletin
#   132, 2006.
# - On the content of the questions: A. Vaswani et al. 2017, arXiv:1706.03762; J. Su et al. 2021, arXiv:2104.09864; T. Dao et al.
#   2022, arXiv:2205.14135; Y. Leviathan et al. 2022, arXiv:2211.17192.
#
# ## What comes next
#
# The notebooks that follow use all of this, beginning with [Fine-tuning](14_fine_tuning.ipynb). Come back to sections 1 and 2 in a few days, or type `course review`: the questions that you
# missed are due tomorrow.
