"""A valley that is steep across and flat along, with the paths of plain descent and AdamW.

Gradient descent takes a step against the gradient, then computes it again. One rate must suit all
directions: across the valley a large step jumps from wall to wall; along its floor a small one
makes no progress. AdamW divides each coordinate by the size of its own gradients, which helps most
if the valley runs along a coordinate; in a rotated valley it needs more steps or a higher rate.

    loss = ½ · pᵀ H p;   gradient = H p;   plain descent is stable while rate < 2 / steepest

Taught in:        training
Paper:            Cauchy 1847; Kingma and Ba 2015, arXiv:1412.6980
Checked against:  the closed form (1 - rate · curvature)ᵗ, torch.optim.AdamW
Shapes:           P points of a path, each with two coordinates
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from course_lib.training.optimizer import adamw_update


def valley(steep: float, flat: float, degrees: float = 0.0) -> Float[Tensor, "2 2"]:
    """Return the curvatures of a valley whose floor runs at an angle to the first coordinate."""
    if not 0 < flat <= steep:
        raise ValueError(
            "the curvatures must be positive, the steeper one first; "
            f"got {steep} and {flat}. Their ratio is the condition number."
        )
    angle = math.radians(degrees)
    axes = torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    return axes @ torch.diag(torch.tensor([flat, steep], dtype=torch.float64)) @ axes.mT


def height(points: Float[Tensor, "*rows 2"], hessian: Float[Tensor, "2 2"]) -> Float[Tensor, "..."]:
    """Return the loss at each point of the valley."""
    return ((points @ hessian) * points).sum(-1) / 2


def sgd_path(
    hessian: Float[Tensor, "2 2"], start: Float[Tensor, " 2"], rate: float, steps: int
) -> Float[Tensor, "P 2"]:
    """Return the points of plain gradient descent, from the start to the last step."""
    return _path(start, steps, lambda point, _step: point - rate * (hessian @ point))


def adamw_path(
    hessian: Float[Tensor, "2 2"],
    start: Float[Tensor, " 2"],
    rate: float,
    steps: int,
    betas: tuple[float, float] = (0.9, 0.999),
) -> Float[Tensor, "P 2"]:
    """Return the points of AdamW without decay, from the start to the last step."""
    m, v = torch.zeros_like(start), torch.zeros_like(start)

    def move(point: Tensor, step: int) -> Tensor:
        nonlocal m, v
        point, m, v = adamw_update(
            point, hessian @ point, m, v, step, rate, betas, weight_decay=0.0
        )
        return point

    return _path(start, steps, move)


def _path(
    start: Float[Tensor, " 2"], steps: int, move: Callable[[Tensor, int], Tensor]
) -> Float[Tensor, "P 2"]:
    points = [start]
    for step in range(1, steps + 1):
        points.append(move(points[-1], step))
    return torch.stack(points)
