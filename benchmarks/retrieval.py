"""Retrieval, measured: indexes beside faiss and hnswlib, BM25 beside bm25s and rank_bm25.

    python -m benchmarks.retrieval

All run on one thread and in turns, on the same vectors: 100 000 of 128 numbers in clusters, queries
in batches of 200. Where it is possible the peer gets our centres and codebooks, so that both do the
same work; `recall` is then that of both. Times are processor time per query. HNSW is compared on
2 000 vectors, with the time to build the graph. BM25 searches the passages of the documentation.
"""

import time
from collections.abc import Callable

import bm25s
import faiss
import torch
from rank_bm25 import BM25Okapi
from torch import Tensor

from benchmarks.record import record
from benchmarks.timing import median, race, timed
from course_lib.chapters.retrieval.figures import recall_of
from course_lib.chapters.retrieval.measurements import SPEED, store
from course_lib.retrieval import (
    BM25Index,
    ExactIndex,
    HNSWIndex,
    IVFIndex,
    IVFPQIndex,
    PQIndex,
    passages,
    words_of,
)
from course_lib.retrieval.questions import stored_questions

COUNT, WIDTH, QUERIES, K = 100_000, 128, 200, 10
CELLS, PARTS, SMALL = 316, 16, 2_000
OURS, THEIRS = "ours", "theirs"


def clusters() -> tuple[Tensor, Tensor]:
    """Return vectors and queries around common middles."""
    source = torch.Generator().manual_seed(0)
    middles = torch.randn(400, WIDTH, generator=source)
    chosen = torch.randint(400, (COUNT + QUERIES,), generator=source)
    whole = middles[chosen] + 0.7 * torch.randn(COUNT + QUERIES, WIDTH, generator=source)
    return whole[:COUNT].contiguous(), whole[COUNT:].contiguous()


def row(
    what: str, peer: str, queries: int, ours: Callable[[], object], theirs: Callable[[], object]
) -> dict:
    """Time both in turns; return milliseconds for each query."""
    rounds = race({OURS: ours, THEIRS: theirs}, budget=2.0, least=3)
    mine, peers = (1000 * median(rounds, name) / queries for name in (OURS, THEIRS))
    return {
        "what": what,
        "peer": peer,
        "ours": round(mine, 4),
        "theirs": round(peers, 4),
        SPEED: round(peers / mine, 2),
    }


def exact_rows(data: Tensor, queries: Tensor) -> tuple[list[dict], Tensor]:
    ours, theirs = ExactIndex(WIDTH, "l2"), faiss.IndexFlatL2(WIDTH)
    ours.add(data)
    theirs.add(data.numpy())
    ids = ours.search(queries, K).ids
    same = recall_of(torch.from_numpy(theirs.search(queries.numpy(), K)[1]), ids)
    measured = row(
        "exact",
        "faiss",
        QUERIES,
        lambda: ours.search(queries, K),
        lambda: theirs.search(queries.numpy(), K),
    )
    return [measured | {"recall": 1.0, "same neighbours": round(same, 4)}], ids


def ivf_rows(data: Tensor, queries: Tensor, nearest: Tensor) -> list[dict]:
    ours, build = timed(lambda: _added(IVFIndex(WIDTH, CELLS), data))
    coarse = faiss.IndexFlatL2(WIDTH)
    coarse.add(ours.centres.numpy())
    theirs = faiss.IndexIVFFlat(coarse, WIDTH, CELLS)
    theirs.is_trained = True
    theirs.add(data.numpy())
    rows = []
    for nprobe in (1, 4, 16):
        ours.nprobe = theirs.nprobe = nprobe
        measured = row(
            f"IVF, nprobe {nprobe}",
            "faiss",
            QUERIES,
            lambda: ours.search(queries, K),
            lambda: theirs.search(queries.numpy(), K),
        )
        found = ours.search(queries, K).ids
        same = recall_of(torch.from_numpy(theirs.search(queries.numpy(), K)[1]), found)
        score = round(recall_of(found, nearest), 3)
        rows.append(measured | {"recall": score, "same neighbours": round(same, 4)})
    print(f"IVF built in {build:.1f} s")
    return rows


