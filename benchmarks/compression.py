"""One token through one linear layer in few bits: time, bytes and errors beside float32.

    python -m benchmarks.compression

Matrices are used in turn, as many as make up 256 MB in float32, so that none of them stays in the
cache, as in decoding. Each contestant gets its own form of the same weights. Times are ratios
within each round. The bandwidth of a plain copy is measured in the same run, in GB per second.
"""

import math
from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from benchmarks.record import measured_on, print_table
from benchmarks.timing import median, race, ratio
from course_lib import compression
from course_lib.compression import Scheme
from course_lib.device import seeded
from course_lib.study.exhibits.stored_benchmarks import benchmark_file
from course_lib.study.exhibits.toy_models import store_results

SHAPES = {"course model": (640, 256), "100 M": (2304, 768), "0.6 B": (3072, 1024)}
BASE = "float32"
Product = Callable[[Tensor], Tensor]
PACKED_GROUP = 64


def float32(weight: Tensor) -> tuple[Product, float]:
    return lambda x: x @ weight.T, weight.nbytes


def bfloat16(weight: Tensor) -> tuple[Product, float]:
    half = weight.bfloat16()
    return lambda x: (x.bfloat16() @ half.T).float(), half.nbytes


def int8_pack(weight: Tensor, kind: torch.dtype) -> tuple[Product, float]:
    codes, scale = compression.absmax_quantise(weight, 8)
    scales = scale[:, 0].to(kind)

    def product(x: Tensor) -> Tensor:
        return torch._weight_int8pack_mm(x.to(kind), codes, scales).float()

    return product, codes.nbytes + scales.nbytes


def int4_pack(weight: Tensor) -> tuple[Product, float]:
    groups = weight.unflatten(1, (-1, PACKED_GROUP))
    low, high = groups.amin(-1), groups.amax(-1)
    scale = ((high - low) / 15).clamp(min=1e-8).bfloat16().float()
    middle = low + 8 * scale  # the number for which the code 8 stands
    codes = ((groups - low[..., None]) / scale[..., None]).round().clamp(0, 15)
    packed = torch._convert_weight_to_int4pack_for_cpu(codes.flatten(1).int(), 1)
    pairs = torch.stack((scale.T, middle.T), dim=-1).bfloat16().contiguous()

    def product(x: Tensor) -> Tensor:
        half = x.bfloat16()
        return torch._weight_int4pack_mm_for_cpu(half, packed, PACKED_GROUP, pairs).float()

    return product, packed.nbytes + pairs.nbytes


def dynamic(weight: Tensor) -> tuple[Product, float]:
    codes, scale = compression.absmax_quantise(weight, 8)
    zeros = torch.zeros(len(weight), dtype=torch.long)
    quantised = torch._make_per_channel_quantized_tensor(codes, scale[:, 0].double(), zeros, 0)
    prepacked = torch.ops.quantized.linear_prepack(quantised, None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, prepacked), codes.nbytes + scale.nbytes


def unpacked(weight: Tensor) -> tuple[Product, float]:
    layer = compression.QuantisedLinear(compression.quantise(weight, Scheme(4, PACKED_GROUP)))
    return layer, layer.stored.nbytes


CONTESTANTS: dict[str, Callable[[Tensor], tuple[Product, float]]] = {
    BASE: float32,
    "bfloat16": bfloat16,
    "int8 weights, bfloat16 input": lambda w: int8_pack(w, torch.bfloat16),
    "int8 weights, float32 input": lambda w: int8_pack(w, torch.float32),
    "int4 group 64, bfloat16 input": int4_pack,
    "int8 weights and inputs (fbgemm)": dynamic,
    "int4 group 64, unpacked, then multiplied": unpacked,
}


def rows_of(name: str, shape: tuple[int, int], budget: float) -> list[dict[str, Any]]:
    """Return a row for each contestant that can run here."""
    count = math.ceil(2**28 / (4 * shape[0] * shape[1]))
    weights = [torch.randn(*shape, generator=seeded(n)) / shape[1] ** 0.5 for n in range(count)]
    x = torch.randn(1, shape[1], generator=seeded(-1 % 2**31))
    runs, found = {}, {}
    for contestant, make in CONTESTANTS.items():
        products = [make(weight) for weight in weights]
        wanted, got = x @ weights[0].T, products[0][0](x)
        found[contestant] = products[0][1], compression.relative_error(wanted, got)
        turn = cycle(product for product, _ in products)
        runs[contestant] = lambda turn=turn: [next(turn)(x) for _ in range(min(count, 40))]
    with torch.inference_mode():
        rounds = race(runs, budget, least=9)
    seconds = median(rounds, BASE) / min(count, 40)
    print(f"{name}: float32 reads {weights[0].nbytes / seconds / 1e9:.1f} GB per second")
    return [
        {
            "shape": name,
            "size": list(shape),
            "contestant": contestant,
            **ratio("times as fast", rounds, BASE, contestant),
            "bytes": round(found[contestant][0] / weights[0].nbytes, 3),
            "error": round(found[contestant][1], 4),
        }
        for contestant in runs
    ]


def bandwidth() -> float:
    """Return how many GB per second a long copy reads."""
    source = torch.randn(2**26)
    target = torch.empty_like(source)
    rounds = race({"copy": lambda: target.copy_(source)}, 2.0)
    return round(source.nbytes / median(rounds, "copy") / 1e9, 1)


def main() -> None:
    torch.set_num_threads(1)
    torch.backends.quantized.engine = "fbgemm"
    rows = [row for name, shape in SHAPES.items() for row in rows_of(name, shape, 12.0)]
    print_table(rows)
    content = {**measured_on(), "copy, GB read per second": bandwidth(), "rows": rows}
    store_results(benchmark_file("compression", "cpu"), content)


if __name__ == "__main__":
    main()
