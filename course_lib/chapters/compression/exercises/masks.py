"""The exercises on pruning: Wanda's mask, and two of every four."""

import torch

from course_lib import compression
from course_lib.chapters.compression import answers
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _lowest_first(weight, x, sparsity):
    norms = [sum(each**2 for each in column) ** 0.5 for column in x.T.tolist()]
    count = int(sparsity * weight.shape[1])
    kept = []
    for row in weight.tolist():
        scores = [abs(w) * n for w, n in zip(row, norms, strict=True)]
        gone = set(sorted(range(len(row)), key=lambda j: scores[j])[:count])
        kept.append([j not in gone for j in range(len(row))])
    return torch.tensor(kept)


def _keep(scores, sparsity, highest=True):
    """Return True for all but the lowest of each row, or for the lowest."""
    count = int(sparsity * scores.shape[1])
    order = scores.argsort(dim=1, stable=True)
    gone = order[:, :count] if highest else order[:, scores.shape[1] - count :]
    return torch.ones_like(scores, dtype=torch.bool).scatter(1, gone, False)


def _as_hinted(weight, x, sparsity):
    scores = weight.abs() * x.norm(dim=0)
    count = int(sparsity * weight.shape[1])
    lowest = scores.argsort(dim=1, stable=True)[:, :count]
    mask = torch.ones_like(weight, dtype=torch.bool)
    return mask.scatter(1, lowest, False)


def _by_squares(weight, x, sparsity):
    return _keep(weight**2 * (x**2).sum(0), sparsity)


def _by_ranks(weight, x, sparsity):
    scores = weight.abs() * torch.linalg.vector_norm(x, dim=0)
    ranks = scores.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks >= int(sparsity * weight.shape[1])


def _whole(weight, x, sparsity):
    scores = weight.abs() * x.norm(dim=0)
    return _keep(scores.reshape(1, -1), sparsity).view(weight.shape)


def _columns(weight, x, sparsity):
    return _keep((weight.abs() * x.norm(dim=0)).T, sparsity).T


INPUTS = torch.tensor([[3.0, 0.1, 1.0, 0.5, 2.0], [4.0, 0.1, 1.0, 0.5, 0.0]])
MATRIX = torch.tensor([[0.1, 9.0, -0.8, 0.9, 0.3], [-0.5, 1.0, 0.2, -4.0, 0.7]])

