"""One way to spread a training over a cluster: what it takes in memory, traffic and time.

A layout is dp x tp x pp devices: data, tensor and pipeline parallelism. Experts may be spread over
`ep` of the dp ranks. Predictions are estimates with the assumptions below, not promises:

    memory     ZeRO's bytes + activations in bfloat16 with flash attention + logits (last stage);
               tp cuts heads, hidden units and logits; with sequence parallelism also the residual
               stream and the norms, but for what the layers after a norm read, which is whole
    compute    3 forward passes (4 with recomputation) at `efficiency` times the peak
    bubble     (pp - 1) / (microbatches * chunks) of the compute
    pp         2 hops per microbatch, in which each of the tp devices sends its part of the stream
    tp         4 all-reduces of the residual stream per layer and microbatch, not overlapped
    ep         4 all-to-alls of k streams per layer of experts and microbatch, not overlapped
               (with recomputation 6 of each, since the forward pass is made twice)
    dp         2 P, or (2 * microbatches + 1) P under ZeRO-3; what outlasts the backward pass counts

Taught in:        parallel
Paper:            Korthikanti et al. 2022, arXiv:2205.05198; Narayanan et al. 2021,
                  arXiv:2104.04473; Llama team 2024, arXiv:2407.21783
Checked against:  what real processes allocate (memory); published throughputs (time)
Shapes:           none
"""

from dataclasses import dataclass
from typing import NamedTuple

from course_lib.accounting.compute import forward_flops
from course_lib.accounting.limits import DEVICES, Device
from course_lib.accounting.parameters import parameter_parts
from course_lib.model import ModelConfig
from course_lib.parallel.costs import collective_traffic, zero_memory
from course_lib.parallel.schedules import bubble_fraction

Number = int | float


@dataclass(frozen=True)
class Cluster:
    """Devices in nodes: fast links inside a node, slower ones between nodes, for each device."""

    device: Device = DEVICES["H100 SXM"]
    devices: int = 8
    per_node: int = 8
    node_bandwidth: Number = 450e9  # bytes per second in one direction: NVLink of an H100
    network_bandwidth: Number = 50e9  # 400 Gb/s per device
    latency: Number = 10e-6  # of a step of a collective
    efficiency: Number = 0.55  # of the peak, in the products of a large model
    usable: Number = 0.9  # of the memory; the rest is for buffers and fragments


@dataclass(frozen=True)
class Batch:
    """The batch of a step: sequences in all, and the tokens of each."""

    sequences: int
    tokens: int


@dataclass(frozen=True)
class Layout:
    """How a training is spread."""

    dp: int = 1
    tp: int = 1
    pp: int = 1
    ep: int = 1
    zero: int = 0
    microbatch: int = 1  # sequences
    recompute: bool = False
    chunks: int = 1  # pieces of the model that each pipeline stage has (interleaving)
    sequence: bool = False  # tensor-parallel devices share the tokens between layers

    @property
    def devices(self) -> int:
        """The devices that it takes."""
        return self.dp * self.tp * self.pp

    def microbatches(self, batch: Batch) -> int:
        """Return how many microbatches each pipeline runs in a step."""
        return batch.sequences // (self.dp * self.microbatch)

    def __str__(self) -> str:
        axes = (("dp", self.dp), ("tp", self.tp), ("pp", self.pp), ("ep", self.ep))
        parts = [f"{name}={size}" for name, size in axes if size > 1]
        options = {"sp": self.sequence, "recompute": self.recompute}
        parts += [f"zero={self.zero}", *(name for name, chosen in options.items() if chosen)]
        return " ".join([*parts, f"microbatch={self.microbatch}"])


class Precision(NamedTuple):
    """The bytes of a number: weight, gradient, optimizer state, activation, and logit.

    Logits count with the gradient that the loss makes of them.
    """

    parameter: int = 2
    gradient: int = 2
    optimizer: int = 12
    activation: int = 2
    logit: int = 6


MIXED = Precision()  # bfloat16, with master weights, moments and the logits' gradient in float32
FLOAT32 = Precision(4, 4, 8, 4, 8)


class Memory(NamedTuple):
    """The bytes of the fullest device."""

    parameters: Number
    gradients: Number
    optimizer: Number
    activations: Number

    @property
    def total(self) -> float:
        """The sum."""
        return float(sum(self))


