"""The pictures of this chapter draw what simulated ranks and formulas give."""

import pytest
import torch

from course_lib.accounting.models import MODELS
from course_lib.chapters.parallel import explorers, figures
from course_lib.parallel import ORDERS, Batch, Cluster, plan, run_ranks, timeline, zero_memory
from course_lib.study.display.plotting import png_bytes


def counted(ranks, step):
    """Return how often each chunk was added to, by doing the steps on ranks."""

    def program(comm):
        n, rank = comm.size, comm.rank
        chunks = [torch.ones(1) for _ in range(n)]
        for done in range(min(step, n - 1)):
            gone, coming = (rank - 1 - done) % n, (rank - 2 - done) % n
            chunks[coming] = chunks[coming] + comm.exchange(
                chunks[gone], (rank + 1) % n, (rank - 1) % n
            )
        for done in range(step - n + 1):
            gone, coming = (rank - done) % n, (rank - 1 - done) % n
            chunks[coming] = comm.exchange(chunks[gone], (rank + 1) % n, (rank - 1) % n)
        return [int(chunk) for chunk in chunks]

    return run_ranks(program, ranks)


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_the_ring_is_that_of_the_ranks(ranks):
    for step in range(2 * ranks - 1):
        assert figures.contributions(ranks, step) == counted(ranks, step)
    (ax,) = figures.ring(ranks, 1).axes
    shown = [text.get_text() for text in ax.texts]
    assert sum("→" in text for text in shown) == ranks
    assert not any("→" in t.get_text() for t in figures.ring(ranks, 2 * ranks - 2).axes[0].texts)


def test_the_pipeline_draws_each_piece_of_work():
    (ax,) = figures.pipeline("1F1B", 3, 4).axes
    bars = timeline([ORDERS["1F1B"](stage, 3, 4) for stage in range(3)])
    drawn = sum(len(collection.get_paths()) for collection in ax.collections[:2])
    assert drawn == len(bars) == 24
    assert "33% idle" in ax.get_title(loc="left")
    assert "keeps 3" in ax.get_title(loc="left")


def test_memory_is_that_of_the_formula():
    (ax,) = figures.zero_stages(1e9, 4, 8e9).axes
    ends = {}
    for bar in ax.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0), bar.get_x() + bar.get_width())
    assert ends == pytest.approx({s: zero_memory(1e9, 4, s).total / 1e9 for s in range(4)})
    assert "from stage 1 on" in ax.get_title(loc="left")
    assert "no stage fits" in figures.zero_stages(1e9, 1, 1e9).axes[0].get_title(loc="left")


def test_the_plans_are_drawn_with_their_times():
    found = plan(MODELS["Llama-2-7B"], Cluster(devices=16), Batch(64, 4096))
    (ax,) = figures.plans(found, "a model", 16, shown=2).axes
    ends = [
        max(b.get_x() + b.get_width() for b in ax.patches if round(b.get_y() + 0.4) == row)
        for row in (0, 1)
    ]
    assert ends == pytest.approx([each.time.total for each in found[:2]])
    assert str(found[1].layout) in ax.get_yticklabels()[1].get_text()


def test_the_explorers_follow_their_controls():
    ring = explorers.ring()
    ring.controls["step"].value = 14
    assert ring.image == png_bytes(figures.ring(4, 6))
    pipeline = explorers.pipeline()
    pipeline.controls["microbatches"].value = 3
    assert pipeline.image == png_bytes(figures.pipeline("1F1B", 4, 3))
    memory = explorers.memory()
    memory.controls["ranks"].value = 64
    assert memory.image == png_bytes(figures.zero_stages(8e9, 64, 80e9))
    planner = explorers.planner("Qwen3-8B", 64)
    planner.controls["devices"].value = 8
    found = plan(MODELS["Qwen3-8B"], Cluster(devices=8), explorers.BATCH)
    assert planner.image == png_bytes(figures.plans(found, "Qwen3-8B", 8))
