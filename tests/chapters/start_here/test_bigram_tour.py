import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.chapters.start_here import bigram_tour as tour


@given(st.text())
def test_text_survives_the_way_to_ids_and_back(text):
    ids = tour.text_to_ids(text)
    assert all(0 <= each < 256 for each in ids)
    assert tour.ids_to_text(ids) == text


def test_by_hand():
    assert tour.text_to_ids("Hé") == [72, 195, 169]
    assert tour.ids_to_text([72, 195]) == "H�"


def test_scores_are_logs_of_counts():
    scores = tour.follow_scores(tour.text_to_ids("abab ac"), smallest=0.5)
    a, b, c = 97, 98, 99
    assert scores[a, b].exp().item() == pytest.approx(2.5)
    assert scores[a, c].exp().item() == pytest.approx(1.5)
    assert scores[b, a].exp().item() == pytest.approx(1.5)
    assert scores[c, a].exp().item() == pytest.approx(0.5)
    assert scores.exp().sum().item() == pytest.approx(6 + 0.5 * 256 * 256, rel=1e-4)


def test_draws_fall_in_proportion():
    p = torch.tensor([0.2, 0.0, 0.5, 0.3])
    drawn = [tour.drawn_id(p, u / 1000) for u in range(1000)]
    assert [drawn.count(each) for each in range(4)] == pytest.approx([200, 0, 500, 300], abs=1)
    assert tour.drawn_id(torch.tensor([0.5, 0.4999]), 0.99999) == 1


def test_bad_input():
    with pytest.raises(ValueError, match=r"two ids.*\b1\b"):
        tour.follow_scores([3])
    with pytest.raises(ValueError, match=r"\bu .*\b0 .*\b1; .*\b1\.0\b"):
        tour.drawn_id(torch.tensor([1.0]), 1.0)
