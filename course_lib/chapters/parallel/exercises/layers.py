"""The exercise on cutting a feed-forward layer."""

import torch
import torch.nn.functional as F

from course_lib.chapters.parallel import answers
from course_lib.chapters.parallel.exercises import generators
from course_lib.chapters.parallel.on_ranks import (
    of_ranks,
    on_ranks,
    per_rank,
    right_on_ranks,
    wrong_on_ranks,
)
from course_lib.study.check.spec import Exercise, Probe


def _whole_mlp(given):
    x, bias = given[0][0].double(), given[0][4].double()
    up = torch.cat([each[1] for each in given]).double()
    up_bias = torch.cat([each[2] for each in given]).double()
    down = torch.cat([each[3] for each in given], dim=1).double()
    y = torch.einsum("nf,cf->nc", (x @ up.T + up_bias).clamp(min=0), down) + bias
    return [y.to(given[0][0].dtype)] * len(given)


def _linear(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce(F.linear(F.relu(F.linear(x, up, up_bias)), down)) + down_bias


def _bias_on_one(comm, x, up, up_bias, down, down_bias):
    y = F.linear((x @ up.T + up_bias).clamp(min=0), down)
    return comm.all_reduce(y + down_bias if comm.rank == 0 else y)


def _bias_in_parts(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce((x @ up.T + up_bias).relu() @ down.T + down_bias / comm.size)


def _bias_each(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce(torch.relu(x @ up.T + up_bias) @ down.T + down_bias)


def _not_summed(comm, x, up, up_bias, down, down_bias):
    return torch.relu(x @ up.T + up_bias) @ down.T + down_bias


def _no_bias(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce(torch.relu(x @ up.T + up_bias) @ down.T)


def _inner_bias_forgotten(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce(torch.relu(x @ up.T) @ down.T) + down_bias


def _mean(comm, x, up, up_bias, down, down_bias):
    return comm.all_reduce(torch.relu(x @ up.T + up_bias) @ down.T) / comm.size + down_bias


def _relu_at_the_end(comm, x, up, up_bias, down, down_bias):
    return torch.relu(comm.all_reduce((x @ up.T + up_bias) @ down.T)) + down_bias


def _inner_bias_summed(comm, x, up, up_bias, down, down_bias):
    hidden = torch.relu(x @ up.T) + up_bias
    return comm.all_reduce(hidden @ down.T) + down_bias


def _parts(*hidden, width=2, seed=0):
    def inputs():
        rng = torch.Generator().manual_seed(seed)
        x, bias = torch.randn(3, width, generator=rng), torch.randn(width, generator=rng)
        return per_rank(
            [
                (
                    x,
                    torch.randn(size, width, generator=rng),
                    torch.randn(size, generator=rng),
                    torch.randn(width, size, generator=rng),
                    bias,
                )
                for size in hidden
            ]
        )

    return inputs


MLP = Exercise(
    id="parallel.mlp",
    title="A layer cut in two ways",
    minutes=10,
    difficulty=2,
    statement=(
        "A feed-forward layer y = relu(x @ A.T + a) @ B.T + b, cut by hidden units. Each rank has "
        "all "
        "of x (N, C) and of b, `down_bias` (C,), and some hidden units: `up` (F, C) and `up_bias` "
        "(F,) are its rows of A and a, `down` (C, F) its columns of B; F may differ between ranks. "
        "Return y (N, C) on every rank, with one communication: `comm.all_reduce(x)` returns the "
        "sum "
        "over the ranks."
    ),
    solution=on_ranks(answers.parallel_mlp),
    adapter=on_ranks,
    reference=of_ranks(_whole_mlp),
    generator=generators.mlp,
    probes=(
        Probe("two ranks", _parts(2, 2), "Each rank has two hidden units."),
        Probe("one rank", _parts(3), "The layer itself."),
        Probe("three ranks", _parts(2, 2, 2, seed=1), "The bias is added once, not three times."),
        Probe("uneven", _parts(1, 3, seed=2), "Ranks may have different numbers of hidden units."),
        Probe("wide", _parts(2, 3, width=5, seed=3), "The result has the width of x."),
    ),
    misconceptions=(
        wrong_on_ranks(
            "the bias on every rank",
            _bias_each,
            "Every rank adds the bias before the sum, so it is in there n times. Add it "
            "afterwards.",
        ),
        wrong_on_ranks(
            "not summed",
            _not_summed,
            "Each rank has a part of the sum over the hidden units. Add the parts: all_reduce.",
        ),
        wrong_on_ranks(
            "no bias", _no_bias, "The outer bias is missing. Add it once, after the sum."
        ),
        wrong_on_ranks(
            "the inner bias forgotten",
            _inner_bias_forgotten,
            "relu(x @ up.T + up_bias): each hidden unit has a bias of its own.",
        ),
        wrong_on_ranks(
            "averaged", _mean, "The parts add up to the result; they are not n estimates of it."
        ),
        wrong_on_ranks(
            "relu after the sum",
            _relu_at_the_end,
            "relu belongs to the hidden units, before the second product. A rank has whole hidden "
            "units, so it can apply it alone.",
        ),
        wrong_on_ranks(
            "the inner bias outside",
            _inner_bias_summed,
            "The inner bias is added before relu, not after it.",
        ),
    ),
    alternatives=(
        right_on_ranks("by F.linear", _linear),
        right_on_ranks("the bias on one rank", _bias_on_one),
        right_on_ranks("the bias in parts", _bias_in_parts),
    ),
    hints=(
        "Hidden units do not need each other: relu(x @ up.T + up_bias) is complete on each rank.",
        "hidden @ down.T is this rank's part of a sum over all hidden units.",
    ),
)
