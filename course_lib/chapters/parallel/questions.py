"""The questions that close this notebook.

Taught in:        parallel
Checked against:  `course_lib.parallel`, from which the numeric answers are computed
"""

import random
from collections.abc import Sequence
from typing import Any

import torch

from course_lib.parallel import (
    average_gradients,
    bubble_fraction,
    collective_traffic,
    run_ranks,
    zero_memory,
)
from course_lib.parallel.layout import forward_passes
from course_lib.study.ask.question import FindTheBug, Numeric, OneAnswer, OrderSteps, SeveralAnswers
from course_lib.study.ask.question_parts import Slip, right, wrong


def _mean_of_batch(targets: Sequence[int], means: Sequence[float | int]) -> float:
    """Return the mean over the targets of all ranks, from those of each rank."""
    found = run_ranks(
        lambda comm: average_gradients(
            comm, [torch.tensor([float(means[comm.rank])])], targets[comm.rank]
        ),
        len(targets),
    )
    return found[0][0].item()


RING_BYTES = Numeric(
    id="parallel.ring_bytes",
    prompt="{ranks} ranks add up gradients of {megabytes} MB with a ring all-reduce. How many MB "
    "does each rank send?",
    draw=lambda rng: {
        "ranks": rng.choice([4, 8, 16]),
        "megabytes": rng.choice([88, 176, 336, 496]),
    },
    answer=lambda ranks, megabytes: collective_traffic("all-reduce", megabytes, ranks).bytes,
    explain=lambda ranks, megabytes: (
        f"2 · ({ranks} − 1)/{ranks} · {megabytes} = {2 * (ranks - 1) / ranks * megabytes:g}: once "
        "to add up, once to copy."
    ),
    unit="MB",
    slips=(
        Slip(
            "one round",
            lambda ranks, megabytes: (ranks - 1) / ranks * megabytes,
            "That is the reduce-scatter. The finished chunks have to be copied to all as well.",
        ),
        Slip(
            "whole tensors",
            lambda ranks, megabytes: 2 * (ranks - 1) * megabytes,
            "A message of a ring is a chunk, an n-th of the tensor.",
        ),
    ),
)

LATENCY = OneAnswer(
    "parallel.latency",
    "For which tensors is a tree all-reduce faster than a ring, on 256 ranks?",
    (
        right(
            "For small ones.",
            "A ring has 510 steps, a tree 16. With few bytes the latency of the steps decides.",
        ),
        wrong(
            "For large ones, since its messages are sent in parallel.",
            "A tree sends the whole tensor in each step; with many bytes that takes longer.",
        ),
        wrong("For none.", "With few bytes, 510 latencies are more than 16."),
        wrong(
            "For those that are a power of two long.",
            "That is a condition of recursive halving, and it is about the ranks.",
        ),
    ),
)

DEADLOCK = OneAnswer(
    "parallel.deadlock",
    "A rank skips its optimizer step, and the all-reduce in it, because its own gradients "
    "were not finite. The others do not. What happens next?",
    (
        right(
            "The others wait for it, or its next call meets theirs, which is a different one.",
            "Collectives are matched by their order. Ranks must decide together.",
        ),
        wrong(
            "The sum is computed over the other ranks, which are the ones that took part in it.",
            "A collective needs every rank of its group; it does not know who will come.",
        ),
        wrong(
            "Its weights differ from the others' until the next broadcast.",
            "They would, but the other ranks do not get that far.",
        ),
    ),
)

MEANS = Numeric(
    id="parallel.means",
    prompt="Rank 0 has {few} targets with a mean loss of {low}, rank 1 has {many} targets with a "
    "mean loss of {high}. What is the mean loss of the batch?",
    draw=lambda rng: {
        "few": rng.randint(1, 3),
        "many": rng.randint(7, 9),
        "low": rng.choice([1.3, 1.7, 2.1]),
        "high": rng.choice([5.3, 6.1, 7.9]),
    },
    answer=lambda few, many, low, high: _mean_of_batch((few, many), (low, high)),
    explain=lambda few, many, low, high: (
        f"({few} · {low} + {many} · {high}) / {few + many} = "
        f"{(few * low + many * high) / (few + many):.3f}: each rank is weighted by its targets."
    ),
    slips=(
        Slip(
            "the mean of the means",
            lambda few, many, low, high: (low + high) / 2,
            "That would be right if both had equally many targets.",
        ),
    ),
)


def _draw_zero(rng: random.Random) -> dict[str, Any]:
    return {
        "billions": rng.choice([1, 4, 7, 13]),
        "ranks": rng.choice([4, 8, 16]),
        "stage": rng.choice([1, 2]),
    }


