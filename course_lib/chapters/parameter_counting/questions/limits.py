"""Questions on what a device allows: the roofline, decode, what fits."""

import math
import random
from typing import Any

from course_lib.accounting import (
    DEVICES,
    MODELS,
    Device,
    decode_tokens_per_second,
    inference_memory,
    kv_cache_bytes,
    ridge_intensity,
)
from course_lib.study.ask.question import (
    FindTheBug,
    Numeric,
    OneAnswer,
    Option,
    OrderSteps,
    SeveralAnswers,
    Slip,
)

WAITING = OneAnswer(
    id="parameter_counting.waiting",
    prompt="A GPU generates one text with a dense model of 8 billion parameters. Its tensor cores "
    "are busy less than 1 % of the time. Why?",
    options=(
        Option(
            "Each weight is fetched for two FLOPs.",
            True,
            "one token uses a weight once, for a multiplication and an addition. Fetching its two "
            "bytes takes hundreds of times as long.",
        ),
        Option(
            "Softmax and norms are slow on a GPU.",
            False,
            "they are a small part of a step, and they are limited by memory too.",
        ),
        Option(
            "Attention grows with the square of the length.",
            False,
            "one new token reads each key once. The square holds for a whole prompt.",
        ),
        Option(
            "With a batch of one, most of the weights are unused.",
            False,
            "every weight of a dense model is used for every token. The problem is that all have "
            "to be fetched.",
        ),
    ),
)


def _draw_decode(rng: random.Random) -> dict[str, Any]:
    return {
        "weights": rng.choice([3.4, 8.0, 14.5, 16.4, 29.5]),
        "cache": rng.choice([2.5, 6.0, 12.0, 20.0]),
        "batch": rng.choice([4, 8, 16, 32]),
        "bandwidth": rng.choice([2.0, 3.35, 4.8]),
    }


def _rate(weights: float, cache: float, batch: int, bandwidth: float) -> float:
    return decode_tokens_per_second(weights * 1e9, cache * 1e9, bandwidth * 1e12, batch)


DECODE = Numeric(
    id="parameter_counting.decode_rate",
    prompt="A decode step reads {weights} GB of weights, for {batch} texts at once, whose caches "
    "take {cache} GB together. The bandwidth is {bandwidth} TB per second. At most how many "
    "tokens per second can all texts together get?",
    draw=_draw_decode,
    answer=_rate,
    explain=lambda weights, cache, batch, bandwidth: (
        f"A step reads {weights} + {cache} = {weights + cache:.4g} GB, so at most "
        f"{bandwidth * 1000:.4g} / {weights + cache:.4g} = "
        f"{bandwidth * 1000 / (weights + cache):.4g} steps per second. Each gives {batch} "
        f"tokens: {_rate(weights, cache, batch, bandwidth):.4g}."
    ),
    unit="tokens per second",
    slips=(
        Slip(
            "steps",
            lambda weights, cache, batch, bandwidth: bandwidth * 1000 / (weights + cache),
            "These are steps per second. Each step gives a token to every text of the batch.",
        ),
        Slip(
            "no cache",
            lambda weights, cache, batch, bandwidth: _rate(weights, 0.0, batch, bandwidth),
            "The cache of every text is read in each step, too.",
        ),
        Slip(
            "cache times batch",
            lambda weights, cache, batch, bandwidth: _rate(
                weights, cache * batch, batch, bandwidth
            ),
            "The caches of all texts take that much together; you multiplied by the batch once "
            "more.",
        ),
        Slip(
            "bits",
            lambda **drawn: _rate(**drawn) / 8,
            "Everything is in bytes here: no factor 8.",
        ),
    ),
)

LARGER_BATCH = SeveralAnswers(
    id="parameter_counting.larger_batch",
    prompt="A dense model generates text with a batch of 4. You double the batch; lengths stay. "
    "What doubles in a decode step?",
    options=(
        Option(
            "the FLOPs",
            True,
            "each text's token passes through all matrices, and reads its own cache.",
        ),
        Option(
            "the bytes of the KV cache",
            True,
            "each text has its own keys and values.",
        ),
        Option(
            "the bytes of weights that are read",
            False,
            "they are read once for the whole batch, which is why batches raise the throughput.",
        ),
        Option(
            "the memory for the weights",
            False,
            "all texts share the same weights, as many as before.",
        ),
        Option(
            "the minimum time of a step",
            False,
            "for small batches it is set by the bytes that are read, and most of these are "
            "weights, which do not grow.",
        ),
    ),
)


def _draw_ridge(rng: random.Random) -> dict[str, Any]:
    return {
        "peak": rng.choice([120, 165, 312, 989, 2250]),
        "bandwidth": rng.choice([0.3, 1.0, 2.0, 3.35, 4.8, 8.0]),
        "size": rng.choice([2, 4]),
    }


def _batch_at_ridge(peak: int, bandwidth: float, size: int) -> float:
    return ridge_intensity(peak * 1e12, bandwidth * 1e12) * size / 2


