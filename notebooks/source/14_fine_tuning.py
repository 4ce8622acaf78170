# %% [markdown] id="14-fine-tuning"
# # 14 · Fine-tuning
#
# **How does a text model become an assistant?**
#
# A model that was trained on text continues text. Ask it a question, and it may well write another question: on many pages
# that is what comes next. An assistant is the same model after a little more training, on conversations. This notebook turns
# conversations into training data, trains all weights or only a few, and then learns from *pairs* of answers which kind is
# preferred.
#
# After this notebook you can
# - turn conversations into ids and labels, pack them into rows where none reads another, and say what a base model must
#   know before a short fine-tuning can work;
# - write LoRA, merge it, count what it trains and what it saves, and say why one of its factors must not start at zero;
# - steer a frozen model by a prefix in its cache, and compare adapters, prompts and prefixes;
# - derive DPO from the KL-constrained optimum, write it, and predict what it does to the log-probabilities of chosen and
#   rejected answers.
#
# About 150 minutes. It builds on [Training](11_training.ipynb) and [Generation](12_generation.ipynb); nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/14_fine_tuning.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/14_fine_tuning.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/14_fine_tuning.ipynb).

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
import random
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from course_lib import assistant, fine_tuning
from course_lib.assistant import recipes
from course_lib.device import default_device, seeded
from course_lib.study import exercise, explorers, figures, hint, quiz, reveal, rounded, show
from course_lib.tokenization import encode_chat, render_chatml
from course_lib.training import Plan, Training, next_token_loss

device = default_device()
tokenizer = assistant.role_tokenizer()

# %% [markdown] id="1-a-model-of-pages"
# ## 1 · A model of pages
#
# Our model is small: half a million parameters, and a world of sums. Its *base* has read pages of three kinds: worksheets
# with questions, solutions, and tables of digits. A solution may think in columns, from the right, or give the sum at once, or
# chatter:

# %% id="question-assistant-question-347-496"
question = assistant.Question(347, 496)
source = random.Random(0)
for way in assistant.WAYS:
    print(f"{way:9}", question, "→", assistant.answer(question, way, source))

# %% [markdown] id="only-the-first-kind-can-be"
# Only the first kind is right often. Our model of three layers has not learned to add three columns and carry twice within one
# step, but it can write down one column at a time.
#
# > **Predict.** The base has read such questions thousands of times, on pages. What does it write after "What is 347 plus
# > 496?" on a page, and what if the same question comes as a chat?

# %% tags=["nbval-ignore-output"] id="base-assistant-load-stage-arithmetic-base"
base = assistant.load_stage("arithmetic-base", device)
asked = [question, *assistant.held_out_questions(4)]
pages = assistant.text_prompts(tokenizer, asked, " ")
chats = assistant.chat_prompts(tokenizer, asked)
for name, prompts in (("page", pages), ("chat", chats)):
    print(f"as a {name}:")
    for each, text in zip(asked, assistant.completions(base, tokenizer, prompts), strict=True):
        print(f"    {each!s:23} → {text}")

# %% [markdown] id="whatever-it-writes-continues-a-page"
# On a page it knows what to do. The tokens of a chat it has never read, so it falls back on what pages look like: columns of digits,
# often with one copied wrongly, or simply the next question of a worksheet. It does not know that somebody asked.
#
# To measure the model, some pairs of numbers are **held out**: no page contains them. Which ones is decided by a hash of the
# pair. A formula is a trap. The rule "hold out the pair if (7919·a + 104729·b) mod 10 is 0" looks as good as random, and is
# not:

# %% id="sums-torch-zeros-2-10-dtype"
sums = torch.zeros(2, 10, dtype=torch.long)
for a in range(100, 300):
    for b in range(100, 300):
        sums[0, (a + b) % 10] += (7919 * a + 104729 * b) % 10 == 0
        sums[1, (a + b) % 10] += assistant.is_held_out(a, b)
print("held out, by the last digit of the sum")
print("by the formula:", sums[0].tolist())
print("by a hash:     ", sums[1].tolist())

# %% [markdown] id="both-multipliers-end-in-9-so"
# Both multipliers end in 9, so the rule only asks whether the sum ends in 0. With this split no such sum is ever trained on,
# and the evaluation consists of nothing else.

# %% [markdown] id="2-from-a-conversation-to-labels"
# ## 2 · From a conversation to labels
#
# A conversation becomes one sequence by a *chat template* (notebook [Tokenization](01_tokenization.ipynb)). Special tokens
# frame each turn and name its speaker:

# %% id="messages-assistant-conversation-question-843"
messages = assistant.conversation(question, "843.")
print(render_chatml(messages))
ids = encode_chat(tokenizer, messages)
print(len(ids), "ids:", ids[:6], "...")

# %% [markdown] id="training-goes-on-as-before-predict"
# Training goes on as before: predict each token from those before it. But only the *answer* counts. The model reads the
# question, and should not learn to write it. So each id gets a **label**: itself where it counts, −100 where it does not.
# (−100 is the number that PyTorch's cross-entropy leaves out.) The token that ends the turn belongs to the answer: without it
# the model would never learn to stop.
#
# By hand: let 8 open a turn, 2 name the assistant, 9 end a turn. In `8 1 5 9 8 2 6 7 9` the answer is `6 7 9`, and the labels
# are six times −100, then **6, 7, 9**.

# %% id="print-fine-tuning-answer-labels-8"
print(fine_tuning.answer_labels([8, 1, 5, 9, 8, 2, 6, 7, 9], header=[8, 2], end=9))

# %% [markdown] id="build-it"
# Labels stand at the place of their own id. The shift by one, logits at $t$ against the id at $t + 1$, happens in the loss,
# and only there.
#
# ### Build it
# `ids` and `header` are lists of ids. An answer begins right after the ids of `header` and goes on to the next `end`, which
# belongs to it; without one it goes on to the last id. A conversation may hold several answers, or none. Return a list.


