"""Questions on FLOPs and on bytes."""

import random
from typing import Any

from course_lib.accounting import (
    DEVICES,
    MODELS,
    bytes_per_number,
    flops_per_token,
    inference_memory,
    kv_cache_bytes,
    total_parameters,
    training_flops,
    training_memory,
)
from course_lib.study.ask.question import Numeric, Option, SeveralAnswers, Slip

NAMES = (
    "Qwen3-0.6B", "Qwen3-1.7B", "Qwen3-4B", "Qwen3-8B", "Qwen3-14B", "Llama-2-7B", "Llama-3-8B",
    "Mistral-7B",
)  # fmt: skip
PEAK = DEVICES["H100 SXM"].peak_flops


def _draw_token(rng: random.Random) -> dict[str, Any]:
    return {
        "billions": rng.choice([1, 2, 4, 7, 8]),
        "layers": rng.choice([24, 28, 32, 36]),
        "heads": rng.choice([16, 24, 32, 40]),
        "context": rng.choice([8192, 16384, 32768]),
    }


def _gflops(billions: int, layers: int, heads: int, context: int) -> float:
    return flops_per_token(billions * 10**9, layers, heads * 128, context) / 1e9


TOKEN = Numeric(
    id="parameter_counting.token",
    prompt="One token passes through matrices of {billions} billion parameters. The model has "
    "{layers} layers with {heads} query heads of width 128, and the token attends to {context} "
    "tokens. How many GFLOPs is its forward pass?",
    draw=_draw_token,
    answer=_gflops,
    explain=lambda billions, layers, heads, context: (
        f"Matrices: 2 · {billions} = {2 * billions} GFLOPs. Attention: 4 · {layers} · {context} · "
        f"{heads} · 128 = {4 * layers * context * heads * 128 / 1e9:.4g} GFLOPs. Together "
        f"{_gflops(billions, layers, heads, context):.4g}."
    ),
    unit="GFLOPs",
    slips=(
        Slip(
            "multiply-adds",
            lambda **drawn: _gflops(**drawn) / 2,
            "You counted a multiplication and the addition after it as one.",
        ),
        Slip(
            "matrices only",
            lambda billions, **_: 2.0 * billions,
            "The query is also multiplied with every key, and every value is weighted: 4 · layers "
            "· context · width.",
        ),
        Slip(
            "scores only",
            lambda billions, layers, heads, context: (
                2 * billions + 2 * layers * context * heads * 128 / 1e9
            ),
            "Attention has two products: query with keys, and weights with values.",
        ),
        Slip(
            "training",
            lambda **drawn: 3 * _gflops(**drawn),
            "This is forward and backward together.",
        ),
    ),
)


def _draw_days(rng: random.Random) -> dict[str, Any]:
    return {
        "billions": rng.choice([1, 3, 7, 8, 14]),
        "trillions": rng.choice([1, 2, 5, 15]),
        "gpus": rng.choice([64, 256, 1024]),
        "percent": rng.choice([30, 35, 40, 45]),
    }


def _days(billions: int, trillions: int, gpus: int, percent: int) -> float:
    flops = training_flops(billions * 10**9, trillions * 10**12)
    return flops / (gpus * PEAK * percent / 100) / 86400


DAYS = Numeric(
    id="parameter_counting.days",
    prompt="A model of {billions} billion parameters is trained on {trillions} trillion tokens "
    "with {gpus} H100, each with a peak of 989 TFLOPS, at a model FLOPs utilisation of "
    "{percent} %. How many days does it take? Leave attention's own products out.",
    draw=_draw_days,
    answer=_days,
    explain=lambda billions, trillions, gpus, percent: (
        f"6 · {billions}e9 · {trillions}e12 = {6 * billions * trillions * 1e21:.4g} FLOPs. The "
        f"machines compute {gpus} · 989e12 · {percent / 100} = {gpus * PEAK * percent / 100:.4g} a "
        f"second. A day has 86400 seconds: {_days(billions, trillions, gpus, percent):.4g} days."
    ),
    unit="days",
    slips=(
        Slip(
            "forward only",
            lambda **drawn: _days(**drawn) / 3,
            "2 FLOPs for a parameter are the forward pass. Training takes 6.",
        ),
        Slip(
            "at the peak",
            lambda **drawn: _days(**drawn) * drawn["percent"] / 100,
            "No run reaches the peak: divide by the utilisation.",
        ),
        Slip(
            "multiply-adds",
            lambda **drawn: _days(**drawn) / 2,
            "The peak counts a multiplication and an addition as two FLOPs; so must you.",
        ),
        Slip(
            "hours",
            lambda **drawn: _days(**drawn) * 24,
            "These are hours.",
        ),
    ),
)


def _draw_weights(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(NAMES)
    billions = round(total_parameters(MODELS[name]) / 1e9, 3)
    return {
        "name": name,
        "billions": billions,
        "dtype": rng.choice(["int4", "bfloat16", "float32"]),
    }


def _gigabytes(name: str, billions: float, dtype: str) -> float:
    return inference_memory(MODELS[name], 0, dtype=dtype).weights / 1e9


WEIGHTS = Numeric(
    id="parameter_counting.weights",
    prompt="{name} has {billions} billion parameters. How many GB (10⁹ bytes) do its weights take "
    "in {dtype}? Leave out the scales of quantised formats.",
    draw=_draw_weights,
    answer=_gigabytes,
    explain=lambda name, billions, dtype: (
        f"A number takes {bytes_per_number(dtype):g} bytes in {dtype}: {billions} · "
        f"{bytes_per_number(dtype):g} = {_gigabytes(name, billions, dtype):.4g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "bits",
            lambda name, billions, dtype: 8 * billions * bytes_per_number(dtype),
            "These are gigabits. A byte is 8 bits.",
        ),
        Slip(
            "twice the type",
            lambda name, billions, dtype: 2 * billions * bytes_per_number(dtype),
            "Each number takes half of what you assumed: bfloat16 has 2 bytes, int8 has 1, int4 "
            "half a byte.",
        ),
        Slip(
            "half the type",
            lambda name, billions, dtype: billions * bytes_per_number(dtype) / 2,
            "Each number takes twice what you assumed: float32 has 4 bytes, bfloat16 has 2.",
        ),
    ),
)


