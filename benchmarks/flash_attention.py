"""FlashAttention on the CPU: time and memory of the standard, the tiled and PyTorch's own form.

    python -m benchmarks.flash_attention

One thread; all contestants take turns in each round and their processor time is counted. "against
torch" and "against standard" are medians of the ratios within a round. Memory is the most that a
call makes at once. The rows are kept for the notebook too.

"bound" shows what PyTorch's operations allow: the tiles' two products alone, then with the softmax
of each tile, in memory set aside before. What the tiled form takes beyond that is the running state
and the start of its operations. PyTorch's own kernel takes hardly more than the products.
"""

import shutil
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.attention import Attentions, peak_bytes
from benchmarks.record import progress, record
from benchmarks.timing import Contestants, exponent, keeping, median, median_ratio, race, ratio
from course_lib.attention import causal_mask, grouped_query_attention
from course_lib.flash import CAUSAL, FULL, tiled_attention
from course_lib.study.exhibits.stored_benchmarks import benchmark_file

STANDARD, TORCH = "standard", "torch sdpa"
TILE = 1024, 256  # the queries and keys of a tile that `tiled_attention` chooses for one head
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)


def contestants(n: int, heads: int, causal: bool) -> Attentions:
    q, k, v = torch.randn(3, 1, heads, n, 64)
    reach = CAUSAL if causal else FULL
    return {
        STANDARD: lambda: grouped_query_attention(q, k, v, causal_mask(n) if causal else None),
        "tiled": lambda: tiled_attention(q, k, v, reach=reach),
        TORCH: lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
    }


def length_rows(n: int, heads: int, causal: bool, budget: float) -> list[dict]:
    progress("a text reads itself", f"{n} tokens", f"{heads} heads", "causal" if causal else "full")
    runs, outputs = keeping(contestants(n, heads, causal))
    peaks = {name: peak_bytes(run) for name, run in runs.items()}
    difference = max((each - outputs[STANDARD]).abs().max().item() for each in outputs.values())
    rounds = race(runs, budget=budget, least=3 if n < 16384 else 2, warm=True)
    return [
        {
            "measured": "a text reads itself",
            "contestant": name,
            "tokens": n,
            "heads": heads,
            "causal": causal,
            "milliseconds": round(1e3 * median(rounds, name), 2),
            "against standard": round(median_ratio(rounds, name, STANDARD), 2),
            **ratio("against torch", rounds, name, TORCH),
            "peak MB": round(peaks[name] / 1e6, 3),
            "largest difference": difference,
        }
        for name in runs
    ]


def bound_rows(n: int, budget: float = 1.5) -> list[dict]:
    q, k, v = torch.randn(3, n, 64)
    heads = [x[None, None] for x in (q, k, v)]  # one text, one head
    runs: Contestants = {
        TORCH: lambda: F.scaled_dot_product_attention(*heads),
        "products alone": tile_steps(q, k, v, softmax=False),
        "products and softmax": tile_steps(q, k, v, softmax=True),
        "tiled": lambda: tiled_attention(*heads),
    }
    rounds = race(runs, budget=budget)
    return [
        {
            "measured": "bound",
            "steps": name,
            "tokens": n,
            "milliseconds": round(1e3 * median(rounds, name), 2),
            **ratio("against torch", rounds, name, TORCH),
        }
        for name in runs
    ]


def tile_steps(q: Tensor, k: Tensor, v: Tensor, softmax: bool) -> Callable[[], None]:
    """Return a run of the steps that each tile needs, without what joins the tiles."""
    rows, cols = min(TILE[0], len(q)), TILE[1]
    scores, mixed = torch.empty(rows, cols), torch.zeros(rows, v.shape[1])

    def run() -> None:
        for queries in q.split(rows):
            for keys, values in zip(k.split(cols), v.split(cols), strict=True):
                torch.mm(queries, keys.T, out=scores)
                if softmax:
                    scores.sub_(scores.amax(-1, keepdim=True)).exp2_().sum(-1)
                mixed.addmm_(scores, values)
        mixed.zero_()

    return run


def faster_from(rows: list[dict]) -> int | None:
    """Return the length from which on the tiled form is faster than the standard one."""
    times = {(row["contestant"], row["tokens"]): row["milliseconds"] for row in rows}
    lengths = sorted({row["tokens"] for row in rows})
    slower = [n for n in lengths if times["tiled", n] >= times[STANDARD, n]]
    later = [n for n in lengths if n > max(slower, default=0)]
    return later[0] if later else None


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with torch.inference_mode():
        rows = [row for n in LENGTHS for row in length_rows(n, 1, causal=False, budget=2.0)]
        more = length_rows(4096, 4, causal=False, budget=6.0)
        more += length_rows(4096, 4, causal=True, budget=6.0)
        bound = [row for n in (512, 4096) for row in bound_rows(n)]
    fits = [
        {
            "measured": "exponent of n from 2048 on",
            "contestant": name,
            "time": round(exponent(rows, name, "milliseconds", 2048), 2),
            "memory": round(exponent(rows, name, "peak MB", 2048), 2),
            "faster than standard from": faster_from(rows) if name == "tiled" else "",
        }
        for name in (STANDARD, "tiled", TORCH)
    ]
    path = record("flash_attention", rows + more + bound + fits)
    shutil.copy(path, benchmark_file("flash_attention", "cpu"))


if __name__ == "__main__":
    main()
