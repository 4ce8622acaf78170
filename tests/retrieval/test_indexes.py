"""Indexes of vectors: the neighbours of faiss and hnswlib, one interface, and what is lost."""

import copy
import itertools

import faiss
import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from course_lib.retrieval import (
    ExactIndex,
    HNSWIndex,
    IVFIndex,
    IVFPQIndex,
    PQIndex,
    ProductQuantizer,
    cell_lists,
    kmeans,
    moved_centres,
    nearest_centres,
    similarity,
    table_distances,
    top_k,
)

faiss.omp_set_num_threads(1)
WIDTH = 8


def clustered(count=900, width=WIDTH, seed=0):
    source = torch.Generator().manual_seed(seed)
    middles = 3 * torch.randn(12, width, generator=source)
    return middles[torch.arange(count) % 12] + torch.randn(count, width, generator=source)


DATA, QUERIES = clustered(), clustered(40, seed=0) + 0.1


def every_index():
    return {
        "exact": ExactIndex(WIDTH, "l2"),
        "ivf": IVFIndex(WIDTH, 12, 3),
        "pq": PQIndex(WIDTH, 4, 32),
        "ivfpq": IVFPQIndex(WIDTH, 12, 4, 3, 32),
        "hnsw": HNSWIndex(WIDTH, 6, 40, 30),
    }


def recall(found, exact):
    return (found[:, :, None] == exact[:, None]).any(1).double().mean().item()


def exact_ids(k=10):
    return torch.cdist(QUERIES, DATA).topk(k, largest=False).indices


@pytest.mark.parametrize("metric", ["dot", "l2"])
@pytest.mark.parametrize("count", [3, 900])
def test_exact_search_equals_faiss(metric, count):
    ours = ExactIndex(WIDTH, metric)
    theirs = faiss.IndexFlatIP(WIDTH) if metric == "dot" else faiss.IndexFlatL2(WIDTH)
    ours.add(DATA[:count])
    theirs.add(DATA[:count].numpy())
    scores, ids = theirs.search(QUERIES.numpy(), 5)
    found = ours.search(QUERIES, 5)
    assert found.ids.tolist() == ids.tolist()
    kept = min(count, 5)
    expected = torch.from_numpy(scores)[:, :kept] * (1 if metric == "dot" else -1)
    torch.testing.assert_close(found.scores[:, :kept], expected, rtol=1e-4, atol=1e-4)


def test_groups_hide_nothing():
    scores = torch.randn(7, 3001, generator=torch.Generator().manual_seed(0))
    found = top_k(scores, 5)
    expected = scores.topk(5)
    assert torch.equal(found.scores, expected.values)
    assert torch.equal(found.ids, expected.indices)


def test_k_means_moves_as_scikit_learn_does():
    start = DATA[:12].clone()
    theirs = KMeans(12, init=start.numpy(), n_init=1, max_iter=1, algorithm="lloyd", tol=0)
    ours = moved_centres(DATA, start, nearest_centres(DATA, start))[0]
    again = moved_centres(DATA, ours, nearest_centres(DATA, ours))[0]
    labels = theirs.fit(DATA.numpy()).labels_
    one_more = np.stack([DATA.numpy()[labels == c].mean(0) for c in range(12)])
    assert torch.from_numpy(np.abs(ours.numpy() - theirs.cluster_centers_)).max() < 1e-4 or (
        torch.from_numpy(np.abs(again.numpy() - one_more)).max() < 1e-4
    )


def test_k_means_leaves_no_cell_empty_and_lowers_the_error():
    points = torch.cat((DATA, torch.full((300, WIDTH), 50.0)))
    centres = kmeans(points, 30)
    assert torch.bincount(nearest_centres(points, centres), minlength=30).min() > 0
    first = ((points - points[:30][nearest_centres(points, points[:30])]) ** 2).sum()
    assert ((points - centres[nearest_centres(points, centres)]) ** 2).sum() < first


