# %% [markdown] id="13-self-check"
# # 13 · Self-check
#
# **Do I have it?**
#
# You have been through tokens, attention, positions, whole models, their cost, training and writing. This notebook adds
# little. It asks: thirty-seven questions over the whole course, three functions to write from memory, three things to design.
# It also shows what is recorded of your work, and brings back what you are about to forget.
#
# After this notebook you can
# - say from memory why the parts of a model are as they are, and what speaks against the other ways;
# - compute what a model costs, and predict what a few lines of code print;
# - find the one wrong line in short code, and put the steps of a process in order;
# - write attention, RoPE and text generation without looking them up;
# - design a model or a service for a purpose, and judge your own design.
#
# About 90 minutes, better in several sittings. Nothing is downloaded.

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
# draws it. The blue bars are exercises that passed, the orange ones questions that were right *the last time* you answered
# them. On the right each square is one ability, and green as far as its exercises have passed and its questions are right. In
# a saved copy you see an empty record.

# %% tags=["nbval-ignore-output"] id="dashboard"
dashboard()

# %% [markdown] id="the-same-by-ability-in-words"
# The same by ability, in words. An ability is *shown* when everything that counts as evidence for it is there, and *begun* when
# a part of it is. Nothing is guessed: what you know and never showed, this table does not know.

# %% tags=["nbval-ignore-output"] id="checklist"
checklist()

# %% [markdown] id="outside-the-notebooks-course-progress-prints"
# Outside the notebooks, `course progress` prints the short form, and `course progress --report record.html` writes all of it
# into one file that needs no network: something to keep, or to hand to somebody who asks what you did.

# %% [markdown] id="2-why-questions-come-back"
# ## 2 · Why questions come back
#
# What you knew on Monday may be gone on Friday, unless you were asked on Wednesday. The best time to be asked is shortly before you
# would have forgotten: earlier is a waste of time, later is a failure. Nobody knows that moment, but it can be estimated. The
# course uses FSRS, a scheduler fitted to the histories of many learners (Ye, Su and Cao 2022). For each question it keeps two
# numbers: how *difficult* the question is for you, and how *stable* your memory of it is, in days. With stability $S$ the chance
# to remember after $t$ days falls from 1 along
#
# $$R(t) = \left(1 + f \cdot \frac{t}{S}\right)^{-d}, \qquad f, d \text{ such that } R(S) = 0.9$$
#
# When it reaches 0.9 the question is due. Each right answer makes $S$ larger, and the larger, the more you had forgotten
# meanwhile. A wrong answer makes it small again.
#
# > **Predict.** You answer a question right each time it is due. The first wait is two days. How long is the fourth?

# %% id="show-figures-self-check-forgetting-true"
show(figures.self_check.forgetting([True, True, True, True]))

# %% [markdown] id="a-handful-of-answers-carries-a"
# 163 days. Four right answers carry a question over more than half a year. Now the same with one wrong answer:
#
# > **Predict.** The fourth answer is wrong. Is everything lost that the first three built up?

# %% id="show-figures-self-check-forgetting-true-2"
show(figures.self_check.forgetting([True, True, True, False, True, True]))

# %% [markdown] id="not-everything-as-the-waits-in"
# Not everything, as the waits in days show:

# %% id="new-figures-self-check-reviews-false"
new = figures.self_check.reviews([False, True, True])
old = figures.self_check.reviews([True, True, True, False, True, True])
print("a new question, first answer wrong:", [round(each.wait) for each in new])
print("a known one, from the mistake on:  ", [round(each.wait) for each in old[3:]])

# %% [markdown] id="play-with-it"
# What was known for weeks rests longer after a mistake than what was never known. But the long wait that it had reached is gone,
# and must be won again.
#
# ### Play with it
# Move the wrong answer to another place, or choose 0 for none. Then come late: the longer you let a question wait, the more is
# lost if you fail, and the more is won if you do not.

# %% id="explorers-self-check-forgetting-wrong-4"
explorers.self_check.forgetting(wrong=4, late=0)

# %% [markdown] id="two-cells-to-come-back-to"
# Two cells to come back to. The first asks what is due now, the most forgotten question first. The second draws ten questions
# of the whole course, from as many notebooks as possible, and prefers those that you were never asked. Questions with numbers
# come with other numbers each time. In a terminal `course review` does what the first cell does.

# %% tags=["nbval-ignore-output"] id="due-quiz"
due_quiz()

# %% tags=["nbval-ignore-output"] id="mixed-quiz"
mixed_quiz()

