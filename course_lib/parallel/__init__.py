"""Training on many devices: one code, on simulated ranks and on real ones.

Files in the order in which the notebook reads them: `communicator` (what ranks can say), `world`
and `threads` (simulated ranks), `collectives` (by hand), `costs`; `data_parallel`, `shards`,
`zero`, `sharded_layer`, `full_shard`; `differentiable`, `tensor_parallel`, `split_model`;
`schedules`, `pipeline`; `expert_parallel`, `ring_attention`; `recompute`, `loss_scaling`; `layout`,
`plan`. For real processes: `processes`, `sharded_checkpoint`, `spread`, `held`, `own_parts`,
`engine`, `training`, `run`.

Taught in:        parallel
"""

from course_lib.parallel.collectives import (
    halving_all_reduce,
    pairwise_all_to_all,
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
    tree_all_reduce,
    tree_broadcast,
)
from course_lib.parallel.communicator import (
    Communicator,
    DeadlockError,
    Handle,
    MismatchError,
    mesh,
)
from course_lib.parallel.costs import Traffic, collective_traffic, zero_memory, zero_traffic
from course_lib.parallel.data_parallel import DataParallel, average_gradients, own_share
from course_lib.parallel.expert_parallel import ExpertParallel
from course_lib.parallel.full_shard import FullyShard
from course_lib.parallel.layout import Batch, Cluster, Layout
from course_lib.parallel.loss_scaling import LossScaler
from course_lib.parallel.pipeline import cut_into_stages, run_pipeline
from course_lib.parallel.plan import Plan, plan, prediction
from course_lib.parallel.recompute import recompute
from course_lib.parallel.ring_attention import (
    causal_pairs,
    contiguous_positions,
    ring_attention,
    zigzag_positions,
)
from course_lib.parallel.schedules import (
    ORDERS,
    bubble_fraction,
    gpipe_order,
    idle_share,
    most_kept,
    one_f_one_b_order,
    timeline,
)
from course_lib.parallel.split_model import SplitDecoder
from course_lib.parallel.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    VocabParallelEmbedding,
    vocab_parallel_losses,
)
from course_lib.parallel.threads import ThreadCommunicator, run_ranks
from course_lib.parallel.zero import ShardedOptimizer

__all__ = [
    "ORDERS",
    "Batch",
    "Cluster",
    "ColumnParallelLinear",
    "Communicator",
    "DataParallel",
    "DeadlockError",
    "ExpertParallel",
    "FullyShard",
    "Handle",
    "Layout",
    "LossScaler",
    "MismatchError",
    "Plan",
    "RowParallelLinear",
    "ShardedOptimizer",
    "SplitDecoder",
    "ThreadCommunicator",
    "Traffic",
    "VocabParallelEmbedding",
    "average_gradients",
    "bubble_fraction",
    "causal_pairs",
    "collective_traffic",
    "contiguous_positions",
    "cut_into_stages",
    "gpipe_order",
    "halving_all_reduce",
    "idle_share",
    "mesh",
    "most_kept",
    "one_f_one_b_order",
    "own_share",
    "pairwise_all_to_all",
    "plan",
    "prediction",
    "recompute",
    "ring_all_gather",
    "ring_all_reduce",
    "ring_attention",
    "ring_reduce_scatter",
    "run_pipeline",
    "run_ranks",
    "timeline",
    "tree_all_reduce",
    "tree_broadcast",
    "vocab_parallel_losses",
    "zero_memory",
    "zero_traffic",
    "zigzag_positions",
]
