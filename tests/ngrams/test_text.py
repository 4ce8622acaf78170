import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.ngrams import AddK, KneserNey, log_probabilities, sample, uniform

TRANSITIONS = [[1, 3], [2, 2]]  # quarters: after 0 and after 1


def two_state_model(context):
    row = TRANSITIONS[context[-1]] if context else [2, 2]
    return torch.tensor(row, dtype=torch.float64) / 4


@settings(deadline=None)
@given(st.lists(st.integers(0, 1), max_size=30))
def test_the_chain_rule_agrees_with_a_product_of_fractions(ids):
    product = Fraction(1)
    for previous, token in zip([None, *ids], ids, strict=False):
        product *= Fraction((TRANSITIONS[previous] if previous is not None else [2, 2])[token], 4)
    scores = log_probabilities(two_state_model, ids)
    assert scores.shape == (len(ids),)
    assert scores.sum().item() == pytest.approx(math.log(product))


@settings(deadline=None)
@given(st.integers(1, 5))
def test_the_probabilities_of_all_texts_of_one_length_sum_to_one(length):
    model = KneserNey([0, 1, 1, 0, 2, 0, 1], 3, 3)
    texts = torch.cartesian_prod(*[torch.arange(3)] * length).reshape(-1, length).tolist()
    total = sum(log_probabilities(model, text).sum().exp().item() for text in texts)
    assert total == pytest.approx(1)


def test_each_token_is_scored_without_seeing_itself_or_what_follows():
    contexts = []

    def spy(context):
        contexts.append(list(context))
        return torch.full((256,), 1 / 256, dtype=torch.float64)

    log_probabilities(spy, b"abc")
    assert contexts == [[], [97], [97, 98]]


def test_uniform_needs_eight_bits_for_a_byte():
    scores = log_probabilities(uniform(256), b"any text")
    torch.testing.assert_close(scores / math.log(2), torch.full((8,), -8.0, dtype=torch.float64))


def test_an_impossible_token_makes_a_text_impossible():
    certain = lambda context: torch.tensor([1.0, 0.0])  # noqa: E731
    assert log_probabilities(certain, [0, 1]).tolist() == [0.0, -math.inf]


def test_samples_follow_the_distribution_of_the_model():
    drawn = sample(two_state_model, 4000, torch.Generator().manual_seed(0))
    after_0 = [token for before, token in itertools.pairwise(drawn) if before == 0]
    after_1 = [token for before, token in itertools.pairwise(drawn) if before == 1]
    assert sum(after_0) / len(after_0) == pytest.approx(3 / 4, abs=0.03)
    assert sum(after_1) / len(after_1) == pytest.approx(1 / 2, abs=0.03)


def test_temperature_raises_the_distribution_to_a_power():
    # p = 1/4, 3/4 at T = 1/2 becomes 1/10, 9/10
    model = lambda context: torch.tensor([0.25, 0.75])  # noqa: E731
    cold = sample(model, 4000, torch.Generator().manual_seed(0), temperature=0.5)
    assert sum(cold) / 4000 == pytest.approx(0.9, abs=0.02)
    frozen = sample(model, 50, torch.Generator().manual_seed(0), temperature=1e-6)
    assert sum(frozen) == 50
    hot = sample(model, 4000, torch.Generator().manual_seed(0), temperature=1e6)
    assert sum(hot) / 4000 == pytest.approx(0.5, abs=0.03)


def test_sampling_starts_from_the_prompt_and_returns_only_what_is_new():
    count_up = lambda context: torch.eye(9)[len(context)]  # noqa: E731
    generator = torch.Generator().manual_seed(0)
    assert sample(count_up, 3, generator, prompt=[5, 5]) == [2, 3, 4]
    assert sample(count_up, 0, generator, prompt=[5]) == []


def test_one_seed_gives_one_text():
    model = AddK(b"one fish two fish red fish blue fish", 3, 256, 0.001)
    texts = [sample(model, 30, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_temperatures_out_of_range_are_errors(temperature):
    with pytest.raises(ValueError, match=rf"finite.*\b0; .*{temperature}"):
        sample(uniform(2), 1, torch.Generator(), temperature=temperature)


def test_an_empty_vocabulary_is_an_error():
    with pytest.raises(ValueError, match=r"one token.*vocabulary_size.* 0\b"):
        uniform(0)
