import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.information import (
    LinearCode,
    binary_entropy,
    capacity,
    error_rates,
    hamming_code,
    least_bit_error,
    random_code,
    repetition_code,
    transmit,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def all_blocks(n):
    return torch.tensor(list(itertools.product([0, 1], repeat=n)))


def syndrome_decode(received):
    """Hamming's way: the three parity checks spell out which bit was flipped."""
    d1, d2, d3, d4, p1, p2, p3 = received
    checks = ((d1 + d2 + d4 + p1) % 2, (d1 + d3 + d4 + p2) % 2, (d2 + d3 + d4 + p3) % 2)
    flipped = {(1, 1, 0): 0, (1, 0, 1): 1, (0, 1, 1): 2, (1, 1, 1): 3}.get(checks)
    return [bit ^ (place == flipped) for place, bit in enumerate(received[:4])]


def test_hamming_agrees_with_syndrome_decoding_on_all_received_blocks():
    received = all_blocks(7)
    expected = [syndrome_decode(block) for block in received.tolist()]
    assert hamming_code().decode(received).tolist() == expected


@pytest.mark.parametrize("times", [1, 3, 5])
def test_repetition_agrees_with_the_majority_vote_on_all_received_blocks(times):
    received = all_blocks(times)
    majority = (received.sum(-1) * 2 > times).long()[:, None]
    assert torch.equal(repetition_code(times).decode(received), majority)


@pytest.mark.parametrize("flips", [0, 1, 2])
def test_hamming_corrects_every_single_flip_and_no_pair(flips):
    code = hamming_code()
    messages = all_blocks(4)
    for places in itertools.combinations(range(7), flips):
        received = code.encode(messages)
        received[:, list(places)] ^= 1
        correct = (code.decode(received) == messages).all(-1)
        assert correct.all() if flips < 2 else not correct.any()


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 1000))
def test_decoding_finds_a_nearest_word(k, extra, seed):
    code = random_code(k, k + extra, seeded(seed))
    received = torch.randint(0, 2, (20, k + extra), generator=seeded(seed + 1))
    distances = torch.cdist(received.double(), code.words.double(), p=1).round()
    chosen = (code.encode(code.decode(received)) != received).sum(-1)
    assert torch.equal(chosen, distances.amin(-1).long())
    assert torch.equal(code.decode(code.words), code.messages)
    assert len(code.words.unique(dim=0)) == 2**k


def test_of_two_words_equally_near_the_first_is_taken():
    assert repetition_code(2).decode(torch.tensor([[0, 1], [1, 0]])).tolist() == [[0], [0]]


def test_words_are_sums_modulo_two_of_rows():
    code = LinearCode(torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0]]))
    assert code.encode(torch.tensor([[1, 0], [0, 1], [1, 1]])).tolist() == [
        [1, 0, 1, 1],
        [0, 1, 1, 0],
        [1, 1, 0, 1],
    ]
    assert code.rate == 0.5


def test_capacity_worked_out_by_hand():
    assert capacity(0.0) == 1
    assert capacity(1.0) == 1  # a channel that flips every bit is as good as one that flips none
    assert capacity(0.5) == 0
    assert binary_entropy(0.25) == pytest.approx(2 - 0.75 * math.log2(3))
    assert capacity(0.11) == pytest.approx(0.5, abs=1e-3)


def test_transmission_flips_the_stated_share_of_bits():
    bits = torch.randint(0, 2, (200, 100), generator=seeded())
    share = (transmit(bits, 0.2, seeded(1)) != bits).double().mean().item()
    assert share == pytest.approx(0.2, abs=4 * math.sqrt(0.2 * 0.8 / 20_000))
    assert torch.equal(transmit(bits, 0.0, seeded()), bits)
    assert torch.equal(transmit(bits, 1.0, seeded()), 1 - bits)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64])
def test_transmission_keeps_the_type_of_the_bits(dtype):
    received = transmit(torch.ones(100, dtype=dtype), 0.5, seeded())
    assert received.dtype == dtype
    assert set(received.tolist()) == {0, 1}


def test_error_rates_agree_with_the_binomial_distribution():
    f, blocks = 0.1, 20_000
    repetition = 3 * f**2 * (1 - f) + f**3
    hamming = 1 - (1 - f) ** 7 - 7 * f * (1 - f) ** 6
    for code, expected in ((repetition_code(3), repetition), (hamming_code(), hamming)):
        spread = math.sqrt(expected * (1 - expected) / blocks)
        assert abs(error_rates(code, f, blocks, seeded()).block - expected) < 4 * spread


def test_longer_codes_help_below_capacity_and_hurt_above_it():
    flip = 0.1
    assert 1 / 4 < capacity(flip) < 4 / 5

    def errors(k, n):
        trials = [error_rates(random_code(k, n, seeded(s)), flip, 500, seeded(s)) for s in range(8)]
        return sum(trial.block for trial in trials) / len(trials)

    below = [errors(k, 4 * k) for k in (3, 6, 12)]
    above = [errors(k, k * 5 // 4) for k in (4, 8, 12)]
    assert below[0] > 2 * below[1] > 4 * below[2]
    assert above[0] + 0.1 < above[1] < above[2] - 0.1


def test_no_code_gets_below_the_least_bit_error():
    assert least_bit_error(rate=0.5, flip=0.1) == 0  # below capacity
    assert least_bit_error(rate=0.25, flip=0.5) == pytest.approx(0.5)  # nothing gets through
    e = least_bit_error(rate=0.9, flip=0.1)
    assert 0.9 * (1 - binary_entropy(e)) == pytest.approx(capacity(0.1))
    assert least_bit_error(rate=1.0, flip=0.1) == pytest.approx(0.1)  # uncoded bits attain it
    for k, n in ((4, 5), (8, 9), (12, 15)):
        code = random_code(k, n, seeded())
        assert error_rates(code, 0.1, 2000, seeded(1)).bit > least_bit_error(code.rate, 0.1)


def test_an_error_free_channel_makes_no_errors():
    assert error_rates(random_code(12, 12, seeded()), 0.0, 100, seeded()) == (0.0, 0.0)


@pytest.mark.parametrize("flip", [-0.1, 1.1, math.nan])
def test_probabilities_out_of_range_are_errors(flip):
    for call in (binary_entropy, capacity):
        with pytest.raises(ValueError, match=rf"0 and 1.*{flip}"):
            call(flip)
    with pytest.raises(ValueError, match=rf"flip.*{flip}"):
        transmit(torch.zeros(3, dtype=torch.long), flip, seeded())


def test_codes_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match=r"\b3 rows.*\b2 columns"):
        LinearCode(torch.ones(3, 2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"\b1 to 16\b.*\b17 rows.*\b20"):
        random_code(17, 20, seeded())
    with pytest.raises(ValueError, match=r"\b0 or 1\b.*\b0 to 2\b"):
        LinearCode(torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match=r"k = 5\b.*n = 4\b"):
        random_code(5, 4, seeded())
    with pytest.raises(ValueError, match=r"times = 0\b"):
        repetition_code(0)
    with pytest.raises(ValueError, match=r"\b1 block.*\b0\b"):
        error_rates(hamming_code(), 0.1, 0, seeded())
    with pytest.raises(ValueError, match=r"rate.*\b0\b.*\b0\.0\b"):
        least_bit_error(0.0, 0.1)
