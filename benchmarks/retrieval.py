"""Retrieval, measured: indexes beside faiss and hnswlib, BM25 beside bm25s and rank_bm25.

    python -m benchmarks.retrieval

All run on one thread and in turns, on the same vectors: 100 000 of 128 numbers in clusters, queries
in batches of 200. The course's indexes are built first, with the seconds and the memory that it
takes; faiss then gets their centres and codebooks, so that both do the same work and find the same.
Times are processor time per query. HNSW is compared on 2 000 vectors, with the time to build the
graph. BM25 searches the passages of the documentation. The course's indexes are Python with PyTorch
and NumPy, and HNSW walks its graph step by step in Python; faiss and hnswlib are C++.
"""

import resource
from collections.abc import Callable
from typing import Any

import bm25s
import faiss
import hnswlib
import torch
from rank_bm25 import BM25Okapi
from torch import Tensor

from benchmarks.record import progress, record
from benchmarks.timing import median, race, ratio, timed
from course_lib.chapters.retrieval.figures import recall_of
from course_lib.chapters.retrieval.measurements import SPEED, store
from course_lib.retrieval import (
    BM25Index,
    ExactIndex,
    HNSWIndex,
    Index,
    IVFIndex,
    IVFPQIndex,
    PQIndex,
    passages,
    words_of,
)
from course_lib.retrieval.questions import stored_questions

COUNT, WIDTH, QUERIES, K = 100_000, 128, 200, 10
CELLS, PARTS, SMALL = 316, 16, 2_000
PROBES, WIDTHS = (1, 2, 4, 8, 16), (10, 20, 50, 100)
OURS, THEIRS = "ours", "theirs"
Row = dict[str, Any]
Search = Callable[[], Tensor]  # the ids that are found


def clusters() -> tuple[Tensor, Tensor]:
    """Return vectors and queries around common middles."""
    source = torch.Generator().manual_seed(0)
    middles = torch.randn(400, WIDTH, generator=source)
    chosen = torch.randint(400, (COUNT + QUERIES,), generator=source)
    whole = middles[chosen] + 0.7 * torch.randn(COUNT + QUERIES, WIDTH, generator=source)
    return whole[:COUNT].contiguous(), whole[COUNT:].contiguous()


def raced(
    index: str, peer: str, items: int, ours: Callable[[], object], theirs: Callable[[], object]
) -> Row:
    """Time both in turns; return milliseconds for each item, and the ratio."""
    progress(index, f"beside {peer}")
    rounds = race({OURS: ours, THEIRS: theirs}, budget=1.0, least=3)
    each = {name: round(1000 * median(rounds, name) / items, 4) for name in (OURS, THEIRS)}
    return {"index": index, "peer": peer, **each, **ratio(SPEED, rounds, THEIRS, OURS)}


def compared(
    index: str, peer: str, ours: Search, theirs: Search, nearest: Tensor, **setting: int
) -> Row:
    """Return the times of both, and what they find of the nearest and of each other's."""
    found, others = ours(), theirs()
    scores = {
        "recall": recall_of(found, nearest),
        "recall of the peer": recall_of(others, nearest),
        "same neighbours": recall_of(others, found),
    }
    rounded = {name: round(score, 4) for name, score in scores.items()}
    return setting | raced(index, peer, QUERIES, ours, theirs) | rounded


def built(data: Tensor) -> tuple[dict[str, Any], list[Row]]:
    """Return the course's indexes of all vectors, with the time and the memory they took."""
    indexes: dict[str, Any] = {
        "exact": ExactIndex(WIDTH, "l2"),
        "IVF": IVFIndex(WIDTH, CELLS),
        "PQ": PQIndex(WIDTH, PARTS),
        "IVF-PQ": IVFPQIndex(WIDTH, CELLS, PARTS),
    }
    rows = []
    for name, index in indexes.items():
        progress("building", name)
        _, seconds = timed(lambda index=index: index.add(data))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        rows.append({"built": name, "seconds": round(seconds, 1), "peak MB so far": round(peak)})
    return indexes, rows


def coarse(centres: Tensor) -> faiss.IndexFlatL2:
    """Return the course's centres for an index of faiss."""
    index = faiss.IndexFlatL2(WIDTH)
    index.add(centres.numpy())
    return index


