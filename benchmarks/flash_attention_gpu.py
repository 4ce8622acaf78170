"""Our Triton kernels on a GPU, beside every backend of PyTorch's attention and FlexAttention.

    python -m benchmarks.flash_attention_gpu            all of it; needs a CUDA device
    python -m benchmarks.flash_attention_gpu --sweep    try other tiles for our kernels first
    python -m benchmarks.flash_attention_gpu --rehearse small sizes, on any machine, nothing stored

CUDA events around each call, after warm-up, median of many; all contestants take turns. FLOPs are
those of the standard count: 4 n² D for each head forward, 3.5 times that with the backward pass,
half under a causal mask. In the same run the ceilings of the machine are measured: one large matrix
product in bfloat16, and a copy of memory.
"""

import argparse
import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.record import print_table, record
from course_lib.flash import fused
from course_lib.study.exhibits.stored_benchmarks import benchmark_file

LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768)
MODEL_WIDTH = 2048  # heads times head width
SDPA = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Runs = dict[str, Callable[[], object]]
ON_GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda" if ON_GPU else "cpu")


def contestants(causal: bool, n: int) -> dict[str, Attend]:
    """Return each way to compute attention; those that a machine has not are found out later."""
    ways: dict[str, Attend] = {
        "ours": lambda q, k, v: fused.fused_attention(q, k, v, causal=causal)
    }
    for name, backend in SDPA.items():

        def attend(q: Tensor, k: Tensor, v: Tensor, backend: SDPBackend = backend) -> Tensor:
            with sdpa_kernel(backend):
                return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

        ways[name] = attend
    if ON_GPU:
        ways["flex"] = flex(causal, n)
    return ways