@pytest.mark.parametrize("nprobe", [1, 3, 12])
def test_an_inverted_file_equals_faiss_with_the_same_centres(nprobe):
    ours = IVFIndex(WIDTH, 12, nprobe)
    ours.add(DATA)
    coarse = faiss.IndexFlatL2(WIDTH)
    coarse.add(ours.centres.numpy())
    theirs = faiss.IndexIVFFlat(coarse, WIDTH, 12)
    theirs.is_trained = True
    theirs.add(DATA.numpy())
    theirs.nprobe = nprobe
    assert ours.search(QUERIES, 6).ids.tolist() == theirs.search(QUERIES.numpy(), 6)[1].tolist()
    assert (nprobe < 12) or torch.equal(ours.search(QUERIES, 10).ids, exact_ids())


def test_codes_and_distances_equal_faiss_with_the_same_codebooks():
    ours = PQIndex(WIDTH, 4, 256)
    ours.add(DATA)
    theirs = faiss.IndexPQ(WIDTH, 4, 8)
    faiss.copy_array_to_vector(ours.quantizer.codebooks.numpy().ravel(), theirs.pq.centroids)
    theirs.is_trained = True
    theirs.add(DATA.numpy())
    assert faiss.vector_to_array(theirs.codes).reshape(-1, 4).tolist() == ours.codes.tolist()
    distances, _ = theirs.search(QUERIES.numpy(), 10)
    torch.testing.assert_close(
        -ours.search(QUERIES, 10).scores, torch.from_numpy(distances), rtol=1e-4, atol=1e-4
    )


