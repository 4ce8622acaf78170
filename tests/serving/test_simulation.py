"""The scheduler with a counted clock, beside times worked out by hand."""

import pytest

from course_lib.serving.simulation import Arrival, simulate


def test_one_request_by_hand():
    history = simulate([Arrival(2.0, 6, 3)], token_budget=4, start=1.0, per_token=0.5)
    # 4 tokens of the prompt, then 2 and the first new token, then two more.
    assert [(w.begin, w.end, w.tokens) for w in history.work] == [
        (2.0, 5.0, 4),
        (5.0, 7.0, 2),
        (7.0, 8.5, 1),
        (8.5, 10.0, 1),
    ]
    assert history.tokens == {0: [7.0, 8.5, 10.0]}
    assert history.first_token(0) == 5.0
    assert history.longest_pause(0) == 1.5
    assert history.tokens_per_second() == pytest.approx(0.3)


LONG_AND_SHORT = [Arrival(0.0, 2, 12), Arrival(1.0, 2, 2), Arrival(3.0, 40, 2)]


def test_static_batches_wait_for_the_last_one():
    history = simulate(LONG_AND_SHORT, "static")
    end = history.tokens[0][-1]
    assert history.work[0].request == 0
    assert min(w.begin for w in history.work if w.request == 1) == end


def test_chunks_shorten_the_pauses_of_others():
    whole = simulate(LONG_AND_SHORT, "continuous", token_budget=8)
    chunked = simulate(LONG_AND_SHORT, "chunked", token_budget=8)
    assert whole.longest_pause(0) == pytest.approx(1 + 0.1 * 41)
    assert chunked.longest_pause(0) <= 1 + 0.1 * 8 + 1e-9
    assert chunked.first_token(2) > whole.first_token(2)


def test_with_few_blocks_somebody_is_preempted_and_all_finish():
    requests = [Arrival(0.0, 6, 10), Arrival(0.0, 6, 10)]
    history = simulate(requests, num_blocks=6, block_size=4)
    assert history.preemptions > 0
    assert [len(history.tokens[n]) for n in (0, 1)] == [10, 10]


def test_no_arrivals_and_unordered_ones_raise():
    with pytest.raises(ValueError, match="at least one"):
        simulate([])
    with pytest.raises(ValueError, match="in order of time"):
        simulate([Arrival(2.0, 1, 1), Arrival(1.0, 1, 1)])
