"""The measurements in words, for a reader who has never timed such a library: the README's table.

A task is told by what a person wants done. Its row says how long the course takes beside the
library that people use for it, and how far that differs between the settings that were measured.
What the course is slower at is told like the rest.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.contests import CONTESTS, Contest, Gain

Results = Mapping[str, Mapping[str, Any]]
ALIKE = 1.1  # ratios closer to 1 than this are called about as fast

# What is done, the library beside it, and the contest of the report that measured it.
TASKS: tuple[tuple[str, str, tuple[str, str]], ...] = (
    ("Train a tokenizer", "tokenizers, in Rust", ("training a tokenizer", "tokenizers")),
    (
        "Tokenize new text",
        "tokenizers, in Rust",
        ("encoding text, empty cache", "tokenizers"),
    ),
    ("Load a model of 1 GB", "transformers", ("loading 1 GB", "from_pretrained")),
    (
        "Generate text, with the code of the lessons",
        "transformers",
        ("writing, readable", "transformers' generate"),
    ),
    (
        "Generate text, prepared for speed and compiled",
        "transformers",
        ("writing, fused and compiled", "transformers' generate"),
    ),
    (
        "Generate text with a model of 0.6 billion parameters in bfloat16",
        "transformers",
        ("0.6 B on two threads, one token, bfloat16", "transformers, bfloat16"),
    ),
    (
        "Generate text with the same model",
        "llama.cpp, in C++",
        ("0.6 B on two threads, one token, bfloat16", "llama.cpp, F16"),
    ),
    (
        "Generate eight answers to each of eight prompts",
        "transformers, all in one batch",
        ("64 answers to 8 prompts", "transformers' generate, one batch"),
    ),
    (
        "Take a training step",
        "transformers with PyTorch's fastest AdamW",
        ("training step", "transformers, AdamW fused"),
    ),
    (
        "Compute attention tile by tile, in Python",
        "PyTorch's own attention, in C++",
        ("tiled attention", "torch SDPA"),
    ),
    ("Search documents by their words", "bm25s", ("BM25", "bm25s")),
    ("Search vectors one by one", "faiss, in C++", ("exact search of vectors", "faiss")),
    (
        "Search vectors along a graph, step by step in Python",
        "hnswlib, in C++",
        ("HNSW", "hnswlib"),
    ),
)


def table(results: Results) -> str:
    """Return one row for each task."""
    lines = ["| task | compared with | the course is |", "|---|---|---|"]
    for told, peer, key in TASKS:
        contest = _contest(*key)
        gains = contest.gains(results[contest.benchmark]["rows"])
        lines.append(f"| {told} | {peer} | {verdict(gains)} |")
    return "\n".join(lines)


def verdict(gains: Sequence[Gain]) -> str:
    """Return how the course compares: the middle of all settings, and how far they differ."""
    ratios = sorted(gain.middle for gain in gains)
    middle = median(ratios)
    if all(about_equal(ratio) for ratio in ratios):
        return "about as fast"
    ends = [_number(ratio if middle >= 1 else 1 / ratio) for ratio in ratios]
    spread = f" ({min(ends, key=float)} to {max(ends, key=float)})" if len(set(ends)) > 1 else ""
    if about_equal(middle):
        return f"about as fast{spread}"
    if middle > 1:
        return f"{_number(middle)} times as fast{spread}"
    return f"slower: it takes {_number(1 / middle)} times as long{spread}"


def about_equal(ratio: float) -> bool:
    """Say whether nobody would notice the difference."""
    return 1 / ALIKE <= ratio <= ALIKE


def _number(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _contest(what: str, peer: str) -> Contest:
    (found,) = (each for each in CONTESTS if (each.what, each.peer) == (what, peer))
    return found
