"""One step: its learning rate, its direction and its length.

Taught in:        training
Checked against:  course_lib.training's schedule, descent, gradients and optimizer
Shapes:           P points of a path, S steps
"""

import math

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title
from course_lib.training.descent import adamw_path, height, sgd_path
from course_lib.training.descent import valley as valley_of
from course_lib.training.gradients import clipped
from course_lib.training.optimizer import adamw_update
from course_lib.training.schedule import cosine_rate

START = (-4.0, 0.6)  # along the floor of the valley, and up its wall


def schedule(
    step: int, warmup: int = 100, steps: int = 1000, peak: Number = 2e-3, final: Number = 2e-4
) -> Figure:
    """Draw the learning rate over a whole run, and mark one step."""
    rates = [
        cosine_rate(each, warmup=warmup, steps=steps, peak=float(peak), final=float(final))
        for each in range(steps + 1)
    ]
    here = rates[min(step, steps)]
    figure, ax = new_figure(7.5, 3.3, margins=Margins(left=0.95, top=0.5))
    ax.axvspan(0, warmup, color=OKABE_ITO.yellow, alpha=0.35, linewidth=0, label="warm-up")
    ax.plot(range(steps + 1), rates, color=OKABE_ITO.blue, linewidth=2)
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    ax.plot([step], [here], "o", color=OKABE_ITO.vermillion, markersize=9, clip_on=False)
    ax.set(xlabel="step", ylabel="learning rate", xlim=(0, steps), ylim=(0, 1.08 * float(peak)))
    phase = "warming up" if step < warmup else "following the cosine"
    share = here / float(peak)
    title(ax, f"Step {step}, {phase}: a rate of {here:.2g}, {share:.0%} of the peak")
    return figure


def valley(
    degrees: Number = 0.0,
    sgd_rate: Number = 0.018,
    adamw_rate: Number = 0.25,
    steps: int = 40,
    steep: Number = 100.0,
) -> Figure:
    """Draw the paths of plain descent and AdamW down a valley, and their losses."""
    hessian = valley_of(float(steep), 1.0, float(degrees))
    start = _rotated_start(degrees)
    paths = {
        "plain descent": sgd_path(hessian, start, float(sgd_rate), steps),
        "AdamW": adamw_path(hessian, start, float(adamw_rate), steps, (0.9, 0.98)),
    }
    figure, (left, right) = new_figure(
        10.0, 3.8, cols=2, margins=Margins(top=0.65, across=0.9), width_ratios=(3, 2)
    )
    _contours(left, hessian)
    ends = {}
    for (name, path), colour in zip(paths.items(), (OKABE_ITO.orange, OKABE_ITO.blue), strict=True):
        left.plot(*path.T.tolist(), "o-", color=colour, markersize=3, linewidth=1.4, label=name)
        losses = height(path, hessian).clamp(1e-8, 1e8)
        right.plot(losses.tolist(), color=colour, linewidth=2)
        ends[name] = losses[-1].item()
    left.legend(frameon=True, fontsize=9, loc="lower right")
    right.set(yscale="log", xlabel="step", ylabel="loss", ylim=(1e-3, 1e3))
    right.set_yticks([1e-3, 1e-1, 10, 1e3], ["0.001", "0.1", "10", "1000"])
    right.minorticks_off()
    limit = 2 / float(steep)
    word = "below" if sgd_rate < limit else "above"
    title(left, f"A valley {steep:g} times as steep as flat, rotated by {degrees:.0f}°")
    better = min(ends, key=ends.__getitem__)
    title(
        right, f"Plain rate {word} 2/{steep:g} = {limit:.3g}; {better} ends lower ({steps} steps)"
    )
    return figure


def _rotated_start(degrees: Number) -> Float[Tensor, " 2"]:
    """Return the start at the same place of the valley for any rotation."""
    angle = math.radians(degrees)
    along = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    across = torch.tensor([-math.sin(angle), math.cos(angle)], dtype=torch.float64)
    return START[0] * along + START[1] * across


