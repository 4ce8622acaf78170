"""Speculative decoding: the target's own text, the target's own distribution, fewer passes."""

import pytest
import torch

from course_lib.attention import KVCache
from course_lib.device import seeded
from course_lib.generation import (
    Sampling,
    Stop,
    acceptance_rate,
    accepted_count,
    first_layers,
    generate,
    next_distribution,
    residual_distribution,
    speculative_generate,
    speed_up,
    tokens_per_pass,
    verify,
)
from course_lib.generation.sampling import draw
from course_lib.model import Output

P = torch.tensor([0.5, 0.3, 0.2, 0.0]).double()
Q = torch.tensor([0.2, 0.2, 0.2, 0.4]).double()


class TestByHand:
    def test_kept_with_probability_p_over_q(self):
        p, q = torch.tensor([0.3, 0.1]), torch.tensor([0.2, 0.4])
        assert accepted_count(p, q, torch.tensor([0.99, 0.24])) == 2
        assert accepted_count(p, q, torch.tensor([0.99, 0.26])) == 1

    def test_nothing_after_a_rejection(self):
        p, q = torch.tensor([0.1, 0.9, 0.9]), torch.tensor([0.9, 0.1, 0.1])
        assert accepted_count(p, q, torch.tensor([0.5, 0.0, 0.0])) == 0

    def test_what_is_missing(self):
        assert [round(x, 4) for x in residual_distribution(P, Q).tolist()] == [0.75, 0.25, 0, 0]
        assert torch.equal(residual_distribution(P, P), P)

    def test_a_round(self):
        target = torch.stack((P, Q, P))
        draft = torch.stack((Q, Q))
        uniform = torch.tensor([0.9, 0.9, 0.99]).double()
        # 0 is kept since p > q, 3 since p = q; the last draw is from P
        assert verify(torch.tensor([0, 3]), target, draft, uniform).tolist() == [0, 3, 2]
        # 3 has probability 0 under P: rejected at once; 0.8 falls on token 1 of the residual
        uniform = torch.tensor([0.0, 0.0, 0.8]).double()
        assert verify(torch.tensor([3, 0]), target, draft, uniform).tolist() == [1]
        assert verify(
            torch.tensor([], dtype=torch.long), P[None], P[:0].view(0, 4), uniform[2:]
        ).tolist() == [2]


def rounds(count, rule=verify):
    """Return how often each first token is written when Q drafts one token for P."""
    generator = seeded(0)
    uniform = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    drafted = torch.multinomial(Q, count, replacement=True, generator=generator)
    target, draft = torch.stack((P, P)), Q[None]
    first = [rule(drafted[i : i + 1], target, draft, uniform[i, :2])[0] for i in range(count)]
    return torch.bincount(torch.stack(first), minlength=4)


def statistic(counts, p):
    possible = p > 0
    expected = p[possible] * counts.sum()
    return ((counts[possible] - expected) ** 2 / expected).sum().item()


def test_a_round_writes_with_the_targets_probabilities():
    counts = rounds(8000)
    assert counts[3] == 0
    assert statistic(counts, P) < 18.4  # two degrees of freedom: once in 10 000


def swapped(drafted, target, draft, uniform):
    """Keep a draft with probability q / p: also what the target never generates."""
    if accepted_count(draft[0, drafted], target[0, drafted], uniform[:1]):
        return drafted
    return draw(residual_distribution(target[0], draft[0])[None], uniform[1:])


def redrawn_from_target(drafted, target, draft, uniform):
    """Keep as one should, but replace a rejected draft by a draw from p, not from p - q."""
    if accepted_count(target[0, drafted], draft[0, drafted], uniform[:1]):
        return drafted
    return draw(target[:1], uniform[1:])


def test_an_inverted_acceptance_ratio_generates_what_the_target_never_does():
    counts = rounds(3000, swapped)
    # 3 is drafted with probability 0.4, and p = 0 < q keeps it every time
    assert counts[3] / 3000 == pytest.approx(0.4, abs=0.04)


def test_a_rejected_draft_sampled_from_the_target_is_too_often_the_draft_s_choice():
    counts = rounds(3000, redrawn_from_target)
    assert counts[3] == 0  # a support that is right hides the mistake
    # 1 is drafted and kept with 0.2, and drawn instead of a 3 with 0.4 * 0.3
    assert (counts / 3000).tolist() == pytest.approx([0.4, 0.32, 0.28, 0], abs=0.04)
    assert statistic(counts, P) > 100


@pytest.fixture(scope="module")
def draft_model(make_pair):
    return make_pair(seed=5, num_hidden_layers=1)[1]


def related(model):
    """Return a draft that resembles the model: the same weights, a little disturbed."""
    import copy

    other = copy.deepcopy(model)
    torch.manual_seed(0)
    for parameter in other.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return other


