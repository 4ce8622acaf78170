"""The exercises on LoRA: its forward pass, merging, and what it trains."""

import random

import torch

from course_lib import fine_tuning
from course_lib.chapters.fine_tuning.exercises.no_product import no_product
from course_lib.study.check.generated import random_tensor
from course_lib.study.check.probe_inputs import uneven
from course_lib.study.check.spec import Alternative, Call, Exercise, Misconception, Probe, call


def _output_by_sums(x, weight, a, b, alpha):
    """Return the output from the definition, one change after another, in float64."""
    total = torch.einsum("...i,oi->...o", x.double(), weight.double())
    for rank in range(len(a)):
        inner = torch.einsum("...i,i->...", x.double(), a[rank].double())
        total = total + alpha / len(a) * inner[..., None] * b[:, rank].double()
    return total


def _weight_by_sums(weight, a, b, alpha):
    total = weight.double().clone()
    for rank in range(len(a)):
        total = total + alpha / len(a) * b[:, rank, None].double() * a[rank].double()
    return total


def _alpha_alone(x, weight, a, b, alpha):
    return x @ weight.T + alpha * (x @ a.T @ b.T)


def _row_by_row(x, weight, a, b, alpha):
    rows = [weight @ row + alpha / len(a) * (b @ (a @ row)) for row in x.reshape(-1, x.shape[-1])]
    return torch.stack(rows).reshape(*x.shape[:-1], len(weight))


def _any_layer(rng: random.Random) -> Call:
    """A layer with inputs of one to three axes."""
    inputs, outputs, rank = rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 4)
    lead = [rng.randint(1, 3) for _ in range(rng.randint(0, 2))]
    x = random_tensor(rng, *lead, inputs)
    return call(x, *_factors(rng, inputs, outputs, rank))


def _factors(rng, inputs, outputs, rank):
    return (
        random_tensor(rng, outputs, inputs),
        random_tensor(rng, rank, inputs),
        random_tensor(rng, outputs, rank),
        rng.choice((1.0, 2.0, 8.0, 16.0)),
    )


def _any_weight(rng: random.Random) -> Call:
    inputs = rng.randint(1, 5)
    outputs = inputs if rng.random() < 0.5 else rng.randint(1, 5)
    return call(*_factors(rng, inputs, outputs, rng.randint(1, 4)))


def _layer(*lead, inputs=3, outputs=4, rank=2, alpha=4.0):
    a, b = uneven(rank + 1, inputs)[1:], uneven(outputs, rank + 1)[:, :-1] / 2
    return call(uneven(*lead, inputs), uneven(outputs, inputs), a, b, alpha)


def _without_x(given):
    return call(*given.args[1:])