class Time(NamedTuple):
    """The seconds of a step, by what takes them."""

    compute: Number
    bubble: Number
    tensor: Number
    pipeline: Number
    experts: Number
    data: Number

    @property
    def total(self) -> float:
        """The sum."""
        return float(sum(self))


class Sizes(NamedTuple):
    """The parameters of one device, before ZeRO."""

    dense: float
    experts: float


class Whole(NamedTuple):
    """What layouts need to know of a whole model; counted once for all of them."""

    tables: int
    inner: int
    experts: int
    sparse_layers: int
    flops: int  # of a forward pass over a sequence

    @classmethod
    def of(cls, config: ModelConfig, tokens: int) -> "Whole":
        """Count a model."""
        parts = {part.name: part.parameters for part in parameter_parts(config)}
        tables = sum(parts.get(name, 0) for name in ("embedding", "positions", "output head"))
        experts = parts.get("experts", 0)
        inner = sum(parts.values()) - tables - experts
        sparse = sum(map(config.is_sparse, range(config.num_hidden_layers)))
        return cls(tables, inner, experts, sparse, forward_flops(config, tokens))


def sizes_of(config: ModelConfig, layout: Layout, whole: Whole | None = None) -> Sizes:
    """Return the parameters of one device, with the tables on the stage that has them."""
    whole = whole or Whole.of(config, 1)
    dense = whole.inner / (layout.pp * layout.tp) + _table_numbers(config, layout, whole)
    return Sizes(dense, whole.experts / (layout.pp * layout.tp * layout.ep))


def _table_numbers(config: ModelConfig, layout: Layout, whole: Whole) -> float:
    """Return the numbers of embedding and head on one device; untied ones are on two stages."""
    apart = layout.pp > 1 and not config.tie_word_embeddings
    return whole.tables / layout.tp / (2 if apart else 1)


