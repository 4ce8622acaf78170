"""Ranks that are processes, on gloo: the same results, PyTorch's own engines, ranks that die."""

import copy
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

from course_lib.parallel import (
    ORDERS,
    ColumnParallelLinear,
    DataParallel,
    FullyShard,
    RowParallelLinear,
    ShardedOptimizer,
    cut_into_stages,
    own_share,
    ring_all_reduce,
    run_pipeline,
    run_ranks,
    tree_all_reduce,
)
from course_lib.parallel.processes import RankError, can_fork, connect, run_processes
from course_lib.parallel.run import ParallelRun
from course_lib.parallel.spread import Parallelism
from course_lib.parallel.training import ParallelTraining
from course_lib.training import runs
from course_lib.training.data import Batch
from course_lib.training.optimizer import AdamW

from .conftest import largest_gap, loss_of, rows_of
from .tiny_recipe import TINY

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked"),
    pytest.mark.filterwarnings("ignore"),  # what torch's engines say in the processes
]


def everything(comm):
    """Return the results of every kind of call."""
    x, n, r = torch.arange(6.0) + comm.rank, comm.size, comm.rank
    found = [comm.all_reduce(x), comm.all_reduce(x, "max"), comm.broadcast(x, 1)]
    found += [comm.reduce_scatter(list(x.chunk(n))), comm.reduce_scatter(x[:5].tensor_split(n))]
    found += comm.all_gather(x) + comm.all_gather(x[: r + 1], [i + 1 for i in range(n)])
    found += comm.all_to_all(list(x.chunk(n)))
    found += [comm.exchange(x, (r + 1) % n, (r - 1) % n)]
    row = torch.empty(6 * n)
    handles = [comm.start_all_reduce(x), comm.start_reduce_scatter(x.chunk(n))]
    handles += [comm.start_all_gather(x, row)]
    found += [comm.all_reduce(x), *(handle.wait() for handle in handles), row]
    found += [ring_all_reduce(comm, x), tree_all_reduce(comm, x)]
    comm.barrier()
    found.append(comm.split([[0, 2], [1]] if n == 3 else [[0], [1]]).all_reduce(x))
    if r == 0:
        comm.post(x, 1)
    elif r == 1:
        found.append(comm.recv(x, 0))
    comm.finish_posts()
    if r == 1:
        comm.send(x, 0)
    elif r == 0:
        found.append(comm.recv(x, 1))
    return found


@pytest.mark.parametrize("ranks", [2, 3])
def test_processes_and_threads_give_the_same(ranks):
    theirs, ours = run_processes(everything, ranks, 60), run_ranks(everything, ranks)
    for a, b in zip(theirs, ours, strict=True):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            torch.testing.assert_close(x, y)


def test_data_parallel_beside_that_of_torch(decoder):
    def program(comm):
        mine, theirs = copy.deepcopy(decoder), copy.deepcopy(decoder)
        engine = DataParallel(mine, comm, 5000)
        peer = nn.parallel.DistributedDataParallel(theirs)
        ids = rows_of(comm)
        engine.backward(loss_of(mine, ids))
        loss_of(peer, ids).backward()
        return all(
            torch.allclose(p.grad, q.grad, atol=1e-7)
            for p, q in zip(mine.parameters(), theirs.parameters(), strict=True)
        )

    assert run_processes(program, 2) == [True, True]