LORA = Exercise(
    id="fine_tuning.lora",
    title="The forward pass of LoRA",
    minutes=8,
    difficulty=2,
    statement=(
        "`x` (..., in) goes through a frozen `weight` (out, in) with a change of rank r beside it: "
        "`a` (r, in), `b` (out, r). Return x Wᵀ + (α / r) · x Aᵀ Bᵀ, of shape (..., out), without "
        "forming the product of `b` and `a`. r is the first size of `a`. The gradient is checked "
        "too, except that of the frozen weight."
    ),
    solution=fine_tuning.lora_forward,
    watch=no_product,
    reference=_output_by_sums,
    generator=_any_layer,
    tolerance=4.0,
    probes=(
        Probe(
            "rank 1, α = 1",
            lambda: _layer(2, rank=1, alpha=1.0),
            "With α = r = 1 the change counts as it is.",
        ),
        Probe(
            "rank 2, α = 8",
            lambda: _layer(2, alpha=8.0),
            "The change is multiplied by α / r = 4.",
            tolerance=4.0,
            gradient=True,
            constants=(1,),
        ),
        Probe(
            "b at zero",
            lambda: call(uneven(3, 3), uneven(4, 3), uneven(2, 3), torch.zeros(4, 2), 16.0),
            "At the start of training B is zero, and the layer is the frozen one.",
        ),
        Probe(
            "a batch of sequences",
            lambda: _layer(2, 5, inputs=4, outputs=4, rank=3, alpha=6.0),
            "Any number of leading axes; a square weight.",
            tolerance=4.0,
        ),
    ),
    misconceptions=(
        Misconception(
            "α not divided by r",
            _alpha_alone,
            "The factor is α / r. Without the division, a higher rank makes larger steps, and a "
            "learning rate found for one rank does not fit another.",
        ),
        Misconception(
            "no factor at all",
            lambda x, weight, a, b, alpha: x @ weight.T + x @ a.T @ b.T,
            "The change is multiplied by α / r.",
        ),
        Misconception(
            "α / √r",
            lambda x, weight, a, b, alpha: x @ weight.T + alpha / len(a) ** 0.5 * (x @ a.T @ b.T),
            "That is rank-stabilised LoRA, a good idea for large ranks. Here the factor is α / r.",
        ),
        Misconception(
            "the frozen weight left out",
            lambda x, weight, a, b, alpha: alpha / len(a) * (x @ a.T @ b.T),
            "LoRA learns a *change*: add it to the output of the frozen weight.",
        ),
        Misconception(
            "everything multiplied",
            lambda x, weight, a, b, alpha: alpha / len(a) * (x @ weight.T + x @ a.T @ b.T),
            "Only the change is multiplied, not the frozen weight's output.",
        ),
        Misconception(
            "the product of the factors formed",
            lambda x, weight, a, b, alpha: x @ (weight + alpha / len(a) * (b @ a)).T,
            "`b @ a` is as large as the weight: that is merging, the next exercise, and far more "
            "work for every batch. Multiply x by `a.T` and the result by `b.T`.",
        ),
        Misconception(
            "no gradient",
            lambda x, weight, a, b, alpha: (
                x @ weight.T + alpha / len(a) * (x @ a.detach().T @ b.detach().T)
            ),
            "The factors are what is trained: do not detach them.",
        ),
        Misconception(
            "divided by the wrong size",
            lambda x, weight, a, b, alpha: x @ weight.T + alpha / a.shape[1] * (x @ a.T @ b.T),
            "The rank is the first size of `a`, and the last one of `b`.",
        ),
    ),
    alternatives=(
        Alternative(
            "two linear layers",
            lambda x, weight, a, b, alpha: (
                torch.nn.functional.linear(x, weight)
                + torch.nn.functional.linear(torch.nn.functional.linear(x, a), b) * alpha / len(a)
            ),
        ),
        Alternative("row by row", _row_by_row),
        Alternative(
            "the weight detached",
            lambda x, weight, a, b, alpha: x @ weight.detach().T + alpha / len(a) * (x @ a.T @ b.T),
        ),
        Alternative(
            "the input scaled",
            lambda x, weight, a, b, alpha: x @ weight.mT + (x * (alpha / len(a)) @ a.mT) @ b.mT,
        ),
    ),
    hints=(
        "Two paths from x to the output: through `weight`, and through `a` and then `b`.",
        "From (..., in) to (..., r) is `x @ a.T`; from there to (..., out) is `@ b.T`.",
        "Multiply the second path by `alpha / len(a)`, then add the two.",
    ),
)

MERGED = Exercise(
    id="fine_tuning.merged",
    title="Merging",
    minutes=5,
    difficulty=1,
    statement=(
        "Return the one weight (out, in) that computes what `weight` and its change compute "
        "together: W + (α / r) B A. Do not change `weight` itself."
    ),
    solution=fine_tuning.merged_weight,
    reference=_weight_by_sums,
    generator=_any_weight,
    tolerance=4.0,
    probes=(
        Probe(
            "rank 1",
            lambda: _without_x(_layer(2, rank=1, alpha=1.0)),
            "With α = r = 1: W plus the product.",
        ),
        Probe(
            "a square weight",
            lambda: _without_x(_layer(2, inputs=3, outputs=3, alpha=6.0)),
            "With equal sizes a transposed product has the right shape and the wrong numbers.",
            tolerance=4.0,
        ),
        Probe(
            "more outputs than inputs",
            lambda: _without_x(_layer(2, inputs=2, outputs=5, rank=3, alpha=6.0)),
            "The result has the shape of `weight`.",
            tolerance=4.0,
            gradient=True,
        ),
    ),
    misconceptions=(
        Misconception(
            "α not divided by r",
            lambda weight, a, b, alpha: weight + alpha * (b @ a),
            "The factor is α / r, in merging as in the forward pass.",
        ),
        Misconception(
            "no factor",
            lambda weight, a, b, alpha: weight + b @ a,
            "Multiply the product by α / r.",
        ),
        Misconception(
            "subtracted",
            lambda weight, a, b, alpha: weight - alpha / len(a) * (b @ a),
            "That is un-merging. Merging adds the change.",
        ),
        Misconception(
            "merged twice",
            lambda weight, a, b, alpha: weight + 2 * alpha / len(a) * (b @ a),
            "The change counts once. A second merge of the same adapter doubles it.",
        ),
        Misconception(
            "the change alone",
            lambda weight, a, b, alpha: alpha / len(a) * (b @ a),
            "Add the change to the frozen weight.",
        ),
        Misconception(
            "α / √r",
            lambda weight, a, b, alpha: weight + alpha / len(a) ** 0.5 * (b @ a),
            "That is rank-stabilised LoRA. Here the factor is α / r.",
        ),
    ),
    alternatives=(
        Alternative(
            "by einsum",
            lambda weight, a, b, alpha: weight + torch.einsum("or,ri->oi", b, a) * alpha / len(a),
        ),
        Alternative(
            "addmm",
            lambda weight, a, b, alpha: torch.addmm(weight, b, a, alpha=alpha / len(a)),
        ),
        Alternative(
            "a sum of outer products",
            lambda weight, a, b, alpha: (
                weight + alpha / len(a) * sum(torch.outer(b[:, r], a[r]) for r in range(len(a)))
            ),
        ),
    ),
    hints=(
        "Which of `a @ b` and `b @ a` has the shape of `weight`?",
        "`weight + alpha / len(a) * (b @ a)` makes a new tensor; `weight += ...` would change it.",
    ),
)