# %% id="fine_tuning.labels"
@exercise("fine_tuning.labels")
def answer_labels(ids, header, end):
    """Return the label of each id: itself in an answer, -100 elsewhere."""
    ...


# %% [markdown] id="stuck-type-hint-in-a-new"
# Stuck? Type `hint()` in a new cell. The next cell holds the library's version.

# %% id="reveal-fine-tuning-labels"
reveal("fine_tuning.labels")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
# The labels of a whole conversation in two turns, read back as text; and the loss with these labels beside PyTorch's own
# cross-entropy, which does its shift by hand here:

# %% id="example-fine-tuning-chat-example"
example = fine_tuning.chat_example(
    tokenizer, [*messages, *assistant.conversation(question, "Yes.")]
)
print("trained on:", repr(tokenizer.decode([i for i in example.labels if i != -100])))
row = torch.tensor([example.ids], device=device)
labels = torch.tensor([example.labels], device=device)
with torch.no_grad():
    logits = base(row).logits
expected = F.cross_entropy(logits[0, :-1], labels[0, 1:])
ours = next_token_loss(logits, row, labels != -100)
print("equal to F.cross_entropy:", torch.allclose(ours, expected))

# %% [markdown] id="encoded-apart-or-together"
# ### Encoded apart, or together?
# At generation the prompt is finished before the answer begins, so its last token ends where the answer starts. With a
# subword tokenizer, prompt and answer encoded *together* may have a token across this boundary:

# %% id="prompt-answer-return-none"
from course_lib.pretrained import course_tokenizer

prompt, answer = "return ", "None"
words = course_tokenizer()
for text in (prompt, answer):
    print(repr(text), words.encode_ordinary(text))
print(repr(prompt + answer), words.encode_ordinary(prompt + answer))

# %% [markdown] id="trained-on-the-ids-encoded-together"
# Trained on the ids encoded together, the model never sees a prompt that ends in a lone space followed by "None". So
# `chat_example` encodes each answer apart, exactly as it will be generated.

# %% [markdown] id="3-rows-of-different-length"
# ## 3 · Rows of different length
#
# Conversations differ in length. **Padding** fills the short ones up; what is filled in is computed and thrown away.
# **Packing** puts several into one row. Then none may read another, or the loss would depend on the neighbours:
#
# - the mask is causal *within* each conversation;
# - positions start again at 0;
# - the first token of a conversation is nobody's target.
#
# By hand: a row with documents `0 0 1 1 1`. The positions are `0 1 0 1 2`. Of the 15 pairs that a causal mask allows, the
# six from the second document to the first fall away: 3 + 6 = **9** are left. The picture shows three documents; yellow pairs may
# be read.

# %% id="documents-torch-tensor-0-0-1"
documents = torch.tensor([[0, 0, 1, 1, 1]])
print(fine_tuning.packed_positions(documents).tolist())
print(int(fine_tuning.packed_mask(documents).sum()), "pairs")
show(figures.fine_tuning.mask_of_documents(torch.tensor([0] * 4 + [1] * 6 + [2] * 3)))

# %% [markdown] id="build-it-2"
# ### Build it
# `documents` (B, T) holds the number of each token's document; equal numbers stand side by side.
# Padding has the number −1 and counts as one more document. Return a boolean mask of
# shape (B, 1, T, T), True where the query may attend to the key. The axis of size 1 is for the heads. New tensors
# belong on the device of `documents`.


# %% id="fine_tuning.packed_mask"
@exercise("fine_tuning.packed_mask")
def packed_mask(documents):
    """Return True where the query's document is the key's, and the key is not later."""
    ...


# %% id="reveal-fine-tuning-packed-mask"
reveal("fine_tuning.packed_mask")

# %% [markdown] id="build-it-3"
# ### Build it
# And the positions (B, T): each token's place in its own document, counted from 0. Padding, −1, counts as one more document here
# too.


# %% id="fine_tuning.packed_positions"
@exercise("fine_tuning.packed_positions")
def packed_positions(documents):
    """Return the position of each token within its own document."""
    ...


# %% id="reveal-fine-tuning-packed-positions"
reveal("fine_tuning.packed_positions")

# %% [markdown] id="predict-the-same-twenty-conversations-each"
# > **Predict.** The same twenty conversations, padded and packed. How far apart are the two losses? And if the packed rows get only a
# > causal mask?

# %% id="examples-recipes-chat-examples-20"
examples = recipes.chat_examples(20)
packed = fine_tuning.Packed(*(part.to(device) for part in fine_tuning.pack_examples(examples, 120)))
padded = fine_tuning.pad_examples(examples)
with torch.no_grad():
    logits = fine_tuning.packed_logits(base, packed.ids, packed.documents)
    in_rows = next_token_loss(logits, packed.ids, packed.labels != -100)
    ids, counted = padded.ids.to(device), padded.counted.to(device)
    filled_up = next_token_loss(base(ids).logits, ids, counted)
    careless = next_token_loss(base(packed.ids).logits, packed.ids, packed.labels != -100)
print("padded and packed agree:", torch.allclose(in_rows, filled_up, atol=1e-5))
print("packed without the mask:", "the same" if torch.allclose(careless, in_rows) else "different")

# %% id="tokens-sum-len-each-ids-for"
tokens = sum(len(each.ids) for each in examples)
for name, places in (("padded", padded.ids.numel()), ("packed", packed.ids.numel())):
    print(f"{name}: {places} places for {tokens} tokens, {1 - tokens / places:.0%} wasted")

# %% [markdown] id="with-rope-starting-positions-again-makes"
# With RoPE, starting positions again makes no difference: only distances within a document count. With learned positions it
# does. What always matters is the mask.

# %% [markdown] id="4-fine-tuning-all-weights"
# ## 4 · Fine-tuning all weights
#
# The loop is that of [Training](11_training.ipynb): batches of conversations, the same loss, a smaller learning rate, few
# steps. One thing comes first. The tokens of the template never occurred on a page. Their rows of the embedding are random, or
# worse: every step of pre-training lowered the logits of tokens that never came (our model's output layer has the same rows as its
# embedding). So let each start as a copy of a token that
# the model knows: the turn's marks from a line break, the names of the roles from a space.

