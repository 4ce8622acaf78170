"""Data parallelism and ZeRO: a step on ranks is the step of one process on the whole batch."""

import copy

import pytest
import torch
from torch import nn

from course_lib.model import DecoderLM
from course_lib.parallel import (
    DataParallel,
    FullyShard,
    ShardedOptimizer,
    average_gradients,
    own_share,
    run_ranks,
    zero_memory,
    zero_traffic,
)
from course_lib.parallel.data_parallel import grouped_by_size
from course_lib.training.gradients import clip_by_global_norm
from course_lib.training.optimizer import AdamW, decay_groups

from .conftest import CONFIG, largest_gap, loss_of, rows_of, steps_on_one


def own_loss(comm, model):
    ids = rows_of(comm)
    return loss_of(model, ids), own_share(comm, ids[:, 1:].numel())


def data_parallel(comm, base, bucket_bytes):
    torch.manual_seed(comm.rank)
    model = copy.deepcopy(base) if comm.rank == 0 else DecoderLM(CONFIG)  # seeded differently
    engine = DataParallel(model, comm, bucket_bytes)
    optimizer = AdamW(decay_groups(model, 0.1), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        engine.backward(*own_loss(comm, model))
        clip_by_global_norm(model.parameters(), 0.5)
        optimizer.step()
    return model.state_dict()


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("bucket_bytes", [1, 5000, 1e9])
def test_data_parallel_equals_one_process(decoder, ranks, bucket_bytes):
    wanted = steps_on_one(decoder)
    for found in run_ranks(lambda comm: data_parallel(comm, decoder, bucket_bytes), ranks):
        assert largest_gap(found, wanted) < 2e-5
    assert largest_gap(decoder.state_dict(), wanted) > 1e-3  # it did learn


@pytest.mark.parametrize("ranks", [2, 3, 4])
@pytest.mark.parametrize("stage", [1, 2])
def test_sharded_optimizer_equals_one_process(decoder, ranks, stage):
    def program(comm):
        model = copy.deepcopy(decoder)
        groups = decay_groups(model, 0.1)
        engine = ShardedOptimizer(groups, comm, lambda g: AdamW(g, lr=1e-2), stage, 5000)
        for _ in range(3):
            engine.backward(*own_loss(comm, model))
            engine.step(max_norm=0.5)
        moments = sum(s["exp_avg"].numel() for s in engine.optimizer.state.values())
        return model.state_dict(), moments

    wanted, numbers = steps_on_one(decoder), sum(p.numel() for p in decoder.parameters())
    for found, moments in run_ranks(program, ranks):
        assert largest_gap(found, wanted) < 2e-5
        assert numbers / ranks <= moments < numbers / ranks + 10  # but for padding


class Branches(nn.Module):
    """A layer for even ranks, one for odd ones, one for nobody, a frozen one, and a tied one."""

    def __init__(self):
        super().__init__()
        self.even, self.odd, self.unused, self.frozen = (nn.Linear(3, 3) for _ in range(4))
        self.tied = self.frozen
        self.frozen.requires_grad_(False)

    def forward(self, x, odd):
        return self.tied(self.odd(x) if odd else self.even(x)).square().sum()


@pytest.mark.parametrize("bucket_bytes", [1, 1e9])
def test_unused_and_frozen_parameters(bucket_bytes):
    torch.manual_seed(0)
    base, x = Branches(), torch.randn(2, 3)
    model = copy.deepcopy(base)
    (sum(model(row, odd) for odd, row in enumerate(x)) / 2).backward()

    def program(comm):
        mine = copy.deepcopy(base)
        DataParallel(mine, comm, bucket_bytes).backward(mine(x[comm.rank], comm.rank == 1))
        return [p.grad for p in mine.parameters()]

    for found in run_ranks(program, 2):
        for grad, p in zip(found, model.parameters(), strict=True):
            assert (grad is None) == (p.grad is None)
            if grad is not None:
                torch.testing.assert_close(grad, p.grad)


def test_accumulation_sends_once(decoder):
    def program(comm, parts):
        model = copy.deepcopy(decoder)
        engine = DataParallel(model, comm)
        before = comm.meter.bytes
        for number, ids in enumerate(rows_of(comm).repeat(2, 1).chunk(parts)):
            engine.backward(loss_of(model, ids), 1 / (2 * parts), last=number + 1 == parts)
        return [p.grad for p in model.parameters()], comm.meter.bytes - before

    (one, sent_once), *_ = run_ranks(lambda comm: program(comm, 1), 2)
    (two, sent_twice), *_ = run_ranks(lambda comm: program(comm, 2), 2)
    assert sent_once == sent_twice
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b)


def test_average_gradients_weights_by_targets():
    def program(comm):
        given = [torch.full((2,), 1.0 + comm.rank), torch.full((1, 1), 10.0 * comm.rank)]
        return average_gradients(comm, given, [1, 3, 0][comm.rank])

    for found in run_ranks(program, 3):
        assert [each.flatten()[0].item() for each in found] == [1.75, 7.5]
    with pytest.raises(ValueError, match="got 0"):
        run_ranks(lambda comm: average_gradients(comm, [torch.ones(1)], 0), 2)
    with pytest.raises(ValueError, match="got 0"):
        run_ranks(lambda comm: own_share(comm, 0), 2)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_traffic_of_a_step_is_that_of_the_formula(stage):
    layer = nn.Linear(8, 8, bias=False)  # 64 numbers, 256 bytes

    def program(comm):
        mine, x = copy.deepcopy(layer), torch.ones(2, 8)
        if stage == 3:
            whole = nn.Sequential(mine)
            engine = FullyShard(whole, comm, [mine])
            before = comm.meter.bytes
            engine.backward(whole(x.requires_grad_()).sum())
        else:
            engine = ShardedOptimizer(
                [{"params": list(mine.parameters())}], comm, lambda g: AdamW(g), stage
            )
            before = comm.meter.bytes
            engine.backward(mine(x).sum())
            for piece in engine.pieces:
                piece.reduce() if stage == 1 else None
                piece.gather()
        return comm.meter.bytes - before

    assert set(run_ranks(program, 4)) == {zero_traffic(64, 4, stage, number_bytes=4)}


def test_zero_memory_by_hand():
    assert [zero_memory(1000, 4, stage).total for stage in range(4)] == [16000, 7000, 5500, 4000]
    assert zero_traffic(1000, 4, 0) == 3000
    assert zero_traffic(1000, 4, 3) == 4500


def test_groups_by_size():
    sizes = [nn.Parameter(torch.zeros(n)) for n in (10, 10, 30, 5, 5)]
    sizes.append(nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    groups = grouped_by_size(sizes, 100)
    assert [[len(p) for p in group] for group in groups] == [[10, 10], [30], [5, 5], [1]]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="got 3"):
        run_ranks(lambda comm: ShardedOptimizer([], comm, AdamW, 3), 1)
    for call in (zero_memory, zero_traffic):
        with pytest.raises(ValueError, match="4"):
            call(10, 2, 4)