def pq_rows(data: Tensor, queries: Tensor, nearest: Tensor) -> list[dict]:
    ours, build = timed(lambda: _added(PQIndex(WIDTH, PARTS), data))
    theirs = faiss.IndexPQ(WIDTH, PARTS, 8)
    faiss.copy_array_to_vector(ours.quantizer.codebooks.numpy().ravel(), theirs.pq.centroids)
    theirs.is_trained = True
    theirs.add(data.numpy())
    measured = row(
        "PQ, 16 bytes",
        "faiss",
        QUERIES,
        lambda: ours.search(queries, K),
        lambda: theirs.search(queries.numpy(), K),
    )
    found = ours.search(queries, K).ids
    same = recall_of(torch.from_numpy(theirs.search(queries.numpy(), K)[1]), found)
    print(f"PQ built in {build:.1f} s")
    score = round(recall_of(found, nearest), 3)
    return [measured | {"recall": score, "same neighbours": round(same, 4)}]


def ivf_pq_rows(data: Tensor, queries: Tensor, nearest: Tensor) -> list[dict]:
    ours = _added(IVFPQIndex(WIDTH, CELLS, PARTS, 8), data)
    theirs = faiss.IndexIVFPQ(faiss.IndexFlatL2(WIDTH), WIDTH, CELLS, PARTS, 8)
    theirs.train(data.numpy())
    theirs.add(data.numpy())
    theirs.nprobe = 8
    measured = row(
        "IVF-PQ, nprobe 8",
        "faiss",
        QUERIES,
        lambda: ours.search(queries, K),
        lambda: theirs.search(queries.numpy(), K),
    )
    score = round(recall_of(ours.search(queries, K).ids, nearest), 3)
    return [measured | {"recall": score, "same neighbours": None}]


def hnsw_rows(data: Tensor, queries: Tensor) -> list[dict]:
    small = data[:SMALL]
    ours, mine = timed(lambda: _added(HNSWIndex(WIDTH, 16, 60, 50), small))
    import hnswlib  # compiled when it is installed: the extra `graphs`

    theirs = hnswlib.Index("l2", WIDTH)
    theirs.init_index(SMALL, M=16, ef_construction=60)
    theirs.set_num_threads(1)
    _, peers = timed(lambda: theirs.add_items(small.numpy()))
    theirs.set_ef(50)
    exact = _added(ExactIndex(WIDTH, "l2"), small).search(queries, K).ids
    build = {
        "what": "HNSW, build",
        "peer": "hnswlib",
        "ours": round(1000 * mine / SMALL, 4),
        "theirs": round(1000 * peers / SMALL, 4),
        SPEED: round(peers / mine, 4),
        "recall": None,
        "same neighbours": None,
    }
    measured = row(
        "HNSW, ef 50",
        "hnswlib",
        QUERIES,
        lambda: ours.search(queries, K),
        lambda: theirs.knn_query(queries.numpy(), K),
    )
    score = round(recall_of(ours.search(queries, K).ids, exact), 3)
    peer = torch.from_numpy(theirs.knn_query(queries.numpy(), K)[0].astype("int64"))
    print(f"hnswlib's recall: {recall_of(peer, exact):.3f}")
    return [build, measured | {"recall": score, "same neighbours": None}]


def bm25_rows() -> list[dict]:
    texts = [passage.text for passage in passages()]
    asked = [each.text for part in ("validation", "test") for each in stored_questions(part)]
    words, tokens = [words_of(text) for text in asked], [words_of(text) for text in texts]
    ours = _added(BM25Index(), texts)
    ours.search(asked, K)
    fast = bm25s.BM25(method="lucene")
    fast.index(tokens, show_progress=False)
    plain = BM25Okapi(tokens)
    peers = {
        "bm25s": lambda: fast.retrieve(words, k=K, show_progress=False),
        "rank_bm25": lambda: [plain.get_scores(query) for query in words],
    }
    return [
        row("BM25", name, len(asked), lambda: ours.search(asked, K), peer)
        | {"recall": None, "same neighbours": None}
        for name, peer in peers.items()
    ]


def _added(index, items):
    index.add(items)
    return index


def main() -> None:
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    begin = time.perf_counter()
    data, queries = clusters()
    rows, nearest = exact_rows(data, queries)
    rows += ivf_rows(data, queries, nearest)
    rows += pq_rows(data, queries, nearest)
    rows += ivf_pq_rows(data, queries, nearest)
    rows += hnsw_rows(data, queries)
    rows += bm25_rows()
    print(f"{time.perf_counter() - begin:.0f} seconds in all")
    record("retrieval", rows)
    store("indexes", {"rows": rows})


if __name__ == "__main__":
    main()