def _draw_cache(rng: random.Random) -> dict[str, Any]:
    groups = rng.choice([2, 4, 8])
    return {
        "layers": rng.choice([24, 28, 32, 36, 48]),
        "heads": groups * rng.choice([3, 4, 5]),
        "groups": groups,
        "tokens": rng.choice([4000, 10000, 30000, 100000]),
        "batch": rng.choice([6, 12, 24, 40]),
    }


def _cache_gb(layers: int, heads: int, groups: int, tokens: int, batch: int) -> float:
    return kv_cache_bytes(layers, groups, 128, tokens, batch) / 1e9


CACHE = Numeric(
    id="parameter_counting.cache",
    prompt="A model has {layers} layers with {heads} query heads and {groups} key/value heads of "
    "width 128. It generates {batch} texts of {tokens} tokens at once. How many GB (10⁹ bytes) is "
    "its KV cache in bfloat16?",
    draw=_draw_cache,
    answer=_cache_gb,
    explain=lambda layers, heads, groups, tokens, batch: (
        f"One token: 2 · {layers} · {groups} · 128 · 2 bytes = "
        f"{kv_cache_bytes(layers, groups, 128, 1)} bytes. Times {tokens} tokens and {batch} texts: "
        f"{_cache_gb(layers, heads, groups, tokens, batch):.4g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "batch forgotten",
            lambda layers, heads, groups, tokens, batch: _cache_gb(
                layers, heads, groups, tokens, 1
            ),
            "This is the cache of one text. Each text of the batch has its own.",
        ),
        Slip(
            "query heads",
            lambda layers, heads, groups, tokens, batch: (
                kv_cache_bytes(layers, heads, 128, tokens, batch) / 1e9
            ),
            "You counted query heads. Queries are not kept; keys and values have their own number "
            "of heads.",
        ),
        Slip(
            "keys only",
            lambda **drawn: _cache_gb(**drawn) / 2,
            "The cache holds a key *and* a value, and each of its numbers takes two bytes.",
        ),
        Slip(
            "one layer",
            lambda **drawn: _cache_gb(**drawn) / drawn["layers"],
            "This is the cache of one layer.",
        ),
        Slip(
            "bits",
            lambda **drawn: _cache_gb(**drawn) * 8,
            "These are gigabits. A byte is 8 bits.",
        ),
    ),
)


def _draw_state(rng: random.Random) -> dict[str, Any]:
    name = rng.choice(NAMES)
    return {"name": name, "billions": round(total_parameters(MODELS[name]) / 1e9, 3)}


def _state(name: str, billions: float) -> float:
    needed = training_memory(MODELS[name], 1, weight_bytes=6, gradient_bytes=2)
    return (needed.weights + needed.gradients + needed.moments) / 1e9


TRAINING_STATE = Numeric(
    id="parameter_counting.training_state",
    prompt="{name}, {billions} billion parameters, is trained with AdamW: weights and gradients "
    "in bfloat16, a copy of the weights in float32, and both moments in float32. How "
    "many GB (10⁹ bytes) is that, without activations?",
    draw=_draw_state,
    answer=_state,
    explain=lambda name, billions: (
        f"2 + 2 + 4 + 4 + 4 = 16 bytes for each parameter: 16 · {billions} = "
        f"{_state(name, billions):.4g} GB."
    ),
    unit="GB",
    slips=(
        Slip(
            "one moment",
            lambda name, billions: 12 * billions,
            "Adam keeps two moments, 4 bytes each. This is with one.",
        ),
        Slip(
            "weights only",
            lambda name, billions: 2 * billions,
            "These are only the weights in bfloat16. Training keeps much more.",
        ),
        Slip(
            "moments in bfloat16",
            lambda name, billions: 8 * billions,
            "8 bytes would be all numbers in bfloat16, and no copy in float32.",
        ),
    ),
)

CHECKPOINTING = SeveralAnswers(
    id="parameter_counting.checkpointing",
    prompt="With activation checkpointing, only the input of each block is kept for the backward "
    "pass, and the block is run again in the backward pass. Which statements hold?",
    options=(
        Option(
            "The machine computes about a third more.",
            True,
            "there is a second forward pass: 8 FLOPs for each parameter instead of 6.",
        ),
        Option(
            "The activations of one whole block still have to fit.",
            True,
            "when a block is run again, all its activations are in memory, for this block only.",
        ),
        Option(
            "The memory for Adam's moments shrinks.",
            False,
            "moments belong to parameters, and there are as many as before.",
        ),
        Option(
            "The gradients become approximate.",
            False,
            "the same numbers are computed a second time; nothing is left out.",
        ),
        Option(
            "The model FLOPs utilisation rises by a third.",
            False,
            "MFU counts only the model's own 6 FLOPs. What is computed twice does not count, so it "
            "falls.",
        ),
    ),
)
