"""Queues, memory and the roofline, beside simulations and hand-worked numbers."""

import random

import pytest

from course_lib.accounting.limits import DEVICES, model_step
from course_lib.accounting.models import MODELS
from course_lib.serving import (
    little_concurrency,
    most_requests,
    ngram_draft,
    served_tokens_per_second,
    unused_fraction,
)


def test_little_s_law_holds_for_a_simulated_queue():
    rng = random.Random(0)
    arrival, free, stays = 0.0, 0.0, []
    for _ in range(20_000):
        arrival += rng.expovariate(2.0)
        begin = max(arrival, free)
        free = begin + rng.expovariate(3.0)
        stays.append((arrival, free))
    rate = len(stays) / stays[-1][0]
    mean = sum(end - start for start, end in stays) / len(stays)
    changes = sorted([(t, 1) for t, _ in stays] + [(t, -1) for _, t in stays])
    area, inside, last = 0.0, 0, 0.0
    for time, change in changes:
        area, inside, last = area + inside * (time - last), inside + change, time
    assert area / last == pytest.approx(little_concurrency(rate, mean), rel=0.01)


def test_requests_in_whole_blocks():
    assert most_requests(1600, 10, 17, 16) == 5
    assert most_requests(1600, 10, 16, 16) == 10
    assert most_requests(159, 10, 1, 16) == 0


def test_what_a_reserved_cache_wastes():
    assert unused_fraction([10, 30], reserved=40) == pytest.approx(0.5)
    assert unused_fraction([10, 30], reserved=None, block_size=16) == pytest.approx(1 - 40 / 48)
    assert unused_fraction([7], reserved=None) == 0


def test_the_roofline_of_a_batch():
    config, device = MODELS["Qwen3-8B"], DEVICES["H100 SXM"]
    step = model_step(config, 1, 500, 8)
    seconds = max(step.flops / device.peak_flops, step.bytes_moved / device.bandwidth)
    assert served_tokens_per_second(config, device, 8, 500) == pytest.approx(8 / seconds)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda: little_concurrency(-1, 2), "-1"),
        (lambda: most_requests(100, 0, 5), "0 bytes"),
        (lambda: unused_fraction([], None), r"\[\]"),
        (lambda: unused_fraction([50], 40), "50 tokens"),
        (lambda: ngram_draft([1, 2], -1), "-1"),
        (lambda: ngram_draft([1, 2], 1, 1, 2), "2 to 1"),
    ],
)
def test_impossible_values_raise(action, message):
    with pytest.raises(ValueError, match=message):
        action()


def test_the_longest_ending_that_occurred_before_is_used():
    text = [1, 2, 3, 9, 4, 3, 8, 1, 2, 3]
    assert ngram_draft(text, 2) == [9, 4]
    assert ngram_draft(text, 2, longest=1) == [8, 1]
    assert ngram_draft([*text, 7], 2) == []
    assert ngram_draft([], 2) == []


def test_drafts_agree_with_a_search_through_all_places():
    rng = random.Random(1)
    for _ in range(500):
        text = [rng.randrange(3) for _ in range(rng.randint(0, 15))]
        expected = []
        for size in (3, 2, 1):
            ends = [e for e in range(size, len(text)) if text[e - size : e] == text[-size:]]
            if ends and size < len(text):
                expected = text[ends[-1] : ends[-1] + 4]
                break
        assert ngram_draft(text, 4) == expected
