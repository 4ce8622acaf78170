"""Each objective equals a loop over single tokens in float64, and trl where it has the same one."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from course_lib.device import seeded
from course_lib.rewards import (
    OBJECTIVES,
    Objective,
    advantages_of,
    clipped_objective,
    importance_ratio,
    is_clipped,
    masked_average,
    policy_loss,
)

MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 0, 0, 0]]).bool()
ADVANTAGES = torch.tensor([1.5, -0.5, -2.0, 1.0], dtype=torch.float64)
LONGEST = 7


def batch(dtype=torch.float64):
    shape = (4, 5)
    old = -torch.rand(*shape, generator=seeded(0), dtype=dtype) - 0.1
    new = old + 0.3 * torch.randn(*shape, generator=seeded(1), dtype=dtype)
    reference = old + 0.3 * torch.randn(*shape, generator=seeded(2), dtype=dtype)
    return new, old, reference


def by_hand(objective, new, old, reference):
    """Return the loss with plain numbers, one token after another."""
    rows = []
    for b, length in enumerate(MASK.sum(-1).tolist()):
        gaps = [new[b][t] - old[b][t] for t in range(length)]
        row = []
        for t in range(length):
            ratio = math.exp(gaps[t])
            if objective.ratio == "answer":
                ratio = math.exp(sum(gaps))
            if objective.ratio == "answer mean":
                ratio = math.exp(sum(gaps) / length)
            limited = min(max(ratio, 1 - objective.low), 1 + objective.high)
            a = ADVANTAGES[b].item()
            loss = -min(ratio * a, limited * a)
            d = new[b][t] - reference[b][t]
            row.append(loss + objective.kl_weight * (math.exp(-d) - 1 + d))
        rows.append(row)
    if objective.average == "answers":
        return sum(sum(row) / len(row) for row in rows) / len(rows)
    total = sum(map(sum, rows))
    return total / (sum(map(len, rows)) if objective.average == "tokens" else 4 * LONGEST)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("kl_weight", [0.0, 0.3])
def test_each_objective_is_its_formula(name, kl_weight):
    objective = replace(OBJECTIVES[name], kl_weight=kl_weight)
    new, old, reference = batch()
    expected = by_hand(objective, new.tolist(), old.tolist(), reference.tolist())
    ours = policy_loss(objective, new, old, ADVANTAGES, MASK, reference, LONGEST)
    assert ours.item() == pytest.approx(expected, abs=1e-12)


def test_the_objectives_differ():
    new, old, reference = batch()
    losses = {
        name: policy_loss(each, new, old, ADVANTAGES, MASK, reference, LONGEST).item()
        for name, each in OBJECTIVES.items()
    }
    assert len({round(loss, 6) for loss in losses.values()}) == len(OBJECTIVES)


def test_at_the_old_policy_the_loss_is_zero_and_its_gradient_is_not():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    old = batch()[1]
    new = old.clone().requires_grad_()
    advantages = advantages_of(OBJECTIVES["DAPO"], rewards).flatten()
    mask = torch.ones(4, 5, dtype=torch.bool)
    loss = policy_loss(OBJECTIVES["DAPO"], new, old, advantages, mask)
    (gradient,) = torch.autograd.grad(loss, new)
    assert abs(loss.item()) < 1e-12
    torch.testing.assert_close(gradient, -advantages[:, None].expand(4, 5) / 20)


def test_padding_has_no_influence_whatever_it_holds():
    new, old, reference = batch()
    clean = new.clone().requires_grad_()
    loss = policy_loss(OBJECTIVES["GRPO"], clean, old, ADVANTAGES, MASK, reference)
    (gradient,) = torch.autograd.grad(loss, clean)
    spoilt = new.masked_fill(~MASK, torch.nan).requires_grad_()
    again = policy_loss(
        OBJECTIVES["GRPO"], spoilt, old.masked_fill(~MASK, -torch.inf), ADVANTAGES, MASK, reference
    )
    (same,) = torch.autograd.grad(again, spoilt)
    torch.testing.assert_close(again, loss)
    torch.testing.assert_close(same, gradient)
    assert (gradient[~MASK] == 0).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "clipped"),
    [
        (1.5, 1.0, 1.2, True),
        (0.5, 1.0, 0.5, False),
        (1.5, -1.0, -1.5, False),
        (0.5, -1.0, -0.8, True),
        (1.1, 1.0, 1.1, False),
    ],
)
def test_the_four_sides_of_the_clip(ratio, advantage, value, clipped):
    r, a = torch.tensor(ratio, requires_grad=True), torch.tensor(advantage)
    objective = clipped_objective(r, a)
    assert objective.item() == pytest.approx(value)
    assert is_clipped(r, a).item() is clipped
    objective.backward()
    assert (r.grad.item() == 0) is clipped


def test_no_gradient_flows_into_the_old_policy():
    old = torch.zeros(3, requires_grad=True)
    importance_ratio(torch.ones(3, requires_grad=True), old).sum().backward()
    assert old.grad is None


THEIRS = {"GRPO": "grpo", "Dr. GRPO": "dr_grpo", "DAPO": "dapo", "GSPO": "grpo"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", THEIRS)
def test_trl_computes_the_same_loss_and_gradient(name):
    trl = pytest.importorskip("trl", reason="trl is an optional reference: pip install trl")
    objective = OBJECTIVES[name]
    new, old, reference = batch()
    leaf = new.clone().requires_grad_()
    trainer = _trainer(objective, THEIRS[name], leaf)
    inputs = {
        "prompt_ids": torch.zeros(4, 2, dtype=torch.long),
        "prompt_mask": torch.ones(4, 2, dtype=torch.long),
        "completion_ids": torch.zeros(4, 5, dtype=torch.long),
        "completion_mask": MASK.long(),
        "advantages": ADVANTAGES,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": MASK.sum(),
    }
    theirs = trl.GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    (their_gradient,) = torch.autograd.grad(theirs, leaf)
    mine = new.clone().requires_grad_()
    ours = policy_loss(objective, mine, old, ADVANTAGES, MASK, reference, LONGEST)
    (gradient,) = torch.autograd.grad(ours, mine)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradient, their_gradient)


class _AnyMetric(dict):
    def __missing__(self, key):
        self[key] = []
        return self[key]


def _trainer(objective, loss_type, log_probabilities):
    """Return as much of a GRPOTrainer as its loss reads: settings, and our log-probabilities."""
    return SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (
            log_probabilities,
            torch.zeros_like(log_probabilities),
            None,
        ),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="sequence" if objective.ratio == "answer mean" else "token",
        beta=objective.kl_weight,
        args=SimpleNamespace(
            use_bias_correction_kl=False, delta=None, steps_per_generation=1, report_to=[]
        ),
        loss_type=loss_type,
        epsilon_low=objective.low,
        epsilon_high=objective.high,
        use_vllm=False,
        model=SimpleNamespace(training=False),
        max_completion_length=LONGEST,
        current_gradient_accumulation_steps=1,
        _entropy_bonus_enabled=False,
        accelerator=SimpleNamespace(
            num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x
        ),
        _metrics={"eval": _AnyMetric(), "train": _AnyMetric()},
    )


class TestBadInput:
    def test_settings(self):
        with pytest.raises(ValueError, match="'words'"):
            Objective("mine", average="words")

    def test_a_missing_reference_and_an_empty_answer(self):
        new, old, _ = batch()
        with pytest.raises(ValueError, match=r"0\.04"):
            policy_loss(OBJECTIVES["GRPO"], new, old, ADVANTAGES, MASK)
        with pytest.raises(ValueError, match="row 0"):
            policy_loss(OBJECTIVES["DAPO"], new, old, ADVANTAGES, MASK & False)

    def test_limits_of_the_clip(self):
        with pytest.raises(ValueError, match=r"-0\.1"):
            Objective("mine", low=-0.1)

    def test_a_constant_needs_its_length(self):
        with pytest.raises(ValueError, match="None"):
            masked_average(torch.ones(4, 5), MASK, "constant")