# %% id="model-copy-deepcopy-base-requires-grad"
model = copy.deepcopy(base).requires_grad_(True)
recipes.open_roles(model)
plan = Plan(steps=12, warmup=2, peak=1e-3, weight_decay=0.0)
training = Training(model, recipes.draw_chats(plan), plan)
losses = [training.step().loss for _ in range(plan.steps)]
print("the loss falls:", sum(losses[-3:]) < sum(losses[:3]))

# %% [markdown] id="twelve-steps-are-enough-to-see"
# Twelve steps are enough to see the loss fall. The stored model took sixty, about a minute on one core
# (`course train --recipe assistant`):

# %% id="show-figures-fine-tuning-stage-curve"
show(figures.fine_tuning.stage_curve(assistant.stage_log("assistant"), "Fine-tuning"))

# %% [markdown] id="step-0-of-the-curve"
# At step 0 the rows are copied and nothing is trained: a space and the three role names are equally likely, so most answers are in
# none of the three ways.

# %% tags=["nbval-ignore-output"] id="tuned-assistant-load-stage-assistant-device"
tuned = assistant.load_stage("assistant", device)
questions = assistant.held_out_questions(64)
greedy = assistant.answers(tuned, tokenizer, questions)
sampled = assistant.answers(tuned, tokenizer, questions, assistant.SAMPLED)
print("greedy: ", assistant.score(questions, greedy))
print("sampled:", found := assistant.score(questions, sampled))
print("exact, by way:", {way: round(found.exact_of[way], 2) for way in assistant.WAYS})
print("an answer:    ", questions[0], "→", greedy[0])

# %% [markdown] id="what-was-forgotten"
# The answers come in all three ways, as in the conversations it has read, and only those that think are often right. Nobody
# told it which way is better. That is what preferences are for, and rewards, in the next notebook.
#
# ### What was forgotten?
# Fine-tuning changes all weights for one purpose. What the base could do before can get worse, which is called *forgetting*.
# Measure it on pages that nobody has trained on, in bits per byte (here a token is a byte):

# %% id="pages-recipes-draw-pages-0-seeded"
pages = recipes.draw_pages(0, seeded(123), varied=True).ids.to(device)


@torch.no_grad()
def bits_per_byte(model):
    return next_token_loss(model(pages).logits, pages).item() / torch.log(torch.tensor(2.0)).item()


before, after = bits_per_byte(base), bits_per_byte(tuned)
print("the base reads pages better:", before < after)

# %% tags=["nbval-ignore-output"] id="print-f-base-before-3f-bits"
print(f"base {before:.3f} bits per byte, fine-tuned {after:.3f}")

# %% [markdown] id="what-a-short-fine-tuning-cannot"
# A lower learning rate, fewer epochs, or some pages mixed into the batches keep more. Training fewer weights also helps: that is
# part of LoRA's appeal.
#
# ### What a short fine-tuning cannot do
# The course also keeps the base as it was before its last 500 steps, `arithmetic-pages`. It adds just as well on its pages, but
# there an answer always follows its question *at once*. A chat template puts five tokens between the two. In those 500 steps most
# answers stood five characters after their question, just where the template puts them. The two bases were
# fine-tuned in the same way, with three seeds each:

# %% id="for-name-in-arithmetic-pages-arithmetic"
from course_lib.chapters.fine_tuning.lora_runs import all_runs, base_runs

for name in ("arithmetic-pages", "arithmetic-base"):
    on_pages = assistant.stage_log(name)[-1]["greedy"]
    runs = [each["exact of thinking"] for each in base_runs() if each["base"] == name]
    print(f"{name:16} on pages {on_pages:.0%}; thinking answers that are right in a chat: "
          f"{min(runs):.0%} to {max(runs):.0%}")  # fmt: skip

# %% [markdown] id="both-solve-their-pages-on-conversations"
# Both solve their pages. But the first seems to look for the operands a fixed number of places back, and in a chat it finds
# something else: it answers in the right form, with the wrong numbers. A short fine-tuning teaches a *form*. The skill, and the
# phrasing of the questions, must be in the base, in a layout like the one that fine-tuning will use.

# %% [markdown] id="5-lora"
# ## 5 · LoRA
#
# Training keeps a gradient for each weight, and AdamW two more numbers. For a large model they cost far more memory than the weights
# (notebook [Counting parameters](09_parameter_counting.ipynb)). **LoRA** freezes the weight $W$ and learns only a change of low
# rank beside it:
#
# $$y = x W^\top + \frac{\alpha}{r}\; x A^\top B^\top \qquad A: (r, \text{in}),\; B: (\text{out}, r)$$
#
# $A$ starts random and $B$ at zero, so the model starts as it was. $\alpha$ is a number that you choose; it is
# divided by $r$ so that the size of the update stays about the same when the rank changes.
#
# By hand: $W = (1\; 2)$, $A = (1\; {-1})$, $B = (3)$, $\alpha = r = 1$, $x = (2\; 1)$. Then $xW^\top = 4$ and
# $xA^\top B^\top = 1 · 3 = 3$, together **7**. Merged, $W + BA = (4\; {-1})$, and $(2\; 1)$ times that is 8 − 1 = **7** again.

# %% id="weight-a-b-torch-tensor-1"
weight, a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0]])
x = torch.tensor([[2.0, 1.0]])
print(fine_tuning.lora_forward(x, weight, a, b, alpha=1.0).item())
print(fine_tuning.merged_weight(weight, a, b, alpha=1.0).tolist())

# %% [markdown] id="build-it-4"
# ### Build it
# `x` has shape (..., in), `weight` (out, in), `a` (r, in), `b` (out, r). Return (..., out). Do not form the product of `b` and
# `a`: it is as large as the weight. The gradient is checked too, except that of the frozen weight.


