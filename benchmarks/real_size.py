"""A model of the size that people use: loading, reading a prompt and generating, near the limits.

    python -m benchmarks.real_size                          without llama.cpp
    python -m benchmarks.real_size --llama ENV/bin/python   with it; see `llama_cpp_peer`. The same
                                                            as LLAMA_CPP_PYTHON=ENV/bin/python
    python -m benchmarks.real_size --small                  try it: two layers, a few rounds

The shape of Qwen3-0.6B, with random weights that bfloat16 holds exactly. Times are the clock's, on
two threads, so run it on a machine that does nothing else; all contestants take turns. In each
round memory is read and a large product is computed, by as many threads, and "of the limit" is the
share of that:

    generating  the bytes read for a token, over the bandwidth: every matrix once, and the keys and
                values of the tokens that are in the cache when a run begins
    a prompt    the multiplications of the linear layers, over the peak of a product of 2048 x 2048
                float32 numbers

The bandwidth is that of a sum over 256 MB, which all threads only read, in huge pages where there
are any. A copy would not do: writes travel beside reads on some processors, so that it moves more
bytes than can be read.
Loading is measured by `real_size_loading`.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.compression import LARGE, READING, SCHEMES, bytes_read, reading, twin
from benchmarks.llama_cpp_peer import KINDS, LlamaCpp, write_gguf
from benchmarks.real_size_loading import load, loading_rows, write_folders
from benchmarks.real_size_runs import (
    NEW,
    our_decoding,
    our_pass,
    text,
    their_decoding,
    their_pass,
)
from benchmarks.record import progress, record
from benchmarks.timing import Rounds, median, race, ratio, ratio_of
from course_lib import compression
from course_lib.accounting.models import MODELS
from course_lib.checkpoint import load_model
from course_lib.compression.layers import model_bytes
from course_lib.device import seeded
from course_lib.generation import FusedDecoder
from course_lib.model import DecoderLM

CONFIG = MODELS["Qwen3-0.6B"]
SMALL = replace(CONFIG, num_hidden_layers=2, vocab_size=4096)
PROMPT, SHORT = 512, 64  # tokens: a prompt, and one for what is very slow
BATCHES = {1: 512, 8: 128}  # rows, and the tokens that are in the cache of each
PRODUCT = "a large product"
SIDE = 2048  # of the large product
WIDE, FUSED, HALF_WIDTH = "ours, float32", "ours, float32, fused", "ours, bfloat16"
INT8, INT4 = "ours, int8", "ours, int4 group 64"
THEIR_WIDE, THEIR_HALF = "transformers, float32", "transformers, bfloat16"
LLAMA = {kind: f"llama.cpp, {kind}" for kind in KINDS}
PEERS = {  # of the same type, or as many bits; int4 has fewer, and float32 more
    WIDE: (THEIR_WIDE,),
    FUSED: (THEIR_WIDE,),
    HALF_WIDTH: (THEIR_HALF, LLAMA["F16"]),
    INT8: (LLAMA["Q8_0"], WIDE),
    INT4: (LLAMA["Q8_0"], WIDE),
}
Runs = dict[str, Callable[[], object]]
Rows = list[dict[str, Any]]


def our_models(root: Path, half: DecoderLM) -> dict[str, Any]:
    """Return each form of the same weights, ready to generate."""
    models: dict[str, Any] = {
        name: compression.use_cpu_kernels(
            compression.quantise_model(twin(half), scheme, embedding=True).use_kernels()
        )
        for name, scheme in zip((INT8, INT4), SCHEMES.values(), strict=True)
    }
    models[HALF_WIDTH] = load_model(root / "bfloat16").prepare_to_write()
    models[FUSED] = FusedDecoder(load_model(root / "float32"))
    models[WIDE] = load_model(root / "float32").prepare_to_write()
    return models


def their_models(root: Path) -> dict[str, nn.Module]:
    names = {THEIR_WIDE: "float32", THEIR_HALF: "bfloat16"}
    return {name: load("transformers", str(root / dtype)) for name, dtype in names.items()}


def weight_bytes(name: str, model: Any) -> int:
    """Return the bytes that are read for a token: each matrix once, the head among them."""
    if isinstance(model, FusedDecoder):
        matrices = [getattr(x, n) for x in model.layers for n in ("qkv", "out", "gate_up", "down")]
        return sum(each.nbytes for each in [*matrices, model.head])
    return bytes_read(model) if name.startswith("ours") else model_bytes(model)


def cache_bytes(config: Any, batch: int, tokens: int, per_number: int) -> int:
    """Return the bytes of the keys and values of these tokens."""
    width = 2 * config.num_key_value_heads * config.head_dim
    return config.num_hidden_layers * batch * tokens * width * per_number


def limits() -> Runs:
    """Return the runs that measure what this machine can do."""
    square = torch.randn(SIDE, SIDE, generator=seeded(0))
    return {READING: reading(), PRODUCT: lambda: square @ square}


def bandwidth(each: dict[str, float]) -> float:
    """Return the bytes read per second in one round."""
    return 4 * LARGE / each[READING]


def time_rows(about: dict[str, Any], rounds: Rounds, steps: int, work: dict[str, float]) -> Rows:
    """Return what each contestant took; `work` is bytes or multiplications of a step, by name."""
    decode = about["measured"] == "decode"
    best = bandwidth if decode else (lambda each: SIDE**3 / each[PRODUCT])
    found = []
    for name, amount in work.items():
        shares = [steps * amount / each[name] / best(each) for each in rounds]
        found.append({
            **about,
            "contestant": name,
            "milliseconds": round(1e3 * median(rounds, name) / steps, 1),
            **ratio_of("of the limit", shares),
        })  # fmt: skip
    return found


def peer_rows(about: dict[str, Any], rounds: Rounds, ours: dict[str, tuple[str, ...]]) -> Rows:
    """Return how many times as fast as its peers each of ours was."""
    return [
        {**about, "contestant": name, "peer": peer, **ratio("times as fast", rounds, peer, name)}
        for name, peers in ours.items()
        for peer in peers
        if name in rounds[0] and peer in rounds[0]
    ]


def limit_row(about: dict[str, Any], rounds: Rounds) -> dict[str, Any]:
    """Return what the machine could do in the same rounds."""
    return {
        **about,
        "memory, GB per second": round(statistics.median(map(bandwidth, rounds)) / 1e9, 1),
        "large product, GFLOP per second": round(2 * SIDE**3 / median(rounds, PRODUCT) / 1e9),
    }


def decode_rows(
    batch: int, models: dict[str, Any], llamas: dict[str, LlamaCpp], budget: float
) -> Rows:
    tokens = BATCHES[batch]
    progress("decode", f"batch {batch}", f"{tokens} cached tokens")
    runs: Runs = {
        name: (our_decoding if name.startswith("ours") else their_decoding)(model, batch, tokens)
        for name, model in models.items()
    }
    for name, llama in llamas.items():
        llama.start(batch, tokens)
        runs[name] = lambda llama=llama: llama.decode(batch, tokens, NEW)
    rounds = race(runs | limits(), budget, least=3, clock=time.perf_counter)
    about = {"measured": "decode", "batch": batch, "cached tokens": tokens}
    config = models[WIDE].config
    sizes = {name: 2 if name in (HALF_WIDTH, THEIR_HALF) else 4 for name in models}
    work = {name: float(weight_bytes(name, model)) for name, model in models.items()}
    work |= {name: float(llama.file.stat().st_size) for name, llama in llamas.items()}
    for name in work:  # llama.cpp has keys and values in float16
        work[name] += cache_bytes(config, batch, tokens, sizes.get(name, 2))
    return [
        *time_rows(about, rounds, NEW, work),
        *peer_rows(about, rounds, PEERS),
        limit_row(about, rounds),
    ]


def prefill_rows(
    tokens: int, models: dict[str, Any], llamas: dict[str, LlamaCpp], budget: float
) -> Rows:
    progress("prefill", f"{tokens} tokens")
    config = models[next(iter(models))].config
    ids = text(config, 1, tokens)
    runs: Runs = {
        name: (our_pass if name.startswith("ours") else their_pass)(model, ids)
        for name, model in models.items()
    }
    for name, llama in llamas.items():
        runs[name] = lambda llama=llama: llama.prefill(tokens)
    rounds = race(runs | limits(), budget, least=2, clock=time.perf_counter)
    about = {"measured": "prefill", "batch": 1, "tokens": tokens}
    inside = config.num_attention_heads + config.num_key_value_heads  # twice each: q, o and k, v
    layer = 2 * inside * config.head_dim + 3 * config.intermediate_size
    multiplied = tokens * config.num_hidden_layers * config.hidden_size * layer
    return [
        *time_rows(about, rounds, 1, dict.fromkeys([*models, *llamas], float(multiplied))),
        *peer_rows(about, rounds, PEERS),
        limit_row(about, rounds),
    ]


def error_rows(models: dict[str, Any], llamas: dict[str, LlamaCpp]) -> Rows:
    """Return how far the logits of each contestant are from ours in float32."""
    ids = text(models[WIDE].config, 1, 16)
    found = {
        name: (our_pass if name.startswith("ours") else their_pass)(model, ids)().float().flatten()
        for name, model in models.items()
    }
    found |= {n: torch.tensor(llama.logits(ids[0].tolist())) for n, llama in llamas.items()}
    wanted = found[WIDE]
    return [
        {
            "measured": "error",
            "contestant": name,
            "of the logits": round(compression.relative_error(wanted, logits), 5),
        }
        for name, logits in found.items()
    ]


@contextmanager
def llama_processes(
    python: str | None, root: Path, half: DecoderLM, threads: int
) -> Iterator[dict[str, LlamaCpp]]:
    """Yield a process of llama.cpp for each kind of file; none without its environment."""
    with ExitStack() as stack:
        found = {}
        for kind in KINDS if python else ():
            write_gguf(half, root / f"{kind}.gguf", kind)
            try:
                found[LLAMA[kind]] = LlamaCpp(str(python), root / f"{kind}.gguf", threads)
            except (OSError, RuntimeError) as error:
                print(f"left out: {LLAMA[kind]}: {error}")
                continue
            stack.callback(found[LLAMA[kind]].close)
        yield found


def rows(root: Path, options: argparse.Namespace) -> Rows:
    config = SMALL if options.small else CONFIG
    scale = 0.05 if options.small else 1.0
    progress("writing the files")
    half = write_folders(root, config)
    progress("loading")
    found = loading_rows(root, options.threads, 1 if options.small else 5)
    progress("making all models")
    with (
        llama_processes(options.llama, root, half, options.threads) as llamas,
        torch.inference_mode(),
    ):
        models = our_models(root, half) | their_models(root)
        found += error_rows(models, llamas)
        for batch in BATCHES:
            found += decode_rows(batch, models, llamas, 30.0 * scale)
        slow = {THEIR_HALF: models.pop(THEIR_HALF)}
        found += prefill_rows(PROMPT, models, llamas, 30.0 * scale)
        few = {name: models[name] for name in (WIDE, HALF_WIDTH, INT8, INT4)} | slow
        found += prefill_rows(SHORT, few, {}, 15.0 * scale)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    default = os.environ.get("LLAMA_CPP_PYTHON")
    parser.add_argument("--llama", default=default, help="the Python that has llama-cpp-python")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as root:
        found = rows(Path(root), options)
    if options.small:
        print(*found, sep="\n")
    else:
        record("real_size", found)


if __name__ == "__main__":
    main()
