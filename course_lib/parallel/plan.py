"""Which layout for which model and cluster: all of them, predicted, and the fastest that fits.

    best = plan(MODELS["Qwen3-8B"], Cluster(devices=64), Batch(512, 4096))[0]

Taught in:        parallel
Checked against:  `layout`, from which every number comes; layouts worked out by hand
Shapes:           none
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from course_lib.model import ModelConfig
from course_lib.parallel.layout import (
    Batch,
    Cluster,
    Layout,
    Memory,
    Time,
    Whole,
    memory_of,
    time_of,
)

MICROBATCHES = (1, 2, 4)


@dataclass(frozen=True)
class Plan:
    """A layout with what is predicted for it."""

    layout: Layout
    memory: Memory
    time: Time
    fits: bool
    utilisation: float  # of the peak, by the model's own FLOPs (MFU)


def prediction(
    config: ModelConfig,
    layout: Layout,
    batch: Batch,
    cluster: Cluster,
    whole: Whole | None = None,
) -> Plan:
    """Return what is predicted for one layout."""
    if layout.devices != cluster.devices:
        raise ValueError(
            f"dp x tp x pp must be the number of devices, {cluster.devices}; got "
            f"{layout.dp} x {layout.tp} x {layout.pp} = {layout.devices}."
        )
    if trouble := trouble_with(config, layout, batch):
        raise ValueError(trouble)
    whole = whole or Whole.of(config, batch.tokens)
    memory = memory_of(config, layout, batch, whole)
    time = time_of(config, layout, batch, cluster, whole)
    flops = 3 * whole.flops * batch.sequences
    peak = cluster.devices * cluster.device.peak_flops
    fits = memory.total <= cluster.usable * cluster.device.memory
    return Plan(layout, memory, time, fits, flops / (time.total * peak))


def plan(config: ModelConfig, cluster: Cluster, batch: Batch) -> list[Plan]:
    """Return a plan for every possible layout: those that fit first, the fastest first."""
    whole = Whole.of(config, batch.tokens)
    found = [
        prediction(config, layout, batch, cluster, whole)
        for layout in layouts(config, cluster, batch)
    ]
    if not found:
        raise ValueError(
            f"no layout uses exactly {cluster.devices} devices for {batch.sequences} sequences. "
            "Use a batch that is a multiple of the data-parallel ranks, or other devices."
        )
    return sorted(found, key=lambda each: (not each.fits, each.time.total, each.memory.total))


def layouts(config: ModelConfig, cluster: Cluster, batch: Batch) -> Iterator[Layout]:
    """Yield every layout that divides the model, the cluster and the batch.

    Tensor parallelism stays inside a node, and is sequence parallel. A pipeline shards the
    optimizer at most (ZeRO-1), since it would have to gather parameters anew for each microbatch.
    """
    for tp, pp in product(_divisors(cluster.per_node), _divisors(config.num_hidden_layers)):
        dp = cluster.devices // (tp * pp)
        experts = _divisors(dp) if config.is_sparse(0) else [1]
        settings = product(experts, range(2 if pp > 1 else 4), MICROBATCHES, (False, True))
        for ep, zero, microbatch, recompute in settings:
            layout = Layout(dp, tp, pp, ep, zero, microbatch, recompute, sequence=tp > 1)
            if layout.devices == cluster.devices and not trouble_with(config, layout, batch):
                yield layout


def trouble_with(config: ModelConfig, layout: Layout, batch: Batch) -> str:
    """Return why a layout is not possible, or an empty text."""
    rules = (
        ("num_key_value_heads", config.num_key_value_heads, "tp", layout.tp),
        ("tokens", batch.tokens, "tp", layout.tp if layout.sequence else 1),
        ("num_hidden_layers", config.num_hidden_layers, "pp", layout.pp),
        ("the data-parallel ranks", layout.dp, "ep", layout.ep),
        ("num_experts", config.num_experts or 1, "ep", layout.ep),
        ("sequences", batch.sequences, "dp x microbatch", layout.dp * layout.microbatch),
    )
    for name, number, divisor_name, divisor in rules:
        if divisor < 1 or number % divisor:
            return f"{name} must be a multiple of {divisor_name}; got {number} and {divisor}."
    return ""


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]