def _count_slowly(shapes, rank):
    """Build the factors on the meta device and count what is in them."""
    factors = []
    for outputs, inputs in shapes:
        factors += [torch.empty(rank, inputs, device="meta")]
        factors += [torch.empty(outputs, rank, device="meta")]
    return sum(factor.numel() for factor in factors)


def _by_loop(shapes, rank):
    total = 0
    for shape in shapes:
        for size in shape:
            total += rank * size
    return total


TRAINABLE = Exercise(
    id="fine_tuning.trainable",
    title="How much LoRA trains",
    minutes=5,
    difficulty=1,
    statement=(
        "`shapes` is a list of shapes (out, in), one for each weight that gets a change of rank "
        "`rank`. Return how many numbers are trained, as an integer."
    ),
    solution=fine_tuning.lora_parameters,
    reference=_count_slowly,
    generator=lambda rng: call(
        [(rng.randint(1, 9), rng.randint(1, 9)) for _ in range(rng.randint(0, 4))],
        rng.randint(1, 5),
    ),
    probes=(
        Probe("one weight", lambda: call([(5, 3)], 2), "A is (2, 3) and B is (5, 2)."),
        Probe(
            "two weights", lambda: call([(5, 3), (4, 7)], 2), "Every weight has factors of its own."
        ),
        Probe("rank 1", lambda: call([(6, 2)], 1), "A row and a column."),
        Probe("no weights", lambda: call([], 3), "Nothing is trained."),
    ),
    misconceptions=(
        Misconception(
            "the size of the product",
            lambda shapes, rank: sum(out * inputs for out, inputs in shapes),
            "B A is as large as W, but it is never stored. The factors have rank · (out + in) "
            "numbers.",
        ),
        Misconception(
            "r times the weight",
            lambda shapes, rank: sum(rank * out * inputs for out, inputs in shapes),
            "Add the sizes of the two factors; do not multiply them.",
        ),
        Misconception(
            "A alone",
            lambda shapes, rank: sum(rank * inputs for _, inputs in shapes),
            "There are two factors: A (r, in) and B (out, r).",
        ),
        Misconception(
            "both factors as wide as the input",
            lambda shapes, rank: sum(2 * rank * inputs for _, inputs in shapes),
            "B has `out` rows, which differs from `in` unless the weight is square.",
        ),
        Misconception(
            "the frozen weight counted too",
            lambda shapes, rank: sum(
                out * inputs + rank * (out + inputs) for out, inputs in shapes
            ),
            "The weight itself is frozen: the optimizer does not see it.",
        ),
        Misconception(
            "only the first weight",
            lambda shapes, rank: rank * sum(shapes[0]) if shapes else 0,
            "Sum over all weights.",
        ),
    ),
    alternatives=(
        Alternative("by a loop", _by_loop),
        Alternative("rank times all sizes", lambda shapes, rank: rank * sum(map(sum, shapes))),
        Alternative(
            "factor by factor",
            lambda shapes, rank: (
                sum(rank * i for _, i in shapes) + sum(o * rank for o, _ in shapes)
            ),
        ),
    ),
    hints=("What are the shapes of A and B?", "A has r · in numbers and B has out · r."),
)