# %% id="fine_tuning.lora"
@exercise("fine_tuning.lora")
def lora_forward(x, weight, a, b, alpha):
    """Return the frozen weight's output plus the change times alpha / r."""
    ...


# %% id="reveal-fine-tuning-lora"
reveal("fine_tuning.lora")

# %% [markdown] id="why-not-both-at-zero"
# ### Why not both at zero?
# > **Predict.** With $B = 0$ the change is zero whatever $A$ is. Which of the two gets a gradient in the first step? And if both
# > were zero?

# %% id="x-target-torch-randn-8-5"
x, target = torch.randn(8, 5, generator=seeded(0)), torch.randn(8, 4, generator=seeded(1))
frozen = torch.randn(4, 5, generator=seeded(2))
for name, first in (
    ("A random", torch.randn(2, 5, generator=seeded(3))),
    ("A zero", torch.zeros(2, 5)),
):
    a, b = first.requires_grad_(), torch.zeros(4, 2, requires_grad=True)
    (fine_tuning.lora_forward(x, frozen, a, b, 4.0) - target).square().mean().backward()
    print(f"{name:8} moves A: {bool(a.grad.any())!s:5}  moves B: {bool(b.grad.any())}")

# %% [markdown] id="merging"
# $\partial L/\partial B$ contains $A$, and $\partial L/\partial A$ contains $B$. One of them must be there to begin with.
#
# ### Merging
# After training, the change can be added to the weight: the model is then as fast as it was, and nothing shows that it was
# ever adapted. That is also the danger: merging the same adapter again adds it again. (Our layers remember that
# they are merged; a file of merged weights cannot.)
#
# ### Build it
# Return the merged weight. Do not change `weight` itself.


# %% id="fine_tuning.merged"
@exercise("fine_tuning.merged")
def merged_weight(weight, a, b, alpha):
    """Return W + (alpha / r) B A."""
    ...


# %% id="reveal-fine-tuning-merged"
reveal("fine_tuning.merged")

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
# A whole model: inject, train a little, merge, un-merge. (The tests compare outputs, gradients, merged weights and files with
# the library *peft*, in both directions.)

# %% id="lora-assistant-load-stage-arithmetic-base"
lora = assistant.load_stage("arithmetic-base", device)
recipes.open_roles(lora)
config = fine_tuning.LoRAConfig(rank=4, alpha=8.0)
fine_tuning.inject_lora(lora, config)
row = encode_chat(tokenizer, messages, add_generation_prompt=False)
row = torch.tensor([row], device=device)
fresh = copy.deepcopy(base)
recipes.open_roles(fresh)
with torch.no_grad():
    print("a fresh adapter changes nothing:", torch.equal(lora(row).logits, fresh(row).logits))

# %% id="plan-plan-steps-4-warmup-1"
plan = Plan(steps=4, warmup=1, peak=5e-3, weight_decay=0.0)
training = Training(lora, recipes.draw_chats(plan), plan)
reports = [training.step() for _ in range(plan.steps)]
with torch.no_grad():
    apart = lora(row).logits
    fine_tuning.merge_lora(lora)
    print("merged, within 1e-4:            ", torch.allclose(lora(row).logits, apart, atol=1e-4))
    fine_tuning.unmerge_lora(lora)
    print("un-merged, within 1e-4:         ", torch.allclose(lora(row).logits, apart, atol=1e-4))

# %% id="try"
try:
    fine_tuning.merge_lora(lora)
    fine_tuning.merge_lora(lora)
except ValueError as error:
    print(error)
fine_tuning.unmerge_lora(lora)

# %% [markdown] id="how-much-is-trained"
# ### How much is trained?
# By hand: a weight (5, 3) with rank 2. $A$ has 2 · 3 numbers, $B$ has 5 · 2: **16**, where the weight has 15. LoRA saves
# nothing on small matrices! For a weight of 4096 × 4096 and rank 8 it is 65 536 of 16.8 million, 0.4 %.
#
# ### Build it
# `shapes` is a list of shapes (out, in). Return the number of trained numbers as an integer.


# %% id="fine_tuning.trainable"
@exercise("fine_tuning.trainable")
def lora_parameters(shapes, rank):
    """Return how many numbers LoRA trains beside weights of these shapes."""
    ...


# %% id="reveal-fine-tuning-trainable"
reveal("fine_tuning.trainable")

# %% id="qwen"
qwen = [
    (4096, 2560),
    (1024, 2560),
    (1024, 2560),
    (2560, 4096),
    (9728, 2560),
    (9728, 2560),
    (2560, 9728),
]
layers, total = 36, sum(out * inp for out, inp in qwen) * 36  # a model of 4 billion parameters
for rank in (1, 8, 64):
    trained = layers * fine_tuning.lora_parameters(qwen, rank)
    print(f"rank {rank:2}: {trained / 1e6:6.1f} M trained of {total / 1e6:.0f} M, {trained / total:.2%}; "
          f"AdamW's two moments take {8 * trained / 1e9:.2f} GB instead of {8 * total / 1e9:.0f}")  # fmt: skip

# %% [markdown] id="what-it-saves-and-what-it"
# ### What it saves, and what it does not
# Count the FLOPs of one weight for one token, in units of 2 · in · out. The forward pass takes 1. The backward pass takes 1 for
# the gradient of the *input*, which must flow on to earlier layers, and 1 for the gradient of the *weight*. LoRA drops only the
# last one:
#
# | | forward | input's gradient | weight's gradient | together |
# |---|---|---|---|---|
# | all weights | 1 | 1 | 1 | 3 |
# | LoRA | 1 | 1 | 0 | 2, and a little for A and B |
#
# So a step of LoRA takes about two thirds of the FLOPs, not $2r/d$ of them ($d$ the width of a square weight). What shrinks to
# $2r/d$ is the memory of gradients and moments. Activations must be kept as before.
#
# ### Which rank?
# The conversations of section 4, sixty steps each (with LoRA at a learning rate five times as large, and α = 2r),
# stored with the course (`python -m course_lib.chapters.fine_tuning.lora_runs`). The
# dashed line is full fine-tuning.

