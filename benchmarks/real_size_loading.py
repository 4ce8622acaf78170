"""Loading a model of 0.6 billion weights: the time to its first token, and the memory it takes.

    python -m benchmarks.real_size_loading ROOT THREADS ROUNDS    what `real_size` starts

Each load is a process of its own, forked from one that has imported everything, in turns with the
others. The file has been read before, so that it comes from the system's memory. Imports are not
counted; a program that is compiled for the first token is. "memory over the file" is the most
memory that the process had in use at once until the first token was read, pages of the mapped file
among it, over what it had before the load, as a multiple of the file. Read from Linux's /proc.
"""

import gc
import importlib
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.checkpoint import memory
from benchmarks.compression import twin
from benchmarks.own_process import forked
from benchmarks.timing import ratio_of
from course_lib.checkpoint import load_model, save_model
from course_lib.device import seeded_draws
from course_lib.model import DecoderLM, ModelConfig, build_model

FOLDERS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def write_folders(root: Path, config: ModelConfig) -> DecoderLM:
    """Write the same weights in both types; return them in bfloat16."""
    with seeded_draws(0):
        model = build_model(config).requires_grad_(False).bfloat16()
    for name, dtype in FOLDERS.items():
        save_model(twin(model).to(dtype), root / name)
    return model


def load(contestant: str, folder: str) -> nn.Module:
    """Return a model that is ready to generate."""
    if contestant == "ours":
        return load_model(folder).prepare_to_write()
    loader: Any = importlib.import_module("transformers").AutoModelForCausalLM
    model: nn.Module = loader.from_pretrained(folder, dtype="auto").eval()
    return model


def measure(contestant: str, folder: str, threads: int) -> dict[str, float]:
    """Load in this process and return what it took."""
    torch.set_num_threads(threads)
    gc.collect()
    before, begin = memory("status", "VmRSS"), time.perf_counter()
    with torch.inference_mode():
        load(contestant, folder)(torch.tensor([[1]]))
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "megabytes": memory("status", "VmHWM") - before}


def loading_rows(root: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Let fresh processes load, forked from one in which nothing has been computed."""
    command = [sys.executable, "-m", "benchmarks.real_size_loading"]
    given = [str(root), str(threads), str(rounds)]
    output = subprocess.run([*command, *given], check=True, capture_output=True, text=True).stdout
    found: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
    return found


def forked_rows(root: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Let copies of this process load in turns."""
    importlib.import_module("transformers.models.qwen3.modeling_qwen3")
    found = []
    for dtype in FOLDERS:
        size = (root / dtype / "model.safetensors").stat().st_size / 1e6
        taken: dict[str, list[dict[str, float]]] = {"ours": [], "transformers": []}
        for _ in range(rounds):
            for name, runs in taken.items():
                folder = str(root / dtype)
                runs.append(forked(lambda n=name, f=folder: measure(n, f, threads)))
        for name, runs in taken.items():
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            pairs = zip(runs, taken["ours"], strict=True)
            found.append({
                "measured": "loading",
                "type": dtype,
                "contestant": name,
                "seconds to the first token": round(middle["seconds"], 3),
                "memory over the file": round(middle["megabytes"] / size, 2),
                **ratio_of("times ours", [a["seconds"] / b["seconds"] for a, b in pairs]),
            })  # fmt: skip
    return found


if __name__ == "__main__":
    print(json.dumps(forked_rows(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
