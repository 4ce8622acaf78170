"""Plain descent and AdamW in a valley, next to torch's optimizers and the closed form."""

import pytest
import torch

from course_lib.training.descent import adamw_path, height, sgd_path, valley

START = torch.tensor([3.0, -2.0], dtype=torch.float64)


def theirs(make, hessian, steps):
    point = torch.nn.Parameter(START.clone())
    optimizer = make([point])
    seen = [START]
    for _ in range(steps):
        optimizer.zero_grad()
        height(point, hessian).backward()
        optimizer.step()
        seen.append(point.detach().clone())
    return torch.stack(seen)


@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_paths_are_those_of_torch(degrees):
    hessian = valley(20.0, 0.7, degrees)
    sgd = theirs(lambda p: torch.optim.SGD(p, lr=0.03), hessian, 12)
    torch.testing.assert_close(sgd_path(hessian, START, 0.03, 12), sgd)
    adamw = theirs(
        lambda p: torch.optim.AdamW(p, lr=0.2, betas=(0.8, 0.95), weight_decay=0.0), hessian, 12
    )
    torch.testing.assert_close(adamw_path(hessian, START, 0.2, 12, (0.8, 0.95)), adamw)


def test_each_direction_shrinks_by_its_own_factor():
    path = sgd_path(valley(10.0, 1.0), START, 0.15, 4)
    torch.testing.assert_close(
        path[4], START * torch.tensor([0.85, -0.5], dtype=torch.float64) ** 4
    )


def test_above_two_over_the_curvature_plain_descent_climbs():
    hessian = valley(10.0, 1.0, 20.0)
    ends = [height(sgd_path(hessian, START, rate, 60)[-1], hessian) for rate in (0.19, 0.21)]
    assert ends[0] < height(START, hessian) < ends[1]


def test_turning_the_valley_changes_adamw_but_not_plain_descent():
    turned = valley(1.0, 1.0, 45.0)
    torch.testing.assert_close(turned, torch.eye(2, dtype=torch.float64))
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    degrees = torch.rad2deg(torch.atan2(turn[1, 0], turn[0, 0])).item()
    flat, tilted = valley(30.0, 1.0), valley(30.0, 1.0, degrees)
    for path, same in ((sgd_path, True), (adamw_path, False)):
        straight = path(flat, START, 0.05, 8) @ turn.mT
        assert torch.allclose(path(tilted, turn @ START, 0.05, 8), straight) is same


def test_a_valley_needs_two_positive_curvatures():
    with pytest.raises(ValueError, match=r"the steeper one first; got 1.0 and 2.0"):
        valley(1.0, 2.0)