# %% [markdown] id="3-the-questions"
# ## 3 · The questions
#
# Four quizzes, in the order of the course. In *what does this print* you type the output, where spaces do not matter; in *one
# line is wrong* you choose the line. Everything can be done with Tab, arrow keys and Space. Try to
# say the reason aloud before you press Check: an answer without a reason is half an answer.
#
# ### Text and tokens

# %% id="quiz-self-check-text-and-tokens"
quiz("self_check", "text and tokens")

# %% [markdown] id="attention-and-positions"
# ### Attention and positions

# %% id="quiz-self-check-attention-and-positions"
quiz("self_check", "attention and positions")

# %% [markdown] id="models-and-their-cost"
# ### Models and their cost

# %% id="quiz-self-check-models-and-their"
quiz("self_check", "models and their cost")

# %% [markdown] id="training-and-writing"
# ### Training and writing

# %% id="quiz-self-check-training-and-writing"
quiz("self_check", "training and writing")

# %% [markdown] id="4-three-things-to-write"
# ## 4 · Three things to write
#
# You have written the first two before, in pieces. Now write them whole, without looking back. `hint()` says which notebook has
# it, and only then more. Some tools first:

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
# A query is compared with every key; what it may not read is hidden; the values are averaged. Small enough for the head: one
# query 2 with one feature, the keys 1 and 0, the values 10 and 20. The scores are 2 and 0, softmax makes 0.881 and 0.119 of
# them, and the mean is **11.19**.

# %% id="q-k-v-torch-tensor-2"
q, k, v = torch.tensor([[2.0]]), torch.tensor([[1.0], [0.0]]), torch.tensor([[10.0], [20.0]])
print("mean:", rounded(scaled_dot_product_attention(q, k, v), 2))
hidden = torch.tensor([[False, True]])
print("with the first key hidden:", rounded(scaled_dot_product_attention(q, k, v, hidden), 2))

# %% [markdown] id="predict-and-if-both-keys-are"
# > **Predict.** And if both keys are hidden? There are three answers that people give: the mean of both values, `nan`, and
# > zero. Your function should return the one that harms nobody downstream.


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
# Zeros. The mean of both values would be made of what must not be read, and a single `nan` makes every number that it meets
# `nan` as well. Zeros add nothing to what stands there already.
#
# ### RoPE, whole
#
# A plane of two features, a token at position 1: plane 0 turns by 1 radian for each token, so (1, 0) becomes
# (cos 1, sin 1) = **(0.540, 0.841)**. Plane $i$ of a head of width $D$ turns by $\text{base}^{-2i/D}$ for each token, and in the
# layout of Qwen3 it is made of the features $i$ and $i + D/2$.

