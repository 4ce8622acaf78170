"""The exercise on averaging gradients over ranks."""

import torch

from course_lib import parallel
from course_lib.chapters.parallel.exercises import generators
from course_lib.chapters.parallel.on_ranks import (
    of_ranks,
    on_ranks,
    per_rank,
    right_on_ranks,
    wrong_on_ranks,
)
from course_lib.study.check.spec import Exercise, Probe


def _weighted(given):
    total = sum(targets for _, targets in given)
    found = []
    for place in range(len(given[0][0])):
        parts = [gradients[place].double() * targets for gradients, targets in given]
        found.append((sum(parts) / total).to(given[0][0][place].dtype))
    return [found] * len(given)


def _one_by_one(comm, gradients, targets):
    total = comm.all_reduce(gradients[0].new_tensor([float(targets)]))
    return [comm.all_reduce(g * targets) / total for g in gradients]


def _share_first(comm, gradients, targets):
    share = targets / comm.all_reduce(torch.tensor([float(targets)])).item()
    return [comm.all_reduce(g * share) for g in gradients]


def _gathered_counts(comm, gradients, targets):
    counts = comm.all_gather(torch.tensor([targets]))
    total = sum(int(count) for count in counts)
    found = []
    for gradient in gradients:
        parts = comm.all_gather(gradient)
        found.append(sum(p * int(c) for p, c in zip(parts, counts, strict=True)) / total)
    return found


def _plain_mean(comm, gradients, targets):
    return [comm.all_reduce(g) / comm.size for g in gradients]


def _summed(comm, gradients, targets):
    return [comm.all_reduce(g) for g in gradients]


def _averaged_twice(comm, gradients, targets):
    total = comm.all_reduce(torch.tensor([float(targets)])).item()
    return [comm.all_reduce(g * targets / total) / comm.size for g in gradients]


def _not_weighted(comm, gradients, targets):
    total = comm.all_reduce(torch.tensor([float(targets)])).item()
    return [comm.all_reduce(g) / total for g in gradients]


def _not_divided(comm, gradients, targets):
    return [comm.all_reduce(g * targets) for g in gradients]


def _most_targets(comm, gradients, targets):
    most = comm.all_reduce(torch.tensor([float(targets)]), "max").item()
    return [comm.all_reduce(g * targets) / most for g in gradients]


def _only_own(comm, gradients, targets):
    return [g.clone() for g in gradients]


def _gradients(*targets):
    def inputs():
        return per_rank(
            [
                ([torch.tensor([1.0 + rank, 2.0]), torch.tensor([[4.0 * rank]])], count)
                for rank, count in enumerate(targets)
            ]
        )

    return inputs


AVERAGE = Exercise(
    id="parallel.average",
    title="The gradient of the whole batch",
    minutes=8,
    difficulty=2,
    statement=(
        "Each rank has the gradients (a list of tensors) of its own mean loss over `targets` "
        "targets, a whole number that may differ between ranks and be 0 on some, but not on "
        "all. Return the gradients of the mean over the targets of all ranks, as a list "
        "in the same order. `comm.all_reduce(x)` takes a tensor and returns the sum over the ranks."
    ),
    solution=on_ranks(parallel.average_gradients),
    adapter=on_ranks,
    reference=of_ranks(_weighted),
    generator=generators.average,
    probes=(
        Probe("equal parts", _gradients(3, 3), "With equal counts it is the plain mean."),
        Probe("by hand", _gradients(1, 3), "(1·1 + 3·2) / 4 = 1.75."),
        Probe("three ranks", _gradients(2, 1, 4), "Every rank is weighted by its targets."),
        Probe("a rank without targets", _gradients(2, 0), "Its gradients have no weight."),
        Probe("one rank", _gradients(5), "Its own gradients."),
        Probe("one target each", _gradients(1, 1, 1), "The total is 3."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "the mean of the means",
            _plain_mean,
            "The mean of the ranks' means is that of the batch only if all have equally "
            "many targets. Weight each by its targets.",
        ),
        wrong_on_ranks(
            "summed",
            _summed,
            "A sum of n means is about n times too large. Weight each by its share of the targets.",
        ),
        wrong_on_ranks(
            "averaged twice",
            _averaged_twice,
            "Your weights add up to 1, so dividing by the number of ranks averages a second time.",
        ),
        wrong_on_ranks(
            "not weighted",
            _not_weighted,
            "You divide by all targets, but the gradients are means, not sums. Multiply by "
            "`targets` first.",
        ),
        wrong_on_ranks(
            "not divided",
            _not_divided,
            "That is the gradient of the sum. Divide by the targets of all ranks.",
        ),
        wrong_on_ranks(
            "divided by the most",
            _most_targets,
            "Divide by the sum of the targets of all ranks, not by the largest number.",
        ),
        wrong_on_ranks(
            "only its own", _only_own, "Every rank needs the gradient of the whole batch."
        ),
    ),
    alternatives=(
        right_on_ranks("tensor by tensor", _one_by_one),
        right_on_ranks("the share first", _share_first),
        right_on_ranks("everything gathered", _gathered_counts),
    ),
    hints=(
        "A mean times its number of targets is a sum. Sums of different ranks can be added.",
        "Divide by comm.all_reduce of the targets, as a tensor.",
    ),
)
