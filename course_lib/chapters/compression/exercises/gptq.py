"""The exercise on GPTQ's column step."""

import torch

from course_lib.chapters.compression import answers
from course_lib.chapters.compression.exercises import generators
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Exercise, Misconception, Probe, call


def _by_normal_equations(weight, rounded, gram):
    # d/dR |X₀ (w₀ − q) + X₁ (W₁ − R)ᵀ|² = 0   =>   G₁₁ (R − W₁)ᵀ = G₁₀ (w₀ − q)
    gap = (weight[:, 0] - rounded).double()
    wide = gram.double()
    change = torch.linalg.solve(wide[1:, 1:], wide[1:, :1] * gap)
    return (weight[:, 1:] + change.T).to(weight.dtype)


def _step(weight, rounded, row, divisor, sign=-1):
    gap = weight[:, 0] - rounded
    return weight[:, 1:] + sign * gap[:, None] * row[1:] / divisor


def _as_hinted(weight, rounded, gram):
    inverse = torch.linalg.inv(gram)
    error = (weight[:, 0] - rounded) / inverse[0, 0]
    return weight[:, 1:] - error[:, None] * inverse[0, 1:]


def _by_solve(weight, rounded, gram):
    first = torch.zeros_like(gram[:, 0])
    first[0] = 1
    return _step(weight, rounded, *_row_of(torch.linalg.solve(gram, first)))


def _row_of(row):
    return row, row[0]


def _by_factor(weight, rounded, gram):
    upper = torch.linalg.cholesky(torch.linalg.inv(gram)).mT
    error = (weight[:, 0] - rounded) / upper[0, 0]
    return weight[:, 1:] - torch.outer(error, upper[0, 1:])


def _inverse_first(weight, rounded, gram, sign=-1):
    inverse = torch.linalg.inv(gram)
    return _step(weight, rounded, inverse[0], inverse[0, 0], sign)


def _undivided(weight, rounded, gram):
    return _step(weight, rounded, torch.linalg.inv(gram)[0], 1.0)


def _whole_matrix(weight, rounded, gram):
    return torch.cat((rounded[:, None], _inverse_first(weight, rounded, gram)), dim=1)


def _pairs_alone(weight, rounded, gram):
    gap = weight[:, 0] - rounded
    return weight[:, 1:] + gap[:, None] * (gram[0, 1:] / gram.diagonal()[1:])


GRAM = torch.tensor([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])


def _gram(size):
    x = uneven(3 * size, size) + torch.eye(size).repeat(3, 1)
    return (x.T @ x).double()


GPTQ_STEP = Exercise(
    id="compression.gptq_step",
    title="GPTQ's column step",
    minutes=14,
    difficulty=3,
    statement=(
        "Column 0 of `weight` (O, I) has been replaced by `rounded` (O). `gram` (I, I) is XᵀX for "
        "the layer's inputs X, positive definite. Return the other columns (O, I − 1), changed so "
        "that the outputs X Wᵀ change as little as possible in the sum of squares. With H = gram⁻¹ "
        "that is W[:, j] − (W[:, 0] − rounded) / H[0, 0] · H[0, j]."
    ),
    solution=answers.column_step,
    reference=_by_normal_equations,
    generator=generators.gptq_step,
    probes=(
        Probe(
            "two inputs that are equal",
            lambda: call(
                torch.tensor([[0.4, 1.0]]),
                torch.tensor([0.0]),
                torch.tensor([[2.0, 1.9], [1.9, 2.0]]),
            ),
            "The second weight takes over most of what the first one lost.",
        ),
        Probe(
            "inputs that have nothing in common",
            lambda: call(
                torch.tensor([[0.4, 1.0]]),
                torch.tensor([0.0]),
                torch.tensor([[2.0, 0.0], [0.0, 3.0]]),
            ),
            "Nothing can be made good: the column stays 1.",
        ),
        Probe(
            "three columns",
            lambda: call(torch.tensor([[0.5, 1.0, 2.0]]), torch.tensor([1.0]), GRAM),
            "The third column changes too, although its input and the first have no product.",
        ),
        Probe(
            "nothing lost",
            lambda: call(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([1.0]), GRAM),
            "Where rounding changed nothing, nothing is corrected.",
        ),
        Probe(
            "several rows",
            lambda: call(uneven(4, 3).double(), uneven(4, 3).double()[:, 0].round(), _gram(3)),
            "Each row has its own error, and all share the inputs.",
        ),
        Probe(
            "five columns",
            lambda: call(uneven(2, 5).double(), uneven(2, 5).double()[:, 0].round(), _gram(5)),
            "More columns than rows.",
        ),
    ),
    misconceptions=(
        Misconception(
            "the wrong direction",
            lambda weight, rounded, gram: _inverse_first(weight, rounded, gram, sign=1),
            "You double the error. Subtract (w − q) / H[0, 0] · H[0, j].",
        ),
        Misconception(
            "not corrected",
            lambda weight, rounded, gram: weight[:, 1:].clone(),
            "You leave the columns as they are: that is plain rounding.",
        ),
        Misconception(
            "gram not inverted",
            lambda weight, rounded, gram: _step(weight, rounded, gram[0], gram[0, 0]),
            "You use gram itself. H is its inverse.",
        ),
        Misconception(
            "not divided by H[0, 0]",
            _undivided,
            "Divide the error by H[0, 0]: it says how costly the change of column 0 alone is.",
        ),
        Misconception(
            "each pair alone",
            _pairs_alone,
            "You correct each column as if it were the only one, so the error is made good several "
            "times over. The inverse takes care of all together.",
        ),
        Misconception(
            "column 0 returned too",
            _whole_matrix,
            "Return the columns after the first one only, (O, I − 1).",
        ),
        Misconception(
            "the error times two",
            lambda weight, rounded, gram: 2 * _inverse_first(weight, rounded, gram) - weight[:, 1:],
            "The factor 2 of the derivative cancels: correct by the error once.",
        ),
    ),
    alternatives=(
        Alternative("as the hints say", _as_hinted),
        Alternative("by solving for a row of the inverse", _by_solve),
        Alternative("by a Cholesky factor", _by_factor),
    ),
    hints=(
        "H = torch.linalg.inv(gram); only its first row is needed.",
        "error = (weight[:, 0] - rounded) / H[0, 0] has a number for each row.",
        "weight[:, 1:] - error[:, None] * H[0, 1:].",
    ),
)
