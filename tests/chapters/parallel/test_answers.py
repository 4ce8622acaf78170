"""The answers that stand with the exercises, beside values worked out by hand."""

import math

import pytest
import torch

from course_lib.chapters.parallel import answers
from course_lib.chapters.parallel.published import PUBLISHED, predicted_share
from course_lib.parallel import run_ranks


def test_a_sharded_step():
    def program(comm):
        gradient = torch.tensor([2.0, 4.0, 6.0]) * comm.rank
        momentum = torch.zeros(2)
        return answers.sharded_step(comm, torch.ones(3), gradient, momentum, 0.5, 0.9)

    for rank, (parameters, momentum) in enumerate(run_ranks(program, 2)):
        assert parameters.tolist() == [0.5, 0.0, -0.5]
        assert momentum.tolist() == [[1.0, 2.0], [3.0, 0.0]][rank]


def test_gathered_layers():
    shards = [torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.0])]  # 3 numbers, then padding

    def program(comm):
        x = torch.tensor([[1.0, 1.0, 1.0 + comm.rank]])
        return answers.gathered_layers(comm, x, [shards[comm.rank]], [(1, 3)]).item()

    assert run_ranks(program, 2) == [0.0, 0.0]
    shards[1] *= -1
    assert run_ranks(program, 2) == [6.0, 9.0]


def test_a_parallel_mlp_adds_its_bias_once():
    one = torch.ones(1, 1)
    found = run_ranks(
        lambda comm: answers.parallel_mlp(comm, one, one, one[0], one, 5 * one[0]).item(), 3
    )
    assert found == [11.0] * 3  # 3 units of relu(1 + 1), and 5


def test_the_loss_of_a_vocabulary_in_pieces():
    def program(comm):
        return answers.vocab_loss(comm, torch.zeros(1, 2), torch.tensor([3]), 2 * comm.rank).item()

    assert run_ranks(program, 2) == pytest.approx([math.log(4)] * 2)


def test_a_causal_ring():
    def program(comm):
        values = torch.tensor([[1.0 + comm.rank]])
        return answers.causal_ring(comm, torch.zeros(1, 1), torch.zeros(1, 1), values).item()

    assert run_ranks(program, 3) == pytest.approx([1.0, 1.5, 2.0])


def test_the_least_stage():
    assert [answers.least_stage(10, 4, memory, 0) for memory in (160, 70, 55, 40, 39)] == [
        *(0, 1, 2, 3),
        None,
    ]


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_published_throughputs_are_predicted_within_a_tenth(row):
    assert predicted_share(row) == pytest.approx(row.share, rel=0.1)
