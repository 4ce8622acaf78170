"""Data parallelism and full sharding beside PyTorch's, on two processes of this machine with gloo.

    python -m benchmarks.parallel

A step is forward, backward and AdamW on the same decoder and rows. Contestants take turns
in the same two processes. Times are processor time of one rank, waiting not included.
"peak MB" is by how much the memory of a rank grows at most, from before the model is made to after
some steps, as the system counts it; for this each contestant has two processes of its own.
"""

import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh

from benchmarks.record import progress, record
from benchmarks.timing import median, ratio
from course_lib.model import DecoderLM, ModelConfig
from course_lib.parallel import DataParallel, FullyShard
from course_lib.parallel.processes import ProcessCommunicator, run_processes
from course_lib.training.objective import next_token_loss

CONFIG = ModelConfig(2048, 256, 640, 4, 4, 2, 64, 256, tie_word_embeddings=True)
ROUNDS, RUNS, ROWS, TOKENS = 24, 2, 4, 64
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


def ours_plain(model: DecoderLM, comm: ProcessCommunicator, ids: Tensor) -> Step:
    engine = DataParallel(model, comm)
    return stepper(engine.backward, model, list(model.parameters()), ids)


def torch_plain(model: DecoderLM, comm: ProcessCommunicator, ids: Tensor) -> Step:
    engine = nn.parallel.DistributedDataParallel(model)
    return stepper(Tensor.backward, engine, list(model.parameters()), ids)


def ours_sharded(model: DecoderLM, comm: ProcessCommunicator, ids: Tensor) -> Step:
    engine = FullyShard(model, comm, list(model.blocks))
    return stepper(engine.backward, model, engine.shards, ids)


def torch_sharded(model: DecoderLM, comm: ProcessCommunicator, ids: Tensor) -> Step:
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (comm.size,))
    for part in (*model.blocks, model):
        fully_shard(part, mesh=mesh)
    return stepper(Tensor.backward, model, list(model.parameters()), ids)


CONTESTANTS = {
    "ours, DataParallel": ours_plain,
    "torch, DDP": torch_plain,
    "ours, FullyShard": ours_sharded,
    "torch, fully_shard": torch_sharded,
}


def own_ids(comm: ProcessCommunicator) -> Tensor:
    """Return this rank's rows of the batch."""
    torch.manual_seed(0)
    return torch.randint(2048, (comm.size * ROWS, TOKENS)).chunk(comm.size)[comm.rank]


def timed(comm: ProcessCommunicator) -> Rounds:
    """Return the seconds of each contestant in each round."""
    ids, base = own_ids(comm), DecoderLM(CONFIG).use_kernels()
    steps = {name: make(copy.deepcopy(base), comm, ids) for name, make in CONTESTANTS.items()}
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
    return rounds


def megabytes(kind: str) -> float:
    """Return the memory of this process now (VmRSS), or the most since the last reset (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1e3


def growth(comm: ProcessCommunicator, name: str) -> float:
    """Return by how many megabytes a contestant makes this process grow."""
    ids = own_ids(comm)
    small = nn.Linear(8, 8)  # what every backward pass and every optimizer sets up
    small(torch.ones(8, 8)).sum().backward()
    torch.optim.AdamW(small.parameters()).step()
    Path("/proc/self/clear_refs").write_text("5")
    before = megabytes("VmRSS")
    step = CONTESTANTS[name](DecoderLM(CONFIG).use_kernels(), comm, ids)
    for _ in range(4):
        step()
    return megabytes("VmHWM") - before


def peak(name: str) -> float:
    """Return the median growth of the first rank over a few runs."""
    progress("memory", name)
    runs = [run_processes(lambda comm: growth(comm, name), 2, 600)[0] for _ in range(RUNS)]
    return statistics.median(runs)


def main() -> None:
    progress("a step on two ranks")
    rounds = run_processes(timed, 2, 600)[0]
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
            "peak MB": round(peak(name), 1),
        }
        for ours, theirs in pairs
        for name in (ours, theirs)
    ]
    record("parallel", rows)


if __name__ == "__main__":
    main()