def flex(causal: bool, n: int) -> Attend:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    compiled = torch.compile(flex_attention)
    if not causal:
        return compiled

    def reads_back(b: Tensor, h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return query >= key

    mask = create_block_mask(reads_back, None, None, n, n, device=DEVICE)
    return lambda q, k, v: compiled(q, k, v, block_mask=mask)


def milliseconds(runs: Runs, repeats: int) -> dict[str, float]:
    """Return the median time of each, taking turns, after three calls that do not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(3 + repeats):
        for name, run in runs.items():
            taken = timed(run)
            if turn >= 3:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def timed(run: Callable[[], object]) -> float:
    """Return the milliseconds of one call: by events on a GPU, else by the clock."""
    if not ON_GPU:
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def working(ways: dict[str, Attend], given: tuple[Tensor, ...], exact: Tensor) -> dict[str, Attend]:
    """Return the ways that run here and are right, and say which do not run, and why."""
    kept = {}
    for name, attend in ways.items():
        try:
            output = attend(*given)
        except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
            print(f"  {name} does not run here: {str(error).splitlines()[0][:90]}")
            continue
        gap = (output.float() - exact).abs().max().item()
        if not gap < 0.05:
            raise SystemExit(f"{name} is off by {gap}")
        kept[name] = attend
    return kept


def both_ways(attend: Attend, given: tuple[Tensor, ...], upstream: Tensor) -> object:
    return torch.autograd.grad(attend(*given), given, upstream)


def rows_for(n: int, width: int, causal: bool, tokens: int, repeats: int) -> Iterator[dict]:
    """Yield a row for each contestant and direction."""
    heads, batch = max(MODEL_WIDTH // width, 1) if ON_GPU else 1, max(tokens // n, 1)
    shape = (batch, heads, n, width)
    dtype = torch.bfloat16
    q, k, v = (torch.randn(shape, device=DEVICE, dtype=dtype).requires_grad_() for _ in range(3))
    upstream = torch.randn(shape, device=DEVICE, dtype=dtype)
    first = tuple(x[:1, :1].detach().float() for x in (q, k, v))
    exact = F.scaled_dot_product_attention(*first, is_causal=causal)
    ways = working(contestants(causal, n), tuple(x[:1, :1].detach() for x in (q, k, v)), exact)
    flops = 4 * batch * heads * n * n * width / (2 if causal else 1)
    for direction, factor in (("forward", 1.0), ("forward and backward", 3.5)):
        runs = {
            name: make_run(attend, direction, (q, k, v), upstream) for name, attend in ways.items()
        }
        for name, taken in milliseconds(runs_that_fit(runs), repeats).items():
            yield {
                "contestant": name,
                "direction": direction,
                "tokens": n,
                "head width": width,
                "causal": causal,
                "batch": batch,
                "heads": heads,
                "milliseconds": round(taken, 4),
                "TFLOP/s": round(factor * flops / taken / 1e9, 1),
            }


def make_run(
    attend: Attend, direction: str, given: tuple[Tensor, ...], upstream: Tensor
) -> Callable[[], object]:
    if direction == "forward":
        still = tuple(x.detach() for x in given)
        return lambda: attend(*still)
    return lambda: both_ways(attend, given, upstream)


def runs_that_fit(runs: Runs) -> Runs:
    """Return the runs that the device's memory allows: the table of a long text does not fit."""
    kept: Runs = {}
    for name, run in runs.items():
        try:
            run()
        except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
            print(f"  {name} left out: {str(error).splitlines()[0][:90]}")
            continue
        kept[name] = run
    return kept


def ceilings(size: int, repeats: int) -> list[dict]:
    """Return what one large product and one large copy reach on this machine."""
    a, b = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    source = torch.empty(size * size * 8, device=DEVICE, dtype=torch.uint8)
    target = torch.empty_like(source)
    runs: Runs = {"product": lambda: a @ b, "copy": lambda: target.copy_(source)}
    taken = milliseconds(runs, repeats)
    product, copied = 2 * size**3 / taken["product"] / 1e9, 2 * source.nbytes / taken["copy"] / 1e6
    return [
        {"ceiling": "bfloat16 product", "reached": round(product, 1), "unit": "TFLOP/s"},
        {"ceiling": "copy", "reached": round(copied, 1), "unit": "GB/s read and written"},
    ]


def shares(rows: list[dict]) -> list[dict]:
    """Return for each setting what share of the fastest PyTorch backend ours reaches."""
    found = []
    keys = ("direction", "tokens", "head width", "causal")
    for setting in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        taken = {
            row["contestant"]: row["milliseconds"]
            for row in rows
            if tuple(row[key] for key in keys) == setting
        }
        best = min(taken.keys() & SDPA.keys(), key=lambda name: taken[name])
        share = round(taken[best] / taken["ours"], 3)
        found.append(
            dict(zip(keys, setting, strict=True)) | {"fastest": best, "ours/fastest": share}
        )
    return found


def sweep(n: int, repeats: int) -> None:
    """Print the time of our kernels for other tiles, the best first."""
    tiles = itertools.product((64, 128), (32, 64, 128), (4, 8), (2, 3, 4))
    launches = [fused.Launch(*each) for each in tiles]
    standing = fused.forward_launch, fused.backward_launch
    for width, causal, direction in itertools.product(
        (64, 128), (False, True), ("forward", "forward and backward")
    ):
        heads = MODEL_WIDTH // width if ON_GPU else 1
        shape = (max(16384 // n, 1) if ON_GPU else 1, heads, n, width)
        q, k, v, upstream = (
            torch.randn(shape, device=DEVICE, dtype=torch.bfloat16) for _ in range(4)
        )
        given = tuple(x.requires_grad_() for x in (q, k, v))
        runs: Runs = {}
        for launch in launches if ON_GPU else launches[:2]:
            runs[str(tuple(launch))] = with_launch(launch, direction, given, upstream, causal)
        taken = milliseconds(runs_that_fit(runs), repeats)
        best = sorted(taken, key=lambda name: taken[name])[:5]
        kind = {"width": width, "causal": causal, "direction": direction}
        print_table([kind | {"launch": name, "ms": round(taken[name], 3)} for name in best])
    fused.forward_launch, fused.backward_launch = standing


def with_launch(
    launch: fused.Launch,
    direction: str,
    given: tuple[Tensor, ...],
    upstream: Tensor,
    causal: bool,
) -> Callable[[], object]:
    """Return a call of our kernels with one launch for all of them (forward: the forward alone)."""

    def run() -> object:
        if direction == "forward":
            fused.forward_launch = lambda width, dtype: launch
        else:
            fused.backward_launch = lambda width, dtype: (launch, launch)
        attend = contestants(causal, given[0].shape[2])["ours"]
        return make_run(attend, direction, given, upstream)()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--rehearse", action="store_true")
    chosen = parser.parse_args()
    if not (ON_GPU or chosen.rehearse):
        raise SystemExit("no CUDA device here; --rehearse runs the same steps on small sizes")
    torch.manual_seed(0)
    small = chosen.rehearse
    if chosen.sweep:
        return sweep(128 if small else 8192, 1 if small else 20)
    limits = ceilings(256 if small else 8192, 1 if small else 30)
    rows: list[dict] = []
    for width, causal, n in itertools.product(
        (64, 128), (False, True), (96,) if small else LENGTHS
    ):
        print(f"n {n}, head width {width}, {'causal' if causal else 'full'}")
        rows += rows_for(n, width, causal, n if small else 32768, 1 if small else 30)
    found = shares(rows)
    if small:
        for table in (limits, rows, found):
            print_table(table)
        return None
    path = record("flash_attention_gpu", [*rows, *limits, *found])
    shutil.copy(path, benchmark_file("flash_attention", "gpu"))
    return None


if __name__ == "__main__":
    main()
