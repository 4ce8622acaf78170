"""The exercises on k-means and on the search in a few cells."""

import torch

from course_lib.chapters.retrieval import answers
from course_lib.chapters.retrieval.exercises import generators
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _gap(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def _means(points, centres, distance=_gap):
    groups = [[] for _ in centres]
    for point in points.tolist():
        gaps = [distance(point, centre) for centre in centres.tolist()]
        groups[gaps.index(min(gaps))].append(point)
    rows = [
        [sum(axis) / len(group) for axis in zip(*group, strict=True)] if group else centre
        for group, centre in zip(groups, centres.tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=centres.dtype)


def _nearest(points, centres):
    return torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)


def _by_one_hot(points, centres):
    chosen = torch.nn.functional.one_hot(_nearest(points, centres), len(centres)).to(points.dtype)
    counts = chosen.sum(0)[:, None]
    return torch.where(counts > 0, chosen.T @ points / counts.clamp(min=1), centres)


def _centre_by_centre(points, centres):
    nearest, moved = _nearest(points, centres), centres.clone()
    for c in range(len(centres)):
        if (nearest == c).any():
            moved[c] = points[nearest == c].mean(0)
    return moved


def _by_scatter(points, centres):
    index = _nearest(points, centres)[:, None].expand_as(points)
    return centres.scatter_reduce(0, index, points, "mean", include_self=False)


def _zeros(points, centres):
    counts = torch.bincount(_nearest(points, centres), minlength=len(centres))
    return torch.where((counts > 0)[:, None], _by_one_hot(points, centres), 0.0)


def _dropped(points, centres):
    nearest = _nearest(points, centres)
    return torch.stack([points[nearest == c].mean(0) for c in nearest.unique()])


def _medians(points, centres):
    nearest, moved = _nearest(points, centres), centres.clone()
    for c in nearest.unique():
        moved[c] = points[nearest == c].median(0).values
    return moved


def _by_dots(points, centres):
    return _reassigned(points, centres, (points @ centres.T).argmax(1))


def _farthest(points, centres):
    return _reassigned(points, centres, torch.cdist(points, centres).argmax(1))


def _reassigned(points, centres, nearest):
    moved = centres.clone()
    for c in nearest.unique():
        moved[c] = points[nearest == c].mean(0)
    return moved


def _online(points, centres):
    moved = centres.clone()
    for point in points:
        c = _nearest(point[None], moved)[0]
        moved[c] = (moved[c] + point) / 2
    return moved


def _with_itself(points, centres):
    nearest, moved = _nearest(points, centres), centres.clone()
    for c in nearest.unique():
        moved[c] = torch.cat((centres[c][None], points[nearest == c])).mean(0)
    return moved


LINE = [[0.0], [1.0], [5.0], [7.0]]

KMEANS = Exercise(
    id="retrieval.kmeans",
    title="A round of k-means",
    minutes=9,
    difficulty=2,
    statement=(
        "`points` is (N, D), `centres` (K, D). Assign each point to the centre that is nearest by "
        "Euclidean distance, and return the centres (K, D), each moved to the mean of its points. "
        "A centre without points stays where it is."
    ),
    solution=answers.kmeans_step,
    reference=_means,
    generator=generators.kmeans,
    probes=(
        Probe(
            "on a line",
            lambda: call(torch.tensor(LINE), torch.tensor([[0.2], [5.5]])),
            "Two points each: 0.5 and 6.",
        ),
        Probe(
            "a far centre",
            lambda: call(torch.tensor(LINE), torch.tensor([[3.5], [40.0]])),
            "No point is near 40: it stays, and the other centre gets all.",
        ),
        Probe(
            "long centres",
            lambda: call(
                torch.tensor([[1.0, 1.0], [0.5, 0.0]]), torch.tensor([[9.0, 9.0], [1.0, 0.5]])
            ),
            "The dot product with the first is larger; the second is nearer.",
        ),
        Probe(
            "uneven groups",
            lambda: call(torch.tensor([[0.0], [1.0], [5.0], [9.0]]), torch.tensor([[8.0], [2.0]])),
            "A mean is not a median, and the old centre is not part of it.",
        ),
        Probe(
            "one point",
            lambda: call(torch.tensor([[2.0, 3.0]]), torch.tensor([[0.0, 1.0]])),
            "It is the mean.",
        ),
    ),
    misconceptions=(
        Misconception(
            "an empty centre at 0",
            _zeros,
            "A centre without points jumped to 0. Let it stay where it is.",
        ),
        Misconception(
            "an empty centre lost",
            _dropped,
            "You return fewer centres than came in. One without points stays where it is.",
        ),
        Misconception(
            "nearest by dot product",
            _by_dots,
            "The largest dot product is not the smallest distance: a long centre wins too often.",
        ),
        Misconception("the farthest centre", _farthest, "Take the smallest distance: argmin."),
        Misconception("medians", _medians, "You moved to the median; k-means takes the mean."),
        Misconception(
            "the old centre in the mean",
            _with_itself,
            "The centre is not one of its points. Average the points alone.",
        ),
        Misconception(
            "moved between points",
            _online,
            "You move centres while points are still being assigned. Assign all, then move.",
        ),
    ),
    alternatives=(
        Alternative("one-hot rows", _by_one_hot),
        Alternative("centre by centre", _centre_by_centre),
        Alternative("scatter_reduce", _by_scatter),
    ),
    hints=(
        "torch.cdist(points, centres).argmin(1) is the nearest centre of each point.",
        "For each centre c with points: moved[c] = points[nearest == c].mean(0); begin with a "
        "copy.",
    ),
)


def _in_cells(query, vectors, cells, probed, k):
    members = [i for i in range(len(vectors)) if int(cells[i]) in probed]
    members.sort(key=lambda i: float(((vectors[i] - query) ** 2).sum()))
    return members[:k]


def _reference(query, vectors, cells, centres, nprobe, k):
    q, xs, cs = query.tolist(), vectors.tolist(), centres.tolist()
    order = sorted(range(len(cs)), key=lambda c: _gap(cs[c], q))
    members = [i for i, c in enumerate(cells.tolist()) if c in order[:nprobe]]
    return sorted(members, key=lambda i: _gap(xs[i], q))[:k]


def _cells_by_topk(query, vectors, cells, centres, nprobe, k):
    probed = torch.cdist(query[None], centres)[0].topk(nprobe, largest=False).indices.tolist()
    return _in_cells(query, vectors, cells, probed, k)


def _by_inf(query, vectors, cells, centres, nprobe, k):
    probed = (centres - query).norm(dim=1).argsort()[:nprobe]
    inside = (cells[:, None] == probed).any(1)
    gaps = (vectors - query).norm(dim=1).masked_fill(~inside, torch.inf)
    return gaps.argsort()[: min(k, int(inside.sum()))].tolist()


def _list_by_list(query, vectors, cells, centres, nprobe, k):
    found = []
    for c in (centres - query).norm(dim=1).argsort()[:nprobe].tolist():
        for i in (cells == c).nonzero().flatten().tolist():
            found.append(((vectors[i] - query).norm().item(), i))
    return [i for _, i in sorted(found)[:k]]


def _per_cell(query, vectors, cells, centres, nprobe, k):
    found = []
    for c in (centres - query).norm(dim=1).argsort()[:nprobe].tolist():
        found += _in_cells(query, vectors, cells, [c], k)
    return found[:k]


def _places(query, vectors, cells, centres, nprobe, k):
    probed = (centres - query).norm(dim=1).argsort()[:nprobe]
    inside = torch.isin(cells, probed).nonzero().flatten()
    return (vectors[inside] - query).norm(dim=1).argsort()[:k].tolist()


def _farthest_cells(query, vectors, cells, centres, nprobe, k):
    probed = (centres - query).norm(dim=1).argsort(descending=True)[:nprobe].tolist()
    return _in_cells(query, vectors, cells, probed, k)


def _reversed(query, vectors, cells, centres, nprobe, k):
    return _reference(query, vectors, cells, centres, nprobe, k)[::-1]


FOUR = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0], [4.5, 5.0]])
POINTS = torch.tensor([[0.5, 0.1], [1.9, 0.0], [2.4, 0.0], [3.9, 0.3], [0.3, 4.0], [4.0, 5.2]])
CELLS = torch.tensor([0, 0, 1, 1, 2, 3])