# %% id="turned-turn-to-positions-torch-tensor"
turned = turn_to_positions(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
print("turned: ", rounded(turned))
print("by hand:", [round(math.cos(1), 3), round(math.sin(1), 3)])

# %% [markdown] id="predict-a-query-and-a-key"
# > **Predict.** A query and a key are turned to the positions 7 and 3, then to 1007 and 1003. Do their scores differ?


# %% id="self_check.rope"
@exercise("self_check.rope")
def turn(x, positions, base=10_000.0):
    """Return x (…, T, D) with plane i turned by position · base^(−2i/D)."""
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
# The scores are the same: what counts is the distance, 4 tokens in both cases.
#
# ### Text generation with `transformers`
#
# Most programs that write text consist of a few calls. You have built everything that is behind them; here you use them, on the
# course's own model, which lies in a folder in the layout of the hub. A name such as `Qwen/Qwen3-0.6B` would do as well, with a
# network.

# %% id="model-tokenizer-with-transformers-load-folder"
model, tokenizer = with_transformers.load(FOLDER)
print("the model:", type(model).__name__)
print("short rows are filled up with", tokenizer.pad_token)

# %% [markdown] id="a-batch-is-a-matrix-of"
# A batch is a matrix of ids, and texts have different lengths, so short rows are filled up. On which side?
#
# > **Predict.** `generate` writes the next token behind the *last column*. What does a model write behind a row that ends in
# > filling?

# %% id="texts-import-if-the-file-does"
texts = ["import", "If the file does not exist, an exception is raised and"]
for side in ("right", "left"):
    rows = tokenizer(texts, padding=True, padding_side=side).attention_mask
    print(f"filled up on the {side}: each row ends in text:", all(row[-1] == 1 for row in rows))

# %% [markdown] id="build-it"
# On the right the short row ends in filling, and what the model writes behind it follows from nothing that was said. So decoder-only models are filled
# up on the left, and the attention mask goes along, so that the filling is not read and positions count from the
# first real token.
#
# ### Build it
# Three calls: the tokenizer, `generate`, and back to text. Return only what is new.


# %% id="self_check.continue_texts"
@exercise("self_check.continue_texts")
def continue_texts(model, tokenizer, texts, new_tokens):
    """Return what the model writes behind each text, always the likeliest token, as a list."""
    ...


# %% id="reveal-self-check-continue-texts"
reveal("self_check.continue_texts")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# This time the real thing is yours: the model class of notebook [The whole transformer](08_transformer.ipynb), with the same weights, in a plain loop.

# %% id="ours-reader-course-model-course-tokenizer"
ours, reader = course_model(), course_tokenizer()
written = with_transformers.continue_texts(model, tokenizer, texts, 12)
for text, theirs in zip(texts, written, strict=True):
    ids = torch.tensor(reader.encode_ordinary(text))
    with torch.no_grad():
        own = greedy_continuation(lambda given: ours(given).logits, ids, 12)
    print("the same text from both:", reader.decode(own) == theirs)

# %% [markdown] id="and-what-does-it-write-it"
# And what does it write? It is a small model of Python's own documentation:

# %% tags=["nbval-ignore-output"] id="for-text-theirs-in-zip-texts"
for text, theirs in zip(texts, written, strict=True):
    print(repr(text), "→", repr(theirs))

# %% [markdown] id="5-three-things-to-design"
# ## 5 · Three things to design
#
# There is no key for these. Write half a page for each, as you would for a colleague, with numbers where you can compute them
# (notebook [Counting parameters](09_parameter_counting.ipynb) has the functions). Then press Compare: a model answer and a list of criteria appear. Tick what your text really
# contains. The result is recorded as your own judgement, and counted apart. What you write is not stored.

# %% id="quiz-self-check-design"
quiz("self_check", "design")

# %% [markdown] id="6-claims-that-are-wrong"
# ## 6 · Claims that are wrong
#
# **"The side of the filling is a matter of taste, since the mask hides it."** The mask hides it from attention. It does not move
# the place at which the next token is asked for.

# %% id="short-tokenizer-import-return-tensors-pt"
short = tokenizer(["import"], return_tensors="pt")
filled = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
with torch.no_grad():
    alone = model(**short).logits[0, -1]
    last_column = model(**filled).logits[0, -1]
    last_real = model(**filled).logits[0, int(filled.attention_mask[0].sum()) - 1]
print("at the last real token, as alone:", torch.allclose(alone, last_real, atol=1e-3))
print("at the last column, as alone:    ", torch.allclose(alone, last_column, atol=1e-3))

# %% [markdown] id="generate-is-a-black-box-that"
# **"`generate` is a black box that does more than a loop."** With `do_sample=False` it *is* the loop: section 4 has compared them
# token by token. What it adds is a cache, and rules for when to stop.
#
# **"I answered it right three times today, so I know it."** What counts is the time between the answers. Three right answers
# within an hour, or three on the days when the question was due:

# %% id="wait-after"
from datetime import UTC, datetime, timedelta

from course_lib.study.record import schedule


def wait_after(moments):
    """Return the days until a question is due that was answered right at these moments."""
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
# - A model is a handful of parts. You have built each, and can say what it is for and what it costs.
# - What is recorded is evidence, no grade: it shows what you showed.
# - A question is asked again shortly before you would have forgotten it; right answers make the waits longer.
# - In a batch, fill up on the left, pass the mask, and cut off the prompt by its length in tokens.
# - A design is a list of decisions, each with the number that it follows from and the test that could refute it.
#
# ## Papers
#
# - J. Ye, J. Su, Y. Cao: *A stochastic shortest path algorithm for optimizing spaced repetition scheduling*. KDD 2022,
#   doi:10.1145/3534678.3539081.
# - N. Cepeda et al.: *Distributed practice in verbal recall tasks: a review and quantitative synthesis*. Psychological Bulletin
#   132, 2006.
# - A. Vaswani et al. 2017, arXiv:1706.03762; J. Su et al. 2021, arXiv:2104.09864; T. Dao et al. 2022, arXiv:2205.14135; Y.
#   Leviathan et al. 2022, arXiv:2211.17192: what the questions are about.
#
# ## What comes next
#
# This is the last notebook so far. Come back to sections 1 and 2 in a few days, or type `course review`: the questions that you
# missed are due tomorrow.
