"""AdamW next to torch's, and each of its terms by itself."""

import pytest
import torch
from torch import nn

from course_lib.device import seeded
from course_lib.training.optimizer import (
    AdamW,
    AdamWSettings,
    Moments,
    adamw_step,
    decay_groups,
)


def parameters():
    draws = seeded(3)
    return [nn.Parameter(torch.randn(size, generator=draws)) for size in ((5, 7), (7,), (2, 3, 4))]


def gradients_of(step):
    draws = seeded(100 + step)
    return [torch.randn(p.shape, generator=draws) * 10.0 ** (step % 3 - 1) for p in parameters()]


def test_fifty_steps_with_groups_are_those_of_torch():
    ours, theirs = parameters(), parameters()
    options = {"betas": (0.9, 0.97), "eps": 1e-7}
    mine = AdamW(
        [
            {"params": ours[:1], "weight_decay": 0.3},
            {"params": ours[1:], "weight_decay": 0.0, "betas": (0.8, 0.9)},
        ],
        settings=AdamWSettings(**options),
    )
    reference = torch.optim.AdamW(
        [
            {"params": theirs[:1], "weight_decay": 0.3},
            {"params": theirs[1:], "weight_decay": 0.0, "betas": (0.8, 0.9)},
        ],
        **options,
    )
    for step in range(50):
        mine.rate = 1e-2 / (1 + step)
        for group in reference.param_groups:
            group["lr"] = mine.rate
        for p, q, gradient in zip(ours, theirs, gradients_of(step), strict=True):
            p.grad, q.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    assert not torch.allclose(ours[0], parameters()[0], atol=1e-2)


def test_first_step_by_hand():
    # m̂ = g and v̂ = g² after one step, so the weight moves by lr against the sign of g.
    weight = torch.tensor([2.0, -3.0, 5.0])
    settings = AdamWSettings(weight_decay=0.1)
    adamw_step(weight, torch.tensor([0.5, -1e-3, 40.0]), Moments(weight), 1, 0.01, settings)
    decayed = torch.tensor([2.0, -3.0, 5.0]) * (1 - 0.01 * 0.1)
    torch.testing.assert_close(
        weight, decayed - 0.01 * torch.tensor([1.0, -1.0, 1.0]), rtol=0, atol=1e-6
    )


def test_decay_does_not_depend_on_the_gradient():
    moved = []
    for size in (1.0, 1000.0):
        weight = torch.full((1,), 4.0)
        adamw_step(
            weight, torch.tensor([size]), Moments(weight), 1, 0.1, AdamWSettings(weight_decay=0.5)
        )
        moved.append(weight.item())
    assert moved[0] == pytest.approx(moved[1], abs=1e-5)
    assert moved[0] == pytest.approx(4.0 * 0.95 - 0.1, abs=1e-5)


def test_state_goes_on_bit_for_bit():
    def steps(optimizer, weights, numbers):
        for step in numbers:
            for p, gradient in zip(weights, gradients_of(step), strict=True):
                p.grad = gradient
            optimizer.step()

    whole, halves = parameters(), parameters()
    optimizer = AdamW(whole, rate=0.02)
    steps(optimizer, whole, range(8))
    first = AdamW(halves, rate=0.02)
    steps(first, halves, range(5))
    second = AdamW(halves, rate=0.7)
    second.load_state_dict(first.state_dict())
    steps(second, halves, range(5, 8))
    assert all(torch.equal(p, q) for p, q in zip(whole, halves, strict=True))


def test_state_of_other_parameters_is_refused():
    state = AdamW(parameters()).state_dict()
    with pytest.raises(ValueError, match="over the same parameters"):
        AdamW(parameters()[:2]).load_state_dict(state)


def test_parameters_without_gradient_stay():
    weights = parameters()
    optimizer = AdamW(weights, rate=0.1)
    weights[0].grad = torch.ones_like(weights[0])
    optimizer.step()
    assert not torch.equal(weights[0], parameters()[0])
    assert torch.equal(weights[1], parameters()[1])
    optimizer.zero_grad()
    assert weights[0].grad is None


def test_gains_and_biases_do_not_decay():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    model[0].weight.requires_grad_(False)
    matrices, vectors = decay_groups(model, 0.2)
    assert matrices == {"params": [], "weight_decay": 0.2}
    assert [p.ndim for p in vectors["params"]] == [1, 1, 1]
    assert vectors["weight_decay"] == 0.0


@pytest.mark.parametrize("step", [1, 50])
def test_float64_and_extreme_gradients(step):
    weight = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    adamw_step(
        weight,
        torch.tensor([0.0, 1e-30, 1e30], dtype=torch.float64),
        Moments(weight),
        step,
        0.01,
        AdamWSettings(),
    )
    assert weight.dtype == torch.float64
    assert weight.isfinite().all()


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match=r"betas must lie.*\(1\.0, 0\.9\).*0\.95"):
        AdamWSettings(betas=(1.0, 0.9))
    with pytest.raises(ValueError, match="eps must be positive"):
        AdamWSettings(eps=0.0)
    with pytest.raises(ValueError, match=r"got none. Pass model\.parameters"):
        AdamW([])