def peers_of(indexes: dict[str, Any], data: Tensor) -> dict[str, Any]:
    """Return the same indexes of faiss, with the course's centres and codebooks."""
    peers = {
        "exact": faiss.IndexFlatL2(WIDTH),
        "IVF": faiss.IndexIVFFlat(coarse(indexes["IVF"].centres), WIDTH, CELLS),
        "PQ": faiss.IndexPQ(WIDTH, PARTS, 8),
        "IVF-PQ": faiss.IndexIVFPQ(
            coarse(indexes["IVF-PQ"].coarse.centres), WIDTH, CELLS, PARTS, 8
        ),
    }
    for name in ("PQ", "IVF-PQ"):
        books = indexes[name].quantizer.codebooks.numpy().ravel()
        faiss.copy_array_to_vector(books, peers[name].pq.centroids)
    for peer in peers.values():
        peer.is_trained = True
        peer.add(data.numpy())
    return peers


def vector_rows(data: Tensor, queries: Tensor) -> list[Row]:
    """Return how the indexes of all vectors were built, and their searches beside faiss."""
    indexes, rows = built(data)
    peers = peers_of(indexes, data)
    nearest = indexes["exact"].search(queries, K).ids
    for name, ours in indexes.items():
        theirs, cells = peers[name], getattr(ours, "coarse", ours)
        probes = PROBES if isinstance(cells, IVFIndex) else (0,)
        for nprobe in probes:
            if nprobe:
                cells.nprobe = theirs.nprobe = nprobe
            setting = {"nprobe": nprobe} if nprobe else {}
            searches = found_by(ours, queries), found_by_faiss(theirs, queries)
            rows.append(compared(name, "faiss", *searches, nearest, **setting))
    return rows


def found_by(index: Index, queries: Tensor) -> Search:
    """Return the search of one of the course's indexes."""
    return lambda: index.search(queries, K).ids


def found_by_faiss(index: faiss.Index, queries: Tensor) -> Search:
    """Return the search of one of faiss's."""
    return lambda: torch.from_numpy(index.search(queries.numpy(), K)[1])


def found_by_hnswlib(index: hnswlib.Index, queries: Tensor) -> Search:
    """Return the search of a graph of hnswlib."""
    return lambda: torch.from_numpy(index.knn_query(queries.numpy(), K)[0].astype("int64"))


def graph_rows(data: Tensor, queries: Tensor) -> list[Row]:
    """Return the building of a graph beside hnswlib, and searches of several widths."""
    ours, exact = HNSWIndex(WIDTH, 16, 60, 50), ExactIndex(WIDTH, "l2")
    exact.add(data)
    nearest = exact.search(queries, K).ids
    _, mine = timed(lambda: ours.add(data))
    theirs = hnswlib.Index("l2", WIDTH)
    theirs.init_index(len(data), M=16, ef_construction=60)
    theirs.set_num_threads(1)
    _, peers = timed(lambda: theirs.add_items(data.numpy()))
    each = {OURS: round(1e3 * mine / len(data), 4), THEIRS: round(1e3 * peers / len(data), 4)}
    speed = {SPEED: round(peers / mine, 4)}
    rows: list[Row] = [{"index": "HNSW, build", "peer": "hnswlib", **each, **speed}]
    for ef in WIDTHS:
        ours.ef = ef
        theirs.set_ef(ef)
        searches = found_by(ours, queries), found_by_hnswlib(theirs, queries)
        rows.append(compared("HNSW", "hnswlib", *searches, nearest, ef=ef))
    return rows


def bm25_rows() -> list[Row]:
    """Return the search for the stored questions beside two packages."""
    texts = [passage.text for passage in passages()]
    asked = [each.text for part in ("validation", "test") for each in stored_questions(part)]
    words, tokens = [words_of(text) for text in asked], [words_of(text) for text in texts]
    ours = BM25Index()
    ours.add(texts)
    fast = bm25s.BM25(method="lucene")
    fast.index(tokens, show_progress=False)
    plain = BM25Okapi(tokens)
    peers = {
        "bm25s": lambda: fast.retrieve(words, k=K, show_progress=False),
        "rank_bm25": lambda: [plain.get_scores(query) for query in words],
    }
    return [
        raced("BM25", name, len(asked), lambda: ours.search(asked, K), peer)
        for name, peer in peers.items()
    ]


def main() -> None:
    """Measure everything; keep it here and for the notebook."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    data, queries = clusters()
    rows = vector_rows(data, queries) + graph_rows(data[:SMALL], queries) + bm25_rows()
    record("retrieval", rows)
    store("indexes", {"rows": rows})


if __name__ == "__main__":
    main()