ZERO_BYTES = Numeric(
    id="parallel.zero_bytes",
    prompt="A model of {billions} billion parameters is trained with Adam in mixed precision (2 + "
    "2 + 12 bytes for each) on {ranks} devices with ZeRO-{stage}. How many GB (10⁹ bytes) does "
    "each device hold, without activations?",
    draw=_draw_zero,
    answer=lambda billions, ranks, stage: zero_memory(billions, ranks, stage).total,
    explain=lambda billions, ranks, stage: (
        "Stage 1 shards the 12 bytes, stage 2 also the 2 of the gradients: "
        f"{zero_memory(billions, ranks, stage).total:g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "everything sharded",
            lambda billions, ranks, stage: 16 * billions / ranks,
            "That is stage 3. Here the parameters, at least, are whole.",
        ),
        Slip(
            "nothing sharded",
            lambda billions, ranks, stage: 16 * billions,
            "That is plain data parallelism.",
        ),
    ),
)

ZERO_THREE = OneAnswer(
    "parallel.zero_three",
    "Why does a step under ZeRO-3 move about 3 P numbers per rank, and one under ZeRO-2 only 2 P?",
    (
        right(
            "Parameters are gathered twice, forward and backward; gradients are reduced once.",
            "ZeRO-2 gathers once, after the step, and reduces once.",
        ),
        wrong(
            "Parameters, gradients and moments each travel once.",
            "Moments never travel: each rank updates its own shard.",
        ),
        wrong(
            "It reduces gradients in float32.",
            "The number type is a separate choice. What changes is how often parameters move.",
        ),
        wrong(
            "Each of its all-gathers sends to all ranks, and then all back again for safety.",
            "A gather has one direction; there are more of them.",
        ),
    ),
)

NORM = OneAnswer(
    "parallel.norm",
    "Gradients are sharded over 4 ranks, and each shard has norm 1. They are to be clipped to norm "
    "1. By which factor is each shard multiplied?",
    (
        right("1/2", "Squares add up: the whole norm is √4 = 2."),
        wrong("1", "Each rank would clip by its own norm only; the whole gradient is 2 long."),
        wrong("1/4", "Norms do not add up; squares do."),
    ),
)

BIAS = OneAnswer(
    "parallel.bias",
    "A row-parallel layer on 8 ranks adds its bias on every rank before the all-reduce. What "
    "happens?",
    (
        right(
            "The output contains 8 times the bias; training still runs, with other results.",
            "Nothing fails. Only a comparison with one process reveals it.",
        ),
        wrong(
            "The ranks' outputs differ from each other, so that the next collective fails with an "
            "error.",
            "All ranks have the same wrong sum.",
        ),
        wrong("Nothing: the bias is sharded.", "The bias belongs to the output, which is whole."),
        wrong(
            "The gradient of the bias becomes 8 times too small.",
            "It gets the same gradient on every rank; the output is what is wrong.",
        ),
    ),
)

ONE_ALL_REDUCE = SeveralAnswers(
    "parallel.one_all_reduce",
    "Why does a feed-forward layer cut by hidden units need no communication between its two "
    "matrices?",
    (
        right(
            "The activation works on each hidden unit alone.",
            "A rank has whole hidden units, so it can apply it without the others.",
        ),
        right(
            "The second product is a sum over hidden units, of which a rank can do its part.",
            "Only the parts have to be added, at the end.",
        ),
        wrong(
            "Both matrices are whole on every rank.",
            "Then nothing would be saved. Each rank has a part of both.",
        ),
        wrong(
            "The activation is linear.",
            "It is not; that is why the cut goes along hidden units and not across them.",
        ),
    ),
)

BUBBLE = Numeric(
    id="parallel.bubble",
    prompt="A pipeline of {stages} stages runs {microbatches} microbatches with 1F1B. What "
    "percentage of the time is a stage idle?",
    draw=lambda rng: {
        "stages": rng.choice([4, 8]),
        "microbatches": rng.choice([8, 12, 16, 24]),
    },
    answer=lambda stages, microbatches: 100 * bubble_fraction(stages, microbatches),
    explain=lambda stages, microbatches: (
        f"({stages} − 1) / ({microbatches} + {stages} − 1) = "
        f"{100 * bubble_fraction(stages, microbatches):.1f} %."
    ),
    unit="percent",
    slips=(
        Slip(
            "of the useful time",
            lambda stages, microbatches: 100 * (stages - 1) / microbatches,
            "That is the bubble divided by the useful time. Divide it by the whole time.",
        ),
        Slip(
            "stages over microbatches",
            lambda stages, microbatches: 100 * stages / (microbatches + stages),
            "p − 1 microbatches' worth of time is lost, not p.",
        ),
    ),
)

KEPT = OneAnswer(
    "parallel.kept",
    "What does 1F1B gain over GPipe, with the same stages and microbatches?",
    (
        right(
            "It keeps activations of fewer microbatches.",
            "At most p of them, however many microbatches there are.",
        ),
        wrong(
            "Its bubble is half as large, since forward and backward passes alternate.",
            "The bubble is the same: filling and emptying the pipeline take as long.",
        ),
        wrong("It sends fewer bytes.", "The same activations and gradients travel."),
        wrong("It needs no microbatches.", "With one microbatch only one stage works at a time."),
    ),
)