RIDGE = Numeric(
    id="parameter_counting.ridge",
    prompt="A device computes {peak} TFLOPS and reads {bandwidth} TB per second. A model's weights "
    "take {size} bytes each, and a decode step reads nothing else. From which batch on is "
    "arithmetic the limit?",
    draw=_draw_ridge,
    answer=_batch_at_ridge,
    explain=lambda peak, bandwidth, size: (
        f"The ridge is at {peak} / {bandwidth} = {peak / bandwidth:.4g} FLOPs per byte. A weight "
        f"of {size} bytes takes 2 FLOPs for each text, that is 2 / {size} · batch per byte. Both "
        f"are equal at a batch of {_batch_at_ridge(peak, bandwidth, size):.4g}."
    ),
    unit="texts",
    tolerance=0.02,
    slips=(
        Slip(
            "one FLOP",
            lambda peak, bandwidth, size: peak / bandwidth * size,
            "You counted one FLOP for a weight. A multiplication and an addition are two.",
        ),
        Slip(
            "bytes upside down",
            lambda peak, bandwidth, size: peak / bandwidth / (2 * size),
            "More bytes for a weight need more texts to share it, not fewer.",
        ),
        Slip(
            "bandwidth in bits",
            lambda peak, bandwidth, size: peak / bandwidth * size / 16,
            "Bandwidth is in bytes per second: no factor 8.",
        ),
    ),
)


FITTING = ("Qwen3-4B", "Qwen3-8B", "Qwen3-14B", "Llama-3-8B", "Mistral-7B", "Llama-2-7B")


def _draw_fits(rng: random.Random) -> dict[str, Any]:
    for _ in range(1000):
        name = rng.choice(FITTING)
        device: Device = DEVICES[rng.choice(("A100 SXM 80 GB", "H200 SXM"))]
        drawn: dict[str, Any] = {
            "name": name,
            "weights": round(inference_memory(MODELS[name], 0).weights / 1e9, 2),
            "token": _per_token(name),
            "memory": round(device.memory / 1e9),
            "context": rng.choice([8000, 10000, 16000, 20000, 32000, 40000]),
        }
        room = (drawn["memory"] - drawn["weights"]) * 1e9 / (drawn["token"] * drawn["context"])
        if 5 < room < 45 and 0.1 < room % 1 < 0.9:  # so that rounding cannot change the answer
            return drawn
    raise ValueError("no drawn numbers leave room for 5 to 45 texts; got none in 1000 draws.")


def _per_token(name: str) -> int:
    config = MODELS[name]
    return kv_cache_bytes(
        config.num_hidden_layers, config.num_key_value_heads, config.head_dim, tokens=1
    )


def _texts(name: str, weights: float, token: int, memory: int, context: int) -> float:
    needed = inference_memory(MODELS[name], context)
    return float((memory * 1e9 - needed.weights) // needed.cache)


FITS = Numeric(
    id="parameter_counting.fits",
    prompt="{name} takes {weights} GB in bfloat16, and its cache {token} bytes for each token. The "
    "device has {memory} GB (10⁹ bytes). How many texts of {context} tokens can it hold at once, "
    "if nothing else needs memory?",
    draw=_draw_fits,
    answer=_texts,
    explain=lambda name, weights, token, memory, context: (
        f"{memory} - {weights} = {memory - weights:.4g} GB are left. A text takes {token} · "
        f"{context} bytes = {token * context / 1e9:.4g} GB. {memory - weights:.4g} / "
        f"{token * context / 1e9:.4g} = {(memory - weights) * 1e9 / token / context:.3g}, so there "
        f"is room for {math.floor((memory - weights) * 1e9 / token / context)} whole texts."
    ),
    unit="texts",
    slips=(
        Slip(
            "weights forgotten",
            lambda name, weights, token, memory, context: float(memory * 1e9 // (token * context)),
            "The weights need memory as well: subtract them first.",
        ),
        Slip(
            "weights for each text",
            lambda name, weights, token, memory, context: float(
                memory * 1e9 // (token * context + weights * 1e9)
            ),
            "All texts share one copy of the weights.",
        ),
        Slip(
            "keys only",
            lambda name, weights, token, memory, context: float(
                (memory - weights) * 1e9 // (token * context / 2)
            ),
            "The bytes per token already count keys and values; you halved them.",
        ),
    ),
)

STEPS = OrderSteps(
    id="parameter_counting.plan",
    prompt="You have the config.json of a dense model, a data sheet and a length of texts, and you "
    "want to estimate how many tokens per second a device can generate at most. Put the steps in "
    "order.",
    steps=(
        "Count the parameters from the config.",
        "Multiply by the bytes of the number type to get the weights.",
        "Subtract the weights from the device's memory.",
        "Divide what is left by the cache of one text to get the batch.",
        "Divide the bandwidth by weights and caches together to get steps per second.",
        "Multiply by the batch.",
    ),
    explanation="Each step needs the one before. The batch depends on the memory that "
    "the weights leave, and the time of a step depends on the caches of the whole batch.",
)


def _rate_is_wrong(names: dict[str, Any]) -> bool:
    expected = decode_tokens_per_second(16e9, 6 * 2e9, 3e12, batch=6)
    return not math.isclose(names["tokens_per_second"](16e9, 2e9, 3e12, 6), expected)


BUG_DECODE = FindTheBug(
    id="parameter_counting.bug_decode",
    prompt="This function should return the most tokens per second that a batch of texts can get "
    "together. `cache_of_one` is the cache of one text. It is right for a batch of 1 only.",
    code="""
def tokens_per_second(weights, cache_of_one, bandwidth, batch):
    caches = batch * cache_of_one
    moved = batch * weights + caches
    seconds_per_step = moved / bandwidth
    steps = 1 / seconds_per_step
    return batch * steps
""",
    line=3,
    fixed="moved = weights + caches",
    why="A step reads the weights once, for all texts together. As it is, a larger batch "
    "would hardly raise the tokens per second.",
    why_not={
        2: "every text has its own cache.",
        4: "bytes divided by bytes per second are seconds.",
        5: "steps per second are the inverse of the seconds for a step.",
        6: "each step gives a token to every text.",
    },
    shows_bug=_rate_is_wrong,
)
