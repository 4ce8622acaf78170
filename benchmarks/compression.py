"""One token through layers and whole models in few bits: time, bytes and errors beside float32.

    python -m benchmarks.compression

One layer: matrices are used in turn, as many as make up 256 MB in float32, so that none of them
stays in the cache, as in decoding. Whole models: one token after a short text, whose keys are in
the cache; random weights but for the course model. Each contestant gets its own form of the same
weights, and runs on one thread. Times are ratios within each round. In each round memory is read
too, by a sum over 256 MB in huge pages, so that the bytes of a contestant per second can be
compared with what the machine can do at that moment. Contestants that are "compiled" need a C
compiler; the others are torch's own kernels. The model in float32 is prepared to write. Of the
whole models only two are in memory at a time, float32 and one other: about 1.6 times the bytes of
float32, which is 4 GB for 0.6 billion weights.
"""

import copy
import math
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from itertools import cycle
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.record import progress, record
from benchmarks.serving import HUNDRED
from benchmarks.timing import Rounds, median, median_ratio, race, ratio
from course_lib import compression
from course_lib.accounting.models import MODELS
from course_lib.compression import KernelLinear, QuantisedLinear, Scheme
from course_lib.device import seeded, seeded_draws
from course_lib.model import DecoderLM, build_model
from course_lib.model.compiled_products import compiled_products
from course_lib.model.huge_pages import HugePages
from course_lib.pretrained import course_model
from course_lib.study.exhibits.stored_benchmarks import benchmark_file

SHAPES = {"course model": (640, 256), "100 M": (2304, 768), "0.6 B": (3072, 1024)}
BASE, HALF_PRECISION, READING = "float32", "bfloat16", "reading memory"
INT8, INT4 = "int8 weights, bfloat16 input", "int4 group 64, bfloat16 input"
SCHEMES = {INT8: Scheme(8), INT4: Scheme(4, 64)}
HALF_C, INT8_C, INT4_C = "bfloat16, compiled", "int8 weights, compiled", "int4 group 64, compiled"
COMPILED = {INT8_C: Scheme(8), INT4_C: Scheme(4, 64)}
LARGE = 2**26  # float32 numbers, far more than a cache holds
PROMPT = 16  # tokens in the cache before the one that is timed
Product = Callable[[Tensor], Tensor]


def float32(weight: Tensor) -> tuple[Product, float]:
    return lambda x: x @ weight.T, weight.nbytes


def bfloat16(weight: Tensor) -> tuple[Product, float]:
    half = weight.bfloat16()
    return lambda x: (x.bfloat16() @ half.T).float(), half.nbytes


def kernel(scheme: Scheme, compiled: bool) -> Callable[[Tensor], tuple[Product, float]]:
    def make(weight: Tensor) -> tuple[Product, float]:
        layer = KernelLinear(QuantisedLinear(compression.quantise(weight, scheme)), compiled)
        return layer, layer.nbytes

    return make


def compiled_bfloat16(weight: Tensor) -> tuple[Product, float]:
    half, program = weight.bfloat16(), compiled_products()
    assert program is not None, "a contestant only where there is a compiler"
    return lambda x: program.bfloat16(half, x), half.nbytes


def int8_float32(weight: Tensor) -> tuple[Product, float]:
    codes, scale = compression.absmax_quantise(weight, 8)
    scales = scale[:, 0]
    return lambda x: torch._weight_int8pack_mm(x, codes, scales), codes.nbytes + scales.nbytes


def dynamic(weight: Tensor) -> tuple[Product, float]:
    codes, scale = compression.absmax_quantise(weight, 8)
    zeros = torch.zeros(len(weight), dtype=torch.long)
    quantised = torch._make_per_channel_quantized_tensor(codes, scale[:, 0].double(), zeros, 0)
    prepacked = torch.ops.quantized.linear_prepack(quantised, None)
    return lambda x: torch.ops.quantized.linear_dynamic(x, prepacked), codes.nbytes + scale.nbytes


