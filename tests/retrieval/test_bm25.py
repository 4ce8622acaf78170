"""BM25: the scores of bm25s, word by word, and what adding does."""

import bm25s
import numpy as np
import pytest

from course_lib.retrieval import BM25Index, words_of

TEXTS = [
    "copy a file and copy its mode",
    "delete a directory tree",
    "the copy of a directory",
    "read a file, a line at a time",
    "",
    "a a a a",
]
QUERIES = ["copy directory", "a file", "tree tree", "nothing here"]


@pytest.mark.parametrize("variant", ["lucene", "atire"])
def test_scores_equal_bm25s(variant):
    ours = BM25Index(1.2, 0.6, variant)
    ours.add(TEXTS)
    theirs = bm25s.BM25(k1=1.2, b=0.6, method=variant)
    theirs.index([words_of(text) for text in TEXTS], show_progress=False)
    for query in QUERIES[:3]:
        np.testing.assert_allclose(
            ours.scores(query), theirs.get_scores(words_of(query)), rtol=1e-5, atol=1e-6
        )


def test_a_common_word_scores_nothing_in_robertsons_form():
    index = BM25Index(variant="robertson")
    index.add(TEXTS)
    assert index.idf("a") == 0.0 < index.idf("tree")
    assert BM25Index(variant="robertson").idf("a") == 0.0


def test_the_parts_add_up_to_the_score():
    index = BM25Index()
    index.add(TEXTS)
    for query in QUERIES:
        for number, score in enumerate(index.scores(query)):
            assert sum(index.parts(query, number).values()) == pytest.approx(score, abs=1e-6)


def test_search_is_sorted_and_finds_nothing_without_words():
    index = BM25Index()
    index.add(TEXTS)
    found = index.search(QUERIES, 3)
    assert found.ids[0].tolist()[0] == 2  # both words
    assert found.ids[3].tolist() == [-1, -1, -1]
    assert found.scores[3].max() == -np.inf
    assert BM25Index().search(["x"], 2).ids.tolist() == [[-1, -1]]


def test_adding_later_changes_the_weights(tmp_path):
    whole, parts = BM25Index(), BM25Index()
    whole.add(TEXTS)
    parts.add(TEXTS[:2])
    parts.scores("copy")  # fills the postings
    parts.add(TEXTS[2:])
    assert np.array_equal(whole.scores("copy a"), parts.scores("copy a"))
    parts.save(tmp_path / "words")
    assert np.array_equal(
        BM25Index.load(tmp_path / "words").scores("copy a"), whole.scores("copy a")
    )


def test_identifiers_are_cut_into_words():
    assert words_of("shutil.copyTree(src_dir) HTTPServer x2 größe") == [
        *("shutil", "copy", "tree", "src", "dir", "http", "server", "x", "2"),
        *("gr", "öß", "e"),
    ]


def test_errors_name_the_value():
    with pytest.raises(ValueError, match="'tfidf'"):
        BM25Index(variant="tfidf")
    with pytest.raises(ValueError, match=r"1\.5"):
        BM25Index(b=1.5)
    with pytest.raises(ValueError, match="0"):
        BM25Index().search(["a"], 0)
