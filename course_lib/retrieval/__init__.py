"""Retrieval: find what answers a question among texts that a model never saw.

Small files: `pages` and `chunking` (the documentation of the running Python, cut into passages),
`bm25` (by words), `encoder`, `pooling` and `contrastive` (by meaning), `exact`, `kmeans`,
`inverted_file`, `product_quantization`, `ivf_pq` and `hnsw` (nearest vectors), `fusion`, `metrics`,
`search` (all of it together), `rerank` and `cross_encoder` (a second look at what was found).

    search("how do I wrap a long line", 3)       three passages with their pages

Taught in:        retrieval
"""

from course_lib.retrieval.bm25 import BM25Index, words_of
from course_lib.retrieval.chunking import Span, paragraph_chunks, windows, word_chunks
from course_lib.retrieval.contrastive import info_nce
from course_lib.retrieval.exact import ExactIndex, similarity, top_k
from course_lib.retrieval.fusion import (
    reciprocal_rank_fusion,
    scaled_to_one,
    weighted_fusion,
)
from course_lib.retrieval.hnsw import HNSWIndex, choose_neighbours, search_layer
from course_lib.retrieval.inverted_file import IVFIndex
from course_lib.retrieval.ivf_pq import IVFPQIndex
from course_lib.retrieval.kmeans import kmeans, moved_centres, nearest_centres
from course_lib.retrieval.metrics import ndcg_at, recall_at, reciprocal_rank
from course_lib.retrieval.pages import Page, documentation_pages, find_page
from course_lib.retrieval.pooling import mean_pool, normalize, shortened
from course_lib.retrieval.product_quantization import PQIndex, ProductQuantizer, table_distances
from course_lib.retrieval.results import Found, Index
from course_lib.retrieval.search import Hit, Passage, passage_index, passages, search

__all__ = [
    "BM25Index",
    "ExactIndex",
    "Found",
    "HNSWIndex",
    "Hit",
    "IVFIndex",
    "IVFPQIndex",
    "Index",
    "PQIndex",
    "Page",
    "Passage",
    "ProductQuantizer",
    "Span",
    "choose_neighbours",
    "documentation_pages",
    "find_page",
    "info_nce",
    "kmeans",
    "mean_pool",
    "moved_centres",
    "ndcg_at",
    "nearest_centres",
    "normalize",
    "paragraph_chunks",
    "passage_index",
    "passages",
    "recall_at",
    "reciprocal_rank",
    "reciprocal_rank_fusion",
    "scaled_to_one",
    "search",
    "search_layer",
    "shortened",
    "similarity",
    "table_distances",
    "top_k",
    "weighted_fusion",
    "windows",
    "word_chunks",
    "words_of",
]
