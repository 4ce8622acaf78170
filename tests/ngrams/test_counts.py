import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.ngrams import Sparsity, continuation_counts, count_ngrams, sparsity
from course_lib.ngrams.counts import ContextTable

SMALL_TEXTS = st.lists(st.integers(0, 2), max_size=25)


@settings(deadline=None)
@given(SMALL_TEXTS, st.integers(1, 4))
def test_counts_agree_with_looking_at_every_position(ids, n):
    counts = count_ngrams(ids, n)
    for gram in itertools.product(range(3), repeat=n):
        places = [i for i in range(len(ids)) if tuple(ids[i : i + n]) == gram]
        assert counts[gram] == len(places)
    assert all(times > 0 for times in counts.values())


@settings(deadline=None)
@given(SMALL_TEXTS, st.integers(1, 3))
def test_continuation_counts_agree_with_trying_every_predecessor(ids, n):
    continuations = continuation_counts(ids, n)
    longer = {tuple(ids[i : i + n + 1]) for i in range(len(ids) - n)}
    for gram in itertools.product(range(3), repeat=n):
        assert continuations[gram] == sum((before, *gram) in longer for before in range(3))


def test_a_token_that_follows_one_word_only_has_a_continuation_count_of_one():
    francisco = b"San Francisco, San Francisco, San Francisco".split()
    ids = [sorted(set(francisco)).index(word) for word in francisco]
    words = sorted(set(francisco))
    assert count_ngrams(ids, 1)[(words.index(b"Francisco,"),)] == 2
    assert continuation_counts(ids, 1)[(words.index(b"Francisco,"),)] == 1


def test_counts_worked_out_by_hand():
    assert count_ngrams(b"abab", 2) == {(97, 98): 2, (98, 97): 1}
    assert count_ngrams([5, 6, 5], 1) == {(5,): 2, (6,): 1}
    assert count_ngrams([5, 6], 3) == {}


def test_sparsity_worked_out_by_hand():
    # pairs seen: 01 twice, 10 once; pairs of the other text: 01 known, 11 twice and 12 new
    assert sparsity([0, 1, 0, 1], [0, 1, 1, 1, 2], n=2, vocabulary_size=3) == Sparsity(
        n=2, possible=9, seen=2, seen_once=1, new_share=3 / 4
    )


def test_the_share_of_new_ngrams_grows_with_n():
    text = torch.randint(0, 4, (2, 300), generator=torch.Generator().manual_seed(0)).tolist()
    shares = [sparsity(*text, n=n, vocabulary_size=4).new_share for n in (1, 3, 5, 7)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.9


def test_a_table_returns_the_followers_of_a_context_and_zeros_for_an_unseen_one():
    table = ContextTable(count_ngrams([0, 1, 0, 2, 0, 1], 2), vocabulary_size=4)
    assert table[(0,)].tolist() == [0, 2, 1, 0]
    assert table[(3,)].tolist() == [0, 0, 0, 0]
    assert (0,) in table
    assert (3,) not in table


@pytest.mark.parametrize("n", [0, -1])
@pytest.mark.parametrize("count", [count_ngrams, continuation_counts])
def test_an_ngram_has_at_least_one_token(count, n):
    with pytest.raises(ValueError, match=rf"n = {n}\b"):
        count([0, 1], n)


def test_errors_name_the_text_that_is_too_short_and_the_ids_outside_the_vocabulary():
    with pytest.raises(ValueError, match=r"\b3; .*\b2 tokens"):
        sparsity([0, 1, 0], [0, 1], n=3, vocabulary_size=2)
    with pytest.raises(ValueError, match=r"\b1; .*\b0 tokens"):
        sparsity([], [0], n=1, vocabulary_size=2)
    with pytest.raises(ValueError, match=r"= 1; .*\b0 to 2\b"):
        sparsity([0, 1, 2], [0, 1], n=1, vocabulary_size=2)
    with pytest.raises(ValueError, match=r"ids.*-1 to 1\b"):
        sparsity([0, 1, -1], [0, 1], n=1, vocabulary_size=2)
    with pytest.raises(ValueError, match=r"vocabulary_size.* 0\b"):
        sparsity([0, 1], [0, 1], n=1, vocabulary_size=0)
