"""Clipping next to torch's, and the shares of a batch in parts."""

import copy

import pytest
import torch

from course_lib.device import seeded
from course_lib.training.gradients import clip_by_global_norm, global_norm, share_of


def gradients(scale=1.0):
    draws = seeded(5)
    return [torch.randn(size, generator=draws) * scale for size in ((4, 6), (6,), (3, 2, 2))]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_clipping_is_that_of_torch(scale):
    ours = gradients(scale)
    theirs = [torch.nn.Parameter(torch.zeros_like(g)) for g in ours]
    for parameter, gradient in zip(theirs, ours, strict=True):
        parameter.grad = gradient.clone()
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5)
    found = clip_by_global_norm(ours, 1.5)
    torch.testing.assert_close(found, expected)
    for parameter, gradient in zip(theirs, ours, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def with_gradients(scale):
    found = [torch.nn.Parameter(torch.ones_like(g)) for g in gradients()]
    for parameter, gradient in zip(found, gradients(scale), strict=True):
        parameter.grad = gradient
    frozen = torch.nn.Parameter(torch.full((3,), 9.0), requires_grad=False)
    unused = torch.full((2,), 9.0, requires_grad=True)
    return [frozen, *found, unused]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
def test_parameters_stand_for_their_gradients(scale):
    ours, theirs = with_gradients(scale), with_gradients(scale)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.5)
    torch.testing.assert_close(clip_by_global_norm(iter(ours), 1.5), expected)
    for mine, reference in zip(ours, theirs, strict=True):
        assert torch.equal(mine, reference), "the weights themselves stay"
        assert (mine.grad is None) == (reference.grad is None)
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, reference.grad)


def test_a_single_tensor_is_one_parameter_or_one_gradient():
    weight = torch.nn.Parameter(torch.ones(2, 1))
    weight.grad = torch.tensor([[3.0], [4.0]])
    assert clip_by_global_norm(weight, 1.0).item() == 5.0
    assert [round(g, 4) for g in weight.grad.flatten().tolist()] == [0.6, 0.8]
    assert weight.tolist() == [[1.0], [1.0]]
    alone = torch.tensor([[3.0], [4.0]])
    assert clip_by_global_norm(alone, 1.0).item() == 5.0
    assert torch.equal(alone, weight.grad)


def test_a_gradient_that_is_part_of_a_graph_is_a_gradient():
    weight = torch.tensor([2.0, 1.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(weight.pow(3).sum(), weight, create_graph=True)
    assert gradient.requires_grad
    clip_by_global_norm([gradient], 1.0)
    torch.testing.assert_close(gradient.detach(), torch.tensor([12.0, 3.0]) / 153**0.5)


def test_three_four_five():
    pair = [torch.tensor([3.0]), torch.tensor([[4.0]])]
    assert global_norm(pair).item() == 5.0
    assert clip_by_global_norm(pair, 1.0).item() == 5.0
    assert [round(g.item(), 4) for g in pair] == [0.6, 0.8]


def test_direction_stays_where_each_tensor_by_itself_would_turn():
    long, before = gradients(50.0), gradients(50.0)
    clip_by_global_norm(long, 1.0)
    ratios = torch.cat([(a / b).flatten() for a, b in zip(long, before, strict=True)])
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))
    assert global_norm(long).item() == pytest.approx(1.0, abs=1e-4)


def test_short_and_zero_gradients_stay():
    short = gradients(1e-3)
    kept = copy.deepcopy(short)
    clip_by_global_norm(short, 1.0)
    assert all(torch.equal(a, b) for a, b in zip(short, kept, strict=True))
    zero = [torch.zeros(3)]
    assert clip_by_global_norm(zero, 1.0).item() == 0.0
    assert not zero[0].any()


def test_shares_weigh_parts_by_their_tokens():
    assert share_of(3, 4) == 0.75
    for part, whole in ((0, 4), (5, 4)):
        with pytest.raises(ValueError, match="at least one target"):
            share_of(part, whole)


def test_errors_name_the_remedy():
    with pytest.raises(ValueError, match="must be positive; got 0"):
        clip_by_global_norm(gradients(), 0.0)
    with pytest.raises(ValueError, match=r"got none. Call backward\(\)"):
        global_norm([])
    with pytest.raises(ValueError, match=r"got none. Call backward\(\)"):
        clip_by_global_norm([torch.nn.Parameter(torch.ones(2))], 1.0)