def test_full_sharding_and_the_sharded_optimizer_beside_those_of_torch(decoder):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.optim import ZeroRedundancyOptimizer

    def program(comm):
        models = [copy.deepcopy(decoder) for _ in range(4)]
        ours = FullyShard(models[0], comm, list(models[0].blocks))
        first = AdamW(ours.shards, lr=1e-2, weight_decay=0.0)
        mesh = init_device_mesh("cpu", (comm.size,))
        for block in models[1].blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(models[1], mesh=mesh)
        second = torch.optim.AdamW(models[1].parameters(), lr=1e-2, weight_decay=0.0)
        groups = [{"params": list(models[2].parameters())}]
        third = ShardedOptimizer(groups, comm, lambda g: AdamW(g, lr=1e-2, weight_decay=0.0), 2)
        fourth = ZeroRedundancyOptimizer(
            models[3].parameters(), torch.optim.AdamW, lr=1e-2, weight_decay=0.0
        )
        peer, ids = nn.parallel.DistributedDataParallel(models[3]), rows_of(comm)
        for _ in range(2):
            for optimizer in (first, second, fourth):
                optimizer.zero_grad()
            ours.backward(loss_of(models[0], ids))
            loss_of(models[1], ids).backward()
            third.backward(loss_of(models[2], ids))
            loss_of(peer, ids).backward()
            for optimizer in (first, second, third, fourth):
                optimizer.step()
        theirs = {n: p.full_tensor() for n, p in models[1].named_parameters()}
        whole = ours.whole_parameters()
        gaps = [max((whole[n] - p).abs().max().item() for n, p in theirs.items())]
        return [*gaps, largest_gap(models[2].state_dict(), models[3].state_dict())]

    for gaps in run_processes(program, 2):
        assert max(gaps) < 2e-5


def test_column_and_row_beside_dtensor():
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    torch.manual_seed(0)
    base, x = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6)), torch.randn(3, 6)

    def program(comm):
        mine = copy.deepcopy(base)
        mine[0], mine[2] = ColumnParallelLinear(mine[0], comm), RowParallelLinear(mine[2], comm)
        mesh = init_device_mesh("cpu", (comm.size,))
        plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
        theirs = parallelize_module(copy.deepcopy(base), mesh, plan)
        results = []
        for net in (mine, theirs):
            y = net(x)
            y.square().sum().backward()
            results.append((y, [p.grad for p in net.parameters()]))
        local = [g.to_local() for g in results[1][1]]
        same = [torch.allclose(a, b, atol=1e-6) for a, b in zip(results[0][1], local, strict=True)]
        return [torch.allclose(results[0][0], results[1][0], atol=1e-6), *same]

    assert run_processes(program, 2) == [[True] * 5] * 2


@pytest.mark.parametrize("name", ["1F1B", "GPipe"])
def test_a_pipeline_beside_that_of_torch(name):
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(4)]
    x, y = torch.randn(2, 8, 6)

    def program(comm):
        mine, theirs = (
            cut_into_stages(copy.deepcopy(layers), comm.size)[comm.rank] for _ in range(2)
        )
        targets, order = y.chunk(4), ORDERS[name](comm.rank, comm.size, 4)

        def loss_of_part(out, number):
            return (out - targets[number]).square().mean() / 4

        run_pipeline(comm, mine, x.chunk(4), loss_of_part, order, x[:2])
        stage = PipelineStage(theirs, comm.rank, comm.size, torch.device("cpu"))
        kind = {"1F1B": Schedule1F1B, "GPipe": ScheduleGPipe}[name]
        schedule = kind(stage, 4, loss_fn=lambda out, target: (out - target).square().mean())
        schedule.step(x) if comm.rank == 0 else schedule.step(target=y)
        return [
            torch.allclose(p.grad, q.grad, atol=1e-6)
            for p, q in zip(mine.parameters(), theirs.parameters(), strict=True)
        ]

    assert run_processes(program, 2) == [[True] * 4] * 2


def test_a_rank_that_dies_is_named_and_nobody_waits():
    def program(comm):
        if comm.rank == 1:
            os._exit(3)
        return comm.all_reduce(torch.ones(1))

    begin = time.monotonic()
    with pytest.raises(RankError, match="failed"):
        run_processes(program, 2, 30)
    assert time.monotonic() - begin < 25


def test_an_error_is_named_with_its_rank():
    def program(comm):
        if comm.rank == 1:
            raise ValueError("seven")
        return dist.get_rank()

    with pytest.raises(RankError, match="rank 1 of 2 failed: ValueError: seven"):
        run_processes(program, 2, 30)