def memory_of(
    config: ModelConfig,
    layout: Layout,
    batch: Batch,
    whole: Whole | None = None,
    precision: Precision = MIXED,
) -> Memory:
    """Return the bytes of the fullest device."""
    whole = whole or Whole.of(config, batch.tokens)
    sizes = sizes_of(config, layout, whole)
    numbers = precision.parameter, precision.gradient, precision.optimizer
    dense = zero_memory(sizes.dense, layout.dp, layout.zero, *numbers)
    experts = zero_memory(sizes.experts, layout.dp // layout.ep, layout.zero, *numbers)
    if layout.zero == 3:  # a layer is whole, and the one that is fetched ahead; the tables always
        tables = _table_numbers(config, layout, whole)
        layers = config.num_hidden_layers / layout.pp
        layer = (sizes.dense - tables + sizes.experts) / layers
        always = tables * (1 - 1 / layout.dp)
        dense = dense._replace(
            parameters=dense.parameters + precision.parameter * (min(2, layers) * layer + always),
            gradients=dense.gradients + precision.gradient * (layer + always),
        )
    kept = activations_of(config, layout, batch, precision)
    parameters, gradients, optimizer = (a + b for a, b in zip(dense, experts, strict=True))
    return Memory(parameters, gradients, optimizer, kept)


def activations_of(
    config: ModelConfig, layout: Layout, batch: Batch, precision: Precision = MIXED
) -> float:
    """Return the bytes of activations: the larger of the first stage's and the last one's.

    The last one has the last norm and the logits too. At the start of a layer's backward pass,
    gradients of its hidden vectors are added, three with a gate. Tensor parallelism cuts all but
    the stream and the norms; sequence parallelism cuts these too, but not the output of a norm.
    With recomputation one layer is there in full then, with its output and two gradients of it.
    """
    tokens, tp = layout.microbatch * batch.tokens * precision.activation, layout.tp
    layers, width = config.num_hidden_layers / layout.pp, config.hidden_size
    stream = width * tokens / (tp if layout.sequence else 1)
    norm = 2 * stream + width * tokens
    layer = 2 * norm + (numbers_per_token(config) - 6 * width) * tokens / tp
    one = layers * (stream if layout.recompute else layer)
    backward = (0 if config.is_sparse(0) else 3 * config.intermediate_size) * tokens / tp
    working = layer + backward + 3 * stream if layout.recompute else backward
    logits = config.vocab_size * tokens / tp * precision.logit / precision.activation
    last = one + max(norm + logits, working if layout.recompute else norm + backward)
    if layout.pp == 1:
        return last
    last += config.vocab_size * tokens / tp  # a stage has its output until its backward pass ends
    flying = min(layout.pp, layout.microbatches(batch))
    return max(last, flying * (one + stream) + working)


def numbers_per_token(config: ModelConfig) -> int:
    """Return how many numbers a layer keeps for each token, with kernels for attention.

    Of each of two norms its input, the normalised input and its output; queries and keys, with
    QK-norm at three stages; values; the heads' output, also side by side; four hidden vectors with
    a gate. On a CPU, norms of many numbers do not keep the normalised input.
    """
    width = config.num_attention_heads * config.head_dim
    kv = config.num_key_value_heads * config.head_dim
    stages = 3 if config.qk_norm and config.model_type != "gpt2" else 1
    numbers = 6 * config.hidden_size + stages * (width + kv) + kv + 2 * width
    if config.is_sparse(0):
        k = config.num_experts_per_tok
        return numbers + k * (4 * config.moe_intermediate_size + 2 * config.hidden_size)
    return numbers + (2 if config.model_type == "gpt2" else 4) * config.intermediate_size


def time_of(
    config: ModelConfig,
    layout: Layout,
    batch: Batch,
    cluster: Cluster,
    whole: Whole | None = None,
) -> Time:
    """Return the seconds of a step."""
    whole = whole or Whole.of(config, batch.tokens)
    flops = forward_passes(layout.recompute) * whole.flops * batch.sequences
    speed = layout.devices * cluster.device.peak_flops * cluster.efficiency
    compute, count = flops / speed, layout.microbatches(batch)
    idle = bubble_fraction(layout.pp, count)
    stream = 2 * config.hidden_size * layout.microbatch * batch.tokens
    layers = config.num_hidden_layers / layout.pp
    sums = 6 if layout.recompute else 4  # two for each pass
    tensor = sums * layers * count * _seconds("all-reduce", stream, layout.tp, 1, cluster)
    sparse = whole.sparse_layers / layout.pp
    moved = config.num_experts_per_tok * stream / layout.tp if sparse else 0
    experts = sums * sparse * count * _seconds("all-to-all", moved, layout.ep, layout.tp, cluster)
    across = layout.tp * layout.pp > cluster.per_node
    link = cluster.network_bandwidth if across else cluster.node_bandwidth
    hop = cluster.latency + stream / layout.tp / link
    pipeline = 2 * count * hop if layout.pp > 1 else 0.0
    data = _data_seconds(sizes_of(config, layout, whole), layout, count, cluster)
    exposed = max(0.0, data - (2 / 3 if layout.zero < 3 else 1) * compute)
    bubble = compute * idle / (1 - idle) / layout.chunks
    return Time(compute, bubble, tensor, pipeline, experts, exposed)


def forward_passes(recompute: bool) -> int:
    """Return the FLOPs of a step in forward passes: one, two for the backward, one again."""
    return 4 if recompute else 3


def _data_seconds(sizes: Sizes, layout: Layout, count: int, cluster: Cluster) -> float:
    """Return the seconds in which gradients, and sharded parameters, travel."""
    inside = layout.tp * layout.pp
    rounds = 2 * count + 1 if layout.zero == 3 else 2
    groups = ((sizes.dense, layout.dp), (sizes.experts, layout.dp // layout.ep))
    found = 0.0
    for numbers, ranks in groups:
        found += rounds * _seconds("all-gather", 2 * numbers, ranks, inside, cluster)
    return found


def _seconds(kind: str, size: Number, ranks: int, apart: int, cluster: Cluster) -> float:
    """Return the seconds of a collective over ranks whose neighbours are `apart` devices apart."""
    inside = ranks * apart <= cluster.per_node
    bandwidth = cluster.node_bandwidth if inside else cluster.network_bandwidth
    traffic = collective_traffic(kind, size, ranks)
    if not inside and kind != "all-to-all":  # first inside the nodes, then between them
        traffic = traffic._replace(steps=min(traffic.steps, 2 * (ranks - 1).bit_length() + 7))
    return traffic.seconds(cluster.latency, bandwidth)