def test_table_distances_are_those_to_the_decoded_vectors():
    quantizer = ProductQuantizer.train(DATA, 2, 16)
    codes = quantizer.encode(DATA)
    found = table_distances(quantizer.tables(QUERIES), codes)
    expected = torch.cdist(QUERIES, quantizer.decode(codes)) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_codes_of_residuals_are_compared_cell_by_cell():
    index = IVFPQIndex(WIDTH, 12, 4, 12, 32)
    index.add(DATA)
    decoded = torch.zeros_like(DATA)
    for cell, (start, stop) in enumerate(itertools.pairwise(index.lists.starts)):
        codes, _ = index.lists.inside[cell]  # (M, n)
        ids = index.lists.ids[start:stop]
        decoded[ids] = index.coarse.centres[cell] + index.quantizer.decode(codes.T)
    expected = -similarity(QUERIES, decoded, "l2").topk(5).values
    torch.testing.assert_close(-index.search(QUERIES, 5).scores, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("queries", [1, 3, 4, 9])
def test_codes_are_summed_in_the_table_of_each_query(queries):
    source = torch.Generator().manual_seed(0)
    tables = torch.randn(queries, 3, 16, generator=source)
    codes = torch.randint(16, (50, 3), generator=source).to(torch.uint8)
    expected = torch.stack([tables[:, torch.arange(3), row.long()].sum(1) for row in codes], 1)
    torch.testing.assert_close(table_distances(tables, codes), expected, rtol=1e-5, atol=1e-5)


def test_an_inverted_file_of_codes_equals_faiss_with_the_same_codebooks():
    ours = IVFPQIndex(WIDTH, 12, 4, 3, 256)
    ours.add(DATA)
    coarse = faiss.IndexFlatL2(WIDTH)
    coarse.add(ours.coarse.centres.numpy())
    theirs = faiss.IndexIVFPQ(coarse, WIDTH, 12, 4, 8)
    faiss.copy_array_to_vector(ours.quantizer.codebooks.numpy().ravel(), theirs.pq.centroids)
    theirs.is_trained = True
    theirs.add(DATA.numpy())
    theirs.nprobe = 3
    distances, _ = theirs.search(QUERIES.numpy(), 10)
    torch.testing.assert_close(
        -ours.search(QUERIES, 10).scores, torch.from_numpy(distances), rtol=1e-4, atol=1e-3
    )


def test_visits_are_found_by_their_cell():
    visits = cell_lists.Visits(torch.tensor([0, 1, 0]), torch.tensor([4, 4, 7]))
    assert list(visits.by_cell()) == [(4, slice(0, 2)), (7, slice(2, 3))]


def their_graph_of_faiss():
    theirs = faiss.IndexHNSWFlat(WIDTH, 6)
    theirs.hnsw.efConstruction, theirs.hnsw.efSearch = 40, 30
    theirs.add(DATA.numpy())
    return torch.from_numpy(theirs.search(QUERIES.numpy(), 10)[1])


def their_graph_of_hnswlib():
    hnswlib = pytest.importorskip(
        "hnswlib", reason="hnswlib is compiled at installation: pip install llm-insides[graphs]"
    )
    theirs = hnswlib.Index("l2", WIDTH)
    theirs.init_index(len(DATA), M=6, ef_construction=40, random_seed=1)
    theirs.set_num_threads(1)
    theirs.add_items(DATA.numpy())
    theirs.set_ef(30)
    return torch.from_numpy(theirs.knn_query(QUERIES.numpy(), 10)[0].astype("int64"))


@pytest.fixture(scope="module")
def graph():
    ours = HNSWIndex(WIDTH, links=6, ef_construction=40, ef=30)
    ours.add(DATA)
    return ours


@pytest.mark.parametrize("theirs", [their_graph_of_faiss, their_graph_of_hnswlib])
def test_a_graph_finds_as_much_as_theirs(graph, theirs):
    found = recall(graph.search(QUERIES, 10).ids, exact_ids())
    assert found > recall(theirs(), exact_ids()) - 0.05
    assert found > 0.9


def test_a_narrow_search_finds_no_more(graph):
    wide = recall(graph.search(QUERIES, 10).ids, exact_ids())
    narrow = copy.copy(graph)
    narrow.ef = 1  # k = 10 are kept at least
    assert recall(narrow.search(QUERIES, 10).ids, exact_ids()) <= wide


def test_links_go_both_ways_and_are_limited():
    index = HNSWIndex(WIDTH, links=4, ef_construction=20)
    index.add(DATA[:300])
    assert max(map(len, index.layers[0].values())) <= 8
    assert len(index.layers) > 1
    assert set(index.layers[1]) < set(index.layers[0])
    assert index.entry in index.layers[-1]


@pytest.mark.parametrize("name", every_index())
def test_every_index_has_one_interface(name, tmp_path):
    index = every_index()[name]
    index.add(DATA[:600])
    index.add(DATA[600:])
    assert len(index) == 900
    found = index.search(QUERIES, 10)
    assert found.ids.shape == found.scores.shape == (40, 10)
    assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()
    assert recall(found.ids, exact_ids()) > 0.35
    index.save(tmp_path / "index")
    again = type(index).load(tmp_path / "index")
    assert len(again) == 900
    assert torch.equal(again.search(QUERIES, 10).ids, found.ids)
    with pytest.raises(ValueError, match="at least 1"):
        index.search(QUERIES, 0)
    with pytest.raises(ValueError, match="8"):
        index.search(torch.zeros(2, 5), 1)


@pytest.mark.parametrize("name", every_index())
def test_more_than_there_is(name):
    index = every_index()[name] if name in ("exact", "hnsw") else None
    if index is None:
        index = {"ivf": IVFIndex(WIDTH, 2, 1), "pq": PQIndex(WIDTH, 2, 3)}.get(name)
        index = index or IVFPQIndex(WIDTH, 2, 2, 1, 3)
    index.add(DATA[:4])
    found = index.search(QUERIES[:2], 6)
    assert (found.ids[:, 4:] == -1).all()
    assert (found.scores[found.ids == -1] == -torch.inf).all()
    assert (found.ids[:, 0] >= 0).all()


def test_errors_name_the_value(tmp_path):
    ExactIndex(2).save(tmp_path / "index")
    for action, value in (
        (lambda: ExactIndex(2, "cosine"), "cosine"),
        (lambda: IVFIndex(2, 4, 5), "5"),
        (lambda: IVFIndex(WIDTH, 2).search(QUERIES, 1), "empty"),
        (lambda: PQIndex(WIDTH, 2).search(QUERIES, 1), "empty"),
        (lambda: PQIndex(WIDTH, 3).add(DATA), "3 parts"),
        (lambda: PQIndex(WIDTH, 0).add(DATA), "0 parts"),
        (lambda: HNSWIndex(2, links=1), "1"),
        (lambda: kmeans(DATA[:3], 4), "4"),
        (lambda: IVFIndex.load(tmp_path / "index"), "exact"),
    ):
        with pytest.raises(ValueError, match=value):
            action()
    for index in (IVFIndex(WIDTH, 2), PQIndex(WIDTH, 2, 4), IVFPQIndex(WIDTH, 2, 2, 1, 4)):
        index.add(DATA[:20])
        with pytest.raises(ValueError, match="20"):
            index.train(DATA)


@pytest.mark.parametrize("name", every_index())
def test_vectors_that_are_not_finite_are_named(name):
    index, some = every_index()[name], DATA[:60]
    for value, count in ((torch.nan, 0), (torch.inf, len(some))):
        wrong = some.clone()
        wrong[5, 2] = value
        with pytest.raises(ValueError, match="row 5"):
            index.add(wrong)
        assert len(index) == count
        if not count:
            index.add(some)


@pytest.mark.parametrize("name", ["ivf", "pq", "ivfpq"])
def test_an_index_that_has_only_learned_finds_nothing(name):
    index = every_index()[name]
    index.train(DATA)
    index.add(DATA[:0])
    assert len(index) == 0
    for queries in (QUERIES, QUERIES[:1]):
        found = index.search(queries, 4)
        assert found.ids.tolist() == [[-1] * 4] * len(queries)
        assert (found.scores == -torch.inf).all()


@pytest.mark.parametrize("queries", [1, 40])
@pytest.mark.parametrize("index", [IVFIndex(WIDTH, 12, 12), IVFPQIndex(WIDTH, 12, 4, 12, 32)])
def test_cells_may_be_empty(index, queries):
    index = copy.deepcopy(index)
    index.train(DATA)
    index.add(DATA[:5])
    found = index.search(QUERIES[:queries], 7).ids
    assert found[:, :5].sort().values.tolist() == [[0, 1, 2, 3, 4]] * queries
    assert (found[:, 5:] == -1).all()


@pytest.mark.parametrize("name", every_index())
def test_queries_and_vectors_may_have_another_dtype(name):
    index = every_index()[name]
    index.add(DATA[:60])
    assert torch.equal(index.search(QUERIES.double(), 5).ids, index.search(QUERIES, 5).ids)
    index.add(DATA[:3].double())
    assert index.search(QUERIES, 5).ids.shape == (40, 5)
    assert len(index) == 63


def test_scores_from_cells_have_no_gradient():
    index = IVFIndex(WIDTH, 12, 3)
    index.add(DATA)
    assert not index.search(QUERIES.clone().requires_grad_(), 3).scores.requires_grad


def test_lists_in_another_layout_are_not_loaded(tmp_path):
    index = IVFIndex(WIDTH, 12)
    index.add(DATA)
    columns = index.lists.tensors[0]
    index.lists.tensors = columns[:-1], -columns[-1]  # vectors, and their squares apart
    index.save(tmp_path / "index")
    with pytest.raises(ValueError, match=r"\[\(9,\)\]; got \[\(8,\), \(\)\]"):
        IVFIndex.load(tmp_path / "index")


@pytest.mark.parametrize("name", ["ivf", "ivfpq"])
def test_few_queries_at_a_time_find_the_same(name, monkeypatch):
    index = every_index()[name]
    index.add(DATA)
    at_once = index.search(QUERIES, 40)
    monkeypatch.setattr(cell_lists, "SCORES", 1)
    monkeypatch.setattr(cell_lists, "GROUP", 4)
    one_by_one = index.search(QUERIES, 40)
    assert torch.equal(at_once.ids, one_by_one.ids)
    torch.testing.assert_close(at_once.scores, one_by_one.scores, rtol=1e-4, atol=1e-4)
    assert index.search(QUERIES[:0], 3).ids.shape == (0, 3)


def test_cells_are_searched_by_dot_product_too():
    index, exact = IVFIndex(WIDTH, 12, 12, "dot"), ExactIndex(WIDTH, "dot")
    for each in (index, exact):
        each.add(DATA)
    found, expected = (each.search(QUERIES, 5) for each in (index, exact))
    assert torch.equal(found.ids, expected.ids)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-4)