VOCABULARY = OrderSteps(
    id="parallel.vocabulary",
    prompt="Cross-entropy from logits that are cut by vocabulary. Put the steps in order.",
    steps=(
        "Each rank takes the maximum of its own logits.",
        "An all-reduce takes the maximum over the ranks.",
        "Each rank sums the exponentials of its logits minus that maximum.",
        "An all-reduce adds up these sums, and the target's logit from the rank that has it.",
        "The loss is the maximum plus the logarithm of the sum, minus the target's logit.",
    ),
    explanation="Sums of exponentials can only be added if all subtracted the same maximum, so the "
    "maximum comes first. No rank ever has all logits.",
)

ZIGZAG = OneAnswer(
    "parallel.zigzag",
    "A long text is cut in order over 8 ranks for ring attention with a causal mask. What is wrong "
    "with that?",
    (
        right(
            "The last rank has most of the work, and the others wait for it.",
            "Its queries read nearly everything, the first rank's nearly nothing.",
        ),
        wrong(
            "The first ranks' results are wrong, since keys of later ranks reach them.",
            "Those keys are masked, or not read at all.",
        ),
        wrong(
            "Positions for RoPE are not known on later ranks.",
            "A rank knows which tokens it has; keys travel after they were rotated.",
        ),
    ),
)

LAYOUT = OneAnswer(
    "parallel.layout",
    "Machines have 8 devices with fast links inside and slow ones between them. Which axis should "
    "stay inside a machine?",
    (
        right(
            "Tensor parallelism",
            "It sends activations several times in every layer, and everybody waits for them.",
        ),
        wrong(
            "Data parallelism",
            "It communicates once per step, while the backward pass goes on.",
        ),
        wrong(
            "The pipeline",
            "It sends activations only between neighbouring stages: little compared with the rest.",
        ),
    ),
)

RECOMPUTE = Numeric(
    id="parallel.recompute",
    prompt="A forward pass takes {ms} ms, a backward pass twice as long. How many ms do both take "
    "if all activations are computed again in the backward pass?",
    draw=lambda rng: {"ms": rng.choice([30, 50, 70, 90, 120])},
    answer=lambda ms: forward_passes(recompute=True) * ms,
    explain=lambda ms: f"Forward, forward again, and backward: (1 + 1 + 2) · {ms} = {4 * ms}.",
    unit="ms",
    slips=(
        Slip("nothing again", lambda ms: 3 * ms, "The second forward pass takes time too."),
        Slip("twice everything", lambda ms: 6 * ms, "Only the forward pass is done twice."),
    ),
)

SCALER = OneAnswer(
    "parallel.scaler",
    "A model is trained in float16 with a loss scale of 1024 and gradients clipped to norm 1. In "
    "which order?",
    (
        right(
            "Divide the gradients by 1024, then clip, then step.",
            "The limit is meant for the true gradient.",
        ),
        wrong(
            "Clip, then divide the gradients by 1024, then step.",
            "The scaled gradient is 1024 times as long, so it would be clipped to 1/1024.",
        ),
        wrong(
            "Clip, then step, then divide the weights by 1024.",
            "Weights are never scaled; only the loss is, and its gradients.",
        ),
    ),
)


def _averages_twice(names: dict[str, Any]) -> bool:
    class Two:
        size = 2

        def all_reduce(self, x: float) -> float:
            return 2 * x

    found: float = names["averaged"](Two(), 3.0, 4, 8)
    return found != 3.0


BUG = FindTheBug(
    id="parallel.bug_average",
    prompt="Two ranks with 4 of 8 targets each train more slowly than one process.",
    code="""
def averaged(comm, gradient, targets, all_targets):
    share = targets / all_targets
    weighted = gradient * share
    return comm.all_reduce(weighted / comm.size)
""",
    line=4,
    fixed="    return comm.all_reduce(weighted)",
    why="The shares of all ranks add up to 1, so the sum is the mean already. Dividing by the "
    "number of ranks averages a second time.",
    why_not={
        1: "The gradient, its targets and those of all ranks are what is needed.",
        2: "A rank is weighted by its share of the targets.",
        3: "The rank's mean gradient, weighted: right.",
    },
    shows_bug=_averages_twice,
)

QUESTIONS = (
    RING_BYTES,
    LATENCY,
    DEADLOCK,
    MEANS,
    ZERO_BYTES,
    ZERO_THREE,
    NORM,
    BIAS,
    ONE_ALL_REDUCE,
    BUBBLE,
    KEPT,
    VOCABULARY,
    ZIGZAG,
    LAYOUT,
    RECOMPUTE,
    SCALER,
    BUG,
)
