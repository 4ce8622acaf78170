"""How fast each form of the course model generates, beside float32.

Where torch has a kernel for a scheme, the packed layers use it; elsewhere they are unpacked and
then multiplied. All models generate one token in turns, in random order, so that what disturbs one
disturbs all; the time is that of the processor.

    times as fast = median over rounds of (seconds of float32 / seconds of the model)

Taught in:        compression
Checked against:  a model beside itself
Shapes:           none
"""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from course_lib import compression
from course_lib.device import seeded
from course_lib.model import DecoderLM

BASE = "float32"
ROUNDS = 25
PROMPT = 16  # tokens in the cache before the one that is timed


def decode_speeds(
    models: Mapping[str, DecoderLM], rounds: int = ROUNDS
) -> dict[str, dict[str, Any]]:
    """Return for each model how many times as fast as "float32" it is, and which way it runs."""
    ready = {name: _fastest(model) for name, model in models.items()}
    with torch.inference_mode():
        runs = {name: _one_token(model) for name, (model, _) in ready.items()}
        seconds = _in_turns(runs, rounds)
    ratios = {
        name: [base / own for base, own in zip(seconds[BASE], times, strict=True)]
        for name, times in seconds.items()
    }
    return {
        name: {"times as fast": round(statistics.median(each), 2), "how": ready[name][1]}
        for name, each in ratios.items()
    }


def _fastest(model: DecoderLM) -> tuple[DecoderLM, str]:
    """Return a model as it is fastest here, and what multiplies its layers."""
    if not dict(compression.quantised_layers(model)):
        return model.prepare_to_write(), "plain"
    try:
        return compression.use_cpu_kernels(model.use_kernels()), "kernel"
    except ValueError:  # torch has no kernel for this scheme
        return model, "unpacked"


def _one_token(model: DecoderLM) -> Callable[[], None]:
    """Return a run that reads one more token than the cache holds."""
    ids = torch.randint(model.config.vocab_size, (1, PROMPT + 1), generator=seeded(0))
    cache = model.make_cache(1, PROMPT + 1)
    model(ids[:, :PROMPT], cache=cache, last_only=True)

    def run() -> None:
        model(ids[:, PROMPT:], cache=cache)
        for layer in cache:
            layer.truncate(PROMPT)

    return run


def _in_turns(runs: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each run in each round; a first round does not count."""
    shuffle, seconds = random.Random(0), {name: list[float]() for name in runs}
    for _ in range(rounds + 1):
        for name in shuffle.sample(sorted(runs), len(runs)):
            begin = time.process_time()
            runs[name]()
            seconds[name].append(time.process_time() - begin)
    return {name: times[1:] for name, times in seconds.items()}
