"""Data parallelism and full sharding beside PyTorch's, on two processes of this machine with gloo.

    python -m benchmarks.parallel

A step is forward, backward and AdamW on the same decoder and rows. Contestants take turns
in the same two processes. Times are processor time of one rank, waiting not included.
"peak MB" is the most memory that tensors take up at once during a step, above what was there.
"""

import copy
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.profiler import ProfilerActivity, profile

from benchmarks.record import record
from benchmarks.timing import median, ratio
from course_lib.model import DecoderLM, ModelConfig
from course_lib.parallel import DataParallel, FullyShard
from course_lib.parallel.processes import ProcessCommunicator, run_processes
from course_lib.training.objective import next_token_loss

CONFIG = ModelConfig(2048, 256, 640, 4, 4, 2, 64, 256, tie_word_embeddings=True)
ROUNDS, ROWS, TOKENS = 12, 4, 64
Step = Callable[[], None]
Rounds = list[dict[str, float]]


def stepper(
    backward: Callable[[Tensor], None],
    model: nn.Module,
    parameters: list[nn.Parameter],
    ids: Tensor,
) -> Step:
    """Return a step of training."""
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        backward(next_token_loss(model(ids).logits, ids))
        optimizer.step()

    return step


def contestants(comm: ProcessCommunicator, base: DecoderLM, ids: Tensor) -> dict[str, Step]:
    """Return the steps of all, each on a copy of the model."""
    from torch.distributed.fsdp import fully_shard

    models = [copy.deepcopy(base).use_kernels() for _ in range(4)]
    ours = DataParallel(models[0], comm)
    sharded = FullyShard(models[2], comm, list(models[2].blocks))
    mesh = init_device_mesh("cpu", (comm.size,))
    for block in models[3].blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(models[3], mesh=mesh)
    theirs = nn.parallel.DistributedDataParallel(models[1])
    return {
        "ours, DataParallel": stepper(ours.backward, models[0], list(models[0].parameters()), ids),
        "torch, DDP": stepper(Tensor.backward, theirs, list(models[1].parameters()), ids),
        "ours, FullyShard": stepper(sharded.backward, models[2], sharded.shards, ids),
        "torch, fully_shard": stepper(
            Tensor.backward, models[3], list(models[3].parameters()), ids
        ),
    }


def peak_bytes(step: Step) -> int:
    """Return the most bytes that a step takes at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step()
    found = profiled.profiler
    assert found is not None
    assert found.kineto_results is not None
    events = [e for e in found.kineto_results.events() if e.name() == "[memory]"]
    in_use = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        in_use += event.nbytes()
        most = max(most, in_use)
    return most


def measured(comm: ProcessCommunicator) -> tuple[Rounds, dict[str, int]]:
    """Return the seconds of each contestant in each round, and its peak."""
    torch.manual_seed(0)
    ids = torch.randint(2048, (comm.size * ROWS, TOKENS)).chunk(comm.size)[comm.rank]
    steps = contestants(comm, DecoderLM(CONFIG), ids)
    rounds: Rounds = []
    for number in range(ROUNDS + 2):
        spent = {}
        for name, step in steps.items():
            comm.barrier()
            begin = time.process_time()
            step()
            comm.barrier()
            spent[name] = time.process_time() - begin
        if number >= 2:  # the first two warm up
            rounds.append(spent)
    return rounds, {name: peak_bytes(step) for name, step in steps.items()}


def main() -> None:
    rounds, peaks = run_processes(measured, 2, 600)[0]
    pairs = (
        ("ours, DataParallel", "torch, DDP"),
        ("ours, FullyShard", "torch, fully_shard"),
    )
    rows: list[dict[str, Any]] = [
        {
            "measured": "a step on two ranks",
            "contestant": name,
            "milliseconds": round(1e3 * median(rounds, name), 1),
            **ratio("times ours", rounds, name, ours),
            "peak MB": round(peaks[name] / 1e6, 1),
        }
        for ours, theirs in pairs
        for name in (ours, theirs)
    ]
    record("parallel", rows)


if __name__ == "__main__":
    main()
