# %% [markdown] id="00-start-here"
# # 00 · Start here
#
# **What is in this course, what will run on this machine, and how do the exercises work?**
#
# You will build a modern language model from its parts, prove each part equal to the libraries that people use, count what
# it costs, and make it fast. All of it runs on this machine, without a network.
#
# **The map comes first, then your first exercise;** both take about three minutes, and the whole notebook about 20. After it you
# know your way around and have seen the whole path from text to the next token once.
#
# You need Python: functions, lists, dicts, classes. From [Language models](02_language_models.ipynb) on you also need a little
# PyTorch (tensors, shapes, broadcasting) and school mathematics (logarithms, sums, derivatives). No knowledge of neural networks
# is assumed. The whole course takes a few weekends; the map below says how long each notebook takes, and the cell after it adds
# that up.
#
# New to notebooks? Press **Shift + Enter**: the selected cell runs, and the next one is selected. Press it again to go on.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/00_start_here.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/00_start_here.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/00_start_here.ipynb).

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
import torch

from course_lib import SYLLABUS, softmax
from course_lib.chapters.start_here import bigram_tour as tour
from course_lib.device import this_machine
from course_lib.study import exercise, figures, hint, quiz, reveal, show, shown_places, solved

# %% [markdown] id="1-the-map"
# ## 1 · The map
#
# Each station is one notebook. They build on each other from left to right, and each says at its top what you will be able
# to do after it. The ring around a station fills as you solve its exercises. Run this cell again whenever you want to see
# your progress.

# %% id="show-figures-start-here-course-map"
show(figures.start_here.course_map(solved()))

# %% id="hours-in-all"
minutes = sum(notebook.minutes for notebook in SYLLABUS)
print(f"{len(SYLLABUS)} notebooks, about {minutes / 60:.0f} hours")

# %% [markdown] id="4-your-first-exercise"
# ## 2 · Your first exercise
#
# Computers store text as bytes. The letter `H` is the byte 72; the emoji 🙂 takes four bytes. These bytes are the first
# integers that a language model could read, and for some models they are the only ones.
#
# The cell below is an exercise: write a function that takes a string and returns the bytes of its UTF-8 form as a list of
# integers, for any string, the empty one included. Run the cell as it is: it says that you have not attempted it yet. Then
# replace the `...` and run it again. (Python does most of the work: a string has a method `.encode()`.)
#
# Then try a **wrong** answer, for instance `return [ord(c) for c in text]`, and read the feedback: the course knows common
# mistakes, and compares your function with them by its *results*, not by how it is written.


# %% id="start_here.text_to_ids"
@exercise("start_here.text_to_ids")
def text_to_ids(text):
    """Return the bytes of the text's UTF-8 form as a list of integers."""
    ...


# %% [markdown] id="stuck-hint-gives-a-hint-for"
# Stuck? `hint()` gives a hint for the exercise that ran last; each call gives a little more. Remove the `#` and run the cell:

# %% id="hint"
# hint()

# %% [markdown] id="and-this-shows-the-library-s"
# And this shows the course's own solution. Until you have passed, it is folded, so that you do not see it by accident. To open
# it, click on it or run the cell again.

# %% id="reveal-start-here-text-to-ids"
reveal("start_here.text_to_ids")

# %% [markdown] id="3-how-a-notebook-goes"
# ## 3 · How a notebook is organized
#
# Every idea takes the same path, so you always know where you are:
#
# 1. **Why** it is needed, often with a **Predict** prompt. Say your guess aloud before you run the cell; a wrong guess shows
#    you what you did not know.
# 2. The **formula**, and the same thing in numbers small enough to do in your head.
# 3. **Build it**: an exercise.
# 4. **Reveal**: the course's own implementation. It is part of a library, `course_lib`; you can import
#    every part of it, and later notebooks do.
# 5. **Checked against the real thing**: the library compared with PyTorch or another independent implementation.
# 6. **Play with it**: an interactive figure. It works while the notebook is running; a saved file shows the picture.
#
# `Run All` always works, whatever you have solved. Later cells use the library, never your answer, so an unsolved exercise
# never stops you.
#
# Most exercises work on tensors. There an answer works wherever its inputs are, so that it also runs on a GPU: make a new tensor
# on the device of an input, as in `torch.arange(n, device=x.device)`. The check tries this without a GPU.

