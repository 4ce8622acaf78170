"""The questions that close this notebook.

Taught in:        retrieval
Checked against:  `course_lib.retrieval`, from which the numeric answers are computed
"""

import math
from typing import Any

from course_lib.retrieval import ndcg_at, windows
from course_lib.retrieval.costs import code_bytes, compared_in_cells, vector_bytes
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong

BYTES = Numeric(
    id="retrieval.bytes",
    prompt="{thousands} thousand vectors of {width} float32 numbers become product-quantised codes "
    "of {parts} bytes. How many bytes does this save, codebooks aside?",
    draw=lambda rng: {
        "thousands": rng.randint(110, 900),
        "width": rng.choice((96, 128, 384, 768)),
        "parts": rng.choice((8, 24, 32)),
    },
    answer=lambda thousands, width, parts: (
        vector_bytes(1000 * thousands, width) - code_bytes(1000 * thousands, parts)
    ),
    explain=lambda thousands, width, parts: (
        f"4 · {width} bytes of each become {parts}; all "
        f"together that is {1000 * thousands * (4 * width - parts)} fewer."
    ),
    slips=(
        Slip(
            "numbers, not bytes",
            lambda thousands, width, parts: 1000 * thousands * (width - parts),
            "A float32 has four bytes.",
        ),
    ),
)

CHUNKS = Numeric(
    id="retrieval.chunk_count",
    prompt="A book of {words} words is cut into chunks of {size} words that overlap by {overlap}. "
    "How many chunks are there?",
    draw=lambda rng: {
        "words": rng.randint(40_000, 90_000),
        "size": rng.choice((100, 120, 150)),
        "overlap": rng.choice((20, 30, 50)),
    },
    answer=lambda words, size, overlap: len(windows(words, size, overlap)),
    explain=lambda words, size, overlap: (
        f"The first covers {size} words, each further one "
        f"{size - overlap} new ones: 1 + ⌈({words} − {size}) / {size - overlap}⌉ = "
        f"{len(windows(words, size, overlap))}."
    ),
    slips=(
        Slip(
            "overlap forgotten",
            lambda words, size, overlap: math.ceil(words / size),
            "Each chunk brings only size − overlap new words.",
        ),
    ),
)

NDCG = Numeric(
    id="retrieval.ndcg_rank",
    prompt="One passage is relevant, and a search finds it at rank {rank}. What is its nDCG@10?",
    draw=lambda rng: {"rank": rng.randint(2, 10)},
    answer=lambda rank: ndcg_at([*range(1, rank), "right"], {"right": 1}, 10),
    explain=lambda rank: (
        f"The best possible DCG is 1, so it is 1 / log2({rank} + 1) = "
        f"{1 / math.log2(rank + 1):.4f}."
    ),
    slips=(
        Slip("reciprocal rank", lambda rank: 1 / rank, "That is the reciprocal rank."),
        Slip(
            "log2(rank)",
            lambda rank: 1 / math.log2(rank) if rank > 2 else 1.0,
            "The discount of rank r is log2(r + 1).",
        ),
    ),
)

SCANNED = Numeric(
    id="retrieval.scanned",
    prompt="An inverted file has {cells} cells of equal size for {thousands} thousand vectors, and "
    "nprobe is {nprobe}. To how many vectors is a query compared, centres not counted?",
    draw=lambda rng: {
        "cells": rng.choice((100, 200, 500)),
        "thousands": rng.choice((100, 400, 1000)),
        "nprobe": rng.choice((3, 4, 10)),
    },
    answer=lambda cells, thousands, nprobe: compared_in_cells(1000 * thousands, cells, nprobe),
    explain=lambda cells, thousands, nprobe: (
        f"{nprobe} of {cells} cells with {1000 * thousands // cells} vectors each: "
        f"{1000 * thousands * nprobe / cells:.0f}."
    ),
    slips=(
        Slip(
            "one cell",
            lambda cells, thousands, nprobe: 1000 * thousands / cells,
            "nprobe cells are searched.",
        ),
    ),
)