def _contours(ax: Axes, hessian: Float[Tensor, "2 2"]) -> None:
    """Draw lines of equal loss, at levels that grow as powers."""
    x = torch.linspace(-5, 5, 161, dtype=torch.float64)
    y = torch.linspace(-3, 3, 121, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (121, 161, 2)
    levels = [4.0 * 4.0**k for k in range(5)]
    lines = height(grid, hessian)
    ax.contour(x.tolist(), y.tolist(), lines.tolist(), levels, colors=FAINT, linewidths=0.6)
    ax.plot([0], [0], "x", color="black", markersize=9)
    ax.set(xlim=(-5, 5), ylim=(-3, 3), xlabel="weight 1", ylabel="weight 2")


def moves(beta1: float, beta2: float, steps: int, corrected: bool) -> Float[Tensor, " S"]:
    """Return how far AdamW moves at each step for a gradient of 1 and a rate of 1."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    m, v, found = zero, zero, []
    for step in range(1, steps + 1):
        moved, m, v = adamw_update(zero, one, m, v, step, 1.0, (beta1, beta2), weight_decay=0.0)
        found.append(-moved if corrected else m / v.sqrt())
    return torch.cat(found)


def bias_correction(beta1: Number = 0.9, beta2: Number = 0.999, steps: int = 60) -> Figure:
    """Draw the running means of a constant gradient of 1, and the steps that they give."""
    betas = float(beta1), float(beta2)
    time = list(range(1, steps + 1))
    plain, right_ones = (moves(*betas, steps, corrected) for corrected in (False, True))
    figure, (left, right) = new_figure(10.0, 3.5, cols=2, margins=Margins(top=0.65, across=0.9))
    for name, beta, colour in (
        (f"m, β₁ = {beta1:g}", betas[0], OKABE_ITO.blue),
        (f"v, β₂ = {beta2:g}", betas[1], OKABE_ITO.orange),
    ):
        left.plot(time, [1 - beta**step for step in time], color=colour, linewidth=2, label=name)
    left.axhline(1.0, color=FAINT, linestyle="--", linewidth=1.2)
    left.set(xlabel="step", ylabel="running mean of a constant 1", ylim=(0, 1.1))
    left.legend(frameon=False, fontsize=9)
    title(
        left, f"After the first step m is {1 - betas[0]:.2g} of the true mean, v {1 - betas[1]:.2g}"
    )
    right.plot(time, plain.tolist(), color=OKABE_ITO.vermillion, lw=2, label="uncorrected")
    right.plot(time, right_ones.tolist(), color=OKABE_ITO.green, lw=2, label="corrected")
    right.set(xlabel="step", ylabel="length of the step (learning rates)", ylim=(0, None))
    right.legend(frameon=False, fontsize=9)
    worst = int((plain - 1).abs().argmax())
    title(
        right,
        f"Uncorrected, step {worst + 1} is {plain[worst]:.2g} times as long as it should be",
    )
    return figure


def clipping(first: Number = 4.0, second: Number = 1.0, limit: Number = 1.0) -> Figure:
    """Draw a gradient of two tensors with one number each: as it is, and clipped in two ways."""
    whole = torch.tensor([float(first), float(second)], dtype=torch.float64)
    parts = list(whole.split(1))
    together = torch.cat(clipped(parts, float(limit)))
    apart = torch.cat([clipped([part], float(limit))[0] for part in parts])
    figure, ax = new_figure(9.0, 4.2, margins=Margins(top=0.65, right=3.0))
    style = {"facecolor": OKABE_ITO.yellow, "alpha": 0.3}
    ax.add_patch(Circle((0, 0), float(limit), **style, label="no longer than the limit"))
    for name, arrow, colour in (
        ("not clipped", whole, FAINT),
        ("each tensor separately", apart, OKABE_ITO.vermillion),
        ("by the norm of all", together, OKABE_ITO.blue),
    ):
        style = {"arrowstyle": "-|>", "color": colour, "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
        ax.annotate("", tuple(arrow.tolist()), (0, 0), arrowprops=style)
        ax.plot([], [], color=colour, linewidth=2.2, label=f"{name}: {arrow.norm():.2f} long")
    low = -float(limit) - 0.2
    ax.set(xlim=(low, 5.2), ylim=(low, max(3.3, 0.1 - low)), aspect="equal")
    ax.set(xlabel="gradient of the first tensor", ylabel="gradient of the second")
    ax.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    rotation = math.degrees(abs(math.atan2(*apart.tolist()) - math.atan2(*whole.tolist())))
    kept = "Within the limit nothing changes" if whole.norm() <= limit else "One factor for all"
    title(ax, f"{kept}; separate clipping rotates the step by {rotation:.0f}°")
    return figure
