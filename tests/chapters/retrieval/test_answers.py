"""The exercises' answers agree with the library's indexes."""

import pytest
import torch

from course_lib.chapters.retrieval import answers
from course_lib.retrieval import (
    BM25Index,
    IVFIndex,
    ProductQuantizer,
    choose_neighbours,
    nearest_centres,
    search_layer,
    table_distances,
)

POINTS = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))


def test_bm25_equals_the_index():
    texts = [["a", "b", "a"], ["b", "c"], []]
    index = BM25Index(1.2, 0.5)
    index.add([" ".join(text) for text in texts])
    expected = pytest.approx(index.scores("a c").tolist(), abs=1e-6)
    assert answers.bm25_scores(["a", "c"], texts, 1.2, 0.5) == expected


def test_cells_are_searched_as_in_the_index():
    index = IVFIndex(4, 6, 2)
    index.add(POINTS)
    cells = nearest_centres(POINTS, index.centres)
    found = answers.ivf_search(POINTS[3], POINTS, cells, index.centres, 2, 5)
    assert found == index.search(POINTS[3:4], 5).ids[0].tolist()


def test_distances_of_codes_equal_the_tables():
    quantizer = ProductQuantizer.train(POINTS, 2, 8)
    codes = quantizer.encode(POINTS)
    found = answers.pq_distances(POINTS[0], quantizer.codebooks, codes.long())
    expected = table_distances(quantizer.tables(POINTS[:1]), codes)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ef", [1, 3, 60])
def test_the_walk_is_that_of_the_index(ef):
    gaps = torch.cdist(POINTS, POINTS)
    links = {i: gaps[i].argsort()[1:4].tolist() for i in range(60)}
    distance = dict(enumerate(gaps[7].tolist()))
    near = search_layer([0], links, lambda ids: [distance[i] for i in ids], ef)
    assert answers.walk(0, links, distance, ef) == [i for _, i in near]


def test_neighbours_are_chosen_as_in_the_index():
    gaps = torch.cdist(POINTS, POINTS).tolist()
    candidates = [(gaps[0][i], i) for i in range(1, 20)]
    chosen = choose_neighbours(candidates, lambda a, b: gaps[a][b], 5)
    between = [[gaps[i][j] for j in range(1, 20)] for i in range(1, 20)]
    assert [i + 1 for i in answers.varied_neighbours(gaps[0][1:20], between, 5)] == chosen