# %% [markdown] id="2-this-machine"
# ## 4 · This machine
#
# Nothing in the course needs a GPU. Where there is one, notebooks that run models or measure times use it. They print the same on
# a CPU, apart from the times. Small examples and the checks of exercises are computed on the CPU everywhere. If the environment
# variable `COURSE_DEVICE` is set to `cpu` when the course starts, so is everything else. The next cell tests what this machine can do:

# %% tags=["nbval-ignore-output"] id="for-line-in-this-machine-report"
for line in this_machine().report():
    print(line)

# %% [markdown] id="if-something-looks-wrong-run-python3"
# If something looks wrong, run `python3 start.py doctor` in a terminal. It looks for the usual causes and says what to do.

# %% [markdown] id="5-your-work-and-your-progress"
# ## 5 · Your work and your progress
#
# - **Your notebooks** are your own copy. An update of the course brings new text to cells that you have not changed, and
#   never overwrites one that you have. `python3 start.py reset 04` gives you a fresh notebook 04 and keeps your old one beside it.
# - **Your progress** (which exercises you passed, which questions you answered) is kept on this machine only. See it with
#   `python3 start.py progress`; delete it with `python3 start.py reset --progress`.
#
# This is where they are stored:

# %% tags=["nbval-ignore-output"] id="for-line-in-shown-places"
for line in shown_places():
    print(line)

# %% [markdown] id="6-the-tour-one-token-in"
# ## 6 · A tour: how a model produces one token
#
# A language model does one thing: it reads text and says how likely each token is to come next. Here is the whole path,
# with the smallest possible model. All it has learned is *which byte follows which*, by counting them in
# a few sentences. A model with billions of parameters has the same five stages, and each stage has a notebook of its own.
#
# **Text becomes integers.**

# %% id="text-the-cat-sat-on-the"
text = "the cat sat on the mat. the rat sat on the hat. that cat ate the rat at the mat."
ids = tour.text_to_ids(text)
print(ids[:12], "...", len(ids), "integers")

# %% [markdown] id="an-integer-picks-a-row-of"
# **An integer selects a row of numbers.** Here the row of a byte contains, for each of the 256 bytes, the logarithm of how often
# that byte came next. A byte that never came gets a count of 0.0001 instead of 0, so that it has a logarithm. In a real model the
# row is learned, and many layers work on it before the next step.
#
# > **Predict.** After the letter `h` in this text, which two letters can come?

# %% id="scores-tour-follow-scores-ids"
scores = tour.follow_scores(ids)
row = scores[ord("h")]
print("best scored after 'h':", [chr(i) for i in row.topk(2).indices.tolist()])

# %% [markdown] id="scores-become-probabilities-and-a-random"
# **Scores become probabilities.** Models call these scores *logits*. *Softmax* takes the exponential of each score and divides by
# the sum of all exponentials, so that the results are positive and sum to 1. (Here the exponential undoes the logarithm, so the
# probabilities are the counts divided by their total.)
#
# **A random number selects the next integer.** Take a random number u between 0 and 1, add up the probabilities from the first
# byte to the last, and stop where the sum exceeds u. This is called *sampling*.

# %% id="probabilities-softmax-stable-softmax-row"
probabilities = softmax.stable_softmax(row)
for i in tour.text_to_ids("aez"):
    print(f"{chr(i)!r:>5}  score {row[i]:6.2f}  probability {probabilities[i]:.3f}")
print("u = 0.95 samples", repr(chr(tour.drawn_id(probabilities, 0.95))))

# %% id="start-the-cat-sat-on-th"
start = "the cat sat on th"
last = tour.text_to_ids(start)[-8:]
show(
    figures.start_here.next_token_tour(
        [chr(i) for i in last],
        last,
        scores[last][:, 97:123],
        row,
        [chr(i) if 32 <= i < 127 else f"byte {i}" for i in range(256)],
        drawn=tour.drawn_id(probabilities, 0.95),
        top=2,  # no other byte ever came after h
        columns="abcdefghijklmnop",
    )
)

