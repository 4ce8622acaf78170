"""Loading, measured: a checkpoint of 1 GB beside transformers' from_pretrained.

    python -m benchmarks.checkpoint

Each load is a process of its own, forked from one that has imported everything; they take turns,
and medians are kept. The file has been read before, so that it comes from the system's memory and
not from the disk. Imports are not counted. "load" ends when the model is returned, "first token"
when one token has gone through it and every weight of a dense model has been touched. "CPU s" is
time of the processor, in which waiting for others does not count, and "times ours" compares it up
to the first token. "resident" is the most memory that the process had in use at once, over what it
had before: pages of the mapped file count, though the system may take them back. "own" is what it
holds after the first token and cannot give back. Read from Linux's /proc.
"""

import gc
import importlib
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from benchmarks.own_process import forked
from benchmarks.record import progress, record
from benchmarks.timing import ratio_of, timed
from course_lib.checkpoint import load_model, save_model
from course_lib.model import ModelConfig, build_model

Row = dict[str, str | float]
ROUNDS = 5
RATIO = "first token, CPU s"  # what the last column compares
COMMON = {
    "vocab_size": 32_000,
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
DENSE = {
    "model_type": "llama",
    "intermediate_size": 3584,
    "num_hidden_layers": 15,
    **COMMON,
}
SPARSE = {
    "model_type": "qwen3_moe",
    "intermediate_size": 3584,
    "num_hidden_layers": 6,
    "num_experts": 32,
    "num_experts_per_tok": 4,
    "moe_intermediate_size": 352,
    "norm_topk_prob": True,
    **COMMON,
}
CONTESTANTS = ("ours", "transformers")


def write_checkpoint(folder: str, sizes: dict) -> float:
    """Write a random model in float32 and return the size of its file in GB."""
    save_model(build_model(ModelConfig(**sizes)), folder)
    return Path(folder, "model.safetensors").stat().st_size / 1e9


def load(contestant: str, folder: str, dtype: torch.dtype | None) -> torch.nn.Module:
    """Return the model."""
    if contestant == "ours":
        return load_model(folder, dtype)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or "auto")


def memory(file: str, field: str) -> float:
    """Return a line of a file in /proc/self, in MB."""
    lines = Path("/proc/self", file).read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field))) / 1e6


def measure(contestant: str, folder: str, small: str, dtype_name: str) -> dict[str, float]:
    """Load in this process and return what it took; the small checkpoint pays for the beginning."""
    dtype = None if dtype_name == "as stored" else getattr(torch, dtype_name)
    token = torch.tensor([[1]])
    with torch.inference_mode():
        load(contestant, small, dtype)(token)
    before = {name: memory(*name) for name in (("status", "VmHWM"), ("smaps_rollup", "Anonymous"))}
    gc.collect()  # the beginning leaves this search due, which would fall upon one or the other
    start = time.perf_counter()
    model, loading = timed(lambda: load(contestant, folder, dtype))
    loaded = time.perf_counter()
    with torch.inference_mode():
        _, using = timed(lambda: model(token))
    resident, own = (memory(*name) - value for name, value in before.items())
    return {
        "load, s": loaded - start,
        "load, CPU s": loading,
        "first token, CPU s": loading + using,
        "resident, MB": resident,
        "own, MB": own,
    }


def rows(about: Row, folder: str, small: str, dtype: str) -> list[Row]:
    """Let the contestants load in turns, and return the medians."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(ROUNDS):
        for name in CONTESTANTS:
            runs[name].append(forked(lambda name=name: measure(name, folder, small, dtype)))
    medians = {
        name: {key: statistics.median(run[key] for run in mine) for key in mine[0]}
        for name, mine in runs.items()
    }
    return [
        {
            **about,
            "type": dtype,
            "contestant": name,
            **{key: round(value, 3 if key.endswith("s") else 0) for key, value in found.items()},
            **ratio_of(
                "times ours",
                [a[RATIO] / b[RATIO] for a, b in zip(runs[name], runs["ours"], strict=True)],
            ),
        }
        for name, found in medians.items()
    ]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for model_type in ("llama", "qwen3_moe"):  # here, so that no measuring process has to
        importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    found = []
    for name, sizes in (("dense", DENSE), ("32 experts", SPARSE)):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as small:
            progress("writing", name)
            # Elsewhere too, so that no memory of it is left here.
            size = forked(lambda f=folder, s=sizes: write_checkpoint(f, s))
            little = sizes | {"vocab_size": 8, "num_hidden_layers": 1}
            forked(lambda f=small, s=little: write_checkpoint(f, s))
            about: Row = {"model": name, "file, GB": round(size, 2)}
            for dtype in ("as stored", "bfloat16"):
                progress("loading", name, dtype)
                found += rows(about, folder, small, dtype)
    record("checkpoint", found)


if __name__ == "__main__":
    main()