# %% id="explorers-fine-tuning-ranks"
explorers.fine_tuning.ranks()

# %% [markdown] id="the-rows-that-lora-leaves-out"
# ### The rows that LoRA leaves out
# LoRA changes linear layers. But the template's tokens are rows of the *embedding*. In the runs above these rows were trained
# too, a few hundred numbers. Without them, each row stays the copy that it started from: the marks cannot be told from a line break,
# nor the roles from a space:

# %% id="for-each-in-all-runs"
for each in all_runs():
    if each["rank"] == 4:
        rows = "with" if each["rows"] else "without"
        print(
            f"rank 4, {rows:7} the roles' rows: {each['trained']} trained, loss {each['loss']:.3f}"
        )

# %% [markdown] id="several-adapters-one-base"
# ### Several adapters, one base
# An adapter is a small file, and the base is loaded once. Here are its settings and tensors, in peft's own format:

# %% id="with-tempfile-temporarydirectory-as-folder"
with tempfile.TemporaryDirectory() as folder:
    fine_tuning.save_adapter(lora, config, folder)
    for path in sorted(Path(folder).iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1024:.1f} kB")
    again = assistant.load_stage("arithmetic-base", device)
    recipes.open_roles(again)
    fine_tuning.load_adapter(again, folder)
with torch.no_grad():
    same = torch.allclose(again(row).logits, lora(row).logits, atol=1e-4)
    print("the same outputs, within 1e-4:", same)
print(*list(fine_tuning.adapter_tensors(lora))[:2], sep="\n")

# %% [markdown] id="6-prefixes-prompts-bottlenecks"
# ## 6 · Prefixes, prompts, bottlenecks
#
# A prompt acts on the text after it only through its keys and values, in the cache (notebook
# [Attention](05_attention.ipynb)). **Prefix tuning** learns keys and values directly: P entries in every layer that no token
# produced. To the model they are a cache that was there before the text. Positions of the text start at P.
#
# ### Build it
# `q`, `k` and `v` (B, H, T, D) belong to the tokens of a text; `prefix_k` and `prefix_v` (H, P, D) stand before the keys and
# values of *every* row. A token reads the whole prefix, itself and the tokens before it. Return attention (B, H, T, D). The
# gradient is checked too, since the prefix is what is trained. New tensors belong on the device of `q`.


# %% id="fine_tuning.prefix"
@exercise("fine_tuning.prefix")
def prefixed_attention(q, k, v, prefix_k, prefix_v):
    """Return causal attention in which every query may also read the whole prefix."""
    ...


# %% id="reveal-fine-tuning-prefix"
reveal("fine_tuning.prefix")

# %% [markdown] id="checked-against-the-real-thing-3"
# ### Checked against the real thing
# Take the keys and values of a real prompt as the prefix. It must act exactly like the prompt:

# %% id="prompt-tokenizer-encode-ordinary-add-12"
prompt = tokenizer.encode_ordinary("Add 12 and 30.\n")
prefix = fine_tuning.Prefix.of_prompt(base, prompt)
text = torch.tensor([tokenizer.encode_ordinary("What is 347 plus 496?")], device=device)
with torch.no_grad():
    whole = base(torch.cat((torch.tensor([prompt], device=device), text), 1)).logits[
        :, len(prompt) :
    ]
    steered = fine_tuning.prefixed_output(base, prefix, text).logits
print("acts like the prompt, within 1e-4:", torch.allclose(steered, whole, atol=1e-4))

# %% [markdown] id="a-trained-prefix-is-more-than"
# A trained prefix is more than a prompt: it may hold keys and values that no text produces. **Prompt tuning** is its smaller
# relative and learns only the embeddings of P tokens. **Bottleneck adapters** put a small network after each layer's output;
# between its two matrices is a nonlinearity, so it cannot be merged. Compare what each trains in our model:

# %% id="size-base-config"
size = base.config
shapes = [tuple(layer.base_layer.weight.shape) for _, layer in fine_tuning.lora_layers(lora)]
bottleneck = fine_tuning.inject_adapters(copy.deepcopy(base), 8)
table = {
    "all weights": sum(p.numel() for p in base.parameters()),
    "LoRA, rank 4, all linear layers": fine_tuning.lora_parameters(shapes, 4),
    "bottlenecks of width 8": fine_tuning.trainable_parameters(bottleneck),
    "prefix of 10": fine_tuning.trainable_parameters(fine_tuning.Prefix(base, 10)),
    "prompt of 10": 10 * size.hidden_size,
}
for name, count in table.items():
    print(f"{name:32} {count:7} numbers")

# %% [markdown] id="7-learning-from-pairs"
# ## 7 · Learning from pairs
#
# Our assistant chatters in a quarter of its answers. To say *how good* an answer is, is hard. To say which of *two* is better is
# easy. Bradley and Terry (1952) turn such choices into numbers: give every answer a reward $r$, and let
# (with the subscripts c for chosen and r for rejected; $r$ is no longer the rank, and $\sigma(z) = 1 / (1 + e^{-z})$ is the sigmoid)
#
# $$p(\text{chosen} \succ \text{rejected}) = \sigma(r_c - r_r)$$
#
# Only differences count. The loss is minus the logarithm of the likelihood, $-\log\sigma(r_c - r_r)$. By hand: equal rewards
# give $-\log ½ =$ **0.693**; a difference of 2 in the right direction gives log(1 + e⁻²) = **0.127**.

# %% id="for-c-r-in-1-0"
for c, r in ((1.0, 1.0), (2.0, 0.0), (0.0, 2.0)):
    print(c, r, rounded(fine_tuning.bradley_terry_loss(torch.tensor([c]), torch.tensor([r]))))

# %% [markdown] id="build-it-5"
# ### Build it
# `chosen` and `rejected` hold the rewards of N pairs. Return the mean loss as a tensor. Rewards may be hundreds apart. The
# gradient is checked too.


