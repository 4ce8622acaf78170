"""AdamW next to torch's, and each of its terms by itself."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from course_lib.device import seeded
from course_lib.training.optimizer import AdamW, adamw_step, decay_groups


def parameters():
    draws = seeded(3)
    return [nn.Parameter(torch.randn(size, generator=draws)) for size in ((5, 7), (7,), (2, 3, 4))]


def gradients_of(step):
    draws = seeded(100 + step)
    return [torch.randn(p.shape, generator=draws) * 10.0 ** (step % 3 - 1) for p in parameters()]


def groups_of(weights):
    return [
        {"params": weights[:1], "weight_decay": 0.3, "lr": 3e-3},
        {"params": weights[1:], "weight_decay": 0.0, "betas": (0.8, 0.9), "eps": 1e-3},
    ]


def take(optimizer, weights, steps, scheduler=None, without=()):
    """Take steps with gradients of known seeds; parameters in `without` have none."""
    for step in steps:
        optimizer.zero_grad()
        for number, (p, gradient) in enumerate(zip(weights, gradients_of(step), strict=True)):
            if number not in without:
                p.grad = gradient
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def pair(make=groups_of, **options):
    """Return our parameters and optimizer, and torch's."""
    ours, theirs = parameters(), parameters()
    return ours, AdamW(make(ours), **options), theirs, torch.optim.AdamW(make(theirs), **options)


def assert_same(ours, theirs):
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-6)
    assert not torch.allclose(ours[0], parameters()[0], atol=1e-3)


def test_fifty_steps_with_groups_are_those_of_torch():
    ours, mine, theirs, reference = pair(betas=(0.9, 0.97), eps=1e-7, lr=1e-2)
    take(mine, ours, range(50))
    take(reference, theirs, range(50))
    assert_same(ours, theirs)


def test_defaults_are_those_of_torch():
    ours, mine, theirs, reference = pair(make=list)
    assert mine.defaults.items() <= reference.defaults.items()
    take(mine, ours, range(9))
    take(reference, theirs, range(9))
    assert_same(ours, theirs)


SCHEDULERS = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.02, total_steps=30),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_of_torch_drive_it(name):
    ours, mine, theirs, reference = pair(betas=(0.9, 0.97))
    first, second = SCHEDULERS[name](mine), SCHEDULERS[name](reference)
    take(mine, ours, range(20), first)
    take(reference, theirs, range(20), second)
    assert first.get_last_lr() == second.get_last_lr()
    assert first.get_last_lr() != [3e-3, 1e-3]
    assert_same(ours, theirs)
    constant = parameters()
    take(AdamW(groups_of(constant), betas=(0.9, 0.97)), constant, range(20))
    assert not torch.allclose(constant[0], ours[0], atol=1e-4)


def test_a_parameter_that_gets_gradients_later_counts_its_own_steps():
    ours, mine, theirs, reference = pair()
    for optimizer, weights in ((mine, ours), (reference, theirs)):
        take(optimizer, weights, range(4), without={1})
        assert torch.equal(weights[1], parameters()[1])
        take(optimizer, weights, range(4, 9))
    assert_same(ours, theirs)
    assert [mine.state[p]["step"] for p in ours] == [9, 5, 9]


def test_a_group_can_be_added_on_the_way():
    ours, mine, theirs, reference = pair(make=lambda weights: weights[:2], lr=0.01)
    for optimizer, weights in ((mine, ours), (reference, theirs)):
        take(optimizer, weights, range(3))
        optimizer.add_param_group({"params": weights[2:], "lr": 0.05})
        take(optimizer, weights, range(3, 8))
    assert_same(ours, theirs)
    assert not torch.equal(ours[2], parameters()[2])


def test_named_parameters_do_as_they_are():
    model = nn.Linear(3, 2)
    optimizer = AdamW(model.named_parameters())
    assert optimizer.param_groups[0]["params"] == list(model.parameters())


def test_a_closure_is_called_with_gradients_on_and_its_loss_returned():
    weight = nn.Parameter(torch.tensor([2.0]))
    optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert weight.item() == pytest.approx(1.9)
    assert optimizer.step() is None


def test_first_step_by_hand():
    # m̂ = g and v̂ = g² after one step, so the weight moves by lr against the sign of g.
    weight, m, v = torch.tensor([2.0, -3.0, 5.0]), torch.zeros(3), torch.zeros(3)
    gradient = torch.tensor([0.5, -1e-3, 40.0])
    adamw_step(weight, gradient, m, v, 1, 0.01, weight_decay=0.1)
    decayed = torch.tensor([2.0, -3.0, 5.0]) * (1 - 0.01 * 0.1)
    torch.testing.assert_close(
        weight, decayed - 0.01 * torch.tensor([1.0, -1.0, 1.0]), rtol=0, atol=1e-6
    )
    torch.testing.assert_close(m, 0.1 * gradient)
    torch.testing.assert_close(v, 0.001 * gradient**2)