# %% [markdown] id="again-and-again-the-new-byte"
# **Repeat.** The new byte is appended, its row is read, and the next one is sampled. That is all that generation is.

# %% id="generator-torch-generator-manual-seed-0"
generator = torch.Generator().manual_seed(0)
written = tour.text_to_ids("t")
for u in torch.rand(60, generator=generator).tolist():
    written.append(tour.drawn_id(softmax.stable_softmax(scores[written[-1]]), u))
print(tour.ids_to_text(written))

# %% [markdown] id="it-sounds-a-little-like-the"
# It resembles the text that it counted, and makes no sense: it remembers one byte. To do better, a model must look
# further back, and must recognize that two different contexts can mean the same. The rest of the course is about how.
#
# **And now a trained model.** The course carries a small transformer of its own, trained on the documentation and the
# source files of Python's standard library. Its stages are the same five; only the step from the integers to the scores is longer.
# How it was trained, and how you can train it again, is in notebook [Training](11_training.ipynb).

# %% id="trained-model-and-tokenizer"
from course_lib.pretrained import course_model, course_tokenizer

model, tokenizer = course_model(), course_tokenizer()
prompt = "for line in open("
ids = tokenizer.encode(prompt)
pieces = [tokenizer.decode([i]) for i in ids]
print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {tokenizer.vocab_size} tokens")
print(pieces)

# %% [markdown] id="what-is-written-behind-open"
# > **Predict.** What comes after `open(` in Python? Name two tokens that the model should find likely.

# %% id="trained-model-one-step"
logits = model(torch.tensor([ids])).logits[0, -1]
vectors = model.embed(torch.tensor([ids]), torch.arange(len(ids)))[0]
p = softmax.stable_softmax(logits)
best = [tokenizer.decode([i]) for i in p.topk(5).indices.tolist()]
print("the five most likely:", best, f"with {p.topk(5).values.sum():.2f} of the probability")

# %% id="trained-model-tour"
vocabulary = [tokenizer.decode([i]) for i in range(tokenizer.vocab_size)]
show(
    figures.start_here.next_token_tour(
        pieces, ids, vectors[:, :26], logits, vocabulary, drawn=int(p.argmax())
    )
)

# %% [markdown] id="trained-model-again-and-again"
# Repeat: here are a few lines that it writes after a prompt. Change `prompt` and `seed`, and run the cell again. (It computes 120 tokens
# one by one, which takes a few seconds. Dividing the scores by 0.7 makes likely tokens likelier; notebook
# [Generation](12_generation.ipynb) explains it.)

# %% tags=["nbval-ignore-output"] id="trained-model-writes"
prompt, seed = "def read_lines(path):\n", 0
written = tokenizer.encode(prompt)
for u in torch.rand(120, generator=torch.Generator().manual_seed(seed)).tolist():
    scores = model(torch.tensor([written]), last_only=True).logits[0, -1]
    written.append(tour.drawn_id(softmax.stable_softmax(scores / 0.7), u))
print(tokenizer.decode(written))

# %% [markdown] id="trained-model-smile"
# It has learned what Python looks like: keywords, names, calls, indentation. It has not learned what Python means, and here and there it
# forgets to close a bracket.

# %% [markdown] id="7-try-the-quiz"
# ## 7 · The quiz
#
# Each notebook ends with a quiz. Choose, press **Check**, and read why. Your answers are recorded with your progress.

# %% id="quiz-start-here"
quiz("start_here")

# %% [markdown] id="recap"
# ## Recap
#
# 1. Run cells with Shift + Enter; predict before you run.
# 2. An exercise checks itself when its cell runs, and tells you what your function does, not only that it is wrong.
# 3. `hint()` helps; `reveal("name")` shows the library's version.
# 4. Your notebooks and your progress stay on this machine; `python3 start.py doctor` finds what is broken.
# 5. Text → integers → rows of numbers → scores → probabilities → the next integer.
#
# **Next:** open the notebook whose station comes next on the map.
