"""The roofline: how fast a device can be at best, given what is computed and what is moved.

A device has two speeds, FLOPs and bytes per second. A step that does few FLOPs for each byte that
it fetches waits for the memory, one that does many waits for the arithmetic.

    intensity = FLOPs / bytes          ridge = peak FLOPs per second / bandwidth
    attainable FLOPs per second = min(peak, intensity * bandwidth)
    decode: tokens per second <= batch * bandwidth / (bytes of weights + bytes of cache)

Prefill multiplies each weight with all tokens of the prompt, decode with one token per text: the
same bytes for far fewer FLOPs.

Taught in:        parameter_counting
Paper:            Williams et al. 2009, "Roofline", doi:10.1145/1498765.1498785
Checked against:  times worked out by hand
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from course_lib.accounting.compute import forward_flops
from course_lib.accounting.memory import bytes_per_number, inference_memory
from course_lib.accounting.parameters import total_parameters
from course_lib.model import ModelConfig

Number = int | float


class Device(NamedTuple):
    """What the data sheet of a device says; FLOPs are dense ones, in bfloat16 added up in float32.

    Data sheets quote twice as many for matrices of which half is zero. A GB of memory is taken as
    10^9 bytes; boards hold a few per cent more, of which drivers take some.
    """

    name: str
    peak_flops: Number
    bandwidth: Number
    memory: Number


DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        device.name: device
        for device in (
            # NVIDIA's data sheets of the A100, H100, H200 and L4; of the last three half of the
            # figure "with sparsity": 1,979 and 242 TFLOPS.
            Device("A100 SXM 80 GB", 312e12, 2.039e12, 80e9),
            Device("H100 SXM", 989e12, 3.35e12, 80e9),
            Device("H200 SXM", 989e12, 4.8e12, 141e9),
            Device("L4", 121e12, 0.3e12, 24e9),
            # NVIDIA Ada GPU Architecture, appendix on the GeForce RTX 4090
            Device("RTX 4090", 165.2e12, 1.008e12, 24e9),
        )
    }
)


def arithmetic_intensity(flops: Number, bytes_moved: Number) -> float:
    """Return the FLOPs for each byte that comes from memory or goes there."""
    _require_positive(bytes_moved=bytes_moved)
    return flops / bytes_moved


def ridge_intensity(peak_flops: Number, bandwidth: Number) -> float:
    """Return the intensity from which on the arithmetic is what limits a device."""
    _require_positive(peak_flops=peak_flops, bandwidth=bandwidth)
    return peak_flops / bandwidth


def roofline(intensity: Number, peak_flops: Number, bandwidth: Number) -> float:
    """Return the FLOPs per second that are attainable at this intensity."""
    _require_positive(intensity=intensity, peak_flops=peak_flops, bandwidth=bandwidth)
    return min(peak_flops, intensity * bandwidth)


def decode_tokens_per_second(
    weight_bytes: Number, cache_bytes: Number, bandwidth: Number, batch: int = 1
) -> float:
    """Return the most tokens per second that a batch of texts can get, were FLOPs free.

    Each step reads all weights once, for the whole batch, and the cache of every text;
    `cache_bytes` is the cache of the whole batch.
    """
    _require_positive(weight_bytes=weight_bytes, bandwidth=bandwidth, batch=batch)
    return batch * bandwidth / (weight_bytes + cache_bytes)


class PassCost(NamedTuple):
    """One forward pass: what it computes, and what it must move at least."""

    flops: int
    bytes_moved: Number

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return arithmetic_intensity(self.flops, self.bytes_moved)


def model_step(
    config: ModelConfig, tokens: int, past: int = 0, batch: int = 1, dtype: str = "bfloat16"
) -> PassCost:
    """Return the cost of running `tokens` new tokens of each text behind `past` cached ones.

    Prefill is many tokens and no past, decode one token and a long past. Of the experts those are
    read that some token of the batch uses; they are expected to be used equally often.
    """
    flops = forward_flops(config, tokens, past, batch, last_only=True)
    weights = _parameters_read(config, batch * tokens) * bytes_per_number(dtype)
    return PassCost(flops, weights + inference_memory(config, past + tokens, batch, dtype).cache)


def time_bound(step: PassCost, device: Device) -> tuple[float, Literal["compute", "memory"]]:
    """Return the least seconds that a step takes on a device, and which of its speeds decides."""
    compute, memory = step.flops / device.peak_flops, step.bytes_moved / device.bandwidth
    return (compute, "compute") if compute > memory else (memory, "memory")


def _parameters_read(config: ModelConfig, tokens: int) -> Number:
    """Return how many parameters `tokens` tokens touch: of a table for look-up, their rows."""
    table = config.vocab_size * config.hidden_size
    count: Number = total_parameters(config)
    if not config.tie_word_embeddings:
        count -= table - min(tokens * config.hidden_size, table)
    sparse = sum(config.is_sparse(layer) for layer in range(config.num_hidden_layers))
    if sparse:
        idle = (1 - config.num_experts_per_tok / config.num_experts) ** tokens
        expert = 3 * config.hidden_size * config.moe_intermediate_size
        count -= sparse * config.num_experts * idle * expert
    return count


def _require_positive(**values: Number) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(
                f"{name} must be positive; got {value}. Speeds are per second, in FLOPs and bytes."
            )
