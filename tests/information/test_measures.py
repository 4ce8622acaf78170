import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical
from torch.distributions import kl_divergence as torch_kl

from course_lib.information import (
    bits_per_byte,
    bits_per_byte_from_perplexity,
    cross_entropy,
    entropy,
    kl_divergence,
    perplexity,
    self_information,
)

DISTRIBUTION_MEASURES = [lambda p, b=2.0: cross_entropy(p, p, b), entropy]


def random_distributions(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(*shape, generator=generator, dtype=dtype), dim=-1)


@pytest.mark.parametrize("base", [2.0, math.e, 10.0])
def test_measures_agree_with_torch_distributions(base):
    p, q = random_distributions(3, 5, 7), random_distributions(3, 5, 7, seed=1)
    nats = math.log(base)
    expected_entropy = Categorical(p).entropy() / nats
    expected_kl = torch_kl(Categorical(p), Categorical(q)) / nats
    torch.testing.assert_close(entropy(p, base), expected_entropy)
    torch.testing.assert_close(kl_divergence(p, q, base), expected_kl)
    torch.testing.assert_close(cross_entropy(p, q, base), expected_entropy + expected_kl)


def test_values_worked_out_by_hand():
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.25, 0.25, 0.5])
    assert self_information(torch.tensor([1.0, 0.5, 0.125])).tolist() == [0, 1, 3]
    assert entropy(p).item() == 1.5  # 1/2 * 1 + 1/4 * 2 + 1/4 * 2
    assert cross_entropy(p, q).item() == 1.75  # 1/2 * 2 + 1/4 * 2 + 1/4 * 1
    assert kl_divergence(p, q).item() == 0.25
    assert entropy(torch.ones(256) / 256).item() == 8


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_divergence_is_positive_unless_the_distributions_are_equal(seed, V):
    p, q = random_distributions(2, V, seed=seed)
    assert kl_divergence(p, q) > 0
    assert kl_divergence(p, p) == 0
    assert cross_entropy(p, q) > entropy(p)
    assert 0 <= entropy(p) <= math.log2(V) + 1e-12


def test_divergence_is_not_symmetric():
    p, q = torch.tensor([0.9, 0.1]), torch.tensor([0.5, 0.5])
    assert abs(kl_divergence(p, q) - kl_divergence(q, p)) > 0.1


def test_zeros_count_as_their_limits():
    certain, fair = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.5])
    assert entropy(certain).item() == 0
    assert kl_divergence(certain, certain).item() == 0
    assert kl_divergence(certain, fair).item() == 1
    assert cross_entropy(fair, certain).item() == math.inf
    assert kl_divergence(fair, certain).item() == math.inf
    assert self_information(torch.tensor([0.0])).item() == math.inf


def test_certainty_has_no_negative_zero():
    certain = torch.tensor([1.0, 0.0])
    for value in (entropy(certain), cross_entropy(certain, certain), self_information(certain[0])):
        assert math.copysign(1, value.item()) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_computed_in_float32(dtype):
    p = random_distributions(4, 500).to(dtype)
    wide = p.double()
    expected = -(wide * wide.log2()).sum(-1)
    result = entropy(p)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(result.double(), expected, rtol=1e-6, atol=0)


def test_extreme_values_stay_finite():
    p = torch.tensor([1 - 1e-30, 1e-30], dtype=torch.float64)
    assert 0 < entropy(p) < 1e-27
    assert cross_entropy(p.flip(0), p).item() == pytest.approx(-math.log2(1e-30))
    large = torch.full((151_936,), 1 / 151_936)
    assert entropy(large).item() == pytest.approx(math.log2(151_936), rel=1e-5)
    assert entropy(torch.ones(0, 3) / 3).shape == (0,)


def test_entropy_has_a_gradient():
    p = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    entropy(p, math.e).backward()
    torch.testing.assert_close(p.grad, -p.detach().log() - 1)


def test_perplexity_is_the_number_of_equally_likely_choices():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert perplexity(0.0) == 1
    assert perplexity(1e6) == math.inf


def test_bits_per_byte_worked_out_by_hand():
    # 100 tokens at 4 bits make 400 bits; they cover 320 bytes
    assert bits_per_byte(4 * math.log(2), tokens=100, byte_count=320) == pytest.approx(1.25)
    assert bits_per_byte_from_perplexity(16.0, tokens=100, byte_count=320) == pytest.approx(1.25)
    assert bits_per_byte_from_perplexity(256.0, tokens=7, byte_count=7) == pytest.approx(8)
    assert bits_per_byte_from_perplexity(1.0, tokens=7, byte_count=7) == 0


def test_bits_per_byte_compares_tokenizers_where_perplexity_does_not():
    # the same text: 30 bytes as 30 tokens, or as 10; both models need 60 bits for it
    by_bytes, by_words = 60 / 30 * math.log(2), 60 / 10 * math.log(2)
    assert perplexity(by_bytes) < perplexity(by_words)
    assert bits_per_byte(by_bytes, 30, 30) == pytest.approx(bits_per_byte(by_words, 10, 30))


@pytest.mark.parametrize("measure", DISTRIBUTION_MEASURES)
def test_what_is_no_distribution_is_an_error(measure):
    with pytest.raises(ValueError, match=r"\bp .*sum.* 1\.1\b"):
        measure(torch.tensor([[0.5, 0.5], [0.5, 0.6]]))
    with pytest.raises(ValueError, match=r"\bp .*sum.* 0\b"):
        measure(torch.zeros(3))
    with pytest.raises(ValueError, match=r"\bp .*sum.* nan\b"):
        measure(torch.tensor([1.0, math.nan]))
    with pytest.raises(ValueError, match=r"\bp .*negative.*-0\.5\b"):
        measure(torch.tensor([1.5, -0.5]))


@pytest.mark.parametrize("measure", [cross_entropy, kl_divergence])
def test_the_error_names_the_argument_that_is_wrong(measure):
    with pytest.raises(ValueError, match=r"\bq .*sum"):
        measure(torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.4]))


@pytest.mark.parametrize("base", [1.0, 0.5, 0.0, -2.0, math.nan])
@pytest.mark.parametrize("measure", DISTRIBUTION_MEASURES)
def test_bases_that_are_no_unit_are_errors(measure, base):
    with pytest.raises(ValueError, match=rf"1; .*{base}.*2.0 for bits"):
        measure(torch.tensor([0.5, 0.5]), base)


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
def test_self_information_takes_probabilities_only(p):
    with pytest.raises(ValueError, match=rf"\b0 and 1\b.* {p:.4g}"):
        self_information(torch.tensor([p]))


def test_scores_out_of_range_are_errors():
    with pytest.raises(ValueError, match=r"negative.*-1\.5\b"):
        perplexity(-1.5)
    with pytest.raises(ValueError, match=r"\b1\b.*\b0\.5\b"):
        bits_per_byte_from_perplexity(0.5, 1, 1)
    with pytest.raises(ValueError, match=r"tokens.*\b1\b.*\b0\b"):
        bits_per_byte(1.0, 0, 1)
    with pytest.raises(ValueError, match=r"byte_count.*\b1\b.*-3\b"):
        bits_per_byte(1.0, 1, -3)