@pytest.mark.parametrize("k", [1, 3, 6])
def test_greedy_text_is_that_of_the_model_alone(model, draft_model, ids, k):
    alone = generate(model, ids[:1], 13)
    for draft in (draft_model, related(model)):
        found = speculative_generate(model, draft, ids[:1], 13, draft_tokens=k)
        assert torch.equal(found.ids, alone)
        assert found.accepted + found.passes == 13


def test_a_perfect_draft_is_always_kept(model, ids):
    found = speculative_generate(model, model, ids[:1], 20, draft_tokens=4)
    assert found.acceptance == 1.0
    assert found.passes == 4
    assert found.rejected == 0
    sampled = speculative_generate(
        model, model, ids[:1], 20, Sampling(1.0, top_k=9), draft_tokens=4, generator=seeded(1)
    )
    assert sampled.passes <= 5  # rounding may reject one


def test_acceptance_predicts_the_tokens_of_a_round(model, ids):
    found = speculative_generate(model, related(model), ids[:1], 60, draft_tokens=3)
    assert 0 < found.rejected <= found.passes
    assert found.acceptance == found.accepted / (found.accepted + found.rejected)
    assert found.acceptance > found.accepted / found.drafted  # drafts after a rejection lower that
    assert tokens_per_pass(found.acceptance, 3) == pytest.approx(60 / found.passes, rel=0.15)


class Table:
    """A language model that is a table: the scores of what follows each token."""

    def __init__(self, seed):
        self.scores = torch.randn(5, 5, generator=seeded(seed)) * 1.5

    def make_cache(self, batch, capacity):
        return [KVCache(batch, 1, capacity, 1)]

    def __call__(self, ids, padding=None, cache=None, positions=None, *, last_only=False):
        read = torch.zeros(*ids.shape[:1], 1, ids.shape[1], 1)
        cache[0].append(read, read)
        logits = self.scores[ids]
        return Output(logits[:, -1:] if last_only else logits)


@pytest.mark.parametrize(
    "sampling", [Sampling(1.5), Sampling(2.0, top_k=3, repetition_penalty=1.5)]
)
def test_sampled_text_has_the_models_distribution(sampling):
    model, draft, ids = Table(1), Table(2), torch.tensor([[1, 4, 2]])
    expected = torch.zeros(5, 5).double()  # probabilities of the first two tokens
    first = next_distribution(model.scores[2:3], ids, sampling)[0].double()
    for i in range(5):
        both = torch.cat((ids, torch.tensor([[i]])), dim=1)
        expected[i] = first[i] * next_distribution(model.scores[i : i + 1], both, sampling)[0]
    generator, counts = seeded(7), torch.zeros(25).long()
    for _ in range(600):
        text = speculative_generate(
            model, draft, ids, 3, sampling, draft_tokens=2, generator=generator
        ).ids[0]
        counts[int(text[0]) * 5 + int(text[1])] += 1
    flat = expected.flatten()
    assert counts[flat == 0].sum() == 0
    freedom = int((flat > 0).sum()) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert statistic(counts, flat) < limit


def test_the_first_layers_are_a_model_of_their_own(model, ids):
    draft = first_layers(model, 2)
    with torch.inference_mode():
        found = draft(ids).logits
        whole = model(ids, return_hidden=True)
        expected = model.lm_head(model.last_norm(whole.hidden_states[2]))
    torch.testing.assert_close(found, expected)
    assert len(model.blocks) == 3 == len(first_layers(model, 3).blocks)
    assert draft.lm_head.weight is model.lm_head.weight
    assert len(draft.make_cache(1, 4)) == 2
    with pytest.raises(ValueError, match=r"\b1 .*\b3 layers.*\b4\b"):
        first_layers(model, 4)


def test_what_drafting_is_worth():
    assert acceptance_rate(P, Q) == pytest.approx(0.6)
    assert tokens_per_pass(0.5, 2) == 1.75
    assert tokens_per_pass(1.0, 4) == 5.0
    assert tokens_per_pass(0.0, 4) == 1.0
    assert speed_up(1.0, 4, 0.25) == 2.5
    assert speed_up(1.0, 4, 1.0) == 1.0


def test_stops_cut_a_round(model, ids):
    alone = generate(model, ids[:1], 20)
    for place in (0, 2, 5):
        stop = Stop(ids=(int(alone[0, place]),))
        expected = generate(model, ids[:1], 20, stop=stop)
        found = speculative_generate(model, model, ids[:1], 20, draft_tokens=5, stop=stop)
        assert torch.equal(found.ids, expected)


def test_errors(model, ids):
    with pytest.raises(ValueError, match=r"batch.*\b3\b"):
        speculative_generate(model, model, ids)
    with pytest.raises(ValueError, match=r"max_new_tokens.*draft_tokens.*\b5 .*\b0\b"):
        speculative_generate(model, model, ids[:1], 5, draft_tokens=0)
    with pytest.raises(ValueError, match=r"\b1 .*draft.*\b2 .*target.*\b1, 1 and 2\b"):
        verify(torch.tensor([0]), P[None], Q[None], torch.zeros(2).double())