def test_decay_does_not_depend_on_the_gradient():
    moved = []
    for size in (1.0, 1000.0):
        weight, m, v = torch.full((1,), 4.0), torch.zeros(1), torch.zeros(1)
        adamw_step(weight, torch.tensor([size]), m, v, 1, 0.1, weight_decay=0.5)
        moved.append(weight.item())
    assert moved[0] == pytest.approx(moved[1], abs=1e-5)
    assert moved[0] == pytest.approx(4.0 * 0.95 - 0.1, abs=1e-5)


def test_state_goes_on_bit_for_bit():
    whole, halves = parameters(), parameters()
    optimizer = AdamW(groups_of(whole), lr=0.02)
    take(optimizer, whole, range(8))
    first = AdamW(groups_of(halves), lr=0.02)
    take(first, halves, range(5))
    second = AdamW(groups_of(halves), lr=0.7, betas=(0.5, 0.5))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take(second, halves, range(5, 8))
    assert all(torch.equal(p, q) for p, q in zip(whole, halves, strict=True))


@pytest.mark.parametrize(("one", "other"), [(AdamW, torch.optim.AdamW), (torch.optim.AdamW, AdamW)])
def test_state_dicts_are_exchanged_with_torch(one, other):
    begun, expected = parameters(), parameters()
    first = one(groups_of(begun), lr=0.02)
    take(first, begun, range(5), without={2})
    second = other(groups_of(begun), lr=0.7)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    take(second, begun, range(5, 9))
    reference = torch.optim.AdamW(groups_of(expected), lr=0.02)
    take(reference, expected, range(5), without={2})
    take(reference, expected, range(5, 9))
    assert_same(begun, expected)
    third = one(groups_of(begun), lr=0.3)  # and back again
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    take(third, begun, range(9, 12))
    take(reference, expected, range(9, 12))
    assert_same(begun, expected)


def stepped(make, weights):
    optimizer = make(weights)
    for p in weights:
        p.grad = torch.ones_like(p)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("make", "weights", "complaint"),
    [
        (AdamW, parameters()[:2], r"\[2\] parameters for groups of \[3\]"),
        (AdamW, parameters()[::-1], r"\(2, 3, 4\) for a parameter of shape \(5, 7\)"),
        (lambda p: torch.optim.SGD(p, lr=0.1), parameters(), "different kind of optimizer"),
        (lambda p: torch.optim.AdamW(p, amsgrad=True), parameters(), "amsgrad"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error_and_changes_nothing(make, weights, complaint):
    optimizer = stepped(AdamW, parameters())
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=complaint):
        optimizer.load_state_dict(stepped(make, weights).state_dict())
    assert str(optimizer.state_dict()) == str(before)


def test_parameters_without_gradient_stay():
    weights = parameters()
    optimizer = AdamW(weights, lr=0.1)
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
    assert len(AdamW(decay_groups(model, 0.2)).param_groups) == 2  # an empty group is no error


@pytest.mark.parametrize("step", [1, 50])
def test_float64_and_extreme_gradients(step):
    weight = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    gradient = torch.tensor([0.0, 1e-30, 1e30], dtype=torch.float64)
    adamw_step(weight, gradient, torch.zeros_like(weight), torch.zeros_like(weight), step, 0.01)
    assert weight.dtype == torch.float64
    assert weight.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_moments_have_the_type_of_their_parameter(dtype):
    _, mine, _, reference = pair(
        make=lambda weights: [p.data.to(dtype).requires_grad_() for p in weights]
    )
    for optimizer in (mine, reference):
        weights = optimizer.param_groups[0]["params"]
        for step in range(4):
            for p, gradient in zip(weights, gradients_of(step), strict=True):
                p.grad = gradient.to(dtype)
            optimizer.step()
    for p, q in zip(*(o.param_groups[0]["params"] for o in (mine, reference)), strict=True):
        assert mine.state[p]["exp_avg"].dtype is mine.state[p]["exp_avg_sq"].dtype is dtype
        torch.testing.assert_close(p, q)


def test_errors_name_the_remedy():
    weights = parameters()
    with pytest.raises(ValueError, match=r"\(1\.0, 0\.9\).*0\.95"):
        AdamW(weights, betas=(1.0, 0.9))
    with pytest.raises(ValueError, match=r"eps=0\.0.*1e-8"):
        AdamW(weights, eps=0.0)
    with pytest.raises(ValueError, match=r"lr=-1.*1e-3"):
        AdamW(weights, lr=-1.0)
    with pytest.raises(ValueError, match=r"weight_decay=-0\.1"):
        AdamW([{"params": weights, "weight_decay": -0.1}])
    optimizer = AdamW(weights[:1])
    with pytest.raises(ValueError, match=r"\(0\.9, 1\.5\)"):
        optimizer.add_param_group({"params": weights[1:], "betas": (0.9, 1.5)})
    assert len(optimizer.param_groups) == 1
    for nothing in ([], iter([])):
        with pytest.raises(ValueError, match=r"model\.parameters"):
            AdamW(nothing)
    with pytest.raises(TypeError):
        AdamW(weights[0])