def _ivf_probe(query, nprobe, k):
    return lambda: call(torch.tensor(query), POINTS, CELLS, FOUR, nprobe, k)


IVF = Exercise(
    id="retrieval.ivf",
    title="Search in a few cells",
    minutes=9,
    difficulty=2,
    statement=(
        "Vector i of `vectors` (N, D) is in cell cells[i]; the cells have `centres` (K, D). Return "
        "the k vectors that are nearest to `query` (D) among those of the `nprobe` cells whose "
        "centres are nearest to it: a list of their numbers, nearest first, shorter if there are "
        "fewer. Distances are Euclidean; there are no ties."
    ),
    solution=answers.ivf_search,
    reference=_reference,
    generator=generators.ivf,
    probes=(
        Probe("one cell", _ivf_probe([0.6, 0.0], 1, 1), "The nearest vector of the nearest cell."),
        Probe("across a border", _ivf_probe([1.99, 0.0], 1, 2), "Vector 2 is near, but elsewhere."),
        Probe("two cells", _ivf_probe([1.99, 0.0], 2, 2), "Now it is found."),
        Probe("all cells", _ivf_probe([2.2, 2.4], 4, 6), "nprobe = K is exact search."),
        Probe("too few", _ivf_probe([0.0, 5.0], 1, 3), "The cell has one vector."),
        Probe("later numbers", _ivf_probe([4.6, 5.1], 2, 2), "Numbers of vectors, not places."),
        Probe(
            "a hair apart",
            lambda: call(
                torch.tensor([1.0004]),
                torch.tensor([[1.0], [1.0007]]),
                torch.tensor([0, 0]),
                torch.tensor([[1.0]]),
                1,
                2,
            ),
            "0.0003 is less than 0.0004; half precision cannot tell.",
        ),
    ),
    misconceptions=(
        Misconception(
            "all vectors",
            lambda query, vectors, cells, centres, nprobe, k: (
                (vectors - query).norm(dim=1).argsort()[:k].tolist()
            ),
            "You compare with every vector. Only those of the probed cells are looked at.",
        ),
        Misconception(
            "one cell only",
            lambda query, vectors, cells, centres, nprobe, k: _reference(
                query, vectors, cells, centres, 1, k
            ),
            "`nprobe` is not used: you look into the nearest cell only.",
        ),
        Misconception(
            "cell after cell",
            _per_cell,
            "The results of the cells must be sorted together: a second cell may hold the nearest.",
        ),
        Misconception(
            "places for numbers",
            _places,
            "argsort counts within the probed vectors. Look up their numbers: inside[order].",
        ),
        Misconception(
            "the farthest cells", _farthest_cells, "Take the cells with the smallest distances."
        ),
        Misconception("farthest first", _reversed, "The nearest comes first."),
        Misconception(
            "the largest dot products",
            lambda query, vectors, cells, centres, nprobe, k: _in_cells(
                query,
                vectors,
                cells,
                (centres @ query).argsort(descending=True)[:nprobe].tolist(),
                k,
            ),
            "You choose cells by dot product. Distances were asked for, and lengths differ.",
        ),
    ),
    alternatives=(
        Alternative("topk of cells", _cells_by_topk),
        Alternative("inf elsewhere", _by_inf),
        Alternative("list by list", _list_by_list),
    ),
    hints=(
        "probed = (centres - query).norm(dim=1).argsort()[:nprobe].",
        "inside = torch.isin(cells, probed).nonzero().flatten() are the numbers to look at.",
        "Sort their distances and return inside[order[:k]].tolist().",
    ),
)