def test_waiting_for_ever_has_a_limit():
    def program(comm):
        time.sleep(60)

    with pytest.raises(TimeoutError, match=r"\[0, 1\]"):
        run_processes(program, 2, 1)


def different_calls(comm):
    x = torch.ones(3)
    return comm.all_reduce(x) if comm.rank == 0 else comm.all_gather(x)


def test_different_calls_are_named():
    with pytest.raises(RankError, match=r"mismatch between collectives.*ALLREDUCE.*ALLGATHER"):
        run_processes(different_calls, 2, 30, checked=True)
    assert run_processes(everything, 2, 60, checked=True)


def test_different_calls_end_with_the_time_limit():
    def program(comm):
        return comm.barrier() if comm.rank == 0 else comm.recv(torch.ones(3), 0)

    begin = time.monotonic()
    with pytest.raises((RankError, TimeoutError), match="rank"):
        run_processes(program, 2, 2)
    assert time.monotonic() - begin < 20


def test_without_torchrun_the_error_says_how_to_start(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ValueError, match="torchrun --nproc-per-node"):
        connect()
    assert can_fork()


DYING = """
import os, signal, sys
from pathlib import Path
from course_lib.parallel.run import ParallelRun, as_a_rank
from course_lib.parallel.spread import Parallelism
from course_lib.training import runs
from tests.parallel.tiny_recipe import TINY

LAYOUT = "dp=2,zero=3,recompute=1,loss_scale=1024"
runs.LOOK_CHARACTERS = 200
with as_a_rank() as comm:
    run = ParallelRun(TINY, Path(sys.argv[1]), comm, Parallelism.parsed(LAYOUT))
    run.go_on(2)
    if comm.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    run.go_on(4)
"""


def test_a_run_that_torchrun_started_is_killed_and_resumed(tmp_path, monkeypatch):
    program, root = tmp_path / "dying.py", Path(__file__).parents[2]
    program.write_text(DYING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    ended = subprocess.run(
        [*command, "2", program, tmp_path], capture_output=True, text=True, cwd=root, timeout=240,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ended.returncode != 0
    cause = ended.stderr.partition("Root Cause")[2]
    assert re.search(r"rank\s*: 1 .*exitcode\s*: -9 .*Signal 9", cause, re.DOTALL)
    assert json.loads((tmp_path / "ranks" / "latest.json").read_text()) == {"step": 2, "ranks": 2}

    def program(comm):
        spread = Parallelism(pp=2, microbatches=2, loss_scale=64)
        run = ParallelRun(TINY, tmp_path, comm, spread)
        run.go_on(4)
        run.store(tmp_path / "model")
        scale = run.training.scaler.scale
        return run.training.done, [record["step"] for record in run.records], scale

    monkeypatch.setattr(runs, "LOOK_CHARACTERS", 200)
    assert run_processes(program, 2, 240) == [(4, [0, 2, 4], 1024.0)] * 2
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "layout",
    [
        *("pp=2,microbatches=2", "cp=2,zero=1", "dp=2,tp=2,zero=1"),
        "dp=2,zero=3,recompute=1,loss_scale=65536",
    ],
)
def test_training_on_processes_is_that_on_threads(layout):
    spread = Parallelism.parsed(layout)

    def program(comm):
        training = ParallelTraining(tiny_model(), tiny_draw, TINY.plan, comm, spread)
        return [training.step() for _ in range(2)]

    for found, wanted in zip(
        run_processes(program, spread.ranks, 120), run_ranks(program, spread.ranks), strict=True
    ):
        torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted))


def tiny_model():
    return TINY.fresh_model()


def tiny_draw(step, generator):
    ids = torch.randint(300, (4, 16), generator=generator)
    return Batch(ids, torch.ones_like(ids, dtype=torch.bool))


def test_own_share():
    assert run_processes(lambda comm: own_share(comm, 1 + 2 * comm.rank), 2) == [0.25, 0.75]
