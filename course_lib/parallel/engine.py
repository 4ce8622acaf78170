"""What sums the gradients of a rank, and the optimizer of what the rank holds.

    zero=0       DataParallel, and an optimizer of all parameters
    zero=1, 2    ShardedOptimizer
    zero=3       FullyShard, and an optimizer of its shards

Taught in:        parallel
Checked against:  `course_lib.training.Training` on one process, step for step
Shapes:           none
"""

from typing import Any

from course_lib.parallel.data_parallel import DataParallel
from course_lib.parallel.full_shard import FullyShard
from course_lib.parallel.held import is_expert
from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.spread import Axes
from course_lib.parallel.zero import ShardedOptimizer
from course_lib.training.loop import Plan
from course_lib.training.optimizer import AdamW, decay_groups

Engine = DataParallel | ShardedOptimizer | FullyShard


def make_engine(local: SplitDecoder, axes: Axes, zero: int, plan: Plan) -> tuple[Engine, AdamW]:
    """Return the engine of this stage of ZeRO, and its optimizer."""
    data = axes.data
    settings: dict[str, Any] = {"lr": plan.peak, "betas": plan.betas}
    others = {p: axes.replicas for name, p in local.named_parameters() if is_expert(local, name)}
    groups = decay_groups(local, plan.weight_decay)
    if zero == 3:
        full = FullyShard(local, data, [local.model.blocks[layer] for layer in local.layers])
        return full, AdamW(full.groups(plan.weight_decay), **settings)
    if zero == 0:
        optimizer = AdamW(groups, **settings)
        return DataParallel(local, data, others=others), optimizer
    apart = [group | {"params": [p for p in group["params"] if p in others]} for group in groups]
    for group in groups:
        group["params"] = [p for p in group["params"] if p not in others]
    groups += [group | {"comm": axes.replicas} for group in apart if group["params"]]
    sharded = ShardedOptimizer(groups, data, lambda given: AdamW(given, **settings), zero)
    made = sharded.optimizer
    assert isinstance(made, AdamW)
    return sharded, made