WANDA = Exercise(
    id="compression.wanda",
    title="Wanda's mask",
    minutes=9,
    difficulty=2,
    statement=(
        "The score of weight (o, j) of `weight` (O, I) is |w_oj| times the length of feature j in "
        "the inputs `x` (N, I): the root of its sum of squares over the N tokens. In each row the "
        "int(sparsity · I) lowest scores go; `sparsity` is from 0 to below 1. Of equal scores, the "
        "one further left goes first. Return a tensor of booleans (O, I), True for what stays."
    ),
    solution=answers.wanda_from_inputs,
    reference=_lowest_first,
    generator=generators.wanda,
    probes=(
        Probe(
            "small weight, large input",
            lambda: call(torch.tensor([[0.1, 1.0]]), torch.tensor([[3.0, 0.1], [4.0, 0.1]]), 0.5),
            "0.1 · 5 is more than 1 · 0.14: the smaller weight stays.",
        ),
        Probe(
            "negative weights",
            lambda: call(torch.tensor([[-5.0, 1.0, 2.0, -3.0]]), torch.ones(2, 4), 0.5),
            "The magnitude counts: −5 and −3 stay.",
        ),
        Probe(
            "two rows of five", lambda: call(MATRIX, INPUTS, 0.5), "int(2.5) = 2 go in each row."
        ),
        Probe(
            "rows of different size",
            lambda: call(torch.tensor([[0.1, 0.2], [7.0, 9.0]]), torch.ones(1, 2), 0.5),
            "Each row loses one, although the second is larger throughout.",
        ),
        Probe(
            "tokens of different size",
            lambda: call(
                torch.tensor([[1.0, 1.0]]), torch.tensor([[3.0, 0.0], [3.0, 5.0], [3.0, 0.0]]), 0.5
            ),
            "√27 is more than 5: neither the largest input nor its sum decides.",
        ),
        Probe(
            "equal scores",
            lambda: call(torch.ones(1, 4), torch.ones(1, 4), 0.5),
            "Of equal scores those further left go: sort with stable=True.",
        ),
        Probe("nothing goes", lambda: call(uneven(2, 3), uneven(4, 3), 0.0), "All stay."),
        Probe("many", lambda: call(uneven(3, 8), uneven(5, 8), 0.75), "Six of eight go."),
    ),
    misconceptions=(
        Misconception(
            "magnitude alone",
            lambda weight, x, sparsity: _keep(weight.abs(), sparsity),
            "You ignore the inputs. A small weight on a large input matters more.",
        ),
        Misconception(
            "inputs alone",
            lambda weight, x, sparsity: _keep(x.norm(dim=0).expand_as(weight), sparsity),
            "You ignore the weights: every row loses the same columns.",
        ),
        Misconception(
            "the lowest stay",
            lambda weight, x, sparsity: ~_keep(weight.abs() * x.norm(dim=0), sparsity),
            "True means that a weight stays. You return what goes.",
        ),
        Misconception(
            "compared with all weights",
            _whole,
            "You compare the weights of all rows. Each output loses the same number.",
        ),
        Misconception(
            "compared within columns",
            _columns,
            "You compare the weights of one input. Compare those of one output: a row.",
        ),
        Misconception(
            "the largest input",
            lambda weight, x, sparsity: _keep(weight.abs() * x.abs().amax(0), sparsity),
            "You take the largest input of each feature. Take the root of the sum of squares.",
        ),
        Misconception(
            "the squared length",
            lambda weight, x, sparsity: _keep(weight.abs() * (x**2).sum(0), sparsity),
            "You forgot the root: inputs count too much compared with weights.",
        ),
        Misconception(
            "signs kept",
            lambda weight, x, sparsity: _keep(weight * x.norm(dim=0), sparsity),
            "Negative weights have low scores then. Take weight.abs().",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by squares", _by_squares),
        Alternative("by ranks", _by_ranks),
    ),
    hints=(
        "scores = weight.abs() * x.norm(dim=0).",
        "scores.argsort(dim=1, stable=True) lists the columns of each row, lowest score first.",
        "Start from a mask of True and scatter False to the first int(sparsity * I) of them.",
    ),
)


def _four_by_four(scores):
    rows = []
    for row in scores.tolist():
        kept = []
        for start in range(0, len(row), 4):
            four = row[start : start + 4]
            best = sorted(range(4), key=lambda k, four=four: -four[k])[:2]
            kept += [k in best for k in range(4)]
        rows.append(kept)
    return torch.tensor(rows)


def _best_two(fours):
    best = fours.argsort(dim=-1, descending=True, stable=True)[..., :2]
    return torch.zeros_like(fours, dtype=torch.bool).scatter(-1, best, True)


def _two_as_hinted(scores):
    fours = scores.unflatten(1, (-1, 4))
    best = fours.argsort(dim=-1, descending=True, stable=True)[..., :2]
    mask = torch.zeros_like(fours, dtype=torch.bool).scatter(-1, best, True)
    return mask.flatten(1)


def _by_places(scores):
    fours = scores.reshape(-1, 4)
    ranks = (-fours).argsort(dim=-1, stable=True).argsort(dim=-1)
    return (ranks < 2).view(scores.shape)


def _by_counting(scores):
    fours = scores.unflatten(1, (-1, 4))
    mine, others = fours.unsqueeze(-1), fours.unsqueeze(-2)  # (..., 4, 1) and (..., 1, 4)
    earlier = torch.ones_like(mine * others, dtype=torch.bool).tril(-1)
    better = (others > mine) | ((others == mine) & earlier)
    return (better.sum(-1) < 2).flatten(1)


def _threshold(scores):
    fours = scores.unflatten(1, (-1, 4))
    second = fours.sort(dim=-1, descending=True).values[..., 1:2]
    return (fours >= second).flatten(1)


def _half_of_row(scores):
    best = scores.argsort(dim=1, descending=True, stable=True)[:, : scores.shape[1] // 2]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, best, True)


def _distant(scores):
    return _best_two(scores.unflatten(1, (4, -1)).transpose(1, 2)).transpose(1, 2).flatten(1)


def _best_of_pairs(scores):
    pairs = scores.unflatten(1, (-1, 2))
    first = pairs[..., :1] >= pairs[..., 1:]
    return torch.cat((first, ~first), dim=-1).flatten(1)


def _rightmost(scores):
    return _best_two(scores.flip(1).unflatten(1, (-1, 4))).flatten(1).flip(1)


TWO_FOUR = Exercise(
    id="compression.two_four",
    title="Two of every four",
    minutes=7,
    difficulty=2,
    statement=(
        "Return a tensor of booleans in the shape of `scores` (O, I): True for the two highest "
        "scores in every four neighbours of a row. 4 divides I, and the fours begin at column 0. "
        "Scores may be negative. Of equal scores, the one further left stays."
    ),
    solution=compression.two_four_mask,
    reference=_four_by_four,
    generator=generators.two_four,
    probes=(
        Probe(
            "one four", lambda: call(torch.tensor([[3.0, 1.0, 2.0, 4.0]])), "3 and 4 are highest."
        ),
        Probe(
            "both in one half",
            lambda: call(torch.tensor([[3.0, 4.0, 1.0, 2.0]])),
            "The two that stay may be neighbours.",
        ),
        Probe(
            "two fours",
            lambda: call(torch.tensor([[1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0]])),
            "Each four keeps two, however low its scores are.",
        ),
        Probe(
            "negative scores",
            lambda: call(torch.tensor([[-9.0, -1.0, -2.0, -3.0]])),
            "Scores are compared as they are: −1 and −2 stay.",
        ),
        Probe(
            "equal scores",
            lambda: call(torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 2.0, 2.0]])),
            "Exactly two stay, those further left.",
        ),
        Probe(
            "nearly equal scores",
            lambda: call(torch.tensor([[1.0, 1.0001, 1.0002, 1.0003]])),
            "A small difference decides, too.",
        ),
        Probe("three rows of three fours", lambda: call(uneven(3, 12)), "Row by row."),
    ),
    misconceptions=(
        Misconception(
            "half of the row",
            _half_of_row,
            "You keep the best half of each row. Hardware needs two in every four.",
        ),
        Misconception(
            "the lowest stay",
            lambda scores: ~_best_two(scores.unflatten(1, (-1, 4))).flatten(1),
            "You keep the two lowest. True stands for the highest.",
        ),
        Misconception(
            "a threshold",
            _threshold,
            "With equal scores you keep three or four. It must be two, always.",
        ),
        Misconception(
            "distant weights",
            _distant,
            "Your fours are a quarter of a row apart. They are neighbours.",
        ),
        Misconception(
            "one of every two",
            _best_of_pairs,
            "You keep the better one of each pair. Both of a pair may be among the best of four.",
        ),
        Misconception(
            "magnitudes of scores",
            lambda scores: _best_two(scores.abs().unflatten(1, (-1, 4))).flatten(1),
            "Scores have been computed already; a negative one is a low one.",
        ),
        Misconception(
            "the right one of equals",
            _rightmost,
            "Of equal scores the one further left stays. topk and a plain argsort may return "
            "equals in any order: sort with stable=True.",
        ),
        Misconception(
            "one for one",
            lambda scores: (
                scores.unflatten(1, (-1, 4)) == scores.unflatten(1, (-1, 4)).amax(-1, keepdim=True)
            ).flatten(1),
            "You keep the best of each four only. Two stay.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _two_as_hinted),
        Alternative("by ranks", _by_places),
        Alternative("by counting better ones", _by_counting),
    ),
    hints=(
        "scores.unflatten(1, (-1, 4)) has shape (O, I / 4, 4).",
        "argsort(dim=-1, descending=True, stable=True)[..., :2] are the places of the best two.",
        "Scatter True into a mask of False, then .flatten(1).",
    ),
)