PADDING = OneAnswer(
    "retrieval.padding",
    "What happens to short texts in a batch if padding counts in mean pooling?",
    (
        wrong(
            "Nothing: padding tokens have vectors of zeros after the encoder.",
            "An encoder computes something for every place, padding included.",
        ),
        right(
            "Their vectors become alike, and depend on the batch they are in.",
            "The longest text of the batch decides how much padding is averaged in.",
        ),
        wrong(
            "Their vectors only get shorter, which normalising takes back.",
            "That would hold for zeros; the average is moved in a common direction.",
        ),
        wrong(
            "The encoder raises an error, since a mask must cover all tokens.",
            "The mask of attention does not know what is averaged later.",
        ),
    ),
)

TEMPERATURE = OneAnswer(
    "retrieval.temperature",
    "InfoNCE with vectors of length 1 and a temperature of 1: why does it learn badly?",
    (
        right(
            "Scores lie between −1 and 1, so the loss stays high even for a perfect encoder.",
            "With N passages the probability of the right one is at most e / (e + (N − 1) / e).",
        ),
        wrong(
            "The exponential of a score overflows in float32, and gradients become nan.",
            "exp(1) is harmless. A low temperature makes scores large.",
        ),
        wrong(
            "The gradient of the softmax is zero wherever a score is below 1.",
            "It is not; it is only spread almost evenly over all negatives.",
        ),
        wrong(
            "In-batch negatives need a temperature above 1.",
            "Common values are 0.01 to 0.1.",
        ),
    ),
)

FALSE_NEGATIVE = OneAnswer(
    "retrieval.false_negative",
    "What is a false negative in a batch of question–passage pairs?",
    (
        wrong("A passage that BM25 ranks high although it is wrong.", "That is a hard negative."),
        wrong(
            "A question whose own passage gets a low score.",
            "That is what the loss is there to change.",
        ),
        right(
            "A passage of one pair that does answer the question of another.",
            "The loss pushes the two apart although they belong together.",
        ),
        wrong(
            "A pair that was left out of the batch by chance.",
            "It is simply not seen in this step.",
        ),
    ),
)

BM25_PARTS = SeveralAnswers(
    "retrieval.bm25_parts",
    "Which of these raise the BM25 score of a text for a query, all else equal?",
    (
        right(
            "The word of the query occurs in fewer other texts.",
            "Its idf, the weight of the word, is higher.",
        ),
        right(
            "The word occurs once more, in a text of the same length.",
            "tf grows; each further occurrence adds less.",
        ),
        wrong(
            "The text has twice as many words, the word occurring as often.",
            "With b > 0 a longer text scores lower.",
        ),
        wrong("The word is in capitals in the query.", "Words are compared in lower case here."),
        wrong(
            "The text uses a synonym of the word.",
            "BM25 knows words only; that is what encoders are for.",
        ),
    ),
)

NPROBE = OneAnswer(
    "retrieval.nprobe",
    "A nearest neighbour is missed by an inverted file with nprobe = 1. Why, most likely?",
    (
        wrong(
            "Its code is too coarse to tell it from others.",
            "An inverted file without quantisation compares whole vectors.",
        ),
        right(
            "Query and neighbour lie on two sides of a border between cells.",
            "Then the cell of the query is searched, not that of the neighbour.",
        ),
        wrong(
            "k-means did not converge, so the cell has no vectors.",
            "Centres that are not optimal cost time or recall, but this is not the usual reason.",
        ),
        wrong(
            "The vector was added after the centres were learned.",
            "It was put into the cell that is nearest to it, like all others.",
        ),
    ),
)

ADC = OneAnswer(
    "retrieval.adc",
    "Why are distances from product-quantised codes computed without quantising the query?",
    (
        wrong(
            "Codebooks are learned on stored vectors and cannot encode a new one.",
            "They can encode any vector of this width.",
        ),
        wrong(
            "A quantised query would need a table of 256 × 256 entries for each part.",
            "Such tables are small and serve all queries. They would add the error of the query.",
        ),
        right(
            "The error is only that of the stored vector, and the table costs little.",
            "One table for each query serves all stored vectors.",
        ),
        wrong(
            "Then no distance has to be computed at all.",
            "The table itself holds M · E distances of parts.",
        ),
    ),
)

