"""The planner's memory beside the bytes that real processes allocate during a step."""

import sys
import time

import pytest
import torch
import torch.distributed as dist

from benchmarks.memory import Allocations, held_bytes
from course_lib import norms
from course_lib.model import ModelConfig, build_model
from course_lib.parallel import Batch, Layout
from course_lib.parallel.held import MOMENTS
from course_lib.parallel.layout import FLOAT32, memory_of
from course_lib.parallel.processes import run_processes
from course_lib.parallel.spread import Parallelism
from course_lib.parallel.training import ParallelTraining
from course_lib.training import data
from course_lib.training.loop import Plan

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked")
CONFIG = ModelConfig(512, 128, 384, 4, 4, 2, 32, 512, tie_word_embeddings=True)
PLAN = Plan(steps=2, warmup=1, peak=1e-3)
SEQUENCES, TOKENS = 8, 128
COLLECTIVES = (
    *("send", "recv", "broadcast", "all_reduce", "all_gather", "all_to_all"),
    *("all_gather_single", "reduce_scatter_single"),
)


def draw(step, generator):
    ids = torch.randint(512, (SEQUENCES, TOKENS), generator=generator)
    return data.Batch(ids, torch.ones_like(ids, dtype=torch.bool))


def measured(comm, spread):
    """Return the most bytes in use during a step: those held before it, and what it adds."""
    training = ParallelTraining(build_model(CONFIG), draw, PLAN, comm, spread)
    training.step()
    training.optimizer.zero_grad()
    states = training.optimizer.state.values()
    moments = [state[name] for state in states for name in MOMENTS]
    held = held_bytes([*training.local.parameters(), *(h.tensor for h in training.held), *moments])
    with Allocations() as memory:
        training.step()
        training.optimizer.zero_grad()
    return held + memory.most


def measured_without_haste(comm, spread):
    """Return the same, where gloo's threads let go of each message before this one does.

    Only what this thread frees is seen, so a message that a thread of gloo held last would count
    until the end of the step.
    """
    for name in COLLECTIVES:
        setattr(dist, name, settled(getattr(dist, name)))
    return measured(comm, spread)


def settled(call):
    def run(*args, **kwargs):
        work = call(*args, **kwargs)
        if isinstance(work, dist.Work):
            work.wait()
        time.sleep(0.002)
        return work

    return run


def planned(spread):
    rows = SEQUENCES // spread.dp // spread.parts
    layout = Layout(
        spread.dp, spread.tp, spread.pp, zero=spread.zero, microbatch=rows,
        sequence=bool(spread.sequence), recompute=bool(spread.recompute),
    )  # fmt: skip
    twice = spread.zero in (1, 2)  # the shard that is updated is a copy, also in float32
    precision = FLOAT32._replace(optimizer=12) if twice else FLOAT32
    return memory_of(CONFIG, layout, Batch(SEQUENCES, TOKENS), precision=precision).total


@pytest.mark.parametrize(
    "text",
    [
        *("dp=2", "dp=2,zero=1", "dp=2,zero=2", "dp=2,zero=3", "pp=2,microbatches=4"),
        *("tp=2", "tp=2,sequence=1", "dp=2,tp=2,zero=1", "dp=2,tp=2,zero=3,sequence=1"),
        *("dp=2,zero=3,recompute=1", "tp=2,sequence=1,recompute=1"),
        "pp=2,microbatches=4,recompute=1",
    ],
)
def test_the_fullest_rank_holds_what_the_planner_says(text, monkeypatch):
    monkeypatch.setattr(norms, "FEW_NUMBERS", sys.maxsize)  # norms as PyTorch computes them
    spread = Parallelism.parsed(text if "micro" in text else f"{text},microbatches=2")
    found = run_processes(lambda comm: measured_without_haste(comm, spread), spread.ranks, 120)
    assert max(found) == pytest.approx(planned(spread), rel=0.05)


def test_norms_in_few_passes_keep_at_most_one_vector_less():
    spread = Parallelism.parsed("tp=2,microbatches=2")
    found = run_processes(lambda comm: measured_without_haste(comm, spread), 2, 120)
    tokens, count = SEQUENCES // 2 * TOKENS, 2 * CONFIG.num_hidden_layers + 1
    assert tokens * CONFIG.hidden_size >= norms.FEW_NUMBERS
    assert 0.5 < (planned(spread) - max(found)) / (4 * count * tokens * CONFIG.hidden_size) < 1