def unpacked(weight: Tensor) -> tuple[Product, float]:
    layer = QuantisedLinear(compression.quantise(weight, SCHEMES[INT4]))
    return layer, layer.stored.nbytes


def layer_contestants() -> dict[str, Callable[[Tensor], tuple[Product, float]]]:
    """Return what makes each contestant from a weight; compiled ones where there is a compiler."""
    found: dict[str, Callable[[Tensor], tuple[Product, float]]] = {
        BASE: float32,
        HALF_PRECISION: bfloat16,
        INT8: kernel(SCHEMES[INT8], compiled=False),
        "int8 weights, float32 input": int8_float32,
        INT4: kernel(SCHEMES[INT4], compiled=False),
        "int8 weights and inputs (fbgemm)": dynamic,
        "int4 group 64, unpacked, then multiplied": unpacked,
    }
    if compiled_products() is not None:
        found[HALF_C] = compiled_bfloat16
        found |= {name: kernel(scheme, compiled=True) for name, scheme in COMPILED.items()}
    return found


@cache
def reading() -> Callable[[], Tensor]:
    """Return a run that reads 4 · LARGE bytes once, on all threads, as fast as memory allows."""
    numbers = HugePages(4 * LARGE).copy(torch.ones(LARGE))
    return lambda: numbers.sum()


def speed(rounds: Rounds, contestant: str, nbytes: float) -> dict[str, Any]:
    """Return the columns of time; `nbytes` are what the contestant reads in a round."""
    return {
        **ratio("times as fast", rounds, BASE, contestant),
        "of the bandwidth": round(
            nbytes / (4 * LARGE) * median_ratio(rounds, READING, contestant), 2
        ),
    }


def layer_rows(name: str, shape: tuple[int, int], budget: float) -> list[dict[str, Any]]:
    """Return a row for each contestant on matrices of this shape."""
    progress("one layer", name)
    count = math.ceil(LARGE / (shape[0] * shape[1]))
    steps = min(count, 40)
    weights = [torch.randn(*shape, generator=seeded(n)) / shape[1] ** 0.5 for n in range(count)]
    x = torch.randn(1, shape[1], generator=seeded(count))
    runs: dict[str, Callable[[], object]] = {READING: reading()}
    found = {}
    with torch.inference_mode():
        for contestant, make in layer_contestants().items():
            products = [make(weight) for weight in weights]
            error = compression.relative_error(x @ weights[0].T, products[0][0](x))
            found[contestant] = products[0][1], error
            turn = cycle(product for product, _ in products)
            runs[contestant] = lambda turn=turn: [next(turn)(x) for _ in range(steps)]
        rounds = race(runs, budget, least=5)
    return [
        {
            "measured": "one layer",
            "shape": name,
            "size": list(shape),
            "contestant": contestant,
            **speed(rounds, contestant, steps * nbytes),
            "bytes": round(nbytes / weights[0].nbytes, 3),
            "error": round(error, 4),
        }
        for contestant, (nbytes, error) in found.items()
    ]


def twin(model: DecoderLM) -> DecoderLM:
    """Return a model with parameters of its own that share their memory, until they change."""
    own = {id(p): nn.Parameter(p.data, requires_grad=False) for p in model.parameters()}
    return copy.deepcopy(model, own)


def half_precision(model: DecoderLM) -> DecoderLM:
    """Return the weights of a float32 model in bfloat16, for torch's kernels."""
    half = twin(model).bfloat16()
    for weight in half.parameters():  # these kernels are slow in the layout of float32
        weight.data = weight.data.contiguous()
    return half


def forms(model: DecoderLM) -> Iterator[tuple[str, Callable[[], DecoderLM]]]:
    """Yield other forms of a float32 model, each as what makes it; two share the same codes."""
    compiled = compiled_products() is not None
    yield HALF_PRECISION, lambda: half_precision(model)
    if compiled:
        yield HALF_C, lambda: twin(model).bfloat16().prepare_to_write()
    for name, same in zip(SCHEMES, COMPILED, strict=True):
        packed = compression.quantise_model(twin(model), SCHEMES[name], embedding=True).bfloat16()
        yield name, lambda packed=packed: compression.use_cpu_kernels(twin(packed), compiled=False)
        if compiled:
            yield same, lambda packed=packed: compression.use_cpu_kernels(packed)


