"""Attention, measured: one step over a cache with shared keys, and cost against text length.

    python -m benchmarks.attention

Times are processor time of one thread, which a busy machine does not lengthen by making us wait,
and medians of repetitions that take turns. Read the ratios within one run, not the seconds.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.record import progress, record
from benchmarks.timing import exponent, median, race, ratio, repeated
from course_lib.attention import (
    KVCache,
    causal_mask,
    grouped_query_attention,
    scaled_dot_product_attention,
)

PEER = "torch sdpa, enable_gqa"
Attentions = dict[str, Callable[[], Tensor]]


def peak_bytes(run: Callable[[], Tensor]) -> int:
    """Return the most memory that what `run` makes takes up at once, its inputs not counted."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    in_use = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        in_use += event.nbytes()
        most = max(most, in_use)
    return most


def filled_cache(batch: int, groups: int, length: int, head_dim: int) -> KVCache:
    cache = KVCache(batch, groups, capacity=length + 64, head_dim=head_dim)
    cache.append(*(torch.randn(batch, groups, length, head_dim) for _ in range(2)))
    return cache


def decoding_rows(length: int, batch: int, heads: int = 32, groups: int = 8) -> list[dict]:
    """One new token reads `length` cached ones, with the heads of Llama-3-8B."""
    progress("one token over a cache", f"{length} tokens", f"batch {batch}")
    cache = filled_cache(batch, groups, length, 128)
    q, k, v = torch.randn(batch, heads, 1, 128), cache.keys, cache.values
    contestants: Attentions = {
        "ours, shared keys": lambda: grouped_query_attention(q, k, v),
        "ours, keys repeated": lambda: scaled_dot_product_attention(
            q, *(x.repeat_interleave(heads // groups, dim=1) for x in (k, v))
        ),
        PEER: lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
    }
    outputs = [run() for run in contestants.values()]
    difference = max((output - outputs[0]).abs().max().item() for output in outputs)
    peaks = {name: peak_bytes(run) for name, run in contestants.items()}
    # Repeated keys drive all else out of the processor's caches: a short call needs several turns.
    calls = max(1, 8192 // (length * batch))
    several = {name: repeated(run, calls) for name, run in contestants.items()}
    rounds = race(several, budget=3.0, least=5)
    return [
        {
            "measured": "one token over a cache",
            "contestant": name,
            "cached tokens": length,
            "batch": batch,
            "milliseconds": round(1e3 * median(rounds, name) / calls, 3),
            **ratio("against torch", rounds, name, PEER),
            "peak MB": round(peaks[name] / 1e6, 2),
            "largest difference": difference,
        }
        for name in contestants
    ]


def length_rows(n: int, heads: int = 2, head_dim: int = 64) -> list[dict]:
    """A text of n tokens reads itself, causally."""
    progress("a text reads itself", f"{n} tokens")
    q, k, v = torch.randn(3, 1, heads, n, head_dim)
    contestants: Attentions = {
        "ours": lambda: grouped_query_attention(q, k, v, causal_mask(n)),
        "torch sdpa": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    }
    peaks = {name: peak_bytes(run) for name, run in contestants.items()}
    rounds = race(contestants, budget=1.0, least=2, warm=True)
    return [
        {
            "measured": "a text reads itself",
            "contestant": name,
            "tokens": n,
            "milliseconds": round(1e3 * median(rounds, name), 3),
            "peak MB": round(peaks[name] / 1e6, 3),
        }
        for name in contestants
    ]


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with torch.inference_mode():
        decoding = [
            row
            for length, batch in ((512, 1), (4096, 1), (4096, 4))
            for row in decoding_rows(length, batch)
        ]
        lengths = [row for n in (256, 512, 1024, 2048, 4096, 8192) for row in length_rows(n)]
    fits = [
        {
            "measured": "exponent of n from 1024 on",
            "contestant": contestant,
            "time": round(exponent(lengths, contestant, "milliseconds", 1024), 2),
            "memory": round(exponent(lengths, contestant, "peak MB", 1024), 2),
        }
        for contestant in ("ours", "torch sdpa")
    ]
    record("attention", decoding + lengths + fits)


if __name__ == "__main__":
    main()
