"""Second readers: their orders, their intervals, and what is stored of them."""

import math

import pytest

from course_lib.chapters.retrieval import measurements, rerankers
from course_lib.retrieval.hybrid import WEIGHTS, best_weight
from course_lib.retrieval.questions import Asked, Quality
from course_lib.retrieval.rerank import FIRST, SecondReader
from course_lib.retrieval.search import search

ASKED = "how do I copy a file?"


def test_a_second_reader_reorders_what_was_found():
    found = [hit.page for hit in search(ASKED, FIRST)]
    reader = SecondReader(lambda question, passages: [*map(float, range(len(passages)))])
    assert reader.pages(0)(ASKED) == found
    assert reader.pages(1)(ASKED) == found[::-1]
    assert reader.pages(0.5)(ASKED) not in (found, found[::-1])


def test_a_question_is_read_once_and_with_the_names_of_the_pages():
    seen = []

    def score(question, passages):
        seen.append(passages)
        return [0.0] * len(passages)

    reader = SecondReader(score)
    for weight in (0, 0.5, 1):
        reader.pages(weight)(ASKED)
    first = search(ASKED, 1)[0]
    assert [passages[0] for passages in seen] == [f"{first.page} {first.text}"]


def test_intervals_by_hand():
    mean, half = rerankers.with_interval([0.0, 1.0, 1.0, 0.0])
    assert mean == 0.5
    assert half == pytest.approx(1.96 * math.sqrt(1 / 3) / 2, abs=1e-3)


def test_the_gain_is_of_the_same_questions():
    first = [Quality(1, 0.2, 0.3), Quality(1, 0.6, 0.3)]
    found = [Quality(1, 0.5, 0.4), Quality(1, 0.9, 0.4)]
    row = rerankers.compared(found, first)
    assert row["gain in MRR"] == [0.3, 0.0]
    assert row["MRR"][0] == 0.7
    assert row["nDCG"] == [0.4, 0.0]


def test_what_is_stored_has_an_interval_and_the_same_first_search():
    rows = measurements.stored("rerankers")
    assert {"BM25", "encoder", "late interaction", "cross-encoder"} <= set(rows)
    assert rows["BM25"]["alone"]["gain in MRR"] == [0, 0]
    for name in set(rows) - {"BM25"}:
        assert rows[name]["weight"] in WEIGHTS
        for kind in ("alone", "mixed"):
            mrr, gain = (rows[name][kind][column] for column in ("MRR", "gain in MRR"))
            assert mrr[0] - gain[0] == pytest.approx(rows["BM25"]["alone"]["MRR"][0], abs=2e-3)
            assert mrr[1] > 0


def test_the_best_weight_of_a_second_reader():
    found = [hit.page for hit in search(ASKED, FIRST)]
    reader = SecondReader(lambda question, passages: [*map(float, range(len(passages)))])
    assert best_weight(reader, [Asked(ASKED, {found[0]: 2})]) == 0
    assert best_weight(reader, [Asked(ASKED, {found[-1]: 2})]) > 0.5


def test_what_is_measured_is_stored_even_if_the_next_is_missing(monkeypatch, tmp_path):
    def missing():
        raise ValueError("no such model")

    for module in (measurements, rerankers):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(rerankers, "SCORES", {"present": lambda: list, "missing": missing})
    monkeypatch.setattr(rerankers, "measured", lambda score: {"weight": 1.0})
    with pytest.raises(ValueError, match="no such model"):
        rerankers.main([])
    rows = measurements.stored("rerankers")
    assert list(rows) == ["BM25", "present"]
    assert rows["present"] == {"weight": 1.0}


def test_an_unknown_reranker_is_an_error():
    with pytest.raises(ValueError, match="'theirs'"):
        rerankers.main(["theirs"])
