"""Every processor next to the one of transformers, bit for bit, ties and edges included."""

import math

import pytest
import torch
from transformers.generation import logits_process as theirs

from course_lib.device import seeded
from course_lib.generation import (
    GREEDY,
    NO_TOKEN,
    Sampling,
    apply_temperature,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalise_repetition,
    process,
)

B, V = 4, 23
IDS = torch.randint(V, (B, 6), generator=seeded(3))


def rows(kind):
    x = torch.randn(B, V, generator=seeded(2)) * 3
    if kind == "ties":
        return x.round()
    if kind == "half":
        return x.half().float()
    if kind == "some forbidden":
        return x.masked_fill(torch.rand(B, V, generator=seeded(5)) < 0.5, -torch.inf)
    if kind == "all equal":
        return torch.zeros(B, V)
    if kind == "one sure":
        return torch.zeros(B, V).index_fill(1, torch.tensor([7]), 200.0)
    if kind == "large":
        return x * 1e37
    return x


KINDS = ["plain", "ties", "half", "some forbidden", "all equal", "one sure", "large"]
PAIRS = {
    "temperature": [
        (apply_temperature, theirs.TemperatureLogitsWarper, t) for t in (0.1, 1.0, 7.5)
    ],
    "top-k": [(keep_top_k, theirs.TopKLogitsWarper, k) for k in (1, 2, 5, V - 1, V, V + 9)],
    "top-p": [(keep_top_p, theirs.TopPLogitsWarper, p) for p in (0.0, 0.1, 0.5, 0.9, 0.999, 1.0)],
    "min-p": [(keep_min_p, theirs.MinPLogitsWarper, p) for p in (0.0, 0.05, 0.5, 1.0)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", list(PAIRS))
def test_filters_are_theirs_bit_for_bit(name, kind):
    x = rows(kind)
    for ours, their, setting in PAIRS[name]:
        before = x.clone()
        assert torch.equal(ours(x, setting), their(setting)(IDS, x)), setting
        assert torch.equal(x, before)


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 10.0])
@pytest.mark.parametrize("kind", KINDS)
def test_repetition_penalty_is_theirs_bit_for_bit(kind, penalty):
    x = rows(kind)
    expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(IDS, x)
    assert torch.equal(penalise_repetition(x, IDS, penalty), expected)


def test_padding_is_not_penalised():
    x, padding = rows("plain"), torch.arange(6) >= torch.tensor([0, 3, 5, 1])[:, None]
    ignored = (~padding).sum(1)
    expected = theirs.RepetitionPenaltyLogitsProcessor(1.5, prompt_ignore_length=ignored)(IDS, x)
    ours = penalise_repetition(x, IDS.masked_fill(~padding, NO_TOKEN), 1.5)
    assert torch.equal(ours, expected)
    assert not torch.equal(ours, penalise_repetition(x, IDS, 1.5))


def test_all_together_in_their_order():
    x = rows("plain")
    chain = theirs.LogitsProcessorList(
        [
            theirs.RepetitionPenaltyLogitsProcessor(1.2),
            theirs.TemperatureLogitsWarper(0.7),
            theirs.TopKLogitsWarper(9),
            theirs.TopPLogitsWarper(0.8),
            theirs.MinPLogitsWarper(0.1),
        ]
    )
    sampling = Sampling(0.7, top_k=9, top_p=0.8, min_p=0.1, repetition_penalty=1.2)
    ours = process(x, IDS, sampling.processors)
    assert torch.equal(ours, chain(IDS, x))
    assert not torch.equal(ours, process(x, IDS, tuple(reversed(sampling.processors))))


def test_your_own_processors_come_after_the_penalty():
    def forbid(logits, ids):
        return logits.masked_fill(torch.arange(V) == 3, -torch.inf)

    sampling = Sampling(2.0, repetition_penalty=1.2, more=(forbid,))
    assert sampling.processors[1] is forbid
    assert process(rows("plain"), IDS, sampling.processors)[:, 3].tolist() == [-math.inf] * B
    assert Sampling(more=(forbid,)).processors == (forbid,)


def test_switched_off_means_no_processor():
    assert Sampling().processors == () == GREEDY.processors
    assert Sampling(top_p=1.0).processors == ()
    assert GREEDY.is_greedy
    assert not Sampling(0.01).is_greedy


def kept(logits):
    return (logits > -torch.inf).nonzero()[:, 1].tolist()


class TestByHand:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def test_top_p_keeps_the_token_that_crosses(self):
        assert kept(keep_top_p(self.logits, 0.6)) == [0, 1]
        assert kept(keep_top_p(self.logits, 0.4)) == [0]
        assert kept(keep_top_p(self.logits, 0.9)) == [0, 1, 2]

    def test_top_k_keeps_ties(self):
        assert kept(keep_top_k(torch.tensor([[1.0, 5.0, 3.0, 3.0]]), 2)) == [1, 2, 3]

    def test_min_p_is_relative_to_the_best(self):
        assert kept(keep_min_p(self.logits, 0.25)) == [0, 1, 2]

    def test_penalty_pushes_both_signs_down(self):
        x = torch.tensor([[2.0, -2.0, 4.0]])
        ours = penalise_repetition(x, torch.tensor([[0, 1, 1]]), 2.0)
        assert ours.tolist() == [[1.0, -4.0, 4.0]]

    def test_what_is_kept_shares_the_probability(self):
        p = keep_top_k(self.logits, 2).softmax(-1)
        assert [round(x, 3) for x in p[0].tolist()] == [0.625, 0.375, 0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_number_types_are_kept(dtype):
    x = rows("plain").to(dtype)
    for ours, their, setting in (pairs[1] for pairs in PAIRS.values()):
        assert ours(x, setting).dtype == dtype
        assert torch.equal(ours(x, setting), their(setting)(IDS, x))
    assert penalise_repetition(x, IDS, 1.2).dtype == dtype


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": -0.5}, r"temperature.*-0\.5\b"),
        ({"top_k": 0}, r"k = 0\b.*None"),
        ({"top_p": 1.5}, r"\b0 and 1\b.*\b1\.5\b.*\b0\.9\b"),
        ({"min_p": -0.1}, r"\b0 and 1\b.*-0\.1\b.*\b0\.05\b"),
        ({"repetition_penalty": 0.0}, r"than 0; .*\b0\.0\b.*\b1 "),
    ],
)
def test_settings_that_mean_nothing(settings, said):
    with pytest.raises(ValueError, match=said):
        Sampling(**settings)


def test_division_by_zero_is_an_error():
    with pytest.raises(ValueError, match=r"\b0\.0\b.*Sampling\(temperature=0\)"):
        apply_temperature(rows("plain"), 0.0)
