"""Drawing: frequencies against probabilities, and what must never come."""

import pytest
import torch

from course_lib.device import seeded
from course_lib.generation import (
    GREEDY,
    Sampling,
    choose,
    draw,
    next_distribution,
)

DRAWS = 40_000
NOTHING = torch.zeros(1, 1, dtype=torch.long)


def chi_square(counts, probabilities):
    """Return the statistic and the value that it exceeds once in 10 000 times (Wilson-Hilferty)."""
    possible = probabilities > 0
    expected = probabilities[possible] * counts.sum()
    statistic = ((counts[possible] - expected) ** 2 / expected).sum().item()
    freedom = int(possible.sum()) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * (2 / (9 * freedom)) ** 0.5) ** 3
    return statistic, limit


def test_numbers_by_hand():
    p = torch.tensor([[0.5, 0.0, 0.3, 0.2]]).double()
    numbers = torch.tensor([0.0, 0.49, 0.5, 0.79, 0.81, 0.999]).double()
    assert draw(p.expand(6, -1), numbers).tolist() == [0, 0, 2, 2, 3, 3]


def test_a_token_of_probability_zero_is_never_drawn():
    almost_one = torch.tensor([1 - 2**-53]).double()
    for p in ([0.0, 1.0, 0.0], [0.1] * 10 + [0.0], [0.3, 0.3, 0.4, 0.0, 0.0]):
        row = torch.tensor([p]).double()
        for number in (torch.zeros(1).double(), almost_one):
            assert row[0, draw(row, number)] > 0
    assert draw(torch.tensor([[0.0, 0.0, 1.0]]), torch.zeros(1)).tolist() == [2]


def test_weights_that_do_not_sum_to_one_are_shares():
    numbers = torch.tensor([0.2, 0.3, 0.9]).double()
    p = torch.tensor([[1.0, 3.0]]).double().expand(3, -1)
    assert draw(p, numbers).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(0.6),
        Sampling(1.4, top_k=5),
        Sampling(0.9, top_p=0.8),
        Sampling(1.2, top_k=8, top_p=0.9, min_p=0.05, repetition_penalty=1.4),
    ],
)
def test_frequencies_are_those_of_transformers_distribution(sampling):
    from transformers.generation import logits_process as theirs

    logits, ids = torch.randn(1, 11, generator=seeded(4)) * 2, torch.tensor([[1, 4, 4]])
    chain = theirs.LogitsProcessorList()
    if sampling.repetition_penalty != 1:
        chain.append(theirs.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    chain.append(theirs.TemperatureLogitsWarper(sampling.temperature))
    for name, setting in (("TopK", "top_k"), ("TopP", "top_p"), ("MinP", "min_p")):
        value = getattr(sampling, setting)
        if value is not None:
            chain.append(getattr(theirs, f"{name}LogitsWarper")(value))
    expected = chain(ids, logits).softmax(-1)[0].double()
    many = (logits.expand(DRAWS, -1), ids.expand(DRAWS, -1))
    drawn = choose(*many, sampling, seeded(0))
    counts = torch.bincount(drawn, minlength=11)
    assert counts[expected == 0].sum() == 0
    statistic, limit = chi_square(counts, expected)
    assert statistic < limit
    other, other_limit = chi_square(counts, torch.softmax(logits[0].double() / 3, -1))
    assert other > other_limit  # the test detects a different temperature


def test_greedy_takes_the_best_and_penalties_count():
    logits = torch.tensor([[1.0, 2.0, 1.9]])
    assert choose(logits, torch.tensor([[0]]), GREEDY).tolist() == [1]
    assert choose(logits, torch.tensor([[1]]), Sampling(0.0, repetition_penalty=2.0)).tolist() == [
        2
    ]
    assert next_distribution(logits, NOTHING, GREEDY).tolist() == [[0.0, 1.0, 0.0]]


def test_a_seed_gives_the_same_draws_and_half_types_are_widened():
    logits = torch.randn(50, 9, generator=seeded(6)).bfloat16()
    ids = torch.zeros(50, 1, dtype=torch.long)
    first = choose(logits, ids, Sampling(), seeded(1))
    assert torch.equal(first, choose(logits, ids, Sampling(), seeded(1)))
    assert not torch.equal(first, choose(logits, ids, Sampling(), seeded(2)))
    assert next_distribution(logits, ids, Sampling()).dtype == torch.float32