def bytes_read(model: DecoderLM) -> int:
    """Return the bytes of all matrices that one token is multiplied by."""
    layers = [each for each in model.modules() if isinstance(each, nn.Linear | KernelLinear)]
    return sum(e.nbytes if isinstance(e, KernelLinear) else e.weight.nbytes for e in layers)


def one_token(model: DecoderLM) -> Callable[[], Tensor]:
    """Return a run that reads one more token than the cache holds, and returns its logits."""
    vocabulary = model.config.vocab_size
    ids = torch.randint(vocabulary, (1, PROMPT + 1), generator=seeded(0))
    cache = model.make_cache(1, PROMPT + 1)
    model(ids[:, :PROMPT], cache=cache, last_only=True)

    def run() -> Tensor:
        logits = model(ids[:, PROMPT:], cache=cache).logits
        for layer in cache:
            layer.truncate(PROMPT)
        return logits.float()

    return run


class Measured(NamedTuple):
    """What was found out about one form: times beside float32, bytes, and the error of logits."""

    rounds: Rounds
    nbytes: int
    error: float


def beside_float32(
    base: DecoderLM, name: str, make: Callable[[], DecoderLM], budget: float
) -> Measured:
    """Measure one form, which is in memory only meanwhile."""
    with torch.inference_mode():
        model = make()
        runs = {BASE: one_token(base), name: one_token(model)}
        error = compression.relative_error(runs[BASE](), runs[name]())
        rounds = race({READING: reading(), **runs}, budget, least=9)
    return Measured(rounds, bytes_read(model), error)


def decode_rows(name: str, base: DecoderLM, budget: float) -> list[dict[str, Any]]:
    """Return a row for each form of a model that generates one token at a time."""
    base.prepare_to_write()
    found = {}
    for each, make in forms(base):
        progress("decode step", name, each)
        found[each] = beside_float32(base, each, make, budget)
    every = [each for measured in found.values() for each in measured.rounds]
    whole = bytes_read(base)
    return [
        {
            "measured": "decode step",
            "shape": name,
            "contestant": each,
            "milliseconds": round(1e3 * median(rounds, each), 2),
            **speed(rounds, each, nbytes),
            "bytes": round(nbytes / whole, 3),
            "GB per second": round(nbytes / median(rounds, each) / 1e9, 1),
            "memory read, GB per second": round(4 * LARGE / median(rounds, READING) / 1e9, 1),
            "error": round(error, 4),
        }
        for each, (rounds, nbytes, error) in {BASE: Measured(every, whole, 0.0), **found}.items()
    ]


def random_model(name: str) -> DecoderLM:
    """Return a model of this shape with random weights."""
    config = HUNDRED if name == "100 M" else MODELS["Qwen3-0.6B"]
    with seeded_draws(0):
        return build_model(config)


def rounded(model: DecoderLM) -> DecoderLM:
    """Let each weight be one that bfloat16 has, as in most checkpoints; they stay in float32."""
    for weight in model.requires_grad_(False).parameters():
        weight.copy_(weight.bfloat16())
    return model


def main() -> None:
    torch.set_num_threads(1)
    torch.backends.quantized.engine = "fbgemm"
    rows = [row for name, shape in SHAPES.items() for row in layer_rows(name, shape, 4.0)]
    rows += decode_rows("course model", rounded(copy.deepcopy(course_model())), 1.0)
    rows += decode_rows("100 M", rounded(random_model("100 M")), 1.5)
    rows += decode_rows("0.6 B", rounded(random_model("0.6 B")), 2.5)
    shutil.copy(record("compression", rows), benchmark_file("compression", "cpu"))


if __name__ == "__main__":
    main()
