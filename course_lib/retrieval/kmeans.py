"""k-means: k centres, each the mean of the points that are nearest to it.

    assign each point to its nearest centre; move each centre to the mean of its points; repeat

The sum of squared distances falls with every round, but only to a local minimum: the result depends
on where the centres start. A centre without points is put where the points are worst served.

Taught in:        retrieval
Paper:            Lloyd 1982, doi:10.1109/TIT.1982.1056489
Checked against:  sklearn.cluster.KMeans from the same start; faiss.Kmeans
Shapes:           N points, K centres, D width
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.device import seeded
from course_lib.retrieval.exact import similarity

POINTS_PER_CENTRE = 256  # more than these change little, as faiss has it
BLOCK = 8192


def nearest_centres(
    points: Float[Tensor, "N D"], centres: Float[Tensor, "K D"]
) -> Int[Tensor, " N"]:
    """Return for each point the number of its nearest centre."""
    blocks = [similarity(part, centres, "l2").argmax(dim=1) for part in points.split(BLOCK)]
    return torch.cat(blocks)


def moved_centres(
    points: Float[Tensor, "N D"], centres: Float[Tensor, "K D"], nearest: Int[Tensor, " N"]
) -> tuple[Float[Tensor, "K D"], Bool[Tensor, " K"]]:
    """Return the means of the points of each centre, and which centres have none."""
    sums = torch.zeros_like(centres).index_add_(0, nearest, points)
    counts = torch.zeros_like(centres[:, 0]).index_add_(0, nearest, torch.ones_like(points[:, 0]))
    means = sums / counts.clamp(min=1)[:, None]
    return torch.where(counts[:, None] > 0, means, centres), counts == 0


def kmeans(
    points: Float[Tensor, "N D"], count: int, rounds: int = 10, seed: int = 0
) -> Float[Tensor, "K D"]:
    """Return `count` centres, learned from at most 256 points for each."""
    if not 1 <= count <= len(points):
        raise ValueError(
            f"k-means needs between 1 centre and one for each of the {len(points)} points; "
            f"got {count}. Add more vectors, or ask for fewer centres."
        )
    order = torch.randperm(len(points), generator=seeded(seed)).to(points.device)
    sample = points[order[: POINTS_PER_CENTRE * count]]
    centres = sample[:count].clone()
    for _ in range(rounds):
        nearest = nearest_centres(sample, centres)
        moved, empty = moved_centres(sample, centres, nearest)
        if missing := int(empty.sum()):
            far = ((sample - centres[nearest]) ** 2).sum(dim=1).topk(missing).indices
            moved[empty] = sample[far]
        centres = moved
    return centres
