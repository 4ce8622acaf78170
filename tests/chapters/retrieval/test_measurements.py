"""What is stored is what would be measured again."""

import pytest

from course_lib.chapters.retrieval import measurements
from course_lib.retrieval.encoder import course_encoder, training_log
from course_lib.retrieval.hybrid import WEIGHT


def test_the_stored_encoder_scores_what_is_stored():
    scores = measurements.stored("encoders")
    own = measurements.NAMES["own"]
    assert scores["held-out functions"][own] == pytest.approx(training_log()[-1]["mrr"], abs=2e-3)
    assert f"BM25 with {own}, {WEIGHT:g}" in scores["stored questions"]
    vectors = course_encoder().encode(measurements.NEGATED)
    for name, cosine in (("negated", vectors[1]), ("another topic", vectors[2])):
        stored = scores["negation"][f"{own}, {name}"]
        assert (vectors[0] @ cosine).item() == pytest.approx(stored, abs=0.006)


def test_every_index_found_the_neighbours_of_its_peer():
    rows = [row for row in measurements.stored("indexes")["rows"] if "peer" in row]
    assert {row["peer"] for row in rows} == {"faiss", "hnswlib", "bm25s", "rank_bm25"}
    assert min(row["same neighbours"] for row in rows if row["peer"] == "faiss") > 0.98


def test_100_000_vectors_fit_into_a_minute_and_a_gigabyte():
    rows = [row for row in measurements.stored("indexes")["rows"] if "built" in row]
    assert {row["built"] for row in rows} == {"exact", "IVF", "PQ", "IVF-PQ"}
    assert max(row["seconds"] for row in rows) < 60
    assert max(row["peak MB so far"] for row in rows) < 1000


def test_an_unknown_measurement_is_an_error():
    with pytest.raises(ValueError, match="'theirs'"):
        measurements.main("theirs")
