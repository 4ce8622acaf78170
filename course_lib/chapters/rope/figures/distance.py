"""What decays with distance under RoPE and what does not: measured on random queries and keys.

Taught in:        rope
Checked against:  the exact mean for q = k, the sum of the planes' cosines
Shapes:           N pairs, S distances, D head width
"""

import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.device import seeded
from course_lib.rope import rope_angles, rotate_halves
from course_lib.study.display.labels import written
from course_lib.study.display.plotting import FAINT, OKABE_ITO, Margins, Number, new_figure, title

PAIRS = 400


def scores_at(
    q: Float[Tensor, "N D"], k: Float[Tensor, "N D"], distances: Int[Tensor, " S"], base: float
) -> Float[Tensor, "N S"]:
    """Return the score of each pair at each distance, divided by sqrt(D)."""
    angles = rope_angles(distances, q.shape[1], base)
    queries = rotate_halves(q[:, None].expand(-1, len(distances), -1), angles.cos(), angles.sin())
    return (queries * k[:, None]).sum(-1) / q.shape[1] ** 0.5


def expected_for_equal(
    head_dim: int, distances: Int[Tensor, " S"], base: float
) -> Float[Tensor, " S"]:
    """Return the mean score of q = k with variance 1: each plane adds 2 cos(angle)."""
    return 2 * rope_angles(distances, head_dim, base).cos().sum(-1) / head_dim**0.5


def decay(head_dim: int, base: Number, longest: int = 512, seed: int = 0) -> Figure:
    """Draw the scores of independent pairs and of equal ones against their distance."""
    distances = torch.linspace(0, longest, 65).round().long()
    q = torch.randn(PAIRS, head_dim, generator=seeded(seed))
    k = torch.randn(PAIRS, head_dim, generator=seeded(seed + 1))
    figure, axes = new_figure(10, 3.8, cols=2, margins=Margins(top=0.75, across=0.8))
    apart = scores_at(q, k, distances, float(base))
    alike = scores_at(q, q, distances, float(base))
    for ax, scores, ink in zip(
        axes, (apart, alike), (OKABE_ITO.blue, OKABE_ITO.orange), strict=True
    ):
        mean, spread = scores.mean(0), scores.std(0)
        x = distances.tolist()
        low, high = (mean - spread).tolist(), (mean + spread).tolist()
        ax.fill_between(x, low, high, color=ink, alpha=0.25, linewidth=0)
        ax.plot(x, mean.tolist(), color=ink, linewidth=2)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(
            xlabel="distance",
            ylabel="score / √D",
            ylim=(-0.4 * head_dim**0.5, 1.25 * head_dim**0.5),
        )
    exact = expected_for_equal(head_dim, distances, float(base))
    axes[1].plot(distances.tolist(), exact.tolist(), color=FAINT, linestyle="--", linewidth=1.2)
    worst = apart.mean(0).abs().max().item()
    title(axes[0], f"Independent q and k: the mean stays within {worst:.2f} of 0 at every distance")
    start, end = alike.mean(0)[0].item(), alike.mean(0)[-1].item()
    fall = f"{written(start, '.1f')} to {written(end, '.1f')}"
    title(axes[1], f"q = k: the mean falls from {fall}, as the sum of cosines predicts (dashed)")
    return figure
