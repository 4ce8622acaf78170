"""The pictures of this chapter draw what was computed."""

import pytest
import torch

from course_lib.chapters.retrieval import explorers, figures, measurements
from course_lib.chapters.retrieval.figures import Hop
from course_lib.retrieval import BM25Index, ProductQuantizer
from course_lib.study.display.plotting import png_bytes

LINE = torch.tensor([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0], [6.0, 0.0]])


def test_each_word_is_a_piece_of_its_text_s_bar():
    (ax,) = figures.bm25_parts({"a": {"x": 1.0, "y": 0.5}, "b": {"x": 0.2, "y": 0.0}}).axes
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches][:2] == [(0.0, 1.0), (1.0, 0.5)]
    assert "best: a" in ax.get_title(loc="left")


@pytest.mark.parametrize(("nprobe", "text"), [(1, "2 of 4"), (2, "4 of 4")])
def test_cells_say_how_many_are_compared(nprobe, text):
    centres = torch.tensor([[0.5, 0.0], [5.0, 0.0]])
    (ax,) = figures.cells(LINE, centres, torch.tensor([2.7, 0.0]), nprobe).axes
    assert text in ax.get_title(loc="left")
    assert ("missed" in ax.get_title(loc="left")) == (nprobe == 1)


def test_the_codebook_is_drawn_entry_by_entry():
    quantizer = ProductQuantizer(torch.tensor([[[0.0, 0.0], [5.0, 0.0]]]))
    (ax,) = figures.codebook(LINE, quantizer, 0).axes
    assert ax.collections[-1].get_offsets().tolist() == [[0.0, 0.0], [5.0, 0.0]]
    assert f"{3 / 53:.0%}" in ax.get_title(loc="left")


def test_a_walk_counts_what_was_compared():
    layers = [{0: [1], 1: [0, 2], 2: [1, 3], 3: [2]}]
    hops = [Hop(0, 0, [1]), Hop(0, 1, [2])]
    (ax,) = figures.walk(LINE, layers, torch.tensor([4.0, 1.0]), hops, 1).axes
    assert "3 of 4 compared" in ax.get_title(loc="left")


def test_recall_is_drawn_by_cost():
    (ax,) = figures.recall_curves({"one": [(10.0, 0.9), (1.0, 0.5)], "two": [(3.0, 0.4)]}, "x").axes
    assert ax.lines[0].get_ydata().tolist() == [0.5, 0.9]
    assert "one" in ax.get_title(loc="left")


def test_peers_are_drawn_beside_the_course_s_indexes():
    row = {"index": "IVF", "peer": "faiss", "recall": 0.5, "recall of the peer": 0.6}
    first = row | {"ours": 2.0, "theirs": 1.0, measurements.SPEED: 0.5}
    second = row | {"ours": 4.0, "theirs": 3.0, measurements.SPEED: 0.75, "recall": 0.8}
    graph = first | {"index": "HNSW", "peer": "hnswlib"}
    left, right = figures.beside_peers([first, second, graph, {"built": "IVF"}]).axes
    mine, theirs = left.lines
    assert (list(mine.get_xdata()), list(mine.get_ydata())) == ([2.0, 4.0], [0.5, 0.8])
    assert (list(theirs.get_xdata()), list(theirs.get_ydata())) == ([1.0, 3.0], [0.6, 0.6])
    assert "0.75 times the speed of faiss" in left.get_title(loc="left")
    assert [line.get_label() for line in right.lines] == ["HNSW", "HNSW, hnswlib"]


def test_the_best_search_within_a_time_is_named():
    rows = [
        {"index": name, "peer": peer, "recall": a, "recall of the peer": b, "ours": x, "theirs": y}
        for name, peer, a, b, x, y in (
            ("IVF", "faiss", 0.5, 0.6, 1.0, 3.0),
            ("exact", "faiss", 1.0, 1.0, 9.0, 8.0),
            ("HNSW", "hnswlib", 0.9, 0.9, 0.1, 0.1),
        )
    ]
    for time, found in (
        (2.0, "ours: IVF finds 0.50; theirs: none"),
        (8.5, "ours: IVF finds 0.50; theirs: exact finds 1.00"),
    ):
        (ax,) = figures.within(rows, time).axes
        assert found in ax.get_title(loc="left")
        assert len(ax.get_lines()) == 5  # two indexes with their peers, and the limit


def test_recall_ignores_the_order():
    assert figures.recall_of(torch.tensor([[1, 2], [5, 6]]), torch.tensor([[2, 1], [6, 7]])) == 0.75


def test_the_explorers_follow_their_controls():
    parts = explorers.bm25_parts()
    parts.controls["b"].value = 0.0
    index = BM25Index(1.5, 0.0)
    index.add(list(explorers.TEXTS.values()))
    expected = {n: index.parts(explorers.QUERIES[0], i) for i, n in enumerate(explorers.TEXTS)}
    assert parts.image == png_bytes(figures.bm25_parts(expected))
    walk = explorers.walk()
    before = walk.image
    walk.controls["step"].value = 6
    assert walk.image != before