# %% id="fine_tuning.bradley_terry"
@exercise("fine_tuning.bradley_terry")
def bradley_terry_loss(chosen, rejected):
    """Return the mean of -log sigmoid(chosen - rejected)."""
    ...


# %% id="reveal-fine-tuning-bradley-terry"
reveal("fine_tuning.bradley_terry")

# %% [markdown] id="a-reward-model"
# ### A reward model
# A **reward model** is a decoder with a linear layer that reads one number from the hidden state of the *last real token*:
# only there has it read the whole answer. In a padded batch that is a different place in each row.
#
# > **Predict.** What does a reward model return for a short answer if it reads the last column of a padded batch? Does it depend on
# > how much longer the neighbour is?

# %% id="judge-fine-tuning-rewardmodel-copy-deepcopy"
judge = fine_tuning.RewardModel(copy.deepcopy(tuned)).to(device)
pair = [fine_tuning.chat_example(tokenizer, assistant.conversation(question, reply)).ids
        for reply in ("843.", "Good question! I would say 843.")]  # fmt: skip
width = max(map(len, pair))
ids = torch.tensor([each + [0] * (width - len(each)) for each in pair], device=device)
real = torch.arange(width, device=device) < torch.tensor(
    [[len(each)] for each in pair], device=device
)

# %% id="with-torch-no-grad"
with torch.no_grad():
    rewards = judge(ids, real)
    alone = judge(ids[:1, : len(pair[0])], real[:1, : len(pair[0])])
    hidden = judge.decoder(ids, real, return_hidden=True).hidden_states[-1]
    at_padding = judge.score(hidden[:, -1])[0]
print("read at:", fine_tuning.last_token(real).tolist(), "of", width)
print("the padding does not matter:    ", torch.allclose(rewards[:1], alone, atol=1e-5))
print("read at the last column instead:", torch.allclose(at_padding, alone, atol=1e-5))

# %% [markdown] id="the-log-probability-of-an-answer"
# ### The log-probability of an answer
# What follows needs $\log\pi(y \mid x)$, the log-probability of a whole answer. The probability of a sequence is a product, so
# its logarithm is a **sum** over the answer's tokens.
#
# ### Build it
# `logits` (B, T, V) and `labels` (B, T) of whole conversations, −100 where there is no label. The logits at $t$ predict the id
# at $t + 1$. Return one sum for each row. A label in the first place does not count. Logits may be hundreds apart. The gradient
# is checked too.


# %% id="fine_tuning.log_probability"
@exercise("fine_tuning.log_probability")
def sequence_log_probability(logits, labels):
    """Return the sum of the log-probabilities of each row's labels."""
    ...


# %% id="reveal-fine-tuning-log-probability"
reveal("fine_tuning.log_probability")

# %% [markdown] id="dpo-the-policy-is-the-reward"
# ### DPO: the policy is the reward model
# One would like to maximise the reward without moving far from the *reference* $\pi_\text{ref}$, the model before:
#
# $$\max_\pi\; \mathbb{E}_{y\sim\pi}\big[r(x, y)\big] - \beta\, \mathrm{KL}(\pi \,\|\, \pi_\text{ref})$$
#
# The KL divergence ([Language models](02_language_models.ipynb)) says how far the policy $\pi$ has moved, and $\beta$ is the price: the
# larger it is, the closer $\pi$ stays to the reference. This has a closed-form solution. Write the objective as
# $-\beta\,\mathrm{KL}(\pi \,\|\, \pi^*)$ plus $\beta\log Z(x)$, a term that depends on $x$ alone; it is largest at $\pi = \pi^*$, where
#
# $$\pi^*(y \mid x) = \frac{1}{Z(x)}\, \pi_\text{ref}(y \mid x)\, e^{r(x, y)/\beta}$$
#
# Nobody can compute $Z(x)$, a sum over all answers. But solve for the reward: $r = \beta\log\frac{\pi^*}{\pi_\text{ref}} +
# \beta\log Z(x)$. In Bradley-Terry only the difference between two answers to *one* prompt counts, and $Z(x)$ cancels:
#
# $$L = -\log\sigma\big(\beta\, m\big), \qquad m = \log\frac{\pi(y_c)}{\pi_\text{ref}(y_c)} - \log\frac{\pi(y_r)}{\pi_\text{ref}(y_r)}$$
#
# The policy is its own reward model, and no other is trained (Rafailov et al. 2023). The solution, checked on three answers:

# %% id="reference-torch-tensor-0-5-0"
reference = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
reward, beta = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64), 0.7


def objective(policy):
    return (policy * reward).sum() - beta * (policy * (policy / reference).log()).sum()


best = reference * (reward / beta).exp()
best = best / best.sum()
others = torch.rand(10_000, 3, generator=seeded(0), dtype=torch.float64)
highest = max(objective(each / each.sum()).item() for each in others)
print("π*:", rounded(best), "beats 10,000 random policies:", objective(best).item() > highest)

# %% [markdown] id="build-it-6"
# ### Build it
# Four tensors of N log-probabilities each: the policy's for the chosen and rejected answers, and the reference's. Return the
# mean loss. Margins may be hundreds. The gradient with respect to the policy's log-probabilities is checked too.