EF = OneAnswer(
    "retrieval.ef",
    "What does a larger ef change when an HNSW graph is searched?",
    (
        right(
            "More candidates are kept and visited: higher recall, more distances.",
            "The walk stops later, so it gets out of more local minima.",
        ),
        wrong(
            "Each vector gets more links, so the graph needs more memory.",
            "Links are chosen when the graph is built.",
        ),
        wrong(
            "The search starts in a higher layer.",
            "It always starts at the entry point in the top layer.",
        ),
        wrong(
            "More than ef vectors are returned.",
            "At most ef are found; k of them are returned.",
        ),
    ),
)

PIPELINE = OrderSteps(
    id="retrieval.pipeline",
    prompt="Put the steps of retrieval-augmented generation in order.",
    steps=(
        "Pages are cut into passages, each with its page and place.",
        "Passages are put into an index of words and an index of vectors.",
        "Both indexes are asked for candidates, and the two rankings are fused.",
        "A slower model reranks the best candidates.",
        "The best passages are numbered and put into the prompt before the question.",
        "The citations of the answer are compared with the passages.",
    ),
    explanation="Each stage looks at fewer passages than the one before and takes more time for "
    "each. What the first stage misses, no later one can bring back.",
)

WEIGHT = OneAnswer(
    "retrieval.weight",
    "Ten weights for a hybrid are tried on the test questions, and the best score is reported. "
    "What is wrong?",
    (
        wrong(
            "Scores of BM25 and cosines must never be added.",
            "They can be, once both are brought to the same range.",
        ),
        wrong(
            "RRF would always be better than a weighted sum.",
            "It depends on the questions; that is why one measures.",
        ),
        right(
            "The weight was fitted to these questions, so the score is too high.",
            "Choose it on validation questions and report the score on others.",
        ),
        wrong(
            "Ten weights are too few to find the best one.",
            "More would make the mistake larger.",
        ),
    ),
)

CROSS_ENCODER = OneAnswer(
    "retrieval.cross_encoder",
    "A well-trained cross-encoder ranks better than an encoder of the same size. Why is it not "
    "used to search all passages?",
    (
        wrong(
            "Its scores of different passages cannot be compared.",
            "Scores for one question can be compared; that is how it reranks.",
        ),
        right(
            "Nothing can be computed before the question is known: each pair takes a forward pass.",
            "An encoder reads every passage once, and a question then costs one pass and a search.",
        ),
        wrong(
            "Its vectors are too long for an index of nearest neighbours.",
            "It makes no vector of a passage, only a score of a pair.",
        ),
        wrong(
            "It cannot read passages that were not among its training data.",
            "It reads any text, as an encoder does.",
        ),
    ),
)


def _misses(names: dict[str, Any]) -> bool:
    return bool(names["reciprocal_rank"](["b", "a"], {"a"}) != 1 / 2)


BUG = FindTheBug(
    id="retrieval.bug_rank",
    prompt="A ranking may name a page twice. Since this function drops repeated pages, a search "
    "that puts the right page first often gets less than 1.",
    code="""
def reciprocal_rank(ranking, relevant):
    for rank, item in enumerate(sorted(set(ranking)), start=1):
        if item in relevant:
            return 1 / rank
    return 0.0
""",
    line=2,
    fixed="for rank, item in enumerate(dict.fromkeys(ranking), start=1):",
    why="A set has no order, and sorted puts the pages in alphabetical order, so the ranking is "
    "lost. dict.fromkeys drops repeated items and keeps the order.",
    why_not={
        1: "A ranking and the set of relevant items are all that is needed.",
        3: "The first relevant item decides: that is right.",
        4: "With ranks from 1 that is the reciprocal rank.",
        5: "A ranking without a relevant item scores 0.",
    },
    shows_bug=_misses,
)

QUESTIONS = (
    CHUNKS,
    BM25_PARTS,
    PADDING,
    TEMPERATURE,
    FALSE_NEGATIVE,
    NPROBE,
    SCANNED,
    BYTES,
    ADC,
    EF,
    WEIGHT,
    NDCG,
    CROSS_ENCODER,
    PIPELINE,
    BUG,
)
