"""The roofline: how fast a device can be at best, given the FLOPs and bytes of the work.

A device has two speeds, FLOPs per second and bytes per second. Work with few FLOPs for each byte
fetched is limited by memory bandwidth; work with many is limited by arithmetic.

    intensity = FLOPs / bytes          ridge = peak FLOPs per second / bandwidth
    attainable FLOPs per second = min(peak, intensity * bandwidth)
    decode: tokens per second <= batch * bandwidth / (bytes of weights read + bytes of cache)
    of E experts with k for each token, B tokens use E * (1 - (1 - k/E)**B) on average

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
    """A device by its data sheet; FLOPs are dense, in bfloat16 with float32 accumulation.

    Data sheets quote twice as many for matrices of which half the entries are zero. A GB of memory
    is taken as 10^9 bytes; boards have a few per cent more, and drivers use some of it.
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
    """Return the FLOPs for each byte that is read from memory or written to it."""
    _require_positive(bytes_moved=bytes_moved)
    return flops / bytes_moved


def ridge_intensity(peak_flops: Number, bandwidth: Number) -> float:
    """Return the intensity above which arithmetic is the limit of a device."""
    _require_positive(peak_flops=peak_flops, bandwidth=bandwidth)
    return peak_flops / bandwidth


def roofline(intensity: Number, peak_flops: Number, bandwidth: Number) -> float:
    """Return the FLOPs per second that are attainable at this intensity."""
    _require_positive(intensity=intensity, peak_flops=peak_flops, bandwidth=bandwidth)
    return min(peak_flops, intensity * bandwidth)


def decode_tokens_per_second(
    weight_bytes: Number, cache_bytes: Number, bandwidth: Number, batch: int = 1
) -> float:
    """Return the limit that memory bandwidth sets on the tokens per second of a batch of texts.

    Each step reads `weight_bytes` once, for the whole batch, and `cache_bytes`, the caches of the
    whole batch. Of an embedding table and of a mixture, not all weights are read
    (`parameters_read`).
    """
    _require_positive(weight_bytes=weight_bytes, bandwidth=bandwidth, batch=batch)
    return batch * bandwidth / (weight_bytes + cache_bytes)


class PassCost(NamedTuple):
    """One forward pass: its FLOPs, and the bytes that it must move at least."""

    flops: Number
    bytes_moved: Number

    @property
    def intensity(self) -> float:
        """FLOPs per byte."""
        return arithmetic_intensity(self.flops, self.bytes_moved)


def model_step(
    config: ModelConfig, tokens: int, past: int = 0, batch: int = 1, dtype: str = "bfloat16"
) -> PassCost:
    """Return the cost of running `tokens` new tokens of each text after `past` cached ones.

    Prefill is many tokens and no past, decode one token and a long past. Logits are computed for
    the last position only.
    """
    flops = forward_flops(config, tokens, past, batch, last_only=True)
    weights = parameters_read(config, batch * tokens) * bytes_per_number(dtype)
    return PassCost(flops, weights + inference_memory(config, past + tokens, batch, dtype).cache)


def time_bound(step: PassCost, device: Device) -> tuple[float, Literal["compute", "memory"]]:
    """Return the minimum seconds of a step on a device, and which of its speeds is the limit."""
    compute, memory = step.flops / device.peak_flops, step.bytes_moved / device.bandwidth
    return (compute, "compute") if compute > memory else (memory, "memory")


def parameters_read(config: ModelConfig, tokens: int) -> Number:
    """Return how many parameters a pass over `tokens` tokens reads.

    Of an embedding table that is only looked up, it reads a row for each token. Of the experts it
    reads those that some token uses, on average E * (1 - (1 - k/E)**tokens) if all are equally
    likely.
    """
    table = config.vocab_size * config.hidden_size
    count: Number = total_parameters(config)
    if not config.tie_word_embeddings:
        count -= table - min(tokens * config.hidden_size, table)
    sparse = sum(config.is_sparse(layer) for layer in range(config.num_hidden_layers))
    if sparse:
        unused = (1 - config.num_experts_per_tok / config.num_experts) ** tokens
        expert = 3 * config.hidden_size * config.moe_intermediate_size
        count -= sparse * config.num_experts * unused * expert
    return count


def _require_positive(**values: Number) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ValueError(
                f"{name} must be positive; got {value}. Speeds are per second, in FLOPs and bytes."
            )