# %% id="fine_tuning.dpo"
@exercise("fine_tuning.dpo")
def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Return the mean of -log sigmoid(beta * margin)."""
    ...


# %% id="reveal-fine-tuning-dpo"
reveal("fine_tuning.dpo")

# %% [markdown] id="checked-against-the-real-thing-4"
# ### Checked against the real thing
# Written once more with PyTorch's own functions. (The tests also run trl's `DPOTrainer` on the same models and pairs.)

# %% id="c-r-rc-rr-torch-randn"
c, r, rc, rr = (torch.randn(5, generator=seeded(i)) * 9 for i in range(4))
ours = fine_tuning.dpo_loss(c, r, rc, rr, beta=0.1)
print("agrees:", torch.allclose(ours, -F.logsigmoid(0.1 * ((c - rc) - (r - rr))).mean()))

# %% [markdown] id="play-with-it"
# ### Play with it
# How steeply the loss falls is how hard a pair still pulls. A pair with a large margin hardly pulls any more, and β says what
# is large. IPO has a square
# instead: it aims at one margin, and pulls back beyond it.

# %% id="explorers-fine-tuning-preference-loss"
explorers.fine_tuning.preference_loss()

# %% [markdown] id="less-chatter"
# ### Less chatter
# The pairs come from the assistant itself: of four sampled answers to a question, a plain one (one that thinks, if there is
# one, else a direct one) is chosen over one that chatters. Nothing says which answer is *right*. A pair counts as won if the chosen
# answer has gained more over the reference than the rejected one; the share of pairs won is the *pair accuracy*. A few steps, live:

# %% tags=["nbval-ignore-output"] id="policy-assistant-load-stage-assistant-device"
policy = assistant.load_stage("assistant", device)
pairs = recipes.own_pairs(policy, 24, seed=5)
batch = fine_tuning.pair_batch(pairs)
plan = Plan(steps=4, warmup=1, peak=5e-5, weight_decay=0.0)
training = fine_tuning.PreferenceTraining(policy, lambda step, generator: batch, plan, beta=0.1)
for _ in range(plan.steps):
    report = training.step()
    now = fine_tuning.pair_statistics(policy, training.reference, batch)
    print(f"loss before {report.loss:.3f}; after: pairs won {now.accuracy:.0%}, log-probability of the "
          f"chosen {now.chosen:.2f}, of the rejected {now.rejected:.2f}")  # fmt: skip

# %% [markdown] id="the-first-loss-is-log-2"
# The first loss is log 2, whatever the pairs: the policy still is its reference. The whole run takes forty steps
# (`course train --recipe assistant-dpo`):

# %% id="show-figures-fine-tuning-stage-curve-2"
show(figures.fine_tuning.stage_curve(assistant.stage_log("assistant-dpo"), "DPO"))

# %% tags=["nbval-ignore-output"] id="preferred-assistant-load-stage-assistant-dpo"
preferred = assistant.load_stage("assistant-dpo", device)
pairs = recipes.own_pairs(tuned, 64, seed=6)
held_out = fine_tuning.pair_batch(pairs)
start = fine_tuning.pair_statistics(tuned, tuned, held_out)
now = fine_tuning.pair_statistics(preferred, tuned, held_out)
print(f"log-probability of chosen answers   {start.chosen:7.2f} → {now.chosen:7.2f}")
print(f"log-probability of rejected answers {start.rejected:7.2f} → {now.rejected:7.2f}")
print(f"pairs won {now.accuracy:.0%}")
replies = assistant.answers(preferred, tokenizer, questions, assistant.SAMPLED)
print("sampled:", assistant.score(questions, replies))

# %% [markdown] id="chatter-is-nearly-gone-the-probability"
# Chatter is nearly gone, and direct answers have become fewer. Most of the chosen answers think, because a thinking answer was taken
# wherever one of the four was there. So thinking grew, and with it the share of right answers, though no pair says which answer is
# right. And look at the two log-probabilities: the rejected answers fell by several nats, while the chosen ones
# hardly moved. The loss rewards the *difference*.

# %% [markdown] id="further-relatives-of-dpo"
# ## Further: relatives of DPO
#
# | | compares | loss of a pair | needs |
# |---|---|---|---|
# | DPO | sums of log-probabilities, minus the reference's | $-\log\sigma(\beta m)$ | pairs, reference |
# | IPO | means, minus the reference's (the paper has sums; trl divides by the length) | $(\bar m - \frac{1}{2\beta})^2$ | pairs, reference |
# | SimPO | means $\bar\ell$ | $-\log\sigma(\beta(\bar\ell_c - \bar\ell_r) - \gamma)$ | pairs |
# | KTO | one answer, minus the reference's | $1 - \sigma(\pm\beta(\log\frac{\pi}{\pi_\text{ref}} - z))$ | good / bad marks, reference |
#
# The margin of DPO has no target: a pair that is always won pulls ever more weakly, but forever. IPO stops at $1/(2\beta)$. SimPO
# saves the reference's memory and its forward pass. KTO needs no pairs: a thumbs-up or
# thumbs-down is enough. ($\bar\ell$ is the mean log-probability of a token, $\bar m$ the margin of the means, γ a margin to be won
# by, z an estimate of KL(π ‖ π_ref); + is for good answers and − for bad ones.)

# %% id="c-r-rc-rr-torch-tensor"
c, r, rc, rr = (torch.tensor([each]) for each in (-6.0, -9.0, -6.5, -8.0))
print("DPO  ", rounded(fine_tuning.dpo_loss(c, r, rc, rr, beta=0.1)))
print(
    "IPO  ",
    rounded(fine_tuning.ipo_loss(c / 4, r / 4, rc / 4, rr / 4, beta=0.1)),
    "for answers of 4 tokens",
)
print("SimPO", rounded(fine_tuning.simpo_loss(c / 4, r / 4, beta=2.0, gamma=0.5)))
good = torch.tensor([True])
print("KTO  ", rounded(fine_tuning.kto_loss(c, rc, good, torch.tensor(0.2), beta=0.1)))

# %% [markdown] id="8-what-it-costs"
# ## 8 · What it costs
#
# For a model of N parameters in bfloat16, with AdamW's moments and gradients as in
# [Counting parameters](09_parameter_counting.ipynb), in bytes for each parameter of the model:

# %% id="per-weight-weights-2-gradients-2"
per_weight = {"weights": 2, "gradients": 2, "moments and master copy": 12}
parameters, share = 4e9, 0.0045  # LoRA of rank 8, in section 5
for name, trained in (("all weights", 1.0), ("LoRA, rank 8", share)):
    memory = parameters * (2 + trained * 14)
    print(f"{name:13} {memory / 1e9:5.1f} GB before activations")
print(f"DPO with a reference copy: {parameters * 2 / 1e9:.0f} GB more; with LoRA none: "
      "switch the adapter off and the base is the reference")  # fmt: skip

# %% [markdown] id="and-time-a-step-reads-every"
# And time. A step reads every token of a conversation once, forwards and backwards. DPO reads two answers, and both again with
# the reference (forwards only): about 2 · (3 + 1) = 8 forward passes where fine-tuning on one answer takes 3. The reference's
# log-probabilities never change, so they can be computed once and stored.
#
# > **Predict.** In section 3, padding twenty conversations to the longest wasted two fifths of the places. What if they are sorted by
# > length, and padded in batches of four?

# %% id="lengths-sorted-len-each-ids-for"
lengths = sorted(len(each.ids) for each in examples)
places = sum(4 * lengths[first + 3] for first in range(0, len(lengths), 4))
print(f"lengths {lengths[0]} to {lengths[-1]}: {1 - sum(lengths) / places:.0%} wasted")

# %% [markdown] id="9-claims-that-are-wrong"
# ## 9 · Claims that are wrong
#
# > *"DPO must mask the prompt, or the model learns to write prompts."*

# %% id="c-r-rc-rr-torch-randn-2"
c, r, rc, rr = (torch.randn(6, generator=seeded(20 + i)) for i in range(4))
of_prompt, of_prompt_by_reference = -14.0, -11.0
with_prompt = fine_tuning.dpo_loss(c + of_prompt, r + of_prompt, rc + of_prompt_by_reference,
                                   rr + of_prompt_by_reference)  # fmt: skip
print("the same loss:", torch.allclose(with_prompt, fine_tuning.dpo_loss(c, r, rc, rr)))

# %% [markdown] id="both-answers-have-the-same-prompt"
# Both answers have the same prompt, so its log-probability cancels. Masking saves nothing but a little rounding. (With *means*
# over tokens, as in IPO and SimPO, it matters.)
#
# > *"LoRA of rank 8 trains hundreds of times faster."*

# %% id="width-rank-4096-8"
width, rank = 4096, 8
full = 3 * 2 * width * width
low = 2 * 2 * width * width + 3 * 2 * rank * 2 * width
print(f"FLOPs for a token and a weight of {width} × {width}: LoRA {low / full:.0%} of full")

# %% [markdown] id="the-frozen-weights-are-still-multiplied"
# The frozen weights are still multiplied, forwards and backwards. What shrinks is memory.
#
# > *"DPO raises the probability of the chosen answer."*

# %% tags=["nbval-ignore-output"] id="hasty-assistant-load-stage-assistant-device"
hasty = assistant.load_stage("assistant", device)
plan = Plan(steps=8, warmup=1, peak=3e-3, weight_decay=0.0)
training = fine_tuning.PreferenceTraining(hasty, lambda step, generator: batch, plan, beta=0.1)
losses = [training.step().loss for _ in range(plan.steps)]
for name, each in (("before", tuned), ("after", hasty)):
    now = fine_tuning.pair_statistics(each, tuned, batch)
    print(f"{name:6} chosen {now.chosen:7.2f}, rejected {now.rejected:7.2f}")
print(f"the loss fell from {losses[0]:.2f} to {losses[-1]:.1e}")
print("an answer:", assistant.answers(hasty, tokenizer, [question]))

# %% [markdown] id="the-loss-falls-as-long-as"
# With a rate sixty times as high, the chosen answers lose dozens of nats, on the very pairs that are trained on, and the model is
# ruined. The loss calls that a success: it is almost 0, since the rejected answers have lost even more. Watch the log-probabilities,
# not the loss.
#
# > *"Zero-initialise both factors of LoRA to be safe."*
#
# Section 5 shows it: neither factor ever gets a gradient. The model stays the base, at full cost.

# %% [markdown] id="recap"
# ## Recap
#
# 1. A label is the id itself in an answer, its end included, and −100 elsewhere. The loss does the shift, once.
# 2. Packed conversations need a mask of their own, their own positions, and no target for their first token. Then the loss is
#    the same as alone.
# 3. A short fine-tuning teaches a form. Skills, phrasings, known tokens and the distance between question and
#    answer must come from the base.
# 4. LoRA trains A and B beside frozen weights: y = xWᵀ + (α/r) xAᵀBᵀ, B zero at first. It saves the memory of gradients and
#    moments, and a third of the FLOPs. Merge it once.
# 5. DPO is Bradley-Terry with r = β log(π/π_ref). It rewards the difference between two answers, and nothing else.
#
# ### Test yourself

# %% id="quiz-fine-tuning"
quiz("fine_tuning")

# %% [markdown] id="papers"
# ### Papers
# - Ouyang et al. 2022, *Training language models to follow instructions with human feedback*, arXiv:2203.02155.
# - Hu et al. 2021, *LoRA: low-rank adaptation of large language models*, arXiv:2106.09685.
# - Li & Liang 2021, *Prefix-tuning*, arXiv:2101.00190; Lester et al. 2021, *The power of scale for
#   parameter-efficient prompt tuning*, arXiv:2104.08691.
# - Houlsby et al. 2019, *Parameter-efficient transfer learning for NLP*, arXiv:1902.00751 (bottlenecks).
# - Krell et al. 2021, *Efficient sequence packing without cross-contamination*, arXiv:2107.02027.
# - Bradley & Terry 1952, *Rank analysis of incomplete block designs*, Biometrika 39.
# - Rafailov et al. 2023, *Direct preference optimization*, arXiv:2305.18290.
# - Azar et al. 2023 (IPO), arXiv:2310.12036; Meng et al. 2024 (SimPO), arXiv:2405.14734; Ethayarajh et al. 2024 (KTO),
#   arXiv:2402.01306.
#
# **Next:** [Rewards](15_rewards.ipynb), where the assistant learns from being right or wrong.
